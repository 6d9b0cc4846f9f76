//! Ensembles of decision trees: `TreeEnsembleClassifier` and `TreeEnsembleRegressor`.

mod ensemble;
mod parse;

use tract_onnx::prelude::{DatumType, TractResult};
use tract_onnx::tract_core::internal::{Tensor, bail};

use self::ensemble::{Aggregate, Ensemble, Feature, Score};
use super::attributes::Attributes;
use super::kernel::{Kernel, Port, only, reals, slice};
use super::labels::Labels;
use super::post::{Post, Second};

/// `[rows, columns]` to `[rows, targets]`.
#[derive(Debug)]
pub(super) struct TreeRegressor {
    ensemble: Ensemble,
    base: Vec<f32>,
    post: Post,
}

/// Rows of a table that has all columns which the trees look at.
fn check(ensemble: &Ensemble, input: &Port) -> TractResult<usize> {
    let (rows, columns) = input.table()?;
    if columns < ensemble.columns {
        bail!("its input has {columns} columns, its trees look at {}", ensemble.columns);
    }
    Ok(rows)
}

/// Calls back with the rows of a table of either precision.
fn each_row(
    ensemble: &Ensemble,
    input: &Tensor,
    rows: usize,
    scores: &mut [Score],
    row: impl FnMut(usize, &mut [Score]),
) -> TractResult<()> {
    if input.datum_type() == DatumType::F64 {
        walk(ensemble, slice::<f64>(input)?, rows, scores, row);
    } else {
        walk(ensemble, &reals(input)?, rows, scores, row);
    }
    Ok(())
}

fn walk<T: Feature>(
    ensemble: &Ensemble,
    values: &[T],
    rows: usize,
    scores: &mut [Score],
    mut row: impl FnMut(usize, &mut [Score]),
) {
    let columns = values.len().checked_div(rows).unwrap_or_default();
    for at in 0..rows {
        ensemble.score(&values[at * columns..(at + 1) * columns], scores);
        row(at, scores);
    }
}

impl Kernel for TreeRegressor {
    fn parse(attributes: &Attributes) -> TractResult<Self> {
        let targets = attributes.int("n_targets")?.unwrap_or(1);
        let aggregate = match attributes.string("aggregate_function")?.as_deref() {
            None | Some("SUM") => Aggregate::Sum,
            Some("AVERAGE") => Aggregate::Average,
            Some("MIN") => Aggregate::Min,
            Some("MAX") => Aggregate::Max,
            Some(other) => bail!("attribute aggregate_function is {other}"),
        };
        let ensemble = parse::ensemble(attributes, "target", usize::try_from(targets)?, aggregate)?;
        let base = attributes.floats("base_values")?.to_vec();
        if !base.is_empty() && base.len() != ensemble.scores {
            bail!("{} base_values for {targets} targets", base.len());
        }
        Ok(Self { ensemble, base, post: Post::parse(attributes)? })
    }

    fn outputs(&self, inputs: &[Port]) -> TractResult<Vec<Port>> {
        let rows = check(&self.ensemble, only(inputs)?)?;
        Ok(vec![Port::new(DatumType::F32, [rows, self.ensemble.scores])])
    }

    fn run(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) -> TractResult<()> {
        let rows = outputs[0].shape()[0];
        let targets = self.ensemble.scores;
        let mut view = outputs[0].try_as_plain_ram_mut()?;
        let out = view.as_slice_mut::<f32>()?;
        let mut scores = vec![Score::default(); targets];
        each_row(&self.ensemble, inputs[0], rows, &mut scores, |row, scores| {
            let out = &mut out[row * targets..(row + 1) * targets];
            for (target, (to, score)) in out.iter_mut().zip(scores).enumerate() {
                // Of several targets, one that no leaf spoke of has nothing, not even its base.
                let base = self.base.get(target).copied().unwrap_or_default();
                *to = if score.seen || targets == 1 { score.value + base } else { 0.0 };
            }
            match out {
                [score] => Second::Missing.put(*score, self.post, out),
                out => self.post.apply(out),
            }
        })
    }
}

/// `[rows, columns]` to labels `[rows]` and scores `[rows, classes]`.
#[derive(Debug)]
pub(super) struct TreeClassifier {
    ensemble: Ensemble,
    base: Vec<f32>,
    labels: Labels,
    post: Post,
    /// Two classes, and all leaves speak of the same one.
    single: bool,
    all_positive: bool,
}

impl TreeClassifier {
    /// The class and the scores of one row of two classes, from what the leaves gave.
    ///
    /// Rules of onnxruntime's `tree_ensemble_aggregator.h`: a class that no leaf spoke of has no score,
    /// and the one score that is left stands for the second class.
    fn pair(&self, scores: &mut [Score], out: &mut [f32]) -> usize {
        let [first, second] = scores else { return 0 };
        match self.base[..] {
            [_, base] if second.seen => {
                second.value = base + first.value;
                first.value = -second.value;
            }
            [zero, one] => {
                second.value += one;
                first.value += zero;
            }
            [base] => first.value += base,
            _ => {}
        }
        let decisive = if second.seen { second.value } else { first.value };
        let probability = self.single && self.all_positive;
        let class = usize::from(decisive > if probability { 0.5 } else { 0.0 });
        if second.seen || self.base.len() == 2 {
            (out[0], out[1]) = (first.value, second.value);
            self.post.apply(out);
        } else if self.single || self.base.is_empty() {
            let way = if probability { Second::Complement } else { Second::Opposite };
            way.put(first.value, self.post, out);
        } else {
            Second::Missing.put(first.value, self.post, out);
        }
        class
    }

    /// The same for more classes, or for one.
    fn several(&self, scores: &mut [Score], out: &mut [f32]) -> usize {
        for (score, base) in scores.iter_mut().zip(&self.base) {
            *score = Score { value: score.value + base, seen: true };
        }
        let mut best: Option<usize> = None;
        for (class, score) in scores.iter().enumerate().filter(|(_, score)| score.seen) {
            if best.is_none_or(|best| score.value > scores[best].value) {
                best = Some(class);
            }
        }
        for (to, score) in out.iter_mut().zip(scores) {
            *to = score.value;
        }
        match out {
            [score] => Second::Missing.put(*score, self.post, out),
            out => self.post.apply(out),
        }
        best.unwrap_or_default()
    }
}

impl Kernel for TreeClassifier {
    fn parse(attributes: &Attributes) -> TractResult<Self> {
        let labels = Labels::parse(attributes, "classlabels_int64s")?;
        let ensemble = parse::ensemble(attributes, "class", labels.len(), Aggregate::Sum)?;
        let base = attributes.floats("base_values")?.to_vec();
        if base.len() > labels.len() {
            bail!("{} base_values for {} classes", base.len(), labels.len());
        }
        let ids = attributes.ints("class_ids")?;
        let single = labels.len() == 2 && ids.iter().all(|id| Some(id) == ids.first());
        let all_positive = attributes.floats("class_weights")?.iter().all(|&weight| weight >= 0.0);
        let post = Post::parse(attributes)?;
        Ok(Self { ensemble, base, labels, post, single, all_positive })
    }

    fn outputs(&self, inputs: &[Port]) -> TractResult<Vec<Port>> {
        let rows = check(&self.ensemble, only(inputs)?)?;
        let scores = Port::new(DatumType::F32, [rows, self.labels.len()]);
        Ok(vec![Port::new(self.labels.dtype(), [rows]), scores])
    }

    fn run(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) -> TractResult<()> {
        let [labels, scores] = outputs else { bail!("it has two outputs") };
        let (rows, count) = (labels.len(), self.labels.len());
        let mut view = scores.try_as_plain_ram_mut()?;
        let out = view.as_slice_mut::<f32>()?;
        let mut classes = vec![0; rows];
        let mut row_scores = vec![Score::default(); count];
        each_row(&self.ensemble, inputs[0], rows, &mut row_scores, |row, scores| {
            let out = &mut out[row * count..(row + 1) * count];
            classes[row] = match count {
                2 => self.pair(scores, out),
                _ => self.several(scores, out),
            };
        })?;
        if !self.single && count == 2 && matches!(self.labels, Labels::Ints(_)) {
            // onnxruntime's rule: classes of their own scores are 0 and 1, whatever they are called.
            return Labels::Ints(vec![0, 1]).put(&classes, labels);
        }
        self.labels.put(&classes, labels)
    }
}
