//! Each wrong value: its key, and what to write.

use super::{GOOD, says};

/// What is said of [`GOOD`] with `line` in place of the line that begins with the same key in the
/// same table, or added to that table.
fn spoilt(table: &str, line: &str) -> String {
    let key = line.split('=').next().unwrap().trim();
    let mut lines: Vec<String> = GOOD.lines().map(str::to_owned).collect();
    let start = match lines.iter().position(|l| l == table) {
        Some(start) => start + 1,
        None => {
            lines.push(table.into());
            lines.len()
        }
    };
    let end = lines[start..].iter().position(|l| l.starts_with('[')).map(|n| start + n);
    let end = end.unwrap_or(lines.len());
    let old = (start..end).find(|n| lines[*n].split('=').next().unwrap().trim() == key);
    match old {
        Some(n) => lines[n] = line.into(),
        None => lines.insert(start, line.into()),
    }
    says(&lines.join("\n"))
}

#[test]
fn each_wrong_value_is_named_with_what_to_write() {
    for (table, line, expected) in [
        (
            "[device]",
            "id = 7",
            "device.id: must be a string, not an integer; write it as in id = \"bench-07\"",
        ),
        ("[device]", "groups = [\"a\", \"a\"]", "device.groups: names \"a\" twice"),
        (
            "[device]",
            "groups = \"a\"",
            "device.groups: must be a list of strings, not a string; write it as in groups = [\"line-3\"]",
        ),
        ("[mqtt]", "url = \"tcp://h\"", "mqtt.url: has an unknown scheme; write mqtt://"),
        (
            "[mqtt]",
            "ca = \"ca.pem\"",
            "mqtt.ca: is for TLS only; write url = \"mqtts://…\", or remove it",
        ),
        ("[mqtt]", "keep_alive = 30", "mqtt.keep_alive: 30 has no unit; write it as \"30 s\""),
        (
            "[mqtt]",
            "keep_alive = \"1 s\"",
            "mqtt.keep_alive: \"1 s\" is not a whole number of seconds, 5 s to 18 h",
        ),
        (
            "[mqtt]",
            "username = \"\"",
            "mqtt.username: must have 1 to 65535 bytes and no control characters",
        ),
        (
            "[mqtt]",
            "prefix = \"/tenant-a\"",
            "mqtt.prefix: must be 1 to 128 bytes of topic levels, without blanks, +, #, $ and a slash at an end; write it as in \"tenant-a\"",
        ),
        (
            "[mqtt]",
            "spool = { max_bytes = \"64 KiB\" }",
            "mqtt.spool.max_bytes: \"64 KiB\" is not within 1 MiB to 64 GiB, nor 0 B for memory only",
        ),
        (
            "[mqtt]",
            "spool = { commit = \"1 day\" }",
            "mqtt.spool.commit: \"1 day\" is not within 100ms to 1h",
        ),
        (
            "[[sensor]]",
            "name = \"a/b\"",
            "sensor[0].name: \"a/b\" is not a name: 1 to 64 letters, digits, `_` or `-`; write it as \"a-b\"",
        ),
        (
            "[[sensor]]",
            "driver = \"mpu650\"",
            "sensor[0].driver: \"mpu650\" is not one of \"mpu6050\", \"lis3dh\", \"adxl345\", \"bme280\", \"bmp280\", \"sht3x\", \"ads1115\", \"ads1015\", \"opt3001\", \"vl53l0x\", \"registers\", \"gpio\", \"mqtt\", \"http\", \"command\", \"microphone\", \"camera\", \"pictures\", \"replay\", \"join\"; did you mean \"mpu6050\"?",
        ),
        (
            "[[sensor]]",
            "driver = \"lidar\"",
            "sensor[0].driver: \"lidar\" is not one of \"mpu6050\", \"lis3dh\", \"adxl345\", \"bme280\", \"bmp280\", \"sht3x\", \"ads1115\", \"ads1015\", \"opt3001\", \"vl53l0x\", \"registers\", \"gpio\", \"mqtt\", \"http\", \"command\", \"microphone\", \"camera\", \"pictures\", \"replay\", \"join\"",
        ),
        (
            "[[sensor]]",
            "bus = \"i2c-3\"",
            "sensor[0].bus: \"i2c-3\" is not a device file; write it as \"/dev/i2c-3\"",
        ),
        ("[[sensor]]", "address = 68", "sensor[0].address: 68 is decimal; write it as 0x68"),
        (
            "[[sensor]]",
            "address = 0x76",
            "sensor[0].address: the chip answers at 0x68 or 0x69 only, not at 0x76",
        ),
        ("[[sensor]]", "rate = 10", "sensor[0].rate: 10 has no unit; write it as \"10 Hz\""),
        ("[[sensor]]", "rate = \"8 kHz\"", "sensor[0].rate: \"8 kHz\" is outside 4 Hz to 1 kHz"),
        (
            "[[sensor]]",
            "rate = \"300 Hz\"",
            "sensor[0].rate: the chip divides 1 kHz by a whole number; nearest to \"300 Hz\" are \"250.000 Hz\" and \"333.333 Hz\"",
        ),
        (
            "[[sensor]]",
            "accel_range = \"3 g\"",
            "sensor[0].accel_range: \"3 g\" is not a range of this chip; it has 2 g, 4 g, 8 g and 16 g",
        ),
        (
            "[[sensor]]",
            "path = \"a.csv\"",
            "sensor[0].path: unknown key here; it is one of [[sensor]] with driver = \"replay\"",
        ),
        ("[[sensor]]", "adress = 0x68", "sensor[0].adress: unknown key; did you mean \"address\"?"),
        (
            "[[pipeline]]",
            "sensor = \"mic\"",
            "pipeline[0].sensor: there is no sensor \"mic\"; there are: imu",
        ),
        (
            "[[pipeline]]",
            "model = \"a b\"",
            "pipeline[0].model: \"a b\" is no name of a model, 1 to 64 of a-z, 0-9, `_` and `-`; a bundle's path has a `/`, as in \"./a b\"",
        ),
        (
            "[[pipeline]]",
            "model = \"./a.tflite\"",
            "pipeline[0].model: \"./a.tflite\" is a model's file; give a bundle, which says how to feed it: `edgerun bundle init` makes one",
        ),
        (
            "[[pipeline]]",
            "model = \"~/a\"",
            "pipeline[0].model: `~` means nothing here; write the whole path",
        ),
        (
            "[[pipeline]]",
            "window = { length = 0, stride = 1 }",
            "pipeline[0].window.length: must be 1 to 1000000, is 0",
        ),
        (
            "[[pipeline]]",
            "window = { length = 4 }",
            "pipeline[0].window.stride: is missing; add it as in stride = 10",
        ),
        ("[[pipeline]]", "window = 40", "pipeline[0].window: must be a table, not an integer"),
        (
            "[[pipeline]]",
            "publish = \"evry\"",
            "pipeline[0].publish: \"evry\" is not one of \"every\", \"change\", \"above\"; did you mean \"every\"?",
        ),
        (
            "[[pipeline]]",
            "publish = \"above\"",
            "pipeline[0].limit: is missing; add it as in limit = 0.8",
        ),
        (
            "[[pipeline]]",
            "limit = 0.5",
            "pipeline[0].limit: is for publish = \"above\" only; remove it",
        ),
        ("[[pipeline]]", "qos = 2", "pipeline[0].qos: must be 0 or 1, is 2"),
        (
            "[[pipeline]]",
            "engine = \"natve\"",
            "pipeline[0].engine: \"natve\" is not one of \"auto\", \"native\", \"tract\"; did you mean \"native\"?",
        ),
        (
            "[[pipeline]]",
            "cores = 2",
            "pipeline[0].cores: must be a list of whole numbers, not an integer; write it as in cores = [2, 3]",
        ),
        ("[[pipeline]]", "cores = [1, 2000]", "pipeline[0].cores: must be 0 to 1023, is 2000"),
        ("[[pipeline]]", "threads = 2\ncores = [1, 1]", "pipeline[0].cores: has 1 twice"),
        (
            "[[pipeline]]",
            "threads = 2\ncores = [1]",
            "pipeline[0].cores: has 1 for threads = 2; give one for each",
        ),
        ("[[pipeline]]", "threads = 0", "pipeline[0].threads: must be 1 to 64, is 0"),
        (
            "[[pipeline]]",
            "threads = 99999999999",
            "pipeline[0].threads: must be 1 to 64, is 99999999999",
        ),
        (
            "[[pipeline]]",
            "overload = { policy = \"block\" }",
            "pipeline[0].overload.policy: \"block\" is not one of \"drop-oldest\"",
        ),
        (
            "[[pipeline]]",
            "json_lines = true",
            "pipeline[0].json_lines: must be a string, not a boolean; write it as in json_lines = \"-\"",
        ),
        (
            "[http]",
            "listen = \"0.0.0.0:80\"",
            "http.listen: other machines can reach 0.0.0.0:80, and there is no token; add token = \"credential:http-token\", or listen on \"127.0.0.1:80\"",
        ),
        (
            "[http]",
            "listen = \"localhost:8080\"",
            "http.listen: \"localhost:8080\" is not an address and a port; write it as \"127.0.0.1:8080\"",
        ),
        (
            "[http]",
            "listen = \"::1\"",
            "http.listen: \"::1\" is not an address and a port; write it as \"[::1]:8080\"",
        ),
        (
            "[http]",
            "client_ca = \"ca.pem\"",
            "http.client_ca: mutual TLS over HTTP is not in this version; remove it",
        ),
        ("[state]", "dir = \"\"", "state.dir: must not be empty"),
        (
            "[ota]",
            "repository = \"ftp://a\"",
            "ota.repository: begins with none of https://, http:// and file:///, and is not mqtt:; write it as \"https://models.example/tuf\"",
        ),
        (
            "[ota]",
            "repository = \"mqtts://broker.example\"",
            "ota.repository: is \"mqtt:\" where files come over the broker of [mqtt]; no address follows it",
        ),
        ("[ota]", "agreement = 60", "ota.agreement: must be 0 to 1, is 60"),
        ("[ota]", "latency = \"0 s\"", "ota.latency: must be above 0"),
        (
            "[ota]",
            "check = \"1 s\"",
            "ota.check: is below 10 s; a repository is not asked that often",
        ),
        (
            "[ota]",
            "follow = \"latest\"",
            "ota.follow: is about the repository, and there is none; add repository = \"…\"",
        ),
        (
            "[privacy]",
            "capture = \"yes\"",
            "privacy.capture: must be true or false, not a string; write it as in capture = true",
        ),
        (
            "[mqtt]",
            "commands = [\"health\", \"restrat\"]",
            "mqtt.commands: \"restrat\" is no verb; did you mean \"restart\"?",
        ),
        (
            "[mqtt]",
            "commands = [\"health\", \"dance\"]",
            "mqtt.commands: \"dance\" is no verb; there are: health, infer, capture, pause, resume, reload, update, rollback, restart, log-level",
        ),
        ("[mqtt]", "commands = [\"health\", \"health\"]", "mqtt.commands: has \"health\" twice"),
        (
            "[mqtt]",
            "commands = \"health\"",
            "mqtt.commands: must be a list of verbs, not a string; write it as in commands = [\"health\", \"pause\"]",
        ),
    ] {
        let said = spoilt(table, line);
        let message = said.lines().next().unwrap().split_once(": ").unwrap().1;
        assert_eq!(message, expected, "{line}");
    }
}

#[test]
fn what_a_sink_cannot_do_is_said_by_key() {
    let gpio =
        |keys: &str| format!("[[pipeline.gpio]]\nchip = \"/dev/gpiochip0\"\nline = 1\n{keys}");
    let pwm = |keys: &str| {
        format!("[[pipeline.pwm]]\nchip = \"pwmchip0\"\nchannel = 0\nfrequency = \"50 Hz\"\n{keys}")
    };
    let stale = "stale_after = \"5 s\"\n";
    for (more, expected) in [
        (
            "json_lines = { path = \"a\", max_bytes = \"1 KiB\" }\n".to_owned(),
            "pipeline[0].json_lines.max_bytes: \"1 KiB\" is not within 1 MiB to 64 GiB",
        ),
        (
            "webhook = { url = \"ftp://example.org\" }\n".to_owned(),
            "pipeline[0].webhook.url: \"ftp://example.org\" is neither https:// nor http://",
        ),
        (
            "webhook = { url = \"https://me:secret@example.org\" }\n".to_owned(),
            "pipeline[0].webhook.url: holds a user name or a password; use token",
        ),
        (
            "webhook = { url = \"https://example.org\", token = \"hunter2\" }\n".to_owned(),
            "pipeline[0].webhook.token: a secret must not stand in the configuration; put it into a file /etc/edgerun/credentials/webhook-token that only edgerun's user can read, and write \"credential:webhook-token\"",
        ),
        (
            gpio(stale),
            "pipeline[0].gpio[0]: says not when the line is on: add label, anomalous, above or below",
        ),
        (
            gpio(&format!("{stale}label = \"a\"\nabove = 1\n")),
            "pipeline[0].gpio[0].above: is there beside label; a line has one rule",
        ),
        (
            gpio("label = \"a\"\n"),
            "pipeline[0].gpio[0].stale_after: is missing; add it as in stale_after = \"10 s\"",
        ),
        (
            gpio(&format!("{stale}label = \"a\"\nsafe = \"off\"\n")),
            "pipeline[0].gpio[0].safe: \"off\" is not one of \"low\", \"high\", \"release\"",
        ),
        (
            gpio(&format!("{stale}label = \"a\"\n")) + &gpio(&format!("{stale}label = \"b\"\n")),
            "pipeline[0].gpio: gpio gpiochip0:1 is driven by pipeline \"gestures\" already",
        ),
        (pwm(&format!("{stale}duty = [0, 2]\n")), "pipeline[0].pwm[0].duty: 2 is no share, 0 to 1"),
        (
            pwm(&format!("{stale}from = [1, 1]\n")),
            "pipeline[0].pwm[0].from: must be two different numbers",
        ),
    ] {
        let said = says(&format!("{GOOD}{more}"));
        let message = said.lines().next().unwrap().split_once(": ").unwrap().1;
        assert_eq!(message, expected, "{more}");
    }
}

#[test]
fn what_an_input_cannot_do_is_said_by_key() {
    let sensor = |driver: &str, keys: &str, channel: &str| {
        format!(
            "[[sensor]]\nname = \"in\"\ndriver = \"{driver}\"\nrate = \"1 Hz\"\n{keys}\n[[sensor.channel]]\nname = \"a\"\n{channel}\n"
        )
    };
    const POINTER: &str = "pointer = \"/a\"";
    for (driver, keys, channel, expected) in [
        (
            "mqtt",
            "topic = \"a/+/b\"",
            POINTER,
            "topic: \"a/+/b\" has a wildcard: numbers of several devices would be mixed; give each topic its own channel",
        ),
        ("mqtt", "", POINTER, "channel[0].topic: is missing, here and in the sensor's own table"),
        (
            "mqtt",
            "topic = \"a\"",
            "pointer = \"temperature\"",
            "channel[0].pointer: \"temperature\" is no JSON pointer (RFC 6901); write it as \"/temperature\", or \"\" for the whole",
        ),
        (
            "mqtt",
            "topic = \"a\"",
            "pointer = \"\"\n[[sensor.channel]]\nname = \"a\"\npointer = \"\"",
            "channel[1].name: \"a\" is the name of another channel, too",
        ),
        ("http", "", "", "driver: needs [http]: rows come through the board's HTTP server"),
        (
            "command",
            "command = \"vmstat 1\"",
            "",
            "command: no shell takes it apart; write it as a list, as in [\"/usr/bin/vmstat\", \"1\"]",
        ),
        ("command", "command = []", "", "command: names no program"),
        (
            "command",
            "command = [\"a\"]",
            POINTER,
            "channel[0].pointer: is for format = \"json\"; use column",
        ),
        (
            "command",
            "command = [\"a\"]\nformat = \"json\"",
            "",
            "channel[0].pointer: is missing; add it as in pointer = \"/temperature\"",
        ),
    ] {
        let said = says(&format!("{GOOD}{}", sensor(driver, keys, channel)));
        let message = said.lines().next().unwrap().split_once(": ").unwrap().1;
        assert_eq!(message, format!("sensor[1].{expected}"), "{keys} {channel}");
    }
}

#[test]
fn what_a_slow_chip_cannot_do_is_said_by_key_with_what_it_can() {
    let chip = |driver: &str, keys: &str| {
        format!(
            "[[sensor]]\nname = \"air\"\ndriver = \"{driver}\"\nbus = \"/dev/i2c-1\"\n{keys}{GOOD}"
        )
    };
    const MAP: &str = "address = 0x36\nrate = \"1 Hz\"\n";
    for (driver, keys, expected) in [
        ("bme280", "", "sensor[0].rate: is missing; add it as in rate = \"1 Hz\""),
        (
            "bme280",
            "rate = \"1 Hz\"\naddress = 0x68\n",
            "sensor[0].address: must be 0x76 or 0x77, is 0x68",
        ),
        (
            "bme280",
            "rate = \"1 Hz\"\naddress = 200\n",
            "sensor[0].address: must be 0x03 to 0x77, as `i2cdetect` shows it with 0x before it",
        ),
        (
            "sht3x",
            "rate = \"100 Hz\"\n",
            "sensor[0].rate: one measurement takes 17.0ms, so 58.8 Hz at most; asked for 100 Hz",
        ),
        (
            "bmp280",
            "rate = \"1 Hz\"\noversampling = 3\n",
            "sensor[0].oversampling: must be 1, 2, 4, 8 or 16, is 3",
        ),
        (
            "sht3x",
            "rate = \"1 Hz\"\noversampling = 2\n",
            "sensor[0].oversampling: unknown key here; it is one of [[sensor]] with driver = \"bme280\" or \"bmp280\"",
        ),
        (
            "ads1115",
            "rate = \"1 Hz\"\n",
            "sensor[0].inputs: is missing; add it as in inputs = [\"A0\", \"A1\"]",
        ),
        (
            "ads1115",
            "rate = \"1 Hz\"\ninputs = [\"A9\"]\n",
            "sensor[0].inputs: \"A9\" is none of A0-A1, A0-A3, A1-A3, A2-A3, A0, A1, A2, A3",
        ),
        (
            "ads1115",
            "rate = \"1 Hz\"\ninputs = [\"A0\"]\nfull_scale = \"5 V\"\n",
            "sensor[0].full_scale: must be 6.144, 4.096, 2.048, 1.024, 0.512 or 0.256",
        ),
        (
            "ads1115",
            "rate = \"1 Hz\"\ninputs = [\"A0\"]\nfull_scale = 4\n",
            "sensor[0].full_scale: 4 has no unit; write it as \"4 V\"",
        ),
        (
            "registers",
            MAP,
            "sensor[0].channel: is missing; add it as in channel = [[sensor.channel]]",
        ),
        (
            "registers",
            &format!("{MAP}channel = []\n"),
            "sensor[0].channel: there is none; add [[sensor.channel]]",
        ),
        (
            "registers",
            &format!("{MAP}init = [1]\n[[sensor.channel]]\nname = \"a\"\n"),
            "sensor[0].init: each of it must be a list",
        ),
        (
            "registers",
            &format!("{MAP}[[sensor.channel]]\nname = \"a b\"\n"),
            "sensor[0].channel[0].name: \"a b\" must be 1 to 64 letters, digits or `_`",
        ),
        (
            "registers",
            &format!("{MAP}[[sensor.channel]]\nname = \"a\"\nregister = 0x100\n"),
            "sensor[0].channel[0].register: must be 0 to 255, is 0x100",
        ),
        (
            "registers",
            &format!("{MAP}[[sensor.channel]]\nname = \"a\"\nshift = 8\n"),
            "sensor[0].channel: a: shift and bits do not lie within 8 bits",
        ),
        (
            "registers",
            &format!("{MAP}[[sensor.channel]]\nname = \"a\"\nrange = [1]\n"),
            "sensor[0].channel[0].range: must be [least, most]",
        ),
        (
            "registers",
            &format!("{MAP}id = {{ value = 1 }}\n[[sensor.channel]]\nname = \"a\"\n"),
            "sensor[0].id.register: is missing; add it as in register = 0x0f",
        ),
        (
            "registers",
            "rate = \"1 Hz\"\n[[sensor.channel]]\nname = \"a\"\n",
            "sensor[0].address: is missing; add it as in address = 0x48",
        ),
        (
            "opt3001",
            "rate = \"1 Hz\"\naddress = 0x45\n[[sensor]]\nname = \"b\"\ndriver = \"sht3x\"\nbus = \"/dev/i2c-1\"\naddress = 0x45\nrate = \"1 Hz\"\n",
            "sensor[1].address: 0x45 on /dev/i2c-1 is opened by sensor \"air\" already",
        ),
    ] {
        let text = chip(driver, keys);
        let said = says(&text);
        let message = said.lines().next().unwrap().split_once(": ").unwrap().1;
        assert_eq!(message, expected, "{text}");
    }
}

#[test]
fn sound_has_a_device_or_a_file_with_its_own_rate() {
    let sensor = |keys: &str| format!("[[sensor]]\nname = \"ear\"\n{keys}{GOOD}");
    const MICROPHONE: &str = "driver = \"microphone\"\n";
    const WAVE: &str = "driver = \"replay\"\npath = \"a.wav\"\n";
    const TABLE: &str = "driver = \"replay\"\npath = \"a.csv\"\n";
    for (driver, keys, expected) in [
        (MICROPHONE, "", "sensor[0].device: is missing; add it as in device = \"hw:0,0\""),
        (
            MICROPHONE,
            "device = \"default\"\n",
            "sensor[0].device: \"default\" is no device: write it as \"hw:0,0\", as \"hw:NAME\" with a name out of /proc/asound/cards, or as \"/dev/snd/pcmC0D0c\"",
        ),
        (
            MICROPHONE,
            "device = \"hw:0\"\nrate = \"1 kHz\"\n",
            "sensor[0].rate: must be a whole number of Hz, 4 kHz to 100 kHz, is 1000",
        ),
        (
            MICROPHONE,
            "device = \"hw:0\"\nchannels = 2\nchannel = 2\n",
            "sensor[0].channel: of 2 channels the last is 1",
        ),
        (
            MICROPHONE,
            "device = \"hw:0\"\nchannel = \"left\"\n",
            "sensor[0].channel: must be a channel, 0 to 63, or \"mix\"",
        ),
        (WAVE, "rate = \"8 kHz\"\n", "sensor[0].rate: a .wav has its own rate; remove the key"),
        (TABLE, "", "sensor[0].rate: is missing; add it as in rate = \"10 Hz\""),
        (
            TABLE,
            "rate = \"1 Hz\"\nchannel = 0\n",
            "sensor[0].channel: is for .wav; other recordings give all of their channels",
        ),
    ] {
        let text = sensor(&format!("{driver}{keys}"));
        let said = says(&text);
        let message = said.lines().next().unwrap().split_once(": ").unwrap().1;
        assert_eq!(message, expected, "{text}");
    }
}

#[test]
fn what_does_not_go_together_of_chips_on_either_bus_and_of_lines_is_said() {
    let chip = |driver: &str, keys: &str| {
        format!("[[sensor]]\nname = \"door\"\ndriver = \"{driver}\"\n{keys}{GOOD}")
    };
    const LINE: &str = "chip = \"/dev/gpiochip0\"\nrate = \"1 Hz\"\n[[sensor.line]]\nname = \"a\"\nline = \"GPIO17\"\n";
    const SPI: &str = "bus = \"/dev/spidev0.0\"\nrate = \"100 Hz\"\n";
    for (driver, keys, expected) in [
        ("lis3dh", SPI.to_owned(), ""),
        ("bme280", "bus = \"/dev/spidev0.0\"\nrate = \"1 Hz\"\nspeed = \"8 MHz\"\n".into(), ""),
        (
            "adxl345",
            format!("{SPI}speed = \"5 MHz\"\n"),
            "sensor[0].speed: the chip does 1.6 MHz at most, asked for 5 MHz",
        ),
        (
            "lis3dh",
            format!("{SPI}address = 0x19\n"),
            "sensor[0].address: a chip on SPI has none: the device file is its chip select",
        ),
        (
            "lis3dh",
            "bus = \"/dev/i2c-1\"\nrate = \"100 Hz\"\nspeed = \"1 MHz\"\n".into(),
            "sensor[0].speed: is for SPI only; an I²C bus's speed is set in the board's device tree",
        ),
        (
            "mpu6050",
            SPI.to_owned(),
            "sensor[0].bus: this chip is reached over I²C only: a bus as \"/dev/i2c-1\"",
        ),
        (
            "lis3dh",
            "bus = \"spidev0.1\"\nrate = \"100 Hz\"\n".into(),
            "sensor[0].bus: \"spidev0.1\" is not a device file; write it as \"/dev/spidev0.1\"",
        ),
        (
            "lis3dh",
            "bus = \"/dev/i2c-1\"\nrate = \"120 Hz\"\n".into(),
            "sensor[0].rate: the chip does 1, 10, 25, 50, 100, 200, 400, 1344 Hz, asked for 120 Hz",
        ),
        (
            "lis3dh",
            format!("{SPI}[[sensor]]\nname = \"b\"\ndriver = \"adxl345\"\n{SPI}"),
            "sensor[1].bus: is opened by sensor \"door\" already",
        ),
        (
            "gpio",
            "chip = \"gpiochip1\"\nrate = \"1 Hz\"\n[[sensor.line]]\nname = \"a\"\nline = 3\n"
                .into(),
            "sensor[0].chip: \"gpiochip1\" is not a device file; write it as \"/dev/gpiochip1\"",
        ),
        (
            "gpio",
            "chip = \"/dev/gpiochip0\"\nrate = \"1 Hz\"\n".into(),
            "sensor[0].line: is missing; add it as in line = [[sensor.line]]",
        ),
        (
            "gpio",
            format!("{LINE}edge = \"both\"\n"),
            "sensor[0].line[0].edge: is for measure = \"count\" or \"rate\"; a level has none",
        ),
        (
            "gpio",
            format!("{LINE}[[sensor.line]]\nname = \"b\"\nline = \"GPIO17\"\n"),
            "sensor[0].line: b: its line is another channel's, too",
        ),
        ("gpio", format!("{LINE}measure = \"rate\"\nedge = \"both\"\n"), ""),
        (
            "registers",
            format!("{SPI}mode = 4\n[[sensor.channel]]\nname = \"a\"\n"),
            "sensor[0].mode: must be 0 to 3, is 4",
        ),
    ] {
        let text = chip(driver, &keys);
        let said = super::parse(&text).err().unwrap_or_default();
        let first = said.lines().next().unwrap_or_default();
        let message = first.split_once(": ").map_or("", |(_, message)| message);
        assert_eq!(message, expected, "{text}");
    }
}

#[test]
fn a_secret_in_the_file_is_refused_and_never_repeated() {
    for line in [
        "password = \"hunter2\"",
        "password = 4711",
        "password = \"credential:hunter2!\"",
        "client_key = \"hunter2\"",
        "url = \"mqtt://me:hunter2@localhost\"",
        "password = hunter2",
        "password = \"hunter2",
    ] {
        let said = spoilt("[mqtt]", line);
        assert!(!said.contains("hunter2") && !said.contains("4711"), "{said}");
    }
    assert!(spoilt("[mqtt]", "password = \"hunter2\"").contains(
        "mqtt.password: a secret must not stand in the configuration; put it into a file \
         /etc/edgerun/credentials/mqtt-password that only edgerun's user can read, and write \
         \"credential:mqtt-password\""
    ));
}

#[test]
fn a_repository_over_the_broker_needs_one_and_no_proxy() {
    let ota = "[ota]\nrepository = \"mqtt:\"\nroot = \"root.json\"\nproxy = \"http://p:3128\"\n";
    let said = says(&format!("{GOOD}\n{ota}"));
    assert!(said.ends_with("ota.proxy: is for https:// and http:// only"), "{said}");
    let (before, rest) = GOOD.split_once("[mqtt]").unwrap();
    let without = &rest[rest.find("\n[").unwrap()..];
    let said =
        says(&format!("{before}{without}\n{}", ota.replace("proxy = \"http://p:3128\"\n", "")));
    assert!(
        said.contains("ota.repository: goes over the broker, and there is none; add [mqtt]"),
        "{said}"
    );
}
