//! Products of matrices.

use super::super::file::NodeFile;
use super::super::import::{Held, Importer, Tensor};
use super::super::ops::{Arithmetic, Binary, MatMul, Scheme};
use super::images::{biases, constant_bias, constant_weights, requantized, zero};
use super::math::compute;
use super::quantized::{operand, outcome};
use crate::data::DType;
use crate::engine::native::graph::ValueId;
use crate::engine::native::ops::{Refusal, malformed, unsupported};

type Done = Result<(), Refusal>;

/// Emits `a` times `b`, where vectors count as rows and columns; `inputs` follow both.
fn product<'a>(
    i: &mut Importer<'a, '_>,
    [a, b]: [Tensor; 2],
    arithmetic: Arithmetic,
    bias: Vec<i32>,
    inputs: &[Option<ValueId>],
    dtype: DType,
) -> Result<Tensor, Refusal> {
    let (mut a, mut b) = (i.plain(a)?, i.plain(b)?);
    let (shape_a, shape_b) = (i.shape(a), i.shape(b));
    let (row, column) = (shape_a.len() == 1, shape_b.len() == 1);
    if row {
        a = i.reshaped(a, vec![1, shape_a[0]])?;
    }
    if column {
        b = i.reshaped(b, vec![shape_b[0], 1])?;
    }
    let inputs = [&[Some(a.id), Some(b.id)], inputs].concat();
    let id = i.emit_all(Box::new(MatMul { arithmetic, bias }), inputs, &[dtype])?[0];
    let y = Tensor { id, last: false };
    let mut shape = i.shape(y);
    if column {
        shape.pop();
    }
    if row {
        let at = shape.len() - if column { 1 } else { 2 };
        shape.remove(at);
    }
    i.reshaped(y, shape)
}

/// The tensor with its two axes exchanged, if it is to be `turned`.
fn turned<'a>(i: &mut Importer<'a, '_>, x: Tensor, turn: bool) -> Result<Tensor, Refusal> {
    let x = i.plain(x)?;
    let shape = i.shape(x);
    let [rows, columns] = shape[..] else {
        return Err(malformed(format!("a matrix of shape {shape:?}")));
    };
    if !turn {
        return Ok(x);
    }
    Ok(Tensor { id: i.arranged(x, &[columns, rows], &[1, columns])?, last: false })
}

pub(super) fn gemm<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let (alpha, beta) = (node.float_or("alpha", 1.0)?, node.float_or("beta", 1.0)?);
    let (turn_a, turn_b) = (node.flag("transA", false)?, node.flag("transB", false)?);
    if beta == 1.0
        && let Some((a, qa)) = i.eight(node.input(0))?
        && let Some((b, qb)) = constant_weights(i, node.input(1), if turn_b { 0 } else { 1 })?
        && let Some(bias) = constant_bias(i, node.input(2))?
        && let Some(to) = i.target(node)?
    {
        let (a, b) = (turned(i, a, turn_a)?, turned(i, b, turn_b)?);
        let arithmetic = requantized(qa, &qb, to.params, alpha);
        let y = product(i, [a, b], arithmetic, bias, &[], to.params.dtype)?;
        return i.reach(to, y);
    }
    let (a, b) = (i.tensor(node.input(0))?, i.tensor(node.input(1))?);
    let (a, b) = (turned(i, a, turn_a)?, turned(i, b, turn_b)?);
    let mut y = product(i, [a, b], Arithmetic::Real, Vec::new(), &[], DType::F32)?;
    if alpha != 1.0 {
        let factor = i.constant_f32(vec![], &[alpha])?;
        y = compute(i, Binary::Mul, y, factor)?;
    }
    if !node.input(2).is_empty() && beta != 0.0 {
        let mut c = i.tensor(node.input(2))?;
        if beta != 1.0 {
            let factor = i.constant_f32(vec![], &[beta])?;
            c = compute(i, Binary::Mul, c, factor)?;
        }
        y = compute(i, Binary::Add, y, c)?;
    }
    i.give(node, y)
}

pub(super) fn qgemm<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let alpha = node.float_or("alpha", 1.0)?;
    let (turn_a, turn_b) = (node.flag("transA", false)?, node.flag("transB", false)?);
    let (a, qa) = operand(i, node, 0)?;
    let b = i.tensor(node.input(3))?;
    let dtype = i.dtype(b);
    let qb = i.scheme(node.input(4), node.input(5), 0, dtype)?;
    if node.input(7).is_empty() {
        return Err(unsupported("real outputs"));
    }
    let qy = outcome(i, node, 7, qa.dtype)?;
    let bias = biases(i, node.input(6))?;
    let (a, b) = (turned(i, a, turn_a)?, turned(i, b, turn_b)?);
    let y = product(i, [a, b], requantized(qa, &qb, qy, alpha), bias, &[], qy.dtype)?;
    i.mark(y, qy);
    i.give(node, y)
}

pub(super) fn matmul<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    if let Some((a, qa)) = i.eight(node.input(0))?
        && let Some((b, qb)) = factor(i, node.input(1))?
        && let Some(to) = i.target(node)?
    {
        let arithmetic = requantized(qa, &qb, to.params, 1.0);
        let y = product(i, [a, b], arithmetic, Vec::new(), &[], to.params.dtype)?;
        return i.reach(to, y);
    }
    let (a, b) = (i.tensor(node.input(0))?, i.tensor(node.input(1))?);
    let y = product(i, [a, b], Arithmetic::Real, Vec::new(), &[], DType::F32)?;
    i.give(node, y)
}

/// The integers of the second factor: constant with a scale for each column, or any with one scale.
fn factor<'a>(
    i: &mut Importer<'a, '_>,
    name: &'a str,
) -> Result<Option<(Tensor, std::rc::Rc<Scheme>)>, Refusal> {
    let Held::Real { ints, scheme } = i.held(name)? else { return Ok(None) };
    let columns = scheme.axis + 1 == i.shape(ints).len();
    let fits = super::is_eight(scheme.dtype) && (scheme.whole().is_some() || columns);
    Ok(fits.then_some((ints, scheme)))
}

pub(super) fn qlinear_matmul<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let (a, qa) = operand(i, node, 0)?;
    let b = i.tensor(node.input(3))?;
    let dtype = i.dtype(b);
    let qb = i.scheme(node.input(4), node.input(5), 0, dtype)?;
    let qy = outcome(i, node, 6, qa.dtype)?;
    let y = product(i, [a, b], requantized(qa, &qb, qy, 1.0), Vec::new(), &[], qy.dtype)?;
    i.mark(y, qy);
    i.give(node, y)
}

pub(super) fn matmul_integer<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let (a, b) = (i.tensor(node.input(0))?, i.tensor(node.input(1))?);
    let (a_type, b_type) = (i.dtype(a), i.dtype(b));
    let (x_zero, first) = zero(i, node, 2, 2, a_type)?;
    let (w_zero, second) = zero(i, node, 3, 3, b_type)?;
    let arithmetic = Arithmetic::Sums { x_zero, w_zero };
    let y = product(i, [a, b], arithmetic, Vec::new(), &[first, second], DType::I32)?;
    i.give(node, y)
}
