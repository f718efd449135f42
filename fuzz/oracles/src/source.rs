//! The generators of modules. Each number gives one module.

use crate::{
    random::Random,
    shapes::{self, Census},
    smith,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The generator of fuzz/src/shapes, which aims at what an interpreter's translation may get
    /// wrong.
    Shapes,
    /// wasm-smith, whose modules are of all kinds.
    Smith,
}

impl Source {
    pub fn name(self) -> &'static str {
        match self {
            Self::Shapes => "shapes",
            Self::Smith => "smith",
        }
    }

    /// The module of this number, and its census if the generator counts one. `None` if the number
    /// gives no module.
    pub fn module(self, seed: u64) -> Option<(Vec<u8>, Option<Census>)> {
        match self {
            Self::Shapes => {
                let shaped = shapes::shaped(seed);
                Some((shaped.bytes, Some(shaped.census)))
            }
            Self::Smith => {
                let mut random = Random::new(seed);
                let len = 500 + random.below(4_000) as usize;
                Some((smith::module(&random.bytes(len), true)?, None))
            }
        }
    }
}
