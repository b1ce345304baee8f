from __future__ import annotations

from collections.abc import Sequence

from otklik.serving.labeller import Row
from otklik.serving.repeats import Repeats


class Reader:
    """Tells what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, rows: Sequence[Row]) -> list[str]:
        self.asked += [row.text for row in rows]
        return [f"{row.text} {row.score} {row.channel}" for row in rows]


def rows(*texts: str, score: float | None = None) -> list[Row]:
    return [Row(number, text, score) for number, text in enumerate(texts)]


def test_a_text_that_comes_again_is_read_once() -> None:
    reader = Reader()
    repeats = Repeats(reader)
    assert repeats(rows("а", "б", "а")) == ["а None None", "б None None", "а None None"]
    assert repeats(rows("б", "в")) == ["б None None", "в None None"]
    assert reader.asked == ["а", "б", "в"]


def test_the_same_text_with_another_mark_is_another_question() -> None:
    reader = Reader()
    repeats = Repeats(reader)
    assert [*repeats(rows("а", score=1)), *repeats(rows("а", score=5))] == ["а 1 None", "а 5 None"]
    assert reader.asked == ["а", "а"]


def test_only_the_last_texts_are_remembered() -> None:
    reader = Reader()
    repeats = Repeats(reader, most=2)
    for text in ("а", "б", "а", "в", "а", "б"):
        repeats(rows(text))
    assert reader.asked == ["а", "б", "в", "б"]
