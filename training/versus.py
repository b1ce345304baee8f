"""The model and its rivals in one cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from otklik.nlp.artefact import Manifest
from otklik.nlp.records import Analysis
from otklik.taxonomy.model import Taxonomy
from otklik.training.calibrate import answer, out_of_part
from otklik.training.cases import Case
from otklik.training.dataset import Labels
from otklik.training.evaluate import Report, evaluate
from otklik.training.export import PLAIN
from otklik.training.rivals import answers
from otklik.training.run import Prediction, fold_of


def versus(taxonomy: Taxonomy, predictions: Sequence[Prediction], untouched: AbstractSet[str], folds: int) -> dict[str, dict[str, Report]]:
    """Reports by who, for all texts and for the ``untouched`` ones, which the rules were not written by.

    The model's thresholds for a text are chosen on other texts; each rival is trained in the same folds, on the real cases alone.
    """
    found: dict[str, dict[str, Analysis]] = {"Otklik": _model(taxonomy, predictions, untouched)}
    cases = [prediction.case for prediction in predictions]
    for fold in range(folds):
        outside = [case for case in cases if fold_of(case, folds) == fold]
        inside = [case for case in cases if fold_of(case, folds) != fold]
        for name, analyses in answers(taxonomy, inside, outside).items():
            found.setdefault(name, {}).update({case.text: analysis for case, analysis in zip(outside, analyses, strict=True)})
    parts: dict[str, list[Case]] = {"all folds": cases, "the untouched texts": [case for case in cases if case.text in untouched]}
    return {
        part: {name: evaluate(taxonomy, members, [by_text[case.text] for case in members]) for name, by_text in found.items()}
        for part, members in parts.items()
    }


def _model(taxonomy: Taxonomy, predictions: Sequence[Prediction], untouched: AbstractSet[str]) -> dict[str, Analysis]:
    labels = Labels.of(taxonomy)
    plain = Manifest(
        version="-",
        taxonomy_id=taxonomy.id,
        taxonomy_version=taxonomy.base_version,
        origin="",
        categories=labels.categories,
        triggers=labels.triggers,
        sentiments=labels.sentiments,
        window=0,
        special=(0, 0, 0),
        calibration=dict.fromkeys(labels.multi, PLAIN),
        sentiment_temperature=1.0,
        sentiment_bias=dict.fromkeys(labels.sentiments, 0.0),
        unusual_below=0.0,
        review_below=0.0,
    )
    allowed = [prediction for prediction in predictions if prediction.case.text in untouched]
    return {p.case.text: answer(after, p) for after, outside in out_of_part(plain, predictions, allowed) for p in outside}
