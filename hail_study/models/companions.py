"""What is trained beside the peers and left behind when they are served: auxiliary terms and what weighs them."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import nn

from hail_study.models.layers import initialise
from hail_study.models.seeding import AUXILIARY_WEIGHTS, generator, stream_of
from hail_study.study import catalogue
from hail_study.study.configuration import Configuration
from hail_study.study.factors import replaced

COMPANIONS: Final = ("auxiliary", "weighting", "mining")
"""Names of these modules in a network."""


def alone(configuration: Configuration) -> Configuration:
    """The configuration of the model itself: what `served` weights are loaded into."""
    return replaced(replaced(configuration, "objective.auxiliary", []), "objective.mining.by", "none")


def served(name: str) -> bool:
    """Whether a parameter of this name belongs to the model itself."""
    return name.partition(".")[0] not in COMPANIONS


def auxiliary_terms(configuration: Configuration, item_count: int, seeds: Sequence[int], causal: bool) -> nn.ModuleDict:
    """The terms that `objective.auxiliary` names, by name.

    A term's weights come from streams of its own: they are the same whichever other terms there are.

    Raises:
        ValueError: A term needs more peers than there are, or causal encoders where they are not.
    """
    terms = nn.ModuleDict()
    for name in configuration.objective.auxiliary:
        kind = catalogue.resolve(catalogue.AUXILIARIES[name])
        if configuration.peers.count < kind.peers:
            raise ValueError(f"objective.auxiliary: {name} needs {kind.peers} peers (peers.count)")
        if kind.causal and not causal:
            raise ValueError(f"objective.auxiliary: {name} needs an encoder that sees no future (encoder.name)")
        term = kind(configuration, item_count, seeds)
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
