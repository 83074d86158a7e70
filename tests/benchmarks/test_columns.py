"""What tables share."""

import pytest
from rich.table import Table

from lettercast.benchmarks.columns import fill, in_ms, known


@pytest.mark.parametrize(("value", "said"), [(0.01234, "0.012"), (9.9994, "9.999"), (12.34, "12.3"), (1234.5, "1234.5")])
def test_milliseconds_have_as_many_digits_as_they_are_worth(value, said):
    assert in_ms(value) == said


def test_what_is_not_known_is_a_dash_and_zero_is_known():
    assert known(None, str) == "-"
    assert known(0, str) == "0"


def test_only_the_columns_asked_for_are_shown_text_to_the_left():
    table = fill(
        Table(), {"model": lambda one: one[0], "ms": lambda one: str(one[1]), "kB": lambda one: "?"}, [("m", 3)], ("model", "ms")
    )
    assert [(column.header, column.justify, list(column.cells)) for column in table.columns] == [
        ("model", "left", ["m"]),
        ("ms", "right", ["3"]),
    ]
