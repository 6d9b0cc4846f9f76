//! `edgerun bundle`: from a model file to one file that a board can run.

mod draft;
mod golden;
mod init;
mod pack;
mod show;
mod verify;

use std::io::Write;
use std::path::PathBuf;

use super::Outcome;

/// Arguments of `edgerun bundle`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Makes a folder for a model, with a commented manifest out of the model's own signature
    Init(init::Args),
    /// Writes golden.npz into a bundle folder: sensor rows and what the model makes of them here
    Golden(golden::Args),
    /// Verifies a bundle folder and packs it into one file, NAME-VERSION.edge
    Pack(pack::Args),
    /// Shows what a bundle says of itself
    Show(BundleArgs),
    /// Loads a bundle's model, compares manifest and model, and runs the golden windows
    Verify(BundleArgs),
}

/// What those take that only look.
#[derive(clap::Args)]
struct BundleArgs {
    /// A bundle file (.edge) or folder
    bundle: PathBuf,

    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

/// Does it.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    match &args.command {
        Command::Init(args) => init::run(args, out),
        Command::Golden(args) => golden::run(args, out),
        Command::Pack(args) => pack::run(args, out),
        Command::Show(args) => show::run(args, out),
        Command::Verify(args) => verify::run(args, out),
    }
}
