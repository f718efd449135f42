//! A file of the crate redb, and what can go wrong with it.
//!
//! Invariants: after an error the file is opened anew, as redb demands. A commit is durable when it
//! returns: it is there after the process was killed or the power failed.

#[cfg(test)]
mod simulated;

use std::{
    fmt,
    fs::{self, OpenOptions},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{self, Path},
    sync::atomic::{AtomicBool, Ordering},
};

use parking_lot::RwLock;
use redb::{Database, DatabaseError, StorageBackend, backends::FileBackend};
#[cfg(test)]
pub(crate) use simulated::{Simulated, Survive};

/// Why a durable store could not be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} while {doing}{}", kind.remedy())]
pub struct StoreError {
    kind: StoreProblem,
    doing: &'static str,
    problem: Box<str>,
}

/// The kind of a problem with a store's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreProblem {
    /// The disk is full. The store works again when there is room.
    Full,
    /// Another runtime or store has the file open.
    InUse,
    /// The file is damaged, or another program has written it.
    Corrupt,
    /// Any other error of the system.
    Io,
}

impl StoreProblem {
    fn remedy(self) -> &'static str {
        match self {
            Self::Full => "; make room on the disk",
            Self::InUse => "; another runtime or store has it open",
            Self::Corrupt => "; restore the file, or begin with another",
            Self::Io => "",
        }
    }
}

impl StoreError {
    /// The kind of the problem.
    pub fn problem(&self) -> StoreProblem {
        self.kind
    }

    pub(crate) fn corrupt(doing: &'static str, problem: &str) -> Self {
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

/// Any of redb's errors, which are large.
pub(crate) struct DiskError(Box<redb::Error>);

impl<E: Into<redb::Error>> From<E> for DiskError {
    fn from(error: E) -> Self {
        Self(Box::new(error.into()))
    }
}

type Open = dyn Fn() -> Result<Database, DatabaseError> + Send + Sync;

/// A file, from any thread.
pub(crate) struct Disk {
    open: Box<Open>,
    /// `None` after an error, until the file is opened again.
    database: RwLock<Option<Database>>,
}

/// Opens a file, or makes all of it or nothing. A process that is killed while redb makes a file
/// leaves one that redb refuses for ever. So the file is made under another name, with `.making`
/// behind its own, and renamed when it is whole. The process that makes the file has the lock on it
/// from the first moment.
fn create(path: &Path) -> Result<Database, DatabaseError> {
    if path.as_os_str().is_empty() || path.exists() {
        return Database::create(path);
    }
    let mut making = path.as_os_str().to_owned();
    making.push(".making");
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&making)?;
    let backend = FileBackend::new(file)?;
    // Another process may have made the file in between. None can now, as that takes the lock.
    if path.exists() {
        let _ = fs::remove_file(&making);
        return Database::create(path);
    }
    // A process that was killed here may have left something in the file.
    backend.set_len(0)?;
    let database = Database::builder().create_with_backend(backend)?;
    fs::rename(&making, path)?;
    // The file's name must be as durable as the commits in it.
    #[cfg(unix)]
    {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(database)
}

impl Disk {
    /// Opens a file, or makes it.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        // An absolute path means the same file in whatever folder the process is. A file that is
        // gone is never replaced by an empty one.
        let path = path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let made = AtomicBool::new(false);
        Self::with(move || {
            let database = if made.load(Ordering::Relaxed) { Database::open(&path) } else { create(&path) }?;
            made.store(true, Ordering::Relaxed);
            Ok(database)
        })
    }

    /// The same with another way to open the database.
    pub(crate) fn with(
        open: impl Fn() -> Result<Database, DatabaseError> + Send + Sync + 'static,
    ) -> Result<Self, StoreError> {
        let disk = Self { open: Box::new(open), database: RwLock::new(None) };
        disk.reopen()?;
        Ok(disk)
    }

    fn reopen(&self) -> Result<(), StoreError> {
        let mut database = self.database.write();
        if database.is_none() {
            const DOING: &str = "opening the store";
            // For some damaged files redb returns no error and panics.
            let opened = catch_unwind(AssertUnwindSafe(|| (self.open)()));
            let opened = opened.map_err(|_| StoreError::corrupt(DOING, "the crate redb panicked"))?;
            *database = Some(opened.map_err(|error| StoreError::of(DOING, error.into()))?);
        }
        Ok(())
    }

    /// Runs an operation on the database.
    ///
    /// # Errors
    /// The operation's error, or that the file cannot be opened again.
    pub(crate) fn run<T>(
        &self,
        doing: &'static str,
        run: impl FnOnce(&Database) -> Result<T, DiskError>,
    ) -> Result<T, StoreError> {
        loop {
            let database = self.database.read();
            let Some(open) = &*database else {
                drop(database);
                self.reopen()?;
                continue;
            };
            let done = run(open);
            drop(database);
            return done.map_err(|error| {
                *self.database.write() = None;
                StoreError::of(doing, *error.0)
            });
        }
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("is_open", &self.database.read().is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]

    use super::*;

    #[test]
    fn a_file_that_is_gone_is_not_begun_anew_after_an_error() {
        let path = std::env::temp_dir().join(format!("dormouse-disk-{}", std::process::id()));
        let disk = Disk::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let failing = |_: &Database| -> Result<(), DiskError> { Err(redb::Error::Corrupted("a test".into()).into()) };
        disk.run("failing", failing).unwrap_err();
        assert_eq!(disk.run("looking", |_| Ok(())).unwrap_err().problem(), StoreProblem::Io);
        assert!(!path.exists());
    }
}
