//! What a window of each recipe costs, for `scripts/bench-recipes`: run by it, prints a line of JSON for each.
//!
//!     recipes FOLDER [NAME…]      FOLDER: tests/data/signal; NAME: beginnings of cases' names
//!
//! A case is one of the `.toml` files that `tests/it/signal.rs` holds recipes to. Processor time: `window_us` is a whole window with all of its
//! rows new, the median of many; `next_us` one of which the last tenth is new, as when windows overlap by nine tenths.

#[path = "../tests/it/support/cases.rs"]
#[allow(dead_code)] // what is expected is the tests' matter
mod cases;

use std::path::Path;

use cases::Case;
use edgerun::clock::CpuWatch;
use serde_json::json;

/// What each case is measured for, at least.
const ROUNDS: usize = 15;
const ROUND_US: f64 = 20_000.0;

fn measure(case: &Case, rows: &[f32]) -> serde_json::Value {
    let recipe = case.recipe();
    let (mut preprocessor, mut input) = cases::preprocessor(&recipe);
    let mut cost = |fresh: usize| {
        median_us(|| preprocessor.apply(rows, fresh, &mut input).expect("a whole window"))
    };
    let (window, next) = (cost(usize::MAX), cost((case.frames / 10).max(1)));
    json!({
        "name": case.name, "frames": case.frames, "rows": recipe.made().rows,
        "columns": recipe.made().columns.len(), "window_us": window, "next_us": next,
    })
}

/// The median over rounds of one call's mean.
fn median_us(mut run: impl FnMut()) -> f64 {
    let mut calls = 1;
    let mut round = |calls: usize| {
        let watch = CpuWatch::start();
        (0..calls).for_each(|_| run());
        watch.elapsed().as_secs_f64() * 1e6 / calls as f64
    };
    for _ in 0..3 {
        calls = (ROUND_US / round(calls).max(0.01)).ceil().clamp(1.0, 1e6) as usize;
    }
    let mut each: Vec<f64> = (0..ROUNDS).map(|_| round(calls)).collect();
    each.sort_by(f64::total_cmp);
    each[ROUNDS / 2]
}

fn main() {
    // `cargo bench` adds words of its own.
    let words: Vec<String> = std::env::args().skip(1).filter(|w| !w.starts_with("--")).collect();
    let Some((folder, names)) = words.split_first() else { return };
    let wanted = |case: &Case| names.is_empty() || names.iter().any(|n| case.name.starts_with(n));
    for (case, rows, _) in cases::read(Path::new(folder)).iter().filter(|(case, ..)| wanted(case)) {
        println!("{}", measure(case, rows));
    }
}
