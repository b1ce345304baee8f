"""Runs the exported transformer: documents in, logits of passages and of texts out."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from otklik.nlp.artefact import GRAPH, TOKENIZER, ArtefactError, Manifest, read_manifest
from otklik.nlp.passages import Window, encode, fill, filled, pack, split
from otklik.nlp.pooling import Array, pool
from otklik.nlp.records import Document
from otklik.nlp.runtime import ov

_BATCH = 1024  # tokens of a batch, padding included: larger ones were no faster and held more memory
_GROUP = "128"  # activations of a token are quantised in groups of so many; answers then do not depend on the other texts of a batch
_STEP = 16  # sizes are multiples of it: of 8 made more and smaller batches, of 24 more padding


def _cores() -> int:
    """Of this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Reading:
    """What the model says of one text. ``passages`` are ``[start, stop)`` of the cleaned text; ``outputs`` has a row for each."""

    passages: tuple[tuple[int, int], ...]
    outputs: Array
    labels: Array
    sentiments: Array


class Classifier:
    """One loaded model, shared by threads. Raises `ArtefactError` where the folder is no model or a damaged one."""

    def __init__(self, folder: Path, threads: int = 0) -> None:
        """``threads``: of the processor for one batch; 0 leaves the choice to the runtime."""
        self.manifest: Manifest = read_manifest(folder)
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        core = ov.Core()
        core.set_property({"ENABLE_MMAP": False})  # a file that is replaced under a running process must not take it down
        settings: dict[str, Any] = {"DYNAMIC_QUANTIZATION_GROUP_SIZE": _GROUP, "NUM_STREAMS": "1", "PERFORMANCE_HINT": "LATENCY"}
        # Threads on cores of their own answer sooner; but where several processes share the cores, each would take the first.
        settings["ENABLE_CPU_PINNING"] = not 0 < threads < _cores()
        if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            settings["INFERENCE_PRECISION_HINT"] = "bf16"
        if threads:
            settings["INFERENCE_NUM_THREADS"] = str(threads)
        try:
            self._compiled = core.compile_model(core.read_model(folder / GRAPH), "CPU", settings)
        except RuntimeError as error:
            raise ArtefactError("model_broken", f"{folder}: the runtime cannot load the graph ({error})") from error
        self._local = threading.local()

    def read(self, documents: Sequence[Document]) -> list[Reading]:
        """One reading a document, in order, the same whatever the others are; an empty text reads as its two border marks."""
        spans = [split(document) or [(0, len(document.text))] for document in documents]
        windows: list[tuple[int, Window]] = []
        for number, (document, places) in enumerate(zip(documents, spans, strict=True)):
            windows += ((number, window) for window in self.windows([document.text[start:stop] for start, stop in places]))
        rows: list[list[tuple[int, Array]]] = [[] for _ in documents]
        for (number, window), output in zip(windows, self._outputs([window for _, window in windows]), strict=True):
            rows[number] += ((passage, output[place]) for place, (passage, _, _) in enumerate(window.passages))
        return [self._reading(places, found) for places, found in zip(spans, rows, strict=True)]

    def windows(self, passages: Sequence[str]) -> list[Window]:
        """Windows of one text; at least one, also where no passage has a token."""
        bos, eos, _ = self.manifest.special
        return pack(encode(self._tokenizer, passages), bos, eos, self.manifest.window) or [Window((bos, eos), ((0, 0, 2),))]

    def _reading(self, places: Sequence[tuple[int, int]], found: list[tuple[int, Array]]) -> Reading:
        found.sort(key=lambda pair: pair[0])
        outputs = np.stack([row for _, row in found])
        labels, sentiments = pool(outputs, len(self.manifest.labels))
        return Reading(tuple(places[number] for number, _ in found), outputs, labels, sentiments)

    def _outputs(self, windows: Sequence[Window]) -> list[Array]:
        """(passages, outputs) of each window, in order. Only windows that are filled up to the same sizes are read together.

        The sizes decide in which order the runtime adds, and so the last bits; eight-bit rounding, layer after layer, makes tenths of a
        logit of them. What a text gets must not depend on the others, so its sizes must not either.
        """
        alike: dict[tuple[int, int], list[int]] = {}
        for place, window in enumerate(windows):
            alike.setdefault(filled(window, _STEP), []).append(place)
        found: dict[int, Array] = {}
        for (tokens, _), places in alike.items():
            most = max(1, _BATCH // tokens)
            for start in range(0, len(places), most):
                batch = places[start : start + most]
                found |= zip(batch, self._run([windows[place] for place in batch]), strict=True)
        return [found[place] for place in range(len(windows))]

    def _run(self, windows: Sequence[Window]) -> Array:
        """(windows, passages, outputs)"""
        if not hasattr(self._local, "request"):
            self._local.request = self._compiled.create_infer_request()
        ids, spread = fill(windows, self.manifest.special[2], _STEP)
        outputs: Array = self._local.request.infer([ids, spread])[0].copy()
        return outputs
