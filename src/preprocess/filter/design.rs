//! Butterworth filters: analogue prototype, frequency transformation, bilinear transformation, second-order sections.
//!
//! Oppenheim and Schafer, *Discrete-Time Signal Processing*, chapter 7; the same filters as `scipy.signal.butter`.

use std::f64::consts::PI;

use rustfft::num_complex::Complex64;

use crate::model::{Cutoff, Filter, Pass};

/// `H(z) = (b0 + b1 z⁻¹ + b2 z⁻²) / (1 + a1 z⁻¹ + a2 z⁻²)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Section {
    b: [f64; 3],
    a: [f64; 2],
}

impl Section {
    /// One value, transposed direct form II.
    pub(super) fn run(&self, x: f64, z: &mut [f64; 2]) -> f64 {
        let y = self.b[0] * x + z[0];
        z[0] = self.b[1] * x - self.a[0] * y + z[1];
        z[1] = self.b[2] * x - self.a[1] * y;
        y
    }

    /// What it makes of a constant 1 for ever.
    fn gain(&self) -> f64 {
        self.b.iter().sum::<f64>() / (1.0 + self.a[0] + self.a[1])
    }
}

/// The state of each section in which a constant 1 at the filter's input changes nothing any more.
pub(super) fn steady(sections: &[Section]) -> Vec<[f64; 2]> {
    let mut scale = 1.0;
    let state = |section: &Section| {
        let y = section.gain();
        let z1 = section.b[2] - section.a[1] * y;
        let z = [(y - section.b[0]) * scale, z1 * scale];
        scale *= y;
        z
    };
    sections.iter().map(state).collect()
}

/// The filter that `settings` describe for `rate_hz` values a second.
pub(super) fn butterworth(settings: &Filter, rate_hz: f64) -> Vec<Section> {
    // Frequencies in units of a sampling of 2 a second, as the bilinear transformation bends them.
    let warped = |hz: f64| 4.0 * libm::tan(PI * hz / rate_hz);
    let order = settings.order as usize;
    let prototype: Vec<Complex64> = (0..order)
        .map(|k| {
            let angle = PI * (2 * k + 1) as f64 / (2 * order) as f64;
            // Left half plane; the middle one of an odd order is exactly real.
            let middle = 2 * k + 1 == order;
            Complex64::new(-libm::sin(angle), if middle { 0.0 } else { libm::cos(angle) })
        })
        .collect();
    let (low, high) = match settings.cutoff_hz {
        Cutoff::One(hz) => (warped(hz), warped(hz)),
        Cutoff::Two([low, high]) => (warped(low), warped(high)),
    };
    let (width, middle) = (high - low, (low * high).sqrt());
    let origin = Complex64::new(0.0, 0.0);
    let (zeros, poles): (Vec<Complex64>, Vec<Complex64>) = match settings.pass {
        Pass::Low => (vec![], prototype.iter().map(|p| *p * low).collect()),
        Pass::High => (vec![origin; order], prototype.iter().map(|p| low / *p).collect()),
        Pass::Band => {
            let poles = prototype.iter().flat_map(|p| split(*p * (width / 2.0), middle));
            (vec![origin; order], poles.collect())
        }
        Pass::Stop => {
            let poles = prototype.iter().flat_map(|p| split(width / 2.0 / *p, middle));
            let zeros = [Complex64::new(0.0, middle), Complex64::new(0.0, -middle)];
            ((0..order).flat_map(|_| zeros).collect(), poles.collect())
        }
    };
    let bilinear = |s: Complex64| (4.0 + s) / (4.0 - s);
    let mut digital_zeros: Vec<Complex64> = zeros.iter().copied().map(bilinear).collect();
    // Zeros at infinity come to lie at half the rate.
    digital_zeros.resize(poles.len(), Complex64::new(-1.0, 0.0));
    let digital_poles: Vec<Complex64> = poles.into_iter().map(bilinear).collect();
    let mut sections = pair(digital_zeros, digital_poles);
    scale(&mut sections, settings, rate_hz);
    sections
}

/// The two poles that a pole of the prototype becomes in a band around `middle`.
fn split(p: Complex64, middle: f64) -> [Complex64; 2] {
    let root = root(p * p - middle * middle);
    [p + root, p - root]
}

/// Sections out of zeros and poles that are conjugate pairs or real, the poles nearest to the unit circle last.
fn pair(zeros: Vec<Complex64>, poles: Vec<Complex64>) -> Vec<Section> {
    let couples = |roots: Vec<Complex64>| {
        let mut complex: Vec<Complex64> = roots.iter().copied().filter(|r| r.im > REAL).collect();
        let mut real: Vec<f64> =
            roots.iter().filter(|r| r.im.abs() <= REAL).map(|r| r.re).collect();
        complex.sort_by(|a, b| a.norm_sqr().total_cmp(&b.norm_sqr()));
        real.sort_by(f64::total_cmp);
        (complex, real)
    };
    let (mut complex_zeros, mut real_zeros) = couples(zeros);
    let (mut complex_poles, real_poles) = couples(poles);
    let mut real_poles = real_poles;
    let mut sections = Vec::new();
    // A polynomial's coefficients after the leading 1.
    let of_pair = |one: Complex64| [-2.0 * one.re, one.norm_sqr()];
    let of_two = |a: f64, b: f64| [-(a + b), a * b];
    let mut numerator = || {
        if let Some(zero) = complex_zeros.pop() {
            return of_pair(zero);
        }
        // One from each end: zeros at 1 and at -1 of a band together, as they belong.
        match real_zeros.len() {
            0 => [0.0, 0.0],
            1 => [-real_zeros.remove(0), 0.0],
            last => {
                let b = real_zeros.remove(last - 1);
                of_two(real_zeros.remove(0), b)
            }
        }
    };
    let mut section = |a: [f64; 2]| {
        let b = numerator();
        sections.push(Section { b: [1.0, b[0], b[1]], a });
    };
    while let Some(pole) = complex_poles.pop() {
        section(of_pair(pole));
    }
    while let Some(pole) = real_poles.pop() {
        match real_poles.pop() {
            Some(other) => section(of_two(pole, other)),
            None => section([-pole, 0.0]),
        }
    }
    sections.reverse();
    sections
}

/// Roots nearer to the real axis count as real.
const REAL: f64 = 1e-12;

/// Brings the gain to 1 where the filter passes all: each section by itself, so that none overflows the next.
fn scale(sections: &mut [Section], settings: &Filter, rate_hz: f64) {
    let z = match (settings.pass, settings.cutoff_hz) {
        (Pass::Low | Pass::Stop, _) => Complex64::new(1.0, 0.0),
        (Pass::High, _) => Complex64::new(-1.0, 0.0),
        // The middle of a band, where the bilinear transformation puts it.
        (Pass::Band, cutoff) => {
            let (low, high) = match cutoff {
                Cutoff::One(hz) => (hz, hz),
                Cutoff::Two([low, high]) => (low, high),
            };
            let half = |hz: f64| libm::tan(PI * hz / rate_hz);
            let angle = 2.0 * libm::atan((half(low) * half(high)).sqrt());
            Complex64::new(libm::cos(angle), libm::sin(angle))
        }
    };
    let back = 1.0 / z;
    for section in sections {
        let [b0, b1, b2] = section.b.map(|b| Complex64::new(b, 0.0));
        let above = b0 + b1 * back + b2 * back * back;
        let [a1, a2] = section.a.map(|a| Complex64::new(a, 0.0));
        let below = 1.0 + a1 * back + a2 * back * back;
        let gain = (above / below).norm_sqr().sqrt();
        section.b = section.b.map(|b| b / gain);
    }
}

/// The root with a real part of at least 0: by roots alone, which round alike on every machine, not by angles as
/// `Complex64::sqrt`.
fn root(of: Complex64) -> Complex64 {
    let length = of.norm_sqr().sqrt();
    let real = ((length + of.re) / 2.0).max(0.0).sqrt();
    let imaginary = ((length - of.re) / 2.0).max(0.0).sqrt();
    Complex64::new(real, imaginary.copysign(of.im))
}
