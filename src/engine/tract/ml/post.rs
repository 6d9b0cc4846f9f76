//! What classifiers and regressors do with their scores at the end (`post_transform`).

use tract_onnx::prelude::TractResult;
use tract_onnx::tract_core::internal::bail;

use super::attributes::Attributes;

/// A `post_transform`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Post {
    None,
    Logistic,
    Softmax,
    SoftmaxZero,
    Probit,
}

impl Post {
    pub(super) fn parse(attributes: &Attributes) -> TractResult<Self> {
        Ok(match attributes.string("post_transform")?.as_deref() {
            None | Some("NONE") => Self::None,
            Some("LOGISTIC") => Self::Logistic,
            Some("SOFTMAX") => Self::Softmax,
            Some("SOFTMAX_ZERO") => Self::SoftmaxZero,
            Some("PROBIT") => Self::Probit,
            Some(other) => bail!("attribute post_transform is {other}"),
        })
    }

    /// Transforms one row of two or more scores.
    pub(super) fn apply(self, scores: &mut [f32]) {
        match self {
            Self::None => {}
            Self::Logistic => scores.iter_mut().for_each(|score| *score = logistic(*score)),
            Self::Probit => scores.iter_mut().for_each(|score| *score = probit(*score)),
            Self::Softmax => softmax(scores),
            Self::SoftmaxZero => softmax_zero(scores),
        }
    }
}

/// How a single score becomes those of two classes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Second {
    /// `[1 - score, score]`: the score is a probability.
    Complement,
    /// `[-score, score]`, or their logistic.
    Opposite,
    /// There is no second.
    Missing,
}

impl Second {
    /// Writes one or two scores to `to`, of length 1 or 2.
    pub(super) fn put(self, score: f32, post: Post, to: &mut [f32]) {
        let pair = match (self, post) {
            (_, Post::Probit) => [probit(score), 0.0],
            (Self::Missing, _) => [score, 0.0],
            (Self::Complement, _) => [1.0 - score, score],
            (Self::Opposite, Post::Logistic) => [logistic(-score), logistic(score)],
            (Self::Opposite, _) => [-score, score],
        };
        for (to, value) in to.iter_mut().zip(pair) {
            *to = value;
        }
    }
}

/// `1 / (1 + e^-x)`, from the side where nothing overflows.
pub(super) fn logistic(x: f32) -> f32 {
    let positive = 1.0 / (1.0 + libm::expf(-x.abs()));
    if x < 0.0 { 1.0 - positive } else { positive }
}

/// `sqrt(2) * erfinv(2 x - 1)`. Source: S. Winitzki, "A handy approximation for the error function and
/// its inverse" (2008), with a = 0.147 and pi as onnxruntime writes them.
pub(super) fn probit(x: f32) -> f32 {
    const A: f32 = 0.147;
    #[allow(clippy::approx_constant)]
    const PI: f32 = 3.14159;
    let x = 2.0 * x - 1.0;
    let log = libm::logf((1.0 - x) * (1.0 + x));
    let half = 2.0 / (PI * A) + 0.5 * log;
    let root = (-half + (half * half - 1.0 / A * log).sqrt()).sqrt();
    core::f32::consts::SQRT_2 * if x < 0.0 { -root } else { root }
}

fn softmax(scores: &mut [f32]) {
    let largest = scores.iter().copied().fold(-f32::MAX, f32::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = libm::expf(*score - largest);
        sum += *score;
    }
    scores.iter_mut().for_each(|score| *score /= sum);
}

/// Softmax of what is not zero.
fn softmax_zero(scores: &mut [f32]) {
    let largest = scores.iter().copied().fold(-f32::MAX, f32::max);
    let scale = libm::expf(-largest);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        if score.abs() > 1e-7 {
            *score = libm::expf(*score - largest);
            sum += *score;
        } else {
            *score *= scale;
        }
    }
    scores.iter_mut().for_each(|score| *score /= sum);
}
