"""Measuring how much a language helps on generated pages."""

import pytest

from lettercast.benchmarks.pages.language import kinds_of_words, main
from lettercast.train.fit_language import is_left_out

WORDS = [
    *("garden", "letter", "window", "morning", "evening", "paper", "pencil", "writing", "reading", "winter", "summer", "spring"),
    *("Anna", "Berta", "Clara", "Dora", "Emil", "Frieda", "Gustav", "Heinrich", "Ida", "Julius", "Konrad", "Ludwig", "Martha"),
    *(f"{head}{tail}" for head in ("over", "under", "out", "in", "up") for tail in ("come", "go", "take", "stand", "run", "lay")),
]


def test_pages_have_words_and_names_that_were_left_out_and_random_letters():
    kinds = kinds_of_words(WORDS, 0)
    assert list(kinds) == ["words", "names", "random letters"]
    assert all(map(is_left_out, kinds["words"] + kinds["names"]))
    assert not set(kinds["words"]) & set(kinds["random letters"])


def test_the_command_prints_a_line_for_each_kind(tmp_path, capsys):
    (tmp_path / "words.txt").write_text("\n".join(WORDS))
    assert main([str(tmp_path / "words.txt"), "en", "--model", "letters-nano", "--pages", "1"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    rates = {line[1]: line for line in lines if line[:1] == ["│"]}
    assert set(rates) == {"words", "names", "random"}
    assert float(rates["words"][-2]) <= 100


@pytest.mark.parametrize(("words", "language"), [("gone.txt", "en"), ("words.txt", "xx")])
def test_what_cannot_be_used_gives_one_line(tmp_path, monkeypatch, capsys, words, language):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.txt").write_text("\n".join(WORDS))
    assert main([words, language]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
