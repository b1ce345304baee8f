"""The author's attitude, from a lexicon with negation, intensifiers, contrast and questions."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from otklik.nlp.language import Language
from otklik.nlp.matcher import Match, Slot
from otklik.nlp.records import Document, Score, Token

# Weights and borders: chosen by a grid search over macro-F1 on the training texts (0.7) and the own cases (0.3), see training/REPORT.md.
_WORD = 2.0  # a phrase of ``words``
_HINT = 0.7  # a phrase of ``hints``
_INTENSIFIED = 1.25  # factor behind «очень», «просто»
_DENIED = {"positive": ("negative", 0.5), "negative": ("positive", 0.5)}  # «не понравилось», «без хамства»
_ASKED = 0.25  # factor in a sentence that asks
_BOTH = 1.5  # a phrase of ``mixed`` adds so much to either side
_CONTRAST = 1.0  # «хорошо, но …» where the lexicon knows nothing behind «но»: so much to the other side
_DENIAL = 0.2  # each «не» outside the lexicon leans to criticism
_COMPLAINT = 0.5  # each reason found counts as so much criticism
_NEUTRAL_BELOW = 0.3  # weight of both sides below which the text has no attitude
_NEUTRAL_SIGN = 1.0  # the border rises so much where the text asks or reports
_NEGATIVE_FROM = 0.58  # share of criticism
_MIXED_FROM = 0.28
_WEIGHTY = 1.0  # either side of a mixed text weighs so much or more
_REACH = 8  # words that a fear reaches
_TURNS = frozenset({"но", "однако", "зато"})


class _Hit(NamedTuple):
    """A phrase of the lexicon with what it says: ``side`` is a field of `Polarity`, or mixed."""

    weight: float
    side: str
    match: Match


@dataclass(slots=True)
class Polarity:
    """Weight of praise and of criticism and the number of neutral signs, all 0 and up."""

    positive: float = 0.0
    negative: float = 0.0
    neutral: float = 0.0

    def add(self, side: str, weight: float) -> None:
        """Adds to the field ``side``."""
        setattr(self, side, getattr(self, side) + weight)

    def label(self, complaints: int = 0) -> tuple[str, float]:
        """One of the four sentiments with a score in 0..1; ``complaints`` counts reasons found."""
        negative = self.negative + _COMPLAINT * complaints
        total = self.positive + negative
        if total < _NEUTRAL_BELOW + (_NEUTRAL_SIGN if self.neutral else 0.0):
            return "neutral", 0.5
        share = negative / total
        sure = total / (total + 2.0)
        weighty = min(self.positive, negative) >= _WEIGHTY
        if share >= (_NEGATIVE_FROM if weighty else 0.5):
            return "negative", 0.5 + 0.5 * sure * share
        if share >= _MIXED_FROM and weighty:
            return "mixed", 0.5
        return "positive", 0.5 + 0.5 * sure * (1 - share)


def polarities(document: Document, found: Mapping[Slot, Sequence[Match]], language: Language) -> dict[int, Polarity]:
    """Polarity by number of sentence; a sentence without any is left out."""
    tokens = document.tokens
    result: dict[int, Polarity] = defaultdict(Polarity)
    asking = [_asks(document.text[sentence.start : sentence.stop]) for sentence in document.sentences]
    for number, asks in enumerate(asking):
        if asks:
            result[number].add("neutral", 1.0)
    hits = _longest(_hits(document, found, language))
    for weight, side, match in hits:
        sentence = tokens[match.tokens[0]].sentence
        factor = _ASKED if asking[sentence] else 1.0
        for field in ("positive", "negative") if side == "mixed" else (side,):
            result[sentence].add(field, weight if field == "neutral" else weight * factor)
    for place, side in _turns(document, hits):
        result[tokens[place].sentence].add(side, _CONTRAST)
    told = {place for hit in hits for place in hit.match.tokens}
    for place, token in enumerate(tokens):
        if token.word.norm in {"не", "нет", "ни"} and place not in told:
            result[token.sentence].add("negative", _DENIAL)
    return dict(result)


def _asks(sentence: str) -> bool:
    """Whether it is a calm question: «???» and «?!» are reproaches."""
    return sentence.endswith("?") and not sentence.endswith(("??", "!?"))


def _hits(document: Document, found: Mapping[Slot, Sequence[Match]], language: Language) -> Iterator[_Hit]:
    """All phrases of the lexicon that no ``unless`` cancels, overlapping ones too."""
    tokens = document.tokens
    feared = [match.tokens[0] for match in found.get(Slot("marker", "unreal", "words"), ()) if not match.negated]
    for slot, matches in found.items():
        if slot.layer != "sentiment" or slot.role == "unless":
            continue
        unless = {token for match in found.get(Slot("sentiment", slot.id, "unless"), ()) for token in match.tokens}
        for match in matches:
            if not unless.isdisjoint(match.tokens):
                continue
            first = match.tokens[0]
            side, weight = slot.id, _WORD if slot.role == "words" else _HINT
            if side == "neutral":
                weight = 1.0
            elif side == "mixed":
                weight = _BOTH
            elif match.negated:
                side, factor = _DENIED[side]
                weight *= factor
            if first and tokens[first - 1].word.norm in language.intensifiers:
                weight *= _INTENSIFIED
            if side == "negative" and _reaches(feared, first, tokens):
                continue
            yield _Hit(weight, side, match)


def _reaches(feared: Sequence[int], place: int, tokens: Sequence[Token]) -> bool:
    """Whether it was only feared: «боялась, что потеряют»."""
    before = bisect_left(feared, place) - 1
    return before >= 0 and place - feared[before] <= _REACH and tokens[feared[before]].sentence == tokens[place].sentence


def _longest(hits: Iterator[_Hit]) -> list[_Hit]:
    """Of the phrases that share a word the heaviest one, of equally heavy ones the longest; in the order of the text."""
    best: dict[int, _Hit] = {}
    for hit in sorted(hits, key=lambda hit: hit.weight + 0.01 * len(hit.match.tokens)):
        best.update(dict.fromkeys(hit.match.tokens, hit))
    return sorted({id(hit): hit for hit in best.values()}.values(), key=lambda hit: hit.match.tokens)


def _turns(document: Document, hits: Sequence[_Hit]) -> Iterator[tuple[int, str]]:
    """Each «но» with words of one side before it and none behind it in the sentence, with the other side."""
    sided = [hit for hit in hits if hit.side in _DENIED]
    starts = [hit.match.tokens[0] for hit in sided]
    for place, token in enumerate(document.tokens):
        if token.word.norm not in _TURNS:
            continue
        behind = bisect_right(starts, place)
        known = behind < len(starts) and document.tokens[starts[behind]].sentence == token.sentence
        if not known and behind and token.sentence - document.tokens[starts[behind - 1]].sentence <= 1:
            yield place, _DENIED[sided[behind - 1].side][0]


def overall(by_sentence: Mapping[int, Polarity], complaints: int) -> Score:
    """The sentiment of the whole text."""
    total = Polarity()
    for polarity in by_sentence.values():
        for side in ("positive", "negative", "neutral"):
            total.add(side, getattr(polarity, side))
    label, score = total.label(complaints)
    return Score(label, round(score, 4))
