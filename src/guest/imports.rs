//! Resolves each import of a module to a function: the host's own, or one of this library.
//!
//! Invariant: an import resolves only to a function of exactly its type, and a function of the host
//! comes first.

use std::sync::Arc;

use wasmparser::{GlobalType, TableType, TypeRef, ValType};

use super::extism;
use super::wasi;
use crate::{
    error::{DeployError, UnknownImport},
    host::HostFunction,
    module::{Survey, scalar},
    text::{cut, signature},
    value::ValueType,
};

/// The functions that a module imports, in the order of its imports.
pub(crate) struct Imports(pub(crate) Vec<Arc<HostFunction>>);

impl Imports {
    /// Whether it imports functions of WASI that the host has not replaced with its own.
    pub(crate) fn has_wasi(&self) -> bool {
        self.0.iter().any(|import| *import.module == *wasi::MODULE && !import.is_custom())
    }

    /// Whether it imports functions of `extism:host/env`, the host's or this library's.
    pub(crate) fn has_extism(&self) -> bool {
        self.0.iter().any(|import| *import.module == *extism::MODULE)
    }

    /// Finds the function for each import. The error lists all imports that nothing provides.
    pub(crate) fn resolve(survey: &Survey<'_>, provided: &[Arc<HostFunction>]) -> Result<Self, DeployError> {
        let mut resolved = Vec::with_capacity(survey.imports.len());
        let mut unknown = Vec::new();
        for import in &survey.imports {
            let is_it =
                |function: &&Arc<HostFunction>| *function.module == *import.module && *function.name == *import.name;
            let found = provided.iter().find(is_it);
            let own: &[Arc<HostFunction>] = match &*import.module {
                wasi::MODULE => wasi::functions(),
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
        if unknown.is_empty() { Ok(Self(resolved)) } else { Err(DeployError::UnknownImports { imports: unknown }) }
    }
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
