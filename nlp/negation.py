"""Whether a text denies a word: «курьер не опоздал», «без очередей», «очередей нет», but not «не только опоздал»."""

from __future__ import annotations

from collections.abc import Sequence

from otklik.nlp.language import Language
from otklik.nlp.records import Token, Word

_REACH = 4  # words between a negator and what it denies
_MODIFIERS = frozenset({"ADJF", "ADJS", "ADVB", "PREP", "PRCL", "NPRO", "COMP", "PRTF", "PRED"})


def is_negated(index: int, tokens: Sequence[Token], language: Language) -> bool:
    """Whether a negator of the same clause denies the word at ``index``, before it or, for a noun, behind it."""
    return _before(index, tokens, language) or (_is_noun(tokens[index].word) and _behind(index, tokens, language))


def _before(index: int, tokens: Sequence[Token], language: Language) -> bool:
    for place in range(index - 1, max(index - 1 - _REACH, -1), -1):
        if tokens[place].clause != tokens[index].clause:
            return False
        lemmas = _lemmas(tokens[place].word)
        if lemmas & language.negation_before:
            return tokens[place + 1].word.norm not in language.negation_void
        if not (lemmas & (language.skipped | language.modal) or "быть" in lemmas or _modifies(tokens[place].word)):
            return False
    return False


def _behind(index: int, tokens: Sequence[Token], language: Language) -> bool:
    behind = [token.word for token in tokens[index + 1 : index + 4] if token.clause == tokens[index].clause]
    for place, word in enumerate(behind):
        lemmas = _lemmas(word)
        if lemmas & language.negation_after:
            return True
        if word.norm == "не":
            return place + 1 < len(behind) and "быть" in _lemmas(behind[place + 1])
        if not lemmas & language.skipped:
            return False
    return False


def _lemmas(word: Word) -> set[str]:
    return {word.norm, *(lemma for lemma, _ in word.readings[:2])}


def _modifies(word: Word) -> bool:
    return any(grammemes & _MODIFIERS for _, grammemes in word.readings[:1])


def _is_noun(word: Word) -> bool:
    return any("NOUN" in grammemes for _, grammemes in word.readings[:1])
