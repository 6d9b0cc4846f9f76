//! One tensor: type, shape, quantization and constant bytes.

use std::borrow::Cow;

use super::{Importer, schema, sparse};
use crate::data::{DType, Quantization};
use crate::engine::native::flatbuffer::Table;
use crate::engine::native::graph::{Quant, Value, width};
use crate::engine::native::limits::RANK_MAX;
use crate::engine::native::ops::Refusal;

/// `TensorType` of 16-bit floats.
const HALF: i8 = 1;
/// `TensorType` of 4-bit integers.
const NIBBLES: i8 = 17;

/// How the constant's elements lie in the file.
enum Packing {
    /// As they will lie in memory.
    Plain,
    Half,
    Nibbles,
}

/// The value of an IEEE 754 binary16.
fn from_half(half: u16) -> f32 {
    let (sign, exponent, fraction) = (u32::from(half >> 15) << 31, half >> 10 & 31, half & 1023);
    let magnitude = match exponent {
        // Below 2^-14 the fraction counts steps of 2^-24.
        0 => f32::from(fraction) * f32::from_bits(0x3380_0000),
        31 => f32::from_bits(0x7f80_0000 | u32::from(fraction) << 13),
        _ => f32::from_bits((u32::from(exponent) + 112) << 23 | u32::from(fraction) << 13),
    };
    f32::from_bits(sign | magnitude.to_bits())
}

impl<'a> Importer<'a, '_> {
    /// Reads the tensor in `table`.
    pub(super) fn read(&self, table: &Table<'a>) -> Result<Value<'a>, Refusal> {
        let number = table.scalar(schema::tensor::TYPE, 0i8)?;
        let packing = match number {
            HALF => Packing::Half,
            NIBBLES => Packing::Nibbles,
            _ => Packing::Plain,
        };
        let dtype = match number {
            0 | HALF => DType::F32,
            2 => DType::I32,
            3 => DType::U8,
            4 => DType::I64,
            7 => DType::I16,
            6 => DType::Bool,
            9 | NIBBLES => DType::I8,
            10 => DType::F64,
            other => return Err(Refusal::Unsupported(format!("tensor type number {other}"))),
        };
        let dims = table.scalars::<i32>(schema::tensor::SHAPE)?;
        if dims.len() > RANK_MAX {
            return Err(Refusal::Malformed(format!("{} dimensions", dims.len())));
        }
        let shape = dims.iter().map(|dim| match usize::try_from(dim) {
            Ok(dim) => Ok(dim),
            _ => Err(Refusal::Malformed(format!("a dimension of {dim}"))),
        });
        let shape: Vec<usize> = shape.collect::<Result<_, _>>()?;
        let quant = self.quant(table, dtype, &shape)?;
        let empty = shape.contains(&0).then_some(Cow::Borrowed(&[][..]));
        let mut data = self.data(table)?.or(empty);
        if let (Some(sparsity), Some(stored)) = (table.table(schema::tensor::SPARSITY)?, &data) {
            let width = match packing {
                Packing::Plain => width(dtype).unwrap_or(1),
                Packing::Half => 2,
                Packing::Nibbles => {
                    return Err(Refusal::Unsupported("sparse 4-bit integers".into()));
                }
            };
            data = Some(sparse::dense(&sparsity, &shape, width, stored, self.budget)?.into());
        }
        let nibbles = matches!(packing, Packing::Nibbles);
        let data = match (packing, data) {
            (Packing::Plain, data) => data,
            (Packing::Half, Some(data)) => Some(self.halves(&data)?.into()),
            (Packing::Nibbles, Some(data)) => {
                let elements = shape.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim));
                Some(self.nibbles(&data, elements.unwrap_or(usize::MAX))?.into())
            }
            // Computed from constants, it will be one; computed at run time, it has more digits.
            (Packing::Half, None) => None,
            (Packing::Nibbles, None) => {
                return Err(Refusal::Unsupported("4-bit integers that are not constant".into()));
            }
        };
        Ok(Value { dtype, shape, quant, data, nibbles })
    }

    /// The `f32` of each 16-bit float.
    fn halves(&self, data: &[u8]) -> Result<Vec<u8>, Refusal> {
        self.budget.take(data.len().saturating_mul(2))?;
        let halves = data.as_chunks().0.iter();
        Ok(halves.flat_map(|&half| from_half(u16::from_le_bytes(half)).to_le_bytes()).collect())
    }

    /// Each 4-bit integer in a byte of its own; the low half of a byte comes first.
    fn nibbles(&self, data: &[u8], elements: usize) -> Result<Vec<u8>, Refusal> {
        if elements.div_ceil(2) != data.len() {
            let why = format!("{} bytes for {elements} 4-bit integers", data.len());
            return Err(Refusal::Malformed(why));
        }
        self.budget.take(elements)?;
        let signed = |nibble: u8| ((nibble << 4).cast_signed() >> 4).cast_unsigned();
        let both = data.iter().flat_map(|&byte| [signed(byte & 15), signed(byte >> 4)]);
        Ok(both.take(elements).collect())
    }

    fn quant(&self, table: &Table<'a>, dtype: DType, shape: &[usize]) -> Result<Quant, Refusal> {
        use schema::quantization as field;
        let Some(table) = table.table(schema::tensor::QUANTIZATION)? else {
            return Ok(Quant::None);
        };
        if table.scalar(field::DETAILS_TYPE, 0u8)? != 0 {
            return Err(Refusal::Unsupported("a custom quantization".into()));
        }
        let scales = table.scalars::<f32>(field::SCALE)?;
        let zero_points = table.scalars::<i64>(field::ZERO_POINT)?;
        if scales.len() == 0 {
            return Ok(Quant::None);
        }
        if zero_points.len() != scales.len() && zero_points.len() != 0 {
            let (scales, zero_points) = (scales.len(), zero_points.len());
            return Err(Refusal::Malformed(format!("{scales} scales, {zero_points} zero points")));
        }
        if let Some(scale) = scales.iter().find(|scale| !scale.is_finite() || *scale <= 0.0) {
            return Err(Refusal::Malformed(format!("a scale of {scale}")));
        }
        let axis = table.scalar(field::QUANTIZED_DIMENSION, 0i32)?;
        if scales.len() > 1 {
            let axis = channel_axis(shape, scales.len(), axis);
            let Some(axis) = axis else {
                let why = format!("{} scales do not fit {shape:?}", scales.len());
                return Err(Refusal::Malformed(why));
            };
            if zero_points.iter().any(|zero_point| zero_point != 0) {
                return Err(Refusal::Unsupported("zero points per channel".into()));
            }
            self.budget.take_for::<f32>(scales.len())?;
            return Ok(Quant::Channels { axis, scales: scales.iter().collect() });
        }
        let zero_point = zero_points.iter().next().unwrap_or(0);
        let (low, high) = match dtype {
            DType::U8 => (0, 255),
            DType::I8 => (-128, 127),
            DType::I16 => (-32768, 32767),
            _ => (0, 0),
        };
        let zero_point = i32::try_from(zero_point).ok().filter(|z| (low..=high).contains(z));
        let zero_point = zero_point
            .ok_or_else(|| Refusal::Malformed(format!("a zero point outside {low}..={high}")))?;
        let scale = scales.iter().next().unwrap_or(1.0);
        Ok(Quant::Tensor(Quantization { scale, zero_point }))
    }

    /// The tensor's constant bytes, if it has any.
    fn data(&self, table: &Table<'a>) -> Result<Option<Cow<'a, [u8]>>, Refusal> {
        let number = table.scalar(schema::tensor::BUFFER, 0u32)?;
        let Ok(index) = usize::try_from(number) else { return Ok(None) };
        // Buffer 0 is the empty one by convention.
        if index == 0 {
            return Ok(None);
        }
        let buffer = self.file.buffers.get(index)?;
        let buffer =
            buffer.ok_or_else(|| Refusal::Malformed(format!("there is no buffer {number}")))?;
        if buffer.scalar(schema::buffer::OFFSET, 0u64)? > 1 {
            return Err(Refusal::Unsupported("data outside the FlatBuffer".into()));
        }
        let data = buffer.scalars::<u8>(schema::buffer::DATA)?.bytes();
        Ok((!data.is_empty()).then_some(Cow::Borrowed(data)))
    }
}

/// The axis that has one of `scales` for each place; the file says `axis`.
///
/// A vector has no choice: older converters wrote the axis of the weights beside a bias, too.
fn channel_axis(shape: &[usize], scales: usize, axis: i32) -> Option<usize> {
    let axis = if shape.len() == 1 { 0 } else { usize::try_from(axis).ok()? };
    (shape.get(axis) == Some(&scales)).then_some(axis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_belong_to_an_axis_of_as_many_places() {
        assert_eq!(channel_axis(&[3, 1, 1, 8], 8, 3), Some(3));
        assert_eq!(channel_axis(&[8], 8, 3), Some(0));
        let wrong =
            [(&[8][..], 7, 0), (&[8, 1], 8, 1), (&[8, 1], 8, 2), (&[8, 1], 8, -1), (&[], 2, 0)];
        for (shape, scales, axis) in wrong {
            assert_eq!(channel_axis(shape, scales, axis), None, "{shape:?} {axis}");
        }
    }

    #[test]
    fn halves_keep_their_value() {
        for (half, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 2f32.powi(-24)),
            (0x83ff, -1023.0 * 2f32.powi(-24)),
            (0x0400, 2f32.powi(-14)),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(from_half(half), value, "{half:04x}");
        }
        assert!(from_half(0x7e00).is_nan());
    }
}
