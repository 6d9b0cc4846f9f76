//! Trap 2: wherever the power goes, a board knows what it knew or more, and takes no older repository.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::world::*;
use crate::storage::{FileName, MemoryStorage, Storage, StorageError};
use crate::trust::state::State;

/// A folder on a disk that loses power: what was not fsynced may be lost or torn.
#[derive(Default)]
struct FlakyStorage(Mutex<Disk>);

#[derive(Default)]
struct Disk {
    files: HashMap<FileName, Vec<u8>>,
    /// Steps until the power goes; `None` for never.
    left: Option<u32>,
    seed: u64,
    writes: u32,
    bytes: usize,
}

impl Disk {
    fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.seed >> 33
    }

    /// One step of a write; false when the power went.
    fn step(&mut self) -> bool {
        match &mut self.left {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }
}

fn no_power() -> StorageError {
    let source = std::io::Error::other("the power went");
    StorageError { doing: "replace", path: "trust.json".into(), source }
}

impl Storage for FlakyStorage {
    fn read(&self, name: &FileName) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(self.0.lock().unwrap().files.get(name).cloned())
    }

    /// As `DirStorage`: write another file, fsync it, rename it, fsync the folder.
    fn replace(&self, name: &FileName, bytes: &[u8]) -> Result<(), StorageError> {
        let mut disk = self.0.lock().unwrap();
        (disk.writes, disk.bytes) = (disk.writes + 1, bytes.len());
        for _ in ["create", "write", "fsync"] {
            // The other file is torn; nobody reads it.
            if !disk.step() {
                return Err(no_power());
            }
        }
        let renamed = disk.step();
        let durable = renamed && disk.step();
        // A rename that was not made durable holds or does not hold.
        if durable || (renamed && disk.random().is_multiple_of(2)) {
            disk.files.insert(name.clone(), bytes.to_vec());
        }
        if durable { Ok(()) } else { Err(no_power()) }
    }
}

#[test]
fn after_any_power_cut_the_board_knows_the_old_or_the_new_and_nothing_older() {
    let name = FileName::new("trust.json").unwrap();
    let mut world = World::new();
    let first = world.all_files();
    world.publish(2, &[(V2, vec![2; 10])]);
    let second = world.all_files();
    let mut cuts = 0;
    for seed in 1..=8 {
        for left in 0..=6 {
            let storage = Arc::new(FlakyStorage::default());
            world.storage = storage.clone();
            world.serve(&first);
            world.good();
            let before = State::decode(&storage.read(&name).unwrap().unwrap()).unwrap();

            world.serve(&second);
            storage.0.lock().unwrap().left = Some(left);
            storage.0.lock().unwrap().seed = seed;
            let done = world.check().is_ok();
            cuts += u32::from(!done);
            storage.0.lock().unwrap().left = None;

            let after = State::decode(&storage.read(&name).unwrap().unwrap()).expect("never torn");
            let moved = before.differs(&after);
            assert!(moved || !done, "what was reported is kept");
            if moved {
                world.serve(&first);
                assert_eq!(world.code(V1), "rolled_back_metadata");
                world.serve(&second);
            }
            assert_eq!(world.code(V2), "accepted");
        }
    }
    assert_eq!(cuts, 8 * 5);
}

#[test]
fn nothing_is_written_while_nothing_is_new_and_little_when_something_is() {
    let storage = Arc::new(FlakyStorage::default());
    let world = World { storage: storage.clone(), ..World::new() };
    for _ in 0..5 {
        world.good();
    }
    assert_eq!(storage.0.lock().unwrap().writes, 1);
    for version in 2..6 {
        world.publish(version, &[(V2, vec![2; 10])]);
        world.good();
        world.good();
    }
    let disk = storage.0.lock().unwrap();
    assert_eq!(disk.writes, 5);
    assert!(disk.bytes < 8_000, "{} bytes", disk.bytes);
}

#[test]
fn a_damaged_state_begins_anew_and_says_so() {
    let world = World::seen();
    let name = FileName::new("trust.json").unwrap();
    let mut bytes = world.storage.read(&name).unwrap().unwrap();
    bytes[500] ^= 4;
    world.storage.replace(&name, &bytes).unwrap();
    let checked = world.good();
    assert!(checked.state_was_lost && checked.wrote);
    assert!(!world.good().state_was_lost);
}

#[test]
fn a_medium_that_cannot_be_written_offers_nothing() {
    let storage = Arc::new(FlakyStorage::default());
    storage.0.lock().unwrap().left = Some(0);
    let world = World { storage, ..World::new() };
    assert_eq!(world.check().map(|_| ()).unwrap_err().code(), "internal");
    let world = World { storage: Arc::new(MemoryStorage::default()), ..world };
    assert_eq!(world.code(V1), "accepted");
}
