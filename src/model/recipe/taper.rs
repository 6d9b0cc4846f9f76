//! What a stretch of rows is multiplied with before its frequencies are looked at.

use serde::Deserialize;

/// The shape of a fade at both ends: a sum of cosines over the stretch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Taper {
    /// `0.5 - 0.5 cos`.
    #[default]
    Hann,
    /// `0.54 - 0.46 cos`.
    Hamming,
    /// `0.42 - 0.5 cos + 0.08 cos 2`.
    Blackman,
    /// None: SciPy's "boxcar".
    Rectangular,
}

impl Taper {
    /// `a`, `b` and `c` of `a - b cos(x) + c cos(2 x)`.
    pub fn cosines(self) -> [f64; 3] {
        match self {
            Self::Hann => [0.5, 0.5, 0.0],
            Self::Hamming => [0.54, 0.46, 0.0],
            Self::Blackman => [0.42, 0.5, 0.08],
            Self::Rectangular => [1.0, 0.0, 0.0],
        }
    }
}
