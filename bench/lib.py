"""What the benchmarks share: interleaved rounds, ratios of medians, and one line per measure.

A measure compares a subject with a peer on the same work in the same run: A B A B ..., at least five
rounds, so that a noisy machine disturbs both alike. The ratio is subject / peer of the medians; min and
max are those of the rounds' own ratios. CPU per operation of the server process is steadier than wall
time, so it is what most measures use (cpu_of).

    rows = [compare("point read", peer, subject, bar=1.05)]
    raise SystemExit(report(rows, check="--check" in sys.argv))
"""

import dataclasses
import os
import pathlib
import platform
import statistics
import time
from collections.abc import Callable

TICKS = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass
class Row:
    name: str
    ratio: float
    low: float
    high: float
    bar: float | None = None
    at_least: bool = False  # the bar is a floor (throughput) rather than a ceiling (cost)
    note: str = ""

    @property
    def met(self) -> bool:
        if self.bar is None:
            return True
        return self.ratio >= self.bar if self.at_least else self.ratio <= self.bar

    def __str__(self) -> str:
        bar = "-" if self.bar is None else f"{'>=' if self.at_least else '<='} {self.bar:g}"
        verdict = "-" if self.bar is None else "met" if self.met else "missed"
        line = f"{self.name:<44} {self.ratio:7.3f}  ({self.low:.3f}-{self.high:.3f})  {bar:<8} {verdict}"
        return f"{line}  {self.note}".rstrip()


def compare(name: str, peer: Callable[[], float], subject: Callable[[], float], bar: float | None = None,
            rounds: int = 7, at_least: bool = False, unit: str = "us", warm_up: int = 1) -> Row:
    """Both callables do one round's work and return its cost (or its rate) per operation."""
    for _ in range(warm_up):
        peer(), subject()
    theirs, ours = [], []
    for number in range(max(rounds, 5)):
        pair = [(peer, theirs), (subject, ours)]
        for work, results in pair if number % 2 == 0 else reversed(pair):
            results.append(work())
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    ratio = statistics.median(ours) / statistics.median(theirs)
    note = f"{statistics.median(theirs):.1f} -> {statistics.median(ours):.1f} {unit}"
    return Row(name, ratio, min(ratios), max(ratios), bar, at_least, note)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, to the kernel's nanosecond where it tells it."""
    schedstat = pathlib.Path(f"/proc/{pid}/schedstat")
    try:
        return int(schedstat.read_text().split()[0]) / 1e9
    except (OSError, IndexError, ValueError):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


def cpu_of(pid: int, work: Callable[[], int]) -> float:
    """Microseconds of CPU of process `pid` per operation; `work` returns how many operations it did."""
    before = cpu_seconds(pid)
    operations = work()
    return (cpu_seconds(pid) - before) * 1e6 / operations


def wall_of(work: Callable[[], int]) -> float:
    before = time.perf_counter()
    operations = work()
    return (time.perf_counter() - before) * 1e6 / operations


def machine() -> str:
    model = "unknown processor"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    load = os.getloadavg()[0]
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, load {load:.1f}"


def report(rows: list[Row], check: bool = False) -> int:
    """Prints every measure on one line; the exit code, which `--check` makes 1 when a bar is missed."""
    print(f"# {machine()}")
    print("# ratio = subject / peer, medians of interleaved rounds (min-max of the rounds)")
    for row in rows:
        print(row)
    missed = [row.name for row in rows if not row.met]
    if missed:
        print(f"# missed: {', '.join(missed)}")
    return 1 if check and missed else 0
