//! Recipes give what the references of the field give: `tests/data/signal/*.toml` with the `.npz` beside it.

use std::path::Path;

use edgerun::data::Tensor;
use edgerun::model::Manifest;

use crate::allocations::allocations;
use crate::support::cases::{self, Case, HEAD, preprocessor};

fn cases() -> Vec<(Case, Vec<f32>, Tensor)> {
    cases::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/signal"))
}

#[test]
fn recipes_give_what_the_references_give() {
    let mut wrong = Vec::new();
    for (case, x, y) in cases() {
        let recipe = case.recipe();
        let made = [recipe.made().rows, recipe.made().columns.len()];
        assert_eq!(made.as_slice(), y.shape(), "{}", case.name);
        let (mut preprocessor, mut input) = preprocessor(&recipe);
        preprocessor.apply(&x, usize::MAX, &mut input).unwrap();
        let mut again = Ok(());
        let taken = allocations(|| again = preprocessor.apply(&x, usize::MAX, &mut input));
        again.unwrap();
        assert_eq!(taken, 0, "{}: a window takes no memory", case.name);
        let expected = y.data().to_f64().unwrap();
        let peak = expected.iter().fold(0.0f64, |peak, y| peak.max(y.abs()));
        let differences = preprocessor.real().iter().zip(&expected).map(|(&a, &b)| {
            if (a.is_nan() && b.is_nan()) || f64::from(a) == b {
                0.0
            } else {
                (f64::from(a) - b).abs()
            }
        });
        // As large as any, a difference that is no number counts.
        let worst =
            differences.fold(0.0f64, |worst, d| if d > worst || d.is_nan() { d } else { worst });
        if worst.is_nan() || worst > case.tolerance * peak {
            wrong.push(format!(
                "{}: {:.3e} of the peak, {:e} allowed",
                case.name,
                worst / peak,
                case.tolerance
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a step remembers, it remembers across windows: overlapping windows see what one long window sees.
#[test]
fn a_stream_is_filtered_once_however_its_windows_overlap() {
    for (mut case, x, y) in
        cases().into_iter().filter(|(case, ..)| case.name.starts_with("filter_"))
    {
        let expected: Vec<f32> = y.data().to_f64().unwrap().iter().map(|&y| y as f32).collect();
        let peak = expected.iter().fold(0.0f32, |peak, y| peak.max(y.abs()));
        let (length, stride) = (50, 20);
        case.frames = length;
        let recipe = case.recipe();
        let columns = recipe.channels.len();
        let (mut preprocessor, mut input) = preprocessor(&recipe);
        for start in (0..=x.len() / columns - length).step_by(stride) {
            let range = start * columns..(start + length) * columns;
            let fresh = if start == 0 { length } else { stride };
            preprocessor.apply(&x[range.clone()], fresh, &mut input).unwrap();
            for (a, b) in preprocessor.real().iter().zip(&expected[range]) {
                assert!((a - b).abs() <= 1e-6 * peak, "window at {start}: {a}, expected {b}");
            }
        }
    }
}

fn refused(preprocess: &str) -> String {
    let text = format!("{HEAD}\n[preprocess]\n{preprocess}");
    Manifest::parse(&text).expect_err("refused").to_string()
}

#[test]
fn what_does_not_fit_is_refused_by_its_key() {
    let rows = "frames = 4\nrate = \"10 Hz\"\nchannels = [{ name = \"a\" }, { name = \"b\" }]\n";
    let step = |step: &str| refused(&format!("{rows}step = [{step}]"));
    let all = [
        step(r#"{ do = "clip", low = [1.0, 2.0, 3.0], high = 9.0 }"#),
        step(r#"{ do = "scale", factor = 1e39 }"#),
        step(r#"{ do = "filter", pass = "low", order = 2, cutoff_hz = 5.0 }"#),
        step(r#"{ do = "filter", pass = "band", order = 2, cutoff_hz = [3.0, 1.0] }"#),
        step(r#"{ do = "filter", pass = "low", order = 0, cutoff_hz = 1.0 }"#),
        step(r#"{ do = "median", size = 5 }"#),
        step(r#"{ do = "select", columns = ["c"] }"#),
        step(r#"{ do = "lags", of = [4] }"#),
        step(r#"{ do = "project", components = [[1.0]] }"#),
        step(r#"{ do = "band_power", bands = [[6.0, 9.0]] }"#),
        step(r#"{ do = "spectrum", welch = { segment = 5 } }"#),
        step(r#"{ do = "features", of = [{ do = "detrend", of = "none" }] }"#),
        step(
            r#"{ do = "features", of = [{ do = "filter", pass = "low", order = 2, cutoff_hz = 1.0 }] }"#,
        ),
        step(
            r#"{ do = "missing", policy = "drop" }, { do = "filter", pass = "low", order = 2, cutoff_hz = 1.0 }"#,
        ),
        refused(
            "frames = 4\nchannels = [{ name = \"a\" }]\nstep = [{ do = \"filter\", pass = \"low\", order = 2, cutoff_hz = 1.0 }]",
        ),
    ];
    assert_eq!(
        all.join("\n"),
        "preprocess.step[0].low: 3 values for 2 channels\n\
         preprocess.step[0].factor: inf is not a finite number\n\
         preprocess.step[0].cutoff_hz: must lie between 0 and 5 Hz, half the rate of the rows\n\
         preprocess.step[0].cutoff_hz: two frequencies are needed, the lower one first\n\
         preprocess.step[0].order: must be 1..=12, is 0\n\
         preprocess.step[0].size: must be odd and at most the 4 rows that there are, is 5\n\
         preprocess.step[0].columns: there is no \"c\" among a, b\n\
         preprocess.step[0].of: needs 1 to 1024 numbers below the 4 rows that there are\n\
         preprocess.step[0].components: one has 1 weights for 2 columns\n\
         preprocess.step[0].bands: [6, 9] is no band from low to high below 5 Hz, half the rate\n\
         preprocess.step[0].welch: segment must be 2 to the 4 rows that there are, is 5\n\
         preprocess.step[0].of: detrend: of is \"constant\" or \"linear\"\n\
         preprocess.step[0].of: filter: cannot stand here: put it before the features\n\
         preprocess.step[1].do: goes on from window to window: put it before `missing`\n\
         preprocess.step[0]: needs preprocess.rate, and rows that still follow each other in time"
    );
}
