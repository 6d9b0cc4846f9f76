//! A new board becomes ready with one command, or with one file on its boot partition.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use edgerun::config::PROVISIONING_TABLES;
use edgerun::data::Secret;
use edgerun::net::{self, Subscriptions, TlsSettings};
use edgerun::provision::BOARDS;
use edgerun::sink::Sink;
use serde_json::Value;

use crate::support::PATIENCE;
use crate::support::device::{identity, inference, settings};
use crate::support::mosquitto::Plan;
use crate::support::{certificates::Authority, is_installed};

/// A board's root folder.
struct Board(tempfile::TempDir);

impl Board {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn provision(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgerun"));
        command.arg("provision").arg("--root").arg(self.0.path()).args(arguments).output().unwrap()
    }

    fn good(&self, arguments: &[&str]) -> String {
        let output = self.provision(arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn each_board_gets_the_configuration_that_is_written_down_for_it() {
    for known in BOARDS {
        let board = Board::new();
        board.good(&[
            "--id",
            "bench-07",
            "--board",
            known.name,
            "--broker",
            "mqtts://broker.example",
        ]);
        let text = board.read("etc/edgerun/edgerun.toml");
        let file = root().join("tests/data/provision").join(format!("{}.toml", known.name));
        if std::env::var_os("EDGERUN_WRITE_DOCS").is_some() {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, &text).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            text == expected,
            "{} is behind; run this test with EDGERUN_WRITE_DOCS=1\n{text}",
            file.display()
        );
    }
}

#[test]
fn the_board_is_found_and_what_was_done_is_said() {
    let board = Board::new();
    board.write("proc/device-tree/compatible", "raspberrypi,5-model-b\0brcm,bcm2712\0");
    let said = board.good(&["--id", "bench-07", "--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["board"], &said["device"]), (&"raspberry-pi-5".into(), &"bench-07".into()));
    let changes: Vec<_> =
        said["files"].as_array().unwrap().iter().map(|file| file["change"].clone()).collect();
    assert_eq!(changes, ["made"; 3]);
    assert!(board.read("etc/edgerun/edgerun.toml").contains("# [mqtt]"));
    let again = board.good(&["--id", "bench-07"]);
    assert_eq!(again.matches("kept").count(), 3, "{again}");
    for (arguments, code, word) in [
        (&["--id", "a b"][..], 2, "write it as \"a-b\""),
        (&["--board", "toaster"], 2, "jetson-nano"),
        (&["--id", "a", "--broker", "broker"], 78, "mqtt.url"),
        (&["--id", "a", "--enrol", "https://ca"], 2, "--token-file"),
        (&["--from", "/nowhere.toml"], 78, "there is no such file"),
    ] {
        let output = board.provision(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(word), "{arguments:?}: {said}");
    }
}

#[test]
fn a_file_on_the_boot_partition_is_found_used_and_cleaned() {
    let board = Board::new();
    assert_eq!(board.good(&["--from-boot"]), "no edgerun-provision.toml on the boot partition\n");
    board.write(
        "boot/firmware/edgerun-provision.toml",
        "[device]\nid = \"bench-08\"\n[mqtt]\nurl = \"mqtt://localhost\"\nusername = \"b\"\npassword = \"hunter2\"\n",
    );
    fs::create_dir_all(board.path("etc/NetworkManager")).unwrap();
    let said = board.good(&["--from-boot"]);
    assert!(said.contains("device bench-08"), "{said}");
    let password = board.path("etc/edgerun/credentials/mqtt-password");
    assert_eq!(fs::metadata(password).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!board.path("boot/firmware/edgerun-provision.toml").exists());
    for name in ["edgerun-provision.done.toml", "edgerun-provision.log"] {
        assert!(!board.read(&format!("boot/firmware/{name}")).contains("hunter2"), "{name}");
    }
    board.write("boot/edgerun-provision.toml", "[wifi]\nssid = \"w\"\npassphrase = \"short\"\n");
    let output = board.provision(&["--from-boot"]);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert!(board.read("boot/edgerun-provision.log").contains("wifi.passphrase"));
    let from = board.path("boot");
    board.write(
        "boot/edgerun-provision.toml",
        "[device]\nid = \"bench-09\"\n[wifi]\nssid = \"w\"\npassphrase = \"long enough\"\n",
    );
    board.good(&["--from", from.to_str().unwrap(), "--board", "jetson-orin"]);
    let wifi = "etc/NetworkManager/system-connections/edgerun-wifi.nmconnection";
    assert!(board.read(wifi).contains("psk=long enough"));
    assert!(board.read("etc/edgerun/edgerun.toml").contains("/dev/i2c-7"));
}

#[test]
fn openssl_takes_the_request_and_a_broker_the_certificate() {
    if !is_installed("openssl", "openssl") {
        return;
    }
    let board = Board::new();
    board.good(&["--id", "bench-07"]);
    let openssl = |arguments: &[&str]| {
        let output =
            Command::new("openssl").args(arguments).current_dir(board.0.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let shown = openssl(&["req", "-in", "etc/edgerun/board.csr", "-noout", "-verify", "-text"]);
    assert!(
        shown.contains("CN") && shown.contains("bench-07") && shown.contains("prime256v1"),
        "{shown}"
    );
    openssl(&[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=ours",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-days",
        "2",
    ]);
    openssl(&[
        "x509",
        "-req",
        "-in",
        "etc/edgerun/board.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-copy_extensions",
        "copy",
        "-days",
        "2",
        "-out",
        "board.pem",
    ]);

    let authority = Authority::new("the broker's");
    let server = authority.server("localhost");
    let broker = Plan::default()
        .file("ca.pem", &authority.certificate())
        .file("clients.pem", &board.read("ca.pem"))
        .file("server.pem", &server.certificate)
        .file("server.key", &server.key)
        .guarded(
            "allow_anonymous true\ncertfile {folder}/server.pem\nkeyfile {folder}/server.key\n\
                  cafile {folder}/clients.pem\nrequire_certificate true",
        )
        .start();
    let Some(broker) = broker else { return };
    let mut settings = settings(broker.guarded_port());
    settings.host = "localhost".into();
    settings.tls = Some(TlsSettings {
        ca: Some(broker.folder().join("ca.pem")),
        client_cert: Some(board.path("board.pem")),
        client_key: Some(Secret::new(board.read("etc/edgerun/credentials/mqtt-key"))),
        ..TlsSettings::default()
    });
    let net = net::start(settings, identity(), Subscriptions::default()).unwrap();
    net.publisher().publish(inference(1)).unwrap();
    assert!(net.link().wait(PATIENCE, |state| state.acked == 1), "{:?}", net.state());
}

#[test]
fn the_page_names_every_key_of_the_file_and_every_board() {
    let page = fs::read_to_string(root().join("docs/provisioning.md")).unwrap();
    for table in PROVISIONING_TABLES.iter().skip(1) {
        for key in table.keys {
            let name = format!("`{}.{}`", table.header.trim_matches(['[', ']']), key.name);
            assert!(page.contains(&name), "{name}");
        }
    }
    for board in BOARDS {
        assert!(
            page.contains(&format!("| `{}` | `{}` |", board.name, board.bus)),
            "{}",
            board.name
        );
    }
}
