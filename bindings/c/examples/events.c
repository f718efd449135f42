// Events wake functions: by type, by pattern, by topic and by a schedule. A delivery that keeps
// failing becomes a dead letter.
//
//   cc -std=c11 events.c -o events $(pkg-config --cflags --libs dormouse)
//
//   an order of 250: orders large
//   an order of 80 does not wake large: data.total: must be one of [{"numeric":[">",100]}], but is 80
//   2 deliveries queued, 2 run
//   large: succeeded
//   a dead letter of alarms, after 2 attempts: broken@...: the guest trapped: wasm `unreachable` instruction executed
//   the schedule fired 1 event
#include <dormouse.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Takes its input and gives no output.
// (module
//   (memory (export "memory") 1)
//   (func (export "alloc") (param i32) (result i32) (i32.const 0))
//   (func (export "handle") (param i32 i32) (result i64) (i64.const 0)))
static const uint8_t quiet_wasm[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x0c, 0x02, 0x60, 0x01, 0x7f, 0x01, 0x7f, 0x60, 0x02, 0x7f, 0x7f,
    0x01, 0x7e, 0x03, 0x03, 0x02, 0x00, 0x01, 0x05, 0x03, 0x01, 0x00, 0x01, 0x07, 0x1b, 0x03, 0x06, 0x6d, 0x65, 0x6d, 0x6f,
    0x72, 0x79, 0x02, 0x00, 0x05, 0x61, 0x6c, 0x6c, 0x6f, 0x63, 0x00, 0x00, 0x06, 0x68, 0x61, 0x6e, 0x64, 0x6c, 0x65, 0x00,
    0x01, 0x0a, 0x0b, 0x02, 0x04, 0x00, 0x41, 0x00, 0x0b, 0x04, 0x00, 0x42, 0x00, 0x0b,
};

// Takes its input and traps.
// (module
//   (memory (export "memory") 1)
//   (func (export "alloc") (param i32) (result i32) (i32.const 0))
//   (func (export "handle") (param i32 i32) (result i64) (unreachable)))
static const uint8_t broken_wasm[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x0c, 0x02, 0x60, 0x01, 0x7f, 0x01, 0x7f, 0x60, 0x02, 0x7f, 0x7f,
    0x01, 0x7e, 0x03, 0x03, 0x02, 0x00, 0x01, 0x05, 0x03, 0x01, 0x00, 0x01, 0x07, 0x1b, 0x03, 0x06, 0x6d, 0x65, 0x6d, 0x6f,
    0x72, 0x79, 0x02, 0x00, 0x05, 0x61, 0x6c, 0x6c, 0x6f, 0x63, 0x00, 0x00, 0x06, 0x68, 0x61, 0x6e, 0x64, 0x6c, 0x65, 0x00,
    0x01, 0x0a, 0x0a, 0x02, 0x04, 0x00, 0x41, 0x00, 0x0b, 0x03, 0x00, 0x00, 0x0b,
};

static dormouse_error *error;
static dormouse_runtime *runtime;

static void check(dormouse_status status) {
    if (status == DORMOUSE_OK) return;
    fprintf(stderr, "%s\n", dormouse_error_message(error, NULL));
    dormouse_error_free(error);
    exit(1);
}

static void bind(const char *id, dormouse_trigger_kind kind, const char *on, const char *target) {
    dormouse_trigger_options trigger;
    check(dormouse_trigger_options_init(&trigger, sizeof trigger, &error));
    trigger.kind = kind;
    trigger.on = dormouse_string_of(on);
    trigger.target = dormouse_string_of(target);
    trigger.retry = DORMOUSE_RETRY_FIXED;
    trigger.retry_first_ns = 0; // At once, for this example.
    trigger.retry_attempts = 2;
    check(dormouse_runtime_bind(runtime, DORMOUSE_STR(id), &trigger, &error));
}

static dormouse_event *event(const char *type, const char *json) {
    dormouse_event_options parts;
    check(dormouse_event_options_init(&parts, sizeof parts, &error));
    parts.type = dormouse_string_of(type);
    parts.data = (const uint8_t *)json;
    parts.data_len = strlen(json);
    parts.data_kind = DORMOUSE_DATA_JSON;
    dormouse_event *made;
    check(dormouse_runtime_event(runtime, &parts, &made, &error));
    return made;
}

int main(void) {
    check(dormouse_runtime_new(NULL, &runtime, &error));
    check(dormouse_runtime_deploy(runtime, DORMOUSE_STR("record"), quiet_wasm, sizeof quiet_wasm, NULL, NULL, &error));
    check(dormouse_runtime_deploy(runtime, DORMOUSE_STR("broken"), broken_wasm, sizeof broken_wasm, NULL, NULL, &error));
    bind("orders", DORMOUSE_TRIGGER_TYPE, "order.created", "record");
    bind("large", DORMOUSE_TRIGGER_PATTERN, "{\"type\": [\"order.created\"], \"data\": {\"total\": [{\"numeric\": [\">\", 100]}]}}", "record");
    bind("hourly", DORMOUSE_TRIGGER_SCHEDULE, "rate(1 hour)", "record");
    bind("alarms", DORMOUSE_TRIGGER_TYPE, "alarm", "broken");

    // Which triggers would it wake?
    dormouse_event *order = event("order.created", "{\"total\": 250}");
    dormouse_names *ids;
    check(dormouse_runtime_matches(runtime, order, &ids, &error));
    printf("an order of 250:");
    for (size_t i = 0; i < dormouse_names_count(ids); i++) printf(" %s", dormouse_names_at(ids, i, NULL));
    printf("\n");
    dormouse_names_free(ids);

    // Why would it not wake the other?
    dormouse_event *small = event("order.created", "{\"total\": 80}");
    bool matches;
    dormouse_text *why;
    check(dormouse_runtime_explain(runtime, DORMOUSE_STR("large"), small, &matches, &why, &error));
    if (!matches) printf("an order of 80 does not wake large: %s\n", dormouse_text_chars(why, NULL));
    dormouse_text_free(why);
    dormouse_event_free(small);

    // Published events wait in a queue until the host runs it.
    size_t queued, ran;
    check(dormouse_runtime_publish(runtime, order, &queued, &error));
    check(dormouse_runtime_run_pending(runtime, SIZE_MAX, &ran, &error));
    printf("%zu deliveries queued, %zu run\n", queued, ran);

    // Dispatched events run at once, on this thread, and give their outcome.
    dormouse_outcomes *outcomes;
    check(dormouse_runtime_dispatch(runtime, order, &outcomes, &error));
    dormouse_outcome outcome;
    check(dormouse_outcomes_at(outcomes, dormouse_outcomes_count(outcomes) - 1, &outcome, &error));
    printf("%s: %s\n", outcome.trigger.chars, outcome.kind == DORMOUSE_OUTCOME_SUCCEEDED ? "succeeded" : "did not");
    dormouse_outcomes_free(outcomes);
    dormouse_event_free(order);

    // A delivery that fails as often as its trigger allows is kept, with its reason and its event.
    dormouse_event *alarm = event("alarm", "{}");
    check(dormouse_runtime_publish(runtime, alarm, NULL, &error));
    check(dormouse_runtime_run_pending(runtime, SIZE_MAX, &ran, &error));
    dormouse_event_free(alarm);
    dormouse_dead_letters *letters;
    check(dormouse_runtime_dead_letters(runtime, &letters, &error));
    for (size_t i = 0; i < dormouse_dead_letters_count(letters); i++) {
        dormouse_dead_letter letter;
        check(dormouse_dead_letters_at(letters, i, &letter, &error));
        printf("a dead letter of %s, after %d attempts: %s\n", letter.trigger.chars, (int)letter.attempts, letter.error.chars);
    }
    dormouse_dead_letters_free(letters);

    // The host tells the runtime the time, and schedules fire.
    const int64_t hour = 3600ll * 1000000000, noon = 500000 * hour;
    dormouse_tick tick;
    check(dormouse_runtime_tick(runtime, noon, &tick, &error));
    check(dormouse_runtime_tick(runtime, noon + hour, &tick, &error));
    printf("the schedule fired %d event\n", (int)tick.fired);

    dormouse_runtime_free(runtime);
    return 0;
}
