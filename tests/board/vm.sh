# Sourced by scripts/test-board: the virtual machine, its broker, and waiting for what is said there. Everything that
# outlives a function is in a file of $run, since each step is a subshell.
# shellcheck shell=bash

ssh_port=10022
mqtt_port=18883
topic=edgerun/board

# A port that somebody has would be found out late, and by riddles.
port_free() {
    ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null || fail "port $1 is taken; is another scripts/test-board running?"
}

broker_start() {
    port_free $mqtt_port
    printf 'listener %d 127.0.0.1\nallow_anonymous true\n' $mqtt_port >"$run/mosquitto.conf"
    mosquitto -c "$run/mosquitto.conf" >"$run/mosquitto.log" 2>&1 &
    echo $! >>"$run/pids"
    wait_tcp $mqtt_port 10
    # Everything that is said, for the step `network` and for whoever looks for a fault afterwards.
    mosquitto_sub -p $mqtt_port -t 'edgerun/#' -F '%U %t %p' >"$run/mqtt.log" 2>&1 &
    echo $! >>"$run/pids"
}

# A server that was just started has no event that this shell could wait for.
wait_tcp() {
    local end=$((SECONDS + $2))
    until (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do
        ((SECONDS < end)) || fail "nobody listens at port $1"
        sleep 0.1
    done
}

# hear SECONDS TOPIC FILTER: prints the first payload below the board's topic for which the jq filter is true.
hear() {
    local from pid code=0
    exec {from}< <(exec timeout "$1" mosquitto_sub -p $mqtt_port -q 1 -t "$topic/$2")
    pid=$!
    jq -nce --unbuffered "first(inputs | select($3))" <&"$from" || code=$?
    kill "$pid" 2>/dev/null || true
    exec {from}<&-
    ((code == 0)) || fail "in $1 s nothing on $2 was: $3; last: $(mosquitto_sub -p $mqtt_port -W 1 -C 1 -t "$topic/$2" 2>/dev/null)"
}

# hear_after SECONDS TOPIC FILTER COMMAND…: as `hear`, of what is said from the moment on in which COMMAND begins on the board.
hear_after() {
    local seconds=$1 on="$topic/$2" filter=$3 said from pid code=0
    shift 3
    from=$(($(wc -l <"$run/mqtt.log") + 1))
    board "$@"
    exec {said}< <(exec timeout "$seconds" tail -n "+$from" -f "$run/mqtt.log")
    pid=$!
    jq -nRce --unbuffered "first(inputs | select(contains(\" $on \")) | sub(\"^[^{]*\"; \"\") | fromjson | select($filter))" \
        <&"$said" || code=$?
    kill "$pid" 2>/dev/null || true
    exec {said}<&-
    ((code == 0)) || fail "in $seconds s after \"$*\" nothing on $on was: $filter"
}

tell() { mosquitto_pub -p $mqtt_port -q 1 "$@"; }

# The board does its job. It never knows the time for sure, since nobody in its network tells it; it may say for ten
# minutes that it went down without a stop; and an emulated processor may be late.
healthy='(.problems | all(.code | . == "clock_unsynced" or . == "unclean_stop" or . == "deadline_misses"))
    and (.pipelines | length > 0 and all(.state != "failing" and .last_error == null)) and (.sensors | all(.state == "ok"))'

# vm_start [OPTION…]: switches the board on. Returns at once.
vm_start() {
    rm -f "$run/monitor"
    date +%s.%N >"$run/switched-on"
    # A Cortex-A53, as in small boards. What its kernel has handed to the disk is in this machine's memory, so a
    # power cut keeps that and loses what was still in the board's; no need to wait for this machine's disk.
    timeout 3600 qemu-system-aarch64 -M virt -cpu cortex-a53 -smp 2 -m 1024 -accel tcg,thread=multi \
        -bios /usr/share/qemu-efi-aarch64/QEMU_EFI.fd -display none -serial "file:$run/console-$(date +%s).log" \
        -drive "if=none,id=disk,file=$run/disk.img,format=raw,cache=unsafe,discard=unmap" -device virtio-blk-pci,drive=disk \
        -netdev "user,id=net,hostfwd=tcp:127.0.0.1:$ssh_port-:22" -device virtio-net-pci,netdev=net,romfile= \
        -device virtio-rng-pci -monitor "unix:$run/monitor,server,nowait" -pidfile "$run/qemu.pid" "$@" \
        </dev/null >>"$run/qemu.log" 2>&1 &
}

# One word to qemu, such as set_link.
vm_tell() { printf '%s\n' "$*" | socat - "UNIX-CONNECT:$run/monitor" >/dev/null; }

vm_cut() {
    local pid
    pid=$(cat "$run/qemu.pid")
    kill -KILL "$pid"
    tail --pid="$pid" -f /dev/null
    rm -f "$run/qemu.pid"
    printf 'power cut\n'
}

vm_off() {
    local pid
    pid=$(cat "$run/qemu.pid")
    board systemctl poweroff || true
    timeout 120 tail --pid="$pid" -f /dev/null || fail "the board did not go down in 120 s"
    rm -f "$run/qemu.pid"
}

ssh_options=(-p "$ssh_port" -i "$keys/key" -o UserKnownHostsFile="$run/known_hosts" -o StrictHostKeyChecking=accept-new
    -o LogLevel=ERROR -o ConnectTimeout=30 -o ServerAliveInterval=20)
board() { ssh "${ssh_options[@]}" -o ControlMaster=auto -o ControlPath="$run/ssh" -o ControlPersist=600 root@127.0.0.1 "$@"; }

# Qemu takes connections from the first moment, so ssh is asked again until somebody is behind it.
wait_ssh() {
    local end=$((SECONDS + $1))
    until board true 2>>"$run/ssh.log"; do
        ((SECONDS < end)) || fail "no login in $1 s; the console: $(tail -n 3 "$(find "$run" -name 'console-*' | sort | tail -n 1)")"
        sleep 1
    done
}

since_on() { printf '%.0f s after it was switched on\n' "$(bc <<<"$(date +%s.%N) - $(cat "$run/switched-on")")"; }

# hear_count COUNT TOPIC SECONDS: returns after COUNT messages that are not retained.
hear_count() { timeout "$3" mosquitto_sub -p $mqtt_port -R -C "$1" -t "$topic/$2" >/dev/null || fail "fewer than $1 messages on $2 in $3 s"; }
