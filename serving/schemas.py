"""JSON in and out. The only pydantic models; everything behind them is plain values."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from otklik.nlp.records import Analysis, Evidence, Score
from otklik.taxonomy.model import Severity, Taxonomy

Engine = Literal["auto", "model", "keyword"]
DegradedReason = Literal[
    "model_loading", "model_missing", "model_broken", "model_taxonomy", "model_failed", "model_failing", "model_stalled", "model_timeout"
]
Share = Annotated[float, Field(ge=0, le=1)]


def whole(value: str | int) -> bool:
    """False for half of a surrogate pair, which JSON can spell and which cannot be sent back."""
    return not isinstance(value, str) or value.encode("utf-8", "ignore") == value.encode("utf-8", "surrogatepass")


def _whole(text: str) -> str:
    if not whole(text):
        raise ValueError("half of a surrogate pair; send whole characters")
    return text


Words = Annotated[str, AfterValidator(_whole)]


_ANSWER: JsonValue = {
    "model_version": "service-core-1-0a1b2c3d",
    "taxonomy_version": "1.0.0",
    "results": [
        {
            "id": "42",
            "engine": "model",
            "sentiment": {"label": "negative", "score": 0.83},
            "categories": [
                {
                    "id": "service.no_response",
                    "title": "Не дозвониться, нет ответа",
                    "group": "service",
                    "department": "support",
                    "score": 0.8,
                    "sentiment": "negative",
                    "evidence": [{"start": 47, "end": 64, "text": "линия не отвечает"}],
                }
            ],
            "triggers": [
                {
                    "id": "denied_boarding",
                    "title": "Не пускают на рейс",
                    "severity": "critical",
                    "score": 1.0,
                    "source": "rule",
                    "evidence": [{"start": 20, "end": 37, "text": "не сажают на рейс"}],
                }
            ],
            "urgency": {"severity": "critical", "route": "loyalty_team", "respond_within_minutes": 15},
            "needs_review": False,
            "review_reasons": [],
            "degraded": False,
            "degraded_reason": None,
        },
        {"id": "43", "error": {"code": "validation_failed", "message": "text: Field required", "details": []}},
    ],
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Item(_Strict):
    """One piece of feedback. ``score`` and ``channel`` are information: they never change what the text says."""

    id: Words | int | None = Field(default=None, description="echoed; the position in the request, counted from 0, if absent")
    text: Words = Field(description="as the customer wrote it; read to its end, however long")
    score: float | None = Field(
        default=None, ge=0, le=10, allow_inf_nan=False, description="the customer's own mark: 0–10 for channel nps, else 1–5"
    )
    channel: Words | None = Field(default=None, max_length=64, description="nps, csat, review, chat, …")


class Options(_Strict):
    """How to answer."""

    engine: Engine = Field(default="auto", description="auto answers with the best engine at hand and says which it was")
    explain: bool = Field(default=True, description="with the passages that show each label")
    all_scores: bool = Field(default=False, description="with the score of every category, also below the threshold")


class Envelope(_Strict):
    """A request whose items are not read yet: one that is wrong must not sink the others."""

    items: list[JsonValue] = Field(min_length=1)
    options: Options = Options()


class ClassifyRequest(_Strict):
    """Several texts at once."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "items": [
                        {
                            "id": "42",
                            "text": "Стоим у выхода, нас не сажают на рейс! Горячая линия не отвечает.",
                            "score": 2,
                            "channel": "nps",
                        },
                        {"id": "43"},
                    ],
                    "options": {"engine": "auto", "explain": True, "all_scores": False},
                }
            ]
        },
    )

    items: list[Item] = Field(min_length=1)
    options: Options = Options()


class Passage(_Strict):
    """``text`` is ``[start, end)`` of the text as it was sent, in code points."""

    start: int = Field(ge=0)
    end: int = Field(ge=0)
    text: str

    @classmethod
    def of(cls, evidence: Evidence) -> Passage:
        """From the record."""
        return cls(start=evidence.start, end=evidence.stop, text=evidence.text)


class SentimentAnswer(_Strict):
    """The author's overall attitude."""

    label: str
    score: Share


class CategoryAnswer(_Strict):
    """One reason of dissatisfaction; ``sentiment`` is that of its passages."""

    id: str
    title: str
    group: str
    department: str | None
    score: Share
    sentiment: str | None
    evidence: list[Passage]


class TriggerAnswer(_Strict):
    """One situation to escalate."""

    id: str
    title: str
    severity: Severity
    score: Share
    source: str
    evidence: list[Passage]


class UrgencyAnswer(_Strict):
    """What follows from the most severe trigger; severity ``none`` and nulls where there is no trigger."""

    severity: Literal["critical", "high", "normal", "none"]
    route: str | None
    respond_within_minutes: int | None


class Result(_Strict):
    """The answer for one text."""

    id: str | int
    engine: Literal["model", "keyword"]
    sentiment: SentimentAnswer
    categories: list[CategoryAnswer]
    triggers: list[TriggerAnswer]
    urgency: UrgencyAnswer
    needs_review: bool
    review_reasons: list[str]
    degraded: bool = Field(default=False, description="the model should have answered and could not")
    degraded_reason: DegradedReason | None = Field(default=None, description="why")
    scores: dict[str, Share] | None = Field(default=None, description="by category; only with options.all_scores")

    @classmethod
    def of(
        cls,
        ident: str | int,
        analysis: Analysis,
        taxonomy: Taxonomy,
        options: Options = Options(),  # noqa: B008  frozen
        degraded: DegradedReason | None = None,
    ) -> Result:
        """From the records."""
        severity = analysis.urgency.severity
        by_id = {score.id: score.score for score in analysis.scores}
        return cls(
            id=ident,
            engine="model" if analysis.engine == "model" else "keyword",
            sentiment=SentimentAnswer(label=analysis.sentiment.id, score=analysis.sentiment.score),
            categories=[_category(score, taxonomy, options) for score in analysis.categories],
            triggers=[_trigger(score, taxonomy, options) for score in analysis.triggers],
            urgency=UrgencyAnswer(
                severity=severity.value if severity else "none",
                route=analysis.urgency.route,
                respond_within_minutes=analysis.urgency.respond_within_minutes,
            ),
            needs_review=analysis.needs_review,
            review_reasons=list(analysis.review_reasons),
            degraded=degraded is not None,
            degraded_reason=degraded,
            scores={category.id: by_id.get(category.id, 0.0) for category in taxonomy.categories} if options.all_scores else None,
        )

    def as_line(self, model_version: str, taxonomy_version: str) -> str:
        """One line of JSON that tells by itself who answered."""
        values = self.model_dump(mode="json", exclude={"scores"} if self.scores is None else None)
        return json.dumps({**values, "model_version": model_version, "taxonomy_version": taxonomy_version}, ensure_ascii=False)


class ErrorDetail(_Strict):
    """One thing that is wrong: where, and what to do."""

    where: str
    message: str


class Error(_Strict):
    """``code`` is for programs and stable; ``message`` is for people."""

    code: str
    message: str
    details: list[ErrorDetail] = []


class ErrorResponse(_Strict):
    """The body of every answer that is not a result."""

    error: Error


class Failed(_Strict):
    """In the place of a result: this item could not be read; the others were."""

    id: str | int
    error: Error


class ClassifyResponse(_Strict):
    """Results stand in the order of the items."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [_ANSWER]})

    model_version: str
    taxonomy_version: str
    results: list[Result | Failed]


class Health(_Strict):
    """Who would answer now, and why it is not the model."""

    status: Literal["live", "ready", "degraded", "not ready"]
    engine: str | None = None
    model_version: str | None = None
    taxonomy_version: str | None = None
    reason: str | None = None


class Model(_Strict):
    """One that can answer here. ``id`` is what answers carry as their version."""

    id: str
    engine: Literal["model", "keyword"]
    default: bool = Field(description="answers options.engine auto")
    taxonomy_id: str
    taxonomy_version: str
    origin: str | None = Field(description="the encoder that it was trained from")


class Models(_Strict):
    """All that can answer here, the best first."""

    models: list[Model]


class Reloaded(_Strict):
    """Who answers after a reload."""

    model_version: str
    taxonomy_version: str


def _passages(score: Score, options: Options) -> list[Passage]:
    return [Passage.of(evidence) for evidence in score.evidence] if options.explain else []


def _category(score: Score, taxonomy: Taxonomy, options: Options) -> CategoryAnswer:
    category = taxonomy.category[score.id]
    return CategoryAnswer(
        id=category.id,
        title=category.title,
        group=category.group,
        department=category.department,
        score=score.score,
        sentiment=score.sentiment,
        evidence=_passages(score, options),
    )


def _trigger(score: Score, taxonomy: Taxonomy, options: Options) -> TriggerAnswer:
    trigger = taxonomy.trigger[score.id]
    return TriggerAnswer(
        id=trigger.id,
        title=trigger.title,
        severity=trigger.severity,
        score=score.score,
        source=score.source,
        evidence=_passages(score, options),
    )
