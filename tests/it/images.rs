//! A photograph gets the answer that training would give it: resized as Pillow does, by the real daemon, from a folder
//! and over HTTP.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use edgerun::arrays;
use edgerun::engine::{self, Choice, Model};
use edgerun::model::Bundle;
use edgerun::pictures;
use edgerun::predict::Predictor;
use serde_json::Value;

use crate::sinks::until;
use crate::support::daemon::{Board, root};
use crate::support::mosquitto::free_port;
use crate::zoo::zoo;

const MODELS: [&str; 4] = [
    "mobilenet_v1_0.25_128_quant",
    "mobilenet_v1_0.5_160_quant",
    "mobilenet_v2_1.0_224_quant",
    "tf2_mobilenet_v2_1.0_224_ptq",
];
const PHOTOGRAPHS: [&str; 3] = ["cat", "grace_hopper", "sunflower"];

/// The zoo's model as a bundle's folder `name` in `folder`, as `bundle init` drafts it, with the labels.
fn bundle(zoo: &Path, model: &str, folder: &Path, name: &str) -> PathBuf {
    let file = folder.join(format!("{name}.tflite"));
    fs::copy(zoo.join(format!("coral/{model}.tflite")), &file).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgerun"));
    command.current_dir(folder).args(["bundle", "init", &format!("{name}.tflite"), "--name", name]);
    assert!(command.output().unwrap().status.success());
    let labels = fs::read_to_string(zoo.join("coral/imagenet_labels.txt")).unwrap();
    let labels: Vec<_> = labels.lines().map(|line| format!("{line:?}")).collect();
    let manifest = folder.join(name).join("manifest.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let line = text.lines().find(|line| line.starts_with("labels = []")).unwrap();
    let text = text.replace(line, &format!("labels = [{}]", labels.join(", ")));
    let text = text.replace("threshold = 0.5 ", "threshold = 0.1 ");
    fs::write(&manifest, text).unwrap();
    folder.join(name)
}

fn photograph(zoo: &Path, name: &str) -> Vec<u8> {
    fs::read(zoo.join(format!("coral/{name}.bmp"))).unwrap()
}

/// What `name` shows, as the models of version `v2` see it.
fn shows(name: &str, v2: bool) -> &'static str {
    match (name, v2) {
        ("cat", _) => "Egyptian cat",
        ("sunflower", _) => "daisy",
        (_, true) => "military uniform",
        // Its robe misleads the smaller ones, in LiteRT as here.
        (_, false) => "academic gown, academic robe, judge's robe",
    }
}

#[test]
fn photographs_give_litert_s_bytes_on_pillow_s_pixels() {
    let Some(zoo) = zoo() else { return };
    let folder = tempfile::tempdir().unwrap();
    let goldens = fs::read(root().join("tests/data/image/zoo.npz")).unwrap();
    let goldens = arrays::unpack(&goldens).unwrap();
    for (index, model) in MODELS.into_iter().enumerate() {
        let bundle = bundle(&zoo, model, folder.path(), &format!("model-{index}"));
        let bundle = Bundle::open(&bundle).unwrap();
        let loaded: Arc<dyn Model> = engine::load(&bundle.model, Choice::Auto).unwrap().into();
        bundle.check(loaded.signature()).unwrap();
        let mut predictor = Predictor::new(&bundle.manifest, loaded).unwrap();
        for name in PHOTOGRAPHS {
            let picture = pictures::decode(&photograph(&zoo, name), Vec::new()).unwrap();
            let (finding, _) = predictor.predict_picture(&picture).unwrap();
            let golden = format!("{model}/{name}");
            let golden = &goldens.iter().find(|array| array.name == golden).unwrap().tensor;
            let found = predictor.outputs()[0].data().to_f64().unwrap();
            let expected = golden.data().to_f64().unwrap();
            let most = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(most <= 2.0, "{model}, {name}: {most} units");
            let shown = shows(name, model.contains("v2"));
            assert!(
                format!("{finding:?}").contains(&format!("label: Some({shown:?})")),
                "{finding:?}"
            );
        }
    }
}

/// Status and body of `POST /predict` with `body`.
fn ask(port: u16, body: &[u8]) -> (u16, Value) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let length = body.len();
    let head = "POST /predict HTTP/1.1\r\nHost: test\r\nConnection: close\r\n";
    write!(stream, "{head}Content-Length: {length}\r\n\r\n").unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

#[test]
fn the_daemon_finds_what_a_folder_of_photographs_shows_and_what_is_posted() {
    let Some(zoo) = zoo() else { return };
    let port = free_port();
    let board = Board::new(&format!(
        r#"
        [http]
        listen = "127.0.0.1:{port}"
        [[sensor]]
        name = "photographs"
        driver = "pictures"
        path = "photographs"
        rate = "20 Hz"
        [[pipeline]]
        name = "what-is-it"
        sensor = "photographs"
        model = "./mobilenet"
        window = {{ length = 1, stride = 1 }}
        json_lines = "results.jsonl"
        "#
    ));
    bundle(&zoo, "tf2_mobilenet_v2_1.0_224_ptq", board.dir.path(), "mobilenet");
    fs::create_dir(board.path("photographs")).unwrap();
    for name in PHOTOGRAPHS {
        fs::write(board.path(&format!("photographs/{name}.bmp")), photograph(&zoo, name)).unwrap();
    }
    let _daemon = board.run_until_ready(&[]);
    let results = |text: &str| text.matches("\"result\":").count();
    let text =
        until(&board.path("results.jsonl"), |text| results(text) >= 3 && text.ends_with('\n'));
    let labels: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["result"]["label"].clone())
        .filter(|label| !label.is_null())
        .collect();
    assert_eq!(labels, PHOTOGRAPHS.map(|name| shows(name, true)));

    let (status, answer) = ask(port, &photograph(&zoo, "cat"));
    assert_eq!((status, answer), (200, serde_json::json!({"prediction": ["Egyptian cat"]})));
    let (status, answer) = ask(port, b"[[1, 2, 3]]");
    let error = "the model takes a picture: send a JPEG, PNG or BMP file as the body";
    assert_eq!((status, answer), (400, serde_json::json!({ "error": error })));
    let cut = &photograph(&zoo, "cat")[..5000];
    let (status, answer) = ask(port, cut);
    let error = "the picture: cut off: the file ends before the picture does";
    assert_eq!((status, answer), (400, serde_json::json!({ "error": error })));
}

#[test]
fn a_broken_picture_is_named_by_the_sensor() {
    let board = Board::new(
        r#"
        [[sensor]]
        name = "photographs"
        driver = "pictures"
        path = "photographs"
        rate = "20 Hz"
        [http]
        listen = "127.0.0.1:0"
        [[pipeline]]
        name = "wine"
        model = "{models}/wine-tree"
        "#,
    );
    fs::create_dir(board.path("photographs")).unwrap();
    fs::write(board.path("photographs/half.png"), b"\x89PNG\r\n\x1a\n").unwrap();
    let output = board.output(&["check"]);
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("half.png: cut off"), "{said}");
}
