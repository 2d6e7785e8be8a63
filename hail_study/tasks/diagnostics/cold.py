"""Would asking about the least certain predictions find the cold items?"""

import io
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from hail_study.data import Prepared, Split
from hail_study.tasks.diagnostics.base import Diagnostic, Findings, Scene
from hail_study.tasks.diagnostics.preference import preferences

EXAMINED: Final = 2000
"""Test targets that could be annotated."""
RAREST: Final = 0.2
"""Share of the items that is cold: those that occur least in the training part."""
_HIT: Final = 10


class ColdItems(Diagnostic):
    """Margin sampling: targets are annotated in the order of p1 - p2, the two highest probabilities (Active GCD).

    Ma, Zhu, Zhong, Zhang, Liu. Active Generalized Category Discovery. CVPR 2024, arXiv 2403.04272, where annotation is
    to find examples of novel classes. Our formulation: the novel classes are cold items, the `RAREST` share of the
    items by occurrences in the training part; p is the peers' mean probability.

    `cold_share`: of the targets that are cold items; `cold_margin` and `warm_margin`: mean p1 - p2 before them and
    before the others; `cold_found`: share of the cold ones among the tenth of the targets with the smallest margins;
    `annotation_area`: area under the share of cold targets found as a function of the share annotated.
    """

    source = "Ma et al. Active Generalized Category Discovery. CVPR 2024; cold items are our formulation"
    control = "a random order, which finds a tenth of them in a tenth, with an area of 0.5"
    metrics = ("cold_share", "cold_margin", "warm_margin", "cold_found", "annotation_area")

    def examine(self, scene: Scene) -> Findings:
        examples = scene.sample(EXAMINED)
        rules = scene.readout.rules(scene.stage) if scene.readout.settings.paradigm != "last" else []
        margins = torch.cat([preference.margins for _, preference in preferences(scene.network, rules, examples)])
        cold = cold_items(scene.prepared, scene.split)[examples.targets.cpu().numpy()]
        place = np.searchsorted(scene.split.test_positions, examples.positions)
        right = scene.ranking.together[place] <= _HIT
        return findings(margins.cpu().numpy(), cold, right)


def cold_items(prepared: Prepared, split: Split) -> npt.NDArray[np.bool_]:
    """Whether each item [V + 1] is one of the `RAREST` in the training part; ties by item id."""
    counts = np.zeros(prepared.item_count + 1, dtype=np.int64)
    for start, end in zip(prepared.offsets[:-1], split.train_end, strict=True):
        np.add.at(counts, prepared.items[start:end], 1)
    order = np.argsort(counts[1:], kind="stable") + 1
    cold = np.zeros(len(counts), dtype=np.bool_)
    cold[order[: round(RAREST * prepared.item_count)]] = True
    return cold


def findings(margins: npt.NDArray[np.float32], cold: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_]) -> Findings:
    """Metrics and the annotation curve.

    Args:
        margins: [n], p1 - p2 of each target.
        cold: [n], whether the target is a cold item.
        right: [n], whether it is predicted (hr@10); an annotated target counts as right.
    """
    order = np.argsort(margins, kind="stable")
    metrics = {"cold_share": float(cold.mean())}
    if not cold.any():
        return Findings(metrics, {"annotation.parquet": _curve(order, cold, right)})
    found = np.concatenate([[0], cold[order].cumsum()]) / cold.sum()
    metrics |= {
        "cold_margin": float(margins[cold].mean()),
        "cold_found": float(found[round(0.1 * len(order))]),
        "annotation_area": float(np.trapezoid(found, dx=1 / len(order))),
    }
    if not cold.all():
        metrics["warm_margin"] = float(margins[~cold].mean())
    return Findings(metrics, {"annotation.parquet": _curve(order, cold, right)})


def _curve(order: npt.NDArray[np.int64], cold: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_]) -> bytes:
    """`annotation.parquet`: after each annotation, the share annotated, of cold targets found, and hr@10 with them."""
    steps = np.arange(len(order) + 1)
    gained = np.concatenate([[0], (~right[order]).cumsum()])
    columns = {
        "annotated": steps / len(order),
        "cold_found": np.concatenate([[0], cold[order].cumsum()]) / max(1, cold.sum()),
        "hr@10": (right.sum() + gained) / len(order),
    }
    sink = io.BytesIO()
    pq.write_table(pa.table({name: column.astype(np.float32) for name, column in columns.items()}), sink)
    return sink.getvalue()
