"""Before a route is reached: keys, rates, limits on bodies, and clients that stop half-way. Every refusal is JSON with a stable code."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Annotated

import limits
from fastapi import Request, Security
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from otklik.serving.keys import Holder, Keys
from otklik.serving.schemas import Error, ErrorDetail, ErrorResponse
from otklik.serving.settings import Settings

_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="only where the service was given keys")


class Refusal(Exception):  # noqa: N818  a refusal is an answer, not a fault
    """A request that is answered with an error; ``wait``: seconds after which it may be sent again."""

    def __init__(
        self, status: int, code: str, message: str, details: Sequence[ErrorDetail] | None = None, *, wait: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = Error(code=code, message=message, details=list(details or []))
        self.wait = wait


def error_response(refusal: Refusal) -> JSONResponse:
    """The body that every refusal has, and the seconds to wait in the header that clients look at."""
    headers = {} if refusal.wait is None else {"retry-after": str(max(1, math.ceil(refusal.wait)))}
    return JSONResponse(ErrorResponse(error=refusal.error).model_dump(), status_code=refusal.status, headers=headers)


class Gate:
    """Who comes in, and how many texts a minute each may send."""

    def __init__(self, keys: Keys, rate_per_minute: int) -> None:
        self._keys = keys
        self._rate = limits.RateLimitItemPerMinute(rate_per_minute) if rate_per_minute else None
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    # Both are coroutines although they wait for nothing: FastAPI sends plain functions through a thread, a third of a millisecond each.
    async def client(self, request: Request, key: Annotated[str | None, Security(_HEADER)] = None) -> None:
        """A dependency: any known key, or none where none is required."""
        self._let_in(request, key)

    async def admin(self, request: Request, key: Annotated[str | None, Security(_HEADER)] = None) -> None:
        """A dependency: an admin's key. Where no key was given to the service, nobody is one."""
        self._let_in(request, key)
        if request.state.holder.role != "admin":
            raise Refusal(403, "forbidden", "this wants the key of an admin; without keys, send SIGHUP to the process")

    def _let_in(self, request: Request, key: str | None) -> None:
        holder = self._keys.holder(key)
        if holder is None:
            raise Refusal(401, "unauthorized", "send a known key in X-API-Key")
        request.state.holder = holder

    def charge(self, request: Request, texts: int) -> None:
        """Counts texts against the holder's rate. Raises `Refusal`."""
        wait = self._charged(request, texts)
        if wait is not None:
            raise Refusal(429, "rate_limited", f"this key may send {self._rate.amount if self._rate else 0} texts a minute", wait=wait)

    async def wait(self, request: Request, texts: int) -> None:
        """The same for a stream, which waits instead."""
        while (wait := self._charged(request, texts)) is not None:  # noqa: ASYNC110  time is what it waits for
            await asyncio.sleep(min(max(wait, 0.05), 1.0))

    def _charged(self, request: Request, texts: int) -> float | None:
        """None where it was counted, else seconds to wait. More texts than a minute may have cost a whole minute."""
        if not self._rate:
            return None
        holder: Holder = request.state.holder
        if self._limiter.hit(self._rate, holder.name, cost=min(texts, self._rate.amount)):
            return None
        return max(0.0, self._limiter.get_window_stats(self._rate, holder.name).reset_time - time.time())


class Guard:
    """Refuses bodies above the limit before they are held, compressed ones, and those that stop coming; cuts off who does not read."""

    def __init__(self, app: ASGIApp, settings: Settings, streams: AbstractSet[str]) -> None:
        """``streams``: paths whose bodies may be of any length."""
        self._app, self._streams = app, streams
        self._most, self._seconds = settings.max_body_bytes, settings.body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Counts bytes as they come, and the seconds: of a whole body, or between two pieces of a stream."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        most = math.inf if scope["path"] in self._streams else self._most
        announced = headers.get(b"content-length", b"0")
        refusal: Refusal | None = None
        if headers.get(b"content-encoding", b"identity") != b"identity":
            refusal = Refusal(415, "unsupported_media_type", "send the body as it is, not compressed")
        elif announced.isdigit() and int(announced) > most:
            refusal = _too_large(self._most)
        received, complete, started = 0, False, False
        until = time.monotonic() + self._seconds

        async def guarded_receive() -> Message:
            nonlocal received, complete, refusal
            if complete:
                return await receive()
            try:
                async with asyncio.timeout(max(until - time.monotonic(), 0) if most < math.inf else self._seconds):
                    message = await receive()
            except TimeoutError:
                refusal = Refusal(408, "body_timeout", f"the body did not come within {self._seconds:.0f} s")
                raise _Stop from None
            complete = not message.get("more_body", False)
            received += len(message.get("body", b""))
            if received > most:
                refusal = _too_large(self._most)
                raise _Stop
            return message

        async def guarded_send(message: Message) -> None:
            nonlocal started
            if refusal and not started:
                return  # a route answers to a body that it could not read: the refusal below is the answer
            if message["type"] == "http.response.start":
                started = True
                await send(message)  # a few bytes, which the server keeps until the body comes
                return
            async with asyncio.timeout(self._seconds):
                await send(message)

        if not refusal:
            with suppress(_Stop):
                await self._app(scope, guarded_receive, guarded_send)
        if refusal and not started:
            await error_response(refusal)(scope, receive, send)


def _too_large(most: int) -> Refusal:
    return Refusal(413, "body_too_large", f"the body is above {most} bytes; split the request")


class _Stop(Exception):  # noqa: N818
    pass
