//! Dot products, written so that the compiler keeps the sums of many lanes in vector registers: lanes
//! are added up only once, in an order that does not depend on the machine.

/// Products that are summed side by side, each in its own lane.
const LANES: usize = 16;

/// Of bytes. Sums wrap, as the reference's do.
#[inline(always)]
pub(in super::super) fn dot_i8(x: &[i8], w: &[i8]) -> i32 {
    let ((x, x_rest), (w, w_rest)) = (x.as_chunks::<LANES>(), w.as_chunks::<LANES>());
    let mut sums = [0i32; LANES];
    for (x, w) in x.iter().zip(w) {
        for lane in 0..LANES {
            // A product of two `i8` fits an `i16`.
            let product = i16::from(x[lane]) * i16::from(w[lane]);
            sums[lane] = sums[lane].wrapping_add(i32::from(product));
        }
    }
    let sum = sums.iter().fold(0i32, |sum, &lane| sum.wrapping_add(lane));
    x_rest
        .iter()
        .zip(w_rest)
        .fold(sum, |sum, (&x, &w)| sum.wrapping_add(i32::from(i16::from(x) * i16::from(w))))
}

/// Products of 16 by 8 bits that fit 32 bits together: `2^7` of at most `2^22` in each lane.
const WORDS: usize = LANES << 7;

/// Of 16-bit activations and 8-bit weights; exact.
#[inline(always)]
pub(in super::super) fn dot_i16(x: &[i16], w: &[i8]) -> i64 {
    let product = |x: i16, w: i8| i32::from(x) * i32::from(w);
    let mut sum = 0i64;
    for (x, w) in x.chunks(WORDS).zip(w.chunks(WORDS)) {
        let ((x, x_rest), (w, w_rest)) = (x.as_chunks::<LANES>(), w.as_chunks::<LANES>());
        let mut sums = [0i32; LANES];
        for (x, w) in x.iter().zip(w) {
            for lane in 0..LANES {
                sums[lane] += product(x[lane], w[lane]);
            }
        }
        let rest = x_rest.iter().zip(w_rest).map(|(&x, &w)| i64::from(product(x, w)));
        sum += sums.iter().map(|&lane| i64::from(lane)).sum::<i64>() + rest.sum::<i64>();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_any_length_are_summed() {
        for len in [0, 1, 15, 16, 17, 40] {
            let x: Vec<i8> = (0..len).map(|i| (i % 7 - 3) as i8).collect();
            let w: Vec<i8> = (0..len).map(|i| (i % 5 - 2) as i8).collect();
            let sum: i32 = x.iter().zip(&w).map(|(&x, &w)| i32::from(x) * i32::from(w)).sum();
            assert_eq!(dot_i8(&x, &w), sum);
            let wide: Vec<i16> = x.iter().map(|&x| x.into()).collect();
            assert_eq!(dot_i16(&wide, &w), i64::from(sum));
        }
    }

    #[test]
    fn long_rows_of_the_largest_words_do_not_overflow() {
        let len = 3 * WORDS + 5;
        let sum = dot_i16(&vec![i16::MIN; len], &vec![i8::MIN; len]);
        assert_eq!(sum, (len as i64) << 22);
    }
}
