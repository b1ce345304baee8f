"""The whole way of one text, from the string to the analysis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from otklik.nlp import keywords, sentiment, triggers
from otklik.nlp.language import load_language
from otklik.nlp.matcher import Matcher, Slot
from otklik.nlp.morphology import Morphology
from otklik.nlp.preprocess import Reader
from otklik.nlp.records import Analysis, Document, Score, Urgency
from otklik.taxonomy.model import Taxonomy
from otklik.taxonomy.phrases import Phrase

KEYWORD_VERSION = "keyword-1"
_FALLBACK_DEPARTMENT = "support"
_NO_COMPLAINT = "other."  # circumstances and wishes are reasons, but none to be unhappy with the company
_STARS = 5.0  # marks up to here are stars from 1, above it points from 0 to 10
_LOW_SCORE, _HIGH_SCORE = 0.3, 0.7  # the customer's mark as a share of its scale: 2 of 5 and below, 4 of 5 and above
_LOW_MARGIN = 0.1
_RUSSIAN_SHARE = 0.5  # of the words; below, the text is of a kind that the words were not written for


class Analyzer:
    """Built once per taxonomy; shared by threads."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        """Raises `VocabularyError` where the taxonomy holds words that would never match."""
        self.taxonomy = taxonomy
        self._language = load_language()
        morphology = Morphology()
        self._reader = Reader(self._language, morphology)
        self._matcher = Matcher([*_phrases(taxonomy), *_markers(self._language.markers)], self._language, morphology)

    @property
    def version(self) -> str:
        """Who answers: goes out as ``model_version``."""
        return KEYWORD_VERSION

    @property
    def phrase_count(self) -> int:
        """How many phrases the taxonomy gave."""
        return sum(1 for _ in _phrases(self.taxonomy))

    def analyze(self, text: str, customer_score: float | None = None) -> Analysis:
        """Any string; an empty one is neutral and asks for review.

        ``customer_score``: the customer's own mark as a share of its scale, 0..1. It never changes a label.
        """
        document = self._reader.read(text)
        found = self._matcher.find(document)
        by_sentence = sentiment.polarities(document, found, self._language)
        scores = tuple(keywords.classify(self.taxonomy, document, found, by_sentence))
        categories = tuple(score for score in scores if score.score >= keywords.THRESHOLD)
        candidates = triggers.detect(self.taxonomy, document, found)
        complaints = sum(not score.id.startswith(_NO_COMPLAINT) for score in categories)
        complaints += any(not self.taxonomy.trigger[score.id].needs_problem for score in candidates)
        attitude = sentiment.overall(by_sentence, complaints)
        fired = tuple(score for score in candidates if self._is_earnest(score, attitude, complaints))
        return Analysis(
            engine="keyword",
            model_version=self.version,
            sentiment=attitude,
            categories=categories,
            triggers=fired,
            urgency=self._urgency(categories, fired),
            scores=scores,
            review_reasons=tuple(_review(document, attitude, scores, categories, customer_score)),
        )

    def _is_earnest(self, score: Score, attitude: Score, complaints: int) -> bool:
        """Some triggers mean nothing without a problem («с детьми»); an event ahead is urgent also in a question, not in praise."""
        trigger = self.taxonomy.trigger[score.id]
        return bool(complaints) or not trigger.needs_problem or attitude.id != "positive"

    def _urgency(self, categories: tuple[Score, ...], fired: tuple[Score, ...]) -> Urgency:
        """Demands of the most severe trigger; ``department`` as a route is resolved to that of the surest category."""
        if not fired:
            return Urgency(None, None, None)
        trigger = min((self.taxonomy.trigger[score.id] for score in fired), key=lambda trigger: trigger.severity.rank)
        route = trigger.route
        if route == "department":
            departments = [self.taxonomy.category[score.id].department for score in sorted(categories, key=lambda score: -score.score)]
            route = next(filter(None, departments), _FALLBACK_DEPARTMENT)
        return Urgency(trigger.severity, route, trigger.respond_within_minutes)


def _review(
    document: Document, attitude: Score, scores: tuple[Score, ...], categories: tuple[Score, ...], customer_score: float | None
) -> Iterator[str]:
    """Why a person should look, in the order of weight."""
    words = [token.word.norm for token in document.tokens if token.word.norm[0].isalpha()]
    if not words:
        yield "no_words"
    elif sum("а" <= word[0] <= "я" for word in words) < _RUSSIAN_SHARE * len(words):
        yield "not_russian"
    if customer_score is not None and (
        (attitude.id == "negative" and customer_score >= _HIGH_SCORE) or (attitude.id == "positive" and customer_score <= _LOW_SCORE)
    ):
        yield "score_conflict"
    if attitude.id == "positive" and len(categories) > 1:
        yield "sentiment_conflict"
    if attitude.id == "negative" and not categories:
        yield "no_category"
    if any(abs(score.score - keywords.THRESHOLD) < _LOW_MARGIN for score in scores):
        yield "low_margin"


def _phrases(taxonomy: Taxonomy) -> Iterator[tuple[Slot, Phrase]]:
    layers = (("category", taxonomy.categories), ("sentiment", taxonomy.sentiments), ("trigger", taxonomy.triggers))
    for layer, labels in layers:
        for label in labels:
            for role in ("words", "hints", "unless"):
                for phrase in getattr(label.phrases, role):
                    yield Slot(layer, label.id, role), phrase


def _markers(markers: Mapping[str, tuple[Phrase, ...]]) -> Iterator[tuple[Slot, Phrase]]:
    for name, phrases in markers.items():
        for phrase in phrases:
            yield Slot("marker", name, "words"), phrase


def relative_score(score: float | None, channel: str | None) -> float | None:
    """The customer's mark as a share of its scale, 0..1: 0 to 10 for channel ``nps`` and for marks above 5, else 1 to 5."""
    if score is None:
        return None
    if channel == "nps" or score > _STARS:
        return score / 10
    return max(0.0, (score - 1) / (_STARS - 1))
