// Orders that survive a restart. Events wake functions, and two worker threads run them. Failed
// deliveries are kept in a file, inspected and delivered again.
//
//   c++ -std=c++17 orders.cpp -o orders $(pkg-config --cflags --libs dormouse) -pthread
//
//   this order would wake: charge audit
//   audit is not woken by 80: data.total: must be one of [{"numeric":[">",100]}], but is 80
//   charged 2 of 3 orders, 1 dead letter
//   after a restart: order 3 by charge@...: the host function bank.charge failed: the bank is closed
//   charged 1 of 1 orders, 0 dead letters
#include <dormouse.hpp>

#include <cstdio>
#include <iostream>
#include <stdexcept>

// Asks its host to charge an order. The host returns how much it has charged. Gives no output.
// (module
//   (import "bank" "charge" (func $charge (param i32 i32) (result i32)))
//   (memory (export "memory") 1)
//   (func (export "alloc") (param i32) (result i32) (i32.const 0))
//   (func (export "handle") (param $at i32) (param $len i32) (result i64)
//     (drop (call $charge (local.get $at) (local.get $len)))
//     (i64.const 0)))
static const uint8_t charge_wasm[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x12, 0x03, 0x60, 0x02, 0x7f, 0x7f, 0x01, 0x7f, 0x60, 0x01, 0x7f,
    0x01, 0x7f, 0x60, 0x02, 0x7f, 0x7f, 0x01, 0x7e, 0x02, 0x0f, 0x01, 0x04, 0x62, 0x61, 0x6e, 0x6b, 0x06, 0x63, 0x68, 0x61,
    0x72, 0x67, 0x65, 0x00, 0x00, 0x03, 0x03, 0x02, 0x01, 0x02, 0x05, 0x03, 0x01, 0x00, 0x01, 0x07, 0x1b, 0x03, 0x06, 0x6d,
    0x65, 0x6d, 0x6f, 0x72, 0x79, 0x02, 0x00, 0x05, 0x61, 0x6c, 0x6c, 0x6f, 0x63, 0x00, 0x01, 0x06, 0x68, 0x61, 0x6e, 0x64,
    0x6c, 0x65, 0x00, 0x02, 0x0a, 0x12, 0x02, 0x04, 0x00, 0x41, 0x00, 0x0b, 0x0b, 0x00, 0x20, 0x00, 0x20, 0x01, 0x10, 0x00,
    0x1a, 0x42, 0x00, 0x0b, 0x00, 0x1e, 0x04, 0x6e, 0x61, 0x6d, 0x65, 0x01, 0x09, 0x01, 0x00, 0x06, 0x63, 0x68, 0x61, 0x72,
    0x67, 0x65, 0x02, 0x0c, 0x01, 0x02, 0x02, 0x00, 0x02, 0x61, 0x74, 0x01, 0x03, 0x6c, 0x65, 0x6e,
};

using dormouse::EventOptions, dormouse::Runtime, dormouse::Trigger;

// Functions and triggers are not in the file. A host deploys and binds each time it starts.
static Runtime start(const std::string &path, bool bank_is_open) {
    Runtime runtime = Runtime::open(path);
    dormouse::DeployOptions options;
    options.host("bank", "charge", {DORMOUSE_I32, DORMOUSE_I32}, {DORMOUSE_I32},
                 [bank_is_open](dormouse::Context &guest, const dormouse_value *args, dormouse_value *results) {
                     std::string order = guest.read(static_cast<uint32_t>(args[0].of.i32), static_cast<uint32_t>(args[1].of.i32));
                     if (!bank_is_open && order == "{\"total\": 666}") throw std::runtime_error("the bank is closed");
                     results[0].of.i32 = 1;
                 });
    runtime.deploy("charge", charge_wasm, options);
    runtime.bind("charge", Trigger::on("order.created").to("charge").data().retry(DORMOUSE_RETRY_FIXED, std::chrono::seconds(0), 1));
    return runtime;
}

static void tell(const Runtime &runtime, int orders) {
    dormouse_deliveries all = runtime.deliveries();
    std::cout << "charged " << all.succeeded << " of " << orders << " orders, " << all.dead_letters << " dead letter"
              << (all.dead_letters == 1 ? "" : "s") << "\n";
}

int main(int, char **argv) try {
    std::string path = std::string(argv[0]) + ".file";
    std::remove(path.c_str());
    {
        Runtime runtime = start(path, false);
        auto order = [&](const char *id, const char *json) { return runtime.event(EventOptions("order.created").id(id).json(json)); };

        // Which triggers would it wake, and why not?
        runtime.bind("audit", Trigger::pattern(R"({"type": ["order.created"], "data": {"total": [{"numeric": [">", 100]}]}})").to("audit"));
        std::cout << "this order would wake:";
        for (const std::string &id : runtime.matches(order("0", R"({"total": 120})"))) std::cout << " " << id;
        std::cout << "\naudit is not woken by 80: " << runtime.explain("audit", order("0", R"({"total": 80})")).value_or("") << "\n";
        runtime.unbind("audit");

        // Two threads run the published events, which are on disk by then. When they are ended,
        // they finish the deliveries that are ready.
        dormouse::Workers workers = runtime.workers(2);
        runtime.publish(order("1", R"({"total": 120})"));
        runtime.publish(order("2", R"({"total": 80})"));
        runtime.publish(order("3", R"({"total": 666})"));
        workers.stop();
        tell(runtime, 3);
    } // Or a power cut.

    Runtime runtime = start(path, true);
    for (dormouse_dead_letter letter : runtime.dead_letters()) {
        std::cout << "after a restart: order " << dormouse::Event::attribute(letter.event, "id").value_or("") << " by " << dormouse::view(letter.error) << "\n";
        runtime.redrive(letter.id);
    }
    runtime.run_pending();
    tell(runtime, 1);
    std::remove(path.c_str());
    return 0;
} catch (const std::exception &error) {
    std::cerr << error.what() << "\n";
    return 1;
}
