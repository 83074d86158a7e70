"""What was read."""

from lettercast.runtime.text import Letter, Line, Page, Word


def word(text: str) -> Word:
    return Word(tuple(Letter(letter, 0.987654, (1, 2, 3, 4), (("X", 0.123456),)) for letter in text))


PAGE = Page((640, 480), (Line((word("I"), word("AM"))), Line((word("HERE"),))), 1.23456, 2.5)


def test_words_are_parted_by_spaces_and_lines_by_line_breaks():
    assert PAGE.text == "I AM\nHERE"
    assert [line.text for line in PAGE.lines] == ["I AM", "HERE"]


def test_letters_of_lines_and_pages_are_those_of_their_words():
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
