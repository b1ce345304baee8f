"""The author's attitude, from a lexicon with negation and intensifiers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from otklik.nlp.language import Language
from otklik.nlp.matcher import Match, Slot
from otklik.nlp.records import Document, Score

# Weights and borders: chosen on the training texts by a grid search over macro-F1, see training/REPORT.md.
_WORD, _HINT = 2.0, 1.0
_INTENSIFIED = 1.5
_DENIED = {"positive": ("negative", 1.0), "negative": ("positive", 0.5)}  # «не понравилось», «неплохо»
_COMPLAINT = 1.0
_NEUTRAL_BELOW = 0.5
_NEGATIVE_FROM = 0.62
_MIXED_FROM = 0.28


@dataclass(slots=True)
class Polarity:
    """Weight of praise and of criticism, both 0 and up."""

    positive: float = 0.0
    negative: float = 0.0

    def label(self, complaints: int = 0) -> tuple[str, float]:
        """One of the four sentiments with a score in 0..1; ``complaints`` counts reasons found."""
        negative = self.negative + _COMPLAINT * complaints
        total = self.positive + negative
        if total < _NEUTRAL_BELOW:
            return "neutral", 0.5
        share = negative / total
        sure = total / (total + 2.0)
        if share >= _NEGATIVE_FROM:
            return "negative", 0.5 + 0.5 * sure * share
        if share >= _MIXED_FROM:
            return "mixed", 0.5
        return "positive", 0.5 + 0.5 * sure * (1 - share)


def polarities(document: Document, found: Mapping[Slot, Sequence[Match]], language: Language) -> dict[int, Polarity]:
    """Polarity by number of sentence; a sentence without any is left out."""
    taken: dict[int, tuple[float, str, Match]] = {}
    for slot, matches in found.items():
        if slot.layer != "sentiment" or slot.role == "unless" or slot.id not in _DENIED:
            continue
        for match in matches:
            weight, side = (_WORD if slot.role == "words" else _HINT), slot.id
            if match.negated:
                side, factor = _DENIED[side]
                weight *= factor
            first = match.tokens[0]
            if first and document.tokens[first - 1].word.norm in language.intensifiers:
                weight *= _INTENSIFIED
            weight += 0.01 * len(match.tokens)  # the longer phrase wins over the word in it
            for token in match.tokens:
                if token not in taken or taken[token][0] < weight:
                    taken[token] = (weight, side, match)
    result: dict[int, Polarity] = defaultdict(Polarity)
    for weight, side, match in {id(entry[2]): entry for entry in taken.values()}.values():
        polarity = result[document.tokens[match.tokens[0]].sentence]
        setattr(polarity, side, getattr(polarity, side) + weight)
    return dict(result)


def overall(by_sentence: Mapping[int, Polarity], complaints: int) -> Score:
    """The sentiment of the whole text."""
    total = Polarity(sum(p.positive for p in by_sentence.values()), sum(p.negative for p in by_sentence.values()))
    label, score = total.label(complaints)
    return Score(label, round(score, 4))
