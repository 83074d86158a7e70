"""Kill -9 whatever writes files at random moments, and look for a broken file under a final name, or a finished epoch lost.

    PYTHONPATH=tests python -m hostile.kill train export benchmark record snapshot --times 100

Every run of a kind goes on in the same folder, over what the one before left behind.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from lettercast.runtime.live.recorder import plays
from lettercast.runtime.model.engine import open_engine
from lettercast.runtime.model.golden import golden_path, load_golden, replay

PAGE, FRAMES = (480, 360), 60
SPARE_S = 600
# Where what is written is written, as shares of the time of an undisturbed run: the start is the same for all of them.
EARLIEST, LATEST = 0.35, 1.02


@dataclass(frozen=True)
class Work:
    """What is killed: its command in a folder, and what is broken in the folder afterwards, given all that it had said.

    Where `once` is given, it runs to its end first, to have something that is written over.
    """

    words: Callable[[Path], list[str]]
    broken: Callable[[Path, str], list[str]]
    once: Callable[[Path], list[str]] | None = None


def film(folder: Path) -> str:
    """Return a film that is made once."""
    path = folder.parent / "film.avi"
    if not path.exists():
        page = np.full((*PAGE[::-1], 3), 235, np.uint8)
        cv2.putText(page, "LET", (60, 220), cv2.FONT_HERSHEY_SIMPLEX, 5, (30, 30, 30), 12)
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, PAGE)
        for _ in range(FRAMES):
            writer.write(page)
        writer.release()
    return str(path)


def training(folder: Path, *words: str) -> list[str]:
    """Return the words of a training of many short epochs, that goes on where there is one."""
    words = ("train", "--data", "pen", "--size", "nano", "--epochs", "400", "--steps", "4", "--out", "run", *words)
    return [*words, "--resume"] if (folder / "run" / "last.keras").exists() else list(words)


def lost_epochs(folder: Path, said: str) -> list[str]:
    """Say what a killed training lost of what it had finished."""
    import keras

    from lettercast.train.plan import read_history

    begun = [int(line.split()[1]) for line in said.splitlines() if line.startswith("epoch ")]
    if not (folder / "run" / "last.keras").exists():
        return ["no finished epoch"] if begun and begun[-1] > 1 else []
    history = read_history(folder / "run" / "history.csv")
    faults = []
    for name in ("last.keras", "best.keras"):
        keras.saving.load_model(folder / "run" / name)
    finished = int(keras.saving.load_model(folder / "run" / "last.keras").optimizer.iterations) // 4
    if begun and finished < begun[-1] - 1:
        faults.append(f"epoch {begun[-1]} had begun, and {finished} are kept")
    if not finished <= len(history) <= finished + 1:
        faults.append(f"{len(history)} epochs in the history, {finished} in the network")
    return faults


def broken_exports(folder: Path, said: str) -> list[str]:
    """Say which models of an export cannot be used, or do not answer their golden cases."""
    faults = []
    for path in sorted((folder / "dist").glob("[!.]*")):
        if path.suffix in (".tflite", ".onnx"):
            engine = open_engine(path)
            if golden_path(path).exists() and replay(engine, load_golden(golden_path(path))).verdict != "equal":
                faults.append(f"{path.name} answers otherwise than its cases")
    return faults


def broken_reports(folder: Path, said: str) -> list[str]:
    """Say which report of a benchmark is cut off."""
    if (folder / "r.json").exists():
        json.loads((folder / "r.json").read_text())
    page = folder / "r.html"
    return ["r.html is cut off"] if page.exists() and not page.read_text().rstrip().endswith("</html>") else []


def broken_film(folder: Path, said: str) -> list[str]:
    """Say whether the film under its final name does not play."""
    path = folder / "out.mp4"
    return [f"{path.name} does not play"] if path.exists() and not plays(path) else []


def broken_pictures(folder: Path, said: str) -> list[str]:
    """Say which saved picture cannot be read to its end."""
    paths = (folder / "seen").glob("[!.]*") if (folder / "seen").exists() else ()
    return [f"{path.name} is cut off" for path in paths if not path.read_bytes().endswith(b"IEND\xaeB`\x82")]


EXPORT = ["export", "letters-nano", "--formats", "tflite-float32,tflite-int8,onnx-float32", "--out", "dist", "--overwrite"]
WORKS = {
    "train": Work(training, lost_epochs),
    "export": Work(lambda folder: EXPORT, broken_exports),
    "benchmark": Work(
        lambda folder: ["benchmark", "dist", "--seconds", "0.05", "--json", "r.json", "--html", "r.html"],
        broken_reports,
        lambda folder: [*EXPORT[:3], "tflite-int8", *EXPORT[4:]],
    ),
    "record": Work(lambda folder: ["read", film(folder), "--json", "--record", "out.mp4", "--overwrite"], broken_film),
    "snapshot": Work(lambda folder: ["read", film(folder), "--json", "--save", "seen", "--overwrite"], broken_pictures),
}


def kill_often(work: Work, times: int, seed: int) -> list[str]:
    """Start and kill a work so often; returns what was broken, and prints what moments were met."""
    rng, faults, alive = random.Random(seed), [], 0
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent, "work")
        folder.mkdir()
        if work.once:
            run(work.once(folder), folder)
        whole = run(work.words(folder), folder, stop_after="epoch 5")
        for count in range(times):
            said, ended = killed(work.words(folder), folder, whole * rng.uniform(EARLIEST, LATEST))
            alive += not ended
            try:
                faults += [f"{count}: {fault}" for fault in work.broken(folder, said)]
            except Exception as error:
                faults.append(f"{count}: {type(error).__name__} {error}")
        left = [path for path in folder.rglob("*") if ".partial" in path.name]
        print(f"  killed {alive} of {times} before their end, of about {whole:.1f} s; {len(left)} unfinished files left behind")
    return faults


def run(words: list[str], folder: Path, stop_after: str = "") -> float:
    """Run a command to its end, or until it says a word, and return the seconds; it must not fail by itself."""
    began = time.monotonic()
    process = start(words, folder)
    said = ""
    for line in process.stdout:
        said += line
        if stop_after and line.startswith(stop_after):
            process.kill()
    if process.wait(SPARE_S) > 0:
        sys.exit(f"lettercast {' '.join(words)}: failed undisturbed: {said}")
    return time.monotonic() - began


def killed(words: list[str], folder: Path, after_s: float) -> tuple[str, bool]:
    """Start a command and kill it; returns what it said until then, and whether it had ended before."""
    process = start(words, folder)
    try:
        return process.communicate(timeout=after_s)[0], True
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()[0], False


def start(words: list[str], folder: Path) -> subprocess.Popen:
    """Start lettercast in a folder, with its two streams in one."""
    line = [sys.executable, "-u", "-m", "lettercast", *words]
    return subprocess.Popen(line, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def main() -> int:
    """Kill each work so often; returns 1 where anything was broken."""
    parser = argparse.ArgumentParser(prog="python -m hostile.kill", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("works", nargs="+", choices=WORKS, metavar="WORK", help=", ".join(WORKS))
    parser.add_argument("--times", type=int, default=100, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    options = parser.parse_args()
    broken = 0
    for name in options.works:
        print(name, flush=True)
        faults = kill_often(WORKS[name], options.times, options.seed)
        broken += len(faults)
        print("\n".join(f"  broken {fault}" for fault in faults) or "  nothing broken", flush=True)
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
