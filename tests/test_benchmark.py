from __future__ import annotations

from pathlib import Path

import pytest

from otklik.taxonomy.model import Taxonomy
from otklik.training import checkpoint as checkpoints
from otklik.training.base import Base
from otklik.training.benchmark import benchmark
from otklik.training.dataset import Labels
from otklik.training.finetune import Settings
from otklik.training.labels import digest
from otklik.training.problems import TrainingError

TRAIN = [
    {"text": f"{words} {end}", "sentiment": sentiment}
    for sentiment, words in (("negative", "связь ужас"), ("positive", "спасибо отлично"), ("neutral", "новый тариф"))
    for end in ("сегодня", "вчера", "у нас", "в городе", "опять", "с утра")
]
TEST = [
    {"text": "ужас связь днем", "sentiment": "negative"},
    {"text": "отлично спасибо вам", "sentiment": "positive"},
    {"text": "тариф новый для всех", "sentiment": "neutral"},
    {"text": "ужас ужас", "sentiment": "negative"},
    TRAIN[0],
    {"text": "уже читали", "sentiment": "neutral"},
]


@pytest.fixture
def start(tiny: Base, taxonomy: Taxonomy, settings: Settings, tmp_path: Path) -> Path:
    checkpoints.save(checkpoints.create(tiny, Labels.of(taxonomy), settings), tmp_path / "start")
    return tmp_path / "start"


def test_a_benchmark_trains_on_one_part_and_scores_the_other(start: Path) -> None:
    outcome = benchmark("sentirueval2016", TRAIN, TEST, start, 60.0, {digest("уже читали")})
    assert (outcome.trained, outcome.texts) == (len(TRAIN) - 1, len(TEST) - 1)  # no tweet of the test is learnt, none of the model's scored
    assert outcome.averaged == ("negative", "neutral", "positive")
    assert outcome.low <= outcome.macro_f1 <= outcome.high
    assert outcome.micro_f1 >= 0.6


@pytest.mark.parametrize("rows", [[], [{"text": "а", "sentiment": "angry"}], [{"text": "а"}]])
def test_rows_without_a_known_class_are_refused(start: Path, rows: list[dict[str, str]]) -> None:
    with pytest.raises(TrainingError, match="has to be one of negative, neutral, positive"):
        benchmark("sentirueval2016", rows, TEST, start, 1.0, set())
