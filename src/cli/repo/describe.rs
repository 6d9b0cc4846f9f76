//! A bundle file → what the repository says of it, found by loading its model here.

use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::cli::model_file::ModelFile;
use crate::engine::{Choice, EngineKind};
use crate::model::release::{Needs, Release};

/// Reads, checks and loads the bundle at `path`.
pub(super) fn describe(path: &Path) -> anyhow::Result<Release> {
    let shown = path.display();
    ensure!(path.is_file(), "{shown} is no file: make one with `edgerun bundle pack`");
    let file = ModelFile::read(path)?;
    let bundle = file.bundle.as_ref().with_context(|| {
        format!("{shown} is a model and no bundle: make one with `edgerun bundle init` and `pack`")
    })?;
    let model = file.load(Choice::Auto)?;
    file.check(&*model)?;
    let report = model.report();
    let others = [EngineKind::Native, EngineKind::Tract];
    let runs = |kind: &EngineKind| *kind == report.engine || file.load(Choice::Only(*kind)).is_ok();
    let engine = others.iter().filter(|kind| runs(kind)).map(ToString::to_string).collect();
    let mut ops: Vec<_> = report.ops.iter().map(|op| op.op.clone()).collect();
    ops.sort();
    ops.dedup();
    let peak = report.weight_bytes + report.arena_bytes.unwrap_or(0);
    let needs = Needs { peak_bytes: peak as u64, ops, targets: Vec::new() };
    let release = Release::of(bundle, engine, needs);
    // Whatever is published must be what a board takes.
    Release::from_json(&release.to_json()).with_context(|| format!("{shown}"))
}
