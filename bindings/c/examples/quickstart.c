// A function is deployed once and invoked twice: first cold, then warm. The output and the fuel are
// the same.
//
//   cc -std=c11 quickstart.c -o quickstart $(pkg-config --cflags --libs dormouse)
//   cc -std=c11 quickstart.c -o quickstart $(pkg-config --cflags dormouse) $(pkg-config --variable=libdir dormouse)/libdormouse.a -lpthread -ldl -lm
//
//   Hello, World!
//   REPORT greet@da8c694 start=cold fuel=12 duration=6.5us memory=64KiB in=5B out=13B host_calls=0 outcome=ok
//   Hello, World!
//   REPORT greet@da8c694 start=warm fuel=12 duration=642ns memory=64KiB in=5B out=13B host_calls=0 outcome=ok
#include <dormouse.h>

#include <stdio.h>

// A guest that greets. It exports its memory, `alloc` and `handle`. `alloc` returns where the input
// goes. `handle` is given the input and returns where its output lies. Any language that compiles
// to WebAssembly will do.
//
// (module
//   (memory (export "memory") 1)
//   (data (i32.const 0) "Hello, ")
//   (func (export "alloc") (param $len i32) (result i32)
//     (i32.const 7))
//   (func (export "handle") (param $name i32) (param $len i32) (result i64)
//     (i32.store8 (i32.add (local.get $name) (local.get $len)) (i32.const 33))
//     (i64.extend_i32_u (i32.add (local.get $len) (i32.const 8)))))
static const uint8_t greet_wasm[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x0c, 0x02, 0x60, 0x01, 0x7f, 0x01, 0x7f, 0x60, 0x02, 0x7f, 0x7f,
    0x01, 0x7e, 0x03, 0x03, 0x02, 0x00, 0x01, 0x05, 0x03, 0x01, 0x00, 0x01, 0x07, 0x1b, 0x03, 0x06, 0x6d, 0x65, 0x6d, 0x6f,
    0x72, 0x79, 0x02, 0x00, 0x05, 0x61, 0x6c, 0x6c, 0x6f, 0x63, 0x00, 0x00, 0x06, 0x68, 0x61, 0x6e, 0x64, 0x6c, 0x65, 0x00,
    0x01, 0x0a, 0x19, 0x02, 0x04, 0x00, 0x41, 0x07, 0x0b, 0x12, 0x00, 0x20, 0x00, 0x20, 0x01, 0x6a, 0x41, 0x21, 0x3a, 0x00,
    0x00, 0x20, 0x01, 0x41, 0x08, 0x6a, 0xad, 0x0b, 0x0b, 0x0d, 0x01, 0x00, 0x41, 0x00, 0x0b, 0x07, 0x48, 0x65, 0x6c, 0x6c,
    0x6f, 0x2c, 0x20, 0x00, 0x1c, 0x04, 0x6e, 0x61, 0x6d, 0x65, 0x02, 0x15, 0x02, 0x00, 0x01, 0x00, 0x03, 0x6c, 0x65, 0x6e,
    0x01, 0x02, 0x00, 0x04, 0x6e, 0x61, 0x6d, 0x65, 0x01, 0x03, 0x6c, 0x65, 0x6e,
};

int main(void) {
    dormouse_runtime *runtime = NULL;
    dormouse_function *greet = NULL;
    dormouse_error *error = NULL;

    if (dormouse_runtime_new(NULL, &runtime, &error) != DORMOUSE_OK) goto failed;
    if (dormouse_runtime_deploy(runtime, DORMOUSE_STR("greet"), greet_wasm, sizeof greet_wasm, NULL, &greet, &error) != DORMOUSE_OK)
        goto failed;

    for (int i = 0; i < 2; i++) {
        dormouse_reply *reply;
        if (dormouse_function_invoke(greet, (const uint8_t *)"World", 5, NULL, &reply, &error) != DORMOUSE_OK) goto failed;
        size_t len;
        const uint8_t *output = dormouse_reply_output(reply, &len);
        printf("%.*s\n%s\n", (int)len, (const char *)output, dormouse_reply_report_text(reply, NULL));
        dormouse_reply_free(reply);
    }
failed:
    if (error != NULL) fprintf(stderr, "%s\n", dormouse_error_message(error, NULL));
    int code = error != NULL;
    dormouse_error_free(error); // Freeing NULL does nothing, so this is correct after success too.
    dormouse_function_free(greet);
    dormouse_runtime_free(runtime);
    return code;
}
