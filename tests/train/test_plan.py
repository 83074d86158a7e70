"""Settings of a training run, and its history."""

import hashlib
from dataclasses import replace

import pytest

from lettercast import LettercastError
from lettercast.train.data.pen import PenSource, load_pen
from lettercast.train.plan import CLUTTER_SHARE, PEAK_RATE, Epoch, Plan, fingerprint, read_history, write_history

PLAN = Plan("nano", 2, 3, 4, "pen", "pen")


def test_epoch_draws_as_many_letters_as_the_source_has_at_least_fifty_batches(strokes_source):
    assert Plan.of(strokes_source).steps == 50
    assert Plan.of(PenSource(load_pen(), "train")).steps == -(-26_000 // 128)


def test_settings_have_defaults_and_draw_seed_is_seed(strokes_source):
    assert Plan.of(strokes_source).letters == strokes_source.digest
    plan = Plan.of(strokes_source, seed=7, rate=None, clutter=None, draw_seed=None)
    assert (plan.rate, plan.clutter, plan.draw_seed) == (PEAK_RATE, CLUTTER_SHARE, 7)
    assert Plan.of(strokes_source, seed=7, draw_seed=0).draw_seed == 0
    assert Plan.of(strokes_source, clutter=0.0).clutter == 0


def test_saved_plan_is_loaded_unchanged(tmp_path):
    PLAN.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == PLAN


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"size": "nano", "colour": 3}'])
def test_file_that_is_not_a_plan_is_refused(text, tmp_path):
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(LettercastError, match=r"plan\.json: not the plan of a training run"):
        Plan.load(tmp_path / "plan.json")


def test_differences_of_plans_are_listed():
    assert PLAN.differences(PLAN) == ""
    assert PLAN.differences(replace(PLAN, epochs=9, rate=0.1)) == "epochs 2, not 9; rate 0.002, not 0.1"
    one, other = (replace(PLAN, letters=digit * 64) for digit in "ab")
    assert one.differences(other) == f"letters {'a' * 12}, not {'b' * 12}"


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"size": "base"}, True),
        ({"seed": 9}, True),
        ({"teacher": "ab"}, True),
        ({"data": "other/pen"}, True),
        ({"letters": "ab"}, False),
        ({"draw_seed": 9}, False),
        ({"clutter": 0.1}, False),
        ({"strength": 0.5}, False),
    ],
)
def test_plans_that_draw_the_same_share_drawings(change, same):
    assert (replace(PLAN, **change).drawings == PLAN.drawings) is same


@pytest.mark.parametrize(
    "setting", [{"clutter": 1.0}, {"clutter": -0.1}, {"rate": 0.0}, {"rate": 1.5}, {"strength": 1.1}, {"strength": -0.1}]
)
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(LettercastError, match=f"--{next(iter(setting))}.*: must be"):
        replace(PLAN, **setting)


def test_fingerprint_is_the_checksum_of_all_files(tmp_path):
    for name in "ab":
        (tmp_path / name).write_bytes(name.encode())
    assert fingerprint([tmp_path / "a", tmp_path / "b"]) == hashlib.sha256(b"ab").hexdigest()
    assert fingerprint([]) == ""
    with pytest.raises(LettercastError, match=r"gone: No such file or directory; give a .keras model"):
        fingerprint([tmp_path / "gone"])


def test_history_is_read_from_csv_unchanged(tmp_path):
    history = [Epoch(1, 2.5, 0.1, 3.125, 1 / 3), Epoch(2, 1.5, 0.2, 2.125, 2 / 3)]
    write_history(history, tmp_path / "history.csv")
    assert (tmp_path / "history.csv").read_text().splitlines()[0] == "epoch,loss,accuracy,val_loss,val_accuracy"
    assert read_history(tmp_path / "history.csv") == history


def test_of_epochs_with_the_same_accuracy_the_one_with_the_lower_loss_is_better():
    first, second, third = (Epoch(1, 1.0, 0.5, loss, accuracy) for loss, accuracy in ((0.4, 1.0), (0.3, 1.0), (0.1, 0.9)))
    assert second.is_better_than(first) and not first.is_better_than(second)
    assert first.is_better_than(third) and not third.is_better_than(first)
    assert not first.is_better_than(first)
