"""Labels without texts: a file names each text by its digest and is joined with the texts where these are at hand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from otklik.taxonomy.model import Taxonomy
from otklik.training.cases import Case, CasesError, Quote, read_rows


def digest(text: str) -> str:
    """SHA-256 of the text as it was read, in UTF-8, hexadecimal."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def texts_of(files: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """Rows of JSONL files by the digest of their «text». Raises `CasesError`."""
    found: dict[str, dict[str, Any]] = {}
    for path in files:
        for row in read_rows(path):
            found.setdefault(digest(row["text"]), row)
    return found


def join(labels: Path, texts: Mapping[str, Mapping[str, Any]], taxonomy: Taxonomy) -> tuple[list[Case], int]:
    """Cases of the labels whose texts are at hand, in the order of the file, and how many texts are missing.

    A row: ``{"digest", "categories": {id: [[start, stop], …]}, "sentiment", "triggers": [{"id", "start", "stop"}]}``, offsets half-open
    code points of the text. Raises `CasesError` with all problems.
    """
    known = {"categories": set(taxonomy.category), "triggers": set(taxonomy.trigger), "sentiment": {s.id for s in taxonomy.sentiments}}
    cases: list[Case] = []
    problems: list[str] = []
    missing = 0
    for number, row in enumerate(read_rows(labels, "digest"), start=1):
        text = texts.get(row["digest"])
        try:
            wrong = list(_problems(row, known, None if text is None else len(text["text"])))
        except (KeyError, TypeError, ValueError) as error:
            wrong = [f"no label row: {error!r}"]
        problems += [f"{labels}:{number}: {problem}" for problem in wrong]
        if text is None:
            missing += 1
        elif not wrong:
            cases.append(_case(row, text))
    if problems:
        raise CasesError(problems)
    return cases, missing


def reread_triggers(cases: Sequence[Case], files: Iterable[Path], taxonomy: Taxonomy) -> list[Case]:
    """The cases, with the triggers of a later reading in place of the first one's where ``files`` have any.

    A row: ``{"digest", "triggers": [{"id", "start", "stop"}]}``. For training alone: nothing is measured by labels that were changed here.
    Raises `CasesError` with all problems.
    """
    texts = {digest(case.text): case.text for case in cases}
    later: dict[str, tuple[Quote, ...]] = {}
    problems: list[str] = []
    for path in files:
        for number, row in enumerate(read_rows(path, "digest"), start=1):
            text = texts.get(row["digest"])
            known = {"categories": set[str](), "triggers": set(taxonomy.trigger), "sentiment": {""}}
            try:
                wrong = list(_problems({"categories": {}, "sentiment": "", **row}, known, None if text is None else len(text)))
            except (KeyError, TypeError, ValueError) as error:
                wrong = [f"no row of triggers: {error!r}"]
            problems += [f"{path}:{number}: {problem}" for problem in wrong]
            if text is not None and not wrong:
                later[row["digest"]] = _quotes(row, text)
    if problems:
        raise CasesError(problems)
    return [replace(case, triggers=later.get(digest(case.text), case.triggers)) for case in cases]


def _quotes(row: Mapping[str, Any], text: str) -> tuple[Quote, ...]:
    return tuple(Quote(trigger["id"], text[trigger["start"] : trigger["stop"]], trigger["start"]) for trigger in row["triggers"])


def _problems(row: Mapping[str, Any], known: Mapping[str, set[str]], length: int | None) -> Iterator[str]:
    triggers = [(trigger["id"], trigger["start"], trigger["stop"]) for trigger in row["triggers"]]
    given = [("categories", label) for label in row["categories"]] + [("triggers", label) for label, _, _ in triggers]
    for layer, label in [*given, ("sentiment", row["sentiment"])]:
        if label not in known[layer]:
            yield f"«{label}» is not in {layer} of the taxonomy"
    places = [(label, start, stop) for label, found in row["categories"].items() for start, stop in found] + triggers
    for label, start, stop in places:
        if not 0 <= start < stop or (length is not None and stop > length):
            yield f"«{label}» at {start}…{stop} is no place in the text"


def _case(row: Mapping[str, Any], text: Mapping[str, Any]) -> Case:
    words = text["text"]
    return Case(
        id=row["digest"][:12],
        text=words,
        categories=tuple(row["categories"]),
        sentiment=row["sentiment"],
        triggers=_quotes(row, words),
        domain=str(text.get("domain") or ""),
        evidence={label: tuple((start, stop) for start, stop in places) for label, places in row["categories"].items()},
    )
