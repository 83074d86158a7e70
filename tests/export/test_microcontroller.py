"""Zips for microcontrollers: what they hold, that their golden cases hold, and which models are refused."""

import re
import shutil
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lettercast.export.golden import pack, write_with_golden
from lettercast.export.microcontroller import bundle as module
from lettercast.export.microcontroller.boards import BOARDS, ram_bytes, verdict
from lettercast.export.microcontroller.bundle import write_micro_bundle
from lettercast.export.microcontroller.graph import method_of, read_graph
from lettercast.runtime.arguments import device_model, keras_model
from lettercast.runtime.model.engine import open_engine
from lettercast.runtime.model.facts import PICTURES, Facts
from lettercast.runtime.model.golden import golden_path, load_golden

MODELS = ("letters-nano", "letters-base", "letters-digits")


@pytest.fixture
def unpacked(tmp_path) -> Callable[[Path], dict[str, str]]:
    """Return a function that writes a model's zip, and returns the names and texts of its files."""

    def unpack(model: Path) -> dict[str, str]:
        path = write_micro_bundle(model, tmp_path / "out" / "mcu.zip", overwrite=True).path
        with zipfile.ZipFile(path) as archive:
            assert len({name.split("/")[0] for name in archive.namelist()}) == 1
            return {name.partition("/")[2]: archive.read(name).decode() for name in archive.namelist()}

    return unpack


def test_a_zip_is_a_library_for_arduino_platformio_esp_idf_and_cmake(unpacked):
    files = unpacked(device_model("letters-nano"))
    sources = {f"src/letters{name}" for name in (".h", ".cc", "_cases.cc")}
    sources |= {f"src/letters_{name}.{end}" for name in ("run", "check") for end in ("h", "cc")}
    sources |= {f"src/letters_{name}.{end}" for name in ("image", "glyph") for end in ("h", "c")}
    sketches = {"golden_cases/golden_cases.ino", "read_letter/read_letter.ino", "read_letter/camera.h"}
    around = {"README.md", "LICENSE", "main.cc", "CMakeLists.txt", "idf_component.yml", "library.properties", "platformio.ini"}
    assert set(files) == sources | around | {f"examples/{name}" for name in sketches}
    assert not [name for name, text in files.items() if re.search(r"@\w+@", text)]
    assert "name=letters-nano\n" in files["library.properties"]


def test_the_array_is_the_file_and_the_header_has_its_facts(unpacked):
    path = device_model("letters-nano")
    facts, files = open_engine(path).facts, unpacked(path)
    array = files["src/letters.cc"].partition("= {")[2].partition("};")[0]
    assert bytes(int(word) for word in array.replace(",", " ").split()) == path.read_bytes()
    assert "alignas(16) const uint8_t letters_model" in files["src/letters.cc"]
    defined = dict(re.findall(r"#define LETTERS_(\w+) (\S+)", files["src/letters.h"]))
    assert float(defined["REJECT_BELOW"]) == facts.reject_below
    assert float(defined["TEMPERATURE"]) == facts.temperature
    assert (defined["OUTPUT_SCALE"], defined["OUTPUT_ZERO_POINT"], defined["CLASSES"]) == ("0.00390625f", "0", "26")
    assert "typedef uint8_t letters_input;" in files["src/letters.h"]


def test_the_same_model_makes_the_same_bytes(tmp_path):
    paths = [write_micro_bundle(device_model("letters-nano"), tmp_path / name).path for name in ("a.zip", "b.zip")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("name", MODELS)
def test_tflite_micro_gives_every_golden_answer_to_the_bit(name, tmp_path):
    pytest.importorskip("tflite_micro", reason="not installed: pip install 'lettercast[mcu]'")
    found = write_micro_bundle(device_model(name), tmp_path / "mcu.zip")
    assert found.equal == found.cases == found.written_cases == len(load_golden(golden_path(device_model(name))).images)
    assert found.wrong == 0
    # The estimate for computers without tflite-micro is on the safe side, and not far off.
    assert found.arena_bytes < found.graph.estimated_arena_bytes < 1.3 * found.arena_bytes


def test_so_it_does_for_a_classifier_of_rgb_images(fruit, tmp_path):
    pytest.importorskip("tflite_micro", reason="not installed: pip install 'lettercast[mcu]'")
    for form in ("int8", "float32", "int16x8"):
        found = write_micro_bundle(fruit / f"fruit-{form}.tflite", tmp_path / f"{form}.zip")
        # Of int16x8 tflite-micro rounds some sums differently.
        assert found.wrong == 0 and (found.equal == found.cases or form == "int16x8")
        assert found.equality == ("equal to within 1e-05" if form == "float32" else "equal to the bit")
        assert found.arena_bytes < found.graph.estimated_arena_bytes


def test_the_operators_are_those_of_the_file(fruit, unpacked):
    path = fruit / "fruit-int8.tflite"
    graph = read_graph(path, path.read_bytes())
    files = unpacked(path)
    added = re.findall(r"resolver\.(Add\w+)\(\) !=", files["src/classifier_run.cc"])
    assert tuple(added) == graph.methods
    assert {"AddConv2D", "AddDepthwiseConv2D", "AddAveragePool2D", "AddFullyConnected", "AddSoftmax"} < set(added)
    assert f"MicroMutableOpResolver<{len(added)}> resolver;" in files["src/classifier_run.cc"]
    # By hand: each output pixel of the convolution over 3 x 3 x 3 numbers, and so on.
    first, depthwise, point, last, dense = 11 * 13 * 8 * 27, 11 * 13 * 8 * 9, 11 * 13 * 8 * 8, 5 * 6 * 24 * 72, 24 * 4
    assert graph.macs == first + depthwise + point + last + dense


def test_names_of_methods_are_those_of_the_resolver():
    expected = {
        "CONV_2D": "AddConv2D",
        "FULLY_CONNECTED": "AddFullyConnected",
        "RESIZE_NEAREST_NEIGHBOR": "AddResizeNearestNeighbor",
        "PADV2": "AddPadV2",
        "RELU6": "AddRelu6",
        "CUMSUM": "AddCumSum",
        "BATCH_MATMUL": "AddBatchMatMul",
        "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM",
    }
    assert {name: method_of(name) for name in expected} == expected


def test_large_golden_cases_are_fewer_in_the_zip_but_all_are_run(fruit, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_CASE_BYTES", 5 * 22 * 26 * 3)
    found = write_micro_bundle(fruit / "fruit-int8.tflite", tmp_path / "mcu.zip")
    assert (found.written_cases, found.cases > 4) == (4, True)
    with zipfile.ZipFile(tmp_path / "mcu.zip") as archive:
        assert "#define CLASSIFIER_CASES 4\n" in archive.read("fruit/src/classifier_check.h").decode()


def test_without_tflite_micro_the_arena_is_estimated_and_the_command_says_so(lettercast, monkeypatch):
    monkeypatch.setitem(sys.modules, "tflite_micro", None)
    code, out, _ = lettercast("bundle", "letters-nano", "--target", "mcu")
    assert code == 0
    assert "bytes, estimated" in out and "26 not run here" in out and "pip install 'lettercast[mcu]'" in out
    with zipfile.ZipFile("letters-nano-mcu.zip") as archive:
        text = archive.read("letters-nano/README.md").decode()
    assert "estimated on the safe side" in text and "equal to the bit in tflite-micro" not in text


def test_the_command_says_what_a_board_needs(lettercast, tmp_path):
    pytest.importorskip("tflite_micro", reason="not installed: pip install 'lettercast[mcu]'")
    code, out, _ = lettercast("bundle", "letters-nano", "--target", "mcu")
    assert code == 0
    size, memory, cases, then = out.splitlines()
    assert size.startswith("letters-nano-mcu.zip: ")
    model_bytes = device_model("letters-nano").stat().st_size
    assert memory.startswith(f"flash: {model_bytes:,} bytes for the model; arena: ") and "measured by tflite-micro" in memory
    assert cases == "golden cases: 26 of 26 equal to the bit in tflite-micro"
    assert then.startswith("next: ")
    with zipfile.ZipFile(tmp_path / "letters-nano-mcu.zip") as archive:
        text = archive.read("letters-nano/README.md").decode()
    assert "26 of 26 equal to the bit" in text and "| Arduino Nano 33 BLE |" in text


def test_a_model_that_tflite_micro_answers_with_another_label_makes_no_zip(lettercast, monkeypatch):
    def off(path, model, inputs):
        _, answers = module.reference_answers(path, model, load_golden(golden_path(path)).images)
        return module.MicroRun("1", answers[::-1], 10_000)

    monkeypatch.setattr(module, "run_micro", off)
    code, out, err = lettercast("bundle", "letters-nano", "--target", "mcu")
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert "not written, because tflite-micro gives another label in 26 of 26 golden cases" in err
    assert not Path("letters-nano-mcu.zip").exists()


def test_what_no_microcontroller_runs_is_refused_in_one_line(refused, fruit, tmp_path):
    def said(path: Path, *words: str) -> str:
        return refused("bundle", path, "--target", "mcu", *words)

    onnx = tmp_path / "x.onnx"
    onnx.write_bytes(b"")
    assert "has no float16; export it as tflite-int8" in said(fruit / "fruit-float16.tflite")
    assert "int8 weights and float activations; export it as tflite-int8" in said(fruit / "fruit-dynamic.tflite")
    assert "choose the .tflite file beside it" in said(onnx)
    assert "run lettercast export first" in said(keras_model("letters-nano"))
    assert "leave it out with --target mcu" in said(device_model("letters-nano"), "--language", "en")
    (tmp_path / "junk.tflite").write_bytes(b"TFL3")
    assert "not a TFLite model" in said(tmp_path / "junk.tflite")
    nano = device_model("letters-nano")
    lonely = Path(shutil.copy(nano, tmp_path / "lonely.tflite"))
    assert "no such file; export the model again, or copy both files" in said(lonely)
    golden_path(lonely).write_bytes(pack(load_golden(golden_path(device_model("letters-base")))))
    assert "golden cases belong to another model" in said(lonely)
    (tmp_path / "there.zip").write_bytes(b"")
    assert "exists already; add --overwrite" in said(nano, "--out", "there.zip")


def with_activation(name: str, path: Path) -> Path:
    """Write a network of one dense layer with an activation as an int8 file."""
    import keras

    from lettercast.export.convert import tflite

    layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2), keras.layers.Activation(name)]
    network = keras.Sequential([*layers, keras.layers.Softmax()])
    images = np.random.default_rng(1).integers(0, 256, (8, 4, 4, 1), dtype=np.uint8)
    facts = Facts("möhre.1", "tflite-int8", ("a", "b"), (4, 4, 1), "uint8", takes=PICTURES)
    content = tflite.embed(tflite.int8(network, images), facts)
    write_with_golden(path, content, images, network.predict(images, verbose=0))
    return path


def test_an_operator_that_tflite_micro_lacks_is_named(tmp_path, refused):
    path = with_activation("gelu", tmp_path / "gelu.tflite")
    assert "tflite-micro has no operator GELU" in refused("bundle", path, "--target", "mcu")


def test_an_operator_without_a_reference_kernel_in_litert_is_computed_by_its_other_kernels(tmp_path, unpacked):
    pytest.importorskip("tflite_micro", reason="not installed: pip install 'lettercast[mcu]'")
    path = with_activation("elu", tmp_path / "elu.tflite")
    found = write_micro_bundle(path, tmp_path / "elu.zip")
    assert (found.equal, found.wrong) == (found.cases, 0)
    # The name of a model may have letters that Arduino's names have not.
    assert "name=m_hre.1\n" in unpacked(path)["library.properties"]


def test_a_board_with_too_little_memory_is_told_apart():
    path = device_model("letters-base")
    graph = read_graph(path, path.read_bytes())
    found = {board.name: verdict(board, 191_584, ram_bytes(board, graph, 21_808, 784)) for board in BOARDS}
    assert found["Arduino Nano 33 BLE"] == found["ESP32-CAM"] == "yes"
    assert found["Arduino UNO R3"].startswith("no, flash: 347 KB needed, RAM: ")
    assert found["Arduino UNO R4"].startswith("no, flash: 347 KB needed")
    # ESP-NN wants scratch memory for filters, CMSIS-NN for a few columns.
    assert graph.esp_nn_bytes > 20 * graph.cmsis_nn_bytes
    assert verdict(replace(BOARDS[0], flash_kb=348), 191_584, 0) == "yes"
