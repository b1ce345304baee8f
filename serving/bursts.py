"""Bursts: a few days on which one reason or phrase is told far more often than usual."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from otklik.serving.phrases import Phrases, distinct
from otklik.serving.shares import poisson_tail

_WINDOWS = (1, 2, 3)  # days
_LONGEST = 366  # days that are searched, the last ones
_SHORTEST = 7
_BURST = 4  # texts
_TIMES = 3  # as many as usual
_SURE = 0.01
_SAME = 0.25  # of the texts of one burst in another of the same days: one story


@dataclass(frozen=True, slots=True)
class Burst:
    """One reason (by id) or phrase, ``name``, in the days ``first`` to ``last``; ``also`` came with it. ``p`` is corrected for all tests.

    ``expected``: texts that its usual share would make. ``members``: places of the texts, those with the most of the names first.
    """

    name: str
    first: date
    last: date
    count: int
    expected: float
    p: float
    also: tuple[str, ...]
    members: tuple[int, ...]


def bursts(days: Sequence[date | None], labels: Sequence[Sequence[str]], phrases: Phrases) -> list[Burst]:
    """Of reasons (by id) and phrases, the surest first. A burst that shares days and texts with a surer one is part of it."""
    known = sorted({day for day in days if day})
    if not known or (known[-1] - known[0]).days + 1 < _SHORTEST:
        return []
    begin = max(known[0], known[-1] - timedelta(days=_LONGEST - 1))
    where: dict[str, list[tuple[int, int]]] = {}  # of a name: days since the beginning, and places
    volume = np.zeros((known[-1] - begin).days + 1)
    for place, day in enumerate(days):
        if day and day >= begin:
            volume[(day - begin).days] += 1
            for name in (*labels[place], *phrases.texts[place]):
                where.setdefault(name, []).append(((day - begin).days, place))
    tested = {name: texts for name, texts in where.items() if len(texts) >= _BURST}
    tests = len(tested) * sum(max(0, len(volume) - length + 1) for length in _WINDOWS)
    return _joined(
        sorted((hit for name, texts in tested.items() for hit in _hits(name, texts, volume, tests)), key=lambda hit: (hit.p, hit.name)),
        begin,
        {*(label for each in labels for label in each)},
        phrases.shown,
    )


@dataclass(frozen=True, slots=True)
class _Hit:
    name: str
    day: int
    stop: int
    count: int
    expected: float
    p: float
    texts: frozenset[int]


def _hits(name: str, texts: Sequence[tuple[int, int]], volume: NDArray[np.float64], tests: int) -> list[_Hit]:
    """The surest window, and further ones that do not touch it."""
    daily = np.bincount([day for day, _ in texts], minlength=len(volume)).astype(float)
    found = []
    for length in _WINDOWS:
        counts, sizes = (np.convolve(each, np.ones(length), "valid") for each in (daily, volume))
        # The usual share is that of all other days; half a text more, so that what was never there before is not infinitely rare.
        expected = (daily.sum() - counts + 0.5) / np.maximum(volume.sum() - sizes, 1.0) * sizes
        for day in np.flatnonzero((counts >= _BURST) & (counts >= _TIMES * expected)):
            p = min(1.0, tests * poisson_tail(int(counts[day]), float(expected[day])))
            if p < _SURE:
                inside = frozenset(place for other, place in texts if day <= other < day + length)
                found.append(_Hit(name, int(day), int(day) + length, int(counts[day]), float(expected[day]), p, inside))
    kept: list[_Hit] = []
    for hit in sorted(found, key=lambda hit: (hit.p, hit.stop - hit.day)):
        if all(hit.stop <= other.day or hit.day >= other.stop for other in kept):
            kept.append(hit)
    return kept


def _joined(hits: Sequence[_Hit], begin: date, labels: set[str], shown: Mapping[str, str]) -> list[Burst]:
    stories: list[list[_Hit]] = []
    for hit in hits:
        for story in stories:
            texts = frozenset().union(*(other.texts for other in story))
            if hit.day < story[0].stop and hit.stop > story[0].day and len(hit.texts & texts) >= _SAME * len(hit.texts):
                story.append(hit)
                break
        else:
            stories.append([hit])
    found = []
    for first, *rest in stories:
        score = Counter(place for hit in (first, *rest) for place in hit.texts)
        named = distinct([first.name, *(hit.name for hit in rest)])[1:]
        found.append(
            Burst(
                first.name if first.name in labels else shown[first.name],
                begin + timedelta(days=first.day),
                begin + timedelta(days=first.stop - 1),
                first.count,
                first.expected,
                first.p,
                tuple(name if name in labels else shown[name] for name in named),
                tuple(sorted(score, key=lambda place: (-score[place], place))),
            )
        )
    return found
