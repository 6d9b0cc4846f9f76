//! A session's working memory, and one step's view of it.

use std::ops::Range;

use bytemuck::Pod;

use super::limits::Fuel;
use super::plan::ALIGN;
use super::pool::{Crew, Others, View, ViewMut};
use crate::data::{Tensor, TensorData};
use crate::engine::{EngineError, EngineKind};

/// Where a tensor lies in the arena.
pub(super) type Span = Range<usize>;

/// Where an input of a step lies, or one of the program's inputs or outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the session's arena.
    Arena(Span),
    /// Among the program's constants.
    Constant(Span),
    /// This input of the run, where the caller has it.
    Input(usize),
}

/// The bytes of what a caller has, which are the arena's for all types but [`DType::U8`].
///
/// [`DType::U8`]: crate::data::DType::U8
pub(super) fn given(tensor: &Tensor) -> &[u8] {
    match tensor.data() {
        TensorData::U8(values) => values,
        TensorData::I8(values) => bytemuck::cast_slice(values),
        TensorData::I16(values) => bytemuck::cast_slice(values),
        TensorData::I32(values) => bytemuck::cast_slice(values),
        TensorData::I64(values) => bytemuck::cast_slice(values),
        TensorData::F32(values) => bytemuck::cast_slice(values),
        TensorData::F64(values) => bytemuck::cast_slice(values),
        TensorData::Bool(values) => bytemuck::cast_slice(values),
        // No signature of a program has them.
        TensorData::Str(_) => &[],
    }
}

/// Where `place` is in the arena; the bytes there if it is outside.
#[inline(always)]
fn find<'p, 'm>(
    place: &'p Place,
    constants: &'m [u8],
    tensors: &'m [Tensor],
) -> Result<&'p Span, &'m [u8]> {
    match place {
        Place::Arena(span) => Ok(span),
        Place::Constant(span) => Err(&constants[span.clone()]),
        Place::Input(input) => Err(given(&tensors[*input])),
    }
}

/// Zeroed bytes that begin at a multiple of [`ALIGN`].
#[derive(Debug)]
pub(super) struct Arena {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl Arena {
    /// An arena of `len` bytes.
    pub(super) fn new(len: usize) -> Result<Self, EngineError> {
        let mut bytes: Vec<u8> = Vec::new();
        bytes.try_reserve_exact(len + ALIGN).map_err(|source| EngineError::Run {
            engine: EngineKind::Native,
            why: format!("no memory for {len} bytes: {source}"),
        })?;
        bytes.resize(len + ALIGN, 0);
        let start = bytes.as_ptr().align_offset(ALIGN).min(ALIGN);
        Ok(Self { bytes, start, len })
    }

    /// All of it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.len]
    }

    /// All of it, to be written.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len]
    }
}

/// What one step may touch: its inputs, outputs and scratch.
///
/// The inputs are those that [`Step::reads`](super::ops::Step) names, in that order; the outputs are
/// the node's, followed by the states that [`Step::updates`](super::ops::Step) names.
#[derive(Debug)]
pub(super) struct Memory<'a> {
    pub(super) arena: &'a mut [u8],
    pub(super) constants: &'a [u8],
    /// The run's inputs, where the caller has them.
    pub(super) given: &'a [Tensor],
    pub(super) inputs: &'a [Place],
    pub(super) outputs: &'a [Span],
    pub(super) scratch: &'a Span,
    pub(super) fuel: &'a Fuel,
    /// Who may run the programs within the step.
    pub(super) crew: &'a Crew<'a>,
}

/// The same for a step that the threads of a walk do together, each with its own.
#[derive(Debug)]
pub(super) struct SharedMemory<'a> {
    pub(super) arena: ViewMut<'a, u8>,
    pub(super) constants: &'a [u8],
    pub(super) given: &'a [Tensor],
    pub(super) inputs: &'a [Place],
    pub(super) outputs: &'a [Span],
    pub(super) scratch: &'a Span,
}

/// Why the ranges of a step can be borrowed together.
const APART: &str = "the planner keeps a step's tensors apart";

/// The parts of a step's memory as bytes; see [`Memory::parts`].
pub(super) type Parts<'m, const N: usize, const M: usize> =
    ([&'m [u8]; N], [&'m mut [u8]; M], &'m mut [u8]);

impl Memory<'_> {
    /// What lies at `place`.
    pub(super) fn bytes(&self, place: &Place) -> &[u8] {
        match find(place, self.constants, self.given) {
            Ok(span) => &self.arena[span.clone()],
            Err(bytes) => bytes,
        }
    }

    /// Copies what lies at `place` to `to` and after it in the arena.
    pub(super) fn copy(&mut self, place: &Place, to: usize) {
        match find(place, self.constants, self.given) {
            Ok(span) => self.arena.copy_within(span.clone(), to),
            Err(from) => self.arena[to..][..from.len()].copy_from_slice(from),
        }
    }

    /// For a kernel that threads may do together.
    pub(super) fn shared(&mut self) -> SharedMemory<'_> {
        let Self { constants, given, inputs, outputs, scratch, .. } = *self;
        let arena = ViewMut::new(self.arena);
        SharedMemory { arena, constants, given, inputs, outputs, scratch }
    }

    /// Number of inputs.
    pub(super) fn inputs(&self) -> usize {
        self.inputs.len()
    }

    /// The first `N` inputs, the first `M` outputs and the scratch. At most 15 together.
    ///
    /// Must not be used where an output may lie over an input: see [`Memory::map`].
    pub(super) fn parts<const N: usize, const M: usize>(&mut self) -> Parts<'_, N, M> {
        if N + M < 4 { self.split::<N, M, 4>() } else { self.split::<N, M, 16>() }
    }

    /// [`Memory::parts`] over `K` ranges of the arena: the outputs, the scratch, the inputs.
    #[inline]
    fn split<const N: usize, const M: usize, const K: usize>(&mut self) -> Parts<'_, N, M> {
        let mut spans: [Span; K] = std::array::from_fn(|_| 0..0);
        spans[..M].clone_from_slice(&self.outputs[..M]);
        spans[M] = self.scratch.clone();
        // Inputs may be one tensor: then the first borrows it and the others look there.
        let mut of: [usize; N] = [0; N];
        for i in 0..N {
            let Place::Arena(span) = &self.inputs[i] else { continue };
            let same = (0..i).find(|&j| self.inputs[j] == self.inputs[i]);
            of[i] = same.map_or(M + 1 + i, |j| of[j]);
            if same.is_none() {
                spans[M + 1 + i] = span.clone();
            }
        }
        let mut parts = self.arena.get_disjoint_mut(spans).expect(APART).into_iter();
        let outputs = std::array::from_fn(|_| parts.next().expect(APART));
        let scratch = parts.next().expect(APART);
        let mut shared: [&[u8]; N] = [&[]; N];
        for (shared, part) in shared.iter_mut().zip(parts) {
            *shared = part;
        }
        let inputs = std::array::from_fn(|i| {
            let outside = find(&self.inputs[i], self.constants, self.given).err();
            outside.unwrap_or_else(|| shared[of[i] - M - 1])
        });
        (inputs, outputs, scratch)
    }

    /// Input `i` and output `o`, which are apart: for operators with any number of either.
    pub(super) fn pair(&mut self, i: usize, o: usize) -> (&[u8], &mut [u8]) {
        let y = self.outputs[o].clone();
        match find(&self.inputs[i], self.constants, self.given) {
            Ok(x) => {
                let [x, y] = self.arena.get_disjoint_mut([x.clone(), y]).expect(APART);
                (x, y)
            }
            Err(x) => (x, &mut self.arena[y]),
        }
    }

    /// The input and the output of a step that has one of each.
    pub(super) fn unary<X: Pod, Y: Pod>(&mut self) -> (&[X], &mut [Y]) {
        let (x, y) = self.pair(0, 0);
        (bytemuck::cast_slice(x), bytemuck::cast_slice_mut(y))
    }

    /// Two inputs, which may be one tensor, and the output.
    pub(super) fn binary<X: Pod, Y: Pod>(&mut self) -> (&[X], &[X], &mut [Y]) {
        self.binary_of()
    }

    /// The same where the inputs differ in their types.
    pub(super) fn binary_of<A: Pod, B: Pod, Y: Pod>(&mut self) -> (&[A], &[B], &mut [Y]) {
        let ([a, b], [y], _) = self.parts();
        (bytemuck::cast_slice(a), bytemuck::cast_slice(b), bytemuck::cast_slice_mut(y))
    }

    /// The step's output, when it lies over its first input ([`Step::in_place`](super::ops::Step)).
    pub(super) fn over_first(&mut self) -> Option<&mut [u8]> {
        let y = self.outputs[0].clone();
        (self.inputs[0] == Place::Arena(y.clone())).then(|| &mut self.arena[y])
    }

    /// `y[i] = f(x[i])`, also where the output lies over the input. `X` and `Y` are equally wide
    /// wherever that may be.
    #[inline(always)]
    pub(super) fn map<X: Pod, Y: Pod>(&mut self, f: impl Fn(X) -> Y) {
        if let Some(both) = self.over_first() {
            for value in bytemuck::cast_slice_mut::<u8, X>(both) {
                *value = bytemuck::cast(f(*value));
            }
            return;
        }
        let (x, y) = self.unary::<X, Y>();
        for (y, &x) in y.iter_mut().zip(x) {
            *y = f(x);
        }
    }
}

impl<'a> SharedMemory<'a> {
    /// The input, the output and the scratch of a step that has one of each.
    #[inline(always)]
    pub(super) fn unary<X: Pod, Y: Pod, S: Pod>(
        self,
    ) -> (View<'a, X>, ViewMut<'a, Y>, ViewMut<'a, S>) {
        let Self { arena, constants, given, inputs, outputs, scratch } = self;
        let ([y, scratch], others) = arena.apart([outputs[0].clone(), scratch.clone()]);
        let x = view(&inputs[0], constants, given, &others);
        (x.cast(), y.cast(), scratch.cast())
    }

    /// Two inputs, which may be one tensor, and the output.
    pub(super) fn binary<A: Pod, B: Pod, Y: Pod>(
        self,
    ) -> (View<'a, A>, View<'a, B>, ViewMut<'a, Y>) {
        let Self { arena, constants, given, inputs, outputs, .. } = self;
        let ([y, _], others) = arena.apart([outputs[0].clone(), 0..0]);
        let [a, b] = [0, 1].map(|i| view(&inputs[i], constants, given, &others));
        (a.cast(), b.cast(), y.cast())
    }
}

/// What lies at `place`, in the arena among `others`.
#[inline(always)]
fn view<'a>(
    place: &Place,
    constants: &'a [u8],
    given: &'a [Tensor],
    others: &Others<'a, u8>,
) -> View<'a, u8> {
    find(place, constants, given).map_or_else(View::new, |x| others.view(x.clone()))
}
