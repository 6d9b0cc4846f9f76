//! Shapes, and elements that only change places. What moves real values moves the integers behind them.

use super::super::file::NodeFile;
use super::super::import::{Held, Importer, Tensor};
use super::super::ops::{Concat, OUTSIDE, Params, Rearrange, broadcast_shape};
use super::quantized::joined;
use super::{axis_of, math, size_of};
use crate::data::DType;
use crate::engine::native::graph::width;
use crate::engine::native::ops::{Refusal, malformed, unsupported};

type Done = Result<(), Refusal>;

/// Applies `f` to the tensor `name`, or to the integers behind it where they have one scale.
pub(super) fn moving<'a>(
    i: &mut Importer<'a, '_>,
    name: &'a str,
    f: impl FnOnce(&mut Importer<'a, '_>, Tensor) -> Result<Tensor, Refusal>,
) -> Result<Held, Refusal> {
    match i.held(name)? {
        Held::Real { ints, scheme } if scheme.whole().is_some() => {
            Ok(Held::Real { ints: f(i, ints)?, scheme })
        }
        _ => {
            let tensor = i.tensor(name)?;
            Ok(Held::Plain(f(i, tensor)?))
        }
    }
}

fn moved<'a>(
    i: &mut Importer<'a, '_>,
    node: &NodeFile<'a>,
    f: impl FnOnce(&mut Importer<'a, '_>, Tensor) -> Result<Tensor, Refusal>,
) -> Done {
    let held = moving(i, node.input(0), f)?;
    i.hold(node.output(0), held)
}

/// Takes other indices along ONNX's axes: `tables[axis]` has one for each output place, or
/// [`OUTSIDE`].
pub(super) fn indexed<'a>(
    i: &mut Importer<'a, '_>,
    x: Tensor,
    tables: Vec<Option<Vec<usize>>>,
    fill: [u8; 8],
) -> Result<Tensor, Refusal> {
    if tables.iter().all(Option::is_none) {
        return Ok(x);
    }
    let (shape, strides) = (i.shape(x), i.strides(x));
    let taken = |(axis, table): (usize, Option<Vec<usize>>)| match table {
        Some(table) => table,
        None => (0..shape[axis]).collect(),
    };
    let lens: Vec<usize> = tables
        .iter()
        .zip(&shape)
        .map(|(table, &len)| table.as_ref().map_or(len, Vec::len))
        .collect();
    i.take_tables(&lens)?;
    let mut tables: Vec<Vec<usize>> = tables.into_iter().enumerate().map(taken).collect();
    for (table, stride) in tables.iter_mut().zip(strides) {
        for by in table.iter_mut().filter(|by| **by != OUTSIDE) {
            *by = by.checked_mul(stride).ok_or_else(|| malformed("an index beyond the tensor"))?;
        }
    }
    if x.last && tables.len() > 2 {
        tables[1..].rotate_left(1);
    }
    let id = i.rearrange(x.id, Rearrange { offset: 0, tables, fill })?;
    Ok(Tensor { id, last: x.last })
}

pub(super) fn identity<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    if node.outputs.iter().skip(1).any(|output| i.only_user(output).is_some()) {
        return Err(unsupported("more than one output"));
    }
    let held = i.held(node.input(0))?;
    i.hold(node.output(0), held)
}

pub(super) fn constant<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let tensor = if let Some(file) = node.tensor("value")? {
        let constant = i.decoded(&file)?;
        i.constant(constant.dtype, constant.shape, constant.data)?
    } else if let Some(value) = node.float("value_float")? {
        i.constant_f32(vec![], &[value])?
    } else if let Some(value) = node.int("value_int")? {
        i.constant_i64(vec![], &[value])?
    } else if let Some(values) = node.floats("value_floats")? {
        i.constant_f32(vec![values.len()], &values)?
    } else if let Some(values) = node.ints("value_ints")? {
        i.constant_i64(vec![values.len()], &values)?
    } else {
        return Err(unsupported("a constant that is no tensor of numbers"));
    };
    i.give(node, tensor)
}

pub(super) fn constant_of_shape<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let dims = i.integers(node.input(0))?;
    let shape = dims.into_iter().map(size_of).collect::<Result<Vec<_>, _>>()?;
    let (dtype, element) = match node.tensor("value")? {
        None => (DType::F32, vec![0; 4]),
        Some(file) => {
            let value = i.decoded(&file)?;
            (value.dtype, value.data.into_owned())
        }
    };
    i.take_tables(&shape)?;
    let elements: usize = shape.iter().product();
    if Some(element.len()) != width(dtype) {
        return Err(malformed("a value that is not one element"));
    }
    i.budget.take(elements.saturating_mul(element.len()))?;
    let tensor = i.constant(dtype, shape, element.repeat(elements))?;
    i.give(node, tensor)
}

pub(super) fn range<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let mut three = [0; 3];
    for (input, value) in three.iter_mut().enumerate() {
        let list = i.integers(node.input(input))?;
        *value = *list.first().ok_or_else(|| malformed("an empty bound"))?;
    }
    let [start, limit, step] = three.map(i128::from);
    if step == 0 {
        return Err(malformed("steps of 0"));
    }
    let count = ((limit - start + step - step.signum()) / step).max(0);
    let count = usize::try_from(count).ok().filter(|&count| count < 1 << 24);
    let count = count.ok_or_else(|| malformed("a range without end"))?;
    i.take_tables(&[count])?;
    let dtype = i.dtype_of(node.input(0))?;
    let values = (0..count as i128).map(|at| (start + at * step) as i64);
    let tensor = match dtype {
        DType::I64 => i.constant_i64(vec![count], &values.collect::<Vec<_>>())?,
        DType::I32 => {
            let data: Vec<u8> = values.flat_map(|value| (value as i32).to_le_bytes()).collect();
            i.constant(DType::I32, vec![count], data)?
        }
        other => return Err(unsupported(format!("a range of {other}"))),
    };
    i.give(node, tensor)
}

pub(super) fn shape<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let (Held::Plain(x) | Held::Real { ints: x, .. }) = i.held(node.input(0))?;
    let shape: Vec<i64> = i.shape(x).into_iter().map(|len| len as i64).collect();
    if node.op == "Size" {
        let size = i.constant_i64(vec![], &[shape.iter().product()])?;
        return i.give(node, size);
    }
    let rank = shape.len() as i64;
    let place =
        |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize;
    let start = place(node.int_or("start", 0)?);
    let end = place(node.int_or("end", rank)?).max(start);
    let shape = i.constant_i64(vec![end - start], &shape[start..end])?;
    i.give(node, shape)
}

pub(super) fn reshape<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let wanted = match i.opset {
        ..5 => node.ints("shape")?.unwrap_or_default(),
        _ => i.integers(node.input(1))?,
    };
    let copies = !node.flag("allowzero", false)?;
    moved(i, node, |i, x| {
        let from = i.shape(x);
        let elements: usize = from.iter().product();
        let mut shape = Vec::with_capacity(wanted.len());
        let mut free = None;
        for (axis, &len) in wanted.iter().enumerate() {
            shape.push(match len {
                -1 if free.is_none() => {
                    free = Some(axis);
                    1
                }
                0 if copies => {
                    *from.get(axis).ok_or_else(|| malformed("nothing to copy for a 0"))?
                }
                len => size_of(len)?,
            });
        }
        let known = shape.iter().try_fold(1usize, |n, &len| n.checked_mul(len)).filter(|&n| n > 0);
        let known = known.ok_or_else(|| malformed(format!("a shape of {wanted:?}")))?;
        if let Some(free) = free {
            shape[free] = elements / known;
        }
        i.reshaped(x, shape)
    })
}

pub(super) fn flatten<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let axis = node.int_or("axis", 1)?;
    moved(i, node, |i, x| {
        let shape = i.shape(x);
        let rank = shape.len() as i64;
        let place = if axis < 0 { axis.saturating_add(rank) } else { axis };
        let place = usize::try_from(place).ok().filter(|&place| place <= shape.len());
        let place = place.ok_or_else(|| malformed(format!("axis {axis} of {shape:?}")))?;
        let flat = vec![shape[..place].iter().product(), shape[place..].iter().product()];
        i.reshaped(x, flat)
    })
}

pub(super) fn squeeze<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let axes = math::axes(i, node, 13)?;
    moved(i, node, |i, x| {
        let shape = i.shape(x);
        let taken: Vec<usize> = match &axes {
            Some(axes) => {
                axes.iter().map(|&axis| axis_of(axis, shape.len())).collect::<Result<_, _>>()?
            }
            None => (0..shape.len()).filter(|&axis| shape[axis] == 1).collect(),
        };
        let kept = shape.iter().enumerate().filter(|(axis, _)| !taken.contains(axis));
        let kept = kept.map(|(_, &len)| len).collect();
        i.reshaped(x, kept)
    })
}

pub(super) fn unsqueeze<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let axes = math::axes(i, node, 13)?.ok_or_else(|| malformed("no axes"))?;
    moved(i, node, |i, x| {
        let mut shape = i.shape(x);
        let rank = shape.len() + axes.len();
        let mut places =
            axes.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<Vec<_>, _>>()?;
        places.sort_unstable();
        places.dedup();
        for place in places {
            if place > shape.len() {
                return Err(malformed(format!("axes {axes:?}")));
            }
            shape.insert(place, 1);
        }
        i.reshaped(x, shape)
    })
}

/// The tensor with ONNX's axes in the order `order`.
fn permuted<'a>(i: &mut Importer<'a, '_>, x: Tensor, order: &[usize]) -> Result<Tensor, Refusal> {
    let (shape, strides) = (i.shape(x), i.strides(x));
    let mut sorted = order.to_vec();
    sorted.sort_unstable();
    if sorted.iter().enumerate().any(|(at, &axis)| at != axis) || sorted.len() != shape.len() {
        return Err(malformed(format!("an order of {order:?} for {shape:?}")));
    }
    let shape: Vec<usize> = order.iter().map(|&axis| shape[axis]).collect();
    let strides: Vec<usize> = order.iter().map(|&axis| strides[axis]).collect();
    Ok(Tensor { id: i.arranged(x, &shape, &strides)?, last: false })
}

pub(super) fn transpose<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let order = node.ints("perm")?;
    moved(i, node, |i, x| {
        let rank = i.shape(x).len();
        let order = match &order {
            Some(order) => {
                order.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<_, _>>()?
            }
            None => (0..rank).rev().collect::<Vec<_>>(),
        };
        permuted(i, x, &order)
    })
}

/// The block's side and the image's sizes.
fn block<'a>(
    i: &Importer<'a, '_>,
    node: &NodeFile<'a>,
    x: Tensor,
) -> Result<(usize, [usize; 4]), Refusal> {
    let side = size_of(node.int_or("blocksize", 0)?)?;
    let shape = i.shape(x);
    let wrong = || malformed(format!("blocks of {side} in {shape:?}"));
    let sizes = shape[..].try_into().map_err(|_| wrong())?;
    if side == 0 || side > 1 << 16 { Err(wrong()) } else { Ok((side, sizes)) }
}

pub(super) fn depth_to_space<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let crd = node.text("mode")? == Some("CRD");
    moved(i, node, |i, x| {
        let (b, [n, c, h, w]) = block(i, node, x)?;
        if c % (b * b) != 0 {
            return Err(malformed(format!("{c} channels in blocks of {b}")));
        }
        let depth = c / (b * b);
        let (six, order) = if crd {
            ([n, depth, b, b, h, w], [0, 1, 4, 2, 5, 3])
        } else {
            ([n, b, b, depth, h, w], [0, 3, 4, 1, 5, 2])
        };
        let x = i.reshaped(x, six.to_vec())?;
        let x = permuted(i, x, &order)?;
        i.reshaped(x, vec![n, depth, h * b, w * b])
    })
}

pub(super) fn space_to_depth<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    moved(i, node, |i, x| {
        let (b, [n, c, h, w]) = block(i, node, x)?;
        if h % b != 0 || w % b != 0 {
            return Err(malformed(format!("{h}x{w} in blocks of {b}")));
        }
        let six = vec![n, c, h / b, b, w / b, b];
        let x = i.reshaped(x, six)?;
        let x = permuted(i, x, &[0, 3, 5, 1, 2, 4])?;
        i.reshaped(x, vec![n, c * b * b, h / b, w / b])
    })
}

pub(super) fn expand<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let wanted = i.integers(node.input(1))?;
    let wanted = wanted.into_iter().map(size_of).collect::<Result<Vec<_>, _>>()?;
    moved(i, node, |i, x| {
        let from = i.shape(x);
        let shape = broadcast_shape(&[&from, &wanted])?;
        i.take_tables(&shape)?;
        let mut full = vec![1; shape.len() - from.len()];
        full.extend(&from);
        let x = if full.len() == from.len() { x } else { i.reshaped(x, full.clone())? };
        let tables = full.iter().zip(&shape).map(|(a, &b)| (*a != b).then(|| vec![0; b])).collect();
        indexed(i, x, tables, [0; 8])
    })
}

pub(super) fn tile<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let repeats = i.integers(node.input(1))?;
    moved(i, node, |i, x| {
        let shape = i.shape(x);
        if repeats.len() != shape.len() {
            return Err(malformed(format!("repeats {repeats:?} of {shape:?}")));
        }
        let mut lens = Vec::new();
        for (&len, &times) in shape.iter().zip(&repeats) {
            lens.push(size_of(times)?.saturating_mul(len));
        }
        i.take_tables(&lens)?;
        let both = shape.iter().zip(&lens);
        let tables =
            both.map(|(&from, &to)| (from != to).then(|| (0..to).map(|at| at % from).collect()));
        indexed(i, x, tables.collect(), [0; 8])
    })
}

pub(super) fn gather<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let indices = i.tensor(node.input(1))?;
    let of = i.of(indices).shape.clone();
    if i.of(indices).data.is_none() {
        return Err(unsupported("indices that are computed at run time"));
    }
    let indices = i.integers(node.input(1))?;
    let axis = node.int_or("axis", 0)?;
    moved(i, node, |i, x| {
        let shape = i.shape(x);
        let axis = axis_of(axis, shape.len())?;
        let table = indices.iter().map(|&index| axis_of(index, shape[axis]));
        let mut tables = vec![None; shape.len()];
        tables[axis] = Some(table.collect::<Result<Vec<_>, _>>()?);
        let y = indexed(i, x, tables, [0; 8])?;
        if of.len() == 1 {
            return Ok(y);
        }
        let shape = [&shape[..axis], &of, &shape[axis + 1..]].concat();
        i.reshaped(y, shape)
    })
}

pub(super) fn slice<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let (starts, ends, axes, steps) = if i.opset < 10 {
        let list = |name| node.ints(name);
        let starts = list("starts")?.ok_or_else(|| malformed("no starts"))?;
        (starts, list("ends")?.ok_or_else(|| malformed("no ends"))?, list("axes")?, None)
    } else {
        let mut optional = |input: usize| match node.input(input) {
            "" => Ok(None),
            name => i.integers(name).map(Some),
        };
        let (axes, steps) = (optional(3)?, optional(4)?);
        (i.integers(node.input(1))?, i.integers(node.input(2))?, axes, steps)
    };
    let count = starts.len();
    let axes = axes.unwrap_or_else(|| (0..count as i64).collect());
    let steps = steps.unwrap_or_else(|| vec![1; count]);
    if [ends.len(), axes.len(), steps.len()] != [count; 3] {
        return Err(malformed("starts, ends, axes and steps of different lengths"));
    }
    moved(i, node, |i, x| {
        let shape = i.shape(x);
        let mut tables = vec![None; shape.len()];
        for at in 0..count {
            let axis = axis_of(axes[at], shape.len())?;
            let (len, step) = (shape[axis] as i64, steps[at]);
            let place = |at: i64| if at < 0 { at.saturating_add(len) } else { at };
            let (start, end) = (place(starts[at]), place(ends[at]));
            let table: Vec<usize> = match step {
                0 => return Err(malformed("steps of 0")),
                1.. => {
                    let step = usize::try_from(step).unwrap_or(usize::MAX);
                    (start.clamp(0, len)..end.clamp(0, len))
                        .map(|at| at as usize)
                        .step_by(step)
                        .collect()
                }
                _ => {
                    let step = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX);
                    let (high, low) = (start.clamp(-1, len - 1), end.clamp(-1, len - 1));
                    (low + 1..high + 1).rev().map(|at| at as usize).step_by(step).collect()
                }
            };
            tables[axis] = Some(table);
        }
        indexed(i, x, tables, [0; 8])
    })
}

pub(super) fn split<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let (Held::Plain(x) | Held::Real { ints: x, .. }) = i.held(node.input(0))?;
    let shape = i.shape(x);
    let axis = axis_of(node.int_or("axis", 0)?, shape.len())?;
    let given = if i.opset < 13 {
        node.ints("split")?
    } else {
        match node.input(1) {
            "" => None,
            name => Some(i.integers(name)?),
        }
    };
    let (len, parts) = (shape[axis], node.outputs.len().max(1));
    let lens = match given {
        Some(lens) => lens.into_iter().map(size_of).collect::<Result<Vec<_>, _>>()?,
        None => {
            let each = len.div_ceil(parts);
            (0..parts).map(|part| len.saturating_sub(part * each).min(each)).collect()
        }
    };
    let sum = lens.iter().try_fold(0usize, |sum, &part| sum.checked_add(part));
    if lens.len() != node.outputs.len() || sum != Some(len) {
        return Err(malformed(format!("{len} split into {lens:?}")));
    }
    let mut start = 0;
    for (place, part) in lens.into_iter().enumerate() {
        let mut tables = vec![None; shape.len()];
        tables[axis] = Some((start..start + part).collect());
        start += part;
        let held = moving(i, node.input(0), |i, x| indexed(i, x, tables, [0; 8]))?;
        i.hold(node.output(place), held)?;
    }
    Ok(())
}

pub(super) fn pad<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let mode = node.text("mode")?.unwrap_or("constant");
    let (Held::Plain(x) | Held::Real { ints: x, .. }) = i.held(node.input(0))?;
    let rank = i.shape(x).len();
    let (pads, axes) = if i.opset < 11 {
        let pads = node.ints("pads")?.or(node.ints("paddings")?);
        (pads.ok_or_else(|| malformed("no pads"))?, None)
    } else {
        let axes = if node.input(3).is_empty() { None } else { Some(i.integers(node.input(3))?) };
        (i.integers(node.input(1))?, axes)
    };
    let axes = match axes {
        Some(axes) => axes.into_iter().map(|axis| axis_of(axis, rank)).collect::<Result<_, _>>()?,
        None => (0..rank).collect::<Vec<_>>(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(malformed(format!("{} pads for {} axes", pads.len(), axes.len())));
    }
    let fill = filling(i, node)?;
    let shape = i.shape(x);
    let mut tables = vec![None; rank];
    for (at, &axis) in axes.iter().enumerate() {
        let (before, after) = (pads[at], pads[axes.len() + at]);
        if before == 0 && after == 0 {
            continue;
        }
        if [before, after].iter().any(|pad| pad.unsigned_abs() > 1 << 24) {
            return Err(malformed(format!("pads {pads:?}")));
        }
        let len = shape[axis] as i64;
        let places = -before..len + after;
        let table = places.map(|place| match mode {
            _ if (0..len).contains(&place) => Ok(place as usize),
            "constant" => Ok(OUTSIDE),
            "edge" => Ok(place.clamp(0, len - 1) as usize),
            "wrap" => Ok(place.rem_euclid(len) as usize),
            "reflect" => {
                let turn = (2 * (len - 1)).max(1);
                let place = place.rem_euclid(turn);
                Ok(if place < len { place } else { turn - place } as usize)
            }
            other => Err(unsupported(format!("mode {}", other.escape_debug()))),
        });
        i.budget
            .take_for::<usize>(usize::try_from(len + before.max(0) + after.max(0)).unwrap_or(0))?;
        tables[axis] = Some(table.collect::<Result<Vec<_>, _>>()?);
    }
    // Real zeros are integers of every quantization; other values only where they are quantized first.
    let zero = i.eight(node.input(0))?.filter(|_| fill == Some([0; 8]) || mode != "constant");
    if let Some((ints, params)) = zero {
        let y = indexed(i, ints, tables, [params.arena_zero() as u8; 8])?;
        let Held::Real { scheme, .. } = i.held(node.input(0))? else { return Ok(()) };
        return i.hold(node.output(0), Held::Real { ints: y, scheme });
    }
    let x = i.tensor(node.input(0))?;
    let mut fill = fill.ok_or_else(|| unsupported("a filling of another type"))?;
    if i.dtype(x) == DType::U8 {
        fill[0] ^= 0x80;
    }
    let y = indexed(i, x, tables, fill)?;
    i.give(node, y)
}

/// The bytes that a `Pad` fills with, as in the file.
fn filling<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Result<Option<[u8; 8]>, Refusal> {
    let mut fill = [0; 8];
    if i.opset < 11 {
        fill[..4].copy_from_slice(&node.float_or("value", 0.0)?.to_le_bytes());
        return Ok(Some(fill));
    }
    if node.input(2).is_empty() {
        return Ok(Some(fill));
    }
    let value = i.tensor(node.input(2))?;
    let Some(data) = &i.of(value).data else {
        return Err(unsupported("a filling that is computed at run time"));
    };
    if data.is_empty() || data.len() > 8 {
        return Ok(None);
    }
    fill[..data.len()].copy_from_slice(data);
    Ok(Some(fill))
}

pub(super) fn concat<'a>(i: &mut Importer<'a, '_>, node: &NodeFile<'a>) -> Done {
    let mut parts: Option<Vec<(Tensor, Params)>> = Some(Vec::new());
    for name in &node.inputs {
        let part = i.eight(name)?;
        parts = parts.and_then(|mut parts| {
            parts.push(part?);
            Some(parts)
        });
    }
    if let Some(parts) = parts.filter(|parts| !parts.is_empty()) {
        if let Some(to) = i.target(node)? {
            let y = joined(i, node, &parts, to.params)?;
            return i.reach(to, y);
        }
        let params = parts[0].1;
        if parts.iter().all(|(_, other)| *other == params) {
            let ints = joined(i, node, &parts, params)?;
            i.mark(ints, params);
            let scheme = std::rc::Rc::new(params.into());
            return i.hold(node.output(0), Held::Real { ints, scheme });
        }
    }
    let mut tensors = Vec::new();
    for name in &node.inputs {
        tensors.push(i.tensor(name)?);
    }
    let Some(&first) = tensors.first() else { return Err(malformed("nothing to join")) };
    let axis = node.int("axis")?.ok_or_else(|| malformed("no axis"))?;
    let axis = axis_of(axis, i.shape(first).len())?;
    let last = tensors.iter().all(|tensor| tensor.last);
    let mut ids = Vec::new();
    for tensor in tensors {
        let tensor = if last { tensor } else { i.plain(tensor)? };
        // Shape computations may join nothing.
        if i.of(tensor).elements() > 0 {
            ids.push(tensor.id);
        }
    }
    let Some(&id) = ids.first() else { return i.give(node, first) };
    let (axis, dtype) = (i.axis(Tensor { id, last }, axis), i.dtype(first));
    let id = i.emit(Concat { axis, tables: Vec::new() }, &ids, dtype)?;
    i.give(node, Tensor { id, last })
}
