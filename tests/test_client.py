from __future__ import annotations

import asyncio
import json
import time

import httpx2 as httpx
import pytest

from otklik.client import AsyncClient, Client, ServiceError

ANSWER = {
    "model_version": "m",
    "taxonomy_version": "1.0.0",
    "results": [
        {
            "id": "0",
            "engine": "model",
            "sentiment": {"label": "negative", "score": 0.9},
            "categories": [],
            "triggers": [],
            "urgency": {"severity": "none", "route": None, "respond_within_minutes": None},
            "needs_review": False,
            "review_reasons": [],
            "degraded": False,
            "degraded_reason": None,
        }
    ],
}


def refusal(status: int, code: str, wait: str | None = None) -> httpx.Response:
    headers = {"retry-after": wait} if wait else {}
    return httpx.Response(status, headers=headers, json={"error": {"code": code, "message": "no", "details": []}})


class Service:
    """Gives prepared answers in turn and keeps what it was asked."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self.answers.pop(0)


def test_a_refused_request_is_sent_again_after_the_service_s_delay_with_the_same_id() -> None:
    service = Service(refusal(429, "overloaded", "1"), refusal(503, "shutting_down", "1"), httpx.Response(200, json=ANSWER))
    start = time.perf_counter()
    with Client("http://x", key="otk_k", transport=httpx.MockTransport(service)) as client:
        answer = client.classify(["Ужас", {"text": "Да", "score": 3}], deadline=1.5)
    assert answer.results[0].id == "0"
    assert 2 <= time.perf_counter() - start < 3.5
    assert len({request.headers["x-request-id"] for request in service.asked}) == 1
    first = service.asked[0]
    assert (first.headers["x-api-key"], first.headers["x-deadline-ms"]) == ("otk_k", "1500")
    assert json.loads(first.content)["items"] == [{"text": "Ужас"}, {"text": "Да", "score": 3.0}]


@pytest.mark.parametrize(("status", "code"), [(422, "validation_failed"), (504, "deadline_exceeded"), (401, "unauthorized")])
def test_other_refusals_are_raised_at_once(status: int, code: str) -> None:
    service = Service(refusal(status, code))
    with Client("http://x", transport=httpx.MockTransport(service)) as client, pytest.raises(ServiceError) as raised:
        client.classify(["Ужас"])
    assert (raised.value.status, raised.value.code) == (status, code)


def test_retries_end() -> None:
    service = Service(*(refusal(429, "overloaded", "0") for _ in range(3)))
    with Client("http://x", retries=2, transport=httpx.MockTransport(service)) as client, pytest.raises(ServiceError, match="overloaded"):
        client.classify(["Ужас"])
    assert not service.answers


def test_an_answer_of_something_else_is_told() -> None:
    service = Service(httpx.Response(502, text="<html>proxy"))
    with Client("http://x", transport=httpx.MockTransport(service)) as client, pytest.raises(ServiceError, match="not one of this service"):
        client.classify(["Ужас"])


def test_the_async_client_does_the_same() -> None:
    service = Service(refusal(429, "overloaded", "1"), httpx.Response(200, json=ANSWER))

    async def ask() -> str:
        async with AsyncClient("http://x", transport=httpx.MockTransport(service)) as client:
            return (await client.classify(["Ужас"])).model_version

    assert asyncio.run(ask()) == "m"
    assert len(service.asked) == 2
