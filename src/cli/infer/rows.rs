//! Arrays become runs of the model: types are matched, rows counted, outputs stacked.

use anyhow::{Context, anyhow, bail, ensure};

use crate::data::{DType, Signature, Tensor, TensorData, TensorSpec, read_real, write_real};
use crate::engine::Model;

/// What the numbers in the caller's arrays are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// The model's own, raw integers where it is quantized.
    Raw,
    /// Real values, quantized and dequantized on the way.
    Real,
}

/// Input data of one or many runs.
#[derive(Debug)]
pub(crate) struct Batch {
    inputs: Vec<Rows>,
    /// `None`: the arrays are one run's.
    rows: Option<usize>,
    /// Whether rows took the place of a leading dimension of 1, so that outputs do likewise.
    in_place: bool,
}

/// One input's data for all rows.
#[derive(Debug)]
struct Rows {
    data: TensorData,
    /// The same data is used for every row.
    is_shared: bool,
}

impl Batch {
    /// Matches `tensors` to the inputs, in order.
    pub(crate) fn new(
        tensors: &[Tensor],
        signature: &Signature,
        numbers: Numbers,
    ) -> anyhow::Result<Self> {
        let mut batch = Self { inputs: Vec::new(), rows: None, in_place: true };
        for (tensor, spec) in tensors.iter().zip(&signature.inputs) {
            let about = || format!("input {}", spec.name);
            let layout = layout(tensor.shape(), &spec.shape).with_context(about)?;
            if let Layout::Stacked { rows } | Layout::InPlace { rows } = layout {
                if let Some(others) = batch.rows.replace(rows).filter(|&others| others != rows) {
                    bail!("input {} has {rows} rows, an input before it has {others}", spec.name);
                }
                batch.in_place &= matches!(layout, Layout::InPlace { .. });
            }
            let data = convert(tensor.data(), spec, numbers).with_context(about)?;
            batch.inputs.push(Rows { data, is_shared: layout == Layout::Single });
        }
        Ok(batch)
    }

    /// How many rows are run; `None` where the arrays have exactly the model's shapes.
    pub(crate) fn rows(&self) -> Option<usize> {
        self.rows
    }

    /// Inputs of row `row`, in the signature's order.
    pub(crate) fn inputs(&self, row: usize, signature: &Signature) -> anyhow::Result<Vec<Tensor>> {
        let each = self.inputs.iter().zip(&signature.inputs).map(|(input, spec)| {
            let start = if input.is_shared { 0 } else { row * spec.elements() };
            let data = input.data.slice(start, start + spec.elements());
            Ok(Tensor::new(spec.shape.clone(), data)?)
        });
        each.collect()
    }

    /// Runs every row in one session and gives each output, stacked.
    pub(crate) fn run(&self, model: &dyn Model, numbers: Numbers) -> anyhow::Result<Vec<Tensor>> {
        let signature = model.signature();
        let mut session = model.session()?;
        let mut outputs: Vec<Tensor> = signature.outputs.iter().map(Tensor::zeros).collect();
        let mut stacked: Vec<TensorData> =
            signature.outputs.iter().map(|spec| TensorData::zeros(spec.dtype, 0)).collect();
        for row in 0..self.rows.unwrap_or(1) {
            let inputs = self.inputs(row, signature)?;
            session.infer(&inputs, &mut outputs).with_context(|| format!("row {row}"))?;
            for (all, output) in stacked.iter_mut().zip(&outputs) {
                all.extend(output.data())?;
            }
        }
        let each = stacked.into_iter().zip(&signature.outputs).map(|(data, spec)| {
            let data = match (numbers, spec.quantization) {
                (Numbers::Real, Some(_)) => {
                    let mut real = vec![0.0; data.len()];
                    read_real(&data, spec.quantization, &mut real)?;
                    TensorData::F32(real)
                }
                _ => data,
            };
            Ok(Tensor::new(self.output_shape(&spec.shape), data)?)
        });
        each.collect()
    }

    fn output_shape(&self, shape: &[usize]) -> Vec<usize> {
        let Some(rows) = self.rows else { return shape.to_vec() };
        let rest = if self.in_place { shape.strip_prefix(&[1]).unwrap_or(shape) } else { shape };
        [&[rows], rest].concat()
    }
}

/// How an array's shape fits an input's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// Exactly.
    Single,
    /// One more leading dimension.
    Stacked { rows: usize },
    /// Another length where the input's leading one is 1.
    InPlace { rows: usize },
}

fn layout(found: &[usize], wanted: &[usize]) -> anyhow::Result<Layout> {
    if found == wanted {
        return Ok(Layout::Single);
    }
    match (found, wanted) {
        ([rows, rest @ ..], _) if rest == wanted => Ok(Layout::Stacked { rows: *rows }),
        ([rows, rest @ ..], [1, wanted @ ..]) if rest == wanted => {
            Ok(Layout::InPlace { rows: *rows })
        }
        _ => Err(anyhow!(
            "the array's shape is {found:?}, the model takes {wanted:?}, or rows of it"
        )),
    }
}

/// `data` as the model's type; only what changes no value, but for float64 rounded to float32.
fn convert(data: &TensorData, spec: &TensorSpec, numbers: Numbers) -> anyhow::Result<TensorData> {
    let (from, to) = (data.dtype(), spec.dtype);
    if numbers == Numbers::Real && spec.quantization.is_some() {
        let mut real = vec![0.0; data.len()];
        read_real(data, None, &mut real)?;
        let mut out = TensorData::zeros(to, data.len());
        write_real(&real, spec.quantization, &mut out)?;
        return Ok(out);
    }
    if from == to {
        return Ok(data.clone());
    }
    let is_float = |dtype| matches!(dtype, DType::F32 | DType::F64);
    let is_number = |dtype| !matches!(dtype, DType::Bool | DType::Str);
    let hint = match (is_float(from), spec.quantization) {
        (true, Some(_)) => ": give its raw values, or real ones with --float",
        _ => "",
    };
    ensure!(
        is_number(from) && is_number(to) && (is_float(to) || !is_float(from)),
        "the array is {from}, the model takes {to}{hint}"
    );
    let values = data.to_f64().unwrap_or_default();
    if to == DType::F32 {
        return Ok(TensorData::F32(values.iter().map(|&value| value as f32).collect()));
    }
    if to == DType::F64 {
        return Ok(TensorData::F64(values));
    }
    let integers: Vec<i64> = match data {
        TensorData::I64(values) => values.clone(),
        // Narrower integers are exact in f64.
        _ => values.iter().map(|&value| value as i64).collect(),
    };
    macro_rules! narrowed {
        ($variant:ident, $type:ty) => {{
            let narrow = integers.iter().enumerate().map(|(index, &value)| {
                <$type>::try_from(value)
                    .map_err(|_| anyhow!("element {index} is {value}, which {to} cannot hold"))
            });
            TensorData::$variant(narrow.collect::<Result<_, _>>()?)
        }};
    }
    Ok(match to {
        DType::I8 => narrowed!(I8, i8),
        DType::U8 => narrowed!(U8, u8),
        DType::I16 => narrowed!(I16, i16),
        DType::I32 => narrowed!(I32, i32),
        _ => TensorData::I64(integers),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Quantization;

    fn spec(dtype: DType, shape: &[usize]) -> TensorSpec {
        TensorSpec { name: "x".into(), dtype, shape: shape.to_vec(), quantization: None }
    }

    fn error(result: anyhow::Result<impl std::fmt::Debug>) -> String {
        format!("{:#}", result.unwrap_err())
    }

    #[test]
    fn shapes_are_one_run_or_rows_of_runs() {
        assert_eq!(layout(&[1, 4, 2], &[1, 4, 2]).unwrap(), Layout::Single);
        assert_eq!(layout(&[7, 1, 4, 2], &[1, 4, 2]).unwrap(), Layout::Stacked { rows: 7 });
        assert_eq!(layout(&[7, 4, 2], &[1, 4, 2]).unwrap(), Layout::InPlace { rows: 7 });
        assert_eq!(layout(&[0, 4, 2], &[1, 4, 2]).unwrap(), Layout::InPlace { rows: 0 });
        assert_eq!(layout(&[3, 2], &[2]).unwrap(), Layout::Stacked { rows: 3 });
        assert!(layout(&[7, 4, 3], &[1, 4, 2]).is_err());
        assert!(layout(&[4, 2], &[1, 4, 2]).is_err());
        assert!(layout(&[3], &[2]).is_err());
    }

    #[test]
    fn raw_integers_pass_and_wrong_ones_are_named() {
        let i8s = spec(DType::I8, &[2]);
        let wide = TensorData::I64(vec![-128, 127]);
        assert_eq!(convert(&wide, &i8s, Numbers::Raw).unwrap(), TensorData::I8(vec![-128, 127]));
        let wide = TensorData::I64(vec![0, 128]);
        assert_eq!(
            error(convert(&wide, &i8s, Numbers::Raw)),
            "element 1 is 128, which int8 cannot hold"
        );
        let quantization = Some(Quantization { scale: 0.5, zero_point: 1 });
        let quantized = TensorSpec { quantization, ..i8s };
        let real = TensorData::F32(vec![1.0, 2.0]);
        assert_eq!(
            error(convert(&real, &quantized, Numbers::Raw)),
            "the array is float32, the model takes int8: give its raw values, or real ones with --float"
        );
        assert_eq!(convert(&real, &quantized, Numbers::Real).unwrap(), TensorData::I8(vec![3, 5]));
    }

    #[test]
    fn float64_is_what_numpy_gives_and_float32_what_models_take() {
        let data = TensorData::F64(vec![0.1]);
        let found = convert(&data, &spec(DType::F32, &[1]), Numbers::Raw).unwrap();
        assert_eq!(found, TensorData::F32(vec![0.1]));
        let strings = TensorData::Str(vec!["a".into()]);
        assert_eq!(
            error(convert(&strings, &spec(DType::F32, &[1]), Numbers::Raw)),
            "the array is str, the model takes float32"
        );
    }

    #[test]
    fn inputs_must_agree_on_their_rows() {
        let signature = Signature {
            inputs: vec![spec(DType::I8, &[1]), spec(DType::I8, &[1])],
            outputs: vec![],
        };
        let rows = |n: usize| Tensor::new(vec![n], TensorData::I8(vec![0; n])).unwrap();
        let error = error(Batch::new(&[rows(3), rows(2)], &signature, Numbers::Raw));
        assert_eq!(error, "input x has 2 rows, an input before it has 3");
        // One that has the model's own shape is given to every row.
        let batch = Batch::new(&[rows(3), rows(1)], &signature, Numbers::Raw).unwrap();
        assert_eq!(batch.rows(), Some(3));
    }
}
