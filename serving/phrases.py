"""Phrases of many texts: 1 to 3 lemmas without stop words, and those that came up of late."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from otklik.nlp.preprocess import Reader
from otklik.nlp.records import Token

_LONGEST = 3  # lemmas
_RARE = 3  # texts; a phrase of fewer is not looked at
_SILENT = frozenset({"PREP", "CONJ", "PRCL", "NPRO", "INTJ", "Apro"})  # parts of speech that name nothing
_PERSONAL = frozenset({"Name", "Surn", "Patr"})
_EMPTY = frozenset({"быть", "это", "который", "мочь", "стать", "весь", "один", "свой"})
_DENIAL = frozenset({"не", "ни", "без", "нет"})  # go with the next word: «не работает» is not «работает»
_DIGITS = 3  # a longer number may be a part of a card, a phone, an order
_ADDRESS = re.compile(r"\S+@\S+|\S+://\S+|www\.\S+")
_PRIOR = 100.0  # phrases: how much the words of the whole file weigh against those of a part
_SURE = 2.3  # of z: of a hundred phrases that do not change, one comes so far
_NEW = 4  # texts of the later part
_LOW_BASE = 0.02  # share of the earlier texts
_SAME = 0.6  # of the texts of one phrase in those of another: the same story

Piece = tuple[str, int, int]  # lemma, and where its word stands in the text


@dataclass(frozen=True, slots=True)
class Phrases:
    """Of text i: ``texts[i]`` its phrases, ``words[i]`` its lemmas, rare ones too. ``shown`` says how a phrase is mostly written."""

    texts: tuple[frozenset[str], ...]
    words: tuple[frozenset[str], ...]
    shown: dict[str, str]


@dataclass(frozen=True, slots=True)
class Growth:
    """A phrase in ``before`` earlier texts and ``after`` later ones; ``z`` of its log-odds. ``texts``: places of the later ones."""

    phrase: str
    before: int
    after: int
    z: float
    texts: tuple[int, ...]


def read_phrases(texts: Sequence[str], reader: Reader, *, names: bool = False) -> Phrases:
    """All phrases of `_RARE` texts or more. Without ``names`` a word that may be a person's name belongs to none."""
    read = [list(_runs(text, reader, names=names)) for text in texts]
    counts: Counter[str] = Counter()
    for runs in read:
        counts.update({lemma for run in runs for lemma, _, _ in run})
    frequent = {lemma for lemma, count in counts.items() if count >= _RARE}
    found = [_grams(runs, frequent) for runs in read]
    counts = Counter(phrase for grams in found for phrase in grams)
    written: dict[str, Counter[str]] = defaultdict(Counter)
    for text, grams in zip(texts, found, strict=True):
        for phrase, (start, stop) in grams.items():
            if counts[phrase] >= _RARE:
                written[phrase][" ".join(text[start:stop].lower().split())] += 1
    shown = {phrase: min(forms, key=lambda form: (-forms[form], form)) for phrase, forms in written.items()}
    words = (frozenset(lemma.rpartition("_")[2] for run in runs for lemma, _, _ in run) for runs in read)
    return Phrases(tuple(frozenset(phrase for phrase in grams if phrase in shown) for grams in found), tuple(words), shown)


def _runs(text: str, reader: Reader, *, names: bool) -> Iterator[list[Piece]]:
    """Words that stand together: in one clause, stop words left out."""
    document = reader.read(_ADDRESS.sub(lambda match: ";".ljust(len(match[0])), text))  # a border: nothing stands across it
    run: list[Piece] = []
    clause, denied = -1, None
    for token in document.tokens:
        if token.clause != clause:
            yield run
            run, clause, denied = [], token.clause, None
        if token.word.norm in _DENIAL:
            denied = token
        elif _personal(token) and not names:
            yield run
            run, denied = [], None
        elif lemma := _lemma(token, reader):
            start = denied.start if denied else token.start
            origin = document.origin
            place = (start, token.stop) if origin is None else (origin[start], origin[token.stop - 1] + 1)
            run.append((f"{denied.word.norm}_{lemma}" if denied else lemma, *place))
            denied = None
    yield run


def _lemma(token: Token, reader: Reader) -> str:
    """«» for what names nothing."""
    word = token.word
    if word.norm[0].isdigit():
        return word.norm if 1 < len(word.norm) <= _DIGITS else ""
    if len(word.norm) < 2 or not word.norm[0].isalpha():
        return ""
    lemma, grammemes = word.readings[0]
    return "" if grammemes & _SILENT or lemma in _EMPTY or lemma in reader.language.skipped else lemma


def _personal(token: Token) -> bool:
    word = token.word
    if word.norm[0].isdigit():
        return len(word.norm) > _DIGITS
    return bool(word.readings) and bool(word.readings[0][1] & _PERSONAL)


def _grams(runs: Sequence[Sequence[Piece]], frequent: set[str]) -> dict[str, tuple[int, int]]:
    """Phrases of frequent lemmas, each with its first place."""
    grams: dict[str, tuple[int, int]] = {}
    for run in runs:
        for first in range(len(run)):
            for last in range(first, min(first + _LONGEST, len(run))):
                if run[last][0] not in frequent:
                    break
                grams.setdefault(" ".join(lemma for lemma, _, _ in run[first : last + 1]), (run[first][1], run[last][2]))
    return grams


def grown(phrases: Phrases, early: Sequence[int], late: Sequence[int]) -> list[Growth]:
    """What came up in the late texts off a low base, the surest first; of phrases that tell the same story, the surest.

    Log-odds with an informative Dirichlet prior (Monroe, Colaresi, Quinn 2008, «Fightin' Words»); the prior is the whole file.
    A phrase counts once a text, and against phrases of its own length.
    """
    before, after = (Counter(phrase for place in part for phrase in phrases.texts[place]) for part in (early, late))
    sizes_before, sizes_after = _sizes(before), _sizes(after)
    found = []
    for phrase, count in after.items():
        if count < _NEW or before[phrase] > _LOW_BASE * len(early):
            continue
        length = phrase.count(" ")
        z = _z(before[phrase], sizes_before[length], count, sizes_after[length])
        if z >= _SURE:
            found.append(Growth(phrase, before[phrase], count, z, tuple(place for place in late if phrase in phrases.texts[place])))
    kept: list[Growth] = []
    for growth in sorted(found, key=lambda growth: (-growth.z, -len(growth.phrase), growth.phrase)):
        if all(len({*growth.texts} & {*other.texts}) < _SAME * len(growth.texts) for other in kept):
            kept.append(growth)
    return kept


def _sizes(counts: Counter[str]) -> Counter[int]:
    sizes: Counter[int] = Counter()
    for phrase, count in counts.items():
        sizes[phrase.count(" ")] += count
    return sizes


def _z(before: int, size_before: int, after: int, size_after: int) -> float:
    prior = _PRIOR * (before + after) / (size_before + size_after)
    if prior >= _PRIOR:  # the only phrase of its length
        return 0.0
    odds = (math.log((count + prior) / (size + _PRIOR - count - prior)) for count, size in ((after, size_after), (before, size_before)))
    return (next(odds) - next(odds)) / math.sqrt(1 / (after + prior) + 1 / (before + prior))


def distinct(phrases: Sequence[str]) -> list[str]:
    """Without those whose lemmas the phrases before have already named."""
    kept: list[str] = []
    named: set[str] = set()
    for phrase in phrases:
        if not named >= set(phrase.split()):
            kept.append(phrase)
            named.update(phrase.split())
    return kept
