//! The key-value store: each call against every store; staging, commits and conflicts.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use dormouse::{
    Cancel, Context, DeployError, Function, Guest, HostError, InvokeErrorKind, Limits, Runtime, Start, Value,
    kv::{self, Change, CommitError, Expected, Grant, KeyValue, Size},
};

use crate::{
    pool::TestClock,
    support::{Random, wat},
};

pub(crate) const NOT_FOUND: i32 = -1;
pub(crate) const KEY: i32 = -2;
pub(crate) const VALUE: i32 = -3;
pub(crate) const FAULT: i32 = -4;
pub(crate) const FULL: i32 = -5;
pub(crate) const STAGED: i32 = -6;
pub(crate) const ROOM: i32 = -7;

/// Where the guest's memory holds what: 2 MiB each.
pub(crate) const KEY_AT: u32 = 0;
pub(crate) const EXPECTED_AT: u32 = 2 << 20;
pub(crate) const VALUE_AT: u32 = 4 << 20;
pub(crate) const OUT_AT: u32 = 6 << 20;
pub(crate) const MEMORY: u32 = 8 << 20;

/// Exports every call as it imports it, and a handler that sets `a` to its input and then does what the first letter of it says.
pub(crate) const GUEST: &str = r#"(module
    (import "dormouse:kv" "get" (func $get (param i32 i32 i32 i32) (result i32)))
    (import "dormouse:kv" "set" (func $set (param i32 i32 i32 i32) (result i32)))
    (import "dormouse:kv" "delete" (func $delete (param i32 i32) (result i32)))
    (import "dormouse:kv" "compare_and_set" (func $cas (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "dormouse:kv" "list" (func $list (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "call" (func $call))
    (memory (export "memory") 128) (data (i32.const 1000) "a")
    (export "get" (func $get)) (export "set" (func $set)) (export "delete" (func $delete))
    (export "compare_and_set" (func $cas)) (export "list" (func $list))
    (func (export "trap") unreachable)
    (func (export "alloc") (param i32) (result i32) (i32.const 2000))
    (func (export "handle") (param $at i32) (param $len i32) (result i64) (local $what i32)
      (drop (call $set (i32.const 1000) (i32.const 1) (local.get $at) (local.get $len)))
      (local.set $what (i32.load8_u (local.get $at)))
      (if (i32.eq (local.get $what) (i32.const 116)) (then unreachable))                   ;; t: trap
      (if (i32.eq (local.get $what) (i32.const 108)) (then (loop (br 0))))                  ;; l: loop
      (if (i32.eq (local.get $what) (i32.const 104)) (then (call $call)))                   ;; h: host
      (if (i32.eq (local.get $what) (i32.const 111)) (then (return (i64.const 7000000))))   ;; o: output
      (if (i32.eq (local.get $what) (i32.const 119)) (then (return (i64.const -68719476728))))        ;; w: wild
      (i64.const 0)))"#;

/// The stores that the same tests hold for.
pub(crate) fn stores(test: impl Fn(Arc<dyn KeyValue>)) {
    test(Arc::new(kv::Memory::new()));
    #[cfg(feature = "durable")]
    {
        let folder = crate::support::Folder::new();
        test(Arc::new(kv::File::open(folder.file("state")).unwrap()));
    }
}

pub(crate) fn deploy(runtime: &Runtime, name: &str, grant: Grant) -> Function {
    let limits = Limits { fuel: 20_000_000, ..Limits::default() };
    let call = |_: &mut Context<'_>| -> Result<(), HostError> { Err("as asked".into()) };
    runtime.deployment(name, &wat(GUEST)).limits(limits).kv(grant).host("env", "call", call).deploy().unwrap()
}

/// A function `f` with these limits.
pub(crate) fn function(store: &Arc<dyn KeyValue>, limits: kv::Limits) -> Function {
    deploy(&Runtime::new(), "f", Grant::new(store.clone()).limits(limits))
}

pub(crate) fn plain(store: &Arc<dyn KeyValue>) -> Function {
    function(store, kv::Limits::default())
}

pub(crate) type Answer<T> = Result<T, InvokeErrorKind>;

pub(crate) fn call(guest: &mut Guest<'_>, name: &str, args: &[u32]) -> Answer<i32> {
    let args: Vec<Value> = args.iter().map(|arg| Value::I32(*arg as i32)).collect();
    Ok(guest.call(name, &args)?[0].as_i32())
}

/// Writes bytes to be an argument; what has no bytes has the length -1.
pub(crate) fn put(guest: &mut Guest<'_>, at: u32, bytes: Option<&[u8]>) -> Answer<[u32; 2]> {
    let Some(bytes) = bytes else { return Ok([at, u32::MAX]) };
    guest.write(at, bytes)?;
    Ok([at, bytes.len() as u32])
}

pub(crate) fn get(guest: &mut Guest<'_>, key: &[u8]) -> Answer<Option<Vec<u8>>> {
    let [at, len] = put(guest, KEY_AT, Some(key))?;
    match call(guest, "get", &[at, len, OUT_AT, 2 << 20])? {
        NOT_FOUND => Ok(None),
        found => guest.read(OUT_AT, usize::try_from(found).unwrap()).map(Some),
    }
}

pub(crate) fn set(guest: &mut Guest<'_>, key: &[u8], value: &[u8]) -> Answer<i32> {
    let ([at, len], [value, value_len]) = (put(guest, KEY_AT, Some(key))?, put(guest, VALUE_AT, Some(value))?);
    call(guest, "set", &[at, len, value, value_len])
}

pub(crate) fn delete(guest: &mut Guest<'_>, key: &[u8]) -> Answer<i32> {
    let [at, len] = put(guest, KEY_AT, Some(key))?;
    call(guest, "delete", &[at, len])
}

pub(crate) fn cas(guest: &mut Guest<'_>, key: &[u8], expected: Option<&[u8]>, value: Option<&[u8]>) -> Answer<i32> {
    let [at, len] = put(guest, KEY_AT, Some(key))?;
    let ([expected, expected_len], [value, value_len]) =
        (put(guest, EXPECTED_AT, expected)?, put(guest, VALUE_AT, value)?);
    call(guest, "compare_and_set", &[at, len, expected, expected_len, value, value_len])
}

pub(crate) fn list(guest: &mut Guest<'_>, prefix: &[u8], after: &[u8], room: u32) -> Answer<Result<Vec<Vec<u8>>, i32>> {
    let ([at, len], [after, after_len]) = (put(guest, KEY_AT, Some(prefix))?, put(guest, VALUE_AT, Some(after))?);
    let written = call(guest, "list", &[at, len, after, after_len, OUT_AT, room])?;
    let Ok(written) = usize::try_from(written) else { return Ok(Err(written)) };
    let bytes = guest.read(OUT_AT, written)?;
    let (mut rest, mut keys) = (&bytes[..], Vec::new());
    while let Some((len, tail)) = rest.split_first_chunk::<4>() {
        let (key, tail) = tail.split_at(u32::from_le_bytes(*len) as usize);
        keys.push(key.to_vec());
        rest = tail;
    }
    assert!(rest.is_empty());
    Ok(Ok(keys))
}

/// All keys with a prefix, `room` bytes at a time.
pub(crate) fn list_all(guest: &mut Guest<'_>, prefix: &[u8], room: u32) -> Answer<Vec<Vec<u8>>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    loop {
        let after = all.last().cloned().unwrap_or_default();
        let page = list(guest, prefix, &after, room)?.unwrap();
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// What a run answers on a function.
pub(crate) fn run<T>(function: &Function, body: impl FnOnce(&mut Guest<'_>) -> Answer<T>) -> T {
    function.session(body).unwrap().into_value()
}

pub(crate) fn write(store: &Arc<dyn KeyValue>, namespace: &str, key: &[u8], value: &[u8]) {
    store.commit(namespace, &[Change::set(key, value)], Size::MAX).unwrap();
}

pub(crate) fn texts(keys: Vec<Vec<u8>>) -> Vec<String> {
    keys.into_iter().map(|key| String::from_utf8(key).unwrap()).collect()
}

#[test]
fn values_are_there_in_later_invocations_and_not_after_they_were_deleted() {
    stores(|store| {
        let f = plain(&store);
        assert_eq!(run(&f, |guest| get(guest, b"a")), None);
        assert_eq!(run(&f, |guest| set(guest, b"a", b"one")), 0);
        assert_eq!(run(&f, |guest| set(guest, b"empty", b"")), 0);
        assert_eq!(run(&f, |guest| get(guest, b"a")), Some(b"one".to_vec()));
        assert_eq!(run(&f, |guest| get(guest, b"empty")), Some(Vec::new()));
        assert_eq!(run(&f, |guest| set(guest, b"a", &[0, 255, 7])), 0);
        assert_eq!(run(&f, |guest| get(guest, b"a")), Some(vec![0, 255, 7]));
        assert_eq!(store.size("f").unwrap(), Size { entries: 2, bytes: 9 });
        assert_eq!(run(&f, |guest| delete(guest, b"a")), 1);
        assert_eq!(run(&f, |guest| delete(guest, b"a")), 0);
        assert_eq!(run(&f, |guest| get(guest, b"a")), None);
        assert_eq!(run(&f, |guest| delete(guest, b"empty")), 1);
        assert_eq!(store.size("f").unwrap(), Size::default());
    });
}

#[test]
fn a_value_that_does_not_fit_is_measured_and_not_written() {
    stores(|store| {
        let f = plain(&store);
        write(&store, "f", b"k", b"12345");
        run(&f, |guest| {
            guest.write(KEY_AT, b"k")?;
            guest.write(OUT_AT, b".......")?;
            for room in [0, 4] {
                assert_eq!(call(guest, "get", &[KEY_AT, 1, OUT_AT, room])?, 5);
                assert_eq!(guest.read(OUT_AT, 7)?, b".......");
            }
            assert_eq!(call(guest, "get", &[KEY_AT, 1, OUT_AT, 5])?, 5);
            assert_eq!(guest.read(OUT_AT, 7)?, b"12345..");
            Ok(())
        });
    });
}

#[test]
fn compare_and_set_changes_what_is_as_expected_and_nothing_else() {
    stores(|store| {
        let f = plain(&store);
        let swap = |expected: Option<&str>, value: Option<&str>| {
            run(&f, |guest| cas(guest, b"k", expected.map(str::as_bytes), value.map(str::as_bytes)))
        };
        let value = || store.get("f", b"k").unwrap();
        assert_eq!((swap(Some(""), Some("x")), value()), (0, None), "an empty value is not the same as none");
        assert_eq!((swap(None, None), value()), (1, None));
        assert_eq!((swap(None, Some("one")), value()), (1, Some(b"one".to_vec())));
        assert_eq!((swap(None, Some("two")), value()), (0, Some(b"one".to_vec())));
        assert_eq!((swap(Some("on"), Some("two")), value()), (0, Some(b"one".to_vec())));
        assert_eq!((swap(Some("one"), Some("two")), value()), (1, Some(b"two".to_vec())));
        assert_eq!((swap(Some("one"), None), value()), (0, Some(b"two".to_vec())));
        assert_eq!((swap(Some("two"), None), value()), (1, None));
    });
}

#[test]
fn keys_are_listed_by_prefix_in_order_and_in_pages() {
    stores(|store| {
        let f = plain(&store);
        for key in ["b", "a/2", "a/1", "a", "a/10", "a0", "\u{0}", "z/ö"] {
            write(&store, "f", key.as_bytes(), b"v");
        }
        write(&store, "e", b"a/0", b"another's");
        write(&store, "g", b"a/3", b"another's");
        for room in [1_000, 20, 8] {
            assert_eq!(run(&f, |guest| list_all(guest, b"a/", room)), [&b"a/1"[..], b"a/10", b"a/2"], "{room}");
            let all = run(&f, |guest| list_all(guest, b"", room));
            assert_eq!(texts(all), ["\u{0}", "a", "a/1", "a/10", "a/2", "a0", "b", "z/ö"]);
        }
        let from = |prefix: &str, after: &str, room| {
            run(&f, |guest| list(guest, prefix.as_bytes(), after.as_bytes(), room)).map(texts)
        };
        assert_eq!(from("a/", "a/1", 1_000).unwrap(), ["a/10", "a/2"]);
        assert_eq!(from("a/", "a/1x", 1_000).unwrap(), ["a/2"], "what it begins behind need not be there");
        assert_eq!(from("a/", "A", 1_000).unwrap().len(), 3);
        assert!(from("a/", "b", 1_000).unwrap().is_empty());
        assert!(from("nothing", "", 0).unwrap().is_empty());
        assert_eq!(from("a/", "", 7).unwrap(), ["a/1"]);
        assert_eq!(from("a/", "", 6), Err(ROOM));
        assert_eq!(from("a/", "a/1", 7), Err(ROOM), "the next key has one byte more");
    });
}

#[test]
fn an_invocation_sees_what_it_has_written_and_nobody_else_does() {
    stores(|store| {
        let f = plain(&store);
        for (key, value) in [("a/1", "one"), ("a/2", "two"), ("a/3", "three")] {
            write(&store, "f", key.as_bytes(), value.as_bytes());
        }
        run(&f, |guest| {
            assert_eq!(set(guest, b"a/0", b"zero")?, 0);
            assert_eq!(delete(guest, b"a/1")?, 1);
            assert_eq!(set(guest, b"a/2", b"TWO")?, 0);
            assert_eq!(set(guest, b"a/4", b"four")?, 0);
            assert_eq!((get(guest, b"a/0")?, get(guest, b"a/1")?), (Some(b"zero".to_vec()), None));
            assert_eq!(get(guest, b"a/2")?, Some(b"TWO".to_vec()));
            assert_eq!(delete(guest, b"a/1")?, 0, "it is gone for this invocation");
            assert_eq!(cas(guest, b"a/4", Some(b"four"), Some(b"FOUR"))?, 1);
            assert_eq!(cas(guest, b"a/4", Some(b"four"), Some(b"five"))?, 0);
            assert_eq!(cas(guest, b"a/1", None, Some(b"ONE"))?, 1);
            assert_eq!(delete(guest, b"a/3")?, 1);
            for room in [7, 8, 15, 1_000] {
                assert_eq!(texts(list_all(guest, b"a/", room)?), ["a/0", "a/1", "a/2", "a/4"], "{room}");
            }
            // Nobody else, not even the same function within.
            assert_eq!(texts(run(&f, |other| list_all(other, b"", 1_000))), ["a/1", "a/2", "a/3"]);
            assert_eq!(store.get("f", b"a/2").unwrap(), Some(b"two".to_vec()));
            Ok(())
        });
        let all = run(&f, |guest| list_all(guest, b"", 1_000));
        assert_eq!(texts(all), ["a/0", "a/1", "a/2", "a/4"]);
        assert_eq!(store.get("f", b"a/4").unwrap(), Some(b"FOUR".to_vec()));
        assert_eq!(store.get("f", b"a/1").unwrap(), Some(b"ONE".to_vec()));
        assert_eq!(store.size("f").unwrap(), Size { entries: 4, bytes: 12 + 4 + 3 + 3 + 4 });
    });
}

#[test]
fn a_failed_invocation_leaves_nothing_and_the_next_on_its_instance_finds_nothing_staged() {
    stores(|store| {
        let runtime = Runtime::builder().clock(TestClock::default()).build();
        let f = deploy(&runtime, "f", Grant::new(store.clone()));
        write(&store, "f", b"a", b"before");
        let untouched = |what: &str| {
            assert_eq!(store.get("f", b"a").unwrap(), Some(b"before".to_vec()), "after {what}");
            assert_eq!(run(&f, |guest| get(guest, b"a")), Some(b"before".to_vec()), "after {what}");
        };
        for (input, outcome) in [
            ("trap", "trap"),
            ("loop", "out_of_fuel"),
            ("host", "host_function"),
            ("output", "output_too_large"),
            ("wild", "out_of_bounds"),
        ] {
            let error = f.invoke(input.as_bytes()).unwrap_err();
            assert_eq!(error.kind().name(), outcome, "{error}");
            untouched(input);
        }
        let error = f.invocation(b"x").deadline(Duration::ZERO).run().unwrap_err();
        assert!(matches!(error.kind(), InvokeErrorKind::DeadlineExceeded { .. }), "{error}");
        untouched("the deadline");
        let cancel = Cancel::new();
        let cancelled = f.invocation(b"").cancel(&cancel).session(|guest| {
            set(guest, b"a", b"after")?;
            cancel.cancel();
            set(guest, b"b", b"after").map(drop)
        });
        assert_eq!(*cancelled.unwrap_err().kind(), InvokeErrorKind::Cancelled);
        untouched("cancelling");
        let refused: Result<dormouse::Returned<()>, _> = f.session(|guest| {
            assert_eq!((set(guest, b"a", b"after")?, cas(guest, b"c", None, Some(b"after"))?), (0, 1));
            Err(InvokeErrorKind::Cancelled)
        });
        refused.unwrap_err();
        untouched("the closure's own error");
        assert_eq!(f.invoke(b"good").unwrap().report().start(), Start::Warm);
        assert_eq!(store.get("f", b"a").unwrap(), Some(b"good".to_vec()));
        assert_eq!(store.size("f").unwrap(), Size { entries: 1, bytes: 5 });
    });
}

#[test]
fn a_session_that_ends_well_commits_what_a_call_that_trapped_had_staged() {
    let store: Arc<dyn KeyValue> = Arc::new(kv::Memory::new());
    run(&plain(&store), |guest| {
        set(guest, b"a", b"1")?;
        assert!(guest.call("trap", &[]).is_err());
        set(guest, b"b", b"2")
    });
    assert_eq!(store.size("f").unwrap().entries, 2);
}

#[cfg(feature = "wasi")]
#[test]
fn a_program_commits_with_exit_code_0_and_with_no_other() {
    let text = r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
        (import "dormouse:kv" "set" (func $set (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 8) "\40\00\00\00\01\00\00\00") (data (i32.const 32) "code")
        (func (export "_start")
          (drop (call $read (i32.const 0) (i32.const 8) (i32.const 1) (i32.const 24)))
          (drop (call $set (i32.const 32) (i32.const 4) (i32.const 64) (i32.const 1)))
          (call $exit (i32.load8_u (i32.const 64)))))"#;
    stores(|store| {
        let runtime = Runtime::new();
        let program = runtime.deployment("program", &wat(text)).kv(Grant::new(store.clone())).deploy().unwrap();
        assert_eq!(program.deploy_report().unwrap().contract(), "command");
        assert!(matches!(program.invoke(&[3]).unwrap_err().kind(), InvokeErrorKind::Exit { code: 3, .. }));
        assert_eq!(store.get("program", b"code").unwrap(), None);
        program.invoke(&[0]).unwrap();
        assert_eq!(store.get("program", b"code").unwrap(), Some(vec![0]));
    });
    let imports_kv_alone = wat(r#"(module (import "dormouse:kv" "delete" (func (param i32 i32) (result i32)))
        (memory (export "memory") 1) (func (export "_start")))"#);
    let store = Arc::new(kv::Memory::new());
    let plain = Runtime::new().deployment("plain", &imports_kv_alone).kv(Grant::new(store)).deploy().unwrap();
    assert_eq!(plain.deploy_report().unwrap().contract(), "plain", "it is no WASI program");
}

/// A run on `f` that does one thing, in which another comes between, and then another.
pub(crate) fn between(
    f: &Function,
    first: impl FnOnce(&mut Guest<'_>) -> Answer<()>,
    other: impl FnOnce(&mut Guest<'_>) -> Answer<()>,
    second: impl FnOnce(&mut Guest<'_>) -> Answer<()>,
) -> Result<(), InvokeErrorKind> {
    let ran = f.session(|guest| {
        first(guest)?;
        f.session(other).map_err(|error| error.into_kind())?;
        second(guest)
    });
    ran.map(drop).map_err(|error| {
        assert_eq!(error.report().unwrap().outcome(), error.kind().name());
        error.into_kind()
    })
}

#[test]
fn what_a_compare_and_set_has_compared_holds_at_the_commit_or_nothing_is_written() {
    stores(|store| {
        let f = plain(&store);
        write(&store, "f", b"n", b"1");
        let increment = |guest: &mut Guest<'_>| {
            assert_eq!(set(guest, b"beside", b"x")?, 0);
            assert_eq!(cas(guest, b"n", Some(b"1"), Some(b"2"))?, 1);
            Ok(())
        };
        let conflict = || InvokeErrorKind::KeyValue(kv::Error::Conflict { namespace: "f".into(), key: "n".into() });
        // Changed, deleted, or changed by the same step: the update of the other one is not lost.
        for other in [Some(&b"7"[..]), None, Some(b"2")] {
            let ended = between(&f, increment, |guest| cas(guest, b"n", Some(b"1"), other).map(drop), |_| Ok(()));
            assert_eq!(ended, Err(conflict()));
            assert_eq!(store.get("f", b"n").unwrap().as_deref(), other);
            assert_eq!(store.get("f", b"beside").unwrap(), None, "all or nothing");
            write(&store, "f", b"n", b"1");
        }
        // Back at what it was: whatever was done in between, it might have been done before.
        let there_and_back = |guest: &mut Guest<'_>| {
            set(guest, b"n", b"9")?;
            set(guest, b"n", b"1").map(drop)
        };
        assert_eq!(between(&f, increment, there_and_back, |_| Ok(())), Ok(()));
        assert_eq!(store.get("f", b"n").unwrap(), Some(b"2".to_vec()));
        // Invoked again it succeeds.
        write(&store, "f", b"n", b"1");
        run(&f, increment);
        assert_eq!(store.get("f", b"n").unwrap(), Some(b"2".to_vec()));
        // A key that was not there must still not be.
        let create = |guest: &mut Guest<'_>| cas(guest, b"n", None, Some(b"mine")).map(drop);
        store.commit("f", &[Change::delete(b"n")], Size::MAX).unwrap();
        assert_eq!(between(&f, create, create, |_| Ok(())), Err(conflict()));
        let text = conflict().to_string();
        assert!(text.starts_with("the key \"n\" of the namespace f was changed by another invocation"), "{text}");
    });
}

#[test]
fn what_was_compared_stays_compared_when_the_key_is_written_again() {
    stores(|store| {
        let f = plain(&store);
        write(&store, "f", b"n", b"1");
        let other = |guest: &mut Guest<'_>| set(guest, b"n", b"other").map(drop);
        let compare = |guest: &mut Guest<'_>| {
            assert_eq!(cas(guest, b"n", Some(b"1"), Some(b"2"))?, 1);
            Ok(())
        };
        type Step = fn(&mut Guest<'_>) -> Answer<()>;
        let steps: [Step; 3] = [
            |guest| set(guest, b"n", b"3").map(drop),
            |guest| delete(guest, b"n").map(drop),
            |guest| cas(guest, b"n", Some(b"2"), Some(b"3")).map(drop),
        ];
        for step in steps {
            let ended = between(&f, compare, other, step);
            assert!(matches!(ended, Err(InvokeErrorKind::KeyValue(kv::Error::Conflict { .. }))), "{ended:?}");
            write(&store, "f", b"n", b"1");
        }
        // With a write of its own it compares that, which says nothing about what is committed.
        let write_first = |guest: &mut Guest<'_>| {
            set(guest, b"n", b"2")?;
            assert_eq!(cas(guest, b"n", Some(b"2"), Some(b"3"))?, 1);
            Ok(())
        };
        assert_eq!(between(&f, write_first, other, |_| Ok(())), Ok(()));
        // A comparison that did not hold depends on nothing.
        let miss = |guest: &mut Guest<'_>| {
            assert_eq!((cas(guest, b"n", Some(b"no"), Some(b"4"))?, set(guest, b"m", b"5")?), (0, 0));
            Ok(())
        };
        assert_eq!(between(&f, miss, other, |_| Ok(())), Ok(()));
        assert_eq!(store.get("f", b"n").unwrap(), Some(b"other".to_vec()));
    });
}

#[test]
fn of_unconditional_writes_the_later_commit_holds_and_reads_see_what_is_committed() {
    stores(|store| {
        let f = plain(&store);
        write(&store, "f", b"n", b"1");
        let ended = between(
            &f,
            |guest| {
                assert_eq!(get(guest, b"n")?, Some(b"1".to_vec()));
                set(guest, b"m", b"outer").map(drop)
            },
            |guest| {
                assert_eq!(get(guest, b"m")?, None);
                set(guest, b"n", b"2")?;
                set(guest, b"m", b"inner").map(drop)
            },
            |guest| {
                assert_eq!(get(guest, b"n")?, Some(b"2".to_vec()), "as committed in between");
                assert_eq!(get(guest, b"m")?, Some(b"outer".to_vec()));
                Ok(())
            },
        );
        assert_eq!(ended, Ok(()));
        assert_eq!(store.get("f", b"m").unwrap(), Some(b"outer".to_vec()));
    });
}

#[test]
fn a_nested_invocation_commits_for_itself_whatever_becomes_of_the_outer() {
    stores(|store| {
        let f = plain(&store);
        let ended = between(
            &f,
            |guest| set(guest, b"outer", b"1").map(drop),
            |guest| set(guest, b"inner", b"1").map(drop),
            |guest| guest.call("trap", &[]).map(drop),
        );
        assert!(matches!(ended, Err(InvokeErrorKind::Trap(_))));
        assert_eq!(texts(run(&f, |guest| list_all(guest, b"", 100))), ["inner"]);
    });
}

#[test]
fn threads_that_compare_and_set_lose_no_update() {
    const EACH: u32 = 50;
    stores(|store| {
        let f = plain(&store);
        let conflicts = AtomicU32::new(0);
        let increment = |guest: &mut Guest<'_>| {
            let found = get(guest, b"n")?;
            let next = found.as_deref().map_or(0, |bytes| u32::from_le_bytes(bytes.try_into().unwrap())) + 1;
            // Not set if somebody has committed since the reading.
            Ok(cas(guest, b"n", found.as_deref(), Some(&next.to_le_bytes()))? == 1)
        };
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut done = 0;
                    while done < EACH {
                        match f.session(increment) {
                            Ok(set) => done += u32::from(*set.value()),
                            Err(error) => {
                                let kind = error.into_kind();
                                assert!(
                                    matches!(kind, InvokeErrorKind::KeyValue(kv::Error::Conflict { .. })),
                                    "{kind}"
                                );
                                conflicts.fetch_add(1, Relaxed);
                            }
                        }
                    }
                });
            }
        });
        assert_eq!(store.get("f", b"n").unwrap(), Some((4 * EACH).to_le_bytes().to_vec()), "{conflicts:?} conflicts");
    });
}

#[test]
fn functions_see_each_others_keys_only_where_the_host_grants_the_same_namespace() {
    stores(|store| {
        let runtime = Runtime::new();
        let [a, b] = ["a", "b"].map(|name| deploy(&runtime, name, Grant::new(store.clone())));
        let [c, d] = ["c", "d"].map(|name| deploy(&runtime, name, Grant::new(store.clone()).namespace("shared")));
        for (function, value) in [(&a, b"a"), (&b, b"b"), (&c, b"c")] {
            run(function, |guest| set(guest, b"who", value));
        }
        let who = |function: &Function| run(function, |guest| get(guest, b"who")).unwrap();
        assert_eq!([who(&a), who(&b), who(&c), who(&d)], [b"a", b"b", b"c", b"c"]);
        assert_eq!(run(&d, |guest| delete(guest, b"who")), 1);
        assert_eq!((who(&a), run(&c, |guest| get(guest, b"who"))), (b"a".to_vec(), None));
        // Another store is another world.
        let other = deploy(&runtime, "a", Grant::new(Arc::new(kv::Memory::new())));
        assert_eq!(run(&other, |guest| get(guest, b"who")), None);
    });
}

#[test]
fn a_store_keeps_the_rules_of_a_commit_for_hosts_too() {
    stores(|store| {
        let change = |expected, value| Change { key: b"k", expected, value };
        let both = |first| [Change::set(b"j", b"x"), first];
        let refused = [
            (both(change(Expected::Value(b"x"), None)), Size::MAX),
            (both(Change::set(b"k", b"v")), Size { entries: 1, bytes: 100 }),
            (both(Change::set(b"k", b"v")), Size { entries: 2, bytes: 3 }),
        ];
        for (changes, quota) in refused {
            store.commit("n", &changes, quota).unwrap_err();
            assert_eq!(store.size("n").unwrap(), Size::default());
            assert!(store.list("n", b"", b"", 10).unwrap().is_empty());
        }
        store.commit("n", &both(change(Expected::Absent, Some(b"v"))), Size { entries: 2, bytes: 4 }).unwrap();
        assert!(matches!(
            store.commit("n", &[change(Expected::Absent, Some(b"w"))], Size::MAX),
            Err(CommitError::Conflict { key }) if *key == *b"k"
        ));
        assert_eq!(store.len("n", b"k").unwrap(), Some(1));
        assert_eq!(store.list("n", b"", b"", 1).unwrap(), [b"j"]);
        store.commit("n", &[], Size::default()).unwrap();
        assert_eq!(store.size("n").unwrap(), Size { entries: 2, bytes: 4 });
    });
}

#[test]
fn random_calls_agree_with_a_map() {
    stores(|store| {
        let f = plain(&store);
        let mut random = Random::new(11);
        let mut committed: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        for round in 0..60 {
            let fails = random.below(4) == 0;
            let mut map = committed.clone();
            let ran = f.session(|guest| {
                for _ in 0..random.below(30) {
                    let len = 1 + random.below(3) as usize;
                    let key: Vec<u8> = (0..len).map(|_| b'a' + random.below(3) as u8).collect();
                    let len = random.below(40) as usize;
                    let value = random.bytes(len);
                    match random.below(6) {
                        0 => assert_eq!(get(guest, &key)?, map.get(&key).cloned()),
                        1 => {
                            assert_eq!(set(guest, &key, &value)?, 0);
                            map.insert(key, value);
                        }
                        2 => assert_eq!(delete(guest, &key)?, i32::from(map.remove(&key).is_some())),
                        3 => {
                            let expected = if random.below(3) == 0 { None } else { map.get(&key).cloned() };
                            let new = (random.below(3) > 0).then_some(value);
                            let holds = expected == map.get(&key).cloned();
                            assert_eq!(cas(guest, &key, expected.as_deref(), new.as_deref())?, i32::from(holds));
                            match new {
                                _ if !holds => {}
                                Some(new) => drop(map.insert(key, new)),
                                None => drop(map.remove(&key)),
                            }
                        }
                        _ => {
                            let prefix = &key[..random.below(2) as usize];
                            let keys: Vec<_> = map.keys().filter(|key| key.starts_with(prefix)).cloned().collect();
                            let room = 7 + random.below(60) as u32;
                            assert_eq!(list_all(guest, prefix, room)?, keys);
                        }
                    }
                }
                if fails { Err(InvokeErrorKind::Cancelled) } else { Ok(()) }
            });
            assert_eq!(ran.is_err(), fails);
            if !fails {
                committed = map;
            }
            let bytes = committed.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum();
            let size = Size { entries: committed.len() as u64, bytes };
            assert_eq!(store.size("f").unwrap(), size, "round {round}");
            let keys: Vec<_> = committed.keys().cloned().collect();
            assert_eq!(store.list("f", b"", b"", usize::MAX).unwrap(), keys);
        }
    });
}

#[cfg(feature = "events")]
#[test]
fn a_delivery_that_meets_a_conflict_is_made_again_and_succeeds() {
    use dormouse::{Event, Input, Retry, Trigger};
    let text = r#"(module (import "dormouse:kv" "compare_and_set" (func $cas (param i32 i32 i32 i32 i32 i32) (result i32)))
        (import "dormouse:kv" "get" (func $get (param i32 i32 i32 i32) (result i32)))
        (import "env" "pause" (func $pause)) (memory (export "memory") 1) (data (i32.const 0) "n")
        (func (export "alloc") (param i32) (result i32) (i32.const 1024))
        (func (export "handle") (param i32 i32) (result i64) (local $value i32)
          (if (i32.lt_s (call $get (i32.const 0) (i32.const 1) (i32.const 8) (i32.const 4)) (i32.const 0)) (then unreachable))
          (i32.store (i32.const 16) (i32.add (i32.load (i32.const 8)) (i32.const 1)))
          (drop (call $cas (i32.const 0) (i32.const 1) (i32.const 8) (i32.const 4) (i32.const 16) (i32.const 4)))
          (call $pause) (i64.const 0)))"#;
    stores(|store| {
        let runtime = Runtime::builder().clock(TestClock::default()).build();
        write(&store, "counter", b"n", &7u32.to_le_bytes());
        let (runs, inner) = (Arc::new(AtomicU32::new(0)), store.clone());
        let counted = Arc::clone(&runs);
        let pause = move |_: &mut Context<'_>| {
            // Somebody comes between, once.
            if counted.fetch_add(1, Relaxed) == 0 {
                write(&inner, "counter", b"n", &100u32.to_le_bytes());
            }
        };
        runtime
            .deployment("counter", &wat(text))
            .kv(Grant::new(store.clone()))
            .host("env", "pause", pause)
            .deploy()
            .unwrap();
        let trigger = Trigger::on("count").to("counter").input(Input::Data).retry(Retry::fixed(Duration::ZERO));
        runtime.bind("count", trigger).unwrap();
        let event = Event::builder("count").id("1").source("/t").data_text("x").build().unwrap();
        runtime.publish(event).unwrap();
        while runtime.run_pending(usize::MAX) > 0 {}
        assert_eq!((runs.load(Relaxed), runtime.deliveries().succeeded), (2, 1));
        assert_eq!(store.get("counter", b"n").unwrap(), Some(101u32.to_le_bytes().to_vec()));
        let errors: Vec<_> =
            runtime.ledger().functions()[0].errors().map(|(kind, count)| (kind.to_owned(), count)).collect();
        assert_eq!(errors, [("kv_conflict".to_owned(), 1)]);
    });
}

#[cfg(feature = "durable")]
#[test]
fn what_is_committed_to_a_file_is_there_when_it_is_opened_again() {
    use dormouse::StoreProblem;
    let folder = crate::support::Folder::new();
    let path = folder.file("state");
    for visit in 1..=3u8 {
        let store: Arc<dyn KeyValue> = Arc::new(kv::File::open(&path).unwrap());
        let f = plain(&store);
        run(&f, |guest| {
            let before = get(guest, b"visits")?.map_or(0, |value| value[0]);
            assert_eq!(before + 1, visit);
            assert_eq!(cas(guest, b"visits", (before > 0).then_some(&[before]), Some(&[visit]))?, 1);
            set(guest, &[visit], b"x").map(drop)
        });
        let lost = f.session(|guest| set(guest, b"lost", b"x").and_then(|_| guest.call("trap", &[])));
        lost.unwrap_err();
        assert_eq!(store.size("f").unwrap(), Size { entries: 1 + u64::from(visit), bytes: 7 + 2 * u64::from(visit) });
        assert_eq!(kv::File::open(&path).unwrap_err().problem(), StoreProblem::InUse);
    }
    let other = folder.file("other");
    std::fs::write(&other, "nothing of ours".repeat(1_000)).unwrap();
    assert_eq!(kv::File::open(&other).unwrap_err().problem(), StoreProblem::Corrupt);
}
