"""``otklik-train``: what ML engineers do with labelled cases."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from otklik.nlp.analyzer import Analyzer, load_analyzer
from otklik.nlp.artefact import ArtefactError, read_manifest, shipped, write_manifest
from otklik.nlp.rules import Rules
from otklik.nlp.vocabulary import VocabularyError
from otklik.taxonomy.load import DEFAULT, TaxonomyError, load_taxonomy
from otklik.taxonomy.model import Taxonomy
from otklik.training.cases import read_cases, read_rows, read_texts
from otklik.training.evaluate import MIN_SUPPORT, LayerScore, evaluate
from otklik.training.labels import join, texts_of
from otklik.training.problems import TrainingError
from otklik.training.speed import growth, throughput

if TYPE_CHECKING:
    from otklik.training.run import Corpus

# Torch and transformers take seconds to import: only the commands that train do so.
app = typer.Typer(help="Otklik for ML engineers: train, calibrate, export, evaluate.", no_args_is_help=True, add_completion=False)
console = Console()
errors = Console(stderr=True, highlight=False)
_SETTINGS = Path(__file__).with_name("finetune.toml")


class Engine(StrEnum):
    """Who answers."""

    AUTO = "auto"
    MODEL = "model"
    KEYWORD = "keyword"


class Task(StrEnum):
    """A public benchmark of sentiment."""

    SENTIRUEVAL2016 = "sentirueval2016"
    RUSENTITWEET = "rusentitweet"


TaxonomyOption = Annotated[str, typer.Option(help="released version, or a file")]
RealOption = Annotated[list[Path], typer.Option("--real", help="labelled cases of the kind that the model will be judged by; JSONL")]
CasesOption = Annotated[Path, typer.Option("--cases", help="folder of written cases")]
LabelsOption = Annotated[Path, typer.Option("--labels", help="folder of labels without texts")]
TextsOption = Annotated[list[Path] | None, typer.Option("--texts", help="JSONL with the texts of those labels, and unlabelled ones")]
SettingsOption = Annotated[Path, typer.Option("--settings", help="settings of the run, TOML")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="go on where an interrupted run in the same folder was")]
CacheOption = Annotated[Path | None, typer.Option("--cache", help="folder that keeps the converted encoder")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="write the figures here")]


@app.command("finetune")
def finetune_command(
    out: Annotated[Path, typer.Option("-o", "--out", help="folder for checkpoints and the result")],
    real: RealOption,
    cases: CasesOption = Path("data/cases"),
    labels: LabelsOption = Path("data/labels"),
    texts: TextsOption = None,
    start: Annotated[
        Path | None, typer.Option(help="only the last stage, from this checkpoint or model folder; new labels may be added")
    ] = None,
    settings: SettingsOption = _SETTINGS,
    taxonomy: TaxonomyOption = DEFAULT,
    cache: CacheOption = None,
    resume: ResumeOption = False,
) -> None:
    """Base → adapted → broad → real; the last stage's checkpoint is OUT/real."""
    from otklik.training.finetune import read_settings  # noqa: PLC0415
    from otklik.training.run import go_on, run  # noqa: PLC0415

    with _told():
        loaded = load_taxonomy(taxonomy)
        corpus = _corpus(loaded, real, cases, labels, texts or [])
        began = time.monotonic()
        if start:
            go_on(read_settings(settings), start, corpus, Rules(loaded), out, resume=resume)
        else:
            run(read_settings(settings), corpus, Rules(loaded), out, cache, resume=resume)
    console.print(f"{out / 'real'}: trained in {(time.monotonic() - began) / 60:.1f} minutes", highlight=False)


@app.command("cross-validate")
def cross_validate_command(
    out: Annotated[Path, typer.Option("-o", "--out", help="folder for the folds; predictions.jsonl appears there")],
    start: Annotated[Path, typer.Option(help="checkpoint that has seen none of the real cases, such as OUT/broad of finetune")],
    real: RealOption,
    cases: CasesOption = Path("data/cases"),
    labels: LabelsOption = Path("data/labels"),
    texts: TextsOption = None,
    settings: SettingsOption = _SETTINGS,
    folds: Annotated[int, typer.Option(min=2)] = 3,
    dev: Annotated[Path | None, typer.Option(help="real cases that the rules were not written by: shows the rivals beside")] = None,
    taxonomy: TaxonomyOption = DEFAULT,
    resume: ResumeOption = False,
    json_path: JsonOption = None,
) -> None:
    """Reads every real case with a model that has not learnt it; with --dev the rivals do the same in the same folds."""
    from otklik.training.finetune import read_settings  # noqa: PLC0415
    from otklik.training.run import cross_validate, write_predictions  # noqa: PLC0415

    with _told():
        loaded = load_taxonomy(taxonomy)
        corpus = _corpus(loaded, real, cases, labels, texts or [])
        found = list(cross_validate(read_settings(settings), start, corpus, Rules(loaded), out, folds, resume=resume))
        write_predictions(out / "predictions.jsonl", found)
        if dev:
            from otklik.training.versus import versus  # noqa: PLC0415

            own = {case.text for case in read_cases(dev, loaded)}
            rows = versus(loaded, found, own, folds)
            for name, reports in rows.items():
                console.print(_side_by_side(reports, name))
            if json_path:
                content = {name: {who: report.as_json()["layers"] for who, report in reports.items()} for name, reports in rows.items()}
                _write(json_path, content)
    console.print(f"{out / 'predictions.jsonl'}: {len(found)} texts in {folds} folds", highlight=False)


def _corpus(loaded: Any, real: Sequence[Path], cases: Path, labels: Path, texts: Sequence[Path]) -> Corpus:
    from otklik.training.run import Corpus  # noqa: PLC0415

    judged = [case for path in real for case in read_cases(path, loaded)]
    own = {case.text for case in judged}
    released = load_taxonomy(f"{loaded.id}-{loaded.base_version}")  # an overlay may have switched labels off that these cases have
    written = [case for path in sorted(cases.glob("*.jsonl")) for case in read_cases(path, released)]
    at_hand = texts_of(texts)
    for path in sorted(labels.glob("*.jsonl")):
        joined, missing = join(path, at_hand, released)
        if missing:
            errors.print(f"{path}: {missing} of {missing + len(joined)} texts are not at hand; name their files with --texts", markup=False)
        written += joined
    unlabelled = [row for path in texts for row in read_rows(path) if row["text"] not in own]
    return Corpus(unlabelled, [case.within(loaded) for case in written if case.text not in own], judged)


@app.command("export")
def export_command(
    checkpoint: Annotated[Path, typer.Argument(help="folder that finetune wrote")],
    out: Annotated[Path, typer.Argument(help="model folder to write")],
    compare: Annotated[Path | None, typer.Option(help="texts (JSONL) on which the artefact is compared with the checkpoint")] = None,
    like: Annotated[Path | None, typer.Option(help="model folder that the training started from: its calibration is kept")] = None,
    taxonomy: TaxonomyOption = DEFAULT,
) -> None:
    """Checkpoint → artefact, not calibrated yet; with --compare the proof that both say the same."""
    from otklik.training import checkpoint as checkpoints  # noqa: PLC0415
    from otklik.training.export import export, keep_calibration, parity  # noqa: PLC0415

    with _told():
        loaded = load_taxonomy(taxonomy)
        current = checkpoints.load(checkpoint)
        manifest = export(current, loaded, out)
        if like:
            keep_calibration(out, manifest, read_manifest(like))
        console.print(f"{out}: {manifest.version}, {sum(file.stat().st_size for file in out.iterdir()) / 1e6:.1f} MB", highlight=False)
        if compare:
            found = parity(current, out, read_texts(compare), Rules(loaded).reader)
            pairs = found.texts * len(current.labels.multi)
            console.print(
                f"{found.texts} texts: {found.labels} of {pairs} labels and {found.sentiments} sentiments differ, "
                f"furthest logit {found.furthest:.3f}",
                highlight=False,
            )


@app.command("calibrate")
def calibrate_command(
    model: Annotated[Path, typer.Argument(help="model folder; its manifest is written anew")],
    predictions: Annotated[Path, typer.Option(help="predictions.jsonl of cross-validate")],
    dev: Annotated[Path, typer.Option(help="labelled cases that the rules were not written by, in the cross-validation too")],
    json_path: JsonOption = None,
    taxonomy: TaxonomyOption = DEFAULT,
) -> None:
    """Probabilities, thresholds and the border of doubt."""
    from otklik.training.calibrate import calibrate, doubt  # noqa: PLC0415
    from otklik.training.labels import digest  # noqa: PLC0415
    from otklik.training.run import read_predictions  # noqa: PLC0415

    with _told():
        loaded = load_taxonomy(taxonomy)
        cases = read_cases(dev, loaded)
        own = {digest(case.text) for case in cases}
        found = read_predictions(predictions)
        untouched = [prediction for prediction in found if prediction.case.id in own]
        before = read_manifest(model)
        shown = doubt(before, found, untouched)
        write_manifest(model, calibrate(before, found, untouched))
    console.print(
        f"calibration error of labels {shown.ece_before:.4f} → {shown.ece_after:.4f}, of sentiment {shown.sentiment_ece:.4f}",
        highlight=False,
    )
    for coverage, score in shown.risk.items():
        console.print(f"surest {coverage:4.0%}: micro-F1 of categories {score:.3f}", highlight=False)
    if json_path:
        _write(json_path, asdict(shown))


@app.command("evaluate")
def evaluate_command(
    gold: Annotated[Path, typer.Option(help="labelled cases, JSONL")],
    engine: Annotated[Engine, typer.Option(help="who answers")] = Engine.AUTO,
    model: Annotated[Path | None, typer.Option(help="model folder; else the one that came with the package")] = None,
    train: Annotated[Path | None, typer.Option(help="also train the rivals on these cases and show them beside")] = None,
    taxonomy: TaxonomyOption = DEFAULT,
    json_path: JsonOption = None,
) -> None:
    """Precision, recall and F1 on labelled cases; with --train a table with the rivals, trained in the same run."""
    with _told():
        loaded = load_taxonomy(taxonomy)
        cases = read_cases(gold, loaded)
        analyzer = _analyzer(loaded, engine, model)
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

        with _told():
            rows = compare(loaded, read_cases(train, loaded), cases)
        rows = {analyzer.version(engine.value): report, **rows}
        console.print(_side_by_side(rows))
        content["rivals"] = {name: {layer: score.macro_f1 for layer, score in row.layers.items()} for name, row in rows.items()}
    if json_path:
        _write(json_path, content)


def _side_by_side(rows: dict[str, Any], name: str = "") -> Table:
    title = f"{name}: " if name else ""
    table = Table(title=f"{title}macro-F1 (labels with {MIN_SUPPORT} gold cases or more) / micro-F1", title_justify="left")
    table.add_column("who")
    for layer in ("categories", "sentiment", "triggers"):
        table.add_column(layer, justify="right")
    for who, report in rows.items():
        scores = (report.layers[layer] for layer in ("categories", "sentiment", "triggers"))
        table.add_row(
            who, *(f"{'–' if score.macro_f1 is None else format(score.macro_f1, '.3f')} / {score.micro_f1:.3f}" for score in scores)
        )
    return table


@app.command("robustness")
def robustness_command(
    gold: Annotated[Path, typer.Option(help="labelled cases, JSONL")],
    engine: Annotated[Engine, typer.Option(help="who answers")] = Engine.AUTO,
    model: Annotated[Path | None, typer.Option(help="model folder; else the one that came with the package")] = None,
    taxonomy: TaxonomyOption = DEFAULT,
    json_path: JsonOption = None,
) -> None:
    """Micro-F1 on the same cases with typos, capitals, no punctuation, look-alike letters."""
    from otklik.training.robustness import robustness  # noqa: PLC0415

    with _told():
        loaded = load_taxonomy(taxonomy)
        cases = read_cases(gold, loaded)
        found = robustness(_analyzer(loaded, engine, model), cases)
    table = Table("noise", "categories", "sentiment", "triggers", title="micro-F1", title_justify="left")
    for name, scores in found.items():
        table.add_row(name, *(f"{score:.3f}" for score in scores.values()))
    console.print(table)
    if json_path:
        _write(json_path, found)


@app.command("card")
def card_command(
    model: Annotated[Path, typer.Argument(help="model folder; its card is written anew")],
    real: RealOption,
    gold: Annotated[list[Path], typer.Option(help="labelled cases to score; JSONL")],
    cases: CasesOption = Path("data/cases"),
    labels: LabelsOption = Path("data/labels"),
    texts: TextsOption = None,
    taxonomy: TaxonomyOption = DEFAULT,
) -> None:
    """MODEL_CARD.md with the data, the figures by label and domain, and the limits."""
    from otklik.training.card import card, write_card  # noqa: PLC0415

    with _told():
        loaded = load_taxonomy(taxonomy)
        analyzer = load_analyzer(loaded, model)
        at_hand = texts_of(texts or [])
        data = {f"real feedback, labelled: {path.stem}": read_cases(path, loaded) for path in real}
        data |= {
            f"real feedback, labelled for this model: {path.stem}": join(path, at_hand, loaded)[0]
            for path in sorted(labels.glob("*.jsonl"))
        }
        data["written for the project: data/cases"] = [case for path in sorted(cases.glob("*.jsonl")) for case in read_cases(path, loaded)]
        scored = {}
        for path in gold:
            asked = read_cases(path, loaded)
            scored[f"Figures on {path.stem}"] = (asked, analyzer.analyze_all([case.text for case in asked]))
        write_card(model, card(read_manifest(model), loaded, data, scored))
    console.print(f"{model}: card written", highlight=False)


@app.command("benchmark")
def benchmark_command(
    task: Annotated[Task, typer.Argument(help="which public benchmark")],
    train: Annotated[list[Path], typer.Option(help="its training part, JSONL")],
    test: Annotated[Path, typer.Option(help="any held-out part of the same form, JSONL")],
    checkpoint: Annotated[Path | None, typer.Option(help="start from this checkpoint, else from the shipped model")] = None,
    epochs: Annotated[float, typer.Option(min=0.01)] = 3.0,
    labels: LabelsOption = Path("data/labels"),
    json_path: JsonOption = None,
) -> None:
    """Trains the sentiment task on one part and scores another: macro-F1 with its 95 % interval."""
    from otklik.training.benchmark import benchmark  # noqa: PLC0415

    with _told():
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
        _write(json_path, asdict(found))


@app.command("speed")
def speed_command(
    files: Annotated[list[Path], typer.Argument(help="JSONL files with «text»")],
    engine: Annotated[Engine, typer.Option(help="who answers")] = Engine.AUTO,
    model: Annotated[Path | None, typer.Option(help="model folder; else the one that came with the package")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="also time the plain pipeline of transformers, fp32, with this checkpoint")
    ] = None,
    words: Annotated[str, typer.Option(help="only texts of so many words, as 15-30")] = "1-100000",
    most: Annotated[int, typer.Option(help="at most so many texts", min=1)] = 100_000,
    taxonomy: TaxonomyOption = DEFAULT,
) -> None:
    """Texts a second, latency of one text, peak memory, and how time grows with length."""
    with _told():
        low, high = (int(number) for number in words.split("-"))
        texts = [text for path in files for text in read_texts(path) if low <= len(text.split()) <= high][:most]
        loaded = load_taxonomy(taxonomy)
        analyzer = _analyzer(loaded, engine, model)
    found = throughput(analyzer, texts)
    console.print(
        f"{analyzer.version()}: {found.texts} texts, {found.characters / found.texts:.0f} characters each: "
        f"{found.texts / found.seconds:.0f} texts/s "
        f"({found.texts / found.cpu_seconds:.0f} per CPU second), one text {found.latency_ms:.1f} ms, peak {found.peak_mb:.0f} MB",
        highlight=False,
        soft_wrap=True,
    )
    if checkpoint:
        from otklik.training.rivals import pipeline_speed  # noqa: PLC0415

        rate, latency = pipeline_speed(checkpoint, texts)
        console.print(
            f"transformers pipeline, fp32: {rate:.0f} texts/s, one text {latency:.1f} ms; "
            f"ratio {found.texts / found.seconds / rate:.1f} in texts/s, "
            f"{latency / found.latency_ms:.1f} in latency",
            highlight=False,
            soft_wrap=True,
        )
        return
    for step in growth(analyzer, texts):
        console.print(
            f"{step.characters:>7} characters: {step.cpu_seconds * 1000:8.1f} ms, {step.cpu_seconds / step.characters * 1e6:.2f} µs each",
            highlight=False,
        )


def _analyzer(loaded: Taxonomy, engine: Engine, model: Path | None) -> Analyzer:
    """Raises `ArtefactError` where the model is demanded and there is none."""
    analyzer = Analyzer(loaded) if engine is Engine.KEYWORD else load_analyzer(loaded, model)
    if engine is Engine.MODEL and analyzer.engine != "model":
        raise ArtefactError("model_unavailable", "no model came with this package: name one with --model")
    return analyzer


@contextmanager
def _told() -> Iterator[None]:
    """What is wrong with a file is told without a traceback; exit status 2."""
    try:
        yield
    except (TaxonomyError, VocabularyError, ArtefactError, TrainingError) as error:
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


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
