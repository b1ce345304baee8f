"""One sheet of an Excel file, within the whole of it."""

from __future__ import annotations

import gc
import io
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from copy import copy
from itertools import repeat
from pathlib import Path
from typing import Any

from openpyxl import load_workbook
from openpyxl.reader.excel import ExcelReader
from openpyxl.styles import Alignment
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.formula import ArrayFormula, DataTableFormula

from otklik.serving.tables import FORMULA, Layout, TableError, as_text

_HEADER_WITHIN = 20  # rows of a sheet: above the header stand titles
_HEADER_SHARE = 0.6  # of the cells of the fullest row: fewer are a title
_WIDTHS = {"text": 60, "other": 22}  # characters
_COLUMNS = 16_384  # that a sheet can have
_OLE = b"\xd0\xcf\x11\xe0"  # an old .xls, or an .xlsx behind a password


class Workbook:
    """One sheet of an Excel file. Written into a copy of the whole file: other sheets, widths and formats stay."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self._path = path
        with self._readable(), closing(self._load(data_only=True)) as book:
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
        self.total: int | None = None
        self.notes = [f"лист «{self._sheet}», заголовок в строке {self._header}"]

    def read(self, places: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        """Values to the last row with anything; the formula where no value stands beside it: that is how customers' «=…» comes."""
        with self._readable(), closing(self._load(data_only=True)) as values, closing(self._load(data_only=False)) as formulas:
            blank = 0
            for row, written in zip(self._below(values), self._below(formulas), strict=True):
                if not any(map(_filled, written)):
                    blank += 1
                    continue
                yield from ((None,) * len(places) for _ in range(blank))
                blank = 0
                yield tuple(_value(row[place], written[place]) if place < len(row) else None for place in places)

    def write(self, target: Path, added: Sequence[str], cells: Iterable[Sequence[Any]], text: int) -> None:
        """With the header frozen, a filter, and widths that can be read. Right of all that is there: beside the header, notes may stand."""
        with self._readable():
            book = self._whole()
        sheet = book[self._sheet]
        below = [cell for cell in sheet._cells.values() if cell.row >= self._header and _filled(cell.value)]  # noqa: SLF001  all others are made
        merged = [area.max_col for area in sheet.merged_cells.ranges if area.max_row >= self._header]
        first = max(len(self.columns), *merged, *(cell.column for cell in below)) + 1
        if first + len(added) - 1 > _COLUMNS:
            message = f"{self._path}: на листе «{self._sheet}» занят столбец {get_column_letter(first - 1)}, места для разметки не остаётся"
            raise TableError("too_wide", f"{message}; удалите лишние столбцы")
        said = self.read([text]) if any(cell.column == text + 1 and cell.data_type == "f" for cell in below) else repeat(())
        for place, name in enumerate(added, first):
            cell = sheet.cell(self._header, place, name)
            cell.font = copy(sheet.cell(self._header, 1).font)
            sheet.column_dimensions[get_column_letter(place)].width = _WIDTHS["other"]
        number = self._header
        for number, (more, words) in enumerate(zip(cells, said, strict=False), self._header + 1):
            if words and sheet.cell(number, text + 1).data_type == "f":
                _as_words(sheet.cell(number, text + 1), as_text(words[0]))
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
        if not sheet.tables:  # which have a filter of their own
            sheet.auto_filter.ref = f"A{self._header}:{get_column_letter(first + len(added) - 1)}{number}"
        target.write_bytes(_saved(book))

    def _load(self, *, data_only: bool) -> Any:
        with self._path.open("rb") as opened:
            if opened.read(4) == _OLE:
                message = f"{self._path}: файл защищён паролем или это старый .xls; снимите пароль и сохраните как .xlsx"
                raise TableError("protected", message)
        warnings.filterwarnings("ignore", category=UserWarning, module="openpyxl")  # they are no words for an analyst
        return load_workbook(self._path, read_only=True, data_only=data_only)

    def _whole(self) -> Any:
        reader = _Exact(self._path, keep_vba=self._path.suffix.lower() == ".xlsm")
        reader.read()
        return reader.wb

    def _below(self, book: Any) -> Iterator[Sequence[Any]]:
        sheet = book[self._sheet]
        sheet.reset_dimensions()
        yield from sheet.iter_rows(min_row=self._header + 1, values_only=True)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """What goes wrong inside is the file's fault. The library raises whatever it stumbles over, also when a row is read at last."""
        try:
            yield
        except (TableError, PermissionError, MemoryError):
            raise
        except Exception as error:
            raise TableError("broken_xlsx", f"{self._path}: файл Excel повреждён; откройте его и сохраните заново") from error

    def _chosen(self, book: Any, wanted: str | None) -> str:
        names = [sheet.title for sheet in book.worksheets if sheet.sheet_state == "visible"]
        if wanted:
            if wanted not in [sheet.title for sheet in book.worksheets]:
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


def _saved(book: Any) -> bytes:
    """What the library leaves half-written on a full disk complains, with a traceback, when it is collected: here, and unheard."""
    content = io.BytesIO()
    try:
        book.save(content)
    except OSError as error:
        failed = error.errno, error.strerror
    else:
        return content.getvalue()
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        gc.collect()
    finally:
        sys.unraisablehook = hook
    raise OSError(*failed)


class _Exact(ExcelReader):  # type: ignore[misc]
    """Dates stay the numbers they are in the file, with the format that shows them: none is rounded, none is outside a calendar."""

    def read_worksheets(self) -> None:
        """After the styles, before the cells."""
        self.wb._date_formats = self.wb._timedelta_formats = set()  # noqa: SLF001  there is no option for it
        super().read_worksheets()


def _value(value: Any, written: Any) -> Any:
    if value is not None or isinstance(written, DataTableFormula):
        return value
    return written.text if isinstance(written, ArrayFormula) else written


def _as_words(cell: Any, words: str) -> None:
    """Never a formula, whatever it begins with; without the characters that a sheet cannot hold."""
    cell.value = None
    cell.data_type = "s"
    cell._value = "".join(char for char in words if char >= " " or char in "\t\n\r")[:32_767]  # noqa: SLF001  the setter would guess
    cell.alignment = Alignment(vertical="top", wrap_text=False)
    if words.startswith(FORMULA):
        cell.quotePrefix = True


def _filled(value: Any) -> bool:
    return value is not None and str(value).strip() != ""


def _header_row(head: Sequence[Sequence[Any]]) -> int:
    """The first row that is about as full as the fullest: what stands above it is a title. 1 where the sheet is empty."""
    counts = [sum(map(_filled, row)) for row in head]
    most = max(counts, default=0)
    return next((number for number, count in enumerate(counts, 1) if count and count >= _HEADER_SHARE * most), 1)
