"""Per-user ranks as a file: any metric at any cut-off, and every paired test, is computed from it afterwards."""

import io

import pyarrow as pa
import pyarrow.parquet as pq

from hail_study.training.metrics import Ranking


def ranks_parquet(ranking: Ranking) -> bytes:
    """Columns `user`, `rank`, for several peers `peer_<i>`, and `ranking.strata`: int32, one row per user."""
    columns = {"user": ranking.users, "rank": ranking.together}
    if len(ranking.peers) > 1:
        columns |= {f"peer_{index}": ranks for index, ranks in enumerate(ranking.peers)}
    columns |= dict(ranking.strata)
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression="zstd")
    return sink.getvalue()
