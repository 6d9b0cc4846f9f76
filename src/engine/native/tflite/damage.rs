//! Damaged files with several graphs, variables and states.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Cursor, Read};

use zip::ZipArchive;

use crate::data::Tensor;
use crate::engine::EngineError;
use crate::engine::native::{describe, load};

/// The smallest model of each operator and type in the conformance families that are about state.
fn models() -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for family in ["subgraphs", "variables", "recurrent"] {
        let root = env!("CARGO_MANIFEST_DIR");
        let bytes = fs::read(format!("{root}/tests/data/conformance/{family}.zip")).unwrap();
        let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
        for index in 0..archive.len() {
            let mut member = archive.by_index(index).unwrap();
            let name = member.name().unwrap().into_owned();
            if name.ends_with(".tflite") {
                let mut bytes = Vec::new();
                member.read_to_end(&mut bytes).unwrap();
                found.push((name, bytes));
            }
        }
    }
    found.sort_by_key(|(name, bytes)| (bytes.len(), name.clone()));
    let mut seen = BTreeSet::new();
    let kind = |name: &str| name.split('.').take(2).map(str::to_owned).collect::<Vec<_>>();
    found.retain(|(name, _)| seen.insert(kind(name)));
    found
}

/// Loads a damaged model; what loads all the same has to run, unless it would take long.
fn load_and_run(bytes: &[u8]) -> Result<(), EngineError> {
    drop(describe(bytes));
    let model = load(bytes)?;
    let report = model.report();
    let quick = report.ops.iter().map(|op| op.macs).sum::<u64>() < 1 << 16
        && report.arena_bytes.is_some_and(|bytes| bytes < 1 << 20)
        // A damaged loop may have no end.
        && report.ops.iter().all(|op| op.op != "WHILE");
    if quick {
        let inputs: Vec<Tensor> = model.signature().inputs.iter().map(Tensor::zeros).collect();
        let mut outputs: Vec<Tensor> =
            model.signature().outputs.iter().map(Tensor::zeros).collect();
        let mut session = model.session()?;
        session.infer(&inputs, &mut outputs)?;
        session.reset();
    }
    Ok(())
}

#[test]
fn damaged_models_with_state_are_refused_or_run_and_never_panic() {
    let mut state = 1u32;
    for (_, file) in models() {
        let mut file = file.clone();
        for at in (0..file.len()).step_by(file.len().div_ceil(160)) {
            // Xorshift, by George Marsaglia.
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let at = (at + (state >> 16) as usize % 7).min(file.len() - 1);
            let whole = file[at];
            file[at] = [0x00, 0xff, whole ^ 1, whole.wrapping_add(1), (state >> 8) as u8]
                [state as usize % 5];
            drop(load_and_run(&file));
            file[at] = whole;
        }
        for len in (0..file.len()).step_by(file.len().div_ceil(30)) {
            drop(load_and_run(&file[..len]));
        }
    }
}

#[test]
fn a_graph_that_runs_within_itself_is_refused() {
    let mut found = 0;
    for (name, file) in models() {
        if !name.starts_with("while") && !name.starts_with("if") {
            continue;
        }
        // Numbers of graphs are 32-bit words 1 or 2 that follow one another.
        for at in 0..file.len().saturating_sub(8) {
            let words = [at, at + 4].map(|at| [file[at], file[at + 1], file[at + 2], file[at + 3]]);
            if words.map(u32::from_le_bytes).into_iter().any(|word| word != 1 && word != 2) {
                continue;
            }
            let mut file = file.clone();
            file[at..at + 8].fill(0);
            let error = load(&file).err().map(|error| error.to_string());
            found += usize::from(error.is_some_and(|text| text.contains("runs within itself")));
        }
    }
    assert!(found > 0);
}
