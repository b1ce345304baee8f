from __future__ import annotations

import pytest

from otklik.taxonomy.phrases import Element, Join, PhraseError, parse_phrase


def test_a_phrase_is_runs_of_elements() -> None:
    phrase = parse_phrase("деньги ~ не вернуть|возвращать:past+plur .. касса*")
    assert phrase.runs == (
        (Element(("деньги",)),),
        (Element(("не",)), Element(("вернуть", "возвращать"), frozenset({"past", "plur"}))),
        (Element(("касса*",)),),
    )
    assert phrase.joins == (Join.ANY, Join.ORDERED)


@pytest.mark.parametrize(
    ("source", "advice"),
    [
        ("", "empty phrase"),
        ("~ вернуть", "a word has to stand before"),
        ("вернуть ..", "ends with a word"),
        ("Вернуть", "write «вернуть»"),
        ("счёт", "write «счет»"),
        ("cкидка", "«[c]кидка» mixes two alphabets"),
        ("вернуть:прош", "cannot be read"),
        ("вернуть:soon", "unknown grammeme soon"),
        ("вернуть||дать", "empty alternatives"),
        ("на*", "too wide"),
        ("=нав*", "too wide"),
    ],
)
def test_a_bad_phrase_is_refused_with_advice(source: str, advice: str) -> None:
    with pytest.raises(PhraseError) as caught:
        parse_phrase(source)
    assert advice in str(caught.value)


def test_a_list_stands_for_its_words_among_alternatives() -> None:
    lists = {"money": ("деньга", "средство"), "verb": ("вернуть",)}
    assert parse_phrase("не <verb>:past ~ <money>|бабки", lists).runs == (
        (Element(("не",)), Element(("вернуть",), frozenset({"past"}))),
        (Element(("деньга", "средство", "бабки")),),
    )
    with pytest.raises(PhraseError, match="no list is named <cash>; there are <money>, <verb>"):
        parse_phrase("<cash>", lists)
