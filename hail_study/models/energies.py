"""Energies of sets: how well labels go together, with an input and with each other."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hail_study.models.embedding import Table
from hail_study.models.layers import Layer, Linear, normal_
from hail_study.models.segments import Dense
from hail_study.study.configuration import Structure


class Vectors(Table):
    """Vectors of labels, with initial weights large enough for products of sums of them to matter."""

    def reset(self, slot: int, generator: torch.Generator) -> None:
        normal_(self.weight[slot], generator, sd=0.1)


class Signs(nn.Module):
    """One number [S, R] for each dimension of the pairs or hidden unit, half of them positive at first."""

    def __init__(self, slots: int, rank: int) -> None:
        super().__init__()
        self.weight = nn.Parameter((1.0 - 2.0 * (torch.arange(rank) % 2)).repeat(slots, 1) / math.sqrt(rank))


class Pairs(nn.Module):
    """-1/2 sum_r s_r ((sum_c y_c p_cr)^2 - sum_c (y_c p_cr)^2) + g(sum_c y_c / C), g a small softplus network.

    Low-rank pairs of different labels, attractive where s_r is positive, and the number of labels. Ours, after the
    terms that structured prediction energies have in common (Belanger, McCallum, ICML 2016).
    """

    HIDDEN = 8

    def __init__(self, slots: int, rank: int) -> None:
        super().__init__()
        self.signs = Signs(slots, rank)
        self.enter = Linear(slots, 1, self.HIDDEN, bound=2.0)
        self.leave = Dense(slots, self.HIDDEN, 1)

    def forward(self, sets: Tensor, vectors: Tensor) -> Tensor:
        """[S, M, B] of sets [S, M, B, C] and vectors [S, B or 1, C, R]."""
        products = _summed(sets, vectors).square() - _summed(sets.square(), vectors.square())  # [S, M, B, R]
        pairs = (products * self.signs.weight[:, None, None]).sum(-1) / 2
        number = self.leave(F.softplus(self.enter(sets.mean(-1, keepdim=True))))[..., 0]
        return number * sets.shape[-1] - pairs


class Global(nn.Module):
    """c . softplus(C_1 y + b): the label energy of Tu and Gimpel (ICLR 2018), as Shankar and Piratla's code has it."""

    def __init__(self, slots: int, rank: int) -> None:
        super().__init__()
        self.signs = Signs(slots, rank)
        self.bias = nn.Parameter(torch.zeros(slots, rank))

    def forward(self, sets: Tensor, vectors: Tensor) -> Tensor:
        """As `Pairs`."""
        hidden = F.softplus(_summed(sets, vectors) + self.bias[:, None, None])  # [S, M, B, R]
        return (hidden * self.signs.weight[:, None, None]).sum(-1)


class Energy(Layer):
    """E(x, y) / C of relaxed sets: -y . B F(x), and what labels say of each other.

    Args:
        settings: `objective.structure`.
        slots: S.
        labels: Rows of the tables: labels, or items and padding.
        features: Numbers in F(x).
    """

    def __init__(self, settings: Structure, slots: int, labels: int, features: int) -> None:
        super().__init__()
        self.alone = Vectors(slots, labels, features)
        self.together = Vectors(slots, labels, settings.rank)
        self.form = {"pair": Pairs, "global": Global}[settings.energy](slots, settings.rank)

    def forward(self, features: Tensor, sets: Tensor, ids: Tensor | None = None) -> Tensor:
        """Energies [S, M, B].

        Args:
            features: F(x), [S, B, D].
            sets: [S, M, B, C] in [0, 1].
            ids: [B, C], the row of each label, or None: all rows in order.
        """
        alone, together = (self._rows(table, ids) for table in (self.alone, self.together))
        scores = (alone @ features[..., None])[..., 0]  # [S, B, C]
        energy: Tensor = self.form(sets, together) - (scores[:, None] * sets).sum(-1)
        return energy / sets.shape[-1]

    def _rows(self, table: Table, ids: Tensor | None) -> Tensor:
        """[S, B or 1, C, R]."""
        return table.weight[:, None] if ids is None else table.weight[:, ids]


def _summed(sets: Tensor, vectors: Tensor) -> Tensor:
    """sum_c y_c v_c, [S, M, B, R]."""
    return (sets[..., None, :] @ vectors[:, None])[..., 0, :]
