"""How far from the limit: each model's multiply-accumulates a second, against the most that its engine reaches on one core here.

Maintainer's command:

    python -m lettercast.benchmarks.speed.limit [MODEL ...] [--seconds S] [--json FILE]
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table
from rich.text import Text

from ... import UNUSABLE, LettercastError
from ...runtime.arguments import amount, device_model
from ...runtime.console import quiet
from ...runtime.files import write_bytes
from ...runtime.model.engine import Engine, open_engine
from ...runtime.model.installed import find_engine
from ..columns import WIDE, Cell, fill, in_ms
from ..parity.contender import BATCH
from ..parity.measure import MIN_RUNS, SECONDS, Latency, Run, measure
from .layers import SEED, Layer, OnnxRun, layers_of, open_tflite

if TYPE_CHECKING:
    import keras

INT8, FLOAT32 = "int8", "float32"
# What an engine should reach of its own most.
LEAST_SHARE = 0.4
# Large matrix products, (rows, width), and 3x3 convolutions, (side, channels): the best of them counts. Small ones stay in the
# fastest memory, large ones have the least to do beside multiplying.
PRODUCT = (512, 1024)
CONVOLUTIONS = ((28, 256), (14, 128), (14, 64))
# So many in a row, that the way in and out of the engine takes no part of the time.
DEPTH = 8
KERNEL_PX, CALIBRATION = 3, 4
# What is shown where a terminal has no room for every column.
NARROW_LIMIT = ("model", "1: ms", "GMAC/s", "share %")


@dataclass(frozen=True)
class Peak:
    """What an engine reaches with a kind of arithmetic in large products: their multiply-accumulates, and how long they take."""

    engine: str
    arithmetic: str
    product: str
    multiplications: int
    latency: Latency

    @property
    def gmacs(self) -> float:
        """Billions of multiply-accumulates a second, by the median."""
        return self.multiplications / self.latency.p50_ms / 1e6


@dataclass(frozen=True)
class Reach:
    """What a model reaches: multiply-accumulates of one picture, latencies of one picture and of 15 at once, and its layers.

    peak is the most that its engine reaches with the same arithmetic.
    """

    model: str
    engine: str
    peak: Peak
    multiplications: int
    one: Latency
    batch: Latency
    layers: tuple[Layer, ...]

    @property
    def gmacs(self) -> float:
        """Billions of multiply-accumulates a second with one picture, by the median."""
        return self.multiplications / self.one.p50_ms / 1e6

    @property
    def batch_gmacs(self) -> float:
        """The same with 15 at once."""
        return BATCH * self.multiplications / self.batch.p50_ms / 1e6

    @property
    def share(self) -> float:
        """Share of the peak with one picture, 0..1."""
        return self.gmacs / self.peak.gmacs

    @property
    def around_ms(self) -> float:
        """Milliseconds with one picture that no layer takes: Python, and the way in and out of the engine.

        Below 0 of ONNX Runtime, whose layers are timed with the cost of telling their times.
        """
        return self.one.p50_ms - sum(layer.ms for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON object."""
        figures = {"gmacs": self.gmacs, "batch_gmacs": self.batch_gmacs, "share": self.share, "peak_gmacs": self.peak.gmacs}
        layers = [layer.to_dict() for layer in self.layers]
        return {**asdict(self), **figures, "around_ms": self.around_ms, "layers": layers}


@dataclass(frozen=True)
class Limit:
    """Every product tried, and every model."""

    products: tuple[Peak, ...]
    models: tuple[Reach, ...]

    @property
    def slowest(self) -> Reach:
        """The model that takes longest over one picture."""
        return max(self.models, key=lambda model: model.one.p50_ms)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON object."""
        products = [{**asdict(peak), "gmacs": peak.gmacs} for peak in self.products]
        return {"products": products, "models": [model.to_dict() for model in self.models]}


def arithmetic_of(engine: Engine) -> str:
    """Return what a model multiplies: half precision and 16-bit activations are measured by what their weights are widened to."""
    return FLOAT32 if "float" in engine.facts.format else INT8


def make_products(
    product: tuple[int, int] = PRODUCT, convolutions: Sequence[tuple[int, int]] = CONVOLUTIONS, depth: int = DEPTH
) -> "dict[str, keras.Sequential]":
    """Return networks of nothing but large products, by what they are."""
    with quiet():
        import keras

    rows, width = product
    stack = [keras.layers.Dense(width) for _ in range(depth)]
    made = {f"{depth} x {rows}x{width} by {width}x{width}": keras.Sequential([keras.Input((rows, width)), *stack])}
    for side, channels in convolutions:
        stack = [keras.layers.Conv2D(channels, KERNEL_PX, padding="same") for _ in range(depth)]
        made[f"{depth} x 3x3 over {side}x{side}x{channels}"] = keras.Sequential([keras.Input((side, side, channels)), *stack])
    return made


def open_product(network: "keras.Sequential", ending: str, arithmetic: str) -> Run:
    """Export a network as models are, and open it with the engine of an ending; returns what runs it once."""
    with quiet():
        from ...export import onnx, tflite
    pixels = np.random.default_rng(SEED).integers(0, 256, (CALIBRATION, *network.input_shape[1:]), dtype=np.uint8)
    build, start = {".tflite": (tflite, open_tflite), ".onnx": (onnx, OnnxRun)}[ending]
    with quiet():
        model = {INT8: build.int8, FLOAT32: build.float32}[arithmetic](network, pixels)
    return start(model)


def measure_limit(
    paths: Sequence[Path],
    *,
    seconds: float = SECONDS,
    products: "dict[str, keras.Sequential] | None" = None,
    report: Callable[[str], None] = lambda said: None,
) -> Limit:
    """Time models and large products on one thread, taking turns, each for `seconds` in all, and then the models' layers.

    Raises:
        LettercastError: a model cannot be opened.
    """
    with quiet():
        from ...train.network import count_multiplications
    engines = [open_engine(path) for path in paths]
    kinds = [(path.suffix.lower(), arithmetic_of(engine)) for path, engine in zip(paths, engines, strict=True)]
    networks = make_products() if products is None else products
    tried = [(*kind, name) for kind in dict.fromkeys(kinds) for name in networks]
    runs: list[Run] = []
    for ending, arithmetic, name in tried:
        report(f"exporting {name}, {arithmetic}, for {find_engine(ending).name}")
        runs.append(open_product(networks[name], ending, arithmetic))
    runs += [run for engine in engines for run in runs_of(engine)]
    report(f"timing {len(runs)} products and models, {seconds:g} s each")
    taken = measure(runs, seconds, MIN_RUNS if seconds else 1)
    peaks = tuple(
        Peak(find_engine(ending).name, arithmetic, name, count_multiplications(networks[name]), latency)
        for (ending, arithmetic, name), latency in zip(tried, taken, strict=False)
    )
    best: dict[tuple[str, str], Peak] = {}
    for (ending, arithmetic, _), peak in zip(tried, peaks, strict=True):
        kind = ending, arithmetic
        best[kind] = max(best.get(kind, peak), peak, key=lambda own: own.gmacs)
    models = []
    for i, (path, kind, engine) in enumerate(zip(paths, kinds, engines, strict=True)):
        report(f"layers of {path.name}")
        layers = layers_of(path)
        one, batch = taken[len(tried) + 2 * i :][:2]
        total = sum(layer.multiplications for layer in layers)
        models.append(Reach(path.name, engine.name, best[kind], total, one, batch, layers))
    return Limit(peaks, tuple(models))


def runs_of(engine: Engine) -> tuple[Run, Run]:
    """Return what is timed of a model: one picture, and 15 at once."""
    pictures = np.random.default_rng(SEED).integers(0, 256, (BATCH, *engine.facts.input_shape), dtype=np.uint8)
    return lambda number: engine(pictures[:1]), lambda number: engine(pictures)


def limit_tables(result: Limit, width: int = WIDE) -> list[Table]:
    """Return what engines reach at most, what the models reach of it, and the layers of the slowest model."""
    peaks = Table(title="Large products, one thread")
    products: dict[str, Cell[Peak]] = {
        "engine": lambda peak: peak.engine,
        "arithmetic": lambda peak: peak.arithmetic,
        "product": lambda peak: peak.product,
        "ms": lambda peak: in_ms(peak.latency.p50_ms),
        "GMAC/s": lambda peak: f"{peak.gmacs:.1f}",
    }
    reached = Table(title="Models, one thread", caption="share: of the most that the engine reaches with the same arithmetic")
    models: dict[str, Cell[Reach]] = {
        "model": lambda reach: reach.model,
        "MMAC": lambda reach: f"{reach.multiplications / 1e6:.2f}",
        "1: ms": lambda reach: in_ms(reach.one.p50_ms),
        "GMAC/s": lambda reach: f"{reach.gmacs:.1f}",
        "around layers": lambda reach: f"{reach.around_ms:.3f}",
        f"{BATCH}: ms": lambda reach: in_ms(reach.batch.p50_ms),
        " GMAC/s": lambda reach: f"{reach.batch_gmacs:.1f}",
        "share %": lambda reach: Text(f"{100 * reach.share:.0f}", "red" if reach.share < LEAST_SHARE else "green"),
    }
    slowest = result.slowest
    layers = Table(
        title=f"Layers of {slowest.model}, the slowest", caption="lost: what it takes beyond the peak, of all layers' ms"
    )
    total = sum(layer.ms for layer in slowest.layers)
    costs: dict[str, Cell[Layer]] = {
        "layer": lambda layer: layer.name,
        "gives": lambda layer: "x".join(map(str, layer.output)),
        "MMAC": lambda layer: f"{layer.multiplications / 1e6:.3f}" if layer.multiplications else "",
        "ms": lambda layer: f"{layer.ms:.4f}",
        "% of all": lambda layer: f"{100 * layer.ms / total:.0f}",
        "share %": lambda layer: f"{100 * layer.gmacs / slowest.peak.gmacs:.0f}" if layer.gmacs else "",
        "lost %": lambda layer: f"{100 * (layer.ms - layer.multiplications / slowest.peak.gmacs / 1e6) / total:.0f}",
    }
    return [
        fill(peaks, products, result.products, products),
        fill(reached, models, result.models, NARROW_LIMIT if width < WIDE else models),
        fill(layers, costs, slowest.layers, costs),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; returns the exit code."""
    from rich.console import Console

    parser = argparse.ArgumentParser(
        prog="python -m lettercast.benchmarks.speed.limit", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("models", type=device_model, nargs="*", metavar="MODEL", help="default: letters-base")
    parser.add_argument("--seconds", type=amount, default=SECONDS, metavar="S", help="of timing each (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args(arguments)
    try:
        with Console(stderr=True).status("opening") as said:
            limit = measure_limit(options.models or [device_model("letters-base")], seconds=options.seconds, report=said.update)
        if options.json:
            write_bytes(options.json, json.dumps(limit.to_dict(), indent=1).encode())
    except LettercastError as error:
        print(f"lettercast: {error}", file=sys.stderr)
        return UNUSABLE
    console = Console()
    for table in limit_tables(limit, console.width):
        console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
