//! Deliveries on disk: what a restart finds, and what remains of processes that are killed at
//! random moments.

use std::{
    collections::BTreeSet,
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use dormouse::{DeadLetterReason, Event, EventLimits, Retry, Runtime, StoreProblem, Trigger, TriggerInput};

use crate::support::{Folder, Random, Scene, count, guest};

fn scene(path: &Path) -> Scene {
    let scene = Scene::open(EventLimits::default(), path);
    scene.deploy("f");
    scene
}

fn twice() -> Retry {
    Retry::fixed(Duration::from_secs(10)).attempts(2).max_age(Duration::from_secs(60)).without_jitter()
}

#[test]
fn what_was_published_is_delivered_after_a_restart_once_its_trigger_is_bound() {
    let folder = Folder::new();
    let path = folder.file("deliveries");
    {
        let scene = scene(&path);
        scene.bind("a", "f", twice());
        scene.bind("b", "f", twice());
        for deed in ["ok1", "ok2"] {
            scene.publish("a", deed);
            scene.publish("b", deed);
        }
        scene.runtime.deliveries().run_pending(1);
    }
    let scene = scene(&path);
    assert_eq!((scene.stats().matched, scene.stats().parked), (3, 3));
    assert_eq!(scene.run(), 0, "their triggers are not bound");
    scene.bind("b", "f", twice());
    assert_eq!(scene.stats().parked, 1);
    scene.run();
    assert_eq!(scene.seen(), ["f ok1", "f ok2"]);
    scene.bind("a", "f", twice());
    scene.run();
    assert_eq!(scene.seen(), ["f ok2"], "the other one had succeeded");
    assert_eq!(scene.stats().succeeded, 3);
}

#[test]
fn attempts_age_and_order_are_kept_over_a_restart() {
    let folder = Folder::new();
    let path = folder.file("deliveries");
    let bind = |scene: &Scene| {
        let trigger = Trigger::on("a").to("f").input(TriggerInput::Data).retry(twice().attempts(3)).ordered();
        scene.runtime.bind("a", trigger).unwrap();
    };
    {
        let scene = scene(&path);
        bind(&scene);
        for deed in ["trap", "ok1", "ok2"] {
            scene.publish("a", deed);
        }
        scene.run();
        scene.advance(10);
        scene.run();
    }
    let scene = scene(&path);
    bind(&scene);
    scene.run();
    assert_eq!(scene.seen(), ["f trap", "f ok1", "f ok2"], "the third attempt was the last");
    let letters = scene.runtime.deliveries().dead_letters();
    assert_eq!(
        (letters[0].reason(), letters[0].attempts(), letters[0].age()),
        (DeadLetterReason::Attempts, 3, Duration::from_secs(10))
    );
}

#[test]
fn dead_letters_are_kept_with_all_there_is_to_know_and_can_be_delivered_again() {
    let folder = Folder::new();
    let path = folder.file("deliveries");
    let before = {
        let scene = scene(&path);
        scene.bind("a", "f", Retry::never());
        scene.runtime.tick("2026-11-21T10:00:00Z".parse().unwrap());
        for deed in ["trap1", "trap2", "trap3"] {
            scene.publish("a", deed);
        }
        scene.run();
        scene.runtime.deliveries().redrive(scene.runtime.deliveries().dead_letters()[0].id()).unwrap();
        scene.runtime.deliveries().dead_letters()
    };
    let scene = scene(&path);
    let after = scene.runtime.deliveries().dead_letters();
    assert_eq!((after.len(), scene.stats().matched), (2, 3));
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(format!("{before:?}"), format!("{after:?}"));
    }
    scene.bind("a", "f", Retry::never());
    let again = scene.runtime.deliveries().redrive(after[0].id()).unwrap();
    assert!(after.iter().chain(&before).all(|letter| letter.id() < again), "numbers are not used twice");
    scene.run();
    assert_eq!(scene.seen(), ["f trap1", "f trap2"]);
    assert_eq!(scene.runtime.deliveries().drain_dead_letters().len(), 3);
    drop(scene);
    assert_eq!(self::scene(&path).runtime.deliveries().dead_letters().len(), 0);
}

#[test]
fn a_reply_that_nobody_takes_needs_no_room_in_a_queue_over_its_limit() {
    let folder = Folder::new();
    let path = folder.file("deliveries");
    {
        let scene = scene(&path);
        scene.bind("a", "f", twice());
        for _ in 0..3 {
            scene.publish("a", r#"e{"specversion":"1.0","type":"b","id":"1","source":"/f"}"#);
        }
    }
    let scene = Scene::open(EventLimits { deliveries: 1, ..EventLimits::default() }, &path);
    scene.deploy("f");
    scene.runtime.bind("a", Trigger::on("a").to("f").input(TriggerInput::Data).emits(["b"])).unwrap();
    scene.run();
    assert_eq!(scene.stats().succeeded, 3);
}

#[test]
fn a_loop_that_an_invocation_by_handle_has_ended_is_written_at_once() {
    let folder = Folder::new();
    let scene = Scene::open(EventLimits { hops: 0, ..EventLimits::default() }, &folder.file("deliveries"));
    let publish = |guest: &mut dormouse::Context<'_>, _: u32, _: u32| -> Result<(), dormouse::HostError> {
        let event = Event::builder("a").id("1").source("/t").extension("dormousehops", 1);
        guest.publish(event.build()?)?;
        Ok(())
    };
    scene.bind("a", "nobody", Retry::never());
    let function = scene.runtime.deployment("f", &guest("deed")).host("test", "note", publish).deploy().unwrap();
    function.invoke(b"ok").unwrap();
    let deliveries = scene.stats();
    assert_eq!((deliveries.dead_letters, deliveries.unsaved), (1, 0));
}

#[test]
fn the_number_of_a_delivery_that_is_gone_is_not_given_again_after_a_restart() {
    let folder = Folder::new();
    let path = folder.file("deliveries");
    let number = || {
        let scene = scene(&path);
        scene.bind("a", "f", Retry::never());
        scene.publish("a", "trap");
        scene.run();
        scene.runtime.deliveries().drain_dead_letters()[0].id()
    };
    let first = number();
    assert!(number() > first);
}

#[test]
fn deliveries_whose_trigger_does_not_come_back_grow_too_old() {
    let folder = Folder::new();
    let path = folder.file("deliveries");
    {
        let scene = scene(&path);
        scene.bind("a", "f", twice());
        scene.publish("a", "ok");
    }
    let scene = scene(&path);
    scene.advance(3_600);
    scene.run();
    let letters = scene.runtime.deliveries().dead_letters();
    assert_eq!((letters[0].reason(), letters[0].trigger()), (DeadLetterReason::Age, "a"));
}

#[test]
fn a_file_that_is_in_use_or_is_none_of_ours_is_refused_by_its_kind() {
    let folder = Folder::new();
    let path = folder.file("deliveries");
    let _open = Runtime::builder().open(&path).unwrap();
    assert_eq!(Runtime::builder().open(&path).unwrap_err().problem(), StoreProblem::InUse);
    let other = folder.file("other");
    fs::write(&other, "nothing of ours".repeat(1_000)).unwrap();
    let error = Runtime::builder().open(&other).unwrap_err();
    assert_eq!(error.problem(), StoreProblem::Corrupt, "{error}");
    let nowhere = folder.file("no/such/folder");
    assert_eq!(Runtime::builder().open(&nowhere).unwrap_err().problem(), StoreProblem::Io);
}

#[test]
fn a_file_whose_making_was_cut_short_is_made_anew() {
    let folder = Folder::new();
    let (path, making) = (folder.file("deliveries"), folder.file("deliveries.making"));
    for left in [&b""[..], &[0; 1 << 20], b"a part of a file"] {
        fs::write(&making, left).unwrap();
        drop(scene(&path));
        assert!(path.exists() && !making.exists());
        drop(scene(&path));
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn what_waits_grows_older_over_restarts() {
    let folder = Folder::new();
    let path = folder.file("deliveries");
    let opened = || {
        let scene = scene(&path);
        scene.bind("parked", "missing", twice());
        scene.bind("queued", "f", twice());
        scene
    };
    {
        let scene = opened();
        scene.publish("parked", "ok");
        scene.run();
        scene.publish("queued", "ok");
        scene.advance(35);
    }
    // This process runs no deliveries.
    drop(opened());
    let scene = opened();
    scene.advance(30);
    scene.run();
    let letters = scene.runtime.deliveries().dead_letters();
    let found: Vec<_> = letters.iter().map(|letter| (letter.trigger(), letter.reason(), letter.age())).collect();
    let age = Duration::from_secs(65);
    assert_eq!(found, [("parked", DeadLetterReason::Age, age), ("queued", DeadLetterReason::Age, age)]);
    assert!(scene.seen().is_empty());
}

#[test]
fn letters_that_smaller_limits_have_no_room_for_are_gone_from_the_file_with_the_next_write() {
    let folder = Folder::new();
    let path = folder.file("deliveries");
    {
        let scene = scene(&path);
        scene.bind("a", "f", Retry::never());
        for deed in ["trap1", "trap2", "trap3"] {
            scene.publish("a", deed);
        }
        scene.run();
    }
    let limits = EventLimits { dead_letters: 1, ..EventLimits::default() };
    let kept = Scene::open(limits, &path).runtime.deliveries().dead_letters()[0].id();
    let letters = scene(&path).runtime.deliveries().dead_letters();
    assert_eq!(letters.iter().map(dormouse::DeadLetter::id).collect::<Vec<_>>(), [kept]);
}

#[test]
fn the_file_is_free_when_the_runtime_is_gone_though_the_guard_of_its_workers_is_not() {
    let folder = Folder::new();
    let path = folder.file("deliveries");
    let scene = scene(&path);
    scene.bind("a", "f", twice());
    let workers = scene.runtime.deliveries().workers(2).unwrap();
    scene.publish("a", "ok");
    drop(scene);
    // A worker may still run its last delivery, and holds the runtime until it ends.
    let opened = (0..1_000).find_map(|_| {
        let opened = Runtime::builder().open(&path);
        thread::sleep(Duration::from_millis(if opened.is_ok() { 0 } else { 5 }));
        opened.ok()
    });
    assert!(opened.is_some(), "after five seconds it is in use");
    drop(workers);
}

/// The folder in which the children of the kill test work.
const PLACE: &str = "DORMOUSE_KILL_PLACE";

fn append(path: &Path, line: &str) {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn lines(path: &Path) -> BTreeSet<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// A runtime on the file. Its function appends its input to `done`.
fn worker(place: &Path) -> Runtime {
    let runtime = Runtime::builder().open(place.join("deliveries")).unwrap();
    let done = place.join("done");
    let note = move |guest: &mut dormouse::Context<'_>, at: u32, len: u32| -> Result<(), dormouse::HostError> {
        append(&done, &guest.read_text(at, len)?);
        Ok(())
    };
    runtime.deployment("f", &guest("deed")).host("test", "note", note).deploy().unwrap();
    let retry = Retry::fixed(Duration::ZERO).attempts(2);
    runtime.bind("a", Trigger::on("a").to("f").input(TriggerInput::Data).retry(retry)).unwrap();
    runtime
}

/// The child, which publishes and works until it is killed. Without its variable it tests nothing.
#[test]
fn killed_child() {
    let Some(place) = env::var_os(PLACE).map(PathBuf::from) else { return };
    let runtime = worker(&place);
    let _workers = runtime.deliveries().workers(1).unwrap();
    for number in 0.. {
        let deed = format!("{}-{}-{number}", if number % 7 == 3 { "trap" } else { "ok" }, std::process::id());
        let event = Event::builder("a").id(&*deed).source("/t").data_text(&*deed).build().unwrap();
        runtime.publish(event).unwrap();
        append(&place.join("acknowledged"), &deed);
    }
}

#[test]
fn a_killed_process_loses_no_event_that_it_acknowledged() {
    let folder = Folder::new();
    let place = folder.file("");
    let mut random = Random::new(7);
    for _ in 0..count("DORMOUSE_KILLS", 20) {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "durable::killed_child", "--quiet"])
            .env(PLACE, &place)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(20 + random.below(150)));
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success(), "it was killed, and did not end by itself");
    }
    let runtime = worker(&place);
    while runtime.deliveries().run_pending(usize::MAX) > 0 {}
    let (acknowledged, done) = (lines(&place.join("acknowledged")), lines(&place.join("done")));
    assert!(acknowledged.len() > 50, "{}", acknowledged.len());
    let lost: Vec<_> = acknowledged.difference(&done).collect();
    assert!(lost.is_empty(), "{lost:?}");
    let deliveries = runtime.deliveries().stats();
    assert!(deliveries.is_balanced() && deliveries.pending() == 0, "{deliveries:?}");
}

#[test]
fn what_has_ended_is_written_while_a_long_queue_is_run_and_not_at_its_end_alone() {
    let folder = Folder::new();
    let path = folder.file("deliveries");
    let scene = scene(&path);
    scene.bind("a", "f", twice());
    for _ in 0..200 {
        scene.publish("a", "ok");
    }
    let most = (0..200).map(|_| {
        scene.runtime.deliveries().run_pending(1);
        scene.stats().unsaved
    });
    assert_eq!(most.max(), Some(0), "who runs one writes it");
    for _ in 0..200 {
        scene.publish("a", "look");
    }
    let looked = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let most = std::sync::Arc::clone(&looked);
    let look = move |guest: &mut dormouse::Context<'_>, _: u32, _: u32| {
        most.fetch_max(guest.runtime().deliveries().stats().unsaved, std::sync::atomic::Ordering::Relaxed);
    };
    scene.runtime.deployment("f", &guest("deed")).host("test", "note", look).deploy().unwrap();
    assert_eq!(scene.run(), 200);
    let most = looked.load(std::sync::atomic::Ordering::Relaxed);
    assert!((32..=64).contains(&most), "{most} were not written");
    assert_eq!(scene.stats().unsaved, 0);
}
