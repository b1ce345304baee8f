from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT
from typer.testing import CliRunner

from otklik.taxonomy.model import Taxonomy
from otklik.training.cases import Case, CasesError, Quote
from otklik.training.cli import app
from otklik.training.labels import digest, join, reread_triggers, texts_of

FILES = sorted((ROOT / "data" / "labels").glob("*.jsonl"))
TEXT = "Жду третью неделю. Верните деньги!"


def write(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n", encoding="utf-8")
    return path


def row(**changes: object) -> dict[str, object]:
    start = TEXT.index("Верните")
    return {
        "digest": digest(TEXT),
        "categories": {"fulfilment.delay": [[0, 18]], "money.refund": [[start, len(TEXT)]]},
        "sentiment": "negative",
        "triggers": [{"id": "refund_demand", "start": start, "stop": start + 14}],
        **changes,
    }


def test_labels_find_their_texts(tmp_path: Path, taxonomy: Taxonomy) -> None:
    texts = texts_of([write(tmp_path / "t.jsonl", {"text": TEXT, "domain": "shop"}, {"text": "Другое"})])
    (case,), missing = join(write(tmp_path / "l.jsonl", row(), row(digest=digest("нет такого"))), texts, taxonomy)
    assert missing == 1
    assert (case.categories, case.sentiment, case.domain) == (("fulfilment.delay", "money.refund"), "negative", "shop")
    assert case.triggers[0].quote == "Верните деньги"
    assert TEXT[slice(*case.evidence["fulfilment.delay"][0])] == "Жду третью неделю."


def test_every_problem_is_told(tmp_path: Path, taxonomy: Taxonomy) -> None:
    labels = write(
        tmp_path / "l.jsonl",
        row(categories={"money.none": []}),
        row(sentiment="sad"),
        row(categories={"money.price": [[7, 7]]}),
        {"digest": "0"},
    )
    with pytest.raises(CasesError, match=r"money\.none") as told:
        join(labels, {}, taxonomy)
    assert [problem.split(": ")[0].rpartition(":")[2] for problem in told.value.problems] == ["1", "2", "3", "4"]


def test_files_without_what_is_needed_are_told(tmp_path: Path) -> None:
    with pytest.raises(CasesError, match=r"t\.jsonl:1: a JSON object with «text»"):
        texts_of([write(tmp_path / "t.jsonl", {"words": "нет"})])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_shipped_labels_hold_no_words_of_others(path: Path, taxonomy: Taxonomy) -> None:
    assert not re.search("[а-яё]", path.read_text(encoding="utf-8"), re.IGNORECASE)
    cases, missing = join(path, {}, taxonomy)
    assert (len(cases), missing > 1000) == (0, True)


def test_shipped_labels_fit_their_texts(taxonomy: Taxonomy, shared_data: Path) -> None:
    texts = texts_of([*(shared_data / "unlabelled").glob("*.jsonl"), *(shared_data / "public").glob("sentirueval2016_*.jsonl")])
    held_out = texts_of([shared_data / "labelled" / "dev.jsonl", shared_data / "labelled" / "train.jsonl"])
    for path in FILES:
        cases, missing = join(path, texts, taxonomy)
        assert missing == 0
        assert all(0 <= start < stop <= len(case.text) for case in cases for places in case.evidence.values() for start, stop in places)
        assert all(trigger.quote for case in cases for trigger in case.triggers)
        assert not {digest(case.text) for case in cases} & set(held_out)


def test_a_later_reading_replaces_the_triggers_of_its_text_alone(tmp_path: Path, taxonomy: Taxonomy) -> None:
    first = Case("1", TEXT, ("money.refund",), "negative", (Quote("churn_threat", "Жду"),))
    other = replace(first, id="2", text="Жду ответа")
    start = TEXT.index("Верните")
    later = {"digest": digest(TEXT), "triggers": [{"id": "refund_demand", "start": start, "stop": start + 14}]}
    absent = {"digest": digest("нет такого"), "triggers": []}
    changed, same = reread_triggers([first, other], [write(tmp_path / "r.jsonl", later, absent)], taxonomy)
    assert changed == replace(first, triggers=(Quote("refund_demand", "Верните деньги", start),))
    assert same == other
    (emptied,) = reread_triggers([first], [write(tmp_path / "r.jsonl", {**later, "triggers": []})], taxonomy)
    assert emptied.triggers == ()


def test_every_problem_of_a_later_reading_is_told(tmp_path: Path, taxonomy: Taxonomy) -> None:
    case = Case("1", TEXT, (), "negative", ())
    rows = [
        {"digest": digest(TEXT), "triggers": [{"id": "money.refund", "start": 0, "stop": 3}]},
        {"digest": digest(TEXT), "triggers": [{"id": "churn_threat", "start": 0, "stop": 999}]},
        {"digest": digest(TEXT)},
    ]
    with pytest.raises(CasesError, match=r"money\.refund") as told:
        reread_triggers([case], [write(tmp_path / "r.jsonl", *rows)], taxonomy)
    assert [problem.split(": ")[0].rpartition(":")[2] for problem in told.value.problems] == ["1", "2", "3"]


def test_an_overlay_without_a_trigger_can_still_be_trained(tmp_path: Path) -> None:
    """The project's later readings name triggers that a company may have switched off."""
    overlay = tmp_path / "quiet.yaml"
    overlay.write_text("overlay: quiet\nversion: 1.0.0\nbase: service-core-1.0.0\n\ntriggers:\n  off: [refund_demand]\n", encoding="utf-8")
    later = {"digest": digest(TEXT), "triggers": [{"id": "refund_demand", "start": 0, "stop": 3}]}
    (tmp_path / "reread").mkdir()
    write(tmp_path / "reread" / "r.jsonl", later)
    real = write(tmp_path / "real.jsonl", {"id": "1", "text": TEXT, "categories": [], "sentiment": "negative", "triggers": []})
    settings = tmp_path / "no.toml"  # the cases are read first; here the run ends for want of settings
    settings.write_text('base = ""\n', encoding="utf-8")
    options = {"-o": "run", "--cases": "none", "--labels": "none", "--reread": "reread"}
    places = [part for option, folder in options.items() for part in (option, str(tmp_path / folder))]
    files = ["--real", str(real), "--taxonomy", str(overlay), "--settings", str(settings)]
    answer = CliRunner().invoke(app, ["finetune", *places, *files])
    assert answer.exit_code == 2
    assert "is missing" in answer.output
    assert "is not in triggers" not in answer.output
