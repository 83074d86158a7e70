"""Rounding to 4 bits: weights have 15 levels, and the errors of a channel cancel on the inputs that the layer sees."""

import numpy as np
import pytest

from lettercast.export.repair.narrow import LARGEST, narrow_weights, with_narrow
from lettercast.export.repair.recipe import INT4, Recipe
from lettercast.export.repair.tflite_graph import Graph, convert
from lettercast.export.repair.tflite_layers import Model, TfliteQuantizer
from lettercast.runtime.console import quiet

IMAGES = np.random.default_rng(3).integers(0, 256, (60, 9, 8, 1), dtype=np.uint8)


@pytest.fixture(scope="module")
def graph() -> Graph:
    """A network with a convolution of each kind: padding, stride, dilation, and dense layers."""
    import keras

    keras.utils.set_random_seed(4)
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((9, 8, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="strided"),
            layers.Conv2D(6, 2, dilation_rate=2, bias_initializer="random_normal", activation="relu", name="dilated"),
            layers.Conv2D(8, 1, use_bias=False, groups=2, name="grouped"),
            layers.Flatten(),
            layers.Dense(5, activation="softmax", bias_initializer="random_normal", name="dense"),
        ]
    )
    with quiet():
        return convert(network)


def answers(tree, graph: Graph) -> np.ndarray:
    run = Model(tree, [int(one) for one in graph.subgraph.outputs])
    return np.stack([next(run(image))[0] for image in IMAGES])


def nearest(weights: np.ndarray) -> np.ndarray:
    """Weights (channels, ...) that are rounded to 4 bits one by one."""
    scales = np.abs(weights).reshape(len(weights), -1).max(1).reshape(-1, *[1] * (weights.ndim - 1)) / LARGEST
    return (np.rint(weights / scales) * scales).astype(np.float32)


def test_every_channel_has_at_most_15_levels_at_equal_steps(graph):
    narrow = narrow_weights(graph, IMAGES, Model)
    assert len(narrow) == 3, "the grouped convolution is left as it is"
    for weights, _ in narrow.values():
        for channel in weights.reshape(len(weights), -1):
            # The step is the largest that all values are multiples of.
            steps = [np.abs(channel).max() / most for most in range(1, LARGEST + 1)]
            assert any(np.allclose(channel / step, np.rint(channel / step), atol=1e-3) for step in steps)


def test_answers_move_less_than_with_weights_that_are_rounded_one_by_one(graph):
    narrow = narrow_weights(graph, IMAGES, Model)
    plain = {index: (nearest(graph.constant(graph.subgraph.operators[index].inputs[1])), None) for index in narrow}
    exact, cancelled, single = (
        answers(tree, graph) for tree in (graph.tree, with_narrow(graph.tree, narrow), with_narrow(graph.tree, plain))
    )
    assert np.square(cancelled - exact).mean() < 0.5 * np.square(single - exact).mean()


def test_the_mean_of_a_layers_results_stays(graph):
    narrow = narrow_weights(graph, IMAGES, Model)
    index = max(narrow)
    outputs = [int(graph.subgraph.operators[index].outputs[0])]
    only = with_narrow(graph.tree, {index: narrow[index]})
    before, after = (np.mean([next(Model(tree, outputs)(image)) for image in IMAGES], 0) for tree in (graph.tree, only))
    assert after == pytest.approx(before, abs=1e-4)


def test_the_original_graph_stays_as_it_is(graph):
    first = answers(graph.tree, graph)
    with_narrow(graph.tree, narrow_weights(graph, IMAGES, Model))
    assert (answers(graph.tree, graph) == first).all()


def test_files_have_half_the_weights_and_are_the_same_each_time(graph):
    recipe = Recipe("tflite-int8", "", precision=INT4)
    first, second = (TfliteQuantizer(graph, IMAGES).build(recipe) for _ in range(2))
    assert first == second
    assert len(first) < len(TfliteQuantizer(graph, IMAGES).build(Recipe("tflite-int8", "")))
