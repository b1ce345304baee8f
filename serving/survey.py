"""A labelled file, read: what each text said, when, and with which mark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from otklik.serving.cells import READABLE, TECHNICAL
from otklik.serving.find import as_date
from otklik.serving.labeller import number_of
from otklik.serving.tables import Table, TableError, as_text, find_columns

_KNOWN = {
    "text": ("text", "текст", "comment", "комментарий", "комментарии", "отзыв", "отзывы", "review", "message", "сообщение", "feedback",
             "текст отзыва", "обращение", "ответ"),
    "date": ("date", "дата", "created_at", "дата отзыва", "timestamp", "время", "day", "день"),
    "score": ("score", "оценка", "балл", "баллы", "nps", "csat", "rating", "рейтинг", "звезды", "mark"),
    "channel": ("channel", "канал", "источник", "source"),
}  # fmt: skip
_TOLD = {"text": "текст", "date": "дата", "score": "оценка", "channel": "канал"}
_YEARS = range(1990, 2101)  # another is a slip of the pen, and would stretch the axis of time
_STARS = 5.0
_NPS = "nps"


@dataclass(frozen=True, slots=True)
class Entry:
    """One text with its labels, as ids. ``row`` counts from 1 below the header; ``ten``: the mark is of 0..10, else of 1..5."""

    row: int
    day: date | None
    text: str
    mark: float | None
    ten: bool
    channel: str
    sentiment: str
    categories: tuple[str, ...]
    triggers: tuple[str, ...]
    urgency: str
    departments: tuple[str, ...]
    evidence: tuple[str, ...]
    doubts: tuple[str, ...]
    engine: str
    model: str
    taxonomy: str

    @property
    def groups(self) -> tuple[str, ...]:
        """Of the categories, each once."""
        return tuple(dict.fromkeys(category.partition(".")[0] for category in self.categories))


@dataclass(frozen=True, slots=True)
class Survey:
    """All texts of a file in its order. ``dated`` and ``marked``: whether there is such a column."""

    entries: tuple[Entry, ...]
    empty: int
    dated: bool
    marked: bool
    notes: tuple[str, ...]


def read_survey(table: Table, text_column: str | None = None, date_column: str | None = None, score_column: str | None = None) -> Survey:
    """Raises `TableError` where the file is not labelled, has no text, or lacks a column that was named."""
    if missing := [name for name in TECHNICAL if name not in table.columns]:
        raise TableError("not_labelled", f"в файле нет столбцов {', '.join(missing)}; сначала разметьте его: otklik label")
    places = _places(table.columns, {"text": text_column, "date": date_column, "score": score_column})
    own = [places.get(kind, places["text"]) for kind in _KNOWN]
    rows = list(table.read([*own, *(list(table.columns).index(name) for name in TECHNICAL)]))
    ten, scale = _scale(table.columns, places, rows)
    entries = tuple(_entries(rows, places, ten))
    notes = [f"{_TOLD[kind]}: столбец «{table.columns[place]}»" for kind, place in places.items()]
    if scale:
        notes.append(scale)
    if "date" in places and (undated := sum(entry.day is None for entry in entries)):
        notes.append(f"дата не прочиталась у строк: {undated}; во временных разделах их нет")
    return Survey(entries, len(rows) - len(entries), "date" in places, "score" in places, tuple(notes))


def _places(columns: Sequence[str], named: dict[str, str | None]) -> dict[str, int]:
    own = list(columns)
    found = find_columns(["" if name in READABLE or name.startswith(("otklik_", "0/1 ")) else name for name in own], _KNOWN)
    for kind, wanted in named.items():
        if wanted is None:
            continue
        if wanted not in own:
            raise TableError("no_column", f"столбца «{wanted}» нет; есть: {', '.join(own)}")
        found = {other: place for other, place in found.items() if place != own.index(wanted)}
        found[kind] = own.index(wanted)
    if "text" not in found:
        raise TableError("no_text_column", f"не найден столбец с текстом; укажите --text-column, есть: {', '.join(own)}")
    return {kind: found[kind] for kind in _KNOWN if kind in found}


def _scale(columns: Sequence[str], places: dict[str, int], rows: Sequence[tuple[Any, ...]]) -> tuple[bool | None, str]:
    """Whether all marks are of 0..10; None where the channel tells it row by row, as `relative_score` does. And how to say it."""
    if "score" not in places:
        return False, ""
    if "channel" in places and any(_channel(row[3]) == _NPS for row in rows):
        return None, "шкала оценки по каналу: nps — от 0 до 10, остальные — от 1 до 5"
    marks = [mark for mark in (number_of(row[2]) for row in rows) if mark is not None]
    if _NPS in columns[places["score"]].lower() or any(mark == 0 or mark > _STARS for mark in marks):
        return True, "шкала оценки от 0 до 10"
    return False, "шкала оценки от 1 до 5"


def _channel(value: Any) -> str:
    return as_text(value).strip().lower()


def _entries(rows: Sequence[tuple[Any, ...]], places: dict[str, int], ten: bool | None) -> Iterator[Entry]:
    for number, (text, day, score, channel, *labels) in enumerate(rows, start=1):
        sentiment, categories, triggers, urgency, departments, evidence, doubts, *who = map(as_text, labels)
        if not sentiment:  # an empty text has no labels
            continue
        mark = number_of(score) if "score" in places else None
        by = _channel(channel) if "channel" in places else ""
        yield Entry(
            number,
            _day(day) if "date" in places else None,
            as_text(text),
            mark,
            ten if ten is not None else by == _NPS or (mark or 0) > _STARS,
            by,
            sentiment,
            _split(categories),
            _split(triggers),
            urgency,
            _split(departments),
            tuple(quote.removeprefix("'") for quote in _split(evidence, " | ")),
            _split(doubts),
            *who,
        )


def _day(cell: Any) -> date | None:
    found = as_date(cell)
    return found if found and found.year in _YEARS else None


def _split(cell: str, by: str = ", ") -> tuple[str, ...]:
    return tuple(filter(None, cell.split(by)))
