"""Parquet, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from otklik.serving.tables import TableError

_ROWS = 4096  # of a batch


class Parquet:
    """Column types and metadata stay."""

    def __init__(self, path: Path) -> None:
        self._arrow = _arrow(path)
        try:
            self._file = self._arrow.ParquetFile(path)
        except (OSError, ValueError) as error:
            raise TableError("broken_parquet", f"{path}: файл Parquet повреждён; выгрузите его заново") from error
        self.columns = list(self._file.schema_arrow.names)
        self.total: int | None = int(self._file.metadata.num_rows)
        self.notes: list[str] = []

    def read(self, places: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        """Only these columns are read."""
        names = [self.columns[place] for place in places]
        for batch in self._file.iter_batches(_ROWS, columns=list(dict.fromkeys(names))):
            found = {name: batch.column(name).to_pylist() for name in batch.schema.names}
            yield from zip(*(found[name] for name in names), strict=True)

    def write(self, target: Path, added: Sequence[str], cells: Iterable[Sequence[Any]], text: int) -> None:  # noqa: ARG002
        """Batch by batch."""
        rest = iter(cells)
        schema = widened(self._file.schema_arrow.empty_table(), added, []).schema
        with self._arrow.ParquetWriter(target, schema) as writer:
            for batch in self._file.iter_batches(_ROWS):
                writer.write_batch(widened(batch, added, [next(rest) for _ in range(batch.num_rows)]))


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
