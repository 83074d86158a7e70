"""What the documents tell people to type to export, benchmark and bundle."""

import pytest
from documents.typed import check_typed, of_commands


@pytest.mark.parametrize("line", of_commands("export", "benchmark", "bundle"))
def test_exporting_and_benchmarking_work_as_they_are_typed(line, at_desk, lettercast, monkeypatch):
    check_typed(line, at_desk, lettercast, monkeypatch)
