//! What happens to the board's model while the demo runs: a publisher who signs, an operator who wishes, and
//! what the board reports of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rumqttc::v5::Client;
use rumqttc::v5::mqttbytes::QoS;
use serde::Deserialize;
use tempfile::TempDir;

use super::models;
use super::score::{Ending, Update};
use crate::clock::{Clock, Stopwatch, SystemClock};
use crate::data::Secret;
use crate::engine::EngineKind;
use crate::model::release::{Needs, Release};
use crate::model::{Bundle, archive};
use crate::publish::{Keyring, Plan, Publisher};
use crate::storage::{DirStorage, OsDisk};
use crate::store::Store;
use crate::update::record::{Installed, Origin, Record};

/// An update that has not ended after so long has failed.
const PATIENCE: Duration = Duration::from_secs(120);
/// The slow model takes that share of the time after which a result is late: the pipeline falls behind, but
/// catches up in the pause after each recording, before a window would have to be dropped.
const SLOW: f64 = 1.2;

/// A folder that is gone when the demo ends: the board's state and the publisher's desk.
pub(super) struct Folder {
    dir: TempDir,
    publisher: Publisher,
}

/// One update of the story.
pub(super) struct Chapter {
    /// What is published.
    pub(super) version: &'static str,
    /// What it is, for people.
    pub(super) what: &'static str,
    expected: Ending,
    publish: fn(&mut Story) -> anyhow::Result<()>,
}

const CHAPTERS: [Chapter; 4] = [
    Chapter {
        version: "1.1.0",
        what: "trained again, better",
        expected: Ending::Committed,
        publish: |story| story.publish(&models::better()?).map(drop),
    },
    Chapter {
        version: "1.2.0",
        what: "another model than its golden answers are of",
        expected: Ending::Rejected,
        publish: |story| story.publish(&models::mixed_up()?).map(drop),
    },
    Chapter {
        version: "1.3.0",
        what: "changed by a stranger after it was signed",
        expected: Ending::Rejected,
        publish: |story| {
            let bundle = models::next()?;
            let served = story.publish(&bundle)?;
            let mut bytes = fs::read(&served)?;
            // In the middle of the weights.
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&served, bytes).with_context(|| format!("{}", served.display()))
        },
    },
    Chapter {
        version: "1.4.0",
        what: "the right answers, but slow",
        expected: Ending::Reverted,
        publish: |story| story.publish(&models::slow(story.late.mul_f64(SLOW))?).map(drop),
    },
];

impl Folder {
    /// A board that has `first`, and a publisher with fresh keys.
    ///
    /// # Errors
    /// When the folder for temporary files cannot be written.
    pub(super) fn new(first: &Bundle) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("edgerun-demo-")
            .tempdir()
            .context("no folder for the board's store; set TMPDIR")?;
        let state = dir.path().join("state");
        Store::open(Arc::new(OsDisk), &Store::folder(&state))?.import(first)?;
        let record =
            Record { current: Some(Installed::of(first, Origin::Repository)), ..Record::default() };
        record.keep(&DirStorage::new(&state), &first.manifest.name)?;
        let keyring = Keyring::new(Vec::new(), Box::new(|_: &Path| Ok(Secret::new("unsealed"))));
        let desk = dir.path().join("publisher");
        let publisher = Publisher::init(&desk, &Plan::default(), keyring, now())?;
        Ok(Self { dir, publisher })
    }

    /// The board's.
    pub(super) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// What the board's configuration says of updates.
    pub(super) fn config(&self) -> String {
        let repository = self.dir.path().join("publisher/repository");
        format!(
            r#"
            [state]
            dir = '{}'

            [ota]
            repository = 'file://{}'
            root = '{}'
            trial = "2 s"
            "#,
            self.state().display(),
            repository.display(),
            self.publisher.root_file().display()
        )
    }
}

/// How one of its updates stands.
pub(super) enum Turn {
    /// It is on its way: the step.
    Step(String),
    /// It has ended, after so long.
    Ended(Update, Duration),
}

/// The story as it is told.
pub(super) struct Story {
    folder: Folder,
    operator: Client,
    device: &'static str,
    /// After so long a result is late, in real time.
    late: Duration,
    chapter: usize,
    since: Option<Stopwatch>,
}

/// The part of what a board reports of a model that the demo looks at.
#[derive(Deserialize)]
struct Reported {
    state: String,
    running: Option<Running>,
    target: Option<String>,
    failure: Option<Failure>,
}

#[derive(Deserialize)]
struct Running {
    version: String,
}

#[derive(Deserialize)]
struct Failure {
    version: Option<String>,
    code: String,
    message: String,
}

impl Story {
    /// `operator` writes wishes to the broker; `late` is when a result comes too late, in real time.
    pub(super) fn new(
        folder: Folder,
        operator: Client,
        device: &'static str,
        late: Duration,
    ) -> Self {
        Self { folder, operator, device, late, chapter: 0, since: None }
    }

    /// What people compare with what their board shows.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub(super) fn fingerprint(&self) -> anyhow::Result<String> {
        Ok(self.folder.publisher.root()?.1)
    }

    /// The update that is told now; `None` at the end.
    pub(super) fn chapter(&self) -> Option<&'static Chapter> {
        CHAPTERS.get(self.chapter)
    }

    /// Publishes the next version and wishes for it, unless that is done.
    ///
    /// # Errors
    /// When it cannot be published, or is under way for far too long.
    pub(super) fn go_on(&mut self) -> anyhow::Result<()> {
        let Some(chapter) = self.chapter() else { return Ok(()) };
        match &self.since {
            Some(since) if since.elapsed() > PATIENCE => {
                bail!("the update to {} has not ended after {PATIENCE:?}", chapter.version)
            }
            Some(_) => Ok(()),
            None => {
                (chapter.publish)(self)?;
                let topic = format!("edgerun/{}/model/gestures/desired", self.device);
                let wish = format!(r#"{{"version":"{}"}}"#, chapter.version);
                let sent = self.operator.publish(topic, QoS::AtLeastOnce, true, wish);
                sent.context("cannot tell the embedded broker what is wished")?;
                self.since = Some(Stopwatch::start());
                Ok(())
            }
        }
    }

    /// What the board says of its model; `None` where that is not about the version that is told of.
    ///
    /// # Errors
    /// When it cannot be read, or the update ends as it should not.
    pub(super) fn hear(&mut self, payload: &[u8]) -> anyhow::Result<Option<Turn>> {
        let reported: Reported = serde_json::from_slice(payload)
            .with_context(|| format!("reported: {}", String::from_utf8_lossy(payload)))?;
        let Some(chapter) = self.chapter().filter(|_| self.since.is_some()) else {
            return Ok(None);
        };
        if reported.target.as_deref() == Some(chapter.version) {
            return Ok(Some(Turn::Step(reported.state)));
        }
        let failure =
            reported.failure.filter(|failure| failure.version.as_deref() == Some(chapter.version));
        let runs = reported.running.is_some_and(|running| running.version == chapter.version);
        let ending = match (reported.state.as_str(), &failure) {
            ("committed", None) if runs => Ending::Committed,
            ("rejected", Some(_)) => Ending::Rejected,
            ("reverted", Some(_)) => Ending::Reverted,
            _ => return Ok(None),
        };
        let reason = failure.map(|failure| format!("{}: {}", failure.code, failure.message));
        if ending != chapter.expected {
            let why = reason.unwrap_or_default();
            bail!("version {}, {}, is {ending}. {why}", chapter.version, chapter.what);
        }
        self.chapter += 1;
        let took = self.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        let bundle = format!("gestures-{}", chapter.version);
        Ok(Some(Turn::Ended(Update { bundle, outcome: ending, reason }, took)))
    }

    /// Packs, adds and signs `bundle`; where its file is served.
    fn publish(&mut self, bundle: &Bundle) -> anyhow::Result<PathBuf> {
        let packed = self.folder.dir.path().join("packed.edge");
        archive::write(bundle, &mut fs::File::create(&packed)?)
            .with_context(|| format!("{}", packed.display()))?;
        let engine = vec![EngineKind::Native.to_string()];
        let release = Release::of(bundle, engine, Needs::default());
        let publisher = &mut self.folder.publisher;
        publisher.add(&packed, &release)?;
        publisher.publish(now())?;
        let served = format!("{}.{}", release.digest, release.target_name()?);
        Ok(self.folder.dir.path().join("publisher/repository/targets").join(served))
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemClock.wall().since_epoch.as_secs()
}
