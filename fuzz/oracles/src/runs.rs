//! The runs of a module: each has a few calls with random arguments.

use wasmparser::ValType;

use crate::{fitted::Fitted, random::Random};

/// Calls one after the other on one instance. The first call finds it new.
#[derive(Clone)]
pub struct Run {
    pub calls: Vec<Call>,
}

#[derive(Clone)]
pub struct Call {
    /// Index in [`Fitted::exports`].
    pub export: usize,
    /// The bits of the arguments.
    pub args: Vec<u64>,
}

/// The most exports of a module that are called.
const EXPORTS: usize = 6;
/// Runs of one call, for each of these exports.
const SINGLE: usize = 3;
/// Runs of several calls.
const SESSIONS: usize = 4;
const SESSION_CALLS: u64 = 3;

/// Draws runs for a module. The first argument may be a pattern of bits.
pub fn draw(module: &Fitted, has_patterns: bool, random: &mut Random) -> Vec<Run> {
    let mut exports: Vec<usize> = (0..module.digest()).collect();
    shuffle(&mut exports, random);
    exports.truncate(EXPORTS);
    let mut runs = Vec::new();
    for &export in &exports {
        for _ in 0..SINGLE {
            runs.push(Run { calls: vec![call(module, export, has_patterns, random)] });
        }
    }
    for _ in 0..SESSIONS {
        let mut calls = Vec::new();
        if !exports.is_empty() {
            for _ in 0..=random.below(SESSION_CALLS) {
                let export = exports[random.below(exports.len() as u64) as usize];
                calls.push(call(module, export, has_patterns, random));
            }
        }
        calls.push(Call { export: module.digest(), args: Vec::new() });
        runs.push(Run { calls });
    }
    runs
}

fn call(module: &Fitted, export: usize, has_patterns: bool, random: &mut Random) -> Call {
    let params = &module.exports[export].params;
    let arg = |(at, ty): (usize, &ValType)| {
        let number = if has_patterns && at == 0 { random.next() } else { number(random) };
        if matches!(ty, ValType::I32 | ValType::F32) { u64::from(number as u32) } else { number }
    };
    Call { export, args: params.iter().enumerate().map(arg).collect() }
}

/// A small number, an address, an address near the end, or any number.
fn number(random: &mut Random) -> u64 {
    match random.below(4) {
        0 => random.below(4),
        1 => random.below(1 << 17),
        2 => u64::MAX - random.below(4),
        _ => random.below(u64::MAX),
    }
}

pub fn shuffle<T>(items: &mut [T], random: &mut Random) {
    for at in (1..items.len()).rev() {
        items.swap(at, random.below(at as u64 + 1) as usize);
    }
}
