//! Rows of pixels into the input tensor: a table look-up a value, so that nothing is computed twice.

use super::resize::Row;
use crate::data::{Quantization, Tensor, TensorData, TensorError, TensorSpec, write_real};
use crate::model::{Color, PictureRecipe, Values};

/// What each of the 256 values of each channel of the input becomes.
#[derive(Clone, Debug)]
enum Tables {
    F32(Vec<[f32; 256]>),
    I8(Vec<[i8; 256]>),
    U8(Vec<[u8; 256]>),
}

/// Writes rows into a tensor of one model.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    tables: Tables,
    /// `(x - mean) / std` of each channel, for values between two of the table's.
    means: Vec<(f32, f32)>,
    quantization: Quantization,
    /// Which channel of the row each channel of the input is.
    order: &'static [usize],
    /// Width and height of the input.
    size: [usize; 2],
    planar: bool,
}

impl Writer {
    /// # Errors
    /// When the input's element type is none that takes pixels: float32, int8 or uint8.
    pub(super) fn new(recipe: &PictureRecipe, spec: &TensorSpec) -> Result<Self, TensorError> {
        let order: &[usize] = match recipe.color {
            Color::Rgb => &[0, 1, 2],
            Color::Bgr => &[2, 1, 0],
            Color::Gray => &[0],
        };
        let data = TensorData::zeros(spec.dtype, 256);
        let plain = Quantization { scale: 1.0, zero_point: 0 };
        let (means, quantization) = match &recipe.values {
            Values::Pixels => {
                let zero_point = if matches!(data, TensorData::I8(_)) { -128 } else { 0 };
                (vec![(0.0, 1.0); order.len()], Quantization { scale: 1.0, zero_point })
            }
            Values::Standardised { mean, std } => {
                let means = mean.iter().copied().zip(std.iter().copied()).collect();
                (means, spec.quantization.unwrap_or(plain))
            }
        };
        let column = |&(mean, std): &(f32, f32)| {
            let mut data = data.clone();
            let real: Vec<f32> = (0u8..=255).map(|x| (f32::from(x) - mean) / std).collect();
            write_real(&real, Some(quantization), &mut data)?;
            Ok::<_, TensorError>(data)
        };
        macro_rules! tables {
            ($variant:ident) => {{
                let mut tables = Vec::with_capacity(order.len());
                for means in &means {
                    if let TensorData::$variant(values) = column(means)?
                        && let Ok(table) = values.try_into()
                    {
                        tables.push(table);
                    }
                }
                Tables::$variant(tables)
            }};
        }
        let tables = match data {
            TensorData::F32(_) => tables!(F32),
            TensorData::I8(_) => tables!(I8),
            TensorData::U8(_) => tables!(U8),
            _ => {
                let expected = crate::data::DType::U8;
                return Err(TensorError::DType { expected, found: spec.dtype });
            }
        };
        let size = [recipe.layout.width, recipe.layout.height];
        Ok(Self { tables, means, quantization, order, size, planar: recipe.layout.planar })
    }

    /// Fills the whole input with one pixel.
    ///
    /// # Errors
    /// When the tensor is not the model's.
    pub(super) fn fill(&self, pixel: &[u8], input: &mut Tensor) -> Result<(), TensorError> {
        let row: Vec<u8> = pixel.iter().copied().cycle().take(pixel.len() * self.size[0]).collect();
        (0..self.size[1]).try_for_each(|y| self.row([0, y], Row::Bytes(&row), input))
    }

    /// Writes `row` into the input, its first pixel at column and row `at`.
    ///
    /// # Errors
    /// When the tensor is not the model's.
    pub(super) fn row(
        &self,
        at: [usize; 2],
        row: Row<'_>,
        input: &mut Tensor,
    ) -> Result<(), TensorError> {
        let (length, found) = (self.size[0] * self.size[1] * self.order.len(), input.data().len());
        if found != length {
            return Err(TensorError::Length { shape: vec![length], found });
        }
        let found = input.data().dtype();
        match (&self.tables, input.data_mut()) {
            (Tables::F32(tables), TensorData::F32(out)) => self.put(at, row, tables, |x| x, out),
            (Tables::I8(tables), TensorData::I8(out)) => {
                // `raw` keeps within the limits.
                self.put(at, row, tables, |x| self.quantization.raw(x, -128, 127) as i8, out);
            }
            (Tables::U8(tables), TensorData::U8(out)) => {
                self.put(at, row, tables, |x| self.quantization.raw(x, 0, 255) as u8, out);
            }
            _ => return Err(TensorError::DType { expected: crate::data::DType::U8, found }),
        }
        Ok(())
    }

    fn put<T: Copy>(
        &self,
        [x, y]: [usize; 2],
        row: Row<'_>,
        tables: &[[T; 256]],
        quantized: impl Fn(f32) -> T,
        out: &mut [T],
    ) {
        let ([width, height], n) = (self.size, self.order.len());
        for (c, (&source, table)) in self.order.iter().zip(tables).enumerate() {
            let (first, step) = match self.planar {
                true => (c * width * height + y * width + x, 1),
                false => ((y * width + x) * n + c, n),
            };
            let out = out[first..].iter_mut().step_by(step);
            match row {
                Row::Bytes(bytes) => {
                    let values = bytes[source..].iter().step_by(n);
                    out.zip(values).for_each(|(to, &from)| *to = table[usize::from(from)]);
                }
                Row::Real(real) => {
                    let (mean, std) = self.means[c];
                    let values = real[source..].iter().step_by(n);
                    out.zip(values).for_each(|(to, &from)| *to = quantized((from - mean) / std));
                }
            }
        }
    }
}
