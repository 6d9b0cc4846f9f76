//! Whatever arrives as a wish is refused in words, or is one.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The one file of the network's room that reads what others write.
#[allow(dead_code)]
#[path = "../../../src/net/wire/desired.rs"]
mod desired;

fuzz_target!(|payload: &[u8]| {
    match desired::Desired::parse(payload) {
        Ok(wish) => assert!(wish.to_string().len() <= payload.len() + 20),
        Err(error) => assert!(error.to_string().len() < 1000),
    }
});
