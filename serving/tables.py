"""Files of rows as analysts have them: CSV, Excel, Parquet. Read in pieces; written with further columns, all the others as they were."""

from __future__ import annotations

import codecs
import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Protocol

from charset_normalizer import from_bytes
from openpyxl import load_workbook
from openpyxl.styles import Alignment
from openpyxl.utils import get_column_letter
from openpyxl.utils.exceptions import InvalidFileException

_SAMPLE = 1 << 20  # bytes that tell the encoding
_DELIMITERS = ";,\t|"
_LEGACY = ["cp1251", "koi8_r", "cp866", "mac_cyrillic"]
_USUAL = "cp1251"  # of the old encodings, by far
_ENOUGH = 64  # bytes to tell old encodings apart
_HEADER_WITHIN = 20  # rows of a sheet: above the header stand titles
_HEADER_SHARE = 0.6  # of the cells of the fullest row: fewer are a title
_WIDTHS = {"text": 60, "other": 22}  # characters
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_OLE = b"\xd0\xcf\x11\xe0"  # an old .xls, or an .xlsx behind a password
_PARQUET_ROWS = 4096

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


class Table(Protocol):
    """``notes`` tell the analyst what was found out; ``total`` is the number of rows, where it is known or can be estimated."""

    columns: Sequence[str]
    notes: Sequence[str]
    total: int | None

    def read(self, places: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        """The cells of these columns, row by row; an absent one is None."""

    def write(self, target: Path, added: Sequence[str], cells: Iterable[Sequence[Any]], text: int) -> None:
        """All rows with further cells. ``text`` is the column that holds customers' words."""


def open_table(path: Path, layout: Layout = Layout()) -> Table:
    """Told by the ending of the name. Raises `TableError`, with what to do."""
    suffix = path.suffix.lower()
    try:
        if suffix in {".xlsx", ".xlsm"}:
            return Workbook(path, layout)
        if suffix == ".parquet":
            return Parquet(path)
        return Delimited(path, layout)
    except PermissionError as error:
        raise TableError("no_access", f"{path}: нет доступа; закройте файл в Excel или проверьте права") from error


def safe(text: str) -> str:
    """A customer's words never become a formula of the program that opens them."""
    return "'" + text if text.startswith(_FORMULA) else text


class Delimited:
    """CSV and its kin. Written in UTF-8 with a mark at the start, as Russian Excel wants it, with the separator of the source."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self._path = path
        self._encoding = layout.encoding or _encoding(path)
        try:
            codecs.lookup(self._encoding)
        except LookupError:
            raise TableError(
                "unknown_encoding", f"{path}: кодировка «{self._encoding}» неизвестна; например utf-8, cp1251, utf-16"
            ) from None
        sample = self._sample()
        self._delimiter = layout.delimiter or _delimiter(sample, path)
        self.columns = self._header()
        self.total = max(0, _count(path, "\n".encode(self._encoding.removesuffix("-sig"))[-2:].strip(b"\xff\xfe") or b"\n") - 1)
        self.notes = [f"кодировка {self._encoding}, разделитель {_DELIMITER_NAMES.get(self._delimiter, self._delimiter)}"]

    def read(self, places: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        """Short rows are filled up."""
        for row in self._rows():
            yield tuple(row[place] if place < len(row) else None for place in places)

    def write(self, target: Path, added: Sequence[str], cells: Iterable[Sequence[Any]], text: int) -> None:  # noqa: ARG002
        """Rows keep their cells; short ones are filled up so that the new columns stand in line."""
        with target.open("w", encoding="utf-8-sig", newline="") as out:
            writer = csv.writer(out, delimiter=self._delimiter)
            writer.writerow([*self.columns, *added])
            for row, more in zip(self._rows(), cells, strict=True):
                padding = [""] * (len(self.columns) - len(row))
                writer.writerow([*row, *padding, *(safe(cell) if isinstance(cell, str) else cell for cell in more)])

    def _rows(self) -> Iterator[list[str]]:
        csv.field_size_limit(2**31 - 1)
        with self._open() as lines:
            reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
            try:
                next(reader)
                for row in reader:
                    if row:  # an empty line is no row
                        yield row
            except csv.Error as error:
                message = f"{self._path}:{reader.line_num}: таблица нарушена ({error}); проверьте кавычки в этой строке"
                raise TableError("broken_csv", message) from error
            except UnicodeDecodeError as error:
                raise self._undecodable(reader.line_num) from error

    def _header(self) -> list[str]:
        csv.field_size_limit(2**31 - 1)
        with self._open() as lines:
            try:
                header = next(csv.reader(lines, delimiter=self._delimiter, strict=True), None)
            except csv.Error as error:
                raise TableError("broken_csv", f"{self._path}:1: заголовок нарушен ({error}); проверьте кавычки") from error
            except UnicodeDecodeError as error:
                raise self._undecodable(1) from error
        if not header or not any(name.strip() for name in header):
            raise TableError("empty_file", f"{self._path}: файл пуст; в первой строке ожидаются названия столбцов")
        return header

    def _sample(self) -> str:
        try:
            with self._open() as lines:
                return lines.read(_SAMPLE // 16)
        except UnicodeError as error:
            raise self._undecodable(1) from error

    def _open(self) -> io.TextIOWrapper:
        return self._path.open(encoding=self._encoding, newline="")

    def _undecodable(self, line: int) -> TableError:
        message = (
            f"{self._path}: после строки {line} есть байты не в кодировке {self._encoding}; "
            "укажите другую (--encoding cp1251) или сохраните файл заново в UTF-8"
        )
        return TableError("invalid_encoding", message)


_DELIMITER_NAMES = {"\t": "табуляция", ";": "«;»", ",": "«,»", "|": "«|»"}


def _encoding(path: Path) -> str:
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
        found = from_bytes(sample, cp_isolation=_LEGACY).best() if len(sample) > _ENOUGH else None
        return found.encoding if found else _USUAL
    return "utf-8"


def _delimiter(sample: str, path: Path) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    header = sample.split("\n", 1)[0]
    try:
        found = csv.Sniffer().sniff(sample, _DELIMITERS).delimiter
    except csv.Error:
        found = ""
    # In a table of free text commas are everywhere: what the header has none of is no separator.
    return found if found and found in header else max(_DELIMITERS, key=header.count)


def _count(path: Path, newline: bytes) -> int:
    with path.open("rb") as opened:
        return sum(piece.count(newline) for piece in iter(lambda: opened.read(_SAMPLE), b""))


class Workbook:
    """One sheet of an Excel file. Written into a copy of the whole file: other sheets, widths and formats stay."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self._path = path
        book = self._load(read_only=True, data_only=True)
        try:
            self._sheet = self._chosen(book, layout.sheet)
            sheet = book[self._sheet]
            sheet.reset_dimensions()
            head = [list(row) for row, _ in zip(sheet.iter_rows(values_only=True), range(_HEADER_WITHIN), strict=False)]
            self._header = layout.header_row or _header_row(head)
            if not 1 <= self._header <= len(head) or not any(_filled(cell) for cell in head[self._header - 1]):
                raise TableError("empty_file", f"{path}: на листе «{self._sheet}» нет таблицы; в первой строке ожидаются названия столбцов")
            names = head[self._header - 1]
            while names and not _filled(names[-1]):
                names.pop()
            self.columns = [
                str(name).strip() if _filled(name) else f"столбец {get_column_letter(place)}" for place, name in enumerate(names, 1)
            ]
        finally:
            book.close()
        self.total: int | None = None
        self.notes = [f"лист «{self._sheet}», заголовок в строке {self._header}"]

    def read(self, places: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        """Values, not formulas; rows to the last one that holds anything."""
        book = self._load(read_only=True, data_only=True)
        try:
            sheet = book[self._sheet]
            sheet.reset_dimensions()
            blank = 0
            for row in sheet.iter_rows(min_row=self._header + 1, values_only=True):
                if not any(_filled(cell) for cell in row):
                    blank += 1
                    continue
                yield from ((None,) * len(places) for _ in range(blank))
                blank = 0
                yield tuple(row[place] if place < len(row) else None for place in places)
        finally:
            book.close()

    def write(self, target: Path, added: Sequence[str], cells: Iterable[Sequence[Any]], text: int) -> None:
        """With the header frozen, a filter, and widths that can be read."""
        book = self._load(read_only=False, data_only=False)
        sheet = book[self._sheet]
        first = len(self.columns) + 1
        for place, name in enumerate(added, first):
            cell = sheet.cell(self._header, place, name)
            cell.font = copy(sheet.cell(self._header, 1).font)
            sheet.column_dimensions[get_column_letter(place)].width = _WIDTHS["other"]
        number = self._header
        for number, more in enumerate(cells, self._header + 1):
            words = sheet.cell(number, text + 1)
            if words.data_type == "f":
                _as_words(words, str(words.value))
            for place, value in enumerate(more, first):
                if value not in {None, ""}:
                    cell = sheet.cell(number, place)
                    if isinstance(value, str):
                        _as_words(cell, value)
                    else:
                        cell.value = value
        width = sheet.column_dimensions[get_column_letter(text + 1)]
        width.width = max(width.width or 0, _WIDTHS["text"])
        sheet.freeze_panes = sheet.cell(self._header + 1, 1)
        sheet.auto_filter.ref = f"A{self._header}:{get_column_letter(first + len(added) - 1)}{number}"
        book.save(target)
        book.close()

    def _load(self, *, read_only: bool, data_only: bool) -> Any:
        with self._path.open("rb") as opened:
            if opened.read(4) == _OLE:
                message = f"{self._path}: файл защищён паролем или это старый .xls; снимите пароль и сохраните как .xlsx"
                raise TableError("protected", message)
        try:
            return load_workbook(self._path, read_only=read_only, data_only=data_only, keep_vba=self._path.suffix.lower() == ".xlsm")
        except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, OSError, EOFError) as error:
            raise TableError("broken_xlsx", f"{self._path}: файл Excel повреждён; откройте его и сохраните заново") from error

    def _chosen(self, book: Any, wanted: str | None) -> str:
        names = [sheet.title for sheet in book.worksheets if sheet.sheet_state == "visible"]
        if wanted:
            if wanted not in book.sheetnames:
                raise TableError("no_sheet", f"{self._path}: листа «{wanted}» нет; есть: {', '.join(names)}")
            return wanted
        for name in names:
            sheet = book[name]
            sheet.reset_dimensions()
            if sum(
                any(_filled(cell) for cell in row) for row, _ in zip(sheet.iter_rows(values_only=True), range(_HEADER_WITHIN), strict=False)
            ):
                return str(name)
        raise TableError("empty_file", f"{self._path}: все листы пусты")


def _as_words(cell: Any, words: str) -> None:
    """Never a formula, whatever it begins with; without the characters that a sheet cannot hold."""
    cell.value = None
    cell.data_type = "s"
    cell._value = "".join(char for char in words if char >= " " or char in "\t\n\r")[:32_767]  # noqa: SLF001  the setter would guess
    cell.alignment = Alignment(vertical="top", wrap_text=False)
    if words.startswith(_FORMULA):
        cell.quotePrefix = True


def _filled(value: Any) -> bool:
    return value is not None and str(value).strip() != ""


def _header_row(head: Sequence[Sequence[Any]]) -> int:
    """The first row that is about as full as the fullest: what stands above it is a title. 1 where the sheet is empty."""
    counts = [sum(map(_filled, row)) for row in head]
    most = max(counts, default=0)
    return next((number for number, count in enumerate(counts, 1) if count and count >= _HEADER_SHARE * most), 1)


class Parquet:
    """Column types and metadata stay."""

    def __init__(self, path: Path) -> None:
        self._arrow = _arrow(path)
        try:
            self._file = self._arrow.ParquetFile(path)
        except (OSError, ValueError) as error:
            raise TableError("broken_parquet", f"{path}: файл Parquet повреждён ({error})") from error
        self.columns = list(self._file.schema_arrow.names)
        self.total = int(self._file.metadata.num_rows)
        self.notes: list[str] = []

    def read(self, places: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        """Only these columns are read."""
        names = [self.columns[place] for place in places]
        for batch in self._file.iter_batches(_PARQUET_ROWS, columns=list(dict.fromkeys(names))):
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
            for batch in self._file.iter_batches(_PARQUET_ROWS):
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


def as_text(value: Any) -> str:
    """A cell as the words in it; an empty one is «»."""
    if value is None:
        return ""
    if isinstance(value, datetime | date):
        return value.isoformat()
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
