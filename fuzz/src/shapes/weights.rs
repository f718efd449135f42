//! What a module consists of: how often each kind of operator occurs. Each module turns some kinds
//! off and others up, so that rare kinds meet in some module.

use super::super::Random;
use super::types::Ty;

/// Whether something happens that has this chance in a hundred.
pub(super) fn chance(random: &mut Random, percent: u32) -> bool {
    random.below(100) < u64::from(percent)
}

/// One of these, by their weights. It is the first if all weights are zero.
pub(super) fn choose<T: Copy>(random: &mut Random, weighted: &[(u32, T)]) -> T {
    let sum: u64 = weighted.iter().map(|(weight, _)| u64::from(*weight)).sum();
    let mut at = if sum == 0 { 0 } else { random.below(sum) };
    for (weight, what) in weighted {
        match at.checked_sub(u64::from(*weight)) {
            Some(rest) => at = rest,
            None => return *what,
        }
    }
    weighted[0].1
}

/// A kind of statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Numeric,
    Constant,
    LocalGet,
    LocalSet,
    LocalTee,
    Drop,
    Select,
    Global,
    Load,
    Store,
    Bulk,
    Table,
    Reference,
    Block,
    Ladder,
    Br,
    BrIf,
    BrTable,
    Return,
    Unreachable,
    Nop,
    Call,
    CallIndirect,
    TailCall,
    Burst,
    Late,
    Fold,
    Vector,
    VectorMemory,
}

/// Each kind of statement with its usual weight.
const USUAL: &[(u32, Step)] = &[
    (26, Step::Numeric),
    (8, Step::Constant),
    (14, Step::LocalGet),
    (14, Step::LocalSet),
    (9, Step::LocalTee),
    (3, Step::Drop),
    (8, Step::Select),
    (6, Step::Global),
    (8, Step::Load),
    (8, Step::Store),
    (3, Step::Bulk),
    (4, Step::Table),
    (4, Step::Reference),
    (14, Step::Block),
    (5, Step::Ladder),
    (4, Step::Br),
    (9, Step::BrIf),
    (8, Step::BrTable),
    (2, Step::Return),
    (1, Step::Unreachable),
    (1, Step::Nop),
    (5, Step::Call),
    (3, Step::CallIndirect),
    (2, Step::TailCall),
    (2, Step::Burst),
    (8, Step::Late),
    (6, Step::Fold),
    (14, Step::Vector),
    (5, Step::VectorMemory),
];

/// The weights of one module.
pub(super) struct Weights {
    pub(super) steps: Vec<(u32, Step)>,
    pub(super) types: [(u32, Ty); 7],
    /// The chance in a hundred that something that may trap is not kept from trapping.
    pub(super) trapping: u32,
    /// The chance in a hundred that a block, a loop or an if has parameters.
    pub(super) params: u32,
    /// How many values a block, a function or a label has.
    pub(super) widths: [(u32, usize); 6],
    /// The chance in a hundred that a branch leaves operands behind on purpose.
    pub(super) behind: u32,
    /// The chance in a hundred that unreachable code follows.
    pub(super) dead: u32,
    /// The chance in a hundred that operands are made again although they lie on the stack.
    pub(super) anew: u32,
    /// The chance in a hundred that an operand is computed, not just read.
    pub(super) computed: u32,
    /// Whether vectors are used.
    pub(super) vectors: bool,
    /// Whether stores reach all of a memory, so that all of it is part of the digest.
    pub(super) whole: bool,
    /// How often code may go back or into a function, in one call from outside.
    pub(super) turns: u32,
}

impl Weights {
    pub(super) fn new(random: &mut Random) -> Self {
        let vectors = cfg!(feature = "simd") && chance(random, 60);
        let mut swing = |weight: u32, off: u32| match random.below(100) as u32 {
            at if at < off => 0,
            at if at < 30 => weight,
            at if at < 70 => weight * 2,
            at if at < 90 => weight * 4,
            _ => weight * 12,
        };
        let steps = USUAL.iter().map(|(weight, step)| {
            let weight = match step {
                Step::Numeric | Step::LocalGet | Step::Block => swing(*weight, 3),
                Step::Vector | Step::VectorMemory if !vectors => 0,
                Step::Unreachable | Step::Burst => swing(*weight, 60),
                _ => swing(*weight, 20),
            };
            (weight, *step)
        });
        let steps = steps.collect();
        let types = Ty::ALL.map(|ty| {
            let weight = match ty {
                Ty::I32 => swing(10, 2),
                Ty::I64 => swing(10, 10),
                Ty::F32 | Ty::F64 => swing(6, 25),
                Ty::V128 if vectors => swing(10, 5),
                Ty::V128 => 0,
                Ty::Func | Ty::Extern => swing(2, 40),
            };
            (weight, ty)
        });
        Self {
            steps,
            types,
            trapping: [0, 0, 0, 1, 3, 10][random.below(6) as usize],
            params: [5, 25, 50, 80][random.below(4) as usize],
            widths: match random.below(4) {
                0 => [(4, 0), (6, 1), (1, 2), (0, 3), (0, 4), (0, 7)],
                1 => [(2, 0), (3, 1), (4, 2), (2, 3), (1, 4), (0, 7)],
                2 => [(1, 0), (1, 1), (6, 2), (2, 3), (1, 4), (1, 7)],
                _ => [(2, 0), (3, 1), (3, 2), (2, 3), (2, 4), (1, 9)],
            },
            behind: [10, 40, 70, 90][random.below(4) as usize],
            dead: [5, 40, 80][random.below(3) as usize],
            anew: [5, 30, 60][random.below(3) as usize],
            computed: [10, 30, 60][random.below(3) as usize],
            vectors,
            whole: chance(random, 5),
            turns: 8 + random.below(40) as u32,
        }
    }

    /// A type of this module.
    pub(super) fn ty(&self, random: &mut Random) -> Ty {
        choose(random, &self.types)
    }

    /// A list of types of this module.
    pub(super) fn list(&self, random: &mut Random) -> Vec<Ty> {
        let width = choose(random, &self.widths);
        // Some operators have a special translation if all values have one type.
        let alike = chance(random, 50).then(|| self.ty(random));
        (0..width).map(|_| alike.unwrap_or_else(|| self.ty(random))).collect()
    }
}
