"""The page of an export: why each quantized format loses answers, layer by layer, and what a repair tried."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from ..gate import PROVEN, UNPROVEN, Parity
from ..html import note, section, whole_page
from .explain import LOSES_LITTLE, LOSES_MUCH, LOSES_SOME, Explanation, LayerLoss
from .tries import Try

# Classes of the colours of bars and points.
LEVELS = {LOSES_MUCH: "much", LOSES_SOME: "some", LOSES_LITTLE: "little"}
# Layers of the sorted table that are shown before the rest is unfolded.
MAX_SHOWN = 15
# Layers whose bars carry their place in the table.
MAX_NUMBERED = 5
# Sizes in kB have one decimal place below so many bytes.
WHOLE_KILOBYTES = 1_000_000
# With at most so many layers, their names fit below the bars.
MAX_NAMED = 36
# A ratio from here on is as good as exact for a picture's bars.
QUIET_DB = 60.0
# Sides of the plots, in units of their view boxes.
LEFT, RIGHT, TOP, WIDTH = 64, 16, 26, 1060
NOISE_HEIGHT, GAIN_HEIGHT, GAP = 190, 110, 34
FRONT_HEIGHT, FRONT_BOTTOM = 340, 46
# Names are turned, so that a character takes so much height.
MAX_NAME, CHARACTER = 20, 5.4
# Times of one image, as multiples of the file that missed the gate, up to which a file counts as fast, and as fast enough.
FAST, FAST_ENOUGH = 1.05, 1.3
STYLE = """
:root { color-scheme: light dark; --much: #b03020; --some: #c46f12; --little: #2f6f9f; --good: #2e7d4f; --unknown: #8a8a8a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e4e4; --paper: #16181b; --faint: #a0a4a8; --line: #3a3e44;
--rule: #2a2d32; --head: #22262b; --bad: #f0806e; --much: #f0806e; --some: #eaa64f; --little: #6fb0dd;
--good: #6cc08f; --unknown: #8f9399; } }
figure { max-width: none; } figure svg { max-width: 80rem; min-width: 46rem; }
figure.many svg { min-width: 60rem; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; } svg text.faint { fill: var(--faint); font-size: 11px; }
svg text.number { font-weight: 600; }
svg .axis { stroke: var(--faint); } svg .grid { stroke: var(--rule); } svg .limit { stroke: var(--bad); stroke-dasharray: 5 4; }
.much { fill: var(--much); color: var(--much); } .some { fill: var(--some); color: var(--some); }
.little { fill: var(--little); color: var(--little); } .good { fill: var(--good); color: var(--good); }
.unknown { fill: var(--unknown); color: var(--unknown); }
svg .whole { fill: none; stroke: var(--ink); stroke-width: 1.5; } svg .span { stroke: var(--faint); }
svg .ring { fill: none; stroke: var(--ink); stroke-width: 2; } svg g.bar:hover rect, svg g.bar:hover circle { opacity: .65; }
.key { font-size: 13px; color: var(--faint); } .key span { display: inline-block; margin-right: 1.1rem; }
.key i { display: inline-block; width: .7rem; height: .7rem; margin-right: .35rem; background: currentColor; }
.key i.dot { border-radius: 50%; } .key i.hollow { background: none; border: 1.5px solid var(--ink); }
p.lead { font-size: 16px; } td .kind { color: var(--faint); } tr.kept td { font-weight: 600; } details { margin: .6rem 0; }
summary { cursor: pointer; } td.bar { min-width: 7rem; padding-right: 1rem; }
td.bar div { height: .7rem; background: currentColor; min-width: 1px; }
"""


@dataclass(frozen=True)
class FormatReport:
    """What a page says about one format.

    Attributes:
        format: such as `tflite-int8`.
        size_bytes: of its file.
        parity: of the file with the original, on all check images.
        verdict: of the gate.
        explanation: where it loses answers, None if that was not asked for.
        tries: the files that a repair made.
        float_bytes: size of the float32 file that sizes are compared with, None if it is unknown.
        max_drop, max_bytes: limits of the accuracy drop in points and of the size, None if there is none.
        reference: the file that has the latency ratio 1, in words.
    """

    format: str
    size_bytes: int
    parity: Parity
    verdict: str
    explanation: Explanation | None = None
    tries: tuple[Try, ...] = ()
    float_bytes: int | None = None
    max_drop: float | None = None
    max_bytes: int | None = None
    reference: str = "the file that missed the gate"

    @property
    def search(self) -> str:
        """What made the tries: a repair, or the search for a file within a budget."""
        return "repair" if self.max_bytes is None else "search"


def export_page(model: str, about: Sequence[str], reports: Sequence[FormatReport], faults: Sequence[str] = ()) -> str:
    """Return a self-contained HTML page about the formats of a model; about are lines on its images and versions."""
    title = f"Export of {model}"
    parts = [f"<h1>{escape(title)}</h1>", *map(note, about), *(note(fault, "doubt") for fault in faults), _overview(reports)]
    for report in reports:
        if report.explanation:
            parts.append(section(f"{report.format}: where it loses answers", *_explained(report.explanation)))
        elif report.format.endswith(("float32", "float16")):
            parts.append(section(f"{report.format}: nothing is quantized", note("This format needs no explanation.")))
        if report.tries:
            parts.append(section(f"{report.format}: what the {report.search} tried", *_tried(report)))
    return whole_page(title, parts, STYLE)


def _overview(reports: Sequence[FormatReport]) -> str:
    colours = {PROVEN: "good", UNPROVEN: "some"}
    rows = (
        f'<tr><td class="text">{escape(one.format)}</td><td>{_kilobytes(one.size_bytes)}</td><td>{one.parity.drop:.2f}</td>'
        f"<td>{one.parity.drop_low:.2f}..{one.parity.drop_high:.2f}</td><td>{one.parity.agreement:.2f}</td>"
        f'<td class="text {colours.get(one.verdict, "much")}">{one.verdict}</td></tr>'
        for one in reports
    )
    heads = ("format", "kB", "accuracy drop / points", "interval", "agreement / %", "gate")
    return _table(heads, (0, 5), rows)


def _kilobytes(size_bytes: int) -> str:
    return f"{size_bytes / 1000:,.{0 if size_bytes >= WHOLE_KILOBYTES else 1}f}"


def _explained(found: Explanation) -> list[str]:
    """Return a sentence, the bars of all layers in their order, and the tables in the order of their loss."""
    ranks = {layer.name: number for number, layer in enumerate(found.layers, 1)}
    rows = [_layer_row(number, layer) for number, layer in enumerate(found.layers, 1)]
    heads = (
        "",
        "layer",
        "loss",
        "verdict",
        "dB in the file",
        "dB alone",
        "agreement in float / %",
        "gain / points",
        "weights / %",
    )
    parts = [f'<p class="lead">{escape(found.sentence())}</p>']
    if not found.layers:
        return parts
    many = ' class="many"' if len(found.layers) > 2 * MAX_NAMED else ""
    parts += [f"<figure{many}>{layers_chart(found, ranks)}</figure>", KEY, "<h3>Layers that lose most</h3>"]
    parts.append(_table(heads, (1, 3), rows[:MAX_SHOWN]))
    if len(rows) > MAX_SHOWN:
        more = _table(heads, (1, 3), rows[MAX_SHOWN:])
        parts.append(f"<details><summary>The other {len(rows) - MAX_SHOWN} layers</summary>{more}</details>")
    return [*parts, note(_how(found))]


def _how(found: Explanation) -> str:
    return (
        "dB: signal-to-noise ratio of the layer's output, averaged over its channels; 0 dB: nothing is left of it. In the file: "
        "in the whole quantized network. Alone: if the layer alone is quantized. In float: agreement if this layer, and those "
        f"that would round its output, stay in float; {found.agreement:.2f} % if none does. It is estimated on {found.images} "
        f"check images, and was tried for {found.measured} of {len(found.layers)} layers, the noisiest first. Loss: the share "
        "of its output that the layer's rounding erases, plus the share of the change of the probabilities that it takes back in "
        "float. Weights: share of the network's weights that would be in float."
    )


KEY = (
    '<p class="key">'
    f'<span class="much"><i></i>{LOSES_MUCH}</span> <span class="some"><i></i>{LOSES_SOME}</span> '
    f'<span class="little"><i></i>{LOSES_LITTLE}</span> <span><i class="dot hollow"></i>in the whole file</span> '
    "<span>bars: the layer alone; numbers: rows of the table</span></p>"
)


def _layer_row(number: int, layer: LayerLoss) -> str:
    level = LEVELS[layer.verdict]
    width = 100 * min(1.0, layer.loss / 2)
    cells = (
        f"<td>{number}</td>",
        f'<td class="name">{escape(layer.name)} <span class="kind">{escape(layer.kind)}</span></td>',
        f'<td class="bar {level}"><div style="width: {width:.1f}%"></div></td>',
        f'<td class="text {level}">{layer.verdict}</td>',
        f"<td>{_figure(layer.whole_db, '.1f')}</td>",
        f"<td>{_figure(layer.alone_db, '.1f')}</td>",
        f"<td>{_figure(layer.agreement, '.2f')}</td>",
        f"<td>{_figure(layer.gain, '+.2f')}</td>",
        f"<td>{layer.group_weights:.1f}</td>",
    )
    return f"<tr>{''.join(cells)}</tr>"


def layers_chart(found: Explanation, ranks: dict[str, int]) -> str:
    """Draw the noise of each layer in the order of execution, and below it the points of agreement that it gains in float."""
    by_name = {layer.name: layer for layer in found.layers}
    layers = [by_name[name] for name in found.order]
    step = (WIDTH - LEFT - RIGHT) / len(layers)
    bar = min(36.0, 0.78 * step)
    top = TOP + NOISE_HEIGHT + GAP
    gains = [layer.gain for layer in layers if layer.gain is not None]
    ticks = nice_ticks(min([0.0, *gains]), max([1.0, *gains]), 3)
    scale = GAIN_HEIGHT / (ticks[-1] - ticks[0])
    zero = top + ticks[-1] * scale
    has_names = len(layers) <= MAX_NAMED
    longest = max(len(shorten_middle(layer.name, MAX_NAME)) for layer in layers)
    height = top + GAIN_HEIGHT + (24 + CHARACTER * longest if has_names else 40)
    parts = []
    for db in range(0, int(QUIET_DB) + 1, 20):
        y = TOP + NOISE_HEIGHT * db / QUIET_DB
        parts += [_line(LEFT, y, WIDTH - RIGHT, y, "grid"), _text(LEFT - 8, y + 4, f"{db}", "faint", "end")]
    for tick in ticks:
        y = zero - tick * scale
        kind = "axis" if tick == 0 else "grid"
        parts += [_line(LEFT, y, WIDTH - RIGHT, y, kind), _text(LEFT - 8, y + 4, f"{tick:+g}" if tick else "0", "faint", "end")]
    parts.append(_line(LEFT, TOP + NOISE_HEIGHT, WIDTH - RIGHT, TOP + NOISE_HEIGHT, "axis"))
    parts += [_side("signal-to-noise ratio / dB", TOP + NOISE_HEIGHT / 2), _side("gain in float / points", top + GAIN_HEIGHT / 2)]
    for place, layer in enumerate(layers):
        x = LEFT + (place + 0.5) * step
        parts.append(_bar_of(layer, ranks[layer.name], (x, bar), (zero, scale)))
        if has_names:
            y = top + GAIN_HEIGHT + 14
            shown = escape(shorten_middle(layer.name, MAX_NAME))
            parts.append(
                f'<text class="faint" text-anchor="end" transform="translate({x + 3:.1f} {y}) rotate(-50)">{shown}</text>'
            )
        elif place % 10 == 0:
            parts.append(_text(x, top + GAIN_HEIGHT + 16, str(place + 1), "faint", "middle"))
    if not has_names:
        parts.append(_text(WIDTH / 2, height - 6, "layer, in the order of execution", "faint", "middle"))
    first = found.layers[0]
    told = f"Noise and gain of {len(layers)} layers. {first.name} loses most. The tables below hold all figures."
    return _svg(height, f"Layers of {found.format}", told, parts)


def _bar_of(layer: LayerLoss, rank: int, across: tuple[float, float], gains: tuple[float, float]) -> str:
    """Return a layer's bars of noise and gain, the point of its noise in the whole file, and its figures for the mouse.

    across are the middle and the width of the bars, gains the height of no gain and the units of a point.
    """
    (x, width), (zero, scale) = across, gains
    level, bottom = LEVELS[layer.verdict], TOP + NOISE_HEIGHT
    told = [f"{rank}. {layer.name} ({layer.kind}), {layer.verdict}"]
    parts = []
    if layer.alone_db is not None:
        y = TOP + NOISE_HEIGHT * min(layer.alone_db, QUIET_DB - 0.5) / QUIET_DB
        parts.append(_rectangle(x - width / 2, y, width, bottom - y, level))
        told.append(f"{layer.alone_db:.1f} dB alone")
    if layer.whole_db is not None:
        y = TOP + NOISE_HEIGHT * min(layer.whole_db, QUIET_DB) / QUIET_DB
        parts.append(f'<circle class="whole" cx="{x:.1f}" cy="{y:.1f}" r="{min(3.0, max(1.5, width / 3)):.1f}"/>')
        told.append(f"{layer.whole_db:.1f} dB in the file")
    if layer.gain is not None:
        y, end = sorted((zero, zero - layer.gain * scale))
        parts.append(_rectangle(x - width / 2, y, width, max(end - y, 0.8), level))
        told.append(f"{layer.agreement:.2f} % agree if it is in float ({layer.gain:+.2f} points)")
    if rank <= MAX_NUMBERED:
        parts.append(_text(x, TOP - 8, str(rank), "number", "middle"))
    return f'<g class="bar"><title>{escape("; ".join(told))}</title>{"".join(parts)}</g>'


def _tried(report: FormatReport) -> list[str]:
    """Return the front of size against accuracy drop, and the table of what was tried."""
    rows = []
    for number, one in enumerate(report.tries, 1):
        parity = one.proof or one.parity
        share = f"{100 * one.size_bytes / report.float_bytes:.0f}" if report.float_bytes else "-"
        level = {PROVEN: "good", UNPROVEN: "some"}.get(one.verdict, "much")
        rows.append(
            f"<tr{' class=kept' if one.is_kept else ''}><td>{number}</td>"
            f'<td class="name">{escape(one.recipe.describe())}</td><td>{_kilobytes(one.size_bytes)}</td><td>{share}</td>'
            f"<td>{parity.drop:.2f}</td><td>{parity.drop_low:.2f}..{parity.drop_high:.2f}</td><td>{parity.agreement:.2f}</td>"
            f"<td>{_figure(one.latency_ratio, '.2f')}</td>"
            f'<td class="text {level}">{one.verdict}{", kept" if one.is_kept else ""}</td></tr>'
        )
    heads = (
        "",
        "recipe",
        "kB",
        "% of float32",
        "drop / points",
        "interval",
        "agreement / %",
        "latency ratio",
        "verdict",
    )
    kept = [number for number, one in enumerate(report.tries, 1) if one.is_kept]
    count = f"{len(report.tries)} file{'s' if len(report.tries) > 1 else ''}"
    lead = f"The {report.search} made {count} and kept {f'number {kept[0]}' if kept else 'none'}."
    explained = (
        "Drop and agreement of files that were proven are those on the half of the check images that proves, and of the others "
        f"those on the half that chooses. Intervals are those of 95 %, and of more if the proving half judged the file. "
        f"Latency ratio: time of one image, as a multiple of {report.reference}. Recipes start from a quantizer of their own, "
        "so that the same precisions make another file than the format's own way."
    )
    return [
        f'<p class="lead">{lead}</p>',
        f"<figure>{front_chart(report)}</figure>",
        FRONT_KEY,
        _table(heads, (1, 8), rows),
        note(explained),
    ]


FRONT_KEY = (
    '<p class="key">latency ratio: '
    f'<span class="good"><i class="dot"></i>up to {FAST}</span> <span class="some"><i class="dot"></i>up to {FAST_ENOUGH}</span> '
    '<span class="much"><i class="dot"></i>higher</span> <span class="unknown"><i class="dot"></i>not measured</span> '
    '<span><i class="dot hollow"></i>kept</span> '
    "<span>dashed lines: limits; vertical bars: intervals; numbers: rows of the table</span></p>"
)


def front_chart(report: FormatReport) -> str:
    """Draw the size of each file that was tried against its accuracy drop, with the limits; the best are at the lower left."""
    tries = report.tries
    parities = [one.proof or one.parity for one in tries]
    sizes = [one.size_bytes / 1000 for one in tries]
    across = [*sizes, *([report.max_bytes / 1000] if report.max_bytes is not None else [])]
    up = [end for parity in parities for end in (parity.drop_low, parity.drop_high)]
    up += [report.max_drop] if report.max_drop is not None else []
    xs, ys = nice_ticks(0.97 * min(across), 1.03 * max(across), 6), nice_ticks(min(0.0, *up), max(1.0, *up), 5)
    bottom = TOP + FRONT_HEIGHT

    def at_x(size: float) -> float:
        return LEFT + (WIDTH - RIGHT - LEFT) * (size - xs[0]) / (xs[-1] - xs[0])

    def at_y(drop: float) -> float:
        return bottom - FRONT_HEIGHT * (drop - ys[0]) / (ys[-1] - ys[0])

    parts = []
    for tick in ys:
        parts.append(_line(LEFT, at_y(tick), WIDTH - RIGHT, at_y(tick), "axis" if tick == 0 else "grid"))
        parts.append(_text(LEFT - 8, at_y(tick) + 4, f"{tick:g}", "faint", "end"))
    for tick in xs:
        parts.append(_line(at_x(tick), TOP, at_x(tick), bottom, "grid"))
        parts.append(_text(at_x(tick), bottom + 18, f"{tick:,g}", "faint", "middle"))
    if report.max_drop is not None:
        y = at_y(report.max_drop)
        parts += [_line(LEFT, y, WIDTH - RIGHT, y, "limit"), _text(WIDTH - RIGHT, y - 6, "largest drop", "faint", "end")]
    if report.max_bytes is not None:
        x = at_x(report.max_bytes / 1000)
        parts += [_line(x, TOP, x, bottom, "limit"), _text(x - 6, TOP + 10, "largest size", "faint", "end")]
    for number, (one, parity, size) in enumerate(zip(tries, parities, sizes, strict=True), 1):
        x, y = at_x(size), at_y(parity.drop)
        speed = "latency not measured" if one.latency_ratio is None else f"{one.latency_ratio:.2f} x the time"
        told = f"{number}. {one.recipe.describe()}: {size:,.0f} kB, drop {parity.drop:.2f} points, {speed}, {one.verdict}"
        ring = f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="10"/>' if one.is_kept else ""
        parts.append(
            f'<g class="bar"><title>{escape(told)}</title>'
            f"{_line(x, at_y(parity.drop_low), x, at_y(parity.drop_high), 'span')}"
            f'<circle class="{_speed_level(one)}" cx="{x:.1f}" cy="{y:.1f}" r="5.5"/>{ring}'
            f"{_text(x + 12, y - 6, str(number), 'number' if one.is_kept else '', 'start')}</g>"
        )
    parts += [
        _side("accuracy drop / points", TOP + FRONT_HEIGHT / 2),
        _text((LEFT + WIDTH) / 2, bottom + 40, "size / kB", "faint", "middle"),
    ]
    told = f"Size and accuracy drop of {len(tries)} files. The table below holds all figures."
    return _svg(bottom + FRONT_BOTTOM, f"What the {report.search} of {report.format} tried", told, parts)


def _speed_level(one: Try) -> str:
    if one.latency_ratio is None:
        return "unknown"
    return "good" if one.latency_ratio <= FAST else "some" if one.latency_ratio <= FAST_ENOUGH else "much"


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """Return about `count` round numbers at equal steps that span low..high; high must be larger than low."""
    rough = (high - low) / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(one * power for one in (1, 2, 5, 10) if one * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def shorten_middle(name: str, characters: int) -> str:
    """Return a name of at most so many characters: of a long one the start and the end, which tell layers apart."""
    if len(name) <= characters:
        return name
    start = (characters - 1) // 2
    return f"{name[:start]}…{name[start + 1 - characters :]}"


def _svg(height: float, title: str, description: str, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'aria-label="{escape(title)}. {escape(description)}">{"".join(parts)}</svg>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _rectangle(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{max(0.0, height):.1f}"/>'


def _text(x: float, y: float, words: str, kind: str, anchor: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _side(words: str, y: float) -> str:
    """Return the label of a vertical axis."""
    return f'<text class="faint" text-anchor="middle" transform="translate(16 {y:.1f}) rotate(-90)">{escape(words)}</text>'


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _table(heads: Sequence[str], texts: Sequence[int], rows: Iterable[str]) -> str:
    """Return a table from rows of HTML; the columns of these numbers hold text."""
    first = "".join(
        f'<th scope="col"{" class=text" if number in texts else ""}>{escape(head)}</th>' for number, head in enumerate(heads)
    )
    return f'<div class="wide"><table><thead><tr>{first}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
