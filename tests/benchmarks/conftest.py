"""What the tests of benchmarks share: rows and runs with given figures, one measured run, and a video of a card."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from lettercast.benchmarks.parity.benchmark import Accuracy, Benchmark, Row
from lettercast.benchmarks.parity.measure import Footprint, Latency, this_machine
from lettercast.benchmarks.speed.camera_loop import make_card_video
from lettercast.export.gate import Parity

PARITY = Parity(1000, 95.0, 94.5, 0.5, 0.1, 0.9, 99.2, 0.02)
ENGINES = {"keras": "keras 3", "tflite": "ai-edge-litert 2", "onnx": "onnxruntime 1"}


@pytest.fixture
def make_row() -> Callable[..., Row]:
    """Return a function that makes the row of a format, with these figures of it."""

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


@pytest.fixture
def make_benchmark() -> Callable[..., Benchmark]:
    """Return a function that makes the benchmark of some rows."""
    return lambda *rows, **more: Benchmark("pen", "test", 1000, 2, this_machine(), rows, **more)


@pytest.fixture(scope="session")
def printed() -> Callable[[Table], str]:
    """Return a function that gives what a wide terminal shows of a table."""

    def show(table: Table) -> str:
        text = io.StringIO()
        Console(file=text, width=220).print(table)
        return text.getvalue()

    return show


@pytest.fixture(scope="session")
def card_video(made_once) -> Path:
    """A video of 45 frames: a card with 15 letters before a hand-held camera."""

    def shoot(folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        return make_card_video(folder, frames=45)

    return made_once("card_video", shoot)
