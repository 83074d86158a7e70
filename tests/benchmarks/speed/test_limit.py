"""The share of the peak throughput that models reach."""

import json
from dataclasses import replace

import pytest

from lettercast.benchmarks.parity.contender import BATCH
from lettercast.benchmarks.parity.measure import Latency
from lettercast.benchmarks.speed import limit as limit_module
from lettercast.benchmarks.speed.layers import Layer
from lettercast.benchmarks.speed.limit import (
    FLOAT32,
    INT8,
    Limit,
    Peak,
    Reach,
    arithmetic_of,
    limit_tables,
    main,
    make_products,
    measure_limit,
)
from lettercast.runtime.model.engine import open_engine
from lettercast.train.network import count_multiplications
from lettercast.train.predict import load_keras

MODELS = ("tflite-int8", "onnx-float32", "tflite-float32")


@pytest.fixture(scope="module")
def limit(exported):
    products = make_products((4, 8), ((6, 3),), depth=2)
    return measure_limit([exported[name] for name in MODELS], seconds=0, products=products)


def lasting(ms: float) -> Latency:
    return Latency(ms, ms, ms, 1)


def reach(ms: float = 0.5) -> Reach:
    """Return a model of 20 million multiply-accumulates in two layers, with a peak of 100 billion per second."""
    peak = Peak("engine", INT8, "product", 100_000_000, lasting(1.0))
    layers = (Layer("CONV_2D", (1, 2), 20_000_000, 0.3), Layer("SOFTMAX", (1, 2), 0, 0.1))
    return Reach("model", "engine", peak, 20_000_000, lasting(ms), lasting(3.0), layers)


def test_products_have_the_multiplications_counted_by_hand():
    made = make_products((4, 8), ((6, 3),), depth=2)
    assert {name: count_multiplications(network) for name, network in made.items()} == {
        "2 x 4x8 by 8x8": 2 * 4 * 8 * 8,
        "2 x 3x3 over 6x6x3": 2 * 36 * 9 * 3 * 3,
    }


def test_share_is_of_the_peak_and_the_rest_of_the_time_is_outside_layers():
    model = reach()
    assert (model.gmacs, model.peak.gmacs, model.share) == pytest.approx((40.0, 100.0, 0.4))
    assert model.batch_gmacs == pytest.approx(BATCH * 20 / 3)
    assert model.around_ms == pytest.approx(0.1)


def test_the_slowest_model_is_that_with_one_image():
    models = (reach(0.5), reach(0.9), reach(0.7))
    assert Limit((), models).slowest is models[1]


def test_each_engine_and_arithmetic_has_its_own_products(limit):
    kinds = [(peak.engine.split()[0], peak.arithmetic) for peak in limit.products]
    assert kinds == [
        kind for kind in (("ai-edge-litert", INT8), ("onnxruntime", FLOAT32), ("ai-edge-litert", FLOAT32)) for _ in "ab"
    ]


def test_the_peak_of_a_model_is_the_fastest_product_of_its_kind(limit):
    for model, arithmetic in zip(limit.models, (INT8, FLOAT32, FLOAT32), strict=True):
        own = [peak for peak in limit.products if (peak.engine, peak.arithmetic) == (model.engine, arithmetic)]
        assert model.peak == max(own, key=lambda peak: peak.gmacs)


def test_models_have_the_multiplications_of_their_original(limit, model_file):
    expected = count_multiplications(load_keras(model_file))
    assert [model.multiplications for model in limit.models] == [expected] * len(MODELS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tflite-int8", INT8),
        ("tflite-dynamic", INT8),
        ("tflite-int16x8", INT8),
        ("tflite-float16", FLOAT32),
        ("onnx-float16", FLOAT32),
        ("onnx-dynamic", INT8),
    ],
)
def test_formats_are_compared_with_the_arithmetic_that_they_compute_in(exported, name, expected):
    assert arithmetic_of(open_engine(exported[name])) == expected


def test_figures_are_json(limit):
    figures = json.loads(json.dumps(limit.to_dict()))
    first = figures["models"][0]
    assert first["share"] == pytest.approx(first["gmacs"] / first["peak_gmacs"])
    assert sum(layer["multiplications"] for layer in first["layers"]) == first["multiplications"]
    assert [product["latency"]["n"] > 0 for product in figures["products"]] == [True] * 6


def test_tables_have_a_line_for_each_product_model_and_layer(limit):
    tables = limit_tables(limit)
    assert [table.row_count for table in tables] == [len(limit.products), len(limit.models), len(limit.slowest.layers)]


def test_a_low_share_is_red():
    styles = []
    for ms in (0.4, 0.6):
        share = limit_tables(Limit((), (reach(ms),)))[1].columns[-1]
        styles += [cell.style for cell in share.cells]
    assert styles == ["green", "red"]


def test_lost_is_the_time_of_a_layer_beyond_the_peak():
    layers = limit_tables(Limit((), (replace(reach(), multiplications=1),)))[2]
    # At peak throughput the first layer takes 0.2 instead of 0.3 ms; all layers take 0.4 ms.
    assert list(layers.columns[-1].cells) == ["25", "25"]


def test_the_command_measures_a_shipped_model(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(limit_module, "make_products", lambda: make_products((4, 8), (), depth=2))
    assert main(["letters-nano", "--seconds", "0", "--json", str(tmp_path / "limit.json")]) == 0
    figures = json.loads((tmp_path / "limit.json").read_text())
    assert [model["model"] for model in figures["models"]] == ["letters-nano-int8.tflite"]
    assert "share %" in capsys.readouterr().out


def test_a_broken_model_is_refused_in_one_line(tmp_path, capsys):
    (tmp_path / "bad.tflite").write_bytes(b"TFL3")
    assert main([str(tmp_path / "bad.tflite")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
