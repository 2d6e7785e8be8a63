"""Components from outside the package: named by a study, checked before anything starts, part of its trials' keys."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from hail_study.study import catalogue
from hail_study.study.catalogue import PluginTask
from hail_study.study.errors import did_you_mean
from hail_study.study.factors import factor_types
from hail_study.study.keys import code_version, imported
from hail_study.study.measures import known as known_metric
from hail_study.study.measures import lower_is_better

GROUP: Final = "hail_study.plugins"
"""Entry points that a study may name without a colon."""


_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})
"""Folders of what is installed: what a plug-in imports from there is no part of it."""


class PluginError(ValueError):
    """A plug-in cannot be used; the text says why."""


@dataclass(frozen=True)
class Plugin:
    """Names that a study file may use beside those of the catalogue, each with `module:attribute`.

    The targets are strings so that a study file can be checked before torch is imported.

    Attributes:
        encoders: Subclasses of `hail_study.models.encoder.Encoder`, for `encoder.name`.
        couplings: Subclasses of `hail_study.objectives.couplings.Coupling`, for `peers.coupling`.
        losses: Subclasses of `hail_study.objectives.items.ItemLoss`, for `objective.loss`.
        auxiliaries: Subclasses of `hail_study.objectives.auxiliary.Auxiliary`, for `objective.auxiliary`.
        weightings: Subclasses of `hail_study.objectives.weightings.Weighting`, for `objective.weighting`.
        metrics: Functions of ranks int32 [n] (1 is best) to each target's gain [n] between 0 and 1; more is better.
        sources: Functions of a `PluginData` to `Interactions`, or to `Examples` for a task of one's own.
        tasks: Name -> `PluginTask`: a subclass of `hail_study.tasks.Task`, its metrics and the factors it looks at.
        tasks_of: Source -> the task that its data set; default `next-item`.
    """

    encoders: Mapping[str, str] = field(default_factory=dict)
    couplings: Mapping[str, str] = field(default_factory=dict)
    losses: Mapping[str, str] = field(default_factory=dict)
    auxiliaries: Mapping[str, str] = field(default_factory=dict)
    weightings: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    tasks: Mapping[str, PluginTask] = field(default_factory=dict)
    tasks_of: Mapping[str, str] = field(default_factory=dict)


_CATALOGUES: Final[dict[str, dict[str, str]]] = {
    "encoders": catalogue.ENCODERS,
    "couplings": catalogue.COUPLINGS,
    "losses": catalogue.ITEM_LOSSES,
    "auxiliaries": catalogue.AUXILIARIES,
    "weightings": catalogue.WEIGHTINGS,
    "metrics": catalogue.METRICS,
    "sources": catalogue.SOURCES,
    "tasks_of": catalogue.TASKS_OF,
}


def activate(names: Iterable[str], folder: Path | str) -> None:
    """Put the components of plug-ins into the catalogue of this process. Doing so again changes nothing.

    Args:
        names: `module:attribute` of a `Plugin`, or names of entry points of the group `hail_study.plugins`.
        folder: Of the study file; modules beside it are found.

    Raises:
        PluginError: A plug-in is not there, is none, or takes a name that is taken.
    """
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    for name in names:
        _add(name, loaded(name))


def loaded(name: str) -> Plugin:
    """A plug-in by its name in a study file.

    Raises:
        PluginError: There is none of this name.
    """
    target = name if ":" in name else _entry_point(name)
    module, _, attribute = target.partition(":")
    try:
        found = getattr(import_module(module), attribute, None)
    except Exception as error:
        raise PluginError(f"`{module}` cannot be imported: {type(error).__name__}: {error}") from error
    if found is None:
        raise PluginError(f"`{module}` has no `{attribute}`" + did_you_mean(attribute, vars(sys.modules[module])))
    if not isinstance(found, Plugin):
        raise PluginError(f"`{target}` is a {type(found).__name__}, not a hail_study.study.Plugin")
    return found


def version_of(names: Sequence[str], folder: Path) -> str:
    """A version of the source code of plug-ins.

    It is that of every package or module they take components from, and of those that these import from beside
    themselves or from beside the study file.

    Args:
        names: As in `activate`.
        folder: Of the study file.
    """
    targets = [target for name in names for target in _targets(loaded(name))]
    own = [name if ":" in name else _entry_point(name) for name in names]
    packages = {target.partition(":")[0].partition(".")[0] for target in (*targets, *own)} - {"hail_study"}
    return code_version(_with_helpers(packages, folder.resolve()))


def _with_helpers(packages: Iterable[str], folder: Path) -> set[str]:
    """Packages and modules, and what they import, again and again, from their folders or this one."""
    waiting, found = set(packages), {"hail_study"}
    folders = {one for package in waiting if (one := _folder(package))} | {folder}
    while waiting:
        package = waiting.pop()
        found.add(package)
        waiting |= {name for name in imported(package) - found if _folder(name) in folders}
    return found - {"hail_study"}


def _folder(package: str) -> Path | None:
    """Where a package or module of Python source lies; None where it is installed, or is none."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    places = list(spec.submodule_search_locations or ()) or [spec.origin or ""]
    folder = Path(places[0]).resolve().parent
    source = spec.submodule_search_locations or places[0].endswith(".py")
    return folder if source and not _INSTALLED.intersection(folder.parts) else None


def _entry_point(name: str) -> str:
    known = {point.name: point.value for point in entry_points(group=GROUP)}
    if name not in known:
        there = f"; there are {', '.join(sorted(known))}" if known else "; none is installed"
        raise PluginError(f"no entry point `{name}` in the group {GROUP}" + (did_you_mean(name, known) or there))
    return known[name]


def _targets(plugin: Plugin) -> list[str]:
    no_targets = ("tasks", "tasks_of")
    parts: list[Mapping[str, Any]] = [getattr(plugin, one.name) for one in fields(plugin) if one.name not in no_targets]
    return [target for part in parts for target in part.values()] + [task.target for task in plugin.tasks.values()]


def _add(name: str, plugin: Plugin) -> None:
    for target in _targets(plugin):
        _check(target)
    for kind, known in _CATALOGUES.items():
        for component, target in getattr(plugin, kind).items():
            if known.get(component, target) != target:
                raise PluginError(f"`{component}` is taken: it is {known[component]}, in {name} it is {target}")
    for task, said in plugin.tasks.items():
        _check_task(name, task, said)
    for kind, known in _CATALOGUES.items():
        known.update(getattr(plugin, kind))
    catalogue.TASKS_OUTSIDE.update(plugin.tasks)
    catalogue.TASKS.update({task: said.target for task, said in plugin.tasks.items()})


def _check_task(plugin: str, task: str, said: PluginTask) -> None:
    """Its name must be free, and its metrics mean what metrics of these names mean elsewhere."""
    if task in catalogue.TASKS and catalogue.TASKS_OUTSIDE.get(task) != said:
        raise PluginError(f"`{task}` is taken: it is {catalogue.TASKS[task]}, in {plugin} it is {said.target}")
    for metric in (*said.metrics, *said.errors):
        if known_metric(metric) and lower_is_better(metric) != (metric in said.errors):
            where = "errors" if lower_is_better(metric) else "metrics"
            raise PluginError(f"`{metric}` of `{task}` belongs in `{where}`: the name is used, the other way round")
    for factor in said.factors:
        if not any(path == factor or path.startswith(f"{factor}.") for path in factor_types()):
            raise PluginError(
                f"`{task}` looks at `{factor}`, which is no factor" + did_you_mean(factor, factor_types())
            )


def _check(target: str) -> None:
    """The module must be there, and have the attribute where it is imported already."""
    module, _, attribute = target.partition(":")
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not attribute:
        raise PluginError(f"`{target}` names no `module:attribute` that can be found")
    if module in sys.modules and not hasattr(sys.modules[module], attribute):
        raise PluginError(f"`{module}` has no `{attribute}`" + did_you_mean(attribute, vars(sys.modules[module])))
