// dormouse: WebAssembly functions that run inside your program: sandboxed, metered, limited and
// stateless.
//
// cbindgen makes this file from bindings/c/src. Edit it there.
//
// Conventions, which hold for every function unless it says otherwise
//
// Status. A function that can fail returns a dormouse_status. Its numbers are fixed, and
// DORMOUSE_OK is 0. Its last parameter is `error_out`. If that is not NULL and the call fails,
// `*error_out` receives an error, with a message, a trap and a report. The caller frees it with
// dormouse_error_free.
//
// Results. A call writes its results through pointers that end in `_out`, and only on success. They
// may be NULL if the function says so.
//
// NULL. Every pointer is checked. If a required pointer is NULL, the call returns DORMOUSE_NULL,
// names the parameter, and does nothing else. Functions without a status return NULL, 0 or false
// for NULL. Freeing NULL does nothing.
//
// Text and bytes. An argument is a pointer, followed by a length. It needs no NUL at its end. A
// pointer may be NULL if its length is 0. A length that no array can have is DORMOUSE_ARGUMENT, in
// every function. Text is UTF-8. DORMOUSE_STR(s) stands for both arguments of a C string. Structs
// have the two as a dormouse_string. Text that the library gives back has a length, and a NUL
// behind it.
//
// Ownership. Arguments are borrowed until the call returns. The caller frees what a call makes,
// once, with the `_free` function of its type. What the library lends is a `const` pointer into a
// handle, valid until that handle is freed.
//
// Lifetime. Handles of runtimes, functions, stores and cancel handles are counted, and keep what
// they need. They may be freed in any order. A call under way keeps what it works on. So a callback
// may free the very handles through which it was reached. That takes effect when the call is over.
//
// Threads. `const T *` means that any number of threads may pass the same handle at once. `T *` is
// for one thread at a time. Freeing a handle is one more use of it: no thread may begin a call with
// the handle at the same time or later. A call has begun once it has reached a callback. There are
// no thread-local errors, and no call needs a particular thread. A thread that deploys or invokes
// needs 512 KiB of stack. A thread whose thread-local data are being destroyed can do neither, and
// gets DORMOUSE_PANIC.
//
// Callbacks get their `user_data` first. It should hold no handle of the runtime that it is given
// to, as that would keep the runtime, and so itself, alive forever. Host functions get a handle
// from their context. Callbacks may call all of this library, on any handle. An invocation from
// within a host function is nested in the invocation that called it. It is at most five deep in
// all, and ends with the outer deadline at the latest. It is DORMOUSE_BUSY at once if only an
// instance that this thread holds could serve it. A callback must return: it must not leave by
// longjmp or by a C++ exception. Contexts and guests that a callback is lent are valid for that
// call only, on its thread.
//
// Panics. A bug in the library does not unwind into C. The library catches it, prints it to stderr,
// and returns DORMOUSE_PANIC.
//
// Stability. Before 1.0 there is no promise of a stable ABI. The minor version is part of the
// SONAME. Build a program with the header of the library that it is linked with. The numbers of
// statuses stay. Options begin with their size. The library refuses options of another header,
// shorter or longer, with DORMOUSE_ARGUMENT, and writes nothing to them.
#ifndef DORMOUSE_H
#define DORMOUSE_H


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// The version of this header: major. It is 0 as long as there is no promise of a stable ABI.
#define DORMOUSE_VERSION_MAJOR 0

// The version of this header: minor. The SONAME carries it.
#define DORMOUSE_VERSION_MINOR 1

// The version of this header: patch.
#define DORMOUSE_VERSION_PATCH 0

// How a call went. The numbers are fixed: each keeps its meaning forever, and retired numbers are
// not used again. New numbers may be added, so a host must treat an unknown number as a failure.
typedef enum {
    // The call succeeded.
    DORMOUSE_OK = 0,
    // A pointer that must not be NULL is NULL. The message names the parameter. The call did
    // nothing.
    DORMOUSE_NULL = 1,
    // An argument that no call can have: an uninitialised options struct, an unknown constant,
    // contradictory options, or a length beyond that of any array. The call did nothing.
    DORMOUSE_ARGUMENT = 2,
    // A text is not UTF-8. The call did nothing.
    DORMOUSE_UTF8 = 3,
    // The caller's room is too small for the result. If it was an invocation, it has run, and its
    // report says how much room is needed.
    DORMOUSE_NO_ROOM = 4,
    // There is nothing of this name.
    DORMOUSE_NOT_FOUND = 5,
    // A bug in this library: it caught a panic at its edge. What the call worked on is dropped.
    // Everything else goes on.
    DORMOUSE_PANIC = 6,
    // A failure without a number in this version. The message describes it.
    DORMOUSE_OTHER = 7,
    // This library was built without a feature that the call needs. The message names the feature.
    DORMOUSE_NOT_BUILT = 8,
    // The system cannot start a thread.
    DORMOUSE_NO_THREAD = 9,
    // The name is not 1 to 64 of the characters A-Z a-z 0-9 . _ -
    DORMOUSE_INVALID_NAME = 100,
    // An option of the deployment contradicts itself or the runtime.
    DORMOUSE_INVALID_OPTION = 101,
    // The module exceeds a limit.
    DORMOUSE_TOO_LARGE = 102,
    // The bytes are not a WebAssembly module, or the module does not validate. The message says
    // where.
    DORMOUSE_INVALID_MODULE = 103,
    // The module needs a WebAssembly proposal that the library does not support.
    DORMOUSE_MISSING_PROPOSAL = 104,
    // The module imports something that the deployment does not provide. The message lists all
    // such imports.
    DORMOUSE_UNKNOWN_IMPORTS = 106,
    // The export that the deployment names as entry is missing or has the wrong type.
    DORMOUSE_ENTRY = 107,
    // An active data segment lies outside its memory.
    DORMOUSE_SEGMENT_OUT_OF_BOUNDS = 108,
    // The module's initialisation calls the host, although it must be repeated for each instance.
    DORMOUSE_UNREPEATABLE_INITIALISATION = 109,
    // The interpreter refuses a valid module.
    DORMOUSE_REFUSED = 110,
    // The library was built with a profile that makes the interpreter unsafe. The message says
    // what to change.
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
    // The guest broke its contract.
    DORMOUSE_CONTRACT = 206,
    // A read or write lies outside the guest's memory.
    DORMOUSE_OUT_OF_BOUNDS = 207,
    // The input is larger than its limit. The guest did not run.
    DORMOUSE_INPUT_TOO_LARGE = 208,
    // The output is larger than its limit.
    DORMOUSE_OUTPUT_TOO_LARGE = 209,
    // No instance is available, or there is no room to make one.
    DORMOUSE_BUSY = 210,
    // The function is not deployed: it was undeployed, or its alias was removed.
    DORMOUSE_UNDEPLOYED = 211,
    // New instances of the function kept failing to initialise. The runtime makes none for a
    // while.
    DORMOUSE_QUARANTINED = 212,
    // Initialisation failed, at deployment or in a new instance. The message names the step.
    DORMOUSE_INITIALISE = 213,
    // The module has no such export, or the export is not a function.
    DORMOUSE_NO_SUCH_EXPORT = 214,
    // The arguments do not fit the export's type.
    DORMOUSE_SIGNATURE = 215,
    // The function takes no bytes. Use `dormouse_function_call` or `dormouse_function_session`.
    DORMOUSE_NOT_INVOCABLE = 216,
    // The interpreter stopped for a reason that is not a trap of the specification.
    DORMOUSE_INTERPRETER = 217,
    // Host functions nest invocations too deeply. The limit is five, the outermost included.
    DORMOUSE_NESTED_TOO_DEEP = 218,
    // The guest ended itself: the program's exit code is not 0. The message has the code and the
    // end of its log.
    DORMOUSE_EXIT = 219,
    // The guest says that it will never take this input. A delivery is not retried. The message
    // has the end of its log.
    DORMOUSE_REJECTED = 220,
    // An Extism plug-in set an error, or its export returned a code that is not 0. The message has
    // both. `dormouse_error_trap` says whether the plug-in then trapped, as most do.
    DORMOUSE_GUEST_ERROR = 221,
    // A handle is not that of a live block of an Extism plug-in, or the bytes at an address do not
    // lie in one.
    DORMOUSE_INVALID_HANDLE = 222,
    // Blocks of an Extism plug-in do not fit into the part of the limit that its memories leave.
    DORMOUSE_MEMORY_LIMIT = 223,
    // Another invocation, or the host, has changed a key of the key-value store since this
    // invocation compared it. Nothing is written. The caller may invoke again.
    DORMOUSE_KV_CONFLICT = 224,
    // The invocation staged more for the key-value store than the namespace may hold, together
    // with what others have committed meanwhile.
    DORMOUSE_KV_FULL = 225,
    // The key-value store failed in an invocation. The message has the store's error.
    DORMOUSE_KV_STORE = 226,
    // An event is invalid. The message names the attribute.
    DORMOUSE_EVENT = 300,
    // The event type is reserved. Types that begin with `dormouse.` belong to the runtime.
    DORMOUSE_RESERVED_TYPE = 301,
    // The event is larger than the runtime's limit.
    DORMOUSE_EVENT_TOO_LARGE = 302,
    // The queue has no room for the event's deliveries.
    DORMOUSE_QUEUE_FULL = 303,
    // A function's reply is not an event, or its type is not one that the trigger emits.
    DORMOUSE_REPLY = 304,
    // The event repeats keys around arrays so often that no pattern can be matched against it.
    DORMOUSE_AMBIGUOUS = 305,
    // The trigger is invalid. The message says why.
    DORMOUSE_INVALID_TRIGGER = 310,
    // The text is not a pattern. The message says where.
    DORMOUSE_PATTERN = 311,
    // Another trigger has the id.
    DORMOUSE_TAKEN = 312,
    // The runtime has as many triggers as it may.
    DORMOUSE_TOO_MANY_TRIGGERS = 313,
    // The runtime has as many aliases as it may.
    DORMOUSE_TOO_MANY_ALIASES = 314,
    // The disk is full. Nothing was stored. Calls succeed again once there is room.
    DORMOUSE_STORE_FULL = 320,
    // Another runtime or store, here or in another process, has the file open.
    DORMOUSE_STORE_IN_USE = 321,
    // The file is damaged, or this library did not write it.
    DORMOUSE_STORE_CORRUPT = 322,
    // The file could not be opened, read or written. The message has the system's error.
    DORMOUSE_STORE_IO = 323,
} dormouse_status;

// How a used instance becomes clean.
typedef enum {
    // In a way without a number in this version.
    DORMOUSE_CLEANING_OTHER = 0,
    // The guest's code changes nothing, so there is nothing to clean.
    DORMOUSE_CLEANING_NONE = 1,
    // In place. An instance that is used often is cleaned only in the pages that were written to.
    // The library looks for them if the thread took page faults.
    DORMOUSE_CLEANING_GATED = 2,
    // As DORMOUSE_CLEANING_GATED, but the library looks for written pages after every run.
    DORMOUSE_CLEANING_SCANNED = 3,
    // In place, with memories restored as a whole.
    DORMOUSE_CLEANING_PORTABLE = 4,
    // A fresh instance replaces it.
    DORMOUSE_CLEANING_REPLACED = 5,
} dormouse_cleaning;

// The outcome of one attempt to deliver an event.
typedef enum {
    // An outcome without a number in this version.
    DORMOUSE_OUTCOME_OTHER = 0,
    // The function ran, and there is a reply.
    DORMOUSE_OUTCOME_SUCCEEDED = 1,
    // The attempt failed, and is made again later. There is an error.
    DORMOUSE_OUTCOME_RETRY = 2,
    // The attempt failed, and the delivery is given up as a dead letter. There is an error.
    DORMOUSE_OUTCOME_DEAD_LETTER = 3,
    // The function is not deployed, or off. The delivery waits for the function.
    DORMOUSE_OUTCOME_PARKED = 4,
    // The trigger is ordered and other deliveries come first, or the function has just been
    // deployed. The delivery waits for its turn.
    DORMOUSE_OUTCOME_QUEUED = 5,
    // The event's `expirytime` had passed.
    DORMOUSE_OUTCOME_EXPIRED = 6,
    // The delivery would have been too old at its next attempt, and is a dead letter.
    DORMOUSE_OUTCOME_TOO_OLD = 7,
    // The queue was full.
    DORMOUSE_OUTCOME_DROPPED = 8,
} dormouse_outcome_kind;

// Why a delivery was given up.
typedef enum {
    // For a reason without a number in this version.
    DORMOUSE_REASON_OTHER = 0,
    // All attempts that its trigger allows have failed.
    DORMOUSE_REASON_ATTEMPTS = 1,
    // It is older than its trigger allows, or would be at the next attempt.
    DORMOUSE_REASON_AGE = 2,
    // It failed in a way that another attempt would not change.
    DORMOUSE_REASON_PERMANENT = 3,
    // It is a reply at the end of a chain of replies that is longer than the runtime allows.
    DORMOUSE_REASON_LOOP = 4,
} dormouse_reason;

// How a guest trapped.
typedef enum {
    // The guest did not trap, or in a way without a number in this version.
    DORMOUSE_TRAP_NONE = 0,
    // The guest ran `unreachable`: the panic or abort of most languages.
    DORMOUSE_TRAP_UNREACHABLE = 1,
    // A load, store or bulk operator reached outside memory.
    DORMOUSE_TRAP_MEMORY_OUT_OF_BOUNDS = 2,
    // An access reached outside a table.
    DORMOUSE_TRAP_TABLE_OUT_OF_BOUNDS = 3,
    // An indirect call reached a null entry.
    DORMOUSE_TRAP_INDIRECT_CALL_TO_NULL = 4,
    // An integer was divided by zero.
    DORMOUSE_TRAP_DIVISION_BY_ZERO = 5,
    // An integer division overflowed.
    DORMOUSE_TRAP_INTEGER_OVERFLOW = 6,
    // NaN, an infinity or a number out of range was converted to an integer.
    DORMOUSE_TRAP_BAD_CONVERSION = 7,
    // Calls were nested too deeply, or the value stack is full.
    DORMOUSE_TRAP_STACK_OVERFLOW = 8,
    // An indirect call reached a function of another type.
    DORMOUSE_TRAP_BAD_SIGNATURE = 9,
    // The host machine has no memory left.
    DORMOUSE_TRAP_OUT_OF_SYSTEM_MEMORY = 10,
} dormouse_trap;

// Ends invocations from another thread. Made by `dormouse_cancel_new`, given to invocations in
// `dormouse_invoke_options.cancel`, freed by `dormouse_cancel_free`.
//
// Thread safety: any number of threads may use one handle at once. Invocations keep what they need
// of it, so it may be freed before they end. Their callbacks may free it, and so may a thread that
// knows that the invocations have reached a callback.
typedef struct dormouse_cancel dormouse_cancel;

// A host function's view of the guest that calls it. It is lent to a `dormouse_host_callback`, for
// the thread and the duration of that call. Never keep it.
//
// Guest memory is only copied through it. Bytes that a call moves cost the guest fuel: 1 for 64
// bytes or a part of 64. A guest that cannot pay ends with DORMOUSE_OUT_OF_FUEL when the host
// function returns, whatever it returns.
typedef struct dormouse_context dormouse_context;

// Dead letters, the oldest first, as a copy of one moment. The caller owns it and frees it with
// `dormouse_dead_letters_free`. It may outlive its runtime. It never changes, so any number of
// threads may read it.
typedef struct dormouse_dead_letters dormouse_dead_letters;

// Why a call failed. A call that fails writes it to `*error_out`, unless `error_out` is NULL. Then
// the caller owns it and frees it with `dormouse_error_free`. It keeps nothing else alive. It
// never changes, so any number of threads may read it.
typedef struct dormouse_error dormouse_error;

// An event of CloudEvents 1.0. The caller owns it and frees it with `dormouse_event_free`. It
// never changes, so any number of threads may use it. A call that takes an event leaves it with
// the caller. Events that dead letters lend are freed with the dead letters.
typedef struct dormouse_event dormouse_event;

// A deployed function. A handle follows its name. After a redeployment its next invocation runs
// the new version. After `dormouse_runtime_undeploy` it answers DORMOUSE_UNDEPLOYED. A pinned
// handle stays with its version.
//
// Thread safety: any number of threads may use one handle at once, each on its own instance. The
// threads then share the handle's count, which each call changes. A clone for each thread shares
// nothing.
//
// Ownership: made by `dormouse_runtime_deploy`, `dormouse_runtime_find`,
// `dormouse_runtime_functions`, `dormouse_function_clone` and `dormouse_function_pin`. Free each
// handle once, with `dormouse_function_free`. A handle keeps its runtime alive, and calls under
// way keep what they need. So a callback may free the handle of the function that it runs in.
typedef struct dormouse_function dormouse_function;

// A guest within a session. It is lent to a `dormouse_session_callback`, for the thread and the
// duration of that call. Never keep it.
typedef struct dormouse_guest dormouse_guest;

// Names that a call found: ids of triggers, keys of a store. The caller owns them and frees them
// with `dormouse_names_free`. They never change, so any number of threads may read them.
typedef struct dormouse_names dormouse_names;

// What `dormouse_runtime_dispatch` did, trigger by trigger in the order of binding. The caller
// owns it and frees it with `dormouse_outcomes_free`. It never changes, so any number of threads
// may read it.
typedef struct dormouse_outcomes dormouse_outcomes;

// A pattern in the dialect of EventBridge, which describes events. Made by `dormouse_pattern_new`,
// freed by `dormouse_pattern_free`. It never changes, so any number of threads may use it.
typedef struct dormouse_pattern dormouse_pattern;

// What a successful invocation gave back. The caller owns it and frees it with
// `dormouse_reply_free`. Everything that it lends is valid until then. It may outlive its function
// and its runtime. It never changes, so any number of threads may read it.
typedef struct dormouse_reply dormouse_reply;

// What a host's server sends back. The caller owns it and frees it with `dormouse_response_free`.
// It never changes, so any number of threads may read it.
typedef struct dormouse_response dormouse_response;

// A function runtime: functions by name, and the budget that they share. It opens no socket, and
// has no threads except the workers that the host starts.
//
// Thread safety: any number of threads may use one handle at once.
//
// Ownership: made by `dormouse_runtime_new`, `dormouse_runtime_open`, `dormouse_runtime_clone` and
// `dormouse_context_runtime`. Free each handle once, with `dormouse_runtime_free`. The runtime
// lives as long as a handle, a function handle or a call under way needs it. So a callback may
// free the handle of the runtime that it runs in. That takes effect when the call is over.
typedef struct dormouse_runtime dormouse_runtime;

// A key-value store, where functions keep what must outlast an invocation: namespaces of keys and
// values, both of them bytes. A deployment grants it with `dormouse_deploy_options.store`.
// bindings/README.md describes what guests then import. When an invocation succeeds, all that it
// wrote is committed at once. An invocation that fails writes nothing. Initialisation cannot use
// the store.
//
// A function sees one namespace. Its name is the function's, unless the deployment names another.
// The functions here take any text as a namespace, and do not know which namespaces are in use.
//
// Thread safety: any number of threads may use one handle at once, while functions use the store.
//
// Ownership: made by `dormouse_store_new` and `dormouse_store_open`. Free each handle once, with
// `dormouse_store_free`. Functions keep the store that they were granted, so the handle may be
// freed before them. A store in memory is gone with the last of them.
typedef struct dormouse_store dormouse_store;

// Text that a call made. The caller owns it and frees it with `dormouse_text_free`. It never
// changes, so any number of threads may read it.
typedef struct dormouse_text dormouse_text;

// Threads that run the queue of a runtime, started by `dormouse_runtime_workers`.
//
// Ownership: the caller owns them and ends them with `dormouse_workers_free`. They do not keep the
// runtime alive. When the runtime ends, they end too, and only the handle is left to be freed. A
// child process of `fork` has none of these threads.
//
// Thread safety: any number of threads may read it.
typedef struct dormouse_workers dormouse_workers;

// What happens to an event whose deliveries do not all fit into the queue: one of the
// DORMOUSE_WHEN_FULL_ constants.
typedef uint32_t dormouse_when_full;

// How used instances are cleaned: one of the DORMOUSE_RESET_ constants. All are correct. They
// differ in speed.
typedef uint32_t dormouse_reset;

// The host's clock: nanoseconds since some fixed instant. It must not go back. If it does,
// durations read as zero. The library calls it often, from any thread, on several at once. It must
// not call this library.
typedef uint64_t (*dormouse_clock)(void *user_data);

// Frees what a `user_data` points to. The library calls it once, from the thread that drops the
// last use. That may be within a call on a context or guest that a callback was lent, which it
// must not use.
typedef void (*dormouse_user_data_free)(void *user_data);

// Options of a runtime. Fill them in with `dormouse_runtime_options_init`, then change them.
typedef struct {
    // The size of this struct, which tells the library the header's version.
    size_t size;
    // The most functions deployed at once; 10,000.
    uint64_t functions;
    // The most live instances of all functions; 4,096. At the limit the runtime drops the least
    // recently used idle instance. If there is none, the call returns DORMOUSE_BUSY.
    uint64_t instances;
    // The most bytes of memory and bookkeeping of all live instances; 1 GiB. The limit works like
    // that of `instances`.
    uint64_t resident_memory;
    // How many nanoseconds an instance may be idle before `dormouse_runtime_tick` drops it; 5
    // minutes.
    uint64_t idle_ns;
    // The seed of the runtime's random numbers, which are the jitter of retries and the ids of
    // events; 0. The same seed repeats a run.
    uint64_t seed;
    // The most triggers bound at once; 100,000.
    uint64_t triggers;
    // The most deliveries that have not ended; 65,536.
    uint64_t deliveries;
    // The most bytes of the events of these deliveries; 256 MiB.
    uint64_t delivery_bytes;
    // The most bytes of one event; 1 MiB.
    uint64_t event_bytes;
    // The most dead letters kept; 10,000. A new one replaces the oldest.
    uint64_t dead_letters;
    // The most bytes of the events of dead letters; 64 MiB.
    uint64_t dead_letter_bytes;
    // The longest chain of replies that are published as events; 16.
    uint32_t hops;
    // What happens to an event whose deliveries do not fit; DORMOUSE_WHEN_FULL_REJECT.
    dormouse_when_full when_full;
    // How used instances are cleaned; DORMOUSE_RESET_AUTO.
    dormouse_reset reset;
    // The host's clock. NULL for the machine's clock.
    dormouse_clock clock;
    // User data of the clock, ignored without a clock. The library owns it once the call that
    // makes the runtime has returned DORMOUSE_OK, not before.
    void *clock_user_data;
    // Called when the clock is no longer needed. May be NULL.
    dormouse_user_data_free clock_user_data_free;
} dormouse_runtime_options;

// The limits of one function. Part of `dormouse_deploy_options`, whose init function fills in the
// defaults.
typedef struct {
    // Fuel of one invocation; 1,000,000,000. One fuel is about one WebAssembly operator, 64 bytes
    // moved in bulk, or one host call.
    uint64_t fuel;
    // Time of one invocation in nanoseconds, from the moment its instance is available; 30 s.
    // UINT64_MAX for no limit.
    uint64_t deadline_ns;
    // Bytes of one input; 6 MiB.
    uint64_t input_bytes;
    // Bytes of one output; 6 MiB.
    uint64_t output_bytes;
    // Bytes of log that are kept of one invocation; 64 KiB. The rest is cut, and the report says
    // so.
    uint64_t log_bytes;
    // Bytes of linear memory of an instance; 64 MiB.
    uint64_t memory_bytes;
    // Elements of all tables of an instance; 100,000.
    uint64_t table_elements;
    // Bytes of the interpreter's value stack; 1 MiB. At least 4 KiB.
    uint64_t stack_bytes;
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
    // Tables of a module; 100, which is also the maximum.
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

// Text in a struct: where it begins, and its length in bytes. Borrowed like the struct.
// `dormouse_string_of` makes one from a C string. All zeros mean no text.
typedef struct {
    // Its first character. NULL for no text.
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

// One WebAssembly number, as parameter or result. `dormouse_i32`, `dormouse_i64`, `dormouse_f32`
// and `dormouse_f64`, at the end of this header, make one.
//
typedef struct {
    // Which member of `of` has the number.
    dormouse_value_type type;
    // The number.
    dormouse_number of;
} dormouse_value;

// A function of the host that guests call.
//
// It is given its `user_data`, a context that is valid until it returns, its arguments, and its
// results. The results have their types and are zero until it writes to their `of`. It returns 0.
// Any other number ends the invocation with DORMOUSE_HOST_FUNCTION. Then the error has the message
// of `dormouse_context_fail`, or else the number.
//
// It runs on the thread that invokes the function, and on several threads at once if several
// invoke. It may call all of this library. It must not leave by `longjmp` or by a C++ exception.
typedef int (*dormouse_host_callback)(void *user_data,
                                      dormouse_context *context,
                                      const dormouse_value *args,
                                      dormouse_value *results);

// A function that a guest may import. The deployment copies the texts and arrays.
typedef struct {
    // The module from which guests import it, such as `env`.
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
    // Passed to the function. The library owns it once the deployment has returned DORMOUSE_OK,
    // not before.
    void *user_data;
    // Called with `user_data` when the function is no longer needed. That is when its version is
    // superseded or undeployed and no handle and no invocation keeps it, or when the runtime ends.
    // May be NULL. Called once for each entry of the array.
    dormouse_user_data_free user_data_free;
} dormouse_host_function;

// A variable of a guest's environment, or a value of a plug-in's configuration.
typedef struct {
    // The name. In an environment it must not be empty, and must not contain `=` or NUL. In a
    // configuration it is any text.
    dormouse_string name;
    // The value. In an environment it must not contain NUL. In a configuration it is any text.
    dormouse_string value;
} dormouse_variable;

// The time that a host lets a WASI guest see: nanoseconds since 1970 in UTC. The library calls it
// with each of the guest's readings of a clock, on the invoking thread, and on several threads at
// once if several invoke.
typedef uint64_t (*dormouse_time)(void *user_data);

// A seed for the random numbers of one invocation of a WASI guest. It writes all 32 bytes that
// `seed_out` points to. Their source must be as secret as the guest's random numbers should be,
// for example `getrandom`. The library calls it once in each invocation that draws random numbers,
// on the invoking thread, and on several threads at once if several invoke.
typedef void (*dormouse_seeds)(void *user_data,
                               uint8_t *seed_out);

// A variable that an Extism plug-in finds in each invocation.
typedef struct {
    // Its key.
    dormouse_string key;
    // Its bytes. May be NULL if `value_len` is 0.
    const uint8_t *value;
    // How many.
    size_t value_len;
} dormouse_plugin_variable;

// The lowest level of an Extism plug-in's log that is kept: one of the DORMOUSE_LOG_ constants.
typedef uint32_t dormouse_log_level;

// What a function may keep in a key-value store, and what one of its invocations may do there.
// Part of `dormouse_deploy_options`, whose init function fills in the defaults.
typedef struct {
    // Bytes of a key, and of a prefix; 1 KiB. At most 64 KiB.
    uint32_t key;
    // Bytes of a value; 1 MiB.
    uint32_t value;
    // Entries of the namespace; 100,000.
    uint64_t entries;
    // Bytes of the namespace's keys and values; 64 MiB.
    uint64_t bytes;
    // Bytes that an invocation may stage: keys, values, what they are compared with, and 128 for
    // each key; 4 MiB.
    uint64_t staged;
    // Keys that one call may give to a guest; 1,000.
    uint32_t list;
} dormouse_store_limits;

// Options of a deployment. Fill them in with `dormouse_deploy_options_init`, then change them.
typedef struct {
    // The size of this struct, which tells the library the header's version.
    size_t size;
    // The function's limits.
    dormouse_limits limits;
    // How many instances the deployment makes and the runtime keeps; 0.
    uint64_t instances_min;
    // The most instances at once; twice the number of cores. 0 switches the function off.
    uint64_t instances_max;
    // How many nanoseconds an invocation waits while all instances are in use; 1 s. With 0 it does
    // not wait.
    uint64_t max_wait_ns;
    // The export that is given events. No text means `handle`, or the only export of a plug-in
    // that fits. If several fit, each invocation must name one, or fails with
    // DORMOUSE_NO_SUCH_EXPORT.
    dormouse_string entry;
    // How the guest takes its input; DORMOUSE_CONTRACT_DETECT.
    dormouse_contract contract;
    // The host functions that the guest may import. NULL for none. The array is not needed after
    // the deployment.
    const dormouse_host_function *host_functions;
    // How many.
    size_t host_functions_len;
    // The arguments of a WASI program, its own name first. NULL for `guest` alone. They may have
    // 64 KiB, with one byte more counted for each.
    const dormouse_string *args;
    // How many.
    size_t args_len;
    // The environment of a WASI guest. NULL for an empty one. A later value of the same name
    // replaces the earlier one. It may have 63.5 KiB, with two bytes more counted for each
    // variable.
    const dormouse_variable *env;
    // How many.
    size_t env_len;
    // The time for a WASI guest. NULL for a clock that begins at 2000-01-01 in each invocation and
    // advances by a microsecond with each reading, so that invocations are repeatable. In
    // initialisation the clock is always that one.
    dormouse_time time;
    // User data of the time, ignored without a time. The library owns it once the deployment has
    // returned DORMOUSE_OK, not before.
    void *time_user_data;
    // Called when the time is no longer needed. May be NULL.
    dormouse_user_data_free time_user_data_free;
    // Seeds for the random numbers of a WASI guest. NULL for a seed that is the same for all
    // invocations of a version. Then invocations are repeatable, and nothing that a guest draws is
    // a secret. In initialisation the seed is always that one.
    dormouse_seeds seeds;
    // User data of the seeds, ignored without seeds. The library owns it once the deployment has
    // returned DORMOUSE_OK, not before.
    void *seeds_user_data;
    // Called when the seeds are no longer needed. May be NULL.
    dormouse_user_data_free seeds_user_data_free;
    // The configuration of an Extism plug-in. NULL for none. Other guests ignore `config`, `vars`
    // and `log_level`. A later value of the same key replaces the earlier one. The configuration
    // may have 1 MiB, with 48 bytes counted for each key. Keys that begin with `DORMOUSE_` are
    // reserved.
    const dormouse_variable *config;
    // How many.
    size_t config_len;
    // Variables that an Extism plug-in finds in each invocation. NULL for none. A later value of
    // the same key replaces the earlier one. Variables that the plug-in sets itself are gone when
    // the invocation ends. All may have 1 MiB, with 48 bytes counted for each key.
    const dormouse_plugin_variable *vars;
    // How many.
    size_t vars_len;
    // The lowest level of an Extism plug-in's log that is kept; DORMOUSE_LOG_TRACE.
    dormouse_log_level log_level;
    // The key-value store that the guest may use. NULL for none. A host function of the same
    // module and name replaces the store's function.
    const dormouse_store *store;
    // The namespace that the guest sees in the store: 1 to 64 of the characters A-Z a-z 0-9 . _ -.
    // No text means the function's name. Ignored without a store.
    dormouse_string store_namespace;
    // The limits of what the guest may keep in the namespace.
    dormouse_store_limits store_limits;
} dormouse_deploy_options;

// What one deployment found and cost. Plain data.
typedef struct {
    // The deployed version: the SHA-256 of the module and the options.
    uint8_t version[32];
    // How a used instance becomes clean.
    dormouse_cleaning cleaning;
    // How the function takes its input: one of the DORMOUSE_CONTRACT_ constants.
    // DORMOUSE_CONTRACT_DETECT for a contract without a number in this version.
    dormouse_contract contract;
    // Whether it can be invoked with bytes. If not, its exports are called one by one.
    bool takes_bytes;
    // Functions that the module defines.
    uint32_t functions;
    // Bytes of the module.
    uint64_t module_bytes;
    // Fuel that initialisation used. It is paid once, here.
    uint64_t init_fuel;
    // Time that the deployment took in nanoseconds, by the runtime's clock.
    uint64_t duration_ns;
    // Bytes of linear memory that each instance starts with.
    uint64_t memory_bytes;
    // Bytes of the pristine state that are kept.
    uint64_t image_bytes;
} dormouse_deploy_report;

// Options of one invocation. Fill them in with `dormouse_invoke_options_init`, then change them.
// An option can only lower a limit: fuel and deadline are cut to the function's limits.
typedef struct {
    // The size of this struct, which tells the library the header's version.
    size_t size;
    // Fuel. UINT64_MAX for the function's limit.
    uint64_t fuel;
    // Time in nanoseconds. UINT64_MAX for the function's limit.
    uint64_t deadline_ns;
    // A handle with which another thread can end the invocation. NULL for none. A callback of the
    // invocation may free it.
    const dormouse_cancel *cancel;
    // The seed of the random numbers of this invocation, 32 bytes, for WASI guests. NULL for the
    // deployment's seeds. The library never prints it.
    const uint8_t *seed;
    // The export that is given the event, for guests with several entries, such as Extism
    // plug-ins. No text means the deployment's entry. Calls and sessions ignore it, but it must be
    // valid text there too.
    dormouse_string entry;
} dormouse_invoke_options;

// What one invocation did and used. Plain data.
typedef struct {
    // The version that ran, as a SHA-256. Logs show its first seven hexadecimal digits.
    uint8_t version[32];
    // DORMOUSE_OK, or the failure's status.
    dormouse_status outcome;
    // Whether an instance was ready. If not, the invocation made one from the image.
    bool warm;
    // Whether the log was cut at its limit.
    bool log_cut;
    // Fuel used. It is the same for the same input, whatever ran before.
    uint64_t fuel;
    // Time that the run took in nanoseconds, by the runtime's clock.
    uint64_t duration_ns;
    // Bytes of linear memory at the end, which is the peak.
    uint64_t memory_bytes;
    // Bytes of input.
    uint64_t input_bytes;
    // Bytes of output. 0 for a failed invocation, except with DORMOUSE_NO_ROOM.
    uint64_t output_bytes;
    // Calls of host functions.
    uint64_t host_calls;
} dormouse_report;

// The body of a session. It returns 0. Any other number ends the session with a failure: the
// failure of its last failed call on the guest, or else DORMOUSE_HOST_FUNCTION with the number. It
// must not leave by `longjmp` or by a C++ exception.
typedef int (*dormouse_session_callback)(void *user_data,
                                         dormouse_guest *guest);

// The delivery that an invocation belongs to. Plain data.
typedef struct {
    // The number of the delivery. It is the same at each attempt.
    uint64_t id;
    // Time until the invocation's deadline in nanoseconds, by the runtime's clock.
    uint64_t remaining_ns;
    // The number of the attempt. 1 is the first.
    uint32_t attempt;
    // The id of the trigger, with a NUL behind it.
    char trigger[65];
} dormouse_delivery;

// The kind of an event's data: one of the DORMOUSE_DATA_ constants.
typedef uint32_t dormouse_data_kind;

// The kind of an extension's value: one of the DORMOUSE_EXTENSION_ constants.
typedef uint32_t dormouse_extension_kind;

// An attribute of an event beyond those that CloudEvents defines.
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

// The parts of an event. Fill them in with `dormouse_event_options_init`, then change them.
//
typedef struct {
    // The size of this struct, which tells the library the header's version.
    size_t size;
    // What happened, such as `order.created`. Required.
    dormouse_string type;
    // Its id, unique for its source. If there is none, it is drawn from the runtime's seed.
    dormouse_string id;
    // Where it happened, as a URI reference. If there is none, `/dormouse`.
    dormouse_string source;
    // What it is about.
    dormouse_string subject;
    // When it happened, in RFC 3339. If there is none, the runtime's date.
    dormouse_string time;
    // The media type of the data.
    dormouse_string data_content_type;
    // The schema of the data, an absolute URI.
    dormouse_string data_schema;
    // The data.
    const uint8_t *data;
    // How many bytes.
    size_t data_len;
    // The kind of the data; DORMOUSE_DATA_NONE.
    dormouse_data_kind data_kind;
    // The extensions.
    const dormouse_extension *extensions;
    // How many.
    size_t extensions_len;
} dormouse_event_options;

// What wakes a trigger: one of the DORMOUSE_TRIGGER_ constants.
typedef uint32_t dormouse_trigger_kind;

// Which part of an event a function is given: one of the DORMOUSE_INPUT_ constants.
typedef uint32_t dormouse_input;

// After which delays a failed delivery is retried: one of the DORMOUSE_RETRY_ constants.
typedef uint32_t dormouse_retry;

// What happens to the instants of a schedule that the host was late for: one of the
// DORMOUSE_MISSED_ constants.
typedef uint32_t dormouse_missed;

// A trigger. Fill it in with `dormouse_trigger_options_init`, then change it.
typedef struct {
    // The size of this struct, which tells the library the header's version.
    size_t size;
    // What wakes it; DORMOUSE_TRIGGER_TYPE.
    dormouse_trigger_kind kind;
    // The type, filter, pattern, schedule or path. Required.
    dormouse_string on;
    // The attribute, for topics.
    dormouse_string attribute;
    // The method, for routes.
    dormouse_string method;
    // The function: a name, which may have a version or an alias after an `@`. It need not be
    // deployed yet. Required.
    dormouse_string target;
    // What the function is given; DORMOUSE_INPUT_EVENT.
    dormouse_input input;
    // The bytes for DORMOUSE_INPUT_CONSTANT.
    const uint8_t *constant;
    // How many bytes.
    size_t constant_len;
    // Whether deliveries run in order, for each `partitionkey` if events have one; false.
    bool ordered;
    // Whether the trigger is switched off when it is bound; false.
    bool disabled;
    // For schedules: whether a run may begin before the previous run has ended; false.
    bool overlapping;
    // Whether delays are exactly as computed, not shortened by a random part; false.
    bool retry_without_jitter;
    // After which delays a delivery is retried; DORMOUSE_RETRY_DEFAULT.
    dormouse_retry retry;
    // The most runs, the first included; 3. 0 and 1 both mean one run.
    uint32_t retry_attempts;
    // The first delay in nanoseconds; 1 s.
    uint64_t retry_first_ns;
    // The longest delay in nanoseconds; 5 minutes.
    uint64_t retry_longest_ns;
    // The greatest age of a delivery in nanoseconds; 1 hour.
    uint64_t retry_age_ns;
    // What happens to missed instants of schedules; DORMOUSE_MISSED_COALESCE.
    dormouse_missed missed;
    // The most instants that fire, for DORMOUSE_MISSED_ALL; 1.
    uint32_t missed_max;
    // The types that replies may have. Each such reply is then published as an event. NULL if
    // replies are not published.
    const dormouse_string *emits;
    // How many.
    size_t emits_len;
} dormouse_trigger_options;

// What `dormouse_runtime_dispatch` did for one trigger. Plain data. The outcomes that it comes
// from lend what it points to.
typedef struct {
    // The outcome.
    dormouse_outcome_kind kind;
    // The number of the delivery, which identifies a dead letter. 0 for a dropped delivery.
    uint64_t delivery;
    // The id of the trigger, with a NUL behind it.
    dormouse_string trigger;
    // The function's reply. NULL unless it succeeded.
    const dormouse_reply *reply;
    // What went wrong. NULL unless it failed.
    const dormouse_error *error;
} dormouse_outcome;

// What one `dormouse_runtime_tick` did. Plain data.
typedef struct {
    // Events that schedules fired, without those that a full queue dropped.
    uint64_t fired;
    // Attempts to deliver an event.
    uint64_t ran;
    // Idle instances that were dropped.
    uint64_t trimmed;
    // Instances made ahead of time, to replace those whose memory had grown.
    uint64_t replaced;
} dormouse_tick;

// Where the deliveries of a runtime are, at one moment. Plain data. `matched` is the sum of all
// others except `refused`.
typedef struct {
    // Deliveries made, one for each trigger that a published event matched.
    uint64_t matched;
    // Deliveries that succeeded.
    uint64_t succeeded;
    // Dead letters held now.
    uint64_t dead_letters;
    // Dead letters delivered again.
    uint64_t redriven;
    // Dead letters that the host took out.
    uint64_t drained;
    // Dead letters that were dropped because their ring was full.
    uint64_t evicted;
    // Deliveries that did not run, as the event's `expirytime` had passed.
    uint64_t expired;
    // Deliveries that were dropped because the queue was full.
    uint64_t dropped;
    // Deliveries that have not ended: ready, waiting for another attempt, or behind others of
    // their order.
    uint64_t queued;
    // Deliveries that a function is running.
    uint64_t running;
    // Deliveries that wait until their function is deployed.
    uint64_t parked;
    // Deliveries that were refused because the queue was full. The publisher got an error. They
    // are not in `matched`.
    uint64_t refused;
} dormouse_deliveries;

// A delivery that was given up, with all that is known about it. Plain data. The list that it
// comes from lends what it points to.
typedef struct {
    // The number of the delivery, for `dormouse_runtime_redrive`.
    uint64_t id;
    // The event as it was published.
    const dormouse_event *event;
    // The id of the trigger, with a NUL behind it.
    dormouse_string trigger;
    // The target of the trigger, with a NUL behind it.
    dormouse_string function;
    // The last error, in words, with a NUL behind it. No text if nothing ever ran.
    dormouse_string error;
    // When it was given up, in RFC 3339, with a NUL behind it. No text if the runtime knows no
    // date.
    dormouse_string given_up_at;
    // The nanoseconds from its publishing until it was given up, by the runtime's clock.
    uint64_t age_ns;
    // Why it was given up.
    dormouse_reason reason;
    // How often it ran.
    uint32_t attempts;
    // The version that ran last. All zeros if none ever ran.
    uint8_t version[32];
} dormouse_dead_letter;

// A header of a request or of a response.
typedef struct {
    // Its name.
    dormouse_string name;
    // Its value.
    dormouse_string value;
} dormouse_header;

// A request of a host's server. Fill it in with `dormouse_request_options_init`, then change it.
typedef struct {
    // The size of this struct, which tells the library the header's version.
    size_t size;
    // The method, such as `GET`. Required.
    dormouse_string method;
    // The target, such as `/items/7?verbose=1`. Required.
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

// The contract that the module's imports and exports fit: a plug-in if it imports
// `extism:host/env`, else a program, else the buffer contract, else plain.
#define DORMOUSE_CONTRACT_DETECT 0

// A WASI program, which exports `_start`. It reads its input from standard input, writes its
// output to standard output, and its log to standard error. Exit code 0 is success.
#define DORMOUSE_CONTRACT_COMMAND 1

// Exports `memory`, `alloc(len: i32) -> i32` and an entry, usually
// `handle(ptr: i32, len: i32) -> i64`.
#define DORMOUSE_CONTRACT_BUFFER 2

// Takes no bytes. Its exports are called one by one.
#define DORMOUSE_CONTRACT_PLAIN 3

// An Extism plug-in, which imports functions of `extism:host/env` and exports the entry,
// `() -> i32` or `()`. It succeeds if it returns 0. After 65 a delivery is not retried.
#define DORMOUSE_CONTRACT_EXTISM 4

// All of the log.
#define DORMOUSE_LOG_TRACE 0

// All of the log except traces.
#define DORMOUSE_LOG_DEBUG 1

// Information, warnings and errors.
#define DORMOUSE_LOG_INFO 2

// Warnings and errors.
#define DORMOUSE_LOG_WARN 3

// Errors only.
#define DORMOUSE_LOG_ERROR 4

// Nothing.
#define DORMOUSE_LOG_OFF 5

// A 32-bit integer. WebAssembly does not distinguish signed from unsigned.
#define DORMOUSE_I32 1

// A 64-bit integer.
#define DORMOUSE_I64 2

// A 32-bit float.
#define DORMOUSE_F32 3

// A 64-bit float.
#define DORMOUSE_F64 4

// The fastest that works here.
#define DORMOUSE_RESET_AUTO 0

// Memories are restored as a whole. It works everywhere and asks nothing of the system. Use it
// under a seccomp filter that kills.
#define DORMOUSE_RESET_PORTABLE 1

// As DORMOUSE_RESET_AUTO, but all instances begin on memory whose written pages can be found.
#define DORMOUSE_RESET_GATED 2

// As DORMOUSE_RESET_GATED, but the written pages are looked for after every run.
#define DORMOUSE_RESET_SCANNED 3

// Publishing fails with DORMOUSE_QUEUE_FULL.
#define DORMOUSE_WHEN_FULL_REJECT 0

// The oldest deliveries that are not running are dropped.
#define DORMOUSE_WHEN_FULL_DROP_OLDEST 1

// The deliveries of the new event are dropped. Publishing succeeds, with 0 deliveries.
#define DORMOUSE_WHEN_FULL_DROP_NEWEST 2

// The event has no data.
#define DORMOUSE_DATA_NONE 0

// JSON. The bytes are kept as they are.
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

// The schedule `on`: cron, `rate(5 minutes)`, `cron(...)` or `at(...)`. `dormouse_runtime_tick`
// fires it.
#define DORMOUSE_TRIGGER_SCHEDULE 4

// Requests with the method `method` and a path that fits `on`, such as `/items/{id}`. See
// `dormouse_runtime_request`.
#define DORMOUSE_TRIGGER_ROUTE 5

// The whole event in its JSON form.
#define DORMOUSE_INPUT_EVENT 0

// The bytes of its data.
#define DORMOUSE_INPUT_DATA 1

// The bytes `constant`.
#define DORMOUSE_INPUT_CONSTANT 2

// The default of the kind of trigger: exponential from 1 s up to 5 minutes, 3 attempts within 1
// hour, and no retry for routes. The other members that begin with `retry_` are ignored.
#define DORMOUSE_RETRY_DEFAULT 0

// Delays that double, beginning with the first.
#define DORMOUSE_RETRY_EXPONENTIAL 1

// Delays of once, twice, three times the first.
#define DORMOUSE_RETRY_LINEAR 2

// The same delay each time.
#define DORMOUSE_RETRY_FIXED 3

// One event stands for all of them.
#define DORMOUSE_MISSED_COALESCE 0

// Only the last instant fires, and only if it is at most a minute ago.
#define DORMOUSE_MISSED_SKIP 1

// The last `missed_max` instants fire, each an event of its own.
#define DORMOUSE_MISSED_ALL 2

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the linked library, such as "0.1.0". Static; any thread. The major and minor
// numbers of header and library must be equal.
const char *dormouse_version(void);

// Fills in the defaults. `size` is `sizeof *options`. If it is not the size that this library
// knows, the call fails and writes nothing.
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

// Makes a runtime whose deliveries and dead letters survive the process, in a file. The call
// makes the file if there is none. The file belongs to this runtime until the runtime is gone.
// Functions and triggers are not in the file: the host deploys and binds as always. Deliveries
// that were left go on when the trigger of their id is bound.
//
// `dormouse_runtime_publish` returns when its deliveries are on disk, which takes as long as
// the disk takes to write through. A delivery that has ended is removed soon after. If the
// process dies in between, the delivery is made again. Time without a process does not age a
// delivery.
//
// `path` is bytes on Unix, and UTF-8 elsewhere. `options` may be NULL for the defaults.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_UTF8, DORMOUSE_NOT_BUILT, 320 to 329.
dormouse_status dormouse_runtime_open(const char *path,
                                      size_t path_len,
                                      const dormouse_runtime_options *options,
                                      dormouse_runtime **runtime_out,
                                      dormouse_error **error_out);

// Gives another handle of the same runtime. Free it on its own.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_runtime_clone(const dormouse_runtime *runtime,
                                       dormouse_runtime **runtime_out,
                                       dormouse_error **error_out);

// Finds a function by name and gives a handle that follows the name. With an alias, such as
// `greet@prod`, the handle follows the alias. With a version, such as `greet@3f2a91c`, the
// handle stays with that version. The version has seven hexadecimal digits or more, and must
// be the current one or kept alive by something.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND.
dormouse_status dormouse_runtime_find(const dormouse_runtime *runtime,
                                      const char *name,
                                      size_t name_len,
                                      dormouse_function **function_out,
                                      dormouse_error **error_out);

// Takes a function and its aliases out of service. Its handles then answer
// DORMOUSE_UNDEPLOYED. Invocations under way finish, and pinned handles go on.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND.
dormouse_status dormouse_runtime_undeploy(const dormouse_runtime *runtime,
                                          const char *name,
                                          size_t name_len,
                                          dormouse_error **error_out);

// Gives the function's current version a name: `dormouse_runtime_find` and triggers know it as
// `name@alias`. An existing alias moves. The alias keeps the version alive.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_UNDEPLOYED, DORMOUSE_INVALID_NAME,
// DORMOUSE_NOT_FOUND, DORMOUSE_TOO_MANY_ALIASES.
dormouse_status dormouse_runtime_alias(const dormouse_runtime *runtime,
                                       const char *alias,
                                       size_t alias_len,
                                       const dormouse_function *function,
                                       dormouse_error **error_out);

// Removes an alias of the function of this name. Handles of the alias then answer
// DORMOUSE_UNDEPLOYED.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND.
dormouse_status dormouse_runtime_unalias(const dormouse_runtime *runtime,
                                         const char *alias,
                                         size_t alias_len,
                                         const char *name,
                                         size_t name_len,
                                         dormouse_error **error_out);

// Gives handles of the deployed functions, in the order of their names. It gives as many as
// there is room for. Free each of them. `count_out` receives the number of functions. If it is
// more than `room`, call again with more room. `functions_out` may be NULL if `room` is 0.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_runtime_functions(const dormouse_runtime *runtime,
                                           dormouse_function **functions_out,
                                           size_t room,
                                           size_t *count_out,
                                           dormouse_error **error_out);

// Drops instances of all functions that have been idle for at least `idle_ns` nanoseconds. It
// keeps the minimum of each deployment. `count_out`, which may be NULL, receives how many it
// dropped.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_runtime_trim(const dormouse_runtime *runtime,
                                      uint64_t idle_ns,
                                      size_t *count_out,
                                      dormouse_error **error_out);

// Gives the live instances of all functions, and the bytes of memory and bookkeeping that they
// hold. Either out-parameter may be NULL.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_runtime_in_use(const dormouse_runtime *runtime,
                                        size_t *instances_out,
                                        uint64_t *bytes_out,
                                        dormouse_error **error_out);

// Frees a handle. The runtime ends with its last handle, once no function handle and no call
// under way needs it. NULL is allowed.
void dormouse_runtime_free(dormouse_runtime *runtime);

// Fills in the defaults. `size` is `sizeof *options`. If it is not the size that this library
// knows, the call fails and writes nothing.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT.
dormouse_status dormouse_deploy_options_init(dormouse_deploy_options *options,
                                             size_t size,
                                             dormouse_error **error_out);

// Deploys a function under a name of 1 to 64 of the characters A-Z a-z 0-9 . _ -. The library
// validates the module, compiles it lazily, runs its initialisation once and keeps the state
// that this leaves. Then it replaces a function of the same name. Invocations under way finish
// on the version that they began with. The module's bytes are not needed afterwards.
//
// `options` may be NULL for the defaults. `function_out` may be NULL, as
// `dormouse_runtime_find` finds the function later. The library owns the user data in the
// options once the call has returned DORMOUSE_OK. After a failure the caller still owns it.
//
// The call needs 512 KiB of stack. It takes some 50 us for a small module. The first call in a
// process takes about 1 ms more.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_UTF8, 100 to 199, DORMOUSE_INITIALISE,
// DORMOUSE_BUSY. After a failure nothing has changed.
dormouse_status dormouse_runtime_deploy(const dormouse_runtime *runtime,
                                        const char *name,
                                        size_t name_len,
                                        const uint8_t *module,
                                        size_t module_len,
                                        const dormouse_deploy_options *options,
                                        dormouse_function **function_out,
                                        dormouse_error **error_out);

// Gives another handle of the same function. Free it on its own.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_function_clone(const dormouse_function *function,
                                        dormouse_function **function_out,
                                        dormouse_error **error_out);

// Gives a handle that stays with the current version, through redeployments and
// `dormouse_runtime_undeploy`, and keeps it alive. Free it on its own.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UNDEPLOYED.
dormouse_status dormouse_function_pin(const dormouse_function *function,
                                      dormouse_function **function_out,
                                      dormouse_error **error_out);

// Gives the report of the current version's deployment: what it found and what it cost.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UNDEPLOYED.
dormouse_status dormouse_function_deploy_report(const dormouse_function *function,
                                                dormouse_deploy_report *report_out,
                                                dormouse_error **error_out);

// Gives the version that the next invocation runs, as 64 hexadecimal digits and a NUL. `room`
// must be 65 or more.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UNDEPLOYED, DORMOUSE_NO_ROOM.
dormouse_status dormouse_function_version(const dormouse_function *function,
                                          char *version,
                                          size_t room,
                                          dormouse_error **error_out);

// Makes instances ahead of time until `count` are idle, or the function has as many as it may
// have. `idle_out`, which may be NULL, receives how many are idle then.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UNDEPLOYED, DORMOUSE_BUSY, DORMOUSE_INITIALISE.
dormouse_status dormouse_function_prewarm(const dormouse_function *function,
                                          size_t count,
                                          size_t *idle_out,
                                          dormouse_error **error_out);

// Drops instances that have been idle for at least `idle_ns` nanoseconds, the longest idle
// first. It keeps the minimum of the deployment. `count_out`, which may be NULL, receives how
// many it dropped.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_function_trim(const dormouse_function *function,
                                       uint64_t idle_ns,
                                       size_t *count_out,
                                       dormouse_error **error_out);

// Sets how many invocations may run at once from now on, for the version that the handle
// stands for now. With 0 the function is off. Its invocations are refused as DORMOUSE_BUSY,
// and deliveries to it wait until it is on again. Invocations under way finish.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UNDEPLOYED.
dormouse_status dormouse_function_set_concurrency(const dormouse_function *function,
                                                  size_t max,
                                                  dormouse_error **error_out);

// Gives the instances of the current version: how many are idle, and how many there are.
// Either out-parameter may be NULL.
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

// Fills in the defaults. `size` is `sizeof *options`. If it is not the size that this library
// knows, the call fails and writes nothing.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT.
dormouse_status dormouse_invoke_options_init(dormouse_invoke_options *options,
                                             size_t size,
                                             dormouse_error **error_out);

// Gives the function an event and gives its reply. The invocation is stateless and keeps to
// the function's limits. The function must take bytes: `dormouse_deploy_report.takes_bytes`.
//
// `input` may be NULL if `input_len` is 0. `options` may be NULL for the defaults. The call
// blocks while the guest runs, and up to the deployment's `max_wait_ns` while all instances
// are in use. It needs 512 KiB of stack.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_UTF8, 200 to 299. If the guest ran, the
// error carries its report.
dormouse_status dormouse_function_invoke(const dormouse_function *function,
                                         const uint8_t *input,
                                         size_t input_len,
                                         const dormouse_invoke_options *options,
                                         dormouse_reply **reply_out,
                                         dormouse_error **error_out);

// As `dormouse_function_invoke`, with the output copied to the caller's buffer. On a warm
// instance this allocates nothing, if the output has at most 64 KiB and the guest logs
// nothing. The log is dropped.
//
// If the output does not fit, the call fails with DORMOUSE_NO_ROOM, and `output` of the
// error's report is the number of bytes needed. The invocation itself has then succeeded: what
// it wrote to its store and what it published stands. `report_out` may be NULL. `output` may
// be the memory of `input`.
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

// Calls one export with numbers. The call is an invocation of its own, stateless as any other.
// `dormouse_reply_values` gives its results.
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

// The function's output: bytes of `dormouse_function_invoke`, and empty for the other calls.
// Lent. NULL for NULL. `len_out` may be NULL. `len_out` may be NULL.
const uint8_t *dormouse_reply_output(const dormouse_reply *reply,
                                     size_t *len_out);

// The results of `dormouse_function_call`, and empty for the other calls. Lent. NULL for NULL.
// `len_out` may be NULL. `len_out` may be NULL.
const dormouse_value *dormouse_reply_values(const dormouse_reply *reply,
                                            size_t *len_out);

// The log: what the guest wrote to its standard error, and what host functions logged, a line
// each. Bytes that are not UTF-8 are replaced with U+FFFD. Lent. NULL for NULL. `len_out` may
// be NULL. `len_out` may be NULL.
const char *dormouse_reply_log(const dormouse_reply *reply,
                               size_t *len_out);

// What the invocation did and used. Lent. NULL for NULL.
const dormouse_report *dormouse_reply_report(const dormouse_reply *reply);

// The report as one line, such as `REPORT greet@3f2a91c start=warm fuel=18204 ...`. Lent. NULL
// for NULL. `len_out` may be NULL.
const char *dormouse_reply_report_text(const dormouse_reply *reply,
                                       size_t *len_out);

// Frees a reply. NULL is allowed.
void dormouse_reply_free(dormouse_reply *reply);

// Runs several calls on one instance in one invocation, for guests with a protocol of their
// own. The library calls `body` once, with `user_data` and the guest. Then it cleans the
// instance like any other. Fuel and deadline are those of one invocation.
//
// The caller keeps `user_data`. `options` may be NULL for the defaults. The reply has a log
// and a report.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_UTF8, 200 to 299.
dormouse_status dormouse_function_session(const dormouse_function *function,
                                          dormouse_session_callback body,
                                          void *user_data,
                                          const dormouse_invoke_options *options,
                                          dormouse_reply **reply_out,
                                          dormouse_error **error_out);

// Calls an exported function. Its results go to `results_out`, and `count_out` receives how
// many there are. If they do not fit, the call has still run, and fails with DORMOUSE_NO_ROOM.
// `results_out` may be NULL if `results_room` is 0. `count_out` may be NULL.
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

// Copies `len` bytes at address `at` of the guest's memory to `bytes`: all or nothing. The
// memory is the export `memory`, or else the first exported memory.
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

// Copies `len` bytes at address `at` of the guest's memory to `bytes`: all or nothing. The
// memory is the export `memory`, or else the first exported memory.
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

// Appends a line to the invocation's log, which the reply carries. The log is cut at its
// limit.
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

// Sets the message of the error, if the host function then returns a number other than 0. The
// last message counts. It is cut at 4 KiB.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8.
dormouse_status dormouse_context_fail(dormouse_context *context,
                                      const char *message,
                                      size_t message_len,
                                      dormouse_error **error_out);

// Gives a handle of the runtime that the invocation belongs to, with which the host function
// may invoke other functions. Free the handle. Invocations nest up to four levels deep, each
// within the caller's deadline. The same function runs on another instance, or answers
// DORMOUSE_BUSY at once.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_context_runtime(dormouse_context *context,
                                         dormouse_runtime **runtime_out,
                                         dormouse_error **error_out);

// Copies the name of the running function: at most 64 characters and a NUL.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_NO_ROOM.
dormouse_status dormouse_context_function(dormouse_context *context,
                                          char *name,
                                          size_t room,
                                          dormouse_error **error_out);

// Gives the delivery that the invocation belongs to. DORMOUSE_NOT_FOUND if the host invoked
// the function's handle.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_NOT_FOUND.
dormouse_status dormouse_context_delivery(dormouse_context *context,
                                          dormouse_delivery *delivery_out,
                                          dormouse_error **error_out);

// Bytes of the guest's memory now. 0 if it exports no memory, and for NULL.
uint64_t dormouse_context_memory_size(dormouse_context *context);

// Gives the length of a block of an Extism plug-in, by the handle that it passed to a function
// of `extism:host/user`. 0 for handle 0. The handle must be exactly that of a live block.
// Costs no fuel.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_INVALID_HANDLE, DORMOUSE_CONTRACT if the guest is not a
// plug-in.
dormouse_status dormouse_context_block_len(dormouse_context *context,
                                           uint64_t handle,
                                           size_t *len_out,
                                           dormouse_error **error_out);

// Copies all bytes of a block out. `dormouse_context_block_len` gives their number. The
// plug-in keeps the block.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_NO_ROOM, DORMOUSE_INVALID_HANDLE, DORMOUSE_CONTRACT,
// DORMOUSE_OUT_OF_FUEL.
dormouse_status dormouse_context_read_block(dormouse_context *context,
                                            uint64_t handle,
                                            uint8_t *bytes,
                                            size_t room,
                                            dormouse_error **error_out);

// Copies bytes into a block: all or nothing. `at` is the block's handle, or an offset added to
// it. Handle 0 is the empty block, which takes no bytes.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_INVALID_HANDLE if they do not lie in one live block,
// DORMOUSE_CONTRACT, DORMOUSE_OUT_OF_FUEL.
dormouse_status dormouse_context_write_block(dormouse_context *context,
                                             uint64_t at,
                                             const uint8_t *bytes,
                                             size_t len,
                                             dormouse_error **error_out);

// Copies bytes into a new block and gives its handle: 0 for zero bytes. The plug-in owns the
// block, as it owns what a function of `extism:host/user` returns.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_MEMORY_LIMIT, DORMOUSE_CONTRACT, DORMOUSE_OUT_OF_FUEL,
// DORMOUSE_BUSY, which ends the invocation.
dormouse_status dormouse_context_new_block(dormouse_context *context,
                                           const uint8_t *bytes,
                                           size_t len,
                                           uint64_t *handle_out,
                                           dormouse_error **error_out);

// Frees a block. Does nothing if the handle is not exactly that of a live block.
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

// Opens a store in a file. The call makes the file if there is none. The file belongs to this
// store until the store is gone, and must not be a runtime's. What an invocation has written
// is on disk when it returns. `path` is bytes on Unix, and UTF-8 elsewhere.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_BUILT, 320 to 329.
dormouse_status dormouse_store_open(const char *path,
                                    size_t path_len,
                                    dormouse_store **store_out,
                                    dormouse_error **error_out);

// Gives the length of the value of a key.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND if the key has no value, 320 to
// 329.
dormouse_status dormouse_store_len(const dormouse_store *store,
                                   const char *name_space,
                                   size_t name_space_len,
                                   const uint8_t *key,
                                   size_t key_len,
                                   size_t *len_out,
                                   dormouse_error **error_out);

// Copies the whole value of a key to `bytes`, and gives its length. `dormouse_store_len` gives
// the length before. If the value has become longer since, this answers DORMOUSE_NO_ROOM.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND if the key has no value,
// DORMOUSE_NO_ROOM, 320 to 329.
dormouse_status dormouse_store_get(const dormouse_store *store,
                                   const char *name_space,
                                   size_t name_space_len,
                                   const uint8_t *key,
                                   size_t key_len,
                                   uint8_t *bytes,
                                   size_t room,
                                   size_t *len_out,
                                   dormouse_error **error_out);

// Sets the value of a key, whatever its value was. This is a commit of its own, and ignores
// what a deployment allows its function. The key has 1 byte or more. The value may be empty.
// After a failure the key has the new value or the old one.
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

// Removes a key's value, if it has one.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_ARGUMENT, 320 to 329.
dormouse_status dormouse_store_delete(const dormouse_store *store,
                                      const char *name_space,
                                      size_t name_space_len,
                                      const uint8_t *key,
                                      size_t key_len,
                                      dormouse_error **error_out);

// Lists keys that begin with `prefix`, in the order of their bytes, at most `max`. The list
// begins with the first key after `after`, or with the first key if `after` is empty. Keys are
// bytes and may contain NULs. Each has one more NUL behind it.
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

// Gives what a namespace holds: the number of keys with a value, and the bytes of these keys
// and values. Both are 0 if the namespace was never written to. Either out-parameter may be
// NULL.
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

// Ends the invocations that have this handle, those that run now and those that begin later:
// it stays cancelled. They end with DORMOUSE_CANCELLED at their next slice of 100,000 fuel, or
// when the host function that they are in returns.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_cancel_cancel(const dormouse_cancel *cancel,
                                       dormouse_error **error_out);

// Whether `dormouse_cancel_cancel` was called. False for NULL.
bool dormouse_cancel_is_cancelled(const dormouse_cancel *cancel);

// Frees a cancel handle. This cancels nothing. NULL is allowed.
void dormouse_cancel_free(dormouse_cancel *cancel);

// Fills in the defaults: every part is absent. `size` is `sizeof *options`.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT.
dormouse_status dormouse_event_options_init(dormouse_event_options *options,
                                            size_t size,
                                            dormouse_error **error_out);

// Makes an event from its parts. Required parts that the caller leaves out come from the
// runtime.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_UTF8, DORMOUSE_EVENT.
dormouse_status dormouse_runtime_event(const dormouse_runtime *runtime,
                                       const dormouse_event_options *options,
                                       dormouse_event **event_out,
                                       dormouse_error **error_out);

// Reads an event in its JSON form, `application/cloudevents+json`. It may have 1 MiB.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_EVENT.
dormouse_status dormouse_event_from_json(const char *json,
                                         size_t json_len,
                                         dormouse_event **event_out,
                                         dormouse_error **error_out);

// Gives an attribute or extension by its name in CloudEvents, such as `type`, `id`, `source`,
// `subject`, `time`, `datacontenttype` or `partitionkey`. The value is its text, its number in
// decimal, `true` or `false`. Free it.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND.
dormouse_status dormouse_event_attribute(const dormouse_event *event,
                                         const char *name,
                                         size_t name_len,
                                         dormouse_text **value_out,
                                         dormouse_error **error_out);

// The event in its JSON form. Lent until the event is freed. NULL for NULL. `len_out` may be
// NULL.
const char *dormouse_event_json(const dormouse_event *event,
                                size_t *len_out);

// The bytes of the event's data. NULL if it has none, and for NULL. Lent until the event is
// freed. `len_out` may be NULL. Lent until the event is freed. `len_out` may be NULL.
const uint8_t *dormouse_event_data(const dormouse_event *event,
                                   size_t *len_out);

// Frees an event. NULL is allowed.
void dormouse_event_free(dormouse_event *event);

// Reads a pattern, which is JSON such as `{"type": ["order.created"], "data": {"total":
// [{"numeric": [">", 100]}]}}`. It may have 64 KiB.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_PATTERN.
dormouse_status dormouse_pattern_new(const char *pattern,
                                     size_t pattern_len,
                                     dormouse_pattern **pattern_out,
                                     dormouse_error **error_out);

// Gives whether a JSON object matches: an event's `dormouse_event_json`, or any other.
// `why_out`, which may be NULL, receives the first field that fails and why, such as
// `data.total must be one of [...], but is 80`. Free it. It receives NULL if the object
// matches. Asking why takes longer.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_EVENT if it is not a JSON object, DORMOUSE_AMBIGUOUS.
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

// Binds a trigger under an id of its own, of 1 to 64 of the characters A-Z a-z 0-9 . _ -. It
// applies to events that are published from now on. What the options point to is not needed
// afterwards.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_UTF8, DORMOUSE_INVALID_NAME, 310 to
// 319.
dormouse_status dormouse_runtime_bind(const dormouse_runtime *runtime,
                                      const char *id,
                                      size_t id_len,
                                      const dormouse_trigger_options *options,
                                      dormouse_error **error_out);

// Unbinds a trigger. Deliveries that it has made go on.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND.
dormouse_status dormouse_runtime_unbind(const dormouse_runtime *runtime,
                                        const char *id,
                                        size_t id_len,
                                        dormouse_error **error_out);

// Switches a trigger on or off, for events that are published from now on. A trigger that is
// off matches nothing and keeps its id.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND.
dormouse_status dormouse_runtime_enable(const dormouse_runtime *runtime,
                                        const char *id,
                                        size_t id_len,
                                        bool on,
                                        dormouse_error **error_out);

// Gives the ids of all triggers, in the order of binding.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_runtime_triggers(const dormouse_runtime *runtime,
                                          dormouse_names **names_out,
                                          dormouse_error **error_out);

// A dry run: gives the ids of the triggers that an event would wake, in the order of binding.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_AMBIGUOUS.
dormouse_status dormouse_runtime_matches(const dormouse_runtime *runtime,
                                         const dormouse_event *event,
                                         dormouse_names **names_out,
                                         dormouse_error **error_out);

// Gives whether an event would wake a trigger. `why_out`, which may be NULL, receives the
// first attribute or field that fails and why, such as
// `subject: level 3 should be "temperature", but is "humidity"`. Free it. It receives NULL if
// the event would wake the trigger.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND.
dormouse_status dormouse_runtime_explain(const dormouse_runtime *runtime,
                                         const char *id,
                                         size_t id_len,
                                         const dormouse_event *event,
                                         bool *matches_out,
                                         dormouse_text **why_out,
                                         dormouse_error **error_out);

// Queues a delivery for each trigger that the event matches: all of them, or none and an
// error. The functions run in `dormouse_runtime_run_pending` and `dormouse_runtime_tick`, and
// on workers. `count_out`, which may be NULL, receives how many deliveries were queued.
//
// An event is delivered at least once to each trigger that it matches, as long as the process
// lives, or the file of `dormouse_runtime_open`. A function may see an event twice.
//
// Statuses: DORMOUSE_NULL, 301 to 305, 320 to 329. Nothing is queued then.
dormouse_status dormouse_runtime_publish(const dormouse_runtime *runtime,
                                         const dormouse_event *event,
                                         size_t *count_out,
                                         dormouse_error **error_out);

// As `dormouse_runtime_publish`, and makes the first attempt of each delivery now, on this
// thread. A failed delivery stays in the queue like any other, to be retried. It is not a
// failure of this call.
//
// Statuses: DORMOUSE_NULL, 301 to 305, 320 to 329. Nothing is queued then.
dormouse_status dormouse_runtime_dispatch(const dormouse_runtime *runtime,
                                          const dormouse_event *event,
                                          dormouse_outcomes **outcomes_out,
                                          dormouse_error **error_out);

// Gives the outcome at `index`, which is below `dormouse_outcomes_count`.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_NOT_FOUND.
dormouse_status dormouse_outcomes_at(const dormouse_outcomes *outcomes,
                                     size_t index,
                                     dormouse_outcome *outcome_out,
                                     dormouse_error **error_out);

// Runs ready deliveries on this thread, the oldest first, and makes at most `budget` attempts.
// `ran_out`, which may be NULL, receives how many it made.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_runtime_run_pending(const dormouse_runtime *runtime,
                                             size_t budget,
                                             size_t *ran_out,
                                             dormouse_error **error_out);

// Drives the runtime, for a host that calls this from time to time. It tells the runtime the
// date, in nanoseconds since 1970 in UTC. It fires the schedules, runs as many attempts as are
// ready when it begins, and drops idle instances. `tick_out` may be NULL.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT.
dormouse_status dormouse_runtime_tick(const dormouse_runtime *runtime,
                                      int64_t unix_ns,
                                      dormouse_tick *tick_out,
                                      dormouse_error **error_out);

// Gives how many nanoseconds a host may sleep before there is something to do, by the
// runtime's clock. 0 if a delivery is ready. UINT64_MAX if only a call of the host can change
// that.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_runtime_next_deadline(const dormouse_runtime *runtime,
                                               uint64_t *ns_out,
                                               dormouse_error **error_out);

// Gives where all deliveries are.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_runtime_deliveries(const dormouse_runtime *runtime,
                                            dormouse_deliveries *deliveries_out,
                                            dormouse_error **error_out);

// Gives what each version of each function has used so far, as a JSON object:
// `{"functions": [{"function": ..., ...}], "retired": {...}}`. Times are in nanoseconds and
// sizes in bytes.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_runtime_ledger(const dormouse_runtime *runtime,
                                        dormouse_text **json_out,
                                        dormouse_error **error_out);

// The number of outcomes, one for each trigger that the event matched. 0 for NULL.
size_t dormouse_outcomes_count(const dormouse_outcomes *outcomes);

// Frees outcomes, and the replies and errors that they lend. NULL is allowed.
void dormouse_outcomes_free(dormouse_outcomes *outcomes);

// Gives the dead letters that the runtime holds. The runtime keeps them.
//
// Statuses: DORMOUSE_NULL.
dormouse_status dormouse_runtime_dead_letters(const dormouse_runtime *runtime,
                                              dormouse_dead_letters **letters_out,
                                              dormouse_error **error_out);

// Takes all dead letters out of the runtime.
//
// Statuses: DORMOUSE_NULL. After a failure the runtime still holds all.
dormouse_status dormouse_runtime_drain_dead_letters(const dormouse_runtime *runtime,
                                                    dormouse_dead_letters **letters_out,
                                                    dormouse_error **error_out);

// Queues the event of the dead letter `id` again for its trigger, which must be bound, and
// removes the letter. `delivery_out`, which may be NULL, receives the number of the new
// delivery.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_NOT_FOUND, DORMOUSE_QUEUE_FULL, 320 to 329. After a
// failure the runtime still holds the letter.
dormouse_status dormouse_runtime_redrive(const dormouse_runtime *runtime,
                                         uint64_t id,
                                         uint64_t *delivery_out,
                                         dormouse_error **error_out);

// Gives the letter at `index`, which is below `dormouse_dead_letters_count`.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_NOT_FOUND.
dormouse_status dormouse_dead_letters_at(const dormouse_dead_letters *letters,
                                         size_t index,
                                         dormouse_dead_letter *letter_out,
                                         dormouse_error **error_out);

// The number of letters. 0 for NULL.
size_t dormouse_dead_letters_count(const dormouse_dead_letters *letters);

// Frees a list of dead letters, and the events that it lends. NULL is allowed.
void dormouse_dead_letters_free(dormouse_dead_letters *letters);

// Starts `count` threads, 1 to 1,024, that run deliveries as they become ready, retries
// included. They do not fire schedules: a host that has schedules still calls
// `dormouse_runtime_tick`. Host functions and all other callbacks then run on these threads.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_NO_THREAD. After a failure no thread is
// left.
dormouse_status dormouse_runtime_workers(const dormouse_runtime *runtime,
                                         size_t count,
                                         dormouse_workers **workers_out,
                                         dormouse_error **error_out);

// The number of threads. 0 for NULL.
size_t dormouse_workers_count(const dormouse_workers *workers);

// Ends the threads and frees their handle. The threads finish the deliveries that are
// published and ready by now. Deliveries that wait for another attempt or for their function
// stay in the queue. The call returns when the threads have ended, so do not make it under a
// lock that a callback takes.
//
// A callback that runs on one of the threads may make the call. Then its thread ends after the
// delivery that it runs, and the call waits only for the others. NULL is allowed.
void dormouse_workers_free(dormouse_workers *workers);

// Fills in the defaults. `size` is `sizeof *options`.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT.
dormouse_status dormouse_request_options_init(dormouse_request_options *options,
                                              size_t size,
                                              dormouse_error **error_out);

// Gives a request to the function whose route it fits, on this thread, and gives the response.
// There is a response too if no route fits (404), or the function fails (502 and others).
// Neither is a failure of this call. The function is given the request as JSON data of an
// event of the type `dormouse.request`. It answers with any JSON, or with an object of
// `status`, `headers` and `body`.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_UTF8.
dormouse_status dormouse_runtime_request(const dormouse_runtime *runtime,
                                         const dormouse_request_options *options,
                                         dormouse_response **response_out,
                                         dormouse_error **error_out);

// Gives the header at `index`, lent until the response is freed, with a NUL behind name and
// value. DORMOUSE_NOT_FOUND after the last header.
//
// Statuses: DORMOUSE_NULL, DORMOUSE_NOT_FOUND.
dormouse_status dormouse_response_header(const dormouse_response *response,
                                         size_t index,
                                         dormouse_header *header_out,
                                         dormouse_error **error_out);

// The status of the response, 100 to 599. 0 for NULL.
uint32_t dormouse_response_status(const dormouse_response *response);

// The body. Lent until the response is freed. NULL for NULL. `len_out` may be NULL.
const uint8_t *dormouse_response_body(const dormouse_response *response,
                                      size_t *len_out);

// What went wrong, in words for the host's log, not for the client. NULL if the function
// answered itself, and for NULL. Lent until the response is freed. `len_out` may be NULL. Lent
// until the response is freed. `len_out` may be NULL.
const char *dormouse_response_error(const dormouse_response *response,
                                    size_t *len_out);

// Frees a response. NULL is allowed.
void dormouse_response_free(dormouse_response *response);

// The characters of the text. Lent until it is freed. NULL for NULL. `len_out` may be NULL.
const char *dormouse_text_chars(const dormouse_text *text,
                                size_t *len_out);

// Frees a text. NULL is allowed.
void dormouse_text_free(dormouse_text *text);

// The number of names. 0 for NULL.
size_t dormouse_names_count(const dormouse_names *names);

// The name at `index`, with a NUL behind it. Lent until the names are freed. NULL if `index`
// is not below `dormouse_names_count`, and for NULL. `len_out` may be NULL. `len_out` may be
// NULL.
const char *dormouse_names_at(const dormouse_names *names,
                              size_t index,
                              size_t *len_out);

// Frees names. NULL is allowed.
void dormouse_names_free(dormouse_names *names);

// The status that the call returned. DORMOUSE_NULL for NULL.
dormouse_status dormouse_error_status(const dormouse_error *error);

// How the guest trapped, if the failure is a trap, or an error of a plug-in or of
// initialisation that ended in a trap. Otherwise DORMOUSE_TRAP_NONE, also for NULL.
dormouse_trap dormouse_error_trap(const dormouse_error *error);

// What went wrong, where, and what to do, in one or several lines. Text from guests is escaped
// and cut at 4 KiB. Lent until the error is freed. NULL for NULL. `len_out` may be NULL.
// `len_out` may be NULL.
const char *dormouse_error_message(const dormouse_error *error,
                                   size_t *len_out);

// What the failed invocation did and used. NULL if no guest ran, and for NULL. Lent until the
// error is freed.
const dormouse_report *dormouse_error_report(const dormouse_error *error);

// The report as one line, such as `REPORT greet@3f2a91c start=warm fuel=18204 ...`. Lent until
// the error is freed. `len_out` may be NULL.
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

// A C string as the two arguments that this library takes:
// `dormouse_runtime_find(runtime, DORMOUSE_STR("greet"), ...)`. It evaluates its argument twice.
#define DORMOUSE_STR(s) (s), dormouse_length(s)

static inline size_t dormouse_length(const char *s) {
    return s == NULL ? 0 : strlen(s);
}

// A C string as a member of a struct. NULL means no text.
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
