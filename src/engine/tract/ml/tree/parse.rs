//! Trees from the parallel lists of a node's attributes. A file can say anything: links to nowhere,
//! circles, and branches that meet again are refused, so every walk ends at a leaf.

use std::collections::HashMap;

use tract_onnx::prelude::TractResult;
use tract_onnx::tract_core::internal::bail;

use super::ensemble::{Aggregate, Ensemble, Node, Test, Weight};
use crate::engine::tract::ml::attributes::Attributes;

/// A node in a file: the number of its tree, and its own in that.
type Id = (u32, u32);

/// The lists of attributes, all of the same length.
struct Lists<'a> {
    ids: Vec<Id>,
    features: Vec<u32>,
    modes: Vec<Option<Test>>,
    values: &'a [f32],
    yes: Vec<u32>,
    no: Vec<u32>,
    /// Empty, or one for each node.
    missing: &'a [i64],
}

fn mode(name: &str) -> TractResult<Option<Test>> {
    Ok(Some(match name {
        "LEAF" => return Ok(None),
        "BRANCH_LEQ" => Test::LessOrEqual,
        "BRANCH_LT" => Test::Less,
        "BRANCH_GTE" => Test::GreaterOrEqual,
        "BRANCH_GT" => Test::Greater,
        "BRANCH_EQ" => Test::Equal,
        "BRANCH_NEQ" => Test::NotEqual,
        _ => bail!("attribute nodes_modes has {name}"),
    }))
}

impl<'a> Lists<'a> {
    fn read(attributes: &Attributes<'a>) -> TractResult<Self> {
        for name in ["nodes_values_as_tensor", "base_values_as_tensor"] {
            attributes.refuse(name, "trees in float64 are not read: export for float32 inputs")?;
        }
        let trees = attributes.indices("nodes_treeids")?;
        let ids = attributes.indices("nodes_nodeids")?;
        let modes = attributes.strings("nodes_modes")?;
        let lists = Self {
            features: attributes.indices("nodes_featureids")?,
            modes: modes.iter().map(|name| mode(name)).collect::<TractResult<_>>()?,
            values: attributes.floats("nodes_values")?,
            yes: attributes.indices("nodes_truenodeids")?,
            no: attributes.indices("nodes_falsenodeids")?,
            missing: attributes.ints("nodes_missing_value_tracks_true")?,
            ids: trees.iter().copied().zip(ids.iter().copied()).collect(),
        };
        let count = trees.len();
        let lengths = [
            ("nodes_nodeids", ids.len()),
            ("nodes_featureids", lists.features.len()),
            ("nodes_modes", lists.modes.len()),
            ("nodes_values", lists.values.len()),
            ("nodes_truenodeids", lists.yes.len()),
            ("nodes_falsenodeids", lists.no.len()),
            ("nodes_missing_value_tracks_true", lists.missing.len().max(count)),
        ];
        if let Some((name, len)) = lengths.into_iter().find(|(_, len)| *len != count) {
            bail!("attribute {name} has {len} values for {count} nodes");
        }
        if !lists.missing.is_empty() && lists.missing.len() != count {
            bail!("nodes_missing_value_tracks_true has not a value for each of {count} nodes");
        }
        if count == 0 || u32::try_from(count).is_err() {
            bail!("its trees have {count} nodes");
        }
        Ok(lists)
    }
}

/// The weights of leaves, in the file's order for each.
fn weights(
    attributes: &Attributes,
    prefix: &str,
    scores: usize,
) -> TractResult<HashMap<Id, Vec<Weight>>> {
    attributes.refuse(
        &format!("{prefix}_weights_as_tensor"),
        "trees in float64 are not read: export for float32 inputs",
    )?;
    let trees = attributes.indices(&format!("{prefix}_treeids"))?;
    let nodes = attributes.indices(&format!("{prefix}_nodeids"))?;
    let ids = attributes.indices(&format!("{prefix}_ids"))?;
    let values = attributes.floats(&format!("{prefix}_weights"))?;
    let count = values.len();
    if trees.len() != count || nodes.len() != count || ids.len() != count {
        bail!("{prefix}_treeids, _nodeids, _ids and _weights differ in length");
    }
    if u32::try_from(count).is_err() {
        bail!("{count} weights are too many");
    }
    let mut all: HashMap<Id, Vec<Weight>> = HashMap::new();
    for (((tree, node), score), &value) in trees.into_iter().zip(nodes).zip(ids).zip(values) {
        if score as usize >= scores {
            bail!("attribute {prefix}_ids has {score}, there are {scores}");
        }
        all.entry((tree, node)).or_default().push(Weight { score, value });
    }
    Ok(all)
}

/// Lays the trees out, each from its first node in the file, which is its root.
pub(super) fn ensemble(
    attributes: &Attributes,
    prefix: &str,
    scores: usize,
    aggregate: Aggregate,
) -> TractResult<Ensemble> {
    if scores == 0 {
        bail!("it has nothing to score");
    }
    let lists = Lists::read(attributes)?;
    let mut weights = weights(attributes, prefix, scores)?;
    let mut places = HashMap::new();
    for (place, id) in lists.ids.iter().enumerate() {
        if places.insert(*id, place).is_some() {
            bail!("tree {} has two nodes {}", id.0, id.1);
        }
    }
    let mut made = Ensemble {
        nodes: Vec::with_capacity(lists.ids.len()),
        roots: Vec::new(),
        leaves: Vec::new(),
        weights: Vec::new(),
        scores,
        columns: 0,
        aggregate,
        plain: true,
        lone: true,
    };
    let mut laid = vec![false; lists.ids.len()];
    let mut begun = HashMap::new();
    for (root, (tree, _)) in lists.ids.iter().enumerate() {
        if begun.insert(*tree, ()).is_some() {
            continue;
        }
        made.roots.push(made.nodes.len() as u32);
        // What is still to be laid out, and the branch that goes there if its test fails.
        let mut open: Vec<(usize, Option<usize>)> = vec![(root, None)];
        while let Some((place, from)) = open.pop() {
            let (tree, node) = lists.ids[place];
            if std::mem::replace(&mut laid[place], true) {
                bail!("tree {tree} comes to its node {node} twice");
            }
            let at = made.nodes.len();
            if let Some(branch) = from {
                made.nodes[branch].other = at as u32;
            }
            let Some(test) = lists.modes[place] else {
                let found = weights.remove(&(tree, node)).unwrap_or_default();
                made.push_leaf(&found);
                continue;
            };
            let child = |name: &str, id: u32| match places.get(&(tree, id)) {
                Some(&place) => Ok(place),
                None => bail!("tree {tree}: {name} of node {node} is {id}, which it has not"),
            };
            let feature = lists.features[place];
            if feature == Node::LEAF {
                bail!("attribute nodes_featureids has {feature}");
            }
            let missing = lists.missing.get(place).is_some_and(|&tracks| tracks != 0);
            made.columns = made.columns.max(feature as usize + 1);
            made.plain &= test == Test::LessOrEqual && !missing;
            made.nodes.push(Node { value: lists.values[place], feature, other: 0, test, missing });
            open.push((child("nodes_falsenodeids", lists.no[place])?, Some(at)));
            open.push((child("nodes_truenodeids", lists.yes[place])?, None));
        }
    }
    Ok(made)
}

impl Ensemble {
    fn push_leaf(&mut self, found: &[Weight]) {
        let leaf = self.leaves.len() as u32;
        let start = self.weights.len() as u32;
        self.weights.extend(found);
        self.leaves.push((start, self.weights.len() as u32));
        self.lone &= self.scores == 1 && found.len() == 1;
        let (value, feature) = (found.first().map_or(0.0, |weight| weight.value), Node::LEAF);
        let (test, missing) = (Test::LessOrEqual, false);
        self.nodes.push(Node { value, feature, other: leaf, test, missing });
    }
}
