"""How fast an engine reads, how much memory it holds, and how its time grows with the length of a text."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from otklik.nlp.analyzer import Analyzer

_LENGTHS = (1_000, 10_000, 100_000)  # code points
_REPEATS = 3
_BATCH = 256  # texts
_READERS = 2  # threads: the rules of one batch are applied while the network reads another
_ALONE = 200
_SIZE = 1536  # of a matrix, about what the network multiplies


@dataclass(frozen=True, slots=True)
class Throughput:
    """One pass over some texts in batches, beginning with cold caches.

    ``peak_mb`` is of the process since its start; ``latency_ms`` the median of texts read alone.
    """

    texts: int
    characters: int
    seconds: float
    cpu_seconds: float
    peak_mb: float
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Growth:
    """Best CPU time of `_REPEATS` readings of one text of ``characters`` code points."""

    characters: int
    cpu_seconds: float


def throughput(analyzer: Analyzer, texts: Sequence[str]) -> Throughput:
    """Reads every text once, `_BATCH` together and two batches at a time, as the batch command does; and then some of them alone."""
    wall, cpu = time.perf_counter(), time.process_time()
    parts = [texts[start : start + _BATCH] for start in range(0, len(texts), _BATCH)]
    with ThreadPoolExecutor(_READERS) as pool:
        for _ in pool.map(analyzer.analyze_all, parts):
            pass
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    latencies = []
    for text in texts[:_ALONE]:
        start_alone = time.perf_counter()
        analyzer.analyze(text)
        latencies.append(time.perf_counter() - start_alone)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000  # kilobytes on Linux
    return Throughput(len(texts), sum(map(len, texts)), wall, cpu, peak, statistics.median(latencies) * 1000)


def matrix_rate() -> float:
    """Product of two square fp32 matrices on all cores, best of `_REPEATS`, in 10⁹ operations a second: what the machine can do at most."""
    left, right = np.random.default_rng(0).normal(size=(2, _SIZE, _SIZE)).astype(np.float32)
    times = []
    for _ in range(_REPEATS + 1):
        start = time.perf_counter()
        left @ right
        times.append(time.perf_counter() - start)
    return 2 * _SIZE**3 / min(times) / 1e9


def growth(analyzer: Analyzer, texts: Sequence[str]) -> list[Growth]:
    """Reads ever longer texts, made of the given ones joined and, where they are too few, repeated."""
    joined = " ".join(texts)
    joined *= 1 + _LENGTHS[-1] // max(len(joined), 1)
    grown = []
    for length in _LENGTHS:
        times = []
        for _ in range(_REPEATS):
            start = time.process_time()
            analyzer.analyze(joined[:length])
            times.append(time.process_time() - start)
        grown.append(Growth(length, min(times)))
    return grown
