// Deploying, invoking, calling, sessions, and what goes wrong with each.
#include "check.h"

static dormouse_runtime *runtime;

static void bytes_go_in_and_come_out(void) {
    dormouse_function *echo;
    DEPLOY(runtime, "echo", echo_wasm, NULL, &echo);
    dormouse_reply *reply;
    OK(dormouse_function_invoke(echo, (const uint8_t *)"a\0b", 3, NULL, &reply, &error));
    size_t len;
    CHECK(memcmp(dormouse_reply_output(reply, &len), "a\0b", 3) == 0 && len == 3);
    CHECK(dormouse_reply_values(reply, &len) != NULL && len == 0);
    CHECK(strcmp(dormouse_reply_log(reply, &len), "") == 0 && len == 0);
    const dormouse_report *report = dormouse_reply_report(reply);
    CHECK(report->outcome == DORMOUSE_OK && !report->warm && report->fuel > 0 && report->input_bytes == 3 && report->output_bytes == 3);
    CHECK(report->memory_bytes == 65536 && report->host_calls == 0 && !report->log_cut);
    const char *text = dormouse_reply_report_text(reply, &len);
    CHECK(strncmp(text, "REPORT echo@", 12) == 0 && strlen(text) == len);
    CHECK(text == dormouse_reply_report_text(reply, NULL));
    uint64_t fuel = report->fuel;
    dormouse_reply_free(reply);

    OK(dormouse_function_invoke(echo, (const uint8_t *)"a\0b", 3, NULL, &reply, &error));
    CHECK(dormouse_reply_report(reply)->warm && dormouse_reply_report(reply)->fuel == fuel);
    dormouse_function_free(echo);
    CHECK(memcmp(dormouse_reply_output(reply, NULL), "a\0b", 3) == 0); // A reply outlives its function.
    dormouse_reply_free(reply);
}

static void output_goes_to_the_callers_buffer(void) {
    dormouse_function *twice;
    DEPLOY(runtime, "twice", twice_wasm, NULL, &twice);
    char buffer[8];
    size_t len = 77;
    dormouse_report report;
    OK(dormouse_function_invoke_into(twice, (const uint8_t *)"four", 4, NULL, (uint8_t *)buffer, 8, &len, &report, &error));
    CHECK(len == 8 && memcmp(buffer, "fourfour", 8) == 0 && report.output_bytes == 8);
    OK(dormouse_function_invoke_into(twice, NULL, 0, NULL, NULL, 0, &len, NULL, &error));
    CHECK(len == 0);

    memcpy(buffer, "four", 4); // In place.
    OK(dormouse_function_invoke_into(twice, (const uint8_t *)buffer, 4, NULL, (uint8_t *)buffer, 8, &len, NULL, &error));
    CHECK(len == 8 && memcmp(buffer, "fourfour", 8) == 0);

    len = 77;
    memset(buffer, 'x', 8);
    dormouse_error *why = NULL;
    CHECK(dormouse_function_invoke_into(twice, (const uint8_t *)"seven", 5, NULL, (uint8_t *)buffer, 8, &len, &report, &why) == DORMOUSE_NO_ROOM);
    CHECK(len == 77 && memcmp(buffer, "xxxxxxxx", 8) == 0 && report.output_bytes == 8);
    CHECK(dormouse_error_report(why)->output_bytes == 10);
    dormouse_error_free(why);

    // Larger than the room that a thread keeps.
    size_t large = 200000;
    uint8_t *in = calloc(1, large), *out = malloc(2 * large);
    in[large - 1] = 7;
    OK(dormouse_function_invoke_into(twice, in, large, NULL, out, 2 * large, &len, NULL, &error));
    CHECK(len == 2 * large && out[large - 1] == 7 && out[2 * large - 1] == 7);
    free(in), free(out);
    dormouse_function_free(twice);
}

static void exports_take_and_give_numbers(void) {
    dormouse_function *plain;
    DEPLOY(runtime, "plain", plain_wasm, NULL, &plain);
    dormouse_value args[] = {dormouse_i32(-1), dormouse_i64(INT64_MIN), dormouse_f32(0.5f), dormouse_f64(-2.25)};
    dormouse_reply *reply;
    OK(dormouse_function_call(plain, DORMOUSE_STR("swap"), args, 4, NULL, &reply, &error));
    size_t len;
    const dormouse_value *values = dormouse_reply_values(reply, &len);
    CHECK(len == 4 && values[0].type == DORMOUSE_F64 && values[0].of.f64 == -2.25);
    CHECK(values[1].type == DORMOUSE_F32 && values[1].of.f32 == 0.5f);
    CHECK(values[2].type == DORMOUSE_I64 && values[2].of.i64 == INT64_MIN && values[3].of.i32 == -1);
    CHECK(dormouse_reply_output(reply, &len) != NULL && len == 0);
    dormouse_reply_free(reply);

    STATUS(DORMOUSE_SIGNATURE, dormouse_function_call(plain, DORMOUSE_STR("add"), args, 2, NULL, &reply, &error));
    STATUS(DORMOUSE_NO_SUCH_EXPORT, dormouse_function_call(plain, DORMOUSE_STR("gone"), NULL, 0, NULL, &reply, &error));
    STATUS(DORMOUSE_UTF8, dormouse_function_call(plain, "\xff", 1, NULL, 0, NULL, &reply, &error));
    args[0].type = 9;
    STATUS(DORMOUSE_ARGUMENT, dormouse_function_call(plain, DORMOUSE_STR("add"), args, 2, NULL, &reply, &error));
    STATUS(DORMOUSE_ARGUMENT, dormouse_function_call(plain, DORMOUSE_STR("add"), args, SIZE_MAX, NULL, &reply, &error));
    STATUS(DORMOUSE_NOT_INVOCABLE, dormouse_function_invoke(plain, NULL, 0, NULL, &reply, &error));
    dormouse_function_free(plain);
}

static void runs_are_limited(void) {
    dormouse_deploy_options options;
    OK(dormouse_deploy_options_init(&options, sizeof options, &error));
    CHECK(options.limits.fuel == 1000000000 && options.limits.deadline_ns == 30000000000 && options.max_wait_ns == 1000000000);
    options.limits.fuel = 1000000;
    options.limits.input_bytes = 8;
    dormouse_function *plain, *echo;
    DEPLOY(runtime, "limited", plain_wasm, &options, &plain);
    DEPLOY(runtime, "limited-echo", echo_wasm, &options, &echo);

    dormouse_error *why = NULL;
    dormouse_reply *reply = NULL;
    CHECK(dormouse_function_call(plain, DORMOUSE_STR("spin"), NULL, 0, NULL, &reply, &why) == DORMOUSE_OUT_OF_FUEL);
    CHECK(reply == NULL && dormouse_error_trap(why) == DORMOUSE_TRAP_NONE);
    CHECK(dormouse_error_report(why)->fuel > 990000 && dormouse_error_report(why)->outcome == DORMOUSE_OUT_OF_FUEL);
    size_t len;
    CHECK(strstr(dormouse_error_report_text(why, &len), "outcome=out_of_fuel") != NULL && len > 0);
    CHECK(strstr(dormouse_error_message(why, &len), "1000000 units") != NULL && len > 0);
    dormouse_error_free(why), why = NULL;

    CHECK(dormouse_function_call(plain, DORMOUSE_STR("trap"), NULL, 0, NULL, &reply, &why) == DORMOUSE_TRAP);
    CHECK(dormouse_error_trap(why) == DORMOUSE_TRAP_UNREACHABLE);
    dormouse_error_free(why), why = NULL;
    CHECK(dormouse_function_call(plain, DORMOUSE_STR("recurse"), NULL, 0, NULL, &reply, &why) == DORMOUSE_TRAP);
    CHECK(dormouse_error_trap(why) == DORMOUSE_TRAP_STACK_OVERFLOW);
    dormouse_error_free(why), why = NULL;

    CHECK(dormouse_function_invoke(echo, (const uint8_t *)"123456789", 9, NULL, &reply, &why) == DORMOUSE_INPUT_TOO_LARGE);
    CHECK(dormouse_error_report(why) == NULL && dormouse_error_report_text(why, &len) == NULL);
    dormouse_error_free(why), why = NULL;

    dormouse_invoke_options less;
    OK(dormouse_invoke_options_init(&less, sizeof less, &error));
    less.fuel = 500;
    CHECK(dormouse_function_call(plain, DORMOUSE_STR("spin"), NULL, 0, &less, &reply, &why) == DORMOUSE_OUT_OF_FUEL);
    CHECK(dormouse_error_report(why)->fuel <= 500);
    dormouse_error_free(why);
    less.fuel = UINT64_MAX;
    less.deadline_ns = 0;
    STATUS(DORMOUSE_DEADLINE_EXCEEDED, dormouse_function_call(plain, DORMOUSE_STR("spin"), NULL, 0, &less, &reply, &error));

    dormouse_cancel *cancel;
    OK(dormouse_cancel_new(&cancel, &error));
    CHECK(!dormouse_cancel_is_cancelled(cancel));
    OK(dormouse_cancel_cancel(cancel, &error));
    CHECK(dormouse_cancel_is_cancelled(cancel));
    less.cancel = cancel;
    STATUS(DORMOUSE_CANCELLED, dormouse_function_call(plain, DORMOUSE_STR("spin"), NULL, 0, &less, &reply, &error));
    dormouse_cancel_free(cancel);
    dormouse_function_free(plain);
    dormouse_function_free(echo);
}

static void names_and_versions(void) {
    dormouse_function *echo, *pinned, *found, *all[8];
    DEPLOY(runtime, "names", echo_wasm, NULL, &echo);
    OK(dormouse_function_pin(echo, &pinned, &error));
    char version[65], name[80];
    OK(dormouse_function_version(pinned, version, sizeof version, &error));
    CHECK(strlen(version) == 64);
    STATUS(DORMOUSE_NO_ROOM, dormouse_function_version(pinned, version, 64, &error));
    size_t len;
    CHECK(strcmp(dormouse_function_name(echo, &len), "names") == 0 && len == 5);

    DEPLOY(runtime, "names", twice_wasm, NULL, NULL);
    dormouse_reply *reply;
    OK(dormouse_function_invoke(echo, (const uint8_t *)"x", 1, NULL, &reply, &error));
    CHECK(dormouse_reply_output(reply, &len)[0] == 'x' && len == 2); // A handle follows its name.
    dormouse_reply_free(reply);
    OK(dormouse_function_invoke(pinned, (const uint8_t *)"x", 1, NULL, &reply, &error));
    CHECK(dormouse_reply_output(reply, &len) != NULL && len == 1);
    dormouse_reply_free(reply);
    snprintf(name, sizeof name, "names@%.7s", version);
    OK(dormouse_runtime_find(runtime, DORMOUSE_STR(name), &found, &error));
    dormouse_function_free(found);

    OK(dormouse_runtime_functions(runtime, NULL, 0, &len, &error));
    CHECK(len > 1 && len <= 8);
    size_t count;
    OK(dormouse_runtime_functions(runtime, all, 1, &count, &error));
    CHECK(count == len && strcmp(dormouse_function_name(all[0], NULL), "echo") == 0);
    dormouse_function_free(all[0]);

    OK(dormouse_runtime_alias(runtime, DORMOUSE_STR("prod"), pinned, &error));
    OK(dormouse_runtime_find(runtime, DORMOUSE_STR("names@prod"), &found, &error));
    OK(dormouse_function_version(found, name, sizeof name, &error));
    CHECK(strcmp(name, version) == 0);
    // A handle that follows an alias can get another alias, although its name is not the
    // function's.
    OK(dormouse_runtime_alias(runtime, DORMOUSE_STR("stage"), found, &error));
    dormouse_function_free(found);
    OK(dormouse_runtime_find(runtime, DORMOUSE_STR("names@stage"), &found, &error));
    OK(dormouse_function_version(found, name, sizeof name, &error));
    CHECK(strcmp(name, version) == 0);
    dormouse_function_free(found);
    OK(dormouse_runtime_unalias(runtime, DORMOUSE_STR("stage"), DORMOUSE_STR("names"), &error));
    OK(dormouse_runtime_unalias(runtime, DORMOUSE_STR("prod"), DORMOUSE_STR("names"), &error));
    STATUS(DORMOUSE_NOT_FOUND, dormouse_runtime_unalias(runtime, DORMOUSE_STR("prod"), DORMOUSE_STR("names"), &error));
    STATUS(DORMOUSE_INVALID_NAME, dormouse_runtime_alias(runtime, DORMOUSE_STR("a b"), pinned, &error));

    OK(dormouse_runtime_undeploy(runtime, DORMOUSE_STR("names"), &error));
    STATUS(DORMOUSE_NOT_FOUND, dormouse_runtime_undeploy(runtime, DORMOUSE_STR("names"), &error));
    STATUS(DORMOUSE_NOT_FOUND, dormouse_runtime_find(runtime, DORMOUSE_STR("names"), &found, &error));
    STATUS(DORMOUSE_UNDEPLOYED, dormouse_function_invoke(echo, NULL, 0, NULL, &reply, &error));
    dormouse_deploy_report report;
    STATUS(DORMOUSE_UNDEPLOYED, dormouse_function_deploy_report(echo, &report, &error));
    OK(dormouse_function_deploy_report(pinned, &report, &error));
    CHECK(report.takes_bytes && report.functions == 2 && report.module_bytes == sizeof echo_wasm && report.memory_bytes == 65536);
    CHECK(report.cleaning == DORMOUSE_CLEANING_NONE);

    OK(dormouse_function_prewarm(pinned, 2, &len, &error));
    CHECK(len == 2);
    size_t idle, there;
    OK(dormouse_function_instances(pinned, &idle, &there, &error));
    CHECK(idle == 2 && there == 2);
    OK(dormouse_function_trim(pinned, 0, &len, &error));
    CHECK(len == 2);
    uint64_t bytes;
    OK(dormouse_runtime_trim(runtime, 0, NULL, &error));
    OK(dormouse_runtime_in_use(runtime, &len, &bytes, &error));
    CHECK(len == 0 && bytes == 0);
    dormouse_text *ledger;
    OK(dormouse_runtime_ledger(runtime, &ledger, &error));
    CHECK(strstr(dormouse_text_chars(ledger, &len), "\"function\":\"names\"") != NULL && len > 20);
    dormouse_text_free(ledger);
    dormouse_function_free(pinned);
    dormouse_function_free(echo);
}

static void deployments_are_refused(void) {
    dormouse_function *made = NULL;
    STATUS(DORMOUSE_INVALID_NAME, dormouse_runtime_deploy(runtime, DORMOUSE_STR("a b"), echo_wasm, sizeof echo_wasm, NULL, &made, &error));
    STATUS(DORMOUSE_INVALID_MODULE, dormouse_runtime_deploy(runtime, "a", 1, echo_wasm, 20, NULL, &made, &error));
    STATUS(DORMOUSE_INVALID_MODULE, dormouse_runtime_deploy(runtime, "a", 1, NULL, 0, NULL, &made, &error));
    dormouse_error *why = NULL;
    CHECK(dormouse_runtime_deploy(runtime, "a", 1, stillborn_wasm, sizeof stillborn_wasm, NULL, &made, &why) == DORMOUSE_INITIALISE);
    CHECK(dormouse_error_trap(why) == DORMOUSE_TRAP_UNREACHABLE);
    dormouse_error_free(why), why = NULL;
    CHECK(dormouse_runtime_deploy(runtime, "a", 1, visit_wasm, sizeof visit_wasm, NULL, &made, &why) == DORMOUSE_UNKNOWN_IMPORTS);
    CHECK(strstr(dormouse_error_message(why, NULL), "env.visit") != NULL);
    dormouse_error_free(why);

    dormouse_deploy_options options;
    STATUS(DORMOUSE_ARGUMENT, dormouse_deploy_options_init(&options, sizeof options - 8, &error));
    OK(dormouse_deploy_options_init(&options, sizeof options, &error));
    options.size--;
    STATUS(DORMOUSE_ARGUMENT, dormouse_runtime_deploy(runtime, "a", 1, echo_wasm, sizeof echo_wasm, &options, &made, &error));
    OK(dormouse_deploy_options_init(&options, sizeof options, &error));
    options.entry = dormouse_string_of("other");
    STATUS(DORMOUSE_ENTRY, dormouse_runtime_deploy(runtime, "a", 1, echo_wasm, sizeof echo_wasm, &options, &made, &error));
    options.entry.chars = NULL, options.entry.len = 0;
    options.instances_min = options.instances_max + 1;
    STATUS(DORMOUSE_INVALID_OPTION, dormouse_runtime_deploy(runtime, "a", 1, echo_wasm, sizeof echo_wasm, &options, &made, &error));
    options.instances_min = 0;
    options.limits.module_bytes = 10;
    STATUS(DORMOUSE_TOO_LARGE, dormouse_runtime_deploy(runtime, "a", 1, echo_wasm, sizeof echo_wasm, &options, &made, &error));
    CHECK(made == NULL);

    dormouse_runtime_options few;
    OK(dormouse_runtime_options_init(&few, sizeof few, &error));
    few.functions = 0;
    few.reset = DORMOUSE_RESET_PORTABLE;
    dormouse_runtime *small;
    OK(dormouse_runtime_new(&few, &small, &error));
    STATUS(DORMOUSE_TOO_MANY_FUNCTIONS, dormouse_runtime_deploy(small, "a", 1, echo_wasm, sizeof echo_wasm, NULL, &made, &error));
    dormouse_runtime_free(small);
    few.reset = 17;
    STATUS(DORMOUSE_ARGUMENT, dormouse_runtime_new(&few, &small, &error));
}

static int sums(void *user_data, dormouse_guest *guest) {
    dormouse_value at, args[2], sum;
    size_t count;
    STATUS(DORMOUSE_NO_ROOM, dormouse_guest_call(guest, DORMOUSE_STR("at"), NULL, 0, NULL, 0, &count, &error));
    OK(dormouse_guest_call(guest, DORMOUSE_STR("at"), NULL, 0, &at, 1, &count, &error));
    CHECK(count == 1 && at.type == DORMOUSE_I32);
    OK(dormouse_guest_write(guest, (uint32_t)at.of.i32, (const uint8_t *)"\1\2\47", 3, &error));
    args[0] = at;
    args[1] = dormouse_i32(3);
    OK(dormouse_guest_call(guest, DORMOUSE_STR("sum"), args, 2, &sum, 1, NULL, &error));
    uint8_t back[3];
    OK(dormouse_guest_read(guest, (uint32_t)at.of.i32, back, 3, &error));
    CHECK(memcmp(back, "\1\2\47", 3) == 0);
    // No length makes the library allocate that much memory, or write beyond the room.
    const size_t lengths[] = {2, 65536, UINT32_MAX, (size_t)1 << 40, SIZE_MAX / 2, SIZE_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        STATUS(DORMOUSE_OUT_OF_BOUNDS, dormouse_guest_read(guest, 65535, back, lengths[i], &error));
    CHECK(memcmp(back, "\1\2\47", 3) == 0);
    *(int *)user_data = sum.of.i32;
    return 0;
}

static int fails_in_the_guest(void *user_data, dormouse_guest *guest) {
    (void)user_data;
    return (int)dormouse_guest_call(guest, DORMOUSE_STR("trap"), NULL, 0, NULL, 0, NULL, NULL);
}

static int gives_up(void *user_data, dormouse_guest *guest) {
    (void)user_data, (void)guest;
    return 3;
}

static void sessions_run_on_one_instance(void) {
    dormouse_function *plain;
    DEPLOY(runtime, "session", plain_wasm, NULL, &plain);
    dormouse_reply *reply;
    int sum = 0;
    OK(dormouse_function_session(plain, sums, &sum, NULL, &reply, &error));
    CHECK(sum == 42 && dormouse_reply_report(reply)->fuel > 0);
    dormouse_reply_free(reply);
    STATUS(DORMOUSE_TRAP, dormouse_function_session(plain, fails_in_the_guest, NULL, NULL, &reply, &error));
    dormouse_error *why = NULL;
    CHECK(dormouse_function_session(plain, gives_up, NULL, NULL, &reply, &why) == DORMOUSE_HOST_FUNCTION);
    CHECK(strstr(dormouse_error_message(why, NULL), "it returned 3") != NULL);
    dormouse_error_free(why);
    dormouse_function_free(plain);
}

int main(void) {
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", DORMOUSE_VERSION_MAJOR, DORMOUSE_VERSION_MINOR, DORMOUSE_VERSION_PATCH);
    CHECK(strcmp(dormouse_version(), version) == 0);
    OK(dormouse_runtime_new(NULL, &runtime, &error));
    bytes_go_in_and_come_out();
    output_goes_to_the_callers_buffer();
    exports_take_and_give_numbers();
    runs_are_limited();
    names_and_versions();
    deployments_are_refused();
    sessions_run_on_one_instance();
    dormouse_runtime_free(runtime);
    return 0;
}
