//! Every operator gives what LiteRT gives: for each type, quantization and attribute value that LiteRT
//! takes there is a small model with inputs and outputs, made by `scripts/conformance`.
//!
//! To work through what fails: `EDGERUN_CONFORMANCE=summary` prints a table of passed, wrong and
//! refused cases instead of the list of failures, `EDGERUN_CONFORMANCE_OP=CONV_2D` runs only the cases
//! of one operator (`CONV_2D.int8` of one kind; any beginning of a case's name does). Either way a
//! failure stays a failure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::{Cursor, Read};

use edgerun::arrays;
use edgerun::data::{Tensor, TensorData};
use edgerun::engine::{self, Choice, EngineError, EngineKind, Options, Threads, native};
use serde::Deserialize;
use zip::ZipArchive;

/// One test for each family: they run side by side and are told apart when they fail.
macro_rules! families {
    ($($test:ident: $family:literal;)*) => {
        $(#[test]
        fn $test() {
            assert_family($family);
        })*

        #[test]
        fn every_family_has_a_test() {
            let mut tested = vec![$(concat!($family, ".zip")),*];
            tested.sort_unstable();
            let mut found: Vec<_> = fs::read_dir(folder())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter(|name| name != "README.md")
                .collect();
            found.sort_unstable();
            assert_eq!(tested, found);
        }

        /// Every type and every attribute value of the op table, with each other.
        #[test]
        fn every_cell_of_the_op_table_has_a_case() {
            let indices: Vec<_> = [$($family),*].iter().map(|family| index(&mut open(family))).collect();
            assert_covered(&indices);
        }
    };
}

families! {
    operators_of_one_tensor_give_what_litert_gives: "unary";
    arithmetic_gives_what_litert_gives: "binary";
    comparisons_and_choices_give_what_litert_gives: "compare";
    convolutions_give_what_litert_gives: "conv";
    products_of_matrices_give_what_litert_gives: "dense";
    pools_give_what_litert_gives: "pool";
    data_is_moved_as_litert_moves_it: "movement";
    reductions_give_what_litert_gives: "reduce";
    normalizations_give_what_litert_gives: "normalize";
    control_flow_variables_and_detection_give_what_litert_gives: "control";
    recurrent_layers_give_what_litert_gives: "sequence";
    models_of_the_converter_give_what_litert_gives: "converter";
    resized_images_are_what_litert_gives: "resize";
    boxes_are_chosen_as_litert_chooses_them: "detect";
    graphs_within_graphs_give_what_litert_gives: "subgraphs";
    variables_are_kept_as_litert_keeps_them: "variables";
    layers_with_a_memory_give_what_litert_gives: "recurrent";
}

/// `index.json`.
#[derive(Deserialize)]
struct Index {
    cases: Vec<Case>,
    /// What LiteRT does not take, so that nothing says what would be right.
    refused: Vec<Refused>,
}

/// A case without a golden.
#[derive(Deserialize)]
struct Refused {
    op: String,
    kind: String,
    attributes: BTreeMap<String, String>,
}

/// What `index.json` says of a case.
#[derive(Deserialize)]
struct Case {
    name: String,
    op: String,
    kind: String,
    attributes: BTreeMap<String, String>,
    tolerance: Tolerance,
    /// Who ran it in LiteRT: `xnnpack` or `builtin`.
    by: String,
    runs: usize,
    /// It keeps something from run to run: after a reset all runs give the same again.
    #[serde(default)]
    stateful: bool,
}

/// How far an output may be from LiteRT's.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Tolerance {
    /// Not at all.
    Bytes,
    /// One step: a transcendental function, rounded.
    Unit,
    /// `1e-5 * max(1, |expected|)`.
    Float,
    /// A thousandth of the output's range over all runs.
    Hybrid,
}

/// How a case failed.
enum Failure {
    /// The engine lacks something.
    Unsupported(String),
    /// It gives something else, or an error.
    Wrong(String),
}

fn folder() -> String {
    format!("{}/tests/data/conformance", env!("CARGO_MANIFEST_DIR"))
}

fn open(family: &str) -> ZipArchive<Cursor<Vec<u8>>> {
    let bytes = fs::read(format!("{}/{family}.zip", folder())).unwrap();
    ZipArchive::new(Cursor::new(bytes)).unwrap()
}

fn index(archive: &mut ZipArchive<Cursor<Vec<u8>>>) -> Index {
    serde_json::from_slice(&member(archive, "index.json").unwrap()).unwrap()
}

/// What LiteRT runs within MediaPipe's own models only, and refuses in a model of ours.
const WITHIN_MODELS: [&str; 1] = ["Convolution2DTransposeBias"];

/// For each operator, each type and each value of each attribute there is a case, unless LiteRT
/// refuses that.
fn assert_covered(indices: &[Index]) {
    let mut cells: BTreeSet<(&str, &str, &str, &str)> = BTreeSet::new();
    for index in indices {
        let cases = index.cases.iter().map(|case| (&case.op, &case.kind, &case.attributes));
        let refused = index.refused.iter().map(|case| (&case.op, &case.kind, &case.attributes));
        for (op, kind, attributes) in cases.clone().chain(refused) {
            cells.extend(attributes.iter().map(|(key, value)| (&**op, &**kind, &**key, &**value)));
        }
        // A refused case alone does not make a type covered.
        cells.extend(cases.map(|(op, kind, _)| (&**op, &**kind, "", "")));
    }
    let mut empty = String::new();
    let alone = |operator: &native::OperatorInfo| !WITHIN_MODELS.contains(&operator.name);
    for operator in native::operators().into_iter().filter(alone) {
        for kind in operator.kinds() {
            let attributes = operator.attributes().iter();
            let values =
                attributes.flat_map(|(key, values)| values.iter().map(|&value| (*key, value)));
            for (key, value) in values.chain([("", "")]) {
                if !cells.contains(&(operator.name, kind, key, value)) {
                    writeln!(empty, "{} {kind} {key} {value}", operator.name).unwrap();
                }
            }
        }
    }
    assert!(empty.is_empty(), "cells of the op table without a case:\n{empty}");
}

fn assert_family(family: &str) {
    let mut archive = open(family);
    let cases = index(&mut archive).cases;
    let only = std::env::var("EDGERUN_CONFORMANCE_OP").unwrap_or_default().to_lowercase();
    let mut counts: BTreeMap<(String, String), [usize; 3]> = BTreeMap::new();
    let mut failures = String::new();
    let mut failed = 0;
    for case in cases.iter().filter(|case| case.name.starts_with(&only)) {
        let count = counts.entry((case.op.clone(), case.kind.clone())).or_default();
        let why = match check(case, &mut archive) {
            Ok(()) => {
                count[0] += 1;
                continue;
            }
            Err(Failure::Wrong(why)) => {
                count[1] += 1;
                why
            }
            Err(Failure::Unsupported(why)) => {
                count[2] += 1;
                why
            }
        };
        failed += 1;
        let Case { name, op, kind, attributes, by, .. } = case;
        writeln!(failures, "{name} ({op}, {kind}, {attributes:?}, {by}): {why}").unwrap();
    }
    if std::env::var("EDGERUN_CONFORMANCE").is_ok_and(|value| value == "summary") {
        failures.clear();
        for ((op, kind), [passed, wrong, unsupported]) in counts {
            writeln!(
                failures,
                "{op:32} {kind:16} {passed:4} passed {wrong:4} wrong {unsupported:4} unsupported"
            )
            .unwrap();
        }
    }
    assert!(failed == 0, "{family}: {failed} of {} cases fail\n{failures}", cases.len());
}

fn member(archive: &mut ZipArchive<Cursor<Vec<u8>>>, name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    archive.by_name(name).ok()?.read_to_end(&mut bytes).unwrap();
    Some(bytes)
}

/// The arrays `NAME.x0`, `NAME.x1`… of a case: one tensor a port, the runs along its first dimension.
fn ports(archive: &mut ZipArchive<Cursor<Vec<u8>>>, name: &str, letter: char) -> Vec<Tensor> {
    let port = |port| member(archive, &format!("{name}.{letter}{port}.npy"));
    (0..).map_while(port).map(|bytes| arrays::decode(&bytes).unwrap()).collect()
}

/// Run `run` of an array of runs.
fn row(all: &Tensor, run: usize) -> Tensor {
    let shape = all.shape()[1..].to_vec();
    let len = shape.iter().product::<usize>();
    Tensor::new(shape, all.data().slice(run * len, (run + 1) * len)).unwrap()
}

/// Alone, and cut into parts for three threads however small.
fn check(case: &Case, archive: &mut ZipArchive<Cursor<Vec<u8>>>) -> Result<(), Failure> {
    [1, 3].into_iter().try_for_each(|threads| check_on(threads, case, archive))
}

fn check_on(
    threads: usize,
    case: &Case,
    archive: &mut ZipArchive<Cursor<Vec<u8>>>,
) -> Result<(), Failure> {
    let file = member(archive, &format!("{}.tflite", case.name)).unwrap();
    let threads = Threads::exactly(threads).sharing_all();
    let options = Options { choice: Choice::Only(EngineKind::Native), threads };
    let wrong = |error: EngineError| Failure::Wrong(error.to_string());
    let model = match engine::load(&file, options) {
        Ok(model) => model,
        Err(error @ EngineError::Unsupported { .. }) => {
            return Err(Failure::Unsupported(error.to_string()));
        }
        Err(error) => return Err(wrong(error)),
    };
    let [inputs, expected] = ['x', 'y'].map(|letter| ports(archive, &case.name, letter));
    let mut session = model.session().map_err(wrong)?;
    let mut outputs: Vec<Tensor> = model.signature().outputs.iter().map(Tensor::zeros).collect();
    for turn in 0..case.runs * if case.stateful { 2 } else { 1 } {
        let run = turn % case.runs;
        if turn == case.runs {
            session.reset();
        }
        let inputs: Vec<Tensor> = inputs.iter().map(|all| row(all, run)).collect();
        session.infer(&inputs, &mut outputs).map_err(wrong)?;
        if outputs.len() != expected.len() {
            let (found, wanted) = (outputs.len(), expected.len());
            return Err(Failure::Wrong(format!("{found} outputs, expected {wanted}")));
        }
        for (port, (found, all)) in outputs.iter().zip(&expected).enumerate() {
            let place = format!("run {turn}, output {port}");
            let bound = bound(case.tolerance, all);
            compare(found, &row(all, run), bound)
                .map_err(|why| Failure::Wrong(format!("{place}: {why}")))?;
        }
    }
    Ok(())
}

/// How far an element may be from what is expected: so much, and so much times its magnitude if that
/// is above 1.
fn bound(tolerance: Tolerance, all: &Tensor) -> (f64, f64) {
    match (tolerance, all.data()) {
        (Tolerance::Float, TensorData::F32(_) | TensorData::F64(_)) => (0.0, 1e-5),
        (Tolerance::Hybrid, TensorData::F32(_)) => {
            let values = all.data().to_f64().unwrap();
            let (low, high) = values
                .iter()
                .fold((f64::MAX, f64::MIN), |(low, high), &v| (low.min(v), high.max(v)));
            (1e-3 * (high - low), 0.0)
        }
        (Tolerance::Unit, _) => (1.0, 0.0),
        _ => (0.0, 0.0),
    }
}

fn compare(found: &Tensor, expected: &Tensor, (fixed, relative): (f64, f64)) -> Result<(), String> {
    if found.dtype() != expected.dtype() || found.shape() != expected.shape() {
        let [found, expected] =
            [found, expected].map(|tensor| format!("{} {:?}", tensor.dtype(), tensor.shape()));
        return Err(format!("{found}, expected {expected}"));
    }
    if (fixed, relative) == (0.0, 0.0) && found.data() == expected.data() {
        return Ok(());
    }
    let shape = expected.shape();
    let [found, expected] = [found, expected].map(|tensor| tensor.data().to_f64().unwrap());
    // Written so that a NaN on one side alone differs.
    let same = |(_, (a, b)): &(usize, (&f64, &f64))| {
        (*a - *b).abs() <= fixed + relative * b.abs().max(1.0)
            || a == b
            || (a.is_nan() && b.is_nan())
    };
    let pairs = || found.iter().zip(&expected).enumerate().filter(|pair| !same(pair));
    match pairs().next() {
        None => Ok(()),
        Some((place, (a, b))) => Err(format!(
            "{} of {} elements of {shape:?} differ; the first, {place}, is {a}, expected {b}",
            pairs().count(),
            expected.len(),
        )),
    }
}
