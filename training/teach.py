"""Teachers: finished models whose mean answer stands beside the given labels, and alone where nobody has labelled a text.

Several models are so distilled into one (Hinton et al. 2015), and texts without labels are learnt from as in self-training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from scipy.special import expit, softmax

from otklik.nlp.artefact import read_manifest
from otklik.nlp.classifier import Classifier
from otklik.nlp.rules import Rules
from otklik.training.cases import Case
from otklik.training.dataset import Labels, to_dataset
from otklik.training.network import UNKNOWN
from otklik.training.problems import TrainingError

_SUSPECTED = 0.15  # mean probability from which a label that was not given is no longer held to be absent from every passage
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Teaching:
    """``teachers``: model folders; ``texts``: without labels; ``share`` (0..1): of the teachers in the targets of labelled texts."""

    teachers: tuple[Path, ...]
    texts: tuple[str, ...]
    share: float

    def __str__(self) -> str:
        """Tells one teaching from another: by what the teachers are, not by where they lie."""
        return repr(([read_manifest(folder).version for folder in self.teachers], self.texts, self.share))


def teach(cases: Sequence[Case], labels: Labels, rules: Rules, teaching: Teaching) -> Dataset:
    """Rows of `to_dataset` with softened targets: the cases, then the texts without labels.

    Labels that no teacher knows keep their hard targets. Raises `TrainingError` where a teacher has other sentiments.
    """
    unlabelled = [Case(f"unlabelled-{number}", text, (), labels.sentiments[0], ()) for number, text in enumerate(teaching.texts)]
    everything = [*cases, *unlabelled]
    given, sentiments = _answers(everything, labels, rules, teaching.teachers)
    shares = np.array([teaching.share] * len(cases) + [1.0] * len(unlabelled))
    rows = to_dataset(everything, labels, rules.reader)
    return Dataset.from_list([_softened(row, *parts) for row, *parts in zip(rows, given, sentiments, shares, strict=True)])


def _answers(cases: Sequence[Case], labels: Labels, rules: Rules, folders: Sequence[Path]) -> tuple[Array, Array]:
    """Mean probabilities (cases, labels), NaN for labels that a teacher does not know, and (cases, sentiments)."""
    documents = [rules.reader.read(case.text) for case in cases]
    given, sentiments = [], []
    for folder in folders:
        teacher = Classifier(folder)
        if teacher.manifest.sentiments != labels.sentiments:
            raise TrainingError(f"{folder}: has the sentiments {', '.join(teacher.manifest.sentiments)}; name a model of this taxonomy")
        readings = list(teacher.read(documents))
        known = {label: column for column, label in enumerate(teacher.manifest.labels)}
        logits = np.stack([reading.labels for reading in readings])
        unknown = np.full(len(cases), np.nan)
        given.append(np.stack([logits[:, known[label]] if label in known else unknown for label in labels.multi], axis=1))
        sentiments.append(softmax(np.stack([reading.sentiments for reading in readings]), axis=1))
    return np.mean([expit(logits) for logits in given], axis=0), np.mean(sentiments, axis=0)


def _softened(row: dict[str, Any], given: Array, sentiment: Array, share: float) -> dict[str, Any]:
    hard, places = np.array(row["labels"]), np.array(row["places"], float)
    taught = ~np.isnan(given)
    mixed = np.where(hard == UNKNOWN, given, (1 - share) * hard + share * given)
    nobody = share == 1.0  # has labelled this text: what no teacher knows either is left open
    places[(places == 0) & (np.nan_to_num(given, nan=float(nobody)) > _SUSPECTED)] = UNKNOWN
    return row | {
        "labels": np.where(taught, mixed, UNKNOWN if nobody else hard).tolist(),
        "sentiment": ((1 - share) * np.array(row["sentiment"]) + share * sentiment).tolist(),
        "places": places.tolist(),
    }
