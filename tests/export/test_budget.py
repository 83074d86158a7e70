"""Budgets: the fastest file that is proven within a largest size and a largest accuracy drop, or the nearest one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.commands.cli import main
from lettercast.export import budget
from lettercast.export.budget import divergence, formats_within
from lettercast.export.devices import DEVICES
from lettercast.export.exporter import export
from lettercast.export.gate import PROVEN, UNPROVEN, Parity
from lettercast.export.repair.choice import Budget, Choice, name_of, pareto, speed_order
from lettercast.export.repair.recipe import INT4, INT8, Recipe
from lettercast.export.repair.tries import Try
from lettercast.runtime.model.engine import open_engine

# Points that 248 images in each half can prove although 4-bit weights change some answers of so small a network.
MAX_DROP = 10
FORMATS = ("tflite-float32", "tflite-int8")


def within(digits: Path, out: Path, max_size, **settings):
    given = {"check": digits / "digits.npz", "formats": FORMATS, "max_drop": MAX_DROP, "progress": False, **settings}
    return export(digits / "digits.keras", max_size=max_size, out=out, **given)


@pytest.fixture(scope="module")
def roomy(digits, tmp_path_factory):
    """What a budget finds on a device with a dot product if every size will do."""
    return within(digits, tmp_path_factory.mktemp("roomy"), "1M", devices="pi5")


@pytest.fixture(scope="module")
def small(digits, roomy, tmp_path_factory):
    """What a budget finds on this machine if the int8 file is a byte too large."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(budget, "TIMING_S", 0.1)
        return within(digits, tmp_path_factory.mktemp("small"), roomy.artifacts[0].size_bytes - 1)


def test_if_every_size_will_do_the_fastest_format_is_taken_in_its_own_way(roomy):
    (artifact,) = roomy
    assert roomy.passed
    assert artifact.verdict == PROVEN
    assert artifact.recipe is None
    assert [one.name for one in artifact.path.parent.glob("*.tflite")] == [artifact.path.name]
    assert artifact.format.name == "tflite-int8", "a Raspberry Pi 5 has a dot product"
    assert roomy.choice.tries[0].latency_ratio == 1, "others are multiples of the first"
    assert roomy.choice.timing == "modelled for Raspberry Pi 5", "no time of this machine chooses a file for another"


def test_a_smaller_size_is_met_with_4_bit_weights_and_proven(small, roomy):
    (artifact,) = small
    assert INT4 in artifact.recipe.layers.values()
    assert artifact.path.stat().st_size == artifact.size_bytes < roomy.artifacts[0].size_bytes
    assert artifact.verdict == PROVEN
    assert small.choice.kept.verdict == PROVEN


def test_it_is_proven_on_images_that_chose_nothing(small):
    (artifact,) = small
    kept = small.choice.kept
    assert artifact.parity == kept.proof
    assert (kept.parity.n + kept.proof.n, kept.proof.level) == (497, 97.5)


def test_its_facts_say_how_it_is_made_again_and_which_runtime_opens_it(small, digits, tmp_path):
    (artifact,) = small
    facts = open_engine(artifact.path).facts
    assert facts.recipe == artifact.recipe.to_dict()
    # Dense layers with 4 bits need a later one.
    assert facts.lowest_runtime in ("TFLite 2.11.0", "TFLite 2.19.0")
    settings = {"check": digits / "digits.npz", "max_drop": MAX_DROP, "progress": False}
    export(digits / "digits.keras", recipe=artifact.path, out=tmp_path, **settings)
    assert (tmp_path / artifact.path.name).read_bytes() == artifact.path.read_bytes()


def test_every_try_has_a_size_a_latency_and_a_drop_and_says_where_the_latency_comes_from(small):
    told = small.to_dict()["budget"]
    assert told["timing"].startswith("measured on ")
    assert all(one["size_bytes"] > 0 and one["latency_ratio"] > 0 for one in told["tried"])
    assert told["tried"][0]["latency_ratio"] == 1
    assert 0 < len(told["front"]) <= len(told["tried"])
    assert len({str(one["recipe"]) for one in told["tried"]}) == len(told["tried"]), "no file is tried twice"


def run_command(capsys, *words: object) -> tuple[int, str, str]:
    """Run the command in this process; returns its exit code, stdout and stderr."""
    try:
        code = main([str(word) for word in words])
    except SystemExit as end:
        code = end.code
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_a_budget_that_nothing_meets_names_the_nearest_file_and_writes_none(digits, tmp_path, capsys):
    code, out, err = run_command(
        capsys, "export", digits / "digits.keras", "--check", digits / "digits.npz", "--formats", "tflite-int8",
        "--max-size", "2.5k", "--max-drop", MAX_DROP, "--device", "pi4", "--out", tmp_path,
    )  # fmt: skip
    assert code == 1
    lines = [line for line in err.splitlines() if "nearest" in line]
    assert len(lines) == 1
    assert "no file of at most 2.5 kB is proven to lose at most 10 points; the nearest is tflite-int8" in lines[0]
    assert "modelled for Raspberry Pi 4" in " ".join(out.split())
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--max-size", "400x"), "'400x' is not a size such as 400k, 1.5M, 64KiB or 400000"),
        (("--max-size", "0"), "'0' is less than one byte"),
        (("--max-size", "1k", "--device", "pi4,pi5"), "one file is fastest on one device, not on 2"),
        (("--max-size", "1k", "--device", "pi9"), "unknown device 'pi9'"),
        (("--max-size", "1k", "--repair"), "leave out --repair"),
        (("--max-size", "1k", "--explain"), "--explain"),
        (("--finetune", "pen", "--formats", "tflite-float32,tflite-mobile"), "--finetune: only these formats"),
        (("--finetune", "pen", "--epochs", "1" * 30), "is more than 1,000,000,000"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_one_line(capsys, tmp_path, arguments, message):
    code, _, err = run_command(capsys, "export", *arguments, "--out", tmp_path)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_a_size_in_python_may_be_a_number_or_text(tmp_path):
    with pytest.raises(LettercastError, match="max_size: '-5' is not a size"):
        export(max_size=-5, out=tmp_path)


def test_a_device_takes_all_formats_of_its_engines_and_a_microcontroller_integers_alone():
    names = {device: {row.name for row in formats_within(DEVICES[device])} for device in ("pi4", "x86", "mcu")}
    assert names["mcu"] == {"tflite-int8", "tflite-int16x8"}
    assert {name.partition("-")[0] for name in names["pi4"]} == {"tflite"}
    assert {"tflite-dynamic", "onnx-dynamic"} <= names["x86"]
    assert "tflite-mobile" not in {row.name for row in formats_within(None)}, "it takes other images"


def tried(size: int, ratio: float | None, drop: float, layers: tuple[str, ...] = ()) -> Try:
    parity = Parity(100, 90.0, 90.0 - drop, drop, drop - 1, drop + 1, 99.0, 0.1)
    return Try(Recipe("tflite-int8", "", layers=dict.fromkeys(layers, INT4)), size, parity, UNPROVEN, ratio)


def test_the_front_is_what_no_other_beats_in_size_latency_and_drop():
    small, fast, exact = tried(10, 2.0, 1.0), tried(20, 0.5, 1.0), tried(20, 2.0, 0.0)
    beaten, equal = tried(21, 2.0, 0.5), tried(10, 2.0, 1.0, ("a",))
    assert pareto([beaten, exact, fast, small, equal]) == (small, equal, exact, fast)
    assert pareto([]) == ()


def test_files_of_the_same_speed_are_ordered_by_size():
    slow, fast, alike, unknown = tried(1, 1.3, 0), tried(30, 1.001, 0), tried(20, 1.002, 0), tried(1, None, 0)
    assert sorted([unknown, slow, fast, alike], key=speed_order) == [alike, fast, slow, unknown]


def test_the_nearest_file_misses_its_limits_by_the_smallest_factor():
    far, near = tried(300, 1.0, -0.5), tried(110, 1.0, 0.2, ("a",))
    choice = Choice(Budget(100), 0, (far, near), (), "measured on a CPU", 1.0)
    assert choice.nearest == near
    assert choice.describe_nearest().endswith(
        "the nearest is tflite-int8, 1 layer with 4-bit weights with 0.1 kB and a drop of 0.20 points (-0.80 to 1.20)"
    )
    assert "no format can hold this network" in replace(choice, tries=()).describe_nearest()
    early = replace(choice, budget=Budget(99), tries=(), is_interrupted=True).describe_nearest()
    assert early.startswith("the search was interrupted, and no file of at most 99 bytes")
    assert early.endswith("so far, because none was tried")


def test_names_say_the_format_and_what_differs_from_its_own_way():
    assert name_of(tried(1, 1, 0)) == "tflite-int8"
    assert name_of(tried(1, 1, 0, ("a", "b"))) == "tflite-int8, 2 layers with 4-bit weights"
    assert name_of(replace(tried(1, 1, 0), recipe=Recipe("tflite-dynamic", "", precision=INT8))) == "tflite-dynamic"


def test_divergence_is_zero_for_equal_answers_and_grows_with_the_difference():
    exact = np.float32([[0.9, 0.1], [0.5, 0.5]])
    assert divergence(exact, exact) == 0
    near, far = divergence(exact, np.float32([[0.8, 0.2], [0.5, 0.5]])), divergence(exact, np.float32([[0.1, 0.9], [1, 0]]))
    # 0.9 log(0.9/0.8) + 0.1 log(0.1/0.2), and nothing for the second image.
    assert near == pytest.approx((0.9 * np.log(9 / 8) - 0.1 * np.log(2)) / 2, rel=1e-5)
    assert near < far < np.inf
