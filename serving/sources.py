"""The formats that a cluster reads, each from any of its marks on, by any machine, without what stands before."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from otklik.serving.delimited import Delimited
from otklik.serving.labeller import BATCH
from otklik.serving.parquet import BROKEN
from otklik.serving.store import Blob
from otklik.serving.tables import Layout, TableError, as_text

STEP = BATCH  # rows between two marks: whole batches of the model
LINES = (".jsonl", ".ndjson")
_DELIMITED, _PARQUET = (".csv", ".tsv", ".txt"), (".parquet",)
SUFFIXES = (*_PARQUET, *_DELIMITED, *LINES)
_SHOWN = 3  # bad lines of a file
_KINDS = {"bool": pa.bool_(), "int": pa.int64(), "float": pa.float64()}  # of JSON; all others are words


class Source(Protocol):
    """Goes to the workers; holds no row."""

    def read(self, mark: int, rows: int) -> Any:
        """So many rows from a mark on, as a table of arrow."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A file that was read once: where every `STEP`-th row begins, how many there are, and what the analyst should know."""

    source: Source
    marks: Sequence[int]
    rows: int
    notes: Sequence[str] = ()


def marked(blob: Blob, layout: Layout) -> Marked:
    """What is wrong with it is known before anything is labelled. Raises `TableError`."""
    suffix = blob.suffix.lower()
    if suffix in _PARQUET:
        return _parquet(blob)
    return _lines(blob) if suffix in LINES else _delimited(blob, layout)


@dataclass(frozen=True, slots=True)
class _Parquet:
    """A mark is the number of a row. A piece of a large row group reads the group up to its end."""

    blob: Blob

    def read(self, mark: int, rows: int) -> Any:
        with self.blob.open("rb") as opened, pq.ParquetFile(opened) as file:
            groups: list[int] = []
            first = start = 0
            for group in range(file.num_row_groups):
                after = first + file.metadata.row_group(group).num_rows
                if first < mark + rows and after > mark:
                    start = start if groups else first
                    groups.append(group)
                first = after
            batches: list[Any] = []
            skipped = mark - start
            for batch in file.iter_batches(row_groups=groups) if rows else ():
                if skipped < batch.num_rows:
                    batches.append(batch.slice(skipped, rows - sum(part.num_rows for part in batches)))
                skipped = max(0, skipped - batch.num_rows)
                if sum(part.num_rows for part in batches) >= rows:
                    break
            return pa.Table.from_batches(batches, file.schema_arrow)


def _parquet(blob: Blob) -> Marked:
    try:
        with blob.open("rb") as opened, pq.ParquetFile(opened) as file:
            rows = int(file.metadata.num_rows)
    except BROKEN as error:
        raise TableError("broken_parquet", f"{blob}: файл Parquet повреждён; выгрузите его заново") from error
    return Marked(_Parquet(blob), range(0, max(rows, 1), STEP), rows)


@dataclass(frozen=True, slots=True)
class _Delimited:
    """All columns are words, as in a labelled CSV: «007» stays «007»."""

    table: Delimited

    def read(self, mark: int, rows: int) -> Any:
        cells = self.table.rows_at(mark, rows)
        names = self.table.columns
        return pa.Table.from_arrays([pa.array([row[place] for row in cells], pa.string()) for place in range(len(names))], names)


def _delimited(blob: Blob, layout: Layout) -> Marked:
    table = Delimited(blob, layout)
    marks, rows = table.marks(STEP)
    return Marked(_Delimited(table), marks, rows, table.notes)


@dataclass(frozen=True, slots=True)
class _Lines:
    """``kinds`` of the columns, by name: numbers and booleans where all values are; else words, and what is no word as its JSON."""

    blob: Blob
    kinds: dict[str, str]

    def read(self, mark: int, rows: int) -> Any:
        found: list[dict[str, Any]] = []
        with self.blob.open("rb") as opened:
            opened.seek(mark)
            while len(found) < rows and (line := opened.readline()):
                if line.strip():
                    found.append(json.loads(line.decode("utf-8-sig")))
        return pa.table({name: _column([row.get(name) for row in found], kind) for name, kind in self.kinds.items()})


def _column(values: list[Any], kind: str) -> Any:
    if kind in _KINDS:
        return pa.array(values, _KINDS[kind])
    words = [value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in values]
    return pa.array([None if word is None else as_text(word) for word in words], pa.string())


def _lines(blob: Blob) -> Marked:
    kinds: dict[str, set[str]] = {}
    marks, rows, place = [0], 0, 0
    wrong: list[str] = []
    with blob.open("rb") as opened:
        for number, line in enumerate(opened, start=1):
            place += len(line)
            if not line.strip():
                continue
            try:
                for key, value in _object(line).items():
                    if key not in kinds:
                        key.encode("utf-8")  # half of a surrogate pair is no name
                        kinds[key] = set()
                    kinds[key].add(_kind(value))
            except (ValueError, RecursionError):
                wrong.append(f"{blob}:{number}")
            rows += 1
            if not rows % STEP:
                marks.append(place)
    if wrong:
        more = f" и ещё {len(wrong) - _SHOWN}" if len(wrong) > _SHOWN else ""
        message = f"{', '.join(wrong[:_SHOWN])}{more}: строка не является объектом JSON в UTF-8; исправьте или удалите её"
        raise TableError("invalid_json", message)
    if not kinds:
        raise TableError("empty_file", f"{blob}: файл пуст; ожидаются объекты JSON, по одному в строке")
    return Marked(_Lines(blob, {key: _joined(found) for key, found in kinds.items()}), marks, rows)


def _object(line: bytes) -> dict[str, Any]:
    found = json.loads(line.decode("utf-8-sig"))
    if not isinstance(found, dict):
        raise ValueError  # noqa: TRY004  caught with the other kinds of a bad line
    return found


def _kind(value: Any) -> str:
    kind = {bool: "bool", int: "int", float: "float", type(None): ""}.get(type(value), "word")
    return "word" if kind == "int" and not -(2**63) <= value < 2**63 else kind


def _joined(kinds: set[str]) -> str:
    kinds = kinds - {""}
    if kinds == {"int", "float"}:
        return "float"
    return kinds.pop() if len(kinds) == 1 else "word"
