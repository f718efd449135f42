//! The key-value store: what an invocation stages, when that is committed, and what invocations see
//! of each other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use dormouse::{
    Cancel, Function, Guest, InvokeErrorKind, Runtime, StartKind,
    kv::{self, Change, Grant, KeyValue, Size},
};

use crate::{
    kv::{Answer, cas, delete, deploy, get, list_all, plain, run, set, stores, texts, write},
    pool::TestClock,
};

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
            // No other invocation sees it, not even a nested one of the same function.
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
            ("wild", "contract"),
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
        let refused: Result<dormouse::SessionReply<()>, _> = f.session(|guest| {
            assert_eq!((set(guest, b"a", b"after")?, cas(guest, b"c", None, Some(b"after"))?), (0, 1));
            Err(InvokeErrorKind::Cancelled)
        });
        refused.unwrap_err();
        untouched("the closure's own error");
        assert_eq!(f.invoke(b"good").unwrap().report().start(), StartKind::Warm);
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
        let program =
            runtime.deployment("program", &crate::support::wat(text)).kv(Grant::new(store.clone())).deploy().unwrap();
        assert_eq!(program.deploy_report().unwrap().contract(), "command");
        assert!(matches!(program.invoke(&[3]).unwrap_err().kind(), InvokeErrorKind::Exit { code: 3, .. }));
        assert_eq!(store.get("program", b"code").unwrap(), None);
        program.invoke(&[0]).unwrap();
        assert_eq!(store.get("program", b"code").unwrap(), Some(vec![0]));
    });
    let imports_kv_alone = crate::support::wat(
        r#"(module (import "dormouse:kv" "delete" (func (param i32 i32) (result i32)))
        (memory (export "memory") 1) (func (export "_start")))"#,
    );
    let store = Arc::new(kv::Memory::new());
    let plain = Runtime::new().deployment("plain", &imports_kv_alone).kv(Grant::new(store)).deploy().unwrap();
    assert_eq!(plain.deploy_report().unwrap().contract(), "plain", "it is not a WASI program");
}

/// A run on `f` that does one thing. Then another run does something, and then the first does
/// another thing.
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
        // Changed, deleted, or changed by the same step: the other run's update is not lost.
        for other in [Some(&b"7"[..]), None, Some(b"2")] {
            let ended = between(&f, increment, |guest| cas(guest, b"n", Some(b"1"), other).map(drop), |_| Ok(()));
            assert_eq!(ended, Err(conflict()));
            assert_eq!(store.get("f", b"n").unwrap().as_deref(), other);
            assert_eq!(store.get("f", b"beside").unwrap(), None, "all or nothing");
            write(&store, "f", b"n", b"1");
        }
        // The value is as it was, so the run could have begun after the change.
        let there_and_back = |guest: &mut Guest<'_>| {
            set(guest, b"n", b"9")?;
            set(guest, b"n", b"1").map(drop)
        };
        assert_eq!(between(&f, increment, there_and_back, |_| Ok(())), Ok(()));
        assert_eq!(store.get("f", b"n").unwrap(), Some(b"2".to_vec()));
        // The next invocation succeeds.
        write(&store, "f", b"n", b"1");
        run(&f, increment);
        assert_eq!(store.get("f", b"n").unwrap(), Some(b"2".to_vec()));
        // A key that did not exist must still not exist.
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
        // After its own write, it compares that, which does not depend on what is committed.
        let write_first = |guest: &mut Guest<'_>| {
            set(guest, b"n", b"2")?;
            assert_eq!(cas(guest, b"n", Some(b"2"), Some(b"3"))?, 1);
            Ok(())
        };
        assert_eq!(between(&f, write_first, other, |_| Ok(())), Ok(()));
        // After a comparison that failed, it depends on nothing.
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
            // It is not set if another run has committed since the reading.
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

#[cfg(feature = "events")]
#[test]
fn a_delivery_that_meets_a_conflict_is_made_again_and_succeeds() {
    use dormouse::{Event, Retry, Trigger, TriggerInput};
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
        let pause = move |_: &mut dormouse::Context<'_>| {
            // Another run comes between, once.
            if counted.fetch_add(1, Relaxed) == 0 {
                write(&inner, "counter", b"n", &100u32.to_le_bytes());
            }
        };
        runtime
            .deployment("counter", &crate::support::wat(text))
            .kv(Grant::new(store.clone()))
            .host("env", "pause", pause)
            .deploy()
            .unwrap();
        let trigger = Trigger::on("count").to("counter").input(TriggerInput::Data).retry(Retry::fixed(Duration::ZERO));
        runtime.bind("count", trigger).unwrap();
        let event = Event::builder("count").id("1").source("/t").data_text("x").build().unwrap();
        runtime.publish(event).unwrap();
        while runtime.deliveries().run_pending(usize::MAX) > 0 {}
        assert_eq!((runs.load(Relaxed), runtime.deliveries().stats().succeeded), (2, 1));
        assert_eq!(store.get("counter", b"n").unwrap(), Some(101u32.to_le_bytes().to_vec()));
        let errors: Vec<_> =
            runtime.ledger().functions()[0].errors().map(|(kind, count)| (kind.to_owned(), count)).collect();
        assert_eq!(errors, [("kv_conflict".to_owned(), 1)]);
    });
}
