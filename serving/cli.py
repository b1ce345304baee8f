"""``otklik``: the command line. What it says is in Russian."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from otklik.serving import operating, surveys  # noqa: F401  they add their commands
from otklik.serving.command import SEVERITY_STYLE, Engine, EngineOption, ModelOption, TaxonomyOption, analyzer_of, app, out
from otklik.serving.labeller import Labeller, Row
from otklik.serving.schemas import ClassifyResponse, Result
from otklik.taxonomy.model import Taxonomy

_SENTIMENT_STYLE = {"negative": "red", "positive": "green", "mixed": "yellow", "neutral": "dim"}


@app.command()
def classify(
    text: Annotated[list[str] | None, typer.Argument(help="тексты; если их нет — по одному в строке со стандартного ввода")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="ответ в JSON, как у /v1/classify")] = False,
    engine: EngineOption = Engine.AUTO,
    taxonomy: TaxonomyOption = None,
    model: ModelOption = None,
) -> None:
    """Разобрать тексты и показать причины, тональность и срочность."""
    labeller = Labeller(analyzer_of(taxonomy, engine, model), engine=engine.value)
    texts = text or [line.decode("utf-8", "surrogateescape").rstrip("\r\n") for line in sys.stdin.buffer]
    rows = [Row(str(number), _sound(words)) for number, words in enumerate(texts)]
    results = labeller.label_all(rows)
    if as_json:
        response = ClassifyResponse(
            model_version=labeller.version,
            taxonomy_version=labeller.analyzer.taxonomy.version,
            results=list(results),
        )
        sys.stdout.write(response.model_dump_json(indent=2, exclude={"results": {"__all__": {"scores"}}}) + "\n")
        return
    out.print(_table([(result, row.text) for result, row in zip(results, rows, strict=True)], labeller.analyzer.taxonomy))


def _sound(text: str) -> str:
    """Bytes that were no UTF-8 become «�», so that the answer can be printed."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _table(results: list[tuple[Result, str]], taxonomy: Taxonomy) -> Table:
    table = Table(show_lines=True, expand=True)
    table.add_column("Текст", ratio=5, overflow="fold")
    table.add_column("Тональность", no_wrap=True)
    table.add_column("Причины", ratio=4, overflow="fold")
    table.add_column("Срочность", ratio=4, overflow="fold")
    titles = {sentiment.id: sentiment.title for sentiment in taxonomy.sentiments}
    for result, text in results:
        label = result.sentiment.label
        reasons = Text("\n").join(
            Text(category.title)
            .append(f" {category.score:.2f}", style="dim")
            .append(_quotes([p.text for p in category.evidence]), style="dim italic")
            for category in result.categories
        )
        urgent = Text("\n").join(
            Text(trigger.title, style=SEVERITY_STYLE[trigger.severity]).append(
                _quotes([p.text for p in trigger.evidence]), style="dim italic"
            )
            for trigger in result.triggers
        )
        if result.triggers:
            urgent.append(f"\n→ {result.urgency.route}, {result.urgency.respond_within_minutes} мин", style="bold")
        if result.needs_review:
            reasons.append(("\n" if reasons else "") + f"проверить: {', '.join(result.review_reasons)}", style="yellow")
        table.add_row(Text(text), Text(titles[label], style=_SENTIMENT_STYLE[label]), reasons, urgent)
    return table


def _quotes(texts: list[str]) -> str:
    return "".join(f"\n«{text}»" for text in dict.fromkeys(texts))


def main() -> None:
    """Entry point of the command."""
    app()
