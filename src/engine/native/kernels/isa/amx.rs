//! Whether tiles can be used: AMX has to be asked for.
#![allow(unsafe_code)]

use std::arch::asm;
use std::arch::x86_64::__cpuid_count;
use std::sync::OnceLock;

/// Linux's `arch_prctl`, its request for what is not given without one, and the data of tiles.
const ARCH_PRCTL: isize = 158;
const REQUEST: usize = 0x1023;
const TILE_DATA: usize = 18;

/// Whether the CPU has tiles of 8-bit values and the system lets this process use them.
pub(super) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| cfg!(target_os = "linux") && has_tiles() && is_permitted())
}

/// Called where there is AVX-512, so leaf 7 exists.
fn has_tiles() -> bool {
    const TILE: u32 = 1 << 24;
    const INT8: u32 = 1 << 25;
    __cpuid_count(7, 0).edx & (TILE | INT8) == TILE | INT8
}

/// Asks for the permission, which holds for all threads of the process. The kernel refuses where it
/// does not keep tiles for threads, or where a signal's stack has no room for them.
fn is_permitted() -> bool {
    let mut result = ARCH_PRCTL;
    // SAFETY: the call changes no memory of ours.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") result,
            in("rdi") REQUEST,
            in("rsi") TILE_DATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack)
        );
    }
    result == 0
}
