//! Convolutions, pools and resizing: operators with a window over one or two axes.

use super::super::file::NodeFile;
use super::super::import::{Held, Importer, Tensor};
use super::super::ops::{
    Arithmetic, Axis, Between, Conv, ConvTranspose, GlobalAverage, Params, Pool, PoolKind, Reduce,
    Reduction, ResizeLinear, Scheme, Zero,
};
use super::quantized::{operand, outcome};
use super::{moves, size_of};
use crate::data::DType;
use crate::engine::native::graph::ValueId;
use crate::engine::native::ops::shared::window::Sliding;
use crate::engine::native::ops::{Refusal, malformed, unsupported};

type Done = Result<(), Refusal>;

/// Two sizes from a list of one or two, the last of them for width.
fn pair(list: Option<Vec<i64>>, rank: usize, default: usize) -> Result<[usize; 2], Refusal> {
    let Some(list) = list else { return Ok([default; 2]) };
    if list.len() != rank {
        return Err(malformed(format!("{} numbers for {rank} axes", list.len())));
    }
    let mut both = [default; 2];
    for (both, &value) in both[2 - rank..].iter_mut().zip(&list) {
        *both = size_of(value)?;
    }
    Ok(both)
}

/// A window's numbers before it is fitted.
#[derive(Debug)]
struct Frame {
    input: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    before: [usize; 2],
    after: [usize; 2],
    /// Whether the file leaves padding to us, and then whether an odd one goes to the front.
    same: Option<bool>,
}

impl Frame {
    /// `shape` is ONNX's, `[n, c, w]` or `[n, c, h, w]`.
    fn read(node: &NodeFile<'_>, shape: &[usize], kernel: &[usize]) -> Result<Self, Refusal> {
        let rank = shape.len().saturating_sub(2);
        if !(1..=2).contains(&rank) || kernel.len() != rank {
            return Err(unsupported(format!("a window {kernel:?} over {shape:?}")));
        }
        let sizes = |list: &[usize]| {
            let mut both = [1; 2];
            both[2 - rank..].copy_from_slice(list);
            both
        };
        let mut stride = pair(node.ints("strides")?, rank, 1)?;
        let mut dilation = pair(node.ints("dilations")?, rank, 1)?;
        if rank == 1 {
            (stride[0], dilation[0]) = (1, 1);
        }
        if [stride, dilation].iter().flatten().any(|&n| n == 0) || kernel.contains(&0) {
            return Err(malformed(format!(
                "kernel {kernel:?}, strides {stride:?}, dilations {dilation:?}"
            )));
        }
        let (mut before, mut after) = ([0; 2], [0; 2]);
        let auto = node.text("auto_pad")?.unwrap_or("NOTSET");
        let same = match auto {
            "SAME_UPPER" => Some(false),
            "SAME_LOWER" => Some(true),
            "NOTSET" | "" | "VALID" => None,
            other => return Err(malformed(format!("auto_pad {}", other.escape_debug()))),
        };
        if let (Some(pads), "NOTSET" | "") = (node.ints("pads")?, auto) {
            if pads.len() != 2 * rank {
                return Err(malformed(format!("{} pads for {rank} axes", pads.len())));
            }
            for axis in 0..rank {
                before[2 - rank + axis] = size_of(pads[axis])?;
                after[2 - rank + axis] = size_of(pads[rank + axis])?;
            }
        }
        let (input, kernel) = (sizes(&shape[2..]), sizes(kernel));
        Ok(Self { input, kernel, stride, dilation, before, after, same })
    }

    /// Places that the kernel spans along `axis`.
    fn reach(&self, axis: usize) -> Result<usize, Refusal> {
        let reach = (self.kernel[axis] - 1).checked_mul(self.dilation[axis]);
        reach.map(|reach| reach + 1).ok_or_else(|| malformed("a kernel without end"))
    }

    /// The window over the input; with `ceil` a last one may begin inside and end beyond.
    fn fit(mut self, ceil: bool) -> Result<(Sliding, [usize; 2]), Refusal> {
        let mut output = [0; 2];
        for (axis, output) in output.iter_mut().enumerate() {
            let (size, step, reach) = (self.input[axis], self.stride[axis], self.reach(axis)?);
            if let Some(lower) = self.same {
                *output = size.div_ceil(step);
                let covered = (((*output).max(1) - 1).saturating_mul(step)).saturating_add(reach);
                let total = covered.saturating_sub(size);
                self.before[axis] = if lower { total.div_ceil(2) } else { total / 2 };
                self.after[axis] = total - self.before[axis];
                continue;
            }
            let padded = size + self.before[axis] + self.after[axis];
            let rest = padded
                .checked_sub(reach)
                .ok_or_else(|| malformed(format!("a kernel of {reach} over {padded} places")))?;
            *output = if ceil { rest.div_ceil(step) } else { rest / step } + 1;
            if ceil && (*output - 1).saturating_mul(step) >= size + self.before[axis] {
                *output -= 1;
            }
        }
        let Self { input, kernel, stride, dilation, before, after, .. } = self;
        Ok((Sliding { input, output, kernel, stride, dilation, before }, after))
    }
}

/// The value of a tensor as an image, `[n, h, w, c]`; one with a single axis has a height of 1.
fn image<'a>(i: &mut Importer<'a, '_>, tensor: Tensor) -> Result<ValueId, Refusal> {
    let tensor = i.channels_last(tensor)?;
    let mut shape = i.of(tensor).shape.clone();
    match shape.len() {
        4 => Ok(tensor.id),
        3 => {
            shape.insert(1, 1);
            i.alias(tensor.id, shape)
        }
        _ => Err(unsupported(format!("a window over shape {shape:?}"))),
    }
}

/// The image as a tensor of `rank` dimensions again.
fn tensor_of<'a>(i: &mut Importer<'a, '_>, id: ValueId, rank: usize) -> Result<Tensor, Refusal> {
    let mut shape = i.of(Tensor { id, last: true }).shape.clone();
    if rank == 3 {
        shape.remove(1);
    }
    Ok(Tensor { id: i.alias(id, shape)?, last: true })
}

/// Weights as `[co, kh, kw, c]`, and their kernel's sizes.
fn weights<'a>(
    i: &mut Importer<'a, '_>,
    weights: Tensor,
) -> Result<(ValueId, Vec<usize>), Refusal> {
    let shape = i.shape(weights);
    if shape.len() < 3 {
        return Err(malformed(format!("weights of shape {shape:?}")));
    }
    Ok((image(i, weights)?, shape[2..].to_vec()))
}

fn groups(node: &NodeFile<'_>) -> Result<usize, Refusal> {
    let groups = size_of(node.int_or("group", 1)?)?;
    if groups == 0 { Err(malformed("0 groups")) } else { Ok(groups) }
}

/// Emits a convolution; `inputs` follow the weights.
fn convolved<'a>(
    i: &mut Importer<'a, '_>,
    node: &NodeFile<'a>,
    [x, w]: [Tensor; 2],
    arithmetic: Arithmetic,
    bias: Vec<i32>,
    inputs: &[Option<ValueId>],
    dtype: DType,
) -> Result<Tensor, Refusal> {
    let shape = i.shape(x);
    let (w, kernel) = weights(i, w)?;
    let (window, _) = Frame::read(node, &shape, &kernel)?.fit(false)?;
    let groups = groups(node)?;
    let id = image(i, x)?;
    let inputs = [&[Some(id), Some(w)], inputs].concat();
    let op = Box::new(Conv { window, groups, arithmetic, bias });
    let y = i.emit_all(op, inputs, &[dtype])?[0];
    tensor_of(i, y, shape.len())
}

/// What sums of products of `x` and weights become in `y`.
pub(super) fn requantized(x: Params, w: &Scheme, y: Params, alpha: f32) -> Arithmetic {
    let scales = w.scales.iter().map(|w| alpha * x.scale * w / y.scale).collect();
    Arithmetic::Quantized { x_zero: x.arena_zero(), w_zero: w.arena_zeros(), scales, y }
}

/// Constant 32-bit biases; none without a name.
pub(super) fn biases<'a>(i: &mut Importer<'a, '_>, name: &'a str) -> Result<Vec<i32>, Refusal> {
    match name {
        "" => Ok(Vec::new()),
        name => Ok(i.integers(name)?.into_iter().map(|bias| bias as i32).collect()),
    }
}

/// The constant integers behind real weights, with one scale or one for each index along `axis`.
pub(super) fn constant_weights<'a>(
    i: &mut Importer<'a, '_>,
    name: &'a str,
    axis: usize,
) -> Result<Option<(Tensor, std::rc::Rc<Scheme>)>, Refusal> {
    let Held::Real { ints, scheme } = i.held(name)? else { return Ok(None) };
    let along = scheme.whole().is_some() || scheme.axis == axis;
    let fits = along && super::is_eight(scheme.dtype) && i.of(ints).data.is_some();
    Ok(fits.then_some((ints, scheme)))
}

/// The constant integers behind a real bias: `Some(None)` where there is no bias, `None` where it is
/// real.
pub(super) fn constant_bias<'a>(
    i: &mut Importer<'a, '_>,
    name: &'a str,
) -> Result<Option<Vec<i32>>, Refusal> {
    if name.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let Held::Real { ints, scheme } = i.held(name)? else { return Ok(None) };
    let value = i.of(ints);
    let Some(data) = value.data.as_ref().filter(|_| value.dtype == DType::I32) else {
        return Ok(None);
    };
    if scheme.zeros.iter().any(|&zero| zero != 0) {
        return Ok(None);
    }
    i.budget.take_for::<i32>(value.elements())?;
    Ok(Some(data.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect()))
}

pub(super) fn conv<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    if let Some((x, qx)) = i.eight(node.input(0))?
        && let Some((w, qw)) = constant_weights(i, node.input(1), 0)?
        && let Some(bias) = constant_bias(i, node.input(2))?
        && let Some(to) = i.target(node)?
    {
        let arithmetic = requantized(qx, &qw, to.params, 1.0);
        let y = convolved(i, node, [x, w], arithmetic, bias, &[], to.params.dtype)?;
        return i.reach(to, y);
    }
    let (x, w) = (i.tensor(node.input(0))?, i.tensor(node.input(1))?);
    let bias = match node.input(2) {
        "" => vec![],
        name => vec![Some(i.tensor(name)?.id)],
    };
    let y = convolved(i, node, [x, w], Arithmetic::Real, Vec::new(), &bias, DType::F32)?;
    i.give(node, y)
}

pub(super) fn qlinear_conv<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let (x, qx) = operand(i, node, 0)?;
    let w = i.tensor(node.input(3))?;
    let dtype = i.dtype(w);
    let qw = i.scheme(node.input(4), node.input(5), 0, dtype)?;
    let qy = outcome(i, node, 6, qx.dtype)?;
    let bias = biases(i, node.input(8))?;
    let arithmetic = requantized(qx, &qw, qy, 1.0);
    let y = convolved(i, node, [x, w], arithmetic, bias, &[], qy.dtype)?;
    i.mark(y, qy);
    i.give(node, y)
}

/// Zero points at input `at`: known, or computed at run time and then input `place` of the graph's node.
pub(super) fn zero<'a>(
    i: &mut Importer<'a, '_>,
    node: &NodeFile<'a>,
    at: usize,
    place: usize,
    dtype: DType,
) -> Result<(Zero, Option<ValueId>), Refusal> {
    let origin = if dtype == DType::U8 { 128 } else { 0 };
    if node.input(at).is_empty() {
        return Ok((Zero::Fixed(vec![-origin]), None));
    }
    let tensor = i.tensor(node.input(at))?;
    if i.dtype(tensor) != dtype {
        return Err(malformed(format!("a zero point of {} for {dtype}", i.dtype(tensor))));
    }
    if i.of(tensor).data.is_none() {
        return Ok((Zero::Input(place), Some(tensor.id)));
    }
    let zeros = i.integers(node.input(at))?;
    Ok((Zero::Fixed(zeros.into_iter().map(|zero| zero as i32 - origin).collect()), None))
}

pub(super) fn conv_integer<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let (x, w) = (i.tensor(node.input(0))?, i.tensor(node.input(1))?);
    let (x_type, w_type) = (i.dtype(x), i.dtype(w));
    let (x_zero, input) = zero(i, node, 2, 2, x_type)?;
    let (w_zero, none) = zero(i, node, 3, 3, w_type)?;
    if none.is_some() {
        return Err(unsupported("a zero point of the weights that is computed at run time"));
    }
    let arithmetic = Arithmetic::Sums { x_zero, w_zero };
    let y = convolved(i, node, [x, w], arithmetic, Vec::new(), &[input], DType::I32)?;
    i.give(node, y)
}

pub(super) fn conv_transpose<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let (x, w) = (i.tensor(node.input(0))?, i.tensor(node.input(1))?);
    let (shape, mut w_shape) = (i.shape(x), i.shape(w));
    if w_shape.len() != shape.len() || w_shape.len() < 3 {
        return Err(malformed(format!("weights {w_shape:?} for {shape:?}")));
    }
    let rank = shape.len() - 2;
    let mut frame = Frame::read(node, &shape, &w_shape[2..])?;
    let extra = pair(node.ints("output_padding")?, rank, 0)?;
    let wanted = node.ints("output_shape")?.map(|list| {
        // Some exporters write all dimensions.
        let spatial = list.len().saturating_sub(rank);
        pair(Some(list[spatial..].to_vec()), rank, 1)
    });
    let wanted = wanted.transpose()?;
    let rows = frame.input;
    let mut full = [0; 2];
    for axis in 0..2 {
        let reach = frame.reach(axis)?;
        let extra = if axis == 0 && rank == 1 { 0 } else { extra[axis] };
        let covered = (rows[axis] - 1).saturating_mul(frame.stride[axis]).saturating_add(reach);
        let covered = covered.saturating_add(extra);
        let wanted = match (wanted, frame.same) {
            (Some(wanted), _) => Some(wanted[axis]),
            (None, Some(_)) => Some(rows[axis].saturating_mul(frame.stride[axis])),
            (None, None) => None,
        };
        if let Some(wanted) = wanted {
            let total = covered.saturating_sub(wanted);
            let upper = frame.same != Some(true);
            frame.before[axis] =
                if upper && frame.same.is_some() { total / 2 } else { total - total / 2 };
            full[axis] = wanted;
        } else {
            let pads = frame.before[axis] + frame.after[axis];
            full[axis] = covered.saturating_sub(pads);
        }
    }
    let window = Sliding {
        input: full,
        output: rows,
        kernel: frame.kernel,
        stride: frame.stride,
        dilation: frame.dilation,
        before: frame.before,
    };
    let groups = groups(node)?;
    if rank == 1 {
        w_shape.insert(2, 1);
    }
    let w = i.reshaped(w, w_shape)?;
    let mut inputs = vec![Some(image(i, x)?), Some(w.id)];
    if !node.input(2).is_empty() {
        inputs.push(Some(i.tensor(node.input(2))?.id));
    }
    let y = i.emit_all(Box::new(ConvTranspose { window, groups }), inputs, &[DType::F32])?[0];
    let y = tensor_of(i, y, shape.len())?;
    i.give(node, y)
}

/// Emits a pool; what it does may depend on the padding behind.
pub(super) fn pooled<'a>(
    i: &mut Importer<'a, '_>,
    node: &NodeFile<'a>,
    x: Tensor,
    dtype: DType,
    kind: impl FnOnce([usize; 2]) -> PoolKind,
) -> Result<Tensor, Refusal> {
    let shape = i.shape(x);
    let kernel = node.ints("kernel_shape")?.ok_or_else(|| malformed("no kernel_shape"))?;
    let kernel = kernel.into_iter().map(size_of).collect::<Result<Vec<_>, _>>()?;
    let ceil = node.flag("ceil_mode", false)?;
    let (window, after) = Frame::read(node, &shape, &kernel)?.fit(ceil)?;
    let id = image(i, x)?;
    let y = i.emit(Pool { window, kind: kind(after) }, &[id], dtype)?;
    tensor_of(i, y, shape.len())
}

pub(super) fn pool<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    if node.outputs.iter().skip(1).any(|output| !output.is_empty()) {
        return Err(unsupported("the places of the highest"));
    }
    if node.op == "MaxPool" {
        let held = moves::moving(i, node.input(0), |i, x| {
            let dtype = i.dtype(x);
            let y = pooled(i, node, x, dtype, |_| PoolKind::Max)?;
            let quant = i.of(x).quant.clone();
            i.graph.values[y.id].quant = quant;
            Ok(y)
        })?;
        return i.hold(node.output(0), held);
    }
    let padded = node.flag("count_include_pad", false)?;
    if let Some((x, qx)) = i.eight(node.input(0))?
        && let Some(to) = i.target(node)?
    {
        let (x_params, y_params) = (qx.as_u8(), to.params.as_u8());
        let kind = PoolKind::QLinearAverage { padded, x: x_params, y: y_params };
        let y = pooled(i, node, x, to.params.dtype, |_| kind)?;
        return i.reach(to, y);
    }
    let x = i.tensor(node.input(0))?;
    let y = pooled(i, node, x, DType::F32, |after| PoolKind::Average { padded, after })?;
    i.give(node, y)
}

/// Emits a mean over height and width.
pub(super) fn averaged<'a>(
    i: &mut Importer<'a, '_>,
    x: Tensor,
    op: GlobalAverage,
) -> Result<Tensor, Refusal> {
    let (rank, dtype) = (i.shape(x).len(), op.y.dtype);
    let id = image(i, x)?;
    let y = i.emit(op, &[id], dtype)?;
    tensor_of(i, y, rank)
}

pub(super) fn global_average_pool<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    if let Some((x, qx)) = i.eight(node.input(0))?
        && (3..=4).contains(&i.shape(x).len())
        && let Some(to) = i.target(node)?
    {
        let y = averaged(i, x, GlobalAverage { x: qx, y: to.params })?;
        return i.reach(to, y);
    }
    let x = i.tensor(node.input(0))?;
    let axes = (2..i.shape(x).len()).map(|axis| i.axis(x, axis)).collect();
    let op = Reduce { reduction: Reduction::Mean, axes, keep: true };
    let id = i.emit(op, &[x.id], DType::F32)?;
    i.give(node, Tensor { id, last: x.last })
}

pub(super) fn global_max_pool<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let held = moves::moving(i, node.input(0), |i, x| {
        let (rank, dtype) = (i.shape(x).len(), i.dtype(x));
        let id = image(i, x)?;
        let input = match i.graph.values[id].shape[..] {
            [_, h, w, _] => [h, w],
            _ => return Err(malformed("an image of other than four dimensions")),
        };
        let ones = [1; 2];
        let window = Sliding {
            input,
            output: ones,
            kernel: input,
            stride: ones,
            dilation: ones,
            before: [0; 2],
        };
        let y = i.emit(Pool { window, kind: PoolKind::Max }, &[id], dtype)?;
        tensor_of(i, y, rank)
    })?;
    i.hold(node.output(0), held)
}

/// Where output place `at` of one axis lies along the input.
fn original(mode: &str, at: usize, len: usize, resized: usize, scale: f32) -> Result<f32, Refusal> {
    let at = at as f32;
    Ok(match mode {
        "half_pixel" => (at + 0.5) / scale - 0.5,
        "pytorch_half_pixel" if resized > 1 => (at + 0.5) / scale - 0.5,
        "pytorch_half_pixel" => 0.0,
        "align_corners" if resized > 1 => at * (len - 1) as f32 / (resized - 1) as f32,
        "align_corners" => 0.0,
        "asymmetric" => at / scale,
        "tf_half_pixel_for_nn" => (at + 0.5) / scale,
        other => {
            return Err(unsupported(format!("coordinates {}", other.escape_debug())));
        }
    })
}

pub(super) fn resize<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let old = node.op == "Upsample" || i.opset < 11;
    let held = i.held(node.input(0))?;
    let x = match &held {
        Held::Plain(x) | Held::Real { ints: x, .. } => *x,
    };
    let shape = i.shape(x);
    let (scales, sizes) = match (node.op, i.opset) {
        ("Upsample", ..9) => (node.floats("scales")?.unwrap_or_default(), vec![]),
        (_, ..11) => (i.floats(node.input(1))?, vec![]),
        _ => {
            let scales = if node.input(2).is_empty() { vec![] } else { i.floats(node.input(2))? };
            let sizes = if node.input(3).is_empty() { vec![] } else { i.integers(node.input(3))? };
            (scales, sizes)
        }
    };
    for (name, usual) in [("keep_aspect_ratio_policy", "stretch"), ("mode", "")] {
        if let Some(found) = node.text(name)?
            && name != "mode"
            && found != usual
        {
            return Err(unsupported(format!("{name} {}", found.escape_debug())));
        }
    }
    if node.flag("antialias", false)? || node.ints("axes")?.is_some() {
        return Err(unsupported("antialias or axes"));
    }
    let rank = shape.len();
    let (sizes, scales): (Vec<usize>, Vec<f32>) = if sizes.len() == rank {
        let sizes = sizes.into_iter().map(size_of).collect::<Result<Vec<_>, _>>()?;
        let scales = sizes.iter().zip(&shape).map(|(&to, &from)| to as f32 / from as f32).collect();
        (sizes, scales)
    } else if scales.len() == rank && scales.iter().all(|scale| scale.is_finite() && *scale > 0.0) {
        let size = |(&len, &scale): (&usize, &f32)| (len as f32 * scale).floor() as usize;
        (shape.iter().zip(&scales).map(size).collect(), scales)
    } else {
        return Err(malformed(format!(
            "{} scales, {} sizes for {shape:?}",
            scales.len(),
            sizes.len()
        )));
    };
    if sizes.contains(&0) {
        return Err(malformed(format!("a size of {sizes:?}")));
    }
    i.take_tables(&sizes)?;
    let mode = node.text("mode")?.unwrap_or("nearest");
    let default = if old { "asymmetric" } else { "half_pixel" };
    let coordinates = node.text("coordinate_transformation_mode")?.unwrap_or(default);
    let (shape, sizes, scales) = (&shape, &sizes, &scales);
    let places = |axis: usize| {
        let (len, resized) = (shape[axis], sizes[axis]);
        (0..resized).map(move |at| original(coordinates, at, len, resized, scales[axis]))
    };
    match mode {
        "nearest" => {
            let default = if old { "floor" } else { "round_prefer_floor" };
            let rounding = node.text("nearest_mode")?.unwrap_or(default);
            let nearest = |place: f32| match rounding {
                "round_prefer_floor" if place - place.floor() == 0.5 => Ok(place.floor()),
                "round_prefer_floor" => Ok(place.round()),
                "round_prefer_ceil" if place - place.floor() == 0.5 => Ok(place.ceil()),
                "round_prefer_ceil" => Ok(place.round()),
                "floor" => Ok(place.floor()),
                "ceil" => Ok(place.ceil()),
                other => Err(unsupported(format!("nearest_mode {}", other.escape_debug()))),
            };
            let mut tables = Vec::new();
            for axis in 0..rank {
                let highest = shape[axis] - 1;
                let table: Result<Vec<usize>, Refusal> = places(axis)
                    .map(|place| Ok((nearest(place?)? as usize).min(highest)))
                    .collect();
                tables.push((sizes[axis] != shape[axis]).then_some(table?));
            }
            let held =
                moves::moving(i, node.input(0), |i, x| moves::indexed(i, x, tables, [0; 8]))?;
            i.hold(node.output(0), held)
        }
        "linear" | "bilinear" if rank >= 2 && sizes[..rank - 2] == shape[..rank - 2] => {
            i.budget.take_for::<Between>(sizes[rank - 2].saturating_add(sizes[rank - 1]))?;
            let mut axes: [Axis; 2] = Default::default();
            for (table, axis) in axes.iter_mut().zip(rank - 2..) {
                for place in places(axis) {
                    table.push(Between::new(place?, shape[axis]));
                }
            }
            let x = i.tensor(node.input(0))?;
            let fixed = x.last;
            let x = i.plain(x)?;
            let dtype = i.dtype(x);
            let quant = i.of(x).quant.clone();
            let id = i.emit(ResizeLinear { axes, fixed }, &[x.id], dtype)?;
            i.graph.values[id].quant = quant;
            i.give(node, Tensor { id, last: false })
        }
        other => Err(unsupported(format!("mode {} over {rank} axes", other.escape_debug()))),
    }
}
