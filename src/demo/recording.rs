//! The public BasicMotions recording, test split: 40 recordings of 10 s, compiled in so that the demo
//! runs from any folder, offline. Origin: `models/gestures/data/README.md`.

/// Channels of a frame: acceleration x, y, z in m/s² and angular rate x, y, z in rad/s.
pub(super) const CHANNELS: usize = 6;

/// One recording: an activity, at 10 Hz.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Recording {
    /// What the person did, in lower case. The sensor never sees it.
    pub(super) label: String,
    /// The samples.
    pub(super) frames: Vec<[f32; CHANNELS]>,
}

/// All recordings in the archive's order.
///
/// # Errors
/// Names the line of the file that is not as the archive's format has it.
pub(super) fn recordings() -> anyhow::Result<Vec<Recording>> {
    const TEST: &str = include_str!("../../models/gestures/data/BasicMotions_TEST.ts");
    parse(TEST)
}

/// The archive's `.ts` text: `@data`, then a recording a line, its dimensions parted by `:` with the
/// label last, a dimension's values parted by `,`.
fn parse(text: &str) -> anyhow::Result<Vec<Recording>> {
    let data = text.lines().enumerate().skip_while(|(_, line)| line.trim() != "@data").skip(1);
    data.filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| {
            let line_number = index + 1;
            recording(line.trim()).ok_or_else(|| {
                anyhow::anyhow!(
                    "line {line_number}: not {CHANNELS} series of one length and a label"
                )
            })
        })
        .collect()
}

fn recording(line: &str) -> Option<Recording> {
    let (series, label) = line.rsplit_once(':')?;
    let series = series
        .split(':')
        .map(|values| {
            values.split(',').map(|v| v.trim().parse().ok()).collect::<Option<Vec<f32>>>()
        })
        .collect::<Option<Vec<_>>>()?;
    let series: [Vec<f32>; CHANNELS] = series.try_into().ok()?;
    let length = series[0].len();
    if series.iter().any(|values| values.len() != length) {
        return None;
    }
    let frames = (0..length).map(|k| std::array::from_fn(|channel| series[channel][k])).collect();
    Some(Recording { label: label.to_lowercase(), frames })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_has_ten_recordings_of_each_activity_ten_seconds_each() {
        let all = recordings().expect("the archive's own file");
        assert_eq!(all.len(), 40);
        for label in ["standing", "running", "walking", "badminton"] {
            assert_eq!(all.iter().filter(|r| r.label == label).count(), 10, "{label}");
        }
        assert!(all.iter().all(|r| r.frames.len() == 100));
        assert_eq!(all[0].frames[2][0], 10.208449);
    }

    #[test]
    fn a_broken_line_is_named() {
        let error = parse("@data\n\n1,2:3,4:walking\n").expect_err("two series are not six");
        assert!(error.to_string().starts_with("line 3:"), "{error}");
    }
}
