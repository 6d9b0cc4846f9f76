//! Where a repository's files come from: a [`Source`] opens them, everything else is done here.
//!
//! A new transport is one file that implements [`Source`]: resuming, limits, patience and the way into
//! tough are the same for all.

mod adapter;
mod file;
mod http;
mod pump;

use std::fmt;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::clock::Clock;
use crate::model::release::TargetName;

pub(super) use adapter::{Adapter, Part};
pub use file::FileSource;
pub use http::{HttpSettings, HttpSource};

/// Opens the files of one repository. Blocking: it is asked on a thread of its own.
pub trait Source: fmt::Debug + Send + Sync {
    /// Opens `path` to be read from byte `offset` on, or from an earlier one where the other side
    /// cannot begin in the middle.
    ///
    /// # Errors
    /// [`FetchError::NotFound`] only when the other side says that there is no such file; a fault
    /// must never look like that, for it would hide a newer root.
    fn open(&self, path: &RepositoryPath, offset: u64) -> Result<Body, FetchError>;
}

/// The source for a repository at `url`: `https://`, `http://` or `file://`.
///
/// # Errors
/// Says what is wrong with the URL or the settings.
pub fn source(url: &str, settings: &HttpSettings) -> Result<Arc<dyn Source>, String> {
    match url.split_once("://") {
        Some(("file", _)) => Ok(Arc::new(FileSource::from_url(url)?)),
        Some(("https" | "http", _)) => Ok(Arc::new(HttpSource::new(url, settings)?)),
        _ => Err(format!("{url} is neither https://, http:// nor file://")),
    }
}

/// A file that is open.
pub struct Body {
    /// The byte that the reader begins with: the one asked for, or an earlier one.
    pub offset: u64,
    /// Bytes that are left from there, where the other side says so.
    pub length: Option<u64>,
    /// The bytes. A read returns within the source's own timeout.
    pub reader: Box<dyn Read + Send>,
}

/// A file's place below the repository: only names that a repository of ours can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryPath {
    path: String,
    bytes_max: u64,
}

/// Sizes that are taken; together they stay below what storage keeps.
const ROOT_BYTES_MAX: u64 = 64 << 10;
const TIMESTAMP_BYTES_MAX: u64 = 16 << 10;
const SNAPSHOT_BYTES_MAX: u64 = 32 << 10;
const TARGETS_BYTES_MAX: u64 = 320 << 10;

/// The same for tough, which trusts a length that a signed file names more than these.
pub(super) const LIMITS: tough::Limits = tough::Limits {
    max_root_size: ROOT_BYTES_MAX,
    max_targets_size: TARGETS_BYTES_MAX,
    max_timestamp_size: TIMESTAMP_BYTES_MAX,
    max_snapshot_size: SNAPSHOT_BYTES_MAX,
    // A board that slept for years catches up; tough allows one less than it is told.
    max_root_updates: 4096,
};

impl RepositoryPath {
    /// `text`, such as `metadata/timestamp.json`, if a repository of ours can have that file.
    ///
    /// Delegated roles are no such files: a signer of targets alone cannot make a board fetch more.
    pub fn new(text: &str) -> Option<Self> {
        let bytes_max = match text.split_once('/')? {
            ("metadata", "timestamp.json") => TIMESTAMP_BYTES_MAX,
            ("metadata", name) => {
                let (version, role) = name.split_once('.')?;
                let digits = version.chars().all(|c| c.is_ascii_digit());
                if !(1..=20).contains(&version.len()) || !digits {
                    return None;
                }
                match role {
                    "root.json" => ROOT_BYTES_MAX,
                    "snapshot.json" => SNAPSHOT_BYTES_MAX,
                    "targets.json" => TARGETS_BYTES_MAX,
                    _ => return None,
                }
            }
            ("targets", name) => {
                let (digest, target) = name.split_once('.')?;
                let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
                if digest.len() != 64 || !digest.chars().all(hex) {
                    return None;
                }
                target.parse::<TargetName>().ok()?;
                u64::MAX
            }
            _ => return None,
        };
        Some(Self { path: text.to_owned(), bytes_max })
    }

    /// `metadata/…` or `targets/…`: plain letters, digits and `.-_+/`.
    pub fn as_str(&self) -> &str {
        &self.path
    }

    /// Where it lies below a URL: `+` means a space to some servers.
    pub fn encoded(&self) -> String {
        self.path.replace('+', "%2B")
    }
}

/// Why a file did not come.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The other side has no such file.
    #[error("there is no such file")]
    NotFound,
    /// It may work another time.
    #[error("{0}")]
    Failed(String),
    /// It will not work another time: a person must act.
    #[error("{0}")]
    Refused(String),
    /// More than `limit` bytes came.
    #[error("more than {limit} bytes came")]
    TooLarge {
        /// As much as is taken.
        limit: u64,
    },
    /// The other side holds the board up.
    #[error("too slow: {bytes} bytes within {} s", within.as_secs())]
    Slow {
        /// What came.
        bytes: u64,
        /// In that time.
        within: Duration,
    },
    /// The program is about to stop.
    #[error("stopped")]
    Stopped,
}

/// How patient a fetch is, and how greedy.
#[derive(Clone)]
pub struct Patience {
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Most bytes per second; `None` for as fast as they come.
    pub bytes_per_s: Option<u64>,
    /// Fewer bytes than this within [`Patience::slow_within`] is a failure.
    pub slow_bytes: u64,
    /// See [`Patience::slow_bytes`].
    pub slow_within: Duration,
    /// Tries without a byte between them.
    pub tries: u32,
    /// The pause before the next try; doubled each time.
    pub pause: Duration,
    /// Raised when the program is about to stop.
    pub stop: Arc<AtomicBool>,
}

impl Patience {
    /// What fits a board on a mobile network: 3 tries, at least 8 KiB a minute, no upper limit.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            bytes_per_s: None,
            slow_bytes: 8 << 10,
            slow_within: Duration::from_secs(60),
            tries: 3,
            pause: Duration::from_secs(1),
            stop: Arc::default(),
        }
    }
}

impl fmt::Debug for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patience").field("tries", &self.tries).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_a_repository_are_paths() {
        let target = format!("targets/{}.a-1.0.0+b.edge", "ab".repeat(32));
        for good in ["metadata/timestamp.json", "metadata/12.root.json", &target] {
            let path = RepositoryPath::new(good).expect(good);
            assert_eq!(path.as_str(), good);
        }
        let upper = target.replace("ab", "AB");
        let odd = [
            "",
            "timestamp.json",
            "metadata/",
            "metadata/../x",
            "metadata/1.delegated.json",
            "metadata/root.json",
            "metadata/-1.root.json",
            "metadata/.root.json",
            &upper,
            "metadata/111111111111111111111.root.json",
            "targets/a-1.0.0.edge",
            "targets/../../etc/passwd",
            "/metadata/timestamp.json",
            "x/timestamp.json",
        ];
        for odd in odd {
            assert_eq!(RepositoryPath::new(odd), None, "{odd}");
        }
        assert!(
            RepositoryPath::new(&target).expect("good").encoded().ends_with("a-1.0.0%2Bb.edge")
        );
    }

    #[test]
    fn the_limits_together_fit_what_storage_reads_back() {
        let sum = ROOT_BYTES_MAX + TIMESTAMP_BYTES_MAX + SNAPSHOT_BYTES_MAX + TARGETS_BYTES_MAX;
        // JSON text inside JSON text is at most twice as long.
        assert!(2 * sum < 1 << 20);
    }
}
