//! `[[pipeline]]`: a model, what feeds it and where its results go.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::keys;
use super::name::{PipelineName, SensorName};
use super::outputs::{self, Outputs};
use super::raw::Section;
use super::suggest;
use super::value::{Bad, different, number, one_of, parsed, path, text, whole};
use crate::engine::{Choice, EngineKind};
use crate::model::Manifest;

/// A pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// The name in topics; no other pipeline has it.
    pub name: PipelineName,
    /// What it runs.
    pub model: ModelSource,
    /// What runs the model.
    pub engine: Choice,
    /// Threads that one run may use, 1 to 64.
    pub threads: NonZeroUsize,
    /// The cores that these threads are pinned to, one for each, that of the inference thread first;
    /// empty for wherever the system puts them.
    pub cores: Vec<usize>,
    /// `None` for a model that only answers HTTP requests.
    pub feed: Option<Feed>,
}

/// Where a pipeline's bundle comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSource {
    /// The store, under this name: what serves there, and is updated.
    Store(String),
    /// A bundle file or folder, an administrator's own.
    Path(PathBuf),
}

impl std::fmt::Display for ModelSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Store(name) => f.write_str(name),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

/// What feeds a pipeline, and what becomes of its results.
#[derive(Clone, Debug, PartialEq)]
pub struct Feed {
    /// One of the configuration's sensors.
    pub sensor: SensorName,
    /// How samples are cut.
    pub window: Window,
    /// Which results are published.
    pub publish: Publish,
    /// How results are sent to the broker.
    pub qos: Qos,
    /// What happens to windows that the model is too slow for.
    pub overload: Overload,
    /// Where results go besides, and what they drive.
    pub outputs: Outputs,
}

/// Windows of samples; `1 <= stride <= length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Samples in one.
    pub length: NonZeroUsize,
    /// Samples from one's start to the next one's.
    pub stride: NonZeroUsize,
}

/// Which results are published.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Publish {
    /// All.
    Every,
    /// Those whose finding differs from the one before.
    Change,
    /// Those whose score or value is at least this; finite.
    Above(f32),
}

/// MQTT quality of service of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qos {
    /// 0: best effort.
    AtMostOnce,
    /// 1.
    AtLeastOnce,
}

/// What happens to windows that the model is too slow for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Overload {
    /// The oldest one that waits is dropped and counted.
    #[default]
    DropOldest,
}

#[derive(Clone, Copy)]
enum When {
    Every,
    Change,
    Above,
}

const PUBLISH: &[(&str, When)] =
    &[("every", When::Every), ("change", When::Change), ("above", When::Above)];
const ENGINES: &[(&str, Choice)] = &[
    ("auto", Choice::Auto),
    ("native", Choice::Only(EngineKind::Native)),
    ("tract", Choice::Only(EngineKind::Tract)),
];
const POLICIES: &[(&str, Overload)] = &[("drop-oldest", Overload::DropOldest)];

/// Keys that say what becomes of a sensor's windows.
const FEED_ONLY: [&str; 5] = ["window", "publish", "limit", "qos", "overload"];

impl Pipeline {
    /// All pipelines; those that are wrong are noted and left out.
    pub(super) fn read_all(root: &Section<'_>, base: &Path) -> Vec<Self> {
        let sections = root.tables("pipeline", &keys::PIPELINE);
        if sections.is_empty() && !root.has("pipeline") {
            root.wrong("pipeline", "there is none, so there is nothing to do; add a [[pipeline]]");
        }
        let sensors = root.names_in("sensor");
        let mut taken: Vec<(&str, &str)> = Vec::new();
        for section in &sections {
            let Some(name) = section.peek("name") else { continue };
            match taken.iter().find(|(other, _)| *other == name) {
                Some((_, first)) => {
                    section.wrong("name", format!("{name:?} is the name of {first}, too"));
                }
                None => taken.push((name, section.path())),
            }
        }
        let pipelines: Vec<(&Section<'_>, Self)> = sections
            .iter()
            .filter_map(|section| Some((section, Self::read(section, root, &sensors, base)?)))
            .collect();
        one_driver_each(&pipelines);
        pipelines.into_iter().map(|(_, pipeline)| pipeline).collect()
    }

    fn read(
        section: &Section<'_>,
        root: &Section<'_>,
        sensors: &[&str],
        base: &Path,
    ) -> Option<Self> {
        section.close();
        let name = section.require("name", parsed::<PipelineName>);
        let model = section.require("model", bundle(base));
        let engine = section.get("engine", one_of(ENGINES)).unwrap_or_default();
        let threads = section.get("threads", whole(1..=64)).unwrap_or(1);
        let cores = section.get("cores", different(0..=1023)).unwrap_or_default();
        if section.has("cores") && !cores.is_empty() && cores.len() != threads as usize {
            let why = format!("has {} for threads = {threads}; give one for each", cores.len());
            section.wrong("cores", why);
        }
        let cores = cores.into_iter().map(|core| core as usize).collect();
        let feed = match section.has("sensor") {
            true => Some(Feed::read(section, root, sensors, base)),
            false => {
                without_sensor(section, root);
                None
            }
        };
        let feed = match feed {
            Some(feed) => Some(feed?),
            None => None,
        };
        let threads = NonZeroUsize::new(threads as usize)?;
        Some(Self { name: name?, model: model?, engine, threads, cores, feed })
    }
}

/// Two sinks on one wire would take it from each other.
fn one_driver_each(pipelines: &[(&Section<'_>, Pipeline)]) {
    let mut driven: Vec<(String, &PipelineName)> = Vec::new();
    for (section, pipeline) in pipelines {
        let Some(feed) = &pipeline.feed else { continue };
        for (key, output) in feed.outputs.driven() {
            match driven.iter().find(|(other, _)| *other == output) {
                Some((_, first)) => {
                    section
                        .wrong(key, format!("{output} is driven by pipeline \"{first}\" already"));
                }
                None => driven.push((output, &pipeline.name)),
            }
        }
    }
}

fn without_sensor(section: &Section<'_>, root: &Section<'_>) {
    if !root.has("http") {
        section.wrong(
            "sensor",
            "is missing, and without [http] nothing else can feed the model; \
             add it as in sensor = \"imu\"",
        );
        return;
    }
    for key in FEED_ONLY.into_iter().chain(outputs::KEYS).filter(|key| section.has(key)) {
        section.wrong(key, "needs a sensor: this pipeline only answers HTTP requests; remove it");
    }
}

impl Feed {
    fn read(
        section: &Section<'_>,
        root: &Section<'_>,
        sensors: &[&str],
        base: &Path,
    ) -> Option<Self> {
        let sensor = section.get("sensor", |value| {
            let name = text(value)?;
            if sensors.contains(&name) {
                return Ok(name.parse()?);
            }
            let hint = match sensors {
                [] => "; add a [[sensor]] with this name".into(),
                _ => suggest::hint(name, sensors),
            };
            Err(Bad::Says(format!("there is no sensor {name:?}{hint}")))
        });
        if !section.has("window") {
            section.missing("window");
        }
        let window = Window::read(section);
        let publish = publish(section);
        let qos = section.get("qos", |value| match whole(0..=1)(value)? {
            0 => Ok(Qos::AtMostOnce),
            _ => Ok(Qos::AtLeastOnce),
        });
        let overload = section.table("overload", &keys::OVERLOAD).and_then(|overload| {
            overload.close();
            overload.get("policy", one_of(POLICIES))
        });
        let outputs = Outputs::read(section, base);
        if !root.has("mqtt") && !outputs::KEYS.iter().any(|key| section.has(key)) {
            section.wrong(
                "json_lines",
                "is missing, and there is no [mqtt]: results would go nowhere; \
                 add json_lines = \"-\" or an [mqtt] table",
            );
        }
        Some(Self {
            sensor: sensor?,
            window: window?,
            publish: publish?,
            qos: qos.unwrap_or(Qos::AtLeastOnce),
            overload: overload.unwrap_or_default(),
            outputs: outputs?,
        })
    }
}

impl Window {
    fn read(pipeline: &Section<'_>) -> Option<Self> {
        let section = pipeline.table("window", &keys::WINDOW)?;
        section.close();
        let length = section.require("length", whole(1..=1_000_000));
        let stride = section.require("stride", whole(1..=1_000_000));
        let (length, stride) = (length?, stride?);
        if stride > length {
            section.wrong("stride", format!("must be 1 to {length} (the length), is {stride}"));
        }
        Some(Self {
            length: NonZeroUsize::new(length as usize)?,
            stride: NonZeroUsize::new(stride as usize)?,
        })
    }
}

fn publish(section: &Section<'_>) -> Option<Publish> {
    let limit = section.get("limit", number);
    let when = match section.has("publish") {
        true => section.get("publish", one_of(PUBLISH))?,
        false => When::Every,
    };
    match when {
        When::Above => {
            if !section.has("limit") {
                section.missing("limit");
            }
            limit.map(Publish::Above)
        }
        When::Every | When::Change => {
            if section.has("limit") {
                section.wrong("limit", "is for publish = \"above\" only; remove it");
            }
            Some(if matches!(when, When::Every) { Publish::Every } else { Publish::Change })
        }
    }
}

fn bundle<'a>(base: &Path) -> impl FnOnce(&'a toml::de::DeValue<'a>) -> Result<ModelSource, Bad> {
    move |value| {
        let name = text(value)?;
        let extension = Path::new(name).extension().and_then(|e| e.to_str());
        if let Some("tflite" | "onnx") = extension {
            return Err(Bad::Says(format!(
                "{name:?} is a model's file; give a bundle, which says how to feed it: \
                 `edgerun bundle init` makes one"
            )));
        }
        let is_path = name.contains('/') || name.starts_with('.') || name.is_empty();
        if is_path || extension == Some("edge") {
            return path(base)(value).map(ModelSource::Path);
        }
        if Manifest::is_name(name) {
            return Ok(ModelSource::Store(name.to_owned()));
        }
        Err(Bad::Says(format!(
            "{name:?} is no name of a model, 1 to 64 of a-z, 0-9, `_` and `-`; a bundle's path has a `/`, \
             as in \"./{name}\""
        )))
    }
}
