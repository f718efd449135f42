// dormouse.h for C++17: handles that free themselves, and errors that are thrown. Header only; link with the C library.
//
// Each class holds one handle of C, which `get()` lends, and says what the C type of its name says: ownership, lifetime and threads are
// told in dormouse.h. Classes can be moved; Runtime, Function and Cancel can be copied, which clones the handle. A moved-from object
// may be assigned to or destroyed, nothing else: calls on it throw DORMOUSE_NULL.
//
// Host functions may throw: what they throw ends the invocation, with its `what()` in the error, and goes no further.
#ifndef DORMOUSE_HPP
#define DORMOUSE_HPP

#include "dormouse.h"

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dormouse {

// A failed call.
class Error : public std::exception {
public:
    Error(dormouse_status status, dormouse_error *error) : status_(status), error_(error, dormouse_error_free) {}

    dormouse_status status() const noexcept { return status_; }
    dormouse_trap trap() const noexcept { return dormouse_error_trap(error_.get()); }
    const char *what() const noexcept override {
        const char *message = dormouse_error_message(error_.get(), nullptr);
        return message ? message : "dormouse: a call failed";
    }
    // NULL where no guest ran.
    const dormouse_report *report() const noexcept { return dormouse_error_report(error_.get()); }

private:
    dormouse_status status_;
    std::shared_ptr<dormouse_error> error_; // Exceptions are copied.
};

namespace detail {

// Calls `call(&error)`, and throws if that fails.
template <typename Call> void check(Call &&call) {
    dormouse_error *error = nullptr;
    dormouse_status status = call(&error);
    if (status != DORMOUSE_OK) throw Error(status, error);
}

// Makes a handle by `call(&handle, &error)`.
template <typename Handle, typename Call> Handle *make(Call &&call) {
    Handle *handle = nullptr;
    check([&](dormouse_error **error) { return call(&handle, error); });
    return handle;
}

template <typename Handle, void (*Free)(Handle *)> struct Freeing {
    void operator()(Handle *handle) const noexcept { Free(handle); }
};
template <typename Handle, void (*Free)(Handle *)> using Owned = std::unique_ptr<Handle, Freeing<Handle, Free>>;

inline const std::uint8_t *bytes(std::string_view text) noexcept {
    return reinterpret_cast<const std::uint8_t *>(text.data());
}

inline dormouse_string string(std::string_view text) noexcept { return {text.data(), text.size()}; }

} // namespace detail

// Ends invocations from another thread.
class Cancel {
public:
    Cancel() : handle_(detail::make<dormouse_cancel>(dormouse_cancel_new), dormouse_cancel_free) {}
    void cancel() const {
        detail::check([&](auto error) { return dormouse_cancel_cancel(handle_.get(), error); });
    }
    bool is_cancelled() const noexcept { return dormouse_cancel_is_cancelled(handle_.get()); }
    const dormouse_cancel *get() const noexcept { return handle_.get(); }

private:
    std::shared_ptr<dormouse_cancel> handle_;
};

// Choices for one invocation, with their defaults.
struct InvokeOptions : dormouse_invoke_options {
    InvokeOptions() {
        detail::check([&](auto error) { return dormouse_invoke_options_init(this, sizeof(dormouse_invoke_options), error); });
    }
};

// What a successful invocation gave back.
class Reply {
public:
    explicit Reply(dormouse_reply *handle) noexcept : handle_(handle) {}

    // Views into the reply, good as long as it is.
    std::string_view output() const noexcept {
        std::size_t len = 0;
        const std::uint8_t *at = dormouse_reply_output(get(), &len);
        return {reinterpret_cast<const char *>(at), len};
    }
    std::string_view log() const noexcept {
        std::size_t len = 0;
        const char *at = dormouse_reply_log(get(), &len);
        return {at, len};
    }
    std::vector<dormouse_value> values() const {
        std::size_t len = 0;
        const dormouse_value *at = dormouse_reply_values(get(), &len);
        return {at, at + len};
    }
    const dormouse_report &report() const noexcept { return *dormouse_reply_report(get()); }
    std::string_view report_text() const noexcept {
        std::size_t len = 0;
        const char *at = dormouse_reply_report_text(get(), &len);
        return {at, len};
    }
    const dormouse_reply *get() const noexcept { return handle_.get(); }

private:
    detail::Owned<dormouse_reply, dormouse_reply_free> handle_;
};

// A guest within a session: see Function::session.
class Guest {
public:
    explicit Guest(dormouse_guest *guest) noexcept : guest_(guest) {}

    // At most 16 results.
    std::vector<dormouse_value> call(std::string_view name, const std::vector<dormouse_value> &args = {}) {
        std::vector<dormouse_value> results(16);
        std::size_t count = 0;
        detail::check([&](auto error) {
            return dormouse_guest_call(guest_, name.data(), name.size(), args.data(), args.size(), results.data(), results.size(), &count, error);
        });
        results.resize(count);
        return results;
    }
    std::string read(std::uint32_t at, std::size_t len) {
        std::string bytes(len, '\0');
        detail::check([&](auto error) {
            return dormouse_guest_read(guest_, at, reinterpret_cast<std::uint8_t *>(bytes.data()), len, error);
        });
        return bytes;
    }
    void write(std::uint32_t at, std::string_view bytes) {
        detail::check([&](auto error) { return dormouse_guest_write(guest_, at, detail::bytes(bytes), bytes.size(), error); });
    }

private:
    dormouse_guest *guest_;
};

// A deployed function.
class Function {
public:
    explicit Function(dormouse_function *handle) noexcept : handle_(handle) {}
    Function(const Function &other)
        : handle_(detail::make<dormouse_function>([&](auto out, auto error) { return dormouse_function_clone(other.get(), out, error); })) {}
    Function(Function &&) noexcept = default;
    Function &operator=(Function other) noexcept {
        handle_.swap(other.handle_);
        return *this;
    }

    Reply invoke(std::string_view input, const dormouse_invoke_options *options = nullptr) const {
        return Reply(detail::make<dormouse_reply>([&](auto out, auto error) {
            return dormouse_function_invoke(get(), detail::bytes(input), input.size(), options, out, error);
        }));
    }
    Reply call(std::string_view name, const std::vector<dormouse_value> &args = {}, const dormouse_invoke_options *options = nullptr) const {
        return Reply(detail::make<dormouse_reply>([&](auto out, auto error) {
            return dormouse_function_call(get(), name.data(), name.size(), args.data(), args.size(), options, out, error);
        }));
    }
    // Runs `body(Guest &)` within one invocation. What it throws comes out here.
    template <typename Body> Reply session(Body &&body, const dormouse_invoke_options *options = nullptr) const {
        struct Running {
            Body *body;
            std::exception_ptr thrown;
        } running{&body, nullptr};
        auto run = [](void *user_data, dormouse_guest *lent) -> int {
            auto *running = static_cast<Running *>(user_data);
            try {
                Guest guest(lent);
                (*running->body)(guest);
                return 0;
            } catch (...) {
                running->thrown = std::current_exception();
                return 1;
            }
        };
        dormouse_reply *reply = nullptr;
        dormouse_error *error = nullptr;
        dormouse_status status = dormouse_function_session(get(), run, &running, options, &reply, &error);
        if (running.thrown) {
            dormouse_error_free(error);
            std::rethrow_exception(running.thrown);
        }
        if (status != DORMOUSE_OK) throw Error(status, error);
        return Reply(reply);
    }

    std::string_view name() const noexcept {
        std::size_t len = 0;
        const char *at = dormouse_function_name(get(), &len);
        return {at, len};
    }
    std::string version() const {
        char text[65];
        detail::check([&](auto error) { return dormouse_function_version(get(), text, sizeof text, error); });
        return text;
    }
    Function pinned() const {
        return Function(detail::make<dormouse_function>([&](auto out, auto error) { return dormouse_function_pin(get(), out, error); }));
    }
    dormouse_deploy_report deploy_report() const {
        dormouse_deploy_report report;
        detail::check([&](auto error) { return dormouse_function_deploy_report(get(), &report, error); });
        return report;
    }
    std::size_t prewarm(std::size_t count) const {
        std::size_t idle = 0;
        detail::check([&](auto error) { return dormouse_function_prewarm(get(), count, &idle, error); });
        return idle;
    }
    const dormouse_function *get() const noexcept { return handle_.get(); }

private:
    detail::Owned<dormouse_function, dormouse_function_free> handle_;
};

// A host function's view of the guest that calls it.
class Context {
public:
    explicit Context(dormouse_context *context) noexcept : context_(context) {}

    std::string read(std::uint32_t at, std::size_t len) {
        // Nothing is made of a size that a guest chose before the guest's memory is known to have it.
        if (at > memory_size() || len > memory_size() - at) {
            std::uint8_t none;
            detail::check([&](auto error) { return dormouse_context_read(context_, UINT32_MAX, &none, 1, error); });
        }
        std::string bytes(len, '\0');
        detail::check([&](auto error) {
            return dormouse_context_read(context_, at, reinterpret_cast<std::uint8_t *>(bytes.data()), len, error);
        });
        return bytes;
    }
    void write(std::uint32_t at, std::string_view bytes) {
        detail::check([&](auto error) { return dormouse_context_write(context_, at, detail::bytes(bytes), bytes.size(), error); });
    }
    void log(std::string_view line) {
        detail::check([&](auto error) { return dormouse_context_log(context_, line.data(), line.size(), error); });
    }
    void charge(std::uint64_t fuel) {
        detail::check([&](auto error) { return dormouse_context_charge(context_, fuel, error); });
    }
    std::uint64_t memory_size() const noexcept { return dormouse_context_memory_size(context_); }
    dormouse_context *get() const noexcept { return context_; }

private:
    dormouse_context *context_;
};

// What a host function is given and writes to: its arguments, and results that have their types.
using HostFunction = std::function<void(Context &, const dormouse_value *args, dormouse_value *results)>;

// Choices for a deployment, with their defaults, and the host functions that the guest may import.
class DeployOptions : public dormouse_deploy_options {
public:
    DeployOptions() {
        detail::check([&](auto error) { return dormouse_deploy_options_init(this, sizeof(dormouse_deploy_options), error); });
    }

    // Called from whichever threads invoke the function, several at once.
    DeployOptions &host(std::string module, std::string name, std::vector<dormouse_value_type> params,
                        std::vector<dormouse_value_type> results, HostFunction function) {
        granted_.push_back({std::move(module), std::move(name), std::move(params), std::move(results), std::move(function)});
        return *this;
    }

private:
    friend class Runtime;
    struct Granted {
        std::string module, name;
        std::vector<dormouse_value_type> params, results;
        HostFunction function;
    };
    std::vector<Granted> granted_;

    static int trampoline(void *user_data, dormouse_context *lent, const dormouse_value *args, dormouse_value *results) noexcept {
        std::string_view why;
        try {
            Context context(lent);
            (*static_cast<HostFunction *>(user_data))(context, args, results);
            return 0;
        } catch (const std::exception &thrown) {
            why = thrown.what();
            dormouse_context_fail(lent, why.data(), why.size(), nullptr);
        } catch (...) {
        }
        return 1;
    }
    static void release(void *user_data) noexcept { delete static_cast<HostFunction *>(user_data); }
};

// The parts of an event, with their defaults. Members point to text of the caller's, `detail::string` of a view for one.
struct EventOptions : dormouse_event_options {
    explicit EventOptions(std::string_view type_of_event) {
        detail::check([&](auto error) { return dormouse_event_options_init(this, sizeof(dormouse_event_options), error); });
        type = detail::string(type_of_event);
    }
    EventOptions &json(std::string_view text) noexcept {
        data = detail::bytes(text);
        data_len = text.size();
        data_kind = DORMOUSE_DATA_JSON;
        return *this;
    }
};

// An event as CloudEvents 1.0 has it.
class Event {
public:
    explicit Event(dormouse_event *handle) noexcept : handle_(handle) {}
    static Event from_json(std::string_view json) {
        return Event(detail::make<dormouse_event>(
            [&](auto out, auto error) { return dormouse_event_from_json(json.data(), json.size(), out, error); }));
    }
    std::string_view json() const noexcept {
        std::size_t len = 0;
        const char *at = dormouse_event_json(get(), &len);
        return {at, len};
    }
    const dormouse_event *get() const noexcept { return handle_.get(); }

private:
    detail::Owned<dormouse_event, dormouse_event_free> handle_;
};

// A trigger, with its defaults: events of one type to one function.
struct TriggerOptions : dormouse_trigger_options {
    TriggerOptions(dormouse_trigger_kind what, std::string_view woken_by, std::string_view function) {
        detail::check([&](auto error) { return dormouse_trigger_options_init(this, sizeof(dormouse_trigger_options), error); });
        kind = what;
        on = detail::string(woken_by);
        target = detail::string(function);
    }
};

// A function runtime.
class Runtime {
public:
    explicit Runtime(const dormouse_runtime_options *options = nullptr)
        : handle_(detail::make<dormouse_runtime>([&](auto out, auto error) { return dormouse_runtime_new(options, out, error); })) {}
    Runtime(const Runtime &other)
        : handle_(detail::make<dormouse_runtime>([&](auto out, auto error) { return dormouse_runtime_clone(other.get(), out, error); })) {}
    Runtime(Runtime &&) noexcept = default;
    Runtime &operator=(Runtime other) noexcept {
        handle_.swap(other.handle_);
        return *this;
    }

    Function deploy(std::string_view name, const std::uint8_t *module, std::size_t len, const DeployOptions &options = {}) const {
        // The library takes the functions over if the deployment succeeds; until then they are owned here.
        std::vector<std::unique_ptr<HostFunction>> functions;
        std::vector<dormouse_host_function> host;
        for (const auto &granted : options.granted_) {
            functions.push_back(std::make_unique<HostFunction>(granted.function));
            host.push_back({detail::string(granted.module), detail::string(granted.name), granted.params.data(), granted.params.size(),
                            granted.results.data(), granted.results.size(), DeployOptions::trampoline,
                            functions.back().get(), DeployOptions::release});
        }
        dormouse_deploy_options chosen = options;
        if (!host.empty()) {
            chosen.host_functions = host.data();
            chosen.host_functions_len = host.size();
        }
        Function deployed(detail::make<dormouse_function>([&](auto out, auto error) {
            return dormouse_runtime_deploy(get(), name.data(), name.size(), module, len, &chosen, out, error);
        }));
        for (auto &function : functions) function.release();
        return deployed;
    }
    template <std::size_t Len>
    Function deploy(std::string_view name, const std::uint8_t (&module)[Len], const DeployOptions &options = {}) const {
        return deploy(name, module, Len, options);
    }
    std::optional<Function> find(std::string_view name) const {
        dormouse_function *found = nullptr;
        dormouse_error *error = nullptr;
        dormouse_status status = dormouse_runtime_find(get(), name.data(), name.size(), &found, &error);
        if (status == DORMOUSE_OK) return Function(found);
        Error failed(status, error);
        if (status == DORMOUSE_NOT_FOUND) return std::nullopt;
        throw failed;
    }
    // False if there is none of this name.
    bool undeploy(std::string_view name) const {
        dormouse_error *error = nullptr;
        dormouse_status status = dormouse_runtime_undeploy(get(), name.data(), name.size(), &error);
        if (status == DORMOUSE_OK) return true;
        Error failed(status, error);
        if (status == DORMOUSE_NOT_FOUND) return false;
        throw failed;
    }
    std::size_t trim(std::chrono::nanoseconds idle) const {
        std::size_t gone = 0;
        detail::check([&](auto error) {
            return dormouse_runtime_trim(get(), idle.count() < 0 ? 0 : static_cast<std::uint64_t>(idle.count()), &gone, error);
        });
        return gone;
    }
    void bind(std::string_view id, const TriggerOptions &trigger) const {
        detail::check([&](auto error) { return dormouse_runtime_bind(get(), id.data(), id.size(), &trigger, error); });
    }
    Event event(const EventOptions &parts) const {
        return Event(detail::make<dormouse_event>([&](auto out, auto error) { return dormouse_runtime_event(get(), &parts, out, error); }));
    }
    std::size_t publish(const Event &event) const {
        std::size_t count = 0;
        detail::check([&](auto error) { return dormouse_runtime_publish(get(), event.get(), &count, error); });
        return count;
    }
    std::size_t run_pending(std::size_t budget = SIZE_MAX) const {
        std::size_t ran = 0;
        detail::check([&](auto error) { return dormouse_runtime_run_pending(get(), budget, &ran, error); });
        return ran;
    }
    dormouse_tick tick(std::chrono::system_clock::time_point now) const {
        dormouse_tick tick;
        auto since = std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch());
        detail::check([&](auto error) { return dormouse_runtime_tick(get(), since.count(), &tick, error); });
        return tick;
    }
    dormouse_deliveries deliveries() const {
        dormouse_deliveries all;
        detail::check([&](auto error) { return dormouse_runtime_deliveries(get(), &all, error); });
        return all;
    }
    // JSON, as the functions of C give it.
    std::string dead_letters(bool drain = false) const {
        return text([&](auto out, auto error) { return dormouse_runtime_dead_letters(get(), drain, out, error); });
    }
    std::string ledger() const {
        return text([&](auto out, auto error) { return dormouse_runtime_ledger(get(), out, error); });
    }
    const dormouse_runtime *get() const noexcept { return handle_.get(); }

private:
    template <typename Call> static std::string text(Call &&call) {
        detail::Owned<dormouse_text, dormouse_text_free> made(detail::make<dormouse_text>(call));
        std::size_t len = 0;
        const char *at = dormouse_text_chars(made.get(), &len);
        return {at, len};
    }
    detail::Owned<dormouse_runtime, dormouse_runtime_free> handle_;
};

} // namespace dormouse

#endif
