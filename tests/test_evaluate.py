from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import ROOT
from typer.testing import CliRunner

from otklik.nlp.analyzer import Analyzer
from otklik.nlp.records import Analysis, Score, Urgency
from otklik.taxonomy.model import Taxonomy
from otklik.training.cases import Case, CasesError, Quote, read_cases
from otklik.training.cli import app
from otklik.training.evaluate import evaluate

OWN = sorted([*(ROOT / "data" / "cases").glob("*.jsonl"), *(ROOT / "data" / "gold").glob("*.jsonl")])


def case(*categories: str, sentiment: str = "negative", triggers: tuple[str, ...] = ()) -> Case:
    return Case("1", "текст", categories, sentiment, tuple(Quote(trigger, "текст") for trigger in triggers))


def answer(*categories: str, sentiment: str = "negative", triggers: tuple[str, ...] = ()) -> Analysis:
    found = tuple(Score(label, 1.0) for label in categories)
    fired = tuple(Score(label, 1.0) for label in triggers)
    return Analysis("keyword", "x", Score(sentiment, 1.0), found, fired, Urgency(None, None, None), found)


def test_figures_by_hand(taxonomy: Taxonomy) -> None:
    gold = [case("money.price", triggers=("deadline",))] * 6 + [case("money.refund", sentiment="mixed")] * 2
    guess = (
        [answer("money.price", triggers=("deadline",))] * 3 + [answer("money.refund")] * 3 + [answer("money.refund", sentiment="mixed")] * 2
    )
    layers = evaluate(taxonomy, gold, guess).layers
    by_label = {label.id: label for label in layers["categories"].labels}
    price, refund = by_label["money.price"], by_label["money.refund"]
    assert (price.support, price.predicted, price.precision, price.recall, price.in_macro) == (6, 3, 1.0, 0.5, True)
    assert price.f1 == pytest.approx(2 / 3)
    assert (refund.support, refund.predicted, refund.precision, refund.recall, refund.in_macro) == (2, 5, 0.4, 1.0, False)
    assert layers["categories"].macro_f1 == pytest.approx(2 / 3)
    assert layers["categories"].left_out == 21
    assert layers["categories"].micro_f1 == pytest.approx(5 / 8)
    assert layers["triggers"].macro_f1 == pytest.approx(2 / 3)
    assert layers["sentiment"].macro_f1 == 1.0


def test_nothing_to_compare_is_an_error(taxonomy: Taxonomy) -> None:
    for gold, guess in (([], []), ([case()], [])):
        with pytest.raises(ValueError, match="equally many"):
            evaluate(taxonomy, gold, guess)


def test_bad_cases_are_told_line_by_line(tmp_path: Path, taxonomy: Taxonomy) -> None:
    good = {"id": "1", "text": "Верните деньги", "categories": [], "sentiment": "negative", "triggers": []}
    lines = [
        json.dumps(good),
        "{",
        json.dumps({**good, "categories": ["money.none", "money.price", "money.price"]}),
        json.dumps({**good, "id": "3", "sentiment": "sad", "triggers": [{"id": "deadline", "quote": "завтра"}]}),
        json.dumps({key: value for key, value in good.items() if key != "text"}),
        "",
        json.dumps({**good, "id": "4", "text": 5}),
    ]
    path = tmp_path / "cases.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(CasesError) as caught:
        read_cases(path, taxonomy)
    told = [problem.removeprefix(str(path)) for problem in caught.value.problems]
    assert told[0].startswith(":2: no case: ")
    assert told[1:] == [
        ":3: «money.none» is not in categories of the taxonomy",
        ":3: a category stands twice",
        ":3: id «1» stands twice",
        ":4: «sad» is not in sentiment of the taxonomy",
        ":4: the quote of «deadline» is no piece of the text; copy it character for character",
        ":5: no case: «text» is missing",
        ":7: no case: «text» has to be a str",
    ]


def test_a_file_without_cases_is_an_error(tmp_path: Path, taxonomy: Taxonomy) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_text("\n", encoding="utf-8")
    with pytest.raises(CasesError, match="holds no case"):
        read_cases(path, taxonomy)


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_the_projects_own_cases_are_sound(path: Path, taxonomy: Taxonomy) -> None:
    assert len(read_cases(path, taxonomy)) >= 100


def test_own_cases_are_all_different(taxonomy: Taxonomy) -> None:
    texts = [" ".join(case.text.lower().split()) for path in OWN for case in read_cases(path, taxonomy)]
    assert len(set(texts)) == len(texts)


def test_the_command_prints_and_writes_figures(tmp_path: Path) -> None:
    gold = ROOT / "data" / "gold" / "other-industries.jsonl"
    result = CliRunner().invoke(app, ["evaluate", "--engine", "keyword", "--gold", str(gold), "--json", str(tmp_path / "out.json")])
    assert result.exit_code == 0
    assert "macro" in result.output
    figures = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert (figures["cases"], figures["engine"], figures["taxonomy_version"]) == (180, "keyword-1", "1.0.0")
    assert 0 < figures["layers"]["categories"]["macro_f1"] <= 1


# Floors, not targets: what the engine reached when they were set, less what a hand's breadth of rewording may cost.
FLOORS = {"categories": 0.55, "sentiment": 0.64, "triggers": 0.57}


@pytest.mark.parametrize("layer", FLOORS)
def test_the_keyword_engine_holds_its_level_on_real_texts(analyzer: Analyzer, shared_data: Path, layer: str) -> None:
    cases = read_cases(shared_data / "labelled" / "dev.jsonl", analyzer.taxonomy)
    report = evaluate(analyzer.taxonomy, cases, [analyzer.analyze(case.text) for case in cases])
    macro = report.layers[layer].macro_f1
    assert macro is not None
    assert macro >= FLOORS[layer]


def test_the_speed_command_counts_what_it_reads(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "Курьер опоздал"}\n{"text": "Спасибо"}\n', encoding="utf-8")
    result = CliRunner().invoke(app, ["speed", "--engine", "keyword", str(path)])
    assert result.exit_code == 0
    assert "2 texts, 10 characters each" in result.output
    assert "100000 characters" in result.output


def test_a_bad_file_is_told_without_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text("[1]\n", encoding="utf-8")
    for command in (["speed", str(path)], ["evaluate", "--gold", str(path)], ["speed", str(tmp_path / "none")]):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 2
        assert str(tmp_path) in result.stderr
