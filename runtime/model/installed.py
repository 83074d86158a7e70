"""What of the packages that the runtime needs is installed, and how the rest is on this platform; needs none of them itself."""

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
# The last Python that tflite-runtime was built for; LiteRT came after it, and not for 32 bits.
LAST_OF_TFLITE_RUNTIME = (3, 11)


@dataclass(frozen=True)
class Package:
    """A package: what people call it, its name for pip, the module that is imported, Debian's name, the extra that brings it."""

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
# By the ending of the model; the first that can be imported runs it.
ENGINES = {".tflite": (LITERT, TFLITE_RUNTIME), ".onnx": (ONNX_RUNTIME,)}


@dataclass(frozen=True)
class Found:
    """How a package was found: with its module, or with the fault that keeps it from being imported."""

    package: Package
    module: Any = None
    version: str = ""
    fault: str = ""

    @property
    def name(self) -> str:
        """Its name and version."""
        return f"{self.package.name} {self.version}"

    @property
    def said(self) -> str:
        """Its version, or why it cannot be used."""
        return self.version if self.module else self.fault


def look_for(package: Package) -> Found:
    """Import a package; one that is not installed, or does not fit the others, is a Found with its fault."""
    try:
        with quiet():
            module = import_module(package.module)
    except ModuleNotFoundError as error:
        is_absent = error.name == package.module.partition(".")[0]
        return Found(package, fault=NOT_INSTALLED if is_absent else f"does not import: {first_line(error)}")
    except Exception as error:  # compiled modules raise what they like over a NumPy that does not fit
        return Found(package, fault=f"does not import: {first_line(error)}")
    return Found(package, module, version_of(package, module))


def version_of(package: Package, module: ModuleType) -> str:
    """Return the version of an installed package, by itself or by its metadata: apt's have none of pip's name."""
    try:
        return getattr(module, "__version__", None) or version(package.name)
    except PackageNotFoundError:
        return "of unknown version"


def look_for_engine(ending: str) -> Found:
    """Find the engine that will run models of an ending (.tflite or .onnx); without one, a broken one or the first that could."""
    passed: list[Found] = []
    for package in ENGINES[ending]:
        found = look_for(package)
        if found.module:
            return found
        passed.append(found)
    return next((found for found in passed if found.fault != NOT_INSTALLED), passed[0])


@dataclass(frozen=True)
class Platform:
    """What decides how packages are installed: sys.platform, machine, bits of Python, whether apt's Python, and in a venv."""

    system: str
    machine: str
    bits: int
    python: tuple[int, int]
    is_apt: bool
    is_managed: bool
    is_venv: bool

    @property
    def has_litert(self) -> bool:
        """Whether LiteRT is published for it."""
        kinds = {"linux": ("x86_64", "aarch64"), "darwin": ("arm64",), "win32": ("AMD64",)}
        return self.bits == 64 and self.machine in kinds.get(self.system, ())

    @property
    def has_tflite_runtime(self) -> bool:
        """Whether tflite-runtime is published for it."""
        # A 64-bit kernel may carry a 32-bit system, as on a Pi.
        machines = {64: ("x86_64", "aarch64"), 32: ("armv7l", "armv8l", "aarch64")}
        return self.system == "linux" and self.machine in machines[self.bits] and self.python <= LAST_OF_TFLITE_RUNTIME


def this_platform() -> Platform:
    """Return the platform of this very Python; a 32-bit one may run on a 64-bit kernel."""
    is_venv = sys.prefix != sys.base_prefix
    is_managed = not is_venv and Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED").exists()
    is_apt = is_managed and sys.platform == "linux" and Path("/etc/debian_version").exists()
    bits = 8 * struct.calcsize("P")
    return Platform(sys.platform, platform.machine(), bits, sys.version_info[:2], is_apt, is_managed, is_venv)


def how_to_install(package: Package, here: Platform) -> str:
    """Say how to install a package on a platform, as one line; of LiteRT what runs TFLite models there."""
    if package == ONNX_RUNTIME and here.bits == 32:
        return "there is none for 32 bits; take a .tflite model"
    if package in ENGINES[".tflite"]:
        if not (here.has_litert or here.has_tflite_runtime):
            return without_tflite(here)
        package = LITERT if here.has_litert else TFLITE_RUNTIME
    # tflite-runtime was built for the first NumPy.
    names = f"{package.name} 'numpy<2'" if package == TFLITE_RUNTIME else package.name
    if here.is_apt and package.debian:
        return f"sudo apt install {package.debian}"
    if here.is_managed:
        # Pip refuses to install outside of a venv there (PEP 668); what apt brings is seen within.
        shared, first = (" --system-site-packages", "sudo apt install python3-venv && ") if here.is_apt else ("", "")
        make = f"{first}python3 -m venv{shared} {VENV} && {VENV}/bin/pip install {names}"
        return f"{make}, then start with {VENV}/bin/python (pip installs into a venv only here: PEP 668)"
    python = "python" if here.system == "win32" else shlex.quote(sys.executable) if here.is_venv else "python3"
    return f"{python} -m pip install {names}"


def without_tflite(here: Platform) -> str:
    """Say what to do where no engine for TFLite models is published."""
    if here.system == "linux" and here.bits == 32:
        last = ".".join(map(str, LAST_OF_TFLITE_RUNTIME))
        return f"for 32 bits there is tflite-runtime, up to Python {last} (Raspberry Pi OS bookworm); or take the 64-bit system"
    return f"there is none for {here.system} {here.machine}; take an .onnx model and ONNX Runtime"


def missing(found: Found, here: Platform) -> str:
    """Say of a package that cannot be used why, and how to mend it; one line."""
    title = "an engine for TFLite models (LiteRT)" if found.package == LITERT else found.package.title
    if "libGL" in found.fault or "libgthread" in found.fault:
        return f"{title} lacks libGL here: {LIBGL}"
    said = "is not installed" if found.fault == NOT_INSTALLED else found.fault
    return f"{title} {said}: {how_to_install(found.package, here)}"


def what_is_missing(ending: str) -> list[str]:
    """Return a line for each package that reading with a model of this ending needs and that cannot be used here."""
    here = this_platform()
    found = [look_for(NUMPY), look_for(OPENCV), look_for_engine(ending)]
    return [missing(one, here) for one in found if not one.module]
