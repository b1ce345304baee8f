"""Labelling with Ray on this machine, as a command; and what it refuses before Ray is started."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from clustered import parts, workers_of
from conftest import ROOT
from typer.testing import CliRunner

from otklik.nlp.analyzer import Analyzer
from otklik.serving.cli import app
from otklik.serving.label import Asked, label_file
from otklik.serving.labeller import Labeller
from otklik.serving.parquet import widened
from otklik.serving.pieces import plan
from otklik.serving.sources import STEP
from otklik.serving.store import blobs
from otklik.serving.worker import Work, Worker

SURVEY = ROOT / "data" / "samples" / "survey.csv"
RAY = ["--engine-cluster", "ray"]
run = CliRunner().invoke


@pytest.fixture(scope="module", autouse=True)
def _ray() -> None:
    pytest.importorskip("ray")


@pytest.fixture(scope="module")
def survey() -> pd.DataFrame:
    return pd.read_csv(SURVEY, sep=";", encoding="utf-8-sig", dtype=str, keep_default_na=False)


def as_parquet(survey: pd.DataFrame, path: Path) -> Path:
    table = pa.table(
        {
            "№": pa.array(range(len(survey)), pa.int32()),
            "Дата": pa.array(pd.to_datetime(survey["Дата"], format="%d.%m.%Y")),
            "Оценка": pa.array([float(mark) if mark else None for mark in survey["Оценка"]]),
            "Город": pa.array(survey["Город"]).dictionary_encode(),
            "Комментарий": survey["Комментарий"].tolist(),
        }
    )
    pq.write_table(table.replace_schema_metadata({"owner": "qa"}), path, row_group_size=50)
    return path


def label(*options: object, **more: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "otklik.serving", "label", *map(str, options), *RAY]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", **more)


def test_the_rows_of_a_folder_are_those_of_the_local_runs(tmp_path: Path, survey: pd.DataFrame, analyzer: Analyzer) -> None:
    folder = tmp_path / "in"
    (folder / "day=2").mkdir(parents=True)
    survey[:150].to_csv(folder / "a.csv", sep=";", index=False, encoding="cp1251", errors="replace")
    as_parquet(survey[100:240], folder / "day=2" / "b.parquet")
    columns = zip(survey["№"], survey["Комментарий"], survey["Оценка"], strict=True)
    lines = [{"id": number, "text": text, "score": float(mark or 0)} for number, text, mark in columns]
    (folder / "c.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines[:70]))
    (folder / "readme.md").touch()

    process = label(folder, "-o", tmp_path / "out", "--workers", 2, "--engine", "keyword", "--wide")
    out, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert not out
    assert "строк 360" in said
    assert "readme.md: пропущен" in said
    assert "ray" not in said.lower()  # its own talk is not for analysts

    def local(name: str) -> Path:
        target = tmp_path / f"local{Path(name).suffix}"
        label_file(folder / name, target, Labeller(analyzer), Asked(wide=True))
        return target

    with local("a.csv").open(encoding="utf-8-sig", newline="") as opened:
        header, *expected_cells = csv.reader(opened, delimiter=";")
    got = parts(tmp_path / "out", "a.csv")
    assert got.column_names == header
    cells = [["" if cell is None else str(cell) for cell in row.values()] for row in got.to_pylist()]
    assert cells == [[cell.removeprefix("'") for cell in row] for row in expected_cells]  # CSV is guarded against formulas
    expected, found = pq.read_table(local("day=2/b.parquet")), parts(tmp_path / "out", "day=2/b.parquet")
    assert found.schema.equals(expected.schema)
    assert found.equals(expected)
    answers = [json.loads(line) for line in local("c.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = parts(tmp_path / "out", "c.jsonl").to_pylist()
    assert [row["id"] for row in rows] == [answer["id"] for answer in answers]
    assert [row["otklik_sentiment"] or "neutral" for row in rows] == [answer["sentiment"]["label"] for answer in answers]
    assert [row["otklik_needs_review"] for row in rows if row["text"]] == [
        ", ".join(answer["review_reasons"]) for answer, row in zip(answers, rows, strict=True) if row["text"]
    ]


def test_a_worker_that_is_killed_in_the_middle_costs_nothing(tmp_path: Path, survey: pd.DataFrame, hybrid: Analyzer) -> None:
    source = as_parquet(pd.concat([survey, survey])[:600], tmp_path / "a.parquet")
    process = label(source, "-o", tmp_path / "out", "--workers", 2)
    half = tmp_path / ".out.cluster"
    deadline = time.monotonic() + 90
    while not (done := [*half.glob("*.parquet")]) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    victims = workers_of(process.pid)
    os.kill(victims[0], signal.SIGKILL)
    assert len(done) < len(range(0, 600, STEP)) - 1  # there was still work for it
    out, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert not out
    assert "строк 600" in said
    label_file(source, tmp_path / "local.parquet", Labeller(hybrid))
    expected = pq.read_table(tmp_path / "local.parquet")
    assert set(expected.column("otklik_engine").to_pylist()) == {"model", None}
    assert parts(tmp_path / "out", "a.parquet").equals(expected)
    assert not half.exists()


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One worker in this process instead of Ray; gives the pieces that it was asked for."""
    from otklik.serving import cluster  # noqa: PLC0415  wants ray

    asked: list[int] = []

    def answers(work: Work, todo: list[int], workers: int) -> Iterator[dict[str, Any]]:
        worker = Worker(work)
        for number in todo:
            asked.append(number)
            answer = worker({"item": [number]})
            yield {name: found for name, (found,) in answer.items()}

    monkeypatch.setattr(cluster, "_started", lambda cluster: contextlib.nullcontext(1))
    monkeypatch.setattr(cluster, "_planned", lambda found, how: [plan(blob, how) for blob in found])
    monkeypatch.setattr(cluster, "_answers", answers)
    return asked


def test_an_interrupted_run_goes_on(
    tmp_path: Path, survey: pd.DataFrame, here: list[int], analyzer: Analyzer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otklik.serving.surveys.analyzer_of", lambda *_: analyzer)
    source = as_parquet(pd.concat([survey] * 3)[:1300], tmp_path / "a.parquet")
    command = ["label", str(source), "-o", str(tmp_path / "out"), "--engine", "keyword", *RAY]
    with monkeypatch.context() as full_disk:
        writes = iter([None, None, None])
        full_disk.setattr("otklik.serving.worker.widened", lambda *given, real=widened: (next(writes), real(*given))[1])
        broken = run(app, command)
    assert broken.exit_code == 2
    assert "a.parquet, строки с 769 по 1024: StopIteration" in broken.stderr
    assert not (tmp_path / "out").exists()
    whole = run(app, command)
    assert whole.exit_code == 0, whole.output
    assert "продолжено: уже размечено строк 768" in whole.stderr
    assert here == [0, 1, 2, 3, 3, 4, 5]
    label_file(source, tmp_path / "local.parquet", Labeller(analyzer))
    assert parts(tmp_path / "out", "a.parquet").equals(pq.read_table(tmp_path / "local.parquet"))
    again = run(app, command)
    assert again.exit_code == 2
    assert "target_exists" in again.stderr
    assert "--restart" in again.stderr
    assert run(app, [*command, "--restart"]).exit_code == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["in", "-o", "in/out", *RAY], "same_file"),
        (["in", "-o", "in", *RAY], "same_file"),
        (["in", "-o", "in/../full", *RAY], "target_exists"),
        (["nothing", "-o", "out", *RAY], "no_file"),
        (["full", "-o", "out", *RAY], "empty_folder"),
        (["carrier-pigeon://in", "-o", "out", *RAY], "unknown_store"),
        (["s3://key:secret@bucket/in", "-o", "out", *RAY], "unknown_store: ключи доступа"),
        (["-", "-o", "out", *RAY], "bad_options"),
        (["in", "-o", "out", "--sheet", "1", *RAY], "bad_options"),
        (["in", "-o", "out", "--workers", "2"], "bad_options"),
        (["in", "-o", "out", "--address", "head:6379"], "bad_options"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, analyzer: Analyzer, options: list[str], words: str
) -> None:
    monkeypatch.setattr("otklik.serving.surveys.analyzer_of", lambda *_: analyzer)
    monkeypatch.chdir(tmp_path)
    for name in ("in/a.csv", "full/readme.md"):
        Path(name).parent.mkdir()
        Path(name).write_text("отзыв\nспасибо\n", encoding="utf-8")
    result = run(app, ["label", *options])
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert not Path("out").exists()


def test_all_files_that_cannot_be_read_are_told_at_once(tmp_path: Path) -> None:
    from otklik.serving import cluster  # noqa: PLC0415  wants ray

    (tmp_path / "a.csv").write_text("n\n1\n", encoding="utf-8")
    (tmp_path / "b.jsonl").write_text("[]", encoding="utf-8")
    told = [cluster._plan(blob, Asked()) for blob in blobs(str(tmp_path))]
    assert told == [
        ("no_text_column", "a.csv: не найден столбец с текстом; укажите --text-column, есть: «n»"),
        ("invalid_json", "b.jsonl:1: строка не является объектом JSON в UTF-8; исправьте или удалите её"),
    ]


def test_without_ray_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "otklik.serving.cluster", raising=False)
    result = run(app, ["label", str(SURVEY), "-o", str(tmp_path / "out"), *RAY])
    assert result.exit_code == 2
    assert "pip install 'otklik[cluster]'" in result.stderr
