"""The whole way of one text, from the string to the analysis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from otklik.nlp import keywords
from otklik.nlp.artefact import ArtefactError, Manifest, shipped
from otklik.nlp.classifier import Classifier, Reading
from otklik.nlp.hybrid import Joined
from otklik.nlp.records import Analysis, Document, Score, Urgency
from otklik.nlp.rules import Rules, Said
from otklik.taxonomy.model import Taxonomy

Engine = Literal["auto", "model", "keyword"]

KEYWORD_VERSION = "keyword-1"
_FALLBACK_DEPARTMENT = "support"
_STARS = 5.0  # marks up to here are stars from 1, above it points from 0 to 10
_LOW_SCORE, _HIGH_SCORE = 0.3, 0.7  # the customer's mark as a share of its scale: 2 of 5 and below, 4 of 5 and above
_LOW_MARGIN = 0.1  # of a keyword score from its threshold
_RUSSIAN_SHARE = 0.5  # of the words; below, the text is of a kind that neither engine was made for
_SURE_RULE, _SURE_DENIAL = 0.9, 0.05  # rules that say yes, a model that says no; the other way round is what the model is for
_DOUBTFUL_SENTIMENT = 0.5


class Analyzer:
    """Built once per taxonomy and model; shared by threads. Without a model the rules answer alone and say so."""

    def __init__(self, taxonomy: Taxonomy, classifier: Classifier | None = None) -> None:
        """Raises `VocabularyError` for words of the taxonomy that would never match, `ArtefactError` for a model of another taxonomy."""
        self.taxonomy = taxonomy
        self.rules = Rules(taxonomy)
        self._classifier = classifier
        if classifier and (classifier.manifest.taxonomy_id, classifier.manifest.taxonomy_version) != (taxonomy.id, taxonomy.base_version):
            trained = f"{classifier.manifest.taxonomy_id} {classifier.manifest.taxonomy_version}"
            message = (
                f"the model was trained for taxonomy {trained}, not {taxonomy.id} {taxonomy.base_version}: set OTKLIK_TAXONOMY or retrain"
            )
            raise ArtefactError("model_taxonomy", message)

    @property
    def engine(self) -> str:
        """Who answers ``auto``."""
        return "model" if self._classifier else "keyword"

    @property
    def manifest(self) -> Manifest | None:
        """Of the model, if there is one."""
        return self._classifier.manifest if self._classifier else None

    def version(self, engine: Engine = "auto") -> str:
        """Goes out as ``model_version``."""
        return self._classifier.manifest.version if self._classifier and engine != "keyword" else KEYWORD_VERSION

    def analyze(self, text: str, customer_score: float | None = None, engine: Engine = "auto") -> Analysis:
        """Any string; an empty one is neutral and asks for review.

        ``customer_score``: the customer's own mark as a share of its scale, 0..1. It never changes a label.
        Raises `ArtefactError` where ``model`` is demanded and there is none.
        """
        return self.analyze_all([text], [customer_score], engine)[0]

    def analyze_all(
        self, texts: Sequence[str], customer_scores: Iterable[float | None] | None = None, engine: Engine = "auto"
    ) -> list[Analysis]:
        """Several texts, in order; each answer is the same as alone."""
        if engine == "model" and not self._classifier:
            raise ArtefactError("model_unavailable", "no model is at hand; ask with engine auto or keyword")
        said = [self.rules.read(text) for text in texts]
        scores = list(customer_scores) if customer_scores is not None else [None] * len(texts)
        if not self._classifier or engine == "keyword":
            return [self._by_rules(each, score) for each, score in zip(said, scores, strict=True)]
        # A text without words says nothing to the model: whatever it answered would be chance.
        worded = [each for each in said if _words(each.document)]
        readings = iter(self._classifier.read([each.document for each in worded]) if worded else [])
        return [
            self._by_both(self._classifier, each, next(readings), score) if _words(each.document) else self._by_rules(each, score)
            for each, score in zip(said, scores, strict=True)
        ]

    def _by_rules(self, said: Said, customer_score: float | None) -> Analysis:
        reasons = [*_unreadable(said.document), *_clashes(said.sentiment, said.categories, customer_score)]
        if any(abs(score.score - keywords.THRESHOLD) < _LOW_MARGIN for score in said.scores):
            reasons.append("low_margin")
        return self._analysis("keyword", said.sentiment, said.categories, said.triggers, said.scores, reasons)

    def _by_both(self, classifier: Classifier, said: Said, reading: Reading, customer_score: float | None) -> Analysis:
        manifest = classifier.manifest
        joined = Joined(manifest, said, reading)
        # What an overlay adds is unknown to the model: there the rules answer.
        known = set(manifest.labels)
        by_id = {score.id: score for score in joined.given(manifest.categories)}
        by_id |= {score.id: score for score in said.categories if score.id not in known}
        categories = tuple(by_id[label] for label in self.taxonomy.category if label in by_id)
        fired = {score.id: score for score in joined.given(manifest.triggers)}
        fired |= {score.id: score for score in said.triggers if score.id not in known}
        triggers = tuple(fired[label] for label in self.taxonomy.trigger if label in fired)
        attitude = joined.sentiment
        reasons = [*_unreadable(said.document), *_clashes(attitude, categories, customer_score)]
        if said.document.tokens and known_share(said.document) < manifest.unusual_below:
            reasons.append("unusual_text")
        if any(score.score >= _SURE_RULE and joined.alone(score.id) < _SURE_DENIAL for score in said.scores if score.id in known):
            reasons.append("engine_conflict")
        if (
            joined.margin(label for label in manifest.categories if label in self.taxonomy.category) < manifest.review_below
            or attitude.score < _DOUBTFUL_SENTIMENT
        ):
            reasons.append("low_margin")
        scores = (*joined.scores(), *(score for score in said.scores if score.id not in known))
        return self._analysis("model", attitude, categories, triggers, scores, reasons)

    def _analysis(
        self,
        engine: str,
        attitude: Score,
        categories: tuple[Score, ...],
        triggers: tuple[Score, ...],
        scores: tuple[Score, ...],
        reasons: Sequence[str],
    ) -> Analysis:
        version = self.version() if engine == "model" else KEYWORD_VERSION
        return Analysis(engine, version, attitude, categories, triggers, self._urgency(categories, triggers), scores, tuple(reasons))

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


def load_analyzer(taxonomy: Taxonomy, model: Path | None = None, threads: int = 0) -> Analyzer:
    """With the model of a folder, else the shipped one, else the rules alone. Raises `ArtefactError` for a broken one."""
    folder = model or shipped()
    return Analyzer(taxonomy, Classifier(folder, threads) if folder else None)


def _words(document: Document) -> list[str]:
    return [token.word.norm for token in document.tokens if token.word.norm[0].isalpha()]


def known_share(document: Document) -> float:
    """Of the words, 0..1."""
    words = [token.word.known for token in document.tokens if token.word.norm[0].isalpha()]
    return sum(words) / max(len(words), 1)


def _unreadable(document: Document) -> Iterator[str]:
    words = _words(document)
    if not words:
        yield "no_words"
    elif sum("а" <= word[0] <= "я" for word in words) < _RUSSIAN_SHARE * len(words):
        yield "not_russian"


def _clashes(attitude: Score, categories: tuple[Score, ...], customer_score: float | None) -> Iterator[str]:
    """Where what is said does not go together with the mark, or with itself."""
    if customer_score is not None and (
        (attitude.id == "negative" and customer_score >= _HIGH_SCORE) or (attitude.id == "positive" and customer_score <= _LOW_SCORE)
    ):
        yield "score_conflict"
    if attitude.id == "positive" and len(categories) > 1:
        yield "sentiment_conflict"
    if attitude.id == "negative" and not categories:
        yield "no_category"


def relative_score(score: float | None, channel: str | None) -> float | None:
    """The customer's mark as a share of its scale, 0..1: 0 to 10 for channel ``nps`` and for marks above 5, else 1 to 5."""
    if score is None:
        return None
    if channel == "nps" or score > _STARS:
        return score / 10
    return max(0.0, (score - 1) / (_STARS - 1))
