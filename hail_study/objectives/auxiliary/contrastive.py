"""Contrastive learning between two views of each history: MCLRec, CL4SRec, DuoRec."""

from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from hail_study.data import Prepared, SameTarget, Split
from hail_study.objectives.auxiliary.base import Auxiliary, Scene
from hail_study.objectives.contrastive.augmenters import Augmenter
from hail_study.objectives.contrastive.losses import info_nce, separation
from hail_study.objectives.contrastive.views import Histories, Shares, histories, joined, view
from hail_study.objectives.contrastive.virtual import Weights, after_a_step
from hail_study.study.configuration import Configuration

_MODEL: Final = "stack."
"""Prefix of the weights that encode and score."""

Encode = Callable[[Tensor], Tensor]
"""Inputs [T, B, L] to states [S, B, L, D]."""
Pair = tuple[Tensor, Tensor]
"""One view and the other: [S, B, D] each."""


class Contrastive(Auxiliary):
    """cl1 L_cl1 + cl2 L_cl2 + r R on the states h1, h2 of two views and their augmented states z1, z2.

    L_cl1 = L_con(h1, h2); L_cl2 = L_con(z1, z2) + L_con(h1, z2) + L_con(h2, z1), L_con symmetric InfoNCE of inner
    products; R keeps the scores of (z1, z2) apart (`separation`). Qin, Yuan, Zhao, Fang, Liu, Sheng, Zhang.
    Meta-optimized Contrastive Learning for Sequential Recommendation. SIGIR 2023, arXiv 2304.07763.

    With `mode: alternating` the encoder's step holds the augmenters fixed, and `then` is the augmenters' loss, L_cl2 +
    r R: with the encoder held fixed (`order: first`, as released), or after a virtual step of it.

    `cl4srec` is L_cl1 alone, on the same views (Xie et al., ICDE 2022); `duorec` is L_cl1 between the history with
    other dropout and a history that the same item follows (Qiu et al., WSDM 2022). Causal encoders see hidden items as
    item 0, which is padding elsewhere and never scored: its row of the table is then trained as the mask. A history is
    represented by the state that would predict its next item.
    """

    source = "Qin et al. MCLRec. SIGIR 2023, L_cl1, L_cl2 and R; CL4SRec (ICDE 2022), DuoRec (WSDM 2022)"
    control = "`objective.auxiliary: []` with the same `training.updates`, full cross-entropy and the same search"
    weight = 1.0

    def __init__(self, configuration: Configuration, item_count: int, seeds: Sequence[int]) -> None:
        super().__init__(configuration, item_count, seeds)
        self._settings = settings = configuration.objective.contrastive
        self._mask = item_count + 1
        self._same: SameTarget | None = None
        self.alternates = settings.views == "mclrec" and settings.mode == "alternating"
        slots, dim = len(seeds) * configuration.peers.count, configuration.encoder.dim
        count = 0 if settings.views != "mclrec" else 2 - (settings.augmenters == "shared")
        self.augmenters = nn.ModuleList(Augmenter(slots, dim) for _ in range(count))

    def prepare(self, prepared: Prepared, split: Split, max_length: int) -> None:
        if self._settings.views == "duorec":
            self._same = SameTarget(prepared, split, max_length)

    def forward(self, scene: Scene) -> Tensor:
        return self._of_states(*self._states(scene, scene.encode), fixed=self.alternates)

    def then(self, scene: Scene, items: Callable[[], Tensor]) -> Tensor:
        """L_cl2 + r R."""
        if self._settings.order == "first":
            with torch.no_grad():
                states = self._states(scene, scene.encode)
            return self._of_augmenters(*states)
        return self._second_order(scene, items)

    # --- inside -------------------------------------------------------------------------------------------------

    def _second_order(self, scene: Scene, items: Callable[[], Tensor]) -> Tensor:
        network = scene.network
        weights = {name: weight for name, weight in network.named_parameters() if name.startswith(_MODEL)}
        found = torch.autograd.grad(items(), list(weights.values()), allow_unused=True, materialize_grads=True)
        constant = dict(zip(weights, found, strict=True))

        def states(of: Weights) -> Pair:
            return self._states(scene, lambda inputs: functional_call(network, dict(of), (inputs,)).float())

        def inner(of: Weights) -> Tensor:
            return self._settings.weight * self._of_states(*states(of), fixed=False).sum()

        def outer(of: Weights) -> Tensor:
            return self._of_augmenters(*states(of))

        with sdpa_kernel(SDPBackend.MATH):  # the fused kernels cannot be differentiated twice
            return after_a_step(weights, inner, constant, outer, self._settings.virtual_rate)

    def _of_states(self, first: Tensor, second: Tensor, fixed: bool) -> Tensor:
        """The term [S] of states [S, B, D]; `fixed` augmenters get no gradient."""
        settings = self._settings
        total = first.new_zeros(len(first))
        if settings.cl1:
            total = total + settings.cl1 * info_nce(first, second, settings.temperature)
        if not self.augmenters:
            return total
        augmented = self._augmented(first, second, fixed)
        if settings.cl2:
            total = total + settings.cl2 * self._cl2(first, second, augmented)
        return total + settings.r * separation(*augmented, settings.temperature) if settings.r else total

    def _of_augmenters(self, first: Tensor, second: Tensor) -> Tensor:
        """L_cl2 + r R, [S]; without L_cl2 where the encoder is trained without it."""
        settings, augmented = self._settings, self._augmented(first, second, False)
        total = settings.r * separation(*augmented, settings.temperature)
        return total + self._cl2(first, second, augmented) if settings.cl2 else total

    def _cl2(self, first: Tensor, second: Tensor, augmented: Pair) -> Tensor:
        other_first, other_second = augmented
        pairs = ((other_first, other_second), (first, other_second), (second, other_first))
        return torch.stack([info_nce(*pair, self._settings.temperature) for pair in pairs]).sum(0)

    def _augmented(self, first: Tensor, second: Tensor, fixed: bool) -> Pair:
        made = []
        for augmenter, states in zip((self.augmenters[0], self.augmenters[-1]), (first, second), strict=True):
            weights = {name: one.detach() if fixed else one for name, one in augmenter.named_parameters()}
            made.append(functional_call(augmenter, weights, (states,)))
        return made[0], made[1]

    def _states(self, scene: Scene, encode: Encode) -> Pair:
        """h1 and h2."""
        both = joined(self._views(scene))
        ids, ends = both.ids, both.lengths - 1
        if not scene.network.causal:
            ids = torch.cat([ids, torch.zeros_like(ids[..., :1])], -1).scatter(-1, both.lengths[..., None], self._mask)
            ends = both.lengths
        hidden = encode(ids)
        index = scene.per_slot(ends)[..., None, None].expand(-1, -1, 1, hidden.shape[-1])
        first, second = hidden.gather(2, index)[:, :, 0].chunk(2, 1)
        return first, second

    def _views(self, scene: Scene) -> tuple[Histories, Histories]:
        own, settings = histories(scene.ids), self._settings
        if settings.views == "duorec":
            return own, self._followed_alike(scene, own)
        shares = Shares(settings.crop, settings.mask, settings.reorder)
        hidden = 0 if scene.network.causal else self._mask
        return view(own, shares, scene.draws, hidden), view(own, shares, scene.draws, hidden)

    def _followed_alike(self, scene: Scene, own: Histories) -> Histories:
        """Histories that the same item follows; the own one, with other dropout, where there is none."""
        if self._same is None:
            return own
        targets = scene.ids.gather(-1, ((scene.ids != 0).sum(-1) - 1)[..., None])[..., 0]  # [T, B]
        uniform = scene.random(targets.shape[1]).double().cpu().numpy()
        made = []
        for ids, target, numbers in zip(own.ids, targets, uniform, strict=True):
            found, lengths = self._same.draw(ids.cpu().numpy(), target.cpu().numpy(), numbers)
            made.append(Histories(torch.from_numpy(found).to(ids.device), torch.from_numpy(lengths).to(ids.device)))
        width = max(one.ids.shape[-1] for one in made)
        wide = [nn.functional.pad(one.ids, (0, width - one.ids.shape[-1])) for one in made]
        return Histories(torch.stack(wide), torch.stack([one.lengths for one in made]))
