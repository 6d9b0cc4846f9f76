//! One ONNX node into nodes of the graph.

mod images;
mod math;
mod moves;
mod products;
mod quantized;

use super::file::NodeFile;
use super::import::{Held, Importer, Tensor};
use crate::data::DType;
use crate::engine::native::ops::{Refusal, malformed, unsupported};

/// How a node is lowered.
type Lower = for<'a> fn(&mut Importer<'a, '_>, &NodeFile<'a>) -> Result<(), Refusal>;

/// Every operator that is known, with all domains it may come from.
const OPERATORS: &[(&str, &[&str], Lower)] = &[
    ("Abs", &[""], math::unary),
    ("Add", &[""], math::binary),
    ("And", &[""], math::binary),
    ("ArgMax", &[""], math::arg_max),
    ("ArgMin", &[""], math::arg_max),
    ("AveragePool", &[""], images::pool),
    ("BatchNormalization", &[""], math::batch_normalization),
    ("Cast", &[""], math::cast),
    ("Ceil", &[""], math::unary),
    ("Celu", &[""], math::unary),
    ("Clip", &[""], math::clip),
    ("Concat", &[""], moves::concat),
    ("Constant", &[""], moves::constant),
    ("ConstantOfShape", &[""], moves::constant_of_shape),
    ("Conv", &[""], images::conv),
    ("ConvInteger", &[""], images::conv_integer),
    ("ConvTranspose", &[""], images::conv_transpose),
    ("Cos", &[""], math::unary),
    ("DepthToSpace", &[""], moves::depth_to_space),
    ("DequantizeLinear", &["", MS], quantized::dequantize),
    ("Div", &[""], math::binary),
    ("Dropout", &[""], moves::identity),
    ("DynamicQuantizeLinear", &[""], quantized::dynamic_quantize),
    ("Elu", &[""], math::unary),
    ("Equal", &[""], math::binary),
    ("Erf", &[""], math::unary),
    ("Exp", &[""], math::unary),
    ("Expand", &[""], moves::expand),
    ("Flatten", &[""], moves::flatten),
    ("Floor", &[""], math::unary),
    ("Gather", &[""], moves::gather),
    ("Gelu", &["", MS], math::unary),
    ("Gemm", &[""], products::gemm),
    ("GlobalAveragePool", &[""], images::global_average_pool),
    ("GlobalMaxPool", &[""], images::global_max_pool),
    ("Greater", &[""], math::binary),
    ("GreaterOrEqual", &[""], math::binary),
    ("HardSigmoid", &[""], math::unary),
    ("HardSwish", &[""], math::unary),
    ("Identity", &[""], moves::identity),
    ("LayerNormalization", &[""], math::layer_normalization),
    ("LeakyRelu", &[""], math::unary),
    ("Less", &[""], math::binary),
    ("LessOrEqual", &[""], math::binary),
    ("Log", &[""], math::unary),
    ("LogSoftmax", &[""], math::softmax),
    ("MatMul", &[""], products::matmul),
    ("MatMulInteger", &[""], products::matmul_integer),
    ("Max", &[""], math::variadic),
    ("MaxPool", &[""], images::pool),
    ("Mean", &[""], math::variadic),
    ("Min", &[""], math::variadic),
    ("Mish", &[""], math::unary),
    ("Mod", &[""], math::binary),
    ("Mul", &[""], math::binary),
    ("Neg", &[""], math::unary),
    ("Not", &[""], math::not),
    ("Or", &[""], math::binary),
    ("PRelu", &[""], math::binary),
    ("Pad", &[""], moves::pad),
    ("Pow", &[""], math::binary),
    ("QGemm", &[MS], products::qgemm),
    ("QLinearAdd", &[MS], quantized::qlinear),
    ("QLinearAveragePool", &[MS], quantized::average_pool),
    ("QLinearConcat", &[MS], quantized::concat),
    ("QLinearConv", &[""], images::qlinear_conv),
    ("QLinearGlobalAveragePool", &[MS], quantized::global_average_pool),
    ("QLinearLeakyRelu", &[MS], quantized::leaky_relu),
    ("QLinearMatMul", &[""], products::qlinear_matmul),
    ("QLinearMul", &[MS], quantized::qlinear),
    ("QLinearSigmoid", &[MS], quantized::sigmoid),
    ("QLinearSoftmax", &[MS], quantized::softmax),
    ("QuantizeLinear", &["", MS], quantized::quantize),
    ("Range", &[""], moves::range),
    ("Reciprocal", &[""], math::unary),
    ("ReduceL1", &[""], math::reduce),
    ("ReduceL2", &[""], math::reduce),
    ("ReduceLogSum", &[""], math::reduce),
    ("ReduceLogSumExp", &[""], math::reduce),
    ("ReduceMax", &[""], math::reduce),
    ("ReduceMean", &[""], math::reduce),
    ("ReduceMin", &[""], math::reduce),
    ("ReduceProd", &[""], math::reduce),
    ("ReduceSum", &[""], math::reduce),
    ("ReduceSumSquare", &[""], math::reduce),
    ("Relu", &[""], math::unary),
    ("Reshape", &[""], moves::reshape),
    ("Resize", &[""], images::resize),
    ("Round", &[""], math::unary),
    ("Selu", &[""], math::unary),
    ("Shape", &[""], moves::shape),
    ("Sigmoid", &[""], math::unary),
    ("Sign", &[""], math::unary),
    ("Sin", &[""], math::unary),
    ("Size", &[""], moves::shape),
    ("Slice", &[""], moves::slice),
    ("Softmax", &[""], math::softmax),
    ("Softplus", &[""], math::unary),
    ("Softsign", &[""], math::unary),
    ("SpaceToDepth", &[""], moves::space_to_depth),
    ("Split", &[""], moves::split),
    ("Sqrt", &[""], math::unary),
    ("Squeeze", &[""], moves::squeeze),
    ("Sub", &[""], math::binary),
    ("Sum", &[""], math::variadic),
    ("Tan", &[""], math::unary),
    ("Tanh", &[""], math::unary),
    ("ThresholdedRelu", &[""], math::unary),
    ("Tile", &[""], moves::tile),
    ("Transpose", &[""], moves::transpose),
    ("Unsqueeze", &[""], moves::unsqueeze),
    ("Upsample", &[""], images::resize),
    ("Where", &[""], math::select),
    ("Xor", &[""], math::binary),
];

/// onnxruntime's own operators.
const MS: &str = "com.microsoft";

fn find(domain: &str, op: &str) -> Option<&'static (&'static str, &'static [&'static str], Lower)> {
    let found = OPERATORS.binary_search_by(|(name, ..)| name.cmp(&op)).ok()?;
    Some(&OPERATORS[found]).filter(|(_, domains, _)| domains.contains(&domain))
}

/// Whether the operator is known, whatever its options.
pub(super) fn knows(domain: &str, op: &str) -> bool {
    find(domain, op).is_some()
}

/// The names of all operators that are known.
pub(in super::super) fn names() -> impl Iterator<Item = &'static str> {
    OPERATORS.iter().map(|(name, ..)| *name)
}

/// Lowers node `index`.
pub(super) fn lower<'a>(importer: &mut Importer<'a, '_>, index: usize) -> Result<(), Refusal> {
    let node = &importer.nodes[index];
    let Some((name, _, lower)) = find(node.domain, node.op) else {
        return Err(unsupported("there is no kernel for this operator"));
    };
    importer.at = (index, name);
    lower(importer, node)
}

impl<'a> Importer<'a, '_> {
    /// Holds the node's first output.
    fn give(&mut self, node: &NodeFile<'a>, tensor: Tensor) -> Result<(), Refusal> {
        self.hold(node.output(0), Held::Plain(tensor))
    }
}

/// The place of `axis` in `rank` axes; negative ones count from the end.
fn axis_of(axis: i64, rank: usize) -> Result<usize, Refusal> {
    let place = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    let place = place.and_then(|place| usize::try_from(place).ok()).filter(|&place| place < rank);
    place.ok_or_else(|| malformed(format!("axis {axis} of a tensor with {rank} dimensions")))
}

/// A size, which a file gives as any integer; a few of them can be added without overflow.
fn size_of(value: i64) -> Result<usize, Refusal> {
    usize::try_from(value)
        .ok()
        .filter(|&value| value < 1 << 30)
        .ok_or_else(|| malformed(format!("a size of {value}")))
}

/// Whether a type is one of 8 bits.
fn is_eight(dtype: DType) -> bool {
    matches!(dtype, DType::I8 | DType::U8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_sorted_so_that_each_is_found() {
        for (name, domains, _) in OPERATORS {
            assert!(domains.iter().all(|domain| knows(domain, name)), "{name}");
        }
        assert!(!knows("", "QLinearAdd") && !knows("", "Nothing") && !knows("x", "Add"));
    }
}
