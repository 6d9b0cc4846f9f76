//! A board gets a new version whole or keeps the one that it has.
//!
//! `scripts/deploy` runs against a real sshd and a folder that plays the board's root. sshd serves each
//! connection on its standard input (`sshd -i`), so there is no port, and `dd` can cut the line.

use std::{
    collections::BTreeMap,
    fs,
    hash::{DefaultHasher, Hasher},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::support::{find, is_installed};

/// Large enough that the connection to the host `cut` ends within the upload.
const BINARY_BYTES: usize = 3 << 20;
const CUT_AFTER_BYTES: usize = 1 << 20;

struct Board {
    dir: TempDir,
}

/// Runs `program` and fails the test where it fails.
fn must(program: &mut Command) -> Output {
    let output = program.output().unwrap_or_else(|e| panic!("{program:?}: {e}"));
    assert!(output.status.success(), "{program:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

impl Board {
    /// A board that runs systemd and has no edgerun; `None` without OpenSSH on this machine, which
    /// `scripts/test` installs.
    fn new() -> Option<Self> {
        if !is_installed("sshd", "openssh-server") || !is_installed("ssh", "openssh-client") {
            return None;
        }
        let sshd = find("sshd")?;
        let dir = tempfile::tempdir().unwrap();
        let board = Self { dir };
        let at = |name: &str| board.dir.path().join(name);
        for name in ["root/run/systemd/system", "bin", "tmp"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        for key in ["host_key", "login_key"] {
            must(
                Command::new("ssh-keygen")
                    .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                    .arg(at(key)),
            );
        }
        // Root's sshd wants this empty folder, which the package's service would make; others' do not.
        fs::create_dir_all("/run/sshd").ok();
        let d = board.dir.path().display();
        fs::write(
            at("sshd_config"),
            format!(
                "HostKey {d}/host_key\nAuthorizedKeysFile {d}/login_key.pub\nStrictModes no\nUsePAM no\n\
                 PermitRootLogin yes\nPasswordAuthentication no\nPidFile none\n\
                 SetEnv PATH={d}/bin:/usr/sbin:/usr/bin:/sbin:/bin TMPDIR={d}/tmp\n"
            ),
        )
        .unwrap();
        let serve = format!("{} -i -f {d}/sshd_config", sshd.display());
        fs::write(
            at("ssh_config"),
            format!(
                "Host board\n  ProxyCommand {serve}\n\
                 Host cut\n  ProxyCommand dd bs=4096 iflag=count_bytes count={CUT_AFTER_BYTES} status=none | {serve}\n\
                 Host *\n  IdentityFile {d}/login_key\n  IdentitiesOnly yes\n  BatchMode yes\n  LogLevel ERROR\n  \
                 StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n"
            ),
        )
        .unwrap();
        board.service("active", 0);
        Some(board)
    }

    /// A `systemctl` that notes what it is asked; `restart` ends with `code`, the state is `state`.
    fn service(&self, state: &str, code: i32) {
        let log = self.dir.path().join("systemctl.log");
        let text = format!(
            "#!/bin/sh\necho \"$*\" >>{}\ncase $1 in is-active) echo {state}; [ {state} = active ];;\n\
             restart) exit {code};; esac\n",
            log.display()
        );
        script(&self.dir.path().join("bin/systemctl"), &text);
    }

    fn asked(&self) -> String {
        fs::read_to_string(self.dir.path().join("systemctl.log")).unwrap_or_default()
    }

    /// A program that only knows `--version` and `check`, as big as a real one.
    fn binary(&self, version: &str) -> PathBuf {
        let path = self.dir.path().join(format!("edgerun-{version}"));
        let padding = "#".repeat(BINARY_BYTES);
        script(
            &path,
            &format!(
                "#!/bin/sh\ncase $1 in check) if grep wrong $3; then exit 78; fi; \
                 cat ${{3%/*}}/models/gestures/manifest.toml || exit 78; exit 1;; esac\n\
                 echo edgerun {version}\nexit\n{padding}\n"
            ),
        );
        path
    }

    fn model(&self, text: &str) -> PathBuf {
        let folder = self.dir.path().join("models/gestures");
        fs::create_dir_all(folder.join("data")).unwrap();
        fs::write(folder.join("manifest.toml"), text).unwrap();
        fs::write(folder.join("data/train.csv"), "not for boards").unwrap();
        folder
    }

    fn config(&self, text: &str) -> PathBuf {
        let path = self.dir.path().join("board.toml");
        fs::write(&path, text).unwrap();
        path
    }

    fn deploy(&self, hosts: &[&str], options: &[&str]) -> Output {
        let d = self.dir.path();
        Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/deploy"))
            .arg("--root")
            .arg(d.join("root"))
            .arg("--ssh-option")
            .arg(format!("-F{}", d.join("ssh_config").display()))
            .args(options)
            .args(hosts)
            .output()
            .unwrap()
    }

    /// Installs `version` with a configuration and a model that carry its name.
    fn deploy_version(&self, host: &str, version: &str, options: &[&str]) -> Output {
        let (binary, model, config) =
            (self.binary(version), self.model(&format!("# {version}\n")), self.config(version));
        let mut all = vec!["--binary", binary.to_str().unwrap()];
        all.extend(["--model", model.to_str().unwrap(), "--config", config.to_str().unwrap()]);
        all.extend(options);
        self.deploy(&[host], &all)
    }

    fn root(&self, path: &str) -> PathBuf {
        self.dir.path().join("root").join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// Every file below the board's root and its upload folder, with a hash of its contents.
    fn everything(&self) -> BTreeMap<PathBuf, u64> {
        let hash = |bytes: &[u8]| {
            let mut hasher = DefaultHasher::new();
            hasher.write(bytes);
            hasher.finish()
        };
        let mut found = BTreeMap::new();
        let mut folders = vec![self.root(""), self.dir.path().join("tmp")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_symlink() {
                    let target = fs::read_link(&path).unwrap();
                    found.insert(path, hash(target.as_os_str().as_encoded_bytes()));
                } else if path.is_dir() {
                    folders.push(path);
                } else if path.file_name().unwrap() != ".deploy.lock" {
                    let contents = fs::read(&path).unwrap();
                    found.insert(path, hash(&contents));
                }
            }
        }
        found
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn good(output: &Output) {
    assert!(output.status.success(), "{}", said(output));
}

#[track_caller]
fn failed(output: &Output, reason: &str) {
    assert_eq!(output.status.code(), Some(1), "{}", said(output));
    assert!(said(output).contains(reason), "{}", said(output));
}

#[test]
fn board_gets_binary_unit_configuration_and_model_and_is_ready() {
    let Some(board) = Board::new() else { return };
    let secret = board.dir.path().join("mqtt-password");
    fs::write(&secret, "hunter2").unwrap();
    let output =
        board.deploy_version("board", "1.0.0", &["--credential", secret.to_str().unwrap()]);
    good(&output);
    assert!(said(&output).contains("ready"), "{}", said(&output));

    assert!(board.read("usr/bin/edgerun").contains("echo edgerun 1.0.0"));
    assert!(board.read("etc/systemd/system/edgerun.service").contains("Type=notify"));
    assert_eq!(board.read("etc/edgerun/edgerun.toml"), "1.0.0");
    assert_eq!(board.read("etc/edgerun/models/gestures/manifest.toml"), "# 1.0.0\n");
    assert!(!board.root("etc/edgerun/models/gestures/data").exists());
    let mode = |path: &str| fs::metadata(board.root(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("usr/bin/edgerun"), 0o755);
    assert_eq!(mode("etc/edgerun/credentials/mqtt-password"), 0o600);
    assert_eq!(mode("etc/edgerun/credentials"), 0o700);
    assert_eq!(
        board.asked(),
        "daemon-reload\nenable edgerun.service\nrestart edgerun.service\nis-active edgerun.service\n"
    );
    assert_eq!(fs::read_dir(board.dir.path().join("tmp")).unwrap().count(), 0, "upload removed");
}

#[test]
fn version_before_is_kept_beside_the_new_one() {
    let Some(board) = Board::new() else { return };
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        good(&board.deploy_version("board", version, &[]));
    }
    assert!(board.read("usr/bin/edgerun").contains("echo edgerun 1.2.0"));
    assert!(board.read("usr/bin/edgerun.previous").contains("echo edgerun 1.1.0"));
    assert_eq!(board.read("etc/edgerun/edgerun.toml.previous"), "1.1.0");
    assert_eq!(board.read("etc/edgerun/models/gestures/manifest.toml"), "# 1.2.0\n");
    let models = fs::read_dir(board.root("etc/edgerun/models")).unwrap().count();
    assert_eq!(models, 3, "the link, its folder and the folder before");

    // Without --config and --model the board keeps its own.
    let binary = board.binary("1.3.0");
    good(&board.deploy(&["board"], &["--binary", binary.to_str().unwrap()]));
    assert!(board.read("usr/bin/edgerun").contains("echo edgerun 1.3.0"));
    assert_eq!(board.read("etc/edgerun/edgerun.toml"), "1.2.0");
    assert_eq!(board.read("etc/edgerun/models/gestures/manifest.toml"), "# 1.2.0\n");
}

#[test]
fn upload_that_breaks_off_changes_nothing_and_leaves_nothing_behind() {
    let Some(board) = Board::new() else { return };
    good(&board.deploy_version("board", "1.0.0", &[]));
    let (before, asked) = (board.everything(), board.asked());
    failed(&board.deploy_version("cut", "1.1.0", &[]), "the upload broke off");
    // The board's half ends a moment after ours when the line is cut: its last act is to remove the upload.
    let uploads = || fs::read_dir(board.dir.path().join("tmp")).unwrap().count();
    while uploads() > 0 {
        std::thread::yield_now();
    }
    assert_eq!(board.everything(), before);
    assert_eq!(board.asked(), asked);
}

#[test]
fn system_without_systemd_is_refused_before_anything_changes() {
    let Some(board) = Board::new() else { return };
    fs::remove_dir_all(board.root("run")).unwrap();
    failed(&board.deploy_version("board", "1.0.0", &[]), "does not run systemd");
    assert!(board.everything().is_empty());

    good(&board.deploy_version("board", "1.0.0", &["--no-service"]));
    assert!(board.read("usr/bin/edgerun").contains("echo edgerun 1.0.0"));
    assert_eq!(board.asked(), "");
}

#[test]
fn binary_that_does_not_run_on_the_board_changes_nothing() {
    let Some(board) = Board::new() else { return };
    good(&board.deploy_version("board", "1.0.0", &[]));
    let before = board.everything();
    let foreign = board.dir.path().join("foreign");
    script(&foreign, "#!/nonexistent/ld-linux-aarch64.so.1\n");
    let output = board.deploy(&["board"], &["--binary", foreign.to_str().unwrap()]);
    failed(&output, "the binary does not run here");
    assert_eq!(board.everything(), before);
}

#[test]
fn disk_that_fails_before_the_switch_keeps_the_old_version_and_tidies_up() {
    let Some(board) = Board::new() else { return };
    good(&board.deploy_version("board", "1.0.0", &[]));
    let before = board.everything();
    script(&board.dir.path().join("bin/sync"), "#!/bin/sh\necho 'I/O error' >&2\nexit 1\n");
    failed(&board.deploy_version("board", "1.1.0", &[]), "I/O error");
    assert_eq!(board.everything(), before);
}

#[test]
fn wrong_configuration_is_found_before_anything_changes() {
    let Some(board) = Board::new() else { return };
    good(&board.deploy_version("board", "1.0.0", &[]));
    let (before, asked) = (board.everything(), board.asked());
    let (binary, config) = (board.binary("1.1.0"), board.config("something is wrong here"));
    let options = ["--binary", binary.to_str().unwrap(), "--config", config.to_str().unwrap()];
    let output = board.deploy(&["board"], &options);
    failed(&output, "the configuration is wrong");
    assert!(said(&output).contains("something is wrong here"), "{}", said(&output));
    assert_eq!((board.everything(), board.asked()), (before, asked));
}

#[test]
fn board_without_a_configuration_asks_for_one_first() {
    let Some(board) = Board::new() else { return };
    let binary = board.binary("1.0.0");
    let output = board.deploy(&["board"], &["--binary", binary.to_str().unwrap()]);
    failed(&output, "give --config");
    assert!(board.everything().is_empty());
}

#[test]
fn service_that_does_not_become_ready_fails_the_run_and_spares_the_other_boards() {
    let Some(board) = Board::new() else { return };
    board.service("failed", 1);
    let (binary, config, model) = (board.binary("1.0.0"), board.config("x"), board.model("# x\n"));
    let mut options = vec!["--binary", binary.to_str().unwrap()];
    options.extend(["--config", config.to_str().unwrap(), "--model", model.to_str().unwrap()]);
    let output = board.deploy(&["board", "other"], &options);
    failed(&output, "edgerun.service is failed");
    assert!(said(&output).contains("edgerun.previous"), "{}", said(&output));
    assert!(said(&output).contains("not touched: other"), "{}", said(&output));
}

#[test]
fn dry_run_names_the_files_and_changes_nothing() {
    let Some(board) = Board::new() else { return };
    let output = board.deploy_version("board", "1.0.0", &["--dry-run"]);
    good(&output);
    assert!(said(&output).contains("usr/bin/edgerun"), "{}", said(&output));
    assert!(said(&output).contains("would restart"), "{}", said(&output));
    assert!(board.everything().is_empty());
    assert_eq!(board.asked(), "");
}

#[test]
fn folder_that_somebody_put_in_place_of_a_model_is_kept() {
    let Some(board) = Board::new() else { return };
    fs::create_dir_all(board.root("etc/edgerun/models/gestures")).unwrap();
    fs::write(board.root("etc/edgerun/models/gestures/note"), "mine").unwrap();
    fs::create_dir_all(board.root("elsewhere")).unwrap();
    symlink(board.root("elsewhere"), board.root("etc/edgerun/models/other")).unwrap();
    good(&board.deploy_version("board", "1.0.0", &[]));
    assert_eq!(board.read("etc/edgerun/models/gestures/manifest.toml"), "# 1.0.0\n");
    let kept = board.everything().into_keys().find(|path| path.ends_with("note")).unwrap();
    assert_eq!(fs::read_to_string(kept).unwrap(), "mine");
    assert!(board.root("etc/edgerun/models/other").is_symlink());
}

#[test]
fn wrong_usage_ends_with_2_before_any_connection() {
    let deploy = |args: &[&str]| {
        Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/deploy"))
            .args(args)
            .output()
            .unwrap()
    };
    for (args, reason) in [
        (vec![], "no HOST"),
        (vec!["board", "--frobnicate"], "unknown option --frobnicate"),
        (vec!["board", "--binary"], "--binary needs a value"),
        (vec!["board", "--binary", "/nonexistent"], "no binary /nonexistent"),
        (vec!["board", "--binary", "/bin/sh", "--model", "/etc"], "no model folder"),
        (vec!["board", "--binary", "/bin/sh", "--wait", "soon"], "--wait takes seconds"),
        (vec!["board", "--binary", "/bin/sh", "--root", "here"], "--root takes an absolute path"),
    ] {
        let output = deploy(&args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(said(&output).contains(reason), "{args:?}: {}", said(&output));
    }
}
