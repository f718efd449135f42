//! Tests of a key-value store after a power failure: the power is cut at every write in turn.
//! Another test fills the disk.
//!
//! Invariant under test: no acknowledged commit is lost, and none is half done.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]

use std::collections::BTreeMap;

use super::{Change, CommitError, File, KeyValue, Size};
use crate::disk::{Simulated, StoreError, StoreProblem, Survive};

/// A key and its new value. `None` deletes the key.
type Write = (Vec<u8>, Option<Vec<u8>>);
type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// The commits of the test. Each changes several keys.
fn commits() -> Vec<Vec<Write>> {
    let key = |number: usize| format!("key {}", number % 5).into_bytes();
    let value = |number: usize| (number % 4 != 3).then(|| vec![number as u8; 1 + 40 * number]);
    (0..10).map(|number| (0..3).map(|n| (key(number + n), value(number + n))).collect()).collect()
}

fn apply(model: &mut Model, commit: &[Write]) {
    for (key, value) in commit {
        match value {
            Some(value) => drop(model.insert(key.clone(), value.clone())),
            None => drop(model.remove(key)),
        }
    }
}

fn commit<'a>(store: &File, commit: &'a [Write]) -> Result<(), CommitError> {
    let change = |(key, value): &'a Write| match value {
        Some(value) => Change::set(key, value),
        None => Change::delete(key),
    };
    let changes: Vec<_> = commit.iter().map(change).collect();
    store.commit("n", &changes, Size::MAX)
}

/// All that a store holds. Checks its size too.
fn content(store: &File) -> Model {
    let keys = store.list("n", b"", b"", 100).unwrap();
    let model: Model = keys.into_iter().map(|key| (key.clone(), store.get("n", &key).unwrap().unwrap())).collect();
    let bytes = model.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum();
    assert_eq!(store.size("n").unwrap(), Size { entries: model.len() as u64, bytes });
    model
}

#[test]
fn a_power_cut_at_any_write_loses_no_commit_and_leaves_none_half_done() {
    let whole = Simulated::default();
    let store = File::on(whole.open().unwrap()).unwrap();
    let opened = whole.writes();
    let all = commits();
    assert!(all.iter().all(|changes| commit(&store, changes).is_ok()));
    let writes = whole.writes() - opened;
    assert!(writes > 30, "{writes}");
    for left in 0..writes {
        let disk = Simulated::default();
        let store = File::on(disk.open().unwrap()).unwrap();
        disk.cut_after(left);
        let acknowledged = all.iter().take_while(|changes| commit(&store, changes).is_ok()).count();
        let mut before = Model::new();
        all[..acknowledged].iter().for_each(|changes| apply(&mut before, changes));
        // The commit that was interrupted may have reached the disk, as a whole.
        let mut after = before.clone();
        apply(&mut after, &all[acknowledged]);
        for survive in [Survive::Nothing, Survive::Some(left), Survive::Some(left + writes)] {
            let found = content(&File::on(disk.after_the_cut(survive).open().unwrap()).unwrap());
            assert!(
                found == before || found == after,
                "cut at {left}, {survive:?}, {acknowledged} acknowledged: {found:?}"
            );
        }
    }
}

#[test]
fn a_full_disk_refuses_commits_and_takes_them_again_when_there_is_room() {
    let disk = Simulated::default();
    let store = File::on(disk.open().unwrap()).unwrap();
    commit(&store, &[(b"before".to_vec(), Some(b"x".to_vec()))]).unwrap();
    disk.fill();
    let large = |number: u32| vec![(number.to_le_bytes().to_vec(), Some(vec![7; 200_000]))];
    let mut model = content(&store);
    let refused = (0..100).find_map(|number| match commit(&store, &large(number)) {
        Ok(()) => {
            apply(&mut model, &large(number));
            None
        }
        Err(error) => Some(error),
    });
    let Some(CommitError::Store(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(error.downcast::<StoreError>().unwrap().problem(), StoreProblem::Full);
    assert_eq!(content(&store), model, "what was refused has changed nothing");
    disk.make_room();
    commit(&store, &large(1_000)).unwrap();
    apply(&mut model, &large(1_000));
    assert_eq!(content(&store), model);
}
