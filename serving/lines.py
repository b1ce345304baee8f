"""JSON lines: an answer, or the error in its place, for each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from otklik.serving.journal import Journal
from otklik.serving.labeller import Labeller, Row, Summary, mark_of, number_of, run, whole_or_nothing
from otklik.serving.schemas import Error
from otklik.serving.tables import TableError


def label_lines(
    source: Path, target: Path, labeller: Labeller, key: str, progress: Callable[[int, int | None], None], *, restart: bool
) -> Summary:
    """``key`` holds the text. ``progress`` hears of the rows done, and of how many there are."""
    with source.open("rb") as opened:
        total = sum(bool(line.strip()) for line in opened)

    def rows() -> Iterator[Row | str]:
        with source.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _read_line(line, number, key)

    def answer(part: Sequence[Row | str]) -> list[str]:
        results = iter(labeller.label_all([row for row in part if isinstance(row, Row)]))
        return [next(results).as_line(labeller.version, labeller.taxonomy.version) if isinstance(row, Row) else row for row in part]

    summary = Summary()
    with Journal(target, mark_of(source, labeller, key), restart=restart, hopeless=TableError) as journal:
        run(journal, rows(), answer, lambda done: progress(done, total), summary)
        with whole_or_nothing(target) as temporary, temporary.open("w", encoding="utf-8", newline="") as out:
            for line in journal.rows():
                _add(summary, json.loads(line))
                out.write(f"{line}\n")
        journal.remove()
    return summary


def _add(summary: Summary, answer: dict[str, Any]) -> None:
    summary.rows += 1
    if "error" in answer:
        summary.errors += 1
        return
    summary.sentiments[answer["sentiment"]["label"]] += 1
    summary.categories.update(category["id"] for category in answer["categories"])
    summary.triggers.update(trigger["id"] for trigger in answer["triggers"])
    summary.needs_review += answer["needs_review"]
    summary.wordless += "no_words" in answer["review_reasons"]


def _read_line(line: bytes, number: int, text_key: str) -> Row | str:
    """One line of JSONL as a row, or, where it is none, the line that tells the error with its number and, where it can be told, its id."""
    ident: str | int | None = None
    try:
        row = json.loads(line.decode("utf-8-sig"))
        if not isinstance(row, dict):
            return _failed(None, number, "invalid_row", "строка должна быть объектом JSON")
        ident = row["id"] if isinstance(row.get("id"), str | int) else str(number)
        text = row.get(text_key)
        if not isinstance(text, str):
            return _failed(ident, number, "no_text", f"в строке нет текста под ключом «{text_key}»")
        text.encode("utf-8")
        str(ident).encode("utf-8")
    except UnicodeError:
        known = ident if isinstance(ident, int) or _is_whole(ident) else None
        return _failed(known, number, "invalid_encoding", "строка не в UTF-8 или содержит половину знака")
    except (ValueError, RecursionError):
        return _failed(ident, number, "invalid_json", "строка не является JSON")
    return Row(ident, text, number_of(row.get("score")), row.get("channel") if isinstance(row.get("channel"), str) else None)


def _is_whole(text: str | None) -> bool:
    """Half of a surrogate pair cannot be written back."""
    return text is not None and not any("\ud800" <= char <= "\udfff" for char in text)


def _failed(ident: str | int | None, number: int, code: str, message: str) -> str:
    error = Error(code=code, message=message).model_dump(exclude={"details"})
    return json.dumps({"id": ident, "line": number, "error": error}, ensure_ascii=False)
