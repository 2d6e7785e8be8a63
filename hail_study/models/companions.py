"""What is trained beside the peers and left behind when they are served: auxiliary terms and what weighs them."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import nn

from hail_study.models.layers import initialise
from hail_study.models.seeding import AUXILIARY_WEIGHTS, generator, stream_of
from hail_study.study import catalogue
from hail_study.study.configuration import Configuration

COMPANIONS: Final = ("auxiliary", "weighting", "mining")
"""Names of these modules in a network."""


def served(name: str) -> bool:
    """Whether a parameter of this name belongs to the model itself."""
    return name.partition(".")[0] not in COMPANIONS


def auxiliary_terms(configuration: Configuration, item_count: int, seeds: Sequence[int]) -> nn.ModuleDict:
    """The terms that `objective.auxiliary` names, by name.

    A term's weights come from streams of its own: they are the same whichever other terms there are.
    """
    terms = nn.ModuleDict()
    for name in configuration.objective.auxiliary:
        term = catalogue.resolve(catalogue.AUXILIARIES[name])(configuration, item_count, seeds)
        term.initialise(_sources(configuration, seeds, name))
        terms[name] = term
    return terms


def miner_of(configuration: Configuration, seeds: Sequence[int]) -> nn.Module | None:
    """What `objective.mining.by` names, with weights from a stream of its own; None where there is nothing to mine."""
    by = configuration.objective.mining.by
    if by == "none":
        return None
    miner: nn.Module = catalogue.resolve(catalogue.MINERS[by])(configuration, seeds)
    initialise(miner, _sources(configuration, seeds, "mining"))
    return miner


def weighting_of(configuration: Configuration, terms: nn.ModuleDict, trials: int) -> nn.Module | None:
    """What `objective.weighting` names; None where there is nothing to weigh."""
    if not terms:
        return None
    settings = configuration.objective
    fixed = {name: float(getattr(getattr(settings, name, term), "weight")) for name, term in terms.items()}  # noqa: B009
    weighting: nn.Module = catalogue.resolve(catalogue.WEIGHTINGS[settings.weighting])(settings, fixed, trials)
    return weighting


def _sources(configuration: Configuration, seeds: Sequence[int], name: str) -> list[torch.Generator]:
    """Random numbers of each slot's weights in a companion."""
    peers, first = configuration.peers, AUXILIARY_WEIGHTS + stream_of(name)
    alike = "initialisation" not in peers.differ
    return [generator(seed, first + peer * (not alike)) for seed in seeds for peer in range(peers.count)]
