// A runtime on a file: what survives the process, and errors of files.
#define _XOPEN_SOURCE 700
#include "check.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

static char path[4096];

static dormouse_runtime *open_it(void) {
    dormouse_runtime *runtime;
    OK(dormouse_runtime_open(DORMOUSE_STR(path), NULL, &runtime, &error));
    return runtime;
}

static void bind_to(dormouse_runtime *runtime, const char *id, const char *target) {
    dormouse_trigger_options trigger;
    OK(dormouse_trigger_options_init(&trigger, sizeof trigger, &error));
    trigger.on = dormouse_string_of(id);
    trigger.target = dormouse_string_of(target);
    OK(dormouse_runtime_bind(runtime, DORMOUSE_STR(id), &trigger, &error));
}

static dormouse_status publish(dormouse_runtime *runtime, const char *type, size_t len, dormouse_error **error_out) {
    dormouse_event_options parts;
    OK(dormouse_event_options_init(&parts, sizeof parts, &error));
    uint8_t *data = calloc(1, len + 1);
    parts.type = dormouse_string_of(type);
    parts.data = data;
    parts.data_len = len;
    parts.data_kind = DORMOUSE_DATA_BINARY;
    dormouse_event *event;
    OK(dormouse_runtime_event(runtime, &parts, &event, &error));
    dormouse_status status = dormouse_runtime_publish(runtime, event, NULL, error_out);
    dormouse_event_free(event);
    free(data);
    return status;
}

static dormouse_deliveries deliveries(dormouse_runtime *runtime) {
    dormouse_deliveries all;
    OK(dormouse_runtime_deliveries(runtime, &all, &error));
    return all;
}

static void deliveries_and_dead_letters_survive_the_runtime(void) {
    dormouse_runtime *runtime = open_it();
    bind_to(runtime, "later", "echo");
    bind_to(runtime, "never", "plain");
    DEPLOY(runtime, "plain", plain_wasm, NULL, NULL);
    OK(publish(runtime, "later", 100, &error));
    OK(publish(runtime, "never", 200, &error));
    OK(dormouse_runtime_run_pending(runtime, SIZE_MAX, NULL, &error));
    CHECK(deliveries(runtime).parked == 1 && deliveries(runtime).dead_letters == 1);
    dormouse_runtime_free(runtime);

    runtime = open_it();
    dormouse_runtime *second;
    STATUS(DORMOUSE_STORE_IN_USE, dormouse_runtime_open(DORMOUSE_STR(path), NULL, &second, &error));
    dormouse_dead_letters *letters;
    OK(dormouse_runtime_dead_letters(runtime, &letters, &error));
    dormouse_dead_letter letter;
    OK(dormouse_dead_letters_at(letters, 0, &letter, &error));
    size_t len;
    CHECK(strcmp(letter.trigger.chars, "never") == 0 && dormouse_event_data(letter.event, &len) != NULL && len == 200);
    dormouse_dead_letters_free(letters);
    DEPLOY(runtime, "echo", echo_wasm, NULL, NULL);
    bind_to(runtime, "later", "echo");
    size_t ran;
    OK(dormouse_runtime_run_pending(runtime, SIZE_MAX, &ran, &error));
    CHECK(ran == 1);
    OK(dormouse_runtime_drain_dead_letters(runtime, &letters, &error));
    dormouse_runtime_free(runtime);
    CHECK(dormouse_dead_letters_count(letters) == 1); // The list is independent of the runtime.
    dormouse_dead_letters_free(letters);

    runtime = open_it();
    CHECK(deliveries(runtime).parked == 0 && deliveries(runtime).queued == 0 && deliveries(runtime).dead_letters == 0);
    dormouse_runtime_free(runtime);
}

static void what_cannot_be_written_is_not_published(void) {
    dormouse_runtime *runtime = open_it();
    bind_to(runtime, "large", "nobody");
    struct rlimit all, little;
    CHECK(getrlimit(RLIMIT_FSIZE, &all) == 0);
    little = all;
    little.rlim_cur = 1 << 20;
    signal(SIGXFSZ, SIG_IGN);
    CHECK(setrlimit(RLIMIT_FSIZE, &little) == 0);
    dormouse_status status = DORMOUSE_OK;
    uint64_t published = 0;
    for (; published < 20; published++) {
        dormouse_error *why = NULL;
        status = publish(runtime, "large", 500000, &why);
        if (status != DORMOUSE_OK) CHECK(why != NULL && dormouse_error_status(why) == status);
        dormouse_error_free(why);
        if (status != DORMOUSE_OK) break;
    }
    CHECK(status == DORMOUSE_STORE_IO || status == DORMOUSE_STORE_FULL);
    CHECK(deliveries(runtime).queued == published);
    CHECK(setrlimit(RLIMIT_FSIZE, &all) == 0);
    OK(publish(runtime, "large", 500000, &error)); // The runtime goes on.
    dormouse_runtime_free(runtime);
    runtime = open_it();
    CHECK(deliveries(runtime).parked == published + 1);
    dormouse_runtime_free(runtime);
}

static void wrong_files_are_refused(void) {
    dormouse_runtime *runtime = NULL;
    STATUS(DORMOUSE_STORE_IO, dormouse_runtime_open(DORMOUSE_STR("/nowhere/at/all"), NULL, &runtime, &error));
    STATUS(DORMOUSE_STORE_IO, dormouse_runtime_open("a\0b", 3, NULL, &runtime, &error));
    STATUS(DORMOUSE_STORE_IO, dormouse_runtime_open(NULL, 0, NULL, &runtime, &error));
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    for (int i = 0; i < 1000; i++) fputs("this is no such file\n", file);
    CHECK(fclose(file) == 0);
    STATUS(DORMOUSE_STORE_CORRUPT, dormouse_runtime_open(DORMOUSE_STR(path), NULL, &runtime, &error));
    CHECK(runtime == NULL);
}

static int freed;
static void count_freed(void *user_data) {
    (void)user_data;
    freed++;
}
static uint64_t zero(void *user_data) {
    (void)user_data;
    return 0;
}

static void user_data_is_taken_on_success_alone(void) {
    dormouse_runtime_options options;
    OK(dormouse_runtime_options_init(&options, sizeof options, &error));
    options.clock = zero;
    options.clock_user_data_free = count_freed;
    dormouse_runtime *runtime;
    STATUS(DORMOUSE_STORE_IO, dormouse_runtime_open(DORMOUSE_STR("/nowhere/at/all"), &options, &runtime, &error));
    CHECK(freed == 0);
    OK(dormouse_runtime_open(DORMOUSE_STR(path), &options, &runtime, &error));
    dormouse_runtime_free(runtime);
    CHECK(freed == 1);
}

int main(int argc, char **argv) {
    CHECK(argc > 0);
    snprintf(path, sizeof path, "%s.file", argv[0]); // Beside the program, in the build folder.
    remove(path);
    dormouse_runtime *runtime;
    dormouse_error *why = NULL;
    dormouse_status status = dormouse_runtime_open(DORMOUSE_STR(path), NULL, &runtime, &why);
    if (status == DORMOUSE_NOT_BUILT) {
        CHECK(strstr(dormouse_error_message(why, NULL), "durable") != NULL);
        dormouse_error_free(why);
        return 0;
    }
    OK(status);
    dormouse_runtime_free(runtime);
    deliveries_and_dead_letters_survive_the_runtime();
    remove(path);
    what_cannot_be_written_is_not_published();
    remove(path);
    user_data_is_taken_on_success_alone();
    wrong_files_are_refused();
    remove(path);
    return 0;
}
