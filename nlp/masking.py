"""Personal data out of a text: phones, e-mails, cards, passports, order and booking numbers, names.

What is logged, stored or exported goes through here; what is answered to the one who sent the text does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from otklik.nlp.morphology import Morphology
from otklik.nlp.preprocess import clean

# In order: what an earlier kind has taken, a later one leaves alone.
_KINDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("[EMAIL]", re.compile(r"[\w.+-]+\s?@\s?[\w-]+(?:\.[\w-]+)+")),
    ("[КАРТА]", re.compile(r"(?<![\d-])(?:\d{4}[ -]?){3}\d{1,7}(?!\d)|(?<!\w)(?:\*{2,4}|[xхXХ]{4})[ -]?\d{4}(?!\d)")),
    (
        "[ПАСПОРТ]",
        re.compile(r"(?<!\d)\d{2}\s?\d{2}\s(?:№|N|номер)?\s?\d{6}(?!\d)|(?i:паспорт\w*|серия)\D{0,20}(?P<value>\d[\d\s№N]{5,14}\d)"),
    ),
    (
        "[ТЕЛЕФОН]",
        re.compile(
            r"(?<![\d\w])(?:\+\s?7|8|7)[\s(-]{0,2}\d{3}[\s)-]{0,2}\d{3}[\s-]?\d{2}[\s-]?\d{2}(?!\d)"
            r"|\+\d{1,3}[\d\s()-]{7,16}\d"
            r"|(?<!\d)\(?9\d{2}\)?[\s-]?\d{3}[\s-]?\d{2}[\s-]?\d{2}(?!\d)"
            r"|(?<!\d)\d{2,3}-\d{2}-\d{2}(?!\d)"
        ),
    ),
    (
        "[НОМЕР]",
        re.compile(
            r"(?<!\d)\d{3}-\d{3}-\d{3}[ -]\d{2}(?!\d)"  # pension insurance
            r"|№\s?[A-ZА-ЯЁ\d][\w/-]*\d[\w/-]*"
            r"|(?i:(?<!\w)(?:заказ|брон|бронирован|билет|договор|заявк|обращени|полис|накладн|отправлени|сертификат|трек|pnr)\w{0,4}"
            r"\s?(?:номер\w?|№|#|:|-)?\s?)(?P<value>(?=[A-ZА-ЯЁ\d-]{0,4}\d)[A-ZА-ЯЁa-z\d][\w/-]{4,})"
            r"|(?<![\w.,])[A-Z]{1,3}\d{5,}\b|(?<![\w.,])\d{7,}(?!\s?(?:р\b|р\.|руб|₽|т\.|тыс))(?!\d)"
        ),
    ),
)
_NAME = "[ИМЯ]"
_PERSONAL = ("Name", "Patr", "Surn")
_WORD = re.compile(r"[А-ЯЁа-яё]+(?:-[А-ЯЁа-яё]+)?")
Span = tuple[int, int, str]  # [start, stop) in code points, and the kind


class Masker:
    """Masks texts. Names are found by natasha (about 25 texts a second on one core) and, in lower case, by the dictionary."""

    def __init__(self, morphology: Morphology) -> None:
        self._morphology = morphology

    def mask(self, text: str) -> str:
        """The text with each piece of personal data replaced by its kind, such as ``[ТЕЛЕФОН]``. Idempotent."""
        return hide(text, self.spans(text))

    def spans(self, text: str) -> list[Span]:
        """Personal data of the text, ascending, none overlapping."""
        cleaned = clean(text)
        taken: list[Span] = [(m.start(), m.end(), m[0]) for m in re.finditer(r"\[[А-ЯЁA-Z]+\]", cleaned.text)]
        for kind, pattern in _KINDS:
            for match in pattern.finditer(cleaned.text):
                group = "value" if match.groupdict().get("value") else 0  # the word before a number stays: «заказ [НОМЕР]»
                _take(taken, match.start(group), match.end(group), kind)
        for start, stop in self._names(cleaned.text):
            _take(taken, start, stop, _NAME)
        if cleaned.origin is None:
            return sorted(taken)
        return sorted((cleaned.origin[start], cleaned.origin[stop - 1] + 1, kind) for start, stop, kind in taken)

    def _names(self, text: str) -> Iterator[tuple[int, int]]:
        doc = self._doc(text)
        yield from ((span.start, span.stop) for span in doc.spans if span.type == "PER")
        run: list[re.Match[str]] = []
        for match in [*_WORD.finditer(text), None]:
            if match and self._is_personal(match[0]) and (not run or text[run[-1].end() : match.start()].isspace()):
                run.append(match)
                continue
            if len(run) > 1:
                yield run[0].start(), run[-1].end()
            run = [match] if match and self._is_personal(match[0]) else []

    def _is_personal(self, form: str) -> bool:
        readings = self._morphology.word(form).readings
        return any(kind in grammemes for _, grammemes in readings[:2] for kind in _PERSONAL)

    def _doc(self, text: str) -> Any:
        from natasha import Doc  # noqa: PLC0415  the tagger takes seconds to load, and most callers never mask

        segmenter, tagger = self._tagger
        doc = Doc(text)
        doc.segment(segmenter)
        doc.tag_ner(tagger)
        return doc

    @cached_property
    def _tagger(self) -> tuple[Any, Any]:
        from natasha import NewsEmbedding, NewsNERTagger, Segmenter  # noqa: PLC0415

        return Segmenter(), NewsNERTagger(NewsEmbedding())


def _take(taken: list[Span], start: int, stop: int, kind: str) -> None:
    if start < stop and all(stop <= other_start or start >= other_stop for other_start, other_stop, _ in taken):
        taken.append((start, stop, kind))


def hide(text: str, spans: list[Span], start: int = 0, stop: int | None = None) -> str:
    """``text[start:stop]`` with each span that it touches replaced by its kind."""
    stop = len(text) if stop is None else stop
    parts = []
    for first, last, kind in spans:
        if first < stop and last > start:
            parts += [text[start : max(first, start)], kind]
            start = min(last, stop)
    return "".join([*parts, text[start:stop]])
