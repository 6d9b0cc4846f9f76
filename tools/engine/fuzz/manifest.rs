//! A manifest is refused, or holds only values that can be used.
#![no_main]

use edgerun::model::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(manifest) = Manifest::parse(text) {
        assert!(manifest.postprocess.output < manifest.outputs.len());
        assert!(Manifest::is_name(&manifest.name));
        assert!(!manifest.model.contains('/'));
    }
});
