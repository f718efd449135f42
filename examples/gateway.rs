//! A small shop behind routes: a page of requests goes in, responses come out. A host's server
//! would read the requests from sockets. This library opens no socket.
//!
//! ```text
//! $ cargo run --release --example gateway
//! ```

use dormouse::{Request, Runtime, Trigger};

/// Finds the id in `"params":{"id":"…` and answers with the item of that number, 1 to 3, or with
/// 404.
const ITEM: &str = r#"(module (memory (export "memory") 1)
    (data (i32.const 0) "\"params\":{\"id\":\"")
    (data (i32.const 32) "{\"id\":0,\"name\":\"item\"}")
    (data (i32.const 64) "{\"status\":404,\"body\":\"no such item\"}")
    (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    (func $begins (param $at i32) (result i32) (local $n i32)
      (loop $next
        (if (i32.ne (i32.load8_u (i32.add (local.get $at) (local.get $n))) (i32.load8_u (local.get $n))) (then (return (i32.const 0))))
        (br_if $next (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 16))))
      (i32.const 1))
    (func (export "handle") (param $at i32) (param $len i32) (result i64) (local $end i32) (local $digit i32)
      (local.set $end (i32.add (local.get $at) (local.get $len)))
      (block $found (loop $next
        (br_if $found (call $begins (local.get $at)))
        (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1))) (local.get $end)))))
      (local.set $digit (i32.load8_u offset=16 (local.get $at)))
      (if (i32.and (i32.and (i32.ge_u (local.get $digit) (i32.const 49)) (i32.le_u (local.get $digit) (i32.const 51)))
                   (i32.eq (i32.load8_u offset=17 (local.get $at)) (i32.const 34)))
        (then (i32.store8 (i32.const 38) (local.get $digit))
              (return (i64.or (i64.shl (i64.const 32) (i64.const 32)) (i64.const 22)))))
      (i64.or (i64.shl (i64.const 64) (i64.const 32)) (i64.const 36))))"#;

/// Finds every item.
const SEARCH: &str = r#"(module (memory (export "memory") 1) (data (i32.const 0) "[1,2,3]")
    (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "handle") (param i32 i32) (result i64) (i64.const 7)))"#;

/// Takes every order that has a body, and traps on an order without one.
const ORDER: &str = r#"(module (memory (export "memory") 1)
    (data (i32.const 0) "{\"status\":201,\"headers\":{\"location\":\"/orders/1\"},\"body\":\"thank you\"}")
    (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "handle") (param $at i32) (param $len i32) (result i64)
      ;; The data of a request without a body is shorter than this.
      (if (i32.lt_u (local.get $len) (i32.const 140)) (then unreachable))
      (i64.const 68)))"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = Runtime::new();
    let routes = [
        ("item", ITEM, "GET", "/items/{id}"),
        ("search", SEARCH, "GET", "/search"),
        ("order", ORDER, "POST", "/orders"),
    ];
    for (name, module, method, path) in routes {
        runtime.deploy(name, &wat::parse_str(module)?)?;
        runtime.bind(name, Trigger::route(method, path)?.to(name).input(dormouse::TriggerInput::Data))?;
    }
    let page = [
        (Request::new("GET", "/items/2"), 200),
        (Request::new("GET", "/items/9"), 404),
        (Request::new("GET", "/search?q=lamp&max=5"), 200),
        (
            Request::new("POST", "/orders").header("content-type", "application/json").body(r#"{"item":2,"count":1}"#),
            201,
        ),
        (Request::new("POST", "/orders"), 502),
        (Request::new("DELETE", "/orders"), 405),
        (Request::new("GET", "/nowhere"), 404),
    ];
    for (request, expected) in page {
        let response = runtime.request(&request);
        println!("{} {}", response.status, String::from_utf8_lossy(&response.body));
        if let Some(error) = &response.error {
            println!("    {error}");
        }
        assert_eq!(response.status, expected);
    }
    for usage in runtime.ledger().functions() {
        println!("{}: {} invocations, {} fuel", usage.function(), usage.invocations(), usage.fuel());
    }
    Ok(())
}
