//! The keys of `[[sensor]]` for numbers that come from elsewhere.

use super::{Key, Table, optional, required};

const NAME: Key = required("name", "\"temperature\"", "The channel's name, as a recipe has it.");
const UNIT: Key = optional("unit", "\"°C\"", "none", "Its unit.");
const RANGE: Key = optional(
    "range",
    "[-40, 125]",
    "not known",
    "The least and the most that the device can measure, in the unit.",
);
const CHANNELS: Key =
    required("channel", "[[sensor.channel]]", "A table for each number, see below.");

const fn stale_after(default: &'static str, about: &'static str) -> Key {
    optional("stale_after", "\"1 h\"", default, about)
}

pub(in crate::config) const MQTT_INPUT: Table = Table {
    header: "[[sensor]] with driver = \"mqtt\"",
    about: "Numbers out of other devices' JSON messages, over the board's own connection: see [inputs.md](inputs.md).",
    keys: &[
        optional(
            "topic",
            "\"zigbee2mqtt/living-room\"",
            "that of each channel",
            "Where the messages come; no wildcards.",
        ),
        required("rate", "\"0.1 Hz\"", "Frames a second: the latest numbers, whenever they came."),
        stale_after(
            "`\"15 min\"`, ten periods at least",
            "How long a number counts; when none of them does any more the sensor is lost. `\"100 ms\"` to a week.",
        ),
        optional(
            "retained",
            "true",
            "`false`",
            "Whether messages count that the broker had kept: nobody knows how old they are.",
        ),
        CHANNELS,
    ],
    later: &[],
};

pub(in crate::config) const MQTT_CHANNEL: Table = Table {
    header: "[[sensor.channel]] with driver = \"mqtt\"",
    about: "One number out of messages.",
    keys: &[
        NAME,
        UNIT,
        required(
            "pointer",
            "\"/temperature\"",
            "Where it stands in the message: a JSON pointer (RFC 6901); `\"\"` for a message that is the number.",
        ),
        optional("topic", "\"shelly/power\"", "the sensor's", "Another device's topic."),
        RANGE,
    ],
    later: &[],
};

pub(in crate::config) const HTTP_INPUT: Table = Table {
    header: "[[sensor]] with driver = \"http\"",
    about: "Rows that others send to `POST /sensors/NAME`: see [inputs.md](inputs.md).",
    keys: &[
        required("rate", "\"10 Hz\"", "Rows a second: a row is one period after the row before."),
        stale_after(
            "`\"10 s\"`, ten periods at least",
            "After this long without a row the sensor is lost.",
        ),
        CHANNELS,
    ],
    later: &[],
};

pub(in crate::config) const HTTP_CHANNEL: Table = Table {
    header: "[[sensor.channel]] with driver = \"http\"",
    about: "One number of a row.",
    keys: &[NAME, UNIT, RANGE],
    later: &[],
};

pub(in crate::config) const COMMAND_INPUT: Table = Table {
    header: "[[sensor]] with driver = \"command\"",
    about: "Lines that a program writes to its standard output, a row each: see [inputs.md](inputs.md).",
    keys: &[
        required(
            "command",
            "[\"/usr/bin/vmstat\", \"1\"]",
            "The program and its arguments; no shell. With a `/` it is a path, otherwise it is looked for in `PATH`.",
        ),
        required("rate", "\"1 Hz\"", "Lines a second: a line is one period after the line before."),
        optional(
            "format",
            "\"json\"",
            "`\"columns\"`",
            "`\"columns\"`: numbers between commas, semicolons or blanks; `\"json\"`: a JSON value a line.",
        ),
        stale_after(
            "`\"10 s\"`, ten periods at least",
            "After this long without a row the program is ended and started anew.",
        ),
        CHANNELS,
    ],
    later: &[],
};

pub(in crate::config) const COMMAND_CHANNEL: Table = Table {
    header: "[[sensor.channel]] with driver = \"command\"",
    about: "One number of a line.",
    keys: &[
        NAME,
        UNIT,
        optional(
            "column",
            "3",
            "the next one",
            "Its column, 1 for the first, with `format = \"columns\"`.",
        ),
        optional(
            "pointer",
            "\"/temperature\"",
            "required with `format = \"json\"`",
            "Where it stands: a JSON pointer.",
        ),
        RANGE,
    ],
    later: &[],
};
