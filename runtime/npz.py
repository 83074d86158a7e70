"""Arrays of an `.npz` file, never unpickled, and without the memory that one that bursts would take."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .files import unpacked_bytes


def load_npz(path: Path, most_bytes: int) -> dict[str, NDArray[Any]]:
    """Return the arrays by their names.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no such file, damaged, holds anything but plain arrays, or more than `most_bytes` when unpacked.
    """
    try:
        with path.open("rb") as file:
            with zipfile.ZipFile(file) as archive:
                size = unpacked_bytes(archive)
            if size > most_bytes:
                raise ValueError(f"unpacks to {size / 1e6:.0f} MB, {most_bytes / 1e6:.0f} MB are the limit")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                return {name: np.asarray(archive[name]) for name in archive.files}
    except (OSError, ValueError):
        raise
    except Exception as error:  # a damaged archive raises what its damage leads to, a lying one MemoryError
        raise ValueError(str(error) or type(error).__name__) from error
