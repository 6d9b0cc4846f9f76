//! What a new board needs before the daemon can start: an id, a key, a certificate or the request for one, a
//! configuration; by hand, or by a file on the boot partition.
//!
//! Everything is written durably, and the configuration last: wherever the power goes, a daemon that finds a
//! configuration finds all that it names, and doing it again ends in the same state.

pub mod board;
pub mod enrol;
pub mod identity;
pub mod medium;
mod place;
pub mod skeleton;
pub mod wifi;

use std::io;
use std::path::PathBuf;

pub use board::{BOARDS, Board};
pub use enrol::{EnrolError, Enrolment, Granted};
pub use medium::{Medium, MediumError};
pub use place::{Change, Place};
pub use skeleton::{Broker, Skeleton};
pub use wifi::Wifi;

use crate::config::DeviceId;
use crate::data::Secret;
use identity::Identity;

/// The configuration, in `/etc/edgerun`.
pub const CONFIGURATION: &str = "edgerun.toml";
/// The authority of the broker's certificate.
pub const CA: &str = "ca.pem";
/// The board's certificate.
pub const CERTIFICATE: &str = "board.pem";
/// The request for it.
pub const REQUEST: &str = "board.csr";
/// The root of trust of signed updates.
pub const ROOT: &str = "root.json";
/// The folder of secrets.
pub const CREDENTIALS: &str = "credentials";
/// The board's private key, a credential.
pub const KEY: &str = "mqtt-key";
/// The password on the broker, a credential.
pub const PASSWORD: &str = "mqtt-password";

/// All that a board is to get.
#[derive(Debug)]
pub struct Wish {
    /// Its name on the broker.
    pub id: DeviceId,
    /// A configuration that holds.
    pub configuration: String,
    /// How it comes to its key.
    pub key: KeyWish,
    /// Where its certificate is asked for.
    pub enrol: Option<Enrolment>,
    /// PEM.
    pub ca: Option<Vec<u8>>,
    /// JSON.
    pub root: Option<Vec<u8>>,
    /// The password on the broker.
    pub password: Option<Secret>,
    /// A wireless network.
    pub wifi: Option<Wifi>,
    /// The machine's name.
    pub hostname: Option<String>,
    /// Lines for root's `authorized_keys`.
    pub authorized_keys: Vec<String>,
    /// What becomes of files that are there.
    pub existing: Existing,
}

/// Where a key comes from.
#[derive(Debug)]
pub enum KeyWish {
    /// There is none.
    None,
    /// Made here, unless it is there.
    Own,
    /// Made here in any case.
    New,
    /// Brought, with its certificate; PEM.
    Given {
        /// The private key.
        key: Secret,
        /// The certificate and those above it.
        chain: Vec<u8>,
    },
}

/// What becomes of files that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// They stay.
    Keep,
    /// They are replaced; the configuration is kept beside the new one.
    Replace,
}

/// What was done, in order.
pub type Done = Vec<(PathBuf, Change)>;

/// How a certificate is asked for: by [`Enrolment::ask`], or by a test.
pub type Ask<'a> = &'a mut dyn FnMut(&Enrolment, &str) -> Result<Granted, EnrolError>;

/// Why a board could not be provisioned. What was done stays, and doing it again goes on.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// The system says no.
    #[error("cannot {doing} {}: {source}", path.display())]
    Disk {
        /// `read` or `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The key that is there cannot be used.
    #[error("{} {why}; remove it, or use --force", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A file is there that belongs to another key or certificate.
    #[error("{} is there already{why}; remove it, or use --force", path.display())]
    There {
        /// The file.
        path: PathBuf,
        /// What else there is to say.
        why: &'static str,
    },
    /// The library refuses.
    #[error("{0}")]
    Crypto(String),
    /// No certificate.
    #[error("no certificate: {0}")]
    Enrol(#[from] EnrolError),
}

/// Does what `wish` says. `network` is called once what the network needs is written.
///
/// # Errors
/// See [`ProvisionError`].
pub fn install(
    place: &Place<'_>,
    wish: &Wish,
    ask: Ask<'_>,
    network: &mut dyn FnMut(&Wish),
) -> Result<Done, ProvisionError> {
    let mut done = Done::new();
    place.system(wish, &mut done)?;
    network(wish);
    match &wish.key {
        KeyWish::None => {}
        KeyWish::Given { key, chain } => {
            place.secret(KEY, key, wish.existing, &mut done)?;
            place.public(CERTIFICATE, chain, wish.existing, &mut done)?;
        }
        KeyWish::Own | KeyWish::New => {
            let key = own_key(place, wish, &mut done)?;
            if let Some(enrolment) = &wish.enrol {
                enrolled(place, wish, &key, enrolment, ask, &mut done)?;
            }
        }
    }
    if let Some(ca) = &wish.ca {
        place.public(CA, ca, wish.existing, &mut done)?;
    }
    if let Some(root) = &wish.root {
        place.public(ROOT, root, wish.existing, &mut done)?;
    }
    if let Some(password) = &wish.password {
        place.secret(PASSWORD, password, wish.existing, &mut done)?;
    }
    place.configuration(&wish.configuration, wish.existing, &mut done)?;
    Ok(done)
}

/// The board's key, kept or made, and the request for its certificate.
fn own_key(place: &Place<'_>, wish: &Wish, done: &mut Done) -> Result<Identity, ProvisionError> {
    let path = place.credential(KEY);
    let there = match &wish.key {
        KeyWish::New => None,
        _ => place.read(&path)?,
    };
    let key = match &there {
        Some(bytes) => {
            let wrong = |why| ProvisionError::Key { path: path.clone(), why };
            let text = std::str::from_utf8(bytes).map_err(|_| wrong("is no text".into()))?;
            let key = Identity::from_pem(text).map_err(wrong)?;
            done.push((path, Change::Kept));
            key
        }
        None => {
            let key = Identity::generate().map_err(ProvisionError::Crypto)?;
            place.secret(KEY, &key.pem(), Existing::Replace, done)?;
            key
        }
    };
    let path = place.file(REQUEST);
    match place.read(&path)? {
        Some(request) if key.asked(&request) => done.push((path, Change::Kept)),
        Some(_) if wish.existing == Existing::Keep => {
            return Err(ProvisionError::There { path, why: ", for another key" });
        }
        _ => {
            let request = key.request(&wish.id).map_err(ProvisionError::Crypto)?;
            place.public(REQUEST, request.as_bytes(), Existing::Replace, done)?;
        }
    }
    Ok(key)
}

/// The certificate for the token; a token whose certificate is there is not used again.
fn enrolled(
    place: &Place<'_>,
    wish: &Wish,
    key: &Identity,
    enrolment: &Enrolment,
    ask: Ask<'_>,
    done: &mut Done,
) -> Result<(), ProvisionError> {
    let mark = enrol::mark(&enrolment.token);
    let path = place.file(CERTIFICATE);
    match place.read(&path)? {
        Some(chain) if chain.starts_with(mark.as_bytes()) && key.owns(&chain).is_ok() => {
            done.push((path, Change::Kept));
            return Ok(());
        }
        Some(_) if wish.existing == Existing::Keep => {
            return Err(ProvisionError::There { path, why: ", so the token was not used" });
        }
        _ if place.is_dry() => {
            done.push((path, Change::Made));
            return Ok(());
        }
        _ => {}
    }
    let request = key.request(&wish.id).map_err(ProvisionError::Crypto)?;
    let granted = ask(enrolment, &request)?;
    if let Err(why) = key.owns(granted.chain.as_bytes()) {
        let said = format!("{}: the certificate that came back {why}", enrolment.url);
        return Err(EnrolError::Never(said).into());
    }
    // Before the certificate, after which it would not be asked for again.
    if let (None, Some(root)) = (&wish.ca, &granted.root) {
        place.public(CA, root.as_bytes(), wish.existing, done)?;
    }
    // PEM readers pass over what stands before the first BEGIN: RFC 7468, section 2.
    let chain = format!("{mark}\n{}", granted.chain);
    place.public(CERTIFICATE, chain.as_bytes(), Existing::Replace, done)
}

#[cfg(test)]
mod tests;
