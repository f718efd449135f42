//! Guests that misbehave, each in its own way. The runtime stops each at a limit, with an error
//! that names it, and the host goes on. All of it runs on a thread with 512 KiB of stack, which is
//! what the library needs.
//!
//! ```text
//! $ cargo run --release --example limits
//! modules that are not deployed
//!   a program of another kind         not a valid WebAssembly module, at byte 0 (0x0): a module begins with the
//!                                     bytes 00 61 73 6d, this one with 7f 45 4c 46
//!   33 MiB of module                  the module has 34603008 bytes, above the limit of 33554432
//!   4 GiB of memory                   the module has 4294967296 bytes of initial memory, above the limit of
//!                                     67108864
//!   a start that never ends           initialisation failed in the start function: out of fuel: 1000000000 units
//!                                     were not enough
//!   wants to open a socket            the module imports what this deployment does not provide: host.connect:
//!                                     func (i32)
//!
//! calls that are ended
//!   an endless loop                   out of fuel: 10000000 units were not enough
//!   deep recursion                    the guest trapped: call stack exhausted
//!   a crash                           the guest trapped: wasm `unreachable` instruction executed
//!   a stray pointer                   the guest trapped: out of bounds memory access
//!   memory.grow, in vain, for ever    out of fuel: 10000000 units were not enough
//!   memory.grow, until it fails       it got 64 MiB, then no more
//!
//! time, where fuel is plenty
//!   an endless loop, with a deadline  deadline exceeded: the invocation ran longer than 50ms
//!   an endless loop, cancelled        cancelled by the host
//!
//! inputs and outputs
//!   7 MiB of input                    the input has 7340032 bytes, above the limit of 6291456
//!   an answer out of nowhere          the guest broke its contract: the entry answered an address out of range:
//!                                     16 bytes at 4294901760 lie outside the guest's memory of 65536 bytes
//!
//! and the others
//!   a good function answers           still here
//! ```

use std::{fmt::Display, thread, time::Duration};

use dormouse::{Cancel, DeployError, Function, InvokeError, Limits, Runtime};

/// Exports that misbehave when they are called.
const HOSTILE: &str = r#"
(module
  (memory 1)
  (func (export "spin") (loop $again (br $again)))

  ;; Takes memory until there is none to be had, and answers with the pages of 64 KiB that it got.
  (func (export "bomb") (result i32)
    (loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
    (memory.size))

  ;; Asks for 4 GiB, for ever.
  (func (export "beg") (loop $again (drop (memory.grow (i32.const 65535))) (br $again)))

  (func $recurse (export "recurse") (result i32) (i32.add (call $recurse) (i32.const 1)))
  (func (export "crash") unreachable)
  (func (export "stray") (result i32) (i32.load (i32.const -1))))
"#;

/// Has the exports that `invoke` needs, except that its answer lies outside its memory.
const LIAR: &str = r#"
(module
  (memory (export "memory") 1)
  (func (export "alloc") (param i32) (result i32) (i32.const 0))
  (func (export "handle") (param i32 i32) (result i64) (i64.const 0xffff_0000_0000_0010)))
"#;

const ECHO: &str = r#"
(module
  (memory (export "memory") 1)
  (func (export "alloc") (param i32) (result i32) (i32.const 0))
  (func (export "handle") (param i32 i32) (result i64) (i64.extend_i32_u (local.get 1))))
"#;

fn main() {
    let small = thread::Builder::new().stack_size(512 << 10);
    let host = small.spawn(|| misbehave().expect("the good guests work")).expect("there is room for a thread");
    host.join().expect("the host goes on");
}

fn misbehave() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = Runtime::new();
    let echo = runtime.deploy("echo", &wat::parse_str(ECHO)?)?;

    heading("modules that are not deployed");
    let deploy = |module: &[u8]| runtime.deploy("bad", module);
    let text = |text: &str| wat::parse_str(text).expect("the text is right");
    refused("a program of another kind", deploy(b"\x7fELF\x02\x01\x01 and so on"));
    refused("33 MiB of module", deploy(&vec![0; 33 << 20]));
    refused("4 GiB of memory", deploy(&text("(module (memory 65536))")));
    refused("a start that never ends", deploy(&text("(module (func $spin (loop (br 0))) (start $spin))")));
    refused("wants to open a socket", deploy(&text(r#"(module (import "host" "connect" (func (param i32))))"#)));

    heading("calls that are ended");
    let little = Limits { fuel: 10_000_000, ..Limits::default() };
    let hostile = runtime.deployment("hostile", &text(HOSTILE)).limits(little).deploy()?;
    stopped("an endless loop", hostile.call("spin", &[]));
    stopped("deep recursion", hostile.call("recurse", &[]));
    stopped("a crash", hostile.call("crash", &[]));
    stopped("a stray pointer", hostile.call("stray", &[]));
    stopped("memory.grow, in vain, for ever", hostile.call("beg", &[]));
    let pages = hostile.call("bomb", &[])?.values()[0].as_u32();
    row("memory.grow, until it fails", format!("it got {} MiB, then no more", pages / 16));

    heading("time, where fuel is plenty");
    let plenty = Limits { fuel: u64::MAX, ..Limits::default() };
    let spin = runtime.deployment("spin", &text(HOSTILE)).limits(plenty).deploy()?;
    let deadline = Duration::from_millis(50);
    stopped("an endless loop, with a deadline", spin.invocation(b"").deadline(deadline).call("spin", &[]));
    stopped("an endless loop, cancelled", cancelled_after(deadline, &spin));

    heading("inputs and outputs");
    stopped("7 MiB of input", echo.invoke(&vec![0; 7 << 20]));
    stopped("an answer out of nowhere", runtime.deploy("liar", &text(LIAR))?.invoke(b"hello"));

    heading("and the others");
    let reply = echo.invoke(b"still here")?;
    row("a good function answers", String::from_utf8_lossy(reply.output()));
    Ok(())
}

/// Runs an endless loop until another thread cancels it.
fn cancelled_after(time: Duration, spin: &Function) -> Result<(), InvokeError> {
    let cancel = Cancel::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(time);
            cancel.cancel();
        });
        spin.invocation(b"").cancel(&cancel).call("spin", &[]).map(drop)
    })
}

fn refused(what: &str, outcome: Result<Function, DeployError>) {
    row(what, outcome.expect_err("it must be refused"));
}

fn stopped<T: std::fmt::Debug>(what: &str, outcome: Result<T, InvokeError>) {
    // A host branches on the kind. `Display` of the whole error also names the function and its
    // version.
    row(what, outcome.expect_err("it must be stopped").kind());
}

fn heading(text: &str) {
    println!("\n{text}");
}

/// Prints what was tried and its outcome: the first two lines of an error, without the advice after
/// the semicolon.
fn row(what: &str, outcome: impl Display) {
    let outcome = outcome.to_string();
    let lines: Vec<_> = outcome.lines().take(2).collect();
    let text = lines.join(" ");
    let mut line = format!("  {what:33}");
    for word in text.split("; ").next().unwrap_or_default().split_whitespace() {
        if line.len() + word.len() > 110 {
            println!("{line}");
            line = " ".repeat(35);
        }
        line += " ";
        line += word;
    }
    println!("{line}");
}
