//! Sections: their counts held against the limits, and what stands in them noted.
//!
//! Invariant: a section is counted before the validator sees it, and noted afterwards.

use wasmparser::{CompositeInnerType, DataKind, ElementItems, ExternalKind, FuncType, Payload, TypeRef};

use super::{
    ExportFact, MemoryFact, Refusal,
    facts::{DataFact, ImportFact},
    moves::NARROW_MAX,
    operators::is_bare,
    walk::Surveyor,
    within,
};
use crate::{
    error::LimitKind,
    module::expression::{constant, referenced},
};

impl Surveyor<'_, '_> {
    /// Holds the count that a payload announces against its limit, before the validator reserves
    /// room for it.
    pub(super) fn count(&self, payload: &Payload<'_>) -> Result<(), Refusal> {
        let limits = self.limits;
        let (bound, found, limit) = match payload {
            Payload::TypeSection(section) => (LimitKind::Types, section.count(), limits.types),
            Payload::ImportSection(section) => (LimitKind::Imports, section.count(), limits.imports),
            Payload::FunctionSection(section) => {
                (LimitKind::Functions, section.count().saturating_add(self.survey.imported_functions), limits.functions)
            }
            Payload::TableSection(section) => (LimitKind::Tables, section.count(), limits.tables),
            Payload::MemorySection(section) => (LimitKind::Memories, section.count(), limits.memories),
            Payload::GlobalSection(section) => (LimitKind::Globals, section.count(), limits.globals),
            Payload::ExportSection(section) => (LimitKind::Exports, section.count(), limits.exports),
            Payload::ElementSection(section) => (LimitKind::ElementSegments, section.count(), limits.element_segments),
            Payload::DataCountSection { count, .. } => (LimitKind::DataSegments, *count, limits.data_segments),
            Payload::DataSection(section) => (LimitKind::DataSegments, section.count(), limits.data_segments),
            Payload::CodeSectionEntry(body) => {
                let range = body.range();
                (LimitKind::BodyBytes, u32::try_from(range.len()).unwrap_or(u32::MAX), limits.body_bytes)
            }
            _ => return Ok(()),
        };
        Ok(within(bound, u64::from(found), u64::from(limit))?)
    }

    /// Notes a section that the validator has accepted.
    pub(super) fn read(&mut self, payload: Payload<'_>) -> Result<(), Refusal> {
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
                            // The proposals that have other types are off. They are on only to
                            // explain a refusal, where the survey needs only to get further.
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
                // Without a function section nothing else counts imported functions.
                within(LimitKind::Functions, u64::from(survey.imported_functions), u64::from(self.limits.functions))?;
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
                within(LimitKind::TableElements, elements, self.limits.table_elements)?;
            }
            Payload::MemorySection(section) => {
                for ty in section {
                    survey.memories.push(MemoryFact { ty: ty?, written: false });
                }
                let bytes = survey.memories.iter().fold(0u64, |sum, memory| sum.saturating_add(memory.initial_bytes()));
                within(LimitKind::Memory, bytes, self.limits.memory_bytes)?;
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
                    // The bytes stand at the end of the segment.
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
}
