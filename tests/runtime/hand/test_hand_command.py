"""The command `hand`, and --hand of the others."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from runtime.hand.writer import every

from lettercast.commands.cli import main


@pytest.fixture
def folder(mirrored, tmp_path):
    """A folder of class folders, dark ink on white paper."""
    for i, (image, label) in enumerate(zip(*every(6, mirrored), strict=True)):
        path = tmp_path / "letters" / label.lower() / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.copyMakeBorder(255 - image, 6, 6, 6, 6, cv2.BORDER_CONSTANT, value=255))
    return tmp_path / "letters"


def test_a_hand_is_learned_shown_listed_used_and_deleted(folder, capsys, hands):
    assert main(["hand", "mine", "--from", str(folder), "--model", "letters-nano"]) == 0
    assert "156 letters for letters-nano" in capsys.readouterr().out
    assert main(["hand"]) == 0
    assert "mine: 156 letters for letters-nano" in capsys.readouterr().out
    assert main(["hand", "mine", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["history"][0]["held_out"] == 156
    image = next((folder / "k").iterdir())
    assert main(["classify", str(image), "--model", "letters-nano", "--hand", "mine"]) == 0
    assert main(["read", str(image), "--model", "letters-nano", "--hand", "mine", "--json"]) == 0
    capsys.readouterr()
    assert main(["read", str(image), "--hand", "mine", "--json"]) == 2
    assert "learned for letters-nano, not letters-base" in capsys.readouterr().err
    assert main(["hand", "base", "--from", "mine"]) == 0
    assert "156 letters for letters-base" in capsys.readouterr().out
    assert main(["doctor"]) == 0
    assert "mine: 156 letters for letters-nano" in capsys.readouterr().out
    assert main(["hand", "mine", "--undo"]) == 0
    assert main(["hand", "base", "--delete"]) == 0
    assert list(hands.glob("*.hand")) == []


def test_evaluate_measures_a_hand(folder, capsys):
    main(["hand", "mine", "--from", str(folder), "--model", "letters-nano"])
    capsys.readouterr()
    accuracies = []
    for words in ([], ["--hand", "mine"]):
        assert main(["evaluate", "letters-nano", "--data", str(folder), "--split", "all", "--json", *words]) == 0
        accuracies.append(json.loads(capsys.readouterr().out)["accuracy"])
    assert accuracies[1] > accuracies[0]


def test_a_bundle_reads_with_the_hand_inside(folder, tmp_path, capsys):
    main(["hand", "mine", "--from", str(folder), "--model", "letters-nano"])
    program = tmp_path / "reader.pyz"
    assert main(["bundle", "letters-nano", "--hand", "mine", "--out", str(program)]) == 0
    image = next((folder / "k").iterdir())
    capsys.readouterr()
    assert main(["read", str(image), "--model", "letters-nano", "--hand", "mine", "--json"]) == 0
    here = json.loads(capsys.readouterr().out)
    done = subprocess.run([sys.executable, program, image, "--json"], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert json.loads(done.stdout)["lines"] == here["lines"]
    assert main(["bundle", "letters-base", "--hand", "mine", "--out", str(program), "--overwrite"]) == 2
    assert main(["bundle", "letters-nano", "--hand", "mine", "--target", "web", "--out", str(tmp_path / "web")]) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["hand", "mine"], "no such hand"),
        (["hand", "--undo"], "say which one"),
        (["hand", "mine", "--from", "nowhere"], "no such folder"),
        (["hand", "mi*ne"], "a name consists of"),
        (["read", "--hand", "mine", "x.png"], "no such hand"),
        (["read", "--hand", "mine", "x.png", "--out", "x.parquet"], "--hand"),
    ],
)
def test_bad_input_is_one_line(words, said, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_what_does_not_help_is_not_kept(folder, capsys, hands):
    images = sorted(folder.glob("*/*.png"))
    for i, place in enumerate(np.random.default_rng(1).permutation(len(images))):
        images[i].rename(images[place].parent / f"shuffled{i}.png")
    assert main(["hand", "mine", "--from", str(folder)]) == 1
    assert "there is no hand, because" in capsys.readouterr().err
    assert not list(hands.glob("*.hand"))
