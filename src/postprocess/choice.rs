//! `action` and `cluster`: one of several, by the highest value or the smallest distance.

use std::sync::Arc;

use super::{Found, Held, Settling, Task};
use crate::data::{EventKind, Finding};
use crate::model::{Action, Cluster};

/// What holds between windows, and the names of what may.
struct Choice {
    names: Vec<Arc<str>>,
    hold: u32,
    chosen: Option<usize>,
    settling: Settling<Option<usize>>,
}

impl Choice {
    fn new(names: Vec<Arc<str>>, hold: u32) -> Self {
        Self { names, hold, chosen: None, settling: Settling::default() }
    }

    /// Goes with `best`, once that was the best as often in a row as `hold` says; the first counts at once where nothing
    /// was chosen yet and `at_once`.
    fn settle(&mut self, best: Option<usize>, at_once: bool) -> Option<EventKind> {
        let before = self.chosen;
        let hold = if at_once && before.is_none() { 1 } else { self.hold };
        if self.settling.settles(best, before, hold) {
            self.chosen = best;
        }
        (self.chosen != before).then(|| EventKind::LabelChanged {
            from: before.map(|index| self.names[index].clone()),
            to: self.name(),
        })
    }

    fn name(&self) -> Option<Arc<str>> {
        self.chosen.map(|index| self.names[index].clone())
    }

    fn held(&self) -> Held {
        Held::Label(self.name())
    }

    fn go_on_from(&mut self, held: &Held) {
        self.chosen = held.place_among(&self.names);
        self.settling = Settling::default();
    }
}

/// The first index of the value that `is_better` than all others, as NumPy's argmax and argmin have it.
fn best(values: &[f32], is_better: impl Fn(f32, f32) -> bool) -> Option<usize> {
    let better = |best: Option<usize>, (index, value): (usize, &f32)| match best {
        Some(best) if !is_better(*value, values[best]) => Some(best),
        _ => Some(index),
    };
    values.iter().enumerate().fold(None, better)
}

/// A policy: the action of the highest value, never one by chance.
pub(super) struct Policy(Choice);

impl Policy {
    /// `actions` by index.
    pub(super) fn new(settings: &Action, actions: Vec<Arc<str>>) -> Self {
        Self(Choice::new(actions, settings.hold))
    }
}

impl Task for Policy {
    fn read(&mut self, _input: &[f32], outputs: &[&[f32]]) -> Found {
        let values = outputs[0];
        let changed = self.0.settle(best(values, |a, b| a > b), true);
        let chosen = self.0.chosen.unwrap_or_default();
        let finding = Finding::Action {
            action: self.0.names[chosen].clone(),
            value: values[chosen],
            values: values.to_vec(),
        };
        (finding, changed)
    }

    fn held(&self) -> Held {
        self.0.held()
    }

    fn go_on_from(&mut self, held: &Held) {
        self.0.go_on_from(held);
    }
}

/// A clustering: the nearest cluster, or none that is near enough.
pub(super) struct Nearest {
    choice: Choice,
    limit: f32,
}

impl Nearest {
    /// `clusters` by index.
    pub(super) fn new(settings: &Cluster, clusters: Vec<Arc<str>>) -> Self {
        let limit = settings.limit.unwrap_or(f32::INFINITY);
        Self { choice: Choice::new(clusters, settings.hold), limit }
    }
}

impl Task for Nearest {
    fn read(&mut self, _input: &[f32], outputs: &[&[f32]]) -> Found {
        let distances = outputs[0];
        let nearest = best(distances, |a, b| a < b);
        let near = nearest.filter(|&index| distances[index] <= self.limit);
        let changed = self.choice.settle(near, false);
        let told = self.choice.chosen.or(nearest);
        let distance = told.map_or(0.0, |index| distances[index]);
        (Finding::Cluster { cluster: self.choice.name(), distance }, changed)
    }

    fn held(&self) -> Held {
        self.choice.held()
    }

    fn go_on_from(&mut self, held: &Held) {
        self.choice.go_on_from(held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<Arc<str>> {
        ["a", "b", "c"].map(Arc::from).into()
    }

    fn acts(policy: &mut Policy, values: [f32; 3]) -> (String, f32) {
        match policy.read(&[], &[&values]).0 {
            Finding::Action { action, value, values: all } => {
                assert_eq!(all, values);
                (action.to_string(), value)
            }
            other => panic!("no action: {other:?}"),
        }
    }

    #[test]
    fn a_policy_takes_the_highest_value_and_the_first_of_equals() {
        let mut policy = Policy::new(&Action { epsilon: 0.0, hold: 1 }, names());
        assert_eq!(acts(&mut policy, [-1.0, 2.0, 0.5]), ("b".to_owned(), 2.0));
        assert_eq!(acts(&mut policy, [3.0, 3.0, 3.0]), ("a".to_owned(), 3.0));
        for _ in 0..1000 {
            assert_eq!(acts(&mut policy, [-3.0, -2.0, -1.0]).0, "c", "nothing is left to chance");
        }
    }

    #[test]
    fn another_action_must_be_the_best_as_often_as_hold_says_but_there_is_one_at_once() {
        let mut policy = Policy::new(&Action { epsilon: 0.0, hold: 2 }, names());
        assert_eq!(acts(&mut policy, [1.0, 0.0, 0.0]).0, "a");
        assert_eq!(acts(&mut policy, [0.0, 1.0, 0.0]), ("a".to_owned(), 0.0));
        let (_, event) = policy.read(&[], &[&[0.0, 1.0, 0.0]]);
        let (from, to) = (Some("a".into()), Some("b".into()));
        assert_eq!(event, Some(EventKind::LabelChanged { from, to }));
    }

    #[test]
    fn a_window_is_in_the_nearest_cluster_or_in_none() {
        let mut nearest = Nearest::new(&Cluster { limit: Some(2.0), hold: 1 }, names());
        let mut find = |distances: [f32; 3]| nearest.read(&[], &[&distances]).0;
        let cluster = |cluster: Option<&str>, distance| Finding::Cluster {
            cluster: cluster.map(Arc::from),
            distance,
        };
        assert_eq!(find([3.0, 0.5, 1.0]), cluster(Some("b"), 0.5));
        assert_eq!(find([2.0, 2.0, 9.0]), cluster(Some("a"), 2.0));
        assert_eq!(find([5.0, 3.0, 4.0]), cluster(None, 3.0));
    }
}
