"""The network: one encoder, and for each passage the logits of all categories, triggers and sentiments; texts are pooled from passages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

RARE = -3.0  # logit that every label starts from: most texts do not have it
UNKNOWN = -1.0  # in targets: a label of the text whose passage nobody marked, or one that nobody looked for


@dataclass(frozen=True, slots=True)
class Objective:
    """``passage`` weighs the passages against the text, ``smoothing`` softens targets, ``sentiment`` weighs that head; all 0 and up."""

    passage: float
    sentiment: float
    smoothing: float


class Network(nn.Module):
    """Outputs of a passage, in this order: categories and triggers (``labels``), ``sentiments``, its weight for the sentiment."""

    encoder: Any
    head: Any

    def __init__(self, encoder: Any, labels: int, sentiments: int, objective: Objective, dropout: float) -> None:
        super().__init__()
        width = encoder.config.hidden_size
        self.encoder = encoder
        self.labels, self.sentiments, self.objective = labels, sentiments, objective
        # Vectors of e5 lie close together (mean cosine 0.8): without the norm a head needs ten times as many steps to tell them apart.
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Dropout(dropout), nn.Linear(width, labels + sentiments + 1))
        with torch.no_grad():
            self.head[-1].bias[:labels] = RARE

    def passages(self, ids: Tensor, spread: Tensor) -> Tensor:
        """``ids`` (windows, tokens), ``spread`` (windows, passages, tokens) with rows that average → (windows, passages, outputs)."""
        mask = (ids != self.encoder.config.pad_token_id).long()
        states = self.encoder(ids, attention_mask=mask).last_hidden_state
        outputs: Tensor = self.head(spread.to(states.dtype) @ states)
        return outputs

    def pool(self, outputs: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """(texts, passages, outputs), (texts, passages) → logits of labels and of sentiments; the same as `nlp.pooling` does at serving.

        A label is as likely as in its likeliest passages: the mean of its logits weighted by their own softmax.
        """
        outputs = outputs.masked_fill(~present[..., None], -1e4)
        labels, sentiments, weight = torch.split(outputs, [self.labels, self.sentiments, 1], dim=-1)
        pooled = (labels.softmax(1) * labels).sum(1)
        return pooled, (weight.softmax(1) * sentiments).sum(1)

    def forward(
        self,
        ids: Tensor,
        spread: Tensor,
        members: Tensor,
        present: Tensor,
        label_targets: Tensor,
        sentiment_targets: Tensor,
        passage_targets: Tensor,
    ) -> dict[str, Tensor]:
        """``members`` (texts, passages): places in the list of all passages; ``present`` tells the filled ones.

        Targets are in 0..1, or `UNKNOWN`.
        """
        flat = self.passages(ids, spread).float().flatten(0, 1)
        outputs = flat[members]
        labels, sentiments = self.pool(outputs, present)
        smoothing = self.objective.smoothing
        targets = label_targets * (1 - 2 * smoothing) + smoothing
        asked = label_targets != UNKNOWN
        loss = (binary_cross_entropy_with_logits(labels, targets.clamp(min=0.0), reduction="none") * asked).sum(1).mean()
        known = (passage_targets != UNKNOWN) & present[..., None]
        each = binary_cross_entropy_with_logits(outputs[..., : self.labels], passage_targets.clamp(min=0.0), reduction="none")
        each = (each * known).sum(dim=(1, 2)) / present.sum(1)
        loss = loss + self.objective.passage * each.mean()
        loss = loss + self.objective.sentiment * cross_entropy(sentiments, sentiment_targets, label_smoothing=smoothing)
        return {"loss": loss, "labels": labels, "sentiments": sentiments}
