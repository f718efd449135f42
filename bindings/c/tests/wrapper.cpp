// The C++ wrapper: what it throws, copies, moves and frees.
#include "dormouse.hpp"
#include "guests.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <thread>

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

// Events, triggers, dead letters, patterns, requests, workers.
static void events(const dormouse::Runtime &runtime) {
    using dormouse::Trigger;
    runtime.bind("echoes", Trigger::on("said").to("plain"));
    dormouse::Event event = runtime.event(dormouse::EventOptions("said").json("[1]"));
    CHECK(dormouse::Event::from_json(event.json()).json() == event.json());
    CHECK(runtime.publish(event) == 1 && runtime.run_pending() == 1 && runtime.deliveries().dead_letters == 1);
    dormouse::DeadLetters letters = runtime.drain_dead_letters();
    CHECK(letters.size() == 1 && runtime.dead_letters().empty());
    int seen = 0;
    for (dormouse_dead_letter letter : letters) {
        seen += letter.reason == DORMOUSE_REASON_PERMANENT && dormouse::view(letter.trigger) == "echoes";
        CHECK(!dormouse::view(letter.error).empty() && runtime.publish(letter.event) == 1);
    }
    CHECK(seen == 1 && status_of([&] { letters[1]; }) == DORMOUSE_NOT_FOUND);
    CHECK(runtime.run_pending() == 1);
    std::uint64_t dead = runtime.dead_letters()[0].id, again = runtime.redrive(dead);
    CHECK(again != dead && status_of([&] { runtime.redrive(dead); }) == DORMOUSE_NOT_FOUND);
    CHECK(runtime.next_deadline() == std::chrono::nanoseconds(0) && runtime.run_pending() == 1 && !runtime.next_deadline());
    CHECK(runtime.tick(std::chrono::system_clock::now()).ran == 0 && !runtime.ledger().empty());
    CHECK(status_of([] { dormouse::Event::from_json("{}"); }) == DORMOUSE_EVENT);

    // Options copy what they are given. The temporaries are gone when the options are used.
    auto options = dormouse::EventOptions(std::string("a long type that no small string holds"));
    options.id(std::string("A-1")).source("/shop").subject("sensors/7").time("2026-01-02T03:04:05Z").text("some text");
    options.extension("tenant", std::string("acme")).extension("kind", "text").extension("weight", -7).extension("urgent", true);
    auto copy = options;
    dormouse::Event full = runtime.event(copy);
    for (const char *part : {"\"id\":\"A-1\"", "/shop", "sensors/7", "2026-01-02T03:04:05Z", "some text", "\"tenant\":\"acme\"", "\"kind\":\"text\"",
                             "\"weight\":-7", "\"urgent\":true"})
        CHECK(full.json().find(part) != std::string_view::npos);

    CHECK(full.attribute("id") == "A-1" && full.attribute("weight") == "-7" && !full.attribute("gone") && full.data() == "some text");

    runtime.bind("topic", Trigger::topic("subject", "sensors/+").to("echo").data());
    runtime.bind("large", Trigger::pattern("{\"data\": {\"total\": [{\"numeric\": [\">\", 100]}]}}").to("echo").constant("large").disabled());
    runtime.bind("daily", Trigger::schedule("@daily").to("echo").missed(DORMOUSE_MISSED_ALL, 3).overlapping());
    runtime.bind("items", Trigger::route("GET", "/items/{id}").to("echo").constant("{\"status\": 418, \"headers\": {\"X-Pot\": \"tea\"}, \"body\": \"short\"}"));
    runtime.bind("chain", Trigger::on("link").to("echo").emits({"linked"}).ordered().retry(DORMOUSE_RETRY_FIXED, std::chrono::seconds(1), 2)
                              .at_most(std::chrono::seconds(2)).age(std::chrono::hours(1)).without_jitter());
    CHECK((runtime.triggers() == std::vector<std::string>{"echoes", "topic", "large", "daily", "items", "chain"}));
    CHECK((runtime.matches(full) == std::vector<std::string>{"topic"}) && !runtime.explain("topic", full));
    CHECK(runtime.explain("echoes", full)->find("type: ") == 0 && runtime.explain("large", full)->find("disabled") != std::string::npos);
    CHECK(runtime.enable("large") && runtime.explain("large", full)->find("data.total") == 0 && !runtime.enable("gone", false));
    CHECK(status_of([&] { runtime.explain("gone", full); }) == DORMOUSE_NOT_FOUND);
    dormouse::Outcomes outcomes = runtime.dispatch(full);
    CHECK(outcomes.size() == 1 && outcomes[0].kind == DORMOUSE_OUTCOME_PARKED && dormouse::view(outcomes[0].trigger) == "topic");
    dormouse::Response response = runtime.request(dormouse::Request("GET", "/items/7").header("Accept", "*/*").body("x"));
    CHECK(response.status() == 503 && !response.error().empty());
    dormouse::Function echo = runtime.deploy("echo", echo_wasm);
    response = runtime.request(dormouse::Request("GET", "/items/7"));
    CHECK(response.status() == 418 && response.body() == "short" && response.error().empty());
    bool pot = false;
    for (auto [name, value] : response.headers()) pot |= name == "X-Pot" && value == "tea";
    CHECK(pot);
    for (const char *id : {"echoes", "topic", "large", "daily", "items", "chain"}) CHECK(runtime.unbind(id));
    CHECK(!runtime.unbind("topic") && status_of([&] { runtime.bind("none", Trigger::on("a")); }) == DORMOUSE_NULL);

    dormouse::Pattern pattern("{\"a\": [1]}");
    CHECK(pattern.matches("{\"a\": 1}") && !pattern.explain("{\"a\": 1}") && !pattern.matches("{}"));
    CHECK(*pattern.explain("{\"a\": 2}") == "a must be one of [1], but is 2");
    CHECK(status_of([] { dormouse::Pattern("[]"); }) == DORMOUSE_PATTERN);

    std::uint64_t before = runtime.deliveries().succeeded;
    runtime.bind("said", Trigger::on("said").to("echo"));
    {
        dormouse::Workers workers = runtime.workers(2), moved = std::move(workers);
        CHECK(moved.count() == 2 && workers.count() == 0);
        for (int i = 0; i < 20; i++) CHECK(runtime.publish(event) == 1);
    }
    CHECK(runtime.deliveries().succeeded == before + 21); // With that which was parked.
    CHECK(runtime.unbind("said") && status_of([&] { runtime.workers(0); }) == DORMOUSE_ARGUMENT);

    runtime.alias("prod", echo);
    CHECK(runtime.find("echo@prod") && runtime.unalias("prod", "echo") && !runtime.unalias("prod", "echo"));
    std::vector<dormouse::Function> functions = runtime.functions();
    CHECK(functions.size() == 2 && functions[0].name() == "echo" && functions[1].name() == "plain");
    echo.set_concurrency(0);
    CHECK(status_of([&] { echo.invoke(""); }) == DORMOUSE_BUSY && echo.trim(std::chrono::nanoseconds(0)) <= 1);
    CHECK(runtime.undeploy("echo"));
}

// The options for WASI programs.
static void programs(const dormouse::Runtime &runtime) {
    dormouse::DeployOptions options;
    auto drawn = std::make_shared<int>(0);
    options.args({"tell", "-v"}).env("MODE", "fast").time([] { return std::chrono::system_clock::time_point(std::chrono::seconds(1)); });
    options.seeds([drawn] {
        ++*drawn;
        return std::array<std::uint8_t, 32>{};
    });
    auto again = options;
    dormouse::Function tell = runtime.deploy("tell", tell_wasm, again);
    dormouse::Reply reply = tell.invoke("");
    std::string_view told = reply.output();
    using namespace std::string_view_literals;
    constexpr auto strings = "tell\0-v\0MODE=fast\0\x00\xca\x9a\x3b\0\0\0\0"sv;
    CHECK(told.substr(0, strings.size()) == strings && told.size() == strings.size() + 16 && *drawn == 1);
    CHECK(status_of([&] { runtime.deploy("a b", tell_wasm, options); }) == DORMOUSE_INVALID_NAME && tell.invoke("").output() == told);
    options.args({});
    CHECK(runtime.deploy("tell", tell_wasm, options).invoke("").output().substr(0, 5) == "MODE="sv);
    CHECK(runtime.undeploy("tell"));
}

// The options for Extism plug-ins, and their blocks.
static void plugins(const dormouse::Runtime &runtime) {
    dormouse::DeployOptions options;
    options.entry("work").config("unit", "vowels").var("total", std::string("4\0002", 3));
    options.host("extism:host/user", "work", {DORMOUSE_I64}, {DORMOUSE_I64},
                 [](dormouse::Context &guest, const dormouse_value *args, dormouse_value *results) {
                     auto given = static_cast<std::uint64_t>(args[0].of.i64);
                     guest.write_block(given, "E");
                     std::string text = guest.read_block(given);
                     std::uint64_t made = guest.new_block(text + text), gone = guest.new_block("gone");
                     CHECK(guest.block_len(made) == 2 * text.size());
                     guest.free_block(gone);
                     CHECK(status_of([&] { guest.read_block(gone); }) == DORMOUSE_INVALID_HANDLE);
                     results[0] = dormouse_i64(static_cast<std::int64_t>(made));
                 });
    dormouse::Function plugin = runtime.deploy("plugin", plugin_wasm, options);
    CHECK(plugin.invoke("event").output() == "EventEvent");
    dormouse::InvokeOptions chosen;
    chosen.entry = dormouse_string_of("config");
    CHECK(plugin.invoke("unit", &chosen).output() == "vowels");
    chosen.entry = dormouse_string_of("var");
    CHECK(plugin.invoke("total", &chosen).output() == std::string_view("4\0002", 3));
    CHECK(runtime.undeploy("plugin"));
}

// A key-value store.
static void stores(const dormouse::Runtime &runtime) {
    dormouse::Store store;
    dormouse::DeployOptions options;
    dormouse::Function visits = runtime.deploy("visits", visits_wasm, options.store(store));
    dormouse::Function shared = runtime.deploy("shared", visits_wasm, options.store(store, "visits"));
    CHECK(visits.call("visit", {dormouse_i32(6)}).values()[0].of.i32 == 1 && shared.call("visit", {dormouse_i32(6)}).values()[0].of.i32 == 2);
    CHECK(store.get("visits", "visits") == std::string("\2\0\0\0", 4) && !store.get("visits", "visit"));
    store.set("visits", "a key", "");
    CHECK(store.get("visits", "a key") == "" && store.list("visits") == (std::vector<std::string>{"a key", "visits"}));
    CHECK(store.list("visits", "v", "", 1).size() == 1 && store.size("visits") == std::make_pair(std::uint64_t(2), std::uint64_t(15)));
    store.erase("visits", "visits");
    CHECK(store.list("visits").size() == 1 && status_of([&] { store.set("visits", "", "x"); }) == DORMOUSE_ARGUMENT);
    CHECK(runtime.undeploy("visits") && runtime.undeploy("shared"));
    dormouse::DeployOptions member;
    member.store_namespace = dormouse_string_of("mine");
    runtime.deploy("visits", visits_wasm, member.store(store)).call("visit", {dormouse_i32(6)});
    CHECK(store.get("mine", "visits").has_value() && runtime.undeploy("visits"));
    dormouse::Store gone = std::move(store);
    CHECK(status_of([&] { runtime.deploy("visits", visits_wasm, member.store(store)); }) == DORMOUSE_NULL);
    CHECK(gone.list("mine").size() == 1);
    CHECK(status_of([] { dormouse::Store::open("/"); }) == DORMOUSE_STORE_IO);

    // A value that changes its length between two reads is still read as a whole.
    std::atomic<bool> done{false};
    std::thread writer([&] {
        for (int i = 0; !done; i++) gone.set("s", "k", std::string(static_cast<std::size_t>(i % 7) * 100, 'x'));
    });
    for (int i = 0; i < 20000; i++) {
        std::string value = gone.get("s", "k").value_or("");
        CHECK(value.size() % 100 == 0 && value.find_first_not_of('x') == std::string::npos);
    }
    done = true;
    writer.join();
}

// A runtime on a file, with the host's clock.
static void files(const char *program) {
    std::string path = std::string(program) + ".file";
    std::remove(path.c_str());
    auto time = std::make_shared<std::atomic<std::int64_t>>(0);
    dormouse::RuntimeOptions options;
    options.clock([time] { return std::chrono::nanoseconds(time->load()); });
    options.dead_letters = 5;
    try {
        dormouse::Runtime runtime = dormouse::Runtime::open(path, options);
        runtime.bind("kept", dormouse::Trigger::on("kept").to("nobody"));
        CHECK(runtime.publish(runtime.event(dormouse::EventOptions("kept"))) == 1);
        CHECK(status_of([&] { dormouse::Runtime::open(path); }) == DORMOUSE_STORE_IN_USE);
        runtime = dormouse::Runtime(options);
        CHECK(dormouse::Runtime::open(path).deliveries().parked == 1);
    } catch (const dormouse::Error &error) {
        CHECK(error.status() == DORMOUSE_NOT_BUILT);
    }
    options.clock({});
    CHECK(time.use_count() == 1); // All runtimes are gone, and with them their clocks.
    std::remove(path.c_str());
}

int main(int, char **argv) {
    dormouse::Runtime runtime;
    dormouse::Function echo = runtime.deploy("echo", echo_wasm);
    dormouse::Reply reply = echo.invoke("hello");
    CHECK(reply.output() == "hello" && reply.log().empty() && reply.report().fuel > 0);
    CHECK(reply.report_text().substr(0, 12) == "REPORT echo@");
    CHECK(echo.name() == "echo" && echo.version().size() == 64 && echo.prewarm(1) == 1);
    CHECK(echo.deploy_report().takes_bytes && runtime.trim(std::chrono::nanoseconds(0)) == 1);

    dormouse::Function copy = echo, moved = std::move(copy);
    CHECK(status_of([&] { copy.invoke(""); }) == DORMOUSE_NULL);
    dormouse::Reply taken = std::move(reply);
    CHECK(reply.output().empty() && status_of([&] { reply.report(); }) == DORMOUSE_NULL);
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

    events(runtime);
    programs(runtime);
    plugins(runtime);
    stores(runtime);
    files(argv[0]);
    // A host function and what it captures live as long as the function. A failed deployment does
    // not lose them.
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
