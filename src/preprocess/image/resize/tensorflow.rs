//! TensorFlow's resize operators, bit for bit in f32.
//!
//! Source: TensorFlow, `core/kernels/image/resize_bilinear_op.cc`, `resize_area_op.cc`, and
//! `core/util/image_resizer_state.h`.

use super::{Pixels, Row, Rows, Sizes};

/// Where the pixels of the result lie in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grid {
    /// Centre on centre: TensorFlow 2.
    HalfPixel,
    /// First corner on first corner: TensorFlow 1.
    Corner,
    /// The outermost pixels on one another: `align_corners`.
    Aligned,
}

/// A place of the result between two places of the source.
#[derive(Clone, Copy, Debug)]
struct Between {
    lower: usize,
    upper: usize,
    share: f32,
}

fn axis(grid: Grid, from: usize, to: usize) -> Vec<Between> {
    let scale = match grid {
        Grid::Aligned if to > 1 => (from - 1) as f32 / (to - 1) as f32,
        _ => from as f32 / to as f32,
    };
    let place = |n: usize| {
        let at = match grid {
            Grid::HalfPixel => (n as f32 + 0.5) * scale - 0.5,
            Grid::Corner | Grid::Aligned => n as f32 * scale,
        };
        let floor = at.floor();
        // `as` ends at 0, as TensorFlow's max does.
        let (lower, upper) = (floor as usize, at.ceil() as usize);
        Between { lower: lower.min(from - 1), upper: upper.min(from - 1), share: at - floor }
    };
    (0..to).map(place).collect()
}

/// Bilinear interpolation.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    across: Vec<Between>,
    down: Vec<Between>,
    row: Vec<f32>,
}

impl Lines {
    pub(super) fn new(sizes: Sizes, grid: Grid) -> Self {
        Self {
            across: axis(grid, sizes.from[0], sizes.to[0]),
            down: axis(grid, sizes.from[1], sizes.to[1]),
            row: vec![0.0; sizes.to[0] * sizes.channels],
        }
    }

    pub(super) fn run(&mut self, from: Pixels<'_>, rows: &mut Rows<'_>) {
        let n = from.channels;
        for (y, down) in self.down.iter().enumerate() {
            let (above, below) = (from.row(down.lower), from.row(down.upper));
            for (to, at) in self.row.chunks_exact_mut(n).zip(&self.across) {
                let corner = |row: &[u8], x: usize, c: usize| f32::from(row[x * n + c]);
                for (c, to) in to.iter_mut().enumerate() {
                    let line = |row: &[u8]| {
                        let left = corner(row, at.lower, c);
                        left + (corner(row, at.upper, c) - left) * at.share
                    };
                    let (top, bottom) = (line(above), line(below));
                    *to = top + (bottom - top) * down.share;
                }
            }
            rows(y, Row::Real(&self.row));
        }
    }
}

/// The part of the source that one place of the result covers, along one axis.
#[derive(Clone, Copy, Debug)]
struct Cell {
    start: usize,
    end: usize,
    first: f32,
    last: f32,
}

fn cells(from: usize, to: usize) -> Vec<Cell> {
    let scale = from as f32 / to as f32;
    let cell = |n: usize| {
        let (low, high) = (n as f32 * scale, (n + 1) as f32 * scale);
        let share = |i: f32| {
            if i < low {
                if i + 1.0 > high { scale } else { i + 1.0 - low }
            } else if i + 1.0 > high {
                high - i
            } else {
                1.0
            }
        };
        let (start, end) = (low.floor(), high.ceil());
        Cell {
            start: start as usize,
            end: end as usize,
            first: share(start),
            last: share(end - 1.0),
        }
    };
    (0..to).map(cell).collect()
}

impl Cell {
    /// Each source place with its share; places beyond the source are its last.
    fn each(self, from: usize) -> impl Iterator<Item = (usize, f32)> {
        (self.start..self.end).map(move |i| {
            let share = match i {
                _ if i == self.start => self.first,
                _ if i + 1 == self.end => self.last,
                _ => 1.0,
            };
            (i.min(from - 1), share)
        })
    }
}

/// The mean of the part that a pixel covers.
#[derive(Clone, Debug)]
pub(super) struct Cells {
    across: Vec<Cell>,
    down: Vec<Cell>,
    scale: f32,
    row: Vec<f32>,
}

impl Cells {
    pub(super) fn new(sizes: Sizes) -> Self {
        let Sizes { from, to, channels } = sizes;
        let (wide, high) = (from[0] as f32 / to[0] as f32, from[1] as f32 / to[1] as f32);
        Self {
            across: cells(from[0], to[0]),
            down: cells(from[1], to[1]),
            scale: 1.0 / (high * wide),
            row: vec![0.0; to[0] * channels],
        }
    }

    pub(super) fn run(&mut self, from: Pixels<'_>, rows: &mut Rows<'_>) {
        let n = from.channels;
        for (y, down) in self.down.iter().enumerate() {
            for (to, across) in self.row.chunks_exact_mut(n).zip(&self.across) {
                to.fill(0.0);
                for (source, share) in down.each(from.height) {
                    let row = from.row(source);
                    for (c, to) in to.iter_mut().enumerate() {
                        let mut sum = 0.0;
                        for (x, part) in across.each(from.width) {
                            sum += f32::from(row[x * n + c]) * part;
                        }
                        *to += sum * share;
                    }
                }
                to.iter_mut().for_each(|to| *to *= self.scale);
            }
            rows(y, Row::Real(&self.row));
        }
    }
}
