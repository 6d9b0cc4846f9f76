//! The real program as a child: a folder with its configuration, and its end without mercy.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use edgerun::clock::Stopwatch;
use edgerun::model::Manifest;

use super::PATIENCE;

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder in which the program runs.
pub(crate) struct Board {
    pub(crate) dir: tempfile::TempDir,
}

impl Board {
    /// A board with `config` as its configuration; `{models}` in it names the shipped models.
    pub(crate) fn new(config: &str) -> Self {
        let board = Self { dir: tempfile::tempdir().unwrap() };
        board.configure(config);
        board
    }

    /// Another configuration, from the next start on.
    pub(crate) fn configure(&self, config: &str) {
        let models = root().join("models").display().to_string();
        let text = format!("{}\n[state]\ndir = \"state\"\n", config.replace("{models}", &models));
        std::fs::write(self.path("edgerun.toml"), text).unwrap();
    }

    /// The path of `name` in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a recording that fits the recipe of the shipped `model`: 50 rows of small numbers.
    pub(crate) fn record(&self, model: &str) {
        let manifest = root().join("models").join(model).join("manifest.toml");
        let manifest = Manifest::parse(&std::fs::read_to_string(manifest).unwrap()).unwrap();
        let names: Vec<&str> = manifest.recipe.channels.iter().map(|c| c.name.as_str()).collect();
        let mut csv = names.join(",");
        for row in 0..50 {
            let values: Vec<String> =
                (0..names.len()).map(|column| format!("{}", (row * 7 + column) % 10)).collect();
            csv.push('\n');
            csv.push_str(&values.join(","));
        }
        std::fs::write(self.path("recording.csv"), csv + "\n").unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgerun"));
        command.args(arguments).arg("--config").arg(self.path("edgerun.toml"));
        command.env_remove("EDGERUN_LOG").env_remove("STATE_DIRECTORY").env_remove("NOTIFY_SOCKET");
        command
    }

    /// Runs a command to its end.
    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts `edgerun run` with `variables` in its environment.
    pub(crate) fn run(&self, variables: &[(&str, &str)]) -> Daemon {
        let log = std::fs::File::create(self.path("log")).unwrap();
        let mut command = self.command(&["run"]);
        command.envs(variables.iter().copied()).stdout(Stdio::null()).stderr(log);
        Daemon(command.spawn().unwrap())
    }

    /// The same, and waits until it tells systemd that it is ready.
    pub(crate) fn run_until_ready(&self, variables: &[(&str, &str)]) -> Daemon {
        // Of an earlier run.
        std::fs::remove_file(self.path("notify")).ok();
        let manager = UnixDatagram::bind(self.path("notify")).unwrap();
        manager.set_read_timeout(Some(PATIENCE)).unwrap();
        let socket = self.path("notify").display().to_string();
        let daemon = self.run(&[variables, &[("NOTIFY_SOCKET", &socket)]].concat());
        let mut told = [0; 512];
        loop {
            let Ok(length) = manager.recv(&mut told) else {
                panic!("not ready: {}", std::fs::read_to_string(self.path("log")).unwrap())
            };
            let told = String::from_utf8_lossy(&told[..length]);
            if let Some(status) = told.strip_prefix("READY=1\nSTATUS=") {
                // What scripts/deploy's guard goes by.
                let verdict = status.split([':', ' ']).next();
                let known = ["ok", "degraded", "failing"].map(Some);
                assert!(known.contains(&verdict), "no verdict in {status}");
                return daemon;
            }
        }
    }
}

/// A running daemon; killed when dropped.
pub(crate) struct Daemon(Child);

impl Daemon {
    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Waits for its end; its exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }

    /// SIGTERM; its exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.0.wait().unwrap().code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Status and body of one HTTP request; `head` is everything before the body's length.
pub(crate) fn http(port: u16, method: &str, path: &str, head: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{head}Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    (status, body)
}

/// `/metrics` once they are as `wanted`.
pub(crate) fn metrics(port: u16, wanted: impl Fn(&str) -> bool) -> String {
    let watch = Stopwatch::start();
    loop {
        let (_, text) = http(port, "GET", "/metrics", "", "");
        if wanted(&text) {
            return text;
        }
        assert!(watch.elapsed() < PATIENCE, "{text}");
    }
}
