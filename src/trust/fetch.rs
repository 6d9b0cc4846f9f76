//! One bundle out of a verified repository, to a writer or into a folder.

use std::fs::{self, File, OpenOptions};
use std::future::poll_fn;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;

use futures_core::Stream;

use super::TrustError;
use super::check::{Checked, Target, runtime};
use super::transport::Part;

impl Checked {
    /// Writes the bundle into `out` as it comes. Its digest is known only at the end: on an error,
    /// whatever `out` took is worth nothing.
    ///
    /// # Errors
    /// When it cannot be fetched, or is not the signed one.
    pub fn fetch(&self, target: &Target, out: &mut dyn Write) -> Result<(), TrustError> {
        self.adapter.resume(None);
        self.stream(target, &mut |bytes| out.write_all(bytes))
    }

    /// Brings the bundle into `folder`, which must be there, and gives the file's path. The file is
    /// named by the digest; what an earlier call left of it is not fetched again. `progress` hears
    /// how many bytes are there.
    ///
    /// The file belongs to the caller: until somebody removes it, the next call verifies it again
    /// and fetches nothing.
    ///
    /// # Errors
    /// When it cannot be fetched, or is not the signed one: then nothing is left of it. After a fault
    /// of the network what came so far stays for the next call.
    pub fn download(
        &self,
        target: &Target,
        folder: &Path,
        progress: &mut dyn FnMut(u64),
    ) -> Result<PathBuf, TrustError> {
        let path = folder.join(format!("{}.part", target.sha256));
        let mut have = beginning(&path, target.length)?;
        loop {
            let result = self.append(target, &path, have, progress);
            match result {
                Ok(()) => return Ok(path),
                Err(error) if error_spoils(&error) => {
                    fs::remove_file(&path).map_err(TrustError::Write)?;
                    if have == 0 {
                        return Err(error);
                    }
                    // The damage may lie in what an earlier run left: once more, from the start.
                    log::warn!("update: {}: {error}; fetched again from the start", target.name);
                    have = 0;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn append(
        &self,
        target: &Target,
        path: &Path,
        have: u64,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), TrustError> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let mut file = file.map_err(TrustError::Write)?;
        self.receive(target, path, have, &mut file, progress)
    }

    /// Writes what is missing of the bundle to `out`, the end of the file at `path`, which has its first `have`
    /// bytes. These are read again, since only the whole has a digest.
    ///
    /// # Errors
    /// As [`Checked::fetch`]; what was written stays.
    pub fn receive(
        &self,
        target: &Target,
        path: &Path,
        have: u64,
        out: &mut dyn Write,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), TrustError> {
        let part = Part { path: path.to_owned(), have, total: target.length };
        self.adapter.resume((have > 0).then_some(part));
        let mut seen = 0u64;
        self.stream(target, &mut |bytes| {
            let known = usize::try_from(have.saturating_sub(seen)).unwrap_or(usize::MAX);
            seen += bytes.len() as u64;
            out.write_all(bytes.get(known..).unwrap_or_default())?;
            progress(seen);
            Ok(())
        })
    }

    /// Hands the target's bytes over; tough counts and hashes them.
    fn stream(
        &self,
        target: &Target,
        take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), TrustError> {
        let name = target.name.to_string();
        let not_found = || TrustError::NotFound { name: name.clone() };
        let listed = tough::TargetName::new(name.as_str()).map_err(|_| not_found())?;
        runtime()?.block_on(async {
            let stream = self.repository.read_target(&listed).await?.ok_or_else(not_found)?;
            let mut stream = pin!(stream);
            while let Some(bytes) = poll_fn(|context| stream.as_mut().poll_next(context)).await {
                take(&bytes?).map_err(TrustError::Write)?;
            }
            Ok(())
        })
    }
}

/// Whether what was written so far cannot be the bundle's beginning.
fn error_spoils(error: &TrustError) -> bool {
    matches!(error, TrustError::Signature { .. } | TrustError::TooLarge { .. })
}

/// The length of what an earlier run left at `path`; a file that is too long is removed.
fn beginning(path: &Path, length: u64) -> Result<u64, TrustError> {
    let have = match File::open(path).and_then(|file| file.metadata()) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(TrustError::Write(error)),
    };
    if have <= length {
        return Ok(have);
    }
    fs::remove_file(path).map_err(TrustError::Write)?;
    Ok(0)
}
