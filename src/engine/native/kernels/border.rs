//! Copies of an input in the form that a kernel reads, with room around it.

use std::ops::Range;

use super::isa::Set;
use crate::engine::native::pool::{Claim, SHARED_COPY, Team, View, ViewMut};

/// How kernels want 8-bit inputs to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As in the arena: `i8`.
    Signed,
    /// `u8`, 128 higher: what the dot products of x86-64 take.
    Unsigned,
    /// `i16`: what AVX2 multiplies.
    Wide,
}

impl Form {
    /// What products on `set` read.
    pub(super) fn of(set: Set) -> Self {
        match set {
            Set::Scalar | Set::Amx | Set::Neon | Set::DotProd => Self::Signed,
            Set::Avx2 => Self::Wide,
            Set::AvxVnni | Set::Avx512Vnni => Self::Unsigned,
        }
    }

    /// Bytes of a value.
    pub(super) fn bytes(self) -> usize {
        if self == Self::Wide { 2 } else { 1 }
    }

    /// What was added to each value.
    pub(super) fn offset(self) -> i32 {
        if self == Self::Unsigned { 128 } else { 0 }
    }

    /// Converts the first `len` of `x` into `y`. May write up to 15 values more, so `y` needs room.
    #[inline(always)]
    pub(super) fn convert(self, x: &[i8], len: usize, y: &mut [u8]) {
        match self {
            Self::Signed => convert::<1>(x, len, y, |x| [x.cast_unsigned()]),
            Self::Unsigned => convert::<1>(x, len, y, |x| [x.cast_unsigned() ^ 0x80]),
            Self::Wide => convert::<2>(x, len, y, |x| i16::from(x).to_ne_bytes()),
        }
    }
}

/// Values that are converted together.
pub(super) const CHUNK: usize = 16;

#[inline(always)]
fn convert<const SIZE: usize>(x: &[i8], len: usize, y: &mut [u8], f: impl Fn(i8) -> [u8; SIZE]) {
    let (y, _) = y.as_chunks_mut::<SIZE>();
    // Whole chunks, also past the end where both sides have more: a length known to the compiler is a
    // register, any other a call.
    let whole = len.next_multiple_of(CHUNK);
    if let (Some(x), Some(y)) = (x.get(..whole), y.get_mut(..whole)) {
        for (y, x) in y.as_chunks_mut::<CHUNK>().0.iter_mut().zip(x.as_chunks::<CHUNK>().0) {
            *y = x.map(&f);
        }
        return;
    }
    for (y, &x) in y[..len].iter_mut().zip(&x[..len]) {
        *y = f(x);
    }
}

/// Bytes before and after a bordered copy that kernels may read.
pub(super) const SLACK: usize = 64;

/// An image `[height, width, channels]` with rows above and below and columns left and right of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Border {
    /// `[height, width]`.
    pub(crate) input: [usize; 2],
    pub(crate) channels: usize,
    /// Rows above, columns left.
    pub(crate) before: [usize; 2],
    /// Rows below, columns right.
    pub(crate) after: [usize; 2],
    /// What the border is filled with: the zero point.
    pub(crate) fill: i8,
}

impl Border {
    /// `[height, width]` with the border.
    pub(crate) fn outer(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.before[axis] + self.input[axis] + self.after[axis])
    }

    /// Values of a row of pixels.
    pub(crate) fn pitch(&self) -> usize {
        self.outer()[1] * self.channels
    }

    /// Where pixel (0, 0) of the bordered image lies, in values.
    pub(crate) fn start(form: Form) -> usize {
        SLACK / form.bytes()
    }

    /// Bytes of the copy; `None` when they overflow.
    pub(crate) fn bytes(&self, form: Form) -> Option<usize> {
        let [height, width] = self.outer();
        let values = height.checked_mul(width)?.checked_mul(self.channels)?;
        values.checked_mul(form.bytes())?.checked_add(2 * SLACK)
    }

    /// Copies the image `x` into `y`, of [`Border::bytes`].
    pub(crate) fn copy(&self, team: &Team<'_>, form: Form, x: View<'_, i8>, y: ViewMut<'_, u8>) {
        self.copy_filled(team, form, x, y, move |_| *self);
    }

    /// The same where what is filled in is known only in a turn.
    pub(super) fn copy_filled(
        &self,
        team: &Team<'_>,
        form: Form,
        x: View<'_, i8>,
        y: ViewMut<'_, u8>,
        filled: impl Fn(&Claim) -> Self,
    ) {
        let row = self.pitch() * form.bytes();
        self.share(team, row, y.split_at(SLACK).1, move |claim, rows, y| {
            filled(claim).stripe(form, rows, x.of(claim), y);
        });
    }

    /// Copies `rows` of the bordered image alone, to the beginning of `y`.
    pub(super) fn stripe(&self, form: Form, rows: Range<usize>, x: &[i8], y: &mut [u8]) {
        match form {
            Form::Signed => self.stripe_as(Form::Signed, rows, x, y),
            Form::Unsigned => self.stripe_as(Form::Unsigned, rows, x, y),
            Form::Wide => self.stripe_as(Form::Wide, rows, x, y),
        }
    }

    #[inline(always)]
    fn stripe_as(&self, form: Form, rows: Range<usize>, x: &[i8], y: &mut [u8]) {
        let line = self.input[1] * self.channels;
        let copy = |x: &[i8], y: &mut [u8]| {
            if form == Form::Signed {
                y[..line].copy_from_slice(bytemuck::cast_slice(&x[..line]));
            } else {
                form.convert(x, line, y);
            }
        };
        self.lines(rows, form.bytes(), x, y, copy, |y| self.blank(form, y));
    }

    /// Bytes of a copy of so many rows as they are, with its slack.
    pub(super) fn room(&self, rows: usize) -> usize {
        rows * self.pitch() + 2 * SLACK
    }

    /// Where pixel (0, 0) of a bordered image of floats lies.
    pub(crate) const REAL_START: usize = SLACK / 4;

    /// Floats of the copy; `None` when they overflow.
    pub(crate) fn reals(&self) -> Option<usize> {
        let [height, width] = self.outer();
        let values = height.checked_mul(width)?.checked_mul(self.channels)?;
        values.checked_add(2 * Self::REAL_START)
    }

    /// Copies the image `x` into `y`, of [`Border::reals`], with zeros around it.
    pub(crate) fn copy_reals(&self, team: &Team<'_>, x: View<'_, f32>, y: ViewMut<'_, f32>) {
        let (_, y) = y.split_at(Self::REAL_START);
        self.share(team, self.pitch(), y, move |claim, rows, y| {
            self.stripe_reals(rows, x.of(claim), y);
        });
    }

    /// Copies `rows` of the bordered image alone, to the beginning of `y`.
    pub(super) fn stripe_reals(&self, rows: Range<usize>, x: &[f32], y: &mut [f32]) {
        let line = self.input[1] * self.channels;
        let copy = |x: &[f32], y: &mut [f32]| y[..line].copy_from_slice(&x[..line]);
        self.lines(rows, 1, x, y, copy, |y| y.fill(0.0));
    }

    /// Floats of a copy of so many rows, with its slack.
    pub(super) fn room_reals(&self, rows: usize) -> usize {
        rows * self.pitch() + 2 * Self::REAL_START
    }

    /// The bordered image from the beginning of `y` on, where each row has `row` places: a stripe for each
    /// thread.
    fn share<Y: Send>(
        &self,
        team: &Team<'_>,
        row: usize,
        y: ViewMut<'_, Y>,
        stripe: impl Fn(&Claim, Range<usize>, &mut [Y]),
    ) {
        let [height, _] = self.outer();
        let large = size_of::<Y>() * height * row >= SHARED_COPY;
        let threads = if large { team.threads() } else { 1 };
        team.share_rows(threads, y, [height, row], stripe);
    }

    /// `rows` of the bordered image, where a value takes `size` places. `copy` may write beyond a line
    /// what comes later.
    #[inline(always)]
    fn lines<X, Y>(
        &self,
        rows: Range<usize>,
        size: usize,
        x: &[X],
        y: &mut [Y],
        copy: impl Fn(&[X], &mut [Y]),
        blank: impl Fn(&mut [Y]),
    ) {
        let (line, pitch) = (self.input[1] * self.channels, self.pitch());
        let [above, left] = [self.before[0], self.before[1] * self.channels];
        // What lies between two lines is one stretch: columns right of the one and left of the next.
        let mut done = 0;
        for row in rows.start.max(above)..rows.end.min(above + self.input[0]) {
            let at = ((row - rows.start) * pitch + left) * size;
            blank(&mut y[done..at]);
            copy(&x[(row - above) * line..], &mut y[at..]);
            done = at + line * size;
        }
        blank(&mut y[done..rows.len() * pitch * size]);
    }

    #[inline(always)]
    fn blank(&self, form: Form, y: &mut [u8]) {
        match form {
            Form::Signed => y.fill(self.fill.cast_unsigned()),
            Form::Unsigned => y.fill(self.fill.cast_unsigned() ^ 0x80),
            Form::Wide => {
                let fill = i16::from(self.fill).to_ne_bytes();
                y.as_chunks_mut().0.fill(fill);
            }
        }
    }
}
