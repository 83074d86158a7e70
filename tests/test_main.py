"""The command as a process: closed streams, early interrupts, the end."""

import os
import subprocess
import sys

import cv2
import pytest

from lettercast import DONE, INTERRUPTED, UNUSABLE

# An import that is interrupted, and says in the manner of compiled modules that it failed.
INTERRUPTED_IMPORT = """
import signal, sys

class Interrupting:
    def find_spec(self, name, *_):
        if name == interrupted:
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                raise ImportError(name=name)

interrupted = sys.argv.pop(1)
sys.meta_path.insert(0, Interrupting())
from lettercast.__main__ import run
run()
"""


def in_shell(redirection: str, *words: object) -> subprocess.CompletedProcess:
    """Run `lettercast` with streams redirected as a shell does it."""
    line = ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "lettercast", *map(str, words)]
    # What is printed may wait for the end of the process.
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(line, env=buffered, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_are_done_without(page_file, redirection):
    done = in_shell(redirection, "read", page_file, "--json")
    assert (done.returncode, done.stderr) == (DONE, "")
    assert ("ABC" in done.stdout) == (">&-" not in redirection.replace("2>&-", ""))


def test_a_film_is_not_written_over_by_what_was_meant_for_a_closed_stream(page_file, tmp_path):
    film = tmp_path / "film.avi"
    assert in_shell("<&- >&- 2>&-", "read", page_file, "--json", "--record", film).returncode == DONE
    assert cv2.VideoCapture(str(film)).read()[0]
    assert b'"source"' not in film.read_bytes()


@pytest.mark.parametrize("words", [("read", "gone.png"), ("raed",)])
def test_an_error_without_a_stderr_is_told_by_the_exit_code(words):
    done = in_shell("2>&-", *words)
    assert (done.returncode, done.stdout, done.stderr) == (UNUSABLE, "", "")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="no /dev/full here")
@pytest.mark.parametrize("words", [("read", "--json"), ("evaluate", "letters-nano", "--json", "--pages")])
def test_a_full_disk_is_said_in_one_line(page_file, tmp_path, words):
    (tmp_path / "labels.csv").write_text(f"file,text\n{page_file.name},ABC|DEF\n")
    done = in_shell(">/dev/full", *words, page_file if words[0] == "read" else tmp_path / "labels.csv")
    assert (done.returncode, done.stderr.splitlines()[-1:]) == (
        UNUSABLE,
        ["lettercast: input and output: No space left on device"],
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["lettercast.commands.cli", "cv2", "ai_edge_litert.interpreter"])
def test_an_interrupted_import_is_no_traceback_and_blames_no_package(page_file, name):
    line = [sys.executable, "-c", INTERRUPTED_IMPORT, name, "read", str(page_file), "--json"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (INTERRUPTED, "", "lettercast: interrupted\n")


def test_interrupts_that_are_ignored_stay_so(page_file):
    """As those of a shell's background jobs are."""
    line = [sys.executable, "-c", INTERRUPTED_IMPORT, "cv2", "read", str(page_file), "--json"]
    ignoring = (
        "import signal, subprocess, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); sys.exit(subprocess.call(sys.argv[1:]))"
    )
    done = subprocess.run([sys.executable, "-c", ignoring, *line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (DONE, "")
