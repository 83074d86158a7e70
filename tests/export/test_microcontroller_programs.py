"""Zips for microcontrollers, compiled: for this computer with the kernels of tflite-micro, and for Cortex-M."""

import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from lettercast.export.microcontroller.bundle import write_micro_bundle
from lettercast.runtime.arguments import device_model
from lettercast.runtime.glyph import glyph
from lettercast.runtime.model.engine import open_engine
from lettercast.runtime.text.codes import best_of
from lettercast.train.data.drawing import draw_ink

HEADERS = Path(__file__).parent / "tflm"
ARDUINO = Path(__file__).parent / "arduino"
STRICT = ("-Wall", "-Wextra", "-Werror", "-pedantic")
LIMIT_S = 120
# Loads tflite-micro so that a program finds its kernels, and runs the program's main().
RUN = """
import ctypes, os, sys
sys.setdlopenflags(os.RTLD_GLOBAL | os.RTLD_NOW)
import tflite_micro
sys.exit(ctypes.CDLL(sys.argv[1]).main())
"""
SHOW_REJECTED = """
#include <stdio.h>
#include "letters_run.h"

static const uint8_t images[][LETTERS_PIXELS] = {IMAGES};

int main() {
  letters_answer answer;
  for (const uint8_t *image : images) putchar(letters_classify(image, &answer) ? '0' + answer.is_rejected : '?');
  fflush(stdout);
  return 0;
}
"""
CORTEX = {
    "cortex-m0plus": (),
    "cortex-m4": ("-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"),
}


def needed(name: str) -> str:
    """Return the path of a program, or skip the test."""
    path = shutil.which(name)
    if not path:
        pytest.skip(f"no {name} here")
    return path


@pytest.fixture(scope="module")
def nano(tmp_path_factory) -> Path:
    """The folder of the zip of letters-nano."""
    return unpack(device_model("letters-nano"), tmp_path_factory.mktemp("nano"))


def unpack(model: Path, folder: Path) -> Path:
    """Write a model's zip into a folder, and return what it unpacks to."""
    with zipfile.ZipFile(write_micro_bundle(model, folder / "mcu.zip", overwrite=True).path) as archive:
        archive.extractall(folder)
    (unpacked,) = (path for path in folder.iterdir() if path.is_dir())
    return unpacked


@pytest.fixture
def run_program(tmp_path) -> Callable[[Path], subprocess.CompletedProcess]:
    """Return a function that compiles main.cc and src/ of a folder, and runs them with the kernels of tflite-micro."""
    gcc, gxx = needed("gcc"), needed("g++")
    if not find_spec("tflite_micro"):
        pytest.skip("tflite-micro is not installed: pip install 'lettercast[mcu]'")

    def run(folder: Path) -> subprocess.CompletedProcess:
        objects = []
        for source in (*(folder / "src").glob("*.c*"), folder / "main.cc"):
            compiler = [gcc, "-std=c99"] if source.suffix == ".c" else [gxx, "-std=c++17"]
            objects.append(tmp_path / f"{source.name}.o")
            line = [*compiler, *STRICT, "-fPIC", "-I", folder / "src", "-isystem", HEADERS, "-c", source, "-o", objects[-1]]
            subprocess.run(line, check=True)
        subprocess.run([gxx, "-shared", *objects, "-lm", "-o", tmp_path / "program.so"], check=True)
        line = [sys.executable, "-c", RUN, tmp_path / "program.so"]
        return subprocess.run(line, capture_output=True, text=True, timeout=LIMIT_S, check=False)

    return run


def test_the_program_passes_every_golden_case_to_the_bit(run_program, nano):
    done = run_program(nano)
    first, found, arena, verdict = done.stdout.splitlines()
    assert (done.returncode, first, verdict) == (0, "letters-nano: 26 golden cases", "PASS")
    assert found == "26 equal to the bit, 0 close, 0 wrong"
    used, size = map(int, re.findall(r"\d+", arena))
    assert 0.9 * size < used <= size


def test_so_does_that_of_an_rgb_classifier_whose_labels_need_escapes(run_program, fruit, tmp_path):
    folder = unpack(fruit / "fruit-int8.tflite", tmp_path)
    assert not (folder / "src" / "classifier_glyph.c").exists()
    main = folder / "main.cc"
    printing = "int main() {\n  for (const char *label : classifier_labels) puts(label);\n"
    main.write_text(main.read_text().replace("int main() {\n", printing))
    done = run_program(folder)
    assert done.returncode == 0, done.stdout
    labels = open_engine(fruit / "fruit-int8.tflite").facts.labels
    assert done.stdout.splitlines()[: len(labels)] == list(labels)
    assert re.search(r"^\d+ equal to the bit, 0 close, 0 wrong$", done.stdout, re.MULTILINE)


def test_a_digit_and_a_letter_that_look_alike_count_as_one_on_the_board_too(run_program, pen, tmp_path):
    path, rng = device_model("letters-digits"), np.random.default_rng(0)
    engine = open_engine(path)
    drawn = np.stack([glyph(draw_ink(pen.sample(ord(c) - ord("A"), rng), 40, 4)) for c in 100 * "OSZILBG"])
    answers = engine(drawn[..., None])
    together, alone = (sure < engine.facts.reject_below for sure in (best_of(answers, engine.facts.labels), answers.max(1)))
    # Letters that only the sum with the digit keeps, and others.
    chosen = np.r_[np.flatnonzero(together != alone), :20]
    images, rejected = drawn[chosen], together[chosen]
    folder = unpack(path, tmp_path)
    rows = ",\n".join(f"{{{', '.join(map(str, image.ravel()))}}}" for image in images)
    (folder / "main.cc").write_text(SHOW_REJECTED.replace("IMAGES", rows))
    done = run_program(folder)
    # LiteRT's fast kernels differ from the board's in the last bit of a few answers.
    assert sum(a != b for a, b in zip(done.stdout, "".join("01"[int(one)] for one in rejected), strict=True)) <= 1
    assert len(chosen) >= 40


def test_a_board_that_computes_otherwise_fails(run_program, nano, tmp_path):
    folder = Path(shutil.copytree(nano, tmp_path / "copy"))
    cases = folder / "src" / "letters_cases.cc"
    head, answers = cases.read_text().split("case_answers")
    # The answers of one letter less: each case gets the answer of the next.
    rows = re.findall(r"    \{\n.*?\n    \},\n", answers, re.DOTALL)
    cases.write_text(f"{head}case_answers[LETTERS_CASES][LETTERS_CLASSES] = {{\n{''.join(rows[1:] + rows[:1])}}};\n")
    done = run_program(folder)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "FAIL")
    assert "case 0: A " in done.stdout and "expected B " in done.stdout
    assert "0 equal to the bit, 0 close, 26 wrong" in done.stdout


def test_an_arena_that_is_too_small_says_what_to_raise(run_program, nano, tmp_path):
    folder = Path(shutil.copytree(nano, tmp_path / "copy"))
    header = folder / "src" / "letters.h"
    header.write_text(re.sub(r"(LETTERS_ARENA_BYTES) \d+", r"\1 8000", header.read_text()))
    done = run_program(folder)
    assert done.returncode == 1
    assert "FAIL: the arena is too small: raise LETTERS_ARENA_BYTES in letters.h" in done.stdout


@pytest.mark.parametrize("processor", CORTEX)
def test_everything_compiles_for_cortex_m_and_the_model_stays_in_flash(processor, nano, tmp_path):
    needed("arm-none-eabi-gcc")
    options = ("-mthumb", f"-mcpu={processor}", *CORTEX[processor], "-Os", "-Wall", "-Wextra", "-Werror")
    objects = []
    for source in (*(nano / "src").glob("*.c*"), nano / "main.cc"):
        is_c = source.suffix == ".c"
        compiler = ["arm-none-eabi-gcc", "-std=c99"] if is_c else ["arm-none-eabi-g++", "-std=c++17", "-fno-exceptions"]
        objects.append(tmp_path / f"{source.stem}.o")
        line = [*compiler, *options, "-I", nano / "src", "-isystem", HEADERS, "-c", source, "-o", objects[-1]]
        subprocess.run(line, check=True)
    shown = subprocess.run(["arm-none-eabi-size", *objects], capture_output=True, text=True, check=True).stdout
    sizes = {Path(words[5]).stem: tuple(map(int, words[:3])) for words in (line.split() for line in shown.splitlines()[1:])}
    model_bytes = device_model("letters-nano").stat().st_size
    text, data, bss = sizes["letters"]
    assert model_bytes < text < model_bytes + 500 and (data, bss) == (0, 0)
    # All code of the zip beside the model and the cases.
    code = sum(text for name, (text, _, _) in sizes.items() if name not in ("letters", "letters_cases"))
    assert code < 8_000
    assert sum(data for _, data, _ in sizes.values()) < 100


def test_cmake_builds_the_library_and_says_what_it_needs(nano, tmp_path):
    cmake = needed("cmake")
    needed("g++")

    def configure(*options: str) -> subprocess.CompletedProcess:
        line = [cmake, "-S", nano, "-B", tmp_path / "build", *options]
        return subprocess.run(line, capture_output=True, text=True, check=False)

    refused = configure()
    assert refused.returncode != 0 and "Add -DTFLM_DIR=FOLDER" in refused.stderr
    done = configure(f"-DTFLM_DIR={HEADERS}")
    assert done.returncode == 0, done.stderr
    done = subprocess.run([cmake, "--build", tmp_path / "build"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "build" / "libletters.a").exists()


@pytest.mark.parametrize("board", ["ARDUINO_ARCH_ESP32", "ARDUINO_ARCH_MBED"])
def test_the_sketches_compile_against_the_declarations_of_what_they_take(board, nano, fruit, tmp_path):
    gxx = needed("g++")
    classifier = unpack(fruit / "fruit-int8.tflite", tmp_path)
    sketches = [(folder, path) for folder in (nano, classifier) for path in folder.rglob("*.ino")]
    assert {path.stem for _, path in sketches} == {"golden_cases", "read_letter", "classify_frame"}
    # main.cc is PlatformIO's program.
    for folder, path in (*sketches, (nano, nano / "main.cc"), (nano, nano / "src" / "letters_run.cc")):
        options = ("-std=c++17", *STRICT, "-fsyntax-only", "-DARDUINO=10800", f"-D{board}", "-include", "Arduino.h")
        line = [gxx, *options, "-I", folder / "src", "-isystem", ARDUINO, "-isystem", HEADERS, "-x", "c++", path]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
