//! Pictures, a file each.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::Recording;
use crate::data::Frames;
use crate::pictures;
use crate::storage::{Disk as _, OsDisk};

/// `000000.png` and on, lossless: what the driver `pictures` plays again in this order.
pub(super) struct Folder {
    path: PathBuf,
    next: usize,
}

impl Folder {
    /// A folder that is not there, or one without anything in it; with `force` one whose recording goes.
    pub(super) fn begin(path: &Path, force: bool) -> anyhow::Result<Self> {
        let name = path.display();
        fs::create_dir_all(path).with_context(|| format!("cannot make the folder {name}"))?;
        for entry in fs::read_dir(path).with_context(|| format!("cannot read {name}"))? {
            let there = entry.with_context(|| format!("cannot read {name}"))?.path();
            if !force {
                bail!("{name} has something in it already; use another name or --force");
            }
            if is_ours(&there) {
                fs::remove_file(&there)
                    .with_context(|| format!("cannot remove {}", there.display()))?;
            }
        }
        Ok(Self { path: path.to_owned(), next: 0 })
    }
}

/// Whether a recording has given the file its name.
fn is_ours(path: &Path) -> bool {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let is = |extension| path.extension().is_some_and(|found| found == extension);
    stem.len() >= 6 && stem.bytes().all(|byte| byte.is_ascii_digit()) && (is("png") || is("part"))
}

impl Recording for Folder {
    fn write(&mut self, frames: &Frames) -> anyhow::Result<()> {
        for picture in (0..frames.len()).filter_map(|index| frames.picture(index)) {
            let file = self.path.join(format!("{:06}.png", self.next));
            let part = file.with_extension("part");
            // A picture is whole or not there; what the disk has not got yet when the power goes is lost.
            fs::write(&part, pictures::encode(picture)?)
                .and_then(|()| OsDisk.rename(&part, &file))
                .with_context(|| format!("cannot write {}", file.display()))?;
            self.next += 1;
        }
        Ok(())
    }

    fn end(self: Box<Self>) -> anyhow::Result<()> {
        OsDisk.sync_folder(&self.path)?;
        Ok(())
    }
}
