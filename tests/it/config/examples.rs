//! The examples and the documentation say what the reader takes.

use std::fs;
use std::path::{Path, PathBuf};

use edgerun::config::{Config, Driver, ModelSource, keys};
use edgerun::daemon::driver_settings;
use edgerun::sink::json_lines;

use super::machine;

fn example(name: &str) -> (PathBuf, String) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    let text = fs::read_to_string(&file).unwrap();
    (file, text)
}

#[test]
fn the_examples_are_right_and_name_models_that_are_there() {
    for name in ["imu.toml", "replay.toml", "all-keys.toml"] {
        let (file, _) = example(name);
        let config = Config::load(&file, &machine()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.warnings, [], "{name}");
        for pipeline in &config.pipelines {
            if let ModelSource::Path(path) = &pipeline.model {
                assert!(path.join("manifest.toml").is_file(), "{}", path.display());
            }
        }
    }
    let (file, _) = example("replay.toml");
    let config = Config::load(&file, &machine()).unwrap();
    let feed = config.pipelines[0].feed.as_ref().unwrap();
    assert_eq!(feed.outputs.json_lines, Some(json_lines::Settings::Stdout));
    let Driver::Replay(replay) = &config.sensors[0].driver else { panic!("not a recording") };
    assert!(replay.path.is_file(), "{}", replay.path.display());
}

#[test]
fn the_example_of_chips_has_each_of_them() {
    let (file, _) = example("sensors.toml");
    let config = Config::load(&file, &machine()).unwrap_or_else(|error| panic!("{error}"));
    let unused = |problem: &edgerun::config::Problem| problem.message.contains("no pipeline uses");
    assert!(config.warnings.iter().all(unused), "{:?}", config.warnings);
    let mut drivers: Vec<&str> = config
        .sensors
        .iter()
        .filter_map(|sensor| match &sensor.driver {
            Driver::Fifo(chip) => Some(chip.kind.name()),
            Driver::Polled(chip) => Some(chip.kind.name()),
            Driver::Gpio(_) => Some("gpio"),
            _ => None,
        })
        .collect();
    drivers.dedup();
    assert_eq!(
        drivers,
        [
            "lis3dh",
            "adxl345",
            "bme280",
            "sht3x",
            "ads1115",
            "opt3001",
            "vl53l0x",
            "registers",
            "gpio"
        ]
    );
}

#[test]
fn the_example_of_other_inputs_has_each_of_them() {
    let (file, _) = example("inputs.toml");
    let config = Config::load(&file, &machine()).unwrap_or_else(|error| panic!("{error}"));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let settings = config.sensors.iter().map(|sensor| driver_settings(&sensor.driver));
    let drivers: Vec<&str> = settings
        .map(|settings| {
            settings.spec().unwrap_or_else(|error| panic!("{error}"));
            settings.driver()
        })
        .collect();
    assert_eq!(drivers, ["mqtt", "http", "command", "command"]);
}

#[test]
fn the_reference_example_has_every_key() {
    let (_, mut text) = example("all-keys.toml");
    // The keys of chips, and of sensors that are none, stand in files of their own.
    text += &example("sensors.toml").1;
    text += &example("inputs.toml").1;
    for table in keys::TABLES.iter().skip(1) {
        for key in table.keys {
            let there = text.lines().any(|line| {
                line.split(['=', '{', ',', '.', ']']).any(|part| part.trim() == key.name)
            });
            assert!(there, "{}: {}", table.header, key.name);
        }
    }
}

#[test]
fn the_documentation_lists_the_keys_that_the_reader_takes() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let text = fs::read_to_string(&file).unwrap();
    let begin = "<!-- keys: written by the test of this name, from src/config/keys.rs -->\n";
    let end = "<!-- end of keys -->";
    let (head, rest) = text.split_once(begin).unwrap();
    let (listed, tail) = rest.split_once(end).unwrap();
    let expected = format!("\n{}", keys::markdown());
    if std::env::var_os("EDGERUN_WRITE_DOCS").is_some() {
        fs::write(&file, format!("{head}{begin}{expected}{end}{tail}")).unwrap();
        return;
    }
    assert!(
        listed == expected,
        "docs/configuration.md is behind the code; run this test with EDGERUN_WRITE_DOCS=1"
    );
}
