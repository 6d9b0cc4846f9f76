//! Concatenation, also of tensors that are quantized differently.

use super::{Compiled, Kernel, Memory, Operator, Refusal, Site, Step, malformed};
use crate::engine::native::graph::{Shape, width};

/// Along `axis`, any number of inputs.
#[derive(Debug)]
pub(in super::super) struct Concat {
    pub(in super::super) axis: usize,
    /// For each input what its bytes become; none where all are taken as they are.
    pub(in super::super) tables: Vec<Option<Box<[i8; 256]>>>,
}

impl Operator for Concat {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let first = site.input(0)?;
        let mut shape = first.shape.clone();
        let axis = self.axis;
        if axis >= shape.len() {
            return Err(malformed(format!("axis {axis} of a tensor of shape {shape:?}")));
        }
        for input in 1..site.node.inputs.len() {
            let next = site.input(input)?;
            let fits = |(i, (a, b)): (usize, (&usize, &usize))| i == axis || a == b;
            let same = next.shape.len() == shape.len() && next.dtype == first.dtype;
            if !same || !next.shape.iter().zip(&shape).enumerate().all(fits) {
                return Err(malformed(format!("{:?} does not fit beside {shape:?}", next.shape)));
            }
            shape[axis] = shape[axis].saturating_add(next.shape[axis]);
        }
        Ok(vec![shape])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let y = site.output()?;
        let size = width(y.dtype).ok_or_else(|| malformed("elements without a size"))?;
        let inner = y.shape[self.axis + 1..].iter().product::<usize>() * size;
        let count = site.node.inputs.len();
        let lens: Result<Vec<usize>, Refusal> =
            (0..count).map(|i| Ok(site.input(i)?.shape[self.axis] * inner)).collect();
        let tables = self.tables.clone();
        let row = y.shape[self.axis] * inner;
        let step = Step::new(ConcatKernel { row, lens: lens?, tables }, y.elements());
        Ok(Step { reads: (0..count).collect(), ..step }.into())
    }
}

#[derive(Debug)]
struct ConcatKernel {
    /// Bytes of the output for one index of the axes before.
    row: usize,
    /// The same for each input.
    lens: Vec<usize>,
    tables: Vec<Option<Box<[i8; 256]>>>,
}

impl Kernel for ConcatKernel {
    fn run(&self, memory: &mut Memory<'_>) {
        let mut start = 0;
        for (i, &len) in self.lens.iter().enumerate() {
            let (x, y) = memory.pair(i, 0);
            for (x, y) in x.chunks_exact(len).zip(y.chunks_exact_mut(self.row)) {
                let y = &mut y[start..start + len];
                match self.tables.get(i) {
                    Some(Some(table)) => {
                        for (y, &x) in y.iter_mut().zip(x) {
                            *y = table[usize::from(x)].cast_unsigned();
                        }
                    }
                    _ => y.copy_from_slice(x),
                }
            }
            start += len;
        }
    }
}
