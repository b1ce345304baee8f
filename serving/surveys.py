"""The analysts' commands on whole files: label, find, report."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from otklik.nlp.masking import Masker
from otklik.nlp.morphology import Morphology
from otklik.serving.command import (
    Engine,
    EngineOption,
    ModelOption,
    TaxonomyOption,
    analyzer_of,
    app,
    errors,
    out,
    settings_of,
    stop,
    taxonomy_of,
)
from otklik.serving.label import Asked, Cluster, LabelError, can_label, label_file
from otklik.serving.labeller import Labeller, Summary, whole_or_nothing
from otklik.serving.tables import Layout, open_table
from otklik.taxonomy.model import Taxonomy


class ClusterEngine(StrEnum):
    """Who shares the work out."""

    RAY = "ray"


@app.command()
def label(
    source: Annotated[str, typer.Argument(help="файл .csv, .tsv, .xlsx, .parquet, .jsonl, папка с ними или «-»: стандартный ввод")],
    target: Annotated[str, typer.Option("-o", "--output", help="куда записать ответ: файл, для папки — папка")],
    engine: EngineOption = Engine.AUTO,
    taxonomy: TaxonomyOption = None,
    model: ModelOption = None,
    text_column: Annotated[str | None, typer.Option(help="столбец (ключ) с текстом, если он назван необычно")] = None,
    score_column: Annotated[str | None, typer.Option(help="столбец с оценкой клиента, если он назван необычно")] = None,
    sheet: Annotated[str | None, typer.Option(help="лист Excel; иначе первый непустой")] = None,
    header_row: Annotated[int | None, typer.Option(min=1, help="строка с названиями столбцов на листе Excel")] = None,
    encoding: Annotated[str | None, typer.Option(help="кодировка CSV, если определилась неверно: utf-8, cp1251, utf-16, …")] = None,
    delimiter: Annotated[str | None, typer.Option(help="разделитель CSV, если определился неверно")] = None,
    wide: Annotated[bool, typer.Option("--wide", help="ещё и столбец с 0 и 1 для каждой причины")] = False,
    mask: Annotated[bool, typer.Option("--mask", help="скрыть телефоны, имена, номера в цитатах (намного медленнее)")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="начать заново, а не с места остановки")] = False,
    threads: Annotated[int, typer.Option(min=0, help="ядер для модели (на кластере — у каждого рабочего, иначе 1); 0 — все")] = 0,
    engine_cluster: Annotated[
        ClusterEngine | None,
        typer.Option(help="разметить многими процессами или машинами: папка, файл, s3://, gs://, hdfs:// → папка с Parquet"),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="рабочих процессов на кластере; иначе сколько поместится")] = None,
    address: Annotated[str | None, typer.Option(help="узел:порт кластера Ray; иначе он запускается на этой машине")] = None,
) -> None:
    """Разметить файл: те же строки и столбцы, справа — причины, тональность, срочность. Прерванный запуск продолжается той же командой."""
    asked = Asked(text_column, score_column, Layout(encoding, delimiter, sheet, header_row), wide, restart)
    if engine_cluster:
        if source == "-" or sheet or header_row:
            stop("bad_options: на кластере размечаются файлы CSV, Parquet и JSONL: без «-», --sheet и --header-row")
        _label_on_cluster(source, target, asked, engine, taxonomy, model, mask, Cluster(workers, threads or 1, address))
        return
    if workers or address:
        stop("bad_options: --workers и --address действуют вместе с --engine-cluster ray")
    labeller = Labeller(analyzer_of(taxonomy, engine, model, threads), Masker(Morphology()) if mask else None, engine.value)
    failed = 0
    try:
        with _spooled(Path(source)) as given:
            for one, out_ in _files(given, Path(source), Path(target)):
                try:
                    with bar(one.name) as told:
                        summary = label_file(one, out_, labeller, asked, told)
                    _tell(summary, out_, labeller.taxonomy)
                except LabelError as error:
                    if given.is_file():
                        raise
                    failed += 1  # the other files of the folder go on
                    errors.print(Text(f"{error.code}: {error}", style="red"), soft_wrap=True)
    except LabelError as error:
        stop(f"{error.code}: {error}")
    except PermissionError as error:  # of a folder
        stop(f"no_access: {error.filename}: нет прав; проверьте права на папку")
    if failed:
        stop(f"не размечено файлов: {failed}; исправьте их и запустите команду ещё раз")


def _label_on_cluster(
    source: str,
    target: str,
    asked: Asked,
    engine: Engine,
    taxonomy: str | None,
    model: Path | None,
    mask: bool,
    cluster: Cluster,
) -> None:
    try:
        from otklik.serving.cluster import label_on_cluster  # noqa: PLC0415  ray takes seconds
    except ImportError as error:
        stop(f"no_ray: нет библиотеки {error.name}; для кластера установите дополнение: pip install 'otklik[cluster]'")
    from otklik.serving.worker import Recipe  # noqa: PLC0415

    analyzer = analyzer_of(taxonomy, engine, model, 1)  # told here what cannot be used, and who answers: not by each worker for itself
    folder = model or settings_of().model
    chosen: Literal["model", "keyword"] = "model" if analyzer.engine == "model" else "keyword"
    recipe = Recipe(analyzer.taxonomy, folder.resolve() if folder else None, chosen, analyzer.version(chosen), mask)
    del analyzer
    try:
        with bar(source) as told:
            summary = label_on_cluster(source, target, recipe, asked, cluster, told)
    except LabelError as error:
        stop(f"{error.code}: {error}")
    _tell(summary, target, recipe.taxonomy)


@contextmanager
def bar(title: str) -> Iterator[Callable[[int, int | None], None]]:
    """Shows the progress while the context lasts; what it gives is told of the rows done, and of how many there are."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, transient=True) as bar:
        task = bar.add_task(title, total=None, rate="")

        def told(done: int, total: int | None) -> None:
            speed = bar.tasks[task].speed
            bar.update(task, completed=done, total=total, rate=f"{speed:.0f} строк/с" if speed else "")

        yield told


@contextmanager
def _spooled(source: Path) -> Iterator[Path]:
    """The standard input as a file: only a file can be gone on with, and read twice."""
    if str(source) != "-":
        yield source
        return
    content = sys.stdin.buffer.read()
    with tempfile.TemporaryDirectory() as folder:
        spooled = Path(folder) / ("stdin.jsonl" if content.lstrip().startswith(b"{") else "stdin.csv")
        spooled.write_bytes(content)
        yield spooled


def _files(given: Path, source: Path, target: Path) -> list[tuple[Path, Path]]:
    """What to label and where to: one file, or all of a folder that can be."""
    if not given.is_dir():
        return [(given, target)]
    found = sorted(path for path in given.iterdir() if path.is_file() and can_label(path) and not path.name.startswith((".", "~$")))
    if not found:
        raise LabelError("empty_folder", f"{source}: в папке нет файлов, которые можно разметить")
    if target.resolve() == given.resolve():
        raise LabelError("same_file", f"{target}: укажите другую папку после -o, исходные файлы не перезаписываются")
    target.mkdir(parents=True, exist_ok=True)
    return [(path, target / path.name) for path in found]


def _tell(summary: Summary, target: object, taxonomy: Taxonomy) -> None:
    for note in summary.notes:
        errors.print(note, markup=False, soft_wrap=True)
    odd = {"пустых": summary.empty, "повторов": summary.repeated, "без слов": summary.wordless, "с ошибкой": summary.errors}
    told = [
        f"строк {summary.rows}",
        f"проверить человеку {summary.needs_review}",
        *(f"{name} {count}" for name, count in odd.items() if count),
    ]
    errors.print(f"{target}: {', '.join(told)}", markup=False, soft_wrap=True)
    sentiments = {sentiment.id: sentiment.title for sentiment in taxonomy.sentiments}
    categories = {category.id: category.title for category in taxonomy.categories}
    triggers = {trigger.id: trigger.title for trigger in taxonomy.triggers}
    for heading, counts, titles in (
        ("Тональность", summary.sentiments, sentiments),
        ("Причины", summary.categories, categories),
        ("Триггеры", summary.triggers, triggers),
    ):
        shown = ", ".join(f"{titles[label]} {count}" for label, count in counts.most_common(5))
        errors.print(f"{heading}: {shown or '–'}", markup=False, soft_wrap=True)
    if summary.errors:
        errors.print("Строки с ошибкой остались на своих местах в ответе: смотрите «error» и «line».", style="yellow")


@app.command("find")
def find_command(
    source: Annotated[Path, typer.Argument(help="размеченный файл .csv, .xlsx или .parquet")],
    category: Annotated[list[str] | None, typer.Option(help="причина; можно money.*, можно несколько")] = None,
    trigger: Annotated[list[str] | None, typer.Option(help="триггер срочности; можно несколько")] = None,
    sentiment: Annotated[str | None, typer.Option(help="negative, neutral, positive, mixed")] = None,
    query: Annotated[str, typer.Option(help="слова в любой форме; должны встретиться все")] = "",
    since: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d", "%d.%m.%Y"], help="с этого дня")] = None,
    until: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d", "%d.%m.%Y"], help="по этот день")] = None,
    text_column: Annotated[str | None, typer.Option(help="столбец с текстом, если он назван необычно")] = None,
    date_column: Annotated[str | None, typer.Option(help="столбец с датой, если он назван необычно")] = None,
    target: Annotated[Path | None, typer.Option("-o", "--output", help="записать найденное в CSV, а не показать")] = None,
    unmasked: Annotated[bool, typer.Option("--unmasked", help="не скрывать телефоны, имена, номера")] = False,
) -> None:
    """Найти тексты в размеченном файле: по причине, срочности, дате и словам."""
    from otklik.serving.find import Wanted, find, reader_of, write_hits  # noqa: PLC0415

    morphology = Morphology()
    wanted = Wanted(category or (), trigger or (), sentiment, query, since.date() if since else None, until.date() if until else None)
    masker = None if unmasked else Masker(morphology)
    try:
        hits = [
            replace(hit, text=masker.mask(hit.text)) if masker else hit
            for hit in find(open_table(source), wanted, reader_of(morphology), text_column, date_column)
        ]
        if target:
            write_hits(target, hits)
    except (LabelError, OSError) as error:
        stop(f"{source}: {error}")
    if not target:
        shown = Table(
            "строка", "дата", Column("текст", ratio=3, overflow="fold"), Column("причины", ratio=1, overflow="fold"), "срочное", expand=True
        )
        for hit in hits:
            shown.add_row(str(hit.row), f"{hit.day:%d.%m.%Y}" if hit.day else "", Text(hit.text), hit.categories, hit.triggers)
        out.print(shown)
    errors.print(f"найдено: {len(hits)}", markup=False)


@app.command("report")
def report_command(
    source: Annotated[Path, typer.Argument(help="размеченный файл .csv, .xlsx или .parquet: то, что записал otklik label")],
    target: Annotated[Path, typer.Option("-o", "--output", help="куда записать отчёт: файл .html")],
    sheets: Annotated[Path | None, typer.Option("--xlsx", help="и числа отдельно: файл .xlsx")] = None,
    title: Annotated[str | None, typer.Option(help="заголовок отчёта")] = None,
    text_column: Annotated[str | None, typer.Option(help="столбец с текстом, если он назван необычно")] = None,
    date_column: Annotated[str | None, typer.Option(help="столбец с датой, если он назван необычно")] = None,
    score_column: Annotated[str | None, typer.Option(help="столбец с оценкой клиента, если он назван необычно")] = None,
    sheet: Annotated[str | None, typer.Option(help="лист Excel; иначе первый непустой")] = None,
    taxonomy: TaxonomyOption = None,
    unmasked: Annotated[bool, typer.Option("--unmasked", help="не скрывать телефоны, имена, номера в цитатах")] = False,
) -> None:
    """Отчёт с графиками по размеченному файлу: одна страница, которую можно открыть без сети, напечатать и переслать."""
    try:
        from otklik.serving.page import render  # noqa: PLC0415  pandas and matplotlib take seconds
    except ImportError as error:
        stop(f"no_report: нет библиотеки {error.name}; для отчёта установите дополнение: pip install 'otklik[report]'")
    from otklik.serving.find import reader_of  # noqa: PLC0415
    from otklik.serving.report import Report  # noqa: PLC0415
    from otklik.serving.sheets import write_sheets  # noqa: PLC0415
    from otklik.serving.survey import read_survey  # noqa: PLC0415
    from otklik.serving.topics import word_vectors  # noqa: PLC0415

    for path, suffixes in ((target, (".html", ".htm")), *([(sheets, (".xlsx",))] if sheets else [])):
        if path.suffix.lower() not in suffixes:
            stop(f"other_format: {path}: имя должно кончаться на {suffixes[0]}")
        if path.resolve() == source.resolve():
            stop(f"same_file: {path}: размеченный файл не перезаписывается; укажите другое имя")
    loaded, morphology = taxonomy_of(taxonomy or settings_of().taxonomy), Morphology()
    masker, today = None if unmasked else Masker(morphology), datetime.now(UTC).date()
    try:
        survey = read_survey(open_table(source, Layout(sheet=sheet)), text_column, date_column, score_column)
        made = Report(survey, loaded, reader_of(morphology), masker, word_vectors(), title or "Отзывы клиентов", source.name, today)
        with whole_or_nothing(target) as temporary:
            temporary.write_text(render(made), encoding="utf-8")
        if sheets:
            with whole_or_nothing(sheets) as temporary:
                write_sheets(temporary, made)
    except FileNotFoundError as error:
        stop(f"no_file: {error.filename}: такого файла или папки нет; проверьте путь")
    except LabelError as error:
        stop(f"{error.code}: {error}")
    except OSError as error:
        stop(f"no_access: {error.filename or target}: {error.strerror}; проверьте права и место на диске")
    for note in survey.notes:
        errors.print(note, markup=False, soft_wrap=True)
    errors.print(f"{target}: текстов {len(survey.entries)}, пустых строк {survey.empty}", markup=False, soft_wrap=True)
