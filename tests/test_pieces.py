"""Files cut in pieces, and the folder of parts that comes of them, without a cluster."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from otklik.serving.label import Asked
from otklik.serving.labeller import Summary
from otklik.serving.pieces import cut, plan
from otklik.serving.sources import STEP, marked
from otklik.serving.store import Target, blobs, inside
from otklik.serving.tables import Layout, TableError
from otklik.serving.worker import Recipe, Work, Worker, add_up
from otklik.taxonomy.model import Taxonomy

ROWS = [[str(number), f"Ждём «{number}»-й ЁЖ…\r\nвторая; строка" + "щ" * (number % 40)] for number in range(3 * STEP - 10)]


def pieces_of(path: Path) -> list[Any]:
    """What is read from each mark on, STEP rows at a time."""
    found = marked(blobs(str(path))[0], Layout())
    assert found.rows == len(ROWS)
    read = [found.source.read(found.marks[number], min(STEP, found.rows - number * STEP)) for number in (2, 0, 1)]
    return [read[1], read[2], read[0]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1251", "koi8-r"])
def test_a_piece_of_csv_needs_nothing_before_it(tmp_path: Path, encoding: str) -> None:
    rows = [["№".replace("№", "n"), "Отзыв"], *ROWS]
    with (tmp_path / "a.csv").open("w", encoding=encoding, newline="", errors="replace") as out:
        csv.writer(out, delimiter=";").writerows([[cell.replace("…", "...") for cell in row] for row in rows])
    read = [list(row.values()) for piece in pieces_of(tmp_path / "a.csv") for row in piece.to_pylist()]
    expected = [[cell.replace("…", "...") for cell in row] for row in ROWS]
    if encoding == "koi8-r":  # has no «ёлочки»
        read, expected = [row[:1] for row in read], [row[:1] for row in expected]
    assert read == expected


@pytest.mark.parametrize("group", [7, STEP, 300, 1000])
def test_a_piece_of_parquet_crosses_row_groups(tmp_path: Path, group: int) -> None:
    table = pa.table({"n": pa.array(range(len(ROWS)), pa.int16()), "t": pa.array([row[1] for row in ROWS]).dictionary_encode()})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=group)
    pieces = pieces_of(tmp_path / "a.parquet")
    assert pa.concat_tables(pieces).equals(pq.read_table(tmp_path / "a.parquet"))


def test_json_keeps_numbers_where_all_are_and_says_the_rest_in_words(tmp_path: Path) -> None:
    lines = [{"text": row[1], "n": number, "x": number or 0.5, "id": number if number % 2 else row[0], "b": None, "more": {"a": [1]}}
             for number, row in enumerate(ROWS)]  # fmt: skip
    del lines[1]["n"]
    text = "\n\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    (tmp_path / "a.jsonl").write_text(f"\ufeff{text}\n", encoding="utf-8")
    table = pa.concat_tables(pieces_of(tmp_path / "a.jsonl"))
    assert [str(kind) for kind in table.schema.types] == ["string", "int64", "double", "string", "string", "string"]
    assert table.column("text").to_pylist() == [row[1] for row in ROWS]
    assert table.column("n").to_pylist()[:3] == [0, None, 2]
    assert table.slice(0, 1).to_pylist()[0] | {"text": ""} == {"text": "", "n": 0, "x": 0.5, "id": "0", "b": None, "more": '{"a": [1]}'}


@pytest.mark.parametrize(
    ("name", "content", "code", "words"),
    [
        ("a.jsonl", '{"text": "да"}\nнет\n{"text": "да"}\n[1]\n{"a": 1', "invalid_json", "a.jsonl:2, a.jsonl:4, a.jsonl:5"),
        ("a.jsonl", "", "empty_file", "пуст"),
        ("a.jsonl", '{"review": "да"}', "no_text_column", "«review»"),
        ("a.csv", "отзыв;оценка\nда;1\nвот; так;2\n", "broken_csv", "в строке 2"),
        ("a.csv", "отзыв;город;город\nда;1;2\n", "same_columns", "город"),
        ("a.csv", "отзыв;otklik_sentiment\nда;1\n", "same_columns", "otklik_sentiment"),
        ("a.parquet", "PAR1", "broken_parquet", "a.parquet"),
    ],
)
def test_what_is_wrong_with_a_file_is_known_before_anything_is_labelled(
    tmp_path: Path, name: str, content: str, code: str, words: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(TableError, match=words) as raised:
        plan(blobs(str(tmp_path))[0], Asked())
    assert raised.value.code == code


def test_folders_are_read_to_the_bottom_but_for_what_is_hidden(tmp_path: Path) -> None:
    for name in ("b.csv", "day=2/a.csv", ".hidden/a.csv", "_temporary/a.csv", "day=2/.a.csv", "_SUCCESS", "~$b.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("отзыв\nда\n", encoding="utf-8")
    assert [blob.name for blob in blobs(str(tmp_path))] == ["b.csv", "day=2/a.csv"]
    assert [blob.name for blob in blobs(f"file://{tmp_path}")] == ["b.csv", "day=2/a.csv"]
    assert [inside(str(tmp_path / name), f"file://{tmp_path}") for name in ("", "a/b", "../b")] == [True, True, False]


def test_files_are_cut_in_the_same_way_and_an_empty_one_has_its_part(tmp_path: Path) -> None:
    for name, rows in (("a", 130), ("b", 0), ("c", 20_000)):
        pq.write_table(pa.table({"отзыв": ["да"] * rows}, pa.schema({"отзыв": pa.string()})), tmp_path / f"{name}.parquet")
    pieces = cut([plan(blob, Asked()) for blob in blobs(str(tmp_path))])
    assert len({piece.part for piece in pieces}) == len(pieces)
    assert [sum(piece.rows for piece in pieces if piece.plan == number) for number in range(3)] == [130, 0, 20_000]
    assert [(piece.first, piece.rows, piece.part) for piece in pieces[:2]] == [
        (0, 130, "a.parquet-000000.parquet"),
        (0, 0, "b.parquet-000000.parquet"),
    ]


@pytest.fixture
def work(tmp_path: Path, taxonomy: Taxonomy) -> Work:
    """Three pieces of a CSV file, labelled by words."""
    with (tmp_path / "a.csv").open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([["n", "Отзыв"], *ROWS])
    plans = [plan(blob, Asked()) for blob in blobs(str(tmp_path))]
    target = Target(str(tmp_path / "out"), "mark", restart=False)
    target.begin()
    return Work(Recipe(taxonomy, None, "keyword", "keyword-1"), plans, cut(plans), target, threads=1, wide=False)


def test_a_piece_that_is_done_twice_changes_nothing(work: Work, tmp_path: Path) -> None:
    label = Worker(work)
    assert [label({"item": [number]})["wrong"] for number in (0, 1, 0, 2, 1)] == [[""]] * 5
    assert not (tmp_path / "out").exists()  # half of it never looks whole
    add_up(work.target, work.pieces, summary := Summary())
    assert summary.rows == sum(summary.sentiments.values()) == len(ROWS)
    work.target.finish({"rows": summary.rows})
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "_SUCCESS", "_otklik.json", *(f"a.csv-00000{number}.parquet" for number in range(3))
    ]  # fmt: skip
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_rows_that_are_missing_are_told(work: Work, tmp_path: Path) -> None:
    label = Worker(work)
    for number in range(2):
        label({"item": [number]})
    with pytest.raises(TableError, match=r"a\.csv-000002\.parquet"):
        add_up(work.target, work.pieces, Summary())
    label({"item": [2]})
    part = tmp_path / ".out.cluster" / "a.csv-000001.parquet"
    pq.write_table(pq.read_table(part).slice(1), part)
    with pytest.raises(TableError, match=f"строк {STEP - 1}, а должно быть {STEP}"):
        add_up(work.target, work.pieces, Summary())


def test_an_error_of_a_worker_shows_no_words_of_a_text(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError(ROWS[STEP + 7][1])

    monkeypatch.setattr("otklik.serving.worker.answered", fail)
    (wrong,) = Worker(work)({"item": [1]})["wrong"]
    assert wrong.startswith(f"a.csv, строки с {STEP + 1} по {2 * STEP}: ValueError (")
    assert "Ждём" not in wrong


def test_a_worker_with_another_model_refuses(work: Work, taxonomy: Taxonomy) -> None:
    other = Work(Recipe(taxonomy, None, "keyword", "keyword-0"), work.plans, work.pieces, work.target, 1, wide=False)
    assert "модель keyword-1, а у запуска keyword-0" in Worker(other)({"item": [0]})["wrong"][0]


def test_a_folder_that_holds_something_is_never_touched(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    Target(str(target), "one", restart=False)  # an empty one may be taken
    (target / "family.jpg").touch()
    for restart in (False, True):
        with pytest.raises(TableError, match=r"укажите другую папку после -o$"):
            Target(str(target), "one", restart=restart)
    with pytest.raises(TableError, match="укажите другую папку"):
        Target(str(target / "family.jpg"), "one", restart=True)


def test_a_result_is_only_replaced_when_asked_and_by_a_whole_one(tmp_path: Path) -> None:
    place = str(tmp_path / "out")
    first = Target(place, "one", restart=False)
    first.begin()
    first.write("a.parquet", b"1")
    first.finish({})
    with pytest.raises(TableError, match="--restart"):
        Target(place, "one", restart=False)
    second = Target(place, "one", restart=True)
    second.begin()
    assert (tmp_path / "out" / "a.parquet").read_bytes() == b"1"
    second.write("b.parquet", b"2")
    second.finish({})
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"_SUCCESS", "_otklik.json", "b.parquet"}


def test_what_somebody_put_beside_a_result_is_not_removed_with_it(tmp_path: Path) -> None:
    target = Target(str(tmp_path / "out"), "one", restart=False)
    target.begin()
    target.finish({})
    (tmp_path / "out" / "report.html").touch()
    with pytest.raises(TableError, match=r"укажите другую папку после -o$"):
        Target(str(tmp_path / "out"), "one", restart=True)


def test_only_the_same_run_goes_on_with_what_is_there(tmp_path: Path) -> None:
    for mark, there in (("one", set()), ("one", {"a.parquet"}), ("two", set())):
        target = Target(str(tmp_path / "out"), mark, restart=False)
        target.begin()
        assert target.names() == there
        target.write("a.parquet", b"1")


def test_in_an_object_store_success_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otklik.serving.store._WHOLE_PUTS", {"local"})  # a folder in the part of a bucket
    (tmp_path / "out").mkdir()
    target = Target(str(tmp_path / "out"), "one", restart=False)
    target.begin()
    target.write("a.parquet", b"1")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"_otklik.json", "a.parquet"}
    assert Target(str(tmp_path / "out"), "one", restart=False).names() == {"a.parquet"}
    with pytest.raises(TableError, match="--restart"):
        Target(str(tmp_path / "out"), "two", restart=False)
    target.finish({"rows": 1})
    assert json.loads((tmp_path / "out" / "_SUCCESS").read_text()) == {"rows": 1}
    with pytest.raises(TableError, match="--restart"):
        Target(str(tmp_path / "out"), "one", restart=False)
