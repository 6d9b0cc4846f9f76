//! `edgerun run`: the daemon.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::{ConfigArgs, Outcome, logger};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Credentials};
use crate::daemon::{Daemon, Host, Surroundings, Wanted, explained};
use crate::health::{Run, Runs, boot_id};
use crate::storage::DirStorage;
use crate::systemd::{self, NotifyError};

/// Arguments of `edgerun run`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

/// How often signals, health and the watchdog are looked after.
const TICK: Duration = Duration::from_millis(100);
/// How often `systemctl status` gets another line: `scripts/deploy` waits for a good one.
const STATUS: Duration = Duration::from_secs(2);

/// What made the daemon's loop end.
enum Asked {
    Stop,
    Reload,
    Restart,
}

/// Runs until SIGTERM or SIGINT; SIGHUP applies a valid new configuration and keeps the old one
/// otherwise.
pub(crate) fn run(args: &Args, _out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let config = args.config.load()?;
    let runs = Runs::begin(Arc::new(DirStorage::new(&config.state)), &boot_id());
    let outcome = serve(args, config, runs.run(), &mut signals);
    runs.end(matches!(outcome, Ok(Outcome::Good | Outcome::Restart)));
    outcome
}

fn serve(
    args: &Args,
    mut config: Config,
    run: Run,
    signals: &mut Signals,
) -> anyhow::Result<Outcome> {
    let host = host(args);
    let Some(mut daemon) = start(&config, run, &host)? else {
        return Ok(Outcome::WrongConfiguration);
    };
    let restarts = loop {
        let status = daemon.status_line();
        log::info!("ready: {status}");
        tell(systemd::ready(&status));
        match supervise(&mut daemon, signals) {
            Asked::Stop => break false,
            Asked::Restart => break true,
            Asked::Reload => tell(systemd::reloading()),
        }
        let new = match args.config.load() {
            Ok(new) => new,
            Err(wrong) => {
                log::error!("the new configuration is not valid; the old one keeps running");
                wrong.problems.iter().for_each(|problem| log::error!("{problem}"));
                continue;
            }
        };
        // Two openings of one bus cannot be, so the old parts go before the new ones come.
        daemon.stop();
        daemon = match start(&new, run, &host) {
            Ok(Some(started)) => {
                config = new;
                started
            }
            refused => {
                if let Err(error) = refused {
                    log::error!("the new configuration cannot run: {}", explained(&error));
                }
                log::error!("going on with the old configuration");
                let Some(daemon) = start(&config, run, &host)? else {
                    return Ok(Outcome::WrongConfiguration);
                };
                daemon
            }
        };
    };
    log::info!("stopping");
    tell(systemd::stopping("stopping"));
    daemon.stop();
    Ok(if restarts { Outcome::Restart } else { Outcome::Good })
}

/// What commands reach of this process.
fn host(args: &Args) -> Host {
    let config = args.config.clone();
    let check = move || match config.load() {
        Ok(_) => Ok(()),
        Err(wrong) => {
            let said: Vec<String> = wrong.problems.iter().map(ToString::to_string).collect();
            Err(said.join("; "))
        }
    };
    Host {
        check: Arc::new(check),
        log_level: Arc::new(logger::set),
        tap: Arc::new(logger::set_tap),
    }
}

/// Starts the daemon; `None` after saying which credentials are missing.
fn start(config: &Config, run: Run, host: &Host) -> anyhow::Result<Option<Daemon>> {
    for warning in &config.warnings {
        log::warn!("{warning}");
    }
    let secrets = match config.secrets(&Credentials::this()) {
        Ok(secrets) => secrets,
        Err(wrong) => {
            wrong.iter().for_each(|(key, error)| logger::say(&format!("{key}: {error}")));
            return Ok(None);
        }
    };
    let around = Surroundings { run, host: host.clone(), ..Surroundings::board(&config.state) };
    Daemon::start(config, &secrets, around).map(Some)
}

/// Looks after the daemon until a signal comes. The watchdog is fed only while every pipeline makes
/// progress, so that systemd restarts one that hangs.
fn supervise(daemon: &mut Daemon, signals: &mut Signals) -> Asked {
    let watchdog = systemd::watchdog_interval();
    let (mut fed, mut told): (Option<Duration>, Option<Duration>) = (None, None);
    loop {
        if let Some(signal) = signals.pending().next() {
            return if signal == SIGHUP { Asked::Reload } else { Asked::Stop };
        }
        match daemon.wanted() {
            Some(Wanted::Reload) => return Asked::Reload,
            Some(Wanted::Restart) => return Asked::Restart,
            None => {}
        }
        daemon.tick();
        let now = SystemClock.monotonic();
        let due =
            |then: Option<Duration>, every| then.is_none_or(|at| now.saturating_sub(at) >= every);
        if let Some(interval) = watchdog
            && due(fed, interval)
            && daemon.makes_progress()
        {
            tell(systemd::alive());
            fed = Some(now);
        }
        if due(told, STATUS) {
            tell(systemd::status(&daemon.status_line()));
            told = Some(now);
        }
        SystemClock.sleep_until(now + TICK);
    }
}

fn tell(told: Result<(), NotifyError>) {
    if let Err(error) = told {
        log::warn!("{error}");
    }
}
