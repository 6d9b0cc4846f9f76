//! What operators have in common: arithmetic, walks, windows.

pub(super) mod filters;
pub(super) mod fixed;
pub(super) mod index;
pub(super) mod moves;
pub(super) mod quant8;
pub(super) mod requantize;
pub(super) mod scratch;
pub(super) mod walk;
pub(super) mod window;
