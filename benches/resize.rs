//! What each resize costs, for `scripts/bench-resize`: run by it, prints name and microseconds of each.
//!
//!     resize FILE WIDTH HEIGHT        FILE: pixels, uint8 [HEIGHT, WIDTH, 3]; to 224 x 224
//!
//! Processor time of the fastest of 40 runs, memory and tables made beforehand.

use edgerun::clock::CpuWatch;
use edgerun::model::Resize;
use edgerun::preprocess::image::resize::{Pixels, Resizer, Row};

const TO: [usize; 2] = [224, 224];
const RUNS: usize = 40;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let [file, width, height] = arguments.as_slice() else {
        eprintln!("run by scripts/bench-resize");
        return;
    };
    let bytes = std::fs::read(file).expect("the file of pixels");
    let (width, height) = (width.parse().expect("a width"), height.parse().expect("a height"));
    let pixels = Pixels { bytes: &bytes, stride: 3 * width, width, height, channels: 3 };
    for method in Resize::ALL {
        let mut resizer = Resizer::new(method, [width, height], TO, 3);
        let mut seen = 0.0;
        let fastest = (0..RUNS).map(|_| {
            let watch = CpuWatch::start();
            resizer.run(pixels, &mut |_, row| {
                seen += match row {
                    Row::Bytes(bytes) => f32::from(bytes[0]),
                    Row::Real(real) => real[0],
                };
            });
            watch.elapsed().as_secs_f64() * 1e6
        });
        let fastest = fastest.fold(f64::INFINITY, f64::min);
        std::hint::black_box(seen);
        println!("{} {fastest:.0}", method.as_str());
    }
}
