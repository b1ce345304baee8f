"""Finds all phrases in one pass over a document.

Every word becomes a symbol. The runs of neighbouring words of all phrases stand in one Aho-Corasick automaton over
symbols, so a text is read once, however many phrases there are; phrases of several runs are then joined from the places
of their runs by binary search. The cost grows with the text and its hits, not with the taxonomy.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, product
from typing import NamedTuple

import ahocorasick

from otklik.nlp.language import Language
from otklik.nlp.morphology import Morphology
from otklik.nlp.negation import Negation
from otklik.nlp.records import Document, Token
from otklik.nlp.vocabulary import UNKNOWN, Vocabulary
from otklik.taxonomy.phrases import GAP, Element, Join, Phrase

Places = tuple[int, ...]  # token numbers of one run, ascending


class Slot(NamedTuple):
    """Whose phrase it is: ``layer`` category, sentiment, trigger or marker; ``role`` words, hints or unless."""

    layer: str
    id: str
    role: str


class Match(NamedTuple):
    """A phrase found. ``tokens``: its words, ascending; ``negated``: the text denies it («не опоздал»)."""

    slot: Slot
    phrase: Phrase
    tokens: Places
    negated: bool


class Matcher:
    """Immutable after building; shared by threads."""

    def __init__(self, phrases: Iterable[tuple[Slot, Phrase]], language: Language, morphology: Morphology) -> None:
        """Raises `VocabularyError` where a phrase could never be found."""
        self._negation = Negation(language)
        self._phrases = tuple(phrases)
        self._vocabulary = Vocabulary((phrase for _, phrase in self._phrases), language, morphology)
        self._denies = [_denies(phrase, language) for _, phrase in self._phrases]
        numbers: dict[tuple[Element, ...], int] = {}
        self._runs_of = [tuple(numbers.setdefault(run, len(numbers)) for run in phrase.runs) for _, phrase in self._phrases]
        self._runs = tuple(numbers)
        keys = [[*map("".join, product(*map(self._vocabulary.accepted, run)))] for run in self._runs]
        self._keys_of = [frozenset(run_keys) for run_keys in keys]
        self._runs_with: dict[str, set[int]] = defaultdict(set)
        for run, run_keys in enumerate(keys):
            for key in run_keys:
                self._runs_with[key].add(run)
        self._asks = [any(element.grammemes for element in run) for run in self._runs]
        self._anchored = self._anchor(keys)
        self._longest = max(map(len, self._runs), default=0)
        self._automaton = ahocorasick.Automaton()
        for key in self._runs_with:
            self._automaton.add_word(key, key)
        self._automaton.make_automaton()

    def _anchor(self, keys: list[list[str]]) -> dict[str, list[int]]:
        """Key → phrases that are looked for where it is found: each phrase at the run whose words the fewest phrases use."""
        users: Counter[str] = Counter(symbol for runs in self._runs_of for run in runs for symbol in set("".join(keys[run])))
        cost = [sum(min(users[symbol] for symbol in key) for key in run_keys) for run_keys in keys]
        anchored: dict[str, list[int]] = defaultdict(list)
        for number, runs in enumerate(self._runs_of):
            for key in keys[min(runs, key=cost.__getitem__)]:
                anchored[key].append(number)
        return dict(anchored)

    def find(self, document: Document) -> dict[Slot, list[Match]]:
        """All matches by slot, each list in the order of the text."""
        tokens = document.tokens
        hits = self._hits(tokens)
        ranks = [*accumulate(not self._vocabulary.reading(token.word).skipped for token in tokens)]  # words that count, up to each word
        keys = set(hits)
        present = set().union(*map(self._runs_with.__getitem__, keys))
        places: dict[int, list[Places]] = {}
        found: dict[Slot, list[Match]] = defaultdict(list)
        for number in sorted({number for key in hits for number in self._anchored.get(key, ())}):
            runs = self._runs_of[number]
            if not present.issuperset(runs):
                continue
            for run in runs:
                if run not in places:
                    stand = sorted({place for key in self._keys_of[run] & keys for place in hits[key]})
                    places[run] = [place for place in stand if _fits(self._runs[run], place, tokens)] if self._asks[run] else stand
            slot, phrase = self._phrases[number]
            parts = [places[run] for run in runs]
            for chain in _joined(parts, phrase.joins, tokens, ranks) if phrase.joins else zip(parts[0], strict=True):
                negated = not self._denies[number] and any(self._negation.denies(part[0], tokens) for part in chain)
                words = chain[0] if len(chain) == 1 else tuple(sorted({token for part in chain for token in part}))
                found[slot].append(Match(slot, phrase, words, negated))
        for matches in found.values():
            matches.sort(key=lambda match: match.tokens)
        return found

    def _hits(self, tokens: Sequence[Token]) -> dict[str, list[Places]]:
        """Where each key stands."""
        reading_of = self._vocabulary.reading
        symbols: list[str] = []
        where: list[int] = []
        variants: list[tuple[int, str]] = []  # (place in symbols, what may stand there instead)
        hits: dict[str, list[Places]] = defaultdict(list)
        clause, denied = 0, False
        for number, token in enumerate(tokens):
            choices, skipped, modal = reading_of(token.word)
            if token.clause != clause:
                clause, denied = token.clause, False
                symbols.append(UNKNOWN)
                where.append(number)
            if skipped:
                if choices[0] != UNKNOWN:  # a phrase of its own: «сегодня»
                    hits[choices[0]].append((number,))
                continue
            if len(choices) > 1:
                variants.extend((len(symbols), other) for other in choices[1:])
            if modal and denied:  # «не дозвониться» is «не могу дозвониться» too
                variants.append((len(symbols), ""))
            denied = token.word.norm == "не"
            symbols.append(choices[0])
            where.append(number)
        self._read("".join(symbols), where, hits)
        for place, other in variants:  # the neighbourhood is read once more with the other reading
            start, stop = max(place - self._longest + 1, 0), place + self._longest
            part = "".join([*symbols[start:place], other, *symbols[place + 1 : stop]])
            part_where = where[start:place] + where[place : place + len(other)] + where[place + 1 : stop]
            read: dict[str, list[Places]] = defaultdict(list)
            self._read(part, part_where, read)
            for key, key_places in read.items():
                hits[key].extend(places for places in key_places if places[0] <= where[place] <= places[-1] and (other or len(places) > 1))
        return hits

    def _read(self, symbols: str, where: Sequence[int], hits: dict[str, list[Places]]) -> None:
        """Adds what stands in a string of symbols, one of which stands for each token number in ``where``."""
        for last, key in self._automaton.iter(symbols):
            hits[key].append(tuple(where[last + 1 - len(key) : last + 1]))


def _denies(phrase: Phrase, language: Language) -> bool:
    """Whether the phrase itself holds a negator, and so is taken as it is written."""
    negators = language.negation_before | language.negation_after
    return any(word in negators for run in phrase.runs for element in run for word in element.words)


def _fits(run: tuple[Element, ...], places: Places, tokens: Sequence[Token]) -> bool:
    """Whether each word carries the grammemes that its element asks for, in a reading with the element's lemma if there is one."""
    for element, place in zip(run, places, strict=True):
        if element.grammemes:
            readings = tokens[place].word.readings
            named = [grammemes for lemma, grammemes in readings if lemma in element.words]
            if not any(element.grammemes <= grammemes for grammemes in named or [grammemes for _, grammemes in readings]):
                return False
    return True


def _joined(runs: Sequence[list[Places]], joins: Sequence[Join], tokens: Sequence[Token], ranks: Sequence[int]) -> list[tuple[Places, ...]]:
    """Chains of one place for each run, each place the nearest to the one before it: behind it or, in any order, before it."""
    chains: list[tuple[Places, ...]] = [(first,) for first in runs[0]]
    for places, join in zip(runs[1:], joins, strict=True):
        chains = [(*chain, near) for chain in chains for near in _near(chain[-1], places, join, tokens, ranks)]
    return chains


def _near(anchor: Places, places: list[Places], join: Join, tokens: Sequence[Token], ranks: Sequence[int]) -> Iterator[Places]:
    """At most `GAP` words away that are not skipped, in the anchor's clause (in order) or sentence (in any order)."""
    here = tokens[anchor[-1]]
    behind = bisect_right(places, (anchor[-1], len(tokens)))
    if behind < len(places) and ranks[places[behind][0]] - ranks[anchor[-1]] <= GAP + 1:
        near = tokens[places[behind][0]]
        if near.clause == here.clause if join is Join.ORDERED else near.sentence == here.sentence:
            yield places[behind]
    before = bisect_left(places, anchor) - 1
    if (
        join is Join.ANY
        and before >= 0
        and places[before][-1] < anchor[0]
        and ranks[anchor[0]] - ranks[places[before][-1]] <= GAP + 1
        and tokens[places[before][-1]].sentence == here.sentence
    ):
        yield places[before]
