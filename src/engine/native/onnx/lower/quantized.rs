//! Quantization, and operators that are quantized by name. onnxruntime's `com.microsoft` operators are
//! described in its `docs/ContribOperators.md`.

use std::rc::Rc;

use super::super::file::NodeFile;
use super::super::import::{Held, Importer, Tensor};
use super::super::ops::{
    Binary, Cast, Concat, DynamicQuantize, GlobalAverage, Params, PoolKind, QLinear, QLinearKind,
    QLinearSoftmax, Quantize, Scheme, Table, Unary,
};
use super::super::schema;
use super::{axis_of, images, is_eight, math};
use crate::data::DType;
use crate::engine::native::ops::{Refusal, malformed, unsupported};

type Done = Result<(), Refusal>;

/// A `QuantizeLinear` that alone takes what a node gives: the node can give integers at once.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) params: Params,
    /// What the integers are called.
    name: &'a str,
    /// Nodes that are thereby done.
    done: Vec<usize>,
}

impl Params {
    /// The same for `uint8`: onnxruntime computes with `uint8` what is `int8` between
    /// `DequantizeLinear` and `QuantizeLinear`. In the arena both are the same bytes.
    pub(super) fn as_u8(self) -> Self {
        if self.dtype != DType::I8 {
            return self;
        }
        Self { zero: self.zero + 128, dtype: DType::U8, ..self }
    }
}

impl<'a> Importer<'a, '_> {
    /// The 8-bit integers behind the real tensor `name`, if there are any with one scale.
    pub(super) fn eight(&mut self, name: &'a str) -> Result<Option<(Tensor, Params)>, Refusal> {
        Ok(match self.held(name)? {
            Held::Real { ints, scheme } => {
                scheme.whole().filter(Params::is_eight).map(|params| (ints, params))
            }
            Held::Plain(_) => None,
        })
    }

    /// The `QuantizeLinear` to 8 bits that alone takes the node's output; a `Relu` or `Clip` in
    /// between that changes none of its integers counts as nothing.
    pub(super) fn target(&mut self, node: &NodeFile<'a>) -> Result<Option<Target<'a>>, Refusal> {
        let (mut name, mut between) = (node.output(0), None);
        loop {
            let Some(user) = self.only_user(name) else { return Ok(None) };
            let next = &self.nodes[user];
            match next.op {
                "QuantizeLinear" if next.input(0) == name => {
                    let Ok(scheme) = scheme_of(self, next) else { return Ok(None) };
                    let Some(params) = scheme.whole().filter(Params::is_eight) else {
                        return Ok(None);
                    };
                    if let Some((at, low, high)) = between {
                        let (lowest, highest) = params.bounds();
                        if low > lowest || high < highest {
                            return Ok(None);
                        }
                        return Ok(Some(Target {
                            params,
                            name: next.output(0),
                            done: vec![at, user],
                        }));
                    }
                    return Ok(Some(Target { params, name: next.output(0), done: vec![user] }));
                }
                "Relu" if between.is_none() => between = Some((user, 0.0, f32::INFINITY)),
                "Clip" if between.is_none() && next.input(0) == name => {
                    let Ok((low, high)) = math::bounds(self, next) else { return Ok(None) };
                    between = Some((user, low, high));
                }
                _ => return Ok(None),
            }
            name = next.output(0);
        }
    }

    /// Holds the integers that the target's `QuantizeLinear` would have given.
    pub(super) fn reach(&mut self, target: Target<'a>, tensor: Tensor) -> Done {
        for node in target.done {
            self.done[node] = true;
        }
        self.mark(tensor, target.params);
        self.hold(target.name, Held::Plain(tensor))
    }

    /// Holds the output of a node that is quantized by name.
    fn give_quantized(&mut self, node: &NodeFile<'a>, tensor: Tensor, params: Params) -> Done {
        self.mark(tensor, params);
        self.give(node, tensor)
    }
}

impl Params {
    /// The lowest and highest real value.
    fn bounds(&self) -> (f32, f32) {
        let [low, high] = [i8::MIN, i8::MAX].map(|bits| self.real(bits));
        (low, high)
    }
}

/// Scales and zero points of a `QuantizeLinear`.
fn scheme_of<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Result<Scheme, Refusal> {
    if node.int_or("block_size", 0)? != 0 {
        return Err(unsupported("quantization in blocks"));
    }
    let dtype = match node.input(2) {
        "" => {
            let number = node.int_or("output_dtype", schema::UINT8)?;
            let number = if number == 0 { schema::UINT8 } else { number };
            schema::dtype(number).ok_or_else(|| unsupported(format!("element type {number}")))?
        }
        zero => i.dtype_of(zero)?,
    };
    let axis = node.int_or("axis", 1)?;
    let scheme = i.scheme(node.input(1), node.input(2), 0, dtype)?;
    if scheme.whole().is_some() {
        return Ok(scheme);
    }
    let x = i.tensor(node.input(0))?;
    let axis = axis_of(axis, i.shape(x).len())?;
    Ok(Scheme { axis, ..scheme })
}

/// Whether the scale of a `QuantizeLinear` or `DequantizeLinear` is known only when it runs.
fn is_late<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Result<bool, Refusal> {
    let mut late = false;
    for name in [node.input(1), node.input(2)] {
        if !name.is_empty() {
            let tensor = i.tensor(name)?;
            late |= i.of(tensor).data.is_none();
        }
    }
    Ok(late)
}

/// The one zero point of such a node as a real number, if it has one.
fn late_zero<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Result<Option<Tensor>, Refusal> {
    let scale = i.tensor(node.input(1))?;
    if i.of(scale).elements() != 1 || node.int_or("block_size", 0)? != 0 {
        return Err(unsupported("more than one scale that is computed at run time"));
    }
    if node.input(2).is_empty() {
        return Ok(None);
    }
    let zero = i.tensor(node.input(2))?;
    Ok(Some(Tensor { id: i.emit(Cast, &[zero.id], DType::F32)?, last: false }))
}

/// As the definition has it: division, rounding, zero point, saturation.
fn quantize_late<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let dtype = if node.input(2).is_empty() { DType::U8 } else { i.dtype_of(node.input(2))? };
    let (low, high) = match dtype {
        DType::U8 => (0.0, 255.0),
        DType::I8 => (-128.0, 127.0),
        other => {
            return Err(unsupported(format!("{other} with a scale that is computed at run time")));
        }
    };
    let (x, scale) = (i.tensor(node.input(0))?, i.tensor(node.input(1))?);
    let mut y = math::compute(i, Binary::Div, x, scale)?;
    y.id = i.emit(Unary::Round, &[y.id], DType::F32)?;
    if let Some(zero) = late_zero(i, node)? {
        y = math::compute(i, Binary::Add, y, zero)?;
    }
    y.id = i.emit(Unary::Clip { low, high }, &[y.id], DType::F32)?;
    y.id = i.emit(Cast, &[y.id], dtype)?;
    i.give(node, y)
}

fn dequantize_late<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let (x, scale) = (i.tensor(node.input(0))?, i.tensor(node.input(1))?);
    let mut y = Tensor { id: i.emit(Cast, &[x.id], DType::F32)?, last: x.last };
    if let Some(zero) = late_zero(i, node)? {
        y = math::compute(i, Binary::Sub, y, zero)?;
    }
    y = math::compute(i, Binary::Mul, y, scale)?;
    i.give(node, y)
}

pub(super) fn quantize<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    if is_late(i, node)? {
        return quantize_late(i, node);
    }
    let scheme = scheme_of(i, node)?;
    let held = i.held(node.input(0))?;
    if let (Held::Real { ints, scheme: from }, Some(to)) = (&held, scheme.whole()) {
        if **from == scheme {
            return i.give(node, *ints);
        }
        if let Some(from) = from.whole().filter(Params::is_eight)
            && to.is_eight()
        {
            let table = from.table(&to, |x| x);
            let id = i.emit(Table { outputs: table }, &[ints.id], to.dtype)?;
            return i.give_quantized(node, Tensor { id, last: ints.last }, to);
        }
    }
    let mut x = i.tensor(node.input(0))?;
    if scheme.whole().is_none() {
        x = i.plain(x)?;
    }
    let (dtype, whole) = (scheme.dtype, scheme.whole());
    let id = i.emit(Quantize(scheme), &[x.id], dtype)?;
    let y = Tensor { id, last: x.last };
    if let Some(params) = whole {
        i.mark(y, params);
    }
    i.give(node, y)
}

pub(super) fn dequantize<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    if is_late(i, node)? {
        return dequantize_late(i, node);
    }
    if node.int_or("block_size", 0)? != 0 {
        return Err(unsupported("quantization in blocks"));
    }
    let ints = i.tensor(node.input(0))?;
    let dtype = i.dtype(ints);
    let mut scheme = i.scheme(node.input(1), node.input(2), 0, dtype)?;
    match scheme.whole() {
        Some(params) => i.mark(ints, params),
        None => scheme.axis = axis_of(node.int_or("axis", 1)?, i.shape(ints).len())?,
    }
    i.hold(node.output(0), Held::Real { ints, scheme: Rc::new(scheme) })
}

pub(super) fn dynamic_quantize<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let x = i.tensor(node.input(0))?;
    let types = [DType::U8, DType::F32, DType::U8];
    let outputs = i.emit_all(Box::new(DynamicQuantize), vec![Some(x.id)], &types)?;
    for (place, id) in outputs.into_iter().enumerate() {
        let tensor = Tensor { id, last: place == 0 && x.last };
        i.hold(node.output(place), Held::Plain(tensor))?;
    }
    Ok(())
}

/// The quantized tensor at input `at`, followed by its scale and zero point.
pub(super) fn operand<'a>(
    i: &mut Importer<'a, '_>,
    node: &NodeFile<'a>,
    at: usize,
) -> Result<(Tensor, Params), Refusal> {
    let x = i.tensor(node.input(at))?;
    let dtype = i.dtype(x);
    let params = i.params(node.input(at + 1), node.input(at + 2), dtype)?;
    if !params.is_eight() {
        return Err(unsupported(format!("{dtype} activations")));
    }
    i.mark(x, params);
    Ok((x, params))
}

/// The output's scale and zero point at inputs `at` and the next; without the latter as `dtype`.
pub(super) fn outcome<'a>(
    i: &mut Importer<'a, '_>,
    node: &NodeFile<'a>,
    at: usize,
    dtype: DType,
) -> Result<Params, Refusal> {
    let dtype = match node.input(at + 1) {
        "" => dtype,
        zero => i.dtype_of(zero)?,
    };
    let params = i.params(node.input(at), node.input(at + 1), dtype)?;
    if params.is_eight() { Ok(params) } else { Err(unsupported(format!("{dtype} outputs"))) }
}

pub(super) fn qlinear<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let ((a, qa), (b, qb)) = (operand(i, node, 0)?, operand(i, node, 3)?);
    let qy = outcome(i, node, 6, qa.dtype)?;
    let kind = if node.op == "QLinearAdd" { QLinearKind::Add } else { QLinearKind::Mul };
    let make = |scalar| QLinear { kind, a: qa, b: qb, y: qy, scalar };
    let y = math::combined(i, a, b, qy.dtype, make)?;
    i.give_quantized(node, y, qy)
}

fn table<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>, f: Unary) -> Done {
    let (x, qx) = operand(i, node, 0)?;
    let qy = outcome(i, node, 3, qx.dtype)?;
    let id = i.emit(Table { outputs: qx.table(&qy, |x| f.of(x)) }, &[x.id], qy.dtype)?;
    i.give_quantized(node, Tensor { id, last: x.last }, qy)
}

pub(super) fn sigmoid<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    table(i, node, Unary::Sigmoid)
}

pub(super) fn leaky_relu<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    table(i, node, Unary::LeakyRelu(node.float_or("alpha", 0.01)?))
}

pub(super) fn softmax<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let (x, qx) = operand(i, node, 0)?;
    let qy = outcome(i, node, 3, qx.dtype)?;
    let old = node.int_or("opset", 13)? < 13;
    let axis = node.int_or("axis", if old { 1 } else { -1 })?;
    let make = |axis| QLinearSoftmax { axis, x: qx, y: qy };
    let y = math::quantized_softmax(i, x, axis, old, make, qy.dtype)?;
    i.give_quantized(node, y, qy)
}

/// What every operator of pools needs: images in ONNX's order.
fn channels_first(node: &NodeFile<'_>) -> Done {
    if node.flag("channels_last", false)? {
        return Err(unsupported("channels that come last"));
    }
    Ok(())
}

pub(super) fn average_pool<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    channels_first(node)?;
    let (x, qx) = operand(i, node, 0)?;
    let qy = outcome(i, node, 3, qx.dtype)?;
    let padded = node.flag("count_include_pad", false)?;
    let kind = PoolKind::QLinearAverage { padded, x: qx, y: qy };
    let y = images::pooled(i, node, x, qy.dtype, |_| kind)?;
    i.give_quantized(node, y, qy)
}

pub(super) fn global_average_pool<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    channels_first(node)?;
    let (x, qx) = operand(i, node, 0)?;
    let qy = outcome(i, node, 3, qx.dtype)?;
    let y = images::averaged(i, x, GlobalAverage { x: qx, y: qy })?;
    i.give_quantized(node, y, qy)
}

pub(super) fn concat<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let zero = i.dtype_of(node.input(1))?;
    let qy = i.params(node.input(0), node.input(1), zero)?;
    let mut parts = Vec::new();
    for at in (2..node.inputs.len()).step_by(3) {
        parts.push(operand(i, node, at)?);
    }
    let y = joined(i, node, &parts, qy)?;
    i.give_quantized(node, y, qy)
}

/// Emits a concatenation of quantized tensors into one quantization.
pub(super) fn joined<'a>(
    i: &mut Importer<'a, '_>,
    node: &NodeFile<'a>,
    parts: &[(Tensor, Params)],
    to: Params,
) -> Result<Tensor, Refusal> {
    let Some(&(first, _)) = parts.first() else { return Err(malformed("nothing to join")) };
    if !is_eight(to.dtype) {
        return Err(unsupported(format!("{} outputs", to.dtype)));
    }
    let axis =
        axis_of(node.int("axis")?.ok_or_else(|| malformed("no axis"))?, i.shape(first).len())?;
    let last = parts.iter().all(|(tensor, _)| tensor.last);
    let mut ids = Vec::new();
    for (tensor, _) in parts {
        ids.push(if last { tensor.id } else { i.plain(*tensor)?.id });
    }
    let axis = i.axis(Tensor { id: ids[0], last }, axis);
    let tables = parts.iter().map(|(_, from)| (*from != to).then(|| from.table(&to, |x| x)));
    i.budget.take(256 * parts.len())?;
    let op = Concat { axis, tables: tables.collect() };
    // Other types become this one by their tables.
    let id = i.emit(op, &ids, to.dtype)?;
    Ok(Tensor { id, last })
}
