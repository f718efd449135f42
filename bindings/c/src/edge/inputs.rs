//! What C passes in: handles and pointers to read.
//!
//! Invariant: each pointer knows its parameter's name, and NULL becomes `DORMOUSE_NULL` where
//! something is required.

use std::{ffi::c_char, marker::PhantomData, slice, str, sync::Arc};

use crate::failure::Failure;

/// A counted handle, which the call keeps alive.
pub(crate) struct CountedHandle<T>(Option<Arc<T>>, &'static str);

impl<T> CountedHandle<T> {
    /// # Safety
    /// `at` is NULL, or comes from `Place::share` and has not been freed.
    pub(crate) unsafe fn new(at: *const T, name: &'static str) -> Self {
        if at.is_null() {
            return Self(None, name);
        }
        // SAFETY: `at` came from `Arc::into_raw`, and the handle's own count remains until the
        // handle is freed.
        let counted = unsafe {
            Arc::increment_strong_count(at);
            Arc::from_raw(at)
        };
        Self(Some(counted), name)
    }

    pub(crate) fn get(&self) -> Result<&T, Failure> {
        self.0.as_deref().ok_or_else(|| Failure::null(self.1))
    }

    pub(crate) fn optional(&self) -> Option<&T> {
        self.0.as_deref()
    }
}

/// A pointer to read: to one element, or to as many as the length beside it says.
pub(crate) struct Given<T>(*const T, &'static str);

impl<T> Clone for Given<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Given<T> {}

impl<T> Given<T> {
    /// # Safety
    /// `at` is NULL, or valid for reading during the call in which this is made.
    pub(crate) unsafe fn new(at: *const T, name: &'static str) -> Self {
        Self(at, name)
    }

    pub(crate) fn optional<'a>(self) -> Option<&'a T> {
        // SAFETY: `exported!` makes a `Given`, or it is made from members of what that was given.
        // Both are under the caller's promise that it is NULL or valid for reading during the call.
        // No reference made here outlives the call.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn get<'a>(self) -> Result<&'a T, Failure> {
        self.optional().ok_or_else(|| Failure::null(self.1))
    }

    /// The pointer itself, for data that must be read piece by piece.
    pub(crate) fn at(self) -> *const T {
        self.0
    }

    /// The elements. Empty if `len` is 0, whatever the pointer is.
    ///
    /// # Safety
    /// The pointer is NULL, or valid for reading `len` elements during the call. `len` is the
    /// length beside it.
    pub(crate) unsafe fn slice<'a>(self, len: usize) -> Result<&'a [T], Failure> {
        if len == 0 {
            return Ok(&[]);
        }
        if self.0.is_null() {
            return Err(Failure::null(self.1));
        }
        if len.checked_mul(size_of::<T>()).is_none_or(|bytes| bytes > isize::MAX as usize) {
            return Err(Failure::argument(format!("the length of `{}`, {len}, is beyond that of any array", self.1)));
        }
        // SAFETY: the pointer is not NULL, the length is not above that of any object, and the
        // caller's promise holds.
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

/// A handle that the caller gives back to be freed.
pub(crate) struct Freed<Owner: Handle>(*mut Owner::Of, PhantomData<Owner>);

/// How a handle owns what it points to: as the only owner, or by a count.
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
    /// `at` is NULL, or a handle of this kind of owner, from this library, that is not used again.
    pub(crate) unsafe fn new(at: *mut Owner::Of) -> Self {
        Self(at, PhantomData)
    }

    /// Takes what the caller gives back. `None` for NULL.
    pub(crate) fn take(self) -> Option<Owner> {
        // SAFETY: only the function that frees the type declares a parameter of this type. Its
        // caller has the handle from this library, by a `Place` for the same owner (`counted!`,
        // `owned!`), and does not use it again.
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
        // SAFETY: NULL, or what the library lent to the callback that makes this call. The
        // reference is never unique: the host may pass it on to nested callbacks. Whatever changes
        // in it is in cells.
        unsafe { self.0.as_ref() }.ok_or_else(|| Failure::null(self.1))
    }
}
