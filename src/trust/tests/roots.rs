//! The chain of roots: rotation, thresholds, and a board that forgets nothing.

use super::world::*;
use crate::storage::{FileName, MemoryStorage};
use crate::trust::TrustStore;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn all_keys_can_be_replaced() {
    let mut world = World::seen();
    let before = world.store().root().unwrap();
    world.rotate(Keys::new());
    world.publish(3, &[(V2, vec![3; 10])]);
    assert_eq!(world.update(V2).unwrap(), vec![3; 10]);
    let after = world.store().root().unwrap();
    assert_eq!((before.version, after.version), (1, 2));
    assert_ne!(before.fingerprint, after.fingerprint);
    // A key of another role leaves the fingerprint as it is.
    world.rotate(Keys { timestamp: vec![Key::new()], ..world.keys.clone() });
    world.publish(4, &[(V2, vec![4; 10])]);
    assert_eq!(world.update(V2).unwrap(), vec![4; 10]);
    assert_eq!(world.store().root().unwrap().fingerprint, after.fingerprint);
}

/// Trap 1: from the shipped root, tough alone would accept the older repository.
#[test]
fn an_older_repository_is_refused_also_after_the_timestamp_key_was_replaced() {
    let mut world = World::new();
    world.rotate(Keys { timestamp: vec![Key::new()], ..world.keys.clone() });
    world.publish(5, &[(V1, vec![5; 10])]);
    let old = world.all_files();
    world.publish(6, &[(V1, vec![6; 10])]);
    world.good();
    world.serve(&old);
    assert_eq!(world.code(V1), "rolled_back_metadata");
}

#[test]
fn a_root_counts_although_its_timestamp_is_withheld() {
    let mut world = World::seen();
    world.rotate(Keys { targets: vec![Key::new()], ..world.keys.clone() });
    world.files.files.lock().unwrap().remove("metadata/timestamp.json");
    assert_eq!(world.code(V2), "fetch_failed");
    assert_eq!(world.store().root().unwrap().version, 2);
    // The attacker goes back to the files from before: the revoked key signs nothing any more.
    let stolen = World { keys: world.keys.clone(), root: world.root.clone(), ..World::new() };
    let role = sign(targets(3, NOW + DAY, &[]), &stolen.root, &stolen.keys.targets);
    world.put("metadata/3.targets.json", role.buffer());
    assert_ne!(world.code(V2), "accepted");
}

/// The text of a root that somebody else would like to be the next.
type Make = fn(&World, &Keys) -> Vec<u8>;

#[test]
fn a_root_needs_the_old_threshold_and_its_own() {
    let strangers = Keys::new();
    let cases: [(&str, Make); 5] = [
        ("strangers", |_, keys| {
            let new = root(keys, 2, NOW + DAY);
            sign(new.clone(), &new, &keys.root).buffer().clone()
        }),
        ("one of the old keys", |world, keys| {
            let new = root(keys, 2, NOW + DAY);
            cross(&world.root, &world.keys.root[..1], &new, &keys.root).buffer().clone()
        }),
        ("one of the old keys, twice", |world, keys| {
            let new = root(keys, 2, NOW + DAY);
            let signed = cross(&world.root, &world.keys.root[..1], &new, &keys.root);
            changed(signed.buffer(), |json| {
                let signatures = json["signatures"].as_array_mut().unwrap();
                signatures.push(signatures.last().unwrap().clone());
            })
        }),
        ("the old keys and one of the new", |world, keys| {
            let new = root(keys, 2, NOW + DAY);
            cross(&world.root, &world.keys.root, &new, &keys.root[..1]).buffer().clone()
        }),
        ("a version left out", |world, _| {
            let new = root(&world.keys, 3, NOW + DAY);
            sign(new.clone(), &new, &world.keys.root).buffer().clone()
        }),
    ];
    for (case, make) in cases {
        let world = World::seen();
        let text = make(&world, &strangers);
        world.put("metadata/2.root.json", &text);
        let code = world.code(V2);
        let expected =
            if case == "a version left out" { "rolled_back_metadata" } else { "bad_signature" };
        assert_eq!(code, expected, "{case}");
        assert_eq!(world.store().root().unwrap().version, 1, "{case}");
        // It was never kept, so the board goes on once it is gone.
        world.files.files.lock().unwrap().remove("metadata/2.root.json");
        assert_eq!(world.code(V2), "accepted", "{case}");
    }
}

#[test]
fn an_expired_root_that_nobody_replaced_is_refused() {
    let world = World::seen();
    let new = root(&world.keys, 2, NOW - DAY);
    world.put("metadata/2.root.json", sign(new.clone(), &new, &world.keys.root).buffer());
    assert_eq!(world.code(V2), "expired_metadata");
    let new = root(&world.keys, 3, NOW + DAY);
    world.put("metadata/3.root.json", sign(new.clone(), &new, &world.keys.root).buffer());
    assert_eq!(world.code(V2), "accepted");
}

/// Trap 5: tough's own limit would end this at 1023.
#[test]
fn a_board_that_slept_for_years_catches_up() {
    let mut world = World::new();
    for _ in 0..70 {
        world.rotate(world.keys.clone());
    }
    world.publish(2, &[(V2, vec![2; 10])]);
    assert_eq!(world.code(V2), "accepted");
    assert_eq!(world.store().root().unwrap().version, 71);
    // From here on it begins there.
    world.files.opened.lock().unwrap().clear();
    world.good();
    assert_eq!(world.files.opened.lock().unwrap()[0].0, "metadata/72.root.json");
    const { assert!(crate::trust::transport::LIMITS.max_root_updates > 4000) };
}

#[test]
fn a_stolen_timestamp_key_cannot_block_a_board_for_ever() {
    let mut world = World::seen();
    let years = 70 * 365 * DAY;
    world.publish_until(900, NOW + years, NOW + years - DAY, &[(V2, vec![2; 10])]);
    assert_eq!(world.code(V2), "expired_metadata", "by the thief's word it is late");
    world.publish(901, &[(V2, vec![9; 10])]);
    assert_eq!(world.code(V2), "expired_metadata", "and remains so");
    world.rotate(Keys {
        timestamp: vec![Key::new()],
        snapshot: vec![Key::new()],
        ..world.keys.clone()
    });
    world.publish(3, &[(V2, vec![3; 10])]);
    assert_eq!(world.update(V2).unwrap(), vec![3; 10]);
}

#[test]
fn another_repositorys_root_begins_anew_and_a_newer_one_of_the_same_goes_on() {
    let mut world = World::seen();
    let name = FileName::new("trust.json").unwrap();
    let kept = world.storage.read(&name).unwrap();
    // The same repository, a newer file: nothing is forgotten.
    world.rotate(Keys { timestamp: vec![Key::new()], ..world.keys.clone() });
    let old = world.all_files();
    world.publish(3, &[(V2, vec![3; 10])]);
    world.shipped = world.all_files()["metadata/2.root.json"].clone();
    assert_eq!(world.store().root().unwrap().version, 1, "until the next check");
    world.good();
    world.serve(&old);
    assert_ne!(world.code(V2), "accepted");
    // Another repository: its version 1 is younger than the old one's 900.
    let other = World::of(Keys::new());
    world.storage.replace(&name, &kept.unwrap()).unwrap();
    world.shipped.clone_from(&other.shipped);
    world.serve(&other.all_files());
    assert_eq!(world.code(V1), "accepted");
}

#[test]
fn a_root_file_that_is_none_is_named_at_once() {
    let world = World::new();
    let other = changed(&world.shipped, |json| json["signed"]["version"] = 7.into());
    for text in [&b""[..], b"{}", b"\xff", &world.shipped[..300], &other] {
        let storage = Arc::new(MemoryStorage::default());
        let error = TrustStore::new(storage, text, Duration::ZERO).map(|_| ()).unwrap_err();
        assert_eq!(error.code(), "bad_signature");
        assert!(error.to_string().contains("root.json"), "{error}");
    }
    assert_eq!(signed_root(&world.shipped).signed.version.get(), 1);
}
