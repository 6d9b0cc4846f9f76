//! `LinearClassifier` and `LinearRegressor`: a product with a matrix of coefficients.

use tract_onnx::prelude::{DatumType, TractResult};
use tract_onnx::tract_core::internal::{Tensor, bail};

use super::attributes::Attributes;
use super::kernel::{Kernel, Port, only, reals, rows};
use super::labels::{Labels, largest};
use super::post::{Post, Second};

/// `scores = x * coefficients^T + intercepts`.
#[derive(Debug)]
struct Matrix {
    /// `[models, columns]`.
    coefficients: Vec<f32>,
    /// One for each model, or none.
    intercepts: Vec<f32>,
    models: usize,
}

impl Matrix {
    fn new(attributes: &Attributes, models: usize) -> TractResult<Self> {
        let coefficients = attributes.floats("coefficients")?.to_vec();
        let intercepts = attributes.floats("intercepts")?.to_vec();
        if coefficients.is_empty() || models == 0 || !coefficients.len().is_multiple_of(models) {
            bail!("{} coefficients cannot be shared by {models} models", coefficients.len());
        }
        if !intercepts.is_empty() && intercepts.len() != models {
            bail!("{} intercepts for {models} models", intercepts.len());
        }
        Ok(Self { coefficients, intercepts, models })
    }

    fn columns(&self) -> usize {
        self.coefficients.len() / self.models
    }

    /// Rows of a table that has as many columns as there are coefficients for each model.
    fn check(&self, input: &Port) -> TractResult<usize> {
        let (rows, columns) = input.table()?;
        if columns != self.columns() {
            bail!("its input has {columns} columns, its coefficients are for {}", self.columns());
        }
        Ok(rows)
    }

    fn scores(&self, row: &[f32], scores: &mut [f32]) {
        let each = rows(&self.coefficients, self.models, self.columns());
        for (model, (score, coefficients)) in scores.iter_mut().zip(each).enumerate() {
            let products = row.iter().zip(coefficients).map(|(x, c)| f64::from(*x) * f64::from(*c));
            let sum = products.sum::<f64>();
            *score = sum as f32 + self.intercepts.get(model).copied().unwrap_or_default();
        }
    }
}

/// `[rows, columns]` to labels `[rows]` and scores `[rows, classes]`.
#[derive(Debug)]
pub(super) struct LinearClassifier {
    matrix: Matrix,
    labels: Labels,
    post: Post,
}

impl LinearClassifier {
    /// One model decides between two classes.
    fn is_pair(&self) -> bool {
        self.matrix.models == 1 && self.labels.len() == 2
    }

    fn width(&self) -> usize {
        if self.is_pair() { 2 } else { self.matrix.models }
    }
}

impl Kernel for LinearClassifier {
    fn parse(attributes: &Attributes) -> TractResult<Self> {
        let labels = Labels::parse(attributes, "classlabels_ints")?;
        let models = match attributes.floats("intercepts")?.len() {
            0 => labels.len(),
            models => models,
        };
        if models > 1 && models != labels.len() {
            bail!("{models} models for {} classes", labels.len());
        }
        let matrix = Matrix::new(attributes, models)?;
        Ok(Self { matrix, labels, post: Post::parse(attributes)? })
    }

    fn outputs(&self, inputs: &[Port]) -> TractResult<Vec<Port>> {
        let rows = self.matrix.check(only(inputs)?)?;
        let scores = Port::new(DatumType::F32, [rows, self.width()]);
        Ok(vec![Port::new(self.labels.dtype(), [rows]), scores])
    }

    fn run(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) -> TractResult<()> {
        let [labels, scores] = outputs else { bail!("it has two outputs") };
        let x = reals(inputs[0])?;
        let mut view = scores.try_as_plain_ram_mut()?;
        let mut classes = Vec::with_capacity(labels.len());
        let lines = view.as_slice_mut::<f32>()?.chunks_exact_mut(self.width());
        for (row, scores) in rows(&x, labels.len(), self.matrix.columns()).zip(lines) {
            self.matrix.scores(row, scores);
            if self.matrix.models == 1 {
                let score = scores[0];
                classes.push(usize::from(score > 0.0));
                let second = match (self.is_pair(), self.post) {
                    (false, _) => Second::Missing,
                    (true, Post::Logistic) => Second::Opposite,
                    (true, _) => Second::Complement,
                };
                second.put(score, self.post, scores);
            } else {
                classes.push(largest(scores));
                self.post.apply(scores);
            }
        }
        if self.labels.len() == 2 || self.matrix.models > 1 {
            return self.labels.put(&classes, labels);
        }
        // A single class that is named says nothing of the other: they are 0 and 1.
        match &self.labels {
            Labels::Ints(_) => Labels::Ints(vec![0, 1]).put(&classes, labels),
            Labels::Strings(_) => {
                Labels::Strings(vec!["0".into(), "1".into()]).put(&classes, labels)
            }
        }
    }
}

/// `[rows, columns]` to `[rows, targets]`.
#[derive(Debug)]
pub(super) struct LinearRegressor {
    matrix: Matrix,
    post: Post,
}

impl Kernel for LinearRegressor {
    fn parse(attributes: &Attributes) -> TractResult<Self> {
        let targets = usize::try_from(attributes.int("targets")?.unwrap_or(1))?;
        Ok(Self { matrix: Matrix::new(attributes, targets)?, post: Post::parse(attributes)? })
    }

    fn outputs(&self, inputs: &[Port]) -> TractResult<Vec<Port>> {
        let rows = self.matrix.check(only(inputs)?)?;
        Ok(vec![Port::new(DatumType::F32, [rows, self.matrix.models])])
    }

    fn run(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) -> TractResult<()> {
        let x = reals(inputs[0])?;
        let mut view = outputs[0].try_as_plain_ram_mut()?;
        let lines = view.as_slice_mut::<f32>()?.chunks_exact_mut(self.matrix.models);
        for (row, scores) in x.chunks_exact(self.matrix.columns()).zip(lines) {
            self.matrix.scores(row, scores);
            match scores {
                [score] => Second::Missing.put(*score, self.post, scores),
                scores => self.post.apply(scores),
            }
        }
        Ok(())
    }
}
