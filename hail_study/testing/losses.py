"""Checks of an item loss: its gradient, its manners among slots, chunks and padding, what it makes of negatives."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from typing import Final
from unittest import SkipTest

import torch
from torch import Tensor

from hail_study.objectives import Objective
from hail_study.objectives.chunked import Problem, chunked_loss
from hail_study.objectives.couplings import Chunk, Coupling
from hail_study.objectives.items import ItemLoss
from hail_study.study import Configuration, catalogue
from hail_study.study.configuration import Objective as Settings
from hail_study.study.configuration import Peers
from hail_study.testing.registering import registered

_TRIALS: Final = 2
_PEERS: Final = 2
_TARGETS: Final = 5
_ITEMS: Final = 9
_DIM: Final = 3
_DRAWN: Final = 4

Definition = Callable[[Tensor, int], Tensor]
"""Scores [C] of the candidates, the target's first, and the number of items V -> the loss at this target."""


@contextmanager
def judged(kind: type[ItemLoss], coupling: str = "independent") -> Iterator[Coupling]:
    """What judges the scores of peers that have this item loss."""
    with registered(catalogue.ITEM_LOSSES, kind) as name:
        peers = Peers(count=_PEERS, coupling=coupling)
        configuration = Configuration(peers=peers, objective=Settings(loss=name, negatives=_DRAWN))
        yield Objective(configuration).coupling


@dataclass(frozen=True)
class Case:
    """A small batch: states [S, N, D] and tables [T, J, V + 1, D], J = 1 where a trial's peers share one."""

    states: Tensor
    tables: Tensor
    problem: Problem

    def total(self) -> Tensor:
        """The loss, a scalar."""
        return chunked_loss(self.states, self.tables, {}, self.problem)[0]

    def terms(self) -> dict[str, Tensor]:
        """Name -> [S]."""
        return chunked_loss(self.states, self.tables, {}, self.problem)[1]

    def gradients(self) -> tuple[Tensor, Tensor]:
        """In the states and in the tables."""
        states, tables = self.states.clone().requires_grad_(), self.tables.clone().requires_grad_()
        found = torch.autograd.grad(chunked_loss(states, tables, {}, self.problem)[0], (states, tables))
        return found[0], found[1]

    def with_problem(self, **changes: object) -> "Case":
        """The same batch under another problem."""
        return replace(self, problem=replace(self.problem, **changes))  # type: ignore[arg-type]


def cases(kind: type[ItemLoss], judge: Coupling, dtype: torch.dtype = torch.float64) -> Iterator[Case]:
    """Batches of two trials with shared and with separate tables and, where items are sampled, negatives."""
    source = torch.Generator().manual_seed(4)
    targets = torch.randint(1, _ITEMS + 1, (_TRIALS, _TARGETS), generator=source)
    for groups, shared in product((1, _PEERS), (True, False) if kind.sampled else (True,)):
        states = torch.randn(_TRIALS * _PEERS, _TARGETS, _DIM, dtype=dtype, generator=source)
        tables = torch.randn(_TRIALS, groups, _ITEMS + 1, _DIM, dtype=dtype, generator=source)
        shape = (_TRIALS, _DRAWN) if shared else (_TRIALS, _TARGETS, _DRAWN)
        negatives = torch.randint(1, _ITEMS + 1, shape, generator=source) if kind.sampled else None
        yield Case(states, tables, Problem(judge, targets, negatives=negatives))


def value_is(kind: type[ItemLoss], definition: Definition) -> None:
    """The loss is the mean, over a slot's targets, of a definition of yours, in double precision.

    Args:
        kind: The item loss.
        definition: From the scores [C] of one target's candidates, the target's own first, without negatives that are
            the target, and the number of items. Write it as plainly as you can.
    """
    with judged(kind) as judge:
        for case in cases(kind, judge):
            found = torch.stack([judge.weights(0)[name] * term for name, term in case.terms().items()]).sum(0)  # [S]
            for slot in range(len(case.states)):
                expected = [definition(_scores(case, slot, n), _ITEMS) for n in range(_TARGETS)]
                torch.testing.assert_close(found[slot], torch.stack(expected).mean(), rtol=1e-6, atol=1e-9)


def gradient_is_that_of_finite_differences(kind: type[ItemLoss]) -> None:
    """In states and tables, in double precision, with shared and separate tables and negatives."""
    with judged(kind) as judge:
        for case in cases(kind, judge):
            for name, gradient in zip(("states", "tables"), case.gradients(), strict=True):
                torch.testing.assert_close(gradient, _differences(case, name), rtol=1e-5, atol=1e-7)


def single_precision_is_enough(kind: type[ItemLoss]) -> None:
    """In single precision, loss and gradients are those of double precision to a few units in the fifth digit."""
    with judged(kind) as judge:
        for case in cases(kind, judge):
            single = replace(case, states=case.states.float(), tables=case.tables.float())
            torch.testing.assert_close(single.total().double(), case.total(), rtol=1e-4, atol=1e-5)
            for found, expected in zip(single.gradients(), case.gradients(), strict=True):
                torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)


def extreme_scores_stay_finite(kind: type[ItemLoss]) -> None:
    """However large the scores, of either sign, losses and gradients are finite, by themselves and with couplings."""
    for coupling in ("independent", "med", "mutual") if kind.probabilistic else ("independent",):
        with judged(kind, coupling) as judge:
            for case, scale in product(cases(kind, judge, torch.float32), (1e2, 1e4, 1e8)):
                wild = replace(case, states=scale * case.states)
                assert wild.total().isfinite(), f"scores near {scale:g} ({coupling}): the loss is not finite"
                for gradient in wild.gradients():
                    assert gradient.isfinite().all(), f"scores near {scale:g} ({coupling}): a gradient is not finite"


def slots_do_not_touch(kind: type[ItemLoss]) -> None:
    """NaN in a peer's states, and in its table where it has one, leaves the others as they were, to the bit."""
    with judged(kind) as judge:
        for case in cases(kind, judge):
            spoiled = replace(case, states=case.states.clone(), tables=case.tables.clone())
            spoiled.states[1] = torch.nan
            separate = case.tables.shape[1] > 1
            if separate:
                spoiled.tables[0, 1] = torch.nan
            before, after = case.gradients(), spoiled.gradients()
            for slot in (0, 2, 3):
                for name, term in case.terms().items():
                    assert torch.equal(spoiled.terms()[name][slot], term[slot]), f"slot 1 changes {name} of slot {slot}"
                assert torch.equal(after[0][slot], before[0][slot]), f"slot 1 changes the gradient of slot {slot}"
                if separate:
                    tables = (one[1].flatten(0, 1)[slot] for one in (before, after))
                    assert torch.equal(*tables), f"slot 1 changes the table's gradient of slot {slot}"


def padding_weighs_nothing(kind: type[ItemLoss]) -> None:
    """Targets of weight 0 change neither the loss nor a gradient, whatever stands there."""
    real = _TARGETS - 2
    with judged(kind) as judge:
        for case in cases(kind, judge):
            weights = (torch.arange(_TARGETS) < real).expand(_TRIALS, -1).double()
            padded = case.with_problem(weights=weights)
            other = padded.with_problem(targets=torch.where(weights > 0, case.problem.targets, 1))
            other = replace(
                other, states=torch.where(weights.repeat_interleave(_PEERS, 0)[..., None] > 0, case.states, 7)
            )
            alone = replace(_first(case, real), states=case.states[:, :real])
            for one in (padded, other):
                torch.testing.assert_close(one.total(), alone.total(), rtol=1e-6, atol=1e-9)
                states, tables = one.gradients()
                assert not states[:, real:].any(), "a target of weight 0 has a gradient"
                torch.testing.assert_close(tables, alone.gradients()[1], rtol=1e-6, atol=1e-8)


def chunks_change_nothing(kind: type[ItemLoss]) -> None:
    """However many scores are held at a time, the loss and its gradients are the same but for rounding."""
    with judged(kind) as judge:
        for case in cases(kind, judge):
            for size in (1, 60):
                pieces = case.with_problem(chunk=size)
                torch.testing.assert_close(pieces.total(), case.total(), rtol=1e-9, atol=1e-12)
                for found, expected in zip(pieces.gradients(), case.gradients(), strict=True):
                    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def names_and_order_of_items_mean_nothing(kind: type[ItemLoss]) -> None:
    """Negatives in another order, and items under other numbers, give the same loss."""
    source = torch.Generator().manual_seed(0)
    with judged(kind) as judge:
        for case in cases(kind, judge):
            number = torch.cat([torch.zeros(1, dtype=torch.long), 1 + torch.randperm(_ITEMS, generator=source)])
            problem, tables = case.problem, torch.empty_like(case.tables)
            tables[:, :, number] = case.tables
            negatives = None if problem.negatives is None else number[problem.negatives].flip(-1)
            renamed = replace(case, tables=tables).with_problem(targets=number[problem.targets], negatives=negatives)
            torch.testing.assert_close(renamed.total(), case.total(), rtol=1e-9, atol=1e-12)


def a_better_score_of_the_target_helps(kind: type[ItemLoss]) -> None:
    """Raising the target's score, or lowering another's, never makes the loss larger; the former makes it smaller."""
    with judged(kind) as judge:
        for case in cases(kind, judge):
            for slot, n in product(range(len(case.states)), range(_TARGETS)):
                slopes = _slopes(case, judge, slot, n)
                assert slopes[0] < 0, "the loss does not fall as the target's score rises"
                assert bool((slopes[1:] >= 0).all()), "the loss falls as another item's score rises"


def logq_is_unbiased(kind: type[ItemLoss]) -> None:
    """The corrected normaliser has that of all items as its mean, where the loss says so (`ItemLoss.unbiased`).

    With one target, exp(loss) is the sum of the corrected candidates over the target's, so that its mean over draws,
    here over all V^M of them, is exp of the full cross-entropy.
    """
    if not kind.unbiased:
        raise SkipTest("the loss does not claim it")
    source = torch.Generator().manual_seed(3)
    states, tables = torch.randn(1, 1, _DIM, generator=source).double(), torch.randn(1, 1, 5, _DIM, generator=source)
    frequency = torch.tensor([0.0, 0.1, 0.4, 0.2, 0.3], dtype=torch.float64)
    targets = torch.tensor([[2]])
    with judged(kind) as judge:
        for count in (1, 2, 3):
            mean = torch.zeros((), dtype=torch.float64)
            for drawn in product(range(1, 5), repeat=count):
                negatives = torch.tensor([drawn])
                problem = Problem(judge, targets, negatives=negatives, log_frequency=frequency.log()[None])
                chance = frequency[list(drawn)].prod()
                mean += chance * chunked_loss(states, tables.double(), {}, problem)[0].exp()
            scores = tables[0, 0, 1:].double() @ states[0, 0]
            expected = scores.logsumexp(0).sub(scores[1]).exp()
            torch.testing.assert_close(mean, expected, msg=lambda text: f"with {count} negatives: {text}")  # noqa: B023


LOSS_CHECKS: Final[tuple[Callable[[type[ItemLoss]], None], ...]] = (
    gradient_is_that_of_finite_differences,
    single_precision_is_enough,
    extreme_scores_stay_finite,
    slots_do_not_touch,
    padding_weighs_nothing,
    chunks_change_nothing,
    names_and_order_of_items_mean_nothing,
    a_better_score_of_the_target_helps,
    logq_is_unbiased,
)
"""What every item loss must pass; `value_is` compares one with a definition besides."""


def _scores(case: Case, slot: int, n: int) -> Tensor:
    """Scores [C] at one target: its own, then those of the other candidates that are not the target."""
    trial, peer = divmod(slot, _PEERS)
    table, y = case.tables[trial, peer % case.tables.shape[1]], int(case.problem.targets[trial, n])
    negatives = case.problem.negatives
    others = torch.arange(1, _ITEMS + 1) if negatives is None else negatives[trial]
    others = others[n] if others.dim() > 1 else others
    return torch.cat([table[y][None], table[others[others != y]]]) @ case.states[slot, n]


def _first(case: Case, count: int) -> Case:
    """The batch with the first targets alone."""
    problem = case.problem
    own = None if problem.negatives is None else problem.negatives
    own = own[:, :count] if own is not None and own.dim() == 3 else own
    return case.with_problem(targets=problem.targets[:, :count], negatives=own)


def _slopes(case: Case, judge: Coupling, slot: int, n: int) -> Tensor:
    """Derivatives [C] of one slot's loss in the candidates' scores, the target's first."""
    trial, peer = divmod(slot, _PEERS)
    grouped = case.states.view(_TRIALS, _PEERS, *case.states.shape[1:])[:, :, n : n + 1]
    scores, piece = case.problem.scores(case.tables), slice(n, n + 1)
    chunk = Chunk(scores.forward(grouped, piece), scores.right(piece), 0, scores.items)
    right = int(chunk.targets[trial, 0])
    found = judge.gradient(chunk)[1][0][trial, peer, 0]
    return torch.cat([found[right : right + 1], found[:right], found[right + 1 :]])


def _differences(case: Case, name: str, step: float = 1e-6) -> Tensor:
    """Central differences of the total in every number of the states or the tables."""
    whole: Tensor = getattr(case, name)
    found = torch.zeros_like(whole)
    for index in range(whole.numel()):
        moved = []
        for sign in (1, -1):
            changed = whole.clone()
            changed.view(-1)[index] += sign * step
            moved.append(float(replace(case, **{name: changed}).total()))  # type: ignore[arg-type]
        found.view(-1)[index] = (moved[0] - moved[1]) / (2 * step)
    return found
