//! The self-test of a bundle that has just arrived, in a process of its own: signed or not, it is hostile
//! until it has shown otherwise. It has bounds on memory, processor time and files, and may only compute.
//!
//! The parent calls [`run`], which starts this program again as `edgerun self-test FILE`; that calls
//! [`confine`] before it looks at a single byte of the bundle.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, SystemClock};
use crate::update::failure::{Code, Failure};

/// What a self-test may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Memory, beside the program's own.
    pub memory_bytes: u64,
    /// Processor time.
    pub processor: Duration,
    /// Time on the wall; longer, since it has the lowest priority.
    pub wall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 128 << 20,
            processor: Duration::from_secs(60),
            wall: Duration::from_secs(600),
        }
    }
}

/// What the child says on standard output.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// The golden windows are met.
    Passed(Passed),
    /// They are not, or the bundle cannot be loaded.
    Failed(Failure),
}

/// A self-test that passed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Passed {
    /// Golden windows.
    pub windows: usize,
    /// The slowest of them.
    pub slowest: Duration,
    /// Memory that loading and running took at most.
    pub peak_bytes: u64,
}

/// How often the child is looked after.
const POLL: Duration = Duration::from_millis(20);
/// Longest answer.
const ANSWER_MAX: u64 = 64 << 10;

/// Runs the self-test of the bundle file in a child, and waits for it or until `stop`.
///
/// # Errors
/// What the bundle failed at, or what it did to the child.
pub fn run(file: &Path, limits: &Limits, stop: &AtomicBool) -> Result<Passed, Failure> {
    let internal = |error: io::Error| {
        Failure::new(Code::Internal, format!("the self-test cannot be started: {error}"))
    };
    let program = std::env::current_exe().map_err(internal)?;
    let mut child = Command::new(program)
        .arg("self-test")
        .arg(file)
        .args(["--memory", &limits.memory_bytes.to_string()])
        .args(["--processor", &limits.processor.as_secs().max(1).to_string()])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(internal)?;
    let ended = wait(&mut child, limits.wall, stop);
    let status = match ended {
        Ok(status) => status,
        Err(failure) => {
            // Gone already, or about to be.
            child.kill().ok();
            child.wait().ok();
            return Err(failure);
        }
    };
    let mut answer = String::new();
    if let Some(stdout) = child.stdout.take() {
        // The answer is far smaller than a pipe, so the child did not wait for us.
        stdout.take(ANSWER_MAX).read_to_string(&mut answer).map_err(internal)?;
    }
    match serde_json::from_str(&answer) {
        Ok(Said::Passed(passed)) if status.success() => Ok(passed),
        Ok(Said::Failed(failure)) => Err(failure),
        _ => Err(Failure::new(Code::SelfTestFailed, died(status, limits))),
    }
}

fn wait(child: &mut Child, wall: Duration, stop: &AtomicBool) -> Result<ExitStatus, Failure> {
    let clock = SystemClock;
    let deadline = clock.monotonic() + wall;
    loop {
        let ended = child.try_wait();
        if let Some(status) = ended.map_err(|error| Failure::new(Code::Internal, error))? {
            return Ok(status);
        }
        let now = clock.monotonic();
        if stop.load(Ordering::Acquire) {
            return Err(Failure::new(Code::Busy, "edgerun stops"));
        }
        if now > deadline {
            let message = format!("the self-test took longer than {} s", wall.as_secs());
            return Err(Failure::new(Code::SelfTestFailed, message));
        }
        clock.sleep_until(now + POLL);
    }
}

/// What became of a child that gave no answer.
fn died(status: ExitStatus, limits: &Limits) -> String {
    const SIGABRT: i32 = 6;
    const SIGSEGV: i32 = 11;
    const SIGXCPU: i32 = 24;
    const SIGKILL: i32 = 9;
    let mib = limits.memory_bytes >> 20;
    match status.signal() {
        Some(SIGXCPU | SIGKILL) => {
            format!("the self-test used up its {} s of processor time", limits.processor.as_secs())
        }
        Some(SIGABRT) => format!(
            "the self-test aborted: it ran out of its {mib} MiB of memory ([ota] memory), or of its stack"
        ),
        Some(SIGSEGV) => "the self-test crashed: a bad address or too deep a stack".to_owned(),
        Some(signal) => format!("the self-test was ended by signal {signal}"),
        None => format!("the self-test ended without an answer ({status})"),
    }
}

/// The memory of this process; opened before [`confine`], read after it, too.
pub struct Memory {
    status: File,
    before: u64,
}

impl Memory {
    /// From now on.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn open() -> io::Result<Self> {
        let status = File::open("/proc/self/status")?;
        let mut memory = Self { status, before: 0 };
        memory.before = memory.peak()?;
        Ok(memory)
    }

    /// Bytes that were resident at most, beyond what was when this was opened.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn grown(&mut self) -> io::Result<u64> {
        Ok(self.peak()?.saturating_sub(self.before))
    }

    fn peak(&mut self) -> io::Result<u64> {
        let mut text = String::new();
        self.status.rewind()?;
        (&self.status).take(ANSWER_MAX).read_to_string(&mut text)?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        Ok(kib.unwrap_or(0) * 1024)
    }
}

/// Bounds this process, for good: memory, processor time, no files; then nothing but computing with what is
/// open already.
///
/// # Errors
/// When a bound cannot be set: then nothing of the bundle may be looked at.
pub fn confine(memory_bytes: u64, processor: Duration) -> io::Result<()> {
    // Last in line for processor and disk.
    rustix::process::nice(19).ok();
    let bound = |resource, most: u64| {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
    };
    bound(Resource::Data, memory_bytes)?;
    bound(Resource::Cpu, processor.as_secs().max(1))?;
    bound(Resource::Fsize, 0)?;
    bound(Resource::Core, 0)?;
    bound(Resource::Nproc, 0)?;
    only_compute()
}

/// Every other system call fails as not permitted: no socket, no file, no process, no signal to others.
fn only_compute() -> io::Result<()> {
    let allowed = ALLOWED.iter().map(|&call| (call, Vec::new()));
    let rules: BTreeMap<i64, Vec<_>> = allowed.collect();
    let arch = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    let filter = SeccompFilter::new(rules, refuse, SeccompAction::Allow, arch);
    let program: BpfProgram = filter.and_then(TryInto::try_into).map_err(io::Error::other)?;
    seccompiler::apply_filter(&program).map_err(io::Error::other)
}

/// Memory, time, locks, what is open already, and the end.
const ALLOWED: &[i64] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_close,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getrusage,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_tgkill,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Tile registers for the kernels that use them.
    #[cfg(target_arch = "x86_64")]
    libc::SYS_arch_prctl,
];
