"""Pages made from the code they document, so that they cannot be wrong: `<!-- make: NAME -->` in a page is replaced."""

import inspect
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from typing import Any, Final


def on_page_markdown(markdown: str, **context: Any) -> str:
    """MkDocs calls this with each page's source."""
    return re.sub(r"<!-- make: ([\w-]+) -->", lambda found: MAKERS[found[1]](), markdown)


FACTORS: Final = {
    "Changes": "mapping of factors to levels",
    "Conditions": "mapping of factors to levels",
    "Levels": "mapping of factors to lists of levels",
    "Space": "mapping of factors to dimensions",
    "Dimension": "[Range](#range), [Choices](#choices) or a list of levels",
}
"""Parts of the schema that list every factor, for editors; here they are said in words."""


def study_file() -> str:
    """Every setting of a study file: its type, default and meaning."""
    from hail_study.study import json_schema

    schema = json_schema()
    sections = {"Top level": schema} | {name: one for name, one in schema["$defs"].items() if name not in FACTORS}
    return "\n".join(line for name, part in sections.items() for line in _section(name, part))


def _section(name: str, part: dict[str, Any]) -> Iterator[str]:
    yield f"## {name} {{#{name.lower().replace(' ', '-')}}}\n"
    yield part.get("description", "").split("\n\n")[0] + "\n"
    yield "| Setting | Type | Default | |\n| --- | --- | --- | --- |"
    for key, field in part["properties"].items():
        text = field.get("description", "").replace("|", "\\|").replace("\n", " ")
        yield f"| `{key}` | {_type(field)} | {_default(key, field, part)} | {text} |"
    yield ""


def _default(key: str, field: dict[str, Any], part: dict[str, Any]) -> str:
    if key in part.get("required", ()):
        return "**required**"
    return f"`{json.dumps(field['default'])}`" if "default" in field else ""


def _type(field: dict[str, Any]) -> str:
    """A field's type in words; sections link to their table."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return FACTORS.get(name) or f"[{name}](#{name.lower()})"
    if "enum" in field:
        return ", ".join(f"`{level}`" for level in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in field:
            return " or ".join(dict.fromkeys(map(_type, field[choice])))
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}" if field.get("items") else "list"
    if field.get("type") == "object":
        inside = field.get("additionalProperties")
        return f"mapping to {_type(inside)}" if isinstance(inside, dict) else "mapping"
    return f"{field.get('type', 'any')}{_limits(field)}"


def _limits(field: dict[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    found = [f"{sign} {field[limit]:g}" for limit, sign in signs.items() if limit in field]
    return f" {', '.join(found)}" if found else ""


def commands() -> str:
    """The help of every command."""
    from hail_study.commands import COMMANDS, parser

    pages = {name: parser(name).format_help() for name in COMMANDS}
    return "\n".join(f"## {name}\n\n```text\n{text.rstrip()}\n```\n" for name, text in pages.items())


def report_help() -> str:
    """The help of `python -m hail_study.report`."""
    from hail_study.report.__main__ import main

    text = io.StringIO()
    with redirect_stdout(text), suppress(SystemExit):
        main(["--help"])
    return f"```text\n{text.getvalue().rstrip()}\n```"


def names() -> str:
    """What may stand where a study file names a component."""
    from hail_study.study import catalogue

    found = {
        "encoder.name": catalogue.ENCODERS,
        "peers.coupling": catalogue.COUPLINGS,
        "objective.loss": catalogue.ITEM_LOSSES,
        "objective.auxiliary": catalogue.AUXILIARIES,
        "objective.weighting": catalogue.WEIGHTINGS,
        "data.source": catalogue.SOURCES,
    }
    rows = [f"| `{factor}` | {', '.join(f'`{name}`' for name in names)} |" for factor, names in found.items()]
    return "\n".join(["| Factor | Levels |", "| --- | --- |", *rows])


CATALOGUES: Final = {
    "encoder.name": ("ENCODERS", "any other encoder with the same `search` budget"),
    "peers.coupling": ("COUPLINGS", "`peers.coupling: independent`: as many peers that learn nothing from each other"),
    "objective.loss": ("ITEM_LOSSES", "`objective.loss: cross-entropy`, over all items"),
    "objective.auxiliary": ("AUXILIARIES", "`objective.auxiliary: []`"),
    "objective.weighting": ("WEIGHTINGS", "`objective.weighting: fixed`"),
    "objective.mining.by": ("MINERS", "`objective.mining.by: random`"),
    "objective.structure.method": ("STRUCTURES", "`objective.structure.method: bce`: labels by themselves"),
    "objective.structure.solver": ("SOLVERS", "the other solvers, with the same `search` budget"),
    "readout.paradigm": ("PARADIGMS", "`readout.paradigm: last`, or soft attention"),
    "metrics.diagnostics": ("DIAGNOSTICS", "the same diagnostic of another arm"),
    "data.source": ("SOURCES", "other data with the same study file"),
    "task": ("TASKS", "none: it follows from `data.source` and `data.targets`"),
}
"""Factors whose levels are components: the catalogue, and the control where a component names none of its own."""
OURS: Final = {"data.source": "our generator; for `file`, your own data", "task": "see its loss and its data"}
"""What stands for the source of components that cite nothing."""


def factors() -> str:
    """Every factor: levels, default and meaning; then every component: what it is, its source and its control."""
    lines = ["## Factors\n", "| Factor | Levels | Default | |", "| --- | --- | --- | --- |"]
    lines += [f"| `{path}` | {levels} | {usual} | {text} |" for path, levels, usual, text in _factors()]
    for factor, (name, control) in CATALOGUES.items():
        lines += ["", f"## `{factor}` {{#{factor.replace('.', '-')}}}\n", "| Level | | Source | Control |"]
        lines += ["| --- | --- | --- | --- |", *_components(name, control, OURS.get(factor, "our formulation"))]
        lines += [*_stages()] if factor == "readout.paradigm" else []
    return "\n".join([*lines, *_metrics()])


def _factors() -> Iterator[tuple[str, str, str, str]]:
    from hail_study.study import json_schema
    from hail_study.study.factors import factor_types

    definitions = json_schema()["$defs"]
    for path, places in ((path, definitions["Changes"]["properties"][path]) for path in factor_types()):
        field, owner, key = _field(definitions, places)
        text = field.get("description", "").replace("|", "\\|").replace("\n", " ")
        yield path, _type(field), _default(key, field, owner), text


def _field(definitions: dict[str, Any], place: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], str]:
    """A factor's schema, the section that it stands in, and its name there; that of the first of several sources."""
    reference = place["anyOf"][0]["$ref"] if "anyOf" in place else place["$ref"]
    _, _, section, _, key = reference.split("/")
    return definitions[section]["properties"][key], definitions[section], key


def _stages() -> Iterator[str]:
    """Rows of paradigms that are two others, one after the other."""
    from hail_study.study import catalogue

    for level, (first, second) in catalogue.STAGES.items():
        source = "as its two parts; when to switch is `readout.switch`"
        yield f"| `{level}` | {first}, then {second} with a fresh optimiser. | {source} | each of the two alone |"


def _metrics() -> Iterator[str]:
    """What every trial records of rankings, then the metrics that each task has."""
    from hail_study.study.measures import METRICS, lower_is_better
    from hail_study.training.metrics import RECORDED

    yield from ("", "## `metrics.report` {#metrics-report}\n", "| Metric | Task | Better |", "| --- | --- | --- |")
    yield from (f"| `{name}` | next-item | more |" for name in RECORDED)
    for task, pattern in METRICS.items():
        for name in filter(str.isidentifier, re.split(r"\|(?![^(]*\))", pattern)):
            yield f"| `{name}` | {task} | {'less' if lower_is_better(name) else 'more'} |"


def _components(name: str, control: str, ours: str) -> Iterator[str]:
    """Rows of a catalogue's components, from their docstrings and what they say of themselves."""
    from hail_study.study import catalogue

    for level, target in getattr(catalogue, name, {}).items():
        component = catalogue.resolve(target)
        summary, *rest = inspect.cleandoc(component.__doc__ or "").split("\n\n")
        around = inspect.cleandoc(inspect.getmodule(component).__doc__ or "").split("\n\n")  # type: ignore[union-attr]
        cited = (part for part in (*rest, *around, summary) if re.search(r"\b(19|20)\d\d\b|arXiv", part))
        source = getattr(component, "source", "") or next(cited, ours)
        cells = (" ".join(cell.replace("|", "\\|").split()) for cell in (summary, source))
        yield f"| `{level}` | {' | '.join(cells)} | {getattr(component, 'control', control)} |"


MAKERS: Final[dict[str, Callable[[], str]]] = {
    "study-file": study_file,
    "commands": commands,
    "report-help": report_help,
    "names": names,
    "factors": factors,
}
