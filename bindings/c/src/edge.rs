//! The edge between C and Rust: the one macro that declares exported functions, and what it makes of raw pointers.
//!
//! Invariant: a pointer that C passes is looked at through the types below and no other way. Each knows its parameter's name
//! and answers `DORMOUSE_NULL` for NULL. They are made by `exported!`, under the promise that the header asks of its callers:
//! a pointer is NULL or good for what the function's documentation says, for as long as the call lasts.

use std::{
    any::Any,
    ffi::{c_char, c_void},
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr::{self, NonNull},
    slice, str,
    sync::Arc,
};

use crate::{error::dormouse_error, status::Failure, status::dormouse_status};

/// Declares exported functions, each with its documentation and as the header has it. The only way to do so: the file
/// `tests/symbols.sh` holds the library's symbols against the header, which is made from these blocks.
///
/// `fallible:` functions return a status. Their last parameter is `error_out`, their body a `Result<(), Failure>`.
/// `total:` functions return anything that has a [`Fallback`], which is also what a panic makes of them.
///
/// In a body each parameter is what [`Passed`] makes of it.
macro_rules! exported {
    (fallible: $($(#[$meta:meta])* pub unsafe extern "C" fn $name:ident($($arg:ident: $ty:ty),* $(,)?)
        -> dormouse_status $body:block)*) => {$(
        $(#[$meta])*
        #[unsafe(no_mangle)]
        #[allow(clippy::missing_safety_doc, reason = "the conventions at the top of the header are the safety section of all")]
        pub unsafe extern "C" fn $name($($arg: $ty),*) -> dormouse_status {
            #[allow(unused_variables, reason = "`error_out` is for the edge")]
            $crate::edge::fallible(exported!(@last $($arg),*), move || {
                // SAFETY: the caller keeps the conventions of the header, which are the promise that these ask for.
                $(let $arg = unsafe { $crate::edge::Passed::look($arg, stringify!($arg)) };)*
                $body
            })
        }
    )*};
    (total: $($(#[$meta:meta])* pub unsafe extern "C" fn $name:ident($($arg:ident: $ty:ty),* $(,)?)
        $(-> $ret:ty)? $body:block)*) => {$(
        $(#[$meta])*
        #[unsafe(no_mangle)]
        #[allow(clippy::missing_safety_doc, reason = "the conventions at the top of the header are the safety section of all")]
        pub unsafe extern "C" fn $name($($arg: $ty),*) $(-> $ret)? {
            $crate::edge::total(move || {
                // SAFETY: as above.
                $(let $arg = unsafe { $crate::edge::Passed::look($arg, stringify!($arg)) };)*
                $body
            })
        }
    )*};
    (@last $last:ident) => { $last };
    (@last $head:ident, $($rest:ident),+) => { exported!(@last $($rest),+) };
}

/// Runs the body of a fallible function: its failure or its panic becomes a status, and an error where one is asked
/// for.
pub(crate) fn fallible(
    error_out: *mut *mut dormouse_error,
    body: impl FnOnce() -> Result<(), Failure>,
) -> dormouse_status {
    // SAFETY: under the promise of the exported function that this runs for.
    let error_out = unsafe { Out::new(error_out, "error_out") };
    // What a panic leaves half done is dropped with the closure, or guarded by the library, whose locks do not poison.
    let done = catch_unwind(AssertUnwindSafe(|| match body() {
        Ok(()) => dormouse_status::DORMOUSE_OK,
        Err(failure) => {
            let status = failure.status();
            if let Some(place) = error_out.optional() {
                place.give(Box::new(dormouse_error::new(failure)));
            }
            status
        }
    }));
    done.unwrap_or_else(|panic| {
        if let Some(place) = error_out.optional() {
            place.give(Box::new(dormouse_error::panicked(text_of(&*panic))));
        }
        forget(panic);
        dormouse_status::DORMOUSE_PANIC
    })
}

/// Runs the body of a function that cannot fail, but for a bug in it.
pub(crate) fn total<T: Fallback>(body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        forget(panic);
        T::FALLBACK
    })
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "a panic without a text",
    }
}

/// A panic's payload may panic when it is dropped; one of text is freed.
fn forget(panic: Box<dyn Any + Send>) {
    if panic.is::<&str>() || panic.is::<String>() {
        drop(panic);
    } else {
        std::mem::forget(panic);
    }
}

/// What a function that cannot fail returns for NULL, and after a panic.
pub(crate) trait Fallback {
    const FALLBACK: Self;
}
macro_rules! fallback {
    ($($ty:ty = $value:expr),*) => {$( impl Fallback for $ty { const FALLBACK: Self = $value; } )*};
}
fallback!(() = (), bool = false, u32 = 0, u64 = 0, usize = 0);
impl<T> Fallback for *const T {
    const FALLBACK: Self = ptr::null();
}
impl<T> Fallback for *mut T {
    const FALLBACK: Self = ptr::null_mut();
}

/// What a parameter becomes inside.
pub(crate) trait Passed: Copy {
    type Inside;

    /// # Safety
    /// A pointer is NULL, or good for what the documentation of the exported function says, while the call
    /// lasts.
    unsafe fn look(self, name: &'static str) -> Self::Inside;
}

macro_rules! as_it_is {
    ($($ty:ty),*) => {$(
        impl Passed for $ty {
            type Inside = Self;
            unsafe fn look(self, _: &'static str) -> Self {
                self
            }
        }
    )*};
}
as_it_is!(u8, u32, u64, i64, usize, bool, *mut c_void);

/// How the pointers to a type are understood, as parameters: `const T *` and `T *`.
pub(crate) trait Pointee: Sized {
    type Const;
    type Mut;

    /// # Safety
    /// As [`Passed::look`].
    unsafe fn from_const(at: *const Self, name: &'static str) -> Self::Const;

    /// # Safety
    /// As [`Passed::look`].
    unsafe fn from_mut(at: *mut Self, name: &'static str) -> Self::Mut;
}

impl<T: Pointee> Passed for *const T {
    type Inside = T::Const;

    unsafe fn look(self, name: &'static str) -> T::Const {
        // SAFETY: the caller's.
        unsafe { T::from_const(self, name) }
    }
}

/// `c_void` alone is passed on as it is.
impl<T: Pointee> Passed for *mut T {
    type Inside = T::Mut;

    unsafe fn look(self, name: &'static str) -> T::Mut {
        // SAFETY: the caller's.
        unsafe { T::from_mut(self, name) }
    }
}

/// Types whose handles are counted: a call that got one keeps what it stands for alive until it returns, so that a
/// callback may free the handle under it.
macro_rules! counted {
    ($($ty:ty),*) => {$(
        impl $crate::edge::Pointee for $ty {
            type Const = $crate::edge::Held<$ty>;
            type Mut = $crate::edge::Freed<std::sync::Arc<$ty>>;
            unsafe fn from_const(at: *const Self, name: &'static str) -> Self::Const {
                // SAFETY: the caller's; handles of this type are only made by `Place::share`.
                unsafe { $crate::edge::Held::new(at, name) }
            }
            unsafe fn from_mut(at: *mut Self, _: &'static str) -> Self::Mut {
                // SAFETY: the caller's.
                unsafe { $crate::edge::Freed::new(at) }
            }
        }
    )*};
}

/// Types whose handles have one owner.
macro_rules! owned {
    ($($ty:ty),*) => {$(
        impl $crate::edge::Pointee for $ty {
            type Const = $crate::edge::Given<$ty>;
            type Mut = $crate::edge::Freed<Box<$ty>>;
            unsafe fn from_const(at: *const Self, name: &'static str) -> Self::Const {
                // SAFETY: the caller's.
                unsafe { $crate::edge::Given::new(at, name) }
            }
            unsafe fn from_mut(at: *mut Self, _: &'static str) -> Self::Mut {
                // SAFETY: the caller's.
                unsafe { $crate::edge::Freed::new(at) }
            }
        }
    )*};
}

/// Types that a callback is lent, for its own use alone.
macro_rules! lent {
    ($($ty:ty),*) => {$(
        impl $crate::edge::Pointee for $ty {
            type Const = $crate::edge::Given<$ty>;
            type Mut = $crate::edge::Lent<$ty>;
            unsafe fn from_const(at: *const Self, name: &'static str) -> Self::Const {
                // SAFETY: the caller's.
                unsafe { $crate::edge::Given::new(at, name) }
            }
            unsafe fn from_mut(at: *mut Self, name: &'static str) -> Self::Mut {
                // SAFETY: the caller's.
                unsafe { $crate::edge::Lent::new(at, name) }
            }
        }
    )*};
}

/// Plain data: a `const` pointer is read, another written.
macro_rules! plain {
    ($($ty:ty),*) => {$(
        impl $crate::edge::Pointee for $ty {
            type Const = $crate::edge::Given<$ty>;
            type Mut = $crate::edge::Out<$ty>;
            unsafe fn from_const(at: *const Self, name: &'static str) -> Self::Const {
                // SAFETY: the caller's.
                unsafe { $crate::edge::Given::new(at, name) }
            }
            unsafe fn from_mut(at: *mut Self, name: &'static str) -> Self::Mut {
                // SAFETY: the caller's.
                unsafe { $crate::edge::Out::new(at, name) }
            }
        }
    )*};
}
plain!(u8, c_char, u32, i32, u64, usize, bool);

impl<T> Pointee for *mut T {
    type Const = ();
    type Mut = Out<*mut T>;

    unsafe fn from_const(_: *const Self, _: &'static str) {}

    unsafe fn from_mut(at: *mut Self, name: &'static str) -> Self::Mut {
        // SAFETY: the caller's.
        unsafe { Out::new(at, name) }
    }
}

/// A counted handle, kept for the call.
pub(crate) struct Held<T>(Option<Arc<T>>, &'static str);

impl<T> Held<T> {
    /// # Safety
    /// `at` is NULL, or comes from `Place::share` and has not been freed.
    pub(crate) unsafe fn new(at: *const T, name: &'static str) -> Self {
        if at.is_null() {
            return Self(None, name);
        }
        // SAFETY: `at` came from `Arc::into_raw`, and the handle's own count is there until it is freed.
        let held = unsafe {
            Arc::increment_strong_count(at);
            Arc::from_raw(at)
        };
        Self(Some(held), name)
    }

    pub(crate) fn get(&self) -> Result<&T, Failure> {
        self.0.as_deref().ok_or_else(|| Failure::null(self.1))
    }

    pub(crate) fn optional(&self) -> Option<&T> {
        self.0.as_deref()
    }
}

/// A pointer to something to read: one thing, or as many as the length beside it says.
pub(crate) struct Given<T>(*const T, &'static str);

impl<T> Clone for Given<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Given<T> {}

impl<T> Given<T> {
    /// # Safety
    /// `at` is NULL, or good for reading while the call lasts in which this is made.
    pub(crate) unsafe fn new(at: *const T, name: &'static str) -> Self {
        Self(at, name)
    }

    pub(crate) fn optional<'a>(self) -> Option<&'a T> {
        // SAFETY: a `Given` is made by `exported!`, and of members of what that was given, both under the caller's promise that it is NULL
        // or good for reading while the call lasts; no reference made here is kept beyond it.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn get<'a>(self) -> Result<&'a T, Failure> {
        self.optional().ok_or_else(|| Failure::null(self.1))
    }

    /// The pointer itself, for what must be looked at piece by piece.
    pub(crate) fn at(self) -> *const T {
        self.0
    }

    /// Empty for no elements, wherever the pointer points.
    ///
    /// # Safety
    /// The pointer is NULL, or good for reading `len` elements while the call lasts: `len` is the length
    /// beside it.
    pub(crate) unsafe fn slice<'a>(self, len: usize) -> Result<&'a [T], Failure> {
        if len == 0 {
            return Ok(&[]);
        }
        if self.0.is_null() {
            return Err(Failure::null(self.1));
        }
        if len.checked_mul(size_of::<T>()).is_none_or(|bytes| bytes > isize::MAX as usize) {
            return Err(Failure::argument(format!("the length of `{}`, {len}, is no length of an array", self.1)));
        }
        // SAFETY: not NULL, no longer than an object can be, and the caller's promise.
        Ok(unsafe { slice::from_raw_parts(self.0, len) })
    }
}

impl Given<c_char> {
    /// # Safety
    /// As [`slice`](Self::slice).
    pub(crate) unsafe fn bytes<'a>(self, len: usize) -> Result<&'a [u8], Failure> {
        // SAFETY: the caller's.
        unsafe { Given(self.0.cast::<u8>(), self.1).slice(len) }
    }

    /// # Safety
    /// As [`slice`](Self::slice).
    pub(crate) unsafe fn text<'a>(self, len: usize) -> Result<&'a str, Failure> {
        // SAFETY: the caller's.
        let bytes = unsafe { self.bytes(len) }?;
        str::from_utf8(bytes).map_err(|error| Failure::utf8(self.1, error.valid_up_to()))
    }
}

/// A place for a result.
pub(crate) struct Out<T>(*mut T, &'static str);

impl<T> Clone for Out<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Out<T> {}

impl<T> Out<T> {
    /// # Safety
    /// `at` is NULL, or good for writing while the call lasts in which this is made.
    pub(crate) unsafe fn new(at: *mut T, name: &'static str) -> Self {
        Self(at, name)
    }

    pub(crate) fn optional(self) -> Option<Place<T>> {
        NonNull::new(self.0).map(Place)
    }

    pub(crate) fn required(self) -> Result<Place<T>, Failure> {
        self.optional().ok_or_else(|| Failure::null(self.1))
    }

    /// Room for `len` elements. NULL is good for none.
    ///
    /// # Safety
    /// As [`Given::slice`], for writing.
    pub(crate) unsafe fn room(self, len: usize) -> Result<Room<T>, Failure> {
        match NonNull::new(self.0) {
            None if len > 0 => Err(Failure::null(self.1)),
            at => Ok(Room { at: at.unwrap_or(NonNull::dangling()), len, name: self.1 }),
        }
    }
}

/// A place that is there.
pub(crate) struct Place<T>(NonNull<T>);

impl<T> Place<T> {
    pub(crate) fn put(self, value: T) {
        // SAFETY: made from an `Out`, whose pointer the caller has promised to be good for a write, and is not NULL.
        // What was there is plain data, perhaps not initialised: nothing is dropped.
        unsafe { self.0.write(value) }
    }
}

impl<T> Place<*mut T> {
    /// Hands over a handle of one owner.
    pub(crate) fn give(self, value: Box<T>) {
        self.put(Box::into_raw(value));
    }

    /// Hands over a counted handle.
    pub(crate) fn share(self, value: T) {
        self.put(Arc::into_raw(Arc::new(value)).cast_mut());
    }
}

/// Room of the caller's for several elements.
pub(crate) struct Room<T> {
    at: NonNull<T>,
    len: usize,
    name: &'static str,
}

impl<T: Copy> Room<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Writes the elements to its beginning; none if they do not fit.
    pub(crate) fn fill(&self, elements: &[T]) -> bool {
        let fits = elements.len() <= self.len;
        if fits {
            // SAFETY: the room is good for writing `len` elements, as `Out::room` was promised, and no slice of Rust's is
            // among what callers may pass as room: every buffer that is lent to them is lent as `const`.
            unsafe { ptr::copy_nonoverlapping(elements.as_ptr(), self.at.as_ptr(), elements.len()) }
        }
        fits
    }
}

/// A handle on its way out.
pub(crate) struct Freed<Owner: Handle>(*mut Owner::Of, PhantomData<Owner>);

/// Who owns what a handle points to.
pub(crate) trait Handle {
    type Of;

    /// # Safety
    /// `at` comes from `Place::give` (a box) or `Place::share` (a count) and is not used again.
    unsafe fn take(at: *mut Self::Of) -> Self;
}

impl<T> Handle for Box<T> {
    type Of = T;

    unsafe fn take(at: *mut T) -> Self {
        // SAFETY: the caller's.
        unsafe { Box::from_raw(at) }
    }
}

impl<T> Handle for Arc<T> {
    type Of = T;

    unsafe fn take(at: *mut T) -> Self {
        // SAFETY: the caller's.
        unsafe { Arc::from_raw(at) }
    }
}

impl<Owner: Handle> Freed<Owner> {
    /// # Safety
    /// `at` is NULL, or a handle of this owner's, from this library, that is not used again.
    pub(crate) unsafe fn new(at: *mut Owner::Of) -> Self {
        Self(at, PhantomData)
    }

    /// Takes what the caller gives back; nothing for NULL.
    pub(crate) fn take(self) -> Option<Owner> {
        // SAFETY: a parameter of this type is only declared by the function that frees the type; its caller has the handle
        // from this library, by a `Place` for the same owner (`counted!`, `owned!`), and does not use it again.
        (!self.0.is_null()).then(|| unsafe { Owner::take(self.0) })
    }
}

/// What a callback was lent and passes back.
pub(crate) struct Lent<T>(*mut T, &'static str);

impl<T> Lent<T> {
    /// # Safety
    /// `at` is NULL, or what the library lent to a callback that has not returned.
    pub(crate) unsafe fn new(at: *mut T, name: &'static str) -> Self {
        Self(at, name)
    }

    pub(crate) fn get<'a>(self) -> Result<&'a T, Failure> {
        // SAFETY: NULL, or what the library lent to the callback that calls now. Never unique: the host may pass it on to
        // callbacks further in, and what changes in it is in cells.
        unsafe { self.0.as_ref() }.ok_or_else(|| Failure::null(self.1))
    }
}
