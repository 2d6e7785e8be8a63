"""The networks of one or more trials, and what training and evaluation ask of them."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor

from hail_study.models.batches import TrainingBatch, elsewhere, last_positions, masked_items, next_items
from hail_study.models.companions import auxiliary_terms, miner_of, weighting_of
from hail_study.models.dropout import Extents, set_states, states
from hail_study.models.family import repeat
from hail_study.models.layers import Layer, initialise
from hail_study.models.mixtures import Gate, PeerAttention
from hail_study.models.negatives import Negatives
from hail_study.models.seeding import MIXTURE_WEIGHTS, generator
from hail_study.models.stack import Stack
from hail_study.study import catalogue
from hail_study.study.configuration import Configuration


class PeerNetwork(Layer):
    """K peers for each of T seeds, stacked: slot s is peer s % K of trial s // K.

    Peers share the parts that `peers.share` names and differ in what `peers.differ` names. Weights and dropout of a
    trial depend on its seed alone, and the initial weights of peer k on the seed and k: a trial is the same however
    many are stacked, and peer k starts the same however many peers it has.

    Training is the same for every encoder:

        batch = network.training_batch(ids, generator)
        loss = objective.of(network, batch, step)

    and so is evaluation, in `eval()` mode, as logits `states @ table` at the states that predict:

        inputs, positions = network.evaluation_inputs(ids, lengths)
        states = network.states_at(network(inputs), positions)

    Args:
        configuration: The trial's; `encoder`, `peers`, `objective` and `data.max_length` matter here.
        item_count: V. Items are 1..V, 0 is padding.
        seeds: One per trial.

    Attributes:
        slots: S = T * K.
        trials: T.
        peers: K.
        causal: The encoder sees no future: trained on next items; otherwise on masked items.
        auxiliary: Terms of `objective.auxiliary`, by name.
        weighting: What weighs them, None where there are none.
        mining: What tells hard targets, None where all are alike.
    """

    def __init__(self, configuration: Configuration, item_count: int, seeds: Sequence[int]) -> None:
        super().__init__()
        peers = configuration.peers
        self.trials, self.peers, self.slots = len(seeds), peers.count, len(seeds) * peers.count
        self._settings = configuration
        self.stack = Stack(configuration, item_count, seeds)
        self.stack.initialise(seeds, alike="initialisation" not in peers.differ)
        self.causal = self.stack.causal
        coupling = catalogue.resolve(catalogue.COUPLINGS[peers.coupling])(peers) if self.peers > 1 else None
        self._add_mixtures(getattr(coupling, "mixture", None), seeds)
        loss = catalogue.resolve(catalogue.ITEM_LOSSES[configuration.objective.loss])
        self.negatives = Negatives(configuration.objective, self.trials, item_count) if loss.sampled else None
        self.auxiliary = auxiliary_terms(configuration, item_count, seeds, self.causal)
        self.weighting = weighting_of(configuration, self.auxiliary, self.trials)
        self.mining: Any = miner_of(configuration, seeds)
        self._teaching = getattr(coupling, "teacher", None)
        copied = self._teaching in ("average", "frozen")
        self.teacher = copy.deepcopy(self.stack).requires_grad_(False).eval() if copied else None

    def forward(self, ids: Tensor, extents: Extents | None = None) -> Tensor:
        """States of every position.

        Args:
            ids: [T, B, L] int64, padding (0) on the right.
            extents: Sequences of each trial and their longest, where trials have not equally many.

        Returns:
            [S, B, L, D], after the head: their products with `table()` are the item logits. Padding has arbitrary
            states.
        """
        return self._answering()(ids, extents)

    def embed(self, ids: Tensor) -> Tensor:
        """Item vectors [T or S, B, L, D] of inputs ids [T, B, L], before anything is added to them."""
        return self._answering().vectors(ids)

    def encode(self, vectors: Tensor, ids: Tensor) -> Tensor:
        """As `forward`, with these item vectors in the place of `embed(ids)`."""
        return self._answering().encode(vectors, ids)

    def table(self) -> Tensor:
        """Each slot's item table that scores, [S, V + 1, D], an expanded view where it can be. Row 0 is never used."""
        tables = self.tables()
        return tables.expand(-1, self.peers, -1, -1).flatten(0, 1)

    def tables(self) -> Tensor:
        """Item tables [T, J, V + 1, D] that score, J = 1 where a trial's peers share one and J = K otherwise."""
        return self._answering().tables()

    def training_batch(
        self, ids: Tensor, source: torch.Generator | Sequence[torch.Generator] | None = None, progress: float = 0.0
    ) -> TrainingBatch:
        """What to train on, from the items of each user: next items, or masked ones where the encoder sees the future.

        Args:
            ids: [T, B, L + 1] int64, right-padded with 0.
            source: Random numbers of masks and sampled negatives; one generator per trial. Not needed where neither
                is drawn.
            progress: Share of the training that is done, for masks that grow harder.
        """
        sources = [source] if isinstance(source, torch.Generator) else list(source or [])
        settings = self._settings.encoder
        if self.causal:
            batch = next_items(ids)
        else:
            hard = None if self.mining is None else self.mining.masks(self, ids, progress, sources)
            batch = masked_items(ids, self.stack.item_count + 1, settings.mask, settings.mask_last, sources, hard)
        batch = replace(batch, ids=ids)
        return batch if self.negatives is None else self.negatives.add_to(batch, sources)

    def evaluation_inputs(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs that ask for the item after each history.

        Args:
            ids: [B, L] histories, right-padded with 0.
            lengths: [B], items in each; at least 1.

        Returns:
            Inputs [T, B, L], or [T, B, L + 1] with a mask after the last item, and flat positions [T, B] of the states
            that predict.
        """
        if not self.causal:
            ids = torch.cat([ids, torch.zeros_like(ids[:, :1])], 1)
            ids = ids.scatter(1, lengths[:, None], self.stack.item_count + 1)
            lengths = lengths + 1
        inputs, positions = ids.expand(self.trials, -1, -1), last_positions(lengths, ids.shape[1])
        return inputs, positions.expand(self.trials, -1)

    def states_at(self, states: Tensor, positions: Tensor) -> Tensor:
        """The states [S, N, D] at flat positions [T, N] of states [S, B, L, D]."""
        flat = states.flatten(1, 2)  # [S, B*L, D]
        if len(positions) == 1:
            return flat.index_select(1, positions[0])
        index = repeat(positions, self.peers)[..., None]
        return flat.gather(1, index.expand(-1, -1, flat.shape[-1]))

    def mixtures(self, states: Tensor) -> dict[str, Tensor]:
        """Weights of the peers at targets with states [S, N, D], as logits: `gate` [T, N, K], `attention` [T, N, K, K].

        Those that the coupling or `peers.inference` asks for.
        """
        grouped = states.unflatten(0, (self.trials, self.peers))  # type: ignore[no-untyped-call]
        layers = {"gate": self.gate, "attention": self.attention}
        return {name: layer(grouped) for name, layer in layers.items() if layer is not None}

    def gate_at(self, states: Tensor) -> Tensor | None:
        """What `combine` asks for under `gate`: weights of one trial's peers at states [K, N, D], as logits [N, K]."""
        gate = self.mixtures(states).get("gate")
        return None if gate is None else gate[0]

    def taught(self, batch: TrainingBatch, step: int, states: Tensor) -> tuple[Tensor, Tensor] | None:
        """States [S, N, D] and tables [T, J, V + 1, D] of the networks that teach, without gradients; None without any.

        They follow the peers here, once a step: averages of the peers' weights, or the peers as they were after
        `peers.freeze` steps (None until then). Or they are the peers, whose `states` [S, N, D] trade places.
        """
        if self._teaching == "elsewhere":
            return self.states_at(states.detach()[:, :, None], elsewhere(batch)), self.tables().detach()
        if self.teacher is None:
            return None
        settings = self._settings.peers
        if self._teaching == "average":
            self._follow(max(1 - settings.momentum, 1 / (step + 1)))  # a plain mean until there is enough to average
        elif step == settings.freeze:
            self._follow(1)
        if self._teaching == "frozen" and step < settings.freeze:
            return None
        with torch.no_grad():
            return self.states_at(self.teacher(batch.inputs), batch.positions), self.teacher.tables()

    def random_state(self) -> Tensor:
        """State of the dropout streams, [T + S, bytes] uint8."""
        return states(self.stack.streams, next(self.parameters()).device)

    def set_random_state(self, state: Tensor) -> None:
        """Continue the dropout streams from `random_state()`."""
        set_states(self.stack.streams, state, next(self.parameters()).device)

    def hold(self, trials: Sequence["PeerNetwork"]) -> None:
        """Take the place of networks of one trial each: weights and dropout streams are the same ones from now on.

        Whoever changes or saves a trial's network changes or saves its part of this one.
        """
        theirs = [dict(one.named_parameters()) for one in trials]
        with torch.no_grad():
            for name, whole in self.named_parameters():
                for part, own in zip(whole.data.chunk(len(trials)), theirs, strict=True):
                    part.copy_(own[name])
                    own[name].data = part
        device = next(self.parameters()).device
        for streams, *own_streams in zip(self.stack.streams, *(one.stack.streams for one in trials), strict=True):
            streams.join(own_streams, device)

    def release(self) -> None:
        """Have weights of its own again, after a network of several trials held them."""
        for weight in self.parameters():
            weight.data = weight.data.clone()

    def train(self, mode: bool = True) -> Self:
        """Set the mode; networks that teach never drop anything."""
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    # --- inside -------------------------------------------------------------------------------------------------

    def _add_mixtures(self, asked: str | None, seeds: Sequence[int]) -> None:
        """The gate and the attention over peers, where the coupling or the inference rule asks for them."""
        peers, dim = self._settings.peers, self._settings.encoder.dim
        gated = asked == "gate" or (peers.inference == "gate" and self.peers > 1)
        self.gate = Gate(self.trials, self.peers, dim) if gated else None
        self.attention = PeerAttention(self.trials, self.peers, dim) if asked == "attention" else None
        sources = [generator(seed, MIXTURE_WEIGHTS) for seed in seeds]
        if self.gate is not None:
            initialise(self.gate, sources)
        if self.attention is not None:
            initialise(self.attention, [source for source in sources for _ in range(self.peers)])

    def _answering(self) -> Stack:
        """Averages answer in evaluation where there are any (PCL)."""
        return (
            self.teacher
            if self.teacher is not None and self._teaching == "average" and not self.training
            else self.stack
        )

    def _follow(self, rate: float) -> None:
        """Move what teaches towards the peers."""
        assert self.teacher is not None
        with torch.no_grad():
            torch._foreach_lerp_(list(self.teacher.parameters()), list(self.stack.parameters()), rate)
