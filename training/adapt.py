"""Before any label is learnt: the encoder reads unlabelled feedback, guesses masked words, and learns what the rules already know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from otklik.nlp.rules import Rules
from otklik.training.cases import Case, Quote
from otklik.training.network import Network

_MASKED = 0.15  # of the tokens, as in BERT (Devlin et al. 2019, section 3.1)
_RANDOM = 0.1  # of the masked ones: a random piece instead
_WEAK = 0.3  # weight of the weak labels beside the masked pieces
_BAD, _GOOD = 2, 5  # stars, of five, that tell the sentiment better than the rules do


class Adapter(nn.Module):
    """A network that also guesses masked pieces; its decoder is the embedding matrix. The vocabulary has no mask: ``<unk>`` serves."""

    def __init__(self, network: Network, mask_id: int, special: tuple[int, ...]) -> None:
        super().__init__()
        width, pieces = network.encoder.config.hidden_size, network.encoder.config.vocab_size
        self.network, self.mask_id, self.special = network, mask_id, special
        self.guess = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
        self.bias = nn.Parameter(torch.zeros(pieces))

    def forward(self, ids: Tensor, **inputs: Tensor) -> dict[str, Tensor]:
        """Inputs of `Network.forward`; the loss is that of the weak labels, weighted, and of the masked pieces."""
        usual = ~torch.isin(ids, torch.tensor(self.special, device=ids.device))
        masked = usual & (torch.rand(ids.shape, device=ids.device) < _MASKED)
        instead = torch.where(torch.rand(ids.shape, device=ids.device) < _RANDOM, torch.randint_like(ids, len(self.bias)), self.mask_id)
        states: list[Tensor] = []
        kept = self.network.encoder.register_forward_hook(lambda _, __, output: states.append(output.last_hidden_state))
        try:
            found = self.network(torch.where(masked, instead, ids), **inputs)
        finally:
            kept.remove()
        vectors = self.network.encoder.embeddings.word_embeddings.weight
        guessed = self.guess(states[0][masked]) @ vectors.T + self.bias
        loss = cross_entropy(guessed.float(), ids[masked]) if masked.any() else guessed.sum()
        return {"loss": loss + _WEAK * found["loss"], "masked": loss.detach(), "weak": found["loss"].detach()}


def weak_cases(rules: Rules, rows: Iterable[dict[str, Any]]) -> Iterator[Case]:
    """What the rules say of texts, as cases with evidence; extreme ``rating`` (stars 1 to 5) overrules their sentiment."""
    for number, row in enumerate(rows):
        said = rules.read(row["text"])
        stars = row.get("rating")
        sentiment = said.sentiment.id
        if stars is not None:
            sentiment = "negative" if stars <= _BAD else "positive" if stars >= _GOOD else sentiment
        yield Case(
            id=str(number),
            text=row["text"],
            categories=tuple(score.id for score in said.categories),
            sentiment=sentiment,
            triggers=tuple(Quote(score.id, evidence.text) for score in said.triggers for evidence in score.evidence[:1]),
            evidence={score.id: tuple((e.start, e.stop) for e in score.evidence) for score in said.categories},
        )
