//! The counts of a run of this program.

use std::{collections::BTreeMap, fmt, ops::AddAssign};

use crate::{outcome::Ended, shapes::Census};

#[derive(Default)]
pub struct Tally {
    /// Numbers that were tried.
    pub seeds: u64,
    /// Modules that both engines answered for.
    pub modules: u64,
    /// Calls whose outcome was compared. The same call is made cold and warm.
    pub calls: u64,
    /// How many of them were of the digest.
    pub digests: u64,
    /// How compared calls ended.
    pub ended: BTreeMap<String, u64>,
    /// Calls that were not compared, by what stopped them.
    pub skipped: BTreeMap<&'static str, u64>,
    /// Modules that were not compared: the source gives none, the library refuses it, or the other
    /// engine lacks something.
    pub left_out: BTreeMap<String, u64>,
    pub lacking: BTreeMap<String, u64>,
    /// Modules that do not initialise, in both.
    pub refused: BTreeMap<String, u64>,
    /// Modules with a difference.
    pub differences: u64,
    /// What the compared modules consist of.
    pub census: Option<Census>,
}

impl Tally {
    pub fn compared(&mut self, ended: &Ended) {
        self.calls += 1;
        *self.ended.entry(word(ended)).or_default() += 1;
    }

    pub fn skipped(&mut self, by: &'static str, calls: usize) {
        *self.skipped.entry(by).or_default() += calls as u64;
    }

    pub fn left_out(&mut self, reason: impl Into<String>) {
        *self.left_out.entry(reason.into()).or_default() += 1;
    }

    /// Offsets and names left out, so that reasons of one kind are counted together.
    pub fn lacks(&mut self, reason: &str) {
        let reason = reason.split(" @+").next().unwrap_or_default();
        let mut kind = String::new();
        for char in reason.chars().take(160) {
            if !char.is_ascii_digit() {
                kind.push(char);
            } else if !kind.ends_with('N') {
                kind.push('N');
            }
        }
        *self.lacking.entry(kind).or_default() += 1;
    }

    pub fn refused(&mut self, ended: &Ended) {
        *self.refused.entry(word(ended)).or_default() += 1;
    }

    /// How many calls in a hundred were skipped.
    pub fn skipped_percent(&self) -> f64 {
        let skipped: u64 = self.skipped.values().sum();
        100. * skipped as f64 / (self.calls + skipped).max(1) as f64
    }

    /// How many in a hundred of the modules that the library takes the oracle does not compile.
    pub fn lacking_percent(&self) -> f64 {
        let lacking: u64 = self.lacking.values().sum();
        100. * lacking as f64 / (self.modules + lacking).max(1) as f64
    }
}

fn word(ended: &Ended) -> String {
    match ended {
        Ended::Values(_) => "values".to_owned(),
        other => other.to_string(),
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        fn add<K: Ord>(sum: &mut BTreeMap<K, u64>, more: BTreeMap<K, u64>) {
            for (key, count) in more {
                *sum.entry(key).or_default() += count;
            }
        }
        self.seeds += other.seeds;
        self.modules += other.modules;
        self.calls += other.calls;
        self.digests += other.digests;
        self.differences += other.differences;
        if let Some(census) = &other.census {
            self.census.get_or_insert_default().merge(census);
        }
        add(&mut self.ended, other.ended);
        add(&mut self.skipped, other.skipped);
        add(&mut self.left_out, other.left_out);
        add(&mut self.lacking, other.lacking);
        add(&mut self.refused, other.refused);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list<K: fmt::Display>(f: &mut fmt::Formatter<'_>, head: &str, counts: &BTreeMap<K, u64>) -> fmt::Result {
            if !counts.is_empty() {
                writeln!(f, "{head}:")?;
            }
            counts.iter().try_for_each(|(key, count)| writeln!(f, "  {count:>12}  {key}"))
        }
        if let Some(census) = &self.census {
            writeln!(f, "what these modules are made of: {census}")?;
            writeln!(f, "operators in none of them: {}", census.never_made().join(", "))?;
        }
        writeln!(
            f,
            "{} seeds, {} modules compared, {} calls, {} digests among them",
            self.seeds, self.modules, self.calls, self.digests
        )?;
        list(f, "calls compared, by how they end", &self.ended)?;
        list(f, &format!("calls skipped ({:.2} %), by what stops them", self.skipped_percent()), &self.skipped)?;
        list(f, "modules that initialise in neither", &self.refused)?;
        list(f, "seeds that give no module to compare", &self.left_out)?;
        list(
            f,
            &format!("modules that the oracle lacks something for ({:.2} %)", self.lacking_percent()),
            &self.lacking,
        )?;
        writeln!(f, "{} modules with a difference", self.differences)
    }
}
