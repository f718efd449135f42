//! Key-value stores, which a deployment grants and a host looks into.
//!
//! Invariant: no key is empty, as the library asks of those who change a store.

use std::{ffi::c_char, sync::Arc};

use dormouse::kv::{Change, CommitError, Grant, KeyValue, Memory, Size};

use crate::{
    edge::Given,
    error::dormouse_error,
    limits::{Bounds, dormouse_store_limits},
    status::{Failure, dormouse_status},
    text::{dormouse_names, dormouse_string},
};

/// A key-value store, where functions keep what must outlast an invocation: namespaces of keys and values, each of
/// them bytes. A deployment grants it by `dormouse_deploy_options.store`; what guests import then is told in
/// bindings/README.md. What an invocation writes is committed, all at once, when it has ended well; one that fails
/// leaves nothing. Initialisation cannot use it.
///
/// A function sees one namespace, which has its name unless the deployment says another. The functions here take any
/// text for one, and do not know which are in use.
///
/// Thread safety: any number of threads may use one handle at once, while functions use the store.
/// Ownership: made by `dormouse_store_new` and `dormouse_store_open`; each handle is freed once, by
/// `dormouse_store_free`. Functions keep the store that they were granted, so that the handle may be freed before them;
/// what is in memory goes with the last of these.
pub struct dormouse_store(Arc<dyn KeyValue>);

counted!(dormouse_store);

impl dormouse_store {
    fn commit(&self, namespace: &str, change: Change<'_>) -> Result<(), Failure> {
        if change.key.is_empty() {
            return Err(Failure::argument("`key` is empty".into()));
        }
        self.0.commit(namespace, &[change], Size::MAX).map_err(|error| match error {
            CommitError::Store(error) => Failure::store(error),
            // Nothing is expected, and there is no quota.
            error => Failure::store(error.into()),
        })
    }
}

/// What a deployment grants.
///
/// # Safety
/// The members of options of an exported function's caller, and the call is not over.
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

    /// Opens a store in a file, which is made if it is not there. The file is this store's alone until that is gone, and
    /// must not be a runtime's. What an invocation has written is on disk when it returns. `path` is bytes on Unix,
    /// UTF-8 elsewhere.
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

    /// The length of the value of a key.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND if the key has no value, 320 to 329.
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

    /// Copies the value of a key to `bytes`, all of it, and says how long it is. `dormouse_store_len` says it before; if
    /// the value has become longer since, this answers DORMOUSE_NO_ROOM.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND if the key has no value, DORMOUSE_NO_ROOM,
    /// 320 to 329.
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

    /// Gives a key a value, whatever it has: a commit of its own, without regard to what a deployment allows its
    /// function. The key has 1 byte or more, the value may be empty. After a failure it has the new value or the old.
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

    /// Takes a key's value away, if it has any.
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

    /// Keys that begin with `prefix`, in the order of their bytes, `max` at most: from the first behind `after` on, or
    /// from the beginning if that is empty. They are bytes, and may have NULs; each has another behind it.
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

    /// What a namespace holds: keys that have a value, and bytes of these keys and of their values; 0 of both where it
    /// was never written to. Either place may be NULL.
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
