# Sourced by our scripts: steps with their seconds, and the Debian packages that a step needs.
# shellcheck shell=bash

# Debian keeps daemons (sshd, mosquitto) where only root's PATH looks.
PATH=$PATH:/usr/sbin:/sbin

# step NAME COMMAND…: runs it and prints how long it took. `set -e` ends the script inside of the step that
# fails (a test around "$@" would switch that off), and the trap says which one it was.
step() {
    step_name=$1 step_start=$SECONDS
    shift
    printf '\n==> %s\n' "$step_name"
    "$@"
    printf '==> %s: %d s\n' "$step_name" $((SECONDS - step_start))
    step_name=
}

step_name=
step_failed() {
    local code=$?
    if ((code)) && [[ $step_name ]]; then
        printf '==> %s: failed with %d after %d s\n' "$step_name" "$code" $((SECONDS - step_start)) >&2
    fi
    exit "$code"
}
trap step_failed EXIT

# The version of Cargo.toml.
version() { sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1; }

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# need COMMAND:PACKAGE…: installs the packages whose command is missing when root on Debian or a relative,
# otherwise says what to install and ends the script. A command with a slash is a file.
need() {
    local pair missing=()
    for pair in "$@"; do
        case ${pair%:*} in
            */*) [[ -e ${pair%:*} ]] || missing+=("${pair##*:}") ;;
            *) command -v "${pair%:*}" >/dev/null || missing+=("${pair##*:}") ;;
        esac
    done
    if ((${#missing[@]})); then install_packages "${missing[@]}"; fi
}

install_packages() {
    if ! command -v apt-get >/dev/null; then
        fail "needs what Debian has in: $*"
    elif ((EUID)); then
        fail "needs packages; run: sudo apt-get install --no-install-recommends $*"
    fi
    printf 'installing %s\n' "$*"
    # Once more: an index of a mirror may be half renewed.
    apt-get -qq update || apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends "$@" >/dev/null
}
