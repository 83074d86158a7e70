"""The doctor: what is installed on a device, and whether models give the same results there as where they were exported."""

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
from .installed import ENGINES, NUMPY, OPENCV, Found, Package, describe_missing, find_needed, find_package, this_platform
from .processor import CPU_FILE, VNNI, board, info_line, read_if_there

if TYPE_CHECKING:
    from .facts import Facts
    from .golden import Replay

CAMERAS = Path("/sys/class/video4linux")
X86 = ("x86_64", "amd64", "i386", "i686", "x86")
# Less than this is rounding, which needs no cause.
MIN_DIFFERENCE = 0.001


@dataclass(frozen=True)
class OpenCV:
    """How OpenCV was built: the toolkit of its windows ("" if it has none), and its readers of cameras and videos."""

    windows: str
    video: tuple[str, ...]


@dataclass(frozen=True)
class Device:
    """A device and what is installed on it.

    missing holds one line for each package that is needed but cannot be used. cameras are (file, name, whether this user
    may open it), as Linux lists them; none is opened.
    """

    python: str
    platform: str
    packages: tuple[Found, ...]
    opencv: OpenCV | None
    cameras: tuple[tuple[str, str, bool], ...]
    picamera2: bool
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Checkup:
    """One model on this device: the result of its self-test, a note on it, or the fault that keeps the model from running.

    cause is the likely reason why the results of the self-test differ, if one is known.
    """

    path: Path
    size_bytes: int = 0
    facts: "Facts | None" = None
    engine: str = ""
    test: "Replay | None" = None
    note: str = ""
    fault: str = ""
    cause: str = ""


@dataclass(frozen=True)
class Report:
    """A device and the models that were checked on it."""

    device: Device
    models: tuple[Checkup, ...] = field(default=())

    @property
    def exit_code(self) -> int:
        """UNUSABLE if a package or a model cannot be used, MISSED if a model gives wrong results, else DONE."""
        if self.device.missing or any(model.fault for model in self.models):
            return UNUSABLE
        is_wrong = any(model.test is not None and model.test.verdict == "wrong" for model in self.models)
        return MISSED if is_wrong else DONE

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-ready values."""
        device = self.device
        return {
            "lettercast": __version__,
            "python": device.python,
            "platform": device.platform,
            "packages": {one.package.name: {"version": one.version or None, "fault": one.fault} for one in device.packages},
            "opencv": asdict(device.opencv) if device.opencv else None,
            "cameras": [{"path": path, "name": name, "may_open": may_open} for path, name, may_open in device.cameras],
            "picamera2": device.picamera2,
            "lacking": device.missing,
            "models": [model_dict(model) for model in self.models],
        }


def model_dict(model: Checkup) -> dict[str, Any]:
    """Return one model's checkup as JSON-ready values."""
    test = model.test
    return {
        "path": str(model.path),
        "size_bytes": model.size_bytes,
        "facts": asdict(model.facts) if model.facts else None,
        "engine": model.engine or None,
        "self_test": replay_dict(test) if test else None,
        "note": model.note,
        "fault": model.fault,
        "cause": model.cause,
    }


def replay_dict(test: "Replay") -> dict[str, Any]:
    """Return the result of a self-test as JSON-ready values."""
    wrong = [{"expected": one.expected, "given": one.actual, "difference": one.difference} for one in test.mismatches]
    return {"verdict": test.verdict, "n": test.n, "difference": test.difference, "strays": wrong}


def examine(models: Sequence[Path], threads: int = 1, engine: Package | None = None) -> Report:
    """Inspect this device, then check each model with its golden cases, in one engine or in the first installed one."""
    device = inspect_device({model.suffix.lower() for model in models})
    return Report(device, tuple(check_model(model, threads, device, engine) for model in models))


def inspect_device(endings: set[str]) -> Device:
    """Return what is installed; `endings` are those of the models that must run, such as ".tflite"."""
    here = this_platform()
    numpy, opencv, *_ = needed = find_needed(endings)
    engines = [find_package(package) for packages in ENGINES.values() for package in packages if package != OPENCV]
    missing = [describe_missing(found, here) for found in needed if not found.module]
    name = f"({board()})" if board() else ""
    return Device(
        f"{platform.python_version()}, {here.bits} bit, {sys.executable}",
        " ".join(filter(None, [platform.system(), platform.release(), platform.machine(), name])),
        (numpy, opencv, *engines),
        inspect_opencv(opencv.module.getBuildInformation()) if opencv.module else None,
        tuple(find_cameras(CAMERAS)),
        find_spec("picamera2") is not None,
        tuple(missing),
    )


def inspect_opencv(build: str) -> OpenCV:
    """Return how OpenCV was built, parsed from cv2.getBuildInformation()."""
    windows = re.search(r"^ *GUI: *(\S*)", build, re.MULTILINE)
    video = re.search(r"^ *Video I/O:.*((?:\n +.*)*)", build, re.MULTILINE)
    # The readers are indented under "Video I/O".
    readers = re.findall(r"^ {4}(\S.*?): +YES", video[1] if video else "", re.MULTILINE)
    return OpenCV(windows[1].replace("NONE", "") if windows else "", tuple(readers))


def find_cameras(folder: Path) -> list[tuple[str, str, bool]]:
    """Return the cameras that Linux lists in a folder, without opening them: (file, name, whether this user may open it)."""
    found = sorted(folder.glob("video*"), key=lambda path: int(path.name[5:]) if path.name[5:].isdecimal() else 0)
    files = [(Path("/dev", path.name), (path / "name")) for path in found]
    return [
        (str(file), name.read_text(errors="replace").strip() if name.exists() else "", os.access(file, os.R_OK | os.W_OK))
        for file, name in files
    ]


def check_model(path: Path, threads: int, device: Device, package: Package | None = None) -> Checkup:
    """Open one model, in one engine or in the first installed one, and replay its golden cases."""
    if not device.packages[0].module:
        return Checkup(path, fault="needs NumPy")
    with quiet():
        from .engine import open_engine
        from .golden import golden_path, load_golden, replay

    try:
        engine = open_engine(path, threads, package)
    except LettercastError as error:
        return Checkup(path, fault=str(error).removeprefix(f"{path}: "))
    model = path.read_bytes()
    opened = (path, len(model), engine.facts, engine.name)
    cases = golden_path(path)
    if not cases.exists():
        return Checkup(*opened, note=f"not possible without golden cases: {cases.name} is missing; export the model again")
    try:
        golden = load_golden(cases)
        if not golden.is_of(model):
            raise LettercastError(f"{cases.name}: golden cases are of another model; export again, or copy both files")
        test = replay(engine, golden)
        cause = describe_saturation(engine.facts, CPU_FILE) if test.difference > MIN_DIFFERENCE else ""
        return Checkup(*opened, test=test, note=f"{golden.machine}, {golden.engine}", cause=cause)
    except LettercastError as error:
        return Checkup(*opened, fault=str(error).removeprefix(f"{cases.parent}/"))


def describe_saturation(facts: Facts, cpu_file: Path, machine: str = platform.machine()) -> str:
    """Return why integers of an ONNX file may give other results on this processor, "" if they cannot.

    An exported file says whether its weights can overflow; files of early versions do not, and theirs mostly can.
    """
    if facts.format not in ("onnx-int8", "onnx-dynamic") or machine.lower() not in X86 or facts.gate.get("saturates") is False:
        return ""
    flags = info_line(read_if_there(cpu_file), "flags")
    if VNNI & set(flags.split()):
        return ""
    processor = "this processor has no VNNI" if flags else "a processor without VNNI, which this may be,"
    weights = "the weights of this file" if facts.gate.get("saturates") else "the weights of files from earlier versions"
    return (
        f"likely cause: {processor} {'and ' if flags else ''}adds products of int8 in 16 bits, which {weights} "
        f"can exceed; export the model again"
    )


COLUMNS, NAME_COLUMNS = 80, 11
# Models of many classes list this many labels.
MAX_SHOWN_LABELS = 40


def format_report(report: Report) -> str:
    """Return the report as text: the device, what is missing, then each model."""
    blocks = [device_lines(report.device), *map(model_lines, report.models)]
    return "\n\n".join("\n".join(lines) for lines in blocks)


def row(name: str, text: str) -> str:
    """Return a name and a text beside it, wrapped in its own column."""
    indent = " " * NAME_COLUMNS
    return textwrap.fill(
        text,
        COLUMNS,
        initial_indent=f"{name:<{NAME_COLUMNS}}",
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def device_lines(device: Device) -> list[str]:
    """Return the lines about a device and what is installed on it."""
    found = {one.package: one for one in device.packages}
    lines = [row("lettercast", __version__), row("Python", device.python), row("platform", device.platform)]
    lines.append(row("NumPy", found[NUMPY].status))
    opencv = found[OPENCV].status
    if device.opencv:
        windows = f"with windows ({device.opencv.windows})" if device.opencv.windows else "without windows"
        opencv += f", {windows}, reads cameras and videos with {', '.join(device.opencv.video) or 'nothing'}"
    lines.append(row("OpenCV", opencv))
    for ending, packages in ENGINES.items():
        runs = next((package for package in packages if found[package].module), None)
        for package in packages:
            use = f"runs {ending} models" if package == runs else "not needed" if runs and runs != OPENCV else ""
            use = "runs onnx-float32 models" if package == runs == OPENCV else use
            text = ", ".join(filter(None, [f"{package.name} {found[package].status}", use]))
            lines.append(row(ending if package == packages[0] else "", text))
    lines.append(row("cameras", describe_cameras(device)))
    # Not wrapped, so that you can copy a command in one piece.
    return lines + [f"{'missing':<{NAME_COLUMNS}}{line}" for line in device.missing]


def describe_cameras(device: Device) -> str:
    """Return which cameras there are, as text."""
    named = [
        f"{path} {name}{'' if may_open else ' (you may not open it: join the group video)'}"
        for path, name, may_open in device.cameras
    ]
    return ", ".join([*(named or ["none found"]), f"Picamera2 {'' if device.picamera2 else 'not '}installed"])


def model_lines(model: Checkup) -> list[str]:
    """Return the lines about a model and its self-test."""
    lines = [str(model.path)]
    if model.facts:
        lines += facts_lines(model.facts, model.size_bytes)
        lines.append(row("engine", model.engine))
    if model.fault:
        lines.append(row("self-test", f"could not run: {model.fault}"))
    elif model.test:
        lines.append(row("self-test", describe_replay(model.test, model.note)))
        lines += [row("", model.cause)] if model.cause else []
    else:
        lines.append(row("self-test", model.note))
    return lines


def facts_lines(facts: Facts, size_bytes: int) -> list[str]:
    """Return the lines about the facts of a model."""
    height, width, channels = facts.input_shape
    labels = " ".join(facts.labels[:MAX_SHOWN_LABELS]) + (" ..." if len(facts.labels) > MAX_SHOWN_LABELS else "")
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    lines = [
        row("model", f"{facts.name}, {facts.format}, {size_bytes:,} bytes"),
        row("labels", f"{len(facts.labels)}: {labels}"),
        row("input", f"{width} x {height} pixels, {channels} channel{'s' if channels > 1 else ''}, {facts.input_dtype}"),
    ]
    if facts.gate:
        lines.append(row("at export", describe_gate(facts)))
    if facts.lowest_runtime:
        lines.append(row("opens with", f"{facts.lowest_runtime} or later"))
    return [*lines, row("made with", versions or "unknown")]


def describe_gate(facts: Facts) -> str:
    """Return the verdict of the gate and what it measured when the model was exported, as text."""
    gate = facts.gate

    def figure(name: str) -> float:
        value = gate.get(name)
        return float(value) if isinstance(value, int | float) else float("nan")

    tolerance = gate.get("tolerance")
    limit = tolerance.get("max_drop") if isinstance(tolerance, dict) else None
    allowed = f", at most {limit:g} allowed" if isinstance(limit, int | float) else ""
    needed = f" (about {figure('needed'):,.0f} images would prove it)" if gate.get("needed") else ""
    verdicts = {
        "proven": "proven",
        "unproven": f"unproven, the images were too few{needed}",
        "missed": "missed its limits",
    }
    # Early versions wrote no verdict, but what it follows from.
    is_proven = isinstance(limit, int | float) and figure("drop_high") <= limit
    unknown = verdicts["proven"] if is_proven else "without a verdict, as by an earlier version; export it again for one"
    verdict = verdicts.get(str(gate.get("verdict")), unknown)
    interval = f" ({figure('drop_low'):+.2f} to {figure('drop_high'):+.2f})" if "drop_low" in gate else ""
    drop = f"accuracy drop {figure('drop'):+.2f} points{interval}{allowed}, " if "drop" in gate else ""
    images = f"on {figure('n'):,.0f} {facts.unit} of {gate.get('data', '?')} {gate.get('split', '')}".strip()
    return (
        f"{verdict}: {drop}accuracy {figure('accuracy'):.2f} % (original {figure('original_accuracy'):.2f} %), "
        f"agreement {figure('agreement'):.2f} %, {images}"
    )


def describe_replay(test: "Replay", exported_on: str) -> str:
    """Return the result of a self-test as text; `exported_on` names the machine and engine of the golden cases."""
    if test.verdict == "equal":
        return f"equal: all {test.n} golden cases give exactly the same probabilities as on {exported_on}"
    if test.verdict == "close":
        same = f"close: all {test.n} golden cases give the same labels as on {exported_on}"
        return f"{same}; probabilities differ by at most {test.difference:.2g}"
    cases = ", ".join(
        f"{one.expected} is read as {one.actual}"
        if one.expected != one.actual
        else f"the probability of {one.expected} is off by {one.difference:.2g}"
        for one in test.mismatches
    )
    return f"WRONG: {len(test.mismatches)} of {test.n} golden cases differ from {exported_on}: {cases}"
