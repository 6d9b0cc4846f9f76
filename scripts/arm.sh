# Sourced by scripts that build for 64-bit ARM: finds or installs a Rust compiler with the target's
# standard library. Exports RUSTC and CARGO; wants scripts/step.sh.
# shellcheck shell=bash

arm_target=aarch64-unknown-linux-gnu

arm_std() {
    local lib
    lib=$("$1" --print target-libdir --target $arm_target 2>/dev/null) && compgen -G "$lib/libstd-*.rlib" >/dev/null
}

# Rust's own toolchain where the target was added (`rustup target add aarch64-unknown-linux-gnu`),
# otherwise Debian's: rustc-web is the recent compiler that Debian keeps for its browsers.
arm_rust() {
    if arm_std rustc; then
        RUSTC=$(command -v rustc)
        CARGO=$(command -v cargo)
    else
        if ! arm_std /usr/bin/rustc; then
            if ((EUID)) || [[ $(dpkg --print-architecture 2>/dev/null) != amd64 ]]; then
                fail "no Rust for $arm_target; run: rustup target add $arm_target"
            fi
            dpkg --add-architecture arm64
            install_packages rustc-web cargo-web libstd-rust-web-dev:arm64
            arm_std /usr/bin/rustc || fail "the packages have no standard library for $arm_target"
        fi
        RUSTC=/usr/bin/rustc
        CARGO=/usr/bin/cargo
    fi
    export RUSTC CARGO
    printf 'building with %s (%s)\n' "$("$RUSTC" --version)" "$RUSTC"
}

# Programs linked statically by Debian's cross compiler and run by qemu, which then needs no library of the
# other machine: for tests only, boards get what scripts/build-arm makes.
arm_static() {
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static"
    arm_cpu max
    export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc CXX_aarch64_unknown_linux_gnu=false
}

# Which core qemu is to be when cargo runs something.
arm_cpu() {
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="timeout 600 qemu-aarch64-static -cpu $1"
}
