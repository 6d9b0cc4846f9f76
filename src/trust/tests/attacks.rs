//! What TUF is for: each attack ends with the right code, and the board goes on afterwards.

use super::world::*;
use crate::trust::TrustError;

#[test]
fn a_good_repository_is_offered_and_fetched() {
    let world = World::seen();
    let checked = world.good();
    let names: Vec<_> = checked.targets.iter().map(|target| target.name.to_string()).collect();
    assert_eq!(names, [V1, V2]);
    assert_eq!(checked.versions_of("gestures").next().expect("one").name.to_string(), V2);
    assert_eq!(checked.issued, Some(NOW));
    assert_eq!(world.update(V2).expect("the bundle"), vec![2; 100_000]);
    assert!(!checked.wrote, "nothing was new");
}

type Edit = fn(&mut Vec<u8>);

#[test]
fn arbitrary_software_is_refused() {
    let cases: [(&str, Edit); 3] = [
        ("one bit flipped", |bytes| bytes[5_000] ^= 1),
        ("cut short", |bytes| bytes.truncate(50_000)),
        ("replaced", |bytes| bytes.fill(7)),
    ];
    for (case, edit) in cases {
        let world = World::seen();
        world.edit(&format!(".{V2}"), edit);
        assert_eq!(world.code(V2), "bad_signature", "{case}");
    }
    let world = World::seen();
    world.edit(&format!(".{V2}"), |bytes| bytes.push(0));
    assert_eq!(world.code(V2), "too_large");
    assert_eq!(world.code("gestures-9.9.9.edge"), "not_found");
    world.files.files.lock().unwrap().retain(|path, _| !path.ends_with(V2));
    assert_eq!(world.code(V2), "fetch_failed");
}

#[test]
fn altered_metadata_is_refused() {
    let world = World::seen();
    world.replace_text("timestamp.json", "\"version\": 2", "\"version\": 3");
    assert_eq!(world.code(V2), "bad_signature");
    let world = World::seen();
    world.edit("2.snapshot.json", |bytes| *bytes.last_mut().unwrap() = b' ');
    assert_eq!(world.code(V2), "bad_signature");
    let world = World::seen();
    world.edit("2.targets.json", |bytes| {
        let at = bytes.iter().position(|byte| *byte == b'1').unwrap();
        bytes[at] = b'7';
    });
    assert_eq!(world.code(V2), "bad_signature");
}

#[test]
fn a_captive_portal_is_a_failed_fetch_with_a_hint() {
    let world = World::seen();
    world.put("metadata/timestamp.json", b"<html>please log in</html>");
    let error = world.update(V2).unwrap_err();
    assert_eq!(error.code(), "fetch_failed");
    assert!(error.to_string().contains("a login first"), "{error}");
    // The same for the file that every check asks for first.
    world.put("metadata/2.root.json", b"<html>please log in</html>");
    assert_eq!(world.code(V2), "fetch_failed");
}

#[test]
fn an_older_repository_is_a_roll_back() {
    let world = World::new();
    let old = world.all_files();
    world.publish(2, &[(V2, vec![2; 10])]);
    world.good();
    world.serve(&old);
    assert_eq!(world.code(V1), "rolled_back_metadata");
}

#[test]
fn new_metadata_that_names_old_is_a_roll_back() {
    let world = World::seen();
    // A thief of the timestamp key alone.
    let old = targets(1, NOW + 7 * DAY, &[(V1, vec![1; 100_000])]);
    let old = sign(old, &world.root, &world.keys.targets);
    let role = snapshot(1, NOW + 7 * DAY, meta(&old, 1));
    world.publish_snapshot(3, NOW + 7 * DAY, NOW, role);
    assert_eq!(world.code(V1), "rolled_back_metadata");
    // A thief of the snapshot key, too.
    let world = World::seen();
    let role = snapshot(3, NOW + 7 * DAY, meta(&old, 1));
    world.publish_snapshot(3, NOW + 7 * DAY, NOW, role);
    assert_eq!(world.code(V1), "rolled_back_metadata");
}

#[test]
fn a_freeze_is_noticed_when_the_timestamp_expires() {
    let world = World::seen();
    let error = world.check_at(synced(NOW + 8 * DAY)).map(|_| ()).unwrap_err();
    assert!(matches!(&error, TrustError::Expired { role: "targets" | "timestamp", .. }), "{error}");
    assert_eq!(error.code(), "expired_metadata");
    assert!(error.to_string().contains("edgerun repo publish"), "{error}");
}

#[test]
fn files_of_different_generations_do_not_mix() {
    let world = World::seen();
    let old = world.all_files();
    world.publish(3, &[(V2, vec![3; 10])]);
    world.put("metadata/3.snapshot.json", &old["metadata/2.snapshot.json"]);
    assert_eq!(world.code(V2), "bad_signature");
    // The same where the snapshot names a version and no digest.
    let world = World::seen();
    let stale = targets(1, NOW + 7 * DAY, &[(V1, vec![1; 100_000])]);
    let stale = sign(stale, &world.root, &world.keys.targets);
    let mut role = snapshot(3, NOW + 7 * DAY, meta(&stale, 3));
    let named = role.meta.get_mut("targets.json").unwrap();
    (named.hashes, named.length) = (None, None);
    world.put("metadata/3.targets.json", stale.buffer());
    world.publish_snapshot(3, NOW + 7 * DAY, NOW, role);
    assert_eq!(world.code(V1), "bad_signature");
}

#[test]
fn strangers_keys_sign_nothing() {
    let mut world = World::seen();
    let (root_1, keys) = (world.root.clone(), world.keys.clone());
    world.keys = Keys::new();
    world.root = root(&world.keys, 1, NOW + 365 * DAY);
    world.publish(3, &[(V2, vec![6; 10])]);
    assert_eq!(world.code(V2), "bad_signature");
    // The board goes on with the honest one.
    (world.root, world.keys) = (root_1, keys);
    world.publish(3, &[(V2, vec![3; 10])]);
    assert_eq!(world.update(V2).unwrap(), vec![3; 10]);
}

#[test]
fn endless_data_stops_at_the_limit_for_every_file() {
    let cases = [
        ("2.root.json", 64 << 10),
        ("timestamp.json", 16 << 10),
        ("3.snapshot.json", 32 << 10),
        ("3.targets.json", 320 << 10),
    ];
    for (file, limit) in cases {
        let world = World::seen();
        // Signed lengths are no limit: the keys that signed them may be stolen.
        let mut role = snapshot(
            3,
            NOW + DAY,
            meta(&sign(targets(3, NOW + DAY, &[]), &world.root, &world.keys.targets), 3),
        );
        let named = role.meta.get_mut("targets.json").unwrap();
        (named.hashes, named.length) = (None, Some(u64::MAX / 2));
        let role = sign(role, &world.root, &world.keys.snapshot);
        world.put("metadata/3.snapshot.json", role.buffer());
        let mut named = meta(&role, 3);
        (named.hashes, named.length) = (None, Some(u64::MAX / 2));
        let role = sign(timestamp(3, NOW + DAY, NOW, named), &world.root, &world.keys.timestamp);
        world.put("metadata/timestamp.json", role.buffer());
        world.fault(file, Fault::Endless);
        *world.files.served.lock().unwrap() = 0;
        assert_eq!(world.code(V2), "too_large", "{file}");
        let served = *world.files.served.lock().unwrap();
        assert!(served < limit + (64 << 10), "{file}: {served} bytes");
    }
    let world = World::seen();
    world.fault(V2, Fault::Endless);
    *world.files.served.lock().unwrap() = 0;
    assert_eq!(world.code(V2), "too_large");
    assert!(*world.files.served.lock().unwrap() < 400_000);
}

#[test]
fn a_dripping_server_loses_the_boards_patience() {
    let world = World::seen();
    world.fault(V2, Fault::Drip);
    let error = world.update(V2).unwrap_err();
    assert_eq!(error.code(), "fetch_failed");
    assert!(error.to_string().ends_with("too slow: 3 bytes within 60 s"), "{error}");
}

#[test]
fn odd_entries_are_left_out_and_hide_nothing() {
    let world = World::seen();
    let odd =
        ["../../escaped.edge", "/etc/evil", "a/b/c.edge", "x\0y.edge", "gestures\n.edge", "README"];
    let mut role = targets(3, NOW + 7 * DAY, &[(V2, vec![2; 100_000])]);
    for name in odd {
        role.targets.insert(tough::TargetName::new(name).unwrap(), target(V2, &[9; 10]));
    }
    let mut liar = target(V1, &[9; 10]);
    liar.custom.get_mut("edgerun").unwrap()["name"] = "another".into();
    role.targets.insert(tough::TargetName::new("gestures-3.0.0.edge").unwrap(), liar);
    let mut liar = target("gestures-4.0.0.edge", &[9; 10]);
    liar.custom.get_mut("edgerun").unwrap()["digest"] = "ab".repeat(32).into();
    role.targets.insert(tough::TargetName::new("gestures-4.0.0.edge").unwrap(), liar);
    let role = sign(role, &world.root, &world.keys.targets);
    world.publish_targets(3, NOW + 7 * DAY, NOW, &role);
    let checked = world.good();
    assert_eq!(checked.targets.len(), 1);
    assert_eq!(checked.ignored.len(), odd.len() + 2, "{:?}", checked.ignored);
    assert!(checked.ignored.iter().any(|(_, why)| why == "it calls itself another-1.0.0"));
    assert_eq!(world.update(V2).unwrap(), vec![2; 100_000]);
}

#[test]
fn a_fault_of_the_network_is_never_no_such_file() {
    let world = World::seen();
    for file in ["2.root.json", "timestamp.json"] {
        world.files.faults.lock().unwrap().clear();
        world.fault(file, Fault::Down);
        let error = world.update(V2).unwrap_err();
        assert_eq!(error.code(), "fetch_failed", "{file}");
        assert!(error.to_string().contains("the network is down"), "{error}");
    }
    // What is not there is another thing: for a root it means that there is no newer one.
    world.files.faults.lock().unwrap().clear();
    world.files.files.lock().unwrap().remove("metadata/timestamp.json");
    let error = world.update(V2).unwrap_err();
    assert_eq!(error.to_string(), "cannot fetch timestamp.json: there is no such file");
}
