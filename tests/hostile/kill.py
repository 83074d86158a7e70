"""Kill commands (with SIGKILL) at random moments while they write files, and look for broken files and lost epochs.

    PYTHONPATH=tests python -m hostile.kill train export benchmark record snapshot archive --times 100

All runs of a job share a folder, so that each run meets what the one before left behind.
"""

import argparse
import json
import random
import shutil
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
# Pages of an archive.
ARCHIVED = 40
SPARE_S = 600
# When a run is killed, as shares of the time of an undisturbed run; before that it only starts up and writes nothing.
MIN_KILL_SHARE, MAX_KILL_SHARE = 0.35, 1.02


@dataclass(frozen=True)
class Job:
    """A command to kill, given a folder, and a check that gets the folder and the output and returns what is broken.

    The command `once`, if there is one, first runs to its end, so that there are files to overwrite.
    """

    command: Callable[[Path], list[str]]
    broken: Callable[[Path, str], list[str]]
    once: Callable[[Path], list[str]] | None = None


def video(folder: Path) -> str:
    """Return a video, which is made once."""
    path = folder.parent / "video.avi"
    if not path.exists():
        page = np.full((*PAGE[::-1], 3), 235, np.uint8)
        cv2.putText(page, "LET", (60, 220), cv2.FONT_HERSHEY_SIMPLEX, 5, (30, 30, 30), 12)
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, PAGE)
        for _ in range(FRAMES):
            writer.write(page)
        writer.release()
    return str(path)


def training(folder: Path) -> list[str]:
    """Return the command of a training of many short epochs, which resumes an earlier one."""
    command = ["train", "--data", "pen", "--size", "nano", "--epochs", "400", "--steps", "4", "--out", "run"]
    return [*command, "--resume"] if (folder / "run" / "last.keras").exists() else command


def lost_epochs(folder: Path, output: str) -> list[str]:
    """Return which finished epochs a killed training lost."""
    import keras

    from lettercast.train.plan import read_history

    started = [int(line.split()[1]) for line in output.splitlines() if line.startswith("epoch ")]
    if not (folder / "run" / "last.keras").exists():
        return ["no finished epoch"] if started and started[-1] > 1 else []
    history = read_history(folder / "run" / "history.csv")
    faults = []
    for name in ("last.keras", "best.keras"):
        keras.saving.load_model(folder / "run" / name)
    finished = int(keras.saving.load_model(folder / "run" / "last.keras").optimizer.iterations) // 4
    if started and finished < started[-1] - 1:
        faults.append(f"epoch {started[-1]} had started, but only {finished} are saved")
    if not finished <= len(history) <= finished + 1:
        faults.append(f"{len(history)} epochs in the history, {finished} in the network")
    return faults


def broken_exports(folder: Path, output: str) -> list[str]:
    """Return which exported models cannot be used, or fail their golden cases."""
    faults = []
    for path in sorted((folder / "dist").glob("[!.]*")):
        if path.suffix in (".tflite", ".onnx"):
            engine = open_engine(path)
            if golden_path(path).exists() and replay(engine, load_golden(golden_path(path))).verdict != "equal":
                faults.append(f"{path.name} fails its golden cases")
    return faults


def broken_reports(folder: Path, output: str) -> list[str]:
    """Return which report of a benchmark is truncated."""
    if (folder / "r.json").exists():
        json.loads((folder / "r.json").read_text())
    page = folder / "r.html"
    return ["r.html is truncated"] if page.exists() and not page.read_text().rstrip().endswith("</html>") else []


def broken_video(folder: Path, output: str) -> list[str]:
    """Return the recording if it does not play."""
    path = folder / "out.mp4"
    return [f"{path.name} does not play"] if path.exists() and not plays(path) else []


def broken_images(folder: Path, output: str) -> list[str]:
    """Return which saved images are truncated."""
    paths = (folder / "seen").glob("[!.]*") if (folder / "seen").exists() else ()
    return [f"{path.name} is truncated" for path in paths if not path.read_bytes().endswith(b"IEND\xaeB`\x82")]


def archive(folder: Path) -> list[str]:
    """Return the command that reads an archive of pages, which are made once; it goes on with an earlier one."""
    pages = folder.parent / "pages"
    if not pages.exists():
        pages.mkdir()
        for number in range(ARCHIVED):
            page = np.full((*PAGE[::-1], 3), 235, np.uint8)
            cv2.putText(page, "LET", (60, 220), cv2.FONT_HERSHEY_SIMPLEX, 5, (30, 30, 30), 8 + number % 9)
            cv2.imwrite(str(pages / f"{number}.png"), page)
    return ["read", str(pages), "--out", "letters.parquet", "--model", "letters-nano", "--processes", "2"]


def lost_pages(folder: Path, output: str) -> list[str]:
    """Return which pages of a killed archive are there twice, or were there once and are gone; a finished one is removed."""
    import pyarrow.parquet

    found, seen = folder / "letters.parquet", folder.parent / "seen.txt"
    pages = [row for path in sorted((found / "pages").glob("[!.]*")) for row in pyarrow.parquet.read_table(path).to_pylist()]
    letters = [pyarrow.parquet.read_table(path).num_rows for path in sorted((found / "letters").glob("[!.]*"))]
    names = [Path(row["path"]).name for row in pages]
    faults = [f"{name} is there twice" for name in sorted(set(names)) if names.count(name) > 1]
    if len(letters) == len(list((found / "pages").glob("[!.]*"))) and sum(letters) != sum(row["letters"] for row in pages):
        faults.append("letters are missing")
    journal = (found / ".journal").read_bytes().split(b"\n")[:-1] if (found / ".journal").exists() else []
    there = {*names, *(Path(json.loads(line)["path"]).name for line in journal)}
    faults += [f"{name} is gone" for name in sorted(set(seen.read_text().split() if seen.exists() else ()) - there)]
    seen.write_text("\n".join(there))
    if len(names) == ARCHIVED:
        shutil.rmtree(found)
        seen.unlink()
    return faults


EXPORT = ["export", "letters-nano", "--formats", "tflite-float32,tflite-int8,onnx-float32", "--out", "dist", "--overwrite"]
JOBS = {
    "train": Job(training, lost_epochs),
    "export": Job(lambda folder: EXPORT, broken_exports),
    "benchmark": Job(
        lambda folder: ["benchmark", "dist", "--seconds", "0.05", "--json", "r.json", "--html", "r.html"],
        broken_reports,
        lambda folder: [*EXPORT[:3], "tflite-int8", *EXPORT[4:]],
    ),
    "record": Job(lambda folder: ["read", video(folder), "--json", "--record", "out.mp4", "--overwrite"], broken_video),
    "archive": Job(archive, lost_pages),
    "snapshot": Job(lambda folder: ["read", video(folder), "--json", "--save", "seen", "--overwrite"], broken_images),
}


def kill_often(job: Job, times: int, seed: int) -> list[str]:
    """Start and kill a job this often; return what was broken, and print how many runs were killed."""
    rng, faults, alive = random.Random(seed), [], 0
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent, "job")
        folder.mkdir()
        if job.once:
            run(job.once(folder), folder)
        whole = run(job.command(folder), folder, stop_after="epoch 5")
        for count in range(times):
            output, ended = killed(job.command(folder), folder, whole * rng.uniform(MIN_KILL_SHARE, MAX_KILL_SHARE))
            alive += not ended
            try:
                faults += [f"{count}: {fault}" for fault in job.broken(folder, output)]
            except Exception as error:
                faults.append(f"{count}: {type(error).__name__} {error}")
        left = [path for path in folder.rglob("*") if ".partial" in path.name]
        print(f"  killed {alive} of {times} runs of about {whole:.1f} s; {len(left)} unfinished files left behind")
    return faults


def run(command: list[str], folder: Path, stop_after: str = "") -> float:
    """Run a command to its end, or until it prints `stop_after`, and return the seconds; exit if it fails by itself."""
    began = time.monotonic()
    process = start(command, folder)
    output = ""
    for line in process.stdout:
        output += line
        if stop_after and line.startswith(stop_after):
            process.kill()
    if process.wait(SPARE_S) > 0:
        sys.exit(f"lettercast {' '.join(command)}: failed without being killed: {output}")
    return time.monotonic() - began


def killed(command: list[str], folder: Path, after_s: float) -> tuple[str, bool]:
    """Start a command and kill it; return its output, and whether it had ended before."""
    process = start(command, folder)
    try:
        return process.communicate(timeout=after_s)[0], True
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()[0], False


def start(command: list[str], folder: Path) -> subprocess.Popen:
    """Start lettercast in a folder, with stderr in stdout."""
    line = [sys.executable, "-u", "-m", "lettercast", *command]
    return subprocess.Popen(line, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def main() -> int:
    """Kill each job this often; return 1 if anything was broken."""
    parser = argparse.ArgumentParser(prog="python -m hostile.kill", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("jobs", nargs="+", choices=JOBS, metavar="JOB", help=", ".join(JOBS))
    parser.add_argument("--times", type=int, default=100, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    options = parser.parse_args()
    broken = 0
    for name in options.jobs:
        print(name, flush=True)
        faults = kill_often(JOBS[name], options.times, options.seed)
        broken += len(faults)
        print("\n".join(f"  broken {fault}" for fault in faults) or "  nothing broken", flush=True)
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
