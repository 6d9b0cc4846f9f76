//! The keys of `[[sensor]]` for what gives pictures.

use super::{Table, optional, required};

pub(in crate::config) const CAMERA: Table = Table {
    header: "[[sensor]] with driver = \"camera\"",
    about: "A camera of the kernel (V4L2): USB cameras and what else gives MJPEG or YUYV; see [images.md](images.md).",
    keys: &[
        required(
            "device",
            "\"/dev/video0\"",
            "Its device file; one of `/dev/v4l/by-id` stays the same when others are plugged in.",
        ),
        optional(
            "size",
            "\"640x480\"",
            "`\"640x480\"`",
            "Width, even, and height of its pictures.",
        ),
        required(
            "rate",
            "\"10 Hz\"",
            "Pictures a second, up to 240; of a faster camera some are left out.",
        ),
        optional(
            "format",
            "\"mjpeg\"",
            "YUYV if it is fast enough",
            "How it sends them: `\"mjpeg\"` or `\"yuyv\"`.",
        ),
    ],
    later: &[],
};

pub(in crate::config) const PICTURES: Table = Table {
    header: "[[sensor]] with driver = \"pictures\"",
    about: "A folder of pictures, played at its own pace: see [images.md](images.md).",
    keys: &[
        required(
            "path",
            "\"photographs\"",
            "The folder: its files `.jpg`, `.jpeg`, `.png` and `.bmp`, by name.",
        ),
        required("rate", "\"1 Hz\"", "Pictures a second, up to 1 kHz."),
        optional("repeat", "true", "`false`", "Whether it starts anew at its end."),
    ],
    later: &[],
};
