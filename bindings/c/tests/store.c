// Key-value stores: what a function keeps in one, what the host finds there, and files.
#define _XOPEN_SOURCE 700
#include "check.h"

#include <signal.h>
#include <sys/resource.h>

static dormouse_runtime *runtime;
static char path[4096];

#define KEY(k) (const uint8_t *)(k), strlen(k)
#define SPACE(s) DORMOUSE_STR(s)

static dormouse_deploy_options with(const dormouse_store *store) {
    dormouse_deploy_options options;
    OK(dormouse_deploy_options_init(&options, sizeof options, &error));
    options.store = store;
    return options;
}

static dormouse_status call(dormouse_function *function, const char *name, int32_t len, int32_t *answer) {
    dormouse_value argument = dormouse_i32(len);
    dormouse_reply *reply = NULL;
    dormouse_status status = dormouse_function_call(function, DORMOUSE_STR(name), &argument, 1, NULL, &reply, NULL);
    if (status == DORMOUSE_OK && answer) *answer = dormouse_reply_values(reply, NULL)[0].of.i32;
    dormouse_reply_free(reply);
    return status;
}

static int32_t visit(dormouse_function *function, int32_t len) {
    int32_t answer = 0;
    CHECK(call(function, "visit", len, &answer) == DORMOUSE_OK);
    return answer;
}

static void a_function_keeps_what_its_host_finds(void) {
    dormouse_store *store;
    OK(dormouse_store_new(&store, &error));
    dormouse_deploy_options options = with(store);
    dormouse_function *counter, *other, *shared;
    DEPLOY(runtime, "counter", visits_wasm, &options, &counter);
    DEPLOY(runtime, "other", visits_wasm, &options, &other);
    options.store_namespace = dormouse_string_of("counter");
    DEPLOY(runtime, "shared", visits_wasm, &options, &shared);
    CHECK(visit(counter, 6) == 1 && visit(counter, 6) == 2 && visit(shared, 6) == 3);
    CHECK(visit(other, 6) == 1);
    uint8_t bytes[4];
    size_t len = 77;
    STATUS(DORMOUSE_NO_ROOM, dormouse_store_get(store, SPACE("counter"), KEY("visits"), bytes, 3, &len, &error));
    CHECK(len == 77);
    OK(dormouse_store_get(store, SPACE("counter"), KEY("visits"), bytes, 4, &len, &error));
    CHECK(len == 4 && memcmp(bytes, "\x03\0\0", 4) == 0);
    STATUS(DORMOUSE_NOT_FOUND, dormouse_store_len(store, SPACE("counter"), KEY("visit"), &len, &error));
    STATUS(DORMOUSE_NOT_FOUND, dormouse_store_get(store, SPACE("nowhere"), KEY("visits"), bytes, 4, &len, &error));

    // A failed invocation leaves nothing.
    CHECK(call(counter, "fail", 3, NULL) == DORMOUSE_TRAP);
    STATUS(DORMOUSE_NOT_FOUND, dormouse_store_len(store, SPACE("counter"), KEY("vis"), &len, &error));
    // The function finds what the host writes.
    OK(dormouse_store_set(store, SPACE("counter"), KEY("visits"), (const uint8_t *)"\x29\0\0", 4, &error));
    CHECK(visit(counter, 6) == 42);
    OK(dormouse_store_delete(store, SPACE("counter"), KEY("visits"), &error));
    OK(dormouse_store_delete(store, SPACE("counter"), KEY("visits"), &error));
    CHECK(visit(shared, 6) == 1);

    // The functions keep the store.
    dormouse_store_free(store);
    CHECK(visit(counter, 6) == 2 && visit(other, 6) == 2);
    dormouse_function_free(counter);
    dormouse_function_free(other);
    dormouse_function_free(shared);
}

static void keys_are_any_bytes_in_their_order(void) {
    dormouse_store *store;
    OK(dormouse_store_new(&store, &error));
    const char *keys[] = {"b", "a/2", "a/1", "a", "\xff\x01"};
    for (size_t i = 0; i < 5; i++) OK(dormouse_store_set(store, SPACE("s"), KEY(keys[i]), (const uint8_t *)"xy", i % 3, &error));
    OK(dormouse_store_set(store, SPACE("s"), (const uint8_t *)"a\0b", 3, NULL, 0, &error));
    uint64_t entries, bytes;
    OK(dormouse_store_size(store, SPACE("s"), &entries, &bytes, &error));
    CHECK(entries == 6 && bytes == 1 + 3 + 3 + 1 + 2 + 3 + (0 + 1 + 2 + 0 + 1));
    OK(dormouse_store_size(store, SPACE("s"), NULL, NULL, &error));
    OK(dormouse_store_size(store, SPACE("t"), &entries, &bytes, &error));
    CHECK(entries == 0 && bytes == 0);

    dormouse_names *names;
    size_t len;
    OK(dormouse_store_list(store, SPACE("s"), KEY("a"), NULL, 0, 3, &names, &error));
    CHECK(dormouse_names_count(names) == 3 && strcmp(dormouse_names_at(names, 0, NULL), "a") == 0);
    CHECK(memcmp(dormouse_names_at(names, 1, &len), "a\0b", 4) == 0 && len == 3);
    CHECK(strcmp(dormouse_names_at(names, 2, NULL), "a/1") == 0);
    dormouse_names_free(names);
    OK(dormouse_store_list(store, SPACE("s"), KEY("a"), KEY("a/1"), SIZE_MAX, &names, &error));
    CHECK(dormouse_names_count(names) == 1 && strcmp(dormouse_names_at(names, 0, NULL), "a/2") == 0);
    dormouse_names_free(names);
    OK(dormouse_store_list(store, SPACE("s"), NULL, 0, KEY("b"), SIZE_MAX, &names, &error));
    CHECK(dormouse_names_count(names) == 1 && strcmp(dormouse_names_at(names, 0, NULL), "\xff\x01") == 0);
    dormouse_names_free(names);

    STATUS(DORMOUSE_ARGUMENT, dormouse_store_set(store, SPACE("s"), NULL, 0, (const uint8_t *)"x", 1, &error));
    STATUS(DORMOUSE_ARGUMENT, dormouse_store_delete(store, SPACE("s"), NULL, 0, &error));
    STATUS(DORMOUSE_UTF8, dormouse_store_set(store, "\xff", 1, KEY("k"), NULL, 0, &error));
    STATUS(DORMOUSE_NULL, dormouse_store_set(store, SPACE("s"), NULL, 1, NULL, 0, &error));
    dormouse_store_free(store);
}

static void limits_hold(void) {
    dormouse_store *store;
    OK(dormouse_store_new(&store, &error));
    dormouse_deploy_options options = with(store);
    CHECK(options.store_limits.key == 1024 && options.store_limits.value == 1 << 20 && options.store_limits.entries == 100000);
    CHECK(options.store_limits.bytes == 64 << 20 && options.store_limits.staged == 4 << 20 && options.store_limits.list == 1000);
    options.store_limits.key = 8;
    options.store_limits.entries = 2;
    dormouse_function *function;
    DEPLOY(runtime, "limited", visits_wasm, &options, &function);
    CHECK(visit(function, 8) == 1 && visit(function, 9) == -1 && visit(function, 7) == 1);
    CHECK(visit(function, 6) == -1 && visit(function, 8) == 2);
    dormouse_function_free(function);
    options.store_limits.key = 0;
    STATUS(DORMOUSE_INVALID_OPTION, dormouse_runtime_deploy(runtime, "l", 1, visits_wasm, sizeof visits_wasm, &options, NULL, &error));
    options = with(store);
    options.store_namespace = dormouse_string_of("no name");
    STATUS(DORMOUSE_INVALID_OPTION, dormouse_runtime_deploy(runtime, "l", 1, visits_wasm, sizeof visits_wasm, &options, NULL, &error));
    options.store_namespace.chars = "\xff";
    options.store_namespace.len = 1;
    STATUS(DORMOUSE_UTF8, dormouse_runtime_deploy(runtime, "l", 1, visits_wasm, sizeof visits_wasm, &options, NULL, &error));
    // It is ignored without a store.
    options.store = NULL;
    STATUS(DORMOUSE_UNKNOWN_IMPORTS, dormouse_runtime_deploy(runtime, "l", 1, visits_wasm, sizeof visits_wasm, &options, NULL, &error));
    dormouse_store_free(store);
}

static int sets_a(void *user_data, dormouse_context *context, const dormouse_value *args, dormouse_value *results) {
    (void)context, (void)args, (void)results;
    OK(dormouse_store_set(user_data, SPACE("changed"), KEY("a"), NULL, 0, &error));
    return 0;
}

// The host writes between what a guest stages and its commit.
static void what_changes_under_an_invocation_ends_it(void) {
    dormouse_store *store;
    OK(dormouse_store_new(&store, &error));
    dormouse_deploy_options options = with(store);
    dormouse_host_function host = {{"env", 3}, {"change", 6}, NULL, 0, NULL, 0, sets_a, store, NULL};
    options.host_functions = &host;
    options.host_functions_len = 1;
    options.store_limits.entries = 1;
    dormouse_function *function;
    DEPLOY(runtime, "changed", changes_wasm, &options, &function);
    dormouse_reply *reply;
    dormouse_error *why = NULL;
    CHECK(dormouse_function_call(function, DORMOUSE_STR("swap"), NULL, 0, NULL, &reply, &why) == DORMOUSE_KV_CONFLICT);
    CHECK(dormouse_error_report(why)->outcome == DORMOUSE_KV_CONFLICT);
    dormouse_error_free(why);
    OK(dormouse_store_delete(store, SPACE("changed"), KEY("a"), &error));
    STATUS(DORMOUSE_KV_FULL, dormouse_function_call(function, DORMOUSE_STR("set"), NULL, 0, NULL, &reply, &error));
    size_t len;
    OK(dormouse_store_len(store, SPACE("changed"), KEY("a"), &len, &error));
    STATUS(DORMOUSE_NOT_FOUND, dormouse_store_len(store, SPACE("changed"), KEY("b"), &len, &error));
    CHECK(len == 0);
    dormouse_function_free(function);
    OK(dormouse_runtime_undeploy(runtime, DORMOUSE_STR("changed"), &error));
    dormouse_store_free(store);
}

// A store in a file outlives its functions, and belongs to one at a time.
static void files(const char *program) {
    snprintf(path, sizeof path, "%s.store", program);
    remove(path);
    dormouse_store *store, *second;
    dormouse_status opened = dormouse_store_open(DORMOUSE_STR(path), &store, NULL);
    if (opened == DORMOUSE_NOT_BUILT) return;
    CHECK(opened == DORMOUSE_OK);
    STATUS(DORMOUSE_STORE_IN_USE, dormouse_store_open(DORMOUSE_STR(path), &second, &error));
    dormouse_deploy_options options = with(store);
    dormouse_function *function;
    DEPLOY(runtime, "kept", visits_wasm, &options, &function);
    dormouse_store_free(store);
    CHECK(visit(function, 6) == 1);
    OK(dormouse_runtime_undeploy(runtime, DORMOUSE_STR("kept"), &error));
    dormouse_function_free(function);

    OK(dormouse_store_open(DORMOUSE_STR(path), &store, &error));
    size_t len;
    OK(dormouse_store_len(store, SPACE("kept"), KEY("visits"), &len, &error));
    CHECK(len == 4);
    options = with(store);
    DEPLOY(runtime, "kept", visits_wasm, &options, &function);
    CHECK(visit(function, 6) == 2);
    dormouse_function_free(function);
    OK(dormouse_runtime_undeploy(runtime, DORMOUSE_STR("kept"), &error));
    dormouse_store_free(store);

    // A failed write leaves nothing. Writes succeed again once there is room.
    OK(dormouse_store_open(DORMOUSE_STR(path), &store, &error));
    struct rlimit all, little;
    CHECK(getrlimit(RLIMIT_FSIZE, &all) == 0);
    little = all;
    little.rlim_cur = 1 << 20;
    signal(SIGXFSZ, SIG_IGN);
    CHECK(setrlimit(RLIMIT_FSIZE, &little) == 0);
    static uint8_t large[500000];
    dormouse_status status = DORMOUSE_OK;
    char key = 'a';
    for (; status == DORMOUSE_OK && key < 'u'; key++)
        status = dormouse_store_set(store, SPACE("kept"), (const uint8_t *)&key, 1, large, sizeof large, NULL);
    CHECK(status == DORMOUSE_STORE_IO || status == DORMOUSE_STORE_FULL);
    CHECK(setrlimit(RLIMIT_FSIZE, &all) == 0);
    key--;
    STATUS(DORMOUSE_NOT_FOUND, dormouse_store_len(store, SPACE("kept"), (const uint8_t *)&key, 1, &len, &error));
    OK(dormouse_store_set(store, SPACE("kept"), (const uint8_t *)&key, 1, large, sizeof large, &error));
    OK(dormouse_store_len(store, SPACE("kept"), (const uint8_t *)&key, 1, &len, &error));
    CHECK(len == sizeof large);
    dormouse_store_free(store);

    FILE *file = fopen(path, "wb");
    CHECK(file && fputs("no store", file) >= 0 && fclose(file) == 0);
    STATUS(DORMOUSE_STORE_CORRUPT, dormouse_store_open(DORMOUSE_STR(path), &store, &error));
    STATUS(DORMOUSE_STORE_IO, dormouse_store_open(DORMOUSE_STR("/"), &store, &error));
    remove(path);
}

int main(int argc, char **argv) {
    (void)argc;
    OK(dormouse_runtime_new(NULL, &runtime, &error));
    a_function_keeps_what_its_host_finds();
    keys_are_any_bytes_in_their_order();
    limits_hold();
    what_changes_under_an_invocation_ends_it();
    files(argv[0]);
    dormouse_runtime_free(runtime);
    return 0;
}
