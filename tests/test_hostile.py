"""Files that go wrong in every way that was thought of: each is refused with what to do, or labelled with all its rows.

``python tests/test_hostile.py`` prints the table of what each got.
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl.worksheet.formula import ArrayFormula
from openpyxl.worksheet.table import Table

from otklik.nlp.analyzer import Analyzer
from otklik.serving import delimited, parquet, workbook  # noqa: F401  read before the rights to read them are given up
from otklik.serving.label import Asked, LabelError, label_file
from otklik.serving.labeller import Labeller
from otklik.serving.tables import Layout
from otklik.taxonomy.load import load_taxonomy

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # what an Excel file with a password begins with, and one of before 2007
SHEET = "xl/worksheets/sheet1.xml"
NEGATIVE, POSITIVE, NEUTRAL, MIXED = "negative", "positive", "neutral", "mixed"
NOBODY = 65534
ROOM = 64 * 1024  # bytes, for each file
LABEL = [sys.executable, "-m", "otklik.serving", "label", "--engine", "keyword"]

Rows = list[list[Any]]


def book(*rows: list[Any], change: Callable[[Any], None] = lambda sheet: None) -> bytes:
    """An Excel file with a sheet of these rows, as ``change`` leaves it."""
    made = openpyxl.Workbook()
    for row in rows:
        made.active.append(row)
    change(made.active)
    content = io.BytesIO()
    made.save(content)
    return content.getvalue()


def edited(content: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    """An archive in which one file is another."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as after:
        for each in before.namelist():
            after.writestr(each, change(before.read(each)) if each == name else before.read(each))
    return out.getvalue()


def archive(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr(name, data)
    return out.getvalue()


def packed(**columns: Any) -> bytes:
    """A Parquet file of these columns."""
    return written(pa.table(columns))


def written(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def spoilt(content: bytes, start: int, stop: int) -> bytes:
    return content[:start] + bytes(255 - byte for byte in content[start:stop]) + content[stop:]


def raw_words(*words: bytes) -> pa.Array:
    """A column that says it is words, of bytes that may be none."""
    ends = [sum(map(len, words[:count])) for count in range(len(words) + 1)]
    offsets = b"".join(end.to_bytes(4, "little") for end in ends)
    return pa.Array.from_buffers(pa.string(), len(words), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(words))])


def merged(*areas: str) -> Callable[[Any], None]:
    def change(sheet: Any) -> None:
        for area in areas:
            sheet.merge_cells(area)

    return change


def as_dates(sheet: Any) -> None:
    for cell in sheet["A"][1:]:
        cell.number_format = "dd.mm.yyyy"


def array_formula(sheet: Any) -> None:
    sheet["B2"] = ArrayFormula("B2", '=CONCAT("Плохо";"!")')


def answers_on_the_third_sheet(sheet: Any) -> None:
    sheet.parent.create_sheet("Тайный").append(["Отзыв"])
    sheet.parent["Тайный"].append(["Хорошо"])
    sheet.parent["Тайный"].sheet_state = "hidden"
    for row in (["Отзыв"], ["Плохо"]):
        (sheet.parent["Ответы"] if "Ответы" in sheet.parent.sheetnames else sheet.parent.create_sheet("Ответы")).append(row)


def a_table(sheet: Any) -> None:
    sheet.add_table(Table(displayName="Опрос", ref="A1:B2"))


def with_a_value(xml: bytes) -> bytes:
    """The formula of A2 as Excel writes it, with what came of it; openpyxl writes none."""
    before = b'<c r="A2"><f>B2</f><v />'
    assert before in xml
    return xml.replace(before, '<c r="A2" t="str"><f>B2</f><v>Плохо</v>'.encode())


def inline(row: list[str]) -> bytes:
    return ("<row>" + "".join(f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in row) + "</row>").encode()


def bomb(_: bytes) -> bytes:
    """Seven megabytes that are twenty kilobytes."""
    start = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    return start + inline(["Отзыв", "x"]) + inline(["Плохо " * 200, "x"]) * 3000 + b"</sheetData></worksheet>"


PLAIN = book(["id", "Отзыв"], [1, "Плохо"], [2, "Хорошо"])
MANY = packed(Отзыв=[f"Хамили на кассе {number}" for number in range(9000)])
WIDE = [f"в{number}" for number in range(2000)]
OLD = 2**62  # a moment that no calendar of Python reaches


@dataclass(frozen=True)
class Refused:
    """``told`` is a part of the message: what to do."""

    title: str
    name: str
    content: bytes
    code: str
    told: str
    asked: Asked = field(default_factory=Asked)


@dataclass(frozen=True)
class Labelled:
    """``kept`` is what stands left of the answers in the result, with the header; ``answers`` are the sentiments, None for no words."""

    title: str
    name: str
    content: bytes
    kept: Rows
    answers: list[str | None]
    noted: str = ""
    asked: Asked = field(default_factory=Asked)


REFUSED = [
    Refused("empty", "a.csv", b"", "empty_file", "в первой строке ожидаются названия столбцов"),
    Refused("only the mark of UTF-8", "a.csv", b"\xef\xbb\xbf", "empty_file", "файл пуст"),
    Refused("only empty lines", "a.csv", b"\n\n\n", "empty_file", "файл пуст"),
    Refused("no column with text", "a.csv", "а;б;в\n1;2;3\n".encode(), "no_text_column", "укажите --text-column, есть: «а», «б», «в»"),
    Refused("only numbers", "a.csv", b"1\n2\n3\n", "no_text_column", "укажите --text-column"),
    Refused("a quote that is not closed", "a.csv", 'текст\nа\n"не закрыта\n'.encode(), "broken_csv", "csv:3: кавычка не закрыта"),
    Refused(
        "UTF-8 with a line in cp1251", "a.csv", "текст\nвсё хорошо\n".encode() + "ужас\n".encode("cp1251"), "invalid_encoding", "utf-8"
    ),
    Refused("cp1251 with a byte it has not", "a.csv", "текст\nплохо\n".encode("cp1251") + b"\x98\n", "invalid_encoding", "--encoding"),
    Refused("UTF-8 with half a pair", "a.csv", "текст\nплохо ".encode() + b"\xed\xa0\xbd\n", "invalid_encoding", "сохраните файл заново"),
    Refused("UTF-16 with half a pair", "a.csv", "текст\nа\ud83d\n".encode("utf-16", "surrogatepass"), "invalid_encoding", "utf-16"),
    Refused("UTF-16, an odd number of bytes", "a.csv", "текст\nплохо\n".encode("utf-16")[:-1], "invalid_encoding", "utf-16"),
    Refused("only zeros", "a.csv", b"\0" * 5000, "not_text", "выгрузите её как CSV или Excel"),
    Refused("an Excel file named .csv", "a.csv", PLAIN, "not_text", "выгрузите её как CSV или Excel"),
    Refused("an encoding that is none of text", "a.csv", b"text\n", "unknown_encoding", "например", Asked(layout=Layout("base64"))),
    Refused(
        "a separator of two signs", "a.csv", b"text\n", "bad_delimiter", "разделитель — один знак", Asked(layout=Layout(delimiter=";;"))
    ),
    Refused("Excel: broken zip", "a.xlsx", b"PK\x03\x04 broken", "broken_xlsx", "откройте его и сохраните заново"),
    Refused("Excel: cut in half", "a.xlsx", PLAIN[: len(PLAIN) // 2], "broken_xlsx", "файл Excel повреждён"),
    Refused("Excel: a zip with something else", "a.xlsx", archive("hello.txt", b"hi"), "broken_xlsx", "файл Excel повреждён"),
    Refused("Excel: the sheet is cut", "a.xlsx", edited(PLAIN, SHEET, lambda xml: xml[:-60]), "broken_xlsx", "файл Excel повреждён"),
    Refused(
        "Excel: styles of nonsense",
        "a.xlsx",
        edited(PLAIN, "xl/styles.xml", lambda xml: xml.replace(b"<fill>", b"<fill/><odd>").replace(b"</fill>", b"</odd>")),
        "broken_xlsx",
        "файл Excel повреждён",
    ),
    Refused("Excel: with a password", "a.xlsx", OLE + b"\0" * 512, "protected", "снимите пароль и сохраните как .xlsx"),
    Refused("Excel: empty file", "a.xlsx", b"", "broken_xlsx", "файл Excel повреждён"),
    Refused("Excel: no rows at all", "a.xlsx", book(), "empty_file", "все листы пусты"),
    Refused(
        "Excel: no room at the right", "a.xlsx", book(["Отзыв", "б"], ["Плохо", *[None] * 16_370, 1]), "too_wide", "удалите лишние столбцы"
    ),
    Refused("Excel of before 2007", "a.xls", OLE, "unknown_format", "подходят .csv, .tsv, .txt, .xlsx"),
    Refused("Parquet: four bytes", "a.parquet", b"PAR1", "broken_parquet", "выгрузите его заново"),
    Refused("Parquet: cut off", "a.parquet", MANY[:-40], "broken_parquet", "выгрузите его заново"),
    Refused("Parquet: broken in the middle", "a.parquet", spoilt(MANY, 200, 4200), "broken_parquet", "выгрузите его заново"),
    Refused("Parquet: no columns", "a.parquet", packed(), "empty_file", "нет столбцов"),
    Refused(
        "Parquet: two columns of one name",
        "a.parquet",
        written(pa.Table.from_arrays([pa.array(["Плохо"])] * 2, ["Отзыв"] * 2)),
        "same_columns",
        "(Отзыв); переименуйте",
    ),
    Refused("a PDF", "a.pdf", b"%PDF", "unknown_format", "формат «.pdf» не поддерживается"),
    Refused("a Word file", "a.docx", b"PK", "unknown_format", "формат «.docx» не поддерживается"),
]
LABELLED = [
    Labelled("header only", "a.csv", "текст\n".encode(), [["текст"]], []),
    Labelled(
        "two columns of one name", "a.csv", "текст;текст\nПлохо;Хорошо\n".encode(), [["текст", "текст"], ["Плохо", "Хорошо"]], [NEGATIVE]
    ),
    Labelled(
        "a column named as one of ours", "a.csv", "текст;Причины\nПлохо;x\n".encode(), [["текст", "Причины"], ["Плохо", "x"]], [NEGATIVE]
    ),
    Labelled("columns without a name", "a.csv", ";текст;\n1;Плохо;2\n".encode(), [["", "текст", ""], ["1", "Плохо", "2"]], [NEGATIVE]),
    Labelled("a row of a megabyte", "a.csv", ("текст\n" + "а " * 400_000).encode(), [["текст"], ["а " * 400_000]], [NEUTRAL]),
    Labelled("a word of a megabyte", "a.csv", ("текст\n" + "а" * 500_000).encode(), [["текст"], ["а" * 500_000]], [NEUTRAL]),
    Labelled("NUL bytes", "a.csv", "текст\nПло\0хо\n".encode(), [["текст"], ["Пло\0хо"]], [NEGATIVE]),
    Labelled(
        "short and long rows",
        "a.csv",
        "id;текст\n1\n2;Хорошо;лишнее;ещё;;;\n3;Плохо;;;;;;;;\n".encode(),
        [["id", "текст", "столбец 3", "столбец 4"], ["1", "", "", ""], ["2", "Хорошо", "лишнее", "ещё"], ["3", "Плохо", "", ""]],
        [None, POSITIVE, NEGATIVE],
        "ячейки без названия столбца, они сохранены (столбец 3, столбец 4)",
    ),
    Labelled(
        "empty lines, ends of Windows",
        "a.csv",
        "текст\r\nХорошо\r\n\r\nПлохо\r\n".encode(),
        [["текст"], ["Хорошо"], ["Плохо"]],
        [POSITIVE, NEGATIVE],
    ),
    Labelled("ends of an old Mac", "a.csv", "id;текст\r1;Плохо\r".encode(), [["id", "текст"], ["1", "Плохо"]], [NEGATIVE]),
    Labelled("a hint for Excel", "a.csv", "sep=|\nid|текст\n1|Плохо\n".encode(), [["id", "текст"], ["1", "Плохо"]], [NEGATIVE], "«|»"),
    Labelled(
        "a tab as programs write it",
        "a.csv",
        "id\tтекст\n1\tПлохо\n".encode(),
        [["id", "текст"], ["1", "Плохо"]],
        [NEGATIVE],
        "табуляция",
        Asked(layout=Layout(delimiter="\\t")),
    ),
    Labelled(
        "decimal commas, lines within quotes",
        "a.csv",
        'сумма;текст\n1,5;"Плохо,\nплохо; ""очень"""\n2,5;Хорошо\n'.encode(),
        [["сумма", "текст"], ["1,5", 'Плохо,\nплохо; "очень"'], ["2,5", "Хорошо"]],
        [NEGATIVE, POSITIVE],
    ),
    Labelled("only quotes", "a.csv", ("текст\n" + '"' * 200_000).encode(), [["текст"], ['"' * 99_999]], [NEUTRAL]),
    Labelled("only emoji", "a.csv", "текст\n😡😡\n👍\n".encode(), [["текст"], ["😡😡"], ["👍"]], [NEGATIVE, POSITIVE]),
    Labelled("UTF-16 without its mark", "a.csv", "текст\nПлохо\n".encode("utf-16-le"), [["текст"], ["Плохо"]], [NEGATIVE], "utf-16-le"),
    Labelled(
        "customers' formulas",
        "a.csv",
        "текст;б\n=cmd|' /C calc'!A0 Плохо;=1\n@Хорошо;\n".encode(),
        [["текст", "б"], ["'=cmd|' /C calc'!A0 Плохо", "=1"], ["'@Хорошо", ""]],
        [NEGATIVE, POSITIVE],
    ),
    Labelled(
        "Excel: merged cells",
        "a.xlsx",
        book(["Опрос"], ["номер", "Отзыв"], [1, "Плохо"], [2, "Хорошо"], [3], change=merged("A1:F1", "B4:B5")),
        [["Опрос", None], ["номер", "Отзыв"], [1, "Плохо"], [2, "Хорошо"], [3, None]],
        [NEGATIVE, POSITIVE, None],
        "заголовок в строке 2",
    ),
    Labelled(
        "Excel: merged beyond the last column",
        "a.xlsx",
        book(["id", "Отзыв"], [1, "Плохо"], ["раздел"], change=merged("B1:C1", "A3:D3")),
        [["id", "Отзыв", None, None], [1, "Плохо", None, None], ["раздел", None, None, None]],
        [NEGATIVE, None],
    ),
    Labelled(
        "Excel: notes beside the table",
        "a.xlsx",
        book(["id", "Отзыв"], [1, "Плохо", None, "проверено"]),
        [["id", "Отзыв", None, None], [1, "Плохо", None, "проверено"]],
        [NEGATIVE],
    ),
    Labelled(
        "Excel: formulas without a value",
        "a.xlsx",
        book(["Отзыв", "сумма"], ["Плохо", "=1+1"], ["=cmd|' /C calc'!A0 Хорошо", 3]),
        [["Отзыв", "сумма"], ["Плохо", "=1+1"], ["=cmd|' /C calc'!A0 Хорошо", 3]],
        [NEGATIVE, POSITIVE],
    ),
    Labelled(
        "Excel: a formula with its value",
        "a.xlsx",
        edited(book(["Отзыв", "б"], ["=B2", "Плохо"]), SHEET, with_a_value),
        [["Отзыв", "б"], ["Плохо", "Плохо"]],
        [NEGATIVE],
    ),
    Labelled(
        "Excel: a formula of an array",
        "a.xlsx",
        book(["id", "Отзыв"], [1, "x"], change=array_formula),
        [["id", "Отзыв"], [1, '=CONCAT("Плохо";"!")']],
        [NEGATIVE],
    ),
    Labelled(
        "Excel: first sheet empty, second hidden",
        "a.xlsx",
        book(change=answers_on_the_third_sheet),
        [["Отзыв"], ["Плохо"]],
        [NEGATIVE],
        "лист «Ответы»",
    ),
    Labelled(
        "Excel: dates as numbers",
        "a.xlsx",
        book(["дата", "Отзыв"], [45901.123456789, "Плохо"], [date(2026, 8, 1), "Хорошо"], ["01.08.2026", "Плохо"], change=as_dates),
        [["дата", "Отзыв"], [45901.123456789, "Плохо"], [46235, "Хорошо"], ["01.08.2026", "Плохо"]],
        [NEGATIVE, POSITIVE, NEGATIVE],
    ),
    Labelled(
        "Excel: dates outside any calendar",
        "a.xlsx",
        book(["дата", "Отзыв"], [79161234567, "Плохо"], change=as_dates),
        [["дата", "Отзыв"], [79161234567, "Плохо"]],
        [NEGATIVE],
    ),
    Labelled(
        "Excel: a table in the sheet",
        "a.xlsx",
        book(["id", "Отзыв"], [1, "Плохо"], change=a_table),
        [["id", "Отзыв"], [1, "Плохо"]],
        [NEGATIVE],
    ),
    Labelled(
        "Excel: 2,001 columns",
        "a.xlsx",
        book([*WIDE, "Отзыв"], [*range(2000), "Плохо"]),
        [[*WIDE, "Отзыв"], [*range(2000), "Плохо"]],
        [NEGATIVE],
    ),
    Labelled(
        "Excel: 7 MB in 20 KB",
        "a.xlsx",
        edited(PLAIN, SHEET, bomb),
        [["Отзыв", "x"], *[["Плохо " * 200, "x"]] * 3000],
        [NEGATIVE] * 3000,
    ),
    Labelled(
        "Parquet: nested, bytes, nothing",
        "a.parquet",
        packed(Отзыв=["Плохо", None, "Хорошо"], вложено=[{"а": 1}, {"а": 2}, None], байты=[b"\xff", b"", None], пусто=pa.nulls(3)),
        [
            ["Отзыв", "вложено", "байты", "пусто"],
            ["Плохо", {"а": 1}, b"\xff", None],
            [None, {"а": 2}, b"", None],
            ["Хорошо", None, None, None],
        ],
        [NEGATIVE, None, POSITIVE],
    ),
    Labelled("Parquet: words as bytes", "a.parquet", packed(text=["Плохо".encode()]), [["text"], ["Плохо".encode()]], [NEGATIVE]),
    Labelled(
        "Parquet: words that are no UTF-8",
        "a.parquet",
        packed(text=raw_words(b"\xff\xd0", "Плохо".encode())),
        [["text"], [b"\xff\xd0"], ["Плохо".encode()]],
        [NEUTRAL, NEGATIVE],
    ),
    Labelled(
        "Parquet: a date of the year 146 million",
        "a.parquet",
        packed(мнение=["Плохо, хамили на кассе"], d=pa.array([OLD], pa.timestamp("ms"))),
        [["мнение", "d"], ["Плохо, хамили на кассе", OLD]],
        [NEGATIVE],
    ),
    Labelled("Parquet: no rows", "a.parquet", packed(text=pa.array([], pa.string())), [["text"]], []),
    Labelled(
        "JSONL: a broken line, a number, half a pair",
        "a.jsonl",
        '{"text": "Плохо"}\n{oops\n{"id": 7, "text": 5}\n{"text": "\\ud83d"}\n{"text": "Хорошо"}\n'.encode(),
        [["id", "error"], ["1", None], [None, "invalid_json"], [7, "no_text"], ["4", "invalid_encoding"], ["5", None]],
        [NEGATIVE, None, None, None, POSITIVE],
    ),
    Labelled(
        "JSONL: 100,000 brackets, an endless number",
        "a.jsonl",
        b"[" * 100_000 + '\n{"text": "Плохо", "id": 1e999, "score": NaN}\n'.encode(),
        [["id", "error"], [None, "invalid_json"], ["2", None]],
        [None, NEGATIVE],
    ),
]


def of_csv(path: Path) -> Rows:
    csv.field_size_limit(2**31 - 1)
    with path.open(encoding="utf-8-sig", newline="") as out:
        first = out.readline()
        out.seek(0)
        return list(csv.reader(out, delimiter=max(";\t|,", key=first.count)))


def of_excel(path: Path) -> Rows:
    """Numbers as they stand in the file, dates too."""
    content = edited(path.read_bytes(), "xl/styles.xml", lambda xml: re.sub(rb'<numFmts.*</numFmts>|numFmtId="[^"]*"', b"", xml))
    made = openpyxl.load_workbook(io.BytesIO(content))
    sheet = next(sheet for sheet in made if sheet.sheet_state == "visible" and sheet.max_column > 1)
    return [[cell.text if isinstance(cell, ArrayFormula) else cell for cell in row] for row in sheet.iter_rows(values_only=True)]


def of_parquet(path: Path) -> Rows:
    """Moments as numbers, and a column in which some words are none as bytes."""
    table = pq.read_table(path)
    cells = []
    for column in table.columns:
        try:
            cells.append((column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist())
        except UnicodeDecodeError:
            cells.append(column.cast(pa.binary()).to_pylist())
    return [table.column_names, *map(list, zip(*cells, strict=True))]


def of_lines(path: Path) -> Rows:
    found = [json.loads(line) for line in path.read_bytes().splitlines()]
    header = ["id", "error", "Тональность", "otklik_sentiment"]
    return [header, *([row["id"], row.get("error", {}).get("code"), None, row.get("sentiment", {}).get("label")] for row in found)]


READ = {".csv": of_csv, ".xlsx": of_excel, ".parquet": of_parquet, ".jsonl": of_lines}


@pytest.fixture
def labeller(analyzer: Analyzer) -> Labeller:
    return Labeller(analyzer)


@pytest.mark.parametrize("file", REFUSED, ids=[file.title for file in REFUSED])
def test_it_is_refused_with_what_to_do_and_leaves_nothing(tmp_path: Path, labeller: Labeller, file: Refused) -> None:
    source = tmp_path / file.name
    source.write_bytes(file.content)
    with pytest.raises(LabelError) as caught:
        label_file(source, tmp_path / f"out{source.suffix}", labeller, file.asked)
    assert caught.value.code == file.code
    assert file.told in str(caught.value)
    assert file.name in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("file", LABELLED, ids=[file.title for file in LABELLED])
def test_it_is_labelled_and_every_cell_is_kept(tmp_path: Path, labeller: Labeller, file: Labelled) -> None:
    source = tmp_path / file.name
    source.write_bytes(file.content)
    target = tmp_path / f"out{source.suffix}"
    summary = label_file(source, target, labeller, file.asked)
    rows = READ[target.suffix](target)
    header = next(number for number, row in enumerate(rows) if "otklik_sentiment" in row)
    first, answer = rows[header].index("Тональность"), rows[header].index("otklik_sentiment")
    assert [row[:first] for row in rows] == file.kept
    assert [row[answer] or None for row in rows[header + 1 :]] == file.answers
    assert not set(rows[header][:first]) & set(rows[header][first:])
    assert {len(row) for row in rows} == {len(rows[header])}
    assert summary.rows == len(file.answers)
    assert file.noted in "; ".join(summary.notes)
    assert sorted(path.name for path in tmp_path.iterdir()) == [file.name, target.name]


def test_a_table_of_excel_keeps_its_own_filter(tmp_path: Path, labeller: Labeller) -> None:
    (tmp_path / "a.xlsx").write_bytes(book(["id", "Отзыв"], [1, "Плохо"], change=a_table))
    label_file(tmp_path / "a.xlsx", tmp_path / "out.xlsx", labeller)
    sheet = openpyxl.load_workbook(tmp_path / "out.xlsx").active
    assert (sheet.auto_filter.ref, sheet.tables["Опрос"].autoFilter.ref) == (None, "A1:B2")  # over one place Excel wants one filter


def test_the_command_goes_through_a_folder_of_them_all(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    refused: dict[str, Refused] = {}
    labelled: list[str] = []
    for number, file in enumerate((*REFUSED, *LABELLED)):
        name = f"{number:02}{Path(file.name).suffix}"
        if file.asked != Asked() or not name.endswith(tuple(READ)):  # the others are no tables for a folder
            continue
        (source / name).write_bytes(file.content)
        if isinstance(file, Refused):
            refused[name] = file
        else:
            labelled.append(name)
    done = subprocess.run([*LABEL, str(source), "-o", str(target)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr
    for name, file in refused.items():
        assert [line for line in done.stderr.splitlines() if line.startswith(f"{file.code}: {source / name}") and file.told in line]
    assert f"не размечено файлов: {len(refused)}" in done.stderr
    assert sorted(path.name for path in target.iterdir()) == labelled


def test_a_folder_that_is_called_like_a_file_is_told(tmp_path: Path, labeller: Labeller) -> None:
    (tmp_path / "a.csv").mkdir()
    (tmp_path / "b.csv").write_text("текст\nПлохо\n", encoding="utf-8")
    for source, target, code, told in (("a", "out", "no_file", "проверьте путь"), ("b", "a", "no_access", "это папка, а не файл")):
        with pytest.raises(LabelError, match=told) as caught:
            label_file(tmp_path / f"{source}.csv", tmp_path / f"{target}.csv", labeller)
        assert caught.value.code == code
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b.csv"]


@contextmanager
def without_rights() -> Iterator[Path]:
    """A folder of this process, which for so long is nobody's: root may read everything."""
    with tempfile.TemporaryDirectory() as folder:
        root = os.geteuid() == 0
        if root:
            os.chown(folder, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(folder)
        finally:
            if root:
                os.seteuid(0)


@pytest.mark.parametrize("closed", ["a.csv", "a.xlsx", "a.parquet", "a.jsonl", "in", "out"])
def test_a_file_or_a_folder_without_rights_is_told(labeller: Labeller, closed: str) -> None:
    suffix = Path(closed).suffix or ".csv"
    with without_rights() as folder:
        for name in ("in", "out"):
            (folder / name).mkdir()
        source = folder / "in" / f"a{suffix}"
        source.write_text("текст\nПлохо\n", encoding="utf-8")
        shut = source if "." in closed else folder / closed
        shut.chmod(0)
        with pytest.raises(LabelError, match=r"нет доступа|нет прав") as caught:
            label_file(source, folder / "out" / f"a{suffix}", labeller)
        shut.chmod(0o700)
        assert caught.value.code == "no_access"
        assert not list((folder / "out").iterdir())


def incompressible(suffix: str) -> bytes:
    """Sixty texts, of which no result is smaller than 100 KB."""
    generator = random.Random(1)
    texts = ["".join(generator.choices("абвгдежзиклмн 0123456789", k=3000)) for _ in range(60)]
    if suffix == ".xlsx":
        return book(["text"], *([text] for text in texts))
    if suffix == ".parquet":
        return packed(text=texts)
    if suffix == ".jsonl":
        return "".join(json.dumps({"id": "x" * 1500, "text": text}) + "\n" for text in texts).encode()
    return "\n".join(["text", *texts]).encode()


@pytest.mark.parametrize("suffix", sorted(READ))
def test_a_result_that_has_no_room_is_told_and_the_same_call_ends_it(tmp_path: Path, labeller: Labeller, suffix: str) -> None:
    source, target = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    source.write_bytes(incompressible(suffix))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, before[1]))
    try:
        with pytest.raises(LabelError, match=r"файл больше, чем разрешено.*сделанное не пропало"):
            label_file(source, target, labeller)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".out{suffix}.otklik", f"in{suffix}"]
    summary = label_file(source, target, labeller)
    assert summary.rows == 60
    assert "продолжено со строки" in "; ".join(summary.notes)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"in{suffix}", f"out{suffix}"]


def test_what_excel_files_leave_on_a_full_disk_is_no_traceback(tmp_path: Path) -> None:
    source = tmp_path / "in.xlsx"
    source.write_bytes(incompressible(".xlsx"))
    command = [*LABEL, str(source), "-o", str(tmp_path / "out.xlsx")]
    done = subprocess.run(["prlimit", f"--fsize={ROOM}:{ROOM}", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.strip().startswith("no_access")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("letters", [119, 121, 122])
def test_a_name_as_long_as_a_disk_allows_is_labelled_or_told_at_once(tmp_path: Path, labeller: Labeller, letters: int) -> None:
    source, target = tmp_path / "a.csv", tmp_path / ("я" * letters + ".csv")
    source.write_text("текст\nПлохо\n", encoding="utf-8")
    if letters < 122:
        assert label_file(source, target, labeller).rows == 1
    else:
        with pytest.raises(LabelError, match="имя файла слишком длинное"):
            label_file(source, target, labeller)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", *([target.name] if letters < 122 else [])]


def table() -> Iterator[str]:
    """Lines of Markdown: what each got."""
    labeller = Labeller(Analyzer(load_taxonomy()))
    yield "| file | what it got |"
    yield "|---|---|"
    for file in (*REFUSED, *LABELLED):
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / file.name
            source.write_bytes(file.content)
            try:
                summary = label_file(source, source.with_name(f"out{source.suffix}"), labeller, file.asked)
                told = [f"rows labelled: {summary.rows}"]
                told += [f"{what}: {count}" for what, count in (("empty", summary.empty), ("errors", summary.errors)) if count]
                got = "; ".join([", ".join(told), *summary.notes])
            except LabelError as error:
                got = f"`{error.code}`: {str(error).replace(folder + '/', '')}"
        yield f"| {file.title} | {got.replace('|', chr(92) + '|')} |"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in table())
