//! Well-formed TFLite files of operators, tensors and options that fuzz bytes choose: most of them
//! get past the importer, which random bytes hardly do.
#![no_main]

mod model;
mod run;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| run::run(&model::model(bytes)));
