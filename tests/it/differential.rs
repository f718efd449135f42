//! Compares every call with raw wasmi: see the oracle, `fuzz/src/oracle.rs`.
//!
//! `DORMOUSE_SEEDS=100000 cargo test --release differential` runs longer. `DORMOUSE_FIRST_SEED`
//! begins elsewhere.

use dormouse::{Limits, Reset, Runtime, Value};

use crate::{
    support::{Random, count, guest},
    targets::{self, Oracle, RESETS, ours},
};

/// Compares random calls. If the library refuses one, the oracle must have the same reason.
fn compare(bytes: &[u8], seed: u64, calls: u64, reset: Reset) -> u64 {
    targets::compare(bytes, seed, calls, reset).unwrap_or_else(|error| panic!("seed {seed}: {error}"))
}

/// A module from a seed.
fn smith(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let len = 500 + random.below(4_000) as usize;
    targets::generated(&random.bytes(len)).unwrap_or_default()
}

#[test]
fn generated_modules_run_as_on_a_fresh_raw_instance() {
    let (first, seeds) = (count("DORMOUSE_FIRST_SEED", 0), count("DORMOUSE_SEEDS", 2_000));
    let (mut modules, mut calls) = (0, 0);
    for seed in first..first + seeds {
        let reset = RESETS[seed as usize % RESETS.len()];
        let compared = compare(&smith(seed), seed, 12, reset);
        modules += u64::from(compared > 0);
        calls += compared;
    }
    println!("{modules} modules of {seeds} seeds, {calls} calls compared");
    // With vectors and 64-bit addresses, fewer modules have an export that takes and returns only
    // numbers.
    let least = if cfg!(any(feature = "simd", feature = "memory64")) { seeds / 10 } else { seeds / 4 };
    assert!(modules >= least, "too few modules can be compared: {modules} of {seeds}");
}

/// The modules of this package's generator. Their exports take and return only integers, so NaNs
/// need not be made the same.
#[test]
fn shaped_modules_run_as_on_a_fresh_raw_instance() {
    let (first, seeds) = (count("DORMOUSE_FIRST_SEED", 0), count("DORMOUSE_SHAPES", 500));
    let calls: u64 = (first..first + seeds)
        .map(|seed| compare(&targets::shaped(seed).bytes, seed, 12, RESETS[seed as usize % RESETS.len()]))
        .sum();
    assert_eq!(calls, 12 * seeds, "each module can be compared");
}

#[test]
fn hand_written_guests_run_as_on_a_fresh_raw_instance() {
    let names = [
        "counter",
        "echo",
        "fib",
        "fib-tail",
        "globals",
        "multi-memory",
        "multi-value",
        "passive",
        "recurse",
        "start",
        "table",
        "trap-late",
        "traps",
        "bomb",
        "loop",
    ];
    for (seed, name) in names.iter().enumerate() {
        for reset in RESETS {
            let compared = compare(&guest(name), seed as u64, count("DORMOUSE_CALLS", 200), reset);
            assert!(compared > 0, "{name} was not compared");
        }
    }
}

/// Growth is a call of the host here, and an operator in raw wasmi. With just too little fuel, both
/// must end at the same place.
#[test]
fn every_limit_of_fuel_around_a_growth_ends_as_in_raw_wasmi() {
    let module = crate::support::wat(
        r#"(module (memory (export "memory") 1 4)
             (func (export "fails") (result i32) (i32.add (memory.grow (i32.const 9)) (memory.grow (i32.const 0))))
             (func (export "grows") (result i32)
               (i32.add (memory.grow (i32.const 1)) (i32.add (memory.grow (i32.const 1)) (memory.size))))
             (func (export "guarded") (param i32) (result i32)
               (if (result i32) (local.get 0) (then (memory.grow (i32.const -1))) (else (i32.const 3))))
             (table $f 1 400 funcref) (table $e 0 externref)
             (func (export "table fails") (result i32)
               (i32.add (table.grow $f (ref.null func) (i32.const 400)) (table.grow $e (ref.null extern) (i32.const 0))))
             (func (export "table grows") (result i32)
               (i32.add
                 (table.grow $f (ref.null func) (i32.const 300))
                 (i32.add (table.grow $e (ref.null extern) (i32.const 2000)) (table.size $e))))
             (func (export "table guarded") (param i32) (result i32)
               (if (result i32) (local.get 0)
                 (then (table.grow $e (ref.null extern) (i32.const -1))) (else (i32.const 3)))))"#,
    );
    let oracle = Oracle::new(&module, &Limits::default()).unwrap();
    let function = Runtime::new().deploy("f", &module).unwrap();
    for (export, args, most) in [
        ("fails", vec![], 12),
        ("grows", vec![], 2_070),
        ("guarded", vec![Value::I32(0)], 12),
        ("guarded", vec![Value::I32(1)], 12),
        ("table fails", vec![], 12),
        ("table grows", vec![], 160),
        ("table guarded", vec![Value::I32(0)], 12),
        ("table guarded", vec![Value::I32(1)], 12),
    ] {
        for fuel in 0..most {
            let theirs = oracle.call(export, &args, fuel);
            assert_eq!(ours(&function, export, &args, fuel), theirs, "{export} with {fuel} fuel");
        }
        assert!(oracle.call(export, &args, most - 1).result.is_ok(), "{export}: the last has enough");
    }
}

/// Which of two NaNs a sum takes depends on where the operands lie, on the machine and on the
/// compiler. With this feature it does not.
#[cfg(feature = "deterministic")]
#[test]
fn arithmetic_on_two_nans_has_the_same_bits_wherever_they_lie() {
    // As a constant, in a local, and as the last result.
    let operand = |float: &str, local: u32, lies: &str| match lies {
        "constant" => format!("{float}.const nan:0x40000{}", local + 1),
        "local" => format!("local.get {local}"),
        _ => format!("local.get {local} {float}.trunc"),
    };
    for float in ["f32", "f64"] {
        let mut functions = String::new();
        for op in ["add", "sub", "mul", "div", "min", "max"] {
            for (left, right) in [
                ("constant", "computed"),
                ("computed", "constant"),
                ("local", "computed"),
                ("computed", "local"),
                ("local", "local"),
                ("computed", "computed"),
            ] {
                let (first, second) = (operand(float, 0, left), operand(float, 1, right));
                functions += &format!(
                    r#"(func (export "{op} {left} {right}") (param {float} {float}) (result {float})
                         {first} {second} {float}.{op})"#
                );
            }
        }
        let module = crate::support::wat(&format!("(module {functions})"));
        let function = Runtime::new().deploy("f", &module).unwrap();
        let oracle = Oracle::new(&module, &Limits::default()).unwrap();
        let (args, canonical) = match float {
            "f32" => ([1, 2].map(|low| Value::F32(f32::from_bits(0xffc4_0000 + low))), 0x7fc0_0000),
            _ => ([1, 2].map(|low| Value::F64(f64::from_bits(0xfff8_0000_0040_0000 + low))), 0x7ff8_0000_0000_0000),
        };
        for (export, _) in oracle.scalar_exports() {
            let ours = ours(&function, &export, &args, 1_000);
            assert_eq!(ours, oracle.call(&export, &args, 1_000), "{float}: {export}");
            assert_eq!(ours.result, Ok(vec![canonical]), "{float}: {export}");
        }
    }
}
