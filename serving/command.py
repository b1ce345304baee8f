"""What the commands of ``otklik`` share: their options, who answers, and how they tell."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from otklik.nlp.analyzer import Analyzer, load_analyzer
from otklik.nlp.artefact import ArtefactError
from otklik.nlp.vocabulary import VocabularyError
from otklik.serving.settings import Settings
from otklik.taxonomy.load import TaxonomyError, load_taxonomy
from otklik.taxonomy.model import Taxonomy

app = typer.Typer(
    help="Отклик: почему недовольны клиенты, что они чувствуют и кому надо ответить сейчас.", no_args_is_help=True, add_completion=False
)
out = Console(highlight=False)
errors = Console(stderr=True, highlight=False)
SEVERITY_STYLE = {"critical": "bold red", "high": "yellow", "normal": "cyan", "none": "dim"}


class Engine(StrEnum):
    """Who answers."""

    AUTO = "auto"
    MODEL = "model"
    KEYWORD = "keyword"


TaxonomyOption = Annotated[str | None, typer.Option("--taxonomy", help="версия или файл таксономии; иначе OTKLIK_TAXONOMY")]
EngineOption = Annotated[Engine, typer.Option("--engine", help="кто отвечает: auto — лучший из доступных, model, keyword")]
ModelOption = Annotated[Path | None, typer.Option("--model", help="папка модели; иначе OTKLIK_MODEL, иначе та, что в пакете")]


def settings_of(**given: Any) -> Settings:
    """``given`` on the command line goes before the environment."""
    try:
        return Settings(**given)
    except ValidationError as error:
        named = ((f"OTKLIK_{str(problem['loc'][0]).upper()}: " if problem["loc"] else "", problem["msg"]) for problem in error.errors())
        stop("\n".join(name + message for name, message in named))


def taxonomy_of(name: str) -> Taxonomy:
    try:
        return load_taxonomy(name)
    except TaxonomyError as error:
        stop(str(error))


def built(taxonomy: Taxonomy) -> Analyzer:
    try:
        return Analyzer(taxonomy)
    except VocabularyError as error:
        stop(str(error))


def analyzer_of(taxonomy: str | None, engine: Engine, model: Path | None, threads: int = 0) -> Analyzer:
    """With the model where it is wanted and can be used; ``auto`` goes on without it and says so."""
    settings = settings_of()
    loaded = taxonomy_of(taxonomy or settings.taxonomy)
    if engine is Engine.KEYWORD:
        return built(loaded)
    try:
        analyzer = load_analyzer(loaded, model or settings.model, threads)
    except VocabularyError as error:
        stop(str(error))
    except ArtefactError as error:
        if engine is Engine.MODEL or model:
            stop(f"{error.code}: модель не загружена ({error})")
        errors.print(Text(f"{error.code}: модель не загружена ({error}); отвечают ключевые слова", style="yellow"), soft_wrap=True)
        return built(loaded)
    if engine is Engine.MODEL and analyzer.engine != "model":
        stop("model_unavailable: модель не установлена; запустите с --engine auto или --engine keyword")
    return analyzer


def stop(message: str) -> NoReturn:
    errors.print(Text(message, style="red"), soft_wrap=True)
    raise typer.Exit(2)
