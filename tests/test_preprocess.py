from __future__ import annotations

import pytest
from hypothesis import example, given
from strategies import texts

from otklik.nlp.morphology import normalise
from otklik.nlp.preprocess import Reader, clean


@given(texts)
@example("и\u200d\u0306")
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    once = clean(text).text
    assert clean(once).text == once


@given(texts)
def test_every_cleaned_character_knows_where_it_came_from(text: str) -> None:
    cleaned = clean(text)
    if cleaned.origin is None:
        assert cleaned.text == text
    else:
        assert len(cleaned.origin) == len(cleaned.text)
        assert list(cleaned.origin) == sorted(cleaned.origin)
        assert all(0 <= offset < len(text) for offset in cleaned.origin)


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("Всё хорошо", "Всё хорошо"),
        ("за\u0301мок", "замок"),
        ("и\u0306од", "йод"),
        ("и\u200d\u0306од", "йод"),
        ("се\u00adкрет", "секрет"),
        ("два\u00a0дня\tждал", "два дня ждал"),
        ("\ufeffнет\x00\x07", "нет"),
        ("❤️ круто", "❤ круто"),
        pytest.param("\ud800плохо", "плохо", id="half of a surrogate pair"),
        ("строка\nдругая", "строка\nдругая"),
    ],
)
def test_cleaning(raw: str, cleaned: str) -> None:
    assert clean(raw).text == cleaned


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("за 2 дня!!!Упаковка ужас...Не рекомендую(((", ["за 2 дня!!!", "Упаковка ужас...", "Не рекомендую((("]),
        ("Было грязно.Не вернусь", ["Было грязно.", "Не вернусь"]),
        ("УЖАС.НЕ СОВЕТУЮ", ["УЖАС.", "НЕ СОВЕТУЮ"]),
        ("Заплатил 1.500 руб. и ждал", ["Заплатил 1.500 руб. и ждал"]),
        ("Живу на ул. Ленина, д. 5, кв. 3.", ["Живу на ул. Ленина, д. 5, кв. 3."]),
        ("т.е. не пришло, т.к. потеряли", ["т.е. не пришло, т.к. потеряли"]),
        ("Плохо))) а могло быть лучше", ["Плохо)))", "а могло быть лучше"]),
        ("Плюсы: всё\nМинусы: цена", ["Плюсы: всё", "Минусы: цена"]),
        ("Супер 👍 Приедем ещё", ["Супер 👍", "Приедем ещё"]),
        ("Где деньги?верните!", ["Где деньги?", "верните!"]),
        ("Ну... ладно", ["Ну... ладно"]),
        ("версия 2.0.1 не работает", ["версия 2.0.1 не работает"]),
        ("", []),
        ("  \n ", []),
        ("!", ["!"]),
    ],
)
def test_sentences(reader: Reader, text: str, sentences: list[str]) -> None:
    assert [text[sentence.start : sentence.stop] for sentence in reader.read(text).sentences] == sentences


@pytest.mark.parametrize(
    ("text", "lemmas"),
    [
        ("Курьеры опоздали", ["курьер", "опоздать"]),
        ("ХАМСКОЕ ОТНОШЕНИЕ", ["хамский", "отношение"]),
        ("cкидкa", ["скидка"]),
        ("ужаааас", ["ужас"]),
        ("счёта", ["счет"]),
        ("незнаю что делать", ["не", "знать", "что", "делать"]),
        ("неработает сайт", ["не", "работать", "сайт"]),
        ("недовольный", ["недовольный"]),
        ("zakaz ne prishel", ["zakaz", "ne", "prishel"]),
        ("за\u200bказ", ["заказ"]),
        ("кое-как", ["кое-как"]),
    ],
)
def test_lemmas(reader: Reader, text: str, lemmas: list[str]) -> None:
    assert [token.word.readings[0][0] for token in reader.read(text).tokens] == lemmas


@pytest.mark.parametrize(("form", "norm"), [("Ёлка", "елка"), ("cкидкa", "скидка"), ("wifi", "wifi"), ("ОЗОH", "озон")])
def test_normal_forms(form: str, norm: str) -> None:
    assert normalise(form) == norm


def test_clauses_end_at_commas_and_adversatives(reader: Reader) -> None:
    tokens = reader.read("Хотел вернуть, но отказали а потом извинились").tokens
    assert [token.clause - tokens[0].clause for token in tokens] == [0, 0, 2, 2, 3, 3, 3]


@given(texts)
def test_tokens_lie_inside_their_sentences_in_order(reader: Reader, text: str) -> None:
    document = reader.read(text)
    stop = 0
    for token in document.tokens:
        sentence = document.sentences[token.sentence]
        assert sentence.start <= token.start < token.stop <= sentence.stop
        assert token.start >= stop
        stop = token.stop
