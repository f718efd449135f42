//! Options: structs of the caller that begin with their size, so that they can grow.
//!
//! Invariant: this library reads an options struct beyond its `size`, or writes to it, only if that
//! is the size that this version knows.

use crate::{
    edge::{Given, Out, Pointee},
    failure::Failure,
};

/// Options, which begin with their size.
///
/// # Safety
/// A C struct whose first member is its size, and whose members may all be zero.
pub(crate) unsafe trait Options: Copy + Pointee {
    const NAME: &'static str;

    /// Zero in all members except the size.
    fn blank() -> Self;
}

/// Declares types as options.
macro_rules! options {
    ($($ty:ident),*) => {$(
        plain!($ty);
        // SAFETY: `repr(C)`, and its members are numbers, booleans, pointers, callbacks that may be
        // NULL, and structs of these.
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
    // SAFETY: in every version the struct begins with its size, and only the size is read here.
    let size = unsafe { at.cast::<usize>().read() };
    check_size::<T>(size)?;
    Ok(given.optional().copied())
}

/// The options, if they are required.
pub(crate) fn needed<T: Options>(options: Given<T>) -> Result<T, Failure> {
    given(options)?.ok_or_else(|| Failure::null("options"))
}

/// Writes the defaults: zero for every member that `defaults` does not set.
pub(crate) fn init<T: Options>(options: Out<T>, size: usize, defaults: impl FnOnce(&mut T)) -> Result<(), Failure> {
    let place = options.required()?;
    check_size::<T>(size)?;
    let mut blank = T::blank();
    defaults(&mut blank);
    place.put(blank);
    Ok(())
}

/// There has been only one size so far. A struct of another size comes from another version's
/// header.
fn check_size<T: Options>(size: usize) -> Result<(), Failure> {
    if size == size_of::<T>() {
        return Ok(());
    }
    let (name, known) = (T::NAME, size_of::<T>());
    Err(Failure::argument(format!(
        "{name} has {size} bytes, but {known} in this library: call {name}_init first, with the header of this version ({})",
        env!("CARGO_PKG_VERSION")
    )))
}
