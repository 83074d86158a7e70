"""How layers are blamed for what a quantized file loses, and the page that draws it."""

from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from lettercast.benchmarks.parity.tables import explanation_table
from lettercast.export.gate import MISSED, PROVEN, compare
from lettercast.export.repair.explain import (
    LOSES_LITTLE,
    LOSES_MUCH,
    LOSES_SOME,
    Explanation,
    LayerLoss,
    draw_sample,
    erased_shares,
    own_shares,
    with_activations,
)
from lettercast.export.repair.layers import Layer, float_group, signal_to_noise, spread_of
from lettercast.export.repair.page import FormatReport, export_page, front_chart, layers_chart, nice_ticks, shorten_middle
from lettercast.export.repair.recipe import FLOAT, Recipe
from lettercast.export.repair.tries import Try

VOID = ("meta", "br")


def loss(name: str, own: float = 0.0, erased: float = 0.0, *, spread: float = 1.0) -> LayerLoss:
    return LayerLoss(name, "Conv2D", 10.0, 20.0, 30.0, erased, 95.0, 8 * own, own, own, (name,), 10.0, spread)


def explanation(losses: list[LayerLoss], judged: float | None = None) -> Explanation:
    return Explanation("tflite-int8", 256, 92.0, 0.05, tuple(losses), tuple(sorted(one.name for one in losses)), judged)


def parity(lost: int):
    truth = np.arange(1000) % 10
    original = np.eye(10, dtype=np.float32)[truth] * 0.9 + 0.01
    answers = original.copy()
    answers[:lost] = np.roll(answers[:lost], 1, 1)
    return compare(truth, original, answers)


class Tags(HTMLParser):
    """Checks that each tag is closed by its own."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


def test_one_large_channel_does_not_hide_that_the_others_are_erased():
    exact = np.random.default_rng(1).normal(size=(50, 4, 4, 8))
    exact[..., 0] *= 600
    step = np.ptp(exact) / 255
    rounded = np.round(exact / step) * step
    assert signal_to_noise(exact, rounded) < 1
    assert signal_to_noise(exact, rounded, is_answer=True) > 40


def test_a_layer_that_passes_erased_numbers_on_erases_nothing_itself():
    layers = (Layer("bad", "Conv2D", 10, followers=("pool",)), Layer("pool", "MaxPooling2D", 0, followers=("next",)))
    erased = erased_shares((*layers, Layer("next", "Dense", 10)), {"bad": 0.1, "pool": 0.1, "next": 30.0})
    assert erased["bad"] > 0.9
    assert erased["pool"] == 0


def test_a_layer_in_float_reaches_through_pooling_but_not_through_a_sum():
    layers = (
        Layer("first", "Conv2D", 10, followers=("pool",)),
        Layer("pool", "MaxPooling2D", 0, followers=("second", "sum")),
        Layer("second", "Conv2D", 10, followers=("sum",)),
        Layer("sum", "Add", 0, followers=("third",)),
        Layer("third", "Conv2D", 10),
    )
    assert float_group(layers, "first") == ("first", "pool", "second", "sum")
    assert float_group(layers, "second") == ("second", "sum")


def test_the_layer_before_a_bad_one_is_not_to_blame():
    groups = {"before": ("before", "bad"), "bad": ("bad",)}
    own = own_shares({"before": 0.9, "bad": 0.85}, groups, {"before": 0.0, "bad": 0.01})
    assert own["bad"] == pytest.approx(0.85)
    assert own["before"] == pytest.approx(0.05)


def test_a_layer_is_to_blame_for_what_its_follower_makes_up_for():
    groups = {"bad": ("bad", "after"), "after": ("after",)}
    own = own_shares({"bad": 0.9, "after": 0.9}, groups, {"bad": 0.95, "after": 0.0})
    assert own == pytest.approx({"bad": 0.9, "after": 0.0})


def test_norms_and_activations_belong_to_the_layer_with_the_weights():
    layers = (
        Layer("conv", "Conv2D", 10, 100, ("norm",), 700.0),
        Layer("norm", "BatchNormalization", 0, 0, ("swish",)),
        Layer("swish", "Activation", 0, 0, ("sum",)),
        Layer("sum", "Add", 0, 0, ("relu",)),
        Layer("relu", "ReLU", 0),
    )
    merged, parts = with_activations(layers)
    assert parts == {"conv": ("conv", "norm", "swish"), "sum": ("sum", "relu")}
    assert merged[0] == replace(layers[0], followers=("sum",))


def test_an_activation_that_two_layers_share_belongs_to_neither():
    layers = (Layer("one", "Conv2D", 1, 0, ("relu",)), Layer("two", "Conv2D", 1, 0, ("relu",)), Layer("relu", "ReLU", 0))
    assert len(with_activations(layers)[0]) == 3


def test_the_spread_of_filters_is_that_of_the_largest():
    weights = np.ones((3, 3, 4, 8))
    weights[..., 2] *= -600
    weights[..., 5] = 0
    assert spread_of(weights, -1) == 600
    assert spread_of(np.array([[1.0, 600.0]]), -1) == 600
    assert spread_of(np.zeros((2, 3)), 0) == 1


def test_estimates_of_a_sample_are_those_of_all_images():
    rng = np.random.default_rng(3)
    best = rng.uniform(0.5, 1, 4000).astype(np.float32)
    probabilities = np.stack([best, 1 - best], 1)
    answers = probabilities.copy()
    # Hard images change more often, which a sample with half of them hard must make up for.
    changed = rng.random(4000) < np.where(best < 0.6, 0.4, 0.02)
    answers[changed] = answers[changed, ::-1]
    sample = draw_sample(probabilities, 1000)
    agreement, _ = sample.compare(probabilities[sample.places], answers[sample.places])
    assert len(np.unique(sample.places)) == 1000
    assert sample.weights.sum() == pytest.approx(1)
    assert agreement == pytest.approx(100 * (1 - changed.mean()), abs=2.5)
    assert np.array_equal(sample.places, draw_sample(probabilities, 1000).places)


def test_few_images_are_all_taken():
    sample = draw_sample(np.eye(3, dtype=np.float32)[[0, 1, 2, 1]], 256)
    assert sample.places.tolist() == [0, 1, 2, 3]


def test_verdicts_follow_the_loss():
    assert [loss("a", own, erased).verdict for own, erased in ((0.0, 0.9), (0.1, 0.0), (0.01, 0.01))] == [
        LOSES_MUCH,
        LOSES_SOME,
        LOSES_LITTLE,
    ]


def test_the_sentence_says_what_is_lost_and_where():
    found = explanation([loss("conv", 0.5, 0.9), loss("dense")], judged=86.0)
    assert found.sentence() == (
        "tflite-int8 gives other answers than the original for 14.0 % of the images. Look at conv first: rounding erases 90 % of "
        "its output; 4.0 points more of the answers agree if it stays in float."
    )
    assert explanation([loss("a")], judged=100.0).sentence() == (
        "tflite-int8 gives the same answers as the original; no single layer loses much, a loses most."
    )
    assert "one of its filters is 600 times as large as the others" in explanation([loss("a", spread=600)]).sentence()


def test_the_table_fits_a_terminal_and_shows_the_worst_ten():
    found = explanation([loss(f"a_layer_with_a_name_that_is_far_too_long_{number}") for number in range(30)])
    table = explanation_table(found, 80)
    assert len(table.rows) == 10
    assert "20 more layers" in str(table.caption)
    assert all(len(str(cell)) <= 30 for cell in table.columns[0].cells)


def test_long_names_keep_their_start_and_their_end():
    assert shorten_middle("block_11_expand_relu", 11) == "block…_relu"
    assert shorten_middle("conv", 11) == "conv"


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 97), (0, 1e-3), (2587, 4400)])
def test_ticks_span_their_range_with_round_numbers(low, high):
    ticks = nice_ticks(low, high, 5)
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert 2 <= len(ticks) <= 12


@pytest.mark.parametrize("layers", [1, 12, 160])
def test_the_chart_has_a_bar_for_each_layer_and_tells_its_figures(layers):
    found = explanation([loss(f"layer_{number:03}", number / 400) for number in range(layers)][::-1])
    ranks = {one.name: place for place, one in enumerate(found.layers, 1)}
    chart = ElementTree.fromstring(layers_chart(found, ranks))
    titles = [title.text or "" for title in chart.iter("{http://www.w3.org/2000/svg}title")]
    assert len(titles) == layers
    assert titles[-1].startswith(f"1. layer_{layers - 1:03} (Conv2D)")
    assert "layer_" in chart.attrib["aria-label"]


def test_the_page_tells_where_a_format_loses_and_what_was_tried():
    recipe = Recipe("tflite-int8", "hash")
    tries = (
        Try(recipe, 400_000, parity(80), MISSED, 1.0),
        Try(recipe.with_layers(["conv<1>"], FLOAT), 420_000, parity(1), PROVEN, 1.2, parity(2), is_kept=True),
    )
    found = explanation([loss("conv<1>", 0.9, 0.9), loss("dense")])
    report = FormatReport("tflite-int8", 420_000, parity(2), PROVEN, found, tries, 1_600_000, 1.0, 500_000)
    page = export_page("my<model>", ["checked on 1,000 images"], [report])
    tags = Tags()
    tags.feed(page)
    assert not tags.open
    assert "conv<1>" not in page
    assert page.count("conv&lt;1&gt;") > 2
    assert f"The {report.search} made 2 files and kept number 2." in page
    assert "proven, kept" in page
    assert "26" in page, "its share of the float32 file"
    front = ElementTree.fromstring(front_chart(report))
    kinds = [one.attrib.get("class") for one in front.iter()]
    assert kinds.count("ring") == 1
    assert kinds.count("limit") == 2
    assert "http" not in page.replace("http://www.w3.org/2000/svg", ""), "the page loads nothing"
