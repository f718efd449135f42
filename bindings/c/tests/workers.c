// Worker threads: what they run, and which threads may end them, and when.
#define _XOPEN_SOURCE 700
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

static atomic_int calls, freed;

static void count_freed(void *user_data) {
    (void)user_data;
    freed++;
}

static dormouse_runtime *start(dormouse_host_callback callback, void *user_data) {
    dormouse_runtime *runtime;
    OK(dormouse_runtime_new(NULL, &runtime, &error));
    uint32_t i32 = DORMOUSE_I32;
    dormouse_host_function host = {{"env", 3}, {"visit", 5}, &i32, 1, &i32, 1, callback, user_data, count_freed};
    dormouse_deploy_options options;
    OK(dormouse_deploy_options_init(&options, sizeof options, &error));
    options.host_functions = &host;
    options.host_functions_len = 1;
    options.max_wait_ns = 600ull * 1000000000;
    DEPLOY(runtime, "knock", knock_wasm, &options, NULL);
    dormouse_trigger_options trigger;
    OK(dormouse_trigger_options_init(&trigger, sizeof trigger, &error));
    trigger.on = dormouse_string_of("knock");
    trigger.target = dormouse_string_of("knock");
    OK(dormouse_runtime_bind(runtime, DORMOUSE_STR("knock"), &trigger, &error));
    calls = freed = 0;
    return runtime;
}

static void *publish(void *runtime) {
    for (int i = 0, all = rounds(100); i < all; i++) {
        dormouse_event_options parts;
        dormouse_event *event;
        if (dormouse_event_options_init(&parts, sizeof parts, NULL) != DORMOUSE_OK) return NULL;
        parts.type = dormouse_string_of("knock");
        if (dormouse_runtime_event(runtime, &parts, &event, NULL) != DORMOUSE_OK) return NULL;
        dormouse_runtime_publish(runtime, event, NULL, NULL);
        dormouse_event_free(event);
    }
    return NULL;
}

static void publish_one(dormouse_runtime *runtime) {
    dormouse_event *event;
    OK(dormouse_event_from_json(DORMOUSE_STR("{\"specversion\":\"1.0\",\"type\":\"knock\",\"id\":\"1\",\"source\":\"/s\"}"), &event, &error));
    OK(dormouse_runtime_publish(runtime, event, NULL, &error));
    dormouse_event_free(event);
}

static uint64_t succeeded(const dormouse_runtime *runtime) {
    dormouse_deliveries all;
    OK(dormouse_runtime_deliveries(runtime, &all, &error));
    return all.succeeded;
}

static int counts(void *user_data, dormouse_context *context, const dormouse_value *args, dormouse_value *results) {
    (void)user_data, (void)context, (void)args, (void)results;
    calls++;
    return 0;
}

static void what_is_published_is_run_before_they_end(void) {
    dormouse_runtime *runtime = start(counts, NULL);
    dormouse_workers *workers;
    OK(dormouse_runtime_workers(runtime, 4, &workers, &error));
    CHECK(dormouse_workers_count(workers) == 4);
    pthread_t publishers[4];
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&publishers[i], NULL, publish, runtime) == 0);
    for (int i = 0; i < 4; i++) pthread_join(publishers[i], NULL);
    dormouse_workers_free(workers);
    CHECK(calls == 4 * rounds(100) && succeeded(runtime) == (uint64_t)(4 * rounds(100)));
    // No thread is left that would run a new delivery.
    publish_one(runtime);
    size_t ran;
    OK(dormouse_runtime_run_pending(runtime, SIZE_MAX, &ran, &error));
    CHECK(ran == 1);
    dormouse_runtime_free(runtime);
    CHECK(freed == 1);
}

static void there_are_1_to_1024(void) {
    dormouse_runtime *runtime = start(counts, NULL);
    dormouse_workers *workers = NULL;
    size_t wrong[] = {0, 1025, SIZE_MAX / 8, SIZE_MAX};
    for (int i = 0; i < 4; i++) STATUS(DORMOUSE_ARGUMENT, dormouse_runtime_workers(runtime, wrong[i], &workers, &error));
    CHECK(workers == NULL);
    dormouse_runtime_free(runtime);
}

static void a_runtime_may_go_before_its_workers(void) {
    dormouse_runtime *runtime = start(counts, NULL);
    dormouse_workers *workers;
    OK(dormouse_runtime_workers(runtime, 2, &workers, &error));
    publish(runtime);
    dormouse_runtime_free(runtime);
    dormouse_workers_free(workers);
    CHECK(freed == 1); // No matter which thread dropped it.
}

// Frees the workers in its own callback, on a worker thread: each handle once.
struct doomed {
    _Atomic(dormouse_workers *) workers;
    _Atomic(dormouse_runtime *) runtime;
    atomic_int armed, done;
};

static int frees_it(void *user_data, dormouse_context *context, const dormouse_value *args, dormouse_value *results) {
    (void)args, (void)results;
    struct doomed *doomed = user_data;
    calls++;
    while (!doomed->armed) nanosleep(&(struct timespec){0, 100000}, NULL);
    dormouse_workers_free(atomic_exchange(&doomed->workers, NULL));
    dormouse_runtime_free(atomic_exchange(&doomed->runtime, NULL));
    dormouse_context_log(context, DORMOUSE_STR("still here"), NULL);
    doomed->done = 1;
    return 0;
}

static void workers_may_be_freed_in_their_own_callback(void) {
    struct doomed doomed = {NULL, NULL, 0, 0};
    dormouse_runtime *runtime = start(frees_it, &doomed);
    dormouse_workers *workers;
    OK(dormouse_runtime_workers(runtime, 2, &workers, &error));
    doomed.workers = workers;
    publish_one(runtime);
    doomed.armed = 1;
    // The delivery succeeds, although its threads are being ended.
    while (succeeded(runtime) == 0) nanosleep(&(struct timespec){0, 1000000}, NULL);
    CHECK(doomed.done && calls == 1);
    publish_one(runtime);
    CHECK(succeeded(runtime) == 1);
    size_t ran;
    OK(dormouse_runtime_run_pending(runtime, SIZE_MAX, &ran, &error));
    CHECK(ran == 1);
    dormouse_runtime_free(runtime);
}

static void a_runtime_may_be_freed_in_a_callback_on_a_worker(void) {
    struct doomed doomed = {NULL, NULL, 0, 0};
    dormouse_runtime *runtime = start(frees_it, &doomed);
    dormouse_workers *workers;
    OK(dormouse_runtime_workers(runtime, 2, &workers, &error));
    doomed.runtime = runtime;
    publish_one(runtime);
    doomed.armed = 1;
    while (!doomed.done) nanosleep(&(struct timespec){0, 1000000}, NULL);
    dormouse_workers_free(workers);
    CHECK(calls == 1 && freed == 1);
}

int main(void) {
    what_is_published_is_run_before_they_end();
    there_are_1_to_1024();
    a_runtime_may_go_before_its_workers();
    workers_may_be_freed_in_their_own_callback();
    a_runtime_may_be_freed_in_a_callback_on_a_worker();
    return 0;
}
