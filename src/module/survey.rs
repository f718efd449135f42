//! What a module can touch: validated and noted in one pass over its bytes.
//!
//! Invariant: nothing is indexed, counted on or kept before the validator has accepted it, and every count is held
//! against its limit before anything of that size is made.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
};

use wasmparser::{
    BinaryReaderError, BlockType, CompositeInnerType, DataKind, ElementItems, ExternalKind, FrameKind, FuncType,
    FuncValidator, FuncValidatorAllocations, GlobalType, MemoryType, Operator, Parser, Payload, TableType, TypeRef,
    ValidPayload, Validator, ValidatorResources, WasmFeatures,
};

use super::{
    cure::{Cure, may_take_operands, selects_safely},
    engine::{PROPOSALS, features},
    expression::{constant, referenced},
    residue::{Callee, callee, dedup},
};
use crate::{
    error::{Bound, DeployError, cut},
    limits::Limits,
};

/// Operands that one function may have on its stack. The interpreter numbers them with 16 bits; the validator keeps them
/// all, and two bytes of code, the call of a function with 1,000 results, add 1,000: 1 MiB of them would take 2 GB.
const OPERANDS_MAX: u32 = u16::MAX as u32;

/// Operands that the operators of a module may move altogether, and as many more for each of its bytes. Three bytes, a block
/// of a type with 1,000 parameters and 1,000 results, make the validator move 4,000: 1 MiB of them takes most of a minute,
/// which no fuel pays for. Code as compilers make it moves fewer than three a byte.
const MOVES_MAX: u64 = 4_000_000;
const MOVES_PER_BYTE: u64 = 8;

/// Parameters and results of a type up to which its operators need not be counted: the most that a byte of code moves is
/// then of the order of [`MOVES_PER_BYTE`].
const NARROW_MAX: usize = 16;

/// A module, and the facts about it. Byte ranges are offsets in the module as it was given.
#[derive(Default)]
pub(crate) struct Survey<'a> {
    /// Its bytes, which are valid.
    pub(crate) module: &'a [u8],
    /// Sections in their order, custom ones left out: id and the bytes of their content.
    pub(crate) sections: Vec<(u8, Range<usize>)>,
    pub(crate) types: Vec<FuncType>,
    /// Type index of each function, imported ones first.
    pub(crate) functions: Vec<u32>,
    pub(crate) imports: Vec<ImportFact>,
    /// Imports that are functions.
    pub(crate) imported_functions: u32,
    pub(crate) tables: Vec<TableType>,
    pub(crate) tables_written: Vec<bool>,
    /// Element segments, and the entries of all of them.
    pub(crate) segments: u32,
    pub(crate) elements: u64,
    pub(crate) memories: Vec<MemoryFact>,
    pub(crate) globals: Vec<GlobalType>,
    pub(crate) globals_written: Vec<bool>,
    pub(crate) exports: Vec<ExportFact>,
    pub(crate) start: Option<u32>,
    pub(crate) data: Vec<DataFact>,
    /// One more than the highest data segment that an operator names: these numbers must keep their meaning.
    pub(crate) data_named: u32,
    /// A passive data segment or an element segment can be dropped, which cannot be seen or undone.
    pub(crate) drops_segments: bool,
    /// Operators that are not copied as they are, ascending by their offsets.
    pub(crate) edits: Vec<Edit>,
    /// Types of the blocks that cures add, with their numbers.
    pub(crate) block_types: HashMap<FuncType, u32>,
    /// The body of each defined function.
    pub(crate) bodies: Vec<Body>,
    /// What bodies call, each once a body: see [`Body::callees`].
    pub(crate) callees: Vec<Callee>,
    /// Functions that a table may hold, as far as the module says: hosts put none there.
    pub(crate) taken: BTreeSet<u32>,
    /// Some code takes a reference of a function, which must be declared outside of code.
    pub(crate) takes_references: bool,
}

/// The body of a function.
pub(crate) struct Body {
    /// Its bytes, the length prefix left out.
    pub(crate) bytes: Range<usize>,
    /// The offset of its first operator.
    pub(crate) operators: usize,
    /// Its locals, parameters among them, and the most operands that it has on its stack.
    pub(crate) locals: u32,
    pub(crate) operands: u32,
    /// What it calls, in [`Survey::callees`].
    pub(crate) callees: Range<usize>,
}

pub(crate) struct ImportFact {
    pub(crate) module: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) ty: TypeRef,
}

pub(crate) struct ExportFact {
    pub(crate) name: Box<str>,
    pub(crate) kind: ExternalKind,
    pub(crate) index: u32,
}

#[derive(Clone)]
pub(crate) struct MemoryFact {
    pub(crate) ty: MemoryType,
    /// An operator stores to it; hosts may write to it all the same.
    pub(crate) written: bool,
}

impl MemoryFact {
    /// Bytes of a page, as a power of two.
    pub(crate) fn page_log2(&self) -> u32 {
        self.ty.page_size_log2.unwrap_or(16)
    }

    /// Bytes that it has to begin with.
    pub(crate) fn initial_bytes(&self) -> u64 {
        u64::try_from(u128::from(self.ty.initial) << self.page_log2()).unwrap_or(u64::MAX)
    }
}

/// A data segment: where an active one goes, and its bytes.
pub(crate) struct DataFact {
    pub(crate) active: Option<(u32, u64)>,
    pub(crate) bytes: Range<usize>,
}

/// An operator that the rewriting changes: its offset, and how.
pub(crate) struct Edit {
    pub(crate) at: usize,
    pub(crate) how: How,
}

/// How an operator is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// It grows this, and becomes a call of a stub.
    Grow(Growable),
    /// The interpreter mistranslates it as it is.
    Cure(Cure),
}

/// What code can make larger, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Growable {
    Memory(u32),
    Table(u32),
}

impl<'a> Survey<'a> {
    /// Validates the module and notes what it can touch, within the limits.
    pub(crate) fn of(bytes: &'a [u8], limits: &Limits) -> Result<Self, DeployError> {
        within(Bound::ModuleBytes, bytes.len() as u64, limits.module_bytes)?;
        Surveyor::new(features(), limits, bytes).run().map_err(|refusal| match refusal {
            Refusal::Limit(error) => error,
            Refusal::Invalid(error) => explain(bytes, limits, &error),
        })
    }

    /// The type of a function by its index.
    pub(crate) fn function_type(&self, index: u32) -> &FuncType {
        &self.types[self.functions[index as usize] as usize]
    }

    /// What code can make larger, each once: memories first, then tables.
    pub(crate) fn growables(&self) -> Vec<Growable> {
        let grown = self.edits.iter().filter_map(|edit| match edit.how {
            How::Grow(growable) => Some(growable),
            How::Cure(_) => None,
        });
        let all: BTreeSet<Growable> = grown.collect();
        all.into_iter().collect()
    }

    /// What is changed in a body.
    pub(crate) fn edits_of(&self, body: &Body) -> &[Edit] {
        let within = |offset| self.edits.partition_point(|edit| edit.at < offset);
        &self.edits[within(body.bytes.start)..within(body.bytes.end)]
    }

    /// Whether instances differ in tables or reference globals that code can change, whose contents belong to one
    /// store and cannot be carried over in an image.
    pub(crate) fn changes_references(&self) -> bool {
        self.tables_written.contains(&true)
            || self
                .globals
                .iter()
                .zip(&self.globals_written)
                .any(|(ty, written)| *written && ty.content_type.is_reference_type())
    }
}

/// Why a survey ended early.
enum Refusal {
    Limit(DeployError),
    Invalid(BinaryReaderError),
}

impl From<BinaryReaderError> for Refusal {
    fn from(error: BinaryReaderError) -> Self {
        Self::Invalid(error)
    }
}

impl From<DeployError> for Refusal {
    fn from(error: DeployError) -> Self {
        Self::Limit(error)
    }
}

/// Says why an invalid module is invalid: for want of a proposal, if turning one on gets the validator further.
fn explain(bytes: &[u8], limits: &Limits, error: &BinaryReaderError) -> DeployError {
    // Layer 1 instead of 0, of any version: the parser takes the number for an unknown one.
    if matches!(bytes, [b'\0', b'a', b's', b'm', _, _, 1, 0, ..]) {
        let problem = "this is a component; deploy the core module inside it".into();
        return DeployError::InvalidModule { offset: 4, problem };
    }
    // Without the feature `simd` the parser does not know the operators, whatever the validator is told.
    let simd = error.message().starts_with("unexpected SIMD opcode");
    let further = |features| match Surveyor::new(features, limits, bytes).run() {
        Ok(_) | Err(Refusal::Limit(_)) => true,
        Err(Refusal::Invalid(other)) => other.offset() > error.offset(),
    };
    // All at once first: most modules are invalid for another reason, and large ones take their time.
    let all = PROPOSALS.iter().fold(features(), |all, (feature, ..)| all | *feature);
    let proposals = if simd || further(all) { PROPOSALS } else { &[] };
    for &(feature, proposal, remedy) in proposals {
        if simd && feature == WasmFeatures::SIMD {
            return DeployError::MissingProposal { proposal, offset: error.offset(), remedy };
        }
        if !features().contains(feature) && further(features() | feature) {
            return DeployError::MissingProposal { proposal, offset: error.offset(), remedy };
        }
    }
    let problem = match bytes {
        // It can name exports and imports, at any length.
        [b'\0', b'a', b's', b'm', ..] => cut(error.message()),
        _ if std::str::from_utf8(bytes).is_ok_and(|text| text.trim_start().starts_with(['(', ';'])) => {
            "this is the text format; turn it into a binary first, with wat2wasm or the crate wat".into()
        }
        [] => "there are no bytes at all, where a module begins with 00 61 73 6d".into(),
        _ => {
            let begin: Vec<_> = bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            format!("a module begins with the bytes 00 61 73 6d, this one with {}", begin.join(" ")).into()
        }
    };
    DeployError::InvalidModule { offset: error.offset(), problem }
}

/// `Ok` if `found` is not above `limit`.
fn within(bound: Bound, found: u64, limit: u64) -> Result<(), DeployError> {
    if found > limit { Err(DeployError::TooLarge { bound, found, limit }) } else { Ok(()) }
}

/// One pass over a module.
struct Surveyor<'a, 'l> {
    survey: Survey<'a>,
    limits: &'l Limits,
    features: WasmFeatures,
    validator: Validator,
    allocations: FuncValidatorAllocations,
    /// Whether `data.drop` names a data segment; their kinds are known only after the code.
    dropped: Vec<bool>,
    /// A function without parameters and results is imported.
    imports_bare: bool,
    /// Some function type has so many parameters and results that operators of that type must be paid for.
    wide: bool,
    /// What is left of [`MOVES_MAX`].
    moves: u64,
}

impl<'a, 'l> Surveyor<'a, 'l> {
    fn new(features: WasmFeatures, limits: &'l Limits, module: &'a [u8]) -> Self {
        Self {
            survey: Survey { module, ..Survey::default() },
            limits,
            features,
            validator: Validator::new_with_features(features),
            allocations: FuncValidatorAllocations::default(),
            dropped: Vec::new(),
            imports_bare: false,
            wide: false,
            moves: MOVES_MAX,
        }
    }

    fn run(mut self) -> Result<Survey<'a>, Refusal> {
        let bytes = self.survey.module;
        let mut parser = Parser::new(0);
        parser.set_features(self.features);
        self.moves += MOVES_PER_BYTE * bytes.len() as u64;
        for payload in parser.parse_all(bytes) {
            let payload = payload?;
            self.count(&payload)?;
            match self.validator.payload(&payload)? {
                ValidPayload::Func(function, body) => {
                    // Bodies are in the order of the defined functions, and the validator has counted them.
                    let index = self.survey.imported_functions + self.survey.bodies.len() as u32;
                    let mut validator = function.into_validator(std::mem::take(&mut self.allocations));
                    let mut declared = body.get_locals_reader()?;
                    let mut locals = 0u64;
                    for _ in 0..declared.get_count() {
                        let offset = declared.original_position();
                        let (count, ty) = declared.read()?;
                        locals += u64::from(count);
                        within(Bound::Locals, locals, u64::from(self.limits.locals))?;
                        validator.define_locals(offset, count, ty)?;
                    }
                    let mut operators = body.get_operators_reader()?;
                    let begins = operators.original_position();
                    let called = self.survey.callees.len();
                    let mut operands = 0;
                    let mut before = 0;
                    while !operators.eof() {
                        let at = operators.original_position();
                        let previous = std::mem::replace(&mut before, bytes[at]);
                        if let Some(callee) = callee(&bytes[at..]) {
                            self.survey.callees.push(callee);
                        }
                        // Most operators only need to be validated, which is faster without making an `Operator` of them.
                        if !self.wide && !self.is_notable(&bytes[at..], previous) {
                            operators.visit_operator(&mut validator.visitor(at))??;
                            operands = operands.max(bounded(&validator, index, at)?);
                            continue;
                        }
                        let operator = operators.read()?;
                        // A target is one byte, and moves as much as a branch.
                        if self.wide || matches!(operator, Operator::BrTable { .. }) {
                            let frame =
                                |depth| validator.get_control_frame(depth as usize).map(|f| (f.kind, f.block_type));
                            self.spend(&operator, index, at, frame)?;
                        }
                        // Looked at before the validator takes the operands away; kept once it has accepted the operator.
                        let cure = self.survey.cure(&operator, at, previous, &validator)?;
                        validator.op(at, &operator)?;
                        self.note(&operator, index, at)?;
                        if let Some(cure) = cure {
                            self.survey.edits.push(Edit { at, how: How::Cure(cure) });
                        }
                        operands = operands.max(bounded(&validator, index, at)?);
                    }
                    validator.finish(operators.original_position())?;
                    let callees = dedup(&mut self.survey.callees, called);
                    let (bytes, locals) = (body.range(), validator.len_locals());
                    self.survey.bodies.push(Body { bytes, operators: begins, locals, operands, callees });
                    self.allocations = validator.into_allocations();
                }
                _ => self.read(payload)?,
            }
        }
        let Self { mut survey, dropped, .. } = self;
        // Dropping an active segment again changes nothing: it was dropped when it was applied.
        survey.drops_segments |=
            survey.data.iter().zip(&dropped).any(|(data, &dropped)| dropped && data.active.is_none());
        Ok(survey)
    }

    /// Whether the operator that these bytes begin with has something to it that is noted or counted: `br_table`, tail calls,
    /// references of functions, writes to globals, tables and memories, growth, what may need a spill, and all that have a prefix.
    fn is_notable(&self, bytes: &[u8], previous: u8) -> bool {
        match bytes[0] {
            opcode @ 0x36..=0x3e => {
                let is_known = matches!(&self.survey.memories[..], [memory] if memory.written);
                // An offset of less than three bytes is not far. Any other is read, and so is what stands behind flags.
                let is_near = matches!(bytes, [_, ..0x40, low, high, ..] if low & 0x80 == 0 || high & 0x80 == 0);
                !is_known || !(is_near || matches!(opcode, 0x38 | 0x39))
            }
            0x02..=0x04 => bytes.get(1).is_none_or(|first| may_take_operands(*first)),
            0x1b | 0x1c => !selects_safely(previous),
            0x0e | 0x12 | 0x13 | 0x24 | 0x26 | 0x40 | 0xd2 | 0xe0.. => true,
            _ => false,
        }
    }

    /// Holds the counts that a payload announces against the limits, before the validator reserves room for them.
    fn count(&self, payload: &Payload<'_>) -> Result<(), Refusal> {
        let limits = self.limits;
        let (bound, found, limit) = match payload {
            Payload::TypeSection(section) => (Bound::Types, section.count(), limits.types),
            Payload::ImportSection(section) => (Bound::Imports, section.count(), limits.imports),
            Payload::FunctionSection(section) => {
                (Bound::Functions, section.count().saturating_add(self.survey.imported_functions), limits.functions)
            }
            Payload::TableSection(section) => (Bound::Tables, section.count(), limits.tables),
            Payload::MemorySection(section) => (Bound::Memories, section.count(), limits.memories),
            Payload::GlobalSection(section) => (Bound::Globals, section.count(), limits.globals),
            Payload::ExportSection(section) => (Bound::Exports, section.count(), limits.exports),
            Payload::ElementSection(section) => (Bound::ElementSegments, section.count(), limits.element_segments),
            Payload::DataCountSection { count, .. } => (Bound::DataSegments, *count, limits.data_segments),
            Payload::DataSection(section) => (Bound::DataSegments, section.count(), limits.data_segments),
            Payload::CodeSectionEntry(body) => {
                let range = body.range();
                (Bound::BodyBytes, u32::try_from(range.len()).unwrap_or(u32::MAX), limits.body_bytes)
            }
            _ => return Ok(()),
        };
        Ok(within(bound, u64::from(found), u64::from(limit))?)
    }

    /// Notes a section that the validator has accepted.
    fn read(&mut self, payload: Payload<'_>) -> Result<(), Refusal> {
        let survey = &mut self.survey;
        if let Some((id, range)) = payload.as_section() {
            // A custom section has the id 0.
            if id != 0 {
                survey.sections.push((id, range));
            }
        }
        match payload {
            Payload::TypeSection(section) => {
                for group in section {
                    for ty in group?.into_types() {
                        match ty.composite_type.inner {
                            CompositeInnerType::Func(ty) => {
                                self.wide |= ty.params().len() + ty.results().len() > NARROW_MAX;
                                survey.types.push(ty);
                            }
                            // The proposals that have other types are off; with them on, to explain a refusal, the
                            // survey only needs to get further.
                            _ => survey.types.push(FuncType::new([], [])),
                        }
                    }
                }
            }
            Payload::ImportSection(section) => {
                for import in section {
                    let import = import?;
                    match import.ty {
                        TypeRef::Func(ty) => {
                            self.imports_bare |= is_bare(&survey.types[ty as usize]);
                            survey.functions.push(ty);
                            survey.imported_functions += 1;
                        }
                        TypeRef::Table(ty) => survey.tables.push(ty),
                        TypeRef::Memory(ty) => survey.memories.push(MemoryFact { ty, written: false }),
                        TypeRef::Global(ty) => survey.globals.push(ty),
                        TypeRef::Tag(_) => {}
                    }
                    survey.imports.push(ImportFact {
                        module: import.module.into(),
                        name: import.name.into(),
                        ty: import.ty,
                    });
                }
                // Without a function section nothing else would count them.
                within(Bound::Functions, u64::from(survey.imported_functions), u64::from(self.limits.functions))?;
            }
            Payload::FunctionSection(section) => {
                for ty in section {
                    survey.functions.push(ty?);
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    survey.tables.push(table?.ty);
                }
                let elements = survey.tables.iter().fold(0u64, |sum, ty| sum.saturating_add(ty.initial));
                within(Bound::TableElements, elements, self.limits.table_elements)?;
            }
            Payload::MemorySection(section) => {
                for ty in section {
                    survey.memories.push(MemoryFact { ty: ty?, written: false });
                }
                let bytes = survey.memories.iter().fold(0u64, |sum, memory| sum.saturating_add(memory.initial_bytes()));
                within(Bound::Memory, bytes, self.limits.memory)?;
            }
            Payload::GlobalSection(section) => {
                for global in section {
                    let global = global?;
                    survey.globals.push(global.ty);
                    survey.taken.extend(referenced(&global.init_expr)?);
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    // A function that is exported may be taken as a reference.
                    if export.kind == ExternalKind::Func {
                        survey.taken.insert(export.index);
                    }
                    survey.exports.push(ExportFact {
                        name: export.name.into(),
                        kind: export.kind,
                        index: export.index,
                    });
                }
            }
            Payload::ElementSection(section) => {
                survey.segments = section.count();
                for segment in section {
                    match segment?.items {
                        ElementItems::Functions(items) => {
                            survey.elements += u64::from(items.count());
                            for function in items {
                                survey.taken.insert(function?);
                            }
                        }
                        ElementItems::Expressions(_, items) => {
                            survey.elements += u64::from(items.count());
                            for item in items {
                                survey.taken.extend(referenced(&item?)?);
                            }
                        }
                    }
                }
            }
            Payload::StartSection { func, .. } => survey.start = Some(func),
            Payload::DataSection(section) => {
                for data in section {
                    let data = data?;
                    let active = match data.kind {
                        DataKind::Passive => None,
                        DataKind::Active { memory_index, offset_expr } => Some((memory_index, constant(&offset_expr)?)),
                    };
                    // The payload stands at the end of the segment.
                    let bytes = data.range.end - data.data.len()..data.range.end;
                    survey.data.push(DataFact { active, bytes });
                }
            }
            _ => {}
        }
        if survey.tables_written.len() < survey.tables.len() {
            survey.tables_written.resize(survey.tables.len(), false);
        }
        if survey.globals_written.len() < survey.globals.len() {
            survey.globals_written.resize(survey.globals.len(), false);
        }
        Ok(())
    }

    /// Pays for the operands that an operator moves, before the validator moves them. Nothing is validated yet.
    fn spend(
        &mut self,
        operator: &Operator<'_>,
        function: u32,
        at: usize,
        frame: impl Fn(u32) -> Option<(FrameKind, BlockType)>,
    ) -> Result<(), Refusal> {
        use Operator as Op;
        let survey = &self.survey;
        let ty = |index: u32| survey.types.get(index as usize);
        let both = |index: u32| ty(index).map_or(0, |ty| (ty.params().len() + ty.results().len()) as u64);
        let label = |depth: u32| match frame(depth) {
            Some((FrameKind::Loop, BlockType::FuncType(index))) => ty(index).map_or(0, |ty| ty.params().len() as u64),
            Some((_, BlockType::FuncType(index))) => ty(index).map_or(0, |ty| ty.results().len() as u64),
            _ => 1,
        };
        let moves = match operator {
            // Once when it begins, once when it ends.
            Op::Block { blockty: BlockType::FuncType(index) }
            | Op::Loop { blockty: BlockType::FuncType(index) }
            | Op::If { blockty: BlockType::FuncType(index) } => 2 * both(*index),
            Op::CallIndirect { type_index, .. } | Op::ReturnCallIndirect { type_index, .. } => both(*type_index),
            Op::Call { function_index } | Op::ReturnCall { function_index } => {
                survey.functions.get(*function_index as usize).map_or(0, |index| both(*index))
            }
            Op::Br { relative_depth } | Op::BrIf { relative_depth } => 2 * label(*relative_depth),
            Op::BrTable { targets } => {
                targets.targets().filter_map(Result::ok).map(|depth| 2 * label(depth)).fold(0, u64::saturating_add)
            }
            Op::Return => survey.functions.get(function as usize).map_or(0, |index| both(*index)),
            _ => return Ok(()),
        };
        match self.moves.checked_sub(moves) {
            Some(left) => self.moves = left,
            None => {
                let problem = format!(
                    "its operators move more than {MOVES_MAX} operands, and {MOVES_PER_BYTE} for each byte, by function {function} (at byte {at}); \
                     use types with fewer parameters and results"
                );
                return Err(DeployError::Refused { problem: problem.into() }.into());
            }
        }
        Ok(())
    }

    /// Notes what a validated operator can change.
    fn note(&mut self, operator: &Operator<'_>, function: u32, at: usize) -> Result<(), Refusal> {
        use Operator as Op;
        let survey = &mut self.survey;
        match *operator {
            Op::GlobalSet { global_index } => survey.globals_written[global_index as usize] = true,
            Op::TableSet { table }
            | Op::TableFill { table }
            | Op::TableInit { table, .. }
            | Op::TableCopy { dst_table: table, .. } => survey.tables_written[table as usize] = true,
            // wasmi 2.0.0 then returns to the caller with a dangling stack pointer, which a caller without locals uses.
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
                // Below the count of the data count section, which the validator checked and a limit bounds.
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

/// The operands that a function has on its stack; `Err` where they are more than can be translated.
fn bounded(validator: &FuncValidator<ValidatorResources>, function: u32, at: usize) -> Result<u32, Refusal> {
    let operands = validator.operand_stack_height();
    if operands <= OPERANDS_MAX {
        return Ok(operands);
    }
    let problem = format!(
        "function {function} puts more than {OPERANDS_MAX} operands on its stack (at byte {at}), which the interpreter cannot translate"
    );
    Err(DeployError::Refused { problem: problem.into() }.into())
}

/// Whether a function has neither parameters nor results.
fn is_bare(ty: &FuncType) -> bool {
    ty.params().is_empty() && ty.results().is_empty()
}

#[cold]
fn bare_tail_call(function: u32, at: usize) -> Refusal {
    let problem = format!(
        "function {function} makes a tail call (at byte {at}) that may reach an imported function without parameters and \
         results, after which the interpreter uses memory that is not its own; use an ordinary call"
    );
    DeployError::Refused { problem: problem.into() }.into()
}
