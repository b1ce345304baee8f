from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from otklik.nlp.preprocess import Reader
from otklik.serving.find import Wanted, as_date, find
from otklik.serving.tables import TableError, open_table

ROWS = [
    ["дата", "текст", "otklik_sentiment", "otklik_categories", "otklik_triggers", "otklik_urgency"],
    ["01.08.2026", "Багаж потеряли, деньги не вернули", "negative", "money.refund, fulfilment.wrong_order", "legal_threat", "high"],
    ["15.09.2026", "Чемоданы и багажа нет, списали дважды", "negative", "money.charge", "", "none"],
    ["2026-10-01", "Спасибо за багажник на крыше", "positive", "", "", "none"],
    ["", "Вернули деньги за багаж", "neutral", "", "", "none"],
]


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    path = tmp_path / "labelled.csv"
    with path.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out, delimiter=";").writerows(ROWS)
    return path


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        (Wanted(), [1, 2, 3, 4]),
        (Wanted(words="багаж"), [1, 2, 4]),
        (Wanted(words="деньги багажом"), [1, 4]),
        (Wanted(categories=["money.*"]), [1, 2]),
        (Wanted(categories=["money.refund", "money.charge"], words="дважды"), [2]),
        (Wanted(triggers=["legal_threat"]), [1]),
        (Wanted(sentiment="neutral"), [4]),
        (Wanted(since=date(2026, 9, 1)), [2, 3]),
        (Wanted(until=date(2026, 9, 15)), [1, 2]),
    ],
    ids=str,
)
def test_rows_are_found(labelled: Path, reader: Reader, wanted: Wanted, rows: list[int]) -> None:
    assert [hit.row for hit in find(open_table(labelled), wanted, reader)] == rows


def test_a_file_without_labels_is_told(tmp_path: Path, reader: Reader) -> None:
    (tmp_path / "a.csv").write_text("текст\nда\n", encoding="utf-8")
    with pytest.raises(TableError, match="сначала разметьте"):
        list(find(open_table(tmp_path / "a.csv"), Wanted(), reader))


@pytest.mark.parametrize(
    ("value", "day"),
    [("05.08.2026", date(2026, 8, 5)), ("2026-08-05T10:00:00", date(2026, 8, 5)), (datetime(2026, 8, 5, 1, tzinfo=UTC), date(2026, 8, 5)),
     (date(2026, 8, 5), date(2026, 8, 5)), ("05.08.2026 12:30", date(2026, 8, 5)), ("вчера", None), (None, None), (45000, None)],
)  # fmt: skip
def test_dates_as_tables_have_them(value: object, day: date | None) -> None:
    assert as_date(value) == day
