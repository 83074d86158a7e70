"""Results of reading: letters, words, lines and pages."""

from dataclasses import dataclass, replace
from typing import Any

# Stands for what the model takes for a non-letter.
UNKNOWN = "?"

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Letter:
    """One letter: its label, probability 0..1, box (x, y, width, height) in pixels, and the next likeliest labels.

    If the model takes it for a non-letter, the label is `?`, the confidence is that of the likeliest label, and this label is
    the first of the alternatives. In a form with a box a letter, row and column count its boxes from 1, empty ones as well.
    If a language changed the letter, the values above are those with the language, and seen are the labels and probabilities
    without it, the likeliest first; else seen is empty.
    """

    letter: str
    confidence: float
    box: Box
    alternatives: tuple[tuple[str, float], ...] = ()
    row: int | None = None
    column: int | None = None
    seen: tuple[tuple[str, float], ...] = ()

    def in_small(self) -> "Letter":
        """Return the same letter with small letters as its labels."""
        others, seen = (tuple((name.lower(), share) for name, share in shares) for shares in (self.alternatives, self.seen))
        return replace(self, letter=self.letter.lower(), alternatives=others, seen=seen)

    @property
    def seen_letter(self) -> str:
        """The letter that was seen, before a language changed it."""
        return self.seen[0][0] if self.seen else self.letter

    def to_dict(self) -> dict[str, Any]:
        """Return the letter as in the JSON of a page."""
        record: dict[str, Any] = {
            "letter": self.letter,
            "confidence": round(self.confidence, 4),
            "box": list(self.box),
            "alternatives": [[name, round(probability, 4)] for name, probability in self.alternatives],
        }
        if self.row is not None:
            record |= {"row": self.row, "column": self.column}
        if self.seen:
            record["seen"] = [[name, round(probability, 4)] for name, probability in self.seen]
        return record


@dataclass(frozen=True)
class Word:
    """Letters from left to right without a space between them.

    If the reader has a list of words, listed is the word of the list that probably stands there, or None, and probability
    0..1 is that of the list's likeliest word. Without a list both are None.
    """

    letters: tuple[Letter, ...]
    listed: str | None = None
    probability: float | None = None

    @property
    def text(self) -> str:
        """The letters that were read."""
        return "".join(letter.letter for letter in self.letters)

    @property
    def seen_text(self) -> str:
        """The letters that were seen, before a language changed any."""
        return "".join(letter.seen_letter for letter in self.letters)

    def to_dict(self) -> dict[str, Any]:
        """Return the word as in the JSON of a page that was read with a list of words."""
        return {"text": self.text, "listed": self.listed, "probability": round(self.probability or 0.0, 4)}


@dataclass(frozen=True)
class Line:
    """Words from left to right."""

    words: tuple[Word, ...]

    @property
    def letters(self) -> tuple[Letter, ...]:
        return tuple(letter for word in self.words for letter in word.letters)

    @property
    def text(self) -> str:
        """The words that were read, with spaces between them."""
        return " ".join(word.text for word in self.words)

    @property
    def seen_text(self) -> str:
        """The same text as it was seen, before a language changed any letter."""
        return " ".join(word.seen_text for word in self.words)

    @property
    def listed_text(self) -> str:
        """The same text, with words of the list spelled as in the list."""
        return " ".join(word.listed or word.text for word in self.words)

    @property
    def shown_text(self) -> str:
        """The text and, if it differs, the text by the list of words, for people."""
        return self.text if self.listed_text.upper() == self.text.upper() else f"{self.text} -> {self.listed_text}"

    def to_dict(self) -> dict[str, Any]:
        """Return the line as in the JSON of a page; with words only if there is a list of them."""
        record: dict[str, Any] = {"text": self.text, "letters": [letter.to_dict() for letter in self.letters]}
        if self.seen_text != self.text:
            record["seen"] = self.seen_text
        if any(word.probability is not None for word in self.words):
            record["words"] = [word.to_dict() for word in self.words]
        return record


@dataclass(frozen=True)
class Page:
    """The lines that were read from one image of size (width, height), and the milliseconds that it took.

    If the image shows a form with a box a letter, the lines are the rows of its boxes, and outside are the lines of what stands
    in no box, such as captions. left_out counts the marks that look like no letters and stand beside none, so that they are not
    reported as such: digits, print, joined writing or texture.
    """

    size: tuple[int, int]
    lines: tuple[Line, ...]
    segment_ms: float
    classify_ms: float
    outside: tuple[Line, ...] = ()
    left_out: int = 0

    @property
    def letters(self) -> tuple[Letter, ...]:
        return tuple(letter for line in self.lines for letter in line.letters)

    @property
    def text(self) -> str:
        """The lines that were read, separated by line breaks; a list of words does not change them."""
        return "\n".join(line.text for line in self.lines)

    @property
    def seen_text(self) -> str:
        """The same text as it was seen, before a language changed any letter."""
        return "\n".join(line.seen_text for line in self.lines)

    @property
    def listed_text(self) -> str:
        """The same text, with words of the list spelled as in the list."""
        return "\n".join(line.listed_text for line in self.lines)

    @property
    def shown_text(self) -> str:
        """The text and, if it differs, the text by the list of words, for people."""
        return "\n".join(line.shown_text for line in self.lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the page as the JSON object that `lettercast read --json` prints."""
        ms = {"segment": self.segment_ms, "classify": self.classify_ms, "total": self.segment_ms + self.classify_ms}
        outside = {"outside": [line.to_dict() for line in self.outside]} if self.outside else {}
        return {
            "size": list(self.size),
            "text": self.text,
            "lines": [line.to_dict() for line in self.lines],
            **outside,
            "left_out": self.left_out,
            "ms": {stage: round(value, 3) for stage, value in ms.items()},
        }
