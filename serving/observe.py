"""What the service says of itself: metrics for Prometheus, one JSON line a request, an id for each. Never a text, never a key."""

from __future__ import annotations

import logging
import re
import sys
import time
import uuid

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, Histogram, PlatformCollector, ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from otklik.serving.guard import Refusal, error_response
from otklik.serving.schemas import Result

_SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 20)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_TOKENS = (16, 64, 256, 512, 1024, 2048, 4096, 16384)
_SENT_ID = re.compile(rb"[\w.:/+=-]{1,128}", re.ASCII)
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)

log = structlog.get_logger()


class Metrics:
    """All that is counted. Labels are taken from fixed lists, so their number is bounded."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        own = self.registry
        self.requests = Counter("otklik_requests", "answered requests", ["route", "status"], registry=own)
        self.refusals = Counter("otklik_refusals", "requests and items that were refused, by code", ["code"], registry=own)
        self.disconnects = Counter("otklik_disconnects", "clients that went away before their answer", registry=own)
        self.seconds = Histogram("otklik_request_seconds", "from the first byte to the last", ["route"], buckets=_SECONDS, registry=own)
        self.batch_texts = Histogram("otklik_batch_texts", "texts read together", ["reader"], buckets=_TEXTS, registry=own)
        self.batch_tokens = Histogram("otklik_batch_tokens", "tokens read together", ["reader"], buckets=_TOKENS, registry=own)
        self.batch_seconds = Histogram("otklik_batch_seconds", "of one batch", ["reader"], buckets=_SECONDS, registry=own)
        self.queue = Gauge("otklik_queue_texts", "texts that wait", ["reader"], registry=own)
        self.answers = Counter(
            "otklik_answers", "texts answered, by engine, and why it was not the model", ["engine", "degraded"], registry=own
        )
        self.labels = Counter("otklik_labels", "labels given", ["layer", "label"], registry=own)
        self.review = Counter("otklik_needs_review", "texts that a person should look at", registry=own)
        self.stalls = Counter("otklik_stalled_batches", "batches that hung", registry=own)
        self.reloads = Counter("otklik_reloads", "reloads, by outcome", ["outcome"], registry=own)
        self.info = Gauge("otklik_info", "who answers now", ["model_version", "taxonomy_version", "engine"], registry=own)

    def batch(self, reader: str, texts: int, tokens: int, seconds: float) -> None:
        """One micro-batch."""
        self.batch_texts.labels(reader).observe(texts)
        self.batch_tokens.labels(reader).observe(tokens)
        self.batch_seconds.labels(reader).observe(seconds)

    def answer(self, result: Result) -> None:
        """One text."""
        self.answers.labels(result.engine, result.degraded_reason or "").inc()
        self.labels.labels("sentiment", result.sentiment.label).inc()
        for category in result.categories:
            self.labels.labels("category", category.id).inc()
        for trigger in result.triggers:
            self.labels.labels("trigger", trigger.id).inc()
        if result.needs_review:
            self.review.inc()

    def who(self, model: str, taxonomy: str, engine: str) -> None:
        """After a start or a reload."""
        self.info.clear()
        self.info.labels(model, taxonomy, engine).set(1)


class Observed:
    """Around all others: request ids, security headers, one log line and the metrics of each request."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A sent X-Request-ID is kept if it is a plain one; else one is made."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        sent = dict(scope["headers"]).get(b"x-request-id", b"")
        ident = sent.decode("ascii") if _SENT_ID.fullmatch(sent) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = ident
        status = 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", ident.encode("ascii")),
                    *((name, value) for name, value in _HEADERS if name not in given),
                ]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception as error:  # noqa: BLE001  a traceback on its way to the server's log could hold a customer's words
            log.error("request failed", request_id=ident, error=type(error).__name__)  # noqa: TRY400
            if not status:
                message = "the service failed on this request; nothing was stored, send it again"
                await error_response(Refusal(500, "internal_error", message))(scope, receive, noted)
        finally:
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(seconds)
            if not route.startswith(("/health", "/metrics")):
                told = scope["state"].get("told", {})
                if holder := scope["state"].get("holder"):
                    told = {"key": holder.name, **told}
                log.info("request", request_id=ident, route=route, status=status, ms=round(seconds * 1000, 1), **told)


def configure_logging() -> None:
    """Everything, uvicorn's lines too, as JSON lines on the standard error."""
    shared: list[structlog.types.Processor] = [structlog.stdlib.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True)]
    render = structlog.processors.JSONRenderer(ensure_ascii=False)
    # The lines of requests go straight to the stream: by way of `logging` each costs three times as much.
    structlog.configure(
        processors=[_named, *shared, render],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.format_exc_info, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)


def _named(_: object, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    return {**event, "logger": "otklik.access"}
