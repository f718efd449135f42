//! Key-value stores: what is in each, no matter who wrote it, as long as a handle or a function has
//! it.

use std::{cell::RefCell, collections::BTreeMap, ptr, rc::Rc};

use arbitrary::Result;
use dormouse_c::{self as c, dormouse_status as S};

use super::{
    Machine, NAMES,
    edge::{self, Out, call, check},
    kept::Kept,
};

/// The key that guests know.
pub(super) const KEY: &[u8] = b"k";

const KEYS: [&[u8]; 4] = [KEY, b"k", b"key of the host", b""];
const VALUES: [&[u8]; 3] = [b"", b"of the host", b"of the host, and longer than there is room"];
const STORES: usize = 3;

/// A handle of a store.
pub(super) struct Store {
    pub(super) at: *mut c::dormouse_store,
    contents: Rc<Contents>,
}

/// Values by namespace and key.
#[derive(Default)]
pub(super) struct Contents(RefCell<BTreeMap<Place, Vec<u8>>>);

type Place = (String, Vec<u8>);

impl Contents {
    pub(super) fn get(&self, namespace: &str, key: &[u8]) -> Option<Vec<u8>> {
        self.0.borrow().get(&(namespace.to_owned(), key.to_vec())).cloned()
    }

    pub(super) fn set(&self, namespace: &str, key: &[u8], value: &[u8]) {
        self.0.borrow_mut().insert((namespace.to_owned(), key.to_vec()), value.to_vec());
    }

    pub(super) fn delete(&self, namespace: &str, key: &[u8]) {
        self.0.borrow_mut().remove(&(namespace.to_owned(), key.to_vec()));
    }

    /// Keys and values of a namespace.
    fn of(&self, namespace: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
        let all = self.0.borrow();
        let here = all.iter().filter(|((other, _), _)| other == namespace);
        here.map(|((_, key), value)| (key.clone(), value.clone())).collect()
    }
}

impl Machine<'_> {
    /// Grants a deployment one of the stores, or none. Returns the store and the namespace.
    pub(super) fn grant(
        &mut self,
        options: &mut c::dormouse_deploy_options,
        name: &'static str,
    ) -> Result<Option<(Rc<Contents>, &'static str)>> {
        if self.stores.is_empty() || self.source.ratio(1, 8)? {
            return Ok(None);
        }
        let store = &self.stores[self.source.choose_index(self.stores.len())?];
        options.store = store.at;
        let is_named = self.source.arbitrary()?;
        if is_named {
            options.store_namespace = edge::string("shared");
        }
        Ok(Some((Rc::clone(&store.contents), if is_named { "shared" } else { name })))
    }

    pub(super) fn store(&mut self) -> Result<()> {
        if self.stores.is_empty() || (self.stores.len() < STORES && self.source.ratio(1, 8)?) {
            return self.new_store();
        }
        let at = self.source.choose_index(self.stores.len())?;
        if self.source.ratio(1, 16)? {
            call!(c::dormouse_store_free(self.stores.swap_remove(at).at));
            return Ok(());
        }
        let is_null = self.source.ratio(1, 24)?;
        let contents = Rc::clone(&self.stores[at].contents);
        let store = if is_null { ptr::null() } else { self.stores[at].at.cast_const() };
        let namespace = *self.source.choose(&[NAMES[0], NAMES[1], "shared"])?;
        let key = *self.source.choose(&KEYS)?;
        let (what, ((name, name_len), (key_at, key_len))) =
            (self.source.int_in_range(0..=5)?, (edge::chars(namespace), (key.as_ptr(), key.len())));
        let known = contents.get(namespace, key);
        let (status, expected) = match what {
            0 => {
                let value = *self.source.choose(&VALUES)?;
                let (value_at, value_len) = (value.as_ptr(), value.len());
                let status = check(self.asks, "store_set", |error| {
                    call!(c::dormouse_store_set(store, name, name_len, key_at, key_len, value_at, value_len, error))
                });
                if status == S::DORMOUSE_OK {
                    contents.set(namespace, key, value);
                }
                (status, if key.is_empty() { S::DORMOUSE_ARGUMENT } else { S::DORMOUSE_OK })
            }
            1 => {
                let status = check(self.asks, "store_delete", |error| {
                    call!(c::dormouse_store_delete(store, name, name_len, key_at, key_len, error))
                });
                if status == S::DORMOUSE_OK {
                    contents.delete(namespace, key);
                }
                (status, if key.is_empty() { S::DORMOUSE_ARGUMENT } else { S::DORMOUSE_OK })
            }
            2 => {
                let room = self.source.int_in_range(0..=16)?;
                let (mut bytes, mut len) = ([0; 16], usize::MAX);
                let status = check(self.asks, "store_get", |error| {
                    let at = bytes.as_mut_ptr();
                    call!(c::dormouse_store_get(store, name, name_len, key_at, key_len, at, room, &mut len, error))
                });
                if status == S::DORMOUSE_OK {
                    assert_eq!(bytes.get(..len), known.as_deref());
                } else {
                    assert_eq!((bytes, len), ([0; 16], usize::MAX), "a result of a call that failed");
                }
                let fits = |value: &Vec<u8>| if value.len() <= room { S::DORMOUSE_OK } else { S::DORMOUSE_NO_ROOM };
                (status, known.as_ref().map_or(S::DORMOUSE_NOT_FOUND, fits))
            }
            3 => {
                let mut len = usize::MAX;
                let status = check(self.asks, "store_len", |error| {
                    call!(c::dormouse_store_len(store, name, name_len, key_at, key_len, &mut len, error))
                });
                if status == S::DORMOUSE_OK {
                    assert_eq!(Some(len), known.as_ref().map(Vec::len));
                }
                (status, known.map_or(S::DORMOUSE_NOT_FOUND, |_| S::DORMOUSE_OK))
            }
            4 => {
                let (mut entries, mut bytes) = (u64::MAX, u64::MAX);
                let status = check(self.asks, "store_size", |error| {
                    call!(c::dormouse_store_size(store, name, name_len, &mut entries, &mut bytes, error))
                });
                if status == S::DORMOUSE_OK {
                    let all = contents.of(namespace);
                    let held = all.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
                    assert_eq!((entries, bytes), (all.len() as u64, held as u64));
                }
                (status, S::DORMOUSE_OK)
            }
            _ => {
                let (after, max) = (*self.source.choose(&KEYS)?, self.source.int_in_range(0..=2)?);
                let (after_at, after_len) = (after.as_ptr(), after.len());
                let mut out = Out::new(false);
                let status = check(self.asks, "store_list", |error| {
                    let place = out.at();
                    call!(c::dormouse_store_list(
                        store, name, name_len, key_at, key_len, after_at, after_len, max, place, error
                    ))
                });
                let expected = if is_null { S::DORMOUSE_NULL } else { S::DORMOUSE_OK };
                if let Some(names) = out.made(status, expected, "store_list") {
                    let keys = contents.of(namespace).into_iter().map(|(key, _)| key);
                    let right = keys.filter(|one| one.starts_with(key) && (after.is_empty() || one.as_slice() > after));
                    let text = |key| String::from_utf8(key).expect("keys are texts here");
                    self.kept.push(Kept::Names(names, right.take(max).map(text).collect()));
                }
                (status, S::DORMOUSE_OK)
            }
        };
        assert_eq!(status, if is_null { S::DORMOUSE_NULL } else { expected }, "{what} of {key:?}");
        Ok(())
    }

    fn new_store(&mut self) -> Result<()> {
        let mut out = Out::new(self.source.ratio(1, 16)?);
        let status = check(self.asks, "store_new", |error| call!(c::dormouse_store_new(out.at(), error)));
        if let Some(at) = out.made(status, S::DORMOUSE_OK, "store_new") {
            self.stores.push(Store { at, contents: Rc::default() });
        }
        Ok(())
    }
}
