use proptest::prelude::*;

use super::*;

fn bundle(n: u8) -> Installed {
    Installed {
        version: semver::Version::new(1, n.into(), 0),
        digest: Digest::new(&[n; 32]),
        origin: Origin::Repository,
    }
}

fn candidate(n: u8) -> Candidate {
    Candidate { bundle: bundle(n), length: 1000 }
}

/// A record with 1.1 before 1.2, which serves, and an update to 1.3 in `phase`.
fn underway(phase: Phase) -> Record {
    let mut record =
        Record { current: Some(bundle(2)), previous: Some(bundle(1)), ..Record::default() };
    record.begin(candidate(3), "boot-1");
    if phase != Phase::Fetching {
        record.enter(phase, "boot-1");
    }
    record
}

const PHASES: [Phase; 6] = [
    Phase::Fetching,
    Phase::Verifying,
    Phase::SelfTesting,
    Phase::Shadowing,
    Phase::Activating,
    Phase::Trial,
];

fn failure(code: Code) -> Failure {
    Failure::new(code, "words")
}

#[test]
fn the_new_one_serves_from_the_trial_on_and_stays_when_it_is_good() {
    let mut record = underway(Phase::Activating);
    assert_eq!(record.current, Some(bundle(2)));
    record.enter(Phase::Trial, "boot-1");
    assert_eq!((&record.current, &record.previous), (&Some(bundle(3)), &Some(bundle(2))));
    record.commit("t");
    assert_eq!((&record.current, &record.previous), (&Some(bundle(3)), &Some(bundle(2))));
    assert_eq!(record.history[0].outcome, Outcome::Committed);
    assert_eq!(record.kept(), [2, 3].map(|n| bundle(n).digest).into());
}

#[test]
fn a_failure_leaves_everything_as_it_was_before() {
    for phase in PHASES {
        let mut record = underway(phase);
        let outcome = record.fail(failure(Code::SelfTestFailed), "t");
        let wanted = if phase == Phase::Trial { Outcome::Reverted } else { Outcome::Rejected };
        assert_eq!(outcome, wanted, "{phase:?}");
        assert_eq!((&record.current, &record.previous), (&Some(bundle(2)), &Some(bundle(1))));
        assert!(record.update.is_none());
        assert!(record.rejection(&bundle(3).digest).is_some());
    }
}

#[test]
fn only_a_bundles_own_fault_is_remembered_against_it() {
    for (code, condemned) in [
        (Code::FetchFailed, false),
        (Code::NoSpace, false),
        (Code::NoMemory, false),
        (Code::Incompatible, false),
        (Code::ShadowDisagreed, true),
        (Code::TrialFailed, true),
    ] {
        let mut record = underway(Phase::Shadowing);
        record.fail(failure(code), "t");
        assert_eq!(record.rejection(&bundle(3).digest).is_some(), condemned, "{code:?}");
    }
}

#[test]
fn what_crashes_the_process_is_found_guilty_after_the_second_time() {
    for phase in [Phase::Shadowing, Phase::Activating, Phase::Trial] {
        let mut record = underway(phase);
        assert_eq!(record.resume("boot-1", "t"), Resume::From(phase));
        let Resume::Ended(outcome, why) = record.resume("boot-1", "t") else {
            panic!("{phase:?} is tried for ever")
        };
        assert_eq!(outcome == Outcome::Reverted, phase == Phase::Trial);
        assert!(why.message.starts_with("edgerun crashed 2 times while"), "{why}");
        assert_eq!((&record.current, &record.previous), (&Some(bundle(2)), &Some(bundle(1))));
    }
    // Nothing of the bundle runs in this process there.
    for phase in [Phase::Fetching, Phase::Verifying, Phase::SelfTesting] {
        let mut record = underway(phase);
        for _ in 0..50 {
            assert_eq!(record.resume("boot-1", "t"), Resume::From(phase));
        }
    }
}

#[test]
fn stops_are_no_crashes_and_power_cuts_are_forgiven_for_longer() {
    let mut record = underway(Phase::Trial);
    for _ in 0..50 {
        assert!(record.stop());
        assert!(!record.stop(), "written once");
        assert_eq!(record.resume("boot-1", "t"), Resume::From(Phase::Trial));
    }
    for boot in 0..BOOTS_FORGIVEN {
        assert_eq!(record.resume(&format!("boot-x{boot}"), "t"), Resume::From(Phase::Trial));
    }
    assert!(matches!(record.resume("boot-last", "t"), Resume::Ended(Outcome::Reverted, _)));
}

#[test]
fn a_roll_back_needs_nothing_but_the_record_and_can_be_taken_back() {
    let mut record = underway(Phase::Trial);
    record.roll_back(None, "t").unwrap();
    assert_eq!((&record.current, &record.previous), (&Some(bundle(2)), &Some(bundle(3))));
    assert!(record.update.is_none());
    record.roll_back(None, "t").unwrap();
    assert_eq!((&record.current, &record.previous), (&Some(bundle(3)), &Some(bundle(2))));
    let mut fresh = Record { current: Some(bundle(1)), ..Record::default() };
    assert_eq!(fresh.roll_back(None, "t").unwrap_err().code, Code::NotFound);
    assert_eq!(fresh.current, Some(bundle(1)));
}

#[test]
fn only_a_few_versions_can_be_pinned() {
    let mut record = Record::default();
    assert_eq!(record.pin(None).unwrap_err().code, Code::NotFound);
    for number in 1..=4 {
        record.current = Some(bundle(number));
        assert_eq!(record.pin(None).unwrap(), bundle(number));
        assert_eq!(record.pin(None).unwrap(), bundle(number), "said twice");
    }
    record.current = Some(bundle(5));
    let full = record.pin(None).unwrap_err();
    assert_eq!(full.code, Code::NoSpace);
    record.unpin(Some(&bundle(2).version)).unwrap();
    record.pin(None).unwrap();
    let kept: Vec<_> = [1, 3, 4, 5].map(|number| bundle(number).digest).into();
    assert_eq!(record.kept().into_iter().collect::<Vec<_>>(), {
        let mut kept = kept;
        kept.sort();
        kept
    });
}

#[test]
fn the_first_version_of_a_model_has_nothing_to_return_to() {
    let mut record = Record::default();
    record.begin(candidate(1), "b");
    record.enter(Phase::Trial, "b");
    assert_eq!(record.current, Some(bundle(1)));
    record.fail(failure(Code::TrialFailed), "t");
    assert_eq!((&record.current, &record.previous), (&None, &None));
}

#[derive(Clone, Debug)]
enum Deed {
    Begin(u8),
    Enter,
    Resume(u8),
    Fail,
    Commit,
    RollBack,
    Stop,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        1 => (1u8..9).prop_map(Deed::Begin),
        4 => Just(Deed::Enter),
        1 => (0u8..3).prop_map(Deed::Resume),
        1 => Just(Deed::Fail),
        1 => Just(Deed::Commit),
        1 => Just(Deed::RollBack),
        1 => Just(Deed::Stop),
    ];
    prop::collection::vec(deed, 0..200)
}

proptest! {
    /// Whatever happens in whatever order: something that served goes on to serve, nothing that may be needed
    /// is dropped, and the record stays small and survives its own JSON.
    #[test]
    fn no_order_of_events_loses_the_running_bundle(deeds in deeds()) {
        let mut record = Record { current: Some(bundle(0)), ..Record::default() };
        for deed in deeds {
            let before = record.clone();
            match deed {
                Deed::Begin(n) if record.update.is_none() => record.begin(candidate(n), "boot-0"),
                Deed::Begin(_) => {}
                Deed::Enter => {
                    let next = record.update.as_ref().and_then(|u| {
                        PHASES.into_iter().find(|&phase| phase > u.phase)
                    });
                    if let Some(next) = next {
                        record.enter(next, "boot-0");
                    }
                }
                Deed::Resume(boot) => {
                    record.resume(&format!("boot-{boot}"), "t");
                }
                Deed::Fail => {
                    record.fail(failure(Code::TrialFailed), "t");
                }
                Deed::Commit => record.commit("t"),
                Deed::RollBack => {
                    record.roll_back(None, "t").ok();
                }
                Deed::Stop => {
                    record.stop();
                }
            }
            let current = record.current.clone().expect("something serves");
            // What serves now was in the store before: nothing appears from nowhere.
            prop_assert!(before.kept().contains(&current.digest));
            prop_assert!(record.kept().contains(&current.digest));
            prop_assert!(record.kept().len() <= 4);
            prop_assert!(record.history.len() <= REMEMBERED && record.rejected.len() <= REMEMBERED);
            let json = serde_json::to_vec(&record).unwrap();
            prop_assert_eq!(&serde_json::from_slice::<Record>(&json).unwrap(), &record);
        }
    }
}
