"""Run exported files in one runtime; a program of its own, because the runtime's environment has no lettercast.

    PYTHON probe.py OPENER JOBS RESULTS

JOBS is a JSON file: a list of {"model": path, "images": path, "answers": path}. The images are an .npy of (N, H, W, C) uint8; the
answers become an .npy of (N, classes) float32. RESULTS gets one line of JSON after each job: {"error": "", or its first line}.
It runs in Python 3.9 and later, with NumPy.
"""

import json
import os
import re
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

# Packages of other environments have no types here.
Classify = Callable[[np.ndarray], Any]

# TFLite gives the integer output of a softmax this scale; OpenCV and OpenVINO do not say it.
SOFTMAX_SCALE = 1 / 256
OPENCV_PLACE = re.compile(r"^OpenCV\(\S+\) \S+ error: ")
MICRO_ARENA_BYTES = 16_000_000


def in_interpreter(interpreter: Any) -> Classify:
    """Return the function that classifies one image (1, H, W, C) with an interpreter of LiteRT or tflite-runtime."""
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()

    def classify(image: np.ndarray) -> Any:
        interpreter.set_tensor(source["index"], quantized(image, source["dtype"], *source["quantization"]))
        interpreter.invoke()
        return dequantized(interpreter.get_tensor(target["index"]), *target["quantization"])

    return classify


def quantized(image: np.ndarray, dtype: Any, scale: float, zero_point: int) -> np.ndarray:
    """Return pixels 0..255 in the dtype and the scale of an input."""
    if np.dtype(dtype).kind == "f" or scale == 0:
        return image.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(image / scale) + zero_point, limits.min, limits.max).astype(dtype)


def dequantized(output: np.ndarray, scale: float, zero_point: int) -> np.ndarray:
    """Return probabilities from an output of any dtype."""
    return output if output.dtype.kind == "f" else (output.astype(np.float32) - zero_point) * np.float32(scale)


def litert(path: str) -> Classify:
    return in_interpreter(import_module("ai_edge_litert.interpreter").Interpreter(model_path=path, num_threads=1))


def tflite_runtime(path: str) -> Classify:
    return in_interpreter(import_module("tflite_runtime.interpreter").Interpreter(model_path=path, num_threads=1))


def tflite_micro(path: str) -> Classify:
    interpreter = import_module("tflite_micro").runtime.Interpreter.from_file(path, arena_size=MICRO_ARENA_BYTES)
    source, target = interpreter.get_input_details(0), interpreter.get_output_details(0)

    def scale_of(detail: "dict[str, Any]") -> "tuple[float, int]":
        scales = detail["quantization_parameters"]["scales"]
        return (scales[0], detail["quantization_parameters"]["zero_points"][0]) if len(scales) else (0, 0)

    def classify(image: np.ndarray) -> Any:
        interpreter.set_input(quantized(image, source["dtype"], *scale_of(source)), 0)
        interpreter.invoke()
        return dequantized(interpreter.get_output(0), *scale_of(target))

    return classify


def mediapipe(path: str) -> Classify:
    package, tasks = import_module("mediapipe"), import_module("mediapipe.tasks.python")
    vision = import_module("mediapipe.tasks.python.vision")
    options = vision.ImageClassifierOptions(base_options=tasks.BaseOptions(model_asset_path=path))
    classifier = vision.ImageClassifier.create_from_options(options)

    def classify(image: np.ndarray) -> Any:
        rgb = np.ascontiguousarray(np.repeat(image[0], 3 // image.shape[-1], -1))
        found = classifier.classify(package.Image(image_format=package.ImageFormat.SRGB, data=rgb)).classifications[0].categories
        return np.array([[one.score for one in sorted(found, key=lambda one: one.index)]], np.float32)

    return classify


def quantizer(path: str) -> Classify:
    """Quantize the weights, which only shows whether the tool takes the file; then run the result."""
    tool, recipe = import_module("ai_edge_quantizer.quantizer"), import_module("ai_edge_quantizer.recipe")
    result = tool.Quantizer(path, recipe.dynamic_wi8_afp32()).quantize()
    interpreter = import_module("ai_edge_litert.interpreter").Interpreter
    return in_interpreter(interpreter(model_content=bytes(result.quantized_model), num_threads=1))


def tf2onnx(path: str) -> Classify:
    """Convert to ONNX, and run the result in ONNX Runtime."""
    graph, _ = import_module("tf2onnx.convert").from_tflite(path, opset=15)
    return session(graph.SerializeToString())


def onnxruntime(path: str) -> Classify:
    return session(path)


def session(model: "str | bytes") -> Classify:
    """Return the function that classifies one image with ONNX Runtime; model is a path or the content of a file."""
    package = import_module("onnxruntime")
    options = package.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    running = package.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (source,) = running.get_inputs()
    dtype = np.uint8 if "uint8" in source.type else np.float32
    return lambda image: scaled(running.run(None, {source.name: image.astype(dtype)})[0])


def scaled(output: np.ndarray) -> np.ndarray:
    """Return probabilities from an output whose scale the runtime does not say."""
    return dequantized(output, SOFTMAX_SCALE, 0)


def reference(path: str) -> Classify:
    running: Any = import_module("onnx.reference").ReferenceEvaluator(import_module("onnx").load(path))
    return lambda image: running.run(None, {running.input_names[0]: image.astype(np.float32)})[0]


def openvino(path: str) -> Classify:
    # Processors that have bfloat16 would round.
    compiled = (
        import_module("openvino")
        .Core()
        .compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1})
    )
    dtype = compiled.input(0).element_type.to_dtype()
    return lambda image: scaled(np.array(compiled(image.astype(dtype))[0]))


def opencv(path: str) -> Classify:
    cv2 = import_module("cv2")
    cv2.setNumThreads(1)
    is_onnx = path.endswith(".onnx")
    network = cv2.dnn.readNetFromONNX(path) if is_onnx else cv2.dnn.readNetFromTFLite(path)

    def classify(image: np.ndarray) -> Any:
        # Keras' ONNX files take the channels last; OpenCV's reader of TFLite files wants them first.
        pixels = image if is_onnx else np.ascontiguousarray(image.transpose(0, 3, 1, 2))
        network.setInput(pixels.astype(np.float32))
        return scaled(network.forward())

    return classify


def reason_of(problem: BaseException) -> str:
    """Return the first line of an error; OpenCV's begins with a place in its code, and often ends with the function only."""
    first, *others = [line.strip() for line in str(problem).splitlines() if line.strip()] or [""]
    short = OPENCV_PLACE.sub("", first)
    return " ".join([short, *others[:1]]) if short != first else first


OPENERS = {
    own.__name__: own
    for own in (litert, tflite_runtime, tflite_micro, mediapipe, quantizer, tf2onnx, onnxruntime, reference, openvino, opencv)
}


def main() -> None:
    """Run all jobs; a runtime that crashes leaves the results of the jobs before."""
    opener, jobs, results = sys.argv[1:]
    listed = json.loads(Path(jobs).read_text())
    with Path(results).open("a") as file, tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for job in listed:
            error = ""
            try:
                classify = OPENERS[opener](job["model"])
                answers = [np.asarray(classify(image[None])).ravel() for image in np.load(job["images"])]
                np.save(job["answers"], np.array(answers, np.float32))
            except BaseException as problem:  # runtimes raise anything, SystemExit among it
                error = f"{type(problem).__name__}: {reason_of(problem)}"
            print(json.dumps({"error": error}), file=file, flush=True)


if __name__ == "__main__":
    main()
