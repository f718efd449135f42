//! The plain code around the generated functions. It fills the interpreter's stack, counts turns,
//! makes NaNs the same, converts arguments and results, and computes the digest of the state. It
//! uses no shape that needs a test.

use wasm_encoder::{BlockType, Function, Instruction, MemArg, ValType};

use super::super::Random;
use super::plan::{Memory, Plan, Signature, TURNS};
use super::types::{Ty, Types};
use super::vector::canonical;
use super::weights::Weights;

/// Bytes at the beginning of each page that code can write: an address and an offset, each small,
/// and a length.
const WINDOW: u64 = 768;
/// Bytes at the end of each page that code can write.
const TAIL: u64 = 64;
const PAGE: u64 = 65_536;

/// How deep the filling function calls itself, each time with so many locals.
const FILL_DEPTH: i32 = 40;
const FILL_LOCALS: u32 = 32;

/// A function with its type's index.
pub(super) type Typed = (u32, Function);

fn function(types: &mut Types, params: &[Ty], results: &[Ty], locals: &[Ty], code: &[Instruction<'_>]) -> Typed {
    let locals: Vec<ValType> = locals.iter().map(|ty| ty.val()).collect();
    let mut function = Function::new_with_locals_types(locals);
    for instruction in code {
        function.instruction(instruction);
    }
    function.instruction(&Instruction::End);
    (types.of(params, results), function)
}

/// The functions that generated code may call, in the order of [`super::plan::Helpers`].
pub(super) fn helpers(types: &mut Types, weights: &Weights) -> Vec<Typed> {
    use Instruction as Op;
    let turn = [
        Op::GlobalGet(TURNS),
        Op::I32Const(0),
        Op::I32LeS,
        Op::If(BlockType::Empty),
        Op::I32Const(0),
        Op::Return,
        Op::End,
        Op::GlobalGet(TURNS),
        Op::I32Const(1),
        Op::I32Sub,
        Op::GlobalSet(TURNS),
        Op::I32Const(1),
    ];
    let (own, f32_nan, f64_nan) = (Op::LocalGet(0), Op::F32Const(f32::NAN), Op::F64Const(f64::NAN));
    let canon_f32 = [own.clone(), f32_nan, own.clone(), own.clone(), Op::F32Eq, Op::Select];
    let canon_f64 = [own.clone(), f64_nan, own.clone(), own.clone(), Op::F64Eq, Op::Select];
    let mut helpers = vec![
        function(types, &[], &[Ty::I32], &[], &turn),
        function(types, &[Ty::F32], &[Ty::F32], &[], &canon_f32),
        function(types, &[Ty::F64], &[Ty::F64], &[], &canon_f64),
    ];
    if weights.vectors {
        for doubles in [false, true] {
            let code: Vec<Op<'_>> = std::iter::once(own.clone()).chain(canonical(0, doubles)).collect();
            helpers.push(function(types, &[Ty::V128], &[Ty::V128], &[], &code));
        }
    }
    helpers
}

/// `(pattern, depth) -> (i64, f32, f64)`: leaves the pattern in the stack above its caller, and in
/// the registers.
pub(super) fn fill(types: &mut Types, own: u32) -> Typed {
    use Instruction as Op;
    let mut code = Vec::new();
    for local in 2..2 + FILL_LOCALS {
        code.extend([Op::LocalGet(0), Op::LocalSet(local)]);
    }
    code.extend([Op::LocalGet(1), Op::If(BlockType::Empty)]);
    code.extend([Op::LocalGet(0), Op::LocalGet(1), Op::I32Const(1), Op::I32Sub, Op::Call(own)]);
    code.extend([Op::Drop, Op::Drop, Op::Drop, Op::End]);
    code.extend([Op::LocalGet(0), Op::LocalGet(0), Op::I32WrapI64, Op::F32ReinterpretI32, Op::F32Abs]);
    code.extend([Op::LocalGet(0), Op::F64ReinterpretI64, Op::F64Abs]);
    code.extend([Op::LocalGet(0), Op::LocalGet(0), Op::I64And, Op::LocalSet(2)]);
    let locals = [Ty::I64; FILL_LOCALS as usize];
    function(types, &[Ty::I64, Ty::I32], &[Ty::I64, Ty::F32, Ty::F64], &locals, &code)
}

/// `digest -> digest`: adds the bytes of a memory.
fn memory_digest(types: &mut Types, index: u32, memory: &Memory, weights: &Weights) -> Typed {
    use Instruction as Op;
    let address = Ty::index(memory.is_64);
    let number = |value: u64| match address {
        Ty::I64 => Op::I64Const(value as i64),
        _ => Op::I32Const(value as i32),
    };
    let (add, multiply, less) = match address {
        Ty::I64 => (Op::I64Add, Op::I64Mul, Op::I64LtU),
        _ => (Op::I32Add, Op::I32Mul, Op::I32LtU),
    };
    // Locals: the digest, the page, an address, and the end of its part of the page.
    let (digest, page, at, end) = (0, 1, 2, 3);
    let eight = |code: &mut Vec<Op<'_>>, offset: u64| {
        code.push(Op::LocalGet(digest));
        for word in 0..8 {
            let memarg = MemArg { offset: offset + word * 8, align: 3, memory_index: index };
            code.extend([Op::I64Const(0x9e37_79b9_7f4a_7c15_u64 as i64), Op::I64Mul]);
            code.extend([Op::LocalGet(at), Op::I64Load(memarg), Op::I64Add]);
        }
        code.push(Op::LocalSet(digest));
    };
    let mut code = vec![
        Op::Block(BlockType::Empty),
        Op::Loop(BlockType::Empty),
        Op::LocalGet(page),
        Op::MemorySize(index),
        less.clone(),
        Op::I32Eqz,
        Op::BrIf(1),
        Op::LocalGet(page),
        number(PAGE),
        multiply,
        Op::LocalSet(at),
    ];
    let window = if weights.whole { PAGE } else { WINDOW };
    if !weights.whole {
        eight(&mut code, PAGE - TAIL);
    }
    code.extend([Op::LocalGet(at), number(window), add.clone(), Op::LocalSet(end), Op::Loop(BlockType::Empty)]);
    eight(&mut code, 0);
    code.extend([Op::LocalGet(at), number(64), add.clone(), Op::LocalSet(at)]);
    code.extend([Op::LocalGet(at), Op::LocalGet(end), less, Op::BrIf(0), Op::End]);
    code.extend([Op::LocalGet(page), number(1), add, Op::LocalSet(page), Op::Br(0), Op::End, Op::End]);
    code.extend([Op::LocalGet(digest), Op::MemorySize(index)]);
    if !memory.is_64 {
        code.push(Op::I64ExtendI32U);
    }
    code.push(Op::I64Xor);
    function(types, &[Ty::I64], &[Ty::I64], &[address; 3], &code)
}

/// `digest -> digest`: adds the size of a table and which of its elements are null.
fn table_digest(types: &mut Types, index: u32, is_64: bool) -> Typed {
    use Instruction as Op;
    let ty = Ty::index(is_64);
    let (one, add, less) = match ty {
        Ty::I64 => (Op::I64Const(1), Op::I64Add, Op::I64LtU),
        _ => (Op::I32Const(1), Op::I32Add, Op::I32LtU),
    };
    let (digest, at) = (0, 1);
    let code = [
        Op::Block(BlockType::Empty),
        Op::Loop(BlockType::Empty),
        Op::LocalGet(at),
        Op::TableSize(index),
        less,
        Op::I32Eqz,
        Op::BrIf(1),
        Op::LocalGet(digest),
        Op::I64Const(1),
        Op::I64Rotl,
        Op::LocalGet(at),
        Op::TableGet(index),
        Op::RefIsNull,
        Op::I64ExtendI32U,
        Op::I64Const(2),
        Op::I64Add,
        Op::I64Add,
        Op::LocalSet(digest),
        Op::LocalGet(at),
        one,
        add,
        Op::LocalSet(at),
        Op::Br(0),
        Op::End,
        Op::End,
        Op::LocalGet(digest),
    ];
    function(types, &[Ty::I64], &[Ty::I64], &[ty], &code)
}

/// The code that turns the topmost value into i64, and how many of them. A vector is in this local
/// too.
fn as_i64(ty: Ty, plan: &Plan, local: u32) -> Vec<Instruction<'static>> {
    use Instruction as Op;
    match ty {
        Ty::I32 => vec![Op::I64ExtendI32U],
        Ty::I64 => vec![],
        Ty::F32 => vec![Op::Call(plan.helpers.canon_f32), Op::I32ReinterpretF32, Op::I64ExtendI32U],
        Ty::F64 => vec![Op::Call(plan.helpers.canon_f64), Op::I64ReinterpretF64],
        Ty::V128 => vec![Op::I64x2ExtractLane(0), Op::LocalGet(local), Op::I64x2ExtractLane(1)],
        Ty::Func | Ty::Extern => vec![Op::RefIsNull, Op::I64ExtendI32U],
    }
}

/// The functions that compute the digest of the state. The last one, `() -> i64`, calls the others.
/// The first one has this index.
pub(super) fn digests(types: &mut Types, plan: &Plan, weights: &Weights, first: u32) -> Vec<Typed> {
    use Instruction as Op;
    let mut functions = Vec::new();
    for (index, memory) in plan.memories.iter().enumerate() {
        functions.push(memory_digest(types, index as u32, memory, weights));
    }
    for (index, table) in plan.tables.iter().enumerate() {
        functions.push(table_digest(types, index as u32, table.is_64));
    }
    let mut code = vec![Op::GlobalGet(TURNS), Op::I64ExtendI32S];
    let mix = [Op::I64Const(0x0000_0100_0000_01b3), Op::I64Mul, Op::I64Const(29), Op::I64Rotl];
    for (index, (ty, _)) in plan.globals.iter().enumerate() {
        let get = Op::GlobalGet(index as u32 + 1);
        code.extend(mix.clone());
        code.push(get.clone());
        if *ty == Ty::V128 {
            code.extend([Op::I64x2ExtractLane(0), Op::I64Xor]);
            code.extend(mix.clone());
            code.extend([get, Op::I64x2ExtractLane(1)]);
        } else {
            code.extend(as_i64(*ty, plan, 0));
        }
        code.push(Op::I64Xor);
    }
    for index in 0..functions.len() as u32 {
        code.extend(mix.clone());
        code.push(Op::Call(first + index));
    }
    functions.push(function(types, &[], &[Ty::I64], &[], &code));
    functions
}

/// The export of a function: it fills the stack, converts the arguments, calls, converts the
/// results, and adds the digest. Returns the number of its results too.
pub(super) fn wrapper(
    types: &mut Types,
    plan: &Plan,
    weights: &Weights,
    random: &mut Random,
    (index, signature): (u32, &Signature),
    (fill, digest): (u32, u32),
) -> (Typed, usize) {
    use Instruction as Op;
    let mut code = vec![Op::I32Const(weights.turns as i32), Op::GlobalSet(TURNS)];
    code.extend([Op::LocalGet(0), Op::I32Const(FILL_DEPTH), Op::Call(fill), Op::Drop, Op::Drop, Op::Drop]);
    for (at, ty) in signature.params.iter().enumerate() {
        let arg = Op::LocalGet(at as u32 + 1);
        match ty {
            Ty::I32 => code.extend([arg, Op::I32WrapI64]),
            Ty::I64 => code.push(arg),
            Ty::F32 => code.extend([arg, Op::I32WrapI64, Op::F32ReinterpretI32]),
            Ty::F64 => code.extend([arg, Op::F64ReinterpretI64]),
            Ty::V128 => code.extend([arg, Op::I64x2Splat]),
            Ty::Func => {
                let function = random.below(plan.functions.len() as u64) as u32;
                code.extend([Op::RefFunc(function), Op::RefNull(ty.heap()), arg, Op::I32WrapI64]);
                code.extend([Op::I32Const(1), Op::I32And, Op::TypedSelect(ty.val())]);
            }
            Ty::Extern => code.push(Op::RefNull(ty.heap())),
        }
    }
    code.push(Op::Call(index));
    let params = vec![Ty::I64; signature.params.len() + 1];
    let first = params.len() as u32;
    for local in (0..signature.results.len() as u32).rev() {
        code.push(Op::LocalSet(first + local));
    }
    let mut count = 1;
    for (at, ty) in signature.results.iter().enumerate() {
        let local = first + at as u32;
        code.push(Op::LocalGet(local));
        code.extend(as_i64(*ty, plan, local));
        count += if *ty == Ty::V128 { 2 } else { 1 };
    }
    code.push(Op::Call(digest));
    let wrapper = function(types, &params, &vec![Ty::I64; count], &signature.results, &code);
    (wrapper, count)
}
