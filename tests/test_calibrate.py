from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from otklik.nlp.artefact import Calibration, Manifest
from otklik.nlp.hybrid import joined_logit
from otklik.training.calibrate import calibrate, doubt, expected_error, margin, probabilities
from otklik.training.cases import Case, Quote
from otklik.training.problems import TrainingError
from otklik.training.run import Prediction

PLAIN = Calibration(1.0, 0.0, 0.0, 0.5)
SENTIMENTS = ("negative", "neutral", "positive", "mixed")


def manifest() -> Manifest:
    return Manifest(
        version="x",
        taxonomy_id="t",
        taxonomy_version="1",
        origin="",
        categories=("common", "rare"),
        triggers=("cry",),
        sentiments=SENTIMENTS,
        window=64,
        special=(0, 2, 1),
        calibration=dict.fromkeys(("common", "rare", "cry"), PLAIN),
        sentiment_temperature=1.0,
        sentiment_bias=dict.fromkeys(SENTIMENTS, 0.0),
        unusual_below=0.0,
        review_below=0.0,
    )


def predictions(seed: int, count: int = 600) -> list[Prediction]:
    """A model that is three times too sure of itself and a rule that is right four times of five."""
    generator = np.random.default_rng(seed)
    found = []
    for number in range(count):
        true = {label: float(generator.normal(mean, 1.5)) for label, mean in (("common", -1.0), ("rare", -2.3), ("cry", -2.0))}
        given = {label for label, value in true.items() if generator.random() < expit(value)}
        rules = {label: 1.0 for label in true if (label in given) == (generator.random() < 0.8)}
        attitude = generator.integers(4)
        logits = generator.normal(0, 1, 4)
        logits[attitude] += 2
        case = Case(str(number), "", tuple(sorted(given - {"cry"})), SENTIMENTS[attitude], tuple(Quote("cry", "") for _ in given & {"cry"}))
        found.append(
            Prediction(case, {k: v * 3 for k, v in true.items()}, dict(zip(SENTIMENTS, map(float, logits * 3), strict=True)), rules, 1.0)
        )
    return found


def test_calibration_makes_probabilities_honest_on_texts_that_it_has_not_seen() -> None:
    asked = predictions(2)
    after = calibrate(manifest(), asked, asked)
    shown = doubt(manifest(), asked, asked)
    assert shown.ece_after < 0.5 * shown.ece_before
    assert shown.sentiment_ece < 0.1
    assert 0.2 < after.calibration["common"].slope < 0.8
    assert after.calibration["common"].rule > 0.5  # the rule is worth listening to
    assert shown.risk[0.5] > shown.risk[1.0] + 0.03  # the surest half is clearly better


def test_a_rare_label_keeps_near_the_threshold_of_its_layer() -> None:
    few = [p for p in predictions(1) if "rare" not in p.case.categories]
    one = next(p for p in predictions(1) if "rare" in p.case.categories)
    alone = calibrate(manifest(), [*few, one], few).calibration
    assert abs(alone["rare"].threshold - alone["common"].threshold) < 0.1


def test_the_border_of_doubt_takes_a_fifth_of_the_texts() -> None:
    learnt = predictions(1)
    after = calibrate(manifest(), learnt, learnt)
    share = np.mean([margin(after, prediction) < after.review_below for prediction in learnt])
    assert share == pytest.approx(0.2, abs=0.01)


def test_nothing_to_learn_from_is_an_error() -> None:
    with pytest.raises(TrainingError, match="needs predictions"):
        calibrate(manifest(), [], [])
    without = [Prediction(Case("1", "", (), "neutral", ()), p.labels, p.sentiments, {}, 1.0) for p in predictions(1, 20)]
    with pytest.raises(TrainingError, match="no case has any of common, rare"):
        calibrate(manifest(), without, without)


def test_training_and_serving_join_the_rules_by_the_same_formula() -> None:
    (prediction,) = predictions(5, 1)
    calibration = Calibration(0.7, 1.3, -0.4, 0.4)
    served = expit(joined_logit(calibration, prediction.labels["common"], prediction.rules.get("common", 0.0)))
    assert float(probabilities("common", calibration, [prediction])[0]) == pytest.approx(served)


def test_expected_error_by_hand() -> None:
    assert expected_error(np.array([0.9, 0.9, 0.1, 0.1]), np.array([1, 0, 0, 0])) == pytest.approx(0.5 * 0.4 + 0.5 * 0.1)
    assert expected_error(np.array([1.0, 0.0]), np.array([1, 0])) == 0.0


def rare_few(*, wrong: int) -> list[Prediction]:
    """Five cases of a rare label, and so many texts in which its rules fire in vain."""
    learnt = predictions(1)
    vain = [p for p in learnt if "rare" not in p.case.categories and "rare" in p.rules][:wrong]
    without = [p for p in learnt if "rare" not in p.case.categories and "rare" not in p.rules]
    return [*without, *vain, *[p for p in learnt if "rare" in p.case.categories][:5]]


def test_the_rules_are_believed_for_a_label_too_rare_to_measure() -> None:
    few = rare_few(wrong=1)
    rare = calibrate(manifest(), few, few).calibration["rare"]
    assert expit(joined_logit(rare, -4.0, 1.0)) > rare.threshold
    assert expit(joined_logit(rare, -4.0, 0.0)) < rare.threshold


def test_the_rules_of_a_rare_label_are_not_believed_where_they_were_seen_to_be_wrong() -> None:
    few = rare_few(wrong=40)
    rare = calibrate(manifest(), few, few).calibration["rare"]
    assert expit(joined_logit(rare, -4.0, 1.0)) < rare.threshold


def test_rules_that_are_right_get_more_weight_than_the_layer_gives_them() -> None:
    learnt = predictions(2, 2000)
    trusted = [Prediction(p.case, p.labels, p.sentiments, _right(p), p.known) for p in learnt]
    found = calibrate(manifest(), trusted, trusted).calibration
    assert found["common"].rule > found["rare"].rule


def _right(prediction: Prediction) -> dict[str, float]:
    """The rules of «common» as they should fire, those of the others as they do."""
    others = {label: score for label, score in prediction.rules.items() if label != "common"}
    return others | ({"common": 1.0} if "common" in prediction.case.categories else {})


def test_one_layer_can_be_calibrated_alone() -> None:
    learnt = predictions(3)
    before = calibrate(manifest(), learnt, learnt)
    after = calibrate(before, predictions(4), predictions(4), ("triggers",))
    assert after.calibration["cry"] != before.calibration["cry"]
    assert after.calibration["common"] == before.calibration["common"]
    assert (after.review_below, after.sentiment_bias) == (before.review_below, before.sentiment_bias)
    assert after.version != before.version
