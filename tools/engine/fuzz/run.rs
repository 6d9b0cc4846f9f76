//! What every target does with a model: nothing that it holds may end the process.

use edgerun::data::Tensor;
use edgerun::engine::{self, Choice, EngineError, EngineKind};

/// Multiply-accumulates and bytes that a run may take here: the limits of the engine are far higher,
/// and a fuzzer wants many runs.
const SMALL: u64 = 1 << 20;

/// Describes and loads `bytes`; a model that loads has to run, twice with the same result, unless a loop in
/// it does not end.
pub fn run(bytes: &[u8]) {
    drop(engine::describe(bytes));
    let Ok(model) = engine::load(bytes, Choice::Only(EngineKind::Native)) else { return };
    let report = model.report();
    let macs: u64 = report.ops.iter().map(|op| op.macs).sum();
    if macs > SMALL || report.arena_bytes.is_some_and(|bytes| bytes as u64 > SMALL) {
        return;
    }
    let signature = model.signature();
    let inputs: Vec<Tensor> = signature.inputs.iter().map(Tensor::zeros).collect();
    let mut outputs: Vec<Tensor> = signature.outputs.iter().map(Tensor::zeros).collect();
    let mut again = outputs.clone();
    let mut session = model.session().expect("a session of at most a megabyte");
    match session.infer(&inputs, &mut outputs) {
        Err(EngineError::Run { why, .. }) if why.contains("its loops") => return,
        ended => ended.expect("tensors of the signature"),
    }
    session.reset();
    session.infer(&inputs, &mut again).expect("tensors of the signature");
    // NaN is unlike itself: bytes are compared.
    assert_eq!(format!("{outputs:?}"), format!("{again:?}"));
}
