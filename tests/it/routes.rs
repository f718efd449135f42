//! Routes: requests go in, responses come out, and failures between.

use dormouse::{DeadLetterReason, EventLimits, Limits, Request, Runtime, Trigger, TriggerError, TriggerInput};
use serde_json::{Value as Json, json};

use crate::support::{guest, wat};

/// A runtime whose function `echo` answers with the data of the request's event.
fn runtime() -> Runtime {
    let runtime = Runtime::new();
    runtime.deploy("echo", &guest("echo")).unwrap();
    runtime
}

fn bind(runtime: &Runtime, id: &str, method: &str, path: &str) {
    let trigger = Trigger::route(method, path).unwrap().to("echo").input(TriggerInput::Data);
    runtime.bind(id, trigger).unwrap();
}

/// A runtime whose route `GET /` answers with this.
fn answering(answer: &[u8]) -> Runtime {
    let runtime = runtime();
    let trigger = Trigger::route("GET", "/").unwrap().to("echo").input(TriggerInput::Constant(answer.into()));
    runtime.bind("r", trigger).unwrap();
    runtime
}

fn get(runtime: &Runtime, target: &str) -> (u16, Json) {
    let response = runtime.request(&Request::new("GET", target));
    (response.status, serde_json::from_slice(&response.body).unwrap_or_default())
}

#[test]
fn a_request_reaches_the_function_of_its_route_with_all_its_parts() {
    let runtime = runtime();
    bind(&runtime, "item", "PUT", "/shops/{shop}/items/{id}");
    let request = Request::new("PUT", "/shops/caf%C3%A9/items/a+b?x=1&y=%20z+w&x=2&flag&%zz=%")
        .header("Accept", "a")
        .header("accept", "b");
    let response = runtime.request(&request.body("hello"));
    assert_eq!((response.status, response.error), (200, None));
    assert_eq!(response.headers, [("content-type".to_owned(), "application/json".to_owned())]);
    let seen: Json = serde_json::from_slice(&response.body).unwrap();
    let expected = json!({
        "method": "PUT",
        "path": "/shops/caf%C3%A9/items/a+b",
        "route": "/shops/{shop}/items/{id}",
        "params": { "shop": "café", "id": "a+b" },
        "query": { "x": "1,2", "y": " z w", "flag": "", "%zz": "%" },
        "raw_query": "x=1&y=%20z+w&x=2&flag&%zz=%",
        "headers": { "accept": "a,b" },
        "body": "hello",
    });
    assert_eq!(seen, expected);
    let binary = runtime.request(&Request::new("PUT", "/shops/a/items/b").body([0xff, 0]));
    let seen: Json = serde_json::from_slice(&binary.body).unwrap();
    assert_eq!((&seen["body_base64"], seen.get("body")), (&json!("/wA="), None));
}

#[test]
fn the_event_of_a_request_names_its_trigger_and_wakes_no_other() {
    let runtime = runtime();
    let trigger = Trigger::route("GET", "/x").unwrap().to("echo");
    runtime.bind("route", trigger).unwrap();
    runtime.bind("all", Trigger::pattern(r#"{"type":["dormouse.request"]}"#).unwrap().to("echo")).unwrap();
    let (status, event) = get(&runtime, "/x");
    assert_eq!((status, &event["type"], &event["source"]), (200, &json!("dormouse.request"), &json!("route")));
    assert_eq!(runtime.deliveries().stats().matched, 1);
}

#[test]
fn literals_go_before_parameters_and_a_rest_takes_what_follows() {
    let runtime = runtime();
    bind(&runtime, "new", "GET", "/items/new");
    bind(&runtime, "item", "GET", "/items/{id}");
    bind(&runtime, "files", "GET", "/files/{*rest}");
    let route = |target| get(&runtime, target).1["route"].clone();
    assert_eq!((route("/items/new"), route("/items/7")), (json!("/items/new"), json!("/items/{id}")));
    assert_eq!(get(&runtime, "/files/a/b").1["params"], json!({ "rest": "a/b" }));
    for target in ["/", "/items", "/items/", "/items/7/8", "/Items/7", "/files/", "items/7", ""] {
        let response = runtime.request(&Request::new("GET", target));
        assert_eq!(response.status, 404, "{target}");
        assert_eq!(response.body, br#"{"message":"Not Found","status":404}"#);
    }
}

#[test]
fn a_path_under_another_method_is_told_which_it_takes() {
    let runtime = runtime();
    bind(&runtime, "a", "GET", "/items/{id}");
    bind(&runtime, "b", "DELETE", "/items/{id}");
    let response = runtime.request(&Request::new("POST", "/items/7"));
    assert_eq!(response.status, 405);
    assert_eq!(response.body, br#"{"message":"Method Not Allowed","status":405}"#);
    assert!(response.headers.contains(&("allow".to_owned(), "DELETE, GET".to_owned())), "{response:?}");
    runtime.triggers().disable("a");
    runtime.triggers().unbind("b");
    assert_eq!(runtime.request(&Request::new("POST", "/items/7")).status, 404);
    assert_eq!(runtime.request(&Request::new("GET", "/items/7")).status, 404);
    runtime.triggers().enable("a");
    assert_eq!(runtime.request(&Request::new("GET", "/items/7")).status, 200);
}

#[test]
fn an_answer_in_parts_sets_status_headers_and_body() {
    let answer = br#"{"status":201,"headers":{"Location":"/items/8"},"body":"made"}"#;
    let response = answering(answer).request(&Request::new("GET", "/"));
    assert_eq!((response.status, &*response.body), (201, &b"made"[..]));
    assert_eq!(response.headers, [("Location".to_owned(), "/items/8".to_owned())]);
    let response = answering(br#"{"status":404,"body_base64":"/wA="}"#).request(&Request::new("GET", "/"));
    assert_eq!((response.status, &*response.body, response.error), (404, &[0xff, 0][..], None));
}

#[test]
fn any_other_answer_is_a_body_of_its_kind() {
    let cases: [(&[u8], u16, Option<&str>); 7] = [
        (br#"{"hello":"world"}"#, 200, Some("application/json")),
        (b"[1,2]", 200, Some("application/json")),
        (br#"{"status":"open"}"#, 200, Some("application/json")),
        (br#"{"status":7,"id":1}"#, 200, Some("application/json")),
        (b"hello", 200, Some("text/plain; charset=utf-8")),
        (b"\xff\0", 200, Some("application/octet-stream")),
        (b"", 204, None),
    ];
    for (answer, status, content_type) in cases {
        let response = answering(answer).request(&Request::new("GET", "/"));
        assert_eq!((response.status, &*response.body), (status, answer));
        assert_eq!(response.headers.first().map(|(_, value)| &**value), content_type);
    }
}

#[test]
fn an_answer_that_no_response_may_have_is_a_bad_gateway() {
    for answer in [
        r#"{"status":99}"#,
        r#"{"status":600}"#,
        r#"{"status":200.5}"#,
        r#"{"status":200,"headers":[]}"#,
        r#"{"status":200,"headers":{"a":1}}"#,
        r#"{"status":200,"headers":{"a b":"x"}}"#,
        r#"{"status":200,"headers":{"a":"x\r\nset-cookie: forged"}}"#,
        r#"{"status":200,"body":{}}"#,
        r#"{"status":200,"body":"a","body_base64":"YQ=="}"#,
        r#"{"status":200,"body_base64":"?"}"#,
    ] {
        let response = answering(answer.as_bytes()).request(&Request::new("GET", "/"));
        assert_eq!(response.status, 502, "{answer}");
        assert!(response.error.as_deref().is_some_and(|error| error.contains("response")), "{response:?}");
        assert_eq!(response.body, br#"{"message":"Bad Gateway","status":502}"#);
    }
}

#[test]
fn a_function_that_fails_is_a_response_and_a_dead_letter_and_is_not_tried_again() {
    let runtime = Runtime::new();
    let module = |body: &str| {
        wat(&format!(
            r#"(module (memory (export "memory") 1) (func (export "alloc") (param i32) (result i32) (i32.const 0))
            (func (export "handle") (param i32 i32) (result i64) {body}))"#
        ))
    };
    runtime.deploy("trap", &module("unreachable")).unwrap();
    let limits = Limits { fuel: 10_000, ..Limits::default() };
    runtime.deployment("spin", &module("(loop (br 0)) (i64.const 0)")).limits(limits).deploy().unwrap();
    let limits = Limits { input_bytes: 10, ..Limits::default() };
    runtime.deployment("small", &module("(i64.const 0)")).limits(limits).deploy().unwrap();
    runtime.deployment("off", &module("(i64.const 0)")).instances(0..=0).deploy().unwrap();
    let functions = [
        ("trap", 502, "Bad Gateway"),
        ("spin", 504, "Gateway Timeout"),
        ("small", 413, "Content Too Large"),
        ("off", 503, "Service Unavailable"),
        ("absent", 503, "Service Unavailable"),
    ];
    for (function, status, message) in functions {
        let trigger = Trigger::route("GET", &format!("/{function}")).unwrap().to(function);
        runtime.bind(function, trigger).unwrap();
        let response = runtime.request(&Request::new("GET", &format!("/{function}")));
        assert_eq!(response.status, status, "{function}");
        assert_eq!(serde_json::from_slice::<Json>(&response.body).unwrap()["message"], message);
        assert!(response.error.is_some());
    }
    let deliveries = runtime.deliveries().stats();
    assert!(deliveries.is_balanced());
    assert_eq!((deliveries.dead_letters, deliveries.pending()), (5, 0));
    assert_eq!(runtime.deliveries().dead_letters()[0].reason(), DeadLetterReason::Attempts);
}

#[test]
fn a_request_that_is_too_large_is_told_so() {
    let runtime = Runtime::builder().events(EventLimits { event_bytes: 1_000, ..EventLimits::default() }).build();
    runtime.deploy("echo", &guest("echo")).unwrap();
    bind(&runtime, "r", "POST", "/");
    assert_eq!(runtime.request(&Request::new("POST", "/").body("x".repeat(2_000))).status, 413);
    assert_eq!(runtime.request(&Request::new("POST", "/").body("x".repeat(100))).status, 200);
}

#[test]
fn what_is_no_route_or_conflicts_with_one_is_refused() {
    let cases = [
        ("get", "/"),
        ("", "/"),
        ("GE T", "/"),
        ("GET", "items"),
        ("GET", ""),
        ("GET", "/{"),
        ("GET", "/{a}{b}"),
        ("GET", "/{*a}/b"),
    ];
    for (method, path) in cases {
        assert!(matches!(Trigger::route(method, path), Err(TriggerError::Route { .. })), "{method} {path}");
    }
    let runtime = runtime();
    bind(&runtime, "a", "GET", "/items/{id}");
    bind(&runtime, "b", "PUT", "/items/{number}");
    let error = runtime.bind("c", Trigger::route("GET", "/items/{number}").unwrap().to("echo")).unwrap_err();
    assert!(error.to_string().contains("/items/{id}"), "{error}");
    assert_eq!(runtime.triggers().ids(), ["a", "b"]);
    runtime.triggers().unbind("a");
    bind(&runtime, "c", "GET", "/items/{number}");
    assert_eq!(get(&runtime, "/items/5").1["params"], json!({ "number": "5" }));
}

#[test]
fn a_request_that_a_full_queue_drops_or_refuses_is_not_answered() {
    use dormouse::WhenFull::{DropNewest, Reject};
    for when_full in [DropNewest, Reject] {
        let limits = EventLimits { deliveries: 0, when_full, ..EventLimits::default() };
        let runtime = Runtime::builder().events(limits).build();
        runtime.deploy("echo", &guest("echo")).unwrap();
        bind(&runtime, "r", "GET", "/");
        let response = runtime.request(&Request::new("GET", "/"));
        assert_eq!(response.status, 503, "{when_full:?}");
        assert!(response.error.unwrap().starts_with("GET /: "));
    }
}

#[test]
fn an_answer_in_parts_needs_no_body() {
    let runtime = answering(br#"{"status":204}"#);
    let response = runtime.request(&Request::new("GET", "/"));
    assert_eq!((response.status, response.body, response.error), (204, Vec::new(), None));
}
