//! Any chip that a configuration can describe: what to write first, where its numbers stand and what they mean.

use std::time::Duration;

use super::bus::{Dialect, Port, SpiDialect, driven, fault};
use super::polled::{Chip, Model, Wait};
use super::{BadSetting, Channel, SensorError};

/// What one transfer takes at a slow bus.
const TRANSFER: Duration = Duration::from_millis(1);
const SETTLE_MAX: Duration = Duration::from_secs(10);

/// Settings of the driver `registers`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RegisterMap {
    /// What must stand where, asked at the start and with each measurement.
    pub id: Option<Id>,
    /// Written at the start, each in a transfer of its own.
    pub init: Vec<Vec<u8>>,
    /// Written before each measurement; may be empty.
    pub trigger: Vec<u8>,
    /// From the trigger to the result.
    pub settle: Duration,
    /// Bytes of a register's number: 1 or 2, high byte first.
    pub register_bytes: u8,
    /// How it is spoken to over SPI.
    pub spi: Option<SpiDialect>,
    /// The numbers.
    pub fields: Vec<Field>,
}

/// A byte that tells the chip from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id {
    /// Where it stands.
    pub register: u16,
    /// Which bits count.
    pub mask: u8,
    /// What they are.
    pub value: u8,
}

/// One number.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The channel's name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Where its first byte stands; `None` where the chip is read without saying where.
    pub register: Option<u16>,
    /// 1 to 4.
    pub bytes: u8,
    /// Low byte first.
    pub little_endian: bool,
    /// Two's complement.
    pub signed: bool,
    /// Bits below the number's.
    pub shift: u8,
    /// How many bits it has; `None`: all that are left.
    pub bits: Option<u8>,
    /// From the number to the unit: `number * scale + offset`.
    pub scale: f64,
    /// See `scale`.
    pub offset: f64,
    /// What the chip can measure.
    pub range: Option<[f32; 2]>,
}

impl Field {
    fn width(&self) -> u32 {
        let left = u32::from(self.bytes) * 8 - u32::from(self.shift).min(31);
        self.bits.map_or(left, u32::from)
    }

    /// The value of up to four `bytes`.
    fn value(&self, bytes: &[u8]) -> f32 {
        let fold = |number: u32, byte: &u8| number << 8 | u32::from(*byte);
        let raw = match self.little_endian {
            true => bytes.iter().rev().fold(0, fold),
            false => bytes.iter().fold(0, fold),
        };
        let width = self.width();
        // Up to the top of 32 bits and down again, which copies the sign.
        let top = (raw >> self.shift) << (32 - width);
        let number = match self.signed {
            true => f64::from(top as i32 >> (32 - width)),
            false => f64::from(top >> (32 - width)),
        };
        (number * self.scale + self.offset) as f32
    }
}

impl Model for RegisterMap {
    fn addresses(&self) -> &[u8] {
        &[]
    }

    fn dialect(&self) -> Dialect {
        Dialect { i2c_burst: 0, spi: self.spi }
    }

    fn channels(&self) -> Vec<Channel> {
        let channel = |field: &Field| Channel {
            name: field.name.clone().into(),
            unit: field.unit.clone().into(),
            range: field.range,
        };
        self.fields.iter().map(channel).collect()
    }

    fn takes(&self) -> Duration {
        self.settle + TRANSFER * (2 + self.fields.len() as u32)
    }

    fn stuck_after(&self) -> Option<Duration> {
        // Nothing is known of its noise.
        None
    }

    fn driver(&self, _: f64) -> Box<dyn Chip> {
        Box::new(Driver { map: self.clone() })
    }

    fn validate(&self) -> Vec<BadSetting> {
        let mut bad = Vec::new();
        let mut wrong = |key: &'static str, why: String| bad.push(BadSetting { key, why });
        if self.fields.is_empty() {
            wrong("channel", "there is none; add [[sensor.channel]]".into());
        }
        if self.settle > SETTLE_MAX {
            wrong("settle", "is longer than 10 s".into());
        }
        for (n, field) in self.fields.iter().enumerate() {
            let name = &field.name;
            if self.fields[..n].iter().any(|other| other.name == *name) {
                wrong("channel", format!("{name:?} is there twice"));
            }
            let (has, wants) = (
                u32::from(field.bytes) * 8,
                u32::from(field.shift) + field.bits.map_or(1, u32::from),
            );
            if !(1..=4).contains(&field.bytes) {
                wrong("channel", format!("{name}: bytes must be 1 to 4, is {}", field.bytes));
            } else if wants > has || field.bits == Some(0) {
                wrong("channel", format!("{name}: shift and bits do not lie within {has} bits"));
            }
            if !(field.scale.is_finite() && field.offset.is_finite() && field.scale != 0.0) {
                wrong("channel", format!("{name}: scale must not be 0"));
            }
            if field.range.is_some_and(|[low, high]| low >= high) {
                wrong("channel", format!("{name}: range must be [low, high]"));
            }
        }
        bad
    }
}

struct Driver {
    map: RegisterMap,
}

impl Driver {
    fn number(&self, register: u16) -> ([u8; 2], usize) {
        match self.map.register_bytes {
            2 => (register.to_be_bytes(), 2),
            _ => ([register.to_be_bytes()[1], 0], 1),
        }
    }

    fn identify(&self, port: &mut dyn Port) -> Result<(), SensorError> {
        let Some(id) = self.map.id else { return Ok(()) };
        let doing = "reading the chip's id";
        let (number, length) = self.number(id.register);
        let mut found = [0];
        port.write_read(&number[..length], &mut found, doing)?;
        if found[0] & id.mask == id.value & id.mask {
            return Ok(());
        }
        driven(&found, doing)?;
        Err(SensorError::WrongChip { found: found[0], expected: "what [sensor.id] says" })
    }
}

impl Chip for Driver {
    fn start(&mut self, port: &mut dyn Port, _: &Wait<'_>) -> Result<(), SensorError> {
        self.identify(port)?;
        for bytes in &self.map.init {
            port.write(bytes, "writing init")?;
        }
        Ok(())
    }

    fn measure(
        &mut self,
        port: &mut dyn Port,
        wait: &Wait<'_>,
        values: &mut [f32],
    ) -> Result<(), SensorError> {
        if let Err(error) = self.identify(port) {
            // It was the right one at the start: not another chip, but a bus that fails.
            return Err(match error {
                SensorError::WrongChip { found, .. } => fault(
                    "reading the chip's id",
                    format!("it reads {found:#04x} now: the supply dips, or the bus is dead"),
                ),
                other => other,
            });
        }
        if !self.map.trigger.is_empty() {
            port.write(&self.map.trigger, "writing trigger")?;
        }
        if !self.map.settle.is_zero() {
            wait.pause(self.map.settle);
        }
        let doing = "reading the channels";
        let mut all_ones = true;
        for (value, field) in values.iter_mut().zip(&self.map.fields) {
            let mut bytes = [0; 4];
            let bytes = &mut bytes[..usize::from(field.bytes)];
            match field.register {
                Some(register) => {
                    let (number, length) = self.number(register);
                    port.write_read(&number[..length], bytes, doing)?;
                }
                None => port.read(bytes, doing)?,
            }
            all_ones &= bytes.iter().all(|byte| *byte == 0xff);
            *value = field.value(bytes);
        }
        if all_ones {
            return Err(fault(
                doing,
                "every bit is 1: no chip drives the data line; check wiring and power",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::PolledSettings;
    use crate::sensor::bus::Place;
    use crate::sensor::polled::Kind;
    use crate::sensor::polled::bench::{Bench, Bytes};

    fn field(name: &str, register: u16, bytes: u8) -> Field {
        Field {
            name: name.into(),
            unit: "°C".into(),
            register: Some(register),
            bytes,
            little_endian: false,
            signed: false,
            shift: 0,
            bits: None,
            scale: 1.0,
            offset: 0.0,
            range: None,
        }
    }

    /// A TMP102 as its data sheet describes it (TI SBOS397), with an id that it does not have.
    fn map() -> RegisterMap {
        RegisterMap {
            id: Some(Id { register: 0x0f, mask: 0xf0, value: 0x90 }),
            init: vec![vec![0x01, 0x60]],
            trigger: vec![0x01, 0xe1],
            settle: Duration::from_millis(30),
            register_bytes: 1,
            spi: None,
            fields: vec![Field {
                signed: true,
                shift: 4,
                scale: 0.0625,
                range: Some([-55.0, 128.0]),
                ..field("temperature", 0x20, 2)
            }],
        }
    }

    fn bench(map: RegisterMap) -> Bench {
        let reset = |bytes: &mut Bytes| {
            bytes.set(0x0f, &[0x9a]);
            bytes.set(0x20, &[0xe7, 0x00]);
        };
        Bench::new(Kind::Registers(map), 0x48, 1.0, reset, |_, _, _| {})
    }

    #[test]
    fn numbers_of_every_form_come_out() {
        let value = |field: Field, bytes: &[u8]| field.value(bytes);
        // SBOS397, table 5: -25 °C is 0xe70.
        let tmp = || map().fields[0].clone();
        assert_eq!(value(tmp(), &[0xe7, 0x00]), -25.0);
        assert_eq!(value(tmp(), &[0x19, 0x00]), 25.0);
        assert_eq!(value(field("a", 0, 1), &[0xff]), 255.0);
        assert_eq!(value(field("a", 0, 4), &[0xff; 4]), 4_294_967_295.0);
        let signed = |bytes| Field { signed: true, ..field("a", 0, bytes) };
        assert_eq!(value(signed(4), &[0xff; 4]), -1.0);
        assert_eq!(value(signed(3), &[0x80, 0, 0]), -8_388_608.0);
        let little = Field { little_endian: true, ..signed(2) };
        assert_eq!(value(little, &[0xfe, 0xff]), -2.0);
        let bits = Field { shift: 2, bits: Some(3), offset: 0.5, ..field("a", 0, 1) };
        assert_eq!(value(bits, &[0b1011_0111]), 5.5);
    }

    #[test]
    fn a_described_chip_gives_its_values() {
        let mut bench = bench(map());
        assert_eq!(bench.frames(3).values(), [-25.0; 3]);
    }

    #[test]
    fn faults_are_faults_and_never_data() {
        bench(map()).faults();
    }

    #[test]
    fn over_spi_the_number_carries_the_bits_that_the_description_says() {
        let spi = SpiDialect { mode: 3, read: 0x80, burst: 0x40, speed_max_hz: 1_000_000 };
        let described = bench(RegisterMap { spi: Some(spi), ..map() });
        let (reset, on_write) = described.made();
        Bench::over_spi(described.settings(), || Bytes::new(reset, on_write));
    }

    #[test]
    fn without_an_id_a_bus_of_ones_is_still_no_data() {
        let mut bench = bench(RegisterMap { id: None, ..map() });
        bench.frames(1);
        bench.bytes(|bytes| (0x20..0x22).for_each(|register| bytes.hold(register, 0xff)));
        assert!(bench.error().contains("every bit is 1"));
    }

    #[test]
    fn another_chip_is_refused_at_the_start_and_a_fault_later() {
        let mut bench = bench(map());
        bench.frames(1);
        bench.bytes(|bytes| bytes.hold(0x0f, 0x5a));
        assert!(matches!(bench.open().err(), Some(SensorError::WrongChip { found: 0x5a, .. })));
        assert!(bench.error().contains("it reads 0x5a now"));
    }

    #[test]
    fn descriptions_that_cannot_be_are_refused() {
        let keys = |map: RegisterMap| {
            let kind = Kind::Registers(map);
            let bad = PolledSettings { place: Place::i2c("/dev/i2c-1", 0x48), rate_hz: 1.0, kind }
                .validate();
            bad.into_iter().map(|bad| bad.key).collect::<Vec<_>>()
        };
        let with = |field: Field| RegisterMap { fields: vec![field], ..map() };
        assert_eq!(keys(map()), [""; 0]);
        assert_eq!(keys(RegisterMap { fields: Vec::new(), ..map() }), ["channel"]);
        assert_eq!(keys(with(field("a", 0, 5))), ["channel"]);
        assert_eq!(keys(with(Field { shift: 8, ..field("a", 0, 1) })), ["channel"]);
        assert_eq!(keys(with(Field { bits: Some(9), ..field("a", 0, 1) })), ["channel"]);
        assert_eq!(keys(with(Field { scale: 0.0, ..field("a", 0, 1) })), ["channel"]);
        assert_eq!(keys(with(Field { range: Some([1.0, 1.0]), ..field("a", 0, 1) })), ["channel"]);
        let twice = vec![field("a", 0, 1), field("a", 1, 1)];
        assert_eq!(keys(RegisterMap { fields: twice, ..map() }), ["channel"]);
    }
}
