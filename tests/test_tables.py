"""Files as analysts have them: read, labelled, and opened again by another program; interrupted runs go on."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from otklik.nlp.analyzer import Analyzer
from otklik.serving.cells import READABLE, TECHNICAL
from otklik.serving.journal import Busy, Journal
from otklik.serving.label import Asked, LabelError, label_file
from otklik.serving.labeller import Labeller
from otklik.serving.tables import Layout, open_table

CRY = "Нас не сажают на рейс! Горячая линия не отвечает."
TABLE = [
    ["номер", "Дата", "Оценка", "Комментарий"],
    ["1", "01.08.2026", "0", CRY],
    ["2", "02.08.2026", "9", 'Спасибо; "супер",\nприду ещё'],
    ["3", "02.08.2026", "", ""],
    ["4", "03.08.2026", "7", "12345"],
    ["5", "03.08.2026", "10", "=cmd|' /C calc'!A0 хамство"],
    ["6", "04.08.2026", "1", CRY],
]


@pytest.fixture
def labeller(analyzer: Analyzer) -> Labeller:
    return Labeller(analyzer)


def as_csv(path: Path, encoding: str = "utf-8", delimiter: str = ";") -> Path:
    with path.open("w", encoding=encoding, newline="") as out:
        csv.writer(out, delimiter=delimiter).writerows(TABLE)
    return path


@pytest.mark.parametrize(
    ("name", "encoding", "delimiter"),
    [
        ("a.csv", "utf-8", ","),
        ("a.csv", "utf-8-sig", ";"),
        ("a.csv", "cp1251", ";"),
        ("a.csv", "koi8-r", ";"),
        ("a.csv", "utf-16", ","),
        ("a.tsv", "utf-16-le", "\t"),
        ("a.csv", "utf-16-be", ";"),
        ("a.txt", "utf-8", "|"),
    ],
)
def test_csv_in_any_dress(tmp_path: Path, labeller: Labeller, name: str, encoding: str, delimiter: str) -> None:
    target = tmp_path / f"out{Path(name).suffix}"
    summary = label_file(as_csv(tmp_path / name, encoding, delimiter), target, labeller)
    assert target.read_bytes().startswith(b"\xef\xbb\xbf")
    again = pd.read_csv(target, sep=delimiter, dtype=str, keep_default_na=False)
    kept = [["'" + cell if cell.startswith("=cmd") else cell for cell in row] for row in TABLE]  # no formula reaches a spreadsheet
    assert [list(again.columns)[:4], *again.iloc[:, :4].to_numpy().tolist()] == kept
    assert list(again.columns)[4:] == [*READABLE, *TECHNICAL]
    assert again["Тональность"].tolist()[:3] == ["негативная", "позитивная", ""]
    assert again["otklik_urgency"][0] == "critical"
    assert not again["Цитаты"][4].startswith("=")
    assert (summary.rows, summary.empty, summary.repeated, summary.wordless) == (6, 1, 1, 1)


def test_excel_keeps_everything_else(tmp_path: Path, labeller: Labeller) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Опрос"
    sheet.append(["Опрос за август"])
    sheet.merge_cells("A1:D1")
    sheet.append([])
    for number, row in enumerate(TABLE):
        sheet.append([*row[:1], date(2026, 8, number) if number else "Дата", *row[2:]])
    sheet["A3"].font = openpyxl.styles.Font(bold=True)
    sheet.column_dimensions["A"].width = 7
    other = book.create_sheet("Справочник")
    other["B2"] = "=SUM(1,2)"
    book.create_sheet("Тайный").sheet_state = "hidden"
    book.save(tmp_path / "in.xlsx")
    summary = label_file(tmp_path / "in.xlsx", tmp_path / "out.xlsx", labeller)
    assert summary.notes[0] == "лист «Опрос», заголовок в строке 3"
    again = openpyxl.load_workbook(tmp_path / "out.xlsx")
    assert again.sheetnames == ["Опрос", "Справочник", "Тайный"]
    sheet = again["Опрос"]
    rows = list(sheet.iter_rows(min_row=3, values_only=True))
    assert [str(cell) for cell in rows[0][:4]] == TABLE[0]
    assert [row[3] for row in rows[1:]] == [row[3] or None for row in TABLE[1:]]
    assert rows[1][1].date() == date(2026, 8, 1)
    assert (rows[1][4], rows[3][4]) == ("негативная", None)
    assert sheet.freeze_panes == "A4"
    assert sheet.auto_filter.ref == f"A3:{openpyxl.utils.get_column_letter(4 + len(READABLE) + len(TECHNICAL))}9"
    assert (sheet["A3"].font.bold, sheet.column_dimensions["A"].width, again["Справочник"]["B2"].value) == (True, 7, "=SUM(1,2)")
    assert sheet["D8"].data_type == "s"  # customers' words, not a formula
    with zipfile.ZipFile(tmp_path / "out.xlsx") as packed:
        assert b"<f>" not in packed.read("xl/worksheets/sheet1.xml")


def test_parquet_keeps_types_and_columns(tmp_path: Path, labeller: Labeller) -> None:
    many = {f"c{number}": pa.array([number, None, 3] * 2000, pa.int16()) for number in range(58)}
    table = pa.table({"id": pa.array(range(6000)), "comment": pa.array([CRY, None, "Спасибо!"] * 2000), **many})
    pq.write_table(table.replace_schema_metadata({"owner": "crm"}), tmp_path / "in.parquet")
    label_file(tmp_path / "in.parquet", tmp_path / "out.parquet", labeller, Asked(wide=True))
    again = pq.read_table(tmp_path / "out.parquet")
    assert again.select(table.column_names).equals(table)
    assert again.schema.metadata[b"owner"] == b"crm"
    assert again["otklik_sentiment"].to_pylist()[:4] == ["negative", None, "positive", "negative"]
    assert again["0/1 service.no_response"].to_pylist()[:3] == [1, None, 0]


def test_a_text_column_is_guessed_by_its_words_or_asked_for(tmp_path: Path, labeller: Labeller) -> None:
    source = tmp_path / "in.csv"
    source.write_text("а;б\n1;Очень долго ждали курьера\n2;Всё хорошо, спасибо вам\n", encoding="utf-8")
    assert "текст взят из столбца «б»" in label_file(source, tmp_path / "out.csv", labeller).notes
    source.write_text("а;б\nДолго ждали курьера утром;Очень долго ждали курьера\n", encoding="utf-8")
    with pytest.raises(LabelError, match="укажите --text-column, есть: «а», «б»"):
        label_file(source, tmp_path / "out.csv", labeller)
    label_file(source, tmp_path / "out.csv", labeller, Asked(text_column="А"))


@pytest.mark.parametrize(("marks", "scale"), [("0 9 10", "до 10"), ("1 5 3", "до 5"), ("4 7 3", "до 10")])
def test_the_scale_of_the_marks_is_told(tmp_path: Path, labeller: Labeller, marks: str, scale: str) -> None:
    source = tmp_path / "in.csv"
    source.write_text("оценка;текст\n" + "".join(f"{mark};ужас\n" for mark in marks.split()), encoding="utf-8")
    assert label_file(source, tmp_path / "out.csv", labeller).notes[-1] == f"оценка из столбца «оценка», шкала {scale}"


def test_what_is_labelled_already_is_not_labelled_again(tmp_path: Path, labeller: Labeller) -> None:
    label_file(as_csv(tmp_path / "in.csv"), tmp_path / "out.csv", labeller)
    with pytest.raises(LabelError, match="уже есть столбцы разметки"):
        label_file(tmp_path / "out.csv", tmp_path / "again.csv", labeller)


def test_a_journal_goes_on_after_its_last_whole_line(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    with Journal(target, "a") as journal:
        journal.add(["1", "2"])
        with pytest.raises(Busy), Journal(target, "a"):
            pass
    with journal.path.open("ab") as cut:
        cut.write(b"[3, tru")
    with Journal(target, "a") as journal:
        assert (journal.done, list(journal.rows())) == (2, ["1", "2"])
        journal.add(["3"])
        assert list(journal.rows()) == ["1", "2", "3"]
    with Journal(target, "b") as journal:
        assert journal.done == 0  # another file, model or option
    with Journal(target, "b") as journal:
        journal.add(["x"])
    with Journal(target, "b", restart=True) as journal:
        assert journal.done == 0


def long_survey(folder: Path, rows: int) -> Path:
    source = folder / "in.csv"
    with source.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, delimiter=";")
        writer.writerow(["id", "текст"])
        writer.writerows([number, f"{CRY} Заказ {number}, {'спасибо' if number % 3 else 'ужас, верните деньги'}"] for number in range(rows))
    return source


def test_a_killed_run_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    source = long_survey(tmp_path, 4000)
    command = [sys.executable, "-m", "otklik.serving", "label", str(source), "--engine", "keyword", "-o"]
    subprocess.run([*command, str(tmp_path / "whole.csv")], check=True, capture_output=True)
    target = tmp_path / "cut.csv"
    journal = tmp_path / ".cut.csv.otklik"
    generator = random.Random(0)
    killed = 0
    for _ in range(3):
        process = subprocess.Popen([*command, str(target)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        size = journal.stat().st_size if journal.exists() else 0
        while process.poll() is None and not (journal.exists() and journal.stat().st_size > size + generator.randrange(1, 200_000)):
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed += not target.exists()
    assert killed
    told = subprocess.run([*command, str(target)], check=True, capture_output=True, text=True).stderr
    assert "продолжено со строки" in told
    assert target.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not journal.exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".cut")] or killed  # a half-written copy may be left by a kill


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_told_and_nothing_is_lost(tmp_path: Path, labeller: Labeller, monkeypatch: pytest.MonkeyPatch) -> None:
    source = long_survey(tmp_path, 600)
    add: Callable[[Journal, list[str]], None] = Journal.add

    def full(journal: Journal, rows: list[str]) -> None:
        if journal.done:
            raise OSError(28, os.strerror(28), str(journal.path))
        add(journal, rows)

    monkeypatch.setattr(Journal, "add", full)
    with pytest.raises(LabelError, match="сделанное не пропало"):
        label_file(source, tmp_path / "out.csv", labeller)
    assert not (tmp_path / "out.csv").exists()
    monkeypatch.setattr(Journal, "add", add)
    summary = label_file(source, tmp_path / "out.csv", labeller)
    assert "продолжено со строки 257" in summary.notes
    assert summary.rows == 600


def test_a_folder_and_the_standard_input(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    as_csv(tmp_path / "in" / "a.csv")
    (tmp_path / "in" / "b.jsonl").write_text(json.dumps({"text": CRY}) + "\n", encoding="utf-8")
    (tmp_path / "in" / "c.csv").write_bytes(b"")
    command = [sys.executable, "-m", "otklik.serving", "label", "--engine", "keyword"]
    result = subprocess.run([*command, str(tmp_path / "in"), "-o", str(tmp_path / "out")], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "empty_file" in result.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.csv", "b.jsonl"]
    content = (tmp_path / "in" / "a.csv").read_bytes()
    subprocess.run([*command, "-", "-o", str(tmp_path / "stdin.csv")], input=content, check=True, capture_output=True)
    assert (tmp_path / "stdin.csv").read_bytes() == (tmp_path / "out" / "a.csv").read_bytes()


def test_a_sheet_and_a_header_can_be_named(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["пусто"])
    sheet = book.create_sheet("Второй")
    for row in (["x", "y"], ["оценка", "текст"], [5, "Спасибо"]):
        sheet.append(row)
    book.save(tmp_path / "in.xlsx")
    table = open_table(tmp_path / "in.xlsx", Layout(sheet="Второй", header_row=2))
    assert list(table.columns) == ["оценка", "текст"]
    assert list(table.read([1, 0])) == [("Спасибо", 5)]
    with pytest.raises(LabelError, match="листа «Третий» нет; есть: Sheet, Второй"):
        open_table(tmp_path / "in.xlsx", Layout(sheet="Третий"))
