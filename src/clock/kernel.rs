//! What the kernel says about the wall clock's synchronisation.

use crate::data::ClockState;

/// The error bound above which the kernel itself gives the clock up (`NTP_PHASE_LIMIT`, 16 s), in
/// microseconds. It starts there at boot and after every manual setting of the clock.
#[cfg(target_os = "linux")]
const ERROR_LIMIT_US: i64 = 16_000_000;

/// Asks the kernel, adjtimex(2), changing nothing.
///
/// Where the call is forbidden (`ProtectClock=` in a systemd unit does that), the answer is unsynced.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
pub(super) fn clock_state() -> ClockState {
    // SAFETY: `timex` is a plain C struct of integers, for which all zeros is valid; modes = 0 asks
    // to change nothing. The kernel writes only into the struct that we own and pass by its address.
    let (result, timex) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&mut timex), timex)
    };
    // The field's width differs between targets.
    #[allow(clippy::useless_conversion)]
    judge(result, i64::from(timex.maxerror))
}

/// Elsewhere nobody says, so nothing is promised.
#[cfg(not(target_os = "linux"))]
pub(super) fn clock_state() -> ClockState {
    ClockState::Unsynced
}

/// The verdict on adjtimex's return value and `maxerror`, as systemd-timedated does it: by the error
/// bound and not by `STA_UNSYNC` (or `TIME_ERROR`, which repeats it), because chrony without `rtcsync`
/// keeps that flag set on a synchronised clock.
#[cfg(target_os = "linux")]
fn judge(result: i32, error_us: i64) -> ClockState {
    if result >= 0 && error_us < ERROR_LIMIT_US { ClockState::Synced } else { ClockState::Unsynced }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn clock_is_synced_while_its_error_is_bounded() {
        assert_eq!(judge(libc::TIME_OK, 250_000), ClockState::Synced);
        assert_eq!(judge(libc::TIME_ERROR, 250_000), ClockState::Synced);
        assert_eq!(judge(libc::TIME_ERROR, ERROR_LIMIT_US), ClockState::Unsynced);
    }

    #[test]
    fn clock_is_unsynced_when_the_kernel_does_not_say() {
        assert_eq!(judge(-1, 0), ClockState::Unsynced);
    }

    #[test]
    fn kernel_can_be_asked() {
        let first = clock_state();
        assert!(matches!(first, ClockState::Synced | ClockState::Unsynced));
    }
}
