//! What a repository of signed updates says of a bundle, so that a board refuses what it cannot run
//! before it downloads it.
//!
//! Lies as JSON in a TUF target's `custom` field, under [`CUSTOM_KEY`]. It is signed, and still a
//! stranger's word: everything is checked once, here.

use std::fmt;
use std::str::FromStr;

use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Bundle;
use super::manifest::check_name;

/// Where a [`Release`] lies in a target's `custom` field.
pub const CUSTOM_KEY: &str = "edgerun";

/// The field of a signed `timestamp.json` that says when it was issued, RFC 3339.
pub const ISSUED_KEY: &str = "x-edgerun-issued";

/// Longest version that is taken; ours are a dozen characters.
const VERSION_MAX: usize = 64;
/// Longest word in a list, such as an operator's name.
const WORD_MAX: usize = 64;
/// Most words in a list.
const WORDS_MAX: usize = 256;

/// The name of a bundle in a repository: exactly `NAME-VERSION.edge`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TargetName {
    name: String,
    version: Version,
}

impl TargetName {
    /// The name for `version` of the model called `name`.
    ///
    /// # Errors
    /// When `name` is not one that a manifest may have, or the version is absurdly long.
    pub fn new(name: &str, version: &Version) -> Result<Self, ReleaseError> {
        check_name(name).map_err(|error| ReleaseError(error.to_string()))?;
        if version.to_string().len() > VERSION_MAX {
            return wrong("version", format!("is longer than {VERSION_MAX} characters"));
        }
        Ok(Self { name: name.to_owned(), version: version.clone() })
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The model's version.
    pub fn version(&self) -> &Version {
        &self.version
    }
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}.edge", self.name, self.version)
    }
}

impl FromStr for TargetName {
    type Err = ReleaseError;

    /// There is one way to read it: a name has no dot, and a version begins with digits up to one.
    fn from_str(text: &str) -> Result<Self, ReleaseError> {
        let parts = || {
            let stem = text.strip_suffix(".edge")?;
            let (before, _) = stem.split_once('.')?;
            let (name, major) = before.rsplit_once('-')?;
            let version = stem.get(name.len() + 1..)?;
            (version.len() <= VERSION_MAX && !major.is_empty()).then_some((name, version))
        };
        let Some((name, version)) = parts() else {
            return wrong("target", format!("{text:?} is not NAME-VERSION.edge"));
        };
        let Ok(version) = Version::parse(version) else {
            return wrong("target", format!("{text:?}: {version:?} is not a version"));
        };
        let found = Self::new(name, &version)?;
        // Whatever is read is written the same way again, so no two names mean one bundle.
        if found.to_string() != text {
            return wrong("target", format!("{text:?} is not how {found} is written"));
        }
        Ok(found)
    }
}

/// What a repository says of one bundle.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Release {
    /// The model's name, `[a-z0-9][a-z0-9_-]{0,63}`.
    pub name: String,
    /// The model's version.
    pub version: Version,
    /// The oldest edgerun that can run it.
    pub edgerun: Version,
    /// The engines that can run it, as in `["native"]`; at least one.
    pub engine: Vec<String>,
    /// What it needs of a board.
    pub needs: Needs,
    /// Bytes of the model file inside.
    pub model_bytes: u64,
    /// SHA-256 over the whole bundle file, in lower-case hex.
    pub digest: String,
    /// Taken back: still listed, never to be installed.
    #[serde(skip_serializing_if = "is_false")]
    pub retired: bool,
}

/// What a bundle needs of a board.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// Memory that the model takes while it runs, beside the file itself.
    #[serde(default)]
    pub peak_bytes: u64,
    /// Its operators; empty where the publisher does not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ops: Vec<String>,
    /// Architectures that it was compiled for, as in `["aarch64"]`; empty for any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
}

/// What a release says that cannot be used; names the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReleaseError(String);

fn wrong<T>(key: &str, why: String) -> Result<T, ReleaseError> {
    Err(ReleaseError(format!("{key}: {why}")))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !value
}

/// As it is written, before it is checked. Unknown keys are a newer edgerun's.
#[derive(Deserialize)]
struct Raw {
    name: String,
    version: Version,
    edgerun: Version,
    engine: Vec<String>,
    #[serde(default)]
    needs: Needs,
    model_bytes: u64,
    digest: String,
    #[serde(default)]
    retired: bool,
}

impl Release {
    /// What is to be said of `bundle`: the engines that run it, and what it needs beside its targets.
    pub fn of(bundle: &Bundle, engine: Vec<String>, needs: Needs) -> Self {
        let manifest = &bundle.manifest;
        Self {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            edgerun: manifest.edgerun.clone(),
            engine,
            needs: Needs { targets: manifest.targets.clone(), ..needs },
            model_bytes: bundle.model.len() as u64,
            digest: bundle.digest.to_string(),
            retired: false,
        }
    }

    /// Reads what lies under [`CUSTOM_KEY`].
    ///
    /// # Errors
    /// Names the key that is missing or wrong.
    pub fn from_json(value: &Value) -> Result<Self, ReleaseError> {
        let raw = Raw::deserialize(value).map_err(|error| ReleaseError(error.to_string()))?;
        TargetName::new(&raw.name, &raw.version)?;
        if raw.engine.is_empty() {
            return wrong("engine", "at least one is needed".into());
        }
        let lists = [
            ("engine", &raw.engine),
            ("needs.ops", &raw.needs.ops),
            ("needs.targets", &raw.needs.targets),
        ];
        for (key, words) in lists {
            let good = |word: &String| (1..=WORD_MAX).contains(&word.len()) && word.is_ascii();
            if words.len() > WORDS_MAX || !words.iter().all(good) {
                return wrong(key, format!("at most {WORDS_MAX} words of 1 to {WORD_MAX} letters"));
            }
        }
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if raw.digest.len() != 64 || !raw.digest.chars().all(hex) {
            return wrong("digest", "is not 64 lower-case hex digits".into());
        }
        let Raw { name, version, edgerun, engine, needs, model_bytes, digest, retired } = raw;
        Ok(Self { name, version, edgerun, engine, needs, model_bytes, digest, retired })
    }

    /// The JSON for [`CUSTOM_KEY`].
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).expect("strings, numbers and lists are JSON")
    }

    /// The name that it has in a repository.
    ///
    /// # Errors
    /// As [`TargetName::new`]; never for what [`Release::from_json`] gave.
    pub fn target_name(&self) -> Result<TargetName, ReleaseError> {
        TargetName::new(&self.name, &self.version)
    }

    /// Whether `board` can run it.
    ///
    /// # Errors
    /// Says what the board lacks.
    pub fn fits(&self, board: &BoardKind) -> Result<(), Misfit> {
        if self.retired {
            return Err(Misfit::Retired);
        }
        if self.edgerun > board.edgerun {
            let (needs, has) = (self.edgerun.clone(), board.edgerun.clone());
            return Err(Misfit::Edgerun { needs, has });
        }
        if !self.engine.iter().any(|engine| board.engines.contains(engine)) {
            let (needs, has) = (self.engine.join(" or "), board.engines.join(", "));
            return Err(Misfit::Engine { needs, has });
        }
        let targets = &self.needs.targets;
        if !targets.is_empty() && !targets.contains(&board.target) {
            return Err(Misfit::Target { needs: targets.join(" or "), has: board.target.clone() });
        }
        if let Some(known) = &board.ops
            && let Some(op) = self.needs.ops.iter().find(|op| !known.contains(op))
        {
            return Err(Misfit::Op { op: op.clone() });
        }
        if let Some(has) = board.memory_bytes
            && self.needs.peak_bytes > has
        {
            return Err(Misfit::Memory { needs: self.needs.peak_bytes, has });
        }
        Ok(())
    }
}

/// What a board can run, as far as it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoardKind {
    /// The running edgerun.
    pub edgerun: Version,
    /// Names of its engines.
    pub engines: Vec<String>,
    /// Its architecture, as `std::env::consts::ARCH` has it.
    pub target: String,
    /// Memory that a model may take; `None` where nobody knows.
    pub memory_bytes: Option<u64>,
    /// Operators that it knows; `None` leaves that to the load.
    pub ops: Option<Vec<String>>,
}

/// Why a board cannot run a release: for people, and for the contract's code `incompatible`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the messages say all
pub enum Misfit {
    #[error("its publisher has taken it back")]
    Retired,
    #[error("it needs edgerun {needs} or newer, this is {has}")]
    Edgerun { needs: Version, has: Version },
    #[error("it needs the engine {needs}, this board has {has}")]
    Engine { needs: String, has: String },
    #[error("it was made for {needs}, this board is {has}")]
    Target { needs: String, has: String },
    #[error("it needs the operator {op}, which this edgerun does not have")]
    Op { op: String },
    #[error("it needs {needs} bytes of memory, this board has {has} for models")]
    Memory { needs: u64, has: u64 },
}

/// The fingerprint by which people compare roots of trust: SHA-256 in hex over the lines
/// `edgerun root`, `threshold N` and the ids of the root's keys, sorted, each line ended by `\n`.
///
/// It stays while the root's keys stay, whatever happens to the keys of the other roles.
pub fn fingerprint(threshold: u64, key_ids: impl IntoIterator<Item = String>) -> String {
    let mut ids: Vec<_> = key_ids.into_iter().collect();
    ids.sort();
    let mut text = format!("edgerun root\nthreshold {threshold}\n");
    for id in ids {
        text += &id;
        text.push('\n');
    }
    hex(&Sha256::digest(text))
}

/// Bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn gestures() -> Value {
        json!({
            "name": "gestures", "version": "1.2.0", "edgerun": "0.1.0", "engine": ["native"],
            "needs": { "peak_bytes": 4096, "targets": ["aarch64"], "ops": ["ADD"] },
            "model_bytes": 1000, "digest": "ab".repeat(32), "a_later_key": 1
        })
    }

    fn board() -> BoardKind {
        BoardKind {
            edgerun: Version::new(0, 1, 0),
            engines: vec!["native".into()],
            target: "aarch64".into(),
            memory_bytes: Some(4096),
            ops: Some(vec!["ADD".into()]),
        }
    }

    #[test]
    fn target_names_are_read_as_they_are_written() {
        for name in ["a-1.0.0.edge", "a-1-1.0.0.edge", "g_x-0.1.0-rc.1+b-7.edge", "7-1.2.3.edge"] {
            let found: TargetName = name.parse().expect(name);
            assert_eq!(found.to_string(), name);
        }
        let found: TargetName = "a-1-2.0.0-x.edge".parse().expect("a name with a dash");
        assert_eq!((found.name(), found.version().to_string().as_str()), ("a-1", "2.0.0-x"));
    }

    #[test]
    fn odd_target_names_are_refused() {
        let long = format!("{}-1.0.0.edge", "a".repeat(65));
        let odd = [
            "",
            ".",
            "..",
            "/",
            "a",
            "a.edge",
            "-1.0.0.edge",
            "a-1.0.edge",
            "A-1.0.0.edge",
            "../a-1.0.0.edge",
            "/etc/a-1.0.0.edge",
            "a/b-1.0.0.edge",
            "a-1.0.0.EDGE",
            "a-01.0.0.edge",
            "a-1.0.0.edge/",
            "a-1.0.0.edge\n",
            "a\0-1.0.0.edge",
            "ä-1.0.0.edge",
            "a--.0.0.edge",
            &long,
        ];
        for name in odd {
            assert!(name.parse::<TargetName>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_release_is_read_as_it_was_written_and_later_keys_are_ignored() {
        let release = Release::from_json(&gestures()).expect("a good release");
        assert_eq!(Release::from_json(&release.to_json()).expect("its own JSON"), release);
        assert!(!release.retired && release.to_json().get("retired").is_none());
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let with = |key: &str, value: Value| {
            let mut json = gestures();
            json[key] = value;
            Release::from_json(&json).expect_err(key).to_string()
        };
        assert!(with("name", json!("../x")).contains("name"));
        assert!(!with("version", json!("1")).is_empty());
        assert!(with("engine", json!([])).starts_with("engine: "));
        assert!(with("engine", json!(["x".repeat(65)])).starts_with("engine: "));
        assert!(with("digest", json!("AB".repeat(32))).starts_with("digest: "));
        assert!(!with("model_bytes", json!(-1)).is_empty());
        let many: Vec<_> = (0..257).map(|n| n.to_string()).collect();
        assert!(with("needs", json!({ "ops": many })).starts_with("needs.ops: "));
    }

    #[test]
    fn a_board_says_what_it_lacks() {
        let release = Release::from_json(&gestures()).expect("a good release");
        release.fits(&board()).expect("it fits");
        let said = |change: fn(&mut BoardKind)| {
            let mut board = board();
            change(&mut board);
            release.fits(&board).expect_err("it lacks something").to_string()
        };
        assert_eq!(
            said(|board| board.engines = vec!["tract".into()]),
            "it needs the engine native, this board has tract"
        );
        assert_eq!(
            said(|board| board.target = "arm".into()),
            "it was made for aarch64, this board is arm"
        );
        assert_eq!(
            said(|board| board.memory_bytes = Some(4095)),
            "it needs 4096 bytes of memory, this board has 4095 for models"
        );
        assert!(said(|board| board.edgerun = Version::new(0, 0, 9)).contains("edgerun 0.1.0"));
        assert!(said(|board| board.ops = Some(vec![])).contains("operator ADD"));
        let retired = Release { retired: true, ..release };
        assert_eq!(retired.fits(&board()), Err(Misfit::Retired));
    }

    #[test]
    fn the_fingerprint_is_what_sha256sum_says_and_knows_no_order() {
        let ids = ["bb".to_owned(), "aa".to_owned()];
        // printf 'edgerun root\nthreshold 2\naa\nbb\n' | sha256sum
        let said = "b16f4ec4311bdd6d19a70332b29ec24844b666e020e0b84046306bc1a3a61225";
        assert_eq!(fingerprint(2, ids.clone()), said);
        assert_eq!(fingerprint(2, ids.clone()), fingerprint(2, ids.into_iter().rev()));
    }
}
