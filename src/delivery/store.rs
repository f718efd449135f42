//! Deliveries and dead letters on disk, in a file of the crate redb.
//!
//! Invariants: what a commit has returned for is there after the process was killed or the power has failed; a failed commit changes
//! nothing, and the next one opens the file anew, as redb asks for after an error.

use std::{fmt, io, path::Path};

use redb::{
    CommitError, Database, DatabaseError, ReadableTable, StorageError, TableDefinition, TableError, TransactionError,
};

const DELIVERIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("deliveries");
const LETTERS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("dead letters");
/// The number of the next delivery, under 0.
const NEXT: TableDefinition<'_, u64, u64> = TableDefinition::new("next");

/// Why what must last could not be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} while {doing}{}", kind.remedy())]
pub struct StoreError {
    kind: StoreProblem,
    doing: &'static str,
    problem: Box<str>,
}

/// What kind of problem the disk has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreProblem {
    /// The disk is full. It goes on when there is room.
    Full,
    /// Another runtime has the file open.
    InUse,
    /// The file is damaged, or was not written by this library.
    Corrupt,
    /// Anything else that the system says.
    Io,
}

impl StoreProblem {
    fn remedy(self) -> &'static str {
        match self {
            Self::Full => "; make room on the disk",
            Self::InUse => "; another runtime has it open",
            Self::Corrupt => "; restore the file, or begin with another",
            Self::Io => "",
        }
    }
}

impl StoreError {
    /// What kind of problem it is.
    pub fn problem(&self) -> StoreProblem {
        self.kind
    }

    pub(super) fn corrupt(doing: &'static str, problem: &str) -> Self {
        Self { kind: StoreProblem::Corrupt, doing, problem: problem.into() }
    }

    fn of(doing: &'static str, error: redb::Error) -> Self {
        let kind = match &error {
            redb::Error::Io(error) if is_full(error) => StoreProblem::Full,
            redb::Error::DatabaseAlreadyOpen => StoreProblem::InUse,
            redb::Error::Corrupted(_) | redb::Error::UpgradeRequired(_) | redb::Error::TableTypeMismatch { .. } => {
                StoreProblem::Corrupt
            }
            redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => StoreProblem::Corrupt,
            _ => StoreProblem::Io,
        };
        Self { kind, doing, problem: error.to_string().into() }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

type Open = dyn Fn() -> Result<Database, DatabaseError> + Send;

/// The file.
pub(crate) struct Store {
    open: Box<Open>,
    /// None after an error, until it is opened again.
    database: Option<Database>,
}

/// Records by number, and those that are to go.
pub(super) type Changes = Vec<(u64, Option<Vec<u8>>)>;

/// What was found in the file.
pub(super) struct Saved {
    pub(super) next: u64,
    pub(super) deliveries: Vec<(u64, Vec<u8>)>,
    pub(super) letters: Vec<(u64, Vec<u8>)>,
}

impl Store {
    /// Opens a file, or makes it.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let path = path.to_owned();
        Self::with(move || Database::create(&path))
    }

    /// The same with another way to open it.
    pub(super) fn with(
        open: impl Fn() -> Result<Database, DatabaseError> + Send + 'static,
    ) -> Result<Self, StoreError> {
        let mut store = Self { open: Box::new(open), database: None };
        store.database()?;
        Ok(store)
    }

    fn database(&mut self) -> Result<&Database, StoreError> {
        if self.database.is_none() {
            let database = (self.open)().map_err(|error| StoreError::of("opening the store", error.into()))?;
            self.database = Some(database);
        }
        Ok(self.database.as_ref().expect("just opened"))
    }

    /// Everything in it.
    pub(super) fn load(&mut self) -> Result<Saved, StoreError> {
        let database = self.database()?;
        read(database).map_err(|error| StoreError::of("reading the store", error))
    }

    /// Makes changes last: all of them, or an error.
    pub(super) fn commit(&mut self, next: u64, deliveries: &Changes, letters: &Changes) -> Result<(), StoreError> {
        let database = self.database()?;
        write(database, next, deliveries, letters).map_err(|error| {
            self.database = None;
            StoreError::of("writing to the store", error)
        })
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("is_open", &self.database.is_some()).finish()
    }
}

#[expect(clippy::result_large_err, reason = "redb's own error, beside a disk")]
fn read(database: &Database) -> Result<Saved, redb::Error> {
    let reading = database.begin_read().map_err(|error: TransactionError| redb::Error::from(error))?;
    let all = |table: TableDefinition<'_, u64, &'static [u8]>| -> Result<Vec<(u64, Vec<u8>)>, redb::Error> {
        let table = match reading.open_table(table) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut records = Vec::new();
        for record in table.iter()? {
            let (number, bytes) = record?;
            records.push((number.value(), bytes.value().to_vec()));
        }
        Ok(records)
    };
    let next = match reading.open_table(NEXT) {
        Ok(table) => table.get(0)?.map_or(1, |next| next.value()),
        Err(TableError::TableDoesNotExist(_)) => 1,
        Err(error) => return Err(error.into()),
    };
    Ok(Saved { next, deliveries: all(DELIVERIES)?, letters: all(LETTERS)? })
}

#[expect(clippy::result_large_err, reason = "redb's own error, beside a disk")]
fn write(database: &Database, next: u64, deliveries: &Changes, letters: &Changes) -> Result<(), redb::Error> {
    let writing = database.begin_write().map_err(|error: TransactionError| redb::Error::from(error))?;
    for (table, changes) in [(DELIVERIES, deliveries), (LETTERS, letters)] {
        let mut table = writing.open_table(table)?;
        for (number, bytes) in changes {
            match bytes {
                Some(bytes) => {
                    drop(table.insert(number, &**bytes).map_err(|error: StorageError| redb::Error::from(error))?)
                }
                None => drop(table.remove(number)?),
            }
        }
    }
    writing.open_table(NEXT)?.insert(0, next)?;
    writing.commit().map_err(|error: CommitError| redb::Error::from(error))
}
