//! Standard gravity: what an accelerometer's "g" is in SI units.

/// m/s², by definition (CGPM 1901).
pub(crate) const GRAVITY: f32 = 9.806_65;
