"""Reading with a list of words on generated pages."""

import numpy as np

from lettercast.benchmarks.pages.scoring import choose, kinds_of_words, main, score_kind
from lettercast.benchmarks.pages.writing import PenHand
from lettercast.runtime import Reader

WORDS = ["harbour", "lantern", "garden", "Wessel", "letter", "Almqvist", "window", "don't", "it"]


def test_every_other_word_is_kept_from_the_reader():
    kinds = kinds_of_words(WORDS, 0)
    assert kinds["in the list"] == ["harbour", "garden", "letter", "window"]
    assert kinds["not in the list"] == ["lantern", "Wessel", "Almqvist"]
    assert kinds["names not in the list"] == ["Wessel", "Almqvist"]
    assert all(word.isupper() for word in kinds["letters by chance"])


def test_a_list_mends_words_on_pages_and_leaves_others(pen):
    reader = Reader(words=WORDS)
    hands = [PenHand(pen)]
    known = score_kind(reader, hands, "in the list", ["harbour", "garden", "letter"], pages=3, seed=1)
    strange = score_kind(reader, hands, "chance", ["xqvuz", "bpkwtd", "zzhgo"], pages=3, seed=1)
    assert known.listed > known.read > 0
    assert known.wronged == strange.wronged == 0
    assert strange.listed == strange.read


def test_cases_of_words(pen):
    rng = np.random.default_rng(0)
    assert [choose(PenHand(pen), case, ["Anna"], rng) for case in ("upper", "title", "lower")] == ["ANNA", "Anna", "anna"]


def test_the_command_tells_what_is_no_list(tmp_path, capsys):
    assert main([str(tmp_path / "gone.txt")]) == 2
    assert "gone.txt" in capsys.readouterr().err
