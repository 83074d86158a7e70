"""TFLite's standard metadata, as apps' image classifiers read it, beside lettercast's own facts."""

import zipfile
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ..runtime.facts import FACTS_KEY, PHOTOS, Facts
from . import tflite

if TYPE_CHECKING:
    import flatbuffers

# Of TFLite's metadata_schema.fbs: the buffer's name, the identifier of what is in it, and the oldest parser that knows it all.
METADATA_KEY, IDENTIFIER, PARSER = "TFLITE_METADATA", b"M001", "1.0.0"
LABELS_FILE = "labels.txt"
# Numbers of that schema's tables: how many fields each has, and where the fields used here stand.
MODEL_FIELDS, MODEL_NAME, MODEL_DESCRIPTION, MODEL_SUBGRAPHS, MODEL_PARSER = 8, 0, 1, 3, 7
SUBGRAPH_FIELDS, SUBGRAPH_INPUTS, SUBGRAPH_OUTPUTS = 10, 2, 3
TENSOR_FIELDS, TENSOR_NAME, TENSOR_DESCRIPTION, TENSOR_CONTENT, TENSOR_UNITS, TENSOR_STATS, TENSOR_FILES = 7, 0, 1, 3, 4, 5, 6
FILE_FIELDS, FILE_NAME, FILE_DESCRIPTION, FILE_TYPE, AXIS_LABELS = 5, 0, 1, 2, 2
CONTENT_FIELDS, IMAGE_FIELDS, FEATURE_FIELDS, COLOR_SPACE, RGB = 3, 2, 0, 0, 1
STATS_FIELDS, STATS_MAX, STATS_MIN = 2, 0, 1
UNIT_FIELDS, NORMALIZATION_FIELDS, NORMALIZATION_MEAN, NORMALIZATION_STD = 2, 2, 0, 1
# A union is two fields, its type and what it holds; these are types.
UNION_TYPE, UNION_VALUE, FEATURE, IMAGE, NORMALIZATION = 0, 1, 1, 2, 1
# The first that zip can tell, so that the same input makes the same bytes.
TIMESTAMP = (1980, 1, 1, 0, 0, 0)


def embed_mobile(model: bytes, facts: Facts) -> bytes:
    """Return the TFLite model with the facts, the standard metadata and, appended as a zip, the file of labels it names."""
    described = tflite.embed_buffers(model, {FACTS_KEY: facts.to_json().encode(), METADATA_KEY: describe(facts)})
    file = BytesIO(described)
    # Stored, as readers take its bytes from the file without unpacking.
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(LABELS_FILE, TIMESTAMP), "".join(f"{label}\n" for label in facts.labels))
    return file.getvalue()


def describe(facts: Facts) -> bytes:
    """Return the flatbuffer of the standard metadata: an RGB picture in, a probability for each line of labels.txt out."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    is_letter = facts.takes == PHOTOS
    taken = "one letter, dark on light or light on dark, in a picture about square" if is_letter else "a picture"
    subgraph = _table(
        builder,
        SUBGRAPH_FIELDS,
        {SUBGRAPH_INPUTS: _vector(builder, [_input(builder, taken)]), SUBGRAPH_OUTPUTS: _vector(builder, [_output(builder)])},
    )
    described = f"Names what is in a picture: {' '.join(facts.labels)}. Made by lettercast from {facts.name}."
    root = {
        MODEL_NAME: builder.CreateString(facts.name),
        MODEL_DESCRIPTION: builder.CreateString(described),
        MODEL_SUBGRAPHS: _vector(builder, [subgraph]),
        MODEL_PARSER: builder.CreateString(PARSER),
    }
    builder.Finish(_table(builder, MODEL_FIELDS, root), IDENTIFIER)
    return bytes(builder.Output())


def _input(builder: "flatbuffers.Builder", taken: str) -> int:
    """Add the picture: RGB, pixels 0..255 as they are."""
    image = _table(builder, IMAGE_FIELDS, {}, {COLOR_SPACE: RGB})
    identity = {NORMALIZATION_MEAN: _floats(builder, [0.0]), NORMALIZATION_STD: _floats(builder, [1.0])}
    normalization = _table(builder, NORMALIZATION_FIELDS, identity)
    units = [_table(builder, UNIT_FIELDS, {UNION_VALUE: normalization}, {UNION_TYPE: NORMALIZATION})]
    return _tensor(
        builder,
        "image",
        f"{taken}: RGB, 0..255",
        _table(builder, CONTENT_FIELDS, {UNION_VALUE: image}, {UNION_TYPE: IMAGE}),
        high=255.0,
        more={TENSOR_UNITS: _vector(builder, units)},
    )


def _output(builder: "flatbuffers.Builder") -> int:
    """Add the probabilities, and the file that names them."""
    said = {
        FILE_NAME: builder.CreateString(LABELS_FILE),
        FILE_DESCRIPTION: builder.CreateString("what each probability is of, a line each"),
    }
    files = [_table(builder, FILE_FIELDS, said, {FILE_TYPE: AXIS_LABELS})]
    feature = _table(builder, FEATURE_FIELDS, {})
    return _tensor(
        builder,
        "probability",
        "probability of each label, 0..1",
        _table(builder, CONTENT_FIELDS, {UNION_VALUE: feature}, {UNION_TYPE: FEATURE}),
        high=1.0,
        more={TENSOR_FILES: _vector(builder, files)},
    )


def _tensor(builder: "flatbuffers.Builder", name: str, said: str, content: int, *, high: float, more: dict[int, int]) -> int:
    """Add a tensor with values from 0 to `high`."""
    stats = _table(builder, STATS_FIELDS, {STATS_MAX: _floats(builder, [high]), STATS_MIN: _floats(builder, [0.0])})
    fields = {
        TENSOR_NAME: builder.CreateString(name),
        TENSOR_DESCRIPTION: builder.CreateString(said),
        TENSOR_CONTENT: content,
        TENSOR_STATS: stats,
    }
    return _table(builder, TENSOR_FIELDS, fields | more)


def _table(builder: "flatbuffers.Builder", size: int, offsets: dict[int, int], kinds: dict[int, int] | None = None) -> int:
    """Add a table of so many fields: those that stand elsewhere by their offsets, enumerations by their numbers."""
    builder.StartObject(size)
    for field, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(field, offset, 0)
    for field, kind in (kinds or {}).items():
        builder.PrependUint8Slot(field, kind, 0)
    return builder.EndObject()


def _vector(builder: "flatbuffers.Builder", offsets: Sequence[int]) -> int:
    return _filled(builder, offsets, builder.PrependUOffsetTRelative)


def _floats(builder: "flatbuffers.Builder", values: Sequence[float]) -> int:
    return _filled(builder, values, builder.PrependFloat32)


def _filled(builder: "flatbuffers.Builder", values: Sequence[Any], prepend: Any) -> int:
    """Add a vector of numbers of four bytes, from its end on as flatbuffers are written."""
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        prepend(value)
    return builder.EndVector()
