//! The kernel's word on the machine, in files below a root: `/`, or a folder that a test has filled.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// No file that is read here is longer, but `/proc/stat` on machines with many processors; its first line is wanted.
const BYTES_MAX: u64 = 8192;
/// A machine with more zones, policies or cards than this is no board, and its health stays cheap.
const FOLDERS_MAX: usize = 64;

/// Reads `proc` and `sys` below a root. What is missing, unreadable or malformed is `None`.
#[derive(Clone, Debug)]
pub struct Kernel {
    root: PathBuf,
}

impl Kernel {
    /// This machine.
    pub fn this() -> Self {
        Self::below("/")
    }

    /// The tree below `root`.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The start of a file, without the white space and zero bytes around it; `None` when nothing is left.
    pub(crate) fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        let mut bytes = Vec::with_capacity(256);
        let file = File::open(self.root.join(path)).ok()?;
        file.take(BYTES_MAX).read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// The number that a file holds.
    pub(super) fn number<T: FromStr>(&self, path: impl AsRef<Path>) -> Option<T> {
        self.text(path)?.parse().ok()
    }

    /// The folders in `folder` whose names begin with `prefix`, by number and name; paths below the root.
    pub(super) fn folders(&self, folder: &str, prefix: &str) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.root.join(folder)) else { return Vec::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<_> = names.filter(|name| name.starts_with(prefix)).collect();
        names.sort_unstable_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
        names.truncate(FOLDERS_MAX);
        names.into_iter().map(|name| Path::new(folder).join(name)).collect()
    }
}

#[cfg(test)]
pub(crate) mod fake {
    use super::*;

    /// A root that holds `files` (path, contents).
    pub(crate) fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Kernel) {
        let root = tempfile::tempdir().expect("a temporary folder");
        for (path, contents) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("below the root")).expect("made");
            fs::write(path, contents).expect("written");
        }
        let kernel = Kernel::below(root.path());
        (root, kernel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_empty_or_no_number_is_none() {
        let (_root, kernel) =
            fake::tree(&[("a", "12\n"), ("b", " \n"), ("c", "12 x"), ("d/e", "")]);
        assert_eq!(kernel.number::<u8>("a"), Some(12));
        for path in ["b", "c", "d", "d/e", "f"] {
            assert_eq!(kernel.number::<u8>(path), None, "{path}");
        }
        assert_eq!(kernel.text("b"), None);
    }

    #[test]
    fn folders_come_in_the_order_of_their_numbers() {
        let (_root, kernel) =
            fake::tree(&[("sys/z10/t", ""), ("sys/z2/t", ""), ("sys/z1/t", ""), ("sys/y/t", "")]);
        let names: Vec<_> = kernel.folders("sys", "z").into_iter().collect();
        assert_eq!(names, ["sys/z1", "sys/z2", "sys/z10"].map(PathBuf::from));
        assert!(kernel.folders("none", "").is_empty());
    }

    #[test]
    fn a_file_without_an_end_is_read_as_far_as_is_needed() {
        let endless = "x".repeat(1 << 20);
        let (_root, kernel) = fake::tree(&[("a", &endless)]);
        assert_eq!(kernel.text("a").map(|text| text.len() as u64), Some(BYTES_MAX));
    }
}
