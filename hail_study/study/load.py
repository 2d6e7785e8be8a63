"""From a study file to a study: everything that can be checked without reading data is checked here."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from hail_study.study import overrides as command_line
from hail_study.study.arms import REFERENCE, SECTIONS, declarations
from hail_study.study.claims import Claim, ClaimError, parse_claim
from hail_study.study.errors import Problem, StudyError, did_you_mean
from hail_study.study.expand import Expansion, reference_of
from hail_study.study.messages import findings
from hail_study.study.model import Arm, Study, by_name
from hail_study.study.positions import Document, dotted, parse
from hail_study.study.problems import Problems
from hail_study.study.schema import StudyFile
from hail_study.study.search import checked_space

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
    wrong = command_line.apply(document, overrides)
    file, bad = _validated(document, wrong)
    if file is None:
        raise StudyError(wrong)
    problems = Problems(document, sound_base=not bad & _FOR_BASE)
    searched = checked_space(file.search, reference_of(file), problems)
    arms = Expansion(file, searched, problems, check_data=check_data and problems.sound_base).arms()
    claims = () if bad.intersection(SECTIONS) else _claims(file, arms, problems)
    if wrong or problems:
        raise StudyError([*wrong, *problems])
    return Study(file, path, text, arms, claims, tuple(overrides))


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


def _validated(document: Document, problems: list[Problem]) -> tuple[StudyFile | None, set[Any]]:
    """The file's settings; where some sections are wrong, the rest of them, so that they can be checked too."""
    raw = document.value
    found = _problems(document, raw)
    if not found:
        return StudyFile.model_validate(raw), set()
    problems += [problem for _, problem in found]
    bad = {section for section, _ in found}
    rest = {"name": "unnamed"} | {section: value for section, value in raw.items() if section not in bad}
    return (None if _problems(document, rest) else StudyFile.model_validate(rest)), bad


def _problems(document: Document, raw: dict[str, Any]) -> list[tuple[Any, Problem]]:
    try:
        StudyFile.model_validate(raw)
    except ValidationError as error:
        return [
            (
                found.path[0] if found.path else "",
                Problem(found.message, dotted(found.path), document.place(found.path, key=found.at_key)),
            )
            for found in findings(error, StudyFile, raw)
        ]
    return []


def _claims(file: StudyFile, arms: tuple[Arm, ...], problems: Problems) -> tuple[Claim, ...]:
    names = {name: arm.name for name, arm in by_name(arms).items()}
    if problems:  # arms that could not be built have names all the same
        names |= {one.name: one.name for one in declarations(file, SECTIONS)} | {REFERENCE: REFERENCE}
    claims: list[Claim] = []
    for index, text in enumerate(file.claims):
        try:
            claims.append(parse_claim(text, file.metrics.primary, names))
        except ClaimError as error:
            problems.add(("claims", index), str(error))
    return tuple(claims)
