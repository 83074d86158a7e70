"""Inference engines behind one call: images in, probabilities out."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import LettercastError
from ..console import first_line, quiet
from ..pixels import Pixels
from .facts import Facts, onnx_facts, tflite_facts
from .golden import MAX_DIFFERENCE, golden_of, golden_path, replay
from .installed import ENGINES, NOT_INSTALLED, OPENCV, Found, Package, find_engine, find_package, this_platform
from .tap import onnx_with_features, tflite_with_features

# Interpreters say this about an operation, or a version of one, that is newer than they are.
UNKNOWN_OPERATION = re.compile(r"Didn't find op|builtin_code out of range|not supported by this interpreter")
# Formats whose operations even old interpreters know.
OLDEST_FORMATS = ("tflite-int8", "tflite-float32")
# The ONNX operation that takes the scales of dynamic quantization from the whole batch.
SCALES_OF_BATCH = b"DynamicQuantizeLinear"
# The formats that OpenCV's dnn is for, and how far its probabilities may be from those of the engine that proved the file:
# other orders of sums move them by 3e-6, float16 by 5e-4.
DNN_DIFFERENCES = {"onnx-float32": 1e-3, "onnx-float16": 1e-2}
# Golden cases of so many values of pixels together tell whether OpenCV computes a file correctly; it costs a few milliseconds.
MAX_CHECKED_VALUES = 300_000
# In front of a reason, OpenCV names its version, a place in its code and an error code.
OPENCV_PLACE = re.compile(r"OpenCV\(\S+\) \S+ error: \([^)]*\) ?")
UNKNOWN_NODE = re.compile(r"Node \[(\w+)@")
# Each image of a batch takes memory in the engine, and an image of gravel has thousands.
MAX_BATCH = 256

Classify = Callable[[Pixels], NDArray[np.float32]]
# Returns probabilities (N, classes) and features (N, width), what the last layer sees, of images (N, H, W, C).
See = Callable[[Pixels], tuple[NDArray[np.float32], NDArray[np.float32]]]


@dataclass(frozen=True)
class Engine:
    """A model that is ready to run: the engine's name and version, the model's facts, and the function that classifies.

    tap opens the model once more, as a function that also returns what the last layer sees; None if the engine has no way. It
    raises ValueError if the last layer is not a dense one.
    """

    name: str
    facts: Facts
    classify: Classify
    tap: Callable[[], See] | None = None

    def __call__(self, images: Pixels) -> NDArray[np.float32]:
        """Return (N, classes) float32 probabilities of (N, H, W, C) uint8 images.

        Raises:
            ValueError: the images have another shape or dtype.
        """
        if images.shape[1:] != self.facts.input_shape or images.dtype != np.uint8:
            raise ValueError(f"{self.facts.name} takes (N, {self.facts.input_shape}) uint8, not {images.shape} {images.dtype}")
        if len(images) == 0:
            return np.zeros((0, len(self.facts.labels)), np.float32)
        return self.classify(images)


def remembering(engine: Engine) -> Engine:
    """Return an engine that passes on only images that it was not asked about before, and each only once.

    It keeps all of them, so it is for one page.
    """
    known: dict[bytes, NDArray[np.float32]] = {}

    def classify(images: Pixels) -> NDArray[np.float32]:
        keys = [image.tobytes() for image in images]
        new = list({key: i for i, key in enumerate(keys) if key not in known}.values())
        for start in range(0, len(new), MAX_BATCH):
            batch = new[start : start + MAX_BATCH]
            known.update(zip((keys[i] for i in batch), engine(images[batch]), strict=True))
        return np.stack([known[key] for key in keys])

    return replace(engine, classify=classify)


def open_engine(path: Path, threads: int = 1, package: Package | None = None) -> Engine:
    """Open a `.tflite` or `.onnx` model and run it once on two blank images.

    Args:
        path: the model file.
        threads: threads of the engine.
        package: the engine to use; by default the first installed one that runs such models.

    Raises:
        LettercastError: the file is missing or damaged, its facts are missing or do not fit its graph, or no engine for it
            is installed.
    """
    return _tried(path, load_engine(path, threads, package))


def open_content(model: bytes, suffix: str) -> Engine:
    """Open the content of a file like open_engine, with one thread; suffix is "tflite" or "onnx". Errors call it model.SUFFIX."""
    path = Path(f"model.{suffix}")
    return _tried(path, _load(path, model, 1, None))


def load_engine(path: Path, threads: int = 1, package: Package | None = None) -> Engine:
    """Open a model like open_engine, but do not run it."""
    if path.suffix.lower() not in OPENERS and path.exists():
        raise LettercastError(f"{path}: the runtime opens {' and '.join(OPENERS)} models; make one with `lettercast export`")
    try:
        model = path.read_bytes()
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise LettercastError(f"{path}: {reason}; give a .tflite or .onnx model from `lettercast export`") from error
    return _load(path, model, threads, package)


def _load(path: Path, model: bytes, threads: int, package: Package | None) -> Engine:
    with wrapping_errors(path):
        return OPENERS[path.suffix.lower()](path, model, threads, _engine_for(path, package))


def _tried(path: Path, engine: Engine) -> Engine:
    """Return an engine that gives probabilities for two blank images; raises LettercastError if it does not."""
    blank = np.zeros((2, *engine.facts.input_shape), np.uint8)
    with wrapping_errors(path):
        probabilities = engine(blank)
        if probabilities.shape != (2, len(engine.facts.labels)) or not np.isfinite(probabilities).all():
            raise ValueError(f"output of shape {probabilities.shape} for two images, or NaN")
    return engine


@contextmanager
def wrapping_errors(path: Path) -> Iterator[None]:
    """Turn whatever an engine raises over a model into a LettercastError; engines derive their errors straight from Exception."""
    try:
        yield
    except LettercastError:
        raise
    except Exception as error:
        raise LettercastError(f"{path}: cannot be used ({first_line(error)}); export or copy it again") from error


@contextmanager
def engine_errors(found: Found, facts: Facts, path: Path) -> Iterator[None]:
    """Silence the engine, and turn its errors over models or a NumPy that are too new for it into a LettercastError."""
    try:
        with quiet():
            yield
    except SystemError as error:
        # tflite-runtime imports NumPy's C interface only when it opens a model.
        raise LettercastError(f"{path}: {found.name} and NumPy {np.__version__} do not fit; pip install 'numpy<2'") from error
    except (ValueError, RuntimeError) as error:
        if not UNKNOWN_OPERATION.search(str(error)):
            raise
        reason = first_line(error).partition(". ")[0]
        instead = " or ".join(name for name in OLDEST_FORMATS if name != facts.format)
        raise LettercastError(f"{path}: {found.name} cannot run this {facts.format} model ({reason}); use {instead}") from error


def open_tflite(path: Path, model: bytes, threads: int, found: Found) -> Engine:
    """Open a TFLite model with LiteRT, or with its predecessor tflite-runtime."""
    facts = tflite_facts(path, model)
    with engine_errors(found, facts, path):
        interpreter = found.module.Interpreter(model_content=model, num_threads=threads)
        interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    if np.dtype(source["dtype"]).name != facts.input_dtype:
        raise ValueError(f"its facts say {facts.input_dtype} input, its graph takes {np.dtype(source['dtype']).name}")
    _check_shapes(path, facts, tuple(source["shape"][1:]), int(target["shape"][-1]))

    def classify(images: Pixels) -> NDArray[np.float32]:
        pixels = quantize(images, source)
        outputs = np.empty((len(pixels), len(facts.labels)), target["dtype"])
        for image, output in zip(pixels[:, None], outputs, strict=True):
            interpreter.set_tensor(source["index"], image)
            interpreter.invoke()
            output[:] = interpreter.get_tensor(target["index"])[0]
        return dequantize(outputs, target)

    return Engine(found.name, facts, classify, partial(_tap_tflite, path, model, threads, found))


def _tap_tflite(path: Path, model: bytes, threads: int, found: Found) -> See:
    """Open a TFLite model so that it also returns what its last layer sees."""
    with engine_errors(found, tflite_facts(path, model), path):
        interpreter = found.module.Interpreter(model_content=tflite_with_features(model), num_threads=threads)
        interpreter.allocate_tensors()
    (source,), targets = interpreter.get_input_details(), interpreter.get_output_details()

    def see(images: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        pixels = quantize(images, source)
        rows = [np.empty((len(pixels), int(target["shape"][-1])), target["dtype"]) for target in targets]
        for i, image in enumerate(pixels[:, None]):
            interpreter.set_tensor(source["index"], image)
            interpreter.invoke()
            for row, target in zip(rows, targets, strict=True):
                row[i] = interpreter.get_tensor(target["index"]).reshape(-1)
        probabilities, features = (dequantize(row, target) for row, target in zip(rows, targets, strict=True))
        return probabilities, features

    return see


def open_onnx(path: Path, model: bytes, threads: int, found: Found) -> Engine:
    """Open an ONNX model with ONNX Runtime, or with OpenCV's dnn."""
    if found.package == OPENCV:
        return open_dnn(path, model, threads, found)
    module = found.module
    options = module.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 4
    session = module.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    facts = onnx_facts(path, model)
    (source,), (target,) = session.get_inputs(), session.get_outputs()
    _check_shapes(path, facts, tuple(source.shape[1:]), target.shape[-1])
    dtype = np.dtype(facts.input_dtype)
    # An image's probabilities would depend on the others. Files that were repaired have such layers in other formats, too.
    is_alone = SCALES_OF_BATCH in model

    def classify(images: Pixels) -> NDArray[np.float32]:
        pixels = images.astype(dtype)
        batches = pixels[:, None] if is_alone else [pixels]
        return np.concatenate([np.asarray(session.run([target.name], {source.name: one})[0], np.float32) for one in batches])

    def tap() -> See:
        tapped, name = onnx_with_features(model)
        seeing = module.InferenceSession(tapped, options, providers=["CPUExecutionProvider"])

        def see(images: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            pixels = images.astype(dtype)
            rows = [seeing.run([target.name, name], {source.name: one}) for one in (pixels[:, None] if is_alone else [pixels])]
            probabilities, features = (np.concatenate(part).astype(np.float32) for part in zip(*rows, strict=True))
            return probabilities, features.reshape(len(images), -1)

        return see

    return Engine(found.name, facts, classify, tap)


def open_dnn(path: Path, model: bytes, threads: int, found: Found) -> Engine:
    """Open an ONNX model with OpenCV's dnn, which reads some files wrongly: golden cases beside the file decide.

    Raises LettercastError if there are none of this model, or if dnn gives other answers to them.
    """
    facts, cv2 = onnx_facts(path, model), found.module
    try:
        with quiet():
            # It logs each operation that it does not know.
            network = cv2.dnn.readNetFromONNX(np.frombuffer(model, np.uint8))
    except cv2.error as error:
        raise _refused_by_dnn(
            path, facts, found, f"cannot run this {facts.format or 'ONNX'} file ({_dnn_reason(error)})"
        ) from error
    # Nothing else than a network guards its buffers.
    lock = Lock()

    def classify_one(image: Pixels) -> NDArray[np.float32]:
        network.setInput(image[None].astype(np.float32))
        return network.forward().reshape(-1)

    def classify(images: Pixels) -> NDArray[np.float32]:
        with lock, _opencv_threads(cv2, threads):
            # One by one: another size of batch would make all buffers anew, and old versions cannot run every network in batches.
            return np.stack([classify_one(image) for image in images]).astype(np.float32)

    def tap() -> See:
        seeing = cv2.dnn.readNetFromONNX(np.frombuffer(onnx_with_features(model)[0], np.uint8))
        targets = seeing.getUnconnectedOutLayersNames()

        def see_one(image: Pixels) -> list[NDArray[np.float32]]:
            seeing.setInput(image[None].astype(np.float32))
            return [rows.reshape(-1) for rows in seeing.forward(targets)]

        def see(images: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            with lock, _opencv_threads(cv2, threads):
                probabilities, features = (np.stack(rows) for rows in zip(*map(see_one, images), strict=True))
            return probabilities.astype(np.float32), features.astype(np.float32)

        return see

    engine = Engine(found.name, facts, classify, tap)
    golden = golden_of(path, model)
    if golden is None:
        name = golden_path(path).name
        needed = f"needs the golden cases that were exported with this file, to check its results; copy {name} beside it"
        other = ", or use ONNX Runtime (pip install onnxruntime)" if this_platform().bits == 64 else ""
        raise LettercastError(f"{path}: {found.name} {needed}{other}")
    try:
        with quiet():
            _check_shapes(path, facts, facts.input_shape, classify(golden.images[:1]).shape[-1])
            test = replay(engine, golden.first(MAX_CHECKED_VALUES), DNN_DIFFERENCES.get(facts.format, MAX_DIFFERENCE))
    except cv2.error as error:
        raise _refused_by_dnn(path, facts, found, f"cannot run this {facts.format} file ({_dnn_reason(error)})") from error
    if test.mismatches:
        wrong = f"{len(test.mismatches)} of {test.n} golden cases differ, by up to {test.difference:.2g}"
        raise _refused_by_dnn(path, facts, found, f"computes this {facts.format} file wrongly ({wrong})")
    return engine


@contextmanager
def _opencv_threads(cv2: Any, threads: int) -> Iterator[None]:
    """Let OpenCV use so many threads, which it only knows for the whole process."""
    before = cv2.getNumThreads()
    if before == threads:
        # To set the same number again would start new threads.
        yield
        return
    cv2.setNumThreads(threads)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _refused_by_dnn(path: Path, facts: Facts, found: Found, fault: str) -> LettercastError:
    """Return the error for a file that OpenCV's dnn does not run, with what to use instead."""
    instead = [] if facts.format == "onnx-float32" else ["an onnx-float32 file"]
    # ONNX Runtime has no 32-bit build.
    instead += ["ONNX Runtime (pip install onnxruntime)"] if this_platform().bits == 64 else []
    return LettercastError(f"{path}: {found.name} {fault}; use {' or '.join(instead or ['a .tflite file'])}")


def _dnn_reason(error: Exception) -> str:
    """Return why OpenCV does not run a file: the operation that it lacks, or its own words without the place in its code."""
    text = str(error)
    if operation := UNKNOWN_NODE.search(text):
        return f"it lacks {operation[1]} as used here"
    lines = [line.strip() for line in OPENCV_PLACE.sub("", text).splitlines() if line.strip()]
    return lines[0][:120] if lines else type(error).__name__


def quantize(images: Pixels, detail: dict[str, Any]) -> NDArray[Any]:
    """Convert pixels 0..255 to the dtype, scale and zero point of a TFLite input."""
    dtype = np.dtype(detail["dtype"])
    scale, zero_point = detail["quantization"]
    # An integer input without a scale takes pixel values as they are.
    if dtype.kind == "f" or scale == 0:
        return images.astype(dtype)
    if dtype == np.uint8 and zero_point == 0 and abs(scale - 1) < 1e-3:
        return images
    limits = np.iinfo(dtype)
    return np.clip(np.rint(images / scale) + zero_point, limits.min, limits.max).astype(dtype)


def dequantize(outputs: NDArray[Any], detail: dict[str, Any]) -> NDArray[np.float32]:
    """Convert a TFLite output to probabilities: scale * (value - zero point)."""
    if outputs.dtype.kind == "f":
        return outputs.astype(np.float32)
    scale, zero_point = detail["quantization"]
    # float32 holds every 8- and 16-bit integer, and every difference of two, exactly.
    values = outputs.astype(np.float32)
    values -= np.float32(zero_point)
    values *= np.float32(scale)
    return values


def _check_shapes(path: Path, facts: Facts, shape: tuple[Any, ...], classes: Any) -> None:
    if tuple(shape) != facts.input_shape or classes != len(facts.labels):
        raise LettercastError(f"{path}: its facts do not fit its graph ({shape} in, {classes} classes out); export it again")


def _engine_for(path: Path, package: Package | None) -> Found:
    """Return the engine `package`, or the first installed one for this kind of model; raises LettercastError if there is none."""
    ending = path.suffix.lower()
    if package and package not in ENGINES[ending]:
        able = " and ".join(one.title for one in ENGINES[ending])
        hint = "; for OpenCV, export onnx-float32" if package == OPENCV else ""
        raise LettercastError(f"{path}: {package.title} does not run {ending} models, {able} do{hint}")
    found = find_package(package) if package else find_engine(ending)
    if found.module:
        return found
    if package:
        fault = "is not installed" if found.fault == NOT_INSTALLED else found.fault
        raise LettercastError(f"{path}: {package.title} {fault}: pip install '{package.extra}'")
    if found.fault != NOT_INSTALLED:
        raise LettercastError(f"{path}: {found.package.name} {found.fault}; install it again")
    choices = " or ".join(f"pip install '{package.extra}'" for package in ENGINES[ending])
    raise LettercastError(f"{path}: no engine for {path.suffix} models is installed: {choices}")


OPENERS = {".tflite": open_tflite, ".onnx": open_onnx}
