// dormouse.h for C++17: handles that free themselves, and errors that are thrown. Header only; link with the C library.
//
// Each class holds one handle of C, which `get()` lends, and says what the C type of its name says: ownership, lifetime and threads are
// told in dormouse.h. Classes can be moved; Runtime, Function, Cancel and Store can be copied, and stand for the same then. A moved-from object
// may be assigned to or destroyed, nothing else: calls on it throw DORMOUSE_NULL, or give nothing where they are noexcept.
//
// Options are values: they copy what they are given, but for InvokeOptions, and may be used again. Views are good as long as what lends them.
//
// Host functions may throw: what they throw ends the invocation, with its `what()` in the error, and goes no further. Clocks and
// sources of time and seeds must not.
#ifndef DORMOUSE_HPP
#define DORMOUSE_HPP

#include "dormouse.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
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

// Never NULL: an empty text is one too.
inline dormouse_string string(std::string_view text) noexcept { return {text.data() ? text.data() : "", text.size()}; }
inline dormouse_string optional(const std::optional<std::string> &text) noexcept {
    return text ? string(std::string_view(*text)) : dormouse_string{nullptr, 0};
}

// What is below zero is none, what is above 584 years is as much.
inline std::uint64_t nanos(std::chrono::nanoseconds time) noexcept {
    return time.count() < 0 ? 0 : static_cast<std::uint64_t>(time.count());
}

// False for what is not there.
template <typename Call> bool found(Call &&call) {
    dormouse_error *error = nullptr;
    dormouse_status status = call(&error);
    if (status == DORMOUSE_OK) return true;
    Error failed(status, error);
    if (status == DORMOUSE_NOT_FOUND) return false;
    throw failed;
}

inline std::string owned(dormouse_text *made) {
    Owned<dormouse_text, dormouse_text_free> text(made);
    std::size_t len = 0;
    const char *at = dormouse_text_chars(text.get(), &len);
    return at ? std::string(at, len) : std::string();
}

inline std::vector<std::string> owned(dormouse_names *made) {
    Owned<dormouse_names, dormouse_names_free> names(made);
    std::vector<std::string> all;
    for (std::size_t i = 0; i < dormouse_names_count(names.get()); i++) {
        std::size_t len = 0;
        const char *at = dormouse_names_at(names.get(), i, &len);
        all.emplace_back(at, len);
    }
    return all;
}

// A dry run, `call(&matches, &why, &error)`: no text where it matches.
template <typename Call> std::optional<std::string> why_not(Call &&call) {
    bool matches = false;
    dormouse_text *why = nullptr;
    check([&](dormouse_error **error) { return call(&matches, &why, error); });
    std::string text = owned(why);
    if (matches) return std::nullopt;
    return text;
}

// A list that C gives by index, as a range.
template <typename List, typename Item, std::size_t (*Count)(const List *),
          dormouse_status (*At)(const List *, std::size_t, Item *, dormouse_error **), void (*Free)(List *)>
class Range {
public:
    explicit Range(List *handle) noexcept : handle_(handle) {}

    std::size_t size() const noexcept { return Count(get()); }
    bool empty() const noexcept { return size() == 0; }
    // What it points to is good as long as the list.
    Item operator[](std::size_t index) const {
        Item item;
        check([&](dormouse_error **error) { return At(get(), index, &item, error); });
        return item;
    }

    class Iterator {
    public:
        Iterator(const Range *range, std::size_t index) noexcept : range_(range), index_(index) {}
        Item operator*() const { return (*range_)[index_]; }
        Iterator &operator++() noexcept {
            ++index_;
            return *this;
        }
        bool operator!=(const Iterator &other) const noexcept { return index_ != other.index_; }

    private:
        const Range *range_;
        std::size_t index_;
    };
    Iterator begin() const noexcept { return {this, 0}; }
    Iterator end() const noexcept { return {this, size()}; }
    const List *get() const noexcept { return handle_.get(); }

private:
    Owned<List, Free> handle_;
};

// A function of the host's, as C takes it: on the heap, freed by the library once it has taken it over.
template <typename Function> class Granted {
public:
    explicit Granted(const Function &function) : function_(std::make_unique<Function>(function)) {}
    void *user_data() const noexcept { return function_.get(); }
    // The call that it was given to has succeeded.
    void release() noexcept { (void)function_.release(); }
    static void free(void *user_data) { delete static_cast<Function *>(user_data); }

private:
    std::unique_ptr<Function> function_;
};

} // namespace detail

// Text of a struct of C.
inline std::string_view view(dormouse_string text) noexcept { return text.chars ? std::string_view(text.chars, text.len) : std::string_view(); }

// What dispatching an event did, trigger by trigger.
using Outcomes = detail::Range<dormouse_outcomes, dormouse_outcome, dormouse_outcomes_count, dormouse_outcomes_at, dormouse_outcomes_free>;
// Deliveries given up, the oldest first.
using DeadLetters =
    detail::Range<dormouse_dead_letters, dormouse_dead_letter, dormouse_dead_letters_count, dormouse_dead_letters_at, dormouse_dead_letters_free>;

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

// A key-value store, which copies share: in memory, or in a file.
class Store {
public:
    Store() : handle_(detail::make<dormouse_store>(dormouse_store_new), dormouse_store_free) {}
    static Store open(std::string_view path) {
        return Store(detail::make<dormouse_store>(
            [&](auto out, auto error) { return dormouse_store_open(path.data(), path.size(), out, error); }));
    }

    // The value of a key, if it has any.
    std::optional<std::string> get(std::string_view name_space, std::string_view key) const {
        for (;;) {
            std::size_t len = 0;
            if (!detail::found([&](auto error) {
                    return dormouse_store_len(get(), name_space.data(), name_space.size(), detail::bytes(key), key.size(), &len, error);
                }))
                return std::nullopt;
            std::string value(len, '\0');
            dormouse_error *error = nullptr;
            dormouse_status status = dormouse_store_get(get(), name_space.data(), name_space.size(), detail::bytes(key), key.size(),
                                                        reinterpret_cast<std::uint8_t *>(value.data()), value.size(), &len, &error);
            value.resize(status == DORMOUSE_OK ? len : 0);
            if (status == DORMOUSE_OK) return value;
            Error failed(status, error);
            // Somebody has changed it since its length was asked for.
            if (status != DORMOUSE_NO_ROOM && status != DORMOUSE_NOT_FOUND) throw failed;
        }
    }
    void set(std::string_view name_space, std::string_view key, std::string_view value) const {
        detail::check([&](auto error) {
            return dormouse_store_set(get(), name_space.data(), name_space.size(), detail::bytes(key), key.size(), detail::bytes(value),
                                      value.size(), error);
        });
    }
    void erase(std::string_view name_space, std::string_view key) const {
        detail::check([&](auto error) {
            return dormouse_store_delete(get(), name_space.data(), name_space.size(), detail::bytes(key), key.size(), error);
        });
    }
    // Keys that begin with `prefix` and come behind `after`, in the order of their bytes.
    std::vector<std::string> list(std::string_view name_space, std::string_view prefix = {}, std::string_view after = {},
                                  std::size_t max = SIZE_MAX) const {
        dormouse_names *made = detail::make<dormouse_names>([&](auto out, auto error) {
            return dormouse_store_list(get(), name_space.data(), name_space.size(), detail::bytes(prefix), prefix.size(),
                                       detail::bytes(after), after.size(), max, out, error);
        });
        return detail::owned(made);
    }
    // Keys that have a value, and bytes of both.
    std::pair<std::uint64_t, std::uint64_t> size(std::string_view name_space) const {
        std::pair<std::uint64_t, std::uint64_t> size;
        detail::check([&](auto error) {
            return dormouse_store_size(get(), name_space.data(), name_space.size(), &size.first, &size.second, error);
        });
        return size;
    }
    const dormouse_store *get() const noexcept { return handle_.get(); }

private:
    explicit Store(dormouse_store *handle) : handle_(handle, dormouse_store_free) {}

    std::shared_ptr<dormouse_store> handle_;
};

// Choices for one invocation, with their defaults: the struct of C, so `cancel`, `seed` and `entry` are borrowed until the invocation
// has ended.
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
    const dormouse_report &report() const {
        const dormouse_report *report = dormouse_reply_report(get());
        if (!report) throw Error(DORMOUSE_NULL, nullptr);
        return *report;
    }
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
            auto *session = static_cast<Running *>(user_data);
            try {
                Guest guest(lent);
                (*session->body)(guest);
                return 0;
            } catch (...) {
                session->thrown = std::current_exception();
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
    void set_concurrency(std::size_t max) const {
        detail::check([&](auto error) { return dormouse_function_set_concurrency(get(), max, error); });
    }
    std::size_t trim(std::chrono::nanoseconds idle) const {
        std::size_t gone = 0;
        detail::check([&](auto error) { return dormouse_function_trim(get(), detail::nanos(idle), &gone, error); });
        return gone;
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

class Runtime;

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
    // Blocks of an Extism plug-in, by their handles: its functions take and give bytes so.
    std::size_t block_len(std::uint64_t handle) {
        std::size_t len = 0;
        detail::check([&](auto error) { return dormouse_context_block_len(context_, handle, &len, error); });
        return len;
    }
    std::string read_block(std::uint64_t handle) {
        std::string bytes(block_len(handle), '\0');
        detail::check([&](auto error) {
            return dormouse_context_read_block(context_, handle, reinterpret_cast<std::uint8_t *>(bytes.data()), bytes.size(), error);
        });
        return bytes;
    }
    void write_block(std::uint64_t at, std::string_view bytes) {
        detail::check([&](auto error) { return dormouse_context_write_block(context_, at, detail::bytes(bytes), bytes.size(), error); });
    }
    std::uint64_t new_block(std::string_view bytes) {
        std::uint64_t handle = 0;
        detail::check([&](auto error) {
            return dormouse_context_new_block(context_, detail::bytes(bytes), bytes.size(), &handle, error);
        });
        return handle;
    }
    void free_block(std::uint64_t handle) {
        detail::check([&](auto error) { return dormouse_context_free_block(context_, handle, error); });
    }
    std::uint64_t memory_size() const noexcept { return dormouse_context_memory_size(context_); }
    // The name of the function that is running.
    std::string function() const {
        char name[65];
        detail::check([&](auto error) { return dormouse_context_function(context_, name, sizeof name, error); });
        return name;
    }
    // The delivery that the invocation belongs to, if to any.
    std::optional<dormouse_delivery> delivery() const {
        dormouse_delivery delivery;
        if (!detail::found([&](auto error) { return dormouse_context_delivery(context_, &delivery, error); })) return std::nullopt;
        return delivery;
    }
    Runtime runtime() const;
    dormouse_context *get() const noexcept { return context_; }

private:
    dormouse_context *context_;
};

// What a host function is given and writes to: its arguments, and results that have their types.
using HostFunction = std::function<void(Context &, const dormouse_value *args, dormouse_value *results)>;

// The time for a WASI guest, and seeds for its random numbers.
using TimeSource = std::function<std::chrono::system_clock::time_point()>;
using SeedSource = std::function<std::array<std::uint8_t, 32>()>;

// Choices for a deployment, with their defaults: the members of the struct of C, and what is given by the functions here.
class DeployOptions : public dormouse_deploy_options {
public:
    DeployOptions() {
        detail::check([&](auto error) { return dormouse_deploy_options_init(this, sizeof(dormouse_deploy_options), error); });
    }

    // A function that the guest may import. Called from whichever threads invoke the function, several at once.
    DeployOptions &host(std::string module, std::string name, std::vector<dormouse_value_type> params,
                        std::vector<dormouse_value_type> results, HostFunction function) {
        host_.push_back({std::move(module), std::move(name), std::move(params), std::move(results), std::move(function)});
        return *this;
    }
    // The export that is given events.
    DeployOptions &entry(std::string name) {
        entry_ = std::move(name);
        return *this;
    }
    // What a WASI program is given: arguments, its own name first; variables of its environment; the time; seeds.
    DeployOptions &args(std::vector<std::string> args) {
        args_ = std::move(args);
        return *this;
    }
    DeployOptions &env(std::string name, std::string value) {
        env_.emplace_back(std::move(name), std::move(value));
        return *this;
    }
    // What an Extism plug-in is given: values of its configuration, and variables that are set in each invocation.
    DeployOptions &config(std::string key, std::string value) {
        config_.emplace_back(std::move(key), std::move(value));
        return *this;
    }
    DeployOptions &var(std::string key, std::string value) {
        vars_.emplace_back(std::move(key), std::move(value));
        return *this;
    }
    // A key-value store that the guest may use, and the namespace in it, instead of the function's name.
    DeployOptions &store(Store store, std::optional<std::string> name_space = std::nullopt) {
        store_ = std::move(store);
        name_space_ = std::move(name_space);
        return *this;
    }
    DeployOptions &time(TimeSource source) {
        time_ = std::move(source);
        return *this;
    }
    DeployOptions &seeds(SeedSource source) {
        seeds_ = std::move(source);
        return *this;
    }

private:
    friend class Runtime;
    struct Host {
        std::string module, name;
        std::vector<dormouse_value_type> params, results;
        HostFunction function;
    };
    std::vector<Host> host_;
    std::optional<std::string> entry_;
    std::optional<std::vector<std::string>> args_;
    std::vector<std::pair<std::string, std::string>> env_, config_, vars_;
    std::optional<Store> store_;
    std::optional<std::string> name_space_;
    TimeSource time_;
    SeedSource seeds_;

    static int call(void *user_data, dormouse_context *lent, const dormouse_value *args, dormouse_value *results) noexcept {
        try {
            Context context(lent);
            (*static_cast<HostFunction *>(user_data))(context, args, results);
            return 0;
        } catch (const std::exception &thrown) {
            const char *why = thrown.what();
            dormouse_context_fail(lent, why, std::strlen(why), nullptr);
        } catch (...) {
        }
        return 1;
    }
    static std::uint64_t read_time(void *user_data) noexcept {
        auto since = (*static_cast<TimeSource *>(user_data))().time_since_epoch();
        return detail::nanos(std::chrono::duration_cast<std::chrono::nanoseconds>(since));
    }
    static void draw_seed(void *user_data, std::uint8_t *seed_out) noexcept {
        auto seed = (*static_cast<SeedSource *>(user_data))();
        std::memcpy(seed_out, seed.data(), seed.size());
    }

    // Calls `deploy(const dormouse_deploy_options *)` with all of it; what it throws leaves the functions here.
    template <typename Deploy> auto with(Deploy &&deploy) const {
        dormouse_deploy_options chosen = *this;
        std::vector<detail::Granted<HostFunction>> functions;
        std::vector<dormouse_host_function> host;
        for (const Host &given : host_) {
            functions.emplace_back(given.function);
            host.push_back({detail::string(given.module), detail::string(given.name), given.params.data(), given.params.size(),
                            given.results.data(), given.results.size(), call, functions.back().user_data(),
                            detail::Granted<HostFunction>::free});
        }
        if (!host.empty()) {
            chosen.host_functions = host.data();
            chosen.host_functions_len = host.size();
        }
        if (entry_) chosen.entry = detail::optional(entry_);
        // Room for one even where there is none: no arguments are something else than none given.
        std::vector<dormouse_string> args(1);
        std::vector<dormouse_variable> env, config;
        std::vector<dormouse_plugin_variable> variables;
        if (args_) {
            args.clear();
            args.reserve(args_->size() + 1);
            for (const std::string &arg : *args_) args.push_back(detail::string(arg));
            chosen.args = args.data();
            chosen.args_len = args.size();
        }
        for (const auto &[name, value] : env_) env.push_back({detail::string(name), detail::string(value)});
        if (!env.empty()) {
            chosen.env = env.data();
            chosen.env_len = env.size();
        }
        for (const auto &[key, value] : config_) config.push_back({detail::string(key), detail::string(value)});
        if (!config.empty()) {
            chosen.config = config.data();
            chosen.config_len = config.size();
        }
        for (const auto &[key, value] : vars_) variables.push_back({detail::string(key), detail::bytes(value), value.size()});
        if (!variables.empty()) {
            chosen.vars = variables.data();
            chosen.vars_len = variables.size();
        }
        if (store_) {
            if (!store_->get()) throw Error(DORMOUSE_NULL, nullptr);
            chosen.store = store_->get();
            if (name_space_) chosen.store_namespace = detail::optional(name_space_);
        }
        std::optional<detail::Granted<TimeSource>> time;
        if (time_) {
            time.emplace(time_);
            chosen.time = read_time;
            chosen.time_user_data = time->user_data();
            chosen.time_user_data_free = detail::Granted<TimeSource>::free;
        }
        std::optional<detail::Granted<SeedSource>> seeds;
        if (seeds_) {
            seeds.emplace(seeds_);
            chosen.seeds = draw_seed;
            chosen.seeds_user_data = seeds->user_data();
            chosen.seeds_user_data_free = detail::Granted<SeedSource>::free;
        }
        auto deployed = deploy(&chosen);
        for (auto &function : functions) function.release();
        if (time) time->release();
        if (seeds) seeds->release();
        return deployed;
    }
};

// The parts of an event. What is left out and needed comes from the runtime.
class EventOptions {
public:
    explicit EventOptions(std::string type) : type_(std::move(type)) {}

    EventOptions &id(std::string id) { return set(id_, std::move(id)); }
    EventOptions &source(std::string source) { return set(source_, std::move(source)); }
    EventOptions &subject(std::string subject) { return set(subject_, std::move(subject)); }
    // In RFC 3339.
    EventOptions &time(std::string time) { return set(time_, std::move(time)); }
    EventOptions &data_content_type(std::string media_type) { return set(data_content_type_, std::move(media_type)); }
    EventOptions &data_schema(std::string uri) { return set(data_schema_, std::move(uri)); }
    EventOptions &json(std::string data) { return set_data(DORMOUSE_DATA_JSON, std::move(data)); }
    EventOptions &text(std::string data) { return set_data(DORMOUSE_DATA_TEXT, std::move(data)); }
    EventOptions &binary(std::string data) { return set_data(DORMOUSE_DATA_BINARY, std::move(data)); }
    EventOptions &extension(std::string name, std::string value) {
        extensions_.push_back({std::move(name), std::move(value), 0, DORMOUSE_EXTENSION_TEXT});
        return *this;
    }
    EventOptions &extension(std::string name, const char *value) { return extension(std::move(name), std::string(value)); }
    EventOptions &extension(std::string name, std::int32_t value) {
        extensions_.push_back({std::move(name), {}, value, DORMOUSE_EXTENSION_INTEGER});
        return *this;
    }
    EventOptions &extension(std::string name, bool value) {
        extensions_.push_back({std::move(name), {}, value, DORMOUSE_EXTENSION_BOOLEAN});
        return *this;
    }

private:
    friend class Runtime;
    struct Extension {
        std::string name, text;
        std::int32_t number;
        dormouse_extension_kind kind;
    };
    std::string type_, data_;
    std::optional<std::string> id_, source_, subject_, time_, data_content_type_, data_schema_;
    dormouse_data_kind data_kind_ = DORMOUSE_DATA_NONE;
    std::vector<Extension> extensions_;

    EventOptions &set(std::optional<std::string> &part, std::string value) {
        part = std::move(value);
        return *this;
    }
    EventOptions &set_data(dormouse_data_kind kind, std::string data) {
        data_kind_ = kind;
        data_ = std::move(data);
        return *this;
    }
    template <typename Use> auto with(Use &&use) const {
        dormouse_event_options options;
        detail::check([&](auto error) { return dormouse_event_options_init(&options, sizeof options, error); });
        options.type = detail::string(type_);
        options.id = detail::optional(id_);
        options.source = detail::optional(source_);
        options.subject = detail::optional(subject_);
        options.time = detail::optional(time_);
        options.data_content_type = detail::optional(data_content_type_);
        options.data_schema = detail::optional(data_schema_);
        options.data = detail::bytes(data_);
        options.data_len = data_.size();
        options.data_kind = data_kind_;
        std::vector<dormouse_extension> extensions;
        for (const Extension &given : extensions_)
            extensions.push_back({detail::string(given.name), detail::string(given.text), given.number, given.kind});
        options.extensions = extensions.data();
        options.extensions_len = extensions.size();
        return use(&options);
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
    // The bytes of its data; none if it has none.
    std::string_view data() const noexcept {
        std::size_t len = 0;
        const std::uint8_t *at = dormouse_event_data(get(), &len);
        return {reinterpret_cast<const char *>(at), len};
    }
    // An attribute or extension by its name in CloudEvents, as text.
    std::optional<std::string> attribute(std::string_view name) const { return attribute(get(), name); }
    // The same of an event that is lent, by a dead letter for one.
    static std::optional<std::string> attribute(const dormouse_event *event, std::string_view name) {
        dormouse_text *value = nullptr;
        if (!detail::found([&](auto error) { return dormouse_event_attribute(event, name.data(), name.size(), &value, error); }))
            return std::nullopt;
        return detail::owned(value);
    }
    const dormouse_event *get() const noexcept { return handle_.get(); }

private:
    detail::Owned<dormouse_event, dormouse_event_free> handle_;
};

// A pattern in the dialect of EventBridge, to be tried by itself.
class Pattern {
public:
    explicit Pattern(std::string_view pattern)
        : handle_(detail::make<dormouse_pattern>([&](auto out, auto error) { return dormouse_pattern_new(pattern.data(), pattern.size(), out, error); })) {}

    bool matches(std::string_view json) const {
        bool matches = false;
        detail::check([&](auto error) { return dormouse_pattern_matches(get(), json.data(), json.size(), &matches, nullptr, error); });
        return matches;
    }
    // Which field fails first and why; nothing where all match.
    std::optional<std::string> explain(std::string_view json) const {
        return detail::why_not(
            [&](auto matches, auto why, auto error) { return dormouse_pattern_matches(get(), json.data(), json.size(), matches, why, error); });
    }
    const dormouse_pattern *get() const noexcept { return handle_.get(); }

private:
    detail::Owned<dormouse_pattern, dormouse_pattern_free> handle_;
};

// What makes events reach a function: `Trigger::on("image.uploaded").to("resize")`.
class Trigger {
public:
    static Trigger on(std::string type) { return Trigger(DORMOUSE_TRIGGER_TYPE, std::move(type)); }
    static Trigger topic(std::string attribute, std::string filter) {
        Trigger trigger(DORMOUSE_TRIGGER_TOPIC, std::move(filter));
        trigger.attribute_ = std::move(attribute);
        return trigger;
    }
    static Trigger pattern(std::string pattern) { return Trigger(DORMOUSE_TRIGGER_PATTERN, std::move(pattern)); }
    static Trigger schedule(std::string schedule) { return Trigger(DORMOUSE_TRIGGER_SCHEDULE, std::move(schedule)); }
    static Trigger route(std::string method, std::string path) {
        Trigger trigger(DORMOUSE_TRIGGER_ROUTE, std::move(path));
        trigger.method_ = std::move(method);
        return trigger;
    }

    // The function: a name, with a version or an alias behind an `@` if need be.
    Trigger &to(std::string target) {
        target_ = std::move(target);
        return *this;
    }
    // Gives the function the event's data alone, or these bytes, instead of the event.
    Trigger &data() {
        options_.input = DORMOUSE_INPUT_DATA;
        constant_.clear();
        return *this;
    }
    Trigger &constant(std::string input) {
        options_.input = DORMOUSE_INPUT_CONSTANT;
        constant_ = std::move(input);
        return *this;
    }
    Trigger &ordered() {
        options_.ordered = true;
        return *this;
    }
    Trigger &disabled() {
        options_.disabled = true;
        return *this;
    }
    Trigger &overlapping() {
        options_.overlapping = true;
        return *this;
    }
    Trigger &missed(dormouse_missed what, std::uint32_t max = 1) {
        options_.missed = what;
        options_.missed_max = max;
        return *this;
    }
    // At which distances a failed delivery is tried again, and how often it is run at most.
    Trigger &retry(dormouse_retry kind, std::chrono::nanoseconds first, std::uint32_t attempts) {
        options_.retry = kind;
        options_.retry_first_ns = detail::nanos(first);
        options_.retry_attempts = attempts;
        return *this;
    }
    Trigger &at_most(std::chrono::nanoseconds distance) {
        options_.retry_longest_ns = detail::nanos(distance);
        return *this;
    }
    Trigger &age(std::chrono::nanoseconds age) {
        options_.retry_age_ns = detail::nanos(age);
        return *this;
    }
    Trigger &without_jitter() {
        options_.retry_without_jitter = true;
        return *this;
    }
    // Publishes the function's replies, if they have one of these types.
    Trigger &emits(std::vector<std::string> types) {
        emits_ = std::move(types);
        return *this;
    }

private:
    friend class Runtime;
    dormouse_trigger_options options_;
    std::string on_, constant_;
    std::optional<std::string> attribute_, method_, target_;
    std::optional<std::vector<std::string>> emits_;

    Trigger(dormouse_trigger_kind kind, std::string on) : on_(std::move(on)) {
        detail::check([&](auto error) { return dormouse_trigger_options_init(&options_, sizeof options_, error); });
        options_.kind = kind;
    }
    template <typename Use> auto with(Use &&use) const {
        dormouse_trigger_options options = options_;
        options.on = detail::string(on_);
        options.attribute = detail::optional(attribute_);
        options.method = detail::optional(method_);
        options.target = detail::optional(target_);
        options.constant = detail::bytes(constant_);
        options.constant_len = constant_.size();
        std::vector<dormouse_string> emits(1);
        if (emits_) {
            emits.clear();
            emits.reserve(emits_->size() + 1);
            for (const std::string &type : *emits_) emits.push_back(detail::string(type));
            options.emits = emits.data();
            options.emits_len = emits.size();
        }
        return use(&options);
    }
};

// A request, for the function whose route it fits.
class Request {
public:
    Request(std::string method, std::string target) : method_(std::move(method)), target_(std::move(target)) {}
    Request &header(std::string name, std::string value) {
        headers_.emplace_back(std::move(name), std::move(value));
        return *this;
    }
    Request &body(std::string body) {
        body_ = std::move(body);
        return *this;
    }

private:
    friend class Runtime;
    std::string method_, target_, body_;
    std::vector<std::pair<std::string, std::string>> headers_;
};

// What a host's server sends back.
class Response {
public:
    explicit Response(dormouse_response *handle) noexcept : handle_(handle) {}
    unsigned status() const noexcept { return dormouse_response_status(get()); }
    std::string_view body() const noexcept {
        std::size_t len = 0;
        const std::uint8_t *at = dormouse_response_body(get(), &len);
        return {reinterpret_cast<const char *>(at), len};
    }
    std::vector<std::pair<std::string_view, std::string_view>> headers() const {
        std::vector<std::pair<std::string_view, std::string_view>> all;
        dormouse_header header;
        while (detail::found([&](auto error) { return dormouse_response_header(get(), all.size(), &header, error); }))
            all.emplace_back(view(header.name), view(header.value));
        return all;
    }
    // What went wrong, for the host's log; empty for what a function answered itself.
    std::string_view error() const noexcept {
        std::size_t len = 0;
        const char *at = dormouse_response_error(get(), &len);
        return at ? std::string_view(at, len) : std::string_view();
    }
    const dormouse_response *get() const noexcept { return handle_.get(); }

private:
    detail::Owned<dormouse_response, dormouse_response_free> handle_;
};

// Threads that run the queue. They end, and are waited for, when this is destroyed: dormouse_workers_free says more.
class Workers {
public:
    explicit Workers(dormouse_workers *handle) noexcept : handle_(handle) {}
    std::size_t count() const noexcept { return dormouse_workers_count(get()); }
    // Ends them now.
    void stop() noexcept { handle_.reset(); }
    const dormouse_workers *get() const noexcept { return handle_.get(); }

private:
    detail::Owned<dormouse_workers, dormouse_workers_free> handle_;
};

// A clock: time since some instant that stays the same.
using Clock = std::function<std::chrono::nanoseconds()>;

// Choices for a runtime, with their defaults.
class RuntimeOptions : public dormouse_runtime_options {
public:
    RuntimeOptions() {
        detail::check([&](auto error) { return dormouse_runtime_options_init(this, sizeof(dormouse_runtime_options), error); });
    }
    // Read from any thread, several at once. It must not call this library.
    RuntimeOptions &clock(Clock clock) {
        clock_ = std::move(clock);
        return *this;
    }

private:
    friend class Runtime;
    Clock clock_;

    static std::uint64_t now(void *user_data) noexcept { return detail::nanos((*static_cast<Clock *>(user_data))()); }
    template <typename Make> dormouse_runtime *with(Make &&make) const {
        dormouse_runtime_options chosen = *this;
        std::optional<detail::Granted<Clock>> clock;
        if (clock_) {
            clock.emplace(clock_);
            chosen.clock = now;
            chosen.clock_user_data = clock->user_data();
            chosen.clock_user_data_free = detail::Granted<Clock>::free;
        }
        dormouse_runtime *made = detail::make<dormouse_runtime>([&](auto out, auto error) { return make(&chosen, out, error); });
        if (clock) clock->release();
        return made;
    }
};

// A function runtime.
class Runtime {
public:
    explicit Runtime(const RuntimeOptions &options = {}) : handle_(options.with(dormouse_runtime_new)) {}
    explicit Runtime(dormouse_runtime *handle) noexcept : handle_(handle) {}
    // On a file: deliveries and dead letters survive the process.
    static Runtime open(std::string_view path, const RuntimeOptions &options = {}) {
        return Runtime(options.with([&](auto chosen, auto out, auto error) {
            return dormouse_runtime_open(path.data(), path.size(), chosen, out, error);
        }));
    }
    Runtime(const Runtime &other)
        : handle_(detail::make<dormouse_runtime>([&](auto out, auto error) { return dormouse_runtime_clone(other.get(), out, error); })) {}
    Runtime(Runtime &&) noexcept = default;
    Runtime &operator=(Runtime other) noexcept {
        handle_.swap(other.handle_);
        return *this;
    }

    Function deploy(std::string_view name, const std::uint8_t *module, std::size_t len, const DeployOptions &options = {}) const {
        return options.with([&](const dormouse_deploy_options *chosen) {
            return Function(detail::make<dormouse_function>([&](auto out, auto error) {
                return dormouse_runtime_deploy(get(), name.data(), name.size(), module, len, chosen, out, error);
            }));
        });
    }
    template <std::size_t Len>
    Function deploy(std::string_view name, const std::uint8_t (&module)[Len], const DeployOptions &options = {}) const {
        return deploy(name, module, Len, options);
    }
    std::optional<Function> find(std::string_view name) const {
        dormouse_function *found = nullptr;
        if (!detail::found([&](auto error) { return dormouse_runtime_find(get(), name.data(), name.size(), &found, error); }))
            return std::nullopt;
        return Function(found);
    }
    // All deployed functions, by name.
    std::vector<Function> functions() const {
        std::vector<dormouse_function *> handles;
        std::vector<Function> functions;
        for (std::size_t count = 0;;) {
            detail::check([&](auto error) { return dormouse_runtime_functions(get(), handles.data(), handles.size(), &count, error); });
            bool all = count <= handles.size();
            if (!all) {
                for (dormouse_function *handle : handles) dormouse_function_free(handle);
                handles.assign(count, nullptr);
                continue;
            }
            handles.resize(count);
            functions.reserve(count);
            for (dormouse_function *handle : handles) functions.emplace_back(handle);
            return functions;
        }
    }
    // False if there is none of this name.
    bool undeploy(std::string_view name) const {
        return detail::found([&](auto error) { return dormouse_runtime_undeploy(get(), name.data(), name.size(), error); });
    }
    void alias(std::string_view alias, const Function &function) const {
        detail::check([&](auto error) { return dormouse_runtime_alias(get(), alias.data(), alias.size(), function.get(), error); });
    }
    // False if there is none.
    bool unalias(std::string_view alias, std::string_view name) const {
        return detail::found(
            [&](auto error) { return dormouse_runtime_unalias(get(), alias.data(), alias.size(), name.data(), name.size(), error); });
    }
    std::size_t trim(std::chrono::nanoseconds idle) const {
        std::size_t gone = 0;
        detail::check([&](auto error) { return dormouse_runtime_trim(get(), detail::nanos(idle), &gone, error); });
        return gone;
    }

    void bind(std::string_view id, const Trigger &trigger) const {
        trigger.with([&](auto options) {
            detail::check([&](auto error) { return dormouse_runtime_bind(get(), id.data(), id.size(), options, error); });
        });
    }
    // False if there is none of this id.
    bool unbind(std::string_view id) const {
        return detail::found([&](auto error) { return dormouse_runtime_unbind(get(), id.data(), id.size(), error); });
    }
    bool enable(std::string_view id, bool on = true) const {
        return detail::found([&](auto error) { return dormouse_runtime_enable(get(), id.data(), id.size(), on, error); });
    }
    std::vector<std::string> triggers() const {
        return detail::owned(detail::make<dormouse_names>([&](auto out, auto error) { return dormouse_runtime_triggers(get(), out, error); }));
    }
    // A dry run: the ids of the triggers that an event would wake.
    std::vector<std::string> matches(const Event &event) const {
        return detail::owned(
            detail::make<dormouse_names>([&](auto out, auto error) { return dormouse_runtime_matches(get(), event.get(), out, error); }));
    }
    // Why an event would not wake a trigger; nothing if it would.
    std::optional<std::string> explain(std::string_view id, const Event &event) const {
        return detail::why_not([&](auto matches, auto why, auto error) {
            return dormouse_runtime_explain(get(), id.data(), id.size(), event.get(), matches, why, error);
        });
    }

    Event event(const EventOptions &parts) const {
        return parts.with([&](auto options) {
            return Event(detail::make<dormouse_event>([&](auto out, auto error) { return dormouse_runtime_event(get(), options, out, error); }));
        });
    }
    std::size_t publish(const Event &event) const { return publish(event.get()); }
    // An event that is lent, by a dead letter for one.
    std::size_t publish(const dormouse_event *event) const {
        std::size_t count = 0;
        detail::check([&](auto error) { return dormouse_runtime_publish(get(), event, &count, error); });
        return count;
    }
    Outcomes dispatch(const Event &event) const {
        return Outcomes(
            detail::make<dormouse_outcomes>([&](auto out, auto error) { return dormouse_runtime_dispatch(get(), event.get(), out, error); }));
    }
    Response request(const Request &request) const {
        dormouse_request_options options;
        detail::check([&](auto error) { return dormouse_request_options_init(&options, sizeof options, error); });
        std::vector<dormouse_header> headers;
        for (const auto &[name, value] : request.headers_) headers.push_back({detail::string(name), detail::string(value)});
        options.method = detail::string(request.method_);
        options.target = detail::string(request.target_);
        options.headers = headers.data();
        options.headers_len = headers.size();
        options.body = detail::bytes(request.body_);
        options.body_len = request.body_.size();
        return Response(
            detail::make<dormouse_response>([&](auto out, auto error) { return dormouse_runtime_request(get(), &options, out, error); }));
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
    // How long the host may sleep; nothing if only a call of its own can bring something about.
    std::optional<std::chrono::nanoseconds> next_deadline() const {
        std::uint64_t ns = 0;
        detail::check([&](auto error) { return dormouse_runtime_next_deadline(get(), &ns, error); });
        if (ns == UINT64_MAX) return std::nullopt;
        return std::chrono::nanoseconds(ns > INT64_MAX ? INT64_MAX : static_cast<std::int64_t>(ns));
    }
    // 1 to 1,024 threads that run the queue, until they are destroyed.
    Workers workers(std::size_t count) const {
        return Workers(detail::make<dormouse_workers>([&](auto out, auto error) { return dormouse_runtime_workers(get(), count, out, error); }));
    }
    dormouse_deliveries deliveries() const {
        dormouse_deliveries all;
        detail::check([&](auto error) { return dormouse_runtime_deliveries(get(), &all, error); });
        return all;
    }
    DeadLetters dead_letters() const {
        return DeadLetters(
            detail::make<dormouse_dead_letters>([&](auto out, auto error) { return dormouse_runtime_dead_letters(get(), out, error); }));
    }
    // Takes them out.
    DeadLetters drain_dead_letters() const {
        return DeadLetters(
            detail::make<dormouse_dead_letters>([&](auto out, auto error) { return dormouse_runtime_drain_dead_letters(get(), out, error); }));
    }
    // Queues a dead letter's event once more, and returns the number of the new delivery.
    std::uint64_t redrive(std::uint64_t id) const {
        std::uint64_t delivery = 0;
        detail::check([&](auto error) { return dormouse_runtime_redrive(get(), id, &delivery, error); });
        return delivery;
    }
    // What each function has used, as JSON.
    std::string ledger() const {
        return detail::owned(detail::make<dormouse_text>([&](auto out, auto error) { return dormouse_runtime_ledger(get(), out, error); }));
    }
    const dormouse_runtime *get() const noexcept { return handle_.get(); }

private:
    detail::Owned<dormouse_runtime, dormouse_runtime_free> handle_;
};

inline Runtime Context::runtime() const {
    return Runtime(detail::make<dormouse_runtime>([&](auto out, auto error) { return dormouse_context_runtime(context_, out, error); }));
}

} // namespace dormouse

#endif
