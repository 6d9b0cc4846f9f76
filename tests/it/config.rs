//! A wrong configuration starts nothing and says everything: file, line, key and what to write.

mod command;
mod examples;
mod values;

use std::path::Path;

use edgerun::config::{Config, DeviceId, Driver, Machine, Publish, Qos};
use edgerun::sensor::fifo::Kind;
use edgerun::sensor::mpu6050::Mpu6050;
use proptest::prelude::*;

fn machine() -> Machine {
    Machine {
        host_name: Some("bench".into()),
        machine_id: Some("0123456789abcdef0123456789abcdef".into()),
        state_directory: None,
    }
}

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("e.toml"), &machine()).map_err(|error| error.to_string())
}

/// All that is said of `text`, which must be wrong.
fn says(text: &str) -> String {
    match parse(text) {
        Ok(config) => panic!("accepted: {config:?}"),
        Err(message) => message,
    }
}

/// A configuration that holds, to be spoilt.
const GOOD: &str = r#"
[mqtt]
url = "mqtt://localhost"
[[sensor]]
name = "imu"
driver = "mpu6050"
bus = "/dev/i2c-1"
rate = "10 Hz"
[[pipeline]]
name = "gestures"
sensor = "imu"
model = "./gestures"
window = { length = 40, stride = 10 }
"#;

#[test]
fn few_keys_are_enough_and_the_rest_has_defaults() {
    let config = parse(GOOD).unwrap();
    assert_eq!(config.device.id.as_str(), "bench-3eb1bd");
    assert_eq!(config.state, Path::new("/var/lib/edgerun"));
    assert_eq!(config.http, None);
    assert_eq!(config.mqtt.as_ref().unwrap().keep_alive.as_secs(), 30);
    let Driver::Fifo(chip) = &config.sensors[0].driver else { panic!("not the chip") };
    let ranges = Mpu6050 { accel_range_g: 4, gyro_range_dps: 2000 };
    assert_eq!((chip.place.address(), &chip.kind), (Some(0x68), &Kind::Mpu6050(ranges)));
    let feed = config.pipelines[0].feed.as_ref().unwrap();
    assert_eq!((feed.publish, feed.qos), (Publish::Every, Qos::AtLeastOnce));
    assert_eq!((feed.window.length.get(), feed.window.stride.get()), (40, 10));
    assert_eq!(config.pipelines[0].threads.get(), 1);
    assert_eq!(config.pipelines[0].cores, [0usize; 0]);
    assert_eq!(config.sensor(&feed.sensor), Some(&config.sensors[0]));
    assert_eq!(config.warnings, []);
}

#[test]
fn everything_that_is_wrong_is_said_at_once_in_the_order_of_the_file() {
    let text = r#"top = 1
[device]
id = "bench 07"
[mqtt]
url = "localhost"
pasword = "x"
[[sensor]]
name = "imu"
driver = "mpu6050"
bus = 1
rate = "100 Hx"
[[pipeline]]
sensor = "imo"
model = "Gestures"
window = { length = 10, stride = 20 }
qos = 2
[ota]
repository = "https://models.example"
"#;
    let expected = r#"e.toml:1: top: unknown key; there are: device, mqtt, sensor, pipeline, http, state, ota, privacy
e.toml:3: device.id: "bench 07" is not a name: 1 to 64 letters, digits, `_` or `-`; write it as "bench-07"
e.toml:5: mqtt.url: begins with neither mqtt:// nor mqtts://; write it as "mqtts://broker.example:8883"
e.toml:6: mqtt.pasword: unknown key; did you mean "password"?
e.toml:10: sensor[0].bus: must be the bus's device file; write it as "/dev/i2c-1"
e.toml:11: sensor[0].rate: "100 Hx" is not a rate; write it as "100 Hz"
e.toml:12: pipeline[0].name: is missing; add it as in name = "gestures"
e.toml:13: pipeline[0].sensor: there is no sensor "imo"; did you mean "imu"?
e.toml:14: pipeline[0].model: "Gestures" is no name of a model, 1 to 64 of a-z, 0-9, `_` and `-`; a bundle's path has a `/`, as in "./Gestures"
e.toml:15: pipeline[0].window.stride: must be 1 to 10 (the length), is 20
e.toml:16: pipeline[0].qos: must be 0 or 1, is 2
e.toml:17: ota.root: is missing; add it as in root = "/etc/edgerun/root.json""#;
    assert_eq!(says(text), expected);
}

#[test]
fn keys_that_need_each_other_say_so() {
    let tls = GOOD.replace("mqtt://localhost", "mqtts://localhost");
    let with = |line: &str| says(&tls.replacen("[[sensor]]", &format!("{line}\n[[sensor]]"), 1));
    assert_eq!(
        with("client_cert = \"board.pem\""),
        "e.toml:2: mqtt.client_key: is missing; add it as in client_key = \"credential:mqtt-key\""
    );
    assert_eq!(
        with("client_key = \"credential:k\""),
        "e.toml:2: mqtt.client_cert: is missing; add it as in client_cert = \"board.pem\""
    );
    assert_eq!(
        with("password = \"credential:p\""),
        "e.toml:2: mqtt.username: is missing; add it as in username = \"bench-07\""
    );
}

#[test]
fn names_are_unique_and_no_chip_is_opened_twice() {
    let second = "[[sensor]]\nname = \"imu\"\ndriver = \"mpu6050\"\nbus = \"/dev/i2c-1\"\n\
                  rate = \"10 Hz\"\n[[pipeline]]";
    assert_eq!(
        says(&GOOD.replace("[[pipeline]]", second)),
        "e.toml:9: sensor[1].address: 0x68 on /dev/i2c-1 is opened by sensor \"imu\" already\n\
         e.toml:10: sensor[1].name: \"imu\" is the name of sensor[0], too"
    );
    let pipeline = &GOOD[GOOD.find("[[pipeline]]").unwrap()..];
    assert_eq!(
        says(&format!("{GOOD}{pipeline}")),
        "e.toml:15: pipeline[1].name: \"gestures\" is the name of pipeline[0], too"
    );
}

#[test]
fn tables_of_the_wrong_kind_say_how_many_brackets() {
    assert_eq!(
        says(&GOOD.replace("[[sensor]]", "[sensor]")),
        "e.toml:4: sensor: must be a list of tables, not a table; write [[sensor]]\n\
         e.toml:11: pipeline[0].sensor: there is no sensor \"imu\"; add a [[sensor]] with this name"
    );
    assert_eq!(
        says(&GOOD.replace("[mqtt]", "[[mqtt]]")),
        "e.toml:2: mqtt: is there once only: write [mqtt], not [[mqtt]]"
    );
    assert_eq!(
        says(&GOOD.replace("[[sensor]]", "[[sensors]]")),
        "e.toml:4: sensors: unknown key; did you mean \"sensor\"?\n\
         e.toml:11: pipeline[0].sensor: there is no sensor \"imu\"; add a [[sensor]] with this name"
    );
}

#[test]
fn a_configuration_that_does_nothing_is_refused() {
    let nothing =
        "e.toml:1: pipeline: there is none, so there is nothing to do; add a [[pipeline]]";
    assert_eq!(says(""), nothing);
    let feedless = "[[pipeline]]\nname = \"p\"\nmodel = \"./m\"\n";
    assert_eq!(
        says(feedless),
        "e.toml:1: pipeline[0].sensor: is missing, and without [http] nothing else can feed the \
         model; add it as in sensor = \"imu\""
    );
    assert_eq!(parse(&format!("{feedless}[http]\n")).unwrap().pipelines[0].feed, None);
    assert_eq!(
        says(&format!("{feedless}qos = 0\n[http]\n")),
        "e.toml:4: pipeline[0].qos: needs a sensor: this pipeline only answers HTTP requests; \
         remove it"
    );
    assert_eq!(
        says(&GOOD.replace("[mqtt]\nurl = \"mqtt://localhost\"\n", "")),
        "e.toml:7: pipeline[0].json_lines: is missing, and there is no [mqtt]: results would go \
         nowhere; add json_lines = \"-\" or an [mqtt] table"
    );
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let text = GOOD.replace("mqtt://localhost", "mqtt://broker.example").replace(
        "[[sensor]]",
        "username = \"me\"\npassword = \"credential:p\"\n[[sensor]]\nname = \"spare\"\n\
         driver = \"replay\"\npath = \"a.npy\"\nrate = \"1 Hz\"\n[[sensor]]",
    );
    let warnings: Vec<String> =
        parse(&text).unwrap().warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "e.toml:5: mqtt.password: crosses the network in clear text; use url = \"mqtts://…\"",
            "e.toml:6: sensor: no pipeline uses sensor \"spare\"",
        ]
    );
}

#[test]
fn without_an_id_and_a_machine_id_the_board_has_no_name() {
    let nameless = Machine { machine_id: None, ..machine() };
    let parse = |text: &str| Config::parse(text, Path::new("e.toml"), &nameless);
    assert_eq!(
        parse(GOOD).unwrap_err().to_string(),
        "e.toml:1: device: has no id, and this machine has no /etc/machine-id to make one from; \
         add id = \"bench-07\" to [device]"
    );
    let config = parse(&format!("device.id = \"a\"\n{GOOD}")).unwrap();
    assert_eq!(config.device.id, "a".parse::<DeviceId>().unwrap());
}

#[test]
fn state_lies_where_the_file_says_then_where_systemd_says() {
    let service = Machine { state_directory: Some("/run/s".into()), ..machine() };
    let state = |text: &str| Config::parse(text, Path::new("/etc/e.toml"), &service).unwrap().state;
    assert_eq!(state(GOOD), Path::new("/run/s"));
    assert_eq!(state(&format!("{GOOD}[state]\ndir = \"here\"\n")), Path::new("/etc/here"));
}

#[test]
fn what_is_not_toml_names_the_lines() {
    for (text, lines) in [
        ("[mqtt\nurl = 1\n", &["e.toml:1: is not TOML: "][..]),
        ("a = 1\na = 2\n", &["e.toml:2: is not TOML: duplicate key"]),
        ("a = 100 Hz\n\nb = \"x\n", &["e.toml:1: is not TOML: ", "e.toml:3: is not TOML: "]),
    ] {
        let said = says(text);
        assert_eq!(said.lines().count(), lines.len(), "{said}");
        for (line, begins) in said.lines().zip(lines) {
            assert!(line.starts_with(begins), "{said}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_configuration_or_messages(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let text = String::from_utf8_lossy(&bytes);
        if let Err(message) = parse(&text) {
            prop_assert!(message.starts_with("e.toml:"));
        }
    }

    #[test]
    fn any_toml_like_text_is_a_configuration_or_messages(
        lines in prop::collection::vec(
            "(\\[{1,2}(mqtt|sensor|pipeline|http|device|pipeline\\.window)\\]{1,2}|(name|url|driver|rate|window|sensor|qos|a\\.b) = (\"[a-z0-9 :/]{0,9}\"|-?[0-9]{1,25}|0x[0-9a-f]{1,20}|nan|1e999|true|\\[\\]|\\{ length = 1 \\}|1979-05-27))",
            0..12,
        ),
    ) {
        if let Err(message) = parse(&lines.join("\n")) {
            prop_assert!(message.lines().all(|line| line.starts_with("e.toml:")), "{}", message);
        }
    }

    #[test]
    fn a_configuration_with_bytes_changed_never_panics(at in 0..GOOD.len(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = GOOD.as_bytes().to_vec();
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        parse(&String::from_utf8_lossy(&bytes)).ok();
    }
}
