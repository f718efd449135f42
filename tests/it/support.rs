//! What several test files share: guests by name, counts from the environment, and runtimes with
//! functions for deliveries.

use std::{fs, path::PathBuf};

pub(crate) use crate::targets::Random;

/// A guest of `tests/guests`: `echo` for text, `echo.rust.reactor` for a built module.
pub(crate) fn guest(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/guests");
    match fs::read_to_string(folder.join(format!("{name}.wat"))) {
        Ok(text) => wat(&text),
        Err(_) => fs::read(folder.join(format!("{name}.wasm"))).unwrap_or_else(|error| panic!("guest {name}: {error}")),
    }
}

/// A module from its text.
pub(crate) fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

/// What must be the same cold and warm of a call: values and log or the error, then fuel and host
/// calls.
pub(crate) fn outcome(
    function: &dormouse::Function,
    fuel: u64,
    export: &str,
    args: &[dormouse::Value],
) -> (String, u64, u64) {
    match function.invocation(b"").fuel(fuel).call(export, args) {
        Ok(returned) => {
            let report = returned.report();
            (format!("{:?} {}", returned.values(), returned.log()), report.fuel(), report.host_calls())
        }
        Err(error) => {
            let report = error.report().unwrap_or_else(|| panic!("no report: {error}"));
            (format!("{:?}", error.kind()), report.fuel(), report.host_calls())
        }
    }
}

/// A count that the environment can raise, to run a test for longer.
pub(crate) fn count(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A runtime on a clock that the test moves. Its functions do what the data of their event says:
/// see the guest `deed`.
#[cfg(feature = "events")]
pub(crate) struct Scene {
    pub(crate) runtime: dormouse::Runtime,
    pub(crate) clock: crate::pool::TestClock,
    /// The inputs of functions, in order: `function data`.
    seen: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
    next: std::cell::Cell<u64>,
}

#[cfg(feature = "events")]
impl Scene {
    pub(crate) fn new(limits: dormouse::EventLimits) -> Self {
        let clock = crate::pool::TestClock::default();
        Self::of(dormouse::Runtime::builder().clock(clock.clone()).events(limits).build(), clock)
    }

    /// The same, with its deliveries in a file.
    #[cfg(feature = "durable")]
    pub(crate) fn open(limits: dormouse::EventLimits, path: &std::path::Path) -> Self {
        let clock = crate::pool::TestClock::default();
        Self::of(dormouse::Runtime::builder().clock(clock.clone()).events(limits).open(path).unwrap(), clock)
    }

    fn of(runtime: dormouse::Runtime, clock: crate::pool::TestClock) -> Self {
        Self { runtime, clock, seen: std::sync::Arc::default(), next: std::cell::Cell::new(0) }
    }

    /// Deploys `deed` under a name, with little fuel. On `trap|x` it publishes an event of the type
    /// x, and traps.
    pub(crate) fn deploy(&self, name: &'static str) -> dormouse::Function {
        let seen = std::sync::Arc::clone(&self.seen);
        let limits = dormouse::Limits { fuel: 10_000, ..dormouse::Limits::default() };
        let note = move |guest: &mut dormouse::Context<'_>, at: u32, len: u32| -> Result<(), dormouse::HostError> {
            let text = guest.read_text(at, len)?;
            seen.lock().unwrap().push(format!("{name} {text}"));
            if let Some((_, ty)) = text.split_once('|') {
                guest.publish(dormouse::Event::builder(ty).id("1").source("/staged").data_text("ok").build()?)?;
            }
            Ok(())
        };
        self.runtime.deployment(name, &guest("deed")).limits(limits).host("test", "note", note).deploy().unwrap()
    }

    /// Binds a trigger on the type that is its id. It gives the function the data alone.
    pub(crate) fn bind(&self, id: &str, function: &str, retry: dormouse::Retry) {
        let trigger = dormouse::Trigger::on(id).to(function).input(dormouse::TriggerInput::Data).retry(retry);
        self.runtime.bind(id, trigger).unwrap();
    }

    /// An event of a type with a deed as its data.
    pub(crate) fn event(&self, ty: &str, deed: &str) -> dormouse::Event {
        let number = self.next.replace(self.next.get() + 1);
        dormouse::Event::builder(ty).id(number.to_string()).source("/test").data_text(deed).build().unwrap()
    }

    pub(crate) fn publish(&self, ty: &str, deed: &str) -> usize {
        self.runtime.publish(self.event(ty, deed)).unwrap()
    }

    /// The inputs of functions since the last call.
    pub(crate) fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    pub(crate) fn run(&self) -> usize {
        self.runtime.deliveries().run_pending(usize::MAX)
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(std::time::Duration::from_secs(seconds));
    }

    /// The counters. They must balance.
    #[track_caller]
    pub(crate) fn stats(&self) -> dormouse::DeliveryStats {
        let deliveries = self.runtime.deliveries().stats();
        assert!(deliveries.is_balanced(), "{deliveries:?}");
        deliveries
    }
}

/// A folder for one test, which is removed when dropped.
#[cfg(feature = "durable")]
pub(crate) struct Folder(PathBuf);

#[cfg(feature = "durable")]
impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("dormouse-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

#[cfg(feature = "durable")]
impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Idle instances of a function, and all of them.
pub(crate) fn idle_and_live(function: &dormouse::Function) -> (usize, usize) {
    let dormouse::InstanceCount { idle, live, .. } = function.instances();
    (idle, live)
}

/// Live instances of a runtime, and the bytes that they hold.
pub(crate) fn in_use(runtime: &dormouse::Runtime) -> (usize, u64) {
    let dormouse::InUse { instances, bytes, .. } = runtime.in_use();
    (instances, bytes)
}
