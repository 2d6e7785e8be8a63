"""Independent random streams from a trial's seed."""

from typing import Final

import numpy as np
import torch

SHARED_WEIGHTS: Final = 0
OWN_WEIGHTS: Final = 1
"""First of 64 streams, one for each peer, as all that follow."""
SHARED_DROPOUT: Final = 1_000_000
OWN_DROPOUT: Final = 1_000_001
OWN_VIEW: Final = 1_500_000
MIXTURE_WEIGHTS: Final = 2_000_000


def seed_of(seed: int, stream: int) -> int:
    """A 63-bit seed for one random stream of a trial."""
    return int(np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)[0] >> 1)


def generator(seed: int, stream: int) -> torch.Generator:
    """A generator of one random stream of a trial."""
    return torch.Generator().manual_seed(seed_of(seed, stream))
