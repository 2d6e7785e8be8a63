"""Networks that choose among segments: a focus and a classifier, each of which sees one segment at a time."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hail_study.models.dropout import Dropout, Streams
from hail_study.models.layers import Layer, Linear, initialise, normal_
from hail_study.models.readouts import Readings, masked_log_softmax
from hail_study.models.seeding import OWN_DROPOUT, OWN_WEIGHTS, generator, seed_of, streams_of
from hail_study.study.configuration import Configuration


class Dense(Linear):
    """A linear layer whose initial weights keep the scale of its inputs."""

    def reset(self, slot: int, generator: torch.Generator) -> None:
        super().reset(slot, generator)
        normal_(self.weight[slot], generator, sd=1 / math.sqrt(self.weight.shape[1]))


class Mlp(Layer):
    """`depth` hidden layers of width `dim`, ReLU: [S, ..., inputs] -> [S, ..., outputs]. Depth 0 is linear."""

    def __init__(
        self, slots: int, inputs: int, dim: int, depth: int, outputs: int, rate: float, streams: Streams
    ) -> None:
        super().__init__()
        widths = [inputs, *[dim] * depth]
        self.hidden = nn.ModuleList(Dense(slots, before, after) for before, after in pairwise(widths))
        self.out = Dense(slots, widths[-1], outputs)
        self.drop = Dropout(rate, streams)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.hidden:
            x = self.drop(F.relu(layer(x)))
        return self.out(x)


class SegmentNetwork(nn.Module):
    """K peers, each a focus and a classifier.

    Args:
        configuration: The trial's; `encoder.dim`, `encoder.blocks` (hidden layers) and `encoder.dropout` matter here.
        features: Numbers in a segment.
        classes: C.
        seed: Peer k's weights and dropout depend on it and, as far as `peers.differ` says so, on k.
    """

    def __init__(self, configuration: Configuration, features: int, classes: int, seed: int) -> None:
        super().__init__()
        settings, self.slots = configuration.encoder, configuration.peers.count
        self._streams = Streams([seed_of(seed, s) for s in streams_of(configuration.peers, OWN_DROPOUT, "dropout")])
        shape = (settings.dim, settings.blocks)
        self.focus = Mlp(self.slots, features, *shape, 1, settings.dropout, self._streams)
        self.classify = Mlp(self.slots, features, *shape, classes, settings.dropout, self._streams)
        initialise(
            self, [generator(seed, stream) for stream in streams_of(configuration.peers, OWN_WEIGHTS, "initialisation")]
        )

    def forward(self, segments: Tensor) -> Tensor:
        """Focus scores [S, B, m] of segments [B, m, F]."""
        return self.focus(self.per_slot(segments))[..., 0]

    def per_slot(self, x: Tensor) -> Tensor:
        return x.expand(self.slots, *x.shape)

    def random_state(self) -> Tensor:
        return self._streams.state(next(self.parameters()).device)

    def set_random_state(self, state: Tensor) -> None:
        self._streams.set_state(state, next(self.parameters()).device)


class SegmentReadings(Readings):
    """One batch of examples, as a network reads it.

    Args:
        network: S peers.
        segments: [B, m, F].
        classes: [B], the right answers.
        dropped: [S, B] a segment to leave out of each example, or None.
    """

    def __init__(
        self, network: SegmentNetwork, segments: Tensor, classes: Tensor, dropped: Tensor | None = None
    ) -> None:
        self._network, self._classes = network, classes
        self._segments = network.per_slot(segments)  # [S, B, m, F]
        scores = network(segments)
        real = None if dropped is None else torch.ones_like(scores).scatter(-1, dropped[..., None], 0).bool()
        self.log_focus = masked_log_softmax(scores, real)

    def each(self) -> Tensor:
        return self._right(self._network.classify(self._segments))

    def averaged(self, weights: Tensor) -> Tensor:
        return self._right(self.average(weights))

    def averaged_logits(self, weights: Tensor) -> Tensor:
        return self._right(self.logits(weights))

    def average(self, weights: Tensor) -> Tensor:
        """Logits [S, B, C] of the averaged segment."""
        return self._network.classify((weights[..., None] * self._segments).sum(2))

    def logits(self, weights: Tensor) -> Tensor:
        """Averaged logits [S, B, C]."""
        return (weights[..., None] * self._network.classify(self._segments)).sum(2)

    def predict(self, rule: str) -> Tensor:
        """Log-probabilities [S, B, C] by a rule of `readouts.INFERENCE`."""
        focus = self.log_focus.exp()
        if rule == "mixture":
            each = self._network.classify(self._segments).log_softmax(-1)
            return (self.log_focus[..., None] + each).logsumexp(2)
        if rule == "argmax":
            focus = torch.zeros_like(focus).scatter(-1, focus.argmax(-1, keepdim=True), 1)
        scores = self.logits(focus) if rule == "logits" else self.average(focus)
        return scores.log_softmax(-1)

    def _right(self, logits: Tensor) -> Tensor:
        """[S, B, (m,) C] -> [S, B, (m)] log-probability of the right class."""
        index = self._classes.view(1, -1, *[1] * (logits.dim() - 2)).expand(*logits.shape[:-1], 1)
        return logits.log_softmax(-1).gather(-1, index)[..., 0]
