//! Provisioning by `edgerun-provision.toml` on a boot partition, which a person can write in any PC.
//!
//! In order: the file and all that it names is checked whole; it is installed; the file is replaced by one without
//! secrets that says what is still to be deleted; that is deleted; the file becomes `edgerun-provision.done.toml`.
//! A power cut at any step is taken up at the next start.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::enrol::fingerprint;
use super::identity;
use super::place::read;
use super::{
    Ask, Board, Broker, Done, Enrolment, Existing, KeyWish, Place, ProvisionError, Skeleton, Wifi,
    Wish, install,
};
use crate::config::{Config, ConfigError, Machine, Problem, Provisioning};
use crate::storage::{Disk, folder_of, replace};

/// The file that is looked for.
pub const NAME: &str = "edgerun-provision.toml";
/// What it becomes.
pub const DONE: &str = "edgerun-provision.done.toml";
/// What happened, for whoever has the card in a PC.
pub const LOG: &str = "edgerun-provision.log";
/// Where boot partitions are mounted: Debian, Raspberry Pi OS, boards with UEFI.
pub const PLACES: [&str; 3] = ["boot", "boot/firmware", "boot/efi"];

/// Keys whose values are taken out.
const SECRETS: [(&str, &str); 3] =
    [("mqtt", "password"), ("wifi", "passphrase"), ("enrol", "token")];

/// A provisioning file and what lies beside it.
#[derive(Debug)]
pub struct Medium<'a> {
    disk: &'a dyn Disk,
    file: PathBuf,
}

/// Why a medium did not provision a board.
#[derive(Debug, thiserror::Error)]
pub enum MediumError {
    /// The file is wrong; nothing was changed.
    #[error(transparent)]
    Wrong(#[from] ConfigError),
    /// It could not be installed.
    #[error(transparent)]
    Install(#[from] ProvisionError),
    /// All is installed, but the medium still has secrets.
    #[error("all is installed, but secrets are still on the medium: cannot write {}: {source}", path.display())]
    Clean {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}

impl<'a> Medium<'a> {
    /// The medium with this file.
    pub fn new(disk: &'a dyn Disk, file: &Path) -> Self {
        Self { disk, file: file.to_owned() }
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.file.with_file_name(name)
    }

    /// Provisions the board at `place`, and leaves a log beside the file.
    ///
    /// # Errors
    /// See [`MediumError`].
    pub fn provision(
        &self,
        place: &Place<'_>,
        machine: &Machine,
        board: &'static Board,
        ask: Ask<'_>,
        network: &mut dyn FnMut(&Wish),
    ) -> Result<Done, MediumError> {
        let result = self.try_to(place, machine, board, ask, network);
        if !place.is_dry() {
            let said = match &result {
                Ok(done) => {
                    let paths: String = done
                        .iter()
                        .map(|(path, change)| format!("{change:?} {}\n", path.display()))
                        .collect();
                    format!("edgerun provision: done\n{paths}")
                }
                Err(error) => format!("edgerun provision: failed\n{error}\n"),
            };
            // A medium that cannot be written is said elsewhere; without it there is no reader either.
            replace(self.disk, &self.beside(LOG), said.as_bytes()).ok();
        }
        result
    }

    fn try_to(
        &self,
        place: &Place<'_>,
        machine: &Machine,
        board: &'static Board,
        ask: Ask<'_>,
        network: &mut dyn FnMut(&Wish),
    ) -> Result<Done, MediumError> {
        let text = self.text()?;
        let (found, problems) = Provisioning::parse(&text, &self.file)?;
        if let Some(delete) = &found.installed {
            self.finish(&text, delete)?;
            return Ok(Done::new());
        }
        let wish = self.wish(&found, problems, machine, board)?;
        let done = install(place, &wish, ask, network)?;
        if !place.is_dry() {
            let delete: Vec<String> = found.client_key.iter().cloned().collect();
            let text = without_secrets(&text, &delete);
            self.write(&self.file, &text)?;
            self.finish(&text, &delete)?;
        }
        Ok(done)
    }

    fn text(&self) -> Result<String, ConfigError> {
        let wrong = |message: String| {
            let problem =
                Problem { file: self.file.clone(), line: None, key: String::new(), message };
            ConfigError { problems: vec![problem] }
        };
        match read(self.disk, &self.file) {
            Ok(Some(bytes)) => {
                // Editors on Windows begin with a byte-order mark.
                let text = String::from_utf8(bytes)
                    .map_err(|_| wrong("is not UTF-8 text; save it as UTF-8".into()))?;
                Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
            }
            Ok(None) => Err(wrong("there is no such file".into())),
            Err(error) => Err(wrong(format!("cannot be read: {error}"))),
        }
    }

    /// Everything that is wrong, or a wish that can be fulfilled.
    fn wish(
        &self,
        found: &Provisioning,
        mut problems: Vec<Problem>,
        machine: &Machine,
        board: &'static Board,
    ) -> Result<Wish, ConfigError> {
        let machine = Machine {
            host_name: found.hostname.clone().or_else(|| machine.host_name.clone()),
            ..machine.clone()
        };
        let mut wrong = |key: &str, message: String| problems.push(found.problem(key, message));
        let mut file =
            |key: &str, name: &Option<String>, good: &dyn Fn(&[u8]) -> Result<(), String>| {
                let name = name.as_ref()?;
                let bytes = match read(self.disk, &self.beside(name)) {
                    Ok(Some(bytes)) => bytes,
                    Ok(None) => {
                        wrong(key, format!("there is no {name} beside this file"));
                        return None;
                    }
                    Err(error) => {
                        wrong(key, format!("{name} cannot be read: {error}"));
                        return None;
                    }
                };
                match good(&bytes) {
                    Ok(()) => Some(bytes),
                    Err(why) => {
                        wrong(key, format!("{name} {why}"));
                        None
                    }
                }
            };
        let pem = |bytes: &[u8]| identity::certificates(bytes).map(drop);
        let ca = file("mqtt.ca", &found.ca, &pem);
        let chain = file("mqtt.client_cert", &found.client_cert, &pem);
        let is_text = |bytes: &[u8]| {
            std::str::from_utf8(bytes).map(drop).map_err(|_| "is no text".to_owned())
        };
        let private = file("mqtt.client_key", &found.client_key, &is_text);
        let root = file("ota.root", &found.root, &|bytes| {
            let json: Result<serde_json::Value, _> = serde_json::from_slice(bytes);
            json.map(drop).map_err(|error| format!("is no JSON: {error}"))
        });
        let brought = file("config", &found.config, &is_text);

        let mut key = KeyWish::None;
        match (&found.client_cert, &found.client_key) {
            (Some(_), None) => wrong("mqtt.client_cert", "needs client_key".into()),
            (None, Some(_)) => wrong("mqtt.client_key", "needs client_cert".into()),
            _ => {}
        }
        if let (Some(chain), Some(private)) = (chain, private) {
            match identity::pair(&chain, &private) {
                Ok(()) => {
                    let private = String::from_utf8_lossy(&private).into_owned();
                    key = KeyWish::Given { key: crate::data::Secret::new(private), chain };
                }
                Err(why) => wrong("mqtt.client_cert", why),
            }
        }
        let mut enrol = None;
        if let (Some(url), Some(token)) = (&found.enrol_url, &found.token) {
            let print = found.fingerprint.as_deref().map(fingerprint).transpose();
            let print = print.unwrap_or_else(|why| {
                wrong("enrol.fingerprint", why);
                None
            });
            match Enrolment::new(url, token.expose(), print) {
                Ok(enrolment) => enrol = Some(enrolment),
                Err((at, why)) => wrong(&format!("enrol.{at}"), why),
            }
            if found.client_cert.is_some() {
                wrong(
                    "enrol",
                    "brings a certificate, and so does mqtt.client_cert: remove one".into(),
                );
            } else {
                key = KeyWish::Own;
            }
        }
        let mut wifi = None;
        if let Some(ssid) = &found.ssid {
            let passphrase = found.passphrase.as_ref().map(|secret| secret.expose());
            match Wifi::new(ssid, passphrase, found.country.as_deref()) {
                Ok(network) => wifi = Some(network),
                Err((at, why)) => wrong(&format!("wifi.{at}"), why),
            }
        }
        if found.root.is_some() && found.repository.is_none() && found.config.is_none() {
            wrong("ota.root", "needs repository".into());
        }
        if let (Some(_), None) = (&found.repository, &found.root) {
            wrong("ota.repository", "needs root".into());
        }
        if found.url.is_none() && found.config.is_none() {
            for (at, there) in [
                ("mqtt.ca", found.ca.is_some()),
                ("mqtt.client_cert", found.client_cert.is_some()),
                ("mqtt.username", found.username.is_some()),
                ("mqtt.password", found.password.is_some()),
                ("enrol", found.enrol_url.is_some()),
            ] {
                if there {
                    wrong(at, "is for a broker, and there is none; add url to [mqtt]".into());
                }
            }
        }
        if found.config.is_some() {
            for (at, there) in [
                ("device.id", found.id.is_some()),
                ("device.groups", !found.groups.is_empty()),
                ("mqtt.url", found.url.is_some()),
                ("mqtt.username", found.username.is_some()),
                ("ota.repository", found.repository.is_some()),
            ] {
                if there {
                    wrong(at, "belongs into the file that config names; remove it here".into());
                }
            }
        }

        let id = found.id.clone().or_else(|| machine.device_id());
        let configuration = match (&found.config, brought, id) {
            (Some(name), Some(bytes), _) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                match Config::parse(&text, &self.beside(name), &machine) {
                    Ok(config) => Some((config.device.id.clone(), text)),
                    Err(error) => {
                        problems.extend(error.problems);
                        None
                    }
                }
            }
            (Some(_), None, _) => None,
            (None, _, None) => {
                problems.push(found.problem(
                    "device.id",
                    "is missing, and this machine has no /etc/machine-id to make one from",
                ));
                None
            }
            (None, _, Some(id)) => {
                let broker = found.url.as_ref().map(|url| Broker {
                    url: url.clone(),
                    ca: found.ca.is_some() || found.fingerprint.is_some(),
                    certificate: found.client_cert.is_some() || found.enrol_url.is_some(),
                    username: found.username.clone(),
                    password: found.password.is_some(),
                });
                let repository = found.repository.clone();
                let groups = found.groups.clone();
                let text = Skeleton { id: id.clone(), groups, board, broker, repository }.text();
                match Config::parse(&text, &self.file, &machine) {
                    Ok(_) => Some((id, text)),
                    Err(error) => {
                        // The same keys, at their lines in this file.
                        let here = |p: Problem| found.problem(&p.key, p.message);
                        problems.extend(error.problems.into_iter().map(here));
                        None
                    }
                }
            }
        };
        match configuration {
            Some((id, configuration)) if problems.is_empty() => Ok(Wish {
                id,
                configuration,
                key,
                enrol,
                ca,
                root,
                password: found.password.clone(),
                wifi,
                hostname: found.hostname.clone(),
                authorized_keys: found.authorized_keys.clone(),
                existing: Existing::Replace,
            }),
            _ => {
                problems.sort_by_key(|problem| (problem.file != self.file, problem.line));
                problems.dedup();
                Err(ConfigError { problems })
            }
        }
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), MediumError> {
        let cannot = |source| MediumError::Clean { path: path.to_owned(), source };
        replace(self.disk, path, text.as_bytes()).map_err(cannot)
    }

    /// Deletes what held secrets; then the file says only that it is done.
    fn finish(&self, text: &str, delete: &[String]) -> Result<(), MediumError> {
        for name in delete {
            let path = self.beside(name);
            let wiped = wipe(self.disk, &path);
            wiped.map_err(|source| MediumError::Clean { path, source })?;
        }
        self.write(&self.beside(DONE), text)?;
        let folder = folder_of(&self.file);
        let gone = self.disk.remove(&self.file).and_then(|()| self.disk.sync_folder(folder));
        gone.map_err(|source| MediumError::Clean { path: self.file.clone(), source })
    }
}

/// Overwrites a file, then removes it. Flash may keep the old bytes somewhere all the same.
fn wipe(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let mut file = match disk.update(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    let length = usize::try_from(file.length()?).unwrap_or(usize::MAX).min(1 << 20);
    file.write_at(0, &vec![0; length])?;
    file.flush()?;
    file.sync()?;
    drop(file);
    disk.remove(path)?;
    disk.sync_folder(folder_of(path))
}

/// The file's values, without its comments, which may hold anything, and with words in place of secrets.
fn without_secrets(text: &str, delete: &[String]) -> String {
    let mut table: toml::Table = text.parse().unwrap_or_default();
    for (section, key) in SECRETS {
        if let Some(value) = table.get_mut(section).and_then(|section| section.get_mut(key)) {
            *value = toml::Value::from("removed");
        }
    }
    let delete = delete.iter().map(String::as_str).collect::<Vec<_>>();
    let installed = toml::Table::from_iter([("delete".to_owned(), toml::Value::from(delete))]);
    table.insert("installed".to_owned(), installed.into());
    format!("# Done by `edgerun provision`.\n{table}")
}
