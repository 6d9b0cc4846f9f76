//! Every key there is, once: what the reader accepts, what messages show, what the documentation
//! lists.

mod chips;
mod gpio;
mod inputs;
mod outputs;
mod sight;

/// One table of the file.
#[derive(Debug)]
pub struct Table {
    /// As written in the file: `[mqtt]`, `[[sensor]]`; where the keys depend on another key, with it.
    pub header: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// Those that work.
    pub keys: &'static [Key],
    /// Those of the contract that this version does not have: refused by name, never ignored.
    pub later: &'static [Later],
}

/// One key that works.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// A value as TOML writes it.
    pub example: &'static str,
    /// What holds without it.
    pub without: Without,
    /// What it does, and its range.
    pub about: &'static str,
}

/// What holds when a key is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// The configuration is refused.
    Required,
    /// This.
    Default(&'static str),
}

/// A key of a later version.
#[derive(Debug)]
pub struct Later {
    /// Its name.
    pub name: &'static str,
    /// What it will do, to be followed by "is not in this version".
    pub about: &'static str,
}

const fn required(name: &'static str, example: &'static str, about: &'static str) -> Key {
    Key { name, example, without: Without::Required, about }
}

const fn optional(
    name: &'static str,
    example: &'static str,
    default: &'static str,
    about: &'static str,
) -> Key {
    Key { name, example, without: Without::Default(default), about }
}

const fn later(name: &'static str, about: &'static str) -> Later {
    Later { name, about }
}

pub(super) const ROOT: Table = Table {
    header: "top level",
    about: "The tables.",
    keys: &[
        optional("device", "[device]", "an id made from host name and machine-id", "The board."),
        optional("mqtt", "[mqtt]", "no broker", "The broker."),
        optional("sensor", "[[sensor]]", "no sensor", "One table for each sensor."),
        required("pipeline", "[[pipeline]]", "One table for each pipeline; at least one."),
        optional("http", "[http]", "no HTTP", "The HTTP server."),
        optional("state", "[state]", "see below", "Where state is kept."),
        optional("ota", "[ota]", "models of the store are updated by hand", "Updates of models."),
        optional("privacy", "[privacy]", "see below", "What may leave the board."),
    ],
    later: &[],
};

pub(super) const DEVICE: Table = Table {
    header: "[device]",
    about: "Who this board is.",
    keys: &[
        optional(
            "id",
            "\"bench-07\"",
            "host name, `-`, 6 hex digits of the hashed machine-id",
            "The name on the broker, `edgerun/ID/…`: 1 to 64 letters, digits, `_` or `-`. No two boards may share it.",
        ),
        optional("groups", "[\"line-3\"]", "none", "Fleet groups that the board belongs to."),
    ],
    later: &[],
};

pub(super) const MQTT: Table = Table {
    header: "[mqtt]",
    about: "The broker that results go to. Without this table results go to `json_lines` only.",
    keys: &[
        required(
            "url",
            "\"mqtts://broker.example:8883\"",
            "`mqtt://` (port 1883), `mqtts://` (TLS, port 8883), or inside a WebSocket `ws://` (port 80), `wss://` (TLS, port 443), with a path (`/mqtt` without one); no user name, no password.",
        ),
        optional(
            "ca",
            "\"ca.pem\"",
            "the usual public authorities",
            "PEM file of the authorities that may sign the broker's certificate; with `mqtts://` only.",
        ),
        optional(
            "client_cert",
            "\"board.pem\"",
            "none",
            "PEM file with this board's certificate chain, for mutual TLS; needs `client_key`.",
        ),
        optional(
            "client_key",
            "\"credential:mqtt-key\"",
            "none",
            "The certificate's private key, PEM, as a credential.",
        ),
        optional("username", "\"bench-07\"", "none", "User name on the broker."),
        optional(
            "password",
            "\"credential:mqtt-password\"",
            "none",
            "Its password, as a credential; needs `username`.",
        ),
        optional(
            "keep_alive",
            "\"30 s\"",
            "`\"30 s\"`",
            "The broker publishes the last will after 1.5 times this silence; `\"5 s\"` to `\"18 h\"`, whole seconds.",
        ),
        optional(
            "prefix",
            "\"tenant-a\"",
            "none",
            "What stands before `edgerun/` in every topic, on brokers that tenants share.",
        ),
        optional(
            "protocol",
            "5",
            "`5`",
            "`5`: MQTT 5. `4`: MQTT 3.1.1, for a broker that speaks nothing newer: it says no limits and no reasons.",
        ),
        optional(
            "alpn",
            "[\"mqtt\"]",
            "none",
            "What TLS asks for on a port that several protocols share, often 443; with `mqtts://` and `wss://` only.",
        ),
        optional(
            "spool",
            "{ max_bytes = \"64 MiB\" }",
            "see below",
            "How results and events wait for the broker, over power cuts, too.",
        ),
        optional(
            "commands",
            "[\"health\", \"pause\"]",
            "`[\"health\", \"pause\", \"resume\", \"update\", \"rollback\"]`",
            "What others may tell this board to do over the broker, see [commands.md](commands.md): also `\"infer\"`, `\"capture\"`, `\"reload\"`, `\"restart\"`, `\"log-level\"`; `[]` for nothing.",
        ),
        optional(
            "log",
            "\"warn\"",
            "`\"off\"`",
            "What of the log goes to the topic `log`, a few lines a minute at most: `\"off\"`, `\"error\"`, or `\"warn\"` for both.",
        ),
        optional(
            "discovery",
            "false",
            "`true`",
            "Whether Home Assistant is told of this board: `true`, `false`, or its discovery prefix where that is not `\"homeassistant\"`.",
        ),
    ],
    later: &[],
};

pub(super) const SPOOL: Table = Table {
    header: "[mqtt.spool]",
    about: "What waits for the broker, in `spool` below the folder of `[state]`. Events are written at once. Of results \
            at QoS 1, those are written that the broker has not acknowledged for a while. When it is full the oldest \
            results go before the oldest events; each is counted.",
    keys: &[
        optional(
            "max_bytes",
            "\"64 MiB\"",
            "`\"64 MiB\"`",
            "What it may take on disk, `\"1 MiB\"` to `\"64 GiB\"`; `\"0 B\"`: messages wait in memory and end with the process.",
        ),
        optional(
            "sync",
            "\"batch\"",
            "`\"batch\"`",
            "`\"batch\"`: results are written together, once in `commit`. `\"each\"`: each is on disk before it is sent; wears the card out.",
        ),
        optional(
            "commit",
            "\"5 s\"",
            "`\"5 s\"`",
            "How old a result may get without being acknowledged or written: what a power cut can cost. `\"100 ms\"` to `\"1 h\"`.",
        ),
        optional(
            "in_order",
            "\"10 s\"",
            "`\"10 s\"`",
            "New messages wait that long for older ones; after a longer absence of the broker the two take turns.",
        ),
        optional(
            "drain",
            "\"100 Hz\"",
            "`\"100 Hz\"`",
            "Older messages a second, so that a fleet that comes back does not flood the broker.",
        ),
    ],
    later: &[],
};

pub(super) const SENSOR: Table = Table {
    header: "[[sensor]]",
    about: "A source of samples, on its own thread.",
    keys: &[
        required(
            "name",
            "\"imu\"",
            "What pipelines call it: 1 to 64 letters, digits, `_` or `-`; each once.",
        ),
        required(
            "driver",
            "\"mpu6050\"",
            "`\"mpu6050\"`, `\"lis3dh\"`, `\"adxl345\"`, `\"bme280\"`, `\"bmp280\"`, `\"sht3x\"`, `\"ads1115\"`, `\"ads1015\"`, `\"opt3001\"`, `\"vl53l0x\"`, `\"registers\"`, `\"gpio\"`, `\"microphone\"`, `\"mqtt\"`, `\"http\"`, `\"command\"` or `\"replay\"`.",
        ),
        optional(
            "stuck_after",
            "\"30 s\"",
            "the driver's, see [sensors.md](sensors.md)",
            "After this long without any change of any value the device counts as frozen; `\"0 s\"`: never.",
        ),
    ],
    later: &[],
};

pub(super) const MPU6050: Table = Table {
    header: "[[sensor]] with driver = \"mpu6050\"",
    about: "InvenSense MPU-6050: three axes of acceleration (m/s²), three of rate of turn (rad/s), over I²C.",
    keys: &[
        required("bus", "\"/dev/i2c-1\"", "The I²C bus's device file."),
        optional(
            "address",
            "0x68",
            "`0x68`",
            "`0x68`, or `0x69` where the chip's AD0 pin is high.",
        ),
        required(
            "rate",
            "\"100 Hz\"",
            "Samples a second, `\"4 Hz\"` to `\"1 kHz\"`: 1 kHz divided by a whole number.",
        ),
        optional(
            "accel_range",
            "\"4 g\"",
            "`\"4 g\"`",
            "Full scale: `\"2 g\"`, `\"4 g\"`, `\"8 g\"` or `\"16 g\"`.",
        ),
        optional(
            "gyro_range",
            "\"2000 dps\"",
            "`\"2000 dps\"`",
            "Full scale in degrees a second: `\"250 dps\"`, `\"500 dps\"`, `\"1000 dps\"` or `\"2000 dps\"`.",
        ),
    ],
    later: &[],
};

pub(super) use gpio::{GPIO_IN, GPIO_LINE};

pub(super) use chips::{ADS1115, BME280, CHANNEL, ID, LIS3DH, OPT3001, REGISTERS, SHT3X, VL53L0X};
pub(super) use sight::{CAMERA, PICTURES};

pub(super) const MICROPHONE: Table = Table {
    header: "[[sensor]] with driver = \"microphone\"",
    about: "A microphone, or another ALSA input, through the kernel's own interface: one channel, `audio`, -1 to 1.",
    keys: &[
        required(
            "device",
            "\"hw:0,0\"",
            "`\"hw:CARD,DEVICE\"` or `\"hw:CARD\"`, the card by number or by its name in `/proc/asound/cards`; or `\"/dev/snd/pcmC0D0c\"`.",
        ),
        optional(
            "rate",
            "\"16 kHz\"",
            "`\"16 kHz\"`",
            "Samples a second, whole, 4 to 100 kHz. The device must offer it: nothing is converted.",
        ),
        optional(
            "channel",
            "0",
            "`0`",
            "Which of the device's channels, from 0 on, or `\"mix\"` for their mean.",
        ),
        optional(
            "channels",
            "2",
            "the fewest that the device offers and `channel` needs",
            "Channels that the device is opened with.",
        ),
    ],
    later: &[],
};

pub(super) const REPLAY: Table = Table {
    header: "[[sensor]] with driver = \"replay\"",
    about: "A recording, played at its own pace.",
    keys: &[
        required(
            "path",
            "\"walk.csv\"",
            "The recording: `.csv` or `.npy`, a row for each sample, a column for each channel; or `.wav`.",
        ),
        optional(
            "rate",
            "\"10 Hz\"",
            "a `.wav`'s own; refused for others",
            "Samples a second; not with a `.wav`.",
        ),
        optional("repeat", "true", "`false`", "Whether it starts anew at its end."),
        optional(
            "channel",
            "0",
            "`0`",
            "`.wav` only: which of its channels, from 0 on, or `\"mix\"` for their mean.",
        ),
    ],
    later: &[],
};

pub(super) const JOIN: Table = Table {
    header: "[[sensor]] with driver = \"join\"",
    about: "Several sensors as one: their channels beside each other, on one grid of time.",
    keys: &[
        required(
            "sensors",
            "[\"imu\", \"room\"]",
            "2 to 16 other sensors; a channel that several have is called `SENSOR.CHANNEL`.",
        ),
        required("rate", "\"10 Hz\"", "Rows a second."),
    ],
    later: &[],
};

pub(super) const PIPELINE: Table = Table {
    header: "[[pipeline]]",
    about: "A model, what feeds it and where its results go.",
    keys: &[
        required(
            "name",
            "\"gestures\"",
            "The name in topics, `result/NAME`: 1 to 64 letters, digits, `_` or `-`; each once.",
        ),
        optional(
            "sensor",
            "\"imu\"",
            "only with `[http]`",
            "The `[[sensor]]` that feeds it. Without one the model answers requests to `/predict` only.",
        ),
        required(
            "model",
            "\"gestures\"",
            "A model of the store, by its name, which is updated as `[ota]` says; or the path of a bundle (`.edge`) or of its folder, with a `/`, which is not.",
        ),
        optional(
            "window",
            "{ length = 40, stride = 10 }",
            "required with `sensor`",
            "How samples are cut into windows, see below.",
        ),
        optional(
            "publish",
            "\"change\"",
            "`\"every\"`",
            "Which results are published: `\"every\"`, those that `\"change\"` the finding, or those with `\"above\"`: at least `limit`.",
        ),
        optional(
            "limit",
            "0.8",
            "required with `publish = \"above\"`",
            "Score or value that a result must have at least to be published.",
        ),
        optional(
            "qos",
            "1",
            "`1`",
            "MQTT quality of service of results: `1`, or `0` for best effort.",
        ),
        optional(
            "engine",
            "\"auto\"",
            "`\"auto\"`",
            "What runs the model: `\"native\"`, `\"tract\"`, or `\"auto\"` for the better one that can.",
        ),
        optional(
            "threads",
            "2",
            "`1`",
            "Threads that one run of the model may use, 1 to 64, no more than there are cores; tract uses one.",
        ),
        optional(
            "cores",
            "[2, 3]",
            "anywhere",
            "Cores that these threads are pinned to, one for each; the first is the inference thread's.",
        ),
        optional(
            "overload",
            "{ policy = \"drop-oldest\" }",
            "as shown",
            "What happens when windows come faster than the model runs, see below.",
        ),
        optional(
            "json_lines",
            "\"-\"",
            "none",
            "A file that gets each published result and each event as a line of JSON, too; `\"-\"` is standard output. Or a table, see below.",
        ),
        optional(
            "webhook",
            "{ url = \"https://example.org/in\" }",
            "none",
            "A URL that gets them as JSON, see below and [sinks.md](sinks.md).",
        ),
        optional(
            "gpio",
            "[[pipeline.gpio]]",
            "none",
            "Lines that findings switch, a table for each, see below.",
        ),
        optional(
            "pwm",
            "[[pipeline.pwm]]",
            "none",
            "PWM channels that findings drive, a table for each, see below.",
        ),
    ],
    later: &[],
};

pub(super) use inputs::{
    COMMAND_CHANNEL, COMMAND_INPUT, HTTP_CHANNEL, HTTP_INPUT, MQTT_CHANNEL, MQTT_INPUT,
};
pub(super) use outputs::{GPIO, JSON_LINES, PWM, WEBHOOK};

pub(super) const WINDOW: Table = Table {
    header: "[pipeline.window]",
    about: "Windows of samples.",
    keys: &[
        required(
            "length",
            "40",
            "Samples in a window, 1 to 1000000: what the model's recipe takes.",
        ),
        required(
            "stride",
            "10",
            "Samples from the start of a window to the next one's, 1 to `length`.",
        ),
    ],
    later: &[],
};

pub(super) const OVERLOAD: Table = Table {
    header: "[pipeline.overload]",
    about: "When windows come faster than the model runs. Sampling is never held up.",
    keys: &[optional(
        "policy",
        "\"drop-oldest\"",
        "`\"drop-oldest\"`",
        "The oldest waiting window is dropped and counted.",
    )],
    later: &[],
};

pub(super) const HTTP: Table = Table {
    header: "[http]",
    about: "The HTTP server: `/predict`, `/healthz`, `/metrics`. Off without this table.",
    keys: &[
        optional(
            "listen",
            "\"127.0.0.1:8080\"",
            "`\"127.0.0.1:8080\"`",
            "Address and port; one that other machines can reach needs `token`.",
        ),
        optional(
            "token",
            "\"credential:http-token\"",
            "none",
            "Bearer token that requests must carry, as a credential.",
        ),
    ],
    later: &[
        later("cert", "HTTPS"),
        later("key", "HTTPS"),
        later("client_ca", "mutual TLS over HTTP"),
    ],
};

pub(super) const STATE: Table = Table {
    header: "[state]",
    about: "What must outlive a restart.",
    keys: &[optional(
        "dir",
        "\"/var/lib/edgerun\"",
        "`$STATE_DIRECTORY` (systemd), otherwise `/var/lib/edgerun`",
        "The folder that the service may write to; `--state` wins over it.",
    )],
    later: &[],
};

pub(super) const PRIVACY: Table = Table {
    header: "[privacy]",
    about: "What may leave the board.",
    keys: &[optional(
        "capture",
        "true",
        "`false`",
        "Whether the command `capture` may record what a microphone or a camera gives; other sensors need only `[mqtt] commands`. No driver of this version is one of these.",
    )],
    later: &[],
};

pub(super) const OTA: Table = Table {
    header: "[ota]",
    about: "Where updates of the store's models come from, and what a new version must keep to: [updates.md](updates.md).",
    keys: &[
        optional(
            "repository",
            "\"https://models.example/tuf\"",
            "none: an operator brings updates with `edgerun ota apply`",
            "The signed repository: `https://`, `http://` or `file:///`, the folder with `metadata` and `targets`; or `\"mqtt:\"`, over the broker from `edgerun repo serve`.",
        ),
        optional(
            "root",
            "\"/etc/edgerun/root.json\"",
            "needed with `repository`",
            "The publisher's `root.json`, put there by whoever sets up the board: trust begins with it.",
        ),
        optional(
            "ca",
            "\"ca.pem\"",
            "those of the operating system",
            "PEM file of the authorities to believe for `https://`, as of a server in your own network.",
        ),
        optional(
            "follow",
            "\"desired\"",
            "`\"desired\"`",
            "`\"desired\"`: the version that the topics `model/NAME/desired` say; `\"latest\"`: the newest in the repository.",
        ),
        optional(
            "check",
            "\"1 h\"",
            "`\"1 h\"`",
            "How often the repository is asked, 10 s or longer.",
        ),
        optional(
            "unsynced",
            "\"take\"",
            "`\"take\"`",
            "While the clock is not synchronised: `\"take\"` what has not surely expired, or `\"wait\"` until it is.",
        ),
        optional(
            "bandwidth",
            "\"200 KiB\"",
            "as fast as it comes",
            "Bytes that a download takes in a second at most.",
        ),
        optional(
            "proxy",
            "\"http://proxy.example:3128\"",
            "what the environment says (`HTTPS_PROXY`, `NO_PROXY`)",
            "The way to the repository.",
        ),
        optional(
            "shadow_windows",
            "20",
            "the bundle's, or 20",
            "Live windows that a new version runs beside the one that serves before it takes over; 0 for none.",
        ),
        optional(
            "agreement",
            "0.6",
            "the bundle's, or 0.6",
            "The share of these windows, 0 to 1, on which both must find the same.",
        ),
        optional(
            "latency",
            "\"20 ms\"",
            "the bundle's, or until the next window is due",
            "Processor time that one of these windows may take; two may take longer.",
        ),
        optional(
            "trial",
            "\"10 min\"",
            "`\"10 min\"`",
            "How long a new version is watched at work before it counts as good; until then the one before returns by itself.",
        ),
        optional(
            "memory",
            "\"128 MiB\"",
            "`\"128 MiB\"`",
            "What the self-test of a new version may take, and by how much edgerun may grow while it is on trial.",
        ),
    ],
    later: &[],
};

/// All tables, in the order of the documentation.
pub const TABLES: &[&Table] = &[
    &ROOT,
    &DEVICE,
    &MQTT,
    &SPOOL,
    &SENSOR,
    &MPU6050,
    &LIS3DH,
    &BME280,
    &SHT3X,
    &ADS1115,
    &OPT3001,
    &VL53L0X,
    &REGISTERS,
    &ID,
    &CHANNEL,
    &GPIO_IN,
    &GPIO_LINE,
    &MQTT_INPUT,
    &MQTT_CHANNEL,
    &HTTP_INPUT,
    &HTTP_CHANNEL,
    &COMMAND_INPUT,
    &COMMAND_CHANNEL,
    &MICROPHONE,
    &REPLAY,
    &CAMERA,
    &PICTURES,
    &JOIN,
    &PIPELINE,
    &WINDOW,
    &OVERLOAD,
    &JSON_LINES,
    &WEBHOOK,
    &GPIO,
    &PWM,
    &HTTP,
    &STATE,
    &OTA,
    &PRIVACY,
];

/// The reference part of `docs/configuration.md`, in Markdown.
pub fn markdown() -> String {
    let mut text = String::new();
    for table in TABLES.iter().skip(1) {
        text += &format!("### `{}`\n\n{}\n\n", table.header, table.about);
        text.push_str("| key | example | without it | what it does |\n|---|---|---|---|\n");
        for key in table.keys {
            let without = match key.without {
                Without::Required => "refused",
                Without::Default(what) => what,
            };
            let Key { name, example, about, .. } = key;
            text += &format!("| `{name}` | `{example}` | {without} | {about} |\n");
        }
        for Later { name, about } in table.later {
            text += &format!("| `{name}` | | | Not in this version: {about}. |\n");
        }
        text.push('\n');
    }
    text
}
