"""What the documents and the help tell people to type: found, made quick, and typed."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from lettercast.benchmarks.publish import find_mosquitto
from lettercast.commands.cli import COMMANDS
from lettercast.runtime.hand import hands_folder, learn_hand, save_hand
from lettercast.runtime.model.engine import open_engine
from lettercast.runtime.reader import DEFAULT_MODEL
from lettercast.train.data.open import open_source
from lettercast.train.data.source import draw_all

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "RELEASE.md", "examples/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
FENCED, INDENTED, INLINE = r"^```(?P<language>\w*)\n(?P<block>.*?)^```", r"^    (?P<indented>\S[^\n]*)$", r"`(?P<inline>[^`\n]+)`"
CODE = re.compile(f"{FENCED}|{INDENTED}|{INLINE}", re.DOTALL | re.MULTILINE)
# Commands of other programs and other machines, and those that the tests' own make target runs.
OUTSIDE = re.compile(
    r"(sudo|apt|ssh|scp|jq|make|journalctl|python3 -m venv|rpicam-hello|heif-convert|~/letters/bin/pip|pip|git|\.venv)\b"
)
OURS = re.compile(r"((~/letters|\.venv)/bin/)?lettercast \S|python -m lettercast\.")
# Names that stand for anything, so the line is not typed as it is.
PLACEHOLDER = re.compile(r"…|\.\.\.|\b(MODEL|FILE|DIR|OLD\.json|FILM|VIDEO|PERCENT|WORD|COMMAND)\b|KERAS_BACKEND")
# The same command with less work: the first entry whose beginning fits is added to it.
LESS = {
    "lettercast train": "--epochs 1 --steps 2",
    "lettercast export letters-nano": "--check strokes.npz --max-drop 5 --min-agreement 90",
    "lettercast export --formats": "--check strokes.npz --max-drop 5 --min-agreement 90",
    "lettercast export my.keras --check my_letters/ --max-size": "--formats tflite-float32",
    "lettercast export my.keras": "--formats tflite-float32",
    "lettercast export digits.keras": "--formats tflite-float32,onnx-float32",
    "lettercast export --check": "--formats tflite-int8",
    "lettercast export": "--formats tflite-int8 --check strokes.npz --max-drop 5 --min-agreement 90",
    "lettercast benchmark dist --also": "--seconds 0.02 --data letters.npz",
    "lettercast benchmark dist": "--seconds 0.05 --data letters.npz",
    "lettercast benchmark": "--seconds 0.05",
    "lettercast read": "--max-frames 2",
    "python -m lettercast.benchmarks.pages.conditions": "--pages 1 --only folds",
    "python -m lettercast.benchmarks.pages.scoring": "--pages 1",
    "python -m lettercast.benchmarks.pages.sensitivity": "--pages 1 --frames 1 --only Glyph",
    "python -m lettercast.benchmarks.pages.blank": "--frames 4",
    "python -m lettercast.benchmarks.pages.found": "--letters 40",
    "python -m lettercast.benchmarks.leave_out": "--epochs 1 --steps 2",
    "python -m lettercast.benchmarks.sheets": "--photos 1",
    "python -m lettercast.benchmarks.crossed": "--sheets 1",
    "python -m lettercast.benchmarks.archives": "--pages 3 --rounds 1 --model letters-nano",
    "python -m lettercast.benchmarks.soak": "--hours 0.0003",
    "python -m lettercast.benchmarks.publish": "--kills 1 --backlog 20",
    "python -m lettercast.train.fit_case": "--out case.npz",
    "python -m lettercast.train.fit_hand": "--out writers.npz",
}
# Pages of 500 letters and photographs of 12 megapixels take minutes; the tests of that measurement read smaller ones.
TOO_LONG = ("limit,reader", "limit")
CAMERA = re.compile(r"read( 0| picamera)?( -| \||$)")
# Programs that need another machine's files or many minutes; their own tests run them.
ELSEWHERE = ("emulated_pi", "model_card", "sensitivity", "--data emnist")


def find_commands() -> list[str]:
    """Return every command line that the help and the documents show, once."""
    found = dict.fromkeys(examples_of_the_help())
    for document in DOCUMENTS:
        for code in CODE.finditer(document.read_text(encoding="utf-8")) if document.exists() else ():
            lines = (code["block"] or "").splitlines() if not code["language"] else ()
            # The name of a command within a sentence is not typed.
            inline = code["inline"] if (code["inline"] or "").count(" ") > 1 else ""
            for line in (*lines, code["indented"] or inline or ""):
                typed = re.split(r"\s#|\s{3,}", line.strip())[0].strip()
                if (OURS.match(typed) or (OUTSIDE.match(typed) and " " in typed)) and not PLACEHOLDER.search(typed):
                    found[typed] = None
    return list(found)


def examples_of_the_help() -> list[str]:
    """Return the command lines that `--help` shows, of `lettercast` itself and of each command."""
    modules = ["lettercast.commands.cli", *(f"lettercast.commands.{command}" for command in COMMANDS)]
    lines = [line.strip() for name in modules for line in import_module(name).EXAMPLES.splitlines()]
    return [re.split(r"\s{2,}", line)[0] for line in lines if line.startswith("lettercast ") and "COMMAND" not in line]


LINES = find_commands()
# Lines that differ in numbers only, such as seeds, are typed once.
UNIQUE = {re.sub(r"(?<= )\d+(?= |$)", "N", line): line for line in reversed(LINES)}
TYPED = [line for line in LINES if line in UNIQUE.values() and OURS.match(line) and not any(name in line for name in ELSEWHERE)]


def of_commands(*names: str) -> list[str]:
    """Return the lines that are typed for some commands of lettercast."""
    return [line for line in TYPED if "--serve" not in line and re.search(rf"lettercast ({'|'.join(names)})\b", line)]


def check_typed(line: str, desk: Path, lettercast: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Type a line at the desk, with less work, and see that it does what it should."""
    if "--target web" in line and shutil.which("npm") is None:
        pytest.skip("no npm here: apt install npm")
    monkeypatch.chdir(desk)
    prepare(line, desk, lettercast)
    plain = re.sub(r"^(~/letters|\.venv)/bin/", "", re.split(r" [|>] ", line)[0])
    less = next((words for beginning, words in LESS.items() if plain.startswith(beginning)), "")
    words = [*shlex.split(plain.replace(*TOO_LONG)), *shlex.split(less)]
    if words[:2] == ["lettercast", "train"] and not {"--size", "--init"} & set(words):
        words += ["--size", "nano"]
    monkeypatch.chdir(desk)
    code, out, err = run_module(words) if words[0] == "python" else lettercast(*words[1:])
    if CAMERA.search(line):
        # With a camera it reads, and without one it says what to do.
        assert code in (0, 2) and len(err.splitlines()) == code // 2, err
        return
    # A network of two epochs misses a threshold of 95 %, few letters prove little, a busy machine is slower than before, and the
    # letters of the built-in pen are read already.
    assert code == 0 or (
        code == 1 and re.search(r"--(min-accuracy|against|require-proof)|lettercast learn|hand \w+ --from", line)
    ), err
    assert out or "--record" in line


def prepare(line: str, folder: Path, lettercast: Callable) -> None:
    """Do what a command builds upon."""
    if "--against before.json" in line:
        words = ("--data", "letters.npz", "--seconds", 0.05, "--tolerance", 500)
        assert lettercast("benchmark", "dist", "--json", "before.json", *words)[0] == 0
    if "--resume" in line:
        words = shlex.split(line)[1:]
        words.remove("--resume")
        size = [] if "--init" in words else ["--size", "nano"]
        assert lettercast(*words, *shlex.split(LESS["lettercast train"]), *size)[0] == 0
    if "review letters.parquet" in line:
        assert lettercast("read", "scans", "--out", "letters.parquet", "--processes", 1)[0] == 0
    if re.search(r"hand mine(?! --from)|--from mine|--undo", line):
        learn_mine()
    if "lettercast export" in line:
        shutil.rmtree(folder / "dist")


def learn_mine() -> None:
    """Save a hand of the built-in pen, whether it helps or not."""
    source = open_source("pen", "val")
    hand = learn_hand(draw_all(source), [source.classes[i] for i in source.labels], open_engine(DEFAULT_MODEL))
    save_hand(hand, hands_folder() / "mine.hand")


def run_module(words: list[str]) -> tuple[int, str, str]:
    """Run `python -m` of a maintainer's program as a process, as people do."""
    if "peers" in words[2]:
        pytest.importorskip("rapidocr", reason="not installed: pip install 'lettercast[peers]'")
    if "lettercast.benchmarks.publish" in words and not find_mosquitto():
        pytest.skip("no mosquitto here: apt install mosquitto")
    done = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr
