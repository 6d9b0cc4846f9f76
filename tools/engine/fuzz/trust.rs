//! Whatever a repository says, altered or under good signatures, is refused with a code or offers bundles that a board can
//! fetch; and what the board remembers of it can always be read again.
#![no_main]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};

// What the world of the tests asks its crate for.
use edgerun::{clock, data, model, storage, trust};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tough::editor::signed::SignedRole;
use tough::schema::{Role, Root, Snapshot, Targets, Timestamp};

#[allow(dead_code)]
#[path = "../../../src/trust/tests/world.rs"]
mod world;

use storage::{FileName, MemoryStorage, Storage as _};
use trust::{RepositoryPath, TrustError};
use world::{DAY, Keys, NOW, V1, V2, World};

/// The files that are altered.
const FILES: [&str; 4] = ["timestamp.json", "2.snapshot.json", "2.targets.json", "2.root.json"];

/// A repository as it should be, and what a board remembers that has seen all of it but its second root.
struct Good {
    files: BTreeMap<String, Vec<u8>>,
    memory: Vec<u8>,
}

fn kept() -> FileName {
    FileName::new("trust.json").expect("a plain name")
}

fn good() -> &'static Good {
    static GOOD: OnceLock<Good> = OnceLock::new();
    GOOD.get_or_init(|| {
        let mut world = World::new();
        world.publish(2, &[(V1, vec![1; 100]), (V2, vec![2; 100])]);
        world.good();
        let memory = world.storage.read(&kept()).expect("readable").expect("there");
        let keys = world.keys.clone();
        world.rotate(keys);
        Good { files: world.all_files(), memory }
    })
}

/// That repository, and a board that knows it. Its root is still the first.
fn world() -> World {
    let good = good();
    let mut world = World::new();
    world.serve(&good.files);
    let storage = MemoryStorage::default();
    storage.replace(&kept(), &good.memory).expect("memory");
    world.storage = Arc::new(storage);
    world
}

/// Serves `text` under a good signature, whatever it says; `None` where it is no such role.
fn sign_and_serve(world: &World, file: usize, text: &[u8]) -> Option<()> {
    let Keys { targets, snapshot, timestamp, root } = &world.keys;
    match file {
        0 => {
            let role: SignedRole<Timestamp> = signed(world, text, timestamp)?;
            world.put("metadata/timestamp.json", role.buffer());
        }
        1 => {
            let role: SignedRole<Snapshot> = signed(world, text, snapshot)?;
            named_by_timestamp(world, &role);
        }
        2 => {
            let role: SignedRole<Targets> = signed(world, text, targets)?;
            let version = role.signed().signed.version.get();
            world.put(&format!("metadata/{version}.targets.json"), role.buffer());
            let snapshot = world::snapshot(version, NOW + 7 * DAY, world::meta(&role, version));
            let role = world::sign(snapshot, &world.root, &world.keys.snapshot);
            named_by_timestamp(world, &role);
        }
        _ => {
            let role: SignedRole<Root> = signed(world, text, root)?;
            world.put("metadata/2.root.json", role.buffer());
        }
    }
    Some(())
}

fn named_by_timestamp(world: &World, snapshot: &SignedRole<Snapshot>) {
    let version = snapshot.signed().signed.version.get();
    world.put(&format!("metadata/{version}.snapshot.json"), snapshot.buffer());
    let meta = world::meta(snapshot, version);
    let role = world::timestamp(3, NOW + 7 * DAY, NOW, meta);
    let role = world::sign(role, &world.root, &world.keys.timestamp);
    world.put("metadata/timestamp.json", role.buffer());
}

fn signed<R: Role + Serialize + DeserializeOwned + Clone>(
    world: &World,
    text: &[u8],
    keys: &[world::Key],
) -> Option<SignedRole<R>> {
    let role: R = serde_json::from_slice(text).ok()?;
    world::try_sign(role, &world.root, keys)
}

/// Every refusal that has a name; a fault of this machine is none.
fn named(error: &TrustError) {
    let known = [
        "bad_signature",
        "expired_metadata",
        "rolled_back_metadata",
        "too_large",
        "fetch_failed",
        "not_found",
    ];
    assert!(known.contains(&error.code()), "{}: {error}", error.code());
}

/// Genuine inputs, for a fuzzer that begins.
fn write_seeds() {
    let Some(folder) = std::env::var_os("EDGERUN_FUZZ_SEEDS") else { return };
    for (number, file) in FILES.iter().enumerate() {
        let text = &good().files[&format!("metadata/{file}")];
        let role: serde_json::Value = serde_json::from_slice(text).expect("JSON");
        let said = serde_json::to_vec(&role["signed"]).expect("JSON");
        for (kind, text) in [(number, text), (number + FILES.len(), &said)] {
            let seed = [&[kind as u8][..], text].concat();
            fs::write(Path::new(&folder).join(format!("{kind}-{file}")), seed).expect("written");
        }
    }
}

fuzz_target!(init: write_seeds(), |bytes: &[u8]| {
    let Some((choice, text)) = bytes.split_first() else { return };
    let (file, genuine) = (usize::from(*choice) % FILES.len(), *choice & 4 != 0);
    let world = world();
    if genuine {
        if sign_and_serve(&world, file, text).is_none() {
            return;
        }
    } else {
        world.put(&format!("metadata/{}", FILES[file]), text);
    }
    match world.check() {
        Ok(checked) => {
            for target in &checked.targets {
                assert_eq!(target.release.target_name().ok().as_ref(), Some(&target.name));
                let path = format!("targets/{}.{}", target.sha256, target.name);
                assert!(RepositoryPath::new(&path).is_some(), "{path}");
            }
        }
        Err(error) => named(&error),
    }
    world.serve(&good().files);
    match world.check() {
        Ok(checked) => assert!(!checked.state_was_lost),
        Err(error) => named(&error),
    }
});
