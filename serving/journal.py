"""What a run has done so far, on disk: after a kill, a full disk or a pulled cable the same command goes on from here."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self


class Busy(Exception):  # noqa: N818
    """Another process is writing the same result."""


class Journal:
    """A line for each row that was answered, appended in pieces; the first line tells of which run it is.

    A line that was not written to its end is forgotten. Use as a context: one process at a time holds it.
    """

    def __init__(self, target: Path, mark: str, *, restart: bool = False, hopeless: type[BaseException] | tuple[()] = ()) -> None:
        """Lies beside the target. With another ``mark`` (file, options or model have changed) the run begins anew.

        After an error of the kind ``hopeless`` what was done is of no use, and is removed.
        """
        self.path = target.with_name(f".{target.name}.otklik")
        self._mark = json.dumps({"mark": mark})
        self._restart = restart
        self._hopeless = hopeless
        self._file: IO[bytes] | None = None
        self.done = 0

    def __enter__(self) -> Self:
        """Raises `Busy`."""
        self._file = self.path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise Busy from None
        end, self.done = (0, 0) if self._restart else self._whole()
        self._file.truncate(end)
        if not end:
            self._append([self._mark])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Closes it; what is in it stays until `remove`, unless it is the file that is wrong: mended, it will be another one."""
        if kind and issubclass(kind, self._hopeless):
            self.remove()
        self._opened.close()

    @property
    def _opened(self) -> IO[bytes]:
        if self._file is None:
            raise RuntimeError("the journal is not open")
        return self._file

    def _whole(self) -> tuple[int, int]:
        """Where the last whole line ends, and how many rows there are; nothing where it is of another run."""
        self._opened.seek(0)
        end, rows = 0, -1
        for line in self._opened:
            if not line.endswith(b"\n") or (rows < 0 and line.rstrip(b"\n") != self._mark.encode()):
                break
            end += len(line)
            rows += 1
        return (end, rows) if rows >= 0 else (0, 0)

    def add(self, rows: Sequence[str]) -> None:
        """On disk when it returns. A row has no line break in it."""
        self._append(rows)
        self.done += len(rows)

    def _append(self, rows: Sequence[str]) -> None:
        self._opened.write("".join(f"{row}\n" for row in rows).encode("utf-8"))
        self._opened.flush()
        os.fsync(self._opened.fileno())

    def rows(self) -> Iterator[str]:
        """All rows, in order."""
        with self.path.open("rb") as opened:
            next(opened)
            for line in opened:
                yield line.decode("utf-8").rstrip("\n")

    def remove(self) -> None:
        """When the result stands whole."""
        self.path.unlink(missing_ok=True)
