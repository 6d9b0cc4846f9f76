//! What tough once got wrong, by the numbers of its advisories: not again, and not through us.

use serde_json::json;

use super::world::*;

/// CVE-2025-2885 (a root that is not the next one): see `roots`. CVE-2020-15093 (a key that counts
/// twice): there, too, and here for the other roles.
#[test]
fn cve_2020_15093_a_key_counts_once_for_every_role() {
    let mut world = World::new();
    let keys = Keys { timestamp: vec![Key::new(), Key::new()], ..world.keys.clone() };
    let mut new = root(&keys, 2, NOW + 365 * DAY);
    let role = new.roles.get_mut(&tough::schema::RoleType::Timestamp).unwrap();
    role.threshold = std::num::NonZeroU64::new(2).unwrap();
    let signed = cross(&world.root, &world.keys.root, &new, &keys.root);
    world.put("metadata/2.root.json", signed.buffer());
    (world.root, world.keys) = (new, keys);
    world.publish(2, &[(V2, vec![2; 10])]);
    assert_eq!(world.code(V2), "accepted");
    let text = world.all_files()["metadata/timestamp.json"].clone();
    let twice = changed(&text, |json| {
        let signatures = json["signatures"].as_array_mut().unwrap();
        signatures.truncate(1);
        signatures.push(signatures[0].clone());
    });
    world.put("metadata/timestamp.json", &twice);
    assert_eq!(world.code(V2), "bad_signature");
}

/// CVE-2025-2888: a timestamp that is refused must not become the one that later ones are held to.
#[test]
fn cve_2025_2888_a_refused_timestamp_is_not_kept() {
    let world = World::seen();
    let honest = world.all_files();
    let old = sign(targets(1, NOW + DAY, &[]), &world.root, &world.keys.targets);
    world.publish_snapshot(50, NOW + DAY, NOW, snapshot(1, NOW + DAY, meta(&old, 1)));
    assert_eq!(world.code(V2), "rolled_back_metadata");
    world.serve(&honest);
    assert_eq!(world.code(V2), "accepted");
}

/// CVE-2025-2886, CVE-2025-2887, CVE-2026-6966, CVE-2026-6967, CVE-2021-41150: all need delegated
/// roles, and a board never fetches one.
#[test]
fn delegated_roles_are_never_fetched() {
    for name in ["evil", "../../../etc/passwd", "root"] {
        let world = World::seen();
        let mut role = targets(3, NOW + 7 * DAY, &[(V2, vec![2; 100_000])]);
        let root = serde_json::to_value(&world.root).unwrap();
        let (id, key) = root["keys"].as_object().unwrap().iter().next().unwrap();
        let delegated = json!({
            "name": name, "keyids": [id], "threshold": 1, "paths": ["*"], "terminating": false
        });
        let delegations = json!({ "keys": { id: key }, "roles": [delegated] });
        role.delegations = Some(serde_json::from_value(delegations).unwrap());
        let role = sign(role, &world.root, &world.keys.targets);
        world.put("metadata/3.targets.json", role.buffer());
        let mut listed = snapshot(3, NOW + 7 * DAY, meta(&role, 3));
        listed.meta.insert(format!("{name}.json"), meta(&role, 1));
        world.publish_snapshot(3, NOW + 7 * DAY, NOW, listed);
        let error = world.update(V2).unwrap_err();
        assert!(["fetch_failed", "too_large"].contains(&error.code()), "{name}: {error}");
        let opened = world.files.opened.lock().unwrap();
        assert!(!opened.iter().any(|(path, _)| path.contains("evil") || path.contains("passwd")));
    }
}

#[test]
fn delegations_are_refused_also_where_nothing_is_fetched_for_them() {
    let world = World::seen();
    let mut role = targets(3, NOW + 7 * DAY, &[(V2, vec![2; 100_000])]);
    let delegated =
        json!({ "name": "x", "keyids": [], "threshold": 1, "paths": ["*"], "terminating": false });
    let delegations = json!({ "keys": {}, "roles": [delegated] });
    role.delegations = Some(serde_json::from_value(delegations).unwrap());
    let role = sign(role, &world.root, &world.keys.targets);
    world.publish_targets(3, NOW + 7 * DAY, NOW, &role);
    assert_eq!(world.code(V2), "bad_signature");
}

/// CVE-2021-41149, CVE-2026-6968: names that lead elsewhere. `attacks` has those; no file of ours is
/// ever named by a target, only by a digest.
#[test]
fn a_download_is_named_by_its_digest() {
    let world = World::seen();
    let checked = world.good();
    let dir = tempfile::tempdir().unwrap();
    let path = checked.download(&checked.targets[0], dir.path(), &mut |_| ()).unwrap();
    assert_eq!(path, dir.path().join(format!("{}.part", checked.targets[0].sha256)));
}
