//! Why an update did not go through: a code from a closed list, and words for people.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What went wrong, as `model/NAME/reported` names it. Once published, a name never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// A wish that cannot be read, or several that contradict each other.
    BadRequest,
    /// Another update or a stop came between.
    Busy,
    /// Larger than a bundle may be.
    TooLarge,
    /// The disk has no room for it.
    NoSpace,
    /// The memory has no room for it beside what runs.
    NoMemory,
    /// The repository or the way to it does not answer as it should.
    FetchFailed,
    /// Not signed by whom it must be, or not the bytes that were signed.
    BadSignature,
    /// What the repository says is too old to be believed.
    ExpiredMetadata,
    /// The repository says less than it has said before.
    RolledBackMetadata,
    /// Not for this board, this edgerun, or these sensors; or an older version that nobody meant.
    Incompatible,
    /// The bundle's own answers are not met.
    SelfTestFailed,
    /// On live windows it differs too much from what runs, or takes too long.
    ShadowDisagreed,
    /// It failed at work.
    TrialFailed,
    /// The repository does not have it.
    NotFound,
    /// This board's own fault.
    Internal,
}

/// Why an update did not go through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind, for programs.
    pub code: Code,
    /// What happened and what to do, for people.
    pub message: String,
}

impl Code {
    /// As it is published.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Busy => "busy",
            Self::TooLarge => "too_large",
            Self::NoSpace => "no_space",
            Self::NoMemory => "no_memory",
            Self::FetchFailed => "fetch_failed",
            Self::BadSignature => "bad_signature",
            Self::ExpiredMetadata => "expired_metadata",
            Self::RolledBackMetadata => "rolled_back_metadata",
            Self::Incompatible => "incompatible",
            Self::SelfTestFailed => "self_test_failed",
            Self::ShadowDisagreed => "shadow_disagreed",
            Self::TrialFailed => "trial_failed",
            Self::NotFound => "not_found",
            Self::Internal => "internal",
        }
    }
}

impl Failure {
    /// A failure of kind `code`.
    pub fn new(code: Code, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }

    /// Whether the bundle itself is at fault, so that it is not tried again on this board. Everything else
    /// may be another thing tomorrow.
    pub fn condemns(&self) -> bool {
        matches!(self.code, Code::SelfTestFailed | Code::ShadowDisagreed | Code::TrialFailed)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<crate::store::StoreError> for Failure {
    fn from(error: crate::store::StoreError) -> Self {
        use crate::store::StoreError;
        let code = match &error {
            StoreError::Full { .. } => Code::NoSpace,
            StoreError::Disk { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Code::NoSpace
            }
            StoreError::Archive { .. } => Code::Incompatible,
            StoreError::Damaged(_) => Code::BadSignature,
            StoreError::Disk { .. } | StoreError::Locked(_) | StoreError::Missing(_) => {
                Code::Internal
            }
        };
        Self::new(code, error)
    }
}
