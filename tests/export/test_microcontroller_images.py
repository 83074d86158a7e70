"""The C code that prepares images on a microcontroller gives the same pixels as the Python code."""

import ctypes
import json
import shutil
import struct
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from lettercast.export.microcontroller.bundle import write_micro_bundle
from lettercast.runtime.arguments import device_model
from lettercast.runtime.classifier import Classifier, fit_image
from lettercast.runtime.glyph import glyph
from lettercast.train.data.drawing import draw_ink

VECTORS = Path(__file__).parents[2] / "docs" / "glyph-vectors.json"
CORTEX_M4 = Path(__file__).parent / "cortex_m4"
LIMIT_S = 120


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    """The folder with the C files of the zip of letters-nano."""
    folder = tmp_path_factory.mktemp("sources")
    with zipfile.ZipFile(write_micro_bundle(device_model("letters-nano"), folder / "mcu.zip").path) as archive:
        archive.extractall(folder)
    # Whole images are longer than the rows of a glyph.
    header = folder / "letters-nano" / "src" / "letters_image.h"
    text = header.read_text().replace("LETTERS_IMAGE_WIDTH 28", "LETTERS_IMAGE_WIDTH 200")
    header.write_text(text.replace("LETTERS_IMAGE_MAX 28", "LETTERS_IMAGE_MAX 600"))
    return header.parent


@pytest.fixture(scope="module")
def library(sources) -> ctypes.CDLL:
    """The C files, compiled as a library without a warning."""
    if not shutil.which("gcc"):
        pytest.skip("no gcc here")
    files = [sources / "letters_image.c", sources / "letters_glyph.c"]
    warnings = ("-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-std=c99")
    subprocess.run(["gcc", *warnings, "-O2", "-shared", "-fPIC", *files, "-lm", "-o", sources / "images.so"], check=True)
    return ctypes.CDLL(str(sources / "images.so"))


def address(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


@pytest.fixture(scope="module")
def c_glyph(library) -> Callable[[np.ndarray], np.ndarray]:
    """Return letters_glyph() as a function of an ink (H, W) uint8."""

    def run(ink: np.ndarray) -> np.ndarray:
        # Not all of a buffer: each row has three more bytes.
        rows, image = np.pad(ink, ((0, 0), (0, 3)), constant_values=255), np.empty((28, 28), np.uint8)
        library.letters_glyph(address(rows), ink.shape[1], ink.shape[0], rows.shape[1], address(image))
        return image

    return run


@pytest.fixture(scope="module")
def inks(pen) -> list[np.ndarray]:
    """Inks of letters of all sizes, some of them faint."""
    rng = np.random.default_rng(0)
    drawn = []
    for i in range(300):
        side = rng.uniform(4, 150)
        ink = draw_ink(pen.sample(i % 26, rng), side, max(1.5, side * rng.uniform(0.04, 0.2)))
        drawn.append((ink * rng.uniform(0.1, 1)).astype(np.uint8) if i % 3 == 0 else ink)
    return [ink for ink in drawn if max(ink.shape) <= 250]


def test_a_glyph_has_the_same_pixels_to_the_bit(c_glyph, inks):
    rng = np.random.default_rng(1)
    cases = json.loads(VECTORS.read_text(encoding="utf-8"))["cases"]
    vectors = [np.array([list(bytes.fromhex(row)) for row in case["ink"]], np.uint8) for case in cases]
    noise = [np.where(rng.random(shape) < 0.8, 0, rng.integers(0, 256, shape)) for shape in rng.integers(1, 80, (300, 2))]
    for ink in (*vectors, *inks, *(one.astype(np.uint8) for one in noise)):
        np.testing.assert_array_equal(c_glyph(ink), glyph(ink))


def test_a_scaled_image_has_the_same_pixels_to_the_bit(library):
    rng, compared = np.random.default_rng(2), 0
    for _ in range(400):
        (height, width), (high, wide), channels = rng.integers(1, 100, 2), rng.integers(1, 60, 2), int(rng.choice([1, 3]))
        image = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
        scaled = np.empty((high, wide, channels), np.uint8)
        sizes = [int(size) for size in (width, height, width * channels, channels)]
        code = library.letters_resize(address(image), *sizes, address(scaled), int(wide), int(high))
        if (width > wide and height < high) or (width < wide and height > high):
            assert code == -1
        else:
            # fit_image() takes BGR.
            expected = fit_image(image[..., ::-1] if channels == 3 else image[..., 0], (high, wide, channels))
            np.testing.assert_array_equal(scaled, expected)
            compared += code == 0
    assert compared > 200


def test_a_row_that_is_too_long_is_refused(library):
    image, scaled = np.zeros((4, 700), np.uint8), np.zeros((4, 300), np.uint8)
    assert library.letters_resize(address(image), 700, 4, 700, 1, address(scaled), 201, 4) == -1
    assert library.letters_resize(address(image), 700, 4, 700, 1, address(scaled), 200, 4) == 0
    assert library.letters_resize(address(image), 0, 4, 700, 1, address(scaled), 10, 4) == -1


def test_colours_become_grey_as_opencv_does_it_and_rgb565_becomes_rgb(library):
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    grey = np.empty((40, 50), np.uint8)
    for first_is_red, code in ((1, cv2.COLOR_RGB2GRAY), (0, cv2.COLOR_BGR2GRAY)):
        library.letters_to_grey(address(image), 50, 40, 150, first_is_red, address(grey))
        np.testing.assert_array_equal(grey, cv2.cvtColor(image, code))
    packed = np.frombuffer(struct.pack(">4H", 0xF800, 0x07E0, 0x001F, 0x8410), np.uint8)
    colours = np.empty((4, 3), np.uint8)
    library.letters_from_rgb565(address(packed), 4, address(colours))
    assert colours.tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255], [131, 129, 131]]


def test_the_ink_of_a_photographed_letter_reads_about_as_well_as_on_a_computer(library, c_glyph, pen):
    classifier, rng, right = Classifier("letters-nano"), np.random.default_rng(4), [0, 0]
    labels = classifier.engine.facts.labels
    for i in range(78):
        photo = photographed(pen, i % 26, rng)
        ink = photo.copy()
        assert library.letters_ink(address(ink), 120, 120) == 1
        right[0] += int(classifier.engine(c_glyph(ink)[None, ..., None]).argmax()) == i % 26
        right[1] += classifier.classify(photo).label == labels[i % 26]
    assert right[0] >= right[1] - 4
    assert right[0] >= 66


def photographed(pen, label: int, rng: np.random.Generator) -> np.ndarray:
    """Return a capital (120, 120) uint8 in uneven light, with noise, and in one of five images light on dark."""
    drawn = draw_ink(pen.sample(label, rng, True), rng.uniform(40, 100), rng.uniform(4, 10))
    drawn = cv2.resize(drawn, tuple(min(110, side) for side in drawn.shape[::-1]))
    height, width = drawn.shape
    paper = rng.uniform(120, 250)
    image = np.full((120, 120), paper)
    top, left = (120 - height) // 2, (120 - width) // 2
    image[top : top + height, left : left + width] += drawn / 255 * (rng.uniform(10, paper - 60) - paper)
    shade = 1 - rng.uniform(0, 0.45) * np.linspace(0, 1, 120)
    image = np.clip(image * (shade if label % 2 else shade[:, None]) + rng.normal(0, rng.uniform(0, 4), image.shape), 0, 255)
    return (255 - image if rng.random() < 0.2 else image).astype(np.uint8)


def test_bare_paper_has_no_ink(library):
    paper = np.full((120, 120), 200, np.uint8) + np.random.default_rng(5).integers(0, 4, (120, 120), dtype=np.uint8)
    assert library.letters_ink(address(paper), 120, 120) == 0
    assert not paper[:4].any()
    tiny = np.full((4, 4), 9, np.uint8)
    assert library.letters_ink(address(tiny), 4, 4) == 0 and not tiny.any()


def test_a_glyph_has_the_same_pixels_on_a_cortex_m4(sources, inks, tmp_path):
    for program in ("arm-none-eabi-gcc", "qemu-system-arm"):
        if not shutil.which(program):
            pytest.skip(f"no {program} here")
    files = [CORTEX_M4 / "run_glyphs.c", sources / "letters_glyph.c", sources / "letters_image.c"]
    options = ["-mthumb", "-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard", "-O2", "-Wall", "-Wextra", "-Werror"]
    links = ["-nostartfiles", "--specs=nano.specs", "-T", CORTEX_M4 / "memory.ld", "-lm", "-o", tmp_path / "program.elf"]
    subprocess.run(["arm-none-eabi-gcc", *options, "-I", sources, *files, *links], check=True)
    inks = inks[:100]
    packed = b"".join(struct.pack("<HH", ink.shape[1], ink.shape[0]) + ink.tobytes() for ink in inks)
    (tmp_path / "inks.bin").write_bytes(packed)
    line = ["qemu-system-arm", "-M", "mps2-an386", "-nographic", "-semihosting", "-kernel", "program.elf"]
    subprocess.run(line, cwd=tmp_path, check=True, timeout=LIMIT_S, stdin=subprocess.DEVNULL)
    glyphs = np.fromfile(tmp_path / "glyphs.bin", np.uint8).reshape(-1, 28, 28)
    np.testing.assert_array_equal(glyphs, [glyph(ink) for ink in inks])
