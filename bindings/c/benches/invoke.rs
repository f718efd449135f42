//! What an invocation through C costs beside the same one through Rust, in one run: an echo of 256 bytes on a warm instance.
//!
//! The functions of C are called as C calls them, through pointers that the optimiser cannot look behind. The contenders take turns, in
//! rounds; the figures are medians over the rounds, and so is the difference.
#![allow(clippy::unwrap_used, reason = "a bench that unwraps fails with the error")]

use std::{env, hint::black_box, ptr, time::Instant};

use dormouse::Runtime;
use dormouse_c::*;

const ECHO: &str = r#"(module (memory (export "memory") 1)
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "handle") (param i32 i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1)))))"#;

fn main() {
    // `cargo bench -- --test` checks the answers, and measures nothing.
    let (rounds, calls) = if env::args().any(|arg| arg == "--test") { (1, 10) } else { (201, 2_000) };
    let module = wat::parse_str(ECHO).unwrap();
    let input = [7u8; 256];

    let rust = Runtime::new().deploy("echo", &module).unwrap();
    let (mut runtime, mut function) = (ptr::null_mut(), ptr::null_mut());
    let no_error = ptr::null_mut();
    // SAFETY: as a host in C would.
    unsafe {
        assert_eq!(dormouse_runtime_new(ptr::null(), &mut runtime, no_error), dormouse_status::DORMOUSE_OK);
        let (name, at, len) = (c"echo".as_ptr(), module.as_ptr(), module.len());
        let deployed = dormouse_runtime_deploy(runtime, name, 4, at, len, ptr::null(), &mut function, no_error);
        assert_eq!(deployed, dormouse_status::DORMOUSE_OK);
    }
    type Invoke = unsafe extern "C" fn(
        *const dormouse_function,
        *const u8,
        usize,
        *const dormouse_invoke_options,
        *mut *mut dormouse_reply,
        *mut *mut dormouse_error,
    ) -> dormouse_status;
    type InvokeInto = unsafe extern "C" fn(
        *const dormouse_function,
        *const u8,
        usize,
        *const dormouse_invoke_options,
        *mut u8,
        usize,
        *mut usize,
        *mut dormouse_report,
        *mut *mut dormouse_error,
    ) -> dormouse_status;
    let (invoke, invoke_into) =
        black_box((dormouse_function_invoke as Invoke, dormouse_function_invoke_into as InvokeInto));
    let output =
        black_box(dormouse_reply_output as unsafe extern "C" fn(*const dormouse_reply, *mut usize) -> *const u8);
    let free = black_box(dormouse_reply_free as unsafe extern "C" fn(*mut dormouse_reply));

    let mut buffer = Vec::new();
    let mut room = [0u8; 512];
    let mut contenders: [(&str, &mut dyn FnMut()); 4] = [
        ("Rust, invoke", &mut || {
            let reply = rust.invoke(black_box(&input)).unwrap();
            assert_eq!(reply.output().len(), 256);
        }),
        ("C, dormouse_function_invoke", &mut || {
            let (mut reply, mut len) = (ptr::null_mut(), 0);
            // SAFETY: as a host in C would.
            unsafe {
                let at = black_box(&input).as_ptr();
                let status = invoke(function, at, 256, ptr::null(), &mut reply, no_error);
                assert_eq!(status, dormouse_status::DORMOUSE_OK);
                black_box(output(reply, &mut len));
                free(reply);
            }
            assert_eq!(len, 256);
        }),
        ("Rust, invoke_into", &mut || {
            rust.invoke_into(black_box(&input), &mut buffer).unwrap();
            assert_eq!(buffer.len(), 256);
        }),
        ("C, dormouse_function_invoke_into", &mut || {
            let mut len = 0;
            // SAFETY: as a host in C would.
            let status = unsafe {
                let (at, to) = (black_box(&input).as_ptr(), room.as_mut_ptr());
                invoke_into(function, at, 256, ptr::null(), to, 512, &mut len, ptr::null_mut(), no_error)
            };
            assert_eq!((status, len), (dormouse_status::DORMOUSE_OK, 256));
        }),
    ];

    let mut times = vec![[0.0f64; 4]; rounds];
    for times in &mut times {
        for (time, (_, contender)) in times.iter_mut().zip(&mut contenders) {
            let began = Instant::now();
            for _ in 0..calls {
                contender();
            }
            *time = began.elapsed().as_nanos() as f64 / f64::from(calls);
        }
    }
    let median = |of: &dyn Fn(&[f64; 4]) -> f64| {
        let mut all: Vec<f64> = times.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    for (index, (name, _)) in contenders.iter().enumerate() {
        println!("{name:34} {:7.0} ns", median(&|times| times[index]));
    }
    println!("C beside Rust, a reply of its own  {:+7.0} ns", median(&|times| times[1] - times[0]));
    println!("C beside Rust, into a buffer       {:+7.0} ns", median(&|times| times[3] - times[2]));
    // SAFETY: from this library, and not used again.
    unsafe {
        dormouse_function_free(function);
        dormouse_runtime_free(runtime);
    }
}
