"""The analysts' report: what a labelled file tells. `page` shows it, `sheets` holds its numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property, lru_cache

from markupsafe import Markup

from otklik.nlp.masking import Masker
from otklik.nlp.preprocess import Reader
from otklik.serving import charts, insight, words
from otklik.serving.bursts import Burst, bursts
from otklik.serving.insight import Cost, Reason
from otklik.serving.phrases import Growth, Phrases, grown, read_phrases
from otklik.serving.quotes import Quote, shortened
from otklik.serving.shares import Nps, Share, more_than_chance
from otklik.serving.survey import Entry, Survey
from otklik.serving.topics import Vector, topics
from otklik.taxonomy.model import Severity, Taxonomy

EXTERNAL = "other.external"
_URGENT = 200  # rows of the list
_GROWN = 12
_TOPICS = 8
_BURSTS = 6
_NAMES = 4  # of a burst, in its title
_QUOTES = 3
_EXTERNAL = 8
_PRAISE_WEEKS = 4
_PRAISE = (40, 260)  # characters of a quote worth reading aloud
_SHORTEST = 20  # of any praise: «Спасибо!» tells nothing
_FEW_MARKS = 3
_YEAR = 52  # weeks of a topic that are shown
_SURE = 0.05


@dataclass(frozen=True, slots=True)
class Urgent:
    severity: str
    titles: tuple[str, ...]
    minutes: int | None
    route: str
    quote: Quote


@dataclass(frozen=True, slots=True)
class Fresh:
    """A phrase that came up, with one text."""

    words: str
    growth: Growth
    quote: Quote


@dataclass(frozen=True, slots=True)
class Theme:
    """A possible new reason; ``early`` and ``late``: shares of all texts in the first three quarters of the period and in the last."""

    words: tuple[str, ...]
    size: int
    early: Share | None
    late: Share | None
    grows: bool
    weekly: tuple[int, ...]
    spark: Markup | None
    quotes: tuple[Quote, ...]


@dataclass(frozen=True, slots=True)
class Surge:
    """``title``: the names that tell the story, reasons first; ``name`` is the one that was counted."""

    name: str
    title: str
    also: tuple[str, ...]
    burst: Burst
    quotes: tuple[Quote, ...]


@dataclass(frozen=True)
class Report:
    """All that the page and the sheets show; each part is worked out when it is asked for."""

    survey: Survey
    taxonomy: Taxonomy
    reader: Reader
    masker: Masker | None
    vector: Vector
    title: str
    source: str
    today: date

    @property
    def entries(self) -> Sequence[Entry]:
        return self.survey.entries

    @cached_property
    def quote(self) -> Callable[[Entry], Quote]:
        mask = lru_cache(maxsize=None)(self.masker.mask if self.masker else str)
        return lambda entry: shortened(entry, mask)

    @cached_property
    def titles(self) -> Mapping[str, str]:
        """Of labels, groups and sentiments; a label that the taxonomy lacks is its own title."""
        whole = self.taxonomy
        titles = {group.id: group.title for group in whole.groups} | {reason.id: reason.title for reason in whole.categories}
        titles |= {trigger.id: trigger.title for trigger in whole.triggers}
        return titles | {sentiment.id: sentiment.title for sentiment in whole.sentiments}

    def name(self, label: str) -> str:
        return self.titles.get(label) or words.DEPARTMENTS.get(label, label)

    @cached_property
    def span(self) -> tuple[date, date] | None:
        return insight.span(self.entries)

    @cached_property
    def compared(self) -> tuple[tuple[date, date], tuple[date, date]] | None:
        """First and last day of the halves that changes are between."""
        if not self.span or not insight.halves(self.entries):
            return None
        half = timedelta(days=((self.span[1] - self.span[0]).days + 1) // 2)
        border = self.span[1] - half + timedelta(days=1)
        return (border - half, border - timedelta(days=1)), (border, self.span[1])

    @cached_property
    def quarter(self) -> date | None:
        """The day on which the last quarter begins."""
        if not self.span or not insight.quarters(self.entries):
            return None
        return self.span[1] - timedelta(days=((self.span[1] - self.span[0]).days + 1) // 4 - 1)

    def sentiment(self, label: str) -> Share:
        return insight.share(self.entries, lambda entry: entry.sentiment == label)

    @cached_property
    def negative(self) -> Share:
        return self.sentiment("negative")

    @cached_property
    def reasons(self) -> Sequence[Reason]:
        return insight.reasons(self.entries, lambda entry: entry.categories)

    @cached_property
    def groups(self) -> Sequence[Reason]:
        return insight.reasons(self.entries, lambda entry: entry.groups)

    @cached_property
    def departments(self) -> Sequence[Reason]:
        return insight.reasons(self.entries, lambda entry: entry.departments)

    @cached_property
    def timeline(self) -> tuple[str, list[insight.Period]]:
        return insight.timeline(self.entries)

    @cached_property
    def costs(self) -> Sequence[Cost]:
        return insight.costs(self.entries)

    @cached_property
    def nps_costs(self) -> Sequence[Cost]:
        """With enough marks of 0..10, the dearest first."""
        known = [cost for cost in self.costs if cost.nps_cost is not None and cost.nps.total >= _FEW_MARKS]
        return sorted(known, key=lambda cost: (cost.nps_cost or 0.0, cost.id))

    @cached_property
    def csat_costs(self) -> Sequence[Cost]:
        """With enough marks of 1..5, the dearest first."""
        known = [cost for cost in self.costs if cost.csat_cost is not None and cost.csat.total >= _FEW_MARKS]
        return sorted(known, key=lambda cost: (cost.csat_cost or 0.0, cost.id))

    @cached_property
    def nps(self) -> Nps:
        return insight.nps(self.entries)

    @cached_property
    def csat(self) -> Share:
        return insight.csat(self.entries)

    @cached_property
    def urgencies(self) -> Counter[str]:
        return Counter(entry.urgency for entry in self.entries if entry.urgency in set(Severity))

    @cached_property
    def urgent(self) -> Sequence[Urgent]:
        """The most severe first, then the newest."""
        cases = [entry for entry in self.entries if entry.urgency in set(Severity)]
        cases.sort(key=lambda entry: (Severity(entry.urgency).rank, -(entry.day or date.min).toordinal(), entry.row))
        return [self._urgent(entry) for entry in cases[:_URGENT]]

    def _urgent(self, entry: Entry) -> Urgent:
        fired = [self.taxonomy.trigger[label] for label in entry.triggers if label in self.taxonomy.trigger]
        first = min(fired, key=lambda trigger: trigger.severity.rank, default=None)
        route = first.route if first else ""
        if route == "department":
            route = next(iter(entry.departments), "support")
        titles = tuple(self.name(label) for label in entry.triggers)
        return Urgent(entry.urgency, titles, first.respond_within_minutes if first else None, self.name(route), self.quote(entry))

    @cached_property
    def phrases(self) -> Phrases:
        return read_phrases([entry.text for entry in self.entries], self.reader, names=self.masker is None)

    @cached_property
    def news(self) -> Sequence[insight.New]:
        return insight.news(self.entries)

    @cached_property
    def fresh(self) -> Sequence[Fresh]:
        """Each with the shortest text that is not too short and was not shown yet."""
        shown: set[int] = set()
        found = []
        for growth in grown(self.phrases, *self._quarters)[:_GROWN]:
            lengths = {place: len(self.entries[place].text) for place in growth.texts}
            place = min(growth.texts, key=lambda place: (place in shown, lengths[place] < _PRAISE[0], lengths[place]))
            shown.add(place)
            found.append(Fresh(self.phrases.shown[growth.phrase], growth, self.quote(self.entries[place])))
        return found

    @cached_property
    def _quarters(self) -> tuple[list[int], list[int]]:
        """Places of the texts before the last quarter and in it."""
        days = [entry.day for entry in self.entries]
        if not self.quarter:
            return [], []
        early = [place for place, day in enumerate(days) if day and day < self.quarter]
        return early, [place for place, day in enumerate(days) if day and day >= self.quarter]

    @cached_property
    def unnamed(self) -> Sequence[int]:
        """Places of the texts that are unhappy without a category and belong to no burst, the newest last."""
        told = {place for burst in self._bursts for place in burst.members}
        found = [place for place, entry in enumerate(self.entries) if not entry.categories and insight.unhappy(entry) and place not in told]
        return sorted(found, key=lambda place: self.entries[place].day or date.min)

    @cached_property
    def themes(self) -> Sequence[Theme]:
        """What grows first, then by size."""
        found = topics(self.phrases, self.unnamed, self.vector)
        themes = [self._theme(topic.words, topic.members, len(found)) for topic in found]
        return sorted(themes, key=lambda theme: not theme.grows)[:_TOPICS]

    def _theme(self, typical: tuple[str, ...], members: tuple[int, ...], tests: int) -> Theme:
        early, late = (Share(len({*members} & {*part}), len(part)) for part in self._quarters)
        both = early.total and late.total
        grows = bool(both) and more_than_chance(late, early) * tests < _SURE
        weekly: Sequence[int] = ()
        if self.span:
            first = max(self.span[0], self.span[1] - timedelta(weeks=_YEAR))
            weekly = insight.weekly((self.entries[place].day for place in members), first, self.span[1])
        spark = charts.spark(weekly, f"по неделям: {', '.join(map(str, weekly))}") if len(weekly) > 1 else None
        quotes = tuple(self.quote(self.entries[place]) for place in members[:_QUOTES])
        return Theme(typical, len(members), early if both else None, late if both else None, grows, tuple(weekly), spark, quotes)

    @cached_property
    def _bursts(self) -> Sequence[Burst]:
        days = [entry.day for entry in self.entries]
        return bursts(days, [entry.categories for entry in self.entries], self.phrases)

    @cached_property
    def surges(self) -> Sequence[Surge]:
        return [self._surge(burst) for burst in self._bursts[:_BURSTS]]

    def _surge(self, burst: Burst) -> Surge:
        reasons = self.taxonomy.category
        names = [reasons[name].title if name in reasons else name for name in (burst.name, *burst.also)]
        titles = {reason.title for reason in self.taxonomy.categories}
        title = ", ".join(f"«{name}»" for name in sorted(names, key=lambda name: name not in titles)[:_NAMES])
        quotes = tuple(self.quote(self.entries[place]) for place in burst.members[: _QUOTES + 2])
        return Surge(names[0], title, tuple(names[1:]), burst, quotes)

    @cached_property
    def external(self) -> tuple[Share, Sequence[Quote]]:
        cases = [entry for entry in self.entries if EXTERNAL in entry.categories]
        return Share(len(cases), len(self.entries)), [self.quote(entry) for entry in _newest(cases)[:_EXTERNAL]]

    @cached_property
    def praise(self) -> Sequence[tuple[date | None, Sequence[Quote]]]:
        """Of each of the last weeks (by its Monday), the newest first; without dates, of the whole file."""
        weeks: dict[date | None, list[Entry]] = {}
        for entry in self.entries:
            if entry.sentiment == "positive" and not entry.categories and not insight.unhappy(entry) and len(entry.text) >= _SHORTEST:
                weeks.setdefault(entry.day and entry.day - timedelta(days=entry.day.weekday()), []).append(entry)
        if self.span:
            monday = self.span[1] - timedelta(days=self.span[1].weekday())
            last = [monday - timedelta(weeks=week) for week in range(_PRAISE_WEEKS)]
            return [(week, self._best(weeks[week])) for week in last if week in weeks]
        return [(None, self._best(weeks[None], 2 * _QUOTES))] if None in weeks else []

    def _best(self, entries: Sequence[Entry], count: int = _QUOTES) -> Sequence[Quote]:
        """The highest mark, then what can be quoted whole and says most; each text once."""

        def key(entry: Entry) -> tuple[float, bool, int, int]:
            low, high = _PRAISE
            mark = (entry.mark or 0.0) / (10 if entry.ten else 5)
            return -mark, not low <= len(entry.text) <= high, -len(set(entry.text.lower().split())), entry.row

        chosen = {entry.text.strip().lower(): entry for entry in sorted(entries, key=key, reverse=True) if not entry.doubts}
        return [self.quote(entry) for entry in sorted(chosen.values(), key=key)[:count]]

    @cached_property
    def review(self) -> Share:
        return insight.share(self.entries, lambda entry: bool(entry.doubts))

    @cached_property
    def doubts(self) -> Sequence[Reason]:
        return insight.reasons(self.entries, lambda entry: entry.doubts)

    @cached_property
    def strange(self) -> Sequence[str]:
        """Labels of the file that the taxonomy lacks."""
        return sorted({label for entry in self.entries for label in (*entry.categories, *entry.triggers)} - self.titles.keys())

    def versions(self) -> Sequence[tuple[str, str]]:
        """What the footer tells: name, and values with their numbers of texts where there are several."""
        told = (("Кто отвечал", [entry.engine for entry in self.entries]), ("Версия модели", [entry.model for entry in self.entries]),
                ("Таксономия", [f"{self.taxonomy.id} {entry.taxonomy}" for entry in self.entries]))  # fmt: skip
        found = []
        for name, values in told:
            counts = Counter(words.ENGINES.get(value, value) for value in values).most_common()
            found.append((name, ", ".join(value if len(counts) == 1 else f"{value} ({count})" for value, count in counts) or "–"))
        return found


def _newest(entries: Sequence[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: (-(entry.day or date.min).toordinal(), entry.row))
