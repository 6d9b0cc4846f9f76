//! A native session allocates nothing while it runs: a board's memory is the same after a year.
#![allow(unsafe_code)] // the allocator's interface is unsafe; this one only counts

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use edgerun::data::Tensor;
use edgerun::engine::{Choice, EngineKind, Options, Threads, load_file};

/// The system's allocator, counting what each thread and all of them ask of it.
struct Counting;

static ALL: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    ALL.fetch_add(1, Ordering::Relaxed);
    // A thread that ends may still allocate after its counter is gone; nobody reads that.
    ALLOCATIONS.try_with(|counter| counter.set(counter.get() + 1)).ok();
}

// SAFETY: every call is passed on unchanged to `System`, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are those that `System` needs.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above; `at` came from `System`.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above; `at` came from `System`.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How often this thread asked for memory while it did `work`.
pub(crate) fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn native_session_allocates_nothing_from_its_first_run_on() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/gestures/gestures.tflite");
    let model = load_file(&path, Choice::Only(EngineKind::Native)).unwrap();
    let mut session = model.session().unwrap();
    let inputs: Vec<_> = model.signature().inputs.iter().map(Tensor::zeros).collect();
    let mut outputs: Vec<_> = model.signature().outputs.iter().map(Tensor::zeros).collect();
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1, "the counter counts");
    for run in 0..3 {
        let mut result = Ok(());
        let found = allocations(|| result = session.infer(&inputs, &mut outputs));
        result.unwrap();
        assert_eq!(found, 0, "run {run}");
    }
    assert_eq!(allocations(|| session.reset()), 0);
}

/// Set in the process that does nothing else.
const ALONE: &str = "EDGERUN_TEST_ALONE";

/// Helpers are threads of their own, so what all threads ask for is counted, in a process in which no other
/// test runs.
#[test]
fn helpers_allocate_nothing_either() {
    if std::env::var_os(ALONE).is_none() {
        let name = "allocations::helpers_allocate_nothing_either";
        let mut alone = Command::new(std::env::current_exe().unwrap());
        let output = alone.args(["--exact", name]).env(ALONE, "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/gestures/gestures.tflite");
    let threads = Threads::exactly(2).sharing_all();
    let options = Options { choice: Choice::Only(EngineKind::Native), threads };
    let model = load_file(&path, options).unwrap();
    let mut session = model.session().unwrap();
    let inputs: Vec<_> = model.signature().inputs.iter().map(Tensor::zeros).collect();
    let mut outputs: Vec<_> = model.signature().outputs.iter().map(Tensor::zeros).collect();
    let mut thousand = || {
        let before = ALL.load(Ordering::Relaxed);
        for _ in 0..1000 {
            session.infer(&inputs, &mut outputs).unwrap();
        }
        ALL.load(Ordering::Relaxed) - before
    };
    // A thread allocates when it begins to live, and the system decides when that is.
    let counts: Vec<u64> = (0..50).map(|_| thousand()).collect();
    assert!(counts[1..].contains(&0), "{counts:?}");
    assert!(counts.iter().sum::<u64>() < 1000, "{counts:?}");
}
