//! Wasmtime, configured for many small modules: it compiles code fast, and its instances are cheap.

use std::{sync::OnceLock, time::Duration};

use wasmparser::ValType;
use wasmtime::{Config, Engine, Instance, Module, OptLevel, RegallocAlgorithm, Store, Trap, Val};

use crate::{
    fitted::Fitted,
    outcome::{Answer, Ended, Kind},
    runs::Run,
};

/// How long a call may take: many times as long as fuel lets it run in the library.
const PATIENCE: u64 = 20;
const TICK: Duration = Duration::from_secs(1);

pub struct Wasmtime {
    engine: Engine,
}

impl Wasmtime {
    pub fn start() -> Result<Self, String> {
        let mut config = Config::new();
        config
            .cranelift_opt_level(OptLevel::None)
            .cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass)
            .cranelift_debug_verifier(false)
            // Bounds are checked in code, and memories are a few pages of the heap.
            .signals_based_traps(false)
            .memory_reservation(0)
            .memory_reservation_for_growth(0)
            .memory_guard_size(0)
            .memory_init_cow(false)
            .generate_address_map(false)
            .native_unwind_info(false)
            .wasm_backtrace_max_frames(None)
            .epoch_interruption(true)
            // Deeper than any recursion that the library allows.
            .max_wasm_stack(1 << 20)
            .wasm_multi_memory(true)
            .wasm_tail_call(true)
            .wasm_extended_const(true)
            .wasm_relaxed_simd(false)
            .wasm_simd(cfg!(feature = "simd"))
            .wasm_memory64(cfg!(feature = "memory64"));
        let engine = Engine::new(&config).map_err(|error| error.to_string())?;
        static CLOCK: OnceLock<std::sync::Mutex<Vec<wasmtime::EngineWeak>>> = OnceLock::new();
        let clock = CLOCK.get_or_init(|| {
            std::thread::spawn(|| {
                loop {
                    std::thread::sleep(TICK);
                    let engines = CLOCK.get().map(|engines| engines.lock().expect("nobody panics with it"));
                    engines
                        .iter()
                        .flat_map(|engines| engines.iter())
                        .filter_map(|engine| engine.upgrade())
                        .for_each(|engine| engine.increment_epoch());
                }
            });
            Default::default()
        });
        clock.lock().expect("nobody panics with it").push(engine.weak());
        Ok(Self { engine })
    }
}

impl super::Engine for Wasmtime {
    fn answer(&mut self, fitted: &Fitted, runs: &[Run]) -> Result<Answer, String> {
        let module = match Module::new(&self.engine, &fitted.bytes) {
            Ok(module) => module,
            Err(error) => return Ok(Answer::Lacks(format!("{error:?}"))),
        };
        let mut answers = Vec::with_capacity(runs.len());
        for run in runs {
            let mut store = Store::new(&self.engine, ());
            store.set_epoch_deadline(PATIENCE);
            let instance = match Instance::new(&mut store, &module, &[]) {
                Ok(instance) => instance,
                Err(error) => return Ok(Answer::Refused(ended(&error))),
            };
            let mut calls = Vec::with_capacity(run.calls.len());
            for call in &run.calls {
                let export = &fitted.exports[call.export];
                let function = instance.get_func(&mut store, &export.name).expect("it has this export");
                let args: Vec<Val> = export.params.iter().zip(&call.args).map(val).collect();
                let mut results = vec![Val::I32(0); function.ty(&store).results().len()];
                calls.push(match function.call(&mut store, &args, &mut results) {
                    Ok(()) => Ended::Values(results.iter().map(bits).collect()),
                    Err(error) => ended(&error),
                });
            }
            answers.push(calls);
        }
        Ok(Answer::Ran(answers))
    }
}

fn val((ty, bits): (&ValType, &u64)) -> Val {
    match ty {
        ValType::I32 => Val::I32(*bits as i32),
        ValType::F32 => Val::F32(*bits as u32),
        ValType::F64 => Val::F64(*bits),
        _ => Val::I64(*bits as i64),
    }
}

fn bits(value: &Val) -> u64 {
    match value {
        Val::I32(value) => u64::from(*value as u32),
        Val::I64(value) => *value as u64,
        Val::F32(bits) => u64::from(*bits),
        Val::F64(bits) => *bits,
        _ => unreachable!("exports that are called give numbers"),
    }
}

fn ended(error: &wasmtime::Error) -> Ended {
    let Some(trap) = error.downcast_ref::<Trap>() else {
        return Ended::Other(format!("{error:?}"));
    };
    Ended::Trap(match trap {
        Trap::StackOverflow => return Ended::Stopped("the oracle's stack"),
        Trap::UnreachableCodeReached => Kind::Unreachable,
        Trap::MemoryOutOfBounds => Kind::MemoryOutOfBounds,
        Trap::TableOutOfBounds => Kind::TableOutOfBounds,
        Trap::IndirectCallToNull => Kind::IndirectCallToNull,
        Trap::BadSignature => Kind::BadSignature,
        Trap::IntegerDivisionByZero => Kind::DivisionByZero,
        Trap::IntegerOverflow => Kind::IntegerOverflow,
        Trap::BadConversionToInteger => Kind::BadConversion,
        Trap::Interrupt => return Ended::Other("it does not end".to_owned()),
        other => return Ended::Other(other.to_string()),
    })
}
