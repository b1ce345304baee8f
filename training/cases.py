"""Labelled cases: read and checked; every problem is told as ``file:line``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from otklik.taxonomy.model import Taxonomy
from otklik.training.problems import TrainingError


class CasesError(TrainingError):
    """Cases that cannot be used; ``problems`` has a line for each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True, slots=True)
class Quote:
    """A trigger with the words that show it: an exact piece of the text, from ``start`` on, else its first occurrence."""

    id: str
    quote: str
    start: int | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One labelled text. Categories and triggers are sets in truth; they keep the order of the file.

    ``evidence``: the passages of some or all categories as ``[start, stop)`` of the text.
    ``unasked``: labels that it may have although it does not name them, as whoever labelled it did not look for them.
    """

    id: str
    text: str
    categories: tuple[str, ...]
    sentiment: str
    triggers: tuple[Quote, ...]
    domain: str = ""
    evidence: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    unasked: frozenset[str] = frozenset()

    @property
    def marked(self) -> dict[str, list[tuple[int, int]]]:
        """``[start, stop)`` of the text by label: evidence of categories, first occurrence of the quotes of triggers."""
        spans = {label: list(given) for label, given in self.evidence.items()}
        for trigger in self.triggers:
            start = self.text.find(trigger.quote) if trigger.start is None else trigger.start
            spans.setdefault(trigger.id, []).append((start, start + len(trigger.quote)))
        return spans

    def within(self, taxonomy: Taxonomy) -> Case:
        """Without the labels that a taxonomy does not have."""
        return replace(
            self,
            categories=tuple(label for label in self.categories if label in taxonomy.category),
            triggers=tuple(trigger for trigger in self.triggers if trigger.id in taxonomy.trigger),
            evidence={label: places for label, places in self.evidence.items() if label in taxonomy.category},
        )

    @property
    def trigger_ids(self) -> frozenset[str]:
        """Triggers without their quotes."""
        return frozenset(quote.id for quote in self.triggers)


def read_cases(path: Path, taxonomy: Taxonomy) -> list[Case]:
    """Cases of a JSONL file, in its order. Raises `CasesError` with all problems: also if there is no case at all."""
    known = {
        "categories": set(taxonomy.category),
        "sentiment": {sentiment.id for sentiment in taxonomy.sentiments},
        "triggers": set(taxonomy.trigger),
    }
    problems: list[str] = []
    cases: dict[str, Case] = {}
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
            case = _case(row)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            what = f"«{error.args[0]}» is missing" if isinstance(error, KeyError) else str(error)
            problems.append(f"{where}: no case: {what}")
            continue
        problems.extend(f"{where}: {problem}" for problem in _problems(case, known))
        if case.id in cases:
            problems.append(f"{where}: id «{case.id}» stands twice")
        cases[case.id] = case
    if not cases and not problems:
        problems.append(f"{path}: holds no case")
    if problems:
        raise CasesError(problems)
    return list(cases.values())


def read_texts(path: Path) -> list[str]:
    """Texts of a JSONL file, labelled or not, in its order. Raises `CasesError` at the first line without a text."""
    return [str(row["text"]) for row in read_rows(path)]


def read_rows(path: Path, key: str = "text") -> list[dict[str, Any]]:
    """Objects of a JSONL file, in its order, each with ``key``. Raises `CasesError` at the first line that is none."""
    rows = []
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            try:
                row = json.loads(line)
                _ = row[key]
            except (ValueError, KeyError, TypeError) as error:
                raise CasesError([f"{path}:{number}: a JSON object with «{key}» is expected in each line"]) from error
            rows.append(row)
    return rows


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CasesError([f"{path}: cannot be read as UTF-8 text: {error}"]) from error


def _case(row: Any) -> Case:
    if not isinstance(row, dict):
        raise TypeError("a JSON object is expected in each line")
    for name, kind in (("text", str), ("sentiment", str), ("categories", list), ("triggers", list)):
        if not isinstance(row[name], kind):
            raise TypeError(f"«{name}» has to be a {kind.__name__}")
    return Case(
        id=str(row["id"]),
        text=row["text"],
        categories=tuple(map(str, row["categories"])),
        sentiment=row["sentiment"],
        triggers=tuple(Quote(str(trigger["id"]), str(trigger["quote"])) for trigger in row["triggers"]),
        domain=str(row.get("domain") or ""),
        evidence={label: _places(row["text"], label, quotes) for label, quotes in (row.get("evidence") or {}).items()},
    )


def _places(text: str, label: str, quotes: str | list[str]) -> tuple[tuple[int, int], ...]:
    """First occurrence of each quote in the text."""
    given = [quotes] if isinstance(quotes, str) else quotes
    strange = [quote for quote in given if not quote or quote not in text]
    if strange or not given:
        raise ValueError(f"the evidence of «{label}» is no piece of the text; copy it character for character")
    return tuple((start := text.index(quote), start + len(quote)) for quote in given)


def _problems(case: Case, known: Mapping[str, set[str]]) -> Iterable[str]:
    labels = [
        *(("categories", label) for label in case.categories),
        ("sentiment", case.sentiment),
        *(("triggers", trigger.id) for trigger in case.triggers),
    ]
    for layer, label in labels:
        if label not in known[layer]:
            yield f"«{label}» is not in {layer} of the taxonomy"
    if len(set(case.categories)) < len(case.categories):
        yield "a category stands twice"
    for label in sorted(set(case.evidence) - set(case.categories)):
        yield f"evidence of «{label}», which is not among the categories"
    for trigger in case.triggers:
        if not trigger.quote or trigger.quote not in case.text:
            yield f"the quote of «{trigger.id}» is no piece of the text; copy it character for character"
