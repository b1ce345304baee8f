from __future__ import annotations

import hashlib
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest
from conftest import ROOT

from otklik.nlp.analyzer import Analyzer
from otklik.taxonomy.load import TaxonomyError, load_taxonomy, released
from otklik.taxonomy.model import Severity, Taxonomy

OVERLAY = ROOT / "taxonomy" / "overlays" / "travel-agency.yaml"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(path: Path) -> list[str]:
    with pytest.raises(TaxonomyError) as caught:
        load_taxonomy(path)
    return [problem.removeprefix(str(path)) for problem in caught.value.problems]


def test_released_versions_are_never_edited() -> None:
    sums = dict(
        reversed(line.split()) for line in files("otklik.taxonomy").joinpath("versions", "released.sha256").read_text().splitlines()
    )
    assert sums == {f"{name}.yaml": hashlib.sha256(text.encode()).hexdigest() for name, text in released().items()}
    assert sums


def test_service_core_is_complete(taxonomy: Taxonomy) -> None:
    assert (taxonomy.id, taxonomy.version) == ("service-core", "1.0.0")
    assert (len(taxonomy.categories), len(taxonomy.groups), len(taxonomy.sentiments), len(taxonomy.triggers)) == (22, 8, 4, 12)
    assert Counter(trigger.severity for trigger in taxonomy.triggers) == {Severity.CRITICAL: 5, Severity.HIGH: 5, Severity.NORMAL: 2}
    minutes = {trigger.severity: (trigger.route, trigger.respond_within_minutes) for trigger in taxonomy.triggers}
    assert minutes == {
        Severity.CRITICAL: ("loyalty_team", 15),
        Severity.HIGH: ("loyalty_team", 240),
        Severity.NORMAL: ("department", 1440),
    }
    departments = {category.id: category.department for category in taxonomy.categories}
    assert departments["other.external"] is None
    assert departments["other.suggestion"] == "product"
    by_group = {"fulfilment": "operations", "quality": "product", "info": "content", "money": "finance", "service": "support"}
    by_group |= {"digital": "it", "trust": "security"}
    assert all(departments[c.id] == by_group[c.group] for c in taxonomy.categories if c.group != "other")


def test_every_label_finds_its_examples(analyzer: Analyzer) -> None:
    for category in analyzer.taxonomy.categories:
        for text in category.examples:
            assert category.id in {score.id for score in analyzer.analyze(text).categories}, text
    for sentiment in analyzer.taxonomy.sentiments:
        for text in sentiment.examples:
            assert analyzer.analyze(text).sentiment.id == sentiment.id, text
    for trigger in analyzer.taxonomy.triggers:
        for text in trigger.examples:
            assert trigger.id in {score.id for score in analyzer.analyze(text).triggers}, text
        for text in trigger.contrasts:
            assert trigger.id not in {score.id for score in analyzer.analyze(text).triggers}, text


def test_all_problems_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """taxonomy: Own
version: 1.0
groups:
  - {id: money, title: Деньги, colour: red}
categories:
  - id: cash.refund
    title: Возврат
    department: finance
    covers: Возврат
    excludes: null
    words: [Вернуть, cкидка, вернуть, вернуть]
    examples: [один, один, два]
  - id: cash.refund
    title: Возврат
    covers: Возврат
    excludes: null
    words: []
    examples: [раз, два, три]
sentiments: []
triggers:
  - id: late
    title: Срок
    severity: awful
    route: team
    respond_within_minutes: 0
    covers: Срок
    stands: now
    needs_problem: maybe
    words: [срок]
    examples: [раз, два, три]
    contrasts: нет
""",
    )
    assert problems(path) == [
        ":1: «Own» has to have the form [a-z][a-z0-9-]*",
        ":2: «1.0» has to have the form \\d+\\.\\d+\\.\\d+",
        ":4: unknown key «colour»; known are id, title",
        ":6: «cash.refund» stands twice (in cash.refund and cash.refund); ids are unique",
        ":6: «cash.refund» needs a group «cash»; add it to groups",
        ":11: «Вернуть»: write «вернуть», words stand in lower case",
        ":11: «cкидка»: «[c]кидка» mixes two alphabets; the letters in brackets are Latin",
        ":11: «вернуть» stands twice in this list; keep one",
        ":12: 3 different texts are expected here, 2 of 3 are",
        ":13: «department» is missing",
        ":23: «awful» has to be one of critical, high, normal",
        ":25: «0» has to be a whole number above 0",
        ":28: «maybe» has to be one of false, true",
        ":31: a list is expected here",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ": empty, or no mapping; it has to begin with «taxonomy: id» or «overlay: id»"),
        ("- a", ": empty, or no mapping; it has to begin with «taxonomy: id» or «overlay: id»"),
        ("overlay: a\nversion: 1.0.0\nbase: none-1.0.0\n", ":3: «none-1.0.0» is not released; released are service-core-1.0.0"),
    ],
)
def test_what_is_no_taxonomy_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    assert problems(write(tmp_path, text)) == [problem]


def test_broken_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    (problem,) = problems(write(tmp_path, "taxonomy: own\nversion: [1\ngroups: ]\n"))
    assert problem.startswith(":3: no YAML: ")


def test_a_file_that_is_absent_or_not_utf8_is_refused(tmp_path: Path) -> None:
    assert problems(tmp_path / "none.yaml") == [": No such file or directory; give a file, or one of service-core-1.0.0"]
    path = tmp_path / "cp1251.yaml"
    path.write_bytes("taxonomy: свой".encode("cp1251"))
    assert problems(path) == [": not UTF-8 (byte 10); save the file as UTF-8"]


def test_an_overlay_adds_changes_and_switches_off(taxonomy: Taxonomy) -> None:
    own = load_taxonomy(OVERLAY)
    assert own.version == "1.0.0+travel-agency-1.0.0"
    assert "travel.baggage" in own.category
    assert "other.suggestion" not in own.category
    assert own.category["fulfilment.delay"].title == "Задержка или перенос рейса"
    assert own.category["fulfilment.delay"].department == "flights"
    assert own.category["fulfilment.delay"].phrases == taxonomy.category["fulfilment.delay"].phrases
    assert len(own.category["service.no_response"].phrases.words) == len(taxonomy.category["service.no_response"].phrases.words) + 1
    assert (own.trigger["deadline"].route, own.trigger["deadline"].respond_within_minutes) == ("duty_manager", 30)
    assert own.trigger["stranded"] == taxonomy.trigger["stranded"]


def test_an_overlay_is_checked_against_its_base(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """overlay: own
version: 1.0.0
base: service-core-1.0.0
categories:
  change:
    money.lost: {title: Нет такой}
    money.price: {colour: red}
  off: [service.none]
triggers:
  change:
    deadline: {respond_within_minutes: soon}
""",
    )
    assert problems(path) == [
        ":6: «money.lost» is not in the base; an own label goes under «add»",
        ":7: unknown key «colour»; known are title, department, words, hints, unless",
        ":8: «service.none» is not in the base; an own label goes under «add»",
        ":11: «soon» has to be a whole number above 0",
    ]
