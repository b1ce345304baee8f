"""The same cases, typed worse: what an engine loses under each kind of noise."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from statistics import fmean

from otklik.nlp.analyzer import Analyzer
from otklik.training.cases import Case
from otklik.training.dataset import with_typos
from otklik.training.evaluate import evaluate

_LOOKALIKE = dict(zip("асеорухАВСЕНКМОРТХ", "aceopyxABCEHKMOPTX", strict=True))
TYPOS, LOOKALIKES = 0.05, 0.03  # share of the letters
_DRAWS = 5  # of random noise: one draw alone moves the micro-F1 of 343 texts by up to two points


def _lookalikes(text: str) -> str:
    """`LOOKALIKES` of all letters become Latin ones that look the same; only those that have one can."""
    letters = sum(char.isalpha() for char in text)
    able = [place for place, char in enumerate(text) if char in _LOOKALIKE]
    chosen = set(random.sample(able, min(len(able), round(LOOKALIKES * letters))))
    return "".join(_LOOKALIKE[char] if place in chosen else char for place, char in enumerate(text))


NOISES: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "typos in 5 % of the letters": lambda text: with_typos(text, TYPOS),
    "capital letters": str.upper,
    "«е» for «ё»": lambda text: text.replace("ё", "е").replace("Ё", "Е"),
    "no punctuation": lambda text: re.sub(r"[^\w\s]+", " ", text),
    "look-alike Latin for 3 % of the letters": _lookalikes,
}


def robustness(analyzer: Analyzer, cases: Sequence[Case]) -> dict[str, dict[str, float]]:
    """Micro-F1 by noise and layer, the mean of `_DRAWS` where the noise is random. The noise is the same in every call."""
    found = {}
    for name, noise in NOISES.items():
        random.seed(0)
        drawn = [[noise(case.text) for case in cases] for _ in range(_DRAWS)]
        different = [texts for number, texts in enumerate(drawn) if texts not in drawn[:number]]
        reports = [evaluate(analyzer.taxonomy, cases, analyzer.analyze_all(texts)) for texts in different]
        found[name] = {layer: round(fmean(report.layers[layer].micro_f1 for report in reports), 4) for layer in reports[0].layers}
    return found
