"""The items of a request, each read by itself, and their answers: one that is wrong does not sink the others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from otklik.nlp.analyzer import relative_score
from otklik.serving.answerer import Answers
from otklik.serving.batcher import Ask
from otklik.serving.guard import Refusal
from otklik.serving.observe import Metrics
from otklik.serving.schemas import Envelope, Error, ErrorDetail, Failed, Item, Options, Result, whole
from otklik.serving.settings import Settings


@dataclass(frozen=True, slots=True)
class Wrong:
    """An item that could not be read."""

    id: str | int
    error: Error


def envelope_of(body: bytes, settings: Settings) -> Envelope:
    try:
        # Not pydantic's parser: that one refuses the whole body for half of a surrogate pair in one item.
        content = json.loads(body.decode("utf-8-sig"))  # only UTF-8: json would guess UTF-16 as well
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "invalid_json", "the body is no JSON; send an object with «items», in UTF-8") from error
    envelope = Envelope.model_validate(content)
    if len(envelope.items) > settings.max_items:
        raise Refusal(
            413, "too_many_items", f"{len(envelope.items)} items; at most {settings.max_items} in one request, send the rest in another"
        )
    return envelope


def item_of(value: Any, position: int, settings: Settings) -> Item | Wrong:
    """``position`` counts from 0 and serves as the id where there is none."""
    sent = value.get("id") if isinstance(value, dict) else None
    ident = sent if isinstance(sent, str | int) and not isinstance(sent, bool) and whole(sent) else str(position)
    try:
        item = Item.model_validate(value)
    except ValidationError as error:
        return Wrong(ident, Error(code="validation_failed", message="the item does not fit the schema", details=details_of(error.errors())))
    if len(item.text) > settings.max_characters:
        detail = ErrorDetail(where="text", message=f"{len(item.text)} characters; at most {settings.max_characters}")
        return Wrong(ident, Error(code="text_too_long", message="split the text; it was not read", details=[detail]))
    return item.model_copy(update={"id": ident})


def nothing_readable(read: Sequence[Item | Wrong]) -> Refusal:
    wrong = [item for item in read if isinstance(item, Wrong)]
    details = [
        ErrorDetail(where=f"items.{position}.{detail.where}".removesuffix("."), message=detail.message)
        for position, item in enumerate(wrong)
        for detail in item.error.details
    ]
    code = "text_too_long" if all(item.error.code == "text_too_long" for item in wrong) else "validation_failed"
    return Refusal(422, code, "no item could be read; see details and /docs", details)


def asks_of(read: Sequence[Item | Wrong]) -> list[Ask]:
    return [Ask(item.text, relative_score(item.score, item.channel)) for item in read if isinstance(item, Item)]


def results_of(read: Sequence[Item | Wrong], answers: Answers, options: Options, metrics: Metrics) -> list[Result | Failed]:
    analyses = iter(answers.analyses)
    results: list[Result | Failed] = []
    for position, item in enumerate(read):
        if isinstance(item, Wrong):
            metrics.refusals.labels(item.error.code).inc()
            results.append(Failed(id=item.id, error=item.error))
        else:
            result = Result.of(
                item.id if item.id is not None else str(position), next(analyses), answers.desk.taxonomy, options, answers.degraded
            )
            metrics.answer(result)
            results.append(result)
    return results


def json_of(model: Any, options: Options, scores: Any) -> bytes:
    content: str = model.model_dump_json(exclude=None if options.all_scores else scores)
    return content.encode("utf-8")


def details_of(problems: Sequence[Any]) -> list[ErrorDetail]:
    """Never the value itself: it may be a customer's words."""
    return [ErrorDetail(where=".".join(map(str, problem["loc"])), message=problem["msg"]) for problem in problems]
