from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from otklik.serving import keys
from otklik.serving.app import create_app
from otklik.serving.settings import Settings

CRY = "Стоим у выхода, нас не сажают на рейс! Горячая линия не отвечает."


@contextmanager
def asked(**settings: object) -> Iterator[TestClient]:
    """A client of a service that has done loading."""
    with TestClient(create_app(Settings(**settings))) as client:
        while client.get("/health/ready").json()["reason"] == "model_loading":
            time.sleep(0.02)
        yield client


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with asked(max_items=3, max_characters=1000, max_body_bytes=20_000) as client:
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
    assert list(result) == [
        *("id", "engine", "sentiment", "categories", "triggers", "urgency", "needs_review", "review_reasons"),
        *("degraded", "degraded_reason"),
    ]
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


def test_one_bad_item_does_not_sink_its_batch(client: TestClient) -> None:
    items = [{"id": "a", "text": CRY}, {"id": "b", "text": 5}, {"text": "а" * 1001}]
    first, second, third = client.post("/v1/classify", json={"items": items}).json()["results"]
    assert (first["id"], first["engine"]) == ("a", "model")
    assert (second["id"], second["error"]["code"], second["error"]["details"][0]["where"]) == ("b", "validation_failed", "text")
    assert (third["id"], third["error"]["code"]) == ("2", "text_too_long")


def test_an_unforeseen_failure_is_told_without_the_text(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(Settings())
    with TestClient(app, raise_server_exceptions=False) as client, caplog.at_level(logging.DEBUG):
        monkeypatch.setattr(app.state.answerer, "answer", lambda *_: 1 / 0)
        response = client.post("/v1/classify", json={"items": [{"text": "тайна +7 912 345-67-89"}]})
    assert (response.status_code, response.json()["error"]["code"]) == (500, "internal_error")
    assert "тайна" not in caplog.text


def test_request_ids_are_echoed_or_made(client: TestClient) -> None:
    assert client.get("/health/live", headers={"x-request-id": "crm-17"}).headers["x-request-id"] == "crm-17"
    made = client.get("/health/live", headers={"x-request-id": "a b<script>"}).headers["x-request-id"]
    assert len(made) == 32


def test_headers_keep_browsers_from_guessing(client: TestClient) -> None:
    headers = client.get("/health/live").headers
    assert (headers["x-content-type-options"], headers["x-frame-options"], headers["cache-control"]) == ("nosniff", "DENY", "no-store")


def test_long_answers_are_compressed_for_those_who_ask(client: TestClient) -> None:
    body = {"items": [{"text": CRY}] * 3}
    packed = client.post("/v1/classify", json=body, headers={"accept-encoding": "gzip"})
    plain = client.post("/v1/classify", json=body, headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.json() == plain.json()


def test_the_taxonomy_is_sent_once(client: TestClient) -> None:
    tag = client.get("/v1/taxonomy").headers["etag"]
    again = client.get("/v1/taxonomy", headers={"if-none-match": f'W/{tag}, "other"'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get("/v1/taxonomy", headers={"if-none-match": '"other"'}).status_code == 200


def test_models_are_listed(client: TestClient) -> None:
    model, words = client.get("/v1/models").json()["models"]
    assert (model["engine"], model["default"], model["taxonomy_version"]) == ("model", True, "1.0.0")
    assert (words["id"], words["default"]) == ("keyword-1", False)
    assert model["id"] == client.get("/health/ready").json()["model_version"]


def test_keys_open_the_door(tmp_path: Path) -> None:
    crm, boss = keys.new_key(), keys.new_key()
    file = tmp_path / "keys"
    file.write_text("# ours\n" + keys.line("crm", "client", crm) + "\n" + keys.line("boss", "admin", boss) + "\n", encoding="utf-8")
    body = {"items": [{"text": CRY}], "options": {"engine": "keyword"}}
    with asked(keys_file=file) as client:

        def status(path: str, key: str | None) -> int:
            return client.post(path, json=body, headers={"x-api-key": key} if key else {}).status_code

        assert [status("/v1/classify", key) for key in (None, "otk_wrong", crm, boss)] == [401, 401, 200, 200]
        assert [status("/admin/reload", key) for key in (None, crm, boss)] == [401, 403, 200]
        assert client.get("/v1/taxonomy").status_code == client.get("/v1/models").status_code == 401
        assert client.get("/health/ready").status_code == client.get("/metrics").status_code == 200


def test_a_rate_is_kept_for_each_key(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = keys.new_key(), keys.new_key()
    given = f"{keys.line('a', 'client', first)}, {keys.line('b', 'client', second)}"
    body = {"items": [{"text": CRY}] * 3, "options": {"engine": "keyword"}}
    with asked(keys=given, rate_per_minute=5) as client:
        responses = [client.post("/v1/classify", json=body, headers={"x-api-key": key}) for key in (first, first, second)]
        assert [response.status_code for response in responses] == [200, 429, 200]
        assert responses[1].json()["error"]["code"] == "rate_limited"
        assert 1 <= int(responses[1].headers["retry-after"]) <= 60


def test_metrics_count_and_hold_no_text(client: TestClient) -> None:
    def value(name: str) -> float:
        return sum(float(line.rsplit(" ", 1)[1]) for line in client.get("/metrics").text.splitlines() if line.startswith(name))

    names = ['otklik_answers_total{degraded="",engine="model"}', 'otklik_labels_total{label="denied_boarding",layer="trigger"}']
    names += ['otklik_requests_total{route="/v1/classify",status="200"}', 'otklik_batch_texts_sum{reader="model"}']
    before = [value(name) for name in names]
    client.post("/v1/classify", json={"items": [{"text": CRY}, {"text": CRY}]})
    assert [value(name) - old for name, old in zip(names, before, strict=True)] == [2, 2, 1, 2]
    assert "сажают" not in client.get("/metrics").text


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
    assert {"401", "408", "415", "429", "504"} <= set(operation["responses"])
    assert operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("ClassifyResponse")
    assert schema["components"]["schemas"]["ClassifyRequest"]["examples"]
    asked, _ = schema["components"]["schemas"]["ClassifyRequest"]["examples"][0]["items"]
    answered, _ = schema["components"]["schemas"]["ClassifyResponse"]["examples"][0]["results"]
    for label in (*answered["categories"], *answered["triggers"]):
        for passage in label["evidence"]:
            assert asked["text"][passage["start"] : passage["end"]] == passage["text"]


def test_the_contract_is_the_one_that_was_published(client: TestClient) -> None:
    """A change here changes what other teams have built on: additions need a new snapshot, anything else a new version of the API."""
    snapshot = Path(__file__).with_name("openapi.json")
    assert client.get("/openapi.json").json() == json.loads(snapshot.read_text(encoding="utf-8"))


def test_v1_answers_as_it_did_when_it_was_frozen(client: TestClient) -> None:
    """Names, order and types of all that /v1/classify says; only additions at the end are allowed."""
    items = [{"id": "42", "text": CRY, "score": 2, "channel": "nps"}, {"id": "43"}]
    body = {"items": items, "options": {"all_scores": True, "engine": "keyword"}}
    answer = client.post("/v1/classify", json=body).json()
    frozen = json.loads(Path(__file__).with_name("v1.json").read_text(encoding="utf-8"))
    assert _shape(answer) == frozen


def _shape(value: object) -> object:
    if isinstance(value, dict):
        return {key: _shape(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_shape(part) for part in value]
    return type(value).__name__
