"""What the doctor found, as lines of text for a terminal of 80 columns."""

import textwrap
from typing import TYPE_CHECKING

from .. import __version__
from .doctor import Checkup, Device, Report
from .facts import Facts
from .installed import ENGINES, NUMPY, OPENCV

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
