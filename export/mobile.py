"""From a photograph of one letter to its glyph, inside a graph.

The steps of runtime/crop.py and runtime/glyph.py, in operations that every TFLite interpreter has: windows and counts
stand for components and histograms.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

from .. import LettercastError
from ..runtime.glyph import BORDER_PX, EDGE_SHARE, GLYPH_PX, MAX_GAIN
from ..runtime.model.facts import FACTS_KEY, LETTERS, PHOTOS, Facts
from ..runtime.page.ink import CROP_TUNING, INK_TUNING
from ..train.data.drawing import PHOTO_PX
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


# Paper and polarity are looked at on a copy this many times smaller, 32 x 32.
COARSE = 4
# Windows on that copy: wider than the strokes of a broad marker, nearly all of the picture, wider than a speck.
PAPER_WINDOW, SKEW_WINDOW, SPECK_WINDOW = 13, 27, 7
# Rec. 601, of red, green and blue.
GRAY_WEIGHTS = (0.299, 0.587, 0.114)
# Shares of pixels: weaker than the paper's median, than that less one standard deviation, and than the level of strokes.
MEDIAN_BELOW, DEVIATION_BELOW, LEVEL_BELOW = 0.5, 0.16, 0.75
# Keeps quotients finite; far below one grey level.
TINY = 1e-6


def to_glyph(photo: Any) -> Any:
    """Return the glyph (1, 28, 28, 1) of the letter in a photograph (1, S, S, 3), both float32 0..255.

    Dark on light or light on dark; the glyph is all zero where there is no ink.
    """
    return _fit(_letter_ink(to_gray(photo)))


def to_gray(picture: Any) -> Any:
    """Return the grey (1, H, W, 1) of an RGB picture (1, H, W, 3), float32."""
    import tensorflow as tf

    return tf.reduce_sum(picture * tf.constant(GRAY_WEIGHTS), -1, keepdims=True)


def _letter_ink(gray: Any) -> Any:
    """Return the ink 0..255 of the letter in (1, S, S, 1), 0 off the letter, as runtime/crop.py does."""
    import tensorflow as tf

    size = gray.shape[1:3]
    small = _mean(gray, COARSE, COARSE)
    light = _is_light_on_dark(small)
    gray, small = (picture + light * (255 - 2 * picture) for picture in (gray, small))
    paper = -_greatest(-_greatest(_mean(small, 3), PAPER_WINDOW), PAPER_WINDOW)
    paper = tf.image.resize(paper, size)
    ink = tf.nn.relu(255 * (1 - (gray + INK_TUNING.darkness) / (paper + INK_TUNING.darkness)))
    strokes = tf.cast(ink >= _threshold(ink), tf.float32)
    # Around a speck there is little but itself, around any part of a stroke a good share of the letter.
    near = _mean(_mean(strokes, COARSE, COARSE), SPECK_WINDOW) * SPECK_WINDOW**2
    least = CROP_TUNING.min_speck_share * tf.reduce_sum(strokes) / COARSE**2
    core = strokes * tf.cast(tf.image.resize(near, size) >= least, tf.float32)
    # One pixel more than the core: the soft edge of the strokes belongs to them.
    return ink * _greatest(core, 3)


def _is_light_on_dark(small: Any) -> Any:
    """Return 1 for light ink on dark and 0 for dark on light, of a small grey picture (1, s, s, 1).

    Ink is the minority, so what is left without shading is skewed to its side, and paper is what the border shows. Either
    fails now and then: the one where a broad marker fills the picture, the other in a shadow.
    """
    import tensorflow as tf

    residual = small - _mean(small, SKEW_WINDOW)
    square = residual * residual
    deviation = tf.sqrt(tf.reduce_mean(square))
    skew = tf.reduce_mean(square * residual) / (deviation * deviation * deviation + TINY)
    inside = small[:, 1:-1, 1:-1]
    count, within = (picture.shape[1] * picture.shape[2] for picture in (small, inside))
    border = (tf.reduce_sum(small) - tf.reduce_sum(inside)) / (count - within)
    mean = tf.reduce_mean(small)
    spread = tf.sqrt(tf.reduce_mean((small - mean) ** 2))
    return tf.cast(skew + (mean - border) / (spread + 1) > 0, tf.float32)


def _threshold(ink: Any) -> Any:
    """Return the ink from which on a pixel belongs to a stroke, as runtime/ink.py's ink_levels does."""
    import tensorflow as tf

    sample = tf.reshape(ink[:, ::COARSE, ::COARSE], (-1, 1))
    below = tf.reduce_mean(tf.cast(sample < tf.range(256, dtype=tf.float32), tf.float32), 0)

    def level(share: Any) -> Any:
        """Return the first level 0..255 that this share of the pixels is weaker than."""
        return tf.reduce_sum(tf.cast(below < share, tf.float32))

    median = level(MEDIAN_BELOW)
    grain = tf.maximum(1.0, median - level(DEVIATION_BELOW))
    floor = tf.clip_by_value(median + INK_TUNING.grain_sigmas * grain, INK_TUNING.min_ink, 200.0)
    paper = tf.reduce_mean(tf.cast(sample < floor, tf.float32))
    return tf.maximum(floor, INK_TUNING.threshold_share * level(paper + LEVEL_BELOW * (1 - paper)))


def _fit(ink: Any) -> Any:
    """Fit the ink (1, S, S, 1) into a glyph (1, 28, 28, 1) as runtime/glyph.py does, by a matrix for rows and one for columns."""
    import tensorflow as tf

    plane = ink[..., 0]
    peak = tf.reduce_max(plane)
    core = tf.cast(plane >= tf.maximum(1.0, EDGE_SHARE * peak), tf.float32)
    rows, columns = _span(tf.reduce_max(core, 2)), _span(tf.reduce_max(core, 1))
    scale = (GLYPH_PX - 2 * BORDER_PX) / tf.maximum(1.0, tf.maximum(rows[1], columns[1]))
    down, across = (_resampling(*span, scale, plane.shape[1]) for span in (rows, columns))
    fitted = tf.matmul(tf.matmul(down, plane), across, transpose_b=True)
    gain = tf.minimum(MAX_GAIN * 255 / tf.maximum(1.0, peak), 255 / tf.maximum(1.0, tf.reduce_max(fitted)))
    return tf.minimum(255.0, gain * fitted)[..., None]


def _span(filled: Any) -> tuple[Any, Any]:
    """Return where the ones among the zeros of (1, n) begin, and how many places it is from the first to the last."""
    import tensorflow as tf

    count = filled.shape[1]
    place = tf.range(count, dtype=tf.float32)
    begin = count - tf.reduce_max(filled * (count - place))
    end = tf.reduce_max(filled * (place + 1))
    return begin, tf.maximum(0.0, end - begin)


def _resampling(begin: Any, length: Any, scale: Any, count: int) -> Any:
    """Return the matrix (1, 28, count) that brings `length` of count pixels, from `begin` on, to the middle of 28.

    A pixel takes what its own area covers, which is OpenCV's INTER_AREA; an area of less than a pixel becomes one,
    which is INTER_LINEAR.
    """
    import tensorflow as tf

    source, target = tf.range(count, dtype=tf.float32), tf.range(GLYPH_PX, dtype=tf.float32)[:, None]
    taken = tf.maximum(1.0, tf.round(length * scale))
    first = tf.floor((GLYPH_PX - taken) / 2)
    ratio = length / taken
    centre, half = begin + (target - first + 0.5) * ratio, tf.maximum(1.0, ratio) / 2
    weights = tf.nn.relu(tf.minimum(source + 1, centre + half) - tf.maximum(source, centre - half))
    weights *= tf.cast(tf.logical_and(source >= begin, source < begin + length), tf.float32)
    weights *= tf.cast(tf.logical_and(target >= first, target < first + taken), tf.float32)
    return (weights / tf.maximum(TINY, tf.reduce_sum(weights, 1, keepdims=True)))[None]


def _mean(picture: Any, window: int, stride: int = 1) -> Any:
    """Return the means of (1, H, W, 1) in windows; at the edges, of what there is."""
    import tensorflow as tf

    return tf.nn.avg_pool2d(picture, window, stride, "SAME")


def _greatest(picture: Any, window: int) -> Any:
    """Return the maxima of (1, H, W, 1) in windows."""
    import tensorflow as tf

    return tf.nn.max_pool2d(picture, window, 1, "SAME")


if TYPE_CHECKING:
    import keras


def take_rgb(model: "keras.Model", facts: Facts) -> "tuple[keras.Model, Facts]":
    """Put the preprocessing in front of a network: RGB pixels 0..255 of one picture in, its probabilities out.

    A network of letters gets a photograph of one letter (1, 128, 128, 3), and finds, cuts out and scales the letter
    inside; any other gets a picture of its own size, whose grey is taken where it has one channel.

    Returns the network (uint8 in, batches of one, as MediaPipe wants it) and the facts of what it takes.
    Raises LettercastError where the network takes neither grey nor RGB.
    """
    import keras
    import tensorflow as tf

    height, width, channels = facts.input_shape
    if channels not in (1, 3):
        raise LettercastError(f"{facts.name}: takes pictures of {channels} channels; apps give RGB; choose another format")
    if facts.takes == LETTERS:
        prepare, taken = to_glyph, replace(facts, takes=PHOTOS, input_shape=(PHOTO_PX, PHOTO_PX, 3), input_dtype="uint8")
    else:
        prepare = to_gray if channels == 1 else tf.identity
        taken = replace(facts, input_shape=(height, width, 3), input_dtype="uint8")
    picture = keras.Input(taken.input_shape, batch_size=1, dtype="uint8", name="picture")
    prepared = keras.layers.Lambda(
        lambda pixels: prepare(tf.cast(pixels, tf.float32)), output_shape=(height, width, channels), name="preprocessing"
    )(picture)
    return keras.Model(picture, model(prepared), name=model.name), taken
