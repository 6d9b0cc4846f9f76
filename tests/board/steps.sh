# Sourced by scripts/test-board: the acceptance, a function for each step. Each leaves a healthy board behind.
# shellcheck shell=bash

# The board is up, says that it does its job, and does it.
is_healthy() {
    local session
    session=$(session)
    # What the run before has left retained is not this one's.
    hear 240 health ".session == \"$session\" and $healthy" >"$run/health.json"
    hear 60 result/gestures 'has("replayed") | not' >/dev/null
    jq -r '"healthy: gestures \(.pipelines[0].version), \(.process.rss_bytes / 1048576 * 10 | round / 10) MiB, last stop \(.process.last_stop)"' \
        "$run/health.json"
}

session() { hear 240 status '.state == "online"' | jq -r .session; }

# The daemon of another start than the one with the session $1.
new_session() { hear "${2:-240}" status ".state == \"online\" and .session != \"$1\"" >/dev/null; }

serves() { hear "${2:-240}" model/gestures/reported ".state == \"committed\" and .running.version == \"$1\"" >/dev/null; }

wish() { tell -r -t "$topic/model/gestures/desired" -m "{\"version\":\"$1\"}"; }

first_boot() {
    vm_start
    wait_ssh 400
    since_on
    # Some units are still starting when sshd answers. "degraded" is a unit that failed.
    board 'timeout 300 systemctl is-system-running --wait' || fail "$(board systemctl --failed --plain --no-legend)"
    board 'set -e; cat /boot/firmware/edgerun-provision.log
        test -s /etc/machine-id; ls /etc/ssh/ssh_host_ed25519_key; findmnt -no SOURCE,SIZE,FSTYPE,OPTIONS /'
    # The disk is larger than the image: the first boot takes what is there.
    (($(board "findmnt -bno SIZE /") > image_bytes)) || fail "the root file system did not grow"
}

# What a board has and an image has not: its sensor.
equip() {
    board 'cat >/usr/local/bin/i2c-usbip && chmod 755 /usr/local/bin/i2c-usbip' <"$i2c"
    board 'cat >/etc/systemd/system/i2c-usbip.service' <tests/board/i2c-usbip.service
    board 'set -e
        printf "vhci-hcd\ni2c-tiny-usb\ni2c-dev\n" >/etc/modules-load.d/board.conf
        systemctl daemon-reload; systemctl restart systemd-modules-load
        systemctl --quiet enable --now i2c-usbip; udevadm wait --timeout=60 /dev/i2c-0
        cat /sys/bus/i2c/devices/i2c-0/name; i2cget -y 0 0x68 0x75 | grep 0x68'
}

# Switched off in good order, this is where a short run begins.
keep() {
    vm_off
    cp --sparse=always "$run/disk.img" target/board/booted.img
    boot_again
}

# Nobody is online before; its first result is one of this boot.
boot_again() {
    vm_start "$@"
    hear 400 status '.state == "online"' >/dev/null
    printf 'online '
    since_on
    hear 120 result/gestures 'has("replayed") | not' >/dev/null
    printf 'first result '
    since_on
    wait_ssh 120
    board 'echo "ready $(($(systemctl show -P ActiveEnterTimestampMonotonic edgerun) / 1000000)) s after the kernel began"'
}

results() {
    is_healthy
    jq -e '.sensors[0].bus_errors == 0' "$run/health.json" >/dev/null || printf 'bus errors: %s\n' "$(jq '.sensors[0].bus_errors' "$run/health.json")"
    # Forty seconds of recording are four activities.
    hear 90 event/gestures '.event == "label_changed"' | jq -r '"\(.from) → \(.to)"'
    hear 90 event/gestures '.event == "label_changed"' | jq -r '"\(.from) → \(.to)"'
}

watchdog() {
    local before
    before=$(session)
    board 'kill -STOP $(systemctl show -P MainPID edgerun)'
    new_session "$before"
    is_healthy
    hear 60 health '.process.last_stop == "watchdog"' >/dev/null
    board 'systemctl show -P NRestarts edgerun | sed "s/^/restarts: /"'
}

power_cut() {
    vm_cut
    hear 60 status '.state != "online"' >/dev/null
    boot_again "$@"
    is_healthy
    hear 60 health '.process.last_stop == "reboot"' >/dev/null
}

# The wrong year until somebody tells the time: nothing may wait for that.
clock_1970() {
    power_cut -rtc base=1970-01-01T00:00:00
    board date
    serves "$(jq -r '.pipelines[0].version' "$run/health.json")"
}

network() {
    local seq
    vm_tell set_link net off
    hear 60 status '.state == "offline"' >/dev/null
    # The length of the outage: these results wait on the board.
    sleep 15
    vm_tell set_link net on
    hear 120 status '.state == "online"' >/dev/null
    hear 120 health '.mqtt.reconnects > 0 and .mqtt.connected and .mqtt.queue == 0' >/dev/null
    is_healthy
    # Everything that was found meanwhile arrives: no number is missing in this session.
    seq=$(sed -n "s#^[0-9.]* $topic/result/gestures ##p" "$run/mqtt.log" | jq -rs '
        (last.session) as $s | map(select(.session == $s)) | (map(select(.replayed)) | length) as $late
        | map(.seq) | unique | "\($late) late, \(last - first + 1 - length) missing"')
    printf '%s\n' "$seq"
    [[ $seq == *" 0 missing" && $seq != "0 late"* ]] || fail "not every result arrived"
}

sensor_off() {
    hear_after 60 event/gestures '.event == "sensor_lost"' 'touch /run/i2c-usbip.removed' | jq -r .reason
    hear 90 health '.problems | any(.code == "sensor_lost")' >/dev/null
    hear_after 120 event/gestures '.event == "sensor_back"' 'rm /run/i2c-usbip.removed' | jq -r '"back after \(.after_ms) ms"'
    is_healthy
}

full_disk() {
    board 'dd if=/dev/zero of=/var/tmp/full bs=1M 2>/dev/null; dd if=/dev/zero of=/var/tmp/fuller bs=4k 2>/dev/null; df --output=avail -B1 / | tail -n 1'
    hear 120 health '.problems | any(.code == "disk_low")' | jq -r '.reasons[]'
    hear 30 result/gestures true >/dev/null
    # A restart needs no room either.
    board 'systemctl restart edgerun'
    hear 120 result/gestures true >/dev/null
    board 'rm /var/tmp/full /var/tmp/fuller'
    is_healthy
}

model_update() {
    wish "$1"
    serves "$1"
    hear 60 result/gestures ".version == \"$1\"" >/dev/null
    is_healthy
}

# model_update_cut VERSION STATE: the power goes at the moment that the update has reached STATE.
model_update_cut() {
    wish "$1"
    hear 120 model/gestures/reported ".state == \"$2\" and .target == \"$1\"" >/dev/null
    power_cut
    serves "$1"
    hear 60 result/gestures ".version == \"$1\"" >/dev/null
    is_healthy
}

deploy() { scripts/deploy "${deploy_options[@]}" "$@" root@127.0.0.1; }
program() { board 'sha256sum <"/proc/$(systemctl show -P MainPID edgerun)/exe"'; }

# Another program of the same sort: the bytes behind its end are not loaded.
another_program() { { cat "$binary"; printf 'build %s' "$1"; } >"$run/program-$1"; }

program_update() {
    another_program new
    deploy --binary "$run/program-new"
    is_healthy
    [[ $(program) == "$(sha256sum <"$run/program-new")" ]] || fail "another program runs than was deployed"
}

program_broken() {
    local before
    before=$(program)
    if deploy --binary "$run/broken"; then fail "deploy says that a broken program is fine"; fi
    is_healthy
    [[ $(program) == "$before" ]] || fail "another program runs than before"
}

program_update_cut() {
    local before pid
    another_program cut
    before=$(program)
    deploy --binary "$run/program-cut" >"$run/deploy.log" 2>&1 &
    pid=$!
    # The one before goes: from here on the new one is being tried.
    hear 120 status '.state == "stopping"' >/dev/null
    power_cut
    kill "$pid" 2>/dev/null || true
    # The guard takes the trial up again, and decides.
    board 'timeout 300 sh -c "while systemctl --quiet is-active edgerun-guard; do sleep 1; done"'
    board 'cat /opt/edgerun/outcome'
    is_healthy
    case $(program) in
        "$before") printf 'the program before runs\n' ;;
        "$(sha256sum <"$run/program-cut")") printf 'the new program runs\n' ;;
        *) fail "neither the program before nor the new one runs" ;;
    esac
    deploy --binary "$run/program-cut"
    is_healthy
}

# The same things tried by the daemon's user outside of its unit and inside, in the daemon's place.
sandbox() {
    local inside outside
    board 'cat >/usr/local/bin/probe && chmod 755 /usr/local/bin/probe; install -d -m 777 /srv/open; chmod 666 /dev/vda' <tests/board/probe.sh
    outside=$(board 'runuser -u edgerun -G i2c -- /usr/local/bin/probe')
    board 'systemctl stop edgerun; mkdir -p /run/systemd/system/edgerun.service.d
        printf "[Service]\nType=simple\nExecStart=\nExecStart=/usr/local/bin/probe\nRestart=no\n" >/run/systemd/system/edgerun.service.d/probe.conf
        systemctl daemon-reload; timeout 60 systemctl start --wait edgerun' || true
    inside=$(board 'journalctl -u edgerun -t probe -o cat --no-pager')
    board 'rm -r /run/systemd/system/edgerun.service.d; chmod 660 /dev/vda; systemctl daemon-reload; systemctl restart edgerun'
    printf 'outside:\n%s\ninside:\n%s\n' "$outside" "$inside"
    [[ $(grep -c ' works$' <<<"$outside") == 5 ]] || fail "outside of the unit all should work"
    for line in "own device works" "own state works" "foreign device: .*Operation not permitted" \
        "foreign path: .*Read-only file system" "system call: .*Operation not permitted"; do
        grep -q "^$line" <<<"$inside" || fail "inside of the unit, not: $line"
    done
    is_healthy
}

# with_devices FILE BUNDLE…: FILE behind the board's configuration, the bundles that it names, and what docs/sensors.md and
# docs/sinks.md tell owners to let the unit reach.
with_devices() {
    local config=$1 bundle
    shift
    rm -rf "$run/bundles"
    for bundle; do
        mkdir -p "$run/bundles/$bundle"
        cp "tests/board/$bundle/manifest.toml" "$run/bundles/$bundle/"
        unzip -qd "$run/bundles/$bundle" tests/data/conformance/unary.zip "$(sed -n 's/^model = "\(.*\)"$/\1/p' "tests/board/$bundle/manifest.toml")"
    done
    tar -cC "$run/bundles" . | board 'tar -xC /etc/edgerun --no-same-owner && chmod -R a+rX /etc/edgerun/*/'
    board 'set -e
        groupadd --system --force gpio
        printf "%s\n" "SUBSYSTEM==\"gpio\", KERNEL==\"gpiochip*\", GROUP=\"gpio\", MODE=\"0660\"" >/etc/udev/rules.d/61-gpio.rules
        udevadm control --reload; udevadm trigger --settle --subsystem-match=gpio
        mkdir -p /etc/systemd/system/edgerun.service.d
        printf "[Service]\nSupplementaryGroups=audio video gpio\nDeviceAllow=char-alsa rw\nDeviceAllow=char-video4linux rw\nDeviceAllow=char-gpiochip rw\nExecStopPost=-/usr/bin/edgerun outputs --safe --config /etc/edgerun/edgerun.toml\n" \
            >/etc/systemd/system/edgerun.service.d/devices.conf
        cp -p /etc/edgerun/edgerun.toml /etc/edgerun/edgerun.toml.own'
    board 'cat >>/etc/edgerun/edgerun.toml' <"$config"
    board 'systemctl daemon-reload && systemctl restart edgerun && edgerun sensors list'
}

own_configuration() {
    board 'set -e
        mv /etc/edgerun/edgerun.toml.own /etc/edgerun/edgerun.toml
        rm -r /etc/systemd/system/edgerun.service.d /etc/edgerun/*/manifest.toml
        systemctl daemon-reload; systemctl restart edgerun'
    is_healthy
}

# A sound card and a camera of the board's kernel, each with a signal that is known, each taken away and given back.
sound_and_pictures() {
    board 'cat >/usr/local/bin/tone && chmod 755 /usr/local/bin/tone' <"$run/tone"
    board 'set -e; modprobe snd-aloop; modprobe vivid n_devs=1; udevadm settle
        systemd-run --quiet --unit=tone /usr/local/bin/tone /dev/snd/pcmC0D0p; cat /proc/asound/pcm; ls /dev/video0'
    with_devices tests/board/devices.toml ear eye
    # The third of seventeen bands has 1 kHz in it.
    hear 240 result/ear '.result.vector | index(max) == 2 and max > 0.9' | jq -r '"heard: \(.result.vector[2] * 100 | round) % of the power about 1 kHz"'
    # Colour bars: white and yellow at the left, blue and black at the right. The top of the picture has writing on it.
    hear 240 result/eye '.result.vector | .[45] > 150 and .[46] > 150 and .[57] < 40 and .[58] < 40' |
        jq -r '"seen: \(.result.vector[45:60] | map(round))"'
    hear_after 120 event/ear '.event == "sensor_stuck"' 'systemctl stop tone' | jq -r .reason
    hear_after 90 event/ear '.event == "sensor_back"' 'systemd-run --quiet --unit=tone /usr/local/bin/tone /dev/snd/pcmC0D0p' |
        jq -r '"back after \(.after_ms) ms"'
    hear_after 90 event/eye '.event == "sensor_lost"' 'echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind' | jq -r .reason
    hear_after 90 event/eye '.event == "sensor_back"' 'echo vivid.0 >/sys/bus/platform/drivers/vivid/bind' | jq -r '"back after \(.after_ms) ms"'
    is_healthy
    own_configuration
    board 'systemctl stop tone'
}

# The emulated machine has a GPIO chip when its kernel gets a device tree. The power button is on its line 3, held by a
# driver, which gives it away here: qemu presses it.
gpio() {
    local pressed
    power_cut -machine acpi=off
    board 'set -e; test -c /dev/gpiochip0
        if test -e /sys/bus/platform/drivers/gpio-keys/gpio-keys; then echo gpio-keys >/sys/bus/platform/drivers/gpio-keys/unbind; fi'
    with_devices tests/board/gpio.toml lines
    hear 240 result/lines '.result.vector | add == 0' >/dev/null
    for pressed in 1 2 3; do
        vm_tell system_powerdown
        hear 60 result/lines ".result.vector | add == $pressed" >/dev/null
    done
    printf 'pressed three times, counted three times\n'
    hear 120 event/gestures '.event == "label_changed" and .to == "running"' >/dev/null
    line_is hi
    hear 120 event/gestures '.event == "label_changed" and .from == "running"' >/dev/null
    line_is lo
    hear 120 event/gestures '.event == "label_changed" and .to == "running"' >/dev/null
    line_is hi
    board 'systemctl kill --signal=KILL edgerun'
    line_is lo
    is_healthy
    own_configuration
}

# The level that the kernel drives line 0 with, as soon as it is that.
line_is() {
    board "timeout 20 sh -c 'until grep -q \"gpio-.*edgerun.* out $1\" /sys/kernel/debug/gpio; do sleep 0.2; done' ||
        { cat /sys/kernel/debug/gpio; exit 1; }; grep edgerun.*out /sys/kernel/debug/gpio"
}

# What the whole board writes in ten reports' time of doing its job; sectors have 512 bytes.
flash() {
    local sectors seconds then since
    read -r then since < <(written)
    hear_count 10 health 400
    read -r sectors seconds < <(written)
    sectors=$((sectors - then)) seconds=$((seconds - since))
    printf 'written: %d KiB in %d s, %d MB a day\n' $((sectors / 2)) $seconds $((sectors * 512 * 86400 / seconds / 1000000))
}
written() { board "sync; awk '{print \$7}' /sys/block/vda/stat; cut -d . -f 1 /proc/uptime" | xargs; }
