//! Numbers to numbers of the same shape: `Scaler`, `Normalizer`, `Imputer`, `Binarizer`.

use tract_onnx::prelude::{DatumType, TractResult};
use tract_onnx::tract_core::internal::{Tensor, bail};

use super::attributes::Attributes;
use super::kernel::{Kernel, Port, only, put, reals, slice};

/// The last dimension: what has one value for each column repeats along it.
fn columns(port: &Port) -> TractResult<usize> {
    match (port.is_text(), port.shape.last()) {
        (false, Some(&columns)) => Ok(columns),
        _ => bail!("its input is {:?} {:?}, not a table of numbers", port.dtype, port.shape),
    }
}

/// One value for all columns, or one for each.
fn check(name: &str, len: usize, columns: usize) -> TractResult<()> {
    if len != 1 && len != columns {
        bail!("attribute {name} has {len} values for {columns} columns");
    }
    Ok(())
}

/// `(x - offset) * scale`.
#[derive(Debug)]
pub(super) struct Scaler {
    offset: Vec<f32>,
    scale: Vec<f32>,
}

impl Kernel for Scaler {
    fn parse(attributes: &Attributes) -> TractResult<Self> {
        let offset = attributes.floats("offset")?.to_vec();
        let scale = attributes.floats("scale")?.to_vec();
        Ok(Self { offset, scale })
    }

    fn outputs(&self, inputs: &[Port]) -> TractResult<Vec<Port>> {
        let input = only(inputs)?;
        let columns = columns(input)?;
        check("offset", self.offset.len(), columns)?;
        check("scale", self.scale.len(), columns)?;
        Ok(vec![Port::new(DatumType::F32, input.shape.clone())])
    }

    fn run(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) -> TractResult<()> {
        let x = reals(inputs[0])?;
        // A table without columns has no values either, so a shorter list is never stepped through wrongly.
        let terms = self.offset.iter().cycle().zip(self.scale.iter().cycle());
        put(&mut outputs[0], x.iter().zip(terms).map(|(x, (offset, scale))| (x - offset) * scale))
    }
}

#[derive(Clone, Copy, Debug)]
enum Norm {
    Max,
    L1,
    L2,
}

/// Each row divided by its norm; a row of zeros stays.
#[derive(Debug)]
pub(super) struct Normalizer(Norm);

impl Kernel for Normalizer {
    fn parse(attributes: &Attributes) -> TractResult<Self> {
        Ok(Self(match attributes.string("norm")?.as_deref() {
            None | Some("MAX") => Norm::Max,
            Some("L1") => Norm::L1,
            Some("L2") => Norm::L2,
            Some(other) => bail!("attribute norm is {other}"),
        }))
    }

    fn outputs(&self, inputs: &[Port]) -> TractResult<Vec<Port>> {
        let input = only(inputs)?;
        columns(input)?;
        Ok(vec![Port::new(DatumType::F32, input.shape.clone())])
    }

    fn run(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) -> TractResult<()> {
        let x = reals(inputs[0])?;
        let columns = inputs[0].shape().last().copied().unwrap_or(1).max(1);
        let norm = |row: &[f32]| match self.0 {
            Norm::Max => row.iter().copied().fold(-f32::MAX, f32::max),
            Norm::L1 => row.iter().map(|x| x.abs()).sum(),
            Norm::L2 => row.iter().map(|x| x * x).sum::<f32>().sqrt(),
        };
        let divided = x.chunks_exact(columns).flat_map(|row| {
            let norm = norm(row);
            row.iter().map(move |x| if norm == 0.0 { *x } else { x / norm })
        });
        put(&mut outputs[0], divided)
    }
}

/// One value replaced by another, which may differ between columns.
#[derive(Debug)]
pub(super) enum Imputer {
    Reals { imputed: Vec<f32>, replaced: f32 },
    Wholes { imputed: Vec<i64>, replaced: i64 },
}

impl Kernel for Imputer {
    fn parse(attributes: &Attributes) -> TractResult<Self> {
        let reals = attributes.floats("imputed_value_floats")?.to_vec();
        let wholes = attributes.ints("imputed_value_int64s")?.to_vec();
        match (reals.is_empty(), wholes.is_empty()) {
            (false, true) => {
                let replaced = attributes.float("replaced_value_float")?.unwrap_or(0.0);
                Ok(Self::Reals { imputed: reals, replaced })
            }
            (true, false) => {
                let replaced = attributes.int("replaced_value_int64")?.unwrap_or(0);
                Ok(Self::Wholes { imputed: wholes, replaced })
            }
            _ => bail!("exactly one of imputed_value_floats and imputed_value_int64s is needed"),
        }
    }

    fn outputs(&self, inputs: &[Port]) -> TractResult<Vec<Port>> {
        let input = only(inputs)?;
        let (len, dtype) = match self {
            Self::Reals { imputed, .. } => (imputed.len(), DatumType::F32),
            Self::Wholes { imputed, .. } => (imputed.len(), DatumType::I64),
        };
        check("imputed_value", len, columns(input)?)?;
        if input.dtype != dtype {
            bail!("its input is {:?}, its values are {dtype:?}", input.dtype);
        }
        Ok(vec![input.clone()])
    }

    fn run(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) -> TractResult<()> {
        match self {
            Self::Reals { imputed, replaced } => {
                let missing = |x: f32| x == *replaced || x.is_nan() && replaced.is_nan();
                let x = slice::<f32>(inputs[0])?.iter().zip(imputed.iter().cycle());
                put(&mut outputs[0], x.map(|(&x, &other)| if missing(x) { other } else { x }))
            }
            Self::Wholes { imputed, replaced } => {
                let x = slice::<i64>(inputs[0])?.iter().zip(imputed.iter().cycle());
                put(&mut outputs[0], x.map(|(&x, &other)| if x == *replaced { other } else { x }))
            }
        }
    }
}

/// 1 above the threshold, else 0.
#[derive(Debug)]
pub(super) struct Binarizer {
    threshold: f32,
}

impl Kernel for Binarizer {
    fn parse(attributes: &Attributes) -> TractResult<Self> {
        Ok(Self { threshold: attributes.float("threshold")?.unwrap_or(0.0) })
    }

    fn outputs(&self, inputs: &[Port]) -> TractResult<Vec<Port>> {
        let input = only(inputs)?;
        columns(input)?;
        Ok(vec![Port::new(DatumType::F32, input.shape.clone())])
    }

    fn run(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) -> TractResult<()> {
        let above = |x: &f32| f32::from(u8::from(*x > self.threshold));
        put(&mut outputs[0], reals(inputs[0])?.iter().map(above))
    }
}
