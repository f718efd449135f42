//! Every call is compared with raw wasmi: see the oracle, `fuzz/src/oracle.rs`.
//!
//! `DORMOUSE_SEEDS=100000 cargo test --release differential` runs longer; `DORMOUSE_FIRST_SEED` begins elsewhere.

use dormouse::{Limits, Reset, Runtime, Value};

use crate::{
    support::{Random, count, guest},
    targets::{self, Oracle, RESETS, ours},
};

/// Compares random calls; what ours refuses without a reason that the oracle shares is a defect.
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
    // With vectors and 64-bit addresses fewer modules have an export that takes and gives numbers only.
    let least = if cfg!(any(feature = "simd", feature = "memory64")) { seeds / 10 } else { seeds / 4 };
    assert!(modules >= least, "too few modules can be compared: {modules} of {seeds}");
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

/// Growth is a call of the host here and an operator there; with just too little fuel both must end at the same place.
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
