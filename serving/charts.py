"""Pictures of the analysts' report: SVG that stands in the page, read aloud by its label, told apart in grey print."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from otklik.serving.insight import Period, Reason

# From dark to light, with a pattern where two stand near each other in grey.
_SENTIMENTS = {
    "negative": ("#8c1d2f", ""),
    "mixed": ("#d98e3f", "////"),
    "neutral": ("#e8ebef", ""),
    "positive": ("#6fa9a4", "..."),
}
_INK, _SOFT = "#1d2733", "#5c6773"
_BAR, _LOSS, _GAIN = "#9db8d2", "#31547a", "#8fbfb9"  # whiskers are seen on the first
_STYLE: Any = {  # the stubs want each name of a setting as a literal
    "svg.fonttype": "none",  # words stay words; any sans serif of the reader will do
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.edgecolor": _SOFT,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "hatch.color": "white",
    "hatch.linewidth": 0.8,
}
_WIDTH = 7.4  # inches: a page of A4 between its margins
_LABELS = 14  # along the axis of time
_STEP = 9  # pixels of a small bar
_MANY = 5  # texts of a period whose interval the axis has to hold


@dataclass(frozen=True, slots=True)
class Chart:
    """``svg`` is ready for the page; ``alt`` tells in words what it shows."""

    svg: Markup
    alt: str


def over_time(periods: Sequence[Period], labels: Sequence[str], titles: Mapping[str, str], unit: str) -> Chart:
    """Texts by sentiment above, the share of negative ones with its interval below. ``unit`` as in «по неделям»."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 4.3), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        places = range(len(periods))
        bottom = [0] * len(periods)
        for sentiment, (colour, hatch) in _SENTIMENTS.items():
            heights = [period.counts.get(sentiment, 0) for period in periods]
            upper.bar(places, heights, bottom=bottom, color=colour, hatch=hatch, edgecolor="white", linewidth=0.6, width=0.85,
                      label=titles.get(sentiment, sentiment))  # fmt: skip
            bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
        upper.set_title(f"Тексты {unit}, по тональности")
        upper.set_ylabel("текстов")
        upper.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        upper.legend(ncols=4, frameon=False, loc="upper left", fontsize=8.5)
        upper.set_ylim(0, max(bottom) * 1.22 or 1)
        filled = [place for place in places if periods[place].negative.total]
        shares = [periods[place].negative for place in filled]
        lower.fill_between(filled, [100 * s.low for s in shares], [100 * s.high for s in shares], color="#e3c3c8", linewidth=0)
        lower.plot(filled, [100 * s.value for s in shares], color=_SENTIMENTS["negative"][0], marker="o", markersize=3.5, linewidth=1.6)
        lower.set_title("Доля негативных, полоса — 95 % интервал")
        lower.set_ylim(0, min(100.0, 10 + 100 * max((share.high for share in shares if share.total >= _MANY), default=1.0)))
        lower.yaxis.set_major_formatter(FuncFormatter(_percent))
        step = -(-len(periods) // _LABELS)
        lower.set_xticks(list(places)[::step], list(labels)[::step], rotation=0 if len(labels[::step]) < 9 else 30, ha="center")
        return _chart(figure, f"Столбцы: число текстов {unit} по тональности; линия: доля негативных текстов с 95 % интервалом.")


def shares(found: Sequence[Reason], titles: Mapping[str, str]) -> Chart:
    """Bars of the most frequent reasons with their intervals, in percent of all texts."""
    return _bars(
        [titles.get(reason.id, reason.id) for reason in found],
        [100 * reason.share.value for reason in found],
        [(100 * reason.share.low, 100 * reason.share.high) for reason in found],
        "Доля от всех текстов, %; усы — 95 % интервал",
        "Столбцы: доля каждой причины от всех текстов с 95 % интервалом.",
    )


def costs(names: Sequence[str], points: Sequence[float], unit: str) -> Chart:
    """Bars to the left where the mark of all is lower than it would be without the reason."""
    return _bars(
        list(names), list(points), [], f"Оценка всех минус оценка текстов без этой причины, {unit}", f"Столбцы: {unit} на причину."
    )


def _bars(names: list[str], values: list[float], ends: list[tuple[float, float]], axis: str, alt: str) -> Chart:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 0.7 + 0.29 * len(names)), layout="constrained")
        axes = figure.subplots()
        places = range(len(names))
        axes.barh(places, values, color=[_BAR if ends else _LOSS if value < 0 else _GAIN for value in values], height=0.68)
        if ends:
            below = [value - low for value, (low, _) in zip(values, ends, strict=True)]
            above = [high - value for value, (_, high) in zip(values, ends, strict=True)]
            axes.errorbar(values, places, xerr=[below, above], fmt="none", ecolor=_INK, elinewidth=1, capsize=2.5)
        axes.set_yticks(places, names)
        axes.invert_yaxis()
        axes.set_xlabel(axis)
        axes.axvline(0, color=_SOFT, linewidth=0.8)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_formatter(FuncFormatter(_number))
        axes.tick_params(axis="y", length=0)
        return _chart(figure, alt)


def spark(counts: Sequence[int], alt: str) -> Markup:
    """A row of small bars, drawn by hand."""
    most = max([*counts, 1])
    heights = [round(18 * count / most, 1) + 0.5 for count in counts]
    bars = "".join(
        f'<rect x="{_STEP * place}" y="{20.5 - height:.1f}" width="{_STEP - 2}" height="{height:.1f}"/>'
        for place, height in enumerate(heights)
    )
    size = f'viewBox="0 0 {_STEP * len(counts)} 21" width="{_STEP * len(counts)}" height="21"'
    svg = f'<svg class="spark" role="img" aria-label="{escape(alt)}" {size}>{bars}</svg>'
    return Markup(svg)  # noqa: S704  numbers made here, and a label that is escaped


def _chart(figure: Figure, alt: str) -> Chart:
    written = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": alt}):  # ids that differ between charts and not between runs
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = written.getvalue().decode("utf-8")
    svg = svg[svg.index("<svg") :].replace("<svg ", f'<svg role="img" aria-label="{escape(alt)}" ', 1)
    return Chart(Markup(svg), alt)  # noqa: S704  matplotlib escapes the words in it


def _percent(value: float, _place: int | None = None) -> str:
    return f"{value:.0f} %"


def _number(value: float, _place: int | None = None) -> str:
    return f"{value:g}".replace(".", ",").replace("-", "−")
