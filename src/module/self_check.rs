//! Checks that this build of the interpreter is safe to use, once a process, at the first
//! deployment.
//!
//! wasmi's tail-call dispatch relies on the optimiser to turn each operator's call of the next into
//! a jump (fault 8 in `docs/interpreter-faults.md`). Whether it does depends on the build. It does
//! not with debug assertions on in an optimised wasmi, at `opt-level = "s"`, with `lto = "off"`, or
//! if only wasmi is optimised. A plain loop then overflows the native stack and kills the process.
//!
//! A library cannot choose its host's profile, so this one looks. For each kind of operator a guest
//! runs a loop between two calls of a host function, which notes how deep the native stack is. Some
//! 170 functions of 32 turns each take about 1 ms in release.
//!
//! Invariant: no guest of a host runs before the check has passed.

use std::{hint::black_box, sync::OnceLock};

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, ElementSection, Elements, EntityType, ExportKind, ExportSection, Function,
    FunctionSection, GlobalSection, GlobalType, ImportSection, Instruction, MemArg, MemorySection, MemoryType, Module,
    RefType, TableSection, TableType, TypeSection, ValType,
};
use wasmi::{AsContext, Caller, Engine, Extern, Func, Instance, Store};

use super::{engine, room::Extra};
use crate::{error::DeployError, limits::Limits};

/// Turns of each loop, and how often the operator stands in it.
const TURNS: u32 = 32;
const UNROLLED: u32 = 4;

/// Bytes by which the stack may differ between the two calls. A dispatch that is not a jump takes
/// at least 32 bytes an operator, 4,096 over a loop.
const SLACK: usize = 1_024;

/// `Ok` if the interpreter keeps its native stack flat in this build.
pub(crate) fn self_check() -> Result<(), DeployError> {
    static GROWN: OnceLock<Option<(usize, &'static str)>> = OnceLock::new();
    match *GROWN.get_or_init(look) {
        None => Ok(()),
        Some((grown, kind)) => Err(DeployError::UnsafeBuild { grown, operators: TURNS * UNROLLED, kind }),
    }
}

/// Where the native stack stands: the address of a local variable.
#[inline(never)]
fn depth() -> usize {
    let here = 0u8;
    std::ptr::from_ref(black_box(&here)).addr()
}

/// Runs the loops and returns the first operator over which the stack grew.
fn look() -> Option<(usize, &'static str)> {
    let kinds = kinds();
    let bytes = guest(&kinds);
    let engine = Engine::new(&engine::config(&Limits::default(), 1, Extra::default()));
    let module = wasmi::Module::new(&engine, &bytes[..]);
    // The guest is the library's own. The test below shows that it compiles and links.
    let Ok(module) = module else { return Some((usize::MAX, "compilation")) };
    let mut store = Store::new(&engine, Vec::<usize>::with_capacity(2));
    let probe = Func::wrap(&mut store, |mut caller: Caller<'_, Vec<usize>>| caller.data_mut().push(depth()));
    let Ok(instance) = Instance::new(&mut store, &module, &[Extern::Func(probe)]) else {
        return Some((usize::MAX, "instantiation"));
    };
    for (index, kind) in kinds.iter().enumerate() {
        store.data_mut().clear();
        let ran = store.set_fuel(1_000_000).is_ok()
            && instance
                .get_func(store.as_context(), &index.to_string())
                .is_some_and(|run| run.call(&mut store, &[], &mut []).is_ok());
        match store.data()[..] {
            [before, .., after] if ran => {
                let grown = before.abs_diff(after);
                if grown > SLACK {
                    return Some((grown, kind.name));
                }
            }
            _ => return Some((usize::MAX, kind.name)),
        }
    }
    None
}

/// A kind of operator: code that leaves the stack as it found it.
struct Kind {
    name: &'static str,
    code: Box<dyn Fn(&mut Function)>,
}

/// Locals of each function: a counter, then two of each type of number.
const COUNTER: u32 = 0;

fn local(ty: ValType) -> u32 {
    match ty {
        ValType::I32 => 1,
        ValType::I64 => 3,
        ValType::F32 => 5,
        _ => 7,
    }
}

/// The kinds of operator that a guest can contain.
fn kinds() -> Vec<Kind> {
    use Instruction as I;
    use ValType::{F32, F64, I32, I64};
    let mut kinds: Vec<Kind> = Vec::new();
    let mut add = |name: &'static str, code: Box<dyn Fn(&mut Function)>| kinds.push(Kind { name, code });

    macro_rules! unary {
        ($($op:ident: $from:ident -> $to:ident),* $(,)?) => {$(
            add(stringify!($op), Box::new(|sink| {
                put(sink, &[I::LocalGet(local($from)), I::$op, I::LocalSet(local($to) + 1)]);
            }));
        )*};
    }
    // Each operator in the forms that wasmi tells apart: of two locals, with a constant, and of a
    // value just computed.
    macro_rules! binary {
        ($($op:ident: $ty:ident -> $to:ident),* $(,)?) => {$(
            add(stringify!($op), Box::new(|sink| {
                let (a, one) = (local($ty), one($ty));
                put(sink, &[I::LocalGet(a), I::LocalGet(a), I::$op, I::LocalSet(local($to) + 1)]);
                put(sink, &[I::LocalGet(a), one.clone(), I::$op, I::LocalSet(local($to) + 1)]);
                put(sink, &[one.clone(), I::LocalGet(a), I::$op, I::LocalSet(local($to) + 1)]);
                let sum = match $ty { I32 => I::I32Add, I64 => I::I64Add, F32 => I::F32Add, _ => I::F64Add };
                put(sink, &[I::LocalGet(a), I::LocalGet(a), sum, I::LocalGet(a), I::$op, I::LocalSet(local($to) + 1)]);
            }));
        )*};
    }
    // A comparison also as the condition of a branch, as wasmi fuses the two.
    macro_rules! compare {
        ($($op:ident: $ty:ident),* $(,)?) => {
            binary!($($op: $ty -> I32),*);
            $(add(concat!(stringify!($op), " and br_if"), Box::new(|sink| {
                let a = local($ty);
                put(sink, &[
                    I::Block(BlockType::Empty), I::LocalGet(a), I::LocalGet(a), I::$op, I::BrIf(0), I::Nop, I::End,
                    I::Block(BlockType::Empty), I::LocalGet(a), one($ty), I::$op, I::BrIf(0), I::Nop, I::End,
                ]);
            }));)*
        };
    }
    macro_rules! load {
        ($($op:ident -> $to:ident),* $(,)?) => {$(
            add(stringify!($op), Box::new(|sink| {
                put(sink, &[I::I32Const(8), I::$op(AT), I::LocalSet(local($to) + 1)]);
                put(sink, &[I::LocalGet(local(I32)), I::$op(AT), I::LocalSet(local($to) + 1)]);
                put(sink, &[I::LocalGet(local(I32)), I::$op(OTHER), I::LocalSet(local($to) + 1)]);
            }));
        )*};
    }
    macro_rules! store {
        ($($op:ident <- $from:ident),* $(,)?) => {$(
            add(stringify!($op), Box::new(|sink| {
                put(sink, &[I::I32Const(8), I::LocalGet(local($from)), I::$op(AT)]);
                put(sink, &[I::LocalGet(local(I32)), I::LocalGet(local($from)), I::$op(AT)]);
                put(sink, &[I::LocalGet(local(I32)), one($from), I::$op(AT)]);
                put(sink, &[I::LocalGet(local(I32)), one($from), I::$op(OTHER)]);
            }));
        )*};
    }
    unary!(
        I32Clz: I32 -> I32, I32Ctz: I32 -> I32, I32Popcnt: I32 -> I32, I32Eqz: I32 -> I32, I32Extend8S: I32 -> I32,
        I32Extend16S: I32 -> I32, I64Clz: I64 -> I64, I64Ctz: I64 -> I64, I64Popcnt: I64 -> I64, I64Eqz: I64 -> I32,
        I64Extend8S: I64 -> I64, I64Extend16S: I64 -> I64, I64Extend32S: I64 -> I64, F32Abs: F32 -> F32,
        F32Neg: F32 -> F32, F32Ceil: F32 -> F32, F32Floor: F32 -> F32, F32Trunc: F32 -> F32, F32Nearest: F32 -> F32,
        F32Sqrt: F32 -> F32, F64Abs: F64 -> F64, F64Neg: F64 -> F64, F64Ceil: F64 -> F64, F64Floor: F64 -> F64,
        F64Trunc: F64 -> F64, F64Nearest: F64 -> F64, F64Sqrt: F64 -> F64, I32WrapI64: I64 -> I32,
        I32TruncF32S: F32 -> I32, I32TruncF32U: F32 -> I32, I32TruncF64S: F64 -> I32, I32TruncF64U: F64 -> I32,
        I64ExtendI32S: I32 -> I64, I64ExtendI32U: I32 -> I64, I64TruncF32S: F32 -> I64, I64TruncF32U: F32 -> I64,
        I64TruncF64S: F64 -> I64, I64TruncF64U: F64 -> I64, I32TruncSatF32S: F32 -> I32, I32TruncSatF32U: F32 -> I32,
        I32TruncSatF64S: F64 -> I32, I32TruncSatF64U: F64 -> I32, I64TruncSatF32S: F32 -> I64,
        I64TruncSatF32U: F32 -> I64, I64TruncSatF64S: F64 -> I64, I64TruncSatF64U: F64 -> I64,
        F32ConvertI32S: I32 -> F32, F32ConvertI32U: I32 -> F32, F32ConvertI64S: I64 -> F32, F32ConvertI64U: I64 -> F32,
        F32DemoteF64: F64 -> F32, F64ConvertI32S: I32 -> F64, F64ConvertI32U: I32 -> F64, F64ConvertI64S: I64 -> F64,
        F64ConvertI64U: I64 -> F64, F64PromoteF32: F32 -> F64, I32ReinterpretF32: F32 -> I32,
        I64ReinterpretF64: F64 -> I64, F32ReinterpretI32: I32 -> F32, F64ReinterpretI64: I64 -> F64,
    );
    binary!(
        I32Add: I32 -> I32, I32Sub: I32 -> I32, I32Mul: I32 -> I32, I32DivS: I32 -> I32, I32DivU: I32 -> I32,
        I32RemS: I32 -> I32, I32RemU: I32 -> I32, I32And: I32 -> I32, I32Or: I32 -> I32, I32Xor: I32 -> I32,
        I32Shl: I32 -> I32, I32ShrS: I32 -> I32, I32ShrU: I32 -> I32, I32Rotl: I32 -> I32, I32Rotr: I32 -> I32,
        I64Add: I64 -> I64, I64Sub: I64 -> I64, I64Mul: I64 -> I64, I64DivS: I64 -> I64, I64DivU: I64 -> I64,
        I64RemS: I64 -> I64, I64RemU: I64 -> I64, I64And: I64 -> I64, I64Or: I64 -> I64, I64Xor: I64 -> I64,
        I64Shl: I64 -> I64, I64ShrS: I64 -> I64, I64ShrU: I64 -> I64, I64Rotl: I64 -> I64, I64Rotr: I64 -> I64,
        F32Add: F32 -> F32, F32Sub: F32 -> F32, F32Mul: F32 -> F32, F32Div: F32 -> F32, F32Min: F32 -> F32,
        F32Max: F32 -> F32, F32Copysign: F32 -> F32, F64Add: F64 -> F64, F64Sub: F64 -> F64, F64Mul: F64 -> F64,
        F64Div: F64 -> F64, F64Min: F64 -> F64, F64Max: F64 -> F64, F64Copysign: F64 -> F64,
    );
    compare!(
        I32Eq: I32, I32Ne: I32, I32LtS: I32, I32LtU: I32, I32GtS: I32, I32GtU: I32, I32LeS: I32, I32LeU: I32,
        I32GeS: I32, I32GeU: I32, I64Eq: I64, I64Ne: I64, I64LtS: I64, I64LtU: I64, I64GtS: I64, I64GtU: I64,
        I64LeS: I64, I64LeU: I64, I64GeS: I64, I64GeU: I64, F32Eq: F32, F32Ne: F32, F32Lt: F32, F32Gt: F32, F32Le: F32,
        F32Ge: F32, F64Eq: F64, F64Ne: F64, F64Lt: F64, F64Gt: F64, F64Le: F64, F64Ge: F64,
    );
    load!(
        I32Load -> I32, I64Load -> I64, F32Load -> F32, F64Load -> F64, I32Load8S -> I32, I32Load8U -> I32,
        I32Load16S -> I32, I32Load16U -> I32, I64Load8S -> I64, I64Load8U -> I64, I64Load16S -> I64, I64Load16U -> I64,
        I64Load32S -> I64, I64Load32U -> I64,
    );
    store!(
        I32Store <- I32, I64Store <- I64, F32Store <- F32, F64Store <- F64, I32Store8 <- I32, I32Store16 <- I32,
        I64Store8 <- I64, I64Store16 <- I64, I64Store32 <- I64,
    );
    for (ty, global) in [(I32, 0), (I64, 1), (F32, 2), (F64, 3)] {
        add(
            "global.get, global.set",
            Box::new(move |sink| {
                put(
                    sink,
                    &[I::GlobalGet(global), I::LocalSet(local(ty) + 1), I::LocalGet(local(ty)), I::GlobalSet(global)],
                );
                put(sink, &[one(ty), I::GlobalSet(global)]);
            }),
        );
        add(
            "select",
            Box::new(move |sink| {
                put(
                    sink,
                    &[I::LocalGet(local(ty)), one(ty), I::LocalGet(COUNTER), I::Select, I::LocalSet(local(ty) + 1)],
                );
            }),
        );
        add(
            "local.tee",
            Box::new(move |sink| {
                put(
                    sink,
                    &[I::LocalGet(local(ty)), I::LocalTee(local(ty) + 1), I::Drop, one(ty), I::LocalSet(local(ty) + 1)],
                );
            }),
        );
    }
    let three = [I::I32Const(0), I::I32Const(8), I::I32Const(4)];
    for (name, operator) in [
        ("memory.copy", I::MemoryCopy { src_mem: 0, dst_mem: 0 }),
        ("memory.copy between memories", I::MemoryCopy { src_mem: 0, dst_mem: 1 }),
        ("memory.fill", I::MemoryFill(0)),
    ] {
        let three = three.clone();
        add(
            name,
            Box::new(move |sink| {
                put(sink, &three);
                put(sink, std::slice::from_ref(&operator));
            }),
        );
    }
    add("memory.size", Box::new(|sink| put(sink, &[I::MemorySize(0), I::Drop, I::MemorySize(1), I::LocalSet(2)])));
    add(
        "table.get, table.set",
        Box::new(|sink| {
            put(sink, &[I::I32Const(1), I::I32Const(0), I::TableGet(0), I::TableSet(0)]);
        }),
    );
    add("table.size", Box::new(|sink| put(sink, &[I::TableSize(0), I::LocalSet(2)])));
    add(
        "table.fill, table.copy",
        Box::new(|sink| {
            put(sink, &[I::I32Const(1), I::RefNull(wasm_encoder::HeapType::FUNC), I::I32Const(1), I::TableFill(0)]);
            put(sink, &[I::I32Const(1), I::I32Const(1), I::I32Const(1), I::TableCopy { src_table: 0, dst_table: 0 }]);
        }),
    );
    add("ref.func, ref.is_null", Box::new(|sink| put(sink, &[I::RefFunc(CALLEE), I::RefIsNull, I::LocalSet(2)])));
    add("call of the host", Box::new(|sink| put(sink, &[I::Call(PROBE)])));
    add("call", Box::new(|sink| put(sink, &[I::Call(CALLEE)])));
    add(
        "call_indirect",
        Box::new(|sink| {
            put(sink, &[I::I32Const(0), I::CallIndirect { type_index: 0, table_index: 0 }]);
            put(sink, &[I::LocalGet(2), I::Drop, I::I32Const(0), I::CallIndirect { type_index: 0, table_index: 0 }]);
        }),
    );
    add("return_call", Box::new(|sink| put(sink, &[I::Call(TAIL_CALLER)])));
    add("return_call_indirect", Box::new(|sink| put(sink, &[I::Call(INDIRECT_TAIL_CALLER)])));
    add(
        "if, else",
        Box::new(|sink| {
            put(
                sink,
                &[I::LocalGet(COUNTER), I::If(BlockType::Empty), I::Nop, I::Else, I::I32Const(1), I::Drop, I::End],
            );
        }),
    );
    add(
        "br_table",
        Box::new(|sink| {
            put(sink, &[I::Block(BlockType::Empty), I::Block(BlockType::Empty), I::LocalGet(COUNTER)]);
            put(sink, &[I::BrTable(vec![0, 1, 0].into(), 1), I::End, I::End]);
        }),
    );
    add(
        "br",
        Box::new(|sink| {
            put(sink, &[I::Block(BlockType::Result(I32)), I::LocalGet(1), I::Br(0), I::End, I::LocalSet(2)]);
        }),
    );
    kinds
}

const AT: MemArg = MemArg { offset: 16, align: 0, memory_index: 0 };
const OTHER: MemArg = MemArg { offset: 16, align: 0, memory_index: 1 };

fn one(ty: ValType) -> Instruction<'static> {
    match ty {
        ValType::I32 => Instruction::I32Const(1),
        ValType::I64 => Instruction::I64Const(1),
        ValType::F32 => Instruction::F32Const(1.0),
        _ => Instruction::F64Const(1.0),
    }
}

fn put(sink: &mut Function, code: &[Instruction<'_>]) {
    for instruction in code {
        sink.instruction(instruction);
    }
}

/// Function indices: the host's probe, then three helpers, then one function for each kind.
const PROBE: u32 = 0;
const CALLEE: u32 = 1;
const TAIL_CALLER: u32 = 2;
const INDIRECT_TAIL_CALLER: u32 = 3;
const FIRST: u32 = 4;

/// A module with a function for each kind, exported under its number.
fn guest(kinds: &[Kind]) -> Vec<u8> {
    use Instruction as I;
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let mut imports = ImportSection::new();
    imports.import("", "", EntityType::Function(0));
    let (mut functions, mut code, mut exports) = (FunctionSection::new(), CodeSection::new(), ExportSection::new());
    for helper in [
        &[I::Nop, I::End][..],
        &[I::ReturnCall(CALLEE), I::End],
        &[I::I32Const(0), I::ReturnCallIndirect { type_index: 0, table_index: 0 }, I::End],
    ] {
        functions.function(0);
        let mut body = Function::new([]);
        put(&mut body, helper);
        code.function(&body);
    }
    for (index, kind) in kinds.iter().enumerate() {
        functions.function(0);
        exports.export(&index.to_string(), ExportKind::Func, FIRST + index as u32);
        let mut body = Function::new([(3, ValType::I32), (2, ValType::I64), (2, ValType::F32), (2, ValType::F64)]);
        let sink = &mut body;
        // Each first local holds 1, for divisors and addresses alike.
        for ty in [ValType::I32, ValType::I64, ValType::F32, ValType::F64] {
            put(sink, &[one(ty), I::LocalSet(local(ty))]);
        }
        put(sink, &[I::I32Const(TURNS as i32), I::LocalSet(COUNTER), I::Call(PROBE), I::Loop(BlockType::Empty)]);
        for _ in 0..UNROLLED {
            (kind.code)(sink);
        }
        put(sink, &[I::LocalGet(COUNTER), I::I32Const(1), I::I32Sub, I::LocalTee(COUNTER), I::BrIf(0), I::End]);
        put(sink, &[I::Call(PROBE), I::End]);
        code.function(&body);
    }
    let mut tables = TableSection::new();
    tables.table(TableType {
        element_type: RefType::FUNCREF,
        table64: false,
        minimum: 2,
        maximum: None,
        shared: false,
    });
    let mut memories = MemorySection::new();
    for _ in 0..2 {
        memories.memory(MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None });
    }
    let mut globals = GlobalSection::new();
    for (val_type, zero) in [
        (ValType::I32, ConstExpr::i32_const(0)),
        (ValType::I64, ConstExpr::i64_const(0)),
        (ValType::F32, ConstExpr::f32_const(0.0)),
        (ValType::F64, ConstExpr::f64_const(0.0)),
    ] {
        globals.global(GlobalType { val_type, mutable: true, shared: false }, &zero);
    }
    let mut elements = ElementSection::new();
    elements.active(None, &ConstExpr::i32_const(0), Elements::Functions([CALLEE][..].into()));
    let mut module = Module::new();
    module
        .section(&types)
        .section(&imports)
        .section(&functions)
        .section(&tables)
        .section(&memories)
        .section(&globals)
        .section(&exports)
        .section(&elements)
        .section(&code);
    module.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_of_the_self_check_is_valid_and_names_many_operators() {
        let kinds = kinds();
        assert!(kinds.len() > 170, "{}", kinds.len());
        let mut validator = wasmparser::Validator::new_with_features(crate::module::features::features());
        validator.validate_all(&guest(&kinds)).unwrap();
    }

    #[test]
    fn this_build_passes_the_self_check() {
        assert_eq!(look(), None);
    }
}
