//! What tests need around the thing under test: real brokers, an independent subscriber, a broker that
//! misbehaves on request, certificates.

pub(crate) mod brokers;
pub(crate) mod cases;
pub(crate) mod certificates;
pub(crate) mod daemon;
pub(crate) mod device;
pub(crate) mod mosquitto;
pub(crate) mod proxy;
pub(crate) mod scripted_broker;
pub(crate) mod subscriber;

use std::env;
use std::path::PathBuf;
use std::time::Duration;

/// How long anything may take before a test gives up. Only a failing test waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Whether `program` of Debian's `package` is there. Where it is not, says that the test is left out, or
/// fails it where `scripts/test` has seen to every part.
pub(crate) fn is_installed(program: &str, package: &str) -> bool {
    let is_there = find(program).is_some();
    if !is_there {
        assert!(env::var_os("EDGERUN_ALL_PARTS").is_none(), "install {package}");
        eprintln!("left out: needs {program}, of the package {package}");
    }
    is_there
}

/// Where a program is. Debian keeps daemons where only root's `PATH` looks.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}
