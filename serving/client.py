"""Client of the service for Python, sync and async: typed answers, and retries that wait as long as the service asks.

```python
with Client("http://127.0.0.1:8000", key="otk_…") as client:
    answer = client.classify(["Курьер нахамил и уехал с заказом"])
```
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx2 as httpx

from otklik.serving.schemas import ClassifyRequest, ClassifyResponse, Engine, ErrorDetail, ErrorResponse, Health, Item, Options

__all__ = ["AsyncClient", "Client", "ServiceError"]

_AGAIN = frozenset({429, 503})  # the service took nothing: the request may be sent again
_TIMEOUT = 60.0  # seconds; above the service's own deadline
_LONGEST_WAIT = 30.0  # seconds
_JITTER = 0.25  # of a wait, so that clients that were refused together do not come back together


class ServiceError(Exception):
    """An answer that is not a result: its HTTP status, its stable code, and what was wrong where."""

    def __init__(self, status: int, code: str, message: str, details: Sequence[ErrorDetail] = ()) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.details = tuple(details)


class _Shared:
    """What both clients do alike."""

    def __init__(self, url: str, key: str | None, retries: int, timeout: float) -> None:
        self._settings: dict[str, Any] = {"base_url": url, "timeout": timeout, "headers": {"x-api-key": key} if key else {}}
        self._retries = retries

    @staticmethod
    def _request(
        texts: Sequence[str | Item | Mapping[str, Any]], engine: Engine, explain: bool, all_scores: bool, deadline: float | None
    ) -> dict[str, Any]:
        items = [Item(text=each) if isinstance(each, str) else Item.model_validate(each) for each in texts]
        body = ClassifyRequest(items=items, options=Options(engine=engine, explain=explain, all_scores=all_scores))
        headers = {"content-type": "application/json", "x-request-id": uuid.uuid4().hex}
        if deadline is not None:
            headers["x-deadline-ms"] = str(max(1, round(deadline * 1000)))
        return {"content": body.model_dump_json(exclude_none=True), "headers": headers}

    def _wait(self, response: httpx.Response, attempt: int) -> float | None:
        """Seconds until the next attempt; None where there is none: the answer stands."""
        if response.status_code not in _AGAIN or attempt >= self._retries:
            return None
        asked = response.headers.get("retry-after", "")
        seconds = float(asked) if asked.isdigit() else 2.0**attempt
        return min(seconds, _LONGEST_WAIT) * (1 + random.uniform(0, _JITTER))  # noqa: S311  no secret

    @staticmethod
    def _answer(response: httpx.Response) -> ClassifyResponse:
        if response.is_success:
            return ClassifyResponse.model_validate_json(response.content)
        try:
            error = ErrorResponse.model_validate_json(response.content).error
        except ValueError:
            raise ServiceError(response.status_code, "unknown", "the answer is not one of this service") from None
        raise ServiceError(response.status_code, error.code, error.message, error.details)


class Client(_Shared):
    """Keeps connections open; may be shared by threads."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        key: str | None = None,
        *,
        retries: int = 5,
        timeout: float = _TIMEOUT,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """``timeout`` in seconds. ``retries``: after 429 and 503, when the service says so."""
        super().__init__(url, key, retries, timeout)
        self._http = httpx.Client(transport=transport, **self._settings)

    def classify(
        self,
        texts: Sequence[str | Item | Mapping[str, Any]],
        *,
        engine: Engine = "auto",
        explain: bool = True,
        all_scores: bool = False,
        deadline: float | None = None,
    ) -> ClassifyResponse:
        """Results in the order of the texts; ``deadline`` in seconds. Raises `ServiceError` and `httpx2.HTTPError`."""
        request = self._request(texts, engine, explain, all_scores, deadline)
        attempt = 0
        while True:
            response = self._http.post("/v1/classify", **request)
            wait = self._wait(response, attempt)
            if wait is None:
                return self._answer(response)
            time.sleep(wait)
            attempt += 1

    def ready(self) -> Health:
        """Who would answer now."""
        return Health.model_validate_json(self._http.get("/health/ready").content)

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Closes the connections."""
        self.close()


class AsyncClient(_Shared):
    """The same for asyncio."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        key: str | None = None,
        *,
        retries: int = 5,
        timeout: float = _TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """``timeout`` in seconds. ``retries``: after 429 and 503, when the service says so."""
        super().__init__(url, key, retries, timeout)
        self._http = httpx.AsyncClient(transport=transport, **self._settings)

    async def classify(
        self,
        texts: Sequence[str | Item | Mapping[str, Any]],
        *,
        engine: Engine = "auto",
        explain: bool = True,
        all_scores: bool = False,
        deadline: float | None = None,
    ) -> ClassifyResponse:
        """Results in the order of the texts; ``deadline`` in seconds. Raises `ServiceError` and `httpx2.HTTPError`."""
        request = self._request(texts, engine, explain, all_scores, deadline)
        attempt = 0
        while True:
            response = await self._http.post("/v1/classify", **request)
            wait = self._wait(response, attempt)
            if wait is None:
                return self._answer(response)
            await asyncio.sleep(wait)
            attempt += 1

    async def ready(self) -> Health:
        """Who would answer now."""
        return Health.model_validate_json((await self._http.get("/health/ready")).content)

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        """Itself."""
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Closes the connections."""
        await self.close()
