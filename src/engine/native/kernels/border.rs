//! Copies of an input in the form that a kernel reads, with room around it.

use super::isa::Set;

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
            Set::Scalar | Set::Neon | Set::DotProd => Self::Signed,
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
    pub(crate) fn copy(&self, form: Form, x: &[i8], y: &mut [u8]) {
        match form {
            Form::Signed => self.rows(Form::Signed, x, y),
            Form::Unsigned => self.rows(Form::Unsigned, x, y),
            Form::Wide => self.rows(Form::Wide, x, y),
        }
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
    pub(crate) fn copy_reals(&self, x: &[f32], y: &mut [f32]) {
        let (line, pitch) = (self.input[1] * self.channels, self.pitch());
        let first = self.before[0] * pitch + self.before[1] * self.channels;
        let y = &mut y[Self::REAL_START..][..self.outer()[0] * pitch];
        let (above, mut y) = y.split_at_mut(first);
        above.fill(0.0);
        for x in x[..self.input[0] * line].chunks_exact(line) {
            let (to, rest) = y.split_at_mut(line);
            to.copy_from_slice(x);
            let gap = (pitch - line).min(rest.len());
            let (between, rest) = rest.split_at_mut(gap);
            between.fill(0.0);
            y = rest;
        }
        y.fill(0.0);
    }

    #[inline(always)]
    fn rows(&self, form: Form, x: &[i8], y: &mut [u8]) {
        let size = form.bytes();
        let (line, pitch) = (self.input[1] * self.channels, self.pitch());
        let value = |at: usize| SLACK + at * size;
        let first = self.before[0] * pitch + self.before[1] * self.channels;
        let last = first + (self.input[0] - 1) * pitch + line;
        let end = self.outer()[0] * pitch;
        // What lies between two rows is one stretch: columns right of the one and left of the next.
        self.blank(form, &mut y[value(0)..value(first)]);
        for row in 0..self.input[0] {
            let at = first + row * pitch;
            if form == Form::Signed {
                let x = bytemuck::cast_slice(&x[row * line..][..line]);
                y[value(at)..value(at + line)].copy_from_slice(x);
            } else {
                form.convert(&x[row * line..], line, &mut y[value(at)..]);
            }
            let next = (at + pitch).min(end);
            let next = if row + 1 == self.input[0] { last } else { next };
            self.blank(form, &mut y[value(at + line)..value(next)]);
        }
        self.blank(form, &mut y[value(last)..value(end)]);
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
