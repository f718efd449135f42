//! Checks repeatability, which needs no oracle. Each call of a shaped module answers the same, cold
//! and warm, whatever lay on the interpreter's stack before it. A difference is a value that the
//! call read and never wrote.

use std::{fmt, time::Duration};

use dormouse::{Function, Limits, Runtime, Value};

use super::Random;
use super::oracle::{FUEL, MEMORY, Outcome, RESETS, TABLE_ELEMENTS, ours, random_args};
use super::shapes::{Census, ShapedExport, shaped};

/// The patterns that fill the stack: two that no program computes by chance, zeros, and a small
/// number in each half.
const PATTERNS: [u64; 4] = [0x1111_1111_1111_1111, 0xfedc_ba98_7654_3210, 0, 0x0000_0002_0000_0001];

/// Arguments that each export is called with.
const CALLS: usize = 4;

/// The counts of a module's calls.
pub struct Repeated {
    pub calls: u64,
    /// Calls that ended with a trap.
    pub traps: u64,
    /// Calls that ran out of fuel.
    pub exhausted: u64,
    pub census: Census,
}

/// One call that had two outcomes.
#[derive(Debug)]
pub struct Difference {
    pub seed: u64,
    pub export: String,
    pub args: Vec<u64>,
    /// The contents of the stack, and the outcome of the call.
    pub first: (u64, Outcome),
    pub second: (u64, Outcome),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, export, args, first, second } = self;
        write!(f, "seed {seed}: {export}{args:x?} comes to {:x?} over {:#x},", first.1, first.0)?;
        write!(f, " and to {:x?} over {:#x}", second.1, second.0)
    }
}

/// Runs the calls of a seed's module.
///
/// # Errors
/// The first difference.
pub fn repeatable(seed: u64) -> Result<Repeated, Box<Difference>> {
    let module = shaped(seed);
    let reset = RESETS[seed as usize % RESETS.len()];
    let runtime = Runtime::builder().reset(reset).build();
    let limits = Limits { fuel: FUEL, memory_bytes: MEMORY, table_elements: TABLE_ELEMENTS, ..Limits::default() };
    let deployment = runtime.deployment("f", &module.bytes).limits(limits).instances(0..=1);
    let function = deployment.deploy().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let mut random = Random::new(seed);
    let mut repeated = Repeated { calls: 0, traps: 0, exhausted: 0, census: module.census };
    for _ in 0..CALLS {
        for export in &module.exports {
            let args = random_args(&vec![Value::I64(0); export.args], |bound| random.below(bound));
            call(seed, &function, export, &args, &mut random, &mut repeated)?;
        }
    }
    Ok(repeated)
}

/// Calls an export with these arguments over one pattern after the other.
fn call(
    seed: u64,
    function: &Function,
    export: &ShapedExport,
    args: &[Value],
    random: &mut Random,
    repeated: &mut Repeated,
) -> Result<(), Box<Difference>> {
    let mut first: Option<(u64, Outcome)> = None;
    let from = random.below(2) as usize;
    for pattern in [PATTERNS[from], PATTERNS[1 - from], PATTERNS[2 + from]] {
        // Most calls skip the third pattern. It finds what the first two find, unless one of them
        // reads zeros.
        if pattern == PATTERNS[2 + from] && random.below(4) > 0 {
            continue;
        }
        // The next start is cold then.
        if random.below(6) == 0 {
            function.trim(Duration::ZERO);
        }
        let all: Vec<Value> = [Value::I64(pattern as i64)].into_iter().chain(args.iter().copied()).collect();
        let outcome = ours(function, &export.name, &all, FUEL);
        repeated.calls += 1;
        match &outcome.result {
            Ok(values) => assert_eq!(values.len(), export.results, "seed {seed}: {}", export.name),
            Err(error) if error == "fuel" => repeated.exhausted += 1,
            Err(_) => repeated.traps += 1,
        }
        match &first {
            None => first = Some((pattern, outcome)),
            Some(known) if known.1 == outcome => {}
            Some(known) => {
                return Err(Box::new(Difference {
                    seed,
                    export: export.name.clone(),
                    args: args.iter().map(|arg| arg.as_u64()).collect(),
                    first: known.clone(),
                    second: (pattern, outcome),
                }));
            }
        }
    }
    Ok(())
}
