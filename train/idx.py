"""Arrays of bytes in idx files, plain or packed with gzip, as MNIST and EMNIST come."""

import gzip
import io
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import LettercastError

# The first four bytes: two zeros, 8 for unsigned bytes, and the number of axes.
BYTES_MAGIC = 0x00000800
# Deflate packs no better than this, so a file cannot hold more.
DEFLATE_RATIO = 1032
PIECE_BYTES = 1 << 20


def read_idx(path: Path, axes: int) -> NDArray[np.uint8]:
    """Read an idx file of unsigned bytes with so many axes; a name that ends in `.gz` is unpacked.

    Memory goes by what the file holds, not by what its header promises.

    Raises:
        LettercastError: the file is missing, damaged, of another kind, or longer or shorter than its header says.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            shape = read_shape(file, axes)
            # One more than promised: that is how a longer file, and a damaged end, come to light.
            data = read_at_most(file, min(math.prod(shape), most_bytes(path)) + 1)
    except FileNotFoundError as error:
        raise LettercastError(f"{path}: no such file; download it again") from error
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise LettercastError(f"{path}: not an idx file that can be read ({error}); download it again") from error
    if len(data) != math.prod(shape):
        less = "less" if len(data) < math.prod(shape) else "more"
        raise LettercastError(f"{path}: holds {less} than the {math.prod(shape)} bytes that it promises; download it again")
    return np.frombuffer(data, np.uint8).reshape(shape)


def read_shape(file: io.BufferedIOBase, axes: int) -> tuple[int, ...]:
    """Read the header: the magic number, then the length of each axis, all 32 bits, the high byte first."""
    header = np.frombuffer(file.read(4 * (1 + axes)), np.uint8)
    if len(header) < 4 * (1 + axes):
        raise ValueError("too short for its header")
    magic, *shape = (int(number) for number in header.view(">u4"))
    if magic != BYTES_MAGIC + axes:
        raise ValueError(f"starts with {magic:08x}, not {BYTES_MAGIC + axes:08x}")
    return tuple(shape)


def read_at_most(file: io.BufferedIOBase, most: int) -> bytearray:
    """Read to the end, but no more than so many bytes."""
    data = bytearray()
    while piece := file.read(min(PIECE_BYTES, most - len(data))):
        data += piece
    return data


def most_bytes(path: Path) -> int:
    """Return the bytes that a file of this size can hold at most."""
    return path.stat().st_size * (DEFLATE_RATIO if path.suffix == ".gz" else 1)
