// Extism plug-ins: what a deployment gives them, their entries and errors, and their blocks in host
// functions.
#include "check.h"

static uint32_t i64[] = {DORMOUSE_I64};
static dormouse_runtime *runtime;

static int returns_its_input(void *user_data, dormouse_context *context, const dormouse_value *args, dormouse_value *results) {
    (void)user_data, (void)context;
    results[0] = args[0];
    return 0;
}

static dormouse_host_function worker(dormouse_host_callback work, void *user_data) {
    dormouse_host_function function = {{"extism:host/user", 16}, {"work", 4}, i64, 1, i64, 1, work, user_data, NULL};
    return function;
}

static dormouse_deploy_options with(const dormouse_host_function *host) {
    dormouse_deploy_options options;
    OK(dormouse_deploy_options_init(&options, sizeof options, &error));
    options.host_functions = host;
    options.host_functions_len = 1;
    return options;
}

static dormouse_status invoke(dormouse_function *function, const char *entry, const char *input, dormouse_reply **reply_out, dormouse_error **error_out) {
    dormouse_invoke_options options;
    OK(dormouse_invoke_options_init(&options, sizeof options, &error));
    options.entry = dormouse_string_of(entry);
    return dormouse_function_invoke(function, (const uint8_t *)input, dormouse_length(input), &options, reply_out, error_out);
}

static int answers(dormouse_function *function, const char *entry, const char *input, const char *answer, const char *log) {
    dormouse_reply *reply;
    OK(invoke(function, entry, input, &reply, &error));
    size_t len;
    const uint8_t *output = dormouse_reply_output(reply, &len);
    int right = len == strlen(answer) && memcmp(output, answer, len) == 0 && strcmp(dormouse_reply_log(reply, NULL), log) == 0;
    dormouse_reply_free(reply);
    return right;
}

static void a_plugin_is_given_what_its_deployment_says(void) {
    dormouse_host_function host = worker(returns_its_input, NULL);
    dormouse_deploy_options options = with(&host);
    dormouse_variable config[] = {{{"unit", 4}, {"vowels", 6}}, {{"empty", 5}, {"", 0}}, {{"unit", 4}, {"words", 5}}};
    dormouse_plugin_variable vars[] = {{{"total", 5}, (const uint8_t *)"4\0002", 3}, {{"none", 4}, NULL, 0}};
    options.config = config;
    options.config_len = 3;
    options.vars = vars;
    options.vars_len = 2;
    options.log_level = DORMOUSE_LOG_INFO;
    options.entry = dormouse_string_of("config");
    dormouse_function *function;
    DEPLOY(runtime, "plugin", plugin_wasm, &options, &function);
    dormouse_deploy_report report;
    OK(dormouse_function_deploy_report(function, &report, &error));
    CHECK(report.contract == DORMOUSE_CONTRACT_EXTISM && report.takes_bytes);
    CHECK(answers(function, NULL, "unit", "words", "") && answers(function, "config", "empty", "", "") && answers(function, NULL, "other", "", ""));
    dormouse_reply *reply;
    OK(invoke(function, "var", "total", &reply, &error));
    size_t len;
    const uint8_t *total = dormouse_reply_output(reply, &len);
    CHECK(len == 3 && memcmp(total, "4\0002", 3) == 0);
    dormouse_reply_free(reply);
    CHECK(answers(function, "var", "none", "", "") && answers(function, "work", "there and back", "there and back", ""));
    CHECK(answers(function, "debug", "look", "", "") && answers(function, "warn", "careful", "", "warn: careful\n"));
    STATUS(DORMOUSE_NO_SUCH_EXPORT, invoke(function, "nothing", "x", &reply, &error));
    for (options.log_level = DORMOUSE_LOG_TRACE; options.log_level <= DORMOUSE_LOG_OFF; options.log_level++) {
        dormouse_function *logs;
        DEPLOY(runtime, "logs", plugin_wasm, &options, &logs);
        CHECK(answers(logs, "debug", "look", "", options.log_level <= DORMOUSE_LOG_DEBUG ? "debug: look\n" : ""));
        CHECK(answers(logs, "warn", "careful", "", options.log_level <= DORMOUSE_LOG_WARN ? "warn: careful\n" : ""));
        dormouse_function_free(logs);
    }

    // Both the plug-in's message and its code.
    dormouse_error *why = NULL;
    CHECK(invoke(function, "fail", "no vowels", &reply, &why) == DORMOUSE_GUEST_ERROR);
    CHECK(strstr(dormouse_error_message(why, NULL), "no vowels") != NULL && strstr(dormouse_error_message(why, NULL), "7") != NULL);
    CHECK(dormouse_error_report(why)->outcome == DORMOUSE_GUEST_ERROR && dormouse_error_trap(why) == DORMOUSE_TRAP_NONE);
    dormouse_error_free(why);
    why = NULL;
    CHECK(invoke(function, "abort", "no vowels", &reply, &why) == DORMOUSE_GUEST_ERROR);
    CHECK(strstr(dormouse_error_message(why, NULL), "no vowels") != NULL && dormouse_error_trap(why) == DORMOUSE_TRAP_UNREACHABLE);
    dormouse_error_free(why);
    dormouse_function_free(function);
}

static void what_no_plugin_can_be_given_is_refused(void) {
    dormouse_host_function host = worker(returns_its_input, NULL);
    dormouse_function *function;
#define REFUSED(status, change)                                                                                          \
    do {                                                                                                                 \
        dormouse_deploy_options options = with(&host);                                                                   \
        options.entry = dormouse_string_of("work");                                                                      \
        dormouse_variable config = {{"k", 1}, {"v", 1}};                                                                 \
        dormouse_plugin_variable var = {{"k", 1}, (const uint8_t *)"v", 1};                                              \
        options.config = &config;                                                                                        \
        options.vars = &var;                                                                                             \
        options.config_len = options.vars_len = 1;                                                                       \
        change;                                                                                                          \
        STATUS(status, dormouse_runtime_deploy(runtime, "p", 1, plugin_wasm, sizeof plugin_wasm, &options, &function, &error)); \
    } while (0)
    REFUSED(DORMOUSE_ARGUMENT, options.log_level = DORMOUSE_LOG_OFF + 1);
    REFUSED(DORMOUSE_NULL, options.config = NULL);
    REFUSED(DORMOUSE_NULL, options.vars = NULL);
    REFUSED(DORMOUSE_NULL, config.name.chars = NULL; config.name.len = 0);
    REFUSED(DORMOUSE_NULL, var.key.chars = NULL; var.key.len = 0);
    REFUSED(DORMOUSE_NULL, var.value = NULL);
    REFUSED(DORMOUSE_UTF8, var.key.chars = "\xff");
    REFUSED(DORMOUSE_UTF8, config.value.chars = "\xff");
    REFUSED(DORMOUSE_INVALID_OPTION, config.name.chars = "DORMOUSE_X"; config.name.len = 10);
    REFUSED(DORMOUSE_ENTRY, options.entry = dormouse_string_of("nothing"));
    REFUSED(DORMOUSE_ENTRY, options.contract = DORMOUSE_CONTRACT_BUFFER);
#undef REFUSED
    dormouse_deploy_options options;
    OK(dormouse_deploy_options_init(&options, sizeof options, &error));
    options.contract = DORMOUSE_CONTRACT_EXTISM;
    STATUS(DORMOUSE_ENTRY, dormouse_runtime_deploy(runtime, "p", 1, echo_wasm, sizeof echo_wasm, &options, &function, &error));
    dormouse_invoke_options chosen;
    OK(dormouse_invoke_options_init(&chosen, sizeof chosen, &error));
    chosen.entry.chars = "\xff";
    chosen.entry.len = 1;
    DEPLOY(runtime, "echo", echo_wasm, NULL, &function);
    dormouse_reply *reply;
    STATUS(DORMOUSE_UTF8, dormouse_function_invoke(function, NULL, 0, &chosen, &reply, &error));
    dormouse_function_free(function);
}

static int works_with_blocks(void *user_data, dormouse_context *context, const dormouse_value *args, dormouse_value *results) {
    uint64_t given = (uint64_t)args[0].of.i64, made, none, gone;
    uint8_t text[8] = "........";
    size_t len;
    OK(dormouse_context_block_len(context, given, &len, &error));
    CHECK(len == 5);
    STATUS(DORMOUSE_NO_ROOM, dormouse_context_read_block(context, given, text, 4, &error));
    CHECK(memcmp(text, "........", 8) == 0);
    OK(dormouse_context_read_block(context, given, text, sizeof text, &error));
    CHECK(memcmp(text, "event...", 8) == 0);
    OK(dormouse_context_write_block(context, given + 1, (const uint8_t *)"XY", 2, &error));
    OK(dormouse_context_read_block(context, given, text, 5, &error));
    CHECK(memcmp(text, "eXYnt...", 8) == 0);
    STATUS(DORMOUSE_INVALID_HANDLE, dormouse_context_write_block(context, given + 4, text, 2, &error));

    OK(dormouse_context_new_block(context, NULL, 0, &none, &error));
    OK(dormouse_context_block_len(context, none, &len, &error));
    CHECK(none == 0 && len == 0);
    OK(dormouse_context_read_block(context, none, NULL, 0, &error));
    OK(dormouse_context_new_block(context, (const uint8_t *)"gone", 4, &gone, &error));
    OK(dormouse_context_free_block(context, gone, &error));
    OK(dormouse_context_free_block(context, gone, &error));
    const uint64_t bad[] = {gone, given + 1, 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        len = 77;
        STATUS(DORMOUSE_INVALID_HANDLE, dormouse_context_block_len(context, bad[i], &len, &error));
        STATUS(DORMOUSE_INVALID_HANDLE, dormouse_context_read_block(context, bad[i], text, sizeof text, &error));
        STATUS(DORMOUSE_INVALID_HANDLE, dormouse_context_write_block(context, i == 1 ? UINT64_MAX - 1 : bad[i], text, 1, &error));
        CHECK(len == 77 && memcmp(text, "eXYnt...", 8) == 0);
    }
    size_t too_much = 65 << 20;
    uint8_t *zeros = calloc(too_much, 1);
    CHECK(zeros);
    made = 77;
    STATUS(DORMOUSE_MEMORY_LIMIT, dormouse_context_new_block(context, zeros, too_much, &made, &error));
    CHECK(made == 77);
    free(zeros);
    OK(dormouse_context_new_block(context, text, 5, &made, &error));
    results[0] = dormouse_i64((int64_t)made);
    ++*(int *)user_data;
    return 0;
}

static void host_functions_read_write_make_and_free_blocks(void) {
    int worked = 0;
    dormouse_host_function host = worker(works_with_blocks, &worked);
    dormouse_deploy_options options = with(&host);
    options.entry = dormouse_string_of("work");
    dormouse_function *function;
    DEPLOY(runtime, "blocks", plugin_wasm, &options, &function);
    for (int i = 1; i < 4; i++) CHECK(answers(function, NULL, "event", "eXYnt", "") && worked == i);
    dormouse_function_free(function);
}

// The length of a block costs no fuel. All calls that move bytes cost fuel. A guest that cannot pay
// ends.
static int spends_all(void *user_data, dormouse_context *context, const dormouse_value *args, dormouse_value *results) {
    uint64_t given = (uint64_t)args[0].of.i64, made = 77;
    static uint8_t text[64 * 300];
    size_t len;
    STATUS(DORMOUSE_OUT_OF_FUEL, dormouse_context_charge(context, UINT64_MAX, &error));
    for (int i = 0; i < 100; i++) OK(dormouse_context_block_len(context, given, &len, &error));
    switch (*(int *)user_data) {
    case 0: STATUS(DORMOUSE_OUT_OF_FUEL, dormouse_context_read_block(context, given, text, sizeof text, &error)); break;
    case 1: STATUS(DORMOUSE_OUT_OF_FUEL, dormouse_context_write_block(context, given, text, len, &error)); break;
    default: STATUS(DORMOUSE_OUT_OF_FUEL, dormouse_context_new_block(context, text, sizeof text, &made, &error));
    }
    CHECK(made == 77);
    results[0] = args[0];
    return 0;
}

static void blocks_are_paid_for(void) {
    for (int what = 0; what < 3; what++) {
        dormouse_host_function host = worker(spends_all, &what);
        dormouse_deploy_options options = with(&host);
        options.entry = dormouse_string_of("work");
        options.limits.fuel = 200;
        dormouse_function *function;
        DEPLOY(runtime, "spends", plugin_wasm, &options, &function);
        dormouse_reply *reply;
        // More than the fuel can pay for.
        static char input[64 * 300];
        memset(input, 'x', sizeof input - 1);
        STATUS(DORMOUSE_OUT_OF_FUEL, invoke(function, NULL, input, &reply, &error));
        dormouse_function_free(function);
    }
}

static void a_plugin_keeps_values_in_a_store(void) {
    dormouse_host_function host = worker(returns_its_input, NULL);
    dormouse_deploy_options options = with(&host);
    dormouse_store *store;
    OK(dormouse_store_new(&store, &error));
    options.store = store;
    options.entry = dormouse_string_of("keep");
    dormouse_function *function;
    DEPLOY(runtime, "keeps", keeps_wasm, &options, &function);
    CHECK(answers(function, NULL, "first", "", "") && answers(function, NULL, "second", "first", ""));
    uint8_t value[8];
    size_t len;
    OK(dormouse_store_get(store, DORMOUSE_STR("keeps"), (const uint8_t *)"last", 4, value, sizeof value, &len, &error));
    CHECK(len == 6 && memcmp(value, "second", 6) == 0);
    dormouse_function_free(function);

    // A function of the host replaces the store's.
    dormouse_host_function hosts[] = {host, {{"extism:host/user", 16}, {"kv_set", 6}, (uint32_t[]){DORMOUSE_I64, DORMOUSE_I64}, 2, i64, 1, returns_its_input, NULL, NULL}};
    options.host_functions = hosts;
    options.host_functions_len = 2;
    DEPLOY(runtime, "mine", keeps_wasm, &options, &function);
    CHECK(answers(function, NULL, "first", "", "") && answers(function, NULL, "second", "", ""));
    dormouse_function_free(function);
    dormouse_store_free(store);
}

static int has_no_blocks(void *user_data, dormouse_context *context, const dormouse_value *args, dormouse_value *results) {
    (void)user_data, (void)args, (void)results;
    uint8_t byte = 1;
    size_t len;
    uint64_t made;
    STATUS(DORMOUSE_CONTRACT, dormouse_context_block_len(context, 1, &len, &error));
    STATUS(DORMOUSE_CONTRACT, dormouse_context_read_block(context, 1, &byte, 1, &error));
    STATUS(DORMOUSE_CONTRACT, dormouse_context_write_block(context, 1, &byte, 1, &error));
    STATUS(DORMOUSE_CONTRACT, dormouse_context_new_block(context, &byte, 1, &made, &error));
    STATUS(DORMOUSE_CONTRACT, dormouse_context_free_block(context, 1, &error));
    return 0;
}

static void a_guest_of_another_kind_has_no_blocks(void) {
    static uint32_t i32[] = {DORMOUSE_I32};
    dormouse_host_function host = {{"env", 3}, {"visit", 5}, i32, 1, i32, 1, has_no_blocks, NULL, NULL};
    dormouse_deploy_options options = with(&host);
    dormouse_function *function;
    DEPLOY(runtime, "visit", visit_wasm, &options, &function);
    dormouse_value argument = dormouse_i32(1);
    dormouse_reply *reply;
    OK(dormouse_function_call(function, DORMOUSE_STR("run"), &argument, 1, NULL, &reply, &error));
    dormouse_reply_free(reply);
    dormouse_function_free(function);
}

int main(void) {
    OK(dormouse_runtime_new(NULL, &runtime, &error));
    a_plugin_is_given_what_its_deployment_says();
    what_no_plugin_can_be_given_is_refused();
    host_functions_read_write_make_and_free_blocks();
    blocks_are_paid_for();
    a_plugin_keeps_values_in_a_store();
    a_guest_of_another_kind_has_no_blocks();
    dormouse_runtime_free(runtime);
    return 0;
}
