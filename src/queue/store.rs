//! Deliveries and dead letters on disk.
//!
//! Invariant: when a commit has returned, its changes survive the death of the process and a power
//! failure. A commit that fails changes nothing.

use std::path::Path;

use redb::{Database, ReadableTable, TableDefinition, TableError};

use super::hub::Changes;
use crate::disk::{Disk, DiskError, StoreError};

const DELIVERIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("deliveries");
const LETTERS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("dead letters");
/// The number of the next delivery, under the key 0.
const NEXT: TableDefinition<'_, u64, u64> = TableDefinition::new("next");

/// The file with all deliveries and dead letters.
#[derive(Debug)]
pub(crate) struct Store(Disk);

/// The content of the file.
pub(super) struct Saved {
    pub(super) next: u64,
    pub(super) deliveries: Vec<(u64, Vec<u8>)>,
    pub(super) letters: Vec<(u64, Vec<u8>)>,
}

impl Store {
    /// Opens a file, or creates it.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        Disk::open(path).map(Self)
    }

    #[cfg(test)]
    pub(crate) fn on(disk: Disk) -> Self {
        Self(disk)
    }

    /// Reads the whole content.
    pub(super) fn load(&self) -> Result<Saved, StoreError> {
        self.0.run("reading the store", read)
    }

    /// Writes all changes durably, or returns an error.
    pub(crate) fn commit(&self, next: u64, deliveries: &Changes, letters: &Changes) -> Result<(), StoreError> {
        self.0.run("writing to the store", |database| write(database, next, deliveries, letters))
    }
}

fn read(database: &Database) -> Result<Saved, DiskError> {
    let reading = database.begin_read()?;
    let all = |table: TableDefinition<'_, u64, &'static [u8]>| -> Result<Vec<(u64, Vec<u8>)>, DiskError> {
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

fn write(database: &Database, next: u64, deliveries: &Changes, letters: &Changes) -> Result<(), DiskError> {
    let writing = database.begin_write()?;
    for (table, changes) in [(DELIVERIES, deliveries), (LETTERS, letters)] {
        let mut table = writing.open_table(table)?;
        for (number, bytes) in changes {
            match bytes {
                Some(bytes) => drop(table.insert(number, &**bytes)?),
                None => drop(table.remove(number)?),
            }
        }
    }
    writing.open_table(NEXT)?.insert(0, next)?;
    writing.commit()?;
    Ok(())
}
