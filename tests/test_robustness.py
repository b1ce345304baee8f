from __future__ import annotations

from collections.abc import Iterable

import pytest

from otklik.nlp.analyzer import Analyzer
from otklik.nlp.records import Analysis
from otklik.taxonomy.model import Taxonomy
from otklik.training.cases import Case
from otklik.training.robustness import NOISES, robustness

TEXT = "Привезли ёлку с опозданием на три дня, она вся осыпалась, а оператор ещё и нахамил."


def test_noises_change_what_they_name_and_no_more() -> None:
    noisy = {name: noise(TEXT) for name, noise in NOISES.items()}
    assert noisy["as it is"] == TEXT
    assert noisy["capital letters"].lower() == TEXT.lower()
    assert noisy["«е» for «ё»"] == TEXT.replace("ё", "е")
    assert set("".join(noisy["no punctuation"].split())) == set("".join(TEXT.split())) - set(",.")
    lookalike = noisy["look-alike Latin for 3 % of the letters"]
    changed = sum(one != other for one, other in zip(lookalike, TEXT, strict=True))
    assert changed == round(0.03 * sum(char.isalpha() for char in TEXT))
    assert all(char.isascii() for char, before in zip(lookalike, TEXT, strict=True) if char != before)


def test_random_noise_is_drawn_several_times_and_the_same_in_every_call(taxonomy: Taxonomy, monkeypatch: pytest.MonkeyPatch) -> None:
    analyzer = Analyzer(taxonomy)
    cases = [Case("1", TEXT, ("fulfilment.delay", "quality.product", "service.rudeness"), "negative", ())]
    read: list[list[str]] = []
    plain = analyzer.analyze_all

    def spy(texts: Iterable[str]) -> list[Analysis]:
        read.append(list(texts))
        return list(plain(read[-1]))

    monkeypatch.setattr(analyzer, "analyze_all", spy)
    first = robustness(analyzer, cases)
    texts = [text for batch in read for text in batch]
    assert texts.count(TEXT) == 1
    assert texts.count(TEXT.upper()) == 1
    assert len(set(texts)) == len(texts) == 4 + 5 + 5  # four kinds that are always the same, two that are drawn five times
    assert robustness(analyzer, cases) == first
    assert 0 <= first["typos in 5 % of the letters"]["categories"] <= 1
