"""Which constants matter: finding, scaling and changing them, and what their changes do."""

import json
from dataclasses import fields

import cv2
import numpy as np
import pytest

from lettercast.benchmarks.pages.conditions import take_page
from lettercast.benchmarks.pages.scenes import PLAIN
from lettercast.benchmarks.pages.sensitivity import (
    Change,
    Constant,
    Effect,
    Sample,
    changed,
    find_constants,
    gather_samples,
    listed_words,
    main,
    measure_change,
    read_baseline,
    run_sensitivity,
    scale,
    sensitivity_table,
    to_sample,
)
from lettercast.benchmarks.pages.writing import open_hands
from lettercast.runtime import Reader
from lettercast.runtime.arguments import device_model
from lettercast.runtime.page import find, ink


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """A page, one of its letters, and a frame of noise."""
    page = to_sample(take_page(open_hands("pen", "val"), PLAIN, "", 2, seed=0))
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    letter = cv2.rectangle(np.full((60, 60, 3), 230, np.uint8), (27, 10), (32, 50), (30, 30, 30), -1)
    return [page, Sample("letter", letter, "I"), Sample("frame", noise, "")]


def constant(name: str) -> Constant:
    (found,) = (one for one in find_constants() if one.name == name)
    return found


def test_every_field_of_every_tuned_instance_is_found_once():
    names = [one.name for one in find_constants()]
    assert len(names) == len(set(names)) > 100
    assert {f"ink.INK_TUNING.{one.name}" for one in fields(ink.INK_TUNING)} <= set(names)
    assert {name.partition(".")[0] for name in names} == {
        *("curves", "find", "ink", "join", "lines", "places", "printed", "quads", "rules", "split", "stacked", "strokes"),
        *("codes", "context", "language", "words", "reader"),
    }


@pytest.mark.parametrize(
    ("field", "value", "smaller", "larger"),
    [
        ("max_gap", 0.2, 0.2 / 1.5, 0.2 * 1.5),
        ("min_pieces", 3, 2, 4),
        ("max_sides", 1, 0, 2),
        ("same_style", 0.8, 0.8 / 1.5, 1 - 0.2 / 1.5),
        ("light_percentile", 99, 66, 100),
        ("spread", (0.1, 0.4), (0.1 / 1.5, 0.4 / 1.5), (0.1 * 1.5, 0.4 * 1.5)),
    ],
)
def test_scaled_values_keep_their_type_and_their_limit(field, value, smaller, larger):
    one = Constant("m", "TUNING", field, value)
    assert scale(one, 1 / 1.5) == pytest.approx(smaller)
    assert scale(one, 1.5) == pytest.approx(larger)
    assert type(scale(one, 1.5)) is type(value)


def test_a_changed_constant_is_changed_in_all_modules_and_restored():
    before = ink.INK_TUNING
    with changed(constant("ink.INK_TUNING.paper_side_px"), 99):
        assert ink.INK_TUNING.paper_side_px == find.INK_TUNING.paper_side_px == 99
    assert ink.INK_TUNING is find.INK_TUNING is before


def test_a_baseline_knows_which_constants_each_stage_reads(reader, samples):
    page, letter, _ = (read_baseline(reader, sample) for sample in samples)
    finding, joining, recognizing, composing = page.uses
    assert ("INK_TUNING", "darkness") in finding
    assert ("STACKED_TUNING", "min_height") in joining - finding
    assert ("SPLIT_TUNING", "max_confidence") in recognizing
    assert ("SPACING_TUNING", "spaces") in composing - finding - joining - recognizing
    assert ("CROP_TUNING", "min_speck_share") in letter.uses[0]
    assert not any(("CROP_TUNING", "min_speck_share") in stage for stage in page.uses)


@pytest.mark.parametrize(
    "name",
    [
        "ink.INK_TUNING.darkness",
        "split.SPLIT_TUNING.max_confidence",
        "lines.SPACING_TUNING.letters_apart",
        "find.FIND_TUNING.min_letter_px",
        "join.JOIN_TUNING.max_gap",
        "strokes.PIECES_TUNING.max_letter_edge_share",
    ],
)
def test_reading_only_the_stages_that_need_it_gives_the_same_as_reading_all(reader, samples, name):
    one = constant(name)
    before = [read_baseline(reader, sample) for sample in samples]
    quick = measure_change(reader, samples, one, 10.0, before)
    with changed(one, scale(one, 10.0)):
        full = [read_baseline(reader, sample) for sample in samples]
    assert quick.errors_differ == ([x.errors for x in full] != [x.errors for x in before])
    assert quick.output_differs == ([x.output for x in full] != [x.output for x in before])
    for measure, change in quick.changes.items():
        assert change == sum(x.errors.get(measure, 0) - y.errors.get(measure, 0) for x, y in zip(full, before, strict=True))


def test_a_threshold_that_rejects_all_letters_adds_as_many_errors(reader, samples):
    before = [read_baseline(reader, sample) for sample in samples]
    change = measure_change(reader, samples, constant("find.FIND_TUNING.min_letter_px"), 100.0, before)
    letters = len(samples[0].text.replace(" ", "").replace("|", ""))
    assert change.changes["pages"] == letters - before[0].errors["pages"]
    assert change.errors_differ and change.output_differs
    assert f"pages +{change.changes['pages']}" in str(change)


def test_a_value_that_fails_is_reported(reader, samples):
    before = [read_baseline(reader, sample) for sample in samples]
    change = measure_change(reader, samples, constant("ink.INK_TUNING.paper_window_px"), -1.0, before)
    assert str(change).startswith("fails: ")
    assert Effect(constant("ink.INK_TUNING.paper_window_px"), change, change).matters


def test_changes_are_described_by_what_differs():
    assert str(Change(1.0, {"cards": 2, "frames": 0}, True, True)) == "cards +2"
    assert str(Change(1.0, {"cards": 0}, True, True)) == "other errors"
    assert str(Change(1.0, {"cards": 0}, False, True)) == "same errors"
    assert str(Change(1.0, {"cards": 0}, False, False)) == "-"


def test_every_fourth_word_is_not_in_the_list():
    blank = np.zeros((1, 1), np.uint8)
    assert listed_words([Sample("page", blank, "ab cd|ef gh ij"), Sample("frame", blank, "")]) == ["CD", "EF", "GH"]


def test_samples_are_cards_pages_letters_and_frames(tmp_path, samples):
    cv2.imwrite(str(tmp_path / "card.png"), samples[0].image)
    (tmp_path / "labels.csv").write_text("file,text\ncard.png,AB|CD\n")
    made = gather_samples(cards=tmp_path / "labels.csv", spaced=1, frames=1, conditions=())
    assert {one.kind for one in made} == {"card", "page", "letter", "frame"}
    assert made[0].text == "AB|CD"
    assert all(len(one.text) == 1 for one in made if one.kind == "letter")


def test_results_come_with_the_most_important_constant_first(samples, printed):
    names = ("lines.SPACING_TUNING.any_gap", "ink.INK_TUNING.min_stroke_ratio")
    result = run_sensitivity(
        device_model("letters-nano"), samples, factor=50.0, constants=[constant(name) for name in names], processes=2
    )
    assert [one.constant.name for one in result.effects] == list(reversed(names))
    record = json.loads(json.dumps(result.to_dict()))
    assert record["samples"] == {"card": 0, "page": 1, "letter": 1, "frame": 1}
    assert record["constants"][0]["name"] == names[1]
    assert record["constants"][0]["larger"]["errors_differ"] is True
    assert names[1] in printed(sensitivity_table(result))


def test_the_command_refuses_a_factor_of_one_or_less(capsys):
    with pytest.raises(SystemExit):
        main(["--factor", "1"])
    assert "above 1" in capsys.readouterr().err


def test_the_command_names_an_unusable_file_in_one_line(capsys):
    assert main(["--cards", "gone.csv"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "gone.csv" in line
