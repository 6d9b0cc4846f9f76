//! Products of matrices, batched and broadcast; real and quantized.

use super::params::{each, floats, signed, turned};
use super::walk::{Walk, broadcast_shape};
use super::{
    Arithmetic, Compiled, Kernel, Memory, Operator, Params, Refusal, Site, Step, Zero, malformed,
    unsupported,
};
use crate::data::DType;
use crate::engine::native::graph::{Shape, Value};
use crate::engine::native::kernels::{Conv, Filters, FloatConv, FloatFilters, Geometry, Output};
use crate::engine::native::ops::packed::{step, take};

/// `[…, m, k]` times `[…, k, n]`. Vectors have to be made matrices before.
#[derive(Debug)]
pub(in super::super) struct MatMul {
    pub(in super::super) arithmetic: Arithmetic,
    /// `[n]`, or none; in steps of the product of both scales.
    pub(in super::super) bias: Vec<i32>,
}

/// The last two dimensions, and those before.
fn split<'a>(value: &'a Value<'_>) -> Result<(&'a [usize], [usize; 2]), Refusal> {
    match value.shape.split_last_chunk::<2>() {
        Some((batch, matrix)) => Ok((batch, *matrix)),
        None => Err(malformed(format!("a matrix of shape {:?}", value.shape))),
    }
}

impl Operator for MatMul {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let (a, b) = (site.input(0)?, site.input(1)?);
        let ((batch_a, [m, k]), (batch_b, [taken, n])) = (split(a)?, split(b)?);
        if k != taken {
            return Err(malformed(format!("{:?} times {:?}", a.shape, b.shape)));
        }
        let mut shape = broadcast_shape(&[batch_a, batch_b])?;
        shape.extend([m, n]);
        Ok(vec![shape])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        if let Some(step) = self.packed(site)? {
            return Ok(step);
        }
        let (a, b, y) = (site.input(0)?, site.input(1)?, site.output()?);
        let ((batch_a, [m, k]), (batch_b, [_, n])) = (split(a)?, split(b)?);
        let (batch, _) = split(y)?;
        let eight = |value: &Value<'_>| matches!(value.dtype, DType::I8 | DType::U8);
        let mut reads = vec![0, 1];
        let columns = |len: usize| len == 1 || len == n;
        let fits = match &self.arithmetic {
            Arithmetic::Real => a.dtype == DType::F32 && b.dtype == DType::F32,
            Arithmetic::Sums { x_zero, w_zero } => {
                let zeros = [x_zero, w_zero].into_iter().filter_map(|zero| match zero {
                    Zero::Input(input) => Some(*input),
                    Zero::Fixed(_) => None,
                });
                reads.extend(zeros);
                let many = |zero: &Zero, fits: &dyn Fn(usize) -> bool| match zero {
                    Zero::Fixed(zeros) => fits(zeros.len()),
                    Zero::Input(input) => {
                        site.optional(*input).is_some_and(|v| v.elements() == 1 && eight(v))
                    }
                };
                many(x_zero, &|len| len == 1) && many(w_zero, &columns) && eight(a) && eight(b)
            }
            Arithmetic::Quantized { w_zero, scales, y: params, .. } => {
                let lists = columns(w_zero.len()) && columns(scales.len());
                lists && eight(a) && eight(b) && params.is_eight() && params.dtype == y.dtype
            }
        };
        if !fits || (!self.bias.is_empty() && self.bias.len() != n) {
            return Err(unsupported(format!("{} times {} to {}", a.dtype, b.dtype, y.dtype)));
        }
        let macs = (y.elements() as u64).saturating_mul(k as u64);
        let walk = Walk::broadcast(
            &[batch, &[1]].concat(),
            [&[batch_a, &[1]].concat(), &[batch_b, &[1]].concat()],
        );
        let (arithmetic, bias) = (self.arithmetic.clone(), self.bias.clone());
        site.budget.take_for::<i32>(bias.len() + 2 * n)?;
        let scratch = if matches!(arithmetic, Arithmetic::Quantized { .. }) { 4 * n } else { 0 };
        let step = Step::new(MatMulKernel { sizes: [m, k, n], walk, arithmetic, bias }, 0);
        let work = macs.saturating_add(y.elements() as u64);
        Ok(Step { reads, scratch, macs, work, ..step }.into())
    }
}

impl MatMul {
    /// Times one constant matrix, on the kernels of the instruction set; `None` for all others.
    fn packed(&self, site: &Site<'_>) -> Result<Option<Compiled>, Refusal> {
        let (a, b, y) = (site.input(0)?, site.input(1)?, site.output()?);
        let ((batch, [k, n]), Some(data)) = (split(b)?, b.data.as_deref()) else {
            return Ok(None);
        };
        if batch.iter().any(|&size| size != 1) || !(self.bias.is_empty() || self.bias.len() == n) {
            return Ok(None);
        }
        let geometry = Geometry::rows(a.elements() / k, k);
        match &self.arithmetic {
            Arithmetic::Real if a.dtype == DType::F32 && b.dtype == DType::F32 => {
                take(site, FloatConv::bytes_max(&geometry, n))?;
                site.budget.take_for::<f32>(2 * b.elements() + n)?;
                let (weights, bias) = (turned(&floats(data), n), vec![0.0; n]);
                let bounds = [f32::NEG_INFINITY, f32::INFINITY];
                let filters = FloatFilters { weights: &weights, bias: &bias, bounds };
                step(site, k, FloatConv::new(site.isa, geometry, filters)).map(Some)
            }
            Arithmetic::Quantized { x_zero, w_zero, scales, y: params }
                if Arithmetic::is_packable(w_zero, scales, n)
                    && [a, b, y].iter().all(|v| matches!(v.dtype, DType::I8 | DType::U8))
                    && params.dtype == y.dtype =>
            {
                take(site, Conv::bytes_max(&geometry, n))?;
                site.budget.take(2 * b.elements() + 8 * n)?;
                let weights = turned(&signed(data, b.dtype), n);
                let bias = if self.bias.is_empty() { vec![0; n] } else { self.bias.clone() };
                let filters = Filters {
                    weights: &weights,
                    bias: &bias,
                    scales: &each(scales, n),
                    zero_point: w_zero[0],
                    input_zero_point: *x_zero,
                };
                let output = Output::new(params.arena_zero(), -128, 127);
                step(site, k, Conv::new(site.isa, geometry, filters, output)).map(Some)
            }
            _ => Ok(None),
        }
    }
}

#[derive(Debug)]
struct MatMulKernel {
    sizes: [usize; 3],
    walk: Walk<2>,
    arithmetic: Arithmetic,
    bias: Vec<i32>,
}

impl MatMulKernel {
    /// One row of sums.
    #[inline]
    fn row(&self, a: &[i8], b: &[i8], x_zero: i32, w_zero: &[i32], sums: &mut [i32]) {
        if self.bias.is_empty() {
            sums.fill(0)
        } else {
            sums.copy_from_slice(&self.bias)
        }
        for (&a, b) in a.iter().zip(b.chunks_exact(sums.len())) {
            let a = i32::from(a) - x_zero;
            if let [zero] = w_zero {
                for (sum, &b) in sums.iter_mut().zip(b) {
                    *sum = sum.wrapping_add(a * (i32::from(b) - zero));
                }
            } else {
                for ((sum, &b), zero) in sums.iter_mut().zip(b).zip(w_zero) {
                    *sum = sum.wrapping_add(a * (i32::from(b) - zero));
                }
            }
        }
    }

    /// Calls `each` with the matrices of every batch: places in both inputs and the output.
    fn batches(&self, mut each: impl FnMut(usize, usize, usize)) {
        let [m, k, n] = self.sizes;
        self.walk.elements(|number, [a, b]| each(a * m * k, b * k * n, number * m * n));
    }

    fn sums(&self, memory: &mut Memory<'_>, x_zero: &Zero, w_zero: &Zero) {
        let [m, k, n] = self.sizes;
        // A zero point of one byte, as it lies in the arena.
        let run = |bytes: &[u8]| bytes.first().map_or(0, |&b| i32::from(b.cast_signed()));
        let ([a, b, first, second], [y], _) = match memory.inputs() {
            2 => {
                let ([a, b], y, scratch) = memory.parts();
                ([a, b, &[][..], &[][..]], y, scratch)
            }
            3 => {
                let ([a, b, zero], y, scratch) = memory.parts();
                ([a, b, zero, zero], y, scratch)
            }
            _ => memory.parts(),
        };
        let x_zero = match x_zero {
            Zero::Fixed(zeros) => zeros[0],
            Zero::Input(_) => run(first),
        };
        let held;
        let w_zero = match w_zero {
            Zero::Fixed(zeros) => &zeros[..],
            Zero::Input(_) => {
                held = [run(second)];
                &held
            }
        };
        let [a, b] = [a, b].map(bytemuck::cast_slice::<u8, i8>);
        let y = bytemuck::cast_slice_mut::<u8, i32>(y);
        self.batches(|at_a, at_b, at_y| {
            let rows = a[at_a..][..m * k].chunks_exact(k);
            for (a, y) in rows.zip(y[at_y..][..m * n].chunks_exact_mut(n)) {
                self.row(a, &b[at_b..][..k * n], x_zero, w_zero, y);
            }
        });
    }

    fn quantized(
        &self,
        memory: &mut Memory<'_>,
        x_zero: i32,
        w_zero: &[i32],
        scales: &[f32],
        params: Params,
    ) {
        let [m, k, n] = self.sizes;
        let ([a, b], [y], scratch) = memory.parts();
        let [a, b] = [a, b].map(bytemuck::cast_slice::<u8, i8>);
        let sums = bytemuck::cast_slice_mut::<u8, i32>(scratch);
        self.batches(|at_a, at_b, at_y| {
            let rows = a[at_a..][..m * k].chunks_exact(k);
            for (a, y) in rows.zip(y[at_y..][..m * n].chunks_exact_mut(n)) {
                self.row(a, &b[at_b..][..k * n], x_zero, w_zero, sums);
                for (j, (y, &sum)) in y.iter_mut().zip(&*sums).enumerate() {
                    let scale = if scales.len() == 1 { scales[0] } else { scales[j] };
                    *y = params.store(sum as f32 * scale) as u8;
                }
            }
        });
    }

    fn real(&self, memory: &mut Memory<'_>) {
        let [m, k, n] = self.sizes;
        let (a, b, y) = memory.binary::<f32, f32>();
        self.batches(|at_a, at_b, at_y| {
            let rows = a[at_a..][..m * k].chunks_exact(k);
            for (a, y) in rows.zip(y[at_y..][..m * n].chunks_exact_mut(n)) {
                y.fill(0.0);
                for (&a, b) in a.iter().zip(b[at_b..][..k * n].chunks_exact(n)) {
                    for (y, &b) in y.iter_mut().zip(b) {
                        *y += a * b;
                    }
                }
            }
        });
    }
}

impl Kernel for MatMulKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        match &self.arithmetic {
            Arithmetic::Real => self.real(memory),
            Arithmetic::Sums { x_zero, w_zero } => self.sums(memory, x_zero, w_zero),
            Arithmetic::Quantized { x_zero, w_zero, scales, y } => {
                self.quantized(memory, *x_zero, w_zero, scales, *y);
            }
        }
    }
}
