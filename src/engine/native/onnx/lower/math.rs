//! Arithmetic, comparisons, reductions, normalizations.

use super::super::file::NodeFile;
use super::super::import::{Held, Importer, Tensor};
use super::super::ops::{
    ArgMax, Binary, Cast, LayerNorm, Not, QLinear, QLinearKind, QLinearSoftmax, Reduce, Reduction,
    Scalar, Softmax, Table, Unary, Where,
};
use super::super::schema;
use super::{axis_of, is_eight};
use crate::data::DType;
use crate::engine::native::ops::{Refusal, malformed, unsupported};

type Done = Result<(), Refusal>;

/// The function that the node stands for.
fn function(node: &NodeFile<'_>) -> Result<Unary, Refusal> {
    let alpha = |default| node.float_or("alpha", default);
    Ok(match node.op {
        "Abs" => Unary::Abs,
        "Ceil" => Unary::Ceil,
        "Celu" => Unary::Celu(alpha(1.0)?),
        "Cos" => Unary::Cos,
        "Elu" => Unary::Elu(alpha(1.0)?),
        "Erf" => Unary::Erf,
        "Exp" => Unary::Exp,
        "Floor" => Unary::Floor,
        "Gelu" if node.text("approximate")? == Some("tanh") => Unary::GeluTanh,
        "Gelu" => Unary::Gelu,
        "HardSigmoid" => {
            Unary::HardSigmoid { alpha: alpha(0.2)?, beta: node.float_or("beta", 0.5)? }
        }
        "HardSwish" => Unary::HardSwish,
        "LeakyRelu" => Unary::LeakyRelu(alpha(0.01)?),
        "Log" => Unary::Log,
        "Mish" => Unary::Mish,
        "Neg" => Unary::Neg,
        "Reciprocal" => Unary::Reciprocal,
        "Relu" => Unary::Relu,
        "Round" => Unary::Round,
        "Selu" => {
            Unary::Selu { alpha: alpha(1.673_263_2)?, gamma: node.float_or("gamma", 1.050_701)? }
        }
        "Sigmoid" => Unary::Sigmoid,
        "Sign" => Unary::Sign,
        "Sin" => Unary::Sin,
        "Softplus" => Unary::Softplus,
        "Softsign" => Unary::Softsign,
        "Sqrt" => Unary::Sqrt,
        "Tan" => Unary::Tan,
        "Tanh" => Unary::Tanh,
        "ThresholdedRelu" => Unary::ThresholdedRelu(alpha(1.0)?),
        _ => return Err(unsupported("there is no kernel for this operator")),
    })
}

pub(super) fn unary<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let function = function(node)?;
    // onnxruntime makes a table of these; of the others, too, every byte has one answer.
    if let Some((x, from)) = i.eight(node.input(0))?
        && let Some(to) = i.target(node)?
    {
        let table = from.as_u8().table(&to.params.as_u8(), |x| function.of(x));
        let id = i.emit(Table { outputs: table }, &[x.id], to.params.dtype)?;
        return i.reach(to, Tensor { id, last: x.last });
    }
    let x = i.tensor(node.input(0))?;
    let dtype = i.dtype(x);
    let id = i.emit(function, &[x.id], dtype)?;
    i.give(node, Tensor { id, last: x.last })
}

pub(super) fn not<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let x = i.tensor(node.input(0))?;
    let id = i.emit(Not, &[x.id], DType::Bool)?;
    i.give(node, Tensor { id, last: x.last })
}

pub(super) fn clip<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let (low, high) = bounds(i, node)?;
    let x = i.tensor(node.input(0))?;
    let dtype = i.dtype(x);
    let id = i.emit(Unary::Clip { low, high }, &[x.id], dtype)?;
    i.give(node, Tensor { id, last: x.last })
}

/// The bounds of a `Clip`, as attributes or as inputs.
pub(super) fn bounds<'a>(
    i: &mut Importer<'a, '_>,
    node: &NodeFile<'a>,
) -> Result<(f32, f32), Refusal> {
    if i.opset < 11 {
        return Ok((node.float_or("min", f32::MIN)?, node.float_or("max", f32::MAX)?));
    }
    let mut bound = |input: usize, default: f32| match node.input(input) {
        "" => Ok(default),
        name if i.dtype_of(name)? == DType::F32 => {
            i.floats(name)?.first().copied().ok_or_else(|| malformed("an empty bound"))
        }
        name => {
            let bound = i.integers(name)?.first().copied();
            bound.map(|bound| bound as f32).ok_or_else(|| malformed("an empty bound"))
        }
    };
    Ok((bound(1, f32::NEG_INFINITY)?, bound(2, f32::INFINITY)?))
}

/// Both tensors in one layout, ready to be repeated to one shape; and which layout.
fn together<'a>(
    i: &mut Importer<'a, '_>,
    tensors: &[Tensor],
) -> Result<(Vec<Tensor>, bool), Refusal> {
    let rank = tensors.iter().map(|&t| i.of(t).shape.len()).max().unwrap_or(0);
    let last = rank > 2 && tensors.iter().any(|&t| t.last && i.of(t).shape.len() == rank);
    let mut all = Vec::new();
    for &tensor in tensors {
        let tensor = if !last {
            i.plain(tensor)?
        } else {
            let mut shape = i.shape(tensor);
            let missing = rank - shape.len();
            // A scalar fits every layout.
            if shape.iter().all(|&len| len == 1) || missing == 0 {
                if missing == 0 { i.channels_last(tensor)? } else { tensor }
            } else {
                shape.splice(0..0, vec![1; missing]);
                let full = i.reshaped(tensor, shape)?;
                i.channels_last(full)?
            }
        };
        all.push(tensor);
    }
    Ok((all, last))
}

fn operation(node: &NodeFile<'_>) -> Result<Binary, Refusal> {
    Ok(match node.op {
        "Add" | "Sum" | "Mean" => Binary::Add,
        "And" => Binary::And,
        "Div" => Binary::Div,
        "Equal" => Binary::Equal,
        "Greater" => Binary::Greater,
        "GreaterOrEqual" => Binary::GreaterOrEqual,
        "Less" => Binary::Less,
        "LessOrEqual" => Binary::LessOrEqual,
        "Max" => Binary::Max,
        "Min" => Binary::Min,
        "Mod" if node.flag("fmod", false)? => Binary::Fmod,
        "Mod" => Binary::Mod,
        "Mul" => Binary::Mul,
        "Or" => Binary::Or,
        "PRelu" => Binary::PRelu,
        "Pow" => Binary::Pow,
        "Sub" => Binary::Sub,
        "Xor" => Binary::Xor,
        _ => return Err(unsupported("there is no kernel for this operator")),
    })
}

/// Computes `a op b`.
pub(super) fn compute<'a>(
    i: &mut Importer<'a, '_>,
    op: Binary,
    a: Tensor,
    b: Tensor,
) -> Result<Tensor, Refusal> {
    let (both, last) = together(i, &[a, b])?;
    let dtype = op.dtype(i.dtype(both[0]));
    let id = i.emit(op, &[both[0].id, both[1].id], dtype)?;
    Ok(Tensor { id, last })
}

pub(super) fn binary<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let op = operation(node)?;
    let kind = match op {
        Binary::Add => Some(QLinearKind::Add),
        Binary::Mul => Some(QLinearKind::Mul),
        _ => None,
    };
    if let Some(kind) = kind
        && let Some((a, qa)) = i.eight(node.input(0))?
        && let Some((b, qb)) = i.eight(node.input(1))?
        && let Some(to) = i.target(node)?
    {
        let qlinear =
            |scalar| QLinear { kind, a: qa.as_u8(), b: qb.as_u8(), y: to.params.as_u8(), scalar };
        let y = combined(i, a, b, to.params.dtype, qlinear)?;
        return i.reach(to, y);
    }
    let (a, mut b) = (i.tensor(node.input(0))?, i.tensor(node.input(1))?);
    if op == Binary::Pow && i.dtype(a) != i.dtype(b) {
        let dtype = i.dtype(a);
        b = Tensor { id: i.emit(Cast, &[b.id], dtype)?, last: b.last };
    }
    let y = compute(i, op, a, b)?;
    i.give(node, y)
}

/// Emits a quantized sum or product.
pub(super) fn combined<'a>(
    i: &mut Importer<'a, '_>,
    a: Tensor,
    b: Tensor,
    dtype: DType,
    make: impl FnOnce(Scalar) -> QLinear,
) -> Result<Tensor, Refusal> {
    let (shape_a, shape_b) = (i.shape(a), i.shape(b));
    let rank = shape_a.len().max(shape_b.len());
    let at = |shape: &[usize], axis: usize| {
        (axis + shape.len()).checked_sub(rank).map_or(1, |axis| shape[axis])
    };
    let dims = (0..rank).rev().map(|axis| (at(&shape_a, axis), at(&shape_b, axis)));
    let scalar = match dims.into_iter().find(|dims| *dims != (1, 1)) {
        Some((1, _)) => Scalar::First,
        Some((_, 1)) => Scalar::Second,
        _ => Scalar::Neither,
    };
    let (both, last) = together(i, &[a, b])?;
    let id = i.emit(make(scalar), &[both[0].id, both[1].id], dtype)?;
    Ok(Tensor { id, last })
}

pub(super) fn variadic<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let op = operation(node)?;
    let mut all = i.tensor(node.input(0))?;
    for name in node.inputs.iter().skip(1) {
        let next = i.tensor(name)?;
        all = compute(i, op, all, next)?;
    }
    if node.op == "Mean" {
        let count = i.constant_f32(vec![], &[node.inputs.len() as f32])?;
        all = compute(i, Binary::Div, all, count)?;
    }
    i.give(node, all)
}

pub(super) fn select<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let mut three = Vec::new();
    for input in 0..3 {
        three.push(i.tensor(node.input(input))?);
    }
    let (three, last) = together(i, &three)?;
    let dtype = i.dtype(three[1]);
    let id = i.emit(Where, &[three[0].id, three[1].id, three[2].id], dtype)?;
    i.give(node, Tensor { id, last })
}

pub(super) fn cast<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let number = node.int_or("to", 0)?;
    let same = !matches!(number, schema::UINT16 | schema::UINT32 | schema::UINT64);
    let dtype = schema::dtype(number).filter(|_| same);
    let dtype = dtype.ok_or_else(|| unsupported(format!("element type number {number}")))?;
    let x = i.tensor(node.input(0))?;
    if i.dtype(x) == dtype {
        return i.give(node, x);
    }
    let id = i.emit(Cast, &[x.id], dtype)?;
    i.give(node, Tensor { id, last: x.last })
}

pub(super) fn softmax<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let log = node.op == "LogSoftmax";
    let old = i.opset < 13;
    if let Some((x, qx)) = i.eight(node.input(0))?
        && !log
        && let Some(to) = i.target(node)?
    {
        let axis = node.int_or("axis", if old { 1 } else { -1 })?;
        let y = quantized_softmax(
            i,
            x,
            axis,
            old,
            |axis| QLinearSoftmax { axis, x: qx.as_u8(), y: to.params.as_u8() },
            to.params.dtype,
        )?;
        return i.reach(to, y);
    }
    let x = i.tensor(node.input(0))?;
    let axis = node.int_or("axis", if old { 1 } else { -1 })?;
    let shape = i.shape(x);
    let axis = axis_of(axis, shape.len())?;
    if old && axis + 1 < shape.len() {
        // All axes from this one on are one.
        let flat = [shape[..axis].to_vec(), vec![shape[axis..].iter().product()]].concat();
        let x = i.reshaped(x, flat)?;
        let id = i.emit(Softmax { axis, log }, &[x.id], DType::F32)?;
        let y = i.reshaped(Tensor { id, last: false }, shape)?;
        return i.give(node, y);
    }
    let axis = i.axis(x, axis);
    let id = i.emit(Softmax { axis, log }, &[x.id], DType::F32)?;
    i.give(node, Tensor { id, last: x.last })
}

/// Emits a quantized softmax; `old` ones take all axes from this one on as one.
pub(super) fn quantized_softmax<'a>(
    i: &mut Importer<'a, '_>,
    x: Tensor,
    axis: i64,
    old: bool,
    make: impl FnOnce(usize) -> QLinearSoftmax,
    dtype: DType,
) -> Result<Tensor, Refusal> {
    let shape = i.shape(x);
    let axis = axis_of(axis, shape.len())?;
    if old && axis + 1 < shape.len() {
        let flat = [shape[..axis].to_vec(), vec![shape[axis..].iter().product()]].concat();
        let x = i.reshaped(x, flat)?;
        let id = i.emit(make(axis), &[x.id], dtype)?;
        return i.reshaped(Tensor { id, last: false }, shape);
    }
    let id = i.emit(make(i.axis(x, axis)), &[x.id], dtype)?;
    Ok(Tensor { id, last: x.last })
}

/// The axes of a reduction or squeeze: an attribute, or an input from `opset` on.
pub(super) fn axes<'a>(
    i: &mut Importer<'a, '_>,
    node: &NodeFile<'a>,
    opset: i64,
) -> Result<Option<Vec<i64>>, Refusal> {
    if i.opset < opset {
        return node.ints("axes");
    }
    match node.input(1) {
        "" => Ok(None),
        name => i.integers(name).map(Some),
    }
}

pub(super) fn reduce<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let reduction = match node.op {
        "ReduceL1" => Reduction::L1,
        "ReduceL2" => Reduction::L2,
        "ReduceLogSum" => Reduction::LogSum,
        "ReduceLogSumExp" => Reduction::LogSumExp,
        "ReduceMax" => Reduction::Max,
        "ReduceMean" => Reduction::Mean,
        "ReduceMin" => Reduction::Min,
        "ReduceProd" => Reduction::Prod,
        "ReduceSumSquare" => Reduction::SumSquare,
        _ => Reduction::Sum,
    };
    let since = if reduction == Reduction::Sum { 13 } else { 18 };
    let given = axes(i, node, since)?.filter(|axes| !axes.is_empty());
    let x = i.tensor(node.input(0))?;
    if given.is_none() && node.flag("noop_with_empty_axes", false)? {
        return i.give(node, x);
    }
    let x = i.plain(x)?;
    let rank = i.shape(x).len();
    let mut axes = match given {
        Some(axes) => axes.into_iter().map(|axis| axis_of(axis, rank)).collect::<Result<_, _>>()?,
        None => (0..rank).collect::<Vec<_>>(),
    };
    axes.sort_unstable();
    axes.dedup();
    let keep = node.flag("keepdims", true)?;
    let dtype = i.dtype(x);
    let id = i.emit(Reduce { reduction, axes, keep }, &[x.id], dtype)?;
    i.give(node, Tensor { id, last: false })
}

pub(super) fn arg_max<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    // Integers are in the order of what they stand for.
    let x = match i.held(node.input(0))? {
        Held::Real { ints, scheme } if scheme.whole().is_some() && is_eight(scheme.dtype) => ints,
        _ => i.tensor(node.input(0))?,
    };
    let x = i.plain(x)?;
    let axis = axis_of(node.int_or("axis", 0)?, i.shape(x).len())?;
    let (keep, last) = (node.flag("keepdims", true)?, node.flag("select_last_index", false)?);
    let lowest = node.op == "ArgMin";
    let id = i.emit(ArgMax { axis, lowest, keep, last }, &[x.id], DType::I64)?;
    i.give(node, Tensor { id, last: false })
}

pub(super) fn batch_normalization<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    if node.flag("training_mode", false)? || node.outputs.iter().skip(1).any(|o| !o.is_empty()) {
        return Err(unsupported("training"));
    }
    let epsilon = node.float_or("epsilon", 1e-5)?;
    let mut lists = Vec::new();
    for input in 1..5 {
        lists.push(i.floats(node.input(input))?);
    }
    let [scale, bias, mean, variance] = &lists[..] else { return Err(malformed("too few inputs")) };
    let channels = scale.len();
    if lists.iter().any(|list| list.len() != channels) {
        return Err(malformed("statistics of different lengths"));
    }
    let factor = |c: usize| scale[c] / (variance[c] + epsilon).sqrt();
    let factors: Vec<f32> = (0..channels).map(factor).collect();
    let offsets: Vec<f32> = (0..channels).map(|c| bias[c] - mean[c] * factors[c]).collect();
    let x = i.tensor(node.input(0))?;
    let rank = i.shape(x).len();
    let mut shape = vec![1; rank.saturating_sub(1).max(1)];
    shape[0] = channels;
    let factors = i.constant_f32(shape.clone(), &factors)?;
    let offsets = i.constant_f32(shape, &offsets)?;
    let scaled = compute(i, Binary::Mul, x, factors)?;
    let y = compute(i, Binary::Add, scaled, offsets)?;
    i.give(node, y)
}

pub(super) fn layer_normalization<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    if node.outputs.iter().skip(1).any(|output| !output.is_empty()) {
        return Err(unsupported("statistics as outputs"));
    }
    let x = i.tensor(node.input(0))?;
    let x = i.plain(x)?;
    let axis = axis_of(node.int_or("axis", -1)?, i.shape(x).len())?;
    let epsilon = node.float_or("epsilon", 1e-5)?;
    let mut inputs = vec![Some(x.id)];
    for input in 1..3 {
        inputs.push(match node.input(input) {
            "" => None,
            name => Some(i.tensor(name)?.id),
        });
    }
    let op = Box::new(LayerNorm { axis, epsilon });
    let id = i.emit_all(op, inputs, &[DType::F32])?[0];
    i.give(node, Tensor { id, last: false })
}
