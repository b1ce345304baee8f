"""The notation in which a taxonomy writes its words.

    опоздать                  a lemma: every form of the word
    опоздать|опаздывать       either lemma
    не приехать               neighbours, in this order (particles and pronouns between them are not seen)
    рейс .. отменить          in this order, at most ``GAP`` other words between, in one clause
    деньги ~ не вернуть       in any order, at most ``GAP`` other words between, in one sentence
    навяз*                    every word that begins so
    =судя                     exactly this form
    <authority>               any word of the list of this name in the taxonomy's `lists`; can stand among alternatives
    №                         a number, in digits or in words
    сажать:pres+plur          the form must carry these grammemes (OpenCorpora's names: pres, past, futr, impr, 1per, …)

All of it can stand in a YAML list without quotes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

GAP = 5
GRAMMEMES = frozenset(
    {"pres", "past", "futr", "impr", "indc", "sing", "plur", "1per", "2per", "3per", "masc", "femn", "neut", "perf", "impf"}
    | {"nomn", "gent", "datv", "accs", "ablt", "loct"}
    | {"INFN", "PRTF", "PRTS", "GRND", "COMP"}
)
NUMBER = "№"

_ELEMENT = re.compile(r"(?P<words>[^:\s]+)(?::(?P<grammemes>[A-Za-z0-9+]+))?|(?P<smile>=[^\w\s]+)")
_LATIN = re.compile(r"[a-z]")
_CYRILLIC = re.compile(r"[а-я]")


class PhraseError(ValueError):
    """A phrase that cannot be read; the message says what to write instead."""


class Join(StrEnum):
    """How a run of neighbours stands to the run before it."""

    ORDERED = ".."
    ANY = "~"


@dataclass(frozen=True, slots=True)
class Element:
    """One place of a phrase: any of ``words`` (lemma, ``prefix*``, ``=form`` or ``№``), carrying all ``grammemes``."""

    words: tuple[str, ...]
    grammemes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Phrase:
    """Runs of neighbouring elements; ``joins[i]`` stands between ``runs[i]`` and ``runs[i + 1]``."""

    source: str
    runs: tuple[tuple[Element, ...], ...]
    joins: tuple[Join, ...] = ()


def parse_phrase(source: str, lists: Mapping[str, Sequence[str]] | None = None) -> Phrase:
    """Reads one phrase. Raises `PhraseError` with what to write instead."""
    runs: list[list[Element]] = [[]]
    joins: list[Join] = []
    for part in source.split():
        if part in set(Join):
            if not runs[-1]:
                raise PhraseError(f"«{source}»: a word has to stand before «{part}»")
            joins.append(Join(part))
            runs.append([])
        else:
            runs[-1].append(_parse_element(part, source, lists or {}))
    if not runs[-1]:
        raise PhraseError(
            f"«{source}»: a phrase ends with a word, not with «..» or «~»" if source.strip() else "an empty phrase: remove it"
        )
    return Phrase(source, tuple(map(tuple, runs)), tuple(joins))


def _parse_element(part: str, source: str, lists: Mapping[str, Sequence[str]]) -> Element:
    match = _ELEMENT.fullmatch(part)
    if match is None:
        raise PhraseError(f"«{source}»: «{part}» cannot be read; write word:grammeme+grammeme")
    written = match["words"].split("|") if match["words"] else [match["smile"]]
    words = tuple(dict.fromkeys(word for name in written for word in _expanded(name, source, lists)))
    grammemes = frozenset(filter(None, (match["grammemes"] or "").split("+")))
    unknown = sorted(grammemes - GRAMMEMES)
    if unknown:
        raise PhraseError(f"«{source}»: unknown grammeme {', '.join(unknown)}; known are {' '.join(sorted(GRAMMEMES))}")
    return Element(words, grammemes)


def _expanded(word: str, source: str, lists: Mapping[str, Sequence[str]]) -> Iterator[str]:
    if word.startswith("<") and word.endswith(">"):
        if word[1:-1] not in lists:
            raise PhraseError(f"«{source}»: no list is named {word}; there are {', '.join(f'<{name}>' for name in lists) or 'none'}")
        yield from lists[word[1:-1]]
    else:
        check_word(word, source)
        yield word


def check_word(word: str, source: str) -> None:
    """Raises `PhraseError` where a word is not written as words of a taxonomy are."""
    bare = word.removeprefix("=").removesuffix("*")
    if not bare:
        raise PhraseError(f"«{source}»: «{word}» holds no letters; write {'|'.join('ab')} without spaces and empty alternatives")
    if bare != bare.lower():
        raise PhraseError(f"«{source}»: write «{bare.lower()}», words stand in lower case")
    if "ё" in bare:
        raise PhraseError(f"«{source}»: write «{bare.replace('ё', 'е')}», words stand with «е» for «ё»")
    if bare != unicodedata.normalize("NFC", bare):
        raise PhraseError(f"«{source}»: «{bare}» holds combining marks; write it with whole letters (NFC)")
    if _LATIN.search(bare) and _CYRILLIC.search(bare):
        marked = _LATIN.sub(lambda m: f"[{m[0]}]", bare)
        raise PhraseError(f"«{source}»: «{marked}» mixes two alphabets; the letters in brackets are Latin")
    if word.endswith("*") and (word.startswith("=") or len(bare) < 3):
        raise PhraseError(f"«{source}»: «{word}» is too wide; a prefix has three letters or more and no «=»")
