//! The sinks of one pipeline beside the broker: built from the configuration, watched, ended in time.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::Surroundings;
use crate::clock::Stopwatch;
use crate::config::{self, Secrets};
use crate::data::{Secret, Session};
use crate::net::tls;
use crate::sink::webhook::{self, HttpPost, HttpSettings};
use crate::sink::{Sink, SinkStats, Worker, gpio, json_lines, pwm};
use crate::storage::OsDisk;

/// How long a stop waits for what sinks have left, all together.
const PATIENCE: Duration = Duration::from_secs(2);

/// A sink with a thread of its own, as health sees it.
#[derive(Clone)]
pub(crate) struct SinkPart {
    /// As in `webhook` or `gpio gpiochip0:17`.
    pub(crate) name: String,
    pub(crate) stats: Arc<SinkStats>,
}

/// The sinks of one pipeline.
pub(super) struct Started {
    /// Their near ends.
    pub(super) sinks: Vec<Box<dyn Sink>>,
    /// What health sees of them.
    pub(super) parts: Vec<SinkPart>,
}

/// The threads of all sinks.
#[derive(Default)]
pub(super) struct Workers(Vec<Worker>);

impl Workers {
    /// Starts the sinks of `pipeline`.
    ///
    /// # Errors
    /// When one cannot work as it is set up: a certificate that cannot be read, a header that is none.
    pub(super) fn start(
        &mut self,
        pipeline: &str,
        outputs: &config::Outputs,
        secrets: &Secrets,
        around: &Surroundings,
        session: &Session,
    ) -> anyhow::Result<Started> {
        let mut started: Vec<(Box<dyn Sink>, Worker)> = Vec::new();
        if let Some(settings) = &outputs.json_lines {
            let disk = Arc::new(OsDisk);
            let (sink, worker) = json_lines::start(settings.clone(), session.clone(), disk)
                .context("json_lines: cannot start a thread")?;
            started.push((Box::new(sink), worker));
        }
        if let Some(settings) = &outputs.webhook {
            let post = post(settings, secrets.webhook_tokens.get(pipeline)).context("webhook")?;
            let (batch, linger) = (settings.batch, settings.linger);
            let paced = webhook::Settings { batch, linger, ..webhook::Settings::default() };
            let (sink, worker) = webhook::start(paced, session.clone(), Box::new(post))
                .context("webhook: cannot start a thread")?;
            started.push((Box::new(sink), worker));
        }
        for settings in &outputs.gpio {
            let (open, clock) = (around.open_line.clone(), around.clock.clone());
            let line = gpio::start(settings.clone(), open, clock);
            started.push(line.context("gpio: cannot start a thread")?);
        }
        for settings in &outputs.pwm {
            let channel = pwm::start(settings.clone(), around.clock.clone());
            started.push(channel.context("pwm: cannot start a thread")?);
        }
        let part = |worker: &Worker| SinkPart {
            name: worker.name().to_owned(),
            stats: worker.stats().clone(),
        };
        let parts = started.iter().map(|(_, worker)| part(worker)).collect();
        let (sinks, workers): (Vec<_>, Vec<_>) = started.into_iter().unzip();
        self.0.extend(workers);
        Ok(Started { sinks, parts })
    }

    /// Waits for all of them; the pipelines have ended.
    pub(super) fn stop(self) {
        let watch = Stopwatch::start();
        for worker in self.0 {
            worker.stop(PATIENCE.saturating_sub(watch.elapsed()));
        }
    }
}

fn post(settings: &config::Webhook, token: Option<&Secret>) -> anyhow::Result<HttpPost> {
    let authorities = match settings.url.starts_with("https:") {
        true => tls::authorities("webhook ca", settings.ca.as_deref())?,
        false => Vec::new(),
    };
    let secret = token.map(|token| match &settings.header {
        Some(name) => (name.clone(), token.clone()),
        None => ("Authorization".to_owned(), Secret::new(format!("Bearer {}", token.expose()))),
    });
    let (url, timeout) = (settings.url.clone(), settings.timeout);
    let http = HttpSettings { url, secret, authorities, timeout };
    HttpPost::new(http).map_err(anyhow::Error::msg)
}

fn of_feeds(config: &config::Config) -> impl Iterator<Item = &config::Outputs> {
    config.pipelines.iter().filter_map(|pipeline| pipeline.feed.as_ref()).map(|feed| &feed.outputs)
}

/// The names of every `gpio` and `pwm` of `config`.
pub fn outputs(config: &config::Config) -> Vec<String> {
    of_feeds(config).flat_map(|outputs| outputs.driven()).map(|(_, name)| name).collect()
}

/// Brings every `gpio` and `pwm` of `config` into its safe state, as after a process that ended without doing so.
/// One line for each: what became of it.
pub fn make_safe(
    config: &config::Config,
    open: &gpio::OpenLine,
) -> Vec<(String, Result<(), String>)> {
    let mut done = Vec::new();
    for outputs in of_feeds(config) {
        let lines = outputs.gpio.iter();
        done.extend(lines.map(|line| (line.name(), gpio::make_safe(line, open))));
        let channels = outputs.pwm.iter();
        done.extend(channels.map(|channel| (channel.name(), pwm::make_safe(channel))));
    }
    done
}
