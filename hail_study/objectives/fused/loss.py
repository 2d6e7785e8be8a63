"""Losses over all items by kernels that hold no scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from hail_study.objectives.chunked import Problem, shares
from hail_study.objectives.couplings.arithmetic import others
from hail_study.objectives.couplings.base import Coupling
from hail_study.objectives.couplings.independent import Independent
from hail_study.objectives.couplings.med import Med

_LINES: Final = 64
"""Lines (peers x targets) of a tile."""
_ITEMS: Final = 32
"""Items of a tile where a trial's peers share a table. The compiler says that more do not fit the registers."""


def fused_loss(states: Tensor, tables: Tensor, problem: Problem) -> tuple[Tensor, dict[str, Tensor]]:
    """As `chunked_loss`, exactly, in three launches (cross-entropy and MED).

    Args:
        states: [S, N, D].
        tables: [T, J, V + 1, D], J = 1 where a trial's peers share one.
        problem: The rest; `obstacle` must have found nothing.

    Returns:
        The scalar total and {name: [S] detached means}.
    """
    parts: dict[str, Tensor] = {}
    arguments = (problem, parts, states.float(), tables.float())
    total: Tensor = _Fused.apply(*arguments)  # type: ignore[no-untyped-call]
    return total, parts


class _Fused(Function):
    @staticmethod
    def forward(ctx: Any, problem: Problem, parts: dict[str, Tensor], states: Tensor, tables: Tensor) -> Tensor:
        grouped = states.reshape(len(problem.targets), -1, *states.shape[1:])  # [T, K, N, D]
        scores = problem.scores(tables)
        mean = shares(problem, scores, grouped)  # [T, K, N]
        terms, by_states, by_tables = _Launch.of(problem, grouped, tables).gradients(mean, scores.table_gradient)
        parts |= {name: (term * mean).sum(-1).flatten() for name, term in terms.items()}
        ctx.save_for_backward(by_states.view(states.shape), by_tables)
        scale = _plain_weights(problem.coupling, problem.step)
        return torch.stack([scale[name] * part.sum() for name, part in parts.items()]).sum()

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *[gradient * outer[0] for gradient in ctx.saved_tensors]


def _plain_weights(coupling: Coupling, step: int) -> Mapping[str, float]:
    """The kernels are given stacks of one alpha only, see `choice.covered`."""
    return cast(Mapping[str, float], coupling.weights(step))


@dataclass(frozen=True)
class _Softmax:
    """Of every peer at every target, [T, K, N] each; t is the item with the largest score, 0 the first item.

    Attributes:
        top: t, int32.
        second: Largest score but t's.
        rest: Sum of exponentials relative to `second`, without t.
        log_right: log p[y].
        log_not_top: log(1 - p[t]).
        p_top: p[t].
        scale: What exponentials relative to `second` are multiplied by to be probabilities.
    """

    top: Tensor
    second: Tensor
    rest: Tensor
    log_right: Tensor
    log_not_top: Tensor
    p_top: Tensor
    scale: Tensor


@dataclass(frozen=True)
class _Launch:
    """One batch, as the kernels see it."""

    coupling: Independent | Med
    step: int
    states: Tensor  # [T, K, N, D]
    tables: Tensor  # [T, J, V + 1, D]
    targets: Tensor  # [T, N]

    @classmethod
    def of(cls, problem: Problem, states: Tensor, tables: Tensor) -> "_Launch":
        assert isinstance(problem.coupling, Independent | Med)
        return cls(problem.coupling, problem.step, states.contiguous(), tables.contiguous(), problem.targets)

    def gradients(self, mean: Tensor, out: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Terms [T, K, N] and the gradients in states and tables of their weighted sum, each target weighing `mean`.

        The formulas are those of `Med.gradient`, whose sums over items are taken here with rows of the table.
        """
        found = self._softmax()
        weights = _plain_weights(self.coupling, self.step)
        alpha, beta = weights["cross_entropy"], weights.get("med", 0.0)
        if isinstance(self.coupling, Med):
            right = (self.targets - 1)[:, None].expand_as(found.top)
            not_right = torch.where(right == found.top, found.log_not_top.exp(), 1 - found.log_right.exp())
            unlikely = others(not_right.pow(self.coupling.settings.gamma))
        else:
            unlikely = torch.zeros_like(found.p_top)
        by_e, by_ch, spread, negative, c_top = self._sums(found)
        pull = alpha + beta * (unlikely - spread)
        of_e = (pull * found.scale - beta * c_top * found.p_top / found.rest) * mean
        of_ch, of_top = beta * mean, found.p_top * (pull + beta * c_top) * mean
        of_right = -(alpha + beta * unlikely) * mean
        by_states = of_e[..., None] * by_e + of_ch[..., None] * by_ch
        by_states += of_top[..., None] * self._rows(found.top.long() + 1)
        by_states += of_right[..., None] * self._rows(self.targets[:, None].expand_as(found.top))
        self._table_gradient(found, (of_e, of_ch, of_top, of_right), out)
        terms = {"cross_entropy": -found.log_right}
        if isinstance(self.coupling, Med):
            terms["med"] = -unlikely * found.log_right - negative - c_top * found.log_not_top
        return terms, by_states, out

    # --- inside -------------------------------------------------------------------------------------------------

    def _softmax(self) -> _Softmax:
        from hail_study.objectives.fused import kernels

        largest, second, rest, right = (self._empty() for _ in range(4))
        top = torch.empty_like(largest, dtype=torch.int32)
        given = (self.states, self.tables, self.targets, largest, top, second, rest, right)
        self._launch(kernels.statistics, self.states.shape[2], self._lines, given)
        gap = second - largest
        log_rest = gap + rest.log()
        total = F.softplus(log_rest)
        log_right = right - largest - total
        return _Softmax(top, second, rest, log_right, log_rest - total, total.neg().exp(), (gap - total).exp())

    def _sums(self, found: _Softmax) -> tuple[Tensor, ...]:
        """Rows summed by e and by c p / (1 - p), [T, K, N, D]; spread, negative and c[t], [T, K, N]."""
        from hail_study.objectives.fused import kernels

        med = isinstance(self.coupling, Med)
        by_e = torch.empty_like(self.states)
        by_ch = torch.empty_like(self.states) if med else by_e.new_zeros(1)
        single = [self._empty() if med else by_e.new_zeros(1) for _ in range(3)]
        softmax = (found.top, found.second, found.scale, found.p_top)
        given = (self.states, self.tables, self.targets, *softmax, by_e, by_ch, *single)
        self._launch(kernels.sums, self.states.shape[2], self._lines, given, **self._kind)
        return by_e, by_ch, *single

    def _table_gradient(self, found: _Softmax, weights: tuple[Tensor, ...], out: Tensor) -> None:
        from hail_study.objectives.fused import kernels

        softmax = (found.top, found.second, found.scale, found.p_top)
        given = (self.states, self.tables, self.targets, *softmax, *(one.contiguous() for one in weights), out)
        self._launch(kernels.table_gradient, self.tables.shape[2] - 1, self._items, given, **self._kind)

    def _launch(self, kernel: Any, size: int, block: int, given: tuple[Tensor, ...], **kind: Any) -> None:
        """Run a kernel over `size` targets or items, `block` of them in a program, for every trial."""
        trials, peers, count, dim = self.states.shape
        precision = "tf32" if torch.backends.cuda.matmul.allow_tf32 else "tf32x3"  # single precision by tensor cores
        kernel[(-(-size // block), trials)](
            *given,
            count,
            self.tables.shape[2] - 1,
            K=peers,
            PEERS=_power_of_two(peers),
            DIM=dim,
            WIDTH=max(16, _power_of_two(dim)),
            SHARED=self.tables.shape[1] == 1,
            PRECISION=precision,
            N=self._lines,
            C=self._items,
            num_warps=8,
            num_stages=2,
            **kind,
        )

    @property
    def _kind(self) -> dict[str, Any]:
        med = isinstance(self.coupling, Med)
        return {"MED": med, "GAMMA": float(self.coupling.settings.gamma)}

    @property
    def _lines(self) -> int:
        """Targets in a tile: a product has 16 lines at least, for each peer where each has a table."""
        return max(16, _LINES // _power_of_two(self.states.shape[1]))

    @property
    def _items(self) -> int:
        """Items in a tile: fewer where it holds their rows in each peer's table."""
        return _ITEMS if self.tables.shape[1] == 1 else max(16, _LINES // _power_of_two(self.states.shape[1]))

    def _rows(self, items: Tensor) -> Tensor:
        """Rows of the tables, [T, K, N] -> [T, K, N, D]."""
        trials, tables, lines, dim = self.tables.shape
        starts = torch.arange(0, trials * tables * lines, lines, device=items.device).view(trials, tables, 1)
        return self.tables.view(-1, dim)[items + starts]

    def _empty(self) -> Tensor:
        return self.states.new_empty(self.states.shape[:3])


def _power_of_two(number: int) -> int:
    return 1 << (number - 1).bit_length()
