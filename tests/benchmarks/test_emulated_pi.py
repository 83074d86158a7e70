"""An emulated Raspberry Pi against this machine."""

import json
import os
import subprocess
import sys

import cv2
import pytest

from lettercast import LettercastError
from lettercast.benchmarks import emulated_pi
from lettercast.benchmarks.emulated_pi import (
    READY,
    EmulatedPi,
    check_host,
    clear,
    compare_readings,
    copy_model,
    default_root,
    emulated_tables,
    find_images,
    golden_result,
    json_lines,
    main,
    open_arm_rootfs,
    run_or_raise,
    try_emulated_pi,
)
from lettercast.runtime.model.doctor import examine


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
    result = EmulatedPi("Linux aarch64", "3.11", {}, answers, "m", (compare_readings("p.jpg", HERE, page()),))
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
    answered, read = emulated_tables(EmulatedPi("Linux aarch64", "3.11", {"numpy": "2"}, (), "m", readings))
    assert answered.caption == "numpy 2"
    assert list(read.columns[0].cells) == ["other.jpg"]
    assert "2 of 4 letters are the same" in str(read.title)


def test_a_missing_image_is_one_line_and_exit_2(capsys, tmp_path):
    assert main(["--pictures", str(tmp_path / "gone.jpg")]) == 2
    assert capsys.readouterr().err.startswith(f"lettercast: {tmp_path / 'gone.jpg'}: no image there")


def test_on_an_emulated_pi_the_letters_are_the_same(exported, draw_page, tmp_path):
    if not (default_root() / READY).is_file():
        pytest.skip("no emulated Pi here: python -m lettercast.benchmarks.emulated_pi makes it")
    cv2.imwrite(str(tmp_path / "page.jpg"), draw_page("ABC", "XYZ")[0])
    models = [exported["tflite-int8"], exported["onnx-float32"]]
    result = try_emulated_pi(open_arm_rootfs(default_root()), models, [tmp_path / "page.jpg"])
    assert result.faults == []
    assert "aarch64" in result.platform
    (reading,) = result.readings
    assert (reading.letters, reading.differ, reading.moved_boxes) == (6, 0, 0)


def test_an_incomplete_rootfs_is_removed_and_another_folder_is_not(tmp_path):
    half, other, empty = tmp_path / "half", tmp_path / "other", tmp_path / "empty"
    (half / "debootstrap").mkdir(parents=True)
    empty.mkdir()
    other.mkdir()
    (other / "letter.txt").write_text("mine")
    clear(half)
    clear(empty)
    clear(tmp_path / "not" / "there")
    assert not half.exists() and not empty.exists()
    with pytest.raises(LettercastError, match="holds other files"):
        clear(other)
    assert (other / "letter.txt").read_text() == "mine"


def test_missing_tools_are_named_with_how_to_install_them(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LettercastError, match=r"debootstrap, qemu-aarch64-static.*apt install debootstrap"):
        check_host()


def test_an_emulated_pi_needs_linux_and_root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(LettercastError, match="needs root"):
        check_host()
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(LettercastError, match="needs Linux"):
        check_host()


def test_a_failed_command_is_reported_with_its_last_line():
    run_or_raise("nothing", sys.executable, "-c", "pass")
    with pytest.raises(LettercastError, match=r"Debian: python[\d.]* failed \(no mirror\); check the network"):
        run_or_raise("Debian", sys.executable, "-c", "import sys; print('trying'); sys.exit('no mirror')")


def test_a_rootfs_without_its_packages_is_never_ready(monkeypatch, tmp_path):
    def half(root, mirror):
        (root / "debootstrap").mkdir(parents=True)
        raise LettercastError("Debian: no network")

    monkeypatch.setattr(emulated_pi, "check_host", lambda: None)
    monkeypatch.setattr(emulated_pi, "unpack_debian", half)
    for _ in range(2):
        with pytest.raises(LettercastError, match="no network"):
            open_arm_rootfs(tmp_path / "root")
        assert not (tmp_path / "root" / READY).exists()


def test_the_rootfs_is_kept_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_root() == tmp_path / "lettercast" / "bookworm-arm64"


@pytest.fixture(scope="session")
def arm_rootfs():
    """The root file system that `python -m lettercast.benchmarks.emulated_pi` made on this machine."""
    if not (default_root() / READY).is_file():
        pytest.skip("no emulated Pi here: python -m lettercast.benchmarks.emulated_pi makes it")
    try:
        return open_arm_rootfs(default_root())
    except LettercastError as error:
        pytest.skip(str(error))


def test_the_rootfs_runs_python_for_arm_with_the_wheels(arm_rootfs):
    with arm_rootfs.folder() as folder:
        (folder / "hello.py").write_text("import platform, numpy, cv2; print(platform.machine(), numpy.arange(3).sum())")
        done = arm_rootfs.run(arm_rootfs.inside(folder / "hello.py"))
    assert isinstance(done, subprocess.CompletedProcess)
    assert done.stdout.split() == ["aarch64", "3"], done.stderr
    assert not folder.exists()
