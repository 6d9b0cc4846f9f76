//! Simulated chips for the tests of slow drivers, and the faults that every one of them must survive.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Kind, Polled, PolledSettings};
use crate::clock::{Clock as _, ManualClock};
use crate::data::Frames;
use crate::sensor::bus::Place;
use crate::sensor::sim::{Device, Sim};
use crate::sensor::{Sensor, SensorError};

/// Opens a driver on a simulated chip.
pub(in crate::sensor) fn opened<D: Device + 'static>(
    sim: &Sim<D>,
    settings: &PolledSettings,
    clock: Arc<ManualClock>,
) -> Result<Polled, SensorError> {
    let port = sim.port(&settings.place, settings.kind.model().dialect());
    Polled::new(port, settings, clock)
}

/// What happens after a byte was written to a register.
pub(in crate::sensor) type OnWrite = fn(&mut Bytes, u8, Duration);

/// 256 registers of a byte; bursts go on to the next.
pub(in crate::sensor) struct Bytes {
    registers: [u8; 256],
    held: BTreeMap<u8, u8>,
    pointer: u8,
    now: Duration,
    reset: fn(&mut Bytes),
    on_write: OnWrite,
    /// All registers have this bit in their number; SPI leaves it out.
    pub(in crate::sensor) high: u8,
}

impl Default for Bytes {
    fn default() -> Self {
        Self::new(|_| {}, |_, _, _| {})
    }
}

impl Bytes {
    /// `reset` sets what is not 0 after power-up; `on_write` is called after each byte that is written.
    pub(in crate::sensor) fn new(reset: fn(&mut Bytes), on_write: OnWrite) -> Self {
        let (held, now) = (BTreeMap::new(), Duration::ZERO);
        let mut bytes =
            Self { registers: [0; 256], held, pointer: 0, now, reset, on_write, high: 0 };
        reset(&mut bytes);
        bytes
    }

    pub(in crate::sensor) fn set(&mut self, register: u8, bytes: &[u8]) {
        let at = usize::from(register);
        self.registers[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub(in crate::sensor) fn get(&self, register: u8) -> u8 {
        self.registers[usize::from(register)]
    }

    /// From now on `register` reads as `byte`.
    pub(in crate::sensor) fn hold(&mut self, register: u8, byte: u8) {
        self.held.insert(register, byte);
    }
}

impl Device for Bytes {
    fn catch_up(&mut self, now: Duration) {
        self.now = now;
    }

    fn write(&mut self, bytes: &[u8]) {
        let Some((&register, values)) = bytes.split_first() else { return };
        self.pointer = register;
        for &value in values {
            let register = self.pointer;
            self.registers[usize::from(register)] = value;
            (self.on_write)(self, register, self.now);
            self.pointer = register.wrapping_add(1);
        }
    }

    fn read_byte(&mut self) -> u8 {
        let register = self.pointer;
        self.pointer = register.wrapping_add(1);
        self.held.get(&register).copied().unwrap_or_else(|| self.get(register))
    }

    fn over_spi(&self, number: u8) -> u8 {
        number | self.high
    }

    fn power(&mut self, _: bool) {
        self.registers = [0; 256];
        (self.reset)(self);
    }
}

/// Registers of 16 bits, high byte first.
pub(in crate::sensor) struct Words {
    registers: [u16; 256],
    also: BTreeMap<u8, u16>,
    reset: Vec<(u8, u16)>,
    pointer: u8,
    low: bool,
    now: Duration,
    on_write: fn(&mut [u16; 256], u8, Duration),
}

impl Words {
    /// Registers that are not 0 after power-up, and what happens after a write.
    pub(in crate::sensor) fn new(
        reset: &[(u8, u16)],
        on_write: fn(&mut [u16; 256], u8, Duration),
    ) -> Self {
        let (also, now) = (BTreeMap::new(), Duration::ZERO);
        let reset = reset.to_vec();
        let mut words =
            Self { registers: [0; 256], also, reset, pointer: 0, low: false, now, on_write };
        words.power(true);
        words
    }

    /// From now on `register` reads with these bits, too.
    pub(in crate::sensor) fn also(&mut self, register: u8, bits: u16) {
        self.also.insert(register, bits);
    }
}

impl Device for Words {
    fn catch_up(&mut self, now: Duration) {
        self.now = now;
    }

    fn write(&mut self, bytes: &[u8]) {
        let Some((&register, value)) = bytes.split_first() else { return };
        (self.pointer, self.low) = (register, false);
        if let [high, low] = value {
            self.registers[usize::from(register)] = u16::from_be_bytes([*high, *low]);
            (self.on_write)(&mut self.registers, register, self.now);
        }
    }

    fn read_byte(&mut self) -> u8 {
        let also = self.also.get(&self.pointer).copied().unwrap_or(0);
        let bytes = (self.registers[usize::from(self.pointer)] | also).to_be_bytes();
        let byte = bytes[usize::from(self.low)];
        self.low = !self.low;
        byte
    }

    fn power(&mut self, _: bool) {
        self.registers = [0; 256];
        for (register, value) in &self.reset {
            self.registers[usize::from(*register)] = *value;
        }
    }
}

/// A chip of byte registers with its driver.
pub(in crate::sensor) struct Bench {
    clock: Arc<ManualClock>,
    sim: Sim<Bytes>,
    settings: PolledSettings,
    sensor: Option<Polled>,
    make: (fn(&mut Bytes), OnWrite),
}

impl Bench {
    pub(in crate::sensor) fn new(
        kind: Kind,
        address: u8,
        rate_hz: f64,
        reset: fn(&mut Bytes),
        on_write: OnWrite,
    ) -> Self {
        let clock = Arc::new(ManualClock::auto());
        let sim = Sim::at(address, clock.clone(), Bytes::new(reset, on_write));
        sim.allow_transactions(5000);
        let settings = PolledSettings { place: Place::i2c("/dev/i2c-1", address), rate_hz, kind };
        Self { clock, sim, settings, sensor: None, make: (reset, on_write) }
    }

    pub(in crate::sensor) fn bytes(&self, change: impl FnOnce(&mut Bytes)) {
        self.sim.with(change);
    }

    pub(in crate::sensor) fn open(&self) -> Result<Polled, SensorError> {
        opened(&self.sim, &self.settings, self.clock.clone())
    }

    fn sensor(&mut self) -> &mut Polled {
        if self.sensor.is_none() {
            self.sensor = Some(self.open().expect("the chip is fine"));
        }
        self.sensor.as_mut().expect("just opened")
    }

    /// `count` frames, one a period, only the first with a gap.
    pub(in crate::sensor) fn frames(&mut self, count: usize) -> Frames {
        let (clock, period) = (self.clock.clone(), self.sensor().spec().period());
        let mut frames = Frames::new(self.sensor().spec().channels.len(), count);
        let begin = clock.monotonic();
        for n in 0..count {
            clock.advance((begin + period * n as u32).saturating_sub(clock.monotonic()));
            assert_eq!(self.sensor().read(&mut frames), Ok(1));
        }
        let gaps: Vec<bool> = frames.stamps().iter().map(|stamp| stamp.gap_before).collect();
        assert_eq!(gaps.iter().position(|gap| *gap), Some(0));
        assert!(gaps[1..].iter().all(|gap| !gap));
        frames
    }

    /// What the next measurement fails with.
    pub(in crate::sensor) fn error(&mut self) -> String {
        let period = self.sensor().spec().period();
        self.clock.advance(period);
        let mut frames = Frames::new(self.sensor().spec().channels.len(), 1);
        self.sensor().read(&mut frames).expect_err("a fault").to_string()
    }

    pub(in crate::sensor) fn made(&self) -> (fn(&mut Bytes), OnWrite) {
        self.make
    }

    pub(in crate::sensor) fn settings(&self) -> PolledSettings {
        self.settings.clone()
    }

    pub(in crate::sensor) fn faults(&self) {
        let (reset, on_write) = self.make;
        Self::faults_of(self.settings.clone(), || Bytes::new(reset, on_write));
    }

    /// The same chip over SPI, where nothing acknowledges: it measures, and a dead line is a fault.
    pub(in crate::sensor) fn over_spi<D: Device + 'static>(
        settings: PolledSettings,
        make: impl Fn() -> D,
    ) {
        let place = Place::Spi { device: "/dev/spidev0.0".into(), speed_hz: 1_000_000 };
        let settings = PolledSettings { place, ..settings };
        assert_eq!(settings.validate(), []);
        for what in ["zeros", "ones", "removed", "failing"] {
            let clock = Arc::new(ManualClock::auto());
            let sim = Sim::at(0, clock.clone(), make());
            sim.allow_transactions(2000);
            let mut sensor = opened(&sim, &settings, clock.clone()).expect(what);
            let mut frames = Frames::new(sensor.spec().channels.len(), 2);
            assert_eq!(sensor.read(&mut frames), Ok(1), "{what}");
            assert!(frames.values().iter().any(|value| value.is_finite()), "{frames:?}");
            match what {
                "zeros" => sim.stuck_at(Some(0x00)),
                "ones" => sim.stuck_at(Some(0xff)),
                "removed" => sim.remove(),
                _ => sim.nack_next(1),
            }
            clock.advance(sensor.spec().period());
            let error = sensor.read(&mut frames).expect_err(what);
            assert!(matches!(error, SensorError::Bus { .. }), "{what}: {error}");
            assert_eq!(frames.len(), 1, "{what}");
            sim.stuck_at(None);
            sim.plug_in();
            let mut sensor = opened(&sim, &settings, clock).expect(what);
            assert_eq!(sensor.read(&mut frames), Ok(1), "{what}");
        }
    }

    /// Every fault of the bus, at the start and while measuring: an error, no frame, and all well after it.
    pub(in crate::sensor) fn faults_of<D: Device + 'static>(
        settings: PolledSettings,
        make: impl Fn() -> D,
    ) {
        type Fault<D> = (&'static str, fn(&Sim<D>), fn(&Sim<D>));
        let faults: [Fault<D>; 6] = [
            ("zeros", |sim| sim.stuck_at(Some(0x00)), |sim| sim.stuck_at(None)),
            ("ones", |sim| sim.stuck_at(Some(0xff)), |sim| sim.stuck_at(None)),
            ("removed", Sim::remove, Sim::plug_in),
            ("no answer", |sim| sim.nack_next(1), |_| {}),
            ("short read", |sim| sim.nack_after_bytes(0), |_| {}),
            (
                "stretched",
                |sim| sim.stretch(Duration::from_secs(2)),
                |sim| sim.stretch(Duration::ZERO),
            ),
        ];
        let set_up = || {
            let clock = Arc::new(ManualClock::auto());
            let sim = Sim::at(settings.place.address().unwrap_or(0), clock.clone(), make());
            sim.allow_transactions(2000);
            (clock, sim)
        };
        let good = |sim: &Sim<D>, clock: &Arc<ManualClock>, what: &str| {
            let sensor = opened(sim, &settings, clock.clone());
            let mut sensor = sensor.unwrap_or_else(|error| panic!("{what}: {error}"));
            let mut frames = Frames::new(sensor.spec().channels.len(), 1);
            assert_eq!(sensor.read(&mut frames), Ok(1), "{what}");
            assert!(frames.values().iter().any(|value| value.is_finite()), "{what}: {frames:?}");
            sensor
        };
        for (what, begin, end) in faults {
            let (clock, sim) = set_up();
            if what != "stretched" {
                begin(&sim);
                let error = opened(&sim, &settings, clock.clone()).err().expect(what);
                assert!(matches!(error, SensorError::Bus { .. }), "{what}: {error}");
                end(&sim);
            }
            let mut sensor = good(&sim, &clock, what);
            clock.advance(sensor.spec().period());
            begin(&sim);
            let mut frames = Frames::new(sensor.spec().channels.len(), 1);
            let error = sensor.read(&mut frames).expect_err(what);
            assert!(
                matches!(error, SensorError::Bus { .. }) && frames.is_empty(),
                "{what}: {error}"
            );
            end(&sim);
            good(&sim, &clock, what);
        }
        // Each transaction of the start and of the first measurement may fail.
        for failing in 0.. {
            let (clock, sim) = set_up();
            sim.nack_at(failing);
            let read = opened(&sim, &settings, clock.clone()).and_then(|mut sensor| {
                let mut frames = Frames::new(sensor.spec().channels.len(), 1);
                sensor.read(&mut frames)
            });
            match read {
                Err(error) => assert!(error.to_string().contains("nothing answers"), "{error}"),
                Ok(_) => break,
            }
            good(&sim, &clock, "after a missing acknowledgement");
        }
        // A supply that dips: noticed, or harmless.
        let (clock, sim) = set_up();
        let mut sensor = good(&sim, &clock, "before the dip");
        sim.brown_out();
        clock.advance(sensor.spec().period());
        let mut frames = Frames::new(sensor.spec().channels.len(), 1);
        match sensor.read(&mut frames) {
            Err(error) => assert!(matches!(error, SensorError::Bus { .. }), "{error}"),
            Ok(_) => assert!(frames.values().iter().any(|value| value.is_finite())),
        }
        good(&sim, &clock, "after the dip");
    }
}
