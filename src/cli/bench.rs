//! `edgerun bench`: how long one model takes on this machine, and how much memory.

mod on_request;
mod profile;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::infer::{Batch, InputArg, Numbers, bind};
use super::model_file::{EngineArgs, ModelFile};
use super::{Outcome, logger};
use crate::clock::Stopwatch;
use crate::data::{Tensor, TensorData, TensorSpec};
use crate::engine::{EngineError, EngineKind, Model, Session};
use crate::health::ProcessMeter;
use profile::Profile;

/// Runs that are measured where nobody says how many, unless they take longer than [`PATIENCE`].
const RUNS: u32 = 200;
/// Fewest runs, however long one takes.
const RUNS_MIN: u32 = 10;
/// After this long no further run begins, where nobody says how many.
const PATIENCE: Duration = Duration::from_secs(5);

/// Arguments of `edgerun bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A model (.tflite, .onnx) or a bundle (.edge or folder)
    file: PathBuf,

    /// Arrays to run on, as for `infer` (their first row); without it seeded noise
    #[arg(long, value_name = "[NAME=]FILE")]
    input: Vec<InputArg>,

    /// Runs to measure; without it 200, or as many as 5 s allow but 10 at least
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    runs: Option<u32>,

    /// Runs before the measured ones
    #[arg(long, value_name = "N", default_value = "10")]
    warmup: u32,

    #[command(flatten)]
    engine: EngineArgs,

    /// Shows where the time goes: each operator's share, speed and bytes
    #[arg(long)]
    profile: bool,

    /// Measures when asked: answers each line of standard input, a number of runs, with a line of JSON
    #[arg(long, conflicts_with_all = ["profile", "runs"])]
    on_request: bool,

    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

/// One session and what it is run on.
struct Bench<'a> {
    session: &'a mut dyn Session,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
}

impl Bench<'_> {
    /// One run, and how long it took.
    fn once(&mut self) -> Result<Duration, EngineError> {
        let watch = Stopwatch::start();
        self.session.infer(&self.inputs, &mut self.outputs)?;
        Ok(watch.elapsed())
    }

    /// Times of `runs` runs, or of as many as there is patience for; ascending.
    fn times(&mut self, runs: Option<u32>) -> Result<Vec<Duration>, EngineError> {
        let whole = Stopwatch::start();
        let mut times = Vec::with_capacity(runs.unwrap_or(RUNS) as usize);
        while !is_enough(times.len(), runs, whole) {
            times.push(self.once()?);
        }
        times.sort_unstable();
        Ok(times)
    }
}

/// Whether after `done` runs since `whole` began no other follows.
fn is_enough(done: usize, runs: Option<u32>, whole: Stopwatch) -> bool {
    let done = done as u64;
    match runs {
        Some(runs) => done >= u64::from(runs),
        None if done < u64::from(RUNS_MIN) => false,
        None => done >= u64::from(RUNS) || whole.elapsed() > PATIENCE,
    }
}

/// Loads, warms up, measures.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let file = ModelFile::read(&args.file)?;
    let watch = Stopwatch::start();
    let model = file.load(args.engine.options())?;
    let mut session = model.session()?;
    let load = watch.elapsed();
    file.check(&*model)?;

    let signature = model.signature();
    let inputs = if args.input.is_empty() {
        signature.inputs.iter().map(noise).collect()
    } else {
        let bound = bind(&args.input, signature)?;
        bound.ignored.iter().for_each(|note| logger::say(note));
        let batch = Batch::new(&bound.tensors, signature, Numbers::Raw)?;
        anyhow::ensure!(batch.rows() != Some(0), "the arrays have no rows");
        batch.inputs(0, signature)?
    };
    let outputs = signature.outputs.iter().map(Tensor::zeros).collect();
    let mut bench = Bench { session: &mut *session, inputs, outputs };
    let first = bench.once()?;
    for _ in 0..args.warmup {
        bench.once()?;
    }
    if args.on_request {
        on_request::answer(&mut bench, &*model, load, first, std::io::stdin().lock(), out)?;
        return Ok(Outcome::Good);
    }
    let times = bench.times(args.runs)?;
    let profile = match args.profile {
        true => Some(Profile::measure(&mut bench, &*model, args.runs)?),
        false => None,
    };
    let figures = Figures::new(&*model, load, first, times, profile);
    if args.json {
        writeln!(out, "{}", figures.json(&file, args))?;
    } else {
        figures.text(&file, args, out)?;
    }
    Ok(Outcome::Good)
}

struct Figures {
    engine: EngineKind,
    isa: &'static str,
    threads: usize,
    load: Duration,
    first: Duration,
    /// Ascending; at least one.
    times: Vec<Duration>,
    rss_bytes: u64,
    weight_bytes: usize,
    arena_bytes: Option<usize>,
    profile: Option<Profile>,
}

impl Figures {
    /// `times` are ascending.
    fn new(
        model: &dyn Model,
        load: Duration,
        first: Duration,
        times: Vec<Duration>,
        profile: Option<Profile>,
    ) -> Self {
        let report = model.report();
        Self {
            engine: report.engine,
            // Tract looks at the processor itself and does not say.
            isa: report.isa.unwrap_or("auto"),
            threads: report.threads,
            load,
            first,
            times,
            rss_bytes: ProcessMeter::default().rss_bytes(),
            weight_bytes: report.weight_bytes,
            arena_bytes: report.arena_bytes,
            profile,
        }
    }

    fn percentile(&self, share: f64) -> Duration {
        percentile(&self.times, share)
    }

    fn json(&self, file: &ModelFile, args: &Args) -> Value {
        let mut found = json!({
            "model": file.path.display().to_string(),
            "engine": self.engine.as_str(),
            "isa": self.isa,
            "threads": self.threads,
            "runs": self.times.len(),
            "warmup": args.warmup,
            "load_ms": rounded(self.load.as_secs_f64() * 1e3),
            "first_us": micros(self.first),
            "latency_us": {
                "min": micros(self.times[0]),
                "p50": micros(self.percentile(0.5)),
                "p90": micros(self.percentile(0.9)),
                "p99": micros(self.percentile(0.99)),
                "mean": micros(mean(&self.times)),
            },
            "rss_bytes": self.rss_bytes,
            "weight_bytes": self.weight_bytes,
            "arena_bytes": self.arena_bytes,
        });
        if let Some(profile) = &self.profile {
            found["profile"] = profile.json();
        }
        found
    }

    fn text(&self, file: &ModelFile, args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
        let Self { engine, isa, threads, load, first, times, .. } = self;
        let plural = if *threads == 1 { "" } else { "s" };
        writeln!(out, "{} on {engine} ({isa}), {threads} thread{plural}", file.path.display())?;
        writeln!(out, "  load     {load:.2?}, first run {first:.1?}")?;
        writeln!(
            out,
            "  latency  p50 {:.1?}  p90 {:.1?}  p99 {:.1?}  min {:.1?}  mean {:.1?}",
            self.percentile(0.5),
            self.percentile(0.9),
            self.percentile(0.99),
            times[0],
            mean(&self.times),
        )?;
        writeln!(out, "           over {} runs after {} to warm up", times.len(), args.warmup)?;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let arena = self.arena_bytes.map(|arena| format!(", arena {arena} bytes"));
        writeln!(
            out,
            "  memory   {:.1} MiB resident, weights {} bytes{}",
            mib(self.rss_bytes),
            self.weight_bytes,
            arena.unwrap_or_default(),
        )?;
        if let Some(profile) = &self.profile {
            write!(out, "\n{}", profile.table())?;
        }
        Ok(())
    }
}

/// The smallest of `times`, which ascend, that `share` of them did not exceed; nearest rank. Zero for none.
fn percentile(times: &[Duration], share: f64) -> Duration {
    let rank = (share * times.len() as f64).ceil() as usize;
    times.get(rank.clamp(1, times.len().max(1)) - 1).copied().unwrap_or_default()
}

fn mean(times: &[Duration]) -> Duration {
    let sum: Duration = times.iter().sum();
    sum / u32::try_from(times.len().max(1)).unwrap_or(u32::MAX)
}

fn micros(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1e6)
}

/// Three digits after the point.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// The same noise for every run of the program: uniform over an integer's range, -1 to 1 for floats.
fn noise(spec: &TensorSpec) -> Tensor {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        // SplitMix64, by Sebastiano Vigna.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let mut tensor = Tensor::zeros(spec);
    let mut unit = || (next() >> 40) as f32 / 8_388_608.0 - 1.0;
    match tensor.data_mut() {
        TensorData::F32(values) => values.iter_mut().for_each(|v| *v = unit()),
        TensorData::F64(values) => values.iter_mut().for_each(|v| *v = f64::from(unit())),
        TensorData::I8(values) => values.iter_mut().for_each(|v| *v = (unit() * 128.0) as i8),
        TensorData::U8(values) => {
            values.iter_mut().for_each(|v| *v = (unit() * 128.0 + 128.0) as u8)
        }
        TensorData::I16(values) => values.iter_mut().for_each(|v| *v = (unit() * 32768.0) as i16),
        // Wide integers are indices and counts: zeros are valid ones.
        TensorData::I32(_) | TensorData::I64(_) | TensorData::Bool(_) | TensorData::Str(_) => {}
    }
    tensor
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::DType;

    fn times(micros: &[u64]) -> Vec<Duration> {
        micros.iter().map(|&us| Duration::from_micros(us)).collect()
    }

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let hundred = times(&(1..=100).collect::<Vec<_>>());
        let at = |share| percentile(&hundred, share).as_micros();
        assert_eq!([at(0.5), at(0.9), at(0.99)], [50, 90, 99]);
        assert_eq!(mean(&hundred), Duration::from_nanos(50_500));
    }

    #[test]
    fn one_run_is_every_percentile() {
        assert_eq!(percentile(&times(&[7]), 0.99), Duration::from_micros(7));
    }

    #[test]
    fn noise_is_the_same_each_time_and_not_constant() {
        let spec =
            |dtype| TensorSpec { name: "x".into(), dtype, shape: vec![64], quantization: None };
        for dtype in [DType::F32, DType::F64, DType::I8, DType::U8, DType::I16] {
            let values = noise(&spec(dtype)).data().to_f64().unwrap();
            assert_eq!(values, noise(&spec(dtype)).data().to_f64().unwrap());
            assert!(values.iter().any(|v| *v > 0.2) && values.iter().any(|v| *v != values[0]));
        }
    }
}
