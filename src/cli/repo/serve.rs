//! `edgerun repo serve`: the files of a repository over a broker, for boards that reach nothing else.

use std::io::Write;
use std::path::PathBuf;

use super::Outcome;
use crate::cli::broker::Access;
use crate::cli::{repository, stop_on_signal};
use crate::config::BrokerUrl;
use crate::net;
use crate::net::wire::{Chunk, FetchRequest, NoPart};
use crate::trust::FileSource;

/// Topics on which boards ask: each writes its own.
const ASKED: &str = "edgerun/+/fetch/request";

#[derive(clap::Args)]
pub(super) struct Args {
    /// The publisher's folder, or a copy of its `repository`: no keys are needed
    dir: PathBuf,

    /// The broker, as in mqtts://broker.example:8883
    #[arg(long, value_name = "URL")]
    mqtt: BrokerUrl,

    #[command(flatten)]
    access: Access,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let folder = repository::find(&args.dir)?;
    // Two of them may serve one repository: each board takes whichever answer comes first.
    let settings = args.access.settings(&args.mqtt, "repo")?;
    let stop = stop_on_signal()?;
    let address = settings.address();
    writeln!(out, "serves {} to boards on the broker at {address}", folder.display())?;
    writeln!(out, "  boards say repository = \"mqtt:\"; Ctrl-C ends it")?;
    out.flush()?;
    let source = FileSource::new(folder);
    let mut answer = |topic: &str, payload: &[u8]| answer(&source, topic, payload);
    let asked = match &settings.prefix {
        Some(prefix) => format!("{prefix}/{ASKED}"),
        None => ASKED.to_owned(),
    };
    net::respond(settings, &asked, &mut answer, &stop)?;
    Ok(Outcome::Good)
}

/// A topic and a payload; `None` where there is nobody to answer.
fn answer(source: &FileSource, topic: &str, payload: &[u8]) -> Option<(String, Vec<u8>)> {
    let board = topic.strip_suffix("/fetch/request")?;
    let Some(request) = FetchRequest::parse(payload) else {
        log::warn!("{topic}: {} bytes are no request for a file", payload.len());
        return None;
    };
    let part = repository::part(source, &request);
    match &part {
        Ok(part) if part.offset == 0 => {
            log::info!("{board}: {}, {} bytes", request.path, part.total);
        }
        Ok(_) => {}
        // A board asks for the next root until there is none.
        Err(NoPart::NotFound) => log::debug!("{board}: {} is not there", request.path),
        Err(why) => log::warn!("{board}: {:?}: {why:?}", request.path),
    }
    let chunk = Chunk { id: request.id, part };
    Some((format!("{board}/fetch/chunk"), chunk.encode()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::wire::Part;

    fn asked(source: &FileSource, path: &str, offset: u64, length: u32) -> Result<Part, NoPart> {
        let request = FetchRequest { id: 9, path: path.to_owned(), offset, length };
        let payload = net::wire::json(&request);
        let (topic, chunk) = answer(source, "edgerun/board-1/fetch/request", &payload).unwrap();
        assert_eq!(topic, "edgerun/board-1/fetch/chunk");
        let chunk = Chunk::decode(&chunk).unwrap();
        assert_eq!(chunk.id, 9);
        chunk.part
    }

    #[test]
    fn a_board_gets_parts_of_the_repositorys_files_and_of_no_others() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("metadata")).unwrap();
        std::fs::create_dir_all(dir.path().join("keys")).unwrap();
        std::fs::write(dir.path().join("metadata/1.root.json"), vec![7; 40_000]).unwrap();
        std::fs::write(dir.path().join("keys/root.json"), "secret").unwrap();
        let source = FileSource::new(dir.path());
        let path = "metadata/1.root.json";
        let first = asked(&source, path, 0, u32::MAX).unwrap();
        assert_eq!((first.total, first.bytes.len()), (40_000, 16 << 10));
        let last = asked(&source, path, 32_000, 32 << 10).unwrap();
        assert_eq!((last.total, last.bytes.len()), (40_000, 8_000));
        let end = asked(&source, path, 40_000, 1).unwrap();
        assert_eq!((end.total, end.bytes.len()), (40_000, 0));
        assert_eq!(asked(&source, "metadata/2.root.json", 0, 1), Err(NoPart::NotFound));
        for odd in ["keys/root.json", "metadata/../keys/root.json", "/etc/passwd", ""] {
            assert_eq!(asked(&source, odd, 0, 1), Err(NoPart::BadRequest), "{odd}");
        }
        assert_eq!(asked(&source, path, 0, 0), Err(NoPart::BadRequest));
        assert_eq!(answer(&source, "edgerun/board-1/fetch/request", b"{}"), None);
    }
}
