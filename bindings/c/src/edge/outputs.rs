//! Where C takes results: pointers to write, and the caller's room.
//!
//! Invariant: a result is written as a whole or not at all, and nothing that was there is dropped.

use std::{
    ptr::{self, NonNull},
    sync::Arc,
};

use crate::failure::Failure;

/// A pointer to where a result goes. It may be NULL.
pub(crate) struct Out<T>(*mut T, &'static str);

impl<T> Clone for Out<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Out<T> {}

impl<T> Out<T> {
    /// # Safety
    /// `at` is NULL, or valid for writing during the call in which this is made.
    pub(crate) unsafe fn new(at: *mut T, name: &'static str) -> Self {
        Self(at, name)
    }

    pub(crate) fn optional(self) -> Option<Place<T>> {
        NonNull::new(self.0).map(Place)
    }

    pub(crate) fn required(self) -> Result<Place<T>, Failure> {
        self.optional().ok_or_else(|| Failure::null(self.1))
    }

    /// Room for `len` elements. NULL is allowed if `len` is 0.
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

/// A place for a result, which is not NULL.
pub(crate) struct Place<T>(NonNull<T>);

impl<T> Place<T> {
    pub(crate) fn put(self, value: T) {
        // SAFETY: made from an `Out`, whose pointer the caller has promised to be valid for a
        // write. It is not NULL. What was there is plain data, perhaps uninitialised, so nothing is
        // dropped.
        unsafe { self.0.write(value) }
    }
}

impl<T> Place<*mut T> {
    /// Hands over a handle with one owner.
    pub(crate) fn give(self, value: Box<T>) {
        self.put(Box::into_raw(value));
    }

    /// Hands over a counted handle.
    pub(crate) fn share(self, value: T) {
        self.put(Arc::into_raw(Arc::new(value)).cast_mut());
    }
}

/// The caller's room for several elements.
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

    /// Writes the elements to the beginning of the room. Writes nothing if they do not fit.
    pub(crate) fn fill(&self, elements: &[T]) -> bool {
        let fits = elements.len() <= self.len;
        if fits {
            // SAFETY: the room is valid for writing `len` elements, as `Out::room` was promised. It
            // overlaps no slice of Rust: every buffer that callers are lent is lent as `const`.
            unsafe { ptr::copy_nonoverlapping(elements.as_ptr(), self.at.as_ptr(), elements.len()) }
        }
        fits
    }
}
