//! Whatever arrives as a command is refused in words, or is one that can be written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../../src/net/wire/command.rs"]
mod command;

fuzz_target!(|payload: &[u8]| match command::Request::parse(payload) {
    Ok(request) => {
        let again = command::Request::parse(&request.encode());
        // What is written has no moment to expire, and may be longer where it holds many escapes.
        if let Ok(again) = again {
            // Of a number the last bit may differ: text is read fast, not exactly.
            assert_eq!(again.id, request.id);
            assert!(again.args.keys().eq(request.args.keys()));
        }
    }
    Err(not) => assert!(not.why.message.len() < 1000),
});
