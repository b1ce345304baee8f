"""The HTTP service: routes, limits, and every error as JSON with a stable code."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from otklik.nlp.analyzer import Analyzer, load_analyzer, relative_score
from otklik.nlp.artefact import ArtefactError
from otklik.serving.schemas import ClassifyRequest, ClassifyResponse, Error, ErrorDetail, ErrorResponse, Health, Result
from otklik.serving.settings import Settings
from otklik.taxonomy.load import load_taxonomy
from otklik.taxonomy.model import Taxonomy

log = logging.getLogger(__name__)

_CODES = {400: "invalid_json", 404: "not_found", 405: "method_not_allowed", 415: "unsupported_media_type"}
_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorResponse, "description": "`invalid_json`: the body is no JSON"},
    413: {"model": ErrorResponse, "description": "`body_too_large`, `too_many_items`: split the request"},
    422: {"model": ErrorResponse, "description": "`validation_failed`, `text_too_long`: `details` says what is wrong where"},
    503: {"model": ErrorResponse, "description": "`model_unavailable`: engine `model` was demanded and is not at hand"},
}


class Refusal(Exception):  # noqa: N818  a refusal is an answer, not a fault
    """A request that is answered with an error."""

    def __init__(self, status: int, code: str, message: str, details: list[ErrorDetail] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error = Error(code=code, message=message, details=details or [])


def create_app(settings: Settings) -> FastAPI:
    """The service. Taxonomy and engines are loaded at start-up; a bad taxonomy stops it there, with all its problems."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.analyzer = _analyzer(settings)
        yield

    app = FastAPI(
        title="Otklik",
        summary="Complaint reasons, sentiment and urgency triggers of Russian customer feedback, with evidence",
        version="1",
        lifespan=lifespan,
    )
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    _add_error_handlers(app)

    @app.post("/v1/classify", response_model=ClassifyResponse, responses=_ERRORS)
    def classify(body: ClassifyRequest, request: Request) -> JSONResponse:
        """Reads each text and answers in the order of the items."""
        _check_limits(body, settings)
        analyzer: Analyzer = request.app.state.analyzer
        engine = body.options.engine
        if engine == "model" and analyzer.engine != "model":
            raise Refusal(503, "model_unavailable", "no model is at hand: ask with options.engine auto or keyword")
        marks = [relative_score(item.score, item.channel) for item in body.items]
        analyses = analyzer.analyze_all([item.text for item in body.items], marks, engine)
        results = [
            Result.of(str(position) if item.id is None else item.id, analysis, analyzer.taxonomy, body.options)
            for position, (item, analysis) in enumerate(zip(body.items, analyses, strict=True))
        ]
        response = ClassifyResponse(model_version=analyzer.version(engine), taxonomy_version=analyzer.taxonomy.version, results=results)
        content = response.model_dump(mode="json")
        if not body.options.all_scores:
            for result in content["results"]:
                del result["scores"]
        return JSONResponse(content)

    @app.get("/v1/taxonomy")
    def taxonomy(request: Request) -> dict[str, Any]:
        """All labels with definitions, departments, severities and routes; the phrases stay inside."""
        return describe(request.app.state.analyzer.taxonomy)

    @app.get("/health/live")
    def live() -> Health:
        """The process answers."""
        return Health(status="live")

    @app.get("/health/ready")
    def ready(request: Request) -> Health:
        """Texts can be sent, and who would read them."""
        analyzer: Analyzer = request.app.state.analyzer
        return Health(status="ready", engine=analyzer.engine, model_version=analyzer.version(), taxonomy_version=analyzer.taxonomy.version)

    return app


def _analyzer(settings: Settings) -> Analyzer:
    """With the model, or with the rules alone where the model cannot be used: then each answer names its engine."""
    taxonomy = load_taxonomy(settings.taxonomy)
    try:
        return load_analyzer(taxonomy, settings.model)
    except ArtefactError as error:
        log.error("%s: %s; the keyword engine answers instead", error.code, error)  # noqa: TRY400  the traceback says no more
        return Analyzer(taxonomy)


def describe(taxonomy: Taxonomy) -> dict[str, Any]:
    """The taxonomy as JSON values, without its phrases."""
    described: dict[str, Any] = {"id": taxonomy.id, "version": taxonomy.version}
    for layer in ("groups", "categories", "sentiments", "triggers"):
        labels = getattr(taxonomy, layer)
        described[layer] = [
            {field.name: getattr(label, field.name) for field in dataclasses.fields(label) if field.name != "phrases"} for label in labels
        ]
    return described


def _check_limits(body: ClassifyRequest, settings: Settings) -> None:
    if len(body.items) > settings.max_items:
        raise Refusal(
            413, "too_many_items", f"{len(body.items)} items; at most {settings.max_items} in one request, send the rest in another"
        )
    too_long = [
        ErrorDetail(where=f"items.{position}.text", message=f"{len(item.text)} characters; at most {settings.max_characters}")
        for position, item in enumerate(body.items)
        if len(item.text) > settings.max_characters
    ]
    if too_long:
        raise Refusal(422, "text_too_long", "split the texts named in details; nothing was read", too_long)


def _error(status: int, error: Error) -> JSONResponse:
    return JSONResponse(ErrorResponse(error=error).model_dump(), status_code=status)


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    def refused(_: Request, refusal: Refusal) -> JSONResponse:
        return _error(refusal.status, refusal.error)

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        problems = error.errors()
        if any(problem["type"] == "json_invalid" for problem in problems):
            return _error(400, Error(code="invalid_json", message="the body is no JSON; send an object with «items», in UTF-8"))
        # Never the value itself: it may be a customer's words.
        details = [ErrorDetail(where=".".join(map(str, problem["loc"][1:])) or "body", message=problem["msg"]) for problem in problems]
        return _error(
            422, Error(code="validation_failed", message="the request does not fit the schema; see details and /docs", details=details)
        )

    @app.exception_handler(HTTPException)
    def http(_: Request, error: HTTPException) -> JSONResponse:
        response = _error(error.status_code, Error(code=_CODES.get(error.status_code, "http_error"), message=str(error.detail)))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    def failed(request: Request, error: Exception) -> JSONResponse:
        log.error("%s %s failed: %s", request.method, request.url.path, type(error).__name__)
        return _error(500, Error(code="internal_error", message="the service failed on this request; nothing was stored, send it again"))


class BodyLimit:
    """Refuses a body above ``max_bytes``, announced or not, before it is held in memory."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Counts bytes as they come."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        received = int(announced) if announced.isdigit() and int(announced) > self._max_bytes else 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise _TooLarge
            return message

        async def guarded(message: Message) -> None:
            if received <= self._max_bytes:  # else the routes answer to a body that they could not read: the refusal below is the answer
                await send(message)

        if received <= self._max_bytes:
            with suppress(_TooLarge):
                await self._app(scope, counted, guarded)
        if received > self._max_bytes:
            error = Error(code="body_too_large", message=f"the body is above {self._max_bytes} bytes; split the request")
            await _error(413, error)(scope, receive, send)


class _TooLarge(Exception):  # noqa: N818
    pass
