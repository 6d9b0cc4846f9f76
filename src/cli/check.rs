//! `edgerun check`: is the configuration right, and is everything that it names there?

mod doctor;
mod step;

use std::io::Write;

use serde_json::{Value, json};

use super::{ConfigArgs, Outcome, logger, output};
use crate::config::{Config, Credentials, Problem};
use crate::daemon::explained;
pub(crate) use step::{Blame, Step};

/// Arguments of `edgerun check`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    config: ConfigArgs,

    /// Prints one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// Validates the configuration, then takes every step; good only if all hold.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let file = args.config.config.display().to_string();
    let config = match args.config.load() {
        Ok(config) => config,
        Err(error) if args.json => {
            let report = json!({
                "ok": false, "config": file, "errors": shown(&error.problems), "warnings": [],
                "checks": [],
            });
            writeln!(out, "{report}")?;
            return Ok(Outcome::WrongConfiguration);
        }
        Err(error) => return Err(error.into()),
    };
    let mut report = Report { colours: !args.json && output::shows_colours(), ..Report::default() };
    if !args.json {
        for warning in &config.warnings {
            logger::say(&format!("{warning} (warning)"));
        }
        report.line(out, "configuration", &Ok(summary(&config, &file)))?;
    }
    for step in steps(&config, &Credentials::this()) {
        let Step { name, blame, look } = step;
        let found = look();
        if !args.json {
            report.line(out, &name, &found)?;
        }
        report.note(name, blame, found);
    }
    let outcome = report.outcome();
    if args.json {
        let report = json!({
            "ok": outcome == Outcome::Good, "config": file, "device": config.device.id.as_str(),
            "errors": [], "warnings": shown(&config.warnings), "checks": report.checks,
        });
        writeln!(out, "{report}")?;
    }
    Ok(outcome)
}

/// What is looked at, in the order of the data's way.
fn steps<'a>(config: &'a Config, credentials: &'a Credentials) -> Vec<Step<'a>> {
    let mut steps = step::files(config, credentials);
    steps.push(step::state(config));
    steps.extend(doctor::steps(config, credentials));
    steps
}

fn summary(config: &Config, file: &str) -> String {
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    format!(
        "{file}: device {}, {}, {}",
        config.device.id,
        count(config.sensors.len(), "sensor"),
        count(config.pipelines.len(), "pipeline"),
    )
}

fn shown(problems: &[Problem]) -> Vec<Value> {
    problems
        .iter()
        .map(|Problem { file, line, key, message }| {
            json!({"file": file.display().to_string(), "line": line, "key": key, "message": message})
        })
        .collect()
}

#[derive(Default)]
struct Report {
    colours: bool,
    checks: Vec<Value>,
    wrong_configuration: bool,
    failed: bool,
}

impl Report {
    fn line(
        &self,
        out: &mut dyn Write,
        name: &str,
        found: &anyhow::Result<String>,
    ) -> anyhow::Result<()> {
        let (word, colour, detail) = match found {
            Ok(detail) => ("ok    ", "\x1b[32m", detail.clone()),
            Err(error) => ("failed", "\x1b[31m", explained(error)),
        };
        let (on, off) = if self.colours { (colour, "\x1b[0m") } else { ("", "") };
        writeln!(out, "{on}{word}{off}  {name:<24}  {detail}")?;
        // Steps may take seconds: each shows when it is done.
        out.flush()?;
        Ok(())
    }

    fn note(&mut self, name: String, blame: Blame, found: anyhow::Result<String>) {
        let ok = found.is_ok();
        match blame {
            Blame::Configuration => self.wrong_configuration |= !ok,
            Blame::Surroundings => self.failed |= !ok,
        }
        let detail = found.unwrap_or_else(|error| explained(&error));
        self.checks.push(json!({"name": name, "ok": ok, "detail": detail}));
    }

    fn outcome(&self) -> Outcome {
        match (self.wrong_configuration, self.failed) {
            (true, _) => Outcome::WrongConfiguration,
            (false, true) => Outcome::Failed,
            (false, false) => Outcome::Good,
        }
    }
}
