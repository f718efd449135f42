//! A pattern as it was written: a tree of fields and of `$or`.

use std::fmt;

use super::{
    PatternError,
    test::{Test, quoted},
};

/// The most ways to take one branch of each `$or`, as in EventBridge.
pub(super) const COMBINATIONS_MAX: usize = 1_000;

/// An object. It holds if all its members hold.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group(pub(super) Box<[Member]>);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Member {
    /// A field, and its alternatives.
    Leaf(Box<str>, Box<[Test]>),
    Inner(Box<str>, Group),
    /// Holds if one of these holds.
    Or(Box<[Group]>),
}

/// A field with its whole path.
#[derive(Debug)]
pub(super) struct Field<'a> {
    /// The keys joined by dots.
    pub(super) path: String,
    pub(super) tests: &'a [Test],
}

impl Group {
    /// All fields, in the order of the text.
    pub(super) fn fields(&self) -> Vec<Field<'_>> {
        let mut fields = Vec::new();
        self.walk(&mut Vec::new(), &mut fields);
        fields
    }

    fn walk<'a>(&'a self, path: &mut Vec<&'a str>, fields: &mut Vec<Field<'a>>) {
        for member in &self.0 {
            match member {
                Member::Leaf(key, tests) => {
                    path.push(key);
                    fields.push(Field { path: path.join("."), tests });
                    path.pop();
                }
                Member::Inner(key, group) => {
                    path.push(key);
                    group.walk(path, fields);
                    path.pop();
                }
                Member::Or(branches) => branches.iter().for_each(|branch| branch.walk(path, fields)),
            }
        }
    }

    /// The pattern without `$or`. It holds if all fields of one of these combinations hold. Fields
    /// have their numbers of [`Group::fields`].
    pub(super) fn combinations(&self) -> Vec<Vec<usize>> {
        self.combine(&mut 0)
    }

    fn combine(&self, next: &mut usize) -> Vec<Vec<usize>> {
        let mut all: Vec<Vec<usize>> = vec![Vec::new()];
        for member in &self.0 {
            let choices = match member {
                Member::Leaf(..) => {
                    *next += 1;
                    vec![vec![*next - 1]]
                }
                Member::Inner(_, group) => group.combine(next),
                Member::Or(branches) => branches.iter().flat_map(|branch| branch.combine(next)).collect(),
            };
            all = all.iter().flat_map(|some| choices.iter().map(|choice| [&some[..], choice].concat())).collect();
        }
        all
    }

    /// Checks the number of combinations before any is made.
    pub(super) fn check_combinations(&self, path: Box<str>) -> Result<(), PatternError> {
        let found = self.count();
        if found > COMBINATIONS_MAX {
            return Err(PatternError::Limit { path, what: "combinations of $or", found, limit: COMBINATIONS_MAX });
        }
        Ok(())
    }

    fn count(&self) -> usize {
        let members = self.0.iter().map(|member| match member {
            Member::Leaf(..) => 1,
            Member::Inner(_, group) => group.count(),
            Member::Or(branches) => branches.iter().map(Group::count).fold(0, usize::saturating_add),
        });
        members.fold(1, usize::saturating_mul)
    }
}

/// JSON without white space.
impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, member) in self.0.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            match member {
                Member::Leaf(key, tests) => write!(f, "{comma}{}:{}", quoted(key), List(tests))?,
                Member::Inner(key, group) => write!(f, "{comma}{}:{group}", quoted(key))?,
                Member::Or(branches) => write!(f, "{comma}\"$or\":{}", List(branches))?,
            }
        }
        f.write_str("}")
    }
}

/// An array as JSON.
pub(super) struct List<'a, T>(pub(super) &'a [T]);

impl<T: fmt::Display> fmt::Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (at, item) in self.0.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{item}")?;
        }
        f.write_str("]")
    }
}
