"""Parquet, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from otklik.serving.tables import TableError

_ROWS = 4096  # of a batch
BROKEN = (OSError, ValueError, NotImplementedError)  # what pyarrow raises for files it cannot read


class Parquet:
    """Column types and metadata stay."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._arrow = _arrow(path)
        try:
            self._file = self._arrow.ParquetFile(path)
        except PermissionError:
            raise
        except BROKEN as error:
            raise self._broken() from error
        self.columns = list(self._file.schema_arrow.names)
        if not self.columns:
            raise TableError("empty_file", f"{path}: в файле нет столбцов")
        if twice := sorted({name for name in self.columns if self.columns.count(name) > 1}):
            message = f"{path}: столбцы с одинаковыми именами ({', '.join(twice[:3])}); переименуйте или удалите лишние"
            raise TableError("same_columns", message)  # neither this library nor the next one could tell them apart
        self.total: int | None = int(self._file.metadata.num_rows)
        self.notes: list[str] = []

    def read(self, places: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        """Only these columns are read."""
        names = [self.columns[place] for place in places]
        for batch in self._batches(list(dict.fromkeys(names))):
            found = {name: _values(batch.column(name)) for name in names}
            yield from zip(*(found[name] for name in names), strict=True)

    def write(self, target: Path, added: Sequence[str], cells: Iterable[Sequence[Any]], text: int) -> None:  # noqa: ARG002
        """Batch by batch."""
        rest = iter(cells)
        schema = widened(self._file.schema_arrow.empty_table(), added, []).schema
        with self._arrow.ParquetWriter(target, schema) as writer:
            for batch in self._batches():
                writer.write_batch(widened(batch, added, [next(rest) for _ in range(batch.num_rows)]))

    def _batches(self, columns: list[str] | None = None) -> Iterator[Any]:
        try:
            yield from self._file.iter_batches(_ROWS, columns=columns)
        except BROKEN as error:
            raise self._broken() from error

    def _broken(self) -> TableError:
        return TableError("broken_parquet", f"{self._path}: файл Parquet повреждён; выгрузите его заново")


def _values(column: Any) -> list[Any]:
    """As Python's; what it has no room for (the year 30000, words that are no UTF-8) as it is written."""
    import pyarrow as pa  # noqa: PLC0415  a large library that only this format wants

    try:
        found: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        found = column.cast(pa.binary()).to_pylist()
    except (ValueError, OverflowError):
        found = column.cast(pa.string()).to_pylist()
    return found


def widened(rows: Any, added: Sequence[str], cells: Sequence[Sequence[Any]]) -> Any:
    """A table or a batch of arrow with further columns at its right: words, and 0 or 1 where the name begins with «0/1»."""
    import pyarrow as pa  # noqa: PLC0415  a large library that only this format wants

    for place, name in enumerate(added):
        kind = pa.int8() if name.startswith("0/1 ") else pa.string()
        rows = rows.append_column(pa.field(name, kind), pa.array([row[place] for row in cells], kind))
    return rows


def _arrow(path: Path) -> Any:
    try:
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError as error:
        raise TableError("no_parquet", f"{path}: для Parquet установите дополнение: pip install 'otklik[batch]'") from error
    return pyarrow.parquet
