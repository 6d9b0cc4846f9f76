# The board's half of scripts/deploy, in POSIX sh.
#   look ROOT SERVICE [config]    says whether an installation can work; changes nothing
#   install ROOT SERVICE SECONDS  installs the tree that lies beside this script, and removes the upload
# ROOT is / or the folder of an image; SERVICE is yes or no.
set -eu
umask 022

command=$1 root=${2%/} service=$3 last=${4-}
etc=$root/etc/edgerun
bin=$root/usr/bin

fail() {
    printf 'board: %s\n' "$*" >&2
    exit 1
}
say() { printf 'board: %s\n' "$*" >&2; }

look() {
    if [ -z "$root" ] && [ "$(id -u)" != 0 ]; then
        fail "not root here: log in as root, or give --sudo. Nothing was changed"
    fi
    if [ "$service" = yes ]; then
        # Both: the tools may be there without systemd being what started this system.
        if ! command -v systemctl >/dev/null || ! [ -d "$root/run/systemd/system" ]; then
            fail "this system does not run systemd, which runs the service; --no-service installs the files only. Nothing was changed"
        fi
        if [ "$last" != config ] && ! [ -f "$etc/edgerun.toml" ] && ! [ -f "${here-}/tree/etc/edgerun/edgerun.toml" ]; then
            fail "there is no /etc/edgerun/edgerun.toml yet: give --config. Nothing was changed"
        fi
    fi
    for tool in tar sha256sum mktemp sync timeout; do
        command -v $tool >/dev/null || fail "$tool is missing here. Nothing was changed"
    done
    mv --help 2>&1 | grep -q -e '-T' || fail "mv has no -T here. Nothing was changed"
}

# Users and owners are the running system's business, not an image's.
ours() { [ -z "$root" ] && [ "$service" = yes ]; }
owner() { if ours; then chown "$1" "$2"; fi; }
user() {
    if ! ours; then return 0; fi
    if command -v systemd-sysusers >/dev/null; then
        systemd-sysusers "$here/tree/etc/sysusers.d/edgerun.conf"
    else
        getent group i2c >/dev/null || groupadd --system i2c
        getent passwd edgerun >/dev/null || useradd --system --user-group --groups i2c \
            --home-dir /var/lib/edgerun --shell /usr/sbin/nologin edgerun
    fi
}

# Where a file waits: in the folder that it is for, since only within one file system is a rename atomic.
beside() { printf '%s/.%s.new' "$root/${1%/*}" "${1##*/}"; }

stage() {
    new=$(beside "$1")
    mkdir -p "${new%/*}"
    cp "$here/tree/$1" "$new"
    case $1 in
        usr/bin/*) chmod 755 "$new" ;;
        etc/edgerun/credentials/*) chmod 600 "$new"; owner edgerun:edgerun "$new" ;;
        etc/edgerun/*) chmod 640 "$new"; owner root:edgerun "$new" ;;
        *) chmod 644 "$new" ;;
    esac
}

# The folder of a model is named by its contents; NAME is a link to it.
stage_model() {
    models=$etc/models
    folder=.$1-$(cd "$here/tree/etc/edgerun/models/$1" && find . -type f -exec sha256sum {} + | sort | sha256sum | cut -c 1-12)
    mkdir -p "$models"
    rm -rf "$models/$folder.new"
    if ! [ -d "$models/$folder" ]; then
        printf '%s\n' "$models/$folder" >>"$here/made"
        cp -R "$here/tree/etc/edgerun/models/$1" "$models/$folder.new"
        sync
        mv "$models/$folder.new" "$models/$folder"
    fi
    ln -sfn "$folder" "$(beside "etc/edgerun/models/$1")"
}

switch_model() {
    link=$etc/models/$1
    before=$(readlink "$link" || true)
    now=$(readlink "$(beside "etc/edgerun/models/$1")")
    # A folder that somebody put there by hand is kept; only a link can be replaced in one step.
    if [ -d "$link" ] && [ -z "$before" ]; then mv "$link" "$link.previous.$$"; fi
    mv -T "$(beside "etc/edgerun/models/$1")" "$link"
    for folder in "$etc/models/.$1-"????????????; do
        case ${folder##*/} in "$now" | "$before") ;; *) rm -rf "$folder" ;; esac
    done
}

# A second name for what runs now, so that there is a file at any moment.
keep() {
    if [ -f "$1" ]; then
        ln -f "$1" "$1.previous.new"
        mv "$1.previous.new" "$1.previous"
    fi
}

tidy() {
    if [ -f "$here/files" ]; then
        while read -r file; do rm -f "$(beside "$file")"; done <"$here/files"
        while read -r model; do rm -f "$(beside "etc/edgerun/models/$model")"; done <"$here/models"
    fi
    if [ -f "$here/made" ]; then
        while read -r folder; do rm -rf "$folder" "$folder.new"; done <"$here/made"
    fi
    rm -rf "$here"
}

# The new binary reads the new configuration among the files that it will live with, before anything changes:
# what is on the board, with the upload laid over it. Only a wrong configuration (78) is in the way; a bus that
# the running service holds, or a broker that is away, is not.
check() {
    view=$here/view
    mkdir -p "$view/models" "$view/credentials"
    for from in "$etc" "$here/tree/etc/edgerun"; do
        for path in "$from"/* "$from/models"/* "$from/credentials"/*; do
            name=${path#"$from"/}
            case $name in models | credentials) continue ;; esac
            if [ -e "$path" ]; then ln -sfn "$path" "$view/$name"; fi
        done
    done
    code=0
    said=$(CREDENTIALS_DIRECTORY=$view/credentials "$bin/.edgerun.new" check --config "$view/edgerun.toml" 2>&1) || code=$?
    if [ $code = 78 ]; then
        printf '%s\n' "$said" >&2
        fail "the configuration is wrong. Nothing was changed"
    fi
}

put() {
    mkdir -p "$etc/credentials"
    # One at a time; the lock goes with this process. Without flock(1), two at once are the operator's risk.
    if command -v flock >/dev/null; then
        exec 9>"$etc/.deploy.lock"
        flock -n 9 || fail "another deploy is at work here. Nothing was changed"
    fi
    trap tidy EXIT
    ls "$here/tree/etc/edgerun/models" >"$here/models" 2>/dev/null || true
    (cd "$here/tree" && find . -type f ! -path './etc/edgerun/models/*' | cut -c 3-) >"$here/files"

    # Everything lies beside its place, and on the disk, and is proved to run, before the first name changes.
    stage usr/bin/edgerun
    if ! version=$("$bin/.edgerun.new" --version 2>&1); then
        fail "the binary does not run here ($(uname -m), $(uname -sr)): $version. Nothing was changed"
    fi
    user
    if [ "$service" = yes ]; then check; fi
    chmod 700 "$etc/credentials"
    owner edgerun:edgerun "$etc/credentials"
    while read -r file; do stage "$file"; done <"$here/files"
    while read -r model; do stage_model "$model"; done <"$here/models"
    sync

    rm -f "$here/made"
    while read -r model; do switch_model "$model"; done <"$here/models"
    keep "$bin/edgerun"
    if [ -f "$here/tree/etc/edgerun/edgerun.toml" ]; then keep "$etc/edgerun.toml"; fi
    while read -r file; do mv "$(beside "$file")" "$root/$file"; done <"$here/files"
    sync
    say "installed $version"
}

start() {
    # For buses that are already there; a system without udev has its own way.
    if [ -z "$root" ] && [ -S /run/udev/control ]; then
        udevadm control --reload || true
        udevadm trigger --subsystem-match=i2c-dev || true
    fi
    systemctl daemon-reload
    systemctl enable edgerun.service || fail "cannot enable edgerun.service. The new files are in place"
    # Type=notify: comes back when the daemon has said that it is ready, or has failed.
    if ! timeout "$last" systemctl restart edgerun.service || [ "$(systemctl is-active edgerun.service)" != active ]; then
        if command -v journalctl >/dev/null; then journalctl --unit edgerun.service --lines 20 --no-pager >&2 || true; fi
        fail "edgerun.service is $(systemctl is-active edgerun.service || true) and did not become ready. The new files are in place;" \
            "what was before: /usr/bin/edgerun.previous, /etc/edgerun/edgerun.toml.previous"
    fi
    say "ready"
}

case $command in
    look) look ;;
    install)
        here=$(cd "$(dirname "$0")" && pwd)
        trap 'rm -rf "$here"' EXIT
        trap 'exit 1' HUP INT TERM
        look
        put
        if [ "$service" = yes ]; then start; fi
        ;;
esac
