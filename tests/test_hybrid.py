"""The shipped model and the rules together."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from strategies import texts

from otklik.nlp.analyzer import Analyzer
from otklik.nlp.artefact import ArtefactError
from otklik.nlp.records import Evidence

LONG = "Заселились вечером, номер уютный, вид на реку отличный. " * 40


def test_every_answer_names_its_engine(hybrid: Analyzer, analyzer: Analyzer) -> None:
    text = "Номер грязный, деньги не вернули"
    asked, rules, alone = hybrid.analyze(text), hybrid.analyze(text, engine="keyword"), analyzer.analyze(text)
    assert (asked.engine, asked.model_version) == ("model", hybrid.version())
    assert asked.model_version.startswith("service-core-1-")
    assert rules == alone
    assert (rules.engine, rules.model_version) == ("keyword", "keyword-1")
    with pytest.raises(ArtefactError) as told:
        analyzer.analyze(text, engine="model")
    assert told.value.code == "model_unavailable"


@pytest.mark.parametrize(
    ("text", "category"),
    [
        pytest.param(
            "Четыре дня кормили завтраками, в итоге сама съездила на склад и забрала коробку",
            "fulfilment.delay",
            marks=pytest.mark.xfail(reason="read as a mistake in the order", strict=True),
        ),
        ("Обещали к субботе, а на дворе уже среда", "fulfilment.delay"),
        ("Звоню с утра, слушаю музыку, на письма тоже тишина", "service.no_response"),
        ("На сайте был бассейн, а по факту яма с водой во дворе", "info.mismatch"),
        ("С карты сняли два раза за одну поездку", "money.charge"),
        ("Простыни в пятнах, в душе чужие волосы", "quality.conditions"),
        ("Администратор закатила глаза и послала нас куда подальше", "service.rudeness"),
        ("Приложение вылетает на экране входа", "digital.failure"),
    ],
)
def test_reasons_told_by_a_story_are_found(hybrid: Analyzer, text: str, category: str) -> None:
    assert category in {score.id for score in hybrid.analyze(text).categories}


@pytest.mark.parametrize("text", ["Спасибо, все отлично!", "Подскажите, до скольки вы работаете?", "Вежливые девочки, быстро и недорого"])
def test_praise_and_questions_have_no_reason(hybrid: Analyzer, text: str) -> None:
    assert hybrid.analyze(text).categories == ()


def test_the_passage_is_found_in_a_long_text_and_has_its_own_sentiment(hybrid: Analyzer) -> None:
    complaint = "А вот в ванной плесень и воняет канализацией."
    analysis = hybrid.analyze(LONG + complaint + " " + LONG)
    (score,) = [score for score in analysis.categories if score.id == "quality.conditions"]
    assert [evidence.text for evidence in score.evidence] == [complaint]
    assert score.sentiment == "negative"


@settings(max_examples=60)
@given(texts)
def test_evidence_is_a_piece_of_the_text(hybrid: Analyzer, text: str) -> None:
    analysis = hybrid.analyze(text)
    for score in (*analysis.categories, *analysis.triggers):
        for evidence in score.evidence:
            assert evidence == Evidence(evidence.start, evidence.stop, text[evidence.start : evidence.stop])
            assert evidence.text
    assert all(0 <= score.score <= 1 for score in (*analysis.scores, analysis.sentiment))


def test_a_batch_answers_as_each_alone(hybrid: Analyzer) -> None:
    asked = [LONG, "Хамят", "", "Не вернули деньги за тур, подам в суд!", "))", "Все понравилось", "Жду ответа третью неделю, тишина" * 9]
    together = hybrid.analyze_all(asked, [0.0, None, 1.0, 0.0, None, 1.0, 0.2])
    alone = [hybrid.analyze(text, mark) for text, mark in zip(asked, [0.0, None, 1.0, 0.0, None, 1.0, 0.2], strict=True)]
    for one, other in zip(together, alone, strict=True):
        assert [score.id for score in one.categories] == [score.id for score in other.categories]
        assert [score.id for score in one.triggers] == [score.id for score in other.triggers]
        assert one.sentiment.id == other.sentiment.id
        assert one.review_reasons == other.review_reasons


@pytest.mark.parametrize(
    ("text", "mark", "reason"),
    [
        ("", None, "no_words"),
        ("!!! 12345", None, "no_words"),
        ("The room was dirty and cold", None, "not_russian"),
        ("Ужасное обслуживание, нахамили и обманули", 1.0, "score_conflict"),
    ],
)
def test_doubts_are_told(hybrid: Analyzer, text: str, mark: float | None, reason: str) -> None:
    assert reason in hybrid.analyze(text, mark).review_reasons


@pytest.mark.parametrize(
    "change",
    [str.upper, lambda text: text.replace("ё", "е"), lambda text: text.replace("а", "a").replace("о", "o")],
    ids=["caps", "no ё", "look-alikes"],
)
def test_case_and_look_alikes_change_nothing(hybrid: Analyzer, change: object) -> None:
    text = "Администратор нахамил, в номере грязно, деньги за неё не вернули"
    assert callable(change)
    wanted, found = hybrid.analyze(text), hybrid.analyze(change(text))
    assert [score.id for score in found.categories] == [score.id for score in wanted.categories]
    assert found.sentiment.id == wanted.sentiment.id


@pytest.mark.parametrize("trigger", ["denied_boarding", "denied_checkin", "stranded", "deadline", "publicity_threat"])
def test_what_the_rules_find_of_rare_urgent_cases_is_never_lost(hybrid: Analyzer, trigger: str) -> None:
    texts_of_trigger = hybrid.taxonomy.trigger[trigger].examples
    assert texts_of_trigger
    for text in texts_of_trigger:
        assert trigger in {score.id for score in hybrid.analyze(text).triggers}, text
