//! The version, when the header was made and when the library was.

use std::ffi::c_char;

/// The version of this header: major, which is 0 as long as there is no promise of a stable ABI.
pub const DORMOUSE_VERSION_MAJOR: u32 = 0;
/// The version of this header: minor, which the SONAME carries.
pub const DORMOUSE_VERSION_MINOR: u32 = 1;
/// The version of this header: patch.
pub const DORMOUSE_VERSION_PATCH: u32 = 0;

exported! { total:
    /// The version of the library that is linked, as in "0.1.0". Static; any thread. A header and a library whose
    /// major and minor numbers differ do not go together.
    pub unsafe extern "C" fn dormouse_version() -> *const c_char {
        concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast::<c_char>()
    }
}
