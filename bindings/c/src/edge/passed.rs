//! What each parameter of an exported function becomes inside, by its type.
//!
//! Invariant: every type has one reading: counted, owned, lent, plain, or passed on as it is.

use std::ffi::{c_char, c_void};

use super::Out;

/// What a parameter becomes inside.
pub(crate) trait Passed: Copy {
    type Inside;

    /// # Safety
    /// A pointer is NULL, or valid for what the documentation of the exported function says, while
    /// the call lasts.
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

/// How pointers to a type are read, as parameters: `const T *` and `T *`.
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

/// `*mut c_void` is the exception: it is passed on as it is.
impl<T: Pointee> Passed for *mut T {
    type Inside = T::Mut;

    unsafe fn look(self, name: &'static str) -> T::Mut {
        // SAFETY: the caller's.
        unsafe { T::from_mut(self, name) }
    }
}

/// Declares types whose handles are counted. A call that gets such a handle keeps what it stands
/// for alive until it returns. So a callback may free the handle during the call.
macro_rules! counted {
    ($($ty:ty),*) => {$(
        impl $crate::edge::Pointee for $ty {
            type Const = $crate::edge::CountedHandle<$ty>;
            type Mut = $crate::edge::Freed<std::sync::Arc<$ty>>;
            unsafe fn from_const(at: *const Self, name: &'static str) -> Self::Const {
                // SAFETY: the caller's promise. Only `Place::share` makes handles of this type.
                unsafe { $crate::edge::CountedHandle::new(at, name) }
            }
            unsafe fn from_mut(at: *mut Self, _: &'static str) -> Self::Mut {
                // SAFETY: the caller's.
                unsafe { $crate::edge::Freed::new(at) }
            }
        }
    )*};
}

/// Declares types whose handles have one owner.
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

/// Declares types that a callback is lent, for its own use only.
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

/// Declares plain data. A `const` pointer is read, any other is written.
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
