//! The operators that take values and return one value, with their types.

use std::sync::OnceLock;

use wasm_encoder::Instruction;

use super::types::Ty;

/// An operator with its operands' types and its result's.
pub(super) struct Operator {
    pub(super) instruction: Instruction<'static>,
    pub(super) params: &'static [Ty],
    pub(super) result: Ty,
    /// Whether the result's bits are the same in every engine, whatever NaN the operands are.
    pub(super) clean: bool,
}

const I: &[Ty] = &[Ty::I32];
const II: &[Ty] = &[Ty::I32, Ty::I32];
const L: &[Ty] = &[Ty::I64];
const LL: &[Ty] = &[Ty::I64, Ty::I64];
const F: &[Ty] = &[Ty::F32];
const FF: &[Ty] = &[Ty::F32, Ty::F32];
const D: &[Ty] = &[Ty::F64];
const DD: &[Ty] = &[Ty::F64, Ty::F64];

/// A table of operators, with one group for each choice of operands and result.
macro_rules! operators {
    ($name:ident: $($params:ident -> $result:ident, $clean:literal: [$($op:ident)*])*) => {
        pub(super) static $name: &[Operator] = &[$($(
            Operator { instruction: Instruction::$op, params: $params, result: Ty::$result, clean: $clean },
        )*)*];
    };
}
pub(super) use operators;

operators! { SCALAR:
    I -> I32, true: [I32Eqz I32Clz I32Ctz I32Popcnt I32Extend8S I32Extend16S]
    II -> I32, true: [
        I32Eq I32Ne I32LtS I32LtU I32GtS I32GtU I32LeS I32LeU I32GeS I32GeU I32Add I32Sub I32Mul I32DivS I32DivU I32RemS
        I32RemU I32And I32Or I32Xor I32Shl I32ShrS I32ShrU I32Rotl I32Rotr
    ]
    L -> I32, true: [I64Eqz I32WrapI64]
    LL -> I32, true: [I64Eq I64Ne I64LtS I64LtU I64GtS I64GtU I64LeS I64LeU I64GeS I64GeU]
    L -> I64, true: [I64Clz I64Ctz I64Popcnt I64Extend8S I64Extend16S I64Extend32S]
    LL -> I64, true: [
        I64Add I64Sub I64Mul I64DivS I64DivU I64RemS I64RemU I64And I64Or I64Xor I64Shl I64ShrS I64ShrU I64Rotl I64Rotr
    ]
    I -> I64, true: [I64ExtendI32S I64ExtendI32U]
    FF -> I32, true: [F32Eq F32Ne F32Lt F32Gt F32Le F32Ge]
    DD -> I32, true: [F64Eq F64Ne F64Lt F64Gt F64Le F64Ge]
    F -> F32, false: [F32Abs F32Neg F32Ceil F32Floor F32Trunc F32Nearest F32Sqrt]
    FF -> F32, false: [F32Add F32Sub F32Mul F32Div F32Min F32Max F32Copysign]
    D -> F64, false: [F64Abs F64Neg F64Ceil F64Floor F64Trunc F64Nearest F64Sqrt]
    DD -> F64, false: [F64Add F64Sub F64Mul F64Div F64Min F64Max F64Copysign]
    F -> I32, true: [I32TruncF32S I32TruncF32U I32TruncSatF32S I32TruncSatF32U I32ReinterpretF32]
    D -> I32, true: [I32TruncF64S I32TruncF64U I32TruncSatF64S I32TruncSatF64U]
    F -> I64, true: [I64TruncF32S I64TruncF32U I64TruncSatF32S I64TruncSatF32U]
    D -> I64, true: [I64TruncF64S I64TruncF64U I64TruncSatF64S I64TruncSatF64U I64ReinterpretF64]
    I -> F32, true: [F32ConvertI32S F32ConvertI32U F32ReinterpretI32]
    L -> F32, true: [F32ConvertI64S F32ConvertI64U]
    I -> F64, true: [F64ConvertI32S F64ConvertI32U]
    L -> F64, true: [F64ConvertI64S F64ConvertI64U F64ReinterpretI64]
    D -> F32, false: [F32DemoteF64]
    F -> F64, false: [F64PromoteF32]
}

/// The scalar operators that return this type.
pub(super) fn giving(ty: Ty) -> &'static [&'static Operator] {
    static GIVING: OnceLock<Vec<Vec<&'static Operator>>> = OnceLock::new();
    let giving = GIVING.get_or_init(|| {
        let of = |ty: Ty| SCALAR.iter().filter(|operator| operator.result == ty).collect();
        Ty::ALL.map(of).into()
    });
    &giving[ty as usize]
}

/// The operators that return 0 or 1: of i32, i64, f32, f64, and the tests for zero.
pub(super) fn comparisons() -> &'static [Vec<&'static Operator>; 5] {
    static COMPARISONS: OnceLock<[Vec<&'static Operator>; 5]> = OnceLock::new();
    COMPARISONS.get_or_init(|| {
        let compares = |operator: &&Operator| {
            let name = format!("{:?}", operator.instruction);
            let kind = name.get(3..5).unwrap_or_default();
            operator.result == Ty::I32 && ["Eq", "Ne", "Lt", "Gt", "Le", "Ge"].contains(&kind)
        };
        let of = |params: &[Ty]| SCALAR.iter().filter(compares).filter(|operator| operator.params == params).collect();
        let zero = [of(I), of(L)].concat();
        [of(II), of(LL), of(FF), of(DD), zero]
    })
}

/// How an operator may trap, or depend on what the specification leaves open.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    None,
    /// It divides by its second operand.
    Divisor,
    /// It traps on values that are not an integer of its width.
    Truncation,
    /// It depends on the bits of its last operand, a float.
    Bits,
}

impl Operator {
    pub(super) fn care(&self) -> Care {
        use Instruction as Op;
        match self.instruction {
            Op::I32DivS | Op::I32DivU | Op::I32RemS | Op::I32RemU => Care::Divisor,
            Op::I64DivS | Op::I64DivU | Op::I64RemS | Op::I64RemU => Care::Divisor,
            Op::I32TruncF32S | Op::I32TruncF32U | Op::I32TruncF64S | Op::I32TruncF64U => Care::Truncation,
            Op::I64TruncF32S | Op::I64TruncF32U | Op::I64TruncF64S | Op::I64TruncF64U => Care::Truncation,
            Op::I32ReinterpretF32 | Op::I64ReinterpretF64 | Op::F32Copysign | Op::F64Copysign => Care::Bits,
            _ => Care::None,
        }
    }
}
