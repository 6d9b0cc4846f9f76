//! `edgerun bench`: how long one model takes on this machine, and how much memory.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::infer::{Batch, InputArg, Numbers, bind};
use super::model_file::{EngineArgs, ModelFile};
use super::{Outcome, logger};
use crate::clock::Stopwatch;
use crate::data::{Tensor, TensorData, TensorSpec};
use crate::engine::{EngineKind, Model};
use crate::health::ProcessMeter;

/// Runs that are measured where nobody says how many, unless they take longer than [`PATIENCE`].
const RUNS: u32 = 200;
/// Fewest runs, however long one takes.
const RUNS_MIN: u32 = 10;
/// After this long no further run begins, where nobody says how many.
const PATIENCE: Duration = Duration::from_secs(5);

/// Arguments of `edgerun bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A model (.tflite, .onnx) or a bundle folder
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

    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

/// Loads, warms up, measures.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let file = ModelFile::read(&args.file)?;
    let watch = Stopwatch::start();
    let model = file.load(args.engine.engine)?;
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
    let mut outputs: Vec<Tensor> = signature.outputs.iter().map(Tensor::zeros).collect();
    let mut once = || -> anyhow::Result<Duration> {
        let watch = Stopwatch::start();
        session.infer(&inputs, &mut outputs)?;
        Ok(watch.elapsed())
    };
    let first = once()?;
    for _ in 0..args.warmup {
        once()?;
    }
    let whole = Stopwatch::start();
    let mut times = Vec::with_capacity(args.runs.unwrap_or(RUNS) as usize);
    loop {
        times.push(once()?);
        let done = times.len() as u64;
        let enough = match args.runs {
            Some(runs) => done >= u64::from(runs),
            None if done < u64::from(RUNS_MIN) => false,
            None => done >= u64::from(RUNS) || whole.elapsed() > PATIENCE,
        };
        if enough {
            break;
        }
    }
    let figures = Figures::new(&*model, load, first, times);
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
    load: Duration,
    first: Duration,
    /// Ascending; at least one.
    times: Vec<Duration>,
    rss_bytes: u64,
    weight_bytes: usize,
    arena_bytes: Option<usize>,
}

impl Figures {
    fn new(model: &dyn Model, load: Duration, first: Duration, mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let report = model.report();
        // Tract looks at the processor itself and does not say.
        let isa = report.isa.unwrap_or("auto");
        let (weight_bytes, arena_bytes) = (report.weight_bytes, report.arena_bytes);
        let rss_bytes = ProcessMeter::default().rss_bytes();
        Self {
            engine: report.engine,
            isa,
            load,
            first,
            times,
            rss_bytes,
            weight_bytes,
            arena_bytes,
        }
    }

    /// The smallest time that `share` of all runs did not exceed; nearest rank.
    fn percentile(&self, share: f64) -> Duration {
        let rank = (share * self.times.len() as f64).ceil() as usize;
        self.times[rank.clamp(1, self.times.len()) - 1]
    }

    fn mean(&self) -> Duration {
        let sum: Duration = self.times.iter().sum();
        sum / u32::try_from(self.times.len()).unwrap_or(u32::MAX)
    }

    fn json(&self, file: &ModelFile, args: &Args) -> Value {
        json!({
            "model": file.path.display().to_string(),
            "engine": self.engine.as_str(),
            "isa": self.isa,
            "threads": args.engine.threads,
            "runs": self.times.len(),
            "warmup": args.warmup,
            "load_ms": rounded(self.load.as_secs_f64() * 1e3),
            "first_us": micros(self.first),
            "latency_us": {
                "min": micros(self.times[0]),
                "p50": micros(self.percentile(0.5)),
                "p90": micros(self.percentile(0.9)),
                "p99": micros(self.percentile(0.99)),
                "mean": micros(self.mean()),
            },
            "rss_bytes": self.rss_bytes,
            "weight_bytes": self.weight_bytes,
            "arena_bytes": self.arena_bytes,
        })
    }

    fn text(&self, file: &ModelFile, args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
        let Self { engine, isa, load, first, times, .. } = self;
        writeln!(out, "{} on {engine} ({isa}), 1 thread", file.path.display())?;
        writeln!(out, "  load     {load:.2?}, first run {first:.1?}")?;
        writeln!(
            out,
            "  latency  p50 {:.1?}  p90 {:.1?}  p99 {:.1?}  min {:.1?}  mean {:.1?}",
            self.percentile(0.5),
            self.percentile(0.9),
            self.percentile(0.99),
            times[0],
            self.mean(),
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
        Ok(())
    }
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

    fn figures(micros: &[u64]) -> Figures {
        Figures {
            engine: EngineKind::Native,
            isa: "scalar",
            load: Duration::ZERO,
            first: Duration::ZERO,
            times: micros.iter().map(|&us| Duration::from_micros(us)).collect(),
            rss_bytes: 0,
            weight_bytes: 0,
            arena_bytes: None,
        }
    }

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let hundred: Vec<u64> = (1..=100).collect();
        let figures = figures(&hundred);
        let at = |share| figures.percentile(share).as_micros();
        assert_eq!([at(0.5), at(0.9), at(0.99)], [50, 90, 99]);
        assert_eq!(figures.mean(), Duration::from_nanos(50_500));
    }

    #[test]
    fn one_run_is_every_percentile() {
        let figures = figures(&[7]);
        assert_eq!(figures.percentile(0.99), Duration::from_micros(7));
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
