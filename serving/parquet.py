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
            raise TableError("broken_parquet", f"{path}: файл Parquet повреждён ({error})") from error
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
        import pyarrow as pa  # noqa: PLC0415  a large library that only this format wants

        rest = iter(cells)
        schema = self._file.schema_arrow
        for name in added:
            schema = schema.append(pa.field(name, pa.string() if not name.startswith("0/1 ") else pa.int8()))
        with self._arrow.ParquetWriter(target, schema) as writer:
            for batch in self._file.iter_batches(_ROWS):
                more = [next(rest) for _ in range(batch.num_rows)]
                columns = [*batch.columns]
                for place, name in enumerate(added):
                    columns.append(pa.array([row[place] for row in more], schema.field(name).type))
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def _arrow(path: Path) -> Any:
    try:
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError as error:
        raise TableError("no_parquet", f"{path}: для Parquet установите дополнение: pip install 'otklik[batch]'") from error
    return pyarrow.parquet
