//! The compiled module, with its exports known.

use wasmi::{Config, Engine, Module, Ref};
use wasmparser::{ExternalKind, FuncType, ValType};

use super::{
    engine,
    rewrite::rewrite,
    survey::{Growable, MemoryFact, Survey},
};
use crate::{
    error::{DeployError, InvokeErrorKind},
    limits::Limits,
    sys::Valid,
    text::{cut, signature},
    value::ValueType,
};

/// Bytes of an element of a table or a segment.
pub(crate) const ELEMENT_BYTES: u64 = 4;

/// Bytes of an element of a table that code changes: its own, as many that growing reserves ahead, and the reference that
/// each instance keeps to restore it.
pub(crate) const WRITTEN_ELEMENT_BYTES: u64 = 2 * ELEMENT_BYTES + size_of::<Ref>() as u64;

/// A module ready to be instantiated any number of times.
pub(crate) struct Prepared {
    /// The rewritten module and how the interpreter is set up for it: what [`Code`] is made from.
    rewritten: Valid,
    config: Config,
    /// How many functions it imports.
    pub(crate) imports: usize,
    pub(crate) memories: Vec<MemoryFact>,
    /// The memory that hosts read and write: the export `memory`, or else the first memory that is exported.
    pub(crate) main_memory: Option<usize>,
    /// The exported functions, ordered by name. An instance keeps its handles in the same order.
    pub(crate) exports: Box<[Export]>,
    /// Exports of the rewritten module: globals that code writes, tables that it changes with their indices, the
    /// start function, the table of growth functions.
    pub(crate) globals: Vec<String>,
    pub(crate) tables: Vec<(u32, String)>,
    pub(crate) start: Option<String>,
    pub(crate) grow_table: Option<String>,
    /// What code can make larger: the entries of that table.
    pub(crate) growables: Vec<Growable>,
    /// Functions that the module defines.
    pub(crate) functions: u32,
    /// Elements of all tables.
    pub(crate) table_elements: u64,
    /// Bytes of all tables and element segments: what each instance has its own of.
    pub(crate) element_bytes: u64,
    /// Globals that the module defines.
    pub(crate) globals_defined: u64,
    /// A segment may have been dropped in any run: instances are used once.
    pub(crate) drops_segments: bool,
    /// Tables, references and dropped segments belong to one store and are in no image: where code changes them, each
    /// new instance runs initialisation again.
    pub(crate) reinitialises: bool,
}

/// An exported function.
pub(crate) struct Export {
    pub(crate) name: Box<str>,
    pub(crate) ty: FuncType,
}

/// A compiled module and the engine that runs it: code is translated when it is first called. Threads that share an engine
/// fight over its reference count and its stacks in every call (two threads gave 1.55 times one, with an engine each 2.0), so
/// a version has several; instances are made of one and stay with it.
pub(crate) struct Code {
    pub(crate) engine: Engine,
    pub(crate) module: Module,
}

impl Export {
    /// Whether the function has exactly this type.
    pub(crate) fn is(&self, params: &[ValType], results: &[ValType]) -> bool {
        self.ty.params() == params && self.ty.results() == results
    }

    /// Whether hosts can call it: all its parameters and results are numbers.
    pub(crate) fn is_scalar(&self) -> bool {
        self.ty.params().iter().chain(self.ty.results()).all(|ty| scalar(*ty).is_some())
    }

    pub(crate) fn signature(&self) -> String {
        signature(self.ty.params(), self.ty.results())
    }
}

/// The type of a number, none for vectors and references.
pub(crate) fn scalar(ty: ValType) -> Option<ValueType> {
    match ty {
        ValType::I32 => Some(ValueType::I32),
        ValType::I64 => Some(ValueType::I64),
        ValType::F32 => Some(ValueType::F32),
        ValType::F64 => Some(ValueType::F64),
        ValType::V128 | ValType::Ref(_) => None,
    }
}

impl Prepared {
    /// Rewrites a surveyed module, whose imports are functions that somebody provides.
    pub(crate) fn new(survey: &Survey<'_>, limits: &Limits, stacks: usize) -> Result<Self, DeployError> {
        let rewritten = rewrite(survey)?;
        let functions = survey.exports.iter().filter(|export| export.kind == ExternalKind::Func);
        let mut exports: Box<[_]> = functions
            .map(|export| Export { name: export.name.clone(), ty: survey.function_type(export.index).clone() })
            .collect();
        exports.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let mut memories = survey.exports.iter().filter(|export| export.kind == ExternalKind::Memory);
        let main_memory = memories
            .clone()
            .find(|export| &*export.name == "memory")
            .or_else(|| memories.next())
            .map(|export| export.index as usize);
        Ok(Self {
            rewritten: rewritten.module,
            config: engine::config(limits, stacks, rewritten.extra),
            imports: survey.imports.len(),
            memories: survey.memories.clone(),
            main_memory,
            exports,
            globals: rewritten.globals,
            tables: rewritten.tables,
            start: rewritten.start,
            grow_table: rewritten.grow_table,
            growables: survey.growables(),
            functions: survey.bodies.len() as u32,
            table_elements: survey.tables.iter().fold(0, |sum: u64, table| sum.saturating_add(table.initial)),
            element_bytes: element_bytes(survey),
            globals_defined: survey.globals.len() as u64,
            drops_segments: survey.drops_segments,
            reinitialises: survey.drops_segments || survey.changes_references(),
        })
    }

    /// Compiles the module, lazily, in an engine of its own.
    ///
    /// # Errors
    /// What the interpreter says where it refuses the module; once it has taken it, it always does.
    pub(crate) fn compile(&self) -> Result<Code, Box<str>> {
        let engine = Engine::new(&self.config);
        let module = self.rewritten.compile(&engine).map_err(|error| cut(&error.to_string()))?;
        Ok(Code { engine, module })
    }

    /// Finds an exported function and its number among them.
    pub(crate) fn export(&self, name: &str) -> Option<(usize, &Export)> {
        let slot = self.exports.binary_search_by(|export| (*export.name).cmp(name)).ok()?;
        Some((slot, &self.exports[slot]))
    }

    /// The error for a function that the module does not export.
    #[cold]
    pub(crate) fn no_such_export(&self, name: &str) -> InvokeErrorKind {
        const SHOWN_MAX: usize = 20;
        let names: Vec<&str> = self.exports.iter().map(|export| &*export.name).take(SHOWN_MAX).collect();
        let mut exports = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        if let Some(more @ 1..) = self.exports.len().checked_sub(SHOWN_MAX) {
            exports.push_str(&format!(" and {more} more"));
        }
        InvokeErrorKind::NoSuchExport { name: cut(name), exports: cut(&exports) }
    }
}

/// Bytes of the tables and element segments of an instance.
fn element_bytes(survey: &Survey<'_>) -> u64 {
    let tables = survey.tables.iter().zip(&survey.tables_written).map(|(table, written)| {
        let each = if *written { WRITTEN_ELEMENT_BYTES } else { ELEMENT_BYTES };
        table.initial.saturating_mul(each)
    });
    // The segments are within the module's bytes.
    tables.fold(survey.elements * ELEMENT_BYTES, u64::saturating_add)
}
