// Eight threads share a runtime and a function. A ninth cancels an invocation that runs too long.
//
//   cc -std=c11 threads.c -o threads $(pkg-config --cflags --libs dormouse) -pthread
//
//   8 threads, 2000 invocations each, every answer right
//   cancelled by the host
#include <dormouse.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

// Reverses its input.
// (module
//   (memory (export "memory") 1)
//   (func (export "alloc") (param $len i32) (result i32) (i32.const 0))
//   (func (export "handle") (param $at i32) (param $len i32) (result i64) (local $i i32)
//     (block $done
//       (loop $next
//         (br_if $done (i32.ge_u (local.get $i) (local.get $len)))
//         (i32.store8 (i32.sub (i32.add (i32.const 1023) (local.get $len)) (local.get $i)) (i32.load8_u (local.get $i)))
//         (local.set $i (i32.add (local.get $i) (i32.const 1)))
//         (br $next)))
//     (i64.or (i64.const 0x40000000000) (i64.extend_i32_u (local.get $len))))
//   (func (export "spin") (loop (br 0))))
static const uint8_t reverse_wasm[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x0f, 0x03, 0x60, 0x01, 0x7f, 0x01, 0x7f, 0x60, 0x02, 0x7f, 0x7f,
    0x01, 0x7e, 0x60, 0x00, 0x00, 0x03, 0x04, 0x03, 0x00, 0x01, 0x02, 0x05, 0x03, 0x01, 0x00, 0x01, 0x07, 0x22, 0x04, 0x06,
    0x6d, 0x65, 0x6d, 0x6f, 0x72, 0x79, 0x02, 0x00, 0x05, 0x61, 0x6c, 0x6c, 0x6f, 0x63, 0x00, 0x00, 0x06, 0x68, 0x61, 0x6e,
    0x64, 0x6c, 0x65, 0x00, 0x01, 0x04, 0x73, 0x70, 0x69, 0x6e, 0x00, 0x02, 0x0a, 0x46, 0x03, 0x04, 0x00, 0x41, 0x00, 0x0b,
    0x37, 0x01, 0x01, 0x7f, 0x02, 0x40, 0x03, 0x40, 0x20, 0x02, 0x20, 0x01, 0x4f, 0x0d, 0x01, 0x41, 0xff, 0x07, 0x20, 0x01,
    0x6a, 0x20, 0x02, 0x6b, 0x20, 0x02, 0x2d, 0x00, 0x00, 0x3a, 0x00, 0x00, 0x20, 0x02, 0x41, 0x01, 0x6a, 0x21, 0x02, 0x0c,
    0x00, 0x0b, 0x0b, 0x42, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0x20, 0x01, 0xad, 0x84, 0x0b, 0x07, 0x00, 0x03, 0x40,
    0x0c, 0x00, 0x0b, 0x0b, 0x00, 0x2e, 0x04, 0x6e, 0x61, 0x6d, 0x65, 0x02, 0x16, 0x02, 0x00, 0x01, 0x00, 0x03, 0x6c, 0x65,
    0x6e, 0x01, 0x03, 0x00, 0x02, 0x61, 0x74, 0x01, 0x03, 0x6c, 0x65, 0x6e, 0x02, 0x01, 0x69, 0x03, 0x0f, 0x01, 0x01, 0x02,
    0x00, 0x04, 0x64, 0x6f, 0x6e, 0x65, 0x01, 0x04, 0x6e, 0x65, 0x78, 0x74,
};

static dormouse_function *reverse;
static int invocations;
static atomic_int wrong;

static void *work(void *argument) {
    // Each thread has its own handle, as all invocations through one handle change one count. This
    // is only for speed.
    dormouse_function *mine;
    if (dormouse_function_clone(reverse, &mine, NULL) != DORMOUSE_OK) return NULL;
    for (int i = 0; i < invocations; i++) {
        // Odd threads use the shared handle.
        dormouse_function *function = *(int *)argument % 2 ? reverse : mine;
        char input[40], output[40];
        int len = snprintf(input, sizeof input, "%d of thread %d", i, *(int *)argument);
        size_t output_len;
        if (dormouse_function_invoke_into(function, (const uint8_t *)input, (size_t)len, NULL, (uint8_t *)output, sizeof output,
                                          &output_len, NULL, NULL) != DORMOUSE_OK ||
            output_len != (size_t)len) {
            wrong++;
            continue;
        }
        for (int k = 0; k < len; k++)
            if (output[k] != input[len - 1 - k]) wrong++;
    }
    dormouse_function_free(mine);
    return NULL;
}

static void *cancel_it(void *cancel) {
    dormouse_cancel_cancel(cancel, NULL);
    return NULL;
}

int main(void) {
    // Race detectors are slow.
    invocations = getenv("DORMOUSE_FEW") ? 100 : 2000;
    dormouse_runtime *runtime;
    dormouse_error *error = NULL;
    if (dormouse_runtime_new(NULL, &runtime, NULL) != DORMOUSE_OK) return 1;
    dormouse_deploy_options options;
    dormouse_deploy_options_init(&options, sizeof options, NULL);
    options.instances_max = 4; // Fewer than threads, so some wait.
    options.max_wait_ns = 600ull * 1000000000;
    options.limits.fuel = UINT64_MAX;
    if (dormouse_runtime_deploy(runtime, DORMOUSE_STR("reverse"), reverse_wasm, sizeof reverse_wasm, &options, &reverse, NULL) != DORMOUSE_OK)
        return 1;

    pthread_t threads[8];
    int numbers[8];
    for (int i = 0; i < 8; i++) {
        numbers[i] = i;
        if (pthread_create(&threads[i], NULL, work, &numbers[i]) != 0) return 1;
    }
    // Meanwhile the same function is deployed again, and idle instances are dropped.
    for (int i = 0; i < 20; i++) {
        dormouse_runtime_deploy(runtime, DORMOUSE_STR("reverse"), reverse_wasm, sizeof reverse_wasm, &options, NULL, NULL);
        dormouse_runtime_trim(runtime, 0, NULL, NULL);
    }
    for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
    if (wrong) return 1;
    printf("8 threads, %d invocations each, every answer right\n", invocations);

    dormouse_cancel *cancel;
    dormouse_cancel_new(&cancel, NULL);
    dormouse_invoke_options spin;
    dormouse_invoke_options_init(&spin, sizeof spin, NULL);
    spin.cancel = cancel;
    pthread_t canceller;
    if (pthread_create(&canceller, NULL, cancel_it, cancel) != 0) return 1;
    dormouse_reply *reply;
    dormouse_status status = dormouse_function_call(reverse, DORMOUSE_STR("spin"), NULL, 0, &spin, &reply, &error);
    pthread_join(canceller, NULL);
    if (status != DORMOUSE_CANCELLED) return 1;
    printf("%s\n", dormouse_error_message(error, NULL));

    dormouse_error_free(error);
    dormouse_cancel_free(cancel);
    dormouse_function_free(reverse);
    dormouse_runtime_free(runtime);
    return 0;
}
