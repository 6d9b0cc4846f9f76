"""What a program's instructions are: functions, stretches of straight code, multiply-accumulates."""

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
        """As llvm-mca takes it; a branch goes nowhere in particular there, an atomic operation is a load."""
        operands = self.operands.split(" //")[0]
        if re.match(r"(cas|swp|ldadd|ldset|ldclr)", self.name):
            return f"ldr {operands.split(',')[0]}, {operands[operands.index('['):]}"
        if re.fullmatch(r"bl?|b\..*|cbn?z|tbn?z|adrp?", self.name):
            operands = re.sub(r"(#|0x)[0-9a-fx]+( <.*>)?$", "#0", operands)
        return f"{self.name} {re.sub(r' <.*>', '', operands)}"


@dataclass
class Stretch:
    """Instructions one after another that run equally often: inner loops, prologues, what lies between.

    `turns` is how often, in one run of the model.
    """

    function: str
    body: list
    turns: float

    @property
    def executed(self) -> float:
        return self.turns * len(self.body)

    @property
    def macs(self) -> int:
        return sum(instruction.macs() for instruction in self.body)

    def is_loop(self) -> bool:
        """Whether it goes back to its own begin."""
        begin, end = self.body[0].address, self.body[-1].address
        targets = (instruction.target() for instruction in self.body)
        return any(target is not None and begin <= target < end for target in targets)

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

    def stretches(self, heat: dict) -> list:
        """All that ran, those with most instructions first."""
        found, body, sums = [], [], 0.0
        begins = set(self.starts)

        def close() -> None:
            if body:
                function = self.function(body[0].address)
                found.append(Stretch(function, list(body), sums / len(body)))
                body.clear()

        for instruction in self.instructions:
            times = heat.get(instruction.address, 0)
            # Not exactly: who enters a loop in its middle leaves its begin out once.
            even = body and abs(times - sums / len(body)) <= 0.1 * times
            if not even or instruction.address in begins:
                close()
                sums = 0.0
            if times <= 0:
                continue
            body.append(instruction)
            sums += times
            if instruction.name in ("b", "br", "ret", "bl", "blr") or len(body) == 1000:
                close()
                sums = 0.0
        close()
        return sorted(found, key=lambda stretch: -stretch.executed)


# How Rust's compiler writes what assemblers do not take in a name.
WRITTEN = {"$LT$": "<", "$GT$": ">", "$u20$": " ", "$C$": ",", "$RF$": "&", "$LP$": "(", "$RP$": ")", "..": "::"}


def short(name: str) -> str:
    """Without what every name begins with, and the compiler's hash."""
    for written, meant in WRITTEN.items():
        name = name.replace(written, meant)
    name = re.sub(r"::h[0-9a-f]{16}$", "", name).removeprefix("_")
    return re.sub(r"\b(edgerun|repeat)::(engine::)?(native::)?", "", name)
