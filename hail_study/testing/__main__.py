"""The conformance suites from the command line.

python -m hail_study.testing                           everything in the catalogue
python -m hail_study.testing encoders metrics          all components of some kinds
python -m hail_study.testing sasrec gbce ndcg@10       some components
python -m hail_study.testing my.module:MyEncoder       a class that is in no catalogue
python -m hail_study.testing my-study.yaml             what a study's plug-ins bring, under the settings it gives
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from hail_study.objectives.couplings import Coupling
from hail_study.study import Plugin, PluginData, Study, StudyError, catalogue, load
from hail_study.study.plugins import loaded
from hail_study.study.tasks import task_of
from hail_study.testing.couplings import settings_of
from hail_study.testing.suites import SUITES, Suite, verdicts

_BY_KIND: Final = {suite.kind: suite for suite in SUITES}

Refuse = Callable[[str], NoReturn]


@dataclass(frozen=True)
class Component:
    """What is to be checked.

    Attributes:
        name: As it is printed.
        suite: Of its kind.
        subject: What the checks are functions of, as long as the context lasts.
    """

    name: str
    suite: Suite
    subject: AbstractContextManager[Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Print one line for each check of each component; the exit status is 1 where one fails, 2 where none is found."""
    parser = argparse.ArgumentParser(
        prog="python -m hail_study.testing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("components", nargs="*", metavar="component", help="default: all of the catalogue")
    names = parser.parse_args(argv).components or list(_BY_KIND)
    components = [one for name in names for one in _found(name, parser.error)]
    conforming = sum([_conforms(one) for one in components])
    print(f"{conforming} of {len(components)} components conform")
    return 0 if conforming == len(components) else 1


def _found(name: str, refuse: Refuse) -> Iterator[Component]:
    """The components that an argument names."""
    if name in _BY_KIND:
        suite = _BY_KIND[name]
        yield from (Component(one, suite, suite.subject(one)) for one in suite.names)
    elif name.endswith((".yaml", ".yml")):
        yield from _of_study(name, refuse)
    elif of_name := [suite for suite in SUITES if name in suite.names]:
        yield from (Component(name, suite, suite.subject(name)) for suite in of_name)
    else:
        yield _class(name, refuse)


def _class(name: str, refuse: Refuse) -> Component:
    """A class by its module and name."""
    try:
        kind: object = catalogue.resolve(name)
    except (ImportError, AttributeError, ValueError) as error:
        refuse(
            f"{name}: no kind of component ({', '.join(_BY_KIND)}), none of the catalogue, no module:Class ({error})"
        )
    classes = {suite.base: suite for suite in SUITES if suite.base is not None}
    base = next((base for base in classes if isinstance(kind, type) and issubclass(kind, base)), None)
    if base is None:
        known = ", ".join(one.__name__ for one in classes)
        refuse(f"{name}: not a subclass of {known}; for anything else, name the study file whose plug-in brings it")
    return Component(name, classes[base], nullcontext(kind(settings_of()) if base is Coupling else kind))  # type: ignore[operator]


def _of_study(path: str, refuse: Refuse) -> Iterator[Component]:
    """What a study's plug-ins bring."""
    try:
        study = load(path)
    except StudyError as error:
        refuse(str(error))
    for plugin in map(loaded, study.file.plugins):
        for kind, suite in _BY_KIND.items():
            for name in getattr(plugin, kind):
                yield Component(name, suite, _subject(suite, name, study, refuse))
    if not any(_brings(loaded(name)) for name in study.file.plugins):
        refuse(f"{path}: its plug-ins bring nothing that there are checks for ({', '.join(_BY_KIND)})")


def _brings(plugin: Plugin) -> bool:
    return any(getattr(plugin, kind) for kind in _BY_KIND)


def _subject(suite: Suite, name: str, study: Study, refuse: Refuse) -> AbstractContextManager[Any]:
    """Sources and tasks are checked under the settings of an arm that uses them."""
    arms = [arm.configuration for arm in study.arms]
    if suite.kind == "sources":
        return nullcontext(next((one.data for one in arms if one.data.source == name), PluginData(source=name)))
    if suite.kind == "tasks":
        found = next((one for one in arms if task_of(one.data) == name), None)
        return nullcontext(found) if found else refuse(f"{study.path}: no arm has data that set the task {name}")
    return suite.subject(name)


def _conforms(component: Component) -> bool:
    whole = True
    with ExitStack() as stack:
        subject = stack.enter_context(component.subject)
        for verdict in verdicts(component.suite.checks, subject):
            whole &= not verdict.failed
            print(f"{component.suite.kind:11} {component.name:18} {verdict.check:44} {verdict}", flush=True)
    return whole


if __name__ == "__main__":
    sys.exit(main())
