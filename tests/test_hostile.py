"""Files that go wrong in every way that was thought of: each is refused with what to do, or labelled with all its rows.

``python tests/test_hostile.py`` prints the table of what each got.
"""

from __future__ import annotations

import csv
import io
import sys
import tempfile
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from otklik.nlp.analyzer import Analyzer
from otklik.serving.label import LabelError, label_file
from otklik.serving.labeller import Labeller
from otklik.serving.tables import open_table
from otklik.taxonomy.load import load_taxonomy

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # what an Excel file with a password begins with, and one of before 2007


def packed(names: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in names.items():
            archive.writestr(name, data)
    return content.getvalue()


def book(change: Callable[[Any], None]) -> bytes:
    """An Excel file with a sheet as ``change`` makes it."""
    made = openpyxl.Workbook()
    change(made)
    content = io.BytesIO()
    made.save(content)
    return content.getvalue()


def parquet(table: pa.Table) -> bytes:
    content = io.BytesIO()
    pq.write_table(table, content)
    return content.getvalue()


def merged(made: Any) -> None:
    sheet = made.active
    for row in (["Опрос", None], ["номер", "Отзыв"], [1, "Хамили на кассе"], [2, "Всё хорошо"], [3, None]):
        sheet.append(row)
    sheet.merge_cells("A1:B1")
    sheet.merge_cells("B4:B5")


def formulas(made: Any) -> None:
    for row in (["Отзыв", "сумма"], ["Деньги не вернули", "=1+1"], ["=CONCATENATE(B2;B2)", 3], ["Всё хорошо", "=НЕТ()"]):
        made.active.append(row)


def second_sheet(made: Any) -> None:
    made.create_sheet("Ответы")
    for row in (["Отзыв"], ["Очередь два часа"]):
        made["Ответы"].append(row)


def dates(made: Any) -> None:
    for row in (["дата", "Отзыв"], [45901, "Курьер опоздал"], [date(2026, 8, 1), "Хорошо"], ["01.08.2026", "Плохо"]):
        made.active.append(row)


def wide(made: Any) -> None:
    made.active.append([*(f"в{number}" for number in range(2000)), "Отзыв"])
    made.active.append([*range(2000), "Грубый продавец"])


ODD = pa.table(
    {
        "Отзыв": pa.array(["Нахамили", None, "Хорошо"]),
        "вложено": pa.array([{"а": 1}, {"а": 2}, None]),
        "байты": pa.array([b"\xff", b"", None]),
        "пусто": pa.nulls(3),
    }
)

REFUSED: list[tuple[str, str, bytes, str]] = [
    ("empty", "a.csv", b"", "empty_file"),
    ("only the mark of UTF-8", "a.csv", b"\xef\xbb\xbf", "empty_file"),
    ("only empty lines", "a.csv", b"\n\n\n", "empty_file"),
    ("no column with text", "a.csv", "а;б;в\n1;2;3\n".encode(), "no_text_column"),
    ("only numbers", "a.csv", b"1\n2\n3\n", "no_text_column"),
    ("a quote that is not closed", "a.csv", 'текст\n"не закрыта\n'.encode(), "broken_csv"),
    ("two encodings in one file", "a.csv", "текст\nхорошо\n".encode() + "плохо\n".encode("cp1251") + b"\x98\n", "invalid_encoding"),
    ("Excel: broken zip", "a.xlsx", b"PK\x03\x04 broken", "broken_xlsx"),
    ("Excel: a zip with something else", "a.xlsx", packed({"hello.txt": b"hi"}), "broken_xlsx"),
    ("Excel: with a password", "a.xlsx", OLE + b"\0" * 512, "protected"),
    ("Excel: empty file", "a.xlsx", b"", "broken_xlsx"),
    ("Excel: no rows at all", "a.xlsx", book(lambda _: None), "empty_file"),
    ("Excel of before 2007", "a.xls", OLE, "unknown_format"),
    ("Parquet: four bytes", "a.parquet", b"PAR1", "broken_parquet"),
    ("Parquet: cut off", "a.parquet", parquet(ODD)[:-40], "broken_parquet"),
    ("a PDF", "a.pdf", b"%PDF", "unknown_format"),
]
LABELLED: list[tuple[str, str, bytes, int]] = [
    ("header only", "a.csv", "текст\n".encode(), 0),
    ("two columns of one name", "a.csv", "текст;текст\nужас;хорошо\n".encode(), 1),
    ("columns without a name", "a.csv", ";текст;\n1;Не дозвониться;2\n".encode(), 1),
    ("a row of a megabyte", "a.csv", ("текст\n" + "а " * 500_000 + "\n").encode(), 1),
    ("a word of half a megabyte", "a.csv", ("текст\n" + "а" * 500_000 + "\n").encode(), 1),
    ("NUL bytes", "a.csv", "текст\nнуль\0байт\n".encode(), 1),
    ("short and long rows", "a.csv", "id;текст\n1\n2;хорошо;лишнее;ещё\n".encode(), 2),
    ("empty lines, ends of Windows", "a.csv", "текст\r\nхорошо\r\n\r\nплохо\r\n".encode(), 2),
    ("decimal commas, lines within quotes", "a.csv", 'сумма;текст\n1,5;"первая\nвторая; третья"\n2,5;Плохо\n'.encode(), 2),
    ("only emoji", "a.csv", "текст\n😡😡\n👍\n".encode(), 2),
    ("UTF-16 without its mark", "a.csv", "текст\nОбманули с доставкой\nХорошо\n".encode("utf-16-le"), 2),
    ("Excel: merged cells", "a.xlsx", book(merged), 3),
    ("Excel: formulas", "a.xlsx", book(formulas), 3),
    ("Excel: first sheet empty", "a.xlsx", book(second_sheet), 1),
    ("Excel: dates as numbers", "a.xlsx", book(dates), 3),
    ("Excel: 2,001 columns", "a.xlsx", book(wide), 1),
    ("Parquet: nested, bytes, nothing", "a.parquet", parquet(ODD), 3),
    ("JSONL: a broken line, a number, half a pair", "a.jsonl", '{"text": "Плохо"}\n{oops\n{"text": 5}\n{"text": "\\ud83d"}\n'.encode(), 4),
]


@pytest.fixture
def labeller(analyzer: Analyzer) -> Labeller:
    return Labeller(analyzer)


@pytest.mark.parametrize(("name", "content", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_it_is_refused_and_leaves_nothing(tmp_path: Path, labeller: Labeller, name: str, content: bytes, code: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LabelError) as caught:
        label_file(tmp_path / name, tmp_path / f"out{Path(name).suffix}", labeller)
    assert caught.value.code == code
    assert "a." in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(("name", "content", "rows"), [row[1:] for row in LABELLED], ids=[row[0] for row in LABELLED])
def test_it_is_labelled_with_all_its_rows(tmp_path: Path, labeller: Labeller, name: str, content: bytes, rows: int) -> None:
    (tmp_path / name).write_bytes(content)
    target = tmp_path / f"out{Path(name).suffix}"
    assert label_file(tmp_path / name, target, labeller).rows == rows
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, target.name]
    if target.suffix == ".csv":
        csv.field_size_limit(2**31 - 1)
        with target.open(encoding="utf-8-sig", newline="") as out:
            assert len(list(csv.reader(out, delimiter=";"))) == rows + 1
    elif target.suffix == ".jsonl":
        assert len(target.read_text(encoding="utf-8").splitlines()) == rows
    else:
        table = open_table(target)
        assert sum(1 for _ in table.read([0])) == rows


def test_a_folder_that_is_called_like_a_file_is_told(tmp_path: Path, labeller: Labeller) -> None:
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(LabelError) as caught:
        label_file(tmp_path / "a.csv", tmp_path / "out.csv", labeller)
    assert caught.value.code == "no_file"


def main() -> None:
    """The table."""
    labeller = Labeller(Analyzer(load_taxonomy()))
    sys.stdout.write("| file | what it got |\n|---|---|\n")
    for title, name, content, _ in (*REFUSED, *LABELLED):
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / name
            source.write_bytes(content)
            try:
                summary = label_file(source, source.with_name(f"out{source.suffix}"), labeller)
                got = f"labelled: rows {summary.rows}, empty {summary.empty}, without words {summary.wordless}, errors {summary.errors}"
            except LabelError as error:
                got = f"`{error.code}`: {str(error).replace(folder + '/', '')}"
        sys.stdout.write(f"| {title} | {got} |\n")


if __name__ == "__main__":
    main()
