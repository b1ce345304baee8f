"""The keyword classifier: categories from the words of the taxonomy. Fallback, safety net and baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import prod

from otklik.nlp.matcher import Match, Slot
from otklik.nlp.records import Document, Evidence, Score
from otklik.nlp.sentiment import Polarity
from otklik.taxonomy.model import Taxonomy

# One phrase of ``words`` is enough, ``hints`` need company: 1 - (1 - 0.35)² = 0.58. Scores add up as independent evidence (noisy-or).
_WORD, _HINT = 0.8, 0.35
THRESHOLD = 0.5


def weigh(
    found: Mapping[Slot, Sequence[Match]], layer: str, label: str, stands: Callable[[Match], bool] = lambda _: True
) -> tuple[float, list[Match]]:
    """Score of a label in 0..1 and the matches that carry it: neither negated, nor covered by an ``unless``, and ``stands`` agrees."""
    covered = {token for match in found.get(Slot(layer, label, "unless"), ()) for token in match.tokens}
    weights: dict[str, float] = {}  # by phrase: one said twice is no second reason to believe
    matches = []
    for role, weight in (("words", _WORD), ("hints", _HINT)):
        for match in found.get(Slot(layer, label, role), ()):
            if not match.negated and covered.isdisjoint(match.tokens) and stands(match):
                weights[match.phrase.source] = weight
                matches.append(match)
    return 1 - prod(1 - weight for weight in weights.values()), matches


def classify(
    taxonomy: Taxonomy, document: Document, found: Mapping[Slot, Sequence[Match]], by_sentence: Mapping[int, Polarity]
) -> list[Score]:
    """Every category with a score above 0, in the order of the taxonomy; `THRESHOLD` tells those that count."""
    touched = {slot.id for slot in found if slot.layer == "category"}
    scores = []
    for category in taxonomy.categories:
        if category.id in touched:
            score, matches = weigh(found, "category", category.id)
            if matches:
                passages = {document.tokens[match.tokens[0]].sentence for match in matches}
                label, _ = sum_up(by_sentence, passages).label(complaints=1)
                scores.append(Score(category.id, round(score, 4), merged(document, matches), sentiment=label))
    return scores


def sum_up(by_sentence: Mapping[int, Polarity], sentences: Iterable[int]) -> Polarity:
    """Polarity of some sentences together."""
    chosen = [by_sentence[number] for number in sentences if number in by_sentence]
    return Polarity(sum(p.positive for p in chosen), sum(p.negative for p in chosen))


def merged(document: Document, matches: Sequence[Match]) -> tuple[Evidence, ...]:
    """Passages of the matches in the order of the text; overlapping ones become one."""
    spans: list[tuple[int, int]] = []
    for match in sorted(matches, key=lambda match: match.tokens):
        first, last = match.tokens[0], match.tokens[-1]
        if spans and first <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], last))
        else:
            spans.append((first, last))
    return tuple(document.evidence(document.tokens[first].start, document.tokens[last].stop) for first, last in spans)
