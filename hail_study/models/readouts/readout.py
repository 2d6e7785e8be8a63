"""The paradigms of a trial's peers, at every stage of its training."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hail_study.models.readouts.base import Paradigm, Readings
from hail_study.models.readouts.focus import distillation, entropy
from hail_study.study import catalogue
from hail_study.study.configuration import Configuration


class Readout:
    """How focus and classifier of K peers are trained (`readout`).

    Args:
        configuration: The trial's.
    """

    def __init__(self, configuration: Configuration) -> None:
        self.settings = configuration.readout
        self._peers = configuration.peers.count
        self._epochs = configuration.training.epochs
        cycle = list(self.settings.by_peer) or [self.settings.paradigm]
        self._names = [cycle[peer % len(cycle)] for peer in range(self._peers)]

    def paradigms(self, stage: int) -> list[Paradigm]:
        """Each peer's paradigm at a stage (0 before the switch, 1 after it); peers with the same one share it."""
        stages = [catalogue.STAGES.get(name, (name,)) for name in self._names]
        names = [one[min(stage, len(one) - 1)] for one in stages]
        made = {name: catalogue.resolve(catalogue.PARADIGMS[name])(self.settings) for name in dict.fromkeys(names)}
        return [made[name] for name in names]

    def rules(self, stage: int) -> list[str]:
        """Each peer's rule of prediction."""
        asked = self.settings.inference
        return [one.inference if asked == "own" else asked for one in self.paradigms(stage)]

    def loss(self, readings: Readings, stage: int, draws: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of each target [S, N], and its terms and diagnostics by name, [S, N] or [S], detached."""
        paradigms = self.paradigms(stage)
        losses = {one: one.loss(readings, draws) for one in dict.fromkeys(paradigms)}
        slots = [paradigms[slot % self._peers] for slot in range(len(readings.log_focus))]
        loss = torch.stack([losses[one][slot] for slot, one in enumerate(slots)])  # [S, N]
        parts = {"readout": loss.detach(), "focus_entropy": entropy(readings.log_focus.detach())}
        if self.settings.distil and self._peers > 1:
            taught = distillation(readings.log_focus, self._peers)
            loss = loss + self.settings.distil * taught
            parts["distillation"] = taught.detach()
        with torch.no_grad():
            for one in losses:
                parts |= one.diagnostics(readings)
        return loss, parts

    def stage_after(self, history: Sequence[Mapping[str, float]]) -> int:
        """0 until the switch, then 1; always 0 where no peer's paradigm has two stages."""
        if not any(name in catalogue.STAGES for name in self._names):
            return 0
        if self.settings.switch == "share":
            return int(len(history) >= self.settings.switch_share * self._epochs)
        return int(settled([entry["loss/focus_entropy"] for entry in history], self.settings.switch_patience))

    def rate(self, stage: int) -> float:
        return self.settings.switch_rate if stage else 1.0


def settled(entropies: Sequence[float], patience: int) -> bool:
    """Whether the focus has ever, for `patience` epochs, not become 1 % sharper than it had been at its sharpest."""
    sharpest, waited = float("inf"), 0
    for value in entropies:
        waited = 0 if value < 0.99 * sharpest else waited + 1
        sharpest = min(sharpest, value)
        if waited >= patience:
            return True
    return False
