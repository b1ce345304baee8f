"""How the report speaks: names, numbers and sentences in Russian."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from otklik.serving import insight
from otklik.serving.shares import Change, Share

if TYPE_CHECKING:
    from otklik.serving.report import Report

DEPARTMENTS = {
    "operations": "Исполнение", "product": "Продукт", "content": "Контент", "finance": "Финансы",
    "support": "Поддержка", "it": "ИТ", "security": "Безопасность", "loyalty_team": "Команда лояльности",
}  # fmt: skip
SEVERITIES = {"critical": "критично", "high": "высокая", "normal": "обычная"}
ENGINES = {"model": "модель", "keyword": "ключевые слова"}
DOUBTS = {
    "no_words": "в тексте нет слов", "not_russian": "текст не на русском", "score_conflict": "оценка и слова расходятся",
    "sentiment_conflict": "позитивный текст с несколькими причинами", "no_category": "негативный текст без причины",
    "unusual_text": "необычный текст", "engine_conflict": "модель и правила расходятся", "low_margin": "модель почти не уверена",
}  # fmt: skip
UNITS = {"D": "по дням", "W": "по неделям", "M": "по месяцам"}
_SPACE = "\N{NO-BREAK SPACE}"
_HOUR = 60


def number(value: float, digits: int = 0) -> str:
    """«12 345,6»."""
    return f"{value:,.{digits}f}".replace(",", _SPACE).replace(".", ",").replace("-", "−")


def percent(share: Share) -> str:
    return number(100 * share.value, 1) + _SPACE + "%"


def interval(share: Share) -> str:
    return f"{number(100 * share.low, 1)}–{number(100 * share.high, 1)}{_SPACE}%"


def signed(value: float, digits: int = 1) -> str:
    """«+1,2», «−1,2», and «0,0» for what rounds to nothing."""
    shown = number(abs(value), digits)
    return shown if not shown.strip("0,") else ("+" if value > 0 else "−") + shown


def chance(p: float) -> str:
    return f"p < 10{_SPACE}⁻⁶".replace(_SPACE, "") if p < 1e-6 else f"p = {p:.2g}".replace(".", ",") if p >= 0.001 else "p < 0,001"


def day_of(day: date | None) -> str:
    return "без даты" if day is None else f"{day:%d.%m.%Y}"


def days_of(first: date, last: date) -> str:
    return day_of(first) if first == last else f"{day_of(first)}–{day_of(last)}"


def within(minutes: int | None) -> str:
    if minutes is None:
        return "–"
    return f"{minutes}{_SPACE}мин" if minutes < _HOUR else f"{minutes // _HOUR}{_SPACE}ч"


def plural(count: int, one: str, few: str, many: str) -> str:
    """«1 текст», «2 текста», «5 текстов»."""
    tens, ones = count % 100, count % 10
    word = many if 11 <= tens <= 14 else one if ones == 1 else few if 2 <= ones <= 4 else many
    return f"{number(count)}{_SPACE}{word}"


def texts(count: int) -> str:
    return plural(count, "текст", "текста", "текстов")


FILTERS: Mapping[str, Callable[..., Any]] = {
    "number": number, "percent": percent, "interval": interval, "signed": signed, "chance": chance, "day": day_of, "within": within,
    "texts": texts,
}  # fmt: skip


def summary(report: Report) -> Iterator[str]:
    """The report in a few sentences."""
    total = len(report.entries)
    if not total:
        yield "В файле нет ни одного текста с разметкой."
        return
    period = f" за {days_of(*report.span)}" if report.span else ""
    empty = f"; ещё {plural(report.survey.empty, 'строка пустая', 'строки пустые', 'строк пустых')}" if report.survey.empty else ""
    yield f"Прочитано: {texts(total)}{period}{empty}."
    mixed = report.sentiment("mixed")
    if report.negative.count:
        trend = _moved(insight.change(report.entries, lambda entry: entry.sentiment == "negative"))
        also = f"; смешанных ещё {percent(mixed)}" if mixed.count else ""
        yield f"Негативных — {number(report.negative.count)}, это {percent(report.negative)}{trend}{also}."
    else:
        yield "Негативных текстов нет."
    yield from _marks(report)
    yield from _reasons(report)
    yield from _alarms(report)


def _moved(change: Change | None) -> str:
    if not change:
        return ""
    sure = "" if change.apart else ", в пределах погрешности"
    return f" (вторая половина периода против первой: {signed(change.points)} п. п.{sure})"


def _marks(report: Report) -> Iterator[str]:
    parts = insight.halves(report.entries)
    if report.nps.total:
        trend = ""
        if parts and all(insight.nps(part).total for part in parts):
            before, after = map(insight.nps, parts)
            apart = abs(after.value - before.value) > after.margin + before.margin
            trend = f": было {signed(before.value, 0)}, стало {signed(after.value, 0)}" + ("" if apart else ", в пределах погрешности")
        counted = plural(report.nps.total, "оценке", "оценкам", "оценкам")
        yield f"NPS {signed(report.nps.value, 0)} (±{number(report.nps.margin)}) по {counted} от 0 до 10{trend}."
    if report.csat.total:
        trend = ""
        if parts and all(insight.csat(part).total for part in parts):
            trend = _moved(Change(*map(insight.csat, parts)))
        counted = plural(report.csat.total, "оценки", "оценок", "оценок")
        yield f"CSAT {percent(report.csat)}: столько «4» и «5» среди {counted} от 1 до 5{trend}."


def _reasons(report: Report) -> Iterator[str]:
    if not report.reasons:
        yield "Причин недовольства не найдено."
        return
    first = report.reasons[0]
    yield f"Чаще всего — «{report.name(first.id)}»: {texts(first.share.count)}, {percent(first.share)} всех."
    found = insight.fastest(report.reasons)
    if found and found.change:
        before, after = percent(found.change.before), percent(found.change.after)
        sure = "" if found.change.apart else "; такой рост может быть случайным"
        yield f"Быстрее всего растёт «{report.name(found.id)}»: с {before} до {after}{sure}."
    for surge in report.surges[:1]:
        yield f"Всплеск {days_of(surge.burst.first, surge.burst.last)}: {surge.title} — {texts(len(surge.burst.members))}."
    for theme in report.themes[:1]:
        if theme.grows and theme.words:
            yield f"Новая тема без причины в таксономии: «{', '.join(theme.words[:4])}», {texts(theme.size)}, растёт."


def _alarms(report: Report) -> Iterator[str]:
    if not report.urgencies:
        yield "Срочных случаев нет."
        return
    kinds = ", ".join(f"{title} — {number(report.urgencies[key])}" for key, title in SEVERITIES.items() if report.urgencies[key])
    yield f"Срочных случаев {number(report.urgencies.total())}: {kinds}."


def tiles(report: Report) -> Iterator[tuple[str, str]]:
    """The few numbers at the top, each with its name."""
    yield number(len(report.entries)), "Тексты"
    yield percent(report.negative) if report.entries else "–", "Негативные"
    if report.nps.total:
        yield signed(report.nps.value, 0), "NPS"
    if report.csat.total:
        yield percent(report.csat), "CSAT: «4» и «5»"
    yield number(report.urgencies.total()), "Срочные"
    yield percent(report.review) if report.entries else "–", "Проверить человеку"
