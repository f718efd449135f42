//! Types of values, and the function types of a module, each of which is written once.

use wasm_encoder::{BlockType, HeapType, RefType, TypeSection, ValType};

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ty {
    I32,
    I64,
    F32,
    F64,
    V128,
    Func,
    Extern,
}

impl Ty {
    pub(super) const ALL: [Self; 7] =
        [Self::I32, Self::I64, Self::F32, Self::F64, Self::V128, Self::Func, Self::Extern];

    pub(super) fn val(self) -> ValType {
        match self {
            Self::I32 => ValType::I32,
            Self::I64 => ValType::I64,
            Self::F32 => ValType::F32,
            Self::F64 => ValType::F64,
            Self::V128 => ValType::V128,
            Self::Func => ValType::FUNCREF,
            Self::Extern => ValType::EXTERNREF,
        }
    }

    pub(super) fn is_reference(self) -> bool {
        matches!(self, Self::Func | Self::Extern)
    }

    pub(super) fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }

    /// The heap type of a reference.
    pub(super) fn heap(self) -> HeapType {
        if self == Self::Extern { HeapType::EXTERN } else { HeapType::FUNC }
    }

    /// The element type of a table of these references.
    pub(super) fn element(self) -> RefType {
        if self == Self::Extern { RefType::EXTERNREF } else { RefType::FUNCREF }
    }

    /// The type of an address or an index.
    pub(super) fn index(is_64: bool) -> Self {
        if is_64 { Self::I64 } else { Self::I32 }
    }
}

/// The function types of a module.
#[derive(Default)]
pub(super) struct Types {
    known: Vec<(Vec<Ty>, Vec<Ty>)>,
}

impl Types {
    /// The index of this type.
    pub(super) fn of(&mut self, params: &[Ty], results: &[Ty]) -> u32 {
        let found = self.known.iter().position(|(p, r)| p == params && r == results);
        let index = found.unwrap_or_else(|| {
            self.known.push((params.to_vec(), results.to_vec()));
            self.known.len() - 1
        });
        index as u32
    }

    /// The encoding of a block with this type.
    pub(super) fn block(&mut self, params: &[Ty], results: &[Ty], spelt_out: bool) -> BlockType {
        match (params, results, spelt_out) {
            ([], [], false) => BlockType::Empty,
            ([], [result], false) => BlockType::Result(result.val()),
            _ => BlockType::FunctionType(self.of(params, results)),
        }
    }

    pub(super) fn section(&self) -> TypeSection {
        let mut section = TypeSection::new();
        for (params, results) in &self.known {
            let params: Vec<ValType> = params.iter().map(|ty| ty.val()).collect();
            let results: Vec<ValType> = results.iter().map(|ty| ty.val()).collect();
            section.ty().function(params, results);
        }
        section
    }
}
