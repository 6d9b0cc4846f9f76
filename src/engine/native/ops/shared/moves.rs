//! Elements moved about unchanged: boxes of one tensor copied into boxes of another, whatever their type.

use super::super::{Compiled, Kernel, Refusal, Site, Step, malformed, unsupported};
use super::turn::Plane;
use super::walk::dense;
use crate::data::{DType, Quantization};
use crate::engine::native::graph::{Quant, Value, width};
use crate::engine::native::kernels::{Isa, Lookup};
use crate::engine::native::limits::RANK_MAX;
use crate::engine::native::memory::Memory;

/// Axes that a box may have: twice a tensor's, where each is split in two.
const AXES_MAX: usize = 2 * RANK_MAX;

/// Where a box lies in a tensor: its first element, and how far on the next one is along each axis.
#[derive(Clone, Debug)]
pub(in crate::engine::native) struct End {
    pub(in crate::engine::native) start: isize,
    /// In elements; 0 repeats, negative ones go backwards.
    pub(in crate::engine::native) strides: Vec<isize>,
}

impl End {
    /// All of a dense tensor of `shape`.
    pub(in crate::engine::native) fn dense(shape: &[usize]) -> Self {
        let strides = dense(shape).into_iter().map(|stride| stride as isize);
        Self { start: 0, strides: strides.collect() }
    }

    /// Begins `place` elements further along `axis`.
    pub(in super::super) fn skip(&mut self, axis: usize, place: usize) {
        self.start = self.start.wrapping_add(self.strides[axis].wrapping_mul(place as isize));
    }

    /// The lowest and highest element of a box of `shape`, which has one.
    fn reach(&self, shape: &[usize]) -> Option<(isize, isize)> {
        let mut reach = (self.start, self.start);
        for (&len, &stride) in shape.iter().zip(&self.strides) {
            let way = isize::try_from(len - 1).ok()?.checked_mul(stride)?;
            let end = if way < 0 { &mut reach.0 } else { &mut reach.1 };
            *end = end.checked_add(way)?;
        }
        Some(reach)
    }

    fn fits(&self, shape: &[usize], elements: usize) -> bool {
        let reach = self.reach(shape);
        reach.is_some_and(|(low, high)| low >= 0 && high.cast_unsigned() < elements)
    }
}

/// A box copied from an input to an output of the node.
#[derive(Debug)]
pub(in crate::engine::native) struct Move {
    pub(in super::super) input: usize,
    pub(in super::super) output: usize,
    pub(in super::super) shape: Vec<usize>,
    pub(in super::super) from: End,
    pub(in super::super) to: End,
    /// For 8-bit elements: what each becomes, as they lie in the arena.
    pub(in super::super) table: Option<Lookup>,
}

impl Move {
    /// From the first input to the only output, unchanged.
    pub(in crate::engine::native) fn new(shape: Vec<usize>, from: End, to: End) -> Self {
        Self { input: 0, output: 0, shape, from, to, table: None }
    }

    /// The same with as few axes as possible.
    fn simple(self) -> Self {
        let (mut shape, mut from, mut to) = (Vec::new(), Vec::new(), Vec::new());
        for (axis, &len) in self.shape.iter().enumerate().filter(|(_, len)| **len != 1) {
            let by = (self.from.strides[axis], self.to.strides[axis]);
            if let (Some(last), Some(f), Some(t)) =
                (shape.last_mut(), from.last_mut(), to.last_mut())
            {
                let n = len as isize;
                if (*f, *t) == (by.0.wrapping_mul(n), by.1.wrapping_mul(n)) {
                    (*last, *f, *t) = (*last * len, by.0, by.1);
                    continue;
                }
            }
            shape.push(len);
            from.push(by.0);
            to.push(by.1);
        }
        // Axes may come in any order. What is turned is quick where the axis along which one tensor is
        // read lies beside that along which the other is written.
        let turned = from.iter().rposition(|&by| by == 1).filter(|_| to.last() == Some(&1));
        if let Some(axis) = turned.filter(|axis| axis + 2 < shape.len()) {
            let beside = shape.len() - 2;
            shape[axis..=beside].rotate_left(1);
            from[axis..=beside].rotate_left(1);
            to[axis..=beside].rotate_left(1);
        }
        let from = End { strides: from, ..self.from };
        let to = End { strides: to, ..self.to };
        Self { shape, from, to, ..self }
    }

    /// Whether it copies the first `elements` as they are.
    fn is_whole(&self, elements: usize) -> bool {
        let along = match (&self.shape[..], &self.from.strides[..], &self.to.strides[..]) {
            ([], _, _) => elements == 1,
            ([len], [1], [1]) => *len == elements,
            _ => false,
        };
        along && self.table.is_none() && (self.from.start, self.to.start) == (0, 0)
    }

    /// Calls `each` with where every row begins in either tensor; a row is the last axis.
    #[inline(always)]
    fn rows(&self, each: impl FnMut(usize, usize)) {
        self.parts(1, each);
    }

    /// The same for what the last `axes` span.
    #[inline(always)]
    fn parts(&self, axes: usize, mut each: impl FnMut(usize, usize)) {
        let inner = self.shape.len().saturating_sub(axes);
        let mut at = [0; AXES_MAX];
        let (mut from, mut to) = (self.from.start, self.to.start);
        loop {
            each(from.cast_unsigned(), to.cast_unsigned());
            let mut axis = inner;
            loop {
                if axis == 0 {
                    return;
                }
                axis -= 1;
                let by = (self.from.strides[axis], self.to.strides[axis]);
                at[axis] += 1;
                (from, to) = (from + by.0, to + by.1);
                if isize::cast_unsigned(at[axis]) < self.shape[axis] {
                    break;
                }
                (from, to) = (from - by.0 * at[axis], to - by.1 * at[axis]);
                at[axis] = 0;
            }
        }
    }

    /// Length of a row, and its strides in either tensor.
    fn row(&self) -> (usize, [isize; 2]) {
        let steps = [&self.from, &self.to].map(|end| end.strides.last().copied().unwrap_or(1));
        (self.shape.last().copied().unwrap_or(1), steps)
    }

    /// The last two axes, if one is contiguous in the input and the other in the output.
    fn plane(&self) -> Option<Plane> {
        let (&[.., down, across], &[.., 1, from], &[.., to, 1]) =
            (&self.shape[..], &self.from.strides[..], &self.to.strides[..])
        else {
            return None;
        };
        let strides = [usize::try_from(from).ok()?, usize::try_from(to).ok()?];
        Some(Plane { size: [down, across], strides })
    }

    fn copy<const W: usize>(&self, isa: Isa, x: &[[u8; W]], y: &mut [[u8; W]]) {
        match self.plane() {
            Some(plane) if plane.fits::<W>() => {
                return self.parts(2, |from, to| plane.turn(&x[from..], &mut y[to..]));
            }
            Some(plane) if plane.is_woven() && W == 1 => {
                let (x, y) = (x.as_flattened(), y.as_flattened_mut());
                return self.parts(2, |from, to| plane.weave(isa, &x[from..], &mut y[to..]));
            }
            Some(plane) if plane.is_woven() => {
                return self.parts(2, |from, to| plane.weave(isa, &x[from..], &mut y[to..]));
            }
            _ => {}
        }
        let (row, steps) = self.row();
        self.rows(|from, to| match steps {
            [1, 1] => y[to..to + row].copy_from_slice(&x[from..from + row]),
            [0, 1] => y[to..to + row].fill(x[from]),
            [step, 1] if step > 0 => {
                let x = x[from..].iter().step_by(step.cast_unsigned());
                y[to..to + row].iter_mut().zip(x).for_each(|(y, x)| *y = *x);
            }
            [1, step] if step > 0 => {
                let y = y[to..].iter_mut().step_by(step.cast_unsigned());
                y.zip(&x[from..from + row]).for_each(|(y, x)| *y = *x);
            }
            [by, step] => {
                let (mut from, mut to) = (from, to);
                for _ in 0..row {
                    y[to] = x[from];
                    (from, to) = (from.wrapping_add_signed(by), to.wrapping_add_signed(step));
                }
            }
        });
    }

    fn convert(&self, x: &[u8], y: &mut [u8], table: &Lookup) {
        let (row, [by, step]) = self.row();
        self.rows(|mut from, mut to| {
            if [by, step] == [1, 1] {
                return table.apply(&x[from..from + row], &mut y[to..to + row]);
            }
            for _ in 0..row {
                y[to] = table.answer(x[from]);
                (from, to) = (from.wrapping_add_signed(by), to.wrapping_add_signed(step));
            }
        });
    }
}

/// The node's output made of `moves`, over which `fill` lies first: an element of the first output as
/// it lies in the arena, in as many of its bytes as it has. Moves may not be outside their tensors.
pub(in crate::engine::native) fn moved(
    site: &Site<'_>,
    fill: Option<[u8; 8]>,
    moves: Vec<Move>,
) -> Result<Compiled, Refusal> {
    let count = moves.len();
    let mut reads = Vec::new();
    let mut kept = Vec::with_capacity(moves.len());
    let first = site.output_at(0)?;
    let mut work = if fill.is_some() { first.elements() } else { 0 };
    for area in moves {
        let (x, y) = (site.input(area.input)?, site.output_at(area.output)?);
        same_type(x, y)?;
        if area.shape.contains(&0) {
            continue;
        }
        let area = area.simple();
        let shape = &area.shape;
        let fits = area.from.fits(shape, x.elements()) && area.to.fits(shape, y.elements());
        if !fits || shape.len() > AXES_MAX {
            return Err(malformed(format!("{shape:?} of {:?} into {:?}", x.shape, y.shape)));
        }
        let elements = shape.iter().product();
        let free = x.data.is_none() && area.input == 0 && !site.is_state(0);
        let whole = area.is_whole(elements) && x.elements() == elements;
        let alone = count == 1 && site.node.outputs.len() == 1;
        if free && whole && alone && y.elements() == elements {
            return Ok(Compiled::Alias);
        }
        work += elements;
        let input = reads.iter().position(|&read| read == area.input).unwrap_or_else(|| {
            reads.push(area.input);
            reads.len() - 1
        });
        site.budget.take_for::<(Move, [isize; AXES_MAX])>(1)?;
        kept.push(Move { input, ..area });
    }
    let width = width(first.dtype).unwrap_or(1);
    let step = Step::new(Moves { isa: site.isa, width, fill, moves: kept }, work);
    Ok(Step { reads, ..step }.into())
}

/// An error where what is moved would change its type.
pub(in super::super) fn same_type(x: &Value<'_>, y: &Value<'_>) -> Result<(), Refusal> {
    if x.dtype == y.dtype {
        return Ok(());
    }
    Err(malformed(format!("an output of {} for an input of {}", y.dtype, x.dtype)))
}

/// An error where what is moved would get another scale, which LiteRT refuses, too.
pub(in super::super) fn same_meaning(x: &Value<'_>, y: &Value<'_>) -> Result<(), Refusal> {
    if let (Quant::Tensor(from), Quant::Tensor(to)) = (&x.quant, &y.quant)
        && (from.zero_point != to.zero_point
            || (from.scale - to.scale).abs() > 1e-6 * from.scale.abs())
    {
        return Err(unsupported("an output quantized unlike the input"));
    }
    Ok(())
}

/// The same for operators that LiteRT gives to XNNPACK where elements are 8-bit: others it moves as they
/// are.
pub(in super::super) fn same_meaning8(x: &Value<'_>, y: &Value<'_>) -> Result<(), Refusal> {
    if x.dtype == DType::I16 { Ok(()) } else { same_meaning(x, y) }
}

/// Real zero as an element of `value` in the arena, in as many of the bytes as it has.
pub(in super::super) fn zero(value: &Value<'_>) -> [u8; 8] {
    let integer = match value.quant {
        Quant::Tensor(Quantization { zero_point, .. }) => i64::from(zero_point),
        _ => 0,
    };
    match value.dtype {
        // The bytes of 0.0 are those of 0.
        DType::F32 | DType::F64 => [0; 8],
        DType::U8 => (integer ^ 0x80).to_le_bytes(),
        _ => integer.to_le_bytes(),
    }
}

/// The number 0 as an element of `value` in the arena, whatever it stands for.
pub(in super::super) fn nothing(value: &Value<'_>) -> [u8; 8] {
    let flipped = if value.dtype == DType::U8 { 0x80 } else { 0 };
    [flipped, 0, 0, 0, 0, 0, 0, 0]
}

#[derive(Debug)]
struct Moves {
    isa: Isa,
    /// Bytes of an element.
    width: usize,
    /// Written all over the first output before anything else.
    fill: Option<[u8; 8]>,
    /// Their inputs are places among what the step reads.
    moves: Vec<Move>,
}

impl Moves {
    fn of<const W: usize>(&self, memory: &mut Memory<'_>) {
        if let Some(&[element, ..]) = self.fill.as_ref().map(|fill| fill.as_chunks().0) {
            let y = &mut memory.arena[memory.outputs[0].clone()];
            y.as_chunks_mut::<W>().0.fill(element);
        }
        for area in &self.moves {
            let (x, y) = memory.pair(area.input, area.output);
            match &area.table {
                Some(table) => area.convert(x, y, table),
                None => area.copy::<W>(self.isa, x.as_chunks().0, y.as_chunks_mut().0),
            }
        }
    }
}

impl Kernel for Moves {
    fn run(&self, memory: &mut Memory<'_>) {
        match self.width {
            1 => self.of::<1>(memory),
            2 => self.of::<2>(memory),
            4 => self.of::<4>(memory),
            _ => self.of::<8>(memory),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(area: Move, x: &[u8], len: usize) -> Vec<u8> {
        let mut y = vec![0; len];
        area.simple().copy::<1>(Isa::best(), x.as_chunks().0, y.as_chunks_mut().0);
        y
    }

    #[test]
    fn axes_that_follow_one_another_on_both_sides_become_one() {
        let whole = Move::new(vec![2, 1, 3], End::dense(&[2, 1, 3]), End::dense(&[2, 3, 1]));
        assert!(whole.simple().shape == [6]);
        let from = End { start: 0, strides: vec![1, 3] };
        let turned = Move::new(vec![3, 2], from, End::dense(&[3, 2])).simple();
        assert_eq!(turned.shape, [3, 2]);
        let one = Move::new(vec![1, 1], End::dense(&[1, 1]), End::dense(&[1, 1])).simple();
        assert!(one.shape.is_empty() && one.is_whole(1));
    }

    #[test]
    fn strides_turn_reverse_and_repeat() {
        let to = || End::dense(&[3, 2]);
        let turned = End { start: 0, strides: vec![1, 3] };
        assert_eq!(bytes(Move::new(vec![3, 2], turned, to()), b"abcdef", 6), b"adbecf");
        let reversed = End { start: 5, strides: vec![-2, -1] };
        assert_eq!(bytes(Move::new(vec![3, 2], reversed, to()), b"abcdef", 6), b"fedcba");
        let repeated = End { start: 1, strides: vec![1, 0] };
        assert_eq!(bytes(Move::new(vec![3, 2], repeated, to()), b"abcdef", 6), b"bbccdd");
        let spread = End { start: 1, strides: vec![2] };
        assert_eq!(bytes(Move::new(vec![2], End::dense(&[2]), spread), b"xy", 4), b"\0x\0y");
    }

    #[test]
    fn planes_are_turned_whatever_their_size() {
        for [images, down, across] in
            [[1, 16, 16], [2, 17, 40], [3, 35, 16], [2, 5, 70], [2, 70, 3]]
        {
            let x: Vec<u16> = (0..(images * down * across) as u16).collect();
            // From [images, across, down].
            let strides = [across * down, 1, down].map(|stride| stride as isize).to_vec();
            let area = || {
                let shape = vec![images, down, across];
                let to = End::dense(&shape);
                Move::new(shape, End { start: 0, strides: strides.clone() }, to).simple()
            };
            let place = |i: usize| {
                let (image, at) = (i / (down * across), i % (down * across));
                image * across * down + at % across * down + at / across
            };
            let expected: Vec<u16> = (0..x.len()).map(|i| x[place(i)]).collect();
            let mut y = vec![0u16; x.len()];
            let to = bytemuck::cast_slice_mut::<_, [u8; 2]>(&mut y);
            area().copy::<2>(Isa::best(), bytemuck::cast_slice(&x), to);
            assert_eq!(y, expected);
            let bytes: Vec<[u8; 1]> = x.iter().map(|&x| [(x % 251) as u8]).collect();
            let mut y = vec![[0]; x.len()];
            area().copy::<1>(Isa::best(), &bytes, &mut y);
            let expected: Vec<[u8; 1]> = expected.iter().map(|&x| [(x % 251) as u8]).collect();
            assert_eq!(y, expected);
        }
    }

    #[test]
    fn boxes_outside_a_tensor_are_seen() {
        let back = End { start: 2, strides: vec![-1] };
        assert!(back.fits(&[3], 3) && !back.fits(&[4], 3) && !back.fits(&[3], 2));
        let far = End { start: 0, strides: vec![isize::MAX, isize::MAX] };
        assert!(!far.fits(&[2, 2], 1 << 20));
    }
}
