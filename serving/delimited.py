"""CSV and its kin, in whatever encoding and with whatever separator they come."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from charset_normalizer import from_bytes

from otklik.serving.tables import Layout, TableError, safe

if TYPE_CHECKING:
    from otklik.serving.store import Blob

_SAMPLE = 1 << 20  # bytes that tell the encoding
_DELIMITERS = ";,\t|"
_LEGACY = ["cp1251", "koi8_r", "cp866", "mac_cyrillic"]
_USUAL = "cp1251"  # of the old encodings, by far
_ENOUGH = 64  # bytes to tell old encodings apart
_HINT = re.compile("sep=(.)\r?\n", re.IGNORECASE)  # a line for Excel that tells the separator


class Delimited:
    """CSV and its kin. Written in UTF-8 with a mark at the start, as Russian Excel wants it, with the separator of the source."""

    def __init__(self, path: Path | Blob, layout: Layout) -> None:
        self._path = path
        self._encoding = layout.encoding or _encoding(path)
        try:
            io.TextIOWrapper(io.BytesIO(), encoding=self._encoding)
        except LookupError:
            raise TableError(
                "unknown_encoding", f"{path}: кодировка «{self._encoding}» неизвестна; например utf-8, cp1251, utf-16"
            ) from None
        sample = self._sample()
        if "\0" in sample.split("\n", 1)[0]:
            raise TableError("not_text", f"{path}: это не текстовая таблица; выгрузите её как CSV или Excel")
        hint = _HINT.match(sample)
        self._above = 1 + bool(hint)  # lines over the first row
        self._delimiter = _named(layout.delimiter, path) or (hint[1] if hint else _delimiter(sample, path))
        self.columns = self._header()
        rows, self._width = self._measured()
        self.total: int | None = rows
        self.notes = [f"кодировка {self._encoding}, разделитель {_DELIMITER_NAMES.get(self._delimiter, self._delimiter)}"]
        if more := self._unnamed():
            self.notes.append(f"в строках есть ячейки без названия столбца, они сохранены ({', '.join(more[:3])}); проверьте кавычки")

    def read(self, places: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        """Short rows are filled up."""
        for row in self._rows():
            yield tuple(row[place] if place < len(row) else None for place in places)

    def write(self, target: Path, added: Sequence[str], cells: Iterable[Sequence[Any]], text: int) -> None:
        """Rows keep their cells, but for words that a spreadsheet would calculate; of one width, for answers to stand in line."""
        with target.open("w", encoding="utf-8-sig", newline="") as out:
            writer = csv.writer(out, delimiter=self._delimiter)
            writer.writerow([*self.columns, *self._unnamed(), *added])
            for row, more in zip(self._rows(), cells, strict=True):
                padding = [""] * (self._width - len(row))
                if text < len(row):
                    row[text] = safe(row[text])
                writer.writerow([*row[: self._width], *padding, *(safe(cell) if isinstance(cell, str) else cell for cell in more)])

    def marks(self, step: int) -> tuple[list[int], int]:
        """Where every ``step``-th row begins, for `rows_at`, and how many rows there are. Raises `TableError` for a row without columns."""
        found, count = [0], 0
        with self._open() as lines:
            for count, row in enumerate(self._parsed(lines), start=1):
                if any(row[len(self.columns) :]):
                    message = f"{self._path}: в строке {count} под заголовком больше ячеек, чем столбцов; проверьте разделитель и кавычки"
                    raise TableError("broken_csv", message)
                if not count % step:
                    found.append(lines.tell())
        return found, count

    def rows_at(self, mark: int, count: int) -> list[list[str]]:
        """So many rows from a mark on, each as wide as the header."""
        width = len(self.columns)
        with self._open() as lines:
            return [[*row, *[""] * (width - len(row))][:width] for row in islice(self._parsed(lines, mark), count)]

    def _rows(self) -> Iterator[list[str]]:
        with self._open() as lines:
            yield from self._parsed(lines)

    def _parsed(self, lines: IO[str], mark: int = 0) -> Iterator[list[str]]:
        """Rows from a mark on. While one is yielded, ``lines`` stands at the start of the next."""
        csv.field_size_limit(2**31 - 1)
        lines.seek(mark)
        reader = csv.reader(iter(lines.readline, ""), delimiter=self._delimiter, strict=True)  # a file that is iterated cannot tell()
        try:
            for _ in range(0 if mark else self._above):
                next(reader)
            for row in reader:
                if row:  # an empty line is no row
                    yield row
        except csv.Error as error:
            message = f"{self._path}:{reader.line_num}: кавычка не закрыта или стоит не на месте; проверьте эту строку и те, что выше"
            raise TableError("broken_csv", message) from error
        except UnicodeDecodeError as error:
            raise self._undecodable(reader.line_num) from error

    def _measured(self) -> tuple[int, int]:
        """How many rows there are, and how many cells the widest has, without empty ones at its end. Finds what is wrong with any row."""
        count, width = 0, len(self.columns)
        for count, row in enumerate(self._rows(), start=1):  # noqa: B007
            while len(row) > width and not row[-1]:
                row.pop()
            width = max(width, len(row))
        return count, width

    def _unnamed(self) -> list[str]:
        """Names for the cells that stand right of the last column."""
        return [f"столбец {number}" for number in range(len(self.columns) + 1, self._width + 1)]

    def _header(self) -> list[str]:
        csv.field_size_limit(2**31 - 1)
        with self._open() as lines:
            try:
                header = next(islice(csv.reader(lines, delimiter=self._delimiter, strict=True), self._above - 1, None), None)
            except csv.Error as error:
                raise TableError(
                    "broken_csv", f"{self._path}:1: в заголовке кавычка не закрыта или стоит не на месте; проверьте его"
                ) from error
            except UnicodeDecodeError as error:
                raise self._undecodable(1) from error
        if not header or not any(name.strip() for name in header):
            raise TableError("empty_file", f"{self._path}: файл пуст; в первой строке ожидаются названия столбцов")
        return header

    def _sample(self) -> str:
        with self._path.open("rb") as opened:
            return opened.read(_SAMPLE // 8).decode(self._encoding, "replace")  # what is wrong is told when its line is read

    def _open(self) -> IO[str]:
        return self._path.open(encoding=self._encoding, newline="")

    def _undecodable(self, line: int) -> TableError:
        message = (
            f"{self._path}: после строки {line} есть байты не в кодировке {self._encoding}; "
            "укажите другую (--encoding) или сохраните файл заново в UTF-8"
        )
        return TableError("invalid_encoding", message)


_DELIMITER_NAMES = {"\t": "табуляция", ";": "«;»", ",": "«,»", "|": "«|»"}


def _encoding(path: Path | Blob) -> str:
    """By its mark; else UTF-8 if all of it is; else what charset-normalizer makes of the beginning."""
    with path.open("rb") as opened:
        sample = opened.read(_SAMPLE)
    if sample.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if sample.count(b"\0") + sample.count(b"\4") > len(sample) // 4:  # the other byte of Latin and of Russian letters in UTF-16
        first, second = (half.count(b"\0") + half.count(b"\4") for half in (sample[::2], sample[1::2]))
        return "utf-16-le" if second > first else "utf-16-be"
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as opened:
            while piece := opened.read(_SAMPLE):
                decoder.decode(piece)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        if _mostly_utf8(sample):
            return "utf-8"  # and whoever reads it is told where it is not
        found = from_bytes(sample, cp_isolation=_LEGACY).best() if len(sample) > _ENOUGH else None
        return found.encoding if found else _USUAL
    return "utf-8"


def _delimiter(sample: str, path: Path | Blob) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    header = sample.split("\n", 1)[0]
    try:
        found = csv.Sniffer().sniff(sample, _DELIMITERS).delimiter
    except csv.Error:
        found = ""
    # In a table of free text commas are everywhere: what the header has none of is no separator.
    return found if found and found in header else max(_DELIMITERS, key=header.count)


def _named(delimiter: str | None, path: Path | Blob) -> str | None:
    """As it was asked for; a tab can be written as it is in programs."""
    found = "\t" if delimiter == "\\t" else delimiter
    if found and (len(found) > 1 or found in '"\r\n'):
        raise TableError("bad_delimiter", f"{path}: разделитель — один знак, а не «{found}»; например «;», «,» или «\\t» для табуляции")
    return found


def _mostly_utf8(sample: bytes) -> bool:
    """A few broken bytes among Russian letters of UTF-8. In the old encodings a letter is one byte: read so, they make none."""
    words = sample.decode("utf-8", "replace")
    return sum("а" <= char <= "я" for char in words) > words.count("\ufffd")
