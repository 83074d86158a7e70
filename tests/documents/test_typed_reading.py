"""What the documents tell people to type to read, and to run maintainers' programs."""

import pytest
from documents.typed import TYPED, check_typed, of_commands

OTHERS = ("train", "evaluate", "export", "benchmark", "bundle")
LINES = [line for line in TYPED if "--serve" not in line and line not in of_commands(*OTHERS)]


@pytest.mark.parametrize("line", LINES)
def test_reading_and_programs_work_as_they_are_typed(line, at_desk, lettercast, monkeypatch):
    check_typed(line, at_desk, lettercast, monkeypatch)
