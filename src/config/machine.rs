//! What the defaults take from the machine: its name, its id, the state folder that systemd made.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::name::{DeviceId, LENGTH_MAX, tidy};

/// What the machine says about itself. Read once, so that checking a configuration reads nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// As `hostname` prints it.
    pub host_name: Option<String>,
    /// 32 hex digits, machine-id(5).
    pub machine_id: Option<String>,
    /// `$STATE_DIRECTORY`, systemd.exec(5).
    pub state_directory: Option<PathBuf>,
}

impl Machine {
    /// This machine.
    pub fn this() -> Self {
        let first = |files: &[&str]| {
            files
                .iter()
                .filter_map(|file| std::fs::read_to_string(file).ok())
                .map(|text| text.trim().to_owned())
                .find(|text| !text.is_empty())
        };
        // Several folders are joined by colons, systemd.exec(5); the unit asks for one.
        let state_directory = std::env::var_os("STATE_DIRECTORY")
            .and_then(|dirs| std::env::split_paths(&dirs).next())
            .filter(|dir| dir.is_absolute());
        Self {
            host_name: first(&["/proc/sys/kernel/hostname", "/etc/hostname"]),
            machine_id: first(&["/etc/machine-id", "/var/lib/dbus/machine-id"]),
            state_directory,
        }
    }

    /// Host name, `-`, the first 6 hex digits of SHA-256 of the machine-id; `None` without a
    /// machine-id, since boards made from one image share their host name.
    ///
    /// The machine-id itself must not leave the machine: machine-id(5).
    pub fn device_id(&self) -> Option<DeviceId> {
        let machine_id = self.machine_id.as_deref().filter(|id| is_machine_id(id))?;
        let hash = Sha256::digest(machine_id.as_bytes());
        let suffix = format!("-{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2]);
        let host = self.host_name.as_deref().unwrap_or_default();
        let host = host.split('.').next().unwrap_or_default();
        let host = match tidy(host, LENGTH_MAX - suffix.len()) {
            empty if empty.is_empty() => "board".to_owned(),
            host => host,
        };
        (host + &suffix).parse().ok()
    }
}

/// Not `uninitialized`, which images carry until their first start.
fn is_machine_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn device_id(host_name: &str, machine_id: &str) -> Option<String> {
        let machine = Machine {
            host_name: Some(host_name.into()),
            machine_id: Some(machine_id.into()),
            state_directory: None,
        };
        machine.device_id().map(|id| id.to_string())
    }

    #[test]
    fn device_id_is_host_name_and_hashed_machine_id() {
        // printf 0123456789abcdef0123456789abcdef | sha256sum
        assert_eq!(device_id("bench", ID).unwrap(), "bench-3eb1bd");
        assert_eq!(device_id("bench.example.org", ID).unwrap(), "bench-3eb1bd");
        assert_eq!(device_id("käse bank", ID).unwrap(), "k-se-bank-3eb1bd");
        assert_eq!(device_id("", ID).unwrap(), "board-3eb1bd");
        assert_eq!(device_id(&"h".repeat(70), ID).unwrap().len(), 64);
    }

    #[test]
    fn without_a_machine_id_there_is_no_default() {
        for id in ["", "uninitialized", "0123", &"g".repeat(32)] {
            assert_eq!(device_id("bench", id), None, "{id}");
        }
    }
}
