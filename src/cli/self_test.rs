//! `edgerun self-test`: the child in which the daemon tests a bundle that has just arrived. Not for people:
//! `edgerun bundle verify` says the same in words.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Outcome;
use crate::engine::{self, Choice};
use crate::model::{ArchiveError, archive};
use crate::selftest::child::{self, Passed, Said};
use crate::selftest::{self, SelfTestError};
use crate::update::failure::{Code, Failure};

/// Arguments of `edgerun self-test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The bundle file
    file: PathBuf,

    /// Bytes of memory that it may take
    #[arg(long)]
    memory: u64,

    /// Seconds of processor time that it may take
    #[arg(long)]
    processor: u64,
}

pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let file = File::open(&args.file)?;
    let mut memory = child::Memory::open()?;
    let confined = child::confine(args.memory, Duration::from_secs(args.processor));
    let tested = match confined {
        Ok(()) => test(file, args.memory),
        // This board's fault, not the bundle's: it is not held against it.
        Err(error) => {
            Err(Failure::new(Code::Internal, format!("the self-test cannot be confined: {error}")))
        }
    };
    let said = match tested {
        Ok(passed) => {
            let peak_bytes = memory.grown()?;
            let (windows, slowest) = (passed.windows, passed.slowest);
            Said::Passed(Passed { windows, slowest, peak_bytes })
        }
        Err(failure) => Said::Failed(failure),
    };
    serde_json::to_writer(&mut *out, &said)?;
    Ok(if matches!(said, Said::Passed(_)) { Outcome::Good } else { Outcome::Failed })
}

fn test(file: File, memory: u64) -> Result<selftest::Passed, Failure> {
    let unfit = |error: String| Failure::new(Code::Incompatible, error);
    let bundle =
        archive::read(&mut std::io::BufReader::new(file)).map_err(|error| match error {
            ArchiveError::Read(error) if error.kind() == std::io::ErrorKind::OutOfMemory => {
                let mib = memory >> 20;
                let message =
                    format!("the self-test ran out of its {mib} MiB of memory ([ota] memory)");
                Failure::new(Code::NoMemory, message)
            }
            error => unfit(error.to_string()),
        })?;
    let shapes = bundle.manifest.input_shapes();
    let name = PathBuf::from(&bundle.manifest.model);
    let model = engine::load_named(&name, &bundle.model, Choice::Auto, &shapes)
        .map_err(|error| unfit(error.to_string()))?;
    bundle.check(model.signature()).map_err(|error| unfit(error.to_string()))?;
    let tested = selftest::run(&bundle.manifest, bundle.golden.as_deref(), Arc::from(model));
    tested.map_err(|error| {
        let code = match error {
            SelfTestError::Session(_) => Code::NoMemory,
            _ => Code::SelfTestFailed,
        };
        Failure::new(code, error)
    })
}
