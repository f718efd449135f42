//! What the interpreter mistranslates: how it is found, and what is written instead.
//!
//! wasmi 2.0.0 keeps the latest values in registers and the others in cells of its value stack. It
//! translates some operators so that they read a cell which the call never wrote. The cell then
//! holds what an earlier call left there. The faults have numbers. `docs/interpreter-faults.md` has
//! a module for each, with the right answer and the wrong one.
//!
//! - *4, stores of integers* beyond an offset of 65,535 or to another memory than the first. The
//!   fault needs address and value in one register: a local that was just set and is read twice.
//!   wasmi panics on the function's first call. If the value is a constant, there is no fault.
//! - *5, `block`, `loop` and `if` with parameters*. A local that lies below them on the stack is
//!   not kept before it is set again.
//! - *6, `select`* whose condition is a comparison with zero or for equality. wasmi leaves out the
//!   comparison, and reads the register.
//! - *7, `br_table`* that takes several values, or a vector, over operands that it leaves behind.
//!   wasmi copies nothing if all targets have one height. Each target then reads its values where
//!   they are not.
//!
//! An empty block before the operator cures 4, 5 and 6. It brings all operands to the stack, and
//! costs no fuel. It does not cure 7. There the table gets a block of its own, which takes all that
//! the table takes and takes the place of the default target. So the heights differ, and wasmi
//! copies. Behind the block a `br` goes on to the default target, for 1 fuel.
//!
//! The faults were found by comparing generated modules with and without a block before every
//! operator, and with another engine (`fuzz/oracles`).
//!
//! Invariant: a cured module is valid if the module was, and answers what the specification says.

use std::collections::HashMap;

use wasm_encoder::Encode;
use wasmparser::{BlockType, BrTable, FrameKind, FuncType, FuncValidator, Operator, ValType, ValidatorResources};

use super::leb::leb;
use crate::error::DeployError;

/// What an operator needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cure {
    /// An empty block before it.
    Spill,
    /// A `br_table` in a block of the type with this number among [`BlockTypes`].
    Enclose(u32),
}

const BLOCK: u8 = 0x02;
const END: u8 = 0x0b;
const BR: u8 = 0x0c;
const BR_TABLE: u8 = 0x0e;
/// The type of a block without parameters and results.
const EMPTY: u8 = 0x40;

/// Parameters that a type may have.
const PARAMS_MAX: usize = 1_000;

/// The types of the blocks that cures add, each once, numbered as they came.
#[derive(Default)]
pub(crate) struct BlockTypes(HashMap<FuncType, u32>);

impl BlockTypes {
    /// The number of a type, which is added if it is new.
    fn number(&mut self, ty: FuncType) -> u32 {
        let next = self.0.len() as u32;
        *self.0.entry(ty).or_insert(next)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The types in the order of their numbers.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &FuncType> {
        let mut types: Vec<_> = self.0.iter().collect();
        types.sort_unstable_by_key(|(_, number)| **number);
        types.into_iter().map(|(ty, _)| ty)
    }
}

impl Cure {
    /// What the operator that `module` has at `at` needs, if anything. `previous` is the opcode
    /// before it, and the validator has not seen the operator yet.
    ///
    /// # Errors
    /// `Refused` if a cure takes more parameters than a type may have.
    pub(super) fn of(
        operator: &Operator<'_>,
        module: &[u8],
        at: usize,
        previous: u8,
        validator: &FuncValidator<ValidatorResources>,
        types: &[FuncType],
        block_types: &mut BlockTypes,
    ) -> Result<Option<Self>, DeployError> {
        use Operator as Op;
        let is_spilt = match operator {
            Op::Block { .. } | Op::Loop { .. } | Op::If { .. } => {
                module.get(at + 1).is_some_and(|first| may_take_operands(*first))
            }
            Op::Select | Op::TypedSelect { .. } => !selects_safely(previous),
            Op::I32Store { memarg }
            | Op::I64Store { memarg }
            | Op::I32Store8 { memarg }
            | Op::I32Store16 { memarg }
            | Op::I64Store8 { memarg }
            | Op::I64Store16 { memarg }
            | Op::I64Store32 { memarg } => {
                // A constant is not in a register.
                (memarg.memory != 0 || memarg.offset > u64::from(u16::MAX)) && !matches!(previous, 0x41 | 0x42)
            }
            Op::BrTable { targets } => {
                let Some(taken) = taken_over_others(targets, validator, types) else { return Ok(None) };
                if taken.len() >= PARAMS_MAX {
                    let problem = format!(
                        "a `br_table` at byte {at} takes {} values; use fewer than {PARAMS_MAX}: the interpreter translates \
                         such a table wrongly (its fault 7) and the cure has no room for more",
                        taken.len()
                    );
                    return Err(DeployError::Refused { problem: problem.into() });
                }
                let ty = FuncType::new(taken.iter().copied().chain([ValType::I32]), taken.iter().copied());
                return Ok(Some(Self::Enclose(block_types.number(ty))));
            }
            _ => false,
        };
        Ok(is_spilt.then_some(Self::Spill))
    }

    /// Writes what comes before the operator that `module` has at `at`, or all that replaces it.
    /// Returns the offset from which the module is copied on. `types` is the index that the first
    /// of [`BlockTypes`] has.
    pub(super) fn write(self, module: &[u8], at: usize, types: u32, out: &mut Vec<u8>) -> usize {
        // A block that takes operands needs a cure itself.
        out.extend([BLOCK, EMPTY, END]);
        let Self::Enclose(number) = self else { return at };
        out.push(BLOCK);
        // Block types are signed, of 33 bits (specification, core, 5.4.1).
        i64::from(types + number).encode(out);
        let (len, bytes) = leb(&module[at + 1..]);
        let mut end = at + 1 + bytes;
        let mut depths = Vec::with_capacity(len as usize + 1);
        // The last is the default target.
        for _ in 0..=len {
            let (depth, bytes) = leb(&module[end..]);
            depths.push(depth);
            end += bytes;
        }
        let default = depths[len as usize];
        out.push(BR_TABLE);
        len.encode(out);
        for depth in depths {
            (if depth == default { 0 } else { depth + 1 }).encode(out);
        }
        out.extend([END, BR]);
        default.encode(out);
        end
    }
}

/// Whether a block type that begins with this byte may have parameters: it is an index, not a type
/// and not empty.
pub(super) fn may_take_operands(first: u8) -> bool {
    !(0x40..0x80).contains(&first)
}

/// Whether the condition of a `select` is a local, or a comparison that wasmi fuses rightly: not
/// one with zero or for equality.
pub(super) fn selects_safely(previous: u8) -> bool {
    matches!(previous, 0x20 | 0x48..=0x4f | 0x53..=0x66 | 0x71)
}

/// The byte of a type (specification, core, 5.3.1 to 5.3.4). Features with other references are
/// off.
pub(super) fn byte(ty: ValType) -> u8 {
    match ty {
        ValType::I32 => 0x7f,
        ValType::I64 => 0x7e,
        ValType::F32 => 0x7d,
        ValType::F64 => 0x7c,
        ValType::V128 => 0x7b,
        ValType::Ref(ty) if ty.is_extern_ref() => 0x6f,
        ValType::Ref(_) => 0x70,
    }
}

/// The values that a `br_table` takes. `None` unless they do not all fit the registers, targets
/// differ, and one of the targets leaves other operands behind.
fn taken_over_others<'a>(
    targets: &BrTable<'_>,
    validator: &FuncValidator<ValidatorResources>,
    types: &'a [FuncType],
) -> Option<&'a [ValType]> {
    let default = validator.get_control_frame(targets.default() as usize)?;
    // Dead code is not translated.
    if validator.get_control_frame(0)?.unreachable {
        return None;
    }
    let taken: &[ValType] = match (default.block_type, default.kind) {
        // A loop of such a type has no parameters.
        (BlockType::Type(ValType::V128), kind) if kind != FrameKind::Loop => &[ValType::V128],
        // One value goes through a register.
        (BlockType::Empty | BlockType::Type(_), _) => return None,
        (BlockType::FuncType(index), FrameKind::Loop) => types.get(index as usize)?.params(),
        (BlockType::FuncType(index), _) => types.get(index as usize)?.results(),
    };
    if taken.len() < 2 && taken != [ValType::V128] {
        return None;
    }
    // All targets take as many values. Above them on the stack stands the index.
    let below = (validator.operand_stack_height() as usize).checked_sub(1 + taken.len())?;
    let leaves = |depth: u32| validator.get_control_frame(depth as usize).is_some_and(|frame| frame.height < below);
    let mut others = targets.targets().filter_map(Result::ok).filter(|depth| *depth != targets.default()).peekable();
    (others.peek().is_some() && (leaves(targets.default()) || others.any(leaves))).then_some(taken)
}
