//! Standard output that notices when nobody reads any more, as in `edgerun … | head`.

use std::io::{self, ErrorKind, IsTerminal, Stdout, Write};

/// Standard output. Not locked between writes: results may be written to it by other threads.
pub(crate) struct Output {
    stdout: Stdout,
    reader_is_gone: bool,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self { stdout: io::stdout(), reader_is_gone: false }
    }

    /// Whether a write failed for want of a reader: the end of the work, but no failure.
    pub(crate) fn reader_is_gone(&self) -> bool {
        self.reader_is_gone
    }

    fn noted<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            self.reader_is_gone |= error.kind() == ErrorKind::BrokenPipe;
        }
        result
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.stdout.write(bytes);
        self.noted(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.stdout.flush();
        self.noted(result)
    }
}

/// Whether standard output shows colours: a terminal, and nobody asked for none (no-color.org).
pub(crate) fn shows_colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}
