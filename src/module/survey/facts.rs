//! The facts about a module that a survey notes.
//!
//! Invariant: the validator has accepted all that is noted here.

use std::{collections::BTreeSet, ops::Range};

use wasmparser::{ExternalKind, FuncType, GlobalType, MemoryType, TableType, TypeRef};

use crate::module::{
    calls::Callee,
    cure::{BlockTypes, Cure},
};

/// A module and the facts about it. Byte ranges are offsets in the module as it was given.
#[derive(Default)]
pub(crate) struct Survey<'a> {
    /// Its bytes, which are valid.
    pub(crate) module: &'a [u8],
    /// Sections in their order, each with its id and the bytes of its content. Custom sections are
    /// left out.
    pub(crate) sections: Vec<(u8, Range<usize>)>,
    pub(crate) types: Vec<FuncType>,
    /// Type index of each function, imported ones first.
    pub(crate) functions: Vec<u32>,
    pub(crate) imports: Vec<ImportFact>,
    /// Imports that are functions.
    pub(crate) imported_functions: u32,
    pub(crate) tables: Vec<TableType>,
    pub(crate) tables_written: Vec<bool>,
    /// How many element segments there are, and how many elements they have together.
    pub(crate) segments: u32,
    pub(crate) elements: u64,
    pub(crate) memories: Vec<MemoryFact>,
    pub(crate) globals: Vec<GlobalType>,
    pub(crate) globals_written: Vec<bool>,
    pub(crate) exports: Vec<ExportFact>,
    pub(crate) start: Option<u32>,
    pub(crate) data: Vec<DataFact>,
    /// One more than the highest data segment that an operator names. Numbers below must keep their
    /// meaning.
    pub(crate) data_named: u32,
    /// An operator drops a passive data segment or an element segment, which cannot be seen or
    /// undone.
    pub(crate) drops_segments: bool,
    /// The operators that the rewriting changes, ascending by their offsets.
    pub(crate) edits: Vec<Edit>,
    /// The types of the blocks that cures add.
    pub(crate) block_types: BlockTypes,
    /// The body of each defined function.
    pub(crate) bodies: Vec<Body>,
    /// What bodies call, each callee once a body: see [`Body::callees`].
    pub(crate) callees: Vec<Callee>,
    /// Functions that a table may hold, as far as the module says. Hosts put none there.
    pub(crate) taken: BTreeSet<u32>,
    /// Some code takes a reference of a function. Such a function must be declared outside of code.
    pub(crate) takes_references: bool,
}

/// The body of a function.
pub(crate) struct Body {
    /// Its bytes, without the length prefix.
    pub(crate) bytes: Range<usize>,
    /// The offset of its first operator.
    pub(crate) operators: usize,
    /// Its locals, including parameters, and the most operands that it has on its stack.
    pub(crate) locals: u32,
    pub(crate) operands: u32,
    /// What the body calls, as a range of [`Survey::callees`].
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
    /// An operator stores to it. Hosts may write to it in any case.
    pub(crate) written: bool,
}

impl MemoryFact {
    /// Bytes of a page, as a power of two.
    pub(crate) fn page_log2(&self) -> u32 {
        self.ty.page_size_log2.unwrap_or(16)
    }

    /// Bytes of the memory at first.
    pub(crate) fn initial_bytes(&self) -> u64 {
        u64::try_from(u128::from(self.ty.initial) << self.page_log2()).unwrap_or(u64::MAX)
    }
}

/// A data segment: the memory and offset of an active segment, and the segment's bytes.
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
    /// The operator grows this, and becomes a call of a stub.
    Grow(Growable),
    /// The interpreter mistranslates the operator, which gets a cure.
    Cure(Cure),
}

/// A memory or table that code can grow, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Growable {
    Memory(u32),
    Table(u32),
}

impl Survey<'_> {
    /// The type of a function by its index.
    pub(crate) fn function_type(&self, index: u32) -> &FuncType {
        &self.types[self.functions[index as usize] as usize]
    }

    /// What code can grow, each once: memories first, then tables.
    pub(crate) fn growables(&self) -> Vec<Growable> {
        let grown = self.edits.iter().filter_map(|edit| match edit.how {
            How::Grow(growable) => Some(growable),
            How::Cure(_) => None,
        });
        let all: BTreeSet<Growable> = grown.collect();
        all.into_iter().collect()
    }

    /// The edits of a body.
    pub(crate) fn edits_of(&self, body: &Body) -> &[Edit] {
        let within = |offset| self.edits.partition_point(|edit| edit.at < offset);
        &self.edits[within(body.bytes.start)..within(body.bytes.end)]
    }

    /// Whether code can change tables or globals of references. Their contents belong to one store
    /// and cannot be carried over in an image.
    pub(crate) fn changes_references(&self) -> bool {
        self.tables_written.contains(&true)
            || self
                .globals
                .iter()
                .zip(&self.globals_written)
                .any(|(ty, written)| *written && ty.content_type.is_reference_type())
    }
}
