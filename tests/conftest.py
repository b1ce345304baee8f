"""What the tests share. Real texts lie beside the repository or nowhere; tests that want them skip by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings as hypothesis_settings
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel

from otklik.nlp.analyzer import Analyzer, load_analyzer
from otklik.nlp.language import Language, load_language
from otklik.nlp.morphology import Morphology
from otklik.nlp.preprocess import Reader
from otklik.nlp.rules import Rules
from otklik.taxonomy.load import load_taxonomy
from otklik.taxonomy.model import Taxonomy
from otklik.training.base import Base
from otklik.training.dataset import Noise
from otklik.training.finetune import Settings, Stage, Teach
from otklik.training.network import Objective

hypothesis_settings.register_profile("ci", derandomize=True, deadline=None, max_examples=200)
hypothesis_settings.register_profile("dev", deadline=None)
hypothesis_settings.load_profile("ci" if os.environ.get("CI") else "dev")

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def taxonomy() -> Taxonomy:
    return load_taxonomy()


@pytest.fixture(scope="session")
def analyzer(taxonomy: Taxonomy) -> Analyzer:
    """The rules alone."""
    return Analyzer(taxonomy)


@pytest.fixture(scope="session")
def hybrid(taxonomy: Taxonomy) -> Analyzer:
    """With the model that is shipped."""
    analyzer = load_analyzer(taxonomy, threads=1)
    assert analyzer.engine == "model", "nlp/models is empty: the model has to come with the package"
    return analyzer


@pytest.fixture(scope="session")
def rules(analyzer: Analyzer) -> Rules:
    return analyzer.rules


@pytest.fixture
def tiny() -> Base:
    """An encoder of two layers whose pieces are letters, with random weights: what training does with it takes a second."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    letters = "абвгдежзийклмнопрстуфхцчшщъыьэюя0123456789.,!?-"
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -3.0), *((letter, -4.0) for letter in letters)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        type_vocab_size=2,
        pad_token_id=1,
        attn_implementation="eager",
    )
    return Base(BertModel(config, add_pooling_layer=False), tokenizer, "a tiny one")


@pytest.fixture
def settings() -> Settings:
    """Of a run of a few steps."""
    stage = Stage(epochs=6.0, batch=4, rate=3e-3, head_rate=1e-2, layer_decay=1.0, weight_decay=0.0, warmup=0.1)
    return Settings(
        base="",
        layers=2,
        window=64,
        dropout=0.0,
        seed=3,
        checkpoint_steps=3,
        noise=Noise(0.2, 0.05, 0.2, 0.2),
        objective=Objective(1.0, 1.0, 0.0),
        replay=0.5,
        teach=Teach(share=0.5, unlabelled=1),
        adapt=stage,
        broad=stage,
        real=stage,
    )


@pytest.fixture(scope="session")
def language() -> Language:
    return load_language()


@pytest.fixture(scope="session")
def morphology() -> Morphology:
    return Morphology()


@pytest.fixture(scope="session")
def reader(language: Language, morphology: Morphology) -> Reader:
    return Reader(language, morphology)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED.is_dir():
        pytest.skip("needs ../shared/data, which only the maintainers have")
    return SHARED
