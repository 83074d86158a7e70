"""The table of formats: one row per format, with everything that the exporter knows about it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import LettercastError
from ..runtime.model.facts import Facts
from ..runtime.pixels import Pixels
from .convert import mobile, onnx, tflite
from .gate import Inspection, Tolerance
from .repair.recipe import DYNAMIC, INT16
from .repair.recipe import FLOAT as FLOAT_LAYERS
from .repair.recipe import INT8 as INT8_LAYERS

if TYPE_CHECKING:
    import keras

# How much each kind of format may lose; docs/export.md gives the figures of the shipped models.
FLOAT = Tolerance(max_drop=0.0, min_agreement=100.0, max_difference=1e-5, tie=1e-5)
FLOAT16 = Tolerance(max_drop=0.1, min_agreement=99.9, tie=1e-3)
INT8 = Tolerance(max_drop=0.3, min_agreement=99.0)
# The graph itself finds, cuts out and scales the letter, which differs a little from the runtime.
MOBILE = Tolerance(max_drop=0.5, min_agreement=98.5)


@dataclass(frozen=True)
class Format:
    """One row of the table of formats: everything that the exporter knows about it.

    Attributes:
        name: such as `tflite-int8`.
        suffix: of the file, `tflite` or `onnx`.
        input_dtype: the dtype that carries the pixels 0..255.
        tolerance: what the format may lose.
        build: turns a Keras model and calibration images (N, H, W, C) uint8 into the bytes of a file.
        embed: adds the facts to these bytes.
        inspect: reads from the bytes how they are quantized, and the oldest runtime that opens them.
        device: the devices that the format is for, in words.
        precision: how its layers compute, as recipes name it.
        prepare: adds layers in front of the network that do what callers would otherwise do, and updates the facts of its input.
    """

    name: str
    suffix: str
    input_dtype: str
    tolerance: Tolerance
    build: "Callable[[keras.Model, Pixels], bytes]"
    embed: Callable[[bytes, Facts], bytes]
    inspect: Callable[[bytes], Inspection]
    device: str
    precision: str = FLOAT_LAYERS
    prepare: "Callable[[keras.Model, Facts], tuple[keras.Model, Facts]]" = lambda model, facts: (model, facts)

    @property
    def is_quantized(self) -> bool:
        """Whether its weights are integers."""
        return self.precision != FLOAT_LAYERS

    def file_name(self, model: str) -> str:
        """Return the file name for a model, which has the suffix only once: letters-base-int8.tflite."""
        return f"{model}-{self.name.removeprefix(self.suffix + '-')}.{self.suffix}"


FORMATS = {
    row.name: row
    for row in (
        Format(
            "tflite-float32",
            "tflite",
            "float32",
            FLOAT,
            tflite.float32,
            tflite.embed,
            tflite.inspect,
            "x86-64 without VNNI, and the reference for phones and boards",
        ),
        Format(
            "tflite-float16",
            "tflite",
            "float32",
            FLOAT16,
            tflite.float16,
            tflite.embed,
            tflite.inspect,
            "phones with a GPU, at half the size",
        ),
        Format(
            "tflite-dynamic",
            "tflite",
            "float32",
            INT8,
            tflite.dynamic,
            tflite.embed,
            tflite.inspect,
            "if you have no images to calibrate on",
            precision=DYNAMIC,
        ),
        Format(
            "tflite-int8",
            "tflite",
            "uint8",
            INT8,
            tflite.int8,
            tflite.embed,
            tflite.inspect,
            "Raspberry Pi, phone, NPU, microcontroller, x86-64 with VNNI",
            precision=INT8_LAYERS,
        ),
        Format(
            "tflite-int16x8",
            "tflite",
            "float32",
            INT8,
            tflite.int16x8,
            tflite.embed,
            tflite.inspect,
            "microcontrollers, if int8 loses too much accuracy",
            precision=INT16,
        ),
        Format(
            "tflite-mobile",
            "tflite",
            "uint8",
            MOBILE,
            tflite.dynamic,
            mobile.embed_mobile,
            tflite.inspect,
            "apps with MediaPipe Tasks, takes RGB images",
            precision=DYNAMIC,
            prepare=mobile.take_rgb,
        ),
        Format("onnx-float32", "onnx", "float32", FLOAT, onnx.float32, onnx.embed, onnx.inspect, "servers and browsers"),
        Format(
            "onnx-float16",
            "onnx",
            "float32",
            FLOAT16,
            onnx.float16,
            onnx.embed,
            onnx.inspect,
            "browsers and GPUs, at half the size",
        ),
        Format(
            "onnx-int8",
            "onnx",
            "float32",
            INT8,
            onnx.int8,
            onnx.embed,
            onnx.inspect,
            "desktops and servers with VNNI, by ONNX Runtime",
            precision=INT8_LAYERS,
        ),
        Format(
            "onnx-dynamic",
            "onnx",
            "float32",
            INT8,
            onnx.dynamic,
            onnx.embed,
            onnx.inspect,
            "if you have no images to calibrate on",
            precision=DYNAMIC,
        ),
    )
}


def find_formats(names: Sequence[str] | None) -> list[Format]:
    """Return the rows of these names, or all rows; raises LettercastError if a name is not in the table."""
    for name in names or ():
        if name not in FORMATS:
            raise LettercastError(f"unknown format '{name}': choose from {', '.join(FORMATS)}")
    return [FORMATS[name] for name in dict.fromkeys(names or FORMATS)]
