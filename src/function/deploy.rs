//! Deploying, in stages. Bytes and options are checked, surveyed and prepared. An instance
//! initialises itself. Its image makes the version, which takes its name last.
//!
//! Invariant: a stage that fails leaves everything as it was.

use std::{
    num::NonZero,
    sync::{Arc, OnceLock},
    thread,
};

use super::{
    Function, Target,
    blueprint::{Blueprint, Initialised, LaneCopies},
    deployment::{Deployment, Options},
    version::Deployed,
};
use crate::{
    error::{DeployError, InvokeErrorKind},
    guest::{Contract, Imports},
    instance::{Segment, Technique},
    kv::Granted,
    limits::{STACK_MIN, is_name},
    module::{Prepared, Survey, self_check},
    pool::Pool,
    text::cut,
    usage::{DeployReport, Label, Version, trace},
};

/// The most lanes of a function.
const LANES_MAX: usize = 16;

pub(super) fn deploy(deployment: Deployment, module: &[u8]) -> Result<Function, DeployError> {
    let functions = Arc::clone(&deployment.functions);
    let _span = trace::deployment(&deployment.name);
    let began = functions.clock.now();
    check(&deployment)?;
    self_check()?;
    let Deployment { name, instances, max_wait, .. } = &deployment;
    let (name, min, max, max_wait) = (name.clone(), *instances.start(), *instances.end(), *max_wait);

    let Surveyed { blueprint, segments } = survey(deployment, module)?;
    let initialised = initialise(&blueprint, &segments)?;
    let Initialised { mut instance, fuel, .. } = initialised;
    let (image, base) = (instance.capture(), instance.host().guest.base());
    let technique = Technique::choose(functions.reset, &blueprint.prepared, &image, &blueprint.limits);
    let report = DeployReport {
        label: Arc::clone(blueprint.label()),
        module_bytes: module.len() as u64,
        functions: blueprint.prepared.functions,
        contract: blueprint.contract.name(),
        init_fuel: fuel,
        duration: functions.clock.now().saturating_sub(began),
        memory: image.memory_bytes(),
        image_bytes: image.kept_bytes(),
        reset: technique.name(),
    };
    trace::report(&report);

    let (counters, is_new) = functions.books.open(blueprint.label());
    let segments = if blueprint.prepared.reinitialises { segments } else { Vec::new() };
    let pool = Arc::new(Pool::new(min, max, lanes(max), max_wait));
    let deployed = Arc::new(Deployed::new(
        blueprint,
        report,
        (image, base, segments),
        pool,
        Arc::clone(&counters),
        (functions.reset, technique),
    ));
    if max > 0 {
        deployed.adopt(instance);
    }
    let prewarmed = if min > 0 { deployed.prewarm(min) } else { Ok(0) };
    let installed = prewarmed.map_err(refused).and_then(|_| functions.install(&name, &deployed));
    if installed.is_err() && is_new {
        let label = Arc::clone(deployed.label());
        drop(deployed);
        functions.books.withdraw(&label, &counters);
    }
    Ok(Function { functions, target: Target::Name(installed?) })
}

/// Checks name and options, before the module is read.
fn check(deployment: &Deployment) -> Result<(), DeployError> {
    let invalid = |option, problem: String| Err(DeployError::InvalidOption { option, problem: problem.into() });
    let Deployment { name, options, kv, instances, .. } = deployment;
    if !is_name(name) {
        return Err(DeployError::InvalidName { name: cut(name) });
    }
    if instances.start() > instances.end() {
        return invalid(
            "instances",
            format!("{} instances kept warm are more than the maximum of {}", instances.start(), instances.end()),
        );
    }
    if let Some((option, problem)) = options.guest.problem() {
        return invalid(option, problem);
    }
    if options.limits.stack_bytes < STACK_MIN {
        return invalid(
            "limits",
            format!("a stack of {} bytes is below the minimum of {STACK_MIN}", options.limits.stack_bytes),
        );
    }
    match kv.as_ref().and_then(|granted| granted.problem()) {
        Some(problem) => invalid("kv", problem),
        None => Ok(()),
    }
}

/// What is known of a module before any of its code has run.
struct Surveyed {
    blueprint: Blueprint,
    segments: Vec<Segment>,
}

/// Validates the module, rewrites it, compiles it lazily, and finds its contract.
fn survey(deployment: Deployment, module: &[u8]) -> Result<Surveyed, DeployError> {
    let Deployment { functions, name, mut options, kv, instances, .. } = deployment;
    // The order in which the host gave the functions is not part of the version.
    options.host.sort_by(|a, b| (&a.module, &a.name).cmp(&(&b.module, &b.name)));
    let survey = Survey::of(module, &options.limits)?;
    let imports = Imports::resolve(&survey, &options.host)?;
    let prepared = Prepared::new(&survey, &options.limits, *instances.end())?;
    let code = prepared.compile().map_err(|problem| DeployError::Refused { problem })?;
    let contract = Contract::detect(&prepared, &imports, options.contract, options.entry.as_deref())?;
    let segments = segments(&survey)?;
    let label = Label { name, version: version(module, &options, kv.as_deref()) };
    let Options { limits, guest, .. } = options;
    let blueprint = Blueprint {
        prepared: Arc::new(prepared),
        settings: guest.settings(&imports, &contract, &label.version),
        imports,
        lanes: LaneCopies::new(lanes(*instances.end()), code, label),
        contract,
        limits,
        clock: Arc::clone(&functions.clock),
        runtime: functions.runtime_ref(),
        budget: Arc::clone(&functions.budget),
    };
    Ok(Surveyed { blueprint, segments })
}

/// The version of a module with these options.
fn version(module: &[u8], options: &Options, kv: Option<&Granted>) -> Version {
    match kv {
        None => Version::of(module, options),
        Some(granted) => Version::of(module, &(options, granted)),
    }
}

/// Runs the initialisation. All invocations share its outcome.
fn initialise(blueprint: &Blueprint, segments: &[Segment]) -> Result<Initialised, DeployError> {
    let initialised = blueprint.initialise(0, segments).map_err(refused)?;
    if blueprint.prepared.reinitialises && initialised.host_calls > 0 {
        return Err(DeployError::UnrepeatableInitialisation { calls: initialised.host_calls });
    }
    Ok(initialised)
}

/// The number of lanes of a function with this many instances: as many as can run at once, up to a
/// maximum. Each lane compiles the code that it runs for itself.
fn lanes(instances: usize) -> usize {
    instances.min(cores()).clamp(1, LANES_MAX)
}

/// Cores that this process may use. It is asked once: the standard library opens files of the
/// control group for it, which took most of the time of deploying a small module.
pub(super) fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| thread::available_parallelism().map_or(1, NonZero::get))
}

/// Turns a failure of initialisation into a refusal to deploy.
fn refused(kind: InvokeErrorKind) -> DeployError {
    match kind {
        InvokeErrorKind::Busy(busy) => DeployError::Busy(busy),
        InvokeErrorKind::Initialise { step, cause } => DeployError::Initialise { step, cause },
        cause => DeployError::Initialise { step: "instantiation", cause: Box::new(cause) },
    }
}

/// The active data segments. Each must lie within its memory.
fn segments(survey: &Survey<'_>) -> Result<Vec<Segment>, DeployError> {
    let mut segments = Vec::new();
    for (index, data) in survey.data.iter().enumerate() {
        let Some((memory, offset)) = data.active else { continue };
        let size = survey.memories[memory as usize].initial_bytes();
        let len = data.bytes.len() as u64;
        if offset.checked_add(len).is_none_or(|end| end > size) {
            return Err(DeployError::SegmentOutOfBounds { segment: index as u32, memory, offset, len, size });
        }
        segments.push(Segment {
            memory: memory as usize,
            at: offset as usize,
            bytes: survey.module[data.bytes.clone()].into(),
        });
    }
    Ok(segments)
}
