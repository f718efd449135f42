//! The key-value store: each call with every kind of store, and the rules that a store follows.

use std::{collections::BTreeMap, sync::Arc};

use dormouse::{
    Context, Function, Guest, HostError, InvokeErrorKind, Limits, Runtime, Value,
    kv::{self, Change, CommitError, Expected, Grant, KeyValue, Size},
};

use crate::support::{Random, wat};

pub(crate) const NOT_FOUND: i32 = -1;
pub(crate) const KEY: i32 = -2;
pub(crate) const VALUE: i32 = -3;
pub(crate) const FAULT: i32 = -4;
pub(crate) const FULL: i32 = -5;
pub(crate) const STAGED: i32 = -6;
pub(crate) const ROOM: i32 = -7;

/// The areas of the guest's memory, 2 MiB each.
pub(crate) const KEY_AT: u32 = 0;
pub(crate) const EXPECTED_AT: u32 = 2 << 20;
pub(crate) const VALUE_AT: u32 = 4 << 20;
pub(crate) const OUT_AT: u32 = 6 << 20;
pub(crate) const MEMORY: u32 = 8 << 20;

/// Exports every call as it imports it. Its handler sets `a` to its input, and then does what the
/// input's first letter says.
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

/// The stores that all tests here run on.
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

/// Writes the bytes of an argument. The length -1 stands for no bytes.
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
        // Another store shares nothing.
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

#[cfg(feature = "extism")]
#[test]
fn plug_ins_reach_the_same_store_by_blocks() {
    // The key is always `a`. A code that is not 0 is an error.
    let plug_in = wat(r#"(module
        (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
        (import "extism:host/env" "store_u8" (func $store (param i64 i32)))
        (import "extism:host/env" "load_u8" (func $load (param i64) (result i32)))
        (import "extism:host/env" "length" (func $length (param i64) (result i64)))
        (import "extism:host/env" "output_set" (func $output (param i64 i64)))
        (import "extism:host/user" "kv_get" (func $get (param i64) (result i64)))
        (import "extism:host/user" "kv_set" (func $set (param i64 i64) (result i64)))
        (import "extism:host/user" "kv_delete" (func $delete (param i64) (result i64)))
        (import "extism:host/user" "kv_compare_and_set" (func $cas (param i64 i64 i64) (result i64)))
        (import "extism:host/user" "kv_list" (func $list (param i64 i64) (result i64)))
        (func $byte (param i32) (result i64) (local i64)
          (call $store (local.tee 1 (call $alloc (i64.const 1))) (local.get 0)) (local.get 1))
        (func $a (result i64) (call $byte (i32.const 97)))
        (func $reply (param i64) (call $output (local.get 0) (call $length (local.get 0))))
        (func $expect (param i64 i64) (if (i64.ne (local.get 0) (local.get 1)) (then unreachable)))
        (func (export "count") (local $seen i64)
          (local.set $seen (call $get (call $a)))
          (if (i64.eq (local.get $seen) (i64.const -1))
            (then (call $expect (i64.const 1) (call $cas (call $a) (i64.const 0) (call $byte (i32.const 49)))))
            (else
              (call $expect (i64.const 0) (call $cas (call $a) (i64.const 0) (call $byte (i32.const 49))))
              (call $expect (i64.const 1) (call $cas (call $a) (local.get $seen)
                (call $byte (i32.add (call $load (local.get $seen)) (i32.const 1)))))))
          (call $reply (call $get (call $a))))
        (func (export "list") (call $reply (call $list (i64.const 0) (i64.const 0))))
        (func (export "remove")
          (call $expect (i64.const 1) (call $delete (call $a)))
          (call $expect (i64.const 0) (call $delete (call $a)))
          (call $expect (i64.const 0) (call $list (i64.const 0) (i64.const 0))))
        (func (export "empty")
          (call $expect (i64.const -2) (call $get (i64.const 0)))
          (call $expect (i64.const 0) (call $set (call $a) (i64.const 0)))
          (call $expect (i64.const 0) (call $get (call $a))))
        (func (export "large") (local $block i64)
          (local.set $block (call $alloc (i64.const 2000000)))
          (call $expect (i64.const -2) (call $set (local.get $block) (call $a)))
          (call $expect (i64.const -3) (call $set (call $a) (local.get $block)))
          (call $expect (i64.const -3) (call $cas (call $a) (local.get $block) (call $a)))
          (call $expect (i64.const -2) (call $list (local.get $block) (i64.const 0))))
        (func (export "fail") (call $expect (i64.const 0) (call $set (call $a) (call $a))) unreachable)
        (func (export "wild") (drop (call $get (i64.const 0x7fffffff00000000)))))"#);
    stores(|store| {
        let function = Runtime::new().deployment("f", &plug_in).kv(Grant::new(Arc::clone(&store))).deploy().unwrap();
        let run = |entry: &str| function.invocation(b"").entry(entry).run().map(|reply| reply.output().to_vec());
        for count in [b"1", b"2", b"3"] {
            assert_eq!(run("count").unwrap(), count);
            assert_eq!(store.get("f", b"a").unwrap().as_deref(), Some(&count[..]));
        }
        assert_eq!(run("list").unwrap(), [1, 0, 0, 0, b'a']);
        run("fail").unwrap_err();
        assert_eq!(store.get("f", b"a").unwrap().as_deref(), Some(&b"3"[..]));
        let wild = run("wild").unwrap_err();
        assert!(wild.to_string().contains("0x7fffffff00000000"), "{wild}");
        run("large").unwrap();
        run("remove").unwrap();
        assert_eq!(store.size("f").unwrap(), Size::default());
        run("empty").unwrap();
        assert_eq!(store.get("f", b"a").unwrap(), Some(Vec::new()));
    });
}
