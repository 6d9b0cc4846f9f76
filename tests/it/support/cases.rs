//! The cases that recipes are held to, `tests/data/signal/*.toml` with the `.npz` beside each; `benches/recipes.rs` measures
//! the same.

use std::path::Path;

use edgerun::arrays;
use edgerun::data::{DType, Tensor, TensorData, TensorSpec};
use edgerun::model::{Manifest, Recipe};
use edgerun::preprocess::Preprocessor;
use serde::Deserialize;

/// A manifest but for its recipe.
pub(crate) const HEAD: &str = r#"
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

/// A recipe and the names of its arrays.
#[derive(Deserialize)]
pub(crate) struct Case {
    /// That of the expected array, too.
    pub(crate) name: String,
    /// Of the largest expected value.
    pub(crate) tolerance: f64,
    pub(crate) frames: usize,
    rate: Option<String>,
    channels: usize,
    /// The rows' name in the file of arrays.
    rows: String,
    step: toml::Value,
}

impl Case {
    pub(crate) fn recipe(&self) -> Recipe {
        let channel = |n| toml::Table::from_iter([("name".to_owned(), format!("c{n}").into())]);
        let channels: Vec<toml::Value> = (0..self.channels).map(|n| channel(n).into()).collect();
        let mut preprocess = toml::Table::new();
        preprocess.insert("frames".into(), i64::try_from(self.frames).expect("few").into());
        if let Some(rate) = &self.rate {
            preprocess.insert("rate".into(), rate.as_str().into());
        }
        preprocess.insert("channels".into(), channels.into());
        preprocess.insert("step".into(), self.step.clone());
        let mut text: toml::Table = HEAD.parse().expect("ours");
        text.insert("preprocess".into(), preprocess.into());
        let text = toml::to_string(&text).expect("plain values");
        let manifest = Manifest::parse(&text).unwrap_or_else(|why| panic!("{}: {why}", self.name));
        manifest.recipe
    }
}

/// `recipe` at work, and a tensor for what it makes.
pub(crate) fn preprocessor(recipe: &Recipe) -> (Preprocessor, Tensor) {
    let shape = vec![recipe.made().rows, recipe.made().columns.len()];
    let spec = TensorSpec { name: "x".into(), dtype: DType::F32, shape, quantization: None };
    (Preprocessor::new(recipe, &spec), Tensor::zeros(&spec))
}

/// All cases of `folder`, each with its rows and what is expected.
pub(crate) fn read(folder: &Path) -> Vec<(Case, Vec<f32>, Tensor)> {
    let files = std::fs::read_dir(folder).expect("the folder of cases");
    let mut paths: Vec<_> = files.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.sort();
    let mut all = Vec::new();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|e| e == "toml")) {
        let text = std::fs::read_to_string(path).expect("a readable file");
        let file: File = toml::from_str(&text).expect("cases");
        let found = arrays::read(&path.with_extension("npz")).expect("their arrays");
        for case in file.case {
            let find = |name: &str| {
                let array = found.iter().find(|array| array.name == name);
                array.unwrap_or_else(|| panic!("no {name}")).tensor.clone()
            };
            let (x, y) = (find(&case.rows), find(&case.name));
            let TensorData::F32(rows) = x.data() else {
                panic!("{}: rows are {}", case.name, x.dtype())
            };
            all.push((case, rows.clone(), y));
        }
    }
    assert!(!all.is_empty(), "{}: no case", folder.display());
    all
}
