use super::*;
use crate::data::{ClockState, Stamp, Timestamp};
use crate::sensor::Channel;

fn shown(rate_hz: f64, is_private: bool) -> Shown {
    Shown {
        name: "imu".into(),
        driver: "replay",
        spec: SensorSpec { channels: vec![Channel::new("x", "m/s²"); 2], rate_hz },
        stats: Arc::default(),
        is_private,
        tap: Arc::default(),
    }
}

/// Frames `from..to` of a stream that counts.
fn batch(from: u64, to: u64) -> Frames {
    let mut frames = Frames::new(2, 8);
    for k in from..to {
        let at = Duration::from_millis(k);
        let wall = Timestamp { since_epoch: at, clock: ClockState::Synced };
        frames.push(&[k as f32, f32::NAN], Stamp { at, wall, gap_before: k == 0 });
    }
    frames
}

fn values(frames: &LiveFrames) -> Vec<f32> {
    frames.values.iter().step_by(2).map(|value| value.unwrap()).collect()
}

#[test]
fn frames_are_kept_only_while_somebody_asks() {
    let live = Live::new(vec![shown(100.0, false)], false);
    let tap = live.sensors[0].tap.clone();
    tap.push(&batch(0, 10));
    assert!(tap.lock().frames.is_none(), "nobody has asked");
    let (now, first) = live.frames("imu", None).unwrap();
    assert_eq!((now.channels.len(), first.next, first.at_ns.len()), (2, 0, 0));
    tap.push(&batch(10, 13));
    let (_, next) = live.frames("imu", Some(first.next)).unwrap();
    assert_eq!((values(&next), next.lost, next.more), (vec![10.0, 11.0, 12.0], 0, false));
    assert_eq!((next.values[1], next.at_ns[0]), (None, 10_000_000));
    // Somebody still asks; then nobody.
    live.tick();
    assert!(tap.lock().frames.is_some());
    tap.tidy(Duration::MAX);
    assert!(tap.lock().frames.is_none());
    tap.push(&batch(13, 20));
    // One who asks after a long pause begins anew, with numbers that only grow.
    let (_, again) = live.frames("imu", Some(next.next)).unwrap();
    assert_eq!((values(&again), again.next), (vec![], next.next));
}

#[test]
fn a_ring_is_bounded_and_says_what_was_asked_for_too_late() {
    let live = Live::new(vec![shown(100.0, false)], false);
    let tap = live.sensors[0].tap.clone();
    live.frames("imu", None).unwrap();
    for k in 0..1000 {
        tap.push(&batch(k * 10, k * 10 + 10));
    }
    let kept = tap.lock().frames.as_ref().unwrap().len();
    assert!((200..400).contains(&kept), "{kept} frames of 2 s at 100 Hz");
    let (_, late) = live.frames("imu", Some(0)).unwrap();
    assert_eq!((late.lost + kept as u64, late.next), (10_000, 10_000));
    assert_eq!(values(&late).last(), Some(&9999.0));
}

#[test]
fn a_ring_never_grows_whatever_comes_at_once() {
    let live = Live::new(vec![shown(100.0, false)], false);
    let tap = live.sensors[0].tap.clone();
    live.frames("imu", None).unwrap();
    for (from, to) in [(0, 399), (399, 700), (700, 1900), (1900, 1901)] {
        tap.push(&batch(from, to));
        let ring = tap.lock();
        assert!(ring.frames.as_ref().unwrap().len() <= 400, "{from} to {to}");
    }
    let (_, frames) = live.frames("imu", Some(0)).unwrap();
    let values = values(&frames);
    assert_eq!((frames.next, values.last()), (1901, Some(&1900.0)));
    assert_eq!(frames.lost + values.len() as u64, 1901);
    assert!(values.windows(2).all(|pair| pair[1] == pair[0] + 1.0));
}

#[test]
fn sampling_never_waits_for_one_who_asks() {
    let live = Live::new(vec![shown(100.0, false)], false);
    let tap = live.sensors[0].tap.clone();
    live.frames("imu", None).unwrap();
    let held = tap.lock();
    tap.push(&batch(0, 5));
    drop(held);
    tap.push(&batch(5, 7));
    let (_, frames) = live.frames("imu", Some(0)).unwrap();
    assert_eq!((values(&frames), frames.gaps), (vec![5.0, 6.0], vec![true, false]));
}

#[test]
fn microphones_and_cameras_need_their_own_permission() {
    let refused = Live::new(vec![shown(1.0, true)], false).frames("imu", None).unwrap_err();
    assert!(refused.message.contains("[privacy] capture = true"), "{refused:?}");
    let live = Live::new(vec![shown(1.0, true)], true);
    assert!(live.frames("imu", None).is_ok());
    assert_eq!(live.now()[0].state, "starting");
    assert_eq!(live.frames("none", None).unwrap_err().code, Code::NotFound);
}

#[test]
fn what_is_said_comes_back_the_same() {
    let live = Live::new(vec![shown(1.0, false)], false);
    let tap = live.sensors[0].tap.clone();
    live.frames("imu", None).unwrap();
    tap.push(&batch(0, 3));
    let (now, frames) = live.frames("imu", Some(0)).unwrap();
    let text = serde_json::to_string(&frames).unwrap();
    assert_eq!(serde_json::from_str::<LiveFrames>(&text).unwrap(), frames);
    assert_eq!(now.reading(), live.sensors[0].stats.read());
}
