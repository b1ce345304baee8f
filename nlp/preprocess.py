"""Cleaning, sentences, tokens. The one way in which a text is read, for serving and for training."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property

from natasha import Segmenter

from otklik.nlp.language import Language
from otklik.nlp.morphology import Morphology
from otklik.nlp.records import Document, Sentence, Token

# Nothing to clean: printable ASCII, Russian letters and usual punctuation. Almost every text is of this kind.
_PLAIN = re.compile(r"[\n -~А-яЁё«»„“”‘’–—…№°€₽]*")
_TOKEN = re.compile(
    r"(?P<word>[^\W\d_]+(?:['’ʼ][^\W\d_]+)?(?:-[^\W\d_]+)*)"
    r"|(?P<number>\d+(?:[.,:]\d+)*)"
    r"|(?P<smile>\){2,}|\({2,}|[:;]-?[)(]+|[\U0001F300-\U0001FAFF\u2600-\u27BF])"
    r"|(?P<border>[^\w\s\"'«»„“”‘’№%*/+&@#_°-]|\s[-–—](?=\s))"
)
# Where reviewers end a sentence and razdel does not: «2 дня!!!Упаковка», «ужас...Не», «плохо(((Не», «ужасно.Не», a new line.
_BORDER = re.compile(
    r"(?<=[!?…])\s*(?=[^\W\d_])"
    r"|(?<=\.\.)\s*(?=[А-ЯЁA-Z])"
    r"|(?<=[)(]{2})\s*(?=[^\W\d_])"
    r"|(?<=[а-яё]{2}\.)(?=[А-ЯЁ])"
    r"|(?<=[А-ЯЁ]{3}\.)(?=[А-ЯЁ]{2})"
    r"|(?<=[\U0001F300-\U0001FAFF\u2600-\u27BF\uFE0F])\s*(?=[А-ЯЁA-Z])"
    r"|\s*\n\s*"
)


@dataclass(frozen=True, slots=True)
class Clean:
    """``origin[i]`` is the offset in the raw text of ``text[i]``; None where both texts are the same."""

    text: str
    origin: tuple[int, ...] | None


def clean(raw: str) -> Clean:
    """Removes what is not seen and joins letters with their marks (NFC), so that a text looks as it reads. Idempotent.

    Kept: case, «ё», emoji, line breaks. Removed: control and format characters, stress marks and other lone marks.
    Each white space character becomes one space. Invisible characters go before NFC: a joiner between a letter and
    its mark would otherwise leave work for a second pass.
    """
    if _PLAIN.fullmatch(raw):
        return Clean(raw, None)
    chars: list[str] = []
    origin: list[int] = []
    for start, cluster in _clusters(raw):
        for char in unicodedata.normalize("NFC", cluster):
            if unicodedata.category(char) not in {"Mn", "Me"}:
                chars.append(char)
                origin.append(start)
    return Clean("".join(chars), tuple(origin))


def _clusters(raw: str) -> list[tuple[int, str]]:
    """Visible characters, each with the combining marks behind it and the offset of the first."""
    clusters: list[tuple[int, str]] = []
    for offset, char in enumerate(raw):
        category = unicodedata.category(char)
        if char == "\n":
            clusters.append((offset, "\n"))
        elif char.isspace():
            clusters.append((offset, " "))
        elif category in {"Cc", "Cf", "Cs", "Co", "Cn"}:
            continue
        elif category in {"Mn", "Me"} and clusters and not clusters[-1][1].isspace():
            clusters[-1] = (clusters[-1][0], clusters[-1][1] + char)
        else:
            clusters.append((offset, char))
    return clusters


@dataclass(frozen=True)
class Reader:
    """Reads texts into documents. Built once, shared by all threads."""

    language: Language
    morphology: Morphology

    @cached_property
    def _segmenter(self) -> Segmenter:
        return Segmenter()

    def read(self, raw: str) -> Document:
        """Reads any string, however long or odd; an empty one has no tokens."""
        cleaned = clean(raw)
        sentences = tuple(self._sentences(cleaned.text))
        return Document(raw, cleaned.text, cleaned.origin, sentences, tuple(self._tokens(cleaned.text, sentences)))

    def _sentences(self, text: str) -> list[Sentence]:
        sentences: list[Sentence] = []
        for span in self._segmenter.sentenize(text):
            start = span.start
            for border in _BORDER.finditer(text, span.start, span.stop):
                _append(sentences, text, start, border.start())
                start = border.end()
            _append(sentences, text, start, span.stop)
        return sentences

    def _tokens(self, text: str, sentences: tuple[Sentence, ...]) -> list[Token]:
        split, opens_clause = self.morphology.split, self.language.clause
        tokens: list[Token] = []
        clause = 0
        for number, sentence in enumerate(sentences):
            clause += 1
            for match in _TOKEN.finditer(text, sentence.start, sentence.stop):
                if match.lastgroup == "border":
                    clause += 1
                    continue
                start = first = match.start()
                for length, word in split(match[0]):
                    if word.norm in opens_clause:
                        clause += 1
                    tokens.append(Token(start, first + length, word, number, clause))
                    start = first + length
        return tokens


def _append(sentences: list[Sentence], text: str, start: int, stop: int) -> None:
    """Adds ``text[start:stop]`` without the white space around, if anything is left."""
    part = text[start:stop]
    stripped = part.strip()
    if stripped:
        start += part.index(stripped)
        sentences.append(Sentence(start, start + len(stripped)))
