//! Options: structs of the caller's that begin with their size, so that they can grow.
//!
//! Invariant: an options struct is looked at beyond its `size`, or written to, only if that is the size that this version knows.

use crate::{
    edge::{Given, Out, Pointee},
    status::Failure,
};

/// Options, which begin with their size.
///
/// # Safety
/// A struct of C whose first member is its size, and whose members may all be zero.
pub(crate) unsafe trait Options: Copy + Pointee {
    const NAME: &'static str;

    /// Zero in all members but the size.
    fn blank() -> Self;
}

/// Declares types as options.
macro_rules! options {
    ($($ty:ident),*) => {$(
        plain!($ty);
        // SAFETY: `repr(C)`, and its members are numbers, booleans, pointers, callbacks that may be NULL, and structs of these.
        unsafe impl $crate::options::Options for $ty {
            const NAME: &'static str = stringify!($ty);

            fn blank() -> Self {
                // SAFETY: as the trait says.
                Self { size: size_of::<Self>(), ..unsafe { std::mem::zeroed() } }
            }
        }
    )*};
}

/// The options that a caller gave, if any.
pub(crate) fn given<T: Options>(given: Given<T>) -> Result<Option<T>, Failure> {
    let at = given.at();
    if at.is_null() {
        return Ok(None);
    }
    // SAFETY: whatever its version, the struct begins with its size, which is all that is read here.
    let size = unsafe { at.cast::<usize>().read() };
    check_size::<T>(size)?;
    Ok(given.optional().copied())
}

/// The same where they are needed.
pub(crate) fn needed<T: Options>(options: Given<T>) -> Result<T, Failure> {
    given(options)?.ok_or_else(|| Failure::null("options"))
}

/// Writes the defaults, which are zero where `defaults` says nothing else.
pub(crate) fn init<T: Options>(options: Out<T>, size: usize, defaults: impl FnOnce(&mut T)) -> Result<(), Failure> {
    let place = options.required()?;
    check_size::<T>(size)?;
    let mut blank = T::blank();
    defaults(&mut blank);
    place.put(blank);
    Ok(())
}

/// The one size that there has been so far: a struct of another is of another version's header.
fn check_size<T: Options>(size: usize) -> Result<(), Failure> {
    if size == size_of::<T>() {
        return Ok(());
    }
    let (name, known) = (T::NAME, size_of::<T>());
    Err(Failure::argument(format!(
        "{name} of {size} bytes, here it has {known}: call {name}_init first, with the header of this version ({})",
        env!("CARGO_PKG_VERSION")
    )))
}
