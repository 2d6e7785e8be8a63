"""By how much a network prefers one item to another, as a function of the vectors of a history's items."""

from collections.abc import Iterator

import torch
from torch import Tensor

from hail_study.models import PeerNetwork, combine
from hail_study.models.focused import FocusedNetwork
from hail_study.tasks.attribution import integrated_gradients
from hail_study.tasks.diagnostics.base import Examples

BLOCK = 64
"""Histories looked at together."""


class Preference:
    """log p(pos) - log p(neg) after some histories, mean over the peers: pos the target, neg the best wrong item.

    Args:
        network: K peers of one trial, in evaluation mode.
        rules: Each peer's rule of prediction, where there is a focus.
        ids: [n, L] histories, right-padded with 0.
        lengths: [n].
        targets: [n].

    Attributes:
        vectors: [1 or K, n, L', D], those of the histories; encoders of masked items see one item more, the mask.
        real: [n, L'] bool, the history's items.
        wrong: [n], neg.
        margins: [n], by how much the highest probability of an item exceeds the next.
    """

    def __init__(self, network: PeerNetwork, rules: list[str], ids: Tensor, lengths: Tensor, targets: Tensor) -> None:
        self._network, self._rules, self._lengths, self._targets = network, rules, lengths, targets
        self._inputs, self._positions = network.evaluation_inputs(ids, lengths)  # [1, n, L'], [1, n]
        steps = torch.arange(self._inputs.shape[-1], device=ids.device)
        self.real = steps < lengths[:, None]
        with torch.no_grad():
            self.vectors = network.embed(self._inputs)
            scores = combine(self._scores()[..., 1:], "mean-probability")  # [n, V]
            self.wrong = 1 + scores.scatter(1, targets[:, None] - 1, -torch.inf).argmax(1)
            first, second = scores.softmax(1).topk(2, 1).values.unbind(1)
            self.margins = first - second

    def __call__(self, vectors: Tensor) -> Tensor:
        """[n], for vectors like `vectors`; those of what is no item of the history stay as they are."""
        vectors = torch.where(self.real[None, ..., None], vectors, self.vectors)
        pair = torch.stack([self._targets, self.wrong], 1)  # [n, 2]
        if isinstance(self._network, FocusedNetwork):
            where = (self._lengths - 1)[:, None].expand(pair.shape)
            readings = self._network.read(self._inputs[0], where, pair, vectors)
            by_rule = {rule: readings.by(rule) for rule in dict.fromkeys(self._rules)}
            scores = torch.stack([by_rule[rule][peer] for peer, rule in enumerate(self._rules)])
            scores = scores.view(len(scores), *pair.shape)
        else:
            rows = self._network.table()[:, pair]  # [K, n, 2, D]
            scores = (rows * self.states(vectors)[:, :, None]).sum(-1)  # the normaliser is the same for both
        return (scores[..., 0] - scores[..., 1]).mean(0)

    def states(self, vectors: Tensor) -> Tensor:
        """The states [K, n, D] that predict."""
        return self._network.states_at(self._network.encode(vectors, self._inputs), self._positions)

    def attributions(self, points: int) -> Tensor:
        """What each item of the history adds, [n, L']: by integrated gradients from histories of zero vectors."""
        found = integrated_gradients(self.vectors.detach(), lambda vectors: self(vectors).sum(), points)
        return found.sum(0).where(self.real, 0)

    def without(self, places: Tensor) -> Tensor:
        """The vectors, zero at one place [n] of each history."""
        gone = torch.zeros_like(self.real).scatter(1, places[:, None], True)
        return self.vectors.masked_fill(gone[None, ..., None], 0)

    def focus(self) -> Tensor | None:
        """The peers' mean focus [n, L]; None where there is none."""
        if not isinstance(self._network, FocusedNetwork):
            return None
        readings = self._network.read(self._inputs[0], (self._lengths - 1)[:, None], self._targets[:, None])
        return readings.log_focus.exp().mean(0)

    def _scores(self) -> Tensor:
        """Scores of all items [K, n, V + 1]."""
        if isinstance(self._network, FocusedNetwork):
            readings = self._network.read(self._inputs[0], (self._lengths - 1)[:, None], self._targets[:, None])
            by_rule = {rule: readings.predict(rule) for rule in dict.fromkeys(self._rules)}
            return torch.stack([by_rule[rule][peer] for peer, rule in enumerate(self._rules)])
        return self.states(self.vectors) @ self._network.table().transpose(1, 2)


def preferences(network: PeerNetwork, rules: list[str], examples: Examples) -> Iterator[tuple[slice, Preference]]:
    """The examples, a few at a time."""
    for start in range(0, len(examples.targets), BLOCK):
        rows = slice(start, start + BLOCK)
        lengths = examples.lengths[rows]
        ids = examples.ids[rows, : int(lengths.max())]
        yield rows, Preference(network, rules, ids, lengths, examples.targets[rows])
