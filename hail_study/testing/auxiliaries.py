"""Checks of an auxiliary term: its value, its gradient, its manners among slots and trials, with every encoder."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor

from hail_study.models import PeerNetwork
from hail_study.objectives import Objective
from hail_study.objectives.auxiliary import Auxiliary
from hail_study.study import Configuration, catalogue
from hail_study.testing.encoders import ITEMS, LENGTH
from hail_study.testing.registering import registered

_SEEDS: Final = (3, 8)
_PROGRESS: Final = 0.5
"""Whatever sets in during the training has set in."""


@contextmanager
def configured(
    kind: type[Auxiliary], encoder: str = "sasrec", peers: int = 2, dropout: float = 0.0, **objective: Any
) -> Iterator[Configuration]:
    """A small configuration with this one term, whose peers share nothing."""
    with registered(catalogue.AUXILIARIES, kind) as name:
        yield Configuration.model_validate(
            {
                "encoder": {"name": encoder, "dim": 8, "heads": 2, "blocks": 1, "dropout": dropout},
                "peers": {"count": max(peers, kind.peers), "coupling": "independent", "share": []},
                "objective": {"auxiliary": [name]} | objective,
                "data": {"source": "planted", "max_length": LENGTH, "users": 60, "items": ITEMS},
            }
        )


def users(trials: int, count: int = 6, seed: int = 0) -> Tensor:
    """Ids [T, B, L + 1] of random lengths from 3 on, right-padded; the first of each trial is of full length."""
    source = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, ITEMS + 1, (trials, count, LENGTH + 1), generator=source)
    lengths = torch.randint(3, LENGTH + 2, (trials, count, 1), generator=source)
    lengths[:, 0] = LENGTH + 1
    return ids * (torch.arange(LENGTH + 1) < lengths)


class Rehearsal:
    """The least of a training loop.

    Args:
        configuration: With the term.
        seeds: Of the trials.
    """

    def __init__(self, configuration: Configuration, seeds: Sequence[int]) -> None:
        self.network = PeerNetwork(configuration, ITEMS, seeds).train()
        self.name = configuration.objective.auxiliary[0]
        self._objective = Objective(configuration)
        self._draws = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._steps = 0

    def value(self, ids: Tensor) -> Tensor:
        """The term [S], unweighted, of one step's loss, whose gradient is left in the network."""
        domains = torch.arange(ids.shape[1]).expand(len(ids), -1) % 4
        batch = replace(self.network.training_batch(ids, self._draws), domains=domains)
        loss = self._objective.of(self.network, batch, self._steps, _PROGRESS, self._draws)
        self.network.zero_grad()
        torch.autograd.backward(loss.total)
        self._steps += 1
        return loss.parts[self.name]

    def gradients(self) -> dict[str, Tensor]:
        """By parameter; zeros where none came."""
        return {
            name: torch.zeros_like(weight) if weight.grad is None else weight.grad.clone()
            for name, weight in self.network.named_parameters()
        }


def works_with_every_encoder(kind: type[Auxiliary]) -> None:
    """A finite value of each slot, not negative, and finite gradients, with every encoder that suits, 1 or 3 peers."""
    for name, target in catalogue.ENCODERS.items():
        if kind.causal and not catalogue.resolve(target).causal:
            continue
        for peers in (1, 3):
            with configured(kind, name, peers, dropout=0.2) as configuration:
                rehearsal = Rehearsal(configuration, _SEEDS[:1])
                for _ in range(2):
                    value = rehearsal.value(users(1))
                assert value.shape == (configuration.peers.count,), f"{name}: a value of shape {tuple(value.shape)}"
                assert value.isfinite().all(), f"{name}: the value is not finite"
                assert bool((value >= 0).all()), f"{name}: the value is negative"
                for weight, gradient in rehearsal.gradients().items():
                    assert gradient.isfinite().all(), f"{name}: the gradient of {weight} is not finite"


def a_weight_of_nothing_changes_nothing(kind: type[Auxiliary]) -> None:
    """The term moves the encoder; weighed by zero, it leaves every gradient of the encoder as it is without it."""
    with configured(kind) as configuration:
        plain = configuration.model_copy(
            update={"objective": configuration.objective.model_copy(update={"auxiliary": []})}
        )
        with_term = Rehearsal(configuration, _SEEDS[:1])
        with_term.value(users(1))
        moved = with_term.gradients()
        again = Rehearsal(configuration, _SEEDS[:1])
        again.network.weighting.fixed.zero_()  # type: ignore[union-attr,operator]
        again.value(users(1))
        still = again.gradients()
        network = PeerNetwork(plain, ITEMS, _SEEDS[:1]).train()
        loss = Objective(plain).of(network, network.training_batch(users(1), [torch.Generator().manual_seed(3)]))
        torch.autograd.backward(loss.total)
        differs = False
        for name, weight in network.named_parameters():
            expected = torch.zeros_like(weight) if weight.grad is None else weight.grad
            torch.testing.assert_close(still[name], expected, rtol=1e-4, atol=1e-6)
            differs |= not torch.allclose(moved[name], expected, rtol=1e-4, atol=1e-7)
        assert differs, "the term changes no gradient of the encoder"


def trials_do_not_touch(kind: type[Auxiliary]) -> None:
    """NaN in all weights of one trial leaves the other's values and gradients as they were, to the bit.

    So do single slots, unless the term is between peers (`peers` above 1).
    """
    with configured(kind) as configuration:
        count = configuration.peers.count
        spoiled = range(count, 2 * count) if kind.peers > 1 else range(1, 2)
        ids = users(1).expand(2, -1, -1).contiguous()
        clean, other = Rehearsal(configuration, _SEEDS), Rehearsal(configuration, _SEEDS)
        with torch.no_grad():
            for weight in other.network.parameters():
                if len(weight) == 2 * count:
                    weight[list(spoiled)] = torch.nan
        expected, found = clean.value(ids), other.value(ids)
        before, after = clean.gradients(), other.gradients()
        for slot in set(range(2 * count)) - set(spoiled):
            assert torch.equal(found[slot], expected[slot]), f"another slot changes the value of slot {slot}"
            for name, gradient in before.items():
                if len(gradient) == 2 * count:
                    assert torch.equal(after[name][slot], gradient[slot]), f"another slot changes {name} of slot {slot}"


def seeds_decide(kind: type[Auxiliary]) -> None:
    """Weights of a term and its values come from the trial's own seed: the same alone and stacked, and again."""
    with configured(kind, dropout=0.3) as configuration:
        ids = users(1).expand(2, -1, -1).contiguous()
        stack = Rehearsal(configuration, _SEEDS)
        built = {name: weight.detach().clone() for name, weight in stack.network.named_parameters()}
        value = stack.value(ids)
        for trial, seed in enumerate(_SEEDS):
            alone, again = Rehearsal(configuration, [seed]), Rehearsal(configuration, [seed])
            for name, weight in alone.network.named_parameters():
                mine = built[name].chunk(2)[trial]
                assert torch.equal(mine, weight), f"{name} depends on the other trials' seeds"
            own = alone.value(ids[:1])
            assert torch.equal(own, again.value(ids[:1])), "the same seed gives another value"
            torch.testing.assert_close(value.chunk(2)[trial], own, rtol=1e-3, atol=1e-5)


AUXILIARY_CHECKS: Final[tuple[Callable[[type[Auxiliary]], None], ...]] = (
    works_with_every_encoder,
    a_weight_of_nothing_changes_nothing,
    trials_do_not_touch,
    seeds_decide,
)
"""What every auxiliary term must pass."""
