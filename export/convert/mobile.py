"""Files for apps: the preprocessing in front of the network, and the standard metadata of TFLite behind the facts.

The graph takes a photograph of one letter and makes its glyph with the steps of runtime/page/ink.py and runtime/glyph.py, in
operations that every TFLite interpreter has: windows stand for connected components, and counts for histograms.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ... import LettercastError
from ...runtime.glyph import BORDER_PX, EDGE_SHARE, GLYPH_PX, MAX_GAIN
from ...runtime.model.facts import FACTS_KEY, LETTERS, PHOTOS, Facts
from ...runtime.page.ink import CROP_TUNING, INK_TUNING, MAX_FLOOR
from ...train.data.drawing import PHOTO_PX
from . import tflite

if TYPE_CHECKING:
    import flatbuffers
    import keras

# From TFLite's metadata_schema.fbs: the buffer's name, the identifier of its content, and the oldest parser of all fields used.
METADATA_KEY, IDENTIFIER, PARSER = "TFLITE_METADATA", b"M001", "1.0.0"
LABELS_FILE = "labels.txt"
# Numbers from that schema: how many fields each table has, and the positions of the fields used here.
MODEL_FIELDS, MODEL_NAME, MODEL_DESCRIPTION, MODEL_SUBGRAPHS, MODEL_PARSER = 8, 0, 1, 3, 7
SUBGRAPH_FIELDS, SUBGRAPH_INPUTS, SUBGRAPH_OUTPUTS = 10, 2, 3
TENSOR_FIELDS, TENSOR_NAME, TENSOR_DESCRIPTION, TENSOR_CONTENT, TENSOR_UNITS, TENSOR_STATS, TENSOR_FILES = 7, 0, 1, 3, 4, 5, 6
FILE_FIELDS, FILE_NAME, FILE_DESCRIPTION, FILE_TYPE, AXIS_LABELS = 5, 0, 1, 2, 2
CONTENT_FIELDS, IMAGE_FIELDS, FEATURE_FIELDS, COLOR_SPACE, RGB = 3, 2, 0, 0, 1
STATS_FIELDS, STATS_MAX, STATS_MIN = 2, 0, 1
UNIT_FIELDS, NORMALIZATION_FIELDS, NORMALIZATION_MEAN, NORMALIZATION_STD = 2, 2, 0, 1
# A union is two fields, its type and its value; the last three are types.
UNION_TYPE, UNION_VALUE, FEATURE, IMAGE, NORMALIZATION = 0, 1, 1, 2, 1
# The earliest time that zip can store; a fixed time makes the same bytes for the same input.
TIMESTAMP = (1980, 1, 1, 0, 0, 0)
# Polarity and paper are estimated on a copy this many times smaller, 32 x 32.
COARSE = 4
# Rec. 601, of red, green and blue.
GRAY_WEIGHTS = (0.299, 0.587, 0.114)
# Ranks of the median and of one standard deviation below it in a normal distribution.
MEDIAN_RANK, DEVIATION_RANK = 0.5, 0.16
# Keeps quotients finite; far below one grey level.
TINY = 1e-6


@dataclass(frozen=True)
class GraphTuning:
    """What finds the ink inside the graph, for photographs of 128 x 128.

    How the values were chosen is not recorded; tests/export/test_mobile.py compares the glyph with the runtime's, at every
    size, place and pen. The windows count pixels of the coarse copy.
    """

    # Wider than the strokes of a broad marker, so that the maximum in it is paper.
    paper_window: int = 13
    # Nearly the whole image, so that subtracting the mean in it removes shading and keeps the strokes.
    skew_window: int = 27
    # Wider than a speck, so that a speck is alone in it.
    speck_window: int = 7
    # The level of strokes is that of this rank among the pixels above the paper's grain.
    stroke_rank: float = 0.75


TUNING = GraphTuning()


def take_rgb(model: "keras.Model", facts: Facts) -> "tuple[keras.Model, Facts]":
    """Put the preprocessing in front of a network: RGB pixels 0..255 of one image in, probabilities out.

    For a network of letters the graph takes a photograph of one letter (1, 128, 128, 3) and finds, cuts out and scales the
    letter. For any other network it takes an image of the network's own size, and makes it grey for one channel.

    Returns:
        The network, which takes uint8 in batches of one as MediaPipe expects, and its facts with the new input.

    Raises:
        LettercastError: the network takes neither grey nor RGB images.
    """
    import keras
    import tensorflow as tf

    height, width, channels = facts.input_shape
    if channels not in (1, 3):
        raise LettercastError(f"{facts.name}: takes images of {channels} channels, but apps give RGB; choose another format")
    if facts.takes == LETTERS:
        prepare, mobile_facts = to_glyph, replace(facts, takes=PHOTOS, input_shape=(PHOTO_PX, PHOTO_PX, 3), input_dtype="uint8")
    else:
        prepare = to_gray if channels == 1 else tf.identity
        mobile_facts = replace(facts, input_shape=(height, width, 3), input_dtype="uint8")
    image = keras.Input(mobile_facts.input_shape, batch_size=1, dtype="uint8", name="picture")
    prepared = keras.layers.Lambda(
        lambda pixels: prepare(tf.cast(pixels, tf.float32)), output_shape=(height, width, channels), name="preprocessing"
    )(image)
    return keras.Model(image, model(prepared), name=model.name), mobile_facts


def embed_mobile(model: bytes, facts: Facts) -> bytes:
    """Return the TFLite model with the facts, the standard metadata and, appended as a zip, the label file that these name."""
    described = tflite.embed_buffers(model, {FACTS_KEY: facts.to_json().encode(), METADATA_KEY: describe(facts)})
    file = BytesIO(described)
    # Stored, because readers take its bytes from the file without decompressing.
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(LABELS_FILE, TIMESTAMP), "".join(f"{label}\n" for label in facts.labels))
    return file.getvalue()


def describe(facts: Facts) -> bytes:
    """Return the standard metadata as a flatbuffer: an RGB image in, a probability for each line of labels.txt out."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    is_letter = facts.takes == PHOTOS
    subject = "one letter, dark on light or light on dark, in a picture about square" if is_letter else "a picture"
    subgraph = _table(
        builder,
        SUBGRAPH_FIELDS,
        {SUBGRAPH_INPUTS: _vector(builder, [_input(builder, subject)]), SUBGRAPH_OUTPUTS: _vector(builder, [_output(builder)])},
    )
    description = f"Names what is in a picture: {' '.join(facts.labels)}. Made by lettercast from {facts.name}."
    root = {
        MODEL_NAME: builder.CreateString(facts.name),
        MODEL_DESCRIPTION: builder.CreateString(description),
        MODEL_SUBGRAPHS: _vector(builder, [subgraph]),
        MODEL_PARSER: builder.CreateString(PARSER),
    }
    builder.Finish(_table(builder, MODEL_FIELDS, root), IDENTIFIER)
    return bytes(builder.Output())


def _input(builder: "flatbuffers.Builder", subject: str) -> int:
    """Add the input image: RGB, pixels 0..255, not normalized."""
    image = _table(builder, IMAGE_FIELDS, {}, {COLOR_SPACE: RGB})
    identity = {NORMALIZATION_MEAN: _floats(builder, [0.0]), NORMALIZATION_STD: _floats(builder, [1.0])}
    normalization = _table(builder, NORMALIZATION_FIELDS, identity)
    units = [_table(builder, UNIT_FIELDS, {UNION_VALUE: normalization}, {UNION_TYPE: NORMALIZATION})]
    return _tensor(
        builder,
        "image",
        f"{subject}: RGB, 0..255",
        _table(builder, CONTENT_FIELDS, {UNION_VALUE: image}, {UNION_TYPE: IMAGE}),
        high=255.0,
        more={TENSOR_UNITS: _vector(builder, units)},
    )


def _output(builder: "flatbuffers.Builder") -> int:
    """Add the output probabilities and their label file."""
    file = {
        FILE_NAME: builder.CreateString(LABELS_FILE),
        FILE_DESCRIPTION: builder.CreateString("what each probability is of, a line each"),
    }
    files = [_table(builder, FILE_FIELDS, file, {FILE_TYPE: AXIS_LABELS})]
    feature = _table(builder, FEATURE_FIELDS, {})
    return _tensor(
        builder,
        "probability",
        "probability of each label, 0..1",
        _table(builder, CONTENT_FIELDS, {UNION_VALUE: feature}, {UNION_TYPE: FEATURE}),
        high=1.0,
        more={TENSOR_FILES: _vector(builder, files)},
    )


def _tensor(
    builder: "flatbuffers.Builder", name: str, description: str, content: int, *, high: float, more: dict[int, int]
) -> int:
    """Add a tensor with values from 0 to `high`."""
    stats = _table(builder, STATS_FIELDS, {STATS_MAX: _floats(builder, [high]), STATS_MIN: _floats(builder, [0.0])})
    fields = {
        TENSOR_NAME: builder.CreateString(name),
        TENSOR_DESCRIPTION: builder.CreateString(description),
        TENSOR_CONTENT: content,
        TENSOR_STATS: stats,
    }
    return _table(builder, TENSOR_FIELDS, fields | more)


def _table(builder: "flatbuffers.Builder", size: int, offsets: dict[int, int], enums: dict[int, int] | None = None) -> int:
    """Add a table of `size` fields: offsets point to values that were added before, enums are numbers of one byte."""
    builder.StartObject(size)
    for field, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(field, offset, 0)
    for field, value in (enums or {}).items():
        builder.PrependUint8Slot(field, value, 0)
    return builder.EndObject()


def _vector(builder: "flatbuffers.Builder", offsets: Sequence[int]) -> int:
    return _filled(builder, offsets, builder.PrependUOffsetTRelative)


def _floats(builder: "flatbuffers.Builder", values: Sequence[float]) -> int:
    return _filled(builder, values, builder.PrependFloat32)


def _filled(builder: "flatbuffers.Builder", values: Sequence[Any], prepend: Any) -> int:
    """Add a vector of four-byte values, last one first because flatbuffers are written backwards."""
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        prepend(value)
    return builder.EndVector()


def to_glyph(photo: Any) -> Any:
    """Return the glyph (1, 28, 28, 1) of the letter in a photograph (1, S, S, 3), both float32 0..255.

    The letter may be dark on light or light on dark; without ink the glyph is all zero.
    """
    return _fit(_letter_ink(to_gray(photo)))


def to_gray(image: Any) -> Any:
    """Return the grey image (1, H, W, 1) of an RGB image (1, H, W, 3), float32."""
    import tensorflow as tf

    return tf.reduce_sum(image * tf.constant(GRAY_WEIGHTS), -1, keepdims=True)


def _letter_ink(gray: Any) -> Any:
    """Return the ink 0..255 of the letter in a grey image (1, S, S, 1), 0 off the letter, as `letter_ink` of the runtime does."""
    import tensorflow as tf

    size = gray.shape[1:3]
    small = _mean(gray, COARSE, COARSE)
    light = _is_light_on_dark(small)
    gray, small = (image + light * (255 - 2 * image) for image in (gray, small))
    paper = -_maximum(-_maximum(_mean(small, 3), TUNING.paper_window), TUNING.paper_window)
    paper = tf.image.resize(paper, size)
    ink = tf.nn.relu(255 * (1 - (gray + INK_TUNING.darkness) / (paper + INK_TUNING.darkness)))
    strokes = tf.cast(ink >= _threshold(ink), tf.float32)
    # A speck has little ink around it; any part of a stroke has a good share of the letter around it.
    near = _mean(_mean(strokes, COARSE, COARSE), TUNING.speck_window) * TUNING.speck_window**2
    min_near = CROP_TUNING.min_speck_share * tf.reduce_sum(strokes) / COARSE**2
    core = strokes * tf.cast(tf.image.resize(near, size) >= min_near, tf.float32)
    # One pixel more than the core, to keep the soft edge of the strokes.
    return ink * _maximum(core, 3)


def _is_light_on_dark(small: Any) -> Any:
    """Return 1 for light ink on dark and 0 for dark ink on light, from a small grey image (1, s, s, 1).

    Two signs are added. Ink is the minority, so without shading the grey values are skewed to its side; this fails if a
    broad marker fills the image. The border shows paper, so ink lies on the other side of its mean; this fails in a shadow.
    """
    import tensorflow as tf

    residual = small - _mean(small, TUNING.skew_window)
    square = residual * residual
    deviation = tf.sqrt(tf.reduce_mean(square))
    skew = tf.reduce_mean(square * residual) / (deviation * deviation * deviation + TINY)
    inside = small[:, 1:-1, 1:-1]
    count, within = (image.shape[1] * image.shape[2] for image in (small, inside))
    border = (tf.reduce_sum(small) - tf.reduce_sum(inside)) / (count - within)
    mean = tf.reduce_mean(small)
    spread = tf.sqrt(tf.reduce_mean((small - mean) ** 2))
    return tf.cast(skew + (mean - border) / (spread + 1) > 0, tf.float32)


def _threshold(ink: Any) -> Any:
    """Return the ink value from which a pixel belongs to a stroke, as `ink_levels` of the runtime does."""
    import tensorflow as tf

    sample = tf.reshape(ink[:, ::COARSE, ::COARSE], (-1, 1))
    below = tf.reduce_mean(tf.cast(sample < tf.range(256, dtype=tf.float32), tf.float32), 0)

    def level(share: Any) -> Any:
        """Return the first level 0..255 that this share of the pixels lies below."""
        return tf.reduce_sum(tf.cast(below < share, tf.float32))

    median = level(MEDIAN_RANK)
    grain = tf.maximum(1.0, median - level(DEVIATION_RANK))
    floor = tf.clip_by_value(median + INK_TUNING.grain_sigmas * grain, INK_TUNING.min_ink, float(MAX_FLOOR))
    paper = tf.reduce_mean(tf.cast(sample < floor, tf.float32))
    return tf.maximum(floor, INK_TUNING.threshold_share * level(paper + TUNING.stroke_rank * (1 - paper)))


def _fit(ink: Any) -> Any:
    """Fit the ink (1, S, S, 1) into a glyph (1, 28, 28, 1) as runtime/glyph.py does: one matrix for rows, one for columns."""
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
    """Return the position of the first one in (1, n) zeros and ones, and the length from there to the last one."""
    import tensorflow as tf

    count = filled.shape[1]
    place = tf.range(count, dtype=tf.float32)
    begin = count - tf.reduce_max(filled * (count - place))
    end = tf.reduce_max(filled * (place + 1))
    return begin, tf.maximum(0.0, end - begin)


def _resampling(begin: Any, length: Any, scale: Any, count: int) -> Any:
    """Return the matrix (1, 28, count) that resamples `length` of count pixels, from `begin` on, to the middle of 28.

    A target pixel is the mean of the area that it covers, as in OpenCV's INTER_AREA; an area of less than one pixel is
    widened to one, as in INTER_LINEAR.
    """
    import tensorflow as tf

    source, target = tf.range(count, dtype=tf.float32), tf.range(GLYPH_PX, dtype=tf.float32)[:, None]
    fitted = tf.maximum(1.0, tf.round(length * scale))
    first = tf.floor((GLYPH_PX - fitted) / 2)
    ratio = length / fitted
    centre, half = begin + (target - first + 0.5) * ratio, tf.maximum(1.0, ratio) / 2
    weights = tf.nn.relu(tf.minimum(source + 1, centre + half) - tf.maximum(source, centre - half))
    weights *= tf.cast(tf.logical_and(source >= begin, source < begin + length), tf.float32)
    weights *= tf.cast(tf.logical_and(target >= first, target < first + fitted), tf.float32)
    return (weights / tf.maximum(TINY, tf.reduce_sum(weights, 1, keepdims=True)))[None]


def _mean(image: Any, window: int, stride: int = 1) -> Any:
    """Return the means of (1, H, W, 1) in windows; windows at the edges take the pixels inside only."""
    import tensorflow as tf

    return tf.nn.avg_pool2d(image, window, stride, "SAME")


def _maximum(image: Any, window: int) -> Any:
    """Return the maxima of (1, H, W, 1) in windows."""
    import tensorflow as tf

    return tf.nn.max_pool2d(image, window, 1, "SAME")
