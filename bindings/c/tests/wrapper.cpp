// The C++ wrapper: what is thrown, copied, moved and freed.
#include "dormouse.hpp"
#include "guests.h"

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#define CHECK(condition)                                                                    \
    do {                                                                                    \
        if (!(condition)) {                                                                 \
            std::printf("%s:%d: %s: not so\n", __FILE__, __LINE__, #condition);             \
            std::exit(1);                                                                   \
        }                                                                                   \
    } while (0)

template <typename Call> dormouse_status status_of(Call &&call) {
    try {
        call();
        return DORMOUSE_OK;
    } catch (const dormouse::Error &error) {
        CHECK(error.what()[0] != '\0');
        return error.status();
    }
}

int main() {
    dormouse::Runtime runtime;
    dormouse::Function echo = runtime.deploy("echo", echo_wasm);
    dormouse::Reply reply = echo.invoke("hello");
    CHECK(reply.output() == "hello" && reply.log().empty() && reply.report().fuel > 0);
    CHECK(reply.report_text().substr(0, 12) == "REPORT echo@");
    CHECK(echo.name() == "echo" && echo.version().size() == 64 && echo.prewarm(1) == 1);
    CHECK(echo.deploy_report().takes_bytes && runtime.trim(std::chrono::nanoseconds(0)) == 1);

    dormouse::Function copy = echo, moved = std::move(copy);
    CHECK(status_of([&] { copy.invoke(""); }) == DORMOUSE_NULL);
    copy = moved;
    CHECK(copy.invoke("x").output() == "x" && moved.invoke("y").output() == "y");
    CHECK(runtime.find("echo") && !runtime.find("nobody"));
    dormouse::Function pinned = echo.pinned();
    CHECK(runtime.undeploy("echo") && !runtime.undeploy("echo"));
    CHECK(status_of([&] { echo.invoke(""); }) == DORMOUSE_UNDEPLOYED && pinned.invoke("z").output() == "z");

    dormouse::Function plain = runtime.deploy("plain", plain_wasm);
    CHECK(plain.call("add", {dormouse_i32(40), dormouse_i32(2)}).values()[0].of.i32 == 42);
    try {
        plain.call("trap");
        CHECK(false);
    } catch (const dormouse::Error &error) {
        CHECK(error.trap() == DORMOUSE_TRAP_UNREACHABLE && error.report()->outcome == DORMOUSE_TRAP);
    }
    dormouse::Cancel cancel;
    dormouse::InvokeOptions options;
    options.cancel = cancel.get();
    cancel.cancel();
    CHECK(cancel.is_cancelled() && status_of([&] { plain.call("spin", {}, &options); }) == DORMOUSE_CANCELLED);

    std::string back;
    plain.session([&](dormouse::Guest &guest) {
        auto at = static_cast<uint32_t>(guest.call("at")[0].of.i32);
        guest.write(at, "abc");
        back = guest.read(at, 3);
    });
    CHECK(back == "abc");
    bool thrown = false;
    try {
        plain.session([](dormouse::Guest &) { throw std::runtime_error("mine"); });
    } catch (const std::runtime_error &error) {
        thrown = std::string_view(error.what()) == "mine";
    }
    CHECK(thrown && status_of([&] { plain.session([](dormouse::Guest &guest) { guest.call("trap"); }); }) == DORMOUSE_TRAP);

    runtime.bind("echoes", dormouse::TriggerOptions(DORMOUSE_TRIGGER_TYPE, "said", "plain"));
    dormouse::Event event = runtime.event(dormouse::EventOptions("said").json("[1]"));
    CHECK(dormouse::Event::from_json(event.json()).json() == event.json());
    CHECK(runtime.publish(event) == 1 && runtime.run_pending() == 1 && runtime.deliveries().dead_letters == 1);
    CHECK(runtime.dead_letters(true).find("\"permanent\"") != std::string::npos && runtime.dead_letters() == "[]");
    CHECK(runtime.tick(std::chrono::system_clock::now()).ran == 0 && !runtime.ledger().empty());
    CHECK(status_of([] { dormouse::Event::from_json("{}"); }) == DORMOUSE_EVENT);

    // A host function and what it captures live as long as the function, and are not lost by a failed deployment.
    auto counted = std::make_shared<int>(0);
    {
        dormouse::DeployOptions host;
        host.host("env", "visit", {DORMOUSE_I32}, {DORMOUSE_I32},
                  [counted](dormouse::Context &guest, const dormouse_value *args, dormouse_value *results) {
                      ++*counted;
                      if (args[0].of.i32 == 0) throw std::runtime_error("zero");
                      if (args[0].of.i32 == 1) throw 17;
                      guest.log("visited " + guest.read(7, 4));
                      if (args[0].of.i32 == 2) guest.read(65535, 0xffffffff);
                      results[0].of.i32 = -args[0].of.i32;
                  });
        CHECK(status_of([&] { runtime.deploy("a b", visit_wasm, host); }) == DORMOUSE_INVALID_NAME);
        dormouse::Function visit = runtime.deploy("visit", visit_wasm, host);
        for (int i = 0; i < 3; i++) CHECK(status_of([&] { visit.call("run", {dormouse_i32(i)}); }) == DORMOUSE_HOST_FUNCTION);
        dormouse::Reply visited = visit.call("run", {dormouse_i32(3)});
        CHECK(visited.values()[0].of.i32 == -3 && visited.log() == "visited host\n");
    }
    CHECK(*counted == 4 && counted.use_count() == 2);
    runtime = dormouse::Runtime();
    plain = echo = pinned;
    CHECK(counted.use_count() == 2); // The old runtime: kept by the pinned handle.
    runtime = dormouse::Runtime();
    pinned = plain = echo = moved = copy = runtime.deploy("echo", echo_wasm);
    CHECK(counted.use_count() == 1);
    return 0;
}
