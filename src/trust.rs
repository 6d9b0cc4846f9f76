//! The board's side of signed updates: what a repository offers, once it is verified.
//!
//! tough does TUF; here is what it leaves to us: state that survives power cuts, a root that is never
//! forgotten, expiry without a clock, transports that resume. `docs/decisions/0015-trust.md` says why.
//! Everything blocks: for a thread of its own, never for one that runs an async runtime.

mod check;
mod clock;
mod error;
mod fetch;
mod state;
#[cfg(test)]
mod tests;
mod transport;
mod unpacked;

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tough::schema::{Root, Signed};

pub use check::{Checked, Target};
pub use clock::Verdict;
pub use error::TrustError;
pub use transport::{
    Body, FetchError, FileSource, HttpSettings, HttpSource, Patience, RepositoryPath, Source,
    source,
};

use crate::model::release::hex;
use crate::storage::{FileName, Storage};
use state::State;

/// No moment is before this: it is when this line was last touched, at each release.
const RELEASED_S: u64 = 1_793_491_200; // 2026-11-01

/// What people compare and look after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootInfo {
    /// Its version.
    pub version: u64,
    /// As [`crate::model::release::fingerprint`] makes it.
    pub fingerprint: String,
    /// When it expires, in seconds since 1970.
    pub expires: u64,
}

/// What a board trusts, and keeps in `trust.json`.
pub struct TrustStore {
    storage: Arc<dyn Storage>,
    shipped: Signed<Root>,
    shipped_text: String,
    /// Seconds since 1970 before which it cannot be.
    build: u64,
    file: FileName,
}

/// When this program was built, as far as it knows.
pub fn build_time() -> Duration {
    let stated = option_env!("SOURCE_DATE_EPOCH").and_then(|text| text.parse().ok());
    Duration::from_secs(stated.unwrap_or(RELEASED_S).max(RELEASED_S))
}

impl TrustStore {
    /// Trust that begins with `root`, the text of the `root.json` that came with the board's
    /// configuration, and is kept in `storage`. No moment is before `build`, see [`build_time`].
    ///
    /// # Errors
    /// [`TrustError::Root`] where `root` is no root, or not signed by its own keys.
    pub fn new(
        storage: Arc<dyn Storage>,
        root: &[u8],
        build: Duration,
    ) -> Result<Self, TrustError> {
        let wrong = |why: String| TrustError::Root { why };
        let text = std::str::from_utf8(root).map_err(|error| wrong(error.to_string()))?;
        let shipped: Signed<Root> =
            serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        shipped.signed.verify_role(&shipped).map_err(|error| wrong(error.to_string()))?;
        let file = FileName::new("trust.json").expect("a plain name");
        let build = build.as_secs();
        Ok(Self { storage, shipped, shipped_text: text.to_owned(), build, file })
    }

    /// The newest root that is trusted: the shipped one or a later one that it led to.
    ///
    /// # Errors
    /// When what is kept cannot be read.
    pub fn root(&self) -> Result<RootInfo, TrustError> {
        let (before, _) = self.read()?;
        Ok(state::describe(&before.root().unwrap_or_else(|| self.shipped.clone()).signed))
    }

    /// What is kept, as it is on the medium, and what a check begins with.
    fn read(&self) -> Result<(State, bool), TrustError> {
        let Some(bytes) = self.storage.read(&self.file)? else {
            return Ok((State::default(), false));
        };
        match State::decode(&bytes) {
            Some(state) => Ok((state, false)),
            None => Ok((State::default(), true)),
        }
    }

    /// The state that a check begins with: what is kept, or the shipped root where that is newer, or
    /// another repository's.
    fn begin(&self, kept: &State) -> State {
        let anchor = hex(&Sha256::digest(&self.shipped_text));
        let mut state = kept.clone();
        let fresh = match kept.root() {
            None => true,
            // The same file as ever: what it led to counts.
            Some(_) if kept.anchor == anchor => false,
            // Another file: an administrator moved on within the same repository, or to another one.
            Some(root) if state::related(&root, &self.shipped) => {
                self.shipped.signed.version > root.signed.version
            }
            Some(_) => {
                state = State::default();
                true
            }
        };
        if fresh {
            if let Some(old) = kept.root()
                && timestamp_keys(&old.signed) != timestamp_keys(&self.shipped.signed)
            {
                state.floors.hard = 0;
            }
            state.roles.insert("root.json".to_owned(), self.shipped_text.clone());
        }
        state.anchor = anchor;
        state.floors.prove(self.build);
        state
    }
}

fn timestamp_keys(root: &Root) -> Vec<String> {
    state::key_ids(root, tough::schema::RoleType::Timestamp)
}
