//! The router half of an API gateway: it delivers a request to the function of its route and
//! returns the response. The host's server opens the sockets.
//!
//! Invariant: every request gets a response. A function's headers cannot forge other parts of the
//! host's answer.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value as Json, json};

use super::{DeliveryError, DeliveryOutcome, Dispatched, dispatch_to};
use crate::{
    error::InvokeErrorKind,
    event::Event,
    function::Functions,
    queue::PublishError,
    trigger::{Found, Source},
};

/// An HTTP request, as the host's server has read it.
///
/// The function gets an event with this data:
///
/// ```json
/// {
///   "method": "GET", "path": "/items/7", "route": "/items/{id}", "params": {"id": "7"},
///   "query": {"verbose": "1"}, "raw_query": "verbose=1", "headers": {"accept": "*/*"},
///   "body": "text"
/// }
/// ```
///
/// `params` and `query` are percent-decoded. In `query`, a `+` means a space. Names of headers are
/// in lower case. Values of the same name are joined by a comma. A body that is not UTF-8 is given
/// as `body_base64`. An empty body is left out.
///
/// The function answers with any JSON. This means status 200 and `application/json`. To say more,
/// it answers with an object that has a `status`, optionally `headers` and one of `body` and
/// `body_base64`, and nothing else. An answer that is not JSON is passed on as text or bytes. An
/// empty answer means status 204.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// A request with a method, such as `GET`, and a target, such as `/items/7?verbose=1`.
    pub fn new(method: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    fn data(&self, route: &str, params: Vec<(String, String)>) -> Json {
        let params: Map<String, Json> =
            params.into_iter().map(|(name, value)| (name, Json::String(decode(&value, false)))).collect();
        let pairs = self.query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, true), decode(value, true))
        });
        let mut data = json!({
            "method": self.method,
            "path": self.path,
            "route": route,
            "params": params,
            "query": joined(pairs),
            "raw_query": self.query,
            "headers": joined(self.headers.iter().cloned()),
        });
        match std::str::from_utf8(&self.body) {
            Ok("") => {}
            Ok(text) => data["body"] = text.into(),
            Err(_) => data["body_base64"] = STANDARD.encode(&self.body).into(),
        }
        data
    }
}

/// Names with their values. Values of the same name are joined by commas.
fn joined(pairs: impl Iterator<Item = (String, String)>) -> Map<String, Json> {
    let mut map = Map::new();
    for (name, value) in pairs {
        match map.get_mut(&name) {
            Some(Json::String(known)) => {
                known.push(',');
                known.push_str(&value);
            }
            _ => drop(map.insert(name, value.into())),
        }
    }
    map
}

/// Percent-decodes a text. Invalid escapes stay as they are, and invalid UTF-8 is replaced.
fn decode(text: &str, plus_is_space: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digit = |at: usize| after.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        (bytes, rest) = match (*first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                (bytes, &after[2..])
            }
            (byte, ..) => {
                bytes.push(if byte == b'+' && plus_is_space { b' ' } else { byte });
                (bytes, after)
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The response that a host's server sends back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// The HTTP status: 100 to 599.
    pub status: u16,
    /// Names and values. Names are in the case that the function chose.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The reason for a failure, for the host's log. The client does not see it. `None` if the
    /// function answered.
    pub error: Option<String>,
}

impl Response {
    fn new(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { status, headers, body, error: None }
    }

    fn failed(status: u16, error: String) -> Self {
        let body = json!({ "status": status, "message": phrase(status) }).to_string();
        Self { error: Some(error), ..Self::new(status, "application/json", body.into_bytes()) }
    }

    fn of(output: Vec<u8>) -> Self {
        if output.is_empty() {
            return Self { status: 204, headers: Vec::new(), body: output, error: None };
        }
        let Ok(json) = serde_json::from_slice::<Json>(&output) else {
            let is_text = std::str::from_utf8(&output).is_ok();
            let content_type = if is_text { "text/plain; charset=utf-8" } else { "application/octet-stream" };
            return Self::new(200, content_type, output);
        };
        match &json {
            Json::Object(object) if is_shaped(object) => Self::shaped(object)
                .unwrap_or_else(|problem| Self::failed(502, format!("the function's response {problem}"))),
            _ => Self::new(200, "application/json", output),
        }
    }

    fn shaped(object: &Map<String, Json>) -> Result<Self, String> {
        let status = object["status"].as_u64().filter(|status| (100..=599).contains(status));
        let status =
            status.ok_or_else(|| format!("has the status {}, which is not from 100 to 599", object["status"]))? as u16;
        let mut headers = Vec::new();
        match object.get("headers") {
            None | Some(Json::Null) => {}
            Some(Json::Object(given)) => {
                for (name, value) in given {
                    let text = value.as_str().ok_or_else(|| format!("has a header {name:?} that is not a string"))?;
                    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
                    // A line break would forge the rest of the host's answer.
                    if name.is_empty() || !name.bytes().all(is_token) || text.contains(['\r', '\n', '\0']) {
                        return Err(format!("has a header {name:?} whose name or value HTTP does not allow"));
                    }
                    headers.push((name.clone(), text.to_owned()));
                }
            }
            Some(_) => return Err("has headers that are not an object".to_owned()),
        }
        let body = match (object.get("body"), object.get("body_base64")) {
            (None, None) => Vec::new(),
            (Some(Json::String(text)), None) => text.clone().into_bytes(),
            (None, Some(Json::String(text))) => {
                STANDARD.decode(text).map_err(|error| format!("has a body_base64 that is not base64: {error}"))?
            }
            _ => return Err("has a body that is not a string, or both body and body_base64".to_owned()),
        };
        Ok(Self { status, headers, body, error: None })
    }
}

/// Whether a function's answer is a response in parts instead of plain JSON.
fn is_shaped(object: &Map<String, Json>) -> bool {
    let known = ["status", "headers", "body", "body_base64"];
    object.get("status").is_some_and(Json::is_number) && object.keys().all(|key| known.contains(&&**key))
}

fn phrase(status: u16) -> &'static str {
    match status {
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Bad Gateway",
    }
}

/// Hands a request to the function of its route, now and on this thread.
pub(crate) fn request(functions: &Arc<Functions>, request: &Request) -> Response {
    let hub = &functions.hub;
    let target = format!("{} {}", request.method, request.path);
    let (bound, params) = match hub.registry.route(&request.method, &request.path) {
        Found::Trigger(bound, params) => (bound, params),
        Found::Methods(methods) => {
            let mut response = Response::failed(405, format!("{target}: the path takes {}", methods.join(", ")));
            response.headers.push(("allow".to_owned(), methods.join(", ")));
            return response;
        }
        Found::Nothing => return Response::failed(404, format!("{target}: no route has this path")),
    };
    let route = match &bound.trigger.source {
        Source::Route(route) => route.path(),
        _ => "",
    };
    let data = request.data(route, params).to_string();
    let builder = Event::builder("dormouse.request").source(&*bound.id).data_json(data).bytes_max(usize::MAX);
    let event = match hub.event(builder) {
        Ok(event) => event,
        Err(error) => return Response::failed(502, format!("{target}: {error}")),
    };
    let dispatched = hub.size(&event).and_then(|bytes| dispatch_to(functions, &[bound], event, bytes));
    match dispatched {
        Err(error) => {
            let status = if matches!(error, PublishError::TooLarge { .. }) { 413 } else { 503 };
            Response::failed(status, format!("{target}: {error}"))
        }
        Ok(dispatched) => match dispatched.into_iter().next() {
            Some(Dispatched { outcome: DeliveryOutcome::Succeeded(reply), .. }) => Response::of(reply.into_output()),
            Some(Dispatched { outcome: DeliveryOutcome::Failed { error, .. }, .. }) => {
                Response::failed(status(&error), format!("{target}: {error}"))
            }
            other => Response::failed(503, format!("{target}: not answered: {other:?}")),
        },
    }
}

fn status(error: &DeliveryError) -> u16 {
    use InvokeErrorKind as Kind;
    match error {
        DeliveryError::Invoke(error) => match error.kind() {
            Kind::OutOfFuel { .. } | Kind::DeadlineExceeded { .. } => 504,
            Kind::InputTooLarge { .. } => 413,
            Kind::Busy(_) | Kind::Undeployed { .. } | Kind::Quarantined { .. } => 503,
            _ => 502,
        },
        _ => 502,
    }
}
