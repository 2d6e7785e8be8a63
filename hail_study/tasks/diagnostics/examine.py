"""A test ranking with what the study's diagnostics find beside it."""

from collections.abc import Sequence
from dataclasses import replace

from hail_study.study import catalogue
from hail_study.tasks.diagnostics.base import Diagnostic, Scene
from hail_study.training.metrics import Ranking


def examined(scene: Scene, names: Sequence[str]) -> Ranking:
    """The scene's ranking with the metrics and tables of some diagnostics; the network keeps its mode."""
    training = scene.network.training
    scene.network.eval()
    metrics, tables = dict(scene.ranking.extra), dict(scene.ranking.tables)
    for name in names:
        diagnostic: Diagnostic = catalogue.resolve(catalogue.DIAGNOSTICS[name])()
        found = diagnostic.examine(scene)
        metrics |= found.metrics
        tables |= found.files
    scene.network.train(training)
    return replace(scene.ranking, extra=metrics, tables=tables)
