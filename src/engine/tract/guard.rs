//! Panics inside tract become errors that say where they happened, and print nothing.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use tract_onnx::prelude::TractError;

use super::NodeName;
use crate::engine::{EngineError, EngineKind};

/// How tract failed.
pub(super) enum Failure {
    /// It returned an error.
    Said(TractError),
    /// It panicked, with this message at this place in its source.
    Panicked(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said(error) => write!(f, "{error:#}"),
            Self::Panicked(message) => write!(f, "tract panicked: {message}"),
        }
    }
}

impl Failure {
    /// The error that names the node: the one that tract's chain of messages mentions.
    pub(super) fn into_error(self, nodes: &[NodeName]) -> EngineError {
        let blamed = match &self {
            Self::Panicked(_) => None,
            Self::Said(error) => {
                // The outermost message that names a node says where; what is below it says why.
                let chain: Vec<String> = error.chain().map(ToString::to_string).collect();
                chain.iter().find_map(|text| nodes.iter().find(|node| mentions(text, node)))
            }
        };
        let (node, op) = match blamed {
            Some(node) => (node.shown.clone(), node.op.clone()),
            None => ("?".to_owned(), "tract does not say which".to_owned()),
        };
        let why = match &self {
            Self::Said(error) => first_lines(&error.root_cause().to_string()),
            Self::Panicked(_) => self.to_string(),
        };
        EngineError::Unsupported { engine: EngineKind::Tract, node, op, why }
    }
}

/// Whether `text` names `node` as a whole word: tract writes `"name"`, `node NAME (Op)` or `#3 "name" Op`.
fn mentions(text: &str, node: &NodeName) -> bool {
    if node.tract.is_empty() {
        return false;
    }
    let border = |c: Option<char>| {
        c.is_none_or(|c| c.is_whitespace() || matches!(c, '"' | '(' | ')' | ',' | ':' | '\''))
    };
    text.match_indices(&node.tract).any(|(start, found)| {
        border(text[..start].chars().next_back())
            && border(text[start + found.len()..].chars().next())
    })
}

/// tract prints whole structures into some messages; a few lines tell enough.
fn first_lines(text: &str) -> String {
    let line = text.lines().map(str::trim).take(3).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static MESSAGE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `work`; a panic is caught, kept off the terminal and given back with its place.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Failure> {
    static HOOK: Once = Once::new();
    // The hook that was there before still sees every other panic.
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                return before(info);
            }
            let payload = info.payload();
            let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
            // The file's last two parts: the rest is the machine that it was built on.
            let place = info.location().map(|at| {
                let parts: Vec<_> = at.file().rsplit('/').take(2).collect();
                let file = parts.into_iter().rev().collect::<Vec<_>>().join("/");
                format!(" ({file}:{})", at.line())
            });
            let text = first_lines(&text.unwrap_or_default());
            MESSAGE.set(Some(text + &place.unwrap_or_default()));
        }));
    });
    let outer = GUARDED.replace(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(outer);
    outcome.map_err(|_| Failure::Panicked(MESSAGE.take().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panic_is_an_error_with_its_message_and_place() {
        let failure = guarded(|| panic!("no axis {}", 7)).err().unwrap().to_string();
        assert!(failure.starts_with("tract panicked: no axis 7 (tract/guard.rs:"), "{failure}");
    }

    #[test]
    fn node_is_found_by_whole_name_only() {
        let node = |name: &str| NodeName {
            shown: name.to_owned(),
            tract: name.to_owned(),
            op: "Conv".to_owned(),
        };
        assert!(mentions("Failed analyse for node #3 \"conv1\" Conv", &node("conv1")));
        assert!(mentions("Building node a/conv1 (Conv)", &node("a/conv1")));
        assert!(!mentions("Building node conv12 (Conv)", &node("conv1")));
        assert!(!mentions("anything", &node("")));
    }
}
