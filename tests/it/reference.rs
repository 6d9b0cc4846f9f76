//! Runs a model on inputs made here and compares every output with what LiteRT gave for the
//! same ones: integers byte for byte, floats to 1e-5 of themselves or of 1, which
//! `scripts/zoo-goldens.py` wrote down.

use edgerun::arrays::{self, Array};
use edgerun::data::{DType, Tensor, TensorData, TensorSpec};
use edgerun::engine::{Threads, native};

/// SplitMix64, by Sebastiano Vigna.
fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Input `index` as bytes: noise around 128 where it is even, fainter every time up to a 16th; a
/// walk with small steps where it is odd.
pub(crate) fn seeded(index: u64, len: usize) -> Vec<u8> {
    let mut state = index;
    let mut walk = 128i64;
    let mut next = || {
        let noise = splitmix64(&mut state);
        if index.is_multiple_of(2) {
            let faint = index / 2 % 5;
            return ((noise >> (56 + faint)) + 128 - (128 >> faint)) as u8;
        }
        walk += ((noise >> 32) % 9) as i64 - 4;
        let folded = walk.rem_euclid(510);
        (if folded > 255 { 510 - folded } else { folded }) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// FNV-1a.
pub(crate) fn fnv64(bytes: &[u8]) -> u64 {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

pub(crate) fn tensor(spec: &TensorSpec, bytes: Vec<u8>) -> Tensor {
    let signed = || bytes.iter().map(|byte| byte.cast_signed());
    let data = match spec.dtype {
        DType::I8 => TensorData::I8(signed().collect()),
        DType::U8 => TensorData::U8(bytes),
        DType::F32 => TensorData::F32(signed().map(|byte| f32::from(byte) / 40.0).collect()),
        other => panic!("an input of {other}"),
    };
    Tensor::new(spec.shape.clone(), data).unwrap()
}

/// The elements of the array called `name`.
fn array<'a>(arrays: &'a [Array], name: &str) -> &'a TensorData {
    let found = arrays.iter().find(|array| array.name == name);
    found.unwrap_or_else(|| panic!("no array {name}")).tensor.data()
}

/// Reads array `y_<port>`: `rows` outputs like `spec`.
fn expected(arrays: &[Array], port: usize, spec: &TensorSpec, rows: usize) -> Vec<Tensor> {
    let all = array(arrays, &format!("y_{port}"));
    let len = spec.elements();
    assert_eq!(all.len(), rows * len, "output {port} of {rows} runs");
    let row =
        |i: usize| Tensor::new(spec.shape.clone(), all.slice(i * len, (i + 1) * len)).unwrap();
    (0..rows).map(row).collect()
}

/// Multiply-accumulates that a test may take in CI's tier; `EDGERUN_FULL=1` is for all inputs.
const SAMPLE: u64 = 2_000_000_000;

/// Inputs that are run on several threads, too.
const SHARED: usize = 2;

/// Runs the model in `file` on the inputs that `tests/data/<golden>.npz` has outputs for: all of
/// them, or the first few of a large model.
///
/// `hybrid` models quantize their activations as they go: theirs is a thousandth of the output's range.
pub(crate) fn assert_as_litert(file: &[u8], golden: &str, hybrid: bool) {
    let path = format!("{}/tests/data/{golden}.npz", env!("CARGO_MANIFEST_DIR"));
    let golden = arrays::read(path.as_ref()).unwrap();
    let TensorData::I64(hashes) = array(&golden, "inputs_fnv64") else { panic!("no hashes") };
    let model = native::load(file).unwrap();
    let load = |threads| native::load_as(file, &[], &Threads::exactly(threads).sharing_all());
    let shared = [2, 3, 7].map(|threads| load(threads).unwrap());
    let mut shared = shared.map(|model| model.session().unwrap());
    let signature = model.signature();
    let all = hashes.len() / signature.inputs.len();
    let macs = model.report().ops.iter().map(|op| op.macs).sum::<u64>().max(1);
    let rows = match std::env::var_os("EDGERUN_FULL") {
        Some(_) => all,
        None => all.min(4.max(SAMPLE / macs) as usize),
    };
    let expected: Vec<Vec<Tensor>> = (0..signature.outputs.len())
        .map(|port| expected(&golden, port, &signature.outputs[port], all))
        .collect();
    let range = |rows: &Vec<Tensor>| {
        let values = rows.iter().flat_map(|row| row.data().to_f64().unwrap());
        let ends = values.fold((0.0f64, 0.0f64), |(low, high), v| (low.min(v), high.max(v)));
        ends.1 - ends.0
    };
    let ranges: Vec<f64> = expected.iter().map(range).collect();
    let mut session = model.session().unwrap();
    let mut outputs: Vec<Tensor> = signature.outputs.iter().map(Tensor::zeros).collect();
    let mut hashes = hashes.iter();
    for row in 0..rows {
        let mut inputs = Vec::new();
        for (port, spec) in signature.inputs.iter().enumerate() {
            let bytes = seeded((row + 100 * port) as u64, spec.elements());
            assert_eq!(
                Some(&fnv64(&bytes).cast_signed()),
                hashes.next(),
                "input {row} is not the reference's"
            );
            inputs.push(tensor(spec, bytes));
        }
        session.infer(&inputs, &mut outputs).unwrap();
        for (port, (found, expected)) in outputs.iter().zip(&expected).enumerate() {
            let place = format!("input {row}, output {port}");
            assert_same(found, &expected[row], hybrid.then_some(ranges[port]), &place);
        }
        for session in shared.iter_mut().filter(|_| row < SHARED) {
            let mut on_threads: Vec<Tensor> = signature.outputs.iter().map(Tensor::zeros).collect();
            session.infer(&inputs, &mut on_threads).unwrap();
            assert!(on_threads == outputs, "input {row} on several threads");
        }
    }
}

fn assert_same(found: &Tensor, expected: &Tensor, hybrid: Option<f64>, at: &str) {
    let at_float = found.dtype() == DType::F32;
    let [found, expected] = [found, expected].map(|tensor| tensor.data().to_f64().unwrap());
    let allowed = |b: f64| match (at_float, hybrid) {
        (false, _) => 0.0,
        (true, None) => 1e-5 * b.abs().max(1.0),
        (true, Some(range)) => 1e-3 * range,
    };
    let unlike = |a: f64, b: f64| a.is_nan() || (a - b).abs() > allowed(b);
    let pairs = || found.iter().zip(&expected).enumerate().filter(|(_, (a, b))| unlike(**a, **b));
    if let Some((place, (found, expected))) = pairs().next() {
        let (differing, all) = (pairs().count(), expected.to_string());
        panic!("{at}: {differing} differ; the first at {place} is {found}, expected {all}");
    }
}
