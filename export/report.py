"""The page of an export: it is written beside the files if there was something to explain, to repair or to choose."""

from pathlib import Path

from .. import __version__
from ..runtime.files import write_bytes
from .artifact import Artifact, Exports
from .repair.choice import Choice, name_of
from .repair.page import FormatReport, export_page


def page_path(out: Path, model: str) -> Path:
    """Return the path of the page of a model's export."""
    return out / f"{model}-export.html"


def write_page(exports: Exports, out: Path) -> Path:
    """Write the page of an export into a folder; returns its path."""
    about = [f"lettercast {__version__}, network {exports.network_sha256[:12]}"]
    if exports.check and exports.calibration:
        about.append(f"compared on {exports.check.describe(exports.takes)}")
        about.append(f"calibrated on {exports.calibration.describe(exports.takes)}")
    if exports.choice:
        about.append(f"latencies are {exports.choice.timing}")
    reports = [report_of(artifact, exports.choice) for artifact in exports]
    path = page_path(out, exports.model)
    write_bytes(path, export_page(exports.model, about, reports, exports.faults).encode())
    return path


def report_of(artifact: Artifact, choice: Choice | None) -> FormatReport:
    """Return what the page says about an artifact, and about the budget that it was chosen for."""
    return FormatReport(
        artifact.format.name,
        artifact.size_bytes,
        artifact.parity,
        artifact.verdict,
        artifact.explanation,
        choice.tries if choice else artifact.tries,
        artifact.float_bytes,
        artifact.tolerance.max_drop,
        choice.budget.max_bytes if choice else None,
        f"{name_of(choice.tries[0])}, {choice.timing}" if choice else "the file that missed the gate",
    )
