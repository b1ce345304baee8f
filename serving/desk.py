"""Who answers: the taxonomy with its rules, the model where it can be used, and why it is not where it cannot."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from otklik.nlp.analyzer import Analyzer, load_analyzer
from otklik.nlp.artefact import ArtefactError
from otklik.nlp.records import Analysis
from otklik.nlp.vocabulary import VocabularyError
from otklik.serving.batcher import Ask
from otklik.serving.breaker import Breaker
from otklik.serving.schemas import DegradedReason
from otklik.serving.settings import Settings
from otklik.taxonomy.load import TaxonomyError, load_taxonomy
from otklik.taxonomy.model import Category, Taxonomy, Trigger

log = logging.getLogger(__name__)

_LEAST_RECOGNISED = 0.8  # of the examples of the taxonomy: a model that finds fewer was trained for something else, or is damaged

Load = Callable[[Taxonomy, Settings], Analyzer]


class Refused(Exception):  # noqa: N818
    """A new model or taxonomy that must not answer; ``code`` is for programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Desk:
    """One taxonomy and who reads by it. Never changed, only replaced as a whole: a request is answered by one desk.

    ``words`` answers by the rules alone; ``model`` is None where ``reason`` says why (`model_loading`, `model_missing`, …).
    """

    words: Analyzer
    breaker: Breaker
    model: Analyzer | None = None
    reason: DegradedReason | None = None

    @property
    def taxonomy(self) -> Taxonomy:
        """Both read by the same one."""
        return self.words.taxonomy

    @property
    def version(self) -> str:
        """Of who answers ``auto``."""
        return (self.model or self.words).version()

    def read_by_words(self, asks: Sequence[Ask], /) -> Sequence[Analysis]:
        """For the batcher."""
        return self.words.analyze_all([ask.text for ask in asks], [ask.mark for ask in asks], "keyword")

    def read_by_model(self, asks: Sequence[Ask], /) -> Sequence[Analysis]:
        """For the batcher. Needs a model."""
        if self.model is None:
            raise ArtefactError("model_unavailable", "no model is at hand")
        try:
            found = self.model.analyze_all([ask.text for ask in asks], [ask.mark for ask in asks], "model")
        except BaseException:
            self.breaker.failed()
            raise
        self.breaker.succeeded()
        return found


def with_model(taxonomy: Taxonomy, settings: Settings) -> Analyzer:
    """The analyzer of the settings' model. Raises `ArtefactError`."""
    return load_analyzer(taxonomy, settings.model, settings.cores)


def open_desk(settings: Settings) -> Desk:
    """The rules alone, at once; the model comes later. Raises `TaxonomyError` and `VocabularyError`."""
    return Desk(Analyzer(load_taxonomy(settings.taxonomy)), reason="model_loading", breaker=_breaker(settings))


def _breaker(settings: Settings) -> Breaker:
    return Breaker(settings.breaker_failures, settings.breaker_seconds)


def add_model(desk: Desk, settings: Settings, load: Load) -> Desk:
    """The same desk with its model, checked, or with the reason why there is none."""
    try:
        model = load(desk.taxonomy, settings)
        if model.engine != "model":
            return replace(desk, reason="model_missing")
        check(model)
    except (ArtefactError, Refused) as error:
        log.error("%s: %s; the keyword engine answers instead", error.code, error)  # noqa: TRY400  the traceback says no more
        return replace(desk, reason=_reason(error.code))
    except Exception as error:  # noqa: BLE001  whatever it is, the rules can answer
        log.error("model_broken: %s; the keyword engine answers instead", type(error).__name__)  # noqa: TRY400
        return replace(desk, reason="model_broken")
    return replace(desk, model=model, reason=None)


def _reason(code: str) -> DegradedReason:
    known: dict[str, DegradedReason] = {"model_missing": "model_missing", "model_taxonomy": "model_taxonomy"}
    return known.get(code, "model_broken")


def new_desk(settings: Settings, load: Load) -> Desk:
    """Taxonomy and model read again from where the settings say, and checked. Raises `Refused`: then the old desk has to stay."""
    try:
        desk = Desk(Analyzer(load_taxonomy(settings.taxonomy)), breaker=_breaker(settings))
        model = load(desk.taxonomy, settings)
    except (TaxonomyError, VocabularyError) as error:
        raise Refused("taxonomy_invalid", str(error)) from error
    except ArtefactError as error:
        raise Refused(error.code, str(error)) from error
    if model.engine != "model":
        raise Refused("model_missing", "no model is at hand")
    check(model)
    return replace(desk, model=model)


def check(analyzer: Analyzer) -> None:
    """Reads the examples of the taxonomy. Raises `Refused` where too few of them are recognised."""
    examples = list(_examples(analyzer.taxonomy))
    analyses = analyzer.analyze_all([text for text, _ in examples])
    found = sum(
        label in {score.id for score in (*analysis.categories, *analysis.triggers)}
        for (_, label), analysis in zip(examples, analyses, strict=True)
    )
    if found < _LEAST_RECOGNISED * len(examples):
        raise Refused("self_test_failed", f"{found} of {len(examples)} examples of the taxonomy were recognised, too few to answer anybody")


def _examples(taxonomy: Taxonomy) -> Iterator[tuple[str, str]]:
    labels: list[Category | Trigger] = [*taxonomy.categories, *taxonomy.triggers]
    for label in labels:
        for text in label.examples:
            yield text, label.id
