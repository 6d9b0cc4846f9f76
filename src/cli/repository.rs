//! A repository's folder, as commands find it and read its files in parts.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::net::wire::{CHUNK_BYTES_MAX, FetchRequest, NoPart, Part};
use crate::trust::{FetchError, FileSource, RepositoryPath, Source};

/// The folder with `metadata`: `dir`, or `repository` in it as in a publisher's folder.
pub(super) fn find(dir: &Path) -> anyhow::Result<PathBuf> {
    let inside = dir.join("repository");
    let found = [inside.as_path(), dir].into_iter().find(|folder| folder.join("metadata").is_dir());
    match found {
        Some(folder) => Ok(folder.to_owned()),
        None => bail!(
            "{} is no repository: it has no folder metadata, nor repository/metadata; make one with `edgerun repo init`",
            dir.display()
        ),
    }
}

/// What is asked for, out of the repository in `source`.
pub(super) fn part(source: &FileSource, request: &FetchRequest) -> Result<Part, NoPart> {
    let FetchRequest { path, offset, length, .. } = request;
    if *length == 0 {
        return Err(NoPart::BadRequest);
    }
    let path = RepositoryPath::new(path).ok_or(NoPart::BadRequest)?;
    let body = source.open(&path, *offset).map_err(|error| match error {
        FetchError::NotFound => NoPart::NotFound,
        other => {
            log::warn!("{}: {other}", path.as_str());
            NoPart::Failed
        }
    })?;
    let left = body.length.unwrap_or(0);
    // Beyond the file's end nothing is left of it, and its size is not known from here.
    let total = offset.checked_add(left).ok_or(NoPart::BadRequest)?;
    let mut bytes = Vec::new();
    let most = u64::from(*length.min(&CHUNK_BYTES_MAX));
    body.reader.take(most).read_to_end(&mut bytes).map_err(|error| {
        log::warn!("{}: {error}", path.as_str());
        NoPart::Failed
    })?;
    if bytes.is_empty() && left > 0 {
        return Err(NoPart::Failed);
    }
    Ok(Part { offset: *offset, total, bytes })
}
