//! A bundle file is refused, or it is byte for byte what would be written of what was read.
#![no_main]

use edgerun::model::archive;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(bundle) = archive::read(&mut &*bytes) {
        let mut again = Vec::new();
        archive::write(&bundle, &mut again).expect("memory takes everything");
        assert!(again == bytes);
    }
});
