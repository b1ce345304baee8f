"""A company's own changes on top of a released version: add, retitle, reroute, switch off. The version is not copied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from otklik.taxonomy.model import Category, Severity, Taxonomy, Trigger, Words
from otklik.taxonomy.source import Field

_CATEGORY_CHANGES = ("title", "department", "words", "hints", "unless")
_TRIGGER_CHANGES = ("title", "severity", "route", "respond_within_minutes", "words", "hints", "unless")


def apply_overlay(
    base: Taxonomy,
    overlay: str,
    categories: tuple[tuple[Category, ...], Field | None],
    triggers: tuple[tuple[Trigger, ...], Field | None],
    words: Callable[[Field], Words],
) -> Taxonomy:
    """The base with added labels behind its own, changes applied, and what is switched off left out. Problems are reported."""
    new_categories, category_field = categories
    new_triggers, trigger_field = triggers
    changed = {category.id: category for category in base.categories}
    for label, change in _changes(category_field, changed, _CATEGORY_CHANGES):
        category = changed[label]
        department = change.get("department")
        changed[label] = replace(
            category,
            title=_text(change, "title", category.title),
            department=department.text_or_none() if department else category.department,
            phrases=_joined(category.phrases, words(change)),
        )
    changed_triggers = {trigger.id: trigger for trigger in base.triggers}
    for label, change in _changes(trigger_field, changed_triggers, _TRIGGER_CHANGES):
        trigger = changed_triggers[label]
        minutes = change.get("respond_within_minutes")
        changed_triggers[label] = replace(
            trigger,
            title=_text(change, "title", trigger.title),
            severity=Severity(change["severity"].choice(tuple(Severity))) if change.get("severity") else trigger.severity,
            route=_text(change, "route", trigger.route),
            respond_within_minutes=minutes.whole_number() if minutes else trigger.respond_within_minutes,
            phrases=_joined(trigger.phrases, words(change)),
        )
    off = {*_switched_off(category_field, changed), *_switched_off(trigger_field, changed_triggers)}
    return replace(
        base,
        overlay=overlay,
        categories=(*(category for category in changed.values() if category.id not in off), *new_categories),
        triggers=(*(trigger for trigger in changed_triggers.values() if trigger.id not in off), *new_triggers),
    )


def _changes(layer: Field | None, labels: object, names: tuple[str, ...]) -> list[tuple[str, Field]]:
    if layer is None:
        return []
    layer.only("add", "change", "off", optional=("add", "change", "off"))
    change = layer.get("change")
    result = []
    for label in change.keys() if change else ():
        assert change is not None  # noqa: S101  for the type checker
        field = change[label]
        if not _known(field, label, labels):
            continue
        field.only(*names, optional=names)
        result.append((label, field))
    return result


def _switched_off(layer: Field | None, labels: object) -> list[str]:
    off = layer.get("off") if layer else None
    return [item.text() for item in off.items() if _known(item, item.text(), labels)] if off else []


def _known(field: Field, label: str, labels: object) -> bool:
    known = isinstance(labels, dict) and label in labels
    if not known:
        field.report(f"«{label}» is not in the base; an own label goes under «add»")
    return known


def _text(change: Field, name: str, default: str) -> str:
    value = change.get(name)
    return value.text() if value else default


def _joined(old: Words, new: Words) -> Words:
    return Words(old.words + new.words, old.hints + new.hints, old.unless + new.unless)
