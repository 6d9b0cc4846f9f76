//! Trap 3: a board's clock is in 1970, goes back, was in 2099 once; updates go on, and expiry counts.

use super::world::*;
use crate::trust::Verdict;

const YEARS: u64 = 365 * DAY;

#[test]
fn a_board_in_1970_takes_updates_and_says_that_it_does_not_know_the_time() {
    let world = World::new();
    assert_eq!(world.check_at(unsynced(5)).unwrap().verdict, Verdict::TimeUnknown);
    assert_eq!(world.good().verdict, Verdict::Fresh);
    // A time server that says 1970 is no better than none.
    assert_eq!(world.check_at(synced(1_000)).unwrap().verdict, Verdict::TimeUnknown);
}

#[test]
fn a_clock_that_goes_back_by_seconds_or_years_stops_nothing() {
    let world = World::seen();
    for now in [NOW - 10, NOW - 300, NOW - 3_000] {
        assert_eq!(world.check_at(synced(now)).unwrap().verdict, Verdict::Fresh);
    }
    assert_eq!(world.check_at(unsynced(0)).unwrap().verdict, Verdict::TimeUnknown);
}

#[test]
fn expired_metadata_is_not_revived_by_turning_the_clock_back() {
    let world = World::new();
    world.publish_until(2, NOW + DAY, NOW, &[(V2, vec![2; 10])]);
    world.check_at(synced(NOW + 2 * DAY)).map(|_| ()).unwrap_err();
    for now in [unsynced(0), unsynced(NOW), synced(1_000)] {
        let error = world.check_at(now).map(|_| ()).unwrap_err();
        assert_eq!(error.code(), "expired_metadata");
    }
}

#[test]
fn what_expired_before_the_program_was_built_is_expired_on_every_clock() {
    let world = World::new();
    world.publish_until(2, BUILD - 1, BUILD - DAY, &[(V2, vec![2; 10])]);
    assert_eq!(world.check_at(unsynced(0)).map(|_| ()).unwrap_err().code(), "expired_metadata");
}

#[test]
fn a_mistaken_2099_heals() {
    let world = World::seen();
    // While the clock is wrong everything looks expired.
    let error = world.check_at(synced(NOW + 70 * YEARS)).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "expired_metadata");
    // Right again and synchronised: as if nothing had been.
    assert_eq!(world.good().verdict, Verdict::Fresh);
    assert_eq!(world.check_at(unsynced(0)).unwrap().verdict, Verdict::TimeUnknown);
}

#[test]
fn a_mistaken_2099_blocks_an_unsynchronised_board_until_fresh_files_come_a_month_later() {
    let world = World::seen();
    world.check_at(synced(NOW + 70 * YEARS)).map(|_| ()).unwrap_err();
    assert_eq!(world.check_at(unsynced(0)).map(|_| ()).unwrap_err().code(), "expired_metadata");
    let later = NOW + 31 * DAY;
    world.publish_until(3, later + 7 * DAY, later, &[(V2, vec![3; 10])]);
    assert_eq!(world.check_at(unsynced(0)).unwrap().verdict, Verdict::TimeUnknown);
}

#[test]
fn toughs_own_memory_of_the_time_is_never_kept() {
    let world = World::seen();
    let name = crate::storage::FileName::new("trust.json").unwrap();
    let kept = String::from_utf8(world.storage.read(&name).unwrap().unwrap()).unwrap();
    assert!(!kept.contains("latest_known_time"));
}
