"""Commands that make a model: finetune, cross-validate, export, calibrate, card."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otklik.nlp.analyzer import load_analyzer
from otklik.nlp.artefact import read_manifest, write_manifest
from otklik.nlp.rules import Rules
from otklik.taxonomy.load import DEFAULT, load_taxonomy
from otklik.taxonomy.model import Taxonomy
from otklik.training.cases import read_cases, read_rows, read_texts
from otklik.training.command import (
    CASES,
    LABELS,
    REREAD,
    SETTINGS,
    CacheOption,
    CasesOption,
    JsonOption,
    LabelsOption,
    RealOption,
    RereadOption,
    ResumeOption,
    SettingsOption,
    TaxonomyOption,
    TextsOption,
    app,
    console,
    errors,
    side_by_side,
    told,
    write,
)
from otklik.training.labels import join, reread_triggers, texts_of
from otklik.training.problems import TrainingError

if TYPE_CHECKING:
    from otklik.training.run import Corpus


@app.command("finetune")
def finetune_command(
    out: Annotated[Path, typer.Option("-o", "--out", help="folder for checkpoints and the result")],
    real: RealOption,
    cases: CasesOption = CASES,
    labels: LabelsOption = LABELS,
    reread: RereadOption = REREAD,
    texts: TextsOption = None,
    start: Annotated[
        Path | None, typer.Option(help="only the last stage, from this checkpoint or model folder; new labels may be added")
    ] = None,
    teacher: Annotated[
        list[Path] | None, typer.Option(help="finished model folders whose mean answer stands beside the labels in the last stage")
    ] = None,
    settings: SettingsOption = SETTINGS,
    taxonomy: TaxonomyOption = DEFAULT,
    cache: CacheOption = None,
    resume: ResumeOption = False,
) -> None:
    """Base → adapted → broad → real; the last stage's checkpoint is OUT/real."""
    from otklik.training.finetune import read_settings  # noqa: PLC0415
    from otklik.training.run import go_on, run  # noqa: PLC0415

    with told():
        loaded = load_taxonomy(taxonomy)
        corpus = _corpus(loaded, real, cases, labels, texts or [])
        later = reread_triggers(corpus.real, sorted(reread.glob("*.jsonl")), _released(loaded))
        corpus = replace(corpus, real=[case.within(loaded) for case in later])
        began = time.monotonic()
        if start:
            go_on(read_settings(settings), start, corpus, Rules(loaded), out, teacher or (), resume=resume)
        else:
            run(read_settings(settings), corpus, Rules(loaded), out, cache, teacher or (), resume=resume)
    console.print(f"{out / 'real'}: trained in {(time.monotonic() - began) / 60:.1f} minutes", highlight=False)


@app.command("cross-validate")
def cross_validate_command(
    out: Annotated[Path, typer.Option("-o", "--out", help="folder for the folds; predictions.jsonl appears there")],
    start: Annotated[Path, typer.Option(help="checkpoint that has seen none of the real cases, such as OUT/broad of finetune")],
    real: RealOption,
    cases: CasesOption = CASES,
    labels: LabelsOption = LABELS,
    texts: TextsOption = None,
    settings: SettingsOption = SETTINGS,
    folds: Annotated[int, typer.Option(min=2)] = 3,
    dev: Annotated[Path | None, typer.Option(help="real cases that the rules were not written by: shows the rivals beside")] = None,
    taxonomy: TaxonomyOption = DEFAULT,
    resume: ResumeOption = False,
    json_path: JsonOption = None,
) -> None:
    """Reads every real case with a model that has not learnt it; with --dev the rivals do the same in the same folds."""
    from otklik.training.finetune import read_settings  # noqa: PLC0415
    from otklik.training.run import cross_validate, write_predictions  # noqa: PLC0415

    with told():
        loaded = load_taxonomy(taxonomy)
        corpus = _corpus(loaded, real, cases, labels, texts or [])
        found = list(cross_validate(read_settings(settings), start, corpus, Rules(loaded), out, folds, resume=resume))
        write_predictions(out / "predictions.jsonl", found)
        if dev:
            from otklik.training.versus import versus  # noqa: PLC0415

            own = {case.text for case in read_cases(dev, loaded)}
            rows = versus(loaded, found, own, folds)
            for name, reports in rows.items():
                console.print(side_by_side(reports, name))
            if json_path:
                content = {name: {who: report.as_json()["layers"] for who, report in reports.items()} for name, reports in rows.items()}
                write(json_path, content)
    console.print(f"{out / 'predictions.jsonl'}: {len(found)} texts in {folds} folds", highlight=False)


def _released(loaded: Taxonomy) -> Taxonomy:
    """What an overlay stands on: it may have switched labels off that the project's own files have."""
    return load_taxonomy(f"{loaded.id}-{loaded.base_version}")


def _corpus(loaded: Any, real: Sequence[Path], cases: Path, labels: Path, texts: Sequence[Path]) -> Corpus:
    from otklik.training.run import Corpus  # noqa: PLC0415

    judged = [case for path in real for case in read_cases(path, loaded)]
    own = {case.text for case in judged}
    released = _released(loaded)
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
    start: Annotated[
        Path | None, typer.Option(help="checkpoint or model folder that the training started from: the weights become the mean of both")
    ] = None,
    share: Annotated[float, typer.Option(min=0.0, max=1.0, help="with --start: how much of the mean the checkpoint is")] = 0.7,
    taxonomy: TaxonomyOption = DEFAULT,
) -> None:
    """Checkpoint → artefact, not calibrated yet; with --compare the proof that both say the same."""
    from otklik.training import checkpoint as checkpoints  # noqa: PLC0415
    from otklik.training.export import export, keep_calibration, opened, parity  # noqa: PLC0415

    with told():
        loaded = load_taxonomy(taxonomy)
        current = checkpoints.load(checkpoint)
        if start:
            first = opened(start, current.network.objective, current.network.head[1].p)
            current = checkpoints.mean(first, current, share)
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


@app.command("predict")
def predict_command(
    model: Annotated[Path, typer.Argument(help="model folder")],
    out: Annotated[Path, typer.Option("-o", "--out", help="file of predictions to write")],
    real: RealOption = [],  # noqa: B006  typer copies it
    labels: Annotated[list[Path], typer.Option(help="labels without texts")] = [],  # noqa: B006
    texts: TextsOption = None,
    taxonomy: TaxonomyOption = DEFAULT,
) -> None:
    """What a model says of cases that it has not learnt: for its calibration by fresh ones."""
    from otklik.nlp.classifier import Classifier  # noqa: PLC0415
    from otklik.training.run import predict_with, write_predictions  # noqa: PLC0415

    with told():
        loaded = load_taxonomy(taxonomy)
        at_hand = texts_of(texts or [])
        cases = [case for path in real for case in read_cases(path, loaded)]
        cases += [case for path in labels for case in join(path, at_hand, loaded)[0]]
        write_predictions(out, list(predict_with(Classifier(model), cases, Rules(loaded))))
    console.print(f"{out}: {len(cases)} texts", highlight=False)


@app.command("calibrate")
def calibrate_command(
    model: Annotated[Path, typer.Argument(help="model folder; its manifest is written anew")],
    predictions: Annotated[Path, typer.Option(help="what cross-validate or predict wrote")],
    dev: Annotated[
        Path | None, typer.Option(help="those of the cases that the rules were not written by; left out: all of the predictions")
    ] = None,
    layer: Annotated[
        list[str] | None, typer.Option(help="categories, triggers, sentiment: only these; the others stay as they are")
    ] = None,
    json_path: JsonOption = None,
    taxonomy: TaxonomyOption = DEFAULT,
) -> None:
    """Probabilities, thresholds and the border of doubt."""
    from otklik.training.calibrate import LAYERS, calibrate, doubt  # noqa: PLC0415
    from otklik.training.labels import digest  # noqa: PLC0415
    from otklik.training.run import read_predictions  # noqa: PLC0415

    with told():
        found = read_predictions(predictions)
        own = {digest(case.text) for case in read_cases(dev, load_taxonomy(taxonomy))} if dev else {p.case.id for p in found}
        untouched = [prediction for prediction in found if prediction.case.id in own]
        if unknown := sorted(set(layer or ()) - set(LAYERS)):
            raise TrainingError(f"--layer {unknown[0]}: one of {', '.join(LAYERS)}")
        before = read_manifest(model)
        shown = doubt(before, found, untouched, layer or LAYERS)
        write_manifest(model, calibrate(before, found, untouched, layer or LAYERS))
    console.print(
        f"calibration error of labels {shown.ece_before:.4f} → {shown.ece_after:.4f}, of sentiment {shown.sentiment_ece:.4f}",
        highlight=False,
    )
    for coverage, score in shown.risk.items():
        console.print(f"surest {coverage:4.0%}: micro-F1 of categories {score:.3f}", highlight=False)
    if json_path:
        write(json_path, asdict(shown))


@app.command("card")
def card_command(
    model: Annotated[Path, typer.Argument(help="model folder; its card is written anew")],
    real: RealOption,
    gold: Annotated[list[Path], typer.Option(help="labelled cases to score; JSONL")],
    cases: CasesOption = CASES,
    labels: LabelsOption = LABELS,
    texts: TextsOption = None,
    taxonomy: TaxonomyOption = DEFAULT,
) -> None:
    """MODEL_CARD.md with the data, the figures by label and domain, and the limits."""
    from otklik.training.card import card, write_card  # noqa: PLC0415

    with told():
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
