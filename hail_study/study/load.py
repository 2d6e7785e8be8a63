"""From a study file to a study: everything that can be checked without reading data is checked here."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hail_study.study import overrides as command_line
from hail_study.study.arms import REFERENCE, SECTIONS, declarations
from hail_study.study.claims import Claim, ClaimError, parse_claim
from hail_study.study.errors import Place, Problem, StudyError, did_you_mean
from hail_study.study.expand import Expansion, reference_of
from hail_study.study.messages import Finding
from hail_study.study.model import Arm, Study, by_name, crossed
from hail_study.study.plugins import PluginError, activate
from hail_study.study.positions import Document, dotted, parse
from hail_study.study.problems import Problems
from hail_study.study.salvage import sound_part, validated
from hail_study.study.schema import StudyFile
from hail_study.study.search import checked_space
from hail_study.study.tasks import unmeasured

_FOR_BASE: Final = frozenset({"base", "data", "metrics"})


def load(path: Path | str, overrides: Sequence[str] = (), *, check_data: bool = True) -> Study:
    """Read a study file and check all of it.

    Args:
        path: The YAML file.
        overrides: Changes of it (`training.epochs=3`); see `hail_study.study.overrides`.
        check_data: Whether the data files must be there; a report needs none.

    Raises:
        StudyError: Whatever is wrong, one line each, in the order of the file.
    """
    path = Path(path)
    text = _read(path)
    document = parse(text, str(path))
    wrong = [*command_line.apply(document, overrides), *_activated(document, path.parent)]
    file, bad = _validated(document, wrong)
    if file is None:
        raise StudyError(wrong)
    problems = Problems(document, sound_base=not bad & _FOR_BASE)
    searched = checked_space(file.search, reference_of(file), problems)
    arms = Expansion(file, searched, problems, check_data=check_data and problems.sound_base).arms()
    _check_effects(file, arms, problems)
    claims = () if bad.intersection(SECTIONS) else _claims(file, arms, problems)
    if wrong or problems:
        raise StudyError([*wrong, *problems])
    return Study(file, path, text, arms, claims, tuple(overrides))


def place_of(study: Study, path: Sequence[str | int]) -> Place:
    """Where a setting of a loaded study stands: in its file or on the command line."""
    document = parse(study.text, str(study.path))
    command_line.apply(document, study.overrides)
    return document.place(tuple(path))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise StudyError([Problem(f"not a UTF-8 text file: {error.reason} at byte {error.start}", str(path))]) from None
    except FileNotFoundError:
        beside = [str(path.parent / other.name) for other in sorted(path.parent.glob("*.y*ml"))]
        raise StudyError([Problem("no such file" + did_you_mean(str(path), beside), str(path))]) from None
    except OSError as error:
        raise StudyError([Problem(str(error.strerror or error).lower(), str(path))]) from None


def _activated(document: Document, folder: Path) -> list[Problem]:
    """What is wrong with the plug-ins that the file names; the others are in the catalogue from here on."""
    named, problems = document.value.get("plugins"), []
    for index, name in enumerate(named if isinstance(named, list) else []):
        try:
            activate([str(name)], folder.resolve())
        except PluginError as error:
            at = ("plugins", index)
            problems.append(Problem(str(error), dotted(at), document.place(at)))
    return problems


def _validated(document: Document, problems: list[Problem]) -> tuple[StudyFile | None, set[str]]:
    """The file's settings, or its sound part and the names of the sections that are not whole."""
    file, found = validated(document.value)
    if file is not None:
        return file, set()
    problems += [Problem(one.message, dotted(one.path), _place(document, one)) for one in found]
    return sound_part(document.value, found), {str(one.path[0]) for one in found if one.path}


def _place(document: Document, finding: Finding) -> Place:
    """Where a finding stands; one about a mapping as a whole, at what the command line changed in it."""
    depth = len(finding.path)
    if finding.path in document.values and not finding.at_key:
        changed = [place for path, place in document.values.items() if place.path and path[:depth] == finding.path]
        if changed:
            return changed[-1]
    return document.place(finding.path, key=finding.at_key)


def _check_effects(file: StudyFile, arms: tuple[Arm, ...], problems: Problems) -> None:
    """A smallest effect is of a metric that some arm is tested by; those that are reported are checked with it."""
    for metric in set(file.metrics.smallest_effect).difference(file.metrics.report):
        reasons = [unmeasured(arm.configuration, metric) for arm in arms]
        if reasons and all(reasons):
            problems.add(("metrics", "smallest_effect", metric), reasons[0], at_key=True)


def _claims(file: StudyFile, arms: tuple[Arm, ...], problems: Problems) -> tuple[Claim, ...]:
    names = {name: arm.name for name, arm in by_name(arms).items()}
    if problems:  # arms that could not be built have names all the same
        names |= {one.name: one.name for one in declarations(file, SECTIONS)} | {REFERENCE: REFERENCE}
    claims: list[Claim] = []
    for index, text in enumerate(file.claims):
        try:
            claim = parse_claim(text, file.metrics.primary, names)
            if claim.kind == "interaction" and not problems and not crossed(arms, *claim.factors):
                raise ClaimError(f"no arms cross {' and '.join(claim.factors)}: declare them in `cross`")
            if claim.metric not in file.metrics.report:
                _check_measured(claim, arms)
            claims.append(claim)
        except ClaimError as error:
            problems.add(("claims", index), str(error))
    return tuple(claims)


def _check_measured(claim: Claim, arms: tuple[Arm, ...]) -> None:
    """The arms that a claim is about must be tested by its metric."""
    for arm in arms:
        reason = unmeasured(arm.configuration, claim.metric)
        if reason and (claim.kind == "interaction" or arm.name in (claim.left, claim.right)):
            raise ClaimError(reason)
