use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::sink::Qos;
use crate::storage::power::PowerDisk;

const COMMIT: Duration = Duration::from_secs(5);
const IN_ORDER: Duration = Duration::from_secs(10);

fn message(lane: Lane, name: &str) -> Message {
    // 100 bytes each by cost().
    let payload = vec![b' '; 36_usize.saturating_sub(name.len())];
    Message { lane, qos: Qos::AtLeastOnce, topic: name.to_owned(), payload }
}

fn rules(bytes_max: usize, disk: Option<&PowerDisk>) -> Rules {
    let home = disk.map(|disk| Home {
        disk: Arc::new(disk.clone()),
        dir: Path::new("/spool").into(),
        bytes_max: 1 << 20,
        alone: true,
    });
    Rules { bytes_max, home, commit: COMMIT, each: false, in_order: IN_ORDER, drain_hz: 1e9 }
}

/// In memory alone.
fn memory(bytes_max: usize) -> Outbox {
    let mut outbox = Outbox::new(rules(bytes_max, None));
    outbox.rewind(true);
    outbox
}

/// On a disk that works.
fn spooled(disk: &PowerDisk, now: Instant) -> Outbox {
    let mut outbox = Outbox::new(rules(1 << 20, Some(disk)));
    settle(&mut outbox, now);
    outbox
}

/// Turns until the disk has done all that it is asked to.
fn settle(outbox: &mut Outbox, now: Instant) {
    for _ in 0..4 {
        outbox.turn(now);
        if let Some(keeper) = &outbox.keeper {
            keeper.settle();
        }
    }
    outbox.turn(now);
}

fn push(outbox: &mut Outbox, lane: Lane, name: &str, now: Instant) -> u64 {
    outbox.push(message(lane, name), now);
    outbox.take_dropped()
}

fn departing(outbox: &mut Outbox, now: Instant) -> Vec<(String, bool)> {
    let mut all = Vec::new();
    loop {
        settle(outbox, now);
        match outbox.depart(now) {
            Some((_, message, late)) => all.push((message.topic.clone(), late)),
            None => return all,
        }
    }
}

fn names(outbox: &mut Outbox, now: Instant) -> Vec<String> {
    departing(outbox, now).into_iter().map(|(name, _)| name).collect()
}

/// Sends and acknowledges everything that departs.
fn deliver(outbox: &mut Outbox, now: Instant) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        settle(outbox, now);
        let Some((id, message, _)) = outbox.depart(now) else { return all };
        all.push(message.topic.clone());
        assert!(outbox.finish(id));
    }
}

#[test]
fn messages_depart_in_the_order_in_which_they_came() {
    let now = Instant::now();
    for mut outbox in [memory(10_000), spooled(&PowerDisk::new(u64::MAX), now)] {
        outbox.rewind(true);
        for (lane, name) in [(Lane::Result, "r0"), (Lane::Event, "e0"), (Lane::Result, "r1")] {
            assert_eq!(push(&mut outbox, lane, name, now), 0);
        }
        assert_eq!(names(&mut outbox, now), ["r0", "e0", "r1"]);
        assert_eq!(outbox.len(), 3);
    }
}

#[test]
fn the_oldest_results_are_given_up_before_any_event() {
    let (now, mut outbox) = (Instant::now(), memory(300));
    push(&mut outbox, Lane::Event, "e0", now);
    push(&mut outbox, Lane::Result, "r0", now);
    push(&mut outbox, Lane::Result, "r1", now);
    assert_eq!(push(&mut outbox, Lane::Result, "r2", now), 1);
    assert_eq!(push(&mut outbox, Lane::Event, "e1", now), 1);
    assert_eq!(push(&mut outbox, Lane::Event, "e2", now), 1);
    assert_eq!(push(&mut outbox, Lane::Event, "e3", now), 1);
    assert_eq!(push(&mut outbox, Lane::Result, "r3", now), 1, "no event goes for a result");
    assert_eq!(names(&mut outbox, now), ["e1", "e2", "e3"]);
}

#[test]
fn what_is_on_its_way_is_not_given_up() {
    let (now, mut outbox) = (Instant::now(), memory(200));
    push(&mut outbox, Lane::Result, "r0", now);
    push(&mut outbox, Lane::Result, "r1", now);
    assert_eq!(names(&mut outbox, now), ["r0", "r1"]);
    assert_eq!(push(&mut outbox, Lane::Event, "e0", now), 1);
    outbox.rewind(true);
    assert_eq!(names(&mut outbox, now), ["r0", "r1"]);
}

#[test]
fn a_message_larger_than_the_outbox_gives_up_nothing_else() {
    let (now, mut outbox) = (Instant::now(), memory(200));
    push(&mut outbox, Lane::Result, "r0", now);
    let mut large = message(Lane::Event, "e0");
    large.payload = vec![b' '; 500];
    outbox.push(large, now);
    assert_eq!(outbox.take_dropped(), 1);
    assert_eq!(names(&mut outbox, now), ["r0"]);
}

#[test]
fn after_a_lost_connection_the_unacknowledged_go_again_in_order_and_say_so() {
    let now = Instant::now();
    for mut outbox in [memory(10_000), spooled(&PowerDisk::new(u64::MAX), now)] {
        outbox.rewind(true);
        for (lane, name) in [(Lane::Result, "r0"), (Lane::Event, "e1"), (Lane::Result, "r2")] {
            push(&mut outbox, lane, name, now);
        }
        settle(&mut outbox, now);
        let first = outbox.depart(now).map(|(id, ..)| id).unwrap();
        let second = outbox.depart(now).map(|(id, ..)| id).unwrap();
        assert!(outbox.finish(second), "acknowledged out of order");
        assert!(!outbox.finish(second), "only once");
        assert_eq!(outbox.len(), 2);
        outbox.rewind(false);
        settle(&mut outbox, now);
        outbox.rewind(true);
        push(&mut outbox, Lane::Result, "r3", now);
        let expected = [("r0", true), ("r2", true), ("r3", false)];
        let expected = expected.map(|(name, late)| (name.to_owned(), late));
        assert_eq!(departing(&mut outbox, now), expected);
        assert!(outbox.finish(first));
    }
}

#[test]
fn best_effort_messages_do_not_outlive_the_connection() {
    let (now, mut outbox) = (Instant::now(), memory(10_000));
    let mut best_effort = message(Lane::Result, "r0");
    best_effort.qos = Qos::AtMostOnce;
    outbox.push(best_effort, now);
    push(&mut outbox, Lane::Result, "r1", now);
    outbox.rewind(true);
    assert_eq!(outbox.take_dropped(), 1);
    assert_eq!(names(&mut outbox, now), ["r1"]);
}

#[test]
fn room_is_given_back_when_messages_are_finished() {
    let (now, mut outbox) = (Instant::now(), memory(200));
    for round in 0..10 {
        assert_eq!(push(&mut outbox, Lane::Result, "r0", now), 0, "round {round}");
        assert_eq!(push(&mut outbox, Lane::Event, "e0", now), 0, "round {round}");
        assert_eq!(deliver(&mut outbox, now), ["r0", "e0"]);
        assert!(outbox.is_up_to_date());
    }
}

#[test]
fn what_the_broker_takes_at_once_is_never_written_but_for_events() {
    let disk = PowerDisk::new(u64::MAX);
    let mut now = Instant::now();
    let mut outbox = spooled(&disk, now);
    outbox.rewind(true);
    for n in 0..100 {
        now += Duration::from_secs(1);
        push(&mut outbox, Lane::Result, &format!("r{n}"), now);
        assert_eq!(deliver(&mut outbox, now).len(), 1);
    }
    assert_eq!(disk.written(), 0);
    push(&mut outbox, Lane::Event, "e0", now);
    assert!(outbox.depart(now).is_none(), "not before it is on disk");
    assert_eq!(deliver(&mut outbox, now), ["e0"]);
    assert!(disk.written() > 0);
}

#[test]
fn an_event_waits_a_second_for_a_disk_that_stalls_and_no_longer() {
    let now = Instant::now();
    let mut outbox = spooled(&PowerDisk::new(u64::MAX), now);
    outbox.rewind(true);
    push(&mut outbox, Lane::Event, "e0", now);
    push(&mut outbox, Lane::Result, "r1", now);
    // The disk is not heard: as if it had not answered.
    assert!(outbox.depart(now).is_none());
    assert_eq!(outbox.wake_at(now), Some(now + HOLD));
    let names = [(); 2].map(|()| outbox.depart(now + HOLD).unwrap().1.topic.clone());
    assert_eq!(names, ["e0", "r1"]);
}

#[test]
fn a_crash_loses_only_results_of_the_last_commit_interval() {
    let disk = PowerDisk::new(u64::MAX);
    let mut now = Instant::now();
    let mut outbox = spooled(&disk, now);
    for n in 0..12 {
        push(&mut outbox, Lane::Result, &format!("r{n}"), now);
        settle(&mut outbox, now);
        now += Duration::from_secs(1);
    }
    push(&mut outbox, Lane::Event, "e", now);
    settle(&mut outbox, now);
    assert_eq!((outbox.len(), outbox.at_risk()), (13, 0));
    outbox.keeper.as_ref().unwrap().settle();
    drop(outbox);
    let mut outbox = spooled(&disk, now);
    outbox.rewind(true);
    let left = deliver(&mut outbox, now);
    assert_eq!(left.last().map(String::as_str), Some("e"));
    assert!(left.len() >= 12 - 5, "{left:?}");
    let in_order: Vec<_> = (0..left.len() - 1).map(|n| format!("r{n}")).collect();
    assert_eq!(left[..left.len() - 1], in_order);
}

#[test]
fn after_a_long_absence_new_messages_take_turns_with_the_backlog() {
    let disk = PowerDisk::new(u64::MAX);
    let mut now = Instant::now();
    let mut outbox = spooled(&disk, now);
    for n in 0..4 {
        push(&mut outbox, Lane::Result, &format!("old{n}"), now);
        now += COMMIT;
        settle(&mut outbox, now);
    }
    now += IN_ORDER;
    // It waited, too, if not long.
    push(&mut outbox, Lane::Result, "old4", now);
    outbox.rewind(true);
    settle(&mut outbox, now);
    for n in 0..3 {
        push(&mut outbox, Lane::Result, &format!("new{n}"), now);
    }
    let order = names(&mut outbox, now);
    assert_eq!(order, ["new0", "old0", "new1", "old1", "new2", "old2", "old3", "old4"]);
}

#[test]
fn the_backlog_keeps_to_its_rate_and_new_messages_do_not_wait_for_it() {
    let disk = PowerDisk::new(u64::MAX);
    let mut now = Instant::now();
    let mut outbox = spooled(&disk, now);
    outbox.rules.drain_hz = 10.0;
    for n in 0..200 {
        push(&mut outbox, Lane::Result, &format!("old{n}"), now);
    }
    now += COMMIT;
    settle(&mut outbox, now);
    now += IN_ORDER;
    outbox.rewind(true);
    let mut seconds = 0;
    let mut sent = Vec::new();
    while sent.len() < 150 {
        now += Duration::from_secs(1);
        seconds += 1;
        push(&mut outbox, Lane::Result, "new", now);
        let mut second = deliver(&mut outbox, now);
        // One that wakes up in between, as `wake_at` says.
        let mut later = now;
        while let Some(wake) = outbox.wake_at(later).filter(|at| *at < now + Duration::from_secs(1))
        {
            later = wake;
            second.extend(deliver(&mut outbox, later));
        }
        assert_eq!(second.iter().filter(|name| *name == "new").count(), 1);
        assert!(second.len() <= 13, "{second:?}");
        sent.extend(second.into_iter().filter(|name| name != "new"));
    }
    assert!((13..=17).contains(&seconds), "{seconds} s for 150 at 10 a second");
    assert_eq!(sent, (0..sent.len()).map(|n| format!("old{n}")).collect::<Vec<_>>());
}

#[test]
fn a_disk_that_fails_costs_nothing_while_memory_lasts() {
    let disk = PowerDisk::new(20_000);
    let now = Instant::now();
    let mut outbox = spooled(&disk, now);
    push(&mut outbox, Lane::Event, "e0", now);
    settle(&mut outbox, now);
    assert!(outbox.error().is_some_and(|why| why.contains("cannot be written")), "no room");
    push(&mut outbox, Lane::Event, "e1", now);
    settle(&mut outbox, now);
    outbox.rewind(true);
    assert_eq!(deliver(&mut outbox, now), ["e0", "e1"]);
    assert_eq!((outbox.len(), outbox.take_dropped()), (0, 0));
}

#[test]
fn a_stop_leaves_nothing_behind_but_on_disk() {
    let disk = PowerDisk::new(u64::MAX);
    let now = Instant::now();
    let mut outbox = spooled(&disk, now);
    outbox.rewind(true);
    push(&mut outbox, Lane::Result, "r0", now);
    push(&mut outbox, Lane::Result, "r1", now);
    settle(&mut outbox, now);
    let (id, ..) = outbox.depart(now).unwrap();
    assert!(outbox.finish(id));
    assert_eq!(outbox.close(now), 0);
    let mut outbox = spooled(&disk, now);
    outbox.rewind(true);
    assert_eq!(departing(&mut outbox, now), [("r1".to_owned(), true)]);
}

/// What may happen to an outbox.
#[derive(Clone, Debug)]
enum Act {
    Push(Lane, usize),
    Connect,
    Lose,
    /// So many depart; of those, each is acknowledged whose bit is set.
    Send(usize, u32),
    Wait(u64),
    Settle,
    /// The process is killed, and starts again.
    Kill,
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    let lane = prop_oneof![3 => Just(Lane::Result), 1 => Just(Lane::Event)];
    prop_oneof![
        8 => (lane, 1usize..40).prop_map(|(lane, count)| Act::Push(lane, count)),
        2 => Just(Act::Connect),
        2 => Just(Act::Lose),
        6 => (0usize..30, any::<u32>()).prop_map(|(count, acked)| Act::Send(count, acked)),
        4 => (1u64..20).prop_map(Act::Wait),
        6 => Just(Act::Settle),
        1 => Just(Act::Kill),
        1 => Just(Act::Restart),
    ]
}

#[test]
fn a_run_that_only_finishes_something_confuses_nothing() {
    let disk = PowerDisk::new(u64::MAX);
    let now = Instant::now();
    let mut outbox = spooled(&disk, now);
    for n in 0..5 {
        push(&mut outbox, Lane::Result, &format!("r{n}"), now);
    }
    assert_eq!(outbox.close(now), 0);
    let mut outbox = spooled(&disk, now);
    outbox.rewind(true);
    settle(&mut outbox, now);
    let (id, ..) = outbox.depart(now).unwrap();
    assert!(outbox.finish(id));
    assert_eq!(outbox.close(now), 0);
    let mut outbox = spooled(&disk, now);
    push(&mut outbox, Lane::Result, "r5", now);
    outbox.rewind(true);
    push(&mut outbox, Lane::Result, "r6", now);
    // Nothing is taken for another one that is acknowledged.
    settle(&mut outbox, now);
    let mut names = HashSet::new();
    for _ in 0..3 {
        let (id, message, _) = outbox.depart(now).unwrap();
        names.insert(message.topic.clone());
        assert!(outbox.finish(id));
    }
    names.extend(deliver(&mut outbox, now));
    assert_eq!(names.len(), 6, "{names:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::env::var_os("EDGERUN_FULL").is_some() { 4000 } else { 128 }))]

    /// Whatever happens: each event arrives, each result that was not lost with a crash arrives, and what has
    /// never been under way before arrives in order within each lane of a connection.
    #[test]
    fn everything_arrives_that_was_not_lost_with_a_crash(
        acts in prop::collection::vec(act(), 1..120),
        small in any::<bool>(),
    ) {
        let disk = PowerDisk::new(u64::MAX);
        let mut now = Instant::now();
        let mut outbox = spooled(&disk, now);
        // Memory for 30 messages: the others are on disk alone.
        let bytes_max = if small { 3000 } else { 1 << 20 };
        outbox.rules.bytes_max = bytes_max;
        let mut wanted: BTreeSet<String> = BTreeSet::new();
        let mut risked: BTreeSet<String> = BTreeSet::new();
        let mut arrived: BTreeSet<String> = BTreeSet::new();
        let (mut pushed, mut dropped) = (0, 0);
        let again = |now: Instant| {
            let mut outbox = spooled(&disk, now);
            outbox.rules.bytes_max = bytes_max;
            outbox
        };
        for act in acts {
            match act {
                Act::Push(lane, count) => for _ in 0..count {
                    let name = format!("{pushed:06}");
                    pushed += 1;
                    outbox.push(message(lane, &name), now);
                    outbox.turn(now);
                    wanted.insert(name.clone());
                    risked.insert(name);
                    if small {
                        settle(&mut outbox, now);
                    }
                },
                Act::Connect => outbox.rewind(true),
                Act::Lose => outbox.rewind(false),
                Act::Send(count, acked) if outbox.connected => for n in 0..count {
                    settle(&mut outbox, now);
                    let Some((id, message, _)) = outbox.depart(now) else { break };
                    if acked >> n & 1 == 1 {
                        prop_assert!(outbox.finish(id));
                        arrived.insert(message.topic.clone());
                    }
                },
                Act::Send(..) => {}
                Act::Wait(seconds) => {
                    now += Duration::from_secs(seconds);
                    settle(&mut outbox, now);
                }
                Act::Settle => {
                    settle(&mut outbox, now);
                    // Nothing is at risk any more but results that are new.
                    risked = outbox
                        .live
                        .iter()
                        .filter(|entry| !entry.done && matches!(entry.kept, Kept::No | Kept::Never))
                        .map(|entry| entry.message.topic.clone())
                        .collect();
                }
                Act::Kill => {
                    dropped += outbox.take_dropped();
                    // What it was asked for is done, or would be a run beside the next one.
                    outbox.keeper.as_ref().unwrap().settle();
                    drop(outbox);
                    outbox = again(now);
                    for name in std::mem::take(&mut risked) {
                        wanted.remove(&name);
                    }
                }
                Act::Restart => {
                    prop_assert_eq!(outbox.close(now), 0);
                    dropped += outbox.take_dropped();
                    drop(outbox);
                    outbox = again(now);
                    risked.clear();
                }
            }
        }
        outbox.rewind(true);
        let mut last = deliver(&mut outbox, now);
        arrived.extend(last.iter().cloned());
        let missing: Vec<_> = wanted.difference(&arrived).collect();
        dropped += outbox.take_dropped();
        prop_assert!(missing.len() as u64 <= dropped, "missing {:?}, {} dropped", missing, dropped);
        prop_assert!(small || dropped == 0);
        prop_assert_eq!(outbox.len(), 0);
        last.dedup();
        prop_assert!(outbox.lanes.iter().all(Backlog::is_empty));
    }
}
