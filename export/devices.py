"""The table of devices: which formats each one takes, in which order, and why. docs/devices.md shows the same table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .. import LettercastError


@dataclass(frozen=True)
class Device:
    """One row of the table of devices.

    Attributes:
        name: as `--for` takes it.
        title: the device in words.
        processor: what decides the order, in words.
        formats: the formats that suit it, the best first, each with the reason.
        board: how Linux names the board, if a measurement may come from it.
        architecture: of the processor; a time from another one says nothing about this device.
        has_dot_product: whether the processor multiplies and adds 8-bit integers in one instruction; None if devices differ.
        is_integer_only: whether it computes files of integers alone, so that no layer may be in float or dynamic.
    """

    name: str
    title: str
    processor: str
    formats: Mapping[str, str]
    board: str = ""
    architecture: str = ""
    has_dot_product: bool | None = None
    is_integer_only: bool = False


@dataclass(frozen=True)
class Recommendation:
    """The file to take for a device, and the reason; name and format are empty if there is none, and reason says why."""

    device: str
    name: str
    reason: str
    format: str = ""


QUARTER = "a quarter of the size"
EQUAL = "computes in float32, as the original does"
DEVICES = {
    device.name: device
    for device in (
        Device(
            "pi5",
            "Raspberry Pi 5",
            "Cortex-A76, with a dot product for int8",
            {
                "tflite-int8": f"{QUARTER}; the processor has a dot product for int8",
                "tflite-float32": EQUAL,
            },
            "Raspberry Pi 5",
            "aarch64",
            True,
        ),
        Device(
            "pi4",
            "Raspberry Pi 4",
            "Cortex-A72, without a dot product for int8",
            {
                "tflite-int8": f"{QUARTER}; without a dot product it need not be faster",
                "tflite-float32": f"{EQUAL}, and may be as fast",
            },
            "Raspberry Pi 4",
            "aarch64",
            False,
        ),
        Device(
            "zero2",
            "Raspberry Pi Zero 2 W",
            "Cortex-A53, without a dot product for int8; 512 MB of memory",
            {
                "tflite-int8": f"{QUARTER}, and memory is short; without a dot product it need not be faster",
                "tflite-float32": f"{EQUAL}, and may be as fast",
            },
            "Raspberry Pi Zero 2",
            "aarch64",
            False,
        ),
        Device(
            "x86",
            "x86-64 without VNNI",
            "AVX2, without a dot product for int8",
            {
                "tflite-float32": f"{EQUAL}; here int8 TFLite is slower than float32",
                "onnx-float32": f"{EQUAL}, with ONNX Runtime",
                "onnx-int8": f"{QUARTER}; it depends on the network whether it is faster",
                "tflite-int8": f"{QUARTER}, but slower than float32",
            },
            architecture="x86_64",
            has_dot_product=False,
        ),
        Device(
            "x86-vnni",
            "x86-64 with VNNI",
            "AVX-VNNI or AVX-512 VNNI, a dot product for int8",
            {
                "tflite-int8": f"{QUARTER}; VNNI is a dot product for int8",
                "onnx-int8": f"{QUARTER}, with ONNX Runtime",
                "tflite-float32": f"{EQUAL}, but is slower than int8",
                "onnx-float32": f"{EQUAL}, with ONNX Runtime",
            },
            architecture="x86_64",
            has_dot_product=True,
        ),
        Device(
            "android",
            "Android",
            "many kinds of processors, GPUs and NPUs",
            {
                "tflite-int8": f"{QUARTER}; runs on CPU and NPU",
                "tflite-mobile": "takes RGB photographs in MediaPipe Tasks",
                "tflite-float16": "half the size, for the GPU",
                "tflite-float32": EQUAL,
            },
        ),
        Device(
            "ios",
            "iPhone and iPad",
            "Apple's processors and GPUs",
            {
                "tflite-int8": f"{QUARTER}; runs on the CPU",
                "tflite-mobile": "takes RGB photographs in MediaPipe Tasks",
                "tflite-float16": "half the size, for the GPU",
                "tflite-float32": EQUAL,
            },
        ),
        Device(
            "mcu",
            "microcontroller",
            "kilobytes of memory, runs tflite-micro",
            {
                "tflite-int8": "tflite-micro computes it with integers only",
                "tflite-int16x8": "integers only, if int8 loses too much accuracy; slower",
            },
            is_integer_only=True,
        ),
        Device(
            "browser",
            "browser",
            "WebAssembly or WebGPU",
            {
                "onnx-float32": f"{EQUAL}; runs in onnxruntime-web",
                "onnx-float16": "half the download, for WebGPU in onnxruntime-web",
                "tflite-float32": f"{EQUAL}; runs in LiteRT.js",
            },
        ),
    )
}


def find_devices(names: Sequence[str] | None) -> list[Device]:
    """Return the rows of these names; raises LettercastError if a name is not in the table."""
    for name in names or ():
        if name not in DEVICES:
            raise LettercastError(f"unknown device '{name}': choose from {', '.join(DEVICES)}")
    return [DEVICES[name] for name in dict.fromkeys(names or ())]


def formats_for(names: Sequence[str] | None) -> list[str]:
    """Return the formats that suit any of these devices, the best first; raises LettercastError for an unknown device."""
    return list(dict.fromkeys(format for device in find_devices(names) for format in device.formats))


def by_table(device: Device, usable: Mapping[str, str], proven: Sequence[str] | None = None) -> Recommendation:
    """Recommend a file for a device by the table alone.

    Args:
        device: a row of the table.
        usable: the names of the files that passed, by their formats.
        proven: the formats whose accuracy drop is proven, None if that is unknown; if the best is not among them, the reason
            says so, and names one that is.
    """
    fit = [format for format in device.formats if format in usable]
    if not fit:
        return Recommendation(device.title, "", f"no usable file in its formats: {', '.join(device.formats)}")
    best, reason = fit[0], device.formats[fit[0]]
    if proven is not None and best not in proven:
        sure = next((format for format in fit if format in proven), None)
        reason += f"; its accuracy drop is unproven{f', that of {usable[sure]} is proven' if sure else ''}"
    return Recommendation(device.title, usable[best], reason, best)
