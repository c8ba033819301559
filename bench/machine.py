"""What the operating system tells: processor time and memory of a process, and what machine this is. Linux only."""

import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_IDLE: Final = (3, 4)  # idle and iowait among the columns of /proc/stat
_OWN_COLUMNS: Final = 8  # what follows them is counted in user and nice already


@dataclass
class Used:
    """What was used between two moments: seconds, processor seconds by name, cores by everybody else."""

    seconds: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    others: float = 0.0


@contextmanager
def usage(**processes: int) -> Iterator[Used]:
    """Fills what it yields at its end: for the named processes, by their ids."""
    used, begun = Used(), time.monotonic()
    before, all_before = _cpu_of(processes), _busy()
    yield used
    used.seconds = time.monotonic() - begun
    after = _cpu_of(processes)
    used.cpu = {name: after[name] - before[name] for name in processes}
    used.others = max(0.0, (_busy() - all_before - sum(used.cpu.values())) / used.seconds)


def cpu_seconds(pid: int) -> float:
    """Processor time of all threads of a process so far, in steps of a hundredth of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes in memory: all, its fair share of what is shared, and what is its own alone."""

    rss: int
    pss: int
    private: int

    def __sub__(self, other: "Memory") -> "Memory":
        return Memory(self.rss - other.rss, self.pss - other.pss, self.private - other.private)


def memory(pid: int) -> Memory:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    found = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
    return Memory(found["Rss"], found["Pss"], found["Private_Clean"] + found["Private_Dirty"])


def facts(folder: Path) -> dict[str, Any]:
    """What the figures hold for."""
    return {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "file_system": _file_system(folder),
        "load": os.getloadavg()[0],
    }


def _cpu_of(processes: Mapping[str, int]) -> dict[str, float]:
    return {name: cpu_seconds(pid) for name, pid in processes.items()}


def _busy() -> float:
    """Seconds that the processors of this machine were not idle."""
    columns = Path("/proc/stat").read_text().partition("\n")[0].split()[1 : 1 + _OWN_COLUMNS]
    return sum(int(ticks) for at, ticks in enumerate(columns) if at not in _IDLE) / _TICKS


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _file_system(folder: Path) -> str:
    """The kind of file system that `folder` is on: a figure from tmpfs says nothing of a disk."""
    best, kind = Path("/"), "?"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, found, *_ = line.split()
        mount = Path(place)
        if folder.resolve().is_relative_to(mount) and len(mount.parts) >= len(best.parts):
            best, kind = mount, found
    return kind
