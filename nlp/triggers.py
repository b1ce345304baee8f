"""Urgency triggers: phrases of the taxonomy, and whether what they say stands now, is denied, feared, supposed or long past."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from functools import partial

from otklik.nlp.keywords import THRESHOLD, merged, weigh
from otklik.nlp.matcher import Match, Slot
from otklik.nlp.records import Document, Score
from otklik.taxonomy.model import Stands, Taxonomy

_NEAR = 2  # sentences: «Нас не заселили. Час ночи. Сидим на чемоданах.»
_AROUND = 60  # words: how far a marker is looked for at all, so that a text without full stops is read in linear time
_LONGEST_CLAUSE = 25  # words to either side
_CONJUNCTIONS = frozenset({"что", "как", "будто", "чтобы"})  # «боялась из-за кота, что не посадят»
_FIRST_PERSON = frozenset({"я", "мы"})


def detect(taxonomy: Taxonomy, document: Document, found: Mapping[Slot, Sequence[Match]]) -> list[Score]:
    """Triggers that stand, in the order of the taxonomy, each with score 1.0 and the shortest passages that show it."""
    text = _Text(document, {slot.id: matches for slot, matches in found.items() if slot.layer == "marker"})
    touched = {slot.id for slot in found if slot.layer == "trigger"}
    scores = []
    for trigger in taxonomy.triggers:
        if trigger.id in touched:
            weight, matches = weigh(found, "trigger", trigger.id, partial(_stands, text=text, stands=trigger.stands))
            if weight >= THRESHOLD:
                scores.append(Score(trigger.id, 1.0, merged(document, matches)))
    return scores


class _Text:
    """A document and where it speaks of time, condition, fear: markers by section of language.yaml, in the order of the text."""

    def __init__(self, document: Document, markers: Mapping[str, Sequence[Match]]) -> None:
        self.document = document
        self._markers = {name: [match for match in matches if not match.negated] for name, matches in markers.items()}
        self._starts = {name: [match.tokens[0] for match in matches] for name, matches in self._markers.items()}
        self.result = {place for match in self._markers.get("result", ()) for place in match.tokens}

    def markers(self, name: str, place: int) -> list[Match]:
        """Markers of one section around a word."""
        starts = self._starts.get(name, [])
        return self._markers.get(name, [])[bisect_left(starts, place - _AROUND) : bisect_right(starts, place + _AROUND)]

    def places(self, name: str, place: int) -> list[int]:
        """First words of the markers of one section around a word."""
        return [marker.tokens[0] for marker in self.markers(name, place)]

    def sentence(self, place: int) -> int:
        return self.document.tokens[place].sentence

    def clause(self, place: int) -> int:
        return self.document.tokens[place].clause

    def clause_around(self, place: int) -> range:
        """All words of the clause."""
        tokens, clause = self.document.tokens, self.clause(place)
        first = last = place
        while first > max(place - _LONGEST_CLAUSE, 0) and tokens[first - 1].clause == clause:
            first -= 1
        while last + 1 < min(place + _LONGEST_CLAUSE, len(tokens)) and tokens[last + 1].clause == clause:
            last += 1
        return range(first, last + 1)

    def lemma(self, place: int) -> str:
        word = self.document.tokens[place].word
        return word.readings[0][0] if word.readings else word.norm

    def grammemes(self, place: int) -> frozenset[str]:
        readings = self.document.tokens[place].word.readings
        return readings[0][1] if readings else frozenset()

    def is_finite(self, place: int) -> bool:
        grammemes = self.grammemes(place)
        return "VERB" in grammemes and bool(grammemes & {"past", "pres", "futr"})


def _stands(match: Match, text: _Text, stands: Stands) -> bool:
    if _feared(match, text) or _conditional(match, text):
        return False
    if stands is Stands.REPORTED:
        return True
    return _lasts(match, text) and not any(rule(match, text) for rule in (_advised, _subjunctive, _asked, _told, _over))


def _feared(match: Match, text: _Text) -> bool:
    """Feared, dreamt, read or heard: «боялась, что не посадят», «прочитала, как семью не пустили»."""
    first = match.tokens[0]
    start = text.clause_around(first)[0]
    for marker in text.markers("unreal", first):
        last = marker.tokens[-1]
        if last < first and text.sentence(last) == text.sentence(first):
            # «едва не остались на улице»
            if text.clause(last) == text.clause(first):
                return True
            # «думала, ночевать будем на вокзале»; but «боюсь опоздать, вылет через час» stands
            opened = text.document.tokens[start].word.norm in _CONJUNCTIONS
            if text.clause_around(last)[-1] == start - 1 and (opened or last == start - 1):
                return True
    return False


def _conditional(match: Match, text: _Text) -> bool:
    """Inside the condition («если меня не пустят»), not behind it: «если не вернете деньги пойду в суд» stands."""
    first = match.tokens[0]
    # an infinitive needs a verb of its own: «если не хотите остаться без денег», but «если не вернете деньги буду обращаться в суд»
    verbs = {kind for place in match.tokens for kind in text.grammemes(place) & {"VERB", "INFN"}}
    needed = 2 if verbs == {"INFN"} else 1
    return any(
        place < first and text.clause(place) == text.clause(first) and sum(map(text.is_finite, range(place, first))) < needed
        for place in text.places("condition", first)
    )


def _advised(match: Match, text: _Text) -> bool:
    """«Не заселяйтесь в этот корпус», «лучше не заселяться»."""
    first = match.tokens[0]
    advice = any(text.clause(place) == text.clause(first) for place in text.places("advice", first))
    return advice or any("impr" in text.grammemes(place) for place in match.tokens)


def _subjunctive(match: Match, text: _Text) -> bool:
    """«Если бы не оператор, нас бы не заселили», «чтобы вы остались без денег»."""
    return any(text.lemma(place) in {"бы", "б", "чтобы", "чтоб"} for place in text.clause_around(match.tokens[0]))


def _asked(match: Match, text: _Text) -> bool:
    """A question about the rules: «с собакой в автобус больше не берут?»; «почему не пускают в вагон?», «нас что, не заселяют?» stand."""
    tokens, last = text.document.tokens, match.tokens[-1]
    sentence = text.document.sentences[text.sentence(last)]
    clause = text.clause_around(last)
    ends = clause[-1] + 1 == len(tokens) or text.sentence(clause[-1] + 1) != text.sentence(last)
    if not ends or "?" not in text.document.text[tokens[clause[-1]].stop : sentence.stop]:
        return False
    why = any(text.sentence(place) == text.sentence(last) for place in text.places("why", last))
    return not why and not any(text.lemma(place) in _FIRST_PERSON for place in clause)


def _told(match: Match, text: _Text) -> bool:
    """Dated in the past: «прошлым летом нас не пустили», «однажды приезжаем, а нас не заселяют».

    A word of now in the same sentence outweighs an earlier date: «тур оплачен месяц назад, а сейчас не сажают».
    """
    first = match.tokens[0]
    sentence, clause = text.sentence(first), text.clause(first)
    is_now = any(text.sentence(place) == sentence for place in text.places("now", first))
    return any(
        text.clause(place) == clause or (place < first and text.sentence(place) == sentence and not is_now)
        for place in text.places("past", first)
        if place not in match.tokens
    )


def _over(match: Match, text: _Text) -> bool:
    """Solved further on: «сначала не селили, но через час менеджер все уладил»."""
    last = match.tokens[-1]
    return any(place > last and text.sentence(place) - text.sentence(last) <= _NEAR for place in text.places("over", last))


def _lasts(match: Match, text: _Text) -> bool:
    """Present tense, or a past or future that a word of now brings near: «отказали в заселении, сейчас стоим у стойки»."""
    first = match.tokens[0]
    tense = _tense(match, text)
    if tense is None or tense == "pres":
        return True
    # «через шесть минут поедет без меня», «завтра выставят»
    if tense == "futr" and any(text.clause(place) == text.clause(first) for place in text.places("soon", first)):
        return True
    return any(abs(text.sentence(place) - text.sentence(first)) <= _NEAR for place in text.places("now", first))


def _tense(match: Match, text: _Text) -> str | None:
    """Tense of the match's verbs, or of the verb of its clause; None where there is none: «идти некуда», «вылет завтра»."""
    # the nearest verb: «до поезда оставалось минут десять», «не хотела пускать»
    nearest = sorted(text.clause_around(match.tokens[0]), key=lambda place: abs(place - match.tokens[0]))
    verbs = [place for place in match.tokens if text.is_finite(place)] or [place for place in nearest if text.is_finite(place)][:1]
    if any(_is_state(place, text) for place in (*match.tokens, *verbs)):
        return "pres"
    tenses = {tense for place in verbs for tense in text.grammemes(place) & {"past", "pres", "futr"}}
    return next((tense for tense in ("pres", "futr", "past") if tense in tenses), None)


def _is_state(place: int, text: _Text) -> bool:
    """How things stand now: «мы застряли», «в посадке отказано», «пришли, а там закрыто»; not «было закрыто»."""
    if place in text.result:
        return True
    if not text.grammemes(place) & {"PRTS", "ADJS"}:
        return False
    return not any(text.lemma(other) == "быть" and text.is_finite(other) for other in text.clause_around(place))
