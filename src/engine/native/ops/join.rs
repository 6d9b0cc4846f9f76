//! Tensors joined into one.

use super::shared::moves::{End, Move, moved, same_meaning};
use super::{Compiled, Entry, Kind, Operator, Refusal, Site, activation, axis_of, malformed};
use super::{is_plain, unsupported};
use crate::data::DType;
use crate::engine::native::graph::{Activation, Shape, Value};
use crate::engine::native::kernels::Lookup;
use crate::engine::native::ops::shared::quant8::Quant8;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "CONCATENATION",
        options: 10,
        // ConcatenationOptions: axis, activation.
        lower: |options| {
            let activation = activation(options.byte(1, 0)?)?;
            Ok(Box::new(Concatenation { axis: options.int(0, 0)?.into(), activation }))
        },
        kinds: Kind::ANY,
        attributes: &[],
    },
    Entry {
        name: "PACK",
        options: 59,
        // PackOptions: count, axis.
        lower: |options| Ok(Box::new(Pack { axis: options.int(1, 0)?.into() })),
        kinds: Kind::NUMBERS,
        attributes: &[],
    },
];

/// Inputs one after the other along `axis`.
#[derive(Debug)]
pub(super) struct Concatenation {
    pub(super) axis: i64,
    pub(super) activation: Activation,
}

/// Inputs of one shape one after the other along a new `axis`.
#[derive(Debug)]
pub(super) struct Pack {
    pub(super) axis: i64,
}

impl Operator for Concatenation {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let mut shape = site.input(0)?.shape.clone();
        let axis = axis_of(self.axis, shape.len())?;
        for i in 1..site.node.inputs.len() {
            let next = &site.input(i)?.shape;
            let fits = next.len() == shape.len()
                && (0..shape.len()).all(|other| other == axis || next[other] == shape[other]);
            let len = next.get(axis).and_then(|&len| shape[axis].checked_add(len));
            let wrong = || malformed(format!("{next:?} after {shape:?} along axis {axis}"));
            shape[axis] = len.filter(|_| fits).ok_or_else(wrong)?;
        }
        Ok(vec![shape])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        // LiteRT has none, either.
        if self.activation != Activation::None {
            return Err(unsupported(format!("the fused activation {:?}", self.activation)));
        }
        let y = site.output()?;
        let axis = axis_of(self.axis, y.shape.len())?;
        let mut to = End::dense(&y.shape);
        let mut moves = Vec::with_capacity(site.node.inputs.len());
        for input in 0..site.node.inputs.len() {
            let x = site.input(input)?;
            let area = Move::new(x.shape.clone(), End::dense(&x.shape), to.clone());
            let table = table(x, y)?.map(|answers| Lookup::new(site.isa, answers));
            moves.push(Move { input, table, ..area });
            to.skip(axis, x.shape[axis]);
        }
        moved(site, None, moves)
    }
}

impl Operator for Pack {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let mut shape = site.input(0)?.shape.clone();
        for i in 1..site.node.inputs.len() {
            let next = &site.input(i)?.shape;
            if *next != shape {
                return Err(malformed(format!("{next:?} beside {shape:?}")));
            }
        }
        shape.insert(axis_of(self.axis, shape.len() + 1)?, site.node.inputs.len());
        Ok(vec![shape])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (shape, y) = (&site.input(0)?.shape, site.output()?);
        let axis = axis_of(self.axis, y.shape.len())?;
        for input in 0..site.node.inputs.len() {
            same_meaning(site.input(input)?, y)?;
        }
        let part = |input| {
            let mut to = End::dense(&y.shape);
            to.skip(axis, input);
            to.strides.remove(axis);
            Move { input, ..Move::new(shape.clone(), End::dense(shape), to) }
        };
        moved(site, None, (0..site.node.inputs.len()).map(part).collect())
    }
}

/// What each byte of `x` becomes in `y`, which may be quantized otherwise: as TFLite's reference kernel
/// does for `uint8`, in `f32`, halves away from zero. For `int8` LiteRT refuses; the same serves there.
/// 16-bit integers are joined as they are.
fn table(x: &Value<'_>, y: &Value<'_>) -> Result<Option<Box<[u8; 256]>>, Refusal> {
    let bytes = matches!(x.dtype, DType::I8 | DType::U8);
    if !bytes || x.dtype != y.dtype || x.quant == y.quant || is_plain(x) || is_plain(y) {
        return Ok(None);
    }
    let (x, y) = (Quant8::of(x)?, Quant8::of(y)?);
    let scale = x.scale * (1.0 / y.scale);
    // In the file's integers, where the reference computes.
    let bias = -((x.zero_point + x.origin) as f32) * scale;
    let (low, high) = (y.origin - 128, y.origin + 127);
    let mut table = Box::new([0; 256]);
    for byte in i8::MIN..=i8::MAX {
        let value = (i32::from(byte) + x.origin) as f32 * scale + bias;
        let moved = (value.round() as i32).saturating_add(y.zero_point + y.origin);
        let moved = moved.clamp(low, high) - y.origin;
        table[usize::from(byte.cast_unsigned())] = moved.to_le_bytes()[0];
    }
    Ok(Some(table))
}
