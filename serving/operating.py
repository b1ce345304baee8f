"""The commands of those who run the service and own the taxonomy: serve, keys, taxonomy."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from otklik.nlp.analyzer import Analyzer
from otklik.serving import keys
from otklik.serving.command import SEVERITY_STYLE, TaxonomyOption, app, built, errors, out, settings_of, stop, taxonomy_of
from otklik.serving.keys import KeysError

taxonomy_app = typer.Typer(help="Таксономия: показать, проверить.", no_args_is_help=True)
app.add_typer(taxonomy_app, name="taxonomy")
keys_app = typer.Typer(help="Ключи доступа к службе.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")

_SEVERITY = {"critical": "критично", "high": "высокая", "normal": "обычная"}


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
    settings = settings_of(**given)
    if settings.exposed:
        stop(
            f"адрес {settings.host} доступен другим: задайте ключи (OTKLIK_KEYS_FILE, создаёт otklik keys new) "
            "или явно разрешите вход без ключа: OTKLIK_ALLOW_ANONYMOUS=true"
        )
    built(taxonomy_of(settings.taxonomy))  # a bad taxonomy is told here, not in a traceback of the server
    try:
        service = create_app(settings)
    except KeysError as error:
        stop(str(error))
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
        stop(f"ключ не создан: {error}")
    errors.print(
        f"Строка для файла ключей (OTKLIK_KEYS_FILE){', уже дописана' if file else ''}:", line, sep="\n", markup=False, soft_wrap=True
    )
    errors.print("Ключ для заголовка X-API-Key:", markup=False)
    sys.stdout.write(key + "\n")


@taxonomy_app.command("check")
def check(file: Annotated[Path, typer.Argument(help="файл таксономии или надстройки")]) -> None:
    """Проверить файл: все ошибки сразу, с номерами строк."""
    loaded = taxonomy_of(str(file))
    analyzer = built(loaded)
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
    loaded = taxonomy_of(taxonomy or settings_of().taxonomy)
    out.print(f"{loaded.id} {loaded.version}")
    categories = Table("причина", "название", "отдел", title="Причины", title_justify="left")
    for category in loaded.categories:
        categories.add_row(category.id, category.title, category.department or "–")
    triggers = Table("триггер", "название", "срочность", "кому", "ответ, мин", title="Триггеры", title_justify="left")
    for trigger in loaded.triggers:
        severity = Text(_SEVERITY[trigger.severity], style=SEVERITY_STYLE[trigger.severity])
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
