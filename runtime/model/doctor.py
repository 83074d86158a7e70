"""The doctor: what is installed on a device, what will run, and whether a model answers there as where it was exported."""

import os
import platform
import re
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import DONE, MISSED, UNUSABLE, LettercastError, __version__
from ..console import quiet
from .facts import Facts
from .installed import ENGINES, NUMPY, OPENCV, Found, look_for, look_for_engine, missing, this_platform

if TYPE_CHECKING:
    from .facts import Facts
    from .golden import Replay

BOARD_FILE = Path("/proc/device-tree/model")
CAMERAS = Path("/sys/class/video4linux")


@dataclass(frozen=True)
class OpenCV:
    """How OpenCV was built: the toolkit of its windows ("" without any), and what it reads cameras and films through."""

    windows: str
    video: tuple[str, ...]


@dataclass(frozen=True)
class Device:
    """The device and what is installed on it; lacking holds a line for each package that is needed and not there.

    cameras are those that Linux knows, unopened: file, name, and whether this user may open it.
    """

    python: str
    platform: str
    packages: tuple[Found, ...]
    opencv: OpenCV | None
    cameras: tuple[tuple[str, str, bool], ...]
    picamera2: bool
    lacking: tuple[str, ...]


@dataclass(frozen=True)
class Checkup:
    """One model on this device: fault says why it cannot run here, test how its golden cases went, note why not."""

    path: Path
    size_bytes: int = 0
    facts: "Facts | None" = None
    engine: str = ""
    test: "Replay | None" = None
    note: str = ""
    fault: str = ""


@dataclass(frozen=True)
class Report:
    """The device and the models that were tried on it."""

    device: Device
    models: tuple[Checkup, ...] = field(default=())

    @property
    def exit_code(self) -> int:
        """DONE where all that was tried runs and answers as it should, MISSED where one answers wrong, else UNUSABLE."""
        if self.device.lacking or any(model.fault for model in self.models):
            return UNUSABLE
        is_wrong = any(model.test is not None and model.test.verdict == "wrong" for model in self.models)
        return MISSED if is_wrong else DONE

    def to_dict(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        device = self.device
        return {
            "lettercast": __version__,
            "python": device.python,
            "platform": device.platform,
            "packages": {one.package.name: {"version": one.version or None, "fault": one.fault} for one in device.packages},
            "opencv": asdict(device.opencv) if device.opencv else None,
            "cameras": [{"path": path, "name": name, "may_open": may_open} for path, name, may_open in device.cameras],
            "picamera2": device.picamera2,
            "lacking": device.lacking,
            "models": [model_dict(model) for model in self.models],
        }


def model_dict(model: Checkup) -> dict[str, Any]:
    """Return one model's checkup for JSON."""
    test = model.test
    return {
        "path": str(model.path),
        "size_bytes": model.size_bytes,
        "facts": asdict(model.facts) if model.facts else None,
        "engine": model.engine or None,
        "self_test": {"verdict": test.verdict, **asdict(test)} if test else None,
        "note": model.note,
        "fault": model.fault,
    }


def examine(models: Sequence[Path], threads: int = 1) -> Report:
    """Look at this device, then try each model on its golden cases."""
    device = look_at_device({model.suffix.lower() for model in models})
    return Report(device, tuple(try_model(model, threads, device) for model in models))


def look_at_device(endings: set[str]) -> Device:
    """Return what is installed; of the engines one for models of each of these endings is needed."""
    here = this_platform()
    numpy, opencv = look_for(NUMPY), look_for(OPENCV)
    engines = [look_for(package) for packages in ENGINES.values() for package in packages]
    needed = [look_for_engine(ending) for ending in sorted(endings & ENGINES.keys())]
    lacking = [missing(found, here) for found in (numpy, opencv, *needed) if not found.module]
    return Device(
        f"{platform.python_version()}, {here.bits} bit, {sys.executable}",
        " ".join(filter(None, [platform.system(), platform.release(), platform.machine(), board()])),
        (numpy, opencv, *engines),
        look_at_opencv(opencv.module.getBuildInformation()) if opencv.module else None,
        tuple(find_cameras(CAMERAS)),
        find_spec("picamera2") is not None,
        tuple(lacking),
    )


def board() -> str:
    """Return the name of a board, such as a Raspberry Pi's, where Linux knows it."""
    return f"({BOARD_FILE.read_text(errors='replace').strip(chr(0))})" if BOARD_FILE.exists() else ""


def look_at_opencv(build: str) -> OpenCV:
    """Return how OpenCV was built, by its own account of that."""
    windows = re.search(r"^ *GUI: *(\S*)", build, re.MULTILINE)
    video = re.search(r"^ *Video I/O:.*((?:\n +.*)*)", build, re.MULTILINE)
    # What belongs to one of these is indented further.
    readers = re.findall(r"^ {4}(\S.*?): +YES", video[1] if video else "", re.MULTILINE)
    return OpenCV(windows[1].replace("NONE", "") if windows else "", tuple(readers))


def find_cameras(folder: Path) -> list[tuple[str, str, bool]]:
    """Return the cameras that Linux shows in a folder, opening none: (file, name, whether this user may open it)."""
    found = sorted(folder.glob("video*"), key=lambda path: int(path.name[5:]) if path.name[5:].isdecimal() else 0)
    files = [(Path("/dev", path.name), (path / "name")) for path in found]
    return [
        (str(file), name.read_text(errors="replace").strip() if name.exists() else "", os.access(file, os.R_OK | os.W_OK))
        for file, name in files
    ]


def try_model(path: Path, threads: int, device: Device) -> Checkup:
    """Open one model and replay its golden cases."""
    if not device.packages[0].module:
        return Checkup(path, fault="needs NumPy")
    with quiet():
        from .engine import open_engine
        from .golden import golden_path, load_golden, replay

    try:
        engine = open_engine(path, threads)
    except LettercastError as error:
        return Checkup(path, fault=str(error).removeprefix(f"{path}: "))
    model = path.read_bytes()
    opened = (path, len(model), engine.facts, engine.name)
    cases = golden_path(path)
    if not cases.exists():
        return Checkup(*opened, note=f"no golden cases: there is no {cases.name}; export the model again")
    try:
        golden = load_golden(cases)
        if not golden.is_of(model):
            raise LettercastError(f"{cases.name}: golden cases are of another model; export it again, or copy both files")
        return Checkup(*opened, test=replay(engine, golden), note=f"{golden.machine}, {golden.engine}")
    except LettercastError as error:
        return Checkup(*opened, fault=str(error).removeprefix(f"{cases.parent}/"))


if TYPE_CHECKING:
    from .golden import Replay

COLUMNS, NAME_COLUMNS = 80, 11
# Labels that are not words are shown so many at most.
SHOWN_LABELS = 40


def findings(report: Report) -> str:
    """Return the whole report: the device, what it lacks, then each model."""
    blocks = [device_lines(report.device), *map(model_lines, report.models)]
    return "\n\n".join("\n".join(lines) for lines in blocks)


def row(name: str, said: str) -> str:
    """Return a name and what there is to say of it, folded below itself."""
    indent = " " * NAME_COLUMNS
    return textwrap.fill(
        said,
        COLUMNS,
        initial_indent=f"{name:<{NAME_COLUMNS}}",
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def device_lines(device: Device) -> list[str]:
    """Return the lines on a device and on what is installed."""
    found = {one.package: one for one in device.packages}
    lines = [row("lettercast", __version__), row("Python", device.python), row("platform", device.platform)]
    lines.append(row("NumPy", found[NUMPY].said))
    opencv = found[OPENCV].said
    if device.opencv:
        windows = f"with windows ({device.opencv.windows})" if device.opencv.windows else "without windows"
        opencv += f", {windows}, cameras and films through {', '.join(device.opencv.video) or 'nothing'}"
    lines.append(row("OpenCV", opencv))
    for ending, packages in ENGINES.items():
        runs = next((package for package in packages if found[package].module), None)
        for package in packages:
            said = f"runs {ending} models" if package == runs else "not needed" if runs else ""
            lines.append(
                row(
                    f"{ending if package == packages[0] else ''}",
                    ", ".join(filter(None, [f"{package.name} {found[package].said}", said])),
                )
            )
    lines.append(row("cameras", cameras(device)))
    # Not folded: commands are to be copied whole.
    return lines + [f"{'missing':<{NAME_COLUMNS}}{said}" for said in device.lacking]


def cameras(device: Device) -> str:
    """Say which cameras there are, none of them opened."""
    named = [
        f"{path} {name}{'' if may_open else ' (you may not open it: join the group video)'}"
        for path, name, may_open in device.cameras
    ]
    return ", ".join([*(named or ["none seen"]), f"Picamera2 {'' if device.picamera2 else 'not '}installed"])


def model_lines(model: Checkup) -> list[str]:
    """Return the lines on a model and its self-test."""
    lines = [str(model.path)]
    if model.facts:
        lines += facts_lines(model.facts, model.size_bytes)
        lines.append(row("engine", model.engine))
    if model.fault:
        lines.append(row("self-test", f"cannot be made: {model.fault}"))
    elif model.test:
        lines.append(row("self-test", verdict(model.test, model.note)))
    else:
        lines.append(row("self-test", model.note))
    return lines


def facts_lines(facts: Facts, size_bytes: int) -> list[str]:
    """Return the lines on what a model says of itself."""
    height, width, channels = facts.input_shape
    labels = " ".join(facts.labels[:SHOWN_LABELS]) + (" ..." if len(facts.labels) > SHOWN_LABELS else "")
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    lines = [
        row("model", f"{facts.name}, {facts.format}, {size_bytes:,} bytes"),
        row("labels", f"{len(facts.labels)}: {labels}"),
        row("input", f"{width} x {height} pixels, {channels} channel{'s' if channels > 1 else ''}, {facts.input_dtype}"),
    ]
    if facts.gate:
        lines.append(row("gate", gate(facts)))
    if facts.lowest_runtime:
        lines.append(row("opens with", f"{facts.lowest_runtime} or later"))
    return [*lines, row("made with", versions or "unknown")]


def gate(facts: Facts) -> str:
    """Say what the gate measured when the model was exported."""
    figures = {"n": 0, "accuracy": float("nan"), "original_accuracy": float("nan"), "agreement": float("nan"), **facts.gate}
    letters = f"{figures['n']:,.0f} letters of {figures.get('data', '?')} {figures.get('split', '')}".strip()
    return (
        f"accuracy {figures['accuracy']:.2f} % (original {figures['original_accuracy']:.2f} %), "
        f"agreement {figures['agreement']:.2f} %, {letters}"
    )


def verdict(test: "Replay", where: str) -> str:
    """Say how the golden cases went, against where they were made."""
    if test.verdict == "equal":
        return f"equal: all {test.n} golden cases to the bit as on {where}"
    if test.verdict == "close":
        said = f"close: all {test.n} golden cases name the same labels as on {where}"
        return f"{said}; probabilities differ by {test.difference:.2g} at most"
    strays = ", ".join(
        f"{stray.expected} is {stray.given}"
        if stray.expected != stray.given
        else f"{stray.expected} is off by {stray.difference:.2g}"
        for stray in test.strays
    )
    return f"WRONG: {len(test.strays)} of {test.n} golden cases are not as on {where}: {strays}"
