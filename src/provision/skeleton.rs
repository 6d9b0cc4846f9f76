//! The configuration that a board begins with.

use std::fmt::Write as _;

use super::board::Board;
use crate::config::{DeviceId, GroupName};

/// What stands in it.
#[derive(Clone, Debug)]
pub struct Skeleton {
    /// The board's name on the broker.
    pub id: DeviceId,
    /// Its fleet groups.
    pub groups: Vec<GroupName>,
    /// What it is plugged into.
    pub board: &'static Board,
    /// The broker, if it is known.
    pub broker: Option<Broker>,
    /// Signed updates: the repository; its root lies in `root.json`.
    pub repository: Option<String>,
}

/// The broker. Files and secrets lie under the names that [`super::CA`] and the others have.
#[derive(Clone, Debug, Default)]
pub struct Broker {
    /// `mqtts://…`, `mqtt://…`, …
    pub url: String,
    /// Whether there is an authority of its own.
    pub ca: bool,
    /// Whether the board shows a certificate.
    pub certificate: bool,
    /// User name.
    pub username: Option<String>,
    /// Whether there is a password.
    pub password: bool,
}

impl Skeleton {
    /// The file. What the values are is for [`crate::config::Config::parse`] to judge.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        self.write(&mut text).ok();
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let board = self.board;
        writeln!(
            out,
            "# Made by `edgerun provision` for {}. Is it right? `edgerun check` says.",
            board.title
        )?;
        writeln!(out, "\n[device]\nid = {}", quoted(self.id.as_str()))?;
        if !self.groups.is_empty() {
            let groups: Vec<_> = self.groups.iter().map(|group| quoted(group.as_str())).collect();
            writeln!(out, "groups = [{}]", groups.join(", "))?;
        }
        match &self.broker {
            Some(broker) => broker.write(out)?,
            None => writeln!(
                out,
                "\n# [mqtt]\n# url = \"mqtts://broker.example:8883\"\n# ca = \"ca.pem\"\n\
                 # client_cert = \"board.pem\"\n# client_key = \"credential:mqtt-key\""
            )?,
        }
        if let Some(repository) = &self.repository {
            let repository = quoted(repository);
            writeln!(out, "\n[ota]\nrepository = {repository}\nroot = \"root.json\"")?;
        }
        writeln!(
            out,
            "\n# Pins 3 (SDA) and 5 (SCL) of the 40-pin header; not tried on this board by us. Source:"
        )?;
        writeln!(out, "# {}", board.source)?;
        for note in board.notes {
            writeln!(out, "# - {note}")?;
        }
        writeln!(
            out,
            "[[sensor]]\nname = \"imu\"\ndriver = \"mpu6050\"\nbus = {}\nrate = \"10 Hz\"",
            quoted(board.bus)
        )?;
        writeln!(
            out,
            "\n# A model of the store: it waits until there is a version, from [ota] or from a file:\n\
             # edgerun ota apply gestures-1.0.0.edge\n\
             [[pipeline]]\nname = \"gestures\"\nsensor = \"imu\"\nmodel = \"gestures\"\n\
             window = {{ length = 40, stride = 10 }}"
        )?;
        if self.broker.is_none() {
            writeln!(out, "# Results go to the log until there is a broker.\njson_lines = \"-\"")?;
        }
        Ok(())
    }
}

impl Broker {
    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "\n[mqtt]\nurl = {}", quoted(&self.url))?;
        if self.ca {
            writeln!(out, "ca = \"{}\"", super::CA)?;
        }
        if self.certificate {
            writeln!(out, "client_cert = \"{}\"", super::CERTIFICATE)?;
            writeln!(out, "client_key = \"credential:{}\"", super::KEY)?;
        }
        if let Some(username) = &self.username {
            writeln!(out, "username = {}", quoted(username))?;
        }
        if self.password {
            writeln!(out, "password = \"credential:{}\"", super::PASSWORD)?;
        }
        Ok(())
    }
}

/// As a string of TOML, with the escapes that it needs.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
