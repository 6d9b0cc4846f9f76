//! `[[sensor]]` with driver = "gpio": lines of a chip.

use std::path::PathBuf;

use toml::de::DeValue;

use super::super::keys;
use super::super::quantity::{Rate, Span};
use super::super::raw::Section;
use super::super::value::{Bad, boolean, one_of, quantity, text, whole};
use super::chips::channel_name;
use crate::sensor::GpioSettings;
use crate::sensor::gpio::{Bias, Edge, Line, LineId, Lines, Measure};

const MEASURES: &[(&str, Measure)] =
    &[("level", Measure::Level), ("count", Measure::Count), ("rate", Measure::Rate)];
const EDGES: &[(&str, Edge)] =
    &[("rising", Edge::Rising), ("falling", Edge::Falling), ("both", Edge::Both)];
const BIASES: &[(&str, Bias)] = &[
    ("as-is", Bias::AsIs),
    ("off", Bias::Off),
    ("pull-up", Bias::PullUp),
    ("pull-down", Bias::PullDown),
];

pub(super) fn read(section: &Section<'_>) -> Option<GpioSettings> {
    let section = section.with(&keys::GPIO_IN);
    section.close();
    let chip = section.require("chip", chip);
    let rate = section.require("rate", quantity::<Rate>);
    let tables = section.tables("line", &keys::GPIO_LINE);
    if tables.is_empty() && !section.has("line") {
        section.missing("line");
    }
    let lines: Vec<Option<Line>> = tables.iter().map(line).collect();
    let lines: Option<Vec<Line>> = lines.into_iter().collect();
    let settings =
        GpioSettings { lines: Lines { chip: chip?, lines: lines? }, rate_hz: rate?.hz() };
    if tables.is_empty() {
        return None;
    }
    let bad = settings.validate();
    for bad in &bad {
        section.wrong(bad.key, bad.why.clone());
    }
    bad.is_empty().then_some(settings)
}

fn line(section: &Section<'_>) -> Option<Line> {
    section.close();
    let name = section.require("name", channel_name);
    let id = section.require("line", line_id);
    let measure = section.get("measure", one_of(MEASURES));
    let edge = section.get("edge", one_of(EDGES));
    let measure = measure.unwrap_or(Measure::Level);
    if edge.is_some() && measure == Measure::Level {
        section.wrong("edge", "is for measure = \"count\" or \"rate\"; a level has none");
    }
    let bias = section.get("bias", one_of(BIASES)).unwrap_or(Bias::AsIs);
    let active_low = section.get("active_low", boolean).unwrap_or(false);
    let debounce = section.get("debounce", quantity::<Span>).map(Span::duration);
    Some(Line {
        name: name?,
        id: id?,
        measure,
        edge: edge.unwrap_or(Edge::Rising),
        bias,
        active_low,
        debounce: debounce.unwrap_or_default(),
    })
}

fn line_id<'a>(value: &'a DeValue<'a>) -> Result<LineId, Bad> {
    match value.as_str() {
        Some("") => Err(Bad::Says("must not be empty".into())),
        Some(name) => Ok(LineId::Name(name.to_owned())),
        None => whole(0..=1023)(value).map(LineId::Offset).map_err(|bad| match bad {
            Bad::Type(_) => Bad::Type("a line's number or its name"),
            other => other,
        }),
    }
}

fn chip<'a>(value: &'a DeValue<'a>) -> Result<PathBuf, Bad> {
    let chip = text(value)?;
    if !chip.starts_with('/') || chip.contains('\0') {
        let name = chip.rsplit('/').next().filter(|name| name.starts_with("gpiochip"));
        let name = name.unwrap_or("gpiochip0");
        let message =
            format!("{chip:?} is not a device file; write it as {:?}", format!("/dev/{name}"));
        return Err(Bad::Says(message));
    }
    Ok(chip.into())
}
