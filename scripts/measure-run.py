#!/usr/bin/env python3
"""Measures `edgerun run` with the gesture model against a mosquitto of its own: time from exec to ready and
to the first result at a subscriber, and resident memory.

    scripts/measure-run.py target/release/edgerun
    scripts/measure-run.py --rate 10 --runs 3 target/release/edgerun
    scripts/measure-run.py "qemu-aarch64-static target/arm/aarch64-unknown-linux-gnu/board/edgerun"

The recording of examples/ is played at --rate samples a second: at 10, as on a board, the first window alone
takes 4 s; at the default 1000 it takes 40 ms. Under qemu the kernel's figures hold the emulator, too;
`guest` leaves it out: those are the pages at addresses that only the emulated program uses. Wants Debian's mosquitto and
mosquitto-clients.
"""

import argparse
import os
import pathlib
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
WINDOW = 40
CONFIG = """
[device]
id = "measured"
[mqtt]
url = "mqtt://127.0.0.1:{port}"
[[sensor]]
name = "imu"
driver = "replay"
path = "{root}/examples/recording.csv"
rate = "{rate} Hz"
repeat = true
[[pipeline]]
name = "gestures"
sensor = "imu"
model = "{folder}/gestures"
window = {{ length = 40, stride = 10 }}
publish = "every"
[state]
dir = "{folder}/state"
"""
MEMORY = ["VmRSS", "RssAnon", "RssFile", "VmHWM", "Threads"]
# qemu's user mode puts the program below this address, as the emulated kernel would, and is itself above it.
GUEST_END = 1 << 40


def bundle(folder, rate):
    """A copy of the shipped model that claims to be trained at `rate`, or the daemon would refuse the sensor's."""
    copy = shutil.copytree(ROOT / "models/gestures", folder / "gestures")
    manifest = (copy / "manifest.toml").read_text()
    assert 'rate = "10 Hz"' in manifest
    (copy / "manifest.toml").write_text(manifest.replace('rate = "10 Hz"', f'rate = "{rate} Hz"'))


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def broker(folder):
    """A mosquitto that accepts connections, and its port."""
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n")
    process = subprocess.Popen(["mosquitto", "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return process, port
        except ConnectionRefusedError:
            time.sleep(0.01)
    raise SystemExit("mosquitto does not listen")


def guest(pid):
    """KiB of the program under qemu that are resident, and how many of them no file has."""
    resident = anonymous = 0
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        word = line.split()
        if not word[0].endswith(":"):
            is_guest = int(word[0].split("-")[0], 16) < GUEST_END
        elif is_guest:
            resident += int(word[1]) if word[0] == "Rss:" else 0
            anonymous += int(word[1]) if word[0] == "Anonymous:" else 0
    return resident, anonymous


def one_run(command, folder, port, settle):
    """Seconds to ready, to the first result, and memory in KiB once it has settled."""
    topic = "edgerun/measured/result/gestures"
    heard = subprocess.Popen(
        # The subscription is there once the retained message has come through it.
        ["mosquitto_sub", "-p", str(port), "-V", "5", "-v", "-t", topic, "-t", "probe"],
        stdout=subprocess.PIPE, text=True)
    subprocess.run(["mosquitto_pub", "-p", str(port), "-t", "probe", "-m", "1", "-r"], check=True)
    assert heard.stdout.readline() == "probe 1\n"
    notify = folder / "notify"
    notify.unlink(missing_ok=True)
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(str(notify))
    told.settimeout(60)
    start = time.monotonic()
    # A copy of what it says is kept for the case that it does not start.
    with open(folder / "log", "w") as log:
        daemon = subprocess.Popen(
            [*command, "run", "--config", folder / "edgerun.toml"],
            env={**os.environ, "NOTIFY_SOCKET": str(notify)}, stdout=log, stderr=log)
    try:
        while b"READY=1" not in told.recv(4096):
            pass
        ready = time.monotonic() - start
        while not heard.stdout.readline().startswith(topic):
            pass
        first = time.monotonic() - start
        time.sleep(settle)
        status = pathlib.Path(f"/proc/{daemon.pid}/status").read_text()
        lines = dict(line.split(":", 1) for line in status.splitlines())
        memory = [int(lines[key].split()[0]) for key in MEMORY]
        memory += guest(daemon.pid)
    except TimeoutError:
        raise SystemExit(f"not ready: {(folder / 'log').read_text()}") from None
    finally:
        daemon.send_signal(signal.SIGTERM)
        try:
            code = daemon.wait(60)
        except subprocess.TimeoutExpired:
            daemon.kill()
            code = "no end to SIGTERM"
        heard.kill()
        heard.wait()
        told.close()
    assert code == 0, f"it ended with {code}: {(folder / 'log').read_text()}"
    return ready, first, memory


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", help="the program, with what runs it")
    parser.add_argument("--rate", type=int, default=1000, metavar="HZ", help="samples a second (1000)")
    parser.add_argument("--runs", type=int, default=10, help="how often (10)")
    parser.add_argument("--settle", type=float, default=5, metavar="S", help="seconds until memory is read (5)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        process, port = broker(folder)
        try:
            text = CONFIG.format(root=ROOT, rate=args.rate, folder=folder, port=port)
            (folder / "edgerun.toml").write_text(text)
            bundle(folder, args.rate)
            runs = [one_run(shlex.split(args.command), folder, port, args.settle) for _ in range(args.runs)]
        finally:
            process.terminate()
            process.wait()
    for what, times in zip(("ready", "first result"), zip(*[run[:2] for run in runs])):
        low, middle, high = (1e3 * f(times) for f in (min, statistics.median, max))
        print(f"{what:<13} median {middle:7.1f} ms, {low:.1f} to {high:.1f}")
    print(f"{'the window':<13} {1e3 * (WINDOW - 1) / args.rate:.0f} ms of the first result's")
    for key, values in zip([*MEMORY, "guest", "guest anon"], zip(*[run[2] for run in runs])):
        if max(values) == 0:
            continue
        print(f"{key:<13} median {statistics.median(values):7.0f}{'' if key == 'Threads' else ' KiB'}, max {max(values)}")
    print(f"{args.runs} runs at {args.rate} Hz")


if __name__ == "__main__":
    main()
