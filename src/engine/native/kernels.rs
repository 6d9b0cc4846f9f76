//! Compute kernels for each instruction set, independent of operators: products of rows with filters,
//! depthwise convolutions, and the bordered copies that they read; tables of bytes; and plain loops,
//! compiled for each set.
//!
//! The scalar kernels are the specification: every other set gives the same bytes. Everything is
//! checked by the safe functions here, once at load and once for each run; `unsafe` is found in the
//! files of an instruction set only.

// Loops to a constant bound over several arrays are what the compiler unrolls into registers.
#![allow(clippy::needless_range_loop)]

mod aligned;
mod border;
mod conv;
mod cut;
mod depthwise;
mod dynamic;
mod float;
mod float_conv;
mod gemm;
mod hybrid;
mod isa;
mod lookup;
mod matrix;
#[cfg(target_arch = "aarch64")]
mod neon;
mod output;
mod parts;
mod plain;
pub(crate) mod real;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use self::conv::{Conv, DepthwiseConv, Geometry};
pub(crate) use self::cut::{Cut, CutConv, Cuts, FloatCutConv};
pub(crate) use self::dynamic::{ByteRange, Dynamic};
pub(crate) use self::float::{FloatFilters, FloatGemm};
pub(crate) use self::float_conv::{FloatConv, FloatDepthwiseConv};
pub(crate) use self::gemm::{Filters, Gemm};
pub(crate) use self::hybrid::{HybridConv, HybridDepthwiseConv, HybridFilters, Ranges};
pub(crate) use self::isa::Isa;
pub(crate) use self::lookup::Lookup;
pub(crate) use self::matrix::{ByteMatrix, FloatMatrix};
pub(crate) use self::output::{Output, nearest_within};
pub(crate) use self::plain::{Plain, add_bytes};
pub(crate) use self::table::Table;
