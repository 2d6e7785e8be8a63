"""The exported schema: current, valid, and as strict as the loader."""

import json
from pathlib import Path

import jsonschema
import pytest

from hail_study.study import Configuration, flatten, json_schema
from hail_study.study.factors import factor_types
from hail_study.study.positions import parse

STUDIES = Path(__file__).parents[2] / "studies"
FIRST_LINE = "# yaml-language-server: $schema=study.schema.json"


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_exported_schema_is_current() -> None:
    """Renew it with `python -m hail_study.run --schema > studies/study.schema.json`."""
    assert (STUDIES / "study.schema.json").read_text() == json.dumps(json_schema(), indent=2) + "\n"


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.name)
def test_study_files_name_the_schema_and_follow_it(path: Path, validator) -> None:
    text = path.read_text()
    assert text.splitlines()[0] == FIRST_LINE
    assert not list(validator.iter_errors(parse(text, path.name).value))


@pytest.mark.parametrize(
    ("part", "right"),
    [
        ({"vary": {"peers.count": [1, 2]}}, True),
        ({"vary": {"peers.cuont": [1, 2]}}, False),
        ({"vary": {"peers.count": [0]}}, False),
        ({"remove": {"x": {"peers.coupling": "independent"}}}, True),
        ({"remove": {"x": {"peers.coupling": "indepedent"}}}, False),
        ({"arms": [{"set": {"peers.share": ["head"]}}]}, True),
        ({"arms": [{"set": {"peers.share": "head"}}]}, False),
        ({"data": {"source": "file", "path": "x.csv"}}, True),
        ({"data": {"path": "x.csv"}}, False),
        ({"search": {"space": {"peers.alpha": [0.1]}}}, True),
        ({"search": {"space": {"peers.alpha": {"low": 0, "high": 1, "when": {"peers.count": [1, 2]}}}}}, True),
        ({"search": {"space": {"peers.alpha": {"low": 0, "high": 1, "when": {"peers.count": "many"}}}}}, False),
        ({"search": {"space": {"alpha": [0.1]}}}, False),
        ({"seeds": [0, 1]}, True),
        ({"seeds": "all"}, False),
        ({"metrics": {"primary": "ndgc@10"}}, False),
        ({"add": {"strip": {"peers.count": 1}, "parts": {"x": {"peers.count": 2}}}}, True),
    ],
)
def test_the_schema_knows_factors_and_levels(part: dict[str, object], right: bool, validator) -> None:
    assert validator.is_valid({"name": "s"} | part) is right


def test_defaults_stay_what_recorded_results_were_trained_with() -> None:
    """Keys cover only what differs from the defaults: changing one needs a higher `keys.MEANING` and a new list."""
    known = json.loads((Path(__file__).parent / "defaults.json").read_text())
    levels = flatten(Configuration())
    assert {factor: levels.get(factor) for factor in known} == known


def test_factors_of_both_data_sources_are_known() -> None:
    assert {"data.cue", "data.path", "data.max_length", "peers.count"} <= set(factor_types())
