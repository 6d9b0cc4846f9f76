//! A recording as an array, `[frames, channels]`.

use std::path::{Path, PathBuf};

use anyhow::bail;

use super::Recording;
use crate::arrays;
use crate::data::{Frames, Tensor, TensorData};

/// What the driver `replay` reads at most, and what fits into memory.
const BYTES_MAX: usize = 256 << 20;

/// Rows of all channels; an array's length stands before its values, so they are kept until the end.
pub(super) struct Npy {
    values: Vec<f32>,
    channels: usize,
    path: PathBuf,
}

impl Npy {
    pub(super) fn begin(path: &Path, channels: usize) -> Self {
        Self { values: Vec::new(), channels, path: path.to_owned() }
    }
}

impl Recording for Npy {
    fn write(&mut self, frames: &Frames) -> anyhow::Result<()> {
        if 4 * (self.values.len() + frames.values().len()) > BYTES_MAX {
            bail!("{}: more than 256 MiB; record into .csv", self.path.display());
        }
        self.values.extend_from_slice(frames.values());
        Ok(())
    }

    fn end(self: Box<Self>) -> anyhow::Result<()> {
        let shape = vec![self.values.len() / self.channels.max(1), self.channels];
        let rows = Tensor::new(shape, TensorData::F32(self.values))?;
        arrays::write(&self.path, &[("x", &rows)])?;
        Ok(())
    }
}
