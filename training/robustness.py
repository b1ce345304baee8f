"""The same cases, typed worse: what an engine loses under each kind of noise."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

from otklik.nlp.analyzer import Analyzer
from otklik.training.cases import Case
from otklik.training.dataset import with_typos
from otklik.training.evaluate import evaluate

_LOOKALIKE = dict(zip("асеорухАВСЕНКМОРТХ", "aceopyxABCEHKMOPTX", strict=True))
TYPOS, LOOKALIKES = 0.05, 0.03  # share of the letters


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
    """Micro-F1 by noise and layer. The noise is the same in every call."""
    found = {}
    for name, noise in NOISES.items():
        random.seed(0)
        report = evaluate(analyzer.taxonomy, cases, analyzer.analyze_all([noise(case.text) for case in cases]))
        found[name] = {layer: round(score.micro_f1, 4) for layer, score in report.layers.items()}
    return found
