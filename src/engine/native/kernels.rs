//! Compute kernels for each instruction set, independent of operators: products of rows with filters,
//! depthwise convolutions, and the bordered copies that they read.
//!
//! The scalar kernels are the specification: every other set gives the same bytes. Everything is
//! checked by the safe functions here, once at load and once for each run; `unsafe` is found in the
//! files of an instruction set only.

// Loops to a constant bound over several arrays are what the compiler unrolls into registers.
#![allow(clippy::needless_range_loop)]

mod border;
mod conv;
mod depthwise;
mod float;
mod float_conv;
mod gemm;
mod isa;
#[cfg(target_arch = "aarch64")]
mod neon;
mod output;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use self::conv::{Conv, DepthwiseConv, Geometry};
pub(crate) use self::float::FloatFilters;
pub(crate) use self::float_conv::{FloatConv, FloatDepthwiseConv};
pub(crate) use self::gemm::Filters;
pub(crate) use self::isa::Isa;
pub(crate) use self::output::Output;
