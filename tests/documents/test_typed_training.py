"""What the documents tell people to type to train and evaluate."""

import pytest
from documents.typed import check_typed, of_commands


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("line", of_commands("train", "evaluate"))
def test_training_and_evaluating_work_as_they_are_typed(line, at_desk, lettercast, monkeypatch):
    check_typed(line, at_desk, lettercast, monkeypatch)
