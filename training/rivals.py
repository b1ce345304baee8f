"""What a user would pick instead, trained on the same cases in the same run."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_union
from transformers import BertForSequenceClassification, PreTrainedTokenizerFast, TextClassificationPipeline

from otklik.nlp.analyzer import Analyzer
from otklik.nlp.records import Analysis, Score, Urgency
from otklik.taxonomy.model import Taxonomy
from otklik.training.base import BUNDLED, bundled_file, read_bundled
from otklik.training.cases import Case
from otklik.training.checkpoint import Checkpoint
from otklik.training.dataset import Labels
from otklik.training.evaluate import Report, evaluate

Array = np.ndarray[Any, Any]
_STRENGTHS = (1.0, 10.0, 100.0)  # inverse regularisation of the logistic regressions; the best on a held-out tenth is taken
_THRESHOLDS = np.arange(0.1, 0.9, 0.05)
_HELD_OUT = 10
_TOKENS = 512
_PIPELINE_BATCH = 32
_PIPELINE_ALONE = 50
_MARKS = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def compare(taxonomy: Taxonomy, train: Sequence[Case], gold: Sequence[Case]) -> dict[str, Report]:
    """Reports by rival on ``gold``."""
    return {name: evaluate(taxonomy, gold, analyses) for name, analyses in answers(taxonomy, train, gold).items()}


def answers(taxonomy: Taxonomy, train: Sequence[Case], gold: Sequence[Case]) -> dict[str, list[Analysis]]:
    """By rival. Each chooses its strength and its common threshold on a held-out tenth of ``train``; ``gold`` is only read."""
    labels = Labels.of(taxonomy)
    known, asked = [case.text for case in train], [case.text for case in gold]
    return {
        "keywords": Analyzer(taxonomy).analyze_all(asked),
        "TF-IDF (words 1–2, characters 2–5) + logistic regression": _logistic(labels, train, *_tfidf(known, asked)),
        f"frozen multilingual-e5-small ({BUNDLED}) + logistic regression": _logistic(labels, train, *_frozen(known, asked)),
        "fastText, one against all": _fasttext(labels, train, gold),
    }


def _tfidf(train: Sequence[str], gold: Sequence[str]) -> tuple[Any, Any]:
    union = make_union(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=3, max_features=100_000, sublinear_tf=True),
    )
    return union.fit_transform(train), union.transform(gold)


def _frozen(train: Sequence[str], gold: Sequence[str]) -> tuple[Any, Any]:
    """Sentence vectors with the prefix that the authors of e5 ask for, at most `_TOKENS` tokens."""
    base = read_bundled(bundled_file())
    base.encoder.eval()
    bos, eos, pad = base.special

    def vectors(texts: Sequence[str]) -> Array:
        ids = [
            [bos, *encoding.ids[: _TOKENS - 2], eos]
            for encoding in base.tokenizer.encode_batch([f"query: {text}" for text in texts], add_special_tokens=False)
        ]
        found = np.zeros((len(texts), base.encoder.config.hidden_size), np.float32)
        order = sorted(range(len(ids)), key=lambda number: len(ids[number]))
        for start in range(0, len(order), 32):
            members = order[start : start + 32]
            width = max(len(ids[member]) for member in members)
            batch = torch.tensor([ids[member] + [pad] * (width - len(ids[member])) for member in members])
            mask = (batch != pad).long()
            with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
                states = base.encoder(batch, attention_mask=mask).last_hidden_state.float()
            means = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            found[members] = torch.nn.functional.normalize(means, dim=1).numpy()
        return found

    return vectors(train), vectors(gold)


def _logistic(labels: Labels, train: Sequence[Case], known: Any, asked: Any) -> list[Analysis]:
    held = np.arange(len(train)) % _HELD_OUT == 0

    def chances(layer: Sequence[str], rows: Any, truth: Array, wanted: Any, strength: float) -> Array:
        columns = []
        for column in range(len(layer)):
            if truth[:, column].any() and not truth[:, column].all():
                model = LogisticRegression(C=strength, class_weight="balanced", solver="liblinear").fit(rows, truth[:, column])
                columns.append(model.predict_proba(wanted)[:, 1])
            else:
                columns.append(np.full(wanted.shape[0], float(truth[:, column].mean())))
        return np.array(columns).T

    given = {}
    for layer in (labels.categories, labels.triggers):
        truth = _truth(layer, train)
        tried = {}
        for strength in _STRENGTHS:
            scores = chances(layer, known[~held], truth[~held], known[held], strength)
            for threshold in _THRESHOLDS:
                tried[strength, float(threshold)] = _macro(truth[held], scores >= threshold)
        strength, threshold = max(tried, key=lambda pair: tried[pair])
        given[layer] = chances(layer, known, truth, asked, strength) >= threshold
    attitudes = np.array([case.sentiment for case in train])
    sentiment = LogisticRegression(C=10.0, class_weight="balanced", max_iter=300).fit(known, attitudes).predict(asked)
    return _analyses(labels, given[labels.categories], given[labels.triggers], sentiment)


def _truth(layer: Sequence[str], cases: Sequence[Case]) -> Array:
    return np.array([[label in case.categories or label in case.trigger_ids for label in layer] for case in cases])


def _macro(truth: Array, given: Array) -> float:
    hits = (truth & given).sum(0)
    total = truth.sum(0) + given.sum(0)
    return float(np.mean(2 * hits[truth.any(0)] / np.maximum(total[truth.any(0)], 1)))


def _analyses(labels: Labels, categories: Array, triggers: Array, sentiments: Sequence[str]) -> list[Analysis]:
    def scores(names: Sequence[str], row: Array) -> tuple[Score, ...]:
        return tuple(Score(name, 1.0) for name, given in zip(names, row, strict=True) if given)

    return [
        Analysis(
            "rival",
            "",
            Score(str(sentiment), 1.0),
            scores(labels.categories, category),
            scores(labels.triggers, trigger),
            Urgency(None, None, None),
            (),
        )
        for category, trigger, sentiment in zip(categories, triggers, sentiments, strict=True)
    ]


def _fasttext(labels: Labels, train: Sequence[Case], gold: Sequence[Case]) -> list[Analysis]:
    """Joulin et al. 2016; words 1–2 and character n-grams 3–6, the loss «one against all» for layers with several labels."""
    held = set(range(0, len(train), _HELD_OUT))
    given = {}
    for layer in (labels.categories, labels.triggers):
        marks = [[f"__label__{label}" for label in layer if label in case.categories or label in case.trigger_ids] for case in train]
        chosen = [number for number in range(len(train)) if number not in held]
        part = _fasttext_scores([marks[n] for n in chosen], [train[n] for n in chosen], [train[n] for n in sorted(held)], layer, "ova")
        truth = _truth(layer, [train[n] for n in sorted(held)])
        threshold = max(_THRESHOLDS, key=lambda t: _macro(truth, part >= t))
        given[layer] = _fasttext_scores(marks, train, gold, layer, "ova") >= threshold
    marks = [[f"__label__{case.sentiment}"] for case in train]
    attitude = _fasttext_scores(marks, train, gold, labels.sentiments, "softmax").argmax(1)
    return _analyses(labels, given[labels.categories], given[labels.triggers], [labels.sentiments[number] for number in attitude])


def _fasttext_scores(
    marks: Sequence[Sequence[str]], train: Sequence[Case], asked: Sequence[Case], layer: Sequence[str], loss: str
) -> Array:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "train.txt"
        lines = (f"{' '.join(given) or '__label__none'} {_plain(case.text)}" for given, case in zip(marks, train, strict=True))
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        model = fasttext.train_supervised(
            str(file), loss=loss, epoch=40, lr=0.4, wordNgrams=2, minn=3, maxn=6, dim=100, bucket=200_000, thread=1, verbose=0, seed=1
        )
        rows = []
        for case in asked:
            found: Mapping[str, float] = {label: chance for chance, label in model.f.predict(_plain(case.text) + "\n", -1, 0.0, "strict")}
            rows.append([found.get(f"__label__{label}", 0.0) for label in layer])
    return np.array(rows)


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


@dataclass(frozen=True, slots=True)
class PipelineSpeed:
    """Texts a second as the pipeline comes (one text after another) and by batches of `_PIPELINE_BATCH`; median latency of one text."""

    as_it_comes: float
    batched: float
    latency_ms: float


def pipeline_speed(current: Checkpoint, texts: Sequence[str]) -> PipelineSpeed:
    """The plain pipeline of transformers, fp32, on the encoder of a checkpoint, with a head of its own for the labels."""
    encoder = current.base.encoder
    config = encoder.config
    config.num_labels = len(current.labels.multi)
    config._attn_implementation = "sdpa"  # noqa: SLF001  the default that a user would get
    model = BertForSequenceClassification(config).eval()
    model.bert.load_state_dict(encoder.state_dict(), strict=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=current.base.tokenizer, **_MARKS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = TextClassificationPipeline(model=model, tokenizer=tokenizer, device=-1, function_to_apply="sigmoid", top_k=None)
        cut = {"truncation": True, "max_length": _TOKENS}
        pipeline(list(texts[:8]), **cut)
        start = time.perf_counter()
        pipeline(list(texts), **cut)
        as_it_comes = len(texts) / (time.perf_counter() - start)
        start = time.perf_counter()
        pipeline(list(texts), batch_size=_PIPELINE_BATCH, **cut)
        batched = len(texts) / (time.perf_counter() - start)
        latencies = []
        for text in texts[:_PIPELINE_ALONE]:
            start = time.perf_counter()
            pipeline(text, **cut)
            latencies.append(time.perf_counter() - start)
    return PipelineSpeed(as_it_comes, batched, float(np.median(latencies)) * 1000)
