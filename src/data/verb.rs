//! What a board can be told to do: the verbs of `cmd/<verb>`.

use std::fmt;

/// A verb. What it does is said in `daemon::commands`, where each has its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// How the board is doing, now.
    Health,
    /// Runs a pipeline's model on given input.
    Infer,
    /// Records windows as they come, for training.
    Capture,
    /// Keeps pipelines from making results; their sensors go on.
    Pause,
    /// Lets them make results again.
    Resume,
    /// Reads the configuration anew.
    Reload,
    /// Brings another version of a model, or asks the repository now.
    Update,
    /// Goes back to the version before.
    Rollback,
    /// Ends the process, for systemd to start it again.
    Restart,
    /// What is logged, until the next start.
    LogLevel,
}

impl Verb {
    /// All there are.
    pub const ALL: [Self; 10] = [
        Self::Health,
        Self::Infer,
        Self::Capture,
        Self::Pause,
        Self::Resume,
        Self::Reload,
        Self::Update,
        Self::Rollback,
        Self::Restart,
        Self::LogLevel,
    ];

    /// What is allowed where the configuration says nothing.
    pub const USUAL: [Self; 5] =
        [Self::Health, Self::Pause, Self::Resume, Self::Update, Self::Rollback];

    /// As in the topic.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Infer => "infer",
            Self::Capture => "capture",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Reload => "reload",
            Self::Update => "update",
            Self::Rollback => "rollback",
            Self::Restart => "restart",
            Self::LogLevel => "log-level",
        }
    }

    /// The verb that is written so.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.as_str() == name)
    }

    /// Whether the board is another one afterwards: such a command must not be carried out twice.
    pub fn changes_state(self) -> bool {
        match self {
            Self::Health | Self::Infer | Self::Capture => false,
            Self::Pause
            | Self::Resume
            | Self::Reload
            | Self::Update
            | Self::Rollback
            | Self::Restart
            | Self::LogLevel => true,
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_is_found_by_its_name_and_no_other_is() {
        for verb in Verb::ALL {
            assert_eq!(Verb::named(verb.as_str()), Some(verb));
        }
        for name in ["", "Health", "log_level", "+", "pause "] {
            assert_eq!(Verb::named(name), None, "{name:?}");
        }
    }
}
