"""Whether a text denies a word: «курьер не опоздал», «без очередей», «очередей нет», but not «не только опоздал»."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from otklik.nlp.language import Language
from otklik.nlp.records import Token, Word

_REACH = 4  # words between a negator and what it denies
_MODIFIERS = frozenset({"ADJF", "ADJS", "ADVB", "PREP", "PRCL", "NPRO", "COMP", "PRTF", "PRED"})
_CACHE = 50_000  # forms


class _Role(NamedTuple):
    """What a word is to negation. ``transparent``: may stand between a negator and what it denies."""

    denies_next: bool
    denies_before: bool
    transparent: bool
    skipped: bool
    voids: bool
    is_be: bool
    is_noun: bool


class Negation:
    """Tells what is denied; shared by threads."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._role = lru_cache(maxsize=_CACHE)(self._find_role)

    def _find_role(self, word: Word) -> _Role:
        language = self._language
        lemmas = {word.norm, *(lemma for lemma, _ in word.readings[:2])}
        likeliest = word.readings[0][1] if word.readings else frozenset[str]()
        is_be = "быть" in lemmas
        return _Role(
            denies_next=bool(lemmas & language.negation_before),
            denies_before=bool(lemmas & language.negation_after),
            transparent=is_be or bool(lemmas & (language.skipped | language.modal) or likeliest & _MODIFIERS),
            skipped=bool(lemmas & language.skipped),
            voids=word.norm in language.negation_void,
            is_be=is_be,
            is_noun="NOUN" in likeliest,
        )

    def denies(self, index: int, tokens: Sequence[Token]) -> bool:
        """Whether a negator of the same clause denies the word at ``index``, before it or, for a noun, behind it."""
        return self._before(index, tokens) or (self._role(tokens[index].word).is_noun and self._behind(index, tokens))

    def _before(self, index: int, tokens: Sequence[Token]) -> bool:
        clause = tokens[index].clause
        for place in range(index - 1, max(index - 1 - _REACH, -1), -1):
            if tokens[place].clause != clause:
                return False
            role = self._role(tokens[place].word)
            if role.denies_next:
                return not self._role(tokens[place + 1].word).voids
            if not role.transparent:
                return False
        return False

    def _behind(self, index: int, tokens: Sequence[Token]) -> bool:
        clause = tokens[index].clause
        behind = [token.word for token in tokens[index + 1 : index + 4] if token.clause == clause]
        for place, word in enumerate(behind):
            role = self._role(word)
            if role.denies_before:
                return True
            if word.norm == "не":
                return place + 1 < len(behind) and self._role(behind[place + 1]).is_be
            if not role.skipped:
                return False
        return False
