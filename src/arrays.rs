//! NumPy files as tensors: `.npy` (one array) and `.npz` (a zip archive of named arrays). What is
//! read may come from anyone: sizes are checked before memory is taken, and nothing panics.
//!
//! Element types beyond ours are converted where no value changes (`float16`, `uint16`, `uint32`,
//! and `uint64` up to `i64::MAX`) and refused by name otherwise. Either byte order and Fortran order
//! are read; what is written is little-endian, C order, as `numpy.save` and `numpy.savez` do.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::data::Tensor;

mod npy;
mod npz;

pub use npy::{NpyError, decode, encode};
pub use npz::{pack, unpack};

/// Bytes a file of arrays may have, and bytes its arrays may have when unpacked.
pub const BYTES_MAX: u64 = 1 << 30;

/// One array and its name in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The name in an `.npz`; `arr_0` for an `.npy`, as `numpy.savez` names what has no name.
    pub name: String,
    /// Shape and elements.
    pub tensor: Tensor,
}

/// Why arrays could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArrayError {
    /// The file cannot be opened or read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is larger than anybody needs.
    #[error("{path} has more than {BYTES_MAX} bytes, the most that is read")]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// The contents are not NumPy's.
    #[error("{path} is neither a .npy nor a .npz file: {why}")]
    NotArrays {
        /// Which file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// One array is damaged or of a type that has no counterpart here.
    #[error("{path}, array {array}: {source}")]
    Array {
        /// Which file.
        path: PathBuf,
        /// Which array.
        array: String,
        /// What is wrong with it.
        source: NpyError,
    },
    /// The name does not say which of the two formats is meant.
    #[error("{path}: the name of a file of arrays ends in .npy (one array) or .npz (any number)")]
    Extension {
        /// Which file.
        path: PathBuf,
    },
    /// A `.npy` file holds exactly one array.
    #[error("{path}: a .npy file holds one array, here are {count}: write a .npz file")]
    Count {
        /// Which file.
        path: PathBuf,
        /// How many there were.
        count: usize,
    },
}

/// What is wrong with an archive, before the file that it is in is known.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say all
pub enum NpzError {
    #[error("damaged archive: {0}")]
    Archive(String),
    #[error("array {name}: {source}")]
    Array { name: String, source: NpyError },
}

/// All arrays of a `.npy` or `.npz` file, in the file's order. The format is told from the contents.
///
/// # Errors
/// Names the file, and the array where one is at fault.
pub fn read(path: &Path) -> Result<Vec<Array>, ArrayError> {
    let unreadable = |source| ArrayError::Read { path: path.into(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(ArrayError::TooLarge { path: path.into() });
    }
    if bytes.starts_with(npy::MAGIC) {
        let name = "arr_0".to_owned();
        return match decode(&bytes) {
            Ok(tensor) => Ok(vec![Array { name, tensor }]),
            Err(source) => Err(ArrayError::Array { path: path.into(), array: name, source }),
        };
    }
    if bytes.starts_with(b"PK") {
        return unpack(&bytes).map_err(|error| match error {
            NpzError::Archive(why) => ArrayError::NotArrays { path: path.into(), why },
            NpzError::Array { name, source } => {
                ArrayError::Array { path: path.into(), array: name, source }
            }
        });
    }
    let why = match bytes.get(..8) {
        None if bytes.is_empty() => "it is empty".to_owned(),
        None => format!("it has only {} bytes", bytes.len()),
        Some(start) => format!("it begins with {start:02x?}"),
    };
    Err(ArrayError::NotArrays { path: path.into(), why })
}

/// Writes `arrays` to `path`, whose ending says as what: `.npz`, or `.npy` for exactly one.
///
/// # Errors
/// When the ending is another one, a `.npy` is to hold several arrays, or the disk refuses.
pub fn write(path: &Path, arrays: &[(&str, &Tensor)]) -> Result<(), ArrayError> {
    let bytes = match (path.extension().and_then(|e| e.to_str()), arrays) {
        (Some("npz"), _) => {
            pack(arrays).map_err(|source| ArrayError::Write { path: path.into(), source })?
        }
        (Some("npy"), [(_, tensor)]) => encode(tensor),
        (Some("npy"), _) => {
            return Err(ArrayError::Count { path: path.into(), count: arrays.len() });
        }
        _ => return Err(ArrayError::Extension { path: path.into() }),
    };
    let written = fs::File::create(path).and_then(|mut file| file.write_all(&bytes));
    written.map_err(|source| ArrayError::Write { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::TensorData;

    fn vector(values: Vec<i8>) -> Tensor {
        Tensor::new(vec![values.len()], TensorData::I8(values)).unwrap()
    }

    #[test]
    fn archive_keeps_names_order_and_values() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let (a, b) = (vector(vec![1, 2]), vector(vec![]));
        write(&path, &[("serving_default_x:0", &a), ("b/c", &b)]).unwrap();
        let arrays = read(&path).unwrap();
        let names: Vec<_> = arrays.iter().map(|array| array.name.as_str()).collect();
        assert_eq!(names, ["serving_default_x:0", "b/c"]);
        assert_eq!((&arrays[0].tensor, &arrays[1].tensor), (&a, &b));
    }

    #[test]
    fn single_array_has_numpys_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let tensor = vector(vec![1, 2]);
        write(&path, &[("anything", &tensor)]).unwrap();
        assert_eq!(read(&path).unwrap(), [Array { name: "arr_0".into(), tensor }]);
    }

    #[test]
    fn error_names_the_file_and_the_array() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let mut bytes = pack(&[("x", &vector(vec![1, 2]))]).unwrap();
        let place = bytes.windows(5).position(|w| w == b"'|i1'").unwrap();
        bytes[place + 2] = b'c';
        std::fs::write(&path, &bytes).unwrap();
        // The archive's own checksum notices first.
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("a.npz") && error.contains("x.npy"), "{error}");

        std::fs::write(&path, b"PK but no archive").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("a.npz is neither a .npy nor a .npz file"), "{error}");

        std::fs::write(&path, b"").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.ends_with("it is empty"), "{error}");
    }

    #[test]
    fn endings_decide_what_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let tensor = vector(vec![1]);
        let two = [("a", &tensor), ("b", &tensor)];
        let error = write(&folder.path().join("a.npy"), &two).unwrap_err();
        assert!(matches!(error, ArrayError::Count { count: 2, .. }));
        let error = write(&folder.path().join("a.txt"), &two).unwrap_err();
        assert!(matches!(error, ArrayError::Extension { .. }));
    }

    #[test]
    fn cut_archives_are_errors() {
        let bytes = pack(&[("x", &vector(vec![1, 2]))]).unwrap();
        for end in 0..bytes.len() {
            assert!(unpack(&bytes[..end]).is_err(), "cut at {end}");
        }
    }
}
