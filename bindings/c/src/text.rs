//! Text between C and Rust.
//!
//! Invariant: text that the library lends has a length, and a NUL behind it.

use std::{borrow::Cow, ffi::c_char, ptr};

use smallvec::SmallVec;

use crate::{
    edge::{Given, Out, Room},
    failure::Failure,
};

/// Text in a struct: where it begins, and its length in bytes. Borrowed like the struct.
/// `dormouse_string_of` makes one from a C string. All zeros mean no text.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_string {
    /// Its first character. NULL for no text.
    pub chars: *const c_char,
    /// Its length.
    pub len: usize,
}

impl dormouse_string {
    pub(crate) const NONE: Self = Self { chars: ptr::null(), len: 0 };

    /// The text, if there is any.
    ///
    /// # Safety
    /// The caller of an exported function gave it, and that call is not over.
    pub(crate) unsafe fn optional<'a>(self, name: &'static str) -> Result<Option<&'a str>, Failure> {
        if self.chars.is_null() && self.len == 0 {
            return Ok(None);
        }
        // SAFETY: the pointer and its length were given together.
        unsafe { Given::new(self.chars, name).text(self.len) }.map(Some)
    }

    /// The text, if it is required.
    ///
    /// # Safety
    /// As `optional`.
    pub(crate) unsafe fn get<'a>(self, name: &'static str) -> Result<&'a str, Failure> {
        // SAFETY: the caller's.
        unsafe { self.optional(name) }?.ok_or_else(|| Failure::null(name))
    }
}

/// Text that a call made. The caller owns it and frees it with `dormouse_text_free`. It never
/// changes, so any number of threads may read it.
pub struct dormouse_text(Text);

owned!(dormouse_text);

impl dormouse_text {
    pub(crate) fn new(text: impl Into<String>) -> Box<Self> {
        Box::new(Self(Text::new(text)))
    }
}

/// Names that a call found: ids of triggers, keys of a store. The caller owns them and frees them
/// with `dormouse_names_free`. They never change, so any number of threads may read them.
pub struct dormouse_names(Vec<Text>);

owned!(dormouse_names);

impl dormouse_names {
    pub(crate) fn new(names: Vec<String>) -> Box<Self> {
        Self::of_keys(names.into_iter().map(String::into_bytes).collect())
    }

    /// Names that may be any bytes.
    pub(crate) fn of_keys(keys: Vec<Vec<u8>>) -> Box<Self> {
        Box::new(Self(keys.into_iter().map(Text::of_bytes).collect()))
    }
}

exported! { total:
    /// The characters of the text. Lent until it is freed. NULL for NULL. `len_out` may be NULL.
    pub unsafe extern "C" fn dormouse_text_chars(text: *const dormouse_text, len_out: *mut usize) -> *const c_char {
        text.optional().map_or(ptr::null(), |text| text.0.lend(len_out))
    }

    /// Frees a text. NULL is allowed.
    pub unsafe extern "C" fn dormouse_text_free(text: *mut dormouse_text) {
        drop(text.take());
    }

    /// The number of names. 0 for NULL.
    pub unsafe extern "C" fn dormouse_names_count(names: *const dormouse_names) -> usize {
        names.optional().map_or(0, |names| names.0.len())
    }

    /// The name at `index`, with a NUL behind it. Lent until the names are freed. NULL if `index`
    /// is not below `dormouse_names_count`, and for NULL. `len_out` may be NULL. `len_out` may be
    /// NULL.
    pub unsafe extern "C" fn dormouse_names_at(
        names: *const dormouse_names,
        index: usize,
        len_out: *mut usize,
    ) -> *const c_char {
        names.optional().and_then(|names| names.0.get(index)).map_or(ptr::null(), |name| name.lend(len_out))
    }

    /// Frees names. NULL is allowed.
    pub unsafe extern "C" fn dormouse_names_free(names: *mut dormouse_names) {
        drop(names.take());
    }
}

/// Text with a NUL behind it. It may contain NULs of its own, so its length counts.
pub(crate) struct Text(Cow<'static, [u8]>);

impl Text {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self::of_bytes(text.into().into_bytes())
    }

    fn of_bytes(mut bytes: Vec<u8>) -> Self {
        // Most logs are empty.
        if bytes.is_empty() {
            return Self(Cow::Borrowed(b"\0"));
        }
        bytes.push(0);
        Self(bytes.into())
    }

    pub(crate) fn chars(&self) -> *const c_char {
        self.0.as_ptr().cast()
    }

    pub(crate) fn string(&self) -> dormouse_string {
        dormouse_string { chars: self.chars(), len: self.0.len() - 1 }
    }

    /// Gives the address of its first character, and its length if the caller asks for it.
    pub(crate) fn lend(&self, len_out: Out<usize>) -> *const c_char {
        if let Some(place) = len_out.optional() {
            place.put(self.0.len() - 1);
        }
        self.chars()
    }
}

/// Copies text with a NUL behind it into the caller's room.
pub(crate) fn copy(text: &str, room: &Room<c_char>) -> Result<(), Failure> {
    let with_nul: SmallVec<[c_char; 128]> = text.bytes().chain([0]).map(|byte| byte as c_char).collect();
    if room.fill(&with_nul) {
        return Ok(());
    }
    let (name, needed, has) = (room.name(), with_nul.len(), room.len());
    Err(Failure::no_room(format!("`{name}` needs room for {needed} characters, it has {has}")))
}

/// A path from its bytes.
#[cfg(feature = "durable")]
pub(crate) fn path(bytes: &[u8]) -> Result<&std::path::Path, Failure> {
    #[cfg(unix)]
    let path = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes);
    #[cfg(not(unix))]
    let path = std::str::from_utf8(bytes).map_err(|error| Failure::utf8("path", error.valid_up_to()))?;
    Ok(std::path::Path::new(path))
}
