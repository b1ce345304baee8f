"""The whole training, stage by stage, each kept on disk when it is done: an interrupted run goes on where it was."""

from __future__ import annotations

import hashlib
import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from otklik.nlp.analyzer import known_share
from otklik.nlp.classifier import Classifier
from otklik.nlp.rules import Rules
from otklik.training import checkpoint as checkpoints
from otklik.training.adapt import Adapter, weak_cases
from otklik.training.base import load_base
from otklik.training.cases import Case, CasesError, Quote
from otklik.training.checkpoint import Checkpoint
from otklik.training.dataset import Collator, Labels, to_dataset
from otklik.training.export import export, extend, opened
from otklik.training.finetune import Settings, Stage, train
from otklik.training.labels import digest
from otklik.training.problems import TrainingError
from otklik.training.teach import Teaching, teach

_UNKNOWN = "<unk>", "[UNK]"


@dataclass(frozen=True, slots=True)
class Corpus:
    """What there is to learn from.

    ``unlabelled``: rows with «text» and maybe «rating»; ``broad``: cases of many industries, written for the project or read from the
    unlabelled texts; ``real``: the cases whose kind the model will be judged by.
    """

    unlabelled: Sequence[dict[str, Any]]
    broad: Sequence[Case]
    real: Sequence[Case]


@dataclass(frozen=True, slots=True)
class Prediction:
    """One text read by a model that was not trained on it: raw logits by label, and the scores of the rules."""

    case: Case
    labels: dict[str, float]
    sentiments: dict[str, float]
    rules: dict[str, float]
    known: float | None = None  # share of the words that the dictionary knows


def run(
    settings: Settings,
    corpus: Corpus,
    rules: Rules,
    folder: Path,
    cache: Path | None,
    teachers: Sequence[Path] = (),
    *,
    resume: bool,
    quiet: bool = False,
) -> Checkpoint:
    """Base → adapted → broad → real. Stages that ``folder`` holds already are not done again when ``resume`` is set."""
    start = broad(settings, corpus, rules, folder, cache, resume=resume, quiet=quiet)
    taught = teaching(settings, corpus, teachers)
    return real(settings, start, corpus.real, corpus.broad, rules, folder / "real", taught, resume=resume, quiet=quiet)


def go_on(
    settings: Settings,
    start: Path,
    corpus: Corpus,
    rules: Rules,
    folder: Path,
    teachers: Sequence[Path] = (),
    *,
    resume: bool,
    quiet: bool = False,
) -> Checkpoint:
    """Only the last stage, from a checkpoint or from a model folder, for the labels of the taxonomy at hand, new ones among them.

    Whoever labelled the replayed cases did not look for the new labels: there they are left open, neither learnt nor unlearnt.
    """
    kept = folder / "start"
    first = opened(start, settings.objective, settings.dropout)
    new = frozenset(Labels.of(rules.taxonomy).multi) - frozenset(first.labels.multi)
    if not (resume and checkpoints.is_saved(kept)):
        extended = extend(first, Labels.of(rules.taxonomy))
        checkpoints.save(replace(extended, window=settings.window), kept)
    replayed = [replace(case, unasked=new) for case in corpus.broad]
    taught = teaching(settings, corpus, teachers)
    return real(settings, kept, corpus.real, replayed, rules, folder / "real", taught, resume=resume, quiet=quiet)


def teaching(settings: Settings, corpus: Corpus, teachers: Sequence[Path]) -> Teaching | None:
    """What the teachers do in the last stage; the texts that they label have no labels of their own in the corpus."""
    if not teachers:
        return None
    labelled = {case.text for case in (*corpus.broad, *corpus.real)}
    texts = [text for text in dict.fromkeys(row["text"] for row in corpus.unlabelled) if text not in labelled]
    sample = random.Random(settings.seed).sample(texts, min(len(texts), settings.teach.unlabelled))
    return Teaching(tuple(teachers), tuple(sample), settings.teach.share)


def broad(settings: Settings, corpus: Corpus, rules: Rules, folder: Path, cache: Path | None, *, resume: bool, quiet: bool = False) -> Path:
    """The stages that see none of the real cases; the folder of the result. Cross-validation starts here, once for all folds."""
    first = _mark(settings, settings.adapt, [row["text"] for row in corpus.unlabelled] if settings.adapt.epochs else [])
    adapted, kept = folder / "adapted", folder / "broad"
    mark = _mark(settings, settings.broad, first, corpus.broad)
    if resume and checkpoints.is_saved(kept, mark):
        return kept
    if resume and checkpoints.is_saved(adapted, first):
        current = checkpoints.load(adapted)
    else:
        current = checkpoints.create(load_base(settings.base, cache), Labels.of(rules.taxonomy), settings)
        if settings.adapt.epochs and corpus.unlabelled:
            _adapt(settings, current, corpus.unlabelled, rules, folder / "adapt-steps", first, resume=resume, quiet=quiet)
        checkpoints.save(current, adapted, first)
    if settings.broad.epochs and corpus.broad:
        fit(settings, current, corpus.broad, settings.broad, rules, folder / "broad-steps", mark, resume=resume, quiet=quiet)
    checkpoints.save(current, kept, mark)
    return kept


def _mark(settings: Settings, stage: Stage, *parts: Any) -> str:
    """SHA-256 of all that a stage's result follows from."""
    common = replace(settings, adapt=stage, broad=stage, real=stage)
    return hashlib.sha256(repr((common, parts)).encode("utf-8")).hexdigest()


def _adapt(
    settings: Settings,
    current: Checkpoint,
    rows: Sequence[dict[str, Any]],
    rules: Rules,
    folder: Path,
    mark: str,
    *,
    resume: bool,
    quiet: bool,
) -> None:
    unknown = next(number for name in _UNKNOWN if (number := current.base.tokenizer.token_to_id(name)) is not None)
    adapter = Adapter(current.network, unknown, (*current.base.special, unknown))
    weak = to_dataset(list(weak_cases(rules, rows)), current.labels, rules.reader)
    train(adapter, weak, _collator(settings, current), settings.adapt, settings, folder, mark, resume=resume, quiet=quiet)


def _collator(settings: Settings, current: Checkpoint) -> Collator:
    return Collator(current.base.tokenizer, current.base.special, current.window, settings.noise)


def fit(
    settings: Settings,
    current: Checkpoint,
    cases: Sequence[Case],
    stage: Stage,
    rules: Rules,
    folder: Path,
    mark: str = "",
    taught: Teaching | None = None,
    *,
    resume: bool,
    quiet: bool = False,
) -> None:
    """Trains a checkpoint on cases, in place. Raises `TrainingError` where its labels are not those of the taxonomy."""
    if current.labels != Labels.of(rules.taxonomy):
        raise TrainingError("the checkpoint has other labels than the taxonomy: start from it with --start, which adds the new ones")
    rows = teach(cases, current.labels, rules, taught) if taught else to_dataset(cases, current.labels, rules.reader)
    current.network.objective = settings.objective
    train(current.network, rows, _collator(settings, current), stage, settings, folder, mark, resume=resume, quiet=quiet)


def real(
    settings: Settings,
    start: Path,
    cases: Sequence[Case],
    replayed: Sequence[Case],
    rules: Rules,
    folder: Path,
    taught: Teaching | None = None,
    *,
    resume: bool,
    quiet: bool = False,
) -> Checkpoint:
    """The last stage: the real cases, with a sample of the broad ones so that other industries are not forgotten."""
    sample = random.Random(settings.seed).sample(list(replayed), min(len(replayed), round(settings.replay * len(cases))))
    mark = _mark(settings, settings.real, checkpoints.weights_digest(start), cases, sample, str(taught))
    if resume and checkpoints.is_saved(folder, mark):
        return checkpoints.load(folder)
    current = checkpoints.load(start)
    steps = folder.with_name(f"{folder.name}-steps")
    fit(settings, current, [*cases, *sample], settings.real, rules, steps, mark, taught, resume=resume, quiet=quiet)
    checkpoints.save(current, folder, mark)
    return current


def cross_validate(
    settings: Settings, start: Path, corpus: Corpus, rules: Rules, folder: Path, folds: int, *, resume: bool, quiet: bool = False
) -> Iterator[Prediction]:
    """Each real case read by a model that never saw it. Folds follow the digest of the text, so a text stays in its fold."""
    for fold in range(folds):
        inside = [case for case in corpus.real if fold_of(case, folds) != fold]
        outside = [case for case in corpus.real if fold_of(case, folds) == fold]
        current = real(settings, start, inside, corpus.broad, rules, folder / f"fold-{fold}", resume=resume, quiet=quiet)
        yield from predict(current, outside, rules)


def fold_of(case: Case, folds: int) -> int:
    """The fold that holds a case out."""
    return int(digest(case.text), 16) % folds


def predict(current: Checkpoint, cases: Sequence[Case], rules: Rules) -> Iterator[Prediction]:
    """Reads cases with the exported model: what is measured is what is served."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        export(current, rules.taxonomy, folder)
        yield from predict_with(Classifier(folder), cases, rules)


def predict_with(classifier: Classifier, cases: Sequence[Case], rules: Rules) -> Iterator[Prediction]:
    """Raw logits and the scores of the rules, in the order of the cases."""
    said = [rules.read(case.text) for case in cases]
    manifest = classifier.manifest
    for case, words, reading in zip(cases, said, classifier.read([each.document for each in said]), strict=True):
        yield Prediction(
            case,
            dict(zip(manifest.labels, map(float, reading.labels), strict=True)),
            dict(zip(manifest.sentiments, map(float, reading.sentiments), strict=True)),
            {score.id: score.score for score in (*words.scores, *words.triggers)},
            known_share(words.document),
        )


def write_predictions(path: Path, predictions: Sequence[Prediction]) -> None:
    """One line a text: its digest, the labels given and the logits; no text."""
    lines = [
        json.dumps(
            {
                "digest": digest(p.case.text),
                "domain": p.case.domain,
                "categories": p.case.categories,
                "sentiment": p.case.sentiment,
                "triggers": sorted(p.case.trigger_ids),
                "labels": {label: round(value, 4) for label, value in p.labels.items()},
                "sentiments": {label: round(value, 4) for label, value in p.sentiments.items()},
                "rules": p.rules,
                "known": p.known,
            },
            ensure_ascii=False,
        )
        for p in predictions
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_predictions(path: Path) -> list[Prediction]:
    """What `write_predictions` wrote; the cases come back with their labels and without texts. Raises `CasesError`."""
    found = []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            quotes = tuple(Quote(trigger, "") for trigger in row["triggers"])
            case = Case(row["digest"], "", tuple(row["categories"]), row["sentiment"], quotes, row["domain"])
            found.append(Prediction(case, row["labels"], row["sentiments"], row["rules"], row["known"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CasesError([f"{path}: not a file of predictions ({error}); otklik-train cross-validate writes them"]) from error
    return found
