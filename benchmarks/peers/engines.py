"""The same network in other engines: OpenVINO and ncnn on the exported ONNX models, beside LiteRT and ONNX Runtime."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import LettercastError
from ...runtime.model.engine import Engine
from ...runtime.model.facts import Facts
from ...runtime.model.installed import NOT_INSTALLED, ONNX_RUNTIME, Found, Package, find_package
from ...runtime.pixels import Pixels
from ..parity.contender import BATCH, Contender, open_exported
from ..parity.measure import SECONDS, Latency, take_turns

OPENVINO = Package("OpenVINO", "openvino", "openvino", extra="lettercast[peers]")
NCNN = Package("ncnn", "ncnn", "ncnn", extra="lettercast[peers]")
# pnnx converts ONNX files for ncnn.
PNNX = Package("pnnx", "pnnx", "pnnx", extra="lettercast[peers]")
# Without the last hint OpenVINO uses bfloat16 on processors that have it.
ONE_THREAD = {
    "INFERENCE_NUM_THREADS": 1,
    "NUM_STREAMS": 1,
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_PRECISION_HINT": "f32",
}
CONVERSION_LIMIT_S = 120
RUN_PNNX = "from pnnx import pnnx; pnnx()"
FLOAT, INT8 = "onnx-float32", "onnx-int8"
COMPARED = (FLOAT, INT8, "tflite-float32", "tflite-int8")
NO_NCNN_INT8 = "float32 only: no package has the tools for int8 models of ncnn"


@dataclass(frozen=True)
class EngineRow:
    """One model in one engine on one thread, without pre- and postprocessing.

    letter and batch are the latencies of one letter and of 15. agreement (percent) and difference (the largest of any
    probability) compare with ONNX Runtime on the ONNX model of the same precision. A figure is None if it was not measured,
    and missing says why.
    """

    model: str
    engine: str
    letter: Latency | None = None
    batch: Latency | None = None
    agreement: float | None = None
    difference: float | None = None
    missing: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the row as a JSON object."""
        return asdict(self)


def compare_engines(
    models: Sequence[Path], images: Pixels, seconds: float = SECONDS, report: Callable[[str], None] = lambda message: None
) -> tuple[EngineRow, ...]:
    """Run exported float32 and int8 models of letters in every engine; all of them take turns.

    images are (N, H, W, C) uint8, at least 15; models of other formats are left out.
    """
    own = [one for path in models for one in open_exported(path, 1) if not one.engine or one.format in COMPARED]
    peers = [
        peer
        for one in own
        if one.package == ONNX_RUNTIME and one.engine
        for peer in open_peer_engines(one.path, one.engine, report)
    ]
    everyone = [*own, *peers]
    for one in everyone:
        if one.engine:
            report(f"{one.path.name} in {one.engine.name}")
            with one.trying():
                one.probabilities = in_batches(one.engine, images)
    running = [one for one in everyone if one.runs]
    runs = [run for one in running if one.engine for run in timed_calls(one.engine, images)]
    for number, latencies in enumerate(take_turns(runs, seconds) if runs else ()):
        report(f"timing engines, round {number + 1}")
        for one, letter, batch in zip(running, latencies[::2], latencies[1::2], strict=True):
            one.letter, one.batch = letter, batch
    reference = {one.format: one.probabilities for one in own if one.package == ONNX_RUNTIME and one.engine}
    return tuple(row_of(one, reference.get(INT8 if one.format.endswith("int8") else FLOAT)) for one in everyone)


def open_peer_engines(path: Path, ours: Engine, report: Callable[[str], None]) -> list[Contender]:
    """Open an ONNX model in OpenVINO and ncnn, with the facts from our engine; skipped or failure say why one is not open."""
    facts, peers = ours.facts, []
    for package, opener in ((OPENVINO, open_openvino), (NCNN, open_ncnn)):
        found = find_package(package)
        peer = Contender(path, package)
        peers.append(peer)
        if found.module is None:
            mend = f": pip install '{package.extra}'" if found.fault == NOT_INSTALLED else ""
            peer.skipped = f"{found.fault}{mend}"
        elif package == NCNN and facts.format != FLOAT:
            peer.skipped = NO_NCNN_INT8
        else:
            report(f"opening {path.name} in {found.name}")
            with peer.trying():
                peer.engine = opener(path, facts, found)
    return peers


def open_openvino(path: Path, facts: Facts, found: Found) -> Engine:
    """Open an ONNX model with OpenVINO on one thread of the processor.

    Each batch size gets its own compiled network, because a network of a fixed size is faster.
    """
    core = found.module.Core()

    @lru_cache
    def request(count: int) -> Any:
        model = core.read_model(path)
        model.reshape([count, *facts.input_shape])
        return core.compile_model(model, "CPU", ONE_THREAD).create_infer_request()

    def classify(images: Pixels) -> NDArray[np.float32]:
        infer_request = request(len(images))
        infer_request.infer({0: images.astype(facts.input_dtype)}, share_inputs=True)
        return np.array(infer_request.get_output_tensor(0).data, np.float32)

    # The rest of the version names a commit.
    return Engine(found.name.partition("-")[0], facts, classify)


def open_ncnn(path: Path, facts: Facts, found: Found) -> Engine:
    """Open a float32 ONNX model with ncnn on one thread of the processor; it runs one image at a time, without batches.

    Raises LettercastError if pnnx, which converts the model, is not installed or fails.
    """
    ncnn = found.module
    network = ncnn.Net()
    network.opt.num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        parameters, weights = convert(path, facts, Path(folder))
        if network.load_param(str(parameters)) or network.load_model(str(weights)):
            raise LettercastError(f"{path}: ncnn cannot load the model that pnnx converted; try another version of pnnx")
    (source,), (target,) = network.input_names(), network.output_names()

    def classify(images: Pixels) -> NDArray[np.float32]:
        rows = []
        for image in images.astype(facts.input_dtype):
            with network.create_extractor() as run:
                # A Mat does not keep its array alive, so clone it.
                run.input(source, ncnn.Mat(image).clone())
                rows.append(np.array(run.extract(target)[1], np.float32))
        return np.stack(rows)

    return Engine(found.name, facts, classify)


def convert(path: Path, facts: Facts, folder: Path) -> tuple[Path, Path]:
    """Convert an ONNX model to ncnn's files with float32 weights; return the paths of parameters and weights."""
    copy = Path(shutil.copy(path, folder / "letters.onnx"))
    shape = ",".join(map(str, (1, *facts.input_shape)))
    words = [copy.name, f"inputshape=[{shape}]f32", "fp16=0"]
    done = subprocess.run(
        [sys.executable, "-c", RUN_PNNX, *words], cwd=folder, capture_output=True, check=False, timeout=CONVERSION_LIMIT_S
    )
    made = folder / "letters.ncnn.param", folder / "letters.ncnn.bin"
    if done.returncode or not all(file.exists() for file in made):
        reason = (done.stderr.decode(errors="replace").strip().splitlines() or ["it wrote no model"])[-1]
        if "No module named" in reason:
            reason = f"which is not installed: pip install '{PNNX.extra}'"
        raise LettercastError(f"{path}: cannot be converted for ncnn by pnnx, {reason}")
    return made


def in_batches(engine: Engine, images: Pixels) -> NDArray[np.float32]:
    """Return the probabilities (N, classes) of images in batches of 15, without an incomplete last batch."""
    whole = len(images) // BATCH * BATCH
    return np.concatenate([engine(images[i : i + BATCH]) for i in range(0, whole, BATCH)])


def timed_calls(engine: Engine, images: Pixels) -> tuple[Callable[[int], object], Callable[[int], object]]:
    """Return the calls to time: one image, and 15 at once."""
    batches = len(images) // BATCH
    return (
        lambda number: engine(images[number % len(images)][None]),
        lambda number: engine(images[BATCH * (number % batches) :][:BATCH]),
    )


def row_of(one: Contender, reference: NDArray[np.float32] | None) -> EngineRow:
    """Return the row of a model in an engine, compared with the probabilities of ONNX Runtime."""
    name = one.engine.name if one.engine else one.package.title if one.package else ""
    agreement = difference = None
    if one.runs and one.probabilities is not None and reference is not None:
        agreement = 100 * float((one.probabilities.argmax(1) == reference.argmax(1)).mean())
        difference = float(np.abs(one.probabilities - reference).max())
    return EngineRow(one.path.name, name, one.letter, one.batch, agreement, difference, one.skipped or one.failure)
