"""Checkpoint → artefact, artefact → checkpoint, and the proof that both say the same."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from tokenizers import Tokenizer

from otklik.nlp.artefact import GRAPH, MANIFEST, TOKENIZER, WEIGHTS, Calibration, Manifest, file_digest, read_manifest, write_manifest
from otklik.nlp.classifier import Classifier
from otklik.nlp.hybrid import BELIEVED
from otklik.nlp.passages import Window, encode, fill, pack, split
from otklik.nlp.pooling import pool
from otklik.nlp.preprocess import Reader
from otklik.nlp.runtime import ov
from otklik.taxonomy.model import Taxonomy
from otklik.training import checkpoint as checkpoints
from otklik.training.base import Base, fresh
from otklik.training.checkpoint import Checkpoint
from otklik.training.dataset import Labels
from otklik.training.graph import to_graph, to_state
from otklik.training.network import RARE, Network, Objective
from otklik.training.problems import TrainingError

PLAIN = Calibration(slope=1.0, rule=0.0, bias=0.0, threshold=0.5)


def export(checkpoint: Checkpoint, taxonomy: Taxonomy, folder: Path) -> Manifest:
    """Writes a model folder, not calibrated yet. An older model there is replaced as a whole, or stays as it was.

    Raises `TrainingError` for a folder that holds something else, for labels of another taxonomy, and for encoders that are not BERT.
    """
    config = checkpoint.base.encoder.config
    if config.model_type != "bert" or config.hidden_act != "gelu":
        raise TrainingError(f"{checkpoint.base.origin}: a {config.model_type} can be trained, but only BERT with gelu can be exported")
    if checkpoint.labels != Labels.of(taxonomy):
        raise TrainingError(
            f"the checkpoint was trained for other labels than those of {taxonomy.id} {taxonomy.version}: name its taxonomy"
        )
    if folder.exists() and not (folder / MANIFEST).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise TrainingError(f"{folder}: holds something that is no model; name an empty or a new folder")
    state = {name: tensor.detach().numpy() for name, tensor in checkpoint.network.state_dict().items()}
    graph = to_graph(state, config.num_hidden_layers, config.num_attention_heads, config.layer_norm_eps, config.pad_token_id)
    labels = checkpoint.labels
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        new = Path(temporary) / folder.name
        new.mkdir()
        ov.save_model(graph, new / GRAPH, compress_to_fp16=False)
        checkpoint.base.tokenizer.save(str(new / TOKENIZER), pretty=False)
        manifest = Manifest(
            version=f"{taxonomy.id}-1-{file_digest(new / WEIGHTS)[:8]}",
            taxonomy_id=taxonomy.id,
            taxonomy_version=taxonomy.base_version,
            origin=checkpoint.base.origin,
            categories=labels.categories,
            triggers=labels.triggers,
            sentiments=labels.sentiments,
            window=checkpoint.window,
            special=checkpoint.base.special,
            calibration=dict.fromkeys(labels.multi, PLAIN),
            sentiment_temperature=1.0,
            sentiment_bias=dict.fromkeys(labels.sentiments, 0.0),
            unusual_below=0.0,
            review_below=0.0,
        )
        write_manifest(new, manifest)
        if folder.exists():
            folder.replace(Path(temporary) / "old")
        new.replace(folder)
    return manifest


def keep_calibration(folder: Path, manifest: Manifest, old: Manifest) -> None:
    """What was calibrated for the labels of the model that a training started from.

    A new label has too few cases to be calibrated: it takes the means of its layer, and what its words find is believed.
    """
    known = {label: old.calibration[label] for label in manifest.labels if label in old.calibration}
    for layer, before in ((manifest.categories, old.categories), (manifest.triggers, old.triggers)):
        like = [old.calibration[label] for label in before]
        slope, bias, threshold = (round(fmean(getattr(c, name) for c in like), 4) for name in ("slope", "bias", "threshold"))
        known |= {label: Calibration(slope, BELIEVED, bias, threshold) for label in layer if label not in old.calibration}
    kept = replace(
        manifest,
        calibration={**manifest.calibration, **known},
        sentiment_temperature=old.sentiment_temperature,
        sentiment_bias=old.sentiment_bias,
        unusual_below=old.unusual_below,
        review_below=old.review_below,
    )
    write_manifest(folder, kept)


def opened(folder: Path, objective: Objective, dropout: float) -> Checkpoint:
    """The network of a checkpoint, or of a model folder."""
    return checkpoints.load(folder) if checkpoints.is_saved(folder) else restore(folder, objective, dropout)


def restore(folder: Path, objective: Objective, dropout: float) -> Checkpoint:
    """The network of a model folder, its matrices rounded to 8 bits: where a fine-tuning can start with nothing but the repository."""
    manifest = read_manifest(folder)
    graph = ov.Core().read_model(folder / GRAPH)
    state = {name: torch.from_numpy(np.array(values)) for name, values in to_state(graph).items()}
    pieces, width = state["encoder.embeddings.word_embeddings.weight"].shape
    inner = state["encoder.encoder.layer.0.intermediate.dense.weight"].shape[0]
    layers = 1 + max(int(name.split(".")[3]) for name in state if name.startswith("encoder.encoder.layer."))
    encoder = fresh(
        {
            "model_type": "bert",
            "vocab_size": pieces,
            "hidden_size": width,
            "num_hidden_layers": layers,
            "num_attention_heads": _heads(graph),
            "intermediate_size": inner,
            "max_position_embeddings": state["encoder.embeddings.position_embeddings.weight"].shape[0],
            "type_vocab_size": state["encoder.embeddings.token_type_embeddings.weight"].shape[0],
            "pad_token_id": manifest.special[2],
        }
    )
    base = Base(encoder, Tokenizer.from_file(str(folder / TOKENIZER)), f"{manifest.version}: {manifest.origin}")
    labels = Labels(manifest.categories, manifest.triggers, manifest.sentiments)
    network = Network(base.encoder, len(labels.multi), len(labels.sentiments), objective, dropout)
    network.load_state_dict(state)
    return Checkpoint(network.eval(), base, labels, manifest.window)


def _heads(graph: ov.Model) -> int:
    """From the shape that splits the width into heads: (0, 0, heads, width of a head)."""
    for node in graph.get_ops():
        if node.get_type_name() == "Reshape":
            shape = node.input_value(1).get_node()
            if shape.get_type_name() == "Constant" and shape.get_data().size == 4:
                return int(shape.get_data()[2])
    raise ValueError("the graph splits nothing into heads: it is not one of this project")


def extend(checkpoint: Checkpoint, labels: Labels) -> Checkpoint:
    """The same network for another list of labels: rows of the head that are known stay, new ones begin at a rare label's bias."""
    old, new = checkpoint.labels, labels
    if old == new:
        return checkpoint
    network = Network(
        checkpoint.base.encoder, len(new.multi), len(new.sentiments), checkpoint.network.objective, checkpoint.network.head[1].p
    )
    state = checkpoint.network.state_dict()
    names = (*old.multi, *old.sentiments, None)
    wanted = (*new.multi, *new.sentiments, None)
    last = max(int(name.split(".")[1]) for name in state if name.startswith("head."))
    weight, bias = state[f"head.{last}.weight"], state[f"head.{last}.bias"]
    torch.manual_seed(0)
    state[f"head.{last}.weight"] = torch.stack(
        [weight[names.index(n)] if n in names else torch.randn(weight.shape[1]) * 0.02 for n in wanted]
    )
    state[f"head.{last}.bias"] = torch.stack([bias[names.index(n)] if n in names else torch.tensor(RARE) for n in wanted])
    network.load_state_dict(state)
    return Checkpoint(network.eval(), checkpoint.base, new, checkpoint.window)


@dataclass(frozen=True, slots=True)
class Parity:
    """Artefact against checkpoint, before calibration: ``furthest`` in logits; how many ``labels`` (at 0.5) and ``sentiments`` differ."""

    texts: int
    furthest: float
    labels: int
    sentiments: int


def parity(checkpoint: Checkpoint, folder: Path, texts: Sequence[str], reader: Reader) -> Parity:
    """Reads every text with both."""
    documents = [reader.read(text) for text in texts]
    readings = Classifier(folder).read(documents)
    furthest, labels, sentiments = 0.0, 0, 0
    bos, eos, pad = checkpoint.base.special
    for document, reading in zip(documents, readings, strict=True):
        passages = [document.text[start:stop] for start, stop in split(document)]
        windows = pack(encode(checkpoint.base.tokenizer, passages), bos, eos, checkpoint.window) or [Window((bos, eos), ((0, 0, 2),))]
        ids, spread = map(torch.from_numpy, fill(windows, pad))
        with torch.no_grad():
            found = checkpoint.network.passages(ids, spread).numpy()
        outputs = np.concatenate([found[number, : len(window.passages)] for number, window in enumerate(windows)])
        wanted, attitude = pool(outputs, len(checkpoint.labels.multi))
        furthest = max(furthest, float(np.abs(wanted - reading.labels).max()), float(np.abs(attitude - reading.sentiments).max()))
        labels += int(((wanted > 0) != (reading.labels > 0)).sum())
        sentiments += int(attitude.argmax() != reading.sentiments.argmax())
    return Parity(len(documents), furthest, labels, sentiments)
