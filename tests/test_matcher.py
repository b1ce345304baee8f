from __future__ import annotations

from collections.abc import Callable

import pytest

from otklik.nlp.language import Language
from otklik.nlp.matcher import Matcher, Slot
from otklik.nlp.morphology import Morphology
from otklik.nlp.preprocess import Reader
from otklik.nlp.vocabulary import VocabularyError
from otklik.taxonomy.phrases import parse_phrase

SLOT = Slot("category", "x", "words")
Find = Callable[[str, str], list[tuple[str, bool]]]


@pytest.fixture
def find(reader: Reader, language: Language, morphology: Morphology) -> Find:
    """(passage, negated) of each match of one phrase in a text."""

    def find(phrase: str, text: str) -> list[tuple[str, bool]]:
        document = reader.read(text)
        matches = Matcher([(SLOT, parse_phrase(phrase))], language, morphology).find(document).get(SLOT, [])
        return [(text[document.tokens[m.tokens[0]].start : document.tokens[m.tokens[-1]].stop], m.negated) for m in matches]

    return find


@pytest.mark.parametrize(
    ("phrase", "text", "passage"),
    [
        ("опоздать", "Поезд опоздал на час", "опоздал"),
        ("не приехать", "Мастер так и не приехал", "не приехал"),
        ("не дозвониться", "До вас не могу дозвониться", "не могу дозвониться"),
        ("не дозвониться", "Дозвониться не удалось", None),
        ("не вернуть деньга", "не вернули мне мои деньги", "не вернули мне мои деньги"),
        ("деньга ~ не вернуть", "Деньги за билет мне не вернули", "Деньги за билет мне не вернули"),
        ("деньга ~ не вернуть", "Не вернули вчера за билет деньги", "Не вернули вчера за билет деньги"),
        ("деньга ~ не вернуть", "Деньги есть. Не вернули книгу", None),
        ("рейс .. отменить", "рейс из Казани вчера отменили", "рейс из Казани вчера отменили"),
        ("рейс .. отменить", "отменили рейс", None),
        ("рейс .. отменить", "рейс был, заказ отменили", None),
        ("рейс .. отменить", "рейс один два три четыре пять шесть отменили", None),
        ("навяз*", "навязчиво предлагали", "навязчиво"),
        ("навяз*", "язвительно", None),
        ("=судя", "судя по всему", "судя"),
        ("=судя", "суд да дело", None),
        ("№ раз", "звонил 3 раза", "3 раза"),
        ("№ раз", "звонил пять раз", "пять раз"),
        ("сажать:pres", "нас не сажают", None),
        ("не сажать:pres", "нас не сажают", "не сажают"),
        ("не сажать:pres", "нас не сажали", None),
        ("поддержка", "служба поддрежки", "поддрежки"),
        ("поддержка", "служба подержки", "подержки"),
        ("рейс", "хороший рис", None),
        ("стоять", "стоит в углу", "стоит"),
        ("стоить", "стоит дорого", "стоит"),
        ("скидка", "Обещали CКИДKУ", "CКИДKУ"),
        ("=))", "спасибо ))", "))"),
        ("опоздать|опаздывать", "вечно опаздывают", "опаздывают"),
        ("№|=5 раз", "звонил 3 раза", "3 раза"),
        ("№|=5 раз", "звонил 5 раз", "5 раз"),
        ("не уметь:INFN", "не уметь", "не уметь"),
        ("отдать:impr", "отдали", None),
        ("багаж ~ потерять ~ день", "Потеряли багаж в первый же день", "Потеряли багаж в первый же день"),
    ],
)
def test_phrases(find: Find, phrase: str, text: str, passage: str | None) -> None:
    found = [found for found, negated in find(phrase, text) if not negated]
    assert found == ([passage] if passage else [])


@pytest.mark.parametrize(
    ("phrase", "text", "negated"),
    [
        ("опоздать", "курьер не опоздал", True),
        ("опоздать", "ни разу не опоздали", True),
        ("опоздать", "не только опоздал, но и нахамил", False),
        ("опоздать", "не приехал, опоздал", False),
        ("очередь", "очередей нет", True),
        ("очередь", "очередей не было", True),
        ("очередь", "прошли без длинной очереди", True),
        ("очередь", "никаких очередей", True),
        ("очередь", "очередь, нет стульев", False),
        ("очередь", "стояли в очереди", False),
        ("обман", "отсутствие обмана", True),
        ("хамить", "никто не хамил", True),
    ],
)
def test_negation_stays_in_its_clause(find: Find, phrase: str, text: str, negated: bool) -> None:
    assert [found for _, found in find(phrase, text)] == [negated]


def test_words_that_are_never_found_are_refused_all_at_once(language: Language, morphology: Morphology) -> None:
    phrases = [(SLOT, parse_phrase(source)) for source in ("опоздали", "очень плохо", "=опоздали", "кешбэкнуть")]
    with pytest.raises(VocabularyError) as caught:
        Matcher(phrases, language, morphology)
    assert caught.value.problems == (
        "«опоздали»: «опоздали» is no lemma; write «опоздать», or «=опоздали»",
        "«очень плохо»: «очень» is skipped between words; leave it out or set it off with «..»",
    )
