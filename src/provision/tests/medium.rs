//! Provisioning by a file, also with the power cut at every step.

use super::*;
use crate::provision::medium::{DONE, LOG, NAME};
use crate::storage::power::PowerDisk;
use crate::storage::{Disk as _, replace};

const BOOT: &str = "/boot";
const FILE: &str = r#"
# the old passphrase was hunter0
[device]
id = "bench-07"
hostname = "bench"
[mqtt]
url = "mqtts://broker.example"
ca = "ours.pem"
client_cert = "board.pem"
client_key = "board.key"
username = "bench"
password = "hunter1-password"
[ota]
repository = "https://models.example/tuf"
root = "root.json"
[wifi]
ssid = "workshop"
passphrase = "hunter2-passphrase"
country = "DE"
[ssh]
authorized_keys = ["ssh-ed25519 AAAA me"]
"#;

struct Card {
    disk: PowerDisk,
    key: String,
    files: Vec<(&'static str, String)>,
}

impl Card {
    fn new() -> Self {
        let authority = Authority::new();
        let key = identity::Identity::generate().unwrap();
        let request = key.request(&"bench-07".parse().unwrap()).unwrap();
        let key = key.pem().expose().to_owned();
        let files = vec![
            (NAME, FILE.to_owned()),
            ("ours.pem", authority.pem()),
            ("board.pem", authority.sign(&request)),
            ("board.key", key.clone()),
            ("root.json", "{}".to_owned()),
        ];
        let card = Self { disk: PowerDisk::new(1 << 20), key, files };
        for (name, text) in &card.files {
            card.write(name, text);
        }
        card
    }

    fn write(&self, name: &str, text: &str) {
        replace(&self.disk, &Path::new(BOOT).join(name), text.as_bytes()).unwrap();
    }

    fn read(&self, path: &str) -> Option<String> {
        let bytes = super::super::place::read(&self.disk, Path::new(path)).unwrap()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn run(&self, ask: Ask<'_>) -> Result<Done, MediumError> {
        let etc = Path::new("/etc/edgerun");
        let place = Place::new(&self.disk, Path::new("/"), etc, false);
        let medium = Medium::new(&self.disk, &Path::new(BOOT).join(NAME));
        medium.provision(&place, &machine(), pi(), ask, &mut |_| {})
    }

    fn says(&self, text: &str) -> String {
        self.write(NAME, text);
        self.run(&mut nobody).unwrap_err().to_string()
    }

    /// Everything on the boot partition, names first.
    fn boot(&self) -> Vec<(String, String)> {
        let files = self.disk.list(Path::new(BOOT)).unwrap();
        files
            .into_iter()
            .map(|(name, _)| (name.clone(), self.read(&format!("{BOOT}/{name}")).unwrap()))
            .collect()
    }
}

fn provisioned(card: &Card) {
    let read = |path: &str| card.read(path).unwrap_or_else(|| panic!("no {path}"));
    let config = read("/etc/edgerun/edgerun.toml");
    for part in
        ["id = \"bench-07\"", "ca = \"ca.pem\"", "client_cert = \"board.pem\"", "/dev/i2c-1"]
    {
        assert!(config.contains(part), "{part}\n{config}");
    }
    assert_eq!(read("/etc/edgerun/credentials/mqtt-key"), card.key);
    assert_eq!(read("/etc/edgerun/credentials/mqtt-password"), "hunter1-password");
    assert_eq!(read("/etc/edgerun/root.json"), "{}");
    assert_eq!(read("/etc/hostname"), "bench\n");
    assert_eq!(read("/root/.ssh/authorized_keys"), "ssh-ed25519 AAAA me\n");
    assert!(read("/etc/wpa_supplicant/wpa_supplicant-wlan0.conf").contains("hunter2-passphrase"));
    assert!(read("/etc/modprobe.d/edgerun-wifi.conf").contains("regdom=DE"));
    let boot = card.boot();
    for (name, text) in &boot {
        assert!(!text.contains("hunter") && !text.contains("PRIVATE KEY"), "{name}: {text}");
    }
    let names: Vec<&str> =
        boot.iter().map(|(name, _)| name.as_str()).filter(|name| !name.ends_with(".new")).collect();
    assert_eq!(names, ["board.pem", DONE, LOG, "ours.pem", "root.json"]);
}

#[test]
fn a_file_provisions_a_board_and_leaves_no_secret() {
    let card = Card::new();
    card.run(&mut nobody).unwrap();
    provisioned(&card);
    let log = card.read("/boot/edgerun-provision.log").unwrap();
    assert!(log.starts_with("edgerun provision: done\n") && log.contains("edgerun.toml"), "{log}");
    let done = card.read("/boot/edgerun-provision.done.toml").unwrap();
    assert!(
        done.contains("password = \"removed\"") && done.contains("ssid = \"workshop\""),
        "{done}"
    );
}

#[test]
fn wherever_the_power_goes_the_next_start_finishes_and_no_configuration_is_without_its_files() {
    // The file is long gone when the steps are over.
    let mut steps = 0;
    for after in 1.. {
        let card = Card::new();
        card.disk.cut_after(after);
        let first = card.run(&mut nobody);
        let cut = card.disk.is_off();
        card.disk.power_on(after);
        if card.read("/etc/edgerun/edgerun.toml").is_some() {
            for name in [
                "ca.pem",
                "board.pem",
                "root.json",
                "credentials/mqtt-key",
                "credentials/mqtt-password",
            ] {
                let path = format!("/etc/edgerun/{name}");
                assert!(card.read(&path).is_some_and(|text| !text.is_empty()), "{after}: {path}");
            }
        }
        // What the unit's condition asks.
        if card.read("/boot/edgerun-provision.toml").is_some() {
            card.run(&mut nobody).unwrap_or_else(|error| panic!("{after}: {error}"));
        }
        if card.read("/boot/edgerun-provision.log").is_none() {
            // Cut between the end and the log.
            card.write(LOG, "");
        }
        provisioned(&card);
        steps = after;
        if !cut {
            first.unwrap();
            break;
        }
    }
    assert!(steps > 40, "only {steps}");
}

#[test]
fn a_token_of_a_file_is_used_once_wherever_the_power_goes() {
    const ENROL: &str = "[device]\nid = \"bench-07\"\n[mqtt]\nurl = \"mqtts://b.example\"\n\
        [enrol]\nurl = \"https://ca.example\"\ntoken = \"hunter3\"\nfingerprint = \"{print}\"\n";
    let authority = Authority::new();
    for after in 1.. {
        let card = Card { disk: PowerDisk::new(1 << 20), key: String::new(), files: Vec::new() };
        card.write(NAME, &ENROL.replace("{print}", &"0".repeat(64)));
        card.disk.cut_after(after);
        let asked = RefCell::new(0);
        let mut ask = |_: &Enrolment, request: &str| {
            *asked.borrow_mut() += 1;
            Ok(Granted { chain: authority.sign(request), root: Some(authority.pem()) })
        };
        let first = card.run(&mut ask);
        let cut = card.disk.is_off();
        card.disk.power_on(after);
        let there = card.read("/etc/edgerun/board.pem").is_some();
        if card.read("/boot/edgerun-provision.toml").is_some() {
            let before = *asked.borrow();
            card.run(&mut ask).unwrap();
            // Only a certificate that did not reach the disk is asked for again.
            assert_eq!(*asked.borrow() - before, usize::from(!there), "{after}");
        }
        let read = |name: &str| card.read(&format!("/etc/edgerun/{name}")).unwrap();
        let (chain, key) = (read("board.pem"), read("credentials/mqtt-key"));
        assert_eq!(identity::pair(chain.as_bytes(), key.as_bytes()), Ok(()), "{after}");
        assert_eq!(read("ca.pem").trim(), authority.pem().trim());
        assert!(read("edgerun.toml").contains("ca = \"ca.pem\""));
        assert!(card.boot().iter().all(|(_, text)| !text.contains("hunter3")), "{after}");
        if !cut {
            first.unwrap();
            break;
        }
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_line_and_nothing_is_changed() {
    let card = Card::new();
    let said = card.says(
        "[device]\nid = \"bench 07\"\nhostnam = \"x\"\n[mqtt]\nurl = \"broker\"\nca = \"../ca.pem\"\n\
         client_cert = \"board.key\"\npassword = \"hunter4\"\n[ota]\nroot = \"gone.json\"\n\
         [wifi]\nssid = \"w\"\npassphrase = \"short\"\n[enrol]\nurl = \"http://ca\"\n\
         [ssh]\nauthorized_keys = [\"rubbish\"]\n",
    );
    for part in [
        "edgerun-provision.toml:2: device.id: ",
        ":3: device.hostnam: unknown key; did you mean \"hostname\"?",
        ":5: mqtt.url: ",
        ":6: mqtt.ca: \"../ca.pem\" is not the name of a file beside this one",
        ":7: mqtt.client_cert: board.key holds no certificate",
        ":7: mqtt.client_cert: needs client_key",
        ":4: mqtt.username: is missing",
        ":10: ota.root: there is no gone.json beside this file",
        ":10: ota.root: needs repository",
        ":13: wifi.passphrase: must have 8 to 63",
        ":14: enrol.token: is missing",
        ":17: ssh.authorized_keys: must be lines of a .pub file",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    assert!(!said.contains("hunter4") && !said.contains("short\""), "{said}");
    assert_eq!(card.read("/etc/edgerun/edgerun.toml"), None);
    let log = card.read("/boot/edgerun-provision.log").unwrap();
    assert!(log.starts_with("edgerun provision: failed\n") && log.contains("mqtt.url"), "{log}");
    assert!(card.read("/boot/edgerun-provision.toml").is_some());
    assert!(card.says("[mqtt").contains(":1: is not TOML"));
    assert!(card.says("[mqtt]\nurl = \"mqtt://b\"\n[[wifi]]\n").contains("is there once only"));
    card.write(
        "board.pem",
        &Authority::new().sign(&{
            let key = identity::Identity::generate().unwrap();
            key.request(&"x".parse().unwrap()).unwrap()
        }),
    );
    assert!(card.says(FILE).contains(":9: mqtt.client_cert: is for another key"));
}

#[test]
fn a_whole_configuration_comes_with_its_files() {
    let card = Card::new();
    let config = Skeleton {
        id: "whole".parse().unwrap(),
        groups: Vec::new(),
        board: pi(),
        broker: Some(Broker { url: "mqtts://w.example".into(), ca: true, ..Broker::default() }),
        repository: None,
    };
    card.write("whole.toml", &config.text());
    card.write(NAME, "\u{feff}config = \"whole.toml\"\n[mqtt]\nca = \"ours.pem\"\n");
    card.run(&mut nobody).unwrap();
    assert_eq!(card.read("/etc/edgerun/edgerun.toml"), Some(config.text()));
    assert!(card.read("/etc/edgerun/ca.pem").is_some());
    // Again, with another: the one before is kept.
    card.write("whole.toml", &config.text().replace("w.example", "v.example"));
    card.write(NAME, "config = \"whole.toml\"\n");
    card.run(&mut nobody).unwrap();
    assert_eq!(card.read("/etc/edgerun/edgerun.toml.previous"), Some(config.text()));
    card.write("whole.toml", "[mqtt]\nurl = 1\n");
    let said = card.says("config = \"whole.toml\"\n[device]\nid = \"x\"\n");
    assert!(said.contains("whole.toml:2: mqtt.url: must be a string"), "{said}");
    assert!(said.contains(":3: device.id: belongs into the file that config names"), "{said}");
}

#[test]
fn a_full_or_dying_disk_is_said_and_leaves_the_file_for_the_next_start() {
    let card = Card::new();
    card.disk.set_capacity(0);
    let error = card.run(&mut nobody).unwrap_err();
    assert!(
        matches!(error, MediumError::Install(ProvisionError::Disk { doing: "write", .. })),
        "{error}"
    );
    card.disk.set_capacity(1 << 20);
    card.run(&mut nobody).unwrap();
    provisioned(&card);
}
