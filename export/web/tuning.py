"""The tuned numbers and the network of the case, written as files of the app, so that Python stays their one source."""

import json
from dataclasses import asdict
from types import ModuleType
from typing import Any

import numpy as np

from ...runtime import glyph, reader, text
from ...runtime.model import engine
from ...runtime.page import (
    boxes,
    combs,
    curves,
    find,
    forms,
    grids,
    ink,
    join,
    lines,
    places,
    printed,
    quads,
    rows,
    rules,
    split,
    stacked,
    strokes,
)
from ...runtime.text import codes, context, guesses

# What the app takes from each module: tuned values, and constants beside them.
SOURCES: dict[ModuleType, tuple[str, ...]] = {
    glyph: ("GLYPH_PX", "BORDER_PX", "EDGE_SHARE", "MAX_GAIN"),
    ink: ("INK_TUNING", "CROP_TUNING", "MAX_FLOOR", "MANY_ROWS", "MAX_INK_PX"),
    curves: ("CURVE_TUNING", "MAX_CURVES", "UNRULED_TUNING", "RULED_TUNING"),
    rules: ("SQUEEZE", "MIN_FILLED", "RULE_TUNING", "SECTION_SAMPLES"),
    strokes: ("PIECES_TUNING", "MAX_PIECES", "MAX_FRAMES", "GROUPS_TUNING", "OUTLINE_POINTS"),
    quads: ("FORM_TUNING", "MAX_SEEDS", "MIN_SEEN", "ROUNDS", "MIN_DEVIATION_PX", "STIFFNESS"),
    printed: ("PRINTED_TUNING", "ALONG", "WEIGHED"),
    grids: (
        *("NEAR", "FITS", "MIN_START", "MIN_BOXES", "MIN_ROWS", "MAX_OFF_PX", "MAX_SIDE", "MIN_SIDE", "MIN_MEAN", "MIN_THERE"),
        *("MIN_ALL", "MIN_DETERMINANT"),
    ),
    boxes: (
        *("STEPPING", "KNOWN_STEPPING", "MIN_EVEN", "EVEN_TOLERANCES", "MAX_STRIDE_ERROR", "MAX_STRIDES", "MIN_STRIDES"),
        "MIN_DEVIATION",
    ),
    combs: ("TRACKING", "MAX_SHARED_LINES", "MAX_TICK_OFF", "MIN_FOLLOWED", "MAX_TICKS", "LEANS"),
    rows: (
        *("MAX_OVER", "MAX_STEPS", "MAX_STEP_ERROR", "MIN_BETWEEN", "FOOT", "OWN_HEIGHT", "MIN_STRAIGHT", "MAX_OFF"),
        *("MIN_OFF_PX", "MAX_OFF_SHARE"),
    ),
    forms: (
        *("MAX_DASH_PX", "MIN_DASHES", "MIN_DASHES_SHARE", "MAX_GAP", "CORNER", "FAINT", "MIN_FOOT", "MAX_FOOT", "FOOT_STEP"),
        "MAX_HOLES",
    ),
    places: ("PLACES_TUNING", "MIN_RISES", "MIN_USUAL", "MIN_SPECK_PX", "MAX_BORDER_PX", "MAX_SQUARE", "MIN_AROUND_PX"),
    find: ("SHEET_TUNING", "CORNERS", "FIND_TUNING", "MORE_PLACES", "LARGE_INK_PX"),
    join: ("JOIN_TUNING", "MAX_PAIRS", "MAX_TRIPLES"),
    split: ("SPLIT_TUNING", "BARE_STROKES", "ROUNDING"),
    stacked: ("STACKED_TUNING",),
    lines: ("ORDER_TUNING", "SPACING_TUNING", "BETWEEN_LETTERS", "BETWEEN_WORDS"),
    context: ("LABELS", "MIN_CHANCE", "CASE_TUNING", "HEIGHT_TUNING", "WRITTEN_TUNING", "MIN_HEIGHT_PX"),
    codes: ("DIGITS", "KIND_TUNING"),
    guesses: ("MAX_ALTERNATIVES", "MIN_PROBABILITY"),
    text: ("UNKNOWN",),
    engine: ("MAX_BATCH",),
    reader: (
        "LOOK_TUNING",
        "NEIGHBOUR_TUNING",
        "PLACE_TUNING",
        "GRAVEL_TUNING",
        "MAX_LOOKS",
    ),
}


def tuning() -> dict[str, Any]:
    """Return all values by their names in Python; those of a tuned class as a dictionary."""
    found = {name: plain(getattr(module, name)) for module, names in SOURCES.items() for name in names}
    letters, words = lines.priors(lines.SPACING_TUNING)
    # Constants of several modules with one name.
    found |= {"GRID_ROUNDS": grids.ROUNDS, "BOX_ROUNDS": boxes.ROUNDS}
    made = {"LOG_HEIGHTS": context.log_heights(context.HEIGHT_TUNING), "LETTER_PRIORS": letters, "WORD_PRIORS": words.ravel()}
    return found | {name: plain(value) for name, value in made.items()}


def plain(value: Any) -> Any:
    """Return a constant as what JSON has."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return asdict(value) if hasattr(value, "__dataclass_fields__") else value


def tuning_script() -> bytes:
    """Return a JavaScript module that exports each value under its name in Python."""
    rows = [f"export const {name} = {json.dumps(value)};" for name, value in tuning().items()]
    return "\n".join(("// Written by lettercast bundle from the constants of the same names in Python.", *rows, "")).encode()


def case_network() -> bytes:
    """Return the network that tells capitals from small letters, as little-endian float32.

    Weights (196, H), biases (H,), weights (H, 26) and biases (26,) follow each other, so that their length gives H.
    """
    network = context.load_case()
    parts = (network.weights[0], network.biases[0], network.weights[1], network.biases[1])
    return b"".join(np.ascontiguousarray(part, "<f4").tobytes() for part in parts)
