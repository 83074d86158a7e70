"""Root file systems of Debian for ARM, as on a Raspberry Pi, that run under emulation."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from .. import LettercastError
from ..runtime.files import make_folder, write_bytes
from ..runtime.model.installed import LITERT, NUMPY, ONNX_RUNTIME, OPENCV, TFLITE_RUNTIME, Package

PYTHON, PYTHON_PACKAGES = "/usr/bin/python3", "usr/lib/python3/dist-packages"
# What a device takes from apt, and the folder with what it takes from pip.
APT_PACKAGES = ("python3", OPENCV.debian, NUMPY.debian)
WHEEL_FOLDER, READY = "opt/letters", "lettercast-ready"
# Debian's numerical libraries are chosen by links that its packages make when they are installed.
LINKED_LIBRARIES = ("blas", "lapack")
# Wheels name the oldest glibc that they run with, by its second number.
MIN_GLIBC = 17
BOOTSTRAP = "debootstrap"
HOW_TO_INSTALL = "apt install debootstrap qemu-user-static"
SETUP_LIMIT_S, RUN_LIMIT_S = 1800, 3600


@dataclass(frozen=True)
class Release:
    """A release of Debian: its Python, and the second number of its glibc."""

    python: str
    glibc: int


@dataclass(frozen=True)
class Architecture:
    """An architecture of Debian: the machine's name in wheels, its emulator, and the folder of its libraries."""

    machine: str
    emulator: str
    libraries: str


RELEASES = {"bookworm": Release("3.11", 36), "trixie": Release("3.13", 41)}
ARCHITECTURES = {
    "arm64": Architecture("aarch64", "qemu-aarch64-static", "aarch64-linux-gnu"),
    "armhf": Architecture("armv7l", "qemu-arm-static", "arm-linux-gnueabihf"),
}
# The engines that pip has for each; for the last one there is none.
ENGINES_FROM_PIP: dict[tuple[str, str], tuple[Package, ...]] = {
    ("bookworm", "arm64"): (LITERT, ONNX_RUNTIME),
    ("trixie", "arm64"): (LITERT, ONNX_RUNTIME),
    ("bookworm", "armhf"): (TFLITE_RUNTIME,),
    ("trixie", "armhf"): (),
}


@dataclass(frozen=True)
class System:
    """A release of Debian, and so of Raspberry Pi OS, on an architecture."""

    release: str = "bookworm"
    architecture: str = "arm64"

    @property
    def name(self) -> str:
        """The release and the architecture."""
        return f"{self.release}-{self.architecture}"

    @property
    def engines(self) -> tuple[Package, ...]:
        """The engines that pip has for it."""
        return ENGINES_FROM_PIP[self.release, self.architecture]

    @property
    def emulator(self) -> str:
        """The program that runs its programs."""
        return ARCHITECTURES[self.architecture].emulator

    @property
    def contents(self) -> str:
        """What a root file system holds of apt and of pip, as text."""
        return " ".join([self.name, *APT_PACKAGES, *(package.name for package in self.engines)])


@dataclass(frozen=True)
class ArmRootfs:
    """A root file system of Debian for ARM in a folder, ready to run under emulation."""

    root: Path
    system: System

    def run(self, *words: object, with_pip: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the root file system's Python with these arguments, with or without the engines from pip."""
        libraries = Path("/usr/lib", ARCHITECTURES[self.system.architecture].libraries)
        paths = ":".join(str(libraries / name) for name in LINKED_LIBRARIES)
        variables = ["-E", f"LD_LIBRARY_PATH={paths}", *(["-E", f"PYTHONPATH=/{WHEEL_FOLDER}"] if with_pip else [])]
        line = ["chroot", self.root, f"/usr/bin/{self.system.emulator}", *variables, PYTHON, *words]
        return subprocess.run(list(map(str, line)), capture_output=True, text=True, timeout=RUN_LIMIT_S, check=False)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Make a temporary folder that both systems can use; `inside` gives its path on ARM."""
        with tempfile.TemporaryDirectory(dir=self.root / "tmp") as name:
            yield Path(name)

    def inside(self, path: Path) -> str:
        """Return the path of a file as ARM programs see it."""
        return f"/{path.relative_to(self.root)}"


def default_root(system: System) -> Path:
    """Return the folder that keeps the root file system of a system between runs."""
    return user_cache_path("lettercast") / system.name


def open_arm_rootfs(
    root: Path, system: System, *, mirror: str = "", report: Callable[[str], None] = lambda message: None
) -> ArmRootfs:
    """Open the root file system in a folder; make it first if it is missing, incomplete, or holds other packages.

    Args:
        root: its folder: missing, empty, or made by this function.
        system: the release and the architecture.
        mirror: the URL of Debian's packages; by default that of debootstrap.
        report: a function that shows progress.

    Raises:
        LettercastError: this user or system cannot run it, a tool is missing, or packages cannot be downloaded.
    """
    check_host(system)
    root = root.resolve()
    if not is_ready(root, system):
        clear(root)
        report(f"unpacking Debian {system.name}")
        unpack_debian(root, system, mirror)
        if system.engines:
            report(f"unpacking {', '.join(package.name for package in system.engines)} for {system.name}")
            unpack_wheels(root, system)
        shutil.copy2(str(shutil.which(system.emulator)), root / "usr/bin" / system.emulator)
        write_bytes(root / READY, f"{system.contents}\n".encode())
    return ArmRootfs(root, system)


def is_ready(root: Path, system: System) -> bool:
    """Whether a folder holds the whole root file system of a system."""
    return (root / READY).is_file() and (root / READY).read_text().strip() == system.contents


def check_host(system: System) -> None:
    """Raise LettercastError if a system cannot run here."""
    if sys.platform != "linux":
        raise LettercastError(f"an emulated Pi needs Linux, but this is {sys.platform}; run it in a Debian container")
    if os.geteuid() != 0:
        raise LettercastError("an emulated Pi needs root, for chroot; start it with sudo, or in a container")
    absent = [tool for tool in (BOOTSTRAP, system.emulator, "dpkg-deb", "chroot") if not shutil.which(tool)]
    if absent:
        raise LettercastError(f"{', '.join(absent)} not installed here: {HOW_TO_INSTALL}")


def clear(root: Path) -> None:
    """Remove an incomplete root file system; raises LettercastError if the folder holds anything else."""
    make_folder(root.parent)
    if root.exists():
        if any(root.iterdir()) and not (root / BOOTSTRAP).exists():
            raise LettercastError(f"{root}: holds other files than an emulated Pi; name an empty folder with --root")
        shutil.rmtree(root)


def unpack_debian(root: Path, system: System, mirror: str) -> None:
    """Unpack Debian's base system, Python, NumPy and OpenCV; debootstrap's own folder marks an incomplete root file system."""
    wanted = [f"--arch={system.architecture}", "--variant=minbase", f"--include={','.join(APT_PACKAGES)}"]
    line = [BOOTSTRAP, "--foreign", *wanted, system.release, root]
    run_or_raise(f"Debian {system.name}", *line, *([mirror] if mirror else []))
    # Nothing is installed, which takes minutes under emulation: Python and its modules run without the scripts of packages.
    for package in sorted((root / "var/cache/apt/archives").glob("*.deb")):
        run_or_raise(package.name, "dpkg-deb", "--extract", package, root)
        package.unlink()


def unpack_wheels(root: Path, system: System) -> None:
    """Unpack the newest engines from pip for a system's Python, with what they need beside apt's NumPy."""
    folder, release = root / WHEEL_FOLDER, RELEASES[system.release]
    machine = ARCHITECTURES[system.architecture].machine
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in range(MIN_GLIBC, release.glibc + 1)]
    kind = ["--only-binary=:all:", f"--python-version={release.python}", "--implementation=cp"]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check", "--target", folder]
    # PyPI has no NumPy for 32 bits, and tflite-runtime needs nothing else.
    needed = ["--no-deps"] if TFLITE_RUNTIME in system.engines else [f"numpy=={apt_numpy(root)}"]
    run_or_raise("wheels", *pip, *platforms, *kind, *(package.name for package in system.engines), *needed)
    for path in folder.glob("numpy*"):
        shutil.rmtree(path)


def apt_numpy(root: Path) -> str:
    """Return the version of the NumPy that apt has, such as 1.24.2; raises LettercastError if there is none."""
    names = [path.name for kind in ("egg", "dist") for path in (root / PYTHON_PACKAGES).glob(f"numpy-*.{kind}-info")]
    if not names:
        raise LettercastError(f"{root / PYTHON_PACKAGES}: no NumPy there; remove the folder, and try again")
    return names[0].split("-")[1].removesuffix(".egg").removesuffix(".dist")


def run_or_raise(what: str, *line: object) -> None:
    """Run a command; raises LettercastError with its last line if it fails."""
    try:
        done = subprocess.run(list(map(str, line)), capture_output=True, text=True, timeout=SETUP_LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise LettercastError(f"{what}: {line[0]} did not finish within {SETUP_LIMIT_S} s; try again") from error
    if done.returncode:
        reason = (f"{done.stdout}\n{done.stderr}".strip().splitlines() or ["no output"])[-1]
        raise LettercastError(f"{what}: {Path(str(line[0])).name} failed ({reason.strip()}); check the network and try again")
