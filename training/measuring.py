"""Commands that measure a model: evaluate, robustness, benchmark, speed."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from otklik.nlp.artefact import shipped
from otklik.taxonomy.load import DEFAULT, load_taxonomy
from otklik.training.cases import read_cases, read_rows, read_texts
from otklik.training.command import (
    LABELS,
    Engine,
    EngineOption,
    GoldOption,
    JsonOption,
    LabelsOption,
    ModelOption,
    TaxonomyOption,
    analyzer_of,
    app,
    console,
    side_by_side,
    told,
    write,
)
from otklik.training.evaluate import MIN_SUPPORT, LayerScore, evaluate
from otklik.training.speed import growth, matrix_rate, throughput


class Task(StrEnum):
    """A public benchmark of sentiment."""

    SENTIRUEVAL2016 = "sentirueval2016"
    RUSENTITWEET = "rusentitweet"


@app.command("evaluate")
def evaluate_command(
    gold: GoldOption,
    engine: EngineOption = Engine.AUTO,
    model: ModelOption = None,
    train: Annotated[Path | None, typer.Option(help="also train the rivals on these cases and show them beside")] = None,
    taxonomy: TaxonomyOption = DEFAULT,
    json_path: JsonOption = None,
) -> None:
    """Precision, recall and F1 on labelled cases; with --train a table with the rivals, trained in the same run."""
    with told():
        loaded = load_taxonomy(taxonomy)
        cases = read_cases(gold, loaded)
        analyzer = analyzer_of(loaded, engine, model)
        texts = [case.text for case in cases]
        analyses = analyzer.analyze_all(texts, engine=engine.value)
    report = evaluate(loaded, cases, analyses)
    console.print(
        f"{gold}: {report.cases} cases, {analyzer.version(engine.value)}, taxonomy {loaded.id} {loaded.version}",
        highlight=False,
        soft_wrap=True,
    )
    for name, layer in report.layers.items():
        console.print(_table(name, layer))
    content = {"gold": gold.name, "engine": analyzer.version(engine.value), "taxonomy_version": loaded.version, **report.as_json()}
    if train:
        from otklik.training.rivals import compare  # noqa: PLC0415

        with told():
            rows = compare(loaded, read_cases(train, loaded), cases)
        rows = {analyzer.version(engine.value): report, **rows}
        console.print(side_by_side(rows))
        content["rivals"] = {name: {layer: score.macro_f1 for layer, score in row.layers.items()} for name, row in rows.items()}
    if json_path:
        write(json_path, content)


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


@app.command("robustness")
def robustness_command(
    gold: GoldOption,
    engine: EngineOption = Engine.AUTO,
    model: ModelOption = None,
    taxonomy: TaxonomyOption = DEFAULT,
    json_path: JsonOption = None,
) -> None:
    """Micro-F1 on the same cases with typos, capitals, no punctuation, look-alike letters."""
    from otklik.training.robustness import robustness  # noqa: PLC0415

    with told():
        loaded = load_taxonomy(taxonomy)
        cases = read_cases(gold, loaded)
        found = robustness(analyzer_of(loaded, engine, model), cases)
    table = Table("noise", "categories", "sentiment", "triggers", title="micro-F1", title_justify="left")
    for name, scores in found.items():
        table.add_row(name, *(f"{score:.3f}" for score in scores.values()))
    console.print(table)
    if json_path:
        write(json_path, found)


@app.command("benchmark")
def benchmark_command(
    task: Annotated[Task, typer.Argument(help="which public benchmark")],
    train: Annotated[list[Path], typer.Option(help="its training part, JSONL")],
    test: Annotated[Path, typer.Option(help="any held-out part of the same form, JSONL")],
    checkpoint: Annotated[Path | None, typer.Option(help="start from this checkpoint, else from the shipped model")] = None,
    epochs: Annotated[float, typer.Option(min=0.01)] = 3.0,
    labels: LabelsOption = LABELS,
    json_path: JsonOption = None,
) -> None:
    """Trains the sentiment task on one part and scores another: macro-F1 with its 95 % interval."""
    from otklik.training.benchmark import benchmark  # noqa: PLC0415

    with told():
        learnt = {row["digest"] for path in labels.glob("*.jsonl") for row in read_rows(path, "digest")}
        rows = [row for path in train for row in read_rows(path)]
        found = benchmark(task.value, rows, read_rows(test), checkpoint or shipped(), epochs, learnt)
    console.print(
        f"{task.value}: {found.texts} texts of {test.name}, macro-F1 over {', '.join(found.averaged)} {found.macro_f1:.4f} "
        f"[{found.low:.4f}, {found.high:.4f}], micro-F1 {found.micro_f1:.4f}, trained on {found.trained} texts",
        highlight=False,
        soft_wrap=True,
    )
    if json_path:
        write(json_path, asdict(found))


@app.command("speed")
def speed_command(
    files: Annotated[list[Path], typer.Argument(help="JSONL files with «text»")],
    engine: EngineOption = Engine.AUTO,
    model: ModelOption = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="also time the plain pipeline of transformers, fp32, with this checkpoint or model folder")
    ] = None,
    words: Annotated[str, typer.Option(help="only texts of so many words, as 15-30")] = "1-100000",
    most: Annotated[int, typer.Option(help="at most so many texts", min=1)] = 100_000,
    taxonomy: TaxonomyOption = DEFAULT,
) -> None:
    """Texts a second, latency of one text, peak memory, and how time grows with length."""
    with told():
        low, high = (int(number) for number in words.split("-"))
        texts = [text for path in files for text in read_texts(path) if low <= len(text.split()) <= high][:most]
        loaded = load_taxonomy(taxonomy)
        analyzer = analyzer_of(loaded, engine, model)
    found = throughput(analyzer, texts)
    console.print(
        f"{analyzer.version()}: {found.texts} texts, {found.characters / found.texts:.0f} characters each: "
        f"{found.texts / found.seconds:.0f} texts/s "
        f"({found.texts / found.cpu_seconds:.0f} per CPU second), one text {found.latency_ms:.1f} ms, peak {found.peak_mb:.0f} MB",
        highlight=False,
        soft_wrap=True,
    )
    if checkpoint:
        from otklik.training.export import opened  # noqa: PLC0415
        from otklik.training.network import Objective  # noqa: PLC0415
        from otklik.training.rivals import pipeline_speed  # noqa: PLC0415

        with told():
            plain, rate = pipeline_speed(opened(checkpoint, Objective(0.0, 0.0, 0.0), 0.0), texts), found.texts / found.seconds
        console.print(
            f"transformers pipeline, fp32: {plain.as_it_comes:.0f} texts/s as it comes, {plain.batched:.0f} with batch_size=32, "
            f"one text {plain.latency_ms:.1f} ms; ratios {rate / plain.as_it_comes:.1f}, {rate / plain.batched:.1f} in texts/s, "
            f"{plain.latency_ms / found.latency_ms:.1f} in latency; fp32 matrix product of this machine {matrix_rate():.0f} GFLOP/s",
            highlight=False,
            soft_wrap=True,
        )
        return
    for step in growth(analyzer, texts):
        console.print(
            f"{step.characters:>7} characters: {step.cpu_seconds * 1000:8.1f} ms, {step.cpu_seconds / step.characters * 1e6:.2f} µs each",
            highlight=False,
        )
