"""Urgency triggers: phrases of the taxonomy, and whether what they say stands now, is denied, feared, supposed or long past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from otklik.nlp.keywords import merged, standing
from otklik.nlp.matcher import Match, Slot
from otklik.nlp.records import Document, Score
from otklik.taxonomy.model import Stands, Taxonomy, Trigger

_UNREAL_REACH = 6  # words between «боялся, что» and what was feared


@dataclass(frozen=True, slots=True)
class _Markers:
    """Where the text speaks of time, condition and fear: token numbers, ascending."""

    condition: tuple[int, ...]
    unreal: tuple[int, ...]
    now: tuple[int, ...]
    past: tuple[int, ...]
    over: tuple[int, ...]


def detect(taxonomy: Taxonomy, document: Document, found: Mapping[Slot, Sequence[Match]], *, problem: bool) -> list[Score]:
    """Triggers that stand, in the order of the taxonomy, each with score 1.0 and the shortest passages that show it.

    ``problem``: whether the text complains at all; some triggers mean nothing in praise («с детьми»).
    """
    markers = _Markers(
        **{
            name: tuple(match.tokens[0] for match in found.get(Slot("marker", name, "words"), ()) if not match.negated)
            for name in _Markers.__slots__
        }
    )
    scores = []
    for trigger in taxonomy.triggers:
        if trigger.needs_problem and not problem:
            continue
        matches = [match for match in standing(found, "trigger", trigger.id, "words") if _stands(trigger, match, document, markers)]
        if matches:
            scores.append(Score(trigger.id, 1.0, merged(document, matches)))
    return scores


def _stands(trigger: Trigger, match: Match, document: Document, markers: _Markers) -> bool:
    first = match.tokens[0]
    if _supposed(first, document, markers):
        return False
    return trigger.stands is Stands.REPORTED or _lasts(match, document, markers)


def _supposed(first: int, document: Document, markers: _Markers) -> bool:
    """Feared («боялся, что не заселят») or inside a condition («если не пустят, …»)."""
    here = document.tokens[first]
    for place in markers.unreal:
        if place < first <= place + _UNREAL_REACH and document.tokens[place].sentence == here.sentence:
            return True
    return any(place < first and document.tokens[place].clause == here.clause for place in markers.condition)


def _lasts(match: Match, document: Document, markers: _Markers) -> bool:
    """Present tense without a word of the past, or past tense with a word of now; and nothing says that it is over."""
    tokens = document.tokens
    sentence = tokens[match.tokens[0]].sentence
    near = [place for place in markers.now if abs(tokens[place].sentence - sentence) <= 2 and place not in match.tokens]
    told = [place for place in markers.past if abs(tokens[place].sentence - sentence) <= 1]
    over = [place for place in markers.over if place > match.tokens[-1] and tokens[place].sentence - sentence <= 2]
    if over or (told and not near):
        return False
    tenses = {tense for place in match.tokens for tense in _tenses(document, place)}
    return "past" not in tenses or bool(near)


def _tenses(document: Document, place: int) -> frozenset[str]:
    readings = document.tokens[place].word.readings
    return readings[0][1] & {"past", "pres", "futr"} if readings else frozenset()
