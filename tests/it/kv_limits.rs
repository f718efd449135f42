//! The key-value store at its limits: each limit and one more, hostile calls, fuel, refused grants,
//! and stores that fail.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use dormouse::{
    DeployError, Function, Guest, HostError, InvokeErrorKind, Runtime, StartKind, Value,
    kv::{self, Change, CommitError, Grant, KeyValue, Size},
};

use crate::{
    kv::{
        Answer, FAULT, FULL, KEY, KEY_AT, MEMORY, OUT_AT, ROOM, STAGED, VALUE, VALUE_AT, call, cas, delete, deploy,
        function, get, list, list_all, plain, run, set, stores, texts, write,
    },
    kv_commits::between,
    support::wat,
};

#[test]
fn keys_and_values_hold_their_limits_exactly() {
    stores(|store| {
        let limits = kv::Limits { key: 8, value: 100, ..kv::Limits::default() };
        run(&function(&store, limits), |guest| {
            assert_eq!(set(guest, b"", b"v")?, KEY);
            assert_eq!(set(guest, &[b'k'; 8], &[b'v'; 100])?, 0);
            assert_eq!(set(guest, &[b'k'; 9], b"v")?, KEY);
            assert_eq!(set(guest, b"k", &[b'v'; 101])?, VALUE);
            let out = |guest: &mut Guest<'_>, name: &str, len| {
                let args = [KEY_AT, len, OUT_AT, 9];
                call(guest, name, if name == "delete" { &args[..2] } else { &args })
            };
            for name in ["get", "delete"] {
                assert_eq!((out(guest, name, 0)?, out(guest, name, 9)?), (KEY, KEY));
            }
            assert_eq!(cas(guest, b"", None, None)?, KEY);
            assert_eq!(cas(guest, &[b'k'; 9], None, None)?, KEY);
            assert_eq!(cas(guest, b"k", Some(&[b'v'; 101]), None)?, VALUE);
            assert_eq!(cas(guest, b"k", None, Some(&[b'v'; 101]))?, VALUE);
            assert_eq!(cas(guest, b"k", None, Some(&[b'v'; 100]))?, 1);
            assert_eq!(list(guest, &[b'k'; 9], b"", 100)?, Err(KEY));
            assert_eq!(list(guest, b"", &[b'k'; 9], 100)?, Err(KEY));
            assert_eq!(list(guest, &[b'k'; 8], &[b'j'; 8], 100)?.unwrap().len(), 1);
            Ok(())
        });
        assert_eq!(store.size("f").unwrap(), Size { entries: 2, bytes: 8 + 100 + 1 + 100 });
        run(&plain(&store), |guest| {
            assert_eq!(set(guest, &[b'k'; 1_024], &vec![b'v'; 1 << 20])?, 0);
            assert_eq!(set(guest, &[b'k'; 1_025], b"")?, KEY);
            assert_eq!(set(guest, b"k", &vec![b'v'; (1 << 20) + 1])?, VALUE);
            Ok(())
        });
    });
}

#[test]
fn a_list_gives_no_more_keys_than_its_limit() {
    stores(|store| {
        let f = function(&store, kv::Limits { list: 3, ..kv::Limits::default() });
        for key in [b"k1", b"k2", b"k3", b"k4"] {
            write(&store, "f", key, b"");
        }
        run(&f, |guest| {
            set(guest, b"k0", b"")?;
            assert_eq!(texts(list(guest, b"k", b"", 1_000)?.unwrap()), ["k0", "k1", "k2"]);
            assert_eq!(texts(list(guest, b"k", b"k2", 1_000)?.unwrap()), ["k3", "k4"]);
            assert_eq!(list_all(guest, b"", 1_000)?.len(), 5);
            Ok(())
        });
    });
}

#[test]
fn what_an_invocation_stages_is_bounded_exactly_and_what_is_refused_changes_nothing() {
    stores(|store| {
        // Two entries of 128 and 1 + 71 bytes.
        let f = function(&store, kv::Limits { staged: 400, ..kv::Limits::default() });
        run(&f, |guest| {
            assert_eq!(set(guest, b"a", &[1; 71])?, 0);
            assert_eq!(set(guest, b"b", &[1; 72])?, STAGED);
            assert_eq!(get(guest, b"b")?, None);
            assert_eq!(set(guest, b"b", &[1; 71])?, 0);
            assert_eq!((delete(guest, b"c")?, set(guest, b"a", &[1; 72])?), (STAGED, STAGED));
            assert_eq!(get(guest, b"a")?, Some(vec![1; 71]), "as it was");
            // A key that is written again takes the room of its new value.
            assert_eq!((set(guest, b"a", &[2; 10])?, set(guest, b"b", &[2; 132])?), (0, 0));
            assert_eq!(set(guest, b"b", &[2; 133])?, STAGED);
            Ok(())
        });
        assert_eq!(store.size("f").unwrap(), Size { entries: 2, bytes: 11 + 133 });
        // A compared value is kept too, until the commit.
        run(&f, |guest| {
            assert_eq!(cas(guest, b"b", Some(&[2; 132]), Some(&[3; 140]))?, STAGED);
            assert_eq!(cas(guest, b"b", Some(&[2; 132]), Some(&[3; 139]))?, 1);
            assert_eq!(set(guest, b"b", &[3; 140])?, STAGED);
            assert_eq!(cas(guest, b"b", Some(&[3; 139]), Some(&[4; 139]))?, 1);
            Ok(())
        });
        assert_eq!(store.get("f", b"b").unwrap(), Some(vec![4; 139]));
    });
}

#[test]
fn a_namespace_holds_no_more_entries_and_bytes_than_its_quota() {
    stores(|store| {
        let f = function(&store, kv::Limits { entries: 3, bytes: 100, ..kv::Limits::default() });
        write(&store, "another", &[b'x'; 100], &[0; 1_000]);
        run(&f, |guest| {
            assert_eq!(set(guest, b"a", &[1; 98])?, 0);
            assert_eq!((set(guest, b"b", b"")?, set(guest, b"c", b"")?), (0, FULL), "101 bytes");
            assert_eq!(set(guest, b"a", &[1; 99])?, FULL);
            assert_eq!((set(guest, b"a", b"1")?, set(guest, b"c", b"")?), (0, 0));
            assert_eq!((set(guest, b"d", b"")?, cas(guest, b"d", None, Some(b""))?), (FULL, FULL), "4 entries");
            assert_eq!((cas(guest, b"d", None, None)?, get(guest, b"d")?), (1, None));
            Ok(())
        });
        run(&f, |guest| {
            assert_eq!(set(guest, b"d", b"")?, FULL, "with what is committed");
            assert_eq!((delete(guest, b"b")?, set(guest, b"d", b"")?), (1, 0));
            assert_eq!(set(guest, b"b", b"")?, FULL);
            assert_eq!((set(guest, b"a", &[2; 97])?, set(guest, b"a", &[2; 98])?), (0, FULL));
            Ok(())
        });
        assert_eq!(store.size("f").unwrap(), Size { entries: 3, bytes: 100 });
        // The store is beyond its limit, as when the host lowers that. A write that does not
        // enlarge it is allowed.
        let f = function(&store, kv::Limits { entries: 1, bytes: 10, ..kv::Limits::default() });
        run(&f, |guest| {
            assert_eq!((set(guest, b"a", &[3; 97])?, set(guest, b"a", &[3; 98])?), (0, FULL));
            assert_eq!((set(guest, b"a", &[3; 50])?, set(guest, b"e", b"")?), (0, FULL));
            assert_eq!(delete(guest, b"c")?, 1);
            Ok(())
        });
        assert_eq!(store.size("f").unwrap(), Size { entries: 2, bytes: 52 });
    });
}

#[test]
fn a_quota_that_others_have_used_up_in_between_ends_the_invocation_and_nothing_is_written() {
    stores(|store| {
        let f = function(&store, kv::Limits { entries: 2, ..kv::Limits::default() });
        let two = |guest: &mut Guest<'_>, keys: [&[u8]; 2]| {
            assert_eq!((set(guest, keys[0], b"v")?, set(guest, keys[1], b"v")?), (0, 0));
            Ok(())
        };
        let ended = between(&f, |guest| two(guest, [b"a", b"b"]), |guest| two(guest, [b"b", b"c"]), |_| Ok(()));
        let size = Size { entries: 3, bytes: 6 };
        let quota = Size { entries: 2, bytes: 64 << 20 };
        assert_eq!(ended, Err(InvokeErrorKind::KeyValue(kv::Error::Full { namespace: "f".into(), size, quota })));
        assert_eq!(texts(run(&f, |guest| list_all(guest, b"", 100))), ["b", "c"]);
    });
}

#[test]
fn ranges_outside_the_memory_are_told_by_a_code_and_change_nothing() {
    stores(|store| {
        let f = plain(&store);
        write(&store, "f", b"k", b"value");
        run(&f, |guest| {
            guest.write(KEY_AT, b"k")?;
            let last = MEMORY - 1;
            for wild in [MEMORY, last, u32::MAX, u32::MAX - 1, 1 << 31] {
                for (name, args) in [
                    ("get", &[wild, 2, OUT_AT, 100][..]),
                    ("get", &[KEY_AT, 1, wild, 100]),
                    ("get", &[KEY_AT, 1, wild, u32::MAX]),
                    ("set", &[wild, 2, VALUE_AT, 1]),
                    ("set", &[KEY_AT, 1, wild, 2]),
                    ("delete", &[wild, 2]),
                    ("compare_and_set", &[wild, 2, 0, 0, 0, 0]),
                    ("compare_and_set", &[KEY_AT, 1, wild, 2, 0, 0]),
                    ("compare_and_set", &[KEY_AT, 1, 0, u32::MAX, wild, 2]),
                    ("list", &[wild, 2, 0, 0, OUT_AT, 100]),
                    ("list", &[0, 0, wild, 2, OUT_AT, 100]),
                    ("list", &[0, 0, 0, 0, wild, 100]),
                    ("list", &[0, 0, 0, 0, wild, u32::MAX]),
                ] {
                    assert_eq!(call(guest, name, args)?, FAULT, "{name} {args:?}");
                }
            }
            // Lengths beyond all limits are refused before the store looks at their bytes.
            for len in [u32::MAX, u32::MAX - 1, 1 << 31, MEMORY] {
                assert_eq!(call(guest, "get", &[0, len, 0, 0])?, KEY);
                assert_eq!(call(guest, "delete", &[0, len])?, KEY);
                assert_eq!(call(guest, "set", &[0, len, 0, 1])?, KEY);
                assert_eq!(call(guest, "set", &[KEY_AT, 1, 0, len])?, VALUE);
                assert_eq!(call(guest, "list", &[0, len, 0, 0, OUT_AT, 1])?, KEY);
                assert_eq!(call(guest, "list", &[0, 0, 0, len, OUT_AT, 1])?, KEY);
                let expected = if len == u32::MAX { 0 } else { VALUE };
                assert_eq!(call(guest, "compare_and_set", &[KEY_AT, 1, 0, len, 0, 1])?, expected);
            }
            // A value at the end of memory, and answers up to the end.
            guest.write(last, b"x")?;
            assert_eq!(call(guest, "set", &[KEY_AT, 1, last, 1])?, 0);
            assert_eq!(call(guest, "get", &[KEY_AT, 1, last, 1])?, 1);
            assert_eq!(call(guest, "list", &[0, 0, 0, 0, MEMORY - 5, 5])?, 5);
            // The same place is read and written.
            assert_eq!(call(guest, "list", &[KEY_AT, 1, KEY_AT, 0, KEY_AT, 100])?, 5);
            assert_eq!(guest.read(KEY_AT, 5)?, b"\x01\0\0\0k");
            Ok(())
        });
        assert_eq!(store.get("f", b"k").unwrap(), Some(b"x".to_vec()));
        assert_eq!(store.size("f").unwrap().entries, 1);
    });
}

/// The fuel of a run.
fn fuel(function: &Function, body: impl FnOnce(&mut Guest<'_>) -> Answer<i32>) -> u64 {
    function.session(body).unwrap().report().fuel()
}

#[test]
fn calls_cost_fuel_by_the_bytes_that_they_move_the_same_cold_and_warm() {
    stores(|store| {
        let f = plain(&store);
        let base = fuel(&f, |guest| get(guest, b"k").map(|_| 0));
        assert!((65..100).contains(&base), "{base}");
        let value = |len: usize| vec![7; len];
        assert_eq!(fuel(&f, |guest| get(guest, &[b'k'; 65]).map(|_| 0)), base + 1);
        assert_eq!(fuel(&f, |guest| delete(guest, b"k")), base);
        assert_eq!(fuel(&f, |guest| set(guest, b"k", &value(0))), base);
        assert_eq!(fuel(&f, |guest| set(guest, b"k", &value(64))), base + 1);
        assert_eq!(fuel(&f, |guest| set(guest, b"k", &value(6_401))), base + 101);
        assert_eq!(fuel(&f, |guest| get(guest, b"k").map(|_| 0)), base + 101);
        let measured = fuel(&f, |guest| {
            guest.write(KEY_AT, b"k")?;
            call(guest, "get", &[KEY_AT, 1, OUT_AT, 0])
        });
        assert_eq!(measured, base + 101, "a value that does not fit was fetched all the same");
        // The expected value, the found one and the new one.
        let swapped = fuel(&f, |guest| cas(guest, b"k", Some(&value(64)), Some(&value(128))));
        assert_eq!(swapped, base + 1 + 101 + 2);
        // Five keys of two bytes: 8 for each, a line of 64 bytes read and one written.
        write(&store, "f", b"k", b"");
        for key in [b"l1", b"l2", b"l3", b"l4", b"l5"] {
            write(&store, "f", key, b"");
        }
        let listed = |room| fuel(&f, |guest| list(guest, b"l", b"", room).map(|_| 0));
        assert_eq!(listed(1_000), base + 5 * 8 + 1 + 1);
        assert!(listed(6) < listed(1_000));

        let runtime = Runtime::new();
        let f = deploy(&runtime, "f", Grant::new(store.clone()));
        let round = || {
            let ran = f.session(|guest| {
                set(guest, b"k", &value(500))?;
                list(guest, b"", b"", 50)?.unwrap();
                get(guest, b"k")
            });
            let ran = ran.unwrap();
            (ran.report().start(), ran.report().fuel())
        };
        let (start, cold) = round();
        assert_eq!((start, round()), (StartKind::Cold, (StartKind::Warm, cold)));
        f.trim(Duration::ZERO);
        assert_eq!((round(), round()), ((StartKind::Cold, cold), (StartKind::Warm, cold)));
    });
}

#[test]
fn a_guest_that_only_asks_runs_out_of_fuel() {
    let text = r#"(module (import "dormouse:kv" "get" (func $get (param i32 i32 i32 i32) (result i32)))
        (import "dormouse:kv" "delete" (func $delete (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "get") (loop (drop (call $get (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0))) (br 0)))
        (func (export "wild") (loop (drop (call $get (i32.const -1) (i32.const 9) (i32.const 0) (i32.const 0))) (br 0)))
        (func (export "delete") (param $n i32) (loop
          (i32.store (i32.const 0) (local.tee $n (i32.add (local.get $n) (i32.const 1))))
          (drop (call $delete (i32.const 0) (i32.const 4))) (br 0))))"#;
    let store = Arc::new(kv::Memory::new());
    let f = Runtime::new().deployment("f", &wat(text)).kv(Grant::new(store.clone())).deploy().unwrap();
    for (name, args) in [("get", &[][..]), ("wild", &[]), ("delete", &[Value::I32(0)])] {
        let error = f.invocation(b"").fuel(5_000_000).call(name, args).unwrap_err();
        assert_eq!(*error.kind(), InvokeErrorKind::OutOfFuel { limit: 5_000_000 }, "{name}");
        assert_eq!(error.report().unwrap().host_calls(), 0, "they are none of the host's own");
    }
    assert_eq!(store.size("f").unwrap(), Size::default());
}

#[test]
fn in_initialisation_there_is_no_store() {
    let text = r#"(module (import "dormouse:kv" "get" (func $get (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "_initialize") (drop (call $get (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0)))))"#;
    let grant = Grant::new(Arc::new(kv::Memory::new()));
    let error = Runtime::new().deployment("f", &wat(text)).kv(grant).deploy().unwrap_err();
    let DeployError::Initialise { step: "_initialize", cause } = &error else { panic!("{error}") };
    assert!(matches!(**cause, InvokeErrorKind::Contract { .. }), "{error}");
    assert!(error.to_string().contains("the key-value store during initialisation"), "{error}");
}

#[test]
fn without_a_grant_there_is_no_store_and_a_grant_that_makes_no_sense_is_refused() {
    let runtime = Runtime::new();
    let module = wat(r#"(module (import "dormouse:kv" "get" (func (param i32 i32 i32 i32) (result i32))))"#);
    let error = runtime.deploy("f", &module).unwrap_err();
    assert!(matches!(&error, DeployError::UnknownImports { imports } if imports.len() == 1), "{error}");
    assert!(error.to_string().contains("`Deployment::kv`"), "{error}");

    let store: Arc<dyn KeyValue> = Arc::new(kv::Memory::new());
    let grant = || Grant::new(store.clone());
    let unknown =
        wat(r#"(module (import "dormouse:kv" "put" (func)) (import "dormouse:kv" "get" (func (param i32))))"#);
    let error = runtime.deployment("f", &unknown).kv(grant()).deploy().unwrap_err().to_string();
    assert!(
        error.contains("dormouse:kv.put") && error.contains("provides func (i32, i32, i32, i32) -> i32"),
        "{error}"
    );

    let limits = |change: fn(&mut kv::Limits)| {
        let mut limits = kv::Limits::default();
        change(&mut limits);
        grant().limits(limits)
    };
    for wrong in [
        grant().namespace(""),
        grant().namespace("a/b"),
        grant().namespace(&"n".repeat(65)),
        limits(|limits| limits.key = 0),
        limits(|limits| limits.key = (64 << 10) + 1),
        limits(|limits| limits.value = 1 << 31),
        limits(|limits| limits.list = 0),
    ] {
        let error = runtime.deployment("f", &module).kv(wrong).deploy().unwrap_err();
        assert!(matches!(error, DeployError::InvalidOption { option: "kv", .. }), "{error}");
    }
    let widest = |limits: &mut kv::Limits| (limits.key, limits.value) = (64 << 10, i32::MAX as u32);
    let version = |grant| runtime.deployment("f", &module).kv(grant).deploy().unwrap().version();
    let versions = [grant(), grant().namespace("g"), limits(widest)].map(version);
    assert!(versions[0] != versions[1] && versions[0] != versions[2], "they are part of the version");
    assert_eq!(versions[0], version(grant()));
}

/// A store that fails in its n-th call, or panics.
struct Failing {
    store: kv::Memory,
    left: AtomicU32,
    panics: bool,
}

impl Failing {
    fn step(&self) -> Result<(), HostError> {
        if self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Ok(());
        }
        assert!(!self.panics, "the cable is cut");
        Err("the cable is\ncut".into())
    }
}

impl KeyValue for Failing {
    fn get(&self, namespace: &str, key: &[u8]) -> Result<Option<Vec<u8>>, HostError> {
        self.step().and_then(|()| self.store.get(namespace, key))
    }
    fn list(&self, namespace: &str, prefix: &[u8], after: &[u8], max: usize) -> Result<Vec<Vec<u8>>, HostError> {
        self.step().and_then(|()| self.store.list(namespace, prefix, after, max))
    }
    fn size(&self, namespace: &str) -> Result<Size, HostError> {
        self.step().and_then(|()| self.store.size(namespace))
    }
    fn commit(&self, namespace: &str, changes: &[Change<'_>], quota: Size) -> Result<(), CommitError> {
        self.step().map_err(CommitError::Store)?;
        self.store.commit(namespace, changes, quota)
    }
}

#[test]
fn a_store_that_fails_or_panics_in_any_call_ends_that_invocation_and_nothing_is_written() {
    for panics in [false, true] {
        let failing = Arc::new(Failing { store: kv::Memory::new(), left: AtomicU32::new(0), panics });
        let f = deploy(&Runtime::new(), "f", Grant::new(failing.clone()));
        let everything = |guest: &mut Guest<'_>| {
            get(guest, b"a")?;
            set(guest, b"a", b"1")?;
            list(guest, b"", b"", 100)?.unwrap();
            cas(guest, b"b", None, Some(b"2"))?;
            delete(guest, b"c")
        };
        let mut left = 0;
        loop {
            failing.left.store(left, Relaxed);
            let Err(error) = f.session(everything) else { break };
            let kind = error.kind();
            match (panics, kind) {
                (_, InvokeErrorKind::KeyValue(kv::Error::Store { .. })) | (true, InvokeErrorKind::HostPanic { .. }) => {
                    assert!(kind.to_string().contains("the cable is"), "{kind}");
                    assert!(!kind.to_string().contains('\n'), "{kind}");
                }
                _ => panic!("in call {left}: {kind}"),
            }
            assert_eq!(failing.store.size("f").unwrap(), Size::default());
            left += 1;
        }
        // get; len and size; list; get and size; len; commit.
        assert_eq!(left, 8);
        assert_eq!(failing.store.size("f").unwrap(), Size { entries: 2, bytes: 4 });
    }
}

#[test]
fn a_list_pays_for_what_it_looks_at_whether_or_not_it_fits() {
    stores(|store| {
        let f = deploy(&Runtime::new(), "f", Grant::new(store));
        let fuel = |lists: bool| {
            let ran = f.session(|guest| {
                for key in 0..100u8 {
                    delete(guest, &[b'a', key])?;
                }
                set(guest, b"z", b"x")?;
                if lists {
                    assert_eq!(list(guest, b"", b"", 0)?, Err(ROOM));
                }
                Ok(())
            });
            ran.unwrap().report().fuel()
        };
        let (without, with) = (fuel(false), fuel(true));
        assert!(with - without > 8 * 100, "{without} {with}");
    });
}
