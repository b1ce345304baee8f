"""Numbers of the analysts' report: shares with their intervals, changes, marks, time. Pure; nothing is read or written here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import pandas as pd

from otklik.serving.shares import Change, Nps, Share, more_than_chance
from otklik.serving.survey import Entry

_DAYS = 35  # a longer period is told by weeks
_WEEKS = 156 * 7  # days; a longer one by months
_PROMOTER, _DETRACTOR, _CONTENT = 9, 6, 4
_ENOUGH = 5  # texts with a reason, for its change to be told as growth
_NEW = 4  # texts of the last quarter
_LOW_BASE = 0.05
_SURE = 0.05


@dataclass(frozen=True, slots=True)
class Reason:
    """One label among all texts; ``change`` is None without dates."""

    id: str
    share: Share
    change: Change | None


@dataclass(frozen=True, slots=True)
class Cost:
    """What goes together with a reason: marks of the texts that have it, and the points by which all marks fall short of the rest's."""

    id: str
    nps: Nps
    csat: Share
    nps_cost: float | None
    csat_cost: float | None


@dataclass(frozen=True, slots=True)
class Period:
    """A day, week or month that begins at ``start``."""

    start: date
    counts: Mapping[str, int]
    negative: Share


@dataclass(frozen=True, slots=True)
class New:
    """A reason that was rare in the first three quarters of the period and is not in the last; ``p`` is corrected for all reasons."""

    id: str
    before: Share
    after: Share
    p: float


def span(entries: Iterable[Entry]) -> tuple[date, date] | None:
    """First and last day."""
    days = [entry.day for entry in entries if entry.day]
    return (min(days), max(days)) if days else None


def halves(entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry]] | None:
    """The earlier and the later half of the days; of an odd number the first is left out. None where there are no two days."""
    return _parts(entries, lambda days: (days // 2, days // 2))


def quarters(entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry]] | None:
    """The first three quarters of the days and the last one. None where there are fewer than four days."""
    return _parts(entries, lambda days: (days - days // 4, days // 4))


def _parts(entries: Sequence[Entry], lengths: Callable[[int], tuple[int, int]]) -> tuple[list[Entry], list[Entry]] | None:
    found = span(entries)
    if not found:
        return None
    last = found[1]
    earlier, later = lengths((last - found[0]).days + 1)
    if not later:
        return None
    border = last - timedelta(days=later - 1)
    begin = border - timedelta(days=earlier)
    return (
        [entry for entry in entries if entry.day and begin <= entry.day < border],
        [entry for entry in entries if entry.day and entry.day >= border],
    )


def share(entries: Sequence[Entry], holds: Callable[[Entry], bool]) -> Share:
    """Of all the entries those for which it holds."""
    return Share(sum(map(holds, entries)), len(entries))


def change(entries: Sequence[Entry], holds: Callable[[Entry], bool]) -> Change | None:
    """Between the halves; None without dates."""
    parts = halves(entries)
    return Change(share(parts[0], holds), share(parts[1], holds)) if parts and all(parts) else None


def reasons(entries: Sequence[Entry], labels: Callable[[Entry], Sequence[str]]) -> list[Reason]:
    """Every label that occurs, the most frequent first, ties by id."""
    counts = Counter(label for entry in entries for label in labels(entry))
    parts = halves(entries)
    if parts and all(parts):
        early, late = (Counter(label for entry in part for label in labels(entry)) for part in parts)
        sizes = len(parts[0]), len(parts[1])
    found = []
    for label, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        moved = Change(Share(early[label], sizes[0]), Share(late[label], sizes[1])) if parts and all(parts) else None
        found.append(Reason(label, Share(count, len(entries)), moved))
    return found


def fastest(found: Sequence[Reason]) -> Reason | None:
    """The reason that grew most, among those with enough texts; what is sure goes before what may be chance."""
    grown = [reason for reason in found if reason.change and reason.change.points > 0 and reason.share.count >= _ENOUGH]
    return max(grown, key=lambda reason: (reason.change.apart, reason.change.points) if reason.change else (False, 0.0), default=None)


def nps(entries: Iterable[Entry]) -> Nps:
    """Of the marks from 0 to 10."""
    marks = [entry.mark for entry in entries if entry.ten and entry.mark is not None]
    promoters, detractors = sum(mark >= _PROMOTER for mark in marks), sum(mark <= _DETRACTOR for mark in marks)
    return Nps(promoters, len(marks) - promoters - detractors, detractors)


def csat(entries: Iterable[Entry]) -> Share:
    """Share of 4 and 5 among the marks from 1 to 5."""
    marks = [entry.mark for entry in entries if not entry.ten and entry.mark is not None]
    return Share(sum(mark >= _CONTENT for mark in marks), len(marks))


def costs(entries: Sequence[Entry]) -> list[Cost]:
    """For every category with marks: the mean of all minus the mean of the texts without it. Dearest first."""
    whole_nps, whole_csat = nps(entries), csat(entries)
    found = []
    for label in sorted({label for entry in entries for label in entry.categories}):
        having = [entry for entry in entries if label in entry.categories]
        lacking = [entry for entry in entries if label not in entry.categories]
        own_nps, own_csat, rest_nps, rest_csat = nps(having), csat(having), nps(lacking), csat(lacking)
        points = whole_nps.value - rest_nps.value if own_nps.total and rest_nps.total else None
        percents = 100 * (whole_csat.value - rest_csat.value) if own_csat.total and rest_csat.total else None
        if own_nps.total or own_csat.total:
            found.append(Cost(label, own_nps, own_csat, points, percents))
    return sorted(found, key=lambda cost: (cost.nps_cost or 0.0, cost.csat_cost or 0.0, cost.id))


def timeline(entries: Sequence[Entry]) -> tuple[str, list[Period]]:
    """``D``, ``W`` (from Monday) or ``M``, and every such period from the first to the last, empty ones too."""
    found = span(entries)
    if not found:
        return "D", []
    length = (found[1] - found[0]).days + 1
    unit = "D" if length <= _DAYS else "W" if length <= _WEEKS else "M"
    frame = pd.DataFrame([(entry.day, entry.sentiment) for entry in entries if entry.day], columns=["day", "sentiment"])
    starts = pd.PeriodIndex(pd.to_datetime(frame["day"]), freq=unit)
    table = pd.crosstab(starts, frame["sentiment"]).reindex(pd.period_range(starts.min(), starts.max(), freq=unit), fill_value=0)
    periods = []
    for start, row in zip(table.index, table.to_dict("records"), strict=True):
        counts = {str(name): int(count) for name, count in row.items()}
        periods.append(Period(start.start_time.date(), counts, Share(counts.get("negative", 0), sum(counts.values()))))
    return unit, periods


def weekly(days: Iterable[date | None], first: date, last: date) -> list[int]:
    """Counts of each week from that of ``first`` to that of ``last``."""
    monday = first - timedelta(days=first.weekday())
    counts = Counter((day - monday).days // 7 for day in days if day)
    return [counts[week] for week in range((last - monday).days // 7 + 1)]


def news(entries: Sequence[Entry]) -> list[New]:
    """Reasons that grew in the last quarter off a low base, by the exact test of Fisher with the correction of Bonferroni."""
    parts = quarters(entries)
    if not parts or not all(parts):
        return []
    early, late = (Counter(label for entry in part for label in entry.categories) for part in parts)
    found = []
    for label in late:
        before, after = Share(early[label], len(parts[0])), Share(late[label], len(parts[1]))
        p = min(1.0, len(late) * more_than_chance(after, before))
        if after.count >= _NEW and before.value <= _LOW_BASE and p < _SURE:
            found.append(New(label, before, after, p))
    return sorted(found, key=lambda new: (new.p, new.id))


def unhappy(entry: Entry) -> bool:
    """By the mark where it is clear, else by the words: negative or mixed."""
    if entry.mark is not None and entry.mark <= (_DETRACTOR if entry.ten else _CONTENT - 1):
        return True
    if entry.mark is not None and entry.mark >= (_PROMOTER if entry.ten else _CONTENT + 1):
        return False
    return entry.sentiment in {"negative", "mixed"}
