//! Makes a module's hidden state reachable and its growth safe, by splicing sections.
//!
//! What is written anew:
//! - **imports**: the defined memories are appended, so that the host makes them. No index moves:
//!   index spaces are per kind, and defined memories already follow imported ones.
//! - **exports**: under a reserved prefix that no guest export begins with, each written mutable
//!   global, each table that code can change, the start function, and the table of growth functions
//!   below.
//! - **start**: stripped; it is called by us, in slices of fuel.
//! - **data**: active segments are moved into the image. Numbers that `memory.init` or `data.drop`
//!   names keep their meaning: an active segment below such a number becomes an empty passive one,
//!   which behaves as a dropped one does.
//! - **`memory.grow` and `table.grow`** become calls of stubs, one for each memory and table that
//!   grows, which call the host through a table of ours. wasmi 2.0.0 leaks 176 bytes of native
//!   stack for each `memory.grow` that fails and 160 for each `table.grow`, whether it fails or
//!   not, and fuel slices alone do not bound that: a function pays for its straight code when it is
//!   entered, so 900 nested calls that each have 100 growths left run 90,000 of them, 16 MB of
//!   stack, without meeting a fuel check (it killed the process on 2 MiB). Host calls leak nothing,
//!   and the stub costs no fuel in the end: the call costs what the operator costs, and the host
//!   gives back what the stub itself burns, [`Growable::stub_fuel`].
//! - **Functions that the host calls** get a trampoline each, which the export leads to, and
//!   functions that calls can come back to call one that zeroes the value stack above them: no
//!   residue of earlier runs can be read ([`residue`]). A trampoline's fuel is given back
//!   ([`trampoline_fuel`]); a cleaner of up to 4 cells costs 1 fuel for each of them, each time
//!   that it is entered, and any other 2 for each 16,384.
//! - **What wasmi 2.0.0 mistranslates** is written so that it does not: see [`cure`].
//!
//! Everything else is copied as it is; splicing takes 1 to 2 % of the time of wasmi's own lazy
//! compilation, where a full re-encoding takes twice that time. Custom sections are left out.
//!
//! Invariants: no index of type, function, table, memory, global, element or named data segment
//! changes. What was valid stays valid, as the interpreter takes this file's word for it
//! ([`Valid`]): a stub has the type of the operator that its call replaces, an empty block fits
//! before any operator, a cure takes what its operator takes, a trampoline has the type of its
//! function, what is added stands behind all that is named by number, every export stays (functions
//! that it named may be taken as references, and are declared in a segment where some are), and
//! only what nothing names is taken out.

use std::{collections::HashSet, ops::Range};

use wasm_encoder::{
    CodeSection, DataCountSection, DataSection, Encode, EntityType, ExportKind, ExportSection, Function, MemoryType,
    RawSection, RefType, Section, SectionId, TableType, ValType,
};
use wasmparser::ExternalKind;

use super::{
    cure,
    leb::leb,
    residue::{Cleaner, Residue},
    room::{Extra, has_room},
    survey::{Body, Edit, ExportFact, Growable, How, Survey},
};
use crate::{error::DeployError, limits::Limits, sys::Valid};

/// What the names of added exports begin with; a number that no guest export has, and a colon,
/// follow.
const PREFIX: &str = "dormouse:";

/// Locals of a function that zeroes cells; what needs more calls several. The interpreter takes
/// 30,000 at most.
pub(super) const ZEROED_MAX: u32 = 1 << 14;

/// What a trampoline burns before its function is entered: 1 for being entered itself, 1 for each
/// parameter and 1 for the call.
pub(crate) const fn trampoline_fuel(params: usize) -> u64 {
    params as u64 + 2
}

/// A rewritten module and where its additions are.
pub(crate) struct Rewritten {
    pub(crate) module: Valid,
    /// What it needs of the stack beyond what its guest may use.
    pub(crate) extra: Extra,
    /// The exports under the reserved prefix.
    pub(crate) globals: Vec<String>,
    pub(crate) tables: Vec<(u32, String)>,
    pub(crate) start: Option<String>,
    /// The table that the growth stubs call through; its entries are those of
    /// [`Survey::growables`].
    pub(crate) grow_table: Option<String>,
}

/// Rewrites a module that has been surveyed.
///
/// # Errors
/// `Refused` where it leaves no room for what is added, and where not all of its imports are
/// functions: who resolves them says so before.
pub(crate) fn rewrite(survey: &Survey<'_>) -> Result<Rewritten, DeployError> {
    let module = survey.module;
    let growables = survey.growables();
    let names = Names::of(survey, !growables.is_empty());
    let residue = Residue::of(survey);
    let zeroing = zeroing(&residue);
    has_room(survey, &names, growables.len(), zeroing.len(), residue.roots.len())?;
    // Memories become imports, which moves no index only then.
    if survey.imports.len() != survey.imported_functions as usize {
        return Err(DeployError::Refused { problem: "it imports more than functions".into() });
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

/// What each function that a module defines does to clean, each time that it is entered, beside its
/// own operators: calls of functions that zero cells, each of which costs 2 fuel, and operators of
/// 1.
///
/// # Errors
/// As a deployment that refuses the module for what it is.
pub fn cleaning(module: &[u8], limits: &Limits) -> Result<Vec<(u32, u32)>, DeployError> {
    let cleaners = Residue::of(&Survey::of(module, limits)?).cleaners;
    let costs = cleaners.iter().map(|cleaner| match *cleaner {
        None => (0, 0),
        Some(Cleaner::Copies(cells)) => (0, cells),
        Some(Cleaner::Calls(cells)) => (chained(cells), 0),
    });
    Ok(costs.collect())
}

/// The numbers of cells that functions are added for to zero them, ascending: powers of two up to
/// [`ZEROED_MAX`], and multiples of it.
fn zeroing(residue: &Residue) -> Vec<u32> {
    let mut sizes: Vec<u32> = called(residue).map(rounded).collect();
    let most = sizes.iter().copied().max().unwrap_or_default();
    // Each multiple calls the one before.
    sizes.extend((1..=most / ZEROED_MAX).map(|times| times * ZEROED_MAX));
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// The cells that each cleaner which calls has zeroed.
pub(super) fn called(residue: &Residue) -> impl Iterator<Item = u32> {
    residue.cleaners.iter().flatten().filter_map(|cleaner| match *cleaner {
        Cleaner::Calls(cells) => Some(cells),
        Cleaner::Copies(_) => None,
    })
}

/// Functions that zero so many cells by calling one another.
pub(super) fn chained(cells: u32) -> u32 {
    rounded(cells).div_ceil(ZEROED_MAX)
}

/// The least of these numbers that is no less than `cells`.
pub(super) fn rounded(cells: u32) -> u32 {
    if cells <= ZEROED_MAX { cells.next_power_of_two() } else { cells.next_multiple_of(ZEROED_MAX) }
}

/// Where a section stands in a module: not the order of the ids, as the data count section comes
/// before the code.
fn order(id: u8) -> u8 {
    const ORDER: [u8; 13] = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11];
    ORDER.iter().position(|other| *other == id).map_or(u8::MAX, |at| at as u8)
}

/// Names of the exports that are added.
pub(super) struct Names {
    globals: Vec<(u32, String)>,
    tables: Vec<(u32, String)>,
    start: Option<String>,
    grow_table: Option<String>,
}

impl Names {
    fn of(survey: &Survey<'_>, grows: bool) -> Self {
        // Numbered, not lengthened, so that a guest with long names costs no more than one look at
        // each.
        let numbered = |export: &ExportFact| export.name.strip_prefix(PREFIX)?.split_once(':')?.0.parse().ok();
        let taken: HashSet<usize> = survey.exports.iter().filter_map(numbered).collect();
        let free = (0..=taken.len()).find(|number| !taken.contains(number)).unwrap_or(taken.len());
        let prefix = format!("{PREFIX}{free}:");
        let marked = |flags: &[bool], kind: char| {
            let set = flags.iter().enumerate().filter(|(_, set)| **set);
            set.map(|(index, _)| (index as u32, format!("{prefix}{kind}{index}"))).collect()
        };
        Self {
            globals: marked(&survey.globals_written, 'g'),
            tables: marked(&survey.tables_written, 't'),
            start: survey.start.map(|_| format!("{prefix}start")),
            grow_table: grows.then(|| format!("{prefix}grow")),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.globals.len()
            + self.tables.len()
            + usize::from(self.start.is_some())
            + usize::from(self.grow_table.is_some())
    }
}

struct Writer<'a> {
    survey: &'a Survey<'a>,
    names: &'a Names,
    /// What has a stub, in their order.
    growables: Vec<Growable>,
    residue: Residue,
    /// Cells that each function which zeroes some has as locals, ascending.
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
            SectionId::Type if grows || !survey.block_types.is_empty() || !self.zeroing.is_empty() => {
                let mut added = Vec::new();
                for growable in &self.growables {
                    let (params, result) = growable.signature(survey);
                    added.push(0x60);
                    params[..].encode(&mut added);
                    [result][..].encode(&mut added);
                }
                let mut types: Vec<_> = survey.block_types.iter().collect();
                types.sort_unstable_by_key(|(_, number)| **number);
                for (ty, _) in types {
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

    /// Writes a section that is a vector, with `count` entries more at its end.
    fn append(&mut self, id: SectionId, range: Option<Range<usize>>, count: u32, added: &[u8]) {
        let old = range.map_or(&[0u8][..], |range| &self.survey.module[range]);
        let (had, entries) = leb(old);
        let mut data = Vec::with_capacity(old.len() + added.len() + 5);
        (had + count).encode(&mut data);
        data.extend_from_slice(&old[entries..]);
        data.extend_from_slice(added);
        self.put(&RawSection { id: id as u8, data: &data });
    }

    /// Index of the type of a stub; each has its own.
    fn stub_type(&self, stub: u32) -> u32 {
        self.survey.types.len() as u32 + stub
    }

    fn adds_functions(&self) -> bool {
        !(self.growables.is_empty() && self.zeroing.is_empty() && self.residue.roots.is_empty())
    }

    /// Index of the function that zeroes so many cells, which are among [`Writer::zeroing`].
    fn zeroes(&self, cells: u32) -> u32 {
        let at = self.zeroing.partition_point(|size| *size < cells);
        (self.survey.functions.len() + self.growables.len() + at) as u32
    }

    /// Index of the trampoline of a root.
    fn trampoline(&self, index: u32) -> u32 {
        let at = self.residue.roots.partition_point(|(root, _)| *root < index);
        (self.survey.functions.len() + self.growables.len() + self.zeroing.len() + at) as u32
    }

    /// The code section: bodies as they are except for what changes in them, and the functions that
    /// are added.
    fn code(&mut self) {
        let survey = self.survey;
        let mut section = CodeSection::new();
        let mut written = Vec::new();
        for (body, cleaner) in survey.bodies.iter().zip(&self.residue.cleaners) {
            let edits = survey.edits_of(body);
            if edits.is_empty() && cleaner.is_none() {
                section.raw(&survey.module[body.bytes.clone()]);
            } else {
                written.clear();
                self.body(body, edits, *cleaner, &mut written);
                section.raw(&written);
            }
        }
        for (stub, growable) in self.growables.iter().enumerate() {
            let mut function = Function::new([]);
            let mut code = function.instructions();
            for param in 0..growable.signature(survey).0.len() as u32 {
                code.local_get(param);
            }
            code.i32_const(stub as i32).call_indirect(survey.tables.len() as u32, self.stub_type(stub as u32)).end();
            section.function(&function);
        }
        for cells in &self.zeroing {
            // The interpreter zeroes its locals, which are all that it has.
            let mut function = Function::new([((*cells).min(ZEROED_MAX), ValType::I64)]);
            if *cells > ZEROED_MAX {
                function.instructions().call(self.zeroes(cells - ZEROED_MAX));
            }
            function.instructions().end();
            section.function(&function);
        }
        for (index, cells) in &self.residue.roots {
            let mut function = Function::new([(*cells, ValType::I64)]);
            let mut code = function.instructions();
            for param in 0..survey.function_type(*index).params().len() as u32 {
                code.local_get(param);
            }
            // Not all functions of the host can be tail-called: see the survey.
            if *index < survey.imported_functions { code.call(*index) } else { code.return_call(*index) }.end();
            section.function(&function);
        }
        self.put(&section);
    }

    /// Writes a body in which something changes.
    fn body(&self, body: &Body, edits: &[Edit], cleaner: Option<Cleaner>, out: &mut Vec<u8>) {
        let module = self.survey.module;
        let mut copied = body.bytes.start;
        if let Some(cleaner) = cleaner {
            copied = body.operators;
            match cleaner {
                Cleaner::Calls(cells) => {
                    out.extend_from_slice(&module[body.bytes.start..body.operators]);
                    out.push(0x10); // call
                    self.zeroes(rounded(cells)).encode(out);
                }
                Cleaner::Copies(cells) => {
                    // One group of locals more, of one i64 that the interpreter zeroes.
                    let (groups, len) = leb(&module[body.bytes.start..]);
                    (groups + 1).encode(out);
                    out.extend_from_slice(&module[body.bytes.start + len..body.operators]);
                    out.extend([1, 0x7e]);
                    for _ in 0..cells {
                        out.push(0x20); // local.get
                        body.locals.encode(out);
                    }
                    // An empty block has locals that stand among the operands copied to their
                    // cells.
                    out.extend([0x02, 0x40, 0x0b]); // block end
                    out.resize(out.len() + cells as usize, 0x1a); // drop
                }
            }
        }
        for Edit { at, how } in edits {
            out.extend_from_slice(&module[copied..*at]);
            copied = match how {
                How::Grow(what) => {
                    // All of them are among the growables.
                    let stub = self.growables.partition_point(|growable| growable < what);
                    out.push(0x10); // call
                    (self.survey.functions.len() as u32 + stub as u32).encode(out);
                    self.after(*at, *what)
                }
                How::Cure(cure) => cure.write(module, *at, self.stub_type(self.growables.len() as u32), out),
            };
        }
        out.extend_from_slice(&module[copied..body.bytes.end]);
    }

    /// Where an operator that grows something ends: a byte, for a table a number after it, and the
    /// index of what it grows.
    fn after(&self, at: usize, what: Growable) -> usize {
        let numbers = match what {
            Growable::Memory(_) => 1,
            Growable::Table(_) => 2,
        };
        (0..numbers).fold(at + 1, |at, _| at + leb(&self.survey.module[at..]).1)
    }
}

impl Growable {
    /// Parameters and result of the operator that grows it.
    fn signature(self, survey: &Survey<'_>) -> (Vec<ValType>, ValType) {
        let address = |wide| if wide { ValType::I64 } else { ValType::I32 };
        match self {
            Self::Memory(index) => {
                let delta = address(survey.memories[index as usize].ty.memory64);
                (vec![delta], delta)
            }
            Self::Table(index) => {
                let table = &survey.tables[index as usize];
                let delta = address(table.table64);
                // No other references are on.
                let element = if table.element_type.is_extern_ref() { RefType::EXTERNREF } else { RefType::FUNCREF };
                (vec![ValType::Ref(element), delta], delta)
            }
        }
    }

    /// What its stub burns on the way to the host, which gives it back: 1 for being entered, and 1
    /// each for every `local.get`, `i32.const` and `call_indirect`.
    pub(crate) fn stub_fuel(self) -> u64 {
        match self {
            Self::Memory(_) => 4,
            Self::Table(_) => 5,
        }
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
    use crate::module::engine;

    /// What the interpreter's own validator says of the module once it is rewritten; none if the
    /// survey refuses it as it is.
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

    /// Else its memories would be imported under other indices.
    #[test]
    fn a_module_that_imports_more_than_functions_is_refused() {
        let module = wat::parse_str(r#"(module (import "a" "memory" (memory 1)) (memory 1))"#).unwrap();
        let survey = Survey::of(&module, &Limits::default()).unwrap();
        assert!(matches!(rewrite(&survey), Err(DeployError::Refused { .. })));
    }

    /// Numbers may take more bytes than they need (WebAssembly core specification, 5.2.2), that
    /// behind a prefix as well.
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
