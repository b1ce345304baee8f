"""What the tests share. Real texts lie beside the repository or nowhere; tests that want them skip by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from otklik.nlp.analyzer import Analyzer
from otklik.nlp.language import Language, load_language
from otklik.nlp.morphology import Morphology
from otklik.nlp.preprocess import Reader
from otklik.taxonomy.load import load_taxonomy
from otklik.taxonomy.model import Taxonomy

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=200)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def taxonomy() -> Taxonomy:
    return load_taxonomy()


@pytest.fixture(scope="session")
def analyzer(taxonomy: Taxonomy) -> Analyzer:
    return Analyzer(taxonomy)


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
