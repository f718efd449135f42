//! What a module may make the validator and the interpreter's translator do.
//!
//! Invariant: the work is paid for before it is done, so it is at most in proportion to the
//! module's bytes.

use wasmparser::{BlockType, FrameKind, FuncValidator, Operator, ValidatorResources};

use super::{Refusal, walk::Surveyor};
use crate::error::DeployError;

/// Operands that one function may have on its stack. The interpreter numbers them with 16 bits
/// (limit 13 in `docs/interpreter-faults.md`). The validator keeps them all. Two bytes of code, the
/// call of a function with 1,000 results, add 1,000 operands: 1 MiB of such calls would take 2 GB.
const OPERANDS_MAX: u32 = u16::MAX as u32;

/// Operands that the operators of a module may move altogether, and how many more for each of its
/// bytes. Three bytes, a block of a type with 1,000 parameters and 1,000 results, make the
/// validator move 4,000 operands. 1 MiB of such blocks takes most of a minute, which no fuel pays
/// for. Code as compilers make it moves fewer than three operands a byte.
pub(super) const MOVES_MAX: u64 = 4_000_000;
pub(super) const MOVES_PER_BYTE: u64 = 8;
const _: () = assert!(MOVES_MAX == 4_000_000, "the refusal names this number");

/// Operators of a type with up to so many parameters and results need not be counted. The most that
/// a byte of code then moves is of the order of [`MOVES_PER_BYTE`].
pub(super) const NARROW_MAX: usize = 16;

impl Surveyor<'_, '_> {
    /// Pays for the operands that an operator moves, before the validator moves them. The operator
    /// is not validated yet.
    pub(super) fn spend(
        &mut self,
        operator: &Operator<'_>,
        function: u32,
        at: usize,
        frame: impl Fn(u32) -> Option<(FrameKind, BlockType)>,
    ) -> Result<(), Refusal> {
        use Operator as Op;
        let survey = &self.survey;
        let ty = |index: u32| survey.types.get(index as usize);
        let both = |index: u32| ty(index).map_or(0, |ty| (ty.params().len() + ty.results().len()) as u64);
        let label = |depth: u32| match frame(depth) {
            Some((FrameKind::Loop, BlockType::FuncType(index))) => ty(index).map_or(0, |ty| ty.params().len() as u64),
            Some((_, BlockType::FuncType(index))) => ty(index).map_or(0, |ty| ty.results().len() as u64),
            _ => 1,
        };
        let moves = match operator {
            // Once when the block begins, and once when it ends.
            Op::Block { blockty: BlockType::FuncType(index) }
            | Op::Loop { blockty: BlockType::FuncType(index) }
            | Op::If { blockty: BlockType::FuncType(index) } => 2 * both(*index),
            Op::CallIndirect { type_index, .. } | Op::ReturnCallIndirect { type_index, .. } => both(*type_index),
            Op::Call { function_index } | Op::ReturnCall { function_index } => {
                survey.functions.get(*function_index as usize).map_or(0, |index| both(*index))
            }
            Op::Br { relative_depth } | Op::BrIf { relative_depth } => 2 * label(*relative_depth),
            Op::BrTable { targets } => {
                targets.targets().filter_map(Result::ok).map(|depth| 2 * label(depth)).fold(0, u64::saturating_add)
            }
            Op::Return => survey.functions.get(function as usize).map_or(0, |index| both(*index)),
            _ => return Ok(()),
        };
        match self.moves.checked_sub(moves) {
            Some(left) => self.moves = left,
            None => {
                let problem = format!(
                    "the code moves too many operands: over 4,000,000 plus {MOVES_PER_BYTE} per byte of the module, \
                     reached in function {function} at byte {at}; use fewer parameters and results"
                );
                return Err(DeployError::Refused { problem: problem.into() }.into());
            }
        }
        Ok(())
    }
}

/// The operands that a function has on its stack.
///
/// # Errors
/// `Refused` if there are more than the interpreter can translate.
pub(super) fn bounded(validator: &FuncValidator<ValidatorResources>, function: u32, at: usize) -> Result<u32, Refusal> {
    let operands = validator.operand_stack_height();
    if operands <= OPERANDS_MAX {
        return Ok(operands);
    }
    let problem = format!(
        "function {function} puts too many operands on its stack: over the interpreter's limit of {OPERANDS_MAX}, \
         reached at byte {at}; split the function"
    );
    Err(DeployError::Refused { problem: problem.into() }.into())
}
