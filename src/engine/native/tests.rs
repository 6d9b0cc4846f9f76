//! Models of the conformance suite, damaged.

use std::fs::File;
use std::io::Read;

use super::*;
use crate::data::{Tensor, TensorData};

/// The models of a family of the conformance suite, by name.
fn family(name: &str) -> Vec<(String, Vec<u8>)> {
    let path = format!("{}/tests/data/conformance/{name}.zip", env!("CARGO_MANIFEST_DIR"));
    let mut archive = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
    let mut models = Vec::new();
    for i in 0..archive.len() {
        let mut member = archive.by_index(i).unwrap();
        let name = member.name().unwrap().into_owned();
        if name.ends_with(".tflite") {
            let mut bytes = Vec::new();
            member.read_to_end(&mut bytes).unwrap();
            models.push((name, bytes));
        }
    }
    models
}

/// A few models of every kind; those of a few hundred bytes to a few thousand.
fn some_models() -> Vec<(String, Vec<u8>)> {
    let families = ["conv", "dense", "movement", "reduce", "control", "sequence", "converter"];
    let of = |name: &&str| {
        let models = family(name);
        let step = models.len().div_ceil(2);
        models.into_iter().step_by(step)
    };
    families.iter().flat_map(of).collect()
}

/// Loads a damaged model; what loads all the same has to run, unless it would take long.
fn load_and_run(bytes: &[u8]) -> Result<(), EngineError> {
    drop(describe(bytes));
    let model = load(bytes)?;
    let report = model.report();
    let small = report.ops.iter().map(|op| op.macs).sum::<u64>() < 1 << 20;
    if small && report.arena_bytes.is_some_and(|bytes| bytes < 1 << 20) {
        let inputs: Vec<Tensor> = model.signature().inputs.iter().map(Tensor::zeros).collect();
        let mut outputs: Vec<Tensor> =
            model.signature().outputs.iter().map(Tensor::zeros).collect();
        model.session()?.infer(&inputs, &mut outputs)?;
    }
    Ok(())
}

#[test]
fn a_model_cut_anywhere_is_refused_or_runs_and_never_panics() {
    for (name, file) in some_models() {
        assert!(load_and_run(&file).is_ok(), "{name} itself");
        for len in (0..file.len()).step_by(7) {
            drop(load_and_run(&file[..len]));
        }
    }
}

#[test]
fn a_model_with_a_damaged_byte_is_refused_or_runs_and_never_panics() {
    let mut state = 1u32;
    for (_, mut file) in some_models() {
        for at in (0..file.len()).step_by(5) {
            // Xorshift, by George Marsaglia.
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let whole = file[at];
            file[at] = [0x00, 0xff, whole ^ 1, (state >> 8) as u8][state as usize % 4];
            drop(load_and_run(&file));
            file[at] = whole;
        }
    }
}

#[test]
fn an_operator_without_a_kernel_is_named() {
    let (_, mut file) =
        family("unary").into_iter().find(|(name, _)| name.starts_with("ceil")).unwrap();
    // The operator code is stored twice, as an old byte and as a new word: CEIL is 104.
    for at in (0..file.len()).filter(|&at| file[at] == 104).collect::<Vec<_>>() {
        file[at] = 15; // LSH_PROJECTION
    }
    let text = load(&file).err().unwrap().to_string();
    assert!(text.starts_with("native cannot run node 0 (LSH_PROJECTION): "), "{text}");
}

/// The model of the shipped gestures.
const GESTURES: &[u8] = include_bytes!("../../../models/gestures/gestures.tflite");

#[test]
fn the_report_tells_operators_and_memory() {
    let report = load(GESTURES).unwrap().report();
    let last = report.ops.iter().rfind(|op| op.op == "FULLY_CONNECTED").unwrap();
    assert!(last.macs > 0 && last.output == [1, 4], "{last:?}");
    let (arena, live) = (report.arena_bytes.unwrap(), report.live_bytes.unwrap());
    assert!(live > 40 * 6 && arena >= live && report.weight_bytes > 1000, "{report:?}");
}

/// The promise about the planner, on all that the suite has.
#[test]
fn the_arena_is_hardly_larger_than_what_lives_together() {
    // Tensors begin at multiples of 64 bytes, which weighs much where a tensor has ten bytes.
    const SMALL: usize = 4096;
    for (name, file) in family("converter").into_iter().chain(family("sequence")) {
        let Ok(model) = load(&file) else { continue };
        let report = model.report();
        let (arena, live) = (report.arena_bytes.unwrap(), report.live_bytes.unwrap());
        assert!(arena <= (live + live / 4).max(SMALL), "{name}: {arena} bytes for {live}");
    }
}

#[test]
fn a_wrong_input_names_it_and_leaves_the_session_usable() {
    let model = load(GESTURES).unwrap();
    let mut session = model.session().unwrap();
    let signature = model.signature();
    let mut outputs: Vec<Tensor> = signature.outputs.iter().map(Tensor::zeros).collect();
    let error = session.infer(&[Tensor::zeros(&signature.outputs[0])], &mut outputs);
    assert!(matches!(error, Err(EngineError::Input { .. })));
    let input = Tensor::zeros(&signature.inputs[0]);
    session.infer(&[input], &mut outputs).unwrap();
}

/// The outputs of 50 runs of a session.
fn runs(mut session: NativeSession, model: &NativeModel) -> Vec<Tensor> {
    let mut all = Vec::new();
    for run in 0..50 {
        let zeros = Tensor::zeros(&model.signature.inputs[0]);
        let values = (0..zeros.data().len()).map(|i| (i * 7 + run * 13) as i8).collect();
        let input = Tensor::new(zeros.shape().to_vec(), TensorData::I8(values)).unwrap();
        let mut output = [Tensor::zeros(&model.signature.outputs[0])];
        session.infer(&[input], &mut output).unwrap();
        all.extend(output);
    }
    all
}

#[test]
fn sessions_that_share_helpers_give_what_one_alone_gives() {
    let load = |threads: Threads| {
        let budget = Budget::default();
        NativeModel::new(tflite::import(GESTURES, &budget).unwrap(), &budget, &threads).unwrap()
    };
    let (alone, shared) = (load(Threads::default()), load(Threads::exactly(3).sharing_all()));
    assert!(shared.program.arena_bytes >= alone.program.arena_bytes);
    for cores in [1, 2, 3, 8] {
        let pool = Arc::new(Pool::new(cores));
        let session = || shared.session_in(pool.clone()).unwrap();
        let expected = runs(alone.session_in(pool.clone()).unwrap(), &alone);
        let (first, second) = (session(), session());
        std::thread::scope(|scope| {
            let both = [first, second].map(|session| scope.spawn(|| runs(session, &shared)));
            for found in both {
                assert!(found.join().unwrap() == expected, "on {cores} cores");
            }
        });
    }
}

#[test]
fn an_open_batch_follows_the_shape_that_is_asked_for() {
    let file = include_bytes!("../../../tests/data/engines/open_batch.tflite");
    let one = load(file).unwrap();
    assert_eq!(one.signature().inputs[0].shape, [1, 6, 4]);
    let three = load_as(file, &[vec![3, 6, 4]], &Threads::default()).unwrap();
    let (input, output) = (&three.signature().inputs[0], &three.signature().outputs[0]);
    assert_eq!((&input.shape[..], &output.shape[..]), (&[3, 6, 4][..], &[3, 3][..]));
    // What the model does not leave open stays, and whoever asked finds out by the signature.
    assert_eq!(
        load_as(file, &[vec![1, 7, 4]], &Threads::default()).unwrap().signature(),
        one.signature()
    );
    let values: Vec<i8> = (0..72).map(|i| (i * 37 % 255 - 127) as i8).collect();
    let run = |model: &dyn Model, values: &[i8]| {
        let spec = &model.signature().inputs[0];
        let x = Tensor::new(spec.shape.clone(), TensorData::I8(values.to_vec())).unwrap();
        let mut y = [Tensor::zeros(&model.signature().outputs[0])];
        model.session().unwrap().infer(&[x], &mut y).unwrap();
        y[0].data().to_f64().unwrap()
    };
    let apart: Vec<f64> = values.chunks(24).flat_map(|row| run(&*one, row)).collect();
    assert_eq!(run(&*three, &values), apart);
}
