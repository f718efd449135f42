// dormouse: WebAssembly functions that run inside your program: sandboxed, metered, bounded and stateless.
//
// Made by cbindgen from bindings/c/src; edit it there.
//
// Conventions, which hold for every function unless it says otherwise
//
// Status. A function that can fail returns a dormouse_status, whose numbers are fixed; DORMOUSE_OK is 0. Its last
// parameter is `error_out`: where it is not NULL and the call fails, `*error_out` receives an error, with a message,
// a trap and a report, which the caller frees with dormouse_error_free.
//
// Results. What a call gives goes through pointers that end in `_out`. They are written on success, and on success
// only. They may be NULL where the function says so.
//
// NULL. Every pointer is checked. A call that is given NULL where something is needed returns DORMOUSE_NULL, names
// the parameter, and does nothing. Functions without a status give NULL, 0 or false for NULL. Freeing NULL does
// nothing.
//
// Text and bytes. Arguments are a pointer and, right behind it, a length; no NUL is needed, or looked for. A pointer
// may be NULL if its length is 0; a length that no array can have is DORMOUSE_ARGUMENT, whatever the function. Text is
// UTF-8. DORMOUSE_STR(s) stands for both arguments of a string of C; structs
// have the two as a dormouse_string. Text that is given back has a length and a NUL behind it.
//
// Ownership. Arguments are borrowed until the call returns. What is made is freed by the `_free` function of its
// type, once. What is lent is a `const` pointer into a handle, good until that handle is freed.
//
// Lifetime. Handles of runtimes, functions, stores and cancel handles are counted, and keep what they need: they may
// be freed in any order. A call under way keeps what it works on, so that a callback may free the very handles by
// which it was reached: that takes effect when the call is over.
//
// Threads. `const T *` means that any number of threads may pass the same handle at once; `T *` is for one at a time.
// Freeing a handle counts as one more use: no thread may begin a call with it at the same time or later, and a call is
// known to have begun once it has reached a callback. There are no thread-local errors, and no call needs to be made on
// a particular thread. A thread that deploys or invokes needs 512 KiB of stack; one whose thread-local data are being
// destroyed can do neither, and is told DORMOUSE_PANIC.
//
// Callbacks get their `user_data` first, which should hold no handle of the runtime that it is given to, as that would
// keep the runtime, and so itself, for ever: host functions get one from their context. They may call all of this
// library, on any handle: an invocation from within
// a host function is nested in that which called it, at most five deep in all, ends with the outer deadline at the
// latest, and is DORMOUSE_BUSY at once where only an instance that this thread holds could serve it. A callback must
// return: no longjmp, no C++ exception out of it. Contexts and guests that a callback is lent are good for that call
// alone, on its thread.
//
// Panics. A bug in the library does not unwind into C: it is caught, printed to stderr, and returned as
// DORMOUSE_PANIC.
//
// Stability. Before 1.0 there is no promise of a stable ABI: the minor version is part of the SONAME, and a program
// is built with the header of the library that it is linked with. The numbers of statuses stay. Options begin with
// their size, by which a library refuses those of another header, shorter or longer: DORMOUSE_ARGUMENT, and nothing is
// written to them.
#ifndef DORMOUSE_H
#define DORMOUSE_H


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// The version of this header: major, which is 0 as long as there is no promise of a stable ABI.
#define DORMOUSE_VERSION_MAJOR 0

// The version of this header: minor, which the SONAME carries.
#define DORMOUSE_VERSION_MINOR 1

// The version of this header: patch.
#define DORMOUSE_VERSION_PATCH 0

// How a call went. The numbers are fixed: each keeps its meaning for ever, retired ones are not used again, new ones
// are added; so a host treats one that it does not know as a failure.
typedef enum {
    // It went well.
    DORMOUSE_OK = 0,
    // A pointer that must not be NULL is NULL. The message names the parameter. Nothing has been done.
    DORMOUSE_NULL = 1,
    // An argument that no call can have: an options struct that has not been initialised, an unknown constant,
    // options that contradict each other, a length beyond that of any array. Nothing has been done.
    DORMOUSE_ARGUMENT = 2,
    // A text is no UTF-8. Nothing has been done.
    DORMOUSE_UTF8 = 3,
    // The caller's room is too small for the result. An invocation has run; its report says how much is needed.
    DORMOUSE_NO_ROOM = 4,
    // There is nothing of this name.
    DORMOUSE_NOT_FOUND = 5,
    // A bug in this library: a panic was caught at its edge. What the call worked on is dropped, the rest goes on.
    DORMOUSE_PANIC = 6,
    // A failure that has no number in this version. The message says what it is.
    DORMOUSE_OTHER = 7,
    // This library was built without what the call needs. The message names the feature.
    DORMOUSE_NOT_BUILT = 8,
    // The system has no thread to give.
    DORMOUSE_NO_THREAD = 9,
    // The name is not 1 to 64 of the characters A-Z a-z 0-9 . _ -
    DORMOUSE_INVALID_NAME = 100,
    // An option of the deployment contradicts itself or the runtime.
    DORMOUSE_INVALID_OPTION = 101,
    // The module is larger than a limit allows.
    DORMOUSE_TOO_LARGE = 102,
    // The bytes are no WebAssembly module, or one that does not validate. The message says where.
    DORMOUSE_INVALID_MODULE = 103,
    // The module needs a WebAssembly proposal that is not there.
    DORMOUSE_MISSING_PROPOSAL = 104,
    // The module imports what the deployment does not provide. The message lists all such imports.
    DORMOUSE_UNKNOWN_IMPORTS = 106,
    // The export that the deployment names as entry is missing or has another type.
    DORMOUSE_ENTRY = 107,
    // An active data segment lies outside its memory.
    DORMOUSE_SEGMENT_OUT_OF_BOUNDS = 108,
    // The module's initialisation calls the host, and must be repeated for each instance.
    DORMOUSE_UNREPEATABLE_INITIALISATION = 109,
    // The interpreter refuses a module that is valid.
    DORMOUSE_REFUSED = 110,
    // The library was built with a profile under which the interpreter is unsafe. The message says what to change.
    DORMOUSE_UNSAFE_BUILD = 111,
    // The runtime holds as many functions as it may.
    DORMOUSE_TOO_MANY_FUNCTIONS = 112,
    // The guest ran out of fuel.
    DORMOUSE_OUT_OF_FUEL = 200,
    // The guest ran past its deadline.
    DORMOUSE_DEADLINE_EXCEEDED = 201,
    // The invocation was cancelled through its handle.
    DORMOUSE_CANCELLED = 202,
    // The guest trapped. `dormouse_error_trap` says how.
    DORMOUSE_TRAP = 203,
    // A host function, or the callback of a session, reported a failure.
    DORMOUSE_HOST_FUNCTION = 204,
    // A host function unwound: a Rust panic, in a host that is partly Rust.
    DORMOUSE_HOST_PANIC = 205,
    // The guest does not keep its contract.
    DORMOUSE_CONTRACT = 206,
    // A read or write lies outside the guest's memory.
    DORMOUSE_OUT_OF_BOUNDS = 207,
    // The input is larger than its limit. The guest did not run.
    DORMOUSE_INPUT_TOO_LARGE = 208,
    // The output is larger than its limit.
    DORMOUSE_OUTPUT_TOO_LARGE = 209,
    // No instance is to be had, or there is no room to make one.
    DORMOUSE_BUSY = 210,
    // The function is not deployed: it was taken out of service, or its alias was removed.
    DORMOUSE_UNDEPLOYED = 211,
    // New instances of the function kept failing to initialise; it is left alone for a while.
    DORMOUSE_QUARANTINED = 212,
    // Initialisation failed, at deployment or of a new instance. The message says in which step.
    DORMOUSE_INITIALISE = 213,
    // The module has no such export, or it is no function.
    DORMOUSE_NO_SUCH_EXPORT = 214,
    // The arguments do not fit the export's type.
    DORMOUSE_SIGNATURE = 215,
    // The function takes no bytes: its exports are for `dormouse_function_call` and `dormouse_function_session`.
    DORMOUSE_NOT_INVOCABLE = 216,
    // The interpreter gave up for a reason that is no trap of the specification.
    DORMOUSE_INTERPRETER = 217,
    // Host functions invoke functions too deep: five invocations, the outermost included.
    DORMOUSE_NESTED_TOO_DEEP = 218,
    // The guest ended itself: a program with an exit code that is not 0. The message has the code and the end of its
    // log.
    DORMOUSE_EXIT = 219,
    // The guest says that it will never take this input; a delivery is not tried again. The message has the end of
    // its log.
    DORMOUSE_REJECTED = 220,
    // An Extism plug-in set an error, or its export answered a code that is not 0. The message has both, and
    // `dormouse_error_trap` says whether it trapped then, as most do.
    DORMOUSE_GUEST_ERROR = 221,
    // A handle that is not that of a live block of an Extism plug-in, or an address whose bytes do not lie in one.
    DORMOUSE_INVALID_HANDLE = 222,
    // Blocks of an Extism plug-in do not fit into what its memories leave of the limit.
    DORMOUSE_MEMORY_LIMIT = 223,
    // Somebody, another invocation or the host, has changed a key of the key-value store since this invocation compared
    // it. Nothing is written; it can be invoked again.
    DORMOUSE_KV_CONFLICT = 224,
    // What was staged for the key-value store is more than the namespace may hold, with what others have committed
    // meanwhile.
    DORMOUSE_KV_FULL = 225,
    // The key-value store failed in an invocation. The message has its words.
    DORMOUSE_KV_STORE = 226,
    // What should be an event is none. The message names the attribute.
    DORMOUSE_EVENT = 300,
    // The event type is reserved: types that begin with `dormouse.` are the runtime's own.
    DORMOUSE_RESERVED_TYPE = 301,
    // The event is larger than the runtime's limit.
    DORMOUSE_EVENT_TOO_LARGE = 302,
    // The queue has no room for the event's deliveries.
    DORMOUSE_QUEUE_FULL = 303,
    // A function's reply is no event, or one of a type that its trigger does not emit.
    DORMOUSE_REPLY = 304,
    // The event repeats keys around arrays so often that patterns cannot be matched against it.
    DORMOUSE_AMBIGUOUS = 305,
    // The trigger has something that no trigger can have. The message says what.
    DORMOUSE_INVALID_TRIGGER = 310,
    // The text is no pattern. The message says where.
    DORMOUSE_PATTERN = 311,
    // Another trigger has the id.
    DORMOUSE_TAKEN = 312,
    // The runtime has as many triggers as it may.
    DORMOUSE_TOO_MANY_TRIGGERS = 313,
    // The runtime has as many aliases as it may.
    DORMOUSE_TOO_MANY_ALIASES = 314,
    // The disk is full. Nothing was stored; it goes on when there is room.
    DORMOUSE_STORE_FULL = 320,
    // Another runtime or store, here or in another process, has the file open.
    DORMOUSE_STORE_IN_USE = 321,
    // The file is damaged, or was not written by this library.
    DORMOUSE_STORE_CORRUPT = 322,
    // The file could not be opened, read or written. The message has what the system says.
    DORMOUSE_STORE_IO = 323,
} dormouse_status;

// How a used instance becomes clean.
typedef enum {
    // In a way that has no number in this version.
    DORMOUSE_CLEANING_OTHER = 0,
    // No code of the guest changes anything.
    DORMOUSE_CLEANING_NONE = 1,
    // In place; where it is used often, only the pages that were written to, looked for where the thread took page
    // faults.
    DORMOUSE_CLEANING_GATED = 2,
    // The same, looked for after every run.
    DORMOUSE_CLEANING_SCANNED = 3,
    // In place, memories as a whole.
    DORMOUSE_CLEANING_PORTABLE = 4,
    // By a fresh instance.
    DORMOUSE_CLEANING_REPLACED = 5,
} dormouse_cleaning;

// What came of one attempt to deliver an event.
typedef enum {
    // Something that has no number in this version.
    DORMOUSE_OUTCOME_OTHER = 0,
    // The function ran; there is a reply.
    DORMOUSE_OUTCOME_SUCCEEDED = 1,
    // The attempt failed, and is made again later; there is an error.
    DORMOUSE_OUTCOME_RETRY = 2,
    // The attempt failed, and the delivery is given up, as a dead letter; there is an error.
    DORMOUSE_OUTCOME_DEAD_LETTER = 3,
    // The function is not deployed, or off. The delivery waits until it is there.
    DORMOUSE_OUTCOME_PARKED = 4,
    // The trigger is ordered, and others are before it, or its function has just come. The delivery waits for its turn.
    DORMOUSE_OUTCOME_QUEUED = 5,
    // The event's `expirytime` had come.
    DORMOUSE_OUTCOME_EXPIRED = 6,
    // It was too old by the time that it could have been tried again, and is a dead letter.
    DORMOUSE_OUTCOME_TOO_OLD = 7,
    // The queue was full.
    DORMOUSE_OUTCOME_DROPPED = 8,
} dormouse_outcome_kind;

// Why a delivery was given up.
typedef enum {
    // For a reason that has no number in this version.
    DORMOUSE_REASON_OTHER = 0,
    // As many attempts as its trigger allows have failed.
    DORMOUSE_REASON_ATTEMPTS = 1,
    // It is older than its trigger allows, or would be at the next attempt.
    DORMOUSE_REASON_AGE = 2,
    // It failed in a way that another attempt would not change.
    DORMOUSE_REASON_PERMANENT = 3,
    // It is a reply at the end of a chain that is longer than the runtime allows.
    DORMOUSE_REASON_LOOP = 4,
} dormouse_reason;

// How a guest trapped.
typedef enum {
    // It did not, or in a way that has no number in this version.
    DORMOUSE_TRAP_NONE = 0,
    // `unreachable` was run: most languages' panic or abort.
    DORMOUSE_TRAP_UNREACHABLE = 1,
    // A load, store or bulk operator outside memory.
    DORMOUSE_TRAP_MEMORY_OUT_OF_BOUNDS = 2,
    // An access outside a table.
    DORMOUSE_TRAP_TABLE_OUT_OF_BOUNDS = 3,
    // An indirect call of a null entry.
    DORMOUSE_TRAP_INDIRECT_CALL_TO_NULL = 4,
    // An integer division or remainder by zero.
    DORMOUSE_TRAP_DIVISION_BY_ZERO = 5,
    // An integer division that overflows.
    DORMOUSE_TRAP_INTEGER_OVERFLOW = 6,
    // A conversion of NaN, an infinity or a number out of range to an integer.
    DORMOUSE_TRAP_BAD_CONVERSION = 7,
    // Calls nested too deep, or the value stack is full.
    DORMOUSE_TRAP_STACK_OVERFLOW = 8,
    // An indirect call of a function of another type.
    DORMOUSE_TRAP_BAD_SIGNATURE = 9,
    // The host machine has no memory left.
    DORMOUSE_TRAP_OUT_OF_SYSTEM_MEMORY = 10,
} dormouse_trap;

// Ends invocations from another thread. Made by `dormouse_cancel_new`, given to invocations in
// `dormouse_invoke_options.cancel`, freed by `dormouse_cancel_free`.
//
// Thread safety: any number of threads may use one handle at once. Invocations keep what they need of it, so that it
// may be freed before they end: by their callbacks, or by who knows that they have reached one.
typedef struct dormouse_cancel dormouse_cancel;

// A host function's view of the guest that calls it. Lent to a `dormouse_host_callback`, for the thread and for the
// time of that call: never keep it. Guest memory is only copied through it, and each 64 bytes begun that it moves
// cost the guest 1 fuel; a guest that cannot pay ends with DORMOUSE_OUT_OF_FUEL when the host function returns,
// whatever it returns.
typedef struct dormouse_context dormouse_context;

// Dead letters, the oldest first: a copy of one moment. The caller's, who frees it with
// `dormouse_dead_letters_free`; it may outlive its runtime. It never changes: any number of threads may read it.
typedef struct dormouse_dead_letters dormouse_dead_letters;

// Why a call failed. Written to `*error_out` by a call that fails and was given an `error_out`; then it is the
// caller's, who frees it with `dormouse_error_free`. It holds on to nothing else. It never changes: any number of
// threads may read it.
typedef struct dormouse_error dormouse_error;

// An event as CloudEvents 1.0 has it. The caller's, who frees it with `dormouse_event_free`. It never changes: any
// number of threads may use it. What takes one leaves it with the caller. Those that dead letters lend are freed
// with these.
typedef struct dormouse_event dormouse_event;

// A deployed function. A handle follows its name: after a redeployment its next invocation runs the new version,
// after `dormouse_runtime_undeploy` it answers DORMOUSE_UNDEPLOYED. A pinned handle stays with its version.
//
// Thread safety: any number of threads may use one handle at once, each on an instance of its own. They then share
// the handle's count, which each call moves up and down; a clone for each thread shares nothing.
// Ownership: made by `dormouse_runtime_deploy`, `dormouse_runtime_find`, `dormouse_runtime_functions`,
// `dormouse_function_clone` and `dormouse_function_pin`; each handle is freed once, by `dormouse_function_free`. A
// handle keeps its runtime alive, and calls under way keep what they need: a callback may free the handle of the
// function that it runs in.
typedef struct dormouse_function dormouse_function;

// A guest within a session. Lent to a `dormouse_session_callback`, for the thread and for the time of that call:
// never keep it.
typedef struct dormouse_guest dormouse_guest;

// Names that a call found: ids of triggers, keys of a store. The caller's, who frees it with `dormouse_names_free`. It
// never changes: any number of threads may read it.
typedef struct dormouse_names dormouse_names;

// What `dormouse_runtime_dispatch` did, trigger by trigger in the order of binding. The caller's, who frees it with
// `dormouse_outcomes_free`. It never changes: any number of threads may read it.
typedef struct dormouse_outcomes dormouse_outcomes;

// A pattern in the dialect of EventBridge: what an event must be like. Made by `dormouse_pattern_new`, freed by
// `dormouse_pattern_free`. It never changes: any number of threads may use it.
typedef struct dormouse_pattern dormouse_pattern;

// What a successful invocation gave back. The caller's, who frees it with `dormouse_reply_free`; all that is lent by
// it is good until then. It may outlive its function and its runtime. It never changes: any number of threads may
// read it.
typedef struct dormouse_reply dormouse_reply;

// What a host's server sends back. The caller's, who frees it with `dormouse_response_free`. It never changes: any
// number of threads may read it.
typedef struct dormouse_response dormouse_response;

// A function runtime: functions by name, and the budget that they share. It opens no socket, and keeps no thread
// except the workers that are asked for.
//
// Thread safety: any number of threads may use one handle at once.
// Ownership: made by `dormouse_runtime_new`, `dormouse_runtime_open`, `dormouse_runtime_clone` and
// `dormouse_context_runtime`; each handle is freed once, by `dormouse_runtime_free`. The runtime itself goes when no
// handle, no function handle and no call under way needs it. So a callback may free the handle of the runtime that
// it runs in: that takes effect when the call is over.
typedef struct dormouse_runtime dormouse_runtime;

// A key-value store, where functions keep what must outlast an invocation: namespaces of keys and values, each of
// them bytes. A deployment grants it by `dormouse_deploy_options.store`; what guests import then is told in
// bindings/README.md. What an invocation writes is committed, all at once, when it has ended well; one that fails
// leaves nothing. Initialisation cannot use it.
//
// A function sees one namespace, which has its name unless the deployment says another. The functions here take any
// text for one, and do not know which are in use.
//
// Thread safety: any number of threads may use one handle at once, while functions use the store.
// Ownership: made by `dormouse_store_new` and `dormouse_store_open`; each handle is freed once, by
// `dormouse_store_free`. Functions keep the store that they were granted, so that the handle may be freed before them;
// what is in memory goes with the last of these.
typedef struct dormouse_store dormouse_store;

// Text that a call made. The caller's, who frees it with `dormouse_text_free`. It never changes: any number of
// threads may read it.
typedef struct dormouse_text dormouse_text;

// Threads that run the queue of a runtime, started by `dormouse_runtime_workers`.
//
// Ownership: the caller's, who ends them with `dormouse_workers_free`. They do not keep the runtime alive: when it
// goes, they end by themselves, and only the handle is left to be freed. A process made by `fork` has none of
// them.
// Thread safety: any number of threads may read it.
typedef struct dormouse_workers dormouse_workers;

// What happens to an event whose deliveries do not all fit the queue: one of the DORMOUSE_WHEN_FULL_ constants.
typedef uint32_t dormouse_when_full;

// How used instances are made clean: one of the DORMOUSE_RESET_ constants. All are right; they differ in speed.
typedef uint32_t dormouse_reset;

// A clock of the host's: nanoseconds since some instant that stays the same. Must not go back; if it does, durations
// read as zero. Called from any thread, several at once, and often. It must not call this library.
typedef uint64_t (*dormouse_clock)(void *user_data);

// Frees what a `user_data` points to. Called once, from whichever thread drops the last use: perhaps from within a call
// on a context or guest that a callback was lent, which it must not use.
typedef void (*dormouse_user_data_free)(void *user_data);

// Choices for a runtime. Fill in with `dormouse_runtime_options_init`, then change.
typedef struct {
    // The size of this struct, by which the library knows the header's version.
    size_t size;
    // Functions deployed at once; 10,000.
    uint64_t functions;
    // Live instances of all functions; 4,096. At the limit the least recently used idle instance goes; then
    // DORMOUSE_BUSY.
    uint64_t instances;
    // Bytes of memory and bookkeeping of all live instances; 1 GiB. At the limit as above.
    uint64_t resident_memory;
    // How long an instance may be idle, in nanoseconds, before `dormouse_runtime_tick` drops it; 5 minutes.
    uint64_t idle_ns;
    // What random numbers are drawn from: the jitter of retries, and ids of events; 0, so that a run can be
    // repeated.
    uint64_t seed;
    // Triggers bound at once; 100,000.
    uint64_t triggers;
    // Deliveries that have not ended; 65,536.
    uint64_t deliveries;
    // Bytes of their events; 256 MiB.
    uint64_t delivery_bytes;
    // Bytes of one event; 1 MiB.
    uint64_t event_bytes;
    // Dead letters kept; 10,000. A new one takes the place of the oldest.
    uint64_t dead_letters;
    // Bytes of their events; 64 MiB.
    uint64_t dead_letter_bytes;
    // How long a chain of replies may become that are published as events; 16.
    uint32_t hops;
    // What happens to an event whose deliveries do not fit; DORMOUSE_WHEN_FULL_REJECT.
    dormouse_when_full when_full;
    // How used instances are made clean; DORMOUSE_RESET_AUTO.
    dormouse_reset reset;
    // A clock of the host's; NULL for the machine's.
    dormouse_clock clock;
    // For the clock; not looked at without one. The library's once the call that makes the runtime has returned
    // DORMOUSE_OK, not before.
    void *clock_user_data;
    // Called when the clock is not needed any more; may be NULL.
    dormouse_user_data_free clock_user_data_free;
} dormouse_runtime_options;

// The bounds of one function. Part of `dormouse_deploy_options`, whose init function fills in the defaults.
typedef struct {
    // Fuel of one invocation; 1,000,000,000. A unit is about one WebAssembly operator, 64 bytes moved in bulk, or
    // one host call.
    uint64_t fuel;
    // Time of one invocation in nanoseconds, from the moment its instance is at hand; 30 s. UINT64_MAX is none.
    uint64_t deadline_ns;
    // Bytes of one input; 6 MiB.
    uint64_t input;
    // Bytes of one output; 6 MiB.
    uint64_t output;
    // Bytes of log kept of one invocation; 64 KiB. The rest is cut, and the report says so.
    uint64_t log;
    // Bytes of linear memory of an instance; 64 MiB.
    uint64_t memory;
    // Elements of all tables of an instance; 100,000.
    uint64_t table_elements;
    // Bytes of the interpreter's value stack; 1 MiB, at least 4 KiB.
    uint64_t stack;
    // Bytes of a module; 32 MiB.
    uint64_t module_bytes;
    // Nested calls within a guest; 1,000.
    uint32_t call_depth;
    // Functions of a module; 100,000.
    uint32_t functions;
    // Imports of a module; 1,000.
    uint32_t imports;
    // Exports of a module; 10,000.
    uint32_t exports;
    // Globals of a module; 10,000.
    uint32_t globals;
    // Function types of a module; 10,000.
    uint32_t types;
    // Memories of a module; 8.
    uint32_t memories;
    // Tables of a module; 100, which is also the most that can be had.
    uint32_t tables;
    // Data segments of a module; 100,000.
    uint32_t data_segments;
    // Element segments of a module; 100,000.
    uint32_t element_segments;
    // Bytes of one function's body; 1 MiB.
    uint32_t body_bytes;
    // Local variables of one function; 10,000.
    uint32_t locals;
} dormouse_limits;

// Text within a struct: where it begins, and its length in bytes. Borrowed like the struct. `dormouse_string_of`
// makes one of a string of C. All zeros are no text at all.
typedef struct {
    // Its first character; NULL for no text.
    const char *chars;
    // Its length.
    size_t len;
} dormouse_string;

// How a guest takes its input and gives its output: one of the DORMOUSE_CONTRACT_ constants.
typedef uint32_t dormouse_contract;

// The type of a `dormouse_value`: one of DORMOUSE_I32, DORMOUSE_I64, DORMOUSE_F32, DORMOUSE_F64.
typedef uint32_t dormouse_value_type;

// The number of a `dormouse_value`.
typedef union {
    // For DORMOUSE_I32.
    int32_t i32;
    // For DORMOUSE_I64.
    int64_t i64;
    // For DORMOUSE_F32.
    float f32;
    // For DORMOUSE_F64.
    double f64;
} dormouse_number;

// One WebAssembly number, as parameter or result. Made by `dormouse_i32` and its sisters at the end of this header.
//
typedef struct {
    // Which member of `of` it is.
    dormouse_value_type type;
    // The number.
    dormouse_number of;
} dormouse_value;

// A function of the host's that guests call.
//
// It is given its `user_data`, a context that is good until it returns, its arguments, and its results, which have
// their types and are zero until it writes to their `of`. It returns 0, or anything else to end the invocation with
// DORMOUSE_HOST_FUNCTION; then `dormouse_context_fail` has said why, or the error names the number.
//
// It runs on the thread that invokes the function; on several at once if several do. It may call all of this
// library, but must not leave by `longjmp` or by a C++ exception.
typedef int (*dormouse_host_callback)(void *user_data,
                                      dormouse_context *context,
                                      const dormouse_value *args,
                                      dormouse_value *results);

// A function that a guest may import. The texts and arrays are copied by the deployment.
typedef struct {
    // The module by whose name guests import it, `env` for one.
    dormouse_string module;
    // The name by which guests import it.
    dormouse_string name;
    // The types of its parameters.
    const dormouse_value_type *params;
    // How many.
    size_t params_len;
    // The types of its results.
    const dormouse_value_type *results;
    // How many.
    size_t results_len;
    // The function.
    dormouse_host_callback callback;
    // Passed to the function. The library's once the deployment has returned DORMOUSE_OK, not before.
    void *user_data;
    // Called with `user_data` when the function is not needed any more: its version is superseded or undeployed, no
    // handle and no invocation keeps it, or the runtime goes. May be NULL. Called once for each entry.
    dormouse_user_data_free user_data_free;
} dormouse_host_function;

// A variable of a guest's environment, or a value of a plug-in's configuration.
typedef struct {
    // Its name: in an environment not empty, and without `=` and NUL; in a configuration any text.
    dormouse_string name;
    // Its value: in an environment without NUL; in a configuration any text.
    dormouse_string value;
} dormouse_variable;

// The time that a host lets a WASI guest see: nanoseconds since 1970 in UTC. Called with each reading of a clock by
// the guest, on the thread that invokes it; on several at once if several do.
typedef uint64_t (*dormouse_time)(void *user_data);

// A seed for the random numbers of one invocation of a WASI guest: writes all 32 bytes that `seed_out` points to,
// from a source as secret as the guest's random numbers shall be (`getrandom` for one). Called once in each
// invocation that draws random numbers, on the thread that invokes; on several at once if several do.
typedef void (*dormouse_seeds)(void *user_data,
                               uint8_t *seed_out);

// A variable that an Extism plug-in finds set in each invocation.
typedef struct {
    // Its key.
    dormouse_string key;
    // Its bytes; may be NULL if `value_len` is 0.
    const uint8_t *value;
    // How many.
    size_t value_len;
} dormouse_plugin_variable;

// From which level on an Extism plug-in's log is kept: one of the DORMOUSE_LOG_ constants.
typedef uint32_t dormouse_log_level;

// What a function may keep in a key-value store, and what one of its invocations may do. Part of
// `dormouse_deploy_options`, whose init function fills in the defaults.
typedef struct {
    // Bytes of a key, and of a prefix; 1 KiB, 64 KiB at most.
    uint32_t key;
    // Bytes of a value; 1 MiB.
    uint32_t value;
    // Entries of the namespace; 100,000.
    uint64_t entries;
    // Bytes of the namespace's keys and values; 64 MiB.
    uint64_t bytes;
    // Bytes that an invocation may stage: keys, values, what they are compared with, and 128 for each; 4 MiB.
    uint64_t staged;
    // Keys that a guest is given by one call; 1,000.
    uint32_t list;
} dormouse_store_limits;

// Choices for a deployment. Fill in with `dormouse_deploy_options_init`, then change.
typedef struct {
    // The size of this struct, by which the library knows the header's version.
    size_t size;
    // The function's bounds.
    dormouse_limits limits;
    // Instances made at deployment and kept; 0.
    uint64_t instances_min;
    // Instances at most at once; twice the number of cores. 0 switches the function off.
    uint64_t instances_max;
    // How long an invocation waits in nanoseconds while all instances are in use; 1 s. 0 is not at all.
    uint64_t max_wait_ns;
    // The export that is given events; no text for `handle`, or the only one of a plug-in that fits. Where several fit,
    // each invocation has to name one, or fails with DORMOUSE_NO_SUCH_EXPORT.
    dormouse_string entry;
    // How the guest takes its input; DORMOUSE_CONTRACT_DETECT.
    dormouse_contract contract;
    // The functions that the guest may import; NULL for none. The array is not needed after the deployment.
    const dormouse_host_function *host_functions;
    // How many.
    size_t host_functions_len;
    // The arguments of a WASI program, its own name first; NULL for `guest` alone. 64 KiB at most, with a byte more
    // for each.
    const dormouse_string *args;
    // How many.
    size_t args_len;
    // The environment of a WASI guest; NULL for an empty one. Of one name the later value holds. 63.5 KiB at
    // most, with two bytes more for each.
    const dormouse_variable *env;
    // How many.
    size_t env_len;
    // The time for a WASI guest. NULL for a clock that begins at 2000-01-01 in each invocation and goes on by a
    // microsecond with each reading, so that invocations can be repeated; in initialisation it always does.
    dormouse_time time;
    // For the time; not looked at without one. The library's once the deployment has returned DORMOUSE_OK, not
    // before.
    void *time_user_data;
    // Called when the time is not needed any more; may be NULL.
    dormouse_user_data_free time_user_data_free;
    // Seeds for the random numbers of a WASI guest. NULL for one that is the same for all invocations of a version,
    // so that they can be repeated, and nothing that a guest draws is a secret; in initialisation it always is.
    dormouse_seeds seeds;
    // For the seeds; not looked at without them. The library's once the deployment has returned DORMOUSE_OK, not
    // before.
    void *seeds_user_data;
    // Called when the seeds are not needed any more; may be NULL.
    dormouse_user_data_free seeds_user_data_free;
    // The configuration of an Extism plug-in; NULL for none. Other guests do not use it, nor the two after it. Of one key
    // the later value holds. 1 MiB at most, 48 bytes for each key included. Keys that begin with `DORMOUSE_` are
    // reserved.
    const dormouse_variable *config;
    // How many.
    size_t config_len;
    // Variables that an Extism plug-in finds set in each invocation; NULL for none. Of one key the later value holds.
    // What it sets itself is gone when the invocation ends. 1 MiB at most, 48 bytes for each key included.
    const dormouse_plugin_variable *vars;
    // How many.
    size_t vars_len;
    // From which level on an Extism plug-in's log is kept; DORMOUSE_LOG_TRACE.
    dormouse_log_level log_level;
    // The key-value store that the guest may use; NULL for none. A host function of the same module and name as one of
    // the store's takes its place.
    const dormouse_store *store;
    // The namespace in it that the guest sees, 1 to 64 of the characters A-Z a-z 0-9 . _ -; no text for the
    // function's name. Not looked at without a store.
    dormouse_string store_namespace;
    // What it may keep there.
    dormouse_store_limits store_limits;
} dormouse_deploy_options;

// What one deployment found and cost. Plain data.
typedef struct {
    // The version that was deployed: SHA-256 over the module and the options.
    uint8_t version[32];
    // How a used instance becomes clean.
    dormouse_cleaning cleaning;
    // How it takes its input: one of the DORMOUSE_CONTRACT_ constants; DORMOUSE_CONTRACT_DETECT for one that has no
    // number in this version.
    dormouse_contract contract;
    // It can be invoked with bytes; else its exports are called one by one.
    bool takes_bytes;
    // Functions that the module defines.
    uint32_t functions;
    // Bytes of the module.
    uint64_t module_bytes;
    // Fuel that initialisation burnt: paid once, here.
    uint64_t init_fuel;
    // Time that the deployment took, in nanoseconds, by the runtime's clock.
    uint64_t duration_ns;
    // Bytes of linear memory that each instance starts with.
    uint64_t memory;
    // Bytes that are kept of the pristine state.
    uint64_t image_bytes;
} dormouse_deploy_report;

// Choices for one invocation. Fill in with `dormouse_invoke_options_init`, then change. A limit can only be lowered:
// more than the function's is cut to that.
typedef struct {
    // The size of this struct, by which the library knows the header's version.
    size_t size;
    // Fuel; UINT64_MAX for what the function has.
    uint64_t fuel;
    // Time in nanoseconds; UINT64_MAX for what the function has.
    uint64_t deadline_ns;
    // Ends the invocation from another thread; NULL for none. A callback of the invocation may free it.
    const dormouse_cancel *cancel;
    // 32 bytes that the random numbers of this invocation come from, for WASI guests, instead of what the deployment
    // grants; NULL for that. Never printed.
    const uint8_t *seed;
    // The export that is given the event, for guests with several, as Extism plug-ins are; no text for the deployment's.
    // Calls and sessions do not use it, though it must be text there too.
    dormouse_string entry;
} dormouse_invoke_options;

// What one invocation did and used. Plain data.
typedef struct {
    // The version that ran: a SHA-256, whose first seven hexadecimal digits logs show.
    uint8_t version[32];
    // DORMOUSE_OK, or the failure's status.
    dormouse_status outcome;
    // An instance was ready; else the invocation made one from the image.
    bool warm;
    // The log was cut at its limit.
    bool log_cut;
    // Fuel used: the same for the same input, whatever ran before.
    uint64_t fuel;
    // Time that the run took, in nanoseconds, by the runtime's clock.
    uint64_t duration_ns;
    // Bytes of linear memory at the end, which is the peak.
    uint64_t memory;
    // Bytes of input.
    uint64_t input;
    // Bytes of output; 0 for a failed invocation, but for DORMOUSE_NO_ROOM.
    uint64_t output;
    // Calls of host functions.
    uint64_t host_calls;
} dormouse_report;

// The body of a session. It returns 0, or anything else to end the session with a failure: that of its last failed
// call on the guest, or else DORMOUSE_HOST_FUNCTION with the number. It must not leave by `longjmp` or by a C++
// exception.
typedef int (*dormouse_session_callback)(void *user_data,
                                         dormouse_guest *guest);

// The delivery that an invocation belongs to. Plain data.
typedef struct {
    // The number of the delivery: the same at each attempt.
    uint64_t id;
    // Time until the invocation's deadline in nanoseconds, by the runtime's clock.
    uint64_t remaining_ns;
    // 1 at the first attempt.
    uint32_t attempt;
    // The id of the trigger, with a NUL behind it.
    char trigger[65];
} dormouse_delivery;

// What the data of an event are: one of the DORMOUSE_DATA_ constants.
typedef uint32_t dormouse_data_kind;

// What the value of an extension is: one of the DORMOUSE_EXTENSION_ constants.
typedef uint32_t dormouse_extension_kind;

// An attribute of an event beyond those of CloudEvents itself.
typedef struct {
    // Made of a-z and 0-9.
    dormouse_string name;
    // Its value, if it is a text.
    dormouse_string text;
    // Its value, if it is an integer or a boolean.
    int32_t number;
    // What its value is.
    dormouse_extension_kind kind;
} dormouse_extension;

// The parts of an event. Fill in with `dormouse_event_options_init`, then change.
//
typedef struct {
    // The size of this struct, by which the library knows the header's version.
    size_t size;
    // What happened, as `order.created`. Needed.
    dormouse_string type;
    // Its id, unique for its source; drawn from the runtime's seed if there is none.
    dormouse_string id;
    // Where it happened, a URI reference; `/dormouse` if there is none.
    dormouse_string source;
    // What it is about.
    dormouse_string subject;
    // When it happened, in RFC 3339; the runtime's date if there is none.
    dormouse_string time;
    // The media type of the data.
    dormouse_string data_content_type;
    // The schema of the data, an absolute URI.
    dormouse_string data_schema;
    // The data.
    const uint8_t *data;
    // How many bytes.
    size_t data_len;
    // What they are; DORMOUSE_DATA_NONE.
    dormouse_data_kind data_kind;
    // The extensions.
    const dormouse_extension *extensions;
    // How many.
    size_t extensions_len;
} dormouse_event_options;

// What wakes a trigger: one of the DORMOUSE_TRIGGER_ constants.
typedef uint32_t dormouse_trigger_kind;

// What a function is given of an event: one of the DORMOUSE_INPUT_ constants.
typedef uint32_t dormouse_input;

// At which distances a failed delivery is tried again: one of the DORMOUSE_RETRY_ constants.
typedef uint32_t dormouse_retry;

// What becomes of the instants of a schedule that the host was late for: one of the DORMOUSE_MISSED_ constants.
typedef uint32_t dormouse_missed;

// A trigger. Fill in with `dormouse_trigger_options_init`, then change.
typedef struct {
    // The size of this struct, by which the library knows the header's version.
    size_t size;
    // What wakes it; DORMOUSE_TRIGGER_TYPE.
    dormouse_trigger_kind kind;
    // The type, filter, pattern, schedule or path. Needed.
    dormouse_string on;
    // For topics.
    dormouse_string attribute;
    // For routes.
    dormouse_string method;
    // The function: a name, with a version or an alias behind an `@` if need be. It need not be deployed yet.
    // Needed.
    dormouse_string target;
    // What the function is given; DORMOUSE_INPUT_EVENT.
    dormouse_input input;
    // For DORMOUSE_INPUT_CONSTANT.
    const uint8_t *constant;
    // How many bytes.
    size_t constant_len;
    // First in, first out, or for each `partitionkey` that events have; false.
    bool ordered;
    // Bound switched off; false.
    bool disabled;
    // For schedules: a run may begin before the one before it has ended; false.
    bool overlapping;
    // Distances exactly as computed, not shortened by a random part; false.
    bool retry_without_jitter;
    // At which distances it is tried again; DORMOUSE_RETRY_DEFAULT.
    dormouse_retry retry;
    // Runs at most, the first included; 3. 0 and 1 are both one run.
    uint32_t retry_attempts;
    // The first distance in nanoseconds; 1 s.
    uint64_t retry_first_ns;
    // The longest distance in nanoseconds; 5 minutes.
    uint64_t retry_longest_ns;
    // How old a delivery may become in nanoseconds; 1 hour.
    uint64_t retry_age_ns;
    // For schedules; DORMOUSE_MISSED_COALESCE.
    dormouse_missed missed;
    // For DORMOUSE_MISSED_ALL.
    uint32_t missed_max;
    // The types that replies may have, each of which is then published as an event; NULL where replies are not
    // published.
    const dormouse_string *emits;
    // How many.
    size_t emits_len;
} dormouse_trigger_options;

// What `dormouse_runtime_dispatch` did for one trigger. Plain data; what it points to is lent by the outcomes that
// it is from.
typedef struct {
    // What came of it.
    dormouse_outcome_kind kind;
    // The number of the delivery, by which a dead letter is found; 0 for one that was dropped.
    uint64_t delivery;
    // The id of the trigger, with a NUL behind it.
    dormouse_string trigger;
    // The function's reply; NULL unless it succeeded.
    const dormouse_reply *reply;
    // What went wrong; NULL unless it failed.
    const dormouse_error *error;
} dormouse_outcome;

// What one `dormouse_runtime_tick` did. Plain data.
typedef struct {
    // Events that schedules fired; not those that a full queue dropped.
    uint64_t fired;
    // Attempts to deliver an event.
    uint64_t ran;
    // Idle instances dropped.
    uint64_t trimmed;
    // Instances made ahead of time, in place of those whose memory had grown.
    uint64_t replaced;
} dormouse_tick;

// Where the deliveries of a runtime are: figures of one moment. Plain data. `matched` is the sum of all others but
// `refused`.
typedef struct {
    // Deliveries made: one for each trigger that a published event matched.
    uint64_t matched;
    // Ended well.
    uint64_t succeeded;
    // Dead letters held now.
    uint64_t dead_letters;
    // Dead letters delivered again.
    uint64_t redriven;
    // Dead letters that the host took out.
    uint64_t drained;
    // Dead letters that went when their ring was full.
    uint64_t evicted;
    // Not run any more, as the event's `expirytime` had come.
    uint64_t expired;
    // Dropped when the queue was full.
    uint64_t dropped;
    // Not ended: ready, waiting for another attempt, or behind others of their order.
    uint64_t queued;
    // Not ended: with a function.
    uint64_t running;
    // Not ended: waiting until their function is deployed.
    uint64_t parked;
    // Refused when the queue was full, with an error to whoever published them: never matched.
    uint64_t refused;
} dormouse_deliveries;

// A delivery given up, with what there is to know about it. Plain data; what it points to is lent by the list that
// it is from.
typedef struct {
    // The number of the delivery, by which `dormouse_runtime_redrive` finds it.
    uint64_t id;
    // The event as it was published.
    const dormouse_event *event;
    // The id of the trigger, with a NUL behind it.
    dormouse_string trigger;
    // The target of the trigger, with a NUL behind it.
    dormouse_string function;
    // What went wrong last, in words, with a NUL behind them; no text if nothing ever ran.
    dormouse_string error;
    // When it was given up, in RFC 3339, with a NUL behind it; no text if the runtime knows no date.
    dormouse_string given_up_at;
    // How long after its publishing it was given up, in nanoseconds, by the runtime's clock.
    uint64_t age_ns;
    // Why it was given up.
    dormouse_reason reason;
    // How often it ran.
    uint32_t attempts;
    // The version that ran last; all zeros if none ever ran.
    uint8_t version[32];
} dormouse_dead_letter;

// A header of a request or of a response.
typedef struct {
    // Its name.
    dormouse_string name;
    // Its value.
    dormouse_string value;
} dormouse_header;

// A request as a host's server has it. Fill in with `dormouse_request_options_init`, then change.
typedef struct {
    // The size of this struct, by which the library knows the header's version.
    size_t size;
    // `GET` for one. Needed.
    dormouse_string method;
    // `/items/7?verbose=1` for one. Needed.
    dormouse_string target;
    // The headers.
    const dormouse_header *headers;
    // How many.
    size_t headers_len;
    // The body.
    const uint8_t *body;
    // How many bytes.
    size_t body_len;
} dormouse_request_options;

// What the module's imports and exports fit: a plug-in if it imports `extism:host/env`, else a program, else the
// buffer contract, else plain.
#define DORMOUSE_CONTRACT_DETECT 0

// A WASI program, which exports `_start`: input on its standard input, output on its standard output, its log on its
// standard error; exit code 0 is success.
#define DORMOUSE_CONTRACT_COMMAND 1

// Exports `memory`, `alloc(len: i32) -> i32` and an entry, usually `handle(ptr: i32, len: i32) -> i64`.
#define DORMOUSE_CONTRACT_BUFFER 2

// Takes no bytes: exports are called one by one.
#define DORMOUSE_CONTRACT_PLAIN 3

// An Extism plug-in: imports functions of `extism:host/env`, and exports the entry, `() -> i32` or `()`. 0 is success;
// after 65 a delivery is not tried again.
#define DORMOUSE_CONTRACT_EXTISM 4

// All of it.
#define DORMOUSE_LOG_TRACE 0

// All but what is logged as a trace.
#define DORMOUSE_LOG_DEBUG 1

// Information, warnings and errors.
#define DORMOUSE_LOG_INFO 2

// Warnings and errors.
#define DORMOUSE_LOG_WARN 3

// Errors alone.
#define DORMOUSE_LOG_ERROR 4

// Nothing.
#define DORMOUSE_LOG_OFF 5

// A 32-bit integer; WebAssembly does not tell signed from unsigned.
#define DORMOUSE_I32 1

// A 64-bit integer.
#define DORMOUSE_I64 2

// A 32-bit float.
#define DORMOUSE_F32 3

// A 64-bit float.
#define DORMOUSE_F64 4

// The fastest that works here.
#define DORMOUSE_RESET_AUTO 0

// Memories as a whole: everywhere, and nothing is asked of the system. For hosts under a seccomp filter that kills.
#define DORMOUSE_RESET_PORTABLE 1

// As DORMOUSE_RESET_AUTO, but all instances begin on memory whose written pages can be found.
#define DORMOUSE_RESET_GATED 2

// As DORMOUSE_RESET_GATED, but the written pages are looked for after every run.
#define DORMOUSE_RESET_SCANNED 3

// Publishing fails with DORMOUSE_QUEUE_FULL.
#define DORMOUSE_WHEN_FULL_REJECT 0

// The oldest deliveries that are not running go.
#define DORMOUSE_WHEN_FULL_DROP_OLDEST 1

// The deliveries of the new event go; publishing succeeds, with 0 deliveries.
#define DORMOUSE_WHEN_FULL_DROP_NEWEST 2

// There are none.
#define DORMOUSE_DATA_NONE 0

// JSON; the bytes are kept as they are.
#define DORMOUSE_DATA_JSON 1

// Text in UTF-8.
#define DORMOUSE_DATA_TEXT 2

// Bytes, opaque to patterns.
#define DORMOUSE_DATA_BINARY 3

// The text.
#define DORMOUSE_EXTENSION_TEXT 0

// The number.
#define DORMOUSE_EXTENSION_INTEGER 1

// Whether the number is not 0.
#define DORMOUSE_EXTENSION_BOOLEAN 2

// Events of exactly the type `on`.
#define DORMOUSE_TRIGGER_TYPE 1

// Events whose attribute `attribute` is a topic that the MQTT filter `on` matches.
#define DORMOUSE_TRIGGER_TOPIC 2

// Events that match the pattern `on`, in the dialect of EventBridge.
#define DORMOUSE_TRIGGER_PATTERN 3

// The schedule `on`: cron, `rate(5 minutes)`, `cron(...)` or `at(...)`. `dormouse_runtime_tick` fires it.
#define DORMOUSE_TRIGGER_SCHEDULE 4

// Requests with the method `method` and a path that fits `on`, `/items/{id}` for one: see
// `dormouse_runtime_request`.
#define DORMOUSE_TRIGGER_ROUTE 5

// The whole event in its JSON form.
#define DORMOUSE_INPUT_EVENT 0

// The bytes of its data.
#define DORMOUSE_INPUT_DATA 1

// The bytes `constant`.
#define DORMOUSE_INPUT_CONSTANT 2

// As is usual for the kind of trigger: exponential from 1 s up to 5 minutes, 3 attempts within 1 hour; never for
// routes. The other members that begin with `retry_` are not looked at.
#define DORMOUSE_RETRY_DEFAULT 0

// Distances that double, beginning with the first.
#define DORMOUSE_RETRY_EXPONENTIAL 1

// Distances of once, twice, three times the first.
#define DORMOUSE_RETRY_LINEAR 2

// The same distance each time.
#define DORMOUSE_RETRY_FIXED 3

// One event stands for all of them.
#define DORMOUSE_MISSED_COALESCE 0

// Only the last one fires, and only if it is at most a minute ago.
#define DORMOUSE_MISSED_SKIP 1

// Each fires an event of its own, the last `missed_max` ones.
#define DORMOUSE_MISSED_ALL 2

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the library that is linked, as in "0.1.0". Static; any thread. A header and a library whose
// major and minor numbers differ do not go together.
const char *dormouse_version(void);

// Fills in the defaults. `size` is `sizeof *options`; if it is not what this library knows, the call fails and
// nothing is written.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT.
dormouse_status dormouse_runtime_options_init(dormouse_runtime_options *options,
                                              size_t size,
                                              dormouse_error **error_out);

// Makes a runtime. `options` may be NULL for the defaults.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT.
dormouse_status dormouse_runtime_new(const dormouse_runtime_options *options,
                                     dormouse_runtime **runtime_out,
                                     dormouse_error **error_out);

// Makes a runtime whose deliveries and dead letters survive the process, in a file that is made if it is not
// there. The file is this runtime's alone until it is gone. Functions and triggers are not in it: the host
// deploys and binds as always, and deliveries that were left go on when the trigger of their id is bound.
//
// `dormouse_runtime_publish` returns when its deliveries are on disk, which takes as long as the disk takes to
// write through. A delivery that has ended is removed soon after: if the process dies in between, it is made
// again. Time in which no process runs ages nothing.
//
// `path` is what the system takes for a path: bytes on Unix, UTF-8 elsewhere. `options` may be NULL for the
// defaults.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_UTF8, DORMOUSE_NOT_BUILT, 320 to 329.
dormouse_status dormouse_runtime_open(const char *path,
                                      size_t path_len,
                                      const dormouse_runtime_options *options,
                                      dormouse_runtime **runtime_out,
                                      dormouse_error **error_out);

// Another handle of the same runtime, to be freed on its own.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_runtime_clone(const dormouse_runtime *runtime,
                                       dormouse_runtime **runtime_out,
                                       dormouse_error **error_out);

// Finds a function by name: a handle that follows it. With an alias behind an `@`, as in `greet@prod`, a handle
// that follows the alias. With a version, as in `greet@3f2a91c`, one that stays with that version, if it is the
// current one or something keeps it alive; seven hexadecimal digits or more.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND.
dormouse_status dormouse_runtime_find(const dormouse_runtime *runtime,
                                      const char *name,
                                      size_t name_len,
                                      dormouse_function **function_out,
                                      dormouse_error **error_out);

// Takes a function out of service, and its aliases with it: handles answer DORMOUSE_UNDEPLOYED, invocations under way
// finish, pinned handles go on.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND.
dormouse_status dormouse_runtime_undeploy(const dormouse_runtime *runtime,
                                          const char *name,
                                          size_t name_len,
                                          dormouse_error **error_out);

// Gives the version that the function stands for now a name of its own: `dormouse_runtime_find` and triggers
// know it as `name@alias`. An alias that is there moves. It keeps the version alive.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_UNDEPLOYED, DORMOUSE_INVALID_NAME, DORMOUSE_NOT_FOUND,
// DORMOUSE_TOO_MANY_ALIASES.
dormouse_status dormouse_runtime_alias(const dormouse_runtime *runtime,
                                       const char *alias,
                                       size_t alias_len,
                                       const dormouse_function *function,
                                       dormouse_error **error_out);

// Removes an alias of the function of this name: its handles answer DORMOUSE_UNDEPLOYED.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND.
dormouse_status dormouse_runtime_unalias(const dormouse_runtime *runtime,
                                         const char *alias,
                                         size_t alias_len,
                                         const char *name,
                                         size_t name_len,
                                         dormouse_error **error_out);

// Handles of the deployed functions, by name: as many as there is room for, each to be freed. `count_out`
// receives how many functions there are, which may be more than `room`: call with more then. `functions_out` may
// be NULL if `room` is 0.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_runtime_functions(const dormouse_runtime *runtime,
                                           dormouse_function **functions_out,
                                           size_t room,
                                           size_t *count_out,
                                           dormouse_error **error_out);

// Drops instances of all functions that have been idle for at least `idle_ns` nanoseconds, but those that a
// deployment asked to keep. `count_out`, which may be NULL, receives how many went.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_runtime_trim(const dormouse_runtime *runtime,
                                      uint64_t idle_ns,
                                      size_t *count_out,
                                      dormouse_error **error_out);

// Live instances of all functions, and the bytes of memory and bookkeeping that they hold. Either place may be
// NULL.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_runtime_in_use(const dormouse_runtime *runtime,
                                        size_t *instances_out,
                                        uint64_t *bytes_out,
                                        dormouse_error **error_out);

// Frees a handle. The runtime goes with its last handle, once no function handle and no call under way needs it.
// NULL is allowed.
void dormouse_runtime_free(dormouse_runtime *runtime);

// Fills in the defaults. `size` is `sizeof *options`; if it is not what this library knows, the call fails and
// nothing is written.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT.
dormouse_status dormouse_deploy_options_init(dormouse_deploy_options *options,
                                             size_t size,
                                             dormouse_error **error_out);

// Deploys a function under a name of 1 to 64 of the characters A-Z a-z 0-9 . _ -: validates the module, compiles
// it lazily, runs its initialisation once and keeps the state that this leaves. A function that has the name is
// replaced, once all has gone well; invocations under way finish on what they began with. The module's bytes are
// not needed afterwards.
//
// `options` may be NULL for the defaults. `function_out` may be NULL: `dormouse_runtime_find` finds the function
// later. User data in the options is the library's once the call has returned DORMOUSE_OK; after a failure it is
// the caller's as before.
//
// Needs 512 KiB of stack. Takes some 50 us for a small module, and about 1 ms more the first time in a process.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_UTF8, 100 to 199, DORMOUSE_INITIALISE, DORMOUSE_BUSY.
// Nothing has changed then.
dormouse_status dormouse_runtime_deploy(const dormouse_runtime *runtime,
                                        const char *name,
                                        size_t name_len,
                                        const uint8_t *module,
                                        size_t module_len,
                                        const dormouse_deploy_options *options,
                                        dormouse_function **function_out,
                                        dormouse_error **error_out);

// Another handle of the same function, to be freed on its own.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_function_clone(const dormouse_function *function,
                                        dormouse_function **function_out,
                                        dormouse_error **error_out);

// A handle that stays with the version that this one stands for now, through redeployments and
// `dormouse_runtime_undeploy`, and keeps it alive. To be freed on its own.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UNDEPLOYED.
dormouse_status dormouse_function_pin(const dormouse_function *function,
                                      dormouse_function **function_out,
                                      dormouse_error **error_out);

// What the deployment of the current version found and cost.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UNDEPLOYED.
dormouse_status dormouse_function_deploy_report(const dormouse_function *function,
                                                dormouse_deploy_report *report_out,
                                                dormouse_error **error_out);

// The version that the next invocation runs, as 64 hexadecimal digits and a NUL: `room` is 65 or more.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UNDEPLOYED, DORMOUSE_NO_ROOM.
dormouse_status dormouse_function_version(const dormouse_function *function,
                                          char *version,
                                          size_t room,
                                          dormouse_error **error_out);

// Makes instances ahead of time until `count` are idle, or as many as the function may have. `idle_out`, which
// may be NULL, receives how many are idle then.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UNDEPLOYED, DORMOUSE_BUSY, DORMOUSE_INITIALISE.
dormouse_status dormouse_function_prewarm(const dormouse_function *function,
                                          size_t count,
                                          size_t *idle_out,
                                          dormouse_error **error_out);

// Drops instances that have been idle for at least `idle_ns` nanoseconds, the longest idle first, down to the
// minimum that the deployment asked to keep. `count_out`, which may be NULL, receives how many went.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_function_trim(const dormouse_function *function,
                                       uint64_t idle_ns,
                                       size_t *count_out,
                                       dormouse_error **error_out);

// Invocations at most at once, from now on, for the version that the handle stands for now. With 0 it is off:
// its invocations are refused as DORMOUSE_BUSY, and deliveries to it wait until it is on again. Invocations
// under way finish.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UNDEPLOYED.
dormouse_status dormouse_function_set_concurrency(const dormouse_function *function,
                                                  size_t max,
                                                  dormouse_error **error_out);

// Instances of the current version: idle ones, and all of them. Either place may be NULL.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_function_instances(const dormouse_function *function,
                                            size_t *idle_out,
                                            size_t *all_out,
                                            dormouse_error **error_out);

// The function's name. Lent until the handle is freed. NULL for NULL. `len_out` may be NULL.
const char *dormouse_function_name(const dormouse_function *function,
                                   size_t *len_out);

// Frees a handle. NULL is allowed.
void dormouse_function_free(dormouse_function *function);

// Fills in the defaults. `size` is `sizeof *options`; if it is not what this library knows, the call fails and
// nothing is written.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT.
dormouse_status dormouse_invoke_options_init(dormouse_invoke_options *options,
                                             size_t size,
                                             dormouse_error **error_out);

// Gives the function an event and returns its reply: stateless, within its limits. The function must take
// bytes: `dormouse_deploy_report.takes_bytes`.
//
// `input` may be NULL if `input_len` is 0. `options` may be NULL for the defaults. Blocks for as long as the
// guest runs, and up to the deployment's `max_wait_ns` while all instances are in use. Needs 512 KiB of stack.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_UTF8, 200 to 299. The error of a guest that ran carries its
// report.
dormouse_status dormouse_function_invoke(const dormouse_function *function,
                                         const uint8_t *input,
                                         size_t input_len,
                                         const dormouse_invoke_options *options,
                                         dormouse_reply **reply_out,
                                         dormouse_error **error_out);

// As `dormouse_function_invoke`, with the output copied to the caller's buffer: on a warm instance nothing is
// allocated, as long as the output has at most 64 KiB and the guest logs nothing. The log is dropped.
//
// If the output does not fit, the call fails with DORMOUSE_NO_ROOM, and the `output` of the error's report says
// how many bytes it has. The invocation itself has ended well then: what it wrote to its store and what it published
// stands. `report_out` may be NULL. `output` may be the memory of `input`.
//
// Statuses: as `dormouse_function_invoke`, DORMOUSE_NO_ROOM.
dormouse_status dormouse_function_invoke_into(const dormouse_function *function,
                                              const uint8_t *input,
                                              size_t input_len,
                                              const dormouse_invoke_options *options,
                                              uint8_t *output,
                                              size_t output_room,
                                              size_t *output_len_out,
                                              dormouse_report *report_out,
                                              dormouse_error **error_out);

// Calls one export with numbers: an invocation of its own, stateless as any other. `dormouse_reply_values` are
// its results.
//
// `args` may be NULL if `args_len` is 0. `options` may be NULL for the defaults.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_UTF8, 200 to 299.
dormouse_status dormouse_function_call(const dormouse_function *function,
                                       const char *export_name,
                                       size_t export_name_len,
                                       const dormouse_value *args,
                                       size_t args_len,
                                       const dormouse_invoke_options *options,
                                       dormouse_reply **reply_out,
                                       dormouse_error **error_out);

// The function's output: bytes of `dormouse_function_invoke`, none of the others. Lent. NULL for NULL. `len_out`
// may be NULL.
const uint8_t *dormouse_reply_output(const dormouse_reply *reply,
                                     size_t *len_out);

// The results of `dormouse_function_call`, none of the others. Lent. NULL for NULL. `len_out` may be NULL.
const dormouse_value *dormouse_reply_values(const dormouse_reply *reply,
                                            size_t *len_out);

// The log: what the guest wrote to its standard error, and host functions logged, a line each. Bytes that are no
// UTF-8 are replaced by U+FFFD. Lent. NULL for NULL. `len_out` may be NULL.
const char *dormouse_reply_log(const dormouse_reply *reply,
                               size_t *len_out);

// What the invocation did and used. Lent. NULL for NULL.
const dormouse_report *dormouse_reply_report(const dormouse_reply *reply);

// The same as one line, `REPORT greet@3f2a91c start=warm fuel=18204 ...`. Lent. NULL for NULL. `len_out` may be
// NULL.
const char *dormouse_reply_report_text(const dormouse_reply *reply,
                                       size_t *len_out);

// Frees a reply. NULL is allowed.
void dormouse_reply_free(dormouse_reply *reply);

// Runs several calls on one instance within one invocation, for guests with a protocol of their own: `body` is
// called once, with `user_data` and the guest; then the instance is cleaned like any other. Fuel and deadline
// are those of one invocation.
//
// `user_data` is the caller's. `options` may be NULL for the defaults. The reply has a log and a report.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_UTF8, 200 to 299.
dormouse_status dormouse_function_session(const dormouse_function *function,
                                          dormouse_session_callback body,
                                          void *user_data,
                                          const dormouse_invoke_options *options,
                                          dormouse_reply **reply_out,
                                          dormouse_error **error_out);

// Calls an exported function. Its results go to `results_out`, `count_out` receives how many there are; if they
// do not fit, the call has run all the same, and fails with DORMOUSE_NO_ROOM. `results_out` may be NULL if
// `results_room` is 0, `count_out` may be NULL.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_UTF8, DORMOUSE_NO_ROOM, 200 to 299.
dormouse_status dormouse_guest_call(dormouse_guest *guest,
                                    const char *export_name,
                                    size_t export_name_len,
                                    const dormouse_value *args,
                                    size_t args_len,
                                    dormouse_value *results_out,
                                    size_t results_room,
                                    size_t *count_out,
                                    dormouse_error **error_out);

// Copies `len` bytes at address `at` of the guest's memory to `bytes`: all or nothing. The memory is the export
// `memory`, or else the first that is exported.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_OUT_OF_BOUNDS.
dormouse_status dormouse_guest_read(dormouse_guest *guest,
                                    uint32_t at,
                                    uint8_t *bytes,
                                    size_t len,
                                    dormouse_error **error_out);

// Copies `len` bytes into the guest's memory at address `at`: all or nothing.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_OUT_OF_BOUNDS.
dormouse_status dormouse_guest_write(dormouse_guest *guest,
                                     uint32_t at,
                                     const uint8_t *bytes,
                                     size_t len,
                                     dormouse_error **error_out);

// Copies `len` bytes at address `at` of the guest's memory to `bytes`: all or nothing. The memory is the export
// `memory`, or else the first that is exported.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_OUT_OF_BOUNDS, DORMOUSE_OUT_OF_FUEL.
dormouse_status dormouse_context_read(dormouse_context *context,
                                      uint32_t at,
                                      uint8_t *bytes,
                                      size_t len,
                                      dormouse_error **error_out);

// Copies `len` bytes into the guest's memory at address `at`: all or nothing.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_OUT_OF_BOUNDS, DORMOUSE_OUT_OF_FUEL.
dormouse_status dormouse_context_write(dormouse_context *context,
                                       uint32_t at,
                                       const uint8_t *bytes,
                                       size_t len,
                                       dormouse_error **error_out);

// Appends a line to the invocation's log, which the reply carries; cut at the limit.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_OUT_OF_FUEL.
dormouse_status dormouse_context_log(dormouse_context *context,
                                     const char *line,
                                     size_t line_len,
                                     dormouse_error **error_out);

// Charges the guest for work that the host does for it.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_OUT_OF_FUEL.
dormouse_status dormouse_context_charge(dormouse_context *context,
                                        uint64_t fuel,
                                        dormouse_error **error_out);

// Says why the host function is about to return something else than 0. The last one counts; it is cut at 4 KiB.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8.
dormouse_status dormouse_context_fail(dormouse_context *context,
                                      const char *message,
                                      size_t message_len,
                                      dormouse_error **error_out);

// A handle of the runtime that the invocation belongs to, to be freed: for invoking other functions, up to four
// levels deep, each within the caller's deadline. The same function again runs on another instance, or is
// DORMOUSE_BUSY at once.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_context_runtime(dormouse_context *context,
                                         dormouse_runtime **runtime_out,
                                         dormouse_error **error_out);

// The name of the function that is running, copied: at most 64 characters and a NUL behind them.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_NO_ROOM.
dormouse_status dormouse_context_function(dormouse_context *context,
                                          char *name,
                                          size_t room,
                                          dormouse_error **error_out);

// The delivery that the invocation belongs to. DORMOUSE_NOT_FOUND if it was invoked by its function's handle.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_NOT_FOUND.
dormouse_status dormouse_context_delivery(dormouse_context *context,
                                          dormouse_delivery *delivery_out,
                                          dormouse_error **error_out);

// Bytes of the guest's memory now; 0 if it exports none, and for NULL.
uint64_t dormouse_context_memory_size(dormouse_context *context);

// The length of a block of an Extism plug-in, by the handle that it passed to a function of `extism:host/user`; 0
// for 0. The handle must be exactly that of a live block. Costs no fuel.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_INVALID_HANDLE, DORMOUSE_CONTRACT where the guest is no plug-in.
dormouse_status dormouse_context_block_len(dormouse_context *context,
                                           uint64_t handle,
                                           size_t *len_out,
                                           dormouse_error **error_out);

// Copies the bytes of a block out, all of them: `dormouse_context_block_len` says how many there are. The block
// stays the plug-in's.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_NO_ROOM, DORMOUSE_INVALID_HANDLE, DORMOUSE_CONTRACT, DORMOUSE_OUT_OF_FUEL.
dormouse_status dormouse_context_read_block(dormouse_context *context,
                                            uint64_t handle,
                                            uint8_t *bytes,
                                            size_t room,
                                            dormouse_error **error_out);

// Copies bytes into a block, at its handle or an offset added to it: all or nothing. 0 is the block of no bytes, which
// takes none.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_INVALID_HANDLE if they do not lie in one live block, DORMOUSE_CONTRACT,
// DORMOUSE_OUT_OF_FUEL.
dormouse_status dormouse_context_write_block(dormouse_context *context,
                                             uint64_t at,
                                             const uint8_t *bytes,
                                             size_t len,
                                             dormouse_error **error_out);

// Copies bytes into a new block and gives its handle, 0 for no bytes. It is the plug-in's, as what a function of
// `extism:host/user` returns to it.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_MEMORY_LIMIT, DORMOUSE_CONTRACT, DORMOUSE_OUT_OF_FUEL, DORMOUSE_BUSY, which
// ends the invocation.
dormouse_status dormouse_context_new_block(dormouse_context *context,
                                           const uint8_t *bytes,
                                           size_t len,
                                           uint64_t *handle_out,
                                           dormouse_error **error_out);

// Frees a block. Nothing happens where the handle is not exactly that of a live one.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_CONTRACT.
dormouse_status dormouse_context_free_block(dormouse_context *context,
                                            uint64_t handle,
                                            dormouse_error **error_out);

// Makes an empty store in memory.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_store_new(dormouse_store **store_out,
                                   dormouse_error **error_out);

// Opens a store in a file, which is made if it is not there. The file is this store's alone until that is gone, and
// must not be a runtime's. What an invocation has written is on disk when it returns. `path` is bytes on Unix,
// UTF-8 elsewhere.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_BUILT, 320 to 329.
dormouse_status dormouse_store_open(const char *path,
                                    size_t path_len,
                                    dormouse_store **store_out,
                                    dormouse_error **error_out);

// The length of the value of a key.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND if the key has no value, 320 to 329.
dormouse_status dormouse_store_len(const dormouse_store *store,
                                   const char *name_space,
                                   size_t name_space_len,
                                   const uint8_t *key,
                                   size_t key_len,
                                   size_t *len_out,
                                   dormouse_error **error_out);

// Copies the value of a key to `bytes`, all of it, and says how long it is. `dormouse_store_len` says it before; if
// the value has become longer since, this answers DORMOUSE_NO_ROOM.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND if the key has no value, DORMOUSE_NO_ROOM,
// 320 to 329.
dormouse_status dormouse_store_get(const dormouse_store *store,
                                   const char *name_space,
                                   size_t name_space_len,
                                   const uint8_t *key,
                                   size_t key_len,
                                   uint8_t *bytes,
                                   size_t room,
                                   size_t *len_out,
                                   dormouse_error **error_out);

// Gives a key a value, whatever it has: a commit of its own, without regard to what a deployment allows its
// function. The key has 1 byte or more, the value may be empty. After a failure it has the new value or the old.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_ARGUMENT, 320 to 329.
dormouse_status dormouse_store_set(const dormouse_store *store,
                                   const char *name_space,
                                   size_t name_space_len,
                                   const uint8_t *key,
                                   size_t key_len,
                                   const uint8_t *value,
                                   size_t value_len,
                                   dormouse_error **error_out);

// Takes a key's value away, if it has any.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_ARGUMENT, 320 to 329.
dormouse_status dormouse_store_delete(const dormouse_store *store,
                                      const char *name_space,
                                      size_t name_space_len,
                                      const uint8_t *key,
                                      size_t key_len,
                                      dormouse_error **error_out);

// Keys that begin with `prefix`, in the order of their bytes, `max` at most: from the first behind `after` on, or
// from the beginning if that is empty. They are bytes, and may have NULs; each has another behind it.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, 320 to 329.
dormouse_status dormouse_store_list(const dormouse_store *store,
                                    const char *name_space,
                                    size_t name_space_len,
                                    const uint8_t *prefix,
                                    size_t prefix_len,
                                    const uint8_t *after,
                                    size_t after_len,
                                    size_t max,
                                    dormouse_names **names_out,
                                    dormouse_error **error_out);

// What a namespace holds: keys that have a value, and bytes of these keys and of their values; 0 of both where it
// was never written to. Either place may be NULL.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, 320 to 329.
dormouse_status dormouse_store_size(const dormouse_store *store,
                                    const char *name_space,
                                    size_t name_space_len,
                                    uint64_t *entries_out,
                                    uint64_t *bytes_out,
                                    dormouse_error **error_out);

// Frees a handle of a store. NULL is allowed.
void dormouse_store_free(dormouse_store *store);

// Makes a cancel handle that has not been used yet.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_cancel_new(dormouse_cancel **cancel_out,
                                    dormouse_error **error_out);

// Ends the invocations that have this handle, now running or begun later: it stays cancelled. They end with
// DORMOUSE_CANCELLED at their next slice of 100,000 fuel, or when the host function returns that they are in.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_cancel_cancel(const dormouse_cancel *cancel,
                                       dormouse_error **error_out);

// Whether `dormouse_cancel_cancel` was called. False for NULL.
bool dormouse_cancel_is_cancelled(const dormouse_cancel *cancel);

// Frees a cancel handle; it cancels nothing. NULL is allowed.
void dormouse_cancel_free(dormouse_cancel *cancel);

// Fills in the defaults: nothing of everything. `size` is `sizeof *options`.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT.
dormouse_status dormouse_event_options_init(dormouse_event_options *options,
                                            size_t size,
                                            dormouse_error **error_out);

// Makes an event of its parts. What is left out and needed comes from the runtime.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_UTF8, DORMOUSE_EVENT.
dormouse_status dormouse_runtime_event(const dormouse_runtime *runtime,
                                       const dormouse_event_options *options,
                                       dormouse_event **event_out,
                                       dormouse_error **error_out);

// Reads an event in its JSON form, `application/cloudevents+json`, of 1 MiB at most.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_EVENT.
dormouse_status dormouse_event_from_json(const char *json,
                                         size_t json_len,
                                         dormouse_event **event_out,
                                         dormouse_error **error_out);

// An attribute or extension by its name in CloudEvents, as `type`, `id`, `source`, `subject`, `time`,
// `datacontenttype` or `partitionkey`: its text, its number in decimal, `true` or `false`. To be freed.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND.
dormouse_status dormouse_event_attribute(const dormouse_event *event,
                                         const char *name,
                                         size_t name_len,
                                         dormouse_text **value_out,
                                         dormouse_error **error_out);

// The event in its JSON form. Lent until the event is freed. NULL for NULL. `len_out` may be NULL.
const char *dormouse_event_json(const dormouse_event *event,
                                size_t *len_out);

// The bytes of the event's data; NULL where it has none, and for NULL. Lent until the event is freed. `len_out`
// may be NULL.
const uint8_t *dormouse_event_data(const dormouse_event *event,
                                   size_t *len_out);

// Frees an event. NULL is allowed.
void dormouse_event_free(dormouse_event *event);

// Reads a pattern: JSON as `{"type": ["order.created"], "data": {"total": [{"numeric": [">", 100]}]}}`, of 64
// KiB at most.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_PATTERN.
dormouse_status dormouse_pattern_new(const char *pattern,
                                     size_t pattern_len,
                                     dormouse_pattern **pattern_out,
                                     dormouse_error **error_out);

// Whether a JSON object matches: an event's `dormouse_event_json`, or any other. `why_out`, which may be NULL,
// receives the field that fails first and why, as `data.total must be one of [...], but is 80`, to be freed;
// NULL where all match. Asking why takes longer.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_EVENT for what is no JSON object, DORMOUSE_AMBIGUOUS.
dormouse_status dormouse_pattern_matches(const dormouse_pattern *pattern,
                                         const char *json,
                                         size_t json_len,
                                         bool *matches_out,
                                         dormouse_text **why_out,
                                         dormouse_error **error_out);

// Frees a pattern. NULL is allowed.
void dormouse_pattern_free(dormouse_pattern *pattern);

// Fills in the defaults. `size` is `sizeof *options`.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT.
dormouse_status dormouse_trigger_options_init(dormouse_trigger_options *options,
                                              size_t size,
                                              dormouse_error **error_out);

// Brings a trigger into force under an id of its own, of 1 to 64 of the characters A-Z a-z 0-9 . _ -, for what
// is published from now on. What the options point to is not needed afterwards.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_UTF8, DORMOUSE_INVALID_NAME, 310 to 319.
dormouse_status dormouse_runtime_bind(const dormouse_runtime *runtime,
                                      const char *id,
                                      size_t id_len,
                                      const dormouse_trigger_options *options,
                                      dormouse_error **error_out);

// Takes a trigger out of force. Deliveries that it has made go on.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND.
dormouse_status dormouse_runtime_unbind(const dormouse_runtime *runtime,
                                        const char *id,
                                        size_t id_len,
                                        dormouse_error **error_out);

// Switches a trigger on or off, for what is published from now on. Off, it matches nothing, and keeps its id.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND.
dormouse_status dormouse_runtime_enable(const dormouse_runtime *runtime,
                                        const char *id,
                                        size_t id_len,
                                        bool on,
                                        dormouse_error **error_out);

// The ids of all triggers, in the order of binding.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_runtime_triggers(const dormouse_runtime *runtime,
                                          dormouse_names **names_out,
                                          dormouse_error **error_out);

// A dry run: the ids of the triggers that an event would wake, in the order of binding.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_AMBIGUOUS.
dormouse_status dormouse_runtime_matches(const dormouse_runtime *runtime,
                                         const dormouse_event *event,
                                         dormouse_names **names_out,
                                         dormouse_error **error_out);

// Whether an event would wake a trigger. `why_out`, which may be NULL, receives the attribute or field that
// fails first and why, as `subject: level 3 should be "temperature", but is "humidity"`, to be freed; NULL where
// it would.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND.
dormouse_status dormouse_runtime_explain(const dormouse_runtime *runtime,
                                         const char *id,
                                         size_t id_len,
                                         const dormouse_event *event,
                                         bool *matches_out,
                                         dormouse_text **why_out,
                                         dormouse_error **error_out);

// Queues a delivery for each trigger that the event matches: all of them, or an error. The functions run in
// `dormouse_runtime_run_pending` and `dormouse_runtime_tick`, and on workers. `count_out`, which may be NULL,
// receives how many deliveries were queued.
//
// An event is delivered at least once to each trigger that it matches, as long as the process lives, or the
// file of `dormouse_runtime_open`: functions may see one twice.
//
// Statuses: DORMOUSE_NULL, 301 to 305, 320 to 329. Nothing is queued then.
dormouse_status dormouse_runtime_publish(const dormouse_runtime *runtime,
                                         const dormouse_event *event,
                                         size_t *count_out,
                                         dormouse_error **error_out);

// As `dormouse_runtime_publish`, and makes the first attempt of each delivery here and now, on this thread. What
// fails stays in the queue as any other delivery, to be tried again, and is no failure of this call.
//
// Statuses: DORMOUSE_NULL, 301 to 305, 320 to 329. Nothing is queued then.
dormouse_status dormouse_runtime_dispatch(const dormouse_runtime *runtime,
                                          const dormouse_event *event,
                                          dormouse_outcomes **outcomes_out,
                                          dormouse_error **error_out);

// The outcome at `index`, below `dormouse_outcomes_count`.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_NOT_FOUND.
dormouse_status dormouse_outcomes_at(const dormouse_outcomes *outcomes,
                                     size_t index,
                                     dormouse_outcome *outcome_out,
                                     dormouse_error **error_out);

// Runs what is ready, on this thread: the oldest first, `budget` attempts at most. `ran_out`, which may be NULL,
// receives how many it made.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_runtime_run_pending(const dormouse_runtime *runtime,
                                             size_t budget,
                                             size_t *ran_out,
                                             dormouse_error **error_out);

// What a host does from time to time that drives the runtime by itself: tells it the date, in nanoseconds since
// 1970 in UTC, fires the schedules, runs as many attempts as are ready when it begins, and drops what is idle.
// `tick_out` may be NULL.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT.
dormouse_status dormouse_runtime_tick(const dormouse_runtime *runtime,
                                      int64_t unix_ns,
                                      dormouse_tick *tick_out,
                                      dormouse_error **error_out);

// How long a host may sleep in nanoseconds before there is something to do, by the runtime's clock: 0 if a
// delivery is ready, UINT64_MAX if only a call of the host can bring something about.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_runtime_next_deadline(const dormouse_runtime *runtime,
                                               uint64_t *ns_out,
                                               dormouse_error **error_out);

// Where all deliveries are.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_runtime_deliveries(const dormouse_runtime *runtime,
                                            dormouse_deliveries *deliveries_out,
                                            dormouse_error **error_out);

// What each version of each function has used so far, as a JSON object: `{"functions": [{"function": ..., ...}],
// "retired": {...}}`, times in nanoseconds and sizes in bytes.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_runtime_ledger(const dormouse_runtime *runtime,
                                        dormouse_text **json_out,
                                        dormouse_error **error_out);

// How many outcomes there are: one for each trigger that the event matched. 0 for NULL.
size_t dormouse_outcomes_count(const dormouse_outcomes *outcomes);

// Frees outcomes, and the replies and errors that they lend. NULL is allowed.
void dormouse_outcomes_free(dormouse_outcomes *outcomes);

// The dead letters that the runtime holds. It goes on holding them.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_runtime_dead_letters(const dormouse_runtime *runtime,
                                              dormouse_dead_letters **letters_out,
                                              dormouse_error **error_out);

// Takes all dead letters out of the runtime.
//
// Statuses: DORMOUSE_NULL. Nothing has been taken out then.
dormouse_status dormouse_runtime_drain_dead_letters(const dormouse_runtime *runtime,
                                                    dormouse_dead_letters **letters_out,
                                                    dormouse_error **error_out);

// Queues the event of the dead letter `id` once more for its trigger, which must be bound, and takes the
// letter out. `delivery_out`, which may be NULL, receives the number of the new delivery.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_NOT_FOUND, DORMOUSE_QUEUE_FULL, 320 to 329. The letter is held as before
// then.
dormouse_status dormouse_runtime_redrive(const dormouse_runtime *runtime,
                                         uint64_t id,
                                         uint64_t *delivery_out,
                                         dormouse_error **error_out);

// The letter at `index`, below `dormouse_dead_letters_count`.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_NOT_FOUND.
dormouse_status dormouse_dead_letters_at(const dormouse_dead_letters *letters,
                                         size_t index,
                                         dormouse_dead_letter *letter_out,
                                         dormouse_error **error_out);

// How many letters there are. 0 for NULL.
size_t dormouse_dead_letters_count(const dormouse_dead_letters *letters);

// Frees a list of dead letters, and the events that it lends. NULL is allowed.
void dormouse_dead_letters_free(dormouse_dead_letters *letters);

// Starts `count` threads, 1 to 1,024, that run deliveries as they become ready, those to be tried again
// included. They fire no schedules: a host that has any calls `dormouse_runtime_tick` all the same. Host
// functions and all other callbacks are called on these threads then.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_NO_THREAD. No thread is left then.
dormouse_status dormouse_runtime_workers(const dormouse_runtime *runtime,
                                         size_t count,
                                         dormouse_workers **workers_out,
                                         dormouse_error **error_out);

// How many threads there are; 0 for NULL.
size_t dormouse_workers_count(const dormouse_workers *workers);

// Ends the threads and frees their handle. They finish what was published and is ready by now; what waits for
// another attempt or for its function stays in the queue. The call returns when they have ended, so it must not
// be made under a lock that a callback takes. A callback that runs on one of them may make it: then that one
// ends after the delivery that it runs, and the call waits for the others alone. NULL is allowed.
void dormouse_workers_free(dormouse_workers *workers);

// Fills in the defaults. `size` is `sizeof *options`.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT.
dormouse_status dormouse_request_options_init(dormouse_request_options *options,
                                              size_t size,
                                              dormouse_error **error_out);

// Gives a request to the function whose route it fits, on this thread, and returns what to send back: also where
// no route fits (404), or the function fails (502 and others), which is no failure of this call. The function is
// given the request as JSON data of an event of the type `dormouse.request`, and answers with any JSON, or with
// an object of `status`, `headers` and `body`.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_UTF8.
dormouse_status dormouse_runtime_request(const dormouse_runtime *runtime,
                                         const dormouse_request_options *options,
                                         dormouse_response **response_out,
                                         dormouse_error **error_out);

// The header at `index`, lent until the response is freed, with a NUL behind name and value. DORMOUSE_NOT_FOUND
// behind the last.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_NOT_FOUND.
dormouse_status dormouse_response_header(const dormouse_response *response,
                                         size_t index,
                                         dormouse_header *header_out,
                                         dormouse_error **error_out);

// 100 to 599; 0 for NULL.
uint32_t dormouse_response_status(const dormouse_response *response);

// The body. Lent until the response is freed. NULL for NULL. `len_out` may be NULL.
const uint8_t *dormouse_response_body(const dormouse_response *response,
                                      size_t *len_out);

// What went wrong, in words for the host's log, not for the client. NULL for what a function answered itself,
// and for NULL. Lent until the response is freed. `len_out` may be NULL.
const char *dormouse_response_error(const dormouse_response *response,
                                    size_t *len_out);

// Frees a response. NULL is allowed.
void dormouse_response_free(dormouse_response *response);

// Its characters. Lent until it is freed. NULL for NULL. `len_out` may be NULL.
const char *dormouse_text_chars(const dormouse_text *text,
                                size_t *len_out);

// Frees a text. NULL is allowed.
void dormouse_text_free(dormouse_text *text);

// How many names there are. 0 for NULL.
size_t dormouse_names_count(const dormouse_names *names);

// The name at `index`, with a NUL behind it. Lent until the names are freed. NULL from `dormouse_names_count`
// on, and for NULL. `len_out` may be NULL.
const char *dormouse_names_at(const dormouse_names *names,
                              size_t index,
                              size_t *len_out);

// Frees names. NULL is allowed.
void dormouse_names_free(dormouse_names *names);

// What kind of failure it is: what the call returned. DORMOUSE_NULL for NULL.
dormouse_status dormouse_error_status(const dormouse_error *error);

// How the guest trapped, where the failure is a trap, or an error of a plug-in or of initialisation that ended in
// one; else DORMOUSE_TRAP_NONE, also for NULL.
dormouse_trap dormouse_error_trap(const dormouse_error *error);

// What went wrong, where, and what to do: one line, or a few. Text that comes from guests is escaped and cut at
// 4 KiB. Lent until the error is freed. NULL for NULL. `len_out` may be NULL.
const char *dormouse_error_message(const dormouse_error *error,
                                   size_t *len_out);

// What the failed invocation did and used; NULL where no guest ran, also for NULL. Lent until the error is
// freed.
const dormouse_report *dormouse_error_report(const dormouse_error *error);

// The same as one line, `REPORT greet@3f2a91c start=warm fuel=18204 ...`. Lent until the error is freed.
// `len_out` may be NULL.
const char *dormouse_error_report_text(const dormouse_error *error,
                                       size_t *len_out);

// Frees an error. NULL is allowed.
void dormouse_error_free(dormouse_error *error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#ifdef __cplusplus
extern "C" {
#endif

// A string of C as the two arguments that this library takes: `dormouse_runtime_find(runtime, DORMOUSE_STR("greet"),
// ...)`. It looks at its argument twice.
#define DORMOUSE_STR(s) (s), dormouse_length(s)

static inline size_t dormouse_length(const char *s) {
    return s == NULL ? 0 : strlen(s);
}

// The same as a member of a struct. NULL is no text.
static inline dormouse_string dormouse_string_of(const char *s) {
    dormouse_string string;
    string.chars = s;
    string.len = dormouse_length(s);
    return string;
}

// Values, from numbers.
static inline dormouse_value dormouse_i32(int32_t number) {
    dormouse_value value;
    value.type = DORMOUSE_I32;
    value.of.i32 = number;
    return value;
}

static inline dormouse_value dormouse_i64(int64_t number) {
    dormouse_value value;
    value.type = DORMOUSE_I64;
    value.of.i64 = number;
    return value;
}

static inline dormouse_value dormouse_f32(float number) {
    dormouse_value value;
    value.type = DORMOUSE_F32;
    value.of.f32 = number;
    return value;
}

static inline dormouse_value dormouse_f64(double number) {
    dormouse_value value;
    value.type = DORMOUSE_F64;
    value.of.f64 = number;
    return value;
}

#ifdef __cplusplus
}
#endif

#endif // DORMOUSE_H
