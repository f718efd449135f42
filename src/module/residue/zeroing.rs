//! The functions that are added to zero cells, and what cleaning costs.
//!
//! The interpreter zeroes the locals of a function that is entered. So a function with as many
//! locals as there are cells to zero, and nothing else, zeroes them.
//!
//! Invariant: each size that a cleaner rounds to is among [`Residue::zeroing`], as is each size
//! that such a function calls in turn.

use super::{Cleaner, Residue};
use crate::{error::DeployError, limits::Limits, module::survey::Survey};

/// Locals of a function that zeroes cells. A cleaner with more cells calls several such functions.
/// The interpreter takes 30,000 locals at most.
pub(in crate::module) const ZEROED_MAX: u32 = 1 << 14;

/// What each function that a module defines does to clean, each time that it is entered, in
/// addition to its own operators.
///
/// Each pair is calls, then operators: the calls of functions that zero cells, which cost 2 fuel
/// each, and the operators that copy zeros, which cost 1 each.
///
/// # Errors
/// Those of a deployment that refuses the module itself.
pub fn cleaning(module: &[u8], limits: &Limits) -> Result<Vec<(u32, u32)>, DeployError> {
    let cleaners = Residue::of(&Survey::of(module, limits)?).cleaners;
    let costs = cleaners.iter().map(|cleaner| match *cleaner {
        None => (0, 0),
        Some(Cleaner::Copies(cells)) => (0, cells),
        Some(Cleaner::Calls(cells)) => (chained(cells), 0),
    });
    Ok(costs.collect())
}

impl Residue {
    /// The numbers of cells that functions are added for to zero them, ascending: powers of two up
    /// to [`ZEROED_MAX`], and multiples of it.
    pub(in crate::module) fn zeroing(&self) -> Vec<u32> {
        let mut sizes: Vec<u32> = self.called().map(rounded).collect();
        let most = sizes.iter().copied().max().unwrap_or_default();
        // Each multiple calls the one before.
        sizes.extend((1..=most / ZEROED_MAX).map(|times| times * ZEROED_MAX));
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    /// The cells that each cleaner zeroes by calls.
    pub(in crate::module) fn called(&self) -> impl Iterator<Item = u32> {
        self.cleaners.iter().flatten().filter_map(|cleaner| match *cleaner {
            Cleaner::Calls(cells) => Some(cells),
            Cleaner::Copies(_) => None,
        })
    }
}

/// How many functions zero so many cells, by calling one another.
pub(in crate::module) fn chained(cells: u32) -> u32 {
    rounded(cells).div_ceil(ZEROED_MAX)
}

/// The least size of [`Residue::zeroing`] that is not below `cells`.
pub(in crate::module) fn rounded(cells: u32) -> u32 {
    if cells <= ZEROED_MAX { cells.next_power_of_two() } else { cells.next_multiple_of(ZEROED_MAX) }
}
