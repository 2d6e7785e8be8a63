"""A training's complete state as one block of bytes, without pickle: tensors as safetensors, the rest as JSON."""

import json
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

_META = "hail"


class TornCheckpoint(ValueError):
    """The bytes are not a whole checkpoint."""


def pack(tensors: dict[str, Tensor], meta: dict[str, Any]) -> bytes:
    """Tensors and JSON-able values as bytes; equal input gives equal bytes."""
    blob: bytes = save(
        {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}, {_META: json.dumps(meta)}
    )
    return blob


def unpack(blob: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The inverse of `pack`.

    Raises:
        TornCheckpoint: The bytes are cut short or are something else.
    """
    try:
        length = int.from_bytes(blob[:8], "little")
        meta = json.loads(json.loads(blob[8 : 8 + length])["__metadata__"][_META])
        return load(blob), meta
    except Exception as error:
        raise TornCheckpoint(f"not a whole checkpoint: {error}") from error


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state, named `optimiser/<parameter index>/<name>`."""
    return {
        f"optimiser/{index}/{name}": value
        for index, state in optimiser.state_dict()["state"].items()
        for name, value in state.items()
    }


def load_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimiser_tensors` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        _, index, name = key.split("/")
        state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
