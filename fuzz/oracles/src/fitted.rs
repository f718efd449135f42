//! A module as all engines get it: the same bytes for each.
//!
//! The added parts stand behind all parts of the generated module, so that no index changes:
//!
//! - The export [`DIGEST`] folds all memories, globals and tables into one number.
//! - Each export of floats is there once more with the same bits as integers, as JavaScript may
//!   change those of a NaN.
//!
//! The digest covers the size and all bytes of each memory, and the size of each table and which of
//! its elements are null. It covers the value of each global, except which NaN it is, as engines
//! may choose that. It does not cover which function an element or a global refers to, nor which
//! segments were dropped.
//!
//! Each memory and each table gets a largest size, so that a growth fails in all engines or in
//! none.

use wasm_encoder::{
    BlockType, ConstExpr, Encode, Function, InstructionSink, MemArg, MemorySection, MemoryType, RawSection,
    TableSection, TableType,
    reencode::{Reencode, RoundtripReencoder},
};
use wasmparser::{ExternalKind, FuncType, Parser, Payload, ValType};

/// The export that folds all state into one number.
pub const DIGEST: &str = "digest of all state";

/// The most bytes of all memories of a module together, and the most elements of all its tables.
pub const MEMORY: u64 = 4 << 20;
pub const ELEMENTS: u64 = 5_000;

/// By how much they may grow together. The digest reads all of it.
const MEMORY_GROWTH: u64 = 1 << 20;
const ELEMENTS_GROWTH: u64 = 1_000;

const PAGE: u64 = 64 << 10;

pub struct Fitted {
    pub bytes: Vec<u8>,
    /// The exports that can be called. The last one is the digest.
    pub exports: Vec<Export>,
    /// Bytes that the digest may have to read.
    pub largest: u64,
}

pub struct Export {
    pub name: String,
    /// The same export with integers of 64 bits alone.
    pub plain: String,
    pub params: Vec<ValType>,
}

impl Fitted {
    pub fn digest(&self) -> usize {
        self.exports.len() - 1
    }
}

/// The parts that are read of a module.
#[derive(Default)]
struct Parts<'a> {
    types: Vec<FuncType>,
    functions: Vec<u32>,
    tables: Vec<wasmparser::Table<'a>>,
    memories: Vec<wasmparser::MemoryType>,
    globals: Vec<wasmparser::GlobalType>,
    exports: Vec<(String, u32)>,
    sections: Vec<(u8, &'a [u8])>,
}

/// Reads a valid module. An error is the generator's fault.
pub fn fit(bytes: &[u8]) -> Result<Fitted, String> {
    let parts = Parts::read(bytes).map_err(|error| error.to_string())?;
    let pages = room(parts.memories.iter().map(|memory| memory.initial), MEMORY / PAGE, MEMORY_GROWTH / PAGE);
    let elements = room(parts.tables.iter().map(|table| table.ty.initial), ELEMENTS, ELEMENTS_GROWTH);
    let most =
        |memory: &wasmparser::MemoryType| (memory.initial + pages).min(memory.maximum.unwrap_or(u64::MAX)) * PAGE;
    let largest = parts.memories.iter().map(most).sum();

    // The added types, functions, exports and bodies, each encoded behind the present ones.
    let mut added = Added::default();
    let mut exports = Vec::new();
    for (name, function) in &parts.exports {
        let Some(ty) = parts.functions.get(*function as usize).and_then(|ty| parts.types.get(*ty as usize)) else {
            continue;
        };
        if !ty.params().iter().chain(ty.results()).all(is_number) {
            continue;
        }
        let is_plain = ty.params().iter().chain(ty.results()).all(|ty| *ty == ValType::I64);
        let mut plain = name.clone();
        if !is_plain {
            plain = format!("{name} in integers");
            added.function(&parts, &plain, ty.params().len(), ty.results().len(), &in_integers(*function, ty));
        }
        exports.push(Export { name: name.clone(), plain, params: ty.params().to_vec() });
    }
    added.function(&parts, DIGEST, 0, 1, &digest(&parts));
    exports.push(Export { name: DIGEST.to_owned(), plain: DIGEST.to_owned(), params: Vec::new() });

    // A module without functions lacks these.
    let mut sections = parts.sections.clone();
    for id in [1, 3, 7, 10] {
        if !sections.iter().any(|&(other, _)| other == id) {
            let at = sections.iter().position(|&(other, _)| place(other) > place(id)).unwrap_or(sections.len());
            sections.insert(at, (id, &[0]));
        }
    }
    let mut module = wasm_encoder::Module::new();
    for (id, data) in sections {
        match id {
            1 => longer(&mut module, id, data, added.count, &added.types),
            3 => longer(&mut module, id, data, added.count, &added.functions),
            7 => longer(&mut module, id, data, added.count, &added.exports),
            10 => longer(&mut module, id, data, added.count, &added.bodies),
            4 => drop(module.section(&tables(&parts, elements)?)),
            5 => drop(module.section(&memories(&parts, pages))),
            _ => drop(module.section(&RawSection { id, data })),
        }
    }
    Ok(Fitted { bytes: module.finish(), exports, largest })
}

/// The place of a section in a module. Other sections have no place of their own.
fn place(id: u8) -> Option<usize> {
    [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11].iter().position(|&other| other == id)
}

fn is_number(ty: &ValType) -> bool {
    matches!(ty, ValType::I32 | ValType::I64 | ValType::F32 | ValType::F64)
}

/// By how much each of these may grow, so that all together stay within the limit.
fn room(initial: impl ExactSizeIterator<Item = u64>, most: u64, growth: u64) -> u64 {
    let count = initial.len().max(1) as u64;
    let sum = initial.fold(0, u64::saturating_add);
    most.saturating_sub(sum).min(growth) / count
}

impl<'a> Parts<'a> {
    fn read(bytes: &'a [u8]) -> wasmparser::Result<Self> {
        let mut parts = Self::default();
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload?;
            if let Some((id, range)) = payload.as_section() {
                parts.sections.push((id, &bytes[range]));
            }
            match payload {
                Payload::TypeSection(reader) => {
                    parts.types = reader.into_iter_err_on_gc_types().collect::<wasmparser::Result<_>>()?;
                }
                Payload::FunctionSection(reader) => {
                    parts.functions = reader.into_iter().collect::<wasmparser::Result<_>>()?
                }
                Payload::TableSection(reader) => {
                    parts.tables = reader.into_iter().collect::<wasmparser::Result<_>>()?
                }
                Payload::MemorySection(reader) => {
                    parts.memories = reader.into_iter().collect::<wasmparser::Result<_>>()?
                }
                Payload::GlobalSection(reader) => {
                    for global in reader {
                        parts.globals.push(global?.ty);
                    }
                }
                Payload::ExportSection(reader) => {
                    for export in reader {
                        let export = export?;
                        if export.kind == ExternalKind::Func {
                            parts.exports.push((export.name.to_owned(), export.index));
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(parts)
    }
}

/// The additions to four sections.
#[derive(Default)]
struct Added {
    count: u32,
    types: Vec<u8>,
    functions: Vec<u8>,
    exports: Vec<u8>,
    bodies: Vec<u8>,
}

impl Added {
    /// A function of integers of 64 bits, exported.
    fn function(&mut self, parts: &Parts<'_>, name: &str, params: usize, results: usize, body: &Function) {
        self.types.push(0x60);
        for count in [params, results] {
            count.encode(&mut self.types);
            self.types.extend(std::iter::repeat_n(0x7e, count));
        }
        (parts.types.len() as u32 + self.count).encode(&mut self.functions);
        name.encode(&mut self.exports);
        self.exports.push(0);
        (parts.functions.len() as u32 + self.count).encode(&mut self.exports);
        body.encode(&mut self.bodies);
        self.count += 1;
    }
}

/// A section with additions behind its contents.
fn longer(module: &mut wasm_encoder::Module, id: u8, data: &[u8], more: u32, added: &[u8]) {
    let mut reader = wasmparser::BinaryReader::new(data, 0);
    let count = reader.read_var_u32().expect("a valid section begins with its count");
    let mut section = Vec::with_capacity(data.len() + added.len() + 2);
    (count + more).encode(&mut section);
    section.extend(&data[reader.original_position()..]);
    section.extend(added);
    module.section(&RawSection { id, data: &section });
}

fn memories(parts: &Parts<'_>, room: u64) -> MemorySection {
    let mut section = MemorySection::new();
    for memory in &parts.memories {
        let mut ty: MemoryType = (*memory).into();
        ty.maximum = Some(memory.maximum.unwrap_or(u64::MAX).min(memory.initial + room));
        section.memory(ty);
    }
    section
}

fn tables(parts: &Parts<'_>, room: u64) -> Result<TableSection, String> {
    let mut section = TableSection::new();
    for table in &parts.tables {
        let mut ty: TableType = RoundtripReencoder.table_type(table.ty).map_err(|error| error.to_string())?;
        ty.maximum = Some(table.ty.maximum.unwrap_or(u64::MAX).min(table.ty.initial + room));
        match &table.init {
            wasmparser::TableInit::RefNull => section.table(ty),
            wasmparser::TableInit::Expr(value) => {
                let value: ConstExpr =
                    RoundtripReencoder.const_expr(value.clone()).map_err(|error| error.to_string())?;
                section.table_with_init(ty, &value)
            }
        };
    }
    Ok(section)
}

/// Calls a function with floats from the bits of its arguments, and returns the bits of its
/// results.
fn in_integers(function: u32, ty: &FuncType) -> Function {
    let (params, results) = (ty.params(), ty.results());
    let mut body = Function::new([(results.len() as u32, wasm_encoder::ValType::I64)]);
    let mut code = body.instructions();
    for (local, param) in params.iter().enumerate() {
        code.local_get(local as u32);
        match param {
            ValType::I32 => code.i32_wrap_i64(),
            ValType::F32 => code.i32_wrap_i64().f32_reinterpret_i32(),
            ValType::F64 => code.f64_reinterpret_i64(),
            _ => &mut code,
        };
    }
    code.call(function);
    let first = params.len() as u32;
    for (at, result) in results.iter().enumerate().rev() {
        as_integer(&mut code, *result);
        code.local_set(first + at as u32);
    }
    for at in 0..results.len() as u32 {
        code.local_get(first + at);
    }
    code.end();
    body
}

/// The bits of the number on the stack.
fn as_integer(code: &mut InstructionSink<'_>, ty: ValType) {
    match ty {
        ValType::I32 => code.i64_extend_i32_u(),
        ValType::F32 => code.i32_reinterpret_f32().i64_extend_i32_u(),
        ValType::F64 => code.i64_reinterpret_f64(),
        _ => code,
    };
}

/// Folds all state into one number: see the top of this file.
fn digest(parts: &Parts<'_>) -> Function {
    /// The number, and the place and end of the loops, with addresses of 32 and of 64 bits.
    const SUM: u32 = 0;
    const NARROW: [u32; 2] = [1, 2];
    const WIDE: [u32; 2] = [3, 4];
    /// Words that one turn of the loop reads.
    const TURN: u64 = 4;
    let mut body = Function::new([
        (1, wasm_encoder::ValType::I64),
        (2, wasm_encoder::ValType::I32),
        (2, wasm_encoder::ValType::I64),
    ]);
    let mut code = body.instructions();
    // The code before a number is put on the stack, and the code after it.
    fn open(code: &mut InstructionSink<'_>) {
        code.local_get(SUM).i64_const(0x2545_f491_4f6c_dd1d).i64_mul();
    }
    fn close(code: &mut InstructionSink<'_>) {
        code.i64_add().local_set(SUM);
    }
    for (at, memory) in (0..).zip(&parts.memories) {
        open(&mut code);
        code.memory_size(at);
        if !memory.memory64 {
            code.i64_extend_i32_u();
        }
        close(&mut code);
        let [here, end] = if memory.memory64 { WIDE } else { NARROW };
        if memory.memory64 {
            code.i64_const(0).local_set(here).memory_size(at).i64_const(16).i64_shl().local_set(end);
        } else {
            code.i32_const(0).local_set(here).memory_size(at).i32_const(16).i32_shl().local_set(end);
        }
        code.block(BlockType::Empty).loop_(BlockType::Empty).local_get(here).local_get(end);
        if memory.memory64 {
            code.i64_eq()
        } else {
            code.i32_eq()
        };
        code.br_if(1);
        for word in 0..TURN {
            open(&mut code);
            code.local_get(here).i64_load(MemArg { offset: word * 8, align: 3, memory_index: at });
            close(&mut code);
        }
        code.local_get(here);
        if memory.memory64 {
            code.i64_const(TURN as i64 * 8).i64_add();
        } else {
            code.i32_const(TURN as i32 * 8).i32_add();
        }
        code.local_set(here).br(0).end().end();
    }
    for (at, global) in (0..).zip(&parts.globals) {
        match global.content_type {
            ValType::V128 => {
                for lane in 0..2 {
                    open(&mut code);
                    code.global_get(at).i64x2_extract_lane(lane);
                    close(&mut code);
                }
            }
            ValType::Ref(_) => {
                open(&mut code);
                code.global_get(at).ref_is_null().i64_extend_i32_u();
                close(&mut code);
            }
            number => {
                open(&mut code);
                code.global_get(at);
                match number {
                    ValType::F32 => code.f32_const(f32::NAN).global_get(at).global_get(at).f32_eq().select(),
                    ValType::F64 => code.f64_const(f64::NAN).global_get(at).global_get(at).f64_eq().select(),
                    _ => &mut code,
                };
                as_integer(&mut code, number);
                close(&mut code);
            }
        }
    }
    for (at, table) in (0..).zip(&parts.tables) {
        open(&mut code);
        code.table_size(at);
        if !table.ty.table64 {
            code.i64_extend_i32_u();
        }
        close(&mut code);
        let [here, end] = if table.ty.table64 { WIDE } else { NARROW };
        if table.ty.table64 {
            code.i64_const(0)
        } else {
            code.i32_const(0)
        };
        code.local_set(here).table_size(at).local_set(end);
        code.block(BlockType::Empty).loop_(BlockType::Empty).local_get(here).local_get(end);
        if table.ty.table64 {
            code.i64_eq()
        } else {
            code.i32_eq()
        };
        code.br_if(1);
        open(&mut code);
        code.local_get(here).table_get(at).ref_is_null().i64_extend_i32_u();
        close(&mut code);
        code.local_get(here);
        if table.ty.table64 {
            code.i64_const(1).i64_add()
        } else {
            code.i32_const(1).i32_add()
        };
        code.local_set(here).br(0).end().end();
    }
    code.local_get(SUM).end();
    body
}
