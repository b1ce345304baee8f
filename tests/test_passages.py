from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import texts

from otklik.nlp.passages import fold, pack, split
from otklik.nlp.preprocess import Reader


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("НЕ ПРИЕХАЛ Курьер!", "не приехал курьер!"),
        ("Ещё ждём", "еще ждем"),
        ("cкидкa по кaрте", "скидка по карте"),  # Latin c and a inside Russian words
        ("Wi-Fi и iPhone", "wi-fi и iphone"),
        ("İ", "İ"),  # two letters in lower case: left alone, offsets must not move
    ],
)
def test_what_does_not_change_the_meaning_is_made_equal(text: str, folded: str) -> None:
    assert fold(text) == folded


@given(texts)
def test_folding_keeps_the_length(text: str) -> None:
    assert len(fold(text)) == len(text)


@given(texts)
def test_passages_are_in_order_and_hold_every_word(reader: Reader, text: str) -> None:
    document = reader.read(text)
    spans = split(document)
    assert all(start < stop for start, stop in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    for token in document.tokens:
        assert any(start <= token.start and token.stop <= stop for start, stop in spans), text


def test_a_text_without_full_stops_is_cut_into_passages(reader: Reader) -> None:
    text = "пришел в банк а там очередь и никто ничего не знает потом сказали ждать но так и не позвали " * 5
    spans = split(reader.read(text))
    assert len(spans) >= 3
    assert max(len(text[start:stop].split()) for start, stop in spans) <= 33


@given(st.lists(st.lists(st.integers(5, 99), max_size=40), max_size=12), st.integers(4, 24))
def test_windows_hold_every_token_once_and_in_order(passages: list[list[int]], size: int) -> None:
    windows = pack(passages, bos=0, eos=2, size=size)
    assert all(len(window.ids) <= size and window.ids[0] == 0 and window.ids[-1] == 2 for window in windows)
    read = [(number, window.ids[place]) for window in windows for number, first, stop in window.passages for place in range(first, stop)]
    assert read == [(number, token) for number, tokens in enumerate(passages) for token in tokens]
