//! The update repository as somebody serves it over the broker, for boards that reach nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::in_parts::InParts;
use crate::net::wire::{CHUNK_BYTES_MAX, NoPart, Part};
use crate::net::{Files, NotGiven};
use crate::trust::FetchError;

/// How long an answer may take: a broker on a mobile network, a repository on a busy machine.
const ANSWER: Duration = Duration::from_secs(20);

/// Asks for files over the daemon's own connection.
#[derive(Clone, Debug)]
pub(super) struct OverBroker {
    files: Files,
    stop: Arc<AtomicBool>,
}

impl OverBroker {
    pub(super) fn new(files: Files, stop: Arc<AtomicBool>) -> Self {
        Self { files, stop }
    }
}

impl InParts for OverBroker {
    fn part(&self, path: &str, offset: u64) -> Result<Part, FetchError> {
        let stopped = || self.stop.load(Ordering::Acquire);
        let asked = self.files.ask(path, offset, CHUNK_BYTES_MAX, ANSWER, &stopped);
        asked.map_err(|why| match why {
            NotGiven::Refused(NoPart::NotFound) => FetchError::NotFound,
            NotGiven::Refused(NoPart::BadRequest) => FetchError::Refused(
                "who serves the repository does not understand the question: another version of edgerun?".into(),
            ),
            NotGiven::Refused(NoPart::Failed) => {
                FetchError::Failed("who serves the repository cannot read it".into())
            }
            NotGiven::Late => FetchError::Failed(format!(
                "nobody answers on the broker within {} s: is `edgerun repo serve` running?",
                ANSWER.as_secs()
            )),
            NotGiven::Stopped => FetchError::Stopped,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::net::respond_to;
    use crate::trust::{RepositoryPath, Source as _};

    #[test]
    fn a_file_is_put_together_from_its_parts() {
        let bytes: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
        let files = respond_to({
            let bytes = bytes.clone();
            move |path, offset, length| {
                assert_eq!(path, "metadata/1.root.json");
                let rest = &bytes[offset as usize..];
                Ok((bytes.len() as u64, rest[..rest.len().min(length as usize)].to_vec()))
            }
        });
        let source = OverBroker::new(files, Arc::default());
        let path = RepositoryPath::new("metadata/1.root.json").unwrap();
        for offset in [0, 70_000, 100_000] {
            let mut body = source.open(&path, offset).unwrap();
            assert_eq!((body.offset, body.length), (offset, Some(100_000 - offset)));
            let mut read = Vec::new();
            body.reader.read_to_end(&mut read).unwrap();
            assert_eq!(read, bytes[offset as usize..]);
        }
    }

    #[test]
    fn a_file_that_changes_meanwhile_is_no_file() {
        let mut total = 100_000;
        let files = respond_to(move |_, _, length| {
            total += 1;
            Ok((total, vec![0; length as usize]))
        });
        let source = OverBroker::new(files, Arc::default());
        let path = RepositoryPath::new("metadata/1.root.json").unwrap();
        let read = source.open(&path, 0).unwrap().reader.read_to_end(&mut Vec::new());
        assert_eq!(read.unwrap_err().to_string(), "the file changes while it is read");
    }

    #[test]
    fn only_a_file_that_is_not_there_looks_like_one() {
        let path = RepositoryPath::new("metadata/2.root.json").unwrap();
        for (answer, expected) in [
            (NoPart::NotFound, "there is no such file"),
            (NoPart::Failed, "who serves the repository cannot read it"),
        ] {
            let source = OverBroker::new(respond_to(move |_, _, _| Err(answer)), Arc::default());
            assert_eq!(source.open(&path, 0).err().unwrap().to_string(), expected);
        }
    }
}
