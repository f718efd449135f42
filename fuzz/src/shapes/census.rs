//! Counts what modules consist of: how often each operator occurs, and which control shapes occur
//! within which blocks.

use std::collections::BTreeMap;
use std::fmt;

use wasmparser::{Operator, Parser, Payload};

use super::control::{Frame, Kind};

/// A block or a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Shape {
    name: &'static str,
    /// How many values it takes: 0, 1, or 2 for more.
    values: u8,
    /// Whether other operands lie below these in the same block.
    behind: bool,
    /// Whether no run reaches it.
    dead: bool,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = ["", " with one value", " with several values"][usize::from(self.values)];
        let behind = if self.behind { " over others" } else { "" };
        let dead = if self.dead { ", dead" } else { "" };
        write!(f, "{}{values}{behind}{dead}", self.name)
    }
}

/// The kind of a block, and its parameters and results: 0, 1, or 2 for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Around {
    kind: &'static str,
    params: u8,
    results: u8,
}

impl fmt::Display for Around {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = |count: u8| ["0", "1", "2+"][usize::from(count)];
        write!(f, "{} {} -> {}", self.kind, more(self.params), more(self.results))
    }
}

/// How often each operator occurs in modules, and each control shape within each block.
#[derive(Clone, Debug)]
pub struct Census {
    operators: Vec<u64>,
    pairs: BTreeMap<(Around, Shape), u64>,
    functions: u64,
}

impl Default for Census {
    fn default() -> Self {
        Self { operators: vec![0; NAMES.len()], pairs: BTreeMap::new(), functions: 0 }
    }
}

fn few(count: usize) -> u8 {
    count.min(2) as u8
}

impl Census {
    /// Counts a block or a branch within a block.
    pub(super) fn shape(&mut self, name: &'static str, values: usize, behind: bool, around: Option<&Frame>) {
        let Some(frame) = around else { return };
        let kind = match frame.kind {
            Kind::Function => "function",
            Kind::Block => "block",
            Kind::Loop => "loop",
            Kind::If => "if",
            Kind::Else => "else",
        };
        let around = Around { kind, params: few(frame.params.len()), results: few(frame.results.len()) };
        let shape = Shape { name, values: few(values), behind, dead: frame.dead };
        *self.pairs.entry((around, shape)).or_default() += 1;
    }

    /// Counts the operators of the first so many functions of a module.
    pub(super) fn count(&mut self, module: &[u8], functions: usize) {
        let bodies = Parser::new(0).parse_all(module).filter_map(|payload| match payload {
            Ok(Payload::CodeSectionEntry(body)) => Some(body),
            _ => None,
        });
        for body in bodies.take(functions) {
            self.functions += 1;
            let Ok(operators) = body.get_operators_reader() else { continue };
            for operator in operators.into_iter().flatten() {
                self.operators[number(&operator)] += 1;
            }
        }
    }

    pub fn merge(&mut self, other: &Self) {
        for (sum, count) in self.operators.iter_mut().zip(&other.operators) {
            *sum += count;
        }
        for (pair, count) in &other.pairs {
            *self.pairs.entry(*pair).or_default() += count;
        }
        self.functions += other.functions;
    }

    /// The operators that these features have and that were never made.
    pub fn never_made(&self) -> Vec<&'static str> {
        let missing = NAMES.iter().zip(&self.operators).filter(|((proposal, name), count)| {
            let simd = cfg!(feature = "simd") && *proposal == "simd";
            let meant = ["mvp", "sign_extension", "saturating_float_to_int", "bulk_memory", "tail_call"];
            let reference = *proposal == "reference_types";
            **count == 0 && (simd || reference || meant.contains(proposal)) && *name != "MemoryDiscard"
        });
        missing.map(|((_, name), _)| *name).collect()
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: u64 = self.operators.iter().sum();
        writeln!(f, "{} functions, {all} operators", self.functions)?;
        let mut operators: Vec<(u64, &str)> =
            NAMES.iter().zip(&self.operators).map(|((_, name), count)| (*count, *name)).collect();
        operators.retain(|(count, _)| *count > 0);
        operators.sort_by(|a, b| b.cmp(a));
        for row in operators.chunks(6) {
            let row: Vec<String> = row.iter().map(|(count, name)| format!("{name} {count}")).collect();
            writeln!(f, "  {}", row.join(", "))?;
        }
        let mut kinds: BTreeMap<Around, Vec<(u64, Shape)>> = BTreeMap::new();
        for ((around, shape), count) in &self.pairs {
            kinds.entry(*around).or_default().push((*count, *shape));
        }
        for (around, mut shapes) in kinds {
            shapes.sort_by(|a, b| b.cmp(a));
            writeln!(f, "in {around}: {} shapes", shapes.len())?;
            for row in shapes.chunks(4) {
                let row: Vec<String> = row.iter().map(|(count, shape)| format!("{shape}: {count}")).collect();
                writeln!(f, "  {}", row.join("; "))?;
            }
        }
        Ok(())
    }
}

macro_rules! names {
    ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*) )*) => {
        /// Each operator's proposal and name.
        const NAMES: &[(&str, &str)] = &[$( (stringify!($proposal), stringify!($op)), )*];

        #[derive(Clone, Copy)]
        #[allow(clippy::upper_case_acronyms, reason = "the names are wasmparser's")]
        enum Number { $( $op, )* }

        /// The place of an operator among the names.
        fn number(operator: &Operator<'_>) -> usize {
            let number = match operator {
                $( Operator::$op { .. } => Number::$op, )*
                // `Operator` may get more variants.
                _ => Number::Unreachable,
            };
            number as usize
        }
    };
}
wasmparser::for_each_operator!(names);
