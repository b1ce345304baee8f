"""The tables in ``triggers/``, written from the definitions and not from the phrases.

``+`` must fire and show a passage that touches the quote in brackets, ``-`` must not fire. A ``?`` before the sign marks a text
that the rules are known to get wrong: it has to stay wrong or lose its mark, so that the tables always tell how good they are.
"""

from __future__ import annotations

import re
from itertools import count

import pytest
from conftest import ROOT

from otklik.nlp.analyzer import Analyzer

TABLES = sorted((ROOT / "tests" / "triggers").glob("*.txt"))
LINES = [
    (path.stem, number, line)
    for path in TABLES
    for number, line in zip(count(1), path.read_text(encoding="utf-8").splitlines(), strict=False)
    if line.strip() and not line.startswith("#")
]
ENOUGH = 12


def test_each_trigger_has_a_table_with_enough_texts_of_both_kinds_that_are_right(analyzer: Analyzer) -> None:
    assert [path.stem for path in TABLES] == sorted(analyzer.taxonomy.trigger)
    for path in TABLES:
        signs = [line[0] for trigger, _, line in LINES if trigger == path.stem]
        assert min(signs.count("+"), signs.count("-")) >= ENOUGH, path.stem
        assert set(signs) <= {"+", "-", "?"}, path.stem


@pytest.mark.parametrize(
    ("trigger", "line"),
    [
        pytest.param(trigger, line.lstrip("?"), id=f"{trigger}:{number}", marks=[pytest.mark.xfail(strict=True)] if line[0] == "?" else [])
        for trigger, number, line in LINES
    ],
)
def test_table(analyzer: Analyzer, trigger: str, line: str) -> None:
    marked = line[2:]
    text = re.sub(r"[\[\]]", "", marked)
    fired = [score for score in analyzer.analyze(text).triggers if score.id == trigger]
    if line.startswith("+"):
        start = marked.index("[")
        stop = marked.index("]") - 1
        assert any(evidence.start < stop and start < evidence.stop for score in fired for evidence in score.evidence), text
    else:
        assert not fired, text
