//! `edgerun repo serve`: the files of a repository over a broker, for boards that reach nothing else.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, bail};

use super::Outcome;
use crate::cli::{repository, stop_on_signal};
use crate::config::{BrokerUrl, topic_prefix};
use crate::data::Secret;
use crate::net::wire::{Chunk, FetchRequest, NoPart};
use crate::net::{self, MqttSettings, TlsSettings};
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

    /// What stands before `edgerun/` in topics, as in the boards' [mqtt] prefix
    #[arg(long, value_name = "PREFIX", value_parser = topic_prefix)]
    prefix: Option<String>,

    /// User name at the broker
    #[arg(long, value_name = "NAME")]
    username: Option<String>,

    /// File with the password for it
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,

    /// PEM file of the authorities to trust, instead of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// PEM file of the certificate to log in with
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,

    /// PEM file of its private key
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let folder = repository::find(&args.dir)?;
    let settings = settings(args)?;
    let stop = stop_on_signal()?;
    let address = settings.address();
    writeln!(out, "serves {} to boards on the broker at {address}", folder.display())?;
    writeln!(out, "  boards say repository = \"mqtt:\"; Ctrl-C ends it")?;
    out.flush()?;
    let source = FileSource::new(folder);
    let mut answer = |topic: &str, payload: &[u8]| answer(&source, topic, payload);
    let asked = match &args.prefix {
        Some(prefix) => format!("{prefix}/{ASKED}"),
        None => ASKED.to_owned(),
    };
    net::respond(settings, &asked, &mut answer, &stop)?;
    Ok(Outcome::Good)
}

fn settings(args: &Args) -> anyhow::Result<MqttSettings> {
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        Ok::<_, anyhow::Error>(Secret::new(text.trim_end_matches(['\r', '\n'])))
    };
    let password = args.password_file.as_ref().map(read).transpose()?;
    let client_key = args.client_key.as_ref().map(read).transpose()?;
    let url = &args.mqtt;
    if !url.tls() && (args.ca.is_some() || args.client_cert.is_some()) {
        bail!("certificates are for mqtts://, the broker's address begins with mqtt://");
    }
    if !url.tls() && password.is_some() && !url.is_loopback() {
        log::warn!("the password crosses the network in clear text; use mqtts://");
    }
    let tls = url.tls().then(|| TlsSettings {
        ca: args.ca.clone(),
        client_cert: args.client_cert.clone(),
        client_key,
    });
    // Two of them may serve one repository: each board takes whichever answer comes first.
    let session = net::new_session()?;
    let client_id = format!("edgerun-repo-{}", &session.as_str()[..8]);
    Ok(MqttSettings {
        tls,
        username: args.username.clone(),
        password,
        ..MqttSettings::new(url.host(), url.port(), client_id)
    })
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
