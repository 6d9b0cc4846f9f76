use std::sync::Arc;

use super::*;
use crate::clock::ManualClock;
use crate::data::Frames;
use crate::sensor::Sensor as _;
use crate::sensor::bus::Place;
use crate::sensor::fifo::{Fifo, FifoSettings, Kind};
use crate::sensor::sim::{self, Playback, Segment, SimChip};

const PERIOD: Duration = Duration::from_millis(10);

/// A chip that plays `segments` frames-long recordings at 100 Hz, and its clock.
struct Bench {
    clock: Arc<ManualClock>,
    chip: SimChip,
    driver: Fifo,
    frames: Frames,
}

/// Frame `k` of a recording: told from every other by its first two values.
fn frame(k: usize) -> [f32; 6] {
    [k as f32 * 0.01, (k % 7) as f32, -9.81, 0.5, -1.0, 2.0]
}

fn chip(lengths: &[usize], gap: Duration) -> (Arc<ManualClock>, SimChip) {
    let clock = Arc::new(ManualClock::auto());
    let segments = lengths.iter().map(|n| Segment { frames: (0..*n).map(frame).collect() });
    let chip =
        SimChip::new(clock.clone(), Playback { segments: segments.collect(), gap, repeat: false });
    chip.allow_transactions(20_000);
    (clock, chip)
}

fn bench(lengths: &[usize], gap: Duration) -> Bench {
    let (clock, chip) = chip(lengths, gap);
    let settings = settings(100.0, Mpu6050 { accel_range_g: 16, ..Default::default() });
    let driver = opened(&chip, &settings, clock.clone()).expect("the chip is fine");
    Bench { clock, chip, driver, frames: Frames::new(6, 1024) }
}

impl Bench {
    fn poll(&mut self, wait: Duration) -> Result<usize, SensorError> {
        self.clock.advance(wait);
        self.driver.read(&mut self.frames)
    }

    fn gaps(&self) -> Vec<usize> {
        let stamps = self.frames.stamps().iter().enumerate();
        stamps.filter(|(_, stamp)| stamp.gap_before).map(|(index, _)| index).collect()
    }
}

fn settings(rate_hz: f64, chip: Mpu6050) -> FifoSettings {
    let place = Place::i2c("/dev/i2c-1", sim::ADDRESS);
    FifoSettings { place, rate_hz, kind: Kind::Mpu6050(chip) }
}

fn opened(
    chip: &SimChip,
    settings: &FifoSettings,
    clock: Arc<ManualClock>,
) -> Result<Fifo, SensorError> {
    Fifo::new(chip.port(&settings.place, Default::default()), settings, clock)
}

fn new_error(chip: &SimChip, clock: Arc<ManualClock>) -> SensorError {
    let made = opened(chip, &settings(100.0, Mpu6050::default()), clock);
    made.err().expect("the chip cannot be set up")
}

fn is_bus(error: &SensorError, words: &str) -> bool {
    matches!(error, SensorError::Bus { .. }) && error.to_string().contains(words)
}

#[test]
fn frames_come_in_si_units_one_period_apart() {
    let mut bench = bench(&[50], Duration::ZERO);
    for _ in 0..50 {
        assert_eq!(bench.poll(PERIOD), Ok(1));
    }
    assert_eq!(bench.poll(PERIOD), Ok(0));
    assert!(bench.chip.finished());
    let start = bench.chip.started().expect("playing");
    for (k, (values, stamp)) in bench.frames.iter().enumerate() {
        // One step is 16 g / 32 768 = 0.0048 m/s², and 2000 °/s / 32 800 = 0.0011 rad/s.
        for (found, true_value) in values.iter().zip(frame(k)) {
            assert!((found - true_value).abs() < 0.0025, "{found} is not {true_value}");
        }
        assert_eq!(stamp.at, start + PERIOD * (k as u32 + 1));
        assert_eq!(stamp.wall.since_epoch, Duration::from_secs(1_700_000_000) + stamp.at);
    }
    assert_eq!(bench.gaps(), [0]);
}

#[test]
fn late_reader_gets_the_whole_burst_without_a_gap() {
    let mut bench = bench(&[100], Duration::ZERO);
    assert_eq!(bench.poll(PERIOD), Ok(1));
    assert_eq!(bench.poll(PERIOD * 60), Ok(60));
    assert_eq!(bench.gaps(), [0]);
    let steps = bench.frames.stamps().windows(2).map(|pair| pair[1].at - pair[0].at);
    assert!(steps.into_iter().all(|step| step == PERIOD));
}

#[test]
fn pause_between_recordings_is_an_ordinary_gap() {
    let mut bench = bench(&[20, 30, 10], PERIOD * 20);
    for _ in 0..140 {
        bench.poll(PERIOD).expect("the chip is fine");
    }
    assert_eq!(bench.frames.len(), 60);
    assert_eq!(bench.gaps(), [0, 20, 50]);
    for (index, (_, stamp)) in bench.frames.iter().enumerate() {
        let segment = if index < 20 {
            0
        } else if index < 50 {
            1
        } else {
            2
        };
        assert_eq!(bench.chip.segment_at(stamp.at), Some((0, segment)));
    }
}

#[test]
fn pause_is_found_at_any_phase_of_the_reader() {
    for phase_us in (0..10_000).step_by(500) {
        let mut bench = bench(&[20, 20], Duration::from_micros(40_000 + phase_us));
        bench.clock.advance(Duration::from_micros(phase_us / 2));
        for _ in 0..60 {
            bench.poll(PERIOD).expect("the chip is fine");
        }
        assert_eq!((bench.frames.len(), bench.gaps()), (40, vec![0, 20]), "phase {phase_us} µs");
    }
}

#[test]
fn overflow_is_a_gap_and_no_frame_after_it_is_out_of_line() {
    let mut bench = bench(&[400], Duration::ZERO);
    assert_eq!(bench.poll(PERIOD), Ok(1));
    assert_eq!(bench.poll(PERIOD * 150), Ok(0));
    for _ in 0..10 {
        assert_eq!(bench.poll(PERIOD), Ok(1));
    }
    assert_eq!(bench.gaps(), [0, 1]);
    let (values, _) = bench.frames.frame(1);
    assert!((values[0] - frame(151)[0]).abs() < 0.003 && (values[2] + 9.81).abs() < 0.003);
}

#[test]
fn lost_fifo_bytes_are_noticed_and_the_fifo_restarted() {
    let mut bench = bench(&[400], Duration::ZERO);
    assert_eq!(bench.poll(PERIOD), Ok(1));
    bench.clock.advance(PERIOD);
    bench.chip.lose_fifo_bytes(2);
    for _ in 0..20 {
        bench.poll(PERIOD).expect("the chip answers");
    }
    let last = bench.frames.len() - 1;
    assert_eq!(bench.gaps().len(), 2);
    assert!((bench.frames.frame(last).0[2] + 9.81).abs() < 0.003);
}

#[test]
fn dead_bus_is_an_error_and_never_data() {
    for byte in [0x00, 0xff] {
        let (clock, chip) = chip(&[10], Duration::ZERO);
        chip.stuck_at(Some(byte));
        assert!(is_bus(&new_error(&chip, clock), "no chip drives the data line"));

        let mut bench = bench(&[100], Duration::ZERO);
        assert_eq!(bench.poll(PERIOD), Ok(1));
        bench.chip.stuck_at(Some(byte));
        let error = bench.poll(PERIOD).expect_err("a dead bus");
        assert!(matches!(error, SensorError::Bus { .. }), "{error}");
        assert_eq!(bench.frames.len(), 1);
    }
}

#[test]
fn bus_that_dies_inside_a_burst_gives_no_data() {
    for bytes in [0, 1, 7, 12, 100] {
        let mut bench = bench(&[100], Duration::ZERO);
        assert_eq!(bench.poll(PERIOD), Ok(1));
        bench.chip.nack_after_bytes(bytes.max(2));
        let error = bench.poll(PERIOD * 30).expect_err("a broken burst");
        assert!(is_bus(&error, "nothing answers at address 0x68"), "{error}");
        assert_eq!(bench.frames.len(), 1);
    }
}

#[test]
fn other_chip_is_refused_by_its_id_and_relatives_are_taken() {
    let (clock, chip) = chip(&[10], Duration::ZERO);
    for id in [0x70, 0x71, 0x73, 0x68] {
        chip.set_id(id);
        assert!(opened(&chip, &settings(100.0, Mpu6050::default()), clock.clone()).is_ok());
    }
    chip.set_id(0xd1);
    let error = new_error(&chip, clock);
    assert!(matches!(error, SensorError::WrongChip { found: 0xd1, .. }), "{error}");
}

#[test]
fn wrong_address_names_it() {
    let (clock, chip) = chip(&[10], Duration::ZERO);
    let place = Place::i2c("/dev/i2c-1", 0x69);
    let settings = FifoSettings { place, ..settings(100.0, Mpu6050::default()) };
    let error = opened(&chip, &settings, clock).err().expect("nobody there");
    assert!(is_bus(&error, "reading WHO_AM_I: nothing answers at address 0x69"), "{error}");
}

#[test]
fn nack_of_any_transaction_is_an_error_and_setting_up_again_works() {
    for failing in 0_u64.. {
        let (clock, chip) = chip(&[100], Duration::ZERO);
        chip.nack_at(failing);
        match opened(&chip, &settings(100.0, Mpu6050::default()), clock.clone()) {
            Err(error) => assert!(is_bus(&error, "nothing answers"), "{error}"),
            // The set-up uses fewer transactions than that.
            Ok(_) => break,
        }
        assert!(opened(&chip, &settings(100.0, Mpu6050::default()), clock).is_ok());
    }
}

#[test]
fn chip_that_lost_its_configuration_is_an_error_and_set_up_anew_goes_on_with_a_gap() {
    let mut bench = bench(&[500], Duration::ZERO);
    for _ in 0..5 {
        assert_eq!(bench.poll(PERIOD), Ok(1));
    }
    bench.chip.brown_out();
    let error = bench.poll(PERIOD).expect_err("a chip that sleeps");
    assert!(is_bus(&error, "lost its configuration"), "{error}");
    let settings = settings(100.0, Mpu6050 { accel_range_g: 16, ..Default::default() });
    bench.driver = opened(&bench.chip, &settings, bench.clock.clone()).expect("back");
    for _ in 0..5 {
        assert_eq!(bench.poll(PERIOD), Ok(1));
    }
    assert_eq!(bench.gaps(), [0, 5]);
}

#[test]
fn removed_chip_is_an_error() {
    let mut bench = bench(&[100], Duration::ZERO);
    assert_eq!(bench.poll(PERIOD), Ok(1));
    bench.chip.remove();
    assert!(is_bus(&bench.poll(PERIOD).expect_err("no chip"), "reading FIFO_COUNT"));
    bench.chip.plug_in();
    assert!(is_bus(&bench.poll(PERIOD).expect_err("a new chip"), "lost its configuration"));
}

#[test]
fn signal_beyond_the_range_reads_as_the_range_s_end() {
    let (clock, chip) = chip_of(vec![[500.0, -500.0, 0.0, 100.0, -100.0, 0.0]]);
    let settings = settings(100.0, Mpu6050 { accel_range_g: 2, gyro_range_dps: 250 });
    let mut driver = opened(&chip, &settings, clock.clone()).expect("a fine chip");
    clock.advance(PERIOD);
    let mut frames = Frames::new(6, 1);
    assert_eq!(driver.read(&mut frames), Ok(1));
    let ends = [i16::MAX, i16::MIN, 0].map(|raw| acceleration(raw, AccelRange::G2));
    assert_eq!(frames.frame(0).0[..3], ends);
    let ends = [i16::MAX, i16::MIN, 0].map(|raw| angular_rate(raw, GyroRange::Dps250));
    assert_eq!(frames.frame(0).0[3..], ends);
}

fn chip_of(frames: Vec<[f32; 6]>) -> (Arc<ManualClock>, SimChip) {
    let clock = Arc::new(ManualClock::auto());
    let playback =
        Playback { segments: vec![Segment { frames }], gap: Duration::ZERO, repeat: false };
    (clock.clone(), SimChip::new(clock, playback))
}

#[test]
fn every_rate_that_the_chip_can_do_loses_no_frame_at_its_own_polling() {
    for divider in [1, 2, 3, 7, 10, 33, 100, 250, 256] {
        let (clock, chip) = chip(&[200], Duration::ZERO);
        let settings = settings(1000.0 / f64::from(divider), Mpu6050::default());
        let mut driver = opened(&chip, &settings, clock.clone()).expect("a fine chip");
        let mut frames = Frames::new(6, 256);
        while !chip.finished() {
            clock.advance(driver.poll_period());
            driver.read(&mut frames).expect("the chip is fine");
        }
        assert_eq!(frames.len(), 200, "1 kHz / {divider}");
        assert_eq!(frames.stamps().iter().filter(|stamp| stamp.gap_before).count(), 1);
    }
}
