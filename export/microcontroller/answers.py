"""What a model answers on a microcontroller: by the reference kernels of LiteRT, and by tflite-micro itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import LettercastError
from ...runtime.console import quiet
from ...runtime.model.engine import quantize, wrapping_errors
from ...runtime.model.installed import LITERT, Package, describe_missing, find_package, this_platform
from ...runtime.pixels import Pixels
from .graph import ALIGNMENT, INSTEAD, aligned

TFLITE_MICRO = Package("tflite-micro", "tflite-micro", "tflite_micro", extra="lettercast[mcu]")
# A model whose arena is larger fits no microcontroller.
MAX_ARENA_BYTES = 64 * 1024 * 1024
FIRST_ARENA_BYTES = 64 * 1024


@dataclass(frozen=True)
class MicroRun:
    """What tflite-micro said: its version, the raw outputs (n, classes), and the smallest arena in bytes that it takes."""

    version: str
    outputs: NDArray[Any]
    arena_bytes: int


def reference_answers(path: Path, model: bytes, images: Pixels) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the inputs (n, H, W, C) and outputs (n, classes) of images (n, H, W, C) uint8, as the types of the file's tensors.

    The kernels are LiteRT's reference ones. Those of XNNPACK, which LiteRT takes otherwise, round sums differently in one of ten
    letters; tflite-micro does so only in a dense layer, which shows in two of a thousand. LiteRT lacks reference kernels of a
    few operators, such as ELU; then it computes with its other kernels, still without XNNPACK.

    Raises:
        LettercastError: LiteRT is not installed.
    """
    found = find_package(LITERT)
    if not found.module:
        raise LettercastError(f"{path}: {describe_missing(found, this_platform())}")
    kinds = found.module.OpResolverType
    with wrapping_errors(path), quiet():
        try:
            interpreter = open_with(found.module, model, kinds.BUILTIN_REF)
        except ValueError:
            interpreter = open_with(found.module, model, kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
        (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
        inputs = quantize(images, source)
        outputs: list[NDArray[Any]] = []
        for image in inputs[:, None]:
            interpreter.set_tensor(source["index"], image)
            interpreter.invoke()
            outputs.append(interpreter.get_tensor(target["index"])[0])
    return inputs, np.stack(outputs)


def open_with(module: Any, model: bytes, kernels: Any) -> Any:
    """Return LiteRT's interpreter of a model with kernels of one kind; raises ValueError if it lacks one."""
    interpreter = module.Interpreter(model_content=model, num_threads=1, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    return interpreter


def run_micro(path: Path, model: bytes, inputs: NDArray[Any]) -> MicroRun | None:
    """Run inputs (n, H, W, C) in tflite-micro, and measure its arena; None if tflite-micro is not installed.

    Raises:
        LettercastError: tflite-micro cannot run the file.
    """
    found = find_package(TFLITE_MICRO)
    if not found.module:
        return None
    try:
        with quiet():
            arena = smallest_arena(found.module.runtime, model)
            interpreter = found.module.runtime.Interpreter.from_bytes(model, arena_size=arena)
            outputs: list[NDArray[Any]] = []
            for image in inputs[:, None]:
                interpreter.set_input(image, 0)
                interpreter.invoke()
                outputs.append(interpreter.get_output(0)[0])
    except (RuntimeError, ValueError) as error:
        said = [line for note in getattr(error, "__notes__", ()) for line in note.splitlines() if line.strip()]
        reason = said[-1].strip() if said else str(error)
        raise LettercastError(f"{path}: tflite-micro cannot run it ({reason[:120]}); {INSTEAD}") from error
    return MicroRun(found.version, np.stack(outputs), arena)


def smallest_arena(runtime: Any, model: bytes) -> int:
    """Return the least arena in bytes, a multiple of 16, that tflite-micro takes for a model; raises its error if none does."""
    above = FIRST_ARENA_BYTES
    while not is_enough(runtime, model, above):
        if above >= MAX_ARENA_BYTES:
            runtime.Interpreter.from_bytes(model, arena_size=above)
        above *= 4
    below = 0
    while above - below > ALIGNMENT:
        middle = aligned((below + above) // 2)
        if is_enough(runtime, model, middle):
            above = middle
        else:
            below = middle
    return above


def is_enough(runtime: Any, model: bytes, arena_bytes: int) -> bool:
    """Tell whether tflite-micro takes a model in an arena of this size."""
    try:
        runtime.Interpreter.from_bytes(model, arena_size=arena_bytes)
    except RuntimeError:
        return False
    return True
