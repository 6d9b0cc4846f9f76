//! `edgerun bundle verify`: would a board take it?

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::json;

use super::{BundleArgs, Outcome};
use crate::engine::{self, Choice, Report};
use crate::model::Bundle;
use crate::selftest::{self, Passed};

pub(super) fn run(args: &BundleArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let bundle = Bundle::open(&args.bundle)?;
    let Verified { report, passed } = verify(&args.bundle, &bundle)?;
    let name = &bundle.manifest.name;
    let version = bundle.manifest.version.to_string();
    if args.json {
        let found = json!({
            "ok": true, "name": name, "version": version, "digest": bundle.digest.as_str(),
            "engine": report.engine.as_str(), "golden_windows": passed.windows,
            "worst_difference": passed.worst, "slowest_us": passed.slowest.as_micros() as u64,
        });
        writeln!(out, "{found}")?;
    } else {
        writeln!(out, "{name} {version} is good: {}", describe(&report, passed))?;
    }
    Ok(Outcome::Good)
}

/// What held.
pub(super) struct Verified {
    pub(super) report: Report,
    pub(super) passed: Passed,
}

/// Loads the model, compares it with the manifest and runs the self-test.
pub(super) fn verify(path: &Path, bundle: &Bundle) -> anyhow::Result<Verified> {
    let shapes = bundle.manifest.input_shapes();
    let file = path.join(&bundle.manifest.model);
    let model = engine::load_named(&file, &bundle.model, Choice::Auto, &shapes)?;
    bundle.check(model.signature())?;
    let report = model.report();
    let passed = selftest::run(&bundle.manifest, bundle.golden.as_deref(), Arc::from(model))
        .with_context(|| format!("{}: the self-test fails", path.display()))?;
    Ok(Verified { report, passed })
}

/// `engine native, 16 golden windows, largest difference 0`.
pub(super) fn describe(report: &Report, passed: Passed) -> String {
    let engine = report.engine;
    match passed.windows {
        0 => format!("engine {engine}; no golden.npz, so no answer was compared"),
        1 => format!("engine {engine}, 1 golden window, largest difference {}", passed.worst),
        n => format!("engine {engine}, {n} golden windows, largest difference {}", passed.worst),
    }
}
