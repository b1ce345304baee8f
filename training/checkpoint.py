"""A trained network on disk: parameters, tokenizer and what its outputs mean. No pickle."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import nn

from otklik.training.base import Base, fresh, unlimited
from otklik.training.dataset import Labels
from otklik.training.finetune import Settings
from otklik.training.network import Network, Objective
from otklik.training.problems import TrainingError

_WEIGHTS, _ABOUT, _TOKENIZER = "network.safetensors", "network.json", "tokenizer.json"


class CheckpointError(TrainingError):
    """A folder that holds no usable network; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A network with all that is needed to train it on or to export it."""

    network: Network
    base: Base
    labels: Labels
    window: int


def create(base: Base, labels: Labels, settings: Settings) -> Checkpoint:
    """A fresh head on ``settings.layers`` layers of an encoder, spread evenly over those that it has."""
    layers = base.encoder.encoder.layer
    if not 0 < settings.layers <= len(layers):
        raise CheckpointError(f"layers = {settings.layers}, but {base.origin} has {len(layers)}: change layers in the settings")
    kept = [round((number + 1) * len(layers) / settings.layers) - 1 for number in range(settings.layers)]
    base.encoder.encoder.layer = nn.ModuleList(layers[number] for number in kept)
    base.encoder.config.num_hidden_layers = settings.layers
    network = Network(base.encoder, len(labels.multi), len(labels.sentiments), settings.objective, settings.dropout)
    return Checkpoint(network, base, labels, settings.window)


def mean(start: Checkpoint, tuned: Checkpoint, share: float) -> Checkpoint:
    """``tuned``, in place, with the weighted mean of the weights of both; ``share`` (0..1) is that of ``tuned``.

    Keeps more of what the start knew about other kinds of text than training alone does (WiSE-FT, Wortsman et al. 2022).
    Raises `CheckpointError` where one network cannot have come from the other.
    """
    first, second = start.network.state_dict(), tuned.network.state_dict()
    if start.labels != tuned.labels or {n: t.shape for n, t in first.items()} != {n: t.shape for n, t in second.items()}:
        raise CheckpointError("no mean of these two: they have other labels or sizes; name the checkpoint that the training started from")
    tuned.network.load_state_dict({name: torch.lerp(first[name], weights, share) for name, weights in second.items()})
    return tuned


def save(checkpoint: Checkpoint, folder: Path, mark: str = "") -> None:
    """``mark`` tells what it was trained from and with. ``network.json`` is written last: half a folder is no checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _ABOUT).unlink(missing_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in checkpoint.network.state_dict().items()}, str(folder / _WEIGHTS))
    checkpoint.base.tokenizer.save(str(folder / _TOKENIZER))
    about = {
        "mark": mark,
        "labels": asdict(checkpoint.labels),
        "window": checkpoint.window,
        "origin": checkpoint.base.origin,
        "dropout": checkpoint.network.head[1].p,
        "objective": asdict(checkpoint.network.objective),
        "encoder": checkpoint.base.encoder.config.to_dict(),
    }
    (folder / _ABOUT).write_text(json.dumps(about, ensure_ascii=False, indent=1, default=str) + "\n", encoding="utf-8")


def is_saved(folder: Path, mark: str | None = None) -> bool:
    """Whether `save` came to its end there. Raises `CheckpointError` if it did with another ``mark`` than the one given."""
    if not (folder / _ABOUT).is_file():
        return False
    if mark is not None and json.loads((folder / _ABOUT).read_text(encoding="utf-8")).get("mark") != mark:
        raise CheckpointError(f"{folder}: was trained with other settings or cases; name another folder, or leave --resume out")
    return True


def weights_digest(folder: Path) -> str:
    """SHA-256 of the parameters, hexadecimal."""
    with (folder / _WEIGHTS).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def load(folder: Path) -> Checkpoint:
    """Raises `CheckpointError` where the folder holds none."""
    if not is_saved(folder):
        raise CheckpointError(f"{folder}: no {_ABOUT}, so this is no checkpoint; name a folder that otklik-train finetune wrote")
    about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    encoder = fresh(about["encoder"])
    base = Base(encoder, unlimited(Tokenizer.from_file(str(folder / _TOKENIZER))), about["origin"])
    labels = Labels(**{name: tuple(values) for name, values in about["labels"].items()})
    network = Network(encoder, len(labels.multi), len(labels.sentiments), Objective(**about["objective"]), about["dropout"])
    network.load_state_dict(load_file(str(folder / _WEIGHTS)))
    return Checkpoint(network.eval(), base, labels, about["window"])
