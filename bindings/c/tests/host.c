// Host functions: what they are given and may do, how they fail, and that they may free the handles
// of their own call.
#include "check.h"

static uint32_t i32[] = {DORMOUSE_I32};
static int freed;

static void count_freed(void *user_data) {
    (void)user_data;
    freed++;
}

static dormouse_host_function visitor(dormouse_host_callback callback, void *user_data) {
    dormouse_host_function function = {{"env", 3}, {"visit", 5}, i32, 1, i32, 1, callback, user_data, count_freed};
    return function;
}

static dormouse_function *deploy(dormouse_runtime *runtime, const char *name, dormouse_host_callback callback, void *user_data) {
    dormouse_host_function host = visitor(callback, user_data);
    dormouse_deploy_options options;
    OK(dormouse_deploy_options_init(&options, sizeof options, &error));
    options.host_functions = &host;
    options.host_functions_len = 1;
    dormouse_function *function;
    DEPLOY(runtime, name, visit_wasm, &options, &function);
    return function;
}

static dormouse_status call(dormouse_function *function, int32_t number, dormouse_reply **reply_out, dormouse_error **error_out) {
    dormouse_value argument = dormouse_i32(number);
    return dormouse_function_call(function, DORMOUSE_STR("run"), &argument, 1, NULL, reply_out, error_out);
}

static int looks_around(void *user_data, dormouse_context *context, const dormouse_value *args, dormouse_value *results) {
    CHECK(*(int *)user_data == 17 && args[0].type == DORMOUSE_I32 && results[0].type == DORMOUSE_I32 && results[0].of.i32 == 0);
    uint8_t text[11];
    OK(dormouse_context_read(context, 0, text, 11, &error));
    CHECK(memcmp(text, "hello, host", 11) == 0);
    CHECK(dormouse_context_memory_size(context) == 65536);
    const size_t lengths[] = {11, 65536, UINT32_MAX, (size_t)1 << 40, SIZE_MAX / 2, SIZE_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        STATUS(DORMOUSE_OUT_OF_BOUNDS, dormouse_context_read(context, 65530, text, lengths[i], &error));
    CHECK(memcmp(text, "hello, host", 11) == 0);
    STATUS(DORMOUSE_ARGUMENT, dormouse_context_write(context, 0, text, SIZE_MAX, &error));
    STATUS(DORMOUSE_OUT_OF_BOUNDS, dormouse_context_write(context, 65530, text, 11, &error));
    OK(dormouse_context_write(context, 100, text, 5, &error));
    OK(dormouse_context_log(context, DORMOUSE_STR("seen"), &error));
    OK(dormouse_context_charge(context, 1000, &error));
    char name[65];
    OK(dormouse_context_function(context, name, sizeof name, &error));
    CHECK(strcmp(name, "around") == 0);
    STATUS(DORMOUSE_NO_ROOM, dormouse_context_function(context, name, 3, &error));
    results[0].of.i32 = args[0].of.i32 + 1;
    return 0;
}

static void a_host_function_sees_its_caller(dormouse_runtime *runtime) {
    int seventeen = 17;
    dormouse_function *function = deploy(runtime, "around", looks_around, &seventeen);
    dormouse_reply *reply;
    OK(call(function, 41, &reply, &error));
    CHECK(dormouse_reply_values(reply, NULL)[0].of.i32 == 42);
    CHECK(strcmp(dormouse_reply_log(reply, NULL), "seen\n") == 0);
    CHECK(dormouse_reply_report(reply)->host_calls == 1 && dormouse_reply_report(reply)->fuel > 1000);
    dormouse_reply_free(reply);
    dormouse_function_free(function);
}

static int fails(void *user_data, dormouse_context *context, const dormouse_value *args, dormouse_value *results) {
    (void)user_data;
    switch (args[0].of.i32) {
    case 1:
        OK(dormouse_context_fail(context, DORMOUSE_STR("no \"key\"\n"), &error));
        return -1;
    case 2:
        return 5;
    case 3:
        results[0] = dormouse_f64(1);
        return 0;
    case 4:
        results[0].type = 99;
        return 0;
    default:
        STATUS(DORMOUSE_OUT_OF_FUEL, dormouse_context_charge(context, UINT64_MAX, &error));
        return 0;
    }
}

static void a_failing_host_function_ends_the_invocation(dormouse_runtime *runtime) {
    dormouse_function *function = deploy(runtime, "fails", fails, NULL);
    const char *words[] = {"no \"key\"\\n", "it returned 5", "result 0 has the type f64", "99 is not a"};
    dormouse_reply *reply = NULL;
    for (int i = 0; i < 4; i++) {
        dormouse_error *why = NULL;
        CHECK(call(function, i + 1, &reply, &why) == DORMOUSE_HOST_FUNCTION);
        CHECK(strstr(dormouse_error_message(why, NULL), words[i]) != NULL);
        CHECK(strstr(dormouse_error_message(why, NULL), "env.visit") != NULL && dormouse_error_report(why)->host_calls == 1);
        dormouse_error_free(why);
    }
    STATUS(DORMOUSE_OUT_OF_FUEL, call(function, 5, &reply, &error));
    CHECK(reply == NULL);
    dormouse_function_free(function);
}

static int swaps(void *user_data, dormouse_context *context, const dormouse_value *args, dormouse_value *results) {
    (void)user_data, (void)context;
    for (int i = 0; i < 4; i++) results[i].of = args[3 - i].of;
    return 0;
}

static void all_types_pass(dormouse_runtime *runtime) {
    uint32_t params[] = {DORMOUSE_I32, DORMOUSE_I64, DORMOUSE_F32, DORMOUSE_F64};
    uint32_t results[] = {DORMOUSE_F64, DORMOUSE_F32, DORMOUSE_I64, DORMOUSE_I32};
    dormouse_host_function host = {{"env", 3}, {"swap", 4}, params, 4, results, 4, swaps, NULL, NULL};
    dormouse_deploy_options options;
    OK(dormouse_deploy_options_init(&options, sizeof options, &error));
    options.host_functions = &host;
    options.host_functions_len = 1;
    dormouse_function *function;
    DEPLOY(runtime, "swap", swap_wasm, &options, &function);
    dormouse_value args[] = {dormouse_i32(-7), dormouse_i64(1LL << 40), dormouse_f32(1.5f), dormouse_f64(0.1)};
    dormouse_reply *reply;
    OK(dormouse_function_call(function, DORMOUSE_STR("swap"), args, 4, NULL, &reply, &error));
    const dormouse_value *values = dormouse_reply_values(reply, NULL);
    CHECK(values[0].of.f64 == 0.1 && values[1].of.f32 == 1.5f && values[2].of.i64 == 1LL << 40 && values[3].of.i32 == -7);
    dormouse_reply_free(reply);
    dormouse_function_free(function);
    params[2] = 7;
    STATUS(DORMOUSE_ARGUMENT, dormouse_runtime_deploy(runtime, "s", 1, swap_wasm, sizeof swap_wasm, &options, &function, &error));
    params[2] = DORMOUSE_I32;
    STATUS(DORMOUSE_UNKNOWN_IMPORTS, dormouse_runtime_deploy(runtime, "s", 1, swap_wasm, sizeof swap_wasm, &options, &function, &error));
}

// Frees every handle through which the call was reached. The call goes on.
struct doomed {
    dormouse_runtime *runtime;
    dormouse_function *function;
    int freed_before;
};

static int frees_all(void *user_data, dormouse_context *context, const dormouse_value *args, dormouse_value *results) {
    struct doomed *doomed = user_data;
    (void)args;
    OK(dormouse_runtime_undeploy(doomed->runtime, DORMOUSE_STR("doomed"), &error));
    dormouse_function_free(doomed->function);
    dormouse_runtime_free(doomed->runtime);
    doomed->freed_before = freed;
    uint8_t text[5];
    OK(dormouse_context_read(context, 0, text, 5, &error));
    dormouse_runtime *runtime;
    OK(dormouse_context_runtime(context, &runtime, &error));
    dormouse_function *other;
    OK(dormouse_runtime_find(runtime, DORMOUSE_STR("other"), &other, &error));
    dormouse_function_free(other);
    dormouse_runtime_free(runtime);
    results[0].of.i32 = 1;
    return 0;
}

static void handles_may_be_freed_in_their_own_callback(void) {
    struct doomed doomed = {NULL, NULL, -1};
    OK(dormouse_runtime_new(NULL, &doomed.runtime, &error));
    DEPLOY(doomed.runtime, "other", echo_wasm, NULL, NULL);
    freed = 0;
    doomed.function = deploy(doomed.runtime, "doomed", frees_all, &doomed);
    dormouse_reply *reply;
    OK(call(doomed.function, 0, &reply, &error));
    CHECK(dormouse_reply_values(reply, NULL)[0].of.i32 == 1);
    CHECK(doomed.freed_before == 0 && freed == 1); // Not during the call, and once it was over.
    dormouse_reply_free(reply);
}

static int frees_all_in_a_session(void *user_data, dormouse_guest *guest) {
    struct doomed *doomed = user_data;
    dormouse_function_free(doomed->function);
    dormouse_runtime_free(doomed->runtime);
    doomed->freed_before = freed;
    uint8_t text[5];
    OK(dormouse_guest_read(guest, 0, text, 5, &error));
    CHECK(memcmp(text, "hello", 5) == 0);
    return 0;
}

static void handles_may_be_freed_in_their_own_session(void) {
    struct doomed doomed = {NULL, NULL, -1};
    OK(dormouse_runtime_new(NULL, &doomed.runtime, &error));
    doomed.function = deploy(doomed.runtime, "doomed", fails, NULL);
    freed = 0;
    dormouse_reply *reply;
    OK(dormouse_function_session(doomed.function, frees_all_in_a_session, &doomed, NULL, &reply, &error));
    CHECK(doomed.freed_before == 0 && freed == 1);
    dormouse_reply_free(reply);
}

static int frees_its_runtime(void *user_data, dormouse_context *context, const dormouse_value *args, dormouse_value *results) {
    struct doomed *doomed = user_data;
    (void)args, (void)results;
    OK(dormouse_runtime_unbind(doomed->runtime, "t", 1, &error));
    OK(dormouse_runtime_undeploy(doomed->runtime, "knock", 5, &error));
    dormouse_runtime_free(doomed->runtime);
    doomed->freed_before = freed;
    dormouse_delivery delivery;
    OK(dormouse_context_delivery(context, &delivery, &error));
    CHECK(strcmp(delivery.trigger, "t") == 0 && delivery.attempt == 1);
    return 0;
}

static void a_runtime_may_be_freed_by_what_it_delivers(void) {
    enum { DISPATCH, RUN_PENDING, TICK, REQUEST, WAYS };
    for (int way = 0; way < WAYS; way++) {
        struct doomed doomed = {NULL, NULL, -1};
        OK(dormouse_runtime_new(NULL, &doomed.runtime, &error));
        dormouse_host_function host = visitor(frees_its_runtime, &doomed);
        dormouse_deploy_options options;
        OK(dormouse_deploy_options_init(&options, sizeof options, &error));
        options.host_functions = &host;
        options.host_functions_len = 1;
        DEPLOY(doomed.runtime, "knock", knock_wasm, &options, NULL);
        dormouse_trigger_options trigger;
        OK(dormouse_trigger_options_init(&trigger, sizeof trigger, &error));
        trigger.kind = way == REQUEST ? DORMOUSE_TRIGGER_ROUTE : DORMOUSE_TRIGGER_TYPE;
        trigger.method = dormouse_string_of("GET");
        trigger.on = dormouse_string_of("/");
        trigger.target = dormouse_string_of("knock");
        OK(dormouse_runtime_bind(doomed.runtime, "t", 1, &trigger, &error));
        dormouse_event *event;
        OK(dormouse_event_from_json(DORMOUSE_STR("{\"specversion\":\"1.0\",\"type\":\"/\",\"id\":\"1\",\"source\":\"/s\"}"), &event, &error));
        freed = 0;
        size_t ran = 0;
        if (way == RUN_PENDING || way == TICK) OK(dormouse_runtime_publish(doomed.runtime, event, NULL, &error));
        if (way == RUN_PENDING) {
            OK(dormouse_runtime_run_pending(doomed.runtime, SIZE_MAX, &ran, &error));
            CHECK(ran == 1);
        } else if (way == TICK) {
            dormouse_tick tick;
            OK(dormouse_runtime_tick(doomed.runtime, 0, &tick, &error));
            CHECK(tick.ran == 1);
        } else if (way == DISPATCH) {
            dormouse_outcomes *outcomes;
            dormouse_outcome outcome;
            OK(dormouse_runtime_dispatch(doomed.runtime, event, &outcomes, &error));
            OK(dormouse_outcomes_at(outcomes, 0, &outcome, &error));
            CHECK(outcome.kind == DORMOUSE_OUTCOME_SUCCEEDED);
            dormouse_outcomes_free(outcomes);
        } else {
            dormouse_request_options request;
            dormouse_response *response;
            OK(dormouse_request_options_init(&request, sizeof request, &error));
            request.method = dormouse_string_of("GET");
            request.target = dormouse_string_of("/");
            OK(dormouse_runtime_request(doomed.runtime, &request, &response, &error));
            CHECK(dormouse_response_status(response) == 204);
            dormouse_response_free(response);
        }
        CHECK(doomed.freed_before == 0 && freed == 1);
        dormouse_event_free(event);
    }
}

static void user_data_is_taken_on_success_alone(void) {
    dormouse_runtime *runtime;
    OK(dormouse_runtime_new(NULL, &runtime, &error));
    freed = 0;
    dormouse_host_function host[2] = {visitor(fails, NULL), visitor(fails, NULL)};
    host[1].callback = NULL;
    dormouse_deploy_options options;
    OK(dormouse_deploy_options_init(&options, sizeof options, &error));
    options.host_functions = host;
    options.host_functions_len = 2;
    dormouse_function *function;
    STATUS(DORMOUSE_NULL, dormouse_runtime_deploy(runtime, "f", 1, visit_wasm, sizeof visit_wasm, &options, &function, &error));
    options.host_functions_len = 1;
    STATUS(DORMOUSE_INVALID_MODULE, dormouse_runtime_deploy(runtime, "f", 1, visit_wasm, 9, &options, &function, &error));
    CHECK(freed == 0);
    DEPLOY(runtime, "f", visit_wasm, &options, NULL);
    CHECK(freed == 0);
    DEPLOY(runtime, "f", echo_wasm, NULL, NULL);
    CHECK(freed == 1); // With the version that was replaced.
    DEPLOY(runtime, "f", visit_wasm, &options, NULL);
    dormouse_runtime_free(runtime);
    CHECK(freed == 2); // With the runtime.
}

static int nests(void *user_data, dormouse_context *context, const dormouse_value *args, dormouse_value *results) {
    (void)user_data;
    dormouse_runtime *runtime;
    OK(dormouse_context_runtime(context, &runtime, &error));
    dormouse_function *again;
    OK(dormouse_runtime_find(runtime, DORMOUSE_STR("nests"), &again, &error));
    dormouse_runtime_free(runtime);
    dormouse_reply *reply = NULL;
    if (args[0].of.i32 == 4) {
        STATUS(DORMOUSE_NESTED_TOO_DEEP, call(again, 5, &reply, &error));
        results[0].of.i32 = 0;
    } else {
        OK(call(again, args[0].of.i32 + 1, &reply, &error));
        results[0].of.i32 = dormouse_reply_values(reply, NULL)[0].of.i32 + 1;
    }
    dormouse_reply_free(reply);
    dormouse_function_free(again);
    return 0;
}

static void invocations_nest_four_levels_deep(dormouse_runtime *runtime) {
    dormouse_host_function host = visitor(nests, NULL);
    dormouse_deploy_options options;
    OK(dormouse_deploy_options_init(&options, sizeof options, &error));
    options.host_functions = &host;
    options.host_functions_len = 1;
    options.instances_max = 5;
    dormouse_function *function;
    DEPLOY(runtime, "nests", visit_wasm, &options, &function);
    dormouse_reply *reply;
    OK(call(function, 0, &reply, &error));
    CHECK(dormouse_reply_values(reply, NULL)[0].of.i32 == 4);
    dormouse_reply_free(reply);
    dormouse_function_free(function);
}

// A session's guest that a host function has got. It must not use the guest while the guest calls
// it.
static dormouse_guest *under_way;

static int reaches_in(void *user_data, dormouse_context *context, const dormouse_value *args, dormouse_value *results) {
    (void)user_data, (void)context, (void)args, (void)results;
    uint8_t byte;
    STATUS(DORMOUSE_ARGUMENT, dormouse_guest_read(under_way, 0, &byte, 1, &error));
    return 0;
}

static int calls_host(void *user_data, dormouse_guest *guest) {
    (void)user_data;
    under_way = guest;
    dormouse_value argument = dormouse_i32(0), result;
    OK(dormouse_guest_call(guest, DORMOUSE_STR("run"), &argument, 1, &result, 1, NULL, &error));
    uint8_t byte;
    OK(dormouse_guest_read(guest, 0, &byte, 1, &error));
    return byte == 'h' ? 0 : 1;
}

static void a_guest_is_not_used_twice_at_once(dormouse_runtime *runtime) {
    dormouse_function *function = deploy(runtime, "reach", reaches_in, NULL);
    dormouse_reply *reply;
    OK(dormouse_function_session(function, calls_host, NULL, NULL, &reply, &error));
    dormouse_reply_free(reply);
    dormouse_function_free(function);
}

static uint64_t ticks(void *user_data) { return *(uint64_t *)user_data; }

static int takes_time(void *user_data, dormouse_context *context, const dormouse_value *args, dormouse_value *results) {
    (void)context, (void)args, (void)results;
    *(uint64_t *)user_data += 5000000;
    return 0;
}

static void time_is_the_clock_of_the_host(void) {
    uint64_t now = 1000;
    dormouse_runtime_options options;
    OK(dormouse_runtime_options_init(&options, sizeof options, &error));
    options.clock = ticks;
    options.clock_user_data = &now;
    options.clock_user_data_free = count_freed;
    freed = 0;
    dormouse_runtime *runtime;
    OK(dormouse_runtime_new(&options, &runtime, &error));
    dormouse_function *function = deploy(runtime, "slow", takes_time, &now);
    dormouse_reply *reply;
    OK(call(function, 0, &reply, &error));
    CHECK(dormouse_reply_report(reply)->duration_ns == 5000000);
    dormouse_reply_free(reply);
    dormouse_function_free(function);
    dormouse_runtime_free(runtime);
    CHECK(freed == 2); // The clock's, and the host function's.
    options.reset = 17;
    STATUS(DORMOUSE_ARGUMENT, dormouse_runtime_new(&options, &runtime, &error));
    CHECK(freed == 2);
}

int main(void) {
    dormouse_runtime *runtime;
    OK(dormouse_runtime_new(NULL, &runtime, &error));
    a_host_function_sees_its_caller(runtime);
    a_failing_host_function_ends_the_invocation(runtime);
    all_types_pass(runtime);
    invocations_nest_four_levels_deep(runtime);
    a_guest_is_not_used_twice_at_once(runtime);
    dormouse_runtime_free(runtime);
    handles_may_be_freed_in_their_own_callback();
    handles_may_be_freed_in_their_own_session();
    a_runtime_may_be_freed_by_what_it_delivers();
    user_data_is_taken_on_success_alone();
    time_is_the_clock_of_the_host();
    return 0;
}
