// A guest asks its host for a price. The host does not have all prices.
//
//   cc -std=c11 host_function.c -o host_function $(pkg-config --cflags --libs dormouse)
//
//   3 of item 1: 3600
//   asked for item 1
//   3 of item 7: total@90a6bb8: the host function shop.price failed: no item 7
#include <dormouse.h>

#include <stdio.h>
#include <stdlib.h>

// (module
//   (import "shop" "price" (func $price (param i32) (result i64)))
//   (import "shop" "note" (func $note (param i32 i32)))
//   (memory (export "memory") 1)
//   (data (i32.const 0) "asked for item ")
//   (func (export "total") (param $item i32) (param $count i64) (result i64)
//     (i32.store8 (i32.const 15) (i32.add (local.get $item) (i32.const 48)))
//     (call $note (i32.const 0) (i32.const 16))
//     (i64.mul (call $price (local.get $item)) (local.get $count))))
static const uint8_t total_wasm[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x11, 0x03, 0x60, 0x01, 0x7f, 0x01, 0x7e, 0x60, 0x02, 0x7f, 0x7f,
    0x00, 0x60, 0x02, 0x7f, 0x7e, 0x01, 0x7e, 0x02, 0x1a, 0x02, 0x04, 0x73, 0x68, 0x6f, 0x70, 0x05, 0x70, 0x72, 0x69, 0x63,
    0x65, 0x00, 0x00, 0x04, 0x73, 0x68, 0x6f, 0x70, 0x04, 0x6e, 0x6f, 0x74, 0x65, 0x00, 0x01, 0x03, 0x02, 0x01, 0x02, 0x05,
    0x03, 0x01, 0x00, 0x01, 0x07, 0x12, 0x02, 0x06, 0x6d, 0x65, 0x6d, 0x6f, 0x72, 0x79, 0x02, 0x00, 0x05, 0x74, 0x6f, 0x74,
    0x61, 0x6c, 0x00, 0x02, 0x0a, 0x1b, 0x01, 0x19, 0x00, 0x41, 0x0f, 0x20, 0x00, 0x41, 0x30, 0x6a, 0x3a, 0x00, 0x00, 0x41,
    0x00, 0x41, 0x10, 0x10, 0x01, 0x20, 0x00, 0x10, 0x00, 0x20, 0x01, 0x7e, 0x0b, 0x0b, 0x15, 0x01, 0x00, 0x41, 0x00, 0x0b,
    0x0f, 0x61, 0x73, 0x6b, 0x65, 0x64, 0x20, 0x66, 0x6f, 0x72, 0x20, 0x69, 0x74, 0x65, 0x6d, 0x20, 0x00, 0x27, 0x04, 0x6e,
    0x61, 0x6d, 0x65, 0x01, 0x0e, 0x02, 0x00, 0x05, 0x70, 0x72, 0x69, 0x63, 0x65, 0x01, 0x04, 0x6e, 0x6f, 0x74, 0x65, 0x02,
    0x10, 0x01, 0x02, 0x02, 0x00, 0x04, 0x69, 0x74, 0x65, 0x6d, 0x01, 0x05, 0x63, 0x6f, 0x75, 0x6e, 0x74,
};

struct shop {
    size_t len;
    int64_t prices[2];
};

// shop.price: takes a number and returns a number. An error ends the invocation.
static int price(void *user_data, dormouse_context *context, const dormouse_value *args, dormouse_value *results) {
    const struct shop *shop = user_data;
    uint32_t item = (uint32_t)args[0].of.i32;
    if (item >= shop->len) {
        char text[40];
        snprintf(text, sizeof text, "no item %u", (unsigned)item);
        dormouse_context_fail(context, DORMOUSE_STR(text), NULL);
        return 1;
    }
    results[0].of.i64 = shop->prices[item];
    return 0;
}

// shop.note: copies guest memory out, as it is never lent, and writes it to the invocation's log.
static int note(void *user_data, dormouse_context *context, const dormouse_value *args, dormouse_value *results) {
    (void)user_data, (void)results;
    char text[256];
    size_t len = (uint32_t)args[1].of.i32;
    if (len > sizeof text) return 1;
    if (dormouse_context_read(context, (uint32_t)args[0].of.i32, (uint8_t *)text, len, NULL) != DORMOUSE_OK) return 1;
    return dormouse_context_log(context, text, len, NULL) != DORMOUSE_OK;
}

static void check(dormouse_status status, dormouse_error *error) {
    if (status == DORMOUSE_OK) return;
    fprintf(stderr, "%s\n", dormouse_error_message(error, NULL));
    dormouse_error_free(error);
    exit(1);
}

int main(void) {
    dormouse_error *error = NULL;
    dormouse_runtime *runtime;
    check(dormouse_runtime_new(NULL, &runtime, &error), error);

    struct shop *shop = malloc(sizeof *shop);
    *shop = (struct shop){2, {250, 1200}};
    const dormouse_value_type i32 = DORMOUSE_I32, i64 = DORMOUSE_I64, two_i32[] = {DORMOUSE_I32, DORMOUSE_I32};
    dormouse_host_function host[] = {
        // From here on the library owns the shop, and frees it when the function is no longer
        // needed.
        {.module = {"shop", 4}, .name = {"price", 5}, .params = &i32, .params_len = 1,
         .results = &i64, .results_len = 1, .callback = price, .user_data = shop, .user_data_free = free},
        {.module = {"shop", 4}, .name = {"note", 4}, .params = two_i32, .params_len = 2, .callback = note},
    };
    dormouse_deploy_options options;
    check(dormouse_deploy_options_init(&options, sizeof options, &error), error);
    options.limits.fuel = 1000000;
    options.host_functions = host;
    options.host_functions_len = sizeof host / sizeof *host;
    dormouse_function *total;
    check(dormouse_runtime_deploy(runtime, DORMOUSE_STR("total"), total_wasm, sizeof total_wasm, &options, &total, &error), error);

    for (int32_t item = 1; item <= 7; item += 6) {
        const dormouse_value args[] = {dormouse_i32(item), dormouse_i64(3)};
        dormouse_reply *reply;
        switch (dormouse_function_call(total, DORMOUSE_STR("total"), args, 2, NULL, &reply, &error)) {
        case DORMOUSE_OK:
            printf("3 of item %d: %lld\n", (int)item, (long long)dormouse_reply_values(reply, NULL)[0].of.i64);
            printf("%s", dormouse_reply_log(reply, NULL));
            dormouse_reply_free(reply);
            break;
        case DORMOUSE_HOST_FUNCTION: // Expected here.
            printf("3 of item %d: %s\n", (int)item, dormouse_error_message(error, NULL));
            dormouse_error_free(error);
            break;
        default:
            check(dormouse_error_status(error), error);
        }
    }
    dormouse_function_free(total);
    dormouse_runtime_free(runtime);
    return 0;
}
