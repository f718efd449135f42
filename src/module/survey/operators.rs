//! What an operator can change, noted.
//!
//! Invariant: an operator is noted after the validator has accepted it.

use wasmparser::{FuncType, Operator};

use super::{Edit, Growable, How, Refusal, walk::Surveyor};
use crate::{
    error::DeployError,
    module::cure::{may_take_operands, selects_safely},
};

impl Surveyor<'_, '_> {
    /// Whether something about the operator that these bytes begin with is noted or counted. That
    /// is so for `br_table`, tail calls, references of functions, writes to globals, tables and
    /// memories, growth, what may need a cure, and all operators with a prefix.
    pub(super) fn is_notable(&self, bytes: &[u8], previous: u8) -> bool {
        match bytes[0] {
            opcode @ 0x36..=0x3e => {
                let is_known = matches!(&self.survey.memories[..], [memory] if memory.written);
                // An offset of less than three bytes is near. An operator with a longer offset or
                // with flags is read.
                let is_near = matches!(bytes, [_, ..0x40, low, high, ..] if low & 0x80 == 0 || high & 0x80 == 0);
                !is_known || !(is_near || matches!(opcode, 0x38 | 0x39))
            }
            0x02..=0x04 => bytes.get(1).is_none_or(|first| may_take_operands(*first)),
            0x1b | 0x1c => !selects_safely(previous),
            0x0e | 0x12 | 0x13 | 0x24 | 0x26 | 0x40 | 0xd2 | 0xe0.. => true,
            _ => false,
        }
    }

    /// Notes what a validated operator can change.
    pub(super) fn note(&mut self, operator: &Operator<'_>, function: u32, at: usize) -> Result<(), Refusal> {
        use Operator as Op;
        let survey = &mut self.survey;
        match *operator {
            Op::GlobalSet { global_index } => survey.globals_written[global_index as usize] = true,
            Op::TableSet { table }
            | Op::TableFill { table }
            | Op::TableInit { table, .. }
            | Op::TableCopy { dst_table: table, .. } => survey.tables_written[table as usize] = true,
            // Fault 3 (`docs/interpreter-faults.md`): wasmi 2.0.0 then returns to the caller with a
            // dangling stack pointer, which a caller without locals uses.
            Op::ReturnCall { function_index }
                if function_index < survey.imported_functions && is_bare(survey.function_type(function_index)) =>
            {
                return Err(bare_tail_call(function, at));
            }
            Op::ReturnCallIndirect { type_index, .. }
                if self.imports_bare && is_bare(&survey.types[type_index as usize]) =>
            {
                return Err(bare_tail_call(function, at));
            }
            Op::TableGrow { table } => {
                survey.tables_written[table as usize] = true;
                survey.edits.push(Edit { at, how: How::Grow(Growable::Table(table)) });
            }
            Op::RefFunc { .. } => survey.takes_references = true,
            Op::ElemDrop { .. } => survey.drops_segments = true,
            Op::MemoryInit { data_index, mem } => {
                survey.memories[mem as usize].written = true;
                survey.data_named = survey.data_named.max(data_index + 1);
            }
            Op::DataDrop { data_index } => {
                survey.data_named = survey.data_named.max(data_index + 1);
                // The index is below the count of the data count section, which the validator
                // checked and a limit bounds.
                let index = data_index as usize;
                if self.dropped.len() <= index {
                    self.dropped.resize(index + 1, false);
                }
                self.dropped[index] = true;
            }
            Op::MemoryGrow { mem } => survey.edits.push(Edit { at, how: How::Grow(Growable::Memory(mem)) }),
            Op::MemoryFill { mem } | Op::MemoryCopy { dst_mem: mem, .. } => {
                survey.memories[mem as usize].written = true;
            }
            Op::I32Store { memarg }
            | Op::I64Store { memarg }
            | Op::F32Store { memarg }
            | Op::F64Store { memarg }
            | Op::I32Store8 { memarg }
            | Op::I32Store16 { memarg }
            | Op::I64Store8 { memarg }
            | Op::I64Store16 { memarg }
            | Op::I64Store32 { memarg } => survey.memories[memarg.memory as usize].written = true,
            #[cfg(feature = "simd")]
            Op::V128Store { memarg }
            | Op::V128Store8Lane { memarg, .. }
            | Op::V128Store16Lane { memarg, .. }
            | Op::V128Store32Lane { memarg, .. }
            | Op::V128Store64Lane { memarg, .. } => survey.memories[memarg.memory as usize].written = true,
            _ => {}
        }
        Ok(())
    }
}

/// Whether a function has neither parameters nor results.
pub(super) fn is_bare(ty: &FuncType) -> bool {
    ty.params().is_empty() && ty.results().is_empty()
}

#[cold]
fn bare_tail_call(function: u32, at: usize) -> Refusal {
    let problem = format!(
        "function {function} makes a tail call at byte {at} that may reach an imported function without parameters and \
         results; the interpreter then uses memory that it does not own (its fault 3); use an ordinary call"
    );
    DeployError::Refused { problem: problem.into() }.into()
}
