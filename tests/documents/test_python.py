"""The sections "From Python" of the documents run as they are written, with less work where they would take minutes."""

import re
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def run_examples(document: str, *less: tuple[str, str]) -> dict[str, Any]:
    """Run the Python of a document in the current folder, after replacements, and return the names that it leaves."""
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    (section,) = re.findall(r"^## From Python\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    for code in re.findall(r"^```python\n(.*?)^```", section, re.DOTALL | re.MULTILINE):
        assert all(long in code for long, _ in less)
        quick = reduce(lambda text, pair: text.replace(*pair), less, code)
        exec(compile(quick, document, "exec"), names)
    return names


@pytest.mark.usefixtures("at_desk")
def test_reading_an_image_and_a_video():
    names = run_examples("reading.md")
    assert names["page"].text == "ABC\nDEF"
    assert names["found"].label == "7"
    assert sorted(path.name for path in Path().glob("frame-*.png")) == [f"frame-{number}.png" for number in range(4)]


@pytest.mark.usefixtures("at_desk")
def test_fitting_the_shipped_model_and_measuring_it(capsys):
    names = run_examples("training.md", ("letters-base", "letters-nano"), ('", out=', '", epochs=1, steps=2, out='))
    assert names["run"].model == Path("runs/mine/model.keras") and names["run"].model.exists()
    assert names["result"].split == "test" and names["result"].labels == names["run"].facts.labels
    assert str(names["result"].accuracy) in capsys.readouterr().out


@pytest.mark.usefixtures("at_desk")
def test_measuring_exported_files(capsys):
    names = run_examples("benchmarks.md", ('data="my_letters/"', 'data="letters.npz", seconds=0.02'))
    # Its original is measured, too, if that is the shipped letters-nano, which a short training may keep as it is.
    assert [row.name for row in names["result"].rows][-1] == "letters-base-int8.tflite"
    page, out = Path("report.html").read_text(encoding="utf-8"), capsys.readouterr().out
    assert all(row.name in page and row.name in out for row in names["result"].rows)
