"""The real server as a process, and what it answers when something is wrong. Each fault: what came back, and that nothing was lost."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx2 as httpx
import pytest
from served import Server, served

from otklik.nlp.artefact import WEIGHTS, read_manifest, shipped, write_manifest

CRY = "Стоим у выхода, нас не сажают на рейс! Горячая линия не отвечает."


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    source = shipped()
    assert source
    shutil.copytree(source, folder)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("server"), body_seconds=1.5) as server:
        server.wait("ready")
        yield server


def result(response: httpx.Response) -> dict[str, object]:
    assert response.status_code == 200, response.text
    (found,) = response.json()["results"]
    return {name: found[name] for name in ("engine", "degraded", "degraded_reason")}


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def deleted(model: Path) -> None:
    shutil.rmtree(model)


def truncated(model: Path) -> None:
    os.truncate(model / WEIGHTS, (model / WEIGHTS).stat().st_size // 2)


def flipped(model: Path) -> None:
    content = bytearray((model / WEIGHTS).read_bytes())
    content[len(content) // 3] ^= 1
    (model / WEIGHTS).write_bytes(content)


@pytest.mark.parametrize(("break_it", "reason"), [(deleted, "model_missing"), (truncated, "model_broken"), (flipped, "model_broken")])
def test_a_model_that_cannot_be_used_leaves_the_words_to_answer(model: Path, tmp_path: Path, break_it, reason: str) -> None:
    break_it(model)
    with served(tmp_path, model=model) as server:
        ready = server.wait("degraded")
        assert (ready["engine"], ready["reason"]) == ("keyword", reason)
        assert result(server.classify(CRY)) == {"engine": "keyword", "degraded": True, "degraded_reason": reason}
        assert result(server.classify(CRY, engine="keyword")) == {"engine": "keyword", "degraded": False, "degraded_reason": None}
        refused = server.classify(CRY, engine="model")
        assert code(refused) == (503, "model_unavailable")
        assert refused.headers["retry-after"]


def test_the_words_answer_while_the_model_loads(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        first = result(server.classify(CRY))
        server.wait("ready")
        assert first["engine"] == "model" or first["degraded_reason"] == "model_loading"
        assert result(server.classify(CRY)) == {"engine": "model", "degraded": False, "degraded_reason": None}


def test_a_failing_model_is_left_alone_and_tried_again(tmp_path: Path) -> None:
    with served(tmp_path, "raise:2,3,4", breaker_seconds=1) as server:
        server.wait("ready")
        found = [result(server.classify(CRY))["degraded_reason"] for _ in range(6)]
        assert found == [None, "model_failed", "model_failed", "model_failed", "model_failing", "model_failing"]
        assert code(server.classify(CRY, engine="model")) == (503, "model_unavailable")
        assert server.get("/health/ready").json()["reason"] == "model_failing"
        time.sleep(1.1)
        assert result(server.classify(CRY))["engine"] == "model"
        assert server.get("/health/ready").json()["status"] == "ready"


def test_a_model_that_hangs_is_given_up_and_the_service_lives_on(tmp_path: Path) -> None:
    with served(tmp_path, "hang:2", stall_seconds=1, breaker_seconds=1) as server:
        server.wait("ready")
        assert result(server.classify(CRY))["engine"] == "model"
        with ThreadPoolExecutor(1) as pool:
            hung = pool.submit(server.classify, CRY)
            times = []
            while not hung.done():
                start = time.perf_counter()
                assert server.get("/health/live").status_code == 200
                times.append(time.perf_counter() - start)
            assert result(hung.result())["degraded_reason"] == "model_stalled"
            assert sorted(times)[len(times) // 2] < 0.1
        time.sleep(1.1)
        assert result(server.classify(CRY))["engine"] == "model"
        assert server.metric("otklik_stalled_batches_total") == 1


def test_a_deadline_is_kept(tmp_path: Path) -> None:
    with served(tmp_path, "slow:4") as server:
        server.wait("ready")
        start = time.perf_counter()
        late = server.classify(CRY, **{"x-deadline-ms": "300"})
        assert result(late) == {"engine": "keyword", "degraded": True, "degraded_reason": "model_timeout"}
        assert time.perf_counter() - start < 3
        assert code(server.classify(CRY, engine="model", **{"x-deadline-ms": "300"})) == (504, "deadline_exceeded")


def test_a_full_queue_refuses_at_once_and_everything_accepted_is_answered(tmp_path: Path) -> None:
    with served(tmp_path, "slow:0.3", queue_tokens=200, batch_tokens=60) as server:
        server.wait("ready")

        async def flood() -> list[httpx.Response]:
            async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=100)) as client:
                body = {"items": [{"text": CRY}]}
                return await asyncio.gather(*(client.post(f"{server.url}/v1/classify", json=body) for _ in range(60)))

        responses = asyncio.run(flood())
        counts = Counter(response.status_code for response in responses)
        assert set(counts) == {200, 429}
        assert counts[200] >= 5
        assert all(int(response.headers["retry-after"]) >= 1 for response in responses if response.status_code == 429)
        assert server.metric('otklik_requests_total{route="/v1/classify"') == 60


def test_a_client_that_goes_away_frees_its_place(tmp_path: Path) -> None:
    with served(tmp_path, "slow:0.5", batch_tokens=30) as server:
        server.wait("ready")
        body = json.dumps({"items": [{"text": CRY}] * 40}).encode()
        with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1]))) as gone:
            head = f"POST /v1/classify HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            gone.sendall(head.encode() + body)
            time.sleep(0.5)
        start = time.perf_counter()
        assert result(server.classify(CRY))["engine"] == "model"
        assert time.perf_counter() - start < 5  # forty of them would have taken ten seconds and more
        assert server.metric("otklik_disconnects_total") == 1


def test_a_stream_that_is_cut_off_is_counted(tmp_path: Path) -> None:
    head = "POST /v1/classify/stream?engine=keyword HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"
    with served(tmp_path) as server:
        with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1]))) as gone:
            gone.sendall(head.encode() + b'{"text": "a"}\n')
        until = time.perf_counter() + 10
        while not server.metric("otklik_disconnects_total") and time.perf_counter() < until:
            time.sleep(0.1)
        assert server.metric("otklik_disconnects_total") == 1


async def _load(url: str, seconds: float, clients: int) -> Counter[str]:
    """Statuses of all that was sent; «refused» where no connection was made, «lost» where one broke without an answer."""
    found: Counter[str] = Counter()
    until = time.monotonic() + seconds

    async def one() -> None:
        body = {"items": [{"text": CRY}, {"text": "Спасибо, всё понравилось"}]}
        while time.monotonic() < until:
            # A connection for each request: a kept one may be closed by the server just when the next request goes out, by rights.
            async with httpx.AsyncClient(timeout=30) as client:
                try:
                    response = await client.post(f"{url}/v1/classify", json=body)
                    found[str(response.status_code)] += 1
                except httpx.ConnectError:
                    found["refused"] += 1
                    return
                except httpx.HTTPError as error:
                    found[f"lost: {type(error).__name__}"] += 1

    await asyncio.gather(*(one() for _ in range(clients)))
    return found


def test_going_down_answers_what_was_accepted(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        server.wait("ready")
        with ThreadPoolExecutor(1) as pool:
            load = pool.submit(asyncio.run, _load(server.url, 4, 8))
            time.sleep(1.5)
            assert server.stop() in {0, -signal.SIGTERM}  # uvicorn raises the signal again when it is done
            found = load.result()
        lines = [json.loads(line) for line in server.log.read_text(encoding="utf-8").splitlines()]
    # A connection whose request had not been read yet is closed, as if it had been refused; what was read was answered, to its client.
    accepted = [line["status"] for line in lines if line.get("route") == "/v1/classify"]
    assert found["200"] > 8
    assert accepted == [200] * found["200"], found


def test_a_good_model_is_taken_over_and_a_bad_one_refused_under_load(model: Path, tmp_path: Path) -> None:
    with served(tmp_path, model=model) as server:
        server.wait("ready")
        with ThreadPoolExecutor(1) as pool:
            load = pool.submit(asyncio.run, _load(server.url, 9, 4))
            write_manifest(model, replace(read_manifest(model), version="service-core-1-new"))
            server.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + 20
            while server.get("/v1/models").json()["models"][0]["id"] != "service-core-1-new":
                assert time.monotonic() < deadline, server.log.read_text(encoding="utf-8")
                time.sleep(0.1)
            flipped(model)
            server.process.send_signal(signal.SIGHUP)
            while not server.metric('otklik_reloads_total{outcome="model_broken"}'):
                assert time.monotonic() < deadline + 20
                time.sleep(0.1)
            found = load.result()
        assert set(found) == {"200"}, found
        answer = server.classify(CRY).json()
        assert (answer["model_version"], answer["results"][0]["engine"]) == ("service-core-1-new", "model")


def test_half_bodies_hold_up_nobody(server: Server) -> None:
    port = int(server.url.rsplit(":", 1)[1])
    halves = []
    try:
        for _ in range(200):
            half = socket.create_connection(("127.0.0.1", port))
            half.sendall(b'POST /v1/classify HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{"items": [')
            halves.append(half)
        start = time.perf_counter()
        assert result(server.classify(CRY))["engine"] == "model"
        assert time.perf_counter() - start < 5
        answers = [half.recv(4096).split(b" ")[1] for half in halves]
        assert Counter(answers) == {b"408": 200}
    finally:
        for half in halves:
            half.close()


def test_slow_readers_hold_up_nobody(server: Server) -> None:
    port = int(server.url.rsplit(":", 1)[1])
    lines = b"\n".join(json.dumps({"text": CRY}).encode() for _ in range(3000))
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(("127.0.0.1", port))
    with slow:
        slow.settimeout(20)
        slow.sendall(f"POST /v1/classify/stream?engine=keyword HTTP/1.1\r\nhost: x\r\ncontent-length: {len(lines)}\r\n\r\n".encode())
        with pytest.raises((ConnectionError, TimeoutError)):  # it does not read: back-pressure stops it, then it is cut off
            for _ in range(200):
                slow.sendall(lines)
        assert result(server.classify(CRY))["engine"] == "model"


@pytest.mark.parametrize(
    ("content", "headers", "status", "expected"),
    [
        (b" " * 10_000_001, {}, 413, "body_too_large"),
        (json.dumps({"items": [{"text": "а"}] * 1000}).encode(), {}, 413, "too_many_items"),
        (b'{"items":' + b"[" * 100_000 + b"]" * 100_000 + b"}", {}, 400, "invalid_json"),
        ('{"items": [{"text": "привет"}]}'.encode("cp1251"), {}, 400, "invalid_json"),
        ('{"items": [{"text": "привет"}]}'.encode("utf-16"), {}, 400, "invalid_json"),
        (b"\x1f\x8b\x08", {"content-encoding": "gzip"}, 415, "unsupported_media_type"),
    ],
    ids=["10 MB", "1000 items", "deep", "cp1251", "utf-16", "gzip"],
)
def test_bad_bodies_are_refused(server: Server, content: bytes, headers: dict[str, str], status: int, expected: str) -> None:
    response = httpx.post(f"{server.url}/v1/classify", content=content, headers=headers, timeout=30)
    assert code(response) == (status, expected)


def test_a_stream_answers_line_by_line(server: Server) -> None:
    texts = [f"{CRY} {number}" for number in range(300)]
    lines = [json.dumps({"id": number, "text": text}) for number, text in enumerate(texts)]
    lines[7] = "{broken"
    response = httpx.post(f"{server.url}/v1/classify/stream?explain=false", content="\n".join(lines).encode(), timeout=60)
    found = [json.loads(line) for line in response.text.splitlines()]
    assert [row["id"] for row in found] == [*range(7), "7", *range(8, 300)]
    assert found[7]["error"]["code"] == "invalid_json"
    assert all(row["engine"] == "model" for row in found if "error" not in row)


def test_no_text_and_no_key_reaches_the_log(tmp_path: Path) -> None:
    with served(tmp_path, "raise:2-", keys=f"crm client {'0' * 64}") as server:
        assert code(server.classify("тайна +7 912 345-67-89", **{"x-api-key": "otk_secret"})) == (401, "unauthorized")
    with served(tmp_path, "raise:1-") as server:
        server.wait("ready")
        assert result(server.classify("тайна +7 912 345-67-89", **{"x-request-id": "abc-1"}))["degraded_reason"] == "model_failed"
        log = server.log.read_text(encoding="utf-8")
    assert "abc-1" in log
    # Three digits of the number alone would also be found by chance, in a time or a port.
    assert not any(secret in log for secret in ("тайна", "912 345", "345-67", "9123456789", "otk_secret"))
    assert all(json.loads(line) for line in log.splitlines())
