//! Attributes that no exporter writes are refused as the node is built, by its name.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto};

use super::onnx;

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    let kind = AttributeType::Ints as i32;
    AttributeProto { name: name.into(), r#type: kind, ints: values.into(), ..Default::default() }
}

fn floats(name: &str, values: &[f32]) -> AttributeProto {
    let kind = AttributeType::Floats as i32;
    AttributeProto { name: name.into(), r#type: kind, floats: values.into(), ..Default::default() }
}

fn int(name: &str, value: i64) -> AttributeProto {
    let kind = AttributeType::Int as i32;
    AttributeProto { name: name.into(), r#type: kind, i: value, ..Default::default() }
}

fn string(name: &str, value: &str) -> AttributeProto {
    let kind = AttributeType::String as i32;
    AttributeProto { name: name.into(), r#type: kind, s: value.into(), ..Default::default() }
}

fn strings(name: &str, values: &[&str]) -> AttributeProto {
    let strings = values.iter().map(|text| text.as_bytes().to_vec()).collect();
    let kind = AttributeType::Strings as i32;
    AttributeProto { name: name.into(), r#type: kind, strings, ..Default::default() }
}

/// What is said of a node `n` with these attributes; empty where nothing is wrong with them.
fn refusal(op: &str, attributes: &[AttributeProto]) -> String {
    let node = NodeProto {
        name: "n".into(),
        op_type: op.into(),
        domain: "ai.onnx.ml".into(),
        input: vec!["x".into()],
        output: vec!["y".into()],
        attribute: attributes.to_vec(),
        ..Default::default()
    };
    let graph = GraphProto { node: vec![node], ..Default::default() };
    let model = ModelProto { graph: Some(graph), ..Default::default() };
    let error = onnx().parse(&model, None).err().map(|error| format!("{error:#}"));
    assert!(error.as_ref().is_none_or(|text| text.contains("\"n\"")), "{op}: {error:?}");
    error.unwrap_or_default()
}

/// Three nodes: a branch on column 0 and two leaves.
fn stump() -> Vec<AttributeProto> {
    vec![
        int("n_targets", 1),
        ints("nodes_treeids", &[0, 0, 0]),
        ints("nodes_nodeids", &[0, 1, 2]),
        ints("nodes_featureids", &[0, 0, 0]),
        strings("nodes_modes", &["BRANCH_LEQ", "LEAF", "LEAF"]),
        floats("nodes_values", &[0.5, 0.0, 0.0]),
        ints("nodes_truenodeids", &[1, 0, 0]),
        ints("nodes_falsenodeids", &[2, 0, 0]),
        ints("target_treeids", &[0, 0]),
        ints("target_nodeids", &[1, 2]),
        ints("target_ids", &[0, 0]),
        floats("target_weights", &[1.0, 2.0]),
    ]
}

/// What is said of the stump with one attribute changed.
fn damaged_stump(change: AttributeProto) -> String {
    let mut attributes = stump();
    attributes.retain(|each| each.name != change.name);
    attributes.push(change);
    refusal("TreeEnsembleRegressor", &attributes)
}

#[track_caller]
fn assert_says(error: &str, expected: &str) {
    assert!(error.contains(expected), "{error:?} does not say {expected:?}");
}

#[test]
fn a_tree_that_is_none_is_refused() {
    assert_eq!(refusal("TreeEnsembleRegressor", &stump()), "");
    let circle = damaged_stump(ints("nodes_falsenodeids", &[0, 0, 0]));
    assert_says(&circle, "tree 0 comes to its node 0 twice");
    let met = damaged_stump(ints("nodes_falsenodeids", &[1, 0, 0]));
    assert_says(&met, "tree 0 comes to its node 1 twice");
    let nowhere = damaged_stump(ints("nodes_truenodeids", &[7, 0, 0]));
    assert_says(&nowhere, "nodes_truenodeids of node 0 is 7, which it has not");
    let twins = damaged_stump(ints("nodes_nodeids", &[0, 1, 1]));
    assert_says(&twins, "tree 0 has two nodes 1");
    let negative = damaged_stump(ints("nodes_featureids", &[-1, 0, 0]));
    assert_says(&negative, "nodes_featureids has the index -1");
    let short = damaged_stump(floats("nodes_values", &[0.5]));
    assert_says(&short, "nodes_values has 1 values for 3 nodes");
    let mode = damaged_stump(strings("nodes_modes", &["BRANCH_MAYBE", "LEAF", "LEAF"]));
    assert_says(&mode, "nodes_modes has BRANCH_MAYBE");
    let target = damaged_stump(ints("target_ids", &[0, 1]));
    assert_says(&target, "target_ids has 1, there are 1");
    let weights = damaged_stump(floats("target_weights", &[1.0]));
    assert_says(&weights, "differ in length");
    assert_says(&damaged_stump(int("n_targets", -1)), "out of range");
    assert_says(&damaged_stump(int("n_targets", 0)), "nothing to score");
    assert_says(&damaged_stump(floats("n_targets", &[1.0])), "attribute n_targets is of type");
    assert_says(&damaged_stump(string("aggregate_function", "MODE")), "MODE");
    assert_says(&damaged_stump(string("post_transform", "TANH")), "TANH");
}

#[test]
fn a_machine_whose_lists_do_not_fit_is_refused() {
    let machine = |changes: &[AttributeProto]| {
        let mut attributes = vec![
            ints("classlabels_ints", &[0, 1]),
            ints("vectors_per_class", &[1, 1]),
            floats("support_vectors", &[1.0, 2.0, 3.0, 4.0]),
            floats("coefficients", &[1.0, -1.0]),
            floats("rho", &[0.5]),
            floats("kernel_params", &[1.0, 0.0, 3.0]),
        ];
        attributes.retain(|each| changes.iter().all(|change| change.name != each.name));
        refusal("SVMClassifier", &[&attributes[..], changes].concat())
    };
    assert_eq!(machine(&[]), "");
    assert_says(&machine(&[ints("vectors_per_class", &[1, 2])]), "2 coefficients for 3 vectors");
    assert_says(&machine(&[ints("vectors_per_class", &[1 << 33, 1])]), "index 8589934592");
    assert_says(&machine(&[ints("vectors_per_class", &[2])]), "1 values for 2 classes");
    assert_says(&machine(&[floats("support_vectors", &[1.0])]), "1 numbers are not 2 vectors");
    assert_says(&machine(&[floats("coefficients", &[1.0])]), "1 coefficients for 2 vectors");
    assert_says(&machine(&[floats("rho", &[])]), "rho");
    assert_says(&machine(&[floats("prob_a", &[1.0])]), "prob_a");
    assert_says(&machine(&[floats("kernel_params", &[1.0])]), "kernel_params has not 3 values");
    assert_says(&machine(&[string("kernel_type", "TREE")]), "TREE");
    let both = strings("classlabels_strings", &["a", "b"]);
    assert_says(&machine(&[both]), "exactly one of");
}

#[test]
fn lists_that_do_not_belong_together_are_refused() {
    let keys = ints("keys_int64s", &[1, 2]);
    let error = refusal("LabelEncoder", &[keys.clone(), ints("values_int64s", &[1])]);
    assert_says(&error, "2 keys and 1 values");
    assert_says(&refusal("LabelEncoder", &[keys]), "exactly one of the attributes values_");
    assert_says(&refusal("OneHotEncoder", &[]), "exactly one of the attributes cats_");
    assert_says(&refusal("ZipMap", &[]), "names the classes");
    assert_says(&refusal("Normalizer", &[string("norm", "L7")]), "norm is L7");
    assert_says(&refusal("Imputer", &[]), "is needed");
    assert_says(&refusal("CDist", &[string("metric", "cosine")]), "metric is cosine");
    assert_says(&refusal("FeatureVectorizer", &[ints("inputdimensions", &[-1])]), "index -1");
    let linear = [ints("classlabels_ints", &[0, 1, 2]), floats("coefficients", &[1.0, 2.0])];
    assert_says(&refusal("LinearClassifier", &linear), "cannot be shared by 3 models");
    let targets = [int("targets", 0), floats("coefficients", &[1.0])];
    assert_says(&refusal("LinearRegressor", &targets), "cannot be shared by 0 models");
}
