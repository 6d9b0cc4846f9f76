//! A recording as text.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::Recording;
use crate::data::Frames;
use crate::sensor::SensorSpec;
use crate::storage::{Disk as _, DiskFile, OsDisk, folder_of};

/// It has its name only when it is whole.
pub(super) struct Csv {
    file: BufWriter<Box<dyn DiskFile>>,
    path: PathBuf,
    part: PathBuf,
    period: Duration,
    /// The newest frame's time on the sensor's clock and in the file.
    last: Option<(Duration, Duration)>,
}

impl Csv {
    pub(super) fn begin(path: &Path, spec: &SensorSpec) -> anyhow::Result<Self> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file =
            OsDisk.create(&part).with_context(|| format!("cannot write {}", part.display()))?;
        let mut file = BufWriter::new(file);
        let columns = spec.channels.iter().map(|channel| match channel.unit.is_empty() {
            true => channel.name.to_string(),
            false => format!("{} [{}]", channel.name, channel.unit),
        });
        let columns: Vec<String> = columns.collect();
        writeln!(file, "time_s,{}", columns.join(","))?;
        Ok(Self { file, path: path.to_owned(), part, period: spec.period(), last: None })
    }
}

impl Recording for Csv {
    fn write(&mut self, frames: &Frames) -> anyhow::Result<()> {
        for (values, stamp) in frames.iter() {
            let time = match self.last {
                None => Duration::ZERO,
                Some((at, time)) => {
                    let step = stamp.at.saturating_sub(at);
                    // Who reads it finds a gap by a step of more than one and a half periods.
                    time + if stamp.gap_before { step.max(self.period * 2) } else { step }
                }
            };
            self.last = Some((stamp.at, time));
            write!(self.file, "{:.6}", time.as_secs_f64())?;
            for value in values {
                match value.is_finite() {
                    true => write!(self.file, ",{value}")?,
                    false => write!(self.file, ",")?,
                }
            }
            writeln!(self.file)?;
        }
        Ok(())
    }

    fn end(mut self: Box<Self>) -> anyhow::Result<()> {
        self.file.flush()?;
        self.file.get_mut().sync()?;
        OsDisk.rename(&self.part, &self.path)?;
        OsDisk.sync_folder(folder_of(&self.path))?;
        Ok(())
    }
}
