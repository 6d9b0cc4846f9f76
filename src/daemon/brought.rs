//! A repository on a medium that an operator brought: the command that was called reads it, so that the daemon needs
//! no way to it, and answers here over the control socket.
//!
//! The daemon writes a [`FetchRequest`] and a line feed; the command answers with a chunk's length, four bytes with
//! the highest first, and the [`Chunk`].

use std::fmt;
use std::io::{self, BufRead, Read as _, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::in_parts::InParts;
use crate::net::wire::{self, CHUNK_BYTES_MAX, Chunk, FetchRequest, NoPart, Part};
use crate::trust::FetchError;

/// Longest chunk: its head and its bytes.
const FRAME_MAX: u32 = CHUNK_BYTES_MAX + (1 << 10);

/// The command's end of the connection, for as long as it is needed: the command waits for its end. Clones share it.
#[derive(Clone)]
pub(super) struct Brought(Arc<Mutex<Line>>);

struct Line {
    stream: UnixStream,
    next: u64,
    /// After a fault nobody knows where an answer begins.
    broken: bool,
}

impl fmt::Debug for Brought {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Brought")
    }
}

impl Brought {
    /// Asks over `stream`, whose timeouts count.
    pub(super) fn new(stream: UnixStream) -> Self {
        Self(Arc::new(Mutex::new(Line { stream, next: 0, broken: false })))
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes `line` between two questions.
    pub(super) fn say(&self, line: &dyn fmt::Display) -> io::Result<()> {
        writeln!(self.line().stream, "{line}")
    }
}

impl Line {
    fn ask(&mut self, path: &str, offset: u64) -> Option<Result<Part, NoPart>> {
        let (id, length) = (self.next, CHUNK_BYTES_MAX);
        self.next += 1;
        let request = FetchRequest { id, path: path.to_owned(), offset, length };
        let mut question = wire::json(&request);
        question.push(b'\n');
        self.stream.write_all(&question).ok()?;
        let mut size = [0; 4];
        self.stream.read_exact(&mut size).ok()?;
        let size = u32::from_be_bytes(size);
        if size > FRAME_MAX {
            return None;
        }
        let mut frame = vec![0; size as usize];
        self.stream.read_exact(&mut frame).ok()?;
        let chunk = Chunk::decode(&frame).filter(|chunk| chunk.id == id)?;
        match chunk.part {
            Ok(part) => (part.offset == offset).then_some(Ok(part)),
            Err(why) => Some(Err(why)),
        }
    }
}

impl InParts for Brought {
    fn part(&self, path: &str, offset: u64) -> Result<Part, FetchError> {
        let mut line = self.line();
        let answer = if line.broken { None } else { line.ask(path, offset) };
        match answer {
            Some(Ok(part)) => Ok(part),
            Some(Err(NoPart::NotFound)) => Err(FetchError::NotFound),
            Some(Err(NoPart::BadRequest | NoPart::Failed)) => {
                Err(FetchError::Refused("the medium cannot be read: is it still in place?".into()))
            }
            None => {
                line.broken = true;
                let why = "`edgerun ota apply --from` has ended, and with it the way to the medium";
                Err(FetchError::Refused(why.into()))
            }
        }
    }
}

/// The command's side: answers with what `read` gives, until the daemon needs no more. The line that is no question
/// is the daemon's answer to the command, and goes to `answered`.
///
/// # Errors
/// When the connection breaks.
pub(super) fn answer(
    stream: &UnixStream,
    read: &mut dyn FnMut(&FetchRequest) -> Result<Part, NoPart>,
    answered: &mut dyn FnMut(&[u8]) -> bool,
) -> io::Result<()> {
    let mut reader = io::BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let Some(request) = FetchRequest::parse(&line) else {
            if answered(&line) {
                continue;
            }
            return Ok(());
        };
        let part = read(&request);
        let chunk = Chunk { id: request.id, part }.encode();
        let size = u32::try_from(chunk.len()).map_err(io::Error::other)?;
        (&*stream).write_all(&size.to_be_bytes())?;
        (&*stream).write_all(&chunk)?;
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::trust::{RepositoryPath, Source as _};

    fn pair(give: impl Fn(&FetchRequest) -> Result<Part, NoPart> + Send + 'static) -> Brought {
        let (ours, theirs) = UnixStream::pair().unwrap();
        thread::spawn(move || answer(&theirs, &mut |request| give(request), &mut |_| true));
        Brought::new(ours)
    }

    fn path() -> RepositoryPath {
        RepositoryPath::new("metadata/1.root.json").unwrap()
    }

    #[test]
    fn a_file_comes_from_whoever_has_the_medium() {
        let bytes: Vec<u8> = (0..50_000u32).map(|n| n as u8).collect();
        let wanted = bytes.clone();
        let source = pair(move |request| {
            let (offset, total) = (request.offset, bytes.len() as u64);
            let rest = &bytes[offset as usize..];
            let bytes = rest[..rest.len().min(request.length as usize)].to_vec();
            Ok(Part { offset, total, bytes })
        });
        for offset in [0, 20_000, 50_000] {
            let mut read = Vec::new();
            let mut body = source.open(&path(), offset as u64).unwrap();
            body.reader.read_to_end(&mut read).unwrap();
            assert_eq!(read, wanted[offset..]);
        }
    }

    #[test]
    fn only_a_file_that_is_not_there_looks_like_one() {
        for (answer, expected) in [
            (NoPart::NotFound, "there is no such file"),
            (NoPart::Failed, "the medium cannot be read: is it still in place?"),
        ] {
            let source = pair(move |_| Err(answer));
            assert_eq!(source.open(&path(), 0).err().unwrap().to_string(), expected);
        }
    }

    #[test]
    fn a_command_that_ends_or_answers_nonsense_is_not_asked_again() {
        for nonsense in [&b""[..], b"\xff\xff\xff\xff", b"\0\0\0\x02{}", b"\0\0\0\x09{\"id\":9}\n"]
        {
            let (ours, theirs) = UnixStream::pair().unwrap();
            (&theirs).write_all(nonsense).unwrap();
            theirs.shutdown(std::net::Shutdown::Write).unwrap();
            let source = Brought::new(ours);
            for _ in 0..2 {
                let refused = source.open(&path(), 0).err().unwrap();
                assert!(matches!(&refused, FetchError::Refused(why) if why.contains("has ended")));
            }
        }
    }
}
