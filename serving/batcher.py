"""Requests → micro-batches: one bounded queue, a few threads that read, and no waiting while one of them is idle."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from otklik.nlp.records import Analysis

log = logging.getLogger(__name__)

_CHARACTERS = 3.6  # of a token of Russian feedback, measured on the texts that the model was trained on
_SMOOTHING = 0.2  # weight of the latest batch in the rate that Retry-After follows from


@dataclass(frozen=True, slots=True)
class Ask:
    """One text, and the customer's own mark as a share of its scale (0..1)."""

    text: str
    mark: float | None = None

    @property
    def tokens(self) -> int:
        """About how many the model will read."""
        return 2 + int(len(self.text) / _CHARACTERS)


class Read(Protocol):
    """Texts → answers, in order."""

    def __call__(self, asks: Sequence[Ask], /) -> Sequence[Analysis]: ...


class Full(Exception):  # noqa: N818  an answer, not a fault
    """The queue holds as much as it may; ``seconds`` until there should be room."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the queue is full for about {seconds:.1f} s")
        self.seconds = seconds


class Stalled(Exception):  # noqa: N818
    """A batch did not come back in time."""


class Closed(Exception):  # noqa: N818
    """The service is going down and takes nothing more."""


@dataclass(eq=False, slots=True)
class Job:
    """The texts of one request. ``answers`` is the future of all its analyses, in order; cancelling it frees the places."""

    asks: Sequence[Ask]
    read: Read
    answers: Future[list[Analysis]] = field(default_factory=Future)
    taken: int = 0
    found: dict[int, Analysis] = field(default_factory=dict)

    def put(self, number: int, analysis: Analysis) -> None:
        """One answer; the last one ends the job. Called by several threads, each with other numbers."""
        self.found[number] = analysis
        if len(self.found) == len(self.asks):
            self._end(lambda: self.answers.set_result([self.found[place] for place in range(len(self.asks))]))

    def fail(self, error: BaseException) -> None:
        """The job as a whole."""
        self._end(lambda: self.answers.set_exception(error))

    def _end(self, end: Callable[[], None]) -> None:
        try:
            end()
        except Exception:  # noqa: BLE001  cancelled or ended meanwhile: there is nobody to tell
            log.debug("an answer came after its request had ended")


@dataclass(eq=False, slots=True)
class _Batch:
    members: list[tuple[Job, int]]
    tokens: int
    started: float
    abandoned: bool = False


class Batcher:
    """Jobs are read in turn, a text of each at a time, so that a long request does not hold up short ones.

    A batch is what has come while the threads were busy, up to ``budget`` tokens; a text above the budget makes a batch of its own.
    """

    def __init__(
        self,
        name: str,
        threads: int,
        budget: int,
        capacity: int,
        told: Callable[[int, int, float], None] = lambda *_: None,
    ) -> None:
        """``capacity``: tokens that may wait; ``told`` hears of every batch: texts, tokens, seconds."""
        self._name, self._budget, self._capacity, self._told = name, budget, capacity, told
        self._changed = threading.Condition()
        self._jobs: deque[Job] = deque()
        self._waiting = 0  # tokens
        self._running: set[_Batch] = set()
        self._rate = 0.0  # tokens a second
        self._open = True
        for _ in range(threads):
            self._start()

    def submit(self, asks: Sequence[Ask], read: Read) -> Future[list[Analysis]]:
        """Never blocks. Raises `Full` and `Closed`. A request larger than the whole queue is taken when the queue is empty."""
        job = Job(asks, read)
        tokens = sum(ask.tokens for ask in asks)
        if not asks:
            job.answers.set_result([])
            return job.answers
        with self._changed:
            if not self._open:
                raise Closed
            self._sweep()
            if self._waiting and self._waiting + tokens > self._capacity:
                raise Full(self._seconds(self._waiting + tokens - self._capacity))
            self._jobs.append(job)
            self._waiting += tokens
            self._changed.notify()
        return job.answers

    @property
    def waiting(self) -> int:
        """Texts that wait."""
        with self._changed:
            self._sweep()
            return sum(len(job.asks) - job.taken for job in self._jobs)

    def abandon_stalled(self, seconds: float) -> int:
        """Fails the batches that have run for longer, with `Stalled`, and starts a thread in place of each that hangs; how many."""
        now = time.monotonic()
        with self._changed:
            stalled = [batch for batch in self._running if now - batch.started > seconds]
            for batch in stalled:
                batch.abandoned = True
                self._running.discard(batch)
                self._start()
        for batch in stalled:
            for job in {job for job, _ in batch.members}:
                job.fail(Stalled(f"a batch of {len(batch.members)} texts ran for more than {seconds:.0f} s"))
        return len(stalled)

    def close(self, seconds: float) -> bool:
        """Takes nothing more and waits until all that was taken is answered; False where that took longer."""
        with self._changed:
            self._open = False
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._jobs and not self._running, seconds)

    def _start(self) -> None:
        threading.Thread(target=self._work, name=f"{self._name}-reader", daemon=True).start()

    def _work(self) -> None:
        while batch := self._next():
            error: BaseException | None = None
            found: Sequence[Analysis] = ()
            try:
                found = batch.members[0][0].read([job.asks[number] for job, number in batch.members])
            except Exception as raised:  # noqa: BLE001  whatever it is, each request has to get an answer
                error = raised
            if not error and len(found) != len(batch.members):
                error = RuntimeError(f"{len(batch.members)} texts got {len(found)} answers")
            seconds = time.monotonic() - batch.started
            with self._changed:
                if batch.abandoned:
                    return  # another thread has taken this one's place, and the requests have got their answers
                self._rate = (
                    batch.tokens / seconds
                    if not self._rate
                    else ((1 - _SMOOTHING) * self._rate + _SMOOTHING * batch.tokens / max(seconds, 1e-6))
                )
            self._told(len(batch.members), batch.tokens, seconds)
            for place, (job, number) in enumerate(batch.members):
                if error:
                    job.fail(error)
                else:
                    job.put(number, found[place])
            with self._changed:
                self._running.discard(batch)
                self._changed.notify_all()

    def _next(self) -> _Batch | None:
        """Waits for texts; None when the queue is closed and empty."""
        with self._changed:
            self._sweep()
            while not self._jobs:
                if not self._open:
                    return None
                self._changed.wait()
                self._sweep()
            batch = _Batch([], 0, time.monotonic())
            read = self._jobs[0].read
            while self._jobs and self._jobs[0].read == read:
                job = self._jobs[0]
                ask = job.asks[job.taken]
                if batch.members and batch.tokens + ask.tokens > self._budget:
                    break
                self._jobs.popleft()
                batch.members.append((job, job.taken))
                batch.tokens += ask.tokens
                self._waiting -= ask.tokens
                job.taken += 1
                if job.taken < len(job.asks):
                    self._jobs.append(job)
            self._running.add(batch)
            return batch

    def _sweep(self) -> None:
        """Forgets jobs that ended before they were read: their clients have gone, or their time was up."""
        if any(job.answers.done() for job in self._jobs):
            self._jobs = deque(job for job in self._jobs if not job.answers.done())
            self._waiting = sum(ask.tokens for job in self._jobs for ask in job.asks[job.taken :])

    def _seconds(self, tokens: int) -> float:
        return tokens / self._rate if self._rate else 1.0
