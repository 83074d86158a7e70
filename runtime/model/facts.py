"""Facts of a model (labels, input, rejection, ...), stored inside its file and read back on the device."""

import json
import re
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ... import LettercastError
from ..files import unpacked_bytes

# The name of the facts in TFLite metadata and in ONNX metadata_props; in a .keras archive with .json.
FACTS_KEY = "lettercast"
SCHEMA = 1
# Networks for small devices have megabytes; a larger archive is damaged or an attack.
MAX_UNPACKED_BYTES = 2_000_000_000
# The first bytes of an HDF5 file, as Keras saves a model under the ending .h5.
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# A name becomes a file name, so it must not lead out of a folder.
MODEL_NAME = re.compile(r"\w[\w.-]{0,99}")
INPUT_DTYPES = ("uint8", "int8", "float32")
# What an image is before a model sees it: one letter normalised to a glyph; any image, only scaled to the input; or an RGB
# photo of one letter in any light, which the model itself normalises to a glyph.
LETTERS, PICTURES, PHOTOS = "letters", "pictures", "photos"
TAKES = (LETTERS, PICTURES, PHOTOS)
# Field numbers in TFLite's schema, of the tables Model, Metadata and Buffer.
MODEL_BUFFERS, MODEL_METADATA, METADATA_NAME, METADATA_BUFFER, BUFFER_DATA = 4, 6, 0, 1, 0
# Field numbers in ONNX's schema: metadata_props of ModelProto, key and value of its StringStringEntryProto.
METADATA_PROPS, ENTRY_KEY, ENTRY_VALUE = 14, 1, 2
# How protobuf writes the value of a field, the low three bits in front of it, and the bytes of those of fixed size.
VARINT, LENGTH_DELIMITED, FIXED_BYTES = 0, 2, {1: 8, 5: 4}
# The most bytes of a number of 64 bits, seven bits in each.
MAX_VARINT_BYTES = 10


@dataclass(frozen=True)
class Facts:
    """Facts of one model.

    Attributes:
        labels: in the order of the outputs.
        input_shape: height, width, channels. Pixels are 0..255 in every format, whatever input_dtype carries them; letters
            are white ink on black.
        reject_below: the model rejects an image if its best label has a lower probability than this; the probabilities of a
            digit and of a letter that looks like it, such as 0 and O, are added up.
        temperature: the network divides its logits by it, so that probabilities are calibrated.
        source_sha256: the hash of the original's file.
        network_sha256: the hash of the original's layers and weights, which is the same in every file that it is saved to.
        made: data, seed and settings of the training.
        gate: what the export gate measured.
        versions: the packages that made the file.
        takes: what the model is shown: `letters` as runtime/glyph.py makes them; `pictures`, grey or RGB, only scaled to the
            input; or `photos` of one letter each, in which the model finds the letter itself.
        lowest_runtime: the oldest runtime that opens the file.
        recipe: how a quantized file was made, if not in its format's own way.
    """

    name: str
    format: str
    labels: tuple[str, ...]
    input_shape: tuple[int, int, int]
    input_dtype: str
    reject_below: float = 0.0
    temperature: float = 1.0
    source_sha256: str = ""
    made: dict[str, Any] = field(default_factory=dict)
    gate: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    takes: str = LETTERS
    lowest_runtime: str = ""
    network_sha256: str = ""
    recipe: dict[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"facts have schema {self.schema}, this version reads schema {SCHEMA}: update lettercast")
        if not (isinstance(self.name, str) and MODEL_NAME.fullmatch(self.name)):
            raise ValueError("the name must consist of letters, digits, '.', '_' and '-'")
        if not (
            isinstance(self.made, dict)
            and isinstance(self.gate, dict)
            and isinstance(self.versions, dict)
            and isinstance(self.recipe, dict)
        ):
            raise ValueError("made, gate, versions and recipe must be objects")
        if not (0 <= self.reject_below < 1 and 0 < self.temperature < float("inf")):
            raise ValueError("reject_below must be from 0 to 1 and temperature above 0")
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise ValueError("facts need two or more different labels")
        if self.input_dtype not in INPUT_DTYPES:
            raise ValueError(f"input dtype '{self.input_dtype}' is unknown; this version supports {', '.join(INPUT_DTYPES)}")
        if self.takes not in TAKES:
            raise ValueError(f"takes '{self.takes}' is unknown; this version supports {', '.join(TAKES)}")
        if len(self.input_shape) != 3 or min(self.input_shape) < 1:
            raise ValueError("facts need an input shape of height, width and channels")

    @property
    def unit(self) -> str:
        """What the model classifies, in words: `letters`, or `images` of anything else."""
        return "images" if self.takes == PICTURES else "letters"

    def to_json(self) -> str:
        """Return the facts as one line of JSON; fields that early versions lacked are left out at their default."""
        facts = asdict(self)
        for name, default in (("takes", LETTERS), ("lowest_runtime", ""), ("network_sha256", ""), ("recipe", {})):
            if facts[name] == default:
                del facts[name]
        return json.dumps(facts, sort_keys=True, separators=(",", ":"))


def parse_facts(text: str | bytes, path: Path) -> Facts:
    """Parse facts from JSON; raises LettercastError that names the file if they do not fit.

    Fields that a later version added within the same schema are ignored, because a device keeps its version for years.
    """
    try:
        names = {one.name for one in fields(Facts)}
        raw = {name: value for name, value in json.loads(text).items() if name in names}
        raw["labels"] = tuple(str(label) for label in raw["labels"])
        raw["input_shape"] = tuple(int(side) for side in raw["input_shape"])
        return Facts(**raw)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, AttributeError) as error:
        raise LettercastError(f"{path}: its facts cannot be used ({error}); export it again") from error


def missing_facts(path: Path) -> LettercastError:
    """Return the error for a model file without facts."""
    return LettercastError(f"{path}: carries no facts (labels, input); make it with `lettercast export`")


def tflite_facts(path: Path, model: bytes) -> Facts:
    """Read the facts from the metadata of a TFLite model; raises LettercastError if there are none."""
    if model[4:8] != b"TFL3":
        raise LettercastError(f"{path}: not a TFLite model, or a damaged one; export or copy it again")
    try:
        buffer = _tflite_metadata(model, FACTS_KEY.encode())
    except (struct.error, IndexError) as error:
        raise LettercastError(f"{path}: a truncated or damaged TFLite model; export or copy it again") from error
    if buffer is None:
        raise missing_facts(path)
    return parse_facts(buffer, path)


def onnx_facts(path: Path, model: bytes) -> Facts:
    """Read the facts from the metadata of an ONNX model, without a library; raises LettercastError if there are none."""
    try:
        entries = [dict(_protobuf_fields(value)) for number, value in _protobuf_fields(model) if number == METADATA_PROPS]
    except IndexError as error:
        raise LettercastError(f"{path}: not an ONNX model, or a truncated or damaged one; export or copy it again") from error
    for entry in entries:
        if entry.get(ENTRY_KEY) == FACTS_KEY.encode():
            return parse_facts(entry.get(ENTRY_VALUE, b""), path)
    raise missing_facts(path)


def keras_facts(path: Path) -> Facts | None:
    """Read the facts from a `.keras` archive; None if it has none, or is an HDF5 file."""
    try:
        with path.open("rb") as file:
            if file.read(len(HDF5_SIGNATURE)) == HDF5_SIGNATURE:
                return None
        with zipfile.ZipFile(path) as archive:
            unpacked = unpacked_bytes(archive)
            if unpacked > MAX_UNPACKED_BYTES:
                raise LettercastError(
                    f"{path}: unpacks to {unpacked / 1e9:.3g} GB, far more than a network for small devices; save it again"
                )
            if f"{FACTS_KEY}.json" not in archive.namelist():
                return None
            return parse_facts(archive.read(f"{FACTS_KEY}.json"), path)
    except LettercastError:
        raise
    except Exception as error:  # a damaged archive raises all kinds of errors
        raise LettercastError(f"{path}: not a .keras model, or a truncated one ({error}); save it again") from error


def _tflite_metadata(model: bytes, name: bytes) -> bytes | None:
    """Return the metadata buffer of this name; walks the flatbuffer, whose offsets are little-endian."""
    root = _offset(model, 0)
    buffers = _field(model, root, MODEL_BUFFERS)
    for entry in _tables(model, _field(model, root, MODEL_METADATA)):
        at = _field(model, entry, METADATA_NAME)
        if at and _vector(model, _offset(model, at)) == name:
            index_at = _field(model, entry, METADATA_BUFFER)
            index = struct.unpack_from("<I", model, index_at)[0] if index_at else 0
            data = _field(model, _tables(model, buffers)[index], BUFFER_DATA)
            return _vector(model, _offset(model, data)) if data else b""
    return None


def _offset(model: bytes, at: int) -> int:
    return at + struct.unpack_from("<I", model, at)[0]


def _field(model: bytes, table: int, number: int) -> int:
    """Return the offset of a field of a table, or 0 if the field is absent."""
    vtable = table - struct.unpack_from("<i", model, table)[0]
    if vtable < 0 or 4 + 2 * number >= struct.unpack_from("<H", model, vtable)[0]:
        return 0
    relative = struct.unpack_from("<H", model, vtable + 4 + 2 * number)[0]
    return table + relative if relative else 0


def _tables(model: bytes, at: int) -> list[int]:
    """Return the offsets of the tables in a vector of tables; none if the field is absent."""
    if not at:
        return []
    vector = _offset(model, at)
    count = struct.unpack_from("<I", model, vector)[0]
    if 4 * count > len(model):
        raise IndexError("a vector longer than the file")
    return [_offset(model, vector + 4 + 4 * i) for i in range(count)]


def _vector(model: bytes, at: int) -> bytes:
    length = struct.unpack_from("<I", model, at)[0]
    if at + 4 + length > len(model):
        raise IndexError("a vector longer than the file")
    return model[at + 4 : at + 4 + length]


def _protobuf_fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the bytes of each field of a protobuf message that is text, bytes or a message; skip numbers.

    Raises IndexError if the message is damaged.
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            _, at = _varint(message, at)
        elif kind == LENGTH_DELIMITED:
            length, at = _varint(message, at)
            yield number, message[at : at + length]
            at += length
        else:
            at += FIXED_BYTES.get(kind, len(message) + 1)
        if at > len(message):
            raise IndexError("a field longer than its message")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, the lowest first, and the place behind it."""
    value = 0
    for i in range(MAX_VARINT_BYTES):
        byte = message[at + i]
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value, at + i + 1
    raise IndexError("a number of more than 64 bits")
