# The board's half of scripts/deploy, in POSIX sh, for BusyBox, too.
#   look ROOT SERVICE CONFIG        says what this board is and has; changes nothing
#   install ROOT SERVICE KEEP TRIAL WAIT HOLD
#                                   makes a release of the upload beside this script, and hands it to the guard
#   rollback ROOT TRIAL WAIT HOLD   hands the release before to the guard
#   outcome ROOT TRIAL SECONDS      waits for what came of a trial, and says it
#   list ROOT                       the releases that are here
#   remove ROOT SERVICE             takes all of this away; a package's program and unit are then in charge again
# ROOT is / or the folder of an image; SERVICE is yes or no; TRIAL names one deployment.
#
#   /opt/edgerun/releases/ID/   bin/edgerun, systemd/edgerun.service, etc/…: whole, and never changed
#   /opt/edgerun/current        the release that runs: switching is one rename
#   /opt/edgerun/previous       the one before
#   /opt/edgerun/trial          there while the guard has not decided
# Files of the system (/etc/edgerun/edgerun.toml, the unit, /usr/local/bin/edgerun) are links through `current`.
set -eu
umask 022

command=$1 root=${2%/}
shift 2
opt=$root/opt/edgerun
etc=$root/etc/edgerun
units=$root/etc/systemd/system

# A line that breaks must not end what has begun: nobody may be listening any more.
say() { printf 'board: %s\n' "$*" >&2 || true; }
fail() {
    say "$*"
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }
# The release that a link names; empty where there is none.
named() { basename "$(readlink "$opt/$1" 2>/dev/null)" 2>/dev/null || true; }

look() {
    service=$1 config=$2
    if [ -z "$root" ] && [ "$(id -u)" != 0 ]; then
        fail "not root here: log in as root, or give --sudo. Nothing was changed"
    fi
    # Both: the tools may be there without systemd being what started this system.
    if [ "$service" = yes ] && { ! has systemctl || ! [ -d "$root/run/systemd/system" ]; }; then
        fail "this system does not run systemd, which runs the service; --no-service installs the files only. Nothing was changed"
    fi
    if [ "$service" = yes ] && [ "$config" = no ] && ! [ -e "$etc/edgerun.toml" ]; then
        fail "there is no /etc/edgerun/edgerun.toml yet: give --config. Nothing was changed"
    fi
    for tool in tar sha256sum mktemp sync sed; do
        has $tool || fail "$tool is missing here. Nothing was changed"
    done
    mv --help 2>&1 | grep -q -e '-[A-Za-z]*T' || fail "mv has no -T here. Nothing was changed"
    if [ -f "$opt/trial" ]; then
        fail "a deployment is on trial here, and the guard decides within minutes: try again then. Nothing was changed"
    fi
    printf 'machine %s\n' "$(uname -m)"
    glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null || ldd --version 2>/dev/null | head -n 1) || true
    printf 'glibc %s\n' "${glibc##* }"
    printf 'current %s\n' "$(named current)"
    # What is here need not travel; a file that somebody has changed is another file.
    for other in "$opt/releases"/*/; do
        if [ -f "$other/FILES" ]; then
            (cd "$other" && sha256sum -c FILES 2>/dev/null | sed -n 's/: OK$//p' | while read -r path; do
                sed -n "s|^\([0-9a-f]*\)  $path\$|have \1|p" FILES
            done)
        fi
    done | sort -u
}

# Users and owners are the running system's business, not an image's.
ours() { [ -z "$root" ] && [ "$service" = yes ]; }
owner() { if ours; then chown "$1" "$2"; fi; }
user() {
    if ! ours; then return 0; fi
    if has systemd-sysusers; then
        systemd-sysusers "$release/system/edgerun.conf"
    else
        grep -q '^i2c:' /etc/group || groupadd --system i2c
        grep -q '^edgerun:' /etc/passwd || useradd --system --user-group --groups i2c \
            --home-dir /var/lib/edgerun --shell /usr/sbin/nologin edgerun
    fi
}

# replace SOURCE TARGET: a file whole under its name, or not at all; leaves an equal one alone.
replace() {
    if cmp -s "$1" "$2"; then return 0; fi
    mkdir -p "${2%/*}"
    cp "$1" "$2.new"
    chmod 644 "$2.new"
    mv "$2.new" "$2"
}

# link TARGET NAME: the same for a symbolic link. A folder in its place steps aside first.
link() {
    if [ "$(readlink "$2" 2>/dev/null)" = "$1" ]; then return 0; fi
    mkdir -p "${2%/*}"
    rm -f "$2.new"
    ln -s "$1" "$2.new"
    if [ -d "$2" ] && ! [ -L "$2" ]; then mv "$2" "$2.before"; fi
    mv -T "$2.new" "$2"
    rm -rf "$2.before"
}

# The names below /etc/edgerun that a release gives: files, credentials, and each model's folder.
given() {
    if [ -d "$1/etc" ]; then
        (cd "$1/etc" && for name in * credentials/* models/*; do
            case $name in credentials | models | *'*') continue ;; esac
            printf '%s\n' "$name"
        done)
    fi
}

# up NAME: the way from NAME's folder below /etc/edgerun to ROOT.
up() { case $1 in */*) printf '../../..' ;; *) printf '../..' ;; esac; }
is_ours() { case $(readlink "$etc/$1" 2>/dev/null) in */opt/edgerun/current/etc/*) true ;; *) false ;; esac; }

# A file of the new release: from the upload, or from a release that is here. Only configuration is ever changed in
# place; the rest is one file on the disk, however many releases have it.
fetch() {
    if [ -f "$here/blobs/$1" ]; then
        cp "$here/blobs/$1" "$2"
        return
    fi
    for other in "$opt/releases"/*/; do
        path=$(sed -n "s|^$1  ||p" "$other/FILES" 2>/dev/null | head -n 1)
        if [ "$path" ] && same "$other/$path" "$2"; then return; fi
    done
    fail "the file $1 did not come, and is not here any more: try again. Nothing was changed"
}

same() {
    case $2 in
        */bin/* | */etc/models/*) cp -Rpl "$1" "$2" 2>/dev/null || cp -Rp "$1" "$2" ;;
        *) cp -Rp "$1" "$2" ;;
    esac
}

# What an earlier deployment gave and this one does not bring goes on, as it is now. Files of the board's own stay where
# they are.
carry() {
    for name in $(given "$1"); do
        if [ -e "$new/etc/$name" ] || ! is_ours "$name"; then continue; fi
        mkdir -p "$new/etc/$(dirname "$name")"
        same "$1/etc/$name" "$new/etc/$name"
    done
}

modes() {
    chmod 755 "$new/bin/edgerun"
    find "$new/etc" -type d -exec chmod 755 {} +
    find "$new/etc" "$new/system" "$new/systemd" -type f -exec chmod 644 {} +
    if [ -f "$new/etc/edgerun.toml" ]; then chmod 640 "$new/etc/edgerun.toml"; fi
    if [ -d "$new/etc/credentials" ]; then
        chmod 700 "$new/etc/credentials"
        find "$new/etc/credentials" -type f -exec chmod 600 {} +
    fi
    if ours; then
        chown -R root:edgerun "$new/etc"
        if [ -d "$new/etc/credentials" ]; then chown -R edgerun:edgerun "$new/etc/credentials"; fi
    fi
}

# What runs here and is no release yet becomes one, so that there is something to go back to.
adopt() {
    own=$opt/releases/.own.$$
    mkdir -p "$own/etc" "$own/bin" "$own/systemd"
    for name in $(given "$release"); do
        if [ -e "$etc/$name" ] && ! is_ours "$name"; then
            mkdir -p "$own/etc/$(dirname "$name")"
            cp -RpL "$etc/$name" "$own/etc/$name"
        fi
    done
    if ! [ -e "$opt/current" ]; then
        for program in "$root/usr/local/bin/edgerun" "$root/usr/bin/edgerun"; do
            if [ -x "$program" ] && ! [ -e "$own/bin/edgerun" ]; then cp -pL "$program" "$own/bin/edgerun"; fi
        done
        for unit in "$units" "$root/lib/systemd/system" "$root/usr/lib/systemd/system"; do
            if [ -f "$unit/edgerun.service" ] && ! [ -e "$own/systemd/edgerun.service" ]; then
                cp -L "$unit/edgerun.service" "$own/systemd/edgerun.service"
            fi
        done
    elif [ "$(given "$own")" ]; then
        # A board that has releases, and files of its own beside them: both are what runs now.
        was=$opt/current/
        cp -Rp "$was/bin" "$was/systemd" "$own/"
        for name in $(given "$was"); do
            if ! [ -e "$own/etc/$name" ]; then
                mkdir -p "$own/etc/$(dirname "$name")"
                cp -Rp "$was/etc/$name" "$own/etc/$name"
            fi
        done
    fi
    if [ "$(given "$own")" ] || [ -e "$own/bin/edgerun" ]; then
        if [ -d "$own/etc/credentials" ]; then chmod 700 "$own/etc/credentials"; fi
        own_id=own-$(cd "$own" && find . -type f -exec sha256sum {} + | sort | sha256sum | cut -c 1-12)
        rm -rf "$opt/releases/$own_id"
        sync
        mv "$own" "$opt/releases/$own_id"
        point "$own_id"
    else
        rm -rf "$own"
    fi
}

point() {
    rm -f "$opt/current.new"
    ln -s "releases/$1" "$opt/current.new"
    mv -T "$opt/current.new" "$opt/current"
    sync
}

# The new binary reads the new configuration among the files that it will live with, before anything changes: what is
# on the board, with the release laid over it. Only a wrong configuration (78) is in the way; a bus that the running
# service holds, or a broker that is away, is not.
check() {
    view=$here/view
    mkdir -p "$view/models" "$view/credentials"
    for from in "$etc" "$new/etc"; do
        for path in "$from"/* "$from/models"/* "$from/credentials"/*; do
            name=${path#"$from"/}
            case $name in models | credentials) continue ;; esac
            if [ -e "$path" ]; then ln -sfn "$path" "$view/$name"; fi
        done
    done
    code=0
    said=$(CREDENTIALS_DIRECTORY=$view/credentials "$new/bin/edgerun" check --config "$view/edgerun.toml" 2>&1) || code=$?
    if [ $code = 78 ]; then
        printf '%s\n' "$said" >&2
        fail "the configuration is wrong. Nothing was changed"
    fi
}

# Whole in its folder, on the disk, and proved to run, before a name of the system changes.
assemble() {
    while read -r sum path; do
        mkdir -p "$new/$(dirname "$path")"
        fetch "$sum" "$new/$path"
    done <"$here/FILES"
    if ! (cd "$new" && sha256sum -c "$here/FILES") >/dev/null 2>&1; then
        fail "a file arrived damaged: try again. Nothing was changed"
    fi
    mkdir -p "$new/etc"
    if [ -e "$opt/current" ]; then carry "$opt/current/"; fi
    chmod 755 "$new/bin/edgerun"
    if ! version=$("$new/bin/edgerun" --version 2>&1); then
        fail "the binary does not run here ($(uname -m), $(uname -sr)): $version. Nothing was changed"
    fi
    release=$new
    user
    if [ "$service" = yes ]; then check; fi
    modes
    (cd "$new" && find . -type f ! -name FILES -exec sha256sum {} + | sed 's|^\([0-9a-f]*\) [ *]\./|\1  |' | sort) >"$here/made"
    mv "$here/made" "$new/FILES"
    version=$(printf '%s' "$version" | sed -n '1s/^[^ ]* *//p' | tr -cd 'A-Za-z0-9.+-' | cut -c 1-40)
    id=${version:-unknown}-$(sha256sum <"$new/FILES" | cut -c 1-12)
}

# The oldest go, never what runs or what ran before it; the new one is no release yet.
prune() {
    # shellcheck disable=SC2012 # names are ours: no newlines; find has no order in time
    ls -1t "$opt/releases" | tail -n "+$keep" | while read -r other; do
        case $other in
            "$(named current)" | "$(named previous)") ;;
            *) rm -rf "$opt/releases/${other:?}" ;;
        esac
    done
}

install_files() {
    for name in $(given "$release"); do
        if ! is_ours "$name"; then link "$(up "$name")/opt/edgerun/current/etc/$name" "$etc/$name"; fi
    done
    chmod 700 "$etc/credentials"
    owner edgerun:edgerun "$etc/credentials"
    link ../../../opt/edgerun/current/bin/edgerun "$root/usr/local/bin/edgerun"
    # An absolute target: systemd takes the unit for one that lies elsewhere, as `systemctl link` makes it.
    link /opt/edgerun/current/systemd/edgerun.service "$units/edgerun.service"
    replace "$release/system/edgerun.conf" "$root/etc/sysusers.d/edgerun.conf"
    replace "$release/system/60-edgerun.rules" "$root/etc/udev/rules.d/60-edgerun.rules"
    replace "$release/system/edgerun-guard.service" "$units/edgerun-guard.service"
    replace "$release/system/guard.sh" "$opt/guard.sh"
    # For buses that are already there; a system without udev has its own way.
    if [ -z "$root" ] && [ -S /run/udev/control ]; then
        udevadm control --reload || true
        udevadm trigger --subsystem-match=i2c-dev || true
    fi
}

# From here on the guard is at work, whatever becomes of this line.
hand_over() {
    # The verdict before is what the new release is measured by: a sensor that was away already is no reason to go back.
    shown=$(systemctl show edgerun.service -p ActiveState -p StatusText 2>/dev/null) || shown=''
    before=any
    case $shown in
        *ActiveState=active*) before=$(printf '%s\n' "$shown" | sed -n 's/^StatusText=\([a-z]*\).*/\1/p') ;;
    esac
    cat >"$opt/trial.new" <<EOF
phase=switch
trial=$1
new=$2
old=$3
before=${before:-any}
wait=$4
hold=$5
boots=0
why=
EOF
    sync
    mv "$opt/trial.new" "$opt/trial"
    sync
    trap '' HUP INT TERM PIPE
    systemctl daemon-reload || true
    systemctl enable edgerun-guard.service >/dev/null 2>&1 || true
    systemctl start --no-block edgerun-guard.service ||
        fail "the guard cannot be started: systemctl status edgerun-guard. It goes on with the next boot"
}

install() {
    service=$1 keep=$2 trial=$3 wait=$4 hold=$5
    mkdir -p "$opt/releases" "$etc/credentials" "$etc/models"
    # One at a time; the lock goes with this process. Without flock(1), two at once are the operator's risk.
    if has flock; then
        exec 9>"$opt/.lock"
        flock -n 9 || fail "another deployment is at work here. Nothing was changed"
    fi
    rm -rf "$opt/releases"/.[no]*
    new=$opt/releases/.new.$$
    trap 'rm -rf "$here" "$new" "$opt/releases"/.own.*' EXIT
    assemble
    old=$(named current)
    if [ "$id" = "$old" ] && (cd "$opt/current/" && sha256sum -c FILES) >/dev/null 2>&1; then
        say "already runs $id"
        exit 0
    fi
    # What runs was changed by hand, and its name is taken.
    if [ "$id" = "$old" ]; then id=$id.new; fi
    prune
    release=$opt/releases/$id
    rm -rf "$release"
    sync
    mv "$new" "$release"
    sync
    # A look from a second terminal must not find it empty; what is oldest goes first.
    touch "$release"
    adopt
    old=$(named current)
    if [ "$service" = no ]; then
        install_files
        point "$id"
        say "installed $id"
        exit 0
    fi
    install_files
    sync
    if [ "$old" ] && ! [ -x "$opt/releases/$old/bin/edgerun" ]; then old=''; fi
    say "on trial: $id"
    hand_over "$trial" "$id" "$old" "$wait" "$hold"
}

rollback() {
    to=$(named previous)
    [ -x "$opt/releases/${to:-none}/bin/edgerun" ] || fail "there is no release before the one that runs. Nothing was changed"
    if [ -f "$opt/trial" ]; then fail "a deployment is on trial here. Nothing was changed"; fi
    say "on trial: $to"
    hand_over "$1" "$to" "$(named current)" "$2" "$3"
}

outcome() {
    trial=$1 seconds=$2
    while :; do
        if grep -q "^$trial " "$opt/outcome" 2>/dev/null; then
            sed "s/^[^ ]* //" "$opt/outcome"
            return
        fi
        [ "$seconds" -gt 0 ] || break
        sleep 1
        seconds=$((seconds - 1))
    done
    if [ -f "$opt/trial" ]; then printf 'pending\n'; else printf 'unknown\n'; fi
}

list() {
    current=$(named current) previous=$(named previous)
    for release in "$opt/releases"/*/; do
        release=${release%/} release=${release##*/}
        case $release in
            '*') ;;
            "$current") printf '%s runs\n' "$release" ;;
            "$previous") printf '%s before\n' "$release" ;;
            *) printf '%s kept\n' "$release" ;;
        esac
    done
}

remove() {
    service=$1
    if [ -f "$opt/trial" ]; then fail "a deployment is on trial here. Nothing was changed"; fi
    if ! [ -d "$opt" ]; then fail "there are no releases here. Nothing was changed"; fi
    for name in $(given "$opt/current/"); do
        if is_ours "$name"; then
            # The board keeps the configuration and the models that it runs with.
            rm -rf "$etc/$name.kept"
            cp -RpL "$opt/current/etc/$name" "$etc/$name.kept"
            rm "$etc/$name"
            mv "$etc/$name.kept" "$etc/$name"
        fi
    done
    if [ "$service" = yes ]; then systemctl disable --now edgerun-guard.service edgerun.service >/dev/null 2>&1 || true; fi
    rm -f "$root/usr/local/bin/edgerun" "$units/edgerun.service" "$units/edgerun-guard.service" \
        "$root/etc/sysusers.d/edgerun.conf" "$root/etc/udev/rules.d/60-edgerun.rules" \
        "$units/multi-user.target.wants/edgerun.service" "$units/multi-user.target.wants/edgerun-guard.service"
    rm -rf "$opt"
    if [ "$service" = yes ]; then
        systemctl daemon-reload
        if systemctl enable --now edgerun.service >/dev/null 2>&1; then say "removed; the package's program runs"; return; fi
    fi
    say "removed; /etc/edgerun and /var/lib/edgerun stay"
}

case $command in
    look) look "$@" ;;
    install)
        here=$(cd "$(dirname "$0")" && pwd)
        trap 'rm -rf "$here"' EXIT
        trap 'exit 1' HUP INT TERM
        install "$@"
        ;;
    rollback) rollback "$@" ;;
    outcome) outcome "$@" ;;
    list) list ;;
    remove) remove "$@" ;;
esac
