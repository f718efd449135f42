//! Vector operators: nearly all, except those with relaxed semantics.

use wasm_encoder::{Instruction, MemArg};

use super::code::Code;
use super::operators::{Operator, operators};
use super::types::Ty;

/// A load of a vector, without its address.
type Load = fn(MemArg) -> Instruction<'static>;

const V: &[Ty] = &[Ty::V128];
const VV: &[Ty] = &[Ty::V128, Ty::V128];
const VVV: &[Ty] = &[Ty::V128, Ty::V128, Ty::V128];
const VI: &[Ty] = &[Ty::V128, Ty::I32];
const I: &[Ty] = &[Ty::I32];
const L: &[Ty] = &[Ty::I64];
const F: &[Ty] = &[Ty::F32];
const D: &[Ty] = &[Ty::F64];

operators! { PLAIN:
    VV -> V128, true: [
        I8x16Swizzle I8x16Eq I8x16Ne I8x16LtS I8x16LtU I8x16GtS I8x16GtU I8x16LeS I8x16LeU I8x16GeS I8x16GeU I16x8Eq
        I16x8Ne I16x8LtS I16x8LtU I16x8GtS I16x8GtU I16x8LeS I16x8LeU I16x8GeS I16x8GeU I32x4Eq I32x4Ne I32x4LtS
        I32x4LtU I32x4GtS I32x4GtU I32x4LeS I32x4LeU I32x4GeS I32x4GeU I64x2Eq I64x2Ne I64x2LtS I64x2GtS I64x2LeS
        I64x2GeS F32x4Eq F32x4Ne F32x4Lt F32x4Gt F32x4Le F32x4Ge F64x2Eq F64x2Ne F64x2Lt F64x2Gt F64x2Le F64x2Ge
        V128And V128AndNot V128Or V128Xor I8x16NarrowI16x8S I8x16NarrowI16x8U I8x16Add I8x16AddSatS I8x16AddSatU
        I8x16Sub I8x16SubSatS I8x16SubSatU I8x16MinS I8x16MinU I8x16MaxS I8x16MaxU I8x16AvgrU I16x8Q15MulrSatS
        I16x8NarrowI32x4S I16x8NarrowI32x4U I16x8Add I16x8AddSatS I16x8AddSatU I16x8Sub I16x8SubSatS I16x8SubSatU
        I16x8Mul I16x8MinS I16x8MinU I16x8MaxS I16x8MaxU I16x8AvgrU I16x8ExtMulLowI8x16S I16x8ExtMulHighI8x16S
        I16x8ExtMulLowI8x16U I16x8ExtMulHighI8x16U I32x4Add I32x4Sub I32x4Mul I32x4MinS I32x4MinU I32x4MaxS I32x4MaxU
        I32x4DotI16x8S I32x4ExtMulLowI16x8S I32x4ExtMulHighI16x8S I32x4ExtMulLowI16x8U I32x4ExtMulHighI16x8U I64x2Add
        I64x2Sub I64x2Mul I64x2ExtMulLowI32x4S I64x2ExtMulHighI32x4S I64x2ExtMulLowI32x4U I64x2ExtMulHighI32x4U
        F32x4PMin F32x4PMax F64x2PMin F64x2PMax
    ]
    V -> V128, true: [
        V128Not I8x16Abs I8x16Neg I8x16Popcnt I16x8ExtAddPairwiseI8x16S I16x8ExtAddPairwiseI8x16U I16x8Abs I16x8Neg
        I16x8ExtendLowI8x16S I16x8ExtendHighI8x16S I16x8ExtendLowI8x16U I16x8ExtendHighI8x16U
        I32x4ExtAddPairwiseI16x8S I32x4ExtAddPairwiseI16x8U I32x4Abs I32x4Neg I32x4ExtendLowI16x8S
        I32x4ExtendHighI16x8S I32x4ExtendLowI16x8U I32x4ExtendHighI16x8U I64x2Abs I64x2Neg I64x2ExtendLowI32x4S
        I64x2ExtendHighI32x4S I64x2ExtendLowI32x4U I64x2ExtendHighI32x4U F32x4Abs F32x4Neg F64x2Abs F64x2Neg
        I32x4TruncSatF32x4S I32x4TruncSatF32x4U F32x4ConvertI32x4S F32x4ConvertI32x4U I32x4TruncSatF64x2SZero
        I32x4TruncSatF64x2UZero F64x2ConvertLowI32x4S F64x2ConvertLowI32x4U
    ]
    VVV -> V128, true: [V128Bitselect]
    VI -> V128, true: [
        I8x16Shl I8x16ShrS I8x16ShrU I16x8Shl I16x8ShrS I16x8ShrU I32x4Shl I32x4ShrS I32x4ShrU I64x2Shl I64x2ShrS
        I64x2ShrU
    ]
    V -> I32, true: [
        V128AnyTrue I8x16AllTrue I8x16Bitmask I16x8AllTrue I16x8Bitmask I32x4AllTrue I32x4Bitmask I64x2AllTrue
        I64x2Bitmask
    ]
    I -> V128, true: [I8x16Splat I16x8Splat I32x4Splat]
    L -> V128, true: [I64x2Splat]
    F -> V128, true: [F32x4Splat]
    D -> V128, true: [F64x2Splat]
}

// Operators that make new NaNs, whose bits engines may choose.
operators! { FLOAT32:
    V -> V128, false: [F32x4Ceil F32x4Floor F32x4Trunc F32x4Nearest F32x4Sqrt F32x4DemoteF64x2Zero]
    VV -> V128, false: [F32x4Add F32x4Sub F32x4Mul F32x4Div F32x4Min F32x4Max]
}

operators! { FLOAT64:
    V -> V128, false: [F64x2Ceil F64x2Floor F64x2Trunc F64x2Nearest F64x2Sqrt F64x2PromoteLowF32x4]
    VV -> V128, false: [F64x2Add F64x2Sub F64x2Mul F64x2Div F64x2Min F64x2Max]
}

/// Four NaNs, and two.
const NANS: [i128; 2] = [0x7fc0_0000_7fc0_0000_7fc0_0000_7fc0_0000, 0x7ff8_0000_0000_0000_7ff8_0000_0000_0000];

/// The code that makes all NaNs of a local the same.
pub(super) fn canonical(local: u32, doubles: bool) -> [Instruction<'static>; 5] {
    let equal = if doubles { Instruction::F64x2Eq } else { Instruction::F32x4Eq };
    [
        Instruction::V128Const(NANS[usize::from(doubles)]),
        Instruction::LocalGet(local),
        Instruction::LocalGet(local),
        equal,
        Instruction::V128Bitselect,
    ]
}

impl Code<'_> {
    /// One vector operator. If a result is given, the operator returns a vector.
    pub(super) fn vector(&mut self, result: Option<Ty>) {
        match self.below(20) {
            0..10 => self.vector_plain(result),
            10..14 => self.vector_float(),
            14..18 => self.vector_lane(result),
            _ => {
                self.need(VV);
                let lanes = std::array::from_fn(|_| self.below(32) as u8);
                self.emit(&Instruction::I8x16Shuffle(lanes));
                self.replace(2, Ty::V128, true);
            }
        }
    }

    fn vector_plain(&mut self, result: Option<Ty>) {
        let operator = loop {
            let operator = &PLAIN[self.below(PLAIN.len() as u64) as usize];
            if result.is_none_or(|result| operator.result == result) {
                break operator;
            }
        };
        self.need(operator.params);
        if operator.params[0].is_float() {
            self.clean();
        }
        self.operator(operator);
    }

    fn vector_float(&mut self) {
        let doubles = self.chance(50);
        let table = if doubles { FLOAT64 } else { FLOAT32 };
        let operator = &table[self.below(table.len() as u64) as usize];
        self.need(operator.params);
        self.operator(operator);
        if self.chance(40) {
            let helpers = self.plan.helpers;
            self.emit(&Instruction::Call(if doubles { helpers.canon_f64x2 } else { helpers.canon_f32x4 }));
            return;
        }
        let local = self.scratch(Ty::V128);
        self.emit(&Instruction::LocalTee(local));
        for instruction in canonical(local, doubles) {
            self.emit(&instruction);
        }
    }

    /// An operator with a lane, which reads or replaces its value.
    fn vector_lane(&mut self, result: Option<Ty>) {
        let (kind, lane) = (self.below(6), self.below(16) as u8);
        if result.is_none() && self.chance(50) {
            self.need(V);
            let (instruction, ty) = match kind {
                0 if self.chance(50) => (Instruction::I8x16ExtractLaneS(lane), Ty::I32),
                0 => (Instruction::I8x16ExtractLaneU(lane), Ty::I32),
                1 if self.chance(50) => (Instruction::I16x8ExtractLaneS(lane % 8), Ty::I32),
                1 => (Instruction::I16x8ExtractLaneU(lane % 8), Ty::I32),
                2 => (Instruction::I32x4ExtractLane(lane % 4), Ty::I32),
                3 => (Instruction::I64x2ExtractLane(lane % 2), Ty::I64),
                4 => (Instruction::F32x4ExtractLane(lane % 4), Ty::F32),
                _ => (Instruction::F64x2ExtractLane(lane % 2), Ty::F64),
            };
            self.emit(&instruction);
            self.replace(1, ty, true);
            return;
        }
        let (instruction, ty) = match kind {
            0 => (Instruction::I8x16ReplaceLane(lane), Ty::I32),
            1 => (Instruction::I16x8ReplaceLane(lane % 8), Ty::I32),
            2 => (Instruction::I32x4ReplaceLane(lane % 4), Ty::I32),
            3 => (Instruction::I64x2ReplaceLane(lane % 2), Ty::I64),
            4 => (Instruction::F32x4ReplaceLane(lane % 4), Ty::F32),
            _ => (Instruction::F64x2ReplaceLane(lane % 2), Ty::F64),
        };
        self.need(&[Ty::V128, ty]);
        self.clean();
        self.emit(&instruction);
        self.replace(2, Ty::V128, true);
    }

    /// A load or a store of a vector, or of one lane of it.
    pub(super) fn vector_memory(&mut self) {
        use Instruction as Op;
        const LOADS: &[(Load, u32)] = &[
            (Op::V128Load, 4),
            (Op::V128Load8x8S, 3),
            (Op::V128Load8x8U, 3),
            (Op::V128Load16x4S, 3),
            (Op::V128Load16x4U, 3),
            (Op::V128Load32x2S, 3),
            (Op::V128Load32x2U, 3),
            (Op::V128Load8Splat, 0),
            (Op::V128Load16Splat, 1),
            (Op::V128Load32Splat, 2),
            (Op::V128Load64Splat, 3),
            (Op::V128Load32Zero, 2),
            (Op::V128Load64Zero, 3),
        ];
        let Some(memory) = self.some_memory() else { return };
        let kind = self.below(24) as usize;
        if let Some((load, align)) = LOADS.get(kind) {
            let memarg = self.address(memory, *align, false);
            self.emit(&load(memarg));
            self.replace(1, Ty::V128, true);
            return;
        }
        if kind < 16 {
            let memarg = self.address(memory, 4, true);
            self.produce(Ty::V128);
            self.emit(&Op::V128Store(memarg));
            self.pop(2);
            return;
        }
        let width = self.below(4) as u32;
        let lane = self.below(16 >> width) as u8;
        let stores = kind < 20;
        let memarg = self.address(memory, width, stores);
        self.produce(Ty::V128);
        self.emit(&match (stores, width) {
            (false, 0) => Op::V128Load8Lane { memarg, lane },
            (false, 1) => Op::V128Load16Lane { memarg, lane },
            (false, 2) => Op::V128Load32Lane { memarg, lane },
            (false, _) => Op::V128Load64Lane { memarg, lane },
            (true, 0) => Op::V128Store8Lane { memarg, lane },
            (true, 1) => Op::V128Store16Lane { memarg, lane },
            (true, 2) => Op::V128Store32Lane { memarg, lane },
            (true, _) => Op::V128Store64Lane { memarg, lane },
        });
        self.pop(2);
        if !stores {
            self.push(Ty::V128, true);
        }
    }
}
