"""``otklik``: the analysts' command line. What it says is in Russian."""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from otklik.nlp.analyzer import Analyzer, load_analyzer
from otklik.nlp.artefact import ArtefactError
from otklik.nlp.masking import Masker
from otklik.nlp.morphology import Morphology
from otklik.nlp.vocabulary import VocabularyError
from otklik.serving import keys
from otklik.serving.keys import KeysError
from otklik.serving.label import Asked, Cluster, LabelError, can_label, label_file
from otklik.serving.labeller import Labeller, Row, Summary, whole_or_nothing
from otklik.serving.schemas import ClassifyResponse, Result
from otklik.serving.settings import Settings
from otklik.serving.tables import Layout, open_table
from otklik.taxonomy.load import TaxonomyError, load_taxonomy
from otklik.taxonomy.model import Taxonomy

app = typer.Typer(
    help="Отклик: почему недовольны клиенты, что они чувствуют и кому надо ответить сейчас.", no_args_is_help=True, add_completion=False
)
taxonomy_app = typer.Typer(help="Таксономия: показать, проверить.", no_args_is_help=True)
app.add_typer(taxonomy_app, name="taxonomy")
keys_app = typer.Typer(help="Ключи доступа к службе.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")
out = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

_SENTIMENT_STYLE = {"negative": "red", "positive": "green", "mixed": "yellow", "neutral": "dim"}
_SEVERITY = {"critical": "критично", "high": "высокая", "normal": "обычная", "none": "–"}
_SEVERITY_STYLE = {"critical": "bold red", "high": "yellow", "normal": "cyan", "none": "dim"}


class Engine(StrEnum):
    """Who answers."""

    AUTO = "auto"
    MODEL = "model"
    KEYWORD = "keyword"


class ClusterEngine(StrEnum):
    """Who shares the work out."""

    RAY = "ray"


TaxonomyOption = Annotated[str | None, typer.Option("--taxonomy", help="версия или файл таксономии; иначе OTKLIK_TAXONOMY")]
EngineOption = Annotated[Engine, typer.Option("--engine", help="кто отвечает: auto — лучший из доступных, model, keyword")]

ModelOption = Annotated[Path | None, typer.Option("--model", help="папка модели; иначе OTKLIK_MODEL, иначе та, что в пакете")]


@app.command()
def classify(
    text: Annotated[list[str] | None, typer.Argument(help="тексты; если их нет — по одному в строке со стандартного ввода")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="ответ в JSON, как у /v1/classify")] = False,
    engine: EngineOption = Engine.AUTO,
    taxonomy: TaxonomyOption = None,
    model: ModelOption = None,
) -> None:
    """Разобрать тексты и показать причины, тональность и срочность."""
    labeller = Labeller(_analyzer(taxonomy, engine, model), engine=engine.value)
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
            _stop("bad_options: на кластере размечаются файлы CSV, Parquet и JSONL: без «-», --sheet и --header-row")
        _label_on_cluster(source, target, asked, engine, taxonomy, model, mask, Cluster(workers, threads or 1, address))
        return
    if workers or address:
        _stop("bad_options: --workers и --address действуют вместе с --engine-cluster ray")
    labeller = Labeller(_analyzer(taxonomy, engine, model, threads), Masker(Morphology()) if mask else None, engine.value)
    failed = 0
    try:
        with _spooled(Path(source)) as given:
            for one, out_ in _files(given, Path(source), Path(target)):
                try:
                    with _bar(one.name) as told:
                        summary = label_file(one, out_, labeller, asked, told)
                    _tell(summary, out_, labeller.taxonomy)
                except LabelError as error:
                    if given.is_file():
                        raise
                    failed += 1  # the other files of the folder go on
                    errors.print(Text(f"{error.code}: {error}", style="red"), soft_wrap=True)
    except LabelError as error:
        _stop(f"{error.code}: {error}")
    if failed:
        _stop(f"не размечено файлов: {failed}; исправьте их и запустите команду ещё раз")


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
        _stop(f"no_ray: нет библиотеки {error.name}; для кластера установите дополнение: pip install 'otklik[cluster]'")
    from otklik.serving.worker import Recipe  # noqa: PLC0415

    analyzer = _analyzer(taxonomy, engine, model, 1)  # told here what cannot be used, and who answers: not by each worker for itself
    folder = model or _settings().model
    chosen: Literal["model", "keyword"] = "model" if analyzer.engine == "model" else "keyword"
    recipe = Recipe(analyzer.taxonomy, folder.resolve() if folder else None, chosen, analyzer.version(chosen), mask)
    del analyzer
    try:
        with _bar(source) as told:
            summary = label_on_cluster(source, target, recipe, asked, cluster, told)
    except LabelError as error:
        _stop(f"{error.code}: {error}")
    _tell(summary, target, recipe.taxonomy)


@contextmanager
def _bar(title: str) -> Iterator[Callable[[int, int | None], None]]:
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
        _stop(f"{source}: {error}")
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
        _stop(f"no_report: нет библиотеки {error.name}; для отчёта установите дополнение: pip install 'otklik[report]'")
    from otklik.serving.find import reader_of  # noqa: PLC0415
    from otklik.serving.report import Report  # noqa: PLC0415
    from otklik.serving.sheets import write_sheets  # noqa: PLC0415
    from otklik.serving.survey import read_survey  # noqa: PLC0415
    from otklik.serving.topics import word_vectors  # noqa: PLC0415

    for path, suffixes in ((target, (".html", ".htm")), *([(sheets, (".xlsx",))] if sheets else [])):
        if path.suffix.lower() not in suffixes:
            _stop(f"other_format: {path}: имя должно кончаться на {suffixes[0]}")
        if path.resolve() == source.resolve():
            _stop(f"same_file: {path}: размеченный файл не перезаписывается; укажите другое имя")
    loaded, morphology = _load(taxonomy or _settings().taxonomy), Morphology()
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
        _stop(f"no_file: {error.filename}: такого файла или папки нет; проверьте путь")
    except LabelError as error:
        _stop(f"{error.code}: {error}")
    except OSError as error:
        _stop(f"no_access: {error.filename or target}: {error.strerror}; проверьте права и место на диске")
    for note in survey.notes:
        errors.print(note, markup=False, soft_wrap=True)
    errors.print(f"{target}: текстов {len(survey.entries)}, пустых строк {survey.empty}", markup=False, soft_wrap=True)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="адрес; иначе OTKLIK_HOST")] = None,
    port: Annotated[int | None, typer.Option(help="порт; иначе OTKLIK_PORT")] = None,
) -> None:
    """Запустить службу HTTP: POST /v1/classify, описание — на /docs."""
    import uvicorn  # noqa: PLC0415  half a second that no other command has to wait

    from otklik.serving.app import create_app  # noqa: PLC0415
    from otklik.serving.observe import configure_logging  # noqa: PLC0415

    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = _settings(**given)
    if settings.exposed:
        _stop(
            f"адрес {settings.host} доступен другим: задайте ключи (OTKLIK_KEYS_FILE, создаёт otklik keys new) "
            "или явно разрешите вход без ключа: OTKLIK_ALLOW_ANONYMOUS=true"
        )
    _build(_load(settings.taxonomy))  # a bad taxonomy is told here, not in a traceback of the server
    try:
        service = create_app(settings)
    except KeysError as error:
        _stop(str(error))
    configure_logging()
    uvicorn.run(
        service,
        host=settings.host,
        port=settings.port,
        log_config=None,  # ours: JSON lines
        access_log=False,  # ours has request ids
        server_header=False,
        timeout_keep_alive=75,  # above the 60 s of usual proxies, so that it is they who close first
        timeout_graceful_shutdown=math.ceil(settings.drain_seconds),
    )


@keys_app.command("new")
def new_key(
    name: Annotated[str, typer.Argument(help="чей это ключ: латинские буквы, цифры, точка, дефис")],
    admin: Annotated[bool, typer.Option("--admin", help="ключ администратора: может перезагружать модель")] = False,
    file: Annotated[Path | None, typer.Option("-o", "--output", help="дописать в файл ключей")] = None,
) -> None:
    """Создать ключ: он показывается один раз, в файле хранится только его хеш."""
    key = keys.new_key()
    try:
        line = keys.line(name, "admin" if admin else "client", key)
        if file:
            with file.open("a", encoding="utf-8") as opened:
                opened.write(line + "\n")
            file.chmod(0o600)
    except (KeysError, OSError) as error:
        _stop(f"ключ не создан: {error}")
    errors.print(
        f"Строка для файла ключей (OTKLIK_KEYS_FILE){', уже дописана' if file else ''}:", line, sep="\n", markup=False, soft_wrap=True
    )
    errors.print("Ключ для заголовка X-API-Key:", markup=False)
    sys.stdout.write(key + "\n")


@taxonomy_app.command("check")
def check(file: Annotated[Path, typer.Argument(help="файл таксономии или надстройки")]) -> None:
    """Проверить файл: все ошибки сразу, с номерами строк."""
    loaded = _load(str(file))
    analyzer = _build(loaded)
    wrong = list(_misread(analyzer))
    out.print(
        f"{file}: годится. {loaded.id} {loaded.version}: причин {len(loaded.categories)}, триггеров {len(loaded.triggers)}, "
        f"фраз {analyzer.rules.phrase_count}.",
        soft_wrap=True,
    )
    for line in wrong:
        out.print(Text("  " + line, style="yellow"), soft_wrap=True)


@taxonomy_app.command("show")
def show(taxonomy: TaxonomyOption = None) -> None:
    """Показать причины и триггеры."""
    loaded = _load(taxonomy or _settings().taxonomy)
    out.print(f"{loaded.id} {loaded.version}")
    categories = Table("причина", "название", "отдел", title="Причины", title_justify="left")
    for category in loaded.categories:
        categories.add_row(category.id, category.title, category.department or "–")
    triggers = Table("триггер", "название", "срочность", "кому", "ответ, мин", title="Триггеры", title_justify="left")
    for trigger in loaded.triggers:
        severity = Text(_SEVERITY[trigger.severity], style=_SEVERITY_STYLE[trigger.severity])
        triggers.add_row(trigger.id, trigger.title, severity, trigger.route, str(trigger.respond_within_minutes))
    out.print(categories, triggers)


def _misread(analyzer: Analyzer) -> list[str]:
    """Examples of the taxonomy that its own words do not find, or that contrast and are found."""
    wrong = []
    for category in analyzer.taxonomy.categories:
        wrong += [
            f"пример «{text}» не узнан как {category.id}"
            for text in category.examples
            if category.id not in {score.id for score in analyzer.analyze(text).categories}
        ]
    for trigger in analyzer.taxonomy.triggers:
        for expected, texts in ((True, trigger.examples), (False, trigger.contrasts)):
            for text in texts:
                if (trigger.id in {score.id for score in analyzer.analyze(text).triggers}) is not expected:
                    wrong.append(f"пример «{text}» {'не узнан' if expected else 'ошибочно узнан'} как {trigger.id}")
    return wrong


def _settings(**given: Any) -> Settings:
    """``given`` on the command line goes before the environment."""
    try:
        return Settings(**given)
    except ValidationError as error:
        named = ((f"OTKLIK_{str(problem['loc'][0]).upper()}: " if problem["loc"] else "", problem["msg"]) for problem in error.errors())
        _stop("\n".join(name + message for name, message in named))


def _load(name: str) -> Taxonomy:
    try:
        return load_taxonomy(name)
    except TaxonomyError as error:
        _stop(str(error))


def _build(taxonomy: Taxonomy) -> Analyzer:
    try:
        return Analyzer(taxonomy)
    except VocabularyError as error:
        _stop(str(error))


def _analyzer(taxonomy: str | None, engine: Engine, model: Path | None, threads: int = 0) -> Analyzer:
    """With the model where it is wanted and can be used; ``auto`` goes on without it and says so."""
    settings = _settings()
    loaded = _load(taxonomy or settings.taxonomy)
    if engine is Engine.KEYWORD:
        return _build(loaded)
    try:
        analyzer = load_analyzer(loaded, model or settings.model, threads)
    except VocabularyError as error:
        _stop(str(error))
    except ArtefactError as error:
        if engine is Engine.MODEL or model:
            _stop(f"{error.code}: модель не загружена ({error})")
        errors.print(Text(f"{error.code}: модель не загружена ({error}); отвечают ключевые слова", style="yellow"), soft_wrap=True)
        return _build(loaded)
    if engine is Engine.MODEL and analyzer.engine != "model":
        _stop("model_unavailable: модель не установлена; запустите с --engine auto или --engine keyword")
    return analyzer


def _stop(message: str) -> NoReturn:
    errors.print(Text(message, style="red"), soft_wrap=True)
    raise typer.Exit(2)


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
            Text(trigger.title, style=_SEVERITY_STYLE[trigger.severity]).append(
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


def main() -> None:
    """Entry point of the command."""
    app()
