from __future__ import annotations

import random
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT

from otklik.nlp.classifier import Classifier
from otklik.nlp.pooling import pool
from otklik.nlp.rules import Rules
from otklik.taxonomy.model import Taxonomy
from otklik.training import checkpoint as checkpoints
from otklik.training.base import Base
from otklik.training.cases import Case, Quote, read_cases
from otklik.training.checkpoint import CheckpointError
from otklik.training.dataset import Collator, Labels, to_dataset, with_typos
from otklik.training.export import export, extend
from otklik.training.finetune import Settings, SettingsError, groups, read_settings
from otklik.training.network import RARE, UNKNOWN, Network, Objective
from otklik.training.run import (
    Corpus,
    cross_validate,
    fit,
    fold_of,
    go_on,
    predict,
    predict_with,
    read_predictions,
    run,
    teaching,
    write_predictions,
)
from otklik.training.teach import Teaching, teach

CASES = [
    Case(str(number), text, categories, sentiment, triggers)
    for number, (text, categories, sentiment, triggers) in enumerate(
        [
            ("Грязно. Номер прокурен, на полу мусор.", ("quality.conditions",), "negative", ()),
            ("В комнате грязно и холодно", ("quality.conditions",), "negative", ()),
            ("Грязно и сыро, ушли через час", ("quality.conditions",), "negative", ()),
            ("Верните деньги! Подам в суд.", ("money.refund",), "negative", (Quote("legal_threat", "Подам в суд"),)),
            ("Деньги не вернули, верните", ("money.refund",), "negative", ()),
            ("Прошу вернуть деньги", ("money.refund",), "negative", ()),
            ("Спасибо, все понравилось", (), "positive", ()),
            ("Спасибо за ужин, вкусно", (), "positive", ()),
            ("Все понравилось, приедем еще", (), "positive", ()),
        ]
    )
]


def test_texts_are_pooled_in_the_network_as_at_serving() -> None:
    generator = np.random.default_rng(0)
    network = Network.__new__(Network)
    torch.nn.Module.__init__(network)
    network.labels, network.sentiments = 5, 4
    outputs = generator.normal(size=(3, 7, 10)).astype(np.float32) * 3
    present = np.zeros((3, 7), bool)
    for row, count in enumerate((1, 4, 7)):
        present[row, :count] = True
    labels, sentiments = network.pool(torch.from_numpy(outputs), torch.from_numpy(present))
    for row, count in enumerate((1, 4, 7)):
        wanted = pool(outputs[row, :count], 5)
        np.testing.assert_allclose(labels[row].numpy(), wanted[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(sentiments[row].numpy(), wanted[1], rtol=1e-4, atol=1e-5)


def test_a_row_says_which_passage_shows_a_label(taxonomy: Taxonomy, rules: Rules) -> None:
    text = "Приехали вечером. Номер грязный. Персонал нахамил, пойду в суд."
    start = text.index("Номер")
    case = Case(
        "1",
        text,
        ("quality.conditions", "service.rudeness"),
        "negative",
        (Quote("legal_threat", "пойду в суд"),),
        evidence={"quality.conditions": ((start, start + len("Номер грязный")),)},
    )
    labels = Labels.of(taxonomy)
    (row,) = to_dataset([case], labels, rules.reader)
    column = {label: [place[labels.multi.index(label)] for place in row["places"]] for label in labels.multi}
    assert row["passages"] == ["Приехали вечером.", "Номер грязный.", "Персонал нахамил, пойду в суд."]
    assert column["quality.conditions"] == [0, 1, 0]
    assert column["legal_threat"] == [0, 0, 1]
    assert column["service.rudeness"] == [UNKNOWN] * 3  # nobody marked where
    assert column["money.price"] == [0, 0, 0]
    assert sum(row["labels"]) == 3


def test_a_batch_holds_every_passage_of_every_text(tiny: Base, taxonomy: Taxonomy, rules: Rules) -> None:
    labels = Labels.of(taxonomy)
    rows = list(
        to_dataset(
            [*CASES, Case("long", "Очень долго ждали. " * 60, ("fulfilment.delay",), "negative", ()), Case("none", "", (), "neutral", ())],
            labels,
            rules.reader,
        )
    )
    batch = Collator(tiny.tokenizer, tiny.special, 64, None)(rows)
    assert batch["present"].sum(1).tolist() == [len(row["passages"]) for row in rows]
    assert batch["ids"].shape[0] > len(rows)  # the long text fills several windows
    assert torch.allclose(batch["spread"].sum(-1)[batch["spread"].sum(-1) > 0], torch.tensor(1.0))


def test_typos_touch_the_wanted_share_of_the_letters() -> None:
    random.seed(0)
    text = "съешь же ещё этих мягких французских булок да выпей чаю " * 40
    assert with_typos(text, 0.0) == text
    changed = sum(a != b for a, b in zip(text.split(), with_typos(text, 0.05).split(), strict=False))
    assert 0.1 < changed / len(text.split()) < 0.6


def trained(
    tiny: Base, taxonomy: Taxonomy, rules: Rules, settings: Settings, folder: Path, cases: Sequence[Case] = CASES
) -> checkpoints.Checkpoint:
    current = checkpoints.create(tiny, Labels.of(taxonomy), settings)
    fit(replace(settings, noise=replace(settings.noise, typos=0.0)), current, cases, settings.real, rules, folder, resume=False, quiet=True)
    return current


def test_training_learns(tiny: Base, taxonomy: Taxonomy, rules: Rules, settings: Settings, tmp_path: Path) -> None:
    stage = replace(settings.real, epochs=40.0)
    current = trained(tiny, taxonomy, rules, replace(settings, real=stage), tmp_path)
    predictions = list(predict(current, CASES, rules))
    for prediction in predictions:
        dirty, refund = (prediction.labels[label] for label in ("quality.conditions", "money.refund"))
        if prediction.case.categories:
            assert (dirty > refund) == ("quality.conditions" in prediction.case.categories), prediction.case.text
    assert sum(max(p.sentiments, key=p.sentiments.__getitem__) == p.case.sentiment for p in predictions) >= 8


def test_a_run_that_was_cut_off_goes_on_from_its_checkpoint(
    tiny: Base, taxonomy: Taxonomy, rules: Rules, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.save(tmp_path / "base")
    settings = replace(settings, base=str(tmp_path / "base"), adapt=replace(settings.adapt, epochs=0.5))
    corpus = Corpus([{"text": case.text, "rating": 1} for case in CASES], CASES[:5], CASES[3:])

    steps = 0
    step = torch.optim.AdamW.step

    def counted(self: torch.optim.AdamW, *args: object) -> object:
        nonlocal steps
        steps += 1
        if steps == fails_at:
            raise KeyboardInterrupt
        return step(self, *args)

    monkeypatch.setattr(torch.optim.AdamW, "step", counted)
    fails_at = 8
    with pytest.raises(KeyboardInterrupt):
        run(settings, corpus, rules, tmp_path / "cut", None, resume=True, quiet=True)
    assert checkpoints.is_saved(tmp_path / "cut" / "adapted")
    assert not checkpoints.is_saved(tmp_path / "cut" / "real")
    steps, fails_at = 0, -1
    run(settings, corpus, rules, tmp_path / "cut", None, resume=True, quiet=True)
    resumed, steps = steps, 0
    run(settings, corpus, rules, tmp_path / "whole", None, resume=False, quiet=True)
    assert steps - 7 <= resumed < steps  # what stood on disk was not done again
    steps = 0
    run(settings, corpus, rules, tmp_path / "cut", None, resume=True, quiet=True)
    assert steps == 0
    with pytest.raises(CheckpointError, match="other settings or cases"):
        run(replace(settings, seed=4), corpus, rules, tmp_path / "cut", None, resume=True, quiet=True)


def test_each_real_case_is_read_by_a_model_that_never_saw_it(
    tiny: Base, taxonomy: Taxonomy, rules: Rules, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt: list[set[str]] = []

    def recorded(settings: Settings, current: checkpoints.Checkpoint, cases: Sequence[Case], *args: object, **kwargs: object) -> None:
        learnt.append({case.id for case in cases})
        fit(settings, current, cases, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr("otklik.training.run.fit", recorded)
    start = tmp_path / "start"
    checkpoints.save(checkpoints.create(tiny, Labels.of(taxonomy), settings), start)
    found = list(cross_validate(settings, start, Corpus([], [], CASES), rules, tmp_path, 3, resume=False, quiet=True))
    everyone = {case.id for case in CASES}
    assert sorted(p.case.id for p in found) == sorted(everyone)
    assert learnt == [everyone - {case.id for case in CASES if fold_of(case, 3) == fold} for fold in range(3)]
    assert all(learnt)
    write_predictions(tmp_path / "p.jsonl", found)
    assert "Верните" not in (tmp_path / "p.jsonl").read_text(encoding="utf-8")
    again = read_predictions(tmp_path / "p.jsonl")
    assert [p.case.categories for p in again] == [p.case.categories for p in found]
    assert again[0].labels == pytest.approx(found[0].labels, abs=1e-4)


def test_layers_below_learn_slower_and_biases_do_not_decay(tiny: Base, settings: Settings) -> None:
    network = Network(tiny.encoder, 3, 4, Objective(1, 1, 0), 0.0)
    stage = replace(settings.real, rate=1.0, head_rate=7.0, layer_decay=0.5, weight_decay=0.1)
    rates = {group["lr"] for group in groups(network, stage)}
    assert rates == {0.25, 0.5, 1.0, 7.0}
    assert all(group["weight_decay"] == 0 for group in groups(network, stage) if all(parameter.ndim == 1 for parameter in group["params"]))
    assert torch.equal(network.head[-1].bias[:3].detach(), torch.full((3,), RARE))


def test_the_settings_are_whole_and_nothing_else(tmp_path: Path) -> None:
    source = (ROOT / "training" / "finetune.toml").read_text(encoding="utf-8")
    assert read_settings(ROOT / "training" / "finetune.toml").layers == 12
    file = tmp_path / "settings.toml"
    file.write_text(source.replace("window = ", "windows = "), encoding="utf-8")
    with pytest.raises(SettingsError, match="window is missing; windows is not a setting"):
        read_settings(file)
    file.write_text(source.replace("typos = ", "tipos = ", 1), encoding="utf-8")
    with pytest.raises(SettingsError, match=r"noise\.typos is missing; noise\.tipos is not a setting"):
        read_settings(file)


def test_half_a_checkpoint_is_none(tiny: Base, taxonomy: Taxonomy, settings: Settings, tmp_path: Path) -> None:
    current = checkpoints.create(tiny, Labels.of(taxonomy), settings)
    checkpoints.save(current, tmp_path)
    again = checkpoints.load(tmp_path)
    assert again.labels == current.labels
    assert all(torch.equal(again.network.state_dict()[name], tensor) for name, tensor in current.network.state_dict().items())
    (tmp_path / "network.json").unlink()
    with pytest.raises(CheckpointError, match=r"no network\.json"):
        checkpoints.load(tmp_path)


def test_fewer_layers_are_spread_over_those_that_there_are(tiny: Base, taxonomy: Taxonomy, settings: Settings) -> None:
    last = tiny.encoder.encoder.layer[1]
    current = checkpoints.create(tiny, Labels.of(taxonomy), replace(settings, layers=1))
    assert list(current.base.encoder.encoder.layer) == [last]
    with pytest.raises(CheckpointError, match="layers = 3"):
        checkpoints.create(tiny, Labels.of(taxonomy), replace(settings, layers=3))


def test_a_new_label_joins_a_trained_network(tiny: Base, taxonomy: Taxonomy, settings: Settings) -> None:
    current = checkpoints.create(tiny, Labels.of(taxonomy), settings)
    labels = current.labels
    more = replace(labels, categories=(*labels.categories[:3], "travel.baggage", *labels.categories[3:]))
    grown = extend(current, more)
    old, new = current.network.head[-1], grown.network.head[-1]
    assert new.weight.shape[0] == old.weight.shape[0] + 1
    assert torch.equal(new.weight[more.multi.index("deadline")], old.weight[labels.multi.index("deadline")])
    assert torch.equal(new.weight[-1], old.weight[-1])
    assert float(new.bias[3].detach()) == RARE


def test_own_cases_mark_their_evidence(taxonomy: Taxonomy) -> None:
    cases = [case for path in (ROOT / "data" / "cases").glob("*.jsonl") for case in read_cases(path, taxonomy)]
    assert len(cases) >= 1900
    assert len({case.text for case in cases}) == len(cases)
    assert sum(bool(case.evidence) for case in cases) > 1000


def test_a_label_that_nobody_looked_for_is_neither_learnt_nor_unlearnt(tiny: Base, taxonomy: Taxonomy, rules: Rules) -> None:
    labels = Labels.of(taxonomy)
    network = Network(tiny.encoder, len(labels.multi), len(labels.sentiments), Objective(1.0, 1.0, 0.0), 0.0)
    row = labels.multi.index("money.price")

    def pull(case: Case) -> float:
        network.zero_grad()
        network(**Collator(tiny.tokenizer, tiny.special, 64, None)(list(to_dataset([case], labels, rules.reader))))["loss"].backward()
        return float(network.head[-1].bias.grad[row].abs())

    assert pull(CASES[0]) > 0
    assert pull(replace(CASES[0], unasked=frozenset({"money.price"}))) == 0


def test_teachers_soften_the_targets_and_label_what_nobody_has(
    tiny: Base, taxonomy: Taxonomy, rules: Rules, settings: Settings, tmp_path: Path
) -> None:
    current = trained(tiny, taxonomy, rules, settings, tmp_path / "steps")
    export(current, taxonomy, tmp_path / "teacher")
    (said,) = predict_with(Classifier(tmp_path / "teacher"), CASES[:1], rules)
    labels = current.labels
    share = 0.25
    rows = list(teach(CASES[:1], labels, rules, Teaching((tmp_path / "teacher",), (CASES[0].text,), share)))
    hard = np.array([float(label in CASES[0].categories) for label in labels.multi])
    soft = 1 / (1 + np.exp(-np.array([said.labels[label] for label in labels.multi])))
    np.testing.assert_allclose(rows[0]["labels"], (1 - share) * hard + share * soft, atol=1e-5)
    np.testing.assert_allclose(rows[1]["labels"], soft, atol=1e-5)
    assert rows[0]["sentiment"][labels.sentiments.index("negative")] >= 1 - share
    assert [sum(row["sentiment"]) for row in rows] == pytest.approx([1.0, 1.0])
    batch = Collator(tiny.tokenizer, tiny.special, 64, None)(rows)
    assert torch.isfinite(current.network(**batch)["loss"])


def test_a_label_that_the_teacher_does_not_know_keeps_its_target(
    tiny: Base, taxonomy: Taxonomy, rules: Rules, settings: Settings, tmp_path: Path
) -> None:
    current = trained(tiny, taxonomy, rules, settings, tmp_path / "steps")
    export(current, taxonomy, tmp_path / "teacher")
    more = replace(current.labels, triggers=(*current.labels.triggers, "new"))
    case = replace(CASES[0], triggers=(Quote("new", "Грязно"),))
    labelled, unlabelled = teach([case], more, rules, Teaching((tmp_path / "teacher",), ("Ещё текст.",), 0.5))
    assert labelled["labels"][-1] == 1.0
    assert unlabelled["labels"][-1] == UNKNOWN
    assert {places[-1] for places in unlabelled["places"]} == {UNKNOWN}


def test_a_run_with_teachers_learns_from_texts_without_labels_and_can_go_on(
    tiny: Base, taxonomy: Taxonomy, rules: Rules, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = trained(tiny, taxonomy, rules, settings, tmp_path / "steps")
    teacher = tmp_path / "teacher"
    export(current, taxonomy, teacher)
    rows = [{"text": CASES[0].text}, {"text": "Никто этого не размечал"}]
    corpus = Corpus(rows, CASES[:3], CASES[3:])
    taught = teaching(settings, corpus, [teacher])
    assert taught is not None
    assert taught.texts == ("Никто этого не размечал",)
    checkpoints.save(current, tmp_path / "start")
    first = go_on(settings, tmp_path / "start", corpus, rules, tmp_path / "run", [teacher], resume=False, quiet=True)
    monkeypatch.setattr("otklik.training.run.teach", None)  # a finished stage is not done again
    again = go_on(settings, tmp_path / "start", corpus, rules, tmp_path / "run", [teacher], resume=True, quiet=True)
    for one, other in zip(first.network.state_dict().values(), again.network.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(CheckpointError, match="other settings or cases"):
        go_on(settings, tmp_path / "start", corpus, rules, tmp_path / "run", resume=True, quiet=True)


def test_a_training_from_a_checkpoint_reads_in_the_windows_of_its_settings(
    tiny: Base, taxonomy: Taxonomy, rules: Rules, settings: Settings, tmp_path: Path
) -> None:
    checkpoints.save(trained(tiny, taxonomy, rules, settings, tmp_path / "steps"), tmp_path / "start")
    wider = replace(settings, window=settings.window * 2)
    after = go_on(wider, tmp_path / "start", Corpus([], [], CASES), rules, tmp_path / "run", resume=False, quiet=True)
    assert after.window == wider.window
    assert checkpoints.load(tmp_path / "run" / "real").window == wider.window


def test_the_mean_of_two_checkpoints_lies_between_them_and_wants_one_kind(
    tiny: Base, taxonomy: Taxonomy, rules: Rules, settings: Settings, tmp_path: Path
) -> None:
    checkpoints.save(trained(tiny, taxonomy, rules, settings, tmp_path / "steps"), tmp_path / "start")
    tuned = go_on(settings, tmp_path / "start", Corpus([], [], CASES), rules, tmp_path / "run", resume=False, quiet=True)
    start = checkpoints.load(tmp_path / "start")
    first, second = (deepcopy(each.network.state_dict()) for each in (start, tuned))
    mixed = checkpoints.mean(start, tuned, 0.75).network.state_dict()
    assert any(not torch.equal(first[name], second[name]) for name in mixed)
    for name, weights in mixed.items():
        torch.testing.assert_close(weights, 0.25 * first[name] + 0.75 * second[name])
    with pytest.raises(CheckpointError, match="other labels"):
        checkpoints.mean(replace(start, labels=replace(start.labels, triggers=())), tuned, 0.5)
