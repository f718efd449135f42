//! Generates modules that exercise the interpreter's translation. The generator is typed and makes
//! valid code, with weights that differ from module to module. Any engine can run them, and all
//! must answer the same.
//!
//! Each export first fills the interpreter's stack with a given pattern. No answer may depend on
//! it. An answer that does comes from a slot that the call has not written.

mod calls;
mod census;
mod code;
mod control;
mod harness;
mod operators;
mod plan;
mod state;
mod steps;
mod types;
mod vector;
mod weights;

use wasm_encoder::{
    CodeSection, ConstExpr, DataCountSection, DataSection, ElementSection, Elements, ExportKind, ExportSection,
    FunctionSection, GlobalSection, GlobalType, MemorySection, MemoryType, Module, TableSection, TableType, ValType,
};

pub use census::Census;
use code::{Code, Shared};
use plan::Plan;
use types::{Ty, Types};
use weights::Weights;

use super::Random;

/// A generated module, with what a harness needs to run it.
pub struct Shaped {
    pub bytes: Vec<u8>,
    pub exports: Vec<ShapedExport>,
    pub census: Census,
}

/// An export: `(pattern: i64, arg: i64 ...) -> (i64 ...)`. The last result is a digest of the
/// module's state.
#[derive(Clone, Debug)]
pub struct ShapedExport {
    pub name: String,
    /// Arguments after the pattern, each an i64.
    pub args: usize,
    /// Results, each an i64, the digest among them.
    pub results: usize,
}

/// The module of a seed. The same seed and features give the same module.
pub fn shaped(seed: u64) -> Shaped {
    let mut random = Random::new(seed.wrapping_add(1).wrapping_mul(0xd134_2543_de82_ef95));
    let weights = Weights::new(&mut random);
    let mut types = Types::default();
    let plan = Plan::new(&mut random, &weights, &mut types);
    let mut census = Census::default();
    let mut functions: Vec<harness::Typed> = Vec::new();
    for signature in &plan.functions {
        let size = match random.below(12) {
            0..4 => 5 + random.below(20),
            4..9 => 10 + random.below(60),
            9..11 => 40 + random.below(120),
            _ => 100 + random.below(300),
        };
        let mut shared =
            Shared { plan: &plan, weights: &weights, types: &mut types, random: &mut random, census: &mut census };
        let code = Code::function(&mut shared, signature, size as i32);
        functions.push((signature.ty, code));
    }
    functions.extend(harness::helpers(&mut types, &weights));
    let fill = functions.len() as u32;
    functions.push(harness::fill(&mut types, fill));
    functions.extend(harness::digests(&mut types, &plan, &weights, fill + 1));
    let digest = functions.len() as u32 - 1;
    let mut exports = Vec::new();
    for (index, signature) in plan.functions.iter().enumerate() {
        let (wrapper, results) =
            harness::wrapper(&mut types, &plan, &weights, &mut random, (index as u32, signature), (fill, digest));
        functions.push(wrapper);
        exports.push(ShapedExport { name: format!("f{index}"), args: signature.params.len(), results });
    }
    let bytes = assemble(&plan, &weights, &types, &functions, &exports);
    census.count(&bytes, plan.functions.len());
    Shaped { bytes, exports, census }
}

fn assemble(
    plan: &Plan,
    weights: &Weights,
    types: &Types,
    functions: &[harness::Typed],
    exports: &[ShapedExport],
) -> Vec<u8> {
    let mut module = Module::new();
    module.section(&types.section());
    let mut section = FunctionSection::new();
    for (ty, _) in functions {
        section.function(*ty);
    }
    module.section(&section);
    let mut section = TableSection::new();
    for table in &plan.tables {
        section.table(TableType {
            element_type: table.ty.element(),
            table64: table.is_64,
            minimum: table.min,
            maximum: Some(table.max),
            shared: false,
        });
    }
    module.section(&section);
    let mut section = MemorySection::new();
    for memory in &plan.memories {
        section.memory(MemoryType {
            minimum: memory.min,
            maximum: Some(memory.max),
            memory64: memory.is_64,
            shared: false,
            page_size_log2: None,
        });
    }
    module.section(&section);
    let mut section = GlobalSection::new();
    let mutable = |val_type: ValType| GlobalType { val_type, mutable: true, shared: false };
    section.global(mutable(ValType::I32), &ConstExpr::i32_const(weights.turns as i32));
    for (ty, bits) in &plan.globals {
        let value = match ty {
            Ty::I32 => ConstExpr::i32_const(*bits as i32),
            Ty::I64 => ConstExpr::i64_const(*bits as i64),
            Ty::F32 => ConstExpr::f32_const(f32::from_bits(*bits as u32)),
            Ty::F64 => ConstExpr::f64_const(f64::from_bits(*bits)),
            Ty::V128 => ConstExpr::v128_const(i128::from(*bits) << 40 | i128::from(*bits)),
            Ty::Func if bits % 2 == 0 => ConstExpr::ref_func((bits / 2 % plan.functions.len() as u64) as u32),
            Ty::Func | Ty::Extern => ConstExpr::ref_null(ty.heap()),
        };
        section.global(mutable(ty.val()), &value);
    }
    module.section(&section);
    let first = (functions.len() - exports.len()) as u32;
    let mut section = ExportSection::new();
    for (at, export) in exports.iter().enumerate() {
        section.export(&export.name, ExportKind::Func, first + at as u32);
    }
    module.section(&section);
    module.section(&elements(plan));
    if !plan.datas.is_empty() {
        module.section(&DataCountSection { count: plan.datas.len() as u32 });
    }
    let mut section = CodeSection::new();
    for (_, function) in functions {
        section.function(function);
    }
    module.section(&section);
    let mut section = DataSection::new();
    for data in &plan.datas {
        match data.active {
            Some((memory, at)) => {
                let offset = offset(plan.memories[memory as usize].is_64, at);
                section.active(memory, &offset, data.bytes.iter().copied());
            }
            None => {
                section.passive(data.bytes.iter().copied());
            }
        }
    }
    module.section(&section);
    module.finish()
}

fn offset(is_64: bool, at: u64) -> ConstExpr {
    if is_64 { ConstExpr::i64_const(at as i64) } else { ConstExpr::i32_const(at as i32) }
}

/// The declaration that references need, the tables' first elements, and the passive segments.
fn elements(plan: &Plan) -> ElementSection {
    let mut section = ElementSection::new();
    let all: Vec<u32> = (0..plan.functions.len() as u32).collect();
    section.declared(Elements::Functions(all.into()));
    for (index, table) in plan.tables.iter().enumerate() {
        if !table.functions.is_empty() {
            let functions = Elements::Functions(table.functions.as_slice().into());
            section.active(Some(index as u32), &offset(table.is_64, 0), functions);
        }
    }
    for segment in &plan.elements {
        let item = |item: &Option<u32>| match item {
            Some(function) => ConstExpr::ref_func(*function),
            None => ConstExpr::ref_null(segment.ty.heap()),
        };
        let items: Vec<ConstExpr> = segment.items.iter().map(item).collect();
        section.passive(Elements::Expressions(segment.ty.element(), items.into()));
    }
    section
}
