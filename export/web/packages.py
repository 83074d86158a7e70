"""The npm packages in an app for a browser: pinned, checked against their SHA-512, and kept in the user's cache."""

import base64
import hashlib
import re
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from ... import LettercastError
from ...runtime.files import make_folder, write_bytes

PACK_LIMIT_S = 600
# A member of an archive that is larger than this is none of these packages'.
MAX_MEMBER_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Package:
    """One package: its name and version for npm, the SHA-512 of its archive in base64, and which files go where in the app."""

    name: str
    version: str
    sha512: str
    files: dict[str, str]

    @property
    def archive(self) -> str:
        """The file name that `npm pack` gives the archive."""
        return f"{self.name.lstrip('@').replace('/', '-')}-{self.version}.tgz"


# OpenCV without SIMD and threads: it runs in every browser, and computes what OpenCV on a device computes. Later versions of
# ONNX Runtime are up to half as large again, and no faster for networks of this size.
PACKAGES = (
    Package(
        "@opencvjs/web",
        "5.0.0-release.2",
        "Rdu/mJ4qeNLlqwI1D5AEltyM2zuW03Z7nejTVTSCnwiTMZXnPHfXa+SXgP6+NvVMYCl3FiINGPwF1+pXwUO3dw==",
        {"lib/opencv_js.js": "opencv/opencv_js.js", "LICENSE": "opencv/LICENSE"},
    ),
    Package(
        "onnxruntime-web",
        "1.22.0",
        "Ud/+EBo6mhuaQWt/OjaOk0iNWjXqJoeeMFr6xQEERZdIZH2OWpGzuujz7lfuOBjUa6TEE/sc4nb7Da5dNL34fg==",
        {
            f"dist/{name}": f"ort/{name}"
            for name in ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
        },
    ),
)

# OpenCV's WebAssembly stands as one text in its JavaScript; a browser reads it faster, and it is smaller, in a file of its own.
EMBEDDED = re.compile(rb"binaryDecode\('((?:[^'\\]|\\.)*)'\)", re.DOTALL)
ESCAPES = {"n": "\n", "r": "\r"}
OPENCV_SCRIPT, OPENCV_PROGRAM = "opencv/opencv_js.js", "opencv/opencv.wasm"


def package_files(folder: Path | None = None) -> dict[str, bytes]:
    """Return the packages' files by their places in an app's folder `packages`; npm fetches a package at its first use.

    Args:
        folder: where archives are kept; by default in the user's cache.

    Raises:
        LettercastError: npm is missing or fails, or an archive is not the expected one.
    """
    folder = folder or platformdirs.user_cache_path("lettercast") / "npm"
    found = {}
    for package in PACKAGES:
        found |= unpack(package, fetch(package, folder))
    script, program = separate(found[OPENCV_SCRIPT])
    return found | {OPENCV_SCRIPT: script, OPENCV_PROGRAM: program}


def separate(script: bytes) -> tuple[bytes, bytes]:
    """Return a script of Emscripten without the WebAssembly in it, and the WebAssembly; raises LettercastError if there is none.

    Each character of the text is a byte; only for the byte 0 it is the first one that is none.
    """
    found = EMBEDDED.search(script)
    if found is None:
        raise LettercastError("OpenCV's script has no WebAssembly in it; clear lettercast's cache folder and try again")
    text = re.sub(r"\\(.)", lambda escape: ESCAPES.get(escape[1], escape[1]), found[1].decode(), flags=re.DOTALL)
    program = text.replace("\u0100", "\0").encode("latin-1")
    return script[: found.start(1)] + script[found.end(1) :], program


def fetch(package: Package, folder: Path) -> bytes:
    """Return the archive of a package, from the folder if it is there undamaged; raises LettercastError."""
    path = folder / package.archive
    if path.is_file() and is_expected(package, data := path.read_bytes()):
        return data
    npm = shutil.which("npm")
    what = f"{package.name} {package.version}"
    if npm is None:
        raise LettercastError(
            f"{what} is part of the app, and npm fetches it: install Node.js, which comes with npm (apt install npm)"
        )
    make_folder(folder)
    with tempfile.TemporaryDirectory() as fresh:
        line = [npm, "pack", f"{package.name}@{package.version}", "--pack-destination", fresh, "--loglevel", "error"]
        try:
            done = subprocess.run(line, capture_output=True, text=True, timeout=PACK_LIMIT_S, check=False, cwd=fresh)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LettercastError(f"{what}: npm does not answer ({error}); check the network and try again") from error
        packed = Path(fresh) / package.archive
        if done.returncode or not packed.is_file():
            reason = next((text for text in done.stderr.splitlines() if text.strip()), "no output")
            raise LettercastError(f"{what}: npm cannot fetch it ({reason.strip()}); check the network and try again")
        data = packed.read_bytes()
    if not is_expected(package, data):
        raise LettercastError(f"{what}: what npm fetched is not the expected archive (SHA-512); check npm's registry")
    write_bytes(path, data)
    return data


def is_expected(package: Package, data: bytes) -> bool:
    """Tell whether these are the bytes of the package's archive."""
    return base64.b64encode(hashlib.sha512(data).digest()).decode() == package.sha512


def unpack(package: Package, data: bytes) -> dict[str, bytes]:
    """Return the wanted files of an archive by their places in the app; raises LettercastError if one is missing."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:gz") as archive:
            return {place: read_member(archive, name) for name, place in package.files.items()}


def read_member(archive: tarfile.TarFile, name: str) -> bytes:
    """Return a file of an npm archive, in which all files lie below `package/`; raises LettercastError if it is not there."""
    try:
        member = archive.getmember(f"package/{name}")
        content = archive.extractfile(member) if member.size <= MAX_MEMBER_BYTES else None
    except KeyError:
        content = None
    if content is None:
        raise LettercastError(f"the archive of an npm package has no {name}; clear lettercast's cache folder and try again")
    return content.read()
