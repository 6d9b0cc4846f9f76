//! Functions of 16 bits: straight lines between the entries of a table.

use super::Linear;

/// 513 answers, one for every 128th raw value, moved so that the lines between them err least.
/// Source: TensorFlow Lite's `LUTPopulate` for `int16`.
#[derive(Debug)]
pub(super) struct WordTable {
    answers: Box<[i16; 513]>,
}

impl WordTable {
    /// Of `function`; zero points are 0 in 16 bits.
    pub(super) fn new(x: Linear, y: Linear, function: impl Fn(f64) -> f64) -> Self {
        let real = |raw: i32| x.scale * (raw - x.zero_point) as f32;
        let (low, high) = (real(x.low), real(x.high));
        let step = (high - low) / 512.0;
        let ends = [y.low, y.high].map(|raw| y.scale * (raw - y.zero_point) as f32);
        let per_unit = 65536.0 / (ends[1] - ends[0]);
        let answer = |x: f32| function(f64::from(x)) as f32;
        let clamped = |steps: f32| steps.clamp(-32768.0, 32767.0) as i16;
        let mut answers = Box::new([0; 513]);
        for (i, to) in answers.iter_mut().take(512).enumerate() {
            let at = low + i as f32 * step;
            let here = (answer(at) * per_unit).round();
            let next = answer(low + (i + 1) as f32 * step) * per_unit;
            let between = ((next + here) / 2.0).round();
            let middle = (answer(at + step / 2.0) * per_unit).round();
            *to = clamped(here - ((between - middle) / 2.0).round());
        }
        answers[512] = clamped((answer(high) * per_unit).round());
        Self { answers }
    }

    #[inline(always)]
    pub(super) fn of(&self, raw: i16) -> i16 {
        let at = (256 + (i32::from(raw) >> 7)).cast_unsigned() as usize;
        let (here, next) = (i32::from(self.answers[at]), i32::from(self.answers[at + 1]));
        (here + (((next - here) * i32::from(raw & 127) + 64) >> 7)) as i16
    }
}

/// Where LiteRT's answers of the logistic function lie 1 above the nearest ones.
const HIGHER: [usize; 44] = [
    4, 8, 12, 14, 15, 16, 17, 19, 20, 21, 22, 25, 27, 28, 29, 30, 31, 33, 34, 35, 37, 39, 40, 41,
    43, 44, 45, 46, 49, 50, 54, 62, 63, 64, 66, 82, 86, 93, 100, 103, 112, 116, 135, 255,
];

/// The logistic function by 256 answers of 16 bits, 24 for each unit.
/// Source: TensorFlow Lite's reference kernels for `int16`.
#[derive(Debug)]
pub(super) struct Sigmoid {
    answers: Box<[u16; 256]>,
    /// From the input's steps to steps of a 12288th.
    multiplier: i32,
    shift: u32,
}

impl Sigmoid {
    pub(super) fn new(x: Linear) -> Self {
        let answer = |i: usize| {
            let answer = 65536.0 / (1.0 + libm::exp(-(i as f64) / 24.0));
            answer.round() as u16 + u16::from(HIGHER.contains(&i))
        };
        let answers = Box::new(std::array::from_fn(answer));
        let (mut multiplier, mut shift) = (f64::from(x.scale) * 4096.0 * 3.0, 0);
        while multiplier <= 32767.0 / 2.0 && shift <= 30 {
            (multiplier, shift) = (multiplier * 2.0, shift + 1);
        }
        Self { answers, multiplier: multiplier.min(32767.0) as i32, shift }
    }

    /// The input in steps of a 12288th.
    fn scaled(&self, raw: i16) -> i32 {
        let half = if self.shift > 0 { 1 << (self.shift - 1) } else { 0 };
        (i32::from(raw) * self.multiplier + half) >> self.shift
    }

    /// The function at `scaled`, which is not negative, with `bits` bits between two answers.
    fn between(&self, scaled: u32, bits: u32) -> u32 {
        let at = (scaled >> bits) as usize;
        match self.answers.get(at..at + 2) {
            Some(&[here, next]) => {
                let part = scaled & ((1 << bits) - 1);
                (u32::from(here) << bits) + part * (u32::from(next) - u32::from(here))
            }
            _ => 0,
        }
    }

    #[inline(always)]
    pub(super) fn of(&self, raw: i16) -> i16 {
        let scaled = self.scaled(raw);
        let magnitude = scaled.unsigned_abs();
        let answer = if magnitude >> 9 >= 255 { 0x7fff << 10 } else { self.between(magnitude, 9) };
        let rounded =
            if scaled >= 0 { answer + (1 << 9) } else { (1 << 25) - answer + (1 << 9) - 1 };
        (rounded >> 10) as i16
    }

    /// The hyperbolic tangent, which is twice the logistic function of twice the value, less 1.
    #[inline(always)]
    pub(super) fn tanh_of(&self, raw: i16) -> i16 {
        let scaled = self.scaled(raw);
        let magnitude = scaled.unsigned_abs();
        let answer = if magnitude >> 8 >= 255 { 0xffff << 8 } else { self.between(magnitude, 8) };
        let answer = answer as i32;
        let rounded = if scaled >= 0 {
            answer - (1 << 23) + (1 << 7)
        } else {
            -answer + (1 << 23) + (1 << 7) - 1
        };
        (rounded >> 8) as i16
    }
}
