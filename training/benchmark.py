"""Public benchmarks of sentiment: the encoder of the product, trained on their task and scored on any held-out part."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import f1_score

from otklik.nlp.language import load_language
from otklik.nlp.morphology import Morphology
from otklik.nlp.preprocess import Reader
from otklik.training import checkpoint as checkpoints
from otklik.training.cases import Case
from otklik.training.checkpoint import Checkpoint
from otklik.training.dataset import Collator, Labels, to_dataset
from otklik.training.export import restore
from otklik.training.finetune import Settings, read_settings, train
from otklik.training.labels import digest
from otklik.training.network import Network
from otklik.training.problems import TrainingError

# Key of the label in a row, and the classes that the published macro-F1 averages.
_TASKS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "sentirueval2016": ("sentiment", ("negative", "neutral", "positive")),
    "rusentitweet": ("label", ("negative", "neutral", "positive", "skip", "speech")),
}
_RESAMPLES = 1000
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Outcome:
    """Scores in 0..1; ``low`` and ``high`` are the 2.5 and 97.5 percentiles of the macro-F1 over resampled test texts.

    ``polar_f1`` averages positive and negative only, as the organisers of SentiRuEval-2016 did.
    """

    trained: int
    texts: int
    averaged: tuple[str, ...]
    macro_f1: float
    low: float
    high: float
    micro_f1: float
    polar_f1: float


def benchmark(
    task: str,
    train_rows: Sequence[Mapping[str, Any]],
    test_rows: Sequence[Mapping[str, Any]],
    start: Path | None,
    epochs: float,
    seen: AbstractSet[str],
) -> Outcome:
    """Trains on one part and scores the other. ``start``: a checkpoint or a model folder.

    ``seen``: digests of texts that the model has learnt already; they are left out of the test.
    Raises `TrainingError` for rows without a known class.
    """
    key, classes = _TASKS[task]
    if start is None:
        raise TrainingError("no model came with this package: name a checkpoint with --checkpoint")
    known = {str(row["text"]) for row in test_rows}
    learnt = [case for case in _cases(train_rows, key, classes) if case.text not in known]  # retweets stand in both parts
    asked = _cases([row for row in test_rows if digest(str(row["text"])) not in seen], key, classes)
    settings = read_settings(Path(__file__).with_name("finetune.toml"))
    current = checkpoints.load(start) if checkpoints.is_saved(start) else restore(start, settings.objective, settings.dropout)
    labels = Labels((), (), classes)
    network = Network(current.base.encoder, 0, len(classes), settings.objective, settings.dropout)
    found = _learn(
        replace(settings.broad, epochs=epochs, batch=32), settings, replace(current, network=network, labels=labels), learnt, asked
    )
    truth = np.array([classes.index(case.sentiment) for case in asked])
    return _outcome(truth, found, classes, len(learnt))


def _cases(rows: Sequence[Mapping[str, Any]], key: str, classes: Sequence[str]) -> list[Case]:
    strange = sorted({str(row.get(key)) for row in rows} - set(classes))
    if strange or not rows:
        raise TrainingError(f"«{key}» has to be one of {', '.join(classes)}, not {', '.join(strange) or 'nothing: there is no row'}")
    return [Case(str(number), str(row["text"]), (), str(row[key]), ()) for number, row in enumerate(rows)]


def _learn(stage: Any, settings: Settings, current: Checkpoint, learnt: Sequence[Case], asked: Sequence[Case]) -> np.ndarray[Any, Any]:
    reader = Reader(load_language(), Morphology())
    noisy = Collator(current.base.tokenizer, current.base.special, current.window, settings.noise)
    with tempfile.TemporaryDirectory() as folder:
        train(current.network, to_dataset(learnt, current.labels, reader), noisy, stage, settings, Path(folder))
    rows = to_dataset(asked, current.labels, reader)
    plain = replace(noisy, noise=None)
    found = np.zeros(len(rows), int)
    order = np.argsort(rows["length"])
    for start in range(0, len(order), _BATCH):
        members = order[start : start + _BATCH]
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = current.network(**plain([rows[int(member)] for member in members]))
        found[members] = outputs["sentiments"].float().argmax(1).numpy()
    return found


def _outcome(truth: np.ndarray[Any, Any], found: np.ndarray[Any, Any], classes: Sequence[str], trained: int) -> Outcome:
    def macro(rows: np.ndarray[Any, Any]) -> float:
        return float(f1_score(truth[rows], found[rows], labels=range(len(classes)), average="macro", zero_division=0.0))

    generator = np.random.default_rng(0)
    resampled = [macro(generator.integers(0, len(truth), len(truth))) for _ in range(_RESAMPLES)]
    everything = np.arange(len(truth))
    polar = [classes.index("negative"), classes.index("positive")]
    return Outcome(
        trained,
        len(truth),
        tuple(classes),
        macro(everything),
        float(np.quantile(resampled, 0.025)),
        float(np.quantile(resampled, 0.975)),
        float((truth == found).mean()),
        float(f1_score(truth, found, labels=polar, average="macro", zero_division=0.0)),
    )
