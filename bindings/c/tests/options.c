// Options: their size, the extremes of their members, and what they give to a WASI guest.
#include "check.h"

static dormouse_runtime *runtime;
static dormouse_function *echo;
static dormouse_event *event;

// A struct of another header, shorter or longer than the library's. The library refuses it, does
// not write to it and does nothing. `use` is a call with `&options` that would succeed, and `made`
// is what it would write.
#define SIZES(type, use, made)                                                                                    \
    do {                                                                                                          \
        union {                                                                                                   \
            type options;                                                                                         \
            unsigned char bytes[sizeof(type) + 64];                                                               \
        } room;                                                                                                   \
        const size_t wrong[] = {0, 1, sizeof(size_t), sizeof(type) - 8, sizeof(type) + 8, sizeof room, SIZE_MAX};   \
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {                                               \
            memset(&room, 0x5a, sizeof room);                                                                     \
            STATUS(DORMOUSE_ARGUMENT, type##_init(&room.options, wrong[i], &error));                              \
            for (size_t k = 0; k < sizeof room; k++) CHECK(room.bytes[k] == 0x5a);                                \
        }                                                                                                         \
        OK(type##_init(&room.options, sizeof(type), &error));                                                     \
        CHECK(room.options.size == sizeof(type) && room.bytes[sizeof(type)] == 0x5a);                             \
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {                                               \
            const type *options = &room.options;                                                                  \
            room.options.size = wrong[i];                                                                         \
            (made) = NULL;                                                                                        \
            STATUS(DORMOUSE_ARGUMENT, use);                                                                       \
            CHECK((made) == NULL);                                                                                \
        }                                                                                                         \
    } while (0)

static void structs_of_another_size_are_refused(void) {
    dormouse_runtime *other;
    dormouse_function *function;
    dormouse_reply *reply;
    dormouse_event *made;
    dormouse_response *response;
    void *nothing;
    SIZES(dormouse_runtime_options, dormouse_runtime_new(options, &other, &error), other);
    SIZES(dormouse_runtime_options, dormouse_runtime_open("/", 1, options, &other, &error), other);
    SIZES(dormouse_deploy_options, dormouse_runtime_deploy(runtime, "a", 1, echo_wasm, sizeof echo_wasm, options, &function, &error), function);
    SIZES(dormouse_invoke_options, dormouse_function_invoke(echo, NULL, 0, options, &reply, &error), reply);
    SIZES(dormouse_event_options, dormouse_runtime_event(runtime, options, &made, &error), made);
    SIZES(dormouse_request_options, dormouse_runtime_request(runtime, options, &response, &error), response);
    SIZES(dormouse_trigger_options, dormouse_runtime_bind(runtime, "a", 1, options, &error), nothing);
    STATUS(DORMOUSE_NOT_FOUND, dormouse_runtime_find(runtime, "a", 1, &function, &error));
    STATUS(DORMOUSE_NOT_FOUND, dormouse_runtime_unbind(runtime, "a", 1, &error));
}

// All limits as high, and as low, as their types allow. The library refuses an invalid limit with a
// status that says so. Nothing panics, and nothing allocates an absurd size.
static uint64_t leaps(void *user_data) {
    static const uint64_t times[] = {0, UINT64_MAX, 1, UINT64_MAX - 1, 1ull << 63};
    return times[(*(unsigned *)user_data)++ % 5];
}

static void bound(dormouse_runtime *extreme, const char *id, dormouse_trigger_kind kind, const char *on, uint64_t most) {
    dormouse_trigger_options trigger;
    OK(dormouse_trigger_options_init(&trigger, sizeof trigger, &error));
    trigger.kind = kind;
    trigger.on = dormouse_string_of(on);
    trigger.target = dormouse_string_of("stillborn");
    trigger.retry_attempts = trigger.missed_max = (uint32_t)most;
    trigger.retry_first_ns = trigger.retry_longest_ns = trigger.retry_age_ns = most;
    trigger.missed = DORMOUSE_MISSED_ALL;
    trigger.overlapping = true;
    for (trigger.retry = DORMOUSE_RETRY_DEFAULT; trigger.retry <= DORMOUSE_RETRY_FIXED; trigger.retry++) {
        char name[32];
        snprintf(name, sizeof name, "%s-%d-%d", id, (int)trigger.retry, (int)(most != 0));
        OK(dormouse_runtime_bind(extreme, DORMOUSE_STR(name), &trigger, &error));
    }
}

static void extremes_neither_panic_nor_overflow(void) {
    for (int lowest = 0; lowest < 2; lowest++) {
        uint64_t most = lowest ? 0 : UINT64_MAX;
        unsigned readings = 0;
        dormouse_runtime_options options;
        OK(dormouse_runtime_options_init(&options, sizeof options, &error));
        options.functions = options.resident_memory = options.idle_ns = options.seed = options.triggers = most;
        options.deliveries = options.delivery_bytes = options.event_bytes = options.dead_letters = options.dead_letter_bytes = most;
        options.hops = (uint32_t)most;
        options.instances = 8;
        options.clock = leaps;
        options.clock_user_data = &readings;
        dormouse_runtime *extreme;
        OK(dormouse_runtime_new(&options, &extreme, &error));
        dormouse_function *function = NULL;
        if (lowest) {
            STATUS(DORMOUSE_BUSY, dormouse_runtime_deploy(extreme, "a", 1, echo_wasm, sizeof echo_wasm, NULL, &function, &error));
            size_t count = 7;
            STATUS(DORMOUSE_EVENT_TOO_LARGE, dormouse_runtime_publish(extreme, event, &count, &error));
            CHECK(count == 7);
            dormouse_runtime_free(extreme);
            continue;
        }
        // Not all at once: an instance may take what a limit allows.
        dormouse_deploy_options deploy;
        OK(dormouse_deploy_options_init(&deploy, sizeof deploy, &error));
        deploy.instances_max = deploy.max_wait_ns = UINT64_MAX;
        deploy.limits.fuel = deploy.limits.deadline_ns = deploy.limits.input_bytes = deploy.limits.output_bytes = deploy.limits.log_bytes = UINT64_MAX;
        deploy.limits.memory_bytes = deploy.limits.table_elements = deploy.limits.module_bytes = UINT64_MAX;
        deploy.limits.functions = deploy.limits.imports = deploy.limits.exports = deploy.limits.globals = UINT32_MAX;
        deploy.limits.types = deploy.limits.memories = deploy.limits.data_segments = deploy.limits.element_segments = UINT32_MAX;
        deploy.limits.body_bytes = deploy.limits.locals = UINT32_MAX;
        DEPLOY(extreme, "echo", echo_wasm, &deploy, &function);
        dormouse_reply *reply;
        dormouse_invoke_options invoke;
        OK(dormouse_invoke_options_init(&invoke, sizeof invoke, &error));
        OK(dormouse_function_invoke(function, (const uint8_t *)"x", 1, &invoke, &reply, &error));
        dormouse_reply_free(reply);
        invoke.fuel = 0;
        STATUS(DORMOUSE_OUT_OF_FUEL, dormouse_function_invoke(function, (const uint8_t *)"x", 1, &invoke, &reply, &error));
        // As many as the runtime has room for. An error says that it has no more room.
        size_t idle;
        STATUS(DORMOUSE_BUSY, dormouse_function_prewarm(function, SIZE_MAX, &idle, &error));
        OK(dormouse_function_set_concurrency(function, SIZE_MAX, &error));
        OK(dormouse_function_trim(function, UINT64_MAX, &idle, &error));
        OK(dormouse_runtime_trim(extreme, 0, &idle, &error));
        dormouse_function_free(function);

        int64_t times[] = {0, INT64_MIN, INT64_MAX, -1, 1};
        DEPLOY(extreme, "stillborn", plain_wasm, NULL, NULL);
        for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
            uint64_t ns;
            dormouse_status status = dormouse_runtime_tick(extreme, times[i], NULL, NULL);
            CHECK(status == DORMOUSE_OK || status == DORMOUSE_ARGUMENT);
            if (i == 0) {
                bound(extreme, "typed", DORMOUSE_TRIGGER_TYPE, "a", UINT64_MAX);
                bound(extreme, "typed", DORMOUSE_TRIGGER_TYPE, "a", 0);
                bound(extreme, "hourly", DORMOUSE_TRIGGER_SCHEDULE, "rate(1000 days)", UINT64_MAX);
            }
            OK(dormouse_runtime_publish(extreme, event, NULL, &error));
            OK(dormouse_runtime_run_pending(extreme, 100, NULL, &error));
            OK(dormouse_runtime_next_deadline(extreme, &ns, &error));
        }
        dormouse_runtime_free(extreme);
    }
    dormouse_deploy_options deploy;
    dormouse_function *function;
    OK(dormouse_deploy_options_init(&deploy, sizeof deploy, &error));
    memset(&deploy.limits, 0, sizeof deploy.limits);
    STATUS(DORMOUSE_INVALID_OPTION, dormouse_runtime_deploy(runtime, "a", 1, echo_wasm, sizeof echo_wasm, &deploy, &function, &error));
    deploy.limits.stack_bytes = 4096;
    STATUS(DORMOUSE_TOO_LARGE, dormouse_runtime_deploy(runtime, "a", 1, echo_wasm, sizeof echo_wasm, &deploy, &function, &error));
}

static int freed;
static void count_freed(void *user_data) {
    (void)user_data;
    freed++;
}

static uint64_t noon(void *user_data) { return *(uint64_t *)user_data; }

static void draws(void *user_data, uint8_t *seed_out) {
    memset(seed_out, 7, 32);
    ++*(int *)user_data;
}

// The guest's output: its arguments and variables, one after the other with NULs, then time and
// random bytes.
static void check_told(dormouse_function *tell, const dormouse_invoke_options *how, const char *strings, size_t len, uint64_t time, uint8_t random[16]) {
    dormouse_reply *reply;
    OK(dormouse_function_invoke(tell, NULL, 0, how, &reply, &error));
    size_t told_len;
    const uint8_t *told = dormouse_reply_output(reply, &told_len);
    CHECK(told_len == len + 24 && memcmp(told, strings, len) == 0);
    uint64_t read = 0;
    for (int i = 7; i >= 0; i--) read = read << 8 | told[len + (size_t)i];
    CHECK(read == time);
    memcpy(random, told + len + 8, 16);
    dormouse_reply_free(reply);
}
#define TOLD(tell, how, strings, time, random) check_told(tell, how, strings, sizeof strings - 1, time, random)

static void a_program_gets_arguments_environment_time_and_seeds(void) {
    const uint64_t epoch = 946684800ull * 1000000000 + 1000; // 2000-01-01, and its first microsecond.
    uint8_t first[16], again[16], other[16];
    dormouse_deploy_options options;
    dormouse_function *tell;
    OK(dormouse_deploy_options_init(&options, sizeof options, &error));
    DEPLOY(runtime, "tell", tell_wasm, &options, &tell);
    dormouse_deploy_report report;
    OK(dormouse_function_deploy_report(tell, &report, &error));
    CHECK(report.contract == DORMOUSE_CONTRACT_COMMAND && report.takes_bytes);
    TOLD(tell, NULL, "guest\0", epoch, first);
    TOLD(tell, NULL, "guest\0", epoch, again);
    CHECK(memcmp(first, again, 16) == 0); // Repeatable, unless the host grants seeds.
    uint8_t seed[32] = {7, 7, 7};
    dormouse_invoke_options how;
    OK(dormouse_invoke_options_init(&how, sizeof how, &error));
    how.seed = seed;
    TOLD(tell, &how, "guest\0", epoch, other);
    CHECK(memcmp(first, other, 16) != 0);
    TOLD(tell, NULL, "guest\0", epoch, again);
    CHECK(memcmp(first, again, 16) == 0);
    dormouse_function_free(tell);

    dormouse_string args[] = {dormouse_string_of("tell"), dormouse_string_of(""), dormouse_string_of("-v")};
    dormouse_variable env[] = {{dormouse_string_of("MODE"), dormouse_string_of("fast")},
                               {dormouse_string_of("EMPTY"), dormouse_string_of("")},
                               {dormouse_string_of("MODE"), dormouse_string_of("slow")}};
    uint64_t now = 1234567890123456789u;
    int drawn = 0;
    options.args = args;
    options.args_len = 3;
    options.env = env;
    options.env_len = 3;
    options.time = noon;
    options.time_user_data = &now;
    options.seeds = draws;
    options.seeds_user_data = &drawn;
    options.time_user_data_free = options.seeds_user_data_free = count_freed;
    freed = 0;
    STATUS(DORMOUSE_INVALID_NAME, dormouse_runtime_deploy(runtime, "a b", 3, tell_wasm, sizeof tell_wasm, &options, &tell, &error));
    CHECK(freed == 0);
    DEPLOY(runtime, "tell", tell_wasm, &options, &tell);
    args[0].chars = "gone"; // Copied.
    TOLD(tell, NULL, "tell\0\0-v\0EMPTY=\0MODE=slow\0", now, first);
    CHECK(drawn == 1);
    now += 1;
    memset(seed, 7, 32);
    TOLD(tell, &how, "tell\0\0-v\0EMPTY=\0MODE=slow\0", now, again);
    CHECK(drawn == 1 && memcmp(first, again, 16) == 0); // The invocation's own seed comes first.
    OK(dormouse_runtime_undeploy(runtime, DORMOUSE_STR("tell"), &error));
    CHECK(freed == 2);
    dormouse_function_free(tell);

    OK(dormouse_deploy_options_init(&options, sizeof options, &error));
    options.args = args;
    DEPLOY(runtime, "tell", tell_wasm, &options, &tell);
    TOLD(tell, NULL, "", epoch, first); // No arguments at all.
    dormouse_function_free(tell);
    env[0].name = dormouse_string_of("A=B");
    options.env = env;
    options.env_len = 1;
    STATUS(DORMOUSE_INVALID_OPTION, dormouse_runtime_deploy(runtime, "a", 1, tell_wasm, sizeof tell_wasm, &options, &tell, &error));
    options.env_len = 0;
    args[0].chars = "a\0b";
    args[0].len = 3;
    options.args_len = 1;
    STATUS(DORMOUSE_INVALID_OPTION, dormouse_runtime_deploy(runtime, "a", 1, tell_wasm, sizeof tell_wasm, &options, &tell, &error));
}

static void a_contract_can_be_named(void) {
    dormouse_deploy_options options;
    OK(dormouse_deploy_options_init(&options, sizeof options, &error));
    dormouse_function *function;
    options.contract = DORMOUSE_CONTRACT_COMMAND;
    STATUS(DORMOUSE_ENTRY, dormouse_runtime_deploy(runtime, "a", 1, echo_wasm, sizeof echo_wasm, &options, &function, &error));
    options.contract = DORMOUSE_CONTRACT_BUFFER;
    STATUS(DORMOUSE_ENTRY, dormouse_runtime_deploy(runtime, "a", 1, tell_wasm, sizeof tell_wasm, &options, &function, &error));
    options.contract = 99;
    STATUS(DORMOUSE_ARGUMENT, dormouse_runtime_deploy(runtime, "a", 1, echo_wasm, sizeof echo_wasm, &options, &function, &error));
    options.contract = DORMOUSE_CONTRACT_PLAIN;
    DEPLOY(runtime, "a", echo_wasm, &options, &function);
    dormouse_deploy_report report;
    OK(dormouse_function_deploy_report(function, &report, &error));
    CHECK(report.contract == DORMOUSE_CONTRACT_PLAIN && !report.takes_bytes);
    dormouse_reply *reply;
    STATUS(DORMOUSE_NOT_INVOCABLE, dormouse_function_invoke(function, NULL, 0, NULL, &reply, &error));
    dormouse_function_free(function);
    OK(dormouse_runtime_undeploy(runtime, "a", 1, &error));
}

static void a_function_can_be_switched_off_and_on(void) {
    dormouse_reply *reply;
    OK(dormouse_function_set_concurrency(echo, 0, &error));
    STATUS(DORMOUSE_BUSY, dormouse_function_invoke(echo, NULL, 0, NULL, &reply, &error));
    OK(dormouse_function_set_concurrency(echo, 2, &error));
    OK(dormouse_function_invoke(echo, NULL, 0, NULL, &reply, &error));
    dormouse_reply_free(reply);
}

static void no_string_is_no_text(void) {
    CHECK(dormouse_string_of(NULL).chars == NULL && dormouse_string_of(NULL).len == 0);
    const char *none = NULL;
    dormouse_function *found;
    STATUS(DORMOUSE_NOT_FOUND, dormouse_runtime_find(runtime, DORMOUSE_STR(none), &found, &error));
}

int main(void) {
    OK(dormouse_runtime_new(NULL, &runtime, &error));
    DEPLOY(runtime, "echo", echo_wasm, NULL, &echo);
    OK(dormouse_event_from_json(DORMOUSE_STR("{\"specversion\":\"1.0\",\"type\":\"a\",\"id\":\"1\",\"source\":\"/s\"}"), &event, &error));
    structs_of_another_size_are_refused();
    extremes_neither_panic_nor_overflow();
    a_program_gets_arguments_environment_time_and_seeds();
    a_contract_can_be_named();
    a_function_can_be_switched_off_and_on();
    no_string_is_no_text();
    dormouse_event_free(event);
    dormouse_function_free(echo);
    dormouse_runtime_free(runtime);
    return 0;
}
