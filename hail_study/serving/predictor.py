"""From item sequences to ranked items, with the weights of an exported trial."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor

from hail_study.models import PeerNetwork, combine
from hail_study.models.companions import alone
from hail_study.serving.folder import CARD, CONFIGURATION, ITEMS, WEIGHTS
from hail_study.study import Configuration
from hail_study.study.plugins import activate


class Predictor:
    """Ranks the items that may come next.

        predictor = Predictor.load("best/ablation")
        predictor.rank([["i17", "i3", "i20"]], count=5)

    Everything is read from YAML, JSON and safetensors; nothing is unpickled.

    Args:
        configuration: Of the trial.
        items: Names of the items 1..V.
        weights: The network's parameters by name.
        best_peer: The peer that answers where `peers.inference` is `best`.
        device: Where to compute.
    """

    def __init__(
        self,
        configuration: Configuration,
        items: Sequence[str],
        weights: dict[str, Tensor],
        best_peer: int = 0,
        device: str = "cpu",
    ) -> None:
        self.configuration = configuration
        self.items = list(items)
        self._ids = {name: index for index, name in enumerate(self.items, 1)}
        self._best_peer = best_peer
        self._device = torch.device(device)
        self._network = PeerNetwork(alone(configuration), len(self.items), [0]).to(self._device).eval()
        self._network.load_state_dict(weights)

    @classmethod
    def load(cls, folder: str | Path, device: str = "cpu") -> Self:
        """Open what `hail-study best` exported.

        Raises:
            FileNotFoundError: The folder is not a whole export.
            hail_study.study.PluginError: A plug-in that the study named is not importable here.
        """
        folder = Path(folder)
        card: dict[str, Any] = json.loads((folder / CARD).read_text())
        activate(card.get("plugins", []), folder)
        configuration = Configuration.model_validate(yaml.safe_load((folder / CONFIGURATION).read_text()))
        items = json.loads((folder / ITEMS).read_text())
        return cls(configuration, items, load_file(folder / WEIGHTS), int(card["best_peer"]), device)

    @torch.inference_mode()
    def scores(self, sequences: Sequence[Sequence[str]]) -> Tensor:
        """Scores [n, V] of all items after each sequence, oldest item first; only their order means something.

        Only the latest `data.max_length` known items count; an item that was not in the training data is passed over.

        Raises:
            ValueError: A sequence has no known item.
        """
        ids, lengths = self._batch(sequences)
        inputs, positions = self._network.evaluation_inputs(ids, lengths)
        states = self._network.states_at(self._network(inputs), positions)  # [K, n, D]
        logits = torch.bmm(states, self._network.table().transpose(1, 2)).float()  # [K, n, V+1]
        logits[:, :, 0] = -torch.inf
        rule, gate = self.configuration.peers.inference, self._network.gate_at(states)
        return combine(logits, rule, self._best_peer, gate)[:, 1:].cpu()

    @torch.inference_mode()
    def rank(self, sequences: Sequence[Sequence[str]], count: int = 10, seen: bool = False) -> list[list[str]]:
        """The `count` likeliest next items after each sequence, likeliest first.

        Args:
            sequences: Item names, oldest first.
            count: Items for each.
            seen: Whether items of the sequence itself may come again.
        """
        scores = self.scores(sequences)
        if not seen:
            for row, sequence in enumerate(sequences):
                scores[row, [self._ids[item] - 1 for item in sequence if item in self._ids]] = -torch.inf
        best = scores.topk(min(count, len(self.items)), dim=1)
        return [
            [self.items[item] for value, item in zip(*pair, strict=True) if value > -torch.inf]
            for pair in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]

    def _batch(self, sequences: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor]:
        """Right-padded ids [n, L] and lengths [n]."""
        longest = self.configuration.data.max_length  # type: ignore[union-attr]
        known = [[self._ids[item] for item in sequence if item in self._ids][-longest:] for sequence in sequences]
        empty = [row for row, ids in enumerate(known) if not ids]
        if empty:
            raise ValueError(f"sequence {empty[0]} has no item that the model knows")
        width = max(map(len, known))
        rows = [ids + [0] * (width - len(ids)) for ids in known]
        return torch.tensor(rows, device=self._device), torch.tensor([len(ids) for ids in known], device=self._device)
