//! Configuration: the file as typed (`raw`) → checked, every problem at once → [`Config`], whose
//! types cannot hold a bad value.
//!
//! Checking is pure: no file but the configuration itself is opened, no device, no socket. Secrets
//! are named only; [`Credentials`] reads them in a step of its own.

mod broker_url;
mod credentials;
mod device;
mod http;
pub mod keys;
mod machine;
mod mqtt;
mod name;
mod ota;
mod outputs;
mod pipeline;
mod problem;
mod provisioning;
pub mod quantity;
mod raw;
mod sensor;
mod suggest;
mod value;

use std::io::Read;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

pub use broker_url::{BrokerUrl, BrokerUrlError};
pub use credentials::{CredentialError, Credentials, Secrets, Use};
pub use device::Device;
pub use http::Http;
pub use machine::Machine;
pub use mqtt::{ClientCertificate, LogTopic, Login, Mqtt, Protocol, Spool, Sync, topic_prefix};
pub use name::{CredentialName, DeviceId, GroupName, NameError, PipelineName, SensorName};
pub use ota::{Follow, OVER_BROKER, Ota, Repository, Unsynced};
pub use outputs::{Outputs, Webhook};
pub use pipeline::{Feed, ModelSource, Overload, Pipeline, Publish, Qos, Window};
pub use problem::{ConfigError, Problem};
pub use provisioning::{PROVISIONING_TABLES, Provisioning};
pub use sensor::{Driver, Input, Join, Replay, Sensor};

use raw::{Note, Notes, Section};

/// Where the configuration lies unless the command line says otherwise.
pub const DEFAULT_FILE: &str = "/etc/edgerun/edgerun.toml";

const STATE: &str = "/var/lib/edgerun";
/// Far above any configuration: a larger file is another file.
const BYTES_MAX: u64 = 1 << 20;

/// A configuration that holds: names are unique, what is named exists, values are in range.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// Who this board is.
    pub device: Device,
    /// The broker, if any.
    pub mqtt: Option<Mqtt>,
    /// No two share a name or a chip.
    pub sensors: Vec<Sensor>,
    /// At least one; each one's sensor is in `sensors`.
    pub pipelines: Vec<Pipeline>,
    /// The HTTP server, if any.
    pub http: Option<Http>,
    /// The folder for what must outlive a restart.
    pub state: PathBuf,
    /// Updates of the store's models.
    pub ota: Ota,
    /// Whether what microphones and cameras give may be recorded by a command.
    pub capture_private: bool,
    /// What is allowed, but probably not meant.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// Reads and checks `file`. Relative paths in it start at its own folder.
    ///
    /// # Errors
    /// When the file cannot be read or anything in it is wrong: all of it, to be shown to a person;
    /// nothing may start.
    pub fn load(file: &Path, machine: &Machine) -> Result<Self, ConfigError> {
        let whole = |line, message| {
            let problem = Problem { file: file.into(), line, key: String::new(), message };
            ConfigError { problems: vec![problem] }
        };
        let bytes = read(file).map_err(|message| whole(None, message))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            let line = line_of(error.as_bytes(), good);
            whole(Some(line), "is not UTF-8 text here; save the file as UTF-8".into())
        })?;
        Self::parse(&text, file, machine)
    }

    /// Checks `text` as if it stood in `file`; reads nothing.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, file: &Path, machine: &Machine) -> Result<Self, ConfigError> {
        let (root, syntax) = DeTable::parse_recoverable(text);
        if !syntax.is_empty() {
            return Err(ConfigError { problems: syntax_problems(text, file, &syntax) });
        }
        let notes = Notes::default();
        let root = Section::root(root.get_ref(), &keys::ROOT, &notes);
        let config = Self::read(&root, file.parent().unwrap_or(Path::new("")), machine);
        let mut wrong = problems(text, file, notes.wrong.take());
        let warnings = problems(text, file, notes.warnings.take());
        match config {
            Some(config) if wrong.is_empty() => Ok(Self { warnings, ..config }),
            _ => {
                wrong.dedup();
                Err(ConfigError { problems: wrong })
            }
        }
    }

    fn read(root: &Section<'_>, base: &Path, machine: &Machine) -> Option<Self> {
        root.close();
        let device = Device::read(root, machine);
        let mqtt = Mqtt::read(root, base);
        let sensors = Sensor::read_all(root, base);
        let pipelines = Pipeline::read_all(root, base);
        let http = Http::read(root);
        let state = root.table("state", &keys::STATE).and_then(|section| {
            section.close();
            section.get("dir", value::path(base))
        });
        let state = state
            .or_else(|| machine.state_directory.clone())
            .unwrap_or_else(|| PathBuf::from(STATE));
        let ota = Ota::read(root, base);
        let privacy = root.table("privacy", &keys::PRIVACY);
        let capture_private = privacy.is_some_and(|section| {
            section.close();
            section.get("capture", value::boolean).unwrap_or(false)
        });
        let fed = |s: &Sensor| {
            pipelines.iter().filter_map(|p| p.feed.as_ref()).any(|feed| feed.sensor == s.name)
        };
        let joined = |s: &Sensor| sensors.iter().any(|other| other.joins(&s.name));
        let used = |s: &Sensor| fed(s) || joined(s);
        for sensor in sensors.iter().filter(|s| !used(s)) {
            root.warn("sensor", format!("no pipeline uses sensor \"{}\"", sensor.name));
        }
        let warnings = Vec::new();
        Some(Self {
            device: device?,
            mqtt,
            sensors,
            pipelines,
            http,
            state,
            ota,
            capture_private,
            warnings,
        })
    }

    /// The models of the store that pipelines run, each once.
    pub fn store_models(&self) -> Vec<String> {
        let mut models = Vec::new();
        for pipeline in &self.pipelines {
            if let ModelSource::Store(name) = &pipeline.model
                && !models.contains(name)
            {
                models.push(name.clone());
            }
        }
        models
    }

    /// The sensor of this name.
    pub fn sensor(&self, name: &SensorName) -> Option<&Sensor> {
        self.sensors.iter().find(|s| s.name == *name)
    }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file; give another with --config".into(),
        _ => format!("cannot be read: {error}"),
    };
    if file.is_dir() {
        return Err("is a folder; give the file in it".into());
    }
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(cannot)?;
    opened.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err("is larger than 1 MiB, so it is no configuration".into());
    }
    Ok(bytes)
}

/// 1-based.
fn line_of(text: &[u8], at: usize) -> usize {
    1 + text.iter().take(at).filter(|b| **b == b'\n').count()
}

/// In the order of the file.
fn problems(text: &str, file: &Path, mut notes: Vec<Note>) -> Vec<Problem> {
    notes.sort_by_key(|note| note.at);
    notes
        .into_iter()
        .map(|Note { at, key, message }| {
            let line = Some(line_of(text.as_bytes(), at));
            Problem { file: file.into(), line, key, message }
        })
        .collect()
}

/// One problem a line: what a parser says after the first is often about the first.
fn syntax_problems(text: &str, file: &Path, errors: &[toml::de::Error]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = errors
        .iter()
        .map(|error| Problem {
            file: file.into(),
            line: error.span().map(|span| line_of(text.as_bytes(), span.start)),
            key: String::new(),
            message: format!("is not TOML: {}", error.message()),
        })
        .collect();
    problems.sort_by_key(|p| p.line);
    problems.dedup_by_key(|p| p.line);
    problems
}
