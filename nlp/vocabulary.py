"""Words of a text → the words that phrases name, through inflection, ambiguity, prefixes and typos."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from rapidfuzz import process
from rapidfuzz.distance import OSA

from otklik.nlp.language import Language
from otklik.nlp.morphology import Morphology
from otklik.nlp.records import Word
from otklik.taxonomy.phrases import NUMBER, Element, Phrase

UNKNOWN = " "  # the symbol of a word that no phrase names, and of a border between clauses
_FIRST = 0x10000  # symbols are characters beyond the basic plane, so that a text becomes a string for the automaton
_LONG_WORD = 7  # letters; a shorter word is too often one typo away from another
_CACHE = 50_000  # forms; bounded for the same reason as in morphology


class VocabularyError(ValueError):
    """Words of phrases that would never be found; ``problems`` has a line for each, with what to write instead."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class Reading(NamedTuple):
    """What a word is to the matcher. ``skipped``: neighbours are neighbours across it; ``modal``: so they may be behind «не»."""

    symbols: tuple[str, ...]
    skipped: bool
    modal: bool


class Vocabulary:
    """All words of some phrases, each with a symbol (one character)."""

    def __init__(self, phrases: Iterable[Phrase], language: Language, morphology: Morphology) -> None:
        """Raises `VocabularyError` where a word is no lemma, or stands where it would be skipped."""
        self._language = language
        self._morphology = morphology
        runs = [(phrase.source, run) for phrase in phrases for run in phrase.runs]
        problems = dict.fromkeys(
            problem for source, run in runs for element in run for problem in self._problems(source, element, len(run))
        )
        if problems:
            raise VocabularyError(problems)
        words = sorted({word for _, run in runs for element in run for word in element.words})
        self._symbol_of = {word: chr(_FIRST + number) for number, word in enumerate(words)}
        self._prefixes = sorted((word for word in words if word.endswith("*")), key=len, reverse=True)
        self._forms: dict[str, list[str]] = defaultdict(list)  # lemma → exact forms of it that phrases name
        for word in words:
            for lemma in self._lemmas(word[1:]) if word[0] == "=" else ():
                self._forms[lemma].append(word)
        self._numbers = [word for word in words if morphology.word(word.removeprefix("=") or word).number]
        self._long: dict[tuple[str, int], list[str]] = defaultdict(list)  # by first letter and length
        for word in words:
            if len(word) >= _LONG_WORD and word[0] != "=" and word[-1] != "*":
                self._long[word[0], len(word)].append(word)
        self.reading = lru_cache(maxsize=_CACHE)(self._reading)

    def _lemmas(self, form: str) -> dict[str, None]:
        return dict.fromkeys(lemma for lemma, _ in self._morphology.word(form).readings)

    def _problems(self, source: str, element: Element, neighbours: int) -> Iterable[str]:
        for word in element.words:
            form = word.removeprefix("=")
            if form in self._language.skipped and neighbours > 1:
                yield f"«{source}»: «{form}» is skipped between words; leave it out or set it off with «..»"
            elif form == word and word[-1] != "*" and word != NUMBER and self._morphology.word(word).known:
                lemmas = self._lemmas(word)
                if word not in lemmas:
                    yield f"«{source}»: «{word}» is no lemma; write «{'» or «'.join(lemmas)}», or «={word}»"

    def accepted(self, element: Element) -> list[str]:
        """Symbols that stand for the element: its own words', and those of more special words (`=form` of a lemma, longer prefixes)."""
        words = {*element.words, *(form for word in element.words for form in self._forms.get(word, ()))}
        prefixes = tuple(word[:-1] for word in element.words if word.endswith("*"))
        if prefixes:
            words.update(word for word in self._symbol_of if word.lstrip("=").startswith(prefixes))
        if NUMBER in words:
            words.update(self._numbers)
        return [self._symbol_of[word] for word in sorted(words)]

    def _reading(self, word: Word) -> Reading:
        lemmas = dict.fromkeys(lemma for lemma, _ in word.readings)
        return Reading(
            symbols=self._symbols(word, lemmas),
            skipped=word.norm in self._language.skipped or any(lemma in self._language.skipped for lemma in list(lemmas)[:2]),
            modal=not self._language.modal.isdisjoint(lemmas),
        )

    def _symbols(self, word: Word, lemmas: Iterable[str]) -> tuple[str, ...]:
        """What the word can stand for, the likeliest first.

        An exact form; else each of its lemmas that a phrase names («стоит» is both стоить and стоять); else a number or the
        longest prefix; else, for a long word that no dictionary knows, a lemma one typo away.
        """
        exact = self._symbol_of.get("=" + word.norm)
        if exact:
            return (exact,)
        named = tuple(self._symbol_of[lemma] for lemma in lemmas if lemma in self._symbol_of)
        if named:
            return named
        if word.number:
            return (self._symbol_of.get(NUMBER, UNKNOWN),)
        for prefix in self._prefixes:
            if word.norm.startswith(prefix[:-1]):
                return (self._symbol_of[prefix],)
        near = None if word.known else self._near([word.norm, *lemmas])
        return (self._symbol_of[near] if near else UNKNOWN,)

    def _near(self, forms: list[str]) -> str | None:
        """A word one typo away that begins with the same letter."""
        for form in forms:
            if len(form) >= _LONG_WORD:
                alike = [word for length in (0, -1, 1) for word in self._long.get((form[0], len(form) + length), ())]
                found = process.extractOne(form, alike, scorer=OSA.distance, score_cutoff=1)
                if found:
                    return str(found[0])
        return None
