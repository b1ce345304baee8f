from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from otklik.nlp.analyzer import Analyzer
from otklik.nlp.artefact import FORMAT, ArtefactError, read_manifest, shipped, write_manifest
from otklik.nlp.classifier import Classifier
from otklik.nlp.rules import Rules
from otklik.taxonomy.model import Taxonomy
from otklik.training import checkpoint as checkpoints
from otklik.training.base import Base
from otklik.training.checkpoint import Checkpoint
from otklik.training.dataset import Labels
from otklik.training.export import export, parity, restore
from otklik.training.finetune import Settings

CASES = Path(__file__).parent.parent / "data" / "cases"
TEXTS = ["Грязно.", "Номер прокурен! На полу мусор. Деньги не вернули, подам в суд", "ждали долго " * 60, "", "!!!", "Спасибо"]


@pytest.fixture
def made(tiny: Base, taxonomy: Taxonomy, settings: Settings, tmp_path: Path) -> tuple[Checkpoint, Path]:
    current = checkpoints.create(tiny, Labels.of(taxonomy), settings)
    torch.manual_seed(1)
    for parameter in current.network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.2)  # far from 0, so that errors of the export would show
    current.network.eval()
    export(current, taxonomy, tmp_path / "model")
    return current, tmp_path / "model"


def test_the_artefact_says_what_the_checkpoint_says(made: tuple[Checkpoint, Path], rules: Rules) -> None:
    current, folder = made
    found = parity(current, folder, TEXTS, rules.reader)
    assert found.texts == len(TEXTS)
    assert found.furthest < 0.15  # 8 bits and bf16, against logits around 3
    assert found.labels <= 2


def test_parity_sees_a_wrong_weight(made: tuple[Checkpoint, Path], rules: Rules) -> None:
    current, folder = made
    with torch.no_grad():
        current.network.head[-1].weight[0] *= -1
    assert parity(current, folder, TEXTS, rules.reader).furthest > 0.3


def test_a_text_is_read_the_same_alone_and_among_others(made: tuple[Checkpoint, Path], rules: Rules) -> None:
    classifier = Classifier(made[1], threads=1)
    documents = [rules.reader.read(text) for text in TEXTS * 5]
    for document, reading in zip(documents, classifier.read(documents), strict=True):
        (alone,) = classifier.read([document])
        np.testing.assert_array_equal(reading.outputs, alone.outputs)
        assert reading.passages == alone.passages


@pytest.mark.skipif(shipped() is None, reason="no model in the package")
def test_the_shipped_model_reads_a_text_the_same_to_the_last_bit_whatever_stands_beside_it(rules: Rules) -> None:
    """Eight-bit rounding makes tenths of a logit of the last bits: lengths of all kinds, in batches of all sizes."""
    folder = shipped()
    assert folder
    classifier = Classifier(folder)
    cases = [json.loads(line)["text"] for line in (CASES / "air.jsonl").read_text(encoding="utf-8").splitlines()]
    texts = [*cases[:60], *(" ".join(cases[start : start + 5]) for start in range(60, 120, 5))]
    documents = [rules.reader.read(text) for text in texts]
    alone = [classifier.read([document])[0] for document in documents]
    for size in (7, 32, len(documents)):
        together = [reading for start in range(0, len(documents), size) for reading in classifier.read(documents[start : start + size])]
        for one, other in zip(together, alone, strict=True):
            np.testing.assert_array_equal(one.outputs, other.outputs)


def test_threads_share_one_model(made: tuple[Checkpoint, Path], rules: Rules) -> None:
    classifier = Classifier(made[1], threads=1)
    documents = [rules.reader.read(text) for text in TEXTS]
    wanted = [reading.labels for reading in classifier.read(documents)]
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(20):
            for reading, labels in zip(classifier.read(documents), wanted, strict=True):
                if not np.allclose(reading.labels, labels, atol=1e-2):
                    wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_long_text_is_read_to_its_end(made: tuple[Checkpoint, Path], rules: Rules) -> None:
    classifier = Classifier(made[1], threads=1)
    long = "Все хорошо. " * 300
    (plain,), (ended,) = classifier.read([rules.reader.read(long)]), classifier.read([rules.reader.read(long + "Номер был грязный!")])
    assert len(ended.passages) == len(plain.passages) + 1
    assert not np.allclose(ended.outputs[-1], plain.outputs[-1])


def test_the_network_comes_back_from_the_artefact(made: tuple[Checkpoint, Path], settings: Settings, rules: Rules) -> None:
    current, folder = made
    again = restore(folder, settings.objective, 0.0)
    assert again.labels == current.labels
    assert again.window == current.window
    assert again.base.encoder.config.num_attention_heads == current.base.encoder.config.num_attention_heads
    for name, tensor in current.network.state_dict().items():
        assert torch.allclose(again.network.state_dict()[name], tensor, atol=0.01), name
    assert parity(again, folder, TEXTS, rules.reader).furthest < 0.15


def test_manifest_comes_back_as_it_was(made: tuple[Checkpoint, Path]) -> None:
    _, folder = made
    manifest = replace(read_manifest(folder), review_below=0.7, sentiment_temperature=1.3)
    write_manifest(folder, manifest)
    assert read_manifest(folder) == manifest


@pytest.mark.parametrize("name", ["model.bin", "model.xml", "tokenizer.json"])
def test_one_flipped_byte_is_noticed(made: tuple[Checkpoint, Path], name: str) -> None:
    file = made[1] / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(ArtefactError, match="digest") as told:
        Classifier(made[1])
    assert told.value.code == "model_broken"


def test_missing_and_foreign_files_are_told(made: tuple[Checkpoint, Path], tmp_path: Path) -> None:
    _, folder = made
    with pytest.raises(ArtefactError) as told:
        read_manifest(tmp_path)
    assert told.value.code == "model_missing"
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ArtefactError, match="missing"):
        read_manifest(folder)
    manifest = folder / "manifest.json"
    for change, code in (({"format": FORMAT + 1}, "model_format"), ({"format": FORMAT, "digests": {}}, "model_broken")):
        manifest.write_text(json.dumps(change), encoding="utf-8")
        with pytest.raises(ArtefactError) as told:
            read_manifest(folder)
        assert told.value.code == code


def test_an_export_that_fails_leaves_the_old_model(
    made: tuple[Checkpoint, Path], taxonomy: Taxonomy, monkeypatch: pytest.MonkeyPatch
) -> None:
    current, folder = made
    before = read_manifest(folder)
    monkeypatch.setattr("otklik.training.export.write_manifest", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export(current, taxonomy, folder)
    assert read_manifest(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_model_for_another_taxonomy_is_refused(made: tuple[Checkpoint, Path], taxonomy: Taxonomy) -> None:
    _, folder = made
    write_manifest(folder, replace(read_manifest(folder), taxonomy_version="0.9.0"))
    with pytest.raises(ArtefactError, match=r"trained for taxonomy service-core 0\.9\.0") as told:
        Analyzer(taxonomy, Classifier(folder))
    assert told.value.code == "model_taxonomy"


def test_a_folder_can_be_moved(made: tuple[Checkpoint, Path], tmp_path: Path) -> None:
    shutil.move(made[1], tmp_path / "elsewhere")
    Classifier(tmp_path / "elsewhere")


def test_loading_the_runtime_calls_nobody(tmp_path: Path) -> None:
    """OpenVINO's telemetry keeps its files in ~/intel from the first import on."""
    code = "import sys, otklik.nlp.classifier; print([name for name, found in sys.modules.items() if 'telemetry' in name and found])"
    result = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert "openvino_telemetry" not in result.stdout
    assert not list(tmp_path.iterdir())
