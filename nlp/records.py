"""What passes between the steps. All frozen; offsets are half-open code points."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import NamedTuple

from otklik.taxonomy.model import Severity


@dataclass(frozen=True, slots=True, eq=False)
class Word:
    """What is known of a word form, once per form and so compared by identity. ``readings``: (lemma, grammemes), the likeliest first."""

    norm: str
    readings: tuple[tuple[str, frozenset[str]], ...]
    known: bool
    number: bool = False


class Token(NamedTuple):
    """A word, number or emoticon at ``[start, stop)`` of the cleaned text. Built per token, so the cheapest record there is.

    ``sentence`` and ``clause`` count from 0 through the document and never decrease.
    """

    start: int
    stop: int
    word: Word
    sentence: int
    clause: int


@dataclass(frozen=True, slots=True)
class Sentence:
    """``[start, stop)`` of the cleaned text, without the white space around."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Document:
    """One text, read. ``origin[i]`` is the offset in ``raw`` of ``text[i]``; None where both are the same."""

    raw: str
    text: str
    origin: tuple[int, ...] | None
    sentences: tuple[Sentence, ...]
    tokens: tuple[Token, ...]

    def evidence(self, start: int, stop: int) -> Evidence:
        """The passage ``[start, stop)`` of the cleaned text, as it was sent. Needs start < stop."""
        if self.origin is not None:
            start, stop = self.origin[start], self.origin[stop - 1] + 1
            stop = _with_marks(self.raw, stop)
        return Evidence(start, stop, self.raw[start:stop])


def _with_marks(raw: str, stop: int) -> int:
    """Combining marks and joiners behind the last letter belong to it."""
    while stop < len(raw) and is_mark(raw[stop]):
        stop += 1
    return stop


def is_mark(char: str) -> bool:
    """Whether the character only modifies the one before it."""
    return unicodedata.category(char) in {"Mn", "Me"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """``text == raw[start:stop]`` of the text as it was sent."""

    start: int
    stop: int
    text: str


@dataclass(frozen=True, slots=True)
class Score:
    """One label with its score in 0..1 and its passages; ``sentiment`` is that of the passages."""

    id: str
    score: float
    evidence: tuple[Evidence, ...] = ()
    sentiment: str | None = None
    source: str = "rule"


@dataclass(frozen=True, slots=True)
class Urgency:
    """The most severe trigger's demands; ``severity`` None where nothing is urgent."""

    severity: Severity | None
    route: str | None
    respond_within_minutes: int | None


@dataclass(frozen=True, slots=True)
class Analysis:
    """The answer for one text. Labels stand in the order of the taxonomy; ``scores`` holds the categories below the threshold too."""

    engine: str
    model_version: str
    sentiment: Score
    categories: tuple[Score, ...]
    triggers: tuple[Score, ...]
    urgency: Urgency
    scores: tuple[Score, ...]
    review_reasons: tuple[str, ...] = ()

    @property
    def needs_review(self) -> bool:
        """Whether a person should look."""
        return bool(self.review_reasons)
