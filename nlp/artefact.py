"""The model folder: its files, its format, its digests. The only file that knows them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

FORMAT = 1
GRAPH, WEIGHTS, TOKENIZER, MANIFEST, CARD = "model.xml", "model.bin", "tokenizer.json", "manifest.json", "MODEL_CARD.md"
_DIGESTED = (GRAPH, WEIGHTS, TOKENIZER)


class ArtefactError(ValueError):
    """A model folder that cannot be used; ``code`` is for programs, the message says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Calibration:
    """One label: probability = sigmoid(slope · logit + rule · score of the rules + bias); it is given from ``threshold`` on."""

    slope: float
    rule: float
    bias: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the files of a model mean. Labels stand in the order of the network's outputs; everything else is keyed by label."""

    version: str  # «service-core-1-» and the first digits of the weights' digest; goes out as ``model_version``
    taxonomy_id: str
    taxonomy_version: str
    origin: str  # of the encoder
    categories: tuple[str, ...]
    triggers: tuple[str, ...]
    sentiments: tuple[str, ...]
    window: int  # tokens
    special: tuple[int, int, int]  # ids that open a window, close it, fill a batch up
    calibration: Mapping[str, Calibration]  # of categories and triggers
    sentiment_temperature: float
    sentiment_bias: Mapping[str, float]  # added to the logit of the model
    unusual_below: float  # share of known words; below, the text is of a kind that the model has not seen
    review_below: float  # logits between the most doubtful category and its threshold; below, a person should look

    @property
    def labels(self) -> tuple[str, ...]:
        """What a text may have several of, in the order of the outputs."""
        return self.categories + self.triggers


def shipped() -> Path | None:
    """The model that came with the package, None if it came without."""
    folder = Path(str(files("otklik.nlp"))) / "models"
    found = sorted(path.parent for path in folder.glob(f"*/{MANIFEST}"))
    return found[-1] if found else None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Written last, so that half a folder is no model; holds the digests of the other files."""
    content = {"format": FORMAT, **asdict(manifest), "digests": {name: file_digest(folder / name) for name in _DIGESTED}}
    partial = folder / f".{MANIFEST}.part"
    partial.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    partial.replace(folder / MANIFEST)


def read_manifest(folder: Path) -> Manifest:
    """Reads and checks a model folder: format, digests, completeness. Raises `ArtefactError`."""
    file = folder / MANIFEST
    if not file.is_file():
        raise ArtefactError("model_missing", f"{folder}: no {MANIFEST}, so this is no model; name a folder that otklik-train export wrote")
    try:
        return _parse(folder, json.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise ArtefactError("model_broken", f"{folder}: cannot be read ({error.strerror})") from error
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ArtefactError(
            "model_broken", f"{file}: not a manifest of format {FORMAT} ({error}); fetch or export the model again"
        ) from error


def _parse(folder: Path, content: dict[str, Any]) -> Manifest:
    found = content.pop("format")
    if found != FORMAT:
        raise ArtefactError("model_format", f"{folder}: format {found}, but this Otklik reads {FORMAT}; export the model again")
    digests = content.pop("digests")
    for name in _DIGESTED:
        _check(folder / name, digests[name])
    content["calibration"] = {label: Calibration(**values) for label, values in content["calibration"].items()}
    content |= {name: tuple(content[name]) for name in ("categories", "triggers", "sentiments", "special")}
    manifest = Manifest(**content)
    _check_labels(folder, manifest)
    return manifest


def _check_labels(folder: Path, manifest: Manifest) -> None:
    """Raises `ArtefactError` for a manifest that would fail at the first text."""
    if set(manifest.calibration) != set(manifest.labels) or set(manifest.sentiment_bias) != set(manifest.sentiments):
        raise ArtefactError("model_broken", f"{folder}: calibration and labels differ; export and calibrate the model again")
    if not all(0 < c.threshold < 1 for c in manifest.calibration.values()) or manifest.sentiment_temperature <= 0:
        raise ArtefactError("model_broken", f"{folder}: a threshold outside 0..1 or a temperature that is not above 0; calibrate again")


def _check(path: Path, expected: str) -> None:
    if not path.is_file():
        raise ArtefactError("model_broken", f"{path}: missing; fetch or export the model again")
    found = file_digest(path)
    if found != expected:
        raise ArtefactError(
            "model_broken", f"{path}: digest {found[:12]}…, the manifest says {expected[:12]}…; fetch or export the model again"
        )


def file_digest(path: Path) -> str:
    """SHA-256, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
