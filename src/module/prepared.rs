//! The compiled module, with its imports resolved and its exports known.

use std::sync::Arc;

use wasmi::{Config, Engine, Module, Ref};
use wasmparser::{ExternalKind, FuncType, GlobalType, TableType, TypeRef, ValType};

use super::{
    engine,
    rewrite::rewrite,
    survey::{Growable, MemoryFact, Survey},
};
#[cfg(feature = "extism")]
use crate::capability::extism;
#[cfg(feature = "wasi")]
use crate::capability::wasi;
use crate::{
    capability::HostFunction,
    error::{DeployError, InvokeErrorKind, UnknownImport, cut, signature},
    limits::Limits,
    sys::Valid,
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
    /// It imports functions of WASI that the host has not replaced by its own.
    #[cfg(feature = "wasi")]
    pub(crate) imports_wasi: bool,
    /// It imports functions of `extism:host/env`, whosever they are.
    #[cfg(feature = "extism")]
    pub(crate) imports_extism: bool,
    /// What each import is given, in their order.
    pub(crate) imports: Vec<Arc<HostFunction>>,
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
    /// Resolves the imports of a surveyed module, rewrites it and compiles it.
    pub(crate) fn new(
        survey: &Survey<'_>,
        provided: &[Arc<HostFunction>],
        limits: &Limits,
        stacks: usize,
    ) -> Result<Self, DeployError> {
        let imports = resolve(survey, provided)?;
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
            #[cfg(feature = "wasi")]
            imports_wasi: imports.iter().any(|import| *import.module == *wasi::MODULE && !import.is_custom()),
            #[cfg(feature = "extism")]
            imports_extism: imports.iter().any(|import| *import.module == *extism::MODULE),
            rewritten: rewritten.module,
            config: engine::config(limits, stacks, rewritten.extra),
            imports,
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

    /// The error of who asks for another function than those that are exported.
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

/// What each import is given, or all of those that nothing provides.
fn resolve(survey: &Survey<'_>, provided: &[Arc<HostFunction>]) -> Result<Vec<Arc<HostFunction>>, DeployError> {
    let mut resolved = Vec::with_capacity(survey.imports.len());
    let mut unknown = Vec::new();
    for import in &survey.imports {
        let is_it =
            |function: &&Arc<HostFunction>| *function.module == *import.module && *function.name == *import.name;
        let found = provided.iter().find(is_it);
        let own: &[Arc<HostFunction>] = match &*import.module {
            #[cfg(feature = "wasi")]
            wasi::MODULE => wasi::functions(),
            #[cfg(feature = "extism")]
            extism::MODULE => extism::functions(),
            _ => &[],
        };
        let found = found.or_else(|| own.iter().find(is_it));
        let fits = match (import.ty, found) {
            (TypeRef::Func(ty), Some(found)) => {
                let ty = &survey.types[ty as usize];
                let same = |a: &[ValType], b: &[ValueType]| {
                    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| scalar(*a) == Some(*b))
                };
                same(ty.params(), &found.params) && same(ty.results(), &found.results)
            }
            _ => false,
        };
        match found {
            Some(found) if fits => resolved.push(Arc::clone(found)),
            _ => unknown.push(UnknownImport {
                module: cut(&import.module),
                name: cut(&import.name),
                ty: cut(&describe(survey, import.ty)),
                provided: found.map(|f| format!("func {}", signature(&f.params, &f.results)).into()),
            }),
        }
    }
    if unknown.is_empty() { Ok(resolved) } else { Err(DeployError::UnknownImports { imports: unknown }) }
}

/// The type of an import in words.
fn describe(survey: &Survey<'_>, ty: TypeRef) -> String {
    match ty {
        TypeRef::Func(ty) => {
            let ty = &survey.types[ty as usize];
            format!("func {}", signature(ty.params(), ty.results()))
        }
        TypeRef::Table(TableType { initial, .. }) => format!("table of {initial} elements"),
        TypeRef::Memory(ty) => format!("memory of {} pages", ty.initial),
        TypeRef::Global(GlobalType { content_type, mutable, .. }) => {
            format!("global {}{content_type}", if mutable { "mut " } else { "" })
        }
        TypeRef::Tag(_) => "tag".into(),
    }
}
