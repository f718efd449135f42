//! The host's side: user data that knows whether it is alive, and the callbacks that are given it.

use std::{
    cell::{Cell, RefCell},
    ffi::{c_int, c_void},
    ptr,
    rc::{Rc, Weak},
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering::SeqCst},
};

use dormouse_c::{dormouse_context, dormouse_function, dormouse_runtime, dormouse_status, dormouse_value};

use super::edge;

/// What a callback is given.
#[derive(Default)]
pub(super) struct Data {
    /// The call that it was given to has succeeded.
    is_accepted: AtomicBool,
    freed: AtomicU32,
    /// It was used after it was freed, or a call gave a wrong answer.
    is_broken: AtomicBool,
    /// The time, for a clock.
    pub(super) now: AtomicU64,
    /// What a host function does.
    pub(super) script: AtomicU8,
    /// A handle that a host function frees, of the function that it runs in.
    pub(super) to_free: AtomicPtr<dormouse_function>,
}

/// The machine's record of user data. It is dropped with the last thing that needs it.
pub(super) struct User {
    data: *const Data,
    is_released: Cell<bool>,
}

/// All user data so far.
#[derive(Default)]
pub(super) struct Users(RefCell<Vec<Known>>);

struct Known {
    data: Box<Data>,
    user: Weak<User>,
}

impl Users {
    pub(super) fn add(&self) -> Rc<User> {
        let data = Box::<Data>::default();
        let user = User { data: &raw const *data, is_released: false.into() };
        let user = Rc::new(user);
        self.0.borrow_mut().push(Known { data, user: Rc::downgrade(&user) });
        user
    }

    /// User data that the library took is freed once, when it is no longer needed. User data that
    /// it did not take is never freed.
    pub(super) fn check(&self) {
        for Known { data, user } in self.0.borrow().iter() {
            let is_accepted = data.is_accepted.load(SeqCst);
            let is_needed = user.upgrade().is_some_and(|user| !user.is_released.get());
            let expected = u32::from(is_accepted && !is_needed);
            assert_eq!(data.freed.load(SeqCst), expected, "user data: accepted {is_accepted}, needed {is_needed}");
            assert!(!data.is_broken.load(SeqCst), "a callback found something wrong");
        }
    }

    pub(super) fn all_are_gone(&self) {
        assert!(self.0.borrow().iter().all(|known| known.user.upgrade().is_none()), "the machine has lost count");
    }
}

impl User {
    /// The call that it was given to has succeeded.
    pub(super) fn accept(&self) {
        self.get().is_accepted.store(true, SeqCst);
    }

    /// Nothing needs it any more, but the machine still has its record.
    pub(super) fn release(&self) {
        self.is_released.set(true);
    }

    pub(super) fn data(&self) -> *mut c_void {
        self.data.cast_mut().cast()
    }

    pub(super) fn get(&self) -> &Data {
        // SAFETY: a box of `Users`, which is dropped after all its users.
        unsafe { &*self.data }
    }
}

/// The data that a callback was given.
fn data<'a>(user_data: *mut c_void) -> &'a Data {
    // SAFETY: a box of `Users`, which outlives the runtimes that use it.
    let data = unsafe { &*user_data.cast::<Data>() };
    if data.freed.load(SeqCst) != 0 {
        data.is_broken.store(true, SeqCst);
    }
    data
}

pub(super) unsafe extern "C-unwind" fn now(user_data: *mut c_void) -> u64 {
    data(user_data).now.load(SeqCst)
}

pub(super) unsafe extern "C-unwind" fn free(user_data: *mut c_void) {
    data(user_data).freed.fetch_add(1, SeqCst);
}

/// What `note` may do.
pub(super) const SCRIPTS: u8 = 8;
pub(super) const RETURNS_7: u8 = 1;
pub(super) const SAYS_WHY: u8 = 2;
pub(super) const CHARGES_ALL: u8 = 5;
pub(super) const FREES: u8 = 7;

/// The host function of the guest `deed`.
pub(super) unsafe extern "C-unwind" fn note(
    user_data: *mut c_void,
    context: *mut dormouse_context,
    args: *const dormouse_value,
    _: *mut dormouse_value,
) -> c_int {
    let data = data(user_data);
    // SAFETY: two arguments, as it was granted with, of type i32.
    let [at, len] = [0, 1].map(|number| unsafe { (*args.add(number)).of.i32 as u32 });
    let is_right = match data.script.load(SeqCst) {
        RETURNS_7 => return 7,
        SAYS_WHY => {
            let (text, len) = edge::chars("because");
            let failed = check(|error| edge::call!(dormouse_c::dormouse_context_fail(context, text, len, error)));
            data.is_broken.fetch_or(failed != dormouse_status::DORMOUSE_OK, SeqCst);
            return 1;
        }
        3 => copies(context, at, len) && has_no_blocks(context),
        4 => is_refused_beyond_memory(context),
        CHARGES_ALL => {
            check(|error| edge::call!(dormouse_c::dormouse_context_charge(context, u64::MAX, error)))
                == dormouse_status::DORMOUSE_OUT_OF_FUEL
        }
        6 => nests(context),
        FREES => {
            let handle = data.to_free.swap(ptr::null_mut(), SeqCst);
            edge::call!(dormouse_c::dormouse_function_free(handle));
            true
        }
        _ => true,
    };
    data.is_broken.fetch_or(!is_right, SeqCst);
    0
}

/// The host function of the plug-in: gives back its argument's bytes in reverse, in a new block.
pub(super) unsafe extern "C-unwind" fn turn(
    user_data: *mut c_void,
    context: *mut dormouse_context,
    args: *const dormouse_value,
    results: *mut dormouse_value,
) -> c_int {
    let data = data(user_data);
    // SAFETY: one argument and one result, as it was granted with, of type i64.
    let (given, answer) = unsafe { ((*args).of.i64 as u64, &mut (*results).of.i64) };
    let is_right = match data.script.load(SeqCst) {
        RETURNS_7 => return 7,
        SAYS_WHY => return 1,
        CHARGES_ALL => {
            check(|error| edge::call!(dormouse_c::dormouse_context_charge(context, u64::MAX, error)))
                == dormouse_status::DORMOUSE_OUT_OF_FUEL
        }
        3 => is_refused_beyond_blocks(context, given) && turns(context, given, answer),
        _ => turns(context, given, answer),
    };
    data.is_broken.fetch_or(!is_right, SeqCst);
    0
}

/// Reads a block, and writes its bytes to another, after a detour.
fn turns(context: *mut dormouse_context, given: u64, answer: &mut i64) -> bool {
    let mut len = usize::MAX;
    let measured = check(|error| edge::call!(dormouse_c::dormouse_context_block_len(context, given, &mut len, error)));
    if measured != dormouse_status::DORMOUSE_OK {
        return false;
    }
    let (mut bytes, mut made) = (vec![0; len], u64::MAX);
    let at = bytes.as_mut_ptr();
    let read = check(|error| edge::call!(dormouse_c::dormouse_context_read_block(context, given, at, len, error)));
    let zeros = vec![0; len];
    let new = check(|error| {
        edge::call!(dormouse_c::dormouse_context_new_block(context, zeros.as_ptr(), len, &mut made, error))
    });
    bytes.reverse();
    let written =
        check(|error| edge::call!(dormouse_c::dormouse_context_write_block(context, made, bytes.as_ptr(), len, error)));
    *answer = made as i64;
    [read, new, written] == [dormouse_status::DORMOUSE_OK; 3] && (made == 0) == (len == 0)
}

/// Tries an invalid handle, too little room, and a freed block.
fn is_refused_beyond_blocks(context: *mut dormouse_context, given: u64) -> bool {
    let (mut len, mut byte, mut made) = (usize::MAX, 0, 0);
    let nowhere = given.wrapping_add(1 << 40);
    let measured =
        check(|error| edge::call!(dormouse_c::dormouse_context_block_len(context, nowhere, &mut len, error)));
    let new = check(|error| {
        edge::call!(dormouse_c::dormouse_context_new_block(context, b"ab".as_ptr(), 2, &mut made, error))
    });
    let small = check(|error| edge::call!(dormouse_c::dormouse_context_read_block(context, made, &mut byte, 1, error)));
    let beyond =
        check(|error| edge::call!(dormouse_c::dormouse_context_write_block(context, made, b"abc".as_ptr(), 3, error)));
    let freed = check(|error| edge::call!(dormouse_c::dormouse_context_free_block(context, made, error)));
    let gone = check(|error| edge::call!(dormouse_c::dormouse_context_block_len(context, made, &mut len, error)));
    let right = [
        (measured, dormouse_status::DORMOUSE_INVALID_HANDLE),
        (new, dormouse_status::DORMOUSE_OK),
        (small, dormouse_status::DORMOUSE_NO_ROOM),
        (beyond, dormouse_status::DORMOUSE_INVALID_HANDLE),
        (freed, dormouse_status::DORMOUSE_OK),
        (gone, dormouse_status::DORMOUSE_INVALID_HANDLE),
    ];
    right.iter().all(|(said, right)| said == right) && (len, byte) == (usize::MAX, 0)
}

/// Only plug-ins have blocks.
fn has_no_blocks(context: *mut dormouse_context) -> bool {
    let (mut len, mut made) = (usize::MAX, u64::MAX);
    let measured = check(|error| edge::call!(dormouse_c::dormouse_context_block_len(context, 1, &mut len, error)));
    let new =
        check(|error| edge::call!(dormouse_c::dormouse_context_new_block(context, b"a".as_ptr(), 1, &mut made, error)));
    [measured, new] == [dormouse_status::DORMOUSE_CONTRACT; 2] && (len, made) == (usize::MAX, u64::MAX)
}

fn check(call: impl FnOnce(*mut *mut dormouse_c::dormouse_error) -> dormouse_status) -> dormouse_status {
    edge::check(true, "in a callback", call)
}

/// Reads what the guest names, writes it back, and logs a line.
fn copies(context: *mut dormouse_context, at: u32, len: u32) -> bool {
    let mut bytes = vec![0; len as usize];
    let (room, len) = (bytes.as_mut_ptr(), bytes.len());
    let (line, line_len) = edge::chars("a line");
    [
        check(|error| edge::call!(dormouse_c::dormouse_context_read(context, at, room, len, error))),
        check(|error| edge::call!(dormouse_c::dormouse_context_write(context, at, room, len, error))),
        check(|error| edge::call!(dormouse_c::dormouse_context_log(context, line, line_len, error))),
    ] == [dormouse_status::DORMOUSE_OK; 3]
}

fn is_refused_beyond_memory(context: *mut dormouse_context) -> bool {
    let size = edge::call!(dormouse_c::dormouse_context_memory_size(context)) as u32;
    let mut byte = 0;
    let read = check(|error| edge::call!(dormouse_c::dormouse_context_read(context, size, &mut byte, 1, error)));
    let written = check(|error| edge::call!(dormouse_c::dormouse_context_write(context, u32::MAX, &byte, 1, error)));
    let nowhere = check(|error| edge::call!(dormouse_c::dormouse_context_read(context, 0, ptr::null_mut(), 1, error)));
    let beyond = dormouse_status::DORMOUSE_OUT_OF_BOUNDS;
    size >= 65_536 && [read, written, nowhere] == [beyond, beyond, dormouse_status::DORMOUSE_NULL]
}

/// Finds its own function, and invokes it again. That may be too deep, or busy, or off by now.
fn nests(context: *mut dormouse_context) -> bool {
    let (mut name, mut runtime, mut function) = ([0; 65], ptr::null_mut::<dormouse_runtime>(), ptr::null_mut());
    let (room, len) = (name.as_mut_ptr(), name.len());
    let named = check(|error| edge::call!(dormouse_c::dormouse_context_function(context, room, len, error)));
    let found = check(|error| edge::call!(dormouse_c::dormouse_context_runtime(context, &mut runtime, error)));
    if [named, found] != [dormouse_status::DORMOUSE_OK; 2] {
        return false;
    }
    let len = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    let text = name.as_ptr();
    let found = check(|error| edge::call!(dormouse_c::dormouse_runtime_find(runtime, text, len, &mut function, error)));
    edge::call!(dormouse_c::dormouse_runtime_free(runtime));
    if found != dormouse_status::DORMOUSE_OK {
        // A pinned version, whose name is gone.
        return found == dormouse_status::DORMOUSE_NOT_FOUND;
    }
    let mut reply = ptr::null_mut();
    let input = b"x";
    let ran = check(|error| {
        let (at, len) = (input.as_ptr(), input.len());
        edge::call!(dormouse_c::dormouse_function_invoke(function, at, len, ptr::null(), &mut reply, error))
    });
    edge::call!(dormouse_c::dormouse_reply_free(reply));
    edge::call!(dormouse_c::dormouse_function_free(function));
    ran != dormouse_status::DORMOUSE_NULL
}

/// What a session's body is given.
pub(super) struct Session {
    pub(super) code: c_int,
    pub(super) to_free: *mut dormouse_function,
    pub(super) is_right: bool,
}

/// The body of a session with the guest `plain`: it writes, adds and reads, then returns what it is
/// told.
pub(super) unsafe extern "C-unwind" fn body(user_data: *mut c_void, guest: *mut dormouse_c::dormouse_guest) -> c_int {
    // SAFETY: the machine's, which waits for this session.
    let session = unsafe { &mut *user_data.cast::<Session>() };
    edge::call!(dormouse_c::dormouse_function_free(session.to_free));
    let (name, name_len) = edge::chars("add");
    let number =
        |number| dormouse_value { type_: dormouse_c::DORMOUSE_I32, of: dormouse_c::dormouse_number { i32: number } };
    let (args, mut results, mut count) = ([number(2), number(3)], [number(0)], 0);
    let bytes = [1_u8, 2, 3];
    let mut back = [0_u8; 3];
    let statuses = [
        check(|error| edge::call!(dormouse_c::dormouse_guest_write(guest, 100, bytes.as_ptr(), 3, error))),
        check(|error| edge::call!(dormouse_c::dormouse_guest_read(guest, 100, back.as_mut_ptr(), 3, error))),
        check(|error| {
            let (args, results) = (args.as_ptr(), results.as_mut_ptr());
            edge::call!(dormouse_c::dormouse_guest_call(guest, name, name_len, args, 2, results, 1, &mut count, error))
        }),
    ];
    // SAFETY: the export's result is an i32.
    let sum = unsafe { results[0].of.i32 };
    session.is_right = statuses == [dormouse_status::DORMOUSE_OK; 3] && back == bytes && (sum, count) == (5, 1);
    session.code
}
