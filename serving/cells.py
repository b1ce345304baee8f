"""What a row of a table gets: labels in words for analysts, then as ids for programs, which stay the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from otklik.serving.labeller import Labeller, Row, Summary
from otklik.serving.schemas import CategoryAnswer, Result, TriggerAnswer

_SENTIMENTS = {"negative": "негативная", "neutral": "нейтральная", "positive": "позитивная", "mixed": "смешанная"}
_URGENCIES = {"critical": "критично", "high": "высокая", "normal": "обычная", "none": ""}
# What an analyst reads, and then what programs read: ids that stay the same.
READABLE = ("Тональность", "Причины", "Срочное", "Срочность", "Отделы", "Цитаты", "Проверить")
TECHNICAL = tuple(
    f"otklik_{name}"
    for name in (
        *("sentiment", "categories", "triggers", "urgency", "department", "evidence", "needs_review"),
        *("engine", "model_version", "taxonomy_version"),
    )
)

Cells = list[Any]


def added(labeller: Labeller, *, wide: bool) -> list[str]:
    """Names of the new columns, in the order of the cells."""
    return [*READABLE, *([f"0/1 {category.id}" for category in labeller.taxonomy.categories] if wide else []), *TECHNICAL]


def answered(rows: Sequence[Row], labeller: Labeller, *, wide: bool) -> list[Cells | None]:
    """Cells of each row, in order; None where the text is empty."""
    results = iter(labeller.label_all([row for row in rows if row.text.strip()]))
    return [_cells(next(results), labeller, wide=wide) if row.text.strip() else None for row in rows]


def count(summary: Summary, cells: Cells | None) -> None:
    """Adds one row."""
    summary.rows += 1
    if cells is None:
        summary.empty += 1
        return
    found = dict(zip(TECHNICAL, cells[-len(TECHNICAL) :], strict=True))
    summary.sentiments[found["otklik_sentiment"]] += 1
    summary.categories.update(filter(None, found["otklik_categories"].split(", ")))
    summary.triggers.update(filter(None, found["otklik_triggers"].split(", ")))
    summary.needs_review += bool(found["otklik_needs_review"])
    summary.wordless += "no_words" in found["otklik_needs_review"]


def _cells(result: Result, labeller: Labeller, *, wide: bool) -> list[Any]:
    found: list[TriggerAnswer | CategoryAnswer] = [*result.triggers, *result.categories]
    quotes = " | ".join(dict.fromkeys(passage.text for label in found for passage in label.evidence))
    departments = ", ".join(dict.fromkeys(category.department for category in result.categories if category.department))
    given = {category.id for category in result.categories}
    return [
        _SENTIMENTS.get(result.sentiment.label, result.sentiment.label),
        "; ".join(category.title for category in result.categories),
        "; ".join(trigger.title for trigger in result.triggers),
        _URGENCIES[result.urgency.severity],
        departments,
        quotes,
        "да" if result.needs_review else "",
        *([int(category.id in given) for category in labeller.taxonomy.categories] if wide else []),
        result.sentiment.label,
        ", ".join(category.id for category in result.categories),
        ", ".join(trigger.id for trigger in result.triggers),
        result.urgency.severity,
        departments,
        quotes,
        ", ".join(result.review_reasons),
        result.engine,
        labeller.version if result.engine == "model" else labeller.analyzer.version("keyword"),
        labeller.taxonomy.version,
    ]
