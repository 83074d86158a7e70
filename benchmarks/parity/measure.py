"""The machine that figures were measured on, and what makes them doubtful."""

import json
import math
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ... import LettercastError
from ...runtime.model.installed import Package

# What is called with the number of its run.
Run = Callable[[int], object]
# Each round gives every caller its turn, so that a drift of the machine's speed hits all alike.
ROUNDS = 12
LEAST_RUNS, SECONDS = 50, 1.0
# Runs before any counts, which warm caches and clocks up and tell how long one takes.
WARM_RUNS = 3


@dataclass(frozen=True)
class Latency:
    """Milliseconds of a call: p50, p90 and p99 over n runs after a warm-up."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    n: int


def measure(runs: Sequence[Run], seconds: float = SECONDS, least: int = LEAST_RUNS) -> list[Latency]:
    """Time calls as `take_turns` does, to the end."""
    *_, latencies = take_turns(runs, seconds, least)
    return latencies


def take_turns(runs: Sequence[Run], seconds: float = SECONDS, least: int = LEAST_RUNS) -> Iterator[list[Latency]]:
    """Time calls, each for at least `seconds` in all and at least `least` times, in 12 rounds of turns.

    Yields after every round what is known so far.
    """
    counts = [runs_a_round(run, seconds, least) for run in runs]
    times: list[list[float]] = [[] for _ in runs]
    for turn in range(ROUNDS):
        for run, taken, count in zip(runs, times, counts, strict=True):
            taken += [timed(run, turn * count + i) for i in range(count)]
        yield [summed_up(taken) for taken in times]


def runs_a_round(run: Run, seconds: float, least: int) -> int:
    """Return how often a call is timed in each round, by how long it took when tried."""
    tried = float(np.median([timed(run, i) for i in range(WARM_RUNS)]))
    return math.ceil(max(least, seconds / max(tried, 1e-9)) / ROUNDS)


def timed(run: Run, number: int) -> float:
    """Return the seconds that one call takes."""
    begun = time.perf_counter()
    run(number)
    return time.perf_counter() - begun


def summed_up(seconds: Sequence[float]) -> Latency:
    """Return the percentiles of times, in milliseconds."""
    p50, p90, p99 = 1000 * np.percentile(seconds, (50, 90, 99))
    return Latency(float(p50), float(p90), float(p99), len(seconds))


# Nothing but what a device loads: the runtime and an engine, or Keras for the original.
CHILD = """
import json, sys, time
path, threads, engine, batch = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
begun = time.perf_counter()
from pathlib import Path
import numpy as np
from lettercast.runtime.console import quiet
with quiet():
    if path.endswith(".keras"):
        import keras
        from lettercast.train.predict import open_model
        opened = lambda: open_model(Path(path))
    else:
        from lettercast.runtime.model.engine import load_engine
        from lettercast.runtime.model.installed import ENGINES, look_for
        package = next(one for choices in ENGINES.values() for one in choices if one.name == engine)
        look_for(package)
        opened = lambda: load_engine(Path(path), threads, package)
imported = time.perf_counter()
with quiet():
    model = opened()
loaded = time.perf_counter()
blank = np.zeros((batch, *model.facts.input_shape), np.uint8)
model(blank[:1])
first = time.perf_counter()
model(blank)
try:
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
except (OSError, IndexError):
    peak = None
stages = (imported - begun, loaded - imported, first - loaded)
print(json.dumps([*(1000 * stage for stage in stages), peak]))
"""
LIMIT_S = 300


@dataclass(frozen=True)
class Footprint:
    """A process that only loads a model and runs it: milliseconds to import the engine, to load the model, of the first
    inference; and the most memory it held in MB, Python, NumPy and the engine included (None where the system does not say).
    """

    import_ms: float
    load_ms: float
    first_ms: float
    peak_mb: float | None


def footprint(path: Path, threads: int, package: Package | None, batch: int) -> Footprint:
    """Load a model in a process of its own and run it on one blank picture and on a batch.

    package is the engine, None for a `.keras` model. Raises LettercastError where the process fails.
    """
    words = [path.resolve(), threads, package.name if package else "keras", batch]
    # The packages of this process, and not what happens to lie in the folder that it was started in.
    line = [sys.executable, "-P", "-c", CHILD, *map(str, words)]
    packages = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=LIMIT_S, check=False, env=packages)
    except subprocess.TimeoutExpired as error:
        raise LettercastError(f"{path}: did not answer within {LIMIT_S} s in a process of its own") from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise LettercastError(f"{path}: a process of its own failed ({said})")
    return Footprint(*json.loads(done.stdout.splitlines()[-1]))


CPUINFO, MEMINFO = Path("/proc/cpuinfo"), Path("/proc/meminfo")
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
STEADY_GOVERNOR = "performance"
# Processes waiting or running per core, over the last minute, from which on others take time away.
BUSY = 0.5
# What decides how fast integers are multiplied.
VECTOR_FLAGS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8", "asimd", "asimddp", "i8mm", "sve")


@dataclass(frozen=True)
class Machine:
    """What a figure hangs on: processor, its vector instructions, cores that may be used, memory in MB, versions; and the
    frequency governor and the load (processes per core, last minute) when the measurement began, where they are known.
    """

    processor: str
    architecture: str
    vectors: tuple[str, ...]
    cores: int
    memory_mb: int | None
    system: str
    python: str
    numpy: str
    opencv: str
    governor: str | None
    load: float | None

    def doubts(self) -> list[str]:
        """Say what makes times on it doubtful, a line each."""
        said = []
        if self.governor not in (None, STEADY_GOVERNOR):
            mend = "sudo cpupower frequency-set -g performance"
            said.append(f"the CPU governor is '{self.governor}', so the clock may change: {mend}")
        if self.load is not None and self.load >= BUSY:
            said.append(f"others take time: a load of {self.load:.1f} a core when it began; ratios hold better than times")
        return said

    def to_dict(self) -> dict[str, Any]:
        """Return the machine as it stands in `lettercast benchmark --json`, with the doubts."""
        return {**asdict(self), "doubts": self.doubts()}

    def __str__(self) -> str:
        hardware = f"{self.processor} ({self.architecture}), cores: {self.cores}"
        return f"{hardware}, {self.system}, Python {self.python}, NumPy {self.numpy}"


def this_machine() -> Machine:
    """Describe this machine as it is now."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    info = read(CPUINFO)
    flags = set(info_line(info, "flags", "Features").split())
    memory = re.search(r"MemTotal:\s+(\d+) kB", read(MEMINFO))
    return Machine(
        processor=info_line(info, "model name", "Model") or platform.processor() or "unknown",
        architecture=platform.machine(),
        vectors=tuple(flag for flag in VECTOR_FLAGS if flag in flags),
        cores=cores,
        memory_mb=int(memory[1]) // 1024 if memory else None,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        numpy=np.__version__,
        opencv=cv2.__version__,
        governor=read(GOVERNOR).strip() or None,
        load=os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else None,
    )


def info_line(info: str, *names: str) -> str:
    """Return what Linux's account of the processors says under the first of these names that it has; "" where under none."""
    found = (re.search(rf"^{name}\s*:\s*(.+)$", info, re.MULTILINE) for name in names)
    return next((match[1].strip() for match in found if match), "")


def read(path: Path) -> str:
    """Return what Linux says there, "" where it says nothing."""
    try:
        return path.read_text()
    except OSError:
        return ""
