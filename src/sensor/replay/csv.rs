//! A recording as text: names in the first line, then a frame a line.

use std::time::Duration;

use super::{Recording, channel, check_channels};
use crate::sensor::Channel;

/// Where a file is wrong.
#[derive(Debug, PartialEq)]
pub(super) struct Bad {
    /// From 1.
    pub(super) line: usize,
    pub(super) why: String,
}

/// How far from one period the time between two frames may be before it is a gap.
const TIME_TOLERANCE: f64 = 0.5;

/// What a column holds.
enum Column {
    Channel,
    /// Time, and the seconds that one of its units is.
    Time(f64),
}

/// Reads a recording of one frame each `period`.
///
/// Parted by commas; cells may stand in double quotes. Empty lines and lines that begin with `#` are
/// passed over. An empty cell and `NaN` are a missing value. With a column `time` or `time_s` (in
/// seconds, or `time [ms]`), a step of less than half or more than one and a half periods is a gap.
pub(super) fn parse(bytes: &[u8], period: Duration) -> Result<Recording, Bad> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        Bad { line, why: "not UTF-8 text".into() }
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let Some((line, header)) = lines.next() else {
        let why = "empty; the first line names the channels, as in `accel_x [m/s²],accel_y [m/s²]`";
        return Err(Bad { line: 1, why: why.into() });
    };
    let (columns, channels) = read_header(header).map_err(|why| Bad { line, why })?;

    let mut recording = Recording { channels, values: Vec::new(), gaps: Vec::new() };
    let mut last_time = None;
    for (line, row) in lines {
        let time = read_row(row, &columns, &mut recording).map_err(|why| Bad { line, why })?;
        let steps =
            time.zip(last_time).map(|(now, last): (f64, f64)| (now - last) / period.as_secs_f64());
        let gap = steps.is_some_and(|steps| (steps - 1.0).abs() > TIME_TOLERANCE);
        recording.gaps.push(gap);
        last_time = time;
    }
    Ok(recording)
}

fn read_header(header: &str) -> Result<(Vec<Column>, Vec<Channel>), String> {
    let (mut columns, mut channels) = (Vec::new(), Vec::new());
    for cell in header.split(',') {
        let channel = channel(unquoted(cell))?;
        if !matches!(channel.name.as_ref(), "time" | "time_s") {
            columns.push(Column::Channel);
            channels.push(channel);
            continue;
        }
        if columns.iter().any(|column| matches!(column, Column::Time(_))) {
            return Err("there are two columns of time".into());
        }
        columns.push(Column::Time(match channel.unit.as_ref() {
            "" | "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            other => return Err(format!("time in `{other}`: it must be in s, ms or µs")),
        }));
    }
    check_channels(&channels)?;
    Ok((columns, channels))
}

/// Appends the values of one row, all or none, and gives its time in seconds.
fn read_row(row: &str, columns: &[Column], into: &mut Recording) -> Result<Option<f64>, String> {
    let found = row.split(',').count();
    if found != columns.len() {
        return Err(format!("{found} cells, the first line has {}", columns.len()));
    }
    let mut time = None;
    for (index, (cell, column)) in row.split(',').zip(columns).enumerate() {
        let cell = unquoted(cell);
        let number = match cell {
            "" => f64::NAN,
            _ => cell
                .parse::<f64>()
                .ok()
                .filter(|number| !number.is_infinite() && !(*number as f32).is_infinite())
                .ok_or_else(|| format!("column {}: `{cell}` is not a number", index + 1))?,
        };
        match column {
            Column::Channel => into.values.push(number as f32),
            Column::Time(_) if number.is_nan() => {
                return Err(format!("column {}: the time is missing", index + 1));
            }
            Column::Time(unit) => time = Some(number * unit),
        }
    }
    Ok(time)
}

fn unquoted(cell: &str) -> &str {
    let cell = cell.trim();
    cell.strip_prefix('"').and_then(|cell| cell.strip_suffix('"')).unwrap_or(cell).trim()
}
