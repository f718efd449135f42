//! Sequences of calls of the C interface, in any order that its header permits, with NULL here and
//! there. They run against a model of what is alive, what stands under which name, and what each
//! call answers. User data is freed once, when nothing needs it any more and not before. What a
//! call lends or gives may outlive what it came from.
//!
//! The fuzz target `c_api` and the test `corpus`, which replays its corpus, each have this as a
//! module of their own.

mod edge;
mod events;
mod functions;
mod guests;
mod host;
mod kept;
mod stores;

use arbitrary::{Result, Unstructured};
use dormouse_c::{dormouse_function, dormouse_runtime, dormouse_status};

use edge::Out;
use functions::Follows;
use host::User;
use kept::Kept;

/// The most calls of one sequence.
const STEPS: usize = 80;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// A runtime, and the handles that the host has of it.
struct Runtime {
    handles: Vec<*mut dormouse_runtime>,
    limits: Limits,
    clock: std::rc::Rc<User>,
    names: functions::Names,
    triggers: Vec<events::Trigger>,
    /// Deliveries made so far.
    matched: u64,
}

#[derive(Clone, Copy)]
struct Limits {
    functions: u64,
    triggers: u64,
    deliveries: u64,
    dead_letters: u64,
    drops: bool,
}

/// A handle of a function.
struct Handle {
    at: *mut dormouse_function,
    runtime: usize,
    follows: Follows,
}

struct Machine<'a> {
    source: Unstructured<'a>,
    runtimes: Vec<Runtime>,
    functions: Vec<Handle>,
    kept: Vec<Kept>,
    stores: Vec<stores::Store>,
    users: host::Users,
    /// Deployments so far, so that each version is another.
    deployed: u64,
    /// Whether the next call asks for an error.
    asks: bool,
}

/// Makes the calls that the bytes stand for.
pub fn c_api(bytes: &[u8]) {
    let source = Unstructured::new(bytes);
    let mut machine = Machine {
        source,
        runtimes: Vec::new(),
        functions: Vec::new(),
        kept: Vec::new(),
        stores: Vec::new(),
        users: host::Users::default(),
        deployed: 0,
        asks: true,
    };
    for _ in 0..STEPS {
        if machine.source.is_empty() || machine.step().is_err() {
            break;
        }
        machine.check();
    }
    machine.end();
}

impl Machine<'_> {
    fn step(&mut self) -> Result<()> {
        self.asks = self.source.ratio(3, 4)?;
        if self.runtimes.iter().all(|runtime| runtime.handles.is_empty()) {
            return self.new_runtime();
        }
        match self.source.int_in_range(0..=45)? {
            0 if self.runtimes.len() < 3 => self.new_runtime(),
            1 => self.clone_runtime(),
            2 => self.free_runtime(),
            0..=7 => self.deploy(),
            8 => self.undeploy(),
            9 => self.alias(),
            10 => self.find(),
            11 => self.clone_function(),
            12 => self.free_function(),
            13 => self.list_functions(),
            14 => self.concurrency(),
            15 => self.prewarm_and_trim(),
            16..=18 => self.invoke(),
            19 => self.invoke_into(),
            20 => self.call_export(),
            21 => self.session(),
            22..=24 => self.bind(),
            25 => self.unbind_or_enable(),
            26 | 27 => self.make_event(),
            28..=30 => self.publish(),
            31 => self.dispatch(),
            32 => self.run_pending(),
            33 => self.tick(),
            34 => self.dead_letters(),
            35 => self.request(),
            36 => self.look_up(),
            37 => self.patterns(),
            38 => self.workers(),
            39..=44 => self.store(),
            _ => self.look_at_kept(),
        }
    }

    /// A runtime that the host has a handle of, and one of its handles. At times NULL.
    fn pick(&mut self) -> Result<(Option<usize>, *const dormouse_runtime)> {
        let alive = (0..self.runtimes.len()).filter(|at| !self.runtimes[*at].handles.is_empty()).collect::<Vec<_>>();
        if alive.is_empty() || self.source.ratio(1, 24)? {
            return Ok((None, std::ptr::null()));
        }
        let at = *self.source.choose(&alive)?;
        Ok((Some(at), self.source.choose(&self.runtimes[at].handles)?.cast_const()))
    }

    fn new_runtime(&mut self) -> Result<()> {
        let limits = Limits {
            functions: self.source.int_in_range(1..=3)?,
            triggers: self.source.int_in_range(1..=4)?,
            deliveries: self.source.int_in_range(1..=6)?,
            dead_letters: self.source.int_in_range(0..=2)?,
            drops: self.source.arbitrary()?,
        };
        let clock = self.users.add();
        let mut options = edge::init(dormouse_c::dormouse_runtime_options_init);
        options.functions = limits.functions;
        options.triggers = limits.triggers;
        options.deliveries = limits.deliveries;
        options.dead_letters = limits.dead_letters;
        options.when_full = if limits.drops {
            dormouse_c::DORMOUSE_WHEN_FULL_DROP_NEWEST
        } else {
            dormouse_c::DORMOUSE_WHEN_FULL_REJECT
        };
        options.reset = if self.source.ratio(1, 16)? { 4 } else { self.source.int_in_range(0..=3)? };
        options.clock = Some(host::now);
        options.clock_user_data = clock.data();
        options.clock_user_data_free = Some(host::free);
        let mut expected = dormouse_status::DORMOUSE_OK;
        if options.reset == 4 {
            expected = dormouse_status::DORMOUSE_ARGUMENT;
        }
        if self.source.ratio(1, 16)? {
            options.size += 8;
            expected = dormouse_status::DORMOUSE_ARGUMENT;
        }
        let mut out = Out::new(self.source.ratio(1, 16)?);
        let status = edge::check(self.asks, "runtime_new", |error| {
            edge::call!(dormouse_c::dormouse_runtime_new(&options, out.at(), error))
        });
        if let Some(handle) = out.made(status, expected, "runtime_new") {
            clock.accept();
            let (names, triggers) = Default::default();
            self.runtimes.push(Runtime { handles: vec![handle], limits, clock, names, triggers, matched: 0 });
        }
        Ok(())
    }

    fn clone_runtime(&mut self) -> Result<()> {
        let (at, runtime) = self.pick()?;
        let mut out = Out::new(false);
        let status = edge::check(self.asks, "runtime_clone", |error| {
            edge::call!(dormouse_c::dormouse_runtime_clone(runtime, out.at(), error))
        });
        let made = out.made(status, edge::ok_unless_null(at), "runtime_clone");
        if let (Some(at), Some(handle)) = (at, made) {
            self.runtimes[at].handles.push(handle);
        }
        Ok(())
    }

    fn free_runtime(&mut self) -> Result<()> {
        let (at, runtime) = self.pick()?;
        if let Some(at) = at {
            self.runtimes[at].handles.retain(|handle| handle.cast_const() != runtime);
        }
        edge::call!(dormouse_c::dormouse_runtime_free(runtime.cast_mut()));
        if let Some(at) = at {
            self.bury(at);
        }
        Ok(())
    }

    /// Notes if nothing keeps a runtime any more.
    fn bury(&mut self, at: usize) {
        let runtime = &mut self.runtimes[at];
        if runtime.handles.is_empty() && !self.functions.iter().any(|handle| handle.runtime == at) {
            runtime.names.clear();
            runtime.clock.release();
        }
    }

    /// What holds after each call.
    fn check(&mut self) {
        self.users.check();
        for runtime in &self.runtimes {
            let Some(&handle) = runtime.handles.first() else { continue };
            let figures = events::figures(handle);
            assert!(events::is_balanced(&figures), "{}", events::said(&figures));
            assert_eq!(figures.matched, runtime.matched, "{}", events::said(&figures));
            assert_eq!(figures.running, 0, "{}", events::said(&figures));
            assert!(figures.dead_letters <= runtime.limits.dead_letters, "{}", events::said(&figures));
        }
    }

    /// Frees all that is left, in an order that the bytes give, while there are bytes.
    fn end(mut self) {
        loop {
            let left = self.functions.len()
                + self.kept.len()
                + self.stores.len()
                + self.runtimes.iter().map(|one| one.handles.len()).sum::<usize>();
            if left == 0 {
                break;
            }
            let mut at = self.source.choose_index(left).unwrap_or(0);
            if at < self.functions.len() {
                let handle = self.functions.swap_remove(at);
                edge::call!(dormouse_c::dormouse_function_free(handle.at));
                self.bury(handle.runtime);
            } else if at - self.functions.len() < self.kept.len() {
                let kept = self.kept.swap_remove(at - self.functions.len());
                kept.look();
                kept.free();
            } else if at - self.functions.len() - self.kept.len() < self.stores.len() {
                let store = self.stores.swap_remove(at - self.functions.len() - self.kept.len());
                edge::call!(dormouse_c::dormouse_store_free(store.at));
            } else {
                at -= self.functions.len() + self.kept.len() + self.stores.len();
                let mut runtimes = self.runtimes.iter_mut().enumerate();
                let (runtime, handle) = runtimes
                    .find_map(|(runtime, one)| {
                        let here = one.handles.len();
                        if at < here {
                            Some((runtime, one.handles.swap_remove(at)))
                        } else {
                            at -= here;
                            None
                        }
                    })
                    .expect("it was counted");
                edge::call!(dormouse_c::dormouse_runtime_free(handle));
                self.bury(runtime);
            }
            self.users.check();
        }
        drop(self.runtimes);
        self.users.check();
        self.users.all_are_gone();
    }
}
