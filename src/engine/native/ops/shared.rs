//! What operators have in common: arithmetic, walks, windows.

pub(super) mod convolve;
pub(super) mod cutout;
pub(super) mod dot;
pub(in crate::engine::native) mod each;
pub(super) mod filters;
pub(super) mod fixed;
pub(super) mod fixed16;
pub(super) mod heap;
pub(super) mod index;
pub(super) mod inverse_root;
pub(super) mod layer;
pub(super) mod linear;
pub(super) mod matrix;
pub(in crate::engine::native) mod moves;
pub(in crate::engine::native) mod pairs;
pub(super) mod quant8;
pub(super) mod requantize;
pub(super) mod scaling;
pub(super) mod scratch;
pub(super) mod sequence;
pub(super) mod squash;
pub(super) mod turn;
pub(super) mod walk;
pub(in crate::engine::native) mod window;
