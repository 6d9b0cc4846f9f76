//! `[[sensor]]` for microphones, and channels of sound.

use toml::de::DeValue;

use super::super::keys;
use super::super::quantity::Rate;
use super::super::raw::Section;
use super::super::value::{Bad, quantity, text, whole};
use crate::sensor::{AudioChannel, MicrophoneSettings};

/// A microphone; what is wrong is noted.
pub(super) fn read(section: &Section<'_>) -> Option<MicrophoneSettings> {
    let section = section.with(&keys::MICROPHONE);
    section.close();
    let device = section.require("device", |value| text(value).map(str::to_owned));
    let rate = section.get("rate", quantity::<Rate>).map(|rate| rate.hz());
    let channel = section.get("channel", audio_channel);
    let channels = section.get("channels", whole(1..=64));
    let settings = MicrophoneSettings {
        device: device?,
        rate_hz: rate.unwrap_or(16_000.0),
        channel: channel.unwrap_or(AudioChannel::Index(0)),
        channels: channels.map(|channels| channels as u16),
    };
    let bad = settings.validate();
    for bad in &bad {
        section.wrong(bad.key, bad.why.clone());
    }
    bad.is_empty().then_some(settings)
}

/// A channel of sound, counted from 0, or `"mix"`.
pub(super) fn audio_channel<'a>(value: &'a DeValue<'a>) -> Result<AudioChannel, Bad> {
    if value.as_str() == Some("mix") {
        return Ok(AudioChannel::Mix);
    }
    let bad = |_| Bad::Says("must be a channel, 0 to 63, or \"mix\"".into());
    Ok(AudioChannel::Index(whole(0..=63)(value).map_err(bad)? as u16))
}
