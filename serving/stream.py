"""Large batches: an item a line in, a result or an error a line out, while the body still comes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from otklik.serving.answerer import Answerer, Answers, Late, Unavailable, refusal_of
from otklik.serving.batcher import Ask, Closed, Full
from otklik.serving.guard import Gate
from otklik.serving.items import Wrong, asks_of, item_of, json_of, results_of
from otklik.serving.observe import Metrics
from otklik.serving.schemas import Error, Failed, Item, Options, Result
from otklik.serving.settings import Settings

_LINES = 64  # items that are answered together


async def streamed(
    request: Request, answerer: Answerer, options: Options, settings: Settings, gate: Gate, metrics: Metrics
) -> AsyncIterator[bytes]:
    number = 0
    async for lines in _lines(request, settings.max_body_bytes):
        read = [_line(line, number + place, settings) for place, line in enumerate(lines)]
        number += len(lines)
        try:
            await gate.wait(request, len(read))
            answers = await _with_room(answerer, asks_of(read), options, settings.deadline_seconds)
            results = results_of(read, answers, options, metrics)
        except (Unavailable, Late, Closed) as error:
            refusal = refusal_of(error)
            metrics.refusals.labels(refusal.error.code).inc(len(read))
            results = [Failed(id=item.id or str(number), error=refusal.error) for item in read]
        for result in results:
            yield json_of(result, options, {"scores"} if isinstance(result, Result) else None) + b"\n"
    request.state.told = {"items": number}


def _line(line: bytes, position: int, settings: Settings) -> Item | Wrong:
    if len(line) > settings.max_body_bytes:
        return Wrong(str(position), Error(code="body_too_large", message=f"the line is above {settings.max_body_bytes} bytes"))
    try:
        return item_of(json.loads(line.decode("utf-8-sig")), position, settings)
    except (ValueError, RecursionError):
        return Wrong(str(position), Error(code="invalid_json", message="the line is no JSON; send an object with «text», in UTF-8"))


class Duplex(StreamingResponse):
    """Sends while the body still comes. The usual one listens for the end of the connection, and so would swallow the body."""

    def __init__(self, lines: AsyncIterator[bytes], media_type: str, gone: Callable[[], None]) -> None:
        """``gone`` is called when the client went away before its body was whole."""
        super().__init__(lines, media_type=media_type)
        self._gone = gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        try:
            await self.stream_response(send)
        except ClientDisconnect:
            self._gone()


async def _lines(request: Request, most: int) -> AsyncIterator[list[bytes]]:
    """Lines that have come, some together; blank ones are left out. One above ``most`` bytes comes cut off a little above that."""
    rest = b""
    async for piece in request.stream():
        *lines, rest = (rest + piece).split(b"\n")
        # What is above the limit is refused anyway: it need not be held.
        rest = rest[: most + 1]
        lines = [line for line in lines if line.strip()]
        for start in range(0, len(lines), _LINES):
            yield lines[start : start + _LINES]
    if rest.strip():
        yield [rest]


async def _with_room(answerer: Answerer, asks: Sequence[Ask], options: Options, seconds: float) -> Answers:
    while True:
        try:
            return await answerer.answer(asks, options.engine, seconds)
        except Full as full:
            await asyncio.sleep(min(max(full.seconds, 0.05), 1.0))
