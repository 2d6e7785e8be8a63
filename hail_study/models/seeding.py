"""Independent random streams from a trial's seed."""

from typing import Final, Literal
from zlib import crc32

import numpy as np
import torch

from hail_study.study.configuration import Peers

SHARED_WEIGHTS: Final = 0
OWN_WEIGHTS: Final = 1
"""First of 64 streams, one for each peer, as all that follow."""
SHARED_DROPOUT: Final = 1_000_000
OWN_DROPOUT: Final = 1_000_001
OWN_VIEW: Final = 1_500_000
MIXTURE_WEIGHTS: Final = 2_000_000
OWN_ENERGY: Final = 3_000_000
AUXILIARY_DRAWS: Final = 4_000_000
AUXILIARY_WEIGHTS: Final = 5_000_000
"""First of 64 streams for each auxiliary term, the terms apart by `stream_of`."""


def seed_of(seed: int, stream: int) -> int:
    """A 63-bit seed for one random stream of a trial."""
    return int(np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)[0] >> 1)


def stream_of(name: str) -> int:
    """A number that tells the streams of named parts apart, whichever other parts there are."""
    return crc32(name.encode()) << 6


def streams_of(peers: Peers, first: int, kind: Literal["dropout", "initialisation"]) -> list[int]:
    """A stream for each peer, from `first` on; one for all where `peers.differ` does not name what it is for."""
    return [first + peer * (kind in peers.differ) for peer in range(peers.count)]


def generator(seed: int, stream: int) -> torch.Generator:
    """A generator of one random stream of a trial."""
    return torch.Generator().manual_seed(seed_of(seed, stream))
