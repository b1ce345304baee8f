"""The run: a dataset, a network and a settings file → trained weights; interrupted runs go on from their last checkpoint."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import nn
from transformers import Trainer, TrainingArguments, get_linear_schedule_with_warmup, set_seed
from transformers.trainer_utils import get_last_checkpoint

from otklik.training.dataset import Noise
from otklik.training.network import Objective
from otklik.training.problems import TrainingError


class SettingsError(TrainingError):
    """A settings file that is not whole; the message names every key."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One pass over some cases. ``rate``: of the encoder's last layer; each layer below has ``layer_decay`` times that of the one above."""

    epochs: float
    batch: int  # texts a step
    rate: float
    head_rate: float
    layer_decay: float
    weight_decay: float
    warmup: float  # share of the steps


@dataclass(frozen=True, slots=True)
class Teach:
    """Of the last stage with teachers: their ``share`` (0..1) in the targets, and how many ``unlabelled`` texts they label."""

    share: float
    unlabelled: int


@dataclass(frozen=True, slots=True)
class Settings:
    """What `finetune.toml` says; every key has to be there."""

    base: str
    layers: int
    window: int  # tokens
    dropout: float
    seed: int
    checkpoint_steps: int
    noise: Noise
    objective: Objective
    replay: float  # broad cases in the last stage for each real one
    teach: Teach
    adapt: Stage
    broad: Stage
    real: Stage


def read_settings(path: Path) -> Settings:
    """Raises `SettingsError` for a missing or an unknown key."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    parts: dict[str, Any] = {"noise": Noise, "objective": Objective, "teach": Teach, "adapt": Stage, "broad": Stage, "real": Stage}
    for name, kind in parts.items():
        _check(path, content.get(name, {}), kind, f"{name}.")
        content[name] = kind(**content[name])
    _check(path, content, Settings, "")
    return Settings(**content)


def _check(path: Path, content: dict[str, Any], kind: Any, where: str) -> None:
    known = {field.name for field in fields(kind)}
    problems = [f"{where}{name} is missing" for name in sorted(known - set(content))]
    problems += [f"{where}{name} is not a setting" for name in sorted(set(content) - known)]
    if problems:
        raise SettingsError(f"{path}: {'; '.join(problems)}")


def train(
    network: nn.Module,
    rows: Dataset,
    collate: Callable[[Sequence[dict[str, Any]]], dict[str, torch.Tensor]],
    stage: Stage,
    settings: Settings,
    folder: Path,
    mark: str = "",
    *,
    resume: bool = False,
    quiet: bool = False,
) -> None:
    """Trains in place. ``folder`` keeps the checkpoints; with ``resume`` a run goes on from the last one there, if there is any.

    Raises `SettingsError` where those are of a run with another ``mark``.
    """
    _open(folder, mark, resume=resume)
    set_seed(settings.seed)
    steps = max(1, round(len(rows) * stage.epochs / stage.batch))
    optimizer = torch.optim.AdamW(groups(network, stage), foreach=True)
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=stage.batch,
        train_sampling_strategy="group_by_length",
        length_column_name="length",
        bf16=True,
        use_cpu=not torch.cuda.is_available(),
        max_grad_norm=1.0,
        seed=settings.seed,
        save_strategy="steps",
        save_steps=settings.checkpoint_steps,
        save_total_limit=1,
        logging_steps=50,
        disable_tqdm=quiet,
        report_to=[],
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )
    schedule = get_linear_schedule_with_warmup(optimizer, round(steps * stage.warmup), steps)
    trainer = Trainer(network, arguments, data_collator=collate, train_dataset=rows, optimizers=(optimizer, schedule))
    last = get_last_checkpoint(str(folder)) if resume and folder.is_dir() else None
    trainer.train(resume_from_checkpoint=last)
    network.cpu().eval()


def _open(folder: Path, mark: str, *, resume: bool) -> None:
    """An empty folder, or with ``resume`` one that the same run has left."""
    if folder.is_dir() and not resume:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "mark.txt"
    if file.is_file() and file.read_text(encoding="utf-8") != mark:
        raise SettingsError(f"{folder}: a run with other settings or cases was cut off here; name another folder, or leave --resume out")
    file.write_text(mark, encoding="utf-8")


def groups(network: nn.Module, stage: Stage) -> list[dict[str, Any]]:
    """Parameters with their rates: the head's, and one a layer, falling towards the embeddings. Norms and biases do not decay."""
    layers = 1 + max(
        (int(name.split("encoder.layer.")[1].split(".")[0]) for name, _ in network.named_parameters() if "encoder.layer." in name),
        default=-1,
    )
    by_kind: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if "encoder.layer." in name:
            rate = stage.rate * stage.layer_decay ** (layers - 1 - int(name.split("encoder.layer.")[1].split(".")[0]))
        elif "embeddings." in name:
            rate = stage.rate * stage.layer_decay**layers
        else:
            rate = stage.head_rate
        by_kind.setdefault((rate, stage.weight_decay if parameter.ndim > 1 else 0.0), []).append(parameter)
    return [{"params": parameters, "lr": rate, "weight_decay": decay} for (rate, decay), parameters in by_kind.items()]
