//! A classifier's class names: numbers or text.

use tract_onnx::prelude::{DatumType, TractResult};
use tract_onnx::tract_core::internal::{Tensor, bail};

use super::attributes::Attributes;

/// Names of the classes, in the order of their scores.
#[derive(Debug)]
pub(super) enum Labels {
    Ints(Vec<i64>),
    Strings(Vec<String>),
}

impl Labels {
    /// From the attribute `ints` or `classlabels_strings`; one of them must have something.
    pub(super) fn parse(attributes: &Attributes, ints: &str) -> TractResult<Self> {
        let numbers = attributes.ints(ints)?;
        let strings = attributes.strings("classlabels_strings")?;
        match (numbers.is_empty(), strings.is_empty()) {
            (false, true) => Ok(Self::Ints(numbers.to_vec())),
            (true, false) => Ok(Self::Strings(strings)),
            _ => bail!("exactly one of {ints} and classlabels_strings must name the classes"),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Ints(labels) => labels.len(),
            Self::Strings(labels) => labels.len(),
        }
    }

    pub(super) fn dtype(&self) -> DatumType {
        match self {
            Self::Ints(_) => DatumType::I64,
            Self::Strings(_) => DatumType::String,
        }
    }

    /// Writes the labels of `classes`; a class beyond the labels is its number.
    pub(super) fn put(&self, classes: &[usize], output: &mut Tensor) -> TractResult<()> {
        let mut output = output.try_as_plain_ram_mut()?;
        match self {
            Self::Ints(labels) => {
                for (to, &class) in output.as_slice_mut::<i64>()?.iter_mut().zip(classes) {
                    *to = labels.get(class).copied().unwrap_or(class as i64);
                }
            }
            Self::Strings(labels) => {
                for (to, &class) in output.as_slice_mut::<String>()?.iter_mut().zip(classes) {
                    *to = labels.get(class).cloned().unwrap_or_else(|| class.to_string());
                }
            }
        }
        Ok(())
    }
}

/// The first of the largest.
pub(super) fn largest(scores: &[f32]) -> usize {
    let mut best = 0;
    for (at, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = at;
        }
    }
    best
}
