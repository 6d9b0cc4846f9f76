//! Whole lines that wait to be written, bounded.

/// Text of whole lines.
#[derive(Debug)]
pub(super) struct Text {
    bytes: Vec<u8>,
    lines: u64,
    bytes_max: usize,
}

impl Text {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes: Vec::new(), lines: 0, bytes_max }
    }

    /// Adds what `write` appends as a line; the oldest lines make room. How many of them did; the line itself is
    /// never given up.
    pub(super) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> u64 {
        let before = self.bytes.len();
        write(&mut self.bytes);
        self.bytes.push(b'\n');
        self.lines += 1;
        let excess = self.bytes.len().saturating_sub(self.bytes_max).min(before);
        if excess == 0 {
            return 0;
        }
        let end = self.bytes[excess - 1..before].iter().position(|byte| *byte == b'\n');
        let end = end.map_or(before, |end| excess + end);
        let given_up = self.bytes.drain(..end).filter(|byte| *byte == b'\n').count() as u64;
        self.lines -= given_up;
        given_up
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.lines = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_lines_go_whole_and_the_newest_stays_whatever_its_length() {
        let mut text = Text::new(10);
        let mut push = |line: &[u8]| text.push(|out| out.extend_from_slice(line));
        assert_eq!((push(b"abc"), push(b"def")), (0, 0));
        assert_eq!(push(b"gh"), 1);
        assert_eq!(push(b"much longer than that"), 2);
        assert_eq!((text.bytes(), text.lines()), (&b"much longer than that\n"[..], 1));
    }
}
