//! A repository in a folder: a USB stick, a mounted share, a publisher on the same machine.

use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::{Body, FetchError, RepositoryPath, Source};

/// The folder that holds `metadata` and `targets`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSource {
    folder: PathBuf,
}

impl FileSource {
    /// The repository in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The repository at a `file://` URL. Blanks and other letters may stand there as they are or as
    /// `%20`: people write both.
    ///
    /// # Errors
    /// Says what is wrong with the URL.
    pub fn from_url(url: &str) -> Result<Self, String> {
        let path = url.strip_prefix("file://").ok_or_else(|| format!("{url} is no file:// URL"))?;
        let path = path.strip_prefix("localhost").unwrap_or(path);
        if !path.starts_with('/') {
            return Err(format!("{url} names no folder of this machine: write file:///FOLDER"));
        }
        let decoded = percent_decoded(path)
            .ok_or_else(|| format!("{url}: write a percent sign in a name as %25"))?;
        Ok(Self::new(decoded))
    }

    fn open_file(&self, path: &RepositoryPath) -> Result<File, FetchError> {
        let part = path.as_str().split('/').next().unwrap_or_default();
        // Without this a stick that is not plugged in would look like a repository without news.
        let known = self.folder.join(part);
        if !known.is_dir() {
            let why = format!("{} is not there: is the medium in place?", known.display());
            return Err(FetchError::Failed(why));
        }
        let failed = |path: &Path, error: &io::Error| match error.kind() {
            io::ErrorKind::NotFound => FetchError::NotFound,
            _ => FetchError::Failed(format!("{}: {error}", path.display())),
        };
        let file = self.folder.join(path.as_str());
        let folder = fs::canonicalize(&self.folder).map_err(|e| failed(&self.folder, &e))?;
        let real = fs::canonicalize(&file).map_err(|error| failed(&file, &error))?;
        if !real.starts_with(&folder) {
            let why = format!("{} leads out of the repository's folder", file.display());
            return Err(FetchError::Refused(why));
        }
        // Looked at before it is opened: opening a pipe waits for a writer.
        if !fs::metadata(&real).map_err(|error| failed(&real, &error))?.is_file() {
            return Err(FetchError::Refused(format!("{} is no file", real.display())));
        }
        File::open(&real).map_err(|error| failed(&real, &error))
    }
}

impl Source for FileSource {
    fn open(&self, path: &RepositoryPath, offset: u64) -> Result<Body, FetchError> {
        let mut file = self.open_file(path)?;
        let failed = |error: io::Error| FetchError::Failed(format!("{}: {error}", path.as_str()));
        let length = file.metadata().map_err(failed)?.len();
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        Ok(Body { offset, length: Some(length.saturating_sub(offset)), reader: Box::new(file) })
    }
}

fn percent_decoded(text: &str) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|byte| *byte != 0)?);
        rest = &rest[2..];
    }
    Some(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    fn read(source: &FileSource, offset: u64) -> Result<String, FetchError> {
        let path = RepositoryPath::new("metadata/timestamp.json").expect("good");
        let mut text = String::new();
        source.open(&path, offset)?.reader.read_to_string(&mut text).expect("readable");
        Ok(text)
    }

    #[test]
    fn folders_with_blanks_and_umlauts_are_found_however_they_are_written() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("USB Stick ü");
        fs::create_dir_all(folder.join("metadata")).expect("made");
        fs::write(folder.join("metadata/timestamp.json"), "hello").expect("written");
        let base = dir.path().display();
        for name in ["USB Stick ü", "USB%20Stick%20%C3%BC"] {
            for host in ["", "localhost"] {
                let source = FileSource::from_url(&format!("file://{host}{base}/{name}"));
                let source = source.expect("a good URL");
                assert_eq!(read(&source, 0).as_deref(), Ok("hello"));
                assert_eq!(read(&source, 3).as_deref(), Ok("lo"));
            }
        }
    }

    #[test]
    fn urls_that_mean_nothing_here_are_refused() {
        for url in [
            "file://server/share",
            "file://",
            "http://x/",
            "file:///a%2",
            "file:///a%00",
            "file:///50% off",
        ] {
            assert!(FileSource::from_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_link_may_not_lead_out_and_a_missing_medium_is_no_missing_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let source = FileSource::new(dir.path().join("repository"));
        assert!(matches!(read(&source, 0), Err(FetchError::Failed(why)) if why.contains("medium")));
        let metadata = dir.path().join("repository/metadata");
        fs::create_dir_all(&metadata).expect("made");
        assert_eq!(read(&source, 0), Err(FetchError::NotFound));
        fs::write(dir.path().join("secret"), "secret").expect("written");
        symlink(dir.path().join("secret"), metadata.join("timestamp.json")).expect("linked");
        assert!(
            matches!(read(&source, 0), Err(FetchError::Refused(why)) if why.contains("leads out"))
        );
        fs::remove_file(metadata.join("timestamp.json")).expect("removed");
        fs::create_dir(metadata.join("timestamp.json")).expect("made");
        assert!(
            matches!(read(&source, 0), Err(FetchError::Refused(why)) if why.contains("no file"))
        );
    }
}
