//! Reads constant expressions: the offset of a segment, and the functions that are referenced.
//!
//! Invariant: the validator has accepted the expression.

use wasmparser::{BinaryReaderError, ConstExpr, Operator};

/// The functions that a constant expression takes references of.
pub(super) fn referenced(expr: &ConstExpr<'_>) -> Result<Vec<u32>, BinaryReaderError> {
    let mut functions = Vec::new();
    for operator in expr.get_operators_reader() {
        if let Operator::RefFunc { function_index } = operator? {
            functions.push(function_index);
        }
    }
    Ok(functions)
}

/// The value of a segment's offset: constants and, by the extended-const proposal, sums,
/// differences and products of them. Globals do not count. Only imported globals could occur, and a
/// module with those is refused before the segment is used.
pub(super) fn constant(expr: &ConstExpr<'_>) -> Result<u64, BinaryReaderError> {
    let mut stack: Vec<(u64, bool)> = Vec::new();
    for operator in expr.get_operators_reader() {
        let mut binary = |apply: fn(u64, u64) -> u64| {
            if let (Some((b, wide)), Some((a, _))) = (stack.pop(), stack.pop()) {
                let value = apply(a, b);
                stack.push((if wide { value } else { u64::from(value as u32) }, wide));
            }
        };
        match operator? {
            Operator::I32Const { value } => stack.push((u64::from(value as u32), false)),
            Operator::I64Const { value } => stack.push((value as u64, true)),
            Operator::I32Add | Operator::I64Add => binary(u64::wrapping_add),
            Operator::I32Sub | Operator::I64Sub => binary(u64::wrapping_sub),
            Operator::I32Mul | Operator::I64Mul => binary(u64::wrapping_mul),
            _ => {}
        }
    }
    Ok(stack.pop().map_or(0, |(value, _)| value))
}
