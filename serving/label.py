"""Batch labelling of tables: an answer for each row, in order. No row is lost, and an interrupted run goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from otklik.serving.journal import Busy, Journal
from otklik.serving.labeller import Labeller, Row, Summary, mark_of, number_of, run, whole_or_nothing
from otklik.serving.lines import label_lines
from otklik.serving.schemas import CategoryAnswer, Result, TriggerAnswer
from otklik.serving.tables import SUFFIXES, Layout, Table, TableError, as_text, find_columns, open_table

_PROBED = 300  # rows that tell which column holds the text, and the scale of the marks
_LINES = (".jsonl", ".ndjson")
_NPS = "nps"
_COLUMNS = {
    "text": ("text", "текст", "comment", "комментарий", "комментарии", "отзыв", "отзывы", "review", "message", "сообщение", "feedback",
             "текст отзыва", "ответ", "обращение"),
    "score": ("score", "оценка", "балл", "баллы", "nps", "csat", "rating", "рейтинг", "звезды", "mark"),
    "channel": ("channel", "канал", "источник", "source"),
}  # fmt: skip
_SENTIMENTS = {"negative": "негативная", "neutral": "нейтральная", "positive": "позитивная", "mixed": "смешанная"}
_URGENCIES = {"critical": "критично", "high": "высокая", "normal": "обычная", "none": ""}
# What an analyst reads, and then what programs read: ids that stay the same.
READABLE = ("Тональность", "Причины", "Срочное", "Срочность", "Отделы", "Цитаты", "Проверить")
TECHNICAL = tuple(
    f"otklik_{name}"
    for name in (
        *("sentiment", "categories", "triggers", "urgency", "department", "evidence", "needs_review"),
        *("engine", "model_version", "taxonomy_version"),
    )
)

LabelError = TableError


@dataclass(frozen=True, slots=True)
class Asked:
    """How the analyst wants a file to be read and written. Columns by name; guessed where not named."""

    text_column: str | None = None
    score_column: str | None = None
    layout: Layout = field(default_factory=Layout)
    wide: bool = False  # a column of 0 and 1 for each category
    restart: bool = False


def can_label(path: Path) -> bool:
    """By the ending of the name."""
    return path.suffix.lower() in (*SUFFIXES, *_LINES)


def label_file(
    source: Path,
    target: Path,
    labeller: Labeller,
    asked: Asked = Asked(),
    progress: Callable[[int, int | None], None] = lambda done, total: None,  # noqa: ARG005
) -> Summary:
    """Labels one file. ``progress`` hears of the rows that are done and, where it is known, of how many there are.

    The target appears when it is whole, or not at all; until then `Journal` keeps what is done, and the same call goes on from there.
    Raises `TableError` where the file as a whole cannot be read.
    """
    if not can_label(source):
        kinds = ", ".join((*SUFFIXES, *_LINES))
        raise TableError("unknown_format", f"{source}: формат «{source.suffix}» не поддерживается; подходят {kinds}")
    if not source.is_file():
        raise TableError("no_file", f"{source}: такого файла нет; проверьте путь")
    if target.resolve() == source.resolve():
        raise TableError("same_file", f"{target}: исходный файл не перезаписывается; укажите другое имя после -o")
    if source.suffix.lower() not in _LINES and target.suffix.lower() != source.suffix.lower():
        raise TableError("other_format", f"{target}: укажите имя с тем же окончанием, что у исходного файла ({source.suffix})")
    try:
        if source.suffix.lower() in _LINES:
            return label_lines(source, target, labeller, asked.text_column or "text", progress, restart=asked.restart)
        return _label_table(source, target, labeller, asked, progress)
    except Busy:
        raise TableError("busy", f"{target}: этот файл уже размечается другим запуском; дождитесь его") from None
    except OSError as error:
        message = f"{error.filename or target}: {error.strerror}; проверьте права и место на диске и запустите команду ещё раз: "
        raise TableError("no_access", message + "сделанное не пропало") from error


def _label_table(source: Path, target: Path, labeller: Labeller, asked: Asked, progress: Callable[[int, int | None], None]) -> Summary:
    table = open_table(source, asked.layout)
    columns = [*READABLE, *([f"0/1 {category.id}" for category in labeller.taxonomy.categories] if asked.wide else []), *TECHNICAL]
    if taken := [name for name in table.columns if name in TECHNICAL]:
        raise TableError(
            "already_labelled", f"{source}: в файле уже есть столбцы разметки ({', '.join(taken[:3])}…); укажите исходный файл"
        )
    places = _places(source, table, asked)
    wanted = [places["text"], places.get("score", places["text"]), places.get("channel", places["text"])]
    ten = _out_of_ten(table, places)

    def rows() -> Iterator[Row]:
        for number, (text, score, channel) in enumerate(table.read(wanted), start=1):
            by = as_text(channel) if "channel" in places else _NPS if ten else None
            yield Row(number, as_text(text), number_of(score) if "score" in places else None, by)

    def answer(part: Sequence[Row]) -> list[str]:
        results = iter(labeller.label_all([row for row in part if row.text.strip()]))
        return [
            json.dumps(_cells(next(results), labeller, wide=asked.wide) if row.text.strip() else None, ensure_ascii=False) for row in part
        ]

    mark = mark_of(source, labeller, [asked.wide, wanted, ten, table.columns, table.notes])
    summary = Summary(notes=[*table.notes, *_told_columns(table, places, ten=ten)])
    with Journal(target, mark, restart=asked.restart, hopeless=TableError) as journal:
        run(journal, rows(), answer, lambda done: progress(done, table.total), summary)
        with whole_or_nothing(target) as temporary:
            table.write(temporary, columns, _counted(journal, len(columns), rows(), summary), places["text"])
        journal.remove()
    return summary


def _counted(journal: Journal, width: int, rows: Iterator[Row], summary: Summary) -> Iterator[list[Any]]:
    """Cells of each row, and the summary of all: counted here, so that it is the same after an interruption."""
    seen: set[int] = set()
    for line, row in zip(journal.rows(), rows, strict=True):
        cells = json.loads(line)
        summary.rows += 1
        key = hash(row.text.strip().lower())
        if cells is None:
            summary.empty += 1
            yield [None] * width
            continue
        summary.repeated += key in seen
        seen.add(key)
        found = dict(zip(TECHNICAL, cells[-len(TECHNICAL) :], strict=True))
        summary.sentiments[found["otklik_sentiment"]] += 1
        summary.categories.update(filter(None, found["otklik_categories"].split(", ")))
        summary.triggers.update(filter(None, found["otklik_triggers"].split(", ")))
        summary.needs_review += bool(found["otklik_needs_review"])
        summary.wordless += "no_words" in found["otklik_needs_review"]
        yield cells


def _cells(result: Result, labeller: Labeller, *, wide: bool) -> list[Any]:
    found: list[TriggerAnswer | CategoryAnswer] = [*result.triggers, *result.categories]
    quotes = " | ".join(dict.fromkeys(passage.text for label in found for passage in label.evidence))
    departments = ", ".join(dict.fromkeys(category.department for category in result.categories if category.department))
    given = {category.id for category in result.categories}
    return [
        _SENTIMENTS.get(result.sentiment.label, result.sentiment.label),
        "; ".join(category.title for category in result.categories),
        "; ".join(trigger.title for trigger in result.triggers),
        _URGENCIES[result.urgency.severity],
        departments,
        quotes,
        "да" if result.needs_review else "",
        *([int(category.id in given) for category in labeller.taxonomy.categories] if wide else []),
        result.sentiment.label,
        ", ".join(category.id for category in result.categories),
        ", ".join(trigger.id for trigger in result.triggers),
        result.urgency.severity,
        departments,
        quotes,
        ", ".join(result.review_reasons),
        result.engine,
        labeller.version if result.engine == "model" else labeller.analyzer.version("keyword"),
        labeller.taxonomy.version,
    ]


def _places(source: Path, table: Table, asked: Asked) -> dict[str, int]:
    """Column numbers of text, mark and channel: as named, else by the usual names, else the one that reads like words."""
    found = find_columns(table.columns, _COLUMNS)
    for kind, wanted in (("text", asked.text_column), ("score", asked.score_column)):
        if wanted:
            names = [name.strip().lower() for name in table.columns]
            if wanted.strip().lower() not in names:
                raise _no_column(source, table, wanted)
            found = {other: place for other, place in found.items() if place != names.index(wanted.strip().lower())}
            found[kind] = names.index(wanted.strip().lower())
    if "text" not in found:
        found["text"] = _wordiest(source, table)
        found = {kind: place for kind, place in found.items() if kind == "text" or place != found["text"]}
    return found


def _no_column(source: Path, table: Table, wanted: str | None = None) -> TableError:
    named = f" «{wanted}»" if wanted else ""
    columns = ", ".join(f"«{name}»" for name in table.columns)
    return TableError("no_text_column", f"{source}: не найден столбец с текстом{named}; укажите --text-column, есть: {columns}")


def _wordiest(source: Path, table: Table) -> int:
    """The column with the most Russian words in its first rows. Raises `TableError` where none has as many as a comment does."""
    counts = [0] * len(table.columns)
    probed = 0
    for probed, row in enumerate(islice(table.read(range(len(table.columns))), _PROBED), start=1):  # noqa: B007
        for place, cell in enumerate(row):
            if isinstance(cell, str):
                counts[place] += sum("а" <= word[0].lower() <= "я" for word in cell.split())
    best = max(range(len(counts)), key=counts.__getitem__)
    if not probed or counts[best] < 2 * probed or (sorted(counts)[-2:][0] * 2 > counts[best] > 0 and len(counts) > 1):
        raise _no_column(source, table)
    return best


def _out_of_ten(table: Table, places: dict[str, int]) -> bool:
    """Whether the marks are of a scale up to ten: one of the first is 0 or above 5. A column of channels tells it row by row instead."""
    if "score" not in places or "channel" in places:
        return False
    marks = [number_of(score) for (score,) in islice(table.read([places["score"]]), _PROBED)]
    return any(mark is not None and (mark == 0 or mark > 5) for mark in marks)


def _told_columns(table: Table, places: dict[str, int], *, ten: bool) -> Iterator[str]:
    yield f"текст взят из столбца «{table.columns[places['text']]}»"
    if "score" in places:
        scale = "по каналу: nps — до 10, иначе до 5" if "channel" in places else "до 10" if ten else "до 5"
        yield f"оценка из столбца «{table.columns[places['score']]}», шкала {scale}"
