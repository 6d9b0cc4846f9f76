//! Output tensors → findings: dequantized, then read by the bundle's task, each a file here with `Task`. Its settings stand
//! in `crate::model::postprocess`.

mod anomaly;
mod choice;
mod classification;
mod detection;
mod keypoints;
mod regression;
mod segmentation;

mod vector;

use std::sync::Arc;

use crate::data::{
    EventKind, Finding, Placement, Quantization, Signature, Tensor, TensorError, read_real,
};
use crate::model::{Manifest, Mask, PostprocessKind};

/// Classes of a segmentation whose number nobody says: those of a byte.
const CLASSES: usize = 256;

/// A manifest's `[postprocess]` made ready for one model, with its state over windows.
pub struct Postprocessor {
    task: Box<dyn Task>,
    outputs: Vec<Output>,
}

/// An output tensor that the task reads.
struct Output {
    index: usize,
    quantization: Option<Quantization>,
    /// Its values of the last window, dequantized.
    real: Vec<f32>,
}

/// What reads a model's outputs.
trait Task: Send {
    /// What `outputs` say, real and finite, each `[the tensor's elements]`; `input` are the preprocessed real values of the
    /// window.
    fn read(&mut self, input: &[f32], outputs: &[&[f32]]) -> Found;

    /// Where the picture that is read next lies in the input.
    fn placed(&mut self, _place: &Placement) {}

    /// What it remembers that another version of the model should know.
    fn held(&self) -> Held {
        Held::Nothing
    }

    /// Goes on where another version left off; from the start where that is of another kind.
    fn go_on_from(&mut self, _held: &Held) {}

    /// Forgets the windows before.
    fn reset(&mut self) {
        self.go_on_from(&Held::Nothing);
    }
}

/// What holds between windows, whichever version of a model found it.
#[derive(Clone, Debug, PartialEq)]
enum Held {
    /// Nothing.
    Nothing,
    /// A label, by its name.
    Label(Option<Arc<str>>),
    /// An alarm.
    Anomalous(bool),
    /// A value is beyond its limits.
    Outside(bool),
}

impl Held {
    /// Where the label that holds stands among `names`; `None` without one.
    fn place_among(&self, names: &[Arc<str>]) -> Option<usize> {
        match self {
            Self::Label(Some(held)) => names.iter().position(|name| name == held),
            Self::Label(None) | Self::Nothing | Self::Anomalous(_) | Self::Outside(_) => None,
        }
    }
}

/// How often in a row something else than what holds was seen.
#[derive(Clone, Debug, PartialEq)]
struct Settling<T>(Option<(T, u32)>);

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
        let output = |index: usize| {
            let spec = &signature.outputs[index];
            Output { index, quantization: spec.quantization, real: vec![0.0; spec.elements()] }
        };
        let spec = &signature.outputs[post.output];
        let labels = |count| labels(manifest, count);
        // Width and height, for what speaks of pixels.
        let input = match &manifest.recipe.picture {
            Some(picture) => [picture.layout.width, picture.layout.height],
            None => [1, 1],
        };
        let mut outputs = vec![post.output];
        let task: Box<dyn Task> = match &post.kind {
            PostprocessKind::Classification(settings) => {
                Box::new(classification::Classifier::new(settings, labels(spec.elements())))
            }
            PostprocessKind::Regression(settings) => Box::new(regression::Reader::new(settings)),
            PostprocessKind::Anomaly(settings) => Box::new(anomaly::Judge::new(settings)),
            PostprocessKind::Action(settings) => {
                Box::new(choice::Policy::new(settings, labels(spec.elements())))
            }
            PostprocessKind::Cluster(settings) => {
                Box::new(choice::Nearest::new(settings, labels(spec.elements())))
            }
            PostprocessKind::Vector(settings) => Box::new(vector::Numbers::new(settings)),
            PostprocessKind::Detection(settings) => {
                let classes = settings.sizes(&spec.shape).map_or(manifest.labels.len(), |(_, n)| n);
                outputs = settings.reads(post.output, &signature.outputs).unwrap_or(outputs);
                Box::new(detection::Detector::new(settings, labels(classes), input))
            }
            PostprocessKind::Keypoints(settings) => {
                Box::new(keypoints::Points::new(settings, labels(spec.elements() / 3), input))
            }
            PostprocessKind::Segmentation(settings) => {
                let mask = settings.mask(&spec.shape);
                let mask = mask.unwrap_or(Mask { width: 0, height: 0, classes: None });
                let classes = mask.classes.unwrap_or(manifest.labels.len().max(CLASSES));
                Box::new(segmentation::Shares::new(settings, mask, labels(classes)))
            }
        };
        Self { task, outputs: outputs.into_iter().map(output).collect() }
    }

    /// Forgets the windows before: the stream was broken.
    pub fn reset(&mut self) {
        self.task.reset();
    }

    /// Goes on where `before` leaves off, by the labels' names; from the start where it is of another kind.
    pub fn go_on_from(&mut self, before: &Self) {
        self.task.go_on_from(&before.task.held());
    }

    /// What the model's `outputs` say of a picture that lies in the input as `place` says.
    ///
    /// # Errors
    /// When an output is NaN or infinite, or no tensor of this model.
    pub fn apply_to_picture(
        &mut self,
        place: &Placement,
        outputs: &[Tensor],
    ) -> Result<Found, PostprocessError> {
        self.task.placed(place);
        let (finding, event) = self.apply(&[], outputs)?;
        Ok((finding.placed(place), event))
    }

    /// What the model's `outputs` say; `input` are the preprocessed real values of the window.
    ///
    /// # Errors
    /// When an output is NaN or infinite, or no tensor of this model.
    pub fn apply(&mut self, input: &[f32], outputs: &[Tensor]) -> Result<Found, PostprocessError> {
        for output in &mut self.outputs {
            read_real(outputs[output.index].data(), output.quantization, &mut output.real)?;
            if output.real.iter().any(|value| !value.is_finite()) {
                return Err(PostprocessError::NotFinite);
            }
        }
        match self.outputs.as_slice() {
            [only] => Ok(self.task.read(input, &[&only.real])),
            several => {
                let real: Vec<&[f32]> =
                    several.iter().map(|output| output.real.as_slice()).collect();
                Ok(self.task.read(input, &real))
            }
        }
    }
}

/// Names of `count` classes by index: the manifest's, or numbers.
fn labels(manifest: &Manifest, count: usize) -> Vec<Arc<str>> {
    let named = |index: usize| match manifest.labels.get(index) {
        Some(label) => Arc::from(label.as_str()),
        None => Arc::from(index.to_string()),
    };
    (0..count).map(named).collect()
}

impl<T> Default for Settling<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: PartialEq> Settling<T> {
    /// Whether `wanted` replaces `current`: it has asked `hold` windows in a row.
    fn settles(&mut self, wanted: T, current: T, hold: u32) -> bool {
        if wanted == current {
            self.0 = None;
            return false;
        }
        let times = match &self.0 {
            Some((asking, times)) if *asking == wanted => times + 1,
            _ => 1,
        };
        self.0 = (times < hold).then_some((wanted, times));
        times >= hold
    }
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
        post_of(HEAD, block)
    }

    fn post_of(head: &str, block: &str) -> Postprocessor {
        let manifest =
            Manifest::parse(&format!("{head}\npostprocess = {{ {block} }}")).expect("valid");
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
        let swapped = HEAD.replace(r#"["a", "b", "c"]"#, r#"["b", "a", "c"]"#);
        let mut new = post_of(&swapped, block);
        new.go_on_from(&old);
        let (_, event) = apply(&mut new, [0.8, 0.1, 0.1]);
        assert_eq!(event, None, "b is still b");
        let mut other = post(r#"kind = "anomaly", score = "output", limit = 0.5"#);
        other.go_on_from(&new);
        let (_, event) = apply(&mut other, [0.8, 0.1, 0.1]);
        assert_eq!(event, Some(EventKind::AnomalyBegan { score: 0.8 }), "a label is no alarm");
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
    fn scores_are_averaged_over_the_last_windows_and_not_over_a_break() {
        let mut post = post(r#"kind = "classification", threshold = 0.5, smooth = 3"#);
        assert_eq!(label(&mut post, [0.0, 0.4, 0.0]), None);
        assert_eq!(label(&mut post, [0.0, 0.7, 0.0]).as_deref(), Some("b"));
        let Finding::Classification { score, .. } = apply(&mut post, [0.0, 0.1, 0.0]).0 else {
            panic!("a classification was asked for")
        };
        assert!((score - 0.4).abs() < 1e-6, "{score}");
        // The 0.4 is forgotten.
        assert_eq!(label(&mut post, [0.0, 0.8, 0.0]).as_deref(), Some("b"));
        post.reset();
        assert_eq!(label(&mut post, [0.0, 0.6, 0.0]).as_deref(), Some("b"));
    }

    #[test]
    fn each_label_has_its_threshold_and_background_is_none() {
        let block = r#"kind = "classification", threshold = [0.9, 0.5, 0.1], background = ["c"]"#;
        let mut post = post(block);
        assert_eq!(label(&mut post, [0.85, 0.1, 0.9]), None);
        assert_eq!(label(&mut post, [0.85, 0.5, 0.9]).as_deref(), Some("b"));
        assert_eq!(label(&mut post, [0.95, 0.5, 0.9]).as_deref(), Some("a"));
        let Finding::Classification { score, top, .. } = apply(&mut post, [0.2, 0.3, 0.5]).0 else {
            panic!("a classification was asked for")
        };
        assert_eq!((score, &*top[0].label), (0.3, "c"));
    }

    #[test]
    fn a_label_that_begins_is_kept_so_that_one_word_is_one_event() {
        let mut post = post(r#"kind = "classification", threshold = 0.8, keep = 4"#);
        let scores = [0.1, 0.9, 0.5, 0.9, 0.5, 0.5, 0.5, 0.9, 0.1, 0.1, 0.1, 0.1];
        let begins = scores.map(|score| {
            let (_, event) = apply(&mut post, [score, 0.0, 0.0]);
            matches!(event, Some(EventKind::LabelChanged { to: Some(_), .. }))
        });
        let begins: Vec<_> = (0..scores.len()).filter(|&window| begins[window]).collect();
        assert_eq!(begins, [1, 7]);
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
    fn a_policy_s_action_a_cluster_and_a_vector_are_read_as_the_manifest_says() {
        let mut policy = post(r#"kind = "action""#);
        let (action, values) = (Arc::from("b"), vec![0.1, 0.7, 0.2]);
        let expected = Finding::Action { action, value: 0.7, values };
        assert_eq!(apply(&mut policy, [0.1, 0.7, 0.2]).0, expected);
        let mut clusters = post(r#"kind = "cluster", limit = 0.5"#);
        let expected = Finding::Cluster { cluster: Some("a".into()), distance: 0.1 };
        assert_eq!(apply(&mut clusters, [0.1, 0.7, 0.2]).0, expected);
        let head = HEAD.replace(r#"labels = ["a", "b", "c"]"#, "");
        let mut vector = post_of(&head, r#"kind = "vector", normalize = true"#);
        let expected = Finding::Vector { vector: vec![0.0, 0.6, 0.8] };
        assert_eq!(apply(&mut vector, [0.0, 3.0, 4.0]).0, expected);
    }

    #[test]
    fn another_version_of_a_policy_goes_on_with_the_action_that_holds() {
        let block = r#"kind = "action", hold = 2"#;
        let mut old = post(block);
        apply(&mut old, [0.0, 1.0, 0.0]);
        let swapped = HEAD.replace(r#"["a", "b", "c"]"#, r#"["b", "a", "c"]"#);
        let mut new = post_of(&swapped, block);
        new.go_on_from(&old);
        let (finding, event) = apply(&mut new, [0.0, 1.0, 0.0]);
        assert!(matches!(finding, Finding::Action { action, .. } if &*action == "b"));
        assert_eq!(event, None);
    }

    #[test]
    fn what_a_choice_cannot_be_made_of_is_refused_by_key() {
        let said = |head: &str, block: &str| {
            let text = format!("{head}\npostprocess = {{ {block} }}");
            Manifest::parse(&text).expect_err("wrong").to_string()
        };
        let explores = said(HEAD, r#"kind = "action", epsilon = 0.1"#);
        assert!(explores.contains("postprocess.epsilon"), "{explores}");
        assert!(explores.contains("a board explores nothing"), "{explores}");
        let two = HEAD.replace(r#"["a", "b", "c"]"#, r#"["a", "b"]"#);
        for (kind, what) in [("action", "actions"), ("cluster", "clusters")] {
            let said = said(&two, &format!("kind = \"{kind}\""));
            assert!(said.contains(&format!("2 labels for the 3 {what} of `y`")), "{said}");
        }
        assert!(said(HEAD, r#"kind = "vector""#).contains("a vector has none"));
    }

    #[test]
    fn a_value_beyond_its_limits_is_told_once_and_again_when_it_is_well_inside() {
        let mut post = post(
            r#"kind = "regression", low = 0.0, high = 10.0, hysteresis = 1.0, hold = 2, max_change = 20.0"#,
        );
        let values = [5.0, 11.0, 12.0, 11.0, 9.5, 8.0, 8.0, 9.5, 30.0, 8.0];
        let events: Vec<_> = values.map(|value| apply(&mut post, [value, 0.0, 0.0]).1).into();
        let mut expected = vec![None; 10];
        expected[2] = Some(EventKind::ValueOutOfLimits { value: 12.0 });
        expected[6] = Some(EventKind::ValueWithinLimits { value: 8.0 });
        expected[8] = Some(EventKind::ValueJumped { from: 9.5, to: 30.0 });
        expected[9] = Some(EventKind::ValueJumped { from: 30.0, to: 8.0 });
        assert_eq!(events, expected);
        post.reset();
        assert_eq!(apply(&mut post, [-30.0, 0.0, 0.0]).1, None, "what was before a gap is no step");
    }

    #[test]
    fn a_limit_that_adapts_follows_what_is_normal_here_and_no_alarm() {
        let mut post = post(
            r#"kind = "anomaly", score = "output", limit = 1.0, adapt = { windows = 40, spreads = 6.0 }"#,
        );
        let mut limit = |score: f32| match apply(&mut post, [score, 0.0, 0.0]) {
            (Finding::Anomaly { limit, anomalous, .. }, _) => (limit, anomalous),
            other => panic!("an anomaly was asked for: {other:?}"),
        };
        // Noisier here than in training, but below the limit: once a fifth of the windows is known, it counts.
        for n in 0..40 {
            limit(0.5 + 0.05 * (n % 9) as f32);
        }
        let (learnt, calm) = limit(0.7);
        // Median 0.7, median distance from it 0.1: 0.7 + 6 * 1.4826 * 0.1.
        assert!((learnt - 1.59).abs() < 0.05 && !calm, "{learnt}");
        // What is anomalous is not learnt, however long it lasts.
        for _ in 0..200 {
            assert!(limit(5.0).1);
        }
        assert!((limit(0.7).0 - learnt).abs() < 0.05);
    }

    #[test]
    fn a_value_that_is_no_number_is_no_finding() {
        let mut post = post(r#"kind = "classification""#);
        let output =
            Tensor::new(vec![1, 3], TensorData::F32(vec![0.1, f32::NAN, 0.2])).expect("fits");
        assert_eq!(post.apply(&[], &[output]), Err(PostprocessError::NotFinite));
    }
}
