//! Trees as one flat list of nodes, walked without allocation.

/// A number that a node compares: either precision, against thresholds in float32.
pub(super) trait Feature: Copy + PartialOrd + From<f32> {}

impl Feature for f32 {}
impl Feature for f64 {}

/// How a node compares a feature with its threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Test {
    LessOrEqual,
    Less,
    GreaterOrEqual,
    Greater,
    Equal,
    NotEqual,
}

impl Test {
    fn holds<T: Feature>(self, x: T, threshold: T) -> bool {
        match self {
            Self::LessOrEqual => x <= threshold,
            Self::Less => x < threshold,
            Self::GreaterOrEqual => x >= threshold,
            Self::Greater => x > threshold,
            Self::Equal => x == threshold,
            Self::NotEqual => x != threshold,
        }
    }
}

/// A branch goes on with the node after it where its test holds. Trees lie in the list one after
/// the other, each node before its children.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// What a branch compares with, or what a leaf with a single weight adds.
    pub(super) value: f32,
    /// The column that a branch looks at, or [`Node::LEAF`].
    pub(super) feature: u32,
    /// Where a branch goes on if its test fails; a leaf's place in the list of leaves.
    pub(super) other: u32,
    pub(super) test: Test,
    /// Whether the test holds for a missing value, which is NaN.
    pub(super) missing: bool,
}

impl Node {
    pub(super) const LEAF: u32 = u32::MAX;
}

/// What a leaf adds, and to which score.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weight {
    pub(super) score: u32,
    pub(super) value: f32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Aggregate {
    Sum,
    Average,
    Min,
    Max,
}

/// The score of a class or target, and whether any leaf had something for it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Score {
    pub(super) value: f32,
    pub(super) seen: bool,
}

/// All trees of a node.
#[derive(Debug)]
pub(super) struct Ensemble {
    pub(super) nodes: Vec<Node>,
    /// Where each tree begins in `nodes`.
    pub(super) roots: Vec<u32>,
    /// Where each leaf's weights lie.
    pub(super) leaves: Vec<(u32, u32)>,
    pub(super) weights: Vec<Weight>,
    /// Classes or targets.
    pub(super) scores: usize,
    /// Columns that a row must have.
    pub(super) columns: usize,
    pub(super) aggregate: Aggregate,
    /// All branches test `<=`, and missing values fail: the usual case.
    pub(super) plain: bool,
    /// Each leaf has one weight, for the only score.
    pub(super) lone: bool,
}

impl Ensemble {
    fn leaf<T: Feature, const PLAIN: bool>(&self, root: u32, row: &[T]) -> &Node {
        let mut at = root as usize;
        loop {
            let node = &self.nodes[at];
            if node.feature == Node::LEAF {
                return node;
            }
            let x = row[node.feature as usize];
            let threshold = T::from(node.value);
            let holds = if PLAIN {
                x <= threshold
            } else {
                #[allow(clippy::eq_op)]
                let missing = x != x;
                node.test.holds(x, threshold) || node.missing && missing
            };
            at = if holds { at + 1 } else { node.other as usize };
        }
    }

    /// Fills `scores` from a row that has at least `columns` values.
    pub(super) fn score<T: Feature>(&self, row: &[T], scores: &mut [Score]) {
        if self.plain {
            self.walk::<T, true>(row, scores)
        } else {
            self.walk::<T, false>(row, scores)
        }
    }

    fn walk<T: Feature, const PLAIN: bool>(&self, row: &[T], scores: &mut [Score]) {
        scores.fill(Score::default());
        if self.lone && matches!(self.aggregate, Aggregate::Sum | Aggregate::Average) {
            let leaves = self.roots.iter().map(|&root| self.leaf::<T, PLAIN>(root, row).value);
            scores[0] = Score { value: leaves.fold(0.0, |sum, value| sum + value), seen: true };
        } else {
            for &root in &self.roots {
                let leaf = self.leaf::<T, PLAIN>(root, row);
                let (start, end) = self.leaves[leaf.other as usize];
                for weight in &self.weights[start as usize..end as usize] {
                    self.add(&mut scores[weight.score as usize], weight.value);
                }
            }
        }
        if self.aggregate == Aggregate::Average {
            scores.iter_mut().for_each(|score| score.value /= self.roots.len() as f32);
        }
    }

    fn add(&self, score: &mut Score, value: f32) {
        score.value = match self.aggregate {
            Aggregate::Sum | Aggregate::Average => score.value + value,
            Aggregate::Min if score.seen => score.value.min(value),
            Aggregate::Max if score.seen => score.value.max(value),
            Aggregate::Min | Aggregate::Max => value,
        };
        score.seen = true;
    }
}
