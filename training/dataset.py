"""Cases → rows of passages with their targets (`datasets`) → batches of windows, with the noise of real typing."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from datasets import Dataset
from tokenizers import Tokenizer
from torch import Tensor

from otklik.nlp.passages import Window, encode, fill, pack, split
from otklik.nlp.preprocess import Reader
from otklik.taxonomy.model import Taxonomy
from otklik.training.cases import Case
from otklik.training.network import UNKNOWN

_LETTERS = "абвгдежзийклмнопрстуфхцчшщъыьэюя"
_PUNCTUATION = re.compile(r"[^\w\s]+")
_MARKED = 3  # characters of evidence that a passage must hold to count as its place


@dataclass(frozen=True, slots=True)
class Labels:
    """The outputs of the network by name: categories then triggers, and sentiments, in the order of the taxonomy."""

    categories: tuple[str, ...]
    triggers: tuple[str, ...]
    sentiments: tuple[str, ...]

    @classmethod
    def of(cls, taxonomy: Taxonomy) -> Labels:
        """All labels of a taxonomy."""
        sentiments = tuple(sentiment.id for sentiment in taxonomy.sentiments)
        return cls(tuple(taxonomy.category), tuple(taxonomy.trigger), sentiments)

    @property
    def multi(self) -> tuple[str, ...]:
        """What a text may have several of."""
        return self.categories + self.triggers


def to_dataset(cases: Sequence[Case], labels: Labels, reader: Reader) -> Dataset:
    """A row a case: ``passages``, ``labels`` and, by passage, ``places`` (0/1/`UNKNOWN`), ``sentiment`` (a share each), ``length``."""
    return Dataset.from_list([_row(case, labels, reader) for case in cases])


def _row(case: Case, labels: Labels, reader: Reader) -> dict[str, Any]:
    document = reader.read(case.text)
    spans = split(document) or [(0, len(document.text))]
    given = set(case.categories) | case.trigger_ids
    open_ = given | case.unasked
    places = [[UNKNOWN if label in open_ else 0.0 for label in labels.multi] for _ in spans]
    raw = [document.evidence(start, stop) if stop > start else None for start, stop in spans]
    for label, marked in case.marked.items():
        column = labels.multi.index(label)
        for row, passage in zip(places, raw, strict=True):
            row[column] = float(
                passage is not None
                and any(min(stop, passage.stop) - max(start, passage.start) >= min(_MARKED, stop - start) for start, stop in marked)
            )
    return {
        "passages": [document.text[start:stop] for start, stop in spans],
        "labels": [UNKNOWN if label in case.unasked - given else float(label in given) for label in labels.multi],
        "sentiment": [float(name == case.sentiment) for name in labels.sentiments],
        "places": places,
        "length": len(case.text),
    }


@dataclass(frozen=True, slots=True)
class Noise:
    """How often (0..1) a text of a batch gets typos, loses its punctuation, or loses the border between two passages."""

    typos: float
    most_typos: float  # share of the letters
    no_punctuation: float
    joined: float


@dataclass(frozen=True, slots=True)
class Collator:
    """Rows of `to_dataset` → the inputs of `Network`. Random only through ``random``, whose state a checkpoint keeps."""

    pieces: Tokenizer  # not «tokenizer»: the trainer would save one of its own kind
    special: tuple[int, int, int]
    window: int
    noise: Noise | None

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """Targets as tensors; see `Network.forward` for the shapes."""
        bos, eos, pad = self.special
        windows: list[Window] = []
        members: list[list[tuple[int, int]]] = []
        places = []
        width = len(rows[0]["labels"])
        for row in rows:
            passages, targets = row["passages"], row["places"]
            if self.noise:
                passages, targets = _noisy(passages, targets, self.noise)
            packed = pack(encode(self.pieces, passages), bos, eos, self.window) or [Window((bos, eos), ((0, 0, 2),))]
            for window in packed:
                members.append([(len(windows), place) for place in range(len(window.passages))])
                windows.append(window)
            members.append([])  # a mark between texts
            places.append([targets[number] for window in packed for number, _, _ in window.passages])
        return _tensors(rows, windows, _by_text(members), places, pad, width)


def _by_text(members: list[list[tuple[int, int]]]) -> list[list[tuple[int, int]]]:
    texts: list[list[tuple[int, int]]] = [[]]
    for member in members:
        if member:
            texts[-1].extend(member)
        else:
            texts.append([])
    return texts[:-1]


def _tensors(
    rows: Sequence[dict[str, Any]], windows: list[Window], texts: list[list[tuple[int, int]]], places: list[list[Any]], pad: int, width: int
) -> dict[str, Tensor]:
    ids, spread = map(torch.from_numpy, fill(windows, pad))
    most = spread.shape[1]
    longest = max(map(len, texts))
    members = torch.zeros(len(texts), longest, dtype=torch.long)
    present = torch.zeros(len(texts), longest, dtype=torch.bool)
    passage_targets = torch.full((len(texts), longest, width), UNKNOWN)
    for number, (text, targets) in enumerate(zip(texts, places, strict=True)):
        members[number, : len(text)] = torch.tensor([window * most + place for window, place in text])
        present[number, : len(text)] = True
        passage_targets[number, : len(text)] = torch.tensor(targets)
    return {
        "ids": ids,
        "spread": spread,
        "members": members,
        "present": present,
        "label_targets": torch.tensor([row["labels"] for row in rows]),
        "sentiment_targets": torch.tensor([row["sentiment"] for row in rows]),
        "passage_targets": passage_targets,
    }


def _noisy(passages: Sequence[str], targets: Sequence[Sequence[float]], noise: Noise) -> tuple[list[str], list[Sequence[float]]]:
    changed, kept = list(passages), list(targets)
    if random.random() < noise.joined:
        changed, kept = _joined(changed, kept)
    if random.random() < noise.no_punctuation:
        changed = [_PUNCTUATION.sub(" ", passage) for passage in changed]
    if random.random() < noise.typos:
        rate = random.uniform(0, noise.most_typos)
        changed = [with_typos(passage, rate) for passage in changed]
    return changed, kept


def _joined(passages: list[str], targets: list[Sequence[float]]) -> tuple[list[str], list[Sequence[float]]]:
    """Some neighbours become one passage, as where the author put no full stop."""
    texts, rows = passages[:1], targets[:1]
    for passage, row in zip(passages[1:], targets[1:], strict=True):
        if random.random() < 0.5 and len(texts[-1]) + len(passage) < 200:
            texts[-1] += " " + passage
            rows[-1] = [UNKNOWN if UNKNOWN in pair else max(pair) for pair in zip(rows[-1], row, strict=True)]
        else:
            texts.append(passage)
            rows.append(row)
    return texts, rows


def with_typos(text: str, rate: float) -> str:
    """``rate`` of the letters replaced, left out, doubled, preceded by a stray one, or exchanged with the next."""
    chars = list(text)
    for place, char in enumerate(chars):
        if char.isalpha() and random.random() < rate:
            kind = random.randrange(5)
            if kind == 0:
                chars[place] = random.choice(_LETTERS)
            elif kind == 1:
                chars[place] = ""
            elif kind == 2:
                chars[place] = char * 2
            elif kind == 3:
                chars[place] = random.choice(_LETTERS) + char
            elif place + 1 < len(chars) and chars[place + 1].isalpha():
                chars[place], chars[place + 1] = chars[place + 1], char
    return "".join(chars)
