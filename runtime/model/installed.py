"""Which packages of the runtime are installed, and how to install the missing ones; imports none of them itself."""

import platform
import shlex
import struct
import sys
import sysconfig
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

from ..console import first_line, quiet

NOT_INSTALLED = "not installed"
VENV = "~/letters"
LIBGL = "apt install libgl1 libglib2.0-0, or pip install opencv-python-headless"
# The last Python that tflite-runtime supports; its successor LiteRT has no 32-bit build.
MAX_TFLITE_RUNTIME_PYTHON = (3, 11)


@dataclass(frozen=True)
class Package:
    """A package: its title, its pip name, the module to import, its Debian name, and the extra of lettercast that installs it."""

    title: str
    name: str
    module: str
    debian: str = ""
    extra: str = "lettercast[reader]"


NUMPY = Package("NumPy", "numpy", "numpy", "python3-numpy", "lettercast")
OPENCV = Package("OpenCV", "opencv-python", "cv2", "python3-opencv")
LITERT = Package("LiteRT", "ai-edge-litert", "ai_edge_litert.interpreter")
TFLITE_RUNTIME = Package("tflite-runtime", "tflite-runtime", "tflite_runtime.interpreter", extra="lettercast[tflite-runtime]")
ONNX_RUNTIME = Package("ONNX Runtime", "onnxruntime", "onnxruntime", extra="lettercast[onnx]")
# By the suffix of the model; the first engine that can be imported runs it.
ENGINES = {".tflite": (LITERT, TFLITE_RUNTIME), ".onnx": (ONNX_RUNTIME, OPENCV)}
# As a person names an engine that is to run a model.
ENGINE_NAMES = {"litert": LITERT, "tflite-runtime": TFLITE_RUNTIME, "onnxruntime": ONNX_RUNTIME, "opencv": OPENCV}


@dataclass(frozen=True)
class Found:
    """The result of looking for a package: its module and version, or the fault that keeps it from being imported."""

    package: Package
    module: Any = None
    version: str = ""
    fault: str = ""

    @property
    def name(self) -> str:
        """The pip name and the version."""
        return f"{self.package.name} {self.version}"

    @property
    def status(self) -> str:
        """The version, or why the package cannot be used."""
        return self.version if self.module else self.fault


def find_package(package: Package) -> Found:
    """Import a package; if it is missing or broken, the result has a fault in place of a module."""
    try:
        with quiet():
            module = import_module(package.module)
    except ModuleNotFoundError as error:
        is_absent = error.name == package.module.partition(".")[0]
        return Found(package, fault=NOT_INSTALLED if is_absent else f"cannot be imported: {first_line(error)}")
    except Exception as error:  # compiled modules raise anything over a NumPy that does not fit
        return Found(package, fault=f"cannot be imported: {first_line(error)}")
    return Found(package, module, version_of(package, module))


def version_of(package: Package, module: ModuleType) -> str:
    """Return the version of an installed package, from the module or from pip's metadata; apt's packages have no metadata."""
    try:
        return getattr(module, "__version__", None) or version(package.name)
    except PackageNotFoundError:
        return "of unknown version"


def find_engine(ending: str) -> Found:
    """Find the engine for models of a suffix (.tflite or .onnx); if none works, a broken engine, else the first missing one."""
    tried: list[Found] = []
    for package in ENGINES[ending]:
        found = find_package(package)
        if found.module:
            return found
        tried.append(found)
    return next((found for found in tried if found.fault != NOT_INSTALLED), tried[0])


def find_needed(endings: set[str]) -> list[Found]:
    """Find NumPy, OpenCV, and the engines for models of these suffixes; an engine is not needed if OpenCV, once there, is one."""
    numpy, opencv = find_package(NUMPY), find_package(OPENCV)
    engines = [
        find_engine(ending) for ending in sorted(endings & ENGINES.keys()) if opencv.module or OPENCV not in ENGINES[ending]
    ]
    return [numpy, opencv, *(engine for engine in engines if engine.package != OPENCV)]


@dataclass(frozen=True)
class Platform:
    """What decides how to install packages: sys.platform, machine, bits of Python, whether it is managed, apt's, or a venv."""

    system: str
    machine: str
    bits: int
    python: tuple[int, int]
    is_apt: bool
    is_managed: bool
    is_venv: bool

    @property
    def has_litert(self) -> bool:
        """Whether LiteRT is published for this platform."""
        kinds = {"linux": ("x86_64", "aarch64"), "darwin": ("arm64",), "win32": ("AMD64",)}
        return self.bits == 64 and self.machine in kinds.get(self.system, ())

    @property
    def has_tflite_runtime(self) -> bool:
        """Whether tflite-runtime is published for this platform."""
        # A 64-bit kernel can run a 32-bit system, for example on a Raspberry Pi.
        machines = {64: ("x86_64", "aarch64"), 32: ("armv7l", "armv8l", "aarch64")}
        return self.system == "linux" and self.machine in machines[self.bits] and self.python <= MAX_TFLITE_RUNTIME_PYTHON


def this_platform() -> Platform:
    """Return the platform of this Python; its bits are those of the interpreter, not of the kernel."""
    is_venv = sys.prefix != sys.base_prefix
    is_managed = not is_venv and Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED").exists()
    is_apt = is_managed and sys.platform == "linux" and Path("/etc/debian_version").exists()
    bits = 8 * struct.calcsize("P")
    return Platform(sys.platform, platform.machine(), bits, sys.version_info[:2], is_apt, is_managed, is_venv)


def how_to_install(package: Package, here: Platform) -> str:
    """Return one line that says how to install a package; for LiteRT, the engine that runs TFLite models on this platform."""
    if package == ONNX_RUNTIME and here.bits == 32:
        return "ONNX Runtime has no 32-bit build; use an onnx-float32 file, which OpenCV runs"
    if package in ENGINES[".tflite"]:
        if not (here.has_litert or here.has_tflite_runtime):
            return without_tflite(here)
        package = LITERT if here.has_litert else TFLITE_RUNTIME
    # tflite-runtime was built for NumPy 1.
    names = f"{package.name} 'numpy<2'" if package == TFLITE_RUNTIME else package.name
    if here.is_apt and package.debian:
        return f"sudo apt install {package.debian}"
    if here.is_managed:
        # Pip refuses to install outside a venv there (PEP 668); the venv shares the packages of apt.
        shared, first = (" --system-site-packages", "sudo apt install python3-venv && ") if here.is_apt else ("", "")
        make = f"{first}python3 -m venv{shared} {VENV} && {VENV}/bin/pip install {names}"
        return f"{make}, then start with {VENV}/bin/python (here pip installs only into a venv: PEP 668)"
    python = "python" if here.system == "win32" else shlex.quote(sys.executable) if here.is_venv else "python3"
    return f"{python} -m pip install {names}"


def without_tflite(here: Platform) -> str:
    """Return what to do if no engine for TFLite models is published for a platform."""
    if here.system == "linux" and here.bits == 32:
        last = ".".join(map(str, MAX_TFLITE_RUNTIME_PYTHON))
        return (
            f"for 32 bits there is tflite-runtime, up to Python {last} (Raspberry Pi OS bookworm); "
            "or use an onnx-float32 file, which OpenCV runs"
        )
    return f"none is published for {here.system} {here.machine}; use an .onnx model and ONNX Runtime"


def describe_missing(found: Found, here: Platform) -> str:
    """Return one line that says why a package cannot be used and how to fix that."""
    title = "an engine for TFLite models (LiteRT)" if found.package == LITERT else found.package.title
    if "libGL" in found.fault or "libgthread" in found.fault:
        return f"{title} lacks libGL here: {LIBGL}"
    reason = "is not installed" if found.fault == NOT_INSTALLED else found.fault
    return f"{title} {reason}: {how_to_install(found.package, here)}"


def describe_missing_packages(ending: str) -> list[str]:
    """Return one line for each package that reading with a model of this suffix needs and that cannot be used here."""
    here = this_platform()
    return [describe_missing(one, here) for one in find_needed({ending}) if not one.module]
