"""The report as one page that opens without a network. Everything but the charts is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from otklik.serving import charts, words
from otklik.serving.report import EXTERNAL, Report

_TOP = 12  # rows of a chart


def render(report: Report) -> str:
    """HTML, with a policy that forbids scripts and all that is elsewhere."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(words.FILTERS)
    template = files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        r=report, sentences=words.summary(report), tiles=words.tiles(report), charts=_charts(report), w=words, external=EXTERNAL
    )


def _charts(report: Report) -> Mapping[str, charts.Chart]:
    found: dict[str, charts.Chart] = {}
    unit, periods = report.timeline
    if len(periods) > 1:
        years = periods[0].start.year != periods[-1].start.year
        labels = [f"{period.start:%d.%m.%y}" if years else f"{period.start:%d.%m}" for period in periods]
        found["time"] = charts.over_time(periods, labels, report.titles, words.UNITS[unit])
    if report.reasons:
        found["reasons"] = charts.shares(report.reasons[:_TOP], report.titles)
    for name, unit, points in (
        ("nps", "пунктов NPS", [(report.name(cost.id), cost.nps_cost or 0.0) for cost in report.nps_costs]),
        ("csat", "п. п. CSAT", [(report.name(cost.id), cost.csat_cost or 0.0) for cost in report.csat_costs]),
    ):
        if points:
            chosen = sorted(sorted(points, key=lambda point: -abs(point[1]))[:_TOP], key=lambda point: point[1])
            found[name] = charts.costs([title for title, _ in chosen], [value for _, value in chosen], unit)
    return found
