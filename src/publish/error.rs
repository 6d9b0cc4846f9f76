//! Why a publisher's command did nothing; each says what to do.

use std::path::{Path, PathBuf};

use super::Role;
use crate::model::release::ReleaseError;

/// Why a publisher's command failed. What is published stays as it was.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say all
pub enum PublishError {
    #[error("cannot {doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{} is not empty: name a new folder", dir.display())]
    NotEmpty { dir: PathBuf },
    #[error("{} is no publisher's folder: make one with `edgerun repo init`", dir.display())]
    NoPublisher { dir: PathBuf },
    #[error("another edgerun repo works on {}: wait until it is done", dir.display())]
    Busy { dir: PathBuf },
    #[error("{}: {why}: mend it by hand, or take it from a backup", path.display())]
    Damaged { path: PathBuf, why: String },
    #[error("others can get at {}; run: chmod go= {}", path.display(), path.display())]
    Exposed { path: PathBuf },
    #[error("{} is no signing key: {why}", path.display())]
    Key { path: PathBuf, why: String },
    #[error("the passphrase does not open {}", path.display())]
    Passphrase { path: PathBuf },
    #[error("{} needs a passphrase: {why}", path.display())]
    NoPassphrase { path: PathBuf, why: String },
    #[error(
        "{role} needs {need} of its keys, here are {have}; missing: {missing}. Bring them, and name \
         their folder with --keys"
    )]
    KeysMissing { role: Role, need: u64, have: usize, missing: String },
    #[error("the signer `{command}`: {why}")]
    Signer { command: String, why: String },
    #[error("{} is no public key: {why}", path.display())]
    PublicKey { path: PathBuf, why: String },
    #[error("{name} is published already, with other bytes: give the bundle a new version")]
    Conflict { name: String },
    #[error("{name} is not published: `edgerun repo list` shows what is")]
    NotListed { name: String },
    #[error(
        "this machine's clock is before {issued}, when the repository was last signed: set the clock"
    )]
    ClockBack { issued: String },
    #[error("{0}")]
    Value(String),
    #[error(transparent)]
    Release(#[from] ReleaseError),
    #[error("cannot sign {role}: {why}")]
    Sign { role: String, why: String },
}

impl PublishError {
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}
