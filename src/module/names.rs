//! The names of the exports that the rewriting adds.
//!
//! Invariant: no guest export has one of these names.

use std::collections::HashSet;

use super::survey::{ExportFact, Survey};

/// The names of added exports begin with this, a number that no guest export has, and a colon.
const PREFIX: &str = "dormouse:";

/// Names of the exports that are added.
pub(super) struct Names {
    pub(super) globals: Vec<(u32, String)>,
    pub(super) tables: Vec<(u32, String)>,
    pub(super) start: Option<String>,
    pub(super) grow_table: Option<String>,
}

impl Names {
    pub(super) fn of(survey: &Survey<'_>, grows: bool) -> Self {
        // A free number is looked for, not a longer prefix. So each name is read once, however long
        // it is.
        let numbered = |export: &ExportFact| export.name.strip_prefix(PREFIX)?.split_once(':')?.0.parse().ok();
        let taken: HashSet<usize> = survey.exports.iter().filter_map(numbered).collect();
        let free = (0..=taken.len()).find(|number| !taken.contains(number)).unwrap_or(taken.len());
        let prefix = format!("{PREFIX}{free}:");
        let marked = |flags: &[bool], kind: char| {
            let set = flags.iter().enumerate().filter(|(_, set)| **set);
            set.map(|(index, _)| (index as u32, format!("{prefix}{kind}{index}"))).collect()
        };
        Self {
            globals: marked(&survey.globals_written, 'g'),
            tables: marked(&survey.tables_written, 't'),
            start: survey.start.map(|_| format!("{prefix}start")),
            grow_table: grows.then(|| format!("{prefix}grow")),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.globals.len()
            + self.tables.len()
            + usize::from(self.start.is_some())
            + usize::from(self.grow_table.is_some())
    }
}
