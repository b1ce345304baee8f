"""What a taxonomy is: frozen values without input or output. Order is the order of the file; a label is its id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from otklik.taxonomy.phrases import Phrase


class Severity(StrEnum):
    """How fast somebody has to act; members stand from most to least urgent."""

    CRITICAL = "critical"
    HIGH = "high"
    NORMAL = "normal"

    @property
    def rank(self) -> int:
        """0 for the most urgent."""
        return list(Severity).index(self)


class Stands(StrEnum):
    """When a trigger counts: only while the situation lasts, or also when it is reported."""

    NOW = "now"
    REPORTED = "reported"


@dataclass(frozen=True, slots=True)
class Words:
    """Phrases of one label: each of ``words`` is enough, ``hints`` count together, ``unless`` cancels a hit that it covers."""

    words: tuple[Phrase, ...] = ()
    hints: tuple[Phrase, ...] = ()
    unless: tuple[Phrase, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """A family of categories; its id is the part of a category id before the dot."""

    id: str
    title: str


@dataclass(frozen=True, slots=True)
class Category:
    """One reason of dissatisfaction. ``department`` is None where nobody has to act."""

    id: str
    title: str
    department: str | None
    covers: str
    excludes: str
    phrases: Words
    examples: tuple[str, ...]
    formerly: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """Id of the group: the part before the dot."""
        return self.id.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Sentiment:
    """One overall attitude. A text has exactly one."""

    id: str
    title: str
    covers: str
    phrases: Words
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trigger:
    """One situation that is escalated. ``route`` is a team, or ``department`` for the department of the text's first category."""

    id: str
    title: str
    severity: Severity
    route: str
    respond_within_minutes: int
    covers: str
    stands: Stands
    needs_problem: bool
    phrases: Words
    examples: tuple[str, ...]
    contrasts: tuple[str, ...]
    formerly: tuple[str, ...] = ()


@dataclass(frozen=True)
class Taxonomy:
    """A released version, or one with an overlay on top: then ``overlay`` is the overlay's own ``id-version``."""

    id: str
    base_version: str
    groups: tuple[Group, ...]
    categories: tuple[Category, ...]
    sentiments: tuple[Sentiment, ...]
    triggers: tuple[Trigger, ...]
    overlay: str | None = None

    @property
    def version(self) -> str:
        """What an answer carries: ``1.0.0``, with an overlay ``1.0.0+travel-agency-2.1.0`` (semver build metadata)."""
        return f"{self.base_version}+{self.overlay}" if self.overlay else self.base_version

    @cached_property
    def category(self) -> Mapping[str, Category]:
        """Categories by id, in the order of the taxonomy."""
        return {category.id: category for category in self.categories}

    @cached_property
    def trigger(self) -> Mapping[str, Trigger]:
        """Triggers by id, in the order of the taxonomy."""
        return {trigger.id: trigger for trigger in self.triggers}
