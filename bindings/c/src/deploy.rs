//! Deploying: from bytes and options to a function.

use std::{
    ffi::{c_char, c_void},
    sync::OnceLock,
    thread,
    time::{Duration, SystemTime},
};

use dormouse::{ContractKind, Deployment, Extism, Limits, Wasi, kv};

use crate::{
    callback::{Grants, dormouse_seeds, dormouse_time, dormouse_user_data_free},
    edge::Given,
    error::dormouse_error,
    function::dormouse_function,
    host::dormouse_host_function,
    limits::{Bounds, clamped, dormouse_limits, dormouse_store_limits},
    plugin::{dormouse_log_level, dormouse_plugin_variable, log_level},
    report::{nanos, time},
    runtime::dormouse_runtime,
    status::{Failure, dormouse_status},
    store::{dormouse_store, grant},
    text::dormouse_string,
};

/// How a guest takes its input and gives its output: one of the DORMOUSE_CONTRACT_ constants.
pub type dormouse_contract = u32;

/// What the module's imports and exports fit: a plug-in if it imports `extism:host/env`, else a program, else the
/// buffer contract, else plain.
pub const DORMOUSE_CONTRACT_DETECT: dormouse_contract = 0;
/// A WASI program, which exports `_start`: input on its standard input, output on its standard output, its log on its
/// standard error; exit code 0 is success.
pub const DORMOUSE_CONTRACT_COMMAND: dormouse_contract = 1;
/// Exports `memory`, `alloc(len: i32) -> i32` and an entry, usually `handle(ptr: i32, len: i32) -> i64`.
pub const DORMOUSE_CONTRACT_BUFFER: dormouse_contract = 2;
/// Takes no bytes: exports are called one by one.
pub const DORMOUSE_CONTRACT_PLAIN: dormouse_contract = 3;
/// An Extism plug-in: imports functions of `extism:host/env`, and exports the entry, `() -> i32` or `()`. 0 is success;
/// after 65 a delivery is not tried again.
pub const DORMOUSE_CONTRACT_EXTISM: dormouse_contract = 4;

/// A variable of a guest's environment, or a value of a plug-in's configuration.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_variable {
    /// Its name: in an environment not empty, and without `=` and NUL; in a configuration any text.
    pub name: dormouse_string,
    /// Its value: in an environment without NUL; in a configuration any text.
    pub value: dormouse_string,
}

plain!(dormouse_variable);

/// Choices for a deployment. Fill in with `dormouse_deploy_options_init`, then change.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_deploy_options {
    /// The size of this struct, by which the library knows the header's version.
    pub size: usize,
    /// The function's bounds.
    pub limits: dormouse_limits,
    /// Instances made at deployment and kept; 0.
    pub instances_min: u64,
    /// Instances at most at once; twice the number of cores. 0 switches the function off.
    pub instances_max: u64,
    /// How long an invocation waits in nanoseconds while all instances are in use; 1 s. 0 is not at all.
    pub max_wait_ns: u64,
    /// The export that is given events; no text for `handle`, or the only one of a plug-in that fits. Where several fit,
    /// each invocation has to name one, or fails with DORMOUSE_NO_SUCH_EXPORT.
    pub entry: dormouse_string,
    /// How the guest takes its input; DORMOUSE_CONTRACT_DETECT.
    pub contract: dormouse_contract,
    /// The functions that the guest may import; NULL for none. The array is not needed after the deployment.
    pub host_functions: *const dormouse_host_function,
    /// How many.
    pub host_functions_len: usize,
    /// The arguments of a WASI program, its own name first; NULL for `guest` alone. 64 KiB at most, with a byte more
    /// for each.
    pub args: *const dormouse_string,
    /// How many.
    pub args_len: usize,
    /// The environment of a WASI guest; NULL for an empty one. Of one name the later value holds. 63.5 KiB at
    /// most, with two bytes more for each.
    pub env: *const dormouse_variable,
    /// How many.
    pub env_len: usize,
    /// The time for a WASI guest. NULL for a clock that begins at 2000-01-01 in each invocation and goes on by a
    /// microsecond with each reading, so that invocations can be repeated; in initialisation it always does.
    pub time: dormouse_time,
    /// For the time; not looked at without one. The library's once the deployment has returned DORMOUSE_OK, not
    /// before.
    pub time_user_data: *mut c_void,
    /// Called when the time is not needed any more; may be NULL.
    pub time_user_data_free: dormouse_user_data_free,
    /// Seeds for the random numbers of a WASI guest. NULL for one that is the same for all invocations of a version,
    /// so that they can be repeated, and nothing that a guest draws is a secret; in initialisation it always is.
    pub seeds: dormouse_seeds,
    /// For the seeds; not looked at without them. The library's once the deployment has returned DORMOUSE_OK, not
    /// before.
    pub seeds_user_data: *mut c_void,
    /// Called when the seeds are not needed any more; may be NULL.
    pub seeds_user_data_free: dormouse_user_data_free,
    /// The configuration of an Extism plug-in; NULL for none. Other guests do not use it, nor the two after it. Of one key
    /// the later value holds. 1 MiB at most, 48 bytes for each key included. Keys that begin with `DORMOUSE_` are
    /// reserved.
    pub config: *const dormouse_variable,
    /// How many.
    pub config_len: usize,
    /// Variables that an Extism plug-in finds set in each invocation; NULL for none. Of one key the later value holds.
    /// What it sets itself is gone when the invocation ends. 1 MiB at most, 48 bytes for each key included.
    pub vars: *const dormouse_plugin_variable,
    /// How many.
    pub vars_len: usize,
    /// From which level on an Extism plug-in's log is kept; DORMOUSE_LOG_TRACE.
    pub log_level: dormouse_log_level,
    /// The key-value store that the guest may use; NULL for none. A host function of the same module and name as one of
    /// the store's takes its place.
    pub store: *const dormouse_store,
    /// The namespace in it that the guest sees, 1 to 64 of the characters A-Z a-z 0-9 . _ -; no text for the
    /// function's name. Not looked at without a store.
    pub store_namespace: dormouse_string,
    /// What it may keep there.
    pub store_limits: dormouse_store_limits,
}

options!(dormouse_deploy_options);

/// A deployment with the caller's choices.
///
/// # Safety
/// The options are those of an exported function's caller, and the call is not over.
unsafe fn choose(
    mut deployment: Deployment,
    chosen: &dormouse_deploy_options,
    grants: &mut Grants,
) -> Result<Deployment, Failure> {
    deployment = deployment
        .limits(chosen.limits.bounds()?)
        .instances(clamped(chosen.instances_min)..=clamped(chosen.instances_max))
        .max_wait(time(chosen.max_wait_ns));
    deployment = match chosen.contract {
        DORMOUSE_CONTRACT_DETECT => deployment,
        DORMOUSE_CONTRACT_COMMAND => deployment.contract(ContractKind::Command),
        DORMOUSE_CONTRACT_BUFFER => deployment.contract(ContractKind::Buffer),
        DORMOUSE_CONTRACT_PLAIN => deployment.contract(ContractKind::Plain),
        DORMOUSE_CONTRACT_EXTISM => deployment.contract(ContractKind::Extism),
        other => return Err(Failure::argument(format!("{other} is no dormouse_contract"))),
    };
    // SAFETY: the caller's; each pointer is followed by its length.
    unsafe {
        // Before the host functions, which may take the place of its own.
        if let Some(grant) = grant(chosen.store, chosen.store_namespace, &chosen.store_limits)? {
            deployment = deployment.kv(grant);
        }
        if let Some(entry) = chosen.entry.optional("options->entry")? {
            deployment = deployment.entry(entry);
        }
        for function in Given::new(chosen.host_functions, "options->host_functions").slice(chosen.host_functions_len)? {
            deployment = function.grant(deployment, grants)?;
        }
    }
    // SAFETY: as above.
    let wasi = unsafe { wasi(chosen, grants) }?;
    // SAFETY: as above.
    let extism = unsafe { extism(chosen) }?;
    Ok(deployment.wasi(wasi).extism(extism))
}

/// What a guest of WASI is given.
///
/// # Safety
/// As [`choose`].
unsafe fn wasi(chosen: &dormouse_deploy_options, grants: &mut Grants) -> Result<Wasi, Failure> {
    let mut wasi = Wasi::new();
    // SAFETY: the caller's; each pointer is followed by its length.
    unsafe {
        let args = Given::new(chosen.args, "options->args").slice(chosen.args_len)?;
        if !chosen.args.is_null() {
            let args: Vec<&str> = args.iter().map(|arg| arg.get("options->args")).collect::<Result<_, _>>()?;
            wasi = wasi.args(args);
        }
        for variable in Given::new(chosen.env, "options->env").slice(chosen.env_len)? {
            let name = variable.name.get("options->env->name")?;
            wasi = wasi.env(name, variable.value.get("options->env->value")?);
        }
    }
    if let Some(time) = chosen.time {
        let user = grants.take(chosen.time_user_data, chosen.time_user_data_free);
        wasi = wasi.time(move || {
            // SAFETY: a function and its user data, given together for use from any thread.
            SystemTime::UNIX_EPOCH + Duration::from_nanos(unsafe { time(user.data()) })
        });
    }
    if let Some(seeds) = chosen.seeds {
        let user = grants.take(chosen.seeds_user_data, chosen.seeds_user_data_free);
        wasi = wasi.seeds(move || {
            let mut seed = [0; 32];
            // SAFETY: as above; there is room for what it writes.
            unsafe { seeds(user.data(), seed.as_mut_ptr()) };
            seed
        });
    }
    Ok(wasi)
}

/// What an Extism plug-in is given.
///
/// # Safety
/// As [`choose`].
unsafe fn extism(chosen: &dormouse_deploy_options) -> Result<Extism, Failure> {
    let mut extism = Extism::new().log_level(log_level(chosen.log_level)?);
    // SAFETY: the caller's; each pointer is followed by its length.
    unsafe {
        for pair in Given::new(chosen.config, "options->config").slice(chosen.config_len)? {
            let key = pair.name.get("options->config->name")?;
            extism = extism.config(key, pair.value.get("options->config->value")?);
        }
        for variable in Given::new(chosen.vars, "options->vars").slice(chosen.vars_len)? {
            let (key, value) = variable.get()?;
            extism = extism.var(key, value);
        }
    }
    Ok(extism)
}

/// Cores that this process may use. Asked once, as the standard library opens files of the control group to find out.
fn cores() -> u64 {
    static CORES: OnceLock<u64> = OnceLock::new();
    *CORES.get_or_init(|| thread::available_parallelism().map_or(1, |cores| cores.get() as u64))
}

exported! { fallible:
    /// Fills in the defaults. `size` is `sizeof *options`; if it is not what this library knows, the call fails and
    /// nothing is written.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT.
    pub unsafe extern "C" fn dormouse_deploy_options_init(
        options: *mut dormouse_deploy_options,
        size: usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        crate::options::init(options, size, |options| {
            options.limits.set(Limits::default());
            options.store_limits.set(kv::Limits::default());
            options.instances_max = 2 * cores();
            options.max_wait_ns = nanos(Duration::from_secs(1));
        })
    }

    /// Deploys a function under a name of 1 to 64 of the characters A-Z a-z 0-9 . _ -: validates the module, compiles
    /// it lazily, runs its initialisation once and keeps the state that this leaves. A function that has the name is
    /// replaced, once all has gone well; invocations under way finish on what they began with. The module's bytes are
    /// not needed afterwards.
    ///
    /// `options` may be NULL for the defaults. `function_out` may be NULL: `dormouse_runtime_find` finds the function
    /// later. User data in the options is the library's once the call has returned DORMOUSE_OK; after a failure it is
    /// the caller's as before.
    ///
    /// Needs 512 KiB of stack. Takes some 50 us for a small module, and about 1 ms more the first time in a process.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_UTF8, 100 to 199, DORMOUSE_INITIALISE, DORMOUSE_BUSY.
    /// Nothing has changed then.
    pub unsafe extern "C" fn dormouse_runtime_deploy(
        runtime: *const dormouse_runtime,
        name: *const c_char,
        name_len: usize,
        module: *const u8,
        module_len: usize,
        options: *const dormouse_deploy_options,
        function_out: *mut *mut dormouse_function,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let runtime = runtime.get()?;
        // SAFETY: each pointer is followed by its length.
        let (name, module) = unsafe { (name.text(name_len)?, module.slice(module_len)?) };
        let mut deployment = runtime.0.deployment(name, module);
        let mut grants = Grants::default();
        if let Some(chosen) = crate::options::given(options)? {
            // SAFETY: the options are the caller's, and so is what they point to, for as long as their lengths say.
            deployment = unsafe { choose(deployment, &chosen, &mut grants) }?;
        }
        let function = deployment.deploy()?;
        grants.accept();
        if let Some(place) = function_out.optional() {
            place.share(dormouse_function::new(function));
        }
        Ok(())
    }
}
