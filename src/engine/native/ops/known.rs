//! Results that follow from shapes and constants: they are written at load.

use super::{Compiled, Entry, Kernel, Kind, Operator, Refusal, Site, Step, malformed, unsupported};
use crate::data::DType;
use crate::engine::native::graph::{Shape, Value};
use crate::engine::native::limits::ARENA_MAX;
use crate::engine::native::memory::Memory;

const PLACES: &[Kind] =
    &[Kind::Float32, Kind::Int8, Kind::Uint8, Kind::Int32, Kind::Int64, Kind::Bool];

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "SHAPE",
        options: 55,
        lower: |_| Ok(Box::new(Known::Shape)),
        kinds: Kind::ANY,
        attributes: &[("out_type", &["int32", "int64"])],
    },
    Entry {
        name: "RANK",
        options: 86,
        lower: |_| Ok(Box::new(Known::Rank)),
        kinds: Kind::ANY,
        attributes: &[],
    },
    Entry {
        name: "RANGE",
        options: 73,
        lower: |_| Ok(Box::new(Known::Range)),
        kinds: &[Kind::Float32, Kind::Int32, Kind::Int64],
        attributes: &[],
    },
    Entry {
        name: "WHERE",
        options: 85,
        lower: |_| Ok(Box::new(Known::Where)),
        kinds: PLACES,
        attributes: &[],
    },
];

/// What is known.
#[derive(Debug)]
pub(super) enum Known {
    /// The lengths of the input's dimensions.
    Shape,
    /// How many dimensions it has.
    Rank,
    /// From the first input up to the second in steps of the third, all constant.
    Range,
    /// The place `[count, rank]` of each element of the constant input that is not zero.
    Where,
}

impl Operator for Known {
    fn shapes(&self, site: &Site<'_>) -> Result<Vec<Shape>, Refusal> {
        let x = site.input(0)?;
        let shape = match self {
            Self::Shape => vec![x.shape.len()],
            Self::Rank => vec![],
            Self::Range => vec![Numbers::of(site)?.count()?],
            Self::Where => vec![ones(x)?.filter(|one| *one).count(), x.shape.len()],
        };
        Ok(vec![shape])
    }

    fn compile(&self, site: &Site<'_>) -> Result<Compiled, Refusal> {
        let (x, y) = (site.input(0)?, site.output()?);
        site.budget.take(y.bytes())?;
        let bytes = match self {
            Self::Shape => integers(y, x.shape.iter().map(|&len| len as i64))?,
            Self::Rank => integers(y, [x.shape.len() as i64])?,
            Self::Range => Numbers::of(site)?.write(y)?,
            Self::Where => {
                let places = (0..x.elements()).zip(ones(x)?).filter(|(_, one)| *one);
                integers(y, places.flat_map(|(at, _)| place(at, &x.shape)))?
            }
        };
        let step = Step::new(Written(bytes), y.elements());
        Ok(Step { reads: Vec::new(), ..step }.into())
    }

    fn only_shapes(&self) -> bool {
        matches!(self, Self::Shape | Self::Rank)
    }
}

/// Bytes of the only output.
#[derive(Debug)]
struct Written(Vec<u8>);

impl Kernel for Written {
    fn run(&self, memory: &mut Memory<'_>) {
        memory.arena[memory.outputs[0].clone()].copy_from_slice(&self.0);
    }
}

/// `numbers` as elements of `y`, which holds as many.
fn integers(y: &Value<'_>, numbers: impl IntoIterator<Item = i64>) -> Result<Vec<u8>, Refusal> {
    let numbers = numbers.into_iter();
    match y.dtype {
        DType::I32 => Ok(numbers.flat_map(|n| (n as i32).to_le_bytes()).collect()),
        DType::I64 => Ok(numbers.flat_map(i64::to_le_bytes).collect()),
        other => Err(unsupported(format!("an output of {other}"))),
    }
}

/// Where element `at` of a tensor of `shape` lies along each axis.
fn place(mut at: usize, shape: &[usize]) -> impl Iterator<Item = i64> {
    let mut place = [0; crate::engine::native::limits::RANK_MAX];
    for (place, &len) in place.iter_mut().zip(shape).rev() {
        *place = (at % len) as i64;
        at /= len;
    }
    place.into_iter().take(shape.len())
}

/// Which elements of a constant are not zero.
fn ones<'v>(x: &'v Value<'_>) -> Result<impl Iterator<Item = bool> + 'v, Refusal> {
    let Some(data) = &x.data else {
        let why = "the input is computed at run time, and the shape of the output depends on it";
        return Err(unsupported(why));
    };
    let width = data.len().checked_div(x.elements()).unwrap_or(1).max(1);
    let real = matches!(x.dtype, DType::F32 | DType::F64);
    let one = move |element: &[u8]| match element.split_last() {
        // Minus zero is zero.
        Some((sign, rest)) if real => sign & 0x7f != 0 || rest.iter().any(|&byte| byte != 0),
        _ => element.iter().any(|&byte| byte != 0),
    };
    Ok(data.chunks_exact(width).map(one))
}

/// Start, limit and step of a range.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Numbers {
    Whole([i64; 3]),
    Real([f32; 3]),
}

impl Numbers {
    fn of(site: &Site<'_>) -> Result<Self, Refusal> {
        if site.input(0)?.dtype != DType::F32 {
            return Ok(Self::Whole([site.integer(0)?, site.integer(1)?, site.integer(2)?]));
        }
        let mut numbers = [0.0; 3];
        for (i, number) in numbers.iter_mut().enumerate() {
            let value = site.input(i)?;
            let data = value.data.as_deref().ok_or_else(|| {
                unsupported("limits computed at run time, on which the length depends")
            })?;
            *number = match data.as_chunks() {
                ([bytes], []) if value.dtype == DType::F32 => f32::from_le_bytes(*bytes),
                _ => return Err(malformed(format!("limit {i} is no single float32"))),
            };
        }
        Ok(Self::Real(numbers))
    }

    /// How many come before the limit: at least one, as no tensor is empty.
    fn count(self) -> Result<usize, Refusal> {
        let wrong = || malformed(format!("a range of {self:?}"));
        let count = match self {
            Self::Whole([start, limit, step]) => {
                let way = i128::from(limit) - i128::from(start);
                let steps = way.checked_div(step.into()).ok_or_else(wrong)?;
                let left = i128::from(way % i128::from(step) != 0);
                usize::try_from(steps + left).ok().filter(|_| (way < 0) == (step < 0))
            }
            Self::Real([start, limit, step]) => {
                let steps = ((limit - start) / step).ceil();
                // `as` saturates, and NaN becomes 0.
                (steps >= 1.0).then_some(steps as usize)
            }
        };
        count.filter(|count| (1..=ARENA_MAX).contains(count)).ok_or_else(wrong)
    }

    /// Each is the one before plus the step, in the tensor's own type, as in LiteRT.
    fn write(self, y: &Value<'_>) -> Result<Vec<u8>, Refusal> {
        match self {
            Self::Whole([start, _, step]) => {
                let next = |n: &i64| Some(n.wrapping_add(step));
                integers(y, std::iter::successors(Some(start), next).take(y.elements()))
            }
            Self::Real([start, _, step]) if y.dtype == DType::F32 => {
                let all = std::iter::successors(Some(start), |x| Some(x + step));
                Ok(all.take(y.elements()).flat_map(f32::to_le_bytes).collect())
            }
            Self::Real(_) => Err(unsupported(format!("an output of {}", y.dtype))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_stop_before_their_limit() {
        let count = |start, limit, step| Numbers::Whole([start, limit, step]).count().ok();
        assert_eq!([count(0, 7, 1), count(10, -3, -4), count(2, 9, 3)], [7, 4, 3].map(Some));
        assert_eq!([count(0, 7, 0), count(0, 7, -1), count(3, 3, 1)], [None; 3]);
        assert_eq!(count(i64::MIN, i64::MAX, 1), None);
        let real = |start, limit, step| Numbers::Real([start, limit, step]).count().ok();
        assert_eq!([real(0.0, 3.0, 0.5), real(1.5, -2.0, -0.75)], [6, 5].map(Some));
        assert_eq!(
            [real(0.0, f32::NAN, 1.0), real(0.0, 1.0, 0.0), real(0.0, 1.0, -1.0)],
            [None; 3]
        );
    }

    #[test]
    fn a_place_is_told_by_axis() {
        assert_eq!(place(7, &[2, 2, 3]).collect::<Vec<_>>(), [1, 0, 1]);
        assert_eq!(place(0, &[]).count(), 0);
    }
}
