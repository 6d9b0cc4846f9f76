//! Wrong input leaves a clear message and the right exit code.

use std::path::Path;

use crate::support::daemon::{Board, root};

const CONFIG: &str = r#"
[device]
id = "board-1"
[[sensor]]
name = "imu"
driver = "replay"
path = "recording.csv"
rate = "10 Hz"
[[pipeline]]
name = "gestures"
sensor = "imu"
model = "./bundle"
window = { length = 40, stride = 10 }
json_lines = "out.jsonl"
"#;

/// A board with its own copy of the gesture bundle.
fn board(config: &str) -> Board {
    let board = Board::new(config);
    board.record("gestures");
    let bundle = board.path("bundle");
    std::fs::create_dir(&bundle).unwrap();
    for file in ["manifest.toml", "gestures.tflite", "golden.npz"] {
        std::fs::copy(root().join("models/gestures").join(file), bundle.join(file)).unwrap();
    }
    board
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(from));
    std::fs::write(file, text.replace(from, to)).unwrap();
}

/// Exit code of `run` and of `check`, which must both say `wanted`.
fn refused(board: &Board, code: i32, wanted: &str) {
    for command in ["run", "check"] {
        let output = board.output(&[command]);
        let text =
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{command}: {text}");
        assert!(text.contains(wanted), "{command} does not say {wanted:?}: {text}");
        for line in text.lines() {
            assert!(line.matches("(os error").count() <= 1, "a cause is told once: {line}");
        }
    }
}

#[test]
fn a_missing_model_is_named() {
    let board = board(CONFIG);
    std::fs::remove_file(board.path("bundle/gestures.tflite")).unwrap();
    refused(&board, 1, "bundle/gestures.tflite: No such file");
}

#[test]
fn a_missing_bundle_is_named() {
    let board = board(&CONFIG.replace("./bundle", "./nowhere"));
    refused(&board, 1, "nowhere/manifest.toml: No such file");
}

#[test]
fn a_truncated_model_is_named() {
    let board = board(CONFIG);
    let model = board.path("bundle/gestures.tflite");
    let bytes = std::fs::read(&model).unwrap();
    std::fs::write(&model, &bytes[..bytes.len() / 2]).unwrap();
    refused(&board, 1, "bundle/gestures.tflite: damaged TFLite model");
}

#[test]
fn an_onnx_file_named_tflite_is_told() {
    let board = board(CONFIG);
    let onnx = root().join("models/wine-tree/wine-tree.onnx");
    std::fs::copy(onnx, board.path("bundle/gestures.tflite")).unwrap();
    refused(&board, 1, "is an ONNX model although its name ends in .tflite");
}

#[test]
fn a_recipe_that_does_not_fit_the_model_is_told() {
    let board = board(CONFIG);
    edit(&board.path("bundle/manifest.toml"), "frames = 40", "frames = 20");
    refused(
        &board,
        1,
        "the recipe gives 20 frames of 6 channels, the model's input `x` is [1, 40, 6]",
    );
}

#[test]
fn a_window_that_the_recipe_does_not_take_is_told() {
    let board = board(&CONFIG.replace("length = 40", "length = 50"));
    refused(&board, 1, "window.length is 50, the recipe of model gestures takes 40 frames");
}

#[test]
fn an_unknown_driver_is_wrong_configuration_with_a_suggestion() {
    let board = board(&CONFIG.replace("\"replay\"", "\"mpu605\""));
    refused(&board, 78, "mpu6050");
}

#[test]
fn an_unreadable_bus_is_named_by_check() {
    let config = CONFIG.replace(
        "driver = \"replay\"\npath = \"recording.csv\"",
        "driver = \"mpu6050\"\nbus = \"/dev/i2c-77\"",
    );
    let output = board(&config).output(&["check"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("/dev/i2c-77"), "{text}");
}
