//! A run of a loaded model allocates nothing: latency does not depend on the heap, and a board that
//! has been up for a year has the memory that it had at the start.

#![allow(unsafe_code)] // a global allocator cannot be had without

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use edgerun::data::Tensor;
use edgerun::engine::native;

/// The system's allocator, counting by thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending has no counter left; nobody reads it then.
    ALLOCATIONS.try_with(|count| count.set(count.get() + 1)).unwrap_or_default();
}

// SAFETY: every call goes unchanged to `System`, which keeps the contract; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on; `block` came from `System`.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on; `block` came from `System`.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn a_run_of_a_native_model_allocates_nothing() {
    let models: [&[u8]; 5] = [
        include_bytes!("../data/ops/conv.tflite"),
        include_bytes!("../data/ops/pools.tflite"),
        include_bytes!("../data/ops/add.tflite"),
        include_bytes!("../data/ops/float_io.tflite"),
        include_bytes!("../../models/gestures/gestures.tflite"),
    ];
    for file in models {
        let model = native::load(file).unwrap();
        let mut session = model.session().unwrap();
        let inputs: Vec<Tensor> = model.signature().inputs.iter().map(Tensor::zeros).collect();
        let mut outputs: Vec<Tensor> =
            model.signature().outputs.iter().map(Tensor::zeros).collect();
        let before = ALLOCATIONS.get();
        session.infer(&inputs, &mut outputs).unwrap();
        assert_eq!(ALLOCATIONS.get() - before, 0);
    }
    let before = ALLOCATIONS.get();
    drop(vec![0u8; 3]);
    assert_eq!(ALLOCATIONS.get() - before, 1, "the counter counts");
}
