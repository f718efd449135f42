//! The version of the header and the version of the library.
//!
//! Invariant: both are the version of the package.

use std::ffi::c_char;

/// The version of this header: major. It is 0 as long as there is no promise of a stable ABI.
pub const DORMOUSE_VERSION_MAJOR: u32 = 0;
/// The version of this header: minor. The SONAME carries it.
pub const DORMOUSE_VERSION_MINOR: u32 = 1;
/// The version of this header: patch.
pub const DORMOUSE_VERSION_PATCH: u32 = 0;

exported! { total:
    /// The version of the linked library, such as "0.1.0". Static; any thread. The major and minor
    /// numbers of header and library must be equal.
    pub unsafe extern "C" fn dormouse_version() -> *const c_char {
        concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast::<c_char>()
    }
}
