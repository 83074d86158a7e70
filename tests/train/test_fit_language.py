"""Fitting a language to a list of words."""

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.runtime.text.context import LABELS
from lettercast.runtime.text.language import load_language, weigh_word
from lettercast.train.fit_language import fit_language, is_left_out, main

SYLLABLES = ["ba", "du", "ki", "lo", "me"]


@pytest.fixture(scope="module")
def words() -> list[str]:
    """All words of four to five of these syllables, which have no R."""
    rng = np.random.default_rng(0)
    return sorted({"".join(rng.choice(SYLLABLES, rng.integers(4, 6))) for _ in range(6000)})


def test_a_fitted_language_prefers_what_its_words_are_made_of(words, tmp_path, capsys):
    listed = tmp_path / "words.txt"
    listed.write_text("\n".join(words), encoding="utf-8")
    assert main([str(listed), "xx", "--out", str(tmp_path / "letters-xx.npz")]) == 0
    assert "perplexity" in capsys.readouterr().out
    assert (tmp_path / "letters-xx.npz").stat().st_size < 100_000
    assert words[0].encode() not in (tmp_path / "letters-xx.npz").read_bytes()
    language = load_language(tmp_path / "letters-xx.npz")
    read = np.zeros((8, 26), np.float32)
    for row, letter in zip(read, "BADUKRLO", strict=True):
        row[LABELS.index(letter)] = 1
    read[5, [LABELS.index("R"), LABELS.index("I")]] = 0.6, 0.4
    settled = weigh_word(language, read, np.ones(8, bool))
    assert LABELS[settled[5].argmax()] == "I"


def test_the_perplexity_is_that_of_words_left_out(words):
    fitted = fit_language(words)
    assert fitted.words + fitted.left_out == len(words)
    assert fitted.left_out == sum(map(is_left_out, words))
    # Five syllables stand for two letters, and a word ends after some of them.
    assert 5**0.5 < fitted.perplexity < 5
    shuffled = fit_language(["".join(np.random.default_rng(i).permutation(list(word))) for i, word in enumerate(words)])
    assert shuffled.perplexity > fitted.perplexity


def test_accents_and_case_do_not_count(words):
    plain = fit_language(words)
    marked = fit_language([word.title().replace("e", "é") for word in words])
    assert (plain.steps == marked.steps).all()


def test_too_few_words_are_refused(tmp_path, capsys):
    with pytest.raises(LettercastError, match="too few"):
        fit_language(["one", "two"])
    (tmp_path / "few.txt").write_text("one\ntwo\n")
    assert main([str(tmp_path / "few.txt"), "xx", "--out", str(tmp_path / "out.npz")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "out.npz").exists()
