//! Key-value stores, which a deployment grants and a host can read and write.
//!
//! Invariant: no key that is written is empty, as the library demands.

use std::{ffi::c_char, sync::Arc};

use dormouse::kv::{Change, CommitError, Grant, KeyValue, Memory, Size};

use crate::{
    edge::Given,
    error::dormouse_error,
    failure::Failure,
    limits::{Bounds, dormouse_store_limits},
    status::dormouse_status,
    text::{dormouse_names, dormouse_string},
};

/// A key-value store, where functions keep what must outlast an invocation: namespaces of keys and
/// values, both of them bytes. A deployment grants it with `dormouse_deploy_options.store`.
/// bindings/README.md describes what guests then import. When an invocation succeeds, all that it
/// wrote is committed at once. An invocation that fails writes nothing. Initialisation cannot use
/// the store.
///
/// A function sees one namespace. Its name is the function's, unless the deployment names another.
/// The functions here take any text as a namespace, and do not know which namespaces are in use.
///
/// Thread safety: any number of threads may use one handle at once, while functions use the store.
///
/// Ownership: made by `dormouse_store_new` and `dormouse_store_open`. Free each handle once, with
/// `dormouse_store_free`. Functions keep the store that they were granted, so the handle may be
/// freed before them. A store in memory is gone with the last of them.
pub struct dormouse_store(Arc<dyn KeyValue>);

counted!(dormouse_store);

impl dormouse_store {
    fn commit(&self, namespace: &str, change: Change<'_>) -> Result<(), Failure> {
        if change.key.is_empty() {
            return Err(Failure::argument("`key` is empty".into()));
        }
        self.0.commit(namespace, &[change], Size::MAX).map_err(|error| match error {
            CommitError::Store(error) => Failure::store(error),
            // The commit expects nothing and has no quota.
            error => Failure::store(error.into()),
        })
    }
}

/// The store that a deployment grants.
///
/// # Safety
/// The arguments are members of the options of an exported function's caller, and the call is not
/// over.
pub(crate) unsafe fn grant(
    store: *const dormouse_store,
    namespace: dormouse_string,
    limits: &dormouse_store_limits,
) -> Result<Option<Grant>, Failure> {
    // SAFETY: the caller's.
    let Some(store) = unsafe { Given::new(store, "options->store") }.optional() else { return Ok(None) };
    // SAFETY: as above.
    let namespace = unsafe { namespace.optional("options->store_namespace") }?;
    let grant = Grant::new(Arc::clone(&store.0)).limits(limits.bounds()?);
    Ok(Some(match namespace {
        Some(namespace) => grant.namespace(namespace),
        None => grant,
    }))
}

#[cfg(feature = "durable")]
fn open(path: &[u8]) -> Result<dormouse_store, Failure> {
    Ok(dormouse_store(Arc::new(dormouse::kv::File::open(crate::text::path(path)?)?)))
}

#[cfg(not(feature = "durable"))]
fn open(_: &[u8]) -> Result<dormouse_store, Failure> {
    Err(Failure::not_built("durable"))
}

exported! { fallible:
    /// Makes an empty store in memory.
    ///
    /// Statuses: DORMOUSE_NULL.
    pub unsafe extern "C" fn dormouse_store_new(
        store_out: *mut *mut dormouse_store,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        store_out.required()?.share(dormouse_store(Arc::new(Memory::new())));
        Ok(())
    }

    /// Opens a store in a file. The call makes the file if there is none. The file belongs to this
    /// store until the store is gone, and must not be a runtime's. What an invocation has written
    /// is on disk when it returns. `path` is bytes on Unix, and UTF-8 elsewhere.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_BUILT, 320 to 329.
    pub unsafe extern "C" fn dormouse_store_open(
        path: *const c_char,
        path_len: usize,
        store_out: *mut *mut dormouse_store,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let place = store_out.required()?;
        // SAFETY: the pointer is followed by its length.
        place.share(open(unsafe { path.bytes(path_len) }?)?);
        Ok(())
    }

    /// Gives the length of the value of a key.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND if the key has no value, 320 to
    /// 329.
    pub unsafe extern "C" fn dormouse_store_len(
        store: *const dormouse_store,
        name_space: *const c_char,
        name_space_len: usize,
        key: *const u8,
        key_len: usize,
        len_out: *mut usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (store, place) = (store.get()?, len_out.required()?);
        // SAFETY: each pointer is followed by its length.
        let (namespace, key) = unsafe { (name_space.text(name_space_len)?, key.slice(key_len)?) };
        let len = store.0.len(namespace, key).map_err(Failure::store)?;
        place.put(len.ok_or_else(|| no_value(key))? as usize);
        Ok(())
    }

    /// Copies the whole value of a key to `bytes`, and gives its length. `dormouse_store_len` gives
    /// the length before. If the value has become longer since, this answers DORMOUSE_NO_ROOM.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND if the key has no value,
    /// DORMOUSE_NO_ROOM, 320 to 329.
    pub unsafe extern "C" fn dormouse_store_get(
        store: *const dormouse_store,
        name_space: *const c_char,
        name_space_len: usize,
        key: *const u8,
        key_len: usize,
        bytes: *mut u8,
        room: usize,
        len_out: *mut usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (store, place) = (store.get()?, len_out.required()?);
        // SAFETY: each pointer is followed by its length.
        let (namespace, key, room) =
            unsafe { (name_space.text(name_space_len)?, key.slice(key_len)?, bytes.room(room)?) };
        let value = store.0.get(namespace, key).map_err(Failure::store)?;
        let value = value.ok_or_else(|| no_value(key))?;
        if !room.fill(&value) {
            return Err(Failure::no_room(format!("`bytes` needs room for {}, it has {}", value.len(), room.len())));
        }
        place.put(value.len());
        Ok(())
    }

    /// Sets the value of a key, whatever its value was. This is a commit of its own, and ignores
    /// what a deployment allows its function. The key has 1 byte or more. The value may be empty.
    /// After a failure the key has the new value or the old one.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_ARGUMENT, 320 to 329.
    pub unsafe extern "C" fn dormouse_store_set(
        store: *const dormouse_store,
        name_space: *const c_char,
        name_space_len: usize,
        key: *const u8,
        key_len: usize,
        value: *const u8,
        value_len: usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let store = store.get()?;
        // SAFETY: each pointer is followed by its length.
        let (namespace, key, value) =
            unsafe { (name_space.text(name_space_len)?, key.slice(key_len)?, value.slice(value_len)?) };
        store.commit(namespace, Change::set(key, value))
    }

    /// Removes a key's value, if it has one.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_ARGUMENT, 320 to 329.
    pub unsafe extern "C" fn dormouse_store_delete(
        store: *const dormouse_store,
        name_space: *const c_char,
        name_space_len: usize,
        key: *const u8,
        key_len: usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let store = store.get()?;
        // SAFETY: each pointer is followed by its length.
        let (namespace, key) = unsafe { (name_space.text(name_space_len)?, key.slice(key_len)?) };
        store.commit(namespace, Change::delete(key))
    }

    /// Lists keys that begin with `prefix`, in the order of their bytes, at most `max`. The list
    /// begins with the first key after `after`, or with the first key if `after` is empty. Keys are
    /// bytes and may contain NULs. Each has one more NUL behind it.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, 320 to 329.
    pub unsafe extern "C" fn dormouse_store_list(
        store: *const dormouse_store,
        name_space: *const c_char,
        name_space_len: usize,
        prefix: *const u8,
        prefix_len: usize,
        after: *const u8,
        after_len: usize,
        max: usize,
        names_out: *mut *mut dormouse_names,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (store, place) = (store.get()?, names_out.required()?);
        // SAFETY: each pointer is followed by its length.
        let (namespace, prefix, after) =
            unsafe { (name_space.text(name_space_len)?, prefix.slice(prefix_len)?, after.slice(after_len)?) };
        let keys = store.0.list(namespace, prefix, after, max).map_err(Failure::store)?;
        place.give(dormouse_names::of_keys(keys));
        Ok(())
    }

    /// Gives what a namespace holds: the number of keys with a value, and the bytes of these keys
    /// and values. Both are 0 if the namespace was never written to. Either out-parameter may be
    /// NULL.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, 320 to 329.
    pub unsafe extern "C" fn dormouse_store_size(
        store: *const dormouse_store,
        name_space: *const c_char,
        name_space_len: usize,
        entries_out: *mut u64,
        bytes_out: *mut u64,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let store = store.get()?;
        // SAFETY: the pointer is followed by its length.
        let namespace = unsafe { name_space.text(name_space_len) }?;
        let size = store.0.size(namespace).map_err(Failure::store)?;
        if let Some(place) = entries_out.optional() {
            place.put(size.entries);
        }
        if let Some(place) = bytes_out.optional() {
            place.put(size.bytes);
        }
        Ok(())
    }
}

fn no_value(key: &[u8]) -> Failure {
    Failure::not_found(format!("the key {:?} has no value", key.escape_ascii().to_string()))
}

exported! { total:
    /// Frees a handle of a store. NULL is allowed.
    pub unsafe extern "C" fn dormouse_store_free(store: *mut dormouse_store) {
        drop(store.take());
    }
}
