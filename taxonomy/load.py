"""YAML → taxonomy, or everything that is wrong with the file, with line numbers.

One loader for both kinds of file: a whole taxonomy (``taxonomy: id``) and an overlay (``overlay: id``) that a company
keeps on top of a released version.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path

from otklik.taxonomy.model import Category, Group, Sentiment, Severity, Stands, Taxonomy, Trigger, Words
from otklik.taxonomy.overlay import apply_overlay
from otklik.taxonomy.source import Field, Source, TaxonomyError

DEFAULT = "service-core-1.0.0"
SENTIMENTS = ("negative", "neutral", "positive", "mixed")

_ID = re.compile(r"[a-z][a-z0-9-]*")
_LABEL = re.compile(r"[a-z][a-z0-9_]*")
_CATEGORY = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_EXAMPLES = 3

__all__ = ["DEFAULT", "TaxonomyError", "load_taxonomy", "released"]


def released() -> Mapping[str, str]:
    """The YAML text of every released version by its name, ``service-core-1.0.0``."""
    folder = files(__package__).joinpath("versions")
    return {
        entry.name.removesuffix(".yaml"): entry.read_text(encoding="utf-8")
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".yaml")
    }


def load_taxonomy(name: str | Path = DEFAULT) -> Taxonomy:
    """A released version by name, or a file: a whole taxonomy or an overlay. Raises `TaxonomyError` with all problems."""
    versions = released()
    if str(name) in versions:
        return _parse(Source.parse(versions[str(name)], f"{name}.yaml"))
    path = Path(name)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise TaxonomyError([f"{path}: not UTF-8 (byte {error.start}); save the file as UTF-8"]) from error
    except OSError as error:
        raise TaxonomyError([f"{path}: {error.strerror or error}; give a file, or one of {', '.join(versions)}"]) from error
    return _parse(Source.parse(text, str(path)))


def _parse(source: Source) -> Taxonomy:
    taxonomy = _overlay(source) if source.root.get("overlay") else _whole(source)
    source.finish()
    return taxonomy


def _whole(source: Source) -> Taxonomy:
    root = source.root
    root.only("taxonomy", "version", "lists", "groups", "categories", "sentiments", "triggers", optional=("lists",))
    _read_lists(source)
    taxonomy = Taxonomy(
        id=root["taxonomy"].text(_ID),
        base_version=root["version"].text(_VERSION),
        groups=tuple(map(_group, root["groups"].items())),
        categories=tuple(map(_category, root["categories"].items())),
        sentiments=tuple(map(_sentiment, root["sentiments"].items())),
        triggers=tuple(map(_trigger, root["triggers"].items())),
    )
    present = {sentiment.id for sentiment in taxonomy.sentiments}
    if present != set(SENTIMENTS) and not source.problems:
        root["sentiments"].report(f"the sentiments have to be {', '.join(SENTIMENTS)}")
    _check_labels(root, taxonomy)
    return taxonomy


def _check_labels(root: Field, taxonomy: Taxonomy) -> None:
    """Each id once, a rename included; every category in a group that exists."""
    for layer, labels in (("groups", taxonomy.groups), ("categories", taxonomy.categories), ("triggers", taxonomy.triggers)):
        seen: dict[str, str] = {}
        for label in labels:
            for name in (label.id, *getattr(label, "formerly", ())):
                if name and name in seen:
                    root[layer].report(f"«{name}» stands twice (in {seen[name]} and {label.id}); ids are unique")
                seen[name] = label.id
    groups = {group.id for group in taxonomy.groups}
    for category in taxonomy.categories:
        if category.id and category.group not in groups:
            root["categories"].report(f"«{category.id}» needs a group «{category.group}»; add it to groups")


def _overlay(source: Source) -> Taxonomy:
    root = source.root
    parts = ("lists", "groups", "categories", "triggers")
    root.only("overlay", "version", "base", *parts, optional=parts)
    base_name = root["base"].text()
    versions = released()
    if base_name not in versions:
        root["base"].report(f"«{base_name}» is not released; released are {', '.join(versions)}")
        source.finish()
    base_source = Source.parse(versions[base_name], f"{base_name}.yaml")
    base = _parse(base_source)
    source.lists.update(base_source.lists)
    _read_lists(source)
    groups, categories, triggers = root.get("groups"), root.get("categories"), root.get("triggers")
    if groups:
        groups.only("add", optional=("add",))
    changed = apply_overlay(
        dataclasses.replace(base, groups=(*base.groups, *map(_group, _added(groups)))),
        overlay=f"{root['overlay'].text(_ID)}-{root['version'].text(_VERSION)}",
        categories=(tuple(map(_category, _added(categories))), categories),
        triggers=(tuple(map(_trigger, _added(triggers))), triggers),
        words=_words,
    )
    _check_labels(root, changed)
    return changed


def _read_lists(source: Source) -> None:
    lists = source.root.get("lists")
    if lists:
        source.lists.update({name: lists[name].words() for name in lists.keys()})  # noqa: SIM118  a Field is no mapping


def _added(layer: Field | None) -> Iterator[Field]:
    added = layer.get("add") if layer else None
    return iter(added.items() if added else ())


def _group(field: Field) -> Group:
    field.only("id", "title")
    return Group(field["id"].text(_LABEL), field["title"].text())


def _words(field: Field) -> Words:
    roles = {role: field.get(role) for role in ("words", "hints", "unless")}
    words = Words(**{role: tuple(phrases.phrases()) if phrases else () for role, phrases in roles.items()})
    for phrase in set(words.words) & set(words.hints):
        field["hints"].report(f"«{phrase.source}» stands in words as well; keep one")
    return words


def _category(field: Field) -> Category:
    field.only(
        *("id", "title", "department", "covers", "excludes", "words", "hints", "unless", "examples", "formerly"),
        optional=("hints", "unless", "formerly"),
    )
    return Category(
        id=field["id"].text(_CATEGORY),
        title=field["title"].text(),
        department=field["department"].text_or_none(),
        covers=field["covers"].text(),
        excludes=field["excludes"].text_or_none() or "",
        phrases=_words(field),
        examples=field["examples"].texts(at_least=_EXAMPLES),
        formerly=field.get_texts("formerly"),
    )


def _sentiment(field: Field) -> Sentiment:
    field.only("id", "title", "covers", "words", "hints", "unless", "examples", optional=("words", "hints", "unless"))
    return Sentiment(
        id=field["id"].choice(SENTIMENTS),
        title=field["title"].text(),
        covers=field["covers"].text(),
        phrases=_words(field),
        examples=field["examples"].texts(at_least=_EXAMPLES),
    )


def _trigger(field: Field) -> Trigger:
    field.only(
        *("id", "title", "severity", "route", "respond_within_minutes", "covers", "stands", "needs_problem"),
        *("words", "hints", "unless", "examples", "contrasts", "formerly"),
        optional=("hints", "unless", "formerly"),
    )
    return Trigger(
        id=field["id"].text(_LABEL),
        title=field["title"].text(),
        severity=Severity(field["severity"].choice(tuple(Severity))),
        route=field["route"].text(_LABEL),
        respond_within_minutes=field["respond_within_minutes"].whole_number(),
        covers=field["covers"].text(),
        stands=Stands(field["stands"].choice(tuple(Stands))),
        needs_problem=field["needs_problem"].flag(),
        phrases=_words(field),
        examples=field["examples"].texts(at_least=_EXAMPLES),
        contrasts=field["contrasts"].texts(at_least=_EXAMPLES),
        formerly=field.get_texts("formerly"),
    )
