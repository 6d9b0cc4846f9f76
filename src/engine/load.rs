//! Which engine runs a model: told from the file's contents, and from the caller's choice.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{Choice, EngineError, EngineKind, Format, Model, Options, format_of, native};
use crate::data::Signature;

/// Bytes a model file may have: more does not fit a board's memory beside everything else.
const FILE_BYTES_MAX: u64 = 512 << 20;

/// Loads the model in `bytes`.
///
/// `options` are a [`Choice`] of the engine alone, or more. `Auto` runs TFLite and quantized ONNX on the native engine; other ONNX runs on tract, or on the
/// native engine in builds without tract. A quantized model is never given to tract.
///
/// # Errors
/// Says which node is the reason, what is damaged, or that the engine chosen is not in this build.
pub fn load(bytes: &[u8], options: impl Into<Options>) -> Result<Box<dyn Model>, EngineError> {
    load_from(bytes, None, &options.into(), &[])
}

/// The same for a model that lies in `folder`, since ONNX may keep values in files beside it, and whose
/// inputs have these `shapes` instead of their own, where there are any.
fn load_from(
    bytes: &[u8],
    folder: Option<&Path>,
    Options { choice, threads }: &Options,
    shapes: &[Vec<usize>],
) -> Result<Box<dyn Model>, EngineError> {
    match (format_of(bytes)?, *choice) {
        (Format::Tflite, Choice::Auto | Choice::Only(EngineKind::Native)) => {
            native::load_as(bytes, shapes, threads)
        }
        (Format::Tflite, Choice::Only(EngineKind::Tract)) => tract_tflite(bytes),
        (Format::Onnx, Choice::Only(EngineKind::Native)) => {
            native::load_onnx(bytes, folder, threads)
        }
        (Format::Onnx, Choice::Only(EngineKind::Tract)) => tract_onnx(bytes),
        (Format::Onnx, Choice::Auto) if !cfg!(feature = "tract") => {
            native::load_onnx(bytes, folder, threads)
        }
        (Format::Onnx, Choice::Auto) => match native::is_quantized_onnx(bytes)? {
            true => native::load_onnx(bytes, folder, threads),
            false => tract_onnx(bytes),
        },
    }
}

#[cfg(feature = "tract")]
use super::tract::{load_onnx as tract_onnx, load_tflite_float as tract_tflite};

#[cfg(not(feature = "tract"))]
fn not_built_in() -> EngineError {
    EngineError::Unavailable {
        engine: EngineKind::Tract,
        why: "this build leaves it out: build with the feature tract".to_owned(),
    }
}

#[cfg(not(feature = "tract"))]
fn tract_onnx(_bytes: &[u8]) -> Result<Box<dyn Model>, EngineError> {
    Err(not_built_in())
}

#[cfg(not(feature = "tract"))]
fn tract_tflite(_bytes: &[u8]) -> Result<Box<dyn Model>, EngineError> {
    Err(not_built_in())
}

/// What a model file says of itself, whether or not anything here can run it.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// Its format.
    pub format: Format,
    /// Inputs and outputs, as far as they can be read.
    pub signature: Signature,
    /// Operators in the file's order.
    pub ops: Vec<DescribedOp>,
    /// Bytes of constant data in the file.
    pub weight_bytes: usize,
}

/// One operator of a [`Description`].
#[derive(Clone, Debug, PartialEq)]
pub struct DescribedOp {
    /// Place in the file's order.
    pub node: usize,
    /// The format's own name of the operator.
    pub op: String,
    /// Shape of its first output; empty where the file does not say.
    pub output: Vec<usize>,
    /// The engine that knows this operator; `None` is what keeps the model from running.
    pub engine: Option<EngineKind>,
}

/// Reads what `bytes` holds without building anything that could run.
///
/// # Errors
/// When the bytes are no model, a damaged one, or of a format that this build does not read.
pub fn describe(bytes: &[u8]) -> Result<Description, EngineError> {
    match format_of(bytes)? {
        Format::Tflite => native::describe(bytes),
        #[cfg(feature = "tract")]
        Format::Onnx if !native::is_quantized_onnx(bytes)? => super::tract::describe_onnx(bytes),
        Format::Onnx => native::describe_onnx(bytes),
    }
}

/// Why a model file could not be loaded; each names the file.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is larger than any model for a board.
    #[error("{} has more than {FILE_BYTES_MAX} bytes, the most that is read", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// The contents are one format, the name's ending is another's.
    #[error("{} is an {found} model although its name ends in .{ending}: rename it", path.display())]
    Misnamed {
        /// Which file.
        path: PathBuf,
        /// What it is.
        found: Format,
        /// What its name says.
        ending: String,
    },
    /// No engine takes it.
    #[error("{}: {source}", path.display())]
    Engine {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: EngineError,
    },
}

/// The bytes of the model file at `path`, of any format.
///
/// # Errors
/// When it cannot be read or is larger than any model for a board.
pub fn read_file(path: &Path) -> Result<Vec<u8>, LoadError> {
    let unreadable = |source| LoadError::Read { path: path.into(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(LoadError::TooLarge { path: path.into() });
    }
    Ok(bytes)
}

/// Reads and loads the model file at `path`.
///
/// # Errors
/// Names the file, and what to do.
pub fn load_file(path: &Path, options: impl Into<Options>) -> Result<Box<dyn Model>, LoadError> {
    load_named(path, &read_file(path)?, options, &[])
}

/// Loads `bytes`, which were read from `path`: the name must not claim another format. `shapes` are those
/// that the inputs shall have, in the model's order; empty for the model's own. Only TFLite models take
/// others: a batch or a length, as far as their operators allow.
///
/// # Errors
/// Names the file, and what to do.
pub fn load_named(
    path: &Path,
    bytes: &[u8],
    options: impl Into<Options>,
    shapes: &[Vec<usize>],
) -> Result<Box<dyn Model>, LoadError> {
    let failed = |source| LoadError::Engine { path: path.into(), source };
    let found = format_of(bytes).map_err(failed)?;
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let other = match found {
        Format::Tflite => "onnx",
        Format::Onnx => "tflite",
    };
    if ending.eq_ignore_ascii_case(other) {
        let ending = ending.to_owned();
        return Err(LoadError::Misnamed { path: path.into(), found, ending });
    }
    load_from(bytes, path.parent(), &options.into(), shapes).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_another_format_is_an_error_that_says_what_to_do() {
        let onnx = [8, 8, 18, 0, 18, 0, 18, 0, 18, 0];
        let error = load_named(Path::new("a/m.tflite"), &onnx, Choice::Auto, &[]).err().unwrap();
        assert_eq!(
            error.to_string(),
            "a/m.tflite is an ONNX model although its name ends in .tflite: rename it"
        );
    }

    #[test]
    fn missing_and_empty_files_are_named() {
        let error = load_file(Path::new("/nowhere/m.tflite"), Choice::Auto).err().unwrap();
        assert!(error.to_string().starts_with("cannot read /nowhere/m.tflite: "), "{error}");
        let error = load_named(Path::new("m.tflite"), b"", Choice::Auto, &[]).err().unwrap();
        assert!(error.to_string().starts_with("m.tflite: not a model"), "{error}");
    }

    #[test]
    fn onnx_without_a_graph_is_damaged_for_every_engine() {
        let onnx = [8, 8, 18, 0, 18, 0, 18, 0, 18, 0];
        for choice in [Choice::Auto, Choice::Only(EngineKind::Native)] {
            let error = load(&onnx, choice).err().unwrap();
            assert!(matches!(error, EngineError::Malformed { format: "ONNX", .. }), "{error}");
        }
    }
}
