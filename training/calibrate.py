"""Logits → probabilities, thresholds and doubts, chosen on predictions of models that had not seen the texts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_softmax
from sklearn.metrics import f1_score

from otklik.nlp.artefact import Calibration, Manifest
from otklik.nlp.hybrid import BELIEVED, joined_logit, logit_of
from otklik.nlp.records import Analysis, Score, Urgency
from otklik.training.problems import TrainingError
from otklik.training.run import Prediction

Array = np.ndarray[Any, Any]
_SLOPE_PULL, _BIAS_PULL = 4.0, 0.1  # strength of the pull, in squared logits, of a label's slope towards 1 and its bias towards 0
_RULE_PULL = 1.0  # the same of a label's weight of the rules towards its layer's
_FEW = 50  # cases
_SEEN = 20  # texts in which the rules of a rare label fired: enough to tell that they are wrong more often than right
_PARTS = 5  # of the texts, for probabilities that are judged on others than they were fitted on
_THRESHOLDS = np.round(np.arange(0.2, 0.62, 0.02), 2)
_PULL = 30  # texts: a label with so many cases has half a word in its own threshold, the other half is the layer's
_BIASES = np.round(np.arange(-1.5, 1.6, 0.25), 2)
_SENTIMENT_PULL = 0.005  # of macro-F1 a squared logit: a bias has to earn more than that
_BINS = 15  # of the expected calibration error, as in Guo et al. 2017
REVIEWED = 0.2  # share of the texts that a person is asked to look at for a low margin of their categories
_COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)


@dataclass(frozen=True, slots=True)
class Doubt:
    """Errors and doubt on some texts. ``ece``: expected calibration error of categories and triggers, before and after.

    ``risk``: micro-F1 of the categories over the surest share of the texts.
    """

    texts: int
    ece_before: float
    ece_after: float
    sentiment_ece: float
    risk: dict[float, float]


LAYERS = ("categories", "triggers", "sentiment")


def calibrate(
    manifest: Manifest, predictions: Sequence[Prediction], untouched: Sequence[Prediction], layers: Sequence[str] = LAYERS
) -> Manifest:
    """The manifest with everything that depends on probabilities, of those ``layers``; the others stay as they are.

    ``predictions``: texts read by models that had not learnt them. ``untouched``: those of them that the words of the rules were not
    chosen by either; how far the rules can be trusted is measured there. Raises `TrainingError` where a layer has no text to learn from.
    """
    if not predictions or not untouched:
        raise TrainingError("calibration needs predictions, and some on texts that the rules were not written by")
    calibration = dict(manifest.calibration)
    for layer in (getattr(manifest, name) for name in ("categories", "triggers") if name in layers):
        common = _common(layer, untouched)
        fitted = {label: _fit(label, predictions, untouched, common) for label in layer}
        calibration |= _thresholds(layer, fitted, predictions)
    bias, temperature = dict(manifest.sentiment_bias), manifest.sentiment_temperature
    if "sentiment" in layers:
        bias = _sentiment_bias(manifest.sentiments, predictions)
        temperature = _temperature(manifest.sentiments, bias, predictions)
    changed = replace(
        manifest,
        version=_version(manifest, calibration, bias),
        calibration=calibration,
        sentiment_bias=bias,
        sentiment_temperature=temperature,
    )
    if "categories" not in layers:
        return changed
    margins = [margin(changed, prediction) for prediction in predictions]
    return replace(
        changed,
        unusual_below=round(float(np.quantile([p.known for p in predictions if p.known is not None] or [0.0], 0.01)), 3),
        review_below=round(float(np.quantile(margins, REVIEWED)), 4),
    )


def _version(manifest: Manifest, calibration: Mapping[str, Calibration], bias: Mapping[str, float]) -> str:
    """Another calibration answers otherwise: the version tells it from this one."""
    weights = manifest.version.rsplit("-", 1)[-1]
    shown = json.dumps([weights, sorted((label, astuple(c)) for label, c in calibration.items()), sorted(bias.items())])
    return f"{manifest.taxonomy_id}-1-{hashlib.sha256(shown.encode()).hexdigest()[:8]}"


def _columns(label: str, predictions: Sequence[Prediction]) -> tuple[Array, Array, Array]:
    """Logits, scores of the rules, truth (0/1) of one label."""
    return (
        np.array([p.labels[label] for p in predictions]),
        np.array([p.rules.get(label, 0.0) for p in predictions]),
        np.array([label in p.case.categories or label in p.case.trigger_ids for p in predictions], float),
    )


def _loss(values: Array, truth: Array) -> float:
    return float(np.logaddexp(0, values).sum() - (truth * values).sum())


def _common(layer: Sequence[str], predictions: Sequence[Prediction]) -> Calibration:
    """One calibration for a whole layer."""
    columns = [_columns(label, predictions) for label in layer]
    logits, rules, truth = (np.concatenate(part) for part in zip(*columns, strict=True))
    found = minimize(lambda w: _loss(w[0] * logits + w[1] * rules + w[2], truth), np.array([1.0, 0.0, 0.0]), method="BFGS")
    slope, rule, bias = (round(float(value), 4) for value in found.x)
    return Calibration(slope, max(rule, 0.0), bias, 0.5)


def _fit(label: str, predictions: Sequence[Prediction], untouched: Sequence[Prediction], common: Calibration) -> Calibration:
    """Platt scaling (1999), pulled towards the plain logit where cases are few.

    How far the rules of a label are trusted is measured on ``untouched`` alone, elsewhere they look too good: its own weight, pulled
    towards the layer's. A label with fewer than `_FEW` cases cannot be measured: it takes the calibration of the layer, and where the
    rules fire for it they are believed, for a situation that is missed costs more than one that is looked at in vain; unless they were
    seen to be wrong more often than right.
    """
    logits, rules, truth = _columns(label, predictions)
    _, fired, right = _columns(label, untouched)
    if truth.sum() < _FEW:
        wrong = fired.astype(bool).sum() >= _SEEN and right[fired > 0].mean() < 0.5
        return common if wrong else replace(common, rule=BELIEVED)
    weight = _rule(label, untouched, common) if right.sum() >= _FEW else common.rule

    def loss(w: Array) -> float:
        pull = _SLOPE_PULL * (w[0] - 1) ** 2 + _BIAS_PULL * w[1] ** 2
        return _loss(w[0] * logits + weight * rules + w[1], truth) + float(pull)

    slope, bias = (round(float(value), 4) for value in minimize(loss, np.array([1.0, 0.0]), method="BFGS").x)
    return Calibration(max(slope, 0.0), weight, bias, 0.5)


def _rule(label: str, untouched: Sequence[Prediction], common: Calibration) -> float:
    """Weight of a label's rules beside its logit."""
    logits, rules, truth = _columns(label, untouched)

    def loss(w: Array) -> float:
        pull = _SLOPE_PULL * (w[0] - 1) ** 2 + _RULE_PULL * (w[1] - common.rule) ** 2 + _BIAS_PULL * w[2] ** 2
        return _loss(w[0] * logits + w[1] * rules + w[2], truth) + float(pull)

    found = minimize(loss, np.array([1.0, common.rule, 0.0]), method="BFGS").x
    return max(round(float(found[1]), 4), 0.0)


def probabilities(label: str, calibration: Calibration, predictions: Sequence[Prediction]) -> Array:
    """Of one label, a value a text."""
    logits, rules, _ = _columns(label, predictions)
    values: Array = expit(calibration.slope * logits + calibration.rule * rules + calibration.bias)
    return values


def _thresholds(layer: Sequence[str], fitted: Mapping[str, Calibration], predictions: Sequence[Prediction]) -> dict[str, Calibration]:
    """The threshold with the best F1, between the layer's common one and the label's own by the number of its cases."""
    scores = np.array([probabilities(label, fitted[label], predictions) for label in layer])
    truth = np.array([_columns(label, predictions)[2] for label in layer])
    counted = truth.sum(axis=1) > 0
    if not counted.any():
        raise TrainingError(f"no case has any of {', '.join(layer)}: calibrate on cases that do")
    by_label = np.array(
        [
            [f1_score(truth[row], scores[row] >= t, zero_division=0.0) if counted[row] else 0.0 for t in _THRESHOLDS]
            for row in range(len(layer))
        ]
    )
    common = float(_THRESHOLDS[by_label[counted].mean(axis=0).argmax()])
    chosen = {}
    for row, label in enumerate(layer):
        support = truth[row].sum()
        own = float(_THRESHOLDS[by_label[row].argmax()]) if support else common
        chosen[label] = replace(fitted[label], threshold=round(float((support * own + _PULL * common) / (support + _PULL)), 3))
    return chosen


def _sentiments(names: Sequence[str], predictions: Sequence[Prediction]) -> tuple[Array, Array]:
    return np.array([[p.sentiments[name] for name in names] for p in predictions]), np.array(
        [names.index(p.case.sentiment) for p in predictions]
    )


def _sentiment_bias(names: Sequence[str], predictions: Sequence[Prediction]) -> dict[str, float]:
    """Added to the logits for the best macro-F1, less a pull towards 0: the best of a grid (a search by coordinates stops too early)."""
    logits, truth = _sentiments(names, predictions)
    count = len(names)
    best, bias = -np.inf, np.zeros(count)
    for others in product(_BIASES, repeat=count - 1):
        tried = np.array([0.0, *others])
        tried -= tried.mean()  # only the differences matter
        pairs = np.bincount(truth * count + (logits + tried).argmax(axis=1), minlength=count * count).reshape(count, count)
        score = float((2 * pairs.diagonal() / np.maximum(1, pairs.sum(axis=0) + pairs.sum(axis=1))).mean())
        score -= _SENTIMENT_PULL * float((tried**2).sum())
        if score > best + 1e-9:
            best, bias = score, tried
    return {name: round(float(value), 3) for name, value in zip(names, bias, strict=True)}


def _temperature(names: Sequence[str], bias: Mapping[str, float], predictions: Sequence[Prediction]) -> float:
    """The temperature (Guo et al. 2017) with the least log loss."""
    logits, truth = _sentiments(names, predictions)
    shifted = logits + np.array([bias[name] for name in names])
    rows = np.arange(len(truth))
    found = minimize(lambda w: float(-log_softmax(shifted / np.exp(w[0]), axis=1)[rows, truth].mean()), np.array([0.0]), method="BFGS")
    return round(float(np.exp(found.x[0])), 4)


def margin(manifest: Manifest, prediction: Prediction) -> float:
    """The same as `nlp.hybrid.Joined.margin`: logits between the most doubtful category and its threshold."""
    found = []
    for label in manifest.categories:
        c = manifest.calibration[label]
        found.append(abs(joined_logit(c, prediction.labels[label], prediction.rules.get(label, 0.0)) - logit_of(c.threshold)))
    return min(found)


def out_of_part(
    before: Manifest, predictions: Sequence[Prediction], untouched: Sequence[Prediction], layers: Sequence[str] = LAYERS
) -> Iterator[tuple[Manifest, list[Prediction]]]:
    """Parts of the texts, each with a calibration that was fitted on the others; together all of them, in another order."""
    allowed = {prediction.case.id for prediction in untouched}
    for part in range(_PARTS):
        inside = [p for number, p in enumerate(predictions) if number % _PARTS != part]
        outside = [p for number, p in enumerate(predictions) if number % _PARTS == part]
        yield calibrate(before, inside, [p for p in inside if p.case.id in allowed], layers), outside


def doubt(before: Manifest, predictions: Sequence[Prediction], untouched: Sequence[Prediction], layers: Sequence[str] = LAYERS) -> Doubt:
    """How honest the probabilities are, on texts that they were not fitted on."""
    labels, sentiments, rows = [], [], []
    for after, outside in out_of_part(before, predictions, untouched, layers):
        labels.append(_scored(after, outside))
        sentiments.append(_attitudes(after, outside))
        rows += [(margin(after, p), given(after, after.categories, p), set(p.case.categories)) for p in outside]
    rows.sort(key=lambda row: -row[0])
    risk = {coverage: _micro(rows[: max(1, round(coverage * len(rows)))]) for coverage in _COVERAGES}
    return Doubt(len(predictions), expected_error(*_scored(before, predictions)), _joint_error(labels), _joint_error(sentiments), risk)


def given(manifest: Manifest, labels: Sequence[str], prediction: Prediction) -> set[str]:
    """Those labels that reach their thresholds."""
    found = {}
    for label in labels:
        c = manifest.calibration[label]
        found[label] = joined_logit(c, prediction.labels[label], prediction.rules.get(label, 0.0)) >= logit_of(c.threshold)
    return {label for label, reached in found.items() if reached}


def answer(manifest: Manifest, prediction: Prediction) -> Analysis:
    """What would be served for this text, without evidence."""
    names = manifest.sentiments
    sentiment = max(names, key=lambda name: prediction.sentiments[name] + manifest.sentiment_bias[name])
    categories, triggers = (
        tuple(Score(label, 1.0) for label in layer if label in given(manifest, layer, prediction))
        for layer in (manifest.categories, manifest.triggers)
    )
    return Analysis("model", manifest.version, Score(sentiment, 1.0), categories, triggers, Urgency(None, None, None), ())


def _joint_error(parts: Sequence[tuple[Array, Array]]) -> float:
    scores, truth = (np.concatenate(column) for column in zip(*parts, strict=True))
    return expected_error(scores, truth)


def _micro(rows: Sequence[tuple[float, set[str], set[str]]]) -> float:
    hits = sum(len(given & wanted) for _, given, wanted in rows)
    total = sum(len(given) + len(wanted) for _, given, wanted in rows)
    return round(2 * hits / total, 4) if total else 0.0


def _attitudes(manifest: Manifest, predictions: Sequence[Prediction]) -> tuple[Array, Array]:
    """Score of the likeliest sentiment, and whether it is right (0/1)."""
    names = manifest.sentiments
    logits, truth = _sentiments(names, predictions)
    shares = np.exp(log_softmax((logits + np.array([manifest.sentiment_bias[n] for n in names])) / manifest.sentiment_temperature, axis=1))
    return shares.max(axis=1), (shares.argmax(axis=1) == truth).astype(float)


def _scored(manifest: Manifest, predictions: Sequence[Prediction]) -> tuple[Array, Array]:
    """Probability and truth (0/1) of every label of every text."""
    scores = np.concatenate([probabilities(label, manifest.calibration[label], predictions) for label in manifest.labels])
    return scores, np.concatenate([_columns(label, predictions)[2] for label in manifest.labels])


def expected_error(scores: Array, truth: Array) -> float:
    """Expected calibration error: the gap between score and share of truth, over equal bins, weighted by their size."""
    bins = np.minimum((scores * _BINS).astype(int), _BINS - 1)
    gaps = [abs(scores[bins == b].mean() - truth[bins == b].mean()) * (bins == b).mean() for b in range(_BINS) if (bins == b).any()]
    return round(float(sum(gaps)), 4)
