"""The report finds what was planted, says what is missing, and never lets a customer's words become a page of their own."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from datetime import date, timedelta
from html.parser import HTMLParser
from pathlib import Path

import openpyxl
import pytest
from typer.testing import CliRunner

from otklik.nlp.analyzer import Analyzer
from otklik.nlp.masking import Masker
from otklik.nlp.morphology import Morphology
from otklik.nlp.preprocess import Reader
from otklik.serving import insight
from otklik.serving.cells import TECHNICAL
from otklik.serving.cli import app
from otklik.serving.label import label_file
from otklik.serving.labeller import Labeller
from otklik.serving.page import render
from otklik.serving.phrases import grown, read_phrases
from otklik.serving.report import Report
from otklik.serving.shares import Change, Nps, Share, more_than_chance, poisson_tail
from otklik.serving.sheets import write_sheets
from otklik.serving.survey import Entry, read_survey
from otklik.serving.tables import TableError, open_table
from otklik.serving.topics import Vector, word_vectors
from otklik.taxonomy.model import Taxonomy

SAMPLE = Path(__file__).parent.parent / "data" / "samples" / "survey.csv"
TODAY = date(2026, 11, 1)
DEFAULTS = dict.fromkeys(TECHNICAL, "") | {
    "otklik_sentiment": "neutral", "otklik_urgency": "none", "otklik_engine": "keyword", "otklik_model_version": "keyword-1",
    "otklik_taxonomy_version": "1.0.0",
}  # fmt: skip
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)> & \"'>{{ 7 * 7 }}"


def labelled(folder: Path, rows: Sequence[dict[str, str]]) -> Path:
    """Labels by their short names: `sentiment`, `categories`, …; all other columns as they are."""
    full = [DEFAULTS | {f"otklik_{key}" if f"otklik_{key}" in DEFAULTS else key: value for key, value in row.items()} for row in rows]
    path = folder / "labelled.csv"
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(full[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(full)
    return path


@pytest.fixture(scope="module")
def vector() -> Vector:
    return word_vectors()


@pytest.fixture
def make(taxonomy: Taxonomy, reader: Reader, morphology: Morphology, vector: Vector):
    def make(path: Path, *, masked: bool = True, title: str = "Отчёт") -> Report:
        masker = Masker(morphology) if masked else None
        return Report(read_survey(open_table(path)), taxonomy, reader, masker, vector, title, path.name, TODAY)

    return make


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, analyzer: Analyzer, taxonomy: Taxonomy, reader: Reader, vector: Vector) -> Report:
    target = tmp_path_factory.mktemp("sample") / "labelled.csv"
    label_file(SAMPLE, target, Labeller(analyzer, engine="keyword"))
    return Report(read_survey(open_table(target)), taxonomy, reader, None, vector, "Опрос", target.name, TODAY)


def test_the_planted_burst_is_found_with_its_days_and_words(sample: Report) -> None:
    first = sample.surges[0]
    assert (first.burst.first, first.burst.last) == (date(2026, 10, 6), date(2026, 10, 8))
    assert first.name == "40"
    assert {"leto", "реклама", "текстиль", "Условия акций и бонусов"} <= set(first.also)
    assert first.burst.p < 1e-9 < first.burst.expected < 1 < first.burst.count


def test_nothing_else_of_the_sample_is_a_burst(sample: Report) -> None:
    assert len(sample.surges) == 1


def test_the_planted_topic_is_found_and_grows(sample: Report) -> None:
    first = sample.themes[0]
    assert first.grows
    assert "логотип" in first.words
    assert sum(first.weekly[-4:]) >= 9
    assert sum(first.weekly[:-4]) <= 2


def test_the_planted_words_are_new(sample: Report) -> None:
    assert {"40", "код", "скидку"} <= {one.words for one in sample.fresh}


def test_both_scales_in_one_column_are_told_apart_by_the_channel(sample: Report) -> None:
    marks = [entry for entry in sample.entries if entry.mark is not None]
    assert sample.nps.total == sum(entry.channel == "nps" for entry in marks)
    assert sample.csat.total == sum(entry.channel != "nps" for entry in marks)


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (81, 263, 0.2553, 0.3662), (10, 10, 0.7225, 1.0), (0, 0, 0.0, 1.0)],
)
def test_intervals_are_those_of_wilson(count: int, total: int, low: float, high: float) -> None:
    found = Share(count, total)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_nps_is_promoters_less_detractors() -> None:
    found = Nps(promoters=5, passives=3, detractors=2)
    assert found.value == 30
    assert found.margin == pytest.approx(100 * 1.96 * math.sqrt((0.7 - 0.09) / 10), rel=1e-4)


def entry(row: int, *, mark: float | None = None, ten: bool = True, categories: tuple[str, ...] = (), day: date | None = None) -> Entry:
    return Entry(row, day, "текст", mark, ten, "", "neutral", categories, (), "none", (), (), (), "keyword", "keyword-1", "1.0.0")


def test_the_cost_of_a_reason_is_what_all_fall_short_of_the_rest() -> None:
    entries = [entry(1, mark=10), entry(2, mark=9), entry(3, mark=7), entry(4, mark=0, categories=("money.refund",))]
    (cost,) = insight.costs(entries)
    assert insight.nps(entries).value == 25  # (2 - 1) / 4
    assert cost.nps_cost == pytest.approx(25 - 200 / 3)
    assert cost.csat_cost is None


def test_csat_is_the_share_of_four_and_five() -> None:
    entries = [entry(row, mark=mark, ten=False) for row, mark in enumerate([5, 4, 3, 1])]
    assert insight.csat(entries) == Share(2, 4)
    assert insight.nps(entries).total == 0


def test_halves_are_equal_and_quarters_are_the_last_days() -> None:
    entries = [entry(row, day=date(2026, 8, 1) + timedelta(days=row)) for row in range(9)]
    halves, quarters = insight.halves(entries), insight.quarters(entries)
    assert halves is not None
    assert quarters is not None
    assert [len(part) for part in halves] == [4, 4]
    assert [len(part) for part in quarters] == [7, 2]


def test_a_change_is_marked_when_the_intervals_do_not_meet() -> None:
    assert Change(Share(2, 100), Share(20, 100)).apart
    assert not Change(Share(10, 100), Share(14, 100)).apart
    assert Change(Share(2, 100), Share(20, 100)).points == pytest.approx(18)


def test_a_rare_reason_that_grows_is_new() -> None:
    days = [date(2026, 8, 1) + timedelta(days=number % 40) for number in range(400)]
    entries = [
        entry(row, day=day, categories=("digital.app",) if day >= date(2026, 9, 1) and row % 4 == 0 else ()) for row, day in enumerate(days)
    ]
    (new,) = insight.news(entries)
    assert (new.id, new.before.count) == ("digital.app", 0)


def test_chances_are_exact() -> None:
    assert more_than_chance(Share(3, 3), Share(0, 3)) == pytest.approx(1 / 20)
    assert poisson_tail(2, 1.0) == pytest.approx(1 - 2 / math.e)
    assert poisson_tail(0, 0.0) == 1
    assert poisson_tail(3, 0.0) == 0


def test_a_long_period_is_told_by_weeks_and_a_short_one_by_days() -> None:
    start = date(2026, 8, 3)
    short, long = ([entry(1, day=start), entry(2, day=start + timedelta(days=days))] for days in (6, 50))
    assert (insight.timeline(short)[0], len(insight.timeline(short)[1])) == ("D", 7)
    assert (insight.timeline(long)[0], len(insight.timeline(long)[1])) == ("W", 8)


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("приложение не работает", "не_работать"),
        ("ссылка на новогодние гирлянды", "ссылка новогодний гирлянда"),
        ("код LETO40", "код leto"),
    ],
)
def test_phrases_are_lemmas_without_stop_words(reader: Reader, text: str, phrase: str) -> None:
    assert phrase in read_phrases([text] * 3, reader).texts[0]


def test_names_numbers_and_addresses_are_no_phrases(reader: Reader) -> None:
    phrases = read_phrases(["Иванов Пётр, заказ 12345678, petr@example.ru"] * 3, reader)
    assert phrases.texts[0] == {"заказ"}


def test_no_phrase_stretches_across_an_address(reader: Reader) -> None:
    phrases = read_phrases(["Пишите на petr@example.ru срочно"] * 3, reader)
    assert not [shown for shown in phrases.shown.values() if "@" in shown or "petr" in shown]


def test_words_that_came_up_are_found_and_old_ones_are_not(reader: Reader) -> None:
    texts = ["Привезли шкаф вовремя", "Стол крепкий"] * 40 + ["Новый логотип похож на аптеку"] * 8
    found = grown(read_phrases(texts, reader), range(60), range(60, 88))
    assert found
    assert all("логотип" in growth.phrase or "аптека" in growth.phrase or "похожий" in growth.phrase for growth in found)


def test_hostile_words_are_shown_and_do_nothing(tmp_path: Path, make) -> None:
    rows = [
        {"Дата": f"2026-08-{day:02}",
         "Текст": f"Логотип {EVIL}", "Канал": EVIL, "Оценка": "1", "sentiment": "negative", "categories": label,
         "triggers": "legal_threat", "urgency": "high", "evidence": EVIL, "needs_review": EVIL, "engine": EVIL}
        for day in range(1, 29) for label in ("", "other.external", EVIL)
    ]  # fmt: skip
    page = render(make(labelled(tmp_path, rows), masked=False, title=EVIL))
    tags = Tags()
    tags.feed(page)
    assert not tags.names & {"script", "img", "iframe", "object", "link", "form"}
    assert not {name for name in tags.attributes if name.startswith("on")}
    assert "&lt;script&gt;" in page
    assert "49" not in page.split("</style>")[1].split("<section")[0]
    assert not [value for value in tags.links if not value.startswith("#")]


class Tags(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "xlink:href"}]


def test_the_page_asks_for_nothing_from_the_network(sample: Report) -> None:
    page = render(sample)
    assert "default-src 'none'" in page
    assert "@import" not in page
    assert "url(http" not in page
    assert page.count("<svg") == page.count('role="img"') == page.count("aria-label=") - 1  # and the contents


def test_personal_data_is_hidden_unless_asked_for(tmp_path: Path, make) -> None:
    text = "Пойду в суд, звоните +7 900 123-45-67, Иванов Пётр Сергеевич, petr@example.ru"
    path = labelled(
        tmp_path, [{"Текст": text, "sentiment": "negative", "triggers": "legal_threat", "urgency": "high", "evidence": "Пойду в суд"}]
    )
    page, sheets = render(make(path)), tmp_path / "n.xlsx"
    assert not [word for word in ("123-45-67", "Иванов", "petr@") if word in page]
    assert "<mark>Пойду в суд</mark>" in page
    write_sheets(sheets, make(path))
    assert "123-45-67" not in str([list(sheet.values) for sheet in openpyxl.load_workbook(sheets).worksheets])
    assert "123-45-67" in render(make(path, masked=False))


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (
            [{"Текст": "Деньги не вернули", "sentiment": "negative", "categories": "money.refund"}],
            ["нет столбца с датой", "нет столбца с оценкой"],
        ),
        (
            [{"Текст": "Спасибо", "Дата": "01.08.2026", "Оценка": "5", "sentiment": "positive"}],
            ["Негативных текстов нет", "сравнивать не с чем"],
        ),
        ([{"Текст": "Ну", "Дата": "вчера", "Оценка": "так себе"}], ["Ни одна дата не прочиталась", "нет ни одной оценки"]),
        ([{"Текст": "", "Дата": "01.08.2026", "sentiment": ""}], ["нет ни одного текста"]),
    ],
    ids=["no dates, no marks", "one row, nothing bad", "nothing can be read", "only empty rows"],
)
def test_what_is_missing_is_said(tmp_path: Path, make, rows: list[dict[str, str]], told: list[str]) -> None:
    page = render(make(labelled(tmp_path, rows)))
    assert not [words for words in told if words not in page]
    write_sheets(tmp_path / "n.xlsx", make(tmp_path / "labelled.csv"))


def test_urgent_cases_stand_by_severity_and_then_from_the_newest(tmp_path: Path, make) -> None:
    kinds = [
        ("high", "2026-08-03"),
        ("critical", "2026-08-01"),
        ("normal", "2026-08-05"),
        ("critical", "2026-08-04"),
        ("none", "2026-08-06"),
    ]
    rows = [{"Текст": "Пойду в суд", "Дата": day, "urgency": severity} for severity, day in kinds]
    assert [case.quote.entry.row for case in make(labelled(tmp_path, rows)).urgent] == [4, 2, 1, 3]


def test_the_sheets_hold_the_numbers_and_no_formulas(tmp_path: Path, make) -> None:
    text = "=cmd|' /C calc'!A0 нахамили"
    rows = [
        {"Текст": text, "Дата": f"2026-08-{day:02}", "sentiment": "negative", "categories": "service.rude", "urgency": "high"}
        for day in range(1, 9)
    ]
    write_sheets(tmp_path / "n.xlsx", make(labelled(tmp_path, rows), masked=False))
    book = openpyxl.load_workbook(tmp_path / "n.xlsx")
    assert book.sheetnames[:3] == ["Сводка", "Динамика", "Причины"]
    assert not [cell for sheet in book.worksheets for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]
    assert [cell.value for cell in book["Срочное"][2]][4] == text
    assert [cell.value for cell in book["Причины"][2]][2:4] == [8, 1]


def test_the_command_writes_both_files_and_tells_the_columns(tmp_path: Path) -> None:
    source = labelled(tmp_path, [{"Comment": "Деньги не вернули", "Date": "01.08.2026", "sentiment": "negative"}])
    target, sheets = tmp_path / "r.html", tmp_path / "r.xlsx"
    result = CliRunner().invoke(app, ["report", str(source), "-o", str(target), "--xlsx", str(sheets), "--title", "Август"])
    assert result.exit_code == 0, result.output
    assert "дата: столбец «Date»" in result.output
    assert "<h1>Август</h1>" in target.read_text(encoding="utf-8")
    assert sheets.stat().st_size


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["a.csv", "-o", "r.html"], "no_file"),
        (["labelled.csv", "-o", "r.pdf"], "other_format"),
        (["labelled.csv", "-o", "r.html", "--date-column", "когда"], "no_column"),
    ],
)
def test_a_wrong_order_is_told_in_russian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str) -> None:
    labelled(tmp_path, [{"Текст": "Да"}])
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["report", *arguments])
    assert result.exit_code == 2
    assert told in result.output
    assert not (tmp_path / "r.html").exists()


def test_a_file_that_is_not_labelled_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("текст\nда\n", encoding="utf-8")
    with pytest.raises(TableError, match="сначала разметьте"):
        read_survey(open_table(tmp_path / "a.csv"))
