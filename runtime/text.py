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
    """Letters from left to right with no gap of a word between them."""

    letters: tuple[Letter, ...]

    @property
    def text(self) -> str:
        return "".join(letter.letter for letter in self.letters)


@dataclass(frozen=True)
class Line:
    """Words from left to right."""

    words: tuple[Word, ...]

    @property
    def letters(self) -> tuple[Letter, ...]:
        return tuple(letter for word in self.words for letter in word.letters)

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)

    def to_dict(self) -> dict[str, Any]:
        """Return the line as JSON has it."""
        return {"text": self.text, "letters": [letter.to_dict() for letter in self.letters]}


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
        return "\n".join(line.text for line in self.lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the page as the JSON object that `lettercast read --json` prints."""
        ms = {"segment": self.segment_ms, "classify": self.classify_ms, "total": self.segment_ms + self.classify_ms}
        return {
            "size": list(self.size),
            "text": self.text,
            "lines": [line.to_dict() for line in self.lines],
            "ms": {stage: round(value, 3) for stage, value in ms.items()},
        }
