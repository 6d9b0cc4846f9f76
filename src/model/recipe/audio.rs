//! Steps that make features of sound. `docs/audio.md` has the recipes of the usual libraries.

use serde::Deserialize;

use super::{BadKey, Layout, Settings, Taper};

/// Longest FFT; also the longest window.
const FFT_MAX: usize = 1 << 16;
const MELS_MAX: usize = 1024;

/// `y[t] = x[t] - coefficient * x[t - 1]`, over the stream; before it was silence.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preemphasis {
    /// 0 to 1.
    pub coefficient: f32,
}

/// Samples → spectra of overlapping windows, or their energies in bands of the mel scale.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spectrogram {
    /// `tf.signal.stft` or `librosa.stft`; of the mel filters as well.
    pub like: Like,
    /// Samples of a window.
    pub window: usize,
    /// Samples from one window to the next.
    pub hop: usize,
    /// Samples of the FFT, even, the window's at least; what the library would take where it is not given.
    #[serde(default)]
    pub fft: usize,
    /// How a window fades.
    #[serde(default)]
    pub taper: Taper,
    /// Whether the taper is symmetric, as for filters, or periodic, as for spectra.
    #[serde(default)]
    pub symmetric: bool,
    /// librosa: the first window lies around the first sample, with zeros before it.
    #[serde(default)]
    pub centre: bool,
    /// What is given.
    pub of: SpectrumOf,
    /// Multiplied with it.
    #[serde(default = "one")]
    pub factor: f32,
    /// Sums it up in bands.
    pub mel: Option<Mel>,
}

/// Whose definition of a computation is meant: they differ in framing, filters and scaling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Like {
    /// `tf.signal`.
    Tensorflow,
    /// librosa, 0.10 and later.
    Librosa,
}

/// What of a spectrum is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpectrumOf {
    /// `|X|²`.
    Power,
    /// `|X|`.
    Magnitude,
}

/// Bands that the ear tells apart: `tf.signal.linear_to_mel_weight_matrix` or `librosa.filters.mel`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mel {
    /// How many.
    pub bands: usize,
    /// Lower edge of the lowest.
    #[serde(default)]
    pub low_hz: f64,
    /// Upper edge of the highest.
    pub high_hz: f64,
    /// librosa: HTK's scale, and not Slaney's.
    #[serde(default)]
    pub htk: bool,
    /// librosa: filters of the same height, and not of the same area.
    #[serde(default)]
    pub same_height: bool,
}

/// `log(max(x, floor) + offset)`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Which logarithm.
    pub of: LogOf,
    /// The least number that is taken.
    #[serde(default)]
    pub floor: f32,
    /// Added after.
    #[serde(default)]
    pub offset: f32,
}

/// A logarithm's base and scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogOf {
    /// `ln`.
    Natural,
    /// `log10`.
    Log10,
    /// `10 log10`.
    Decibel,
}

/// What lies further below the window's highest value is raised to there: librosa's `top_db`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DynamicRange {
    /// Above 0, in the values' unit.
    pub range: f32,
}

/// Each row's first coefficients of a type-2 cosine transform: of log mel energies, MFCCs.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dct {
    /// `tf.signal.mfccs_from_log_mel_spectrograms`, or librosa's orthonormal one.
    pub like: Like,
    /// How many, the row's values at most.
    pub coefficients: usize,
}

/// TFLite Micro's front end: 30 ms windows of 16 kHz → 40 log energies, noise-reduced and gain-controlled, in integers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MicroFrontend {
    /// Samples from one window to the next.
    #[serde(default = "ten_milliseconds")]
    pub hop: usize,
}

impl MicroFrontend {
    /// Samples of a window.
    pub const WINDOW: usize = 480;
    /// Values for each.
    pub const CHANNELS: usize = 40;
    /// What its filters are made for.
    const RATE_HZ: f64 = 16_000.0;
}

fn one() -> f32 {
    1.0
}

fn ten_milliseconds() -> usize {
    160
}

impl Spectrogram {
    /// Frequencies of a spectrum, 0 Hz and half the rate included.
    pub fn bins(&self) -> usize {
        self.fft / 2 + 1
    }

    /// Values that it gives for each window.
    pub fn columns(&self) -> usize {
        self.mel.as_ref().map_or(self.bins(), |mel| mel.bands)
    }

    /// Samples that the first window needs, and its place among them.
    pub fn reach(&self) -> usize {
        match self.like {
            Like::Tensorflow => self.window,
            // A window that is shorter than the FFT stands in its middle.
            Like::Librosa => self.fft,
        }
    }

    fn fit_sizes(&mut self) -> Result<(), BadKey> {
        for (key, value) in [("window", self.window), ("hop", self.hop)] {
            if !(1..=FFT_MAX).contains(&value) {
                return Err(BadKey::new(key, format!("must be 1..={FFT_MAX}, is {value}")));
            }
        }
        if self.fft == 0 {
            self.fft = match self.like {
                Like::Tensorflow => self.window.next_power_of_two().max(2),
                Like::Librosa => self.window,
            };
        }
        if !(self.window..=FFT_MAX).contains(&self.fft) || !self.fft.is_multiple_of(2) {
            let why = format!(
                "must be even and {}..={FFT_MAX}, as long as the window; is {}",
                self.window, self.fft
            );
            return Err(BadKey::new("fft", why));
        }
        if self.centre && self.like != Like::Librosa {
            return Err(BadKey::new("centre", "is librosa's; tf.signal.stft has no such thing"));
        }
        if !(self.factor > 0.0 && self.factor.is_finite()) {
            return Err(BadKey::new("factor", format!("must be above 0, is {}", self.factor)));
        }
        Ok(())
    }

    fn fit_mel(&self, rate_hz: f64) -> Result<(), BadKey> {
        let Some(mel) = &self.mel else { return Ok(()) };
        if !(1..=MELS_MAX).contains(&mel.bands) {
            let why = format!("must be 1..={MELS_MAX}, is {}", mel.bands);
            return Err(BadKey::new("mel.bands", why));
        }
        let half = rate_hz / 2.0;
        if !(mel.low_hz >= 0.0 && mel.low_hz < mel.high_hz && mel.high_hz <= half) {
            let why = format!(
                "must lie between low_hz, {}, and {half} Hz, half the rate of the samples; is {}",
                mel.low_hz, mel.high_hz
            );
            return Err(BadKey::new("mel.high_hz", why));
        }
        if self.like == Like::Tensorflow && (mel.htk || mel.same_height) {
            let key = if mel.htk { "mel.htk" } else { "mel.same_height" };
            return Err(BadKey::new(key, "is librosa's; tf.signal has one kind of mel filters"));
        }
        Ok(())
    }
}

/// Samples are one value a row.
fn only_column(layout: &Layout) -> Result<(), BadKey> {
    match layout.columns.len() {
        1 => Ok(()),
        columns => {
            Err(BadKey::new("", format!("takes samples, one value a row; there are {columns}")))
        }
    }
}

/// Rows of windows over `rows` samples.
fn hops(rows: usize, reach: usize, hop: usize) -> Result<usize, BadKey> {
    match rows.checked_sub(reach) {
        Some(rest) => Ok(rest / hop + 1),
        None => {
            Err(BadKey::new("", format!("needs {reach} samples for one window; there are {rows}")))
        }
    }
}

impl Settings for Preemphasis {
    fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey> {
        only_column(layout)?;
        if !(0.0..=1.0).contains(&self.coefficient) {
            let why = format!("must be 0 to 1, is {}", self.coefficient);
            return Err(BadKey::new("coefficient", why));
        }
        Ok(layout.clone())
    }
}

impl Settings for Spectrogram {
    fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey> {
        only_column(layout)?;
        let rate_hz = layout.rate()?;
        self.fit_sizes()?;
        self.fit_mel(rate_hz)?;
        let padded = if self.centre { layout.rows + self.fft } else { layout.rows };
        let columns = match &self.mel {
            Some(mel) => (0..mel.bands).map(|band| format!("mel_{band}")).collect(),
            None => {
                let hz = |bin: usize| bin as f64 * rate_hz / self.fft as f64;
                (0..self.bins()).map(|bin| format!("{} Hz", hz(bin))).collect()
            }
        };
        let rows = hops(padded, self.reach(), self.hop)?;
        Ok(Layout { rows, columns, rate_hz: Some(rate_hz / self.hop as f64) })
    }
}

impl Settings for Log {
    fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey> {
        for (key, value) in [("floor", self.floor), ("offset", self.offset)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(BadKey::new(key, format!("must be 0 or above, is {value}")));
            }
        }
        if self.floor + self.offset == 0.0 {
            let why = "silence has no logarithm: say a floor above 0, or an offset";
            return Err(BadKey::new("floor", why));
        }
        Ok(layout.clone())
    }
}

impl Settings for DynamicRange {
    fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey> {
        if !(self.range > 0.0 && self.range.is_finite()) {
            return Err(BadKey::new("range", format!("must be above 0, is {}", self.range)));
        }
        Ok(layout.clone())
    }
}

impl Settings for Dct {
    fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey> {
        let most = layout.columns.len();
        if !(1..=most.min(MELS_MAX)).contains(&self.coefficients) {
            let why = format!("must be 1..={}, is {}", most.min(MELS_MAX), self.coefficients);
            return Err(BadKey::new("coefficients", why));
        }
        let columns = (0..self.coefficients).map(|k| format!("dct_{k}")).collect();
        Ok(Layout { columns, ..layout.clone() })
    }
}

impl Settings for MicroFrontend {
    fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey> {
        only_column(layout)?;
        if layout.rate()? != Self::RATE_HZ {
            return Err(BadKey::new(
                "",
                "is made for samples of 16 kHz: preprocess.rate must be that",
            ));
        }
        if !(1..=Self::WINDOW).contains(&self.hop) {
            let why = format!("must be 1..={}, is {}", Self::WINDOW, self.hop);
            return Err(BadKey::new("hop", why));
        }
        let rows = hops(layout.rows, Self::WINDOW, self.hop)?;
        let columns = (0..Self::CHANNELS).map(|channel| format!("band_{channel}")).collect();
        Ok(Layout { rows, columns, rate_hz: Some(Self::RATE_HZ / self.hop as f64) })
    }
}
