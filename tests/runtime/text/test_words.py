"""A list of words, and the likeliest of them for the letters that were read."""

import json

import cv2
import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.runtime import Reader
from lettercast.runtime.text.context import LABELS
from lettercast.runtime.text.words import Match, WordList, find_word, load_words

WORDS = ["lantern", "letter", "later", "Zoë", "don't", "on", "A", "Harbour", "garden"]


@pytest.fixture(scope="module")
def words() -> WordList:
    return load_words(WORDS, LABELS)


def rows(text: str, **doubts: str) -> np.ndarray:
    """Probabilities of a text; a letter that is a key of doubts is any letter of its value, each equally likely."""
    read = np.zeros((len(text), 26), np.float32)
    for row, letter in zip(read, text, strict=True):
        choices = doubts.get(letter, letter)
        for choice in choices:
            row[LABELS.index(choice)] += 1 / len(choices)
    return read


def found(words: WordList, read: np.ndarray, unknown: tuple[int, ...] = ()) -> Match:
    return find_word(words, read, ~np.isin(np.arange(len(read)), unknown))


@pytest.mark.parametrize("word", WORDS)
def test_a_correctly_read_word_is_spelled_as_in_the_list(words, word):
    plain = word.upper().replace("Ë", "E").replace("'", "")
    match = found(words, rows(plain))
    assert match.word == word
    assert match.probability > 0.5


def test_probabilities_of_all_letters_decide(words):
    doubtful = rows("LETXER", X="XXXXXXXXT")
    impossible = rows("LETXER", X="XXXXXXXXQ")
    assert found(words, doubtful).word == "letter"
    assert found(words, doubtful).probability > found(words, impossible).probability


@pytest.mark.parametrize(("read", "word"), [("HABOUR", "Harbour"), ("HARBOIUR", "Harbour"), ("LANTEN", "lantern")])
def test_one_letter_may_be_missing_or_extra(words, read, word):
    assert found(words, rows(read)).word == word


def test_a_non_letter_may_be_any_letter(words):
    read = rows("GAXDEN")
    assert found(words, read, unknown=(2,)).word == "garden"
    assert found(words, read, unknown=(2,)).probability > found(words, read).probability


@pytest.mark.parametrize("text", ["XKQVBZ", "GERTRUD", "QX", "B", "LADDER"])
def test_names_and_codes_stay_unchanged(words, text):
    assert found(words, rows(text)).word is None


def test_random_strings_stay_unchanged():
    rng = np.random.default_rng(0)
    strings = ["".join(rng.choice(LABELS, rng.integers(3, 9))) for _ in range(3000)]
    listed = load_words(strings[:2800], LABELS)
    changed = [text for text in strings[2800:] if found(listed, rows(text)).word not in (None, text)]
    assert len(changed) <= 4


def test_a_large_list_gives_the_same_words_as_trying_each():
    rng = np.random.default_rng(1)
    strings = sorted({"".join(rng.choice(LABELS[:8], rng.integers(1, 8))) for _ in range(3000)})
    listed = load_words(strings, LABELS)
    assert len(listed) == len(strings)
    told = 0
    for _ in range(50):
        word = strings[rng.integers(len(strings))]
        read = 0.6 * rows(word) + 0.4 * rng.dirichlet(np.full(26, 0.1), len(word)).astype(np.float32)
        likely = max((s for s in strings if len(s) == len(word)), key=lambda s: np.log(joint(read, s)).sum())
        match = found(listed, read)
        assert match.word in (likely, None)
        told += match.word is not None
    assert told > 25


def joint(read: np.ndarray, word: str) -> np.ndarray:
    """The chance of each letter of the word, plus the chance that the model errs."""
    return read[np.arange(len(word)), [LABELS.index(letter) for letter in word]] + 2e-3


def test_a_list_without_words_of_this_length_gives_none():
    assert found(load_words(["abcdefgh"], LABELS), rows("ABC")) == Match(None, 0.0)


def test_a_file_may_have_comments_blank_lines_and_any_case(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes("\ufeff# names\r\n\r\nAnna # the first\r\n  bert\r\nANNA\r\nno.good\r\nÆgir\r\n".encode())
    listed = load_words(path, LABELS)
    assert len(listed) == 2
    assert found(listed, rows("ANNA")).word == "Anna"
    assert found(listed, rows("BERT")).word == "bert"


def test_of_words_with_the_same_letters_the_plain_one_is_found():
    assert found(load_words(["it's", "its"], LABELS), rows("ITS")).word == "its"


def test_words_may_have_the_labels_of_other_models():
    listed = load_words(["42", "Zz", "a1"], ("0", "1", "2", "4", "a", "Z", "z", "box"))
    assert len(listed) == 3
    assert listed.groups[2].letters.T.tolist() == [[3, 2], [4, 1], [5, 6]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"a\0b\n", "not text"),
        (b"", "no word"),
        (b"# only\n\n", "no word"),
        (b"123\n", "no word"),
    ],
)
def test_a_bad_file_gives_one_line_and_exit_code_2(refused, page_file, tmp_path, content, said):
    path = tmp_path / "words.txt"
    path.write_bytes(content)
    message = refused("read", page_file, "--words", path, "--no-window")
    assert said in message
    assert "words.txt" in message


@pytest.mark.parametrize("name", ["gone.txt", "."])
def test_an_unreadable_file_gives_one_line_and_exit_code_2(refused, page_file, name):
    assert name in refused("read", page_file, "--words", name, "--no-window")


def test_a_list_does_not_change_the_text(draw_page):
    image, _ = draw_page("GARDEN")
    plain, page = Reader().read(image), Reader(words=["garden", "letter"]).read(image)
    assert page.text == plain.text
    assert page.letters == plain.letters
    assert page.listed_text == "garden"
    assert plain.listed_text == plain.text
    with pytest.raises(LettercastError, match="no word"):
        Reader(words=[])


def test_json_of_the_command_has_words_only_with_a_list(lettercast, page_file, tmp_path):
    (tmp_path / "words.txt").write_text("abc\nxyz\n")
    listed = json.loads(lettercast("read", page_file, "--words", "words.txt", "--json")[1])
    plain = json.loads(lettercast("read", page_file, "--json")[1])
    assert all("words" not in line for line in plain["lines"])
    assert [line["text"] for line in listed["lines"]] == [line["text"] for line in plain["lines"]] == ["ABC", "DEF"]
    first, second = (line["words"] for line in listed["lines"])
    assert [(word["text"], word["listed"]) for word in first + second] == [("ABC", "abc"), ("DEF", None)]
    assert first[0]["probability"] > 0.5 > second[0]["probability"]


def test_the_command_prints_the_text_and_the_word_of_the_list(lettercast, draw_page, tmp_path):
    cv2.imwrite(str(tmp_path / "page.png"), draw_page("GAXDEN")[0])
    (tmp_path / "words.txt").write_text("garden\n")
    plain = lettercast("read", "page.png", "--no-window")[1].splitlines()[1]
    assert lettercast("read", "page.png", "--words", "words.txt", "--no-window")[1].splitlines()[1] == f"{plain} -> garden"
