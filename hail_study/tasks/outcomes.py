"""What became of examples, as columns."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

Column = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Measured:
    """One row per example, one column per metric.

    Attributes:
        columns: Metric -> each example's contribution [n], by the peers together.
        peers: The same of each peer alone, where there are several.
        extra: Metrics that are no means over examples.
    """

    columns: Mapping[str, Column]
    peers: tuple[Mapping[str, Column], ...] = ()
    extra: Mapping[str, float] = field(default_factory=dict)

    def metrics(self) -> dict[str, float]:
        found = {name: _mean(column) for name, column in self.columns.items()}
        for index, columns in enumerate(self.peers):
            found |= {f"peer_{index}/{name}": _mean(column) for name, column in columns.items()}
        return found | dict(self.extra)

    def files(self) -> dict[str, bytes]:
        """`outcomes.parquet`: `example`, and the columns as float32."""
        examples = {"example": np.arange(len(next(iter(self.columns.values()))), dtype=np.int32)}
        columns = {name: np.asarray(column, dtype=np.float32) for name, column in self.columns.items()}
        sink = io.BytesIO()
        pq.write_table(pa.table(examples | columns), sink, compression="zstd")
        return {"outcomes.parquet": sink.getvalue()}


def _mean(column: Column) -> float:
    """Not a number where nothing could be measured of any example."""
    values = np.asarray(column, dtype=np.float64)
    return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")
