//! Makes a module's hidden state reachable and its growth safe, by splicing sections.
//!
//! What is written anew:
//! - **imports**: the defined memories are appended, so that the host makes them. No index moves:
//!   index spaces are per kind, and defined memories already follow imported ones.
//! - **exports**: under a reserved prefix that no guest export begins with, each written mutable
//!   global, each table that code can change, the start function, and the table of growth functions
//!   below.
//! - **start**: taken out. The library calls the start function, in slices of fuel.
//! - **data**: active segments are moved into the image. Numbers that `memory.init` or `data.drop`
//!   names keep their meaning. An active segment below such a number becomes an empty passive
//!   segment, which behaves as a dropped one does.
//! - **`memory.grow` and `table.grow`** become calls of stubs, one for each memory and table that
//!   grows. A stub calls the host through an added table. wasmi 2.0.0 leaks native stack at these
//!   operators (faults 1 and 2 in `docs/interpreter-faults.md`), and fuel slices alone do not bound
//!   that. A function pays for its straight code when it is entered. So 900 nested calls that each
//!   have 100 growths left run 90,000 growths without a fuel check. That is 16 MB of stack, and it
//!   killed the process on 2 MiB. Host calls leak nothing. The stub costs no fuel in the end: the
//!   call costs what the operator costs, and the host gives back what the stub itself burns,
//!   [`Growable::stub_fuel`].
//! - **Functions that the host calls** get a trampoline each, which the export leads to.
//!   Trampolines and cleaners zero the value stack above them, so that no residue of earlier
//!   invocations can be read (fault 9, [`residue`](super::residue)). A trampoline's fuel is given
//!   back ([`trampoline_fuel`](super::trampoline_fuel)). A cleaner costs fuel each time that it is
//!   entered: up to 4 cells 1 for each cell, otherwise 2 for each 16,384 cells.
//! - **What wasmi 2.0.0 mistranslates** (faults 4 to 7) gets a cure: see [`cure`].
//!
//! Everything else is copied as it is, except custom sections, which are left out. Splicing takes 1
//! to 2 % of the time of wasmi's own lazy compilation, and a full re-encoding would take twice that
//! time.
//!
//! Invariants: no index of a type, function, table, memory, global, element segment or named data
//! segment changes. A valid module stays valid, and the interpreter takes this file's word for it
//! ([`Valid`], cost 10):
//! - A stub has the type of the operator that its call replaces.
//! - An empty block fits before any operator, and a cure takes what its operator takes.
//! - A trampoline has the type of its function.
//! - What is added stands behind all that is named by number.
//! - Every export stays. Code may take references of the functions that an export named. These are
//!   declared in a segment then.
//! - Only what nothing names is taken out.

mod code;

use std::ops::Range;

use wasm_encoder::{
    DataCountSection, DataSection, Encode, EntityType, ExportKind, ExportSection, MemoryType, RawSection, RefType,
    Section, SectionId, TableType,
};
use wasmparser::ExternalKind;

use super::{
    cure,
    leb::leb,
    names::Names,
    residue::Residue,
    room::{Extra, has_room},
    survey::{Growable, Survey},
};
use crate::{error::DeployError, sys::Valid};

/// A rewritten module, and the names of its added exports.
pub(crate) struct Rewritten {
    pub(crate) module: Valid,
    /// What it needs of the stack beyond what its guest may use.
    pub(crate) extra: Extra,
    /// The exports under the reserved prefix.
    pub(crate) globals: Vec<String>,
    pub(crate) tables: Vec<(u32, String)>,
    pub(crate) start: Option<String>,
    /// The table that the growth stubs call through. Its elements are in the order of
    /// [`Survey::growables`].
    pub(crate) grow_table: Option<String>,
}

/// Rewrites a module that has been surveyed.
///
/// # Errors
/// `Refused` if the module leaves no room for what is added, or imports more than functions. The
/// caller that resolves the imports reports the latter first, by name.
pub(crate) fn rewrite(survey: &Survey<'_>) -> Result<Rewritten, DeployError> {
    let module = survey.module;
    let growables = survey.growables();
    let names = Names::of(survey, !growables.is_empty());
    let residue = Residue::of(survey);
    let zeroing = residue.zeroing();
    has_room(survey, &names, growables.len(), zeroing.len(), residue.roots.len())?;
    // Memories become imports, which moves no index if all imports are functions.
    if survey.imports.len() != survey.imported_functions as usize {
        return Err(DeployError::Refused { problem: "the module imports more than functions".into() });
    }
    let mut out = Vec::with_capacity(module.len() + 1024);
    out.extend_from_slice(&module[..8]);
    let mut writer = Writer { survey, names: &names, growables, residue, zeroing, out };
    // The sections that may have to appear although the module has none, in the order of the
    // specification.
    let mut pending = [
        SectionId::Type,
        SectionId::Import,
        SectionId::Function,
        SectionId::Table,
        SectionId::Export,
        SectionId::Element,
        SectionId::DataCount,
        SectionId::Code,
        SectionId::Data,
    ]
    .into_iter()
    .peekable();
    for (id, range) in &survey.sections {
        while let Some(next) = pending.next_if(|next| order(*next as u8) < order(*id)) {
            writer.section(next, None);
        }
        match pending.next_if(|next| *next as u8 == *id) {
            Some(next) => writer.section(next, Some(range.clone())),
            None if [SectionId::Memory as u8, SectionId::Start as u8].contains(id) => {}
            None => writer.put(&RawSection { id: *id, data: &module[range.clone()] }),
        }
    }
    for next in pending {
        writer.section(next, None);
    }
    Ok(Rewritten {
        extra: Extra::of(survey, &writer.residue),
        module: Valid::vouched_for(writer.out),
        globals: names.globals.into_iter().map(|(_, name)| name).collect(),
        tables: names.tables,
        start: names.start,
        grow_table: names.grow_table,
    })
}

/// Where a section stands in a module: not the order of the ids, as the data count section comes
/// before the code.
fn order(id: u8) -> u8 {
    const ORDER: [u8; 13] = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11];
    ORDER.iter().position(|other| *other == id).map_or(u8::MAX, |at| at as u8)
}

struct Writer<'a> {
    survey: &'a Survey<'a>,
    names: &'a Names,
    /// What has a stub, in the order of the stubs.
    growables: Vec<Growable>,
    residue: Residue,
    /// The numbers of cells that functions are added for to zero them, ascending.
    zeroing: Vec<u32>,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn put(&mut self, section: &impl Section) {
        section.append_to(&mut self.out);
    }

    /// Writes one of the sections that may change; `range` is its content in the module, if the
    /// module has it.
    fn section(&mut self, id: SectionId, range: Option<Range<usize>>) {
        let survey = self.survey;
        let grows = !self.growables.is_empty();
        let stubs = self.growables.len() as u32;
        match id {
            SectionId::Type if grows || survey.block_types.len() > 0 || !self.zeroing.is_empty() => {
                let mut added = Vec::new();
                for growable in &self.growables {
                    let (params, result) = growable.signature(survey);
                    added.push(0x60);
                    params[..].encode(&mut added);
                    [result][..].encode(&mut added);
                }
                for ty in survey.block_types.in_order() {
                    added.push(0x60);
                    for side in [ty.params(), ty.results()] {
                        side.len().encode(&mut added);
                        added.extend(side.iter().map(|ty| cure::byte(*ty)));
                    }
                }
                let zeroes = !self.zeroing.is_empty();
                if zeroes {
                    added.extend([0x60, 0, 0]);
                }
                self.append(id, range, stubs + survey.block_types.len() as u32 + u32::from(zeroes), &added);
            }
            SectionId::Import if !survey.memories.is_empty() => {
                // Imports are given by position, so their names do not matter.
                let mut added = Vec::new();
                for memory in &survey.memories {
                    "".encode(&mut added);
                    "".encode(&mut added);
                    EntityType::Memory(memory_type(memory.ty)).encode(&mut added);
                }
                self.append(id, range, survey.memories.len() as u32, &added);
            }
            SectionId::Function if self.adds_functions() => {
                let mut added = Vec::new();
                for stub in 0..stubs {
                    self.stub_type(stub).encode(&mut added);
                }
                for _ in &self.zeroing {
                    self.stub_type(stubs + survey.block_types.len() as u32).encode(&mut added);
                }
                for (index, _) in &self.residue.roots {
                    survey.functions[*index as usize].encode(&mut added);
                }
                self.append(id, range, stubs + (self.zeroing.len() + self.residue.roots.len()) as u32, &added);
            }
            SectionId::Table if grows => {
                let ty = TableType {
                    element_type: RefType::FUNCREF,
                    table64: false,
                    minimum: u64::from(stubs),
                    maximum: Some(u64::from(stubs)),
                    shared: false,
                };
                let mut added = Vec::new();
                ty.encode(&mut added);
                self.append(id, range, 1, &added);
            }
            SectionId::Export => {
                let mut section = ExportSection::new();
                for export in &survey.exports {
                    let kind = match export.kind {
                        ExternalKind::Func => ExportKind::Func,
                        ExternalKind::Table => ExportKind::Table,
                        ExternalKind::Memory => ExportKind::Memory,
                        ExternalKind::Global => ExportKind::Global,
                        ExternalKind::Tag => continue,
                    };
                    let index = if kind == ExportKind::Func { self.trampoline(export.index) } else { export.index };
                    section.export(&export.name, kind, index);
                }
                for (index, name) in &self.names.globals {
                    section.export(name, ExportKind::Global, *index);
                }
                for (index, name) in &self.names.tables {
                    section.export(name, ExportKind::Table, *index);
                }
                if let (Some(index), Some(name)) = (survey.start, &self.names.start) {
                    section.export(name, ExportKind::Func, self.trampoline(index));
                }
                if let Some(name) = &self.names.grow_table {
                    section.export(name, ExportKind::Table, survey.tables.len() as u32);
                }
                self.put(&section);
            }
            SectionId::Element if survey.takes_references && !self.residue.roots.is_empty() => {
                // A declarative segment of functions (specification, core, 5.5.12).
                let mut added = vec![3, 0];
                (self.residue.roots.len() as u32).encode(&mut added);
                for (index, _) in &self.residue.roots {
                    index.encode(&mut added);
                }
                self.append(id, range, 1, &added);
            }
            SectionId::DataCount if survey.data_named > 0 => {
                self.put(&DataCountSection { count: survey.data_named });
            }
            SectionId::Code if !survey.edits.is_empty() || self.adds_functions() => self.code(),
            SectionId::Data if survey.data_named > 0 => {
                let mut section = DataSection::new();
                for data in &survey.data[..survey.data_named as usize] {
                    match data.active {
                        Some(_) => section.passive([]),
                        None => section.passive(self.survey.module[data.bytes.clone()].iter().copied()),
                    };
                }
                self.put(&section);
            }
            SectionId::DataCount | SectionId::Data => {}
            _ => {
                if let Some(range) = range {
                    self.put(&RawSection { id: id as u8, data: &self.survey.module[range] });
                }
            }
        }
    }

    /// Writes a section that is a vector, with `count` items more at its end.
    fn append(&mut self, id: SectionId, range: Option<Range<usize>>, count: u32, added: &[u8]) {
        let old = range.map_or(&[0u8][..], |range| &self.survey.module[range]);
        let (had, first) = leb(old);
        let mut data = Vec::with_capacity(old.len() + added.len() + 5);
        (had + count).encode(&mut data);
        data.extend_from_slice(&old[first..]);
        data.extend_from_slice(added);
        self.put(&RawSection { id: id as u8, data: &data });
    }

    /// Index of the type of a stub. Each stub has a type of its own.
    fn stub_type(&self, stub: u32) -> u32 {
        self.survey.types.len() as u32 + stub
    }

    fn adds_functions(&self) -> bool {
        !(self.growables.is_empty() && self.zeroing.is_empty() && self.residue.roots.is_empty())
    }

    /// Index of the function that zeroes so many cells, a number among [`Writer::zeroing`].
    fn zeroes(&self, cells: u32) -> u32 {
        let at = self.zeroing.partition_point(|size| *size < cells);
        (self.survey.functions.len() + self.growables.len() + at) as u32
    }

    /// Index of the trampoline of a root.
    fn trampoline(&self, index: u32) -> u32 {
        let at = self.residue.roots.partition_point(|(root, _)| *root < index);
        (self.survey.functions.len() + self.growables.len() + self.zeroing.len() + at) as u32
    }
}

fn memory_type(ty: wasmparser::MemoryType) -> MemoryType {
    MemoryType {
        minimum: ty.initial,
        maximum: ty.maximum,
        memory64: ty.memory64,
        shared: ty.shared,
        page_size_log2: ty.page_size_log2,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]
mod tests {
    use std::fs;

    use arbitrary::Unstructured;
    use wasmi::Engine;

    use super::*;
    use crate::{
        limits::Limits,
        module::{engine, survey::How},
    };

    /// What the interpreter's own validator says of the rewritten module. `None` if the survey
    /// refuses the module.
    fn rewritten(bytes: &[u8]) -> Option<Result<(), String>> {
        let limits = Limits::default();
        let survey = Survey::of(bytes, &limits).ok()?;
        let rewritten = rewrite(&survey).ok()?;
        Some(rewritten.module.validate(&Engine::new(&engine::config(&limits, 1, Extra::default()))))
    }

    #[test]
    fn each_guest_of_the_tests_stays_valid() {
        let mut guests = 0;
        for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/guests")).unwrap() {
            let path = entry.unwrap().path();
            let bytes = match path.extension().and_then(|extension| extension.to_str()) {
                Some("wasm") => fs::read(&path).unwrap(),
                Some("wat") => wat::parse_file(&path).unwrap(),
                _ => continue,
            };
            let Some(outcome) = rewritten(&bytes) else { continue };
            assert_eq!(outcome, Ok(()), "{}", path.display());
            guests += 1;
        }
        assert!(guests > 30, "{guests}");
    }

    #[test]
    fn generated_modules_stay_valid() {
        let mut seed = 1u64;
        let (mut modules, mut grow, mut cure, mut name_data, mut import) = (0, 0, 0, 0, 0);
        for _ in 0..1_000 {
            let bytes: Vec<u8> = (0..2_048)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (seed >> 56) as u8
                })
                .collect();
            let config = wasm_smith::Config {
                max_memories: 3,
                max_tables: 3,
                min_funcs: 1,
                max_imports: 3,
                tail_call_enabled: true,
                memory64_enabled: cfg!(feature = "memory64"),
                simd_enabled: cfg!(feature = "simd"),
                relaxed_simd_enabled: cfg!(feature = "simd"),
                exceptions_enabled: false,
                gc_enabled: false,
                threads_enabled: false,
                custom_page_sizes_enabled: false,
                wide_arithmetic_enabled: false,
                shared_everything_threads_enabled: false,
                ..wasm_smith::Config::default()
            };
            let Ok(module) = wasm_smith::Module::new(config, &mut Unstructured::new(&bytes)) else { continue };
            let bytes = module.to_bytes();
            let Some(outcome) = rewritten(&bytes) else { continue };
            assert_eq!(outcome, Ok(()), "module {modules}");
            modules += 1;
            let survey = Survey::of(&bytes, &Limits::default()).unwrap();
            grow += u32::from(!survey.growables().is_empty());
            cure += u32::from(survey.edits.iter().any(|edit| matches!(edit.how, How::Cure(_))));
            name_data += u32::from(survey.data_named > 0);
            import += u32::from(!survey.imports.is_empty());
        }
        let counts = [modules, grow, cure, name_data, import];
        assert!(counts.iter().all(|count| *count > 20), "{counts:?}");
    }

    /// Otherwise its memories would be imported under other indices.
    #[test]
    fn a_module_that_imports_more_than_functions_is_refused() {
        let module = wat::parse_str(r#"(module (import "a" "memory" (memory 1)) (memory 1))"#).unwrap();
        let survey = Survey::of(&module, &Limits::default()).unwrap();
        assert!(matches!(rewrite(&survey), Err(DeployError::Refused { .. })));
    }

    /// Numbers may take more bytes than they need (WebAssembly core specification, 5.2.2). So may
    /// the number behind a prefix.
    #[test]
    fn operators_with_long_numbers_are_replaced_whole() {
        let grow_memory: &[u8] = &[0x41, 1, 0x40, 0x80, 0x80, 0x80, 0x80, 0];
        let grow_table: &[u8] = &[0xd0, 0x70, 0x41, 1, 0xfc, 0x8f, 0x80, 0x80, 0x80, 0, 0x80, 0x80, 0];
        for grow in [grow_memory, grow_table] {
            let body = [&[0][..], grow, &[0x1a, 0x0b]].concat();
            let mut module =
                b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x04\x04\x01\x70\0\x01\x05\x03\x01\0\x01".to_vec();
            module.extend([0x0a, body.len() as u8 + 2, 1, body.len() as u8]);
            module.extend(body);
            assert_eq!(rewritten(&module), Some(Ok(())));
        }
    }
}
