//! `[ota]`: where signed model updates come from, and what a new version must keep to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::keys;
use super::quantity::{ByteSize, Span};
use super::raw::Section;
use super::value::{Bad, number, one_of, path, quantity, text, whole};
use crate::model::{UpdateLimits, WINDOWS_MAX};

/// How the models of the store are updated.
#[derive(Clone, Debug, PartialEq)]
pub struct Ota {
    /// Where updates come from; `None` where only an operator on the board brings them.
    pub repository: Option<Repository>,
    /// Which version is wanted.
    pub follow: Follow,
    /// How often the repository is asked.
    pub check: Duration,
    /// What a new version must keep to beside the one that serves, as far as it is written here.
    pub limits: UpdateLimits,
    /// How long a new version is watched at work.
    pub trial: Duration,
    /// Memory that a self-test may take, and by which the process may grow during a trial.
    pub memory_bytes: u64,
}

/// A signed repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// `https://…`, `http://…` or `file:///…`: the folder with `metadata` and `targets`; or [`OVER_BROKER`].
    pub url: String,
    /// The `root.json` that trust begins with.
    pub root: PathBuf,
    /// PEM file of the authorities to believe instead of the system's; for `https://` only.
    pub ca: Option<PathBuf>,
    /// Whether updates are taken while the clock is not synchronised, so that their age is not known.
    pub unsynced: Unsynced,
    /// Most bytes a second; `None` for as fast as they come.
    pub bandwidth: Option<u64>,
    /// The proxy; `None` for what the environment says.
    pub proxy: Option<String>,
}

/// The address of a repository whose files come over the broker.
pub const OVER_BROKER: &str = "mqtt:";

/// Which version is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Follow {
    /// What the `desired` topics say.
    #[default]
    Desired,
    /// The newest in the repository.
    Latest,
}

/// What becomes of an update while the clock is not synchronised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Unsynced {
    /// It is taken, unless it has surely expired.
    #[default]
    Take,
    /// It waits until the clock is right.
    Wait,
}

const UNSYNCED: &[(&str, Unsynced)] = &[("take", Unsynced::Take), ("wait", Unsynced::Wait)];
const FOLLOW: &[(&str, Follow)] = &[("desired", Follow::Desired), ("latest", Follow::Latest)];
const CHECK: Duration = Duration::from_secs(3600);
const CHECK_LEAST: Duration = Duration::from_secs(10);
const TRIAL: Duration = Duration::from_secs(600);
const MEMORY: u64 = 128 << 20;
const MEMORY_LEAST: u64 = 8 << 20;

impl Default for Ota {
    fn default() -> Self {
        Self {
            repository: None,
            follow: Follow::default(),
            check: CHECK,
            limits: UpdateLimits::default(),
            trial: TRIAL,
            memory_bytes: MEMORY,
        }
    }
}

impl Ota {
    pub(super) fn read(root: &Section<'_>, base: &Path) -> Self {
        let Some(section) = root.table("ota", &keys::OTA) else { return Self::default() };
        section.close();
        let usual = Self::default();
        let url = section.get("repository", address);
        let has_broker = root.has("mqtt");
        let trusted = section.get("root", path(base));
        match (section.has("repository"), section.has("root")) {
            // A wrong address comes first.
            (true, false) if url.is_some() => section.missing("root"),
            (false, true) => section.missing("repository"),
            _ => {}
        }
        let bandwidth = section.get("bandwidth", quantity::<ByteSize>).map(ByteSize::bytes);
        if bandwidth.is_some_and(|bytes| bytes < 1024) {
            section.wrong("bandwidth", "is below 1 KiB a second, which no update survives");
        }
        let ca = section.get("ca", path(base));
        if ca.is_some() && url.as_deref().is_some_and(|url| !url.starts_with("https:")) {
            section.wrong("ca", "is for https:// only");
        }
        let unsynced = section.get("unsynced", one_of(UNSYNCED)).unwrap_or_default();
        let proxy = section.get("proxy", |value| text(value).map(str::to_owned));
        for key in ["ca", "unsynced", "bandwidth", "proxy", "follow"] {
            if section.has(key) && !section.has("repository") {
                section.wrong(
                    key,
                    "is about the repository, and there is none; add repository = \"…\"",
                );
            }
        }
        let over_broker = url.as_deref() == Some(OVER_BROKER);
        if over_broker && !has_broker {
            section.wrong("repository", "goes over the broker, and there is none; add [mqtt]");
        }
        if over_broker && section.has("proxy") {
            section.wrong("proxy", "is for https:// and http:// only");
        }
        let repository = match (url, trusted) {
            (Some(url), Some(root)) => {
                Some(Repository { url, root, ca, unsynced, bandwidth, proxy })
            }
            _ => None,
        };
        let latency = section.get("latency", quantity::<Span>).map(Span::duration);
        if latency == Some(Duration::ZERO) {
            section.wrong("latency", "must be above 0");
        }
        let limits = UpdateLimits {
            windows: section.get("shadow_windows", whole(0..=WINDOWS_MAX)),
            agreement: section.get("agreement", share),
            within: None,
            latency,
        };
        let memory = section.get("memory", quantity::<ByteSize>).map(ByteSize::bytes);
        if memory.is_some_and(|bytes| bytes < MEMORY_LEAST) {
            section.wrong("memory", "is below 8 MiB, in which no model can be loaded");
        }
        let check = section.get("check", quantity::<Span>).map(Span::duration);
        if check.is_some_and(|time| time < CHECK_LEAST) {
            section.wrong("check", "is below 10 s; a repository is not asked that often");
        }
        let trial = section.get("trial", quantity::<Span>).map(Span::duration);
        Self {
            repository,
            follow: section.get("follow", one_of(FOLLOW)).unwrap_or_default(),
            check: check.unwrap_or(usual.check),
            limits,
            trial: trial.unwrap_or(usual.trial),
            memory_bytes: memory.unwrap_or(usual.memory_bytes),
        }
    }
}

fn share(value: &toml::de::DeValue<'_>) -> Result<f32, Bad> {
    let share = number(value)?;
    if (0.0..=1.0).contains(&share) {
        return Ok(share);
    }
    Err(Bad::Says(format!("must be 0 to 1, is {share}")))
}

fn address(value: &toml::de::DeValue<'_>) -> Result<String, Bad> {
    let url = text(value)?;
    if url == OVER_BROKER {
        return Ok(url.to_owned());
    }
    let known = ["https://", "http://", "file:///"];
    if known.iter().any(|start| url.len() > start.len() && url.starts_with(start)) {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let why = if url.starts_with("mqtt") {
        "is \"mqtt:\" where files come over the broker of [mqtt]; no address follows it"
    } else {
        "begins with none of https://, http:// and file:///, and is not mqtt:; write it as \"https://models.example/tuf\""
    };
    Err(Bad::Says(why.into()))
}
