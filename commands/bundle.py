"""The command `bundle`: it writes a model and what uses it, for a device with Python, a microcontroller or a browser."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import DONE, MISSED, LettercastError
from ..runtime.arguments import DEFAULT_NAME, device_model, measured_model
from .parser import add_command
from .terminal import importing

if TYPE_CHECKING:
    from ..export.microcontroller.bundle import MicroBundle

PI, MCU, WEB = "pi", "mcu", "web"
EXAMPLES = """\
examples:
  lettercast bundle
      the shipped model, as reader.pyz
  lettercast bundle my.tflite --out my.pyz
      a model of your own
  lettercast bundle digits.tflite
      a model of other images, as classifier.pyz
  lettercast bundle --no-pip
      letters-nano for a Pi with nothing but packages of apt
  lettercast bundle letters-nano --target mcu
      for a microcontroller, as letters-nano-mcu.zip
  lettercast bundle --target web
      an app for a phone's browser, as the folder letters-base-web
"""


def add(commands: Any) -> None:
    """Add the subcommand `bundle` to the parser."""
    command = add_command(
        commands,
        "bundle",
        help="write what reads or classifies on a device, as one file or an app",
        description="Write one model, and what uses it, as a single file. Run it with python3 reader.pyz [SOURCE ...] and the "
        "options of read; if the model takes other images than letters, with python3 classifier.pyz IMAGE and the options of "
        "classify. It needs Python 3.11 or later, NumPy, OpenCV, and LiteRT for a .tflite model. With --target mcu it is a zip "
        "for microcontrollers instead: C++ for TensorFlow Lite Micro with golden cases, as a library for Arduino, PlatformIO, "
        "ESP-IDF and CMake. With --target web it is a folder, or a zip if FILE ends in .zip, with an app that reads pages, or "
        "classifies, in a browser: camera, photo or drawing; npm fetches what it needs once.",
        examples=EXAMPLES,
    )
    command.add_argument(
        "model",
        type=measured_model,
        nargs="?",
        metavar="M",
        help="letters-base (the default), letters-nano (smaller), letters-digits (digits as well), or a .tflite or .onnx file",
    )
    command.add_argument(
        "--target",
        choices=(PI, MCU, WEB),
        default=PI,
        help="pi: a Raspberry Pi or any device with Python (the default); mcu: a microcontroller; web: a phone's browser",
    )
    command.add_argument(
        "--no-pip",
        action="store_true",
        help="for a device with nothing but apt's python3-opencv and python3-numpy, 32 bit included: OpenCV runs the model, an "
        "onnx-float32 file (default: letters-nano)",
    )
    command.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the file to write (default: reader.pyz, classifier.pyz for other images, MODEL-mcu.zip or MODEL-web)",
    )
    command.add_argument(
        "--language",
        action="append",
        default=[],
        metavar="L",
        help="also put in this language, for read --language L; give it once for each (default: none)",
    )
    command.add_argument(
        "--hand", metavar="H", help="also put in this hand of lettercast hand: the bundle reads with it (default: none)"
    )
    command.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")


def run(options: argparse.Namespace) -> int:
    """Write the bundle, and print its size and what to do next."""
    model = options.model or device_model(DEFAULT_NAME)
    if options.hand and options.target != PI:
        raise LettercastError(f"--hand: only programs for Python read with a hand; leave it out with --target {options.target}")
    if options.target == WEB:
        return write_web(model, options)
    if options.target == MCU:
        if options.language:
            raise LettercastError("--language: a microcontroller reads one letter at a time; leave it out with --target mcu")
        if options.no_pip:
            raise LettercastError("--no-pip: nothing is installed on a microcontroller; leave it out with --target mcu")
        with importing():
            from ..export.microcontroller.bundle import how_to_run, write_micro_bundle

            return describe_micro(write_micro_bundle(model, options.out, overwrite=options.overwrite), how_to_run())
    with importing():
        from ..export.bundle import APT_INSTALL, CLASSIFY, no_pip_model, write_bundle

        if options.no_pip and options.model in (None, device_model("letters-nano")):
            model = no_pip_model()
        bundle = write_bundle(
            model, options.out, overwrite=options.overwrite, languages=options.language, no_pip=options.no_pip, hand=options.hand
        )
    print(f"{bundle.path}: {bundle.size_bytes:,} bytes")
    program = f"python3 {shlex.quote(str(bundle.path))}"
    if options.no_pip:
        print(f"on the device: {APT_INSTALL}")
    print(f"next: {program} doctor")
    print(f"      {program}{' IMAGE' * (bundle.command == CLASSIFY)}")
    return DONE


def write_web(model: Path, options: argparse.Namespace) -> int:
    """Write an app for a browser, and print its size and how to open it."""
    if options.language or options.no_pip:
        name, lacks = ("--no-pip", "has no Python") if options.no_pip else ("--language", "has no languages")
        raise LettercastError(f"{name}: an app for a browser {lacks}; leave it out with --target web")
    with importing():
        from ..export.web.bundle import shipped_model, write_web_bundle

        app = write_web_bundle(shipped_model(model), options.out, overwrite=options.overwrite)
    proof = f"with {app.cases} golden cases that the browser is asked"
    if not app.cases:
        proof = "without golden cases, so nothing shows that a browser computes what the export did"
    is_folder = app.path.is_dir()
    packed = "" if is_folder else f"{app.path.stat().st_size:,} bytes, unpacked "
    print(f"{app.path}: {packed}{app.size_bytes:,} bytes, {proof}")
    if is_folder:
        print(f"next: python3 -m http.server --directory {shlex.quote(str(app.path))}, and open http://localhost:8000")
    print("      phones give a camera only to pages over https: put the files on any web server that has it")
    return DONE


def describe_micro(bundle: "MicroBundle", how_to_run: str) -> int:
    """Print what a zip for microcontrollers takes and how its golden cases went; returns the exit code."""
    if not bundle.is_proved:
        reason = f"tflite-micro gives another label in {bundle.wrong} of {bundle.cases} golden cases"
        print(f"lettercast: {bundle.path}: not written, because {reason}; export the model in another format", file=sys.stderr)
        return MISSED
    measured = f"measured by tflite-micro {bundle.version.partition('-')[0]}" if bundle.version else "estimated"
    print(f"{bundle.path}: {bundle.size_bytes:,} bytes")
    print(f"flash: {bundle.model_bytes:,} bytes for the model; arena: {bundle.arena_bytes:,} bytes, {measured}")
    if bundle.version:
        others = "" if bundle.equal == bundle.cases else ", the others with the same label"
        print(f"golden cases: {bundle.equal} of {bundle.cases} {bundle.equality} in tflite-micro{others}")
    else:
        print(f"golden cases: {bundle.cases} not run here, because tflite-micro is not installed: {how_to_run}")
    print("next: Arduino IDE > Sketch > Include Library > Add .ZIP Library; README.md in the zip has all steps")
    return DONE
