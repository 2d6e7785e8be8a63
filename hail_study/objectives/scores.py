"""Which items are scored at a target, and how gradients of those scores go back to states and table.

Both classes see states as [T, K, n, D] and tables as [T, J, V + 1, D], with J = 1 where a trial's peers share one table
(their scores are then one product) and J = K otherwise.
"""

import math
from abc import ABC, abstractmethod
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

_PRODUCTS: Final = {"cpu": 1 << 17, "cuda": 1 << 26}
"""Numbers of an outer product that is made to be added to a table's gradient: on a CPU what its second cache holds."""


class Scores(ABC):
    """Scores of the candidates of some targets, without autograd.

    Attributes:
        table_gradient: [T, J, V + 1, D], what `back` has gathered.
    """

    def __init__(self, table: Tensor, targets: Tensor) -> None:
        """Score with `table` [T, J, V + 1, D] at targets [T, N]."""
        self.table, self.targets = table, targets
        self.table_gradient = torch.zeros_like(table, memory_format=torch.contiguous_format)

    @property
    def items(self) -> int:
        """V."""
        return self.table.shape[2] - 1

    @property
    @abstractmethod
    def floats(self) -> int:
        """Numbers held for one target of one peer."""

    @abstractmethod
    def forward(self, states: Tensor, piece: slice) -> Tensor:
        """Scores [T, K, n, C] of the targets in `piece`, from their states [T, K, n, D]."""

    @abstractmethod
    def back(self, gradient: Tensor, states: Tensor, weight: Tensor, piece: slice) -> Tensor:
        """Gradient in the states, [T, K, n, D]; that in the table is added to `table_gradient`.

        Args:
            gradient: [T, K, n, C], in the scores.
            states: [T, K, n, D].
            weight: [T, K, n, 1], which multiplies both results.
            piece: The targets.
        """

    @abstractmethod
    def right(self, piece: slice) -> Tensor:
        """Index [T, n] of the target among the candidates."""


class AllItems(Scores):
    """Every item is a candidate: candidate c is item c + 1."""

    def __init__(self, table: Tensor, targets: Tensor) -> None:
        super().__init__(table, targets)
        self._flat = table.flatten(0, 1)[:, 1:]  # [G, V, D]
        self._flat_gradient = self.table_gradient.flatten(0, 1)[:, 1:]

    @property
    def floats(self) -> int:
        return self.items

    def forward(self, states: Tensor, piece: slice) -> Tensor:
        rows = states.reshape(len(self._flat), -1, states.shape[-1])  # [G, (K) n, D]
        return torch.bmm(rows, self._flat.transpose(1, 2)).view(*states.shape[:-1], -1)

    def back(self, gradient: Tensor, states: Tensor, weight: Tensor, piece: slice) -> Tensor:
        flat = gradient.view(len(self._flat), -1, self.items)  # [G, (K) n, V]
        weighted = (states * weight).view(len(self._flat), -1, states.shape[-1])
        self._flat_gradient.baddbmm_(flat.transpose(1, 2), weighted)
        return torch.bmm(flat, self._flat).view(states.shape) * weight

    def right(self, piece: slice) -> Tensor:
        return self.targets[:, piece] - 1


class SampledItems(Scores):
    """The target, candidate 0, and sampled negatives. A negative that is the target scores nothing.

    Args:
        table: [T, J, V + 1, D].
        targets: [T, N].
        negatives: [T, M], shared by all targets, or [T, N, M].
        log_frequency: [T, V + 1], logarithm of the frequency that negatives are drawn with: they are corrected for it
            and for their number; None corrects nothing.
    """

    hidden = -1e9  # finite: a candidate of no probability, not a source of 0 * inf

    def __init__(self, table: Tensor, targets: Tensor, negatives: Tensor, log_frequency: Tensor | None) -> None:
        super().__init__(table, targets)
        self.negatives, self._log_frequency = negatives, log_frequency
        self._flat = table.reshape(-1, table.shape[-1])  # [T * J * (V + 1), D]

    @property
    def floats(self) -> int:
        return self.negatives.shape[-1] + 1

    def forward(self, states: Tensor, piece: slice) -> Tensor:
        targets, negatives = self.targets[:, piece], self._drawn(piece)
        positive = (states * self._rows(targets)).sum(-1, keepdim=True)  # [T, K, n, 1]
        if negatives.dim() == 2:
            products = states @ self._rows(negatives).transpose(-1, -2)
        else:
            products = self._own_products(states, negatives)
        scores = torch.cat([positive, products], -1)  # [T, K, n, 1 + M]
        if self._log_frequency is not None:
            scores[..., 1:] -= self._expected(negatives)[:, None]
        clash = negatives.view(len(targets), -1, negatives.shape[-1]) == targets[..., None]  # [T, n, M]
        scores[..., 1:].masked_fill_(clash[:, None], self.hidden)
        return scores

    def back(self, gradient: Tensor, states: Tensor, weight: Tensor, piece: slice) -> Tensor:
        targets, negatives = self.targets[:, piece], self._drawn(piece)
        first, rest = gradient[..., :1], gradient[..., 1:]
        weighted = states * weight
        self._gather(first * weighted, targets)
        if negatives.dim() == 2:
            self._gather(rest.transpose(-1, -2) @ weighted, negatives)  # [T, K, M, D]
            found = rest @ self._rows(negatives)
        else:
            self._gather_own(rest, weighted, negatives)
            found = self._bag(self._lines(negatives, rest.shape[1]), rest)
        return (first * self._rows(targets) + found) * weight

    def right(self, piece: slice) -> Tensor:
        return torch.zeros_like(self.targets[:, piece])

    def _drawn(self, piece: slice) -> Tensor:
        return self.negatives if self.negatives.dim() == 2 else self.negatives[:, piece]

    def _rows(self, ids: Tensor) -> Tensor:
        """Rows of the table, ids [T, ...] -> [T, J, ..., D]."""
        return self._flat[self._lines(ids, self.table.shape[1])]

    def _lines(self, ids: Tensor, peers: int) -> Tensor:
        """Lines of the flat table, ids [T, ...] -> [T, peers, ...]."""
        trials, groups, rows, _ = self.table.shape
        starts = torch.arange(0, trials * groups * rows, rows, device=ids.device)
        starts = starts.view(trials, groups, *[1] * (ids.dim() - 1))
        return (ids[:, None] + starts).expand(-1, peers, *ids.shape[1:])

    def _gather(self, gradient: Tensor, ids: Tensor) -> None:
        """Add a gradient [T, K, m, D] to the rows ids [T, m] of each table."""
        if self.table.shape[1] == 1:
            gradient = gradient.sum(1, keepdim=True)
        lines = self._lines(ids, gradient.shape[1])
        self.table_gradient.view(self._flat.shape).index_add_(0, lines.flatten(), gradient.flatten(0, -2))

    def _gather_own(self, gradient: Tensor, states: Tensor, negatives: Tensor) -> None:
        """Add the products of [T, K, n, M] and states [T, K, n, D] to the rows negatives [T, n, M] of each table."""
        width = max(1, _PRODUCTS[states.device.type] // (gradient[:, :, 0].numel() * states.shape[-1]))
        parts = (torch.split(gradient, width, 2), torch.split(states, width, 2), torch.split(negatives, width, 1))
        for rest, own, ids in zip(*parts, strict=True):
            self._gather((rest[..., None] * own[..., None, :]).flatten(2, 3), ids.flatten(1))

    def _own_products(self, states: Tensor, negatives: Tensor) -> Tensor:
        """States [T, K, n, D] with rows of their own negatives [T, n, M] -> [T, K, n, M].

        As the derivative of a sum of rows in the weights of its rows: that kernel reads a row where it lies, where a
        product would need the rows copied side by side.
        """
        lines = self._lines(negatives, states.shape[1])
        with torch.enable_grad():
            weights = states.new_zeros(lines.shape, requires_grad=True)
            (products,) = torch.autograd.grad(self._bag(lines, weights), weights, states)
        return products

    def _bag(self, lines: Tensor, weights: Tensor) -> Tensor:
        """Weighted sums of rows, lines and weights [T, K, n, M] -> [T, K, n, D]."""
        size = lines.shape[-1]
        sums = F.embedding_bag(
            lines.reshape(-1, size), self._flat, per_sample_weights=weights.reshape(-1, size), mode="sum"
        )
        return sums.view(*lines.shape[:-1], -1)

    def _expected(self, negatives: Tensor) -> Tensor:
        """Logarithm of how often each negative is drawn on average among all, [T, 1 or n, M]."""
        assert self._log_frequency is not None
        frequency = self._log_frequency.gather(1, negatives.flatten(1))
        return frequency.view(len(negatives), -1, negatives.shape[-1]) + math.log(negatives.shape[-1])
