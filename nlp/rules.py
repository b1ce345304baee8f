"""What the words of the taxonomy say of a text: the keyword engine, and one of the two voices that the hybrid joins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from otklik.nlp import keywords, sentiment, triggers
from otklik.nlp.language import load_language
from otklik.nlp.matcher import Matcher, Slot
from otklik.nlp.morphology import Morphology
from otklik.nlp.preprocess import Reader
from otklik.nlp.records import Document, Score
from otklik.taxonomy.model import Taxonomy
from otklik.taxonomy.phrases import Phrase

_NO_COMPLAINT = "other."  # circumstances and wishes are reasons, but none to be unhappy with the company


@dataclass(frozen=True, slots=True)
class Said:
    """One text by the rules. ``scores`` has every category with a score above 0, ``triggers`` those that fire, with score 1."""

    document: Document
    scores: tuple[Score, ...]
    triggers: tuple[Score, ...]
    sentiment: Score

    @property
    def categories(self) -> tuple[Score, ...]:
        """Categories that the rules alone would give."""
        return tuple(score for score in self.scores if score.score >= keywords.THRESHOLD)


class Rules:
    """Built once per taxonomy; shared by threads."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        """Raises `VocabularyError` where the taxonomy holds words that would never match."""
        self.taxonomy = taxonomy
        self._language = load_language()
        morphology = Morphology()
        self.reader = Reader(self._language, morphology)
        self._matcher = Matcher([*_phrases(taxonomy), *_markers(self._language.markers)], self._language, morphology)

    @property
    def phrase_count(self) -> int:
        """How many phrases the taxonomy gave."""
        return sum(1 for _ in _phrases(self.taxonomy))

    def read(self, text: str) -> Said:
        """Any string."""
        document = self.reader.read(text)
        found = self._matcher.find(document)
        by_sentence = sentiment.polarities(document, found, self._language)
        scores = tuple(keywords.classify(self.taxonomy, document, found, by_sentence))
        categories = [score for score in scores if score.score >= keywords.THRESHOLD]
        candidates = triggers.detect(self.taxonomy, document, found)
        complaints = sum(not score.id.startswith(_NO_COMPLAINT) for score in categories)
        complaints += any(not self.taxonomy.trigger[score.id].needs_problem for score in candidates)
        attitude = sentiment.overall(by_sentence, complaints)
        fired = tuple(score for score in candidates if self._is_earnest(score, attitude, complaints))
        return Said(document, scores, fired, attitude)

    def _is_earnest(self, score: Score, attitude: Score, complaints: int) -> bool:
        """Some triggers mean nothing without a problem («с детьми»); an event ahead is urgent also in a question, not in praise."""
        trigger = self.taxonomy.trigger[score.id]
        return bool(complaints) or not trigger.needs_problem or attitude.id != "positive"


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
