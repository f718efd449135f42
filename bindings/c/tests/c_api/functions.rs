//! Functions: what stands under names, behind aliases and pinned handles, and calls of them.

use std::{cell::RefCell, collections::BTreeMap, ffi::c_char, ptr, rc::Rc, sync::atomic::Ordering::SeqCst};

use arbitrary::Result;
use dormouse_c::{dormouse_function, dormouse_status as S};

use super::{
    Handle, Machine, NAMES,
    edge::{self, Out, call, check, ok_unless_null},
    guests::{self, Guest, INPUT_MAX, INPUTS, MODULES, Version},
    host,
    kept::Kept,
};

/// What stands under the names of one runtime.
#[derive(Default)]
pub(super) struct Names {
    current: BTreeMap<&'static str, Rc<Version>>,
    /// Behind the alias `prod`.
    aliases: BTreeMap<&'static str, Rc<Alias>>,
}

/// A handle follows its alias until the alias is removed. It does not follow a later alias of the
/// same name.
type Alias = RefCell<Option<Rc<Version>>>;

impl Names {
    pub(super) fn clear(&mut self) {
        for name in NAMES {
            self.unalias(name);
        }
        self.current.clear();
    }

    /// Removes the alias of a name. Returns whether there was one.
    fn unalias(&mut self, name: &str) -> bool {
        let gone = self.aliases.remove(name);
        gone.is_some_and(|alias| alias.take().is_some())
    }
}

/// What a handle stands for.
#[derive(Clone)]
pub(super) enum Follows {
    Name(&'static str),
    Alias(&'static str, Rc<Alias>),
    Pinned(&'static str, Rc<Version>),
}

impl Follows {
    fn name(&self) -> &'static str {
        match self {
            Self::Name(name) | Self::Alias(name, _) | Self::Pinned(name, _) => name,
        }
    }
}

impl Machine<'_> {
    /// A handle of a function. `None` for NULL, which it is at times.
    fn function(&mut self) -> Result<(Option<usize>, *const dormouse_function)> {
        if self.functions.is_empty() || self.source.ratio(1, 24)? {
            return Ok((None, ptr::null()));
        }
        let at = self.source.choose_index(self.functions.len())?;
        Ok((Some(at), self.functions[at].at))
    }

    fn version(&self, handle: usize) -> Option<Rc<Version>> {
        let Handle { runtime, follows, .. } = &self.functions[handle];
        let names = &self.runtimes[*runtime].names;
        match follows {
            Follows::Name(name) => names.current.get(name).cloned(),
            Follows::Alias(_, alias) => alias.borrow().clone(),
            Follows::Pinned(_, version) => Some(Rc::clone(version)),
        }
    }

    pub(super) fn deploy(&mut self) -> Result<()> {
        let (at, runtime) = self.pick()?;
        let is_named = !self.source.ratio(1, 12)?;
        let name = if is_named { *self.source.choose(&NAMES)? } else { "a name" };
        let guests = [Guest::Deed, Guest::Echo, Guest::Plain, Guest::Deed, Guest::Keeper, Guest::Plugin];
        let guest = *self.source.choose(&guests)?;
        let mut options = edge::init(dormouse_c::dormouse_deploy_options_init);
        self.deployed += 1;
        (options.limits.fuel, options.limits.input_bytes) = (20_000, INPUT_MAX as u64);
        (options.limits.log_bytes, options.max_wait_ns) = (1_000 + self.deployed, 0);
        (options.instances_min, options.instances_max) =
            (self.source.int_in_range(0..=1)?, self.source.int_in_range(1..=2)?);
        let users = [self.users.add(), self.users.add()];
        let (params, handle) = ([dormouse_c::DORMOUSE_I32; 2], dormouse_c::DORMOUSE_I64);
        let note = dormouse_c::dormouse_host_function {
            module: edge::string("test"),
            name: edge::string("note"),
            params: params.as_ptr(),
            params_len: 2,
            results: ptr::null(),
            results_len: 0,
            callback: Some(host::note),
            user_data: users[0].data(),
            user_data_free: Some(host::free),
        };
        let turn = dormouse_c::dormouse_host_function {
            module: edge::string("extism:host/user"),
            name: edge::string("turn"),
            params: &raw const handle,
            params_len: 1,
            results: &raw const handle,
            results_len: 1,
            callback: Some(host::turn),
            user_data: users[1].data(),
            ..note
        };
        let granted = [note, turn];
        (options.host_functions, options.host_functions_len) = (granted.as_ptr(), granted.len());
        let store = self.grant(&mut options, name)?;
        let mut expected = Vec::new();
        expected.extend((guest == Guest::Keeper && store.is_none()).then_some(S::DORMOUSE_UNKNOWN_IMPORTS));
        let mut module = &MODULES[guest as usize][..];
        match self.source.int_in_range(0..=15)? {
            0 => {
                options.host_functions_len = 0;
                expected.extend(guest.imports().then_some(S::DORMOUSE_UNKNOWN_IMPORTS));
            }
            1 => {
                module = &module[..module.len() / 2];
                expected.push(S::DORMOUSE_INVALID_MODULE);
            }
            2 => {
                options.size -= 1;
                expected.push(S::DORMOUSE_ARGUMENT);
            }
            3 => {
                options.contract = 99;
                expected.push(S::DORMOUSE_ARGUMENT);
            }
            _ => {}
        }
        let is_granted = options.host_functions_len > 0;
        expected.extend((!is_named).then_some(S::DORMOUSE_INVALID_NAME));
        if let Some(at) = at {
            let host = &self.runtimes[at];
            let is_full = host.names.current.len() as u64 >= host.limits.functions;
            expected
                .extend((is_full && !host.names.current.contains_key(name)).then_some(S::DORMOUSE_TOO_MANY_FUNCTIONS));
        } else {
            expected = vec![S::DORMOUSE_NULL];
        }
        if expected.is_empty() {
            expected.push(S::DORMOUSE_OK);
        }

        let wants_handle = self.source.ratio(3, 4)?;
        let (chars, len) = edge::chars(name);
        let mut out = Out::new(false);
        let place = if wants_handle { out.at() } else { ptr::null_mut() };
        let status = check(self.asks, "deploy", |error| {
            let (bytes, bytes_len) = (module.as_ptr(), module.len());
            call!(dormouse_c::dormouse_runtime_deploy(runtime, chars, len, bytes, bytes_len, &options, place, error))
        });
        assert!(expected.contains(&status), "deploy {guest:?}: {status:?} where {expected:?} is right");
        let (Some(at), S::DORMOUSE_OK) = (at, status) else { return Ok(()) };
        if is_granted {
            users.iter().for_each(|user| user.accept());
        }
        // A function that the guest does not import is not needed.
        let [note, turn] = users;
        let user = match guest {
            Guest::Deed | Guest::Keeper => Some(note),
            Guest::Plugin => Some(turn),
            Guest::Echo | Guest::Plain => None,
        };
        let version = Version { guest, max: options.instances_max.into(), user, store };
        self.runtimes[at].names.current.insert(name, Rc::new(version));
        if wants_handle {
            let made = out.made(status, S::DORMOUSE_OK, "deploy").expect("it went well");
            self.functions.push(Handle { at: made, runtime: at, follows: Follows::Name(name) });
        }
        Ok(())
    }

    pub(super) fn undeploy(&mut self) -> Result<()> {
        let ((at, runtime), name) = (self.pick()?, *self.source.choose(&NAMES)?);
        let (chars, len) = edge::chars(name);
        let expected = at.map_or(S::DORMOUSE_NULL, |at| {
            let names = &mut self.runtimes[at].names;
            if names.current.remove(name).is_none() {
                return S::DORMOUSE_NOT_FOUND;
            }
            names.unalias(name);
            S::DORMOUSE_OK
        });
        let status = check(self.asks, "undeploy", |error| {
            call!(dormouse_c::dormouse_runtime_undeploy(runtime, chars, len, error))
        });
        assert_eq!(status, expected, "undeploy {name}");
        Ok(())
    }

    /// Gives the version of a handle the alias `prod`, or removes that alias.
    pub(super) fn alias(&mut self) -> Result<()> {
        let (at, runtime) = self.pick()?;
        let alias = *self.source.choose(&["prod", "prod", "prod", "no alias"])?;
        let (chars, len) = edge::chars(alias);
        if self.source.ratio(1, 3)? {
            let name = *self.source.choose(&NAMES)?;
            let (name_chars, name_len) = edge::chars(name);
            let expected = at.map_or(S::DORMOUSE_NULL, |at| {
                let gone = alias == "prod" && self.runtimes[at].names.unalias(name);
                if gone { S::DORMOUSE_OK } else { S::DORMOUSE_NOT_FOUND }
            });
            let status = check(self.asks, "unalias", |error| {
                call!(dormouse_c::dormouse_runtime_unalias(runtime, chars, len, name_chars, name_len, error))
            });
            assert_eq!(status, expected, "unalias {name}");
            return Ok(());
        }
        let (handle, function) = self.function()?;
        let status = check(self.asks, "alias", |error| {
            call!(dormouse_c::dormouse_runtime_alias(runtime, chars, len, function, error))
        });
        let (Some(at), Some(handle)) = (at, handle) else {
            assert_eq!(status, S::DORMOUSE_NULL, "alias");
            return Ok(());
        };
        let (version, name) = (self.version(handle), self.functions[handle].follows.name());
        let (is_here, host) = (self.functions[handle].runtime == at, &mut self.runtimes[at]);
        let is_full =
            host.names.aliases.len() as u64 >= host.limits.functions && !host.names.aliases.contains_key(name);
        let mut expected = Vec::new();
        expected.extend(version.is_none().then_some(S::DORMOUSE_UNDEPLOYED));
        expected.extend((alias != "prod").then_some(S::DORMOUSE_INVALID_NAME));
        expected.extend((!is_here).then_some(S::DORMOUSE_NOT_FOUND));
        expected.extend(is_full.then_some(S::DORMOUSE_TOO_MANY_ALIASES));
        match version {
            Some(version) if expected.is_empty() => {
                assert_eq!(status, S::DORMOUSE_OK, "alias {name}");
                *host.names.aliases.entry(name).or_default().borrow_mut() = Some(version);
            }
            _ => assert!(expected.contains(&status), "alias {name}: {status:?} where {expected:?} is right"),
        }
        Ok(())
    }

    pub(super) fn find(&mut self) -> Result<()> {
        let ((at, runtime), name) = (self.pick()?, *self.source.choose(&NAMES)?);
        let is_alias = self.source.arbitrary()?;
        let text = if is_alias { format!("{name}@prod") } else { name.to_owned() };
        let (chars, len) = edge::chars(&text);
        let mut out = Out::new(self.source.ratio(1, 16)?);
        let status = check(self.asks, "find", |error| {
            call!(dormouse_c::dormouse_runtime_find(runtime, chars, len, out.at(), error))
        });
        let expected = at.map_or(S::DORMOUSE_NULL, |at| {
            let names = &self.runtimes[at].names;
            let is_there = if is_alias { names.aliases.contains_key(name) } else { names.current.contains_key(name) };
            if is_there { S::DORMOUSE_OK } else { S::DORMOUSE_NOT_FOUND }
        });
        if let (Some(made), Some(at)) = (out.made(status, expected, &text), at) {
            let alias = self.runtimes[at].names.aliases.get(name).filter(|_| is_alias);
            let follows = alias.map_or(Follows::Name(name), |alias| Follows::Alias(name, Rc::clone(alias)));
            self.functions.push(Handle { at: made, runtime: at, follows });
        }
        Ok(())
    }

    /// Makes another handle, which follows the same name, or stays with the current version.
    pub(super) fn clone_function(&mut self) -> Result<()> {
        let (handle, function) = self.function()?;
        let pins = self.source.arbitrary()?;
        let mut out = Out::new(false);
        let status = check(self.asks, "function_clone", |error| match pins {
            true => call!(dormouse_c::dormouse_function_pin(function, out.at(), error)),
            false => call!(dormouse_c::dormouse_function_clone(function, out.at(), error)),
        });
        let follows = handle.and_then(|handle| {
            let follows = &self.functions[handle].follows;
            if !pins {
                return Some(follows.clone());
            }
            Some(Follows::Pinned(follows.name(), self.version(handle)?))
        });
        let missing = if handle.is_some() { S::DORMOUSE_UNDEPLOYED } else { S::DORMOUSE_NULL };
        let expected = follows.as_ref().map_or(missing, |_| S::DORMOUSE_OK);
        if let (Some(made), Some(follows), Some(handle)) = (out.made(status, expected, "clone"), follows, handle) {
            let runtime = self.functions[handle].runtime;
            self.functions.push(Handle { at: made, runtime, follows });
        }
        Ok(())
    }

    pub(super) fn free_function(&mut self) -> Result<()> {
        let (handle, function) = self.function()?;
        let held = handle.map(|handle| self.functions.swap_remove(handle));
        call!(dormouse_c::dormouse_function_free(function.cast_mut()));
        if let Some(held) = held {
            self.bury(held.runtime);
        }
        Ok(())
    }

    /// Lists all functions by name. There may be more than there is room for.
    pub(super) fn list_functions(&mut self) -> Result<()> {
        let (at, runtime) = self.pick()?;
        let room: usize = self.source.int_in_range(0..=3)?;
        let (mut handles, mut count) = ([ptr::null_mut(); 3], usize::MAX);
        let place = if room == 0 { ptr::null_mut() } else { handles.as_mut_ptr() };
        let status = check(self.asks, "functions", |error| {
            call!(dormouse_c::dormouse_runtime_functions(runtime, place, room, &mut count, error))
        });
        assert_eq!(status, ok_unless_null(at), "functions");
        let Some(at) = at else { return Ok(()) };
        let names: Vec<&'static str> = self.runtimes[at].names.current.keys().copied().collect();
        assert_eq!(count, names.len(), "functions");
        for (handle, name) in handles.into_iter().zip(names).take(room) {
            assert_eq!(edge::text(|len| call!(dormouse_c::dormouse_function_name(handle, len))), name);
            self.functions.push(Handle { at: handle, runtime: at, follows: Follows::Name(name) });
        }
        Ok(())
    }

    pub(super) fn concurrency(&mut self) -> Result<()> {
        let ((handle, function), max) = (self.function()?, self.source.int_in_range(0..=2)?);
        let status = check(self.asks, "set_max_instances", |error| {
            call!(dormouse_c::dormouse_function_set_concurrency(function, max, error))
        });
        let version = handle.map(|handle| self.version(handle));
        let expected = version.as_ref().map_or(S::DORMOUSE_NULL, |version| match version {
            Some(version) => {
                version.max.set(max as u64);
                S::DORMOUSE_OK
            }
            None => S::DORMOUSE_UNDEPLOYED,
        });
        assert_eq!(status, expected, "set_max_instances");
        Ok(())
    }

    pub(super) fn prewarm_and_trim(&mut self) -> Result<()> {
        let ((handle, function), count) = (self.function()?, self.source.int_in_range(0..=3)?);
        let (mut idle, mut all, mut gone) = (usize::MAX, 0, 0);
        let status = check(self.asks, "prewarm", |error| {
            call!(dormouse_c::dormouse_function_prewarm(function, count, &mut idle, error))
        });
        let version = handle.map(|handle| self.version(handle));
        match &version {
            None => assert_eq!(status, S::DORMOUSE_NULL, "prewarm"),
            Some(None) => assert_eq!(status, S::DORMOUSE_UNDEPLOYED, "prewarm"),
            Some(Some(version)) => {
                let max = version.max.get() as usize;
                assert!(status == S::DORMOUSE_OK && idle <= max.max(count), "prewarm: {status:?}, {idle} of {max}");
            }
        }
        let expected = ok_unless_null(handle);
        let status =
            check(self.asks, "trim", |error| call!(dormouse_c::dormouse_function_trim(function, 0, &mut gone, error)));
        assert_eq!(status, expected, "trim");
        let status = check(self.asks, "instances", |error| {
            call!(dormouse_c::dormouse_function_instances(function, &mut idle, &mut all, error))
        });
        assert_eq!(status, expected, "instances");
        if handle.is_some() {
            assert!(idle == all && all <= 1, "{idle} of {all} are left");
        }
        Ok(())
    }

    /// Sets what the host function of a version does from now on. In some cases it frees the handle
    /// of the call, and then the machine lets go of it.
    fn script(&mut self, handle: usize, version: &Version) -> Result<(u8, Option<Handle>)> {
        let script = self.source.int_in_range(0..=host::SCRIPTS - 1)?;
        let Some(user) = &version.user else { return Ok((script, None)) };
        user.get().script.store(script, SeqCst);
        if script != host::FREES || !version.guest.notes() {
            return Ok((script, None));
        }
        let held = self.functions.swap_remove(handle);
        user.get().to_free.store(held.at, SeqCst);
        Ok((script, Some(held)))
    }

    /// Runs after a call whose callback may have freed its handle.
    fn has_freed(&mut self, held: Option<Handle>, version: Rc<Version>) {
        let Some(held) = held else { return };
        let user = version.user.as_ref().expect("it has a script");
        // If the call was refused, the callback did not.
        call!(dormouse_c::dormouse_function_free(user.get().to_free.swap(ptr::null_mut(), SeqCst)));
        drop(version);
        let runtime = held.runtime;
        drop(held);
        self.bury(runtime);
    }

    pub(super) fn invoke(&mut self) -> Result<()> {
        let (handle, function) = self.function()?;
        let (input, is_cancelled) = (*self.source.choose(&INPUTS)?, self.source.ratio(1, 8)?);
        let mut options = edge::init(dormouse_c::dormouse_invoke_options_init);
        let mut cancel = Out::new(false);
        check(true, "cancel_new", |error| call!(dormouse_c::dormouse_cancel_new(cancel.at(), error)));
        let cancel = cancel.made(S::DORMOUSE_OK, S::DORMOUSE_OK, "cancel_new").expect("a handle");
        if is_cancelled {
            check(true, "cancel", |error| call!(dormouse_c::dormouse_cancel_cancel(cancel, error)));
        }
        assert_eq!(call!(dormouse_c::dormouse_cancel_is_cancelled(cancel)), is_cancelled);
        options.cancel = cancel;
        let version = handle.and_then(|handle| self.version(handle));
        let (mut script, mut held) = (0, None);
        if let (Some(handle), Some(version)) = (handle, &version) {
            (script, held) = self.script(handle, version)?;
        }
        let mut out = Out::new(false);
        let given = if self.source.arbitrary()? || is_cancelled { &raw const options } else { ptr::null() };
        let status = check(self.asks, "invoke", |error| {
            let (at, len) = (input.as_ptr(), input.len());
            call!(dormouse_c::dormouse_function_invoke(function, at, len, given, out.at(), error))
        });
        call!(dormouse_c::dormouse_cancel_free(cancel));
        let mut expected = guests::refusals(version.as_deref(), input, is_cancelled, true);
        let mut output = Vec::new();
        match &version {
            _ if handle.is_none() => expected = vec![S::DORMOUSE_NULL],
            Some(version) if expected.is_empty() => {
                let (status, right) = guests::outcome(version, input, script);
                (expected, output) = (vec![status], right);
            }
            _ => {}
        }
        if let Some(reply) = out.made_by(status, &expected, "invoke") {
            self.kept.push(Kept::Reply(reply, output));
        }
        if let Some(version) = version {
            self.has_freed(held, version);
        }
        Ok(())
    }

    pub(super) fn invoke_into(&mut self) -> Result<()> {
        let ((handle, function), input) = (self.function()?, *self.source.choose(&INPUTS)?);
        let room = self.source.int_in_range(0..=16)?;
        let version = handle.and_then(|handle| self.version(handle));
        let script =
            version.as_ref().and_then(|version| version.user.as_ref()).map(|user| user.get().script.load(SeqCst));
        let (mut output, mut len) = ([0_u8; 16], usize::MAX);
        let status = check(self.asks, "invoke_into", |error| {
            let (at, input_len, place) = (input.as_ptr(), input.len(), output.as_mut_ptr());
            call!(dormouse_c::dormouse_function_invoke_into(
                function,
                at,
                input_len,
                ptr::null(),
                place,
                room,
                &mut len,
                ptr::null_mut(),
                error
            ))
        });
        let mut expected = guests::refusals(version.as_deref(), input, false, true);
        match &version {
            _ if handle.is_none() => expected = vec![S::DORMOUSE_NULL],
            Some(version) if expected.is_empty() => {
                let (ends, right) = guests::outcome(version, input, script.unwrap_or(0));
                let fits = right.len() <= room;
                expected.push(if ends == S::DORMOUSE_OK && !fits { S::DORMOUSE_NO_ROOM } else { ends });
                if status == S::DORMOUSE_OK {
                    assert_eq!(output[..len], right, "invoke_into");
                }
            }
            _ => {}
        }
        assert!(expected.contains(&status), "invoke_into: {status:?} where {expected:?} is right");
        assert!(status == S::DORMOUSE_OK || (len == usize::MAX && output == [0; 16]), "a result of a call that failed");
        Ok(())
    }

    pub(super) fn call_export(&mut self) -> Result<()> {
        let (handle, function) = self.function()?;
        let name = *self.source.choose(&["add", "trap", "none", "memory"])?;
        let (chars, len) = edge::chars(name);
        let (args_len, ty) = (self.source.int_in_range(0..=3)?, self.source.int_in_range(1..=5)?);
        let value = dormouse_c::dormouse_value { type_: ty, of: dormouse_c::dormouse_number { i64: 20 } };
        let args = [value; 3];
        let mut out = Out::new(self.source.ratio(1, 16)?);
        let status = check(self.asks, "call", |error| {
            let place = out.at();
            call!(dormouse_c::dormouse_function_call(
                function,
                chars,
                len,
                args.as_ptr(),
                args_len,
                ptr::null(),
                place,
                error
            ))
        });
        let version = handle.and_then(|handle| self.version(handle));
        let mut expected = guests::refusals(version.as_deref(), b"", false, false);
        let is_number = args_len == 0 || ty <= 4;
        if handle.is_none() {
            expected = vec![S::DORMOUSE_NULL];
        } else if let Some(version) = &version {
            expected.extend((!is_number).then_some(S::DORMOUSE_ARGUMENT));
            let ends = match (name, version.guest) {
                ("add", Guest::Plain) if args_len == 2 && ty == dormouse_c::DORMOUSE_I32 => S::DORMOUSE_OK,
                ("trap", Guest::Plain) if args_len == 0 => S::DORMOUSE_TRAP,
                ("add" | "trap", Guest::Plain) => S::DORMOUSE_SIGNATURE,
                _ => S::DORMOUSE_NO_SUCH_EXPORT,
            };
            // The order of several problems is not promised.
            if expected.is_empty() || ends != S::DORMOUSE_OK {
                expected.push(ends);
            }
        } else {
            expected.push(S::DORMOUSE_ARGUMENT);
        }
        if let Some(reply) = out.made_by(status, &expected, "call") {
            let mut count = 0;
            let values = call!(dormouse_c::dormouse_reply_values(reply, &mut count));
            // SAFETY: there are as many values as it says, and the one has the export's type.
            assert_eq!((count, unsafe { (*values).of.i32 }), (1, 40));
            self.kept.push(Kept::Reply(reply, Vec::new()));
        }
        Ok(())
    }

    /// Runs a session with the guest `plain`, which may free the handle of its own call.
    pub(super) fn session(&mut self) -> Result<()> {
        let plain: Vec<usize> = (0..self.functions.len())
            .filter(|at| self.version(*at).is_some_and(|version| version.guest == Guest::Plain))
            .collect();
        let Some(&handle) = plain.first() else { return Ok(()) };
        let version = self.version(handle).expect("it has one");
        let (code, frees) = (self.source.int_in_range(0..=1)?, self.source.arbitrary()?);
        let function = self.functions[handle].at;
        let mut session = host::Session { code, to_free: ptr::null_mut(), is_right: false };
        let will_run = version.max.get() > 0;
        let held = (frees && will_run).then(|| self.functions.swap_remove(handle));
        if held.is_some() {
            session.to_free = function;
        }
        let mut out = Out::new(false);
        let status = check(self.asks, "session", |error| {
            let (data, place) = ((&raw mut session).cast(), out.at());
            call!(dormouse_c::dormouse_function_session(function, Some(host::body), data, ptr::null(), place, error))
        });
        let ends = if code == 0 { S::DORMOUSE_OK } else { S::DORMOUSE_HOST_FUNCTION };
        let expected = if will_run { ends } else { S::DORMOUSE_BUSY };
        if let Some(reply) = out.made(status, expected, "session") {
            self.kept.push(Kept::Reply(reply, Vec::new()));
        }
        assert_eq!(session.is_right, will_run, "what the session did");
        drop(version);
        if let Some(held) = held {
            let runtime = held.runtime;
            drop(held);
            self.bury(runtime);
        }
        Ok(())
    }

    /// What a handle reports about itself.
    pub(super) fn describe(&mut self) -> Result<()> {
        let (handle, function) = self.function()?;
        let room = self.source.int_in_range(63..=66)?;
        let mut text = [0 as c_char; 66];
        let status = check(self.asks, "version", |error| {
            call!(dormouse_c::dormouse_function_version(function, text.as_mut_ptr(), room, error))
        });
        let expected = match handle.map(|handle| self.version(handle).is_some()) {
            None => S::DORMOUSE_NULL,
            Some(false) => S::DORMOUSE_UNDEPLOYED,
            Some(true) if room < 65 => S::DORMOUSE_NO_ROOM,
            Some(true) => S::DORMOUSE_OK,
        };
        assert_eq!(status, expected, "version");
        let is_right = text[..64].iter().all(|digit| (*digit as u8).is_ascii_hexdigit()) && text[64] == 0;
        assert_eq!(is_right, status == S::DORMOUSE_OK, "{text:?}");
        if let Some(handle) = handle {
            let follows = &self.functions[handle].follows;
            let alias = if matches!(follows, Follows::Alias(..)) { "@prod" } else { "" };
            let name = edge::text(|len| call!(dormouse_c::dormouse_function_name(function, len)));
            assert_eq!(name, format!("{}{alias}", follows.name()));
        }
        Ok(())
    }
}
