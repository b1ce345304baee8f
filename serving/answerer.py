"""From texts to answers under load: the model by turns, the words where it cannot, within a deadline, and a new desk without a gap."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from otklik.nlp.records import Analysis
from otklik.serving.batcher import Ask, Batcher, Closed, Full, Stalled
from otklik.serving.desk import Desk, Load, Refused, add_model, new_desk, open_desk, with_model
from otklik.serving.guard import Refusal
from otklik.serving.observe import Metrics
from otklik.serving.schemas import DegradedReason, Engine
from otklik.serving.settings import Settings

log = logging.getLogger(__name__)

_WATCH = 0.25  # seconds between two looks at what runs
_GRACE = 5.0  # seconds more for the words, when the model has used up the deadline
_READERS = 2  # threads: while one waits for the network, the other applies the rules of the next batch


class Unavailable(Exception):  # noqa: N818
    """The model was demanded and cannot answer. ``reason`` is one of `DegradedReason`."""

    def __init__(self, reason: DegradedReason) -> None:
        super().__init__(reason)
        self.reason = reason


class Late(Exception):  # noqa: N818
    """Nobody answered within the deadline."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Analyses in the order of the texts, by one desk."""

    desk: Desk
    analyses: Sequence[Analysis]
    degraded: DegradedReason | None

    @property
    def version(self) -> str:
        """Of who answered; of the model that would have, if there is no text."""
        return self.analyses[0].model_version if self.analyses else self.desk.version


class Answerer:
    """One for the process. Lives in one event loop; the reading is done by threads of its own."""

    def __init__(self, settings: Settings, metrics: Metrics, load: Load = with_model) -> None:
        """Raises `TaxonomyError` and `VocabularyError`: without a taxonomy nobody can answer."""
        self._settings, self._metrics, self._load = settings, metrics, load
        self.desk = open_desk(settings)
        capacity, budget = settings.queue_tokens, settings.batch_tokens
        self._model = Batcher("model", _READERS, budget, capacity, lambda *told: metrics.batch("model", *told))
        self._words = Batcher("words", 1, budget, capacity, lambda *told: metrics.batch("words", *told))
        self._reloading = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self.draining = False

    def start(self) -> None:
        """Loads the model in the background; until then the words answer."""
        self._tell()
        self._tasks = [asyncio.create_task(self._begin()), asyncio.create_task(self._watch())]

    async def close(self) -> None:
        """Answers what was accepted, takes nothing more."""
        self.draining = True
        for task in self._tasks:
            task.cancel()
        drained = await asyncio.gather(
            *(asyncio.to_thread(batcher.close, self._settings.drain_seconds) for batcher in (self._model, self._words))
        )
        if not all(drained):
            log.error("not everything was answered within %.0f s", self._settings.drain_seconds)

    def reason(self) -> DegradedReason | None:
        """Why the model would not answer now; asks no trial of the breaker."""
        desk = self.desk
        return desk.reason or ("model_failing" if desk.breaker.open else None)

    async def answer(self, asks: Sequence[Ask], engine: Engine, seconds: float) -> Answers:
        """All texts by one engine. Cancelling frees their places. Raises `Full`, `Late`, `Unavailable` and `Closed`."""
        desk = self.desk
        if engine == "keyword":
            return Answers(desk, await self._read(self._words, asks, desk.read_by_words, seconds), None)
        reason = desk.reason
        if reason is None:
            reason, analyses = await self._by_model(desk, asks, engine, seconds)
            if reason is None:
                return Answers(desk, analyses, None)
        if engine == "model":
            raise Unavailable(reason)
        left = _GRACE if reason == "model_timeout" else max(seconds, _GRACE)
        return Answers(desk, await self._read(self._words, asks, desk.read_by_words, left), reason)

    async def reload(self) -> Desk:
        """Taxonomy and model anew, checked beside the old ones. Raises `Refused`: then the old ones go on answering."""
        async with self._reloading:
            try:
                self.desk = await asyncio.to_thread(new_desk, self._settings, self._load)
            except Refused as error:
                self._metrics.reloads.labels(error.code).inc()
                log.error("reload refused, %s: %s", error.code, error)  # noqa: TRY400
                raise
            self._metrics.reloads.labels("ok").inc()
            self._tell()
            return self.desk

    async def _by_model(
        self, desk: Desk, asks: Sequence[Ask], engine: Engine, seconds: float
    ) -> tuple[DegradedReason | None, Sequence[Analysis]]:
        trial = desk.breaker.open
        if not desk.breaker.allows():
            return "model_failing", ()
        try:
            return None, await self._read(self._model, asks, desk.read_by_model, seconds)
        except Stalled:
            return "model_stalled", ()
        except Late:
            if engine == "model":
                raise
            return "model_timeout", ()
        except (Full, Closed):
            raise
        except Exception as error:  # noqa: BLE001  the words can still answer
            log.error("the model failed: %s", type(error).__name__)  # noqa: TRY400  a traceback could hold a customer's words
            return "model_failed", ()
        finally:
            if trial:
                desk.breaker.dropped()

    @staticmethod
    async def _read(batcher: Batcher, asks: Sequence[Ask], read: object, seconds: float) -> Sequence[Analysis]:
        future = asyncio.wrap_future(batcher.submit(asks, read))  # type: ignore[arg-type]
        try:
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError as error:
            raise Late from error

    async def _begin(self) -> None:
        async with self._reloading:
            self.desk = await asyncio.to_thread(add_model, self.desk, self._settings, self._load)
            self._tell()

    async def _watch(self) -> None:
        while True:
            self._metrics.queue.labels("model").set(self._model.waiting)
            self._metrics.queue.labels("words").set(self._words.waiting)
            if stalled := self._model.abandon_stalled(self._settings.stall_seconds):
                self._metrics.stalls.inc(stalled)
                self.desk.breaker.failed(at_once=True)
                log.error("%d batches hung; the words answer for them", stalled)
            self._words.abandon_stalled(self._settings.stall_seconds)
            await asyncio.sleep(_WATCH)

    def _tell(self) -> None:
        desk = self.desk
        self._metrics.who(desk.version, desk.taxonomy.version, "model" if desk.model else "keyword")
        log.info("%s answers by %s %s%s", desk.version, desk.taxonomy.id, desk.taxonomy.version, f" ({desk.reason})" if desk.reason else "")


def refusal_of(error: Exception) -> Refusal:
    """What the answerer could not do, as an answer."""
    match error:
        case Full():
            return Refusal(429, "overloaded", "the queue is full; send it again after Retry-After seconds", wait=error.seconds)
        case Late():
            return Refusal(504, "deadline_exceeded", "nobody answered in time; send fewer texts together, or allow more time")
        case Closed():
            return Refusal(503, "shutting_down", "the service goes down; send it to another one", wait=1.0)
        case Unavailable():
            message = f"no model can answer now ({error.reason}): ask with options.engine auto or keyword, or later"
            return Refusal(503, "model_unavailable", message, wait=5.0)
    raise error
