//! What a name stands for through redeployments, and what makes a new version.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use dormouse::{Context, Function, InvokeErrorKind, Limits, Runtime, Value};

use crate::support::{guest, idle_and_live, in_use, wat};

use crate::deploy::{id, numbered};

#[test]
fn a_handle_follows_its_name_and_a_pinned_one_stays() {
    let runtime = Runtime::new();
    let first = runtime.deploy("f", &numbered(1)).unwrap();
    let found = runtime.find("f").unwrap();
    let pinned = first.pinned().unwrap();
    let second = runtime.deploy("f", &numbered(2)).unwrap();
    for function in [&first, &found, &second, &first.clone()] {
        assert_eq!(id(function), Ok(2));
        assert_eq!(function.version(), second.version());
    }
    assert_eq!(id(&pinned), Ok(1));
    assert_ne!(pinned.version(), second.version());
    assert_eq!(id(&pinned.pinned().unwrap()), Ok(1));

    assert!(runtime.undeploy("f"));
    assert!(!runtime.undeploy("f"));
    assert!(!runtime.undeploy("never"));
    for function in [&first, &found, &second] {
        assert_eq!(id(function), Err(InvokeErrorKind::Undeployed { name: "f".into() }));
        assert_eq!(function.version(), None);
        assert_eq!(function.name(), "f");
        assert_eq!(*function.pinned().unwrap_err().kind(), InvokeErrorKind::Undeployed { name: "f".into() });
        assert!(function.deploy_report().is_err() && function.prewarm(1).is_err());
        assert_eq!((idle_and_live(function), function.trim(Duration::ZERO)), ((0, 0), 0));
    }
    assert!(runtime.find("f").is_none());
    assert_eq!(id(&pinned), Ok(1));

    // This is another function of the same name.
    runtime.deploy("f", &numbered(3)).unwrap();
    for function in [&first, &found, &second] {
        assert_eq!(id(function), Ok(3));
    }
    assert_eq!(id(&pinned), Ok(1));
}

#[test]
fn an_invocation_under_way_finishes_on_the_version_that_it_began_with() {
    let runtime = Runtime::new();
    let function = runtime.deploy("f", &numbered(1)).unwrap();
    let returned = function.session(|guest| {
        assert_eq!(guest.call("id", &[])?[0], Value::I32(1));
        runtime.deploy("f", &numbered(2)).unwrap();
        assert_eq!(guest.call("id", &[])?[0], Value::I32(1));
        assert_eq!(id(&function), Ok(2));
        runtime.undeploy("f");
        assert_eq!(guest.call("id", &[])?[0], Value::I32(1));
        assert!(id(&function).is_err());
        Ok(())
    });
    assert_eq!(returned.unwrap().report().outcome(), "ok");
    // The memory that it held is gone with its version.
    assert_eq!(in_use(&runtime), (0, 0));
}

#[test]
fn a_host_function_can_replace_and_undeploy_the_function_that_calls_it() {
    let runtime = Runtime::new();
    let module = wat(r#"(module (import "env" "replace" (func $replace))
        (func (export "id") (result i32) (call $replace) (i32.const 1)))"#);
    let function = runtime
        .deployment("f", &module)
        .host("env", "replace", |guest: &mut Context<'_>| -> Result<(), dormouse::HostError> {
            guest.runtime().deploy("f", &numbered(2))?;
            guest.runtime().undeploy("f");
            guest.runtime().deploy("f", &numbered(3))?;
            Ok(())
        })
        .deploy()
        .unwrap();
    assert_eq!(id(&function), Ok(1));
    assert_eq!(id(&function), Ok(3));
    assert_eq!(in_use(&runtime).0, 1);
}

#[test]
fn redeployment_under_load_answers_one_version_or_the_other_and_never_fails() {
    let runtime = Runtime::new();
    let function = runtime.deployment("f", &numbered(0)).instances(0..=4).deploy().unwrap();
    let newest = AtomicU64::new(0);
    let until = Instant::now() + Duration::from_millis(50);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while Instant::now() < until {
                    let before = newest.load(Relaxed) as i32;
                    // The deployment may be done before its number is written down.
                    let answer = id(&function).unwrap();
                    let after = newest.load(Relaxed) as i32;
                    assert!((before..=after + 1).contains(&answer), "{before} <= {answer} <= {after} + 1");
                }
            });
        }
        let mut n = 0;
        while Instant::now() < until {
            n += 1;
            runtime.deployment("f", &numbered(n)).instances(0..=4).deploy().unwrap();
            newest.store(n as u64, Relaxed);
        }
    });
    assert_eq!(id(&function), Ok(newest.load(Relaxed) as i32));
    // Nothing is left of the versions between.
    assert_eq!(in_use(&runtime).0, idle_and_live(&function).1);
}

#[test]
fn functions_are_found_by_name_and_by_version() {
    let runtime = Runtime::new();
    assert!(runtime.find("f").is_none());
    let first = runtime.deploy("f", &numbered(1)).unwrap();
    let of = |function: &Function| function.version().unwrap().to_string();
    let (one, pinned) = (of(&first), first.pinned().unwrap());
    runtime.deploy("f", &numbered(2)).unwrap();
    let two = of(&first);

    let find = |name: String| runtime.find(&name).map(|function| id(&function).unwrap());
    assert_eq!(find("f".into()), Some(2));
    assert_eq!(find(format!("f@{two}")), Some(2));
    assert_eq!(find(format!("f@{}", &two[..7])), Some(2));
    // Its pinned handle keeps the first one alive.
    assert_eq!(find(format!("f@{one}")), Some(1));
    assert_eq!(find(format!("f@{}", &one[..7])), Some(1));
    assert_eq!(find(format!("f@{}", &one[..6])), None);
    for missing in ["", "@", "f@", "f@0000000", "g", "F", "f@@", "g@0000000"] {
        assert_eq!(find(missing.into()), None, "{missing}");
    }
    assert_eq!(find(format!("g@{one}")), None);
    assert_eq!(find(format!("f@{one}0")), None);
    assert_eq!(find(format!("f@{one}@{one}")), None);
    // A handle on a version is a pinned one.
    let found = runtime.find(&format!("f@{two}")).unwrap();
    runtime.undeploy("f");
    assert_eq!(id(&found), Ok(2));
    assert_eq!(find(format!("f@{two}")), Some(2));
    drop((pinned, found));
    assert_eq!(find(format!("f@{one}")), None);
    assert_eq!(find(format!("f@{two}")), None);
}

#[test]
fn functions_are_listed_by_name_without_the_undeployed() {
    let runtime = Runtime::new();
    let _handles: Vec<_> =
        ["b", "a.1", "B", "a", "gone", "-"].map(|name| runtime.deploy(name, &numbered(1)).unwrap()).into();
    runtime.deploy("b", &numbered(2)).unwrap();
    runtime.undeploy("gone");
    let names: Vec<_> = runtime.functions().iter().map(|function| function.name().to_owned()).collect();
    assert_eq!(names, ["-", "B", "a", "a.1", "b"]);
}

#[test]
fn equal_content_and_options_are_the_same_version() {
    let (one, other) = (Runtime::new(), Runtime::new());
    let module = guest("echo");
    let base = || one.deployment("f", &module);
    let version = |deployment: dormouse::Deployment| deployment.deploy().unwrap().version().unwrap();
    let same = version(base());
    assert_eq!(version(base()), same);
    assert_eq!(version(other.deployment("another.name", &module)), same);
    assert_eq!(version(base().limits(Limits::default())), same);
    assert_eq!(version(base().instances(0..=1)), same);
    assert_eq!(version(base().instances(1..=7).max_wait(Duration::from_secs(9))), same);
    assert_eq!(same.to_string().len(), 64);
    assert!(same.to_string().starts_with(&same.short().to_string()));
    assert_eq!(same.as_bytes().len(), 32);

    let custom_section = [&module[..], &[0, 2, 1, b'x']].concat();
    let mut versions = vec![
        same,
        version(one.deployment("f", &custom_section)),
        version(one.deployment("f", &guest("bad-answer"))),
        version(base().entry("handle")),
        version(base().host("env", "now", |_: &mut Context<'_>| 1i64)),
        version(base().host("env", "now", |_: &mut Context<'_>| 1i32)),
        version(base().host("env", "then", |_: &mut Context<'_>| 1i64)),
    ];
    let d = Limits::default;
    for limits in [
        Limits { fuel: 999_999_999, ..d() },
        Limits { deadline: Duration::from_secs(29), ..d() },
        Limits { input_bytes: 1, ..d() },
        Limits { output_bytes: 1, ..d() },
        Limits { log_bytes: 1, ..d() },
        Limits { memory_bytes: 10 << 20, ..d() },
        Limits { table_elements: 1, ..d() },
        Limits { stack_bytes: 1 << 16, ..d() },
        Limits { call_depth: 999, ..d() },
        Limits { module_bytes: 1 << 20, ..d() },
        Limits { functions: 10, ..d() },
        Limits { imports: 10, ..d() },
        Limits { exports: 10, ..d() },
        Limits { globals: 10, ..d() },
        Limits { types: 10, ..d() },
        Limits { memories: 1, ..d() },
        Limits { tables: 1, ..d() },
        Limits { data_segments: 10, ..d() },
        Limits { element_segments: 10, ..d() },
        Limits { body_bytes: 1_000, ..d() },
        Limits { locals: 10, ..d() },
    ] {
        versions.push(version(base().limits(limits)));
    }
    let count = versions.len();
    versions.sort();
    versions.dedup();
    assert_eq!(versions.len(), count, "each is another version");
}
