//! Output tensors → findings: dequantize, threshold, hysteresis, hold.

use std::sync::Arc;

use crate::data::{
    EventKind, Finding, Quantization, ScoredLabel, Signature, Tensor, TensorError, read_real,
};
use crate::model::{Manifest, PostprocessKind, Score};

/// A manifest's `[postprocess]` made ready for one model, with its state over windows.
#[derive(Clone, Debug)]
pub struct Postprocessor {
    kind: PostprocessKind,
    output: usize,
    quantization: Option<Quantization>,
    labels: Vec<Arc<str>>,
    unit: Arc<str>,
    real: Vec<f32>,
    order: Vec<usize>,
    state: State,
}

/// What is remembered between windows.
#[derive(Clone, Debug, Default, PartialEq)]
struct State {
    label: Option<usize>,
    anomalous: bool,
    /// What asks to become the new state, and for how many windows in a row it has.
    asking: Option<(Option<usize>, u32)>,
}

/// Why an output is no finding.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PostprocessError {
    /// The model answered with something that is no number: counted, reported, not published.
    #[error("the model answered with a value that is not a number")]
    NotFinite,
    /// The output tensor is not the model's.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// A finding, and the event that it is if something changed.
pub type Found = (Finding, Option<EventKind>);

impl Postprocessor {
    /// `[postprocess]` of `manifest` for the model's `signature`; `Bundle::check` compared the two.
    pub fn new(manifest: &Manifest, signature: &Signature) -> Self {
        let post = &manifest.postprocess;
        let spec = &signature.outputs[post.output];
        let count = spec.elements();
        let named = !manifest.labels.is_empty();
        let label = |index: usize| match named {
            true => Arc::from(manifest.labels[index].as_str()),
            false => Arc::from(index.to_string()),
        };
        let unit = match &post.kind {
            PostprocessKind::Regression { unit, .. } => unit.as_str(),
            _ => "",
        };
        let labels = match post.kind {
            PostprocessKind::Classification { .. } => (0..count).map(label).collect(),
            _ => Vec::new(),
        };
        Self {
            kind: post.kind.clone(),
            output: post.output,
            quantization: spec.quantization,
            labels,
            unit: Arc::from(unit),
            real: vec![0.0; count],
            order: (0..count).collect(),
            state: State::default(),
        }
    }

    /// Class names by index; empty where there are no classes.
    pub fn labels(&self) -> &[Arc<str>] {
        &self.labels
    }

    /// Forgets the windows before: the stream was broken.
    pub fn reset(&mut self) {
        self.state = State::default();
    }

    /// Goes on where `before` leaves off, by the labels' names; from the start where it is of another kind.
    pub fn go_on_from(&mut self, before: &Self) {
        self.state = State::default();
        if std::mem::discriminant(&self.kind) == std::mem::discriminant(&before.kind) {
            let held = before.state.label.and_then(|label| before.labels.get(label));
            self.state.label = held.and_then(|held| self.labels.iter().position(|l| l == held));
            self.state.anomalous = before.state.anomalous;
        }
    }

    /// What the model's `outputs` say; `input` are the preprocessed real values of the window.
    ///
    /// # Errors
    /// When an output is NaN or infinite, or no tensor of this model.
    pub fn apply(&mut self, input: &[f32], outputs: &[Tensor]) -> Result<Found, PostprocessError> {
        read_real(outputs[self.output].data(), self.quantization, &mut self.real)?;
        if self.real.iter().any(|value| !value.is_finite()) {
            return Err(PostprocessError::NotFinite);
        }
        Ok(match self.kind {
            PostprocessKind::Classification { threshold, hysteresis, hold, top } => {
                self.classify(threshold, hysteresis, hold, top)
            }
            PostprocessKind::Regression { scale, offset, .. } => {
                let value = self.real[0] * scale + offset;
                (Finding::Regression { value, unit: self.unit.clone() }, None)
            }
            PostprocessKind::Anomaly { score, limit, hysteresis, hold } => {
                let score = match score {
                    Score::Output => self.real[0],
                    Score::Mse => mean_squared(input, &self.real),
                };
                self.judge(score, limit, hysteresis, hold)
            }
        })
    }

    fn classify(&mut self, threshold: f32, hysteresis: f32, hold: u32, top: usize) -> Found {
        let real = &self.real;
        // Ties go to the lower index, as NumPy's argmax does.
        self.order.sort_unstable_by(|&a, &b| real[b].total_cmp(&real[a]).then(a.cmp(&b)));
        let best = self.order[0];
        let won = match self.state.label {
            Some(current) if real[best] < threshold && real[current] >= threshold - hysteresis => {
                Some(current)
            }
            _ if real[best] >= threshold => Some(best),
            _ => None,
        };
        let before = self.state.label;
        if self.state.settles(won, before, hold) {
            self.state.label = won;
        }
        let name = |index: Option<usize>| index.map(|index| self.labels[index].clone());
        let changed = (self.state.label != before)
            .then(|| EventKind::LabelChanged { from: name(before), to: name(self.state.label) });
        let scored = |&index: &usize| ScoredLabel {
            label: self.labels[index].clone(),
            score: self.real[index],
        };
        let finding = Finding::Classification {
            label: name(self.state.label),
            score: self.real[self.state.label.unwrap_or(best)],
            top: self.order.iter().take(top).map(scored).collect(),
        };
        (finding, changed)
    }

    fn judge(&mut self, score: f32, limit: f32, hysteresis: f32, hold: u32) -> Found {
        let before = self.state.anomalous;
        let now = if before { score > limit - hysteresis } else { score > limit };
        if self.state.settles(Some(usize::from(now)), Some(usize::from(before)), hold) {
            self.state.anomalous = now;
        }
        let anomalous = self.state.anomalous;
        let changed = match (before, anomalous) {
            (false, true) => Some(EventKind::AnomalyBegan { score }),
            (true, false) => Some(EventKind::AnomalyEnded { score }),
            (false, false) | (true, true) => None,
        };
        (Finding::Anomaly { score, limit, anomalous }, changed)
    }
}

impl State {
    /// Whether `wanted` replaces `current`: it has asked `hold` windows in a row.
    fn settles(&mut self, wanted: Option<usize>, current: Option<usize>, hold: u32) -> bool {
        if wanted == current {
            self.asking = None;
            return false;
        }
        let times = match self.asking {
            Some((asking, times)) if asking == wanted => times + 1,
            _ => 1,
        };
        self.asking = (times < hold).then_some((wanted, times));
        times >= hold
    }
}

/// Mean of squared differences over the values that both have.
fn mean_squared(a: &[f32], b: &[f32]) -> f32 {
    let count = a.len().min(b.len()).max(1);
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>() / count as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::TensorData;

    const HEAD: &str = r#"
        name = "m"
        version = "1.0.0"
        edgerun = "0.1.0"
        model = "m.onnx"
        labels = ["a", "b", "c"]
        input = [{ name = "x", dtype = "float32", shape = [1, 3] }]
        output = [{ name = "y", dtype = "float32", shape = [1, 3] }]
        preprocess = { frames = 1, channels = [{ name = "p" }, { name = "q" }, { name = "r" }] }
    "#;

    fn post(block: &str) -> Postprocessor {
        let manifest =
            Manifest::parse(&format!("{HEAD}\npostprocess = {{ {block} }}")).expect("valid");
        let (inputs, outputs) = (manifest.inputs.clone(), manifest.outputs.clone());
        Postprocessor::new(&manifest, &Signature { inputs, outputs })
    }

    fn apply(post: &mut Postprocessor, scores: [f32; 3]) -> Found {
        let output = Tensor::new(vec![1, 3], TensorData::F32(scores.to_vec())).expect("fits");
        post.apply(&[0.0; 3], &[output]).expect("finite")
    }

    fn label(post: &mut Postprocessor, scores: [f32; 3]) -> Option<String> {
        match apply(post, scores).0 {
            Finding::Classification { label, .. } => label.map(|label| label.to_string()),
            other => panic!("not a classification: {other:?}"),
        }
    }

    #[test]
    fn a_label_needs_the_threshold_and_is_kept_down_to_the_hysteresis() {
        let mut post = post(r#"kind = "classification", threshold = 0.6, hysteresis = 0.2"#);
        assert_eq!(label(&mut post, [0.5, 0.3, 0.2]), None);
        assert_eq!(label(&mut post, [0.6, 0.3, 0.1]).as_deref(), Some("a"));
        assert_eq!(label(&mut post, [0.45, 0.5, 0.05]).as_deref(), Some("a"));
        assert_eq!(label(&mut post, [0.3, 0.5, 0.2]), None);
        assert_eq!(label(&mut post, [0.1, 0.9, 0.0]).as_deref(), Some("b"));
    }

    #[test]
    fn another_version_goes_on_with_the_label_that_holds() {
        let block = r#"kind = "classification", threshold = 0.6"#;
        let mut old = post(block);
        apply(&mut old, [0.1, 0.8, 0.1]);
        let mut new = post(block);
        new.labels.swap(0, 1);
        new.go_on_from(&old);
        let (_, event) = apply(&mut new, [0.8, 0.1, 0.1]);
        assert_eq!(event, None, "b is still b");
        let mut other = post(r#"kind = "anomaly", score = "output", limit = 0.5"#);
        other.go_on_from(&new);
        assert_eq!(other.state, State::default());
    }

    #[test]
    fn a_new_label_must_win_as_many_windows_in_a_row_as_hold_says() {
        let mut post = post(r#"kind = "classification", threshold = 0.5, hold = 2"#);
        assert_eq!(label(&mut post, [1.0, 0.0, 0.0]), None);
        assert_eq!(label(&mut post, [0.0, 1.0, 0.0]), None);
        assert_eq!(label(&mut post, [0.0, 1.0, 0.0]).as_deref(), Some("b"));
        assert_eq!(label(&mut post, [1.0, 0.0, 0.0]).as_deref(), Some("b"));
        let (_, event) = apply(&mut post, [1.0, 0.0, 0.0]);
        let (from, to) = (Some("b".into()), Some("a".into()));
        assert_eq!(event, Some(EventKind::LabelChanged { from, to }));
    }

    #[test]
    fn the_top_scores_come_best_first_and_ties_by_index() {
        let mut post = post(r#"kind = "classification", top = 2"#);
        let Finding::Classification { top, .. } = apply(&mut post, [0.25, 0.5, 0.25]).0 else {
            panic!("a classification was asked for")
        };
        let names: Vec<_> = top.iter().map(|scored| &*scored.label).collect();
        assert_eq!(names, ["b", "a"]);
    }

    #[test]
    fn an_anomaly_begins_above_its_limit_and_ends_below_the_hysteresis() {
        let mut post =
            post(r#"kind = "anomaly", score = "output", limit = 2.0, hysteresis = 0.5, hold = 1"#);
        let events: Vec<_> = [1.0, 2.5, 1.8, 1.4].map(|s| apply(&mut post, [s, 0.0, 0.0]).1).into();
        assert_eq!(
            events,
            [
                None,
                Some(EventKind::AnomalyBegan { score: 2.5 }),
                None,
                Some(EventKind::AnomalyEnded { score: 1.4 })
            ]
        );
    }

    #[test]
    fn a_value_that_is_no_number_is_no_finding() {
        let mut post = post(r#"kind = "classification""#);
        let output =
            Tensor::new(vec![1, 3], TensorData::F32(vec![0.1, f32::NAN, 0.2])).expect("fits");
        assert_eq!(post.apply(&[], &[output]), Err(PostprocessError::NotFinite));
    }
}
