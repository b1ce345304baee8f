from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from otklik.nlp.analyzer import Analyzer
from otklik.nlp.records import Analysis
from otklik.serving.batcher import Ask, Batcher, Closed, Full, Stalled
from otklik.serving.breaker import Breaker


class Reader:
    """Answers with the analysis of its own making; holds each batch until it is let go."""

    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self.batches: list[list[str]] = []
        self.go = threading.Event()
        self.go.set()
        self.error: Exception | None = None

    def read(self, asks: Sequence[Ask], /) -> Sequence[Analysis]:
        self.batches.append([ask.text for ask in asks])
        assert self.go.wait(10)
        if self.error:
            raise self.error
        return [self.analysis for _ in asks]


@pytest.fixture
def reader(analyzer: Analyzer) -> Reader:
    return Reader(analyzer.analyze("Спасибо"))


@pytest.fixture
def batcher() -> Iterator[Batcher]:
    batcher = Batcher("test", threads=1, budget=40, capacity=200)
    yield batcher
    batcher.close(5)


def asks(*texts: str) -> list[Ask]:
    return [Ask(text) for text in texts]


def busy(batcher: Batcher, reader: Reader) -> None:
    """The only thread holds a batch."""
    reader.go.clear()
    batcher.submit(asks("first"), reader.read)
    while not reader.batches:
        time.sleep(0.001)


def test_a_lonely_request_is_read_at_once(batcher: Batcher, reader: Reader) -> None:
    start = time.perf_counter()
    assert len(batcher.submit(asks("а", "б"), reader.read).result(5)) == 2
    assert time.perf_counter() - start < 0.5  # no waiting for others to come
    assert reader.batches == [["а", "б"]]


def test_what_came_meanwhile_is_read_together_up_to_the_budget(batcher: Batcher, reader: Reader) -> None:
    busy(batcher, reader)
    waiting = [batcher.submit(asks("т" * 36), reader.read) for _ in range(5)]  # 12 tokens each
    reader.go.set()
    for future in waiting:
        future.result(5)
    assert [len(batch) for batch in reader.batches] == [1, 3, 2]


def test_a_long_request_does_not_hold_up_a_short_one(batcher: Batcher, reader: Reader) -> None:
    busy(batcher, reader)
    long = batcher.submit(asks(*(f"long {number}" for number in range(12))), reader.read)
    short = batcher.submit(asks("short"), reader.read)
    reader.go.set()
    short.result(5)
    assert "short" in reader.batches[1]
    assert len(long.result(5)) == 12
    assert [text for batch in reader.batches for text in batch if text.startswith("long")] == [f"long {number}" for number in range(12)]


def test_a_text_above_the_budget_is_read_alone(batcher: Batcher, reader: Reader) -> None:
    busy(batcher, reader)
    futures = [batcher.submit(asks(text), reader.read) for text in ("а", "б" * 600, "в")]
    reader.go.set()
    for future in futures:
        future.result(5)
    assert ["б" * 600] in reader.batches


def test_a_full_queue_says_so_at_once_and_a_request_above_it_is_taken_when_it_is_empty(batcher: Batcher, reader: Reader) -> None:
    busy(batcher, reader)
    large = batcher.submit(asks("т" * 3600), reader.read)
    with pytest.raises(Full) as full:
        batcher.submit(asks("т"), reader.read)
    assert full.value.seconds > 0
    reader.go.set()
    assert large.result(5)


def test_a_cancelled_request_frees_its_place(batcher: Batcher, reader: Reader) -> None:
    busy(batcher, reader)
    gone = batcher.submit(asks("т" * 714), reader.read)
    with pytest.raises(Full):
        batcher.submit(asks("а"), reader.read)
    gone.cancel()
    assert batcher.waiting == 0
    taken = batcher.submit(asks("а"), reader.read)
    reader.go.set()
    assert taken.result(5)
    assert reader.batches == [["first"], ["а"]]


def test_a_failure_is_told_to_all_of_its_batch_and_to_nobody_else(batcher: Batcher, reader: Reader) -> None:
    busy(batcher, reader)
    reader.error = RuntimeError("planted")
    broken = [batcher.submit(asks("а"), reader.read) for _ in range(2)]
    reader.go.set()
    for future in broken:
        with pytest.raises(RuntimeError, match="planted"):
            future.result(5)
    reader.error = None
    assert batcher.submit(asks("б"), reader.read).result(5)


def test_a_reader_that_gives_too_few_answers_is_a_failure(batcher: Batcher) -> None:
    with pytest.raises(RuntimeError, match="2 texts got 0 answers"):
        batcher.submit(asks("а", "б"), lambda _: []).result(5)


def test_a_batch_that_hangs_is_given_up_and_others_are_read(batcher: Batcher, reader: Reader) -> None:
    reader.go.clear()
    hung = batcher.submit(asks("а"), reader.read)
    while not reader.batches:
        time.sleep(0.001)
    assert batcher.abandon_stalled(10) == 0
    time.sleep(0.02)
    assert batcher.abandon_stalled(0.01) == 1
    with pytest.raises(Stalled):
        hung.result(5)
    assert batcher.submit(asks("б"), lambda asks: [reader.analysis for _ in asks]).result(5)
    reader.go.set()


def test_two_readers_are_never_mixed_in_a_batch(batcher: Batcher, reader: Reader) -> None:
    other = Reader(reader.analysis)
    busy(batcher, reader)
    futures = [batcher.submit(asks(name), who.read) for name, who in (("а", reader), ("б", other), ("в", reader))]
    reader.go.set()
    for future in futures:
        future.result(5)
    assert (reader.batches, other.batches) == ([["first"], ["а"], ["в"]], [["б"]])


def test_closing_answers_what_was_taken(reader: Reader) -> None:
    batcher = Batcher("test", threads=2, budget=40, capacity=10_000)
    futures = [batcher.submit(asks(*"абвгд"), reader.read) for _ in range(50)]
    assert batcher.close(5)
    assert all(future.done() for future in futures)
    with pytest.raises(Closed):
        batcher.submit(asks("а"), reader.read)


def test_every_request_of_many_threads_gets_its_own_answers(analyzer: Analyzer) -> None:
    batcher = Batcher("test", threads=3, budget=60, capacity=1_000_000)
    made = {number: analyzer.analyze("Спасибо") for number in range(40)}

    def read(asked: Sequence[Ask], /) -> Sequence[Analysis]:
        return [made[int(ask.text)] for ask in asked]

    def one(number: int) -> bool:
        wanted = [(number + step) % 40 for step in range(number % 7 + 1)]
        found = batcher.submit(asks(*map(str, wanted)), read).result(10)
        return all(answer is made[place] for answer, place in zip(found, wanted, strict=True))

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(one, [number % 40 for number in range(800)]))
    assert batcher.close(5)


def test_a_breaker_opens_tries_once_and_waits_longer_each_time() -> None:
    now = 0.0
    breaker = Breaker(2, 10.0, lambda: now)
    breaker.failed()
    assert breaker.allows()
    breaker.failed()
    assert breaker.open
    assert not breaker.allows()
    now = 10.0
    assert [breaker.allows(), breaker.allows()] == [True, False]  # one trial
    breaker.failed()
    now = 25.0
    assert not breaker.allows()  # twenty seconds this time
    now = 30.0
    assert breaker.allows()
    breaker.dropped()
    assert breaker.allows()  # the trial came to nothing: another
    breaker.succeeded()
    assert not breaker.open
    assert breaker.allows()
