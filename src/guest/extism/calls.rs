//! The functions with which a plug-in asks its host for something: configuration, variables, logs,
//! and HTTP requests, which are refused.
//!
//! Invariant, as in Extism since 1.7: a call frees the blocks that are its arguments. A handle that
//! is not that of a live block ends the run. The exception is 0, the empty text.

use std::{fmt, ops::Range, str, sync::Arc};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::{
    MODULE,
    area::Area,
    options::LogLevel,
    state::{ExtismState, absent},
    vars::{VARS_MAX, entry_bytes},
};
use crate::usage::VARIABLE_PREFIX;
use crate::{
    error::InvokeErrorKind,
    host::{Context, HostFunction, State},
    host_error::HostError,
};

/// The bytes of an argument. The guest pays for them.
fn argument(cx: &mut Context<'_>, handle: u64, what: &str) -> Result<Range<usize>, HostError> {
    if handle == 0 {
        return Ok(0..0);
    }
    let Some(range) = cx.extism()?.block(handle) else {
        return Err(format!("invalid handle for {what}: {handle:#x}").into());
    };
    cx.pay(range.len() as u64)?;
    Ok(range)
}

fn text<'a>(area: &'a Area, at: Range<usize>, what: &str) -> Result<&'a str, HostError> {
    str::from_utf8(area.bytes(at)).map_err(|error| format!("the {what} is not UTF-8: {error}").into())
}

/// The handle of a new block with the value. 0 if there is no value, or an empty one.
fn answer(cx: &mut Context<'_>, value: Option<Arc<[u8]>>) -> Result<u64, HostError> {
    cx.new_block(value.as_deref().unwrap_or_default()).map_err(|kind| cx.end(kind))
}

fn config_get(cx: &mut Context<'_>, key: u64) -> Result<u64, HostError> {
    const WHAT: &str = "key of a configuration";
    let at = argument(cx, key, WHAT)?;
    let extism = cx.extism()?;
    let name = text(&extism.area, at, WHAT)?;
    let value = extism.settings.config.get(name).cloned();
    let reserved = name.starts_with(VARIABLE_PREFIX).then(|| name.to_owned());
    extism.free(key);
    let value = value.or_else(|| of_the_delivery(cx.state(), &reserved?));
    answer(cx, value)
}

/// What a plug-in may read about the delivery that it serves, under the names that WASI programs
/// find in their environment.
fn of_the_delivery(state: &State, name: &str) -> Option<Arc<[u8]>> {
    let origin = state.host.service.as_ref()?.origin.as_ref()?;
    let variables = origin.variables(&state.label, state.meter.deadline());
    variables.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value.into_bytes().into())
}

fn var_get(cx: &mut Context<'_>, key: u64) -> Result<u64, HostError> {
    const WHAT: &str = "key of a variable";
    let at = argument(cx, key, WHAT)?;
    let extism = cx.extism()?;
    let value = extism.changes.get(&extism.vars, text(&extism.area, at, WHAT)?);
    extism.free(key);
    answer(cx, value)
}

fn var_set(cx: &mut Context<'_>, key: u64, value: u64) -> Result<(), HostError> {
    const WHAT: &str = "key of a variable";
    let at = argument(cx, key, WHAT)?;
    let value_at = argument(cx, value, "value of a variable")?;
    let left = cx.state().memory_left();
    let State { host, reservation, .. } = cx.state();
    let Some(extism) = host.guest.extism.as_deref_mut() else { return Err(Box::new(absent())) };
    let left = extism.room(left);
    let ExtismState { area, changes, vars, .. } = extism;
    let name = text(area, at, WHAT)?;
    let len = value_at.len() as u64;
    let set = if value == 0 {
        None
    } else if !changes.fits(vars, name, len) {
        return Err(format!("Variable store is full: {len} bytes more would exceed its {VARS_MAX}").into());
    } else if area.used() + entry_bytes(name, len) > left {
        return Err(format!("Variable store is full: {len} bytes more would exceed `Limits::memory_bytes`").into());
    } else {
        Some(Arc::from(area.bytes(value_at)))
    };
    let done = changes.set(vars, name, set, reservation);
    extism.free(key);
    extism.free(value);
    done.map_err(|busy| cx.end(InvokeErrorKind::Busy(busy)))
}

fn log(cx: &mut Context<'_>, level: LogLevel, message: u64) -> Result<(), HostError> {
    if level < cx.extism()?.settings.log_level {
        cx.extism()?.free(message);
        return Ok(());
    }
    let at = argument(cx, message, "message of a log")?;
    let State { host, log, .. } = cx.state();
    let Some(extism) = host.guest.extism.as_deref_mut() else { return Ok(()) };
    match text(&extism.area, at, "message of a log") {
        Ok(text) => log.line(&[&level.to_string(), ": ", text]),
        Err(problem) => log.line(&["error: ", &problem.to_string()]),
    }
    extism.free(message);
    Ok(())
}

/// Bytes of a request, without its body, that the host reads at most.
const REQUEST_MAX: usize = 64 << 10;

/// A request. The host reads only its address.
struct HttpRequest(String);

impl<'de> Deserialize<'de> for HttpRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = HttpRequest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with a `url`")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<HttpRequest, M::Error> {
                let mut url = None;
                while let Some(key) = map.next_key::<String>()? {
                    if key == "url" {
                        url = Some(map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                url.map(HttpRequest).ok_or_else(|| serde::de::Error::missing_field("url"))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

fn http_request(cx: &mut Context<'_>, request: u64) -> Result<u64, HostError> {
    let at = argument(cx, request, "request")?;
    if at.len() > REQUEST_MAX {
        return Err(format!("the request has {} bytes, more than {REQUEST_MAX}", at.len()).into());
    }
    let asked = serde_json::from_slice::<HttpRequest>(cx.extism()?.area.bytes(at));
    let HttpRequest(url) = asked.map_err(|error| format!("the request is not what it should be: {error}"))?;
    Err(format!(
        "HTTP request to {url} is not allowed: a guest has no network; to offer requests, grant a host function with \
         `Deployment::host({MODULE:?}, \"http_request\", …)`"
    )
    .into())
}

pub(super) fn all() -> Vec<HostFunction> {
    type Cx<'a, 'b> = &'a mut Context<'b>;
    let logs = [LogLevel::Trace, LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error];
    let mut all = vec![
        HostFunction::own(MODULE, "config_get", config_get),
        HostFunction::own(MODULE, "var_get", var_get),
        HostFunction::own(MODULE, "var_set", var_set),
        HostFunction::own(MODULE, "http_request", |cx: Cx<'_, '_>, request: u64, _body: u64| http_request(cx, request)),
        HostFunction::own(MODULE, "http_status_code", |_: Cx<'_, '_>| 0_u32),
        HostFunction::own(MODULE, "http_headers", |_: Cx<'_, '_>| 0_u64),
        HostFunction::own(MODULE, "get_log_level", |cx: Cx<'_, '_>| -> Result<u32, InvokeErrorKind> {
            Ok(cx.extism()?.settings.log_level.number())
        }),
    ];
    all.extend(logs.map(|level| {
        HostFunction::own(MODULE, &format!("log_{level}"), move |cx: Cx<'_, '_>, message: u64| log(cx, level, message))
    }));
    all
}
