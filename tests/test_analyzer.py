from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given
from strategies import odd_texts, texts

from otklik.nlp.analyzer import Analyzer, relative_score
from otklik.nlp.records import Analysis, Evidence, Urgency
from otklik.taxonomy.model import Severity


def evidence(analysis: Analysis) -> list[Evidence]:
    return [passage for score in (*analysis.categories, *analysis.triggers) for passage in score.evidence]


@given(texts)
@example("Ёлки! не са\u0301жают на ре\u0439с 😡 cкидкa")
def test_offsets_give_back_the_evidence(analyzer: Analyzer, text: str) -> None:
    for passage in evidence(analyzer.analyze(text)):
        assert passage.text == text[passage.start : passage.stop]
        assert passage.text.strip()


@given(odd_texts, odd_texts)
def test_offsets_give_back_the_evidence_inside_odd_texts(analyzer: Analyzer, before: str, behind: str) -> None:
    text = f"{before}. Стоим, нас не са\u0301жа\u00adют на ре\u0438\u0306с! {behind}"
    fired = [score for score in analyzer.analyze(text).triggers if score.id == "denied_boarding"]
    for passage in (passage for score in fired for passage in score.evidence):
        assert passage.text == text[passage.start : passage.stop]


def test_evidence_is_the_passage_as_it_was_sent(analyzer: Analyzer) -> None:
    text = "👨‍👩‍👧 Ёлки, стоим у выхода, нас не са\u0301жают на ре\u0438\u0306с!"
    passages = [passage.text for score in analyzer.analyze(text).triggers if score.id == "denied_boarding" for passage in score.evidence]
    assert passages == ["не са\u0301жают на ре\u0438\u0306с"]


@pytest.mark.parametrize(
    "text",
    ["", " ", "а", "?", "\x00", "\ud800", "😡" * 50, "zakaz ne prishel", "The flight was late", "订单没有到", "\U00017000", "е\u0308" * 30],
    ids=ascii,
)
def test_odd_texts_are_answered(analyzer: Analyzer, text: str) -> None:
    analysis = analyzer.analyze(text)
    assert analysis.sentiment.id in {"negative", "neutral", "positive", "mixed"}


@pytest.mark.parametrize(
    ("text", "mark", "reason"),
    [
        ("", None, "no_words"),
        ("!!! 123", None, "no_words"),
        ("The flight was late", None, "not_russian"),
        ("Ужасный сервис, хамят", 1.0, "score_conflict"),
        ("Отличный сервис, спасибо, всё прекрасно!", 0.0, "score_conflict"),
        ("Ужас, кошмар, отвратительно", None, "no_category"),
    ],
)
def test_a_person_is_asked_to_look(analyzer: Analyzer, text: str, mark: float | None, reason: str) -> None:
    analysis = analyzer.analyze(text, mark)
    assert analysis.needs_review
    assert reason in analysis.review_reasons


@given(texts)
def test_the_customers_mark_changes_no_label(analyzer: Analyzer, text: str) -> None:
    low, high = analyzer.analyze(text, 0.0), analyzer.analyze(text, 1.0)
    assert (low.sentiment, low.categories, low.triggers, low.urgency) == (high.sentiment, high.categories, high.triggers, high.urgency)


@pytest.mark.parametrize(
    ("score", "channel", "share"),
    [(None, "nps", None), (2, "nps", 0.2), (5, None, 1.0), (1, "csat", 0.0), (0, None, 0.0), (10, None, 1.0), (5, "nps", 0.5)],
)
def test_marks_are_read_on_their_scale(score: float | None, channel: str | None, share: float | None) -> None:
    assert relative_score(score, channel) == share


def test_urgency_follows_the_most_severe_trigger(analyzer: Analyzer) -> None:
    analysis = analyzer.analyze("Нас не сажают на рейс! Если не решите, подам в суд.")
    assert [score.id for score in analysis.triggers] == ["denied_boarding", "legal_threat"]
    assert analysis.urgency == Urgency(Severity.CRITICAL, "loyalty_team", 15)


def test_a_normal_trigger_stays_with_the_department(analyzer: Analyzer) -> None:
    analysis = analyzer.analyze("Приложение не работает. Уже третий раз обращаюсь в поддержку, толку ноль.")
    assert analysis.urgency.severity is Severity.NORMAL
    assert analysis.urgency.route in {"it", "support"}
    assert analysis.urgency.respond_within_minutes == 1440


def test_nothing_is_urgent_in_praise(analyzer: Analyzer) -> None:
    analysis = analyzer.analyze("Отдыхали с детьми, всё было замечательно, спасибо!")
    assert analysis.urgency == Urgency(None, None, None)
    assert analysis.categories == ()
    assert analysis.sentiment.id == "positive"


def test_threads_answer_as_one(analyzer: Analyzer) -> None:
    sample = [text for category in analyzer.taxonomy.categories for text in category.examples]
    alone = [analyzer.analyze(text) for text in sample]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(analyzer.analyze, sample)) == alone
    assert threading.active_count() >= 1


def test_time_grows_with_the_length_not_faster(analyzer: Analyzer) -> None:
    unit = "Заказ так и не привезли, курьер нахамил, деньги не вернули, поддержка молчит, подам в суд. "

    def seconds(text: str) -> float:
        times = []
        for _ in range(3):
            start = time.perf_counter()
            analyzer.analyze(text)
            times.append(time.perf_counter() - start)
        return min(times)

    seconds(unit)
    short, long = unit * 100, unit * 1100  # about 10,000 and 100,000 characters
    assert seconds(long) / seconds(short) < 11 * 3  # quadratic would be 121


@pytest.mark.parametrize("unit", ["а", "!", "(", "не ", "суд ", "1", "😡", "а.Б", "\n", "е\u0308", "не не суд деньги вернуть "], ids=ascii)
def test_a_hundred_thousand_characters_of_anything_end_soon(analyzer: Analyzer, unit: str) -> None:
    start = time.perf_counter()
    analyzer.analyze(unit * (100_000 // len(unit)))
    assert time.perf_counter() - start < 30  # some seconds here; quadratic work would be hours
