from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from conftest import ROOT
from typer.testing import CliRunner

from otklik.nlp.analyzer import Analyzer
from otklik.nlp.masking import Masker
from otklik.nlp.morphology import Morphology
from otklik.serving.cli import app
from otklik.serving.label import LabelError, label_file
from otklik.serving.labeller import Labeller

CRY = "Стоим у выхода, нас не сажают на рейс! Горячая линия не отвечает."
run = CliRunner().invoke


@pytest.fixture
def labeller(hybrid: Analyzer) -> Labeller:
    return Labeller(hybrid)


def jsonl(path: Path, *lines: object) -> Path:
    path.write_bytes(
        b"".join((line if isinstance(line, bytes) else json.dumps(line, ensure_ascii=False).encode()) + b"\n" for line in lines)
    )
    return path


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_classify_prints_a_table_in_russian() -> None:
    result = run(app, ["classify", CRY, "Спасибо, всё отлично!"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    for words in ("Не пускают на рейс", "loyalty_team, 15 мин", "Негативная", "Позитивная"):
        assert words in " ".join(result.output.replace("│", " ").split())


def test_classify_reads_lines_and_answers_as_the_service_does() -> None:
    result = run(app, ["classify", "--json"], input=f"{CRY}\n\nСпасибо!\n")
    answer = json.loads(result.output)
    assert list(answer) == ["model_version", "taxonomy_version", "results"]
    assert [entry["id"] for entry in answer["results"]] == ["0", "1", "2"]
    assert answer["results"][0]["urgency"]["severity"] == "critical"


@pytest.mark.parametrize(
    "command", [["classify", "--engine", "model", "текст"], ["label", "a.jsonl", "-o", "b.jsonl", "--engine", "model"]]
)
def test_a_model_that_is_absent_is_never_replaced_in_silence(command: list[str], tmp_path: Path) -> None:
    result = run(app, command, env={"OTKLIK_MODEL": str(tmp_path)})
    assert result.exit_code == 2
    assert "model_missing" in result.stderr


def test_auto_goes_on_with_the_words_and_says_so(tmp_path: Path) -> None:
    result = run(app, ["classify", "--json", CRY], env={"OTKLIK_MODEL": str(tmp_path)})
    assert result.exit_code == 0
    assert "отвечают ключевые слова" in " ".join(result.stderr.split())
    assert json.loads(result.stdout)["results"][0]["engine"] == "keyword"


def test_labelling_jsonl_keeps_order_ids_and_every_line(tmp_path: Path, labeller: Labeller) -> None:
    source = jsonl(
        tmp_path / "in.jsonl",
        {"id": "a", "text": CRY, "score": 1, "extra": [1]},
        b"{broken",
        {"id": 7, "text": "Спасибо, всё отлично!"},
        {"id": "c"},
        {"id": "d", "text": None},
        ["list"],
        b'{"id": "e", "text": "' + bytes([255]) + b'"}',
        b'{"id": "f", "text": "\\ud800"}',
        b"   ",
        {"text": ""},
    )
    summary = label_file(source, tmp_path / "out.jsonl", labeller)
    out = rows(tmp_path / "out.jsonl")
    assert [row["id"] for row in out] == ["a", None, 7, "c", "d", None, None, "f", "10"]
    assert [row.get("line") for row in out] == [None, 2, None, 4, 5, 6, 7, 8, None]
    codes = [row["error"]["code"] if "error" in row else None for row in out]  # type: ignore[index]
    assert codes == [None, "invalid_json", None, "no_text", "no_text", "invalid_row", "invalid_encoding", "invalid_encoding", None]
    assert (summary.rows, summary.errors) == (9, 6)
    assert list(out[0])[:8] == ["id", "engine", "sentiment", "categories", "triggers", "urgency", "needs_review", "review_reasons"]
    assert (out[0]["model_version"], out[0]["taxonomy_version"]) == (labeller.version, "1.0.0")


def test_every_door_gives_the_same_answer(tmp_path: Path, labeller: Labeller) -> None:
    label_file(jsonl(tmp_path / "in.jsonl", {"id": "0", "text": CRY}), tmp_path / "out.jsonl", labeller)
    by_file = {key: value for key, value in rows(tmp_path / "out.jsonl")[0].items() if not key.endswith("_version")}
    assert json.loads(run(app, ["classify", "--json", CRY]).output)["results"] == [by_file]


@pytest.mark.parametrize(("encoding", "delimiter"), [("utf-8", ","), ("utf-8-sig", ";"), ("cp1251", ";"), ("utf-8", "\t")])
def test_labelling_csv_keeps_all_columns(tmp_path: Path, labeller: Labeller, encoding: str, delimiter: str) -> None:
    table = [["№", "Отзыв", "дата"], ["1", CRY, "2026-01-02"], ["2", 'Спасибо; "супер",\nприду ещё', ""], ["3", "", "x"], ["4"]]
    source = tmp_path / "in.csv"
    with source.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(table if encoding != "cp1251" else [row[1:] + row[:1] for row in table[:3]])
    label_file(source, tmp_path / "out.csv", labeller)
    assert (tmp_path / "out.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        out = list(csv.reader(file, delimiter=delimiter))
    if encoding != "cp1251":
        assert [row[:3] for row in out] == [*table[:4], ["4", "", ""]]
    first = dict(zip(out[0], out[1], strict=True))
    assert (first["otklik_urgency"], first["otklik_sentiment"]) == ("critical", "negative")
    assert "не сажают на рейс" in first["otklik_evidence"]


def test_the_source_is_never_overwritten(tmp_path: Path, labeller: Labeller) -> None:
    source = jsonl(tmp_path / "in.jsonl", {"text": "а"})
    with pytest.raises(LabelError, match="не перезаписывается"):
        label_file(source, source, labeller)


def test_a_customers_words_never_become_a_formula(tmp_path: Path, labeller: Labeller) -> None:
    source = tmp_path / "in.csv"
    source.write_text('text\n"=хамство"\n', encoding="utf-8")
    label_file(source, tmp_path / "out.csv", labeller)
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        cells = next(csv.DictReader(file, delimiter=";"))
    assert not cells["otklik_evidence"].startswith("=")


def test_masked_labels_hide_personal_data(tmp_path: Path, analyzer: Analyzer, morphology: Morphology) -> None:
    text = "Верните деньги на карту 4276 3800 1234 5678, иначе подам в суд"
    source = jsonl(tmp_path / "in.jsonl", {"text": text})
    label_file(source, tmp_path / "out.jsonl", Labeller(analyzer, Masker(morphology)))
    assert "4276" not in (tmp_path / "out.jsonl").read_text(encoding="utf-8")


def test_taxonomy_commands() -> None:
    assert "service.no_response" in run(app, ["taxonomy", "show"]).output
    checked = run(app, ["taxonomy", "check", str(ROOT / "taxonomy" / "overlays" / "travel-agency.yaml")])
    assert checked.exit_code == 0
    assert "годится" in checked.output
    assert "не узнан" not in checked.output


def test_a_bad_taxonomy_is_told_with_all_its_problems(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("overlay: own\nversion: 1\nbase: service-core-1.0.0\ncategories:\n  off: [x.y]\n", encoding="utf-8")
    for command in (["taxonomy", "check", str(path)], ["classify", "--taxonomy", str(path), "текст"]):
        result = run(app, command)
        assert result.exit_code == 2
        assert ":2:" in result.stderr
        assert ":5:" in result.stderr


def test_a_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTKLIK_PORT", "far")
    result = run(app, ["classify", "текст"])
    assert (result.exit_code, "OTKLIK_PORT" in result.stderr) == (2, True)
