"""Files of rows as analysts have them: CSV, Excel, Parquet. Read in pieces; written with further columns, all the others as they were."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Protocol

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would calculate

SUFFIXES = (".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".parquet")


class TableError(ValueError):
    """A file that cannot be read; ``code`` is for programs, the message (in Russian) for the analyst."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Layout:
    """What the analyst says of the file, where guessing is wrong."""

    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    header_row: int | None = None  # counted from 1, as Excel does


class Rows(Protocol):
    """What tells which column is what, and what is labelled."""

    columns: list[str]

    def read(self, places: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        """The cells of these columns, row by row; an absent one is None."""


class Table(Rows, Protocol):
    """``notes`` tell the analyst what was found out; ``total`` is the number of rows, where it is known or can be estimated."""

    notes: list[str]
    total: int | None

    def write(self, target: Path, added: Sequence[str], cells: Iterable[Sequence[Any]], text: int) -> None:
        """All rows with further cells. ``text`` is the column that holds customers' words."""


def open_table(path: Path, layout: Layout = Layout()) -> Table:
    """Told by the ending of the name. Raises `TableError`, with what to do."""
    # Each kind wants a library of its own, which the others need not wait for.
    suffix = path.suffix.lower()
    try:
        if suffix in {".xlsx", ".xlsm"}:
            from otklik.serving.workbook import Workbook  # noqa: PLC0415

            return Workbook(path, layout)
        if suffix == ".parquet":
            from otklik.serving.parquet import Parquet  # noqa: PLC0415

            return Parquet(path)
        from otklik.serving.delimited import Delimited  # noqa: PLC0415

        return Delimited(path, layout)
    except PermissionError as error:
        raise TableError("no_access", f"{path}: нет доступа; закройте файл в Excel или проверьте права") from error


def safe(text: str) -> str:
    """A customer's words never become a formula of the program that opens them."""
    return "'" + text if text.startswith(FORMULA) else text


def as_text(value: Any) -> str:
    """A cell as the words in it; an empty one is «»."""
    if value is None:
        return ""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):  # words of Parquet files that do not say so
        return value.decode("utf-8", "replace")
    return str(value).encode("utf-8", "replace").decode("utf-8")


def find_columns(columns: Sequence[str], known: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Which column is what, by its name, as far as names tell: exactly first, then by a part."""
    names = [name.strip().lower().replace("ё", "е") for name in columns]
    found: dict[str, int] = {}
    for kind, words in known.items():
        places = [names.index(word) for word in words if word in names]
        places += [place for word in words for place, name in enumerate(names) if len(word) > 3 and word in name]
        if free := [place for place in places if place not in found.values()]:
            found[kind] = free[0]
    return found
