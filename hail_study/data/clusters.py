"""Users in clusters of similar taste."""

import numpy as np
import numpy.typing as npt

from hail_study.data.batches import Integers
from hail_study.data.prepared import Prepared
from hail_study.data.splits import Split

_ROUNDS = 50


def cluster_users(prepared: Prepared, split: Split, clusters: int, dims: int, seed: int) -> Integers:
    """Each user's cluster, int64 [U], from the items of the training part alone.

    k-means (Lloyd's rounds; Arthur, Vassilvitskii. k-means++. SODA 2007, for the first centres) on each user's
    coordinates in a truncated singular value decomposition of the users' normalised item counts.

    Args:
        prepared: The data set.
        split: Where each user's training part ends.
        clusters: Most clusters.
        dims: Singular vectors kept.
        seed: Of the first centres.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import svds

    generator = np.random.default_rng(seed)
    ends = split.train_end
    kept = np.concatenate([np.arange(a, b) for a, b in zip(prepared.offsets[:-1], ends, strict=True)])
    owners = prepared.users_of(kept)
    counts = csr_array(
        (np.ones(len(kept)), (owners, prepared.items[kept] - 1)), shape=(prepared.users, prepared.item_count)
    )
    norms = np.sqrt(np.asarray(counts.multiply(counts).sum(1))).clip(1e-12)
    rank = min(dims, min(counts.shape) - 1)
    left, values, _ = svds(counts.multiply(1 / norms[:, None]).tocsr(), k=rank, v0=np.ones(min(counts.shape)))
    return _k_means(left * values, min(clusters, prepared.users), generator)


def _spread(points: npt.NDArray[np.float64], count: int, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """Points far from each other: each drawn in proportion to its squared distance from those before (k-means++)."""
    chosen = [int(generator.integers(len(points)))]
    nearest = np.full(len(points), np.inf)
    while len(chosen) < count:
        nearest = np.minimum(nearest, ((points - points[chosen[-1]]) ** 2).sum(1))
        total = nearest.sum()
        chosen.append(int(generator.choice(len(points), p=nearest / total if total > 0 else None)))
    return points[chosen]


def _k_means(points: npt.NDArray[np.float64], clusters: int, generator: np.random.Generator) -> Integers:
    centres = _spread(points, clusters, generator)
    found = np.zeros(len(points), dtype=np.int64)
    for _ in range(_ROUNDS):
        distances = (centres**2).sum(1) - 2 * points @ centres.T  # [U, C]
        before, found = found, distances.argmin(1).astype(np.int64)
        if np.array_equal(before, found):
            break
        sums = np.zeros_like(centres)
        np.add.at(sums, found, points)
        sizes = np.bincount(found, minlength=clusters)
        centres = np.where(sizes[:, None] > 0, sums / sizes.clip(1)[:, None], centres)
    return found
