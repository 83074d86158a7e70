"""What was read: letters, words, lines and pages."""

from dataclasses import dataclass
from typing import Any

# What stands for something that the model takes for no letter.
UNKNOWN = "?"

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Letter:
    """One letter: its label, probability 0..1, box (x, y, width, height) in pixels, and the next guesses.

    Where the model is less sure than its facts ask for, the label is `?`, the confidence that of the likeliest
    guess, and that guess stands first among the alternatives.
    """

    letter: str
    confidence: float
    box: Box
    alternatives: tuple[tuple[str, float], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the letter as JSON has it."""
        return {
            "letter": self.letter,
            "confidence": round(self.confidence, 4),
            "box": list(self.box),
            "alternatives": [[name, round(probability, 4)] for name, probability in self.alternatives],
        }


@dataclass(frozen=True)
class Word:
    """Letters from left to right with no gap of a word between them.

    Where the reader has a list of words, listed is the word of the list that probably stands there, None where none does,
    and probability 0..1 that of the list's likeliest word; without a list probability is None, too.
    """

    letters: tuple[Letter, ...]
    listed: str | None = None
    probability: float | None = None

    @property
    def text(self) -> str:
        """What was read."""
        return "".join(letter.letter for letter in self.letters)

    def to_dict(self) -> dict[str, Any]:
        """Return the word as JSON has it where there is a list of words."""
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
        """What was read, with spaces between words."""
        return " ".join(word.text for word in self.words)

    @property
    def listed_text(self) -> str:
        """The same with each word that probably stands in the list as the list writes it."""
        return " ".join(word.listed or word.text for word in self.words)

    @property
    def shown_text(self) -> str:
        """What was read, and what the list makes of it where that is something else, for a person."""
        return self.text if self.listed_text.upper() == self.text.upper() else f"{self.text} -> {self.listed_text}"

    def to_dict(self) -> dict[str, Any]:
        """Return the line as JSON has it; words are told where there is a list of them."""
        record: dict[str, Any] = {"text": self.text, "letters": [letter.to_dict() for letter in self.letters]}
        if any(word.probability is not None for word in self.words):
            record["words"] = [word.to_dict() for word in self.words]
        return record


@dataclass(frozen=True)
class Page:
    """What was read from one image of size (width, height), and how many milliseconds it took."""

    size: tuple[int, int]
    lines: tuple[Line, ...]
    segment_ms: float
    classify_ms: float

    @property
    def letters(self) -> tuple[Letter, ...]:
        return tuple(letter for line in self.lines for letter in line.letters)

    @property
    def text(self) -> str:
        """What was read, line by line; a list of words changes nothing in it."""
        return "\n".join(line.text for line in self.lines)

    @property
    def listed_text(self) -> str:
        """The same with each word that probably stands in the list as the list writes it."""
        return "\n".join(line.listed_text for line in self.lines)

    @property
    def shown_text(self) -> str:
        """What was read, and what the list makes of it where that is something else, for a person."""
        return "\n".join(line.shown_text for line in self.lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the page as the JSON object that `lettercast read --json` prints."""
        ms = {"segment": self.segment_ms, "classify": self.classify_ms, "total": self.segment_ms + self.classify_ms}
        return {
            "size": list(self.size),
            "text": self.text,
            "lines": [line.to_dict() for line in self.lines],
            "ms": {stage: round(value, 3) for stage, value in ms.items()},
        }
