"""Search in labelled files: by label, by date, and by words in any of their forms."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from otklik.nlp.morphology import Morphology
from otklik.nlp.preprocess import Reader
from otklik.serving.tables import Table, TableError, as_text, find_columns, safe

_KNOWN = {
    "text": ("text", "текст", "comment", "комментарий", "отзыв", "review", "message", "сообщение", "обращение"),
    "date": ("date", "дата", "created_at", "время", "day"),
}
_LABELS = ("otklik_sentiment", "otklik_categories", "otklik_triggers", "otklik_urgency")
_FORMATS = ("%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S")


@dataclass(frozen=True, slots=True)
class Wanted:
    """All that is given has to hold; labels may have ``*``: `money.*`. ``words``: each has to occur, in any form."""

    categories: Sequence[str] = ()
    triggers: Sequence[str] = ()
    sentiment: str | None = None
    words: str = ""
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """One row that fits; ``row`` counts from 1 below the header."""

    row: int
    day: date | None
    text: str
    sentiment: str
    categories: str
    triggers: str
    urgency: str


def find(table: Table, wanted: Wanted, reader: Reader, text_column: str | None = None, date_column: str | None = None) -> Iterator[Hit]:
    """Rows in the order of the file. Raises `TableError` where it is not labelled, has no text, or no dates though they are asked for."""
    places = _places(table, text_column, date_column)
    if (wanted.since or wanted.until) and "date" not in places:
        raise TableError("no_date_column", f"не найден столбец с датой; укажите --date-column, есть: {', '.join(table.columns)}")
    columns = [places["text"], *(places[name] for name in _LABELS), places.get("date", places["text"])]
    lemmas = _lemmas(wanted.words, reader)
    for number, (text, sentiment, categories, triggers, urgency, day) in enumerate(table.read(columns), start=1):
        hit = Hit(
            number, as_date(day) if "date" in places else None, as_text(text), *map(as_text, (sentiment, categories, triggers, urgency))
        )
        if _fits(hit, wanted) and _has(hit.text, lemmas, reader):
            yield hit


def _places(table: Table, text_column: str | None, date_column: str | None) -> dict[str, int]:
    if missing := [name for name in _LABELS if name not in table.columns]:
        raise TableError("not_labelled", f"в файле нет столбцов {', '.join(missing)}; сначала разметьте его: otklik label")
    own = list(table.columns)
    found = find_columns([name if not name.startswith("otklik_") else "" for name in own], _KNOWN)
    for kind, named in (("text", text_column), ("date", date_column)):
        if named:
            if named not in own:
                raise TableError("no_column", f"столбца «{named}» нет; есть: {', '.join(own)}")
            found[kind] = own.index(named)
    if "text" not in found:
        raise TableError("no_text_column", f"не найден столбец с текстом; укажите --text-column, есть: {', '.join(own)}")
    return {**found, **{name: own.index(name) for name in _LABELS}}


def _fits(hit: Hit, wanted: Wanted) -> bool:
    if wanted.sentiment and hit.sentiment != wanted.sentiment:
        return False
    for given, patterns in ((hit.categories, wanted.categories), (hit.triggers, wanted.triggers)):
        labels = given.split(", ")
        if patterns and not any(fnmatchcase(label, pattern) for label in labels if label for pattern in patterns):
            return False
    if not (wanted.since or wanted.until):
        return True
    return hit.day is not None and (wanted.since or date.min) <= hit.day <= (wanted.until or date.max)


def _lemmas(words: str, reader: Reader) -> list[frozenset[str]]:
    """For each word of the query what it may be a form of."""
    return [_readings(token.word) for token in reader.read(words).tokens]


def _has(text: str, lemmas: Sequence[frozenset[str]], reader: Reader) -> bool:
    if not lemmas:
        return True
    held = [_readings(token.word) for token in reader.read(text).tokens]
    return all(any(wanted & readings for readings in held) for wanted in lemmas)


def _readings(word: Any) -> frozenset[str]:
    return frozenset({word.norm} if word.number else {lemma for lemma, _ in word.readings})


def as_date(value: Any) -> date | None:
    """A cell as a day: dates of Excel, ISO 8601, and the Russian order; None for anything else."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    text = as_text(value).strip()
    try:
        return datetime.fromisoformat(text).date()
    except ValueError:
        pass
    for form in _FORMATS:
        try:
            return datetime.strptime(text, form).date()  # noqa: DTZ007  a day has no zone
        except ValueError:
            continue
    return None


def write_hits(target: Path, hits: Sequence[Hit]) -> None:
    """As CSV that Russian Excel opens."""
    with target.open("w", encoding="utf-8-sig", newline="") as out:
        writer = csv.writer(out, delimiter=";")
        writer.writerow(["строка", "дата", "текст", "тональность", "причины", "триггеры", "срочность"])
        for hit in hits:
            day = hit.day.isoformat() if hit.day else ""
            writer.writerow([hit.row, day, safe(hit.text), hit.sentiment, hit.categories, hit.triggers, hit.urgency])


def reader_of(morphology: Morphology) -> Reader:
    """For queries and texts alike."""
    from otklik.nlp.language import load_language  # noqa: PLC0415

    return Reader(load_language(), morphology)
