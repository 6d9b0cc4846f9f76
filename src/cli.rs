//! The command line: arguments, messages, exit codes. One file for each command.

#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic where the reader went away

mod bench;
mod broker;
mod bundle;
mod check;
mod cmd;
#[cfg(feature = "demo")]
mod demo;
mod infer;
mod inspect;
mod logger;
mod model_file;
mod ota;
mod output;
mod outputs;
mod plain;
mod provision;
mod repo;
mod repository;
mod run;
mod self_test;
mod sensors;
// Packages hold the board's commands: without `demo`.
#[cfg(all(test, not(feature = "demo")))]
mod shipped;
mod watch;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{Parser, Subcommand};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::config::{self, Config, ConfigError, Machine};
use crate::daemon::explained;
use output::Output;

/// Quantized models on small ARM boards, from the sensor to the broker.
#[derive(Parser)]
#[command(
    name = "edgerun",
    version,
    propagate_version = true,
    after_help = "Exit codes: 0 good, 1 failed, 2 wrong usage, 78 wrong configuration.\n\
                  EDGERUN_LOG sets what is logged, as in `debug` or `info,rumqttc=debug`."
)]
struct Cli {
    /// What is logged to standard error; wins over EDGERUN_LOG
    #[arg(long, global = true, value_enum, value_name = "LEVEL")]
    log_level: Option<logger::Level>,

    #[command(subcommand)]
    command: Command,
}

/// A new command is one file, one variant here and one arm of [`Command::run`].
#[derive(Subcommand)]
enum Command {
    /// Runs the daemon: sensors, pipelines, network
    Run(run::Args),
    /// Shows the whole system on this machine: broker, recorded sensor, model; nothing else needed
    #[cfg(feature = "demo")]
    Demo(demo::Args),
    /// Validates the configuration, then looks whether everything it names is there and works
    Check(check::Args),
    /// Shows a model's tensors, operators and memory, and which engine runs it
    Inspect(inspect::Args),
    /// Runs one model on arrays, exactly as the daemon would
    Infer(infer::Args),
    /// Measures how long one model takes, and how much memory
    Bench(bench::Args),
    /// Makes, shows and checks bundles: one file with a model and all that a board needs to run it
    Bundle(bundle::Args),
    /// Publishes bundles as a signed repository that boards update from
    Repo(repo::Args),
    /// Shows and steers updates of models on this board
    Ota(ota::Args),
    /// Shows boards live: how they are, what they run and find
    Watch(watch::Args),
    /// Tells a board, or each board of a group, to do something, and shows its answer
    Cmd(cmd::Args),
    /// Shows what sensors give, and records it
    Sensors(sensors::Args),
    /// Shows the lines and PWM channels that pipelines drive, and makes them safe
    Outputs(outputs::Args),
    /// Makes a board ready: id, key, certificate request or certificate, configuration
    Provision(provision::Args),
    /// Tests a bundle in a confined process, for the daemon
    #[command(hide = true)]
    SelfTest(self_test::Args),
}

impl Command {
    /// What is logged where nobody says.
    fn usual_level(&self) -> logger::Level {
        match self {
            // Log lines would stand between the rows of its view, which shows the updates that fail.
            #[cfg(feature = "demo")]
            Self::Demo(_) => logger::Level::Error,
            // A view of its own; why there is no connection is shown in it.
            Self::Watch(_) => logger::Level::Error,
            Self::Cmd(_) => logger::Level::Warn,
            _ => logger::Level::Info,
        }
    }

    fn run(self, out: &mut dyn Write) -> anyhow::Result<Outcome> {
        match self {
            Self::Run(args) => run::run(&args, out),
            #[cfg(feature = "demo")]
            Self::Demo(args) => demo::run(&args, out),
            Self::Check(args) => check::run(&args, out),
            Self::Inspect(args) => inspect::run(&args, out),
            Self::Infer(args) => infer::run(&args, out),
            Self::Bench(args) => bench::run(&args, out),
            Self::Bundle(args) => bundle::run(&args, out),
            Self::Repo(args) => repo::run(&args, out),
            Self::Ota(args) => ota::run(&args, out),
            Self::Watch(args) => watch::run(&args, out),
            Self::Cmd(args) => cmd::run(&args, out),
            Self::Sensors(args) => sensors::run(&args, out),
            Self::Outputs(args) => outputs::run(&args, out),
            Self::Provision(args) => provision::run(&args, out),
            Self::SelfTest(args) => self_test::run(&args, out),
        }
    }
}

/// Raised by Ctrl-C and SIGTERM, for commands that then end in order.
fn stop_on_signal() -> std::io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // A second one ends the process at once, as people expect of a second Ctrl-C.
        flag::register_conditional_shutdown(signal, 130, stop.clone())?;
        flag::register(signal, stop.clone())?;
    }
    Ok(stop)
}

/// How a command ended that has said all there is to say. Whatever else goes wrong is an error:
/// [`main`] prints it, and a [`ConfigError`] counts as wrong configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// 0.
    Good,
    /// 1.
    Failed,
    /// 75, `EX_TEMPFAIL` of sysexits.h: the daemon was told to be started again, and systemd does that.
    Restart,
    /// 78, `EX_CONFIG` of sysexits.h: systemd is told not to start again.
    WrongConfiguration,
}

impl Outcome {
    fn code(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Failed => 1,
            Self::Restart => 75,
            Self::WrongConfiguration => 78,
        }
    }
}

/// Wrong usage, as clap's own.
const WRONG_USAGE: u8 = 2;

/// Runs the command that `args` name, the program's own name first; prints what is to be printed.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help or a usage message; a reader that went away wanted no more of it.
            error.print().ok();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(WRONG_USAGE));
        }
    };
    let variable = std::env::var_os("EDGERUN_LOG");
    if let Err(error) = logger::start(cli.log_level, variable.as_deref(), cli.command.usual_level())
    {
        logger::say(&format!("EDGERUN_LOG: {error}"));
        return ExitCode::from(WRONG_USAGE);
    }
    let mut out = Output::new();
    let result = cli.command.run(&mut out).and_then(|outcome| {
        out.flush()?;
        Ok(outcome)
    });
    if out.reader_is_gone() {
        return ExitCode::SUCCESS;
    }
    let outcome = result.unwrap_or_else(|error| {
        if let Some(wrong) = error.downcast_ref::<ConfigError>() {
            wrong.problems.iter().for_each(|problem| logger::say(&problem.to_string()));
            return Outcome::WrongConfiguration;
        }
        logger::say(&format!("edgerun: {}", explained(&error)));
        Outcome::Failed
    });
    ExitCode::from(outcome.code())
}

/// The configuration that a command works on.
#[derive(Clone, clap::Args)]
pub(crate) struct ConfigArgs {
    /// The configuration
    #[arg(long, short, global = true, value_name = "FILE", default_value = config::DEFAULT_FILE)]
    config: PathBuf,

    /// Where state is kept; wins over the configuration
    #[arg(long, global = true, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl ConfigArgs {
    /// Reads and checks the file.
    pub(crate) fn load(&self) -> Result<Config, ConfigError> {
        let mut config = Config::load(&self.config, &Machine::this())?;
        if let Some(state) = &self.state {
            config.state.clone_from(state);
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn commands_and_arguments_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }
}
