"""Customers' words as the report shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from otklik.serving.survey import Entry

_LONG = 320  # characters of a quote


@dataclass(frozen=True, slots=True)
class Quote:
    """A text, shortened around ``hit``, the words that a label stands on (or «»)."""

    before: str
    hit: str
    after: str
    entry: Entry

    @property
    def text(self) -> str:
        return self.before + self.hit + self.after


def shortened(entry: Entry, mask: Callable[[str], str]) -> Quote:
    """Masked first and cut then, so that no half of a number is left over."""
    text = " ".join(mask(entry.text).split())
    hit = next((found for found in (" ".join(quote.split()) for quote in entry.evidence) if found and found in text), "")
    if len(text) <= _LONG:
        first, last = 0, len(text)
    else:
        near = text.index(hit) if hit else 0
        first = max(0, min(near - _LONG // 3, len(text) - _LONG))
        last = min(len(text), max(first + _LONG, near + len(hit)))
        first = text.find(" ", first, near) + 1 if first else 0  # whole words, where there are any
        last = text.rfind(" ", near + len(hit), last) if last < len(text) and text.rfind(" ", near + len(hit), last) > 0 else last
    start = text.index(hit) if hit else first
    ends = "…" if first else "", "…" if last < len(text) else ""
    return Quote(ends[0] + text[first:start], text[start : start + len(hit)], text[start + len(hit) : last] + ends[1], entry)
