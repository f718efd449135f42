//! The edge between C and Rust: the one macro that declares exported functions, and what it makes
//! of raw pointers.
//!
//! Invariant: this crate reads and writes through a pointer from C only by the types of `inputs.rs`
//! and `outputs.rs`. `exported!` makes them, under the promise that the header demands of its
//! callers: a pointer is NULL, or valid for what the function's documentation says, as long as the
//! call lasts.

mod inputs;
mod outputs;
#[macro_use]
mod passed;

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
};

use crate::{error::dormouse_error, failure::Failure, status::dormouse_status};

pub(crate) use inputs::{CountedHandle, Freed, Given, Lent};
pub(crate) use outputs::{Out, Place, Room};
pub(crate) use passed::{Passed, Pointee};

/// Declares exported functions, each with its documentation, as the header shows them. There is no
/// other way to declare one: `make check-symbols` compares the library's symbols with the header,
/// which is made from these blocks.
///
/// `fallible:` functions return a status. Their last parameter is `error_out`, and their body
/// returns `Result<(), Failure>`. `total:` functions return any type with a [`Fallback`], which is
/// also what they return after a panic.
///
/// In a body, each parameter is what [`Passed`] makes of it.
macro_rules! exported {
    (fallible: $($(#[$meta:meta])* pub unsafe extern "C" fn $name:ident($($arg:ident: $ty:ty),* $(,)?)
        -> dormouse_status $body:block)*) => {$(
        $(#[$meta])*
        #[unsafe(no_mangle)]
        #[allow(clippy::missing_safety_doc, reason = "the conventions at the top of the header are the safety section of all")]
        pub unsafe extern "C" fn $name($($arg: $ty),*) -> dormouse_status {
            #[allow(unused_variables, reason = "`error_out` is for the edge")]
            $crate::edge::fallible(exported!(@last $($arg),*), move || {
                // SAFETY: the caller keeps the conventions of the header, which are the promise
                // that these demand.
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

/// Runs the body of a fallible function. A failure or a panic becomes a status, and an error if the
/// caller asks for one.
pub(crate) fn fallible(
    error_out: *mut *mut dormouse_error,
    body: impl FnOnce() -> Result<(), Failure>,
) -> dormouse_status {
    // SAFETY: under the promise of the exported function that this runs for.
    let error_out = unsafe { Out::new(error_out, "error_out") };
    // A panic drops what is half done with the closure, or the library guards it: its locks do not
    // poison.
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

/// Runs the body of a function that cannot fail, except through a bug.
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

/// A panic's payload may panic when it is dropped. So only a payload of text is freed.
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
