// Events, triggers of all kinds, deliveries, dead letters, requests.
#include "check.h"

static dormouse_runtime *runtime;

static dormouse_trigger_options trigger(dormouse_trigger_kind kind, const char *on, const char *target) {
    dormouse_trigger_options options;
    OK(dormouse_trigger_options_init(&options, sizeof options, &error));
    options.kind = kind;
    options.on = dormouse_string_of(on);
    options.target = dormouse_string_of(target);
    return options;
}

static dormouse_event *event(const char *type, const char *subject) {
    dormouse_event_options parts;
    OK(dormouse_event_options_init(&parts, sizeof parts, &error));
    parts.type = dormouse_string_of(type);
    if (subject) parts.subject = dormouse_string_of(subject);
    dormouse_event *made;
    OK(dormouse_runtime_event(runtime, &parts, &made, &error));
    return made;
}

// Checks the names, separated by spaces.
static void check_names(dormouse_names *names, const char *expected) {
    char text[200] = "";
    for (size_t i = 0; i < dormouse_names_count(names); i++) {
        size_t len;
        const char *name = dormouse_names_at(names, i, &len);
        CHECK(strlen(name) == len);
        strcat(strcat(text, i ? " " : ""), name);
    }
    if (strcmp(text, expected) != 0) printf("%s, expected %s\n", text, expected);
    CHECK(strcmp(text, expected) == 0 && dormouse_names_at(names, dormouse_names_count(names), NULL) == NULL);
    dormouse_names_free(names);
}

static void check_matches(const dormouse_event *woken_by, const char *expected) {
    dormouse_names *ids;
    OK(dormouse_runtime_matches(runtime, woken_by, &ids, &error));
    check_names(ids, expected);
}

// Why an event does not wake a trigger; NULL if it does.
static void check_why(const char *id, const dormouse_event *event, const char *expected) {
    bool matches;
    dormouse_text *why;
    OK(dormouse_runtime_explain(runtime, DORMOUSE_STR(id), event, &matches, &why, &error));
    CHECK(matches == (why == NULL));
    const char *text = dormouse_text_chars(why, NULL);
    if (expected ? text == NULL || strstr(text, expected) == NULL : text != NULL)
        printf("%s: %s, expected %s\n", id, text ? text : "matches", expected ? expected : "to match");
    CHECK(expected ? text != NULL && strstr(text, expected) != NULL : text == NULL);
    dormouse_text_free(why);
    matches = !matches;
    OK(dormouse_runtime_explain(runtime, DORMOUSE_STR(id), event, &matches, NULL, &error));
    CHECK(matches == (expected == NULL));
}

static void events_are_made_of_parts_and_of_json(void) {
    dormouse_event_options parts;
    OK(dormouse_event_options_init(&parts, sizeof parts, &error));
    dormouse_extension extensions[] = {
        {dormouse_string_of("tenant"), dormouse_string_of("acme"), 0, DORMOUSE_EXTENSION_TEXT},
        {dormouse_string_of("weight"), {NULL, 0}, -7, DORMOUSE_EXTENSION_INTEGER},
        {dormouse_string_of("urgent"), {NULL, 0}, 1, DORMOUSE_EXTENSION_BOOLEAN},
    };
    parts.type = dormouse_string_of("order.created");
    parts.id = dormouse_string_of("A-1");
    parts.source = dormouse_string_of("/shop");
    parts.subject = dormouse_string_of("7");
    parts.time = dormouse_string_of("2026-01-02T03:04:05Z");
    parts.data = (const uint8_t *)"{\"total\": 250}";
    parts.data_len = 14;
    parts.data_kind = DORMOUSE_DATA_JSON;
    parts.extensions = extensions;
    parts.extensions_len = 3;
    dormouse_event *made, *read;
    OK(dormouse_runtime_event(runtime, &parts, &made, &error));
    size_t len;
    const char *json = dormouse_event_json(made, &len);
    const char *all[] = {"\"type\":\"order.created\"", "\"id\":\"A-1\"", "\"source\":\"/shop\"", "\"subject\":\"7\"", "2026-01-02T03:04:05Z",
                         "{\"total\": 250}", "\"tenant\":\"acme\"", "\"weight\":-7", "\"urgent\":true"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) CHECK(strstr(json, all[i]) != NULL);
    const char *attributes[][2] = {{"type", "order.created"}, {"id", "A-1"}, {"time", "2026-01-02T03:04:05Z"}, {"weight", "-7"}, {"urgent", "true"}};
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
        dormouse_text *value;
        OK(dormouse_event_attribute(made, DORMOUSE_STR(attributes[i][0]), &value, &error));
        CHECK(strcmp(dormouse_text_chars(value, NULL), attributes[i][1]) == 0);
        dormouse_text_free(value);
    }
    dormouse_text *none = NULL;
    STATUS(DORMOUSE_NOT_FOUND, dormouse_event_attribute(made, DORMOUSE_STR("gone"), &none, &error));
    CHECK(none == NULL);
    OK(dormouse_event_from_json(json, len, &read, &error));
    CHECK(strcmp(dormouse_event_json(read, NULL), json) == 0);
    CHECK(memcmp(dormouse_event_data(read, &len), "{\"total\": 250}", 14) == 0 && len == 14);
    dormouse_event_free(read);
    dormouse_event_free(made);

    made = event("bare", NULL);
    CHECK(dormouse_event_data(made, NULL) == NULL && strstr(dormouse_event_json(made, NULL), "/dormouse") != NULL);
    dormouse_event_free(made);
    parts.data_kind = DORMOUSE_DATA_BINARY;
    OK(dormouse_runtime_event(runtime, &parts, &made, &error));
    CHECK(strstr(dormouse_event_json(made, NULL), "data_base64") != NULL);
    dormouse_event_free(made);

    parts.data_kind = DORMOUSE_DATA_NONE; // The data would be lost.
    STATUS(DORMOUSE_ARGUMENT, dormouse_runtime_event(runtime, &parts, &made, &error));
    STATUS(DORMOUSE_EVENT, dormouse_event_from_json("{}", 2, &made, &error));
    parts.data_kind = 9;
    STATUS(DORMOUSE_ARGUMENT, dormouse_runtime_event(runtime, &parts, &made, &error));
    parts.data_kind = DORMOUSE_DATA_TEXT;
    parts.data = (const uint8_t *)"\xff";
    parts.data_len = 1;
    STATUS(DORMOUSE_UTF8, dormouse_runtime_event(runtime, &parts, &made, &error));
    parts.time = dormouse_string_of("yesterday");
    parts.data_len = 0;
    STATUS(DORMOUSE_EVENT, dormouse_runtime_event(runtime, &parts, &made, &error));
    extensions[1].kind = 7;
    STATUS(DORMOUSE_ARGUMENT, dormouse_runtime_event(runtime, &parts, &made, &error));
}

static void triggers_of_all_kinds_are_bound(void) {
    dormouse_trigger_options options = trigger(DORMOUSE_TRIGGER_TYPE, "reading", "echo");
    OK(dormouse_runtime_bind(runtime, DORMOUSE_STR("typed"), &options, &error));
    STATUS(DORMOUSE_TAKEN, dormouse_runtime_bind(runtime, DORMOUSE_STR("typed"), &options, &error));
    STATUS(DORMOUSE_INVALID_NAME, dormouse_runtime_bind(runtime, DORMOUSE_STR("a b"), &options, &error));
    options = trigger(DORMOUSE_TRIGGER_TOPIC, "sensors/+/temperature", "echo");
    options.attribute = dormouse_string_of("subject");
    OK(dormouse_runtime_bind(runtime, DORMOUSE_STR("topic"), &options, &error));
    options.on = dormouse_string_of("a#");
    STATUS(DORMOUSE_INVALID_TRIGGER, dormouse_runtime_bind(runtime, DORMOUSE_STR("bad"), &options, &error));
    options = trigger(DORMOUSE_TRIGGER_PATTERN, "{\"type\": \"scalar\"}", "echo");
    STATUS(DORMOUSE_PATTERN, dormouse_runtime_bind(runtime, DORMOUSE_STR("bad"), &options, &error));
    options.on = dormouse_string_of("{\"subject\": [{\"prefix\": \"sensors/7/\"}]}");
    OK(dormouse_runtime_bind(runtime, DORMOUSE_STR("pattern"), &options, &error));
    options = trigger(DORMOUSE_TRIGGER_SCHEDULE, "never", "echo");
    STATUS(DORMOUSE_INVALID_TRIGGER, dormouse_runtime_bind(runtime, DORMOUSE_STR("bad"), &options, &error));
    options.kind = 99;
    STATUS(DORMOUSE_ARGUMENT, dormouse_runtime_bind(runtime, DORMOUSE_STR("bad"), &options, &error));
    options = trigger(DORMOUSE_TRIGGER_TYPE, "reading", "echo");
    options.input = 99;
    STATUS(DORMOUSE_ARGUMENT, dormouse_runtime_bind(runtime, DORMOUSE_STR("bad"), &options, &error));
    options.input = DORMOUSE_INPUT_DATA;
    options.constant = (const uint8_t *)"x"; // It contradicts the input.
    options.constant_len = 1;
    STATUS(DORMOUSE_ARGUMENT, dormouse_runtime_bind(runtime, DORMOUSE_STR("bad"), &options, &error));

    dormouse_event *seven = event("reading", "sensors/7/temperature"), *other = event("other", "sensors/8/temperature");
    check_matches(seven, "typed topic pattern");
    check_matches(other, "topic");
    check_why("typed", seven, NULL);
    check_why("typed", other, "type: the trigger asks for \"reading\", the event has \"other\"");
    check_why("pattern", other, "subject: must be one of [{\"prefix\":\"sensors/7/\"}], but is \"sensors/8/temperature\"");
    check_why("items", seven, "only requests reach");
    bool matches = true;
    STATUS(DORMOUSE_NOT_FOUND, dormouse_runtime_explain(runtime, DORMOUSE_STR("gone"), seven, &matches, NULL, &error));
    OK(dormouse_runtime_enable(runtime, DORMOUSE_STR("typed"), false, &error));
    OK(dormouse_runtime_unbind(runtime, DORMOUSE_STR("topic"), &error));
    check_matches(seven, "pattern");
    OK(dormouse_runtime_enable(runtime, DORMOUSE_STR("typed"), true, &error));
    OK(dormouse_runtime_unbind(runtime, DORMOUSE_STR("pattern"), &error));
    check_matches(seven, "typed");
    STATUS(DORMOUSE_NOT_FOUND, dormouse_runtime_unbind(runtime, DORMOUSE_STR("pattern"), &error));
    STATUS(DORMOUSE_NOT_FOUND, dormouse_runtime_enable(runtime, DORMOUSE_STR("pattern"), true, &error));
    dormouse_names *ids;
    OK(dormouse_runtime_triggers(runtime, &ids, &error));
    check_names(ids, "items typed");
    OK(dormouse_runtime_unbind(runtime, DORMOUSE_STR("typed"), &error));
    dormouse_event_free(other);
    dormouse_event_free(seven);
}

static void deliveries_end_as_replies_or_dead_letters(void) {
    dormouse_trigger_options options = trigger(DORMOUSE_TRIGGER_TYPE, "said", "echo");
    options.input = DORMOUSE_INPUT_CONSTANT;
    options.constant = (const uint8_t *)"fixed";
    options.constant_len = 5;
    OK(dormouse_runtime_bind(runtime, DORMOUSE_STR("echoes"), &options, &error));
    options = trigger(DORMOUSE_TRIGGER_TYPE, "said", "plain");
    OK(dormouse_runtime_bind(runtime, DORMOUSE_STR("fails"), &options, &error));
    options = trigger(DORMOUSE_TRIGGER_TYPE, "said", "later");
    OK(dormouse_runtime_bind(runtime, DORMOUSE_STR("parks"), &options, &error));

    dormouse_event *said = event("said", NULL);
    dormouse_outcomes *outcomes;
    OK(dormouse_runtime_dispatch(runtime, said, &outcomes, &error));
    CHECK(dormouse_outcomes_count(outcomes) == 3);
    dormouse_outcome outcome;
    OK(dormouse_outcomes_at(outcomes, 0, &outcome, &error));
    CHECK(outcome.kind == DORMOUSE_OUTCOME_SUCCEEDED && strcmp(outcome.trigger.chars, "echoes") == 0 && outcome.trigger.len == 6);
    size_t len;
    CHECK(memcmp(dormouse_reply_output(outcome.reply, &len), "fixed", 5) == 0 && len == 5 && outcome.error == NULL);
    OK(dormouse_outcomes_at(outcomes, 1, &outcome, &error));
    CHECK(outcome.kind == DORMOUSE_OUTCOME_DEAD_LETTER && outcome.reply == NULL);
    CHECK(dormouse_error_status(outcome.error) == DORMOUSE_NOT_INVOCABLE);
    uint64_t dead = outcome.delivery;
    OK(dormouse_outcomes_at(outcomes, 2, &outcome, &error));
    CHECK(outcome.kind == DORMOUSE_OUTCOME_PARKED && outcome.reply == NULL && outcome.error == NULL);
    STATUS(DORMOUSE_NOT_FOUND, dormouse_outcomes_at(outcomes, 3, &outcome, &error));
    dormouse_outcomes_free(outcomes);

    dormouse_deliveries all;
    OK(dormouse_runtime_deliveries(runtime, &all, &error));
    CHECK(all.matched == 3 && all.succeeded == 1 && all.dead_letters == 1 && all.parked == 1);
    DEPLOY(runtime, "later", echo_wasm, NULL, NULL);
    uint64_t ns;
    OK(dormouse_runtime_next_deadline(runtime, &ns, &error));
    CHECK(ns == 0);
    size_t ran;
    OK(dormouse_runtime_run_pending(runtime, SIZE_MAX, &ran, &error));
    CHECK(ran == 1);
    OK(dormouse_runtime_next_deadline(runtime, &ns, &error));
    CHECK(ns == UINT64_MAX);

    dormouse_dead_letters *letters;
    OK(dormouse_runtime_dead_letters(runtime, &letters, &error));
    CHECK(dormouse_dead_letters_count(letters) == 1);
    dormouse_dead_letter letter;
    OK(dormouse_dead_letters_at(letters, 0, &letter, &error));
    CHECK(letter.id == dead && letter.reason == DORMOUSE_REASON_PERMANENT && letter.attempts == 1);
    CHECK(strcmp(letter.trigger.chars, "fails") == 0 && strcmp(letter.function.chars, "plain") == 0);
    CHECK(letter.error.len > 0 && strlen(letter.error.chars) == letter.error.len);
    CHECK(letter.given_up_at.len > 0 && letter.given_up_at.chars[letter.given_up_at.len - 1] == 'Z');
    CHECK(strcmp(dormouse_event_json(letter.event, NULL), dormouse_event_json(said, NULL)) == 0);
    STATUS(DORMOUSE_NOT_FOUND, dormouse_dead_letters_at(letters, 1, &letter, &error));
    uint64_t delivery;
    OK(dormouse_runtime_redrive(runtime, dead, &delivery, &error));
    CHECK(delivery != dead);
    STATUS(DORMOUSE_NOT_FOUND, dormouse_runtime_redrive(runtime, dead, &delivery, &error));
    CHECK(strcmp(letter.trigger.chars, "fails") == 0); // Still lent.
    dormouse_dead_letters_free(letters);
    OK(dormouse_runtime_run_pending(runtime, SIZE_MAX, NULL, &error));
    OK(dormouse_runtime_drain_dead_letters(runtime, &letters, &error));
    CHECK(dormouse_dead_letters_count(letters) == 1);
    OK(dormouse_dead_letters_at(letters, 0, &letter, &error));
    CHECK(letter.id == delivery);
    // The event of a letter can be published like any other.
    dormouse_runtime *elsewhere;
    OK(dormouse_runtime_new(NULL, &elsewhere, &error));
    OK(dormouse_runtime_publish(elsewhere, letter.event, &len, &error));
    CHECK(len == 0);
    dormouse_runtime_free(elsewhere);
    dormouse_dead_letters_free(letters);
    OK(dormouse_runtime_drain_dead_letters(runtime, &letters, &error));
    CHECK(dormouse_dead_letters_count(letters) == 0);
    dormouse_dead_letters_free(letters);
    OK(dormouse_runtime_deliveries(runtime, &all, &error));
    CHECK(all.matched == 4 && all.succeeded == 2 && all.dead_letters == 0 && all.redriven == 1 && all.drained == 1 && all.parked == 0);

    OK(dormouse_runtime_publish(runtime, said, &len, &error));
    CHECK(len == 3);
    dormouse_event_free(said);
    dormouse_event *reserved = event("dormouse.mine", NULL);
    STATUS(DORMOUSE_RESERVED_TYPE, dormouse_runtime_publish(runtime, reserved, NULL, &error));
    dormouse_event_free(reserved);
    OK(dormouse_runtime_run_pending(runtime, SIZE_MAX, NULL, &error));
    const char *bound[] = {"echoes", "fails", "parks"};
    for (int i = 0; i < 3; i++) OK(dormouse_runtime_unbind(runtime, DORMOUSE_STR(bound[i]), &error));
}

static void schedules_fire_by_the_hosts_time(void) {
    const int64_t hour = 3600ll * 1000000000, noon = 500000 * hour;
    dormouse_tick tick;
    OK(dormouse_runtime_tick(runtime, noon, &tick, &error));
    dormouse_trigger_options options = trigger(DORMOUSE_TRIGGER_SCHEDULE, "0 * * * *", "echo");
    options.missed = DORMOUSE_MISSED_ALL;
    options.missed_max = 2;
    options.overlapping = true;
    OK(dormouse_runtime_bind(runtime, DORMOUSE_STR("hourly"), &options, &error));
    uint64_t ns;
    OK(dormouse_runtime_next_deadline(runtime, &ns, &error));
    CHECK(ns > 0 && ns <= (uint64_t)hour);
    OK(dormouse_runtime_tick(runtime, noon + hour, &tick, &error));
    CHECK(tick.fired == 1 && tick.ran == 1);
    OK(dormouse_runtime_tick(runtime, noon + 6 * hour, &tick, &error));
    CHECK(tick.fired == 2);
    OK(dormouse_runtime_unbind(runtime, DORMOUSE_STR("hourly"), &error));
}

static int which(void *user_data, dormouse_context *context, const dormouse_value *args, dormouse_value *results) {
    (void)args;
    dormouse_delivery *delivery = user_data;
    STATUS(DORMOUSE_NOT_FOUND, dormouse_context_delivery(context, delivery, &error));
    results[0].of.i32 = 1;
    return 0;
}

static void a_plain_invocation_belongs_to_no_delivery(void) {
    dormouse_delivery delivery = {0};
    const dormouse_value_type i32 = DORMOUSE_I32;
    dormouse_host_function host = {{"env", 3}, {"visit", 5}, &i32, 1, &i32, 1, which, &delivery, NULL};
    dormouse_deploy_options options;
    OK(dormouse_deploy_options_init(&options, sizeof options, &error));
    options.host_functions = &host;
    options.host_functions_len = 1;
    dormouse_function *visitor;
    DEPLOY(runtime, "visitor", visit_wasm, &options, &visitor);
    dormouse_value argument = dormouse_i32(0);
    dormouse_reply *reply;
    OK(dormouse_function_call(visitor, DORMOUSE_STR("run"), &argument, 1, NULL, &reply, &error));
    CHECK(dormouse_reply_values(reply, NULL)[0].of.i32 == 1);
    dormouse_reply_free(reply);
    dormouse_function_free(visitor);
}

static void patterns_stand_alone(void) {
    dormouse_pattern *pattern;
    STATUS(DORMOUSE_PATTERN, dormouse_pattern_new(DORMOUSE_STR("{\"a\": 1}"), &pattern, &error));
    OK(dormouse_pattern_new(DORMOUSE_STR("{\"total\": [{\"numeric\": [\">\", 100]}]}"), &pattern, &error));
    bool matches = false;
    dormouse_text *why;
    OK(dormouse_pattern_matches(pattern, DORMOUSE_STR("{\"total\": 101}"), &matches, NULL, &error));
    CHECK(matches);
    OK(dormouse_pattern_matches(pattern, DORMOUSE_STR("{\"total\": 101}"), &matches, &why, &error));
    CHECK(matches && why == NULL);
    OK(dormouse_pattern_matches(pattern, DORMOUSE_STR("{\"total\": 80}"), &matches, NULL, &error));
    CHECK(!matches);
    matches = true;
    OK(dormouse_pattern_matches(pattern, DORMOUSE_STR("{\"total\": 80}"), &matches, &why, &error));
    CHECK(!matches && strcmp(dormouse_text_chars(why, NULL), "total must be one of [{\"numeric\":[\">\",100]}], but is 80") == 0);
    dormouse_text_free(why);
    STATUS(DORMOUSE_EVENT, dormouse_pattern_matches(pattern, DORMOUSE_STR("[]"), &matches, NULL, &error));
    STATUS(DORMOUSE_EVENT, dormouse_pattern_matches(pattern, DORMOUSE_STR("\xff"), &matches, &why, &error));
    dormouse_pattern_free(pattern);
}

static void requests_are_routed(void) {
    dormouse_trigger_options options = trigger(DORMOUSE_TRIGGER_ROUTE, "/items/{id}", "echo");
    options.method = dormouse_string_of("GET");
    options.input = DORMOUSE_INPUT_CONSTANT;
    options.constant = (const uint8_t *)"{\"status\":418,\"headers\":{\"X-Pot\":\"tea\"},\"body\":\"short\"}";
    options.constant_len = strlen((const char *)options.constant);
    OK(dormouse_runtime_bind(runtime, DORMOUSE_STR("items"), &options, &error));
    dormouse_request_options request;
    OK(dormouse_request_options_init(&request, sizeof request, &error));
    dormouse_header accept = {dormouse_string_of("Accept"), dormouse_string_of("*/*")};
    request.method = dormouse_string_of("GET");
    request.target = dormouse_string_of("/items/7?verbose=1");
    request.headers = &accept;
    request.headers_len = 1;
    dormouse_response *response;
    OK(dormouse_runtime_request(runtime, &request, &response, &error));
    CHECK(dormouse_response_status(response) == 418 && dormouse_response_error(response, NULL) == NULL);
    size_t len;
    CHECK(memcmp(dormouse_response_body(response, &len), "short", 5) == 0 && len == 5);
    int found = 0;
    dormouse_header header;
    for (size_t i = 0; dormouse_response_header(response, i, &header, NULL) == DORMOUSE_OK; i++)
        found += strcmp(header.name.chars, "X-Pot") == 0 && strcmp(header.value.chars, "tea") == 0;
    CHECK(found == 1);
    dormouse_response_free(response);
    request.target = dormouse_string_of("/nowhere");
    OK(dormouse_runtime_request(runtime, &request, &response, &error));
    CHECK(dormouse_response_status(response) == 404);
    dormouse_response_free(response);
}

int main(void) {
    dormouse_runtime_options options;
    OK(dormouse_runtime_options_init(&options, sizeof options, &error));
    options.when_full = 9;
    STATUS(DORMOUSE_ARGUMENT, dormouse_runtime_new(&options, &runtime, &error));
    options.when_full = DORMOUSE_WHEN_FULL_REJECT;
    options.deliveries = 3;
    options.seed = 7;
    OK(dormouse_runtime_new(&options, &runtime, &error));
    DEPLOY(runtime, "echo", echo_wasm, NULL, NULL);
    DEPLOY(runtime, "plain", plain_wasm, NULL, NULL);
    events_are_made_of_parts_and_of_json();
    deliveries_end_as_replies_or_dead_letters();
    schedules_fire_by_the_hosts_time();
    a_plain_invocation_belongs_to_no_delivery();
    requests_are_routed();
    patterns_stand_alone();
    triggers_of_all_kinds_are_bound();
    dormouse_runtime_free(runtime);
    return 0;
}
