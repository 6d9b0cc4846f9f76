//! Why a repository, or something in it, was not trusted: sorted by what the daemon reports.

use std::error::Error as _;

use tough::TransportErrorKind;
use tough::error::Error as Tough;

use super::transport::FetchError;
use crate::storage::StorageError;

/// Why a check or a fetch gave nothing. What was verified before it failed is kept.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The root that came with the board cannot be used: only a person can mend that.
    #[error(
        "the root of trust cannot be used: {why}; put the publisher's root.json there, whole and \
         unchanged"
    )]
    Root {
        /// What is wrong with it.
        why: String,
    },
    /// Signatures, digests or versions do not fit: altered, mixed up, or another repository's.
    #[error("the repository's {what} is not signed by its keys, or was altered: {why}")]
    Signature {
        /// Which file.
        what: String,
        /// What does not fit.
        why: String,
    },
    /// Too old by a clock that counts: the publisher stopped, or somebody withholds newer files.
    #[error(
        "the repository's {role} expired on {expired}: run `edgerun repo publish` there, or look why \
         this board is served old files"
    )]
    Expired {
        /// Which role.
        role: &'static str,
        /// When, RFC 3339.
        expired: String,
    },
    /// Older than what this board has seen.
    #[error("the repository went backwards, which its publisher never does: {why}")]
    RolledBack {
        /// Which version came after which.
        why: String,
    },
    /// Longer than it may be.
    #[error("{what} is longer than the {limit} bytes that are taken")]
    TooLarge {
        /// Which file.
        what: String,
        /// The limit.
        limit: u64,
    },
    /// Nothing usable came: network, medium, address.
    #[error("cannot fetch {what}: {why}")]
    Fetch {
        /// Which file.
        what: String,
        /// What happened.
        why: String,
    },
    /// No such bundle among the repository's current ones.
    #[error("{name} is not in the repository")]
    NotFound {
        /// What was looked for.
        name: String,
    },
    /// What is kept between checks cannot be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The bundle cannot be written where it was to go.
    #[error("cannot write the bundle: {0}")]
    Write(std::io::Error),
    /// Something of this machine's own.
    #[error("cannot check the repository: {why}")]
    Machine {
        /// What happened.
        why: String,
    },
}

impl TrustError {
    /// The contract's code for it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Root { .. } | Self::Signature { .. } => "bad_signature",
            Self::Expired { .. } => "expired_metadata",
            Self::RolledBack { .. } => "rolled_back_metadata",
            Self::TooLarge { .. } => "too_large",
            Self::Fetch { .. } => "fetch_failed",
            Self::NotFound { .. } => "not_found",
            Self::Write(error) if error.kind() == std::io::ErrorKind::StorageFull => "no_space",
            Self::Storage(_) | Self::Write(_) | Self::Machine { .. } => "internal",
        }
    }
}

impl From<Tough> for TrustError {
    fn from(error: Tough) -> Self {
        let why = error.to_string();
        match error {
            Tough::ParseTrustedMetadata { .. } | Tough::VerifyTrustedMetadata { .. } => {
                Self::Root { why }
            }
            Tough::ParseMetadata { role, source, .. } => Self::Fetch {
                what: role.to_string(),
                why: format!(
                    "what came is no such metadata ({source}): a wrong address, or a network that \
                     wants a login first?"
                ),
            },
            Tough::VerifyMetadata { role, source, .. } => {
                Self::Signature { what: role.to_string(), why: source.to_string() }
            }
            Tough::VersionMismatch { role, .. } => Self::Signature { what: role.to_string(), why },
            Tough::OlderMetadata { .. }
            | Tough::OlderSnapshotInTimestamp { .. }
            | Tough::SnapshotRoleMissing { .. }
            | Tough::SnapshotRoleRollback { .. } => Self::RolledBack { why },
            Tough::TimestampMetaLength { .. }
            | Tough::MissingSnapshotMeta { .. }
            | Tough::SnapshotTargetsMetaMissing { .. }
            | Tough::MetaMissing { .. }
            | Tough::InvalidPath { .. } => Self::Signature { what: "metadata".to_owned(), why },
            Tough::Transport { source, .. } => Self::from(source),
            _ => Self::Machine { why },
        }
    }
}

impl From<tough::TransportError> for TrustError {
    fn from(error: tough::TransportError) -> Self {
        let what = error.url().rsplit('/').next().unwrap_or_default().replace("%2B", "+");
        let source = error.source();
        if let Some(ours) = source.and_then(|source| source.downcast_ref::<FetchError>()) {
            return match ours {
                FetchError::TooLarge { limit } => Self::TooLarge { what, limit: *limit },
                ours => Self::Fetch { what, why: ours.to_string() },
            };
        }
        match source.and_then(|source| source.downcast_ref::<Tough>()) {
            Some(Tough::MaxSizeExceeded { max_size, .. }) => {
                Self::TooLarge { what, limit: *max_size }
            }
            Some(Tough::HashMismatch { calculated, expected, .. }) => {
                let short = |digest: &str| digest.get(..12).unwrap_or(digest).to_owned();
                let (found, signed) = (short(calculated), short(expected));
                let why = format!("its SHA-256 begins with {found}, {signed} was signed");
                // A bundle is served under its digest and its name.
                let name = what.strip_prefix(&format!("{expected}.")).unwrap_or(&what);
                Self::Signature { what: name.to_owned(), why }
            }
            _ if error.kind() == TransportErrorKind::FileNotFound => {
                Self::Fetch { what, why: FetchError::NotFound.to_string() }
            }
            _ => Self::Fetch { what, why: error.to_string() },
        }
    }
}
