"""How fast candidates are: measured here in turns, or modelled for a device that is not this machine, as ratios only."""

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

from ...runtime.model.engine import Engine, open_content, open_engine
from ...runtime.model.processor import VNNI, board, cpu_info, info_line
from ...runtime.pixels import Pixels
from ..devices import Device
from .layers import Layer
from .recipe import DYNAMIC, FLOAT, INT4, INT8, INT16, WEIGHTS, Recipe

BUDGET_S = 3.0
# A file runs for this long in a row, so that its weights are in the cache again before its best call is counted.
SLOT_S = 0.002
MIN_CALLS, MAX_CALLS = 2, 50
# Slow files get this many rounds, even if that takes longer than the budget.
MIN_ROUNDS = 5
# Coarser clocks cannot tell calls of microseconds apart.
MAX_TICK_S = 1e-6
# Time of a multiplication by its precision, as a multiple of float32's with the same engine and one thread. With a dot product:
# measured on an AMD EPYC with AVX-512 VNNI, the mean of letters-base and letters-nano, LiteRT 2.3 and ONNX Runtime 1.31; the
# Cortex-A76 is taken to be alike.
WITH_DOT_PRODUCT = {
    "tflite": {FLOAT: 1.0, WEIGHTS: 1.0, INT8: 0.36, DYNAMIC: 0.35, INT4: 1.3, INT16: 24.0},
    "onnx": {FLOAT: 1.0, WEIGHTS: 1.0, INT8: 0.6, DYNAMIC: 1.7, INT4: 1.0, INT16: 1.0},
}
# Without one on x86-64: INT8 as docs/devices.md says, the means of base and nano with AVX2. INT4 of TFLite unpacks to INT8 at
# every call, which takes the same time on top as above.
ON_AVX2 = {
    "tflite": {**WITH_DOT_PRODUCT["tflite"], INT8: 1.35, DYNAMIC: 1.35, INT4: 2.3},
    "onnx": {**WITH_DOT_PRODUCT["onnx"], INT8: 0.95},
}
# Without one on ARM: the mean of MLPerf Tiny's ResNet-8 (1.07 and 1.31 ms) and MobileNetV1 (2.60 and 3.75 ms) on a Cortex-A72.
ON_ARM = {
    "tflite": {**WITH_DOT_PRODUCT["tflite"], INT8: 0.76, DYNAMIC: 0.76, INT4: 1.7},
    "onnx": {**WITH_DOT_PRODUCT["onnx"], INT8: 0.76},
}


def latency_ratios(
    files: Mapping[str, bytes | Path], suffix: str, images: Pixels, budget_s: float = BUDGET_S
) -> dict[str, float]:
    """Measure how long each file takes for one image, with one thread, as a ratio to the first file.

    The files take turns, in each round in the other order, and a turn counts its fastest call, by the time that the processor
    spends on it: neither other programs nor a change of the clock rate favour one file. The result is the median over rounds.

    Args:
        files: the content or the path of each file, by name; the first has ratio 1.
        suffix: of files that are given by their content, `tflite` or `onnx`.
        images: (N, H, W, C) uint8; calls go through them in order.
        budget_s: about how long all measurements take together, in seconds; slow files take longer.

    Raises:
        LettercastError: the engine cannot open one of the files.
    """
    engines = {
        name: open_engine(content) if isinstance(content, Path) else open_content(content, suffix)
        for name, content in files.items()
    }
    single = [images[place : place + 1] for place in range(min(len(images), MAX_CALLS))]
    # Opening warms up, and the first round finds how many calls fill a turn.
    calls = {name: _calls_for(engine, single) for name, engine in engines.items()}
    first = next(iter(engines))
    rounds: dict[str, list[float]] = {name: [] for name in engines}
    end = time.perf_counter() + budget_s
    while len(rounds[first]) < MIN_ROUNDS or time.perf_counter() < end:
        names = list(engines) if len(rounds[first]) % 2 else list(engines)[::-1]
        times = {name: _fastest(engines[name], single, calls[name]) for name in names}
        for name in engines:
            rounds[name].append(times[name] / times[first])
    return {name: median(ratios) for name, ratios in rounds.items()}


def modelled_ratio(layers: Sequence[Layer], recipe: Recipe, suffix: str, device: Device) -> float:
    """Model how long one image takes on a device, as a ratio to the same network in float32.

    It adds up the multiplications of the layers, each weighted by what one costs in its precision on such a processor, see
    WITH_DOT_PRODUCT, ON_AVX2 and ON_ARM. Layers without weights count nothing, so it says nothing about networks that are made
    of other operations. It orders files; it is no measurement, and holds no milliseconds.
    """
    factors = _factors(device)[suffix]
    total = sum(layer.multiplications for layer in layers)
    weighted = sum(layer.multiplications * factors[recipe.precision_of(layer.name)] for layer in layers)
    return weighted / total if total else factors[recipe.precision]


def _factors(device: Device) -> Mapping[str, Mapping[str, float]]:
    if device.has_dot_product:
        return WITH_DOT_PRODUCT
    return ON_AVX2 if device.architecture == "x86_64" else ON_ARM


def runs_here(device: Device) -> bool:
    """Whether times of this machine are times of a device: the same board, or the same kind of processor."""
    if platform.machine().lower().replace("amd64", "x86_64") != device.architecture:
        return False
    if device.board:
        return device.board in board()
    return bool(VNNI & set(info_line(cpu_info(), "flags").split())) == device.has_dot_product


def processor_name() -> str:
    """Return the name of this machine's board or processor."""
    name = board() or info_line(cpu_info(), "model name")
    return name or platform.processor() or f"this {platform.machine()} processor"


def _calls_for(engine: Engine, single: Sequence[Pixels]) -> int:
    seconds = _fastest(engine, single, MIN_CALLS)
    return min(MAX_CALLS, max(MIN_CALLS, round(SLOT_S / max(seconds, MAX_TICK_S))))


def _fastest(engine: Engine, single: Sequence[Pixels], calls: int) -> float:
    """Return the shortest time of some calls with one image each, in seconds."""
    clock = _clock()
    best = float("inf")
    for call in range(calls):
        image = single[call % len(single)]
        start = clock()
        engine(image)
        best = min(best, clock() - start)
    return max(best, 1e-9)


def _clock() -> Callable[[], float]:
    """Return the clock of this thread's processor time where it is fine enough, because engines with one thread compute in it."""
    return time.thread_time if time.get_clock_info("thread_time").resolution <= MAX_TICK_S else time.perf_counter
