//! `[[sensor]]` for numbers that come from elsewhere: `mqtt`, `http`, `command`.

use std::path::Path;
use std::time::Duration;

use toml::de::DeValue;

use super::super::keys;
use super::super::keys::Table;
use super::super::quantity::Rate;
use super::super::raw::Section;
use super::super::value::{Bad, boolean, list, number, one_of, quantity, span, text, whole};
use super::chips::channel_name;
use crate::sensor::Channel;
use crate::sensor::input::{
    CommandInput, Field, Format, InputSpec, MqttInput, PushInput, is_pointer,
};

/// A driver with its settings.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Messages of other devices.
    Mqtt(MqttInput),
    /// Rows that others send.
    Http(PushInput),
    /// Lines of a program.
    Command(CommandInput),
}

/// Which driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Mqtt,
    Http,
    Command,
}

/// The tables of all of them, for a driver that is none.
pub(super) const TABLES: [&Table; 3] = [&keys::MQTT_INPUT, &keys::HTTP_INPUT, &keys::COMMAND_INPUT];

const STALE: (Duration, Duration) =
    (Duration::from_millis(100), Duration::from_secs(7 * 24 * 3600));

#[derive(Clone, Copy)]
enum Lines {
    Columns,
    Json,
}

const FORMATS: &[(&str, Lines)] = &[("columns", Lines::Columns), ("json", Lines::Json)];

impl Kind {
    pub(super) fn read(
        self,
        section: &Section<'_>,
        root: &Section<'_>,
        base: &Path,
    ) -> Option<Input> {
        match self {
            Self::Mqtt => mqtt(&section.with(&keys::MQTT_INPUT), root).map(Input::Mqtt),
            Self::Http => http(&section.with(&keys::HTTP_INPUT), root).map(Input::Http),
            Self::Command => command(&section.with(&keys::COMMAND_INPUT), base).map(Input::Command),
        }
    }
}

fn mqtt(section: &Section<'_>, root: &Section<'_>) -> Option<MqttInput> {
    section.close();
    if !root.has("mqtt") {
        section.wrong("driver", "needs [mqtt]: messages come over the board's own connection");
    }
    let common = section.get("topic", topic);
    let retained = section.get("retained", boolean).unwrap_or(false);
    let channels = channels(section, &keys::MQTT_CHANNEL, |channel| {
        let own = channel.get("topic", topic);
        let topic = match channel.has("topic") {
            true => own,
            false => common.clone(),
        };
        if topic.is_none() && !channel.has("topic") && !section.has("topic") {
            channel.wrong("topic", "is missing, here and in the sensor's own table");
        }
        let pointer = channel.require("pointer", pointer);
        Some(Field { topic: topic?, pointer: pointer? })
    });
    let spec = spec(section, Duration::from_secs(900));
    let (channels, fields) = channels?;
    Some(MqttInput { spec: spec?.with(channels), fields, retained })
}

fn http(section: &Section<'_>, root: &Section<'_>) -> Option<PushInput> {
    section.close();
    if !root.has("http") {
        section.wrong("driver", "needs [http]: rows come through the board's HTTP server");
    }
    let channels = channels(section, &keys::HTTP_CHANNEL, |_| Some(()));
    let spec = spec(section, Duration::from_secs(10));
    Some(PushInput { spec: spec?.with(channels?.0) })
}

fn command(section: &Section<'_>, base: &Path) -> Option<CommandInput> {
    section.close();
    let command = section.require("command", command_line(base));
    let format = match section.has("format") {
        true => section.get("format", one_of(FORMATS)),
        false => Some(Lines::Columns),
    };
    let spec = spec(section, Duration::from_secs(10));
    let (channels, format) = match format? {
        Lines::Json => {
            let (channels, pointers) = channels(section, &keys::COMMAND_CHANNEL, |channel| {
                if channel.has("column") {
                    channel.wrong("column", "is for format = \"columns\"; use pointer");
                }
                channel.require("pointer", pointer)
            })?;
            (channels, Format::Json(pointers))
        }
        Lines::Columns => {
            let mut next = 0;
            let (channels, columns) = channels(section, &keys::COMMAND_CHANNEL, |channel| {
                if channel.has("pointer") {
                    channel.wrong("pointer", "is for format = \"json\"; use column");
                }
                let column = match channel.has("column") {
                    true => channel.get("column", whole(1..=1000))? as usize - 1,
                    false => next,
                };
                next = column + 1;
                Some(column)
            })?;
            (channels, Format::Columns(columns))
        }
    };
    Some(CommandInput { spec: spec?.with(channels), command: command?, format })
}

/// What every input has, before its channels.
struct Common {
    rate_hz: f64,
    stale_after: Duration,
}

impl Common {
    fn with(self, channels: Vec<Channel>) -> InputSpec {
        InputSpec { channels, rate_hz: self.rate_hz, stale_after: self.stale_after }
    }
}

/// `usual` is how long the sensor may be silent, ten periods at least.
fn spec(section: &Section<'_>, usual: Duration) -> Option<Common> {
    let rate = section.require("rate", quantity::<Rate>);
    let stale_after = section.get("stale_after", span(STALE));
    let rate_hz = rate?.hz();
    let usual = usual.max(Duration::from_secs_f64(10.0 / rate_hz));
    let stale_after = match section.has("stale_after") {
        true => stale_after?,
        false => usual,
    };
    Some(Common { rate_hz, stale_after })
}

/// The channels, and what else `read` finds in each one's table.
fn channels<T>(
    section: &Section<'_>,
    table: &'static Table,
    mut read: impl FnMut(&Section<'_>) -> Option<T>,
) -> Option<(Vec<Channel>, Vec<T>)> {
    let sections = section.tables("channel", table);
    if sections.is_empty() && !section.has("channel") {
        section.missing("channel");
    }
    let mut found = Vec::with_capacity(sections.len());
    let mut taken: Vec<String> = Vec::new();
    for own in &sections {
        own.close();
        let name = own.require("name", channel_name);
        let unit = own.get("unit", |value| text(value).map(str::to_owned));
        let range = own.get("range", |value| {
            let pair = list(number)(value)?;
            <[f32; 2]>::try_from(pair).map_err(|_| Bad::Says("must be [least, most]".into()))
        });
        if let Some(name) = &name {
            if taken.contains(name) {
                own.wrong("name", format!("{name:?} is the name of another channel, too"));
            }
            taken.push(name.clone());
        }
        let more = read(own);
        found.push(name.zip(more).map(|(name, more)| {
            let unit = unit.unwrap_or_default();
            (Channel { name: name.into(), unit: unit.into(), range }, more)
        }));
    }
    if found.len() > 64 {
        section.wrong("channel", format!("there are {}; 64 at most", found.len()));
    }
    let found: Option<Vec<_>> = found.into_iter().collect();
    found.filter(|found| !found.is_empty()).map(|found| found.into_iter().unzip())
}

/// MQTT 5 section 4.7, without wildcards: one device's messages and no other's.
fn topic(value: &DeValue<'_>) -> Result<String, Bad> {
    let topic = text(value)?;
    if topic.contains(['+', '#']) {
        return Err(Bad::Says(format!(
            "{topic:?} has a wildcard: numbers of several devices would be mixed; give each topic its own channel"
        )));
    }
    if topic.is_empty() || topic.len() > 1024 || topic.chars().any(char::is_control) {
        return Err(Bad::Says("must have 1 to 1024 bytes and no control characters".into()));
    }
    Ok(topic.to_owned())
}

fn pointer(value: &DeValue<'_>) -> Result<String, Bad> {
    let pointer = text(value)?;
    if is_pointer(pointer) {
        return Ok(pointer.to_owned());
    }
    Err(Bad::Says(format!(
        "{pointer:?} is no JSON pointer (RFC 6901); write it as \"/temperature\", or \"\" for the whole"
    )))
}

/// A program with a `/` starts at the configuration's folder; one without is looked for in `PATH`.
fn command_line<'a>(base: &Path) -> impl FnOnce(&'a DeValue<'a>) -> Result<Vec<String>, Bad> {
    move |value| {
        if value.as_str().is_some() {
            return Err(Bad::Says(
                "no shell takes it apart; write it as a list, as in [\"/usr/bin/vmstat\", \"1\"]"
                    .into(),
            ));
        }
        let mut words = list(|word| text(word).map(str::to_owned))(value)?;
        if words.iter().any(|word| word.contains('\0')) {
            return Err(Bad::Says("an argument cannot hold a NUL".into()));
        }
        let Some(program) = words.first_mut().filter(|program| !program.is_empty()) else {
            return Err(Bad::Says("names no program".into()));
        };
        if program.contains('/') {
            let Some(path) = base.join(&*program).to_str().map(str::to_owned) else {
                return Err(Bad::Says("the configuration's folder is no text".into()));
            };
            *program = path;
        }
        Ok(words)
    }
}
