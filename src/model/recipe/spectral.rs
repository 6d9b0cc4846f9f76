//! Steps that look at frequencies.

use serde::Deserialize;

use super::{BadKey, Layout, Settings, Taper, Trend};

/// How a window becomes one spectrum: segments that overlap, each tapered and transformed, their spectra averaged.
///
/// Welch, "The use of fast Fourier transform for the estimation of power spectra", IEEE Transactions on Audio and
/// Electroacoustics 15(2), 1967; `scipy.signal.welch` with the same settings.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Welch {
    /// Rows of a segment; all there are, if not said.
    pub segment: Option<usize>,
    /// Rows that a segment shares with the next; half of them, if not said.
    pub overlap: Option<usize>,
    /// What each segment is multiplied with: periodic, as `scipy.signal.get_window` has it.
    #[serde(default)]
    pub taper: Taper,
    /// What is taken from each segment before.
    #[serde(default)]
    pub detrend: Trend,
}

/// The spectrum of each column.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spectrum {
    /// In what the spectrum is given.
    #[serde(default)]
    pub scaling: Scaling,
    /// How it is made.
    #[serde(default)]
    pub welch: Welch,
}

/// In what a spectrum is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// Absolute values of the transform, of several segments their mean.
    #[default]
    Magnitude,
    /// Unit² / Hz: SciPy's "density".
    Density,
    /// Unit²: SciPy's "spectrum".
    Power,
}

/// The power in bands: of each bin from `low` to below `high` its density times the bins' distance.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BandPower {
    /// `[low, high]` in Hz.
    pub bands: Vec<[f64; 2]>,
    /// As shares of the power of all bins; 0 where there is none.
    #[serde(default)]
    pub relative: bool,
    /// How the spectrum is made.
    #[serde(default)]
    pub welch: Welch,
}

/// Where the power lies, of each column.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpectralShape {
    /// Which numbers, in order.
    pub of: Vec<Shape>,
    /// How the spectrum is made.
    #[serde(default)]
    pub welch: Welch,
}

/// A number that says where the power `p` over the frequencies `f` lies; 0 where there is no power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// `sum(f p) / sum(p)`, Hz.
    Centroid,
    /// Root of `sum((f - centroid)² p) / sum(p)`, Hz.
    Spread,
    /// The least frequency up to which 85 % of the power lies, Hz.
    Rolloff,
    /// Geometric mean over mean, 1 for white noise.
    Flatness,
    /// Shannon's entropy of the shares over that of equal ones: 0 to 1.
    Entropy,
    /// The frequency with the most power, Hz.
    Peak,
}

impl Shape {
    /// As the manifest writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Centroid => "centroid",
            Self::Spread => "spread",
            Self::Rolloff => "rolloff",
            Self::Flatness => "flatness",
            Self::Entropy => "entropy",
            Self::Peak => "peak",
        }
    }
}

impl Welch {
    /// Rows of a segment and how many it shares with the next, of `rows` altogether.
    pub fn segments(&self, rows: usize) -> (usize, usize) {
        let segment = self.segment.unwrap_or(rows);
        (segment, self.overlap.unwrap_or(segment / 2))
    }

    fn fit(&self, layout: &Layout) -> Result<(), BadKey> {
        let rows = layout.rows;
        let (segment, overlap) = self.segments(rows);
        if !(2..=rows.min(1 << 20)).contains(&segment) {
            let why = format!("segment must be 2 to the {rows} rows that there are, is {segment}");
            return Err(BadKey::new("welch", why));
        }
        if overlap >= segment {
            let why = format!("overlap must be below the segment's {segment} rows, is {overlap}");
            return Err(BadKey::new("welch", why));
        }
        Ok(())
    }

    /// Frequencies of a spectrum.
    fn bins(&self, rows: usize) -> usize {
        self.segments(rows).0 / 2 + 1
    }
}

impl Settings for Spectrum {
    fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey> {
        self.welch.fit(layout)?;
        if self.scaling == Scaling::Density {
            layout.rate()?;
        }
        let columns = layout.columns.iter().map(|column| format!("spectrum({column})"));
        let rows = self.welch.bins(layout.rows);
        Ok(Layout { rows, columns: columns.collect(), rate_hz: None })
    }
}

impl Settings for BandPower {
    fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey> {
        self.welch.fit(layout)?;
        let half = layout.rate()? / 2.0;
        if self.bands.is_empty() || self.bands.len() > 256 {
            return Err(BadKey::new(
                "bands",
                "names 1 to 256 bands, as in [[0.5, 4.0], [4.0, 8.0]]",
            ));
        }
        let good = |band: &&[f64; 2]| !(0.0 <= band[0] && band[0] < band[1] && band[0] <= half);
        if let Some([low, high]) = self.bands.iter().find(good) {
            let why = format!(
                "[{low}, {high}] is no band from low to high below {half} Hz, half the rate"
            );
            return Err(BadKey::new("bands", why));
        }
        let names = layout.columns.iter().flat_map(|column| {
            self.bands.iter().map(move |[low, high]| format!("power({column}, {low}-{high} Hz)"))
        });
        Ok(Layout { rows: 1, columns: names.collect(), rate_hz: None })
    }
}

impl Settings for SpectralShape {
    fn fit(&mut self, layout: &Layout) -> Result<Layout, BadKey> {
        self.welch.fit(layout)?;
        layout.rate()?;
        if self.of.is_empty() || self.of.len() > 64 {
            return Err(BadKey::new("of", "names 1 to 64 numbers, as in [\"centroid\"]"));
        }
        let names = layout.columns.iter().flat_map(|column| {
            self.of.iter().map(move |shape| format!("{}({column})", shape.as_str()))
        });
        Ok(Layout { rows: 1, columns: names.collect(), rate_hz: None })
    }
}
