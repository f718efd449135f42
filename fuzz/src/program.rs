//! Sequences of operations on one runtime: deploying and undeploying under three names and an
//! alias, calls, nested invocations and sessions, all limits, and everything that drops or makes
//! instances.
//!
//! Each call must have the outcome of raw wasmi. Each invocation and session must have that of a
//! fresh runtime. The counters must be those of a model.

use std::{cell::Cell, collections::BTreeMap, fmt::Debug, rc::Rc, sync::OnceLock, time::Duration};

use arbitrary::{Result, Unstructured};
use dormouse::{
    Cancel, DeployError, Function, Guest, InvokeError, InvokeErrorKind, Limits, Reset, Runtime, RuntimeLimits, Value,
};

use super::oracle::{FUEL, Oracle, is_the_same, ours, random_args};

/// The most operations of one program.
const STEPS: usize = 40;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Memory of an instance: two pages, or plenty.
const MEMORIES: [u64; 2] = [2 << 16, 4 << 20];

macro_rules! guests {
    ($($name:literal),*) => { [$(include_str!(concat!("../../tests/guests/", $name, ".wat"))),*] };
}

const GUESTS: [&str; 14] = guests![
    "counter",
    "globals",
    "multi-memory",
    "passive",
    "recurse",
    "start",
    "table",
    "trap-late",
    "traps",
    "bomb",
    "echo",
    "loop",
    "multi-value",
    "fib"
];

/// A module of `GUESTS`, and how raw wasmi runs it with each of `MEMORIES`.
struct Subject {
    module: Vec<u8>,
    oracles: [Oracle; 2],
    exports: Vec<(String, Vec<Value>)>,
}

impl Subject {
    fn grows(&self) -> bool {
        self.oracles[0].grows
    }
}

fn subjects() -> &'static [Subject] {
    static SUBJECTS: OnceLock<Vec<Subject>> = OnceLock::new();
    SUBJECTS.get_or_init(|| {
        let subject = |text: &&str| {
            let module = wat::parse_str(text).unwrap();
            let oracles = [0, 1].map(|memory| Oracle::new(&module, &limits(memory)).unwrap());
            Subject { exports: oracles[0].scalar_exports(), oracles, module }
        };
        GUESTS.iter().map(subject).collect()
    })
}

fn limits(memory: usize) -> Limits {
    Limits { fuel: FUEL, memory_bytes: MEMORIES[memory], output_bytes: 64, input_bytes: 64, ..Limits::default() }
}

/// The function of a name, an alias or a pinned handle.
#[derive(Clone)]
struct Version {
    subject: usize,
    memory: usize,
    /// The most instances.
    max: Rc<Cell<usize>>,
}

struct Machine {
    runtime: Runtime,
    limits: RuntimeLimits,
    names: BTreeMap<&'static str, Version>,
    aliases: BTreeMap<&'static str, Version>,
    pinned: Vec<(Version, Function)>,
    /// Instances that sessions around this operation hold.
    held: usize,
    ran: u64,
    refused: u64,
}

/// Runs the operations that the bytes encode.
pub fn program(bytes: &[u8]) {
    let mut source = Unstructured::new(bytes);
    let Ok(mut machine) = Machine::new(&mut source) else { return };
    for _ in 0..STEPS {
        if source.is_empty() || machine.step(&mut source).is_err() {
            break;
        }
        machine.check();
    }
    machine.end();
}

impl Machine {
    fn new(source: &mut Unstructured<'_>) -> Result<Self> {
        let limits = RuntimeLimits {
            functions: source.int_in_range(2..=4)?,
            instances: *source.choose(&[1, 3, 64])?,
            resident_memory: *source.choose(&[200 << 10, 1 << 20, 64 << 20])?,
            ..RuntimeLimits::default()
        };
        let reset = *source.choose(&[Reset::Auto, Reset::Portable, Reset::ByFaultCount, Reset::ByPageScan])?;
        Ok(Self {
            runtime: Runtime::builder().limits(limits.clone()).reset(reset).build(),
            limits,
            names: BTreeMap::new(),
            aliases: BTreeMap::new(),
            pinned: Vec::new(),
            held: 0,
            ran: 0,
            refused: 0,
        })
    }

    fn step(&mut self, source: &mut Unstructured<'_>) -> Result<()> {
        let name = *source.choose(&NAMES)?;
        match source.int_in_range(0..=15)? {
            0..=2 => self.deploy(name, source)?,
            3 => {
                let was_there = self.names.remove(name).is_some();
                assert_eq!(self.runtime.undeploy(name), was_there);
                if was_there {
                    self.aliases.remove(name);
                }
            }
            4 => {
                let idle_for = Duration::from_nanos(source.int_in_range(0..=1)? * u64::from(u32::MAX));
                self.runtime.trim(idle_for);
            }
            5 => {
                let count = source.int_in_range(0..=3)?;
                if let Some(function) = self.runtime.find(name) {
                    match function.prewarm(count) {
                        Ok(idle) => assert!(idle <= self.names[name].max.get()),
                        Err(error) => self.expect_busy(&error),
                    }
                }
            }
            6 => {
                let max = source.int_in_range(0..=3)?;
                if let Some(version) = self.names.get(name) {
                    self.runtime.find(name).unwrap().set_max_instances(max).unwrap();
                    version.max.set(max);
                }
            }
            7 => {
                if let (Some(version), Some(function)) = (self.names.get(name), self.runtime.find(name)) {
                    if self.pinned.len() < 4 {
                        self.pinned.push((version.clone(), function.pinned().unwrap()));
                    }
                }
            }
            8 if !self.pinned.is_empty() => {
                self.pinned.swap_remove(source.choose_index(self.pinned.len())?);
            }
            9 => {
                if let (Some(version), Some(function)) = (self.names.get(name), self.runtime.find(name)) {
                    if self.runtime.alias("live", name, function.version().unwrap()).is_ok() {
                        self.aliases.insert(name, version.clone());
                    }
                }
            }
            _ => {
                if let Some((version, function)) = self.choose(name, source)? {
                    self.run(&version, &function, source)?;
                }
            }
        }
        Ok(())
    }

    fn deploy(&mut self, name: &'static str, source: &mut Unstructured<'_>) -> Result<()> {
        let subject = source.choose_index(GUESTS.len())?;
        let memory = source.choose_index(MEMORIES.len())?;
        let max = source.int_in_range(0..=3)?;
        let min = source.int_in_range(0..=max.min(1))?;
        let module = &subjects()[subject].module;
        let deployment = self.runtime.deployment(name, module).limits(limits(memory)).instances(min..=max);
        match deployment.max_wait(Duration::ZERO).deploy() {
            Ok(_) => drop(self.names.insert(name, Version { subject, memory, max: Rc::new(Cell::new(max)) })),
            Err(DeployError::TooManyFunctions { limit }) => {
                assert!(!self.names.contains_key(name) && self.names.len() == limit);
            }
            Err(DeployError::Busy(_)) => assert!(self.is_tight()),
            Err(error) => panic!("{error}"),
        }
        Ok(())
    }

    /// A handle by name, by alias or pinned, and the version that it must have.
    fn choose(&self, name: &str, source: &mut Unstructured<'_>) -> Result<Option<(Version, Function)>> {
        let found = match source.int_in_range(0..=3)? {
            0 if !self.pinned.is_empty() => return source.choose(&self.pinned).cloned().map(Some),
            1 => (self.aliases.get(name).cloned(), self.runtime.find(&format!("{name}@live"))),
            _ => (self.names.get(name).cloned(), self.runtime.find(name)),
        };
        assert_eq!(found.0.is_some(), found.1.is_some(), "{name}");
        Ok(found.0.zip(found.1))
    }

    fn run(&mut self, version: &Version, function: &Function, source: &mut Unstructured<'_>) -> Result<()> {
        let subject = &subjects()[version.subject];
        let fuel = match source.int_in_range(0..=2)? {
            0 => source.int_in_range(0..=100)?,
            1 => source.int_in_range(0..=10_000)?,
            _ => FUEL,
        };
        match source.int_in_range(0..=5)? {
            0 | 1 => {
                let (export, types) = source.choose(&subject.exports)?;
                let args = args(types, source)?;
                if let Some(error) = self.busy(function, fuel) {
                    self.refuse(version, &error);
                    return Ok(());
                }
                let (ours, theirs) =
                    (ours(function, export, &args, fuel), subject.oracles[version.memory].call(export, &args, fuel));
                self.ran += 1;
                // The growth exceeded the runtime's memory.
                if self.is_tight()
                    && subject.grows()
                    && ours.result.as_ref().is_err_and(|error| error.starts_with("busy"))
                {
                    return Ok(());
                }
                assert!(is_the_same(&ours, &theirs), "{export}{args:?}: {ours:?} where {theirs:?} is right");
            }
            2 => {
                let len = source.int_in_range(0..=70)?;
                let input = source.bytes(len.min(source.len()))?;
                let of = |function: &Function| function.invocation(input).fuel(fuel).run();
                let fresh = said(of(&fresh(version)), |reply| reply.output().to_vec());
                let ours = of(function);
                self.count(&ours);
                self.compare(version, said(ours, |reply| reply.output().to_vec()), fresh);
            }
            3 => {
                let cancel = Cancel::new();
                cancel.cancel();
                let error = function.invocation(b"").cancel(&cancel).run().unwrap_err();
                assert_eq!(*error.kind(), InvokeErrorKind::Cancelled);
                self.refused += 1;
            }
            _ => {
                let steps =
                    (0..source.int_in_range(1..=3)?).map(|_| Step::any(subject, source)).collect::<Result<Vec<_>>>()?;
                let of = |function: &Function| {
                    function
                        .invocation(b"")
                        .fuel(fuel)
                        .session(|guest| Ok(steps.iter().map(|step| step.run(guest)).collect::<Vec<_>>()))
                };
                let fresh = said(of(&fresh(version)), |session| session.value().clone());
                self.held += 1;
                let nested = self.held < 3 && source.ratio(1, 3)?;
                let mut inner = Ok(());
                let ours = function.invocation(b"").fuel(fuel).session(|guest| {
                    let mut said = vec![steps[0].run(guest)];
                    // Other operations in between do not affect this session.
                    if nested {
                        inner = self.step(source);
                    }
                    said.extend(steps[1..].iter().map(|step| step.run(guest)));
                    Ok(said)
                });
                self.held -= 1;
                self.count(&ours);
                self.compare(version, said(ours, |session| session.value().clone()), fresh);
                inner?;
            }
        }
        Ok(())
    }

    fn compare(&self, version: &Version, ours: Said, theirs: Said) {
        // As a text, or as one of the answers in a session.
        let busy = ours.0.contains("busy: ") || ours.0.contains("Err(Busy(");
        if busy && (self.is_tight() || (!ours.1 && self.may_be_busy(version))) {
            return;
        }
        // See `is_the_same`.
        let overflows = |said: &Said| said.0.contains("StackOverflow") || said.0.contains("call stack exhausted");
        if overflows(&ours) && overflows(&theirs) {
            return;
        }
        assert_eq!(ours, theirs);
    }

    /// Why an invocation cannot begin now, if it cannot. The attempt changes nothing.
    fn busy(&mut self, function: &Function, fuel: u64) -> Option<InvokeError> {
        let error = function.invocation(b"").fuel(fuel).session(|_| Ok(())).err();
        self.ran += u64::from(error.is_none());
        error
    }

    fn refuse(&mut self, version: &Version, error: &InvokeError) {
        assert!(error.report().is_none() && self.may_be_busy(version), "{error}");
        self.expect_busy(error);
        self.refused += 1;
    }

    fn expect_busy(&self, error: &InvokeError) {
        assert!(matches!(error.kind(), InvokeErrorKind::Busy(_)), "{error}");
    }

    fn count<T: Debug>(&mut self, ran: &std::result::Result<T, InvokeError>) {
        match ran {
            Err(error) if error.report().is_none() => {
                let is_known = matches!(
                    error.kind(),
                    InvokeErrorKind::Busy(_)
                        | InvokeErrorKind::InputTooLarge { .. }
                        | InvokeErrorKind::NestedTooDeep { .. }
                );
                assert!(is_known, "{error}");
                self.refused += 1;
            }
            _ => self.ran += 1,
        }
    }

    /// Whether an invocation may find no instance, as no operation around it holds one.
    fn may_be_busy(&self, version: &Version) -> bool {
        self.is_tight() || self.held > 0 || version.max.get() == 0
    }

    /// Whether the runtime itself may lack room.
    fn is_tight(&self) -> bool {
        self.limits.instances < 64 || self.limits.resident_memory < 64 << 20
    }

    fn check(&self) {
        let dormouse::InUse { instances, bytes: memory, .. } = self.runtime.in_use();
        assert!(instances <= self.limits.instances && memory <= self.limits.resident_memory, "{instances} {memory}");
        assert_eq!((instances == 0), (memory == 0), "{instances} {memory}");
        let functions = self.runtime.functions();
        assert!(functions.iter().map(Function::name).eq(self.names.keys().copied()));
        for function in &functions {
            let dormouse::InstanceCount { idle, live, .. } = function.instances();
            assert!(idle == live && live <= self.names[function.name()].max.get(), "{idle} of {live}");
        }
        let ledger = self.runtime.ledger();
        let sum = |figure: fn(&dormouse::FunctionUsage) -> u64| {
            ledger.functions().iter().chain([ledger.retired()]).map(figure).sum::<u64>()
        };
        assert_eq!(
            (sum(|usage| usage.invocations()), sum(|usage| usage.refused())),
            (self.ran + self.refused, self.refused)
        );
    }

    fn end(mut self) {
        self.check();
        self.pinned.clear();
        for name in self.names.keys() {
            assert!(self.runtime.undeploy(name));
        }
        assert_eq!(self.runtime.in_use(), dormouse::InUse::default(), "nothing is left");
    }
}

/// The outcome of an invocation, its fuel, and whether a guest ran.
#[derive(Debug, PartialEq)]
struct Said(String, bool);

fn said<T: Reported>(ran: std::result::Result<T, InvokeError>, value: impl FnOnce(&T) -> T::Value) -> Said {
    match ran {
        Ok(ran) => Said(format!("{:?} {}", value(&ran), ran.fuel()), true),
        Err(error) => {
            Said(format!("{} {:?}", error.kind(), error.report().map(|report| report.fuel())), error.report().is_some())
        }
    }
}

trait Reported {
    type Value: Debug;
    fn fuel(&self) -> u64;
}

impl Reported for dormouse::Reply {
    type Value = Vec<u8>;
    fn fuel(&self) -> u64 {
        self.report().fuel()
    }
}

impl Reported for dormouse::SessionReply<Vec<String>> {
    type Value = Vec<String>;
    fn fuel(&self) -> u64 {
        self.report().fuel()
    }
}

/// The version on a new runtime.
fn fresh(version: &Version) -> Function {
    let runtime = Runtime::builder().reset(Reset::Portable).build();
    let module = &subjects()[version.subject].module;
    runtime.deployment("fresh", module).limits(limits(version.memory)).deploy().unwrap()
}

/// One step of a session.
enum Step {
    Call(&'static str, Vec<Value>),
    Write(u32, Vec<u8>),
    Read(u32, usize),
}

impl Step {
    fn any(subject: &'static Subject, source: &mut Unstructured<'_>) -> Result<Self> {
        let at = *source.choose(&[0, 512, 1_024, 4_096, 65_530, u32::MAX - 3])?;
        Ok(match source.int_in_range(0..=3)? {
            0 => Self::Write(at, source.arbitrary::<[u8; 8]>()?.to_vec()),
            1 => Self::Read(at, source.int_in_range(0..=16)?),
            _ => {
                let (export, types) = source.choose(&subject.exports)?;
                Self::Call(export, args(types, source)?)
            }
        })
    }

    fn run(&self, guest: &mut Guest<'_>) -> String {
        match self {
            Self::Call(export, args) => {
                let bits = |values: dormouse::Values| values.iter().map(|value| value.as_u64()).collect::<Vec<_>>();
                format!("{:?}", guest.call(export, args).map(bits))
            }
            Self::Write(at, bytes) => format!("{:?}", guest.write(*at, bytes)),
            Self::Read(at, len) => format!("{:?}", guest.read(*at, *len)),
        }
    }
}

fn args(types: &[Value], source: &mut Unstructured<'_>) -> Result<Vec<Value>> {
    let mut random = super::Random::new(source.arbitrary::<u16>()?.into());
    Ok(random_args(types, |bound| random.below(bound)))
}
