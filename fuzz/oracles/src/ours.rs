//! The library's side. It deploys a module, and its runs are invocations and sessions, on cold
//! instances and on used ones.

use std::time::Duration;

use dormouse::{DeployError, Function, Guest, InvokeErrorKind, Limits, Reset, Runtime, Trap, Value};
use wasmparser::ValType;

use crate::{
    fitted::{ELEMENTS, Fitted, MEMORY},
    outcome::{Ended, Kind},
    runs::{Call, Run},
};

/// Every way of cleaning an instance.
pub const RESETS: [Reset; 3] = [Reset::Portable, Reset::ByFaultCount, Reset::ByPageScan];

/// The fuel of a call, without the reads of digests.
const FUEL: u64 = 1_000_000;

/// The outcome of a deployment.
pub enum Deployed {
    Function(Function),
    /// Initialisation ended like this, and must end so in any engine.
    Refused(Ended),
    /// The library refuses it, for a reason that need not be the engine's.
    NotTaken(String),
}

/// One runtime for each way of cleaning, which serves all modules.
pub struct Ours {
    runtimes: [Runtime; 3],
}

impl Ours {
    pub fn new() -> Self {
        Self { runtimes: RESETS.map(|reset| Runtime::builder().reset(reset).build()) }
    }

    pub fn deploy(&self, module: &Fitted, reset: usize) -> Deployed {
        let limits = Limits {
            fuel: fuel(module, usize::MAX),
            memory_bytes: MEMORY,
            table_elements: ELEMENTS,
            ..Limits::default()
        };
        let deployment = self.runtimes[reset].deployment("f", &module.bytes);
        match deployment.limits(limits).instances(0..=1).deploy() {
            Ok(function) => Deployed::Function(function),
            Err(DeployError::SegmentOutOfBounds { .. }) => Deployed::Refused(Ended::Trap(Kind::MemoryOutOfBounds)),
            Err(DeployError::Initialise { cause, .. }) => match ended(*cause) {
                Ended::Stopped(by) => Deployed::NotTaken(format!("initialisation is stopped by {by}")),
                ended => Deployed::Refused(ended),
            },
            Err(DeployError::TooLarge { kind, .. }) => {
                Deployed::NotTaken(format!("above the limit `{}`", kind.field()))
            }
            Err(error @ DeployError::Refused { .. }) => Deployed::NotTaken(error.to_string()),
            // The generators make no such module.
            Err(error) => Deployed::Refused(Ended::Other(error.to_string())),
        }
    }

    pub fn undeploy(&self, reset: usize) {
        self.runtimes[reset].undeploy("f");
    }
}

/// Fuel that is enough for this many calls of a session and a digest.
fn fuel(module: &Fitted, calls: usize) -> u64 {
    FUEL * calls.min(4) as u64 + 100_000 + module.largest * 2
}

/// Makes one run. Returns how each of its calls ended.
pub fn run(function: &Function, module: &Fitted, run: &Run, is_cold: bool) -> Vec<Ended> {
    if is_cold {
        function.trim(Duration::ZERO);
    }
    if let [call] = &run.calls[..] {
        let export = &module.exports[call.export];
        let returned = function.invocation(b"").fuel(FUEL).call(&export.name, &values(module, call));
        return vec![match returned {
            Ok(returned) => Ended::Values(bits(returned.values())),
            Err(error) => ended(error.into_kind()),
        }];
    }
    let call_all = |guest: &mut Guest<'_>| {
        let call = |call: &Call| match guest.call(&module.exports[call.export].name, &values(module, call)) {
            Ok(values) => Ended::Values(bits(&values)),
            Err(error) => ended(error),
        };
        Ok(run.calls.iter().map(call).collect())
    };
    match function.invocation(b"").fuel(fuel(module, run.calls.len())).session(call_all) {
        Ok(returned) => returned.into_value(),
        Err(error) => vec![ended(error.into_kind())],
    }
}

fn values(module: &Fitted, call: &Call) -> Vec<Value> {
    let value = |(ty, bits): (&ValType, &u64)| match ty {
        ValType::I32 => Value::I32(*bits as i32),
        ValType::F32 => Value::F32(f32::from_bits(*bits as u32)),
        ValType::F64 => Value::F64(f64::from_bits(*bits)),
        _ => Value::I64(*bits as i64),
    };
    module.exports[call.export].params.iter().zip(&call.args).map(value).collect()
}

fn bits(values: &[Value]) -> Vec<u64> {
    values.iter().map(|value| value.as_u64()).collect()
}

fn ended(error: InvokeErrorKind) -> Ended {
    Ended::Trap(match error {
        InvokeErrorKind::OutOfFuel { .. } => return Ended::Stopped("fuel"),
        InvokeErrorKind::DeadlineExceeded { .. } => return Ended::Stopped("the deadline"),
        InvokeErrorKind::Trap(trap) => match trap {
            Trap::StackOverflow => return Ended::Stopped("the stack"),
            Trap::Unreachable => Kind::Unreachable,
            Trap::MemoryOutOfBounds => Kind::MemoryOutOfBounds,
            Trap::TableOutOfBounds => Kind::TableOutOfBounds,
            Trap::IndirectCallToNull => Kind::IndirectCallToNull,
            Trap::DivisionByZero => Kind::DivisionByZero,
            Trap::IntegerOverflow => Kind::IntegerOverflow,
            Trap::BadConversion => Kind::BadConversion,
            Trap::BadSignature => Kind::BadSignature,
            other => return Ended::Other(other.to_string()),
        },
        other => return Ended::Other(other.to_string()),
    })
}
