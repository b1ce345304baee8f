"""Batch labelling of tables: an answer for each row, in order. No row is lost, and an interrupted run goes on where it stopped."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otklik.serving.cells import TECHNICAL, added, answered, count
from otklik.serving.columns import out_of_ten, places_of, rows_of, told_columns, wanted_of
from otklik.serving.journal import Busy, Journal
from otklik.serving.labeller import Labeller, Row, Summary, mark_of, run, whole_or_nothing
from otklik.serving.lines import label_lines
from otklik.serving.repeats import Repeats
from otklik.serving.tables import SUFFIXES, Layout, TableError, open_table

_LINES = (".jsonl", ".ndjson")
_WHY = {
    errno.ENOSPC: "на диске нет места",
    errno.EDQUOT: "на диске нет места",
    errno.EFBIG: "файл больше, чем разрешено",
    errno.EACCES: "нет прав",
    errno.EROFS: "диск только для чтения",
    errno.ENOENT: "нет такой папки",
    errno.ENOTDIR: "нет такой папки",
    errno.EISDIR: "это папка, а не файл",
    errno.ENAMETOOLONG: "имя файла слишком длинное",
}

LabelError = TableError


@dataclass(frozen=True, slots=True)
class Asked:
    """How the analyst wants a file to be read and written. Columns by name; guessed where not named."""

    text_column: str | None = None
    score_column: str | None = None
    layout: Layout = field(default_factory=Layout)
    wide: bool = False  # a column of 0 and 1 for each category
    restart: bool = False


@dataclass(frozen=True, slots=True)
class Cluster:
    """Who shares the work. ``workers``: None for as many as there is room for. ``address``: None to start a Ray on this machine."""

    workers: int | None = None
    threads: int = 1  # of each worker's model
    address: str | None = None


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
    try:
        there, folder = source.is_file(), target.is_dir()
    except PermissionError as error:
        raise TableError("no_access", f"{error.filename}: нет прав; проверьте права на папку") from error
    if not there:
        raise TableError("no_file", f"{source}: такого файла нет; проверьте путь")
    if target.resolve() == source.resolve():
        raise TableError("same_file", f"{target}: исходный файл не перезаписывается; укажите другое имя после -o")
    if folder:
        raise TableError("no_access", f"{target}: это папка, а не файл; укажите имя файла после -o")
    if source.suffix.lower() not in _LINES and target.suffix.lower() != source.suffix.lower():
        raise TableError("other_format", f"{target}: укажите имя с тем же окончанием, что у исходного файла ({source.suffix})")
    try:
        if source.suffix.lower() in _LINES:
            return label_lines(source, target, labeller, asked.text_column or "text", progress, restart=asked.restart)
        return _label_table(source, target, labeller, asked, progress)
    except Busy:
        raise TableError("busy", f"{target}: этот файл уже размечается другим запуском; дождитесь его") from None
    except OSError as error:
        why = _WHY.get(error.errno or 0, error.strerror or error)
        message = f"{error.filename or target}: {why}; проверьте права и место на диске и запустите команду ещё раз: "
        raise TableError("no_access", message + "сделанное не пропало") from error


def _label_table(source: Path, target: Path, labeller: Labeller, asked: Asked, progress: Callable[[int, int | None], None]) -> Summary:
    table = open_table(source, asked.layout)
    columns = [f"{name} (Отклик)" if name in table.columns else name for name in added(labeller, wide=asked.wide)]
    if taken := [name for name in table.columns if name in TECHNICAL]:
        raise TableError(
            "already_labelled", f"{source}: в файле уже есть столбцы разметки ({', '.join(taken[:3])}…); укажите исходный файл"
        )
    places = places_of(source, table, asked.text_column, asked.score_column)
    ten = out_of_ten(table, places)

    def rows() -> Iterator[Row]:
        return rows_of(table, places, ten=ten)

    def answer(part: Sequence[Row]) -> list[str]:
        return [json.dumps(cells, ensure_ascii=False) for cells in answered(part, labeller, wide=asked.wide)]

    mark = mark_of(source, labeller, [asked.wide, wanted_of(places), ten, table.columns, table.notes])
    summary = Summary(notes=[*table.notes, *told_columns(table.columns, places, ten=ten)])
    with Journal(target, mark, restart=asked.restart, hopeless=TableError) as journal:
        run(journal, rows(), Repeats(answer), lambda done: progress(done, table.total), summary)
        with whole_or_nothing(target) as temporary:
            table.write(temporary, columns, _counted(journal, len(columns), rows(), summary), places["text"])
        journal.remove()
    return summary


def _counted(journal: Journal, width: int, rows: Iterator[Row], summary: Summary) -> Iterator[list[Any]]:
    """Cells of each row, and the summary of all: counted here, so that it is the same after an interruption."""
    seen: set[int] = set()
    for line, row in zip(journal.rows(), rows, strict=True):
        cells = json.loads(line)
        count(summary, cells)
        if cells is not None:
            key = hash(row.text.strip().lower())
            summary.repeated += key in seen
            seen.add(key)
        yield cells or [None] * width
