//! The compiled module, with its imports resolved and its exports known.

use std::{collections::HashMap, sync::Arc};

use wasmi::{Engine, Module};
use wasmparser::{ExternalKind, FuncType, GlobalType, TableType, TypeRef, ValType};

use super::{
    engine,
    rewrite::rewrite,
    survey::{MemoryFact, Survey},
};
use crate::{
    capability::HostFunction,
    error::{DeployError, UnknownImport, cut, signature},
    limits::Limits,
    value::ValueType,
};

/// A module ready to be instantiated any number of times.
pub(crate) struct Prepared {
    pub(crate) engine: Engine,
    pub(crate) module: Module,
    /// What each import is given, in their order.
    pub(crate) imports: Vec<Arc<HostFunction>>,
    pub(crate) memories: Vec<MemoryFact>,
    /// The memory that hosts read and write: the export `memory`, or else the first memory that is exported.
    pub(crate) main_memory: Option<usize>,
    /// The exported functions by name.
    pub(crate) exports: HashMap<Box<str>, Export>,
    /// Exports of the rewritten module: globals that code writes, tables that it changes, the start function, the
    /// table of growth functions.
    pub(crate) globals: Vec<String>,
    pub(crate) tables: Vec<String>,
    pub(crate) start: Option<String>,
    pub(crate) grow_table: Option<String>,
    /// Functions that the module defines.
    pub(crate) functions: u32,
    /// Elements of all tables and entries of all element segments: what each instance has its own of.
    pub(crate) elements: u64,
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
    /// Its number among the exported functions: where an instance keeps its handle.
    pub(crate) slot: usize,
    pub(crate) ty: FuncType,
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
        bytes: &[u8],
        survey: &Survey,
        provided: &[Arc<HostFunction>],
        limits: &Limits,
        stacks: usize,
    ) -> Result<Self, DeployError> {
        let imports = resolve(survey, provided)?;
        let rewritten = rewrite(bytes, survey);
        let engine = Engine::new(&engine::config(limits, stacks));
        let module = Module::new(&engine, &rewritten.bytes[..])
            .map_err(|error| DeployError::Refused { problem: cut(&error.to_string()) })?;
        let functions = survey.exports.iter().filter(|export| export.kind == ExternalKind::Func);
        let exports = functions
            .enumerate()
            .map(|(slot, export)| {
                let ty = survey.function_type(export.index).clone();
                (export.name.clone(), Export { slot, ty })
            })
            .collect();
        let mut memories = survey.exports.iter().filter(|export| export.kind == ExternalKind::Memory);
        let main_memory = memories
            .clone()
            .find(|export| &*export.name == "memory")
            .or_else(|| memories.next())
            .map(|export| export.index as usize);
        Ok(Self {
            engine,
            module,
            imports,
            memories: survey.memories.clone(),
            main_memory,
            exports,
            globals: rewritten.globals,
            tables: rewritten.tables,
            start: rewritten.start,
            grow_table: rewritten.grow_table,
            functions: survey.bodies.len() as u32,
            // The sum of the tables is within `Limits::table_elements`, that of the segments within the module's bytes.
            elements: survey.tables.iter().fold(survey.elements, |sum, table| sum.saturating_add(table.initial)),
            globals_defined: survey.globals.len() as u64,
            drops_segments: survey.drops_segments,
            reinitialises: survey.drops_segments || survey.changes_references(),
        })
    }
}

/// What each import is given, or all of those that nothing provides.
fn resolve(survey: &Survey, provided: &[Arc<HostFunction>]) -> Result<Vec<Arc<HostFunction>>, DeployError> {
    let mut resolved = Vec::with_capacity(survey.imports.len());
    let mut unknown = Vec::new();
    for import in &survey.imports {
        let found = provided.iter().find(|f| *f.module == *import.module && *f.name == *import.name);
        let fits = match (import.ty, found) {
            (TypeRef::Func(ty), Some(found)) => {
                let ty = &survey.types[ty as usize];
                let same = |a: &[ValType], b: &[ValueType]| {
                    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| scalar(*a) == Some(*b))
                };
                same(ty.params(), found.params) && same(ty.results(), found.results)
            }
            _ => false,
        };
        match found {
            Some(found) if fits => resolved.push(Arc::clone(found)),
            _ => unknown.push(UnknownImport {
                module: cut(&import.module),
                name: cut(&import.name),
                ty: cut(&describe(survey, import.ty)),
                provided: found.map(|f| format!("func {}", signature(f.params, f.results)).into()),
            }),
        }
    }
    if unknown.is_empty() { Ok(resolved) } else { Err(DeployError::UnknownImports { imports: unknown }) }
}

/// The type of an import in words.
fn describe(survey: &Survey, ty: TypeRef) -> String {
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
