//! How long a VL53L0X measures: from a budget to the time-out of its last step.
//!
//! Source: ST's API STSW-IMG005, "set measurement timing budget"; the times of the steps before are those of the tuning.

/// ST's least budget, µs.
pub(super) const LEAST_US: u32 = 20_000;

/// Laser pulses' periods of the pre-range and the final range, in clocks: (6 + 1) · 2 and (4 + 1) · 2 by the tuning.
const PRE_CLOCKS: u32 = 14;
const FINAL_CLOCKS: u32 = 10;
/// Macro periods of the first steps and of the pre-range: 0x25 + 1 and 0x96 + 1 by the tuning.
const FIRST_PERIODS: u32 = 38;
const PRE_PERIODS: u32 = 151;
/// What goes with the steps, µs: start and end, twice the target's spread, pre-range and final range.
const START_END_US: u32 = 1320 + 960;
const SPREAD_US: u32 = 690;
const PRE_US: u32 = 660;
const FINAL_US: u32 = 550;

/// A macro period in ns: 2304 periods of a laser that pulses each so many clocks of 1.655 ns.
const fn macro_period_ns(clocks: u32) -> u32 {
    (2304 * clocks * 1655 + 500) / 1000
}

const fn us(periods: u32, clocks: u32) -> u32 {
    (periods * macro_period_ns(clocks) + 500) / 1000
}

/// The time-out of the final range for a budget of at least [`LEAST_US`], as its register holds it: exponent, mantissa.
pub(super) fn final_range(budget_us: u32) -> [u8; 2] {
    let before = START_END_US
        + 2 * (us(FIRST_PERIODS, PRE_CLOCKS) + SPREAD_US)
        + us(PRE_PERIODS, PRE_CLOCKS)
        + PRE_US
        + FINAL_US;
    let left = budget_us.saturating_sub(before);
    let period = macro_period_ns(FINAL_CLOCKS);
    // The pre-range's periods count, too.
    let periods = (left * 1000 + period / 2) / period + PRE_PERIODS;
    let (mut mantissa, mut exponent) = (periods.saturating_sub(1), 0);
    while mantissa > 0xff {
        mantissa >>= 1;
        exponent += 1;
    }
    [exponent, mantissa as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ST's own way back, in µs.
    fn budget([exponent, mantissa]: [u8; 2]) -> u32 {
        let periods = (u32::from(mantissa) << exponent) + 1 - PRE_PERIODS;
        let before = START_END_US
            + 2 * (us(FIRST_PERIODS, PRE_CLOCKS) + SPREAD_US)
            + us(PRE_PERIODS, PRE_CLOCKS)
            + PRE_US
            + FINAL_US;
        before + us(periods, FINAL_CLOCKS)
    }

    #[test]
    fn macro_periods_are_st_s() {
        assert_eq!([macro_period_ns(PRE_CLOCKS), macro_period_ns(FINAL_CLOCKS)], [53_384, 38_131]);
    }

    #[test]
    fn a_budget_comes_back_within_what_its_register_can_say() {
        for wanted in [LEAST_US, 33_000, 50_000, 100_000, 200_000] {
            let kept = budget(final_range(wanted));
            assert!(kept <= wanted + 50 && kept + wanted / 64 >= wanted, "{wanted} is {kept}");
        }
    }

    #[test]
    fn the_tuning_s_own_is_about_30_ms() {
        assert!((28_000..34_000).contains(&budget([0x01, 0xfe])), "{}", budget([0x01, 0xfe]));
    }
}
