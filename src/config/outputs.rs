//! Where a pipeline's results go beside the broker: `json_lines`, `webhook`, `gpio`, `pwm`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use super::keys;
use super::name::CredentialName;
use super::quantity::{ByteSize, Rate};
use super::raw::Section;
use super::value::{Bad, boolean, credential, list, number, path, quantity, span, text, whole};
use crate::sink::{gpio, json_lines, pwm};

/// What a pipeline's findings do besides going to the broker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// Where results and events are written as lines.
    pub json_lines: Option<json_lines::Settings>,
    /// Where they are sent.
    pub webhook: Option<Webhook>,
    /// Lines that they switch.
    pub gpio: Vec<gpio::Settings>,
    /// Channels that they drive.
    pub pwm: Vec<pwm::Settings>,
}

/// A URL that gets results and events as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// `https://` or `http://`, without user name and password.
    pub url: String,
    /// A secret that requests carry.
    pub token: Option<CredentialName>,
    /// The header that it is the value of; without one it is `Authorization: Bearer …`.
    pub header: Option<String>,
    /// PEM, of who may have signed the server's certificate; without it the system's.
    pub ca: Option<PathBuf>,
    /// Of a whole request.
    pub timeout: Duration,
    /// Results and events in one request.
    pub batch: usize,
    /// How long one waits for others to go with it.
    pub linger: Duration,
}

/// The keys of a pipeline that are read here.
pub(super) const KEYS: [&str; 4] = ["json_lines", "webhook", "gpio", "pwm"];

const FILES_BYTES: std::ops::RangeInclusive<u64> = 1 << 20..=64 << 30;
const COMMIT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3600));
const TIMEOUT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(300));
const LINGER: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(3600));
const STALE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(24 * 3600));

impl Outputs {
    /// `None` where something is wrong, which is noted.
    pub(super) fn read(pipeline: &Section<'_>, base: &Path) -> Option<Self> {
        let json_lines = optional(pipeline, "json_lines", |section| json_lines(section, base));
        let webhook = optional(pipeline, "webhook", |section| Webhook::read(section, base));
        let gpio: Vec<_> = pipeline.tables("gpio", &keys::GPIO).iter().map(gpio_line).collect();
        let pwm: Vec<_> = pipeline.tables("pwm", &keys::PWM).iter().map(pwm_channel).collect();
        Some(Self {
            json_lines: json_lines?,
            webhook: webhook?,
            gpio: gpio.into_iter().collect::<Option<_>>()?,
            pwm: pwm.into_iter().collect::<Option<_>>()?,
        })
    }

    /// What each of the outputs that are no messages drives, as its sink is called.
    pub(crate) fn driven(&self) -> Vec<(&'static str, String)> {
        let lines = self.gpio.iter().map(|line| ("gpio", line.name()));
        lines.chain(self.pwm.iter().map(|channel| ("pwm", channel.name()))).collect()
    }
}

/// `Some(None)` where `key` is not there.
fn optional<T>(
    pipeline: &Section<'_>,
    key: &str,
    read: impl FnOnce(&Section<'_>) -> Option<T>,
) -> Option<Option<T>> {
    match pipeline.has(key) {
        true => read(pipeline).map(Some),
        false => Some(None),
    }
}

fn json_lines(pipeline: &Section<'_>, base: &Path) -> Option<json_lines::Settings> {
    let file = |path| json_lines::FileSettings {
        path,
        bytes_max: 64 << 20,
        files: 4,
        commit: Duration::from_secs(5),
    };
    if !pipeline.is_table("json_lines") {
        return pipeline.get("json_lines", |value| match text(value)? {
            "-" => Ok(json_lines::Settings::Stdout),
            _ => Ok(json_lines::Settings::File(file(path(base)(value)?))),
        });
    }
    let section = pipeline.table("json_lines", &keys::JSON_LINES)?;
    section.close();
    let usual = file(section.require("path", path(base))?);
    let bytes_max = section.get("max_bytes", |value| {
        let bytes = quantity::<ByteSize>(value)?.bytes();
        if FILES_BYTES.contains(&bytes) {
            return Ok(bytes);
        }
        Err(Bad::Says(format!("{:?} is not within 1 MiB to 64 GiB", text(value)?)))
    });
    let files = section.get("files", whole(2..=16));
    let commit = section.get("commit", span(COMMIT));
    Some(json_lines::Settings::File(json_lines::FileSettings {
        bytes_max: bytes_max.unwrap_or(usual.bytes_max),
        files: files.unwrap_or(usual.files),
        commit: commit.unwrap_or(usual.commit),
        ..usual
    }))
}

impl Webhook {
    fn read(pipeline: &Section<'_>, base: &Path) -> Option<Self> {
        let section = pipeline.table("webhook", &keys::WEBHOOK)?;
        section.close();
        let address = section.require("url", url);
        let token = section.get("token", credential("webhook-token"));
        let header = section.get("header", header);
        let ca = section.get("ca", path(base));
        let timeout = section.get("timeout", span(TIMEOUT));
        let batch = section.get("batch", whole(1..=1000));
        let linger = section.get("linger", span(LINGER));
        if section.has("header") && !section.has("token") {
            section.missing("token");
        }
        let address = address?;
        if address.scheme() == "http" {
            if section.has("ca") {
                section.wrong("ca", "is for TLS only; write url = \"https://…\", or remove it");
            }
            let host = address.host_str().unwrap_or_default();
            if section.has("token") && !matches!(host, "localhost" | "127.0.0.1" | "[::1]") {
                section.warn("token", "crosses the network in clear text; use url = \"https://…\"");
            }
        }
        Some(Self {
            url: address.to_string(),
            token,
            header,
            ca,
            timeout: timeout.unwrap_or(Duration::from_secs(10)),
            batch: batch.unwrap_or(1) as usize,
            linger: linger.unwrap_or(Duration::from_secs(1)),
        })
    }
}

fn url(value: &DeValue<'_>) -> Result<url::Url, Bad> {
    let text = text(value)?;
    let url = url::Url::parse(text).map_err(|error| Bad::Says(format!("{text:?}: {error}")))?;
    if !matches!(url.scheme(), "https" | "http") || !url.has_host() {
        return Err(Bad::Says(format!("{text:?} is neither https:// nor http://")));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Bad::Says("holds a user name or a password; use token".into()));
    }
    Ok(url)
}

fn header(value: &DeValue<'_>) -> Result<String, Bad> {
    let name = text(value)?;
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if (1..=64).contains(&name.len()) && name.chars().all(good) {
        return Ok(name.to_owned());
    }
    Err(Bad::Says(format!("{name:?} is no name of a header, as in \"X-Api-Key\"")))
}

fn gpio_line(section: &Section<'_>) -> Option<gpio::Settings> {
    const SAFE: &[(&str, gpio::Safe)] =
        &[("low", gpio::Safe::Low), ("high", gpio::Safe::High), ("release", gpio::Safe::Release)];
    section.close();
    let chip = section.require("chip", chip_file);
    let line = section.require("line", |value| match value.as_str() {
        Some(name) if !name.is_empty() => Ok(gpio::LineId::Name(name.to_owned())),
        Some(_) => Err(Bad::Says("must not be empty".into())),
        None => whole(0..=1023)(value).map(gpio::LineId::Offset),
    });
    let rule = rule(section);
    let active_low = section.get("active_low", boolean).unwrap_or(false);
    let off = if active_low { gpio::Safe::High } else { gpio::Safe::Low };
    let safe = section.get("safe", super::value::one_of(SAFE)).unwrap_or(off);
    let stale_after = section.require("stale_after", span(STALE));
    let (chip, line, stale_after) = (chip?, line?, stale_after?);
    Some(gpio::Settings { chip, line, active_low, rule: rule?, safe, stale_after })
}

fn rule(section: &Section<'_>) -> Option<gpio::Rule> {
    let label = section.get("label", |value| text(value).map(str::to_owned));
    let anomalous = section.get("anomalous", boolean);
    let (above, below) = (section.get("above", number), section.get("below", number));
    let given: Vec<&str> =
        ["label", "anomalous", "above", "below"].into_iter().filter(|k| section.has(k)).collect();
    if let [first, second, ..] = given[..] {
        section.wrong(second, format!("is there beside {first}; a line has one rule"));
        return None;
    }
    match given.first().copied() {
        Some("label") => label.map(gpio::Rule::Label),
        Some("anomalous") if anomalous == Some(false) => {
            section.wrong("anomalous", "must be true; with active_low the wire is low meanwhile");
            None
        }
        Some("anomalous") => anomalous.map(|_| gpio::Rule::Anomalous),
        Some("above") => above.map(gpio::Rule::Above),
        Some(_) => below.map(gpio::Rule::Below),
        None => {
            section.wrong("", "says not when the line is on: add label, anomalous, above or below");
            None
        }
    }
}

fn chip_file(value: &DeValue<'_>) -> Result<PathBuf, Bad> {
    let name = text(value)?;
    if name.starts_with('/') && !name.contains('\0') {
        return Ok(name.into());
    }
    Err(Bad::Says(format!("{name:?} is not a device file; write it as \"/dev/gpiochip0\"")))
}

fn pwm_channel(section: &Section<'_>) -> Option<pwm::Settings> {
    section.close();
    let chip = section.require("chip", |value| {
        let name = text(value)?;
        let number = name.strip_prefix("pwmchip").map(str::as_bytes).unwrap_or_default();
        let is_chip = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
        if is_chip || (name.starts_with('/') && !name.contains('\0')) {
            return Ok(Path::new("/sys/class/pwm").join(name));
        }
        Err(Bad::Says(format!("{name:?} is no chip; write it as \"pwmchip0\"")))
    });
    let channel = section.require("channel", whole(0..=255));
    let frequency = section.require("frequency", quantity::<Rate>);
    let inverted = section.get("inverted", boolean).unwrap_or(false);
    let label = section.get("label", |value| text(value).map(str::to_owned));
    let from = or(section, "from", [0.0, 1.0], |value| {
        let [low, high] = pair(value)?;
        if low == high {
            return Err(Bad::Says("must be two different numbers".into()));
        }
        Ok([low, high])
    });
    let duty = or(section, "duty", [0.0, 1.0], |value| {
        let [low, high] = pair(value)?;
        Ok([share(low)?, share(high)?])
    });
    let safe = or(section, "safe", pwm::Safe::Off, |value| match value.as_str() {
        Some("off") => Ok(pwm::Safe::Off),
        Some(other) => Err(Bad::Says(format!("{other:?} is neither \"off\" nor a share, 0 to 1"))),
        None => Ok(pwm::Safe::Duty(share(number(value)?)?)),
    });
    let stale_after = section.require("stale_after", span(STALE));
    Some(pwm::Settings {
        chip: chip?,
        channel: channel?,
        period_ns: (1e9 / frequency?.hz()).round() as u64,
        inverted,
        label,
        from: from?,
        duty: duty?,
        safe: safe?,
        stale_after: stale_after?,
    })
}

/// What stands at `key`, or `usual`; `None` where it is wrong, which is noted.
fn or<'a, T>(
    section: &Section<'a>,
    key: &str,
    usual: T,
    read: impl FnOnce(&'a DeValue<'a>) -> Result<T, Bad>,
) -> Option<T> {
    if section.has(key) { section.get(key, read) } else { Some(usual) }
}

fn pair<'a>(value: &'a DeValue<'a>) -> Result<[f32; 2], Bad> {
    let numbers = list(number)(value)?;
    <[f32; 2]>::try_from(numbers).map_err(|_| Bad::Says("must be two numbers".into()))
}

fn share(number: f32) -> Result<f64, Bad> {
    // As a person writes it: 0.1 and not the nearest f32.
    let share = (f64::from(number) * 1e6).round() / 1e6;
    match (0.0..=1.0).contains(&share) {
        true => Ok(share),
        false => Err(Bad::Says(format!("{number} is no share, 0 to 1"))),
    }
}
