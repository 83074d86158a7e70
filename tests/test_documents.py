"""What the documents tell people to type, typed."""

import configparser
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import pytest

from lettercast import INTERRUPTED
from lettercast.commands.cli import VERBS, build_parser
from lettercast.train.data.drawing import draw_ink

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")), *sorted((ROOT / "docs").glob("*.md"))]
FENCED, INDENTED, INLINE = r"^```(?P<language>\w*)\n(?P<block>.*?)^```", r"^    (?P<indented>\S[^\n]*)$", r"`(?P<inline>[^`\n]+)`"
CODE = re.compile(f"{FENCED}|{INDENTED}|{INLINE}", re.DOTALL | re.MULTILINE)
# Of other programs and other machines, or run by the tests' own make target.
OUTSIDE = re.compile(
    r"(sudo|apt|ssh|scp|jq|make|journalctl|python3 -m venv|rpicam-hello|heif-convert|~/letters/bin/pip|pip|\.venv)\b"
)
OURS = re.compile(r"(~/letters/bin/)?lettercast \S|python -m lettercast\.")
# Names that stand for anything, and not what is typed.
PLACEHOLDER = re.compile(r"…|\.\.\.|\b(MODEL|FILE|DIR|OLD\.json|FILM|PERCENT|WORD)\b|KERAS_BACKEND")
# The same command with less work; the first whose beginning fits.
LESS = {
    "lettercast train": "--epochs 1 --steps 2",
    "lettercast export letters-nano": "",
    "lettercast export --formats": "",
    "lettercast export my.keras": "--formats tflite-float32",
    "lettercast export digits.keras": "--formats tflite-float32,onnx-float32",
    "lettercast export": "--formats tflite-int8",
    "lettercast benchmark dist --also": "--seconds 0.02",
    "lettercast benchmark": "--seconds 0.05",
    "lettercast read": "--max-frames 2",
    "python -m lettercast.benchmarks.pages.conditions": "--pages 1 --only folds",
    "python -m lettercast.benchmarks.pages.scoring": "--pages 1",
    "python -m lettercast.benchmarks.soak": "--hours 0.003",
    "python -m lettercast.train.fit_case": "--out case.npz",
}
# Pages of 500 letters and photographs of 12 megapixels take minutes; the tests of that measurement read smaller ones.
TOO_LONG = ("limit,reader", "limit")
CAMERA = re.compile(r"read( 0| picamera)?( -| \||$)")
SERVED_S = 60


def commands() -> list[str]:
    """Return every command line that the documents show, once."""
    found = dict.fromkeys(examples_of_the_help())
    for document in DOCUMENTS:
        for code in CODE.finditer(document.read_text(encoding="utf-8")):
            lines = (code["block"] or "").splitlines() if not code["language"] else ()
            # A verb by itself within a sentence is spoken of, and not typed.
            inline = code["inline"] if (code["inline"] or "").count(" ") > 1 else ""
            for line in (*lines, code["indented"] or inline or ""):
                typed = re.split(r"\s#|\s{3,}", line.strip())[0].strip()
                if (OURS.match(typed) or (OUTSIDE.match(typed) and " " in typed)) and not PLACEHOLDER.search(typed):
                    found[typed] = None
    return list(found)


def examples_of_the_help() -> list[str]:
    """Return the command lines that `--help` shows, of the command and of each verb."""
    modules = ["lettercast.commands.cli", *(f"lettercast.commands.{verb}" for verb in VERBS)]
    lines = [line for name in modules for line in import_module(name).EXAMPLES.splitlines()[1:]]
    return [re.split(r"\s{2,}", line.strip())[0] for line in lines]


COMMANDS = commands()
TYPED = [line for line in COMMANDS if OURS.match(line) and "emulated_pi" not in line and "model_card" not in line]


@pytest.fixture(scope="module")
def desk(tmp_path_factory, draw_page, pen, strokes_file, model_file, exported) -> Path:
    """A folder with everything that the documents speak of."""
    folder = tmp_path_factory.mktemp("desk")
    image, _ = draw_page("ABC", "DEF")
    for name in ("page.jpg", "scans/1.png", "scans/2.png", "cards/1.png", "pages/1.png", "docs/example-page.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / name), image)
    for name in ("cards", "pages"):
        (folder / name / "labels.csv").write_text("file,text\n1.png,ABC|DEF\n")
    for name in ("talk.mp4", "film.mp4"):
        writer = cv2.VideoWriter(str(folder / name), cv2.VideoWriter.fourcc(*"mp4v"), 10, image.shape[1::-1])
        for _ in range(4):
            writer.write(image)
        writer.release()
    for name in ("names.txt", "words.txt"):
        (folder / name).write_text("Abc\nDef\nAnna\nBernd\nCleo\nDoro\n")
    rng = np.random.default_rng(0)
    for label in range(26):
        for i in range(10):
            ink = 255 - draw_ink(pen.sample(label, rng), 60, 5)
            picture = cv2.copyMakeBorder(ink, 20, 20, 20, 20, cv2.BORDER_CONSTANT, value=255)
            for source in ("my_letters", "phone_crops"):
                (folder / source / chr(65 + label)).mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(folder / source / chr(65 + label) / f"{i}.png"), picture)
    strokes = dict(np.load(strokes_file))
    for name in ("letters.npz", "strokes.npz", "unipen_letters.npz", "nist_az_sample.npz"):
        np.savez(folder / name, **strokes, upper=np.arange(len(strokes["label"])) // 26 % 2 == 0)
    for name in ("my.keras", "letters-large.keras"):
        shutil.copy(model_file, folder / name)
    shutil.copy(exported["tflite-int8"], folder / "my.tflite")
    write_digits(folder)
    (folder / "dist").mkdir()
    for ending in ("", ".golden.npz"):
        source = exported["tflite-int8"]
        shutil.copy(source.with_name(source.name + ending), folder / "dist" / f"letters-base-int8.tflite{ending}")
    return folder


def write_digits(folder: Path) -> None:
    """Write a user's network of ten digits, and pictures for it."""
    import keras
    from sklearn.datasets import load_digits

    keras.utils.set_random_seed(0)
    layers = [keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(8, 3, activation="relu")]
    network = keras.Sequential([*layers, keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")])
    network.compile("adam", "sparse_categorical_crossentropy")
    digits = load_digits()
    images = (digits.images * (255 / 16)).astype(np.uint8)
    network.fit(images[..., None], digits.target, epochs=2, verbose=0)
    network.save(folder / "digits.keras")
    np.savez(folder / "digits.npz", image=images, label=digits.target, classes=[str(i) for i in range(10)])


@pytest.fixture
def at_desk(desk, tmp_path, monkeypatch) -> Path:
    """A copy of the desk, as what is typed leaves things there."""
    folder = tmp_path / "desk"
    shutil.copytree(desk, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("line", [line for line in TYPED if "--serve" not in line])
def test_what_is_typed_works(line, at_desk, lettercast, monkeypatch):
    monkeypatch.chdir(at_desk)
    prepare(line, at_desk, lettercast)
    less = next((words for beginning, words in LESS.items() if line.startswith(beginning)), "")
    words = [*shlex.split(line.removeprefix("~/letters/bin/").partition(" | ")[0].replace(*TOO_LONG)), *shlex.split(less)]
    monkeypatch.chdir(at_desk)
    code, out, err = typed_module(words) if words[0] == "python" else lettercast(*words[1:])
    if CAMERA.search(line):
        # With a camera it reads, and without it says what to do.
        assert code in (0, 2) and len(err.splitlines()) == code // 2, err
        return
    # A network of two epochs misses a floor of 95 %, and a machine with other work is slower than before.
    assert code == 0 or (code == 1 and ("--min-accuracy" in line or "--against" in line)), err
    assert out or "--record" in line


def prepare(line: str, folder: Path, lettercast: Callable) -> None:
    """Do what a command builds upon."""
    if "--against before.json" in line:
        assert lettercast("benchmark", "dist", "--json", "before.json", "--seconds", 0.05, "--tolerance", 500)[0] == 0
    if "--resume" in line:
        assert lettercast(*shlex.split(line)[1:-1], *shlex.split(LESS["lettercast train"]))[0] == 0
    if line.startswith("lettercast export"):
        shutil.rmtree(folder / "dist")


def typed_module(words: list[str]) -> tuple[int, str, str]:
    """Run `python -m` of a maintainer's command as a process, as people do."""
    if "peers" in words[2]:
        pytest.importorskip("rapidocr", reason="not installed: pip install 'lettercast[peers]'")
    done = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


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
    "name", sorted({found for line in COMMANDS for found in re.findall(r"-m (lettercast\.(?:benchmarks|train)[.\w]+)", line)})
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
    named = {line.split()[1] for line in COMMANDS if line.startswith("make ")}
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


def test_the_service_starts_what_there_is(root):
    service = configparser.ConfigParser(interpolation=None)
    service.optionxform = str
    service.read(root / "docs" / "lettercast.service")
    _, *words = shlex.split(service["Service"]["ExecStart"])
    options = build_parser().parse_args(words)
    assert (options.verb, options.serve, len(options.token) >= 8) == ("read", ("0.0.0.0", 8080), True)
    assert int(service["Service"]["SuccessExitStatus"]) == INTERRUPTED
    if shutil.which("systemd-analyze"):
        done = subprocess.run(
            ["systemd-analyze", "verify", root / "docs" / "lettercast.service"], capture_output=True, text=True, check=False
        )
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
