//! The parts of a module around its code: memories, tables, globals, segments, and the types of
//! functions.

use super::super::Random;
use super::types::{Ty, Types};
use super::weights::{Weights, chance};

/// The global that counts how often code may still go back or into a function.
pub(super) const TURNS: u32 = 0;

pub(super) struct Signature {
    pub(super) params: Vec<Ty>,
    pub(super) results: Vec<Ty>,
    pub(super) ty: u32,
}

pub(super) struct Memory {
    pub(super) is_64: bool,
    pub(super) min: u64,
    pub(super) max: u64,
}

pub(super) struct Table {
    pub(super) ty: Ty,
    pub(super) is_64: bool,
    pub(super) min: u64,
    pub(super) max: u64,
    /// The functions that it holds when the module starts, from element 0 on.
    pub(super) functions: Vec<u32>,
}

/// A data segment. An active one lies at an address of a memory.
pub(super) struct Data {
    pub(super) active: Option<(u32, u64)>,
    pub(super) bytes: Vec<u8>,
}

/// A passive element segment of functions. `None` stands for null.
pub(super) struct Elements {
    pub(super) ty: Ty,
    pub(super) items: Vec<Option<u32>>,
}

/// The functions that the code may use beside its own, by their indices.
#[derive(Clone, Copy)]
pub(super) struct Helpers {
    /// `() -> i32`: takes a turn. It returns 0 if none is left.
    pub(super) turn: u32,
    /// `f32 -> f32`, and so on: makes all NaNs the same.
    pub(super) canon_f32: u32,
    pub(super) canon_f64: u32,
    /// By lanes. They exist only with vectors.
    pub(super) canon_f32x4: u32,
    pub(super) canon_f64x2: u32,
}

pub(super) struct Plan {
    pub(super) functions: Vec<Signature>,
    pub(super) helpers: Helpers,
    pub(super) memories: Vec<Memory>,
    pub(super) tables: Vec<Table>,
    /// The types of the globals from index 1 on, all mutable, with the bits that they begin with.
    pub(super) globals: Vec<(Ty, u64)>,
    pub(super) datas: Vec<Data>,
    pub(super) elements: Vec<Elements>,
}

impl Plan {
    pub(super) fn new(random: &mut Random, weights: &Weights, types: &mut Types) -> Self {
        let functions = functions(random, weights, types);
        let count = functions.len() as u32;
        let memories = memories(random, weights.whole);
        let tables = tables(random, count);
        let globals = (0..random.below(7)).map(|_| (weights.ty(random), random.next())).collect();
        let datas = (0..if memories.is_empty() { 0 } else { random.below(4) }).map(|_| {
            let memory = random.below(memories.len() as u64) as usize;
            let len = random.below(24) as usize;
            let active = (memories[memory].min > 0 && chance(random, 60)).then(|| (memory as u32, random.below(200)));
            Data { active, bytes: random.bytes(len) }
        });
        let datas = datas.collect();
        let elements = (0..if tables.is_empty() { 0 } else { random.below(3) }).map(|_| {
            let ty = tables[random.below(tables.len() as u64) as usize].ty;
            let item = |random: &mut Random| {
                (ty == Ty::Func && chance(random, 75)).then(|| random.below(u64::from(count)) as u32)
            };
            Elements { ty, items: (0..random.below(6)).map(|_| item(random)).collect() }
        });
        let elements = elements.collect();
        let helpers = Helpers {
            turn: count,
            canon_f32: count + 1,
            canon_f64: count + 2,
            canon_f32x4: count + 3,
            canon_f64x2: count + 4,
        };
        Self { functions, helpers, memories, tables, globals, datas, elements }
    }
}

fn functions(random: &mut Random, weights: &Weights, types: &mut Types) -> Vec<Signature> {
    let count = [1, 1, 1, 2, 2, 2, 3, 3, 4, 6][random.below(10) as usize];
    let mut functions: Vec<Signature> = Vec::new();
    for _ in 0..count {
        let mut params = weights.list(random);
        if chance(random, 60) {
            params.push(if chance(random, 70) { Ty::I32 } else { Ty::I64 });
        }
        let mut results = weights.list(random);
        // Tail calls need the same results, and indirect calls need the same type.
        if let Some(last) = functions.last() {
            if chance(random, 40) {
                results = last.results.clone();
            }
            if chance(random, 25) {
                params = last.params.clone();
            }
        }
        let ty = types.of(&params, &results);
        functions.push(Signature { params, results, ty });
    }
    functions
}

/// One small memory if the digest covers all of it.
fn memories(random: &mut Random, whole: bool) -> Vec<Memory> {
    let memory = |random: &mut Random| {
        let is_64 = cfg!(feature = "memory64") && chance(random, 50);
        if whole {
            return Memory { is_64, min: 1, max: 1 + random.below(2) };
        }
        let min = [0, 1, 1, 1, 2, 3][random.below(6) as usize];
        Memory { is_64, min, max: (min + random.below(3)).max(1) }
    };
    let count = if whole { 1 } else { [0, 1, 1, 1, 1, 2, 2, 3][random.below(8) as usize] };
    (0..count).map(|_| memory(random)).collect()
}

fn tables(random: &mut Random, functions: u32) -> Vec<Table> {
    let table = |random: &mut Random| {
        let ty = if chance(random, 75) { Ty::Func } else { Ty::Extern };
        let min = random.below(9);
        let filled = if ty == Ty::Func { random.below(min + 1) } else { 0 };
        Table {
            ty,
            is_64: cfg!(feature = "memory64") && chance(random, 30),
            min,
            max: min + random.below(9),
            functions: (0..filled).map(|_| random.below(u64::from(functions)) as u32).collect(),
        }
    };
    (0..[0, 1, 1, 1, 2, 3][random.below(6) as usize]).map(|_| table(random)).collect()
}
