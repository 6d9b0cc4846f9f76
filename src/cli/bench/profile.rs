//! `--profile`: where the time of one run goes, operator by operator.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Bench, is_enough, micros, percentile, rounded};
use crate::clock::Stopwatch;
use crate::data::DType;
use crate::engine::native::Peak;
use crate::engine::{Model, OpReport, Part};

/// Columns that the table may take.
const WIDTH: usize = 80;
/// Times that a core's best is measured; the fastest counts.
const PEAK_ROUNDS: usize = 40;
/// Products in one of them.
const PEAK_RUNS: usize = 50;

/// Medians over several runs, each of them measured in parts.
#[derive(Debug)]
pub(super) struct Profile {
    runs: usize,
    /// In execution order, each with its time less what taking the time cost.
    ops: Vec<(OpReport, Duration)>,
    /// Checks, copies of inputs and outputs.
    outside: Duration,
    /// What taking the time once costs.
    timer: Duration,
    /// Multiply-accumulates in a nanosecond, where an operator needs to be compared with them.
    peak: Peaks,
}

/// What the kernels reach at best on this core.
#[derive(Clone, Copy, Debug, Default)]
struct Peaks {
    bytes: Option<f64>,
    floats: Option<f64>,
}

impl Peaks {
    fn measure(ops: &[OpReport]) -> anyhow::Result<Self> {
        let mut peak = Peak::new()?;
        let has = |floats: bool| ops.iter().any(|op| op.macs > 0 && is_float(op) == floats);
        Ok(Self {
            bytes: has(false).then(|| best(|| peak.bytes())),
            floats: has(true).then(|| best(|| peak.floats())),
        })
    }

    fn of(self, op: &OpReport) -> Option<f64> {
        if is_float(op) { self.floats } else { self.bytes }
    }
}

fn is_float(op: &OpReport) -> bool {
    op.dtype == Some(DType::F32)
}

/// Multiply-accumulates in a nanosecond of the fastest of several series of `product`.
fn best(mut product: impl FnMut()) -> f64 {
    let mut series = || {
        let watch = Stopwatch::start();
        (0..PEAK_RUNS).for_each(|_| product());
        watch.elapsed()
    };
    let fastest = (0..PEAK_ROUNDS).map(|_| series()).min().unwrap_or_default();
    per_nanosecond(Peak::MACS * PEAK_RUNS as u64, fastest).unwrap_or_default()
}

/// `count` in each nanosecond of `time`; `None` where there is nothing to count or no time.
fn per_nanosecond(count: u64, time: Duration) -> Option<f64> {
    (count > 0 && !time.is_zero()).then(|| count as f64 / time.as_nanos() as f64)
}

/// What taking the time once costs.
fn timer() -> Duration {
    let mut costs: Vec<Duration> = (0..1001)
        .map(|_| {
            let watch = Stopwatch::start();
            watch.elapsed()
        })
        .collect();
    costs.sort_unstable();
    percentile(&costs, 0.5)
}

impl Profile {
    /// Runs the model as often as `runs` says, or as there is patience for.
    ///
    /// # Errors
    /// When the engine does not tell its parts, or a run fails.
    pub(super) fn measure(
        bench: &mut Bench<'_>,
        model: &dyn Model,
        runs: Option<u32>,
    ) -> anyhow::Result<Self> {
        let report = model.report();
        let engine = report.engine;
        // What lies between the operators comes last.
        let outside = report.ops.len();
        let mut times: Vec<Vec<Duration>> = vec![Vec::new(); outside + 1];
        let mut done = 0;
        let whole = Stopwatch::start();
        while !is_enough(done, runs, whole) {
            let mut spent = Duration::ZERO;
            let mut watch = Stopwatch::start();
            let mut ended = |part: Part| {
                match part {
                    Part::Inputs => spent += watch.elapsed(),
                    Part::Op(op) => times[op].push(watch.elapsed()),
                }
                watch = Stopwatch::start();
            };
            let told =
                bench.session.infer_in_parts(&bench.inputs, &mut bench.outputs, &mut ended)?;
            spent += watch.elapsed();
            anyhow::ensure!(
                told,
                "{engine} does not tell how long each operator takes: --profile is for --engine native"
            );
            times[outside].push(spent);
            done += 1;
        }
        let timer = timer();
        let mut medians = times.into_iter().map(|mut times| {
            times.sort_unstable();
            percentile(&times, 0.5).saturating_sub(timer)
        });
        let peak = Peaks::measure(&report.ops)?;
        let ops: Vec<_> = report.ops.into_iter().zip(&mut medians).collect();
        let outside = medians.next().unwrap_or_default().saturating_sub(timer);
        Ok(Self { runs: done, ops, outside, timer, peak })
    }

    /// Operators and what is outside of them.
    fn total(&self) -> Duration {
        self.ops.iter().map(|(_, time)| *time).sum::<Duration>() + self.outside
    }

    fn share(&self, time: Duration) -> f64 {
        let total = self.total().as_secs_f64();
        if total > 0.0 { time.as_secs_f64() / total } else { 0.0 }
    }

    /// Speed, and how much that is of the best: for operators that multiply.
    fn speed(&self, op: &OpReport, time: Duration) -> Option<(f64, f64)> {
        let speed = per_nanosecond(op.macs, time)?;
        Some((speed, speed / self.peak.of(op).filter(|&peak| peak > 0.0)?))
    }

    pub(super) fn json(&self) -> Value {
        let ops = self.ops.iter().map(|(op, time)| {
            let speed = self.speed(op, *time);
            json!({
                "node": op.node, "op": op.op, "output": op.output,
                "dtype": op.dtype.map(DType::as_str),
                "us": micros(*time), "share": rounded(self.share(*time)),
                "macs": op.macs, "gmac_s": speed.map(|(speed, _)| rounded(speed)),
                "peak_share": speed.map(|(_, share)| rounded(share)),
                "moved_bytes": op.moved_bytes,
            })
        });
        json!({
            "runs": self.runs,
            "total_us": micros(self.total()),
            "outside_us": micros(self.outside),
            "timer_ns": self.timer.as_nanos() as u64,
            "peak_gmac_s": {
                "bytes": self.peak.bytes.map(rounded), "floats": self.peak.floats.map(rounded),
            },
            "ops": ops.collect::<Vec<_>>(),
        })
    }

    /// The operators in order, then their sums by name.
    pub(super) fn table(&self) -> String {
        let mut rows = vec![Row::titles()];
        for (op, time) in self.ops.iter().filter(|(_, time)| !time.is_zero()) {
            rows.push(Row::of(op, self.share(*time), *time, self.speed(op, *time)));
        }
        let mut text = aligned(&rows);
        let sums = self.sums();
        let width = sums.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0);
        text.push('\n');
        for (name, count, time) in &sums {
            let (share, time) = (percent(self.share(*time)), short(*time));
            writeln!(text, "  {name:width$}  {count:>3} {time:>9}  {share:>6}").ok();
        }
        let (outside, total) = (short(self.outside), short(self.total()));
        let share = percent(self.share(self.outside));
        writeln!(text, "  {:width$}      {outside:>9}  {share:>6}", "outside").ok();
        writeln!(text, "  {:width$}      {total:>9}", "total").ok();
        let peaks = [(self.peak.bytes, "8 bits"), (self.peak.floats, "floats")];
        let peaks: Vec<_> = peaks
            .iter()
            .filter_map(|(peak, name)| peak.map(|peak| format!("{peak:.0} GMAC/s in {name}")))
            .collect();
        writeln!(text, "\nMedians of {} runs, each operator timed by itself.", self.runs).ok();
        text.push_str("Outside: checks, copies of inputs and outputs.\n");
        if !peaks.is_empty() {
            writeln!(text, "Peak: {}, what these kernels", peaks.join(", ")).ok();
            text.push_str("reach here on rows and filters that stay in the first cache.\n");
        }
        text
    }

    /// Operators of the same name: how many, how long; the longest first.
    fn sums(&self) -> Vec<(&str, usize, Duration)> {
        let mut sums: Vec<(&str, usize, Duration)> = Vec::new();
        for (op, time) in self.ops.iter().filter(|(_, time)| !time.is_zero()) {
            match sums.iter_mut().find(|(name, ..)| *name == op.op) {
                Some((_, count, sum)) => (*count, *sum) = (*count + 1, *sum + *time),
                None => sums.push((&op.op, 1, *time)),
            }
        }
        sums.sort_by_key(|(_, _, time)| std::cmp::Reverse(*time));
        sums
    }
}

/// One line of the table.
struct Row([String; 9]);

impl Row {
    /// Which columns are words, and stand left.
    const WORDS: [bool; 9] = [false, true, true, false, false, false, false, false, false];

    fn titles() -> Self {
        Self(
            ["node", "operator", "output", "time", "share", "MACs", "GMAC/s", "peak", "moved"]
                .map(str::to_owned),
        )
    }

    fn of(op: &OpReport, share: f64, time: Duration, speed: Option<(f64, f64)>) -> Self {
        let shape: Vec<_> = op.output.iter().map(usize::to_string).collect();
        Self([
            op.node.to_string(),
            op.op.clone(),
            shape.join("x"),
            short(time),
            percent(share),
            if op.macs > 0 { scaled(op.macs, 1000) } else { String::new() },
            speed.map(|(speed, _)| format!("{speed:.1}")).unwrap_or_default(),
            speed.map(|(_, share)| format!("{:.0} %", share * 100.0)).unwrap_or_default(),
            op.moved_bytes.map(|bytes| scaled(bytes, 1024)).unwrap_or_default(),
        ])
    }
}

/// Columns as wide as they must be; names of operators are cut where a line would be longer than a terminal.
fn aligned(rows: &[Row]) -> String {
    let mut widths: [usize; 9] = std::array::from_fn(|column| {
        rows.iter().map(|Row(cells)| cells[column].chars().count()).max().unwrap_or(0)
    });
    let others: usize = widths.iter().sum::<usize>() - widths[1];
    let gaps = widths.len() - 1;
    widths[1] = widths[1].min(WIDTH.saturating_sub(others + gaps).max("operator".len()));
    // Two spaces where there is room.
    let gap = if others + widths[1] + 2 * gaps <= WIDTH { "  " } else { " " };
    let mut text = String::new();
    for Row(cells) in rows {
        let cells = cells.iter().zip(widths).zip(Row::WORDS).map(|((cell, width), is_word)| {
            let cell = cut(cell, width);
            if is_word { format!("{cell:width$}") } else { format!("{cell:>width$}") }
        });
        let line = cells.collect::<Vec<_>>().join(gap);
        writeln!(text, "{}", line.trim_end()).ok();
    }
    text
}

/// `text`, with an ellipsis at the end where it has more than `width` characters.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// In microseconds or milliseconds, four characters and the unit.
fn short(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    match micros {
        0.0..99.95 => format!("{micros:.1} µs"),
        99.95..9999.5 => format!("{micros:.0} µs"),
        _ => format!("{:.1} ms", micros / 1e3),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// `1_234_567` as `1.2 M` where `step` is 1000, and as `1.2 M` of 1024 times 1024 where it is 1024.
fn scaled(count: u64, step: u64) -> String {
    let (count, step) = (count as f64, step as f64);
    let units = [("", 1.0), (" k", step), (" M", step * step), (" G", step * step * step)];
    let mut chosen = units[0];
    for unit in units {
        if count >= unit.1 {
            chosen = unit;
        }
    }
    let value = count / chosen.1;
    let digits = usize::from(chosen.1 > 1.0 && value < 99.95);
    format!("{value:.digits$}{}", chosen.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(node: usize, op: &str, output: &[usize], macs: u64, moved: u64) -> OpReport {
        OpReport {
            node,
            op: op.into(),
            output: output.into(),
            dtype: Some(DType::I8),
            macs,
            moved_bytes: Some(moved),
        }
    }

    fn profile() -> Profile {
        let micros = |us: f64| Duration::from_secs_f64(us / 1e6);
        Profile {
            runs: 200,
            ops: vec![
                (op(0, "CONV_2D", &[1, 112, 112, 32], 10_838_016, 556_000), micros(120.0)),
                (op(1, "DEPTHWISE_CONV_2D", &[1, 112, 112, 96], 3_612_672, 802_816), micros(82.5)),
                (op(2, "CONV_2D", &[1, 112, 112, 16], 6_422_528, 602_112), micros(30.0)),
                (op(3, "RESHAPE", &[1, 1001], 0, 0), micros(0.0)),
                (op(64, "SOFTMAX", &[1, 1001], 0, 2002), micros(15_017.5)),
            ],
            outside: micros(50.0),
            timer: Duration::from_nanos(20),
            peak: Peaks { bytes: Some(217.4), floats: None },
        }
    }

    #[test]
    fn table_fits_a_terminal_and_has_this_form() {
        let text = profile().table();
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert_eq!(
            text,
            "\
node operator          output          time  share   MACs GMAC/s peak moved
   0 CONV_2D           1x112x112x32  120 µs  0.8 % 10.8 M   90.3 42 % 543 k
   1 DEPTHWISE_CONV_2D 1x112x112x96 82.5 µs  0.5 %  3.6 M   43.8 20 % 784 k
   2 CONV_2D           1x112x112x16 30.0 µs  0.2 %  6.4 M  214.1 98 % 588 k
  64 SOFTMAX           1x1001       15.0 ms 98.2 %                    2.0 k

  SOFTMAX              1   15.0 ms  98.2 %
  CONV_2D              2    150 µs   1.0 %
  DEPTHWISE_CONV_2D    1   82.5 µs   0.5 %
  outside                  50.0 µs   0.3 %
  total                    15.3 ms

Medians of 200 runs, each operator timed by itself.
Outside: checks, copies of inputs and outputs.
Peak: 217 GMAC/s in 8 bits, what these kernels
reach here on rows and filters that stay in the first cache.
"
        );
    }

    #[test]
    fn long_names_are_cut_before_a_line_grows_too_long() {
        let mut profile = profile();
        profile.ops[0].0.op = "TFLite_Detection_PostProcess_of_some_maker".into();
        let text = profile.table();
        let line = text.lines().nth(1).unwrap_or_default();
        assert!(line.chars().count() <= WIDTH && line.contains("TFLite_Detection"), "{text}");
        assert!(line.contains('…'), "{text}");
    }

    #[test]
    fn json_has_every_operator_with_its_numbers() {
        let found = profile().json();
        assert_eq!(found["ops"].as_array().map(Vec::len), Some(5));
        let first = &found["ops"][0];
        assert_eq!((&first["us"], &first["gmac_s"]), (&120.0.into(), &90.317.into()));
        assert_eq!((&first["peak_share"], &first["moved_bytes"]), (&0.415.into(), &556_000.into()));
        assert_eq!(found["ops"][4]["gmac_s"], Value::Null);
        assert_eq!(found["peak_gmac_s"]["floats"], Value::Null);
    }

    #[test]
    fn numbers_are_short() {
        let micros = |us: f64| short(Duration::from_secs_f64(us / 1e6));
        assert_eq!(
            [0.04, 99.94, 99.96, 10_000.0].map(micros),
            ["0.0 µs", "99.9 µs", "100 µs", "10.0 ms"]
        );
        assert_eq!(
            [7, 999, 1500, 2_000_000].map(|n| scaled(n, 1000)),
            ["7", "999", "1.5 k", "2.0 M"]
        );
        assert_eq!(scaled(1536, 1024), "1.5 k");
    }
}
