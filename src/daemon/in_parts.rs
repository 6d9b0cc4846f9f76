//! Files of a repository that come in parts, each asked for by itself: over the broker, or from whoever has a
//! medium with them.

use std::fmt;
use std::io::{self, Read};

use crate::net::wire::Part;
use crate::trust::{Body, FetchError, RepositoryPath, Source};

/// Whoever answers.
pub(super) trait InParts: Clone + fmt::Debug + Send + Sync + 'static {
    /// The next bytes of `path` from `offset` on; none only at its end.
    ///
    /// # Errors
    /// [`FetchError::NotFound`] only where the other side says so.
    fn part(&self, path: &str, offset: u64) -> Result<Part, FetchError>;
}

impl<P: InParts> Source for P {
    fn open(&self, path: &RepositoryPath, offset: u64) -> Result<Body, FetchError> {
        let path = path.as_str().to_owned();
        let first = self.part(&path, offset)?;
        let length = first.total - first.offset;
        let parts = Parts {
            asked: self.clone(),
            path,
            at: first.offset + first.bytes.len() as u64,
            total: first.total,
            part: io::Cursor::new(first.bytes),
        };
        Ok(Body { offset, length: Some(length), reader: Box::new(parts) })
    }
}

/// A file, part by part.
struct Parts<P> {
    asked: P,
    path: String,
    /// Where the next part begins.
    at: u64,
    total: u64,
    part: io::Cursor<Vec<u8>>,
}

impl<P: InParts> Read for Parts<P> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.part.read(into)?;
        if count > 0 || into.is_empty() || self.at == self.total {
            return Ok(count);
        }
        let next = self.asked.part(&self.path, self.at).map_err(io::Error::other)?;
        if next.total != self.total {
            return Err(io::Error::other("the file changes while it is read"));
        }
        self.at += next.bytes.len() as u64;
        self.part = io::Cursor::new(next.bytes);
        self.part.read(into)
    }
}
