//! `--on-request`: a process that stays loaded and measures when told, so that another program can take turns
//! between this one and its peers.

use std::io::{BufRead, Write};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use super::{Bench, mean, micros, percentile, rounded};
use crate::engine::Model;

/// Says on `out` that it is ready, then answers each line of `requests`, a number of runs, until they end.
///
/// # Errors
/// When a line is no number of runs, a run fails, or nobody reads the answers.
pub(super) fn answer(
    bench: &mut Bench<'_>,
    model: &dyn Model,
    load: Duration,
    first: Duration,
    requests: impl BufRead,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let report = model.report();
    let ready = json!({
        "engine": report.engine.as_str(), "isa": report.isa.unwrap_or("auto"),
        "load_ms": rounded(load.as_secs_f64() * 1e3), "first_us": micros(first),
    });
    writeln!(out, "{ready}")?;
    out.flush()?;
    for line in requests.lines() {
        let line = line?;
        let runs: u32 = line
            .trim()
            .parse()
            .ok()
            .filter(|&runs| runs > 0)
            .with_context(|| format!("standard input: {line:?} is no number of runs"))?;
        let times = bench.times(Some(runs))?;
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let answer = json!({
            "runs": runs, "min_ns": nanos(times[0]), "p50_ns": nanos(percentile(&times, 0.5)),
            "mean_ns": nanos(mean(&times)),
        });
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
