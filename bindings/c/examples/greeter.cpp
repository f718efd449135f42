// The library from C++: handles free themselves, errors are exceptions, host functions are lambdas.
//
//   c++ -std=c++17 greeter.cpp -o greeter $(pkg-config --cflags --libs dormouse)
//
//   Hello, World!
//   greet@...: the host function host.greeting failed: nobody is there
#include <dormouse.hpp>

#include <iostream>
#include <stdexcept>

// Asks its host for a greeting, which the host writes over the input, and answers with it.
// (module
//   (import "host" "greeting" (func $greeting (param i32 i32) (result i32)))
//   (memory (export "memory") 1)
//   (func (export "alloc") (param i32) (result i32) (i32.const 0))
//   (func (export "handle") (param $at i32) (param $len i32) (result i64)
//     (i64.extend_i32_u (call $greeting (local.get $at) (local.get $len)))))
static const uint8_t greet_wasm[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x12, 0x03, 0x60, 0x02, 0x7f, 0x7f, 0x01, 0x7f, 0x60, 0x01, 0x7f,
    0x01, 0x7f, 0x60, 0x02, 0x7f, 0x7f, 0x01, 0x7e, 0x02, 0x11, 0x01, 0x04, 0x68, 0x6f, 0x73, 0x74, 0x08, 0x67, 0x72, 0x65,
    0x65, 0x74, 0x69, 0x6e, 0x67, 0x00, 0x00, 0x03, 0x03, 0x02, 0x01, 0x02, 0x05, 0x03, 0x01, 0x00, 0x01, 0x07, 0x1b, 0x03,
    0x06, 0x6d, 0x65, 0x6d, 0x6f, 0x72, 0x79, 0x02, 0x00, 0x05, 0x61, 0x6c, 0x6c, 0x6f, 0x63, 0x00, 0x01, 0x06, 0x68, 0x61,
    0x6e, 0x64, 0x6c, 0x65, 0x00, 0x02, 0x0a, 0x10, 0x02, 0x04, 0x00, 0x41, 0x00, 0x0b, 0x09, 0x00, 0x20, 0x00, 0x20, 0x01,
    0x10, 0x00, 0xad, 0x0b, 0x00, 0x20, 0x04, 0x6e, 0x61, 0x6d, 0x65, 0x01, 0x0b, 0x01, 0x00, 0x08, 0x67, 0x72, 0x65, 0x65,
    0x74, 0x69, 0x6e, 0x67, 0x02, 0x0c, 0x01, 0x02, 0x02, 0x00, 0x02, 0x61, 0x74, 0x01, 0x03, 0x6c, 0x65, 0x6e,
};

int main() try {
    dormouse::Runtime runtime;

    dormouse::DeployOptions options;
    options.limits.fuel = 100000;
    options.host("host", "greeting", {DORMOUSE_I32, DORMOUSE_I32}, {DORMOUSE_I32},
                 [](dormouse::Context &guest, const dormouse_value *args, dormouse_value *results) {
                     std::string name = guest.read(static_cast<uint32_t>(args[0].of.i32), static_cast<uint32_t>(args[1].of.i32));
                     if (name.empty()) throw std::runtime_error("nobody is there");
                     std::string greeting = "Hello, " + name + "!";
                     guest.write(static_cast<uint32_t>(args[0].of.i32), greeting);
                     results[0].of.i32 = static_cast<int32_t>(greeting.size());
                 });
    dormouse::Function greet = runtime.deploy("greet", greet_wasm, options);

    std::cout << greet.invoke("World").output() << "\n";
    try {
        greet.invoke("");
    } catch (const dormouse::Error &error) {
        if (error.status() != DORMOUSE_HOST_FUNCTION) throw;
        std::cout << error.what() << "\n";
    }
    return 0;
} catch (const std::exception &error) {
    std::cerr << error.what() << "\n";
    return 1;
}
