"""Runs programs for 64-bit ARM under qemu with the counting plugin; a CPU as a program sees it."""

import re
import struct
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

PLAIN = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
DOT = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"


@dataclass(frozen=True)
class Cpu:
    """One core: `qemu` is the emulated one that has its instructions, `mca` is llvm-mca's name."""

    name: str
    qemu: str
    part: str
    revision: tuple
    features: str
    mca: str


# Part and revision as in the MIDR_EL1 register of Arm's technical reference manuals.
CPUS = {
    cpu.name: cpu
    for cpu in (
        Cpu("cortex-a53", "cortex-a53", "0xd03", (0, 4), PLAIN, "cortex-a53"),
        Cpu("cortex-a72", "cortex-a72", "0xd08", (0, 3), PLAIN, "cortex-a72"),
        # qemu 7.2 has no A55; what it can do here is what the A76 can.
        Cpu("cortex-a55", "cortex-a76", "0xd05", (2, 0), DOT, "cortex-a55"),
        Cpu("cortex-a76", "cortex-a76", "0xd0b", (4, 1), DOT, "cortex-a76"),
    )
}


def root_of(cpu: Cpu, folder: Path) -> Path:
    """A folder for qemu's -L: only the files by which XNNPACK's cpuinfo tells four cores of this kind.

    Without them it reads the host's and takes the kernels for an unknown core.
    """
    root = folder / cpu.name
    system = root / "sys/devices/system/cpu"
    for core in range(4):
        topology = system / f"cpu{core}" / "topology"
        topology.mkdir(parents=True, exist_ok=True)
        (topology / "core_id").write_text(f"{core}\n")
        (topology / "physical_package_id").write_text("0\n")
        (topology / "core_siblings_list").write_text("0-3\n")
        (topology / "thread_siblings_list").write_text(f"{core}\n")
    (system / "kernel_max").write_text("7\n")
    for name in ("possible", "present", "online"):
        (system / name).write_text("0-3\n")
    variant, revision = cpu.revision
    processor = (
        f"BogoMIPS\t: 38.40\nFeatures\t: {cpu.features}\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
        f"CPU variant\t: {variant:#x}\nCPU part\t: {cpu.part}\nCPU revision\t: {revision}\n\n"
    )
    (root / "proc").mkdir(exist_ok=True)
    lines = (f"processor\t: {core}\n{processor}" for core in range(4))
    (root / "proc/cpuinfo").write_text("".join(lines))
    return root


class Emulator:
    """Runs programs as on `cpu`, counted."""

    def __init__(self, cpu: Cpu, plugin: Path, folder: Path, timeout: int):
        self.cpu, self.plugin, self.timeout = cpu, plugin, timeout
        self.folder = folder
        self.root = root_of(cpu, folder)

    def run(self, command: list, mark: int | None = None):
        """Standard output, executions of each instruction by address, the first address, and what lay
        between arrivals at the block `mark`."""
        counts = self.folder / "counts.txt"
        plugin = f"{self.plugin},out={counts}" + (f",mark={mark:#x}" if mark else "")
        options = ["-L", self.root, "-cpu", self.cpu.qemu, "-plugin", plugin]
        done = subprocess.run(
            ["timeout", str(self.timeout), "qemu-aarch64", *options, *map(str, command)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{command[0]} on {self.cpu.name}: {done.returncode}\n{done.stderr}")
        heat, marks, first = Counter(), [], 0
        for line in counts.read_text().splitlines():
            kind, *numbers = line.split()
            if kind == "mark":
                marks.append(int(numbers[0]))
                continue
            first, instructions, times = int(numbers[0], 16), int(numbers[1]), int(numbers[2])
            for address in range(first, first + 4 * instructions, 4):
                heat[address] += times
        # The plugin lists the newest block first, so `first` is where the program began.
        return done.stdout, heat, first, marks


def per_run(few: Counter, many: Counter, runs: int) -> dict:
    """Executions of each instruction in one run: what `runs` runs more took, divided."""
    return {
        address: (times - few[address]) / runs
        for address, times in many.items()
        if times != few[address]
    }


def entry_point(program: Path) -> int:
    """Where a 64-bit ELF program begins, in its file's addresses."""
    return struct.unpack_from("<Q", program.read_bytes(), 24)[0]


def version_of(program: str) -> str:
    text = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version (\S+)", text)
    return found[1] if found else text.splitlines()[0]
