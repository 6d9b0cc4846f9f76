//! The kernels of floats, over any vector; always inlined into functions that have the instructions.
#![allow(unsafe_code)]

use super::super::depthwise::walk::Walk;
use super::lanes::Lanes;

/// One block of filters, and the rows that they go over.
pub(super) struct Panel<'a> {
    pub(super) x: *const f32,
    /// Where each row begins.
    pub(super) rows: &'a [u32],
    /// The output, from the block's first filter on.
    pub(super) y: *mut f32,
    /// Where each row of the output begins; as many as `rows`.
    pub(super) outs: &'a [u32],
    /// From segment to segment; the first from the row's beginning.
    pub(super) deltas: &'a [u32],
    /// Values of a segment.
    pub(super) run: usize,
    /// `[k, lanes of the block]`.
    pub(super) weights: &'a [f32],
    /// For each lane of the block.
    pub(super) bias: &'a [f32],
    /// Lanes that have a filter.
    pub(super) lanes: usize,
    pub(super) bounds: [f32; 2],
}

/// Tiles of `MR` rows by `NV` vectors from row `first` on, as many as there are; the row after them.
///
/// # Safety
/// The CPU has the instructions of `V`; rows lie in `x` and `y`; the block has `NV` vectors.
#[inline(always)]
pub(super) unsafe fn tiles<V: Lanes, const MR: usize, const NV: usize>(
    panel: &Panel<'_>,
    mut first: usize,
) -> usize {
    // SAFETY: as the caller says.
    unsafe {
        while first + MR <= panel.rows.len() {
            let mut x = [panel.x; MR];
            for i in 0..MR {
                x[i] = x[i].add(*panel.rows.as_ptr().add(first + i) as usize);
            }
            let mut sums = [[V::splat(0.0); NV]; MR];
            for v in 0..NV {
                let bias = V::load(panel.bias.as_ptr().add(v * V::COUNT));
                for i in 0..MR {
                    sums[i][v] = bias;
                }
            }
            let mut w = panel.weights.as_ptr();
            for &delta in panel.deltas {
                for i in 0..MR {
                    x[i] = x[i].add(delta as usize);
                }
                let mut k = 0;
                while k + 4 <= panel.run {
                    let mut values = [V::four(x[0].add(k)); MR];
                    for i in 1..MR {
                        values[i] = V::four(x[i].add(k));
                    }
                    step::<V, 0, MR, NV>(&mut sums, &values, w);
                    step::<V, 1, MR, NV>(&mut sums, &values, w.add(NV * V::COUNT));
                    step::<V, 2, MR, NV>(&mut sums, &values, w.add(2 * NV * V::COUNT));
                    step::<V, 3, MR, NV>(&mut sums, &values, w.add(3 * NV * V::COUNT));
                    w = w.add(4 * NV * V::COUNT);
                    k += 4;
                }
                while k < panel.run {
                    for v in 0..NV {
                        let weights = V::load(w.add(v * V::COUNT));
                        for i in 0..MR {
                            sums[i][v] = sums[i][v].fma(V::splat(*x[i].add(k)), weights);
                        }
                    }
                    w = w.add(NV * V::COUNT);
                    k += 1;
                }
            }
            let [low, high] = panel.bounds;
            for i in 0..MR {
                let y = panel.y.add(*panel.outs.as_ptr().add(first + i) as usize);
                for v in 0..NV {
                    let sum = sums[i][v].clamp(V::splat(low), V::splat(high));
                    let (y, lanes) = (y.wrapping_add(v * V::COUNT), panel.lanes);
                    if lanes >= (v + 1) * V::COUNT {
                        sum.store(y);
                    } else {
                        sum.store_part(y, lanes.saturating_sub(v * V::COUNT));
                    }
                }
            }
            first += MR;
        }
    }
    first
}

/// One value of each row by a row of weights.
///
/// # Safety
/// As for [`tiles`].
#[inline(always)]
unsafe fn step<V: Lanes, const LANE: usize, const MR: usize, const NV: usize>(
    sums: &mut [[V; NV]; MR],
    x: &[V::Four; MR],
    w: *const f32,
) {
    // SAFETY: as the caller says.
    unsafe {
        let mut weights = [V::load(w); NV];
        for v in 1..NV {
            weights[v] = V::load(w.add(v * V::COUNT));
        }
        for i in 0..MR {
            for v in 0..NV {
                sums[i][v] = sums[i][v].fma_lane::<LANE>(x[i], weights[v]);
            }
        }
    }
}

/// What a depthwise convolution reads; see [`Walk`].
pub(super) struct Lines<'a> {
    pub(super) walk: &'a Walk,
    /// `[taps, lanes of a period and more]`.
    pub(super) weights: &'a [f32],
    pub(super) bias: &'a [f32],
    pub(super) bounds: [f32; 2],
    pub(super) x: *const f32,
    pub(super) y: *mut f32,
}

/// All outputs of a depthwise convolution.
///
/// # Safety
/// The CPU has the instructions of `V`; windows and outputs lie in `x` and `y`, the lanes of a block
/// after the last tap, too.
#[inline(always)]
pub(super) unsafe fn depthwise<V: Lanes>(of: &Lines<'_>) {
    let walk = of.walk;
    for b in 0..walk.b.count {
        for [first, constant, lanes] in walk.blocks() {
            // SAFETY: as the caller says; blocks lie in the lanes and in the constants.
            unsafe {
                let w = of.weights.as_ptr().add(constant);
                let bias = V::load(of.bias.as_ptr().add(constant));
                let mut x = of.x.add(b * walk.b.step + first);
                let mut y = of.y.add(b * walk.b.step_out + first);
                let mut left = walk.a.count;
                while left > 0 {
                    let go = if left >= 4 { 4 } else { 1 };
                    match (go, walk.a.taps, walk.shared) {
                        (4, 3, Some(1)) => shared::<V, 3, 1, 6, 4>(of, w, bias, x, y, lanes),
                        (4, 3, Some(2)) => shared::<V, 3, 2, 9, 4>(of, w, bias, x, y, lanes),
                        (4, ..) => any::<V, 4>(of, w, bias, x, y, lanes),
                        _ => any::<V, 1>(of, w, bias, x, y, lanes),
                    }
                    x = x.wrapping_add(go * walk.a.step);
                    y = y.wrapping_add(go * walk.a.step_out);
                    left -= go;
                }
            }
        }
    }
}

/// `TILE` outputs of `TAPS` taps along `a`, `STRIDE` taps apart: their `LOADS` inputs are loaded once.
///
/// # Safety
/// As for [`depthwise`].
#[inline(always)]
unsafe fn shared<
    V: Lanes,
    const TAPS: usize,
    const STRIDE: usize,
    const LOADS: usize,
    const TILE: usize,
>(
    of: &Lines<'_>,
    mut w: *const f32,
    bias: V,
    x: *const f32,
    y: *mut f32,
    lanes: usize,
) {
    const { assert!(LOADS == (TILE - 1) * STRIDE + TAPS) };
    // SAFETY: as the caller says; a row of weights for each tap.
    unsafe {
        let (walk, row) = (of.walk, of.walk.row());
        let mut sums = [bias; TILE];
        for b in 0..walk.b.taps {
            let x = x.add(b * walk.b.tap);
            let mut weights = [bias; TAPS];
            for weight in &mut weights {
                *weight = V::load(w);
                w = w.wrapping_add(row);
            }
            let mut values = [bias; LOADS];
            for (i, value) in values.iter_mut().enumerate() {
                *value = V::load(x.add(i * walk.a.tap));
            }
            for (tap, &weight) in weights.iter().enumerate() {
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.fma(values[i * STRIDE + tap], weight);
                }
            }
        }
        store(of, &sums, y, lanes);
    }
}

/// `TILE` outputs along `a`, whatever the window.
///
/// # Safety
/// As for [`depthwise`].
#[inline(always)]
unsafe fn any<V: Lanes, const TILE: usize>(
    of: &Lines<'_>,
    mut w: *const f32,
    bias: V,
    x: *const f32,
    y: *mut f32,
    lanes: usize,
) {
    // SAFETY: as the caller says; a row of weights for each tap.
    unsafe {
        let mut sums = [bias; TILE];
        for &tap in of.walk.taps.iter() {
            let weight = V::load(w);
            w = w.wrapping_add(of.walk.row());
            let mut x = x.add(tap as usize);
            for sum in &mut sums {
                *sum = sum.fma(V::load(x), weight);
                x = x.wrapping_add(of.walk.a.step);
            }
        }
        store(of, &sums, y, lanes);
    }
}

/// # Safety
/// As for [`depthwise`].
#[inline(always)]
unsafe fn store<V: Lanes, const TILE: usize>(
    of: &Lines<'_>,
    sums: &[V; TILE],
    mut y: *mut f32,
    lanes: usize,
) {
    // SAFETY: as the caller says.
    unsafe {
        let [low, high] = of.bounds;
        for sum in sums {
            let sum = sum.clamp(V::splat(low), V::splat(high));
            if lanes == V::COUNT {
                sum.store(y);
            } else {
                sum.store_part(y, lanes);
            }
            y = y.wrapping_add(of.walk.a.step_out);
        }
    }
}
