//! Passphrases: from a file descriptor, the environment or the terminal, which shows nothing.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::data::Secret;
use crate::publish::Ask;

const VARIABLE: &str = "EDGERUN_PASSPHRASE";
const BYTES_MAX: u64 = 1 << 10;

/// Where a passphrase comes from.
#[derive(clap::Args)]
pub(super) struct Source {
    /// Reads the passphrase from this file descriptor instead of EDGERUN_PASSPHRASE or the terminal
    #[arg(long, value_name = "FD")]
    passphrase_fd: Option<u32>,
}

impl Source {
    /// Asks for what opens a key, when a key is sealed.
    pub(super) fn asking(&self) -> Box<Ask> {
        let fd = self.passphrase_fd;
        Box::new(move |path: &Path| {
            if let Some(given) = given(fd)? {
                return Ok(given);
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            prompt(&format!("Passphrase for {name}: "))
        })
    }

    /// Asks for a new one, on the terminal twice.
    pub(super) fn new_one(&self, what: &str) -> Result<Secret, String> {
        let first = match given(self.passphrase_fd)? {
            Some(given) => given,
            None => {
                let first = prompt(&format!("New passphrase for the keys of {what}: "))?;
                if prompt("Once more: ")? != first {
                    return Err("the two passphrases differ".to_owned());
                }
                first
            }
        };
        if first.expose().is_empty() {
            Err("the passphrase is empty".to_owned())
        } else {
            Ok(first)
        }
    }
}

fn given(fd: Option<u32>) -> Result<Option<Secret>, String> {
    if let Some(fd) = fd {
        let failed = |error: std::io::Error| format!("file descriptor {fd}: {error}");
        let file = File::open(format!("/dev/fd/{fd}")).map_err(failed)?;
        let mut text = String::new();
        file.take(BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        return Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n']))));
    }
    match std::env::var(VARIABLE) {
        Ok(text) => Ok(Some(Secret::new(text))),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(error) => Err(format!("{VARIABLE}: {error}")),
    }
}

/// Gives the terminal its echo back, however the reading ends.
struct Silence<'a> {
    terminal: &'a File,
    before: Termios,
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        tcsetattr(self.terminal, OptionalActions::Flush, &self.before).ok();
    }
}

fn prompt(text: &str) -> Result<Secret, String> {
    let nobody =
        |_| format!("there is no terminal to ask on; set {VARIABLE}, or use --passphrase-fd");
    let mut terminal =
        OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(nobody)?;
    let failed = |error: std::io::Error| format!("the terminal: {error}");
    terminal.write_all(text.as_bytes()).map_err(failed)?;
    let before = tcgetattr(&terminal).map_err(|error| failed(error.into()))?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    let silence = Silence { terminal: &terminal, before };
    tcsetattr(&terminal, OptionalActions::Flush, &silent).map_err(|error| failed(error.into()))?;
    let mut line = String::new();
    BufReader::new(&terminal).take(BYTES_MAX).read_line(&mut line).map_err(failed)?;
    drop(silence);
    terminal.write_all(b"\n").map_err(failed)?;
    Ok(Secret::new(line.trim_end_matches(['\r', '\n'])))
}
