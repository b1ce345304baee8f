"""``otklik-train``: what ML engineers do with labelled cases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from otklik.nlp.analyzer import Analyzer
from otklik.nlp.vocabulary import VocabularyError
from otklik.taxonomy.load import DEFAULT, TaxonomyError, load_taxonomy
from otklik.training.benchmark import growth, throughput
from otklik.training.cases import CasesError, read_cases, read_texts
from otklik.training.evaluate import MIN_SUPPORT, LayerScore, evaluate

app = typer.Typer(help="Labelled cases: evaluate an engine on gold.", no_args_is_help=True, add_completion=False)
console = Console()
errors = Console(stderr=True)


class Engine(StrEnum):
    """Engines that can be evaluated."""

    KEYWORD = "keyword"


@app.callback()
def _root() -> None:
    """Keeps `evaluate` a command of its own, also while it is the only one."""


@app.command("evaluate")
def evaluate_command(
    gold: Annotated[Path, typer.Option(help="labelled cases, JSONL")],
    engine: Annotated[Engine, typer.Option(help="who answers")] = Engine.KEYWORD,
    taxonomy: Annotated[str, typer.Option(help="released version, or a file")] = DEFAULT,
    json_path: Annotated[Path | None, typer.Option("--json", help="write the figures here")] = None,
) -> None:
    """Precision, recall and F1 of an engine on labelled cases."""
    with _told():
        loaded = load_taxonomy(taxonomy)
        cases = read_cases(gold, loaded)
        analyzer = Analyzer(loaded)
    analyses = [analyzer.analyze(case.text) for case in track(cases, description="Reading", console=errors, transient=True)]
    report = evaluate(loaded, cases, analyses)
    console.print(
        f"{gold}: {report.cases} cases, engine {engine.value}, taxonomy {loaded.id} {loaded.version}", highlight=False, soft_wrap=True
    )
    for name, layer in report.layers.items():
        console.print(_table(name, layer))
    if json_path:
        content = {"gold": gold.name, "engine": engine.value, "taxonomy_version": loaded.version, **report.as_json()}
        json_path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


@app.command("benchmark")
def benchmark_command(
    files: Annotated[list[Path], typer.Argument(help="JSONL files with «text»")],
    taxonomy: Annotated[str, typer.Option(help="released version, or a file")] = DEFAULT,
) -> None:
    """Texts a second, peak memory, and how time grows with length; keyword engine, one thread."""
    with _told():
        texts = [text for path in files for text in read_texts(path)]
        analyzer = Analyzer(load_taxonomy(taxonomy))
    speed = throughput(analyzer, texts)
    console.print(
        f"{speed.texts} texts, {speed.characters / speed.texts:.0f} characters each: {speed.texts / speed.seconds:.0f} texts/s "
        f"({speed.texts / speed.cpu_seconds:.0f} per CPU second, {speed.characters / speed.cpu_seconds / 1e6:.2f} million characters), "
        f"peak {speed.peak_mb:.0f} MB",
        highlight=False,
        soft_wrap=True,
    )
    for step in growth(analyzer, texts):
        console.print(
            f"{step.characters:>7} characters: {step.cpu_seconds * 1000:8.1f} ms, {step.cpu_seconds / step.characters * 1e6:.2f} µs each",
            highlight=False,
        )


@contextmanager
def _told() -> Iterator[None]:
    """What is wrong with a file is told without a traceback; exit status 2."""
    try:
        yield
    except (TaxonomyError, VocabularyError, CasesError) as error:
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error


def _table(name: str, layer: LayerScore) -> Table:
    table = Table(title=name, title_justify="left")
    table.add_column("label")
    for column in ("gold", "found", "precision", "recall", "F1"):
        table.add_column(column, justify="right")
    for label in layer.labels:
        table.add_row(
            label.id,
            str(label.support),
            str(label.predicted),
            *(f"{value:.3f}" for value in (label.precision, label.recall, label.f1)),
            style=None if label.in_macro else "dim",
        )
    table.add_section()
    left_out = f", {layer.left_out} labels with fewer than {MIN_SUPPORT} gold cases left out" if layer.left_out else ""
    table.add_row(f"macro{left_out}", "", "", "", "", "–" if layer.macro_f1 is None else f"{layer.macro_f1:.3f}")
    table.add_row("micro", "", "", *(f"{value:.3f}" for value in (layer.micro_precision, layer.micro_recall, layer.micro_f1)))
    return table


def main() -> None:
    """Entry point of the command."""
    app()
