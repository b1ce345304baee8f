"""From passages to texts. The training network pools in the same way, and a test holds both together."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float32]]


def softmax(values: Array, axis: int) -> Array:
    """Shares that sum to 1 along ``axis``."""
    raised = np.exp(values - values.max(axis=axis, keepdims=True))
    shares: Array = raised / raised.sum(axis=axis, keepdims=True)
    return shares


def pool(outputs: Array, labels: int) -> tuple[Array, Array]:
    """(passages, outputs) of one text → logits of its labels and of its sentiments.

    A label is as likely as in its likeliest passages: the mean of its logits weighted by their own softmax. The last output weighs
    the passages for the sentiment.
    """
    each, sentiments, weight = outputs[:, :labels], outputs[:, labels:-1], outputs[:, -1:]
    return (softmax(each, 0) * each).sum(0), (softmax(weight, 0) * sentiments).sum(0)
