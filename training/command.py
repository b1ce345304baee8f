"""What the commands of ``otklik-train`` share: their options, and how they tell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from otklik.nlp.analyzer import Analyzer, load_analyzer
from otklik.nlp.artefact import ArtefactError
from otklik.nlp.vocabulary import VocabularyError
from otklik.taxonomy.load import TaxonomyError
from otklik.taxonomy.model import Taxonomy
from otklik.training.evaluate import MIN_SUPPORT
from otklik.training.problems import TrainingError

# Torch and transformers take seconds to import: only the commands that train do so.
app = typer.Typer(help="Otklik for ML engineers: train, calibrate, export, evaluate.", no_args_is_help=True, add_completion=False)
console = Console()
errors = Console(stderr=True, highlight=False)
SETTINGS = Path(__file__).with_name("finetune.toml")
CASES, LABELS, REREAD = Path("data/cases"), Path("data/labels"), Path("data/reread")


class Engine(StrEnum):
    """Who answers."""

    AUTO = "auto"
    MODEL = "model"
    KEYWORD = "keyword"


TaxonomyOption = Annotated[str, typer.Option(help="released version, or a file")]
RealOption = Annotated[list[Path], typer.Option("--real", help="labelled cases of the kind that the model will be judged by; JSONL")]
CasesOption = Annotated[Path, typer.Option("--cases", help="folder of written cases")]
LabelsOption = Annotated[Path, typer.Option("--labels", help="folder of labels without texts")]
RereadOption = Annotated[Path, typer.Option("--reread", help="folder of later readings of the real cases' triggers, without texts")]
TextsOption = Annotated[list[Path] | None, typer.Option("--texts", help="JSONL with the texts of those labels, and unlabelled ones")]
SettingsOption = Annotated[Path, typer.Option("--settings", help="settings of the run, TOML")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="go on where an interrupted run in the same folder was")]
CacheOption = Annotated[Path | None, typer.Option("--cache", help="folder that keeps the converted encoder")]
GoldOption = Annotated[Path, typer.Option(help="labelled cases, JSONL")]
EngineOption = Annotated[Engine, typer.Option(help="who answers")]
ModelOption = Annotated[Path | None, typer.Option(help="model folder; else the one that came with the package")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="write the figures here")]


def analyzer_of(loaded: Taxonomy, engine: Engine, model: Path | None) -> Analyzer:
    """Raises `ArtefactError` where the model is demanded and there is none."""
    analyzer = Analyzer(loaded) if engine is Engine.KEYWORD else load_analyzer(loaded, model)
    if engine is Engine.MODEL and analyzer.engine != "model":
        raise ArtefactError("model_unavailable", "no model came with this package: name one with --model")
    return analyzer


@contextmanager
def told() -> Iterator[None]:
    """What is wrong with a file is told without a traceback; exit status 2."""
    try:
        yield
    except (TaxonomyError, VocabularyError, ArtefactError, TrainingError) as error:
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error


def write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def side_by_side(rows: dict[str, Any], name: str = "") -> Table:
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
