"""Load on the real server, driven from the same machine: ``make bench``. Writes a JSON file and a table.

Closed loop: so many clients, each sends its next text when the last is answered. Open loop: texts come at a rate, whatever the answers do.
Every request that was sent is counted with the one answer that it got. The bare engine reads the same texts in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))
from served import served

ROOT = Path(__file__).parent.parent.parent
WORDS = range(7, 40)  # about 10 to 60 tokens
TEXTS = 2000
WARM = 2.0  # seconds before anything counts
OUT = Console(width=150)


@dataclass(frozen=True)
class Measured:
    """Latencies in milliseconds, of accepted requests; ``answers`` by status, or by the kind of the failure."""

    name: str
    sent: int
    answers: dict[str, int]
    texts_a_second: float
    p50: float
    p95: float
    p99: float

    @property
    def lost(self) -> int:
        return self.sent - sum(self.answers.values())


def texts(files: Sequence[Path]) -> list[str]:
    """Comments of the wanted length, in an order that is always the same."""
    found = [json.loads(line)["text"] for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    found = sorted({text for text in found if len(text.split()) in WORDS})
    random.Random(0).shuffle(found)
    return found[:TEXTS]


class Load:
    """Requests of one text each; one connection pool for all clients."""

    def __init__(self, session: aiohttp.ClientSession, url: str, texts: Sequence[str]) -> None:
        self._session, self._url = session, f"{url}/v1/classify"
        self._bodies = [json.dumps({"items": [{"text": text}]}).encode() for text in texts]
        self._next = 0
        self.sent = 0
        self.answers: Counter[str] = Counter()
        self.seconds: list[float] = []

    def body(self) -> bytes:
        self._next += 1
        return self._bodies[(self._next - 1) % len(self._bodies)]

    async def one(self) -> None:
        body = self.body()
        self.sent += 1
        start = time.perf_counter()
        try:
            async with self._session.post(self._url, data=body, headers={"content-type": "application/json"}) as response:
                await response.read()
                self.answers[str(response.status)] += 1
                if response.status == 200:
                    self.seconds.append(time.perf_counter() - start)
        except aiohttp.ClientError as error:
            self.answers[type(error).__name__] += 1

    def measured(self, name: str, seconds: float) -> Measured:
        p50, p95, p99 = (np.percentile(self.seconds, share) * 1000 for share in (50, 95, 99)) if self.seconds else (np.nan,) * 3
        return Measured(name, self.sent, dict(self.answers), len(self.seconds) / seconds, float(p50), float(p95), float(p99))


class Fresh(Load):
    """Words that were never seen before, and so cost more than real ones: nothing about them is remembered."""

    letters = "абвгдежзиклмнопрстуфхцчшыэюя"
    generator = random.Random(2)

    def body(self) -> bytes:
        count = self.generator.choice(WORDS)
        words = ("".join(self.generator.choices(self.letters, k=self.generator.randint(2, 11))) for _ in range(count))
        return json.dumps({"items": [{"text": " ".join(words)}]}).encode()


@contextlib.asynccontextmanager
async def session() -> Any:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=120)) as opened:
        yield opened


async def closed(url: str, texts: Sequence[str], clients: int, seconds: float, kind: type[Load] = Load) -> Measured:
    async with session() as opened:

        async def client(load: Load, until: float) -> None:
            while time.perf_counter() < until:
                await load.one()

        warm = kind(opened, url, texts)
        await asyncio.gather(*(client(warm, time.perf_counter() + WARM) for _ in range(clients)))
        load = kind(opened, url, texts)
        start = time.perf_counter()
        await asyncio.gather(*(client(load, start + seconds) for _ in range(clients)))
        return load.measured(f"closed, {clients} clients", time.perf_counter() - start)


async def opened_loop(url: str, texts: Sequence[str], rate: float, share: float, seconds: float) -> Measured:
    """Texts come at random moments (Poisson), ``rate`` a second on average."""
    async with session() as opened:
        load = Load(opened, url, texts)
        generator = random.Random(1)
        tasks = []
        start = time.perf_counter()
        due = start
        while due < start + seconds:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(load.one()))
            due += generator.expovariate(rate)
        await asyncio.gather(*tasks)
        return load.measured(f"open, {share:.0%} of capacity", time.perf_counter() - start)


def bare(texts: Sequence[str]) -> tuple[float, float]:
    """Texts a second in batches of 64, and the median of single ones in milliseconds, in a process of its own."""
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(list(texts), file)
        file.flush()
        found = subprocess.run([sys.executable, __file__, "--bare", file.name], check=True, capture_output=True, text=True).stdout
    rate, alone = map(float, found.split())
    return rate, alone


def _bare(file: Path) -> None:
    from otklik.nlp.analyzer import load_analyzer
    from otklik.taxonomy.load import load_taxonomy

    texts = json.loads(file.read_text(encoding="utf-8"))
    analyzer = load_analyzer(load_taxonomy(), threads=len(os.sched_getaffinity(0)))
    analyzer.analyze_all(texts[:256])
    start = time.perf_counter()
    for place in range(0, len(texts), 64):
        analyzer.analyze_all(texts[place : place + 64])
    rate = len(texts) / (time.perf_counter() - start)
    alone = []
    for text in texts[:300]:
        start = time.perf_counter()
        analyzer.analyze(text)
        alone.append(time.perf_counter() - start)
    print(rate, float(np.median(alone)) * 1000)


@contextlib.contextmanager
def peer() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    model = next((ROOT / "nlp" / "models").iterdir())
    process = subprocess.Popen([sys.executable, str(Path(__file__).with_name("peer.py")), str(model), str(port)], stderr=subprocess.DEVNULL)
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


async def soak(url: str, process: int, rate: float, minutes: float) -> dict[str, Any]:
    """Open loop with words that were never seen before; memory of the server in megabytes by minute."""

    def memory() -> float:
        return int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    memories = {0.0: memory()}
    async with session() as opened:
        load, moments = Fresh(opened, url, []), random.Random(1)
        start = time.perf_counter()
        due, minute, tasks = start, 1, set()
        while due < start + minutes * 60:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            task = asyncio.create_task(load.one())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            due += moments.expovariate(rate)
            if time.perf_counter() > start + minute * 60:
                memories[float(minute)] = memory()
                minute += 1
        await asyncio.gather(*tasks)
        memories[minutes] = memory()
        return {"rate": rate, "memory_mb": memories, **asdict(load.measured("soak", time.perf_counter() - start))}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="JSONL with «text»; else the cases of the project")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--soak", type=float, default=0, help="minutes of 80 %% load with fresh words, in place of the rest")
    parser.add_argument("--json", type=Path, default=Path("bench.json"))
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare:
        _bare(arguments.bare)
        return
    read = texts(arguments.files or sorted((ROOT / "data" / "cases").glob("*.jsonl")))
    found: dict[str, Any] = {"texts": len(read), "characters": sum(map(len, read)) / len(read), "cores": len(os.sched_getaffinity(0))}
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as server:
        server.wait("ready")
        if arguments.soak:
            capacity = asyncio.run(closed(server.url, [], 64, arguments.seconds, Fresh)).texts_a_second
            found["soak"] = asyncio.run(soak(server.url, server.process.pid, 0.8 * capacity, arguments.soak))
            OUT.print_json(json.dumps(found))
        else:
            rows = _load(server.url, read, arguments.seconds, found)
            found["loads"] = [asdict(row) | {"lost": row.lost} for row in rows]
            _table(rows, found)
    arguments.json.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _load(url: str, read: Sequence[str], seconds: float, found: dict[str, Any]) -> list[Measured]:
    first = bare(read)
    rows = [asyncio.run(closed(url, read, clients, seconds)) for clients in (1, 8, 64)]
    second = bare(read)
    found["bare"] = {"texts_a_second": [first[0], second[0]], "alone_ms": [first[1], second[1]]}
    capacity = rows[-1].texts_a_second
    rows += [asyncio.run(opened_loop(url, read, share * capacity, share, seconds)) for share in (0.5, 0.8, 1.2, 2.0)]
    with peer() as other:
        plain = [asyncio.run(closed(other, read, clients, seconds)) for clients in (1, 64)]
    found["ratios"] = {
        "64 clients to the bare engine": capacity / np.mean([first[0], second[0]]),
        "1 client, p50, to the bare engine": rows[0].p50 / np.mean([first[1], second[1]]),
        "64 clients to the plain peer": capacity / plain[1].texts_a_second,
        "1 client, p50 of the plain peer to ours": plain[0].p50 / rows[0].p50,
    }
    return [*rows, *(Measured(f"plain peer, {row.name}", *list(asdict(row).values())[1:]) for row in plain)]


def _table(rows: Sequence[Measured], found: dict[str, Any]) -> None:
    table = Table("load", "sent", "answers", "lost", "texts/s", "p50 ms", "p95 ms", "p99 ms")
    for row in rows:
        answers = ", ".join(f"{count} × {status}" for status, count in sorted(row.answers.items()))
        table.add_row(
            row.name,
            str(row.sent),
            answers,
            str(row.lost),
            *(f"{value:.0f}" if value >= 100 else f"{value:.1f}" for value in (row.texts_a_second, row.p50, row.p95, row.p99)),
        )
    OUT.print(table)
    rate, alone = (" and ".join(f"{value:.1f}" for value in found["bare"][name]) for name in ("texts_a_second", "alone_ms"))
    OUT.print(
        f"bare engine, before and after: {rate} texts/s, {alone} ms alone; {found['texts']} texts of {found['characters']:.0f} characters"
    )
    for name, ratio in found["ratios"].items():
        OUT.print(f"{name}: {ratio:.2f}")


if __name__ == "__main__":
    main()
