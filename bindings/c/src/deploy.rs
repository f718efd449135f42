//! Deploying: from bytes and options to a function.
//!
//! Invariant: user data passes to the library only if the deployment succeeds.

use std::{
    ffi::{c_char, c_void},
    sync::OnceLock,
    thread,
    time::{Duration, SystemTime},
};

use dormouse::{ContractKind, Deployment, Extism, Limits, Wasi, kv};

use crate::{
    callback::{PendingUserData, dormouse_seeds, dormouse_time, dormouse_user_data_free},
    edge::Given,
    error::dormouse_error,
    failure::Failure,
    function::dormouse_function,
    host::dormouse_host_function,
    limits::{Bounds, clamped, dormouse_limits, dormouse_store_limits},
    plugin::{dormouse_log_level, dormouse_plugin_variable, log_level},
    report::{nanos, time},
    runtime::dormouse_runtime,
    status::dormouse_status,
    store::{dormouse_store, grant},
    text::dormouse_string,
};

/// How a guest takes its input and gives its output: one of the DORMOUSE_CONTRACT_ constants.
pub type dormouse_contract = u32;

/// The contract that the module's imports and exports fit: a plug-in if it imports
/// `extism:host/env`, else a program, else the buffer contract, else plain.
pub const DORMOUSE_CONTRACT_DETECT: dormouse_contract = 0;
/// A WASI program, which exports `_start`. It reads its input from standard input, writes its
/// output to standard output, and its log to standard error. Exit code 0 is success.
pub const DORMOUSE_CONTRACT_COMMAND: dormouse_contract = 1;
/// Exports `memory`, `alloc(len: i32) -> i32` and an entry, usually
/// `handle(ptr: i32, len: i32) -> i64`.
pub const DORMOUSE_CONTRACT_BUFFER: dormouse_contract = 2;
/// Takes no bytes. Its exports are called one by one.
pub const DORMOUSE_CONTRACT_PLAIN: dormouse_contract = 3;
/// An Extism plug-in, which imports functions of `extism:host/env` and exports the entry,
/// `() -> i32` or `()`. It succeeds if it returns 0. After 65 a delivery is not retried.
pub const DORMOUSE_CONTRACT_EXTISM: dormouse_contract = 4;

/// A variable of a guest's environment, or a value of a plug-in's configuration.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_variable {
    /// The name. In an environment it must not be empty, and must not contain `=` or NUL. In a
    /// configuration it is any text.
    pub name: dormouse_string,
    /// The value. In an environment it must not contain NUL. In a configuration it is any text.
    pub value: dormouse_string,
}

plain!(dormouse_variable);

/// Options of a deployment. Fill them in with `dormouse_deploy_options_init`, then change them.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_deploy_options {
    /// The size of this struct, which tells the library the header's version.
    pub size: usize,
    /// The function's limits.
    pub limits: dormouse_limits,
    /// How many instances the deployment makes and the runtime keeps; 0.
    pub instances_min: u64,
    /// The most instances at once; twice the number of cores. 0 switches the function off.
    pub instances_max: u64,
    /// How many nanoseconds an invocation waits while all instances are in use; 1 s. With 0 it does
    /// not wait.
    pub max_wait_ns: u64,
    /// The export that is given events. No text means `handle`, or the only export of a plug-in
    /// that fits. If several fit, each invocation must name one, or fails with
    /// DORMOUSE_NO_SUCH_EXPORT.
    pub entry: dormouse_string,
    /// How the guest takes its input; DORMOUSE_CONTRACT_DETECT.
    pub contract: dormouse_contract,
    /// The host functions that the guest may import. NULL for none. The array is not needed after
    /// the deployment.
    pub host_functions: *const dormouse_host_function,
    /// How many.
    pub host_functions_len: usize,
    /// The arguments of a WASI program, its own name first. NULL for `guest` alone. They may have
    /// 64 KiB, with one byte more counted for each.
    pub args: *const dormouse_string,
    /// How many.
    pub args_len: usize,
    /// The environment of a WASI guest. NULL for an empty one. A later value of the same name
    /// replaces the earlier one. It may have 63.5 KiB, with two bytes more counted for each
    /// variable.
    pub env: *const dormouse_variable,
    /// How many.
    pub env_len: usize,
    /// The time for a WASI guest. NULL for a clock that begins at 2000-01-01 in each invocation and
    /// advances by a microsecond with each reading, so that invocations are repeatable. In
    /// initialisation the clock is always that one.
    pub time: dormouse_time,
    /// User data of the time, ignored without a time. The library owns it once the deployment has
    /// returned DORMOUSE_OK, not before.
    pub time_user_data: *mut c_void,
    /// Called when the time is no longer needed. May be NULL.
    pub time_user_data_free: dormouse_user_data_free,
    /// Seeds for the random numbers of a WASI guest. NULL for a seed that is the same for all
    /// invocations of a version. Then invocations are repeatable, and nothing that a guest draws is
    /// a secret. In initialisation the seed is always that one.
    pub seeds: dormouse_seeds,
    /// User data of the seeds, ignored without seeds. The library owns it once the deployment has
    /// returned DORMOUSE_OK, not before.
    pub seeds_user_data: *mut c_void,
    /// Called when the seeds are no longer needed. May be NULL.
    pub seeds_user_data_free: dormouse_user_data_free,
    /// The configuration of an Extism plug-in. NULL for none. Other guests ignore `config`, `vars`
    /// and `log_level`. A later value of the same key replaces the earlier one. The configuration
    /// may have 1 MiB, with 48 bytes counted for each key. Keys that begin with `DORMOUSE_` are
    /// reserved.
    pub config: *const dormouse_variable,
    /// How many.
    pub config_len: usize,
    /// Variables that an Extism plug-in finds in each invocation. NULL for none. A later value of
    /// the same key replaces the earlier one. Variables that the plug-in sets itself are gone when
    /// the invocation ends. All may have 1 MiB, with 48 bytes counted for each key.
    pub vars: *const dormouse_plugin_variable,
    /// How many.
    pub vars_len: usize,
    /// The lowest level of an Extism plug-in's log that is kept; DORMOUSE_LOG_TRACE.
    pub log_level: dormouse_log_level,
    /// The key-value store that the guest may use. NULL for none. A host function of the same
    /// module and name replaces the store's function.
    pub store: *const dormouse_store,
    /// The namespace that the guest sees in the store: 1 to 64 of the characters A-Z a-z 0-9 . _ -.
    /// No text means the function's name. Ignored without a store.
    pub store_namespace: dormouse_string,
    /// The limits of what the guest may keep in the namespace.
    pub store_limits: dormouse_store_limits,
}

options!(dormouse_deploy_options);

/// A deployment with the caller's options.
///
/// # Safety
/// The options belong to the caller of an exported function, and the call is not over.
unsafe fn choose(
    mut deployment: Deployment,
    chosen: &dormouse_deploy_options,
    pending: &mut PendingUserData,
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
        other => return Err(Failure::argument(format!("{other} is not a dormouse_contract"))),
    };
    // SAFETY: the caller's; each pointer is followed by its length.
    unsafe {
        // The store comes before the host functions, which may replace its functions.
        if let Some(grant) = grant(chosen.store, chosen.store_namespace, &chosen.store_limits)? {
            deployment = deployment.kv(grant);
        }
        if let Some(entry) = chosen.entry.optional("options->entry")? {
            deployment = deployment.entry(entry);
        }
        for function in Given::new(chosen.host_functions, "options->host_functions").slice(chosen.host_functions_len)? {
            deployment = function.grant(deployment, pending)?;
        }
    }
    // SAFETY: as above.
    let wasi = unsafe { wasi(chosen, pending) }?;
    // SAFETY: as above.
    let extism = unsafe { extism(chosen) }?;
    Ok(deployment.wasi(wasi).extism(extism))
}

/// The options for a guest of WASI.
///
/// # Safety
/// As [`choose`].
unsafe fn wasi(chosen: &dormouse_deploy_options, pending: &mut PendingUserData) -> Result<Wasi, Failure> {
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
        let user = pending.take(chosen.time_user_data, chosen.time_user_data_free);
        wasi = wasi.time(move || {
            // SAFETY: a function and its user data, given together for use from any thread.
            SystemTime::UNIX_EPOCH + Duration::from_nanos(unsafe { time(user.data()) })
        });
    }
    if let Some(seeds) = chosen.seeds {
        let user = pending.take(chosen.seeds_user_data, chosen.seeds_user_data_free);
        wasi = wasi.seeds(move || {
            let mut seed = [0; 32];
            // SAFETY: as above; there is room for what it writes.
            unsafe { seeds(user.data(), seed.as_mut_ptr()) };
            seed
        });
    }
    Ok(wasi)
}

/// The options for an Extism plug-in.
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

/// Cores that this process may use. It is asked once, as the standard library opens files of the
/// control group for it.
fn cores() -> u64 {
    static CORES: OnceLock<u64> = OnceLock::new();
    *CORES.get_or_init(|| thread::available_parallelism().map_or(1, |cores| cores.get() as u64))
}

exported! { fallible:
    /// Fills in the defaults. `size` is `sizeof *options`. If it is not the size that this library
    /// knows, the call fails and writes nothing.
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

    /// Deploys a function under a name of 1 to 64 of the characters A-Z a-z 0-9 . _ -. The library
    /// validates the module, compiles it lazily, runs its initialisation once and keeps the state
    /// that this leaves. Then it replaces a function of the same name. Invocations under way finish
    /// on the version that they began with. The module's bytes are not needed afterwards.
    ///
    /// `options` may be NULL for the defaults. `function_out` may be NULL, as
    /// `dormouse_runtime_find` finds the function later. The library owns the user data in the
    /// options once the call has returned DORMOUSE_OK. After a failure the caller still owns it.
    ///
    /// The call needs 512 KiB of stack. It takes some 50 us for a small module. The first call in a
    /// process takes about 1 ms more.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_UTF8, 100 to 199, DORMOUSE_INITIALISE,
    /// DORMOUSE_BUSY. After a failure nothing has changed.
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
        let mut pending = PendingUserData::default();
        if let Some(chosen) = crate::options::given(options)? {
            // SAFETY: the options are the caller's, and so is what they point to, for as long as
            // their lengths say.
            deployment = unsafe { choose(deployment, &chosen, &mut pending) }?;
        }
        let function = deployment.deploy()?;
        pending.accept();
        if let Some(place) = function_out.optional() {
            place.share(dormouse_function::new(function));
        }
        Ok(())
    }
}
