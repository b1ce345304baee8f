"""What an engine gets right on gold: per label, macro and micro, for each layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sklearn.metrics import precision_recall_fscore_support

from otklik.nlp.records import Analysis
from otklik.taxonomy.model import Taxonomy
from otklik.training.cases import Case

MIN_SUPPORT = 5  # labels with fewer gold cases are shown, but one hit more or less would move a macro average too far


@dataclass(frozen=True, slots=True)
class LabelScore:
    """One label; ``in_macro`` tells whether it has `MIN_SUPPORT` gold cases."""

    id: str
    support: int
    predicted: int
    precision: float
    recall: float
    f1: float
    in_macro: bool


@dataclass(frozen=True, slots=True)
class LayerScore:
    """One layer. ``macro_f1`` is the mean over the labels with enough support, None if there is none; micro is over all labels."""

    labels: tuple[LabelScore, ...]
    macro_f1: float | None
    micro_precision: float
    micro_recall: float
    micro_f1: float

    @property
    def left_out(self) -> int:
        """How many labels the macro average leaves out."""
        return sum(not label.in_macro for label in self.labels)


@dataclass(frozen=True, slots=True)
class Report:
    """Scores by layer: categories, sentiment, triggers."""

    cases: int
    layers: dict[str, LayerScore]

    def as_json(self) -> dict[str, Any]:
        """Plain values for a file."""
        return asdict(self)


def evaluate(taxonomy: Taxonomy, gold: Sequence[Case], analyses: Sequence[Analysis]) -> Report:
    """Compares analyses with gold, pair by pair. Raises ValueError if there is nothing to compare or the lengths differ."""
    if not gold or len(gold) != len(analyses):
        raise ValueError(f"{len(gold)} gold cases against {len(analyses)} analyses: both must be equally many, and more than none")
    sentiments = [sentiment.id for sentiment in taxonomy.sentiments]
    layers = {
        "categories": _layer(
            list(taxonomy.category),
            [set(case.categories) for case in gold],
            [{score.id for score in analysis.categories} for analysis in analyses],
        ),
        "sentiment": _layer(sentiments, [{case.sentiment} for case in gold], [{analysis.sentiment.id} for analysis in analyses]),
        "triggers": _layer(
            list(taxonomy.trigger),
            [set(case.trigger_ids) for case in gold],
            [{score.id for score in analysis.triggers} for analysis in analyses],
        ),
    }
    return Report(len(gold), layers)


def _layer(labels: list[str], gold: list[set[str]], predicted: list[set[str]]) -> LayerScore:
    truth = [[label in row for label in labels] for row in gold]
    guess = [[label in row for label in labels] for row in predicted]
    precision, recall, f1, support = precision_recall_fscore_support(truth, guess, zero_division=0.0)
    micro = precision_recall_fscore_support(truth, guess, average="micro", zero_division=0.0)
    scores = tuple(
        LabelScore(
            label,
            int(support[i]),
            sum(row[i] for row in guess),
            float(precision[i]),
            float(recall[i]),
            float(f1[i]),
            in_macro=int(support[i]) >= MIN_SUPPORT,
        )
        for i, label in enumerate(labels)
    )
    counted = [score.f1 for score in scores if score.in_macro]
    return LayerScore(scores, sum(counted) / len(counted) if counted else None, *map(float, micro[:3]))
