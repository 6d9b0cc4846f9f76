//! The keys of what a pipeline's results do besides going to the broker.

use super::{Key, Table, optional, required};

const STALE_AFTER: Key = required(
    "stale_after",
    "\"10 s\"",
    "For how long a finding counts; after that the safe state. `\"100 ms\"` to `\"24 h\"`; a few times as long as from one window to the next.",
);

pub(in crate::config) const JSON_LINES: Table = Table {
    header: "[pipeline.json_lines]",
    about: "Files of lines, on a thread of their own: see [sinks.md](sinks.md).",
    keys: &[
        required(
            "path",
            "\"results.jsonl\"",
            "The file that is written; the one before it is `results.jsonl.1`, and so on.",
        ),
        optional(
            "max_bytes",
            "\"64 MiB\"",
            "`\"64 MiB\"`",
            "What all files together may take, `\"1 MiB\"` to `\"64 GiB\"`.",
        ),
        optional("files", "4", "`4`", "How many files there are, 2 to 16."),
        optional(
            "commit",
            "\"5 s\"",
            "`\"5 s\"`",
            "How old a line may get before it is on disk: what a power cut can cost. `\"100 ms\"` to `\"1 h\"`.",
        ),
    ],
    later: &[],
};

pub(in crate::config) const WEBHOOK: Table = Table {
    header: "[pipeline.webhook]",
    about: "A URL that published results and events are sent to by POST, as JSON; best effort. See [sinks.md](sinks.md).",
    keys: &[
        required(
            "url",
            "\"https://example.org/in\"",
            "`https://` or `http://`, without user name and password. No redirect is followed.",
        ),
        optional(
            "token",
            "\"credential:webhook-token\"",
            "none",
            "A secret that each request carries, as `Authorization: Bearer …`, as a credential.",
        ),
        optional(
            "header",
            "\"X-Api-Key\"",
            "`Authorization`, after the word `Bearer`",
            "The header that has the secret as its whole value; needs `token`.",
        ),
        optional(
            "ca",
            "\"ca.pem\"",
            "the usual public authorities",
            "PEM file of the authorities that may sign the server's certificate; with `https://` only.",
        ),
        optional(
            "timeout",
            "\"10 s\"",
            "`\"10 s\"`",
            "For a whole request, `\"100 ms\"` to `\"5 min\"`.",
        ),
        optional(
            "batch",
            "20",
            "`1`",
            "Results and events in one request, 1 to 1000. With 1 the body is an object, with more an array.",
        ),
        optional(
            "linger",
            "\"1 s\"",
            "`\"1 s\"`",
            "How long one waits for others to go with it, `\"10 ms\"` to `\"1 h\"`; with `batch` above 1 only.",
        ),
    ],
    later: &[],
};

pub(in crate::config) const GPIO: Table = Table {
    header: "[[pipeline.gpio]]",
    about: "A line that every finding switches, published or not: on while its one rule (`label`, `anomalous`, `above` or `below`) holds. See [sinks.md](sinks.md) for what the safe state is worth.",
    keys: &[
        required("chip", "\"/dev/gpiochip0\"", "The chip's device file."),
        required("line", "17", "The line's number on that chip, or its name, as in `\"GPIO17\"`."),
        optional("label", "\"walking\"", "another rule", "On while the finding has this label."),
        optional("anomalous", "true", "another rule", "On while the finding is an anomaly."),
        optional(
            "above",
            "30.0",
            "another rule",
            "On while the value, or the anomaly's score, is above this.",
        ),
        optional("below", "5.0", "another rule", "On while it is below this."),
        optional("active_low", "true", "`false`", "Whether the wire is low while the line is on."),
        optional(
            "safe",
            "\"high\"",
            "the level that is off",
            "The wire without a finding, and after the stop: `\"low\"`, `\"high\"`, or `\"release\"` to give the line back.",
        ),
        STALE_AFTER,
    ],
    later: &[],
};

pub(in crate::config) const PWM: Table = Table {
    header: "[[pipeline.pwm]]",
    about: "A PWM channel that every finding drives, published or not, by its value or score. See [sinks.md](sinks.md).",
    keys: &[
        required("chip", "\"pwmchip0\"", "The chip's name in `/sys/class/pwm`, or its folder."),
        required("channel", "0", "The channel on that chip."),
        required("frequency", "\"1 kHz\"", "Turns a second; 50 Hz for servos."),
        optional("inverted", "true", "`false`", "Whether the wire is low while it is on."),
        optional(
            "label",
            "\"walking\"",
            "the finding's own score or value",
            "The score of this label counts; 0 where it is not among `top`.",
        ),
        optional(
            "from",
            "[20.0, 80.0]",
            "`[0.0, 1.0]`",
            "Values that become the first and the second of `duty`; beyond them nothing changes.",
        ),
        optional(
            "duty",
            "[0.05, 0.1]",
            "`[0.0, 1.0]`",
            "Shares of the time that it is on, 0 to 1.",
        ),
        optional(
            "safe",
            "0.0",
            "`\"off\"`",
            "Without a finding, and after the stop: a share, or `\"off\"` to disable the channel.",
        ),
        STALE_AFTER,
    ],
    later: &[],
};
