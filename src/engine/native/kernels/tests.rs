//! Every instruction set gives the bytes of the scalar kernels, and these those of the formula.

mod hybrid;

use bytemuck::Pod;
use proptest::prelude::*;

use super::border::{Border, Form};
use super::depthwise::{Depthwise, DepthwiseFilters, SlidingWindow};
use super::float::{FloatDepthwise, FloatGemm};
use super::gemm::{Gemm, Layout};
use super::table::Table;
use super::*;
use crate::engine::native::pool::tests::walk;
use crate::engine::native::pool::{Team, View, ViewMut};

/// Xorshift, by George Marsaglia.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 20) as usize % bound
    }

    /// Bytes of one `flavour`: anything, or mostly the ends of the range.
    fn bytes(&mut self, len: usize, flavour: u8) -> Vec<i8> {
        let byte = |random: &mut Self| match (flavour, random.below(4)) {
            (1, 0..=2) => -128,
            (2, 0) => -128,
            (2, 1..=2) => 127,
            _ => (random.next() >> 30) as i8,
        };
        (0..len).map(|_| byte(self)).collect()
    }
}

/// A convolution of one image.
#[derive(Clone, Debug)]
struct Case {
    seed: u64,
    input: [usize; 2],
    channels: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    n: usize,
    padded: bool,
    flavours: [u8; 2],
    zero_points: [i32; 3],
    scale: f32,
    range: (i32, i32),
}

fn pair(range: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = [usize; 2]> {
    [range.clone(), range]
}

fn case() -> impl Strategy<Value = Case> {
    let channels = prop_oneof![1usize..=9, 10usize..=70, Just(16), Just(32), Just(128)];
    let kernel = prop_oneof![Just([1, 1]), Just([3, 3]), Just([5, 5]), pair(1..=5), Just([1, 7])];
    let n = prop_oneof![1usize..=70, Just(16), Just(100)];
    let zero_point = || prop_oneof![Just(0), Just(-128), Just(127), -128..=127];
    let scale = prop_oneof![1e-4f32..0.02, Just(1e-9), Just(1.0), Just(1e9)];
    let range = prop_oneof![Just((-128, 127)), Just((-7, 90)), Just((0, 127)), Just((5, 5))];
    let weights_zero = prop_oneof![2 => Just(0), 1 => -128..=127];
    let shape = (any::<u64>(), pair(1..=12), channels, kernel, n, any::<bool>());
    let window = (pair(1..=3), prop_oneof![3 => Just([1, 1]), 1 => pair(1..=3)]);
    let numbers = ([0u8..3, 0u8..3], zero_point(), weights_zero, zero_point(), scale, range);
    (shape, window, numbers).prop_map(|(shape, (stride, dilation), numbers)| {
        let (seed, input, channels, kernel, n, padded) = shape;
        let (flavours, zx, zw, zy, scale, range) = numbers;
        let zero_points = [zx, zw, zy];
        let seed = seed | 1;
        Case {
            seed,
            input,
            channels,
            kernel,
            stride,
            dilation,
            n,
            padded,
            flavours,
            zero_points,
            scale,
            range,
        }
    })
}

/// What a case needs, made from its seed.
struct Made {
    border: Border,
    output: [usize; 2],
    x: Vec<i8>,
    weights: Vec<i8>,
    bias: Vec<i32>,
    scales: Vec<f32>,
}

/// What operators call: `run` on `x`, `y` and so much scratch, full of a value, on so many threads.
fn on_threads<X: Sync, Y: Pod + Send, S: Pod + Send>(
    threads: usize,
    x: &[X],
    y: &mut [Y],
    (len, fill): (Option<usize>, S),
    run: impl Fn(&Team<'_>, View<'_, X>, ViewMut<'_, Y>, ViewMut<'_, S>) + Sync,
) {
    walk(threads, y, &mut vec![fill; len.unwrap()], |team, y, scratch| {
        run(team, View::new(x), y, scratch);
    });
}

impl Case {
    /// Filters over `taken` channels each; `None` when nothing of the window fits.
    fn make(&self, filters: usize, taken: usize) -> Option<Made> {
        let reach = [0, 1].map(|i| (self.kernel[i] - 1) * self.dilation[i] + 1);
        let before = reach.map(|reach| if self.padded { reach / 2 } else { 0 });
        let after = reach.map(|reach| if self.padded { reach - 1 - reach / 2 } else { 0 });
        let fill = self.zero_points[0] as i8;
        let (input, channels) = (self.input, self.channels);
        let border = Border { input, channels, before, after, fill };
        let outer = border.outer();
        let mut output = [0; 2];
        for i in 0..2 {
            output[i] = outer[i].checked_sub(reach[i])? / self.stride[i] + 1;
        }
        let mut random = Random(self.seed);
        let x = random.bytes(input[0] * input[1] * channels, self.flavours[0]);
        let taps = self.kernel[0] * self.kernel[1];
        let weights = random.bytes(filters * taken * taps, self.flavours[1]);
        let bias = (0..filters).map(|_| (random.next() >> 45) as i32 - (1 << 18)).collect();
        let scale = |random: &mut Random| self.scale * (1.0 + random.below(1000) as f32 / 999.0);
        let scales = (0..filters).map(|_| scale(&mut random)).collect();
        Some(Made { border, output, x, weights, bias, scales })
    }

    fn requantize(&self) -> Output {
        Output::new(self.zero_points[2], self.range.0, self.range.1)
    }

    /// Sum of `w(tap) · x` over the taps of output (y, x), by the formula.
    fn sum(
        &self,
        made: &Made,
        at: [usize; 2],
        w: impl Fn(usize, usize) -> i32,
        of: &[usize],
    ) -> i32 {
        let mut sum = 0i32;
        for tap in 0..self.kernel[0] * self.kernel[1] {
            let tap_at = [tap / self.kernel[1], tap % self.kernel[1]];
            let place = [0, 1].map(|i| {
                (at[i] * self.stride[i] + tap_at[i] * self.dilation[i])
                    .checked_sub(made.border.before[i])
            });
            let [Some(y), Some(x)] = place else { continue };
            if y >= self.input[0] || x >= self.input[1] {
                continue;
            }
            for (i, &channel) in of.iter().enumerate() {
                let x = made.x[(y * self.input[1] + x) * self.channels + channel];
                let x = i32::from(x) - self.zero_points[0];
                sum = sum.wrapping_add(x.wrapping_mul(w(tap, i) - self.zero_points[1]));
            }
        }
        sum
    }

    fn requantized(&self, sum: i32, scale: f32) -> i8 {
        let steps =
            (f64::from(sum as f32 * scale)).round_ties_even() + f64::from(self.zero_points[2]);
        steps.clamp(f64::from(self.range.0), f64::from(self.range.1)) as i8
    }

    /// The convolution by the formula.
    fn expected(&self, made: &Made) -> Vec<i8> {
        let all: Vec<usize> = (0..self.channels).collect();
        let taps = self.kernel[0] * self.kernel[1];
        let mut y = Vec::new();
        for at in 0..made.output[0] * made.output[1] {
            let at = [at / made.output[1], at % made.output[1]];
            for n in 0..self.n {
                let w = |tap, i| i32::from(made.weights[(n * taps + tap) * self.channels + i]);
                let sum = self.sum(made, at, w, &all).wrapping_add(made.bias[n]);
                y.push(self.requantized(sum, made.scales[n]));
            }
        }
        y
    }

    fn layout(&self, made: &Made) -> Layout {
        let pitch = made.border.pitch();
        let segments = |taps: usize| {
            let line = |y: usize| y * self.dilation[0] * pitch;
            let tap = move |x: usize| x * self.dilation[1] * self.channels;
            let all =
                (0..self.kernel[0]).flat_map(move |y| (0..taps).map(move |x| line(y) + tap(x)));
            all.map(|at| at as u32).collect()
        };
        if self.dilation[1] == 1 {
            Layout { segments: segments(1), run: self.kernel[1] * self.channels }
        } else {
            Layout { segments: segments(self.kernel[1]), run: self.channels }
        }
    }

    /// Where the rows of the product begin, if the bordered input does at `start`.
    fn rows(&self, made: &Made, start: usize) -> Table {
        let ([rows, columns], pitch) = (made.output, made.border.pitch());
        let offset = |row: usize| {
            let (y, x) = (row / columns, row % columns);
            start + y * self.stride[0] * pitch + x * self.stride[1] * self.channels
        };
        Table::new((0..rows * columns).map(offset)).unwrap()
    }

    fn run(&self, isa: Isa, made: &Made) -> Vec<i8> {
        let layout = self.layout(made);
        let filters = Filters {
            weights: &made.weights,
            bias: &made.bias,
            scales: &made.scales,
            zero_point: self.zero_points[1],
            input_zero_point: self.zero_points[0],
        };
        let count = made.output[0] * made.output[1];
        let gemm = Gemm::new(isa, layout, filters, self.requantize(), self.padded, count);
        assert!(gemm.bytes() <= Gemm::bytes_max(self.n, gemm.k()).unwrap());
        let mut staged = Vec::new();
        let (mut start, mut x) = (0, bytemuck::cast_slice::<i8, u8>(&made.x));
        if self.padded {
            staged.resize(made.border.bytes(gemm.reads()).unwrap(), 0);
            made.border.copy(
                &Team::alone(),
                gemm.reads(),
                View::new(&made.x),
                ViewMut::new(&mut staged),
            );
            (start, x) = (Border::start(gemm.reads()), &staged);
        }
        // A gap after each row shows what is written beyond it.
        let gap = 3;
        let in_rows = self.rows(made, start);
        let outs = Table::even(count, self.n + gap).unwrap();
        let mut y = vec![77i8; count * (self.n + gap)];
        let mut scratch = vec![0x55; gemm.scratch()];
        gemm.run(x, &in_rows, &mut y, &outs, &mut scratch);
        let (whole, gaps): (Vec<_>, Vec<_>) =
            y.chunks(self.n + gap).map(|row| row.split_at(self.n)).unzip();
        assert!(gaps.concat().iter().all(|&byte| byte == 77), "nothing beyond a row is written");
        whole.concat()
    }

    fn window(&self, made: &Made) -> SlidingWindow {
        SlidingWindow {
            kernel: self.kernel,
            stride: self.stride,
            dilation: self.dilation,
            output: made.output,
            pitch: made.border.pitch(),
        }
    }

    fn geometry(&self, made: &Made) -> Geometry {
        Geometry {
            input: self.input,
            channels: self.channels,
            kernel: self.kernel,
            stride: self.stride,
            dilation: self.dilation,
            before: made.border.before,
            output: made.output,
        }
    }

    /// Two equal images through what operators call, on so many threads, and the outputs of both.
    fn run_whole(
        &self,
        (isa, threads): (Isa, usize),
        made: &Made,
        depthwise: bool,
    ) -> [Vec<i8>; 2] {
        let filters = Filters {
            weights: &made.weights,
            bias: &made.bias,
            scales: &made.scales,
            zero_point: self.zero_points[1],
            input_zero_point: self.zero_points[0],
        };
        let x = [&made.x[..], &made.x[..]].concat();
        let (geometry, output) = (self.geometry(made), self.requantize());
        let image = made.output[0] * made.output[1] * made.bias.len();
        let mut y = vec![77; 2 * image];
        if depthwise {
            let mut conv = DepthwiseConv::new(isa, geometry, filters, output).unwrap();
            conv.split(threads);
            assert!(conv.bytes() <= DepthwiseConv::bytes_max(&geometry).unwrap());
            on_threads(threads, &x, &mut y, (conv.scratch(), 0x33u8), |team, x, y, scratch| {
                conv.run(team, x, y, scratch);
            });
        } else {
            let mut conv = Conv::new(isa, geometry, filters, output).unwrap();
            conv.split(threads);
            assert!(conv.bytes() <= Conv::bytes_max(&geometry, made.bias.len()).unwrap());
            on_threads(threads, &x, &mut y, (conv.scratch(), 0x33u8), |team, x, y, scratch| {
                conv.run(team, x, y, scratch);
            });
        }
        let second = y.split_off(image);
        [y, second]
    }

    /// The same with floats.
    fn run_whole_floats(
        &self,
        (isa, threads): (Isa, usize),
        made: &Made,
        depthwise: bool,
    ) -> [Vec<f32>; 2] {
        let (x, weights, bias, bounds) = self.floats(made);
        let filters = FloatFilters { weights: &weights, bias: &bias, bounds };
        let x = [&x[..], &x[..]].concat();
        let geometry = self.geometry(made);
        let image = made.output[0] * made.output[1] * bias.len();
        let mut y = vec![77.0; 2 * image];
        if depthwise {
            let mut conv = FloatDepthwiseConv::new(isa, geometry, filters).unwrap();
            conv.split(threads);
            assert!(conv.bytes() <= FloatDepthwiseConv::bytes_max(&geometry).unwrap());
            on_threads(threads, &x, &mut y, (conv.scratch(), f32::NAN), |team, x, y, scratch| {
                conv.run(team, x, y, scratch);
            });
        } else {
            let mut conv = FloatConv::new(isa, geometry, filters).unwrap();
            conv.split(threads);
            assert!(conv.bytes() <= FloatConv::bytes_max(&geometry, bias.len()).unwrap());
            on_threads(threads, &x, &mut y, (conv.scratch(), f32::NAN), |team, x, y, scratch| {
                conv.run(team, x, y, scratch);
            });
        }
        let second = y.split_off(image);
        [y, second]
    }

    /// Inputs, weights, biases and bounds.
    fn floats(&self, made: &Made) -> (Vec<f32>, Vec<f32>, Vec<f32>, [f32; 2]) {
        let float = |values: &[i8]| values.iter().map(|&v| f32::from(v) / 37.0).collect::<Vec<_>>();
        let bias: Vec<f32> = made.bias.iter().map(|&b| b as f32 / 1e4).collect();
        let bounds = if self.padded { [f32::NEG_INFINITY, f32::INFINITY] } else { [-3.0, 6.0] };
        (float(&made.x), float(&made.weights), bias, bounds)
    }

    /// Both kinds of float kernels, one after the other.
    fn run_floats(&self, isa: Isa, made: &Made, depthwise: bool) -> Vec<f32> {
        let (x, weights, bias, bounds) = self.floats(made);
        let filters = FloatFilters { weights: &weights, bias: &bias, bounds };
        let mut staged = vec![0.0; made.border.reals().unwrap()];
        made.border.copy_reals(&Team::alone(), View::new(&x), ViewMut::new(&mut staged));
        let (count, n) = (made.output[0] * made.output[1], bias.len());
        let mut y = vec![77.0; count * n];
        if depthwise {
            let kernel = FloatDepthwise::new(isa, self.window(made), filters);
            if self.padded || kernel.needs_slack() {
                kernel.run(&staged, Border::REAL_START, &mut y);
            } else {
                kernel.run(&x, 0, &mut y);
            }
            return y;
        }
        let gemm = FloatGemm::new(isa, self.layout(made), filters, count);
        let (x, start) = if self.padded { (staged, Border::REAL_START) } else { (x, 0) };
        let rows = self.rows(made, start);
        gemm.run(&x, &rows, &mut y, &Table::even(count, n).unwrap());
        y
    }

    /// The same in `f64`.
    fn expected_floats(&self, made: &Made, depthwise: bool) -> Vec<f64> {
        let mut y = Vec::new();
        let n = made.bias.len();
        let taps = self.kernel[0] * self.kernel[1];
        for at in 0..made.output[0] * made.output[1] {
            let at = [at / made.output[1], at % made.output[1]];
            for f in 0..n {
                let channels = if depthwise { f..f + 1 } else { 0..self.channels };
                let mut sum = f64::from(made.bias[f] as f32 / 1e4);
                for tap in 0..taps {
                    let tap_at = [tap / self.kernel[1], tap % self.kernel[1]];
                    let place = [0, 1].map(|i| {
                        let place = at[i] * self.stride[i] + tap_at[i] * self.dilation[i];
                        place.wrapping_sub(made.border.before[i])
                    });
                    if place[0] >= self.input[0] || place[1] >= self.input[1] {
                        continue;
                    }
                    for c in channels.clone() {
                        let x = made.x[(place[0] * self.input[1] + place[1]) * self.channels + c];
                        let w = if depthwise {
                            made.weights[tap * n + f]
                        } else {
                            made.weights[(f * taps + tap) * self.channels + c]
                        };
                        sum += f64::from(f32::from(x) / 37.0) * f64::from(f32::from(w) / 37.0);
                    }
                }
                y.push(if self.padded { sum } else { sum.clamp(-3.0, 6.0) });
            }
        }
        y
    }

    fn expected_depthwise(&self, made: &Made) -> Vec<i8> {
        let mut y = Vec::new();
        for at in 0..made.output[0] * made.output[1] {
            let at = [at / made.output[1], at % made.output[1]];
            for c in 0..self.channels {
                let w = |tap, _| i32::from(made.weights[tap * self.channels + c]);
                let sum = self.sum(made, at, w, &[c]).wrapping_add(made.bias[c]);
                y.push(self.requantized(sum, made.scales[c]));
            }
        }
        y
    }

    fn run_depthwise(&self, isa: Isa, made: &Made) -> Vec<i8> {
        let filters = DepthwiseFilters {
            weights: &made.weights,
            bias: &made.bias,
            scales: &made.scales,
            zero_point: self.zero_points[1],
            input_zero_point: self.zero_points[0],
            window: self.window(made),
        };
        let depthwise = Depthwise::new(isa, filters, self.requantize());
        let taps = self.kernel[0] * self.kernel[1];
        assert!(depthwise.bytes() <= Depthwise::bytes_max(taps, self.channels).unwrap());
        let mut y = vec![77i8; made.output[0] * made.output[1] * self.channels];
        if self.padded || depthwise.needs_slack() {
            let mut staged = vec![0; made.border.bytes(Form::Signed).unwrap()];
            made.border.copy(
                &Team::alone(),
                Form::Signed,
                View::new(&made.x),
                ViewMut::new(&mut staged),
            );
            let x = bytemuck::cast_slice(&staged);
            depthwise.run(x, Border::start(Form::Signed), &mut y);
        } else {
            depthwise.run(&made.x, 0, &mut y);
        }
        y
    }
}

proptest! {
    #[test]
    fn products_of_every_instruction_set_are_those_of_the_formula(case in case()) {
        let Some(made) = case.make(case.n, case.channels) else { return Ok(()) };
        let expected = case.expected(&made);
        for isa in Isa::available() {
            prop_assert!(case.run(isa, &made) == expected, "{} differs", isa.name());
        }
    }

    #[test]
    fn depthwise_of_every_instruction_set_is_that_of_the_formula(case in case()) {
        let Some(made) = case.make(case.channels, 1) else { return Ok(()) };
        let expected = case.expected_depthwise(&made);
        for isa in Isa::available() {
            prop_assert!(case.run_depthwise(isa, &made) == expected, "{} differs", isa.name());
        }
    }

    #[test]
    fn floats_of_every_instruction_set_are_the_same_and_near_the_formula(
        case in case(),
        depthwise: bool,
    ) {
        let (filters, taken) = if depthwise { (case.channels, 1) } else { (case.n, case.channels) };
        let Some(made) = case.make(filters, taken) else { return Ok(()) };
        let scalar = case.run_floats(Isa::SCALAR, &made, depthwise);
        for (&y, expected) in scalar.iter().zip(case.expected_floats(&made, depthwise)) {
            // Up to 3200 products of up to 12 that may cancel.
            let near = (f64::from(y) - expected).abs() <= 2e-3 * expected.abs().max(1.0);
            prop_assert!(near, "{y} for {expected}");
        }
        for isa in Isa::available() {
            let y = case.run_floats(isa, &made, depthwise);
            prop_assert!(y == scalar, "{} differs", isa.name());
        }
    }

    #[test]
    fn whole_convolutions_are_those_of_the_formula_for_every_image(
        case in case(),
        depthwise: bool,
        threads in 1..8usize,
    ) {
        let (filters, taken) = if depthwise { (case.channels, 1) } else { (case.n, case.channels) };
        let Some(made) = case.make(filters, taken) else { return Ok(()) };
        let expected =
            if depthwise { case.expected_depthwise(&made) } else { case.expected(&made) };
        let floats = case.run_floats(Isa::SCALAR, &made, depthwise);
        for isa in Isa::available() {
            let [first, second] = case.run_whole((isa, threads), &made, depthwise);
            prop_assert!(first == expected && second == expected, "{} differs", isa.name());
            let [first, second] = case.run_whole_floats((isa, threads), &made, depthwise);
            prop_assert!(first == floats && second == floats, "{} floats differ", isa.name());
        }
    }
}

#[test]
fn one_row_by_many_filters_is_that_of_the_formula() {
    let small = [(1, 3), (3, 9), (5, 16), (7, 17), (128, 8), (4, 33)];
    let large = [(15, 47), (16, 48), (31, 64), (640, 128), (37, 64), (1280, 1000)];
    for (channels, n) in small.into_iter().chain(large) {
        for (weights_zero, flavour) in [(0, 0), (0, 1), (-5, 2)] {
            let case = Case {
                seed: 7,
                input: [1, 1],
                channels,
                kernel: [1, 1],
                stride: [1, 1],
                dilation: [1, 1],
                n,
                padded: false,
                flavours: [flavour, flavour],
                zero_points: [-3, weights_zero, 9],
                scale: 1e-3,
                range: (-128, 127),
            };
            let made = case.make(n, channels).unwrap();
            let expected = case.expected(&made);
            for isa in Isa::available() {
                assert!(case.run(isa, &made) == expected, "{} {case:?}", isa.name());
                for threads in [2, 3, 7] {
                    // Parts of the filters.
                    let [y, _] = case.run_whole((isa, threads), &made, false);
                    assert!(y == expected, "{} {case:?} on {threads} threads", isa.name());
                    let [y, _] = case.run_whole_floats((isa, threads), &made, false);
                    let floats = case.run_floats(isa, &made, false);
                    assert!(y == floats, "{} {case:?} on {threads} threads", isa.name());
                }
            }
        }
    }
}

/// Sums at the ends of 32 bits, with scales on both sides of those that cannot leave them.
#[test]
fn outputs_of_any_sum_are_those_of_the_formula() {
    let below_one = f32::from_bits(1.0f32.to_bits() - 1);
    for (range, zero) in [((-128, 127), -128), ((-128, 127), 127), ((-7, 90), 3)] {
        let case = Case {
            seed: 7,
            input: [3, 5],
            channels: 96,
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            n: 96,
            padded: false,
            flavours: [1, 1],
            zero_points: [-128, 0, zero],
            scale: 1.0,
            range,
        };
        for scale in [1e-9, 0.3, below_one, 1.0, 3e9] {
            for depthwise in [false, true] {
                let mut made =
                    case.make(case.n, if depthwise { 1 } else { case.channels }).unwrap();
                let ends = [i32::MAX, i32::MIN, i32::MAX - 64, 0];
                made.bias.iter_mut().zip(ends.into_iter().cycle()).for_each(|(b, end)| *b = end);
                made.scales.fill(scale);
                let expected =
                    if depthwise { case.expected_depthwise(&made) } else { case.expected(&made) };
                for isa in Isa::available() {
                    let [y, _] = case.run_whole((isa, 1), &made, depthwise);
                    assert!(y == expected, "{} {scale} {case:?}", isa.name());
                }
            }
        }
    }
}

/// What tiles read where it lies: lines as wide as several of them, with rests, and windows up to the very
/// end of the input.
#[test]
fn wide_images_by_many_filters_are_those_of_the_formula() {
    let shapes = [
        ([3, 70], 24, [3, 3], [1, 1], true),
        ([4, 64], 64, [1, 1], [1, 1], false),
        ([3, 33], 70, [1, 1], [1, 1], false),
        ([5, 67], 40, [3, 3], [2, 2], true),
        ([4, 50], 22, [3, 3], [1, 1], false),
        ([20, 30], 96, [1, 1], [1, 1], false),
    ];
    for (input, channels, kernel, stride, padded) in shapes {
        for (n, weights_zero, flavour) in [(16, 0, 0), (40, -5, 2), (144, 0, 1)] {
            let case = Case {
                seed: 11,
                input,
                channels,
                kernel,
                stride,
                dilation: [1, 1],
                n,
                padded,
                flavours: [flavour, flavour],
                zero_points: [-3, weights_zero, 9],
                scale: 1e-3,
                range: (-128, 127),
            };
            let made = case.make(n, channels).unwrap();
            let expected = case.expected(&made);
            for isa in Isa::available() {
                assert!(case.run(isa, &made) == expected, "{} {case:?}", isa.name());
                let [y, _] = case.run_whole((isa, 3), &made, false);
                assert!(y == expected, "{} {case:?} on 3 threads", isa.name());
            }
        }
    }
}
