"""One sheet of an Excel file, within the whole of it."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import Any

from openpyxl import load_workbook
from openpyxl.styles import Alignment
from openpyxl.utils import get_column_letter
from openpyxl.utils.exceptions import InvalidFileException

from otklik.serving.tables import FORMULA, Layout, TableError

_HEADER_WITHIN = 20  # rows of a sheet: above the header stand titles
_HEADER_SHARE = 0.6  # of the cells of the fullest row: fewer are a title
_WIDTHS = {"text": 60, "other": 22}  # characters
_OLE = b"\xd0\xcf\x11\xe0"  # an old .xls, or an .xlsx behind a password


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
    if words.startswith(FORMULA):
        cell.quotePrefix = True


def _filled(value: Any) -> bool:
    return value is not None and str(value).strip() != ""


def _header_row(head: Sequence[Sequence[Any]]) -> int:
    """The first row that is about as full as the fullest: what stands above it is a title. 1 where the sheet is empty."""
    counts = [sum(map(_filled, row)) for row in head]
    most = max(counts, default=0)
    return next((number for number, count in enumerate(counts, 1) if count and count >= _HEADER_SHARE * most), 1)
