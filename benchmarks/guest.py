"""A 64-bit Raspberry Pi's system in a folder, whose programs an emulated ARM processor runs: Debian's packages, and wheels.

Packages are unpacked and not configured, so nothing is mounted, no kernel is asked to know foreign programs, and it takes half
a minute; for running Python that is all it needs.
"""

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
from ..runtime.installed import LITERT, NUMPY, ONNX_RUNTIME

SUITE, ARCHITECTURE, MACHINE = "bookworm", "arm64", "aarch64"
# Of that suite: its Python, and the glibc from which on wheels are for it.
PYTHON, PYTHON_VERSION, GLIBC, OLDEST_GLIBC = "/usr/bin/python3", "3.11", 36, 17
# There is no screen.
WHEELS = (NUMPY.name, "opencv-python-headless", LITERT.name, ONNX_RUNTIME.name)
EMULATOR, WHEEL_FOLDER, READY = "qemu-aarch64-static", "opt/letters", "lettercast-ready"
BOOTSTRAP = "debootstrap"
HOW_TO_INSTALL = "apt install debootstrap qemu-user-static"
SETUP_LIMIT_S, RUN_LIMIT_S = 1800, 1800


@dataclass(frozen=True)
class Guest:
    """The system in a folder, ready to run."""

    root: Path

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Run its Python with these words."""
        line = ["chroot", self.root, f"/usr/bin/{EMULATOR}", "-E", f"PYTHONPATH=/{WHEEL_FOLDER}", PYTHON, *words]
        return subprocess.run(list(map(str, line)), capture_output=True, text=True, timeout=RUN_LIMIT_S, check=False)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Give a folder that both systems see, as this one names it; `inside` says how the guest does. It goes in the end."""
        with tempfile.TemporaryDirectory(dir=self.root / "tmp") as name:
            yield Path(name)

    def inside(self, path: Path) -> str:
        """Return how the guest names a file."""
        return f"/{path.relative_to(self.root)}"


def default_root() -> Path:
    """Return where the system is kept from one run to the next."""
    return user_cache_path("lettercast") / f"{SUITE}-{ARCHITECTURE}"


def open_guest(root: Path, *, mirror: str = "", report: Callable[[str], None] = lambda said: None) -> Guest:
    """Open the system in a folder, and make it first where it is not there; a half-made one is made anew.

    Args:
        root: its folder, which is empty, not there, or was made by this.
        mirror: where Debian's packages are taken from; else where debootstrap takes them.

    Raises:
        LettercastError: this user or system cannot, a tool is missing, or packages cannot be had.
    """
    check_host()
    root = root.resolve()
    if not (root / READY).is_file():
        clear(root)
        report(f"unpacking Debian {SUITE} for {ARCHITECTURE}")
        unpack_debian(root, mirror)
        report(f"unpacking {', '.join(WHEELS)} for {MACHINE}")
        unpack_wheels(root / WHEEL_FOLDER)
        shutil.copy2(str(shutil.which(EMULATOR)), root / "usr/bin" / EMULATOR)
        write_bytes(root / READY, f"{' '.join(WHEELS)}\n".encode())
    return Guest(root)


def check_host() -> None:
    """Raise LettercastError where no such system can be made or run here."""
    if sys.platform != "linux":
        raise LettercastError(f"an emulated Pi needs Linux, this is {sys.platform}; run it in a Debian container")
    if os.geteuid() != 0:
        raise LettercastError("an emulated Pi needs root, for chroot; start it with sudo, or in a container")
    absent = [tool for tool in (BOOTSTRAP, EMULATOR, "dpkg-deb", "chroot") if not shutil.which(tool)]
    if absent:
        raise LettercastError(f"{', '.join(absent)} not installed here: {HOW_TO_INSTALL}")


def clear(root: Path) -> None:
    """Remove a half-made system; raises LettercastError where the folder holds anything else."""
    make_folder(root.parent)
    if root.exists():
        if any(root.iterdir()) and not (root / BOOTSTRAP).exists():
            raise LettercastError(f"{root}: holds something else than an emulated Pi; name an empty folder with --root")
        shutil.rmtree(root)


def unpack_debian(root: Path, mirror: str) -> None:
    """Unpack the base system and Python; what is there is told half-made by debootstrap's own folder."""
    line = [BOOTSTRAP, "--foreign", f"--arch={ARCHITECTURE}", "--variant=minbase", "--include=python3", SUITE, root]
    must(f"Debian {SUITE}", *line, *([mirror] if mirror else []))
    for package in sorted((root / "var/cache/apt/archives").glob("*.deb")):
        must(package.name, "dpkg-deb", "--extract", package, root)
        package.unlink()


def unpack_wheels(folder: Path) -> None:
    """Unpack the newest wheels for the guest's Python, with what they need."""
    platforms = [f"--platform=manylinux_2_{minor}_{MACHINE}" for minor in range(OLDEST_GLIBC, GLIBC + 1)]
    kind = ["--only-binary=:all:", f"--python-version={PYTHON_VERSION}", "--implementation=cp"]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check", "--target", folder]
    must("wheels", *pip, *platforms, *kind, *WHEELS)


def must(what: str, *line: object) -> None:
    """Run a command; raises LettercastError with its last line where it fails."""
    try:
        done = subprocess.run(list(map(str, line)), capture_output=True, text=True, timeout=SETUP_LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise LettercastError(f"{what}: {line[0]} did not end within {SETUP_LIMIT_S} s; try again") from error
    if done.returncode:
        said = (f"{done.stdout}\n{done.stderr}".strip().splitlines() or ["it said nothing"])[-1]
        raise LettercastError(f"{what}: {Path(str(line[0])).name} failed ({said.strip()}); is there a network? try again")
