"""Which column of a table holds the text, the mark and the channel, and of what scale the marks are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from otklik.serving.labeller import Row, number_of
from otklik.serving.tables import Rows, TableError, as_text, find_columns

PROBED = 300  # rows that tell which column holds the text, and the scale of the marks
_NPS = "nps"
_COLUMNS = {
    "text": ("text", "текст", "comment", "комментарий", "комментарии", "отзыв", "отзывы", "review", "message", "сообщение", "feedback",
             "текст отзыва", "ответ", "обращение"),
    "score": ("score", "оценка", "балл", "баллы", "nps", "csat", "rating", "рейтинг", "звезды", "mark"),
    "channel": ("channel", "канал", "источник", "source"),
}  # fmt: skip

Places = dict[str, int]  # of «text», and where there are such columns of «score» and «channel»


def places_of(name: object, table: Rows, text_column: str | None = None, score_column: str | None = None) -> Places:
    """As named, else by the usual names, else the column that reads like words. Raises `TableError` that names the file."""
    found = find_columns(table.columns, _COLUMNS)
    for kind, wanted in (("text", text_column), ("score", score_column)):
        if wanted:
            names = [column.strip().lower() for column in table.columns]
            if wanted.strip().lower() not in names:
                raise no_column(name, table.columns, wanted)
            found = {other: place for other, place in found.items() if place != names.index(wanted.strip().lower())}
            found[kind] = names.index(wanted.strip().lower())
    if "text" not in found:
        found["text"] = _wordiest(name, table)
        found = {kind: place for kind, place in found.items() if kind == "text" or place != found["text"]}
    return found


def wanted_of(places: Places) -> list[int]:
    """Columns to be read for `rows_of`."""
    return [places["text"], places.get("score", places["text"]), places.get("channel", places["text"])]


def rows_of(table: Rows, places: Places, *, ten: bool) -> Iterator[Row]:
    """Numbered from 1."""
    for number, (text, score, channel) in enumerate(table.read(wanted_of(places)), start=1):
        by = as_text(channel) if "channel" in places else _NPS if ten else None
        yield Row(number, as_text(text), number_of(score) if "score" in places else None, by)


def no_column(name: object, columns: list[str], wanted: str | None = None) -> TableError:
    """The error to raise, with the columns that there are."""
    named = f" «{wanted}»" if wanted else ""
    there = ", ".join(f"«{column}»" for column in columns)
    return TableError("no_text_column", f"{name}: не найден столбец с текстом{named}; укажите --text-column, есть: {there}")


def _wordiest(name: object, table: Rows) -> int:
    """The column with the most Russian words in its first rows. Raises `TableError` where none has as many as a comment does."""
    counts = [0] * len(table.columns)
    probed = 0
    for probed, row in enumerate(islice(table.read(range(len(table.columns))), PROBED), start=1):  # noqa: B007
        for place, cell in enumerate(row):
            if isinstance(cell, str):
                counts[place] += sum("а" <= word[0].lower() <= "я" for word in cell.split())
    best = max(range(len(counts)), key=counts.__getitem__)
    if not probed or counts[best] < 2 * probed or (sorted(counts)[-2:][0] * 2 > counts[best] > 0 and len(counts) > 1):
        raise no_column(name, table.columns)
    return best


def out_of_ten(table: Rows, places: Places) -> bool:
    """Whether the marks are of a scale up to ten: one of the first is 0 or above 5. A column of channels tells it row by row instead."""
    if "score" not in places or "channel" in places:
        return False
    marks = [number_of(score) for (score,) in islice(table.read([places["score"]]), PROBED)]
    return any(mark is not None and (mark == 0 or mark > 5) for mark in marks)


def told_columns(columns: list[str], places: Places, *, ten: bool) -> Iterator[str]:
    """For the analyst."""
    yield f"текст взят из столбца «{columns[places['text']]}»"
    if "score" in places:
        scale = "по каналу: nps — до 10, иначе до 5" if "channel" in places else "до 10" if ten else "до 5"
        yield f"оценка из столбца «{columns[places['score']]}», шкала {scale}"
