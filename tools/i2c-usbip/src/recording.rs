//! What the chip feels: the example recording, again and again.

use crate::sensor::sim::{Playback, Segment};

/// Ten seconds each of standing, running, walking and badminton at 10 Hz.
pub(crate) const EXAMPLE: &str = include_str!("../../../examples/recording.csv");

/// A playback of six columns, acceleration in m/s² and angular rate in rad/s, below a line of names.
pub(crate) fn playback(csv: &str) -> Result<Playback, String> {
    let rows = csv.lines().enumerate().filter(|(_, line)| !line.starts_with('#')).skip(1);
    let frames = rows.map(|(index, line)| {
        let values: Vec<f32> = line
            .split(',')
            .map(str::trim)
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map_err(|e| format!("line {}: {e}", index + 1))?;
        <[f32; 6]>::try_from(values)
            .map_err(|v| format!("line {}: {} values, not 6", index + 1, v.len()))
    });
    let frames = frames.collect::<Result<Vec<_>, String>>()?;
    Ok(Playback { segments: vec![Segment { frames }], repeat: true, ..Playback::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_read_whole() {
        let playback = playback(EXAMPLE).unwrap();
        assert_eq!(playback.segments[0].frames.len(), 400);
    }

    #[test]
    fn a_wrong_line_is_named() {
        let why = playback("names\n1,2,3,4,5,6\n1,2,3\n").unwrap_err();
        assert_eq!(why, "line 3: 3 values, not 6");
        assert!(playback("names\n1,2,3,4,5,x\n").unwrap_err().starts_with("line 2: invalid float"));
    }
}
