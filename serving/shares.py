"""Shares with what may be chance about them."""

from __future__ import annotations

import math
from dataclasses import dataclass

_Z = 1.959964  # of a 95 % interval


@dataclass(frozen=True, slots=True)
class Share:
    """``count`` of ``total`` with the 95 % interval of Wilson (1927), all in 0..1. Of nothing: 0, from 0 to 1."""

    count: int
    total: int

    @property
    def value(self) -> float:
        return self.count / self.total if self.total else 0.0

    @property
    def low(self) -> float:
        return self._end(-1)

    @property
    def high(self) -> float:
        return self._end(1)

    def _end(self, side: int) -> float:
        if not self.total:
            return float(side > 0)
        squared = _Z**2 / self.total
        middle = self.value + squared / 2
        reach = math.sqrt(squared * (self.value * (1 - self.value) + squared / 4))
        return min(1.0, max(0.0, (middle + side * reach) / (1 + squared)))


@dataclass(frozen=True, slots=True)
class Nps:
    """Marks of 0..10. ``value`` and ``margin`` (half of the 95 % interval) are points, -100..100."""

    promoters: int
    passives: int
    detractors: int

    @property
    def total(self) -> int:
        return self.promoters + self.passives + self.detractors

    @property
    def value(self) -> float:
        return 100 * (self.promoters - self.detractors) / self.total if self.total else 0.0

    @property
    def margin(self) -> float:
        if not self.total:
            return 100.0
        mean = self.value / 100
        return 100 * _Z * math.sqrt(max(0.0, (self.promoters + self.detractors) / self.total - mean**2) / self.total)


@dataclass(frozen=True, slots=True)
class Change:
    """A share in the earlier and in the later half of the period."""

    before: Share
    after: Share

    @property
    def points(self) -> float:
        """Percentage points."""
        return 100 * (self.after.value - self.before.value)

    @property
    def apart(self) -> bool:
        """Whether the intervals do not overlap."""
        return self.before.high < self.after.low or self.after.high < self.before.low


def more_than_chance(after: Share, before: Share) -> float:
    """One-sided exact test of Fisher: the probability of at least ``after.count`` were both shares the same."""
    hits, total = after.count + before.count, after.total + before.total
    whole = _log_choose(total, hits)
    return sum(
        math.exp(_log_choose(after.total, count) + _log_choose(before.total, hits - count) - whole)
        for count in range(after.count, min(hits, after.total) + 1)
        if hits - count <= before.total
    )


def _log_choose(many: int, few: int) -> float:
    return math.lgamma(many + 1) - math.lgamma(few + 1) - math.lgamma(many - few + 1)


def poisson_tail(count: int, expected: float) -> float:
    """The probability of ``count`` or more. Summed upwards, so that small ones stay exact."""
    term = math.exp(count * math.log(expected) - expected - math.lgamma(count + 1)) if expected > 0 else float(count == 0)
    total, number = 0.0, count
    while term > total * 1e-12:
        total += term
        number += 1
        term *= expected / number
    return min(1.0, total)
