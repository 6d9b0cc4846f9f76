//! `edgerun cmd`: one command to a board or a group, and its answer.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::broker::BrokerArgs;
use super::plain::{json_line, json_lines, plain};
use super::{Outcome, stop_on_signal};
use crate::clock::{Clock, SystemClock};
use crate::config::{DeviceId, GroupName};
use crate::net::wire::Topics;
use crate::net::wire::command::{Args as CommandArgs, COMMAND_BYTES_MAX, Request};
use crate::net::{self, Envelope, Heard, News, Say};

/// Answers of a group that are kept.
const BOARDS_MAX: usize = 100_000;

/// Arguments of `edgerun cmd`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    edgerun cmd bench-07 health --mqtt mqtts://broker.example\n  \
    edgerun cmd bench-07 pause pipeline=gestures\n  \
    edgerun cmd bench-07 update model=gestures version=1.3.0\n  \
    edgerun cmd group/line-3 resume --jitter 30 --timeout 60")]
pub(crate) struct Args {
    /// The board's id, or group/NAME for each board of a group
    #[arg(value_name = "DEVICE", value_parser = target)]
    target: Target,

    /// What to do, as in health, pause, resume, update, rollback
    #[arg(value_parser = verb)]
    verb: String,

    /// What it is given: key=value, or one JSON object
    #[arg(value_name = "ARGS")]
    args: Vec<String>,

    #[command(flatten)]
    broker: BrokerArgs,

    /// How long to wait for the answer, in seconds; afterwards the command counts no more
    #[arg(long, value_name = "SECONDS", default_value_t = 30,
        value_parser = clap::value_parser!(u32).range(1..=86_400))]
    timeout: u32,

    /// Spreads a group's command: each board waits for a random part of this
    #[arg(long, value_name = "SECONDS", default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(0..=3600))]
    jitter: u32,

    /// Prints the answer as a line of JSON
    #[arg(long)]
    json: bool,
}

/// Whom a command is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Device(DeviceId),
    Group(GroupName),
}

fn target(text: &str) -> Result<Target, String> {
    let parsed = match text.strip_prefix("group/") {
        Some(group) => group.parse().map(Target::Group),
        None => text.parse().map(Target::Device),
    };
    parsed.map_err(|error| error.to_string())
}

fn verb(text: &str) -> Result<String, String> {
    let good =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    match text.is_empty() || text.len() > 64 || !text.bytes().all(good) {
        true => Err("is no verb; they are written as in health or log-level".to_owned()),
        false => Ok(text.to_owned()),
    }
}

/// `key=value`, each value as JSON or otherwise as text; or one object.
fn command_args(given: &[String]) -> anyhow::Result<CommandArgs> {
    if let [only] = given
        && only.trim_start().starts_with('{')
    {
        return serde_json::from_str(only).context("ARGS is no JSON object");
    }
    let mut args = CommandArgs::new();
    for one in given {
        let Some((key, value)) = one.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            bail!("ARGS: {one:?} is not key=value, nor a JSON object");
        };
        // A version is no number.
        let json = serde_json::from_str(value);
        let value = json.unwrap_or_else(|_| Value::String(value.to_owned()));
        if args.insert(key.to_owned(), value).is_some() {
            bail!("ARGS: {key} is given twice");
        }
    }
    Ok(args)
}

pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let settings = args.broker.settings("cmd")?;
    let request = Request {
        id: Some(format!("cmd-{}", net::new_session()?)),
        expires: None,
        jitter: Duration::from_secs(args.jitter.into()),
        args: command_args(&args.args)?,
    };
    let payload = request.encode();
    if payload.len() > COMMAND_BYTES_MAX {
        bail!("ARGS: {} bytes; boards read at most {COMMAND_BYTES_MAX}", payload.len());
    }
    let (topic, replies) = {
        let topics = |device| Topics::new(settings.prefix.as_deref(), device);
        let replies = topics("").replies();
        match &args.target {
            Target::Device(device) => (topics(device.as_str()).command(&args.verb), replies),
            Target::Group(group) => (topics("").group_command(group.as_str(), &args.verb), replies),
        }
    };
    let secret = net::new_session()?;
    let reply = format!("{replies}{secret}");
    let stop = stop_on_signal()?;
    let timeout = Duration::from_secs(args.timeout.into());
    let until = SystemClock.monotonic() + timeout;
    let mut answers: BTreeMap<String, Value> = BTreeMap::new();
    let mut last_away = String::new();
    let to_one = matches!(args.target, Target::Device(_));
    let ask = || {
        let left = until.saturating_sub(SystemClock.monotonic()).as_secs();
        let envelope = Envelope {
            response_topic: Some(reply.clone()),
            correlation: Some(secret.as_str().as_bytes().to_vec()),
            // Late, it counts no more; brokers take whole seconds, and none at all for 0.
            expiry_s: Some(u32::try_from(left).unwrap_or(u32::MAX).max(1)),
            ..Envelope::default()
        };
        Say { topic: topic.clone(), payload: payload.clone(), envelope }
    };
    let mut talk = |news: News<'_>| -> Vec<Say> {
        let mut say = Vec::new();
        match news {
            // The same again after a lost connection: it has the same id.
            News::Subscribed => say.push(ask()),
            News::Heard(heard) => {
                if let Some(answer) = answer(heard, secret.as_str(), request.id.as_deref()) {
                    let device = answer["device"].as_str().unwrap_or_default().to_owned();
                    if answers.len() < BOARDS_MAX {
                        answers.insert(device, answer);
                    }
                    if to_one {
                        stop.store(true, Ordering::Release);
                    }
                }
            }
            News::Nothing => {}
            News::Away(why) => why.clone_into(&mut last_away),
        }
        if SystemClock.monotonic() >= until {
            stop.store(true, Ordering::Release);
        }
        say
    };
    net::converse(settings, std::slice::from_ref(&reply), &mut talk, &stop)?;
    if answers.is_empty() {
        let hint = match &args.target {
            _ if !last_away.is_empty() => format!(": {}", plain(&last_away)),
            Target::Device(device) => format!(
                ": is {device} online, and does [mqtt] commands of it name anything? `edgerun watch` shows what is there"
            ),
            Target::Group(group) => format!(": is a board of group {group} online?"),
        };
        bail!("no answer within {timeout:?}{hint}");
    }
    let mut good = true;
    for answer in answers.values() {
        good &= answer["ok"] == true;
        if args.json {
            writeln!(out, "{}", json_line(answer))?;
        } else {
            show(&args.verb, answer, out)?;
        }
    }
    Ok(if good { Outcome::Good } else { Outcome::Failed })
}

/// What answers this request of ours, and nothing else that somebody says on our topic.
fn answer(heard: &Heard, secret: &str, id: Option<&str>) -> Option<Value> {
    let ours = heard.envelope.correlation.as_deref() == Some(secret.as_bytes());
    let value: Value = serde_json::from_slice(&heard.payload).ok()?;
    let same = value["id"].as_str() == id || value["id"].is_null();
    (ours && same && value["ok"].is_boolean()).then_some(value)
}

fn show(verb: &str, answer: &Value, out: &mut dyn Write) -> anyhow::Result<()> {
    let device = plain(answer["device"].as_str().unwrap_or("?"));
    if answer["ok"] == true {
        writeln!(out, "{device}: {verb}: done")?;
        let result = &answer["result"];
        if result.as_object().is_none_or(|object| !object.is_empty()) && !result.is_null() {
            writeln!(out, "{}", json_lines(result))?;
        }
    } else {
        let text = |key: &str| plain(answer["error"][key].as_str().unwrap_or("?"));
        writeln!(out, "{device}: {verb}: {}: {}", text("code"), text("message"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(given: &[&str]) -> anyhow::Result<Value> {
        let given: Vec<String> = given.iter().map(|one| (*one).to_owned()).collect();
        command_args(&given).map(Value::Object)
    }

    #[test]
    fn arguments_are_values_by_name_or_an_object() {
        assert_eq!(read(&[]).unwrap(), json!({}));
        let given = ["pipeline=a", "windows=3", "version=1.3.0", "deep=[1,{\"a\":null}]", "x=a=b"];
        let expected = json!({
            "pipeline": "a", "windows": 3, "version": "1.3.0", "deep": [1, {"a": null}], "x": "a=b"
        });
        assert_eq!(read(&given).unwrap(), expected);
        assert_eq!(read(&[" {\"a\":1}"]).unwrap(), json!({"a": 1}));
        for wrong in [&["pipeline"][..], &["=a"], &["a=1", "a=2"], &["{\"a\":1", "b=2"], &["{"]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_board_a_group_and_a_verb_are_names() {
        assert!(matches!(target("bench-07"), Ok(Target::Device(_))));
        assert!(matches!(target("group/line-3"), Ok(Target::Group(_))));
        for wrong in ["", "+", "a/b", "group/", "group/#", "a b"] {
            assert!(target(wrong).is_err(), "{wrong}");
        }
        assert!(verb("log-level").is_ok() && verb("+").is_err() && verb("").is_err());
    }

    #[test]
    fn an_answer_is_ours_by_what_only_the_board_was_told() {
        let heard = |correlation: &[u8], payload: Value| Heard {
            topic: String::new(),
            payload: payload.to_string().into_bytes(),
            retained: false,
            envelope: Envelope { correlation: Some(correlation.to_vec()), ..Envelope::default() },
        };
        let good = json!({"id": "1", "ok": true});
        assert_eq!(answer(&heard(b"s", good.clone()), "s", Some("1")), Some(good.clone()));
        assert_eq!(answer(&heard(b"t", good.clone()), "s", Some("1")), None);
        assert_eq!(answer(&heard(b"s", good), "s", Some("2")), None);
        assert_eq!(answer(&heard(b"s", json!({"id": "1"})), "s", Some("1")), None);
    }

    #[test]
    fn what_a_board_says_is_shown_plain() {
        let shown = |answer: Value| {
            let mut out = Vec::new();
            show("pause", &answer, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            shown(json!({"device": "a", "ok": true, "result": {"paused": ["x\u{1b}[2J"]}})),
            "a: pause: done\n{\n  \"paused\": [\n    \"x\\u001b[2J\"\n  ]\n}\n"
        );
        assert_eq!(
            shown(
                json!({"device": "a", "ok": false, "error": {"code": "busy", "message": "\r\u{9b}"}})
            ),
            "a: pause: busy: \\u{d}\\u{9b}\n"
        );
        assert_eq!(shown(json!({"ok": true})), "?: pause: done\n");
    }
}
