"""What a program's instructions are: functions, inner loops, multiply-accumulates."""

import bisect
import re
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

LABEL = re.compile(r"^([0-9a-f]+) <(.*)>:$")
LINE = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$")
# One core's dot products may be another's unknown words: all are read, whatever the CPU.
FEATURES = "+v8.2a,+dotprod,+i8mm,+fullfp16,+crypto"


@dataclass(frozen=True)
class Instruction:
    address: int
    name: str
    operands: str

    def target(self) -> int | None:
        """Where a branch goes, if it says so itself."""
        if not re.match(r"b$|b\.|cbn?z|tbn?z", self.name):
            return None
        found = re.search(r"0x([0-9a-f]+)( <|$)", self.operands)
        return int(found[1], 16) if found else None

    def macs(self) -> int:
        """Multiply-accumulates of vectors of numbers that are multiplied with weights."""
        lanes = re.search(r"\.(\d+)([bhsd])", self.operands)
        if not lanes:
            return 0
        count = int(lanes[1])
        if re.match(r"[su]dot|usdot", self.name):
            return 4 * count
        if re.match(r"(smmla|ummla|usmmla)", self.name):
            return 32
        # Of 16-bit lanes and wider: what requantization multiplies has other names, except `mul` and `fmul`.
        if re.match(r"[su]ml(al|sl)2?$|[su]mull2?$|mla$|mul$|fmla$", self.name):
            return count
        return 0

    def source(self) -> str:
        """As llvm-mca takes it; a branch goes nowhere in particular there."""
        operands = self.operands.split(" //")[0]
        if self.name.startswith(("b", "cb", "tb", "adr")):
            operands = re.sub(r"(#|0x)[0-9a-fx]+( <.*>)?$", "#0", operands)
        return f"{self.name} {re.sub(r' <.*>', '', operands)}"


@dataclass
class Loop:
    """An inner loop: the instructions that most turns run, and its turns in one run of the model."""

    function: str
    body: list
    turns: float
    executed: float

    @property
    def macs(self) -> int:
        return sum(instruction.macs() for instruction in self.body)

    def kind(self) -> str:
        """Its commonest multiplication, as a name for what has none."""
        names = Counter(i.name for i in self.body if i.macs())
        return names.most_common(1)[0][0] if names else "no products"


class Code:
    """The disassembly of one program or library."""

    def __init__(self, program: Path):
        self.instructions, self.starts, self.names = [], [], []
        command = ["llvm-objdump", "-d", "-C", "--no-show-raw-insn", f"--mattr={FEATURES}", program]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for line in text.splitlines():
            if label := LABEL.match(line):
                self.starts.append(int(label[1], 16))
                self.names.append(short(label[2]))
            elif found := LINE.match(line):
                self.instructions.append(Instruction(int(found[1], 16), found[2], found[3].strip()))
        self.addresses = [instruction.address for instruction in self.instructions]
        self.end = self.addresses[-1] + 4

    def unwind_table(self, program: Path) -> None:
        """Takes begins of functions of a library without symbols from there; hand-written assembly has no
        entries, so that one begins where the entry before it ends."""
        command = ["readelf", "--debug-dump=frames", program]
        text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        known = dict(zip(self.starts, self.names))
        for begin, end in re.findall(r"pc=([0-9a-f]+)\.\.([0-9a-f]+)", text):
            for address in (int(begin, 16), int(end, 16)):
                known.setdefault(address, f"at {address:#x}")
        self.starts = sorted(known)
        self.names = [known[start] for start in self.starts]

    def function(self, address: int) -> str:
        return self.names[max(bisect.bisect_right(self.starts, address) - 1, 0)]

    def functions(self, heat: dict) -> Counter:
        """Instructions by function; `heat` by address in the file."""
        sums = Counter()
        for address, times in heat.items():
            inside = self.addresses[0] <= address < self.end
            sums[self.function(address) if inside else "other libraries"] += times
        return sums

    def loops(self, heat: dict) -> list:
        """Inner loops that ran, those with most instructions first."""
        index = {address: i for i, address in enumerate(self.addresses)}
        spans = []
        for address, times in heat.items():
            last = index.get(address)
            target = self.instructions[last].target() if last is not None else None
            first = index.get(target) if target is not None and target <= address else None
            if first is not None and times > 0 and last - first < 2000:
                spans.append((first, last))
        spans.sort(key=lambda span: (span[1] - span[0], span))
        inner, found = [], []
        for first, last in spans:
            if any(first <= a and b <= last for a, b in inner):
                continue
            inner.append((first, last))
            code = self.instructions[first : last + 1]
            turns = max(heat.get(i.address, 0) for i in code)
            body = [i for i in code if heat.get(i.address, 0) >= turns / 2]
            if any(i.name in ("bl", "blr", "svc", "ret") for i in body):
                continue
            executed = sum(heat.get(i.address, 0) for i in code)
            found.append(Loop(self.function(self.addresses[first]), body, turns, executed))
        return sorted(found, key=lambda loop: -loop.executed)


# How Rust's compiler writes what assemblers do not take in a name.
WRITTEN = {"$LT$": "<", "$GT$": ">", "$u20$": " ", "$C$": ",", "$RF$": "&", "$LP$": "(", "$RP$": ")", "..": "::"}


def short(name: str) -> str:
    """Without what every name begins with, and the compiler's hash."""
    for written, meant in WRITTEN.items():
        name = name.replace(written, meant)
    name = re.sub(r"::h[0-9a-f]{16}$", "", name).removeprefix("_")
    return re.sub(r"\b(edgerun|repeat)::(engine::)?(native::)?", "", name)
