"""Words of the Russian language that no taxonomy owns: negators, modals, markers of time and condition."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import yaml

from otklik.taxonomy.phrases import Phrase, parse_phrase


@dataclass(frozen=True, slots=True)
class Language:
    """`language.yaml`, read. Sets hold lemmas; tuples hold phrases."""

    skipped: frozenset[str]
    modal: frozenset[str]
    negation_before: frozenset[str]
    negation_after: frozenset[str]
    negation_void: frozenset[str]
    intensifiers: frozenset[str]
    clause: frozenset[str]
    markers: dict[str, tuple[Phrase, ...]]


def load_language() -> Language:
    """Reads the file that is part of the package."""
    data = yaml.safe_load(files(__package__).joinpath("language.yaml").read_text(encoding="utf-8"))
    markers = {name: data[name] for name in ("condition", "unreal", "advice", "why")} | data["time"]
    return Language(
        skipped=frozenset(data["skipped"]),
        modal=frozenset(data["modal"]),
        negation_before=frozenset(data["negation"]["before"]),
        negation_after=frozenset(data["negation"]["after"]),
        negation_void=frozenset(data["negation"]["void"]),
        intensifiers=frozenset(data["intensifiers"]),
        clause=frozenset(data["clause"]),
        markers={name: tuple(map(parse_phrase, phrases)) for name, phrases in markers.items()},
    )
