//! Files of the update repository over the broker: a device asks on `fetch/request`, whoever serves the
//! repository answers on `fetch/chunk`.
//!
//! A chunk is one line of JSON and a line feed, then the file's bytes as they are: in JSON they would be a
//! third longer.

use serde::{Deserialize, Serialize};

/// Most bytes of a file in one chunk: few enough that a slow mobile network brings them before they are asked for
/// again, and that brokers with small limits take them.
pub const CHUNK_BYTES_MAX: u32 = 16 << 10;
/// Longest request that is read.
const REQUEST_BYTES_MAX: usize = 1 << 10;
/// Longest head of a chunk.
const HEAD_BYTES_MAX: usize = 1 << 10;

/// What a device asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchRequest {
    /// The answer has it as well.
    pub id: u64,
    /// Below the repository, as in `metadata/timestamp.json`.
    pub path: String,
    /// The first byte.
    pub offset: u64,
    /// Most bytes; an answer may have fewer, but at least one before the file's end.
    pub length: u32,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The request's.
    pub id: u64,
    /// Bytes of the file, or why there are none.
    pub part: Result<Part, NoPart>,
}

/// Bytes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where they begin.
    pub offset: u64,
    /// Bytes of the whole file.
    pub total: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Why a file is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoPart {
    /// The repository has no such file.
    NotFound,
    /// What was asked for makes no sense.
    BadRequest,
    /// It cannot be read at present.
    Failed,
}

/// The line before the bytes.
#[derive(Serialize, Deserialize)]
struct Head {
    id: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<NoPart>,
}

impl FetchRequest {
    /// Reads what a device sent; `None` where it is no request.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let bounded = payload.len() <= REQUEST_BYTES_MAX;
        bounded.then(|| serde_json::from_slice(payload).ok()).flatten()
    }
}

impl Chunk {
    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        let (offset, total, error, bytes) = match &self.part {
            Ok(part) => (Some(part.offset), Some(part.total), None, &part.bytes[..]),
            Err(error) => (None, None, Some(*error), &[][..]),
        };
        let mut payload = super::json(&Head { id: self.id, offset, total, error });
        payload.push(b'\n');
        payload.extend_from_slice(bytes);
        payload
    }

    /// Reads a payload; `None` where it is no chunk.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let end = payload.iter().take(HEAD_BYTES_MAX).position(|byte| *byte == b'\n')?;
        let (head, bytes) = (&payload[..end], &payload[end + 1..]);
        let Head { id, offset, total, error } = serde_json::from_slice(head).ok()?;
        let part = match (error, offset, total) {
            (Some(error), ..) => Err(error),
            (None, Some(offset), Some(total)) => {
                let within = offset.checked_add(bytes.len() as u64)? <= total;
                // A chunk without a byte before the file's end would be asked for for ever.
                if !within || (bytes.is_empty() && offset < total) {
                    return None;
                }
                Ok(Part { offset, total, bytes: bytes.to_vec() })
            }
            _ => return None,
        };
        Some(Self { id, part })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_chunk_is_a_line_of_json_and_the_bytes() {
        let part = Ok(Part { offset: 3, total: 9, bytes: b"\n\0ab".to_vec() });
        let chunk = Chunk { id: 7, part };
        assert_eq!(chunk.encode(), b"{\"id\":7,\"offset\":3,\"total\":9}\n\n\0ab");
        assert_eq!(Chunk::decode(&chunk.encode()), Some(chunk));
        let none = Chunk { id: 7, part: Err(NoPart::NotFound) };
        assert_eq!(none.encode(), b"{\"id\":7,\"error\":\"not_found\"}\n");
        assert_eq!(Chunk::decode(&none.encode()), Some(none));
    }

    #[test]
    fn a_request_is_what_the_documents_say() {
        let text = br#"{"id":7,"path":"metadata/timestamp.json","offset":0,"length":16384}"#;
        let request = FetchRequest::parse(text).expect("good");
        assert_eq!(super::super::json(&request), text);
        assert_eq!(FetchRequest::parse(&[b' '; 2000]), None);
        assert_eq!(FetchRequest::parse(br#"{"id":-1,"path":"a","offset":0,"length":1}"#), None);
    }

    #[test]
    fn chunks_that_lie_are_none() {
        for odd in [
            &b"{\"id\":7,\"offset\":3,\"total\":4}\nab"[..],
            b"{\"id\":7,\"offset\":18446744073709551615,\"total\":4}\nab",
            b"{\"id\":7,\"offset\":0,\"total\":4}\n",
            b"{\"id\":7}\n",
            b"{\"id\":7,\"offset\":0,\"total\":0}",
            b"",
        ] {
            assert_eq!(Chunk::decode(odd), None, "{}", String::from_utf8_lossy(odd));
        }
        assert!(Chunk::decode(b"{\"id\":7,\"offset\":0,\"total\":0}\n").is_some(), "an empty file");
    }

    proptest! {
        #[test]
        fn whatever_comes_is_a_chunk_or_none(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            Chunk::decode(&payload);
            FetchRequest::parse(&payload);
        }
    }
}
