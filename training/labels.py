"""Labels without texts: a file names each text by its digest and is joined with the texts where these are at hand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
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
    known = {*taxonomy.category, *taxonomy.trigger}
    sentiments = {sentiment.id for sentiment in taxonomy.sentiments}
    cases: list[Case] = []
    problems: list[str] = []
    missing = 0
    for number, row in enumerate(read_rows(labels, "digest"), start=1):
        text = texts.get(row["digest"])
        strange = [label for label in (*row["categories"], *(trigger["id"] for trigger in row["triggers"])) if label not in known]
        strange += [row["sentiment"]] if row["sentiment"] not in sentiments else []
        problems += [f"{labels}:{number}: «{label}» is not in the taxonomy" for label in strange]
        if text is None:
            missing += 1
        elif not strange:
            cases.append(_case(row, text))
    if problems:
        raise CasesError(problems)
    return cases, missing


def _case(row: Mapping[str, Any], text: Mapping[str, Any]) -> Case:
    words = text["text"]
    return Case(
        id=row["digest"][:12],
        text=words,
        categories=tuple(row["categories"]),
        sentiment=row["sentiment"],
        triggers=tuple(Quote(trigger["id"], words[trigger["start"] : trigger["stop"]]) for trigger in row["triggers"]),
        domain=str(text.get("domain") or ""),
        evidence={label: tuple((start, stop) for start, stop in places) for label, places in row["categories"].items()},
    )
