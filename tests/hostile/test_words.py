"""Strange arguments on the command line: one line and exit code 2, at once."""

import io
import os
import socket
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lettercast.commands.cli import COMMANDS, build_parser

# Values that break careless programs, and valid ones.
NASTY = (
    "",
    " ",
    "-",
    "0",
    "-1",
    "1e999",
    "nan",
    "x" * 300,
    "a\nb",
    "\u202e",
    "é",
    "../..",
    "/",
    "*",
    "%s",
    "${HOME}",
    "[bold]",
    "1:2",
)
OPTIONS = (
    "--json",
    "--data",
    "--model",
    "--threads",
    "--serve",
    "--mqtt",
    "--webhook",
    "--queue",
    "--out",
    "--formats",
    "--epochs",
    "--rate",
    "--pages",
    "--labels",
)


@pytest.fixture
def odd(tmp_path) -> dict[str, Path]:
    """Paths that are not files: pipes, sockets, devices, broken links, an empty folder."""
    found = {
        name: tmp_path / name for name in ("pipe", "pipe.npz", "pipe.tflite", "pipe.keras", "socket", "loop", "gone", "empty")
    }
    for name in ("pipe", "pipe.npz", "pipe.tflite", "pipe.keras"):
        os.mkfifo(found[name])
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(found["socket"]))
    found["loop"].symlink_to("loop")
    found["gone"].symlink_to(tmp_path / "nowhere")
    found["empty"].mkdir()
    return found | {"zero": Path("/dev/zero"), "null": Path("/dev/null")}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="pipes and devices of Linux")
@pytest.mark.parametrize(
    "name", ["pipe", "pipe.npz", "pipe.tflite", "pipe.keras", "socket", "loop", "gone", "empty", "zero", "null"]
)
@pytest.mark.parametrize(
    "words",
    [
        ("read", "{}", "--json"),
        ("read", "page.png", "--json", "--model", "{}"),
        ("read", "page.png", "--words", "{}"),
        ("read", "page.png", "--webhook", "http://127.0.0.1:9/", "--webhook-token-file", "{}"),
        ("read", "page.png", "--mqtt", "mqtt://me@127.0.0.1:9", "--mqtt-password-file", "{}"),
        ("read", "page.png", "--webhook", "http://127.0.0.1:9/", "--queue", "{}"),
        ("classify", "{}", "--json"),
        ("classify", "page.png", "--model", "{}"),
        ("evaluate", "letters-nano", "--data", "{}"),
        ("evaluate", "letters-nano", "--pages", "{}"),
        ("evaluate", "{}"),
        ("export", "{}"),
        ("export", "letters-nano", "--check", "{}"),
        ("benchmark", "{}"),
        ("benchmark", "--original", "{}"),
        ("benchmark", "--against", "{}"),
        ("doctor", "{}", "--json"),
        ("bundle", "{}"),
        ("train", "--data", "{}"),
        ("train", "--init", "{}"),
    ],
    ids=" ".join,
)
def test_a_path_that_is_not_a_file_is_refused_at_once(words, name, odd, lettercast):
    code, out, err = lettercast(*(word.replace("{}", str(odd[name])) for word in words))
    assert code == 2
    assert (len(err.splitlines()) == 1 and out == "") or words[0] == "doctor", err
    assert "Errno" not in err


PARSER = build_parser()


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.sampled_from(COMMANDS), st.lists(st.sampled_from([*NASTY, *OPTIONS]), max_size=6))
def test_any_arguments_are_accepted_or_refused_in_one_line(command, words):
    printed = io.StringIO()
    try:
        with redirect_stderr(printed), redirect_stdout(io.StringIO()):
            PARSER.parse_args([command, *words])
    except SystemExit as left:
        assert left.code == 2 or {"-h", "--help", "--version"} & set(words)
        assert left.code == 0 or len(printed.getvalue().splitlines()) == 1
