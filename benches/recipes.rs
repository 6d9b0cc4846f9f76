//! What a window of each recipe costs, for `scripts/bench-recipes`: run by it, prints a line of JSON for each.
//!
//!     recipes FOLDER [NAME…]      FOLDER: tests/data/signal; NAME: beginnings of cases' names
//!
//! A case is one of the `.toml` files that `tests/it/signal.rs` holds recipes to. Processor time: `window_us` is a whole window with all of its
//! rows new, the median of many; `next_us` one of which the last tenth is new, as when windows overlap by nine tenths.

use std::path::Path;

use edgerun::arrays;
use edgerun::clock::CpuWatch;
use edgerun::data::{DType, Tensor, TensorData, TensorSpec};
use edgerun::model::Manifest;
use edgerun::preprocess::Preprocessor;
use serde::Deserialize;
use serde_json::json;

/// What each case is measured for, at least.
const ROUNDS: usize = 15;
const ROUND_US: f64 = 20_000.0;

const HEAD: &str = r#"
    name = "m"
    version = "1.0.0"
    edgerun = "0.1.0"
    model = "m.onnx"
    input = [{ name = "x", dtype = "float32", shape = [1, 1] }]
    output = [{ name = "y", dtype = "float32", shape = [1, 1] }]
    postprocess = { kind = "regression" }
"#;

#[derive(Deserialize)]
struct File {
    case: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    frames: usize,
    rate: Option<String>,
    channels: usize,
    rows: String,
    step: toml::Value,
}

impl Case {
    fn manifest(&self) -> Manifest {
        let channel = |n| toml::Table::from_iter([("name".to_owned(), format!("c{n}").into())]);
        let channels: Vec<toml::Value> = (0..self.channels).map(|n| channel(n).into()).collect();
        let mut preprocess = toml::Table::new();
        preprocess.insert("frames".into(), toml::Value::Integer(self.frames as i64));
        if let Some(rate) = &self.rate {
            preprocess.insert("rate".into(), rate.as_str().into());
        }
        preprocess.insert("channels".into(), channels.into());
        preprocess.insert("step".into(), self.step.clone());
        let mut text: toml::Table = HEAD.parse().expect("ours");
        text.insert("preprocess".into(), preprocess.into());
        Manifest::parse(&toml::to_string(&text).expect("plain values")).expect("a right recipe")
    }

    fn measure(&self, rows: &[f32]) -> serde_json::Value {
        let recipe = self.manifest().recipe;
        let (made, columns) = (recipe.made().rows, recipe.made().columns.len());
        let spec = TensorSpec {
            name: "x".into(),
            dtype: DType::F32,
            shape: vec![made, columns],
            quantization: None,
        };
        let (mut preprocessor, mut input) =
            (Preprocessor::new(&recipe, &spec), Tensor::zeros(&spec));
        let mut cost = |fresh: usize| {
            median_us(|| preprocessor.apply(rows, fresh, &mut input).expect("a whole window"))
        };
        let (window, next) = (cost(usize::MAX), cost((self.frames / 10).max(1)));
        json!({
            "name": self.name, "frames": self.frames, "rows": made, "columns": columns,
            "window_us": window, "next_us": next,
        })
    }
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
    let folder = Path::new(folder);
    let files = std::fs::read_dir(folder).expect("the folder of cases");
    let mut paths: Vec<_> = files.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|e| e == "toml")) {
        let text = std::fs::read_to_string(path).expect("a readable file");
        let file: File = toml::from_str(&text).expect("cases");
        let found = arrays::read(&path.with_extension("npz")).expect("their arrays");
        let wanted =
            |case: &&Case| names.is_empty() || names.iter().any(|n| case.name.starts_with(n));
        for case in file.case.iter().filter(wanted) {
            let rows = found.iter().find(|array| array.name == case.rows).expect("its rows");
            let TensorData::F32(rows) = rows.tensor.data() else { panic!("rows are float32") };
            println!("{}", case.measure(rows));
        }
    }
}
