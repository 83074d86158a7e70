"""What the tests of benchmarks share: rows and runs with given figures, one measured run, and a video of a card."""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from lettercast.benchmarks.parity import benchmark
from lettercast.benchmarks.parity.benchmark import Accuracy, Benchmark, Row, run_benchmark
from lettercast.benchmarks.parity.contender import open_contenders
from lettercast.benchmarks.parity.measure import Footprint, Latency, take_turns, this_machine
from lettercast.benchmarks.speed.camera_loop import make_card_video
from lettercast.export.gate import Parity

PARITY = Parity(1000, 95.0, 94.5, 0.5, 0.1, 0.9, 99.2, 0.02)
ENGINES = {"keras": "keras 3", "tflite": "ai-edge-litert 2", "onnx": "onnxruntime 1"}


@pytest.fixture(scope="session")
def make_row() -> Callable[..., Row]:
    """Return a function that makes the row of a format with given figures."""

    def make(format: str, p50: float = 0.1, agreement: float = 99.9, drop: float = 0.0, size: int = 300_000, **more) -> Row:
        ending = format.partition("-")[0]
        parity = Parity(1000, 95.0, 95.0 - drop, drop, drop - 0.1, drop + 0.1, agreement, 0.02)
        figures = {
            "name": f"m-{format.partition('-')[2]}.{ending}" if "-" in format else "m.keras",
            "format": format,
            "engine": ENGINES[ending],
            "size_bytes": size,
            "accuracy": Accuracy(95.0 - drop, 93.5, 96.2),
            "parity": parity,
            "letter": Latency(p50, 2 * p50, 3 * p50, 600),
            "batch": Latency(10 * p50, 11 * p50, 12 * p50, 60),
            "footprint": Footprint(100.0, 1.0, 0.5, 43.0),
            "speedup": 50 / p50,
        }
        return Row(**{**figures, **more})

    return make


@pytest.fixture(scope="session")
def make_benchmark() -> Callable[..., Benchmark]:
    """Return a function that makes a benchmark of given rows."""
    return lambda *rows, **more: Benchmark("pen", "test", 1000, 2, this_machine(), rows, **more)


@pytest.fixture(scope="session")
def printed() -> Callable[[Table], str]:
    """Return a function that prints a table on a wide terminal and returns the text."""

    def show(table: Table) -> str:
        text = io.StringIO()
        Console(file=text, width=220).print(table)
        return text.getvalue()

    return show


@pytest.fixture(scope="session")
def measured_run(exported, model_file, check_source, made_once) -> Benchmark:
    """A benchmark of the original and two exports, with as few runs as possible."""

    def run(folder: Path) -> Benchmark:
        contenders = open_contenders([exported["tflite-int8"], exported["onnx-int8"]], [model_file], 1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(benchmark, "take_turns", partial(take_turns, min_runs=1))
            return run_benchmark(contenders, check_source, seconds=0)

    return made_once("measured_run", run)


@pytest.fixture(scope="session")
def card_video(made_once) -> Path:
    """A video of 45 frames: a card with 15 letters before a hand-held camera."""

    def shoot(folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        return make_card_video(folder, frames=45)

    return made_once("card_video", shoot)
