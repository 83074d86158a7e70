"""Figures of a device that anyone may send."""

import getpass
import json
import platform
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.benchmarks.share import distribution, draw_page, load_share, main
from lettercast.runtime.arguments import device_model
from lettercast.runtime.model.golden import golden_path, load_golden
from lettercast.runtime.reader import Reader

SECONDS = "0.001"


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Path:
    """The file of this machine, as the command writes it."""
    from lettercast.commands.cli import main as lettercast

    path = tmp_path_factory.mktemp("share") / "my-pi.json"
    assert lettercast(["benchmark", "--share", str(path), "--seconds", SECONDS]) == 0
    return path


def test_every_shipped_model_is_timed_in_every_engine_that_is_installed(shared):
    figures = load_share(shared)
    engines = {(row.model, row.engine.partition(" ")[0]) for row in figures.rows}
    assert {
        ("letters-base-int8.tflite", "ai-edge-litert"),
        ("letters-nano-float32.onnx", "onnxruntime"),
        ("letters-nano-float32.onnx", "opencv-python"),
    } <= engines
    assert all(row.verdict in ("equal", "close") for row in figures.rows)
    assert all(0 < row.letter.p50_ms < row.page.p50_ms <= row.page.p99_ms for row in figures.rows)
    assert figures.failures == ()


def test_the_file_names_neither_user_nor_host_nor_paths(shared):
    text = shared.read_text()
    own = {getpass.getuser(), socket.gethostname(), platform.node(), Path.home().name, str(Path.cwd()), str(shared.parent)}
    words = set(text.replace('"', " ").replace(",", " ").split())
    assert not own & words
    assert "/" not in text and "\\\\" not in text


def test_a_file_with_anything_else_in_it_is_refused(shared, tmp_path, capsys):
    raw = json.loads(shared.read_text())
    changes = (
        {"host": "my-pi"},
        {"machine": {**raw["machine"], "user": "me"}},
        {"rows": [{**raw["rows"][0], "path": "/home/me"}]},
        {"rows": []},
        {"rows": [{**raw["rows"][0], "letter": {**raw["rows"][0]["letter"], "p50_ms": -1}}]},
        {"kind": "other"},
        {"schema": 9},
    )
    path = tmp_path / "changed.json"
    for change in changes:
        path.write_text(json.dumps({**raw, **change}))
        with pytest.raises(LettercastError, match=r"changed\.json"):
            load_share(path)
    path.write_text("[]")
    assert main([str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"lettercast: {path}: cannot be used as figures of a device")


def test_files_that_were_sent_are_printed(shared, capsys):
    assert main([str(shared)]) == 0
    assert "64 bit" in capsys.readouterr().out


def test_every_file_of_a_device_in_the_reference_is_one(root):
    files = [path for path in (root / "benchmarks" / "reference").glob("*.json") if '"lettercast device"' in path.read_text()]
    assert all(load_share(path).rows for path in files)


def test_it_needs_no_more_packages_than_reading():
    code = "import sys, lettercast.benchmarks.share; from lettercast.commands import benchmark; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"keras", "tensorflow", "matplotlib", "sklearn", "scipy", "onnx", "platformdirs", "threadpoolctl"}
    assert not heavy & set(done.stdout.split())


def test_models_of_your_own_are_refused(refused):
    assert "--share: measures the models that come with lettercast only" in refused(
        "benchmark", "letters-nano", "--share", "f.json"
    )


def test_the_page_of_golden_letters_is_read():
    path = device_model("letters-base")
    page = Reader(path).read(draw_page(load_golden(golden_path(path)).images))
    assert [len(line.letters) for line in page.lines] == [9, 9, 8]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n', "debian 12"),
        ("ID=arch\nHOME_URL=https://my.host\n", "arch"),
        ("", ""),
    ],
)
def test_the_distribution_is_its_name_and_version(text, name):
    assert " ".join(sorted(distribution(text).split(), key=str.isdigit)) == name


def test_the_page_is_dark_on_light():
    page = draw_page(np.full((1, 28, 28, 1), 255, np.uint8))
    assert page[0, 0] == 235 and page[60, 60] == 0
