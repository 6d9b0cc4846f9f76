//! Convolutions cut into several products over one bordered input: groups of channels, and the phases
//! of transposed convolutions.

use std::sync::Arc;

use super::border::{Border, Form};
use super::float::{FloatFilters, FloatGemm};
use super::gemm::{Filters, Gemm, Layout};
use super::isa::Isa;
use super::output::Output;
use super::parts::{Product, Split};
use super::table::Table;
use crate::engine::native::pool::{Claim, Team, View, ViewMut, portion};

/// One of the products; `[height, width]` everywhere.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    /// Where the first window begins in the bordered input, how far the next ones are.
    pub(crate) first: [usize; 2],
    pub(crate) stride: [usize; 2],
    /// Of the window's own taps.
    pub(crate) kernel: [usize; 2],
    pub(crate) dilation: [usize; 2],
    /// For each of these which tap of the filters it is; `None` for one whose weights count nothing.
    pub(crate) taps: Vec<Option<usize>>,
    /// The first channel and how many.
    pub(crate) channels: [usize; 2],
    /// How many outputs, where the first is, how far the next ones are.
    pub(crate) count: [usize; 2],
    pub(crate) place: [usize; 2],
    pub(crate) step: [usize; 2],
    /// The first filter and how many.
    pub(crate) filters: [usize; 2],
}

/// All products of a convolution over images.
#[derive(Clone, Debug)]
pub(crate) struct Cuts {
    pub(crate) input: [usize; 2],
    pub(crate) channels: usize,
    pub(crate) before: [usize; 2],
    pub(crate) after: [usize; 2],
    pub(crate) output: [usize; 2],
    /// Filters in all.
    pub(crate) n: usize,
    /// Taps of a filter.
    pub(crate) taps: usize,
    pub(crate) all: Vec<Cut>,
}

impl Cut {
    /// Its weights, of `[n, taps, channels]`; those that stand for 0 are `zero`.
    fn weights<T: Copy>(&self, weights: &[T], taps: usize, zero: T) -> Vec<T> {
        let ([first, n], channels) = (self.filters, self.channels[1]);
        let mut own = Vec::with_capacity(n * self.taps.len() * channels);
        for filter in weights.chunks_exact(taps * channels).skip(first).take(n) {
            for tap in &self.taps {
                match tap {
                    Some(tap) => own.extend_from_slice(&filter[tap * channels..][..channels]),
                    None => own.resize(own.len() + channels, zero),
                }
            }
        }
        own
    }

    fn layout(&self, cuts: &Cuts) -> Option<Layout> {
        let (all, own) = (cuts.channels, self.channels[1]);
        let pitch = cuts.border(0).pitch();
        let dense = self.dilation[1] == 1 && own == all;
        let columns = if dense { 1 } else { self.kernel[1] };
        let at = |y: usize, x: usize| {
            let line = y.checked_mul(self.dilation[0])?.checked_mul(pitch)?;
            let column = x.checked_mul(self.dilation[1])?.checked_mul(all)?;
            u32::try_from(line.checked_add(column)?).ok()
        };
        let segments = (0..self.kernel[0]).flat_map(|y| (0..columns).map(move |x| at(y, x)));
        let run = if dense { self.kernel[1] * own } else { own };
        Some(Layout { segments: segments.collect::<Option<_>>()?, run })
    }

    /// Where rows begin, in an input that begins at `start`, and where outputs do.
    fn tables(&self, cuts: &Cuts, start: usize) -> Option<[Table; 2]> {
        let pixel = |first: [usize; 2], step: [usize; 2], width: usize, values: usize, i: usize| {
            let at = [i / self.count[1], i % self.count[1]];
            let [y, x] = [0, 1].map(|axis| first[axis] + at[axis] * step[axis]);
            y.checked_mul(width)?.checked_add(x)?.checked_mul(values)
        };
        let count = self.count[0].checked_mul(self.count[1])?;
        let width = cuts.border(0).outer()[1];
        let row = |i: usize| {
            let place = pixel(self.first, self.stride, width, cuts.channels, i)?;
            place.checked_add(start)?.checked_add(self.channels[0])
        };
        let out = |i: usize| {
            let place = pixel(self.place, self.step, cuts.output[1], cuts.n, i)?;
            place.checked_add(self.filters[0])
        };
        let rows = (0..count).map(row).collect::<Option<Vec<_>>>()?;
        let outs = (0..count).map(out).collect::<Option<Vec<_>>>()?;
        Some([Table::new(rows)?, Table::new(outs)?])
    }
}

impl Cuts {
    fn border(&self, fill: i8) -> Border {
        let Self { input, channels, before, after, .. } = *self;
        Border { input, channels, before, after, fill }
    }

    /// Values of an image, and of what it becomes.
    fn images(&self) -> [usize; 2] {
        let pixels = |[height, width]: [usize; 2]| height * width;
        [pixels(self.input) * self.channels, pixels(self.output) * self.n]
    }

    /// Bytes that packing may take where a weight has `size`; `None` when they overflow.
    pub(crate) fn bytes_max(&self, size: usize) -> Option<usize> {
        self.all.iter().try_fold(0usize, |sum, cut| {
            let k = cut.taps.len().checked_mul(cut.channels[1])?;
            let [rows, columns] = cut.count;
            let tables = rows.checked_mul(columns)?.checked_mul(24)?;
            let weights = k.checked_add(32)?.checked_mul(cut.filters[1].checked_add(64)?)?;
            let weights = weights.checked_mul(size)?.checked_mul(2)?;
            sum.checked_add(tables)?.checked_add(weights)?.checked_add(k.checked_mul(8)?)
        })
    }
}

/// A product with its places.
#[derive(Debug)]
struct Part<G> {
    gemm: Arc<G>,
    rows: Table,
    outs: Table,
}

/// Some rows of the output: what of each product lies in them.
type Band<G> = Vec<Part<G>>;

/// All rows of the output: one band, until it is split.
#[derive(Debug)]
struct Bands<G> {
    split: Split<Band<G>>,
    /// Of an image of the output, and values of a row.
    rows: usize,
    line: usize,
}

impl<G: Product> Bands<G> {
    fn new(cuts: &Cuts, all: Band<G>) -> Self {
        let [rows, columns] = cuts.output;
        Self { split: Split::whole(all, cuts.images()[1]), rows, line: columns * cuts.n }
    }

    /// Cuts it for so many threads.
    fn split(&mut self, threads: usize) {
        if threads == 1 {
            return;
        }
        let Some(all) = self.split.take() else { return };
        let band = |i: usize| {
            let rows = portion(i, threads, self.rows);
            let places = rows.start * self.line..rows.end * self.line;
            let own = |Part { gemm, rows, outs }: &Part<G>| {
                let within = outs.between(places.clone());
                let (rows, outs) = (rows.part(within.clone(), 0), outs.part(within, places.start));
                Part { gemm: gemm.clone(), rows, outs }
            };
            (all.iter().map(own).collect(), places.len())
        };
        self.split = Split::of((0..threads).map(band), threads);
    }

    /// The products, whatever band.
    fn products(&self) -> impl Iterator<Item = &G> {
        self.split.parts()[0].iter().map(|part| &*part.gemm)
    }

    fn bytes(&self) -> usize {
        self.products().map(G::bytes).sum()
    }

    /// Bytes of scratch for all threads; `None` when they overflow.
    fn scratch(&self) -> Option<usize> {
        let most = |band: &Band<G>| band.iter().map(|part| part.gemm.scratch()).max().unwrap_or(0);
        self.split.room(most).checked_mul(self.split.threads())
    }

    /// `work` on each product of each band, with its rows of `y` and its thread's scratch.
    fn run<Y: Send>(
        &self,
        team: &Team<'_>,
        y: ViewMut<'_, Y>,
        scratch: ViewMut<'_, u8>,
        work: impl Fn(&Claim, &Part<G>, &mut [Y], &mut [u8]),
    ) {
        self.split.run(team, y, scratch, move |claim, band, y, room| {
            band.iter().for_each(|part| work(claim, part, y, room));
        });
    }
}

/// A cut convolution of 8-bit images.
#[derive(Debug)]
pub(crate) struct CutConv {
    images: [usize; 2],
    border: Border,
    form: Form,
    bands: Bands<Gemm>,
}

impl CutConv {
    /// Packs filters `[n, taps, channels]`; `None` where offsets do not fit 31 bits.
    pub(crate) fn new(isa: Isa, cuts: &Cuts, filters: Filters<'_>, output: Output) -> Option<Self> {
        let form = Form::of(isa.set());
        let part = |cut: &Cut| {
            let weights = cut.weights(filters.weights, cuts.taps, filters.zero_point as i8);
            let [first, n] = cut.filters;
            let own = Filters {
                weights: &weights,
                bias: &filters.bias[first..first + n],
                scales: &filters.scales[first..first + n],
                ..filters
            };
            let count = cut.count[0].checked_mul(cut.count[1])?;
            let gemm = Gemm::new(isa, cut.layout(cuts)?, own, output, true, count);
            let start = Border::start(gemm.reads());
            let [rows, outs] = cut.tables(cuts, start)?;
            Some(Part { gemm: Arc::new(gemm), rows, outs })
        };
        let parts = cuts.all.iter().map(part).collect::<Option<Vec<_>>>()?;
        let border = cuts.border(filters.input_zero_point as i8);
        border.bytes(Form::Wide)?;
        Some(Self { images: cuts.images(), border, form, bands: Bands::new(cuts, parts) })
    }

    /// Bytes of the packed constants.
    pub(crate) fn bytes(&self) -> usize {
        self.bands.bytes()
    }

    /// Cuts the work for so many threads.
    pub(crate) fn split(&mut self, threads: usize) {
        self.bands.split(threads);
    }

    /// Bytes of scratch that a run needs; `None` when they overflow.
    pub(crate) fn scratch(&self) -> Option<usize> {
        let own = self.bands.scratch()?;
        let forms =
            if self.form == Form::Signed { &[self.form][..] } else { &[self.form, Form::Signed] };
        forms.iter().try_fold(own, |sum, &form| sum.checked_add(self.border.bytes(form)?))
    }

    /// Images `x`, one after the other, into images `y`.
    pub(crate) fn run(
        &self,
        team: &Team<'_>,
        x: View<'_, i8>,
        y: ViewMut<'_, i8>,
        scratch: ViewMut<'_, u8>,
    ) {
        let [image, image_out] = self.images;
        let room = |form| self.border.bytes(form).unwrap_or(usize::MAX);
        let (mut staged, scratch) = scratch.split_at(room(self.form));
        let signed = if self.form == Form::Signed { 0 } else { room(Form::Signed) };
        let (mut gathered, mut scratch) = scratch.split_at(signed);
        let reads = |form| self.bands.products().any(|gemm| gemm.reads() == form);
        for (x, y) in x.chunks_exact(image).zip(y.chunks_exact(image_out)) {
            if reads(self.form) {
                self.border.copy(team, self.form, x, staged.reborrow());
            }
            // What is gathered row by row is read as it is.
            if signed > 0 && reads(Form::Signed) {
                self.border.copy(team, Form::Signed, x, gathered.reborrow());
            }
            let (staged, gathered) = (staged.view(), gathered.view());
            let work = move |claim: &Claim, part: &Part<Gemm>, y: &mut [i8], scratch: &mut [u8]| {
                let Part { gemm, rows, outs } = part;
                let x = if gemm.reads() == self.form { staged } else { gathered };
                gemm.run(x.of(claim), rows, y, outs, scratch);
            };
            self.bands.run(team, y, scratch.reborrow(), work);
        }
    }
}

/// A cut convolution of float images.
#[derive(Debug)]
pub(crate) struct FloatCutConv {
    images: [usize; 2],
    border: Border,
    bands: Bands<FloatGemm>,
}

impl FloatCutConv {
    /// Packs filters `[n, taps, channels]`; `None` where offsets do not fit 31 bits.
    pub(crate) fn new(isa: Isa, cuts: &Cuts, filters: FloatFilters<'_>) -> Option<Self> {
        let part = |cut: &Cut| {
            let weights = cut.weights(filters.weights, cuts.taps, 0.0);
            let [first, n] = cut.filters;
            let bias = &filters.bias[first..first + n];
            let own = FloatFilters { weights: &weights, bias, ..filters };
            let count = cut.count[0].checked_mul(cut.count[1])?;
            let gemm = FloatGemm::new(isa, cut.layout(cuts)?, own, count);
            let [rows, outs] = cut.tables(cuts, Border::REAL_START)?;
            Some(Part { gemm: Arc::new(gemm), rows, outs })
        };
        let parts = cuts.all.iter().map(part).collect::<Option<Vec<_>>>()?;
        let border = cuts.border(0);
        border.reals()?;
        Some(Self { images: cuts.images(), border, bands: Bands::new(cuts, parts) })
    }

    /// Bytes of the packed constants.
    pub(crate) fn bytes(&self) -> usize {
        self.bands.bytes()
    }

    /// Cuts the work for so many threads.
    pub(crate) fn split(&mut self, threads: usize) {
        self.bands.split(threads);
    }

    /// Floats of scratch that a run needs; `None` when they overflow.
    pub(crate) fn scratch(&self) -> Option<usize> {
        self.border.reals()
    }

    /// Images `x`, one after the other, into images `y`.
    pub(crate) fn run(
        &self,
        team: &Team<'_>,
        x: View<'_, f32>,
        y: ViewMut<'_, f32>,
        mut scratch: ViewMut<'_, f32>,
    ) {
        let [image, image_out] = self.images;
        for (x, y) in x.chunks_exact(image).zip(y.chunks_exact(image_out)) {
            self.border.copy_reals(team, x, scratch.reborrow());
            let x = scratch.view();
            let none = ViewMut::new(&mut []);
            self.bands.run(team, y, none, move |claim, Part { gemm, rows, outs }, y, _| {
                gemm.run(x.of(claim), rows, y, outs);
            });
        }
    }
}
