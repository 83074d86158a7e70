"""The documents: what they serve, name and link to is there, and the Python in them runs."""

import configparser
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from importlib import import_module

import cv2
import pytest
from documents.typed import DOCUMENTS, LINES, TYPED

from lettercast import INTERRUPTED
from lettercast.commands.cli import build_parser
from lettercast.runtime import Classifier, open_engine

SERVED_S = 120


@pytest.mark.parametrize(
    "line", [line for line in TYPED if "--serve" in line and "read 0" not in line and "lettercast read --" not in line]
)
def test_what_is_served_is_served_until_it_is_ended(line, at_desk):
    words = [sys.executable, "-m", *shlex.split(line), "127.0.0.1:0"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    said = [process.stderr.readline() for _ in range(2)]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=SERVED_S)
    assert "watch at http://127.0.0.1:" in said[0] and "stays at" in said[1]
    assert process.returncode == 0


@pytest.mark.parametrize("line", [line for line in TYPED if "--serve" in line])
def test_every_address_is_one(line):
    assert build_parser().parse_args(shlex.split(line)[1:]).serve


@pytest.mark.parametrize(
    "name", sorted({found for line in LINES for found in re.findall(r"-m (lettercast\.(?:benchmarks|train)[.\w]+)", line)})
)
def test_every_maintainers_command_has_its_help(name, capsys):
    with pytest.raises(SystemExit) as left:
        import_module(name).main(["--help"])
    assert left.value.code == 0 and "usage:" in capsys.readouterr().out


def test_extras_that_are_named_exist(root):
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {
        name for document in DOCUMENTS for name in re.findall(r"lettercast\[([\w-]+)\]", document.read_text(encoding="utf-8"))
    }
    named |= {name for document in DOCUMENTS for name in re.findall(r"'\.\[([\w-]+)\]'", document.read_text(encoding="utf-8"))}
    assert {"reader", "pi", "export"} <= named <= set(extras)


def test_make_targets_that_are_named_exist(root):
    targets = set(re.findall(r"^([\w.\-/$()]+):", (root / "Makefile").read_text(), re.MULTILINE))
    named = {line.split()[1] for line in LINES if line.startswith("make ")}
    assert "test" in named
    assert all(name in targets or name.startswith(".venv-") for name in named)


@pytest.mark.parametrize("document", ["README.md", "docs/words.md"])
def test_python_in_the_documents_runs(document, root, at_desk, capsys, monkeypatch):
    monkeypatch.chdir(at_desk)
    (example,) = re.findall(r"^```python\n(.*?)^```", (root / document).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    known = {"image": cv2.imread("page.jpg")}
    exec(compile(example, document, "exec"), known)
    assert known["page"].text.split("\n") == ["ABC", "DEF"]


def test_the_app_s_call_of_mediapipe_runs_as_it_is_written(root, at_desk, exported):
    python = root / ".venv-mediapipe" / "bin" / "python"
    if not python.exists():
        pytest.skip("no .venv-mediapipe here: make .venv-mediapipe/.ready")
    (example,) = re.findall(
        r"^```python\n(.*?)^```", (root / "docs" / "mobile.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    shutil.copy(exported["tflite-mobile"], at_desk / "letters-base-mobile.tflite")
    shutil.copy(at_desk / "my_letters" / "T" / "1.png", at_desk / "letter.jpg")
    done = subprocess.run([python, "-c", example], capture_output=True, text=True, check=False, cwd=at_desk)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3 and re.match(r"[A-Z] 0\.\d", done.stdout)


def test_an_exported_file_runs_without_lettercast_as_it_is_written(root, at_desk):
    text = (root / "docs" / "without-lettercast.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    check = "import sys\nprint(facts['labels'], 'lettercast' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([*blocks, check])], capture_output=True, text=True, check=False, cwd=at_desk
    )
    assert done.returncode == 0, done.stderr
    *answers, last = done.stdout.splitlines()
    assert last == f"{list('0123456789')} False"
    for answer, model in zip(answers, ("digits.tflite", "digits.onnx", "digits.onnx"), strict=True):
        label, probability = answer.split()
        found = Classifier(at_desk / model).classify(at_desk / "7.png")
        assert (label, float(probability)) == ("7", pytest.approx(found.confidence, abs=1e-5))


def test_the_facts_are_found_in_every_format_as_it_is_written(exported):
    for name, path in exported.items():
        model = path.read_bytes()
        facts, _ = json.JSONDecoder().raw_decode(model[model.index(b'{"format":') :].decode("utf-8", "replace"))
        assert facts == json.loads(open_engine(path).facts.to_json()), name


def test_the_service_starts_what_there_is(root):
    service = configparser.ConfigParser(interpolation=None)
    service.optionxform = str
    unit = root / "runtime" / "health" / "lettercast.service"
    service.read(unit)
    _, *words = shlex.split(service["Service"]["ExecStart"])
    options = build_parser().parse_args(words)
    assert (options.command, options.serve, len(options.token) >= 8) == ("read", ("0.0.0.0", 8080), True)
    assert int(service["Service"]["SuccessExitStatus"]) == INTERRUPTED
    if shutil.which("systemd-analyze"):
        done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
        # The program is not where it will be.
        said = [line for line in done.stderr.splitlines() if "lettercast.service" in line and "not executable" not in line]
        assert not said, said


def test_links_lead_somewhere():
    for document in DOCUMENTS:
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)]*))?\)", document.read_text(encoding="utf-8")):
            path = (document.parent / target) if target else document
            assert path.exists(), f"{document.name}: {target}"
            if anchor:
                heads = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
                slugs = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
                assert anchor in slugs, f"{document.name}: #{anchor}"
