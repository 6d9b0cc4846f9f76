//! Operators with ONNX's definitions, and onnxruntime's rounding where they are quantized.
//!
//! Images are channels-last here as everywhere in the graph; the importer moves axes. Where ONNX and
//! TFLite agree to the last bit the importer uses the common operators instead.

mod argmax;
mod binary;
mod cast;
mod concat;
mod conv;
mod conv_transpose;
mod matmul;
mod normalize;
mod params;
mod pool;
mod qlinear;
mod quantize;
mod rearrange;
mod reduce;
mod resize;
mod softmax;
mod unary;
mod walk;

pub(super) use self::argmax::ArgMax;
pub(super) use self::binary::{Binary, Where};
pub(super) use self::cast::Cast;
pub(super) use self::concat::Concat;
pub(super) use self::conv::Conv;
pub(super) use self::conv_transpose::ConvTranspose;
pub(super) use self::matmul::MatMul;
pub(super) use self::normalize::LayerNorm;
pub(super) use self::params::{Arithmetic, Params, Scheme, Zero};
pub(super) use self::pool::{GlobalAverage, Pool, PoolKind};
pub(super) use self::qlinear::{QLinear, QLinearKind, Scalar};
pub(super) use self::quantize::{Dequantize, DynamicQuantize, Quantize};
pub(super) use self::rearrange::{Alias, OUTSIDE, Rearrange, Turn};
pub(super) use self::reduce::{Reduce, Reduction};
pub(super) use self::resize::{Axis, Between, ResizeLinear};
pub(super) use self::softmax::{QLinearSoftmax, Softmax};
pub(super) use self::unary::{Not, Table, Unary};
pub(super) use self::walk::{broadcast_shape, dense};

use super::super::memory::Memory;
use super::super::ops::shared::window::Sliding;
use super::super::ops::{Compiled, Kernel, Operator, Refusal, Site, Step, malformed, unsupported};
