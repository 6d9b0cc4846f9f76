//! The bundle file `NAME-VERSION.edge`: a plain ustar with `manifest.toml`, the model, and where there are
//! such `golden.npz` and `metrics.json`, in this order and in one canonical form.
//!
//! What is read must be, byte for byte, what [`write()`] writes of the same members: no owner, no time, no
//! link, nothing that two readers could understand differently. So a bundle has one digest, packed or not.
//! Nothing is unpacked to disk.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

use super::{
    Bundle, Digest, GOLDEN_BYTES_MAX, MANIFEST_BYTES_MAX, METRICS_BYTES_MAX, MODEL_BYTES_MAX,
};
use super::{Manifest, ManifestError};

const BLOCK: usize = 512;
/// What closes an archive: two blocks of zeros.
const END: usize = 2 * BLOCK;

pub(super) const MANIFEST: &str = "manifest.toml";
pub(super) const GOLDEN: &str = "golden.npz";
pub(super) const METRICS: &str = "metrics.json";

/// Why a bundle file is refused; the message says where in it.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say all
pub enum ArchiveError {
    #[error("cannot be read: {0}")]
    Read(io::Error),
    #[error("not a bundle as `edgerun bundle pack` writes it: {0}")]
    Refused(String),
    #[error("its manifest.toml: {0}")]
    Manifest(#[from] ManifestError),
}

fn refused<T>(why: impl Into<String>) -> Result<T, ArchiveError> {
    Err(ArchiveError::Refused(why.into()))
}

/// Writes `bundle` in the canonical form.
///
/// # Errors
/// What `to` gives.
pub fn write(bundle: &Bundle, to: &mut dyn Write) -> io::Result<()> {
    for (name, bytes) in bundle.members() {
        to.write_all(&header(name, bytes.len() as u64))?;
        to.write_all(bytes)?;
        to.write_all(&[0; BLOCK][..padding(bytes.len())])?;
    }
    to.write_all(&[0; END])
}

/// SHA-256 over the canonical form.
pub(super) fn digest(bundle: &Bundle) -> Digest {
    let mut hash = Sha256::new();
    write(bundle, &mut hash).expect("a hash takes everything");
    Digest::new(&hash.finalize().into())
}

/// Reads a whole bundle file. Memory is taken as bytes arrive, never for what a header merely claims.
///
/// # Errors
/// When it is not in the canonical form, a member is over its limit, or the manifest is wrong.
pub fn read(from: &mut dyn Read) -> Result<Bundle, ArchiveError> {
    let mut reader = Hashing { from, hash: Sha256::new(), at: 0 };
    let text = match reader.member(&[MANIFEST], MANIFEST_BYTES_MAX)? {
        Some((_, bytes)) => String::from_utf8(bytes).map_err(|_| ManifestError::NotUtf8)?,
        None => return refused("it is empty"),
    };
    let manifest = Manifest::parse(&text)?;
    let Some((_, model)) = reader.member(&[&manifest.model], MODEL_BYTES_MAX)? else {
        return refused(format!("{:?} is missing", manifest.model));
    };
    let (mut golden, mut metrics) = (None, None);
    let mut next = reader.member(&[GOLDEN, METRICS], GOLDEN_BYTES_MAX)?;
    if let Some((GOLDEN, bytes)) = next {
        golden = Some(bytes);
        next = reader.member(&[METRICS], METRICS_BYTES_MAX)?;
    }
    if let Some((_, bytes)) = next {
        if bytes.len() as u64 > METRICS_BYTES_MAX {
            return refused(too_large(METRICS, bytes.len() as u64, METRICS_BYTES_MAX));
        }
        metrics = Some(bytes);
        reader.member(&[], 0)?;
    }
    let digest = Digest::new(&reader.end()?);
    Ok(Bundle { manifest, text, model, golden, metrics, digest })
}

/// Whether `start`, the first bytes of a file, are those of a bundle file.
pub fn looks_like(start: &[u8]) -> bool {
    start.starts_with(b"manifest.toml\0") && start.get(257..262) == Some(b"ustar")
}

struct Hashing<'a> {
    from: &'a mut dyn Read,
    hash: Sha256,
    at: u64,
}

impl Hashing<'_> {
    fn fill(&mut self, block: &mut [u8], what: &str) -> Result<(), ArchiveError> {
        match self.from.read_exact(block) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                return refused(format!("it ends in the middle of {what}"));
            }
            Err(e) => return Err(ArchiveError::Read(e)),
        }
        self.hash.update(&*block);
        self.at += block.len() as u64;
        Ok(())
    }

    /// The next member, which must be one of `names`; `None` at the end's first block.
    fn member<'n>(
        &mut self,
        names: &[&'n str],
        limit: u64,
    ) -> Result<Option<(&'n str, Vec<u8>)>, ArchiveError> {
        let at = self.at;
        let mut block = [0; BLOCK];
        self.fill(&mut block, "a header")?;
        if block == [0; BLOCK] {
            return Ok(None);
        }
        let (name, size) = parse(&block, at).map_err(ArchiveError::Refused)?;
        let Some(&known) = names.iter().find(|&&known| known == name) else {
            let wanted = match names {
                [] => "nothing".to_owned(),
                names => names.join(" or "),
            };
            return refused(format!("at byte {at} there is {name:?}, where {wanted} may come"));
        };
        if size > limit {
            return refused(too_large(known, size, limit));
        }
        if header(known, size) != block {
            return refused(format!("the header of {name} holds more than name and size"));
        }
        let mut bytes = Vec::new();
        self.from.take(size).read_to_end(&mut bytes).map_err(ArchiveError::Read)?;
        if bytes.len() as u64 != size {
            return refused(format!("it ends in the middle of {name}"));
        }
        self.hash.update(&bytes);
        self.at += size;
        let pad = &mut block[..padding(bytes.len())];
        self.fill(pad, known)?;
        if pad.iter().any(|&byte| byte != 0) {
            return refused(format!("something is hidden behind {name}"));
        }
        Ok(Some((known, bytes)))
    }

    /// The rest of the end, after its first block, and nothing more.
    fn end(mut self) -> Result<[u8; 32], ArchiveError> {
        let mut block = [0; BLOCK];
        self.fill(&mut block, "its end")?;
        if block != [0; BLOCK] {
            return refused(format!("its end at byte {} is not of zeros", self.at - 512));
        }
        match self.from.read(&mut block[..1]) {
            Ok(0) => Ok(self.hash.finalize().into()),
            Ok(_) => refused(format!("something follows its end at byte {}", self.at)),
            Err(e) => Err(ArchiveError::Read(e)),
        }
    }
}

fn too_large(name: &str, size: u64, limit: u64) -> String {
    format!("{name} has {size} bytes, at most {limit} are read")
}

/// Name and size that a header states, if it is one of a plain file.
fn parse(block: &[u8; BLOCK], at: u64) -> Result<(String, u64), String> {
    if &block[257..265] != b"ustar\x0000" {
        return Err(format!("at byte {at} there is no ustar header"));
    }
    let kind = match block[156] {
        b'0' => None,
        b'1' | b'2' => Some("a link"),
        b'3' | b'4' | b'6' => Some("a device or pipe"),
        b'5' => Some("a folder"),
        b'x' | b'g' | b'L' | b'K' => Some("an extended header"),
        b'S' => Some("a sparse file"),
        _ => Some("no plain file"),
    };
    let field = |range: std::ops::Range<usize>| {
        let bytes = &block[range];
        let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    };
    let name = field(0..100);
    if let Some(kind) = kind {
        return Err(format!("{name:?} at byte {at} is {kind}"));
    }
    let size = field(124..136);
    match u64::from_str_radix(&size, 8) {
        Ok(bytes) if size.len() == 11 => Ok((name, bytes)),
        _ => Err(format!("{name:?} at byte {at} has no proper size")),
    }
}

/// The header of a plain file: mode 0644, owner 0, time 0. POSIX.1-1988 (ustar).
fn header(name: &str, size: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, b"0000644");
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{size:011o}").as_bytes());
    put(136, b"00000000000");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// Zeros behind `len` bytes.
fn padding(len: usize) -> usize {
    len.next_multiple_of(BLOCK) - len
}

#[cfg(test)]
mod tests;
