//! The `.npz` format: a zip archive with one `NAME.npy` for each array, stored or deflated.

use std::io::{self, Cursor, Read, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::{Array, BYTES_MAX, NpzError, decode, encode};
use crate::data::Tensor;

/// Arrays an archive may have.
const ARRAYS_MAX: usize = 1 << 16;

/// All arrays of a `.npz` file, in the archive's order.
///
/// # Errors
/// Says whether the archive or one of its arrays is at fault.
pub fn unpack(bytes: &[u8]) -> Result<Vec<Array>, NpzError> {
    let broken = |why: String| NpzError::Archive(why);
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|e| broken(e.to_string()))?;
    if archive.len() > ARRAYS_MAX {
        return Err(broken(format!("{} members, at most {ARRAYS_MAX} are read", archive.len())));
    }
    // What is left of the limit: a small archive can unpack into a very large one.
    let mut budget = BYTES_MAX;
    let mut arrays = Vec::with_capacity(archive.len());
    for index in 0..archive.len() {
        let member = archive.by_index(index).map_err(|e| broken(e.to_string()))?;
        let name = match member.name().map(|name| name.into_owned()) {
            Ok(name) => name,
            Err(e) => return Err(broken(e.to_string())),
        };
        let Some(name) = name.strip_suffix(".npy").map(str::to_owned) else {
            return Err(broken(format!("member {name} is not a .npy file")));
        };
        let mut npy = Vec::new();
        let read = member.take(budget + 1).read_to_end(&mut npy);
        read.map_err(|e| broken(format!("member {name}.npy: {e}")))?;
        let size = npy.len() as u64;
        budget = budget.checked_sub(size).ok_or_else(|| {
            broken(format!("its arrays have more than {BYTES_MAX} bytes, the most that is read"))
        })?;
        match decode(&npy) {
            Ok(tensor) => arrays.push(Array { name, tensor }),
            Err(source) => return Err(NpzError::Array { name, source }),
        }
    }
    Ok(arrays)
}

/// `arrays` as a `.npz` file, not compressed, the same bytes for the same arrays.
///
/// # Errors
/// When a name is not fit for an archive (twice the same, or longer than 64 KiB).
pub fn pack(arrays: &[(&str, &Tensor)]) -> io::Result<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, tensor) in arrays {
        archive.start_file(format!("{name}.npy"), stored)?;
        archive.write_all(&encode(tensor))?;
    }
    Ok(archive.finish()?.into_inner())
}
