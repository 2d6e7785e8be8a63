"""Which items of a history speak for the right item, and which against it."""

import io
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from hail_study.tasks.diagnostics.base import Diagnostic, Examples, Findings, Scene
from hail_study.tasks.diagnostics.preference import Preference, preferences

EXAMINED: Final = 256
"""Test targets whose histories are attributed."""
POINTS: Final = 16
"""Of the path from zero vectors."""


class Attribution(Diagnostic):
    """Integrated gradients of log p(pos) - log p(neg) in the items of the history (GrAInS).

    Nguyen, Prasad, Stengel-Eskin, Bansal. GrAInS: Gradient-based Attribution for Inference-Time Steering of LLMs and
    VLMs. arXiv 2507.18043. Our formulation for next items: pos is the target, neg the item that the peers together rank
    highest beside it, the path starts at zero item vectors.

    `attribution_positions`: exp of the entropy of the attributions' sizes; `attribution_last`: the latest item's share
    of them; `attribution_deletion` and `random_deletion`: by how much log p(pos) - log p(neg) falls without the item of
    the largest attribution, and without one at random; `attribution_error`: how far attributions are from adding up to
    the whole difference, relative to it; `attribution_evidence`: how often the largest one is the planted evidence's;
    `attribution_focus`: how often it is that of the item in focus.
    """

    source = "GrAInS (arXiv 2507.18043); integrated gradients: Sundararajan et al. ICML 2017"
    control = "`random_deletion`: one item at random left out"
    metrics = (
        "attribution_positions",
        "attribution_last",
        "attribution_deletion",
        "random_deletion",
        "attribution_error",
        "attribution_evidence",
        "attribution_focus",
    )

    def examine(self, scene: Scene) -> Findings:
        examples = scene.sample(EXAMINED)
        rules = scene.readout.rules(scene.stage) if scene.readout.settings.paradigm != "last" else []
        chance = torch.Generator().manual_seed(0)
        parts: list[dict[str, Tensor]] = []
        tables: list[npt.NDArray[np.float32]] = []
        for rows, preference in preferences(scene.network, rules, examples):
            found = preference.attributions(POINTS)  # [n, L']
            with torch.no_grad():
                parts.append(_measured(preference, found, examples.lengths[rows], chance))
            tables += [one[real].cpu().numpy() for one, real in zip(found, preference.real, strict=True)]
        columns = {name: torch.cat([part[name] for part in parts]).cpu().numpy() for name in parts[0]}
        return Findings(
            _means(columns, self._evidence(scene, examples)), {"attribution.parquet": _table(examples, tables)}
        )

    def _evidence(self, scene: Scene, examples: Examples) -> npt.NDArray[np.int64] | None:
        """Lag of each target's planted evidence, 0 where there is none."""
        lags = scene.prepared.lags
        return None if lags is None else lags[examples.positions].astype(np.int64)


def _measured(preference: Preference, found: Tensor, lengths: Tensor, chance: torch.Generator) -> dict[str, Tensor]:
    """Columns [n]."""
    sizes = found.abs() / found.abs().sum(1, keepdim=True).clamp_min(1e-30)
    top, last = found.masked_fill(~preference.real, -torch.inf).argmax(1), (lengths - 1)[:, None]
    drawn = (torch.rand(len(lengths), generator=chance).to(lengths.device) * lengths).long()
    whole, nothing = preference(preference.vectors), preference(torch.zeros_like(preference.vectors))
    focus = preference.focus()
    columns = {
        "positions": torch.special.entr(sizes).sum(1).exp(),
        "last": sizes.gather(1, last)[:, 0],
        "deletion": whole - preference(preference.without(top)),
        "random": whole - preference(preference.without(drawn)),
        "missing": (found.sum(1) - (whole - nothing)).abs(),
        "difference": (whole - nothing).abs(),
        "lag": lengths - top,  # counted from the target
    }
    return columns if focus is None else columns | {"focus": (focus.argmax(1) == top).float()}


def _means(columns: dict[str, npt.NDArray[np.float32]], evidence: npt.NDArray[np.int64] | None) -> dict[str, float]:
    found = {
        "attribution_positions": float(columns["positions"].mean()),
        "attribution_last": float(columns["last"].mean()),
        "attribution_deletion": float(columns["deletion"].mean()),
        "random_deletion": float(columns["random"].mean()),
        "attribution_error": float(columns["missing"].sum() / max(columns["difference"].sum(), 1e-30)),
    }
    if evidence is not None and (evidence > 0).any():
        found["attribution_evidence"] = float((columns["lag"] == evidence)[evidence > 0].mean())
    if "focus" in columns:
        found["attribution_focus"] = float(columns["focus"].mean())
    return found


def _table(examples: Examples, tables: list[npt.NDArray[np.float32]]) -> bytes:
    """`attribution.parquet`: a row for each item of each history; `lag` counts from the target."""
    lengths = np.array([len(one) for one in tables])
    rows = np.repeat(np.arange(len(tables)), lengths)
    steps = np.concatenate([np.arange(length) for length in lengths])
    columns = {
        "position": examples.positions[rows],
        "lag": (lengths[rows] - steps).astype(np.int32),
        "item": examples.ids.cpu().numpy()[rows, steps].astype(np.int32),
        "attribution": np.concatenate(tables),
    }
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression="zstd")
    return sink.getvalue()
