"""The files of a zip for microcontrollers: the model as C++, and what stands around it, with its names and figures filled in."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import __version__
from ...runtime.files import packaged
from ...runtime.glyph import GLYPH_PX
from ...runtime.model.facts import LETTERS, PHOTOS, Facts
from ...runtime.pixels import Pixels
from ...runtime.text.codes import look_alikes
from .graph import Graph, Port

# How the files and functions of a model are called: letters.h and letters_classify(), or classifier.h for other images.
PREFIXES = {LETTERS: "letters"}
OTHER_PREFIX = "classifier"
TEMPLATES = "files"
C_TYPES = {"uint8": "uint8_t", "int8": "int8_t", "int16": "int16_t", "float32": "float"}
PER_LINE = 20
# What float kernels of two runtimes may differ by.
FLOAT_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Contents:
    """What goes into a zip.

    Attributes:
        facts, graph, model: the model's facts, graph and file.
        arena_bytes: the size of the arena; is_measured tells whether tflite-micro measured it.
        images, answers: the golden cases that fit, (n, H, W, C) uint8, and the reference answers, raw, (n, classes).
    """

    facts: Facts
    graph: Graph
    model: bytes
    arena_bytes: int
    is_measured: bool
    images: Pixels
    answers: NDArray[Any]

    @property
    def tolerance(self) -> float:
        """What a probability may differ by and still count as equal: nothing where the model computes with integers."""
        return 0.0 if self.graph.is_integer else FLOAT_TOLERANCE

    @property
    def equality(self) -> str:
        """What equal means, in words."""
        return f"equal to within {self.tolerance:g}" if self.tolerance else "equal to the bit"

    @property
    def prefix(self) -> str:
        """The beginning of the names of files and functions."""
        return PREFIXES.get(self.facts.takes, OTHER_PREFIX)

    @property
    def takes_letters(self) -> bool:
        """Whether the model takes glyphs."""
        return self.facts.takes == LETTERS

    @property
    def takes_frames(self) -> bool:
        """Whether the middle of a camera's image, grey or RGB, is an input once it is scaled."""
        return self.facts.takes != PHOTOS and self.facts.input_shape[2] in (1, 3)


def source_files(contents: Contents) -> Iterator[tuple[str, str]]:
    """Yield the name within the zip's folder, and the text, of each source file."""
    prefix, fill = contents.prefix, filler(contents)
    yield f"src/{prefix}.h", header(contents)
    yield f"src/{prefix}.cc", data(contents)
    yield f"src/{prefix}_cases.cc", cases(contents)
    modules = [("run.h", "run.cc"), ("check.h", "check.cc"), ("image.h", "image.c")]
    modules += [("glyph.h", "glyph.c")] * contents.takes_letters
    for name in (name for pair in modules for name in pair):
        yield f"src/{prefix}_{name}", fill(name)
    for name in ("main.cc", "CMakeLists.txt", "idf_component.yml", "library.properties", "platformio.ini"):
        yield name, fill(name)
    yield "examples/golden_cases/golden_cases.ino", fill("golden_cases.ino")
    if contents.takes_frames:
        sketch = "read_letter" if contents.takes_letters else "classify_frame"
        yield f"examples/{sketch}/{sketch}.ino", fill(f"{sketch}.ino")
        yield f"examples/{sketch}/camera.h", fill("camera.h")


def filler(contents: Contents) -> Any:
    """Return a function that fills a model's names and figures into a template."""
    facts, graph, prefix = contents.facts, contents.graph, contents.prefix
    _, width, channels = facts.input_shape
    names = ["", "_cases", "_run", "_check", "_image", *(["_glyph"] if contents.takes_letters else [])]
    files = [f"src/{prefix}{name}.{'c' if name in ('_image', '_glyph') else 'cc'}" for name in names]
    values = {
        "name": prefix,
        "NAME": prefix.upper(),
        "model": facts.name,
        # Arduino allows letters, digits, dots, dashes, underscores and spaces, 63 of them, and no other beginning.
        "library": facts.name.encode("ascii", "replace").decode().replace("?", "_").lstrip("_.-")[:63] or prefix,
        "version": __version__,
        "row_pixels": str(max(GLYPH_PX, width)),
        "row_bytes": str(max(GLYPH_PX, width * channels)),
        "operators": str(len(graph.operators)),
        "add_operators": "\n".join(f"  if (resolver.{method}() != kTfLiteOk) return false;" for method in graph.methods),
        "to_input": to_input(graph.source, prefix),
        "to_probability": to_probability(graph.target, prefix),
        "look_alikes": "\n".join(look_alike_lines(facts, prefix)),
        "cases": str(len(contents.images)),
        "tolerance": c_float(contents.tolerance),
        "tolerance_words": f", or within {contents.tolerance:g} because the model computes in float"
        if contents.tolerance
        else "",
        "equality": contents.equality,
        "sources": " ".join(files),
    }

    def fill(name: str) -> str:
        text = (packaged("").parent / "export" / "microcontroller" / TEMPLATES / name).read_text(encoding="utf-8")
        for key, value in values.items():
            text = text.replace(f"@{key}@", value)
        return text

    return fill


def to_input(port: Port, prefix: str) -> str:
    """Return the C++ expression that turns a pixel into a number of the input; as quantize() in runtime/model/engine.py."""
    if port.dtype == "float32":
        return "static_cast<float>(pixels[i])"
    if is_identity(port):
        return "pixels[i]"
    return f"{prefix}_quantized[pixels[i]]"


def is_identity(port: Port) -> bool:
    """Tell whether an input takes pixels as they are."""
    return port.dtype == "uint8" and (port.scale == 0 or (port.zero_point == 0 and abs(port.scale - 1) < 1e-3))


def to_probability(port: Port, prefix: str) -> str:
    """Return the C++ expression that turns a value of the output into a probability."""
    if port.dtype == "float32":
        return "value"
    return f"static_cast<float>(value - {prefix.upper()}_OUTPUT_ZERO_POINT) * {prefix.upper()}_OUTPUT_SCALE"


def look_alike_lines(facts: Facts, prefix: str) -> Iterator[str]:
    """Yield the lines that count a digit and a letter that look alike as one, as best_of() in runtime/text/codes.py."""
    pairs = look_alikes(facts.labels)
    if pairs:
        yield "  // A digit and a letter that look alike, such as 0 and O, count as one."
        yield f"  static const unsigned char alike[][2] = {{{', '.join(f'{{{a}, {b}}}' for a, b in pairs)}}};"
        yield "  for (const unsigned char *pair : alike) {"
        yield f"    const float both = {prefix}_probability(pair[0]) + {prefix}_probability(pair[1]);"
        yield "    if (both > certainty) certainty = both;"
        yield "  }"


def header(contents: Contents) -> str:
    """Return letters.h: sizes, types, scales and thresholds of a model, and the declarations of its data."""
    facts, graph, prefix = contents.facts, contents.graph, contents.prefix
    upper = prefix.upper()
    height, width, channels = facts.input_shape
    source, target = graph.source, graph.target
    measured = (
        "Measured with tflite-micro on a 64-bit computer;\n   a 32-bit processor needs less."
        if contents.is_measured
        else "Estimated, on the safe side; run the golden cases, which print what is in use."
    )
    table = not (source.dtype == "float32" or is_identity(source))
    lines = [
        f"/* The model {facts.name} ({facts.format}), written by lettercast {__version__}: bundle --target mcu. */",
        f"#ifndef {upper}_H",
        f"#define {upper}_H",
        "",
        "#include <stdint.h>",
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        f"#define {upper}_MODEL_NAME {c_string(facts.name)}",
        f"#define {upper}_MODEL_BYTES {len(contents.model)}",
        "",
        f"/* The input: one image, row by row, {what_goes_in(facts)}. */",
        f"#define {upper}_HEIGHT {height}",
        f"#define {upper}_WIDTH {width}",
        f"#define {upper}_CHANNELS {channels}",
        f"#define {upper}_PIXELS {height * width * channels}",
        f"#define {upper}_CLASSES {len(facts.labels)}",
        "",
        "/* Types of the input and output tensor. A number stands for scale * (number - zero point), or itself if scale is 0. */",
        f"typedef {C_TYPES[source.dtype]} {prefix}_input;",
        f"typedef {C_TYPES[target.dtype]} {prefix}_output;",
        f"#define {upper}_INPUT_SCALE {c_float(source.scale)}",
        f"#define {upper}_INPUT_ZERO_POINT {source.zero_point}",
        f"#define {upper}_OUTPUT_SCALE {c_float(target.scale)}",
        f"#define {upper}_OUTPUT_ZERO_POINT {target.zero_point}",
        "",
        "/* An answer of a lower probability is none. The probabilities are calibrated: the model divides its logits by this",
        "   temperature itself. */",
        f"#define {upper}_REJECT_BELOW {facts.reject_below!r}",
        f"#define {upper}_TEMPERATURE {float(facts.temperature)!r}",
        "",
        f"/* The arena: memory for the activations and what TensorFlow Lite Micro keeps. {measured}",
        "   Kernels that are written for a processor take scratch memory beside that, at most: */",
        f"#define {upper}_ARENA_BYTES {contents.arena_bytes}",
        f"#define {upper}_CMSIS_NN_BYTES {graph.cmsis_nn_bytes}",
        f"#define {upper}_ESP_NN_BYTES {graph.esp_nn_bytes}",
        "",
        "/* The file, aligned to 16 bytes; it stays in flash. */",
        f"extern const uint8_t {prefix}_model[{upper}_MODEL_BYTES];",
        "",
        "/* The labels in the order of the output. */",
        f"extern const char *const {prefix}_labels[{upper}_CLASSES];",
    ]
    if table:
        lines += [
            "",
            "/* The number of the input for each value of a pixel. */",
            f"extern const {prefix}_input {prefix}_quantized[256];",
        ]
    lines += ["", "#ifdef __cplusplus", "}", "#endif", "", "#endif", ""]
    return "\n".join(lines)


def what_goes_in(facts: Facts) -> str:
    """Return in words what the pixels of a model's input are."""
    kinds = {1: "grey", 3: "red, green and blue"}
    channels = kinds.get(facts.input_shape[2], f"{facts.input_shape[2]} channels")
    if facts.takes == LETTERS:
        return f"a letter white on black as letters_glyph.h makes it, {channels}, 0 to 255"
    return f"scaled to this size, {channels}, 0 to 255"


def data(contents: Contents) -> str:
    """Return letters.cc: the file of a model as an array, and its labels."""
    prefix, upper = contents.prefix, contents.prefix.upper()
    source = contents.graph.source
    blocks = [
        f'#include "{prefix}.h"',
        "",
        f"alignas(16) const uint8_t {prefix}_model[{upper}_MODEL_BYTES] = {{",
        *rows(contents.model),
        "};",
        "",
        f"const char *const {prefix}_labels[{upper}_CLASSES] = {{",
        *(f"    {c_string(label)}," for label in contents.facts.labels),
        "};",
        "",
    ]
    if not (source.dtype == "float32" or is_identity(source)):
        limits = np.iinfo(source.dtype)
        pixels = np.arange(256) if source.scale == 0 else np.rint(np.arange(256) / source.scale) + source.zero_point
        table = np.clip(pixels, limits.min, limits.max).astype(int)
        blocks += [f"const {prefix}_input {prefix}_quantized[256] = {{", *rows(table), "};", ""]
    return "\n".join(blocks)


def cases(contents: Contents) -> str:
    """Return the golden cases as arrays; they are a file of their own, so that a program without them does not hold them."""
    prefix, upper = contents.prefix, contents.prefix.upper()
    is_float = contents.graph.target.dtype == "float32"
    lines = [f'#include "{prefix}_check.h"', ""]
    lines.append(f"const uint8_t {prefix}_case_pixels[{upper}_CASES][{upper}_PIXELS] = {{")
    for image in contents.images:
        lines += ["    {", *rows(image.ravel()), "    },"]
    lines += ["};", "", f"const {prefix}_output {prefix}_case_answers[{upper}_CASES][{upper}_CLASSES] = {{"]
    for answer in contents.answers:
        lines += ["    {", *rows(map(c_float, answer) if is_float else answer), "    },"]
    return "\n".join([*lines, "};", ""])


def rows(numbers: Iterable[Any]) -> Iterator[str]:
    """Yield numbers as lines of a C array."""
    words = [str(number) for number in numbers]
    for start in range(0, len(words), PER_LINE):
        yield f"    {', '.join(words[start : start + PER_LINE])},"


def c_float(value: float) -> str:
    """Return a number as a C float literal that gives the same float32."""
    text = f"{float(np.float32(value)):.9g}"
    return f"{text}f" if set(text) & set(".en") else f"{text}.0f"


def c_string(text: str) -> str:
    """Return text as a C string literal of its UTF-8 bytes."""
    shown = {ord('"'): '\\"', ord("\\"): "\\\\"}
    # Octal escapes end after three digits; question marks could form trigraphs.
    escaped = (
        shown.get(byte) or (chr(byte) if 32 <= byte < 127 and byte != ord("?") else f"\\{byte:03o}") for byte in text.encode()
    )
    return f'"{"".join(escaped)}"'
