"""What every batch run has: rows in, answers out in order, kept in a journal on the way, and the target whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from otklik.nlp.analyzer import Analyzer, Engine, relative_score
from otklik.nlp.masking import Masker, Span, hide
from otklik.serving.journal import Journal
from otklik.serving.schemas import Options, Passage, Result
from otklik.taxonomy.model import Taxonomy

BATCH = 256  # rows that the model reads together
_AHEAD = 3  # batches in work: the rules of one are applied while the network reads another
READERS = 2
_FORMAT = 1  # of the journal

T = TypeVar("T")


@dataclass(slots=True)
class Summary:
    """What came of a run."""

    rows: int = 0
    errors: int = 0
    empty: int = 0
    wordless: int = 0
    repeated: int = 0
    needs_review: int = 0
    sentiments: Counter[str] = field(default_factory=Counter)
    categories: Counter[str] = field(default_factory=Counter)
    triggers: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


class Row(NamedTuple):
    """One text to label; ``score`` and ``channel`` as the customer's system gave them."""

    id: str | int
    text: str
    score: float | None = None
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class Labeller:
    """An analyzer with what is done to its answers before they are written: personal data masked, if a masker is given."""

    analyzer: Analyzer
    masker: Masker | None = None
    engine: Engine = "auto"

    @property
    def version(self) -> str:
        """Who answers."""
        return self.analyzer.version(self.engine)

    @property
    def taxonomy(self) -> Taxonomy:
        """By which."""
        return self.analyzer.taxonomy

    def label_all(self, rows: Sequence[Row]) -> list[Result]:
        """The same answers as through the other doors, in order."""
        marks = [relative_score(row.score, row.channel) for row in rows]
        analyses = self.analyzer.analyze_all([row.text for row in rows], marks, self.engine)
        results = [Result.of(row.id, analysis, self.taxonomy, Options()) for row, analysis in zip(rows, analyses, strict=True)]
        if not self.masker:
            return results
        return [_masked(result, row.text, self.masker.spans(row.text)) for result, row in zip(results, rows, strict=True)]


def run(
    journal: Journal, rows: Iterator[T], answer: Callable[[Sequence[T]], list[str]], told: Callable[[int], None], summary: Summary
) -> None:
    """Answers what the journal does not hold yet; batches overlap, and are kept in order."""
    if journal.done:
        summary.notes.append(f"продолжено со строки {journal.done + 1}")
    told(journal.done)
    waiting: deque[Future[list[str]]] = deque()
    with ThreadPoolExecutor(READERS) as pool:
        for part in batched(islice(rows, journal.done, None), BATCH):
            waiting.append(pool.submit(answer, part))
            if len(waiting) >= _AHEAD:
                journal.add(waiting.popleft().result())
                told(journal.done)
        while waiting:
            journal.add(waiting.popleft().result())
            told(journal.done)


def batched(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of ``size``, the last one shorter."""
    rest = iter(rows)
    while part := list(islice(rest, size)):
        yield part


def mark_of(source: Path, labeller: Labeller, asked: object) -> str:
    """Of the file's bytes, of what was asked, and of who answers."""
    with source.open("rb") as opened:
        content = hashlib.file_digest(opened, "sha256").hexdigest()
    who = [labeller.version, labeller.taxonomy.id, labeller.taxonomy.version, labeller.engine, labeller.masker is not None]
    return hashlib.sha256(json.dumps([_FORMAT, content, who, asked], default=str).encode("utf-8")).hexdigest()


@contextmanager
def whole_or_nothing(target: Path) -> Iterator[Path]:
    """A temporary file beside the target that takes its name when everything is written and on disk."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem[:60]}.", suffix=target.suffix)
    os.close(descriptor)
    try:
        yield Path(name)
        with Path(name).open("rb") as written:
            os.fsync(written.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def number_of(value: Any) -> float | None:
    """A mark between 0 and 10; anything else is no mark."""
    try:
        number = float(str(value).replace(",", "."))
    except ValueError:
        return None
    return number if 0 <= number <= 10 and not isinstance(value, bool) else None


def _masked(result: Result, text: str, spans: list[Span]) -> Result:
    """Evidence with personal data masked; offsets stay those of the text as it was sent."""

    def masked(passages: list[Passage]) -> list[Passage]:
        return [passage.model_copy(update={"text": hide(text, spans, passage.start, passage.end)}) for passage in passages]

    return result.model_copy(
        update={
            "categories": [category.model_copy(update={"evidence": masked(category.evidence)}) for category in result.categories],
            "triggers": [trigger.model_copy(update={"evidence": masked(trigger.evidence)}) for trigger in result.triggers],
        }
    )
