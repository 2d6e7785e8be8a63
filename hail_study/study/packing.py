"""Which trials can be trained together as one stacked computation, with the results that each has alone."""

from collections.abc import Iterator
from typing import Final

from hail_study.study.configuration import Configuration
from hail_study.study.factors import flatten
from hail_study.study.keys import LOCATION, digest
from hail_study.study.tasks import task_of

COUPLINGS: Final = (
    "independent",
    "rescaled",
    "med",
    "mutual",
    "one",
    "okddip",
    "kdcl",
    "pcl",
    "co-teaching",
    "boosted",
    "unlikelihood",
)
LOSSES: Final = ("cross-entropy", "sampled-softmax", "bce", "gbce")

OWN: Final = (
    "training.epochs",
    "training.patience",
    "training.learning_rate",
    "training.weight_decay",
    "training.warmup",
    "training.decay",
    "training.clip",
    "peers.alpha",
    "peers.gamma",
    "evaluation.select",
    "evaluation.steering",
    "evaluation.steering_by",
    "evaluation.diagnostics",
)
"""Factors in which trials of a pack may differ."""


def misfits(configuration: Configuration) -> Iterator[str]:
    """Why trials of a configuration are trained alone whatever `compute.pack` says; nothing where they are not."""
    objective, peers = configuration.objective, configuration.peers
    task = task_of(configuration.data)
    if task != "next-item":
        yield f"{task} tasks have networks without a trial axis"
    if configuration.readout.paradigm != "last":
        yield "a focus on single items has a loss without a trial axis"
    if objective.auxiliary:
        yield "auxiliary terms compare the sequences of a batch, and a pack pads it"
    if objective.mining.by != "none":
        yield "mining draws for a whole batch, and a pack pads it"
    if objective.temporal != 0:
        yield "objective.temporal weighs the targets of one trial's batch"
    if objective.loss not in LOSSES:
        yield f"{objective.loss} comes from outside and may mix trials"
    if peers.coupling not in COUPLINGS:
        yield f"{peers.coupling} comes from outside and may mix trials"
    if peers.truncation and peers.truncation_of == "slots":
        yield "truncation_of: slots counts the sequences of a batch, and a pack pads it"


def scheduled(configuration: Configuration) -> bool:
    """Whether the loss depends on the number of steps done, so that trials must have done equally many."""
    peers = configuration.peers
    return bool(peers.alpha_decay or peers.ramp or peers.belief == "frozen" or peers.coupling == "pcl")


def structure(configuration: Configuration, fingerprint: str) -> str | None:
    """What trials of a pack have in common, as a digest; None where trials of this configuration are trained alone.

    Args:
        configuration: Canonical.
        fingerprint: Of the prepared data.
    """
    if any(misfits(configuration)):
        return None
    levels = flatten(configuration)
    common = {factor: level for factor, level in levels.items() if factor not in (*OWN, *LOCATION)}
    return digest({"configuration": common, "fingerprint": fingerprint}, 16)
