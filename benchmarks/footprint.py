"""What a model costs a process of its own: time to load, first inference, and peak memory."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .. import LettercastError
from ..runtime.installed import Package

# Nothing but what a device loads: the runtime and an engine, or Keras for the original.
CHILD = """
import json, sys, time
path, threads, engine, batch = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
begun = time.perf_counter()
from pathlib import Path
import numpy as np
from lettercast.runtime.quiet import quiet
with quiet():
    if path.endswith(".keras"):
        import keras
        from lettercast.train.predict import open_model
        opened = lambda: open_model(Path(path))
    else:
        from lettercast.runtime.engine import load_engine
        from lettercast.runtime.installed import ENGINES, look_for
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
