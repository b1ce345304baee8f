"""Model and rules joined, label by label, with the weights that calibration measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import exp, log

import numpy as np

from otklik.nlp.artefact import Calibration, Manifest
from otklik.nlp.classifier import Reading
from otklik.nlp.pooling import Array, softmax
from otklik.nlp.records import Document, Evidence, Score
from otklik.nlp.rules import Said

_BEHIND = 1.0  # logits: passages so close behind the likeliest one are evidence as well
_MIXED, _PRAISE, _NO_COMPLAINT = "mixed", "positive", "other."
_MOST = 3  # passages of evidence for a label
_FAINT = -1.5  # logit below which a passage shows nothing by itself: then the words that the rules found are the evidence

BELIEVED = 8.0  # weight of the rules where a label cannot be calibrated: more than a model that says no takes away


class Joined:
    """One text: probabilities of every label of the model, and the labels given."""

    def __init__(self, manifest: Manifest, said: Said, reading: Reading) -> None:
        self._manifest, self._said, self._reading = manifest, said, reading
        rules = {score.id: score for score in (*said.scores, *said.triggers)}
        self._rules = rules
        self.logits = {
            label: joined_logit(manifest.calibration[label], float(logit), rules[label].score if label in rules else 0.0)
            for label, logit in zip(manifest.labels, reading.labels, strict=True)
        }

    def probability(self, label: str) -> float:
        """0..1."""
        return sigmoid(self.logits[label])

    def margin(self, labels: Iterable[str]) -> float:
        """Logits between the most doubtful of some labels and its threshold, 0 and up: how far their set is from another one."""
        return min(abs(self.logits[label] - logit_of(self._manifest.calibration[label].threshold)) for label in labels)

    def alone(self, label: str) -> float:
        """Probability by the model without the rules, 0..1."""
        calibration = self._manifest.calibration[label]
        return sigmoid(self.logits[label] - calibration.rule * (self._rules[label].score if label in self._rules else 0.0))

    def scores(self) -> Iterator[Score]:
        """Every category of the model with its probability, without evidence."""
        return (Score(label, round(self.probability(label), 4), source="model") for label in self._manifest.categories)

    def given(self, labels: tuple[str, ...]) -> Iterator[Score]:
        """The labels that reach their thresholds, with evidence and its sentiment."""
        for label in labels:
            probability = self.probability(label)
            if probability >= self._manifest.calibration[label].threshold:
                yield self._score(label, probability)

    def _score(self, label: str, probability: float) -> Score:
        column = self._manifest.labels.index(label)
        logits = self._reading.outputs[:, column]
        said = self._rules.get(label)
        exact = label in self._manifest.triggers  # the guide wants the shortest words that show a trigger
        if said is not None and said.evidence and (exact or logits.max() < _FAINT):
            return Score(label, round(probability, 4), said.evidence, self._attitude(int(logits.argmax()), label), source="rule")
        rows = [int(row) for row in np.argsort(-logits, kind="stable") if logits[row] >= logits.max() - _BEHIND][:_MOST]
        if logits.max() >= 0:
            rows = [row for row in rows if logits[row] >= 0]
        passages = self._passages(rows)
        return Score(label, round(probability, 4), passages, self._attitude(rows[0], label), source="model")

    def _passages(self, rows: list[int]) -> tuple[Evidence, ...]:
        document: Document = self._said.document
        spans = sorted({self._reading.passages[row] for row in rows})
        return tuple(document.evidence(start, stop) for start, stop in spans if stop > start)

    def _attitude(self, row: int, label: str) -> str:
        """Sentiment of a passage by itself.

        Mixed are whole texts, not passages; and what states a problem is no praise, however much of it stands around.
        """
        out = {_MIXED} if label.startswith(_NO_COMPLAINT) else {_MIXED, _PRAISE}
        logits = self._reading.outputs[row, len(self._manifest.labels) : -1].copy()
        logits[[name in out for name in self._manifest.sentiments]] = -np.inf
        return self._likeliest(logits)[0]

    @property
    def sentiment(self) -> Score:
        """Of the whole text."""
        label, probability = self._likeliest(self._reading.sentiments)
        return Score(label, round(probability, 4), source="model")

    def _likeliest(self, logits: Array) -> tuple[str, float]:
        names = self._manifest.sentiments
        biased = np.array(
            [float(logit) + self._manifest.sentiment_bias[name] for name, logit in zip(names, logits, strict=True)], np.float32
        )
        shares = softmax(biased / np.float32(self._manifest.sentiment_temperature), 0)
        best = int(shares.argmax())
        return names[best], float(shares[best])


def joined_logit(calibration: Calibration, logit: float, rule: float) -> float:
    """``rule``: the score of the rules, 0..1."""
    return calibration.slope * logit + calibration.rule * rule + calibration.bias


def sigmoid(value: float) -> float:
    """Logit → probability, without overflow."""
    return 1 / (1 + exp(-value)) if value >= 0 else exp(value) / (1 + exp(value))


def logit_of(probability: float) -> float:
    """Probability in (0, 1) → logit."""
    return log(probability / (1 - probability))
