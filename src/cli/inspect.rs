//! `edgerun inspect`: what a model is made of, which engine runs it and why.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::model_file::ModelFile;
use super::{Outcome, output};
use crate::data::{Quantization, Signature, TensorSpec};
use crate::engine::{self, Choice, EngineError, EngineKind, Format, LoadError, Report};

/// Arguments of `edgerun inspect`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A model (.tflite, .onnx) or a bundle (.edge or folder)
    file: PathBuf,

    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

/// Shows the file; failed when no engine runs it.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let file = ModelFile::read(&args.file)?;
    let found = Found::new(&file)?;
    if args.json {
        writeln!(out, "{}", found.json(&file))?;
    } else {
        let mut text = String::new();
        found.write(&mut text, &file, Style::here())?;
        out.write_all(text.as_bytes())?;
    }
    Ok(if found.problem.is_none() { Outcome::Good } else { Outcome::Failed })
}

/// One operator, whether or not the model can run.
struct Op {
    node: usize,
    op: String,
    output: Vec<usize>,
    macs: Option<u64>,
    engine: Option<EngineKind>,
}

/// Everything that is shown.
struct Found {
    format: Format,
    signature: Signature,
    ops: Vec<Op>,
    weight_bytes: usize,
    arena_bytes: Option<usize>,
    live_bytes: Option<usize>,
    /// The engine and why it; `None` where none runs the model.
    engine: Option<(EngineKind, String)>,
    /// Why it cannot be used.
    problem: Option<String>,
}

impl Found {
    /// # Errors
    /// When not even the file's own words can be read.
    fn new(file: &ModelFile) -> anyhow::Result<Self> {
        match file.load(Choice::Auto) {
            Ok(model) => {
                let Report { engine, reason, ops, weight_bytes, arena_bytes, live_bytes, .. } =
                    model.report();
                let ops = ops.into_iter().map(|op| Op {
                    node: op.node,
                    op: op.op,
                    output: op.output,
                    macs: Some(op.macs),
                    engine: Some(engine),
                });
                Ok(Self {
                    format: engine::format_of(&file.bytes)?,
                    signature: model.signature().clone(),
                    ops: ops.collect(),
                    weight_bytes,
                    arena_bytes,
                    live_bytes,
                    engine: Some((engine, reason)),
                    problem: file.check(&*model).err().map(|error| error.to_string()),
                })
            }
            // A good file that nothing here runs is shown; a damaged or misnamed one is an error.
            Err(error) => {
                let LoadError::Engine {
                    source: EngineError::Unsupported { .. } | EngineError::TooLarge { .. },
                    ..
                } = &error
                else {
                    return Err(error.into());
                };
                let described = engine::describe(&file.bytes)?;
                let refused = refused_node(&error);
                let ops = described.ops.into_iter().map(|op| Op {
                    node: op.node,
                    op: op.op,
                    output: op.output,
                    macs: None,
                    engine: op.engine.filter(|_| refused != Some(op.node)),
                });
                Ok(Self {
                    format: described.format,
                    signature: described.signature,
                    ops: ops.collect(),
                    weight_bytes: described.weight_bytes,
                    arena_bytes: None,
                    live_bytes: None,
                    engine: None,
                    problem: Some(error.to_string()),
                })
            }
        }
    }

    fn macs(&self) -> Option<u64> {
        let each = self.ops.iter().map(|op| op.macs);
        each.collect::<Option<Vec<u64>>>()
            .map(|macs| macs.iter().fold(0, |sum: u64, &n| sum.saturating_add(n)))
    }

    fn json(&self, file: &ModelFile) -> Value {
        let specs = |specs: &[TensorSpec]| specs.iter().map(spec_json).collect::<Vec<_>>();
        let ops = self.ops.iter().map(|op| {
            json!({
                "node": op.node, "op": op.op, "output": op.output, "macs": op.macs,
                "engine": op.engine.map(EngineKind::as_str),
            })
        });
        let bundle = file.manifest().map(|manifest| {
            json!({
                "name": manifest.name, "version": manifest.version.to_string(),
                "license": manifest.license, "labels": manifest.labels,
            })
        });
        json!({
            "file": file.path.display().to_string(),
            "format": self.format.as_str(),
            "file_bytes": file.bytes.len(),
            "sha256": file.digest(),
            "bundle": bundle,
            "engine": self.engine.as_ref().map(|(engine, _)| engine.as_str()),
            "reason": self.engine.as_ref().map(|(_, reason)| reason),
            "error": self.problem,
            "inputs": specs(&self.signature.inputs),
            "outputs": specs(&self.signature.outputs),
            "ops": ops.collect::<Vec<_>>(),
            "macs": self.macs(),
            "weight_bytes": self.weight_bytes,
            "arena_bytes": self.arena_bytes,
            "live_bytes": self.live_bytes,
        })
    }

    fn write(&self, to: &mut String, file: &ModelFile, style: Style) -> std::fmt::Result {
        let Style { bold, dim, red, off } = style;
        writeln!(to, "{bold}{}{off}", file.path.display())?;
        if let Some(manifest) = file.manifest() {
            writeln!(
                to,
                "  bundle   {} {}: {}",
                manifest.name, manifest.version, manifest.description
            )?;
        }
        writeln!(to, "  format   {}, {}", self.format, bytes(file.bytes.len()))?;
        writeln!(to, "  sha256   {}", file.digest())?;
        match &self.engine {
            Some((engine, reason)) => writeln!(to, "  engine   {bold}{engine}{off}: {reason}")?,
            None => writeln!(to, "  engine   {red}none{off}")?,
        }
        let arena = self.arena_bytes.map(|arena| format!(", arena {}", bytes(arena)));
        let live =
            self.live_bytes.map(|live| format!(" (tensors alive together: {})", bytes(live)));
        writeln!(
            to,
            "  memory   weights {}{}{}",
            bytes(self.weight_bytes),
            arena.unwrap_or_default(),
            live.unwrap_or_default()
        )?;
        let macs = self.macs().map(|macs| format!(", {} multiply-accumulates", grouped(macs)));
        writeln!(to, "  work     {} operators{}", self.ops.len(), macs.unwrap_or_default())?;

        for (title, specs) in
            [("inputs", &self.signature.inputs), ("outputs", &self.signature.outputs)]
        {
            writeln!(to, "\n{bold}{title}{off}")?;
            let width = specs.iter().map(|spec| spec.name.chars().count()).max().unwrap_or(0);
            for spec in specs {
                let TensorSpec { name, dtype, shape, quantization } = spec;
                let quantized = quantization
                    .map(|q| format!("  {dim}scale {} zero point {}{off}", q.scale, q.zero_point));
                let quantized = quantized.unwrap_or_default();
                writeln!(to, "  {name:width$}  {dtype} {shape:?}{quantized}")?;
            }
        }

        writeln!(to, "\n{bold}operators{off}")?;
        let width = |text: &dyn Fn(&Op) -> String| {
            self.ops.iter().map(|op| text(op).chars().count()).max().unwrap_or(0)
        };
        let shape = |op: &Op| match op.output.as_slice() {
            [] => String::new(),
            shape => format!("{shape:?}"),
        };
        let macs = |op: &Op| op.macs.filter(|&macs| macs > 0).map(grouped).unwrap_or_default();
        let (ops, shapes, work) = (width(&|op| op.op.clone()), width(&shape), width(&macs));
        let digits = self.ops.len().saturating_sub(1).to_string().len();
        for op in &self.ops {
            let engine = match op.engine {
                Some(engine) => format!("{dim}{engine}{off}"),
                None if self.engine.is_none() => format!("{red}no engine runs it{off}"),
                None => String::new(),
            };
            let (node, name) = (op.node, &op.op);
            let (shape, macs) = (shape(op), macs(op));
            writeln!(
                to,
                "  {node:digits$}  {name:ops$}  {shape:shapes$}  {macs:>work$}  {engine}"
            )?;
        }
        if let Some(problem) = &self.problem {
            writeln!(to, "\n{red}cannot be used:{off} {problem}")?;
        }
        Ok(())
    }
}

/// The node that was the reason, by its place in the file, which its name begins with.
fn refused_node(error: &LoadError) -> Option<usize> {
    match error {
        LoadError::Engine { source: EngineError::Unsupported { node, .. }, .. } => {
            node.split(' ').next()?.parse().ok()
        }
        _ => None,
    }
}

fn spec_json(spec: &TensorSpec) -> Value {
    let quantization = spec.quantization.map(
        |Quantization { scale, zero_point }| json!({ "scale": scale, "zero_point": zero_point }),
    );
    json!({
        "name": spec.name, "dtype": spec.dtype.as_str(), "shape": spec.shape,
        "quantization": quantization,
    })
}

/// Escape sequences, or nothing where colours are not wanted.
#[derive(Clone, Copy)]
struct Style {
    bold: &'static str,
    dim: &'static str,
    red: &'static str,
    off: &'static str,
}

impl Style {
    fn here() -> Self {
        if output::shows_colours() {
            Self { bold: "\x1b[1m", dim: "\x1b[2m", red: "\x1b[31m", off: "\x1b[0m" }
        } else {
            Self { bold: "", dim: "", red: "", off: "" }
        }
    }
}

/// `7848` as `7,848 bytes`, and from 10 KiB on also in KiB or MiB.
fn bytes(count: usize) -> String {
    let exact = format!("{} bytes", grouped(count as u64));
    match count {
        0..10_240 => exact,
        10_240..10_485_760 => format!("{exact} ({:.1} KiB)", count as f64 / 1024.0),
        _ => format!("{exact} ({:.1} MiB)", count as f64 / f64::from(1 << 20)),
    }
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_for_people() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(bytes(7848), "7,848 bytes");
        assert_eq!(bytes(20_480), "20,480 bytes (20.0 KiB)");
    }
}
