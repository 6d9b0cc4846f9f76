//! Matrices of elements of any type, turned in square tiles, or three planes woven into one.

use crate::engine::native::kernels::{Isa, Plain};

/// `y[down, across] = x[across, down]`.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Plane {
    /// `[down, across]`, of the output.
    pub(in super::super) size: [usize; 2],
    /// Elements from one row to the next, of the input and of the output.
    pub(in super::super) strides: [usize; 2],
}

impl Plane {
    /// Whether it has room for a tile of elements of `W` bytes.
    pub(in super::super) fn fits<const W: usize>(&self) -> bool {
        let side = if W == 1 { BYTES } else { FEW };
        self.size.iter().all(|&size| size >= side)
    }

    /// Whether three planes become one of triples: an image whose channels come first.
    pub(in super::super) fn is_woven(&self) -> bool {
        let ([down, across], [from, to]) = (self.size, self.strides);
        (across, to) == (3, 3) && from >= down
    }

    pub(in super::super) fn weave<T: Copy>(&self, isa: Isa, x: &[T], y: &mut [T]) {
        let ([down, _], [from, _]) = (self.size, self.strides);
        let [a, b, c] = [0, from, 2 * from].map(|start| &x[start..start + down]);
        isa.run(Weave { a, b, c, y: &mut y[..3 * down] });
    }

    pub(in super::super) fn turn<const W: usize>(&self, x: &[[u8; W]], y: &mut [[u8; W]]) {
        if W == 1 {
            self.tiles::<u8, BYTES>(x.as_flattened(), y.as_flattened_mut(), turned);
        } else {
            self.tiles::<[u8; W], FEW>(x, y, |x| {
                std::array::from_fn(|row| std::array::from_fn(|column| x[column][row]))
            });
        }
    }

    #[inline(always)]
    fn tiles<T: Copy, const N: usize>(
        &self,
        x: &[T],
        y: &mut [T],
        turned: impl Fn([[T; N]; N]) -> [[T; N]; N],
    ) {
        let Self { size: [down, across], strides: [from, to] } = *self;
        for row in (0..down).step_by(N) {
            // The last tile begins within the one before it.
            let row = row.min(down - N);
            for column in (0..across).step_by(N) {
                let column = column.min(across - N);
                let tile = |i: usize| *x[(column + i) * from + row..].first_chunk().expect(INSIDE);
                let tile = turned(std::array::from_fn(tile));
                for (i, tile) in tile.iter().enumerate() {
                    *y[(row + i) * to + column..].first_chunk_mut().expect(INSIDE) = *tile;
                }
            }
        }
    }
}

struct Weave<'a, T> {
    a: &'a [T],
    b: &'a [T],
    c: &'a [T],
    y: &'a mut [T],
}

impl<T: Copy> Plain for Weave<'_, T> {
    #[inline(always)]
    fn run(self) {
        weave(self.a, self.b, self.c, self.y);
    }
}

/// Arguments rather than parts of a struct, and indices: so the compiler makes vectors of it.
#[inline(always)]
fn weave<T: Copy>(a: &[T], b: &[T], c: &[T], y: &mut [T]) {
    let len = y.len() / 3;
    let (a, b, c, y) = (&a[..len], &b[..len], &c[..len], &mut y[..3 * len]);
    for i in 0..len {
        y[3 * i] = a[i];
        y[3 * i + 1] = b[i];
        y[3 * i + 2] = c[i];
    }
}

/// Sides of a tile: of single bytes, and of more.
const BYTES: usize = 16;
const FEW: usize = 4;

/// Why a tile is there.
const INSIDE: &str = "the plane lies within its tensors, the tile within the plane";

type Row = [u8; BYTES];

/// Four rounds, after each of which elements that are to be neighbours are so: the compiler makes each of
/// them 16 instructions.
#[inline(always)]
fn turned(mut rows: [Row; BYTES]) -> [Row; BYTES] {
    for _ in 0..4 {
        let mut next = [[0; BYTES]; BYTES];
        for i in 0..BYTES / 2 {
            [next[2 * i], next[2 * i + 1]] = zip(rows[i], rows[i + BYTES / 2]);
        }
        rows = next;
    }
    rows
}

/// Elements of `a` and `b` in turns.
#[inline(always)]
fn zip(a: Row, b: Row) -> [Row; 2] {
    let half = |first: usize| {
        std::array::from_fn(|i| if i % 2 == 0 { a[first + i / 2] } else { b[first + i / 2] })
    };
    [half(0), half(BYTES / 2)]
}
