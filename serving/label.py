"""Batch labelling of files: one answer for each row, in order. No row is lost: one that cannot be read gets an error in its place."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

from otklik.nlp.analyzer import Analyzer, Engine, relative_score
from otklik.nlp.masking import Masker, Span, hide
from otklik.serving.schemas import CategoryAnswer, Error, Options, Passage, Result, TriggerAnswer

_TEXT_COLUMNS = ("text", "текст", "comment", "комментарий", "отзыв", "review", "message", "сообщение")
_ENCODINGS = ("utf-8-sig", "cp1251")
_BATCH = 256  # rows that the model reads together
_DELIMITERS = ",;\t|"
_ADDED = (
    "sentiment",
    "categories",
    "triggers",
    "urgency",
    "department",
    "evidence",
    "needs_review",
    "engine",
    "model_version",
    "taxonomy_version",
)

T = TypeVar("T")


class LabelError(ValueError):
    """A file that cannot be labelled; ``code`` is for programs, the message (in Russian) for the analyst."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class Summary:
    """What came of a run."""

    rows: int = 0
    errors: int = 0
    needs_review: int = 0
    sentiments: Counter[str] = field(default_factory=Counter)
    categories: Counter[str] = field(default_factory=Counter)
    triggers: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Counts one answer."""
        self.rows += 1
        self.needs_review += result.needs_review
        self.sentiments[result.sentiment.label] += 1
        self.categories.update(category.id for category in result.categories)
        self.triggers.update(trigger.id for trigger in result.triggers)


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

    def label_all(self, rows: Sequence[Row]) -> list[Result]:
        """The same answers as through the other doors, in order."""
        marks = [relative_score(row.score, row.channel) for row in rows]
        analyses = self.analyzer.analyze_all([row.text for row in rows], marks, self.engine)
        results = [Result.of(row.id, analysis, self.analyzer.taxonomy, Options()) for row, analysis in zip(rows, analyses, strict=True)]
        if not self.masker:
            return results
        return [_masked(result, row.text, self.masker.spans(row.text)) for result, row in zip(results, rows, strict=True)]


def label_file(
    source: Path, target: Path, labeller: Labeller, text_column: str | None = None, progress: Callable[[int], None] | None = None
) -> Summary:
    """Labels JSONL or CSV, told by the ending of the name. ``progress`` gets the bytes read so far.

    The target appears when it is whole, or not at all. Raises `LabelError` where the file as a whole cannot be read.
    """
    kinds: dict[str, Callable[..., Summary]] = {".jsonl": _label_jsonl, ".ndjson": _label_jsonl, ".csv": _label_csv, ".tsv": _label_csv}
    kind = kinds.get(source.suffix.lower())
    if kind is None:
        raise LabelError(
            "unknown_format", f"{source}: формат «{source.suffix}» не поддерживается; сохраните файл как .csv, .tsv или .jsonl"
        )
    if not source.is_file():
        raise LabelError("no_file", f"{source}: такого файла нет; проверьте путь")
    if target.resolve() == source.resolve():
        raise LabelError("same_file", f"{target}: исходный файл не перезаписывается; укажите другое имя после -o")
    try:
        with _whole_or_nothing(target, bom=kind is _label_csv) as out:
            return kind(source, out, labeller, text_column, progress or (lambda _: None))
    except UnicodeDecodeError as error:
        message = f"{source}: кодировка не распознана (ни UTF-8, ни Windows-1251); сохраните файл в UTF-8"
        raise LabelError("invalid_encoding", message) from error
    except OSError as error:
        raise LabelError("no_access", f"{error.filename or target}: {error.strerror}; проверьте права и место на диске") from error


@contextmanager
def _whole_or_nothing(target: Path, *, bom: bool) -> Iterator[IO[str]]:
    """A temporary file beside the target that takes its name when everything is written and on disk."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8-sig" if bom else "utf-8", newline="") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _label_jsonl(source: Path, out: IO[str], labeller: Labeller, text_column: str | None, progress: Callable[[int], None]) -> Summary:
    summary, read = Summary(), 0

    def parsed(lines: IO[bytes]) -> Iterator[Row | str]:
        nonlocal read
        for number, line in enumerate(lines, start=1):
            read += len(line)
            if line.strip():
                yield _read_line(line, number, text_column or "text", summary)

    with source.open("rb") as lines:
        for part in batched(parsed(lines), _BATCH):
            results = iter(labeller.label_all([row for row in part if isinstance(row, Row)]))
            for row in part:
                line = row
                if isinstance(row, Row):
                    result = next(results)
                    summary.add(result)
                    line = result.as_line(labeller.version, labeller.analyzer.taxonomy.version)
                out.write(f"{line}\n")
            progress(read)
    return summary


def batched(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of ``size``, the last one shorter."""
    rest = iter(rows)
    while part := list(islice(rest, size)):
        yield part


def _read_line(line: bytes, number: int, text_key: str, summary: Summary) -> Row | str:
    """One line of JSONL as a row, or, where it is none, the line that tells the error with its number and, where it can be told, its id."""
    ident: str | int | None = None
    try:
        row = json.loads(line.decode("utf-8-sig"))
        if not isinstance(row, dict):
            return _failed(summary, None, number, "invalid_row", "строка должна быть объектом JSON")
        ident = row["id"] if isinstance(row.get("id"), str | int) else str(number)
        text = row.get(text_key)
        if not isinstance(text, str):
            return _failed(summary, ident, number, "no_text", f"в строке нет текста под ключом «{text_key}»")
        text.encode("utf-8")
        str(ident).encode("utf-8")
    except UnicodeError:
        return _failed(
            summary,
            ident if isinstance(ident, int) or _is_whole(ident) else None,
            number,
            "invalid_encoding",
            "строка не в UTF-8 или содержит половину знака",
        )
    except (ValueError, RecursionError):
        return _failed(summary, ident, number, "invalid_json", "строка не является JSON")
    return Row(ident, text, _number(row.get("score")), row.get("channel") if isinstance(row.get("channel"), str) else None)


def _is_whole(text: str | None) -> bool:
    """Half of a surrogate pair cannot be written back."""
    return text is not None and not any("\ud800" <= char <= "\udfff" for char in text)


def _failed(summary: Summary, ident: str | int | None, number: int, code: str, message: str) -> str:
    summary.rows += 1
    summary.errors += 1
    return json.dumps(
        {"id": ident, "line": number, "error": Error(code=code, message=message).model_dump(exclude={"details"})}, ensure_ascii=False
    )


def _number(value: Any) -> float | None:
    """A mark between 0 and 10; anything else is no mark."""
    try:
        number = float(str(value).replace(",", "."))
    except ValueError:
        return None
    return number if 0 <= number <= 10 and not isinstance(value, bool) else None


def _label_csv(source: Path, out: IO[str], labeller: Labeller, text_column: str | None, progress: Callable[[int], None]) -> Summary:
    """All columns as they were, and the labels behind them."""
    encoding = _encoding(source)
    summary = Summary()
    if encoding != _ENCODINGS[0]:
        summary.notes.append(f"кодировка файла — {encoding}")
    csv.field_size_limit(2**31 - 1)
    with source.open("rb") as raw, io.TextIOWrapper(raw, encoding=encoding, newline="") as lines:
        sample = lines.readline()
        lines.seek(0)
        delimiter = max(_DELIMITERS, key=sample.count)
        rows = csv.reader(lines, delimiter=delimiter, strict=True)
        header = next(rows, None)
        if not header:
            raise LabelError("empty_file", f"{source}: файл пуст; в первой строке ожидаются названия столбцов")
        column = _text_column(source, header, text_column)
        summary.notes.append(f"текст взят из столбца «{header[column]}»")
        writer = csv.writer(out, delimiter=delimiter)
        writer.writerow([*header, *(f"otklik_{name}" for name in _ADDED)])
        try:
            for part in batched(enumerate(rows, start=1), _BATCH):
                asked = [
                    Row(
                        str(number),
                        row[column] if column < len(row) else "",
                        _number(_cell(header, row, "score")),
                        _cell(header, row, "channel"),
                    )
                    for number, row in part
                ]
                for (_, row), result in zip(part, labeller.label_all(asked), strict=True):
                    summary.add(result)
                    padding = [""] * (len(header) - len(row))
                    writer.writerow([*row, *padding, *_cells(result, labeller)])
                progress(raw.tell())
        except csv.Error as error:
            raise LabelError(
                "broken_csv", f"{source}:{rows.line_num}: таблица нарушена ({error}); проверьте кавычки в этой строке"
            ) from error
    return summary


def _encoding(source: Path) -> str:
    with source.open(encoding=_ENCODINGS[0]) as lines:
        try:
            for _ in lines:
                pass
        except UnicodeDecodeError:
            return _ENCODINGS[1]
    return _ENCODINGS[0]


def _text_column(source: Path, header: list[str], wanted: str | None) -> int:
    names = [name.strip().lower() for name in header]
    for name in [wanted.strip().lower()] if wanted else _TEXT_COLUMNS:
        if name in names:
            return names.index(name)
    raise LabelError(
        "no_text_column",
        f"{source}: не найден столбец с текстом{f' «{wanted}»' if wanted else ''}; укажите --text-column, есть: {', '.join(header)}",
    )


def _cell(header: list[str], row: list[str], name: str) -> str | None:
    place = next((place for place, title in enumerate(header) if title.strip().lower() == name), None)
    return row[place] if place is not None and place < len(row) else None


def _cells(result: Result, labeller: Labeller) -> Iterable[str]:
    found: list[TriggerAnswer | CategoryAnswer] = [*result.triggers, *result.categories]
    evidence = [passage.text for label in found for passage in label.evidence]
    yield result.sentiment.label
    yield ", ".join(category.id for category in result.categories)
    yield ", ".join(trigger.id for trigger in result.triggers)
    yield result.urgency.severity
    yield ", ".join(dict.fromkeys(category.department for category in result.categories if category.department))
    yield _safe(" | ".join(dict.fromkeys(evidence)))
    yield ", ".join(result.review_reasons)
    yield result.engine
    yield labeller.version
    yield labeller.analyzer.taxonomy.version


def _safe(text: str) -> str:
    """A customer's words never become a formula of the table that opens them."""
    return "'" + text if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


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
