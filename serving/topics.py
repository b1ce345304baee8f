"""Stories that no category names: groups of texts that are alike in meaning. Hints for a person, not answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from otklik.serving.phrases import Phrases

Vector = Callable[[str], NDArray[np.float64] | None]  # of a lemma; None for an unknown one

_MOST = 1500  # texts to compare with each other, the newest
_SEED = 3  # texts that begin a topic
_LEAST = 4  # texts of a topic
_ALIKE = 0.08  # mean cosine of two groups that become one
_BELONGS = 0.3  # cosine of a text and the middle of its topic
_COMMON = 3  # directions that all texts share: the language, not the subject
_ROUNDS = 10
_WORDS = 6


@dataclass(frozen=True, slots=True)
class Topic:
    """``words`` are lemmas; ``members`` places of the texts, the most typical first."""

    words: tuple[str, ...]
    members: tuple[int, ...]


def topics(phrases: Phrases, places: Sequence[int], vector: Vector) -> list[Topic]:
    """Groups among the texts of these places, the largest first; a text belongs to one at most.

    A text is the sum of its lemmas' vectors by their inverse frequency, without the directions that all texts share (Arora et al. 2017).
    Average linkage finds the middles; then each text goes to the nearest, if it is near.
    """
    places = places[-_MOST:]
    weighted = _weighted(phrases, vector)
    if len(places) < _LEAST or not weighted:
        return []
    vectors = _vectors(phrases, weighted)[list(places)]
    middles = [vectors[group].mean(axis=0) for group in _linked(vectors @ vectors.T) if len(group) >= _SEED]
    if not middles:
        return []
    near, nearest = _settled(vectors, np.array(middles))
    found = []
    for topic in range(len(middles)):
        members = np.flatnonzero((nearest == topic) & (near >= _BELONGS))
        if len(members) >= _LEAST:
            order = members[np.argsort(-near[members], kind="stable")]
            chosen = [places[number] for number in order]
            found.append(Topic(_typical(phrases, chosen, weighted), tuple(chosen)))
    return sorted(found, key=lambda topic: (-len(topic.members), topic.members))


def _weighted(phrases: Phrases, vector: Vector) -> dict[str, NDArray[np.float64]]:
    counts = Counter(word for words in phrases.words for word in words)
    weighted = {}
    for word, count in counts.items():
        found = vector(word)
        if found is not None:
            weighted[word] = found / np.linalg.norm(found) * np.log((len(phrases.words) + 1) / count)
    return weighted


def _vectors(phrases: Phrases, weighted: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Rows of length 1; 0 where no word is known."""
    matrix = np.zeros((len(phrases.words), len(next(iter(weighted.values())))))
    for row, words in enumerate(phrases.words):
        for word in sorted(words & weighted.keys()):
            matrix[row] += weighted[word]
    matrix = _unit(matrix)
    matrix -= matrix.mean(axis=0)
    common = np.linalg.eigh(matrix.T @ matrix)[1][:, -_COMMON:]
    return _unit(matrix - matrix @ common @ common.T)


def _unit(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-9))


def _linked(alike: NDArray[np.float64]) -> list[list[int]]:
    """Average linkage: the two groups with the highest mean similarity become one, until none is high enough."""
    groups = {number: [number] for number in range(len(alike))}
    gone = -9.0
    np.fill_diagonal(alike, gone)
    while len(groups) > 1:
        one, other = divmod(int(alike.argmax()), len(alike))
        if alike[one, other] < _ALIKE:
            break
        sizes = len(groups[one]), len(groups[other])
        merged = (alike[one] * sizes[0] + alike[other] * sizes[1]) / sum(sizes)
        merged[[one, other]] = gone
        merged[alike[one] == gone] = gone
        alike[one], alike[:, one] = merged, merged
        alike[other], alike[:, other] = gone, gone
        groups[one] += groups.pop(other)
    return list(groups.values())


def _settled(vectors: NDArray[np.float64], middles: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """For each text the cosine to the nearest middle and which it is, after the middles have moved to their texts."""
    for _ in range(_ROUNDS):
        alike = vectors @ _unit(middles).T
        near, nearest = alike.max(axis=1), alike.argmax(axis=1)
        for topic in range(len(middles)):
            members = (nearest == topic) & (near >= _BELONGS)
            if members.sum() > 1:
                middles[topic] = vectors[members].mean(axis=0)
    return near, nearest


def _typical(phrases: Phrases, places: Sequence[int], weighted: Mapping[str, NDArray[np.float64]]) -> tuple[str, ...]:
    """Words that lie along the middle of the topic, those of several texts first; a word of one text in the whole file may be a name."""
    common = Counter(word for words in phrases.words for word in words)
    counts = Counter(word for place in places for word in phrases.words[place] & weighted.keys() if common[word] > 1)
    middle = sum((weighted[word] * count for word, count in sorted(counts.items())), np.zeros(1))
    score = {word: float(weighted[word] @ middle) * count for word, count in counts.items()}
    return tuple(sorted(score, key=lambda word: (-score[word], word))[:_WORDS])


def word_vectors() -> Vector:
    """Of the lemmas that natasha knows from the news, 250,000; they come with its package."""
    from natasha import NewsEmbedding  # noqa: PLC0415  a second that tests of plain vectors need not wait

    known = NewsEmbedding()
    return lambda lemma: np.asarray(known[lemma], dtype=np.float64) if lemma in known else None
