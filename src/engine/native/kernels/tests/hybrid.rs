//! Sums as they are, layers of floats with 8-bit filters, and filters that are computed.

use super::*;

impl Case {
    /// Floats for the made inputs, and two images of them that differ.
    fn reals(made: &Made) -> Vec<f32> {
        let real = |by: f32| made.x.iter().map(move |&x| f32::from(x) * by);
        real(0.031).chain(real(-0.4)).collect()
    }

    fn hybrid<'a>(&self, made: &'a Made, bias: &'a [f32]) -> HybridFilters<'a> {
        let ways = [Dynamic::Delegate, Dynamic::Asymmetric, Dynamic::Symmetric];
        HybridFilters {
            weights: &made.weights,
            scales: &made.scales,
            bias,
            bounds: if self.padded { [f32::NEG_INFINITY, f32::INFINITY] } else { [-3.0, 6.0] },
            dynamic: ways[(self.seed % 3) as usize],
        }
    }

    /// A hybrid layer by the formula: bytes by the scalar loop, then sums of integers.
    fn expected_hybrid(&self, made: &Made, pixels: bool, depthwise: bool) -> Vec<f32> {
        let bias: Vec<f32> = made.bias.iter().map(|&b| b as f32 / 1e4).collect();
        let filters = self.hybrid(made, &bias);
        let (taps, mut y) = (self.kernel[0] * self.kernel[1], Vec::new());
        for image in Self::reals(made).chunks(made.x.len()) {
            let each = if pixels { self.channels } else { image.len() };
            let mut bytes = vec![0; image.len()];
            let parts = image.chunks(each).zip(bytes.chunks_mut(each));
            let ranges: Vec<_> =
                parts.map(|(x, bytes)| filters.dynamic.quantize(Isa::SCALAR, x, bytes)).collect();
            let of = Made {
                x: bytes,
                weights: Vec::new(),
                bias: Vec::new(),
                scales: Vec::new(),
                ..*made
            };
            for at in 0..made.output[0] * made.output[1] {
                let range = ranges[if pixels { at } else { 0 }];
                let mut case = self.clone();
                case.zero_points = [range.zero_point, 0, 0];
                let place = [at / made.output[1], at % made.output[1]];
                for n in 0..made.scales.len() {
                    let all: Vec<usize> =
                        if depthwise { vec![n] } else { (0..self.channels).collect() };
                    let w = |tap: usize, i: usize| {
                        i32::from(if depthwise {
                            made.weights[tap * self.channels + n]
                        } else {
                            made.weights[(n * taps + tap) * self.channels + i]
                        })
                    };
                    let sum = case.sum(&of, place, w, &all) as f32;
                    let product = if depthwise {
                        sum * (range.scale * made.scales[n])
                    } else {
                        sum * range.scale * made.scales[n]
                    };
                    y.push((product + bias[n]).max(filters.bounds[0]).min(filters.bounds[1]));
                }
            }
        }
        y
    }

    fn run_hybrid(
        &self,
        (isa, threads): (Isa, usize),
        made: &Made,
        pixels: bool,
        depthwise: bool,
    ) -> Vec<f32> {
        let bias: Vec<f32> = made.bias.iter().map(|&b| b as f32 / 1e4).collect();
        let (filters, geometry) = (self.hybrid(made, &bias), self.geometry(made));
        let x = Self::reals(made);
        let mut y = vec![77.0; 2 * made.output[0] * made.output[1] * bias.len()];
        if depthwise {
            let mut conv = HybridDepthwiseConv::new(isa, geometry, filters).unwrap();
            conv.split(threads);
            assert!(conv.bytes() <= HybridDepthwiseConv::bytes_max(&geometry).unwrap());
            on_threads(threads, &x, &mut y, (conv.scratch(), f32::NAN), |team, x, y, scratch| {
                conv.run(team, x, y, scratch);
            });
        } else {
            let ranges = if pixels { Ranges::Pixel } else { Ranges::Image };
            let mut conv = HybridConv::new(isa, geometry, filters, ranges).unwrap();
            conv.split(threads);
            assert!(conv.bytes() <= HybridConv::bytes_max(&geometry, bias.len()).unwrap());
            on_threads(threads, &x, &mut y, (conv.scratch(), 0x33u8), |team, x, y, scratch| {
                conv.run(team, x, y, scratch);
            });
        }
        y
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

proptest! {
    #[test]
    fn sums_are_those_of_the_formula(case in case()) {
        let Some(made) = case.make(case.n, case.channels) else { return Ok(()) };
        let all: Vec<usize> = (0..case.channels).collect();
        let taps = case.kernel[0] * case.kernel[1];
        let mut expected = Vec::new();
        for at in 0..made.output[0] * made.output[1] {
            let at = [at / made.output[1], at % made.output[1]];
            for n in 0..case.n {
                let w = |tap, i| i32::from(made.weights[(n * taps + tap) * case.channels + i]);
                expected.push(case.sum(&made, at, w, &all).wrapping_add(made.bias[n]));
            }
        }
        for isa in Isa::available() {
            let filters = Filters {
                weights: &made.weights,
                bias: &made.bias,
                scales: &[],
                zero_point: case.zero_points[1],
                input_zero_point: case.zero_points[0],
            };
            let count = made.output[0] * made.output[1];
            let gemm =
                Gemm::new(isa, case.layout(&made), filters, Output::new(0, -128, 127), true, count);
            let mut staged = vec![0; made.border.bytes(gemm.reads()).unwrap()];
            made.border.copy(&Team::alone(), gemm.reads(), View::new(&made.x), ViewMut::new(&mut staged));
            let rows = case.rows(&made, Border::start(gemm.reads()));
            let gap = 3;
            let outs = Table::even(count, case.n + gap).unwrap();
            let mut y = vec![77; count * (case.n + gap)];
            let (mut scratch, mut seen) = (vec![0x55; gemm.scratch()], 0);
            gemm.sums(&staged, &rows, &mut y, &outs, &mut scratch, |_, rows| {
                assert_eq!(rows.start, seen);
                seen = rows.end;
            });
            prop_assert_eq!(seen, count);
            let (whole, gaps): (Vec<_>, Vec<_>) =
                y.chunks(case.n + gap).map(|row| row.split_at(case.n)).unzip();
            prop_assert!(gaps.concat().iter().all(|&sum| sum == 77));
            prop_assert_eq!(&whole.concat(), &expected, "{:?}", isa);
        }
    }

    #[test]
    fn hybrid_convolutions_are_those_of_the_formula(case in case(), threads in 1..8usize) {
        let Some(made) = case.make(case.n, case.channels) else { return Ok(()) };
        let expected = bits(&case.expected_hybrid(&made, false, false));
        for isa in Isa::available() {
            prop_assert_eq!(&bits(&case.run_hybrid((isa, threads), &made, false, false)), &expected, "{:?}", isa);
        }
    }

    #[test]
    fn hybrid_pixels_have_ranges_of_their_own(case in case(), threads in 1..8usize) {
        let case = Case { kernel: [1, 1], stride: [1, 1], padded: false, ..case };
        let Some(made) = case.make(case.n, case.channels) else { return Ok(()) };
        let expected = bits(&case.expected_hybrid(&made, true, false));
        for isa in Isa::available() {
            prop_assert_eq!(&bits(&case.run_hybrid((isa, threads), &made, true, false)), &expected, "{:?}", isa);
        }
    }

    #[test]
    fn hybrid_depthwise_convolutions_are_those_of_the_formula(case in case(), threads in 1..8usize) {
        let Some(made) = case.make(case.channels, 1) else { return Ok(()) };
        let expected = bits(&case.expected_hybrid(&made, false, true));
        for isa in Isa::available() {
            prop_assert_eq!(&bits(&case.run_hybrid((isa, threads), &made, false, true)), &expected, "{:?}", isa);
        }
    }

    #[test]
    fn computed_filters_give_what_constant_ones_give(
        case in case(),
        m in 1usize..30,
        k in prop_oneof![1usize..=40, Just(64), Just(130)],
    ) {
        let mut random = Random(case.seed);
        let n = case.n;
        let x = random.bytes(m * k, case.flavours[0]);
        let weights = random.bytes(n * k, case.flavours[1]);
        let turned: Vec<i8> = (0..k * n).map(|i| weights[i % n * k + i / n]).collect();
        let bias: Vec<i32> = (0..n).map(|_| (random.next() >> 45) as i32 - (1 << 18)).collect();
        let scales = vec![case.scale; n];
        let [input_zero_point, zero_point, _] = case.zero_points;
        let filters =
            |weights| Filters { weights, bias: &bias, scales: &scales, zero_point, input_zero_point };
        let (rows, outs) = (Table::even(m, k).unwrap(), Table::even(m, n).unwrap());
        let bytes = bytemuck::cast_slice(&x);
        let [reals, real_weights, real_turned] =
            [&x, &weights, &turned].map(|of| of.iter().map(|&v| f32::from(v) / 37.0).collect::<Vec<_>>());
        let real_bias: Vec<f32> = bias.iter().map(|&b| b as f32 / 1e4).collect();
        let bounds = [-30.0, f32::INFINITY];
        let floats = |weights| FloatFilters { weights, bias: &real_bias, bounds };
        for isa in Isa::available() {
            let own = Gemm::new(isa, Layout::whole(k), filters(&weights), case.requantize(), false, m);
            let mut expected = vec![0; m * n];
            own.run(bytes, &rows, &mut expected, &outs, &mut vec![0; own.scratch()]);
            let open = Gemm::open(isa, k, filters(&[]), case.requantize(), m);
            let real_own = FloatGemm::new(isa, Layout::whole(k), floats(&real_weights), m);
            let mut real_expected = vec![0.0; m * n];
            real_own.run(&reals, &rows, &mut real_expected, &outs);
            let real_open = FloatGemm::open(isa, k, floats(&[]), m);
            for (values, real_values, turn) in
                [(&weights, &real_weights, false), (&turned, &real_turned, true)]
            {
                let mut room = vec![0x5555_5555u32; open.operands().div_ceil(4)];
                let of = open.prepare(values, turn, bytemuck::cast_slice_mut(&mut room));
                let mut y = vec![0; m * n];
                open.run_with(of, bytes, [&rows, &outs], &mut y, &mut vec![0; open.scratch()]);
                prop_assert_eq!(&y, &expected, "{:?} {}", isa, turn);
                let mut room = vec![f32::NAN; real_open.operands()];
                real_open.prepare(real_values, turn, &mut room);
                let mut y = vec![0.0; m * n];
                real_open.run_with(&room, &reals, [&rows, &outs], &mut y);
                prop_assert_eq!(&bits(&y), &bits(&real_expected), "{:?} {}", isa, turn);
            }
        }
    }
}
