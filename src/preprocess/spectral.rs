//! `spectrum`, `band_power` and `spectral_shape`: what a window holds at which frequency.

use super::detrend::level;
use super::real_fft::RealFft;
use super::taper::weights;
use super::{Transform, copy_column};
use crate::model::{BandPower, Layout, Scaling, Shape, SpectralShape, Spectrum, Trend, Welch};

/// Share of the power that lies up to the roll-off.
const ROLLOFF: f64 = 0.85;

/// One column's spectrum after the other's. All memory is taken when it is made.
struct Analyser {
    columns: usize,
    rows: usize,
    overlap: usize,
    detrend: Trend,
    taper: Vec<f32>,
    /// What a squared magnitude is multiplied with to be a density (1 / Hz) and a power.
    to_density: f64,
    to_power: f64,
    /// Between two bins, Hz; 0 where nobody knows.
    distance: f64,
    fft: RealFft,
    segment: Vec<f32>,
    /// `[bins]` of the column that was asked for last.
    bins: Vec<f64>,
}

impl Analyser {
    fn new(welch: &Welch, given: &Layout) -> Self {
        let (segment, overlap) = welch.segments(given.rows);
        let taper = weights(welch.taper, segment, segment);
        let sum: f64 = taper.iter().sum();
        let squares: f64 = taper.iter().map(|w| w * w).sum();
        let rate_hz = given.rate_hz.unwrap_or(0.0);
        Self {
            columns: given.columns.len(),
            rows: given.rows,
            overlap,
            detrend: welch.detrend,
            taper: taper.iter().map(|&w| w as f32).collect(),
            to_density: if rate_hz > 0.0 { 1.0 / (rate_hz * squares) } else { 0.0 },
            to_power: 1.0 / (sum * sum),
            distance: rate_hz / segment as f64,
            segment: vec![0.0; segment],
            bins: vec![0.0; segment / 2 + 1],
            fft: RealFft::new(segment),
        }
    }

    /// `f` of each bin's squared magnitude, the mean over all segments, in [`Self::bins`].
    fn average(&mut self, input: &[f32], column: usize, f: impl Fn(f64) -> f64) {
        let length = self.segment.len();
        self.bins.fill(0.0);
        let mut count = 0.0;
        for first in (0..=self.rows - length).step_by(length - self.overlap) {
            copy_column(&input[first * self.columns..], self.columns, column, &mut self.segment);
            level(&mut self.segment, 0, 1, self.detrend);
            for (value, weight) in self.segment.iter_mut().zip(&self.taper) {
                *value *= weight;
            }
            let bins = &mut self.bins;
            self.fft.powers(&self.segment, |bin, square| bins[bin] += f(f64::from(square)));
            count += 1.0;
        }
        for sum in &mut self.bins {
            *sum /= count;
        }
    }

    /// One-sided powers of a column: what lies at negative frequencies is added to its positive twin.
    fn powers(&mut self, input: &[f32], column: usize, scale: f64) -> &[f64] {
        self.average(input, column, |square| square);
        let last = self.bins.len() - 1;
        // Neither 0 nor, with an even length, half the rate has a twin.
        let alone = |bin| bin == 0 || (bin == last && self.segment.len().is_multiple_of(2));
        for (bin, power) in self.bins.iter_mut().enumerate() {
            *power *= if alone(bin) { scale } else { 2.0 * scale };
        }
        &self.bins
    }
}

pub(super) struct Spectra {
    analyser: Analyser,
    scaling: Scaling,
}

impl Spectra {
    pub(super) fn new(settings: &Spectrum, given: &Layout) -> Self {
        Self { analyser: Analyser::new(&settings.welch, given), scaling: settings.scaling }
    }
}

impl Transform for Spectra {
    fn apply(&mut self, input: &[f32], output: &mut [f32]) {
        let analyser = &mut self.analyser;
        for column in 0..analyser.columns {
            match self.scaling {
                Scaling::Magnitude => analyser.average(input, column, f64::sqrt),
                Scaling::Density => _ = analyser.powers(input, column, analyser.to_density),
                Scaling::Power => _ = analyser.powers(input, column, analyser.to_power),
            }
            let out = output.iter_mut().skip(column).step_by(analyser.columns);
            for (out, bin) in out.zip(&analyser.bins) {
                *out = *bin as f32;
            }
        }
    }
}

pub(super) struct Bands {
    analyser: Analyser,
    /// First bin of each band and the one after its last.
    bands: Vec<(usize, usize)>,
    relative: bool,
}

impl Bands {
    pub(super) fn new(settings: &BandPower, given: &Layout) -> Self {
        let analyser = Analyser::new(&settings.welch, given);
        let from = |hz: f64| {
            let frequencies = (0..analyser.bins.len()).map(|bin| bin as f64 * analyser.distance);
            frequencies.take_while(|frequency| *frequency < hz).count()
        };
        let bands = settings.bands.iter().map(|[low, high]| (from(*low), from(*high))).collect();
        Self { analyser, bands, relative: settings.relative }
    }
}

impl Transform for Bands {
    fn apply(&mut self, input: &[f32], output: &mut [f32]) {
        let columns = output.chunks_exact_mut(self.bands.len());
        for (column, out) in columns.enumerate() {
            let (scale, distance) = (self.analyser.to_density, self.analyser.distance);
            let densities = self.analyser.powers(input, column, scale);
            let all: f64 = densities.iter().sum::<f64>() * distance;
            for (out, (first, end)) in out.iter_mut().zip(&self.bands) {
                let power = densities[*first..*end].iter().sum::<f64>() * distance;
                *out = match self.relative {
                    true if all == 0.0 => 0.0,
                    true => (power / all) as f32,
                    false => power as f32,
                };
            }
        }
    }
}

pub(super) struct Shapes {
    analyser: Analyser,
    of: Vec<Shape>,
}

impl Shapes {
    pub(super) fn new(settings: &SpectralShape, given: &Layout) -> Self {
        Self { analyser: Analyser::new(&settings.welch, given), of: settings.of.clone() }
    }
}

impl Transform for Shapes {
    fn apply(&mut self, input: &[f32], output: &mut [f32]) {
        for (column, out) in output.chunks_exact_mut(self.of.len()).enumerate() {
            let (scale, distance) = (self.analyser.to_density, self.analyser.distance);
            let powers = self.analyser.powers(input, column, scale);
            for (out, shape) in out.iter_mut().zip(&self.of) {
                *out = number(*shape, powers, distance) as f32;
            }
        }
    }
}

/// `shape` of the powers at multiples of `distance` Hz.
fn number(shape: Shape, powers: &[f64], distance: f64) -> f64 {
    let all: f64 = powers.iter().sum();
    if all == 0.0 {
        return 0.0;
    }
    let each =
        || powers.iter().enumerate().map(|(bin, power)| (bin as f64 * distance, power / all));
    let centroid = || each().map(|(hz, share)| hz * share).sum::<f64>();
    match shape {
        Shape::Centroid => centroid(),
        Shape::Spread => {
            let middle = centroid();
            each().map(|(hz, share)| (hz - middle) * (hz - middle) * share).sum::<f64>().sqrt()
        }
        Shape::Rolloff => {
            let mut sum = 0.0;
            let up_to = each().find(|(_, share)| {
                sum += share;
                sum >= ROLLOFF
            });
            up_to.map_or(0.0, |(hz, _)| hz)
        }
        Shape::Flatness => {
            let count = powers.len() as f64;
            // A bin without any power makes it 0, as the logarithm says.
            libm::exp(powers.iter().map(|power| libm::log(*power)).sum::<f64>() / count)
                / (all / count)
        }
        Shape::Entropy => {
            let terms =
                each().map(|(_, share)| if share > 0.0 { -share * libm::log(share) } else { 0.0 });
            terms.sum::<f64>() / libm::log(powers.len() as f64)
        }
        Shape::Peak => {
            let most = each().reduce(|most, next| if next.1 > most.1 { next } else { most });
            most.map_or(0.0, |(hz, _)| hz)
        }
    }
}
