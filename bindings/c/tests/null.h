// The other half of the test that null.awk writes: valid arguments, and what is expected of each
// call.
//
// In a body, REFUSED is a call with NULL for a required pointer. It must return DORMOUSE_NULL and
// write nothing. ALLOWED is a call with NULL for an optional pointer. It may return any status
// except DORMOUSE_NULL and DORMOUSE_PANIC.
#include "check.h"

static dormouse_runtime *runtime, *runtime_made;
static dormouse_function *function, *functions[4], *function_made;
static dormouse_reply *reply, *reply_made;
static dormouse_cancel *cancel, *cancel_made;
static dormouse_store *store, *store_made;
static dormouse_error *failure, *error_made;
static dormouse_runtime_options runtime_options;
static dormouse_deploy_options deploy_options;
static dormouse_invoke_options invoke_options;
static dormouse_report report;
static dormouse_deploy_report deploy_report;
static dormouse_value values[4];
static char text[80];
static uint8_t bytes[80];
static size_t size;
static uint64_t number;
static dormouse_event *event, *event_made;
static dormouse_text *json, *text_made;
static dormouse_outcomes *outcomes, *outcomes_made;
static dormouse_response *response, *response_made;
static dormouse_event_options event_options, event_options_made;
static dormouse_trigger_options trigger_options, trigger_options_made;
static dormouse_request_options request_options, request_options_made;
static dormouse_names *names, *names_made;
static dormouse_pattern *pattern, *pattern_made;
static dormouse_workers *workers, *workers_made;
static dormouse_dead_letters *letters, *letters_made;
static dormouse_dead_letter letter;
static bool answer;
static dormouse_outcome outcome;
static dormouse_tick tick;
static dormouse_deliveries deliveries;
static dormouse_header header;
static dormouse_delivery delivery;
static int calls;

// The room where calls write plain data, filled with a mark before each call.
#define PLAIN(DO)                                                                                                           \
    DO(report) DO(deploy_report) DO(values) DO(text) DO(bytes) DO(size) DO(number) DO(letter) DO(answer) DO(outcome) DO(tick)   \
    DO(deliveries) DO(header) DO(delivery)
enum { MARK = 0x5a };

static inline int is_marked(const void *at, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (((const unsigned char *)at)[i] != MARK) return 0;
    return 1;
}

static void clear(void) {
    dormouse_runtime_free(runtime_made), runtime_made = NULL;
    dormouse_function_free(function_made), function_made = NULL;
    for (int i = 0; i < 4; i++) dormouse_function_free(functions[i]), functions[i] = NULL;
    dormouse_reply_free(reply_made), reply_made = NULL;
    dormouse_cancel_free(cancel_made), cancel_made = NULL;
    dormouse_store_free(store_made), store_made = NULL;
    dormouse_event_free(event_made), event_made = NULL;
    dormouse_text_free(text_made), text_made = NULL;
    dormouse_outcomes_free(outcomes_made), outcomes_made = NULL;
    dormouse_response_free(response_made), response_made = NULL;
    dormouse_names_free(names_made), names_made = NULL;
    dormouse_pattern_free(pattern_made), pattern_made = NULL;
    dormouse_workers_free(workers_made), workers_made = NULL;
    dormouse_dead_letters_free(letters_made), letters_made = NULL;
    dormouse_error_free(error_made), error_made = NULL;
#define DO_MARK(what) memset(&what, MARK, sizeof what);
    PLAIN(DO_MARK)
    calls++;
}

static inline void refused(const char *name, const char *where, dormouse_status status) {
    int made = runtime_made || function_made || functions[0] || reply_made || cancel_made || store_made || event_made || text_made || outcomes_made || response_made ||
               names_made || pattern_made || workers_made || letters_made;
#define DO_LOOK(what) made |= !is_marked(&what, sizeof what);
    PLAIN(DO_LOOK)
    if (status != DORMOUSE_NULL || made || (error_made && dormouse_error_status(error_made) != DORMOUSE_NULL)) {
        printf("%s with NULL for %s: status %d%s\n", name, where, (int)status, made ? ", and it wrote something" : "");
        exit(1);
    }
    clear();
}

static inline void allowed(const char *name, const char *where, dormouse_status status) {
    if (status == DORMOUSE_NULL || status == DORMOUSE_PANIC) {
        printf("%s with NULL for %s, which may be: status %d\n", name, where, (int)status);
        exit(1);
    }
    clear();
}
#define REFUSED(name, where, call) refused(#name, where, call)
#define ALLOWED(name, where, call) allowed(#name, where, call)

static int body(void *user_data, dormouse_guest *guest) {
    (void)user_data, (void)guest;
    return 0;
}

static void (*in_context_)(dormouse_context *);
static int visit(void *user_data, dormouse_context *context, const dormouse_value *args, dormouse_value *results) {
    (void)user_data, (void)args, (void)results;
    in_context_(context);
    return 0;
}

static void (*in_session_)(dormouse_guest *);
static int run(void *user_data, dormouse_guest *guest) {
    (void)user_data;
    in_session_(guest);
    return 0;
}

static int null_test(void (*everywhere)(void), void (*in_context)(dormouse_context *), void (*in_session)(dormouse_guest *)) {
    OK(dormouse_runtime_new(NULL, &runtime, &error));
    OK(dormouse_cancel_new(&cancel, &error));
    OK(dormouse_store_new(&store, &error));
    dormouse_function *current;
    DEPLOY(runtime, "echo", echo_wasm, NULL, &current);
    // A pinned handle keeps what the test undeploys.
    OK(dormouse_function_pin(current, &function, &error));
    dormouse_function_free(current);
    OK(dormouse_function_invoke(function, NULL, 0, NULL, &reply, &error));
    CHECK(dormouse_runtime_find(runtime, DORMOUSE_STR("nobody"), &current, &failure) == DORMOUSE_NOT_FOUND);
    OK(dormouse_event_options_init(&event_options, sizeof event_options, &error));
    event_options.type = dormouse_string_of("a");
    OK(dormouse_runtime_event(runtime, &event_options, &event, &error));
    OK(dormouse_trigger_options_init(&trigger_options, sizeof trigger_options, &error));
    trigger_options.on = trigger_options.target = dormouse_string_of("a");
    OK(dormouse_runtime_bind(runtime, DORMOUSE_STR("a"), &trigger_options, &error));
    OK(dormouse_request_options_init(&request_options, sizeof request_options, &error));
    request_options.method = request_options.target = dormouse_string_of("/");
    OK(dormouse_runtime_request(runtime, &request_options, &response, &error));
    OK(dormouse_runtime_dispatch(runtime, event, &outcomes, &error));
    OK(dormouse_runtime_ledger(runtime, &json, &error));
    OK(dormouse_runtime_triggers(runtime, &names, &error));
    OK(dormouse_pattern_new(DORMOUSE_STR("{\"a\": [1]}"), &pattern, &error));
    OK(dormouse_runtime_workers(runtime, 1, &workers, &error));
    OK(dormouse_runtime_dead_letters(runtime, &letters, &error));
    clear();
    everywhere();

    uint32_t i32 = DORMOUSE_I32;
    dormouse_host_function host = {{"env", 3}, {"visit", 5}, &i32, 1, &i32, 1, visit, NULL, NULL};
    OK(dormouse_deploy_options_init(&deploy_options, sizeof deploy_options, &error));
    deploy_options.host_functions = &host;
    deploy_options.host_functions_len = 1;
    dormouse_function *visitor;
    DEPLOY(runtime, "visitor", visit_wasm, &deploy_options, &visitor);
    in_context_ = in_context;
    dormouse_value argument = dormouse_i32(0);
    dormouse_reply *visited;
    OK(dormouse_function_call(visitor, DORMOUSE_STR("run"), &argument, 1, NULL, &visited, &error));
    in_session_ = in_session;
    dormouse_reply *session;
    OK(dormouse_function_session(visitor, run, NULL, NULL, &session, &error));

    // The options of a deployment.
    dormouse_host_function broken = host;
    deploy_options.host_functions = &broken;
#define BROKEN(member)                                                                                                      \
    broken = host, broken.member = NULL;                                                                                    \
    REFUSED(dormouse_runtime_deploy, "options->host_functions->" #member,                                                   \
            dormouse_runtime_deploy(runtime, "v", 1, visit_wasm, sizeof visit_wasm, &deploy_options, &function_made, &error_made))
    BROKEN(module.chars);
    BROKEN(name.chars);
    BROKEN(params);
    BROKEN(results);
    BROKEN(callback);
    deploy_options.host_functions = NULL;
    REFUSED(dormouse_runtime_deploy, "options->host_functions",
            dormouse_runtime_deploy(runtime, "v", 1, visit_wasm, sizeof visit_wasm, &deploy_options, &function_made, &error_made));

    deploy_options.host_functions_len = 0;
    deploy_options.args_len = 1;
    REFUSED(dormouse_runtime_deploy, "options->args",
            dormouse_runtime_deploy(runtime, "v", 1, echo_wasm, sizeof echo_wasm, &deploy_options, &function_made, &error_made));
    dormouse_string no_text = {NULL, 0};
    deploy_options.args = &no_text;
    REFUSED(dormouse_runtime_deploy, "options->args",
            dormouse_runtime_deploy(runtime, "v", 1, echo_wasm, sizeof echo_wasm, &deploy_options, &function_made, &error_made));
    deploy_options.args_len = 0;
    deploy_options.env_len = 1;
    REFUSED(dormouse_runtime_deploy, "options->env",
            dormouse_runtime_deploy(runtime, "v", 1, echo_wasm, sizeof echo_wasm, &deploy_options, &function_made, &error_made));
    dormouse_variable variable = {{"A", 1}, {NULL, 0}};
    deploy_options.env = &variable;
    REFUSED(dormouse_runtime_deploy, "options->env->value",
            dormouse_runtime_deploy(runtime, "v", 1, echo_wasm, sizeof echo_wasm, &deploy_options, &function_made, &error_made));

    // The options of events, triggers and requests.
    dormouse_event_options_init(&event_options, sizeof event_options, NULL);
    REFUSED(dormouse_runtime_event, "options->type", dormouse_runtime_event(runtime, &event_options, &event_made, &error_made));
    event_options.type = dormouse_string_of("a");
    event_options.data_len = 1;
    REFUSED(dormouse_runtime_event, "options->data", dormouse_runtime_event(runtime, &event_options, &event_made, &error_made));
    event_options.data_len = 0;
    event_options.extensions_len = 1;
    REFUSED(dormouse_runtime_event, "options->extensions", dormouse_runtime_event(runtime, &event_options, &event_made, &error_made));
    trigger_options.target.chars = NULL;
    REFUSED(dormouse_runtime_bind, "options->target", dormouse_runtime_bind(runtime, "b", 1, &trigger_options, &error_made));
    trigger_options.target.chars = "a";
    trigger_options.on.chars = NULL;
    REFUSED(dormouse_runtime_bind, "options->on", dormouse_runtime_bind(runtime, "b", 1, &trigger_options, &error_made));
    trigger_options.on.chars = "a";
    trigger_options.constant_len = 1;
    REFUSED(dormouse_runtime_bind, "options->constant", dormouse_runtime_bind(runtime, "b", 1, &trigger_options, &error_made));
    trigger_options.constant_len = 0;
    trigger_options.emits_len = 1;
    REFUSED(dormouse_runtime_bind, "options->emits", dormouse_runtime_bind(runtime, "b", 1, &trigger_options, &error_made));
    request_options.headers_len = 1;
    REFUSED(dormouse_runtime_request, "options->headers", dormouse_runtime_request(runtime, &request_options, &response_made, &error_made));

    dormouse_workers_free(workers);
    dormouse_dead_letters_free(letters);
    dormouse_pattern_free(pattern);
    dormouse_names_free(names);
    dormouse_event_free(event);
    dormouse_text_free(json);
    dormouse_outcomes_free(outcomes);
    dormouse_response_free(response);
    dormouse_reply_free(session);
    dormouse_reply_free(visited);
    dormouse_function_free(visitor);
    dormouse_error_free(failure);
    dormouse_reply_free(reply);
    dormouse_function_free(function);
    dormouse_cancel_free(cancel);
    dormouse_store_free(store);
    dormouse_runtime_free(runtime);
    printf("%d calls\n", calls);
    return calls > 100 ? 0 : 1;
}
