//! YUYV, two pixels in four bytes, to red, green, blue.

/// Converts a row of `width` pixels (even), `[width, 2]` bytes to `[width, 3]`.
///
/// Limited range, ITU-R BT.601, as V4L2 means for cameras that say nothing else; 8 bits behind the point.
pub(super) fn row(from: &[u8], to: &mut [u8]) {
    let pairs = from.as_chunks::<4>().0.iter().zip(to.as_chunks_mut::<6>().0);
    for (&[left, u, right, v], to) in pairs {
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        let (red, green, blue) = (409 * v + 128, -100 * u - 208 * v + 128, 516 * u + 128);
        let pixel = |luma: u8| {
            let luma = 298 * (i32::from(luma) - 16);
            [red, green, blue].map(|color| ((luma + color) >> 8).clamp(0, 255) as u8)
        };
        let ([r, g, b], [r2, g2, b2]) = (pixel(left), pixel(right));
        *to = [r, g, b, r2, g2, b2];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn black_white_and_the_colours_are_found_again() {
        let mut out = [9; 6];
        row(&[16, 128, 235, 128], &mut out);
        assert_eq!(out, [0, 0, 0, 255, 255, 255]);
        // BT.601 of pure red and of pure blue: 81, 90, 240 and 41, 240, 110.
        row(&[81, 90, 81, 240], &mut out);
        assert!(out[0] >= 253 && out[1] <= 2 && out[2] <= 2, "{out:?}");
        row(&[41, 240, 41, 110], &mut out);
        assert!(out[0] <= 2 && out[1] <= 2 && out[2] >= 253, "{out:?}");
    }
}
