//! Tensors between us and tract, copied into memory that is there already.

use std::sync::Arc;

use tract_onnx::prelude::{Datum, DatumType, TractResult};
use tract_onnx::tract_core::internal::{TDim, Tensor as TractTensor, format_err, tensor1};

use crate::data::{DType, TensorData, TensorSpec};

/// Our name for tract's type; `None` for types that we have no tensors of.
pub(super) fn dtype(of: DatumType) -> Option<DType> {
    Some(match of {
        DatumType::F32 => DType::F32,
        DatumType::F64 => DType::F64,
        DatumType::I8 => DType::I8,
        DatumType::U8 => DType::U8,
        DatumType::I16 => DType::I16,
        DatumType::I32 => DType::I32,
        // Shapes are symbolic in tract, and int64 in the file.
        DatumType::I64 | DatumType::TDim => DType::I64,
        DatumType::Bool => DType::Bool,
        DatumType::String => DType::Str,
        _ => return None,
    })
}

/// A tract tensor that [`fill`] can fill for `spec`.
pub(super) fn buffer(spec: &TensorSpec) -> Arc<TractTensor> {
    let dtype = match spec.dtype {
        DType::F32 => DatumType::F32,
        DType::F64 => DatumType::F64,
        DType::I8 => DatumType::I8,
        DType::U8 => DatumType::U8,
        DType::I16 => DatumType::I16,
        DType::I32 => DatumType::I32,
        DType::I64 => DatumType::I64,
        DType::Bool => DatumType::Bool,
        DType::Str => DatumType::String,
    };
    let zeros = zeros(dtype, &spec.shape);
    Arc::new(zeros.expect("a signature's shapes were held by tract already"))
}

/// A tensor of zeros, or of empty texts, which tract has no zero of.
pub(super) fn zeros(dtype: DatumType, shape: &[usize]) -> TractResult<TractTensor> {
    if dtype != DatumType::String {
        return TractTensor::zero_dt(dtype, shape);
    }
    let elements = shape.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim));
    let elements = elements.ok_or_else(|| format_err!("shape {shape:?} is too large"))?;
    tensor1(&vec![String::new(); elements]).into_shape(shape)
}

/// Copies `from` into `to`, which [`buffer`] made for the same type and shape.
pub(super) fn fill(from: &TensorData, to: &mut TractTensor) -> TractResult<()> {
    fn put<T: Datum + Clone>(from: &[T], to: &mut TractTensor) -> TractResult<()> {
        let mut view = to.try_as_plain_ram_mut()?;
        view.as_slice_mut::<T>()?.clone_from_slice(from);
        Ok(())
    }
    match from {
        TensorData::F32(values) => put(values, to),
        TensorData::F64(values) => put(values, to),
        TensorData::I8(values) => put(values, to),
        TensorData::U8(values) => put(values, to),
        TensorData::I16(values) => put(values, to),
        TensorData::I32(values) => put(values, to),
        TensorData::I64(values) => put(values, to),
        TensorData::Bool(values) => put(values, to),
        TensorData::Str(values) => put(values, to),
    }
}

/// Copies `from` into `to`; types and lengths must be the signature's.
pub(super) fn copy(from: &TractTensor, to: &mut TensorData) -> TractResult<()> {
    fn take<T: Datum + Clone>(from: &TractTensor, to: &mut [T]) -> TractResult<()> {
        let values = from.try_as_plain_ram()?.as_slice::<T>()?;
        if values.len() != to.len() {
            let (found, wanted) = (values.len(), to.len());
            return Err(format_err!("{found} elements, the signature says {wanted}"));
        }
        to.clone_from_slice(values);
        Ok(())
    }
    match to {
        TensorData::F32(to) => take(from, to),
        TensorData::F64(to) => take(from, to),
        TensorData::I8(to) => take(from, to),
        TensorData::U8(to) => take(from, to),
        TensorData::I16(to) => take(from, to),
        TensorData::I32(to) => take(from, to),
        TensorData::I64(to) if from.datum_type() == TDim::datum_type() => {
            take(&*from.cast_to::<i64>()?, to)
        }
        TensorData::I64(to) => take(from, to),
        TensorData::Bool(to) => take(from, to),
        TensorData::Str(to) => take(from, to),
    }
}
