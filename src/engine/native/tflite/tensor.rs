//! One tensor: type, shape, quantization and constant bytes.

use std::borrow::Cow;

use super::{Importer, flat, schema};
use crate::data::{DType, Quantization};
use crate::engine::native::flatbuffer::Table;
use crate::engine::native::graph::{Quant, Value};
use crate::engine::native::kernels::Refusal;
use crate::engine::native::limits::RANK_MAX;

impl<'a> Importer<'a, '_> {
    /// Reads the tensor in `table`.
    pub(super) fn read(&self, table: &Table<'a>) -> Result<Value<'a>, Refusal> {
        let number = table.scalar(schema::tensor::TYPE, 0i8).map_err(flat)?;
        let dtype = match number {
            0 => DType::F32,
            2 => DType::I32,
            3 => DType::U8,
            4 => DType::I64,
            7 => DType::I16,
            9 => DType::I8,
            10 => DType::F64,
            other => return Err(Refusal::Unsupported(format!("tensor type number {other}"))),
        };
        if table.scalar(schema::tensor::IS_VARIABLE, 0u8).map_err(flat)? != 0 {
            return Err(Refusal::Unsupported("a variable".into()));
        }
        if table.table(schema::tensor::SPARSITY).map_err(flat)?.is_some() {
            return Err(Refusal::Unsupported("a sparse tensor".into()));
        }
        let dims = table.scalars::<i32>(schema::tensor::SHAPE).map_err(flat)?;
        if dims.len() > RANK_MAX {
            return Err(Refusal::Malformed(format!("{} dimensions", dims.len())));
        }
        let shape = dims.iter().map(|dim| match usize::try_from(dim) {
            Ok(dim) if dim > 0 => Ok(dim),
            _ => Err(Refusal::Malformed(format!("a dimension of {dim}"))),
        });
        let shape: Vec<usize> = shape.collect::<Result<_, _>>()?;
        let quant = self.quant(table, dtype, &shape)?;
        Ok(Value { dtype, shape, quant, data: self.data(table)? })
    }

    fn quant(&self, table: &Table<'a>, dtype: DType, shape: &[usize]) -> Result<Quant, Refusal> {
        use schema::quantization as field;
        let Some(table) = table.table(schema::tensor::QUANTIZATION).map_err(flat)? else {
            return Ok(Quant::None);
        };
        if table.scalar(field::DETAILS_TYPE, 0u8).map_err(flat)? != 0 {
            return Err(Refusal::Unsupported("a custom quantization".into()));
        }
        let scales = table.scalars::<f32>(field::SCALE).map_err(flat)?;
        let zero_points = table.scalars::<i64>(field::ZERO_POINT).map_err(flat)?;
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
        let axis = table.scalar(field::QUANTIZED_DIMENSION, 0i32).map_err(flat)?;
        if scales.len() > 1 {
            let axis = usize::try_from(axis).ok().filter(|&axis| axis < shape.len());
            let axis = axis.filter(|&axis| shape[axis] == scales.len());
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
        let number = table.scalar(schema::tensor::BUFFER, 0u32).map_err(flat)?;
        let Ok(index) = usize::try_from(number) else { return Ok(None) };
        // Buffer 0 is the empty one by convention.
        if index == 0 {
            return Ok(None);
        }
        let buffer = self.buffers.get(index).map_err(flat)?;
        let buffer =
            buffer.ok_or_else(|| Refusal::Malformed(format!("there is no buffer {number}")))?;
        if buffer.scalar(schema::buffer::OFFSET, 0u64).map_err(flat)? > 1 {
            return Err(Refusal::Unsupported("data outside the FlatBuffer".into()));
        }
        let data = buffer.scalars::<u8>(schema::buffer::DATA).map_err(flat)?.bytes();
        Ok((!data.is_empty()).then_some(Cow::Borrowed(data)))
    }
}
