//! The recipe of a bundle: what happens to a window of sensor rows before the model sees it.
//!
//! A step turns rows `[rows, columns]` into others and says so beforehand: [`Recipe::new`] carries a [`Layout`] through all
//! of them, so that what does not fit is found when the manifest is read. What steps compute is in `crate::preprocess`;
//! each has a file of its name on both sides.

mod arrangement;
mod audio;
mod cleaning;
mod filter;
mod image;
mod numbers;
mod scaling;
mod spectral;
mod statistics;
mod taper;

use std::collections::BTreeSet;

use serde::Deserialize;

use super::manifest::{BadKey, ManifestError, wrong};
use crate::data::TensorSpec;
pub use arrangement::{Difference, Features, Lags, Select};
pub use audio::{
    Dct, DynamicRange, Like, Log, LogOf, Mel, MicroFrontend, Preemphasis, Spectrogram, SpectrumOf,
};
pub use cleaning::{Clip, Detrend, Hampel, Median, Missing, MissingPolicy, Resample, Trend};
pub use filter::{Cutoff, Filter, Pass, Start};
pub use image::{Color, Fit, PictureLayout, PictureRecipe, Resize, Values};
pub use numbers::PerColumn;
pub use scaling::{MinMax, Project, Robust, Scale, Standardise};
pub use spectral::{BandPower, Scaling, Shape, SpectralShape, Spectrum, Welch};
pub use statistics::{Statistic, Statistics};
pub use taper::Taper;

/// Most values a tensor, a window or what a step makes of it may have; more is a mistake or an attack.
pub(super) const ELEMENTS_MAX: usize = 1 << 26;
/// Most values of a row behind a step.
const COLUMNS_MAX: usize = 1 << 16;
const STEPS_MAX: usize = 64;

/// The preprocess recipe: rows `[frames, channels]` in the channels' units → the model's one input.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Rows of a window as the sensor gives them; 1 for tabular models.
    pub frames: usize,
    /// The rate that the model was trained at; `None` where it does not matter.
    pub rate_hz: Option<f64>,
    /// Names and units of a row's values, in order; none of a picture.
    pub channels: Vec<InputChannel>,
    /// How the model's whole numbers are made of what the last step makes; the nearest, unless said otherwise.
    pub rounding: Rounding,
    /// What is done to a picture, where a window is one: there are no channels and no steps then.
    pub picture: Option<PictureRecipe>,
    /// Applied in order.
    steps: Vec<Step>,
    /// What each step is given, and what the last one makes: one more than steps.
    layouts: Vec<Layout>,
}

/// How a quantized input's whole numbers are made of real ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// The nearest: LiteRT's QUANTIZE.
    #[default]
    Nearest,
    /// What is behind the point is left out: NumPy's `(x / scale + zero_point).astype(numpy.int8)`.
    TowardZero,
}

/// One value of a row.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputChannel {
    /// As the sensor names it.
    pub name: String,
    /// SI symbol; empty where there is none.
    #[serde(default)]
    pub unit: String,
}

/// Rows between two steps: `[rows, columns]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// How many.
    pub rows: usize,
    /// What each value of a row is, in order.
    pub columns: Vec<String>,
    /// Rows a second; `None` where they do not follow each other in time, or nobody said how fast.
    pub rate_hz: Option<f64>,
}

impl Layout {
    /// Values altogether.
    pub fn elements(&self) -> usize {
        self.rows.saturating_mul(self.columns.len())
    }

    /// Rows a second.
    ///
    /// # Errors
    /// When they are not known: a step that speaks of hertz needs them.
    fn rate(&self) -> Result<f64, BadKey> {
        let why = "needs preprocess.rate, and rows that still follow each other in time";
        self.rate_hz.ok_or_else(|| BadKey::new("", why))
    }
}

/// How much of a window a step must see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Each row by itself.
    Row,
    /// Row after row with what came before, also before this window: it remembers, and is given each row once.
    Stream,
    /// The window as a whole.
    Window,
}

/// A kind of step: its settings, which know what they do to rows.
trait Settings {
    /// Checks them for rows laid out as `layout`; what the step makes of these.
    fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey>;
}

macro_rules! steps {
    ($($(#[$doc:meta])* $kind:ident = $word:literal, $reach:ident;)*) => {
        /// One step of a recipe. A new one is a line here, its settings in a file beside this one and what it computes in
        /// `crate::preprocess`.
        #[derive(Clone, Debug, PartialEq, Deserialize)]
        #[serde(tag = "do")]
        pub enum Step {
            $($(#[$doc])* #[serde(rename = $word)] $kind($kind),)*
        }

        impl Step {
            /// All that a manifest may write after `do =`.
            pub const NAMES: &[&str] = &[$($word),*];

            /// As the manifest writes it after `do =`.
            pub fn as_str(&self) -> &'static str {
                match self { $(Self::$kind(_) => $word,)* }
            }

            /// How much of a window it must see.
            pub fn reach(&self) -> Reach {
                match self {
                    // With zeros around the window, windows have no sums in common.
                    Self::Spectrogram(settings) if settings.centre => Reach::Window,
                    $(Self::$kind(_) => Reach::$reach,)*
                }
            }

            fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey> {
                match self { $(Self::$kind(settings) => settings.fit(layout),)* }
            }
        }
    };
}

steps! {
    /// Lets some frequencies pass.
    Filter = "filter", Stream;
    /// Fills NaN, or gives the window up.
    Missing = "missing", Window;
    /// Keeps values within limits.
    Clip = "clip", Row;
    /// `x * factor + offset`.
    Scale = "scale", Row;
    /// `(x - mean) / std`.
    Standardise = "standardise", Row;
    /// `(x - min) / (max - min)`.
    MinMax = "min_max", Row;
    /// `(x - center) / scale`.
    Robust = "robust", Row;
    /// Each row times a matrix.
    Project = "project", Row;
    /// Some columns only.
    Select = "select", Row;
    /// The median of neighbours.
    Median = "median", Window;
    /// Replaces outliers by the median around them.
    Hampel = "hampel", Window;
    /// Takes mean or slope away.
    Detrend = "detrend", Window;
    /// Another rate.
    Resample = "resample", Window;
    /// Each row less the one before.
    Difference = "difference", Window;
    /// Earlier rows beside each row.
    Lags = "lags", Window;
    /// A few numbers for each column.
    Statistics = "statistics", Window;
    /// Makes high frequencies louder.
    Preemphasis = "preemphasis", Stream;
    /// Samples → spectra, or energies in mel bands.
    Spectrogram = "spectrogram", Stream;
    /// A logarithm.
    Log = "log", Row;
    /// Raises what lies far below the highest value.
    DynamicRange = "dynamic_range", Window;
    /// Log mel energies → MFCCs.
    Dct = "dct", Row;
    /// TFLite Micro's front end.
    MicroFrontend = "micro_frontend", Stream;
    /// Magnitudes or powers over frequencies.
    Spectrum = "spectrum", Window;
    /// Power in bands.
    BandPower = "band_power", Window;
    /// Where the power lies.
    SpectralShape = "spectral_shape", Window;
    /// What several steps make, in one row.
    Features = "features", Window;
}

/// `[preprocess]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    frames: Option<usize>,
    rate: Option<String>,
    channels: Option<Vec<InputChannel>>,
    #[serde(default)]
    rounding: Rounding,
    #[serde(default)]
    step: Vec<Step>,
    picture: Option<image::Raw>,
}

impl Raw {
    /// Checks it for the model's `inputs`.
    pub(super) fn checked(self, inputs: &[TensorSpec]) -> Result<Recipe, ManifestError> {
        if let Some(picture) = self.picture {
            let rows = self.frames.is_some()
                || self.rate.is_some()
                || self.channels.is_some()
                || self.rounding != Rounding::default();
            if rows || !self.step.is_empty() {
                let why = "a recipe takes pictures or rows: frames, rate, channels, rounding and step are of rows";
                return wrong("preprocess.picture", why.into());
            }
            let Some(input) = inputs.first() else { return wrong("input", "is missing".into()) };
            return Ok(Recipe::of_pictures(picture.checked(input)?));
        }
        let Some(frames) = self.frames else {
            return wrong(
                "preprocess.frames",
                "is missing (or `picture`, of a model for pictures)".into(),
            );
        };
        let channels = self.channels.unwrap_or_default();
        let hertz = |text: &str| text.strip_suffix("Hz").and_then(|n| n.trim().parse::<f64>().ok());
        let rate_hz = match self.rate.as_deref() {
            None => None,
            Some(text) => match hertz(text) {
                Some(hz) if hz > 0.0 && hz.is_finite() => Some(hz),
                _ => {
                    let why = format!("{text:?} is not a rate such as \"10 Hz\"");
                    return wrong("preprocess.rate", why);
                }
            },
        };
        let recipe = Recipe::new(frames, rate_hz, channels, self.step)?;
        Ok(Recipe { rounding: self.rounding, ..recipe })
    }
}

impl Recipe {
    /// Windows of `frames` rows of `channels`, through `steps` in order.
    ///
    /// # Errors
    /// Names the key that is wrong, as it is called in the manifest.
    pub fn new(
        frames: usize,
        rate_hz: Option<f64>,
        channels: Vec<InputChannel>,
        mut steps: Vec<Step>,
    ) -> Result<Self, ManifestError> {
        let count = channels.len();
        if count == 0 {
            return wrong("preprocess.channels", "at least one is needed".into());
        }
        if !frames.checked_mul(count).is_some_and(|n| (1..=ELEMENTS_MAX).contains(&n)) {
            let why = "must be at least 1, and frames x channels not absurd";
            return wrong("preprocess.frames", why.into());
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = channels.iter().find(|channel| !seen.insert(&channel.name)) {
            return wrong("preprocess.channels", format!("`{}` is there twice", twice.name));
        }
        if steps.len() > STEPS_MAX {
            let why = format!("{} steps, more than {STEPS_MAX}", steps.len());
            return wrong("preprocess.step", why);
        }
        let columns = channels.iter().map(|channel| channel.name.clone()).collect();
        let mut layouts = vec![Layout { rows: frames, columns, rate_hz }];
        let mut whole = None;
        for (index, step) in steps.iter_mut().enumerate() {
            match (step.reach(), whole) {
                (Reach::Window, _) => whole = whole.or(Some(step.as_str())),
                (Reach::Stream, Some(before)) => {
                    let why = format!("goes on from window to window: put it before `{before}`");
                    return Err(BadKey::new("do", why).of(&format!("preprocess.step[{index}]")));
                }
                (Reach::Row | Reach::Stream, _) => {}
            }
            let fitted = step
                .fit(&layouts[index])
                .map_err(|bad| bad.of(&format!("preprocess.step[{index}]")))?;
            if fitted.columns.len() > COLUMNS_MAX
                || !(1..=ELEMENTS_MAX).contains(&fitted.elements())
            {
                let (rows, columns) = (fitted.rows, fitted.columns.len());
                let why = format!("makes {rows} rows of {columns} values: none, or too many");
                return wrong(format!("preprocess.step[{index}]"), why);
            }
            layouts.push(fitted);
        }
        Ok(Self {
            frames,
            rate_hz,
            channels,
            rounding: Rounding::default(),
            picture: None,
            steps,
            layouts,
        })
    }

    /// One picture a window.
    fn of_pictures(picture: PictureRecipe) -> Self {
        let layouts = vec![Layout { rows: 1, columns: Vec::new(), rate_hz: None }];
        let (picture, channels, steps) = (Some(picture), Vec::new(), Vec::new());
        let rounding = Rounding::default();
        Self { frames: 1, rate_hz: None, channels, rounding, picture, steps, layouts }
    }

    /// The steps in order, each with what it is given and what it makes.
    pub fn steps(&self) -> impl Iterator<Item = (&Step, &Layout, &Layout)> {
        let pairs = self.layouts.iter().zip(self.layouts.iter().skip(1));
        self.steps.iter().zip(pairs).map(|(step, (given, made))| (step, given, made))
    }

    /// Values of a window as the sensor gives it.
    pub fn elements(&self) -> usize {
        self.frames * self.channels.len()
    }

    /// What the last step makes: the model's input, before quantization.
    pub fn made(&self) -> &Layout {
        self.layouts.last().unwrap_or_else(|| unreachable!("`new` puts the sensor's rows first"))
    }
}
