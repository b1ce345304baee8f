from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from otklik.serving.app import create_app
from otklik.serving.settings import Settings

CRY = "Стоим у выхода, нас не сажают на рейс! Горячая линия не отвечает."


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(create_app(Settings(max_items=3, max_characters=1000, max_body_bytes=20_000))) as client:
        yield client


def test_an_answer_has_the_promised_shape(client: TestClient) -> None:
    body = {
        "items": [{"id": "42", "text": CRY, "score": 2, "channel": "nps"}],
        "options": {"engine": "auto", "explain": True, "all_scores": False},
    }
    response = client.post("/v1/classify", json=body)
    assert response.status_code == 200
    answer = response.json()
    assert list(answer) == ["model_version", "taxonomy_version", "results"]
    assert answer["taxonomy_version"] == "1.0.0"
    (result,) = answer["results"]
    assert list(result) == ["id", "engine", "sentiment", "categories", "triggers", "urgency", "needs_review", "review_reasons"]
    assert (result["id"], result["engine"], result["sentiment"]["label"]) == ("42", "model", "negative")
    category = next(category for category in result["categories"] if category["id"] == "service.no_response")
    assert list(category) == ["id", "title", "group", "department", "score", "sentiment", "evidence"]
    assert (category["title"], category["group"], category["department"]) == ("Не дозвониться, нет ответа", "service", "support")
    trigger = result["triggers"][0]
    assert list(trigger) == ["id", "title", "severity", "score", "source", "evidence"]
    assert (trigger["id"], trigger["severity"], trigger["source"]) == ("denied_boarding", "critical", "rule")
    assert trigger["score"] > 0.5
    for passage in (*category["evidence"], *trigger["evidence"]):
        assert CRY[passage["start"] : passage["end"]] == passage["text"]
    assert result["urgency"] == {"severity": "critical", "route": "loyalty_team", "respond_within_minutes": 15}


def test_results_stand_in_the_order_of_the_items_and_echo_their_ids(client: TestClient) -> None:
    items = [{"text": "Спасибо"}, {"id": 7, "text": CRY}, {"id": "", "text": ""}]
    results = client.post("/v1/classify", json={"items": items}).json()["results"]
    assert [result["id"] for result in results] == ["0", 7, ""]


def test_options(client: TestClient) -> None:
    body = {"items": [{"text": CRY}], "options": {"explain": False, "all_scores": True, "engine": "keyword"}}
    (result,) = client.post("/v1/classify", json=body).json()["results"]
    assert result["triggers"][0]["evidence"] == []
    assert len(result["scores"]) == 22
    assert result["scores"]["service.no_response"] > 0.5


@pytest.mark.parametrize(
    ("content", "status", "code", "where"),
    [
        (b"{", 400, "invalid_json", None),
        (b"\xff\xfe", 400, "invalid_json", None),
        (b'{"items": [{"text": "\\ud800"}]}', 422, "validation_failed", "items.0.text"),
        (b"[]", 422, "validation_failed", "body"),
        (b"{}", 422, "validation_failed", "items"),
        (b'{"items": []}', 422, "validation_failed", "items"),
        (b'{"items": [{"id": "1"}]}', 422, "validation_failed", "items.0.text"),
        (b'{"items": [{"text": 5}]}', 422, "validation_failed", "items.0.text"),
        (b'{"items": [{"text": "a", "score": 11}]}', 422, "validation_failed", "items.0.score"),
        (b'{"items": [{"text": "a", "extra": 1}]}', 422, "validation_failed", "items.0.extra"),
        (b'{"items": [{"text": "a"}], "options": {"engine": "magic"}}', 422, "validation_failed", "options.engine"),
        (json.dumps({"items": [{"text": "а" * 1001}]}).encode(), 422, "text_too_long", "items.0.text"),
        (json.dumps({"items": [{"text": "а"}] * 4}).encode(), 413, "too_many_items", None),
        (b'{"items": [{"text": "' + b"a" * 30_000 + b'"}]}', 413, "body_too_large", None),
        (b'{"items": ' + b"[" * 9000 + b"]" * 9000 + b"}", 400, "invalid_json", None),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else None,
)
def test_bad_requests_get_a_stable_code(client: TestClient, content: bytes, status: int, code: str, where: str | None) -> None:
    response = client.post("/v1/classify", content=content, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    if where:
        assert where in [detail["where"] for detail in response.json()["error"]["details"]]


def test_a_body_of_unknown_length_is_limited_too(client: TestClient) -> None:
    response = client.post("/v1/classify", content=(b"x" * 1000 for _ in range(30)), headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")


def test_unknown_paths_and_methods_are_json_too(client: TestClient) -> None:
    assert client.get("/v2").json()["error"]["code"] == "not_found"
    response = client.get("/v1/classify")
    assert (response.status_code, response.json()["error"]["code"], response.headers["allow"]) == (405, "method_not_allowed", "POST")


def test_a_failure_inside_is_told_without_the_text(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(Settings())
    with TestClient(app, raise_server_exceptions=False) as client, caplog.at_level(logging.DEBUG):
        monkeypatch.setattr(app.state.analyzer, "analyze_all", lambda *_: 1 / 0)
        response = client.post("/v1/classify", json={"items": [{"text": "тайна +7 912 345-67-89"}]})
    assert (response.status_code, response.json()["error"]["code"]) == (500, "internal_error")
    assert "тайна" not in caplog.text


def test_without_a_model_the_words_answer_and_a_demanded_model_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with TestClient(create_app(Settings(model=tmp_path))) as client:
        answer = client.post("/v1/classify", json={"items": [{"text": CRY}]}).json()
        assert (answer["model_version"], answer["results"][0]["engine"]) == ("keyword-1", "keyword")
        assert client.get("/health/ready").json()["engine"] == "keyword"
        refused = client.post("/v1/classify", json={"items": [{"text": CRY}], "options": {"engine": "model"}})
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_unavailable")
    assert "model_missing" in caplog.text


def test_health_and_taxonomy(client: TestClient) -> None:
    assert client.get("/health/live").json()["status"] == "live"
    ready = client.get("/health/ready").json()
    assert (ready["status"], ready["engine"], ready["taxonomy_version"]) == ("ready", "model", "1.0.0")
    taxonomy = client.get("/v1/taxonomy").json()
    assert (taxonomy["id"], taxonomy["version"]) == ("service-core", "1.0.0")
    assert [len(taxonomy[layer]) for layer in ("groups", "categories", "sentiments", "triggers")] == [8, 22, 4, 12]
    assert "phrases" not in taxonomy["categories"][0]


def test_openapi_shows_examples_and_errors(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    operation = schema["paths"]["/v1/classify"]["post"]
    assert {"200", "400", "413", "422", "503"} <= set(operation["responses"])
    assert operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("ClassifyResponse")
    assert schema["components"]["schemas"]["ClassifyRequest"]["examples"]
    (asked,) = schema["components"]["schemas"]["ClassifyRequest"]["examples"][0]["items"]
    (answered,) = schema["components"]["schemas"]["ClassifyResponse"]["examples"][0]["results"]
    for label in (*answered["categories"], *answered["triggers"]):
        for passage in label["evidence"]:
            assert asked["text"][passage["start"] : passage["end"]] == passage["text"]
