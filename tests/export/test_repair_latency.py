"""How fast candidates are: ratios that are measured in turns, and ratios that are modelled for other devices."""

from pathlib import Path

import numpy as np
import pytest

from lettercast.export.devices import DEVICES
from lettercast.export.repair import latency
from lettercast.export.repair.latency import latency_ratios, modelled_ratio, processor_name, runs_here
from lettercast.export.repair.layers import Layer
from lettercast.export.repair.recipe import DYNAMIC, FLOAT, INT4, INT8, INT16, WEIGHTS, Recipe
from lettercast.runtime.model import processor

MODELS = Path(latency.__file__).parents[2] / "runtime" / "models"
LAYERS = (Layer("stem", "Conv2D", 100, 3000), Layer("pool", "MaxPooling2D", 0), Layer("head", "Dense", 900, 1000))
INT8_RECIPE = Recipe("tflite-int8", "")


def test_ratios_are_positive_and_relative_to_the_first_file():
    paths = {"base": MODELS / "letters-base-int8.tflite", "nano": MODELS / "letters-nano-int8.tflite"}
    images = np.random.default_rng(1).integers(0, 256, (20, 28, 28, 1), dtype=np.uint8)
    ratios = latency_ratios({**paths, "content": paths["base"].read_bytes()}, "tflite", images, budget_s=0.2)
    assert list(ratios) == ["base", "nano", "content"]
    assert ratios["base"] == 1
    assert all(ratio > 0 for ratio in ratios.values())


def test_a_file_that_computes_much_more_is_slower(monkeypatch):
    """The clock counts the multiplications of each call, so that the test needs no time."""
    spent = 0.0

    def opened(content, suffix):
        cost = {b"slow": 3e-3, b"fast": 1e-3}[content]

        def run(image):
            nonlocal spent
            spent += cost

        return run

    monkeypatch.setattr(latency, "open_content", opened)
    monkeypatch.setattr(latency, "_clock", lambda: lambda: spent)
    images = np.zeros((2, 4, 4, 1), np.uint8)
    ratios = latency_ratios({"a": b"fast", "b": b"slow", "c": b"fast"}, "tflite", images, budget_s=0)
    assert ratios == pytest.approx({"a": 1, "b": 3, "c": 1})


def test_float_is_the_unit_and_the_device_decides_what_quantization_is_worth():
    assert modelled_ratio(LAYERS, Recipe("tflite-int8", "", precision=FLOAT), "tflite", DEVICES["pi4"]) == 1
    ratios = {name: modelled_ratio(LAYERS, INT8_RECIPE, "tflite", DEVICES[name]) for name in ("pi5", "pi4", "x86", "x86-vnni")}
    assert ratios["x86-vnni"] == ratios["pi5"] < ratios["pi4"] < 1 < ratios["x86"]


def test_a_mixed_file_lies_between_its_precisions_by_their_multiplications():
    device = DEVICES["pi5"]
    mixed = modelled_ratio(LAYERS, INT8_RECIPE.with_layers(["stem"], FLOAT), "tflite", device)
    pure = modelled_ratio(LAYERS, INT8_RECIPE, "tflite", device)
    assert mixed == pytest.approx(0.75 + 0.25 * pure)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", [INT4, INT8, INT16, DYNAMIC, WEIGHTS, FLOAT])
def test_every_precision_has_a_ratio_on_every_device(device, precision):
    recipe = Recipe("tflite-int8", "", precision=precision)
    for suffix in ("tflite", "onnx"):
        assert 0.2 < modelled_ratio(LAYERS, recipe, suffix, DEVICES[device]) < 50


@pytest.mark.parametrize(
    ("machine", "board", "flags", "expected"),
    [
        ("x86_64", "", "avx2 avx512_vnni", ["x86-vnni"]),
        ("AMD64", "", "avx2", ["x86"]),
        ("aarch64", "Raspberry Pi 4 Model B Rev 1.5\0", "asimd", ["pi4"]),
        ("aarch64", "Rockchip", "asimd asimddp", []),
    ],
)
def test_a_measurement_stands_for_the_machine_that_it_is_made_on_alone(tmp_path, monkeypatch, machine, board, flags, expected):
    (tmp_path / "board").write_text(board)
    (tmp_path / "cpu").write_text(f"model name\t: Some CPU\nflags\t\t: {flags}\n")
    monkeypatch.setattr(processor, "BOARD_FILE", tmp_path / "board")
    monkeypatch.setattr(processor, "CPU_FILE", tmp_path / "cpu")
    monkeypatch.setattr(latency.platform, "machine", lambda: machine)
    assert [name for name, device in DEVICES.items() if runs_here(device)] == expected
    assert processor_name() == (board.strip("\0") or "Some CPU")
