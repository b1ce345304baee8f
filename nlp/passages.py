"""A document as the model reads it: passages (sentences, long ones in parts), their tokens, windows over them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from otklik.nlp.morphology import normalise
from otklik.nlp.records import Document

_WORD = re.compile(r"[^\W\d_]+")
_LONGEST = 32  # words of a passage; a run-on text without full stops still gets evidence that can be read at a glance
_SHORTEST = 8  # words before a clause border that is good enough to cut at


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens that the encoder reads together, and the passages in them as (number of the passage, first token, last token + 1)."""

    ids: tuple[int, ...]
    passages: tuple[tuple[int, int, int], ...]


def split(document: Document) -> list[tuple[int, int]]:
    """Passages as ``[start, stop)`` of the cleaned text: each sentence, cut at clause borders where it is long. None for an empty text."""
    by_sentence: list[list[int]] = [[] for _ in document.sentences]
    for place, token in enumerate(document.tokens):
        by_sentence[token.sentence].append(place)
    spans = []
    for sentence, places in zip(document.sentences, by_sentence, strict=True):
        start = sentence.start
        for cut in _cuts(document, places):
            stop = document.tokens[cut].start
            spans.append((start, start + len(document.text[start:stop].rstrip())))
            start = stop
        spans.append((start, sentence.stop))
    return spans


def _cuts(document: Document, places: Sequence[int]) -> list[int]:
    """Tokens that open a new part of one sentence: the last clause border within reach, else simply the next word."""
    cuts: list[int] = []
    first = 0
    while len(places) - first > _LONGEST:
        reach = range(first + _LONGEST, first + _SHORTEST, -1)
        tokens = document.tokens
        border = next((i for i in reach if tokens[places[i]].clause != tokens[places[i - 1]].clause), first + _LONGEST)
        cuts.append(places[border])
        first = border
    return cuts


def fold(text: str) -> str:
    """What does not change the meaning made equal: case, «ё», look-alike letters of another alphabet. Keeps the length."""
    return _WORD.sub(lambda match: _fold(match[0]), text)


def _fold(word: str) -> str:
    folded = normalise(word)
    return folded if len(folded) == len(word) else word  # «İ» has two letters in lower case


def encode(tokenizer: Tokenizer, passages: Sequence[str]) -> list[list[int]]:
    """Token ids of each passage, without the special ones."""
    return [encoding.ids for encoding in tokenizer.encode_batch([fold(passage) for passage in passages], add_special_tokens=False)]


def pack(passages: Sequence[Sequence[int]], bos: int, eos: int, size: int) -> list[Window]:
    """Whole passages, in order, into windows of at most ``size`` tokens with ``bos`` and ``eos``.

    A passage that is longer fills several; nothing is cut off.
    """
    windows: list[Window] = []
    ids: list[int] = [bos]
    members: list[tuple[int, int, int]] = []

    def close() -> None:
        nonlocal ids, members
        if members:
            windows.append(Window((*ids, eos), tuple(members)))
        ids, members = [bos], []

    for number, tokens in enumerate(passages):
        if len(ids) + len(tokens) + 1 > size:
            close()
        for start in range(0, len(tokens), size - 2):
            part = tokens[start : start + size - 2]
            if len(ids) + len(part) + 1 > size:
                close()
            members.append((number, len(ids), len(ids) + len(part)))
            ids.extend(part)
    close()
    return windows


def filled(window: Window, step: int) -> tuple[int, int]:
    """Tokens and passages of a window, filled up to a multiple of ``step``."""
    return -(-len(window.ids) // step) * step, -(-len(window.passages) // step) * step


def fill(windows: Sequence[Window], pad: int, step: int = 1) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """``ids`` (windows, tokens), filled up with ``pad``, and ``spread`` (windows, passages, tokens), whose rows average tokens.

    Tokens and passages are filled up to a multiple of ``step``.
    """
    longest, most = map(max, zip(*(filled(window, step) for window in windows), strict=True))
    ids = np.full((len(windows), longest), pad, np.int64)
    spread = np.zeros((len(windows), most, longest), np.float32)
    for number, window in enumerate(windows):
        ids[number, : len(window.ids)] = window.ids
        for place, (_, first, stop) in enumerate(window.passages):
            spread[number, place, first:stop] = 1 / (stop - first)
    return ids, spread
