//! A segment's bytes: a header, records, zeros.
//!
//! ```text
//! header   magic 8 | salt 4 | first index 8 | floor 8 | CRC 4           numbers are little-endian
//! record   length 4 | CRC 4 | kind 1 | index 8 | body                   length counts from `kind` on
//! ```
//!
//! Segment files are used again without being cleared. Each use has a salt of its own, which every CRC covers, so
//! that a record of an earlier use is not taken for one of this one.

use super::Index;

const MAGIC: &[u8; 8] = b"edgespl1";
/// Bytes of a header.
pub(super) const HEADER: usize = 32;
/// Bytes that a record has besides its body.
pub(super) const AROUND: usize = 8 + PREFIX;
/// Kind and index.
const PREFIX: usize = 9;
const MESSAGE: u8 = 1;
const FLOOR: u8 = 2;

/// What a segment begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Of this use of the file.
    pub(super) salt: u32,
    /// Of its first record, or of the next one where it has none.
    pub(super) first: Index,
    /// Everything below was finished when the segment was begun.
    pub(super) floor: Index,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&self.salt.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.first.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.floor.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header of a segment; `None` when it is none, or damaged.
    pub(super) fn decode(segment: &[u8]) -> Option<Self> {
        let bytes = segment.get(..HEADER)?;
        if &bytes[..8] != MAGIC || u32_at(bytes, 28)? != crc32fast::hash(&bytes[..28]) {
            return None;
        }
        Some(Self { salt: u32_at(bytes, 8)?, first: u64_at(bytes, 12)?, floor: u64_at(bytes, 20)? })
    }
}

/// A record that was read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record<'a> {
    /// A message.
    Message(Index, &'a [u8]),
    /// Everything below is finished.
    Floor(Index),
}

/// Appends a message's record to `out`. Bodies are far below 4 GiB: a record fits into a segment.
pub(super) fn write_message(out: &mut Vec<u8>, salt: u32, index: Index, body: &[u8]) {
    write(out, salt, MESSAGE, index, body);
}

/// Appends a record that says what is finished.
pub(super) fn write_floor(out: &mut Vec<u8>, salt: u32, floor: Index) {
    write(out, salt, FLOOR, floor, &[]);
}

fn write(out: &mut Vec<u8>, salt: u32, kind: u8, index: Index, body: &[u8]) {
    let begin = out.len();
    let length = u32::try_from(PREFIX + body.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.push(kind);
    out.extend_from_slice(&index.to_le_bytes());
    out.extend_from_slice(body);
    let crc = checksum(salt, &length.to_le_bytes(), &out[begin + 8..]);
    out[begin + 4..begin + 8].copy_from_slice(&crc.to_le_bytes());
}

fn checksum(salt: u32, length: &[u8], content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    hasher.update(length);
    hasher.update(content);
    hasher.finalize()
}

/// The records of a segment, in order, and where they end.
///
/// A damaged record among good ones is passed over: its index is missing then. Damage at the end is where a
/// power cut has torn what was not synced.
#[derive(Debug)]
pub(super) struct Records<'a> {
    segment: &'a [u8],
    salt: u32,
    at: usize,
}

impl<'a> Records<'a> {
    /// `segment` is a whole file, with the header that was read from it.
    pub(super) fn new(segment: &'a [u8], header: &Header) -> Self {
        Self { segment, salt: header.salt, at: HEADER }
    }

    /// Bytes up to the end of the last record given.
    pub(super) fn end(&self) -> usize {
        self.at
    }

    /// The record at `at` and where the next one begins; `Err` with the latter where it is damaged.
    fn at(&self, at: usize) -> Option<Result<(Record<'a>, usize), usize>> {
        let length = usize::try_from(u32_at(self.segment, at)?).ok()?;
        let (begin, end) = (at.checked_add(8)?, at.checked_add(8)?.checked_add(length)?);
        let content = self.segment.get(begin..end)?;
        if length < PREFIX {
            return None;
        }
        let good = u32_at(self.segment, at + 4)?
            == checksum(self.salt, self.segment.get(at..at + 4)?, content);
        let index = u64_at(content, 1)?;
        match (good, content[0]) {
            (true, MESSAGE) => Some(Ok((Record::Message(index, &content[PREFIX..]), end))),
            (true, FLOOR) => Some(Ok((Record::Floor(index), end))),
            _ => Some(Err(end)),
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let mut at = self.at;
        loop {
            match self.at(at)? {
                Ok((record, end)) => {
                    self.at = end;
                    return Some(record);
                }
                // Its length may be damaged, too: then there is no good record behind it.
                Err(end) => at = end,
            }
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: Header = Header { salt: 7, first: 100, floor: 90 };

    fn segment(bodies: &[&[u8]]) -> Vec<u8> {
        let mut bytes = HEAD.encode().to_vec();
        for (index, body) in (HEAD.first..).zip(bodies) {
            write_message(&mut bytes, HEAD.salt, index, body);
        }
        write_floor(&mut bytes, HEAD.salt, 101);
        bytes.resize(bytes.len() + 100, 0);
        bytes
    }

    fn read(bytes: &[u8]) -> Vec<Record<'_>> {
        Records::new(bytes, &HEAD).collect()
    }

    #[test]
    fn what_was_written_is_read_back_and_its_end_found() {
        let bytes = segment(&[b"one", b"", b"three"]);
        assert_eq!(Header::decode(&bytes), Some(HEAD));
        let mut records = Records::new(&bytes, &HEAD);
        let expected = [
            Record::Message(100, b"one"),
            Record::Message(101, b""),
            Record::Message(102, b"three"),
            Record::Floor(101),
        ];
        assert!(records.by_ref().eq(expected));
        assert_eq!(records.end(), bytes.len() - 100);
    }

    #[test]
    fn a_damaged_record_is_passed_over_and_a_torn_end_is_the_end() {
        let good = segment(&[b"one", b"two", b"three"]);
        let mut rotten = good.clone();
        rotten[HEADER + AROUND + 1] ^= 4;
        let left = [Record::Message(101, b"two"), Record::Message(102, b"three")];
        assert_eq!(read(&rotten)[..2], left);
        let mut torn = good.clone();
        torn.truncate(HEADER + 2 * AROUND + 5);
        assert_eq!(read(&torn), [Record::Message(100, b"one")]);
    }

    #[test]
    fn records_of_an_earlier_use_of_the_file_are_none_of_this_one() {
        let mut bytes = segment(&[b"old", b"old", b"old"]);
        let header = Header { salt: 8, ..HEAD };
        let mut new = header.encode().to_vec();
        write_message(&mut new, header.salt, 100, b"new");
        bytes[..new.len()].copy_from_slice(&new);
        let records: Vec<_> = Records::new(&bytes, &header).collect();
        assert_eq!(records, [Record::Message(100, b"new")]);
    }

    proptest! {
        #[test]
        fn whatever_lies_there_is_read_without_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            flips in prop::collection::vec((0usize..300, any::<u8>()), 0..8),
        ) {
            Header::decode(&bytes);
            prop_assert!(read(&bytes).len() <= bytes.len());
            let mut damaged = segment(&[b"one", b"two", b"three"]);
            for (at, with) in flips {
                if let Some(byte) = damaged.get_mut(at) {
                    *byte ^= with;
                }
            }
            // What passes is what was written.
            for record in read(&damaged) {
                if let Record::Message(index, body) = record {
                    let written: &[u8] = [&b"one"[..], b"two", b"three"][(index - 100) as usize];
                    prop_assert_eq!(body, written);
                }
            }
        }
    }
}
