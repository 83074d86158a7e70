"""The runtimes that exported files are tried in: pinned public versions, each in an environment of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from ... import LettercastError

TFLITE, ONNX = ".tflite", ".onnx"
INSTALL_LIMIT_S = 1800
READY = "ready"
# NumPy 1 for packages that were built before NumPy 2.
OLD_NUMPY, NUMPY = "numpy==1.26.4", "numpy==2.4.6"


@dataclass(frozen=True)
class Runtime:
    """A runtime or tool that opens exported files.

    Attributes:
        title: its name for people.
        opener: its name in OPENERS of probe.py.
        packages: what pip or npm installs, pinned, the runtime itself first; empty for packages of `lettercast[export]`.
        reads: the suffixes of the files that it reads.
        python: the version of Python that it needs, such as `3.9`; by default this one's.
        is_npm: whether node runs it.
    """

    title: str
    opener: str
    packages: tuple[str, ...]
    reads: tuple[str, ...]
    python: str = ""
    is_npm: bool = False

    @property
    def name(self) -> str:
        """The title and the version."""
        first = self.packages[0] if self.packages else ""
        return f"{self.title} {first.replace('==', '@').rpartition('@')[2]}".strip()

    @property
    def folder(self) -> str:
        """The name of its folder among the environments."""
        return self.name.lower().replace(" ", "-")


RUNTIMES = (
    Runtime("LiteRT", "litert", ("ai-edge-litert==2.3.0", NUMPY), (TFLITE,)),
    Runtime("tflite-runtime", "tflite_runtime", ("tflite-runtime==2.14.0", OLD_NUMPY), (TFLITE,)),
    Runtime("tflite-micro", "tflite_micro", ("tflite-micro==0.dev20261023182759", NUMPY), (TFLITE,)),
    Runtime("MediaPipe", "mediapipe", ("mediapipe==1.2.3",), (TFLITE,)),
    Runtime("LiteRT.js", "litertjs", ("@litertjs/core@2.5.3",), (TFLITE,), is_npm=True),
    Runtime("ai-edge-quantizer", "quantizer", ("ai-edge-quantizer==0.10.0",), (TFLITE,)),
    Runtime("tf2onnx", "tf2onnx", (), (TFLITE,)),
    Runtime("ONNX Runtime", "onnxruntime", ("onnxruntime==1.32.0", NUMPY), (ONNX,)),
    Runtime("ONNX Runtime", "onnxruntime", ("onnxruntime==1.10.0", "numpy==1.21.6", "protobuf==3.20.3"), (ONNX,), python="3.9"),
    Runtime("ONNX reference", "reference", ("onnx==1.23.2", NUMPY), (ONNX,)),
    Runtime("OpenVINO", "openvino", ("openvino==2026.4.1", NUMPY), (TFLITE, ONNX)),
    Runtime("OpenCV", "opencv", ("opencv-python-headless==4.6.0.66", OLD_NUMPY), (TFLITE, ONNX)),
    Runtime("OpenCV", "opencv", ("opencv-python-headless==4.10.0.84", OLD_NUMPY), (TFLITE, ONNX)),
    Runtime("OpenCV", "opencv", ("opencv-python-headless==4.14.0.94", NUMPY), (TFLITE, ONNX)),
    Runtime("OpenCV", "opencv", ("opencv-python-headless==5.0.0.93", NUMPY), (TFLITE, ONNX)),
)


def default_folder() -> Path:
    """Return the folder that keeps the environments between runs."""
    return user_cache_path("lettercast") / "runtimes"


def open_environment(runtime: Runtime, folder: Path, report: Callable[[str], None] = lambda message: None) -> tuple[str, ...]:
    """Return the program that runs a runtime's probe, its first words; install the runtime first if it is not there.

    Raises:
        LettercastError: its Python or node is missing, or it cannot be installed.
    """
    if not runtime.packages:
        return (sys.executable,)
    own = folder / runtime.folder
    program = (find_program("node"),) if runtime.is_npm else (str(own / ("Scripts" if os.name == "nt" else "bin") / "python"),)
    if not (own / READY).is_file():
        report(f"installing {runtime.name}")
        shutil.rmtree(own, ignore_errors=True)
        own.mkdir(parents=True)
        if runtime.is_npm:
            _run(runtime, (find_program("npm"), "install", "--no-audit", "--no-fund", "--prefix", str(own), *runtime.packages))
        else:
            _run(runtime, (find_python(runtime.python), "-m", "venv", str(own)))
            pip = (*program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--prefer-binary")
            _run(runtime, (*pip, *runtime.packages))
        (own / READY).write_text("\n".join(runtime.packages))
    return program


def find_python(version: str) -> str:
    """Return a Python of a version such as `3.9`, on the path or one of pyenv's; by default this one.

    Raises LettercastError if there is none.
    """
    if not version:
        return sys.executable
    named = shutil.which(f"python{version}")
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for candidate in (*([named] if named else []), *sorted(map(str, pyenv.glob(f"{version}.*/bin/python")))):
        # A shim of pyenv is on the path even if its version is not active.
        if subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return candidate
    raise LettercastError(f"needs Python {version}, which is not installed")


def find_program(name: str) -> str:
    """Return the path of a program; raises LettercastError if it is not installed."""
    found = shutil.which(name)
    if not found:
        raise LettercastError(f"needs {name}, which is not installed")
    return found


def _run(runtime: Runtime, line: tuple[str, ...]) -> None:
    """Run a step of an installation; raises LettercastError with its last line if it fails."""
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=INSTALL_LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise LettercastError(f"cannot be installed: not done within {INSTALL_LIMIT_S} s") from error
    if done.returncode:
        lines = [text for text in f"{done.stdout}\n{done.stderr}".splitlines() if text.strip()] or ["no output"]
        reason = next((text for text in reversed(lines) if "ERROR" in text), lines[-1])
        raise LettercastError(f"cannot be installed: {reason.strip()}")
