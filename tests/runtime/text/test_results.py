"""Letters, words, lines and pages as results of reading."""

from lettercast.runtime.text import Letter, Line, Page, Word


def word(text: str) -> Word:
    return Word(tuple(Letter(letter, 0.987654, (1, 2, 3, 4), (("X", 0.123456),)) for letter in text))


PAGE = Page((640, 480), (Line((word("I"), word("AM"))), Line((word("HERE"),))), 1.23456, 2.5)


def test_spaces_separate_words_and_line_breaks_lines():
    assert PAGE.text == "I AM\nHERE"
    assert [line.text for line in PAGE.lines] == ["I AM", "HERE"]


def test_lines_and_pages_have_the_letters_of_their_words():
    assert "".join(letter.letter for letter in PAGE.letters) == "IAMHERE"
    assert [len(line.letters) for line in PAGE.lines] == [3, 4]


def test_json_is_rounded_and_times_add_up():
    record = PAGE.to_dict()
    assert record["lines"][0]["letters"][0] == {
        "letter": "I",
        "confidence": 0.9877,
        "box": [1, 2, 3, 4],
        "alternatives": [["X", 0.1235]],
    }
    assert record["size"] == [640, 480]
    assert record["ms"] == {"segment": 1.235, "classify": 2.5, "total": 3.735}


def listed(text: str, word_of_list: str | None, probability: float) -> Word:
    return Word(word(text).letters, word_of_list, probability)


LISTED = Line((listed("1T", "it", 0.80004), listed("QX7", None, 0.1)))


def test_a_word_of_the_list_never_replaces_the_text():
    assert (LISTED.text, LISTED.listed_text) == ("1T QX7", "it QX7")
    assert Page((9, 9), (*PAGE.lines, LISTED), 0, 0).listed_text == "I AM\nHERE\nit QX7"


def test_shown_text_has_both_texts_if_they_differ():
    same = Line((listed("IT", "it", 0.9), listed("QX7", None, 0.1)))
    assert Page((9, 9), (*PAGE.lines, LISTED, same), 0, 0).shown_text == "I AM\nHERE\n1T QX7 -> it QX7\nIT QX7"


def test_json_has_words_only_with_a_list():
    assert list(PAGE.lines[0].to_dict()) == ["text", "letters"]
    assert LISTED.to_dict()["words"] == [
        {"text": "1T", "listed": "it", "probability": 0.8},
        {"text": "QX7", "listed": None, "probability": 0.1},
    ]
