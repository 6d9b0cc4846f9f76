//! The bundles of the demo, compiled in: the gesture model that the board comes with, and what its publisher
//! and others offer later.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::clock::CpuWatch;
use crate::engine::{self, Options};
use crate::model::Bundle;
use crate::predict::Predictor;

/// What the manifest of the better one calls it.
const BETTER: &str = "1.1.0";
/// In the slow model's file, how often it repeats its idle work: a number that stands nowhere else in it.
const REPEATS: [u8; 4] = 20_241_128_i32.to_le_bytes();
/// More of them end a run with an error.
const REPEATS_MAX: f64 = 12e6;

/// 1.0.0, which the board comes with.
pub(super) fn first() -> anyhow::Result<Bundle> {
    let manifest = include_str!("../../models/gestures/manifest.toml");
    let golden = include_bytes!("../../models/gestures/golden.npz");
    bundle(manifest, first_model(), golden)
}

/// 1.1.0, trained again: it finds the one window that 1.0.0 gets wrong.
pub(super) fn better() -> anyhow::Result<Bundle> {
    bundle(better_manifest(), better_model(), better_golden())
}

/// 1.2.0: somebody packed the old model's file with the new one's golden answers.
pub(super) fn mixed_up() -> anyhow::Result<Bundle> {
    let manifest = include_str!("../../models/gestures/manifest.toml");
    bundle(&manifest.replace("\"1.0.0\"", "\"1.2.0\""), first_model(), better_golden())
}

/// 1.3.0: the better one under a new number.
pub(super) fn next() -> anyhow::Result<Bundle> {
    bundle(&better_manifest().replace(BETTER, "1.3.0"), better_model(), better_golden())
}

/// 1.4.0: the better one's answers, but `taking` so long on this machine.
pub(super) fn slow(taking: Duration) -> anyhow::Result<Bundle> {
    let few = 2_000;
    let per_repeat = seconds(&repeating(few)?)? / f64::from(few);
    repeating((taking.as_secs_f64() / per_repeat).min(REPEATS_MAX) as i32)
}

fn first_model() -> &'static [u8] {
    include_bytes!("../../models/gestures/gestures.tflite")
}

fn better_manifest() -> &'static str {
    include_str!("../../models/gestures/next/manifest.toml")
}

fn better_model() -> &'static [u8] {
    include_bytes!("../../models/gestures/next/gestures.tflite")
}

fn better_golden() -> &'static [u8] {
    include_bytes!("../../models/gestures/next/golden.npz")
}

fn bundle(manifest: &str, model: &[u8], golden: &[u8]) -> anyhow::Result<Bundle> {
    Bundle::new(manifest, model.to_vec(), Some(golden.to_vec()))
        .context("a compiled-in manifest of models/gestures")
}

/// The slow one, with so many repeats of its idle work.
fn repeating(count: i32) -> anyhow::Result<Bundle> {
    let mut model = include_bytes!("../../models/gestures/slow.tflite").to_vec();
    let places = model.windows(4).enumerate().filter(|(_, four)| *four == REPEATS);
    let places: Vec<usize> = places.map(|(place, _)| place).collect();
    ensure!(places.len() == 1, "slow.tflite has its number of repeats at {places:?}");
    model[places[0]..][..4].copy_from_slice(&count.max(1).to_le_bytes());
    bundle(&better_manifest().replace(BETTER, "1.4.0"), &model, better_golden())
}

/// Of the processor's time, the shortest of a few runs: what else the machine does now, and not later, is not in it.
fn seconds(bundle: &Bundle) -> anyhow::Result<f64> {
    let manifest = &bundle.manifest;
    let (path, shapes) = (Path::new(&manifest.model), manifest.input_shapes());
    let model = engine::load_named(path, &bundle.model, Options::default(), &shapes)?;
    let mut predictor = Predictor::new(manifest, Arc::from(model))?;
    let rows = vec![0.0; manifest.recipe.elements()];
    let mut shortest = f64::INFINITY;
    for _ in 0..5 {
        let watch = CpuWatch::start();
        predictor.predict(&rows)?;
        shortest = shortest.min(watch.elapsed().as_secs_f64());
    }
    Ok(shortest)
}
