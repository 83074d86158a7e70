"""The likeliest letters of a word in a language, and what it leaves alone."""

import json

import cv2
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.runtime import Reader, Tracker
from lettercast.runtime.text.context import LABELS
from lettercast.runtime.text.language import Language, known_languages, load_language, weigh_word


@pytest.fixture(scope="module")
def english() -> Language:
    return load_language("en")


def rows(text: str, doubts: dict[int, str] | None = None, share: float = 0.4) -> np.ndarray:
    """Probabilities of a text; doubts are other letters of some places, each with this share."""
    read = np.full((len(text), 26), 0.002, np.float32)
    for i, letter in enumerate(text):
        others = (doubts or {}).get(i, "")
        read[i, LABELS.index(letter)] = 1 - share * bool(others)
        for other in others:
            read[i, LABELS.index(other)] = share / len(others)
    return read / read.sum(1, keepdims=True)


def weighed(language: Language, read: np.ndarray, unknown: tuple[int, ...] = ()) -> str:
    settled = weigh_word(language, read, ~np.isin(np.arange(len(read)), unknown))
    return "".join(LABELS[i] for i in settled.argmax(1))


@pytest.mark.parametrize(
    ("read", "doubts", "word"),
    [
        ("LEARNLNG", {5: "I"}, "LEARNING"),
        ("QUESTIQN", {6: "O"}, "QUESTION"),
        ("GAPDEH", {2: "R", 5: "N"}, "GARDEN"),
        ("TFE", {1: "H"}, "THE"),
    ],
)
def test_alternatives_are_weighed_over_the_word(english, read, doubts, word):
    assert weighed(english, rows(read, doubts)) == word


@pytest.mark.parametrize("text", ["LEARNLNG", "XKQVBZ", "QX", "KRZYSZTOF"])
def test_what_is_seen_with_certainty_stays(english, text):
    assert weighed(english, rows(text)) == text


def test_a_letter_of_its_own_stays(english):
    for letter, other in ("LI", "JI", "QO"):
        read = rows(letter, {0: other}, 0.49)
        assert (weigh_word(english, read, np.array([True])) == read).all()


def test_doubtful_random_letters_hardly_change(english):
    rng = np.random.default_rng(0)
    changed = count = 0
    for _ in range(300):
        text = "".join(rng.choice(LABELS, rng.integers(3, 9)))
        place = int(rng.integers(len(text)))
        other = str(rng.choice([label for label in LABELS if label != text[place]]))
        changed += weighed(english, rows(text, {place: other}, 0.3)) != text
        count += 1
    assert changed <= 0.03 * count


def test_probabilities_of_known_letters_add_up_and_non_letters_stay(english):
    read = rows("LEARNLNG", {1: "C", 5: "IT"})
    settled = weigh_word(english, read, np.arange(8) != 3)
    assert settled.sum(1) == pytest.approx(1, abs=1e-5)
    assert (settled[3] == read[3]).all()
    assert weighed(english, read, unknown=(3,)) == "LEARNING"


def test_a_long_word_of_which_nothing_was_seen_has_probabilities_too(english):
    settled = weigh_word(english, np.full((40, 26), 1 / 26, np.float32), np.ones(40, bool))
    assert settled.sum(1) == pytest.approx(1, abs=1e-4)


def doubtful_page(draw_page, text: str, place: int, other: str, **options: str) -> tuple[Reader, Reader, np.ndarray]:
    """Readers with these options, without and with English, to which the letter at this place looks like another one."""
    image = draw_page(text)[0]

    class Doubting(Reader):
        def _settle(self, rows, images, boxes, words):
            settled = [line.copy() for line in super()._settle(rows, images, boxes, words)]
            settled[0][place] = 0
            settled[0][place, [LABELS.index(other), LABELS.index(text[place])]] = 0.6, 0.4
            return settled

    return Doubting(**options), Doubting(language="en", **options), image


def test_the_page_shows_the_result_and_keeps_what_was_seen(draw_page):
    plain, english, image = doubtful_page(draw_page, "GARDEN", 2, "P")
    before, page = plain.read(image), english.read(image)
    assert (before.text, before.seen_text) == ("GAPDEN", "GAPDEN")
    assert (page.text, page.seen_text) == ("GARDEN", "GAPDEN")
    changed = page.letters[2]
    assert changed.seen[:2] == (("P", pytest.approx(0.6)), ("R", pytest.approx(0.4)))
    assert changed.letter == "R" and changed.confidence > 0.5 and changed.alternatives[0][0] == "P"
    assert [one for one in page.letters if one != changed] == [one for i, one in enumerate(before.letters) if i != 2]
    line = page.to_dict()["lines"][0]
    assert (line["text"], line["seen"]) == ("GARDEN", "GAPDEN")
    assert [one.get("seen", [])[:1] for one in line["letters"]] == [[], [], [["P", 0.6]], [], [], []]
    assert "seen" not in before.to_dict()["lines"][0]


def test_the_case_that_was_written_stays_with_a_language(draw_page):
    plain, english, image = doubtful_page(draw_page, "GARDEN", 2, "P", case="written")
    before, page = plain.read(image), english.read(image)
    assert page.seen_text == before.text
    assert page.text.upper() == "GARDEN"
    assert [one.letter.isupper() for one in page.letters[:2]] == [one.letter.isupper() for one in before.letters[:2]]


def test_a_video_is_read_with_a_language(draw_page):
    _, english, image = doubtful_page(draw_page, "GARDEN", 2, "P")
    page = Tracker(english).read(image)
    assert (page.text, page.seen_text) == ("GARDEN", "GAPDEN")


def test_a_list_of_words_sees_the_same_with_and_without_a_language(draw_page):
    image = draw_page("GAXDEN")[0]
    plain, english = (Reader(words=["garden"], language=language).read(image) for language in (None, "en"))
    assert plain.lines[0].words[0].listed == english.lines[0].words[0].listed == "garden"
    assert plain.lines[0].words[0].probability == english.lines[0].words[0].probability


def test_other_languages_and_files_are_refused_in_one_line(refused, page_file, tmp_path):
    assert known_languages() == ["en"]
    assert "give en, or" in refused("read", page_file, "--language", "xx", "--no-window")
    for name, arrays in (("steps", np.zeros(5, np.uint8)), ("other", np.zeros(27**4, np.uint8)), ("steps", np.zeros(27**4))):
        np.savez_compressed(tmp_path / "odd.npz", **{name: arrays})
        assert "odd.npz: not a language" in refused("read", page_file, "--language", "odd.npz", "--no-window")
    (tmp_path / "odd.npz").write_text("no archive")
    with pytest.raises(LettercastError, match="not a language"):
        load_language(tmp_path / "odd.npz")


def test_the_command_reads_with_a_language(lettercast, draw_page, tmp_path):
    cv2.imwrite(str(tmp_path / "page.png"), draw_page("GARDEN")[0])
    code, out, _ = lettercast("read", "page.png", "--language", "en", "--json")
    assert (code, json.loads(out)["text"]) == (0, "GARDEN")
