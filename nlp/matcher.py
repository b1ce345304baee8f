"""Finds all phrases of a taxonomy in one pass over a document.

Every word form becomes one symbol (an integer). The runs of neighbouring words of all phrases stand in one Aho-Corasick
automaton over symbols, so a text is read once, however many phrases there are; phrases of several runs are then joined
from the positions of their runs by binary search. The cost grows with the text and its hits, not with the taxonomy.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import ahocorasick
from rapidfuzz import process
from rapidfuzz.distance import OSA

from otklik.nlp.language import Language
from otklik.nlp.morphology import Morphology
from otklik.nlp.records import Document, Token, Word
from otklik.taxonomy.phrases import GAP, NUMBER, Element, Join, Phrase

_LONG_WORD = 7  # letters; shorter words are too often one typo away from another word
_CACHE = 50_000  # forms
_FIRST_SYMBOL = 0x10000  # symbols are written as characters beyond the basic plane; a space is a border or an unknown word
_MODAL = "modal"  # the symbol of all modal verbs that no phrase names
_MODIFIERS = frozenset({"ADJF", "ADJS", "ADVB", "PREP", "PRCL", "NPRO", "COMP", "PRTF", "PRED"})
_REACH = 4  # words that a negator may stand before what it denies


class Slot(NamedTuple):
    """Whose phrase it is: ``layer`` category, sentiment, trigger or marker; ``role`` words, hints or unless."""

    layer: str
    id: str
    role: str


class Match(NamedTuple):
    """A phrase found. ``tokens``: its words, ascending; ``negated``: the text denies it («не опоздал»)."""

    slot: Slot
    phrase: Phrase
    tokens: tuple[int, ...]
    negated: bool


class VocabularyError(ValueError):
    """Words of a taxonomy that the matcher would never find; ``problems`` has a line for each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class Matcher:
    """Immutable after building; shared by threads."""

    def __init__(self, phrases: Iterable[tuple[Slot, Phrase]], language: Language, morphology: Morphology) -> None:
        """Raises `VocabularyError` where a word of a phrase is no lemma or is never seen."""
        self._language = language
        self._morphology = morphology
        self._phrases = tuple(phrases)
        self._check()
        words = {word for _, phrase in self._phrases for run in phrase.runs for element in run for word in element.words}
        self._symbols = {word: chr(_FIRST_SYMBOL + number) for number, word in enumerate([_MODAL, *sorted(words)])}
        self._prefixes = sorted((word for word in words if word.endswith("*")), key=len, reverse=True)
        self._long = [word for word in sorted(words) if len(word) >= _LONG_WORD and word[0] != "=" and word[-1] != "*"]
        self._symbol = lru_cache(maxsize=_CACHE)(self._resolve)
        self._runs: dict[tuple[Element, ...], int] = {}
        self._single: dict[int, list[int]] = defaultdict(list)  # run → phrases that are this run alone
        self._anchored: dict[int, list[int]] = defaultdict(list)  # run → phrases of several runs, listed at their rarest run
        self._number_runs()
        self._automaton = self._build()

    def _check(self) -> None:
        problems: dict[str, None] = {}
        for _, phrase in self._phrases:
            for run in phrase.runs:
                for word in (word for element in run for word in element.words):
                    form = word.removeprefix("=")
                    if form in self._language.skipped and len(run) > 1:
                        problems[f"«{phrase.source}»: «{form}» is skipped between words; leave it out or set it off with «..»"] = None
                    elif form == word and word[-1] != "*" and word != NUMBER:
                        known = self._morphology.word(word)
                        lemmas = dict.fromkeys(lemma for lemma, _ in known.readings)
                        if known.known and word not in lemmas:
                            problems[f"«{phrase.source}»: «{word}» is no lemma; write «{'» or «'.join(lemmas)}», or «={word}»"] = None
        if problems:
            raise VocabularyError(problems)

    def _number_runs(self) -> None:
        users: dict[int, int] = defaultdict(int)
        for _, phrase in self._phrases:
            for run in phrase.runs:
                users[self._runs.setdefault(run, len(self._runs))] += 1
        for number, (_, phrase) in enumerate(self._phrases):
            numbers = [self._runs[run] for run in phrase.runs]
            if len(numbers) == 1:
                self._single[numbers[0]].append(number)
            else:
                self._anchored[min(numbers, key=lambda run: users[run])].append(number)

    def _build(self) -> ahocorasick.Automaton:
        """Symbol strings of all runs → [(run, positions of its elements in the string)]."""
        keys: dict[str, list[tuple[int, tuple[int, ...]]]] = defaultdict(list)
        modals = {self._symbols.get(lemma, self._symbols[_MODAL]) for lemma in self._language.modal}
        for run, number in self._runs.items():
            choices = [self._choices(element) for element in run]
            plain = tuple(range(len(run)))
            for symbols in product(*choices):
                keys["".join(symbols)].append((number, plain))
            if len(run) > 1 and run[0].words == ("не",) and self._is_verb(run[1]):
                shifted = (0, *range(2, len(run) + 1))
                for symbols in product(choices[0], modals, *choices[1:]):
                    keys["".join(symbols)].append((number, shifted))
        automaton = ahocorasick.Automaton()
        for key, values in keys.items():
            automaton.add_word(key, (len(key), values))
        automaton.make_automaton()
        return automaton

    def _is_verb(self, element: Element) -> bool:
        return any("INFN" in grammemes for word in element.words for _, grammemes in self._morphology.word(word).readings)

    def _choices(self, element: Element) -> list[str]:
        """Symbols that the element accepts: its words, and what is more special than they."""
        accepted = set(element.words)
        for word in self._symbols:
            bare = word.removeprefix("=")
            if word.endswith("*") or word == NUMBER:
                bare = word.rstrip("*")
            if any(wide[-1] == "*" and bare.startswith(wide[:-1]) for wide in element.words):
                accepted.add(word)
            elif word[0] == "=" and word != "=" and any(lemma in element.words for lemma, _ in self._morphology.word(bare).readings):
                accepted.add(word)
        return [self._symbols[word] for word in sorted(accepted)]

    def _resolve(self, word: Word) -> str:
        """The one symbol of a word: exact form, then lemma, then prefix, then a lemma one typo away; "" to skip, " " if unknown."""
        exact = self._symbols.get("=" + word.norm)
        if exact:
            return exact
        for lemma, _ in word.readings:
            if lemma in self._symbols and lemma != _MODAL:
                return self._symbols[lemma]
        if word.number:
            return self._symbols.get(NUMBER, " ")
        lemmas = {lemma for lemma, _ in word.readings[:3]}
        for prefix in self._prefixes:
            if word.norm.startswith(prefix[:-1]):
                return self._symbols[prefix]
        if lemmas & self._language.modal:
            return self._symbols[_MODAL]
        if word.norm in self._language.skipped or lemmas & self._language.skipped:
            return ""
        if not word.known and len(word.norm) >= _LONG_WORD:
            for form in dict.fromkeys((word.norm, *lemmas)):
                near = process.extractOne(form, self._long, scorer=OSA.distance, score_cutoff=1)
                if near and near[0][0] == form[0]:
                    return self._symbols[near[0]]
        return " "

    def find(self, document: Document) -> dict[Slot, list[Match]]:
        """All matches by slot, each list in the order of the text."""
        tokens = document.tokens
        symbols: list[str] = []
        where: list[int] = []
        loose: list[tuple[int, str]] = []  # skipped words that are phrases of their own
        clause = 0
        for number, token in enumerate(tokens):
            symbol = self._symbol(token.word)
            if token.clause != clause:
                clause = token.clause
                symbols.append(" ")
                where.append(number)
            if not symbol:
                continue
            if token.word.norm in self._language.skipped and symbol != " ":
                loose.append((number, symbol))
                continue
            symbols.append(symbol)
            where.append(number)
        hits: dict[int, list[tuple[int, ...]]] = defaultdict(list)
        for stop, (length, values) in self._automaton.iter("".join(symbols)):
            first = stop + 1 - length
            for run, layout in values:
                hits[run].append(tuple(where[first + place] for place in layout))
        for number, symbol in loose:
            for _, values in [self._automaton.get(symbol, (0, ()))]:
                for run, _layout in values:
                    hits[run].append((number,))
        return self._collect(document, hits)

    def _collect(self, document: Document, hits: dict[int, list[tuple[int, ...]]]) -> dict[Slot, list[Match]]:
        found: dict[Slot, list[Match]] = defaultdict(list)
        tokens = document.tokens
        elements = list(self._runs)
        for run in list(hits):
            hits[run] = sorted(places for places in set(hits[run]) if _fits(elements[run], places, tokens))
            if not hits[run]:
                del hits[run]
        for run, places in hits.items():
            for number in self._single[run] if run in self._single else ():
                for place in places:
                    self._add(found, number, (place,), tokens)
        for run in hits:
            for number in self._anchored[run] if run in self._anchored else ():
                phrase = self._phrases[number][1]
                numbers = [self._runs[part] for part in phrase.runs]
                if all(part in hits for part in numbers):
                    for joined in _joined([hits[part] for part in numbers], phrase.joins, tokens):
                        self._add(found, number, joined, tokens)
        for matches in found.values():
            matches.sort(key=lambda match: match.tokens)
        return found

    def _add(self, found: dict[Slot, list[Match]], number: int, runs: tuple[tuple[int, ...], ...], tokens: tuple[Token, ...]) -> None:
        slot, phrase = self._phrases[number]
        negator = self._language.negation_before
        negative = any(word in negator or word.startswith("не*") for run in phrase.runs for element in run for word in element.words)
        negated = not negative and any(self._negated(run[0], tokens) for run in runs)
        found[slot].append(Match(slot, phrase, tuple(sorted(set().union(*runs))), negated))

    def _negated(self, index: int, tokens: tuple[Token, ...]) -> bool:
        """Whether a negator in the same clause denies the word at ``index``."""
        language = self._language
        clause = tokens[index].clause
        for before in range(index - 1, max(index - 1 - _REACH, -1), -1):
            token = tokens[before]
            if token.clause != clause:
                break
            lemmas = {token.word.norm, *(lemma for lemma, _ in token.word.readings[:2])}
            if lemmas & language.negation_before:
                return not (before + 1 < len(tokens) and tokens[before + 1].word.norm in language.negation_void)
            if not (lemmas & language.skipped or lemmas & language.modal or "быть" in lemmas or _modifies(token.word)):
                break
        if not any("NOUN" in grammemes for _, grammemes in tokens[index].word.readings[:1]):
            return False
        behind = [token for token in tokens[index + 1 : index + 4] if token.clause == clause]
        for place, token in enumerate(behind):
            lemmas = {token.word.norm, *(lemma for lemma, _ in token.word.readings[:2])}
            if lemmas & language.negation_after:
                return True
            if token.word.norm == "не" and place + 1 < len(behind):
                return any(lemma == "быть" for lemma, _ in behind[place + 1].word.readings)
            if not lemmas & language.skipped:
                break
        return False


def _modifies(word: Word) -> bool:
    return any(grammemes & _MODIFIERS for _, grammemes in word.readings[:1])


def _fits(run: tuple[Element, ...], places: tuple[int, ...], tokens: tuple[Token, ...]) -> bool:
    """Whether each word carries the grammemes that its element asks for."""
    return all(
        not element.grammemes or any(element.grammemes <= grammemes for _, grammemes in tokens[place].word.readings)
        for element, place in zip(run, places, strict=True)
    )


def _joined(
    runs: Sequence[list[tuple[int, ...]]], joins: Sequence[Join], tokens: tuple[Token, ...]
) -> Iterator[tuple[tuple[int, ...], ...]]:
    """For each place of the first run the nearest places of the others, each in reach of the one before it."""
    for first in runs[0]:
        chain = [first]
        for places, join in zip(runs[1:], joins, strict=True):
            near = _nearest(chain[-1], places, join, tokens)
            if near is None:
                break
            chain.append(near)
        else:
            yield tuple(chain)


def _nearest(anchor: tuple[int, ...], places: list[tuple[int, ...]], join: Join, tokens: tuple[Token, ...]) -> tuple[int, ...] | None:
    after = bisect_right(places, anchor, key=None)
    if after < len(places) and places[after][0] > anchor[-1] and places[after][0] - anchor[-1] <= GAP + 1:
        near, here = tokens[places[after][0]], tokens[anchor[-1]]
        if near.clause == here.clause if join is Join.ORDERED else near.sentence == here.sentence:
            return places[after]
    if join is Join.ORDERED:
        return None
    before = bisect_left(places, anchor) - 1
    if before >= 0 and 0 < anchor[0] - places[before][-1] <= GAP + 1 and tokens[places[before][-1]].sentence == tokens[anchor[0]].sentence:
        return places[before]
    return None
