//! Loads a TFLite model, runs it once on zeros, and prints as JSON how long that took and what memory the
//! process then holds, as `scripts/peers/tflite_load.c` does for the TFLite C library:
//!
//!     load MODEL
#![expect(clippy::disallowed_methods, reason = "the daemon's clock is not part of this crate")]

use std::error::Error;
use std::fs;
use std::time::Instant;

use edgerun::data::Tensor;
use edgerun::engine::native;
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: load MODEL")?;
    let start = Instant::now();
    let model = native::load(&fs::read(path)?)?;
    let mut session = model.session()?;
    let loaded = start.elapsed();
    let inputs: Vec<Tensor> = model.signature().inputs.iter().map(Tensor::zeros).collect();
    let mut outputs: Vec<Tensor> = model.signature().outputs.iter().map(Tensor::zeros).collect();
    let start = Instant::now();
    session.infer(&inputs, &mut outputs)?;
    let first = start.elapsed();
    let status = fs::read_to_string("/proc/self/status")?;
    let kib = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok())
    };
    let millis = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    println!(
        "{}",
        json!({
            "load_ms": millis(loaded), "first_ms": millis(first),
            "rss_kib": kib("VmRSS:"), "peak_kib": kib("VmHWM:"),
        })
    );
    Ok(())
}
