"""The HTTP service: routes, limits, and every error as JSON with a stable code."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import math
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware

from otklik.nlp.analyzer import KEYWORD_VERSION
from otklik.serving.answerer import Answerer, Answers, Late, Unavailable, refusal_of
from otklik.serving.batcher import Ask, Closed, Full
from otklik.serving.desk import Load, Refused, with_model
from otklik.serving.guard import Gate, Guard, Refusal, error_response
from otklik.serving.items import asks_of, details_of, envelope_of, item_of, json_of, nothing_readable, results_of
from otklik.serving.keys import Keys
from otklik.serving.observe import Metrics, Observed
from otklik.serving.schemas import (
    ClassifyRequest,
    ClassifyResponse,
    ErrorDetail,
    ErrorResponse,
    Failed,
    Health,
    Item,
    Model,
    Models,
    Options,
    Reloaded,
    Result,
)
from otklik.serving.settings import Settings
from otklik.serving.stream import Duplex, streamed
from otklik.taxonomy.model import Taxonomy

_CODES = {400: "invalid_json", 404: "not_found", 405: "method_not_allowed", 415: "unsupported_media_type"}
_MEANINGS = {
    400: "`invalid_json`: the body is no JSON",
    401: "`unauthorized`: no key, or one that is not known",
    403: "`forbidden`: the key may not do this",
    408: "`body_timeout`: the body stopped coming",
    413: "`body_too_large`, `too_many_items`: split the request",
    415: "`unsupported_media_type`: send the body as it is, not compressed",
    422: "`validation_failed`, `text_too_long`: no item could be read; `details` says what is wrong where",
    429: "`overloaded`, `rate_limited`: send it again after the seconds in Retry-After",
    503: "`model_unavailable`: engine `model` was demanded and is not at hand; `shutting_down`",
    504: "`deadline_exceeded`: nobody answered in time",
}
_NDJSON = "application/x-ndjson"
_GZIP_FROM = 2048  # bytes


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorResponse, "description": _MEANINGS[status]} for status in statuses}


def _body(content: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {content: {"schema": schema}}}}


def create_app(settings: Settings, load: Load = with_model) -> FastAPI:
    """The service. A bad taxonomy stops it at start-up with all its problems; a bad model does not: the words answer then.

    ``load`` brings the model, also at a reload. Raises `KeysError`.
    """
    keys = Keys(settings.keys_file, settings.keys)
    gate = Gate(keys, settings.rate_per_minute)
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        answerer = app.state.answerer = Answerer(settings, metrics, load)
        answerer.start()
        with suppress(NotImplementedError, RuntimeError, ValueError):  # no main thread, as in a test
            asyncio.get_running_loop().add_signal_handler(
                signal.SIGHUP, lambda: app.state.reloads.add(asyncio.create_task(_reload(answerer)))
            )
        app.state.reloads = set()
        yield
        await answerer.close()

    app = FastAPI(
        title="Otklik",
        summary="Complaint reasons, sentiment and urgency triggers of Russian customer feedback, with evidence",
        version="1",
        lifespan=lifespan,
    )
    app.add_middleware(GZipMiddleware, minimum_size=_GZIP_FROM, compresslevel=5)
    app.add_middleware(Guard, settings=settings, streams=frozenset({"/v1/classify/stream"}))
    app.add_middleware(Observed, metrics=metrics)
    _add_error_handlers(app, metrics)
    _add_routes(app, settings, gate, metrics)
    _add_operations(app, gate, metrics)
    _describe_request(app)
    return app


def _describe_request(app: FastAPI) -> None:
    """The body of /v1/classify is read item by item, so FastAPI does not see its schema."""
    schema = ClassifyRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    parts = {**schema.pop("$defs"), "ClassifyRequest": schema}
    generated = app.openapi()
    generated["components"]["schemas"] = dict(sorted({**parts, **generated["components"]["schemas"]}.items()))


def _add_routes(app: FastAPI, settings: Settings, gate: Gate, metrics: Metrics) -> None:
    request_body = _body("application/json", {"$ref": "#/components/schemas/ClassifyRequest"})

    @app.post(
        "/v1/classify",
        response_model=ClassifyResponse,
        responses=_errors(400, 401, 408, 413, 415, 422, 429, 503, 504),
        openapi_extra=request_body,
        dependencies=[Depends(gate.client)],
    )
    async def classify(
        request: Request,
        x_deadline_ms: Annotated[int | None, Header(ge=1, description="answer within so many milliseconds, or not at all")] = None,
    ) -> Response:
        """Reads each text and answers in the order of the items. Nothing is stored: the same request may be sent again at any time.

        An item that cannot be read gets an `error` in its place; where none can, the request is refused.
        """
        envelope = envelope_of(await request.body(), settings)
        read = [item_of(value, position, settings) for position, value in enumerate(envelope.items)]
        if not any(isinstance(item, Item) for item in read):
            raise nothing_readable(read)
        gate.charge(request, len(read))
        seconds = min(settings.deadline_seconds, (x_deadline_ms or math.inf) / 1000)
        answers = await _unless_gone(request, app.state.answerer, asks_of(read), envelope.options, seconds, metrics)
        results = results_of(read, answers, envelope.options, metrics)
        _tell(request, answers, results)
        response = ClassifyResponse(model_version=answers.version, taxonomy_version=answers.desk.taxonomy.version, results=results)
        return Response(json_of(response, envelope.options, {"results": {"__all__": {"scores"}}}), media_type="application/json")

    @app.post(
        "/v1/classify/stream",
        response_class=StreamingResponse,
        responses={
            200: {"content": {_NDJSON: {"schema": {"type": "string"}}}, "description": "a result or an error a line"},
            **_errors(401, 415, 422),
        },
        openapi_extra=_body(_NDJSON, {"type": "string", "description": "an item a line, as in the items of /v1/classify"}),
        dependencies=[Depends(gate.client)],
    )
    async def stream(request: Request, options: Annotated[Options, Query()]) -> Response:
        """For large batches: an item a line in, a result or an error a line out, in the same order, while the body still comes.

        It waits for room instead of refusing. Read while you send: a client that does not is stopped by back-pressure and then cut off.
        """
        lines = streamed(request, app.state.answerer, options, settings, gate, metrics)
        return Duplex(lines, _NDJSON, metrics.disconnects.inc)

    @app.get(
        "/v1/taxonomy",
        responses={304: {"description": "it is the one that If-None-Match names"}, **_errors(401)},
        dependencies=[Depends(gate.client)],
    )
    def taxonomy(request: Request) -> Response:
        """All labels with definitions, departments, severities and routes; the phrases stay inside."""
        content = json.dumps(describe(app.state.answerer.desk.taxonomy), ensure_ascii=False).encode("utf-8")
        headers = {"etag": f'"{hashlib.sha256(content).hexdigest()[:32]}"', "cache-control": "no-cache"}
        known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
        if known & {headers["etag"], "*"}:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type="application/json", headers=headers)

    @app.get("/v1/models", responses=_errors(401), dependencies=[Depends(gate.client)])
    def models() -> Models:
        """Who can answer here."""
        desk = app.state.answerer.desk
        taxonomy = desk.taxonomy
        found = []
        if desk.model:
            manifest = desk.model.manifest
            found.append(
                Model(
                    id=manifest.version,
                    engine="model",
                    default=True,
                    taxonomy_id=taxonomy.id,
                    taxonomy_version=taxonomy.version,
                    origin=manifest.origin,
                )
            )
        found.append(
            Model(
                id=KEYWORD_VERSION,
                engine="keyword",
                default=desk.model is None,
                taxonomy_id=taxonomy.id,
                taxonomy_version=taxonomy.version,
                origin=None,
            )
        )
        return Models(models=found)


def _add_operations(app: FastAPI, gate: Gate, metrics: Metrics) -> None:
    @app.get("/health/live")
    async def live() -> Health:
        """The process answers."""
        return Health(status="live")

    @app.get("/health/ready", responses={503: {"model": Health, "description": "send texts elsewhere"}})
    async def ready(response: Response) -> Health:
        """Whether texts can be sent, and who would read them: `degraded` means that only the words answer, and why."""
        answerer: Answerer = app.state.answerer
        desk, reason = answerer.desk, answerer.reason()
        if answerer.draining:
            response.status_code = 503
        return Health(
            status="not ready" if answerer.draining else "degraded" if reason else "ready",
            engine="keyword" if reason else "model",
            model_version=KEYWORD_VERSION if reason else desk.version,
            taxonomy_version=desk.taxonomy.version,
            reason=reason,
        )

    @app.get("/metrics", response_class=Response, include_in_schema=False)
    def prometheus() -> Response:
        """For Prometheus; holds no text and no key."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.post(
        "/admin/reload",
        responses=_errors(401, 403) | {409: {"model": ErrorResponse, "description": "the new one was refused, the old one stays"}},
        dependencies=[Depends(gate.admin)],
    )
    async def reload() -> Reloaded:
        """Taxonomy and model read again from where the settings say, checked, and put in place of the old ones."""
        try:
            desk = await app.state.answerer.reload()
        except Refused as error:
            raise Refusal(409, error.code, f"{error}; the old one goes on answering") from error
        return Reloaded(model_version=desk.version, taxonomy_version=desk.taxonomy.version)


async def _reload(answerer: Answerer) -> None:
    with suppress(Refused):  # logged, and counted
        await answerer.reload()


def _tell(request: Request, answers: Answers, results: Sequence[Result | Failed]) -> None:
    """For the log line of the request: numbers and versions only."""
    failed = sum(isinstance(result, Failed) for result in results)
    request.state.told = {"items": len(results), "failed": failed, "model_version": answers.version, "degraded": answers.degraded}


async def _unless_gone(
    request: Request, answerer: Answerer, asks: Sequence[Ask], options: Options, seconds: float, metrics: Metrics
) -> Answers:
    """The answers, or none where the client has gone: its texts leave the queue."""
    answer = asyncio.ensure_future(answerer.answer(asks, options.engine, seconds))
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            metrics.disconnects.inc()
            raise Refusal(499, "client_gone", "the client closed the connection")
        return answer.result()
    finally:
        for task in (answer, gone):
            if not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def describe(taxonomy: Taxonomy) -> dict[str, Any]:
    """The taxonomy as JSON values, without its phrases."""
    described: dict[str, Any] = {"id": taxonomy.id, "version": taxonomy.version}
    for layer in ("groups", "categories", "sentiments", "triggers"):
        labels = getattr(taxonomy, layer)
        described[layer] = [
            {field.name: getattr(label, field.name) for field in dataclasses.fields(label) if field.name != "phrases"} for label in labels
        ]
    return described


def _add_error_handlers(app: FastAPI, metrics: Metrics) -> None:
    @app.exception_handler(Refusal)
    def refused(_: Request, refusal: Refusal) -> JSONResponse:
        metrics.refusals.labels(refusal.error.code).inc()
        return error_response(refusal)

    for kind in (Full, Late, Closed, Unavailable):

        @app.exception_handler(kind)
        def not_answered(request: Request, error: Exception) -> JSONResponse:
            return refused(request, refusal_of(error))

    @app.exception_handler(ValidationError)
    def invalid_body(request: Request, error: ValidationError) -> JSONResponse:
        details = [detail if detail.where else ErrorDetail(where="body", message=detail.message) for detail in details_of(error.errors())]
        return refused(request, Refusal(422, "validation_failed", "the request does not fit the schema; see details and /docs", details))

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        message = "the request does not fit the schema; see details and /docs"
        return refused(request, Refusal(422, "validation_failed", message, details_of(error.errors())))

    @app.exception_handler(HTTPException)
    def http(request: Request, error: HTTPException) -> JSONResponse:
        response = refused(request, Refusal(error.status_code, _CODES.get(error.status_code, "http_error"), str(error.detail)))
        response.headers.update(error.headers or {})
        return response
