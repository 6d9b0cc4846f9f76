//! `edgerun bundle show`: what a bundle says of itself; nothing is loaded.

use std::io::Write;

use serde_json::{Value, json};

use super::{BundleArgs, Outcome};
use crate::arrays;
use crate::model::{Bundle, Manifest, Recipe, UpdateLimits};

pub(super) fn run(args: &BundleArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let bundle = Bundle::open(&args.bundle)?;
    let golden = bundle.golden.as_deref().map(arrays::unpack).transpose()?;
    let windows = golden
        .iter()
        .flatten()
        .find(|array| array.name == "x")
        .and_then(|array| array.tensor.shape().first().copied())
        .unwrap_or(0);
    let metrics: Option<Value> =
        bundle.metrics.as_deref().and_then(|bytes| serde_json::from_slice(bytes).ok());
    if args.json {
        let shown = as_json(&bundle, windows, metrics.as_ref());
        writeln!(out, "{shown}")?;
    } else {
        as_text(&bundle, windows, metrics.as_ref(), out)?;
    }
    Ok(Outcome::Good)
}

fn as_json(bundle: &Bundle, windows: usize, metrics: Option<&Value>) -> Value {
    let Manifest { name, version, description, license, origin, edgerun, labels, recipe, .. } =
        &bundle.manifest;
    let update = &bundle.manifest.update;
    let members: Vec<_> = bundle
        .members()
        .map(|(name, bytes)| json!({ "name": name, "bytes": bytes.len() }))
        .collect();
    let channels: Vec<_> = recipe
        .channels
        .iter()
        .map(|channel| json!({ "name": channel.name, "unit": channel.unit }))
        .collect();
    json!({
        "name": name, "version": version.to_string(), "description": description,
        "license": license, "origin": origin, "edgerun": edgerun.to_string(),
        "digest": bundle.digest.as_str(), "members": members, "labels": labels,
        "recipe": { "frames": recipe.frames, "rate_hz": recipe.rate_hz, "channels": channels,
            "steps": recipe.steps().map(|(step, ..)| step.as_str()).collect::<Vec<_>>(),
            "picture": recipe.picture.as_ref().map(|picture| json!({
                "width": picture.layout.width, "height": picture.layout.height,
                "resize": picture.resize.as_str(), "fit": picture.fit.as_str(), "color": picture.color.as_str(),
            })) },
        "kind": bundle.manifest.postprocess.kind.as_str(), "golden_windows": windows, "metrics": metrics,
        "update": { "windows": update.windows, "agreement": update.agreement, "within": update.within,
            "latency_ms": update.latency.map(|time| time.as_secs_f64() * 1e3) },
    })
}

fn as_text(
    bundle: &Bundle,
    windows: usize,
    metrics: Option<&Value>,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let Manifest { name, version, description, license, origin, edgerun, labels, recipe, .. } =
        &bundle.manifest;
    writeln!(out, "{name} {version}: {description}")?;
    writeln!(out, "  digest    {}", bundle.digest)?;
    writeln!(out, "  licence   {}", said(license))?;
    writeln!(out, "  data      {}", said(origin))?;
    let targets = match &bundle.manifest.targets[..] {
        [] => String::new(),
        targets => format!(", on {}", targets.join(" or ")),
    };
    writeln!(out, "  needs     edgerun {edgerun} or newer{targets}")?;
    let rate = recipe.rate_hz.map(|hz| format!(" at {hz} Hz")).unwrap_or_default();
    match &recipe.picture {
        Some(picture) => {
            let layout = picture.layout;
            writeln!(out, "  takes     pictures, {} x {}", layout.width, layout.height)?;
            let words = [picture.fit.as_str(), picture.resize.as_str(), picture.color.as_str()];
            writeln!(out, "  recipe    {}", words.join(", "))?;
        }
        None => rows(recipe, &rate, out)?,
    }
    let of = if labels.is_empty() { String::new() } else { format!(": {}", labels.join(", ")) };
    writeln!(out, "  gives     {}{of}", bundle.manifest.postprocess.kind.as_str())?;
    writeln!(out, "  golden    {windows} windows")?;
    let update = update_line(&bundle.manifest.update);
    if !update.is_empty() {
        writeln!(out, "  update    {update}")?;
    }
    if let Some(metrics) = metrics {
        writeln!(out, "  metrics   {}", metrics_line(metrics))?;
    }
    writeln!(out, "\nmembers")?;
    for (name, bytes) in bundle.members() {
        writeln!(out, "  {name:<24} {:>10} bytes", bytes.len())?;
    }
    Ok(())
}

fn rows(recipe: &Recipe, rate: &str, out: &mut dyn Write) -> std::io::Result<()> {
    let (frames, channels) = (recipe.frames, recipe.channels.len());
    writeln!(out, "  takes     {frames} frames of {channels} channels{rate}")?;
    for channel in recipe.channels.iter().take(CHANNELS_SHOWN) {
        writeln!(out, "            {} {}", channel.name, channel.unit)?;
    }
    if recipe.channels.len() > CHANNELS_SHOWN {
        writeln!(out, "            and {} more", recipe.channels.len() - CHANNELS_SHOWN)?;
    }
    let steps: Vec<_> = recipe.steps().map(|(step, ..)| step.as_str()).collect();
    writeln!(out, "  recipe    {}", said(&steps.join(", ")))
}

const CHANNELS_SHOWN: usize = 12;

fn said(text: &str) -> &str {
    if text.is_empty() { "(not said)" } else { text }
}

/// What it must keep to beside the version that serves: `50 windows, agreement 0.9, latency 20ms`.
fn update_line(update: &UpdateLimits) -> String {
    let UpdateLimits { windows, agreement, within, latency } = update;
    let said = [
        windows.map(|windows| format!("{windows} windows")),
        agreement.map(|share| format!("agreement {share}")),
        within.map(|share| format!("within {share}")),
        latency.map(|time| format!("latency {time:?}")),
    ];
    said.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The numbers of the first level: `accuracy 0.975, n 40`.
fn metrics_line(metrics: &Value) -> String {
    let numbers = metrics.as_object().into_iter().flatten().filter_map(|(key, value)| {
        let value = value.as_f64()?;
        Some(format!("{key} {}", (value * 1e4).round() / 1e4))
    });
    numbers.collect::<Vec<_>>().join(", ")
}
