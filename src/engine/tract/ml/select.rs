//! Columns chosen or put side by side: `ArrayFeatureExtractor`, `FeatureVectorizer`, `ZipMap`.

use tract_onnx::prelude::{DatumType, TractResult};
use tract_onnx::tract_core::internal::{Datum, Tensor, bail};

use super::attributes::Attributes;
use super::kernel::{Kernel, Port, both, only, put, reals, slice};

/// `[..., columns]` and indices to `[..., indices]`; `[columns]` gives one row.
#[derive(Debug)]
pub(super) struct ArrayFeatureExtractor;

fn pick<T: Datum + Clone>(
    x: &Tensor,
    columns: usize,
    at: &[i64],
    output: &mut Tensor,
) -> TractResult<()> {
    for &index in at {
        if usize::try_from(index).is_ok_and(|index| index < columns) {
            continue;
        }
        bail!("the index {index} is none of {columns} columns");
    }
    let lines = slice::<T>(x)?.chunks_exact(columns.max(1));
    put(output, lines.flat_map(|line| at.iter().map(|&index| line[index as usize].clone())))
}

impl Kernel for ArrayFeatureExtractor {
    fn parse(_attributes: &Attributes) -> TractResult<Self> {
        Ok(Self)
    }

    fn outputs(&self, inputs: &[Port]) -> TractResult<Vec<Port>> {
        let (x, at) = both(inputs)?;
        if !matches!(at.dtype, DatumType::I64 | DatumType::TDim) {
            bail!("its indices are {:?}", at.dtype);
        }
        let Some((_, leading)) = x.shape.split_last() else { bail!("its input is a single value") };
        let mut shape = if leading.is_empty() { vec![1] } else { leading.to_vec() };
        let picked = at.shape.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim));
        let Some(picked) = picked else { bail!("its indices are too many") };
        shape.push(picked);
        Ok(vec![Port::new(x.dtype, shape)])
    }

    fn run(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) -> TractResult<()> {
        let at = inputs[1].cast_to::<i64>()?;
        let at = slice::<i64>(&at)?;
        let (x, columns) = (inputs[0], inputs[0].shape().last().copied().unwrap_or_default());
        let output = &mut outputs[0];
        match x.datum_type() {
            DatumType::F32 => pick::<f32>(x, columns, at, output),
            DatumType::F64 => pick::<f64>(x, columns, at, output),
            DatumType::I64 => pick::<i64>(x, columns, at, output),
            DatumType::I32 => pick::<i32>(x, columns, at, output),
            DatumType::String => pick::<String>(x, columns, at, output),
            other => bail!("its input is {other:?}"),
        }
    }
}

/// Tables side by side, each cut or filled with zeros to its width.
#[derive(Debug)]
pub(super) struct FeatureVectorizer {
    widths: Vec<usize>,
}

impl Kernel for FeatureVectorizer {
    fn parse(attributes: &Attributes) -> TractResult<Self> {
        let widths = attributes.indices("inputdimensions")?;
        Ok(Self { widths: widths.into_iter().map(|width| width as usize).collect() })
    }

    fn outputs(&self, inputs: &[Port]) -> TractResult<Vec<Port>> {
        if inputs.len() != self.widths.len() || inputs.is_empty() {
            bail!("it has {} inputs and {} inputdimensions", inputs.len(), self.widths.len());
        }
        let (rows, _) = inputs[0].table()?;
        for input in inputs {
            if input.table()?.0 != rows {
                bail!("its inputs have {rows} and {} rows", input.table()?.0);
            }
        }
        let width = self.widths.iter().fold(0usize, |sum, &width| sum.saturating_add(width));
        Ok(vec![Port::new(DatumType::F32, [rows, width])])
    }

    fn run(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) -> TractResult<()> {
        let all: usize = self.widths.iter().sum();
        let mut view = outputs[0].try_as_plain_ram_mut()?;
        let lines = view.as_slice_mut::<f32>()?;
        let mut start = 0;
        for (input, &width) in inputs.iter().zip(&self.widths) {
            let columns = input.shape().last().copied().unwrap_or_default();
            let shared = columns.min(width);
            let x = reals(input)?;
            if shared > 0 {
                for (row, line) in x.chunks_exact(columns).zip(lines.chunks_exact_mut(all)) {
                    line[start..start + shared].copy_from_slice(&row[..shared]);
                }
            }
            start += width;
        }
        Ok(())
    }
}

/// A classifier's scores. ONNX makes a list of maps of them, for which there is no tensor: here they stay a
/// table `[rows, classes]`, classes in the file's order.
#[derive(Debug)]
pub(super) struct ZipMap {
    classes: usize,
}

impl Kernel for ZipMap {
    fn parse(attributes: &Attributes) -> TractResult<Self> {
        let strings = attributes.strings("classlabels_strings")?.len();
        match attributes.ints("classlabels_int64s")?.len() + strings {
            0 => bail!("neither classlabels_int64s nor classlabels_strings names the classes"),
            classes => Ok(Self { classes }),
        }
    }

    fn outputs(&self, inputs: &[Port]) -> TractResult<Vec<Port>> {
        let (rows, columns) = only(inputs)?.table()?;
        if columns != self.classes {
            bail!("it names {} classes for {columns} columns", self.classes);
        }
        Ok(vec![Port::new(DatumType::F32, [rows, columns])])
    }

    fn run(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) -> TractResult<()> {
        put(&mut outputs[0], reals(inputs[0])?.iter().copied())
    }
}
