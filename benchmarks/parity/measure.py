"""How long a model takes, how much memory it needs, and the machine that these figures belong to."""

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
from ...runtime.model.processor import cpu_info, info_line, read_if_there
from ...train.custom import imported

# A call to time; its argument is the number of the call.
Run = Callable[[int], object]
# Every call has its turn in each round, so that a drift of the machine's speed affects all of them alike.
ROUNDS = 12
MIN_RUNS, SECONDS = 50, 1.0
# The first calls warm up caches and clocks, and show how long one call takes; they do not count.
WARM_RUNS = 3
PROCESS_LIMIT_S = 300
# The process loads only what a device loads: the runtime and an engine, or Keras for the original.
CHILD = """
import json, sys, time
path, threads, engine, batch = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
begun = time.perf_counter()
from pathlib import Path
import numpy as np
from lettercast.runtime.console import quiet
with quiet():
    if engine == "keras":
        import keras
        from lettercast.train.custom import use_custom
        from lettercast.train.predict import open_model
        for name in sys.argv[5:]:
            use_custom(name)
        opened = lambda: open_model(Path(path))
    else:
        from lettercast.runtime.model.engine import load_engine
        from lettercast.runtime.model.installed import ENGINES, find_package
        package = next(one for choices in ENGINES.values() for one in choices if one.name == engine)
        find_package(package)
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
MEMINFO = Path("/proc/meminfo")
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
STEADY_GOVERNOR = "performance"
# From this load (waiting or running processes per core, mean of the last minute) other processes distort times.
MIN_BUSY_LOAD = 0.5
# The instructions that decide how fast a processor multiplies integers.
VECTOR_FLAGS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8", "asimd", "asimddp", "i8mm", "sve")


@dataclass(frozen=True)
class Latency:
    """Milliseconds of a call: p50, p90 and p99 over n runs after a warm-up."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    n: int


@dataclass(frozen=True)
class Footprint:
    """What a process costs that only loads a model and runs it.

    import_ms is the time to import the engine, load_ms to load the model, first_ms to run the first inference. peak_mb is
    the peak memory in MB, with Python, NumPy and the engine; None if the system does not report it.
    """

    import_ms: float
    load_ms: float
    first_ms: float
    peak_mb: float | None


@dataclass(frozen=True)
class Machine:
    """The machine of a measurement: processor, vector instructions, usable cores, memory in MB, and versions.

    governor is the frequency governor and load the processes per core (mean of the last minute) at the start of the
    measurement; None if the system does not report them.
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
        """Return why times on this machine are doubtful, one line per reason."""
        found = []
        if self.governor not in (None, STEADY_GOVERNOR):
            mend = "sudo cpupower frequency-set -g performance"
            found.append(f"the CPU governor is '{self.governor}', so the clock may change: {mend}")
        if self.load is not None and self.load >= MIN_BUSY_LOAD:
            found.append(
                f"the machine was busy at the start, with a load of {self.load:.1f} a core; trust ratios more than times"
            )
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the machine with its doubts, as in `lettercast benchmark --json`."""
        return {**asdict(self), "doubts": self.doubts()}

    def __str__(self) -> str:
        hardware = f"{self.processor} ({self.architecture}), cores: {self.cores}"
        return f"{hardware}, {self.system}, Python {self.python}, NumPy {self.numpy}"


def measure(runs: Sequence[Run], seconds: float = SECONDS, min_runs: int = MIN_RUNS) -> list[Latency]:
    """Time calls as `take_turns` does, and return the final latencies."""
    *_, latencies = take_turns(runs, seconds, min_runs)
    return latencies


def take_turns(runs: Sequence[Run], seconds: float = SECONDS, min_runs: int = MIN_RUNS) -> Iterator[list[Latency]]:
    """Time calls in 12 rounds, each call for at least `seconds` in all and at least `min_runs` times.

    Yields the latencies so far after every round.
    """
    counts = [runs_per_round(run, seconds, min_runs) for run in runs]
    times: list[list[float]] = [[] for _ in runs]
    for turn in range(ROUNDS):
        for run, taken, count in zip(runs, times, counts, strict=True):
            taken += [timed(run, turn * count + i) for i in range(count)]
        yield [latency_of(taken) for taken in times]


def runs_per_round(run: Run, seconds: float, min_runs: int) -> int:
    """Return how often to time a call in each round, estimated from a few trial runs."""
    trial = float(np.median([timed(run, i) for i in range(WARM_RUNS)]))
    return math.ceil(max(min_runs, seconds / max(trial, 1e-9)) / ROUNDS)


def timed(run: Run, number: int) -> float:
    """Return the seconds that one call takes."""
    begun = time.perf_counter()
    run(number)
    return time.perf_counter() - begun


def latency_of(seconds: Sequence[float]) -> Latency:
    """Return the percentiles of times in seconds."""
    p50, p90, p99 = 1000 * np.percentile(seconds, (50, 90, 99))
    return Latency(float(p50), float(p90), float(p99), len(seconds))


def footprint(path: Path, threads: int, package: Package | None, batch: int) -> Footprint:
    """Load a model in a separate process and run it on one blank image and on a batch.

    package is the engine, None for a Keras model. Raises LettercastError if the process fails.
    """
    words = [path.resolve(), threads, package.name if package else "keras", batch, *imported()]
    # -P: import the packages of this process, not what happens to lie in the current folder.
    line = [sys.executable, "-P", "-c", CHILD, *map(str, words)]
    packages = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=PROCESS_LIMIT_S, check=False, env=packages)
    except subprocess.TimeoutExpired as error:
        raise LettercastError(f"{path}: a separate process did not finish within {PROCESS_LIMIT_S} s; try again") from error
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise LettercastError(f"{path}: a separate process could not run it ({reason})")
    return Footprint(*json.loads(done.stdout.splitlines()[-1]))


def this_machine() -> Machine:
    """Describe this machine as it is now."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    info = cpu_info()
    flags = set(info_line(info, "flags", "Features").split())
    memory = re.search(r"MemTotal:\s+(\d+) kB", read_if_there(MEMINFO))
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
        governor=read_if_there(GOVERNOR).strip() or None,
        load=os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else None,
    )
