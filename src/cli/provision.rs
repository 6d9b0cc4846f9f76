//! `edgerun provision`: makes a board ready for its first start.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::{Outcome, logger};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ConfigError, DEFAULT_FILE, DeviceId, Machine, Problem};
use crate::health::Kernel;
use crate::net::tls;
use crate::provision::enrol::fingerprint;
use crate::provision::medium::{NAME, PLACES};
use crate::provision::{
    BOARDS, Board, Broker, Change, Done, EnrolError, Enrolment, Existing, Granted, KeyWish, Medium,
    MediumError, Place, Skeleton, Wish, install,
};
use crate::storage::OsDisk;

/// Arguments of `edgerun provision`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The board's name on the broker; made from host name and machine-id where it is left out
    #[arg(long, value_name = "ID")]
    id: Option<DeviceId>,

    /// The broker, as in mqtts://broker.example:8883
    #[arg(long, value_name = "URL")]
    broker: Option<String>,

    /// The board; found by its device tree where it is left out
    #[arg(long, value_name = "NAME", value_parser = board_named)]
    board: Option<&'static Board>,

    /// The folder of the configuration
    #[arg(long, value_name = "DIR", default_value = "/etc/edgerun")]
    etc: PathBuf,

    /// Replaces what is there, the key included
    #[arg(long, conflicts_with_all = ["from", "from_boot"])]
    force: bool,

    /// Says what would be done, and does nothing
    #[arg(long)]
    dry_run: bool,

    /// Asks this step-ca for a certificate
    #[arg(long, value_name = "URL", requires = "token_file")]
    enrol: Option<String>,

    /// The file with its one-time token; - reads standard input
    #[arg(long, value_name = "FILE", requires = "enrol")]
    token_file: Option<PathBuf>,

    /// SHA-256 of its root certificate, which is then believed instead of the system's
    #[arg(long, value_name = "HEX", requires = "enrol")]
    fingerprint: Option<String>,

    /// Does what a provisioning file says, or the edgerun-provision.toml in a folder
    #[arg(long, value_name = "FILE|DIR", conflicts_with_all = ["id", "broker", "enrol"])]
    from: Option<PathBuf>,

    /// Does what the file on the boot partition says, if there is one
    #[arg(long, conflicts_with_all = ["id", "broker", "enrol", "from"])]
    from_boot: bool,

    /// How long to go on asking for a certificate while network, clock or server are not ready, in seconds
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u64>,

    /// The board's root folder
    #[arg(long, hide = true, value_name = "DIR", default_value = "/")]
    root: PathBuf,

    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

/// A start that waits longer holds the board up for nothing.
const BOOT_WAIT: Duration = Duration::from_secs(900);
const PAUSE_MAX: Duration = Duration::from_secs(60);

fn board_named(name: &str) -> Result<&'static Board, String> {
    let names = || BOARDS.iter().map(|board| board.name).collect::<Vec<_>>().join(", ");
    Board::named(name).ok_or_else(|| format!("there are: {}", names()))
}

pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let board = args.board.unwrap_or_else(|| Board::detect(&Kernel::below(&args.root)));
    let etc = match args.etc.strip_prefix("/") {
        Ok(inside) if args.root != Path::new("/") => args.root.join(inside),
        _ => args.etc.clone(),
    };
    let am_root = rustix::process::geteuid().is_root();
    let disk = OsDisk;
    let place = Place::new(&disk, &args.root, &etc, am_root);
    let place = if args.dry_run { place.dry() } else { place };
    let wait = args.wait.map(Duration::from_secs);
    if args.from_boot || args.from.is_some() {
        let Some(file) = medium_file(args) else {
            writeln!(out, "no {NAME} on the boot partition")?;
            return Ok(Outcome::Good);
        };
        let usual = if args.from_boot { BOOT_WAIT } else { Duration::ZERO };
        let mut ask = |enrolment: &Enrolment, request: &str| {
            ask_until(enrolment, request, wait.unwrap_or(usual))
        };
        let mut network = |wish: &Wish| bring_up(args, &place, wish);
        let medium = Medium::new(&disk, &file);
        let machine = Machine::this();
        return match medium.provision(&place, &machine, board, &mut ask, &mut network) {
            Ok(done) => {
                let id =
                    || Config::load(&place.file(crate::provision::CONFIGURATION), &machine).ok();
                let id = id().map(|config| config.device.id.to_string());
                show(args, out, board, id.as_deref(), &done, &[])
            }
            Err(MediumError::Wrong(error)) => Err(error.into()),
            Err(error) => Err(error.into()),
        };
    }
    let (wish, next) = by_hand(args, board)?;
    let mut ask = |enrolment: &Enrolment, request: &str| {
        ask_until(enrolment, request, wait.unwrap_or_default())
    };
    let done = install(&place, &wish, &mut ask, &mut |_| {})?;
    show(args, out, board, Some(wish.id.as_str()), &done, &next)
}

/// What the options wish for, and what is left to do for a person.
fn by_hand(args: &Args, board: &'static Board) -> anyhow::Result<(Wish, Vec<String>)> {
    let machine = Machine::this();
    let id = args.id.clone().or_else(|| machine.device_id());
    let id =
        id.context("this machine has no /etc/machine-id to make an id from; give one with --id")?;
    let enrol = enrolment(args)?;
    let secure = args
        .broker
        .as_ref()
        .is_some_and(|url| url.starts_with("mqtts:") || url.starts_with("wss:"));
    let broker = args.broker.as_ref().map(|url| Broker {
        url: url.clone(),
        ca: secure && args.fingerprint.is_some(),
        certificate: secure,
        ..Broker::default()
    });
    let repository = None;
    let skeleton = Skeleton { id: id.clone(), groups: Vec::new(), board, broker, repository };
    let configuration = skeleton.text();
    if let Err(error) = Config::parse(&configuration, Path::new("--broker"), &machine) {
        let said = error.problems.into_iter().map(|problem| Problem { line: None, ..problem });
        return Err(ConfigError { problems: said.collect() }.into());
    }
    let mut next = Vec::new();
    if enrol.is_none() {
        let (request, certificate) = (args.etc.join("board.csr"), args.etc.join("board.pem"));
        next.push(format!(
            "have {} signed by the broker's authority, and put the certificate at {}",
            request.display(),
            certificate.display()
        ));
    }
    if args.broker.is_none() {
        next.push(format!("name the broker in {}", args.etc.join("edgerun.toml").display()));
    }
    next.push("put a model into the store: edgerun ota apply FILE.edge".into());
    let config = args.etc.join("edgerun.toml");
    next.push(match config == Path::new(DEFAULT_FILE) {
        true => "edgerun check".into(),
        false => format!("edgerun check --config {}", config.display()),
    });
    let (key, existing) = match args.force {
        true => (KeyWish::New, Existing::Replace),
        false => (KeyWish::Own, Existing::Keep),
    };
    let wish = Wish {
        id,
        configuration,
        key,
        enrol,
        ca: None,
        root: None,
        password: None,
        wifi: None,
        hostname: None,
        authorized_keys: Vec::new(),
        existing,
    };
    Ok((wish, next))
}

fn enrolment(args: &Args) -> anyhow::Result<Option<Enrolment>> {
    let (Some(url), Some(file)) = (&args.enrol, &args.token_file) else { return Ok(None) };
    let token = match file == Path::new("-") {
        true => std::io::read_to_string(std::io::stdin()).context("standard input")?,
        false => std::fs::read_to_string(file).with_context(|| file.display().to_string())?,
    };
    let print = args.fingerprint.as_deref().map(fingerprint).transpose();
    let print = match print {
        Ok(print) => print,
        Err(why) => bail!("--fingerprint {why}"),
    };
    match Enrolment::new(url, &token, print) {
        Ok(enrolment) => Ok(Some(enrolment)),
        Err(("token", why)) => bail!("{}: the token {why}", file.display()),
        Err((_, why)) => bail!("--enrol {why}"),
    }
}

/// Asks again and again, until there is an answer or `wait` is over.
fn ask_until(enrolment: &Enrolment, request: &str, wait: Duration) -> Result<Granted, EnrolError> {
    let clock = SystemClock;
    let deadline = clock.monotonic() + wait;
    let mut pause = Duration::from_secs(2);
    loop {
        let system = match enrolment.fingerprint {
            Some(_) => Ok(Vec::new()),
            None => tls::authorities("--fingerprint", None),
        };
        let system = system.map_err(|error| EnrolError::Never(error.to_string()))?;
        match enrolment.ask(request, &system) {
            Err(EnrolError::Later(why)) if clock.monotonic() + pause < deadline => {
                log::warn!("no certificate yet: {why}; again in {} s", pause.as_secs());
                clock.sleep_until(clock.monotonic() + pause);
                pause = (pause * 2).min(PAUSE_MAX);
            }
            answer => return answer,
        }
    }
}

fn medium_file(args: &Args) -> Option<PathBuf> {
    if let Some(from) = &args.from {
        return Some(if from.is_dir() { from.join(NAME) } else { from.clone() });
    }
    PLACES.iter().map(|place| args.root.join(place).join(NAME)).find(|file| file.is_file())
}

/// Tells the running network of a new wireless network; its programs read their files at their start only.
fn bring_up(args: &Args, place: &Place<'_>, wish: &Wish) {
    if wish.wifi.is_none() || args.dry_run || args.root != Path::new("/") {
        return;
    }
    let command: &[&str] = match place.has_network_manager() {
        true => &["nmcli", "connection", "reload"],
        false => &["systemctl", "--no-block", "enable", "--now", "wpa_supplicant@wlan0.service"],
    };
    match Command::new(command[0]).args(&command[1..]).output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => log::warn!(
            "{}: {}; Wi-Fi comes with the next start",
            command.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        ),
        Err(error) => log::warn!("{}: {error}; Wi-Fi comes with the next start", command[0]),
    }
}

fn show(
    args: &Args,
    out: &mut dyn Write,
    board: &Board,
    id: Option<&str>,
    done: &Done,
    next: &[String],
) -> anyhow::Result<Outcome> {
    let word = |change: &Change| match change {
        Change::Made => "made",
        Change::Replaced => "replaced",
        Change::Kept => "kept",
    };
    if args.json {
        let files: Vec<_> = done
            .iter()
            .map(|(path, change)| json!({"path": path.display().to_string(), "change": word(change)}))
            .collect();
        let report = json!({
            "ok": true, "dry_run": args.dry_run, "board": board.name, "device": id, "files": files, "next": next,
        });
        writeln!(out, "{report}")?;
        return Ok(Outcome::Good);
    }
    if args.dry_run {
        logger::say("nothing is written; this would be done:");
    }
    writeln!(out, "{} ({}), device {}", board.title, board.name, id.unwrap_or("?"))?;
    for (path, change) in done {
        writeln!(out, "{:<8}  {}", word(change), path.display())?;
    }
    for (number, step) in next.iter().enumerate() {
        writeln!(out, "next {}: {step}", number + 1)?;
    }
    Ok(Outcome::Good)
}
