//! A bundle arrives whole, however often it is cut, and is fetched once.

use std::fs;

use super::world::*;
use crate::model::release::hex;
use crate::trust::{Checked, Patience, Target};
use sha2::{Digest, Sha256};

const BYTES: usize = 300_000;

fn bundle() -> Vec<u8> {
    (0..BYTES as u64).map(|n| (n.wrapping_mul(2_654_435_761) >> 7).to_le_bytes()[0]).collect()
}

fn published() -> (World, Checked, Target, tempfile::TempDir) {
    let world = World::new();
    world.publish(2, &[(V2, bundle())]);
    let checked = world.good();
    let target = checked.targets[0].clone();
    *world.files.served.lock().unwrap() = 0;
    world.files.opened.lock().unwrap().clear();
    (world, checked, target, tempfile::tempdir().unwrap())
}

fn served(world: &World) -> u64 {
    *world.files.served.lock().unwrap()
}

#[test]
fn a_cut_is_continued_where_it_was() {
    let (world, checked, target, dir) = published();
    world.fault(V2, Fault::Cut(70_000));
    let path = checked.download(&target, dir.path(), &mut |_| ()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bundle());
    assert_eq!(served(&world), BYTES as u64, "each byte once");
    let offsets: Vec<_> = world.files.opened.lock().unwrap().iter().map(|open| open.1).collect();
    assert_eq!(offsets, [0, 70_000, 140_000, 210_000, 280_000]);
}

#[test]
fn what_an_earlier_run_left_is_not_fetched_again() {
    let (world, checked, target, dir) = published();
    let part = dir.path().join(format!("{}.part", hex(&Sha256::digest(bundle()))));
    fs::write(&part, &bundle()[..200_000]).unwrap();
    let mut last = 0;
    let path = checked.download(&target, dir.path(), &mut |bytes| last = bytes).unwrap();
    assert_eq!((path, last), (part.clone(), BYTES as u64));
    assert_eq!(fs::read(&part).unwrap(), bundle());
    assert_eq!(served(&world), 100_000);
    // All of it is there: the network is not asked at all.
    world.fault(V2, Fault::Down);
    checked.download(&target, dir.path(), &mut |_| ()).unwrap();
    assert_eq!(served(&world), 100_000);
}

#[test]
fn a_server_without_ranges_sends_it_all_again_and_only_the_rest_counts() {
    let (world, checked, target, dir) = published();
    let part = dir.path().join(format!("{}.part", target.sha256));
    fs::write(&part, &bundle()[..200_000]).unwrap();
    world.fault(V2, Fault::NoRanges);
    let path = checked.download(&target, dir.path(), &mut |_| ()).unwrap();
    assert_eq!(fs::read(path).unwrap(), bundle());
}

#[test]
fn a_damaged_beginning_is_thrown_away_and_fetched_again() {
    let (world, checked, target, dir) = published();
    let part = dir.path().join(format!("{}.part", target.sha256));
    let mut damaged = bundle()[..200_000].to_vec();
    damaged[7] ^= 1;
    fs::write(&part, damaged).unwrap();
    let path = checked.download(&target, dir.path(), &mut |_| ()).unwrap();
    assert_eq!(fs::read(path).unwrap(), bundle());
    // One that is too long is no beginning either.
    fs::write(&part, vec![0; BYTES + 1]).unwrap();
    checked.download(&target, dir.path(), &mut |_| ()).unwrap();
    assert_eq!(fs::read(&part).unwrap(), bundle());
    drop(world);
}

#[test]
fn an_altered_bundle_leaves_nothing_behind_and_a_broken_network_leaves_the_beginning() {
    let (world, checked, target, dir) = published();
    let part = dir.path().join(format!("{}.part", target.sha256));
    world.edit(V2, |bytes| bytes[9] ^= 1);
    let error = checked.download(&target, dir.path(), &mut |_| ()).unwrap_err();
    assert_eq!(error.code(), "bad_signature");
    assert!(!part.exists());
    world.edit(V2, |bytes| bytes[9] ^= 1);
    world.fault(V2, Fault::Cut(0));
    fs::write(&part, &bundle()[..50_000]).unwrap();
    let error = checked.download(&target, dir.path(), &mut |_| ()).unwrap_err();
    assert_eq!(error.code(), "fetch_failed");
    assert_eq!(fs::metadata(&part).unwrap().len(), 50_000);
}

#[test]
fn bandwidth_is_kept_to() {
    let world = World::new();
    world.publish(2, &[(V2, bundle())]);
    let clock = std::sync::Arc::new(crate::clock::ManualClock::auto());
    let patience = Patience { bytes_per_s: Some(10_000), ..Patience::new(clock.clone()) };
    let checked = world.check_with(synced(NOW), patience).unwrap();
    let target = checked.targets[0].clone();
    let before = crate::clock::Clock::monotonic(&*clock);
    checked.fetch(&target, &mut std::io::sink()).unwrap();
    let took = crate::clock::Clock::monotonic(&*clock) - before;
    assert_eq!(took.as_secs(), 30);
}

#[test]
fn a_stop_ends_a_fetch() {
    let world = World::new();
    let patience = world.patience();
    let stop = patience.stop.clone();
    let checked = world.check_with(synced(NOW), patience).unwrap();
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let target = checked.targets[0].clone();
    let error = checked.fetch(&target, &mut std::io::sink()).unwrap_err();
    assert!(error.to_string().ends_with(": stopped"), "{error}");
}
