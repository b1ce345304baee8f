"""The numbers behind the report as an Excel file: one sheet a section, customers' words never as formulas."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter

from otklik.serving import words
from otklik.serving.insight import Reason
from otklik.serving.quotes import Quote
from otklik.serving.report import Report
from otklik.serving.shares import Share
from otklik.serving.tables import FORMULA

Sheet = tuple[str, Sequence[str], Iterable[Sequence[Any]]]  # its name, its header, its rows

_QUOTED = ("Цитата", "Дата", "Канал", "Оценка", "Строка")
_WIDE, _NARROW = 70, 16  # characters
_LONGEST = 32_767  # characters of a cell
_PERCENT = "0.0%"


class _Part(float):
    """Of a whole, shown as percents."""


def write_sheets(target: Path, report: Report) -> None:
    """Shares are numbers with the format of percents."""
    book = Workbook()
    book.remove(book.active)
    for name, header, rows in _sheets(report):
        sheet = book.create_sheet(name)
        for row, values in enumerate([header, *rows], start=1):
            for column, value in enumerate(values, start=1):
                _fill(sheet.cell(row, column), value)
        for column, title in enumerate(header, start=1):
            sheet.cell(1, column).font = Font(bold=True)
            sheet.column_dimensions[get_column_letter(column)].width = (
                _WIDE if title in {"Цитата", "Вывод"} else max(_NARROW, len(title) + 2)
            )
        sheet.freeze_panes = "A2"
    book.save(target)
    book.close()


def _fill(cell: Any, value: Any) -> None:
    if isinstance(value, Share | _Part):
        cell.value = value.value if isinstance(value, Share) else float(value)
        cell.number_format = _PERCENT
    elif isinstance(value, str):
        cell.value = ILLEGAL_CHARACTERS_RE.sub("", value)[:_LONGEST]
        cell.data_type = "s"  # a formula would be guessed from its first character
        cell.quotePrefix = value.startswith(FORMULA)
        cell.alignment = Alignment(vertical="top", wrap_text=True)
    else:
        cell.value = value


def _sheets(report: Report) -> Iterator[Sheet]:
    yield "Сводка", ("Вывод",), [(sentence,) for sentence in words.summary(report)]
    sentiments = [sentiment.id for sentiment in report.taxonomy.sentiments]
    yield (
        "Динамика",
        ("Начало", *map(report.name, sentiments), "Доля негативных"),
        [(p.start, *(p.counts.get(name, 0) for name in sentiments), p.negative) for p in report.timeline[1]],
    )
    for name, found in (("Причины", report.reasons), ("Группы", report.groups), ("Отделы", report.departments)):
        yield (
            name,
            ("Название", "id", "Текстов", "Доля", "от", "до", "Было", "Стало", "Изменение, п. п.", "Больше погрешности"),
            _rows(report, found),
        )
    yield (
        "Оценки",
        ("Причина", "Промоутеры", "Нейтралы", "Критики", "NPS", "Цена, пунктов", "Оценок 1–5", "CSAT", "Цена, п. п."),
        [
            (report.name(cost.id), cost.nps.promoters, cost.nps.passives, cost.nps.detractors, cost.nps.value if cost.nps.total else None,
             cost.nps_cost, cost.csat.total, cost.csat if cost.csat.total else None, cost.csat_cost)
            for cost in report.costs
        ],
    )  # fmt: skip
    yield (
        "Срочное",
        ("Срочность", "Что случилось", "Кому", "Ответить за, мин", *_QUOTED),
        [
            (words.SEVERITIES.get(case.severity, case.severity), "; ".join(case.titles), case.route, case.minutes, *_quoted(case.quote))
            for case in report.urgent
        ],
    )
    yield (
        "Новые причины",
        ("Причина", "Раньше", "Раньше, доля", "Теперь", "Теперь, доля", "p"),
        [(report.name(new.id), new.before.count, new.before, new.after.count, new.after, new.p) for new in report.news],
    )
    yield (
        "Новые слова",
        ("Слова", "Раньше", "Теперь", "z", *_QUOTED),
        [(one.words, one.growth.before, one.growth.after, one.growth.z, *_quoted(one.quote)) for one in report.fresh],
    )
    yield (
        "Темы",
        ("Слова", "Текстов", "Раньше", "Теперь", "Растёт", "По неделям", *_QUOTED),
        [
            (
                ", ".join(theme.words),
                theme.size,
                theme.early,
                theme.late,
                "да" if theme.grows else "",
                " ".join(map(str, theme.weekly)),
                *_quoted(quote),
            )
            for theme in report.themes
            for quote in theme.quotes
        ],
    )
    yield (
        "Всплески",
        ("Что", "С", "По", "Текстов", "Обычно", "p", "Вместе с этим", *_QUOTED),
        [
            (
                surge.name,
                surge.burst.first,
                surge.burst.last,
                surge.burst.count,
                surge.burst.expected,
                surge.burst.p,
                ", ".join(surge.also),
                *_quoted(quote),
            )
            for surge in report.surges
            for quote in surge.quotes
        ],
    )
    yield "Нет проблемы", _QUOTED, map(_quoted, report.external[1])
    yield "Похвала", ("Неделя с", *_QUOTED), [(week, *_quoted(quote)) for week, quotes in report.praise for quote in quotes]
    yield "Проверить", ("Почему", "Текстов", "Доля"), [(words.DOUBTS.get(d.id, d.id), d.share.count, d.share) for d in report.doubts]
    about = [
        *report.versions(),
        ("Строк с текстом", len(report.entries)),
        ("Пустых строк", report.survey.empty),
        ("Дата отчёта", report.today),
    ]
    yield "О данных", ("Что", "Значение"), [*about, *(("Замечание", note) for note in report.survey.notes)]


def _rows(report: Report, found: Sequence[Reason]) -> Iterator[Sequence[Any]]:
    for reason in found:
        moved = reason.change
        more = (moved.before, moved.after, moved.points, "да" if moved.apart else "") if moved else (None, None, None, "")
        ends = (_Part(reason.share.low), _Part(reason.share.high))
        yield report.name(reason.id), reason.id, reason.share.count, reason.share, *ends, *more


def _quoted(quote: Quote) -> Sequence[Any]:
    return quote.text, quote.entry.day, quote.entry.channel, quote.entry.mark, quote.entry.row
