//! A function is deployed once and invoked twice, first cold and then warm. The answer and the fuel
//! are the same.
//!
//! ```text
//! $ cargo run --release --example quickstart
//! DEPLOY greet@54f2ced contract=buffer module=133B functions=2 init_fuel=2 duration=2.1ms memory=64KiB image=4KiB reset=by_fault_count
//!
//! Hello, World!
//! REPORT greet@54f2ced start=cold fuel=12 duration=6.5us memory=64KiB in=5B out=13B host_calls=0 outcome=ok
//!
//! Hello, World!
//! REPORT greet@54f2ced start=warm fuel=12 duration=642ns memory=64KiB in=5B out=13B host_calls=0 outcome=ok
//! ```
//!
//! Durations vary from run to run and from machine to machine. Fuel does not.

use dormouse::Runtime;

/// A guest that greets. It needs no framework. It exports its memory and two functions: `alloc`
/// says where the input goes, and `handle` takes the input and answers where its output lies.
///
/// Any language that compiles to WebAssembly will do. This is WebAssembly's own text form, so that
/// the example needs no other compiler.
const GREET: &str = r#"
(module
  (memory (export "memory") 1)
  (data (i32.const 0) "Hello, ")

  ;; The input goes to address 7, right behind the greeting.
  (func (export "alloc") (param $len i32) (result i32)
    (i32.const 7))

  ;; A "!" behind the name, and all of it is the output: address 0 in the answer's upper half, the length in its lower.
  (func (export "handle") (param $name i32) (param $len i32) (result i64)
    (i32.store8 (i32.add (local.get $name) (local.get $len)) (i32.const 33))
    (i64.extend_i32_u (i32.add (local.get $len) (i32.const 8)))))
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let module = wat::parse_str(GREET)?;

    let runtime = Runtime::new();
    let greet = runtime.deploy("greet", &module)?;
    println!("{}\n", greet.deploy_report()?);

    let first = greet.invoke(b"World")?;
    println!("{}", String::from_utf8_lossy(first.output()));
    println!("{}\n", first.report());

    // The guest has written to its memory. The second invocation finds it as the first did.
    let second = greet.invoke(b"World")?;
    println!("{}", String::from_utf8_lossy(second.output()));
    println!("{}", second.report());

    assert_eq!(first.output(), second.output());
    assert_eq!(first.report().fuel(), second.report().fuel());
    Ok(())
}
