//! A board gets a new release whole or keeps the one that it has, and goes back by itself when the new one is worse.
//!
//! `scripts/deploy` runs against a real sshd and a folder that plays the board's root. sshd serves each
//! connection on its standard input (`sshd -i`), so there is no port, and `dd` can cut the line. A program that plays
//! systemd starts the guard, and asks the program that `current` leads to how it is. `scripts/test-package` does the
//! same with a real systemd.

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
/// What systemd says of a service that does its job.
const GOOD: &str = "ActiveState=active StatusText='ok: 1 of 1'";

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
        board.systemctl();
        Some(board)
    }

    /// A `systemctl` that notes what it is asked. It runs the guard, and shows what the current program says.
    fn systemctl(&self) {
        let (d, root) = (self.dir.path().display(), self.root(""));
        let root = root.display();
        let text = format!(
            "#!/bin/sh\n\
             case $1 in\n\
             show) {root}/opt/edgerun/current/bin/edgerun systemd 2>/dev/null || echo ActiveState=inactive; exit;;\n\
             start) case $* in *guard*) if ! [ -e {d}/no-guard ]; then\n\
             sh {root}/opt/edgerun/guard.sh {root} >>{d}/guard.log 2>&1 </dev/null & fi;; esac;;\n\
             esac\necho \"$*\" >>{d}/systemctl.log\n"
        );
        script(&self.dir.path().join("bin/systemctl"), &text);
    }

    fn asked(&self) -> String {
        fs::read_to_string(self.dir.path().join("systemctl.log")).unwrap_or_default()
    }

    /// A program that only knows `--version`, `check` and what systemd would say of it, as big as a real one.
    fn binary_that_is(&self, version: &str, says: &str) -> PathBuf {
        let path = self.dir.path().join(format!("edgerun-{version}"));
        let padding = "#".repeat(BINARY_BYTES);
        script(
            &path,
            &format!(
                "#!/bin/sh\ncase $1 in check) if grep wrong $3; then exit 78; fi; \
                 cat ${{3%/*}}/models/gestures/manifest.toml || exit 78; exit 1;;\n\
                 systemd) printf '%s\\n' MainPID=7 NRestarts=0 {says}; exit;; esac\n\
                 echo edgerun {version}\nexit\n{padding}\n"
            ),
        );
        path
    }

    fn binary(&self, version: &str) -> PathBuf {
        self.binary_that_is(version, GOOD)
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

    /// The trial lasts for one look at the service.
    fn deploy(&self, hosts: &[&str], options: &[&str]) -> Output {
        let d = self.dir.path();
        Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/deploy"))
            .arg("--root")
            .arg(d.join("root"))
            .arg("--ssh-option")
            .arg(format!("-F{}", d.join("ssh_config").display()))
            .args(["--wait", "0", "--hold", "0"])
            .args(options)
            .args(hosts)
            .output()
            .unwrap()
    }

    fn deploy_binary(&self, binary: &Path) -> Output {
        self.deploy(&["board"], &["--binary", binary.to_str().unwrap()])
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

    /// What the board does at every boot.
    fn boot(&self) {
        let guard = self.root("opt/edgerun/guard.sh");
        if guard.exists() {
            let _ = self.command("sh").arg(guard).arg(self.root("")).output().unwrap();
        }
    }

    /// A program of the board's, which finds the board's own programs first.
    fn command(&self, program: &str) -> Command {
        let path =
            format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.dir.path().join("bin").display());
        let mut command = Command::new(program);
        command.env("PATH", path);
        command
    }

    fn root(&self, path: &str) -> PathBuf {
        self.dir.path().join("root").join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// The version that the current program says it is.
    fn runs(&self) -> String {
        let output = must(Command::new(self.root("usr/local/bin/edgerun")).arg("--version"));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn releases(&self) -> usize {
        fs::read_dir(self.root("opt/edgerun/releases")).unwrap().count()
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
                } else if path.file_name().unwrap() != ".lock" {
                    let contents = fs::read(&path).unwrap();
                    found.insert(path, hash(&contents));
                }
            }
        }
        found
    }

    /// What `scripts/deploy` uploads, of a release with nothing but `binary`.
    fn upload(&self, binary: &Path) -> PathBuf {
        let folder = self.dir.path().join("tmp/upload");
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        fs::create_dir_all(folder.join("blobs")).unwrap();
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        let files = [
            ("bin/edgerun", binary.to_owned()),
            ("systemd/edgerun.service", repository.join("systemd/edgerun.service")),
            ("system/edgerun-guard.service", repository.join("systemd/edgerun-guard.service")),
            ("system/edgerun.conf", repository.join("systemd/sysusers/edgerun.conf")),
            ("system/60-edgerun.rules", repository.join("systemd/60-edgerun.rules")),
            ("system/guard.sh", repository.join("scripts/guard.sh")),
        ];
        let mut list = String::new();
        for (path, from) in files {
            let summed = must(Command::new("sha256sum").arg(&from)).stdout;
            let sum = String::from_utf8(summed).unwrap()[..64].to_owned();
            fs::copy(from, folder.join("blobs").join(&sum)).unwrap();
            list += &format!("{sum}  {path}\n");
        }
        fs::write(folder.join("FILES"), list).unwrap();
        fs::copy(repository.join("scripts/deploy-board.sh"), folder.join("deploy-board.sh"))
            .unwrap();
        folder
    }

    /// From now on the board loses its power at the `nth` time that it syncs.
    fn lose_power_at(&self, nth: u32) {
        let count = self.dir.path().join("syncs");
        fs::write(&count, nth.to_string()).unwrap();
        let c = count.display();
        // The shell that asked for it dies before the next act; kill is the shell's own here.
        let text = format!(
            "#!/bin/sh\nn=$(($(cat {c}) - 1))\necho $n >{c}\nif [ $n -le 0 ]; then kill -9 $PPID; fi\n"
        );
        script(&self.dir.path().join("bin/sync"), &text);
    }

    /// The power is back; whether it had been lost.
    fn power_is_back(&self) -> bool {
        fs::remove_file(self.dir.path().join("bin/sync")).unwrap();
        let left = fs::read_to_string(self.dir.path().join("syncs")).unwrap();
        left.trim().parse::<i32>().unwrap() <= 0
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
fn board_gets_binary_unit_configuration_and_model_and_keeps_them_when_all_is_well() {
    let Some(board) = Board::new() else { return };
    let secret = board.dir.path().join("mqtt-password");
    fs::write(&secret, "hunter2").unwrap();
    let output =
        board.deploy_version("board", "1.0.0", &["--credential", secret.to_str().unwrap()]);
    good(&output);
    assert!(said(&output).contains("committed 1.0.0-"), "{}", said(&output));
    assert!(!said(&output).contains("hunter2"), "{}", said(&output));

    assert_eq!(board.runs(), "edgerun 1.0.0");
    assert_eq!(board.read("etc/edgerun/edgerun.toml"), "1.0.0");
    assert_eq!(board.read("etc/edgerun/credentials/mqtt-password"), "hunter2");
    assert_eq!(board.read("etc/edgerun/models/gestures/manifest.toml"), "# 1.0.0\n");
    assert!(!board.root("etc/edgerun/models/gestures/data").exists());
    let unit = board.read("opt/edgerun/current/systemd/edgerun.service");
    assert!(unit.contains("ExecStart=/opt/edgerun/current/bin/edgerun run"), "{unit}");
    let link = fs::read_link(board.root("etc/systemd/system/edgerun.service")).unwrap();
    assert_eq!(link, Path::new("/opt/edgerun/current/systemd/edgerun.service"));
    let mode = |path: &str| fs::metadata(board.root(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("usr/local/bin/edgerun"), 0o755);
    assert_eq!(mode("etc/edgerun/edgerun.toml"), 0o640);
    assert_eq!(mode("etc/edgerun/credentials/mqtt-password"), 0o600);
    assert_eq!(mode("etc/edgerun/credentials"), 0o700);
    assert_eq!(mode("opt/edgerun/current/etc/credentials"), 0o700);
    for asked in ["enable edgerun-guard.service", "restart --no-block edgerun.service"] {
        assert!(board.asked().contains(asked), "{}", board.asked());
    }
    assert_eq!(fs::read_dir(board.dir.path().join("tmp")).unwrap().count(), 0, "upload removed");
    assert!(!board.root("opt/edgerun/trial").exists());
}

#[test]
fn releases_lie_side_by_side_and_the_oldest_go() {
    let Some(board) = Board::new() else { return };
    for version in ["1.0.0", "1.1.0", "1.2.0", "1.3.0"] {
        good(&board.deploy_version("board", version, &["--keep", "2"]));
    }
    assert_eq!((board.runs().as_str(), board.releases()), ("edgerun 1.3.0", 3));

    // Without --config and --model the board keeps its own, also what somebody has changed in it.
    fs::write(board.root("etc/edgerun/edgerun.toml"), "by hand").unwrap();
    good(&board.deploy_binary(&board.binary("1.4.0")));
    assert_eq!(board.runs(), "edgerun 1.4.0");
    assert_eq!(board.read("etc/edgerun/edgerun.toml"), "by hand");
    assert_eq!(board.read("etc/edgerun/models/gestures/manifest.toml"), "# 1.3.0\n");
    let listed = board.deploy(&["board"], &["--list"]);
    good(&listed);
    assert!(said(&listed).contains(" before, 1.4.0-"), "{}", said(&listed));
}

#[test]
fn only_what_the_board_has_not_got_travels() {
    let Some(board) = Board::new() else { return };
    good(&board.deploy_version("board", "1.0.0", &[]));
    // The line is cut after a third of a binary: another configuration alone fits through.
    let (binary, config) = (board.binary("1.0.0"), board.config("another"));
    let options = ["--binary", binary.to_str().unwrap(), "--config", config.to_str().unwrap()];
    good(&board.deploy(&["cut"], &options));
    assert_eq!(board.read("etc/edgerun/edgerun.toml"), "another");
    let again = board.deploy(&["board"], &options);
    good(&again);
    assert!(said(&again).contains("already runs"), "{}", said(&again));

    // A file that was damaged on the board is sent again.
    let installed = board.root("opt/edgerun/current/bin/edgerun");
    fs::write(&installed, "#!/bin/sh\necho damaged\n").unwrap();
    good(&board.deploy(&["board"], &options));
    assert_eq!(board.runs(), "edgerun 1.0.0");
}

#[test]
fn release_that_is_worse_than_the_one_before_is_taken_back_with_its_reason() {
    let Some(board) = Board::new() else { return };
    good(&board.deploy_version("board", "1.0.0", &[]));
    for (state, reason) in [
        ("ActiveState=failed Result=exit-code", "the service failed: exit-code"),
        ("ActiveState=activating", "the service is activating, and not ready"),
        (
            "ActiveState=active StatusText='degraded (broker_away): 1 of 1'",
            "it says: degraded (broker_away)",
        ),
    ] {
        let (binary, config) = (board.binary_that_is("1.1.0", state), board.config("1.1.0"));
        let options = ["--binary", binary.to_str().unwrap(), "--config", config.to_str().unwrap()];
        let output = board.deploy(&["board"], &options);
        failed(&output, "rolled-back 1.1.0-");
        assert!(said(&output).contains(reason), "{}", said(&output));
        assert_eq!(board.runs(), "edgerun 1.0.0");
        assert_eq!(board.read("etc/edgerun/edgerun.toml"), "1.0.0");
    }
}

#[test]
fn sensor_that_was_away_before_is_no_reason_to_go_back() {
    let Some(board) = Board::new() else { return };
    let says = "ActiveState=active StatusText='degraded (sensor_lost imu): 1 of 1'";
    let (binary, config, model) =
        (board.binary_that_is("1.0.0", says), board.config("x"), board.model("# x\n"));
    let mut options = vec!["--binary", binary.to_str().unwrap()];
    options.extend(["--config", config.to_str().unwrap(), "--model", model.to_str().unwrap()]);
    good(&board.deploy(&["board"], &options));
    good(&board.deploy_binary(&board.binary_that_is("1.1.0", says)));
    assert_eq!(board.runs(), "edgerun 1.1.0");
}

#[test]
fn first_release_that_does_not_run_says_that_there_is_none_before_it() {
    let Some(board) = Board::new() else { return };
    let (binary, config, model) = (
        board.binary_that_is("1.0.0", "ActiveState=failed Result=exit-code"),
        board.config("x"),
        board.model("# x\n"),
    );
    let mut options = vec!["--binary", binary.to_str().unwrap()];
    options.extend(["--config", config.to_str().unwrap(), "--model", model.to_str().unwrap()]);
    failed(&board.deploy(&["board"], &options), "there is no release before it");
    failed(&board.deploy(&["board"], &["--rollback"]), "no release before");
}

#[test]
fn what_somebody_installed_by_hand_is_a_release_to_go_back_to() {
    let Some(board) = Board::new() else { return };
    for folder in ["usr/bin", "lib/systemd/system", "etc/edgerun/models/gestures"] {
        fs::create_dir_all(board.root(folder)).unwrap();
    }
    fs::copy(board.binary("0.9.0"), board.root("usr/bin/edgerun")).unwrap();
    fs::write(board.root("lib/systemd/system/edgerun.service"), "# the package's\n").unwrap();
    fs::write(board.root("etc/edgerun/edgerun.toml"), "of the board").unwrap();
    fs::write(board.root("etc/edgerun/models/gestures/manifest.toml"), "# mine\n").unwrap();
    fs::create_dir_all(board.root("elsewhere")).unwrap();
    symlink(board.root("elsewhere"), board.root("etc/edgerun/models/other")).unwrap();

    good(&board.deploy_version("board", "1.0.0", &[]));
    assert_eq!(board.runs(), "edgerun 1.0.0");
    assert_eq!(board.read("etc/edgerun/models/gestures/manifest.toml"), "# 1.0.0\n");
    assert!(board.root("etc/edgerun/models/other").is_symlink());

    good(&board.deploy(&["board"], &["--rollback"]));
    assert_eq!(board.runs(), "edgerun 0.9.0");
    assert_eq!(board.read("etc/edgerun/edgerun.toml"), "of the board");
    assert_eq!(board.read("etc/edgerun/models/gestures/manifest.toml"), "# mine\n");
    assert_eq!(board.read("opt/edgerun/current/systemd/edgerun.service"), "# the package's\n");
    good(&board.deploy(&["board"], &["--rollback"]));
    assert_eq!(board.runs(), "edgerun 1.0.0");
}

/// The board's configuration stays the board's own while no deployment brings one.
#[test]
fn configuration_that_no_deployment_brought_stays_where_it_is() {
    let Some(board) = Board::new() else { return };
    fs::create_dir_all(board.root("etc/edgerun")).unwrap();
    fs::write(board.root("etc/edgerun/edgerun.toml"), "provisioned").unwrap();
    let (binary, model) = (board.binary("1.0.0"), board.model("# x\n"));
    let options = ["--binary", binary.to_str().unwrap(), "--model", model.to_str().unwrap()];
    good(&board.deploy(&["board"], &options));
    assert!(!board.root("etc/edgerun/edgerun.toml").is_symlink());
    assert_eq!(board.read("etc/edgerun/edgerun.toml"), "provisioned");
}

/// A cut at every moment at which something becomes durable, of a release that is good and of one that is not.
#[test]
fn power_cut_at_any_step_ends_with_a_whole_release_that_runs() {
    let Some(board) = Board::new() else { return };
    good(&board.deploy_version("board", "1.0.0", &[]));
    fs::write(board.dir.path().join("no-guard"), "").unwrap();
    for (says, ends_with) in [(GOOD, "committed"), ("ActiveState=failed", "rolled-back")] {
        let mut cuts = 0;
        loop {
            let (before, version) = (board.runs(), format!("2.{cuts}.{}", ends_with.len()));
            let upload = board.upload(&board.binary_that_is(&version, says));
            board.lose_power_at(cuts + 1);
            let mut install = board.command("sh");
            install.arg(upload.join("deploy-board.sh")).arg("install").arg(board.root(""));
            let installed = install.args(["yes", "3", "trial", "0", "0"]).output().unwrap();
            board.boot();
            let cut = board.power_is_back();
            board.boot();

            assert!(!board.root("opt/edgerun/trial").exists(), "cut {cuts}");
            let (now, new) = (board.runs(), format!("edgerun {version}"));
            assert!(now == before || (now == new && says == GOOD), "cut {cuts}: {now}");
            let current = board.root("opt/edgerun/current/");
            must(Command::new("sha256sum").args(["-c", "FILES"]).current_dir(current));
            if !cut {
                let outcome = board.read("opt/edgerun/outcome");
                assert!(outcome.contains(ends_with), "{outcome} {}", said(&installed));
                break;
            }
            cuts += 1;
        }
        assert!(cuts > 8, "only {cuts} steps are durable");
        assert!(board.releases() <= 5, "{}", board.releases());
    }
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
    assert_eq!(board.runs(), "edgerun 1.0.0");
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
fn removal_leaves_the_configuration_and_the_models_and_nothing_else() {
    let Some(board) = Board::new() else { return };
    good(&board.deploy_version("board", "1.0.0", &[]));
    good(&board.deploy(&["board"], &["--remove"]));
    let left = board.everything();
    let mut names: Vec<_> =
        left.keys().map(|path| path.strip_prefix(board.root("")).unwrap()).collect();
    names.sort();
    assert_eq!(
        names,
        [
            Path::new("etc/edgerun/edgerun.toml"),
            Path::new("etc/edgerun/models/gestures/manifest.toml")
        ]
    );
    assert_eq!(board.read("etc/edgerun/edgerun.toml"), "1.0.0");
}

#[test]
fn boards_are_served_side_by_side_or_one_by_one_until_one_fails() {
    let Some(board) = Board::new() else { return };
    good(&board.deploy_version("board", "1.0.0", &[]));
    let binary = board.binary_that_is("1.1.0", "ActiveState=failed Result=exit-code");
    let options = ["--binary", binary.to_str().unwrap()];
    let one_by_one = board.deploy(&["board", "other"], &[&options[..], &["--jobs", "1"]].concat());
    failed(&one_by_one, "not touched: other");
    assert!(said(&one_by_one).contains("  board                    rolled-back 1.1.0-"));

    let together = board.deploy(&["board", "nowhere"], &options);
    failed(&together, "  board                    rolled-back 1.1.0-");
    assert!(said(&together).contains("  nowhere                  not reached"));
}

#[test]
fn binary_for_another_processor_or_a_newer_glibc_is_not_sent() {
    let Some(board) = Board::new() else { return };
    good(&board.deploy_version("board", "1.0.0", &[]));
    let before = board.everything();
    let mut elf = fs::read("/bin/true").unwrap();
    let own = elf[18];
    let file = board.dir.path().join("elf");
    elf[18] = 0xf3; // RISC-V
    fs::write(&file, &elf).unwrap();
    failed(&board.deploy_binary(&file), "the binary is for another processor");
    elf[18] = own;
    elf.extend(b"\0GLIBC_2.99\0");
    fs::write(&file, &elf).unwrap();
    failed(&board.deploy_binary(&file), "the binary wants GLIBC_2.99");
    assert_eq!(board.everything(), before);
}

#[test]
fn dry_run_names_the_files_and_changes_nothing() {
    let Some(board) = Board::new() else { return };
    let output = board.deploy_version("board", "1.0.0", &["--dry-run"]);
    good(&output);
    assert!(said(&output).contains("  bin/edgerun ("), "{}", said(&output));
    assert!(said(&output).contains("would switch"), "{}", said(&output));
    assert!(board.everything().is_empty());
    assert_eq!(board.asked(), "");
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
        (vec!["board", "--binary", "/nonexistent"], "no file /nonexistent"),
        (vec!["board", "--binary", "/bin/sh", "--model", "/etc"], "no model folder"),
        (vec!["board", "--binary", "/bin/sh", "--wait", "soon"], "--wait takes seconds"),
        (vec!["board", "--binary", "/bin/sh", "--keep", "0"], "--keep takes a number"),
        (vec!["board", "--binary", "/bin/sh", "--root", "here"], "--root takes an absolute path"),
    ] {
        let output = deploy(&args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(said(&output).contains(reason), "{args:?}: {}", said(&output));
    }
}
