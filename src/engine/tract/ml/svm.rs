//! Support vector machines: `SVMClassifier` and `SVMRegressor`, all kernels.

use tract_onnx::prelude::{DatumType, TractResult};
use tract_onnx::tract_core::internal::{Tensor, bail};

use super::attributes::Attributes;
use super::kernel::{Kernel, Port, only, put, reals, rows};
use super::labels::{Labels, largest};
use super::post::{Post, Second, logistic};

#[derive(Clone, Copy, Debug)]
enum Shape {
    Linear,
    Poly,
    Rbf,
    Sigmoid,
}

/// How near a row is to a vector: a kernel function and its parameters.
#[derive(Clone, Copy, Debug)]
struct Nearness {
    shape: Shape,
    gamma: f64,
    coef0: f64,
    degree: f64,
}

impl Nearness {
    fn parse(attributes: &Attributes) -> TractResult<Self> {
        let shape = match attributes.string("kernel_type")?.as_deref() {
            None | Some("LINEAR") => Shape::Linear,
            Some("POLY") => Shape::Poly,
            Some("RBF") => Shape::Rbf,
            Some("SIGMOID") => Shape::Sigmoid,
            Some(other) => bail!("attribute kernel_type is {other}"),
        };
        match *attributes.floats("kernel_params")? {
            [] => Ok(Self { shape, gamma: 0.0, coef0: 0.0, degree: 0.0 }),
            [gamma, coef0, degree] => {
                let (gamma, coef0, degree) = (gamma.into(), coef0.into(), degree.into());
                Ok(Self { shape, gamma, coef0, degree })
            }
            _ => bail!("attribute kernel_params has not 3 values: gamma, coef0, degree"),
        }
    }

    fn of(&self, x: &[f32], vector: &[f32]) -> f32 {
        let pairs = x.iter().zip(vector).map(|(x, v)| (f64::from(*x), f64::from(*v)));
        if let Shape::Rbf = self.shape {
            let squares = pairs.map(|(x, v)| (x - v) * (x - v)).sum::<f64>();
            return libm::exp(-self.gamma * squares) as f32;
        }
        let dot = pairs.map(|(x, v)| x * v).sum::<f64>();
        let inner = self.gamma * dot + self.coef0;
        match self.shape {
            Shape::Linear | Shape::Rbf => dot as f32,
            Shape::Poly => libm::pow(inner, self.degree) as f32,
            Shape::Sigmoid => libm::tanh(inner) as f32,
        }
    }
}

/// Vectors of `columns` numbers each, or a linear model's coefficients in their place.
#[derive(Debug)]
struct Vectors {
    values: Vec<f32>,
    count: usize,
    columns: usize,
    nearness: Nearness,
}

impl Vectors {
    fn new(values: &[f32], count: usize, nearness: Nearness) -> TractResult<Self> {
        if count == 0 || values.is_empty() || !values.len().is_multiple_of(count) {
            bail!("{} numbers are not {count} vectors", values.len());
        }
        Ok(Self { values: values.to_vec(), count, columns: values.len() / count, nearness })
    }

    /// Rows of a table of as many columns as the vectors have.
    fn check(&self, input: &Port) -> TractResult<usize> {
        let (rows, columns) = input.table()?;
        if columns != self.columns {
            bail!("its input has {columns} columns, its vectors have {}", self.columns);
        }
        Ok(rows)
    }

    fn near(&self, x: &[f32], to: &mut [f32]) {
        for (to, vector) in to.iter_mut().zip(rows(&self.values, self.count, self.columns)) {
            *to = self.nearness.of(x, vector);
        }
    }
}

/// `[rows, columns]` to `[rows, 1]`. Like onnxruntime, it leaves `post_transform` out.
#[derive(Debug)]
pub(super) struct SvmRegressor {
    vectors: Vectors,
    /// One for each vector; a linear model has them as its only vector.
    coefficients: Vec<f32>,
    rho: f32,
    one_class: bool,
}

impl Kernel for SvmRegressor {
    fn parse(attributes: &Attributes) -> TractResult<Self> {
        let mut nearness = Nearness::parse(attributes)?;
        Post::parse(attributes)?;
        let count = usize::try_from(attributes.int("n_supports")?.unwrap_or(0))?;
        let given = attributes.floats("coefficients")?;
        let (vectors, coefficients) = if count > 0 {
            if given.len() != count {
                bail!("{} coefficients for {count} vectors", given.len());
            }
            let vectors = attributes.floats("support_vectors")?;
            (Vectors::new(vectors, count, nearness)?, given.to_vec())
        } else {
            nearness.shape = Shape::Linear;
            (Vectors::new(given, 1, nearness)?, vec![1.0])
        };
        let Some(&rho) = attributes.floats("rho")?.first() else {
            bail!("attribute rho has no value");
        };
        let one_class = attributes.int("one_class")?.unwrap_or(0) != 0;
        Ok(Self { vectors, coefficients, rho, one_class })
    }

    fn outputs(&self, inputs: &[Port]) -> TractResult<Vec<Port>> {
        Ok(vec![Port::new(DatumType::F32, [self.vectors.check(only(inputs)?)?, 1])])
    }

    fn run(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) -> TractResult<()> {
        let x = reals(inputs[0])?;
        let mut near = vec![0.0; self.vectors.count];
        let value = |row: &[f32]| {
            self.vectors.near(row, &mut near);
            let value = weigh(&near, &self.coefficients, f64::from(self.rho)) as f32;
            match (self.one_class, value > 0.0) {
                (false, _) => value,
                (true, true) => 1.0,
                (true, false) => -1.0,
            }
        };
        put(&mut outputs[0], x.chunks_exact(self.vectors.columns).map(value))
    }
}

fn weigh(near: &[f32], coefficients: &[f32], start: f64) -> f64 {
    let products = near.iter().zip(coefficients).map(|(n, c)| f64::from(*n) * f64::from(*c));
    start + products.sum::<f64>()
}

/// One classifier for each pair of classes, and what turns their votes into probabilities.
#[derive(Debug)]
struct Pairs {
    /// `[classes - 1, vectors]`.
    coefficients: Vec<f32>,
    /// Each class's vectors, one after the other.
    ranges: Vec<std::ops::Range<usize>>,
    /// One for each pair: (0, 1), (0, 2), …
    rho: Vec<f32>,
    /// Slope and offset of each pair's sigmoid; none where there are no probabilities.
    sigmoids: Vec<(f32, f32)>,
}

/// `[rows, columns]` to labels `[rows]` and scores: for each class with probabilities or a linear
/// model, else for each pair of classes, and two for two classes.
#[derive(Debug)]
pub(super) struct SvmClassifier {
    vectors: Vectors,
    /// None in a linear model, which has a vector of coefficients for each class.
    pairs: Option<Pairs>,
    rho: f32,
    labels: Labels,
    post: Post,
    all_positive: bool,
}

impl Pairs {
    fn parse(attributes: &Attributes, classes: usize, per_class: &[u32]) -> TractResult<Self> {
        let mut ranges = Vec::with_capacity(classes);
        let mut end = 0usize;
        for &count in per_class {
            let start = end;
            // At most 2^32 for each of at most 2^16 classes.
            end += count as usize;
            ranges.push(start..end);
        }
        let coefficients = attributes.floats("coefficients")?.to_vec();
        let pairs = classes * (classes - 1) / 2;
        let rho = attributes.floats("rho")?.to_vec();
        let (a, b) = (attributes.floats("prob_a")?, attributes.floats("prob_b")?);
        if per_class.len() != classes {
            bail!("vectors_per_class has {} values for {classes} classes", per_class.len());
        }
        if (classes - 1).checked_mul(end).is_none_or(|needed| needed > coefficients.len()) {
            bail!("{} coefficients for {end} vectors, {classes} classes", coefficients.len());
        }
        if rho.len() < pairs || a.len() != b.len() || !a.is_empty() && a.len() < pairs {
            bail!("rho, prob_a or prob_b have no value for each of {pairs} pairs of classes");
        }
        let sigmoids = a.iter().copied().zip(b.iter().copied()).collect();
        Ok(Self { coefficients, ranges, rho, sigmoids })
    }

    /// Fills the score of each pair and counts the votes for each class.
    fn scores(&self, near: &[f32], scores: &mut [f32], votes: &mut [u32]) {
        let classes = self.ranges.len();
        let pairs = (0..classes).flat_map(|i| (i + 1..classes).map(move |j| (i, j)));
        votes.fill(0);
        for (((i, j), rho), score) in pairs.zip(&self.rho).zip(scores) {
            let (first, second) = (self.ranges[i].clone(), self.ranges[j].clone());
            let (up, down) = ((j - 1) * near.len(), i * near.len());
            let coefficients = &self.coefficients[up + first.start..up + first.end];
            let sum = weigh(&near[first], coefficients, 0.0);
            let coefficients = &self.coefficients[down + second.start..down + second.end];
            let sum = weigh(&near[second], coefficients, sum) + f64::from(*rho);
            *score = sum as f32;
            votes[if sum > 0.0 { i } else { j }] += 1;
        }
    }
}

impl SvmClassifier {
    fn pair_count(&self) -> usize {
        self.labels.len() * (self.labels.len() - 1) / 2
    }

    /// Scores of a row.
    fn width(&self) -> usize {
        match &self.pairs {
            Some(pairs) if pairs.sigmoids.is_empty() => self.pair_count().max(2),
            _ => self.labels.len(),
        }
    }

    /// Which of two classes it is, given the votes or, without them, the score that won.
    fn choose(&self, best: usize, score: f32, probabilities: bool) -> usize {
        let second = if self.all_positive { score >= 0.5 } else { score > 0.0 };
        if !probabilities && second { 1 } else { best }
    }
}

impl Kernel for SvmClassifier {
    fn parse(attributes: &Attributes) -> TractResult<Self> {
        let mut nearness = Nearness::parse(attributes)?;
        let labels = Labels::parse(attributes, "classlabels_ints")?;
        let classes = labels.len();
        if classes >= 1 << 16 {
            bail!("{classes} classes are too many");
        }
        let per_class = attributes.indices("vectors_per_class")?;
        let count = per_class.iter().fold(0usize, |sum, &count| sum.saturating_add(count as usize));
        let (vectors, pairs) = if count > 0 {
            if classes < 2 {
                bail!("it has a single class");
            }
            let vectors = attributes.floats("support_vectors")?;
            let pairs = Pairs::parse(attributes, classes, &per_class)?;
            (Vectors::new(vectors, count, nearness)?, Some(pairs))
        } else {
            nearness.shape = Shape::Linear;
            let coefficients = attributes.floats("coefficients")?;
            (Vectors::new(coefficients, classes, nearness)?, None)
        };
        let Some(&rho) = attributes.floats("rho")?.first() else {
            bail!("attribute rho has no value");
        };
        let all_positive = attributes.floats("coefficients")?.iter().all(|&value| value >= 0.0);
        let post = Post::parse(attributes)?;
        Ok(Self { vectors, pairs, rho, labels, post, all_positive })
    }

    fn outputs(&self, inputs: &[Port]) -> TractResult<Vec<Port>> {
        let rows = self.vectors.check(only(inputs)?)?;
        let scores = Port::new(DatumType::F32, [rows, self.width()]);
        Ok(vec![Port::new(self.labels.dtype(), [rows]), scores])
    }

    fn run(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) -> TractResult<()> {
        let [labels, scores] = outputs else { bail!("it has two outputs") };
        let x = reals(inputs[0])?;
        let mut view = scores.try_as_plain_ram_mut()?;
        let lines = view.as_slice_mut::<f32>()?.chunks_exact_mut(self.width());
        let count = self.labels.len();
        let mut classes = Vec::with_capacity(labels.len());
        let mut near = vec![0.0; self.vectors.count];
        // A linear model has no pairs, and its classes are not bounded by theirs.
        let pairs = self.pairs.as_ref().map_or(0, |_| self.pair_count());
        let (mut decided, mut votes) = (vec![0.0; pairs], vec![0; count]);
        let mut coupling = Coupling::new(count);
        for (row, scores) in x.chunks_exact(self.vectors.columns).zip(lines) {
            self.vectors.near(row, &mut near);
            let Some(pairs) = &self.pairs else {
                scores.iter_mut().zip(&near).for_each(|(score, near)| *score = near + self.rho);
                let best = largest(scores);
                let two = count == 2;
                classes.push(if two { self.choose(best, scores[best], false) } else { best });
                match scores {
                    [score] => Second::Missing.put(*score, self.post, scores),
                    scores => self.post.apply(scores),
                }
                continue;
            };
            pairs.scores(&near, &mut decided, &mut votes);
            // The first of those with the most votes.
            let most = votes.iter().max().copied().unwrap_or_default();
            let best = votes.iter().position(|&n| n == most).unwrap_or_default();
            let probabilities = !pairs.sigmoids.is_empty();
            classes.push(if count == 2 { self.choose(best, 0.0, probabilities) } else { best });
            if probabilities {
                coupling.solve(&decided, &pairs.sigmoids, scores);
                self.post.apply(scores);
            } else if count == 2 {
                let opposite = matches!(self.post, Post::None | Post::Logistic);
                let second = if opposite { Second::Opposite } else { Second::Complement };
                second.put(decided[0], self.post, scores);
            } else {
                scores.copy_from_slice(&decided);
                self.post.apply(scores);
            }
        }
        self.labels.put(&classes, labels)
    }
}

/// Probabilities of classes from those of pairs. Source: T.-F. Wu, C.-J. Lin, R. C. Weng, "Probability
/// estimates for multi-class classification by pairwise coupling" (2004), algorithm 2, in float32 as
/// onnxruntime has it: where the iteration stops shows in the fourth digit.
struct Coupling {
    classes: usize,
    /// `[classes, classes]`: how likely the row's class is against the column's.
    against: Vec<f32>,
    q: Vec<f32>,
    qp: Vec<f32>,
}

impl Coupling {
    fn new(classes: usize) -> Self {
        // Memory is taken when the first row needs it: many models have no probabilities.
        Self { classes, against: Vec::new(), q: Vec::new(), qp: vec![0.0; classes] }
    }

    fn solve(&mut self, decided: &[f32], sigmoids: &[(f32, f32)], p: &mut [f32]) {
        let n = self.classes;
        let Self { against, q, qp, .. } = self;
        against.resize(n * n, 0.0);
        q.resize(n * n, 0.0);
        let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
        for (((i, j), score), (a, b)) in pairs.zip(decided).zip(sigmoids) {
            let wins = (1.0 - logistic(score * a + b)).clamp(1e-7, 1.0 - 1e-7);
            against[i * n + j] = wins;
            against[j * n + i] = 1.0 - wins;
        }
        for i in 0..n {
            p[i] = 1.0 / n as f32;
            q[i * n + i] = 0.0;
            for j in (0..n).filter(|&j| j != i) {
                q[i * n + i] += against[j * n + i] * against[j * n + i];
                q[i * n + j] = -against[j * n + i] * against[i * n + j];
            }
        }
        let enough = 0.005 / n as f32;
        for _ in 0..100 {
            let mut total = 0.0;
            for i in 0..n {
                qp[i] = (0..n).fold(0.0, |sum, j| sum + q[i * n + j] * p[j]);
                total += p[i] * qp[i];
            }
            let error = qp.iter().fold(0.0, |most: f32, each| most.max((each - total).abs()));
            if error < enough {
                break;
            }
            for i in 0..n {
                let step = (total - qp[i]) / q[i * n + i];
                let scale = 1.0 + step;
                p[i] += step;
                total = (total + step * (step * q[i * n + i] + 2.0 * qp[i])) / scale / scale;
                for j in 0..n {
                    qp[j] = (qp[j] + step * q[i * n + j]) / scale;
                    p[j] /= scale;
                }
            }
        }
    }
}
