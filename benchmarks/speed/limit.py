"""Measure each model's share of the peak throughput of its engine on one core.

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
from .layers import RUNS, SEED, Layer, OnnxRun, layers_of, open_tflite

if TYPE_CHECKING:
    import keras

INT8, FLOAT32 = "int8", "float32"
# A share below this is red in the table.
MIN_SHARE = 0.4
# A large matrix product, (rows, width), and 3x3 convolutions, (side, channels); the fastest of them is the peak. Small ones
# stay in the fastest memory, large ones spend the least time on anything but multiplying.
PRODUCT = (512, 1024)
CONVOLUTIONS = ((28, 256), (14, 128), (14, 64))
# Layers in a row, so that calling the engine takes a negligible share of the time.
DEPTH = 8
KERNEL_PX, CALIBRATION_IMAGES = 3, 4
# The columns for a terminal without room for all of them.
NARROW_LIMIT = ("model", "1: ms", "GMAC/s", "share %")


@dataclass(frozen=True)
class Peak:
    """The throughput of an engine in one large product: its multiply-accumulates and its latency."""

    engine: str
    arithmetic: str
    product: str
    multiplications: int
    latency: Latency

    @property
    def gmacs(self) -> float:
        """Billions of multiply-accumulates per second, by the median."""
        return self.multiplications / self.latency.p50_ms / 1e6


@dataclass(frozen=True)
class Reach:
    """The throughput of a model: multiply-accumulates of one image, latencies of one image and of 15 at once, and its layers.

    peak is the fastest product of the same engine and arithmetic.
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
        """Billions of multiply-accumulates per second with one image, by the median."""
        return self.multiplications / self.one.p50_ms / 1e6

    @property
    def batch_gmacs(self) -> float:
        """Billions of multiply-accumulates per second with 15 images at once, by the median."""
        return BATCH * self.multiplications / self.batch.p50_ms / 1e6

    @property
    def share(self) -> float:
        """Share of the peak with one image, 0..1."""
        return self.gmacs / self.peak.gmacs

    @property
    def around_ms(self) -> float:
        """Milliseconds with one image outside of all layers: Python and the call of the engine.

        It can be negative for ONNX Runtime, whose layer times include the cost of profiling.
        """
        return self.one.p50_ms - sum(layer.ms for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as a JSON object."""
        figures = {"gmacs": self.gmacs, "batch_gmacs": self.batch_gmacs, "share": self.share, "peak_gmacs": self.peak.gmacs}
        layers = [layer.to_dict() for layer in self.layers]
        return {**asdict(self), **figures, "around_ms": self.around_ms, "layers": layers}


@dataclass(frozen=True)
class Limit:
    """All products and all models."""

    products: tuple[Peak, ...]
    models: tuple[Reach, ...]

    @property
    def slowest(self) -> Reach:
        """The model with the longest time of one image."""
        return max(self.models, key=lambda model: model.one.p50_ms)

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as a JSON object."""
        products = [{**asdict(peak), "gmacs": peak.gmacs} for peak in self.products]
        return {"products": products, "models": [model.to_dict() for model in self.models]}


def arithmetic_of(engine: Engine) -> str:
    """Return the arithmetic to compare a model with: float16 computes in float32, and 16-bit activations count as int8."""
    return FLOAT32 if "float" in engine.facts.format else INT8


def make_products(
    product: tuple[int, int] = PRODUCT, convolutions: Sequence[tuple[int, int]] = CONVOLUTIONS, depth: int = DEPTH
) -> "dict[str, keras.Sequential]":
    """Return networks of nothing but large products, by their description."""
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
    """Export a network like a model, and open it with the engine of a file ending; return a call that runs it once."""
    with quiet():
        from ...export.convert import onnx, tflite
    pixels = np.random.default_rng(SEED).integers(0, 256, (CALIBRATION_IMAGES, *network.input_shape[1:]), dtype=np.uint8)
    build, start = {".tflite": (tflite, open_tflite), ".onnx": (onnx, OnnxRun)}[ending]
    with quiet():
        model = {INT8: build.int8, FLOAT32: build.float32}[arithmetic](network, pixels)
    return start(model)


def measure_limit(
    paths: Sequence[Path],
    *,
    seconds: float = SECONDS,
    products: "dict[str, keras.Sequential] | None" = None,
    report: Callable[[str], None] = lambda message: None,
) -> Limit:
    """Time models and large products in turns on one thread, then the models' layers.

    Args:
        paths: `.tflite` and `.onnx` files.
        seconds: how long to time each model and product; 0 calls everything as few times as possible.
        products: networks of large products, by default those of `make_products`.
        report: a function that shows progress.

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
        layers = layers_of(path, RUNS if seconds else 1)
        one, batch = taken[len(tried) + 2 * i :][:2]
        total = sum(layer.multiplications for layer in layers)
        models.append(Reach(path.name, engine.name, best[kind], total, one, batch, layers))
    return Limit(peaks, tuple(models))


def runs_of(engine: Engine) -> tuple[Run, Run]:
    """Return the calls to time: a model with one image, and with 15 at once."""
    images = np.random.default_rng(SEED).integers(0, 256, (BATCH, *engine.facts.input_shape), dtype=np.uint8)
    return lambda number: engine(images[:1]), lambda number: engine(images)


def limit_tables(result: Limit, width: int = WIDE) -> list[Table]:
    """Return a table of the products, one of the models, and one of the layers of the slowest model."""
    peaks = Table(title="throughput of large products, one thread")
    products: dict[str, Cell[Peak]] = {
        "engine": lambda peak: peak.engine,
        "arithmetic": lambda peak: peak.arithmetic,
        "product": lambda peak: peak.product,
        "ms": lambda peak: in_ms(peak.latency.p50_ms),
        "GMAC/s": lambda peak: f"{peak.gmacs:.1f}",
    }
    reached = Table(
        title="throughput of models, one thread",
        caption="share: of the fastest product with the same engine and arithmetic",
    )
    models: dict[str, Cell[Reach]] = {
        "model": lambda reach: reach.model,
        "MMAC": lambda reach: f"{reach.multiplications / 1e6:.2f}",
        "1: ms": lambda reach: in_ms(reach.one.p50_ms),
        "GMAC/s": lambda reach: f"{reach.gmacs:.1f}",
        "outside layers ms": lambda reach: f"{reach.around_ms:.3f}",
        f"{BATCH}: ms": lambda reach: in_ms(reach.batch.p50_ms),
        " GMAC/s": lambda reach: f"{reach.batch_gmacs:.1f}",
        "share %": lambda reach: Text(f"{100 * reach.share:.0f}", "red" if reach.share < MIN_SHARE else "green"),
    }
    slowest = result.slowest
    layers = Table(
        title=f"layers of {slowest.model}, the slowest model",
        caption="lost: time beyond that at peak throughput, as a share of all layers' time",
    )
    total = sum(layer.ms for layer in slowest.layers)
    costs: dict[str, Cell[Layer]] = {
        "layer": lambda layer: layer.name,
        "output": lambda layer: "x".join(map(str, layer.output)),
        "MMAC": lambda layer: f"{layer.multiplications / 1e6:.3f}" if layer.multiplications else "",
        "ms": lambda layer: f"{layer.ms:.4f}",
        "time %": lambda layer: f"{100 * layer.ms / total:.0f}",
        "share %": lambda layer: f"{100 * layer.gmacs / slowest.peak.gmacs:.0f}" if layer.gmacs else "",
        "lost %": lambda layer: f"{100 * (layer.ms - layer.multiplications / slowest.peak.gmacs / 1e6) / total:.0f}",
    }
    return [
        fill(peaks, products, result.products, products),
        fill(reached, models, result.models, NARROW_LIMIT if width < WIDE else models),
        fill(layers, costs, slowest.layers, costs),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables and return the exit code."""
    from rich.console import Console

    parser = argparse.ArgumentParser(
        prog="python -m lettercast.benchmarks.speed.limit", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("models", type=device_model, nargs="*", metavar="MODEL", help="models to measure (default: letters-base)")
    parser.add_argument(
        "--seconds",
        type=amount,
        default=SECONDS,
        metavar="S",
        help="time each model and product for at least this long (default: %(default)g)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    options = parser.parse_args(arguments)
    try:
        with Console(stderr=True).status("opening") as status:
            limit = measure_limit(options.models or [device_model("letters-base")], seconds=options.seconds, report=status.update)
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
