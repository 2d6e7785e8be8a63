"""Checks of an encoder: shapes, no leaks, slots that do not touch, seeds that decide, weights that learn."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor

from hail_study.models import Encoder, PeerNetwork
from hail_study.objectives import Objective
from hail_study.study import Configuration, catalogue
from hail_study.study.configuration import Encoder as EncoderSettings
from hail_study.study.configuration import Peers, PlantedData
from hail_study.testing.registering import registered

ITEMS: Final = 30
LENGTH: Final = 8
_SEEDS: Final = (3, 8)


@contextmanager
def networks(
    kind: type[Encoder], peers: int = 2, dropout: float = 0.0
) -> Iterator[Callable[[Sequence[int]], PeerNetwork]]:
    """A function from seeds to networks of this encoder that share nothing."""
    with registered(catalogue.ENCODERS, kind) as name:
        configuration = Configuration(
            encoder=EncoderSettings(name=name, dim=8, heads=2, dropout=dropout),
            peers=Peers(count=peers, coupling="independent", share=[]),
            data=PlantedData(max_length=LENGTH),
        )
        yield lambda seeds: PeerNetwork(configuration, ITEMS, seeds)


def histories(trials: int, users: int = 6, seed: int = 0) -> Tensor:
    """Ids [T, B, L] of random lengths, right-padded; the first of each trial is of full length."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, ITEMS + 1, (trials, users, LENGTH), generator=generator)
    lengths = torch.randint(1, LENGTH + 1, (trials, users, 1), generator=generator)
    lengths[:, 0] = LENGTH
    return ids * (torch.arange(LENGTH) < lengths)


def states_have_the_shape_of_the_inputs(kind: type[Encoder]) -> None:
    """[T, B, L] ids give finite [T * K, B, L, D] states, for sequences of one item too."""
    with networks(kind) as build:
        network = build(_SEEDS).eval()
        for ids in (histories(2), histories(2)[:, :, :1]):
            states = network(ids)
            assert states.shape == (4, 6, ids.shape[-1], 8), f"states of shape {tuple(states.shape)}"
            assert states[_real(network, ids)].isfinite().all(), "states of real items are not finite"


def nothing_leaks_from_the_future(kind: type[Encoder]) -> None:
    """In a causal encoder, later items change no earlier state; in another, they do."""
    with networks(kind) as build:
        network = build(_SEEDS[:1]).eval()
        ids = torch.randint(1, ITEMS + 1, (1, 20, LENGTH), generator=torch.Generator().manual_seed(0))
        later = ids.clone()
        later[:, :, 5:] = later[:, :, 5:] % ITEMS + 1
        difference = float((network(ids) - network(later)).detach()[:, :, :5].abs().max())
        if kind.causal:
            assert difference < 1e-5, f"changing the future changes states by {difference:.2g}"
        else:
            assert difference > 1e-5, "a masked-item encoder should see both sides"


def nothing_leaks_from_padding(kind: type[Encoder]) -> None:
    """More padding on the right, or another vector for it, changes no real state."""
    with networks(kind) as build:
        network = build(_SEEDS[:1]).eval()
        ids = histories(1)
        ids[:, :, 5:] = 0
        real = _real(network, ids)
        expected = network(ids)[real]
        short = network(ids[:, :, :5])[real[:, :, :5]]
        torch.testing.assert_close(short, expected, rtol=1e-4, atol=1e-5, msg=lambda m: f"more padding: {m}")
        with torch.no_grad():
            network.stack.items.weight[:, 0] = 3.0
        torch.testing.assert_close(
            network(ids)[real], expected, rtol=1e-4, atol=1e-5, msg=lambda m: f"other padding: {m}"
        )


def slots_do_not_touch(kind: type[Encoder]) -> None:
    """NaN in all weights of one slot leaves the states and gradients of the others as they were, to the bit."""
    with networks(kind) as build:
        ids = histories(2)
        (expected, before), (found, after) = (_gradients(build(_SEEDS), ids, spoil) for spoil in (None, 1))
        for slot in (0, 2, 3):
            assert torch.equal(found[slot], expected[slot]), f"slot 1 changes the states of slot {slot}"
            for name, gradient in before.items():
                assert torch.equal(after[name][slot], gradient[slot]), f"slot 1 changes {name} of slot {slot}"


def stacked_is_looped(kind: type[Encoder]) -> None:
    """Each slot of a stack computes what one network with its weights computes."""
    with networks(kind) as build, networks(kind, peers=1) as build_one:
        stack, ids = build(_SEEDS).eval(), histories(2)
        states, real = stack(ids), _real(stack, ids)
        for slot in range(stack.slots):
            one = build_one(_SEEDS[:1]).eval()
            one.load_state_dict({name: value[slot : slot + 1] for name, value in stack.state_dict().items()})
            mine = real[slot : slot + 1]
            alone = one(ids[slot // 2][None])
            torch.testing.assert_close(states[slot : slot + 1][mine], alone[mine], rtol=1e-4, atol=1e-5)


def seeds_decide(kind: type[Encoder]) -> None:
    """Weights, and what dropout does, depend on a trial's own seed: alone and stacked they are the same."""
    with networks(kind, dropout=0.5) as build:
        ids = histories(2)
        stack = build(_SEEDS).train()
        states = stack(ids)
        for trial, seed in enumerate(_SEEDS):
            alone = build([seed]).train()
            for name, weight in alone.named_parameters():
                mine = dict(stack.named_parameters())[name].chunk(2)[trial]
                assert torch.equal(mine, weight), f"{name} depends on the other trials' seeds"
            own = ids[trial : trial + 1]
            real = _real(alone, own)
            torch.testing.assert_close(
                states[2 * trial : 2 * trial + 2][real],
                alone(own)[real],
                rtol=1e-4,
                atol=1e-5,
                msg=lambda m: f"dropout does not come from the trial's streams: {m}",
            )
        weights = [one for name, one in stack.named_parameters() if "encoder" in name and one.std() > 0]
        assert any(not torch.equal(one[0], one[1]) for one in weights), "peers start with the same weights"


def dropout_resumes(kind: type[Encoder]) -> None:
    """After its random state is restored, a network drops what it would have dropped."""
    with networks(kind, dropout=0.5) as build:
        ids = histories(2)
        network = build(_SEEDS).train()
        state = network.random_state()
        first = network(ids)
        assert not torch.equal(network(ids), first), "training drops nothing"
        network.set_random_state(state)
        assert torch.equal(network(ids), first), "dropout does not come from the trial's streams"
        network.eval()
        assert torch.equal(network(ids), network(ids)), "evaluation is random"


def every_weight_learns(kind: type[Encoder]) -> None:
    """A gradient reaches every weight, and a few steps fit a simple pattern."""
    with networks(kind, peers=1) as build:
        network = build(_SEEDS[:1]).train()
        start = torch.arange(ITEMS)[None, :, None]
        ids = (start + torch.arange(LENGTH + 1)) % ITEMS + 1  # each item is followed by the next
        optimiser = torch.optim.Adam(network.parameters(), 0.01)
        objective = Objective(_independent())
        masks = torch.Generator().manual_seed(0)
        losses = []
        for step in range(200):
            loss = objective.of(network, network.training_batch(ids, masks), step)
            optimiser.zero_grad()
            torch.autograd.backward(loss.total)
            optimiser.step()
            losses.append(float(loss.total.detach()))
        idle = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
        assert not idle, f"no gradient reaches {', '.join(idle)}"
        assert losses[-1] < 0.75 * losses[0], f"200 steps took the loss from {losses[0]:.3g} to {losses[-1]:.3g} only"


ENCODER_CHECKS: Final[tuple[Callable[[type[Encoder]], None], ...]] = (
    states_have_the_shape_of_the_inputs,
    nothing_leaks_from_the_future,
    nothing_leaks_from_padding,
    slots_do_not_touch,
    stacked_is_looped,
    seeds_decide,
    dropout_resumes,
    every_weight_learns,
)
"""What every encoder must pass."""


def _real(network: PeerNetwork, ids: Tensor) -> Tensor:
    """Where ids [T, B, L] are items, for every slot: [S, B, L] bool."""
    return (ids != 0).repeat_interleave(network.peers, 0)


def _independent() -> Configuration:
    return Configuration(peers=Peers(count=1, coupling="independent"))


def _gradients(network: PeerNetwork, ids: Tensor, spoil: int | None) -> tuple[Tensor, dict[str, Any]]:
    """States and gradients of a network, one slot of which may be made of NaN."""
    if spoil is not None:
        for weight in network.parameters():
            weight.data[spoil] = torch.nan
    states = network.eval()(ids)
    torch.autograd.backward(states[_real(network, ids)].square().sum())
    return states.detach(), {name: weight.grad for name, weight in network.named_parameters()}
