"""What every process of a cluster does: takes a piece of a file, labels it with a model of its own, writes one part of the result."""

from __future__ import annotations

import io
import json
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from otklik.nlp.analyzer import Analyzer, Engine, load_analyzer
from otklik.nlp.artefact import ArtefactError
from otklik.nlp.masking import Masker
from otklik.nlp.morphology import Morphology
from otklik.serving.cells import added, answered, count
from otklik.serving.columns import rows_of
from otklik.serving.labeller import BATCH, READERS, Labeller, Summary, batched
from otklik.serving.parquet import widened
from otklik.serving.pieces import Arrow, Piece, Plan
from otklik.serving.store import Target
from otklik.serving.tables import TableError
from otklik.taxonomy.model import Taxonomy

_ABOUT = b"otklik"  # key of what the footer of a part tells: which rows of which file it holds, and their summary
_NUMBERS, _COUNTS = ("rows", "empty", "wordless", "needs_review"), ("sentiments", "categories", "triggers")  # of a summary


@dataclass(frozen=True, slots=True)
class Recipe:
    """How every worker builds the labeller that the command line has; ``version`` is checked, so that all answer alike."""

    taxonomy: Taxonomy
    model: Path | None  # the shipped one where None
    engine: Engine
    version: str
    masked: bool = False

    def labeller(self, threads: int) -> Labeller:
        """Raises `TableError` where this machine has another model."""
        analyzer = Analyzer(self.taxonomy) if self.engine == "keyword" else load_analyzer(self.taxonomy, self.model, threads)
        if (here := analyzer.version(self.engine)) != self.version:
            message = f"на рабочей машине модель {here}, а у запуска {self.version}; установите везде один и тот же otklik"
            raise TableError("other_version", message)
        return Labeller(analyzer, Masker(Morphology()) if self.masked else None, self.engine)


@dataclass(frozen=True, slots=True)
class Work:
    """All that a worker has to know; holds no row."""

    recipe: Recipe
    plans: Sequence[Plan]
    pieces: Sequence[Piece]
    target: Target
    threads: int
    wide: bool


class Worker:
    """Loads its model with its first piece. Never raises: an exception could show a customer's words to the logs of a cluster."""

    def __init__(self, work: Work) -> None:
        self._work = work

    @cached_property
    def _labeller(self) -> Labeller:
        return self._work.recipe.labeller(self._work.threads)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """One piece, by its number: how many rows it has, and what went wrong. Doing it twice changes nothing."""
        piece = self._work.pieces[int(batch["item"][0])]
        try:
            self._make(piece, self._work.plans[piece.plan])
        except Exception as error:  # noqa: BLE001  told by its kind, without its words
            where = f"{self._work.plans[piece.plan].name}, строки с {piece.first + 1} по {piece.first + piece.rows}"
            return {"rows": [0], "wrong": [f"{where}: {told(error)}"]}
        return {"rows": [piece.rows], "wrong": [""]}

    def _make(self, piece: Piece, plan: Plan) -> None:
        table = plan.source.read(piece.mark, piece.rows)
        if table.num_rows != piece.rows:
            raise TableError("file_changed", "файл изменился во время разметки; запустите команду ещё раз")
        rows = rows_of(Arrow(table), plan.places, ten=plan.ten)
        wide, labeller = self._work.wide, self._labeller
        with ThreadPoolExecutor(min(READERS, self._work.threads)) as pool:
            parts = pool.map(lambda part: answered(part, labeller, wide=wide), batched(rows, BATCH))
            cells = [row for part in parts for row in part]
        names, summary = added(labeller, wide=wide), Summary()
        for row in cells:
            count(summary, row)
        counted = {name: getattr(summary, name) for name in (*_NUMBERS, *_COUNTS)}
        about = {"file": plan.name, "first_row": piece.first + 1, "rows": piece.rows, "summary": counted}
        labelled = widened(table, names, [row or [None] * len(names) for row in cells])
        content = io.BytesIO()
        with pq.ParquetWriter(content, labelled.schema) as writer:
            writer.write_table(labelled)
            writer.add_key_value_metadata({_ABOUT: json.dumps(about, ensure_ascii=False).encode("utf-8")})
        self._work.target.write(piece.part, content.getvalue())


def told(error: Exception) -> str:
    """An error without a word of the texts: in full only where all that it can quote are names of files and columns."""
    if isinstance(error, TableError | ArtefactError | OSError):
        return str(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} ({last.filename}:{last.lineno})"


def add_up(target: Target, pieces: Sequence[Piece], summary: Summary) -> None:
    """Counts the rows that are written, by the parts themselves. Raises `TableError` where they are not those that were read."""
    if strange := target.names() ^ {piece.part for piece in pieces}:
        raise TableError(
            "lost_rows", f"частей не столько, сколько должно быть: {', '.join(sorted(strange)[:3])}; разметьте заново: --restart"
        )

    def read(piece: Piece) -> dict[str, Any]:
        with target.open(piece.part) as opened:
            footer = pq.read_metadata(opened)
        if footer.num_rows != piece.rows:
            message = f"{piece.part}: строк {footer.num_rows}, а должно быть {piece.rows}; разметьте заново: --restart"
            raise TableError("lost_rows", message)
        found: dict[str, Any] = json.loads(footer.metadata[_ABOUT])["summary"]
        return found

    with ThreadPoolExecutor() as pool:
        for found in pool.map(read, pieces):
            for name in _NUMBERS:
                setattr(summary, name, getattr(summary, name) + found[name])
            for name in _COUNTS:
                getattr(summary, name).update(found[name])
