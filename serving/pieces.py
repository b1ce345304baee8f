"""Files in pieces: what a worker takes, labels, and writes as one part of the result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from otklik.serving.cells import READABLE, TECHNICAL
from otklik.serving.columns import PROBED, Places, no_column, out_of_ten, places_of, told_columns
from otklik.serving.label import Asked
from otklik.serving.sources import LINES, STEP, Source, marked
from otklik.serving.store import Blob
from otklik.serving.tables import TableError

_SHARE, _MOST = 64, 2048  # pieces of all rows, where they are few; rows of a piece


class Piece(NamedTuple):
    """``part`` is the name of what is made of it."""

    plan: int
    mark: int
    first: int  # row, from 0
    rows: int
    part: str


@dataclass(frozen=True, slots=True)
class Plan:
    """How to read and to understand one file. ``marks`` are where every `STEP`-th row begins."""

    name: str
    source: Source
    places: Places
    ten: bool
    marks: Sequence[int]
    rows: int
    notes: tuple[str, ...]

    def pieces(self, number: int, size: int) -> Iterator[Piece]:
        """Of ``size`` rows, a multiple of `STEP`; at least one, so that a file without rows has its part as well."""
        for count, first in enumerate(range(0, max(self.rows, 1), size)):
            yield Piece(number, self.marks[first // STEP], first, min(size, self.rows - first), f"{self.name}-{count:06}.parquet")


class Arrow:
    """Rows in memory, read as those of a file."""

    def __init__(self, table: Any) -> None:
        self.table = table
        self.columns: list[str] = table.column_names

    def read(self, places: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        """Row by row."""
        found = {place: self.table.column(place).to_pylist() for place in set(places)}
        yield from zip(*(found[place] for place in places), strict=True)


def plan(blob: Blob, asked: Asked) -> Plan:
    """Reads the whole file once. Columns are told by the first rows, as in a run without a cluster. Raises `TableError`."""
    found = marked(blob, asked.layout)
    head = Arrow(found.source.read(found.marks[0], min(found.rows, PROBED)))
    names = [*head.columns, *READABLE, *TECHNICAL]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        message = f"{blob}: столбцы с одинаковыми именами, или файл уже размечен ({', '.join(twice[:3])}); переименуйте или удалите их"
        raise TableError("same_columns", message)
    if blob.suffix.lower() in LINES:
        places, ten = _keys(blob, head.columns, asked), False
    else:
        places = places_of(blob, head, asked.text_column, asked.score_column)
        ten = out_of_ten(head, places)
    notes = (*found.notes, *told_columns(head.columns, places, ten=ten))
    return Plan(blob.name, found.source, places, ten, found.marks, found.rows, notes)


def cut(plans: Sequence[Plan]) -> list[Piece]:
    """The same files are always cut in the same way, however many workers there are: a run that was interrupted can be gone on with."""
    steps = sum(each.rows for each in plans) // _SHARE // STEP
    size = min(_MOST, max(1, steps) * STEP)
    return [piece for number, each in enumerate(plans) for piece in each.pieces(number, size)]


def _keys(blob: Blob, columns: list[str], asked: Asked) -> Places:
    """As `label_lines` reads them: by these keys and no others."""
    wanted = {"text": asked.text_column or "text", "score": asked.score_column or "score", "channel": "channel"}
    if wanted["text"] not in columns:
        raise no_column(blob, columns, wanted["text"])
    return {kind: columns.index(key) for kind, key in wanted.items() if key in columns}
