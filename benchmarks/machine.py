"""The machine that is measured on: its disk, its cores, and what else is going on there."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from postlude.stores.filesystem import MEMORY, MOUNTINFO, NETWORK, mount_of

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
SERVER_CORE, LOAD_CORE = 0, 1
SYNCS = 400
PACKAGES = ("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "pydantic", "apsw")


class CannotRun(Exception):
    """A benchmark could not be carried out; says why."""


class Spread(NamedTuple):
    """What several samples of one thing came to."""

    median: float
    least: float
    most: float


def spread(samples: list[float]) -> Spread:
    return Spread(statistics.median(samples), min(samples), max(samples))


def percentile(samples: list[float], share: float) -> float:
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def disk_folder(wanted: str | None) -> Path:
    """A new folder below `wanted`, or below the first usual place that is on a disk.

    Raises:
        CannotRun: there is none: in memory or over the network, a commit costs something else.
    """
    places = [wanted] if wanted else [tempfile.gettempdir(), "/var/tmp", str(ROOT)]  # noqa: S108 - made by mkdtemp
    for place in places:
        if file_system(Path(place)) not in MEMORY | NETWORK:
            return Path(tempfile.mkdtemp(prefix="postlude-benchmarks-", dir=place))
    message = f"{', '.join(places)}: in memory or on a network. Name a folder on a disk of this machine with --dir."
    raise CannotRun(message)


def file_system(folder: Path) -> str:
    """The kind of file system; "unknown" where the system does not say."""
    try:
        mount = mount_of(str(folder.resolve()), Path(MOUNTINFO).read_text("utf-8", "surrogateescape"))
    except OSError:
        mount = None
    return "unknown" if mount is None else mount.kind


def sync_seconds(folder: Path, count: int) -> list[float]:
    """How long each of so many appended pages took to reach the disk."""
    sync = getattr(os, "fdatasync", os.fsync)
    seconds = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(count):
            file.write(os.urandom(4096))
            begin = time.perf_counter()
            sync(file.fileno())
            seconds.append(time.perf_counter() - begin)
    return seconds


_SPIN = "import os, sys; sys.path.insert(0, sys.argv[1]); from benchmarks.machine import pin; pin(int(sys.argv[2]))"
_SPIN += "; os.nice(19)\nwhile True: pass"


@contextmanager
def busy_beside() -> Iterator[None]:
    """Keep the core beside the server's at work, at the lowest priority.

    Two cores of a virtual machine are often two threads of one. Each is faster while the other rests, so that what a
    request costs would go with how much the load happens to leave over.
    """
    with subprocess.Popen([sys.executable, "-c", _SPIN, str(ROOT), str(LOAD_CORE)]) as spinning:
        try:
            yield
            if spinning.poll() is not None:
                message = f"what was to keep core {LOAD_CORE} at work ended by itself"
                raise CannotRun(message)
        finally:
            spinning.kill()


class Others:
    """Which share of all cores others use, from the moment it is made; None where the system does not say."""

    def __init__(self) -> None:
        self._begin = _ticks()
        self._own = sum(os.times()[:4])

    def share(self) -> float | None:
        """What was neither idle nor used by this process and by those of its children that have ended."""
        now = _ticks()
        if self._begin is None or now is None or now[1] == self._begin[1]:
            return None
        own = (sum(os.times()[:4]) - self._own) * os.sysconf("SC_CLK_TCK")
        idle, passed = now[0] - self._begin[0], now[1] - self._begin[1]
        return max(0.0, 1 - (idle + own) / passed)


def _ticks() -> tuple[int, int] | None:
    """Idle and all time of all cores, in the system's ticks."""
    try:
        line = Path("/proc/stat").read_text("ascii").partition("\n")[0]
    except OSError:
        return None
    fields = [int(field) for field in line.split()[1:9]]
    return fields[3] + fields[4], sum(fields)


def describe(folder: Path, *, syncs: int = SYNCS) -> dict[str, Any]:
    """Everything that a figure has to be read beside."""
    others = Others()
    microseconds = [1e6 * seconds for seconds in sync_seconds(folder, syncs)]
    time.sleep(0.5)
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "file_system": file_system(folder),
        "fdatasync_us": {
            "median": round(statistics.median(microseconds)),
            "p1": round(percentile(microseconds, 0.01)),
            "p99": round(percentile(microseconds, 0.99)),
        },
        "others": others.share(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "sqlite": _sqlite(),
    }


def lines(machine: dict[str, Any]) -> list[str]:
    """The description for people."""
    sync = machine["fdatasync_us"]
    return [
        f"machine: {machine['cores']} cores, {machine['cpu']}; {machine['system']}",
        f"disk: {machine['file_system']}, fdatasync of 4 KiB {sync['median']} µs (p1 {sync['p1']}, p99 {sync['p99']})",
        f"others: {share(machine['others'])} of the cores before the first round",
        f"versions: Python {machine['python']}, SQLite {machine['sqlite']}, "
        + ", ".join(f"{name} {number}" for name, number in machine["packages"].items()),
    ]


def share(number: float | None) -> str:
    return "an unknown share" if number is None else f"{number:.0%}"


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _sqlite() -> str:
    return _output([sys.executable, "-c", "import apsw; print(apsw.sqlite_lib_version())"]).strip()


def pin(core: int | None) -> None:
    """Keep this process, and what it starts, on one core, where the machine has enough of them and lets it."""
    if core is not None and hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > core:
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[core]})


def measure_apart(module: str, *arguments: object, core: int | None = None, timeout: float = 300) -> Any:  # noqa: ANN401
    """Run a module of the benchmarks in a fresh process; what it prints, read as JSON."""
    command = [sys.executable, "-m", "benchmarks.pinned", str(-1 if core is None else core), f"benchmarks.{module}"]
    return json.loads(_output([*command, *map(str, arguments)], timeout))


def _output(command: list[str], timeout: float = 60) -> str:
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        message = f"{' '.join(command)} was not done after {timeout:g} s"
        raise CannotRun(message) from error
    if done.returncode:
        message = f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr.strip()}"
        raise CannotRun(message)
    return done.stdout
