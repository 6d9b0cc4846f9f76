//! OpenCV's resize of 8-bit pictures: `INTER_LINEAR` with weights of 11 bits, and `INTER_AREA`.
//!
//! Source: OpenCV, `modules/imgproc/src/resize.cpp`, the portable code. Builds with a vendor's library (IPP,
//! Carotene) differ from it by a unit.

use super::{Pixels, Row, Rows, Sizes};

/// Bits behind the point of a weight.
const ONE: f32 = 2048.0;

/// Whether it is the shrinking by exactly 2 that OpenCV does as an area whatever it is asked for.
pub(super) fn halves(sizes: Sizes) -> bool {
    (0..2).all(|axis| sizes.from[axis] == 2 * sizes.to[axis])
}

/// Whether no axis grows: only then is `INTER_AREA` an area.
pub(super) fn shrinks(sizes: Sizes) -> bool {
    (0..2).all(|axis| sizes.from[axis] >= sizes.to[axis])
}

/// A place of the result between a place of the source and the next one.
#[derive(Clone, Copy, Debug)]
struct Between {
    lower: usize,
    upper: usize,
    weights: [i32; 2],
}

impl Between {
    fn new(floor: f64, share: f32, from: usize) -> Self {
        let last = from as f64 - 1.0;
        let place = |at: f64| at.clamp(0.0, last) as usize;
        let weight = |share: f32| (share * ONE).round_ties_even() as i32;
        let weights = [weight(1.0 - share), weight(share)];
        Self { lower: place(floor), upper: place(floor + 1.0), weights }
    }
}

/// Bilinear interpolation.
#[derive(Clone, Debug)]
pub(super) struct Linear {
    across: Vec<Between>,
    down: Vec<Between>,
    /// Two source rows, resized across, and which they are.
    lines: [Vec<i32>; 2],
    held: [Option<usize>; 2],
    row: Vec<u8>,
}

impl Linear {
    pub(super) fn new(sizes: Sizes) -> Self {
        let axis = |from: usize, to: usize, inside: bool| {
            let scale = 1.0 / (to as f64 / from as f64);
            let place = |n: usize| {
                let at = ((n as f64 + 0.5) * scale - 0.5) as f32;
                let floor = at.floor();
                let beyond = floor < 0.0 || floor >= from as f32 - 1.0;
                // Across, but not down, a place beyond the edge is the edge exactly.
                let share = if inside && beyond { 0.0 } else { at - floor };
                Between::new(f64::from(floor), share, from)
            };
            (0..to).map(place).collect()
        };
        Self::along(sizes, axis)
    }

    /// `INTER_AREA` where an axis grows: pixels with soft edges.
    pub(super) fn growing(sizes: Sizes) -> Self {
        let axis = |from: usize, to: usize, inside: bool| {
            let inverse = to as f64 / from as f64;
            let scale = 1.0 / inverse;
            let place = |n: usize| {
                let floor = (n as f64 * scale).floor();
                let at = ((n as f64 + 1.0) - (floor + 1.0) * inverse) as f32;
                let share = if at <= 0.0 { 0.0 } else { at - at.floor() };
                let beyond = floor >= from as f64 - 1.0;
                Between::new(floor, if inside && beyond { 0.0 } else { share }, from)
            };
            (0..to).map(place).collect()
        };
        Self::along(sizes, axis)
    }

    fn along(sizes: Sizes, axis: impl Fn(usize, usize, bool) -> Vec<Between>) -> Self {
        let Sizes { from, to, channels } = sizes;
        let length = to[0] * channels;
        Self {
            across: axis(from[0], to[0], true),
            down: axis(from[1], to[1], false),
            lines: [vec![0; length], vec![0; length]],
            held: [None; 2],
            row: vec![0; length],
        }
    }

    pub(super) fn run(&mut self, from: Pixels<'_>, rows: &mut Rows<'_>) {
        self.held = [None; 2];
        for (y, down) in self.down.iter().enumerate() {
            if self.held[1] == Some(down.lower) && self.held[0] != Some(down.lower) {
                self.lines.swap(0, 1);
                self.held.swap(0, 1);
            }
            for (slot, source) in [down.lower, down.upper].into_iter().enumerate() {
                if self.held[slot] != Some(source) {
                    line(&self.across, from.row(source), from.channels, &mut self.lines[slot]);
                    self.held[slot] = Some(source);
                }
            }
            let [above, below] = &self.lines;
            let [a, b] = down.weights;
            for ((to, &above), &below) in self.row.iter_mut().zip(above).zip(below) {
                let sum = ((a * (above >> 4)) >> 16) + ((b * (below >> 4)) >> 16);
                *to = ((sum + 2) >> 2).clamp(0, 255) as u8;
            }
            rows(y, Row::Bytes(&self.row));
        }
    }
}

fn line(across: &[Between], from: &[u8], channels: usize, to: &mut [i32]) {
    for (to, at) in to.chunks_exact_mut(channels).zip(across) {
        let (lower, upper) = (&from[at.lower * channels..], &from[at.upper * channels..]);
        let [a, b] = at.weights;
        for ((to, &lower), &upper) in to.iter_mut().zip(lower).zip(upper) {
            *to = i32::from(lower) * a + i32::from(upper) * b;
        }
    }
}

/// The mean of the part that a pixel covers.
#[derive(Clone, Debug)]
pub(super) struct Cells {
    across: Vec<Vec<(usize, f32)>>,
    down: Vec<Vec<(usize, f32)>>,
    /// By whole numbers the sums are exact, and divided once.
    whole: Option<f32>,
    line: Vec<f32>,
    sums: Vec<f32>,
    row: Vec<u8>,
}

impl Cells {
    pub(super) fn new(sizes: Sizes) -> Self {
        let Sizes { from, to, channels } = sizes;
        let length = to[0] * channels;
        let whole = (0..2).all(|axis| from[axis] % to[axis] == 0);
        let area = (from[0] / to[0]) * (from[1] / to[1]);
        Self {
            across: cells(from[0], to[0], whole),
            down: cells(from[1], to[1], whole),
            whole: whole.then(|| 1.0 / area as f32),
            line: vec![0.0; length],
            sums: vec![0.0; length],
            row: vec![0; length],
        }
    }

    pub(super) fn run(&mut self, from: Pixels<'_>, rows: &mut Rows<'_>) {
        let n = from.channels;
        for (y, down) in self.down.iter().enumerate() {
            self.sums.fill(0.0);
            for &(source, share) in down {
                let row = from.row(source);
                for (to, cell) in self.line.chunks_exact_mut(n).zip(&self.across) {
                    to.fill(0.0);
                    for &(x, part) in cell {
                        for (to, &value) in to.iter_mut().zip(&row[x * n..]) {
                            *to += f32::from(value) * part;
                        }
                    }
                }
                for (sum, &value) in self.sums.iter_mut().zip(&self.line) {
                    *sum += value * share;
                }
            }
            for (to, &sum) in self.row.iter_mut().zip(&self.sums) {
                *to = match self.whole {
                    // OpenCV's shrinking by 2 rounds halves up, the others to even.
                    Some(0.25) => ((sum as u32 + 2) >> 2) as u8,
                    Some(share) => (sum * share).round_ties_even() as u8,
                    None => sum.round_ties_even() as u8,
                };
            }
            rows(y, Row::Bytes(&self.row));
        }
    }
}

/// The source places that each place covers, with their shares; whole places count 1 where `whole`.
fn cells(from: usize, to: usize, whole: bool) -> Vec<Vec<(usize, f32)>> {
    if whole {
        let each = from / to;
        return (0..to).map(|n| (n * each..(n + 1) * each).map(|i| (i, 1.0)).collect()).collect();
    }
    let scale = 1.0 / (to as f64 / from as f64);
    let cell = |n: usize| {
        let (low, high) = (n as f64 * scale, n as f64 * scale + scale);
        let width = scale.min(from as f64 - low);
        let last = (high.floor() as usize).min(from - 1);
        let first = (low.ceil() as usize).min(last);
        let mut cell = Vec::new();
        if first as f64 - low > 1e-3 {
            cell.push((first - 1, ((first as f64 - low) / width) as f32));
        }
        cell.extend((first..last).map(|i| (i, (1.0 / width) as f32)));
        if high - last as f64 > 1e-3 {
            cell.push((last, ((high - last as f64).min(1.0).min(width) / width) as f32));
        }
        cell
    };
    (0..to).map(cell).collect()
}
