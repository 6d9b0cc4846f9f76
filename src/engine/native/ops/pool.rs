//! Averages, maxima and root mean squares over windows. What lies outside the input takes no part.

mod folds;

use std::ops::Range;

use self::folds::{
    Average, Fold, MaxBytes, MaxFloats, MaxWords, Mean, RootMeanSquare, WordAverage,
};
use super::shared::quant8::Quant8;
use super::shared::requantize::range;
use super::shared::scaling::{Clamp, steps};
use super::shared::window::{Sliding, Span};
use super::{
    ACTIVATIONS, Compiled, Entry, Kind, Operator, PADDINGS, Refusal, SharedKernel, Site, Step,
    activation, nhwc, padding, unsupported,
};
use crate::data::{DType, Quantization};
use crate::engine::native::graph::{Activation, Quant, Shape, Value, Window};
use crate::engine::native::kernels::{Isa, Plain};
use crate::engine::native::memory::SharedMemory;
use crate::engine::native::pool::Team;
use crate::engine::native::tflite::Options;

/// How many multiply-accumulates of a matrix product take as long as one value under a window, about.
const SLOWNESS: u64 = 8;
/// Channels of a single pixel that no two threads share: whole blocks, and cache lines.
const CHANNELS: usize = 64;

const KINDS: &[Kind] = &[Kind::Float32, Kind::Int8, Kind::Uint8, Kind::Int16];

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "AVERAGE_POOL_2D",
        options: 5,
        lower: |options| Ok(Box::new(Pool2d::read(options, PoolKind::Average)?)),
        kinds: KINDS,
        attributes: &[("padding", PADDINGS), ("activation", ACTIVATIONS)],
    },
    Entry {
        name: "MAX_POOL_2D",
        options: 5,
        lower: |options| Ok(Box::new(Pool2d::read(options, PoolKind::Max)?)),
        kinds: KINDS,
        attributes: &[("padding", PADDINGS), ("activation", ACTIVATIONS)],
    },
    Entry {
        name: "L2_POOL_2D",
        options: 5,
        lower: |options| Ok(Box::new(Pool2d::read(options, PoolKind::RootMeanSquare)?)),
        kinds: &[Kind::Float32],
        attributes: &[("padding", PADDINGS), ("activation", ACTIVATIONS)],
    },
];

/// What becomes of the values under a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PoolKind {
    Average,
    Max,
    RootMeanSquare,
}

/// x `[n, h, w, c]`.
#[derive(Debug)]
pub(super) struct Pool2d {
    pub(super) kind: PoolKind,
    pub(super) kernel: [usize; 2],
    pub(super) window: Window,
    pub(super) activation: Activation,
}

impl Pool2d {
    fn read(options: &Options<'_>, kind: PoolKind) -> Result<Self, Refusal> {
        // Pool2DOptions: padding, stride w, stride h, filter width, filter height, activation.
        let window = Window {
            padding: padding(options.byte(0, 0)?)?,
            stride: options.sizes([2, 1], 0)?,
            dilation: [1, 1],
        };
        let activation = activation(options.byte(5, 0)?)?;
        Ok(Self { kind, kernel: options.sizes([4, 3], 0)?, window, activation })
    }

    fn fit(&self, site: &Site<'_>) -> Result<Sliding, Refusal> {
        let [_, height, width, _] = nhwc(site.input(0)?, "the input")?;
        Sliding::new(self.window, self.kernel, [height, width])
    }

    fn step(&self, site: &Site<'_>, fold: impl Fold) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        let window = self.fit(site)?;
        let work = y.elements() as u64 * window.taps_max() as u64;
        let threads = site.threads.for_work(work.saturating_mul(SLOWNESS));
        let pool = Pool { isa: site.isa, window, channels: x.shape[3], threads, fold };
        let step = Step::shared(pool, 0);
        Ok(Step { work, threads, ..step }.into())
    }

    fn bytes(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let quant = Quant8::of(site.input(0)?)?;
        if !quant.same(&Quant8::of(site.output()?)?) {
            return Err(unequal());
        }
        let (low, high) = range(quant, self.activation);
        let (low, high) = (low as i8, high as i8);
        match self.kind {
            PoolKind::Average => self.step(site, Average { origin: quant.origin, low, high }),
            PoolKind::Max => self.step(site, MaxBytes { low, high }),
            PoolKind::RootMeanSquare => Err(unsupported("8-bit integers")),
        }
    }

    fn words(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let scale = |value: &Value<'_>| match value.quant {
            Quant::Tensor(Quantization { scale, zero_point: 0 }) => Ok(scale),
            _ => Err(unsupported("int16 without a scale, or with a zero point")),
        };
        let (x, y) = (scale(site.input(0)?)?, scale(site.output()?)?);
        if (x - y).abs() > 1e-6 * x {
            return Err(unequal());
        }
        let (low, high) = steps(y, 0, self.activation, (-32768, 32767));
        let (low, high) = (low as i16, high as i16);
        match self.kind {
            PoolKind::Average => self.step(site, WordAverage { low, high }),
            PoolKind::Max => self.step(site, MaxWords { low, high }),
            PoolKind::RootMeanSquare => Err(unsupported("16-bit integers")),
        }
    }
}

fn unequal() -> Refusal {
    unsupported("an output quantized unlike the input")
}

impl Operator for Pool2d {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let ([rows, columns], x) = (self.fit(site)?.output, &site.input(0)?.shape);
        Ok(vec![vec![x[0], rows, columns, x[3]]])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let clamp = Clamp::new(self.activation);
        match (site.input(0)?.dtype, site.output()?.dtype) {
            (DType::F32, DType::F32) => match self.kind {
                PoolKind::Average => self.step(site, Mean { clamp }),
                PoolKind::Max => self.step(site, MaxFloats { clamp }),
                PoolKind::RootMeanSquare => self.step(site, RootMeanSquare { clamp }),
            },
            (DType::I16, DType::I16) => self.words(site),
            (DType::I8, DType::I8) | (DType::U8, DType::U8) => self.bytes(site),
            (x, y) => Err(unsupported(format!("an input of {x} and an output of {y}"))),
        }
    }
}

/// One pool; inputs and outputs share their quantization.
#[derive(Debug)]
struct Pool<F> {
    isa: Isa,
    window: Sliding,
    channels: usize,
    threads: usize,
    fold: F,
}

impl<F: Fold> SharedKernel for Pool<F> {
    fn run(&self, memory: SharedMemory<'_>, team: &Team<'_>) {
        let (x, y, _) = memory.unary::<F::X, F::X, u8>();
        let line = self.window.output[1] * self.channels;
        if y.len() == self.channels {
            // A single pixel, as at the end of many a network.
            let blocks = [(self.channels / CHANNELS).max(1), CHANNELS.min(self.channels)];
            team.share_rows(self.threads, y, blocks, move |claim, blocks, y| {
                self.run(&x.of(claim)[blocks.start * CHANNELS..], 0..1, y);
            });
        } else {
            let lines = [y.len() / line, line];
            team.share_rows(self.threads, y, lines, move |claim, lines, y| {
                self.run(x.of(claim), lines, y);
            });
        }
    }
}

impl<F: Fold> Pool<F> {
    /// These lines of the outputs of all images.
    fn run(&self, x: &[F::X], lines: Range<usize>, y: &mut [F::X]) {
        let run = Run { pool: self, x, lines, y };
        if F::VECTORS {
            self.isa.run(run);
        } else {
            run.run();
        }
    }
}

/// One run over some lines.
struct Run<'a, F: Fold> {
    pool: &'a Pool<F>,
    x: &'a [F::X],
    lines: Range<usize>,
    y: &'a mut [F::X],
}

impl<F: Fold> Plain for Run<'_, F> {
    #[inline(always)]
    fn run(self) {
        let Self { pool, x, lines, y } = self;
        // Copied, so that it lies in registers.
        let Pool { window, channels, fold, .. } = *pool;
        match channels {
            32.. => images::<F, 32>(window, channels, fold, x, lines, y),
            8.. => images::<F, 8>(window, channels, fold, x, lines, y),
            4.. => images::<F, 4>(window, channels, fold, x, lines, y),
            _ => images::<F, 1>(window, channels, fold, x, lines, y),
        }
    }
}

/// In blocks of `LANES` channels, of which there are at least so many.
#[inline(always)]
fn images<F: Fold, const LANES: usize>(
    window: Sliding,
    channels: usize,
    fold: F,
    x: &[F::X],
    lines: Range<usize>,
    y: &mut [F::X],
) {
    let ([height, width], [rows, columns]) = (window.input, window.output);
    let image = height * width * channels;
    for (line, y) in lines.zip(y.chunks_mut(columns * channels)) {
        let (x, down) = (&x[line / rows * image..], window.span(0, line % rows));
        for (column, y) in y.chunks_mut(channels).enumerate() {
            let across = window.span(1, column);
            pixel::<F, LANES>(fold, x, [width, channels], [down, across], y);
        }
    }
}

/// One pixel of the output, or its first channels; `x` has lines of `width` pixels.
#[inline(always)]
fn pixel<F: Fold, const LANES: usize>(
    fold: F,
    x: &[F::X],
    [width, channels]: [usize; 2],
    [down, across]: [Span; 2],
    y: &mut [F::X],
) {
    let count = (down.count * across.count).max(1) as i32;
    let corner = (down.first * width + across.first) * channels;
    let (line, step) = (down.step * width * channels, across.step * channels);
    let mut first = 0;
    while first < y.len() {
        // The last block may begin within the one before it.
        first = first.min(y.len() - LANES);
        let mut folded = [F::EMPTY; LANES];
        for row in 0..down.count {
            let mut at = corner + first + row * line;
            for _ in 0..across.count {
                let x: &[F::X; LANES] = x[at..].first_chunk().expect(INSIDE);
                fold.take_all(&mut folded, x);
                at += step;
            }
        }
        let y: &mut [F::X; LANES] = y[first..].first_chunk_mut().expect(INSIDE);
        fold.finish_all(&folded, count, y);
        first += LANES;
    }
}

/// Why a block of channels is there.
const INSIDE: &str = "spans lie within the input, blocks within the channels";
