//! Pillow's resampling, byte for byte: two passes of a convolution whose weights are whole numbers.
//!
//! Source: Pillow, `src/libImaging/Resample.c`. Its vector code (Pillow-SIMD) is not meant.

use super::{Pixels, Row, Rows, Sizes};

/// Bits behind the point of a weight.
const PRECISION: u32 = 32 - 8 - 2;

/// A filter: its half-width in pixels of the smaller picture, and its value there.
#[derive(Clone, Copy)]
pub(super) struct Filter {
    support: f64,
    value: fn(f64) -> f64,
}

pub(super) const BOX: Filter =
    Filter { support: 0.5, value: |x| if x > -0.5 && x <= 0.5 { 1.0 } else { 0.0 } };

pub(super) const BILINEAR: Filter = Filter { support: 1.0, value: |x| (1.0 - x.abs()).max(0.0) };

pub(super) const BICUBIC: Filter = Filter {
    support: 2.0,
    value: |x| {
        const A: f64 = -0.5;
        let x = x.abs();
        if x < 1.0 {
            ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
        } else if x < 2.0 {
            (((x - 5.0) * x + 8.0) * x - 4.0) * A
        } else {
            0.0
        }
    },
};

pub(super) const LANCZOS: Filter = Filter {
    support: 3.0,
    value: |x| if (-3.0..3.0).contains(&x) { sinc(x) * sinc(x / 3.0) } else { 0.0 },
};

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * std::f64::consts::PI;
    libm::sin(x) / x
}

/// What each place along one axis is made of.
#[derive(Clone, Debug)]
struct Axis {
    /// The first source place, and how many.
    spans: Vec<(usize, usize)>,
    /// `most` a place, of which as many count as the span has.
    weights: Vec<i32>,
    most: usize,
}

impl Axis {
    fn new(filter: Filter, from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        let wide = scale.max(1.0);
        let support = filter.support * wide;
        let most = support.ceil() as usize * 2 + 1;
        let mut axis = Self { spans: Vec::with_capacity(to), weights: vec![0; most * to], most };
        let mut real = Vec::with_capacity(most);
        for (place, weights) in axis.weights.chunks_exact_mut(most).enumerate() {
            let center = (place as f64 + 0.5) * scale;
            // `as` cuts towards 0, as C's cast, and ends at 0, as the line after it there.
            let first = (center - support + 0.5) as usize;
            let end = ((center + support + 0.5) as usize).min(from);
            real.clear();
            real.extend(
                (first..end)
                    .map(|source| (filter.value)((source as f64 - center + 0.5) * (1.0 / wide))),
            );
            let sum: f64 = real.iter().sum();
            for (weight, &real) in weights.iter_mut().zip(&real) {
                let share = if sum == 0.0 { real } else { real / sum };
                let scaled = share * f64::from(1u32 << PRECISION);
                *weight = (scaled + if share < 0.0 { -0.5 } else { 0.5 }) as i32;
            }
            axis.spans.push((first, end - first));
        }
        axis
    }

    fn each(&self) -> impl Iterator<Item = (usize, &[i32])> {
        let weights = self.weights.chunks_exact(self.most);
        self.spans.iter().zip(weights).map(|(&(first, count), weights)| (first, &weights[..count]))
    }
}

/// Both passes, and the memory between them.
///
/// Across comes first, except where a picture grows across and shrinks down: the smaller work first, as
/// Pillow 13 has it. Pillow 12 and older always begin across: 1 unit apart then.
#[derive(Clone, Debug)]
pub(super) struct Convolution {
    across: Axis,
    down: Axis,
    down_first: bool,
    /// What the first pass gives: `[source height, width, channels]`, or one row `[source width, channels]`.
    between: Vec<u8>,
    sums: Vec<i32>,
    row: Vec<u8>,
}

impl Convolution {
    pub(super) fn new(filter: Filter, sizes: Sizes) -> Self {
        let Sizes { from, to, channels } = sizes;
        let down_first = to[0] > from[0] && to[1] < from[1];
        let row = to[0] * channels;
        let (between, sums) = match down_first {
            true => (from[0] * channels, from[0] * channels),
            false => (from[1] * row, row),
        };
        Self {
            across: Axis::new(filter, from[0], to[0]),
            down: Axis::new(filter, from[1], to[1]),
            down_first,
            between: vec![0; between],
            sums: vec![0; sums],
            row: vec![0; row],
        }
    }

    pub(super) fn run(&mut self, from: Pixels<'_>, rows: &mut Rows<'_>) {
        let across = |from: &[u8], axis: &Axis, to: &mut [u8], channels| match channels {
            3 => across::<3>(axis, from, to),
            _ => across::<1>(axis, from, to),
        };
        if self.down_first {
            for (y, (first, weights)) in self.down.each().enumerate() {
                let sources = (first..first + weights.len()).map(|y| from.row(y));
                down(sources, weights, &mut self.sums, &mut self.between);
                across(&self.between, &self.across, &mut self.row, from.channels);
                rows(y, Row::Bytes(&self.row));
            }
            return;
        }
        let length = self.row.len();
        for (y, to) in self.between.chunks_exact_mut(length).enumerate() {
            across(from.row(y), &self.across, to, from.channels);
        }
        for (y, (first, weights)) in self.down.each().enumerate() {
            let sources = self.between[first * length..].chunks_exact(length);
            down(sources, weights, &mut self.sums, &mut self.row);
            rows(y, Row::Bytes(&self.row));
        }
    }
}

fn down<'a>(
    sources: impl Iterator<Item = &'a [u8]>,
    weights: &[i32],
    sums: &mut [i32],
    to: &mut [u8],
) {
    sums.fill(HALF);
    for (source, &weight) in sources.zip(weights) {
        for (sum, &value) in sums.iter_mut().zip(source) {
            *sum += i32::from(value) * weight;
        }
    }
    to.iter_mut().zip(sums).for_each(|(to, &mut sum)| *to = clip(sum));
}

/// One half in a sum, for rounding.
const HALF: i32 = 1 << (PRECISION - 1);

fn clip(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

fn across<const CHANNELS: usize>(axis: &Axis, from: &[u8], to: &mut [u8]) {
    let (from, _) = from.as_chunks::<CHANNELS>();
    let (to, _) = to.as_chunks_mut::<CHANNELS>();
    for ((first, weights), to) in axis.each().zip(to) {
        let mut sums = [HALF; CHANNELS];
        for (pixel, &weight) in from[first..].iter().zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(pixel) {
                *sum += i32::from(value) * weight;
            }
        }
        *to = sums.map(clip);
    }
}
