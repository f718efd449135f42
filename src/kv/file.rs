//! A durable key-value store, in a file of the crate redb.
//!
//! Invariants: when a commit has returned, its changes survive the death of the process and a power
//! failure. A commit that was refused has changed nothing. A commit that failed on disk has changed
//! all or nothing.

use std::{fmt, ops::Bound, path::Path};

use parking_lot::Mutex;
use redb::{Database, ReadTransaction, ReadableTable, TableDefinition, TableError};

use super::{
    Change, CommitError, KeyValue, Size,
    store::{settle, start},
};
use crate::{
    disk::{Disk, DiskError, StoreError},
    host_error::HostError,
};

const ENTRIES: TableDefinition<'_, (&str, &[u8]), &[u8]> = TableDefinition::new("key-value");
/// Entries and bytes of each namespace that is not empty.
const SIZES: TableDefinition<'_, &str, (u64, u64)> = TableDefinition::new("key-value sizes");

/// A [`KeyValue`] store in a file, with the feature `durable`. An invocation that writes ends when
/// its writes are on disk. This takes as long as the disk takes to sync. Commits of several threads
/// wait for each other. The file belongs to this store alone: it is not the file of
/// [`RuntimeBuilder::open`](crate::RuntimeBuilder::open).
///
/// ```
/// # let folder = std::env::temp_dir().join(format!("dormouse-doc-kv-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let path = folder.join("state");
/// use dormouse::kv::{Change, File, KeyValue, Size};
///
/// let store = File::open(&path)?;
/// store.commit("bot", &[Change::set(b"visits", b"7")], Size::MAX)?;
/// drop(store); // or a power cut
/// assert_eq!(File::open(&path)?.get("bot", b"visits")?.as_deref(), Some(&b"7"[..]));
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
pub struct File {
    disk: Disk,
    /// Admits one commit at a time: redb fails if one commit begins while another finds that the
    /// disk fails.
    turn: Mutex<()>,
}

impl File {
    /// Opens a file, or creates it.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be opened, or was not written by this library.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::on(Disk::open(path.as_ref())?)
    }

    pub(super) fn on(disk: Disk) -> Result<Self, StoreError> {
        let file = Self { disk, turn: Mutex::default() };
        // This finds a file whose tables have other types.
        file.read("opening the store", |reading| {
            sizes(reading)?;
            entries(reading)
        })?;
        Ok(file)
    }

    fn read<T>(
        &self,
        doing: &'static str,
        read: impl FnOnce(&ReadTransaction) -> Result<T, DiskError>,
    ) -> Result<T, StoreError> {
        self.disk.run(doing, |database| {
            let reading = database.begin_read()?;
            read(&reading)
        })
    }
}

/// A table. `None` if nothing was written to the file yet.
fn there<T>(table: Result<T, TableError>) -> Result<Option<T>, DiskError> {
    match table {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

type Sizes = redb::ReadOnlyTable<&'static str, (u64, u64)>;
type Entries = redb::ReadOnlyTable<(&'static str, &'static [u8]), &'static [u8]>;

fn entries(reading: &ReadTransaction) -> Result<Option<Entries>, DiskError> {
    there(reading.open_table(ENTRIES))
}

fn sizes(reading: &ReadTransaction) -> Result<Option<Sizes>, DiskError> {
    there(reading.open_table(SIZES))
}

impl KeyValue for File {
    fn get(&self, namespace: &str, key: &[u8]) -> Result<Option<Vec<u8>>, HostError> {
        let get = |reading: &ReadTransaction| {
            let Some(table) = entries(reading)? else { return Ok(None) };
            Ok(table.get((namespace, key))?.map(|value| value.value().to_vec()))
        };
        Ok(self.read("reading a value", get)?)
    }

    fn len(&self, namespace: &str, key: &[u8]) -> Result<Option<u64>, HostError> {
        let len = |reading: &ReadTransaction| {
            let Some(table) = entries(reading)? else { return Ok(None) };
            Ok(table.get((namespace, key))?.map(|value| value.value().len() as u64))
        };
        Ok(self.read("reading a value", len)?)
    }

    fn list(&self, namespace: &str, prefix: &[u8], after: &[u8], max: usize) -> Result<Vec<Vec<u8>>, HostError> {
        let list = |reading: &ReadTransaction| {
            let mut keys = Vec::new();
            let Some(table) = entries(reading)? else { return Ok(keys) };
            let from = start(prefix, after).map(|key| (namespace, key));
            for entry in table.range::<(&str, &[u8])>((from, Bound::Unbounded))?.take(max) {
                let (key, _) = entry?;
                let (owner, key) = key.value();
                if owner != namespace || !key.starts_with(prefix) {
                    break;
                }
                keys.push(key.to_vec());
            }
            Ok(keys)
        };
        Ok(self.read("listing keys", list)?)
    }

    fn size(&self, namespace: &str) -> Result<Size, HostError> {
        let size = |reading: &ReadTransaction| {
            let Some(table) = sizes(reading)? else { return Ok(Size::default()) };
            Ok(table.get(namespace)?.map_or_else(Size::default, |size| of(size.value())))
        };
        Ok(self.read("reading the size of a namespace", size)?)
    }

    fn commit(&self, namespace: &str, changes: &[Change<'_>], quota: Size) -> Result<(), CommitError> {
        // The inner result is what the store says, the outer one what the disk says.
        let _turn = self.turn.lock();
        let done = self.disk.run("writing to the store", |database| write(database, namespace, changes, quota));
        done.unwrap_or_else(|error| Err(CommitError::Store(error.into())))
    }
}

fn of((entries, bytes): (u64, u64)) -> Size {
    Size { entries, bytes }
}

/// Writes in one transaction. A transaction that is not committed has changed nothing.
fn write(
    database: &Database,
    namespace: &str,
    changes: &[Change<'_>],
    quota: Size,
) -> Result<Result<(), CommitError>, DiskError> {
    let writing = database.begin_write()?;
    {
        let mut entries = writing.open_table(ENTRIES)?;
        let mut sizes = writing.open_table(SIZES)?;
        let before = sizes.get(namespace)?.map_or_else(Size::default, |size| of(size.value()));
        let mut failed = None;
        let settled = settle(changes, before, quota, |change| match entries.get((namespace, change.key)) {
            Ok(found) => change.check(found.as_ref().map(|value| value.value())),
            Err(error) => {
                let text = error.to_string();
                failed = Some(error);
                Err(CommitError::Store(text.into()))
            }
        });
        let size = match (settled, failed) {
            (_, Some(error)) => return Err(error.into()),
            (Err(refused), None) => return Ok(Err(refused)),
            (Ok(size), None) => size,
        };
        for change in changes {
            match change.value {
                Some(value) => drop(entries.insert((namespace, change.key), value)?),
                None => drop(entries.remove((namespace, change.key))?),
            }
        }
        if size.entries == 0 {
            sizes.remove(namespace)?;
        } else {
            sizes.insert(namespace, (size.entries, size.bytes))?;
        }
    }
    writing.commit()?;
    Ok(Ok(()))
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("File").field(&self.disk).finish()
    }
}
