"""All peers of all trials as one computation: shared or own item tables, and a family for each architecture."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Final, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hail_study.data.batches import PIECES
from hail_study.models.batches import side_by_side, waits
from hail_study.models.dropout import Extents, Streams
from hail_study.models.embedding import Table
from hail_study.models.encoder import Encoder
from hail_study.models.family import Family, repeat
from hail_study.models.layers import Layer, initialise
from hail_study.models.seeding import OWN_WEIGHTS, SHARED_DROPOUT, SHARED_WEIGHTS, generator, seed_of
from hail_study.study import catalogue
from hail_study.study.configuration import Configuration, PlantedData

PIECE: Final = 3200
"""Positions of a piece, at least: with fewer, calls cost more than padding. Measured with SASRec on one core: 128
sequences of Beauty (50 positions) take 1.14 times as long whole as in 2 pieces, in 8 they take 1.14 times as long, too;
128 of MovieLens-1M (200 positions) take 1.37 times as long whole as in 8."""


class Stack(Layer):
    """T trials of K peers; slot s is peer s % K of trial s // K.

    Args:
        configuration: The trial's.
        item_count: V. Items are 1..V, 0 is padding, V + 1 the mask of masked-item encoders.
        seeds: One per trial; those of dropout come from them. Weights are drawn by `initialise`.

    Raises:
        ValueError: Causal and masked-item encoders are mixed.
    """

    def __init__(self, configuration: Configuration, item_count: int, seeds: Sequence[int]) -> None:
        super().__init__()
        peers, trials = configuration.peers, len(seeds)
        self.trials, self.peers, self.item_count = trials, peers.count, item_count
        names = [name for _, name in zip(range(peers.count), _cycle(configuration), strict=False)]
        kinds: dict[str, type[Encoder]] = {name: catalogue.resolve(catalogue.ENCODERS[name]) for name in names}
        self.causal = all(kind.causal for kind in kinds.values())
        if not self.causal and any(kind.causal for kind in kinds.values()):
            raise ValueError(f"peers.encoders: {', '.join(kinds)} cannot train together: some mask items, some do not")
        data = cast(PlantedData, configuration.data)  # or of a file
        length = data.max_length + (not self.causal)  # room for the mask that asks for the next item
        self._longest = length
        groups = trials if "embedding" in peers.share else trials * peers.count
        self.items = Table(groups, item_count + 2 - self.causal, configuration.encoder.dim)
        shared = Streams([seed_of(seed, SHARED_DROPOUT) for seed in seeds])
        heads = trials if "head" in peers.share else trials * peers.count
        self.outputs = None if configuration.encoder.tied else Table(heads, item_count + 1, configuration.encoder.dim)
        self.families = nn.ModuleDict()
        for name, kind in kinds.items():
            members = [k for k in range(peers.count) if names[k] == name]
            self.families[name] = Family(configuration, kind, members, seeds, length, shared)
        self.streams = [shared, *(streams for family in self._families for streams in family.streams)]
        self._order = np.argsort([member for family in self._families for member in family.members]).tolist()

    @property
    def _families(self) -> list[Family]:
        return list(self.families.values())  # type: ignore[arg-type]

    def forward(self, ids: Tensor, extents: Extents | None = None) -> Tensor:
        """States [S, B, L, D] of inputs ids [T, B, L].

        A CPU trains on a large batch in pieces, each no longer than its longest sequence: where sequences of one
        length are neighbours, as `data.batches` puts them, little is computed of padding.

        Args:
            ids: Inputs.
            extents: Sequences of each trial and their longest, where trials have not equally many.
        """
        if not self.training:
            return self.encode(self.vectors(ids), ids)
        if waits(ids.device):  # where one large computation is faster than several small ones
            return self._trained(ids, extents)
        counts = [ids.shape[1]] * self.trials if extents is None else [rows for rows, _ in extents]
        pieces = [min(PIECES, count, max(1, count * self._longest // PIECE)) for count in counts]
        trials = [own[:count].tensor_split(n) for own, count, n in zip(ids, counts, pieces, strict=True)]
        cuts = [side_by_side([*map(_shortened, rows)]) for rows in zip_longest(*trials, fillvalue=ids[0, :0])]
        return _whole([(self._trained(*cut), cut[1]) for cut in cuts], ids.shape)

    def _trained(self, ids: Tensor, extents: Extents | None) -> Tensor:
        """As `forward`, in one computation; its dropout is drawn for what is there."""
        if self.trials > 1:
            found = extents or [(ids.shape[1], longest) for longest in _longest(ids).tolist()]
            for streams in self.streams:
                streams.extents = found
        return self.encode(self.vectors(ids), ids)

    def vectors(self, ids: Tensor) -> Tensor:
        """Item vectors [T or S, B, L, D] of inputs ids [T, B, L]: a trial's peers share them, or each has its own."""
        found: Tensor = self.items(ids if len(self.items.weight) == self.trials else repeat(ids, self.peers))
        return found

    def encode(self, x: Tensor, ids: Tensor) -> Tensor:
        """States [S, B, L, D] of inputs ids [T, B, L] whose item vectors are x."""
        if len(self.families) == 1:
            states: Tensor = self._families[0](x, ids)
            return states
        states = torch.cat([self._states(family, x, ids) for family in self._families], 1)
        return states[:, self._order].flatten(0, 1)

    def embedded(self, ids: Tensor) -> Tensor:
        """The item vectors alone of ids [T, B, L], [S, B, L, D]."""
        x = self.vectors(ids)
        return x if len(x) == self.trials * self.peers else repeat(x, self.peers)

    def tables(self) -> Tensor:
        """Item tables [T, J, V + 1, D] that score, J = 1 where a trial's peers share one and J = K otherwise.

        Those of the inputs, unless `encoder.tied` is false. Row 0 is padding.
        """
        weight = (self.items if self.outputs is None else self.outputs).weight[:, : self.item_count + 1]
        return weight.view(self.trials, -1, *weight.shape[1:])

    def initialise(self, seeds: Sequence[int], alike: bool) -> None:
        """Draw all weights of a trial from its seed: shared parts from one stream, each peer's from one of its own.

        `alike` gives all peers of a trial the first one's stream.
        """
        shared = [generator(seed, SHARED_WEIGHTS) for seed in seeds]
        own = [[generator(seed, OWN_WEIGHTS + peer * (not alike)) for peer in range(self.peers)] for seed in seeds]
        everyone = [one for trial in own for one in trial]
        initialise(self.items, shared if len(self.items.weight) == self.trials else everyone)
        for family in self._families:
            family.initialise(shared, [trial[member] for trial in own for member in family.members])
        if self.outputs is not None:  # drawn last: all else starts as in a network that has no such table
            initialise(self.outputs, shared if len(self.outputs.weight) == self.trials else everyone)

    def _states(self, family: Family, x: Tensor, ids: Tensor) -> Tensor:
        """States [T, M, B, L, D] of one family's peers."""
        if len(x) != self.trials:
            x = x.view(self.trials, self.peers, *x.shape[1:])[:, family.members].flatten(0, 1)
        states: Tensor = family(x, ids)
        return states.view(self.trials, -1, *states.shape[1:])


def _cycle(configuration: Configuration) -> list[str]:
    peers = configuration.peers
    names = peers.encoders if peers.encoders and peers.count > 1 else [configuration.encoder.name]
    return names * peers.count


def _shortened(rows: Tensor) -> Tensor:
    """Inputs [B, L] no longer than the longest of them, and one item at least."""
    return rows[:, : max(1, int(_longest(rows)))]


def _longest(ids: Tensor) -> Tensor:
    """Length of the longest of inputs [..., B, L], [...]: where its last item is, whatever is hidden before it."""
    places = torch.arange(1, ids.shape[-1] + 1, device=ids.device)
    return ((ids != 0).any(-2) * places).amax(-1)


def _whole(pieces: Sequence[tuple[Tensor, Extents]], shape: torch.Size) -> Tensor:
    """The states [S, B, L, D] of inputs of a shape [T, B, L], of those of its pieces: 0 where there are none."""
    trials = []
    for trial in range(shape[0]):
        own = [
            F.pad(states.chunk(shape[0])[trial][:, : extents[trial][0]], (0, 0, 0, shape[2] - states.shape[2]))
            for states, extents in pieces
        ]
        rows = torch.cat(own, 1)  # [K, n, L, D]
        trials.append(F.pad(rows, (0, 0, 0, 0, 0, shape[1] - rows.shape[1])) if rows.shape[1] < shape[1] else rows)
    return torch.cat(trials) if len(trials) > 1 else trials[0]
