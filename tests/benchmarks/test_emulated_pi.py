"""An emulated Raspberry Pi against this machine."""

import json
import subprocess

import cv2
import pytest

from lettercast import LettercastError
from lettercast.benchmarks.arm_rootfs import (
    ARCHITECTURES,
    ENGINES_FROM_PIP,
    ArmRootfs,
    System,
    default_root,
    is_ready,
    open_arm_rootfs,
)
from lettercast.benchmarks.emulated_pi import (
    EmulatedPi,
    compare_readings,
    copy_model,
    emulated_tables,
    find_images,
    golden_result,
    json_lines,
    main,
    model_to_read,
    runnable,
    try_emulated_pi,
)
from lettercast.runtime.arguments import device_model
from lettercast.runtime.model.doctor import examine
from lettercast.runtime.model.installed import LITERT, ONNX_RUNTIME, TFLITE_RUNTIME


def page(*letters):
    """The output of `read --json` for a page of one line."""
    return {
        "text": "".join(name for name, *_ in letters),
        "lines": [{"letters": [dict(zip(("letter", "confidence", "box"), one, strict=True)) for one in letters]}],
    }


HERE = page(("A", 0.9, [0, 0, 9, 9]), ("O", 0.5, [20, 0, 9, 9]))


def test_letters_are_compared_in_reading_order():
    there = page(("A", 0.8, [0, 0, 9, 9]), ("D", 0.6, [21, 0, 9, 9]))
    reading = compare_readings("p.jpg", HERE, there)
    assert (reading.letters, reading.differ, reading.moved_boxes) == (2, 1, 1)
    assert reading.confidence == pytest.approx(0.1)
    assert (reading.here, reading.there) == ("AO", "AD")


def test_a_letter_that_only_one_machine_read_counts_as_different():
    assert compare_readings("p.jpg", HERE, page(("A", 0.9, [0, 0, 9, 9]))).differ == 1
    assert compare_readings("p.jpg", page(), HERE).differ == 2
    assert compare_readings("p.jpg", HERE, HERE).differ == 0


def test_the_golden_result_has_the_figures_of_doctor(exported):
    told = examine([exported["tflite-int8"]]).to_dict()["models"][0]
    answer = golden_result("m.tflite", json.loads(json.dumps(told)))
    assert (answer.format, answer.verdict, answer.n, answer.strays, answer.fault) == ("tflite-int8", "equal", 26, 0, "")


def test_a_model_without_golden_cases_and_a_damaged_one_are_faults(exported, tmp_path):
    alone, broken = tmp_path / "alone.onnx", tmp_path / "broken.onnx"
    alone.write_bytes(exported["onnx-int8"].read_bytes())
    broken.write_bytes(b"no model")
    told = examine([alone, broken]).to_dict()["models"]
    answers = tuple(golden_result(path.name, one) for path, one in zip((alone, broken), told, strict=True))
    assert [answer.verdict for answer in answers] == ["not tried"] * 2
    result = EmulatedPi("apt", "Linux aarch64", "3.11", {}, answers, "m", (compare_readings("p.jpg", HERE, page()),))
    alone_said, broken_said, page_said = result.faults
    assert "without golden cases" in alone_said and broken_said.startswith("broken.onnx: ")
    assert page_said == "p.jpg: 2 of 2 letters differ"


def test_a_failed_process_is_reported_with_its_last_line():
    done = subprocess.CompletedProcess(["x"], 2, "", "talk\nlettercast: no engine\n")
    with pytest.raises(LettercastError, match=r"failed \(lettercast: no engine\)"):
        json_lines(done)
    with pytest.raises(LettercastError, match="did not print JSON"):
        json_lines(subprocess.CompletedProcess(["x"], 0, "<html>", ""))
    assert json_lines(subprocess.CompletedProcess(["x"], 0, '{"a": 1}\n{"a": 2}\n', "")) == [{"a": 1}, {"a": 2}]


def test_a_model_is_copied_with_its_golden_cases(exported, tmp_path):
    first, second = (copy_model(exported["onnx-int8"], tmp_path) for _ in range(2))
    assert first != second and first.name == second.name
    assert [path.name for path in sorted(first.parent.iterdir())] == [first.name, f"{first.name}.golden.npz"]


def test_images_are_found_and_a_path_without_images_is_named(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("a/2.jpg", "a/b/1.PNG", "a/labels.csv"):
        (tmp_path / name).touch()
    assert [path.name for path in find_images([tmp_path / "a", tmp_path / "a" / "2.jpg"])] == ["2.jpg", "1.PNG", "2.jpg"]
    for lost in (tmp_path / "gone.jpg", tmp_path / "gone"):
        with pytest.raises(LettercastError, match="no image there"):
            find_images([lost])


def test_only_pages_that_differ_are_listed():
    readings = compare_readings("same.jpg", HERE, HERE), compare_readings("other.jpg", HERE, page())
    answered, read = emulated_tables(EmulatedPi("apt", "Linux aarch64", "3.11", {"numpy": "2"}, (), "m", readings))
    assert answered.caption == "numpy 2"
    assert list(read.columns[0].cells) == ["other.jpg"]
    assert "2 of 4 letters are the same" in str(read.title)


def test_a_missing_image_is_one_line_and_exit_2(capsys, tmp_path):
    assert main(["--pictures", str(tmp_path / "gone.jpg")]) == 2
    assert capsys.readouterr().err.startswith(f"lettercast: {tmp_path / 'gone.jpg'}: no image there")


def test_only_models_with_an_engine_on_the_device_are_checked(exported):
    names = ("tflite-int8", "onnx-float32", "onnx-float16", "onnx-int8")
    models = [exported[name] for name in names]

    def formats(*engines):
        return [name for name, path in zip(names, models, strict=True) if path in runnable(models, engines)]

    assert formats() == ["onnx-float32"]
    assert formats(TFLITE_RUNTIME) == ["tflite-int8", "onnx-float32"]
    assert formats(LITERT, ONNX_RUNTIME) == list(names)
    assert formats(ONNX_RUNTIME) == ["onnx-float32", "onnx-float16", "onnx-int8"]


def test_pages_are_read_with_a_model_that_the_device_runs(exported, digits_tflite):
    models = [digits_tflite.with_suffix(".onnx"), exported["onnx-float32"]]
    assert model_to_read(models, with_pip=False) == exported["onnx-float32"]
    assert model_to_read(models[:1], with_pip=False).name == "letters-nano-float32.onnx"
    assert model_to_read([*models, exported["tflite-int8"]], with_pip=True) == exported["tflite-int8"]
    assert model_to_read(models, with_pip=True) == device_model("letters-base")


@pytest.fixture(scope="module", params=[System(release, architecture) for release, architecture in ENGINES_FROM_PIP], ids=str)
def rootfs(request) -> ArmRootfs:
    """A root file system that `python -m lettercast.benchmarks.emulated_pi` made on this machine."""
    root = default_root(request.param)
    if not is_ready(root, request.param):
        pytest.skip(f"no emulated {request.param.name} here: python -m lettercast.benchmarks.emulated_pi --help")
    try:
        return open_arm_rootfs(root, request.param)
    except LettercastError as error:
        pytest.skip(str(error))


def test_the_rootfs_runs_python_for_arm_with_the_packages_of_apt(rootfs):
    with rootfs.folder() as folder:
        (folder / "hello.py").write_text("import platform, numpy, cv2; print(platform.machine(), numpy.arange(3).sum())")
        done = rootfs.run(rootfs.inside(folder / "hello.py"), with_pip=False)
    assert isinstance(done, subprocess.CompletedProcess)
    assert done.stdout.split() == [ARCHITECTURES[rootfs.system.architecture].machine, "3"], done.stderr
    assert not folder.exists()


@pytest.mark.parametrize("with_pip", [False, True])
def test_on_an_emulated_pi_the_letters_are_the_same(rootfs, with_pip, exported, draw_page, tmp_path):
    if with_pip and not rootfs.system.engines:
        pytest.skip("pip has no engine for it")
    cv2.imwrite(str(tmp_path / "page.jpg"), draw_page("ABC", "XYZ")[0])
    models = [exported["tflite-int8"], exported["onnx-float32"]]
    result = try_emulated_pi(rootfs, models, [tmp_path / "page.jpg"], with_pip=with_pip)
    assert result.faults == []
    assert ARCHITECTURES[rootfs.system.architecture].machine in result.platform
    (reading,) = result.readings
    assert (reading.letters, reading.differ, reading.moved_boxes) == (6, 0, 0)
