//! Whatever arrives as a part of an update file, or as a question for one, is none or holds together.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::Serialize;

#[allow(dead_code)]
#[path = "../../../src/net/wire/fetch.rs"]
mod fetch;

/// As `net::wire` has it.
fn json(payload: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(payload).expect("plain values")
}

fuzz_target!(|payload: &[u8]| {
    if let Some(chunk) = fetch::Chunk::decode(payload) {
        if let Ok(part) = &chunk.part {
            assert!(part.offset + part.bytes.len() as u64 <= part.total);
        }
        assert_eq!(fetch::Chunk::decode(&chunk.encode()), Some(chunk));
    }
    if let Some(request) = fetch::FetchRequest::parse(payload) {
        assert_eq!(fetch::FetchRequest::parse(&json(&request)), Some(request));
    }
});
