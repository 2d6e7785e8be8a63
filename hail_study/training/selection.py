"""Which training sequences a trial learns from (`data.select`).

Brandfonbrener et al. CoLoR-Filter: Conditional Loss Reduction Filtering for Targeted Language Model Pre-training.
NeurIPS 2024, arXiv 2406.10670: keep the 1/tau of sequences with the largest l_prior - l_conditional, the difference of
the losses of a prior model and of one that was trained further on what matters.

Ours: a sequence is a user's training part, its loss the mean cross-entropy of its next items, the mean over a trial's
peers; prior and conditional are trials of other arms on the same seed. `recent` gives such a conditional arm its data:
the sequences that end latest. The control is `random`, as many sequences drawn from the trial's seed.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors.torch import load
from torch import Tensor

from hail_study.data import Prepared, split
from hail_study.data.batches import gathered, training_windows
from hail_study.data.sets import split_by_targets
from hail_study.data.splits import trainable
from hail_study.models import PeerNetwork
from hail_study.models.companions import alone
from hail_study.study import Configuration

_STREAM: Final = 7
_BLOCK: Final = 128

Floats = npt.NDArray[np.float64]


def selected(
    configuration: Configuration, prepared: Any, seed: int, sources: Mapping[str, bytes], device: torch.device
) -> Any:
    """The data with those users marked whose training parts are learned from; evaluation stays as it is.

    Args:
        configuration: Of the trial; `data.select` matters here.
        prepared: All data.
        seed: Of the trial.
        sources: Role -> weights of the trials named there (color).
        device: Where losses are computed.

    Raises:
        ValueError: A source is missing, or `recent` is asked of data without time stamps.
    """
    settings, targets = getattr(configuration.data, "select", None), getattr(configuration.data, "targets", 1)
    if settings is None or settings.method == "all":
        return prepared
    ends = split_by_targets(prepared, targets).train_end
    users = np.flatnonzero(trainable(prepared, ends))
    if settings.method == "random":
        scores = np.random.default_rng([seed, _STREAM]).random(len(users))
    elif settings.method == "recent":
        scores = _ends(prepared, ends[users])
    else:
        scores = _reduction(configuration, prepared, sources, device)[users]
    kept = np.zeros(prepared.users, dtype=np.bool_)
    kept[users[np.argsort(-scores, kind="stable")[: max(1, len(users) // settings.tau)]]] = True
    return replace(prepared, kept=kept)


def sequence_losses(network: PeerNetwork, prepared: Prepared, max_length: int) -> Floats:
    """Mean cross-entropy [U] of every user's training items, each after those before it, mean over the peers.

    For encoders that see the future, that of the last item alone. 0 for users with fewer than two items.

    Args:
        network: Of one trial, in evaluation mode.
        prepared: The data set.
        max_length: A user's latest `max_length + 1` training items count.
    """
    device = next(network.parameters()).device
    windows = training_windows(prepared, split(prepared), max_length)
    found = np.zeros(prepared.users)
    for first in range(0, len(windows.users), _BLOCK):
        block = slice(first, first + _BLOCK)
        ids = torch.from_numpy(gathered(prepared.items, windows.starts[block], windows.lengths[block])).to(device)
        found[windows.users[block]] = _losses(network, ids).double().cpu().numpy()
    return found


# --- inside -----------------------------------------------------------------------------------------------------------


def _ends(prepared: Prepared, ends: npt.NDArray[np.int64]) -> Floats:
    if prepared.times is None:
        raise ValueError("data.select.method: recent needs time stamps, which these data do not have")
    return prepared.times[ends - 1].astype(np.float64)


def _reduction(
    configuration: Configuration, prepared: Prepared, sources: Mapping[str, bytes], device: torch.device
) -> Floats:
    """l_prior - l_conditional of every user."""
    missing = {"prior", "conditional"}.difference(sources)
    if missing:
        raise ValueError(f"data.select.method: color needs the weights of a {sorted(missing)[0]} trial")
    losses = {role: _losses_of(blob, prepared, device) for role, blob in sources.items()}
    return losses["prior"] - losses["conditional"]


def _losses_of(blob: bytes, prepared: Prepared, device: torch.device) -> Floats:
    """Losses of a trial, from its weights as `training.result` keeps them."""
    header = json.loads(blob[8 : 8 + int.from_bytes(blob[:8], "little")])
    configuration = Configuration.model_validate(json.loads(header["__metadata__"]["configuration"]))
    network = PeerNetwork(alone(configuration), prepared.item_count, [0]).to(device).eval()
    network.load_state_dict(load(blob))
    return sequence_losses(network, prepared, configuration.data.max_length)  # type: ignore[union-attr]


@torch.inference_mode()
def _losses(network: PeerNetwork, ids: Tensor) -> Tensor:
    """[n] of sequences [n, L + 1]."""
    table = network.table().transpose(1, 2)  # [K, D, V + 1]
    if not network.causal:
        lengths = (ids != 0).sum(1)
        last = ids.gather(1, lengths[:, None] - 1)
        before = ids.scatter(1, lengths[:, None] - 1, 0)[:, :-1]
        inputs, positions = network.evaluation_inputs(before, lengths - 1)
        logits = torch.bmm(network.states_at(network(inputs), positions), table)[..., 1:]  # [K, n, V]
        return -logits.log_softmax(-1).gather(-1, (last - 1).expand(len(logits), -1, 1))[..., 0].mean(0)
    inputs, targets = ids[:, :-1], ids[:, 1:]
    real = targets != 0
    states = network((inputs * real)[None])  # [K, n, L, D]
    logits = torch.bmm(states.flatten(1, 2), table)[..., 1:].view(*states.shape[:3], -1)
    right = (targets - 1).clamp_min(0).expand(len(logits), -1, -1)
    each = F.cross_entropy(logits.flatten(0, 2), right.flatten(), reduction="none").view(right.shape)  # [K, n, L]
    return (each.mean(0) * real).sum(1) / real.sum(1)
