"""A zip for microcontrollers: a model as C++, its golden cases, and all that a board needs to run both."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import LettercastError
from ...runtime.files import make_folder, packaged, replacing
from ...runtime.model.engine import dequantize, open_engine, wrapping_errors
from ...runtime.model.facts import LETTERS, Facts
from ...runtime.model.golden import golden_of, golden_path
from ..bundle import archive
from .answers import TFLITE_MICRO, MicroRun, reference_answers, run_micro
from .boards import PROGRAM_KB, SYSTEM_KB, board_table
from .graph import Graph, Port, read_graph
from .sources import Contents, filler, source_files

# Golden cases in a zip take flash, so those of large images are fewer; all cases were run before.
MAX_CASE_BYTES = 128 * 1024
MAX_LABELS_SHOWN = 40


@dataclass(frozen=True)
class MicroBundle:
    """A zip, and what was found; it was written only if it is proved.

    Attributes:
        path, size_bytes: where it is, and its size.
        cases, written_cases: golden cases that were run, and those in the zip.
        equal, wrong: to how many of the cases tflite-micro gives the reference answer, and another label; None if it is not
            installed.
        equality: what equal means, in words.
        arena_bytes: the size of the arena, measured by tflite-micro, or estimated.
        version: of tflite-micro; empty if it is not installed.
        graph, model_bytes: the model's graph, and the size of its file.
    """

    path: Path
    size_bytes: int
    cases: int
    written_cases: int
    equal: int | None
    wrong: int | None
    equality: str
    arena_bytes: int
    version: str
    graph: Graph
    model_bytes: int

    @property
    def is_proved(self) -> bool:
        """Whether no golden case has another label in tflite-micro; also if that was not run."""
        return not self.wrong


def write_micro_bundle(model: Path, out: Path | None = None, *, overwrite: bool = False) -> MicroBundle:
    """Write a model as a zip for microcontrollers, the same bytes for the same input and packages.

    If tflite-micro is installed and gives another label to a golden case, nothing is written.

    Args:
        model: a `.tflite` file that `lettercast export` wrote, with its golden cases beside it.
        out: the file to write; by default the model's name, and `-mcu.zip`.
        overwrite: whether to replace `out` if it exists.

    Raises:
        LettercastError: tflite-micro cannot run the model, its golden cases are missing or of another model, or `out` exists or
            cannot be written.
    """
    if model.suffix.lower() != ".tflite":
        how = "choose the .tflite file beside it" if model.suffix.lower() == ".onnx" else "run lettercast export first"
        raise LettercastError(f"{model}: microcontrollers run .tflite models; {how}")
    content = model.read_bytes() if model.exists() else b""
    facts = open_engine(model).facts
    out = out or Path(f"{facts.name}-mcu.zip")
    if out.exists() and (not overwrite or out.samefile(model)):
        hint = "choose another --out" if overwrite else "add --overwrite, or choose another --out"
        raise LettercastError(f"{out}: exists already; {hint}")
    with wrapping_errors(model):
        graph = read_graph(model, content)
    golden = golden_of(model, content)
    if golden is None:
        raise LettercastError(f"{golden_path(model)}: no such file; export the model again, or copy both files")
    inputs, answers = reference_answers(model, content, golden.images)
    run = run_micro(model, content, inputs)
    fitting = max(1, MAX_CASE_BYTES // (golden.images[0].size + answers[0].nbytes))
    # Evenly over the classes, in whose order they are.
    taken = np.unique(np.linspace(0, len(answers) - 1, min(len(answers), fitting)).round().astype(int))
    contents = Contents(
        facts,
        graph,
        content,
        run.arena_bytes if run else graph.estimated_arena_bytes,
        run is not None,
        golden.images[taken],
        answers[taken],
    )
    apart = np.abs(probabilities(run.outputs, graph.target) - probabilities(answers, graph.target)).max(1) if run else None
    equal = None if apart is None else apart <= contents.tolerance
    wrong = int((run.outputs.argmax(1) != answers.argmax(1)).sum()) if run else None
    folder = safe_name(facts.name)
    texts = {
        "README.md": readme(contents, run, equal, taken),
        "LICENSE": (packaged("").parent / "LICENSE").read_text(encoding="utf-8"),
        **dict(source_files(contents)),
    }
    packed = archive({f"{folder}/{name}": text.encode() for name, text in texts.items()})
    bundle = MicroBundle(
        out,
        len(packed),
        len(answers),
        len(taken),
        None if equal is None else int(equal.sum()),
        wrong,
        contents.equality,
        contents.arena_bytes,
        run.version if run else "",
        graph,
        len(content),
    )
    if bundle.is_proved:
        make_folder(out.parent)
        with replacing(out) as temporary:
            temporary.write_bytes(packed)
    return bundle


def probabilities(outputs: NDArray[Any], port: Port) -> NDArray[np.float32]:
    """Return probabilities (n, classes) of the raw outputs of a model."""
    return dequantize(outputs, {"quantization": (port.scale, port.zero_point)})


def safe_name(name: str) -> str:
    """Return a model's name as the name of a folder that Arduino, CMake and make take."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)


def readme(contents: Contents, run: MicroRun | None, equal: NDArray[np.bool_] | None, taken: NDArray[np.int64]) -> str:
    """Return the README of a zip, with the figures of its model.

    equal (n,) tells which golden cases tflite-micro answers to the bit; taken are the places of those in the zip.
    """
    facts, graph = contents.facts, contents.graph
    fill = filler(contents)
    kind = "letters" if contents.takes_letters else "images"
    height, width, channels = facts.input_shape
    colour = {1: "grey", 3: "RGB"}.get(channels, f"{channels} channels")
    scaled = "a letter, white on black, centred" if facts.takes == LETTERS else "scaled to this size"
    how = (
        f"the least that tflite-micro {run.version.partition('-')[0]} takes on a 64-bit computer; a 32-bit processor needs less"
        if run
        else "estimated on the safe side, because tflite-micro is not installed where this was written"
    )
    if equal is None:
        proof = f"{len(taken)}, not run where this was written: {how_to_run()}"
    else:
        proof = f"{equal.sum()} of {len(equal)} {contents.equality} in tflite-micro"
        proof += "" if equal.all() else ", the others with the same label"
        proof += f"; {len(taken)} of them are in this folder" if len(taken) < len(equal) else ""
    expected = len(taken) if equal is None else int(equal[taken].sum())
    text = fill("README.md")
    values = {
        "camera": fill(f"camera_{kind}.md") if contents.takes_frames else "",
        "preprocessing": fill(f"preprocessing_{kind}.md"),
        "title": "a reader of handwritten letters" if contents.takes_letters else "an image classifier",
        "format": facts.format,
        "input": f"{width} x {height} pixels, {colour}, 0 to 255: {scaled}",
        "classes": str(len(facts.labels)),
        "labels": shown_labels(facts),
        "model_bytes": f"{len(contents.model):,}",
        "case_bytes": f"{contents.images.nbytes + contents.answers.nbytes:,}",
        "arena_bytes": f"{contents.arena_bytes:,}",
        "arena_how": how,
        "macs": f"{graph.macs:,}",
        "operator_names": ", ".join(f"`{name}`" for name in graph.operators),
        "golden": f"{proof}. Their answers are those of LiteRT's reference kernels",
        "expected_equal": str(expected),
        "expected_close": str(len(taken) - expected),
        "reject": f"{facts.reject_below:.3g}",
        "add_methods": "\n".join(f"resolver.{method}();" for method in graph.methods),
        "boards": board_table(graph, len(contents.model), contents.arena_bytes, height * width * channels),
        "program_kb": str(PROGRAM_KB),
        "system_kb": str(SYSTEM_KB),
    }
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text


def shown_labels(facts: Facts) -> str:
    """Return the labels of a model, as far as they fit a line of a table."""
    shown = [label.replace("|", "\\|").replace("\n", " ") for label in facts.labels[:MAX_LABELS_SHOWN]]
    return ", ".join(shown) + (", ..." if len(facts.labels) > MAX_LABELS_SHOWN else "")


def how_to_run() -> str:
    """Return how tflite-micro is installed, which has wheels for Linux on x86-64 alone."""
    return f"pip install {shlex.quote(TFLITE_MICRO.extra)}, on Linux and x86-64"
