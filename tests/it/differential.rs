//! The oracle: raw wasmi on the original bytes, a fresh store and instance for each call. Output, trap and fuel of every
//! call of ours, cold or warm, after anything, must be those of the oracle. One difference is a defect.
//!
//! `DORMOUSE_SEEDS=100000 cargo test --release differential` runs longer; `DORMOUSE_FIRST_SEED` begins elsewhere.

use std::time::Duration;

use arbitrary::Unstructured;
use dormouse::{DeployError, Function, InvokeErrorKind, Limits, Reset, Runtime, Trap, Value};
use wasmi::{Config, CustomFuelCosts, Engine, Instance, Linker, Module, ResourceLimiter, Store, TrapCode, Val};

use crate::support::{Random, count, guest};

const FUEL: u64 = 200_000;
const MEMORY: u64 = 4 << 20;
const TABLE_ELEMENTS: u64 = 5_000;

/// Every way of cleaning an instance must come to the same.
const RESETS: [Reset; 3] = [Reset::Portable, Reset::Gated, Reset::Scanned];

/// What one call came to: values or a trap's text, and fuel.
#[derive(Debug, PartialEq)]
struct Outcome {
    result: Result<Vec<u64>, String>,
    fuel: u64,
}

/// Raw wasmi: metered as ours is (translation and validation cost nothing), with the same bounds.
struct Oracle {
    engine: Engine,
    module: Module,
}

/// All memories of an instance together, and tables, within their limits.
struct Bounds {
    memory: usize,
    elements: usize,
}

impl ResourceLimiter for Bounds {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool, wasmi_core::LimiterError> {
        let more = desired - current;
        let fits = self.memory + more <= MEMORY as usize && maximum.is_none_or(|maximum| desired <= maximum);
        if fits {
            self.memory += more;
        }
        Ok(fits)
    }

    fn memory_grow_failed(&mut self, _: &wasmi_core::MemoryError) -> Result<(), wasmi_core::LimiterError> {
        // Out of fuel, the only failure left, ends the run.
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool, wasmi_core::LimiterError> {
        let more = desired - current;
        let fits = self.elements + more <= TABLE_ELEMENTS as usize && maximum.is_none_or(|maximum| desired <= maximum);
        if fits {
            self.elements += more;
        }
        Ok(fits)
    }

    fn instances(&self) -> usize {
        usize::MAX
    }

    fn tables(&self) -> usize {
        usize::MAX
    }

    fn memories(&self) -> usize {
        usize::MAX
    }
}

impl Oracle {
    fn new(bytes: &[u8]) -> Option<Self> {
        let mut config = Config::default();
        config.consume_fuel(true).fuel_cost(CustomFuelCosts {
            bytes_copied_per_fuel: 64,
            fuel_per_bytes_translated: 0,
            fuel_per_bytes_validated: 0,
        });
        config.set_max_stack_height(1 << 20);
        let engine = Engine::new(&config);
        let module = Module::new(&engine, bytes).ok()?;
        Some(Self { engine, module })
    }

    /// A fresh instance, or what its instantiation came to.
    fn instantiate(&self) -> Result<(Store<Bounds>, Instance), String> {
        let mut store = Store::new(&self.engine, Bounds { memory: 0, elements: 0 });
        store.limiter(|bounds| bounds);
        store.set_fuel(FUEL).unwrap();
        let instance = Linker::new(&self.engine)
            .instantiate_and_start(&mut store, &self.module)
            .map_err(|error| error.to_string())?;
        // The buffer contract lets the heap grow once before any event: the same here.
        let handle = instance.get_typed_func::<(i32, i32), i64>(&store, "handle");
        if let (Ok(alloc), Ok(_)) = (instance.get_typed_func::<i32, i32>(&store, "alloc"), handle) {
            alloc.call(&mut store, 1024).map_err(|error| error.to_string())?;
        }
        Ok((store, instance))
    }

    /// One call on a fresh instance.
    fn call(&self, export: &str, args: &[Value], fuel: u64) -> Outcome {
        on_a_large_stack(|| self.call_here(export, args, fuel))
    }

    fn call_here(&self, export: &str, args: &[Value], fuel: u64) -> Outcome {
        let (mut store, instance) = self.instantiate().expect("it was deployed");
        let function = instance.get_func(&store, export).unwrap();
        store.set_fuel(fuel).unwrap();
        let args: Vec<Val> = args.iter().map(val).collect();
        let mut results = vec![Val::I32(0); function.ty(&store).results().len()];
        let result = match function.call(&mut store, &args, &mut results) {
            Ok(()) => Ok(results.iter().map(|value| bits(value).unwrap()).collect()),
            Err(error) => Err(match error.as_trap_code() {
                Some(TrapCode::OutOfFuel) => "fuel".to_owned(),
                // wasmi has a slip of the pen in this one.
                Some(TrapCode::IndirectCallToNull) => "uninitialized element".to_owned(),
                _ => error.to_string(),
            }),
        };
        Outcome { result, fuel: fuel - store.get_fuel().unwrap() }
    }
}

/// Nothing keeps raw wasmi from overflowing the native stack by growths that fail (seed 487129 did, on 2 MiB), so the oracle
/// has a stack that is large enough for all its fuel. Ours runs on the test's own.
fn on_a_large_stack<T: Send>(oracle: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(128 << 20);
        thread.spawn_scoped(scope, oracle).unwrap().join().unwrap()
    })
}

fn ours(function: &Function, export: &str, args: &[Value], fuel: u64) -> Outcome {
    match function.invocation(b"").fuel(fuel).call(export, args) {
        Ok(returned) => Outcome {
            result: Ok(returned.values().iter().map(|value| value.as_u64()).collect()),
            fuel: returned.report().fuel(),
        },
        Err(error) => Outcome {
            fuel: error.report().unwrap_or_else(|| panic!("no report: {error}")).fuel(),
            result: Err(match error.into_kind() {
                InvokeErrorKind::OutOfFuel { .. } => "fuel".to_owned(),
                InvokeErrorKind::Trap(trap) => trap.to_string(),
                other => other.to_string(),
            }),
        },
    }
}

fn val(value: &Value) -> Val {
    match *value {
        Value::I32(value) => Val::I32(value),
        Value::I64(value) => Val::I64(value),
        Value::F32(value) => Val::F32(wasmi::F32::from_bits(value.to_bits())),
        Value::F64(value) => Val::F64(wasmi::F64::from_bits(value.to_bits())),
    }
}

fn bits(value: &Val) -> Option<u64> {
    match value {
        Val::I32(value) => Some(u64::from(*value as u32)),
        Val::I64(value) => Some(*value as u64),
        Val::F32(value) => Some(u64::from(value.to_bits())),
        Val::F64(value) => Some(value.to_bits()),
        _ => None,
    }
}

/// The exports that take and give numbers only, with a zero of each parameter's type.
fn scalar_exports(module: &Module) -> Vec<(String, Vec<Value>)> {
    let mut exports = Vec::new();
    for export in module.exports() {
        let Some(ty) = export.ty().func() else { continue };
        let zero = |ty: &wasmi::ValType| match ty {
            wasmi::ValType::I32 => Some(Value::I32(0)),
            wasmi::ValType::I64 => Some(Value::I64(0)),
            wasmi::ValType::F32 => Some(Value::F32(0.0)),
            wasmi::ValType::F64 => Some(Value::F64(0.0)),
            _ => None,
        };
        let params: Option<Vec<_>> = ty.params().iter().map(zero).collect();
        if let (Some(params), true) = (params, ty.results().iter().all(|ty| zero(ty).is_some())) {
            exports.push((export.name().to_owned(), params));
        }
    }
    exports
}

fn random_args(random: &mut Random, types: &[Value]) -> Vec<Value> {
    let number = |random: &mut Random| match random.below(4) {
        0 => random.below(4),
        1 => random.below(1 << 17),
        2 => u64::MAX - random.below(4),
        _ => random.next(),
    };
    let one = |value: &Value| match value {
        Value::I32(_) => Value::I32(number(random) as i32),
        Value::I64(_) => Value::I64(number(random) as i64),
        Value::F32(_) => Value::F32(f32::from_bits(number(random) as u32)),
        Value::F64(_) => Value::F64(f64::from_bits(number(random))),
    };
    types.iter().map(one).collect()
}

/// Runs random sequences of calls on both; returns how many were compared.
fn compare(bytes: &[u8], seed: u64, calls: u64, reset: Reset) -> u64 {
    let Some(oracle) = Oracle::new(bytes) else { return 0 };
    let limits = Limits { fuel: FUEL, memory: MEMORY, table_elements: TABLE_ELEMENTS, ..Limits::default() };
    let runtime = Runtime::builder().reset(reset).build();
    let function = match runtime.deployment("f", bytes).limits(limits).instances(0..=2).deploy() {
        Ok(function) => function,
        Err(DeployError::TooLarge { .. }) => return 0,
        // What does not initialise here must not instantiate there either.
        Err(error @ (DeployError::Initialise { .. } | DeployError::SegmentOutOfBounds { .. })) => {
            let is_refused = on_a_large_stack(|| oracle.instantiate().is_err());
            assert!(is_refused, "seed {seed}: ours refuses with: {error}");
            return 0;
        }
        Err(error) => panic!("seed {seed}: {error}"),
    };
    let exports = scalar_exports(&oracle.module);
    if exports.is_empty() {
        return 0;
    }
    let grows = grows(bytes);
    let mut random = Random::new(seed);
    for call in 0..calls {
        let (export, types) = &exports[random.below(exports.len() as u64) as usize];
        let args = random_args(&mut random, types);
        let fuel = match random.below(3) {
            0 => random.below(100),
            1 => random.below(5_000),
            _ => FUEL,
        };
        // The next start is cold then, on an instance made from the image instead of the one that deployment left.
        if random.below(4) == 0 {
            function.trim(Duration::ZERO);
        }
        let mut theirs = oracle.call(export, &args, fuel);
        let ours = ours(&function, export, &args, fuel);
        // The one difference that there is, documented at `Limits::call_depth`: growing counts as a call, so a
        // recursion that grows something at its end may come to the end of the stack one call earlier.
        if grows && ours.result == theirs.result && ours.result == Err(Trap::StackOverflow.to_string()) {
            theirs.fuel = ours.fuel;
        }
        assert_eq!(ours, theirs, "seed {seed}, call {call}: {export}{args:?} with {fuel} fuel");
    }
    calls
}

/// Whether a module contains `memory.grow` or `table.grow`.
fn grows(bytes: &[u8]) -> bool {
    wasmparser::Parser::new(0).parse_all(bytes).any(|payload| {
        let Ok(wasmparser::Payload::CodeSectionEntry(body)) = payload else { return false };
        let mut operators = body.get_operators_reader().unwrap().into_iter();
        operators.any(|operator| {
            use wasmparser::Operator::{MemoryGrow, TableGrow};
            matches!(operator, Ok(MemoryGrow { .. } | TableGrow { .. }))
        })
    })
}

/// A module from a seed: multi-memory, bulk memory, reference types, tail calls, start functions.
fn smith(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let len = 500 + random.below(4_000) as usize;
    let bytes = random.bytes(len);
    let config = wasm_smith::Config {
        max_imports: 0,
        min_exports: 1,
        export_everything: true,
        max_memories: 3,
        max_memory32_bytes: 8 << 20,
        max_memory64_bytes: 8 << 20,
        max_tables: 3,
        max_table_elements: 500,
        min_funcs: 1,
        bulk_memory_enabled: true,
        reference_types_enabled: true,
        multi_value_enabled: true,
        tail_call_enabled: true,
        extended_const_enabled: true,
        memory64_enabled: cfg!(feature = "memory64"),
        simd_enabled: cfg!(feature = "simd"),
        relaxed_simd_enabled: false,
        exceptions_enabled: false,
        gc_enabled: false,
        threads_enabled: false,
        custom_page_sizes_enabled: false,
        wide_arithmetic_enabled: false,
        shared_everything_threads_enabled: false,
        canonicalize_nans: false,
        ..wasm_smith::Config::default()
    };
    let mut source = Unstructured::new(&bytes);
    match wasm_smith::Module::new(config, &mut source) {
        Ok(module) => module.to_bytes(),
        Err(_) => Vec::new(),
    }
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
    let oracle = Oracle::new(&module).unwrap();
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
