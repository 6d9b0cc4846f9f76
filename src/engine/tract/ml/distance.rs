//! `CDist`: distances of each row of one table to each row of another.

use tract_onnx::prelude::{DatumType, TractResult};
use tract_onnx::tract_core::internal::{Tensor, bail};

use super::attributes::Attributes;
use super::kernel::{Kernel, Port, both, put, reals, rows};

/// `[n, columns]` and `[m, columns]` to `[n, m]`. Source: onnxruntime's `ContribOperators.md`.
#[derive(Debug)]
pub(super) struct CDist {
    squared: bool,
}

impl Kernel for CDist {
    fn parse(attributes: &Attributes) -> TractResult<Self> {
        match attributes.string("metric")?.as_deref() {
            None | Some("sqeuclidean") => Ok(Self { squared: true }),
            Some("euclidean") => Ok(Self { squared: false }),
            Some(other) => {
                bail!("attribute metric is {other}: euclidean and sqeuclidean are known")
            }
        }
    }

    fn outputs(&self, inputs: &[Port]) -> TractResult<Vec<Port>> {
        let (a, b) = both(inputs)?;
        let ((n, columns), (m, others)) = (a.table()?, b.table()?);
        if columns != others || a.dtype != DatumType::F32 || b.dtype != DatumType::F32 {
            bail!("its inputs are {:?} {:?} and {:?} {:?}", a.dtype, a.shape, b.dtype, b.shape);
        }
        Ok(vec![Port::new(DatumType::F32, [n, m])])
    }

    fn run(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) -> TractResult<()> {
        let (a, b) = (reals(inputs[0])?, reals(inputs[1])?);
        let columns = inputs[0].shape().last().copied().unwrap_or_default();
        let &[n, m] = outputs[0].shape() else { bail!("its output is no table") };
        let square = |(x, y): (&f32, &f32)| (f64::from(*x) - f64::from(*y)).powi(2);
        let distance = |x: &[f32], y: &[f32]| {
            let sum: f64 = x.iter().zip(y).map(square).sum();
            (if self.squared { sum } else { sum.sqrt() }) as f32
        };
        let all = rows(&a, n, columns).flat_map(|x| rows(&b, m, columns).map(move |y| (x, y)));
        put(&mut outputs[0], all.map(|(x, y)| distance(x, y)))
    }
}
